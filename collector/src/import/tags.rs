//! `Match` against tags: what a pattern takes of a route, and the part it takes said with our means.
//!
//! A container's tag is made from its file's name, `<prefix><pod>_<namespace>_<container>-<id>.log`, so a
//! pattern that takes a part of the containers is a condition on pod, namespace and container.

use super::escaped;
use toml::{Table, Value};

/// `Match` or `Match_Regex`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Pattern {
    /// A text in which `*` stands for anything.
    Glob(String),
    /// An expression that is found anywhere in the tag.
    Regex(String),
}

/// What a pattern takes of records with a tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Share {
    All,
    Part,
    Nothing,
}

/// A condition on records of containers.
#[derive(Debug, Clone)]
pub(super) enum Containers {
    /// As a filter says it; empty: all of them.
    Filter(Table),
    /// As a VRL expression.
    Program(String),
}

impl Pattern {
    /// What the pattern takes of records whose tag is `tag`; its `*` stand for what is not known.
    pub(super) fn share(&self, tag: &str) -> Share {
        match self {
            Self::Glob(glob) if covers(glob.as_bytes(), tag.as_bytes()) => Share::All,
            Self::Glob(glob) if overlaps(glob.as_bytes(), tag.as_bytes()) => Share::Part,
            Self::Glob(_) => Share::Nothing,
            Self::Regex(pattern) => {
                let Ok(regex) = regex::Regex::new(pattern) else { return Share::Nothing };
                let known = tag.split('*').next().unwrap_or_default();
                // Found in the known beginning, and nothing behind it can undo that.
                let open = !["$", "\\z", "\\b", "\\B"].iter().any(|end| pattern.contains(end));
                match regex.is_match(known) {
                    true if open || known.len() == tag.len() => Share::All,
                    false if known.len() == tag.len() => Share::Nothing,
                    _ => Share::Part,
                }
            }
        }
    }

    /// Every text the other pattern takes is taken by this one, as far as can be told.
    pub(super) fn contains(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Glob(wide), Self::Glob(narrow)) => covers(wide.as_bytes(), narrow.as_bytes()),
            _ => self == other,
        }
    }

    /// The pattern's text.
    pub(super) fn text(&self) -> &str {
        match self {
            Self::Glob(text) | Self::Regex(text) => text,
        }
    }

    /// The pattern as a condition, where tags of containers begin with `prefix`.
    pub(super) fn containers(&self, prefix: &str) -> Containers {
        match self {
            Self::Glob(glob) => {
                let filter = behind(glob, prefix).and_then(|file| filter_of(&file));
                filter.map_or_else(|| program(prefix, &format!("^{}$", expression(glob))), Containers::Filter)
            }
            Self::Regex(pattern) => program(prefix, pattern),
        }
    }
}

/// Globs of file names below `/var/log/containers` as one condition; none when it can't be said.
pub(super) fn files(globs: &[String]) -> Option<Containers> {
    let names: Vec<String> = globs.iter().map(|glob| name_of(glob)).collect::<Option<_>>()?;
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    // The container's id is not known here: a name that ends with anything but `*` may mean one.
    let open = |name: &&str| {
        let stem = name.strip_suffix(".log").unwrap_or(name);
        stem.ends_with('*') && !stem.contains(['[', '{', '?'])
    };
    if names.is_empty() || !names.iter().all(open) {
        return None;
    }
    let filters: Option<Vec<Table>> = names.iter().map(|name| filter_of(name)).collect();
    match filters {
        Some(filters) if filters.iter().any(Table::is_empty) => Some(Containers::Filter(Table::new())),
        Some(filters) if filters.len() == 1 => filters.into_iter().next().map(Containers::Filter),
        // Pods alone are a list one entry of which must match.
        Some(filters) if filters.iter().all(|filter| filter.len() == 1 && filter.contains_key("pods")) => {
            let pods = filters.iter().filter_map(|filter| filter.get("pods")?.as_array()).flatten();
            let pods: Vec<Value> = pods.cloned().collect();
            Some(Containers::Filter(Table::from_iter([("pods".to_owned(), Value::from(pods))])))
        }
        _ => {
            let all: Vec<String> = names.iter().map(|name| expression(name)).collect();
            Some(program("", &format!("^({})$", all.join("|"))))
        }
    }
}

/// The name below `/var/log/containers` of a file there or below `/var/log/pods`.
fn name_of(glob: &str) -> Option<String> {
    let Some(path) = glob.strip_prefix("/var/log/pods/") else {
        return Some(glob.rsplit('/').next().unwrap_or_default().to_owned());
    };
    match path.split('/').collect::<Vec<_>>().as_slice() {
        ["**", "*.log"] | ["*", "*", "*.log"] => Some("*".to_owned()),
        ["*", container, "*.log"] => Some(format!("*_*_{container}-*")),
        [dir, container, "*.log"] => match dir.split('_').collect::<Vec<_>>().as_slice() {
            [namespace, pod, "*"] => Some(format!("{pod}_{namespace}_{container}-*")),
            _ => None,
        },
        _ => None,
    }
}

