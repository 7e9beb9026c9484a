//! Records that a newer parser reads, records that were cut, objects that came back.

use super::pack::Outcome;
use super::run::{Report, replay};
use super::select::Selection;
use crate::config::Config;
use crate::discover::listing::list;
use crate::lake::read::{data_files, read_columns};
use crate::lake::table::LakeTable;
use crate::pipeline::Processor;
use crate::storage::Lake;
use arrow::array::AsArray;
use logq_schemas::{Table, tables};
use std::sync::Arc;

struct Bench {
    root: tempfile::TempDir,
    lake: Lake,
}

impl Bench {
    async fn new() -> Bench {
        let root = tempfile::tempdir().expect("temporary directory");
        std::fs::create_dir(root.path().join("in")).expect("makes the directory");
        let lake = Lake::open(root.path().join("lake").to_str().expect("UTF-8")).await.expect("opens");
        Bench { root, lake }
    }

    fn put(&self, name: &str, bytes: impl AsRef<[u8]>) {
        std::fs::write(self.root.path().join("in").join(name), bytes).expect("writes");
    }

    async fn open(&self, config: &Config) -> Processor {
        Processor::open(self.lake.clone(), config.clone(), Arc::default()).await.expect("opens")
    }

    async fn take_in(&self, config: &Config) {
        let mut processor = self.open(config).await;
        let found =
            list(processor.inputs(), self.root.path().join("in").to_str().expect("UTF-8"), None).await;
        processor.take_in(found.candidates).await.expect("takes in");
    }

    async fn replay(&self, config: &Config, dry: bool) -> Report {
        let mut processor = self.open(config).await;
        replay(&self.lake, &mut processor, &Selection::default(), dry).await.expect("replays")
    }

    async fn rows(&self, table: &'static Table) -> usize {
        let table = LakeTable::open(&self.lake, table).await.expect("opens");
        table
            .delta()
            .snapshot()
            .expect("loaded")
            .log_data()
            .iter()
            .filter_map(|file| file.num_records())
            .sum()
    }

    async fn texts(&self, table: &'static Table, column: &str) -> Vec<String> {
        let table = LakeTable::open(&self.lake, table).await.expect("opens");
        let mut values = Vec::new();
        for file in data_files(&table).expect("lists") {
            for rows in read_columns(&table, &file, &[column]).await.expect("reads") {
                let found = rows.column_by_name(column).expect("the column").as_string::<i32>().clone();
                values.extend(found.iter().flatten().map(str::to_owned));
            }
        }
        values.sort();
        values
    }
}

fn record(id: &str, filler: usize) -> String {
    format!(
        r#"{{"eventVersion":"1.08","eventID":"{id}","eventTime":"2026-11-22T10:00:00Z","eventSource":"s3.amazonaws.com","eventName":"GetObject","awsRegion":"eu-west-1","recipientAccountId":"012345678901","requestParameters":{{"x":"{}"}},"userIdentity":{{"type":"Root"}}}}"#,
        "y".repeat(filler)
    )
}

/// A configuration whose limits refuse what the default takes.
fn strict() -> Config {
    let mut config = Config::default();
    config.limits.record_bytes_max = 600;
    config.limits.rejected_bytes_max = 200;
    config
}

