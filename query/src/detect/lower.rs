//! Predicates as DataFusion expressions, for the one scan all rules of a source share.

use super::json_path;
use super::predicate::{Order, Place, Predicate, Target, Test};
use super::problem::{RuleError, unsupported};
use arrow::datatypes::DataType;
use datafusion::common::ScalarValue;
use datafusion::functions::{datetime, string};
use datafusion::logical_expr::expr::Like;
use datafusion::logical_expr::{
    BinaryExpr, Expr, Operator, ScalarUDF, cast, in_list, is_not_true, lit, try_cast,
};
use datafusion::prelude::{SessionContext, ident};
use logq_schemas::Kind;
use std::sync::Arc;

/// Lowers predicates with the functions of one session.
pub struct Lowering {
    json_match: Arc<ScalarUDF>,
    json_first: Arc<ScalarUDF>,
    cidr_contains: Option<Arc<ScalarUDF>>,
}

impl Lowering {
    /// Looks the functions up.
    pub fn new(context: &SessionContext) -> Lowering {
        Lowering {
            json_match: Arc::new(json_path::json_match()),
            json_first: Arc::new(json_path::json_first()),
            cidr_contains: datafusion::execution::FunctionRegistry::udf(context, "cidr_contains").ok(),
        }
    }

    /// The expression of a predicate; null counts as false where it is used as a filter.
    ///
    /// # Errors
    /// A test that does not fit the type of its column.
    pub fn expr(&self, predicate: &Predicate) -> Result<Expr, RuleError> {
        Ok(match predicate {
            Predicate::Always(value) => lit(*value),
            Predicate::And(parts) => self.join(parts, Operator::And)?,
            Predicate::Or(parts) => self.join(parts, Operator::Or)?,
            Predicate::Not(inner) => is_not_true(self.expr(inner)?),
            Predicate::Leaf(Target::Column { name, kind }, test) => self.column(name, *kind, test)?,
            Predicate::Leaf(Target::Json { column, path }, test) => self.json(column, path, test)?,
        })
    }

    /// Joins as a balanced tree: planning recurses, and a list of hundreds must not be a chain.
    fn join(&self, parts: &[Predicate], operator: Operator) -> Result<Expr, RuleError> {
        match parts {
            [] => Ok(lit(operator == Operator::And)),
            [one] => self.expr(one),
            many => {
                let (left, right) = many.split_at(many.len() / 2);
                Ok(binary(self.join(left, operator)?, operator, self.join(right, operator)?))
            }
        }
    }

    fn column(&self, name: &str, kind: Kind, test: &Test) -> Result<Expr, RuleError> {
        let column = ident(name);
        let text = match kind {
            Kind::Text | Kind::Json => column.clone(),
            _ => cast(column.clone(), DataType::Utf8),
        };
        Ok(match test {
            Test::Missing => column.is_null(),
            Test::Present => column.is_not_null(),
            Test::Is { values, cased } => equal(column, text, kind, values, *cased),
            Test::Like { pattern, cased } => like(text, pattern, *cased),
            Test::Regex(pattern) => binary(text, Operator::RegexMatch, lit(pattern.as_str())),
            Test::Cidr(network) => match &self.cidr_contains {
                Some(function) => function.call(vec![lit(network.as_str()), text]),
                None => {
                    return unsupported("`cidr` needs the function cidr_contains, which this session lacks");
                }
            },
            Test::Compare(order, number) => {
                let value = match kind {
                    Kind::Text | Kind::Json => try_cast(text, DataType::Float64),
                    Kind::Int | Kind::Long | Kind::Double => cast(column, DataType::Float64),
                    _ => return unsupported(format!("column `{name}` cannot be compared with a number")),
                };
                binary(value, operator(*order), lit(*number))
            }
            Test::Part(part, number) => {
                let part = datetime::expr_fn::date_part(lit(*part), column);
                cast(part, DataType::Int64).eq(lit(*number))
            }
            Test::Field { other, place, cased } => self.field(text, other, *place, *cased),
        })
    }

    fn json(&self, column: &str, path: &str, test: &Test) -> Result<Expr, RuleError> {
        let call = |operator: &str, values: &[String]| {
            let mut arguments = vec![ident(column), lit(path), lit(operator)];
            arguments.extend(values.iter().map(|value| lit(value.as_str())));
            self.json_match.call(arguments)
        };
        Ok(match test {
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
                let text = self.json_first.call(vec![ident(column), lit(path)]);
                self.field(text, other, *place, *cased)
            }
        })
    }

    fn field(&self, text: Expr, other: &Target, place: Place, cased: bool) -> Expr {
        let other = match other {
            Target::Json { column, path } => self.json_first.call(vec![ident(*column), lit(path.as_str())]),
            Target::Column { name, kind: Kind::Text | Kind::Json } => ident(*name),
            Target::Column { name, .. } => cast(ident(*name), DataType::Utf8),
        };
        let fold = |expr| if cased { expr } else { string::expr_fn::lower(expr) };
        let (text, other) = (fold(text), fold(other));
        match place {
            Place::Whole => text.eq(other),
            Place::Start => string::expr_fn::starts_with(text, other),
            Place::End => string::expr_fn::ends_with(text, other),
            Place::Anywhere => string::expr_fn::contains(text, other),
        }
    }
}

fn binary(left: Expr, operator: Operator, right: Expr) -> Expr {
    Expr::BinaryExpr(BinaryExpr::new(Box::new(left), operator, Box::new(right)))
}

fn operator(order: Order) -> Operator {
    match order {
        Order::Lt => Operator::Lt,
        Order::Lte => Operator::LtEq,
        Order::Gt => Operator::Gt,
        Order::Gte => Operator::GtEq,
    }
}

fn like(text: Expr, pattern: &str, cased: bool) -> Expr {
    Expr::Like(Like::new(false, Box::new(text), Box::new(lit(pattern)), None, !cased))
}

/// Equality with any of some texts, by the type of the column.
fn equal(column: Expr, text: Expr, kind: Kind, values: &[String], cased: bool) -> Expr {
    match kind {
        Kind::Int | Kind::Long | Kind::Double => {
            let numbers = numbers(values);
            list(cast(column, DataType::Float64), numbers.into_iter().map(lit).collect())
        }
        Kind::Bool => list(column, booleans(values).into_iter().map(lit).collect()),
        _ if cased || values.iter().all(|value| caseless(value)) => {
            list(text, values.iter().map(|value| lit(value.as_str())).collect())
        }
        _ => {
            let lower = values.iter().map(|value| lit(value.to_lowercase())).collect();
            list(string::expr_fn::lower(text), lower)
        }
    }
}

fn list(value: Expr, mut candidates: Vec<Expr>) -> Expr {
    match candidates.len() {
        0 => Expr::Literal(ScalarValue::Boolean(Some(false)), None),
        1 => value.eq(candidates.swap_remove(0)),
        _ => in_list(value, candidates, false),
    }
}

/// The numbers among some texts.
pub(super) fn numbers(values: &[String]) -> Vec<f64> {
    values.iter().filter_map(|value| value.parse().ok()).collect()
}

/// The truth values among some texts.
pub(super) fn booleans(values: &[String]) -> Vec<bool> {
    values
        .iter()
        .filter_map(|value| match value.to_ascii_lowercase().as_str() {
            "true" | "1" | "yes" => Some(true),
            "false" | "0" | "no" => Some(false),
            _ => None,
        })
        .collect()
}

/// Whether folding case cannot matter.
pub(super) fn caseless(value: &str) -> bool {
    value.chars().all(|c| c.is_ascii() && !c.is_ascii_alphabetic())
}
