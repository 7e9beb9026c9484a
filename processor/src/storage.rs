//! Where bytes live: the lake's root and the input objects, on local disk or S3.
//!
//! Locations are directories or URLs (`file://`, `s3://`). S3 options come from the environment as
//! the AWS tools read it (`AWS_REGION`, `AWS_PROFILE`, `AWS_ENDPOINT_URL`, `AWS_ALLOW_HTTP`, …) and
//! are resolved by the table format's own store factory, so that tables, claims and inputs use one
//! set of credentials.

use crate::stored::{Room, Stored};
use bytes::Bytes;
use deltalake::logstore::{StorageConfig, logstore_for};
use deltalake::{DeltaTableBuilder, DeltaTableError, ObjectStore, ObjectStoreError, Path};
use futures::TryStreamExt;
use object_store::prefix::PrefixStore;
use object_store::{ObjectStoreExt, PutMode, PutOptions};
use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;
use thiserror::Error;
use tokio::io::AsyncWriteExt;
use url::Url;

/// A shared object store.
pub type Store = Arc<dyn ObjectStore>;

/// Why a location cannot be used.
#[derive(Debug, Error)]
pub enum StorageError {
    /// Not a path or URL this program understands.
    #[error("location `{location}` is not a directory, file://… or s3://bucket/prefix URL: {reason}")]
    Location {
        /// As given.
        location: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A local directory cannot be made or read.
    #[error("cannot use directory {}", path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
    /// The store cannot be opened.
    #[error("cannot open {url}")]
    Open {
        /// The location.
        url: Url,
        /// The store's answer.
        source: Box<DeltaTableError>,
    },
    /// A request failed.
    #[error("request to {location} failed")]
    Request {
        /// The object.
        location: String,
        /// The store's answer.
        source: ObjectStoreError,
    },
    /// A local file cannot be read.
    #[error("cannot read {location}")]
    Read {
        /// The file.
        location: String,
        /// The system's answer.
        source: std::io::Error,
    },
    /// A large object cannot be put aside.
    #[error(
        "cannot keep a large object in {}: make room there, or name another folder in TMPDIR",
        folder.display()
    )]
    Temporary {
        /// The folder.
        folder: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
    /// The store accepts a second create of one key: two writers would overwrite each other.
    #[error(
        "the store of {url} ignores conditional puts (If-None-Match): a second create of one key succeeded, \
         so two writers could overwrite each other's commits; use a store that honours them"
    )]
    NoConditionalPut {
        /// The lake.
        url: Url,
    },
}

impl StorageError {
    /// Whether the object is not there (as opposed to out of reach for now).
    pub fn is_not_found(&self) -> bool {
        match self {
            StorageError::Request { source, .. } => matches!(source, ObjectStoreError::NotFound { .. }),
            StorageError::Read { source, .. } => source.kind() == std::io::ErrorKind::NotFound,
            _ => false,
        }
    }
}

/// The URL of a location as a person writes it. A path is made absolute; it need not exist.
///
/// # Errors
/// When the text is neither a usable path nor a supported URL.
pub fn parse_location(location: &str) -> Result<Url, StorageError> {
    let bad =
        |reason: &str| StorageError::Location { location: location.to_owned(), reason: reason.to_owned() };
    if location.is_empty() {
        return Err(bad("it is empty"));
    }
    let Some((scheme, _)) = location.split_once("://") else {
        let path = std::path::absolute(location).map_err(|error| bad(&error.to_string()))?;
        return Url::from_file_path(&path).map_err(|()| bad("the path has no absolute form"));
    };
    if !matches!(scheme, "file" | "s3" | "s3a") {
        return Err(bad("only file:// and s3:// are supported"));
    }
    let url = Url::parse(location).map_err(|error| bad(&error.to_string()))?;
    if scheme != "file" && url.host_str().is_none_or(str::is_empty) {
        return Err(bad("the bucket is missing"));
    }
    Ok(url)
}

/// The directory a `file://` URL names.
pub fn directory_of(url: &Url) -> Option<PathBuf> {
    (url.scheme() == "file").then(|| url.to_file_path().ok()).flatten()
}

/// Registers the S3 store factories once.
fn register_handlers() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| deltalake::aws::register_handlers(None));
}

/// The store at `url`, rooted there; nothing is written.
pub(crate) fn open_store(url: &Url) -> Result<Store, StorageError> {
    open_configured(url, StorageConfig::default())
}

/// As [`open_store`], with a checksum on everything that is put: S3 takes nothing else in a bucket with
/// Object Lock.
pub(crate) fn open_lockable_store(url: &Url) -> Result<Store, StorageError> {
    let config = StorageConfig::parse_options([("aws_checksum_algorithm", "sha256")])
        .map_err(|source| StorageError::Open { url: url.clone(), source: Box::new(source) })?;
    open_configured(url, config)
}

fn open_configured(url: &Url, config: StorageConfig) -> Result<Store, StorageError> {
    register_handlers();
    let store = logstore_for(url, config)
        .map_err(|source| StorageError::Open { url: url.clone(), source: Box::new(source) })?;
    Ok(store.object_store(None))
}

