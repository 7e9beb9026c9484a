//! Tests of the collector as a whole: the program on recorded container logs, its command line, and
//! the generated reference pages.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

#[cfg(feature = "kubernetes")]
mod api_server;
mod fixtures;
#[cfg(feature = "kubernetes")]
mod kubernetes;
mod program;
mod reference;
