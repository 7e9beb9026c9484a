//! The archive's manifests: which files a sealed day has.
//!
//! `<archive>/<table>/event_date=YYYY-MM-DD/manifest-<n>.json`, several a day when rows came late. Only
//! what a restore needs is read; fields that are not known are passed over. A manifest that cannot be
//! read is named: its day is not complete without it.

use crate::storage::{Place, StorageError, Store, open_store, parse_location};
use chrono::NaiveDate;
use deltalake::Path;
use futures::{StreamExt, TryStreamExt};
use object_store::ObjectStoreExt;
use serde::Deserialize;
use std::collections::BTreeSet;

/// Manifests read at the same time.
const READS: usize = 16;

/// One archived file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArchivedFile {
    /// Its day.
    pub date: NaiveDate,
    /// Where it is.
    pub location: String,
    /// Its size.
    pub bytes: u64,
    /// Its rows.
    pub rows: u64,
}

/// What was found for a table and some days.
#[derive(Debug, Default)]
pub struct Sealed {
    /// The files, by day and location.
    pub files: Vec<ArchivedFile>,
    /// Days without a manifest: nothing was sealed.
    pub days_without: Vec<NaiveDate>,
    /// Manifests that could not be read, each with its reason.
    pub unreadable: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct Manifest {
    files: Vec<Entry>,
}

#[derive(Debug, Deserialize)]
struct Entry {
    key: String,
    #[serde(default)]
    bytes: u64,
    /// Null for a pack of raw objects.
    rows: Option<u64>,
}

/// The archive: a directory or an S3 prefix.
#[derive(Debug, Clone)]
pub struct Archive {
    location: String,
    store: Store,
}

impl Archive {
    /// Opens it; nothing is written.
    ///
    /// # Errors
    /// When the location is malformed or the store cannot be set up.
    pub fn open(location: &str) -> Result<Archive, StorageError> {
        let mut url = parse_location(location)?;
        if !url.path().ends_with('/') {
            url.set_path(&format!("{}/", url.path()));
        }
        let store = open_store(&url)?;
        let location = match url.to_file_path() {
            Ok(path) => format!("{}/", path.display().to_string().trim_end_matches('/')),
            Err(()) => url.to_string(),
        };
        Ok(Archive { location, store })
    }

    /// Its root, ending in a slash.
    pub fn location(&self) -> &str {
        &self.location
    }

    /// Reads the manifests of a table for the days from `since` to `until`, both included.
    ///
    /// # Errors
    /// When the archive cannot be listed.
    pub async fn sealed(
        &self,
        table: &str,
        since: NaiveDate,
        until: NaiveDate,
    ) -> Result<Sealed, StorageError> {
        let folder = Path::from(table);
        let failed =
            |source| StorageError::Request { location: format!("{}{table}/", self.location), source };
        // Days sort as text: what lies before the first one is not listed.
        let before = Path::from(format!("{table}/event_date={since}"));
        let listed = self.store.list_with_offset(Some(&folder), &before);
        let manifests: Vec<(NaiveDate, Path)> = listed
            .try_filter_map(
                |meta| async move { Ok(manifest_day(&meta.location).map(|day| (day, meta.location))) },
            )
            .try_filter(|(day, _)| futures::future::ready((since..=until).contains(day)))
            .try_collect()
            .await
            .map_err(failed)?;
        let mut sealed = Sealed::default();
        let mut seen: BTreeSet<String> = BTreeSet::new();
        let mut days: BTreeSet<NaiveDate> = BTreeSet::new();
        let mut reads = futures::stream::iter(manifests)
            .map(|(day, path)| async move { (day, self.files(day, &path).await) })
            .buffered(READS);
        while let Some((day, read)) = reads.next().await {
            days.insert(day);
            match read {
                // A supplement may name a file again.
                Ok(files) => {
                    sealed.files.extend(files.into_iter().filter(|file| seen.insert(file.location.clone())));
                }
                Err(reason) => sealed.unreadable.push(reason),
            }
        }
        sealed.files.sort_by(|one, other| (one.date, &one.location).cmp(&(other.date, &other.location)));
        sealed.days_without =
            since.iter_days().take_while(|day| *day <= until).filter(|day| !days.contains(day)).collect();
        Ok(sealed)
    }

