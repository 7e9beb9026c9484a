//! Sinks: where records go.
//!
//! Each sink is one task that takes sealed segments, delivers what each holds for it and
//! acknowledges them in order. A delivery is repeated until it succeeds, with exponential back-off
//! and full jitter; meanwhile the spool grows and other sinks go on. Only when the disk damaged a
//! frame between writing and delivery, or when the other end refuses a record for good, does a
//! record not arrive, and then it is counted.

pub mod adaptive;
pub mod aws;
pub mod aws_cloudwatch_logs;
pub mod aws_s3;
pub mod blackhole;
pub mod console;
pub mod delivery;
#[cfg(any(feature = "http", feature = "otlp"))]
pub mod endpoint;
pub mod file;
#[cfg(feature = "http")]
pub mod http;
pub mod landing;
#[cfg(feature = "otlp")]
pub mod otlp;
#[cfg(any(feature = "http", feature = "otlp"))]
pub mod parcel;
pub mod rejected;
#[cfg(any(feature = "http", feature = "otlp"))]
pub mod resource;
#[cfg(any(feature = "http", feature = "otlp"))]
pub mod shipper;

use crate::config::component::{Described, Kind, Problem, Settings, read_settings};
use crate::config::{Backoff, Config};
use crate::memory::room::Held;
use crate::memory::{Room, Takes};
use crate::metrics::{ComponentKind, Metrics, SinkLabel};
use crate::spool::{Sealed, Spool};
use crate::topology::Progress;
use adaptive::Adaptive;
use async_trait::async_trait;
use futures::StreamExt as _;
use futures::stream::FuturesOrdered;
use rejected::Rejected;
use std::collections::hash_map::RandomState;
use std::error::Error as StdError;
use std::fmt::Debug;
use std::future::Future;
use std::hash::BuildHasher;
use std::io;
use std::sync::Arc;
use std::time::Duration;

pub use delivery::{Delivery, Event, Object};

/// Every kind of sink.
pub const KINDS: &[Kind<dyn SinkConfig>] = &[
    kind::<aws_s3::AwsS3Settings>(),
    kind::<aws_cloudwatch_logs::CloudwatchSettings>(),
    #[cfg(feature = "http")]
    kind::<http::HttpSettings>(),
    #[cfg(feature = "otlp")]
    kind::<otlp::OtlpSettings>(),
    kind::<file::FileSettings>(),
    kind::<console::ConsoleSettings>(),
    kind::<blackhole::BlackholeSettings>(),
];

/// An entry of [`KINDS`].
const fn kind<S: Settings + SinkConfig>() -> Kind<dyn SinkConfig> {
    Kind {
        name: S::KIND,
        about: S::ABOUT,
        options: S::options,
        read: |key, table| Ok(read_settings::<S>(key, table)?),
    }
}

/// Settings of a sink.
#[async_trait]
pub trait SinkConfig: Described {
    /// Key and value of what no two sinks may share: a directory, a bucket with prefix.
    fn exclusive(&self) -> Option<(&'static str, String)> {
        None
    }

    /// Checks against the rest of the configuration; `key` is the path of the sink.
    ///
    /// # Errors
    /// Names the key that can't work.
    fn check_with(&self, key: &str, config: &Config) -> Result<(), Problem> {
        let _ = (key, config);
        Ok(())
    }

    /// What one delivery takes of the memory. A buffer or two unless the sink holds records.
    fn memory(&self, config: &Config) -> Takes {
        let _ = config;
        Takes { frames: 0, bytes: 256 * 1024, key: "type" }
    }

    /// Sets the sink up. Does not talk to the other end: one that is away at start must not keep
    /// the node's logs from being spooled.
    ///
    /// # Errors
    /// When the settings can't work on this machine.
    async fn connect(&self, name: &str) -> Result<Box<dyn Sink>, SetupError>;
}

/// A connected sink.
#[async_trait]
pub trait Sink: Send + Sync + Debug {
    /// Delivers everything a segment holds for this sink; returns once it is durable at the other
    /// end. Never gives up on a failure that may pass: requests go through [`Context::retry`]. What
    /// is refused for good goes to [`Context::reject`].
    ///
    /// Cancel-safe in the sense of at-least-once: a delivery that was cut off is repeated.
    async fn deliver(&self, delivery: &Delivery, cx: &Context) -> Delivered;

