//! Taking in what lies under a prefix, however much: in order, with a note of how far it came.
//!
//! The note is `state/backfills/<id>.json` in the lake; its id is made of what was asked for, so the same
//! command goes on where the last one was killed. It is moved only after a batch is committed, and by a
//! conditional put on S3: of two runs that ask for the same, one stops. A batch that was committed while
//! its note was lost is listed again and recognised by the ledger; so nothing is taken in twice, and
//! nothing is left out.
//!
//! A finished backfill removes its note: the next one lists everything again.

use crate::storage::{Lake, StorageError};
use bytes::Bytes;
use deltalake::{ObjectStoreError, Path};
use object_store::{ObjectStoreExt, PutMode, PutOptions, UpdateVersion};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use thiserror::Error;

/// Unreadable objects a note remembers; more are named on the way, and found by the next full run.
const UNREADABLE_MAX: usize = 10_000;

/// What was asked for: the identity of a backfill.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    /// The prefix or directory.
    pub location: String,
    /// First day.
    pub since: Option<chrono::NaiveDate>,
    /// Last day.
    pub until: Option<chrono::NaiveDate>,
    /// Patterns.
    pub include: Vec<String>,
    /// Patterns.
    pub exclude: Vec<String>,
}

/// How far a backfill came.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// What was asked for.
    pub asked: Asked,
    /// The run that wrote it.
    pub run: String,
    /// The last key that is worked off; everything before it is, too.
    pub after: Option<String>,
    /// Objects worked off.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Locations that could not be read; they are tried first when the backfill goes on.
    #[serde(default)]
    pub unreadable: Vec<String>,
}

/// Why a note cannot be kept.
#[derive(Debug, Error)]
pub enum BackfillError {
    /// The lake's store failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The note is not readable.
    #[error("the note {location} is not valid: remove it to start over")]
    Malformed {
        /// Where it is.
        location: String,
        /// What the parser says.
        source: serde_json::Error,
    },
    /// Another run moved the note.
    #[error("another backfill of {location} is at work: let it finish, or stop it and run this one again")]
    Taken {
        /// What is being backfilled.
        location: String,
    },
}

/// The note of a running backfill.
#[derive(Debug)]
pub struct Progress {
    lake: Lake,
    path: Path,
    version: Option<UpdateVersion>,
    /// As it was last stored, with what came since.
    pub note: Note,
    /// Whether an earlier run left it.
    pub resumed: bool,
}

impl Progress {
    /// Takes up the note an earlier run left, or begins one.
    ///
    /// # Errors
    /// When the lake fails, or another run takes the note at the same moment.
    pub async fn open(lake: &Lake, asked: Asked) -> Result<Progress, BackfillError> {
        let path = Path::from(format!("state/backfills/{}.json", id(&asked)));
        let run = run_id();
        let fresh = Note { asked, run, after: None, objects: 0, bytes: 0, unreadable: Vec::new() };
        let mut progress = Progress { lake: lake.clone(), path, version: None, note: fresh, resumed: false };
        if let Some(found) = progress.read().await? {
            progress.note = Note { run: progress.note.run.clone(), ..found };
            progress.resumed = true;
        }
        progress.store().await?;
        Ok(progress)
    }

    fn location(&self) -> String {
        format!("{}{}", self.lake.url(), self.path)
    }

    fn failed(&self, source: ObjectStoreError) -> BackfillError {
        BackfillError::Storage(StorageError::Request { location: self.location(), source })
    }

    async fn read(&mut self) -> Result<Option<Note>, BackfillError> {
        let found = match self.lake.store().get(&self.path).await {
            Ok(found) => found,
            Err(ObjectStoreError::NotFound { .. }) => return Ok(None),
            Err(source) => return Err(self.failed(source)),
        };
        self.version =
            Some(UpdateVersion { e_tag: found.meta.e_tag.clone(), version: found.meta.version.clone() });
        let bytes = found.bytes().await.map_err(|source| self.failed(source))?;
        serde_json::from_slice(&bytes)
            .map(Some)
            .map_err(|source| BackfillError::Malformed { location: self.location(), source })
    }

