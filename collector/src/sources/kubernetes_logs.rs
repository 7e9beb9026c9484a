//! Source `kubernetes_logs`: the container logs of this node, straight from the files the
//! container runtime writes.
//!
//! Promises: every complete line of every container log is handed over with its position, also
//! through rotation (rename, compression), truncation in place, deletion while the file is open,
//! and restarts of the collector. A file is recognised by its content, so nothing is read twice
//! because it was renamed or compressed. What the API server knows about a pod goes with its
//! records, and decides which are read.
//!
//! Refuses: to read a file before its first line is complete (it has no identity yet), to tell two
//! files of one container apart that begin alike (64 bytes beyond the first line) and have the same
//! 64 bytes where reading left off, and to guess the end of a record: a partial record waits for its
//! `F` line as long as the file can still be written to.
//!
//! One thread serves all files in turn, at most `max_read_bytes` each, so that a busy container
//! can't starve the others: those that waited longest come first, and `rate_limit` paces each. Files
//! without news are looked at ever less often, after half a minute every other second; directories
//! are scanned when a kernel watch reports a change, and now and then anyway.

pub mod cri;
mod decide;
pub mod discover;
pub mod docker;
pub mod from_end;
mod holding;
pub mod lines;
pub mod reader;
mod settings;

use crate::batch::Batch;
use crate::budget::Budget;
use crate::config::component::{Problem, Row, problem, within};
use crate::config::{self, ByteSize, Span, options};
use crate::kubernetes::selection::{self, Peer, Selection, SelectionSettings};
use crate::kubernetes::{ApiServer, Pods, Rules, Verdict};
use crate::memory::Reads;
use crate::multiline::{self, Multiline, MultilineSettings};
use crate::position::{Advance, Fingerprint, Position};
use crate::sources::{SourceConfig, Wiring};
use crate::stream::Meta;
use decide::Aside;
use discover::{Candidate, Discover, Discovery, Key, Stage};
use from_end::FromEnd;
use reader::{Identified, Limits, Match, Outcome, Tail, identify};
use serde::{Deserialize, Serialize};
pub use settings::{LinePolicy, Settings};
use std::collections::{HashMap, HashSet};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

/// Shortest time between looks at one file: bounds latency and idle cost at once.
const LOOK_MIN: Duration = Duration::from_millis(25);
/// Longest time between looks at a file without news: one `fstat` each time, which is most of what idle
/// files cost.
const LOOK_MAX: Duration = Duration::from_secs(2);
/// Longest pause between turns while nothing is due: how late a new file may be noticed.
const PAUSE_MAX: Duration = Duration::from_millis(200);
/// Time between scans while every directory is watched and nothing waits for a decision. Only for
/// what a watch can miss.
const SCAN_IDLE: Duration = Duration::from_secs(5);
/// A scan triggered by the directory watch comes no sooner than this after the last one.
const SCAN_MIN: Duration = Duration::from_millis(50);
/// A compressed file that ends too early and did not change for this long is damaged, not unfinished.
const DAMAGED_AFTER: Duration = Duration::from_secs(60);
/// A position is dropped this long after its file was last seen: longer than any pause between
/// removing a log and its compressed copy appearing.
const FORGET_AFTER: Duration = Duration::from_secs(3600);

/// What is kept about a pod.
const POD_BYTES: usize = 1024;

/// A file that is not followed, recognised by what a scan sees without opening it.
#[derive(Debug)]
struct Known {
    size: u64,
    modified: SystemTime,
    id: Option<Fingerprint>,
}

/// How the bytes of files become lines.
#[derive(Debug, Clone, Default)]
pub(crate) struct Framing {
    /// Lines are the application's own, without what a container runtime puts before them.
    pub plain: bool,
    /// Other than UTF-8.
    pub encoding: Option<&'static encoding_rs::Encoding>,
    /// What is in files at the start is skipped.
    pub from_end: bool,
    /// What goes with records of files that are no container's.
    pub meta: Arc<Meta>,
}

