//! A Parquet column chunk from numbered values: a dictionary page and data pages of numbers.
//!
//! The library's own writer looks every value of every row up in its dictionary; here that was done
//! before the rows were brought into order (see `codes`). Formats: Parquet “Data Pages” (version 1), the
//! RLE/bit-packing hybrid, PLAIN dictionary pages, page index: <https://parquet.apache.org/docs/file-format/>.

use super::codes::{Codes, NONE, Values};
use bytes::Bytes;
use parquet::basic::{BoundaryOrder, Compression, Encoding};
use parquet::bloom_filter::Sbbf;
use parquet::column::page::{CompressedPage, Page, PageWriter};
use parquet::column::writer::ColumnCloseResult;
use parquet::data_type::ByteArray;
use parquet::errors::ParquetError;
use parquet::file::metadata::{ColumnChunkMetaData, ColumnIndexBuilder, OffsetIndexBuilder};
use parquet::file::statistics::{Statistics, ValueStatistics};
use parquet::file::writer::{SerializedPageWriter, TrackedWrite};
use parquet::schema::types::ColumnDescPtr;

/// Rows of a data page, as the library's default.
const PAGE_ROWS: usize = 20_000;

/// Largest dictionary of a chunk, as the library's default: readers hold one for each open column.
const DICTIONARY_BYTES_MAX: usize = 1 << 20;

/// Longer text is cut in statistics, as the library does it.
const STATISTICS_BYTES_MAX: usize = 64;

/// What the chunk of a column gets.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted {
    /// Rate of false positives of its bloom filter, if it gets one.
    pub bloom: Option<f64>,
    /// Whether it gets a page index with bounds.
    pub index: bool,
    /// Level of zstd.
    pub level: i32,
}

/// An encoded chunk, and the smallest and largest number in it.
pub(super) struct Chunk {
    /// Its bytes.
    pub bytes: Bytes,
    /// What the file's metadata says about it.
    pub close: ColumnCloseResult,
    /// Rows without a value.
    pub nulls: usize,
    /// Numbers of the smallest and the largest value.
    pub bounds: Option<(u32, u32)>,
}

/// The numbers of a chunk's rows, renumbered in the order of the values.
struct Local {
    rows: Vec<u32>,
    /// Number in the whole column of each number here.
    values: Vec<u32>,
    plain_bytes: usize,
}

impl Local {
    fn of(codes: &Codes, rows: &[u32]) -> Local {
        let mut met = vec![NONE; codes.values.len()];
        let mut values = Vec::new();
        let mut local = Vec::with_capacity(rows.len());
        for &row in rows {
            let code = codes.rows.get(row as usize).copied().unwrap_or(NONE);
            if code == NONE {
                local.push(NONE);
                continue;
            }
            let slot = &mut met[code as usize];
            if *slot == NONE {
                *slot = count(values.len());
                values.push(code);
            }
            local.push(*slot);
        }
        let mut order: Vec<u32> = (0..count(values.len())).collect();
        order.sort_unstable_by(|&one, &other| {
            codes.values.compare(values[one as usize], values[other as usize])
        });
        let mut ranks = vec![0; values.len()];
        for (rank, &met) in (0u32..).zip(&order) {
            ranks[met as usize] = rank;
        }
        for code in &mut local {
            if *code != NONE {
                *code = ranks[*code as usize];
            }
        }
        let values: Vec<u32> = order.iter().map(|&met| values[met as usize]).collect();
        let plain_bytes = values.iter().map(|&code| codes.values.plain_len(code)).sum();
        Local { rows: local, values, plain_bytes }
    }
}

