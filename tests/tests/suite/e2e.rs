//! The pipeline from input to query, and what bad input does to it.

use crate::stage::{Stage, plan};
use logq_tests::harness::Program;
use logq_tests::harness::collector::Collector;
use logq_tests::loggen::vpc_flow::Layout;
use logq_tests::loggen::{Architecture, Plan};
use std::fs;
use std::io::Write;
use std::path::Path;

/// A minimal, complete CloudTrail record.
fn record(id: &str) -> String {
    format!(
        r#"{{"eventVersion":"1.08","userIdentity":{{"type":"IAMUser","principalId":"AIDAEXAMPLE","arn":"arn:aws:iam::111122223333:user/ana","accountId":"111122223333","userName":"ana"}},"eventTime":"2026-11-22T09:00:00Z","eventSource":"s3.amazonaws.com","eventName":"ListBuckets","awsRegion":"eu-central-1","sourceIPAddress":"203.0.113.9","userAgent":"aws-cli/2","requestParameters":null,"responseElements":null,"requestID":"r","eventID":"{id}","readOnly":true,"eventType":"AwsApiCall","managementEvent":true,"recipientAccountId":"111122223333","eventCategory":"Management"}}"#
    )
}

fn envelope(ids: &[&str]) -> String {
    let records: Vec<String> = ids.iter().map(|id| record(id)).collect();
    format!(r#"{{"Records":[{}]}}"#, records.join(","))
}

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

fn run_collector(stage: &Stage, pods: &Path, out: &Path) {
    let config = stage.path("collector.toml");
    Collector::to_directory(&stage.path("collector"), pods, out).write(&config).unwrap();
    let output = stage
        .programs
        .command(Program::Collector)
        .args(["run", "--until-idle", "1s", "--config"])
        .arg(&config)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn every_generated_record_can_be_queried_and_a_second_run_adds_nothing() {
    for (architecture, layout) in [(Architecture::A, Layout::V5), (Architecture::B, Layout::V2)] {
        let stage = Stage::new();
        let (root, manifest) = stage.corpus(&Plan { lines: 3_000, architecture, ..plan(21) }, layout);
        run_collector(&stage, &root.join("pods"), &stage.path("collected"));
        let inputs = [root.join("AWSLogs"), stage.path("collected")];
        let first = stage.once(&inputs);
        assert_eq!(first.status, 0, "{}", first.stderr);
        assert!(first.reconciles(), "{first:?}");
        assert_eq!(first.all_rejected(), 0, "{first:?}");
        let expected = [
            ("cloudtrail", manifest.cloudtrail.rows()),
            ("vpc_flow", manifest.vpc_flow.rows()),
            ("app_log", manifest.app_log.rows()),
        ];
        for (table, rows) in expected {
            assert_eq!(stage.count(table), rows, "{table}");
            assert_eq!(stage.repeated(table), 0, "{table}");
        }
        let second = stage.once(&inputs);
        assert_eq!((second.objects, second.all_rows()), (0, 0), "{second:?}");
        assert_eq!(second.objects_known, first.objects, "{second:?}");
        for (table, rows) in expected {
            assert_eq!(stage.count(table), rows, "{table} after the second run");
            assert_eq!(stage.repeated(table), 0, "{table} after the second run");
        }
    }
}

/// G2: reading the same container logs again, with all state of the collector lost, changes nothing.
#[test]
fn g2_collecting_the_same_logs_again_adds_no_row() {
    let stage = Stage::new();
    let (root, manifest) =
        stage.corpus(&Plan { cloudtrail: 0, flows: 0, lines: 2_000, ..plan(22) }, Layout::V5);
    for turn in ["one", "two"] {
        let out = stage.path(turn);
        run_collector(&stage, &root.join("pods"), &out);
        let report = stage.once(&[&out]);
        assert!(report.reconciles(), "{report:?}");
        fs::remove_dir_all(stage.path("collector")).unwrap();
    }
    assert_eq!(stage.count("app_log"), manifest.app_log.rows());
    assert_eq!(stage.repeated("app_log"), 0);
}

/// G10: what was read is what is in the tables, what was refused, what was there before, and what
/// carries no data.
#[test]
fn g10_every_object_of_the_ledger_balances() {
    let stage = Stage::new();
    let (root, _) = stage.corpus(&plan(23), Layout::V5);
    fs::write(root.join("AWSLogs/odd.json"), envelope(&["a", "a"]).replace("}]}", "},{\"half\":")).unwrap();
    stage.once(&[&root.join("AWSLogs")]);
    let unbalanced = stage
        .lake
        .number("select count(*) as n from ingest where records <> rows + rejected + duplicates + skipped")
        .unwrap();
    assert_eq!(unbalanced, 0);
    let rows = stage.lake.number("select sum(rows) as n from ingest").unwrap();
    assert_eq!(rows, stage.count("cloudtrail") + stage.count("vpc_flow"));
    assert_eq!(stage.lake.number("select sum(rejected) as n from ingest").unwrap(), stage.count("rejected"));
    assert!(stage.count("rejected") > 0);
}

/// G11: credentials handed out by STS never reach the lake.
#[test]
fn g11_session_tokens_stay_out_of_the_lake() {
    let stage = Stage::new();
    let (root, _) = stage.corpus(&Plan { flows: 0, ..plan(24) }, Layout::V5);
    stage.once(&[&root.join("AWSLogs")]);
    let granted = "select count(*) as n from cloudtrail where event_name = 'AssumeRoleWithWebIdentity' and response_elements is not null";
    assert!(
        stage.lake.number(granted).unwrap() > 0,
        "no call that hands out credentials: the test proves nothing"
    );
    let leaked = "select count(*) as n from cloudtrail where response_elements like '%IQoJ%' or unmapped like '%IQoJ%'";
    assert_eq!(stage.lake.number(leaked).unwrap(), 0);
}

#[test]
fn a_missing_input_is_named_and_the_others_are_taken_in() {
    let stage = Stage::new();
    let good = stage.path("good.json");
    fs::write(&good, envelope(&["one", "two"])).unwrap();
    let missing = stage.path("not-there");
    let report = stage.once(&[&missing, &good]);
    assert_eq!(report.status, 3);
    assert!(report.stderr.contains("not-there"), "{}", report.stderr);
    assert_eq!(stage.count("cloudtrail"), 2);
}

#[test]
fn a_missing_input_alone_is_an_error_that_names_it() {
    let stage = Stage::new();
    let output = stage
        .programs
        .command(Program::Processor)
        .args(["once", "--lake", stage.lake.location()])
        .arg(stage.path("not-there"))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(matches!(output.status.code(), Some(1 | 3)), "{:?}", output.status);
    assert!(said.contains("not-there"), "{said}");
    assert!(!said.contains("panicked"), "{said}");
}

/// Bad objects beside a good one: each leaves its good records and says what is wrong with it.
#[test]
fn bad_objects_lose_no_good_record_and_say_what_is_wrong() {
    let whole = gzip(envelope(&["h1", "h2", "h3", "h4"]).as_bytes());
    let cut = envelope(&["c1", "c2", "c3"]);
    let flow = "version account-id interface-id srcaddr dstaddr srcport dstport protocol packets bytes start end action log-status brand-new-column\n2 111122223333 eni-1 10.0.0.1 10.0.0.2 1 2 6 1 40 1795341000 1795341060 ACCEPT OK shiny\n";
    let cases: [(&str, Vec<u8>, &str, u64, &str); 6] = [
        (
            "not-gzip.json.gz",
            b"\x00\x01\x02 this is not gzip \xff\xfe".to_vec(),
            "cloudtrail",
            0,
            "not_compressed",
        ),
        ("half.json.gz", whole[..whole.len() - 12].to_vec(), "cloudtrail", 3, "truncated"),
        ("cut.json", cut.as_bytes()[..cut.len() - 200].to_vec(), "cloudtrail", 2, "truncated_json"),
        ("flow.log", flow.as_bytes().to_vec(), "vpc_flow", 1, ""),
        ("empty.json", Vec::new(), "cloudtrail", 0, ""),
        ("picture.png", b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR".to_vec(), "cloudtrail", 0, "unknown_format"),
    ];
    for (name, bytes, table, least, reason) in cases {
        let stage = Stage::new();
        let input = stage.path("input");
        fs::create_dir(&input).unwrap();
        fs::write(input.join(name), bytes).unwrap();
        fs::write(input.join("good.json"), envelope(&["good-1", "good-2"])).unwrap();
        let report = stage.once(&[&input]);
        assert!(report.reconciles(), "{name}: {report:?}");
        assert!(!report.stderr.contains("panicked"), "{name}: {}", report.stderr);
        let good = "select count(*) as n from cloudtrail where event_uid like 'good-%'";
        assert_eq!(stage.lake.number(good).unwrap(), 2, "{name}");
        let rest = stage
            .lake
            .number(&format!("select count(*) as n from {table} where event_uid not like 'good-%'"));
        assert!(rest.unwrap() >= least, "{name}: {report:?}");
        let rejected = stage.lake.rows("select reason, message, location from rejected").unwrap();
        if reason.is_empty() {
            assert!(rejected.is_empty(), "{name}: {rejected:?}");
            continue;
        }
        let said = rejected.iter().any(|row| {
            let text = |key: &str| row.get(key).and_then(|v| v.as_str()).unwrap_or_default().to_owned();
            text("reason").contains(reason) && text("location").contains(name) && !text("message").is_empty()
        });
        assert!(said, "{name}: {rejected:?}");
    }
}

#[test]
fn an_unknown_flow_column_is_kept() {
    let stage = Stage::new();
    let input = stage.path("flow.log");
    let text = "version account-id interface-id srcaddr dstaddr srcport dstport protocol packets bytes start end action log-status brand-new-column\n2 111122223333 eni-1 10.0.0.1 10.0.0.2 1 2 6 1 40 1795341000 1795341060 ACCEPT OK shiny\n";
    fs::write(&input, text).unwrap();
    stage.once(&[&input]);
    let rows = stage.lake.rows("select unmapped, src_ip, log_status from vpc_flow").unwrap();
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0]["unmapped"], r#"{"brand-new-column":"shiny"}"#);
    assert_eq!(rows[0]["src_ip"], "10.0.0.1");
}

#[test]
fn a_wrong_query_and_an_unknown_table_say_what_to_do() {
    let stage = Stage::new();
    let good = stage.path("good.json");
    fs::write(&good, envelope(&["one"])).unwrap();
    stage.once(&[&good]);
    for (sql, expected) in [
        ("select * from cloudtrial", "cloudtrail"),
        ("selec 1", "selec"),
        ("select eventname from cloudtrail", "event_name"),
        ("drop table cloudtrail", "read"),
    ] {
        let output = stage.lake.command().arg(sql).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).to_lowercase();
        assert_eq!(output.status.code(), Some(1), "{sql}: {said}");
        assert!(said.contains(expected), "{sql}: {said}");
        assert!(!said.contains("panicked"), "{sql}: {said}");
        assert!(output.stdout.is_empty(), "{sql}");
    }
    assert_eq!(stage.count("cloudtrail"), 1);
}

#[test]
fn a_lake_that_does_not_exist_is_named() {
    let stage = Stage::new();
    let output = stage.lake.command().arg("select count(*) from cloudtrail").output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(4), "{said}");
    assert!(said.contains(stage.lake.location()), "{said}");
}

#[test]
fn planted_attacks_are_found() {
    let stage = Stage::new();
    let (root, manifest) = stage.corpus(&Plan { cloudtrail: 4_000, flows: 20_000, ..plan(25) }, Layout::V5);
    stage.once(&[&root.join("AWSLogs")]);
    let intent = logq_tests::harness::repository().join("query/detections/intent.example.toml");
    let output =
        stage.lake.command().args(["detect", "--format", "jsonl", "--intent"]).arg(intent).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let findings = String::from_utf8_lossy(&output.stdout).into_owned();
    for kind in [
        "port_scan",
        "ssh_brute_force",
        "database_reached",
        "root_usage",
        "cloudtrail_stopped",
        "console_login_without_mfa",
    ] {
        let label = manifest.labels.iter().find(|label| label.kind == kind).unwrap();
        let found = findings.lines().any(|line| {
            line.contains(&label.entity)
                && label.techniques.iter().any(|t| line.contains(&format!("attack.{}", t.to_lowercase())))
        });
        assert!(found, "{kind} by {} is not among the findings:\n{findings}", label.entity);
    }
}
