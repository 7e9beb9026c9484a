//! One named query: its file, read and checked.

use super::binding::Values;
use super::parameter::{self, Assignment, Kind, Parameter};
use chrono::{DateTime, Utc};
use serde::Deserialize;
use std::collections::BTreeMap;

/// A named query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedQuery {
    /// Name: that of its file.
    pub name: String,
    /// What it answers, in a line.
    pub title: String,
    /// What to know about the answer.
    pub description: String,
    /// Tables it reads.
    pub tables: Vec<String>,
    /// Parameters in the order of the header.
    pub parameters: Vec<Parameter>,
    /// The query.
    pub sql: String,
}

/// A file that is no named query.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("named query {name}: {reason}")]
pub struct HeaderError {
    name: String,
    reason: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawHeader {
    title: String,
    description: String,
    tables: Vec<String>,
    /// A sequence, so that parameters are listed as their author ordered them.
    #[serde(default)]
    parameters: Vec<RawParameter>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawParameter {
    name: String,
    #[serde(rename = "type")]
    kind: String,
    default: Option<String>,
    doc: String,
}

impl NamedQuery {
    /// Reads the text of a file.
    ///
    /// # Errors
    /// [`HeaderError`] naming what is missing or wrong.
    pub fn parse(name: &str, text: &str) -> Result<Self, HeaderError> {
        let failed = |reason: String| HeaderError { name: name.to_owned(), reason };
        let (header, sql) = text
            .trim_start_matches('\u{feff}')
            .trim_start()
            .strip_prefix("/* ---")
            .and_then(|rest| rest.split_once("--- */"))
            .ok_or_else(|| failed("it begins with a YAML header between `/* ---` and `--- */`".to_owned()))?;
        let raw: RawHeader =
            serde_norway::from_str(header).map_err(|error| failed(format!("header: {error}")))?;
        let sql = sql.trim().trim_end_matches(';').trim_end().to_owned();
        if sql.is_empty() {
            return Err(failed("there is no query after the header".to_owned()));
        }
        let parameters: Vec<Parameter> =
            raw.parameters.into_iter().map(parameter).collect::<Result<_, _>>().map_err(failed)?;
        Ok(NamedQuery {
            name: name.to_owned(),
            title: raw.title.trim().to_owned(),
            description: raw.description.trim().to_owned(),
            tables: raw.tables,
            parameters,
            sql,
        })
    }

    /// The values of its parameters: those given, else their defaults.
    ///
    /// # Errors
    /// A message that names every parameter that is missing, unknown or wrong.
    pub fn values(&self, given: &[Assignment], now: DateTime<Utc>) -> Result<Values, String> {
        let mut wrong = Vec::new();
        let mut texts: BTreeMap<&str, &str> = BTreeMap::new();
        for assignment in given {
            match self.parameters.iter().find(|parameter| parameter.name == assignment.name) {
                Some(parameter) => drop(texts.insert(&parameter.name, &assignment.value)),
                None => wrong.push(format!("it has no parameter {}{}", assignment.name, self.known())),
            }
        }
        let mut values = Values::new();
        for parameter in &self.parameters {
            let Some(text) = texts.get(parameter.name.as_str()).copied().or(parameter.default.as_deref())
            else {
                wrong.push(format!("give --param {}=VALUE ({})", parameter.name, parameter.doc));
                continue;
            };
            match parameter::literals(&parameter.name, parameter.kind, text, now) {
                Ok(literals) => drop(values.insert(parameter.name.clone(), literals)),
                Err(reason) => wrong.push(reason),
            }
        }
        if wrong.is_empty() { Ok(values) } else { Err(format!("query {}: {}", self.name, wrong.join("; "))) }
    }

    fn known(&self) -> String {
        let names: Vec<&str> = self.parameters.iter().map(|parameter| parameter.name.as_str()).collect();
        if names.is_empty() { String::new() } else { format!(", it has {}", names.join(", ")) }
    }

    /// Its parameters on one line: `ip=…  limit=20`.
    pub fn usage(&self) -> String {
        let one = |parameter: &Parameter| match &parameter.default {
            Some(default) => format!("{}={default}", parameter.name),
            None => format!("{}=<{}>", parameter.name, parameter.kind.name()),
        };
        self.parameters.iter().map(one).collect::<Vec<_>>().join(" ")
    }
}

fn parameter(raw: RawParameter) -> Result<Parameter, String> {
    let kinds: Vec<&str> = Kind::ALL.iter().map(|(name, _)| *name).collect();
    let kind = Kind::by_name(&raw.kind).ok_or_else(|| {
        format!("parameter {}: no type {}; types: {}", raw.name, raw.kind, kinds.join(", "))
    })?;
    if let Some(default) = &raw.default {
        parameter::literals(&raw.name, kind, default, DateTime::UNIX_EPOCH)?;
    }
    Ok(Parameter { name: raw.name, kind, default: raw.default, doc: raw.doc.trim().to_owned() })
}
