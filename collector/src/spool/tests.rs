use super::*;
use crate::batch::{Batch, Cut, Encoding, Record, Span as Bytes};
use crate::config::{ByteSize, Span};
use crate::position::{Advance, Fingerprint, Position};
use crate::stream::{Meta, Owner, Stdio, Stream};
use crate::topology::Progress;
use std::sync::mpsc::sync_channel;
use tokio_util::sync::CancellationToken;

fn limits(max_bytes: usize, when_full: WhenFull) -> SpoolLimits {
    let hour = Span::from(Duration::from_secs(3600));
    SpoolLimits {
        max_bytes: ByteSize::new(max_bytes),
        when_full,
        fsync_interval: hour,
        segment_bytes: ByteSize::new(1 << 20),
        segment_age: hour,
        compression: 1,
    }
}

fn wiring() -> Wiring {
    let (empty, input) = sync_channel(1);
    Wiring {
        input,
        empty,
        stop: CancellationToken::new(),
        progress: Arc::new(Progress::default()),
        keep_bytes: 0,
    }
}

fn lane(id: &str, sinks: &[&str]) -> Lane {
    Lane { id: id.to_owned(), sinks: sinks.iter().map(|sink| (*sink).to_owned()).collect() }
}

/// One record of file `id`, which advances it from `from` to `to`.
fn batch(id: u128, from: u64, to: u64) -> Batch {
    let owner = Owner::parse("a_b_c", "d", "0.log").unwrap();
    let stream =
        Stream::of_file(Fingerprint(id), &owner, Stdio::Stdout, Path::new("0.log"), &Meta::default());
    let joined = b"2026-11-22T23:30:00-02:00body".to_vec();
    let position = Position {
        id: Fingerprint(id),
        to,
        open: vec![],
        long_line: None,
        time: String::new(),
        path: String::new(),
        signs: crate::position::Signs::default(),
    };
    let record = Record {
        stream: 0,
        encoding: Encoding::Unchecked,
        cut: Cut::No,
        offset: from,
        time: Bytes::joined(0, 25),
        body: Bytes::joined(25, joined.len()),
        extra: Bytes::default(),
    };
    Batch {
        lanes: vec![vec![record]],
        streams: vec![Arc::new(stream)],
        advances: vec![Advance { from, position, reset: false, forget: false }],
        joined,
        ..Batch::default()
    }
}

fn open(dir: &Path, sinks: &[&str]) -> (Arc<Spool>, Positions, Arc<Metrics>) {
    let metrics = Arc::new(Metrics::default());
    let (spool, positions) =
        open_lanes(dir, limits(1 << 30, WhenFull::Block), vec![lane("p", sinks)], &metrics);
    (spool, positions, metrics)
}

fn open_lanes(
    dir: &Path,
    limits: SpoolLimits,
    lanes: Vec<Lane>,
    metrics: &Arc<Metrics>,
) -> (Arc<Spool>, Positions) {
    Spool::open(dir, limits, lanes, &BTreeMap::new(), metrics.clone()).unwrap()
}

fn sealed(spool: &Spool) -> Vec<Arc<Sealed>> {
    spool.lock().sealed.values().cloned().collect()
}

#[test]
fn one_directory_takes_one_collector() {
    let dir = tempfile::tempdir().unwrap();
    let first = open(dir.path(), &["a"]);
    let metrics = Arc::new(Metrics::default());
    let again = Spool::open(dir.path(), limits(1, WhenFull::Block), vec![], &BTreeMap::new(), metrics);
    let error = again.err().map(|error| error.to_string()).unwrap_or_default();
    assert!(error.contains("in use by another collector"), "{error}");
    drop(first);
    open(dir.path(), &["a"]);
}