/// The source at work: all followed files and the batch under construction.
pub(crate) struct Reader {
    settings: Settings,
    wiring: Wiring,
    limits: Limits,
    discovery: Box<dyn Discover>,
    files: HashMap<Key, Tail>,
    /// Files being followed, by identity.
    followed: HashMap<Fingerprint, Key>,
    /// The last generation of every head that more than one file began with.
    generations: HashMap<Fingerprint, u32>,
    /// Files not followed that were seen in the last scan.
    known: HashMap<Key, Known>,
    /// Positions of files not followed, and when their file was last seen.
    positions: HashMap<Fingerprint, (Position, Instant)>,
    batch: Batch,
    /// Number of the batch: tells the files which stream numbers are still theirs.
    sequence: u64,
    touched: HashSet<Key>,
    opened: Option<Instant>,
    next_scan: Instant,
    last_scan: Instant,
    /// When all quiet files are looked at again.
    next_round: Instant,
    /// When the last file that `rate_limit` holds up is read on.
    paced: Instant,
    /// Files that were empty at the last scan, and when to look at them again.
    empty: Vec<PathBuf>,
    next_empty: Instant,
    /// A file could not be decided about yet: more of it, or time, must come first.
    undecided: bool,
    /// Which files that were never read before are read from their end.
    from_end: FromEnd,
    warned: HashSet<PathBuf>,
    closed: bool,
    /// What is known about pods; nothing when the files are not those of pods.
    pods: Option<Pods>,
    /// What goes with records of files that are no container's.
    meta: Arc<Meta>,
    /// Files that are not read, for now or at all, and since when.
    aside: HashMap<PathBuf, Aside>,
}

impl Reader {
    pub(crate) fn new(settings: Settings, wiring: Wiring) -> Self {
        let discovery = Box::new(Discovery::new(&settings.pods_dir));
        Self::with(settings, discovery, Framing::default(), wiring)
    }

    /// A reader of other files than pod logs; `settings.pods_dir` is then the prefix of the paths
    /// that are its own.
    pub(crate) fn with(
        settings: Settings,
        discovery: Box<dyn Discover>,
        framing: Framing,
        wiring: Wiring,
    ) -> Self {
        let now = Instant::now();
        let limits = Limits {
            // Not more than a second's worth at once, so that a paced file is read evenly.
            read_bytes: settings
                .rate_limit
                .unwrap_or(settings.max_read_bytes)
                .bytes()
                .min(settings.max_read_bytes.bytes()),
            line_bytes: settings.max_line_bytes.bytes(),
            rotate_wait: settings.rotate_wait.duration(),
            truncate: settings.max_line_policy == LinePolicy::Truncate,
            multiline: Arc::new(Multiline::new(settings.multiline.clone())),
            plain: framing.plain,
            encoding: framing.encoding,
            held: Budget::new(settings.max_held_bytes.bytes().min(wiring.memory.held)),
        };
        let mut generations = HashMap::new();
        for signs in wiring.positions.iter().map(|position| position.signs) {
            if let Some(head) = signs.head {
                let last: &mut u32 = generations.entry(head).or_default();
                *last = signs.generation.max(*last);
            }
        }
        let positions = wiring.positions.iter().map(|position| (position.id, (position.clone(), now)));
        Self {
            positions: positions.collect(),
            discovery,
            from_end: FromEnd::new(framing.from_end, &wiring.data_dir, &wiring.name),
            limits,
            settings,
            wiring,
            files: HashMap::new(),
            followed: HashMap::new(),
            generations,
            known: HashMap::new(),
            batch: Batch::default(),
            sequence: 1,
            touched: HashSet::new(),
            opened: None,
            next_scan: now,
            last_scan: now,
            next_round: now,
            paced: now.checked_sub(SCAN_IDLE).unwrap_or(now),
            empty: Vec::new(),
            next_empty: now,
            undecided: false,
            warned: HashSet::new(),
            closed: false,
            pods: None,
            meta: framing.meta,
            aside: HashMap::new(),
        }
    }

