//! Which files are read, and what goes with their records.

use super::discover::{Candidate, Key, Scan};
use super::{Reader, Verdict};
use crate::stream::Meta;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A file that is not read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Aside {
    /// When it was first seen.
    since: Instant,
    why: Why,
}

/// Why a file is not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Why {
    /// Something will be known soon, or nothing.
    Waiting,
    /// Nothing is known that lets it through.
    Withheld,
    /// It is known that it is not wanted.
    Excluded,
}

impl Reader {
    /// What goes with the records of a file nobody follows yet; `None` when it is not to be read,
    /// at least not now.
    pub(super) fn admit(&mut self, candidate: &Candidate) -> Option<Arc<Meta>> {
        let Some(pods) = &self.pods else { return Some(self.meta.clone()) };
        let since = self.aside.get(&candidate.path).map_or_else(Instant::now, |aside| aside.since);
        let why = match pods.judge(&candidate.owner, candidate.modified, since.elapsed()) {
            Verdict::Read(meta) => {
                self.aside.remove(&candidate.path);
                return Some(meta);
            }
            Verdict::Unknown => {
                self.aside.remove(&candidate.path);
                self.wiring.metrics.source_unknown_files.inc();
                return Some(Arc::default());
            }
            Verdict::Wait => Why::Waiting,
            Verdict::Withhold => Why::Withheld,
            Verdict::Exclude => Why::Excluded,
        };
        self.undecided |= why == Why::Waiting;
        self.aside.insert(candidate.path.clone(), Aside { since, why });
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
                Verdict::Unknown | Verdict::Wait | Verdict::Withhold => {}
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
        self.aside.values().any(|aside| aside.why == Why::Waiting)
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
        let excluded = self.aside.values().filter(|aside| aside.why == Why::Excluded).count();
        let metrics = &self.wiring.metrics;
        metrics.source_excluded_files.set(i64::try_from(excluded).unwrap_or(i64::MAX));
        metrics.source_waiting_files.set(i64::try_from(self.aside.len() - excluded).unwrap_or(i64::MAX));
    }

    /// Stops reading a file whose pod wants it so. If the pod changes its mind, reading goes on
    /// here: what was written meanwhile is read as far as it still exists.
    fn put_aside(&mut self, key: Key) {
        let Some(file) = self.files.remove(&key) else { return };
        self.aside.insert(file.path.clone(), Aside { since: Instant::now(), why: Why::Excluded });
        self.release(key, file);
    }
}
