//! What a batch, or a run, did: the counts that are printed, measured and settled with a batch.

use logq_schemas::{Reason, tables};
use serde::{Deserialize, Deserializer, Serialize};
use std::collections::{BTreeMap, HashMap};

/// What was done.
#[derive(Debug, Default, Clone, Serialize, Deserialize)]
pub struct Summary {
    /// Input objects taken in.
    pub objects: u64,
    /// Input objects left alone because their content is in the lake.
    pub objects_known: u64,
    /// Records found.
    pub records: u64,
    /// Rows by table.
    #[serde(deserialize_with = "counts_by_table")]
    pub rows: BTreeMap<&'static str, u64>,
    /// Rejected records by reason.
    #[serde(deserialize_with = "counts_by_reason")]
    pub rejected: BTreeMap<&'static str, u64>,
    /// Records dropped because they were already taken in.
    pub duplicates: u64,
    /// Records without data by their source's definition.
    pub skipped: u64,
    /// Bytes as stored.
    pub stored_bytes: u64,
    /// Bytes after decompression.
    pub inflated_bytes: u64,
    /// Bytes of Parquet files committed.
    pub lake_bytes: u64,
}

impl Summary {
    /// Adds another summary.
    pub fn add(&mut self, other: &Summary) {
        self.objects += other.objects;
        self.objects_known += other.objects_known;
        self.records += other.records;
        for (&table, &rows) in &other.rows {
            *self.rows.entry(table).or_default() += rows;
        }
        for (&reason, &count) in &other.rejected {
            *self.rejected.entry(reason).or_default() += count;
        }
        self.duplicates += other.duplicates;
        self.skipped += other.skipped;
        self.stored_bytes += other.stored_bytes;
        self.inflated_bytes += other.inflated_bytes;
        self.lake_bytes += other.lake_bytes;
    }
}

fn counts_by_table<'d, D: Deserializer<'d>>(from: D) -> Result<BTreeMap<&'static str, u64>, D::Error> {
    counts(from, tables::ALL.iter().map(|table| table.name))
}

fn counts_by_reason<'d, D: Deserializer<'d>>(from: D) -> Result<BTreeMap<&'static str, u64>, D::Error> {
    counts(from, Reason::ALL.into_iter().map(Reason::as_str))
}

/// Counts under the names this program knows.
fn counts<'d, D: Deserializer<'d>>(
    from: D,
    names: impl Iterator<Item = &'static str>,
) -> Result<BTreeMap<&'static str, u64>, D::Error> {
    let found: HashMap<String, u64> = Deserialize::deserialize(from)?;
    Ok(names.filter_map(|name| Some((name, *found.get(name)?))).collect())
}
