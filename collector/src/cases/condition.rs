//! A condition of a test: a comparison of one field, or a program in VRL.

use regex::Regex;
use serde::Deserialize;
use serde_json::Value;

/// What must hold for a record. Exactly one of `equals`, `contains`, `matches`, `absent` with
/// `field`, or `source` alone.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Condition {
    /// `field` (default) or `vrl`, as in Vector.
    #[serde(rename = "type")]
    pub kind: Option<String>,
    /// Path of the field, such as `message`, `attributes.user` or `kubernetes.namespace`.
    pub field: Option<String>,
    /// Its value.
    pub equals: Option<toml::Value>,
    /// A text that is in it.
    pub contains: Option<String>,
    /// An expression it matches.
    pub matches: Option<String>,
    /// It is not there.
    pub absent: Option<bool>,
    /// A program; true, or `assert`, means that it holds.
    pub source: Option<String>,
}

impl Condition {
    /// Checks that the condition says one thing and that it can be judged.
    ///
    /// # Errors
    /// Says what can't work.
    pub fn check(&self) -> Result<(), String> {
        let tests =
            [self.equals.is_some(), self.contains.is_some(), self.matches.is_some(), self.absent.is_some()];
        let tests = tests.into_iter().filter(|given| *given).count();
        match (self.kind.as_deref(), &self.source, &self.field) {
            (None | Some("vrl"), Some(source), None) if tests == 0 => program(source),
            (None | Some("field"), None, Some(_)) if tests == 1 => match &self.matches {
                Some(pattern) => Regex::new(pattern).map(drop).map_err(|error| error.to_string()),
                None => Ok(()),
            },
            _ => Err("needs field and one of equals, contains, matches, absent; or source alone".to_owned()),
        }
    }

    /// Whether it holds for a record; if not, what was expected and what was found.
    ///
    /// # Errors
    /// What was expected and what was found, one line each.
    pub fn judge(&self, event: &Value) -> Result<(), String> {
        if let Some(source) = &self.source {
            return evaluate(source, event);
        }
        let field = self.field.as_deref().unwrap_or_default();
        let found = lookup(event, field);
        let shown = found.map_or_else(|| "(absent)".to_owned(), Value::to_string);
        let text = found.map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned));
        let (holds, expected) = if let Some(wanted) = &self.equals {
            let wanted = serde_json::to_value(wanted).unwrap_or_default();
            (found == Some(&wanted), wanted.to_string())
        } else if let Some(part) = &self.contains {
            (text.is_some_and(|text| text.contains(part)), format!("contains {part:?}"))
        } else if let Some(pattern) = &self.matches {
            let regex = Regex::new(pattern).map_err(|error| error.to_string())?;
            (text.is_some_and(|text| regex.is_match(&text)), format!("matches {pattern}"))
        } else {
            let absent = self.absent.unwrap_or(true);
            (found.is_none() == absent, if absent { "(absent)" } else { "(present)" }.to_owned())
        };
        if holds { Ok(()) } else { Err(format!("{field}\n  expected: {expected}\n  got:      {shown}")) }
    }
}

/// A value by its path; a key that holds dots itself wins.
fn lookup<'a>(value: &'a Value, path: &str) -> Option<&'a Value> {
    let path = path.strip_prefix('.').unwrap_or(path);
    if let Some(found) = value.get(path) {
        return Some(found);
    }
    let mut cuts = path.match_indices('.').map(|(at, _)| at);
    cuts.find_map(|at| value.get(&path[..at]).and_then(|inner| lookup(inner, &path[at + 1..])))
}

#[cfg(feature = "remap")]
fn program(source: &str) -> Result<(), String> {
    crate::transforms::remap::compile(source).map(drop)
}

#[cfg(not(feature = "remap"))]
fn program(_source: &str) -> Result<(), String> {
    Err("this build has no VRL (feature `remap`); compare fields instead".to_owned())
}

#[cfg(not(feature = "remap"))]
fn evaluate(source: &str, _event: &Value) -> Result<(), String> {
    program(source)
}

#[cfg(feature = "remap")]
fn evaluate(source: &str, event: &Value) -> Result<(), String> {
    use vrl::compiler::runtime::Runtime;
    use vrl::compiler::{TargetValue, TimeZone};
    use vrl::value::{ObjectMap, Secrets, Value as Vrl};
    let program = crate::transforms::remap::compile(source)?;
    let mut target = TargetValue {
        value: event.clone().into(),
        metadata: Vrl::Object(ObjectMap::new()),
        secrets: Secrets::default(),
    };
    let explain = |got: String| format!("{}\n  expected: true\n  got:      {got}", source.trim());
    match Runtime::default().resolve(&mut target, &program, &TimeZone::default()) {
        Ok(Vrl::Boolean(true)) => Ok(()),
        Ok(other) => Err(explain(other.to_string())),
        Err(error) => Err(explain(error.to_string())),
    }
}
