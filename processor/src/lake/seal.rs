//! Sealing: a day that is over becomes final files, sorted and without repeats, in the table and in
//! the archive, with a manifest that lists what they are.
//!
//! Steps for one table and day, each of which may be the last before a crash:
//! 1. Files that no manifest lists are merged into `seal-…` files in the table's folder; rows that are
//!    in the archive already, or twice among them, are left out and counted.
//! 2. A draft of the manifest is saved.
//! 3. One commit replaces the merged files by the sealed ones.
//! 4. The sealed files are copied into the archive, byte for byte, and hashed on the way.
//! 5. The manifest is created under the next number; the draft is removed.
//!
//! A run that finds a draft whose files the table has goes on at step 4; otherwise it begins anew, and
//! the same files give the same names, so that it overwrites its own leftovers. Rows that come later
//! are sealed as a supplement, the next manifest.
//!
//! Refuses: a day that is not over, files of batches that are not done (they become a supplement), and
//! a sealed day whose files another program rewrote.

mod draft;

use super::archive::{Archive, ArchiveError, ArchivedFile, Manifest, day_folder, time_text};
use super::compact::{Sizes, even_share};
use super::days::{COMPACTED, DayFile, DaysError, SEALED, Settled, by_day};
use super::merge::{Counts, Input, Merge, MergeError, Rows};
use super::output::{DayOutput, OutputError, Written};
use super::table::{LakeTable, Replaced, Replacement, TableError};
use super::write::batch_of;
use crate::storage::{Lake, StorageError};
use crate::stored::hex;
use deltalake::protocol::DeltaOperation;
use deltalake::{DeltaTableError, Path};
use draft::{Draft, DraftFile, Progress, drafts};
use logq_schemas::Table;
use serde::Serialize;
use sha2::{Digest, Sha256};
use std::collections::HashSet;
use thiserror::Error;

/// Version of the manifest's format.
const FORMAT: u32 = 1;

/// How often a day is begun anew when another program rewrites its files meanwhile.
const ROUNDS: usize = 5;

/// Why a day could not be sealed.
#[derive(Debug, Error)]
pub enum SealError {
    /// The lake's store failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
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
    /// The archive failed.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// The log of the table cannot be read.
    #[error("cannot read the log of table `{table}`")]
    Log {
        /// The table.
        table: &'static str,
        /// The table format's answer.
        source: Box<DeltaTableError>,
    },
    /// A draft is malformed.
    #[error("draft {location} is not valid: remove it and seal again")]
    Draft {
        /// Its key.
        location: String,
        /// What the parser says.
        source: serde_json::Error,
    },
    /// Another program rewrote sealed files.
    #[error(
        "{table} {day} is sealed and {path} was written by another program in place of sealed files: restore the table to a version before it, or leave the day as it is"
    )]
    Rewritten {
        /// The table.
        table: &'static str,
        /// The day.
        day: String,
        /// A file of the other program.
        path: String,
    },
    /// Others rewrite the day's files again and again.
    #[error("{table} {day}: its files are being rewritten by another program; seal it again later")]
    Busy {
        /// The table.
        table: &'static str,
        /// The day.
        day: String,
    },
    /// Rows would be lost or doubled: a fault of this program, noticed before it did harm.
    #[error("{table} {day}: of {read} rows {accounted} are accounted for; nothing was changed")]
    Rows {
        /// The table.
        table: &'static str,
        /// The day.
        day: String,
        /// Rows the log says the files have.
        read: u64,
        /// Rows written or known to be repeats.
        accounted: u64,
    },
}

/// What became of one day of one table.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Sealed {
    /// The table.
    pub table: &'static str,
    /// The day.
    pub day: String,
    /// Numbers of the manifests this run published; none when nothing was new.
    pub manifests: Vec<u32>,
    /// Files they list.
    pub files: u64,
    /// Bytes of these files.
    pub bytes: u64,
    /// Rows in these files.
    pub rows: u64,
    /// Rows left out as repeats.
    pub duplicates_removed: u64,
    /// Rows kept although their identity was there with other content.
    pub conflicts_kept: u64,
    /// Files left for a supplement because their batch is not done.
    pub files_open: u64,
}

