//! Container logs: from landing objects of the collector to rows of the table `app_log`.
//!
//! [`landing`] reads the object, [`logq_schemas::body`] says what a line tells about itself, [`columns`] writes
//! the row. The body is always kept as the application wrote it; what is understood of it (severity,
//! attributes, HTTP fields, trace ids) is added beside it, and a line that is not understood is a
//! row like any other.

pub mod columns;
pub mod landing;

/// Raised when the same bytes give other rows than before.
pub const PARSER_VERSION: i32 = 2;
