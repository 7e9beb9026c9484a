//! The original CloudTrail objects of a day, by the table `ingest`.

use super::RawError;
use crate::lake::days::by_day;
use crate::lake::read::{FileEntry, read_columns};
use crate::lake::table::LakeTable;
use crate::storage::Lake;
use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{Int64Type, TimestampMicrosecondType};
use deltalake::Path;
use logq_schemas::tables;

/// One original.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Original {
    pub location: String,
    pub object_id: String,
    pub stored_bytes: u64,
    pub digest_verdict: Option<String>,
}

const COLUMNS: [&str; 8] = [
    "ingest_time",
    "object_id",
    "location",
    "format",
    "stored_bytes",
    "first_event_time",
    "last_modified",
    "digest_verdict",
];

/// CloudTrail objects and digests that belong to the day, in order of their locations. An object
/// belongs to the day of its first event; one without events (a digest) to the day it was written.
pub(super) async fn of_day(lake: &Lake, day: &str) -> Result<Vec<Original>, RawError> {
    let Some(ingest) = LakeTable::open_existing(lake, &tables::ingest::TABLE).await? else {
        return Ok(Vec::new());
    };
    let mut originals = Vec::new();
    for (taken_in, files) in by_day(&ingest)? {
        // Nothing is taken in before it happens; a day of room for clocks.
        if next_day(&taken_in).as_str() < day {
            continue;
        }
        for file in files {
            let path = Path::parse(&file.path).unwrap_or_else(|_| Path::from(file.path.as_str()));
            let entry = FileEntry { path, size: file.size };
            for rows in read_columns(&ingest, &entry, &COLUMNS).await? {
                pick(&rows, day, &mut originals);
            }
        }
    }
    originals.sort_by(|one, other| one.location.cmp(&other.location));
    originals.dedup_by(|one, other| one.object_id == other.object_id);
    Ok(originals)
}

fn next_day(day: &str) -> String {
    let date = day.parse::<chrono::NaiveDate>().ok().and_then(|date| date.succ_opt());
    date.map_or_else(|| day.to_owned(), |date| date.to_string())
}

fn pick(rows: &RecordBatch, day: &str, originals: &mut Vec<Original>) {
    let text = |name: &str| rows.column_by_name(name).map(|column| column.as_string::<i32>());
    let time = |name: &str| {
        rows.column_by_name(name).map(|column| column.as_primitive::<TimestampMicrosecondType>())
    };
    let (Some(ids), Some(locations), Some(formats)) = (text("object_id"), text("location"), text("format"))
    else {
        return;
    };
    let verdicts = text("digest_verdict");
    let sizes = rows.column_by_name("stored_bytes").map(|column| column.as_primitive::<Int64Type>());
    let times = [time("first_event_time"), time("last_modified"), time("ingest_time")];
    for row in 0..rows.num_rows() {
        if !matches!(formats.value(row), "cloudtrail" | "cloudtrail_digest") {
            continue;
        }
        let micros = times.iter().flatten().find(|times| times.is_valid(row)).map(|times| times.value(row));
        let date = micros.and_then(chrono::DateTime::from_timestamp_micros).map(|time| time.date_naive());
        if date.is_none_or(|date| date.to_string() != day) {
            continue;
        }
        originals.push(Original {
            location: locations.value(row).to_owned(),
            object_id: ids.value(row).to_owned(),
            stored_bytes: sizes.map_or(0, |sizes| sizes.value(row)).unsigned_abs(),
            digest_verdict: verdicts
                .filter(|verdicts| verdicts.is_valid(row))
                .map(|verdicts| verdicts.value(row).to_owned()),
        });
    }
}