/// Seals one day of a table.
///
/// # Errors
/// When any step fails; run it again to go on.
pub async fn seal_day(
    lake: &Lake,
    archive: &Archive,
    table: &mut LakeTable,
    day: &str,
    sizes: Sizes,
) -> Result<Sealed, SealError> {
    let name = table.schema().name;
    let mut report = Sealed { table: name, day: day.to_owned(), ..Sealed::default() };
    for _ in 0..ROUNDS {
        table.refresh().await.map_err(|source| SealError::Log { table: name, source: Box::new(source) })?;
        let files = by_day(table)?.remove(day).unwrap_or_default();
        take_up_drafts(lake, archive, table, day, &files, &mut report).await?;
        let work = Work::find(lake, archive, table, day, files).await?;
        report.files_open = work.files_open;
        if work.new.is_empty() {
            return Ok(report);
        }
        let (draft, written, modified) = work.merge(table, sizes).await?;
        draft.save(lake).await?;
        let replacement = Replacement {
            day: day.to_owned(),
            removed: draft.inputs.clone(),
            added: written.iter().map(|file| file.add(day, modified)).collect(),
            changes_data: draft.duplicates > 0,
            operation: DeltaOperation::Optimize {
                predicate: Some(format!("{} = '{day}'", Table::PARTITION)),
                target_size: i64::try_from(sizes.file_bytes).unwrap_or(i64::MAX),
            },
        };
        if table.replace(&replacement).await? == Replaced::Done {
            publish(archive, table, &draft, &mut report).await?;
            draft.remove(lake).await?;
            return Ok(report);
        }
        draft.remove(lake).await?;
    }
    Err(SealError::Busy { table: name, day: day.to_owned() })
}

/// Publishes what was committed, forgets what cannot be.
async fn take_up_drafts(
    lake: &Lake,
    archive: &Archive,
    table: &LakeTable,
    day: &str,
    files: &[DayFile],
    report: &mut Sealed,
) -> Result<(), SealError> {
    let found = drafts(lake, table.schema().name, day).await?;
    let active: HashSet<&str> = files.iter().map(|file| file.path.as_str()).collect();
    for draft in found {
        match draft.progress(&active) {
            Progress::Committed => {
                publish(archive, table, &draft, report).await?;
                draft.remove(lake).await?;
            }
            Progress::Stale => draft.remove(lake).await?,
            Progress::Open => {}
        }
    }
    Ok(())
}

/// Copies the files of a committed draft and creates its manifest, unless there is one.
async fn publish(
    archive: &Archive,
    table: &LakeTable,
    draft: &Draft,
    report: &mut Sealed,
) -> Result<(), SealError> {
    let folder = day_folder(&draft.table, &draft.day);
    let mut copied = false;
    loop {
        let manifests: Vec<(u32, Manifest)> = archive.manifests(&folder).await?;
        if manifests.iter().any(|(_, manifest)| manifest.seal == draft.seal) {
            return Ok(());
        }
        if !copied {
            let store = table.delta().object_store();
            for file in &draft.files {
                let key = archive_key(draft, file);
                archive.copy(&store, &Path::from(file.path.as_str()), &key, &file.sha256).await?;
            }
            copied = true;
        }
        let number = manifests.last().map_or(0, |(number, _)| *number) + 1;
        let manifest = manifest(table.schema(), draft);
        if archive.create_manifest(&folder, number, &manifest).await? {
            report.manifests.push(number);
            report.files += manifest.files.len() as u64;
            report.bytes += manifest.files.iter().map(|file| file.bytes).sum::<u64>();
            report.rows += manifest.rows;
            report.duplicates_removed += manifest.duplicates_removed;
            report.conflicts_kept += manifest.conflicts_kept;
            return Ok(());
        }
    }
}

fn archive_key(draft: &Draft, file: &DraftFile) -> String {
    let name = file.path.rsplit('/').next().unwrap_or(&file.path);
    format!("{}/{name}", day_folder(&draft.table, &draft.day))
}

fn manifest(table: &Table, draft: &Draft) -> Manifest {
    let files = draft.files.iter().map(|file| ArchivedFile {
        key: archive_key(draft, file),
        bytes: file.bytes,
        sha256: file.sha256.clone(),
        rows: Some(file.rows),
        min_event_time: file.times.and_then(|times| time_text(times.0)),
        max_event_time: file.times.and_then(|times| time_text(times.1)),
    });
    Manifest {
        format: FORMAT,
        kind: "table".to_owned(),
        table: draft.table.clone(),
        event_date: draft.day.clone(),
        schema_version: table.version,
        created_by: created_by(),
        sealed_at: time_text(chrono::Utc::now().timestamp_micros()).unwrap_or_default(),
        seal: draft.seal.clone(),
        rows: draft.files.iter().map(|file| file.rows).sum(),
        duplicates_removed: draft.duplicates,
        conflicts_kept: draft.conflicts,
        input_objects: draft.objects,
        files: files.collect(),
    }
}

/// Program and version, as manifests name them.
pub fn created_by() -> String {
    format!("logq-processor {}", env!("CARGO_PKG_VERSION"))
}

/// What there is to do for a day.
struct Work {
    day: String,
    /// Files no manifest lists.
    new: Vec<DayFile>,
    /// Files whose rows are in the archive, wherever they can be read.
    references: Vec<Input>,
    /// Names of all archived files.
    archived: Vec<String>,
    files_open: u64,
}

