//! Values inside JSON text columns, and the two SQL functions that reach them.
//!
//! A path is dotted (`ipPermissions.items.ipRanges`); arrays on the way are descended into and
//! every element counts, which is how Sigma rules for CloudTrail are written. A key that itself
//! contains dots is found too. Text that is not JSON has no values.

use super::predicate::Order;
use arrow::array::{Array, ArrayRef, BooleanArray, StringArray, StringBuilder};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use chrono::{DateTime, Datelike, NaiveDateTime, Timelike, Utc};
use datafusion::common::cast::as_string_array;
use datafusion::common::{DataFusionError, Result, ScalarValue, exec_err, plan_err};
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use ipnet::IpNet;
use regex::{Regex, RegexBuilder};
use serde_json::Value;
use std::borrow::Cow;
use std::net::IpAddr;
use std::str::FromStr;
use std::sync::Arc;

/// Calls `visit` with every value at `path`; arrays at the end of it are visited element by
/// element. Stops when `visit` says so; the result is whether it did.
pub fn visit<'a>(value: &'a Value, path: &str, visit_value: &mut dyn FnMut(&'a Value) -> bool) -> bool {
    if let Value::Array(items) = value {
        return items.iter().any(|item| visit(item, path, visit_value));
    }
    if path.is_empty() {
        return visit_value(value);
    }
    let Value::Object(map) = value else {
        return false;
    };
    // Keys with dots in them: try every prefix that ends at a dot.
    let ends = path.match_indices('.').map(|(at, _)| at).chain([path.len()]);
    for end in ends {
        if let Some(inner) = map.get(&path[..end]) {
            let rest = path.get(end + 1..).unwrap_or_default();
            if visit(inner, rest, visit_value) {
                return true;
            }
        }
    }
    false
}

/// Whether there is anything but null at `path`; an empty list is something.
pub fn present(value: &Value, path: &str) -> bool {
    if path.is_empty() {
        return !value.is_null();
    }
    match value {
        Value::Array(items) => items.iter().any(|item| present(item, path)),
        Value::Object(map) => {
            let ends = path.match_indices('.').map(|(at, _)| at).chain([path.len()]);
            let mut inner = ends.filter_map(|end| Some((map.get(&path[..end])?, path.get(end + 1..))));
            inner.any(|(inner, rest)| present(inner, rest.unwrap_or_default()))
        }
        _ => false,
    }
}

/// A leaf as the text rules compare with; objects as compact JSON, null as nothing.
pub fn leaf_text(value: &Value) -> Option<Cow<'_, str>> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(Cow::Borrowed(text)),
        Value::Bool(flag) => Some(Cow::Borrowed(if *flag { "true" } else { "false" })),
        other => Some(Cow::Owned(other.to_string())),
    }
}

/// Every value at `path` of a JSON text.
pub fn texts(json: &str, path: &str) -> Vec<String> {
    let mut found = Vec::new();
    if let Ok(value) = serde_json::from_str::<Value>(json) {
        visit(&value, path, &mut |leaf| {
            found.extend(leaf_text(leaf).map(Cow::into_owned));
            false
        });
    }
    found
}

/// A test of `json_match`, compiled once per batch.
enum Check {
    Is(Vec<String>, bool),
    Regex(Vec<Regex>),
    Cidr(Vec<IpNet>),
    Compare(Order, f64),
    Part(fn(&DateTime<Utc>) -> i64, i64),
    Exists(bool),
}

impl Check {
    fn compile(operator: &str, values: &[String]) -> Result<Check> {
        let number = || match values.first().map(|text| text.parse()) {
            Some(Ok(number)) => Ok(number),
            _ => plan_err!("json_match: `{operator}` takes a number"),
        };
        Ok(match operator {
            "is" => Check::Is(values.iter().map(|value| value.to_lowercase()).collect(), false),
            "is_cased" => Check::Is(values.to_vec(), true),
            "like" | "like_cased" => Check::Regex(
                values.iter().map(|value| like_regex(value, operator == "like")).collect::<Result<_>>()?,
            ),
            "regex" => Check::Regex(
                values
                    .iter()
                    .map(|value| {
                        Regex::new(value).map_err(|e| DataFusionError::Plan(format!("json_match: {e}")))
                    })
                    .collect::<Result<_>>()?,
            ),
            "cidr" => Check::Cidr(
                values
                    .iter()
                    .map(|value| {
                        IpNet::from_str(value).map_err(|_| {
                            DataFusionError::Plan(format!("json_match: `{value}` is not a network"))
                        })
                    })
                    .collect::<Result<_>>()?,
            ),
            "<" => Check::Compare(Order::Lt, number()?),
            "<=" => Check::Compare(Order::Lte, number()?),
            ">" => Check::Compare(Order::Gt, number()?),
            ">=" => Check::Compare(Order::Gte, number()?),
            "minute" => Check::Part(|time| time.minute().into(), number()? as i64),
            "hour" => Check::Part(|time| time.hour().into(), number()? as i64),
            "day" => Check::Part(|time| time.day().into(), number()? as i64),
            "week" => Check::Part(|time| time.iso_week().week().into(), number()? as i64),
            "month" => Check::Part(|time| time.month().into(), number()? as i64),
            "year" => Check::Part(|time| time.year().into(), number()? as i64),
            "exists" => Check::Exists(true),
            "missing" => Check::Exists(false),
            other => {
                return plan_err!(
                    "json_match: unknown operator `{other}`; use is, is_cased, like, like_cased, regex, cidr, <, <=, >, >=, minute, hour, day, week, month, year, exists or missing"
                );
            }
        })
    }