    /// With what is known about pods.
    fn with_pods(mut self, pods: Pods) -> Self {
        self.pods = Some(pods);
        self
    }

    /// Reads until the source is stopped.
    pub(crate) fn run(mut self) {
        settings::raise_descriptor_limit();
        while !self.wiring.stop.is_cancelled() && !self.closed {
            self.turn();
        }
        self.flush();
        self.abandon();
    }

    /// Counts what is lost by stopping: the rest of files that can't be opened again.
    fn abandon(&self) {
        for file in self.files.values() {
            let Ok((bytes @ 1.., true)) = file.unread() else { continue };
            self.wiring.metrics.source_abandoned_bytes.inc_by(bytes);
            tracing::error!(path = %file.path.display(), bytes,
                "stopped before a deleted file was read to its end, the rest is lost");
        }
    }

    /// One turn: scan if due, one window of every file that may have news, hand over what is due.
    pub(crate) fn turn(&mut self) {
        let now = Instant::now();
        self.wiring.progress.beat();
        self.from_end.settle();
        if self.discovery.changed() {
            self.next_scan = self.next_scan.min(self.last_scan + SCAN_MIN);
        }
        self.learn();
        if now >= self.next_scan {
            self.scan();
            self.last_scan = now;
            let cooldown = self.settings.glob_minimum_cooldown.duration();
            let quiet = self.discovery.sees_everything() && !self.undecided;
            self.next_scan = now + if quiet { cooldown.max(SCAN_IDLE) } else { cooldown };
            self.next_empty = now + cooldown;
        } else if now >= self.next_empty {
            self.next_empty = now + self.settings.glob_minimum_cooldown.duration();
            let grown = |path: &PathBuf| std::fs::metadata(path).is_ok_and(|metadata| metadata.len() > 0);
            if self.empty.iter().any(grown) {
                self.next_scan = now;
            }
        }
        if now >= self.next_round {
            self.next_round = now + LOOK_MAX;
        }
        let mut due: Vec<(Instant, Key)> =
            self.files.iter().map(|(key, file)| (file.next_look, *key)).collect();
        due.retain(|(next_look, _)| *next_look <= now);
        // Those that wait longest come first.
        due.sort_unstable();
        let mut busy = false;
        for (_, key) in due {
            busy |= self.look(key);
            if self.is_full() {
                self.flush();
            }
            if self.closed || self.wiring.stop.is_cancelled() {
                return;
            }
        }
        let timeout = self.wiring.limits.timeout_secs.duration();
        if self.opened.is_some_and(|opened| opened.elapsed() >= timeout) {
            self.flush();
        }
        // A file that is held up has its next turn a moment after it is due.
        let paced = Instant::now() <= self.paced + PAUSE_MAX;
        let waiting = paced || self.files.values().any(Tail::holds_back_final) || self.is_waiting();
        self.wiring.progress.set_idle(!busy && self.opened.is_none() && !waiting);
        if !busy {
            // The stop signal unparks this thread early.
            let due = self.files.values().map(|file| file.next_look).min();
            let pause = due.map_or(PAUSE_MAX, |due| due.saturating_duration_since(Instant::now()));
            std::thread::park_timeout(pause.clamp(LOOK_MIN, PAUSE_MAX));
        }
    }

