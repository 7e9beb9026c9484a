//! Which groups a section's names and patterns stand for.

use super::requests::{Group, RequestError, Requests};

/// Every group that matches one of `patterns`, once, in order of name; and the patterns that match none.
///
/// # Errors
/// When the service refuses.
pub async fn matching(
    requests: &Requests,
    patterns: &[String],
) -> Result<(Vec<Group>, Vec<String>), RequestError> {
    let mut groups: Vec<Group> = Vec::new();
    let mut without = Vec::new();
    for pattern in patterns {
        let prefix = pattern.split('*').next().unwrap_or_default();
        let mut found = requests.groups(prefix).await?;
        found.retain(|group| matches(pattern, &group.name));
        if found.is_empty() {
            without.push(pattern.clone());
        }
        groups.extend(found);
    }
    groups.sort_by(|one, other| one.name.cmp(&other.name));
    groups.dedup_by(|one, other| one.name == other.name);
    Ok((groups, without))
}

/// Whether `name` is `pattern`, in which `*` stands for anything.
fn matches(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = name.strip_prefix(first) else { return false };
    let mut parts: Vec<&str> = parts.collect();
    let Some(last) = parts.pop() else { return rest.is_empty() };
    for part in parts {
        match rest.find(part) {
            Some(at) => rest = rest.get(at + part.len()..).unwrap_or_default(),
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_anything_and_a_name_for_itself() {
        for (pattern, name, expected) in [
            ("/aws/vpc", "/aws/vpc", true),
            ("/aws/vpc", "/aws/vpc2", false),
            ("/aws/*", "/aws/vpc", true),
            ("/aws/*/cluster", "/aws/eks/prod/cluster", true),
            ("/aws/*/cluster", "/aws/eks/prod/clusters", false),
            ("*flow*", "/vpc/flow-logs", true),
            ("a*a", "a", false),
            ("*", "", true),
        ] {
            assert_eq!(matches(pattern, name), expected, "{pattern} {name}");
        }
    }
}
