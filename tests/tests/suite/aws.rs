//! The processor on SQS and S3 notifications, the collector's S3 sink and a lake on S3, against the
//! S3 and SQS of moto (a real HTTP server).

use crate::stage::{Stage, plan};
use logq_tests::harness::collector::Collector;
use logq_tests::harness::{Daemon, Lake, Program, free_port, python, wait_for};
use logq_tests::loggen::Plan;
use logq_tests::loggen::corpus::Manifest;
use logq_tests::loggen::vpc_flow::Layout;
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// Makes two buckets and a queue that hears of new objects in the first; prints the queue's URL.
const SETUP: &str = r#"
import boto3, json, sys
endpoint = sys.argv[1]
s3, sqs = (boto3.client(name, endpoint_url=endpoint) for name in ("s3", "sqs"))
for bucket in ("landing", "lake"):
    s3.create_bucket(Bucket=bucket)
url = sqs.create_queue(QueueName="landing-events")["QueueUrl"]
arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
s3.put_bucket_notification_configuration(Bucket="landing", NotificationConfiguration={
    "QueueConfigurations": [{"QueueArn": arn, "Events": ["s3:ObjectCreated:*"]}]})
print(url)
"#;

/// Uploads every file below a folder under its relative path; some of them twice.
const UPLOAD: &str = r#"
import boto3, os, sys
endpoint, root = sys.argv[1:3]
s3 = boto3.client("s3", endpoint_url=endpoint)
for number, (folder, _, names) in enumerate(sorted(os.walk(root))):
    for name in names:
        path = os.path.join(folder, name)
        for _ in range(2 if number % 7 == 0 else 1):
            s3.upload_file(path, "landing", os.path.relpath(path, root))
"#;

/// Prints how many messages the queue still holds: all, or those in somebody's hands.
pub const LEFT: &str = r#"
import boto3, sys
endpoint, url, which = sys.argv[1:4]
names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"][which == "in_flight":]
found = boto3.client("sqs", endpoint_url=endpoint).get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
print(sum(int(found[name]) for name in names))
"#;

/// S3 and SQS of the emulator, with a bucket of input objects, one for the lake and a queue.
pub struct Cloud {
    pub endpoint: String,
    pub environment: Vec<(String, String)>,
    python: std::path::PathBuf,
    pub(crate) queue: String,
    _server: Daemon,
}

impl Cloud {
    /// Starts moto; none when the Python environment is missing.
    pub fn start(stage: &Stage) -> Option<Self> {
        let Some(python) = python() else {
            println!("skipped: no Python environment with moto; ./dev test makes it");
            return None;
        };
        let port = free_port().unwrap();
        let endpoint = format!("http://127.0.0.1:{port}");
        let mut command = Command::new(python.with_file_name("moto_server"));
        command.args(["-H", "127.0.0.1", "-p", &port.to_string()]);
        let mut server = Daemon::spawn("moto_server", command, &stage.path("moto.log")).unwrap();
        let answered =
            wait_for("moto", Duration::from_secs(60), || TcpStream::connect(("127.0.0.1", port)).is_ok());
        assert!(answered.is_ok() && server.is_running(), "moto did not start:\n{}", server.last_words());
        let environment = [
            ("AWS_ENDPOINT_URL", endpoint.as_str()),
            ("AWS_ALLOW_HTTP", "true"),
            ("AWS_ACCESS_KEY_ID", "test"),
            ("AWS_SECRET_ACCESS_KEY", "test"),
            ("AWS_REGION", "us-east-1"),
            ("AWS_DEFAULT_REGION", "us-east-1"),
            ("AWS_EC2_METADATA_DISABLED", "true"),
        ];
        let environment: Vec<_> = environment.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let mut cloud = Self { endpoint, environment, python, queue: String::new(), _server: server };
        cloud.queue = cloud.script(SETUP, &[]);
        Some(cloud)
    }

