//! Parameters: a name, a type, and the literal a text becomes.

use crate::functions::cidr;
use crate::session::time_range;
use chrono::{DateTime, Utc};
use datafusion::sql::sqlparser::ast::{DataType, Expr, TimezoneInfo, TypedString, Value};
use datafusion::sql::sqlparser::tokenizer::Span;

/// What values a parameter takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Any text.
    Text,
    /// Several texts, separated by commas: for `in ($name)`.
    List,
    /// An address, in canonical form.
    Ip,
    /// A network, or an address as a network of one.
    Network,
    /// A whole number.
    Int,
    /// A number.
    Number,
    /// A length of time: 5m, 6h, 7d.
    Span,
    /// A time, as `--since` takes it.
    Time,
}

impl Kind {
    /// Every type by the name it has in headers and on the command line.
    pub const ALL: [(&'static str, Kind); 8] = [
        ("text", Kind::Text),
        ("list", Kind::List),
        ("ip", Kind::Ip),
        ("network", Kind::Network),
        ("int", Kind::Int),
        ("number", Kind::Number),
        ("span", Kind::Span),
        ("time", Kind::Time),
    ];

    /// The type called `name`.
    pub fn by_name(name: &str) -> Option<Kind> {
        Kind::ALL.iter().find(|(known, _)| *known == name).map(|(_, kind)| *kind)
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        Kind::ALL.iter().find(|(_, kind)| *kind == self).map_or("text", |(name, _)| name)
    }

    /// What to write, for messages.
    fn example(self) -> &'static str {
        match self {
            Kind::Text => "a text",
            Kind::List => "texts separated by commas",
            Kind::Ip => "an address such as 203.0.113.7 or 2001:db8::1",
            Kind::Network => "an address or a network such as 10.0.0.0/8",
            Kind::Int => "a whole number",
            Kind::Number => "a number",
            Kind::Span => "a span such as 5m, 6h or 7d",
            Kind::Time => "a time such as 2026-11-22, 2026-11-22T10:00:00Z or 24h",
        }
    }

    /// The literals `text` stands for: one, or several for a list. `None` when it is not of this type.
    fn literals(self, text: &str, now: DateTime<Utc>) -> Option<Vec<Expr>> {
        let trimmed = text.trim();
        let one = |literal: Expr| Some(vec![literal]);
        match self {
            Kind::Text => one(quoted(text)),
            Kind::List => {
                let items: Vec<Expr> =
                    text.split(',').map(str::trim).filter(|item| !item.is_empty()).map(quoted).collect();
                (!items.is_empty()).then_some(items)
            }
            Kind::Ip => one(quoted(&cidr::address(trimmed)?.to_string())),
            Kind::Network => one(quoted(&cidr::network(trimmed)?.to_string())),
            Kind::Int => one(number(trimmed.parse::<i64>().ok()?.to_string())),
            Kind::Number => {
                let value = trimmed.parse::<f64>().ok().filter(|value| value.is_finite())?;
                one(number(value.to_string()))
            }
            Kind::Span => {
                time_range::span(trimmed)?;
                one(quoted(trimmed))
            }
            Kind::Time => {
                let time = time_range::instant(trimmed, now).ok()?;
                let text = time.to_rfc3339_opts(chrono::SecondsFormat::Micros, true);
                one(Expr::TypedString(TypedString {
                    data_type: DataType::Timestamp(None, TimezoneInfo::WithTimeZone),
                    value: Value::SingleQuotedString(text).with_span(Span::empty()),
                    uses_odbc_syntax: false,
                }))
            }
        }
    }
}

fn quoted(text: &str) -> Expr {
    Expr::Value(Value::SingleQuotedString(text.to_owned()).with_span(Span::empty()))
}

fn number(text: String) -> Expr {
    Expr::Value(Value::Number(text, false).with_span(Span::empty()))
}