    fn holds(&self, value: &Value) -> bool {
        let Some(text) = leaf_text(value) else {
            return false;
        };
        match self {
            Check::Is(values, true) => values.iter().any(|wanted| *wanted == text),
            Check::Is(values, false) => {
                let lower = text.to_lowercase();
                values.iter().any(|wanted| {
                    *wanted == lower
                        || (value.is_number()
                            && wanted.parse::<f64>().ok().is_some_and(|n| Some(n) == value.as_f64()))
                })
            }
            Check::Regex(all) => all.iter().any(|regex| regex.is_match(&text)),
            Check::Cidr(all) => {
                IpAddr::from_str(&text).is_ok_and(|address| all.iter().any(|net| net.contains(&address)))
            }
            Check::Compare(order, limit) => text.parse::<f64>().is_ok_and(|number| match order {
                Order::Lt => number < *limit,
                Order::Lte => number <= *limit,
                Order::Gt => number > *limit,
                Order::Gte => number >= *limit,
            }),
            Check::Part(part, wanted) => instant(&text).is_some_and(|time| part(&time) == *wanted),
            Check::Exists(_) => true,
        }
    }

    fn matches(&self, json: Option<&str>, path: &str) -> bool {
        let value = json.and_then(|json| serde_json::from_str::<Value>(json).ok());
        match (self, value) {
            (Check::Exists(wanted), value) => value.is_some_and(|value| present(&value, path)) == *wanted,
            (_, Some(value)) => visit(&value, path, &mut |leaf| self.holds(leaf)),
            (_, None) => false,
        }
    }
}

/// A time as logs write it: RFC 3339, the same without a zone (then UTC), or seconds or milliseconds
/// since the epoch.
fn instant(text: &str) -> Option<DateTime<Utc>> {
    if let Ok(number) = text.parse::<f64>() {
        // Seconds reach 11 digits in the year 5138 only.
        let millis = if number.abs() < 1e11 { number * 1e3 } else { number };
        return DateTime::from_timestamp_millis(millis as i64);
    }
    let text = text.replacen(' ', "T", 1);
    let zoned = DateTime::parse_from_rfc3339(&text).map(|time| time.to_utc()).ok();
    zoned.or_else(|| text.parse::<NaiveDateTime>().ok().map(|time| time.and_utc()))
}

fn like_regex(pattern: &str, ignore_case: bool) -> Result<Regex> {
    let mut regex = String::from("^");
    let mut chars = pattern.chars();
    while let Some(c) = chars.next() {
        match c {
            '%' => regex.push_str(".*"),
            '_' => regex.push('.'),
            '\\' => regex.push_str(&regex::escape(&chars.next().unwrap_or('\\').to_string())),
            c => regex.push_str(&regex::escape(c.encode_utf8(&mut [0; 4]))),
        }
    }
    regex.push('$');
    RegexBuilder::new(&regex)
        .case_insensitive(ignore_case)
        .dot_matches_new_line(true)
        .build()
        .map_err(|error| DataFusionError::Plan(format!("json_match: pattern `{pattern}`: {error}")))
}

/// `json_match(json, path, operator, value, …)`: whether any value at the path passes.
#[derive(Debug, PartialEq, Eq, Hash)]
struct JsonMatch {
    signature: Signature,
}

/// `json_first(json, path)`: the first value at the path, as text.
#[derive(Debug, PartialEq, Eq, Hash)]
struct JsonFirst {
    signature: Signature,
}

impl ScalarUDFImpl for JsonMatch {
    fn name(&self) -> &str {
        "json_match"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        if arguments.len() < 3 {
            return plan_err!("json_match takes a JSON text, a path, an operator and values");
        }
        Ok(DataType::Boolean)
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let path = literal(&arguments.args, 1)?;
        let operator = literal(&arguments.args, 2)?;
        let values =
            (3..arguments.args.len()).map(|at| literal(&arguments.args, at)).collect::<Result<Vec<_>>>()?;
        let check = Check::compile(&operator, &values)?;
        let json = json_column(&arguments)?;
        let json = as_string_array(&json)?;
        let result: BooleanArray = json.iter().map(|text| Some(check.matches(text, &path))).collect();
        Ok(ColumnarValue::Array(Arc::new(result)))
    }
}

