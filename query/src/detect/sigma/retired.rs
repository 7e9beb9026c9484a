//! The aggregation older Sigma rules have in their condition: `selection | count(x) by y > 10`.
//!
//! It says what a correlation says today, so it becomes one. `near`, `min` and the like were never
//! precise enough to be translated and stay unsupported.

use super::correlation::{Aggregate, Bound, Correlation, Counted, timespan};
use super::{Document, SigmaRule};
use crate::detect::problem::{RuleError, unsupported};
use crate::detect::rule::text;
use serde_norway::Mapping;
use std::collections::BTreeMap;

/// A condition with an aggregation, taken apart.
#[derive(Debug, Clone, PartialEq)]
pub struct Aggregation {
    /// What stands before the `|`.
    pub condition: String,
    counted: Counted,
    group_by: Vec<String>,
    bound: (Bound, f64),
    span_micros: i64,
}

impl Aggregation {
    /// The aggregation in a rule's detection, if there is one.
    ///
    /// # Errors
    /// One that cannot be translated.
    pub fn take(detections: &Mapping) -> Result<Option<Aggregation>, RuleError> {
        let Some((condition, aggregation)) =
            detections.get("condition").and_then(|text| text.as_str()).and_then(|text| text.split_once('|'))
        else {
            return Ok(None);
        };
        let no = |why: &str| {
            unsupported(format!(
                "the retired aggregation `|{aggregation}` {why}; write a correlation rule instead"
            ))
        };
        let Some((counted, group_by, bound)) = read(aggregation) else {
            return no("is not understood");
        };
        let Some(span) = text(detections, "timeframe")? else {
            return no("has no `timeframe`");
        };
        Ok(Some(Aggregation {
            condition: condition.to_owned(),
            counted,
            group_by,
            bound,
            span_micros: timespan(&span)?,
        }))
    }

    /// The event rule, which does not report by itself, and the correlation that bears its name.
    pub fn documents(self, mut rule: SigmaRule) -> Vec<Document> {
        let meta = rule.meta.clone();
        rule.meta.id = format!("{} events", meta.id);
        rule.meta.name = None;
        let correlation = Correlation {
            rules: vec![rule.meta.id.clone()],
            meta,
            group_by: self.group_by,
            aliases: BTreeMap::new(),
            span_micros: self.span_micros,
            counted: self.counted,
            bounds: vec![self.bound],
            generate: false,
        };
        vec![Document::Rule(rule), Document::Correlation(correlation)]
    }
}

/// `count(field) by a, b > 10`.
fn read(text: &str) -> Option<(Counted, Vec<String>, (Bound, f64))> {
    let (function, rest) = text.trim().split_once('(')?;
    let (field, rest) = rest.split_once(')')?;
    let field = field.trim().to_owned();
    let numbers = |aggregate| Counted::Numbers { field: field.clone(), aggregate };
    let counted = match (function.trim().to_ascii_lowercase().as_str(), field.is_empty()) {
        ("count", true) => Counted::Events,
        ("count", false) => Counted::Values(vec![field.clone()]),
        ("sum", false) => numbers(Aggregate::Sum),
        ("avg", false) => numbers(Aggregate::Average),
        _ => return None,
    };
    let at = rest.find(['<', '>', '='])?;
    let (group, comparison) = rest.split_at(at);
    let group = group.trim();
    let group_by = match group.strip_prefix("by ") {
        Some(fields) => fields.split(',').map(|field| field.trim().to_owned()).collect(),
        None if group.is_empty() => Vec::new(),
        None => return None,
    };
    let digits = comparison.find(|c: char| !matches!(c, '<' | '>' | '=')).unwrap_or(comparison.len());
    let (operator, number) = comparison.split_at(digits);
    let bound = match operator {
        ">" => Bound::Gt,
        ">=" => Bound::Gte,
        "<" => Bound::Lt,
        "<=" => Bound::Lte,
        "=" | "==" => Bound::Eq,
        _ => return None,
    };
    Some((counted, group_by, (bound, number.trim().parse().ok()?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_become_correlations_and_the_rest_does_not() {
        assert_eq!(read(" count() > 10"), Some((Counted::Events, Vec::new(), (Bound::Gt, 10.0))));
        let values = Counted::Values(vec!["User".to_owned()]);
        let by = vec!["IpAddress".to_owned(), "Host".to_owned()];
        assert_eq!(read("count(User) by IpAddress, Host >= 5"), Some((values, by, (Bound::Gte, 5.0))));
        for text in ["near selection2", "min(a) > 1", "count(", "count() by a", "count() > x"] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
