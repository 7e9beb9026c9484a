//! The files of a table by day, and which of them maintenance may touch.
//!
//! A batch is done when `ingest` holds its number. Files of a batch that is not are left alone: the
//! processor is about to read its records again and tells them from records it knows by the file's
//! name ([`super::write::batch_of`]). Everything else may be rewritten under another name.

use super::stats::times_in;
use super::table::{LakeTable, TableError};
use super::write::batch_of;
use crate::storage::Lake;
use deltalake::DeltaTableError;
use logq_schemas::{Table, tables};
use std::collections::{BTreeMap, HashMap};
use thiserror::Error;

/// Start of the names of files made by compaction.
pub const COMPACTED: &str = "compact-";

/// Start of the names of sealed files.
pub const SEALED: &str = "seal-";

/// Tables that are maintained: those this program writes.
pub const MAINTAINED: [&Table; 5] = [
    &tables::cloudtrail::TABLE,
    &tables::vpc_flow::TABLE,
    &tables::app_log::TABLE,
    &tables::rejected::TABLE,
    &tables::ingest::TABLE,
];

/// Why the files of a table cannot be told.
#[derive(Debug, Error)]
pub enum DaysError {
    /// The table cannot be opened.
    #[error(transparent)]
    Table(#[from] TableError),
    /// The log cannot be read.
    #[error("cannot read the log of table `{table}`")]
    Log {
        /// The table.
        table: &'static str,
        /// The table format's answer.
        source: Box<DeltaTableError>,
    },
    /// The table has a column this version does not know: rewriting its files would lose it.
    #[error(
        "table `{table}` has the column `{column}`, which this version does not know: use the version that added it"
    )]
    UnknownColumn {
        /// The table.
        table: &'static str,
        /// The column.
        column: String,
    },
}

/// A data file of a day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DayFile {
    /// Path below the table's root, as the log has it.
    pub path: String,
    /// Bytes.
    pub size: u64,
    /// Rows, where the log says.
    pub rows: Option<u64>,
    /// When its newest rows were written, ms since the epoch.
    pub modified: i64,
    /// Bounds of the first sort column where that is a time, µs.
    pub times: Option<(i64, i64)>,
    /// Whether this program wrote it, and so in the table's order.
    pub sorted: bool,
}

impl DayFile {
    /// Its name without the folder.
    pub fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or(&self.path)
    }
}

/// The table's files by day, in order of their names. Files without a day are left out: no program of
/// ours makes them.
///
/// # Errors
/// When the log is not loaded, or the table has columns this version would lose.
pub fn by_day(table: &LakeTable) -> Result<BTreeMap<String, Vec<DayFile>>, DaysError> {
    let schema = table.schema();
    let failed = |source| DaysError::Log { table: schema.name, source: Box::new(source) };
    let snapshot = table.delta().snapshot().map_err(failed)?;
    if let Some(unknown) = snapshot.schema().fields().find(|field| schema.column(field.name()).is_none()) {
        return Err(DaysError::UnknownColumn { table: schema.name, column: unknown.name().clone() });
    }
    let mut days: BTreeMap<String, Vec<DayFile>> = BTreeMap::new();
    for file in snapshot.log_data().iter() {
        let Some(Some(day)) = file.partition_values_map().remove(Table::PARTITION) else { continue };
        let path = file.path().to_string();
        let name = path.rsplit('/').next().unwrap_or(&path);
        let sorted = batch_of(&path).is_some() || name.starts_with(COMPACTED) || name.starts_with(SEALED);
        let times = file.stats().and_then(|stats| times_in(&stats, schema.sort_by.first()?));
        days.entry(day).or_default().push(DayFile {
            size: file.size().unsigned_abs(),
            rows: file.num_records().map(|rows| rows as u64),
            modified: file.modification_time(),
            times,
            sorted,
            path,
        });
    }
    days.values_mut().for_each(|files| files.sort_by(|one, other| one.path.cmp(&other.path)));
    Ok(days)
}

/// Which batches are done.
#[derive(Debug)]
pub struct Settled {
    ingest: Option<LakeTable>,
    applied: HashMap<String, Option<i64>>,
}

impl Settled {
    /// Reads `ingest`. Load the table whose files are asked about first: then a batch that is found
    /// unfinished was so at that moment, and one that is found done stays done.
    ///
    /// # Errors
    /// When `ingest` cannot be read.
    pub async fn load(lake: &Lake) -> Result<Settled, DaysError> {
        let ingest = LakeTable::open_existing(lake, &tables::ingest::TABLE).await?;
        Ok(Settled { ingest, applied: HashMap::new() })
    }

    /// Whether the file may be rewritten.
    ///
    /// # Errors
    /// When the log of `ingest` cannot be read.
    pub async fn holds(&mut self, path: &str) -> Result<bool, DaysError> {
        let Some((shard, sequence)) = batch_of(path) else { return Ok(true) };
        let Some(ingest) = &self.ingest else { return Ok(false) };
        let applied = match self.applied.get(shard) {
            Some(applied) => *applied,
            None => {
                let app_id = format!("logq-processor/{shard}");
                let failed = |source| DaysError::Log { table: "ingest", source: Box::new(source) };
                let applied = ingest.applied(&app_id).await.map_err(failed)?;
                self.applied.insert(shard.to_owned(), applied);
                applied
            }
        };
        Ok(applied.is_some_and(|applied| applied >= sequence))
    }

    /// The files that may be rewritten, and how many may not.
    ///
    /// # Errors
    /// As [`Settled::holds`].
    pub async fn split(&mut self, files: Vec<DayFile>) -> Result<(Vec<DayFile>, u64), DaysError> {
        let (mut settled, mut open) = (Vec::with_capacity(files.len()), 0);
        for file in files {
            match self.holds(&file.path).await? {
                true => settled.push(file),
                false => open += 1,
            }
        }
        Ok((settled, open))
    }
}