    /// Reads one window of a file; true when it may have more.
    fn look(&mut self, key: Key) -> bool {
        let Some(file) = self.files.get_mut(&key) else { return false };
        let before = self.batch.raw_bytes;
        match file.read(&mut self.batch, self.sequence) {
            Ok(Outcome::More) => {
                // The other standard stream may keep a file from ever being idle.
                if file.due().is_some_and(|due| due <= Instant::now()) {
                    file.expire(&mut self.batch, self.sequence);
                }
                self.warned.remove(&file.path);
                let bytes = self.batch.raw_bytes - before;
                let rate = self.settings.rate_limit.and_then(|rate| u32::try_from(rate.bytes()).ok());
                let pause = rate.map_or(Duration::ZERO, |rate| Duration::from_secs(bytes) / rate);
                file.next_look = Instant::now() + pause;
                if !pause.is_zero() {
                    self.paced = self.paced.max(file.next_look);
                }
                self.touch(key);
                pause.is_zero()
            }
            Ok(Outcome::Idle) => {
                let expired = file.expire(&mut self.batch, self.sequence);
                let wait = (file.quiet() / 16).clamp(LOOK_MIN, LOOK_MAX);
                // Quiet files are looked at together, so that the thread sleeps in between.
                let next = if wait == LOOK_MAX { self.next_round } else { Instant::now() + wait };
                file.next_look = file.due().map_or(next, |due| due.min(next));
                if expired {
                    self.touch(key);
                }
                false
            }
            Ok(Outcome::Ended) => {
                self.end(key, false);
                true
            }
            Ok(Outcome::Truncated) => {
                self.wiring.metrics.source_truncated_files.inc();
                tracing::info!(path = %file.path.display(), "file was truncated, reading it from the start");
                self.end(key, true);
                self.next_scan = Instant::now();
                true
            }
            Err(error) => {
                let path = file.path.clone();
                file.next_look = Instant::now() + LOOK_MAX;
                let (gzip, quiet) = (file.is_gzip(), file.unchanged());
                self.warn(&path, &error, "log file can't be read");
                if gzip && error.kind() == io::ErrorKind::UnexpectedEof && quiet < DAMAGED_AFTER {
                    // Perhaps still being written: decode it again after the next scan.
                    if let Some(file) = self.files.remove(&key) {
                        self.release(key, file);
                    }
                } else if gzip {
                    self.end(key, false);
                }
                false
            }
        }
    }

    fn touch(&mut self, key: Key) {
        self.touched.insert(key);
        self.opened.get_or_insert_with(Instant::now);
    }

    /// Stops following a file after handing over what is left of it.
    fn end(&mut self, key: Key, truncated: bool) {
        let Some(mut file) = self.files.remove(&key) else { return };
        if let Err(error) = file.finish(&mut self.batch, self.sequence, truncated) {
            self.warn(&file.path.clone(), &error, "end of log file can't be read");
        }
        if !truncated {
            let (size, modified) = file.stamp();
            self.known.insert(key, Known { size, modified, id: Some(file.id) });
        }
        self.release(key, file);
    }

    /// Closes a file and remembers its position.
    fn release(&mut self, key: Key, mut file: Tail) {
        self.note(&mut file);
        self.followed.remove(&file.id);
        self.touched.remove(&key);
        self.batch.advances.extend(file.advance());
        self.positions.insert(file.id, (file.position(), Instant::now()));
        self.opened.get_or_insert_with(Instant::now);
    }

    fn note(&self, file: &mut Tail) {
        let (noted, metrics) = (file.take_noted(), &self.wiring.metrics);
        metrics.source_malformed_lines.inc_by(noted.malformed);
        metrics.source_split_records.inc_by(noted.split);
        metrics.source_truncated_records.inc_by(noted.truncated);
        metrics.source_joined_lines.inc_by(noted.joined);
        metrics.source_unterminated_records.inc_by(noted.unterminated);
        metrics.source_excluded_records.inc_by(noted.excluded);
    }

    fn is_full(&self) -> bool {
        let max = self.wiring.limits.max_bytes.bytes();
        self.batch.used >= max || self.batch.joined.len() >= max || self.batch.records.len() >= RECORDS_MAX
    }

