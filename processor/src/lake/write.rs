//! Rows of a batch become sorted Parquet files, one set per table and day.
//!
//! Rows gather in memory until a table reaches the configured size; then they are sorted by day and
//! time and written. File names are made of shard, batch and a counter: doing a batch again writes
//! the same names, so an interrupted batch leaves nothing behind.

use super::stats::file_stats;
use arrow::array::{Array, AsArray, RecordBatch, UInt32Array};
use arrow::compute::{SortColumn, concat_batches, lexsort_to_indices, partition, take_record_batch};
use arrow::datatypes::{Date32Type, Schema, SchemaRef};
use arrow::error::ArrowError;
use bytes::Bytes;
use logq_schemas::{Kind, Table};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::SortingColumn;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;
use std::collections::BTreeMap;
use std::sync::Arc;
use thiserror::Error;

/// Rows of a row group: small enough that a bloom filter or a page index saves a read, large enough
/// for dictionaries to pay.
const ROW_GROUP_ROWS: usize = 250_000;

/// zstd level of the hot files: levels above 3 cost two to five times the CPU for a few per cent.
const ZSTD_LEVEL: i32 = 3;

/// False-positive rate of bloom filters: 1 % costs about 1.2 bytes a distinct value.
const BLOOM_FPP: f64 = 0.01;

/// A Parquet file, ready to be stored.
#[derive(Debug)]
pub struct DataFile {
    /// Its table.
    pub table: &'static Table,
    /// Path below the table's root.
    pub path: String,
    /// Its partition, `YYYY-MM-DD`.
    pub date: String,
    /// Its bytes.
    pub bytes: Bytes,
    /// Its rows.
    pub rows: u64,
    /// Its statistics for the Delta log.
    pub stats: String,
}

/// Why rows cannot be written. All of these are faults of this program or of its memory.
#[derive(Debug, Error)]
pub enum WriteError {
    /// Sorting or slicing failed.
    #[error("cannot sort rows of table `{table}`")]
    Sort {
        /// The table.
        table: &'static str,
        /// Arrow's answer.
        source: ArrowError,
    },
    /// Encoding failed.
    #[error("cannot encode rows of table `{table}`")]
    Encode {
        /// The table.
        table: &'static str,
        /// Parquet's answer.
        source: ParquetError,
    },
    /// Whoever stores the files has gone.
    #[error("the upload has stopped")]
    Stopped,
}

/// Rows of one table that wait to be written.
#[derive(Debug, Default)]
struct Waiting {
    batches: Vec<RecordBatch>,
    bytes: usize,
}

/// Gathers the rows of one batch.
pub struct BatchWriter<'a> {
    prefix: String,
    memory_bytes_max: usize,
    counter: u32,
    waiting: BTreeMap<&'static str, (&'static Table, Waiting)>,
    store: &'a mut dyn FnMut(DataFile) -> Result<(), WriteError>,
    failure: Option<WriteError>,
}

impl<'a> BatchWriter<'a> {
    /// A writer whose files are named after `shard` and `sequence` and handed to `store`.
    pub fn new(
        shard: &str,
        sequence: i64,
        memory_bytes_max: usize,
        store: &'a mut dyn FnMut(DataFile) -> Result<(), WriteError>,
    ) -> BatchWriter<'a> {
        let prefix = file_prefix(shard, sequence);
        BatchWriter { prefix, memory_bytes_max, counter: 0, waiting: BTreeMap::new(), store, failure: None }
    }

    /// Takes rows in. An error is kept and returned by [`BatchWriter::finish`].
    pub fn push(&mut self, table: &'static Table, batch: RecordBatch) {
        if self.failure.is_some() || batch.num_rows() == 0 {
            return;
        }
        let entry = self.waiting.entry(table.name).or_insert_with(|| (table, Waiting::default()));
        entry.1.bytes += batch.get_array_memory_size();
        entry.1.batches.push(batch);
        if entry.1.bytes >= self.memory_bytes_max {
            let waiting = std::mem::take(&mut entry.1);
            self.failure = self.write(table, waiting).err();
        }
    }

    /// Writes what still waits.
    ///
    /// # Errors
    /// The first error of any write of this batch.
    pub fn finish(mut self) -> Result<(), WriteError> {
        if let Some(failure) = self.failure.take() {
            return Err(failure);
        }
        for (_, (table, waiting)) in std::mem::take(&mut self.waiting) {
            self.write(table, waiting)?;
        }
        Ok(())
    }

    fn write(&mut self, table: &'static Table, waiting: Waiting) -> Result<(), WriteError> {
        let Some(first) = waiting.batches.first() else { return Ok(()) };
        let schema = first.schema();
        let failed = |source| WriteError::Sort { table: table.name, source };
        let rows = concat_batches(&schema, &waiting.batches).map_err(failed)?;
        drop(waiting);
        let sorted = sort(table, &rows).map_err(failed)?;
        drop(rows);
        let dates = column(&sorted, Table::PARTITION);
        for range in partition(&[dates]).map_err(failed)?.ranges() {
            let day = sorted.slice(range.start, range.len());
            self.counter += 1;
            let file = encode(table, &day, &format!("{}-{:04}", self.prefix, self.counter))?;
            (self.store)(file)?;
        }
        Ok(())
    }
}

