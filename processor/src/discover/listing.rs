//! Files, directories and S3 prefixes named on the command line.

use crate::storage::{Candidate, Inputs, Place, StorageError, Unfinished, is_unfinished_name};
use deltalake::Path;
use futures::TryStreamExt;
use std::path::{Path as FilePath, PathBuf};

/// What was found, in order of location, and what could not be listed.
#[derive(Debug, Default)]
pub struct Listing {
    /// The objects.
    pub candidates: Vec<Candidate>,
    /// What could not be listed or looked at.
    pub failures: Vec<StorageError>,
}

/// Lists everything below `location`. `exclude` is a directory that is never descended into: the lake.
pub async fn list(inputs: &Inputs, location: &str, exclude: Option<&FilePath>) -> Listing {
    let mut listing = Listing::default();
    match Place::from_location(location) {
        Place::File(path) => list_files(&path, exclude, Unfinished::Take, &mut listing),
        Place::Bucket { bucket, key } => {
            if let Err(error) = list_bucket(inputs, &bucket, &key, &mut listing).await {
                listing.failures.push(error);
            }
        }
    }
    listing
}

/// Walks a directory, following links; a single file is a listing of one.
pub fn list_files(
    root: &FilePath,
    exclude: Option<&FilePath>,
    unfinished: Unfinished,
    listing: &mut Listing,
) {
    let absolute = std::path::absolute(root).unwrap_or_else(|_| root.to_owned());
    let walk = walkdir::WalkDir::new(&absolute).follow_links(true).sort_by_file_name();
    let entries = walk.into_iter().filter_entry(|entry| exclude != Some(entry.path()));
    for entry in entries {
        let entry = match entry {
            Ok(entry) => entry,
            Err(error) => {
                let path = error.path().unwrap_or(&absolute).to_owned();
                let source =
                    error.into_io_error().unwrap_or_else(|| std::io::Error::other("links form a loop"));
                listing.failures.push(StorageError::Read { location: path.display().to_string(), source });
                continue;
            }
        };
        if !entry.file_type().is_file() {
            continue;
        }
        if matches!(unfinished, Unfinished::Leave) && is_unfinished_name(entry.path()) {
            continue;
        }
        match entry.metadata() {
            Ok(metadata) => listing.candidates.push(file_candidate(entry.path().to_owned(), &metadata)),
            Err(error) => {
                let source = error.into_io_error().unwrap_or_else(|| std::io::Error::other("no metadata"));
                listing
                    .failures
                    .push(StorageError::Read { location: entry.path().display().to_string(), source });
            }
        }
    }
}

pub(super) fn file_candidate(path: PathBuf, metadata: &std::fs::Metadata) -> Candidate {
    let modified = metadata.modified().ok().and_then(|time| {
        let since = time.duration_since(std::time::UNIX_EPOCH).ok()?;
        i64::try_from(since.as_micros()).ok()
    });
    Candidate { place: Place::File(path), stored_bytes: metadata.len(), last_modified: modified, etag: None }
}

async fn list_bucket(
    inputs: &Inputs,
    bucket: &str,
    prefix: &str,
    listing: &mut Listing,
) -> Result<(), StorageError> {
    let store = inputs.bucket(bucket).await?;
    let location = format!("s3://{bucket}/{prefix}");
    let failed = |source| StorageError::Request { location: location.clone(), source };
    let trimmed = prefix.trim_end_matches('/');
    let path = Path::parse(trimmed).unwrap_or_else(|_| Path::from(trimmed));
    let mut objects: Vec<_> = store.list(Some(&path)).try_collect().await.map_err(failed)?;
    // A prefix of directories is listed; a key names one object.
    if objects.is_empty() && !trimmed.is_empty() {
        use object_store::ObjectStoreExt;
        objects.push(store.head(&path).await.map_err(failed)?);
    }
    objects.sort_by(|one, other| one.location.cmp(&other.location));
    for object in objects {
        listing.candidates.push(Candidate {
            place: Place::Bucket { bucket: bucket.to_owned(), key: object.location.to_string() },
            stored_bytes: object.size,
            last_modified: Some(object.last_modified.timestamp_micros()),
            etag: object.e_tag,
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_directory_is_listed_in_order_without_the_lake() {
        let root = tempfile::tempdir().expect("temporary directory");
        for name in ["b/2.json", "a/1.json", "lake/x.parquet", ".hidden"] {
            let path = root.path().join(name);
            std::fs::create_dir_all(path.parent().expect("has one")).expect("makes directories");
            std::fs::write(path, name).expect("writes");
        }
        let lake = root.path().join("lake");
        let location = root.path().to_str().expect("UTF-8");
        let listing = list(&Inputs::default(), location, Some(&lake)).await;
        let found: Vec<String> = listing
            .candidates
            .iter()
            .map(|one| one.place.location()[location.len() + 1..].to_owned())
            .collect();
        assert_eq!(found, [".hidden", "a/1.json", "b/2.json"]);
        assert!(listing.failures.is_empty());
    }

    #[tokio::test]
    async fn what_is_not_there_is_named() {
        let listing = list(&Inputs::default(), "/no/such/place", None).await;
        assert!(listing.candidates.is_empty());
        assert_eq!(listing.failures.len(), 1);
        assert!(listing.failures[0].to_string().contains("/no/such/place"));
    }
}
