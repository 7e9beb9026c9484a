//! The real binary over real lakes: Delta tables written for each test into a temporary directory.
#![allow(clippy::unwrap_used, missing_docs)]

mod formats;
mod honesty;
mod lake;
mod pruning;
mod reference;
mod sql;
