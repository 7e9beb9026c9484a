//! The writing side of the spool: one thread that turns batches into frames and seals segments.

use super::{Portion, Sealed, Spool, count, utc_date};
use crate::batch::Batch;
use crate::metrics::{ComponentKind, SinkLabel};
use crate::position::sync_directory;
use crate::segment::{Digest, Footer, Section, encode};
use crate::sinks::landing::Renderer;
use crate::topology::Progress;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender};
use std::time::{Duration, Instant, SystemTime};
use tokio_util::sync::CancellationToken;

/// How long the writer waits for work before it looks at its timers.
const TICK: Duration = Duration::from_millis(50);

/// Pause between attempts while the disk refuses writes.
const RETRY: Duration = Duration::from_secs(1);

/// Everything the writer is connected to.
pub struct Wiring {
    /// Batches to store; the writer ends when all senders are gone.
    pub input: Receiver<Batch>,
    /// Emptied batches go back to the source.
    pub empty: SyncSender<Batch>,
    /// Set when the collector shuts down: waiting for room is then pointless.
    pub stop: CancellationToken,
    /// Signs of life.
    pub progress: Arc<Progress>,
    /// Buffers of a batch larger than this are not kept.
    pub keep_bytes: usize,
}

/// Stores batches until the input closes, then seals and closes the spool. Blocking.
///
/// # Errors
/// When zstd can't be set up.
pub fn run(spool: Arc<Spool>, wiring: Wiring) -> io::Result<()> {
    let mut writer = Writer::new(spool)?;
    loop {
        wiring.progress.beat();
        match wiring.input.recv_timeout(TICK) {
            Ok(mut batch) => {
                wiring.progress.set_idle(false);
                if !writer.store(&mut batch, &wiring) {
                    tracing::info!("spool is full at shutdown, the rest is read again next time");
                    break;
                }
                batch.clear(wiring.keep_bytes);
                // A full return channel only means one buffer less to reuse.
                drop(wiring.empty.try_send(batch));
            }
            Err(RecvTimeoutError::Timeout) => wiring.progress.set_idle(true),
            Err(RecvTimeoutError::Disconnected) => break,
        }
        writer.timers();
    }
    while writer.open.as_ref().is_some_and(|open| open.frames > 0) {
        if let Err(error) = writer.seal() {
            tracing::error!(%error, "open segment not sealed, the next start recovers it");
            break;
        }
    }
    writer.spool.close();
    Ok(())
}

/// The segment being written.
struct Open {
    id: u64,
    path: PathBuf,
    file: File,
    bytes: u64,
    frames: u64,
    portions: Vec<Portion>,
    first: Instant,
    since: SystemTime,
    synced: Instant,
    dirty: bool,
    digest: Digest,
    time: String,
    advances: Vec<crate::position::Advance>,
}

/// The writing side of a spool.
pub(crate) struct Writer {
    spool: Arc<Spool>,
    /// One per lane.
    renderers: Vec<Renderer>,
    open: Option<Open>,
    payload: Vec<u8>,
    frame: Vec<u8>,
    /// A write failed midway: cut back before anything else.
    torn: bool,
}

impl Writer {
    pub(crate) fn new(spool: Arc<Spool>) -> io::Result<Self> {
        let renderer = |_| Renderer::new(spool.limits.compression);
        let renderers = spool.lanes.iter().map(renderer).collect::<io::Result<_>>()?;
        Ok(Self { renderers, spool, open: None, payload: Vec::new(), frame: Vec::new(), torn: false })
    }

