//! The processor as its operator sees it: metrics, health, its log, its end.

use crate::stage::{Stage, plan};
use logq_tests::harness::{Daemon, Program, fetch, free_port, wait_for};
use logq_tests::loggen::Plan;
use logq_tests::loggen::vpc_flow::Layout;
use rustix::process::{Pid, Signal, kill_process};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(120);

/// The sum of all samples of a metric.
fn sum(text: &str, name: &str) -> f64 {
    let samples = text.lines().filter_map(|line| {
        let rest = line.strip_prefix(name)?;
        if !rest.starts_with(['{', ' ']) {
            return None;
        }
        rest.rsplit(' ').next()?.parse::<f64>().ok()
    });
    samples.sum()
}

/// Received and accounted for.
fn balance(text: &str) -> (f64, f64) {
    let parts = [
        "processor_rows_total",
        "processor_rejected_total",
        "processor_duplicates_total",
        "processor_skipped_total",
        "processor_records_in_flight",
        "processor_records_parsed_again_total",
    ];
    (sum(text, "processor_records_total"), parts.iter().map(|name| sum(text, name)).sum())
}

fn run(stage: &Stage, inbox: &Path, admin: u16) -> Command {
    let mut command = stage.programs.command(Program::Processor);
    command.args(["run", "--commit-interval", "100ms", "--log-format", "json"]);
    command.args(["--admin", &format!("127.0.0.1:{admin}"), "--lake"]).arg(stage.path("lake"));
    command.arg("--watch").arg(inbox);
    command
}

/// G10: the equation holds in every answer while batches come and go, and at the end it is the tables.
#[test]
fn g10_the_metrics_balance_whenever_they_are_asked_for() {
    let stage = Stage::new();
    let (root, manifest) = stage.corpus(&Plan { cloudtrail: 3_000, flows: 6_000, ..plan(71) }, Layout::V5);
    for name in ["manifest.json", "labels.jsonl"] {
        std::fs::remove_file(root.join(name)).unwrap();
    }
    std::fs::write(root.join("damaged.json"), "{\"Records\":[{\"eventVersion\":\"1.08\",\"eventID\":")
        .unwrap();
    let config = stage.path("processor.toml");
    // Small batches: many moments between parse and commit.
    std::fs::write(&config, "batch_objects_max = 3\n").unwrap();
    let admin = free_port().unwrap();
    let mut command = run(&stage, &root, admin);
    command.arg("--config").arg(&config);
    let mut processor = Daemon::spawn("logq-processor", command, &stage.path("processor.log")).unwrap();
    let expected = (manifest.cloudtrail.rows() + manifest.vpc_flow.rows()) as f64;
    let (mut asked, mut waited) = (0, false);
    let done = wait_for("all rows", PATIENCE, || {
        let Ok((200, text)) = fetch(admin, "/metrics") else { return false };
        let (received, accounted) = balance(&text);
        assert_eq!(received, accounted, "{text}");
        asked += 1;
        waited |= sum(&text, "processor_objects_waiting") > 0.0;
        // The damaged file is the youngest, and settles last.
        let all =
            sum(&text, "processor_rows_total") >= expected && sum(&text, "processor_rejected_total") >= 1.0;
        all && sum(&text, "processor_objects_waiting") == 0.0
    });
    assert!(done.is_ok() && asked > 1 && waited, "asked {asked} times: {}", processor.last_words());
    let (_, text) = fetch(admin, "/metrics").unwrap();
    assert_eq!(sum(&text, "processor_rejected_total"), 1.0, "{text}");
    assert_eq!(sum(&text, "processor_records_in_flight"), 0.0);
    assert_eq!(sum(&text, "processor_batch_duration_seconds_count"), sum(&text, "processor_batches_total"));
    assert!(text.contains("processor_rejected_total{reason=\"truncated_json\"} 1"), "{text}");
    assert_eq!(fetch(admin, "/healthz").unwrap().0, 200);
    let status = processor.stop(PATIENCE).unwrap();
    assert!(status.is_some_and(|status| status.success()), "{}", processor.last_words());
    assert_eq!(stage.count("cloudtrail") + stage.count("vpc_flow"), expected as u64);
    // Every line of the log is an object with a level.
    let log = processor.log();
    assert!(log.lines().count() > 2);
    for line in log.lines() {
        let value: serde_json::Value =
            serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert!(value["level"].is_string() && value["message"].is_string(), "{line}");
    }
}

fn signal(processor: &Daemon) {
    let id = i32::try_from(processor.id()).ok().and_then(Pid::from_raw).unwrap();
    kill_process(id, Signal::TERM).unwrap();
}