#[test]
fn a_segment_stays_until_every_sink_has_it_and_no_sink_gets_it_twice() {
    let dir = tempfile::tempdir().unwrap();
    {
        let (spool, _, _) = open(dir.path(), &["fast", "slow"]);
        let mut writer = Writer::new(spool.clone()).unwrap();
        for i in 0..3 {
            assert!(writer.store(&mut batch(1, i * 10, i * 10 + 10), &wiring()));
            writer.seal().unwrap();
        }
        for segment in sealed(&spool) {
            spool.acknowledge(0, segment.id).unwrap();
        }
        spool.acknowledge(1, 1).unwrap();
        assert_eq!(sealed(&spool).iter().map(|s| s.id).collect::<Vec<_>>(), [2, 3]);
    }
    let (spool, positions, metrics) = open(dir.path(), &["fast", "slow"]);
    assert_eq!(positions.find(Fingerprint(1)).unwrap().to, 30);
    let cursors = spool.lock().cursors.clone();
    assert_eq!((cursors, sealed(&spool).len()), (vec![3, 1], 2));
    let of =
        |sink: &str| metrics.spool_recovered_records.get_or_create(&SinkLabel { sink: sink.into() }).get();
    assert_eq!((of("fast"), of("slow")), (0, 2));
    spool.acknowledge(1, 3).unwrap();
    assert!(spool.is_drained() && sealed(&spool).is_empty());
    drop(spool);
    // Numbers go on: the cursors of the sinks must not swallow a new segment.
    let (spool, _, _) = open(dir.path(), &["fast", "slow"]);
    let mut writer = Writer::new(spool.clone()).unwrap();
    writer.store(&mut batch(1, 30, 40), &wiring());
    writer.seal().unwrap();
    assert_eq!(sealed(&spool)[0].id, 4);
}

#[test]
fn the_object_key_is_a_function_of_content_and_its_date_is_utc() {
    let digests: Vec<(String, String)> = (0..2)
        .map(|_| {
            let dir = tempfile::tempdir().unwrap();
            let (spool, _, _) = open(dir.path(), &["a"]);
            let mut writer = Writer::new(spool.clone()).unwrap();
            writer.store(&mut batch(1, 0, 10), &wiring());
            writer.seal().unwrap();
            (sealed(&spool)[0].digest.hex("p"), sealed(&spool)[0].date.clone())
        })
        .collect();
    assert_eq!(digests[0], digests[1]);
    assert_eq!(digests[0].1, "2026-11-23");
}

#[test]
fn damage_in_the_middle_of_a_sealed_segment_is_read_again() {
    let dir = tempfile::tempdir().unwrap();
    let path = {
        let (spool, _, _) = open(dir.path(), &["a"]);
        let mut writer = Writer::new(spool.clone()).unwrap();
        for i in 0..3 {
            writer.store(&mut batch(1, i * 10, i * 10 + 10), &wiring());
            writer.store(&mut batch(2 + u128::from(i), 0, 5), &wiring());
        }
        writer.seal().unwrap();
        sealed(&spool)[0].path.clone()
    };
    let mut bytes = fs::read(&path).unwrap();
    let second = usize::try_from(Segment::read(&path).unwrap().frames[2].payload.start).unwrap();
    bytes[second + 3] ^= 1;
    fs::write(&path, bytes).unwrap();
    let (spool, positions, metrics) = open(dir.path(), &["a"]);
    assert_eq!(metrics.spool_damaged_frames.get(), 1);
    assert_eq!(sealed(&spool)[0].records(), 5);
    // File 1 lost its second step: it goes on behind the first. The others are whole.
    assert_eq!(positions.find(Fingerprint(1)).unwrap().to, 10);
    assert_eq!(positions.find(Fingerprint(4)).unwrap().to, 5);
}

#[test]
fn a_full_spool_drops_only_when_told_to_and_counts_it() {
    let dir = tempfile::tempdir().unwrap();
    let metrics = Arc::new(Metrics::default());
    let (spool, _) =
        open_lanes(dir.path(), limits(1, WhenFull::DropNewest), vec![lane("p", &["a"])], &metrics);
    let mut writer = Writer::new(spool.clone()).unwrap();
    for i in 0..3 {
        assert!(writer.store(&mut batch(1, i * 10, i * 10 + 10), &wiring()));
    }
    assert_eq!(dropped(&metrics, "a", "spool_full"), 2);
    drop((writer, spool));
    let (_, positions, _) = open(dir.path(), &["a"]);
    assert_eq!(positions.find(Fingerprint(1)).unwrap().to, 30);
}