/// The root of the lake.
#[derive(Debug, Clone)]
pub struct Lake {
    url: Url,
    store: Store,
    /// The store the lake lies in, from its root, when the caller made it.
    given: Option<Store>,
}

impl Lake {
    /// Opens the lake at `location`, making a local directory that does not exist, and probes the
    /// store for conditional puts.
    ///
    /// # Errors
    /// When the location is malformed, out of reach or its store ignores conditional puts.
    pub async fn open(location: &str) -> Result<Lake, StorageError> {
        let mut url = parse_location(location)?;
        if let Some(path) = directory_of(&url) {
            std::fs::create_dir_all(&path).map_err(|source| StorageError::Directory { path, source })?;
        }
        if !url.path().ends_with('/') {
            url.set_path(&format!("{}/", url.path()));
        }
        let store = open_store(&url)?;
        let lake = Lake { url, store, given: None };
        lake.probe().await?;
        Ok(lake)
    }

    /// The lake at `url` in a store the caller made, such as one that counts or fails requests. `root`
    /// begins where the URL's path does.
    pub fn on_store(root: Store, url: &Url) -> Lake {
        let mut url = url.clone();
        if !url.path().ends_with('/') {
            url.set_path(&format!("{}/", url.path()));
        }
        let prefix = Path::from_url_path(url.path()).unwrap_or_default();
        let store = Arc::new(PrefixStore::new(root.clone(), prefix));
        Lake { url, store, given: Some(root) }
    }

    /// Builds a table of this lake on the lake's store.
    ///
    /// # Errors
    /// When the table format does not know the URL's scheme.
    pub fn table_builder(&self, table: &str) -> Result<DeltaTableBuilder, DeltaTableError> {
        let url = self.table_url(table);
        let builder = DeltaTableBuilder::from_url(url.clone())?;
        Ok(match &self.given {
            Some(root) => builder.with_storage_backend(root.clone(), url),
            None => builder,
        })
    }

    /// Creates one key twice; the second create must be refused.
    async fn probe(&self) -> Result<(), StorageError> {
        let path = Path::from("state/conditional-put-probe");
        for _ in 0..2 {
            let create = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
            match self.store.put_opts(&path, Bytes::from_static(b"probe\n").into(), create).await {
                Ok(_) => {}
                Err(ObjectStoreError::AlreadyExists { .. } | ObjectStoreError::Precondition { .. }) => {
                    return Ok(());
                }
                Err(source) => {
                    return Err(StorageError::Request { location: format!("{}{path}", self.url), source });
                }
            }
        }
        Err(StorageError::NoConditionalPut { url: self.url.clone() })
    }

    /// The lake's URL, ending in a slash.
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// The lake's local directory, when it is local.
    pub fn directory(&self) -> Option<PathBuf> {
        directory_of(&self.url)
    }

    /// The store, rooted at the lake.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// The URL of a table.
    pub fn table_url(&self, table: &str) -> Url {
        let mut url = self.url.clone();
        url.set_path(&format!("{}{table}/", self.url.path()));
        url
    }
}

/// One input object that was found but not read yet.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// Where it is.
    pub place: Place,
    /// Size as stored, where the listing or notification said.
    pub stored_bytes: u64,
    /// When it was last written, µs since the epoch.
    pub last_modified: Option<i64>,
    /// ETag, where the store has one.
    pub etag: Option<String>,
}

/// Where an input object lies.
#[derive(Debug, Clone)]
pub enum Place {
    /// A file on this machine.
    File(PathBuf),
    /// An object of a bucket.
    Bucket {
        /// The bucket.
        bucket: String,
        /// The key, not URL-encoded.
        key: String,
    },
}

impl Place {
    /// The place as text: what `ingest.location` holds and an operator can paste.
    pub fn location(&self) -> String {
        match self {
            Place::File(path) => path.display().to_string(),
            Place::Bucket { bucket, key } => format!("s3://{bucket}/{key}"),
        }
    }

    /// The place a location text stands for.
    pub fn from_location(location: &str) -> Place {
        match location.strip_prefix("s3://").and_then(|rest| rest.split_once('/')) {
            Some((bucket, key)) => Place::Bucket { bucket: bucket.to_owned(), key: key.to_owned() },
            None => Place::File(PathBuf::from(location.strip_prefix("file://").unwrap_or(location))),
        }
    }
}

/// Reads input objects; keeps one client per bucket.
#[derive(Debug, Default)]
pub struct Inputs {
    buckets: tokio::sync::Mutex<std::collections::HashMap<String, Store>>,
}

impl Inputs {
    /// Reads one bucket through a store that the caller brings, rooted at the bucket.
    pub fn with_bucket(bucket: &str, store: Store) -> Inputs {
        Inputs { buckets: tokio::sync::Mutex::new([(bucket.to_owned(), store)].into()) }
    }

