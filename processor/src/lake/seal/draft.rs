//! Drafts: what a seal is about to commit, written down before, so that a run that takes up an
//! interrupted seal publishes the same manifest.
//!
//! Nothing depends on a draft for being right: without it, files that were committed and not archived
//! are new files of their day and are sealed again.

use super::SealError;
use crate::lake::output::Written;
use crate::storage::{Lake, StorageError};
use bytes::Bytes;
use deltalake::{ObjectStoreError, Path};
use futures::TryStreamExt;
use object_store::ObjectStoreExt;
use serde::{Deserialize, Serialize};
use std::collections::HashSet;

/// A sealed file in the table's folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct DraftFile {
    /// Path below the table's root.
    pub path: String,
    pub bytes: u64,
    pub rows: u64,
    pub sha256: String,
    /// Smallest and largest event time, µs.
    pub times: Option<(i64, i64)>,
}

impl From<&Written> for DraftFile {
    fn from(file: &Written) -> DraftFile {
        DraftFile {
            path: file.path.clone(),
            bytes: file.bytes,
            rows: file.rows,
            sha256: file.sha256.clone(),
            times: file.times,
        }
    }
}

/// One seal of one day of one table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Draft {
    /// Identity: made of what goes in.
    pub seal: String,
    pub table: String,
    pub day: String,
    /// Paths that go.
    pub inputs: Vec<String>,
    /// Files that come.
    pub files: Vec<DraftFile>,
    pub duplicates: u64,
    pub conflicts: u64,
    pub objects: u64,
}

/// How far a draft got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Progress {
    /// The table has its files: publish it.
    Committed,
    /// The table still has its inputs: it may be committed yet.
    Open,
    /// It can never be committed.
    Stale,
}

impl Draft {
    pub(super) fn progress(&self, active: &HashSet<&str>) -> Progress {
        let inputs = self.inputs.iter().filter(|path| active.contains(path.as_str())).count();
        let came = self.files.iter().all(|file| active.contains(file.path.as_str()));
        match inputs {
            0 if came => Progress::Committed,
            all if all == self.inputs.len() => Progress::Open,
            _ => Progress::Stale,
        }
    }

    fn path(&self) -> Path {
        Path::from(format!("{}/{}.json", folder(&self.table, &self.day), self.seal))
    }

    pub(super) async fn save(&self, lake: &Lake) -> Result<(), SealError> {
        let path = self.path();
        let body = serde_json::to_vec(self)
            .map_err(|source| SealError::Draft { location: path.to_string(), source })?;
        lake.store()
            .put(&path, Bytes::from(body).into())
            .await
            .map_err(|error| request(lake, &path, error))?;
        Ok(())
    }

    pub(super) async fn remove(&self, lake: &Lake) -> Result<(), SealError> {
        let path = self.path();
        match lake.store().delete(&path).await {
            Ok(()) | Err(ObjectStoreError::NotFound { .. }) => Ok(()),
            Err(error) => Err(request(lake, &path, error)),
        }
    }
}

fn folder(table: &str, day: &str) -> String {
    format!("state/seal/{table}/{day}")
}

fn request(lake: &Lake, path: &Path, source: ObjectStoreError) -> SealError {
    SealError::Storage(StorageError::Request { location: format!("{}{path}", lake.url()), source })
}

/// The drafts of a day.
pub(super) async fn drafts(lake: &Lake, table: &str, day: &str) -> Result<Vec<Draft>, SealError> {
    let folder = Path::from(folder(table, day));
    let failed = |error| request(lake, &folder, error);
    let listed: Vec<_> = lake.store().list(Some(&folder)).try_collect().await.map_err(failed)?;
    let mut drafts = Vec::with_capacity(listed.len());
    for object in listed {
        let path = object.location;
        let found = match lake.store().get(&path).await {
            Ok(found) => found,
            // Another run has just published it.
            Err(ObjectStoreError::NotFound { .. }) => continue,
            Err(error) => return Err(request(lake, &path, error)),
        };
        let bytes = found.bytes().await.map_err(|error| request(lake, &path, error))?;
        let draft: Draft = serde_json::from_slice(&bytes)
            .map_err(|source| SealError::Draft { location: format!("{}{path}", lake.url()), source })?;
        drafts.push(draft);
    }
    Ok(drafts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_draft_is_committed_open_or_stale_by_the_files_of_the_table() {
        let file = |path: &str| DraftFile {
            path: path.to_owned(),
            bytes: 1,
            rows: 1,
            sha256: String::new(),
            times: None,
        };
        let draft = Draft {
            seal: "s".to_owned(),
            table: "t".to_owned(),
            day: "d".to_owned(),
            inputs: vec!["a".to_owned(), "b".to_owned()],
            files: vec![file("x")],
            duplicates: 0,
            conflicts: 0,
            objects: 1,
        };
        let at = |active: &[&str]| draft.progress(&active.iter().copied().collect());
        assert_eq!(at(&["a", "b", "c"]), Progress::Open);
        assert_eq!(at(&["x", "c"]), Progress::Committed);
        assert_eq!(at(&["a", "c"]), Progress::Stale, "one input was taken by somebody else");
        assert_eq!(at(&["c"]), Progress::Stale);
        let empty = Draft { files: Vec::new(), ..draft.clone() };
        assert_eq!(empty.progress(&["c"].into_iter().collect()), Progress::Committed, "repeats only");
    }
}
