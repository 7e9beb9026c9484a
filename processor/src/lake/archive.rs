//! The archive: sealed files and raw packs under a root of their own, which storage classes and
//! Object Lock rules may cover because no table refers to anything below it.
//!
//! ```text
//! <archive>/<table>/event_date=YYYY-MM-DD/seal-….parquet   manifest-1.json   manifest-2.json …
//! <archive>/raw/cloudtrail/event_date=YYYY-MM-DD/pack-….pack   manifest-1.json …
//! ```
//!
//! A manifest is created once, after the files it lists, and never changed: a file no manifest lists
//! does not belong to the archive. Nothing here deletes.

mod lock;
mod manifest;

pub use lock::{Lock, LockError, LockMode};
pub(super) use manifest::time_text;
pub use manifest::{ArchivedFile, Listed, Manifest, manifest_number};

use super::upload::Upload;
use crate::storage::{Lake, StorageError, Store, open_lockable_store, parse_location};
use bytes::Bytes;
use deltalake::{ObjectStore, ObjectStoreError, Path};
use futures::TryStreamExt;
use lock::Locker;
use logq_schemas::Table;
use object_store::{Attribute, AttributeValue, Attributes, ObjectStoreExt, PutMode, PutOptions};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::sync::Arc;
use thiserror::Error;
use url::Url;

/// Folder of the packs of original CloudTrail objects.
pub const RAW_CLOUDTRAIL: &str = "raw/cloudtrail";

/// Why the archive cannot be used.
#[derive(Debug, Error)]
pub enum ArchiveError {
    /// The location is no store, or cannot be opened.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The archive would lie where maintenance deletes.
    #[error("archive {archive} lies inside {inside}, where vacuum deletes files: choose a place of its own")]
    Inside {
        /// The archive.
        archive: String,
        /// The folder.
        inside: String,
    },
    /// Retention can only be set on S3.
    #[error("archive {archive} is not on S3: Object Lock needs a bucket made with it; leave out the lock")]
    LockNeedsS3 {
        /// The archive.
        archive: Url,
    },
    /// An object cannot be read or written.
    #[error("archive object {key} cannot be used")]
    Object {
        /// Key below the archive's root.
        key: String,
        /// The store's answer.
        source: Box<ObjectStoreError>,
    },
    /// A manifest is not one.
    #[error("manifest {key} is not valid: restore it from a copy")]
    Manifest {
        /// Key below the archive's root.
        key: String,
        /// What the parser says.
        source: serde_json::Error,
    },
    /// Object Lock failed.
    #[error(transparent)]
    Lock(#[from] LockError),
}

/// How objects are stored.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Storing {
    /// S3 storage class of files and packs; the bucket's default without. Manifests stay in the
    /// default class: they must be readable at once.
    pub storage_class: Option<String>,
    /// Object Lock retention of everything written; the bucket's default without.
    pub lock: Option<Lock>,
}

/// An archive.
#[derive(Debug, Clone)]
pub struct Archive {
    url: Url,
    store: Store,
    storing: Storing,
    locker: Option<Locker>,
}

impl Archive {
    /// Opens the archive at `location`, or at `archive` below the lake's root.
    ///
    /// # Errors
    /// When it cannot be opened, lies inside a table, or a lock is asked for that it cannot have.
    pub async fn open(
        lake: &Lake,
        location: Option<&str>,
        storing: Storing,
    ) -> Result<Archive, ArchiveError> {
        let mut url = match location {
            Some(location) => parse_location(location)?,
            None => lake.url().join("archive/").unwrap_or_else(|_| lake.url().clone()),
        };
        if !url.path().ends_with('/') {
            url.set_path(&format!("{}/", url.path()));
        }
        let state = std::iter::once("state");
        for folder in logq_schemas::tables::ALL.iter().map(|table| table.name).chain(state) {
            let inside = lake.table_url(folder);
            if url.as_str().starts_with(inside.as_str()) {
                return Err(ArchiveError::Inside { archive: url.into(), inside: inside.into() });
            }
        }
        if &url == lake.url() {
            return Err(ArchiveError::Inside { inside: url.to_string(), archive: url.into() });
        }
        if let Ok(path) = url.to_file_path() {
            let made = std::fs::create_dir_all(&path);
            made.map_err(|source| StorageError::Directory { path, source })?;
        }
        Archive::at(url, storing).await
    }

    /// Opens an archive that is there, to read it.
    ///
    /// # Errors
    /// When it cannot be opened, or is a directory that does not exist.
    pub async fn open_existing(location: &str, storing: Storing) -> Result<Archive, ArchiveError> {
        let mut url = parse_location(location)?;
        if !url.path().ends_with('/') {
            url.set_path(&format!("{}/", url.path()));
        }
        if let Ok(path) = url.to_file_path()
            && let Err(source) = std::fs::read_dir(&path)
        {
            return Err(StorageError::Directory { path, source }.into());
        }
        Archive::at(url, storing).await
    }

