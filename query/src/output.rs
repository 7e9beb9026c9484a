//! Results on their way to a person or a program.
//!
//! What a log line says is written by anyone who can reach the logged service, an attacker
//! included. So on a terminal every control character, escape sequence and invisible or
//! direction-changing character of a value is shown, not obeyed ([`neutral`]); a CSV cell never
//! starts a formula ([`csv`]); JSON escapes what a terminal would obey ([`jsonl`]).
//!
//! CSV and JSON Lines stream in constant memory. A table is held, up to a number of rows, because
//! its columns are as wide as their widest cell ([`table`]).

pub mod cell;
pub mod columnar;
pub mod csv;
pub mod jsonl;
pub mod markdown;
pub mod neutral;
pub mod table;
pub mod tsv;

use crate::config;
use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use datafusion::parquet::errors::ParquetError;
use std::io::{self, Write};

/// How results are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Format {
    /// Aligned columns; one value per line where the terminal is too narrow.
    #[default]
    Table,
    /// One value per line.
    Vertical,
    /// RFC 4180 with a header line.
    Csv,
    /// Tab-separated, with `\t`, `\n` and `\\` written as escapes.
    Tsv,
    /// One JSON object per line.
    Jsonl,
    /// One JSON array of objects.
    Json,
    /// A table for Markdown documents and chats.
    Markdown,
    /// A Parquet file.
    Parquet,
    /// An Arrow IPC file.
    Arrow,
}

impl Format {
    /// Whether rows are written as they come.
    pub fn streams(self) -> bool {
        !matches!(self, Format::Table | Format::Vertical)
    }

    /// Whether it is for programs alone: nothing a terminal could show, and one result a file.
    pub fn is_binary(self) -> bool {
        matches!(self, Format::Parquet | Format::Arrow)
    }
}

/// What the reader of a result can show.
#[derive(Debug, Clone, Copy, Default)]
pub struct Screen {
    /// Columns of the terminal; `None` when the result goes to a file or pipe.
    pub width: Option<usize>,
    /// Whether escape sequences of ours are wanted.
    pub color: bool,
}

/// How one result is written.
#[derive(Debug, Clone, Copy)]
pub struct Layout {
    /// The format.
    pub format: Format,
    /// Where it is shown.
    pub screen: Screen,
    /// Rows a table shows; `None` for all.
    pub table_rows_max: Option<usize>,
    /// CSV cells as they are, formulas included.
    pub csv_raw: bool,
    /// Line breaks in cells of a table are kept: for plans, whose text is the engine's.
    pub multiline: bool,
}

impl Default for Layout {
    fn default() -> Self {
        Layout {
            format: Format::Table,
            screen: Screen::default(),
            table_rows_max: Some(config::TABLE_ROWS_MAX),
            csv_raw: false,
            multiline: false,
        }
    }
}

/// Why a result could not be written.
#[derive(Debug, thiserror::Error)]
pub enum OutputError {
    /// The file, pipe or terminal.
    #[error("cannot write the result: {0}")]
    Io(#[from] io::Error),
    /// A value of a type that has no text form.
    #[error("cannot show a value: {0}")]
    Value(#[from] ArrowError),
    /// The Parquet file.
    #[error("cannot write Parquet: {0}")]
    Parquet(#[from] ParquetError),
}

impl OutputError {
    /// Whether the reader went away, which is how `… | head` ends.
    pub fn is_broken_pipe(&self) -> bool {
        matches!(self, OutputError::Io(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }
}

/// What was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Written {
    /// Rows.
    pub rows: usize,
    /// Whether there are more rows that were not shown.
    pub cut: bool,
}

/// Writes one result, batch by batch.
#[derive(Debug)]
pub enum Output {
    /// [`Format::Table`] and [`Format::Vertical`].
    Table(table::Table),
    /// [`Format::Csv`].
    Csv(csv::Csv),
    /// [`Format::Tsv`].
    Tsv(tsv::Tsv),
    /// [`Format::Jsonl`] and [`Format::Json`].
    Jsonl(jsonl::Jsonl),
    /// [`Format::Markdown`].
    Markdown(markdown::Markdown),
    /// [`Format::Parquet`] and [`Format::Arrow`].
    Columnar(columnar::Columnar),
}

impl Output {
    /// A writer for results with the columns of `schema`. Writes the header where there is one.
    ///
    /// # Errors
    /// [`OutputError`]
    pub fn new(layout: &Layout, schema: &SchemaRef, to: &mut dyn Write) -> Result<Self, OutputError> {
        Ok(match layout.format {
            Format::Table | Format::Vertical => Output::Table(table::Table::new(layout, schema)),
            Format::Csv => Output::Csv(csv::Csv::new(layout, schema, to)?),
            Format::Tsv => Output::Tsv(tsv::Tsv::new(layout, schema, to)?),
            Format::Jsonl => Output::Jsonl(jsonl::Jsonl::new(schema)),
            Format::Json => Output::Jsonl(jsonl::Jsonl::array(schema)),
            Format::Markdown => Output::Markdown(markdown::Markdown::new(schema, to)?),
            Format::Parquet => Output::Columnar(columnar::Columnar::parquet(schema)?),
            Format::Arrow => Output::Columnar(columnar::Columnar::arrow(schema)?),
        })
    }

    /// Takes one batch; `false` when no more are wanted.
    ///
    /// # Errors
    /// [`OutputError`]
    pub fn batch(&mut self, batch: &RecordBatch, to: &mut dyn Write) -> Result<bool, OutputError> {
        match self {
            Output::Table(table) => table.batch(batch),
            Output::Csv(csv) => csv.batch(batch, to).map(|()| true),
            Output::Tsv(tsv) => tsv.batch(batch, to).map(|()| true),
            Output::Jsonl(jsonl) => jsonl.batch(batch, to).map(|()| true),
            Output::Markdown(markdown) => markdown.batch(batch, to).map(|()| true),
            Output::Columnar(columnar) => columnar.batch(batch, to).map(|()| true),
        }
    }

    /// Writes what is left.
    ///
    /// # Errors
    /// [`OutputError`]
    pub fn finish(self, to: &mut dyn Write) -> Result<Written, OutputError> {
        let written = match self {
            Output::Table(table) => table.finish(to)?,
            Output::Csv(csv) => Written { rows: csv.rows(), cut: false },
            Output::Tsv(tsv) => Written { rows: tsv.rows(), cut: false },
            Output::Jsonl(jsonl) => Written { rows: jsonl.finish(to)?, cut: false },
            Output::Markdown(markdown) => Written { rows: markdown.rows(), cut: false },
            Output::Columnar(columnar) => Written { rows: columnar.finish(to)?, cut: false },
        };
        to.flush()?;
        Ok(written)
    }
}
