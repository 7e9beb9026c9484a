//! Flow logs delivered as Parquet.
//!
//! A row is turned into the line that the same record has in a text file, and read as that: typed
//! columns, text, nulls and `-` mean the same, and a record delivered in both forms is recognised as
//! one. A rejected row is kept as a header line and its line, which can be read again as they are.
//!
//! Reading goes page by page, a thousand rows at a time; text columns are views into their pages, so
//! that a dictionary cannot multiply. What is a place elsewhere (the byte offset) counts the bytes of
//! these lines. The decoder's own panics on damaged bytes end the reading, like its errors.
//!
//! Refused: files whose columns are not those of a flow log, columns that hold lists or structures.

use super::columns::Flows;
use super::header::{self, Layout};
use crate::formats::intake::{Intake, Place};
use crate::formats::{FormatKind, Output, Seen};
use arrow::array::{
    Array, ArrayRef, AsArray, Int32Array, Int64Array, RecordBatch, RecordBatchReader, StringViewArray,
};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, Field, Int32Type, Int64Type, Schema, SchemaRef, TimeUnit};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use bytes::Bytes;
use logq_schemas::Reason;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder,
};
use std::fmt::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// Rows decoded at a time: enough to amortise the columns, few enough that long values stay small.
const ROWS: usize = 1_024;

/// Why a file, or the rest of it, is not read.
type Refusal = (Reason, String);

/// Reads every row of the object; also returns how many bytes its lines have.
pub fn read<O: Output>(intake: &mut Intake<'_, O>, seen: &mut Seen) -> (FormatKind, u64) {
    // The decoder wants bytes of its own; one copy of what is in memory anyway.
    let stored = Bytes::copy_from_slice(intake.object.bytes);
    let (reader, layout) = match guarded(|| open(stored)) {
        Ok(opened) => opened,
        Err((reason, message)) => {
            let kind =
                if reason == Reason::UnknownFormat { FormatKind::Unknown } else { FormatKind::VpcFlow };
            intake.reject_object(reason, message, 0, intake.object.bytes);
            return (kind, 0);
        }
    };
    let schema = reader.schema();
    let mut flows = Flows::new(intake.object, intake.context);
    flows.set_layout(layout);
    let mut rows = Rows::new(&schema, flows);
    let stopped = rows.each(reader, intake, seen).err();
    rows.flows.flush(intake.output);
    if let Some((reason, message)) = stopped {
        intake.reject_object(reason, message, rows.offset, b"");
    }
    (FormatKind::VpcFlow, rows.offset)
}

/// Opens the file and checks that its columns are those of a flow log.
fn open(stored: Bytes) -> Result<(ParquetRecordBatchReader, Layout), Refusal> {
    let broken = |error: parquet::errors::ParquetError| damage(&error.to_string());
    let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
    let metadata = ArrowReaderMetadata::load(&stored, options).map_err(broken)?;
    let layout = layout(metadata.schema())?;
    let options = ArrowReaderOptions::new().with_schema(as_views(metadata.schema()));
    let metadata = ArrowReaderMetadata::try_new(metadata.metadata().clone(), options).map_err(broken)?;
    let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(stored, metadata);
    Ok((builder.with_batch_size(ROWS).build().map_err(broken)?, layout))
}

fn layout(schema: &Schema) -> Result<Layout, Refusal> {
    let names = || schema.fields().iter().map(|field| field.name().as_str());
    let nested = schema.fields().iter().find(|field| field.data_type().is_nested());
    match (nested, header::fields(names())) {
        (None, Some(fields)) => Ok(Layout { fields, from_header: true, configured: false }),
        (Some(field), Some(_)) => {
            let message = format!(
                "a Parquet file with flow log columns whose column {} is nested; no flow log has one",
                field.name()
            );
            Err((Reason::UnknownFormat, message))
        }
        (_, None) => {
            let shown: Vec<&str> = names().take(8).collect();
            let message = format!(
                "a Parquet file whose columns are not those of a flow log: {}",
                shown.join(", ").chars().take(200).collect::<String>()
            );
            Err((Reason::UnknownFormat, message))
        }
    }
}

/// The schema with text as views into the pages, which copies nothing.
fn as_views(schema: &Schema) -> SchemaRef {
    let fields = schema.fields().iter().map(|field| {
        let kind = match field.data_type() {
            DataType::Utf8 | DataType::LargeUtf8 => DataType::Utf8View,
            DataType::Binary | DataType::LargeBinary => DataType::BinaryView,
            other => other.clone(),
        };
        Field::new(field.name(), kind, field.is_nullable())
    });
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

fn damage(what: &str) -> Refusal {
    let what: String = what.chars().take(200).collect();
    let message = format!("the Parquet file is damaged ({what}); fetch or upload it again, then replay it");
    (Reason::CorruptParquet, message)
}

/// Runs the decoder, whose panics on bytes it did not expect are damage of the file.
fn guarded<T>(work: impl FnOnce() -> Result<T, Refusal>) -> Result<T, Refusal> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| Err(damage("its decoder gave up")))
}

/// Rows on their way to lines.
struct Rows {
    flows: Flows,
    /// The header line and, after it, the line of the current row.
    text: String,
    header: usize,
    /// Bytes of the lines before the current one.
    offset: u64,
    number: u64,
}

