//! The spool: the collector's buffer on disk, and the only place where records become durable.
//!
//! ```text
//! <data_dir>/lock                          held while a collector runs
//! <data_dir>/positions.json                checkpoint: positions up to a sealed segment
//! <data_dir>/sinks.json                    the last segment each sink has
//! <data_dir>/dropped.json                  segments behind it that a sink will never get
//! <data_dir>/reserve                       space for the two files above on a full disk
//! <data_dir>/spool/<16 hex>.open           the segment being written
//! <data_dir>/spool/<16 hex>.seg            sealed segments, waiting for sinks
//! ```
//!
//! The order of writes is the whole delivery story:
//! 1. A batch becomes one frame of the open segment: records and positions together or not at all.
//! 2. Sealing syncs the segment and renames it. Only sealed segments are delivered.
//! 3. A sink has a segment once its object is durable at the other end; then `sinks.json` says so.
//! 4. When every sink has it, the checkpoint is stored to cover it, then the segment is removed.
//!
//! Whatever step a crash falls into, what is on disk tells where to go on: positions are the
//! checkpoint plus the footers of the segments after it. A delivery may be repeated, then under the
//! same key with the same content.

pub mod inspect;
mod lanes;
mod reserve;
mod writer;

use crate::config::{Buffer, BufferFull, SpoolLimits, WhenFull};
use crate::graph::Lane;
use crate::metrics::{Metrics, SinkLabel};
use crate::position::{Checkpoint, CheckpointError, Positions, replace_file, sync_directory};
use crate::segment::{Digest, Segment};
use reserve::Reserve;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};
use tokio::sync::Notify;

pub use lanes::{Portion, SinkSpec, Taker};
use lanes::{count, portion_of, specs, takers};
#[cfg(test)]
pub(crate) use writer::Writer;
pub use writer::{Wiring, run};

/// What can go wrong with the spool.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    /// Another process works on the same directory.
    #[error("{path} is in use by another collector; stop it or configure another data_dir")]
    Locked {
        /// The data directory.
        path: PathBuf,
    },
    /// The disk does not do what is asked.
    #[error("{action} {path}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// The checkpoint can't be used.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
}

/// A sealed segment, ready for delivery.
#[derive(Debug, Clone)]
pub struct Sealed {
    /// Its number.
    pub id: u64,
    /// Its file.
    pub path: PathBuf,
    /// Size of the file in bytes.
    pub bytes: u64,
    /// Records in it by lane; the sections' own lengths do not matter here.
    pub portions: Vec<Portion>,
    /// UTC date of its first record.
    pub date: String,
    /// Over its content's identity.
    pub digest: Digest,
    /// When its first record was stored; for a segment of an earlier run, when its last was.
    pub since: SystemTime,
}

impl Sealed {
    /// Records over all lanes.
    pub fn records(&self) -> u64 {
        self.portions.iter().map(|portion| portion.records).sum()
    }
}

#[derive(Debug, Default)]
struct State {
    sealed: BTreeMap<u64, Arc<Sealed>>,
    /// The last segment each sink has, in the order of the configured sinks.
    cursors: Vec<u64>,
    /// Segments behind the cursor that a sink will never get, because its buffer was full.
    shed: Vec<BTreeSet<u64>>,
    /// What `dropped.json` says about them.
    shed_stored: Vec<BTreeSet<u64>>,
    /// Segments handed to a sink and not acknowledged yet.
    taken: Vec<u64>,
    open_bytes: u64,
    open: Vec<Portion>,
    /// When the first record of the open segment was stored.
    open_since: Option<SystemTime>,
    /// Positions as of the last sealed segment, and its number.
    durable: Positions,
    durable_segment: u64,
    stored_segment: u64,
    /// The writer has ended: nothing will be added.
    closed: bool,
    reserve: Reserve,
}

