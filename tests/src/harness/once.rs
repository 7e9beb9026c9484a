//! `logq-processor once`.

use super::{Program, Programs};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;

/// The summary the processor prints.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Report {
    /// Input objects taken in.
    pub objects: u64,
    /// Input objects that were in the lake before.
    pub objects_known: u64,
    /// Records found.
    pub records: u64,
    /// Rows written, by table.
    pub rows: BTreeMap<String, u64>,
    /// Records that could not be parsed, by reason.
    pub rejected: BTreeMap<String, u64>,
    /// Records dropped because they were in the lake.
    pub duplicates: u64,
    /// Records without data by definition.
    pub skipped: u64,
    /// Bytes as stored.
    pub stored_bytes: u64,
    /// Bytes after decompression.
    pub inflated_bytes: u64,
    /// Bytes written to the lake.
    pub lake_bytes: u64,
    /// Time it took.
    pub seconds: f64,
    /// Exit status of the process.
    #[serde(skip)]
    pub status: i32,
    /// What it said beside the summary.
    #[serde(skip)]
    pub stderr: String,
}

impl Report {
    /// All rows.
    pub fn all_rows(&self) -> u64 {
        self.rows.values().sum()
    }

    /// All rejected records.
    pub fn all_rejected(&self) -> u64 {
        self.rejected.values().sum()
    }

    /// `records = rows + rejected + duplicates + skipped`
    pub fn reconciles(&self) -> bool {
        self.records == self.all_rows() + self.all_rejected() + self.duplicates + self.skipped
    }
}

/// The processor did not give a summary.
#[derive(Debug, thiserror::Error)]
pub enum OnceError {
    /// It could not be run.
    #[error("cannot run logq-processor: {0}")]
    Run(#[from] io::Error),
    /// It ended without one.
    #[error("logq-processor ended with status {status:?}: {stderr}")]
    Failed {
        /// Exit status.
        status: Option<i32>,
        /// What it said.
        stderr: String,
    },
}

/// Takes `inputs` (files, directories, URLs, and options such as `--exclude`) into the lake.
///
/// # Errors
/// When the processor cannot be run or prints no summary. Status 3 (some objects could not be
/// read) is a [`Report`], not an error.
pub fn once<A: Into<OsString>>(
    programs: &Programs,
    lake: &str,
    inputs: impl IntoIterator<Item = A>,
    environment: &[(String, String)],
) -> Result<Report, OnceError> {
    let output = programs
        .command(Program::Processor)
        .args(["once", "--format", "json", "--lake", lake])
        .args(inputs.into_iter().map(Into::into))
        .envs(environment.iter().map(|(name, value)| (name, value)))
        .output()?;
    let stderr = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    let status = output.status.code();
    match serde_json::from_slice::<Report>(&output.stdout) {
        Ok(report) => Ok(Report { status: status.unwrap_or(-1), stderr, ..report }),
        Err(_) => Err(OnceError::Failed { status, stderr }),
    }
}