/// A batch in hand that never ends: the metadata beside a digest is a pipe that nobody writes to.
fn endless(stage: &Stage, inbox: &Path) -> PathBuf {
    let name = "111122223333_CloudTrail-Digest_eu-west-1_trail_eu-west-1_20261122T100000Z.json";
    let digest = serde_json::json!({
        "awsAccountId": "111122223333", "digestStartTime": "2026-11-22T09:00:00Z", "digestEndTime": "2026-11-22T10:00:00Z",
        "digestS3Bucket": "trail", "digestS3Object": format!("AWSLogs/{name}"), "digestPublicKeyFingerprint": "00",
        "digestSignatureAlgorithm": "SHA256withRSA", "logFiles": [],
    });
    std::fs::create_dir(inbox).unwrap();
    let pipe = inbox.join(format!("{name}.metadata.json"));
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    std::fs::write(inbox.join(name), digest.to_string()).unwrap();
    let keys = "{\"PublicKeyList\": [{\"Fingerprint\": \"00\", \"Value\": \"AAAA\"}]}";
    std::fs::write(stage.path("keys.json"), keys).unwrap();
    pipe
}

#[test]
fn a_batch_that_never_ends_is_cut_off_in_time_or_by_a_second_signal_and_taken_up_later() {
    for (limit, second) in [("300ms", false), ("1h", true)] {
        let stage = Stage::new();
        let inbox = stage.path("inbox");
        let pipe = endless(&stage, &inbox);
        let config = stage.path("processor.toml");
        let keys = stage.path("keys.json");
        let text =
            format!("shutdown_timeout = \"{limit}\"\ncloudtrail_public_keys = \"{}\"\n", keys.display());
        std::fs::write(&config, text).unwrap();
        let admin = free_port().unwrap();
        let mut command = run(&stage, &inbox, admin);
        command.arg("--config").arg(&config);
        let mut processor = Daemon::spawn("logq-processor", command, &stage.path("processor.log")).unwrap();
        let in_hand = wait_for("the batch", PATIENCE, || {
            fetch(admin, "/metrics").is_ok_and(|(_, text)| sum(&text, "processor_objects_waiting") > 0.0)
        });
        assert!(in_hand.is_ok(), "{}", processor.last_words());
        signal(&processor);
        let heard = wait_for("the signal", PATIENCE, || processor.log().contains("stopping after the batch"));
        assert!(heard.is_ok(), "{}", processor.last_words());
        if second {
            assert!(processor.is_running(), "it waits for the batch");
            signal(&processor);
        }
        let status = processor.finish(PATIENCE).unwrap();
        assert_eq!(status.and_then(|status| status.code()), Some(1), "{}", processor.last_words());
        // Nothing of the batch is lost by that: the next start finishes it.
        std::fs::remove_file(&pipe).unwrap();
        let mut command = run(&stage, &inbox, admin);
        command.arg("--config").arg(&config).args(["--until-idle", "1s"]);
        let mut processor = Daemon::spawn("logq-processor", command, &stage.path("processor.log")).unwrap();
        let status = processor.finish(PATIENCE).unwrap();
        assert!(status.is_some_and(|status| status.success()), "{}", processor.last_words());
        assert_eq!((stage.count("ingest"), stage.count("cloudtrail_digest")), (1, 1));
    }
}

#[test]
fn validate_prints_a_file_that_gives_the_same_and_looks_for_what_is_named() {
    let stage = Stage::new();
    let config = stage.path("processor.toml");
    let port = free_port().unwrap();
    let text = format!(
        "commit_interval = \"90s\"\n[[cloudwatch_logs]]\nname = \"f\"\ngroups = [\"/vpc*\"]\nkind = \"vpc_flow\"\n\
         region = \"eu-west-1\"\nendpoint = \"http://127.0.0.1:{port}\"\n"
    );
    std::fs::write(&config, text).unwrap();
    let validate = |file: &Path, more: &[&str]| {
        let mut command = stage.programs.command(Program::Processor);
        command.args(["validate", "--config"]).arg(file).args(more);
        for (name, value) in [
            ("AWS_ACCESS_KEY_ID", "x"),
            ("AWS_SECRET_ACCESS_KEY", "x"),
            ("AWS_EC2_METADATA_DISABLED", "true"),
        ] {
            command.env(name, value);
        }
        let output = command.output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    };
    let (code, shown, _) = validate(&config, &[]);
    assert_eq!(code, Some(0));
    assert!(shown.contains("commit_interval = \"1m 30s\"") && shown.contains("${srcaddr}"), "{shown}");
    let again = stage.path("again.toml");
    std::fs::write(&again, &shown).unwrap();
    assert_eq!(validate(&again, &[]).1, shown);
    // The lake is there, the service is not.
    let lake = stage.path("lake").display().to_string();
    let (code, _, said) = validate(&config, &["--connect", "--lake", &lake]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("ok      lake") && said.contains("failed  section f"), "{said}");
    // A file of keys that is none is found without connecting.
    std::fs::write(&config, "cloudtrail_public_keys = \"/none/keys.json\"\n").unwrap();
    let (code, _, said) = validate(&config, &[]);
    assert!(code == Some(1) && said.contains("/none/keys.json"), "{said}");
}