#[test]
fn who_sent_a_dropped_batch_is_not_told_that_it_is_stored() {
    let dir = tempfile::tempdir().unwrap();
    let metrics = Arc::new(Metrics::default());
    let (spool, _) =
        open_lanes(dir.path(), limits(1, WhenFull::DropNewest), vec![lane("p", &["a"])], &metrics);
    let mut writer = Writer::new(spool).unwrap();
    let told: Vec<bool> = (0..2)
        .map(|i| {
            let (receipt, mut durable) = tokio::sync::oneshot::channel();
            let mut pushed = pushed(i);
            pushed.receipts.push(receipt);
            assert!(writer.store(&mut pushed, &wiring()));
            pushed.clear(0);
            durable.try_recv().is_ok()
        })
        .collect();
    assert_eq!((told, dropped(&metrics, "a", "spool_full")), (vec![true, false], 1));
}

/// One record that a client pushed: no file and so no position accounts for it.
fn pushed(offset: u64) -> Batch {
    Batch { advances: vec![], ..batch(1, offset, offset + 1) }
}

#[test]
fn the_object_key_of_pushed_records_is_a_function_of_what_they_are() {
    let key = |offsets: &[u64]| {
        let dir = tempfile::tempdir().unwrap();
        let (spool, _, _) = open(dir.path(), &["a"]);
        let mut writer = Writer::new(spool.clone()).unwrap();
        for offset in offsets {
            assert!(writer.store(&mut pushed(*offset), &wiring()));
        }
        writer.seal().unwrap();
        sealed(&spool)[0].digest.hex("p")
    };
    let keys: BTreeSet<String> = [&[1][..], &[2], &[1, 2], &[2, 1]].into_iter().map(key).collect();
    assert_eq!((keys.len(), keys.contains(&key(&[1, 2]))), (4, true));
}

#[test]
fn a_full_spool_that_blocks_gives_up_only_at_shutdown() {
    let dir = tempfile::tempdir().unwrap();
    let metrics = Arc::new(Metrics::default());
    let (spool, _) = open_lanes(dir.path(), limits(1, WhenFull::Block), vec![lane("p", &["a"])], &metrics);
    let mut writer = Writer::new(spool.clone()).unwrap();
    assert!(writer.store(&mut batch(1, 0, 10), &wiring()));
    let wiring = wiring();
    let sink = {
        let (spool, stop) = (spool.clone(), wiring.stop.clone());
        std::thread::spawn(move || {
            while sealed(&spool).is_empty() {
                std::thread::yield_now();
            }
            spool.acknowledge(0, 1).unwrap();
            while sealed(&spool).iter().all(|sealed| sealed.id < 2) {
                std::thread::yield_now();
            }
            stop.cancel();
        })
    };
    assert!(writer.store(&mut batch(1, 10, 20), &wiring), "room was made");
    assert!(!writer.store(&mut batch(1, 20, 30), &wiring), "no room, and shutting down");
    sink.join().unwrap();
    assert_eq!(dropped(&metrics, "a", "spool_full"), 0);
}

fn dropped(metrics: &Metrics, sink: &str, reason: &str) -> u64 {
    let labels = vec![("sink", sink.to_owned()), ("reason", reason.to_owned())];
    metrics.sink_dropped_records.get_or_create(&labels).get()
}

fn portions(spool: &Spool, sink: usize) -> Vec<u64> {
    sealed(spool).iter().map(|sealed| spool.records_for(sealed, sink)).collect()
}

