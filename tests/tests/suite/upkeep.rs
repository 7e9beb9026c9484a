//! Compaction, sealing, the archive and expiry with the real programs, on disk and on S3.

use crate::aws::Cloud;
use crate::stage::{Stage, plan};
use logq_tests::harness::{Lake, Program, once};
use logq_tests::loggen::Plan;
use logq_tests::loggen::vpc_flow::Layout;
use serde_json::Value;
use std::path::PathBuf;
use std::process::Output;

const EVENTS: [&str; 2] = ["cloudtrail", "vpc_flow"];

/// Runs the processor; gives its exit status and its report.
fn processor(stage: &Stage, environment: &[(String, String)], arguments: &[&str]) -> (Option<i32>, Value) {
    let output = run(stage, environment, arguments);
    let report = serde_json::from_slice(&output.stdout).unwrap_or(Value::Null);
    let status = output.status.code();
    assert!(
        !report.is_null(),
        "{arguments:?} ended with {status:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    (status, report)
}

fn run(stage: &Stage, environment: &[(String, String)], arguments: &[&str]) -> Output {
    let mut command = stage.programs.command(Program::Processor);
    command.args(arguments).envs(environment.iter().map(|(name, value)| (name, value)));
    command.output().unwrap()
}

/// Numbers under `key` of a report's entries.
fn sum(report: &Value, key: &str) -> u64 {
    report.as_array().unwrap().iter().filter_map(|entry| entry[key].as_u64()).sum()
}

/// Takes a corpus in, object by object of the first level, so that days have several files.
fn several_batches(
    stage: &Stage,
    lake: &str,
    environment: &[(String, String)],
    seed: u64,
) -> (PathBuf, [u64; 2]) {
    let (root, manifest) = stage.corpus(&Plan { cloudtrail: 900, flows: 3_000, ..plan(seed) }, Layout::V5);
    let mut files: Vec<PathBuf> = walkdir::WalkDir::new(root.join("AWSLogs"))
        .sort_by_file_name()
        .into_iter()
        .filter_map(Result::ok)
        .filter(|entry| entry.file_type().is_file())
        .map(|entry| entry.path().to_owned())
        .collect();
    assert!(files.len() > 8, "{} objects", files.len());
    let quarter = files.len().div_ceil(4);
    while !files.is_empty() {
        let batch: Vec<PathBuf> = files.drain(..quarter.min(files.len())).collect();
        once(&stage.programs, lake, batch, environment).unwrap();
    }
    (root, [manifest.cloudtrail.rows(), manifest.vpc_flow.rows()])
}

fn counts(lake: &Lake) -> [u64; 2] {
    lake.counts(&EVENTS).unwrap().try_into().unwrap()
}

#[test]
fn g8_days_are_compacted_sealed_verified_expired_and_originals_come_back() {
    let stage = Stage::new();
    let location = stage.lake.location().to_owned();
    let (_, rows) = several_batches(&stage, &location, &[], 61);
    assert_eq!(counts(&stage.lake), rows);
    let json = ["--format", "json", "--lake", location.as_str()];

    let (status, report) = processor(&stage, &[], &[&["compact"], json.as_slice()].concat());
    assert_eq!(status, Some(0), "{report}");
    assert!(sum(&report["done"], "files_before") > sum(&report["done"], "files_after"), "{report}");
    assert_eq!(counts(&stage.lake), rows);

    let archive = stage.path("archive").display().to_string();
    let at = ["--archive", archive.as_str()];
    let expire = [&["expire", "--hot-days", "1"], at.as_slice(), &json].concat();
    let (status, report) = processor(&stage, &[], &expire);
    assert_eq!(status, Some(3), "nothing is sealed: {report}");
    assert_eq!(counts(&stage.lake), rows);

    let seal = [&["seal"], at.as_slice(), &json].concat();
    let (status, report) = processor(&stage, &[], &seal);
    assert_eq!(status, Some(0), "{report}");
    let of = |name: &str| -> u64 {
        let entries = report["sealed"]["done"].as_array().unwrap();
        entries.iter().filter(|one| one["table"] == name).filter_map(|one| one["rows"].as_u64()).sum()
    };
    assert_eq!([of("cloudtrail"), of("vpc_flow")], rows, "{report}");
    assert!(sum(&report["packed"]["done"], "members") > 0, "{report}");
    assert_eq!(counts(&stage.lake), rows);

    let verify = [&["verify", "archive", "--format", "json"], at.as_slice()].concat();
    let (status, verified) = processor(&stage, &[], &verify);
    assert_eq!((status, verified["findings"].as_array().unwrap().len()), (Some(0), 0), "{verified}");

    let original =
        stage.lake.rows("select location from ingest where format = 'cloudtrail' limit 1").unwrap();
    let original = original[0]["location"].as_str().unwrap().to_owned();
    let output = run(&stage, &[], &[&["unpack"], at.as_slice(), &[original.as_str()]].concat());
    assert_eq!(output.stdout, std::fs::read(&original).unwrap(), "{original}");

    let (status, report) = processor(&stage, &[], &expire);
    assert_eq!(status, Some(0), "{report}");
    assert_eq!(counts(&stage.lake), [0, 0]);
    let vacuum = [&["vacuum", "--retention", "0s", "--allow-short-retention"], json.as_slice()].concat();
    let (status, report) = processor(&stage, &[], &vacuum);
    assert_eq!(status, Some(0), "{report}");
    let left = walkdir::WalkDir::new(stage.path("lake/cloudtrail")).into_iter().filter_map(Result::ok);
    let left: Vec<_> =
        left.filter(|entry| entry.path().extension().is_some_and(|end| end == "parquet")).collect();
    let logs = left.iter().filter(|entry| entry.path().to_string_lossy().contains("_delta_log")).count();
    assert_eq!(left.len(), logs, "only checkpoints are left");
    let (status, again) = processor(&stage, &[], &verify);
    assert_eq!((status, &again["ok"]), (Some(0), &verified["ok"]), "the archive is as it was");

    let any = walkdir::WalkDir::new(&archive).into_iter().filter_map(Result::ok);
    let file = any
        .map(|entry| entry.path().to_owned())
        .find(|path| path.extension().is_some_and(|end| end == "pack"));
    std::fs::write(file.unwrap(), b"other bytes").unwrap();
    let (status, report) = processor(&stage, &[], &verify);
    assert_eq!((status, report["findings"][0]["what"].as_str()), (Some(3), Some("changed")), "{report}");
}

/// Makes a bucket with Object Lock.
const LOCKED_BUCKET: &str = r#"
import boto3, sys
s3 = boto3.client("s3", endpoint_url=sys.argv[1])
s3.create_bucket(Bucket="vault", ObjectLockEnabledForBucket=True)
"#;

/// Prints `key class mode` of every object.
const STORED: &str = r#"
import boto3, sys
s3 = boto3.client("s3", endpoint_url=sys.argv[1])
for page in s3.get_paginator("list_objects_v2").paginate(Bucket="vault"):
    for found in page.get("Contents", []):
        head = s3.head_object(Bucket="vault", Key=found["Key"])
        print(found["Key"], head.get("StorageClass", "STANDARD"), head.get("ObjectLockMode"))
"#;

#[test]
fn g8_an_archive_on_s3_has_its_storage_class_and_is_locked() {
    let stage = Stage::new();
    let Some(cloud) = Cloud::start(&stage) else { return };
    cloud.script(LOCKED_BUCKET, &[]);
    let (_, rows) = several_batches(&stage, "s3://lake/lake", &cloud.environment, 62);
    let config = stage.path("upkeep.toml");
    let settings = "[maintenance]\narchive = \"s3://vault/archive\"\narchive_storage_class = \"GLACIER_IR\"\n\
                    archive_lock_mode = \"governance\"\narchive_lock_days = 30\n";
    std::fs::write(&config, settings).unwrap();
    let config = config.display().to_string();
    let seal = ["seal", "--lake", "s3://lake/lake", "--config", config.as_str(), "--format", "json"];
    let (status, report) = processor(&stage, &cloud.environment, &seal);
    assert_eq!(status, Some(0), "{report}");
    assert_eq!(counts(&cloud.lake(&stage)), rows);
    let stored = cloud.script(STORED, &[]);
    assert!(stored.lines().count() > 4, "{stored}");
    for line in stored.lines() {
        let class = if line.contains("/manifest-") { "STANDARD" } else { "GLACIER_IR" };
        assert!(line.ends_with(&format!("{class} GOVERNANCE")), "{line}");
    }
    let (status, again) = processor(&stage, &cloud.environment, &seal);
    assert_eq!((status, sum(&again["sealed"]["done"], "files")), (Some(0), 0), "{again}");
    let verify = ["verify", "archive", "--config", config.as_str(), "--format", "json"];
    let (status, report) = processor(&stage, &cloud.environment, &verify);
    assert_eq!((status, report["findings"].as_array().unwrap().len()), (Some(0), 0), "{report}");
}