    /// Notes that everything up to `after` is worked off.
    ///
    /// # Errors
    /// When the lake fails or another run moved the note.
    pub async fn advance(
        &mut self,
        after: String,
        objects: u64,
        bytes: u64,
        unreadable: Vec<String>,
    ) -> Result<(), BackfillError> {
        self.note.after = Some(after);
        self.note.objects += objects;
        self.note.bytes += bytes;
        self.note.unreadable.extend(unreadable);
        self.note.unreadable.truncate(UNREADABLE_MAX);
        self.store().await
    }

    async fn store(&mut self) -> Result<(), BackfillError> {
        let body = serde_json::to_vec(&self.note)
            .map_err(|source| BackfillError::Malformed { location: self.location(), source })?;
        let mode = match &self.version {
            // A directory has one processor a shard, held by a lock, and no conditional update.
            Some(_) if self.lake.directory().is_some() => PutMode::Overwrite,
            Some(version) => PutMode::Update(version.clone()),
            None => PutMode::Create,
        };
        let options = PutOptions { mode, ..PutOptions::default() };
        match self.lake.store().put_opts(&self.path, Bytes::from(body).into(), options).await {
            Ok(put) => {
                self.version = Some(put.into());
                Ok(())
            }
            // The store client repeats a put whose answer was lost: the winner may be ourselves.
            Err(ObjectStoreError::AlreadyExists { .. } | ObjectStoreError::Precondition { .. }) => {
                let ours = self.note.clone();
                match self.read().await? {
                    Some(found) if found == ours => Ok(()),
                    _ => Err(BackfillError::Taken { location: self.note.asked.location.clone() }),
                }
            }
            Err(source) => Err(self.failed(source)),
        }
    }

    /// Removes the note: everything is worked off.
    ///
    /// # Errors
    /// When the lake fails.
    pub async fn finish(self) -> Result<(), BackfillError> {
        match self.lake.store().delete(&self.path).await {
            Ok(()) | Err(ObjectStoreError::NotFound { .. }) => Ok(()),
            Err(source) => Err(self.failed(source)),
        }
    }
}

fn id(asked: &Asked) -> String {
    // Serialising plain text and dates cannot fail; an empty text would only share a note.
    let text = serde_json::to_vec(asked).unwrap_or_default();
    Sha256::digest(&text).iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

/// Unique per run: random keys of the standard hasher.
fn run_id() -> String {
    use std::hash::BuildHasher;
    let keys = std::collections::hash_map::RandomState::new();
    format!("{:016x}", keys.hash_one(std::process::id()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(location: &str) -> Asked {
        Asked {
            location: location.to_owned(),
            since: None,
            until: None,
            include: Vec::new(),
            exclude: Vec::new(),
        }
    }

    #[tokio::test]
    async fn g3_a_backfill_goes_on_where_the_last_one_stopped() {
        let directory = tempfile::tempdir().expect("temporary directory");
        let lake = Lake::open(directory.path().to_str().expect("UTF-8")).await.expect("opens");
        let mut first = Progress::open(&lake, asked("/in")).await.expect("opens");
        assert!(!first.resumed);
        first.advance("/in/b".to_owned(), 2, 20, vec!["/in/a".to_owned()]).await.expect("notes");
        drop(first);
        let second = Progress::open(&lake, asked("/in")).await.expect("opens");
        assert!(second.resumed);
        assert_eq!((second.note.after.as_deref(), second.note.objects), (Some("/in/b"), 2));
        assert_eq!(second.note.unreadable, ["/in/a"]);
        let other = Progress::open(&lake, asked("/elsewhere")).await.expect("opens");
        assert!(!other.resumed, "another question has a note of its own");
        second.finish().await.expect("removes");
        assert!(!Progress::open(&lake, asked("/in")).await.expect("opens").resumed);
    }

    #[tokio::test]
    async fn a_note_that_is_damaged_is_named() {
        let directory = tempfile::tempdir().expect("temporary directory");
        let lake = Lake::open(directory.path().to_str().expect("UTF-8")).await.expect("opens");
        let progress = Progress::open(&lake, asked("/in")).await.expect("opens");
        lake.store().put(&progress.path, Bytes::from_static(b"{").into()).await.expect("writes");
        let error = Progress::open(&lake, asked("/in")).await.expect_err("is refused");
        assert!(error.to_string().contains("state/backfills/"), "{error}");
    }
}
