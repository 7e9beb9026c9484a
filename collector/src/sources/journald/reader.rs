//! The source at work: all followed journals and the batch under construction.

use super::JournaldSettings;
use super::discover::{Discovery, Found, Key, is_live};
use super::format::Fault;
use super::journal::{Journal, Next};
use super::render::{Known, Renderer};
use crate::batch::Batch;
use crate::position::{Advance, Fingerprint, Position};
use crate::sources::Wiring;
use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};
use twox_hash::xxhash3_128;

/// Shortest and longest time between looks at the journals, as for container logs.
const LOOK_MIN: Duration = Duration::from_millis(25);
/// See [`LOOK_MIN`].
const LOOK_MAX: Duration = Duration::from_secs(1);
/// Longest pause of the thread: how late the end of the collector may be noticed.
const PAUSE_MAX: Duration = Duration::from_millis(200);
/// Entries of one turn, before signs of life and timers get theirs.
const TURN_ENTRIES: usize = 4096;
/// Records of one batch, as for container logs.
const RECORDS_MAX: usize = 16 * 1024;
/// A position is dropped this long after its file was last seen.
const FORGET_AFTER: Duration = Duration::from_secs(3600);
/// Stands before the path in positions, so that no source of plain files takes one for its own.
const PATH_PREFIX: &str = "journald:";

/// A journal that is being read.
struct Followed {
    journal: Journal,
    id: Fingerprint,
    path: PathBuf,
    key: Key,
    stamp: (u64, Option<SystemTime>),
    /// Its writer may add to it.
    live: bool,
    /// The header was read after the writer was done.
    settled: bool,
    /// Sequence number up to which positions were handed over.
    from: u64,
    known: Known,
}

impl Followed {
    fn advance(&mut self) -> Option<Advance> {
        let from = self.from;
        self.from = self.journal.next_seqnum;
        let position = self.position();
        (from != position.to).then_some(Advance { from, position, reset: false, forget: false })
    }

    fn position(&self) -> Position {
        Position {
            id: self.id,
            to: self.from,
            open: Vec::new(),
            long_line: None,
            time: String::new(),
            path: format!("{PATH_PREFIX}{}", self.path.display()),
            signs: crate::position::Signs::default(),
        }
    }
}

/// A file that needs no look until its stamp changes.
struct Seen {
    stamp: (u64, Option<SystemTime>),
    id: Option<Fingerprint>,
}

/// The source at work.
pub(crate) struct Reader {
    settings: JournaldSettings,
    wiring: Wiring,
    discovery: Discovery,
    renderer: Renderer,
    journals: Vec<Followed>,
    seen: HashMap<Key, Seen>,
    /// Positions of journals not followed, and when their file was last seen.
    positions: HashMap<Fingerprint, (Position, Instant)>,
    batch: Batch,
    sequence: u64,
    opened: Option<Instant>,
    next_scan: Instant,
    next_look: Instant,
    news: Instant,
    /// Journals of the first scan that were never read are read from their end.
    since_now: bool,
    warned: HashSet<PathBuf>,
    closed: bool,
}

impl Reader {
    pub(crate) fn new(settings: JournaldSettings, wiring: Wiring) -> Self {
        let now = Instant::now();
        let positions = wiring.positions.iter().filter(|position| position.path.starts_with(PATH_PREFIX));
        Self {
            positions: positions.map(|position| (position.id, (position.clone(), now))).collect(),
            discovery: Discovery::new(&settings),
            renderer: Renderer::new(&wiring.name, &settings),
            since_now: settings.since_now,
            settings,
            wiring,
            journals: Vec::new(),
            seen: HashMap::new(),
            batch: Batch::default(),
            sequence: 1,
            opened: None,
            next_scan: now,
            next_look: now,
            news: now,
            warned: HashSet::new(),
            closed: false,
        }
    }

    /// Reads until the source is stopped.
    pub(crate) fn run(mut self) {
        while !self.wiring.stop.is_cancelled() && !self.closed {
            if !self.turn() {
                let due = self.next_look.min(self.next_scan).saturating_duration_since(Instant::now());
                // The stop signal unparks this thread early.
                std::thread::park_timeout(due.clamp(LOOK_MIN, PAUSE_MAX));
            }
        }
        self.flush();
    }

