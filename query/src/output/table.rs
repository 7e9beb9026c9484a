//! Aligned columns for people; one value per line where they do not fit.

use super::cell::{Cells, TimeStyle, is_number};
use super::neutral::neutral;
use super::{Format, Layout, OutputError, Written};
use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use comfy_table::{Attribute, Cell, CellAlignment, ContentArrangement, presets};
use std::io::Write;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// What a null looks like.
const NULL: &str = "NULL";

/// Columns narrower than this are not worth aligning: below it a row is written one value per line.
const COLUMN_WIDTH_MIN: usize = 8;

/// Characters of a cell shown in aligned columns on a terminal. A JSON document in a column of
/// twenty would take fifty lines; `--format vertical`, `jsonl` and `csv` show it whole.
const CELL_WIDTH_MAX: usize = 400;

/// Width of the line between rows written one value per line, without a terminal.
const VERTICAL_RULE_WIDTH: usize = 40;

/// Holds the rows of one result until its columns can be sized.
#[derive(Debug)]
pub struct Table {
    layout: Layout,
    names: Vec<String>,
    right: Vec<bool>,
    rows: Vec<Vec<Option<String>>>,
    cut: bool,
}

impl Table {
    /// An empty table with the columns of `schema`.
    pub fn new(layout: &Layout, schema: &SchemaRef) -> Self {
        Table {
            layout: *layout,
            names: schema.fields().iter().map(|field| neutral(field.name()).into_owned()).collect(),
            right: schema.fields().iter().map(|field| is_number(field.data_type())).collect(),
            rows: Vec::new(),
            cut: false,
        }
    }

    /// Takes rows up to the limit; `false` once it is passed.
    ///
    /// # Errors
    /// [`OutputError::Value`]
    pub fn batch(&mut self, batch: &RecordBatch) -> Result<bool, OutputError> {
        let left = self.layout.table_rows_max.map_or(usize::MAX, |max| max - self.rows.len());
        let columns: Vec<Cells<'_>> = batch
            .columns()
            .iter()
            .map(|values| Cells::new(values, TimeStyle::Readable))
            .collect::<Result<_, _>>()?;
        for row in 0..batch.num_rows().min(left) {
            let mut cells = Vec::with_capacity(columns.len());
            for column in &columns {
                let mut text = String::new();
                let present = column.write(row, &mut text)?;
                cells.push(present.then(|| self.shown(&text)));
            }
            self.rows.push(cells);
        }
        self.cut |= batch.num_rows() > left;
        Ok(!self.cut)
    }

    fn shown(&self, text: &str) -> String {
        if self.layout.multiline {
            return text.trim_end().split('\n').map(neutral).collect::<Vec<_>>().join("\n");
        }
        neutral(text).into_owned()
    }

    /// Writes the table.
    ///
    /// # Errors
    /// [`OutputError::Io`]
    pub fn finish(mut self, to: &mut dyn Write) -> Result<Written, OutputError> {
        let written = Written { rows: self.rows.len(), cut: self.cut };
        let vertical = self.layout.format == Format::Vertical;
        if !vertical && let Some(width) = self.layout.screen.width {
            self.shorten();
            if !self.fits(width) {
                self.write_vertical(to)?;
                return Ok(written);
            }
        }
        if vertical {
            self.write_vertical(to)?
        } else {
            self.write_aligned(to)?
        }
        Ok(written)
    }

    /// Cuts what no terminal shows well, with a mark that says so.
    fn shorten(&mut self) {
        if self.layout.multiline {
            return;
        }
        for text in self.rows.iter_mut().flatten().flatten() {
            if text.width() > CELL_WIDTH_MAX {
                let mut width = 0;
                let end = text.char_indices().find(|(_, c)| {
                    width += c.width().unwrap_or(0);
                    width > CELL_WIDTH_MAX
                });
                if let Some((end, _)) = end {
                    let hidden = text[end..].chars().count();
                    text.truncate(end);
                    text.push_str(&format!("… (+{hidden})"));
                }
            }
        }
    }

    /// Whether every column gets its content's width, or at least a readable one.
    fn fits(&self, width: usize) -> bool {
        let mut needed = 1;
        for (index, name) in self.names.iter().enumerate() {
            let cells = self.rows.iter().map(|row| row[index].as_deref().map_or(NULL.len(), widest_line));
            let widest = cells.max().unwrap_or(0).max(name.width());
            needed += widest.min(COLUMN_WIDTH_MIN.max(name.width())) + 3;
        }
        needed <= width
    }

