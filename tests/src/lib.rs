//! What proves the pipeline: a generator of realistic logs, a harness around the real programs and
//! the demo that shows them at work.
//!
//! * [`loggen`] writes CloudTrail objects, flow logs and container logs of any size from a seed,
//!   with planted and labelled attacks.
//! * [`harness`] finds, starts, stops and kills the real binaries and reads their answers.
//! * [`demo`] is what `./dev demo` runs.
//!
//! Nothing here is linked into a program that ships: the programs are only ever run as processes.

pub mod container_runtime;
pub mod demo;
pub mod doubles;
pub mod harness;
pub mod loggen;