/// The spool, shared by its writer and the sinks.
#[derive(Debug)]
pub struct Spool {
    data_dir: PathBuf,
    limits: SpoolLimits,
    sinks: Vec<SinkSpec>,
    takers: Vec<Taker>,
    lanes: Vec<Lane>,
    metrics: Arc<Metrics>,
    state: Mutex<State>,
    /// Signalled when room was made.
    room: Condvar,
    /// Signalled when a segment was sealed or the spool closed.
    sealed: Notify,
    _lock: File,
}

impl Spool {
    /// Opens the spool in `data_dir` for the sinks of `lanes`, recovering what a previous run left.
    /// Returns the positions where sources resume.
    ///
    /// # Errors
    /// When the directory is in use, can't be written, or its checkpoint is from a later version.
    /// Never because of damaged content.
    pub fn open(
        data_dir: &Path,
        limits: SpoolLimits,
        lanes: Vec<Lane>,
        buffers: &BTreeMap<String, Buffer>,
        metrics: Arc<Metrics>,
    ) -> Result<(Arc<Self>, Positions), SpoolError> {
        let spool_dir = data_dir.join("spool");
        fs::create_dir_all(&spool_dir).map_err(|source| io_error("creating", &spool_dir, source))?;
        let lock = lock(data_dir)?;
        let sinks = specs(&lanes, buffers);
        let (covered, mut positions) = Checkpoint::load(&data_dir.join("positions.json"))?;
        let known = load_cursors(&data_dir.join("sinks.json"))?;
        let cursors = sinks.iter().map(|sink| known.get(&sink.name).copied().unwrap_or(0)).collect();
        let dropped = load_dropped(&data_dir.join("dropped.json"))?;
        let shed: Vec<BTreeSet<u64>> =
            sinks.iter().map(|sink| dropped.get(&sink.name).cloned().unwrap_or_default()).collect();
        let taken = vec![0; sinks.len()];
        let mut state = State { cursors, shed_stored: shed.clone(), shed, taken, ..State::default() };
        let done = state.cursors.iter().copied().min().unwrap_or(u64::MAX);
        let mut last = known.values().copied().fold(covered, u64::max);
        let mut gap = false;
        for (id, path) in segment_files(&spool_dir)? {
            let before = last;
            last = last.max(id);
            if id <= covered && id <= done {
                fs::remove_file(&path).map_err(|source| io_error("removing", &path, source))?;
                continue;
            }
            let (sealed, segment) = recover(id, path, &metrics)?;
            // A torn tail only costs what nothing was built on, unless segments follow it.
            gap |= segment.damaged > 0 || segment.torn() > 0 || (id > covered + 1 && id > before + 1);
            if id > covered {
                let advances = segment.frames.iter().flat_map(|frame| &frame.footer.advances);
                for advance in advances {
                    if !gap {
                        positions.apply(advance);
                    } else if !positions.apply_continuous(advance) {
                        tracing::warn!(
                            path = advance.position.path,
                            offset = advance.from,
                            "records before this offset were lost in the spool, reading them again"
                        );
                    }
                }
            }
            if let Some(sealed) = sealed {
                state.sealed.insert(id, Arc::new(sealed));
            }
        }
        sync_directory(&spool_dir).map_err(|source| io_error("syncing", &spool_dir, source))?;
        let State { shed, sealed, .. } = &mut state;
        shed.iter_mut().for_each(|ids| ids.retain(|id| sealed.contains_key(id)));
        state.durable = positions.clone();
        state.durable_segment = last;
        state.stored_segment = covered;
        state.reserve = Reserve::new(data_dir.join("reserve"));
        if let Err(error) = state.reserve.hold() {
            tracing::warn!(path = %data_dir.display(), %error, "disk is full, nothing is stored until it is not");
        }
        let takers = takers(&sinks, &known, last);
        for ((taker, cursor), shed) in takers.iter().zip(&state.cursors).zip(&state.shed) {
            let waiting = state.sealed.range(cursor.saturating_add(1)..).filter(|(id, _)| !shed.contains(id));
            let records: u64 = waiting.map(|(_, sealed)| portion_of(sealed, taker)).sum();
            let label = SinkLabel { sink: taker.sink.clone() };
            metrics.spool_recovered_records.get_or_create(&label).inc_by(records);
        }
        warn_about_orphans(&state, &takers, &metrics);
        let spool = Self {
            data_dir: data_dir.to_owned(),
            limits,
            sinks,
            takers,
            lanes,
            metrics,
            state: Mutex::new(state),
            room: Condvar::new(),
            sealed: Notify::new(),
            _lock: lock,
        };
        spool.publish(&spool.lock());
        Ok((Arc::new(spool), positions))
    }