    /// Stores a batch; waits for room or for the disk as long as it takes. False when the batch
    /// was not stored because the collector is shutting down.
    pub(crate) fn store(&mut self, batch: &mut Batch, wiring: &Wiring) -> bool {
        let metrics = self.spool.metrics.clone();
        let mut failing = false;
        loop {
            wiring.progress.beat();
            let full = self.spool.is_full(&self.spool.lock());
            if !failing {
                metrics.spool_full.set(i64::from(full));
                wiring.progress.set_ready(!full);
            }
            let drop_records = full && self.spool.drops_when_full();
            if full && !drop_records {
                if wiring.stop.is_cancelled() {
                    return false;
                }
                // What is in the open segment must reach the sinks, or there is never room.
                if let Err(error) = self.seal() {
                    tracing::warn!(%error, "segment not sealed");
                }
                self.spool.wait_for_room(TICK);
                continue;
            }
            match self.append(batch, drop_records) {
                Ok(()) => {
                    for (lane, records) in self.spool.lanes.iter().zip(&batch.lanes) {
                        for sink in &lane.sinks {
                            let label = SinkLabel { sink: sink.clone() };
                            let records = records.len() as u64;
                            metrics.sink_received_records.get_or_create(&label).inc_by(records);
                            metrics.component_received(ComponentKind::Sink, sink, records, 0);
                            if drop_records && records > 0 {
                                metrics.dropped(sink, "spool_full", records);
                            }
                        }
                    }
                    if drop_records {
                        // Untold, so that nobody takes for stored what is gone.
                        batch.receipts.clear();
                    } else {
                        self.receipts(batch);
                    }
                    if failing {
                        tracing::info!("spool can be written again");
                        metrics.spool_full.set(0);
                        wiring.progress.set_ready(true);
                    }
                    metrics.batch_queued_bytes.dec_by(i64::try_from(batch.raw_bytes).unwrap_or(i64::MAX));
                    return true;
                }
                Err(error) => {
                    metrics.spool_errors.inc();
                    if !std::mem::replace(&mut failing, true) {
                        tracing::error!(path = %self.spool.data_dir.display(), %error,
                            "spool can't be written, trying again until it can");
                    }
                    metrics.spool_full.set(1);
                    wiring.progress.set_ready(false);
                    if wiring.stop.is_cancelled() {
                        return false;
                    }
                    self.pause(wiring);
                }
            }
        }
    }

    /// Tells who waits for a batch that it is durable. One that can't be synced is left untold: its
    /// sender will send again.
    fn receipts(&mut self, batch: &mut Batch) {
        if batch.receipts.is_empty() {
            return;
        }
        let Some(open) = &mut self.open else { return };
        match open.file.sync_data() {
            Ok(()) => {
                open.dirty = false;
                open.synced = Instant::now();
                // Nobody waits any more when the connection is gone.
                for receipt in batch.receipts.drain(..) {
                    let _ = receipt.send(());
                }
            }
            Err(error) => tracing::warn!(%error, "batch stored but not synced, its senders will repeat it"),
        }
    }

    /// Waits between attempts in short steps, staying alive for the health check.
    fn pause(&self, wiring: &Wiring) {
        let until = Instant::now() + RETRY;
        while Instant::now() < until && !wiring.stop.is_cancelled() {
            wiring.progress.beat();
            std::thread::park_timeout(TICK);
        }
    }

    /// After a failed write: cuts the segment back to its last whole frame and seals it, so that
    /// sinks can take it and make room.
    fn roll_back(&mut self) -> io::Result<()> {
        let Some(open) = &mut self.open else { return Ok(()) };
        open.file.set_len(open.bytes)?;
        io::Seek::seek(&mut open.file, io::SeekFrom::Start(open.bytes))?;
        if open.frames == 0 {
            self.renderers.iter_mut().for_each(Renderer::reset);
            return Ok(());
        }
        self.seal()
    }

