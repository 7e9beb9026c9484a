//! End-to-end tests: the real programs, as processes, on real files.
//!
//! `./dev test` builds the programs and the Python environment first. Files are named after what
//! they prove; a test whose name starts with `g<N>_` proves promise N of docs/guarantees.md.
#![allow(clippy::unwrap_used, clippy::panic)] // a test that cannot go on should stop

mod aws;
mod conformance;
mod containerd;
mod containerd_faults;
mod crash_points;
mod credentials;
mod deploy;
mod e2e;
mod faults;
mod fixtures;
mod house;
mod many_writers;
mod operations;
mod pulled;
mod queue;
mod radosgw;
mod readers;
mod recovery;
mod replay;
mod sigma;
mod stage;
mod tiers;
mod upkeep;
mod verified;
