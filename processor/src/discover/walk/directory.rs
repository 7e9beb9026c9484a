//! A local directory as a walk: names sorted, folders of other days passed over.

use super::super::choice::{Choice, Verdict};
use super::super::days::Share;
use super::super::listing::file_candidate;
use super::{Found, below};
use crate::storage::StorageError;
use std::path::{Path, PathBuf};
use std::sync::mpsc;

/// The files, found by a thread of their own so that a slow disk holds nothing up.
pub(super) struct Files {
    pages: Option<mpsc::Receiver<Result<Vec<Found>, StorageError>>>,
}

impl Files {
    pub(super) fn new(root: &Path, exclude: Option<PathBuf>, after: Option<&str>, choice: &Choice) -> Files {
        let root = std::path::absolute(root).unwrap_or_else(|_| root.to_owned());
        let (after, choice) = (after.map(PathBuf::from), choice.clone());
        // Two pages ahead of whoever takes them in.
        let (sender, pages) = mpsc::sync_channel(2);
        std::thread::spawn(move || {
            let mut page = Vec::new();
            for found in entries(&root, exclude.as_deref(), after.as_deref(), &choice) {
                let failed = found.is_err();
                match found {
                    Ok(found) => page.push(found),
                    Err(error) => {
                        // A receiver that went away wants no more.
                        let _ = sender.send(Err(error));
                    }
                }
                if !failed && page.len() >= super::PAGE && sender.send(Ok(std::mem::take(&mut page))).is_err()
                {
                    return;
                }
            }
            let _ = sender.send(Ok(page));
        });
        Files { pages: Some(pages) }
    }

    pub(super) async fn next(&mut self) -> Result<Option<Vec<Found>>, StorageError> {
        let Some(pages) = self.pages.take() else { return Ok(None) };
        let received = tokio::task::spawn_blocking(move || (pages.recv(), pages)).await;
        let Ok((received, pages)) = received else { return Ok(None) };
        match received {
            Ok(page) => {
                self.pages = Some(pages);
                page.map(|page| (!page.is_empty()).then_some(page))
            }
            Err(mpsc::RecvError) => Ok(None),
        }
    }
}

fn entries<'a>(
    root: &'a Path,
    exclude: Option<&'a Path>,
    after: Option<&'a Path>,
    choice: &'a Choice,
) -> impl Iterator<Item = Result<Found, StorageError>> + 'a {
    let walk = walkdir::WalkDir::new(root).follow_links(true).sort_by_file_name();
    let wanted = move |entry: &walkdir::DirEntry| {
        if exclude == Some(entry.path()) {
            return false;
        }
        if !entry.file_type().is_dir() || entry.depth() == 0 {
            return true;
        }
        // Names are sorted level by level, so paths compare part by part.
        let passed = after.is_some_and(|after| entry.path() < after && !after.starts_with(entry.path()));
        let folder = format!("{}/", entry.path().display());
        !passed && choice.share(&folder) != Share::Nothing
    };
    walk.into_iter().filter_entry(wanted).filter_map(move |entry| {
        let failed =
            |path: &Path, source| StorageError::Read { location: path.display().to_string(), source };
        let entry = match entry {
            Ok(entry) => entry,
            Err(error) => {
                let path = error.path().unwrap_or(root).to_owned();
                let source =
                    error.into_io_error().unwrap_or_else(|| std::io::Error::other("links form a loop"));
                return Some(Err(failed(&path, source)));
            }
        };
        if !entry.file_type().is_file() || after.is_some_and(|after| entry.path() <= after) {
            return None;
        }
        let key = entry.path().to_string_lossy().into_owned();
        let verdict = choice.takes(&key, &below(root, entry.path()));
        if verdict == Verdict::No {
            return None;
        }
        let metadata = match entry.metadata() {
            Ok(metadata) => metadata,
            Err(error) => {
                let source = error.into_io_error().unwrap_or_else(|| std::io::Error::other("no metadata"));
                return Some(Err(failed(entry.path(), source)));
            }
        };
        let candidate = file_candidate(entry.path().to_owned(), &metadata);
        Some(Ok(Found { candidate, key, offline: None, undated: verdict == Verdict::Undated }))
    })
}

#[cfg(test)]
mod tests {
    use super::super::super::days::Days;
    use super::*;

    fn tree() -> tempfile::TempDir {
        let root = tempfile::tempdir().expect("temporary directory");
        for name in [
            "a/2026/11/21/1.gz",
            "a/2026/11/22/2.gz",
            "a/2026/11/22/3.txt",
            "a.gz",
            "b/2026/11/22/4.gz",
            "lake/x.gz",
        ] {
            let path = root.path().join(name);
            std::fs::create_dir_all(path.parent().expect("has one")).expect("makes directories");
            std::fs::write(path, name).expect("writes");
        }
        root
    }

    fn names(root: &Path, after: Option<&str>, choice: &Choice) -> Vec<String> {
        let after = after.map(|after| root.join(after));
        entries(root, Some(&root.join("lake")), after.as_deref(), choice)
            .map(|found| below(root, Path::new(&found.expect("reads").key)))
            .collect()
    }

    #[test]
    fn a_walk_goes_on_behind_any_of_its_files() {
        let root = tree();
        let choice = Choice::new(Days::default(), &["**/*.gz".to_owned()], &[]).expect("valid");
        let all = names(root.path(), None, &choice);
        assert_eq!(all, ["a/2026/11/21/1.gz", "a/2026/11/22/2.gz", "a.gz", "b/2026/11/22/4.gz"]);
        for (index, name) in all.iter().enumerate() {
            assert_eq!(names(root.path(), Some(name), &choice), all[index + 1..], "behind {name}");
        }
    }

    #[test]
    fn folders_of_other_days_are_passed_over_and_what_shows_no_day_is_taken() {
        let root = tree();
        let days = Days { since: "2026-11-22".parse().ok(), until: None };
        let choice = Choice::new(days, &[], &["**/*.txt".to_owned()]).expect("valid");
        assert_eq!(names(root.path(), None, &choice), ["a/2026/11/22/2.gz", "a.gz", "b/2026/11/22/4.gz"]);
    }

    #[tokio::test]
    async fn pages_come_to_an_end() {
        let root = tree();
        let mut files = Files::new(root.path(), None, None, &Choice::default());
        let mut count = 0;
        while let Some(page) = files.next().await.expect("reads") {
            count += page.len();
        }
        assert_eq!(count, 6);
        assert!(files.next().await.expect("reads").is_none());
    }
}
