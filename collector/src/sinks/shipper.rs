//! Shipping: a segment becomes requests, and what is refused is narrowed down to single records.
//!
//! What holds for every sink that ships:
//! * A request holds records in the order of the spool, and the requests of a segment are sent one
//!   after the other. Up to `request.concurrency` segments are in flight together, so requests of
//!   different segments may overtake each other unless it is 1.
//! * A failure that may pass is repeated without end. A batch that is refused is halved until the
//!   refused records are alone; only they are rejected, everything else arrives.
//! * Refusals must be credible. Nothing is rejected while the other end has taken nothing since the
//!   start and refuses every record of a batch, or while it only says that it failed and takes no
//!   record of the batch: that is a wrong address or an outage, and is tried again. Where an outage
//!   may have begun or ended within a batch, single records are tried again before they are rejected.
//! * A request has a key made of the segment's content and the numbers of its records: whatever is
//!   sent again after a lost answer or a crash has the key it had before.
//! * In memory, for each segment in flight: what [`takes`] says, taken before anything is built.

use super::parcel::{Batch, Described, Parcel};
use super::{Context, Delivered, Delivery, DeliveryError, Event, Sink};
use crate::config::Request;
use crate::memory::Takes;
use crate::template::Place;
use async_trait::async_trait;
use bytes::Bytes;
use logq_schemas::landing::Stream;
use std::collections::HashMap;
use std::fmt::Debug;
use std::future::Future;
use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// What the other end says to a request it understood.
#[derive(Debug, Clone)]
pub enum Answer {
    /// It took the records, except for some it does not name.
    Taken {
        /// How many it did not take.
        rejected: u64,
    },
    /// It took none, because of what is in them.
    Refused(Refusal),
}

/// Why records are not taken.
#[derive(Debug, Clone)]
pub struct Refusal {
    /// From a closed set, for counters.
    pub reason: &'static str,
    /// The other end may only have failed: believed when it takes other records of the batch.
    pub doubtful: bool,
    /// What it said.
    pub message: String,
}

/// The reason of a record that is too large even alone.
pub const TOO_LARGE: &str = "too_large";
/// The reason of a record that is refused for what it holds.
pub const REFUSED: &str = "refused";
/// The reason of records that were not taken and not named.
pub const PARTIAL: &str = "partial_success";

/// How often a doubtful refusal is asked for again: with pauses that double from half a second to
/// half a minute, and are half as long on average, about a minute.
const CONFIRMATIONS: u32 = 9;