#[tokio::test(flavor = "multi_thread")]
async fn g3_a_record_too_large_once_is_replayed_from_its_object_and_only_once() {
    let bench = Bench::new().await;
    let body = format!(r#"{{"Records":[{},{},{}]}}"#, record("a", 1), record("b", 4_000), record("c", 1));
    bench.put("1.json", body);
    bench.take_in(&strict()).await;
    assert_eq!(
        (bench.rows(&tables::cloudtrail::TABLE).await, bench.rows(&tables::rejected::TABLE).await),
        (2, 1)
    );

    let still = bench.replay(&strict(), false).await;
    assert_eq!((still.count(Outcome::StillRejected), still.count(Outcome::Parses)), (1, 0));
    let dry = bench.replay(&Config::default(), true).await;
    assert_eq!(dry.count(Outcome::Parses), 1);
    assert_eq!(bench.rows(&tables::cloudtrail::TABLE).await, 2, "a dry run writes nothing");

    let done = bench.replay(&Config::default(), false).await;
    assert_eq!((done.count(Outcome::Parses), done.summary.rows["cloudtrail"]), (1, 1));
    assert_eq!(bench.texts(&tables::cloudtrail::TABLE, "event_uid").await, ["a", "b", "c"]);
    // The rejection is settled, its row stays, and nobody rejected it again.
    let open = bench.texts(&tables::rejected::TABLE, "event_uid").await;
    assert_eq!(bench.texts(&tables::replayed::TABLE, "rejected_uid").await, open);
    let again = bench.replay(&Config::default(), false).await;
    assert_eq!((again.rejections.len(), again.summary.objects), (0, 0));
    assert_eq!(bench.rows(&tables::cloudtrail::TABLE).await, 3);
    let left = std::fs::read_dir(bench.root.path().join("lake/state/replayed")).expect("the folder");
    assert_eq!(left.count(), 0, "replay objects are removed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_record_whose_object_is_gone_stays_open() {
    let bench = Bench::new().await;
    bench.put("1.json", format!(r#"{{"Records":[{},{}]}}"#, record("a", 1), record("b", 4_000)));
    bench.take_in(&strict()).await;
    std::fs::remove_file(bench.root.path().join("in/1.json")).expect("removes");
    let report = bench.replay(&Config::default(), false).await;
    assert_eq!((report.count(Outcome::Cut), report.summary.objects), (1, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_of_a_flow_log_are_replayed_under_their_own_header() {
    let bench = Bench::new().await;
    let filler = "x".repeat(400);
    let line = |vpc: &str| format!("{vpc} 10.0.0.1 10.0.0.2 1418530010 1418530070 OK\n");
    // Two equal lines are two records; the second header has another order.
    let text = format!(
        "vpc-id srcaddr dstaddr start end log-status\n{}{}{}srcaddr vpc-id dstaddr start end log-status\n10.9.9.9 {} 10.0.0.2 1418530010 1418530070 OK\n",
        line("vpc-1"),
        line(&filler),
        line(&filler),
        filler
    );
    bench.put("flow.log", text);
    let mut config = strict();
    config.limits.record_bytes_max = 300;
    config.limits.rejected_bytes_max = 1_000;
    bench.take_in(&config).await;
    assert_eq!(
        (bench.rows(&tables::vpc_flow::TABLE).await, bench.rows(&tables::rejected::TABLE).await),
        (1, 3)
    );
    let report = bench.replay(&Config::default(), false).await;
    assert_eq!(report.count(Outcome::Parses), 3, "{report:?}");
    let sources = bench.texts(&tables::vpc_flow::TABLE, "src_ip").await;
    assert_eq!(sources, ["10.0.0.1", "10.0.0.1", "10.0.0.1", "10.9.9.9"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn damage_is_left_to_a_new_upload() {
    let bench = Bench::new().await;
    bench.put("1.json", format!(r#"{{"Records":[{},{{"eventVersion":"1.0"#, record("a", 1)));
    bench.put("2.bin", b"PK\x03\x04 no log at all");
    bench.take_in(&Config::default()).await;
    let report = bench.replay(&Config::default(), false).await;
    assert_eq!(report.count(Outcome::Parses), 0, "{report:?}");
    assert_eq!(report.count(Outcome::StillRejected), 2, "{report:?}");
}

/// Killed between the batch and the note that it is settled: the next replay records it and adds nothing.
#[tokio::test(flavor = "multi_thread")]
async fn g3_a_replay_cut_off_before_it_is_recorded_is_completed() {
    let bench = Bench::new().await;
    bench.put("1.json", format!(r#"{{"Records":[{},{}]}}"#, record("a", 1), record("b", 4_000)));
    bench.take_in(&strict()).await;
    // What the cut off replay leaves: its object taken in, its note there, nothing recorded.
    let folder = bench.root.path().join("lake/state/replayed");
    std::fs::create_dir_all(&folder).expect("makes the folder");
    let object = zstd::encode_all(format!("{}\n", record("b", 4_000)).as_bytes(), 3).expect("into memory");
    let identity = crate::stored::object_id(&object);
    let uid = bench.texts(&tables::rejected::TABLE, "event_uid").await.remove(0);
    let path = folder.join(format!("{}-{identity}.zst", &uid[..32]));
    std::fs::write(&path, &object).expect("writes");
    let name = format!("state/replayed/{}-{identity}.zst", &uid[..32]);
    let note =
        serde_json::json!({"object_id": identity, "object": name, "settles": [[uid, "record_too_large"]]});
    std::fs::write(path.with_extension("json"), note.to_string()).expect("writes");
    let mut processor = bench.open(&Config::default()).await;
    let found = list(processor.inputs(), path.to_str().expect("UTF-8"), None).await;
    processor.take_in(found.candidates).await.expect("takes in");
    drop(processor);
    assert_eq!(bench.rows(&tables::cloudtrail::TABLE).await, 2);

    let report = bench.replay(&Config::default(), false).await;
    assert_eq!((report.completed, report.summary.objects), (1, 0), "{report:?}");
    assert_eq!(bench.rows(&tables::cloudtrail::TABLE).await, 2);
    assert_eq!(bench.rows(&tables::replayed::TABLE).await, 1);
}