    /// Hands the batch to the spool; blocks while the spool is behind.
    pub(crate) fn flush(&mut self) {
        self.opened = None;
        for key in std::mem::take(&mut self.touched) {
            if let Some(mut file) = self.files.remove(&key) {
                self.note(&mut file);
                self.batch.advances.extend(file.advance());
                self.files.insert(key, file);
            }
        }
        if self.batch.is_empty() {
            self.batch.clear(usize::MAX);
            return;
        }
        // The same steps in the same order give the same object key. Stable: steps of one file stay
        // in theirs.
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
        let scan = self.discovery.scan();
        for (path, error) in &scan.errors {
            self.warn(path, error, "directory or file can't be listed");
        }
        let mut present = HashSet::with_capacity(scan.files.len());
        self.empty.clear();
        self.undecided = !scan.errors.is_empty();
        let mut unread: Vec<PathBuf> = scan.errors.iter().map(|(path, _)| path.clone()).collect();
        for candidate in &scan.files {
            present.insert(candidate.key);
            if let Some(file) = self.files.get_mut(&candidate.key) {
                if file.path != candidate.path {
                    file.path.clone_from(&candidate.path);
                }
                file.stage = Some(candidate.stage);
                continue;
            }
            let known = self.known.get(&candidate.key);
            if known.is_some_and(|known| (known.size, known.modified) == (candidate.size, candidate.modified))
            {
                continue;
            }
            if candidate.size == 0 {
                self.empty.push(candidate.path.clone());
                continue;
            }
            if candidate.old && self.positions.is_empty() {
                continue;
            }
            let Some(meta) = self.admit(candidate) else { continue };
            if let Err(error) = self.follow(candidate, meta) {
                self.warn(&candidate.path, &error, "log file can't be opened");
                unread.push(candidate.path.clone());
            }
            let decided = self.files.contains_key(&candidate.key) || self.known.contains_key(&candidate.key);
            self.undecided |= !decided;
        }
        if scan.errors.is_empty() {
            for (key, file) in &mut self.files {
                if !present.contains(key) {
                    file.stage = None;
                }
            }
            self.known.retain(|key, _| present.contains(key));
        }
        self.sweep(&scan);
        if let Some(receipt) = self.from_end.scanned(unread) {
            self.batch.receipts.push(receipt);
            self.flush();
        }
        self.forget();
        self.close_some();
        // Files that are known but not followed are only seen to change by a scan.
        self.undecided |= self.files.len() >= self.settings.max_open_files;
        let behind = self.files.values().map(Tail::behind).sum::<u64>();
        let metrics = &self.wiring.metrics;
        metrics.source_files.set(i64::try_from(self.files.len()).unwrap_or(i64::MAX));
        metrics.source_behind_bytes.set(i64::try_from(behind).unwrap_or(i64::MAX));
    }