    async fn files(&self, date: NaiveDate, path: &Path) -> Result<Vec<ArchivedFile>, String> {
        let name = format!("{}{path}", self.location);
        let read = async { self.store.get(path).await?.bytes().await }.await;
        let bytes = read.map_err(|error| format!("manifest {name} cannot be read: {error}"))?;
        let manifest: Manifest = serde_json::from_slice(&bytes)
            .map_err(|error| format!("manifest {name} is not valid: {error}; verify the archive"))?;
        let files = manifest.files.into_iter();
        Ok(files
            .map(|entry| ArchivedFile {
                date,
                location: self.resolve(path, &entry.key),
                bytes: entry.bytes,
                rows: entry.rows.unwrap_or(0),
            })
            .collect())
    }

    /// A key may be a URL, a name beside the manifest, a path below the archive's root, or the whole key
    /// in the bucket.
    fn resolve(&self, manifest: &Path, key: &str) -> String {
        if key.contains("://") || key.starts_with('/') {
            return Place::from_location(key).location();
        }
        let manifest = manifest.as_ref();
        let folder = &manifest[..manifest.rfind('/').map_or(0, |at| at + 1)];
        if !key.contains('/') {
            return format!("{}{folder}{key}", self.location);
        }
        let root = self.location.strip_prefix("s3://").and_then(|rest| rest.split_once('/'));
        match root {
            Some((bucket, prefix)) if !prefix.is_empty() && key.starts_with(prefix) => {
                format!("s3://{bucket}/{key}")
            }
            _ => format!("{}{key}", self.location),
        }
    }
}

/// The day of a manifest's path; none for other objects.
fn manifest_day(path: &Path) -> Option<NaiveDate> {
    let name = path.filename()?;
    if !(name.starts_with("manifest") && name.ends_with(".json")) {
        return None;
    }
    let text = path.as_ref().rsplit('/').nth(1)?.strip_prefix("event_date=")?;
    NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> NaiveDate {
        text.parse().expect("a date")
    }

    fn write(root: &std::path::Path, path: &str, text: &str) {
        let path = root.join(path);
        std::fs::create_dir_all(path.parent().expect("has one")).expect("makes directories");
        std::fs::write(path, text).expect("writes");
    }

    #[tokio::test]
    async fn the_files_of_the_days_are_found_and_what_is_lacking_is_named() {
        let root = tempfile::tempdir().expect("temporary directory");
        let path = |date: &str, name: &str| format!("cloudtrail/event_date={date}/{name}");
        let one = r#"{"version":9,"files":[{"key":"cloudtrail/event_date=2026-11-20/a.parquet","bytes":5,"rows":2,"sha256":"00"}]}"#;
        write(root.path(), &path("2026-11-20", "manifest-0.json"), one);
        let late = r#"{"files":[{"key":"a.parquet"},{"key":"late.parquet","bytes":7,"rows":null}]}"#;
        write(root.path(), &path("2026-11-20", "manifest-1.json"), late);
        write(root.path(), &path("2026-11-22", "manifest-0.json"), "{");
        write(root.path(), &path("2026-11-19", "manifest-0.json"), one);
        write(root.path(), &path("2026-11-20", "a.parquet"), "x");
        let archive = Archive::open(root.path().to_str().expect("UTF-8")).expect("opens");
        let sealed = archive.sealed("cloudtrail", day("2026-11-20"), day("2026-11-22")).await.expect("reads");
        let names: Vec<(&str, u64)> = sealed
            .files
            .iter()
            .map(|file| (&file.location[archive.location().len()..], file.bytes))
            .collect();
        assert_eq!(
            names,
            [
                ("cloudtrail/event_date=2026-11-20/a.parquet", 5),
                ("cloudtrail/event_date=2026-11-20/late.parquet", 7)
            ]
        );
        assert_eq!(sealed.days_without, [day("2026-11-21")]);
        assert_eq!(sealed.unreadable.len(), 1);
        assert!(sealed.unreadable[0].contains("event_date=2026-11-22/manifest-0.json"));
    }

    #[test]
    fn a_key_is_understood_however_it_is_written() {
        let archive = Archive::open("s3://bucket/deep/archive").expect("opens");
        let manifest = Path::from("t/event_date=2026-11-20/manifest-0.json");
        let full = "s3://bucket/deep/archive/t/event_date=2026-11-20/a.parquet";
        for key in [
            "a.parquet",
            "t/event_date=2026-11-20/a.parquet",
            "deep/archive/t/event_date=2026-11-20/a.parquet",
            full,
        ] {
            assert_eq!(archive.resolve(&manifest, key), full, "{key}");
        }
    }
}
