//! Small results as text.

use crate::output::cell::{Cells, TimeStyle};
use crate::session::{QueryError, Session};

/// The rows of one result.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rows {
    /// Names of the columns.
    pub names: Vec<String>,
    /// Values, `None` for null.
    pub rows: Vec<Vec<Option<String>>>,
}

impl Rows {
    /// A value as a number.
    pub fn number(&self, row: usize, column: usize) -> Option<f64> {
        self.rows.get(row)?.get(column)?.as_deref()?.parse().ok()
    }

    /// A value as text, empty for null.
    pub fn text(&self, row: usize, column: usize) -> &str {
        self.rows
            .get(row)
            .and_then(|row| row.get(column))
            .and_then(|value| value.as_deref())
            .unwrap_or_default()
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }
}

/// Runs a query that is known to give few rows.
///
/// # Errors
/// [`QueryError`]
pub async fn ask(session: &Session, sql: &str) -> Result<Rows, QueryError> {
    let frame = session.sql(sql).await?;
    let names = frame.schema().fields().iter().map(|field| field.name().clone()).collect();
    let shown = |error: arrow::error::ArrowError| QueryError::Execution { message: error.to_string() };
    let mut rows = Vec::new();
    for batch in session.collect(frame).await? {
        let columns: Vec<Cells<'_>> = batch
            .columns()
            .iter()
            .map(|values| Cells::new(values, TimeStyle::Readable))
            .collect::<Result<_, _>>()
            .map_err(shown)?;
        for row in 0..batch.num_rows() {
            let mut values = Vec::with_capacity(columns.len());
            for column in &columns {
                let mut text = String::new();
                values.push(column.write(row, &mut text).map_err(shown)?.then_some(text));
            }
            rows.push(values);
        }
    }
    Ok(Rows { names, rows })
}