    async fn at(url: Url, storing: Storing) -> Result<Archive, ArchiveError> {
        let locker = match (&storing.lock, url.scheme()) {
            (Some(lock), "s3" | "s3a") => Some(Locker::open(&url, *lock).await),
            (Some(_), _) => return Err(ArchiveError::LockNeedsS3 { archive: url }),
            (None, _) => None,
        };
        let store = open_lockable_store(&url)?;
        Ok(Archive { url, store, storing, locker })
    }

    /// An archive in a store the caller made, rooted at the archive.
    pub fn on_store(store: Store, url: &Url) -> Archive {
        Archive { url: url.clone(), store, storing: Storing::default(), locker: None }
    }

    /// Where it is.
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// The store, rooted at the archive.
    pub fn store(&self) -> &Store {
        &self.store
    }

    fn failed(&self, key: &str, source: ObjectStoreError) -> ArchiveError {
        ArchiveError::Object { key: key.to_owned(), source: Box::new(source) }
    }

    /// Begins a file.
    pub fn upload(&self, key: &str) -> Upload {
        let mut attributes = Attributes::new();
        // A directory has no storage classes and refuses the attribute.
        if let (Some(class), "s3" | "s3a") = (&self.storing.storage_class, self.url.scheme()) {
            attributes.insert(Attribute::StorageClass, AttributeValue::from(class.clone()));
        }
        Upload::new(self.store.clone(), Path::from(key), attributes)
    }

    /// Copies a file from another store and proves that what was read is what was hashed when it was
    /// written; then sets its retention.
    ///
    /// # Errors
    /// When either store fails, or the bytes are not those expected.
    pub async fn copy(
        &self,
        from: &Arc<dyn ObjectStore>,
        path: &Path,
        key: &str,
        sha256: &str,
    ) -> Result<(), ArchiveError> {
        let failed = |source| self.failed(key, source);
        let mut upload = self.upload(key);
        let mut pieces = from.get(path).await.map_err(failed)?.into_stream();
        while let Some(piece) = pieces.try_next().await.map_err(failed)? {
            upload.write(piece).await.map_err(failed)?;
        }
        if upload.sha256() != sha256 {
            upload.abort().await;
            let source = format!("{path} is not what was written: its SHA-256 is not {sha256}").into();
            return Err(failed(ObjectStoreError::Generic { store: "lake", source }));
        }
        upload.finish().await.map_err(failed)?;
        self.protect(key).await
    }

    /// Sets the retention of an object that was written, where one is configured.
    ///
    /// # Errors
    /// When S3 refuses.
    pub async fn protect(&self, key: &str) -> Result<(), ArchiveError> {
        match &self.locker {
            Some(locker) => Ok(locker.protect(key).await?),
            None => Ok(()),
        }
    }

    /// The manifests of one folder, such as `cloudtrail/event_date=2026-11-22`, by number.
    ///
    /// # Errors
    /// When one cannot be read.
    pub async fn manifests<M: DeserializeOwned>(&self, folder: &str) -> Result<Vec<(u32, M)>, ArchiveError> {
        let path = Path::from(folder);
        let listed: Vec<_> =
            self.store.list(Some(&path)).try_collect().await.map_err(|source| self.failed(folder, source))?;
        let mut keys: Vec<(u32, String)> = listed
            .into_iter()
            .filter_map(|object| {
                Some((manifest_number(object.location.as_ref())?, object.location.to_string()))
            })
            .collect();
        keys.sort_unstable();
        let mut manifests = Vec::with_capacity(keys.len());
        for (number, key) in keys {
            manifests.push((number, self.read_manifest(&key).await?));
        }
        Ok(manifests)
    }

    /// Reads one manifest.
    ///
    /// # Errors
    /// When it cannot be read or is malformed.
    pub async fn read_manifest<M: DeserializeOwned>(&self, key: &str) -> Result<M, ArchiveError> {
        let failed = |source| self.failed(key, source);
        let found = self.store.get(&Path::from(key)).await.map_err(failed)?;
        let bytes = found.bytes().await.map_err(failed)?;
        serde_json::from_slice(&bytes)
            .map_err(|source| ArchiveError::Manifest { key: key.to_owned(), source })
    }

    /// Creates a manifest; false when the number is taken.
    ///
    /// # Errors
    /// When the store fails; whether it was created is not known then.
    pub async fn create_manifest<M: Serialize>(
        &self,
        folder: &str,
        number: u32,
        manifest: &M,
    ) -> Result<bool, ArchiveError> {
        let key = format!("{folder}/manifest-{number}.json");
        let mut body = serde_json::to_vec_pretty(manifest)
            .map_err(|source| ArchiveError::Manifest { key: key.clone(), source })?;
        body.push(b'\n');
        if let Some(locker) = &self.locker {
            // Retention comes with the object: a manifest is never there without it.
            return Ok(locker.create(&key, body).await?);
        }
        let create = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
        match self.store.put_opts(&Path::from(key.as_str()), Bytes::from(body).into(), create).await {
            Ok(_) => Ok(true),
            Err(ObjectStoreError::AlreadyExists { .. } | ObjectStoreError::Precondition { .. }) => Ok(false),
            Err(source) => Err(self.failed(&key, source)),
        }
    }
}

/// The folder of a day.
pub fn day_folder(table: &str, day: &str) -> String {
    format!("{table}/{}={day}", Table::PARTITION)
}
