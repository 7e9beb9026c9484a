//! Rows of a bookkeeping table that no batch of input objects brings: they are written and committed
//! in one go, under a name of their own, so that the commit lands once however often it is tried.

use super::store::store_file;
use super::table::{LakeTable, TableError};
use super::write::{BatchWriter, DataFile, WriteError};
use crate::storage::{Lake, StorageError};
use arrow::array::RecordBatch;
use logq_schemas::Table;
use thiserror::Error;

/// Rows are sorted and encoded when they reach this size in memory.
const MEMORY_BYTES_MAX: usize = 64 << 20;

/// Why rows did not land.
#[derive(Debug, Error)]
pub enum RecordError {
    /// They cannot be encoded.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// They cannot be stored.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// They cannot be committed.
    #[error(transparent)]
    Table(#[from] TableError),
}

/// Appends `batches` to `table`. `run` names who writes, `at` (µs since the epoch) the moment: together
/// they are unique, and name the files and the commit.
///
/// # Errors
/// When the lake fails; then none of the rows is in the table.
pub async fn append(
    lake: &Lake,
    table: &'static Table,
    batches: Vec<RecordBatch>,
    run: &str,
    at: i64,
) -> Result<u64, RecordError> {
    let mut files: Vec<DataFile> = Vec::new();
    let mut keep = |file: DataFile| {
        files.push(file);
        Ok(())
    };
    let mut writer = BatchWriter::new(run, at, MEMORY_BYTES_MAX, &mut keep);
    for batch in batches {
        writer.push(table, batch);
    }
    writer.finish()?;
    if files.is_empty() {
        return Ok(0);
    }
    let rows = files.iter().map(|file| file.rows).sum();
    let mut open = LakeTable::open(lake, table).await?;
    let mut entries = Vec::with_capacity(files.len());
    for file in files {
        entries.push(store_file(lake, &open, file, at).await?);
    }
    // A transaction name per run: two runs at once must both land.
    open.append(&entries, &format!("logq-processor/{run}-{at}"), at).await?;
    Ok(rows)
}
