//! Sigma rules (specification 2.1.0): YAML documents that describe suspicious log records.
//!
//! Parsed generically, so that keys this version does not know change nothing; lowered to
//! [`Predicate`]s over our tables. Matching ignores case unless a rule says `cased`. What is valid
//! Sigma but not done here is an [`RuleError::Unsupported`] that says so, never a silent miss.

pub mod condition;
pub mod correlation;
pub mod detection;
pub mod filter;
pub mod pattern;
pub mod retired;

use super::fields::{LogSource, Source};
use super::predicate::Predicate;
use super::problem::{Problem, RuleError, invalid, unsupported};
use super::rule::{Meta, text};
use condition::Condition;
use correlation::Correlation;
use detection::Placeholders;
use filter::Filter;
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
    /// The log source as written; filters are chosen by it.
    pub logsource: LogSource,
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
    /// An exception to other rules.
    Filter(Filter),
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
                problems.push(Problem::unsupported(
                    &place,
                    None,
                    "not a rule: a rule is a YAML mapping with `title` and `detection`",
                ));
            }
            continue;
        };
        let title = map.get("title").and_then(Value::as_str).map(str::to_owned);
        match parse_document(&map, &place, shipped, known) {
            Ok(found) => documents.extend(found),
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
) -> Result<Vec<Document>, RuleError> {
    if map.contains_key("action") {
        return unsupported("the retired `action: global|reset|repeat`; write each rule out");
    }
    const OWN: [&str; 5] = ["title", "logsource", "detection", "correlation", "filter"];
    if !OWN.iter().any(|key| map.contains_key(*key)) {
        return unsupported("not a rule: it has neither `title` nor `detection`");
    }
    if let Some(filter) = map.get("filter") {
        let Value::Mapping(filter) = filter else {
            return invalid("field `filter` must be a mapping");
        };
        return Ok(vec![Document::Filter(Filter::parse(map, filter, origin)?)]);
    }
    let meta = Meta::from_yaml(map, origin, shipped)?;
    if let Some(correlation) = map.get("correlation") {
        let Value::Mapping(correlation) = correlation else {
            return invalid("field `correlation` must be a mapping");
        };
        return Ok(vec![Document::Correlation(Correlation::parse(meta, correlation)?)]);
    }
    // The detection is checked before the log source, so that a rule for another product that is
    // also malformed is called malformed.
    let Some(Value::Mapping(detections)) = map.get("detection") else {
        return invalid("field `detection` is missing");
    };
    let retired = retired::Aggregation::take(detections)?;
    let conditions = match &retired {
        Some(retired) => vec![condition::parse(&retired.condition)?],
        None => conditions(detections)?,
    };
    let logsource = logsource(map)?;
    let (source, scope) = Source::of(&logsource)?;
    let predicate = meaning(detections, &conditions, source, known)?;
    if let Predicate::Always(value) = predicate {
        return invalid(format!("the condition is always {value}"));
    }
    let predicate = Predicate::and(scope.into_iter().chain([predicate]).collect());
    let rule = SigmaRule { meta, source, logsource, predicate };
    Ok(match retired {
        Some(retired) => retired.documents(rule),
        None => vec![Document::Rule(rule)],
    })
}

fn logsource(map: &Mapping) -> Result<LogSource, RuleError> {
    let Some(Value::Mapping(logsource)) = map.get("logsource") else {
        return invalid("field `logsource` is missing");
    };
    Ok(LogSource {
        product: text(logsource, "product")?,
        service: text(logsource, "service")?,
        category: text(logsource, "category")?,
    })
}

/// What conditions over named detections ask of a row; any of the conditions is enough.
fn meaning(
    detections: &Mapping,
    conditions: &[Condition],
    source: Source,
    known: &Placeholders,
) -> Result<Predicate, RuleError> {
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
    Ok(Predicate::or(parts))
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
