//! Predicates as SQL text: the query of a finding that an analyst pastes into `logq`.
//!
//! Says the same as [`super::lower`]; `logq detect --check` counts that both find the same rows.

use super::lower::{booleans, caseless, numbers};
use super::predicate::{Place, Predicate, Target, Test};
use super::sql_text::text;
use logq_schemas::Kind;

/// A condition for a WHERE clause.
pub fn condition(predicate: &Predicate) -> String {
    write(predicate, false)
}

fn write(predicate: &Predicate, nested: bool) -> String {
    let joined = |parts: &[Predicate], word: &str| {
        let text = parts.iter().map(|part| write(part, true)).collect::<Vec<_>>().join(word);
        if nested { format!("({text})") } else { text }
    };
    match predicate {
        Predicate::Always(value) => value.to_string(),
        Predicate::And(parts) => joined(parts, " AND "),
        Predicate::Or(parts) => joined(parts, " OR "),
        Predicate::Not(inner) => format!("({}) IS NOT TRUE", write(inner, false)),
        Predicate::Leaf(Target::Column { name, kind }, test) => column(name, *kind, test),
        Predicate::Leaf(Target::Json { column, path }, test) => json(column, path, test),
    }
}

/// A column name, quoted where it must be.
pub fn name(column: &str) -> String {
    if matches!(column, "type" | "stream" | "source" | "outcome") || !plain(column) {
        format!("\"{column}\"")
    } else {
        column.to_owned()
    }
}

fn plain(column: &str) -> bool {
    column.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}

fn column(column: &str, kind: Kind, test: &Test) -> String {
    let column = name(column);
    let as_text = match kind {
        Kind::Text | Kind::Json => column.clone(),
        _ => format!("CAST({column} AS VARCHAR)"),
    };
    match test {
        Test::Missing => format!("{column} IS NULL"),
        Test::Present => format!("{column} IS NOT NULL"),
        Test::Is { values, cased } => match kind {
            Kind::Int | Kind::Long | Kind::Double => {
                list(&column, numbers(values).iter().map(ToString::to_string).collect())
            }
            Kind::Bool => list(&column, booleans(values).iter().map(ToString::to_string).collect()),
            _ if *cased || values.iter().all(|value| caseless(value)) => {
                list(&as_text, values.iter().map(|value| text(value)).collect())
            }
            _ => list(
                &format!("lower({as_text})"),
                values.iter().map(|value| text(&value.to_lowercase())).collect(),
            ),
        },
        Test::Like { pattern, cased } => {
            format!("{as_text} {} {}", if *cased { "LIKE" } else { "ILIKE" }, text(pattern))
        }
        Test::Regex(pattern) => format!("{as_text} ~ {}", text(pattern)),
        Test::Cidr(network) => format!("cidr_contains({}, {as_text})", text(network)),
        Test::Compare(order, number) => match kind {
            Kind::Text | Kind::Json => format!("TRY_CAST({as_text} AS DOUBLE) {} {number}", order.symbol()),
            _ => format!("{column} {} {number}", order.symbol()),
        },
        Test::Part(part, number) => format!("date_part('{part}', {column}) = {number}"),
        Test::Field { other, place, cased } => field(&as_text, other, *place, *cased),
    }
}

fn json(column: &str, path: &str, test: &Test) -> String {
    let call = |operator: &str, values: &[String]| {
        let mut arguments = vec![name(column), text(path), text(operator)];
        arguments.extend(values.iter().map(|value| text(value)));
        format!("json_match({})", arguments.join(", "))
    };
    match test {
        Test::Missing => call("missing", &[]),
        Test::Present => call("exists", &[]),
        Test::Is { values, cased } => call(if *cased { "is_cased" } else { "is" }, values),
        Test::Like { pattern, cased } => {
            call(if *cased { "like_cased" } else { "like" }, std::slice::from_ref(pattern))
        }
        Test::Regex(pattern) => call("regex", std::slice::from_ref(pattern)),
        Test::Cidr(network) => call("cidr", std::slice::from_ref(network)),
        Test::Compare(order, number) => call(order.symbol(), &[number.to_string()]),
        Test::Part(part, number) => call(part, &[number.to_string()]),
        Test::Field { other, place, cased } => {
            field(&format!("json_first({}, {})", name(column), text(path)), other, *place, *cased)
        }
    }
}

/// A target as text, for comparisons and grouping.
pub fn target_text(target: &Target) -> String {
    match target {
        Target::Json { column, path } => format!("json_first({}, {})", name(column), text(path)),
        Target::Column { name: column, kind: Kind::Text | Kind::Json } => name(column),
        Target::Column { name: column, .. } => format!("CAST({} AS VARCHAR)", name(column)),
    }
}

fn field(left: &str, other: &Target, place: Place, cased: bool) -> String {
    let fold = |text: &str| if cased { text.to_owned() } else { format!("lower({text})") };
    let (left, right) = (fold(left), fold(&target_text(other)));
    match place {
        Place::Whole => format!("{left} = {right}"),
        Place::Start => format!("starts_with({left}, {right})"),
        Place::End => format!("ends_with({left}, {right})"),
        Place::Anywhere => format!("contains({left}, {right})"),
    }
}

fn list(value: &str, mut candidates: Vec<String>) -> String {
    match candidates.len() {
        0 => "false".to_owned(),
        1 => format!("{value} = {}", candidates.swap_remove(0)),
        _ => format!("{value} IN ({})", candidates.join(", ")),
    }
}
