//! Label selectors as `kubectl` takes them: `a=b`, `a==b`, `a!=b`, `a in (b, c)`, `a notin (b)`,
//! `a`, `!a`, joined by commas that all must hold.

use std::collections::BTreeMap;

/// A checked selector; the empty one matches everything.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selector {
    requirements: Vec<Requirement>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Requirement {
    key: String,
    test: Test,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Test {
    In(Vec<String>),
    NotIn(Vec<String>),
    Exists,
    Missing,
}

impl Selector {
    /// Reads a selector.
    ///
    /// # Errors
    /// What is wrong, for the person who wrote it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut requirements = Vec::new();
        if text.trim().is_empty() {
            return Ok(Self::default());
        }
        for part in split(text) {
            requirements.push(requirement(part.trim())?);
        }
        Ok(Self { requirements })
    }

    /// Selects everything.
    pub fn is_empty(&self) -> bool {
        self.requirements.is_empty()
    }

    /// Selects an object with these labels.
    pub fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        self.requirements.iter().all(|Requirement { key, test }| match (test, labels.get(key)) {
            (Test::In(values), Some(value)) => values.contains(value),
            // As in Kubernetes: an object without the label is not in the set either.
            (Test::NotIn(values), value) => value.is_none_or(|value| !values.contains(value)),
            (Test::Exists, value) => value.is_some(),
            (Test::Missing, value) => value.is_none(),
            (Test::In(_), None) => false,
        })
    }
}

/// The parts between commas outside of parentheses.
fn split(text: &str) -> Vec<&str> {
    let (mut parts, mut start, mut depth) = (Vec::new(), 0, 0i32);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'(' => depth += 1,
            b')' => depth -= 1,
            b',' if depth == 0 => {
                parts.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts
}

fn requirement(part: &str) -> Result<Requirement, String> {
    let made = |key: &str, test| {
        let key = key.trim();
        let good = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./".contains(&byte);
        if key.is_empty() || !key.bytes().all(good) {
            return Err(format!("`{part}` has no label key; write key=value, key in (a, b), key or !key"));
        }
        Ok(Requirement { key: key.to_owned(), test })
    };
    let one = |value: &str| {
        let value = value.trim();
        let good = value.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
        if good { Ok(vec![value.to_owned()]) } else { Err(format!("`{value}` can't be a label's value")) }
    };
    if let Some(key) = part.strip_prefix('!') {
        return made(key, Test::Missing);
    }
    if let Some((head, values)) = part.split_once('(') {
        let Some(values) = values.trim_end().strip_suffix(')') else {
            return Err(format!("`{part}` lacks its closing parenthesis"));
        };
        let values: Vec<String> = values.split(',').map(one).collect::<Result<Vec<_>, _>>()?.concat();
        return match head.split_whitespace().collect::<Vec<_>>()[..] {
            [key, "in"] => made(key, Test::In(values)),
            [key, "notin"] => made(key, Test::NotIn(values)),
            _ => Err(format!("`{part}` is neither `key in (…)` nor `key notin (…)`")),
        };
    }
    if let Some((key, value)) = part.split_once("!=") {
        return made(key, Test::NotIn(one(value)?));
    }
    if let Some((key, value)) = part.split_once("==").or_else(|| part.split_once('=')) {
        return made(key, Test::In(one(value)?));
    }
    made(part, Test::Exists)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_requirement_selects_what_kubernetes_selects() {
        let labels: BTreeMap<String, String> =
            [("app", "api"), ("tier", "web")].map(|(key, value)| (key.to_owned(), value.to_owned())).into();
        for (text, expected) in [
            ("", true),
            ("app=api", true),
            ("app==api,tier=web", true),
            ("app = api , tier = db", false),
            ("app!=api", false),
            ("zone!=a", true),
            ("app in (web, api)", true),
            ("app in (web)", false),
            ("zone in (a)", false),
            ("app notin (web,api), tier", false),
            ("zone notin (a),tier", true),
            ("tier", true),
            ("zone", false),
            ("!zone", true),
            ("!tier", false),
            ("app.kubernetes.io/name", false),
        ] {
            assert_eq!(Selector::parse(text).unwrap().matches(&labels), expected, "{text}");
        }
    }

    #[test]
    fn mistakes_are_named() {
        for text in ["=a", "a in (b", "a of (b)", "a=b c", "a b", ",", "a=b,"] {
            assert!(Selector::parse(text).is_err(), "{text}");
        }
    }
}
