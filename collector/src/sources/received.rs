//! Records that clients push: the way from listeners on the runtime to the source's thread, and the
//! word back that they are durable.
//!
//! ```text
//! connection ── Push ──▶ queue of QUEUE_PUSHES ──▶ source thread ── Batch with receipts ──▶ spool
//!     ▲────────────────────────────── receipt: the frame is synced ─────────────────────────┘
//! ```
//!
//! Promises: [`Intake::deliver`] says yes only after the spool synced what it was given; pushes that
//! wait at the same time share one sync. What all clients together have under way is bounded by
//! [`IN_FLIGHT_BYTES`], less when memory is short ([`crate::memory`]); beyond it they are refused.
//!
//! A client that got no answer sends again. A push therefore names its streams by what it holds, so
//! that the repeated one has the same identities and changes nothing downstream.

use super::Wiring;
use crate::batch::{Batch, Cut, Encoding, Record, Span};
use crate::extra::Extra;
use crate::metrics::Metrics;
use crate::stream::Stream;
use logq_schemas::landing;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio_util::sync::CancellationToken;

/// Pushes between the listeners and the source's thread: enough to share one sync, few enough to
/// be limited by bytes first.
const QUEUE_PUSHES: usize = 64;

/// Most bytes of pushes that wait to be durable: four requests of the largest default size.
pub const IN_FLIGHT_BYTES: usize = 64 * 1024 * 1024;

/// Most bytes of requests that arrive and are not decoded yet, over all connections of a source.
pub const ARRIVING_BYTES: usize = 64 * 1024 * 1024;

/// Longest wait for the spool: below the time after which exporters give up on their own.
const DURABLE_WITHIN: Duration = Duration::from_secs(8);

/// How long the source's thread waits for a push before it shows life.
const TICK: Duration = Duration::from_millis(100);

/// Time for requests that are under way when the collector stops.
const DRAIN: Duration = Duration::from_secs(5);

/// One record as a client sent it.
#[derive(Debug, Default)]
pub struct Pushed {
    /// Index into [`Push::streams`].
    pub stream: usize,
    /// Its number within the stream.
    pub offset: u64,
    /// RFC 3339.
    pub time: String,
    /// The body.
    pub body: Vec<u8>,
    /// What came beside the body.
    pub extra: Extra,
}

/// What one request holds.
#[derive(Debug, Default)]
pub struct Push {
    /// Where its records come from.
    pub streams: Vec<landing::Stream>,
    /// The records.
    pub records: Vec<Pushed>,
    /// Size of the request, uncompressed.
    pub bytes: usize,
}

impl Push {
    /// Adds what another push holds.
    pub fn append(&mut self, other: Self) {
        let first = self.streams.len();
        self.streams.extend(other.streams);
        let moved = |pushed: Pushed| Pushed { stream: first + pushed.stream, ..pushed };
        self.records.extend(other.records.into_iter().map(moved));
        self.bytes += other.bytes;
    }

    /// What it takes of the memory there is, roughly.
    fn weight(&self, most: usize) -> u32 {
        let bytes = self.records.len().saturating_mul(size_of::<Pushed>()).saturating_add(self.bytes);
        u32::try_from(bytes.clamp(1, most.max(1))).unwrap_or(u32::MAX)
    }
}

/// Why a push was not taken; the client is to send it again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Too much waits already, or the spool takes too long.
    #[error("the spool is behind, send again later")]
    Full,
    /// The spool took it and did not keep it: it drops what is new while it is full, or could not
    /// be synced.
    #[error("the spool could not keep it, send again later")]
    NotStored,
    /// The collector stops.
    #[error("the collector stops, send again")]
    Stopping,
}

impl Refused {
    fn reason(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::NotStored => "not_stored",
            Self::Stopping => "stopping",
        }
    }
}

/// The entrance for connections.
#[derive(Debug, Clone)]
pub struct Intake {
    name: Arc<str>,
    sender: mpsc::Sender<(Push, oneshot::Sender<()>)>,
    budget: Arc<Semaphore>,
    arriving: Arc<Semaphore>,
    stop: CancellationToken,
    most: usize,
    metrics: Arc<Metrics>,
}

impl Intake {
    /// The entrance and the end that [`receive`] takes; at most so many bytes are under way.
    pub fn new(
        source: &str,
        most: usize,
        stop: CancellationToken,
        metrics: Arc<Metrics>,
    ) -> (Self, Arrivals) {
        let (sender, arrivals) = mpsc::channel(QUEUE_PUSHES);
        let budget = Arc::new(Semaphore::new(most));
        let arriving = Arc::new(Semaphore::new(ARRIVING_BYTES.min(most)));
        let name = source.into();
        (Self { name, sender, budget, arriving, stop, most, metrics }, Arrivals(arrivals))
    }

    /// Hands over a push and waits until it is durable. Dropping the future gives up the answer, not
    /// necessarily the push.
    ///
    /// # Errors
    /// When it is not durable, as far as is known.
    pub async fn deliver(&self, push: Push) -> Result<(), Refused> {
        let wait = async {
            let held = self.budget.try_acquire_many(push.weight(self.most)).map_err(|_| Refused::Full)?;
            self.store(push).await.inspect(|()| drop(held))
        };
        self.counted(tokio::time::timeout(DURABLE_WITHIN, wait).await.unwrap_or(Err(Refused::Full)))
    }

    /// As [`Intake::deliver`], for a client that can't send again: waits for as long as it takes.
    ///
    /// # Errors
    /// When the spool did not keep it or the collector stops.
    pub async fn deliver_in_time(&self, push: Push) -> Result<(), Refused> {
        let held = self.budget.acquire_many(push.weight(self.most)).await.map_err(|_| Refused::Stopping);
        let stored = match held {
            Ok(_held) => self.store(push).await,
            Err(refused) => Err(refused),
        };
        self.counted(stored)
    }