/// Encodes the rows `rows` of a column as one chunk; `None` when its dictionary would be too large.
///
/// # Errors
/// When the library refuses the pages: a fault of this program.
pub(super) fn encode(
    codes: &Codes,
    rows: &[u32],
    column: &ColumnDescPtr,
    wanted: Wanted,
) -> Result<Option<Chunk>, ParquetError> {
    let local = Local::of(codes, rows);
    if local.plain_bytes > DICTIONARY_BYTES_MAX {
        return Ok(None);
    }
    let nullable = column.max_def_level() > 0;
    let mut pages = Pages::new(wanted.level)?;
    if !local.values.is_empty() {
        pages.dictionary(&codes.values, &local)?;
    }
    let width = bit_width(local.values.len());
    let mut index = ColumnIndexBuilder::new(column.physical_type());
    let (mut nulls, mut ordered, mut before) = (0, true, (0, 0));
    for page in local.rows.chunks(PAGE_ROWS) {
        let found = Found::of(page);
        nulls += found.nulls;
        pages.data(page, &found, nullable, width, local.values.is_empty())?;
        let (low, high) = found.bounds.unwrap_or(before);
        ordered &= found.bounds.is_none() || (low >= before.0 && high >= before.1);
        before = (low, high);
        let bound = |rank| {
            found.bounds.map_or_else(Vec::new, |_| codes.values.index_bytes(local.values[rank as usize]))
        };
        index.append(found.bounds.is_none(), bound(low), bound(high), found.nulls as i64);
    }
    let all = Found::of(&local.rows);
    let bounds = all.bounds.map(|(low, high)| (local.values[low as usize], local.values[high as usize]));
    let is_short = bounds.is_none_or(|(low, high)| {
        codes.values.text(low).len() <= STATISTICS_BYTES_MAX
            && codes.values.text(high).len() <= STATISTICS_BYTES_MAX
    });
    if ordered {
        index.set_boundary_order(BoundaryOrder::ASCENDING);
    }
    let column_index = if wanted.index && is_short { Some(index.build()?) } else { None };
    let bloom_filter = match wanted.bloom {
        Some(fpp) if !local.values.is_empty() => Some(bloom(codes, &local, fpp)?),
        _ => None,
    };
    let metadata =
        pages.metadata(column, local.rows.len(), statistics(column, &codes.values, bounds, nulls))?;
    let close = ColumnCloseResult {
        bytes_written: pages.sink.bytes_written() as u64,
        rows_written: local.rows.len() as u64,
        metadata,
        bloom_filter,
        column_index,
        offset_index: Some(std::mem::replace(&mut pages.offsets, OffsetIndexBuilder::new()).build()),
    };
    let bytes = pages.sink.into_inner()?.into();
    Ok(Some(Chunk { bytes, close, nulls, bounds }))
}

/// What a run of rows holds.
struct Found {
    nulls: usize,
    bounds: Option<(u32, u32)>,
}

impl Found {
    fn of(rows: &[u32]) -> Found {
        // NONE is the largest number: it is never the smallest of any, and one more than it is 0.
        let low = rows.iter().copied().min().filter(|&low| low != NONE);
        let high = rows.iter().map(|code| code.wrapping_add(1)).max();
        let nulls = rows.iter().filter(|&&code| code == NONE).count();
        Found { nulls, bounds: low.zip(high.map(|high| high.wrapping_sub(1))) }
    }
}

/// The pages of a chunk, as they are written.
struct Pages {
    sink: TrackedWrite<Vec<u8>>,
    zstd: zstd::bulk::Compressor<'static>,
    level: i32,
    offsets: OffsetIndexBuilder,
    dictionary_offset: Option<i64>,
    data_offset: Option<i64>,
    uncompressed: usize,
    compressed: usize,
    plain: Vec<u8>,
    present: Vec<u32>,
}

impl Pages {
    fn new(level: i32) -> Result<Pages, ParquetError> {
        Ok(Pages {
            sink: TrackedWrite::new(Vec::new()),
            zstd: zstd::bulk::Compressor::new(level)?,
            level,
            offsets: OffsetIndexBuilder::new(),
            dictionary_offset: None,
            data_offset: None,
            uncompressed: 0,
            compressed: 0,
            plain: Vec::new(),
            present: Vec::new(),
        })
    }

