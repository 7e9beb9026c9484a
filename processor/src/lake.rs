//! The tables of the lake as this processor writes them.
//!
//! * [`table`]: one Delta table; commits carry the batch's number, so that a batch is in a table once.
//! * [`write`]: rows of a batch become sorted Parquet files, one set per table and day.
//! * [`read`]: a few columns back: the ledger and the newest identities.
//! * [`stats`]: what the Delta log says about a file, so that readers can skip it.
//!
//! Protocol: reader 1, writer 2, no deletion vectors: every engine reads these tables.

pub mod bookkeeping;
pub mod read;
pub mod stats;
pub mod table;
pub mod write;