    /// Decides about a file that is not followed yet.
    fn follow(&mut self, candidate: &Candidate, meta: Arc<Meta>) -> io::Result<()> {
        let aged = SystemTime::now().duration_since(candidate.modified);
        let final_stage = matches!(candidate.stage, Stage::Superseded | Stage::Rotated);
        let complete = final_stage && aged.is_ok_and(|age| age >= self.limits.rotate_wait);
        let Some(found) = identify(candidate, complete, &self.limits)? else { return Ok(()) };
        // A copy whose original is being followed is looked at again once it is not.
        let Some(generation) = self.recognise(candidate, &found)? else { return Ok(()) };
        let id = found.head.generation(generation);
        let mut position = self.positions.get(&id).map(|(position, _)| position.clone());
        if position.is_none() && candidate.old {
            let Candidate { size, modified, .. } = *candidate;
            self.known.insert(candidate.key, Known { size, modified, id: None });
            return Ok(());
        }
        if position.is_none() && self.from_end.skips(&candidate.path) {
            let path = candidate.path.to_string_lossy().into_owned();
            let (to, time) = (found.end(candidate, &self.limits)?, String::new());
            let signs = found.signs(to, generation)?;
            let skipped = Position { id, to, open: Vec::new(), long_line: None, time, path, signs };
            let advance = Advance { from: 0, position: skipped.clone(), reset: true, forget: false };
            self.batch.advances.push(advance);
            self.opened.get_or_insert_with(Instant::now);
            // So that it is known when the file is closed again without being read.
            self.positions.insert(id, (skipped.clone(), Instant::now()));
            position = Some(skipped);
        }
        if let Some(position) = &position {
            // A rotated copy may be shorter than what was read from the original.
            let (shorter, equal) = found.against(position);
            let ended = candidate.gzip || candidate.stage != Stage::Current;
            let (shorter, equal) = (ended && shorter, ended && equal);
            if shorter || (equal && position.open.is_empty() && position.long_line.is_none()) {
                let Candidate { size, modified, .. } = *candidate;
                self.known.insert(candidate.key, Known { size, modified, id: Some(id) });
                if let Some((_, seen)) = self.positions.get_mut(&id) {
                    *seen = Instant::now();
                }
                return Ok(());
            }
        }
        tracing::debug!(path = %candidate.path.display(), %id, offset = position.as_ref().map_or(0, |at| at.to),
            "following file");
        self.positions.remove(&id);
        self.known.remove(&candidate.key);
        if generation > 0 {
            self.generations
                .insert(found.head, generation.max(self.generations.get(&found.head).copied().unwrap_or(0)));
        }
        let limits = self.limits.clone();
        let file = Tail::new(candidate, found, generation, position.as_ref(), limits, meta);
        self.followed.insert(id, candidate.key);
        self.files.insert(candidate.key, file);
        Ok(())
    }

    /// Which of the files with its head a file is, or the first number not taken; `None` for a copy
    /// of one that is being followed.
    fn recognise(&self, candidate: &Candidate, found: &Identified) -> io::Result<Option<u32>> {
        let live = candidate.stage == Stage::Current && !candidate.gzip;
        let last = self.generations.get(&found.head).copied();
        let mut taken = false;
        let mut best: Option<(u32, u64)> = None;
        for generation in 0..=last.unwrap_or(0) {
            let id = found.head.generation(generation);
            if let Some(key) = self.followed.get(&id) {
                // A file that is written to under its own name is nobody's copy.
                let copied = |file: &Tail| file.is_copied_by(found);
                if !live && self.files.get(key).map_or(Ok(true), copied)? {
                    return Ok(None);
                }
                taken = true;
                continue;
            }
            let Some((position, _)) = self.positions.get(&id) else { continue };
            taken = true;
            let same = found.compare(position, live)? != Match::Other;
            let claims = |(key, known): (&Key, &Known)| *key != candidate.key && known.id == Some(id);
            if same && best.is_none_or(|(_, to)| to < position.to) && !(live && self.known.iter().any(claims))
            {
                best = Some((generation, position.to));
            }
        }
        Ok(Some(match (best, last) {
            (Some((generation, _)), _) => generation,
            (None, None) if !taken => 0,
            (None, last) => last.unwrap_or(0) + 1,
        }))
    }

    /// Logs a problem with a path once, until it is readable again.
    fn warn(&mut self, path: &std::path::Path, error: &io::Error, message: &'static str) {
        self.wiring.metrics.source_errors.inc();
        if self.warned.len() >= 1024 {
            self.warned.clear();
        }
        if self.warned.insert(path.to_owned()) {
            tracing::warn!(source = %self.wiring.name, path = %path.display(), %error, "{message}");
        }
    }
}

/// A batch of tiny lines is closed at this many records, so that its index (48 bytes each) stays
/// smaller than its data.
const RECORDS_MAX: usize = 16 * 1024;

#[cfg(test)]
impl Reader {
    /// Makes every file due now, so that a test need not wait for its next look.
    pub(crate) fn hurry(&mut self) {
        let now = Instant::now();
        self.files.values_mut().for_each(|file| file.next_look = now);
        self.next_scan = now;
        std::thread::current().unpark();
    }
}

#[cfg(test)]
mod tests;
