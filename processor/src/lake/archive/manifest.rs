//! What a manifest says.

use serde::{Deserialize, Serialize};

/// A file of the archive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArchivedFile {
    /// Key below the archive's root.
    pub key: String,
    /// Bytes.
    pub bytes: u64,
    /// SHA-256 in hex.
    pub sha256: String,
    /// Rows; null for a pack.
    pub rows: Option<u64>,
    /// Smallest event time (of bookkeeping tables: ingest time), RFC 3339.
    pub min_event_time: Option<String>,
    /// Largest.
    pub max_event_time: Option<String>,
}

impl ArchivedFile {
    /// Its name without the folder.
    pub fn name(&self) -> &str {
        self.key.rsplit('/').next().unwrap_or(&self.key)
    }

    /// Its times, µs.
    pub fn times(&self) -> Option<(i64, i64)> {
        let micros = |text: &Option<String>| {
            Some(chrono::DateTime::parse_from_rfc3339(text.as_deref()?).ok()?.timestamp_micros())
        };
        Some((micros(&self.min_event_time)?, micros(&self.max_event_time)?))
    }
}

/// The manifest of what was sealed of one table and day at one moment. Later rows come in manifests
/// with higher numbers; a day is all of its manifests together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Version of this format.
    pub format: u32,
    /// `table`.
    pub kind: String,
    /// The table.
    pub table: String,
    /// The day, `YYYY-MM-DD`.
    pub event_date: String,
    /// Version of the table's columns.
    pub schema_version: u32,
    /// Program and version.
    pub created_by: String,
    /// When, RFC 3339.
    pub sealed_at: String,
    /// Identity of the seal: made of what went in.
    pub seal: String,
    /// Rows in the files.
    pub rows: u64,
    /// Rows left out because the same row is in the archive or in these files.
    pub duplicates_removed: u64,
    /// Rows whose `event_uid` is there already with other content; they are in the files.
    pub conflicts_kept: u64,
    /// Distinct input objects the rows came from.
    pub input_objects: u64,
    /// The files. None when late rows all were there already.
    pub files: Vec<ArchivedFile>,
}

/// What every manifest has: enough to verify its files.
#[derive(Debug, Clone, Deserialize)]
pub struct Listed {
    /// The files.
    pub files: Vec<ArchivedFile>,
}

/// The number of a manifest by its key; none for other objects.
pub fn manifest_number(key: &str) -> Option<u32> {
    let name = key.rsplit('/').next()?;
    name.strip_prefix("manifest-")?.strip_suffix(".json")?.parse().ok()
}

/// µs as RFC 3339.
pub fn time_text(micros: i64) -> Option<String> {
    let time = chrono::DateTime::from_timestamp_micros(micros)?;
    Some(time.format("%Y-%m-%dT%H:%M:%S%.6fZ").to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn manifests_are_told_by_their_names() {
        assert_eq!(manifest_number("cloudtrail/event_date=2026-11-22/manifest-12.json"), Some(12));
        for other in ["a/manifest-.json", "a/manifest-1.json.tmp", "a/seal-1.parquet", "manifest-x.json"] {
            assert_eq!(manifest_number(other), None, "{other}");
        }
    }

    #[test]
    fn times_survive_their_text() {
        let text = time_text(1_795_341_600_000_001);
        assert_eq!(text.as_deref(), Some("2026-11-22T10:00:00.000001Z"));
        let file = ArchivedFile {
            key: "t/event_date=2026-11-22/seal-a-0001.parquet".to_owned(),
            bytes: 1,
            sha256: String::new(),
            rows: None,
            min_event_time: text.clone(),
            max_event_time: text,
        };
        assert_eq!(file.times(), Some((1_795_341_600_000_001, 1_795_341_600_000_001)));
        assert_eq!(file.name(), "seal-a-0001.parquet");
    }
}