    /// One turn: scan and look if due, then entries in the order of their times. True when there are
    /// more.
    pub(crate) fn turn(&mut self) -> bool {
        let now = Instant::now();
        self.wiring.progress.beat();
        if now >= self.next_scan {
            self.scan();
            self.next_scan = now + self.settings.glob_minimum_cooldown.duration();
            self.next_look = now;
        }
        if now >= self.next_look {
            self.look();
        }
        let busy = self.merge();
        if busy {
            self.news = Instant::now();
        }
        self.release();
        let timeout = self.wiring.limits.timeout_secs.duration();
        if self.opened.is_some_and(|opened| opened.elapsed() >= timeout) {
            self.flush();
        }
        self.wiring.progress.set_idle(!busy && self.opened.is_none());
        busy
    }

    /// Reads the headers of all followed journals.
    fn look(&mut self) {
        let mut faults = Vec::new();
        for followed in &mut self.journals {
            let live = followed.live;
            match followed.journal.refresh() {
                Ok(_) => followed.settled = !live,
                Err(error) => {
                    // A file that is gone and can't be read either has nothing more to give.
                    followed.settled = !live;
                    faults.push((followed.path.clone(), error));
                }
            }
        }
        for (path, error) in faults {
            self.warn(&path, &error, "journal can't be read");
        }
        self.next_look = Instant::now() + (self.news.elapsed() / 16).clamp(LOOK_MIN, LOOK_MAX);
    }

    /// Hands over what there is, oldest first; true when it stopped before the end.
    fn merge(&mut self) -> bool {
        // Time of the next entry of each journal that has one.
        let mut heads: Vec<(usize, u64)> = Vec::new();
        for at in 0..self.journals.len() {
            heads.extend(self.head(at).map(|time| (at, time)));
        }
        for _ in 0..TURN_ENTRIES {
            let Some(slot) = (0..heads.len()).min_by_key(|slot| heads[*slot].1) else { return false };
            let at = heads[slot].0;
            self.hand_over(at);
            if self.closed || self.wiring.stop.is_cancelled() {
                return false;
            }
            match self.head(at) {
                Some(time) => heads[slot].1 = time,
                None => drop(heads.swap_remove(slot)),
            }
        }
        !heads.is_empty()
    }

    fn head(&mut self, at: usize) -> Option<u64> {
        let followed = self.journals.get_mut(at)?;
        let found = followed.journal.peek(followed.live);
        self.wiring.metrics.source_damaged_entries.inc_by(std::mem::take(&mut followed.journal.damaged));
        match found {
            Ok(Next::Entry) => Some(followed.journal.entry.realtime),
            Ok(Next::None) => None,
            Err(error) => {
                let path = followed.path.clone();
                self.warn(&path, &error, "journal can't be read");
                None
            }
        }
    }

    fn hand_over(&mut self, at: usize) {
        let Some(followed) = self.journals.get_mut(at) else { return };
        let batch = (&mut self.batch, self.sequence);
        let metrics = &self.wiring.metrics;
        self.renderer.render(&mut followed.journal, &mut followed.known, batch, followed.id, metrics);
        followed.journal.take();
        self.opened.get_or_insert_with(Instant::now);
        if self.batch.joined.len() >= self.wiring.limits.max_bytes.bytes()
            || self.batch.records.len() >= RECORDS_MAX
        {
            self.flush();
        }
    }

    /// Closes journals nothing is added to any more once they are read to the end.
    fn release(&mut self) {
        let mut at = 0;
        while let Some(followed) = self.journals.get_mut(at) {
            if followed.live || !followed.settled || followed.journal.has_more() {
                at += 1;
                continue;
            }
            let advance = followed.advance();
            let followed = self.journals.swap_remove(at);
            if advance.is_some() {
                self.opened.get_or_insert_with(Instant::now);
            }
            self.batch.advances.extend(advance);
            self.positions.insert(followed.id, (followed.position(), Instant::now()));
            self.seen.insert(followed.key, Seen { stamp: followed.stamp, id: Some(followed.id) });
        }
    }

    /// Hands the batch to the spool; blocks while the spool is behind.
    pub(crate) fn flush(&mut self) {
        self.opened = None;
        let advances: Vec<Advance> = self.journals.iter_mut().filter_map(Followed::advance).collect();
        self.batch.advances.extend(advances);
        if self.batch.is_empty() {
            self.batch.clear(usize::MAX);
            return;
        }
        // The same steps in the same order give the same object key.
        self.batch.advances.sort_by_key(|advance| advance.position.id);
        self.sequence += 1;
        let metrics = &self.wiring.metrics;
        let (records, bytes) = (self.batch.records.len() as u64, self.batch.raw_bytes);
        metrics.source_records.inc_by(records);
        metrics.source_read_bytes.inc_by(bytes);
        metrics.batch_queued_bytes.inc_by(i64::try_from(bytes).unwrap_or(i64::MAX));
        let next = self.wiring.empty.try_recv().unwrap_or_default();
        let full = std::mem::replace(&mut self.batch, next);
        self.wiring.progress.set_waiting(true);
        // Fails only when the spool has stopped; what it did not take is read again next time.
        self.closed |= self.wiring.output.send(full).is_err();
        self.wiring.progress.set_waiting(false);
    }

