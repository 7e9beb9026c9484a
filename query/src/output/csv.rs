//! CSV: RFC 4180, a header line, `\n` line ends, times in RFC 3339, bytes in base64, nested values
//! as JSON. Null is an empty cell, an empty text is `""`.
//!
//! A text cell that a spreadsheet would run as a formula (it begins with `=`, `+`, `-`, `@`, a tab
//! or a carriage return, also in their full-width forms) gets a `'` in front, which spreadsheets
//! hide. Numbers are left alone. `--csv-raw` switches it off for programs that read the file back.

use super::cell::{Cells, TimeStyle, is_text};
use super::neutral::neutral;
use super::{Layout, OutputError};
use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use std::io::Write;

/// Writes one result as CSV.
#[derive(Debug)]
pub struct Csv {
    raw: bool,
    on_terminal: bool,
    rows: usize,
}

impl Csv {
    /// Writes the header.
    ///
    /// # Errors
    /// [`OutputError::Io`]
    pub fn new(layout: &Layout, schema: &SchemaRef, to: &mut dyn Write) -> Result<Self, OutputError> {
        let csv = Csv { raw: layout.csv_raw, on_terminal: layout.screen.width.is_some(), rows: 0 };
        let mut line = String::new();
        for (index, field) in schema.fields().iter().enumerate() {
            if index > 0 {
                line.push(',');
            }
            csv.cell(field.name(), true, &mut line);
        }
        line.push('\n');
        to.write_all(line.as_bytes())?;
        Ok(csv)
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
        let mut line = String::new();
        let mut text = String::new();
        for row in 0..batch.num_rows() {
            line.clear();
            for (index, (cells, is_text)) in columns.iter().enumerate() {
                if index > 0 {
                    line.push(',');
                }
                text.clear();
                if cells.write(row, &mut text)? {
                    self.cell(&text, *is_text, &mut line);
                }
            }
            line.push('\n');
            to.write_all(line.as_bytes())?;
        }
        self.rows += batch.num_rows();
        Ok(())
    }

    fn cell(&self, text: &str, is_text: bool, line: &mut String) {
        let formula = is_text && !self.raw && text.starts_with(starts_formula);
        let shown = if self.on_terminal { neutral(text) } else { text.into() };
        let quoted = shown.is_empty() || shown.contains([',', '"', '\n', '\r']);
        if quoted {
            line.push('"');
        }
        if formula {
            line.push('\'');
        }
        if quoted {
            line.push_str(&shown.replace('"', "\"\""));
            line.push('"');
        } else {
            line.push_str(&shown);
        }
    }
}

/// Whether a spreadsheet takes a text that begins with `c` for a formula.
pub(super) fn starts_formula(c: char) -> bool {
    matches!(
        c,
        '=' | '+' | '-' | '@' | '\t' | '\r' | '\n' | '\u{ff1d}' | '\u{ff0b}' | '\u{ff0d}' | '\u{ff20}'
    )
}

#[cfg(test)]
mod tests {
    use super::super::{Format, Output, Screen};
    use super::*;
    use arrow::array::{ArrayRef, Int64Array, StringArray};
    use std::sync::Arc;

    fn written(texts: Vec<Option<&str>>, layout: Layout) -> String {
        let numbers: ArrayRef = Arc::new(Int64Array::from(vec![-5; texts.len()]));
        let texts: ArrayRef = Arc::new(StringArray::from(texts));
        let batch = RecordBatch::try_from_iter([("n", numbers), ("t", texts)]).unwrap();
        let mut bytes = Vec::new();
        let mut output = Output::new(&layout, &batch.schema(), &mut bytes).unwrap();
        assert!(output.batch(&batch, &mut bytes).unwrap());
        assert_eq!(output.finish(&mut bytes).unwrap().rows, batch.num_rows());
        String::from_utf8(bytes).unwrap()
    }

    fn layout() -> Layout {
        Layout { format: Format::Csv, ..Layout::default() }
    }

    #[test]
    fn formulas_are_text_and_numbers_are_numbers() {
        let texts = vec![Some("=cmd|' /C calc'!A0"), Some("-1+1"), Some("@x"), Some("\tx"), Some("a=b")];
        let csv = written(texts.clone(), layout());
        assert_eq!(csv, "n,t\n-5,'=cmd|' /C calc'!A0\n-5,'-1+1\n-5,'@x\n-5,'\tx\n-5,a=b\n");
        let raw = written(texts, Layout { csv_raw: true, ..layout() });
        assert!(raw.contains("\n-5,-1+1\n"), "{raw}");
    }

    #[test]
    fn quotes_breaks_and_nulls_follow_the_rfc() {
        let texts = vec![Some("a,b"), Some("say \"hi\""), Some("two\nlines"), Some(""), None];
        assert_eq!(
            written(texts, layout()),
            "n,t\n-5,\"a,b\"\n-5,\"say \"\"hi\"\"\"\n-5,\"two\nlines\"\n-5,\"\"\n-5,\n"
        );
    }

    #[test]
    fn a_terminal_is_not_driven_and_a_file_keeps_its_bytes() {
        let texts = vec![Some("\x1b[2J")];
        assert!(written(texts.clone(), layout()).contains('\x1b'));
        let screen = Screen { width: Some(80), color: true };
        assert!(!written(texts, Layout { screen, ..layout() }).contains('\x1b'));
    }
}
