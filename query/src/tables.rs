//! The tables of the lake as the query engine sees them.
//!
//! A table is opened when a query first names it, at its latest version, and kept for the session
//! ([`catalog`]). Its scan ([`provider`]) is made from the table's log, not from a listing: the log
//! says which files belong to it, their partition and the bounds of their columns, so that
//! partitions, files, row groups, pages and bloom filters are left out in that order before a byte
//! of data is read.
//!
//! Why our own scan and not the one of the Delta library: that one wraps Parquet scans in a node of
//! its own, behind which the engine's dynamic filters and sort order hints (`order by event_time
//! desc limit 10`) and its choice of late materialisation stop. Over plain Parquet scans all of
//! them work. What the wrapper is for, deletion vectors and column mapping, a table of the lake
//! never has; a table that has them is refused ([`snapshot`]).
//!
//! A file of the log that cannot be read fails the query ([`unreadable`]): never a smaller answer
//! that looks complete.

pub mod address_bounds;
pub mod catalog;
pub mod empty;
pub mod events;
pub mod files;
pub mod notices;
pub mod provider;
pub mod pushdown;
pub mod raw_files;
pub mod snapshot;
pub mod source_fields;
pub mod time_bounds;
pub mod time_filter;
pub mod unreadable;
