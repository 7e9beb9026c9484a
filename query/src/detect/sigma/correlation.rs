//! Sigma correlation rules: many matches, or many different values, of one group in a time span.

use crate::detect::problem::{RuleError, invalid, unsupported};
use crate::detect::rule::{Meta, scalar, text, texts};
use serde_norway::{Mapping, Value};

/// What is counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Counted {
    /// Matching events.
    Events,
    /// Different values of these fields together.
    Values(Vec<String>),
}

/// A correlation rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Correlation {
    /// Title, severity and so on.
    pub meta: Meta,
    /// Ids or names of the rules whose matches are counted.
    pub rules: Vec<String>,
    /// Fields that must agree.
    pub group_by: Vec<String>,
    /// Length of the sliding window in microseconds.
    pub span_micros: i64,
    /// What is counted.
    pub counted: Counted,
    /// Bounds the count must meet, all of them.
    pub bounds: Vec<(Bound, u64)>,
    /// Whether the base rules also report on their own.
    pub generate: bool,
}

/// A comparison in `condition`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bound {
    /// Greater than.
    Gt,
    /// At least.
    Gte,
    /// Less than.
    Lt,
    /// At most.
    Lte,
    /// Exactly.
    Eq,
    /// Anything but.
    Neq,
}

impl Correlation {
    /// Whether a count meets every bound.
    pub fn meets(&self, count: u64) -> bool {
        self.bounds.iter().all(|(bound, limit)| match bound {
            Bound::Gt => count > *limit,
            Bound::Gte => count >= *limit,
            Bound::Lt => count < *limit,
            Bound::Lte => count <= *limit,
            Bound::Eq => count == *limit,
            Bound::Neq => count != *limit,
        })
    }

    /// Parses the `correlation` part of a document.
    ///
    /// # Errors
    /// Names the field; types other than `event_count` and `value_count` are unsupported.
    pub fn parse(meta: Meta, map: &Mapping) -> Result<Correlation, RuleError> {
        let kind = text(map, "type")?.unwrap_or_default();
        if map.contains_key("aliases") {
            return unsupported("correlation field aliases");
        }
        let rules = texts(map, "rules")?;
        if rules.is_empty() {
            return invalid("field `correlation.rules` names no rule");
        }
        let condition = map.get("condition");
        let counted = match kind.as_str() {
            "event_count" => Counted::Events,
            "value_count" => {
                let fields = match condition {
                    Some(Value::Mapping(condition)) => texts(condition, "field")?,
                    _ => Vec::new(),
                };
                if fields.is_empty() {
                    return invalid(
                        "field `correlation.condition.field` is missing: what should value_count count?",
                    );
                }
                Counted::Values(fields)
            }
            "temporal" | "temporal_ordered" | "value_sum" | "value_avg" | "value_percentile"
            | "value_median" => {
                return unsupported(format!("correlation type `{kind}`; event_count and value_count run"));
            }
            other => {
                return invalid(format!(
                    "field `correlation.type`: `{other}` is not a Sigma correlation type"
                ));
            }
        };
        let Some(Value::Mapping(condition)) = condition else {
            return invalid("field `correlation.condition` is missing");
        };
        let Some(span) = text(map, "timespan")? else {
            return invalid("field `correlation.timespan` is missing");
        };
        Ok(Correlation {
            meta,
            rules,
            group_by: texts(map, "group-by")?,
            span_micros: timespan(&span)?,
            counted,
            bounds: bounds(condition)?,
            generate: matches!(map.get("generate"), Some(Value::Bool(true))),
        })
    }
}

fn bounds(condition: &Mapping) -> Result<Vec<(Bound, u64)>, RuleError> {
    let mut bounds = Vec::new();
    for (key, value) in condition {
        let key = scalar(key).unwrap_or_default();
        let bound = match key.as_str() {
            "gt" => Bound::Gt,
            "gte" => Bound::Gte,
            "lt" => Bound::Lt,
            "lte" => Bound::Lte,
            "eq" => Bound::Eq,
            "neq" => Bound::Neq,
            "field" => continue,
            other => return unsupported(format!("correlation condition `{other}`")),
        };
        let Some(number) = scalar(value).and_then(|text| text.parse().ok()) else {
            return invalid(format!("field `correlation.condition.{key}` must be a whole number"));
        };
        bounds.push((bound, number));
    }
    if bounds.is_empty() {
        return invalid("field `correlation.condition` has no bound such as `gte: 10`");
    }
    Ok(bounds)
}

/// `30s`, `5m`, `1h`, `2d`, `1w`, `1M` (30 days), `1y` in microseconds.
fn timespan(text: &str) -> Result<i64, RuleError> {
    let wrong = || {
        RuleError::Invalid(format!("field `correlation.timespan`: `{text}` is not a span such as 15m or 1d"))
    };
    let unit = text.trim().chars().last().ok_or_else(wrong)?;
    let seconds: i64 = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        'w' => 604_800,
        'M' => 2_592_000,
        'y' => 31_536_000,
        _ => return Err(wrong()),
    };
    let number: i64 = text.trim().trim_end_matches(unit).parse().map_err(|_| wrong())?;
    number
        .checked_mul(seconds)
        .and_then(|seconds| seconds.checked_mul(1_000_000))
        .filter(|span| *span > 0)
        .ok_or_else(wrong)
}
