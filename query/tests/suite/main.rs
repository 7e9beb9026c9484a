//! The real binary over real lakes: Delta tables written for each test into a temporary directory.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

mod formats;
mod honesty;
mod lake;
mod named;
mod pruning;
mod raw_files;
mod reference;
mod report;
mod shell;
mod sql;
mod sql_logic;
