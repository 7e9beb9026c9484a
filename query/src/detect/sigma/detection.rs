//! Detections of a Sigma rule: field and value matches with their modifiers.

use super::pattern::{self, Bytes, Pattern};
use crate::detect::fields::Source;
use crate::detect::predicate::{Order, Place, Predicate, Target, Test};
use crate::detect::problem::{RuleError, invalid, unsupported};
use crate::detect::rule::scalar;
use logq_schemas::Kind;
use serde_norway::{Mapping, Value};
use std::str::FromStr;

/// Values of `%placeholders%`, by name.
pub type Placeholders = std::collections::BTreeMap<String, Vec<String>>;

/// A named detection as a predicate: a map is "all of", a list is "any of", plain texts are
/// keywords.
///
/// # Errors
/// Names the field and what is wrong with it.
pub fn detection(value: &Value, source: Source, known: &Placeholders) -> Result<Predicate, RuleError> {
    match value {
        Value::Mapping(map) => all_fields(map, source, known),
        Value::Sequence(list) => {
            let parts = list.iter().map(|item| detection(item, source, known)).collect::<Result<_, _>>()?;
            Ok(Predicate::or(parts))
        }
        Value::Null => invalid("a detection is empty"),
        value => {
            let Some(word) = scalar(value) else {
                return invalid("a keyword must be a text");
            };
            keyword(&word, source, false)
        }
    }
}

fn all_fields(map: &Mapping, source: Source, known: &Placeholders) -> Result<Predicate, RuleError> {
    if map.is_empty() {
        return invalid("a detection is empty");
    }
    let mut parts = Vec::new();
    for (key, value) in map {
        let Some(key) = scalar(key) else {
            return invalid("a field name must be a text");
        };
        parts.push(field(&key, value, source, known).map_err(|error| match error {
            RuleError::Invalid(message) => RuleError::Invalid(format!("field `{key}`: {message}")),
            RuleError::Unsupported(message) => RuleError::Unsupported(format!("field `{key}`: {message}")),
        })?);
    }
    Ok(Predicate::and(parts))
}

fn keyword(word: &str, source: Source, cased: bool) -> Result<Predicate, RuleError> {
    let mut pattern = Pattern::parse(word);
    pattern.open_start();
    pattern.open_end();
    let like = pattern.to_like();
    let leaf = |target| Predicate::Leaf(target, Test::Like { pattern: like.clone(), cased });
    Ok(Predicate::or(source.keyword_columns()?.into_iter().map(leaf).collect()))
}

/// Modifiers of one field, in the order Sigma applies them.
#[derive(Debug, Default)]
struct Modifiers {
    all: bool,
    cased: bool,
    neq: bool,
    windash: bool,
    expand: bool,
    starts: bool,
    ends: bool,
    contains: bool,
    utf16: Option<(bool, bool)>,
    base64: bool,
    base64offset: bool,
    regex: bool,
    regex_flags: String,
    order: Option<Order>,
    part: Option<&'static str>,
    cidr: bool,
    exists: bool,
    fieldref: bool,
}

impl Modifiers {
    fn parse(names: &[&str]) -> Result<Modifiers, RuleError> {
        let mut found = Modifiers::default();
        for name in names {
            match *name {
                "all" => found.all = true,
                "cased" => found.cased = true,
                "neq" => found.neq = true,
                "windash" => found.windash = true,
                "expand" => found.expand = true,
                "startswith" => found.starts = true,
                "endswith" => found.ends = true,
                "contains" => found.contains = true,
                "utf16le" | "wide" => found.utf16 = Some((false, false)),
                "utf16be" => found.utf16 = Some((true, false)),
                "utf16" => found.utf16 = Some((false, true)),
                "base64" => found.base64 = true,
                "base64offset" => found.base64offset = true,
                "re" => found.regex = true,
                "i" | "m" | "s" if found.regex => found.regex_flags.push_str(name),
                "lt" => found.order = Some(Order::Lt),
                "lte" => found.order = Some(Order::Lte),
                "gt" => found.order = Some(Order::Gt),
                "gte" => found.order = Some(Order::Gte),
                "minute" => found.part = Some("minute"),
                "hour" => found.part = Some("hour"),
                "day" => found.part = Some("day"),
                "week" => found.part = Some("week"),
                "month" => found.part = Some("month"),
                "year" => found.part = Some("year"),
                "cidr" => found.cidr = true,
                "exists" => found.exists = true,
                "fieldref" => found.fieldref = true,
                other => return unsupported(format!("modifier `{other}` is not one of Sigma 2.1")),
            }
        }
        if found.utf16.is_some() && !found.base64 && !found.base64offset && found.regex {
            return invalid("`re` cannot be combined with utf16");
        }
        Ok(found)
    }
}