    /// The store of a bucket, rooted at the bucket.
    ///
    /// # Errors
    /// When the store cannot be set up (region, credentials, endpoint).
    pub async fn bucket(&self, bucket: &str) -> Result<Store, StorageError> {
        let mut buckets = self.buckets.lock().await;
        if let Some(store) = buckets.get(bucket) {
            return Ok(store.clone());
        }
        let store = open_store(&parse_location(&format!("s3://{bucket}/"))?)?;
        buckets.insert(bucket.to_owned(), store.clone());
        Ok(store)
    }

    /// The object's bytes, as [`Inputs::read`], and its identity.
    ///
    /// # Errors
    /// As [`Inputs::read`].
    pub async fn identify(&self, place: &Place, room: &Room) -> Result<(Stored, String), StorageError> {
        let stored = self.read(place, room).await?;
        let identified = match stored {
            Stored::Memory(_) => stored.object_id().map(|object_id| (stored, object_id)),
            Stored::File { .. } => {
                let work = move || stored.object_id().map(|object_id| (stored, object_id));
                tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| Err(error.into()))
            }
        };
        identified.map_err(|source| StorageError::Read { location: place.location(), source })
    }

    /// The object's bytes as stored, in memory whatever their number.
    ///
    /// # Errors
    /// As [`Inputs::read`].
    pub async fn read_whole(&self, place: &Place) -> Result<Bytes, StorageError> {
        match self.read(place, &Room::new(u64::MAX)).await? {
            Stored::Memory(bytes) => Ok(bytes),
            // Room for everything leaves nothing to a file.
            Stored::File { .. } => Ok(Bytes::new()),
        }
    }

    /// The object's bytes as stored: in memory while `room` lasts, else in a file.
    ///
    /// # Errors
    /// When it is gone or cannot be read; [`StorageError::is_not_found`] tells which.
    pub async fn read(&self, place: &Place, room: &Room) -> Result<Stored, StorageError> {
        match place {
            Place::File(path) => {
                let failed = |source| StorageError::Read { location: place.location(), source };
                let file = tokio::fs::File::open(path).await.map_err(failed)?;
                let bytes = file.metadata().await.map_err(failed)?.len();
                if !room.take(bytes) {
                    return Ok(Stored::File { file: file.into_std().await, bytes });
                }
                drop(file);
                Ok(Stored::Memory(tokio::fs::read(path).await.map_err(failed)?.into()))
            }
            Place::Bucket { bucket, key } => {
                let store = self.bucket(bucket).await?;
                let path = Path::parse(key).unwrap_or_else(|_| Path::from(key.as_str()));
                let request = |source| StorageError::Request { location: place.location(), source };
                let answer = store.get(&path).await.map_err(request)?;
                if room.take(answer.meta.size) {
                    return Ok(Stored::Memory(answer.bytes().await.map_err(request)?));
                }
                let mut parts = answer.into_stream();
                let temporary = |source| StorageError::Temporary { folder: std::env::temp_dir(), source };
                let mut file = tokio::fs::File::from_std(tempfile::tempfile().map_err(temporary)?);
                let mut bytes = 0;
                while let Some(part) = parts.try_next().await.map_err(request)? {
                    file.write_all(&part).await.map_err(temporary)?;
                    bytes += part.len() as u64;
                }
                file.flush().await.map_err(temporary)?;
                Ok(Stored::File { file: file.into_std().await, bytes })
            }
        }
    }
}

/// What a listing does with files whose names say that they are still being written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unfinished {
    /// List them: the caller named the directory.
    Take,
    /// Leave them for a later look.
    Leave,
}

/// Whether a file name marks a file that is still being written.
pub fn is_unfinished_name(path: &FilePath) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    name.starts_with('.')
        || [".tmp", ".part", ".partial", ".crdownload"].iter().any(|end| name.ends_with(end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_relative_path_becomes_an_absolute_file_url() {
        let url = parse_location("some/lake").expect("a path");
        assert_eq!(url.scheme(), "file");
        assert!(url.path().ends_with("/some/lake"));
    }

    #[test]
    fn other_schemes_and_missing_buckets_are_named() {
        for (location, reason) in
            [("", "empty"), ("gs://b/p", "only file://"), ("s3:///x", "bucket is missing")]
        {
            let error = parse_location(location).expect_err("refused").to_string();
            assert!(error.contains(reason), "{location}: {error}");
        }
    }

    #[test]
    fn a_place_survives_its_location() {
        for location in ["s3://bucket/a b/c+d%2F.json.gz", "/var/log/x.log"] {
            assert_eq!(Place::from_location(location).location(), location);
        }
    }

    #[tokio::test]
    async fn a_local_lake_is_made_and_probed_again_and_again() {
        let directory = tempfile::tempdir().expect("temporary directory");
        let location = directory.path().join("new/lake");
        for _ in 0..2 {
            let lake = Lake::open(location.to_str().expect("UTF-8")).await.expect("opens");
            assert!(lake.table_url("cloudtrail").path().ends_with("/new/lake/cloudtrail/"));
        }
    }
}
