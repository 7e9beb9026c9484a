//! Sigma rules (specification 2.1.0): YAML documents that describe suspicious log records.
//!
//! Parsed generically, so that keys this version does not know change nothing; lowered to
//! [`Predicate`]s over our tables. Matching ignores case unless a rule says `cased`. What is valid
//! Sigma but not done here is an [`RuleError::Unsupported`] that says so, never a silent miss.

pub mod condition;
pub mod correlation;
pub mod detection;
pub mod pattern;

use super::fields::{LogSource, Source};
use super::predicate::Predicate;
use super::problem::{Problem, RuleError, invalid, unsupported};
use super::rule::{Meta, text};
use condition::Condition;
use correlation::Correlation;
use detection::Placeholders;
use serde::Deserialize as _;
use serde_norway::{Mapping, Value};
use std::collections::BTreeMap;

/// An event rule ready to run.
#[derive(Debug, Clone, PartialEq)]
pub struct SigmaRule {
    /// Title, severity and so on.
    pub meta: Meta,
    /// Table it reads.
    pub source: Source,
    /// What it asks of a row.
    pub predicate: Predicate,
}

/// One document of a Sigma file.
#[derive(Debug, Clone, PartialEq)]
pub enum Document {
    /// An event rule.
    Rule(SigmaRule),
    /// A correlation of other rules.
    Correlation(Correlation),
}

/// Reads every document of a file; a bad one does not stop the others.
pub fn parse(text: &str, origin: &str, shipped: bool, known: &Placeholders) -> (Vec<Document>, Vec<Problem>) {
    let mut documents = Vec::new();
    let mut problems = Vec::new();
    let mut number = 0;
    for document in serde_norway::Deserializer::from_str(text) {
        number += 1;
        let place = if number == 1 { origin.to_owned() } else { format!("{origin} (document {number})") };
        let value = match Value::deserialize(document) {
            Ok(value) => value,
            Err(error) => {
                // A broken document ends the stream: nothing after it can be found reliably.
                problems.push(Problem::invalid(&place, None, format!("not YAML: {error}")));
                break;
            }
        };
        let Value::Mapping(map) = value else {
            if value != Value::Null {
                problems.push(Problem::invalid(
                    &place,
                    None,
                    "a rule must be a YAML mapping with `title` and `detection`",
                ));
            }
            continue;
        };
        let title = map.get("title").and_then(Value::as_str).map(str::to_owned);
        match parse_document(&map, &place, shipped, known) {
            Ok(document) => documents.push(document),
            Err(error) => problems.push(error.at(&place, title.as_deref())),
        }
    }
    if number == 0 || (documents.is_empty() && problems.is_empty()) {
        problems.push(Problem::invalid(origin, None, "the file holds no rule"));
    }
    (documents, problems)
}

fn parse_document(
    map: &Mapping,
    origin: &str,
    shipped: bool,
    known: &Placeholders,
) -> Result<Document, RuleError> {
    if map.contains_key("action") {
        return unsupported("the retired `action: global|reset|repeat`; write each rule out");
    }
    if map.contains_key("filter") {
        return unsupported("Sigma filters; exclude with `and not filter_…` in the rule itself");
    }
    let meta = Meta::from_yaml(map, origin, shipped)?;
    if let Some(correlation) = map.get("correlation") {
        let Value::Mapping(correlation) = correlation else {
            return invalid("field `correlation` must be a mapping");
        };
        return Ok(Document::Correlation(Correlation::parse(meta, correlation)?));
    }
    let Some(Value::Mapping(logsource)) = map.get("logsource") else {
        return invalid("field `logsource` is missing");
    };
    // The detection is checked before the log source, so that a rule for another product that is
    // also malformed is called malformed.
    let Some(Value::Mapping(detections)) = map.get("detection") else {
        return invalid("field `detection` is missing");
    };
    let conditions = conditions(detections)?;
    let source = Source::of(&LogSource {
        product: text(logsource, "product")?,
        service: text(logsource, "service")?,
        category: text(logsource, "category")?,
    })?;
    let mut named = BTreeMap::new();
    for (key, value) in detections {
        let Some(name) = key.as_str() else {
            return invalid("names in `detection` must be texts");
        };
        if matches!(name, "condition" | "timeframe") {
            continue;
        }
        let predicate = detection::detection(value, source, known).map_err(|error| match error {
            RuleError::Invalid(message) => RuleError::Invalid(format!("detection `{name}`: {message}")),
            RuleError::Unsupported(message) => {
                RuleError::Unsupported(format!("detection `{name}`: {message}"))
            }
        })?;
        named.insert(name.to_owned(), predicate);
    }
    let parts = conditions.iter().map(|c| resolve(c, &named)).collect::<Result<Vec<_>, _>>()?;
    let predicate = Predicate::or(parts);
    if let Predicate::Always(value) = predicate {
        return invalid(format!("the condition is always {value}"));
    }
    Ok(Document::Rule(SigmaRule { meta, source, predicate }))
}

fn conditions(detections: &Mapping) -> Result<Vec<Condition>, RuleError> {
    if detections.contains_key("timeframe") {
        return unsupported("the retired `timeframe`; write a correlation rule instead");
    }
    match detections.get("condition") {
        Some(Value::String(text)) => Ok(vec![condition::parse(text)?]),
        Some(Value::Sequence(list)) if !list.is_empty() => list
            .iter()
            .map(|item| match item.as_str() {
                Some(text) => condition::parse(text),
                None => invalid("field `detection.condition` must be a text or a list of texts"),
            })
            .collect(),
        _ => invalid("field `detection.condition` is missing"),
    }
}

fn resolve(condition: &Condition, named: &BTreeMap<String, Predicate>) -> Result<Predicate, RuleError> {
    let selected = |pattern: &str| {
        let found: Vec<Predicate> = named
            .iter()
            .filter(|(name, _)| condition::selects(pattern, name))
            .map(|(_, predicate)| predicate.clone())
            .collect();
        if found.is_empty() {
            return invalid(format!("the condition's `of {pattern}` fits no detection"));
        }
        Ok(found)
    };
    let each =
        |parts: &[Condition]| parts.iter().map(|part| resolve(part, named)).collect::<Result<Vec<_>, _>>();
    Ok(match condition {
        Condition::Name(name) => match named.get(name) {
            Some(predicate) => predicate.clone(),
            None => {
                return invalid(format!("the condition names `{name}`, which `detection` does not define"));
            }
        },
        Condition::And(parts) => Predicate::and(each(parts)?),
        Condition::Or(parts) => Predicate::or(each(parts)?),
        Condition::Not(inner) => Predicate::negate(resolve(inner, named)?),
        Condition::AnyOf(pattern) => Predicate::or(selected(pattern)?),
        Condition::AllOf(pattern) => Predicate::and(selected(pattern)?),
    })
}