    fn dictionary(&mut self, values: &Values, local: &Local) -> Result<(), ParquetError> {
        self.plain.clear();
        for &code in &local.values {
            values.write_plain(code, &mut self.plain);
        }
        let page = Page::DictionaryPage {
            buf: self.zstd.compress(&self.plain)?.into(),
            num_values: count(local.values.len()),
            encoding: Encoding::PLAIN,
            is_sorted: true,
        };
        self.dictionary_offset = Some(self.sink.bytes_written() as i64);
        self.write(page).map(drop)
    }

    fn data(
        &mut self,
        rows: &[u32],
        found: &Found,
        nullable: bool,
        width: u8,
        is_empty: bool,
    ) -> Result<(), ParquetError> {
        self.plain.clear();
        if nullable {
            self.plain.extend_from_slice(&[0; 4]);
            match found.nulls {
                0 => run(&mut self.plain, 1, rows.len(), 1),
                all if all == rows.len() => run(&mut self.plain, 0, rows.len(), 1),
                _ => {
                    self.present.clear();
                    self.present.extend(rows.iter().map(|&code| u32::from(code != NONE)));
                    hybrid(&mut self.plain, &self.present, 1);
                }
            }
            let levels = count(self.plain.len() - 4).to_le_bytes();
            if let Some(length) = self.plain.first_chunk_mut::<4>() {
                *length = levels;
            }
        }
        if !is_empty {
            self.present.clear();
            self.present.extend(rows.iter().copied().filter(|&code| code != NONE));
            self.plain.push(width);
            hybrid(&mut self.plain, &self.present, width);
        }
        let page = Page::DataPage {
            buf: self.zstd.compress(&self.plain)?.into(),
            num_values: count(rows.len()),
            encoding: if is_empty { Encoding::PLAIN } else { Encoding::RLE_DICTIONARY },
            def_level_encoding: Encoding::RLE,
            rep_level_encoding: Encoding::RLE,
            statistics: None,
        };
        let offset = self.sink.bytes_written() as i64;
        self.data_offset.get_or_insert(offset);
        let size = self.write(page)?;
        self.offsets.append_row_count(rows.len() as i64);
        self.offsets.append_offset_and_size(offset, i32::try_from(size).unwrap_or(i32::MAX));
        Ok(())
    }

    fn write(&mut self, page: Page) -> Result<usize, ParquetError> {
        let page = CompressedPage::new(page, self.plain.len());
        let written = SerializedPageWriter::new(&mut self.sink).write_page(page)?;
        self.uncompressed += written.uncompressed_size;
        self.compressed += written.compressed_size;
        Ok(written.compressed_size)
    }

    fn metadata(
        &self,
        column: &ColumnDescPtr,
        rows: usize,
        statistics: Statistics,
    ) -> Result<ColumnChunkMetaData, ParquetError> {
        let mut encodings = vec![Encoding::PLAIN, Encoding::RLE];
        if self.dictionary_offset.is_some() {
            encodings.push(Encoding::RLE_DICTIONARY);
        }
        ColumnChunkMetaData::builder(column.clone())
            .set_compression(Compression::ZSTD(parquet::basic::ZstdLevel::try_new(self.level)?))
            .set_encodings(encodings)
            .set_num_values(rows as i64)
            .set_total_compressed_size(self.compressed as i64)
            .set_total_uncompressed_size(self.uncompressed as i64)
            .set_dictionary_page_offset(self.dictionary_offset)
            .set_data_page_offset(self.data_offset.unwrap_or(0))
            .set_statistics(statistics)
            .build()
    }
}

fn bloom(codes: &Codes, local: &Local, fpp: f64) -> Result<Sbbf, ParquetError> {
    let mut filter = Sbbf::new_with_ndv_fpp(local.values.len() as u64, fpp)?;
    for &code in &local.values {
        match &codes.values {
            Values::Empty => {}
            Values::Text(..) => filter.insert(codes.values.text(code)),
            Values::Int(values) => filter.insert(&values[code as usize]),
            Values::Long(values) => filter.insert(&values[code as usize]),
        }
    }
    Ok(filter)
}

