use super::*;
use crate::config::{Backoff, Span};
use crate::metrics::Metrics;
use crate::sinks::delivery::FrameText;
use crate::topology::Progress;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::time::Duration;

/// The other end: what it refuses, when its answers are lost, and what it saw.
#[derive(Debug, Default)]
struct Receiver {
    bad: BTreeSet<u64>,
    /// It takes no more than this many records at once.
    most: usize,
    /// Attempts, by number, that it takes and whose answer is lost.
    lost: BTreeSet<usize>,
    /// Attempts below this number are refused, whatever is in them.
    closed_until: usize,
    doubtful: bool,
    /// Of every request it takes, it says this many records were not taken.
    partial: u64,
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    attempts: usize,
    taken: BTreeMap<String, Vec<u64>>,
    order: Vec<u64>,
    repeats: usize,
}

impl Wire for Receiver {
    fn describe(&self, _: Place<'_>, _: &Stream) -> Vec<u8> {
        Vec::new()
    }

    fn encode(&self, _: &Described, event: &Event<'_>, out: &mut Vec<u8>) {
        out.extend_from_slice(event.record.o.to_string().as_bytes());
    }

    fn body(&self, parcel: &Parcel, range: Range<usize>) -> io::Result<Vec<u8>> {
        Ok(range.map(|at| parcel.record(at)).collect::<Vec<_>>().join(&b','))
    }

    async fn attempt(&self, body: Bytes, key: &str) -> Result<Answer, DeliveryError> {
        let text = String::from_utf8(body.to_vec()).unwrap();
        let numbers: Vec<u64> = text.split(',').map(|number| number.parse().unwrap()).collect();
        let mut seen = self.seen.lock().unwrap();
        let attempt = seen.attempts;
        seen.attempts += 1;
        let refused =
            |reason| Ok(Answer::Refused(Refusal { reason, doubtful: self.doubtful, message: "no".into() }));
        if attempt < self.closed_until {
            return refused(REFUSED);
        }
        if numbers.len() > self.most {
            return refused(TOO_LARGE);
        }
        if numbers.iter().any(|number| self.bad.contains(number)) {
            return refused(REFUSED);
        }
        match seen.taken.insert(key.to_owned(), numbers.clone()) {
            Some(before) => {
                assert_eq!(before, numbers, "one key, the same records");
                seen.repeats += 1;
            }
            None => seen.order.extend(numbers),
        }
        if self.lost.contains(&attempt) {
            return Err(DeliveryError::Service("reset".into()));
        }
        Ok(Answer::Taken { rejected: self.partial })
    }
}

/// Parcels of at most `size` records.
fn parcels(records: u64, size: u64) -> Vec<Arc<Parcel>> {
    let line = |number| format!("{{\"s\":0,\"o\":{number},\"t\":\"2026-11-22T10:00:00Z\",\"b\":\"x\"}}\n");
    let text: String = (0..records).map(line).collect();
    let frame = Arc::new(FrameText::of(format!("{{\"stream\":0,\"id\":\"ff\"}}\n{text}")));
    let mut all = Vec::new();
    for first in (0..records).step_by(usize::try_from(size).unwrap()) {
        let mut parcel = Parcel::new(first);
        for number in first..(first + size).min(records) {
            let stream = frame.events().next().unwrap().stream.clone();
            let described = Arc::new(Described { stream, text: Vec::new() });
            let at = usize::try_from(number).unwrap();
            parcel.push(number.to_string().as_bytes(), described, frame.clone(), at);
        }
        all.push(Arc::new(parcel));
    }
    all
}

struct Run {
    delivered: Delivered,
    rejected: BTreeSet<u64>,
    receiver: Arc<Receiver>,
    errors: u64,
    metrics: String,
}

