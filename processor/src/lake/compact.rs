//! Compaction: the many small files a day gathers become few large ones, in the same order.
//!
//! Promises: rows stay the same and readers see each of them once at any moment; appends go on
//! meanwhile; memory does not depend on the day. What was done for one day stays when the next fails.
//!
//! Refuses: to touch sealed files, other days than asked for, files of batches that are not done, and
//! tables with columns this version does not know.

use super::days::{COMPACTED, DayFile, DaysError, SEALED, Settled, by_day};
use super::merge::{Input, Merge, MergeError, Rows};
use super::output::{DayOutput, OutputError};
use super::table::{LakeTable, Replaced, Replacement, TableError};
use crate::storage::Lake;
use deltalake::protocol::DeltaOperation;
use logq_schemas::Table;
use serde::Serialize;
use thiserror::Error;

/// A file joins others when what is smaller than it adds up to at least this part of it, so that a
/// large file is not written again for every small one: each byte is rewritten a few times at most.
const WORTH: u64 = 4;

/// Sizes and limits of maintenance.
#[derive(Debug, Clone, Copy)]
pub struct Sizes {
    /// Bytes a data file should have.
    pub file_bytes: u64,
    /// Bytes a merge may take.
    pub memory_bytes: u64,
}

/// Why a day could not be compacted.
#[derive(Debug, Error)]
pub enum CompactError {
    /// The files cannot be told.
    #[error(transparent)]
    Days(#[from] DaysError),
    /// Files cannot be merged.
    #[error(transparent)]
    Merge(#[from] MergeError),
    /// Files cannot be written.
    #[error(transparent)]
    Output(#[from] OutputError),
    /// The table cannot be changed.
    #[error(transparent)]
    Table(#[from] TableError),
    /// Rows would be lost or doubled: a fault of this program, noticed before it did harm.
    #[error("{table} {day}: {read} rows were read and {written} written; nothing was changed")]
    Rows {
        /// The table.
        table: &'static str,
        /// The day.
        day: String,
        /// Rows the log says the files have.
        read: u64,
        /// Rows written.
        written: u64,
    },
}

/// What became of one day of one table.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Compacted {
    /// The table.
    pub table: &'static str,
    /// The day.
    pub day: String,
    /// Files before and after, of those that were rewritten.
    pub files_before: u64,
    /// Files they became.
    pub files_after: u64,
    /// Their bytes.
    pub bytes_before: u64,
    /// Bytes of what they became.
    pub bytes_after: u64,
    /// Rows in them.
    pub rows: u64,
    /// Files that were left because their batch is not done.
    pub files_open: u64,
    /// Another program rewrote one of the files first: run it again.
    pub lost: bool,
}

/// The files worth merging; none when the day is good as it is.
pub fn plan(files: &[DayFile], file_bytes: u64) -> Vec<DayFile> {
    // From three quarters of the target on a file is as large as it will get.
    let enough = file_bytes / 4 * 3;
    let mut small: Vec<&DayFile> =
        files.iter().filter(|file| file.size < enough && !file.name().starts_with(SEALED)).collect();
    small.sort_by(|one, other| one.size.cmp(&other.size).then_with(|| one.path.cmp(&other.path)));
    let (mut chosen, mut smaller) = (0, 0_u64);
    for (index, file) in small.iter().enumerate() {
        smaller += if index == 0 { 0 } else { small[index - 1].size };
        if index == 0 || smaller.saturating_mul(WORTH) >= file.size {
            chosen = index + 1;
        }
    }
    // One file alone gains nothing, unless it is of unknown order.
    match small.get(..chosen) {
        Some(chosen) if chosen.len() >= 2 => chosen.iter().map(|&file| file.clone()).collect(),
        _ => Vec::new(),
    }
}

/// A name no other run uses: keys of the standard hasher over process and time.
pub fn run_name(start: &str) -> String {
    use std::hash::BuildHasher;
    let keys = std::collections::hash_map::RandomState::new();
    let now = chrono::Utc::now();
    format!("{start}{}-{:016x}", now.format("%Y%m%dT%H%M%S"), keys.hash_one((std::process::id(), now)))
}

/// Bytes a file should get so that `bytes` become files of about the same size near the target.
pub fn even_share(bytes: u64, target: u64) -> u64 {
    let files = bytes.div_ceil(target.max(1)).max(1);
    if files == 1 {
        // What is still being encoded counts for more than it will take: that must not make a second file.
        return target.saturating_mul(2).max(1);
    }
    // A twentieth more, so that rounding does not leave a rest of a few rows.
    let share = bytes / files;
    share + share / 20
}

/// Compacts one day of a table.
///
/// # Errors
/// When files cannot be read or written, or the commit does not land; the table is as before then.
pub async fn compact_day(
    lake: &Lake,
    table: &mut LakeTable,
    day: &str,
    sizes: Sizes,
) -> Result<Compacted, CompactError> {
    let files = by_day(table)?.remove(day).unwrap_or_default();
    let (files, files_open) = Settled::load(lake).await?.split(files).await?;
    let chosen = plan(&files, sizes.file_bytes);
    let schema = table.schema();
    let mut report =
        Compacted { table: schema.name, day: day.to_owned(), files_open, ..Compacted::default() };
    if chosen.is_empty() {
        return Ok(report);
    }
    report.files_before = chosen.len() as u64;
    report.bytes_before = chosen.iter().map(|file| file.size).sum();
    let expected: Option<u64> = chosen.iter().map(|file| file.rows).sum();
    let modified = chosen.iter().map(|file| file.modified).max().unwrap_or_default();
    let removed: Vec<String> = chosen.iter().map(|file| file.path.clone()).collect();

    let store = table.delta().object_store();
    let share = even_share(report.bytes_before, sizes.file_bytes);
    let mut output =
        DayOutput::new(store.clone(), schema, day, &run_name(COMPACTED), share, expected.unwrap_or(u64::MAX));
    let inputs = chosen.into_iter().map(|file| Input { store: store.clone(), file, reference: false });
    let mut merge = Merge::open(schema, inputs.collect(), Rows::All, sizes.memory_bytes).await?;
    while let Some(rows) = merge.next().await? {
        output.write(&rows).await?;
    }
    let written = output.finish().await?;
    report.rows = written.iter().map(|file| file.rows).sum();
    let read = expected.unwrap_or(merge.counts().rows);
    if read != report.rows {
        return Err(CompactError::Rows {
            table: schema.name,
            day: day.to_owned(),
            read,
            written: report.rows,
        });
    }
    report.files_after = written.len() as u64;
    report.bytes_after = written.iter().map(|file| file.bytes).sum();
    let replacement = Replacement {
        day: day.to_owned(),
        removed,
        added: written.iter().map(|file| file.add(day, modified)).collect(),
        changes_data: false,
        operation: DeltaOperation::Optimize {
            predicate: Some(format!("{} = '{day}'", Table::PARTITION)),
            target_size: i64::try_from(sizes.file_bytes).unwrap_or(i64::MAX),
        },
    };
    report.lost = table.replace(&replacement).await? == Replaced::Lost;
    Ok(report)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(name: &str, size: u64) -> DayFile {
        let path = format!("event_date=2026-11-22/{name}");
        DayFile { path, size, rows: Some(1), modified: 0, times: None, sorted: true }
    }

    fn planned(files: &[(&str, u64)]) -> usize {
        let files: Vec<DayFile> = files.iter().map(|(name, size)| file(name, *size)).collect();
        plan(&files, 1_000).len()
    }

    #[test]
    fn small_files_are_merged_and_good_days_left_alone() {
        assert_eq!(planned(&[]), 0);
        assert_eq!(planned(&[("a", 10)]), 0, "one file gains nothing");
        assert_eq!(planned(&[("a", 10), ("b", 20)]), 2);
        assert_eq!(planned(&[("a", 900), ("b", 750)]), 0, "large enough");
        assert_eq!(planned(&[("a", 700), ("b", 10)]), 0, "a large file is not rewritten for a small one");
        assert_eq!(planned(&[("a", 700), ("b", 10), ("c", 10)]), 2, "the small ones are");
        assert_eq!(planned(&[("a", 700), ("b", 90), ("c", 90)]), 3);
        assert_eq!(planned(&[("seal-a", 10), ("seal-b", 10), ("c", 10)]), 0, "sealed files stay");
    }

    #[test]
    fn shares_are_even() {
        assert_eq!(even_share(900, 1_000), 2_000, "one file");
        assert_eq!(even_share(2_100, 1_000), 735, "three");
        assert_eq!(even_share(0, 1_000), 2_000);
    }
}
