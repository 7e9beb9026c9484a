//! Tests of the collector as a whole: the program on recorded container logs, its command line, and
//! the generated reference pages.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

#[cfg(feature = "kubernetes")]
mod api_server;
mod cases;
mod fixtures;
#[cfg(all(feature = "http", feature = "otlp"))]
mod http_sink;
mod import;
#[cfg(feature = "kubernetes")]
mod kubernetes;
mod operations;
#[cfg(all(feature = "http", feature = "otlp"))]
mod otlp_sink;
mod program;
#[cfg(any(feature = "forward", feature = "otlp"))]
mod pushed;
#[cfg(any(feature = "http", feature = "otlp"))]
mod receiver;
mod reference;
mod stdin_source;