    /// Room for as many bytes of a request that arrives, which is given back when dropped.
    ///
    /// # Errors
    /// When there is none for too long.
    #[cfg(feature = "forward")]
    pub async fn room(&self, bytes: usize) -> Result<tokio::sync::OwnedSemaphorePermit, Refused> {
        let bytes = u32::try_from(bytes.min(ARRIVING_BYTES.min(self.most))).unwrap_or(u32::MAX);
        let wait = self.arriving.clone().acquire_many_owned(bytes);
        let room = tokio::time::timeout(DURABLE_WITHIN, wait).await;
        room.ok().and_then(Result::ok).ok_or(Refused::Full).inspect_err(|full| self.refuse(full.reason()))
    }

    /// Room for as many bytes if there is any at once.
    pub fn try_room(&self, bytes: usize) -> Option<tokio::sync::OwnedSemaphorePermit> {
        self.arriving.clone().try_acquire_many_owned(u32::try_from(bytes).ok()?).ok()
    }

    /// Counts a request that was answered with a refusal.
    pub fn refuse(&self, reason: &'static str) {
        self.metrics.refused(&self.name, reason);
    }

    /// Name of the source.
    pub fn name(&self) -> &str {
        &self.name
    }

    async fn store(&self, push: Push) -> Result<(), Refused> {
        if push.records.is_empty() {
            return Ok(());
        }
        let (receipt, durable) = oneshot::channel();
        self.sender.send((push, receipt)).await.map_err(|_| Refused::Stopping)?;
        durable.await.map_err(|_| match self.stop.is_cancelled() {
            true => Refused::Stopping,
            false => Refused::NotStored,
        })
    }

    fn counted(&self, stored: Result<(), Refused>) -> Result<(), Refused> {
        match stored {
            Ok(()) => self.metrics.received(&self.name),
            Err(refused) => self.refuse(refused.reason()),
        }
        stored
    }
}

/// Where pushes arrive.
#[derive(Debug)]
pub struct Arrivals(mpsc::Receiver<(Push, oneshot::Sender<()>)>);

#[cfg(test)]
impl Arrivals {
    /// The next push, and who waits for it.
    pub async fn next(&mut self) -> Option<(Push, oneshot::Sender<()>)> {
        self.0.recv().await
    }
}

/// Moves pushes to the spool until every [`Intake`] is gone, or the collector stops and what was
/// under way had its time. Blocking.
pub fn receive(wiring: &Wiring, arrivals: Arrivals) {
    let Arrivals(mut arrivals) = arrivals;
    let mut stopping: Option<Instant> = None;
    loop {
        wiring.progress.beat();
        if wiring.stop.is_cancelled() && stopping.get_or_insert_with(Instant::now).elapsed() > DRAIN {
            return;
        }
        let next = async { tokio::time::timeout(TICK, arrivals.recv()).await };
        let (push, receipt) = match wiring.runtime.block_on(next) {
            Ok(Some(arrived)) => arrived,
            Ok(None) => return,
            Err(_) => {
                wiring.progress.set_idle(true);
                continue;
            }
        };
        wiring.progress.set_idle(false);
        let mut batch = wiring.empty.try_recv().unwrap_or_default();
        add(&mut batch, push, receipt);
        while batch.raw_bytes < wiring.limits.max_bytes.bytes() as u64 {
            let Ok((push, receipt)) = arrivals.try_recv() else { break };
            add(&mut batch, push, receipt);
        }
        wiring.metrics.source_records.inc_by(batch.records.len() as u64);
        wiring.metrics.source_read_bytes.inc_by(batch.raw_bytes);
        wiring.metrics.batch_queued_bytes.inc_by(i64::try_from(batch.raw_bytes).unwrap_or(i64::MAX));
        wiring.progress.set_waiting(true);
        let sent = wiring.output.send(batch);
        wiring.progress.set_waiting(false);
        if sent.is_err() {
            return;
        }
    }
}

fn add(batch: &mut Batch, push: Push, receipt: oneshot::Sender<()>) {
    let first = u32::try_from(batch.streams.len()).unwrap_or(u32::MAX);
    batch.streams.extend(push.streams.into_iter().map(|about| Arc::new(Stream::new(about))));
    for pushed in push.records {
        let time = batch.push(pushed.time.as_bytes());
        let body = batch.push(&pushed.body);
        let stream = first + u32::try_from(pushed.stream).unwrap_or(u32::MAX - first);
        let mut record = Record {
            stream,
            encoding: Encoding::Unchecked,
            cut: Cut::No,
            offset: pushed.offset,
            time,
            body,
            extra: Span::default(),
        };
        pushed.extra.store(batch, &mut record);
        batch.records.push(record);
    }
    batch.raw_bytes += push.bytes as u64;
    batch.receipts.push(receipt);
}

/// Nanoseconds since 1970 as RFC 3339; the present when there are none.
pub fn time_of(nanoseconds: u64) -> String {
    let given = i64::try_from(nanoseconds).ok().filter(|n| *n > 0);
    let time = given.map_or_else(chrono::Utc::now, chrono::DateTime::from_timestamp_nanos);
    time.to_rfc3339_opts(chrono::SecondsFormat::Nanos, true)
}

/// 128-bit identity over parts, none of which can run into the next.
pub fn identity(parts: &[&[u8]]) -> String {
    let mut hasher = twox_hash::xxhash3_128::Hasher::new();
    for part in parts {
        hasher.write(&(part.len() as u64).to_le_bytes());
        hasher.write(part);
    }
    format!("{:032x}", hasher.finish_128())
}