fn field(key: &str, value: &Value, source: Source, known: &Placeholders) -> Result<Predicate, RuleError> {
    let mut names = key.split('|');
    let name = names.next().unwrap_or_default();
    let modifiers = Modifiers::parse(&names.collect::<Vec<_>>())?;
    let one = std::slice::from_ref(value);
    let values: &[Value] = match value {
        Value::Sequence(list) => list,
        _ => one,
    };
    if values.is_empty() {
        return invalid("the list of values is empty");
    }
    if name.is_empty() {
        let parts = values
            .iter()
            .map(|value| match scalar(value) {
                Some(word) => keyword(&word, source, modifiers.cased),
                None => invalid("a keyword must be a text"),
            })
            .collect::<Result<Vec<_>, _>>()?;
        return Ok(if modifiers.all { Predicate::and(parts) } else { Predicate::or(parts) });
    }
    let target = source.field(name);
    let parts = values
        .iter()
        .map(|value| one_value(&target, value, &modifiers, source, known))
        .collect::<Result<Vec<_>, _>>()?;
    let joined = if modifiers.all { Predicate::and(parts) } else { Predicate::or(merge_equal(parts)) };
    Ok(if modifiers.neq { Predicate::negate(joined) } else { joined })
}

/// Joins equality tests of one target into one `IN`.
fn merge_equal(parts: Vec<Predicate>) -> Vec<Predicate> {
    let mut merged: Vec<Predicate> = Vec::new();
    for part in parts {
        if let Predicate::Leaf(target, Test::Is { values, cased }) = &part
            && let Some(Predicate::Leaf(_, Test::Is { values: all, .. })) = merged.iter_mut().find(
                |other| matches!(other, Predicate::Leaf(t, Test::Is { cased: c, .. }) if t == target && c == cased),
            )
        {
            all.extend(values.iter().cloned());
        } else {
            merged.push(part);
        }
    }
    merged
}

fn one_value(
    target: &Target,
    value: &Value,
    modifiers: &Modifiers,
    source: Source,
    known: &Placeholders,
) -> Result<Predicate, RuleError> {
    let leaf = |test| Predicate::Leaf(target.clone(), test);
    if modifiers.exists {
        return match value {
            Value::Bool(true) => Ok(leaf(Test::Present)),
            Value::Bool(false) => Ok(leaf(Test::Missing)),
            _ => invalid("`exists` takes true or false"),
        };
    }
    let Some(text) = scalar(value) else {
        return match value {
            Value::Null => Ok(leaf(Test::Missing)),
            _ => invalid("a value must be a text, a number, true, false or null"),
        };
    };
    if modifiers.fieldref {
        let place = match (modifiers.starts, modifiers.ends, modifiers.contains) {
            (true, _, _) => Place::Start,
            (_, true, _) => Place::End,
            (_, _, true) => Place::Anywhere,
            _ => Place::Whole,
        };
        return Ok(leaf(Test::Field { other: source.field(&text), place, cased: modifiers.cased }));
    }
    if let Some(part) = modifiers.part {
        return match (target, text.parse::<i64>()) {
            (Target::Column { kind: Kind::Timestamp, .. } | Target::Json { .. }, Ok(number)) => {
                Ok(leaf(Test::Part(part, number)))
            }
            (_, Err(_)) => invalid(format!("`{part}` takes a whole number, not `{text}`")),
            _ => unsupported(format!("`{part}` needs a time column such as eventTime")),
        };
    }
    if let Some(order) = modifiers.order {
        return match text.parse::<f64>() {
            Ok(number) if number.is_finite() => Ok(leaf(Test::Compare(order, number))),
            _ => invalid(format!("`{}` takes a number, not `{text}`", order.symbol())),
        };
    }
    let texts =
        if modifiers.expand { pattern::expand(&text, &|name| known.get(name).cloned())? } else { vec![text] };
    let parts = texts.iter().map(|text| text_test(target, text, modifiers)).collect::<Result<Vec<_>, _>>()?;
    Ok(Predicate::or(merge_equal(parts)))
}

