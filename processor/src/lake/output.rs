//! Sorted rows of one day on their way into the table's folder: files near a target size, encoded as
//! every data file is, written while rows come, so that memory does not depend on the day.

use super::stats::FileStats;
use super::upload::Upload;
use super::write::{ROW_GROUP_ROWS, properties};
use arrow::array::RecordBatch;
use bytes::Bytes;
use deltalake::kernel::Add;
use deltalake::{ObjectStore, ObjectStoreError, Path};
use logq_schemas::Table;
use object_store::Attributes;
use parquet::arrow::ArrowWriter;
use parquet::errors::ParquetError;
use std::collections::HashMap;
use std::sync::Arc;
use thiserror::Error;

/// Why a file cannot be written.
#[derive(Debug, Error)]
pub enum OutputError {
    /// The store failed.
    #[error("cannot write {path} of table `{table}`")]
    Store {
        /// The table.
        table: &'static str,
        /// Path below its root.
        path: String,
        /// The store's answer.
        source: Box<ObjectStoreError>,
    },
    /// Encoding failed.
    #[error("cannot encode rows of table `{table}`")]
    Encode {
        /// The table.
        table: &'static str,
        /// Parquet's answer.
        source: ParquetError,
    },
}

/// A file that was written.
#[derive(Debug, Clone)]
pub struct Written {
    /// Path below the table's root.
    pub path: String,
    /// Bytes.
    pub bytes: u64,
    /// Rows.
    pub rows: u64,
    /// SHA-256 in hex.
    pub sha256: String,
    /// Statistics for the Delta log.
    pub stats: String,
    /// Smallest and largest event time, µs.
    pub times: Option<(i64, i64)>,
}

impl Written {
    /// The action that puts it into the table. `modified` is when the newest of its rows were written,
    /// so that whoever looks for the newest rows need not read every rewritten file.
    pub fn add(&self, day: &str, modified: i64) -> Add {
        Add {
            path: self.path.clone(),
            partition_values: HashMap::from([(Table::PARTITION.to_owned(), Some(day.to_owned()))]),
            size: i64::try_from(self.bytes).unwrap_or(i64::MAX),
            modification_time: modified,
            data_change: false,
            stats: Some(self.stats.clone()),
            tags: None,
            deletion_vector: None,
            base_row_id: None,
            default_row_commit_version: None,
            clustering_provider: None,
        }
    }
}

struct Open {
    path: String,
    writer: ArrowWriter<Vec<u8>>,
    upload: Upload,
    stats: FileStats,
}

/// Writes the files of one day.
pub struct DayOutput {
    store: Arc<dyn ObjectStore>,
    table: &'static Table,
    /// `event_date=…/<name>`, to which a number is added.
    prefix: String,
    file_bytes: u64,
    rows_left: u64,
    open: Option<Open>,
    written: Vec<Written>,
}

impl DayOutput {
    /// Files `<prefix>-0001.parquet`, … of about `file_bytes` each; `rows` is about how many come.
    pub fn new(
        store: Arc<dyn ObjectStore>,
        table: &'static Table,
        day: &str,
        name: &str,
        file_bytes: u64,
        rows: u64,
    ) -> DayOutput {
        let prefix = format!("{}={day}/{name}", Table::PARTITION);
        DayOutput { store, table, prefix, file_bytes, rows_left: rows, open: None, written: Vec::new() }
    }

    fn encode(&self) -> impl Fn(ParquetError) -> OutputError + use<> {
        let table = self.table.name;
        move |source| OutputError::Encode { table, source }
    }

    fn begin(&self, batch: &RecordBatch) -> Result<Open, OutputError> {
        let path = format!("{}-{:04}.parquet", self.prefix, self.written.len() + 1);
        let rows = usize::try_from(self.rows_left).unwrap_or(ROW_GROUP_ROWS).max(batch.num_rows());
        let properties = properties(self.table, rows);
        let writer =
            ArrowWriter::try_new(Vec::new(), batch.schema(), Some(properties)).map_err(self.encode())?;
        let upload = Upload::new(self.store.clone(), Path::from(path.as_str()), Attributes::default());
        Ok(Open { path, writer, upload, stats: FileStats::new(self.table) })
    }

    /// Adds sorted rows in the table's stored schema.
    ///
    /// # Errors
    /// When encoding or storing fails; nothing of the open file is left then.
    pub async fn write(&mut self, batch: &RecordBatch) -> Result<(), OutputError> {
        if batch.num_rows() == 0 {
            return Ok(());
        }
        let mut open = match self.open.take() {
            Some(open) => open,
            None => self.begin(batch)?,
        };
        open.stats.add(batch);
        self.rows_left = self.rows_left.saturating_sub(batch.num_rows() as u64);
        if let Err(source) = open.writer.write(batch) {
            open.upload.abort().await;
            return Err(OutputError::Encode { table: self.table.name, source });
        }
        let ready = std::mem::take(open.writer.inner_mut());
        self.send(&mut open, ready).await?;
        let bytes = open.upload.bytes() + open.writer.in_progress_size() as u64;
        if bytes < self.file_bytes {
            self.open = Some(open);
            return Ok(());
        }
        self.close(open).await
    }

    async fn send(&self, open: &mut Open, bytes: Vec<u8>) -> Result<(), OutputError> {
        if bytes.is_empty() {
            return Ok(());
        }
        open.upload.write(Bytes::from(bytes)).await.map_err(|source| self.failed(&open.path, source))
    }

    fn failed(&self, path: &str, source: ObjectStoreError) -> OutputError {
        OutputError::Store { table: self.table.name, path: path.to_owned(), source: Box::new(source) }
    }

    async fn close(&mut self, mut open: Open) -> Result<(), OutputError> {
        open.writer.finish().map_err(self.encode())?;
        let rest = std::mem::take(open.writer.inner_mut());
        self.send(&mut open, rest).await?;
        let stored = open.upload.finish().await.map_err(|source| self.failed(&open.path, source))?;
        let time = if self.table.is_event_table() { "event_time" } else { "ingest_time" };
        self.written.push(Written {
            path: open.path,
            bytes: stored.bytes,
            rows: open.stats.rows() as u64,
            sha256: stored.sha256,
            stats: open.stats.to_json(),
            times: open.stats.times(time),
        });
        Ok(())
    }

    /// Ends the last file; gives all of them.
    ///
    /// # Errors
    /// As [`DayOutput::write`].
    pub async fn finish(mut self) -> Result<Vec<Written>, OutputError> {
        if let Some(open) = self.open.take() {
            self.close(open).await?;
        }
        Ok(self.written)
    }
}