    /// Requests that may be in flight at the same time.
    fn concurrency(&self) -> usize {
        1
    }

    /// Segments that may be delivered at the same time; one where order matters.
    fn segments(&self) -> usize {
        self.concurrency()
    }
}

/// Why a sink can't be set up.
#[derive(Debug, thiserror::Error)]
#[error("sinks.{name}: {what}")]
pub struct SetupError {
    /// Name of the sink.
    pub name: String,
    /// What failed.
    pub what: &'static str,
    /// Why.
    #[source]
    pub source: Box<dyn StdError + Send + Sync>,
}

/// Why one attempt failed.
#[derive(Debug, thiserror::Error)]
pub enum DeliveryError {
    /// A local file can't be read or written.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The other end failed or did not understand; worth another attempt.
    #[error("{0}")]
    Service(#[source] Box<dyn StdError + Send + Sync>),
    /// The other end asks for less.
    #[error("throttled: {0}")]
    Throttled(#[source] Box<dyn StdError + Send + Sync>),
    /// The other end fails or asks for less, and says when to come back.
    #[error("asked to wait {after:?}: {source}")]
    Later {
        /// The pause it asks for.
        after: Duration,
        /// What it said.
        source: Box<dyn StdError + Send + Sync>,
    },
    /// No answer in time.
    #[error("no answer within {0:?}")]
    Timeout(Duration),
    /// The other end refuses this very content; another attempt is pointless.
    #[error("refused: {0}")]
    Refused(#[source] Box<dyn StdError + Send + Sync>),
}

impl From<tokio::task::JoinError> for DeliveryError {
    fn from(error: tokio::task::JoinError) -> Self {
        Self::Io(io::Error::other(error))
    }
}

/// What a delivery brought to the other end.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Delivered {
    /// Records that arrived.
    pub records: u64,
    /// Bytes sent for them.
    pub bytes: u64,
    /// Objects or requests they took.
    pub objects: u64,
    /// Records that were refused and handed to [`Context::reject`].
    pub rejected: u64,
}

impl Delivered {
    /// One whole object arrived.
    pub fn object(object: &Object) -> Self {
        Self { records: object.records, bytes: object.len, objects: 1, rejected: 0 }
    }

    /// Takes in what another request brought.
    pub fn add(&mut self, other: Self) {
        self.records += other.records;
        self.bytes += other.bytes;
        self.objects += other.objects;
        self.rejected += other.rejected;
    }
}

/// What a sink's task is connected to.
#[derive(Debug)]
pub struct Wiring {
    /// Number of the sink in the spool.
    pub index: usize,
    /// Its name.
    pub name: String,
    /// Written into headers and keys.
    pub cluster: String,
    /// Written into headers and keys.
    pub node: String,
    /// Where segments come from.
    pub spool: Arc<Spool>,
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// Signs of life.
    pub progress: Arc<Progress>,
    /// Where its deliveries take their memory.
    pub room: Arc<Room>,
}

/// What a delivery may use: retries, counters, the place for rejected records.
#[derive(Debug)]
pub struct Context {
    /// Name of the sink.
    pub name: String,
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// Signs of life.
    pub progress: Arc<Progress>,
    /// How many requests may be in flight.
    pub adaptive: Adaptive,
    rejected: Rejected,
    room: Arc<Room>,
    label: SinkLabel,
}

impl Context {
    /// A context for the named sink; `data_dir` is where rejected records are kept.
    pub fn new(
        name: &str,
        data_dir: &std::path::Path,
        concurrency: usize,
        metrics: Arc<Metrics>,
        progress: Arc<Progress>,
    ) -> Self {
        Self {
            name: name.to_owned(),
            metrics,
            progress,
            adaptive: Adaptive::new(concurrency),
            rejected: Rejected::new(data_dir, name),
            room: Arc::new(Room::unlimited()),
            label: SinkLabel { sink: name.to_owned() },
        }
    }

    /// With memory of its own.
    pub fn with_room(self, room: Arc<Room>) -> Self {
        Self { room, ..self }
    }

    /// Memory for a delivery whose largest frame has `frame` bytes; to be taken before anything of
    /// it is built, and held until it is done. Waits when all is taken, but never for another sink
    /// alone: one delivery of each always proceeds.
    pub async fn memory(&self, frame: usize) -> Held<'_> {
        if let Some(held) = self.room.try_take(frame) {
            return held;
        }
        self.metrics.sink_memory_waits.get_or_create(&self.label).inc();
        self.room.take(frame).await
    }

    /// Repeats an attempt until it succeeds, with pauses. Each attempt holds one place of
    /// [`Context::adaptive`] and is cut off after `timeout`.
    ///
    /// # Errors
    /// Only [`DeliveryError::Refused`].
    pub async fn retry<T, F, Fut>(
        &self,
        backoff: Backoff,
        timeout: Option<Duration>,
        mut attempt: F,
    ) -> Result<T, DeliveryError>
    where
        F: FnMut() -> Fut,
        Fut: Future<Output = Result<T, DeliveryError>>,
    {
        let mut failures = 0u32;
        loop {
            self.progress.beat();
            self.metrics.sink_attempts.get_or_create(&self.label).inc();
            let place = self.adaptive.enter().await;
            let result = match timeout {
                Some(limit) => match tokio::time::timeout(limit, attempt()).await {
                    Ok(result) => result,
                    Err(_) => Err(DeliveryError::Timeout(limit)),
                },
                None => attempt().await,
            };
            place.leave(match &result {
                Ok(_) | Err(DeliveryError::Refused(_)) => adaptive::Outcome::Good,
                Err(_) => adaptive::Outcome::Overload,
            });
            let error = match result {
                Ok(value) => {
                    self.recovered(failures);
                    return Ok(value);
                }
                Err(error @ DeliveryError::Refused(_)) => {
                    self.recovered(failures);
                    return Err(error);
                }
                Err(error) => error,
            };
            self.failed(backoff, failures, &error).await;
            failures = failures.saturating_add(1);
        }
    }

    /// Notes that an attempt failed, the first of a row loudly, and pauses.
    pub async fn failed(&self, backoff: Backoff, failures: u32, error: &DeliveryError) {
        self.metrics.sink_errors.get_or_create(&self.label).inc();
        self.metrics.sink_failing.get_or_create(&self.label).set(1);
        self.progress.set_ready(false);
        if failures == 0 {
            tracing::error!(sink = self.name, error = %describe(error),
                "delivery failed, trying again until it succeeds");
        } else {
            tracing::debug!(sink = self.name, failures, error = %describe(error), "delivery failed again");
        }
        let mut wait = pause(backoff, failures);
        if let DeliveryError::Later { after, .. } = error {
            wait = wait.max((*after).min(LATER_MAX));
        }
        rest(wait, &self.progress).await;
    }

    /// Notes that an attempt succeeded after `failures`.
    pub fn recovered(&self, failures: u32) {
        if failures > 0 {
            tracing::info!(sink = self.name, failures, "sink works again");
        }
        self.progress.set_ready(true);
        self.metrics.sink_failing.get_or_create(&self.label).set(0);
    }

    /// Keeps a record the other end refuses for good in `<data_dir>/rejected/<sink>.jsonl`, with a
    /// reason from a fixed set. Counting is done by [`Delivered::rejected`] and here by reason.
    pub fn reject(&self, reason: &'static str, event: &Event<'_>) {
        self.metrics.rejected(&self.name, reason, 1);
        self.rejected.keep(reason, event);
    }
}

/// Delivers segments until the spool is closed and empty for this sink.
pub async fn run(sink: Box<dyn Sink>, wiring: Wiring) {
    let cx = Context::new(
        &wiring.name,
        wiring.spool.data_dir(),
        sink.concurrency(),
        wiring.metrics.clone(),
        wiring.progress.clone(),
    )
    .with_room(wiring.room.clone());
    let mut flying = FuturesOrdered::new();
    let mut last = 0;
    let mut ended = false;
    loop {
        wiring.progress.set_idle(flying.is_empty());
        wiring.progress.set_waiting(flying.is_empty());
        let room = !ended && flying.len() < cx.adaptive.limit().min(sink.segments());
        tokio::select! {
            biased;
            Some(id) = flying.next(), if !flying.is_empty() => acknowledge(&wiring, id).await,
            next = wiring.spool.next(wiring.index, last), if room => match next {
                Some(sealed) => {
                    wiring.progress.set_waiting(false);
                    wiring.progress.set_idle(false);
                    last = sealed.id;
                    flying.push_back(deliver(&*sink, &wiring, &cx, sealed));
                }
                None => ended = true,
            },
            else => return,
        }
    }
}

async fn deliver(sink: &dyn Sink, wiring: &Wiring, cx: &Context, sealed: Arc<Sealed>) -> u64 {
    let expected = wiring.spool.records_for(&sealed, wiring.index);
    if expected > 0 {
        let delivery = Delivery {
            sealed: sealed.clone(),
            taker: wiring.spool.taker(wiring.index),
            cluster: wiring.cluster.clone(),
            node: wiring.node.clone(),
        };
        let delivered = sink.deliver(&delivery, cx).await;
        let metrics = &wiring.metrics;
        metrics.sink_sent_objects.get_or_create(&cx.label).inc_by(delivered.objects);
        metrics.sink_sent_bytes.get_or_create(&cx.label).inc_by(delivered.bytes);
        metrics.sink_sent_records.get_or_create(&cx.label).inc_by(delivered.records);
        metrics.component_sent(ComponentKind::Sink, &wiring.name, delivered.records, delivered.bytes);
        let lost = expected.saturating_sub(delivered.records + delivered.rejected);
        metrics.sink_lost_records.get_or_create(&cx.label).inc_by(lost);
        tracing::debug!(sink = wiring.name, segment = sealed.id, records = delivered.records, "delivered");
    }
    sealed.id
}

/// Notes a delivery, again and again until the disk takes the note: until then the segment occupies
/// the spool, and nothing may be waiting behind it that would try anew.
async fn acknowledge(wiring: &Wiring, id: u64) {
    let mut attempt = 0u32;
    loop {
        wiring.progress.beat();
        let (spool, index) = (wiring.spool.clone(), wiring.index);
        let noted = tokio::task::spawn_blocking(move || spool.acknowledge(index, id)).await;
        let error: Box<dyn StdError + Send + Sync> = match noted {
            Ok(Ok(())) => return,
            Ok(Err(error)) => error.into(),
            Err(error) => error.into(),
        };
        if attempt == 0 {
            tracing::error!(sink = wiring.name, error = %describe(error.as_ref()),
                "delivery can't be noted, trying again until it can");
        }
        rest(pause(Backoff::default(), attempt), &wiring.progress).await;
        attempt = attempt.saturating_add(1);
    }
}

/// Longest pause taken on another's word: a clock that is wrong by a day must not stop delivery for
/// a day.
const LATER_MAX: Duration = Duration::from_secs(600);

/// An error with its causes, on one line.
pub fn describe(error: &(dyn StdError + 'static)) -> String {
    let mut parts = Vec::new();
    let mut next = Some(error);
    while let Some(error) = next {
        parts.push(error.to_string());
        next = error.source();
    }
    // Many errors print their cause themselves.
    parts.dedup_by(|next, before| before.ends_with(next.as_str()));
    parts.join(": ")
}

/// Sleeps, showing life while a back-off is longer than the health check is patient.
async fn rest(wait: Duration, progress: &Progress) {
    const STEP: Duration = Duration::from_secs(10);
    let mut left = wait;
    while !left.is_zero() {
        let step = left.min(STEP);
        tokio::time::sleep(step).await;
        progress.beat();
        left = left.saturating_sub(step);
    }
}

/// Full jitter: anything between nothing and the exponential bound, so that many collectors that
/// lost the same sink do not come back at the same moment.
pub(crate) fn pause(backoff: Backoff, attempt: u32) -> Duration {
    let bound = backoff.initial.duration().saturating_mul(2u32.saturating_pow(attempt.min(20)));
    let bound = bound.min(backoff.max.duration());
    // A fresh random state is random enough here and needs no generator.
    let random = RandomState::new().hash_one(attempt) as f64 / u64::MAX as f64;
    bound.mul_f64(random)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Span;

    #[test]
    fn the_pause_grows_and_stays_below_its_limit() {
        let backoff = Backoff {
            initial: Span::from(Duration::from_millis(100)),
            max: Span::from(Duration::from_secs(30)),
        };
        for attempt in [0, 1, 5, 40, u32::MAX] {
            let bound = Duration::from_millis(100).saturating_mul(2u32.saturating_pow(attempt.min(20)));
            let pauses: Vec<Duration> = (0..50).map(|_| pause(backoff, attempt)).collect();
            assert!(pauses.iter().all(|pause| *pause <= bound.min(Duration::from_secs(30))));
            assert!(pauses.windows(2).any(|pair| pair[0] != pair[1]));
        }
    }
}
