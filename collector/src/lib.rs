//! The collector of logq: tails logs on a node, parses and redacts them, keeps them in a spool on
//! disk, and delivers them to S3, CloudWatch Logs and directories.
//!
//! ```text
//! source thread ──batches──▶ graph of transforms ──lanes──▶ spool thread ──sealed segments──▶ one task per sink
//!  kubernetes_logs            parse, redact, …               frames: records + positions       aws_s3, …
//!  file
//! ```
//!
//! Promises: every complete line reaches every sink at least once, through crashes, rotation, full
//! disks and sink outages; in landing objects exactly once as long as the data directory survives.
//! A record has a deterministic identity, so that even a repeated one changes nothing downstream.
//!
//! Refuses: to change what is in a line unless a transform is told to, to drop anything unless told
//! to, and to keep state anywhere but in its data directory. [`topology`] shows every thread, task
//! and queue.

pub mod admin;
pub mod batch;
pub mod budget;
pub mod cases;
pub mod cli;
pub mod config;
pub mod extra;
pub mod graph;
pub mod import;
pub mod kubernetes;
pub mod memory;
pub mod metrics;
pub mod multiline;
pub mod position;
pub mod segment;
pub mod sinks;
pub mod sources;
pub mod spool;
pub mod stream;
pub mod tap;
pub mod template;
pub mod topology;
pub mod transforms;