/// Start of the names of all files of one batch.
pub fn file_prefix(shard: &str, sequence: i64) -> String {
    format!("part-{shard}-{sequence:012}")
}

/// The shard and batch in a file's path, where this program named it.
pub fn batch_of(path: &str) -> Option<(&str, i64)> {
    let name = path.rsplit('/').next()?.strip_prefix("part-")?;
    let (rest, _counter) = name.rsplit_once('-')?;
    let (shard, sequence) = rest.rsplit_once('-')?;
    Some((shard, sequence.parse().ok()?))
}

/// A column every table of ours has.
fn column(batch: &RecordBatch, name: &str) -> arrow::array::ArrayRef {
    let index = batch.schema_ref().index_of(name).expect("every table has the column");
    batch.column(index).clone()
}

/// Sorts by day, then by the table's own order.
fn sort(table: &Table, rows: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    let keys: Vec<SortColumn> = std::iter::once(&Table::PARTITION)
        .chain(table.sort_by)
        .map(|name| SortColumn { values: column(rows, name), options: None })
        .collect();
    let order: UInt32Array = lexsort_to_indices(&keys, None)?;
    take_record_batch(rows, &order)
}

fn encode(table: &'static Table, day: &RecordBatch, name: &str) -> Result<DataFile, WriteError> {
    let failed = |source| WriteError::Encode { table: table.name, source };
    let dates = column(day, Table::PARTITION);
    let days = dates.as_primitive::<Date32Type>();
    let date = match days.is_empty() || days.is_null(0) {
        true => "1970-01-01".to_owned(),
        false => iso_date(days.value(0)),
    };
    let stored = without_partition(day).map_err(|source| WriteError::Sort { table: table.name, source })?;
    let mut bytes = Vec::with_capacity(1 << 16);
    let properties = properties(table, day.num_rows());
    let mut writer = ArrowWriter::try_new(&mut bytes, stored.schema(), Some(properties)).map_err(failed)?;
    writer.write(&stored).map_err(failed)?;
    writer.close().map_err(failed)?;
    Ok(DataFile {
        table,
        path: format!("{}={date}/{name}.parquet", Table::PARTITION),
        date,
        bytes: bytes.into(),
        rows: day.num_rows() as u64,
        stats: file_stats(table, day),
    })
}

/// Days since the epoch as `YYYY-MM-DD`.
fn iso_date(days: i32) -> String {
    Date32Type::to_naive_date_opt(days).map_or_else(|| "1970-01-01".to_owned(), |date| date.to_string())
}

/// The partition column's value is in the path, not in the file.
fn without_partition(batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    let kept: Vec<usize> = (0..batch.num_columns())
        .filter(|&index| batch.schema_ref().field(index).name() != Table::PARTITION)
        .collect();
    batch.project(&kept)
}

/// The schema of a table's data files.
pub fn stored_schema(schema: &Schema) -> SchemaRef {
    let fields: Vec<_> =
        schema.fields().iter().filter(|field| field.name() != Table::PARTITION).cloned().collect();
    Arc::new(Schema::new(fields))
}

