//! `logq`: SQL and detections over the lake, for analysts.
//!
//! Read-only, memory-bounded and honest: a query sees whole batches or none, an object that cannot
//! be read is named and changes the exit code, and no log line can drive the terminal it is shown in.

pub mod cli;
pub mod config;
pub mod detect;
pub mod exit_code;
pub mod functions;
pub mod named;
pub mod output;
pub mod report;
pub mod session;
pub mod tables;