    /// The first sealed segment behind `after` that the sink does not have yet; waits for one.
    /// `None` once the spool is closed and there is no other.
    ///
    /// Cancel-safe: nothing changes before [`Spool::acknowledge`], except that the segment will not
    /// be dropped in favour of newer ones.
    pub async fn next(&self, sink: usize, after: u64) -> Option<Arc<Sealed>> {
        loop {
            let sealed = self.sealed.notified();
            tokio::pin!(sealed);
            // Registered before looking, so that no seal in between is missed.
            sealed.as_mut().enable();
            {
                let mut state = self.lock();
                let from = state.cursors.get(sink).copied().unwrap_or(u64::MAX).max(after).saturating_add(1);
                let shed = state.shed.get(sink);
                let wanted = |id: &u64| shed.is_none_or(|shed| !shed.contains(id));
                let next =
                    state.sealed.range(from..).find(|(id, _)| wanted(id)).map(|(_, next)| next.clone());
                if let Some(next) = next {
                    if let Some(taken) = state.taken.get_mut(sink) {
                        *taken = next.id.max(*taken);
                    }
                    return Some(next);
                }
                if state.closed {
                    return None;
                }
            }
            sealed.await;
        }
    }

    /// Records a segment holds for a sink.
    pub fn records_for(&self, sealed: &Sealed, sink: usize) -> u64 {
        self.takers.get(sink).map_or(0, |taker| portion_of(sealed, taker))
    }

    /// Which sections of a segment are for a sink.
    pub fn taker(&self, sink: usize) -> Taker {
        self.takers[sink].clone()
    }

    /// Where the collector keeps everything it must not lose.
    pub fn data_dir(&self) -> &Path {
        &self.data_dir
    }

    /// Notes durably that the sink has every segment up to `id`, and removes segments that every
    /// sink has. Blocking.
    ///
    /// # Errors
    /// When the note can't be written. Call again: until it is written the segment stays, and at
    /// worst it is delivered twice under the same key.
    pub fn acknowledge(&self, sink: usize, id: u64) -> Result<(), SpoolError> {
        let mut state = self.lock();
        if let Some(cursor) = state.cursors.get_mut(sink) {
            *cursor = id.max(*cursor);
        }
        if let Some(shed) = state.shed.get_mut(sink) {
            *shed = shed.split_off(&(id + 1));
        }
        let mut result = self.tidy(&mut state);
        if result.is_err() && state.reserve.release() {
            result = self.tidy(&mut state);
        }
        self.publish(&state);
        drop(state);
        self.room.notify_all();
        if result.is_err() {
            self.metrics.spool_errors.inc();
        }
        result
    }

