//! Questions to a lake, through the real `logq`.

use super::{Program, Programs};
use serde_json::{Map, Value};
use std::io;
use std::process::Command;

/// `logq` did not answer.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// It could not be run.
    #[error("cannot run logq: {0}")]
    Run(#[from] io::Error),
    /// It ended with an error.
    #[error("logq ended with status {status:?} on `{sql}`: {stderr}")]
    Failed {
        /// Query.
        sql: String,
        /// Exit status.
        status: Option<i32>,
        /// What it said.
        stderr: String,
    },
    /// It printed something that is not JSON Lines.
    #[error("logq printed no JSON on `{sql}`: {source}")]
    Answer {
        /// Query.
        sql: String,
        /// Cause.
        source: serde_json::Error,
    },
}

/// A lake to ask.
#[derive(Debug, Clone)]
pub struct Lake {
    programs: Programs,
    location: String,
    environment: Vec<(String, String)>,
}

impl Lake {
    /// The lake at `location`, a directory or URL.
    pub fn new(programs: &Programs, location: impl Into<String>) -> Self {
        Self { programs: programs.clone(), location: location.into(), environment: Vec::new() }
    }

    /// Adds environment variables, e.g. where S3 is.
    #[must_use]
    pub fn with_environment(mut self, environment: &[(String, String)]) -> Self {
        self.environment.extend_from_slice(environment);
        self
    }

    /// Where it is.
    pub fn location(&self) -> &str {
        &self.location
    }

    /// A `logq` command on this lake.
    pub fn command(&self) -> Command {
        let mut command = self.programs.command(Program::Logq);
        command.arg("--lake").arg(&self.location).env("NO_COLOR", "1");
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Rows of a query.
    ///
    /// # Errors
    /// When `logq` cannot be run, refuses the query or prints something else than JSON Lines.
    pub fn rows(&self, sql: &str) -> Result<Vec<Map<String, Value>>, QueryError> {
        let output = self.command().args(["--format", "jsonl", sql]).output()?;
        if !output.status.success() {
            return Err(QueryError::Failed {
                sql: sql.to_owned(),
                status: output.status.code(),
                stderr: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
            });
        }
        String::from_utf8_lossy(&output.stdout)
            .lines()
            .map(serde_json::from_str)
            .collect::<Result<_, _>>()
            .map_err(|source| QueryError::Answer { sql: sql.to_owned(), source })
    }

    /// The one number a query returns; 0 for no row or null.
    ///
    /// # Errors
    /// As [`Lake::rows`].
    pub fn number(&self, sql: &str) -> Result<u64, QueryError> {
        let rows = self.rows(sql)?;
        let value = rows.first().and_then(|row| row.values().next());
        Ok(value.and_then(Value::as_u64).unwrap_or_default())
    }

    /// Rows of `table`.
    ///
    /// # Errors
    /// As [`Lake::rows`].
    pub fn count(&self, table: &str) -> Result<u64, QueryError> {
        self.number(&format!("select count(*) as n from {table}"))
    }

    /// Rows of several tables, in one run.
    ///
    /// # Errors
    /// As [`Lake::rows`].
    pub fn counts(&self, tables: &[&str]) -> Result<Vec<u64>, QueryError> {
        let parts: Vec<String> = tables
            .iter()
            .enumerate()
            .map(|(index, table)| format!("select {index} as i, count(*) as n from {table}"))
            .collect();
        let mut counts = vec![0; tables.len()];
        for row in self.rows(&parts.join(" union all "))? {
            let number = |name: &str| row.get(name).and_then(Value::as_u64).unwrap_or_default();
            if let Some(count) = counts.get_mut(number("i") as usize) {
                *count = number("n");
            }
        }
        Ok(counts)
    }

    /// What `logq query` prints for people.
    ///
    /// # Errors
    /// As [`Lake::rows`].
    pub fn table(&self, sql: &str, columns: usize) -> Result<String, QueryError> {
        let output =
            self.command().env("COLUMNS", columns.to_string()).args(["--format", "table", sql]).output()?;
        if !output.status.success() {
            return Err(QueryError::Failed {
                sql: sql.to_owned(),
                status: output.status.code(),
                stderr: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
            });
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}
