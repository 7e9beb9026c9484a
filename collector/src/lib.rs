//! The collector of logq: tails container logs on a node, keeps them in a spool on disk, and
//! delivers them as landing objects to directories and S3 buckets.
//!
//! ```text
//! source thread ──batches──▶ spool thread ──sealed segments──▶ one task per sink
//!  kubernetes_logs            frames: records + positions       file, aws_s3
//! ```
//!
//! Promises: every complete line reaches every sink at least once, through crashes, rotation, full
//! disks and sink outages; in landing objects exactly once as long as the data directory survives.
//! A record has a deterministic identity, so that even a repeated one changes nothing downstream.
//!
//! Refuses: to parse or change what is in a line, to drop anything unless told to, and to keep
//! state anywhere but in its data directory. [`topology`] shows every thread, task and queue.

pub mod admin;
pub mod batch;
pub mod cli;
pub mod config;
pub mod extra;
pub mod graph;
pub mod metrics;
pub mod multiline;
pub mod position;
pub mod segment;
pub mod sinks;
pub mod sources;
pub mod spool;
pub mod stream;
pub mod template;
pub mod topology;
pub mod transforms;