    fn tidy(&self, state: &mut State) -> Result<(), SpoolError> {
        self.store_dropped(state)?;
        let cursors: BTreeMap<&String, u64> =
            self.sinks.iter().map(|sink| &sink.name).zip(state.cursors.iter().copied()).collect();
        let path = self.data_dir.join("sinks.json");
        let text = serde_json::to_vec(&cursors).map_err(|error| io_error("encoding", &path, error.into()))?;
        replace_file(&path, &text).map_err(|source| io_error("writing", &path, source))?;
        let done: Vec<u64> = state.sealed.keys().copied().filter(|id| state.is_done(*id)).collect();
        if done.is_empty() {
            return Ok(());
        }
        self.store_checkpoint(state)?;
        for id in done {
            let Some(path) = state.sealed.get(&id).map(|sealed| sealed.path.clone()) else { continue };
            match fs::remove_file(&path) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(source) => return Err(io_error("removing", &path, source)),
            }
            state.sealed.remove(&id);
            // The note follows with the next one that is written.
            for shed in &mut state.shed {
                shed.remove(&id);
            }
        }
        Ok(())
    }

    /// Notes which segments a sink will never get, so that a restart does not offer them again
    /// while another sink still holds the file.
    fn store_dropped(&self, state: &mut State) -> Result<(), SpoolError> {
        if state.shed == state.shed_stored {
            return Ok(());
        }
        let path = self.data_dir.join("dropped.json");
        let dropped: BTreeMap<&String, &BTreeSet<u64>> = self
            .sinks
            .iter()
            .map(|sink| &sink.name)
            .zip(&state.shed)
            .filter(|(_, ids)| !ids.is_empty())
            .collect();
        let text = serde_json::to_vec(&dropped).map_err(|error| io_error("encoding", &path, error.into()))?;
        replace_file(&path, &text).map_err(|source| io_error("writing", &path, source))?;
        state.shed_stored.clone_from(&state.shed);
        Ok(())
    }

    /// Drops the oldest segments of sinks that are further behind than their buffer allows and are
    /// configured to lose records rather than hold up others.
    fn shed(&self) {
        let mut state = self.lock();
        let mut changed = false;
        for (index, sink) in self.sinks.iter().enumerate() {
            let Some(limit) = sink.buffer.max_bytes else { continue };
            if sink.buffer.when_full != BufferFull::DropOldest {
                continue;
            }
            let cursor = state.cursors[index].max(state.taken[index]);
            let waiting: Vec<Arc<Sealed>> = state
                .sealed
                .range(cursor.saturating_add(1)..)
                .filter(|(id, sealed)| {
                    !state.shed[index].contains(id) && portion_of(sealed, &self.takers[index]) > 0
                })
                .map(|(_, sealed)| sealed.clone())
                .collect();
            let mut bytes: u64 = waiting.iter().map(|sealed| sealed.bytes).sum();
            for sealed in waiting {
                if bytes <= limit.bytes() as u64 {
                    break;
                }
                bytes -= sealed.bytes;
                let records = portion_of(&sealed, &self.takers[index]);
                self.metrics.dropped(&sink.name, "buffer_full", records);
                tracing::warn!(sink = sink.name, records, "buffer is full, oldest records dropped");
                state.shed[index].insert(sealed.id);
                changed = true;
            }
        }
        if changed && let Err(error) = self.tidy(&mut state) {
            tracing::warn!(%error, "dropped segments not removed yet");
        }
        self.publish(&state);
    }

    /// True when a sink is further behind than its buffer allows and everybody waits for it.
    fn is_held_up(&self, state: &State) -> bool {
        self.sinks.iter().enumerate().any(|(index, sink)| {
            let blocks = sink.buffer.when_full == BufferFull::Block;
            blocks
                && sink.buffer.max_bytes.is_some_and(|limit| {
                    let waiting = state.sealed.range(state.cursors[index].saturating_add(1)..);
                    let waiting = waiting.filter(|(_, sealed)| portion_of(sealed, &self.takers[index]) > 0);
                    waiting.map(|(_, sealed)| sealed.bytes).sum::<u64>() >= limit.bytes() as u64
                })
        })
    }

    fn store_checkpoint(&self, state: &mut State) -> Result<(), SpoolError> {
        if state.stored_segment < state.durable_segment {
            let path = self.data_dir.join("positions.json");
            Checkpoint::store(&path, state.durable_segment, &state.durable)?;
            state.stored_segment = state.durable_segment;
        }
        Ok(())
    }

    /// True when every sink has every record.
    pub fn is_drained(&self) -> bool {
        let state = self.lock();
        state.open.iter().all(|portion| portion.records == 0)
            && state.sealed.keys().all(|id| state.is_done(*id))
    }

    /// True while a sealed segment waits for a sink.
    pub fn has_backlog(&self) -> bool {
        let state = self.lock();
        state.sealed.keys().any(|id| !state.is_done(*id))
    }

    /// Ends the writing side: sinks get what is left and then `None`.
    fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        let mut result = self.store_checkpoint(&mut state);
        if result.is_err() && state.reserve.release() {
            result = self.store_checkpoint(&mut state);
        }
        if let Err(error) = result {
            tracing::warn!(%error, "checkpoint not stored, the spool keeps the positions");
        }
        drop(state);
        self.sealed.notify_waiters();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn size(state: &State) -> u64 {
        state.open_bytes + state.sealed.values().map(|sealed| sealed.bytes).sum::<u64>()
    }

    fn is_full(&self, state: &State) -> bool {
        Self::size(state) >= self.limits.max_bytes.bytes() as u64 || self.is_held_up(state)
    }

    /// Makes sure that notes will fit before more data is stored.
    fn hold_reserve(&self) -> io::Result<()> {
        self.lock().reserve.hold()
    }

    /// Waits until there may be room again, at most `timeout`.
    fn wait_for_room(&self, timeout: Duration) {
        let state = self.lock();
        if self.is_full(&state) {
            drop(self.room.wait_timeout(state, timeout).unwrap_or_else(PoisonError::into_inner));
        }
    }

    fn drops_when_full(&self) -> bool {
        self.limits.when_full == WhenFull::DropNewest
    }

    /// Brings the gauges up to date.
    fn publish(&self, state: &State) {
        let gauge = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
        self.metrics.spool_bytes.set(gauge(Self::size(state)));
        let open = u64::from(state.open_bytes > 0);
        self.metrics.spool_segments.set(gauge(state.sealed.len() as u64 + open));
        for (index, taker) in self.takers.iter().enumerate() {
            let waiting = state.sealed.range(state.cursors[index].saturating_add(1)..);
            let waiting = waiting.filter(|(id, _)| !state.shed[index].contains(id));
            let (mut records, mut oldest) = (0, None);
            for sealed in waiting.map(|(_, sealed)| sealed) {
                let portion = portion_of(sealed, taker);
                oldest = oldest.or_else(|| (portion > 0).then_some(sealed.since));
                records += portion;
            }
            let open = state.open.iter().filter(|portion| portion.sinks.contains(&taker.sink));
            let open: u64 = open.map(|portion| portion.records).sum();
            oldest = oldest.or_else(|| state.open_since.filter(|_| open > 0));
            let label = SinkLabel { sink: taker.sink.clone() };
            self.metrics.spool_records.get_or_create(&label).set(gauge(records + open));
            self.metrics.set_oldest(&taker.sink, oldest);
        }
    }
}

