//! One sorted input of a merge: a data file in the store, or a piece that was sorted or merged before
//! and waits in a temporary file.

use super::{MergeError, Shape};
use crate::lake::days::DayFile;
use crate::lake::read::StoredFile;
use crate::lake::write::ROW_GROUP_ROWS;
use arrow::array::RecordBatch;
use arrow::row::Rows;
use deltalake::{ObjectStore, Path};
use futures::StreamExt;
use futures::stream::BoxStream;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};
use parquet::arrow::async_reader::ParquetRecordBatchStreamBuilder;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::metadata::ParquetMetaData;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use std::fs::File;
use std::sync::Arc;

/// Bytes of rows decoded at a time. A merge holds two such batches for every open run.
const BATCH_BYTES: u64 = 2 << 20;

/// Bytes of rows of a row group in a temporary file: they are decompressed together.
const SPILL_GROUP_BYTES: usize = 8 << 20;

/// Rows decoded at a time so that they take about [`BATCH_BYTES`].
fn batch_rows(metadata: &ParquetMetaData) -> usize {
    let rows: u64 = metadata.file_metadata().num_rows().unsigned_abs();
    let bytes: u64 = metadata.row_groups().iter().map(|group| group.total_byte_size().unsigned_abs()).sum();
    let width = bytes.checked_div(rows).unwrap_or(0).max(1);
    usize::try_from((BATCH_BYTES / width).clamp(16, 8_192)).unwrap_or(8_192)
}

/// Where a run's rows are.
#[derive(Debug)]
pub(super) enum Source {
    Stored(Arc<dyn ObjectStore>, DayFile),
    Spilled(File),
}

/// A run before it is opened.
#[derive(Debug)]
pub(super) struct Waiting {
    pub source: Source,
    /// Its rows are compared with and not handed out.
    pub reference: bool,
    /// Bounds of the first sort column where known: it need not be opened before.
    pub times: Option<(i64, i64)>,
    /// Memory it takes while it is open.
    pub cost: u64,
}

impl Waiting {
    pub(super) fn stored(store: Arc<dyn ObjectStore>, file: DayFile, reference: bool) -> Waiting {
        // A row group's compressed bytes are held together, beside two decoded batches.
        let rows = file.rows.unwrap_or(0).max(1);
        let group = file.size.saturating_mul(rows.min(ROW_GROUP_ROWS as u64)) / rows;
        let times = file.times;
        Waiting { cost: group + 2 * BATCH_BYTES, source: Source::Stored(store, file), reference, times }
    }
}

enum Reader {
    Stored(BoxStream<'static, parquet::errors::Result<RecordBatch>>),
    Spilled(Box<ParquetRecordBatchReader>),
}

/// An open run, at one of its rows.
pub(super) struct Run {
    reader: Reader,
    name: String,
    pub reference: bool,
    pub batch: RecordBatch,
    pub keys: Rows,
    pub row: usize,
    /// Number of the batch among those the merge holds.
    pub slot: usize,
}

impl Run {
    /// Opens a run at its first row; `None` when it has none.
    pub(super) async fn open(waiting: Waiting, shape: &Shape) -> Result<Option<Run>, MergeError> {
        let (reader, name) = match waiting.source {
            Source::Stored(store, file) => {
                (Reader::Stored(open_stored(&store, &file, shape).await?), file.path)
            }
            Source::Spilled(file) => {
                let failed = |source| MergeError::Spill(Box::new(source));
                let builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(failed)?;
                let rows = batch_rows(builder.metadata());
                let reader = builder.with_batch_size(rows).build().map_err(failed)?;
                (Reader::Spilled(Box::new(reader)), "a temporary file".to_owned())
            }
        };
        let batch = RecordBatch::new_empty(shape.schema.clone());
        let keys = shape.keys(&batch)?;
        let mut run = Run { reader, name, reference: waiting.reference, batch, keys, row: 0, slot: 0 };
        Ok(run.load(shape).await?.then_some(run))
    }

    /// Reads the next batch that has rows; false at the end. The batch in hand is let go.
    pub(super) async fn load(&mut self, shape: &Shape) -> Result<bool, MergeError> {
        loop {
            let next = match &mut self.reader {
                Reader::Stored(stream) => stream.next().await.transpose().map_err(|source| {
                    MergeError::Read { table: shape.table.name, path: self.name.clone(), source }
                })?,
                Reader::Spilled(reader) => {
                    let failed = |source| MergeError::Spill(Box::new(source));
                    reader.next().transpose().map_err(|source| failed(source.into()))?
                }
            };
            let Some(batch) = next else { return Ok(false) };
            if batch.num_rows() == 0 {
                continue;
            }
            let batch = shape.adapt(&batch, &self.name)?;
            let keys = shape.keys(&batch)?;
            let before = self.keys.num_rows().checked_sub(1).map(|last| self.keys.row(last));
            let sorted = before.is_none_or(|last| last <= keys.row(0))
                && (1..keys.num_rows()).all(|row| keys.row(row - 1) <= keys.row(row));
            if !sorted {
                return Err(MergeError::Unsorted { table: shape.table.name, path: self.name.clone() });
            }
            (self.batch, self.keys, self.row) = (batch, keys, 0);
            return Ok(true);
        }
    }
}

/// The rows of a data file, some at a time.
pub(super) async fn open_stored(
    store: &Arc<dyn ObjectStore>,
    file: &DayFile,
    shape: &Shape,
) -> Result<BoxStream<'static, parquet::errors::Result<RecordBatch>>, MergeError> {
    let failed = |source| MergeError::Read { table: shape.table.name, path: file.path.clone(), source };
    let path = Path::parse(&file.path).unwrap_or_else(|_| Path::from(file.path.as_str()));
    let reader = StoredFile::new(store.clone(), path, file.size);
    let builder = ParquetRecordBatchStreamBuilder::new(reader).await.map_err(failed)?;
    let rows = batch_rows(builder.metadata());
    Ok(builder.with_batch_size(rows).build().map_err(failed)?.boxed())
}

/// Writes a sorted piece into a temporary file, which goes with the last handle to it.
pub(super) struct Spill {
    writer: ArrowWriter<File>,
}

impl Spill {
    pub(super) fn new(shape: &Shape) -> Result<Spill, MergeError> {
        let level = ZstdLevel::try_new(1).unwrap_or_default();
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(level))
            .set_statistics_enabled(EnabledStatistics::None)
            .set_dictionary_enabled(false)
            .build();
        let file = tempfile::tempfile().map_err(MergeError::Temporary)?;
        let writer = ArrowWriter::try_new(file, shape.schema.clone(), Some(properties))
            .map_err(|source| MergeError::Spill(Box::new(source)))?;
        Ok(Spill { writer })
    }

    pub(super) fn write(&mut self, batch: &RecordBatch) -> Result<(), MergeError> {
        let failed = |source| MergeError::Spill(Box::new(source));
        self.writer.write(batch).map_err(failed)?;
        if self.writer.in_progress_size() >= SPILL_GROUP_BYTES / 2 {
            self.writer.flush().map_err(failed)?;
        }
        Ok(())
    }

    /// The piece as a run.
    pub(super) fn finish(self, reference: bool) -> Result<Waiting, MergeError> {
        let file = self.writer.into_inner().map_err(|source| MergeError::Spill(Box::new(source)))?;
        let cost = SPILL_GROUP_BYTES as u64 + 2 * BATCH_BYTES;
        Ok(Waiting { source: Source::Spilled(file), reference, times: None, cost })
    }
}
