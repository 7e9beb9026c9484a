//! Batches interrupted between any two steps.

mod every_call;
mod faulty;
mod schedules;
mod world;

use super::*;
use crate::discover::listing::list;

struct Bench {
    _root: tempfile::TempDir,
    lake: Lake,
    input: String,
}

fn record(id: u32) -> String {
    format!(
        r#"{{"eventVersion":"1.08","eventID":"id-{id}","eventTime":"2026-11-22T10:00:{:02}Z","eventSource":"s3.amazonaws.com","eventName":"GetObject","awsRegion":"eu-west-1","recipientAccountId":"012345678901","sourceIPAddress":"198.51.100.7","userIdentity":{{"type":"Root"}}}}"#,
        id % 60
    )
}

impl Bench {
    async fn new(files: u32) -> Bench {
        let root = tempfile::tempdir().expect("temporary directory");
        let input = root.path().join("in");
        std::fs::create_dir_all(&input).expect("makes the directory");
        for file in 0..files {
            let body = format!(r#"{{"Records":[{},{}]}}"#, record(2 * file), record(2 * file + 1));
            std::fs::write(input.join(format!("{file}.json")), body).expect("writes");
        }
        let lake = root.path().join("lake");
        let lake = Lake::open(lake.to_str().expect("UTF-8")).await.expect("opens");
        let input = input.to_str().expect("UTF-8").to_owned();
        Bench { _root: root, lake, input }
    }

    async fn open(&self) -> Processor {
        Processor::open(self.lake.clone(), Config::default(), Arc::default()).await.expect("opens")
    }

    async fn candidates(&self, processor: &Processor) -> Vec<Candidate> {
        list(processor.inputs(), &self.input, None).await.candidates
    }

    /// Rows of a table, as its log says.
    async fn rows(&self, table: &'static Table) -> usize {
        let table = LakeTable::open(&self.lake, table).await.expect("opens");
        let snapshot = table.delta().snapshot().expect("loaded");
        snapshot.log_data().iter().filter_map(|file| file.num_records()).sum()
    }
}

/// Claims, parses and stores a batch and stops before the commits; gives the files by table.
async fn store_without_commit(processor: &mut Processor, candidates: Vec<Candidate>) -> (Claim, Files) {
    let objects = processor.load(candidates, &mut Vec::new()).await;
    let claimed: Vec<ClaimedObject> = objects.iter().map(|(object, _)| object.clone()).collect();
    let Ok(Attempt::Claimed(claim)) = processor.claims.claim(&claimed, -1, 1_000_000).await else {
        unreachable!("nobody else claims");
    };
    let (files_in, files_out) = tokio::sync::mpsc::channel(WRITES);
    let job = parse::Job {
        claim: claim.clone(),
        objects,
        verdicts: Vec::new(),
        seen: Seen::default(),
        flow_formats: std::sync::Arc::new([]),
        limits: processor.config.limits,
        memory_bytes_max: usize::MAX,
    };
    let parser = tokio::task::spawn_blocking(move || job.run(&files_in));
    let files = processor.store_files(files_out, &HashSet::new()).await.expect("stores");
    parser.await.expect("runs").expect("parses");
    (claim, files)
}

type Files = BTreeMap<String, Vec<Add>>;

#[tokio::test]
async fn g5_rows_appear_with_their_commit_only() {
    let bench = Bench::new(3).await;
    let mut processor = bench.open().await;
    let candidates = bench.candidates(&processor).await;
    let (_, files) = store_without_commit(&mut processor, candidates).await;
    assert!(files.contains_key("cloudtrail"), "the data file is in the table's folder");
    drop(processor);
    assert_eq!(bench.rows(&tables::cloudtrail::TABLE).await, 0, "and not in the table");
    let _recovered = bench.open().await;
    assert_eq!(bench.rows(&tables::cloudtrail::TABLE).await, 6);
    assert_eq!(bench.rows(&tables::ingest::TABLE).await, 3);
}

#[tokio::test]
async fn g3_a_batch_interrupted_between_two_commits_is_completed_without_repeats() {
    let bench = Bench::new(2).await;
    let mut processor = bench.open().await;
    let candidates = bench.candidates(&processor).await;
    let (claim, files) = store_without_commit(&mut processor, candidates).await;
    let app_id = processor.app_id.clone();
    let table = processor.tables.get_mut("cloudtrail").expect("open");
    table.append(&files["cloudtrail"], &app_id, claim.sequence).await.expect("commits");
    drop(processor);
    let mut processor = bench.open().await;
    assert_eq!(bench.rows(&tables::cloudtrail::TABLE).await, 4);
    assert_eq!(bench.rows(&tables::ingest::TABLE).await, 2);
    let again = bench.candidates(&processor).await;
    let outcome = processor.take_in(again).await.expect("works");
    assert_eq!((outcome.summary.objects, outcome.summary.objects_known), (0, 2));
    assert_eq!(bench.rows(&tables::cloudtrail::TABLE).await, 4);
}

#[tokio::test]
async fn g3_a_batch_prepared_twice_commits_what_was_prepared_first() {
    let bench = Bench::new(2).await;
    let mut processor = bench.open().await;
    let candidates = bench.candidates(&processor).await;
    let (claim, files) = store_without_commit(&mut processor, candidates).await;
    let prepared = |files| Prepared { sequence: claim.sequence, files, summary: Summary::default() };
    let first = prepared::settle(&bench.lake, prepared(files.clone())).await.expect("settles");
    let other = prepared::settle(&bench.lake, prepared(Files::new())).await.expect("settles");
    let path = |one: &Prepared| one.files["cloudtrail"][0].path.clone();
    assert_eq!(path(&first), path(&other));
    drop(processor);
    // From here on the objects are not needed.
    std::fs::remove_dir_all(&bench.input).expect("removes");
    let processor = bench.open().await;
    let stored = data_files(&processor.tables["cloudtrail"]).expect("lists");
    assert_eq!(stored.iter().map(|file| file.path.to_string()).collect::<Vec<_>>(), [path(&first)]);
    assert_eq!(bench.rows(&tables::ingest::TABLE).await, 2);
    assert_eq!(bench.rows(&tables::rejected::TABLE).await, 0);
}

#[tokio::test]
async fn a_prepared_batch_whose_files_are_gone_is_parsed_again() {
    let bench = Bench::new(2).await;
    let mut processor = bench.open().await;
    let candidates = bench.candidates(&processor).await;
    let (claim, files) = store_without_commit(&mut processor, candidates).await;
    let path = Path::from(format!("cloudtrail/{}", files["cloudtrail"][0].path));
    let prepared = Prepared { sequence: claim.sequence, files, summary: Summary::default() };
    prepared::settle(&bench.lake, prepared).await.expect("settles");
    drop(processor);
    bench.lake.store().delete(&path).await.expect("deletes");
    let _recovered = bench.open().await;
    assert_eq!(bench.rows(&tables::cloudtrail::TABLE).await, 4);
    assert_eq!(bench.rows(&tables::ingest::TABLE).await, 2);
}

#[tokio::test]
async fn g3_a_commit_that_landed_with_its_answer_lost_is_not_repeated() {
    let bench = Bench::new(1).await;
    let mut processor = bench.open().await;
    let candidates = bench.candidates(&processor).await;
    let (claim, files) = store_without_commit(&mut processor, candidates).await;
    let app_id = processor.app_id.clone();
    for _ in 0..2 {
        let table = processor.tables.get_mut("cloudtrail").expect("open");
        table.append(&files["cloudtrail"], &app_id, claim.sequence).await.expect("commits");
    }
    assert_eq!(bench.rows(&tables::cloudtrail::TABLE).await, 2);
    let version = processor.tables["cloudtrail"].delta().version();
    assert_eq!(
        version.map(|version| version.to_string()).as_deref(),
        Some("1"),
        "one commit after the creation"
    );
}

#[tokio::test]
async fn an_object_that_vanished_from_an_interrupted_batch_leaves_a_rejected_row() {
    let bench = Bench::new(2).await;
    let mut processor = bench.open().await;
    let candidates = bench.candidates(&processor).await;
    store_without_commit(&mut processor, candidates).await;
    drop(processor);
    std::fs::remove_file(format!("{}/0.json", bench.input)).expect("removes");
    let _recovered = bench.open().await;
    assert_eq!(bench.rows(&tables::cloudtrail::TABLE).await, 2);
    assert_eq!(bench.rows(&tables::rejected::TABLE).await, 1);
    assert_eq!(bench.rows(&tables::ingest::TABLE).await, 2);
}

#[tokio::test]
async fn g4_an_event_delivered_in_two_objects_is_stored_once_even_across_a_restart() {
    let bench = Bench::new(1).await;
    let mut processor = bench.open().await;
    let first = bench.candidates(&processor).await;
    processor.take_in(first).await.expect("works");
    drop(processor);
    // The same two events beside a new one, in another object.
    let body = format!(r#"{{"Records":[{},{},{}]}}"#, record(0), record(1), record(9));
    std::fs::write(format!("{}/again.json", bench.input), body).expect("writes");
    let mut processor = bench.open().await;
    let second = bench.candidates(&processor).await;
    let outcome = processor.take_in(second).await.expect("works");
    assert_eq!((outcome.summary.rows["cloudtrail"], outcome.summary.duplicates), (1, 2));
    assert_eq!(bench.rows(&tables::cloudtrail::TABLE).await, 3);
}

#[tokio::test]
async fn objects_without_room_in_memory_are_parsed_from_their_files() {
    let bench = Bench::new(3).await;
    let packed = {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        let body = format!(r#"{{"Records":[{},{}]}}"#, record(70), record(71));
        std::io::Write::write_all(&mut encoder, body.as_bytes()).expect("writes");
        encoder.finish().expect("ends")
    };
    std::fs::write(format!("{}/packed.json.gz", bench.input), packed).expect("writes");
    // Room for the first object only.
    let config = Config { batch_stored_bytes_max: 600, ..Config::default() };
    let mut processor = Processor::open(bench.lake.clone(), config, Arc::default()).await.expect("opens");
    let candidates = bench.candidates(&processor).await;
    let outcome = processor.take_in(candidates).await.expect("works");
    assert_eq!((outcome.summary.objects, outcome.summary.rows["cloudtrail"]), (4, 8));
    assert!(outcome.summary.rejected.is_empty(), "{:?}", outcome.summary.rejected);
    // The same content read into memory is known.
    drop(processor);
    let mut processor = bench.open().await;
    let again = bench.candidates(&processor).await;
    let outcome = processor.take_in(again).await.expect("works");
    assert_eq!((outcome.summary.objects, outcome.summary.objects_known), (0, 4));
}

#[test]
fn a_file_that_is_not_what_was_claimed_fails_the_batch() {
    struct Nowhere;
    impl crate::formats::Output for Nowhere {
        fn rows(&mut self, _: &'static Table, _: arrow::array::RecordBatch) {}
        fn rejected(&mut self, _: crate::formats::Rejected) {}
    }
    let body = format!(r#"{{"Records":[{}]}}"#, record(1));
    let mut claimed = ClaimedObject {
        location: "/in/a.json".to_owned(),
        object_id: crate::stored::object_id(body.as_bytes()),
        stored_bytes: body.len() as u64,
        last_modified: None,
        etag: None,
    };
    let mut file = tempfile::tempfile().expect("temporary file");
    std::io::Write::write_all(&mut file, body.as_bytes()).expect("writes");
    let stored = Stored::File { file, bytes: body.len() as u64 };
    let limits = Config::default().limits;
    let context = crate::formats::Context { ingest_time: 0, limits: &limits, flow_formats: &[] };
    let read =
        |claimed: &ClaimedObject| parse::read(claimed, &stored, &context, &mut Seen::default(), &mut Nowhere);
    assert_eq!(read(&claimed).expect("is what was claimed").counts.rows, 1);
    claimed.object_id = crate::stored::object_id(b"what it was before");
    assert!(matches!(read(&claimed), Err(PipelineError::Storage(StorageError::Read { .. }))));
}

#[tokio::test]
async fn a_second_process_on_the_same_shard_is_refused() {
    let bench = Bench::new(0).await;
    let _first = bench.open().await;
    let second = Processor::open(bench.lake.clone(), Config::default(), Arc::default()).await;
    assert!(matches!(second, Err(PipelineError::ShardInUse { .. })));
}