impl Work {
    async fn find(
        lake: &Lake,
        archive: &Archive,
        table: &LakeTable,
        day: &str,
        files: Vec<DayFile>,
    ) -> Result<Work, SealError> {
        let schema = table.schema();
        let manifests: Vec<(u32, Manifest)> = archive.manifests(&day_folder(schema.name, day)).await?;
        let listed: Vec<ArchivedFile> =
            manifests.into_iter().flat_map(|(_, manifest)| manifest.files).collect();
        let names: HashSet<&str> = listed.iter().map(ArchivedFile::name).collect();
        let (sealed, new): (Vec<DayFile>, Vec<DayFile>) =
            files.into_iter().partition(|file| names.contains(file.name()));
        let (new, files_open) = Settled::load(lake).await?.split(new).await?;

        // Sealed files are read in the table while it has them, later in the archive.
        let hot: HashSet<String> = sealed.iter().map(|file| file.name().to_owned()).collect();
        let store = table.delta().object_store();
        let mut references: Vec<Input> =
            sealed.into_iter().map(|file| Input { store: store.clone(), file, reference: true }).collect();
        for file in listed.iter().filter(|file| !hot.contains(file.name())) {
            if let Some(foreign) = new.iter().find(|file| !is_ours(file)) {
                let path = foreign.path.clone();
                return Err(SealError::Rewritten { table: schema.name, day: day.to_owned(), path });
            }
            let times = if schema.sort_by.first() == Some(&"event_time") { file.times() } else { None };
            let file = DayFile {
                path: file.key.clone(),
                size: file.bytes,
                rows: file.rows,
                modified: 0,
                times,
                sorted: true,
            };
            references.push(Input { store: archive.store().clone(), file, reference: true });
        }
        let mut archived: Vec<String> = names.into_iter().map(str::to_owned).collect();
        archived.sort_unstable();
        Ok(Work { day: day.to_owned(), new, references, archived, files_open })
    }

    /// Names the sealed files after what goes in.
    fn seal(&self, schema: &Table, sizes: Sizes) -> String {
        let mut hasher = Sha256::new();
        let mut note = |text: &str| {
            hasher.update(text.as_bytes());
            hasher.update([0]);
        };
        note(&created_by());
        note(schema.name);
        note(&schema.version.to_string());
        note(&format!("{} {}", sizes.file_bytes, sizes.memory_bytes));
        self.new.iter().for_each(|file| note(&format!("{} {}", file.path, file.size)));
        self.archived.iter().for_each(|name| note(name));
        hex(&hasher.finalize()).chars().take(16).collect()
    }

    async fn merge(self, table: &LakeTable, sizes: Sizes) -> Result<(Draft, Vec<Written>, i64), SealError> {
        let schema = table.schema();
        let (day, seal) = (self.day.clone(), self.seal(schema, sizes));
        let bytes = self.new.iter().map(|file| file.size).sum();
        let expected: Option<u64> = self.new.iter().map(|file| file.rows).sum();
        let modified = self.new.iter().map(|file| file.modified).max().unwrap_or_default();
        let removed: Vec<String> = self.new.iter().map(|file| file.path.clone()).collect();

        let store = table.delta().object_store();
        let span = span(&self.new);
        let new = self.new.into_iter().map(|file| Input { store: store.clone(), file, reference: false });
        // A repeat has the time of the row it repeats: files of other times need not be read.
        let near = |input: &Input| match (span, input.file.times) {
            (Some((first, last)), Some(times)) => times.0 <= last && first <= times.1,
            _ => true,
        };
        let inputs = new.chain(self.references.into_iter().filter(near)).collect();
        let mut merge = Merge::open(schema, inputs, Rows::Unique, sizes.memory_bytes).await?;
        let share = even_share(bytes, sizes.file_bytes);
        let mut output = DayOutput::new(
            store.clone(),
            schema,
            &day,
            &format!("{SEALED}{seal}"),
            share,
            expected.unwrap_or(u64::MAX),
        );
        while let Some(rows) = merge.next().await? {
            output.write(&rows).await?;
        }
        let written = output.finish().await?;
        let Counts { rows, duplicates, conflicts, objects } = merge.counts();
        let accounted = written.iter().map(|file| file.rows).sum::<u64>() + duplicates;
        let read = expected.unwrap_or(rows);
        if read != accounted {
            return Err(SealError::Rows { table: schema.name, day, read, accounted });
        }
        let files = written.iter().map(DraftFile::from).collect();
        let table = schema.name.to_owned();
        let draft = Draft { seal, table, day, inputs: removed, files, duplicates, conflicts, objects };
        Ok((draft, written, modified))
    }
}

/// The times of some files together, where all are known.
fn span(files: &[DayFile]) -> Option<(i64, i64)> {
    let times: Option<Vec<(i64, i64)>> = files.iter().map(|file| file.times).collect();
    let times = times?;
    Some((times.iter().map(|times| times.0).min()?, times.iter().map(|times| times.1).max()?))
}

/// Whether this program named the file.
fn is_ours(file: &DayFile) -> bool {
    batch_of(&file.path).is_some() || file.name().starts_with(COMPACTED) || file.name().starts_with(SEALED)
}
