//! Sigma correlation rules: how many, how different, how large, or in which order, within a time
//! span and a group.

use super::condition::{self, Condition};
use crate::detect::problem::{RuleError, invalid, unsupported};
use crate::detect::rule::{Meta, scalar, text, texts};
use serde_norway::{Mapping, Value};
use std::collections::BTreeMap;

/// What is looked at in a window.
#[derive(Debug, Clone, PartialEq)]
pub enum Counted {
    /// Matching events.
    Events,
    /// Different values of these fields together.
    Values(Vec<String>),
    /// Which of the rules matched; in the order they are listed when `ordered`.
    Rules {
        /// Whether the order counts.
        ordered: bool,
        /// A condition over the rules' names instead of "all of them".
        condition: Option<Condition>,
    },
    /// The numbers in a field.
    Numbers {
        /// The field; values that are no number do not count.
        field: String,
        /// What is made of them.
        aggregate: Aggregate,
    },
}

/// One number out of many.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Aggregate {
    /// Their sum.
    Sum,
    /// Their mean.
    Average,
    /// The value this many per cent of them are not above, interpolated linearly.
    Percentile(f64),
}

/// A correlation rule.
#[derive(Debug, Clone, PartialEq)]
pub struct Correlation {
    /// Title, severity and so on.
    pub meta: Meta,
    /// Ids or names of the rules, or of other correlations, whose matches are looked at.
    pub rules: Vec<String>,
    /// Fields that must agree.
    pub group_by: Vec<String>,
    /// For a field of `group_by`, the field each rule has instead.
    pub aliases: BTreeMap<String, BTreeMap<String, String>>,
    /// Length of the sliding window in microseconds.
    pub span_micros: i64,
    /// What is looked at.
    pub counted: Counted,
    /// Bounds the number must meet, all of them. Empty: every rule must have matched.
    pub bounds: Vec<(Bound, f64)>,
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
    /// Whether a number meets every bound.
    pub fn meets(&self, number: f64) -> bool {
        self.bounds.iter().all(|(bound, limit)| match bound {
            Bound::Gt => number > *limit,
            Bound::Gte => number >= *limit,
            Bound::Lt => number < *limit,
            Bound::Lte => number <= *limit,
            Bound::Eq => number == *limit,
            Bound::Neq => number != *limit,
        })
    }

    /// The field a rule has where the correlation says `field`.
    pub fn field_of<'a>(&'a self, field: &'a str, rule: &str) -> &'a str {
        self.aliases.get(field).and_then(|fields| fields.get(rule)).map_or(field, String::as_str)
    }

    /// Parses the `correlation` part of a document.
    ///
    /// # Errors
    /// Names the field and what is wrong with it.
    pub fn parse(meta: Meta, map: &Mapping) -> Result<Correlation, RuleError> {
        let kind = text(map, "type")?.unwrap_or_default();
        let rules = texts(map, "rules")?;
        if rules.is_empty() {
            return invalid("field `correlation.rules` names no rule");
        }
        let condition = map.get("condition");
        let counted = counted(&kind, condition)?;
        let temporal = matches!(counted, Counted::Rules { .. });
        let bounds = match condition {
            Some(Value::Mapping(condition)) => bounds(condition)?,
            Some(Value::String(_)) | None if temporal => Vec::new(),
            _ => return invalid("field `correlation.condition` is missing"),
        };
        if bounds.is_empty() && !temporal {
            return invalid("field `correlation.condition` has no bound such as `gte: 10`");
        }
        let Some(span) = text(map, "timespan")?.or(text(map, "timeframe")?) else {
            return invalid("field `correlation.timespan` is missing");
        };
        Ok(Correlation {
            meta,
            rules,
            group_by: texts(map, "group-by")?,
            aliases: aliases(map)?,
            span_micros: timespan(&span)?,
            counted,
            bounds,
            generate: matches!(map.get("generate"), Some(Value::Bool(true))),
        })
    }
}

fn counted(kind: &str, condition: Option<&Value>) -> Result<Counted, RuleError> {
    let fields = match condition {
        Some(Value::Mapping(condition)) => texts(condition, "field")?,
        _ => Vec::new(),
    };
    let one = |aggregate| match fields.as_slice() {
        [field] => Ok(Counted::Numbers { field: field.clone(), aggregate }),
        _ => invalid(format!("field `correlation.condition.field`: {kind} takes the numbers of one field")),
    };
    match kind {
        "event_count" => Ok(Counted::Events),
        "value_count" if fields.is_empty() => {
            invalid("field `correlation.condition.field` is missing: what should value_count count?")
        }
        "value_count" => Ok(Counted::Values(fields)),
        "value_sum" => one(Aggregate::Sum),
        "value_avg" => one(Aggregate::Average),
        "value_median" => one(Aggregate::Percentile(50.0)),
        "value_percentile" => one(Aggregate::Percentile(percentile(condition)?)),
        "temporal" | "temporal_ordered" => {
            let condition = match condition {
                Some(Value::String(text)) => Some(condition::parse(text)?),
                _ => None,
            };
            Ok(Counted::Rules { ordered: kind == "temporal_ordered", condition })
        }
        other => invalid(format!("field `correlation.type`: `{other}` is not a Sigma correlation type")),
    }
}

/// The rank of `value_percentile`; the specification names none, so the middle is meant without one.
fn percentile(condition: Option<&Value>) -> Result<f64, RuleError> {
    let Some(rank) = condition.and_then(|condition| condition.get("percentile")) else {
        return Ok(50.0);
    };
    match scalar(rank).and_then(|text| text.parse::<f64>().ok()) {
        Some(rank) if (0.0..=100.0).contains(&rank) => Ok(rank),
        _ => invalid("field `correlation.condition.percentile` must be a number from 0 to 100"),
    }
}

fn aliases(map: &Mapping) -> Result<BTreeMap<String, BTreeMap<String, String>>, RuleError> {
    let wrong = || {
        RuleError::Invalid(
            "field `correlation.aliases` must map each alias to rules and their fields".to_owned(),
        )
    };
    let mut aliases = BTreeMap::new();
    let list = match map.get("aliases") {
        None | Some(Value::Null) => return Ok(aliases),
        Some(Value::Mapping(list)) => list,
        Some(_) => return Err(wrong()),
    };
    for (alias, fields) in list {
        let (Some(alias), Value::Mapping(fields)) = (scalar(alias), fields) else { return Err(wrong()) };
        let mut of_rule = BTreeMap::new();
        for (rule, field) in fields {
            of_rule.insert(scalar(rule).ok_or_else(wrong)?, scalar(field).ok_or_else(wrong)?);
        }
        aliases.insert(alias, of_rule);
    }
    Ok(aliases)
}

fn bounds(condition: &Mapping) -> Result<Vec<(Bound, f64)>, RuleError> {
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
            "field" | "percentile" => continue,
            other => return unsupported(format!("correlation condition `{other}`")),
        };
        let Some(number) = scalar(value).and_then(|text| text.parse().ok()).filter(|n: &f64| n.is_finite())
        else {
            return invalid(format!("field `correlation.condition.{key}` must be a number"));
        };
        bounds.push((bound, number));
    }
    Ok(bounds)
}

/// `30s`, `5m`, `1h`, `2d`, `1w`, `1M` (30 days), `1y` in microseconds.
pub(super) fn timespan(text: &str) -> Result<i64, RuleError> {
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
