//! Rows of a batch become sorted Parquet files, one set per table and day.
//!
//! Rows gather in memory until a table reaches the configured size; then they are sorted by day and
//! time and written. File names are made of shard, batch and a counter; who stores them adds the
//! attempt, so that no attempt at a batch overwrites a file of another.

mod chunk;
mod codes;

use super::stats::{Bound, FileStats};
use arrow::array::{Array, ArrayRef, AsArray, Date32Array, RecordBatch, UInt32Array, new_null_array};
use arrow::compute::{SortColumn, concat, interleave, lexsort_to_indices};
use arrow::datatypes::{DataType, Date32Type, Schema, SchemaRef, TimestampMicrosecondType};
use arrow::error::ArrowError;
use bytes::Bytes;
use chunk::Wanted;
use codes::{Codes, Values};
use logq_schemas::{Kind, Table};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::{ArrowColumnWriter, compute_leaves};
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::SortingColumn;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::writer::SerializedRowGroupWriter;
use parquet::schema::types::{ColumnDescPtr, ColumnPath};
use std::collections::BTreeMap;
use std::sync::Arc;
use thiserror::Error;

/// Rows of a row group: small enough that a bloom filter or a page index saves a read, large enough
/// for dictionaries to pay.
pub(super) const ROW_GROUP_ROWS: usize = 250_000;

/// Batches of fewer rows are joined.
const SMALL_ROWS: usize = 8_192;

/// Rows brought into order at a time: a few megabytes, which the next ones use again.
const GATHER_ROWS: usize = 16_384;

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
    /// How many of the last batches are small, and their rows.
    small: usize,
    small_rows: usize,
    bytes: usize,
}

impl Waiting {
    fn push(&mut self, batch: RecordBatch) -> Result<(), ArrowError> {
        self.bytes += weight(&batch);
        if batch.num_rows() >= SMALL_ROWS {
            self.join()?;
            self.batches.push(batch);
            return Ok(());
        }
        self.small += 1;
        self.small_rows += batch.num_rows();
        self.batches.push(batch);
        if self.small_rows >= SMALL_ROWS {
            self.join()?;
        }
        Ok(())
    }

    /// Makes one batch of the small ones: a batch of few rows costs as much to walk as a large one.
    fn join(&mut self) -> Result<(), ArrowError> {
        let small = self.batches.split_off(self.batches.len() - std::mem::take(&mut self.small));
        let rows = std::mem::take(&mut self.small_rows);
        let Some(first) = small.first() else { return Ok(()) };
        let schema = first.schema();
        let columns = (0..schema.fields().len()).map(|index| {
            let parts: Vec<&dyn Array> = small.iter().map(|batch| batch.column(index).as_ref()).collect();
            if parts.iter().all(|part| part.null_count() == part.len()) {
                return Ok(new_null_array(schema.field(index).data_type(), rows));
            }
            concat(&parts)
        });
        let columns = columns.collect::<Result<Vec<_>, _>>()?;
        self.batches.push(RecordBatch::try_new(schema, columns)?);
        Ok(())
    }
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
        if let Err(source) = entry.1.push(batch) {
            self.failure = Some(WriteError::Sort { table: table.name, source });
            return;
        }
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
        let mut waiting = waiting;
        waiting.join().map_err(|source| WriteError::Sort { table: table.name, source })?;
        let batches = waiting.batches;
        if batches.is_empty() {
            return Ok(());
        }
        let order =
            order(table, &batches).map_err(|source| WriteError::Sort { table: table.name, source })?;
        let gathered = Gathered::of(&batches);
        for day in order.chunk_by(|one, other| one.day == other.day) {
            self.counter += 1;
            let file = encode(table, &gathered, day, &format!("{}-{:04}", self.prefix, self.counter))?;
            (self.store)(file)?;
        }
        Ok(())
    }
}