    fn append(&mut self, batch: &Batch, drop_records: bool) -> io::Result<()> {
        if drop_records && batch.advances.is_empty() {
            // Neither records nor positions: a frame would only take room that there is not.
            return Ok(());
        }
        if self.torn {
            self.roll_back()?;
            self.torn = false;
        }
        self.spool.hold_reserve()?;
        if self.open.as_ref().is_some_and(|open| open.bytes >= self.spool.limits.segment_bytes.bytes() as u64)
        {
            self.seal()?;
        }
        if self.open.is_none() {
            self.open = Some(self.create()?);
            self.renderers.iter_mut().for_each(Renderer::reset);
        }
        let mut footer = Footer { advances: batch.advances.clone(), ..Footer::default() };
        self.payload.clear();
        let mut count_all = 0;
        if !drop_records {
            let lanes = self.spool.lanes.iter().zip(&batch.lanes).zip(&mut self.renderers);
            for ((lane, records), renderer) in lanes.filter(|((_, records), _)| !records.is_empty()) {
                if footer.time.is_empty() {
                    let time = records.first().map(|record| batch.bytes(record.time));
                    footer.time = String::from_utf8_lossy(time.unwrap_or_default()).into_owned();
                }
                let rendered = renderer.render(batch, records)?;
                self.payload.extend_from_slice(rendered);
                let size = |n: usize| u32::try_from(n).map_err(io::Error::other);
                footer.sections.push(Section {
                    lane: lane.id.clone(),
                    sinks: lane.sinks.clone(),
                    len: size(rendered.len())?,
                    records: size(records.len())?,
                });
                count_all += size(records.len())?;
            }
        }
        if footer.advances.is_empty() && !self.payload.is_empty() {
            footer.content = format!("{:032x}", twox_hash::XxHash3_128::oneshot(&self.payload));
        }
        self.frame.clear();
        encode(&mut self.frame, &self.payload, &footer, count_all, batch.raw_bytes)?;
        let Some(open) = &mut self.open else { return Ok(()) };
        self.torn = true;
        open.file.write_all(&self.frame)?;
        self.torn = false;
        open.bytes += self.frame.len() as u64;
        open.frames += 1;
        footer.sections.iter().for_each(|section| count(&mut open.portions, section));
        open.dirty = true;
        open.digest.update(&footer);
        if open.time.is_empty() {
            open.time = footer.time;
        }
        open.advances.extend(footer.advances);
        self.spool.metrics.spool_written_bytes.inc_by(self.frame.len() as u64);
        let mut state = self.spool.lock();
        state.open_bytes = open.bytes;
        state.open.clone_from(&open.portions);
        state.open_since = Some(open.since);
        self.spool.publish(&state);
        Ok(())
    }

    fn create(&self) -> io::Result<Open> {
        let id = {
            let state = self.spool.lock();
            state.sealed.last_key_value().map_or(0, |(id, _)| *id).max(state.durable_segment) + 1
        };
        let path = self.spool.data_dir.join("spool").join(format!("{id:016x}.open"));
        let file = File::create(&path)?;
        let now = Instant::now();
        Ok(Open {
            id,
            path,
            file,
            bytes: 0,
            frames: 0,
            portions: Vec::new(),
            first: now,
            since: SystemTime::now(),
            synced: now,
            dirty: false,
            digest: Digest::default(),
            time: String::new(),
            advances: Vec::new(),
        })
    }

    /// Syncs and seals by age. Errors are met again, and handled, by the next append.
    fn timers(&mut self) {
        let limits = &self.spool.limits;
        let Some(open) = &mut self.open else { return };
        let result = if open.frames > 0 && open.first.elapsed() >= limits.segment_age.duration() {
            self.seal()
        } else if open.dirty && open.synced.elapsed() >= limits.fsync_interval.duration() {
            open.dirty = false;
            open.synced = Instant::now();
            open.file.sync_data()
        } else {
            Ok(())
        };
        if let Err(error) = result {
            self.spool.metrics.spool_errors.inc();
            tracing::warn!(%error, "spool not synced");
        }
    }

    /// Syncs the open segment, renames it and offers it to the sinks.
    pub(crate) fn seal(&mut self) -> io::Result<()> {
        let Some(open) = self.open.as_mut().filter(|open| open.frames > 0) else { return Ok(()) };
        if self.torn {
            open.file.set_len(open.bytes)?;
        }
        open.file.sync_all()?;
        self.torn = false;
        let path = open.path.with_extension("seg");
        fs::rename(&open.path, &path)?;
        open.path.clone_from(&path);
        sync_directory(&self.spool.data_dir.join("spool"))?;
        let Some(open) = self.open.take() else { return Ok(()) };
        self.renderers.iter_mut().for_each(Renderer::reset);
        let sealed = Sealed {
            id: open.id,
            path,
            bytes: open.bytes,
            portions: open.portions,
            date: utc_date(&open.time),
            digest: open.digest,
            since: open.since,
        };
        tracing::debug!(key = sealed.id, records = sealed.records(), bytes = sealed.bytes, "segment sealed");
        let mut state = self.spool.lock();
        for advance in &open.advances {
            state.durable.apply(advance);
        }
        state.durable_segment = open.id;
        state.open_bytes = 0;
        state.open.clear();
        state.open_since = None;
        state.sealed.insert(open.id, Arc::new(sealed));
        self.spool.publish(&state);
        drop(state);
        self.spool.shed();
        self.spool.sealed.notify_waiters();
        Ok(())
    }
}