impl ScalarUDFImpl for JsonFirst {
    fn name(&self) -> &str {
        "json_first"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        if arguments.len() != 2 {
            return plan_err!("json_first takes a JSON text and a path");
        }
        Ok(DataType::Utf8)
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let path = literal(&arguments.args, 1)?;
        let json = json_column(&arguments)?;
        let json = as_string_array(&json)?;
        let mut found = StringBuilder::new();
        for text in json {
            found.append_option(text.and_then(|text| texts(text, &path).into_iter().next()));
        }
        Ok(ColumnarValue::Array(Arc::new(found.finish())))
    }
}

fn json_column(arguments: &ScalarFunctionArgs) -> Result<ArrayRef> {
    let Some(json) = arguments.args.first() else {
        return exec_err!("a JSON text is missing");
    };
    let array = json.to_array(arguments.number_rows)?;
    Ok(if array.data_type() == &DataType::Null {
        Arc::new(StringArray::new_null(array.len()))
    } else {
        cast(&array, &DataType::Utf8)?
    })
}

fn literal(arguments: &[ColumnarValue], at: usize) -> Result<String> {
    let text = match arguments.get(at) {
        Some(ColumnarValue::Scalar(
            ScalarValue::Utf8(Some(text))
            | ScalarValue::Utf8View(Some(text))
            | ScalarValue::LargeUtf8(Some(text)),
        )) => text.clone(),
        Some(ColumnarValue::Scalar(other)) if !other.is_null() => other.to_string(),
        _ => return plan_err!("path, operator and values of a JSON function must be constants"),
    };
    Ok(text)
}

/// `json_match`.
pub fn json_match() -> ScalarUDF {
    ScalarUDF::from(JsonMatch { signature: Signature::variadic_any(Volatility::Immutable) })
}

/// `json_first`.
pub fn json_first() -> ScalarUDF {
    ScalarUDF::from(JsonFirst { signature: Signature::variadic_any(Volatility::Immutable) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(json: &str, path: &str, operator: &str, values: &[&str]) -> bool {
        let values: Vec<String> = values.iter().map(|value| (*value).to_owned()).collect();
        Check::compile(operator, &values).unwrap().matches(Some(json), path)
    }

    #[test]
    fn paths_descend_into_arrays_and_dotted_keys() {
        let json = r#"{"a":[{"b":"X"},{"b":["y","z"]}],"k.l":{"m":5},"n":null,"o":{"p":true}}"#;
        assert!(matches(json, "a.b", "is", &["x"]));
        assert!(matches(json, "a.b", "is", &["q", "Z"]));
        assert!(!matches(json, "a.b", "is_cased", &["x"]));
        assert!(matches(json, "k.l.m", "is", &["5.0"]) && matches(json, "k.l.m", ">=", &["5"]));
        assert!(matches(json, "o", "like", &["%\"p\":true%"]));
        assert!(
            matches(r#"{"a":[],"b":[null]}"#, "a", "exists", &[])
                && matches(r#"{"b":[{"c":null}]}"#, "b.c", "missing", &[])
        );
        assert!(matches(json, "n", "missing", &[]) && matches(json, "zz", "missing", &[]));
        assert!(matches(json, "o.p", "exists", &[]) && matches(json, "o.p", "is", &["True"]));
        assert!(!matches("not json", "a", "exists", &[]));
        assert_eq!(texts(json, "a.b"), ["X", "y", "z"]);
    }

    #[test]
    fn operators_follow_their_meaning() {
        let json = r#"{"ip":"10.1.2.3","text":"a\nSecret 100%"}"#;
        assert!(matches(json, "ip", "cidr", &["10.0.0.0/8"]) && !matches(json, "ip", "cidr", &["fd00::/8"]));
        assert!(matches(json, "text", "like", &[r"%secret 100\%"]));
        assert!(!matches(json, "text", "like_cased", &["%secret%"]));
        assert!(matches(json, "text", "regex", &["Secret [0-9]+"]));
        let times = r#"{"a":"2026-01-15T23:30:00-05:00","b":1768480200,"c":"2026-01-15 12:30:00"}"#;
        assert!(matches(times, "a", "day", &["16"]) && matches(times, "a", "hour", &["4"]));
        assert!(matches(times, "b", "hour", &["12"]) && matches(times, "c", "minute", &["30"]));
        assert!(matches(times, "c", "week", &["3"]) && !matches(times, "c", "year", &["2025"]));
        assert!(Check::compile("near", &[]).is_err() && Check::compile("<", &["x".to_owned()]).is_err());
    }
}