#[test]
fn each_sink_gets_its_own_lane_and_lanes_differ_in_their_keys() {
    let dir = tempfile::tempdir().unwrap();
    let metrics = Arc::new(Metrics::default());
    let lanes = vec![lane("p", &["a", "c"]), lane("p,q", &["b"])];
    let (spool, _) = open_lanes(dir.path(), limits(1 << 30, WhenFull::Block), lanes, &metrics);
    let mut writer = Writer::new(spool.clone()).unwrap();
    let mut both = batch(1, 0, 10);
    both.lanes.push([both.lanes[0][0]; 3].to_vec());
    assert!(writer.store(&mut both, &wiring()));
    let mut second_only = batch(1, 10, 20);
    second_only.lanes.insert(0, vec![]);
    assert!(writer.store(&mut second_only, &wiring()));
    writer.seal().unwrap();
    assert_eq!([0, 1, 2].map(|sink| portions(&spool, sink)), [[1], [4], [1]]);
    let object = |sink| {
        let taker = spool.taker(sink);
        let delivery = crate::sinks::Delivery {
            sealed: sealed(&spool)[0].clone(),
            taker,
            cluster: String::new(),
            node: "n".into(),
        };
        let object = delivery.open_object().unwrap();
        (object.key, object.records)
    };
    assert_eq!(object(0), object(2));
    assert_ne!(object(0).0, object(1).0);
    assert_eq!((object(0).1, object(1).1), (1, 4));
}

#[test]
fn a_renamed_sink_takes_what_was_stored_for_the_old_name_and_a_removed_one_is_counted() {
    let dir = tempfile::tempdir().unwrap();
    {
        let (spool, _, _) = open(dir.path(), &["old", "other"]);
        let mut writer = Writer::new(spool.clone()).unwrap();
        writer.store(&mut batch(1, 0, 10), &wiring());
        writer.seal().unwrap();
        spool.acknowledge(1, 0).unwrap();
    }
    // Sinks of one section share it: as long as one of them is there, nobody else takes it.
    let (spool, _, metrics) = open(dir.path(), &["new", "other"]);
    assert_eq!((portions(&spool, 0), portions(&spool, 1)), (vec![0], vec![1]));
    assert_eq!(dropped(&metrics, "old,other", "sink_removed"), 0);
    drop(spool);
    let (spool, _, _) = open(dir.path(), &["fresh"]);
    assert_eq!(portions(&spool, 0), [1]);
    spool.acknowledge(0, 0).unwrap();
    drop(spool);
    let (spool, _, metrics) = open(dir.path(), &["fresh"]);
    assert_eq!(portions(&spool, 0), [0], "taken or not, it was offered once");
    assert_eq!(dropped(&metrics, "old,other", "sink_removed"), 1);
}

#[test]
fn a_sink_that_may_lose_records_does_not_hold_up_the_others() {
    let dir = tempfile::tempdir().unwrap();
    let metrics = Arc::new(Metrics::default());
    let buffer = Buffer { max_bytes: Some(ByteSize::new(1)), when_full: BufferFull::DropOldest };
    let buffers = BTreeMap::from([("slow".to_owned(), buffer)]);
    let lanes = vec![lane("p", &["fast", "slow"])];
    let limits = limits(1 << 30, WhenFull::Block);
    let (spool, _) = Spool::open(dir.path(), limits, lanes, &buffers, metrics.clone()).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let mut writer = Writer::new(spool.clone()).unwrap();
    for i in 0..4 {
        writer.store(&mut batch(1, i * 10, i * 10 + 10), &wiring());
        writer.seal().unwrap();
        if i == 0 {
            // In the middle of being delivered, it is not dropped under the sink's hands. But it was
            // dropped before it could be taken: one byte is less than one segment.
            assert_eq!(dropped(&metrics, "slow", "buffer_full"), 1);
        }
        let next = runtime.block_on(spool.next(0, 0)).unwrap();
        spool.acknowledge(0, next.id).unwrap();
    }
    assert_eq!(dropped(&metrics, "slow", "buffer_full"), 4);
    assert!(spool.is_drained() && sealed(&spool).is_empty());
}

