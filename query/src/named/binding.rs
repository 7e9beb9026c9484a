//! Values for the `$name`s of a parsed statement.
//!
//! A value takes the place of its placeholder as one literal of the syntax tree, after parsing: no
//! text of a value is ever read as SQL, and the planner sees constants, so that partitions and files
//! are pruned by them as if they had been written there.

use datafusion::sql::parser::{ExplainStatement, Statement};
use datafusion::sql::sqlparser::ast::{Expr, Statement as SqlStatement, Value, VisitMut, VisitorMut};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

/// Values by name: one literal, or several for a list.
pub type Values = BTreeMap<String, Vec<Expr>>;

/// Why a statement cannot be bound.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BindingError {
    /// A placeholder without a value.
    #[error("${0} has no value: give one with --param {0}=VALUE")]
    Missing(String),
    /// Several values where one is needed.
    #[error("${0} is a list of several values: write `in (${0})`")]
    List(String),
}

/// Puts `values` into a statement; the names that were used.
///
/// # Errors
/// [`BindingError`]
pub fn bind(statement: &mut Statement, values: &Values) -> Result<BTreeSet<String>, BindingError> {
    match statement {
        Statement::Statement(statement) => bind_sql(statement, values),
        Statement::Explain(ExplainStatement { statement, .. }) => bind(statement, values),
        // Refused later: nothing in them is a query.
        Statement::CopyTo(_) | Statement::CreateExternalTable(_) | Statement::Reset(_) => Ok(BTreeSet::new()),
    }
}

fn bind_sql(statement: &mut SqlStatement, values: &Values) -> Result<BTreeSet<String>, BindingError> {
    let mut binder = Binder { values, used: BTreeSet::new() };
    match statement.visit(&mut binder) {
        ControlFlow::Continue(()) => Ok(binder.used),
        ControlFlow::Break(error) => Err(error),
    }
}

struct Binder<'a> {
    values: &'a Values,
    used: BTreeSet<String>,
}

impl Binder<'_> {
    fn values_of(&mut self, expr: &Expr) -> Result<Option<&Vec<Expr>>, BindingError> {
        let Some(name) = placeholder(expr) else { return Ok(None) };
        let name = name.to_owned();
        let values = self.values.get(&name).ok_or_else(|| BindingError::Missing(name.clone()))?;
        self.used.insert(name);
        Ok(Some(values))
    }

    fn replace(&mut self, expr: &mut Expr) -> Result<(), BindingError> {
        if let Expr::InList { list, .. } = expr {
            let mut replaced = Vec::with_capacity(list.len());
            for item in list.drain(..) {
                match self.values_of(&item)? {
                    Some(values) => replaced.extend(values.iter().cloned()),
                    None => replaced.push(item),
                }
            }
            *list = replaced;
            return Ok(());
        }
        let Some(name) = placeholder(expr).map(str::to_owned) else { return Ok(()) };
        if let Some(values) = self.values_of(expr)? {
            let [one] = values.as_slice() else { return Err(BindingError::List(name)) };
            *expr = one.clone();
        }
        Ok(())
    }
}

fn placeholder(expr: &Expr) -> Option<&str> {
    match expr {
        Expr::Value(value) => match &value.value {
            Value::Placeholder(name) => name.strip_prefix('$'),
            _ => None,
        },
        _ => None,
    }
}

impl VisitorMut for Binder<'_> {
    type Break = BindingError;

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<BindingError> {
        match self.replace(expr) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => ControlFlow::Break(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::named::parameter::{Kind, literals};
    use crate::session::{Options, Session};

    fn bound(sql: &str, values: &[(&str, Kind, &str)]) -> Result<(String, BTreeSet<String>), BindingError> {
        let session = Session::new(Options::default()).unwrap();
        let mut statement = session.statements(sql).unwrap().remove(0);
        let now = chrono::Utc::now();
        let values = values
            .iter()
            .map(|(name, kind, value)| ((*name).to_owned(), literals(name, *kind, value, now).unwrap()))
            .collect();
        let used = bind(&mut statement, &values)?;
        Ok((statement.to_string(), used))
    }

    #[test]
    fn a_value_is_one_literal_wherever_it_stands() {
        let (sql, used) = bound(
            "with a as (select $x as v from t where y = $x or z in ($l, 'q')) select * from a where exists (select 1 where $n > 1) limit $n",
            &[("x", Kind::Text, "' or 1=1 --"), ("l", Kind::List, "a,b"), ("n", Kind::Int, "7"), ("unused", Kind::Int, "1")],
        )
        .unwrap();
        assert!(sql.contains("y = ''' or 1=1 --'"), "{sql}");
        assert!(sql.contains("z IN ('a', 'b', 'q')"), "{sql}");
        assert!(sql.contains("7 > 1") && sql.ends_with("LIMIT 7"), "{sql}");
        assert_eq!(used.into_iter().collect::<Vec<_>>(), ["l", "n", "x"]);
        let (sql, _) = bound("explain select $n", &[("n", Kind::Int, "3")]).unwrap();
        assert!(sql.ends_with("SELECT 3"), "{sql}");
    }

    #[test]
    fn what_cannot_be_bound_is_named() {
        assert_eq!(bound("select $a", &[]), Err(BindingError::Missing("a".to_owned())));
        assert_eq!(bound("select $l", &[("l", Kind::List, "a,b")]), Err(BindingError::List("l".to_owned())));
        assert_eq!(
            bound("select '$a', \"$b\" from t", &[]).map(|(_, used)| used.len()),
            Ok(0),
            "texts and names stay"
        );
    }
}