impl State {
    /// True when no sink needs a segment any more.
    fn is_done(&self, id: u64) -> bool {
        self.cursors.iter().zip(&self.shed).all(|(cursor, shed)| id <= *cursor || shed.contains(&id))
    }
}

/// Says what will be removed because no configured sink takes it.
fn warn_about_orphans(state: &State, takers: &[Taker], metrics: &Metrics) {
    let mut orphans: BTreeMap<String, u64> = BTreeMap::new();
    for sealed in state.sealed.values() {
        for portion in &sealed.portions {
            if !takers.iter().any(|taker| taker.takes_from(&portion.sinks, sealed.id)) {
                *orphans.entry(portion.sinks.join(",")).or_default() += portion.records;
            }
        }
    }
    for (sinks, records) in orphans {
        tracing::error!(sinks, records, "spooled records of sinks that are no longer configured are dropped");
        metrics.dropped(&sinks, "sink_removed", records);
    }
}

fn io_error(action: &'static str, path: &Path, source: io::Error) -> SpoolError {
    SpoolError::Io { action, path: path.to_owned(), source }
}

fn lock(data_dir: &Path) -> Result<File, SpoolError> {
    use rustix::fs::{FlockOperation, flock};
    let path = data_dir.join("lock");
    let file = File::create(&path).map_err(|source| io_error("creating", &path, source))?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(SpoolError::Locked { path: data_dir.to_owned() }),
        Err(error) => Err(io_error("locking", &path, error.into())),
    }
}

