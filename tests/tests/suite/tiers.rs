//! Lifecycle rules, restores, backfill and reconciliation, against moto.

use crate::aws::{Cloud, upload};
use crate::stage::{Stage, plan};
use logq_tests::harness::{Daemon, Program};
use logq_tests::loggen::Plan;
use logq_tests::loggen::vpc_flow::Layout;
use serde_json::Value;
use std::process::Output;
use std::time::Duration;

/// Runs a Python statement with `s3` bound.
const S3: &str = r#"
import boto3, json, sys
s3 = boto3.client("s3", endpoint_url=sys.argv[1])
exec(sys.argv[2])
"#;

const BUCKETS: &str = r#"
for bucket in ("trail", "keep"):
    s3.create_bucket(Bucket=bucket, ObjectLockEnabledForBucket=bucket == "keep")
s3.put_bucket_versioning(Bucket="lake", VersioningConfiguration={"Status": "Enabled"})
"#;

/// Adds a rule to what the bucket has.
const ADD_RULE: &str = r#"
def add(bucket, rule):
    try:
        rules = s3.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"]
    except s3.exceptions.ClientError:
        rules = []
    s3.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={"Rules": rules + [rule]})
"#;

/// Without tiers for the archive: the emulator forgets the size in their rule's filter.
const POLICY: &str = r#"
[lake]
url = "s3://lake/lake"
standard_days = 45
hot_days = 400
[archive]
url = "s3://keep/archive"
retention_years = 7
[archive.lock]
mode = "GOVERNANCE"
years = 7
[[prefix]]
name = "landing"
url = "s3://landing/landing"
expire_days = 30
"#;

