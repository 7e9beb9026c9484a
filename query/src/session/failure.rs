//! From the engine's errors to an analyst's: what went wrong, where, what to do.

use super::QueryError;
use super::nearest::nearest;
use crate::tables::source_fields;
use datafusion::common::{Column, SchemaError};
use datafusion::error::DataFusionError;

/// Translates an error that arose without a known set of tables.
pub fn classify(error: DataFusionError) -> QueryError {
    classify_in(error, &[])
}

/// Translates an error of a statement over the named tables.
pub fn classify_in(error: DataFusionError, tables: &[&str]) -> QueryError {
    match error {
        DataFusionError::Context(_, inner) | DataFusionError::Diagnostic(_, inner) => {
            classify_in(*inner, tables)
        }
        DataFusionError::External(inner) => match inner.downcast::<QueryError>() {
            Ok(ours) => *ours,
            Err(inner) => match inner.downcast::<DataFusionError>() {
                Ok(wrapped) => classify_in(*wrapped, tables),
                Err(other) => QueryError::Execution { message: other.to_string() },
            },
        },
        DataFusionError::Collection(mut errors) if !errors.is_empty() => {
            classify_in(errors.swap_remove(0), tables)
        }
        DataFusionError::ResourcesExhausted(message) => QueryError::Resources { message },
        DataFusionError::SchemaError(schema, _) => match *schema {
            SchemaError::FieldNotFound { field, valid_fields } => {
                unknown_column(&field, &valid_fields, tables)
            }
            other => QueryError::Sql { message: other.to_string() },
        },
        DataFusionError::SQL(error, _) => QueryError::Sql {
            message: error.to_string().replacen("sql parser error: ", "cannot read the SQL: ", 1),
        },
        error @ (DataFusionError::Plan(_)
        | DataFusionError::NotImplemented(_)
        | DataFusionError::Configuration(_)) => QueryError::Sql { message: plain(&error) },
        error => {
            if let DataFusionError::ResourcesExhausted(message) = error.find_root() {
                return QueryError::Resources { message: message.clone() };
            }
            QueryError::Execution { message: plain(&error) }
        }
    }
}

/// The message of an error without the engine's prefixes and backtraces.
fn plain(error: &DataFusionError) -> String {
    let text = error.strip_backtrace();
    let text = text.split("\n\nbacktrace:").next().unwrap_or_default();
    for prefix in ["Error during planning: ", "Execution error: ", "External error: ", "Arrow error: "] {
        if let Some(rest) = text.strip_prefix(prefix) {
            return rest.to_owned();
        }
    }
    text.to_owned()
}

/// Whether planning failed because no catalog knows `table`.
///
/// The engine has no structured form of this error; the message is checked to hold this very name,
/// so that another error about a column or function is never taken for it.
pub fn is_missing_table(error: &DataFusionError, table: &str) -> bool {
    match error.find_root() {
        DataFusionError::Plan(message) => {
            message.starts_with("table '") && message.contains(&format!(".{table}' not found"))
        }
        _ => false,
    }
}

fn unknown_column(field: &Column, valid: &[Column], tables: &[&str]) -> QueryError {
    let written = match &field.relation {
        Some(relation) => format!("{relation}.{}", field.name),
        None => field.name.clone(),
    };
    let hint = source_fields::hint(&written, tables)
        .or_else(|| source_fields::hint(&field.name, tables))
        .map(|hint| format!(": {hint}"))
        .or_else(|| {
            nearest(&field.name, valid.iter().map(|column| column.name.as_str()))
                .map(|name| format!(", did you mean {name}?"))
        })
        .unwrap_or_else(|| match tables {
            [] => String::new(),
            [table, ..] => format!("; logq schema {table} lists the columns"),
        });
    QueryError::UnknownColumn { name: written, hint }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_of_ours_comes_back_through_the_engine() {
        let wrapped = DataFusionError::External(Box::new(QueryError::NoLake)).context("while planning");
        assert!(matches!(classify(wrapped), QueryError::NoLake));
    }

    #[test]
    fn only_the_engines_missing_table_message_counts() {
        let missing = DataFusionError::Plan("table 'logq.lake.flows' not found".to_owned());
        assert!(is_missing_table(&missing, "flows"));
        assert!(!is_missing_table(&missing, "flow"));
        let other = DataFusionError::Plan("Invalid function 'flows'".to_owned());
        assert!(!is_missing_table(&other, "flows"));
    }
}