fn text_test(target: &Target, text: &str, modifiers: &Modifiers) -> Result<Predicate, RuleError> {
    let leaf = |test| Predicate::Leaf(target.clone(), test);
    if modifiers.cidr {
        return match ipnet::IpNet::from_str(text) {
            Ok(_) => Ok(leaf(Test::Cidr(text.to_owned()))),
            Err(_) => invalid(format!("`{text}` is not a network such as 10.0.0.0/8 or fd00::/8")),
        };
    }
    if modifiers.regex {
        let pattern = match modifiers.regex_flags.as_str() {
            "" => text.to_owned(),
            flags => format!("(?{flags}){text}"),
        };
        return match regex::Regex::new(&pattern) {
            Ok(_) => Ok(leaf(Test::Regex(pattern))),
            Err(error) => {
                let message = error.to_string();
                let reason = message.lines().last().unwrap_or_default().trim();
                // Valid elsewhere, but not in a time that grows with the text alone.
                if ["look-around", "backreferences"].iter().any(|word| message.contains(word)) {
                    return unsupported(format!("regular expression `{text}`: {reason}"));
                }
                invalid(format!("regular expression `{text}` is not accepted: {reason}"))
            }
        };
    }
    let variants = if modifiers.windash { pattern::windash(text) } else { vec![text.to_owned()] };
    let mut patterns = Vec::new();
    for variant in variants {
        patterns.extend(encode(&variant, modifiers)?);
    }
    let parts = patterns
        .into_iter()
        .map(|mut pattern| {
            if modifiers.starts || modifiers.contains || modifiers.base64offset {
                pattern.open_end();
            }
            if modifiers.ends || modifiers.contains || modifiers.base64offset {
                pattern.open_start();
            }
            leaf(match pattern.as_literal() {
                Some(literal) => Test::Is { values: vec![literal.to_owned()], cased: modifiers.cased },
                None => Test::Like { pattern: pattern.to_like(), cased: modifiers.cased },
            })
        })
        .collect();
    Ok(Predicate::or(merge_equal(parts)))
}

fn encode(text: &str, modifiers: &Modifiers) -> Result<Vec<Pattern>, RuleError> {
    let pattern = Pattern::parse(text);
    if modifiers.utf16.is_none() && !modifiers.base64 && !modifiers.base64offset {
        return Ok(vec![pattern]);
    }
    let Some(literal) = pattern.as_literal() else {
        return invalid(format!("`{text}` has a wildcard, which base64 and utf16 cannot carry"));
    };
    let bytes = match modifiers.utf16 {
        Some((big_endian, mark)) => pattern::utf16(literal, big_endian, mark),
        None => Bytes(literal.as_bytes().to_vec()),
    };
    Ok(if modifiers.base64offset {
        bytes.base64_offsets().into_iter().map(Pattern::literal).collect()
    } else if modifiers.base64 {
        vec![Pattern::literal(bytes.base64())]
    } else {
        vec![Pattern::literal(bytes.into_text()?)]
    })
}
