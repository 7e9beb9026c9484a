//! Sinks: where landing objects go.
//!
//! Each sink is one task that takes sealed segments in order, delivers each as one landing object
//! and acknowledges it. A delivery is repeated until it succeeds, with exponential back-off and full
//! jitter; meanwhile the spool grows and other sinks go on. Only when the disk damaged a frame
//! between writing and delivery can a record be missing, and then it is counted.

pub mod aws_s3;
pub mod file;
pub mod landing;

use crate::config::{self, Backoff};
use crate::metrics::{Metrics, SinkLabel};
use crate::segment::Segment;
use crate::spool::{Sealed, Spool};
use crate::topology::Progress;
use bytes::Bytes;
use logq_schemas::landing::object_key;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::io;
use std::sync::Arc;
use std::time::Duration;

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
    pub source: Box<dyn std::error::Error + Send + Sync>,
}

/// Why a delivery failed. All of these are worth another attempt: a missing bucket, a wrong policy
/// or a full disk is repaired by people while the spool waits.
#[derive(Debug, thiserror::Error)]
pub enum DeliveryError {
    /// The segment can't be read, or the object can't be written to the directory.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The object store refused or did not answer.
    #[error(transparent)]
    Store(#[from] object_store::Error),
    /// No answer in time.
    #[error("no answer within {0:?}")]
    Timeout(Duration),
}

/// A connected sink.
#[derive(Debug)]
pub enum Sink {
    /// A directory.
    File(file::FileSink),
    /// An S3 bucket.
    AwsS3(aws_s3::S3Sink),
}

/// One landing object: its key and its bytes in pieces.
#[derive(Debug, Clone)]
pub struct Object {
    /// Key below the sink's root.
    pub key: String,
    /// Content, to be written one after the other.
    pub parts: Vec<Bytes>,
    /// Record lines in it.
    pub records: u64,
}

impl Object {
    /// Size in bytes.
    pub fn len(&self) -> usize {
        self.parts.iter().map(Bytes::len).sum()
    }

    /// An object is never empty: it has a header.
    pub fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }
}

impl Sink {
    /// Sets a sink up.
    ///
    /// # Errors
    /// When its settings can't work, or its directory can't be created.
    pub async fn connect(name: &str, sink: &config::Sink) -> Result<Self, SetupError> {
        match sink {
            config::Sink::File(settings) => file::FileSink::new(name, settings).map(Self::File),
            config::Sink::AwsS3(settings) => aws_s3::S3Sink::connect(name, settings).await.map(Self::AwsS3),
        }
    }

    async fn deliver(&self, object: &Object) -> Result<(), DeliveryError> {
        match self {
            Self::File(sink) => sink.deliver(object).await,
            Self::AwsS3(sink) => sink.deliver(object).await,
        }
    }

    fn backoff(&self) -> Backoff {
        match self {
            Self::File(_) => Backoff::default(),
            Self::AwsS3(sink) => sink.backoff(),
        }
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
}

/// Delivers segments until the spool is closed and empty for this sink.
///
/// Cancel-safe: a delivery that was cut off is repeated under the same key.
pub async fn run(sink: Sink, wiring: Wiring) {
    loop {
        wiring.progress.set_idle(true);
        wiring.progress.set_waiting(true);
        let Some(sealed) = wiring.spool.next(wiring.index).await else { return };
        wiring.progress.set_waiting(false);
        wiring.progress.set_idle(false);
        if sealed.records > 0 {
            deliver(&sink, &wiring, &sealed).await;
        }
        acknowledge(&wiring, sealed.id).await;
    }
}

/// Notes a delivery, again and again until the disk takes the note: until then the segment occupies
/// the spool, and nothing may be waiting behind it that would try anew.
async fn acknowledge(wiring: &Wiring, id: u64) {
    let mut attempt = 0u32;
    loop {
        wiring.progress.beat();
        let (spool, index) = (wiring.spool.clone(), wiring.index);
        let noted = tokio::task::spawn_blocking(move || spool.acknowledge(index, id)).await;
        let error: Box<dyn std::error::Error + Send + Sync> = match noted {
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

/// An error with its causes, on one line.
fn describe(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

async fn deliver(sink: &Sink, wiring: &Wiring, sealed: &Arc<Sealed>) {
    let label = SinkLabel { sink: wiring.name.clone() };
    let metrics = &wiring.metrics;
    let backoff = sink.backoff();
    let mut attempt = 0u32;
    loop {
        wiring.progress.beat();
        metrics.sink_attempts.get_or_create(&label).inc();
        let result = match assemble(wiring, sealed).await {
            Ok(object) => sink.deliver(&object).await.map(|()| object),
            Err(error) => Err(error.into()),
        };
        match result {
            Ok(object) => {
                if attempt > 0 {
                    tracing::info!(sink = wiring.name, attempt, "sink works again");
                }
                wiring.progress.set_ready(true);
                metrics.sink_failing.get_or_create(&label).set(0);
                metrics.sink_sent_objects.get_or_create(&label).inc();
                metrics.sink_sent_bytes.get_or_create(&label).inc_by(object.len() as u64);
                metrics.sink_sent_records.get_or_create(&label).inc_by(object.records);
                let lost = sealed.records.saturating_sub(object.records);
                metrics.sink_lost_records.get_or_create(&label).inc_by(lost);
                tracing::debug!(
                    sink = wiring.name,
                    key = object.key,
                    records = object.records,
                    "object delivered"
                );
                return;
            }
            Err(error) => {
                metrics.sink_errors.get_or_create(&label).inc();
                metrics.sink_failing.get_or_create(&label).set(1);
                wiring.progress.set_ready(false);
                if attempt == 0 {
                    let error: &dyn std::error::Error = &error;
                    tracing::error!(
                        sink = wiring.name,
                        key = sealed.digest,
                        error,
                        "delivery failed, trying again until it succeeds"
                    );
                }
                let wait = pause(backoff, attempt);
                attempt = attempt.saturating_add(1);
                rest(wait, &wiring.progress).await;
            }
        }
    }
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
fn pause(backoff: Backoff, attempt: u32) -> Duration {
    let bound = backoff.initial.duration().saturating_mul(2u32.saturating_pow(attempt.min(20)));
    let bound = bound.min(backoff.max.duration());
    // A fresh random state is random enough here and needs no generator.
    let random = RandomState::new().hash_one(attempt) as f64 / u64::MAX as f64;
    bound.mul_f64(random)
}

/// Reads a segment and puts header and trailer around its payloads.
async fn assemble(wiring: &Wiring, sealed: &Arc<Sealed>) -> io::Result<Object> {
    let key = object_key(&wiring.cluster, &wiring.node, &sealed.date, &sealed.digest);
    let header = landing::header(&wiring.cluster, &wiring.node, sealed.id)?;
    let sealed = sealed.clone();
    let object = tokio::task::spawn_blocking(move || -> io::Result<Object> {
        let segment = Segment::read(&sealed.path)?;
        let records = segment.records();
        if records < sealed.records {
            tracing::error!(path = %sealed.path.display(), records = sealed.records - records,
                "segment was damaged on disk, delivering what is left");
        }
        let payload = |frame: &crate::segment::Frame| segment.bytes.slice(frame.payload.clone());
        let payloads = segment.frames.iter().filter(|frame| frame.records > 0).map(payload);
        let trailer = landing::trailer(records)?;
        let parts =
            std::iter::once(Bytes::from(header)).chain(payloads).chain([Bytes::from(trailer)]).collect();
        Ok(Object { key, parts, records })
    });
    object.await.map_err(io::Error::other)?
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
