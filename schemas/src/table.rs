//! The shape of a table.

/// The physical type of a column. The mapping to Arrow lives in the processor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// UTF-8 text, as the source wrote it.
    Text,
    /// A JSON document kept as UTF-8 text: nested or open-ended parts of a record.
    Json,
    /// Raw bytes.
    Binary,
    /// Signed 32-bit integer.
    Int,
    /// Signed 64-bit integer.
    Long,
    /// 64-bit float.
    Double,
    /// Boolean.
    Bool,
    /// Microseconds since the Unix epoch, UTC.
    Timestamp,
    /// Days since the Unix epoch, UTC.
    Date,
}

impl Kind {
    /// The SQL type an analyst sees.
    pub fn sql_name(self) -> &'static str {
        match self {
            Kind::Text => "text",
            Kind::Json => "text (JSON)",
            Kind::Binary => "binary",
            Kind::Int => "int",
            Kind::Long => "bigint",
            Kind::Double => "double",
            Kind::Bool => "boolean",
            Kind::Timestamp => "timestamp (µs, UTC)",
            Kind::Date => "date",
        }
    }
}

/// One column of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Column {
    /// snake_case name.
    pub name: &'static str,
    /// Physical type.
    pub kind: Kind,
    /// Whether a row may lack it. Required columns are never null.
    pub nullable: bool,
    /// The field it comes from, in the source's own spelling; empty where the processor makes it.
    pub field: &'static str,
    /// What it holds: shape, unit, odd values.
    pub doc: &'static str,
}

/// A table of the lake.
#[derive(Debug, Clone, Copy)]
pub struct Table {
    /// Name in SQL and in `lake/<name>/`.
    pub name: &'static str,
    /// Raised with every change of columns; `golden/<name>.v<version>.json` keeps each one.
    pub version: u32,
    /// One sentence on what a row is.
    pub doc: &'static str,
    /// Where the format of the source is specified; empty for our own tables.
    pub specification: &'static str,
    /// Columns shared with the other event tables; empty for bookkeeping tables.
    pub core: &'static [Column],
    /// The table's own columns.
    pub own: &'static [Column],
    /// Sort order inside a file.
    pub sort_by: &'static [&'static str],
    /// Columns with a bloom filter: looked up by equality, many distinct values.
    pub blooms: &'static [&'static str],
}

impl Table {
    /// The partition column of every table.
    pub const PARTITION: &'static str = "event_date";

    /// All columns in storage order: core first, so that they fall under the table format's
    /// statistics on leading columns.
    pub fn columns(&self) -> impl Iterator<Item = &'static Column> + use<> {
        self.core.iter().chain(self.own)
    }

    /// The column called `name`.
    pub fn column(&self, name: &str) -> Option<&'static Column> {
        self.columns().find(|column| column.name == name)
    }

    /// Whether rows are events with the core columns (and so part of the view `events`).
    pub fn is_event_table(&self) -> bool {
        !self.core.is_empty()
    }
}
