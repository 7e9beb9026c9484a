//! What every rule says about itself, whatever its kind.

use super::problem::{RuleError, invalid};
use super::severity::Severity;
use serde_norway::{Mapping, Value};

/// Title, severity and context of a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Meta {
    /// Stable id; the title where the rule has none.
    pub id: String,
    /// Sigma `name`, another way correlations refer to a rule.
    pub name: Option<String>,
    /// One line.
    pub title: String,
    /// `stable`, `test`, `experimental`, …
    pub status: String,
    /// What it finds and why that matters.
    pub description: String,
    /// Who wrote it; shown with findings of rules that are not ours.
    pub author: Option<String>,
    /// Severity of its findings.
    pub severity: Severity,
    /// `attack.t1046`, `attack.discovery`, …
    pub tags: Vec<String>,
    /// Known innocent causes.
    pub falsepositives: Vec<String>,
    /// Links.
    pub references: Vec<String>,
    /// File the rule came from.
    pub origin: String,
    /// Whether it ships with logq.
    pub shipped: bool,
}

impl Meta {
    /// Reads the keys Sigma rules and SQL rule headers share.
    ///
    /// # Errors
    /// A missing title, an unknown level, or a list that is not one.
    pub fn from_yaml(map: &Mapping, origin: &str, shipped: bool) -> Result<Meta, RuleError> {
        let Some(title) = text(map, "title")? else {
            return invalid("field `title` is missing");
        };
        let severity = match text(map, "level")? {
            None => Severity::Medium,
            Some(level) => match level.parse() {
                Ok(severity) => severity,
                Err(message) => return invalid(format!("field `level`: {message}")),
            },
        };
        Ok(Meta {
            id: text(map, "id")?.or(text(map, "name")?).unwrap_or_else(|| title.clone()),
            name: text(map, "name")?,
            status: text(map, "status")?.unwrap_or_else(|| "unspecified".to_owned()),
            description: text(map, "description")?.unwrap_or_default().trim().to_owned(),
            author: text(map, "author")?,
            severity,
            tags: texts(map, "tags")?,
            falsepositives: texts(map, "falsepositives")?,
            references: texts(map, "references")?,
            origin: origin.to_owned(),
            shipped,
            title,
        })
    }

    /// Whether `--only` names this rule: its id, name, title, or one of its tags with or without
    /// the leading `attack.`.
    pub fn answers_to(&self, wanted: &str) -> bool {
        let same = |text: &str| text.eq_ignore_ascii_case(wanted);
        same(&self.id)
            || same(&self.title)
            || self.name.as_deref().is_some_and(same)
            || self.tags.iter().any(|tag| same(tag) || tag.strip_prefix("attack.").is_some_and(same))
    }
}

/// An optional scalar of a YAML mapping, as text.
pub(crate) fn text(map: &Mapping, key: &str) -> Result<Option<String>, RuleError> {
    match map.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => match scalar(value) {
            Some(text) => Ok(Some(text)),
            None => invalid(format!("field `{key}` must be one value")),
        },
    }
}

/// An optional list of scalars; a single scalar counts as a list of one.
pub(crate) fn texts(map: &Mapping, key: &str) -> Result<Vec<String>, RuleError> {
    match map.get(key) {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::Sequence(list)) => list
            .iter()
            .map(|item| match scalar(item) {
                Some(text) => Ok(text),
                None => invalid(format!("field `{key}` must be a list of texts")),
            })
            .collect(),
        Some(value) => match scalar(value) {
            Some(text) => Ok(vec![text]),
            None => invalid(format!("field `{key}` must be a list of texts")),
        },
    }
}

/// A YAML scalar as text; `None` for null, lists and maps.
pub(crate) fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Bool(flag) => Some(flag.to_string()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}
