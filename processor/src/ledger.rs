//! The ledger: which input objects are in the lake already.
//!
//! It is the table `ingest` plus the claims that `ingest` does not hold yet, kept in memory as 128-bit
//! hashes: 32 bytes an object, so 10 million objects take 320 MB. A processor that runs for years keeps
//! the objects taken in during the last weeks only ([`Config::ledger_days`](crate::config::Config)): an
//! older one that comes again is found by the seal, which leaves one row per `event_uid`.

use crate::claims::ClaimedObject;
use crate::lake::read::{ReadError, data_files, read_columns};
use crate::lake::table::LakeTable;
use crate::storage::Candidate;
use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{Int64Type, TimestampMicrosecondType};
use chrono::NaiveDate;
use logq_schemas::Table;
use std::collections::HashSet;
use twox_hash::XxHash3_128;

/// The known input objects.
#[derive(Debug, Default)]
pub struct Ledger {
    contents: HashSet<u128>,
    places: HashSet<u128>,
}

impl Ledger {
    /// Reads the table `ingest`: all of it, or what was taken in on `since` and later.
    ///
    /// # Errors
    /// When the table's log or a data file cannot be read.
    pub async fn load(ingest: &LakeTable, since: Option<NaiveDate>) -> Result<Ledger, ReadError> {
        let mut ledger = Ledger::default();
        ledger.add(ingest, since).await?;
        Ok(ledger)
    }

    /// Adds what the table `ingest` holds, from `since` on, to what is known.
    ///
    /// # Errors
    /// When the table's log or a data file cannot be read.
    pub async fn add(&mut self, ingest: &LakeTable, since: Option<NaiveDate>) -> Result<(), ReadError> {
        let columns = ["object_id", "location", "stored_bytes", "last_modified", "etag"];
        for file in data_files(ingest)? {
            if since.is_some_and(|since| day_of(file.path.as_ref()).is_some_and(|day| day < since)) {
                continue;
            }
            for rows in read_columns(ingest, &file, &columns).await? {
                self.add_rows(&rows);
            }
        }
        Ok(())
    }

    fn add_rows(&mut self, rows: &RecordBatch) {
        let text = |name: &str| rows.column_by_name(name).map(|column| column.as_string::<i32>());
        let (Some(ids), Some(locations), Some(etags)) = (text("object_id"), text("location"), text("etag"))
        else {
            return;
        };
        let sizes = rows.column_by_name("stored_bytes").map(|column| column.as_primitive::<Int64Type>());
        let times = rows
            .column_by_name("last_modified")
            .map(|column| column.as_primitive::<TimestampMicrosecondType>());
        for row in 0..rows.num_rows() {
            self.contents.insert(hash(ids.value(row).as_bytes()));
            let modified = times.filter(|times| times.is_valid(row)).map(|times| times.value(row));
            let etag = etags.is_valid(row).then(|| etags.value(row));
            let size = sizes.map_or(0, |sizes| sizes.value(row)).unsigned_abs();
            if let Some(place) = place(locations.value(row), size, modified, etag) {
                self.places.insert(place);
            }
        }
    }

    /// Notes an object as taken.
    pub fn insert(&mut self, object: &ClaimedObject) {
        self.contents.insert(hash(object.object_id.as_bytes()));
        if let Some(place) =
            place(&object.location, object.stored_bytes, object.last_modified, object.etag.as_deref())
        {
            self.places.insert(place);
        }
    }

    /// Whether this content is in the lake, wherever it was read.
    pub fn knows_content(&self, object_id: &str) -> bool {
        self.contents.contains(&hash(object_id.as_bytes()))
    }

    /// Whether the object at this place, with this size and modification time or ETag, is in the lake:
    /// it need not be read again.
    pub fn knows_place(&self, location: &str, size: u64, modified: Option<i64>, etag: Option<&str>) -> bool {
        place(location, size, modified, etag).is_some_and(|place| self.places.contains(&place))
    }

    /// Whether a listed object is in the lake, as far as its listing tells.
    pub fn knows(&self, candidate: &Candidate) -> bool {
        let (size, modified) = (candidate.stored_bytes, candidate.last_modified);
        self.knows_place(&candidate.place.location(), size, modified, candidate.etag.as_deref())
    }

    /// Number of known objects.
    pub fn len(&self) -> usize {
        self.contents.len()
    }

    /// Whether nothing is known.
    pub fn is_empty(&self) -> bool {
        self.contents.is_empty()
    }
}

/// The day in the path of a data file.
fn day_of(path: &str) -> Option<NaiveDate> {
    let (_, rest) = path.split_once(Table::PARTITION)?;
    rest.strip_prefix('=')?.split('/').next()?.parse().ok()
}

fn hash(bytes: &[u8]) -> u128 {
    XxHash3_128::oneshot(bytes)
}

/// An ETag vouches for the content, and is the same in a notification and a listing; without one the
/// modification time does. None where there is neither.
fn place(location: &str, size: u64, modified: Option<i64>, etag: Option<&str>) -> Option<u128> {
    let voucher = match (etag, modified) {
        (Some(etag), _) => etag.to_owned(),
        (None, Some(modified)) => modified.to_string(),
        (None, None) => return None,
    };
    Some(hash(format!("{location}\0{size}\0{voucher}").as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(modified: Option<i64>, etag: Option<&str>) -> ClaimedObject {
        ClaimedObject {
            location: "/in/a".to_owned(),
            object_id: "0123".to_owned(),
            stored_bytes: 7,
            last_modified: modified,
            etag: etag.map(str::to_owned),
        }
    }

    #[test]
    fn content_is_known_anywhere_and_a_place_only_unchanged() {
        let mut ledger = Ledger::default();
        ledger.insert(&object(Some(5), None));
        assert!(ledger.knows_content("0123"));
        assert!(!ledger.knows_content("0124"));
        assert!(ledger.knows_place("/in/a", 7, Some(5), None));
        assert!(!ledger.knows_place("/in/a", 8, Some(5), None), "another size");
        assert!(!ledger.knows_place("/in/a", 7, Some(6), None), "another time");
        assert!(!ledger.knows_place("/in/b", 7, Some(5), None), "another place");
    }

    #[test]
    fn an_object_that_was_announced_is_known_when_it_is_listed() {
        let mut ledger = Ledger::default();
        ledger.insert(&object(None, Some("\"e\"")));
        assert!(ledger.knows_place("/in/a", 7, Some(5), Some("\"e\"")));
        assert!(!ledger.knows_place("/in/a", 7, Some(5), Some("\"f\"")), "another content");
    }

    #[test]
    fn a_place_without_time_or_etag_is_always_read() {
        let mut ledger = Ledger::default();
        ledger.insert(&object(None, None));
        assert!(!ledger.knows_place("/in/a", 7, None, None));
    }
}
