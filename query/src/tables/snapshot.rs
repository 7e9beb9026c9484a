//! One version of a table: what its log says.

use super::files::FileList;
use crate::session::{Lake, QueryError};
use arrow::datatypes::SchemaRef;
use deltalake::{DeltaTable, DeltaTableBuilder, DeltaTableError};
use object_store::ObjectStore;
use std::error::Error;
use std::fmt;
use std::sync::Arc;

/// The protocol version of Delta readers whose tables are plain Parquet files.
///
/// Version 2 and 3 may rename columns or delete rows outside the files; reading such a table as
/// plain files would give wrong answers, so it is refused unless only harmless features are named.
const READER_VERSION_PLAIN: i32 = 1;

/// Reader features that change nothing about how files are read.
const HARMLESS_FEATURES: [&str; 2] = ["v2Checkpoint", "timestampNtz"];

/// One version of a table.
pub struct Snapshot {
    /// Name in SQL.
    pub name: String,
    /// URL of the table's directory.
    pub location: String,
    /// Version of the log that was read.
    pub version: u64,
    /// Columns in the order of the log, partition columns included.
    pub schema: SchemaRef,
    /// Names of the partition columns.
    pub partition_columns: Vec<String>,
    /// Its files with their bounds.
    pub files: FileList,
    /// Store rooted at the table's directory.
    pub store: Arc<dyn ObjectStore>,
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Snapshot")
            .field("location", &self.location)
            .field("version", &self.version)
            .field("files", &self.files.len())
            .finish_non_exhaustive()
    }
}

/// Reads the latest version of the table `name`; `None` when the lake has no such table.
///
/// # Errors
/// [`QueryError::NoLake`], or [`QueryError::Table`] when the lake cannot be reached or the log not
/// be read.
pub async fn open(lake: &Lake, name: &str) -> Result<Option<Snapshot>, QueryError> {
    let url = lake.table_url(name)?;
    let failed = |reason: String| QueryError::Table {
        table: name.to_owned(),
        location: url.as_str().trim_end_matches('/').to_owned(),
        reason,
    };
    let read = |error: DeltaTableError| failed(reason(&error));
    let mut table =
        DeltaTableBuilder::from_url(url.clone()).and_then(DeltaTableBuilder::build).map_err(read)?;
    if !table.verify_deltatable_existence().await.map_err(read)? {
        return Ok(None);
    }
    table.load().await.map_err(read)?;
    check_protocol(&table).map_err(failed)?;
    let state = table.snapshot().map_err(read)?;
    let partition_columns: Vec<String> = state.metadata().partition_columns().to_vec();
    let schema = state.snapshot().arrow_schema();
    let actions = state.snapshot().add_actions_table(true).map_err(read)?;
    let files = FileList::new(actions, &schema, &partition_columns).map_err(failed)?;
    Ok(Some(Snapshot {
        name: name.to_owned(),
        location: url.as_str().trim_end_matches('/').to_owned(),
        version: state.version(),
        schema,
        partition_columns,
        files,
        store: table.log_store().object_store(None),
    }))
}

/// Names of the directories directly below the lake.
///
/// # Errors
/// [`QueryError::NoLake`], or [`QueryError::Lake`] when it cannot be listed.
pub async fn directories(lake: &Lake) -> Result<Vec<String>, QueryError> {
    let failed = |reason: String| QueryError::Lake { location: lake.location().to_owned(), reason };
    let store = DeltaTableBuilder::from_url(lake.url()?.clone())
        .and_then(|builder| builder.build_storage())
        .map_err(|error| failed(reason(&error)))?
        .object_store(None);
    let listed = store
        .list_with_delimiter(None)
        .await
        .map_err(|error| failed(reason(&DeltaTableError::from(error))))?;
    Ok(listed.common_prefixes.iter().filter_map(|path| path.filename().map(str::to_owned)).collect())
}

fn check_protocol(table: &DeltaTable) -> Result<(), String> {
    let state = table.snapshot().map_err(|error| error.to_string())?;
    let protocol = state.protocol();
    if protocol.min_reader_version() <= READER_VERSION_PLAIN {
        return Ok(());
    }
    let features: Vec<String> = protocol
        .reader_features()
        .map(|features| features.iter().map(ToString::to_string).collect())
        .unwrap_or_else(|| vec!["columnMapping".to_owned()]);
    let refused: Vec<&str> =
        features.iter().map(String::as_str).filter(|feature| !HARMLESS_FEATURES.contains(feature)).collect();
    if refused.is_empty() {
        return Ok(());
    }
    Err(format!(
        "it needs a reader with {}, which tables written by logq-processor never do; another program has changed it: rewrite it with reader version {READER_VERSION_PLAIN}",
        refused.join(", ")
    ))
}

/// The message of an error with its causes, on one line and without repeating itself.
fn reason(error: &DeltaTableError) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let message = error.to_string();
        if !text.contains(&message) {
            text = format!("{text}: {message}");
        }
        cause = error.source();
    }
    let text = text.replace(['\n', '\r'], " ");
    match advice(&text) {
        Some(advice) => format!("{text}; {advice}"),
        None => text,
    }
}

/// What to do about the failures of a store that analysts meet most.
fn advice(text: &str) -> Option<&'static str> {
    let has = |words: &[&str]| words.iter().any(|word| text.contains(word));
    if has(&["AccessDenied", "403 Forbidden", "PermissionDenied", "Permission denied"]) {
        Some("the credentials in use may not read it: s3:ListBucket and s3:GetObject on the lake are needed")
    } else if has(&["InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken"]) {
        Some("the AWS credentials are wrong or expired: log in again, or set AWS_PROFILE")
    } else if has(&["NoSuchBucket"]) {
        Some("the bucket does not exist")
    } else if has(&["credential", "Credential"]) {
        Some("no AWS credentials found: log in, or set AWS_PROFILE")
    } else {
        None
    }
}