/// Ships everything to a receiver that has, or has not, taken something before.
fn run(receiver: Receiver, records: u64, size: u64, proven: bool) -> Run {
    let dir = tempfile::tempdir().unwrap();
    let zero = Span::from(Duration::ZERO);
    let request = Request { backoff: Backoff { initial: zero, max: zero }, ..Request::default() };
    let metrics = Arc::new(Metrics::default());
    let cx = Context::new("out", dir.path(), 4, metrics.clone(), Arc::new(Progress::default()));
    let shipper = Shipper::new(receiver, Batch::default(), request);
    shipper.proven.store(proven, Ordering::Relaxed);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut delivered = Delivered::default();
    for parcel in parcels(records, size) {
        delivered.add(runtime.block_on(shipper.ship(parcel, "d", &cx)));
    }
    let kept = std::fs::read_to_string(dir.path().join("rejected/out.jsonl")).unwrap_or_default();
    let lines = kept.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let rejected: Vec<u64> = lines.map(|line| line["record"]["o"].as_u64().unwrap()).collect();
    let errors = metrics.sink_errors.get_or_create(&cx.label).get();
    let set: BTreeSet<u64> = rejected.iter().copied().collect();
    assert_eq!(set.len(), rejected.len(), "a record is rejected once");
    Run { delivered, rejected: set, receiver: shipper.wire, errors, metrics: metrics.text() }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn halving_rejects_exactly_the_refused_records(
        records in 1u64..120,
        size in 1u64..50,
        most in 1usize..60,
        bad in proptest::collection::btree_set(0u64..120, 0..30),
        lost in proptest::collection::btree_set(0usize..200, 0..40),
    ) {
        let receiver = Receiver { bad: bad.clone(), most, lost, ..Receiver::default() };
        let run = run(receiver, records, size, true);
        let bad: BTreeSet<u64> = bad.into_iter().filter(|number| *number < records).collect();
        let good: Vec<u64> = (0..records).filter(|number| !bad.contains(number)).collect();
        prop_assert_eq!(&run.rejected, &bad);
        let seen = run.receiver.seen.lock().unwrap();
        // Without repeats, which have the key they had before: each once, and in order.
        prop_assert_eq!(&seen.order, &good);
        prop_assert_eq!(run.delivered.records, good.len() as u64);
        prop_assert_eq!(run.delivered.rejected, bad.len() as u64);
        prop_assert_eq!(run.errors, seen.repeats as u64, "every lost answer makes one repeat");
    }
}

#[test]
fn a_receiver_that_never_took_anything_can_not_reject_a_whole_batch() {
    let receiver = Receiver { most: 9, closed_until: 100, ..Receiver::default() };
    let run = run(receiver, 20, 8, false);
    assert!(run.rejected.is_empty());
    assert_eq!(run.delivered.records, 20);
    assert!(run.errors > 0, "that it was refused is an error somebody sees");
}

#[test]
fn a_failure_that_may_be_an_outage_rejects_only_beside_what_is_taken() {
    let bad = BTreeSet::from([5]);
    let receiver =
        Receiver { bad: bad.clone(), most: 9, closed_until: 50, doubtful: true, ..Receiver::default() };
    let run = run(receiver, 20, 8, true);
    assert_eq!(run.rejected, bad);
    assert_eq!(run.delivered.records, 19);
}

#[test]
fn records_of_a_partial_success_are_counted_and_never_more_than_were_sent() {
    for (partial, sent, rejected) in [(3, 10, 6), (u64::MAX, 0, 16)] {
        let run = run(Receiver { most: 9, partial, ..Receiver::default() }, 16, 8, false);
        assert_eq!((run.delivered.records, run.delivered.rejected), (sent, rejected));
        let counted = format!("reason=\"partial_success\"}} {rejected}\n");
        assert!(run.metrics.contains(&counted), "{}", run.metrics);
        assert!(run.rejected.is_empty(), "nobody knows which they were");
        assert_eq!(run.receiver.seen.lock().unwrap().attempts, 2, "nothing is sent again");
    }
}
