//! A data file goes to its table's folder; what comes back is its entry in the table's log.

use super::table::LakeTable;
use super::write::DataFile;
use crate::storage::{Lake, StorageError};
use deltalake::Path;
use deltalake::kernel::Add;
use logq_schemas::Table;
use object_store::ObjectStoreExt;
use std::collections::HashMap;

/// Stores a file at `now` (µs since the epoch). It is no part of the table before its entry is committed.
///
/// # Errors
/// When the store fails.
pub async fn store_file(
    lake: &Lake,
    table: &LakeTable,
    file: DataFile,
    now: i64,
) -> Result<Add, StorageError> {
    let store = table.delta().object_store();
    let path = Path::from(file.path.as_str());
    let size = file.bytes.len();
    if let Err(source) = store.put(&path, file.bytes.into()).await {
        let location = format!("{}{path}", lake.table_url(file.table.name));
        return Err(StorageError::Request { location, source });
    }
    Ok(Add {
        path: file.path,
        partition_values: HashMap::from([(Table::PARTITION.to_owned(), Some(file.date))]),
        size: i64::try_from(size).unwrap_or(i64::MAX),
        modification_time: now / 1_000,
        data_change: true,
        stats: Some(file.stats),
        tags: None,
        deletion_vector: None,
        base_row_id: None,
        default_row_commit_version: None,
        clustering_provider: None,
    })
}
