//! Only statements that read are run.
//!
//! The decision falls on the parsed statement and again on the logical plan with all its
//! subqueries, never on the text: `explain analyze insert …` would write, and a comment or a
//! string that mentions `drop` would not.

use super::QueryError;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::logical_expr::LogicalPlan;
use datafusion::sql::parser::{ExplainStatement, Statement};
use datafusion::sql::sqlparser::ast::Statement as SqlStatement;

const LAKE: &str = "logq never writes to the lake; the processor does";
const FILES: &str = "logq writes results with --output FILE and --format, not from SQL";
const OPTIONS: &str = "options are given on the command line, see logq --help";

/// Refuses a statement that is not a query, before it is planned.
///
/// # Errors
/// [`QueryError::ReadOnly`] with the reason.
pub fn check_statement(statement: &Statement) -> Result<(), QueryError> {
    match statement {
        Statement::Statement(statement) => check_sql(statement),
        Statement::Explain(ExplainStatement { statement, .. }) => check_statement(statement),
        Statement::CopyTo(_) => Err(refused("COPY", FILES)),
        Statement::CreateExternalTable(_) => Err(refused(
            "CREATE EXTERNAL TABLE",
            "logq reads the tables of its lake only; other files go through the processor",
        )),
        Statement::Reset(_) => Err(refused("RESET", OPTIONS)),
    }
}

fn check_sql(statement: &SqlStatement) -> Result<(), QueryError> {
    match statement {
        SqlStatement::Query(_)
        | SqlStatement::ExplainTable { .. }
        | SqlStatement::ShowTables { .. }
        | SqlStatement::ShowColumns { .. }
        | SqlStatement::ShowFunctions { .. }
        | SqlStatement::ShowVariable { .. }
        | SqlStatement::ShowVariables { .. }
        | SqlStatement::ShowCreate { .. } => Ok(()),
        SqlStatement::Explain { statement, .. } => check_sql(statement),
        SqlStatement::Set(_) => Err(refused("SET", OPTIONS)),
        other => Err(refused(&verb(other), LAKE)),
    }
}

/// The leading keywords of a statement, e.g. `CREATE TABLE`.
fn verb(statement: &SqlStatement) -> String {
    let text = statement.to_string();
    let mut words = text.split_whitespace();
    let first = words.next().unwrap_or("statement").to_uppercase();
    match (first.as_str(), words.next()) {
        ("CREATE" | "DROP" | "ALTER", Some(second)) => format!("{first} {}", second.to_uppercase()),
        _ => first,
    }
}

/// Refuses a plan that holds any node that writes or changes the session.
///
/// # Errors
/// [`QueryError::ReadOnly`] with the reason.
pub fn check_plan(plan: &LogicalPlan) -> Result<(), QueryError> {
    let mut found = None;
    let walked = plan.apply_with_subqueries(|node| {
        found = match node {
            LogicalPlan::Ddl(ddl) => Some(refused(ddl.name(), LAKE)),
            LogicalPlan::Dml(dml) => Some(refused(dml.op.name(), LAKE)),
            LogicalPlan::Copy(_) => Some(refused("COPY", FILES)),
            LogicalPlan::Statement(statement) => Some(refused(statement.name(), OPTIONS)),
            _ => return Ok(TreeNodeRecursion::Continue),
        };
        Ok(TreeNodeRecursion::Stop)
    });
    match (found, walked) {
        (Some(error), _) => Err(error),
        (None, Ok(_)) => Ok(()),
        (None, Err(error)) => Err(QueryError::Sql { message: error.strip_backtrace() }),
    }
}

fn refused(statement: &str, reason: &'static str) -> QueryError {
    QueryError::ReadOnly { statement: statement.to_owned(), reason }
}