    fn scan(&mut self) {
        let (found, errors) = self.discovery.scan();
        let complete = errors.is_empty();
        for (path, error) in errors {
            self.warn(&path, &error.into(), "journal directory can't be listed");
        }
        let present: HashSet<Key> = found.iter().map(|file| file.key).collect();
        for file in found {
            if let Some(followed) = self.journals.iter_mut().find(|followed| followed.key == file.key) {
                followed.settled &= !file.live;
                (followed.live, followed.stamp) = (file.live, file.stamp);
                followed.path = file.path;
            } else if self.seen.get(&file.key).is_none_or(|seen| seen.stamp != file.stamp) {
                self.follow(&file);
            }
        }
        if complete {
            for followed in &mut self.journals {
                // journald rotates as soon as it finds its file deleted.
                followed.live &= present.contains(&followed.key);
            }
            self.seen.retain(|key, _| present.contains(key));
            self.since_now = false;
        }
        self.forget();
        let metrics = &self.wiring.metrics;
        metrics.source_files.set(i64::try_from(self.journals.len()).unwrap_or(i64::MAX));
    }

    /// Begins to read a journal where it was left.
    fn follow(&mut self, file: &Found) {
        let opened = File::open(&file.path).map_err(Fault::from).and_then(Journal::open);
        let mut journal = match opened {
            Ok(journal) => journal,
            Err(error) => {
                // A live one may just be in the making.
                if !file.live {
                    self.seen.insert(file.key, Seen { stamp: file.stamp, id: None });
                }
                return self.warn(&file.path, &error, "journal can't be opened");
            }
        };
        let id = identity(&journal.header.file_id);
        if self.journals.iter().any(|followed| followed.id == id) {
            // A copy. Looked at again once the other one is done.
            return;
        }
        let position = self.positions.remove(&id).map(|(position, _)| position.to);
        let from = position.unwrap_or_default();
        let start = match position {
            None if self.since_now && journal.header.entries > 0 => {
                journal.header.tail_seqnum.saturating_add(1)
            }
            _ => from,
        };
        journal.seek(start);
        if start != from {
            self.opened.get_or_insert_with(Instant::now);
        }
        tracing::debug!(path = %file.path.display(), %id, offset = start, "following journal");
        self.warned.remove(&file.path);
        self.journals.push(Followed {
            journal,
            id,
            path: file.path.clone(),
            key: file.key,
            stamp: file.stamp,
            live: file.live,
            settled: false,
            from,
            known: Known::default(),
        });
    }

    /// Drops positions of journals that have been gone for long, here and in the checkpoint.
    fn forget(&mut self) {
        let seen: HashSet<Fingerprint> = self.seen.values().filter_map(|seen| seen.id).collect();
        let now = Instant::now();
        let mut gone = Vec::new();
        for (id, (position, last_seen)) in &mut self.positions {
            let path = Path::new(position.path.trim_start_matches(PATH_PREFIX));
            if seen.contains(id) {
                *last_seen = now;
            } else if last_seen.elapsed() >= FORGET_AFTER && self.discovery.owns(path) {
                gone.push(*id);
            }
        }
        for id in gone {
            if let Some((position, _)) = self.positions.remove(&id) {
                let from = position.to;
                self.batch.advances.push(Advance { from, position, reset: false, forget: true });
                self.opened.get_or_insert(now);
            }
        }
    }

    /// Logs a problem with a path once, until it can be read again.
    fn warn(&mut self, path: &Path, error: &Fault, message: &'static str) {
        self.wiring.metrics.source_errors.inc();
        let name = path.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
        if self.warned.len() >= 1024 {
            self.warned.clear();
        }
        if self.warned.insert(path.to_owned()) {
            let live = is_live(&name);
            tracing::warn!(source = %self.wiring.name, path = %path.display(), %error, live, "{message}");
        }
    }
}

/// The identity of a journal file.
fn identity(file_id: &[u8; 16]) -> Fingerprint {
    let mut hasher = xxhash3_128::Hasher::new();
    hasher.write(b"journald");
    hasher.write(file_id);
    Fingerprint(hasher.finish_128())
}

#[cfg(test)]
impl Reader {
    /// Makes everything due now.
    pub(crate) fn hurry(&mut self) {
        self.next_scan = Instant::now();
    }
}