/// Bytes a batch holds in memory. A column without any value is shared between batches.
fn weight(batch: &RecordBatch) -> usize {
    let columns = batch.columns().iter().filter(|column| column.null_count() < column.len());
    columns.map(|column| column.get_array_memory_size()).sum()
}

/// Where a row waits, and its day. Rows in this order are in the order of the file.
#[derive(Debug, Clone, Copy)]
struct Waits {
    day: i32,
    batch: u32,
    row: u32,
}

/// Start of the names of all files of one batch.
pub fn file_prefix(shard: &str, sequence: i64) -> String {
    format!("part-{shard}-{sequence:012}")
}

/// The shard and batch in a file's path, where this program named it.
pub fn batch_of(path: &str) -> Option<(&str, i64)> {
    let name = path.rsplit('/').next()?.strip_prefix("part-")?;
    let (rest, counter) = name.rsplit_once('-')?;
    // Other writers also begin with `part-` and may have a number there by chance; none of them ends with
    // a counter, alone or with the attempt that stored the file.
    let counter = counter.strip_suffix(".parquet")?;
    let (counter, attempt) = counter.split_once('.').unwrap_or((counter, "0"));
    counter.parse::<u32>().ok()?;
    u64::from_str_radix(attempt, 16).ok()?;
    let (shard, sequence) = rest.rsplit_once('-')?;
    Some((shard, sequence.parse().ok()?))
}

/// A column every table of ours has.
fn column(batch: &RecordBatch, name: &str) -> arrow::array::ArrayRef {
    let index = batch.schema_ref().index_of(name).expect("every table has the column");
    batch.column(index).clone()
}

/// All rows by day, then in the table's own order; equal ones in the order they came.
fn order(table: &Table, batches: &[RecordBatch]) -> Result<Vec<Waits>, ArrowError> {
    let mut rows = Vec::with_capacity(batches.iter().map(RecordBatch::num_rows).sum());
    for (batch, index) in batches.iter().zip(0..) {
        let dates = column(batch, Table::PARTITION);
        let days = dates.as_primitive::<Date32Type>().values();
        rows.extend(days.iter().zip(0..).map(|(&day, row)| Waits { day, batch: index, row }));
    }
    if let [only] = table.sort_by
        && let Some(times) = times(batches, only)
    {
        let time = |waits: &Waits| times[waits.batch as usize][waits.row as usize];
        // Input files are mostly in order of time: a stable sort finds their runs.
        let mut keyed: Vec<(i32, i64, Waits)> =
            rows.iter().map(|waits| (waits.day, time(waits), *waits)).collect();
        keyed.sort_by_key(|&(day, time, _)| (day, time));
        return Ok(keyed.into_iter().map(|(_, _, waits)| waits).collect());
    }
    let keys = std::iter::once(&Table::PARTITION).chain(table.sort_by).map(|name| {
        let parts: Vec<_> = batches.iter().map(|batch| column(batch, name)).collect();
        let parts: Vec<&dyn Array> = parts.iter().map(AsRef::as_ref).collect();
        Ok(SortColumn { values: concat(&parts)?, options: None })
    });
    let keys = keys.collect::<Result<Vec<_>, ArrowError>>()?;
    let sorted: UInt32Array = lexsort_to_indices(&keys, None)?;
    Ok(sorted.values().iter().map(|&index| rows[index as usize]).collect())
}

/// The values of a time column without nulls, batch by batch.
fn times<'b>(batches: &'b [RecordBatch], name: &str) -> Option<Vec<&'b [i64]>> {
    let values = batches.iter().map(|batch| {
        let array = batch.column_by_name(name)?.as_primitive_opt::<TimestampMicrosecondType>()?;
        (array.null_count() == 0).then(|| array.values().as_ref())
    });
    values.collect()
}

