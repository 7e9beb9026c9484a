use super::*;
use crate::batch::{Arena, Batch, Encoding, Record, Span as Bytes};
use crate::config::{ByteSize, Span};
use crate::position::{Advance, Fingerprint, Position};
use crate::stream::{Owner, Stdio, Stream};
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

/// One record of file `id`, which advances it from `from` to `to`.
fn batch(id: u128, from: u64, to: u64) -> Batch {
    let owner = Arc::new(Owner::parse("a_b_c", "d", "0.log").unwrap());
    let stream = Stream::new(Fingerprint(id), owner, Stdio::Stdout, Path::new("0.log"));
    let joined = b"2026-11-22T23:30:00-02:00body".to_vec();
    let position = Position {
        id: Fingerprint(id),
        to,
        open: vec![],
        long_line: None,
        time: String::new(),
        path: String::new(),
    };
    Batch {
        records: vec![Record {
            stream: 0,
            arena: Arena::Joined,
            encoding: Encoding::Unchecked,
            split: false,
            offset: from,
            time: Bytes::of(0, 25),
            body: Bytes::of(25, joined.len()),
        }],
        streams: vec![Arc::new(stream)],
        advances: vec![Advance { from, position, reset: false, forget: false }],
        joined,
        ..Batch::default()
    }
}

fn open(dir: &Path, sinks: &[&str]) -> (Arc<Spool>, Positions, Arc<Metrics>) {
    let metrics = Arc::new(Metrics::default());
    let sinks = sinks.iter().map(|sink| (*sink).to_owned()).collect();
    let (spool, positions) =
        Spool::open(dir, limits(1 << 30, WhenFull::Block), sinks, metrics.clone()).unwrap();
    (spool, positions, metrics)
}

fn sealed(spool: &Spool) -> Vec<Arc<Sealed>> {
    spool.lock().sealed.values().cloned().collect()
}

#[test]
fn one_directory_takes_one_collector() {
    let dir = tempfile::tempdir().unwrap();
    let first = open(dir.path(), &["a"]);
    let again = Spool::open(dir.path(), limits(1, WhenFull::Block), vec![], Arc::new(Metrics::default()));
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
            assert!(writer.store(&batch(1, i * 10, i * 10 + 10), &wiring()));
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
    writer.store(&batch(1, 30, 40), &wiring());
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
            writer.store(&batch(1, 0, 10), &wiring());
            writer.seal().unwrap();
            (sealed(&spool)[0].digest.clone(), sealed(&spool)[0].date.clone())
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
            writer.store(&batch(1, i * 10, i * 10 + 10), &wiring());
            writer.store(&batch(2 + u128::from(i), 0, 5), &wiring());
        }
        writer.seal().unwrap();
        sealed(&spool)[0].path.clone()
    };
    let mut bytes = fs::read(&path).unwrap();
    let second = Segment::parse(bytes.clone().into()).frames[2].payload.start;
    bytes[second + 3] ^= 1;
    fs::write(&path, bytes).unwrap();
    let (spool, positions, metrics) = open(dir.path(), &["a"]);
    assert_eq!(metrics.spool_damaged_frames.get(), 1);
    assert_eq!(sealed(&spool)[0].records, 5);
    // File 1 lost its second step: it goes on behind the first. The others are whole.
    assert_eq!(positions.find(Fingerprint(1)).unwrap().to, 10);
    assert_eq!(positions.find(Fingerprint(4)).unwrap().to, 5);
}

#[test]
fn a_full_spool_drops_only_when_told_to_and_counts_it() {
    let dir = tempfile::tempdir().unwrap();
    let metrics = Arc::new(Metrics::default());
    let (spool, _) =
        Spool::open(dir.path(), limits(1, WhenFull::DropNewest), vec!["a".into()], metrics.clone()).unwrap();
    let mut writer = Writer::new(spool.clone()).unwrap();
    for i in 0..3 {
        assert!(writer.store(&batch(1, i * 10, i * 10 + 10), &wiring()));
    }
    assert_eq!(metrics.spool_dropped_records.get(), 2);
    drop((writer, spool));
    let (_, positions, _) = open(dir.path(), &["a"]);
    assert_eq!(positions.find(Fingerprint(1)).unwrap().to, 30);
}

#[test]
fn a_full_spool_that_blocks_gives_up_only_at_shutdown() {
    let dir = tempfile::tempdir().unwrap();
    let metrics = Arc::new(Metrics::default());
    let (spool, _) =
        Spool::open(dir.path(), limits(1, WhenFull::Block), vec!["a".into()], metrics.clone()).unwrap();
    let mut writer = Writer::new(spool.clone()).unwrap();
    assert!(writer.store(&batch(1, 0, 10), &wiring()));
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
    assert!(writer.store(&batch(1, 10, 20), &wiring), "room was made");
    assert!(!writer.store(&batch(1, 20, 30), &wiring), "no room, and shutting down");
    sink.join().unwrap();
    assert_eq!(metrics.spool_dropped_records.get(), 0);
}
