//! Expiry: days older than the hot window leave the table; the archive keeps them.
//!
//! The commit only takes the files out of the table; vacuum deletes them after its retention.
//!
//! Refuses: a day with a row that no verified file of the archive holds; and `ingest`, which is the
//! ledger: without it an object that is delivered again would be taken in again.

use super::archive::{Archive, ArchiveError, ArchivedFile, Manifest, day_folder};
use super::days::{DayFile, DaysError, by_day};
use super::table::{LakeTable, Replaced, Replacement, TableError};
use super::upload::hash_object;
use deltalake::protocol::DeltaOperation;
use deltalake::{DeltaTableError, ObjectStoreError, Path};
use logq_schemas::Table;
use object_store::ObjectStoreExt;
use serde::Serialize;
use std::collections::HashMap;
use thiserror::Error;

/// Why a day could not be expired.
#[derive(Debug, Error)]
pub enum ExpireError {
    /// The files cannot be told.
    #[error(transparent)]
    Days(#[from] DaysError),
    /// The table cannot be changed.
    #[error(transparent)]
    Table(#[from] TableError),
    /// The archive cannot be read.
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
}

/// How the archive is proved to hold a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proof {
    /// Every file is read and hashed.
    Hash,
    /// Every file is there with its size: for files that cannot be read at once.
    Size,
    /// None: the day is dropped whatever the archive has.
    None,
}

/// What became of a day.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Expired {
    /// The table.
    pub table: &'static str,
    /// The day.
    pub day: String,
    /// Files taken out of the table.
    pub files: u64,
    /// Their rows.
    pub rows: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Why the day was left in the table.
    pub refused: Option<String>,
}

/// Whether a table loses old days at all.
pub fn may_expire(table: &Table) -> bool {
    table.name != "ingest"
}

/// The days before `before` (`YYYY-MM-DD`), oldest first.
///
/// # Errors
/// When the log is not loaded.
pub fn days_before(table: &LakeTable, before: &str) -> Result<Vec<String>, ExpireError> {
    Ok(by_day(table)?.into_keys().filter(|day| day.as_str() < before).collect())
}

/// Takes one day out of the table once the archive is proved to hold it.
///
/// # Errors
/// When the table or the archive fails; the table is as before then.
pub async fn expire_day(
    table: &mut LakeTable,
    archive: &Archive,
    day: &str,
    proof: Proof,
    dry_run: bool,
) -> Result<Expired, ExpireError> {
    let name = table.schema().name;
    table.refresh().await.map_err(|source| ExpireError::Log { table: name, source: Box::new(source) })?;
    let files = by_day(table)?.remove(day).unwrap_or_default();
    let mut report = Expired { table: name, day: day.to_owned(), ..Expired::default() };
    if !may_expire(table.schema()) {
        report.refused = Some("the ledger of input objects is kept".to_owned());
        return Ok(report);
    }
    if proof != Proof::None {
        report.refused = unproved(archive, name, day, &files, proof).await?;
    }
    if report.refused.is_some() || files.is_empty() {
        return Ok(report);
    }
    report.files = files.len() as u64;
    report.rows = files.iter().filter_map(|file| file.rows).sum();
    report.bytes = files.iter().map(|file| file.size).sum();
    if dry_run {
        return Ok(report);
    }
    let replacement = Replacement {
        day: day.to_owned(),
        removed: files.into_iter().map(|file| file.path).collect(),
        added: Vec::new(),
        changes_data: true,
        operation: DeltaOperation::Delete { predicate: Some(format!("{} = '{day}'", Table::PARTITION)) },
    };
    if table.replace(&replacement).await? == Replaced::Lost {
        report = Expired { table: name, day: day.to_owned(), ..Expired::default() };
        report.refused = Some("another program rewrites its files; run it again".to_owned());
    }
    Ok(report)
}

/// Why the archive is not proved to hold all rows of the files; `None` when it is.
async fn unproved(
    archive: &Archive,
    table: &str,
    day: &str,
    files: &[DayFile],
    proof: Proof,
) -> Result<Option<String>, ExpireError> {
    let manifests: Vec<(u32, Manifest)> = archive.manifests(&day_folder(table, day)).await?;
    if manifests.is_empty() {
        return Ok(Some("it is not sealed: run seal".to_owned()));
    }
    let listed: HashMap<String, ArchivedFile> = manifests
        .into_iter()
        .flat_map(|(_, manifest)| manifest.files)
        .map(|file| (file.name().to_owned(), file))
        .collect();
    for file in files {
        match listed.get(file.name()) {
            None => return Ok(Some(format!("{} is not sealed: run seal", file.path))),
            Some(archived) if archived.bytes != file.size || Some(archived.rows) != Some(file.rows) => {
                return Ok(Some(format!("{} is not as its manifest says", file.path)));
            }
            Some(_) => {}
        }
    }
    // All of the day's files, those of a day that was partly dropped before among them.
    for file in listed.into_values() {
        let path = Path::from(file.key.as_str());
        let found = match proof {
            Proof::Hash => hash_object(archive.store(), &path)
                .await
                .map(|found| found.bytes == file.bytes && found.sha256 == file.sha256),
            Proof::Size | Proof::None => {
                archive.store().head(&path).await.map(|meta| meta.size == file.bytes)
            }
        };
        match found {
            Ok(true) => {}
            Ok(false) => {
                return Ok(Some(format!("archive object {} has changed: run verify archive", file.key)));
            }
            Err(ObjectStoreError::NotFound { .. }) => {
                return Ok(Some(format!("archive object {} is missing: run verify archive", file.key)));
            }
            Err(error) => {
                return Ok(Some(format!(
                    "archive object {} cannot be read ({error}): if its storage class is offline, use --proof size",
                    file.key
                )));
            }
        }
    }
    Ok(None)
}