/// The columns of the rows that wait, ready to be written in any order.
struct Gathered {
    schema: SchemaRef,
    /// Row at which each batch begins.
    starts: Vec<u32>,
    /// The batches' arrays, by column of the file.
    parts: Vec<Vec<ArrayRef>>,
    /// By column of the file; `None` where values hardly repeat.
    codes: Vec<Option<Codes>>,
}

impl Gathered {
    fn of(batches: &[RecordBatch]) -> Gathered {
        let whole = batches.first().map_or_else(|| Arc::new(Schema::empty()), RecordBatch::schema);
        let stored = whole.fields().iter().enumerate().filter(|(_, field)| field.name() != Table::PARTITION);
        let parts: Vec<Vec<ArrayRef>> = stored
            .map(|(index, _)| batches.iter().map(|batch| batch.column(index).clone()).collect())
            .collect();
        let starts = batches.iter().scan(0, |next, batch| {
            let start = *next;
            *next += u32::try_from(batch.num_rows()).unwrap_or(u32::MAX);
            Some(start)
        });
        let schema = stored_schema(&whole);
        let codes = schema.fields().iter().zip(&parts).map(|(field, parts)| match field.name().as_str() {
            // Unique in every row.
            "event_uid" | "request_id" => None,
            _ => Codes::of(parts),
        });
        Gathered { starts: starts.collect(), codes: codes.collect(), parts, schema }
    }

    /// Numbers of rows in the order in which they wait.
    fn rows(&self, rows: &[Waits]) -> Vec<u32> {
        rows.iter().map(|waits| self.starts[waits.batch as usize] + waits.row).collect()
    }

    /// Some rows of one column.
    fn column(&self, index: usize, rows: &[Waits]) -> Result<ArrayRef, ArrowError> {
        let parts: Vec<&dyn Array> = self.parts[index].iter().map(AsRef::as_ref).collect();
        let indices: Vec<(usize, usize)> =
            rows.iter().map(|waits| (waits.batch as usize, waits.row as usize)).collect();
        interleave(&parts, &indices)
    }
}

fn encode(
    table: &'static Table,
    gathered: &Gathered,
    day: &[Waits],
    name: &str,
) -> Result<DataFile, WriteError> {
    let failed = |source| WriteError::Encode { table: table.name, source };
    let date = day.first().map_or_else(|| "1970-01-01".to_owned(), |first| iso_date(first.day));
    let mut bytes = Vec::with_capacity(1 << 16);
    let properties = properties(table, day.len());
    let writer =
        ArrowWriter::try_new(&mut bytes, gathered.schema.clone(), Some(properties)).map_err(failed)?;
    let (mut file, columns) = writer.into_serialized_writer().map_err(failed)?;
    let descriptor = file.schema_descr().clone();
    let mut stats = FileStats::new(table);
    if let Some(first) = day.first() {
        let dates: ArrayRef = Arc::new(Date32Array::from_value(first.day, day.len()));
        stats.add_column(Table::PARTITION, &dates);
    }
    for (number, rows) in day.chunks(ROW_GROUP_ROWS).enumerate() {
        stats.add_rows(rows.len());
        let order = gathered.rows(rows);
        let writers = columns.create_column_writers(number).map_err(failed)?;
        let mut group = file.next_row_group().map_err(failed)?;
        for (index, writer) in writers.into_iter().enumerate() {
            let column = (index, &descriptor.column(index));
            if !write_coded(table, gathered, column, &order, &mut group, &mut stats).map_err(failed)? {
                write_plain(table, gathered, index, rows, writer, &mut group, &mut stats)?;
            }
        }
        group.close().map_err(failed)?;
    }
    file.close().map_err(failed)?;
    Ok(DataFile {
        table,
        path: format!("{}={date}/{name}.parquet", Table::PARTITION),
        date,
        bytes: bytes.into(),
        rows: day.len() as u64,
        stats: stats.to_json(),
    })
}