/// What was dropped for one sink stays dropped after a restart, though another sink still needs the file.
#[test]
fn dropped_segments_are_not_offered_again_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let buffer = Buffer { max_bytes: Some(ByteSize::new(1)), when_full: BufferFull::DropOldest };
    let start = || {
        let metrics = Arc::new(Metrics::default());
        let buffers = BTreeMap::from([("lossy".to_owned(), buffer)]);
        let lanes = vec![lane("p", &["down", "lossy"])];
        let limits = limits(1 << 30, WhenFull::Block);
        let (spool, _) = Spool::open(dir.path(), limits, lanes, &buffers, metrics.clone()).unwrap();
        (spool, metrics)
    };
    {
        let (spool, metrics) = start();
        let mut writer = Writer::new(spool.clone()).unwrap();
        for i in 0..3 {
            writer.store(&mut batch(1, i * 10, i * 10 + 10), &wiring());
            writer.seal().unwrap();
        }
        assert_eq!(dropped(&metrics, "lossy", "buffer_full"), 3);
        let report = inspect::inspect(dir.path()).unwrap();
        assert!(report.segments.iter().all(|segment| segment.waiting == ["down"]));
    }
    let (spool, metrics) = start();
    let of = |sink: &str| SinkLabel { sink: sink.to_owned() };
    let recovered = |sink: &str| metrics.spool_recovered_records.get_or_create(&of(sink)).get();
    assert_eq!((recovered("down"), recovered("lossy")), (3, 0));
    assert_eq!(metrics.spool_records.get_or_create(&of("lossy")).get(), 0);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    spool.close();
    assert!(runtime.block_on(spool.next(1, 0)).is_none(), "nothing is left for it");
    // The other sink needs all of it; once it has it, files and note go.
    for id in 1..=3 {
        assert_eq!(runtime.block_on(spool.next(0, id - 1)).unwrap().id, id);
        spool.acknowledge(0, id).unwrap();
    }
    assert!(sealed(&spool).is_empty() && spool.is_drained());
    assert!(spool.lock().shed.iter().all(BTreeSet::is_empty), "the note does not grow for ever");
}

#[test]
fn a_spool_can_be_looked_into_and_its_records_taken_out_without_a_sink() {
    let dir = tempfile::tempdir().unwrap();
    {
        let (spool, _, _) = open(dir.path(), &["a", "b"]);
        let mut writer = Writer::new(spool.clone()).unwrap();
        for i in 0..2 {
            writer.store(&mut batch(1, i * 10, i * 10 + 10), &wiring());
            writer.seal().unwrap();
        }
        spool.acknowledge(0, 1).unwrap();
        writer.store(&mut batch(1, 20, 30), &wiring());
    }
    let report = inspect::inspect(dir.path()).unwrap();
    let seen: Vec<_> =
        report.segments.iter().map(|s| (s.id, s.open, s.records["a,b"], s.waiting.len())).collect();
    assert_eq!(seen, [(1, false, 1, 1), (2, false, 1, 2), (3, true, 1, 2)]);
    let to = tempfile::tempdir().unwrap();
    let exported = inspect::export(dir.path(), "c", "n", to.path()).unwrap();
    assert_eq!(exported, inspect::Exported { objects: 3, records: 3 });
    // The same bytes under the same key as a sink would write.
    let (spool, _, _) = open(dir.path(), &["a", "b"]);
    let delivery = crate::sinks::Delivery {
        sealed: sealed(&spool)[1].clone(),
        taker: spool.taker(1),
        cluster: "c".into(),
        node: "n".into(),
    };
    let object = delivery.open_object().unwrap();
    let mut bytes = vec![0; usize::try_from(object.len).unwrap()];
    object.read_at(0, &mut bytes).unwrap();
    assert_eq!(fs::read(to.path().join(&object.key)).unwrap(), bytes);
}