fn properties(table: &Table, rows: usize) -> WriterProperties {
    let level = ZstdLevel::try_new(ZSTD_LEVEL).unwrap_or_default();
    let mut builder = WriterProperties::builder()
        .set_compression(Compression::ZSTD(level))
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
        .set_statistics_enabled(EnabledStatistics::Page)
        .set_created_by(format!("logq-processor {}", env!("CARGO_PKG_VERSION")));
    let stored: Vec<_> = table.columns().filter(|column| column.name != Table::PARTITION).collect();
    let sorting = table.sort_by.iter().filter_map(|name| {
        let index = stored.iter().position(|column| column.name == *name)?;
        Some(SortingColumn { column_idx: i32::try_from(index).ok()?, descending: false, nulls_first: true })
    });
    builder = builder.set_sorting_columns(Some(sorting.collect()));
    for column in stored {
        let path = ColumnPath::from(column.name);
        match (column.name, column.kind) {
            // Unique in every row: a dictionary only grows; shared prefixes do compress.
            ("event_uid" | "request_id", _) => {
                builder = builder
                    .set_column_dictionary_enabled(path.clone(), false)
                    .set_column_encoding(path.clone(), Encoding::DELTA_BYTE_ARRAY);
            }
            // Documents: bounds over them prune nothing and bloat footer and page index.
            (_, Kind::Json | Kind::Binary) | ("body", _) => {
                builder = builder.set_column_statistics_enabled(path.clone(), EnabledStatistics::Chunk);
            }
            _ => {}
        }
        if table.blooms.contains(&column.name) {
            let most = rows.min(ROW_GROUP_ROWS) as u64;
            builder = builder
                .set_column_bloom_filter_enabled(path.clone(), true)
                .set_column_bloom_filter_fpp(path.clone(), BLOOM_FPP)
                .set_column_bloom_filter_max_ndv(path, most.max(1));
        }
    }
    builder.build()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lake::bookkeeping::{RejectedRow, rejected_batch};
    use logq_schemas::{Reason, tables};
    use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

    fn rejected(day: i64, offset: u64) -> RejectedRow {
        RejectedRow {
            ingest_time: day * 86_400_000_000 + 5,
            reason: Reason::InvalidJson,
            message: "m".to_owned(),
            location: "/in/a".to_owned(),
            object_id: "ab".to_owned(),
            record_offset: offset,
            record_number: Some(offset + 1),
            raw: b"{".to_vec(),
            raw_bytes: 1,
        }
    }

    #[test]
    fn rows_are_split_by_day_sorted_and_named_by_batch() {
        let mut files = Vec::new();
        let mut store = |file: DataFile| {
            files.push(file);
            Ok(())
        };
        let mut writer = BatchWriter::new("0", 7, usize::MAX, &mut store);
        writer.push(
            &tables::rejected::TABLE,
            rejected_batch(&[rejected(1, 9), rejected(0, 3), rejected(0, 1)]),
        );
        writer.finish().expect("writes");
        let paths: Vec<&str> = files.iter().map(|file| file.path.as_str()).collect();
        assert_eq!(
            paths,
            [
                "event_date=1970-01-01/part-0-000000000007-0001.parquet",
                "event_date=1970-01-02/part-0-000000000007-0002.parquet"
            ]
        );
        assert_eq!(batch_of(paths[0]), Some(("0", 7)));
        let reader = ParquetRecordBatchReaderBuilder::try_new(files[0].bytes.clone()).expect("Parquet");
        assert!(reader.schema().column_with_name("event_date").is_none());
        let rows = reader.build().expect("reader").next().expect("one batch").expect("readable");
        let offsets = rows.column_by_name("record_offset").expect("column");
        assert_eq!(offsets.as_primitive::<arrow::datatypes::Int64Type>().values().to_vec(), [1, 3]);
    }

    #[test]
    fn a_full_table_is_written_before_the_end_of_the_batch() {
        let mut count = 0;
        let mut store = |_file: DataFile| {
            count += 1;
            Ok(())
        };
        let mut writer = BatchWriter::new("0", 1, 1, &mut store);
        writer.push(&tables::rejected::TABLE, rejected_batch(&[rejected(0, 0)]));
        writer.push(&tables::rejected::TABLE, rejected_batch(&[rejected(0, 1)]));
        writer.finish().expect("writes");
        assert_eq!(count, 2);
    }

    #[test]
    fn names_of_other_writers_are_not_taken_for_ours() {
        assert_eq!(batch_of("event_date=2026-11-22/part-00000-6f0c-c000.snappy.parquet"), None);
        assert_eq!(
            batch_of("event_date=2026-11-22/part-eu-west-000000000012-0003.parquet"),
            Some(("eu-west", 12))
        );
    }
}
