//! Rows of the tables `rejected` and `ingest`.

use crate::claims::ClaimedObject;
use crate::formats::{Report, arrow_schema};
use arrow::array::{
    ArrayRef, BinaryArray, Date32Array, Int32Array, Int64Array, RecordBatch, StringArray,
    TimestampMicrosecondArray,
};
use logq_schemas::{Reason, tables};
use std::sync::Arc;

/// Version of the rules by which records are refused; raised when they change.
pub const PARSER_VERSION: i32 = 1;

const MICROS_PER_DAY: i64 = 86_400_000_000;

/// One row of `rejected`.
#[derive(Debug, Clone)]
pub struct RejectedRow {
    /// µs since the epoch.
    pub ingest_time: i64,
    /// Why.
    pub reason: Reason,
    /// What is wrong, for a person.
    pub message: String,
    /// The object.
    pub location: String,
    /// The object's identity.
    pub object_id: String,
    /// Byte offset in the inflated object.
    pub record_offset: u64,
    /// Number of the record, from 1.
    pub record_number: Option<u64>,
    /// The bytes, possibly cut.
    pub raw: Vec<u8>,
    /// Their full length.
    pub raw_bytes: u64,
}

/// One row of `ingest`.
#[derive(Debug, Clone)]
pub struct IngestRow {
    /// µs since the epoch.
    pub ingest_time: i64,
    /// The object as claimed.
    pub object: ClaimedObject,
    /// What the parser found.
    pub report: Report,
    /// The batch.
    pub batch: i64,
}

pub(crate) fn day(micros: i64) -> i32 {
    i32::try_from(micros.div_euclid(MICROS_PER_DAY)).unwrap_or(0)
}

/// Lengths and offsets are below 2^63 by construction; a larger one is shown as the largest.
fn long(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

pub(crate) fn time(values: impl Iterator<Item = Option<i64>>) -> ArrayRef {
    Arc::new(values.collect::<TimestampMicrosecondArray>().with_timezone("UTC"))
}

pub(crate) fn text<'a>(values: impl Iterator<Item = Option<&'a str>>) -> ArrayRef {
    Arc::new(values.collect::<StringArray>())
}

fn longs(values: impl Iterator<Item = Option<i64>>) -> ArrayRef {
    Arc::new(values.collect::<Int64Array>())
}

/// Rows of `rejected`.
pub fn rejected_batch(rows: &[RejectedRow]) -> RecordBatch {
    let uids: Vec<String> = rows
        .iter()
        .map(|row| format!("{}:{}:{}", row.object_id, row.record_offset, row.reason.as_str()))
        .collect();
    let columns: Vec<ArrayRef> = vec![
        Arc::new(rows.iter().map(|row| Some(day(row.ingest_time))).collect::<Date32Array>()),
        time(rows.iter().map(|row| Some(row.ingest_time))),
        text(rows.iter().map(|row| Some(row.reason.as_str()))),
        text(rows.iter().map(|row| Some(row.message.as_str()))),
        text(rows.iter().map(|row| Some(row.location.as_str()))),
        text(rows.iter().map(|row| Some(row.object_id.as_str()))),
        longs(rows.iter().map(|row| Some(long(row.record_offset)))),
        longs(rows.iter().map(|row| row.record_number.map(long))),
        text(uids.iter().map(|uid| Some(uid.as_str()))),
        Arc::new(rows.iter().map(|row| Some(row.raw.as_slice())).collect::<BinaryArray>()),
        longs(rows.iter().map(|row| Some(long(row.raw_bytes)))),
        Arc::new(rows.iter().map(|_| Some(PARSER_VERSION)).collect::<Int32Array>()),
    ];
    RecordBatch::try_new(arrow_schema(&tables::rejected::TABLE), columns)
        .expect("columns are listed in the order of the table")
}

/// Rows of `ingest`.
pub fn ingest_batch(rows: &[IngestRow]) -> RecordBatch {
    let count = |value: fn(&IngestRow) -> u64| longs(rows.iter().map(|row| Some(long(value(row)))));
    let columns: Vec<ArrayRef> = vec![
        Arc::new(rows.iter().map(|row| Some(day(row.ingest_time))).collect::<Date32Array>()),
        time(rows.iter().map(|row| Some(row.ingest_time))),
        text(rows.iter().map(|row| Some(row.object.object_id.as_str()))),
        text(rows.iter().map(|row| Some(row.object.location.as_str()))),
        text(rows.iter().map(|row| Some(row.report.format.as_str()))),
        count(|row| row.object.stored_bytes),
        count(|row| row.report.counts.inflated_bytes),
        count(|row| row.report.counts.records),
        count(|row| row.report.counts.rows),
        count(|row| row.report.counts.rejected),
        count(|row| row.report.counts.duplicates),
        count(|row| row.report.counts.skipped),
        time(rows.iter().map(|row| row.report.counts.first_event_time)),
        time(rows.iter().map(|row| row.report.counts.last_event_time)),
        time(rows.iter().map(|row| row.object.last_modified)),
        text(rows.iter().map(|row| row.object.etag.as_deref())),
        text(rows.iter().map(|_| None)),
        longs(rows.iter().map(|row| Some(row.batch))),
        Arc::new(rows.iter().map(|row| Some(row.report.format.parser_version())).collect::<Int32Array>()),
    ];
    RecordBatch::try_new(arrow_schema(&tables::ingest::TABLE), columns)
        .expect("columns are listed in the order of the table")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::{Counts, FormatKind};

    #[test]
    fn rows_have_the_columns_of_their_tables() {
        let rejected = RejectedRow {
            ingest_time: -1,
            reason: Reason::UnknownFormat,
            message: "what".to_owned(),
            location: "/in/x".to_owned(),
            object_id: "00".to_owned(),
            record_offset: 0,
            record_number: None,
            raw: vec![0xff],
            raw_bytes: 1,
        };
        let batch = rejected_batch(&[rejected]);
        assert_eq!(batch.num_columns(), tables::rejected::TABLE.columns().count());
        let object = ClaimedObject {
            location: "/in/x".to_owned(),
            object_id: "00".to_owned(),
            stored_bytes: 1,
            last_modified: None,
            etag: None,
        };
        let report = Report { format: FormatKind::Empty, counts: Counts::default() };
        let batch = ingest_batch(&[IngestRow { ingest_time: 0, object, report, batch: 3 }]);
        assert_eq!(batch.num_columns(), tables::ingest::TABLE.columns().count());
    }
}
