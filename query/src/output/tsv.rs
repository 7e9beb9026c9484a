//! Tab-separated values, a line a row whatever is in it: tab, line feed, carriage return and backslash
//! are written as `\t`, `\n`, `\r` and `\\`, null as `\N` (PostgreSQL's text form). `cut`, `awk` and
//! `sort` need no parser.
//!
//! Texts a spreadsheet would run get a `'` in front, as in CSV; `--csv-raw` switches that off.

use super::cell::{Cells, TimeStyle, is_text};
use super::csv::starts_formula;
use super::neutral::neutral;
use super::{Layout, OutputError};
use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use std::io::Write;

/// Writes one result as TSV.
#[derive(Debug)]
pub struct Tsv {
    raw: bool,
    on_terminal: bool,
    rows: usize,
}

impl Tsv {
    /// Writes the header.
    ///
    /// # Errors
    /// [`OutputError::Io`]
    pub fn new(layout: &Layout, schema: &SchemaRef, to: &mut dyn Write) -> Result<Self, OutputError> {
        let tsv = Tsv { raw: layout.csv_raw, on_terminal: layout.screen.width.is_some(), rows: 0 };
        let names: Vec<String> = schema.fields().iter().map(|field| tsv.cell(field.name(), true)).collect();
        writeln!(to, "{}", names.join("\t"))?;
        Ok(tsv)
    }

    /// Rows written so far.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Writes one batch.
    ///
    /// # Errors
    /// [`OutputError`]
    pub fn batch(&mut self, batch: &RecordBatch, to: &mut dyn Write) -> Result<(), OutputError> {
        let columns: Vec<(Cells<'_>, bool)> = batch
            .columns()
            .iter()
            .map(|values| Ok((Cells::new(values, TimeStyle::Rfc3339)?, is_text(values.data_type()))))
            .collect::<Result<_, OutputError>>()?;
        let (mut line, mut text) = (String::new(), String::new());
        for row in 0..batch.num_rows() {
            line.clear();
            for (index, (cells, is_text)) in columns.iter().enumerate() {
                if index > 0 {
                    line.push('\t');
                }
                text.clear();
                if cells.write(row, &mut text)? {
                    line.push_str(&self.cell(&text, *is_text));
                } else {
                    line.push_str("\\N");
                }
            }
            line.push('\n');
            to.write_all(line.as_bytes())?;
        }
        self.rows += batch.num_rows();
        Ok(())
    }

    fn cell(&self, text: &str, is_text: bool) -> String {
        let guard = if is_text && !self.raw && text.starts_with(starts_formula) { "'" } else { "" };
        let escaped =
            text.replace('\\', "\\\\").replace('\t', "\\t").replace('\n', "\\n").replace('\r', "\\r");
        let shown = if self.on_terminal { neutral(&escaped).into_owned() } else { escaped };
        format!("{guard}{shown}")
    }
}
