//! Why a query has no answer, in the words of an analyst.

use super::time_range::TimeError;
use crate::exit_code;
use crate::tables::unreadable::Unreadable;

/// Why a query has no answer.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// A table was named and no lake is known.
    #[error(
        "no lake: pass --lake DIRECTORY or --lake s3://bucket/prefix, or set {}; without either, {} below the current directory is used and does not exist here",
        crate::config::LAKE_VARIABLE,
        crate::config::DEMO_LAKE
    )]
    NoLake,
    /// The lake cannot be found or reached.
    #[error("cannot use the lake {location}: {reason}")]
    Lake {
        /// As given.
        location: String,
        /// What is wrong and what to do.
        reason: String,
    },
    /// The log of a table cannot be read, so which files belong to it is unknown.
    #[error("cannot open table {table} at {location}: {reason}")]
    Table {
        /// Name in SQL.
        table: String,
        /// URL of its directory.
        location: String,
        /// What is wrong.
        reason: String,
    },
    /// Neither a table of the lake nor of logq.
    #[error("no table called {name}{}; tables: {}", suggestion(.nearest.as_deref()), .known.join(", "))]
    UnknownTable {
        /// As written.
        name: String,
        /// A name it may have meant.
        nearest: Option<String>,
        /// All names.
        known: Vec<String>,
    },
    /// A file named in `from` cannot be queried.
    #[error("cannot query the file {name}: {reason}")]
    File {
        /// As written.
        name: String,
        /// What is wrong and what to do.
        reason: String,
    },
    /// No such column in the tables of the query.
    #[error("no column called {name}{hint}")]
    UnknownColumn {
        /// As written, lower-cased by SQL unless quoted.
        name: String,
        /// Where to find what was meant.
        hint: String,
    },
    /// A statement that would change something.
    #[error("{statement} is refused, logq is read-only: {reason}")]
    ReadOnly {
        /// Its leading keywords.
        statement: String,
        /// What to do instead.
        reason: &'static str,
    },
    /// The SQL does not parse or plan.
    #[error("{message}")]
    Sql {
        /// The engine's message.
        message: String,
    },
    /// The query failed on its data, e.g. a cast of a text that is not a number.
    #[error("the query failed: {message}")]
    Execution {
        /// The engine's message.
        message: String,
    },
    /// An object of the lake cannot be read: no smaller answer is given.
    #[error("{0}")]
    Incomplete(Box<Unreadable>),
    /// Memory or spill space ran out.
    #[error(
        "not enough memory or disk for this query: {message}; narrow it with --since, or raise --memory-limit"
    )]
    Resources {
        /// Which operator wanted how much.
        message: String,
    },
    /// `--max-bytes`.
    #[error(
        "the query had read {} when --max-bytes {} stopped it, of {files} files: narrow it with --since or a condition, or raise the limit",
        indicatif::HumanBytes(*read),
        indicatif::HumanBytes(*limit)
    )]
    TooManyBytes {
        /// The limit.
        limit: u64,
        /// Bytes read.
        read: u64,
        /// Files the query reads from.
        files: usize,
    },
    /// `--since` or `--until`.
    #[error(transparent)]
    Time(#[from] TimeError),
}

fn suggestion(nearest: Option<&str>) -> String {
    nearest.map(|name| format!(", did you mean {name}?")).unwrap_or_default()
}

impl QueryError {
    /// The exit code of the process that fails with this error.
    pub fn exit_code(&self) -> u8 {
        match self {
            QueryError::NoLake | QueryError::Lake { .. } | QueryError::Table { .. } => exit_code::LAKE,
            QueryError::Incomplete(_) => exit_code::INCOMPLETE,
            QueryError::Resources { .. } | QueryError::TooManyBytes { .. } => exit_code::RESOURCES,
            QueryError::UnknownTable { .. }
            | QueryError::UnknownColumn { .. }
            | QueryError::File { .. }
            | QueryError::ReadOnly { .. }
            | QueryError::Sql { .. }
            | QueryError::Execution { .. }
            | QueryError::Time(_) => exit_code::USAGE,
        }
    }
}