/// What of a glob is about the file's name, behind the prefix all tags of containers begin with.
fn behind(glob: &str, prefix: &str) -> Option<String> {
    if let Some(file) = glob.strip_prefix(prefix) {
        return Some(file.to_owned());
    }
    let (literal, rest) = glob.split_once('*')?;
    // The star swallows the rest of the prefix; what follows it may still lie inside the prefix, unless
    // the next thing is the `_` between pod and namespace.
    (prefix.starts_with(literal) && (rest.is_empty() || rest.starts_with('_'))).then(|| format!("*{rest}"))
}

/// A glob of `<pod>_<namespace>_<container>-<id>.log` as the condition of a filter.
fn filter_of(glob: &str) -> Option<Table> {
    let list = |globs: Vec<String>| Value::from(globs);
    let stem = glob.strip_suffix(".log").unwrap_or(glob);
    if !stem.ends_with('*') || stem.contains(['[', '{', '?']) {
        return None;
    }
    let parts: Vec<&str> = stem.split('_').collect();
    let mut table = Table::new();
    match parts.as_slice() {
        ["*"] => {}
        // Only a star at the end stays inside the pod's name or takes all of what follows.
        [pod] if pod.matches('*').count() == 1 => {
            table.insert("pods".to_owned(), list(vec![(*pod).to_owned()]));
        }
        // Names have no `_` themselves, so the three parts are aligned.
        [pod, namespace, container] => {
            for (key, glob) in [("pods", pod), ("namespaces", namespace)] {
                if *glob != "*" {
                    table.insert(key.to_owned(), list(vec![(*glob).to_owned()]));
                }
            }
            let containers = match container.strip_suffix("-*") {
                Some(name) => vec![name.to_owned(), (*container).to_owned()],
                None => vec![(*container).to_owned()],
            };
            if *container != "*" {
                table.insert("containers".to_owned(), list(containers));
            }
        }
        _ => return None,
    }
    Some(table)
}

fn expression(glob: &str) -> String {
    glob.split('*').map(regex::escape).collect::<Vec<_>>().join(".*")
}

/// An expression over the tag a container's record would have; its id is made up.
fn program(prefix: &str, pattern: &str) -> Containers {
    let text = |field: &str| format!("(string(.kubernetes.{field}) ?? \"\")");
    let [pod, namespace, container] = ["pod", "namespace", "container"].map(text);
    let prefix = format!("{prefix:?}");
    let id = "0".repeat(64);
    let pattern = escaped(&pattern.replace('\'', "\\'"));
    Containers::Program(format!(
        "match({prefix} + {pod} + \"_\" + {namespace} + \"_\" + {container} + \"-{id}.log\", r'{pattern}')"
    ))
}

/// Every text of `tag` (whose `*` stand for anything) matches `pattern`. Takes time of the product of
/// their lengths.
pub(super) fn covers(pattern: &[u8], tag: &[u8]) -> bool {
    // row[at]: the pattern read so far covers the first `at` bytes of the tag.
    let mut row: Vec<bool> = (0..=tag.len()).map(|at| at == 0).collect();
    for one in pattern {
        let mut next = vec![false; row.len()];
        next[0] = row[0] && *one == b'*';
        for at in 0..tag.len() {
            next[at + 1] = match one {
                b'*' => row[at + 1] || next[at],
                one => row[at] && *one == tag[at],
            };
        }
        row = next;
    }
    row[tag.len()]
}

/// Some text matches both.
fn overlaps(a: &[u8], b: &[u8]) -> bool {
    let mut row: Vec<bool> = Vec::with_capacity(b.len() + 1);
    for at in 0..=b.len() {
        row.push(at == 0 || (row[at - 1] && b[at - 1] == b'*'));
    }
    for one in a {
        let mut next = vec![false; row.len()];
        next[0] = row[0] && *one == b'*';
        for at in 0..b.len() {
            // A star takes nothing, or what the other side has next; letters meet their like.
            next[at + 1] = match (*one, b[at]) {
                (b'*', _) | (_, b'*') => row[at + 1] || next[at],
                (one, other) => row[at] && one == other,
            };
        }
        row = next;
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_take_all_a_part_or_nothing_of_a_tag() {
        let glob = |text: &str| Pattern::Glob(text.to_owned());
        for (pattern, tag, share) in [
            ("*", "kube.*", Share::All),
            ("kube.*", "kube.var.log.containers.*.log", Share::All),
            ("kube.*.log", "kube.var.log.containers.*.log", Share::All),
            ("*_prod_*", "kube.var.log.containers.*.log", Share::Part),
            ("kube.a*", "kube.*", Share::Part),
            ("host.*", "kube.*", Share::Nothing),
            ("a*b", "a*c", Share::Nothing),
            ("a", "a", Share::All),
            ("", "", Share::All),
            ("a*", "b*", Share::Nothing),
        ] {
            assert_eq!(glob(pattern).share(tag), share, "{pattern} {tag}");
        }
        let regex = |text: &str| Pattern::Regex(text.to_owned());
        assert_eq!(regex("^kube\\.").share("kube.*"), Share::All);
        assert_eq!(regex("^kube\\.$").share("kube.*"), Share::Part);
        assert_eq!(regex("host").share("syslog"), Share::Nothing);
    }

    #[test]
    fn many_stars_take_no_time() {
        let (pattern, tag) = ("*a".repeat(2_000), "a*".repeat(2_000) + "b");
        assert!(!covers(pattern.as_bytes(), tag.as_bytes()));
        assert!(!overlaps(pattern.as_bytes(), tag.as_bytes()));
    }
}
