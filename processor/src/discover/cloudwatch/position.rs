//! What a pull leaves in the lake: objects, and the positions that make them count.
//!
//! `state/pulled/<section>/<group>/<number>-<content>.<ending>` is an object,
//! `state/pulled/<section>/<group>/<number>.json` its position. The object is written first and named
//! after its content, the position is created and never changed: of two processors that read the same
//! window, one wins, and the object its position names is untouched by the other.

use super::window::{Reading, Window};
use crate::storage::{Candidate, Lake, Place, StorageError};
use bytes::Bytes;
use deltalake::{ObjectStoreError, Path};
use futures::TryStreamExt;
use object_store::{ObjectMeta, ObjectStoreExt, PutMode, PutOptions};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use twox_hash::XxHash3_64;

/// One position.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// From 0, each one higher than the one before.
    pub number: u64,
    /// The group, for a person who looks.
    pub group: String,
    /// Name of the object; none when the window brought nothing new.
    pub object: Option<String>,
    /// How far the group was read.
    pub reading: Reading,
    /// The window in hand, and where in it the next request goes on; none when it is done.
    pub pending: Option<(Window, String)>,
    /// Last moment of the window the events come from.
    pub to: i64,
    /// Ids of the events in the object.
    pub ids: Vec<String>,
}

/// The positions of one group.
#[derive(Debug, Clone)]
pub struct Positions {
    lake: Lake,
    folder: Path,
}

impl Positions {
    /// Of `group` in `section`.
    pub fn of(lake: &Lake, section: &str, group: &str) -> Positions {
        let readable: String =
            group.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).take(80).collect();
        let hash = XxHash3_64::oneshot(group.as_bytes());
        let folder = Path::from(format!("state/pulled/{section}/{}-{hash:016x}", readable.trim_matches('-')));
        Positions { lake: lake.clone(), folder }
    }

    fn failed(&self, path: &Path, source: ObjectStoreError) -> StorageError {
        StorageError::Request { location: format!("{}{path}", self.lake.url()), source }
    }

    fn path(&self, number: u64) -> Path {
        Path::from(format!("{}/{number:012}.json", self.folder))
    }

    /// Every position there is, in order, and the objects that are still there, by name.
    ///
    /// # Errors
    /// When the store fails or a position is damaged.
    pub async fn load(&self) -> Result<(Vec<Position>, HashMap<String, Candidate>), StorageError> {
        let listing = self.lake.store().list(Some(&self.folder));
        let found: Vec<ObjectMeta> =
            listing.try_collect().await.map_err(|source| self.failed(&self.folder, source))?;
        let mut positions = Vec::new();
        let mut objects = HashMap::new();
        for meta in found {
            let Some(name) = meta.location.filename().map(str::to_owned) else { continue };
            // Positions end in `.json`, objects in `.json.gz`, `.log.gz` or `.jsonl.zst`.
            if name.ends_with(".json") {
                let answer = self.lake.store().get(&meta.location).await;
                let read = match answer {
                    Ok(answer) => answer.bytes().await,
                    Err(error) => Err(error),
                };
                let bytes = read.map_err(|source| self.failed(&meta.location, source))?;
                positions.push(serde_json::from_slice(&bytes).map_err(|error| StorageError::Read {
                    location: format!("{}{}", self.lake.url(), meta.location),
                    source: std::io::Error::new(std::io::ErrorKind::InvalidData, error),
                })?);
            } else {
                let candidate = self.candidate(&self.object(&name), &meta);
                objects.insert(name, candidate);
            }
        }
        positions.sort_by_key(|position: &Position| position.number);
        Ok((positions, objects))
    }

    fn object(&self, name: &str) -> Path {
        Path::from(format!("{}/{name}", self.folder))
    }

    /// The object as any input object. Its path is given, because the store may answer with one that is
    /// not rooted at the lake.
    fn candidate(&self, path: &Path, meta: &ObjectMeta) -> Candidate {
        let place = match self.lake.directory() {
            Some(directory) => Place::File(directory.join(path.as_ref())),
            None => Place::from_location(&format!("{}{path}", self.lake.url())),
        };
        Candidate {
            place,
            stored_bytes: meta.size,
            last_modified: Some(meta.last_modified.timestamp_micros()),
            // A local file has no ETag elsewhere in this program.
            etag: meta.e_tag.clone().filter(|_| self.lake.directory().is_none()),
        }
    }

    /// Writes an object; it counts once a position names it. Gives its name.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn put_object(
        &self,
        number: u64,
        bytes: Vec<u8>,
        ending: &str,
    ) -> Result<(String, Candidate), StorageError> {
        let name = format!("{number:012}-{}.{ending}", crate::stored::object_id(&bytes));
        let path = self.object(&name);
        let put = self.lake.store().put(&path, Bytes::from(bytes).into()).await;
        put.map_err(|source| self.failed(&path, source))?;
        let meta = self.lake.store().head(&path).await.map_err(|source| self.failed(&path, source))?;
        let candidate = self.candidate(&path, &meta);
        Ok((name, candidate))
    }

    /// Creates a position; false when another processor created it first.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn create(&self, position: &Position) -> Result<bool, StorageError> {
        let path = self.path(position.number);
        let body = serde_json::to_vec(position).unwrap_or_default();
        let create = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
        match self.lake.store().put_opts(&path, Bytes::from(body.clone()).into(), create).await {
            Ok(_) => Ok(true),
            // The store client repeats a put whose answer was lost: the winner may be ourselves.
            Err(ObjectStoreError::AlreadyExists { .. } | ObjectStoreError::Precondition { .. }) => {
                let answer =
                    self.lake.store().get(&path).await.map_err(|source| self.failed(&path, source))?;
                let found = answer.bytes().await.map_err(|source| self.failed(&path, source))?;
                Ok(found == body)
            }
            Err(source) => Err(self.failed(&path, source)),
        }
    }

    /// Removes a position and before it its object. One that is gone already is no error.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn remove(&self, number: u64, object: Option<&str>) -> Result<(), StorageError> {
        let object = object.map(|name| self.object(name));
        for path in object.into_iter().chain([self.path(number)]) {
            match self.lake.store().delete(&path).await {
                Ok(()) | Err(ObjectStoreError::NotFound { .. }) => {}
                Err(source) => return Err(self.failed(&path, source)),
            }
        }
        Ok(())
    }
}