fn run(cloud: &Cloud, stage: &Stage, arguments: &[&str]) -> Output {
    let mut command = stage.programs.command(Program::Processor);
    command.args(arguments).envs(cloud.environment.iter().cloned()).output().unwrap()
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn expect(cloud: &Cloud, stage: &Stage, code: i32, arguments: &[&str]) -> String {
    let output = run(cloud, stage, arguments);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {}", text(&output));
    text(&output)
}

fn json(cloud: &Cloud, stage: &Stage, code: i32, arguments: &[&str]) -> Value {
    let output = run(cloud, stage, arguments);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {}", text(&output));
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", text(&output)))
}

#[test]
fn g8_rules_are_planned_applied_and_checked_and_foreign_ones_survive() {
    let stage = Stage::new();
    let Some(cloud) = Cloud::start(&stage) else { return };
    let s3 = |code: &str| cloud.script(S3, &[&format!("{ADD_RULE}\n{code}")]);
    s3(BUCKETS);
    let foreign = |id: &str, prefix: &str, action: &str| {
        format!(r#"{{"ID": "{id}", "Status": "Enabled", "Filter": {{"Prefix": "{prefix}"}}, {action}}}"#)
    };
    s3(&format!("add('lake', {})", foreign("reports", "reports/", r#""Expiration": {"Days": 30}"#)));
    let policy = stage.path("lifecycle.toml");
    std::fs::write(&policy, POLICY).unwrap();
    let policy = policy.to_str().unwrap();
    let of = |action: &'static str| ["lifecycle", action, "--policy", policy];
    let with = |action: &'static str, more: &[&'static str]| -> Vec<String> {
        of(action)
            .iter()
            .map(|part| (*part).to_owned())
            .chain(more.iter().map(|part| (*part).to_owned()))
            .collect()
    };
    let words = |all: &[String]| -> Vec<String> { all.to_vec() };
    let call = |code: i32, all: Vec<String>| {
        let all = words(&all);
        expect(&cloud, &stage, code, &all.iter().map(String::as_str).collect::<Vec<_>>())
    };

    let missing = call(3, with("check", &[]));
    assert!(missing.contains("missing-rule") && missing.contains("lock-missing"), "{missing}");
    let planned = json(
        &cloud,
        &stage,
        0,
        &["lifecycle", "plan", "--policy", policy, "--format", "json", "--gb-per-day", "20"],
    );
    let print = planned["plan"].as_str().unwrap().to_owned();
    assert!(planned["dollars"]["per_year"].as_f64().unwrap() > 0.0);
    let shown = call(0, with("plan", &[]));
    assert!(shown.contains(&print) && shown.contains("reports") && shown.contains("not ours"), "{shown}");

    // Somebody changes the bucket between plan and apply.
    s3(&format!("add('landing', {})", foreign("theirs", "tmp/", r#""Expiration": {"Days": 3}"#)));
    let refused =
        expect(&cloud, &stage, 1, &["lifecycle", "apply", "--policy", policy, "--yes", "--plan", &print]);
    assert!(refused.contains("changed since"), "{refused}");
    assert!(call(1, with("apply", &[])).contains("--yes"), "asks when nobody answers");
    call(0, with("apply", &["--yes", "--object-lock"]));
    assert!(call(0, with("check", &[])).contains("as the policy says"));
    assert!(call(0, with("apply", &["--yes"])).contains("nothing to do"));
    let left =
        s3("print([rule['ID'] for rule in s3.get_bucket_lifecycle_configuration(Bucket='lake')['Rules']])");
    assert!(left.contains("'reports'") && left.contains("logq-lake-cloudtrail"), "{left}");

    // A rule for the whole bucket: it would take live files and the log of the tables offline.
    let (input, _) = stage.corpus(&Plan { cloudtrail: 50, flows: 0, ..plan(7) }, Layout::V5);
    let input = input.join("AWSLogs");
    let input = input.to_str().unwrap();
    expect(&cloud, &stage, 0, &["once", "--lake", "s3://lake/lake", input]);
    let glacier = r#""Transitions": [{"Days": 90, "StorageClass": "GLACIER"}]"#;
    s3(&format!("add('lake', {})", foreign("cheap", "", glacier)));
    let found = json(&cloud, &stage, 3, &["lifecycle", "check", "--policy", policy, "--format", "json"]);
    let codes: Vec<&str> =
        found["findings"].as_array().unwrap().iter().map(|one| one["code"].as_str().unwrap()).collect();
    assert!(codes.contains(&"lake-archived") && codes.contains(&"delta-log-archived"), "{found}");
    assert!(found.to_string().contains("files the tables refer to are hit now"), "{found}");
    assert!(call(3, with("apply", &["--yes"])).contains("lake-archived"));
}

#[test]
fn archived_days_are_restored_once_and_followed() {
    let stage = Stage::new();
    let Some(cloud) = Cloud::start(&stage) else { return };
    cloud.script(
        S3,
        &[r#"
for day, files in (("2026-03-01", ["a", "b"]), ("2026-03-03", ["c"])):
    folder = f"archive/cloudtrail/event_date={day}"
    for name in files:
        storage = "STANDARD" if name == "b" else "DEEP_ARCHIVE"
        s3.put_object(Bucket="lake", Key=f"{folder}/{name}.parquet", Body=b"x" * 100, StorageClass=storage)
    listed = [{"key": f"cloudtrail/event_date={day}/{name}.parquet", "bytes": 100, "rows": 1, "sha256": ""} for name in files]
    s3.put_object(Bucket="lake", Key=f"{folder}/manifest-0.json", Body=json.dumps({"files": listed}))
"#],
    );
    let base = ["restore", "--lake", "s3://lake/lake", "--table", "cloudtrail", "--since", "2026-03-01"];
    let with = |more: &[&'static str]| base.iter().chain(more).copied().collect::<Vec<_>>();
    let request = |more: &[&'static str]| {
        json(&cloud, &stage, 0, &with(&[&["--until", "2026-03-03", "--format", "json"], more].concat()))
    };
    let dry = request(&["--dry-run"]);
    assert_eq!(
        (&dry["files"]["archived"], &dry["files"]["readable"], &dry["requested"]),
        (&2.into(), &1.into(), &0.into())
    );
    assert_eq!(dry["estimates"][0]["hours"], 48.0);
    assert_eq!(dry["days_without_manifest"][0], "2026-03-02");
    let status = [
        "restore",
        "status",
        "--lake",
        "s3://lake/lake",
        "--table",
        "cloudtrail",
        "--since",
        "2026-03-01",
        "--until",
        "2026-03-03",
    ];
    assert!(expect(&cloud, &stage, 3, &status).contains("archived"));
    assert_eq!(request(&["--tier", "standard"])["requested"], 2);
    // The emulator is done at once; a second request has nothing to ask for.
    let after = expect(&cloud, &stage, 0, &status);
    assert!(after.contains("ready") && !after.contains("archived "), "{after}");
    let again = request(&[]);
    assert_eq!((&again["requested"], &again["files"]["ready"]), (&0.into(), &2.into()));
    let none = expect(&cloud, &stage, 1, &with(&["--until", "2026-02-01"]));
    assert!(none.contains("lies after"), "{none}");
    // A file that a manifest names and nobody has.
    cloud.script(
        S3,
        &["s3.delete_object(Bucket='lake', Key='archive/cloudtrail/event_date=2026-03-01/a.parquet')"],
    );
    let lost = expect(&cloud, &stage, 3, &with(&["--until", "2026-03-03"]));
    assert!(lost.contains("a.parquet is in a manifest but not there"), "{lost}");
}

#[test]
fn g3_a_killed_backfill_goes_on_and_reconcile_finds_what_was_never_announced() {
    let stage = Stage::new();
    let Some(cloud) = Cloud::start(&stage) else { return };
    let (root, manifest) = stage.corpus(&Plan { cloudtrail: 1_500, flows: 3_000, ..plan(53) }, Layout::V5);
    for name in ["manifest.json", "labels.jsonl"] {
        std::fs::remove_file(root.join(name)).unwrap();
    }
    upload(&cloud, &root);
    let config = stage.path("small.toml");
    std::fs::write(&config, "batch_objects_max = 3\n").unwrap();
    let config = config.to_str().unwrap().to_owned();
    let base = ["backfill", "--lake", "s3://lake/lake", "--config", &config, "s3://landing/"];
    let with = |more: &[&'static str]| base.iter().copied().chain(more.iter().copied()).collect::<Vec<_>>();
    let dry = json(&cloud, &stage, 0, &with(&["--dry-run", "--format", "json"]));
    let objects = dry["objects"].as_u64().unwrap();
    assert!(objects > 6, "{dry}");
    let other_day =
        json(&cloud, &stage, 0, &with(&["--dry-run", "--format", "json", "--since", "2026-12-24"]));
    assert_eq!(other_day["objects"], 0, "{other_day}");
    let same_day = json(
        &cloud,
        &stage,
        0,
        &with(&["--dry-run", "--format", "json", "--since", "2026-11-22", "--until", "2026-11-22"]),
    );
    assert_eq!(same_day["objects"], objects, "{same_day}");

    let lake = cloud.lake(&stage);
    let mut command = stage.programs.command(Program::Processor);
    command.args(base).envs(cloud.environment.iter().cloned());
    let mut first = Daemon::spawn("backfill", command, &stage.path("backfill.log")).unwrap();
    let some = logq_tests::harness::wait_for("a first batch", Duration::from_secs(120), || {
        lake.number("select count(*) as n from ingest").is_ok_and(|rows| rows > 0)
    });
    first.kill();
    assert!(some.is_ok(), "{}", first.last_words());
    let second = json(&cloud, &stage, 0, &with(&["--format", "json"]));
    assert!(
        second["objects"].as_u64().unwrap() + second["objects_known"].as_u64().unwrap() < objects + 1,
        "{second}"
    );
    for (table, rows) in [("cloudtrail", manifest.cloudtrail.rows()), ("vpc_flow", manifest.vpc_flow.rows())]
    {
        assert_eq!(lake.count(table).unwrap(), rows, "{table}");
    }
    let third = json(&cloud, &stage, 0, &with(&["--format", "json"]));
    assert_eq!((&third["objects"], &third["objects_known"]), (&0.into(), &objects.into()), "{third}");

    let reconcile = |code: i32, more: &[&'static str]| {
        let base = ["reconcile", "--lake", "s3://lake/lake", "--format", "json", "s3://landing/AWSLogs/"];
        json(&cloud, &stage, code, &base.iter().chain(more).copied().collect::<Vec<_>>())
    };
    assert_eq!(reconcile(0, &[])["missing"], 0);
    let copy = r#"
body = json.dumps({"Records": [{"eventVersion": "1.08", "eventID": "late", "eventTime": "2026-11-22T10:00:00Z",
    "eventSource": "s3.amazonaws.com", "eventName": "GetObject", "awsRegion": "eu-west-1", "recipientAccountId": "1"}]})
s3.put_object(Bucket="landing", Key="AWSLogs/1/CloudTrail/eu-west-1/2026/11/22/late.json", Body=body)
listed = s3.list_objects_v2(Bucket="landing", Prefix="AWSLogs/")["Contents"][-1]["Key"]
s3.copy_object(Bucket="landing", Key="AWSLogs/1/CloudTrail/eu-west-1/2026/11/22/copy.gz", CopySource={"Bucket": "landing", "Key": listed})
s3.put_object(Bucket="landing", Key="AWSLogs/1/CloudTrail/eu-west-1/2026/11/23/cold.json", Body="{}", StorageClass="GLACIER")
"#;
    cloud.script(S3, &[copy]);
    let found = reconcile(3, &["--until", "2026-11-22"]);
    assert_eq!(found["missing"], 1, "a copy under another name is not missing: {found}");
    assert!(found["missing_objects"][0].as_str().unwrap().ends_with("late.json"));
    assert_eq!(reconcile(3, &["--until", "2026-11-22", "--by-name"])["missing"], 2);
    assert_eq!(reconcile(3, &[])["archived"], 1, "what is archived is named");
    let taken = reconcile(0, &["--until", "2026-11-22", "--take-in"]);
    assert_eq!((&taken["taken_in"], &taken["missing"]), (&1.into(), &0.into()), "{taken}");
    assert_eq!(reconcile(0, &["--until", "2026-11-22"])["missing"], 0);
    let cold = expect(&cloud, &stage, 3, &with(&["--since", "2026-11-23"]));
    assert!(cold.contains("restore it first"), "{cold}");
}