/// Writes one column of a row group from its numbers; false when it has none, or too many values.
fn write_coded<W: std::io::Write + Send>(
    table: &'static Table,
    gathered: &Gathered,
    (index, column): (usize, &ColumnDescPtr),
    order: &[u32],
    group: &mut SerializedRowGroupWriter<'_, W>,
    stats: &mut FileStats,
) -> Result<bool, ParquetError> {
    let Some(codes) = &gathered.codes[index] else { return Ok(false) };
    let field = gathered.schema.field(index);
    let wanted = Wanted {
        bloom: table.blooms.contains(&field.name().as_str()).then_some(BLOOM_FPP),
        index: !is_document(table, field.name()),
        level: ZSTD_LEVEL,
    };
    let Some(encoded) = chunk::encode(codes, order, column, wanted)? else { return Ok(false) };
    let bound = |code: u32| match &codes.values {
        Values::Empty => None,
        Values::Text(..) => Some(Bound::Text(codes.values.text(code).to_owned())),
        Values::Int(values) => Some(Bound::Number(values[code as usize].into())),
        Values::Long(values) if matches!(field.data_type(), DataType::Timestamp(..)) => {
            Some(Bound::Time(values[code as usize]))
        }
        Values::Long(values) => Some(Bound::Number(values[code as usize])),
    };
    let bounds = encoded.bounds.and_then(|(low, high)| bound(low).zip(bound(high)));
    stats.add_bounds(field.name(), encoded.nulls, bounds);
    group.append_column(&encoded.bytes, encoded.close)?;
    Ok(true)
}

/// Writes one column of a row group through the library's writer.
fn write_plain<W: std::io::Write + Send>(
    table: &'static Table,
    gathered: &Gathered,
    index: usize,
    rows: &[Waits],
    mut writer: ArrowColumnWriter,
    group: &mut SerializedRowGroupWriter<'_, W>,
    stats: &mut FileStats,
) -> Result<(), WriteError> {
    let failed = |source| WriteError::Encode { table: table.name, source };
    let field = gathered.schema.field(index);
    for rows in rows.chunks(GATHER_ROWS) {
        let array = gathered.column(index, rows);
        let array = array.map_err(|source| WriteError::Sort { table: table.name, source })?;
        stats.add_column(field.name(), &array);
        for leaf in compute_leaves(field, &array).map_err(failed)? {
            writer.write(&leaf).map_err(failed)?;
        }
    }
    writer.close().and_then(|column| column.append_to_row_group(group)).map_err(failed)
}

/// Whether a column holds documents: bounds over them prune nothing and bloat footer and page index.
fn is_document(table: &Table, name: &str) -> bool {
    let column = table.columns().find(|column| column.name == name);
    name == "body" || column.is_some_and(|column| matches!(column.kind, Kind::Json | Kind::Binary))
}

/// Days since the epoch as `YYYY-MM-DD`.
fn iso_date(days: i32) -> String {
    Date32Type::to_naive_date_opt(days).map_or_else(|| "1970-01-01".to_owned(), |date| date.to_string())
}

/// The schema of a table's data files.
pub fn stored_schema(schema: &Schema) -> SchemaRef {
    let fields: Vec<_> =
        schema.fields().iter().filter(|field| field.name() != Table::PARTITION).cloned().collect();
    Arc::new(Schema::new(fields))
}

/// How a file of `table` with about `rows` rows is encoded, whoever writes it.
pub(super) fn properties(table: &Table, rows: usize) -> WriterProperties {
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
            (name, _) if is_document(table, name) => {
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
        assert_eq!(batch_of("event_date=2026-11-22/part-00000-123456789012-c000.parquet"), None);
        assert_eq!(
            batch_of("event_date=2026-11-22/part-eu-west-000000000012-0003.d1fe0cd54650a094.parquet"),
            Some(("eu-west", 12))
        );
        assert_eq!(
            batch_of("event_date=2026-11-22/part-eu-west-000000000012-0003.parquet"),
            Some(("eu-west", 12))
        );
    }
}