/// A declared parameter of a named query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameter {
    /// Name; `$name` in the SQL.
    pub name: String,
    /// Which values it takes.
    pub kind: Kind,
    /// Used when none is given; without it the parameter must be given.
    pub default: Option<String>,
    /// What it means.
    pub doc: String,
}

/// A parameter given on the command line: `name=value`, or `name:type=value` where nothing declares
/// its type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assignment {
    /// Name.
    pub name: String,
    /// Type, where it is given.
    pub kind: Option<Kind>,
    /// Value as written.
    pub value: String,
}

impl Assignment {
    /// Reads one.
    ///
    /// # Errors
    /// A message that says what to write.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (name, value) = text.split_once('=').ok_or("write NAME=VALUE, e.g. ip=203.0.113.7")?;
        let (name, kind) = match name.split_once(':') {
            None => (name, None),
            Some((name, kind)) => {
                let names: Vec<&str> = Kind::ALL.iter().map(|(name, _)| *name).collect();
                let known = Kind::by_name(kind)
                    .ok_or_else(|| format!("no type called {kind}; types: {}", names.join(", ")))?;
                (name, Some(known))
            }
        };
        let good = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
            && name.starts_with(|c: char| c.is_ascii_alphabetic());
        if !good {
            return Err(format!("'{name}' is no name: write NAME=VALUE, e.g. ip=203.0.113.7"));
        }
        Ok(Assignment { name: name.to_owned(), kind, value: value.to_owned() })
    }
}

/// The literals of a value.
///
/// # Errors
/// A message that says what the parameter takes.
pub fn literals(name: &str, kind: Kind, value: &str, now: DateTime<Utc>) -> Result<Vec<Expr>, String> {
    kind.literals(value, now)
        .ok_or_else(|| format!("parameter {name} takes {}, which '{value}' is not", kind.example()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(kind: Kind, value: &str) -> Result<String, String> {
        let now = "2026-11-22T12:00:00Z".parse().unwrap();
        let items = literals("p", kind, value, now)?;
        Ok(items.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))
    }

    #[test]
    fn values_become_literals_of_their_type() {
        for (kind, value, expected) in [
            (Kind::Text, "o'brien; drop table x --", "'o''brien; drop table x --'"),
            (Kind::Text, "", "''"),
            (Kind::List, "a, b,,c'd", "'a', 'b', 'c''d'"),
            (Kind::Ip, " 2001:DB8:0::1 ", "'2001:db8::1'"),
            (Kind::Network, "10.0.0.0/8", "'10.0.0.0/8'"),
            (Kind::Network, "203.0.113.7", "'203.0.113.7/32'"),
            (Kind::Int, "-22", "-22"),
            (Kind::Number, "1.5", "1.5"),
            (Kind::Span, "7d", "'7d'"),
            (Kind::Time, "24h", "TIMESTAMP WITH TIME ZONE '2026-11-21T12:00:00.000000Z'"),
        ] {
            assert_eq!(shown(kind, value).as_deref(), Ok(expected), "{kind:?} {value}");
        }
        for (kind, value) in [
            (Kind::List, " , "),
            (Kind::Ip, "10.0.0.0/8"),
            (Kind::Network, "host"),
            (Kind::Int, "1.5"),
            (Kind::Number, "inf"),
            (Kind::Span, "month"),
            (Kind::Time, "yesterday"),
        ] {
            assert!(shown(kind, value).unwrap_err().contains("parameter p takes"), "{kind:?} {value}");
        }
    }

    #[test]
    fn assignments_name_their_type_where_nothing_declares_it() {
        assert_eq!(
            Assignment::parse("port:int=22"),
            Ok(Assignment { name: "port".to_owned(), kind: Some(Kind::Int), value: "22".to_owned() })
        );
        assert_eq!(Assignment::parse("q=a=b").unwrap().value, "a=b");
        for text in ["ip", "=x", "1=x", "a b=x", "a:inet=x"] {
            assert!(Assignment::parse(text).is_err(), "{text}");
        }
    }
}