impl Rows {
    fn new(schema: &Schema, flows: Flows) -> Self {
        let mut text = String::new();
        for field in schema.fields() {
            text.push_str(field.name());
            text.push(' ');
        }
        text.pop();
        text.push('\n');
        Self { flows, header: text.len(), text, offset: 0, number: 0 }
    }

    fn each<O: Output>(
        &mut self,
        mut reader: ParquetRecordBatchReader,
        intake: &mut Intake<'_, O>,
        seen: &mut Seen,
    ) -> Result<(), Refusal> {
        let next = |reader: &mut ParquetRecordBatchReader| {
            guarded(|| reader.next().transpose().map_err(|error| damage(&error.to_string())))
        };
        while let Some(batch) = next(&mut reader)? {
            self.batch(&batch, intake, seen)?;
        }
        Ok(())
    }

    fn batch<O: Output>(
        &mut self,
        batch: &RecordBatch,
        intake: &mut Intake<'_, O>,
        seen: &mut Seen,
    ) -> Result<(), Refusal> {
        let plain: Vec<ArrayRef> = batch.columns().iter().map(plain).collect::<Result<_, _>>()?;
        let options = FormatOptions::new();
        let cells: Vec<Cells<'_>> =
            plain.iter().map(|array| Cells::of(array, &options)).collect::<Result<_, _>>()?;
        let limits = intake.context.limits;
        for row in 0..batch.num_rows() {
            self.text.truncate(self.header);
            for (number, column) in cells.iter().enumerate() {
                if number > 0 {
                    self.text.push(' ');
                }
                column.push(row, &mut self.text)?;
            }
            self.number += 1;
            let place = Place { offset: self.offset, number: self.number };
            let line = self.text.get(self.header..).unwrap_or("").as_bytes();
            if line.len() > limits.record_bytes_max {
                let message = format!("row of {} bytes; raise record_bytes_max and replay it", line.len());
                intake.reject(Reason::RecordTooLarge, message, place, self.text.as_bytes());
            } else {
                self.flows.line(line, place, self.text.as_bytes(), intake, seen);
            }
            self.offset += line.len() as u64 + 1;
            if self.offset > limits.object_bytes_max {
                let message = format!(
                    "the rows are larger than {} bytes; raise object_bytes_max and replay it",
                    limits.object_bytes_max
                );
                return Err((Reason::TooLarge, message));
            }
        }
        Ok(())
    }
}

/// A column as flow logs write it: times as numbers, everything else as it is.
fn plain(array: &ArrayRef) -> Result<ArrayRef, Refusal> {
    let target = match array.data_type() {
        DataType::Timestamp(..) => DataType::Timestamp(TimeUnit::Microsecond, None),
        DataType::Int8 | DataType::Int16 | DataType::UInt8 | DataType::UInt16 | DataType::UInt32 => {
            DataType::Int64
        }
        // Bytes without an annotation are text from writers that do not annotate.
        DataType::BinaryView => DataType::Utf8View,
        _ => return Ok(array.clone()),
    };
    let strict = CastOptions { safe: false, ..CastOptions::default() };
    let cast = |array: &ArrayRef, kind| {
        cast_with_options(array, kind, &strict).map_err(|error| damage(&error.to_string()))
    };
    let array = cast(array, &target)?;
    if matches!(target, DataType::Timestamp(..)) { cast(&array, &DataType::Int64) } else { Ok(array) }
}

/// How the cells of a column are written.
enum Cells<'b> {
    Text(&'b StringViewArray),
    Int(&'b Int32Array),
    Long(&'b Int64Array),
    Other(&'b ArrayRef, ArrayFormatter<'b>),
}

impl<'b> Cells<'b> {
    fn of(array: &'b ArrayRef, options: &'b FormatOptions<'b>) -> Result<Self, Refusal> {
        if let Some(text) = array.as_string_view_opt() {
            return Ok(Cells::Text(text));
        }
        if let Some(numbers) = array.as_primitive_opt::<Int32Type>() {
            return Ok(Cells::Int(numbers));
        }
        if let Some(numbers) = array.as_primitive_opt::<Int64Type>() {
            return Ok(Cells::Long(numbers));
        }
        let formatter = ArrayFormatter::try_new(array, options);
        formatter.map(|formatter| Cells::Other(array, formatter)).map_err(|error| damage(&error.to_string()))
    }

    /// Adds the cell of a row; nothing is `-`.
    fn push(&self, row: usize, out: &mut String) -> Result<(), Refusal> {
        let before = out.len();
        let written = match self {
            Cells::Text(text) if text.is_valid(row) => {
                out.push_str(text.value(row));
                Ok(())
            }
            Cells::Int(numbers) if numbers.is_valid(row) => write!(out, "{}", numbers.value(row)),
            Cells::Long(numbers) if numbers.is_valid(row) => write!(out, "{}", numbers.value(row)),
            Cells::Other(array, formatter) if array.is_valid(row) => write!(out, "{}", formatter.value(row)),
            _ => Ok(()),
        };
        written.map_err(|_| damage("a value cannot be written as text"))?;
        if out.len() == before {
            out.push('-');
        }
        Ok(())
    }
}
