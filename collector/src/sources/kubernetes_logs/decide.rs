//! Which files are read, and what goes with their records.

use super::discover::{Candidate, Key, Scan};
use super::{Known, Reader, Verdict};
use crate::stream::Meta;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A file that is not read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Aside {
    /// When it was first seen.
    since: Instant,
    /// Something may still become known that decides about it.
    waiting: bool,
}

impl Reader {
    /// What goes with the records of a file nobody follows yet; `None` when it is not to be read,
    /// at least not now.
    pub(super) fn admit(&mut self, candidate: &Candidate) -> Option<Arc<Meta>> {
        let Some(pods) = &self.pods else { return Some(self.meta.clone()) };
        let since = self.aside.get(&candidate.path).map_or_else(Instant::now, |aside| aside.since);
        let waiting = match pods.judge(&candidate.owner, candidate.modified, since.elapsed()) {
            Verdict::Read(meta) => {
                self.aside.remove(&candidate.path);
                return Some(meta);
            }
            Verdict::Unknown => {
                self.aside.remove(&candidate.path);
                self.wiring.metrics.source_unknown_files.inc();
                return Some(Arc::default());
            }
            Verdict::Wait => true,
            Verdict::Exclude => false,
        };
        self.undecided |= waiting;
        self.aside.insert(candidate.path.clone(), Aside { since, waiting });
        None
    }

    /// Takes over what became known about pods since the last turn.
    pub(super) fn learn(&mut self) {
        let Some(pods) = &mut self.pods else { return };
        if !pods.changed() {
            return;
        }
        let mut excluded: Vec<Key> = Vec::new();
        for (key, file) in &mut self.files {
            match pods.judge(file.owner(), std::time::SystemTime::now(), Duration::MAX) {
                Verdict::Read(meta) => file.set_meta(meta),
                Verdict::Exclude => excluded.push(*key),
                // What was known stays.
                Verdict::Unknown | Verdict::Wait => {}
            }
        }
        for key in excluded {
            self.put_aside(key);
        }
        if !self.aside.is_empty() {
            self.next_scan = Instant::now();
        }
    }

    /// Something may still become known that decides about a file.
    pub(super) fn is_waiting(&self) -> bool {
        self.aside.values().any(|aside| aside.waiting)
    }

    /// Forgets files that are gone, and pods that have none.
    pub(super) fn sweep(&mut self, scan: &Scan) {
        let Some(pods) = &self.pods else { return };
        if scan.errors.is_empty() && !self.aside.is_empty() {
            let present: HashSet<_> = scan.files.iter().map(|candidate| &candidate.path).collect();
            self.aside.retain(|path, _| present.contains(path));
        }
        let found = scan.files.iter().map(|candidate| candidate.owner.pod_uid.as_str());
        let followed = self.files.values().map(|file| file.owner().pod_uid.as_str());
        pods.sweep(&found.chain(followed).collect());
        let count = |waiting: bool| self.aside.values().filter(|aside| aside.waiting == waiting).count();
        let metrics = &self.wiring.metrics;
        metrics.source_excluded_files.set(i64::try_from(count(false)).unwrap_or(i64::MAX));
        metrics.source_waiting_files.set(i64::try_from(count(true)).unwrap_or(i64::MAX));
    }

    /// Stops reading a file whose pod wants it so. What is behind it is not read; if the pod
    /// changes its mind, reading goes on here.
    fn put_aside(&mut self, key: Key) {
        let Some(file) = self.files.remove(&key) else { return };
        let (size, modified) = file.stamp();
        self.aside.insert(file.path.clone(), Aside { since: Instant::now(), waiting: false });
        if size == file.position().to {
            self.known.insert(key, Known { size, modified, id: Some(file.id) });
        }
        self.release(key, file);
    }
}