fn statistics(
    column: &ColumnDescPtr,
    values: &Values,
    bounds: Option<(u32, u32)>,
    nulls: usize,
) -> Statistics {
    let nulls = Some(nulls as u64);
    let pick = |of: fn((u32, u32)) -> u32| bounds.map(of);
    let (low, high) = (pick(|(low, _)| low), pick(|(_, high)| high));
    match values {
        Values::Text(..) => {
            let (low, high) = (low.map(|code| values.text(code)), high.map(|code| values.text(code)));
            let cut = low.map(|low| low.get(..low.floor_char_boundary(STATISTICS_BYTES_MAX)).unwrap_or(low));
            // A cut largest value would have to be rounded up: without it readers keep the chunk.
            let high = high.filter(|high| high.len() <= STATISTICS_BYTES_MAX);
            let bytes = |text: &str| ByteArray::from(text.as_bytes().to_vec());
            let stats = ValueStatistics::new(cut.map(bytes), high.map(bytes), None, nulls, false)
                .with_min_is_exact(cut == low)
                .with_max_is_exact(true);
            Statistics::ByteArray(stats)
        }
        Values::Int(values) => {
            let value = |code: Option<u32>| code.map(|code| values[code as usize]);
            Statistics::int32(value(low), value(high), None, nulls, false)
        }
        Values::Long(values) => {
            let value = |code: Option<u32>| code.map(|code| values[code as usize]);
            Statistics::int64(value(low), value(high), None, nulls, false)
        }
        Values::Empty => empty_statistics(column, nulls),
    }
}

fn empty_statistics(column: &ColumnDescPtr, nulls: Option<u64>) -> Statistics {
    use parquet::basic::Type;
    match column.physical_type() {
        Type::BOOLEAN => Statistics::boolean(None, None, None, nulls, false),
        Type::INT32 => Statistics::int32(None, None, None, nulls, false),
        Type::INT64 => Statistics::int64(None, None, None, nulls, false),
        Type::DOUBLE => Statistics::double(None, None, None, nulls, false),
        Type::FLOAT => Statistics::float(None, None, None, nulls, false),
        _ => Statistics::byte_array(None, None, None, nulls, false),
    }
}

/// Bits of the largest of so many numbers.
fn bit_width(values: usize) -> u8 {
    (usize::BITS - values.saturating_sub(1).leading_zeros()) as u8
}

fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

fn uleb(out: &mut Vec<u8>, mut value: usize) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// One run of the hybrid encoding: `length` times `value`.
fn run(out: &mut Vec<u8>, value: u32, length: usize, width: u8) {
    uleb(out, length << 1);
    out.extend(value.to_le_bytes().iter().take(usize::from(width.div_ceil(8))));
}

/// The RLE/bit-packing hybrid: eight equal values or more are a run, the rest is packed in groups of
/// eight. A run begins where a group ends.
fn hybrid(out: &mut Vec<u8>, values: &[u32], width: u8) {
    let (mut packed_from, mut at) = (0, 0);
    while let Some(first) = values.get(at) {
        let same = values[at..].iter().take_while(|value| *value == first).count();
        let fill = (packed_from..at).len().wrapping_neg() % 8;
        if same >= 8 + fill {
            pack(out, &values[packed_from..at + fill], width);
            run(out, *first, same - fill, width);
            packed_from = at + same;
        }
        at += same;
    }
    pack(out, &values[packed_from..], width);
}

