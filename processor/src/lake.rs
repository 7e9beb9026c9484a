//! The tables of the lake as this processor writes them.
//!
//! * [`table`]: one Delta table; commits carry the batch's number, so that a batch is in a table once.
//! * [`write`]: rows of a batch become sorted Parquet files, one set per table and day.
//! * [`read`]: a few columns back: the ledger and the newest identities.
//! * [`store`]: a file goes to its table; [`record`]: rows that no batch brings.
//! * [`stats`]: what the Delta log says about a file, so that readers can skip it.
//!
//! And as it is kept in order:
//!
//! * [`days`]: which files a day has, and which of them may be rewritten; [`merge`] and [`output`] do
//!   so in bounded memory, [`upload`] carries bytes into a store.
//! * [`compact`]: small files become large ones; [`vacuum`]: files nobody needs are deleted.
//! * [`seal`]: a day that is over becomes final files in the table and in the [`archive`], [`raw`] packs
//!   the originals, [`verify`] hashes all of it again, [`expire`] takes old days out of the tables.
//!
//! Protocol: reader 1, writer 2, no deletion vectors: every engine reads these tables.

pub mod archive;
pub mod bookkeeping;
pub mod compact;
pub mod days;
pub mod expire;
pub mod merge;
pub mod output;
pub mod raw;
pub mod read;
pub mod record;
pub mod seal;
pub mod stats;
pub mod store;
pub mod table;
pub mod upload;
pub mod vacuum;
pub mod verify;
pub mod write;

#[cfg(test)]
mod tests;
