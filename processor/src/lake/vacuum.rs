//! Vacuum: deletes files no version of the table within the retention refers to, and files that
//! crashed writers left.
//!
//! Promises: a reader of any version younger than the retention finds all its files; a dry run names
//! what would go. Also sees to the log: a checkpoint where none is recent, log entries older than the
//! table's log retention removed.
//!
//! Refuses: a retention under a day without being told twice, because a writer or reader may be that
//! slow; and to look anywhere but in the table's own folder, so that an archive is never touched.

use super::table::{CHECKPOINT_INTERVAL, LakeTable};
use deltalake::DeltaTableError;
use deltalake::operations::vacuum::VacuumMode;
use deltalake::protocol::checkpoints;
use serde::Serialize;
use std::collections::HashMap;
use thiserror::Error;

/// How long a file stays that no current version refers to: as long as a query, a backfill or a
/// crashed writer that is taken up again might need.
pub const RETENTION: chrono::TimeDelta = chrono::TimeDelta::days(7);

/// The least retention that is taken without being told twice.
pub const RETENTION_MIN: chrono::TimeDelta = chrono::TimeDelta::days(1);

/// Why a table could not be vacuumed.
#[derive(Debug, Error)]
pub enum VacuumError {
    /// The retention is too short.
    #[error(
        "a retention of {hours} h is under {} h: a running query or writer may lose its files; give --allow-short-retention if none runs",
        RETENTION_MIN.num_hours()
    )]
    Retention {
        /// As asked for.
        hours: i64,
    },
    /// The table format failed.
    #[error("cannot vacuum table `{table}`")]
    Table {
        /// The table.
        table: &'static str,
        /// Its answer.
        source: Box<DeltaTableError>,
    },
}

/// What to delete.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// How long unreferenced files stay.
    pub retention: chrono::TimeDelta,
    /// Take a retention under [`RETENTION_MIN`].
    pub allow_short: bool,
    /// Only say what would be deleted.
    pub dry_run: bool,
}

/// What was deleted, or would be.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Vacuumed {
    /// The table.
    pub table: &'static str,
    /// Whether nothing was deleted.
    pub dry_run: bool,
    /// Paths below the table's root.
    pub files: Vec<String>,
    /// Log entries removed.
    pub log_files: u64,
}

/// Vacuums one table.
///
/// # Errors
/// When the retention is refused or the store fails; files that were deleted before stay deleted.
pub async fn vacuum(table: &mut LakeTable, options: Options) -> Result<Vacuumed, VacuumError> {
    if options.retention < RETENTION_MIN && !options.allow_short {
        return Err(VacuumError::Retention { hours: options.retention.num_hours() });
    }
    let name = table.schema().name;
    let failed = |source| VacuumError::Table { table: name, source: Box::new(source) };
    if !options.dry_run {
        set_checkpoint_interval(table).await.map_err(failed)?;
    }
    let work = table.delta().clone().vacuum();
    let (delta, metrics) = work
        .with_mode(VacuumMode::Full)
        .with_retention_period(options.retention)
        // The limit above is ours; the table's own default would refuse two days.
        .with_enforce_retention_duration(false)
        .with_dry_run(options.dry_run)
        .await
        .map_err(failed)?;
    let mut files = metrics.files_deleted;
    files.sort_unstable();
    let mut log_files = 0;
    if !options.dry_run {
        log_files = tend_log(&delta).await.map_err(failed)? as u64;
        table.set_delta(delta);
    }
    Ok(Vacuumed { table: name, dry_run: options.dry_run, files, log_files })
}

/// Tables made by an early version have no interval of their own.
async fn set_checkpoint_interval(table: &mut LakeTable) -> Result<(), DeltaTableError> {
    const KEY: &str = "delta.checkpointInterval";
    let snapshot = table.delta().snapshot()?;
    if snapshot.metadata().configuration().contains_key(KEY) {
        return Ok(());
    }
    let properties = HashMap::from([(KEY.to_owned(), CHECKPOINT_INTERVAL.to_owned())]);
    let delta = table.delta().clone().set_tbl_properties().with_properties(properties).await?;
    table.set_delta(delta);
    Ok(())
}

/// Writes a checkpoint, so that old log entries are not needed, and removes those that are expired.
async fn tend_log(delta: &deltalake::DeltaTable) -> Result<usize, DeltaTableError> {
    checkpoints::create_checkpoint(delta, None).await?;
    checkpoints::cleanup_metadata(delta, None).await
}