/// Groups of eight, the last one filled up with zeros.
fn pack(out: &mut Vec<u8>, values: &[u32], width: u8) {
    if values.is_empty() {
        return;
    }
    let groups = values.len().div_ceil(8);
    uleb(out, groups << 1 | 1);
    let (mut bits, mut held) = (0u64, 0u32);
    let filling = std::iter::repeat_n(0, groups * 8 - values.len());
    for value in values.iter().copied().chain(filling) {
        bits |= u64::from(value) << held;
        held += u32::from(width);
        while held >= 8 {
            out.push(bits as u8);
            bits >>= 8;
            held -= 8;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{Array, ArrayRef, Int64Array, RecordBatch, StringArray};
    use parquet::arrow::ArrowWriter;
    use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
    use proptest::prelude::*;
    use std::sync::Arc;

    /// What the library reads from a file whose columns are chunks of ours.
    fn read_back(columns: &[(&str, ArrayRef)]) -> RecordBatch {
        let batch = RecordBatch::try_from_iter_with_nullable(
            columns.iter().map(|(name, array)| (*name, array.clone(), true)),
        )
        .expect("columns of one length");
        let writer = ArrowWriter::try_new(Vec::new(), batch.schema(), None).expect("opens");
        let (mut file, _) = writer.into_serialized_writer().expect("nothing written yet");
        let schema = file.schema_descr().clone();
        let mut group = file.next_row_group().expect("opens");
        for (index, (_, array)) in columns.iter().enumerate() {
            let codes = Codes::of(std::slice::from_ref(array)).expect("repeats");
            let wanted = Wanted { bloom: Some(0.01), index: true, level: 1 };
            let chunk =
                encode(&codes, &(0..count(array.len())).collect::<Vec<_>>(), &schema.column(index), wanted)
                    .expect("encodes");
            let chunk = chunk.expect("small dictionary");
            group.append_column(&chunk.bytes, chunk.close).expect("appends");
        }
        group.close().expect("closes");
        let bytes = Bytes::from(file.into_inner().expect("finishes"));
        let reader = ParquetRecordBatchReaderBuilder::try_new(bytes).expect("reads").with_batch_size(1 << 20);
        let mut batches = reader.build().expect("builds");
        let read = batches.next().expect("one batch").expect("reads");
        assert!(batches.next().is_none());
        assert_eq!(read, batch);
        read
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn the_library_reads_what_is_written(
            runs in prop::collection::vec((prop::option::of(0u32..40), 1usize..30), 1..200),
            numbers in prop::collection::vec(prop::option::of(-3i64..300), 1..50),
        ) {
            let texts = runs.iter().flat_map(|(value, length)| {
                let text = value.map(|value| "x".repeat(value as usize) + &value.to_string());
                std::iter::repeat_n(text, *length)
            });
            let texts: StringArray = texts.collect();
            let numbers: Int64Array = numbers.iter().copied().cycle().take(texts.len()).collect();
            read_back(&[("text", Arc::new(texts)), ("number", Arc::new(numbers))]);
        }
    }

    #[test]
    fn many_pages_one_value_and_no_value_are_read_back() {
        let rows = 3 * PAGE_ROWS + 7;
        let sorted: StringArray = (0..rows).map(|row| Some(format!("value {:03}", row / 500))).collect();
        let one: StringArray = (0..rows).map(|_| Some("always")).collect();
        let none: StringArray = (0..rows).map(|_| None::<&str>).collect();
        let late: Int64Array = (0..rows).map(|row| (row > 2 * PAGE_ROWS).then_some(7)).collect();
        read_back(&[
            ("sorted", Arc::new(sorted)),
            ("one", Arc::new(one)),
            ("none", Arc::new(none)),
            ("late", Arc::new(late)),
        ]);
    }

    #[test]
    fn a_large_dictionary_is_refused() {
        let long: StringArray = (0..4_000).map(|row| Some(format!("{row:0500}"))).collect();
        let long: ArrayRef = Arc::new(long);
        let writer = ArrowWriter::try_new(
            Vec::new(),
            RecordBatch::try_from_iter([("long", long.clone())]).expect("one column").schema(),
            None,
        );
        let column =
            writer.expect("opens").into_serialized_writer().expect("empty").0.schema_descr().column(0);
        let codes = Codes::of(&[long]).expect("few rows are always numbered");
        let wanted = Wanted { bloom: None, index: true, level: 1 };
        assert!(encode(&codes, &(0..4_000).collect::<Vec<_>>(), &column, wanted).expect("answers").is_none());
    }
}