    fn write_aligned(&self, to: &mut dyn Write) -> Result<(), OutputError> {
        let color = self.layout.screen.color;
        let mut table = comfy_table::Table::new();
        table.load_preset(presets::UTF8_FULL_CONDENSED);
        if color {
            table.enforce_styling();
        } else {
            table.force_no_tty();
        }
        match self.layout.screen.width.and_then(|width| u16::try_from(width).ok()) {
            Some(width) => {
                table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width);
            }
            None => {
                table.set_content_arrangement(ContentArrangement::Disabled);
            }
        }
        let bold = |cell: Cell| if color { cell.add_attribute(Attribute::Bold) } else { cell };
        table.set_header(self.names.iter().map(|name| bold(Cell::new(name))));
        for row in &self.rows {
            table.add_row(row.iter().enumerate().map(|(index, text)| {
                let cell = match text {
                    Some(text) => Cell::new(text),
                    None if color => Cell::new(NULL).add_attribute(Attribute::Dim),
                    None => Cell::new(NULL),
                };
                if self.right[index] { cell.set_alignment(CellAlignment::Right) } else { cell }
            }));
        }
        if self.names.is_empty() {
            writeln!(to, "{} rows without columns", self.rows.len())?;
            return Ok(());
        }
        for line in table.lines() {
            writeln!(to, "{line}")?;
        }
        Ok(())
    }

    fn write_vertical(&self, to: &mut dyn Write) -> Result<(), OutputError> {
        let names = self.names.iter().map(|name| name.width()).max().unwrap_or(0);
        let rule = self.layout.screen.width.unwrap_or(VERTICAL_RULE_WIDTH);
        for (number, row) in self.rows.iter().enumerate() {
            let title = format!("─[ {} ]", number + 1);
            writeln!(to, "{title}{}", "─".repeat(rule.saturating_sub(title.width())))?;
            for (name, text) in self.names.iter().zip(row) {
                let padding = " ".repeat(names - name.width());
                match text {
                    Some(text) => {
                        let indent = format!("\n{} │ ", " ".repeat(names));
                        writeln!(to, "{name}{padding} │ {}", text.replace('\n', &indent))?;
                    }
                    None if self.layout.screen.color => {
                        writeln!(to, "{name}{padding} │ \x1b[2m{NULL}\x1b[0m")?
                    }
                    None => writeln!(to, "{name}{padding} │ {NULL}")?,
                }
            }
        }
        Ok(())
    }
}

fn widest_line(text: &str) -> usize {
    text.split('\n').map(UnicodeWidthStr::width).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::super::{Output, Screen};
    use super::*;
    use arrow::array::{ArrayRef, Int64Array, StringArray};
    use std::sync::Arc;

    fn batch(texts: Vec<Option<&str>>) -> RecordBatch {
        let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values(0..texts.len() as i64));
        let texts: ArrayRef = Arc::new(StringArray::from(texts));
        RecordBatch::try_from_iter([("number", numbers), ("text", texts)]).unwrap()
    }

    fn shown(batch: &RecordBatch, layout: Layout) -> (String, Written) {
        let mut bytes = Vec::new();
        let mut output = Output::new(&layout, &batch.schema(), &mut bytes).unwrap();
        output.batch(batch, &mut bytes).unwrap();
        let written = output.finish(&mut bytes).unwrap();
        (String::from_utf8(bytes).unwrap(), written)
    }

    #[test]
    fn columns_align_and_values_cannot_act() {
        let (text, _) = shown(&batch(vec![Some("\x1b[31mred\u{202e}"), None]), Layout::default());
        let expected = "┌────────┬─────────────────────┐\n\
                        │ number ┆ text                │\n\
                        ╞════════╪═════════════════════╡\n\
                        │      0 ┆ \\x1b[31mred\\u{202e} │\n\
                        │      1 ┆ NULL                │\n\
                        └────────┴─────────────────────┘\n";
        assert_eq!(text, expected);
    }

    #[test]
    fn a_terminal_is_never_overrun() {
        let long = "x".repeat(5_000);
        for width in [10, 30, 80, 200] {
            let screen = Screen { width: Some(width), color: false };
            let (text, _) =
                shown(&batch(vec![Some(&long), Some("漢字")]), Layout { screen, ..Layout::default() });
            if text.contains('┌') {
                assert!(text.lines().all(|line| line.width() <= width), "{width}: {text}");
                assert!(text.contains('…'));
            } else {
                assert!(text.starts_with("─[ 1 ]"), "{width}: {text}");
            }
        }
    }

    #[test]
    fn a_plan_keeps_its_lines_and_nothing_else_that_acts() {
        let plan = batch(vec![Some("Sort\n  Scan\x1b[2J\n")]);
        for format in [Format::Table, Format::Vertical] {
            let (text, _) = shown(&plan, Layout { format, multiline: true, ..Layout::default() });
            assert!(
                text.lines().any(|line| line.contains("  Scan\\x1b[2J") && !line.contains("Sort")),
                "{text}"
            );
        }
    }

    #[test]
    fn the_limit_is_told_and_vertical_shows_all_of_a_cell() {
        let (_, written) = shown(
            &batch(vec![Some("a"), Some("b"), Some("c")]),
            Layout { table_rows_max: Some(2), ..Layout::default() },
        );
        assert_eq!(written, Written { rows: 2, cut: true });
        let long = "y".repeat(900);
        let layout = Layout { format: Format::Vertical, ..Layout::default() };
        let (text, written) = shown(&batch(vec![Some(&long)]), layout);
        assert!(text.contains(&long));
        assert_eq!(written, Written { rows: 1, cut: false });
    }
}
