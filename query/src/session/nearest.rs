//! Which name was meant.

/// The candidate closest to `name`, when it is close enough to be worth suggesting: at most one
/// edit per three characters, case ignored.
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let name = name.to_lowercase();
    let allowed = (name.chars().count() / 3).max(1);
    candidates
        .into_iter()
        .map(|candidate| (distance(&name, &candidate.to_lowercase()), candidate))
        .filter(|(edits, candidate)| *edits <= allowed || contains_word(candidate, &name))
        .min_by_key(|(edits, _)| *edits)
        .map(|(_, candidate)| candidate)
}

/// `name` is a whole part of a snake_case candidate: `arn` of `user_identity_arn`.
fn contains_word(candidate: &str, name: &str) -> bool {
    name.len() >= 3 && candidate.split('_').any(|part| part == name)
}

/// Optimal string alignment distance: insertions, deletions, replacements, swaps of neighbours.
fn distance(a: &str, b: &str) -> usize {
    let a: Vec<char> = a.chars().collect();
    let b: Vec<char> = b.chars().collect();
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i; b.len() + 1];
        for j in 1..=b.len() {
            let replaced = last[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            row[j] = replaced.min(last[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                row[j] = row[j].min(before[j - 2] + 1);
            }
        }
        before = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn typing_errors_find_their_name_and_others_find_none() {
        let tables = ["cloudtrail", "vpc_flow", "app_log", "rejected", "ingest", "findings"];
        assert_eq!(nearest("cloud_trail", tables), Some("cloudtrail"));
        assert_eq!(nearest("clodutrail", tables), Some("cloudtrail"));
        assert_eq!(nearest("VPCFLOW", tables), Some("vpc_flow"));
        assert_eq!(nearest("app_logs", tables), Some("app_log"));
        assert_eq!(nearest("users", tables), None);
        assert_eq!(nearest("arn", ["user_identity_arn", "region"]), Some("user_identity_arn"));
        assert_eq!(distance("ab", "ba"), 1);
        assert_eq!(distance("", "abc"), 3);
    }
}
