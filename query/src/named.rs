//! Named queries: what incident responders ask first, ready to run.
//!
//! A named query is one SQL file. A YAML header in its leading comment says what it answers, which
//! tables it reads and which parameters it takes; `$name` in the SQL stands for a parameter. Shipped
//! ones live in `queries/` and are part of the program; a directory of the configuration adds more.
//!
//! Promises: every shipped query is checked when the tests run, on planted rows; a parameter's value
//! is only ever a value, whatever is in it ([`binding`]); a missing or wrong one is told with what the
//! query wants.

pub mod binding;
pub mod header;
pub mod library;
pub mod parameter;

pub use header::NamedQuery;
pub use library::Library;
