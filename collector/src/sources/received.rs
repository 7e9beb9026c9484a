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

/// Pushes between the listeners and the source's thread: enough to share one sync, few enough to
/// be limited by bytes first.
const QUEUE_PUSHES: usize = 64;

/// Most bytes of pushes that wait to be durable: four requests of the largest default size.
pub const IN_FLIGHT_BYTES: usize = 64 * 1024 * 1024;

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

/// Why a push was not taken; the client is to send it again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Too much waits already, or the spool takes too long.
    #[error("the spool is behind, send again later")]
    Full,
    /// The collector stops.
    #[error("the collector stops, send again")]
    Stopping,
}

impl Refused {
    fn reason(self) -> &'static str {
        match self {
            Self::Full => "full",
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
    most: usize,
    metrics: Arc<Metrics>,
}

impl Intake {
    /// The entrance and the end that [`receive`] takes.
    pub fn new(wiring: &Wiring) -> (Self, Arrivals) {
        let (sender, arrivals) = mpsc::channel(QUEUE_PUSHES);
        let most = wiring.memory.pushed;
        let budget = Arc::new(Semaphore::new(most));
        let name = wiring.name.as_str().into();
        (Self { name, sender, budget, most, metrics: wiring.metrics.clone() }, Arrivals(arrivals))
    }

    /// Hands over a push and waits until it is durable. Dropping the future gives up the answer, not
    /// necessarily the push.
    ///
    /// # Errors
    /// When it is not durable, as far as is known.
    pub async fn deliver(&self, push: Push) -> Result<(), Refused> {
        let result = self.try_deliver(push).await;
        match result {
            Ok(()) => self.metrics.received(&self.name),
            Err(refused) => self.refuse(refused.reason()),
        }
        result
    }

    /// Counts a request that was answered with a refusal.
    pub fn refuse(&self, reason: &'static str) {
        self.metrics.refused(&self.name, reason);
    }

    /// Name of the source.
    pub fn name(&self) -> &str {
        &self.name
    }

    async fn try_deliver(&self, push: Push) -> Result<(), Refused> {
        if push.records.is_empty() {
            return Ok(());
        }
        let bytes = u32::try_from(push.bytes.clamp(1, self.most)).unwrap_or(u32::MAX);
        let _held = self.budget.try_acquire_many(bytes).map_err(|_| Refused::Full)?;
        let (receipt, durable) = oneshot::channel();
        let wait = async {
            self.sender.send((push, receipt)).await.map_err(|_| Refused::Stopping)?;
            durable.await.map_err(|_| Refused::Stopping)
        };
        tokio::time::timeout(DURABLE_WITHIN, wait).await.unwrap_or(Err(Refused::Full))
    }
}

/// Where pushes arrive.
#[derive(Debug)]
pub struct Arrivals(mpsc::Receiver<(Push, oneshot::Sender<()>)>);

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