fn load_cursors(path: &Path) -> Result<BTreeMap<String, u64>, SpoolError> {
    match fs::read(path) {
        Ok(text) => Ok(serde_json::from_slice(&text).unwrap_or_else(|error| {
            tracing::error!(path = %path.display(), %error, "sink cursors are damaged, segments are delivered again");
            BTreeMap::new()
        })),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(BTreeMap::new()),
        Err(source) => Err(io_error("reading", path, source)),
    }
}

/// Segments each sink will never get. A note that is gone or damaged only means that they are
/// offered again.
fn load_dropped(path: &Path) -> Result<BTreeMap<String, BTreeSet<u64>>, SpoolError> {
    match fs::read(path) {
        Ok(text) => Ok(serde_json::from_slice(&text).unwrap_or_else(|error| {
            tracing::error!(path = %path.display(), %error, "note of dropped segments is damaged, they are offered again");
            BTreeMap::new()
        })),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(BTreeMap::new()),
        Err(source) => Err(io_error("reading", path, source)),
    }
}

/// All segment files, in order of their numbers.
fn segment_files(dir: &Path) -> Result<BTreeMap<u64, PathBuf>, SpoolError> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(dir).map_err(|source| io_error("listing", dir, source))? {
        let path = entry.map_err(|source| io_error("listing", dir, source))?.path();
        let ending = path.extension().and_then(|ending| ending.to_str());
        let number = path.file_stem().and_then(|stem| u64::from_str_radix(stem.to_str()?, 16).ok());
        if let (Some(number), Some("open" | "seg")) = (number, ending) {
            files.insert(number, path);
        }
    }
    Ok(files)
}

/// Checks a segment of a previous run, cuts off a torn tail and seals it if it was still open.
/// `None` instead of a segment when it held nothing and was removed.
fn recover(id: u64, path: PathBuf, metrics: &Metrics) -> Result<(Option<Sealed>, Segment), SpoolError> {
    let segment = Segment::read(&path).map_err(|source| io_error("reading", &path, source))?;
    metrics.spool_torn_bytes.inc_by(segment.torn());
    metrics.spool_damaged_frames.inc_by(u64::from(segment.damaged));
    if segment.torn() > 0 || segment.damaged > 0 {
        tracing::warn!(path = %path.display(), bytes = segment.torn(), frames = segment.damaged,
            "segment is incomplete, keeping its whole frames");
    }
    if segment.frames.is_empty() {
        fs::remove_file(&path).map_err(|source| io_error("removing", &path, source))?;
        return Ok((None, segment));
    }
    let file =
        File::options().write(true).open(&path).map_err(|source| io_error("opening", &path, source))?;
    let metadata = file.metadata().map_err(|source| io_error("reading", &path, source))?;
    // The time of the last write tells how old its records are, so nothing is cut without need.
    let since = metadata.modified().unwrap_or_else(|_| SystemTime::now());
    if metadata.len() != segment.end {
        file.set_len(segment.end).map_err(|source| io_error("cutting", &path, source))?;
    }
    file.sync_all().map_err(|source| io_error("syncing", &path, source))?;
    let sealed_path = path.with_extension("seg");
    if path != sealed_path {
        fs::rename(&path, &sealed_path).map_err(|source| io_error("sealing", &path, source))?;
    }
    let (mut digest, mut portions) = (Digest::default(), Vec::new());
    for frame in &segment.frames {
        digest.update(&frame.footer);
        frame.footer.sections.iter().for_each(|section| count(&mut portions, section));
    }
    let time = segment.frames.iter().map(|frame| frame.footer.time.as_str()).find(|time| !time.is_empty());
    let date = utc_date(time.unwrap_or_default());
    let sealed = Sealed { id, path: sealed_path, bytes: segment.end, portions, date, digest, since };
    Ok((Some(sealed), segment))
}

/// UTC date `YYYY-MM-DD` of an RFC 3339 time; the epoch's when it is none.
fn utc_date(time: &str) -> String {
    chrono::DateTime::parse_from_rfc3339(time)
        .map_or_else(|_| "1970-01-01".to_owned(), |time| time.to_utc().format("%Y-%m-%d").to_string())
}

#[cfg(test)]
mod tests;
