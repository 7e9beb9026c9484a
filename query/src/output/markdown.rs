//! A table for Markdown documents, tickets and chats. What would end a cell, start markup or act is
//! escaped: a log line must not draw a link or a picture in somebody's ticket.

use super::OutputError;
use super::cell::{Cells, TimeStyle, is_number};
use super::neutral::neutral;
use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use std::io::Write;

/// Writes one result as Markdown.
#[derive(Debug)]
pub struct Markdown {
    rows: usize,
}

impl Markdown {
    /// Writes the header.
    ///
    /// # Errors
    /// [`OutputError::Io`]
    pub fn new(schema: &SchemaRef, to: &mut dyn Write) -> Result<Self, OutputError> {
        let names: Vec<String> = schema.fields().iter().map(|field| cell(field.name())).collect();
        let rules =
            schema.fields().iter().map(|field| if is_number(field.data_type()) { "--:" } else { "---" });
        writeln!(to, "| {} |", names.join(" | "))?;
        writeln!(to, "|{}|", rules.collect::<Vec<_>>().join("|"))?;
        Ok(Markdown { rows: 0 })
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
        let columns: Vec<Cells<'_>> = batch
            .columns()
            .iter()
            .map(|values| Cells::new(values, TimeStyle::Readable))
            .collect::<Result<_, _>>()?;
        let mut text = String::new();
        for row in 0..batch.num_rows() {
            let mut line = String::from("|");
            for column in &columns {
                text.clear();
                if column.write(row, &mut text)? {
                    line.push(' ');
                    line.push_str(&cell(&text));
                }
                line.push_str(" |");
            }
            writeln!(to, "{line}")?;
        }
        self.rows += batch.num_rows();
        Ok(())
    }
}

/// Every character that Markdown or HTML would take for more than itself, escaped.
fn cell(text: &str) -> String {
    let shown = neutral(text);
    let mut escaped = String::with_capacity(shown.len() + 8);
    for c in shown.chars() {
        match c {
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '&' => escaped.push_str("&amp;"),
            '|' | '`' | '*' | '_' | '[' | ']' | '!' | '#' | '~' | '\\' => escaped.extend(['\\', c]),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::cell;

    #[test]
    fn nothing_in_a_cell_is_markup() {
        assert_eq!(cell("![x](http://e) | <img> `a`\n"), r"\!\[x\](http://e) \| &lt;img&gt; \`a\`\\n");
        assert_eq!(cell("plain 10.0.0.1"), "plain 10.0.0.1");
    }
}