/// A protocol: how records are written, and how they are sent.
pub trait Wire: Send + Sync + Debug + 'static {
    /// What is written about a stream, once.
    fn describe(&self, place: Place<'_>, stream: &Stream) -> Vec<u8>;

    /// Appends a record.
    fn encode(&self, described: &Described, event: &Event<'_>, out: &mut Vec<u8>);

    /// The body of a request, packed. Blocking.
    ///
    /// # Errors
    /// When it can't be packed.
    fn body(&self, parcel: &Parcel, range: Range<usize>) -> io::Result<Vec<u8>>;

    /// One attempt.
    fn attempt(&self, body: Bytes, key: &str) -> impl Future<Output = Result<Answer, DeliveryError>> + Send;
}

/// A sink that ships.
#[derive(Debug)]
pub struct Shipper<W> {
    wire: Arc<W>,
    batch: Batch,
    request: Request,
    /// The other end has taken something since the start: address and encoding are right.
    proven: AtomicBool,
}

/// What came of sending a parcel once.
#[derive(Debug, Default)]
struct Pass {
    delivered: Delivered,
    taken: bool,
    refused: Vec<(usize, Refusal)>,
    /// How many of `refused` came before the other end took anything at all.
    early: usize,
}

/// What one delivery takes: two frames as text and one encoded, which may be twice as long; a request
/// as encoded records, as the frames they came from and as the body; a connection.
pub fn takes(batch: &Batch) -> Takes {
    Takes { frames: 4, bytes: 3 * batch.max_bytes.bytes() + (1 << 20), key: "batch.max_bytes" }
}

impl<W: Wire> Shipper<W> {
    /// A sink that ships over `wire`.
    pub fn new(wire: W, batch: Batch, request: Request) -> Self {
        Self { wire: Arc::new(wire), batch, request, proven: AtomicBool::new(false) }
    }

    /// Sends a parcel until it has arrived, except for what is refused.
    async fn ship(&self, parcel: Arc<Parcel>, digest: &str, cx: &Context) -> Delivered {
        let mut failures = 0;
        loop {
            let pass = self.pass(&parcel, digest, cx).await;
            if let Some(error) = self.doubt(&pass) {
                cx.failed(self.request.backoff, failures, &error).await;
                failures = failures.saturating_add(1);
                continue;
            }
            let pass = self.confirm(&parcel, pass, digest, cx).await;
            cx.recovered(failures);
            for (at, refusal) in &pass.refused {
                parcel.reject(*at, refusal.reason, cx);
            }
            if let Some((_, refusal)) = pass.refused.first() {
                tracing::error!(
                    sink = cx.name,
                    records = pass.refused.len(),
                    reason = refusal.reason,
                    error = refusal.message,
                    "records refused, kept in rejected"
                );
            }
            return pass.delivered;
        }
    }

    /// Why refusals are not believed.
    fn doubt(&self, pass: &Pass) -> Option<DeliveryError> {
        let strange = !self.proven.load(Ordering::Relaxed) && pass.refused.len() > 1;
        let in_doubt =
            |(_, refusal): &&(usize, Refusal)| refusal.doubtful || (strange && refusal.reason != TOO_LARGE);
        let (_, refusal) = pass.refused.iter().find(in_doubt).filter(|_| !pass.taken)?;
        let message =
            format!("no record of a batch is accepted, check address and encoding: {}", refusal.message);
        Some(DeliveryError::Service(message.into()))
    }

    /// Asks again for refusals that may have been an outage which began or ended on the way: once
    /// for those from before the other end took anything, several times for doubtful ones.
    async fn confirm(&self, parcel: &Arc<Parcel>, mut pass: Pass, digest: &str, cx: &Context) -> Pass {
        let refused = std::mem::take(&mut pass.refused);
        for (number, (at, refusal)) in refused.into_iter().enumerate() {
            let times = if refusal.doubtful { CONFIRMATIONS } else { u32::from(number < pass.early) };
            let mut last = Some(refusal);
            for failures in 0..times {
                if let Some(refusal) = last.as_ref().filter(|refusal| refusal.doubtful) {
                    let error = DeliveryError::Service(refusal.message.clone().into());
                    cx.failed(self.request.backoff, failures, &error).await;
                }
                match self.send(parcel, at..at + 1, digest, cx).await {
                    (Answer::Refused(refusal), _) => last = Some(refusal),
                    (Answer::Taken { rejected }, bytes) => {
                        pass.delivered.rejected -= 1;
                        pass.delivered.add(took(1, rejected, bytes, cx));
                        last = None;
                        break;
                    }
                }
            }
            pass.refused.extend(last.map(|refusal| (at, refusal)));
        }
        pass
    }

    /// Sends a parcel, in halves where it is refused, in the order of its records.
    async fn pass(&self, parcel: &Arc<Parcel>, digest: &str, cx: &Context) -> Pass {
        let mut pass = Pass::default();
        let mut waiting = Vec::from([Range { start: 0, end: parcel.len() }]);
        while let Some(range) = waiting.pop() {
            let (answer, bytes) = self.send(parcel, range.clone(), digest, cx).await;
            let records = range.len() as u64;
            match answer {
                Answer::Taken { rejected } => {
                    self.proven.store(true, Ordering::Relaxed);
                    pass.taken = true;
                    pass.delivered.add(took(records, rejected, bytes, cx));
                }
                Answer::Refused(_) if range.len() > 1 => {
                    let middle = range.start + range.len() / 2;
                    waiting.push(middle..range.end);
                    waiting.push(range.start..middle);
                }
                Answer::Refused(refusal) => {
                    pass.delivered.rejected += 1;
                    pass.early += usize::from(!self.proven.load(Ordering::Relaxed));
                    pass.refused.push((range.start, refusal));
                }
            }
        }
        pass
    }

    async fn send(
        &self,
        parcel: &Arc<Parcel>,
        range: Range<usize>,
        digest: &str,
        cx: &Context,
    ) -> (Answer, u64) {
        let key = format!("{digest}-{}-{}", parcel.number(range.start), range.len());
        let Request { backoff, timeout, .. } = self.request;
        loop {
            let pack = || {
                let (wire, parcel, range) = (self.wire.clone(), parcel.clone(), range.clone());
                async move { Ok(tokio::task::spawn_blocking(move || wire.body(&parcel, range)).await??) }
            };
            // Neither of the two ever ends with a refusal: that is an answer.
            let Ok(body) = cx.retry(backoff, None, pack).await else { continue };
            let body = Bytes::from(body);
            let attempt = || self.wire.attempt(body.clone(), &key);
            if let Ok(answer) = cx.retry(backoff, Some(timeout.duration()), attempt).await {
                return (answer, body.len() as u64);
            }
        }
    }
}

/// What a request that was taken brought, less the records the other end does not name.
fn took(records: u64, rejected: u64, bytes: u64, cx: &Context) -> Delivered {
    let rejected = rejected.min(records);
    if rejected > 0 {
        cx.metrics.rejected(&cx.name, PARTIAL, rejected);
    }
    Delivered { records: records - rejected, bytes, objects: 1, rejected }
}

#[async_trait]
impl<W: Wire> Sink for Shipper<W> {
    fn concurrency(&self) -> usize {
        self.request.concurrency
    }

    async fn deliver(&self, delivery: &Delivery, cx: &Context) -> Delivered {
        let mut delivered = Delivered::default();
        let digest = delivery.sealed.digest.hex(&delivery.taker.lane);
        let place = Place { cluster: &delivery.cluster, node: &delivery.node };
        let mut described: HashMap<usize, Arc<Described>> = HashMap::new();
        let mut parcel = Parcel::new(0);
        let mut encoded = Vec::new();
        let mut frames = delivery.frames(cx).await;
        let _memory = cx.memory(frames.largest()).await;
        while let Some(frame) = frames.next(cx).await {
            let frame = Arc::new(frame);
            let mut full = Vec::new();
            for (number, event) in frame.events().enumerate() {
                // The address stays taken: the entry keeps the stream.
                let about = described.entry(Arc::as_ptr(event.stream).addr()).or_insert_with(|| {
                    let text = self.wire.describe(place, event.stream);
                    Arc::new(Described { stream: event.stream.clone(), text })
                });
                encoded.clear();
                self.wire.encode(about, &event, &mut encoded);
                if !parcel.has_room(encoded.len(), &self.batch) {
                    let next = Parcel::new(parcel.number(parcel.len()));
                    full.push(std::mem::replace(&mut parcel, next));
                }
                parcel.push(&encoded, about.clone(), frame.clone(), number);
            }
            for parcel in full {
                delivered.add(self.ship(Arc::new(parcel), &digest, cx).await);
            }
        }
        if !parcel.is_empty() {
            delivered.add(self.ship(Arc::new(parcel), &digest, cx).await);
        }
        delivered
    }
}

#[cfg(test)]
mod tests;
