//! The collector against services that fail in every way, and is killed meanwhile: nothing is lost,
//! line by line, and nothing is in S3 twice.

use logq_tests::doubles::cloudwatch::CloudWatch;
use logq_tests::doubles::faults::{Fault, Faults};
use logq_tests::doubles::s3::{CREDENTIALS, S3Server, Store};
use logq_tests::harness::landed::{self, Landed};
use logq_tests::harness::{Daemon, Program, Programs, free_port, pause, wait_for};
use logq_tests::loggen::Random;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(60);

const CONTAINERS: [&str; 3] = ["api", "web", "job"];

/// Collector, S3 and CloudWatch Logs side by side.
struct Scene {
    dir: tempfile::TempDir,
    programs: Programs,
    store: Store,
    cloudwatch: Arc<CloudWatch>,
    faults: [Arc<Faults>; 2],
    admin: u16,
    written: u64,
    _servers: [logq_tests::doubles::Server; 2],
}

impl Scene {
    fn new(seed: u64, percent: u64) -> Self {
        let faults = [0, 1].map(|n| Arc::new(Faults::new(seed + n, percent, &Fault::ALL)));
        let (store, s3) = S3Server::start(faults[0].clone()).unwrap();
        let (cloudwatch, logs) = CloudWatch::start(faults[1].clone()).unwrap();
        let scene = Self {
            dir: tempfile::tempdir().unwrap(),
            programs: Programs::locate_these(&[Program::Collector]).unwrap(),
            store,
            cloudwatch,
            faults,
            admin: free_port().unwrap(),
            written: 0,
            _servers: [s3, logs],
        };
        let endpoints = scene._servers.each_ref().map(logq_tests::doubles::Server::endpoint);
        let text = format!(
            r#"
data_dir = "{dir}/data"
cluster = "test"
node = "n1"
shutdown_timeout = "60s"
admin.address = "127.0.0.1:{admin}"
batch.timeout_secs = "100ms"
segment.max_age = "300ms"
[sources.pods]
type = "kubernetes_logs"
pods_dir = "{dir}/pods"
[sinks.bucket]
type = "aws_s3"
inputs = ["pods"]
bucket = "landing"
region = "us-east-1"
endpoint = "{s3}"
server_side_encryption = "aws:kms"
ssekms_key_id = "key-1"
acl = "bucket-owner-full-control"
request = {{ timeout = "1s", backoff = {{ initial = "20ms", max = "200ms" }} }}
[sinks.cloudwatch]
type = "aws_cloudwatch_logs"
inputs = ["pods"]
group_name = "/k8s/{{{{ namespace }}}}"
stream_name = "{{{{ pod }}}}/{{{{ container }}}}"
retention.days = 30
region = "us-east-1"
endpoint = "{logs}"
request = {{ timeout = "1s", backoff = {{ initial = "20ms", max = "200ms" }} }}
"#,
            dir = scene.path("").display(),
            admin = scene.admin,
            s3 = endpoints[0],
            logs = endpoints[1],
        );
        std::fs::write(scene.path("c.toml"), text).unwrap();
        scene
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn write(&mut self, lines: u64) {
        for container in CONTAINERS {
            let dir = self.path("pods/shop_shop-1_00000000-0000-4000-8000-000000000001").join(container);
            std::fs::create_dir_all(&dir).unwrap();
            let mut text = String::new();
            for number in self.written..self.written + lines {
                let time = chrono::Utc::now().to_rfc3339_opts(chrono::SecondsFormat::Nanos, true);
                writeln!(text, "{time} stdout F {container}={number} {}", "x".repeat(80)).unwrap();
            }
            let mut file = OpenOptions::new().create(true).append(true).open(dir.join("0.log")).unwrap();
            file.write_all(text.as_bytes()).unwrap();
        }
        self.written += lines;
    }

    fn start(&self) -> Daemon {
        let mut command = self.programs.command(Program::Collector);
        command.arg("run").arg("--config").arg(self.path("c.toml"));
        command.envs([("AWS_ACCESS_KEY_ID", CREDENTIALS.0), ("AWS_SECRET_ACCESS_KEY", CREDENTIALS.1)]);
        command.env("AWS_EC2_METADATA_DISABLED", "true");
        Daemon::spawn("logq-collector", command, &self.path("collector.log")).unwrap()
    }

    /// Records in S3: every object must be whole, and what was written twice must be the same bytes.
    fn in_s3(&self) -> Vec<Landed> {
        let mut records = Vec::new();
        for ((_, key), stored) in self.store.objects() {
            landed::object(&stored.bytes, &mut records).unwrap_or_else(|error| panic!("{key}: {error:#}"));
            assert_eq!(stored.changes, 0, "{key} was written again with other content");
            assert_eq!(stored.headers["acl"], "bucket-owner-full-control");
            assert_eq!(stored.headers["ssekms_key_id"], "key-1");
        }
        records
    }

    /// Numbers each container's stream holds, in the order of acceptance.
    fn in_cloudwatch(&self) -> BTreeMap<String, Vec<u64>> {
        let events = self.cloudwatch.events();
        let stream = |((group, stream), events): ((String, String), Vec<_>)| {
            assert_eq!(group, "/k8s/shop");
            let number = |event: &logq_tests::doubles::cloudwatch::Accepted| {
                event.message.split(['=', ' ']).nth(1).unwrap().parse().unwrap()
            };
            (stream.trim_start_matches("shop-1/").to_owned(), events.iter().map(number).collect())
        };
        events.into_iter().map(stream).collect()
    }

    fn missing_in_s3(&self) -> usize {
        let expected = self.written as usize * CONTAINERS.len();
        expected.saturating_sub(self.in_s3().len())
    }

    fn missing_in_cloudwatch(&self) -> usize {
        let found = self.in_cloudwatch();
        let missing = |container: &&str| {
            let distinct: BTreeSet<u64> = found.get(*container).into_iter().flatten().copied().collect();
            self.written as usize - distinct.len()
        };
        CONTAINERS.iter().map(missing).sum()
    }

    fn check(&self) {
        let mut bodies: BTreeMap<Vec<u8>, u32> = BTreeMap::new();
        for record in self.in_s3() {
            *bodies.entry(record.body).or_default() += 1;
        }
        assert_eq!(bodies.len(), self.written as usize * CONTAINERS.len(), "records in S3");
        let ids: BTreeSet<(String, u64)> =
            self.in_s3().into_iter().map(|record| (record.stream.id, record.offset)).collect();
        assert_eq!(ids.len(), bodies.len(), "identities of records");
        assert!(bodies.values().all(|count| *count == 1), "in S3 more than once");
        assert_eq!(self.missing_in_cloudwatch(), 0);
        for (stream, numbers) in self.in_cloudwatch() {
            // Repeats aside, records of a stream were accepted in their order.
            let mut seen = BTreeSet::new();
            let first: Vec<u64> = numbers.into_iter().filter(|number| seen.insert(*number)).collect();
            assert!(first.is_sorted(), "{stream} is out of order");
        }
        assert_eq!(self.cloudwatch.violations(), Vec::<String>::new(), "limits of CloudWatch Logs");
        assert_eq!(self.cloudwatch.retention("/k8s/shop"), Some(30));
    }
}

fn has_all(faults: &Faults) -> bool {
    Fault::ALL.iter().all(|fault| faults.seen().contains_key(fault))
}

/// G1, G2: all faults of both services at once, with kills of the collector in between.
#[test]
fn g1_g2_services_that_fail_in_every_way_cost_nothing() {
    let seed: u64 = std::env::var("LOGQ_SEED").map_or(42, |seed| seed.parse().unwrap());
    println!("faults: seed {seed} (LOGQ_SEED)");
    let mut scene = Scene::new(seed, 35);
    let mut random = Random::new(seed, "faults of the scene");
    for round in 0..5 {
        let mut collector = scene.start();
        for _ in 0..random.between(3, 8) {
            scene.write(random.between(20, 200));
            pause(Duration::from_millis(random.between(50, 400)));
        }
        assert!(collector.is_running(), "round {round}: {}", collector.last_words());
        collector.kill();
    }
    let mut last = scene.start();
    // Every kind of fault has to have happened before they stop.
    let faults = scene.faults.clone();
    let mut rounds = 0;
    let all = wait_for("every fault to happen", PATIENCE, || {
        scene.write(20);
        rounds += 1;
        faults.iter().all(|faults| has_all(faults))
    });
    all.unwrap_or_else(|error| {
        panic!("{error} after {rounds} rounds: {:?}", faults.each_ref().map(|f| f.seen()))
    });
    println!("faults injected: {:?}", faults.each_ref().map(|faults| faults.seen()));
    faults.iter().for_each(|faults| faults.set(0, &[]));
    wait_for("everything to arrive", PATIENCE, || {
        scene.missing_in_s3() == 0 && scene.missing_in_cloudwatch() == 0
    })
    .unwrap_or_else(|error| panic!("{error}: {}", last.last_words()));
    assert!(last.stop(PATIENCE).unwrap().is_some_and(|status| status.success()), "{}", last.last_words());
    scene.check();
}

/// G1, G2: large objects go in parts, and parts fail like everything else.
#[test]
fn g1_g2_uploads_in_parts_survive_faults_and_kills() {
    let seed: u64 = std::env::var("LOGQ_SEED").map_or(7, |seed| seed.parse().unwrap());
    println!("faults of parts: seed {seed} (LOGQ_SEED)");
    let mut scene = Scene::new(seed, 0);
    let text = std::fs::read_to_string(scene.path("c.toml")).unwrap();
    let text = text
        .replace("segment.max_age = \"300ms\"", "segment.max_age = \"2s\"\nsegment.max_bytes = \"16MiB\"");
    let text = text.replace("acl =", "multipart = { threshold = \"5MiB\", part_size = \"5MiB\" }\nacl =");
    std::fs::write(scene.path("c.toml"), text).unwrap();
    let dir = scene.path("pods/shop_shop-1_00000000-0000-4000-8000-000000000001/big");
    std::fs::create_dir_all(&dir).unwrap();
    let mut random = Random::new(seed, "parts");
    let mut lines = String::new();
    for number in 0..120_000 {
        let noise: String = (0..6).map(|_| format!("{:016x}", random.below(u64::MAX))).collect();
        writeln!(lines, "2026-11-24T10:00:00.{number:09}Z stdout F big={number} {noise}").unwrap();
    }
    scene.write(10);
    std::fs::write(dir.join("0.log"), lines).unwrap();
    let kinds =
        [Fault::Unavailable, Fault::ResetAfterBody, Fault::AnswerLost, Fault::ShortAnswer, Fault::Internal];
    scene.faults[0].set(40, &kinds);
    for _ in 0..2 {
        let mut collector = scene.start();
        pause(Duration::from_millis(random.between(2_500, 4_000)));
        collector.kill();
    }
    let mut last = scene.start();
    let big = |scene: &Scene| scene.in_s3().iter().filter(|record| record.stream.container == "big").count();
    wait_for("all records", PATIENCE, || big(&scene) == 120_000)
        .unwrap_or_else(|error| panic!("{error}: {} of 120000: {}", big(&scene), last.last_words()));
    scene.faults[0].set(0, &[]);
    assert!(last.stop(PATIENCE).unwrap().is_some_and(|status| status.success()));
    let parts = scene.store.objects().values().filter(|stored| stored.etag.contains('-')).count();
    assert!(parts > 0, "no object was uploaded in parts");
    let ids: BTreeSet<(String, u64)> =
        scene.in_s3().into_iter().map(|record| (record.stream.id, record.offset)).collect();
    assert_eq!(ids.len(), 120_000 + 3 * 10, "identities of records");
}

/// G1: one service is down for good, the other gets everything in the meantime.
#[test]
fn g1_a_broken_sink_does_not_hold_up_a_healthy_one() {
    let mut scene = Scene::new(1, 0);
    scene.faults[0].set(100, &[Fault::Hang, Fault::Reset, Fault::Unavailable]);
    let mut collector = scene.start();
    for _ in 0..10 {
        scene.write(100);
        pause(Duration::from_millis(50));
    }
    wait_for("CloudWatch to have everything", PATIENCE, || scene.missing_in_cloudwatch() == 0)
        .unwrap_or_else(|error| panic!("{error}: {}", collector.last_words()));
    assert_eq!(scene.in_s3(), []);
    let page = Daemon::metrics(scene.admin).unwrap();
    assert!(page.contains("collector_sink_failing{sink=\"bucket\"} 1"), "{page}");
    assert!(page.contains("collector_sink_failing{sink=\"cloudwatch\"} 0"), "{page}");
    // In order, and without repeats while nothing failed there.
    for (stream, numbers) in scene.in_cloudwatch() {
        assert_eq!(numbers, (0..1000).collect::<Vec<u64>>(), "{stream}");
    }
    scene.faults[0].set(0, &[]);
    wait_for("S3 to catch up", PATIENCE, || scene.missing_in_s3() == 0).unwrap();
    assert!(collector.stop(PATIENCE).unwrap().is_some_and(|status| status.success()));
    scene.check();
    assert!(!scene.path("data/rejected").exists());
}

/// G10: what CloudWatch Logs does not take for good is kept and counted, and stops nothing else.
#[test]
fn g10_records_cloudwatch_refuses_for_good_are_kept_and_counted() {
    let scene = Scene::new(1, 0);
    let dir = scene.path("pods/shop_shop-1_00000000-0000-4000-8000-000000000001/api");
    std::fs::create_dir_all(&dir).unwrap();
    let at = |hours: i64| (chrono::Utc::now() + chrono::Duration::hours(hours)).to_rfc3339();
    let huge = "y".repeat(900_000);
    let lines = [
        format!("{} stdout F too=1 old", at(-24 * 15)),
        format!("{} stdout F in=2 time", at(-24 * 13)),
        format!("{} stdout F in=3 {huge}{}", at(0), &huge[..140_000]),
        format!("{} stdout F ", at(0)),
        format!("{} stdout F too=5 new", at(3)),
        format!("{} stdout F in=6 time", at(0)),
    ];
    std::fs::write(dir.join("0.log"), lines.join("\n") + "\n").unwrap();
    let mut collector = scene.start();
    let accepted = || scene.cloudwatch.events().values().map(Vec::len).sum::<usize>();
    wait_for("four records", PATIENCE, || accepted() >= 4)
        .unwrap_or_else(|error| panic!("{error}: {}", collector.last_words()));
    wait_for("all six in S3", PATIENCE, || scene.in_s3().len() == 6).unwrap();
    let page = Daemon::metrics(scene.admin).unwrap();
    for line in [
        "collector_sink_rejected_records_total{sink=\"cloudwatch\",reason=\"too_old\"} 1",
        "collector_sink_rejected_records_total{sink=\"cloudwatch\",reason=\"too_new\"} 1",
        "collector_sink_sent_records_total{sink=\"cloudwatch\"} 4",
        "collector_sink_lost_records_total{sink=\"cloudwatch\"} 0",
    ] {
        assert!(page.contains(line), "{line} is missing in\n{page}");
    }
    let kept = std::fs::read_to_string(scene.path("data/rejected/cloudwatch.jsonl")).unwrap();
    assert!(kept.contains("too=1 old") && kept.contains("too=5 new") && kept.lines().count() == 2, "{kept}");
    assert!(collector.stop(PATIENCE).unwrap().is_some_and(|status| status.success()));
    assert_eq!(scene.cloudwatch.violations(), Vec::<String>::new());
}
