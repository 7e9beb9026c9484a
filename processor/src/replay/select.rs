//! Which rejections are open, and what was kept of them.

use crate::lake::read::{FileEntry, ReadError, data_files, read_columns};
use crate::lake::table::LakeTable;
use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{Int64Type, TimestampMicrosecondType};
use std::collections::{BTreeMap, HashSet};

/// What to replay; everything open without any.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    /// Only these reasons.
    pub reasons: Vec<String>,
    /// Only objects whose location contains this.
    pub location: Option<String>,
    /// Only what was rejected from here on, µs since the epoch.
    pub since: Option<i64>,
    /// Only what was rejected up to here.
    pub until: Option<i64>,
}

/// One open rejection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Open {
    /// Its identity.
    pub uid: String,
    /// Why it was rejected.
    pub reason: String,
    /// Where it stands in the inflated object.
    pub offset: u64,
    /// None for a whole object, or the rest of one.
    pub number: Option<i64>,
    /// What was kept.
    pub raw: Vec<u8>,
    /// Its full length.
    pub raw_bytes: u64,
}

impl Open {
    /// Whether the kept bytes are all there were.
    pub fn is_whole(&self) -> bool {
        self.raw.len() as u64 == self.raw_bytes
    }
}

/// Open rejections of one object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejections {
    /// Where the object was.
    pub location: String,
    /// Its identity.
    pub object_id: String,
    /// In order of offset.
    pub records: Vec<Open>,
}

/// Identities of rejections that are settled.
///
/// # Errors
/// When the table cannot be read.
pub async fn settled(replayed: &LakeTable) -> Result<HashSet<String>, ReadError> {
    let mut settled = HashSet::new();
    for file in data_files(replayed)? {
        for rows in read_columns(replayed, &file, &["rejected_uid"]).await? {
            let uids = rows.column_by_name("rejected_uid").map(|column| column.as_string::<i32>());
            settled.extend(uids.into_iter().flat_map(|uids| uids.iter().flatten().map(str::to_owned)));
        }
    }
    Ok(settled)
}

/// The open rejections in one data file of `rejected`, by object.
///
/// # Errors
/// When the file cannot be read.
pub async fn open_in(
    rejected: &LakeTable,
    file: &FileEntry,
    selection: &Selection,
    settled: &HashSet<String>,
) -> Result<Vec<Rejections>, ReadError> {
    let columns = [
        "ingest_time",
        "reason",
        "location",
        "object_id",
        "record_offset",
        "record_number",
        "event_uid",
        "raw",
        "raw_bytes",
    ];
    let mut objects: BTreeMap<String, Rejections> = BTreeMap::new();
    for rows in read_columns(rejected, file, &columns).await? {
        add_rows(&rows, selection, settled, &mut objects);
    }
    let mut objects: Vec<Rejections> = objects.into_values().collect();
    for object in &mut objects {
        object.records.sort_by_key(|record| (record.offset, record.number));
    }
    Ok(objects)
}

fn add_rows(
    rows: &RecordBatch,
    selection: &Selection,
    settled: &HashSet<String>,
    objects: &mut BTreeMap<String, Rejections>,
) -> Option<()> {
    let text = |name: &str| rows.column_by_name(name).map(|column| column.as_string::<i32>());
    let long = |name: &str| rows.column_by_name(name).map(|column| column.as_primitive::<Int64Type>());
    let times = rows.column_by_name("ingest_time")?.as_primitive::<TimestampMicrosecondType>();
    let raws = rows.column_by_name("raw")?.as_binary::<i32>();
    let (reasons, locations, ids, uids) =
        (text("reason")?, text("location")?, text("object_id")?, text("event_uid")?);
    let (offsets, numbers, lengths) = (long("record_offset")?, long("record_number")?, long("raw_bytes")?);
    for row in 0..rows.num_rows() {
        let time = times.value(row);
        let wanted = (selection.reasons.is_empty()
            || selection.reasons.iter().any(|reason| reason == reasons.value(row)))
            && selection.location.as_ref().is_none_or(|part| locations.value(row).contains(part.as_str()))
            && selection.since.is_none_or(|since| time >= since)
            && selection.until.is_none_or(|until| time <= until);
        if !wanted || settled.contains(uids.value(row)) {
            continue;
        }
        let object = objects.entry(ids.value(row).to_owned()).or_insert_with(|| Rejections {
            location: locations.value(row).to_owned(),
            object_id: ids.value(row).to_owned(),
            records: Vec::new(),
        });
        object.records.push(Open {
            uid: uids.value(row).to_owned(),
            reason: reasons.value(row).to_owned(),
            offset: offsets.value(row).unsigned_abs(),
            number: numbers.is_valid(row).then(|| numbers.value(row)),
            raw: if raws.is_valid(row) { raws.value(row).to_vec() } else { Vec::new() },
            raw_bytes: lengths.value(row).unsigned_abs(),
        });
    }
    Some(())
}
