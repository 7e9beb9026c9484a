//! Local directories that objects are put into.
//!
//! Listing decides; the kernel's notifications only shorten the wait. A file is reported once its name
//! does not mark it as unfinished and it has not changed for the settle time, so a writer that cannot
//! rename into place is safe as long as it does not pause longer than that.

use super::listing::{Listing, list_files};
use crate::storage::{Candidate, Place, StorageError, Unfinished};
use notify::{RecursiveMode, Watcher};
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// The watched directories.
pub struct Watch {
    directories: Vec<PathBuf>,
    exclude: Option<PathBuf>,
    settle: Duration,
    poll_interval: Duration,
    /// Files reported, with the size and time they had then.
    reported: HashMap<PathBuf, (u64, Option<i64>)>,
    changed: Arc<Notify>,
    _watcher: Option<notify::RecommendedWatcher>,
}

impl Watch {
    /// Starts watching. `exclude` is the lake, should it lie inside.
    ///
    /// # Errors
    /// When a directory is not there.
    pub fn open(
        directories: Vec<PathBuf>,
        exclude: Option<PathBuf>,
        settle: Duration,
        poll_interval: Duration,
    ) -> Result<Watch, StorageError> {
        let changed = Arc::new(Notify::new());
        let wake = changed.clone();
        let mut watcher = notify::recommended_watcher(move |_event| wake.notify_one()).ok();
        for directory in &directories {
            std::fs::read_dir(directory)
                .map_err(|source| StorageError::Directory { path: directory.clone(), source })?;
            let watching = watcher.as_mut().map(|open| open.watch(directory, RecursiveMode::Recursive));
            if let Some(Err(error)) = watching {
                tracing::warn!(path = %directory.display(), %error, "no change notifications, polling only");
            }
        }
        let reported = HashMap::new();
        Ok(Watch { directories, exclude, settle, poll_interval, reported, changed, _watcher: watcher })
    }

    /// Settled files that were not reported before.
    fn look(&mut self) -> Vec<Candidate> {
        let mut listing = Listing::default();
        for directory in &self.directories {
            list_files(directory, self.exclude.as_deref(), Unfinished::Leave, &mut listing);
        }
        for failure in &listing.failures {
            // A file that vanishes between listing and looking is no event for a person.
            if !failure.is_not_found() {
                tracing::warn!(error = %failure, "cannot look at a watched file");
            }
        }
        let now = chrono::Utc::now().timestamp_micros();
        let settle = i64::try_from(self.settle.as_micros()).unwrap_or(i64::MAX);
        let mut found = Vec::new();
        let mut before = std::mem::take(&mut self.reported);
        for candidate in listing.candidates {
            let Place::File(path) = &candidate.place else { continue };
            // Only files that are still there are remembered.
            if let Some(state) = before.remove(path) {
                self.reported.insert(path.clone(), state);
            }
            let state = (candidate.stored_bytes, candidate.last_modified);
            let young = candidate.last_modified.is_some_and(|modified| now.saturating_sub(modified) < settle);
            if young || self.reported.get(path) == Some(&state) {
                continue;
            }
            self.reported.insert(path.clone(), state);
            found.push(candidate);
        }
        found
    }

    /// Waits for files and gathers them for `interval` from the first one on. Returns nothing when
    /// `stop` is cancelled or `patience` passes without a file.
    pub async fn gather(
        &mut self,
        interval: Duration,
        patience: Option<Duration>,
        stop: &CancellationToken,
    ) -> Vec<Candidate> {
        let started = tokio::time::Instant::now();
        let mut found = self.look();
        while found.is_empty() {
            if stop.is_cancelled() || patience.is_some_and(|patience| started.elapsed() >= patience) {
                return found;
            }
            self.wait(self.poll_interval, stop).await;
            found = self.look();
        }
        let end = tokio::time::Instant::now() + interval;
        while tokio::time::Instant::now() < end && !stop.is_cancelled() {
            let left = end - tokio::time::Instant::now();
            self.wait(left.min(self.poll_interval), stop).await;
            found.extend(self.look());
        }
        found
    }

    /// Waits for a change, a pause or the end, whichever is first. Bursts of changes are taken together:
    /// listing a large tree for every single file would cost more than the files.
    async fn wait(&self, pause: Duration, stop: &CancellationToken) {
        const BURST: Duration = Duration::from_millis(50);
        tokio::select! {
            () = self.changed.notified() => tokio::time::sleep(BURST.min(pause)).await,
            () = tokio::time::sleep(pause) => {}
            () = stop.cancelled() => {}
        }
    }

    /// Reports a file again, because it could not be read.
    pub fn forget(&mut self, place: &Place) {
        if let Place::File(path) = place {
            self.reported.remove(path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watch(directory: &std::path::Path, settle: Duration) -> Watch {
        Watch::open(vec![directory.to_owned()], None, settle, Duration::from_millis(20)).expect("opens")
    }

    #[tokio::test]
    async fn a_file_is_reported_once_and_again_when_it_changed() {
        let directory = tempfile::tempdir().expect("temporary directory");
        let mut watch = watch(directory.path(), Duration::ZERO);
        std::fs::write(directory.path().join("a.json"), "1").expect("writes");
        std::fs::write(directory.path().join("b.json.tmp"), "1").expect("writes");
        let stop = CancellationToken::new();
        let patience = Some(Duration::from_millis(100));
        assert_eq!(watch.gather(Duration::ZERO, patience, &stop).await.len(), 1);
        assert!(watch.gather(Duration::ZERO, patience, &stop).await.is_empty());
        std::fs::write(directory.path().join("a.json"), "22").expect("writes");
        assert_eq!(watch.gather(Duration::ZERO, patience, &stop).await.len(), 1);
        std::fs::rename(directory.path().join("b.json.tmp"), directory.path().join("b.json"))
            .expect("renames");
        let found = watch.gather(Duration::ZERO, patience, &stop).await;
        assert_eq!(found.len(), 1);
        watch.forget(&found[0].place);
        assert_eq!(watch.gather(Duration::ZERO, patience, &stop).await.len(), 1);
    }

    #[tokio::test]
    async fn a_young_file_is_left_alone() {
        let directory = tempfile::tempdir().expect("temporary directory");
        let mut watch = watch(directory.path(), Duration::from_secs(3_600));
        std::fs::write(directory.path().join("a.json"), "1").expect("writes");
        let stop = CancellationToken::new();
        assert!(watch.gather(Duration::ZERO, Some(Duration::from_millis(60)), &stop).await.is_empty());
    }

    #[test]
    fn a_missing_directory_is_refused_with_its_name() {
        let missing = PathBuf::from("/no/such/inbox");
        let Err(error) = Watch::open(vec![missing], None, Duration::ZERO, Duration::ZERO) else {
            unreachable!("the directory does not exist");
        };
        assert!(error.to_string().contains("/no/such/inbox"));
    }
}
