//! Reads some columns back from the tables: what the processor needs to know of what it wrote.

use super::table::LakeTable;
use arrow::array::RecordBatch;
use bytes::Bytes;
use deltalake::{DeltaTableError, ObjectStore, Path};
use futures::future::BoxFuture;
use futures::{FutureExt, TryStreamExt};
use object_store::ObjectStoreExt;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ArrowReaderOptions;
use parquet::arrow::async_reader::{AsyncFileReader, ParquetRecordBatchStreamBuilder};
use parquet::errors::ParquetError;
use parquet::file::metadata::{ParquetMetaData, ParquetMetaDataReader};
use std::ops::Range;
use std::sync::Arc;
use thiserror::Error;

/// The footer of our files fits in this, so that one request reads it.
const FOOTER_BYTES: usize = 64 << 10;

/// Why a table cannot be read back.
#[derive(Debug, Error)]
pub enum ReadError {
    /// The table's log cannot be read.
    #[error("cannot list the files of table `{table}`")]
    Log {
        /// The table.
        table: &'static str,
        /// The table format's answer.
        source: Box<DeltaTableError>,
    },
    /// A data file cannot be read.
    #[error("cannot read {path} of table `{table}`: the file is in the table's log but missing or damaged")]
    File {
        /// The table.
        table: &'static str,
        /// The file, below the table's root.
        path: String,
        /// Parquet's answer.
        source: ParquetError,
    },
}

/// A data file of the table's current version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileEntry {
    /// Path below the table's root.
    pub path: Path,
    /// Bytes.
    pub size: u64,
}

/// The table's data files, newest first.
///
/// # Errors
/// When the table is not loaded.
pub fn data_files(table: &LakeTable) -> Result<Vec<FileEntry>, ReadError> {
    let failed = |source| ReadError::Log { table: table.schema().name, source: Box::new(source) };
    let snapshot = table.delta().snapshot().map_err(failed)?;
    let mut files: Vec<(i64, FileEntry)> = snapshot
        .log_data()
        .iter()
        .map(|file| {
            let entry = FileEntry { path: file.object_store_path(), size: file.size().unsigned_abs() };
            (file.modification_time(), entry)
        })
        .collect();
    files.sort_by(|(one_time, one), (other_time, other)| {
        other_time.cmp(one_time).then_with(|| one.path.cmp(&other.path))
    });
    Ok(files.into_iter().map(|(_, file)| file).collect())
}

/// Reads some columns of one data file.
///
/// # Errors
/// When the file is missing or damaged.
pub async fn read_columns(
    table: &LakeTable,
    file: &FileEntry,
    columns: &[&str],
) -> Result<Vec<RecordBatch>, ReadError> {
    let failed = |source| ReadError::File { table: table.schema().name, path: file.path.to_string(), source };
    let reader = StoredFile { store: table.delta().object_store(), file: file.clone() };
    let builder = ParquetRecordBatchStreamBuilder::new(reader).await.map_err(failed)?;
    let mask = ProjectionMask::columns(builder.parquet_schema(), columns.iter().copied());
    let stream = builder.with_projection(mask).build().map_err(failed)?;
    stream.try_collect().await.map_err(failed)
}

/// A Parquet file in a store.
pub(super) struct StoredFile {
    store: Arc<dyn ObjectStore>,
    file: FileEntry,
}

impl StoredFile {
    /// The file at `path`, of `size` bytes.
    pub(super) fn new(store: Arc<dyn ObjectStore>, path: Path, size: u64) -> StoredFile {
        StoredFile { store, file: FileEntry { path, size } }
    }
}

fn external(error: deltalake::ObjectStoreError) -> ParquetError {
    ParquetError::External(Box::new(error))
}

impl AsyncFileReader for StoredFile {
    fn get_bytes(&mut self, range: Range<u64>) -> BoxFuture<'_, parquet::errors::Result<Bytes>> {
        async move { self.store.get_range(&self.file.path, range).await.map_err(external) }.boxed()
    }

    fn get_byte_ranges(
        &mut self,
        ranges: Vec<Range<u64>>,
    ) -> BoxFuture<'_, parquet::errors::Result<Vec<Bytes>>> {
        async move { self.store.get_ranges(&self.file.path, &ranges).await.map_err(external) }.boxed()
    }

    fn get_metadata<'a>(
        &'a mut self,
        _options: Option<&'a ArrowReaderOptions>,
    ) -> BoxFuture<'a, parquet::errors::Result<Arc<ParquetMetaData>>> {
        async move {
            let size = self.file.size;
            let reader = ParquetMetaDataReader::new().with_prefetch_hint(Some(FOOTER_BYTES));
            Ok(Arc::new(reader.load_and_finish(self, size).await?))
        }
        .boxed()
    }
}