    pub fn script(&self, script: &str, arguments: &[&str]) -> String {
        let output = Command::new(&self.python)
            .args(["-c", script, &self.endpoint])
            .args(arguments)
            .envs(self.environment.iter().cloned())
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    fn left(&self, which: &str) -> u64 {
        self.script(LEFT, &[&self.queue, which]).parse().unwrap()
    }

    pub fn processor(&self, stage: &Stage) -> Daemon {
        self.processor_as(stage, "0", "4s")
    }

    fn processor_as(&self, stage: &Stage, shard: &str, until_idle: &str) -> Daemon {
        // Messages of a killed processor come back soon.
        let config = stage.path("processor.toml");
        std::fs::write(&config, "visibility = \"15s\"\n").unwrap();
        let mut command = stage.programs.command(Program::Processor);
        command.arg("run").arg("--config").arg(config).args([
            "--lake",
            "s3://lake/lake",
            "--commit-interval",
            "500ms",
            "--until-idle",
            until_idle,
            "--shard",
            shard,
        ]);
        command.args(["--sqs-queue-url", &self.queue, "--sqs-endpoint", &self.endpoint]);
        command.envs(self.environment.iter().cloned());
        Daemon::spawn("logq-processor", command, &stage.path(&format!("processor-{shard}.log"))).unwrap()
    }

    pub fn lake(&self, stage: &Stage) -> Lake {
        Lake::new(&stage.programs, "s3://lake/lake").with_environment(&self.environment)
    }
}

pub(crate) fn finish(processor: &mut Daemon) {
    let status = processor.finish(Duration::from_secs(240)).unwrap();
    assert!(status.is_some_and(|status| status.success()), "{}", processor.last_words());
}

/// Every record of the corpus is in its table once, and the ledger balances.
pub fn assert_once(lake: &Lake, manifest: &Manifest) {
    for (table, rows) in [("cloudtrail", manifest.cloudtrail.rows()), ("vpc_flow", manifest.vpc_flow.rows())]
    {
        assert_eq!(lake.count(table).unwrap(), rows, "{table}");
        let repeated = lake.number(&format!("select count(*) - count(distinct event_uid) as n from {table}"));
        assert_eq!(repeated.unwrap(), 0, "{table}");
    }
    let number = |sql: &str| lake.number(sql).unwrap();
    let rows = manifest.cloudtrail.rows() + manifest.vpc_flow.rows();
    assert_eq!(number("select sum(rows) as n from ingest"), rows, "the ledger counts other rows");
    let repeated = "select count(*) - count(distinct object_id) as n from ingest";
    assert_eq!(number(repeated), 0, "objects that are in the ledger twice");
}

pub(crate) fn upload(cloud: &Cloud, root: &Path) {
    cloud.script(UPLOAD, &[&root.display().to_string()]);
}

/// G3: objects announced once or twice by S3 are in the lake once; the queue is empty afterwards.
#[test]
fn g3_s3_notifications_bring_every_object_into_a_lake_on_s3_once() {
    let stage = Stage::new();
    let Some(cloud) = Cloud::start(&stage) else { return };
    let (root, manifest) = stage.corpus(&Plan { cloudtrail: 600, flows: 2_000, ..plan(51) }, Layout::V5);
    std::fs::remove_file(root.join("manifest.json")).unwrap();
    std::fs::remove_file(root.join("labels.jsonl")).unwrap();
    let mut first = cloud.processor(&stage);
    upload(&cloud, &root);
    // Killed while messages are in its hands: they come back.
    first.kill();
    let mut processor = cloud.processor(&stage);
    finish(&mut processor);
    // Messages the killed one held reappear after their visibility timeout.
    let limit = Duration::from_secs(150);
    let drained = wait_for("the queue to be empty", limit, || {
        if cloud.left("all") == 0 {
            return true;
        }
        finish(&mut cloud.processor(&stage));
        false
    });
    assert!(drained.is_ok(), "messages are left:\n{}", processor.last_words());
    assert_once(&cloud.lake(&stage), &manifest);
}

/// G3: a worker hangs with messages in its hands until they are visible again, another takes them, and
/// the first goes on as if nothing had been.
#[test]
fn g3_two_workers_that_hold_the_same_messages_store_every_object_once() {
    let stage = Stage::new();
    let Some(cloud) = Cloud::start(&stage) else { return };
    let (root, manifest) = stage.corpus(&Plan { cloudtrail: 300, flows: 800, ..plan(53) }, Layout::V5);
    std::fs::remove_file(root.join("manifest.json")).unwrap();
    std::fs::remove_file(root.join("labels.jsonl")).unwrap();
    upload(&cloud, &root);
    let mut one = cloud.processor_as(&stage, "one", "4s");
    let taken =
        wait_for("the first to take messages", Duration::from_secs(60), || cloud.left("in_flight") > 0);
    taken.unwrap_or_else(|error| panic!("{error}: {}", one.last_words()));
    one.suspend();
    // It waits longer than messages stay invisible, so it gets those of the first too.
    let mut two = cloud.processor_as(&stage, "two", "25s");
    finish(&mut two);
    let held = cloud.left("all");
    assert_eq!(held, 0, "the second left messages: {}", two.last_words());
    one.resume();
    finish(&mut one);
    assert_once(&cloud.lake(&stage), &manifest);
}

#[test]
fn the_collector_delivers_to_s3_and_the_processor_takes_it_from_there() {
    let stage = Stage::new();
    let Some(cloud) = Cloud::start(&stage) else { return };
    let (root, manifest) =
        stage.corpus(&Plan { cloudtrail: 0, flows: 0, lines: 2_000, ..plan(52) }, Layout::V5);
    let config = stage.path("collector.toml");
    let collector = Collector {
        out: None,
        bucket: Some(("landing".to_owned(), cloud.endpoint.clone())),
        ..Collector::to_directory(&stage.path("data"), &root.join("pods"), &stage.path("unused"))
    };
    collector.write(&config).unwrap();
    let output = stage
        .programs
        .command(Program::Collector)
        .args(["run", "--until-idle", "2s", "--config"])
        .arg(&config)
        .envs(cloud.environment.iter().cloned())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    finish(&mut cloud.processor(&stage));
    assert_eq!(cloud.lake(&stage).count("app_log").unwrap(), manifest.app_log.rows());
}
