//! What the three programs agree on: the tables of the lake and the landing format between
//! collector and processor.
//!
//! A [`Table`] is a value, not code that does things: a name, a version, columns with the source's
//! own field names, one partition column, a sort order and the columns that earn a bloom filter.
//! The processor turns it into an Arrow schema and a Delta table, `logq` describes it to analysts,
//! and `docs/reference/tables.md` is generated from it.
//!
//! [`landing`] is the object format the collector writes and the processor reads. [`body`] says what a
//! log line tells about itself, and [`text`] is how logs are read fast.
//!
//! This crate depends on nothing heavier than serde: the collector links it, and the collector
//! never links Arrow, Parquet or DataFusion.

pub mod body;
pub mod landing;
pub mod reference;
pub mod rejection;
mod table;
pub mod tables;
pub mod text;

pub use rejection::Reason;
pub use table::{Column, Kind, Table};
