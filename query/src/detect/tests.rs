//! Rules against their own cases, and the engine against recorded attacks.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use super::case_table::{self, Row};
use super::engine::{self, Outcome};
use super::fields::Source;
use super::intent::file::Intent;
use super::library::Library;
use super::sigma::detection::Placeholders;
use super::sigma::{self, Document};
use super::{check, report, sql_rule};
use crate::session::Session;
use datafusion::prelude::SessionContext;
use logq_schemas::tables;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

fn shipped() -> Library {
    Library::shipped(&Placeholders::new())
}

fn session(cloudtrail: &[Row], flows: &[Row], logs: &[Row]) -> Session {
    let context = SessionContext::new();
    case_table::register(&context, &tables::cloudtrail::TABLE, cloudtrail).unwrap();
    case_table::register(&context, &tables::vpc_flow::TABLE, flows).unwrap();
    case_table::register(&context, &tables::app_log::TABLE, logs).unwrap();
    super::register(&context);
    Session::for_context(context)
}

fn cloudtrail(records: &[Value]) -> Vec<Row> {
    records.iter().map(|r| case_table::row(&tables::cloudtrail::TABLE, r.as_object().unwrap())).collect()
}

/// Text flow log with a header line.
pub(super) fn flows(text: &str) -> Vec<Row> {
    let mut lines = text.lines();
    let header: Vec<&str> = lines.next().unwrap_or_default().split_whitespace().collect();
    lines
        .map(|line| {
            let cells = header.iter().zip(line.split_whitespace());
            let record = cells.map(|(name, cell)| ((*name).to_owned(), Value::from(cell))).collect();
            case_table::row(&tables::vpc_flow::TABLE, &record)
        })
        .collect()
}

/// Every finding's query returns as many rows as the finding counts.
async fn reproduces(session: &Session, outcome: &Outcome) {
    for finding in &outcome.findings {
        let rows = sql_rule::read(session.context(), &finding.sql).await.unwrap().count().await.unwrap();
        assert_eq!(rows as u64, finding.count, "{}\n{}", finding.rule_id, finding.sql);
    }
}

/// The recorded logs, where they are present; they are not part of the repository.
pub(super) fn fixtures(set: &str) -> Option<PathBuf> {
    let root = std::env::var_os("LOGQ_FIXTURES").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/fixtures"),
        PathBuf::from,
    );
    let folder = root.join(set);
    if folder.is_dir() {
        return Some(folder);
    }
    eprintln!("skipped: no {set} under {}; set LOGQ_FIXTURES", root.display());
    None
}

fn stratus(folder: &std::path::Path) -> BTreeMap<String, Vec<Value>> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|e| e == "json") {
            let records = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
            found.insert(path.file_stem().unwrap().to_str().unwrap().to_owned(), records);
        }
    }
    found
}

pub(super) fn gunzip(path: &std::path::Path) -> String {
    let output = std::process::Command::new("gzip").arg("-dc").arg(path).output().unwrap();
    assert!(output.status.success(), "{}", path.display());
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test]
async fn every_shipped_rule_loads_and_passes_its_cases() {
    let library = shipped();
    assert!(library.problems.is_empty(), "{:#?}", library.problems);
    let report = check::run(&library).await;
    assert!(report.without_cases.is_empty(), "{:?}", report.without_cases);
    assert!(report.failures.is_empty(), "{}", report.failures.join("\n"));
    assert!(report.cases >= 2 * report.rules, "{} cases for {} rules", report.cases, report.rules);
}

#[tokio::test]
async fn recorded_techniques_are_each_named_by_a_rule() {
    let Some(folder) = fixtures("ct_stratus") else { return };
    // What each recording must raise: the technique itself, not what happens around it.
    let wanted: BTreeMap<&str, &[&str]> = BTreeMap::from([
        ("aws.credential-access.ec2-get-password-data", &["ec2-password-data-mass"] as &[&str]),
        ("aws.credential-access.secretsmanager-batch-retrieve-secrets", &["secrets-batch-retrieval"]),
        ("aws.credential-access.ssm-retrieve-securestring-parameters", &["ssm-parameters-mass-decrypted"]),
        ("aws.defense-evasion.cloudtrail-delete", &["cloudtrail-deleted"]),
        ("aws.defense-evasion.cloudtrail-stop", &["cloudtrail-stopped"]),
        ("aws.defense-evasion.organizations-leave", &["organization-left"]),
        ("aws.discovery.ec2-download-user-data", &["ec2-user-data-mass-download"]),
        ("aws.execution.ec2-launch-unusual-instances", &["ec2-unusual-instances"]),
        ("aws.execution.ssm-send-command", &["ssm-send-command"]),
        ("aws.exfiltration.ec2-security-group-open-port-22-ingress", &["security-group-open-to-world"]),
        ("aws.exfiltration.ec2-share-ebs-snapshot", &["ebs-snapshot-shared"]),
        ("aws.impact.bedrock-invoke-model", &["bedrock-model-access-enabled"]),
        ("aws.initial-access.console-login-without-mfa", &["console-login-without-mfa"]),
        ("aws.lateral-movement.ec2-instance-connect", &["ec2-instance-connect"]),
        ("aws.persistence.iam-backdoor-role", &["role-trust-policy-changed"]),
        ("aws.persistence.iam-create-admin-user", &["admin-policy-attached", "admin-user-created"]),
        ("aws.persistence.iam-create-user-login-profile", &["login-profile-created"]),
        ("aws.persistence.lambda-layer-extension", &["lambda-layer-added"]),
        ("aws.persistence.rolesanywhere-create-trust-anchor", &["rolesanywhere-trust-anchor"]),
        ("aws.privilege-escalation.iam-update-user-login-profile", &["login-profile-updated"]),
    ]);
    let mut library = shipped();
    library.sql.clear();
    let recorded = stratus(&folder);
    assert!(recorded.len() >= wanted.len());
    for (technique, records) in recorded {
        let session = session(&cloudtrail(&records), &[], &[]);
        let outcome = engine::run(&session, &library, None).await;
        let found: BTreeSet<&str> = outcome.findings.iter().map(|finding| finding.rule_id.as_str()).collect();
        for rule in wanted.get(technique.as_str()).copied().unwrap_or_default() {
            assert!(found.contains(rule), "{technique}: {rule} missing among {found:?}");
        }
        println!("{technique}: {found:?}");
        reproduces(&session, &outcome).await;
    }
}

#[tokio::test]
async fn the_sigma_corpus_loads_and_agrees_with_the_oracle() {
    let (Some(rules), Some(oracle), Some(folder)) =
        (fixtures("sigma_aws"), fixtures("sigma_oracle"), fixtures("ct_stratus"))
    else {
        return;
    };
    let mut library = Library::default();
    library.load(&rules, &Placeholders::new()).unwrap();
    assert!(library.problems.is_empty(), "{:#?}", library.problems);
    assert_eq!(library.sigma.len(), 42);
    let mut sets: BTreeMap<&str, Vec<Value>> = BTreeMap::new();
    sets.insert("ct_stratus_share", stratus(&folder).into_values().flatten().collect());
    if let Some(panther) = fixtures("ct_panther") {
        let text = std::fs::read_to_string(panther.join("tests.jsonl")).unwrap();
        let logs = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["log"].clone());
        let mut records: Vec<Value> = logs.filter(Value::is_object).collect();
        // Hand-written tests may lack what every stored row has.
        let timed = |record: &Value| record["eventTime"].as_str().is_some_and(|time| time.starts_with("20"));
        for record in records.iter_mut().filter(|record| !timed(record)) {
            record["eventTime"] = json!("2026-01-01T00:00:00Z");
        }
        sets.insert("ct_panther_share", records);
    }
    let expected = std::fs::read_to_string(oracle.join("expected_matches.tsv")).unwrap();
    for (set, records) in sets {
        // A pair of event name and rule, counted: the record index of the oracle is that of its own
        // reading order.
        let mut wanted: BTreeMap<(String, String), u64> = BTreeMap::new();
        for line in expected.lines().skip(1) {
            let cells: Vec<&str> = line.split('\t').collect();
            if cells[0] == set {
                *wanted.entry((cells[5].to_owned(), cells[3].to_owned())).or_default() += 1;
            }
        }
        let session = session(&cloudtrail(&records), &[], &[]);
        let mut found: BTreeMap<(String, String), u64> = BTreeMap::new();
        for rule in &library.sigma {
            let sql = format!(
                "SELECT event_name, count(*) AS n FROM cloudtrail WHERE {} GROUP BY event_name",
                super::predicate_sql::condition(&rule.predicate)
            );
            for batch in session.sql(&sql).await.unwrap().collect().await.unwrap() {
                for row in 0..batch.num_rows() {
                    let cells = super::rows::sample(&batch, row, &|_| false).unwrap();
                    let name = cells.get("event_name").and_then(Value::as_str).unwrap_or_default();
                    *found.entry((rule.meta.id.clone(), name.to_owned())).or_default() +=
                        cells["n"].as_u64().unwrap();
                }
            }
        }
        assert_eq!(found, wanted, "{set}");
        // The scan finds what the SQL finds.
        let outcome = engine::run(&session, &library, None).await;
        assert!(outcome.problems.is_empty(), "{:?}", outcome.problems);
        let scanned: u64 = outcome.findings.iter().map(|finding| finding.count).sum();
        assert_eq!(scanned, wanted.values().sum::<u64>(), "{set}");
        reproduces(&session, &outcome).await;
        assert!(outcome.findings.iter().all(|finding| finding.author.is_some()), "authors are named");
    }
}

#[test]
fn the_specification_examples_load_or_say_what_is_unsupported() {
    let Some(folder) = fixtures("sigma_spec") else { return };
    let mut library = Library::default();
    library.load(&folder, &Placeholders::new()).unwrap();
    let invalid: Vec<_> = library.problems.iter().filter(|problem| !problem.unsupported).collect();
    assert!(
        invalid.iter().all(|problem| problem.message.contains("another rule has the id")),
        "{invalid:#?}"
    );
    // Every kind of document is read; what runs on Windows has no table here.
    let kinds: Vec<&str> = library.correlations.iter().map(|rule| rule.meta.title.as_str()).collect();
    assert_eq!(kinds.len(), 7, "{kinds:?}");
    assert_eq!(library.filters.len(), 2);
    let unsupported: Vec<&str> =
        library.problems.iter().filter(|p| p.unsupported).map(|p| p.message.as_str()).collect();
    assert_eq!(unsupported.len(), 2, "{unsupported:?}");
    assert!(unsupported.iter().all(|message| message.contains("no table holds")), "{unsupported:?}");
}

#[tokio::test]
async fn panthers_near_misses_stay_quiet_where_our_rule_means_the_same() {
    let Some(folder) = fixtures("ct_panther") else { return };
    // Their rule, and ours that claims the same thing.
    let same: BTreeMap<&str, &[&str]> = BTreeMap::from([
        ("AWS.CloudTrail.Stopped", &["cloudtrail-stopped", "cloudtrail-deleted"] as &[&str]),
        ("AWS.CloudTrail.Account.Leave.Org", &["organization-left"]),
        ("AWS.EC2.SecurityGroupModified.None", &["security-group-open-to-world"]),
        ("AWS.RDS.SnapshotShared", &["rds-snapshot-shared"]),
        ("AWS.RDS.MasterPasswordUpdated", &["rds-master-password-changed"]),
        ("AWS.IAM.BackdoorUserKeys", &["access-key-created-for-other"]),
        ("AWS.EC2.Traffic.Mirroring", &["traffic-mirroring-created"]),
    ]);
    let mut library = shipped();
    // Only event rules are asked: the others would scan one row a hundred times.
    library.sql.clear();
    let text = std::fs::read_to_string(folder.join("tests.jsonl")).unwrap();
    let (mut asked, mut wrong) = (0, Vec::new());
    for line in text.lines() {
        let test: Value = serde_json::from_str(line).unwrap();
        let Some(ours) = test["rule"].as_str().and_then(|rule| same.get(rule)) else { continue };
        if !test["log"].is_object() {
            continue;
        }
        asked += 1;
        let mut record = test["log"].clone();
        if record["eventTime"].is_null() {
            record["eventTime"] = json!("2026-01-01T00:00:00Z");
        }
        let session = session(&cloudtrail(&[record]), &[], &[]);
        let outcome = engine::run(&session, &library, None).await;
        let found = outcome.findings.iter().any(|finding| ours.contains(&finding.rule_id.as_str()));
        if found != test["expect"].as_bool().unwrap() {
            wrong.push(format!("{} / {}: found {found}", test["rule"], test["test"]));
        }
    }
    // Where we mean something else: an attempt to stop a trail counts even when it fails, and of
    // traffic mirroring only what copies packets does.
    wrong.sort();
    assert_eq!(
        wrong,
        [
            "\"AWS.CloudTrail.Stopped\" / \"Error Stopping CloudTrail\": found true",
            "\"AWS.EC2.Traffic.Mirroring\" / \"CreateTrafficMirrorFilter\": found false",
            "\"AWS.EC2.Traffic.Mirroring\" / \"CreateTrafficMirrorFilterRule\": found false",
            "\"AWS.EC2.Traffic.Mirroring\" / \"DeleteTrafficMirrorTarget\": found false",
        ],
        "of {asked} tests"
    );
    assert!(asked >= 16, "{asked}");
}

#[tokio::test]
async fn benign_recordings_raise_little() {
    let Some(folder) = fixtures("ct_flaws") else { return };
    let mut files = vec![folder];
    let mut records = Vec::new();
    while let Some(path) = files.pop() {
        if path.is_dir() {
            files.extend(std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
            continue;
        }
        let name = path.to_str().unwrap();
        let text = match name {
            _ if name.ends_with(".gz") => gunzip(&path),
            _ if name.ends_with(".json") => std::fs::read_to_string(&path).unwrap(),
            _ => continue,
        };
        if let Ok(document) = serde_json::from_str::<Value>(&text) {
            records.extend(document["Records"].as_array().cloned().unwrap_or_default());
        }
    }
    assert!(records.len() > 100);
    let session = session(&cloudtrail(&records), &[], &[]);
    let outcome = engine::run(&session, &shipped(), None).await;
    for finding in &outcome.findings {
        println!("{} {} {}", finding.severity, finding.rule_id, finding.summary);
    }
    reproduces(&session, &outcome).await;
    // The recording is of people trying stolen keys: refused calls and enumeration are right.
    let high = outcome.findings.iter().filter(|f| f.severity >= super::severity::Severity::High).count();
    assert!(high <= 3, "{high} findings of high severity");
}

#[tokio::test]
async fn recorded_scans_are_found_and_their_answers_are_not() {
    let Some(folder) = fixtures("flow_slips_scans") else { return };
    let mut library = shipped();
    library.sigma.clear();
    library.correlations.clear();
    for (file, rule, source) in [
        ("vertical_scan", "flow-port-scan", "192.168.1.9"),
        ("test11_vertical", "flow-port-scan", "10.8.0.69"),
        ("horizontal_scan", "flow-port-sweep", "10.0.2.112"),
        ("test12_icmp_sweep", "flow-icmp-sweep", "192.168.1.109"),
    ] {
        let text = gunzip(&folder.join(format!("vpc/{file}.vpcflow.log.gz")));
        let session = session(&[], &flows(&text), &[]);
        let outcome = engine::run(&session, &library, None).await;
        assert!(outcome.failures.is_empty() && outcome.problems.is_empty(), "{outcome:?}");
        for finding in &outcome.findings {
            println!("{file}: {} {}", finding.rule_id, finding.summary);
        }
        reproduces(&session, &outcome).await;
        let sources: Vec<&str> = outcome
            .findings
            .iter()
            .filter(|finding| finding.rule_id == rule)
            .map(|finding| finding.entity.split(' ').next().unwrap())
            .collect();
        assert_eq!(sources, [source], "{file}");
    }
}

#[tokio::test]
async fn long_recordings_of_mixed_traffic_raise_few_scans() {
    let Some(folder) = fixtures("flow_stratosphere") else { return };
    let mut library = shipped();
    library.sigma.clear();
    library.correlations.clear();
    // Internet noise at a public host is scanning at most: nothing of high severity is in these.
    const HIGH_FINDINGS_MAX: usize = 1;
    for file in ["001_njrat", "003_android_rat", "008_mixed", "010_mixed"] {
        let text = gunzip(&folder.join(format!("vpc/{file}.vpcflow.log.gz")));
        let session = session(&[], &flows(&text), &[]);
        let outcome = engine::run(&session, &library, None).await;
        assert!(outcome.failures.is_empty() && outcome.problems.is_empty(), "{outcome:?}");
        for finding in &outcome.findings {
            println!("{file}: {} {} {}", finding.severity, finding.rule_id, finding.summary);
        }
        reproduces(&session, &outcome).await;
        let high = outcome.findings.iter().filter(|f| f.severity >= super::severity::Severity::High).count();
        assert!(high <= HIGH_FINDINGS_MAX, "{file}: {high}");
    }
}

fn flow(src: &str, dst: &str, port: u16, action: &str, more: Value) -> Row {
    let mut record = json!({
        "account-id": "111111111111", "interface-id": "eni-1", "srcaddr": src, "dstaddr": dst, "srcport": 40000,
        "dstport": port, "protocol": 6, "packets": 9, "bytes": 900, "action": action, "log-status": "OK",
        "start": "2026-01-15T10:00:00Z",
    });
    for (key, value) in more.as_object().unwrap() {
        record[key] = value.clone();
    }
    case_table::row(&tables::vpc_flow::TABLE, record.as_object().unwrap())
}

#[tokio::test]
async fn the_intent_finds_what_it_forbids_and_its_sql_finds_the_same_rows() {
    let text = super::library::shipped_file("intent.example.toml").unwrap();
    let today = chrono::NaiveDate::from_ymd_opt(2026, 1, 15).unwrap();
    let intent = Arc::new(Intent::parse(text, "intent.example.toml", today).unwrap());
    let none = json!({});
    let rows = [
        flow("10.0.16.5", "10.0.64.9", 5432, "ACCEPT", none.clone()),
        flow("10.0.64.9", "10.0.16.5", 40001, "ACCEPT", json!({"srcport": 5432})),
        flow("10.0.1.9", "10.0.64.9", 5432, "ACCEPT", none.clone()),
        flow("10.0.1.9", "10.0.64.9", 5432, "ACCEPT", json!({"start": "2026-01-15T11:00:00Z"})),
        flow("10.0.64.9", "93.184.216.34", 443, "ACCEPT", none.clone()),
        flow("10.0.64.9", "93.184.216.35", 443, "ACCEPT", none.clone()),
        flow("10.0.16.5", "10.0.64.9", 5432, "REJECT", none.clone()),
        flow("10.0.16.5", "10.0.200.1", 443, "ACCEPT", none.clone()),
        // Both from the Internet to the same port; one is the office.
        flow("198.51.100.77", "10.0.1.20", 22, "REJECT", none.clone()),
        flow("198.51.100.78", "10.0.1.20", 22, "REJECT", none.clone()),
        flow("198.51.100.78", "10.0.1.20", 23, "REJECT", none.clone()),
        flow("198.51.100.77", "10.0.2.20", 22, "ACCEPT", none.clone()),
        flow("203.0.113.9", "10.0.2.20", 22, "ACCEPT", none.clone()),
        // Behind NAT the packet's own address counts.
        flow("10.0.1.5", "93.184.216.36", 443, "ACCEPT", json!({"pkt-srcaddr": "10.0.72.1", "tcp-flags": 2})),
        flow("93.184.216.36", "10.0.72.1", 8080, "ACCEPT", json!({"srcport": 443, "tcp-flags": 18})),
    ];
    let session = session(&[], &rows, &[]);
    let mut library = shipped();
    library.only(&["flow-skipdata-gap".to_owned()]).unwrap();
    let outcome = engine::run(&session, &library, Some((intent, "intent.example.toml"))).await;
    assert!(outcome.failures.is_empty(), "{:?}", outcome.failures);
    reproduces(&session, &outcome).await;
    let mut found: Vec<(String, String, u64)> = outcome
        .findings
        .iter()
        .map(|finding| (finding.rule_id.clone(), finding.entity.clone(), finding.count))
        .collect();
    found.sort();
    let row = |rule: &str, entity: &str, count| (rule.to_owned(), entity.to_owned(), count);
    assert_eq!(
        found,
        [
            row("intent/blocked-attempt/default", "internet -> 10.0.1.20 (public)", 3),
            row("intent/drift-deny/app-to-db", "10.0.16.5 (app) -> 10.0.64.9 (db) tcp/5432", 1),
            row("intent/unknown-zone/unknown-zone", "10.0.16.5 (app) -> 10.0.200.1 (unknown) tcp/443", 1),
            row("intent/violation/db-from-app-only", "10.0.1.9 (public) -> 10.0.64.9 (db) tcp/5432", 2),
            row("intent/violation/db-no-internet", "10.0.64.9 (db) -> internet tcp/443", 2),
            row("intent/violation/db-no-internet", "10.0.72.1 (db) -> internet tcp/443", 1),
            row("intent/violation/default", "internet -> 10.0.2.20 (public) tcp/22", 1),
        ]
    );
}

#[tokio::test]
async fn every_modifier_means_the_same_in_the_scan_and_in_sql() {
    let records: Vec<Value> = [
        json!({"eventName": "CreateUser", "sourceIPAddress": "10.1.2.3", "userAgent": "Kali \u{1b}[31m-x", "requestParameters": {"name": "Bob", "size": 7, "tags": [{"k": "a%b"}], "enc": "Y21kIC94", "at": "2026-01-15T10:30:00+01:00"}, "userIdentity": {"userName": "bob"}}),
        json!({"eventName": "createuser", "sourceIPAddress": "192.0.2.1", "requestParameters": {"name": "alice", "size": "70"}, "userIdentity": {"userName": "eve"}, "readOnly": true}),
        json!({"eventName": "Other", "errorCode": "AccessDenied", "extra": {"deep": ["x", "y"]}}),
    ]
    .into_iter()
    .enumerate()
    .map(|(at, mut record)| {
        record["eventTime"] = json!(format!("2026-01-15T1{at}:30:00Z"));
        record["eventID"] = json!(at.to_string());
        record
    })
    .collect();
    let session = session(&cloudtrail(&records), &[], &[]);
    for (detection, wanted) in [
        ("eventName: CREATEUSER", vec![0, 1]),
        ("eventName|cased: CreateUser", vec![0]),
        ("eventName|startswith: create", vec![0, 1]),
        ("eventName|endswith: [user, her]", vec![0, 1, 2]),
        ("eventName|contains|all: [eat, ser]", vec![0, 1]),
        ("eventName: 'c*te?ser'", vec![0, 1]),
        ("eventName|neq: createuser", vec![2]),
        ("eventName|re: '^Create'", vec![0]),
        ("eventName|re|i: '^create'", vec![0, 1]),
        ("errorCode: null", vec![0, 1]),
        ("errorCode|exists: true", vec![2]),
        ("sourceIPAddress|cidr: 10.0.0.0/8", vec![0]),
        ("requestParameters.size|gte: 10", vec![1]),
        ("requestParameters.size: 7", vec![0]),
        ("requestParameters.tags.k: 'a%b'", vec![0]),
        ("requestParameters.tags.k|contains: '_'", vec![]),
        ("requestParameters.name: ['bob', 'x']", vec![0]),
        ("requestParameters.name|re: '^[A-Z]'", vec![0]),
        ("requestParameters.missing: null", vec![0, 1, 2]),
        ("requestParameters|contains: 'ALICE'", vec![1]),
        ("requestParameters.enc|base64offset|contains: 'cmd'", vec![0]),
        ("requestParameters.enc|windash|base64: 'cmd -x'", vec![0]),
        ("userIdentity.userName|fieldref: requestParameters.name", vec![0]),
        ("userIdentity.userName|fieldref|neq: requestParameters.name", vec![1, 2]),
        ("userAgent|contains: \"\\e[31m\"", vec![0]),
        ("extra.deep: Y", vec![2]),
        ("readOnly: true", vec![1]),
        ("eventTime|hour: 11", vec![1]),
        ("eventTime|day: 15", vec![0, 1, 2]),
        ("requestParameters.at|hour: 9", vec![0]),
        ("sourceIPAddress|cidr: ['192.0.2.0/24', '10.1.0.0/16']", vec![0, 1]),
        ("sourceIPAddress|cidr: fd00::/8", vec![]),
        ("eventName|expand: '%who%'", vec![2]),
    ] {
        let text = format!(
            "title: t\nlogsource: {{product: aws, service: cloudtrail}}\ndetection:\n  s:\n    {detection}\n  condition: s\n"
        );
        let known = Placeholders::from([("who".to_owned(), vec!["other".to_owned()])]);
        let (documents, problems) = sigma::parse(&text, "t.yml", false, &known);
        assert!(problems.is_empty(), "{detection}: {problems:?}");
        let [Document::Rule(rule)] = documents.as_slice() else { panic!("{detection}") };
        let library = Library { sigma: vec![rule.clone()], ..Library::default() };
        let outcome = engine::run(&session, &library, None).await;
        assert!(outcome.problems.is_empty() && outcome.failures.is_empty(), "{detection}: {outcome:?}");
        let scanned: u64 = outcome.findings.iter().map(|finding| finding.count).sum();
        assert_eq!(scanned, wanted.len() as u64, "{detection}");
        reproduces(&session, &outcome).await;
        let sql = format!(
            "SELECT event_uid FROM cloudtrail WHERE {} ORDER BY event_uid",
            super::predicate_sql::condition(&rule.predicate)
        );
        let mut uids = Vec::new();
        for batch in session.sql(&sql).await.unwrap().collect().await.unwrap() {
            uids.extend(super::rows::texts(&batch, "event_uid").unwrap().iter().flatten().map(str::to_owned));
        }
        assert_eq!(uids, wanted.iter().map(ToString::to_string).collect::<Vec<_>>(), "{detection}: {sql}");
    }
}

#[tokio::test]
async fn broken_rules_are_named_and_the_others_run() {
    let text = "title: Good\nlogsource: {product: aws, service: cloudtrail}\ndetection:\n  s: {eventName: X}\n  condition: s\n---\ntitle: Bad\nlogsource: {product: aws, service: cloudtrail}\ndetection:\n  s: {eventName|nope: X}\n  condition: s\n---\ntitle: Worse\ndetection: [\n";
    let (documents, problems) = sigma::parse(text, "mine.yml", false, &Placeholders::new());
    assert_eq!(documents.len(), 1);
    let said: Vec<String> = problems.iter().map(ToString::to_string).collect();
    assert_eq!(problems.len(), 2, "{said:?}");
    assert!(said[0].contains("mine.yml (document 2): Bad") && said[0].contains("eventName|nope"), "{said:?}");
    assert!(said[1].contains("mine.yml") && said[1].contains("line"), "{said:?}");
}

#[tokio::test]
async fn hostile_text_is_inert_in_every_format() {
    let record = json!({
        "eventTime": "2026-01-15T10:00:00Z", "eventSource": "cloudtrail.amazonaws.com", "eventName": "StopLogging",
        "sourceIPAddress": "\u{1b}]0;owned\u{7}", "userIdentity": {"arn": "a'\u{1b}[2J\u{202e}' OR 1=1"},
    });
    let session = session(&cloudtrail(&[record]), &[], &[]);
    let outcome = engine::run(&session, &shipped(), None).await;
    assert_eq!(outcome.findings.len(), 1);
    reproduces(&session, &outcome).await;
    for format in [report::Format::Table, report::Format::Jsonl, report::Format::Json] {
        let mut out = Vec::new();
        report::findings(&mut out, &outcome.findings, format, false).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert!(text.contains("StopLogging"));
        assert!(!text.chars().any(|c| c != '\n' && super::sql_text::is_hostile(c)), "{format:?}: {text:?}");
        if format == report::Format::Jsonl {
            let finding: Value = serde_json::from_str(text.trim()).unwrap();
            assert_eq!(finding["entity"], "a'\u{1b}[2J\u{202e}' OR 1=1");
        }
    }
}

#[tokio::test]
async fn application_logs_match_by_keyword_and_attribute() {
    let rows: Vec<Row> = [
        json!({"event_time": "2026-01-15T10:00:00Z", "namespace": "shop", "pod": "api-1", "body": "django.core.exceptions.SuspiciousOperation: bad host"}),
        json!({"event_time": "2026-01-15T10:00:01Z", "namespace": "shop", "pod": "api-1", "body": "ok", "attributes": {"user": {"id": "admin"}}}),
    ]
    .iter()
    .map(|record| case_table::row(&tables::app_log::TABLE, record.as_object().unwrap()))
    .collect();
    let session = session(&[], &[], &rows);
    for (detection, count) in
        [("k: [SuspiciousOperation, nothing]", 1), ("k: {user.id: ADMIN}", 1), ("k: [absent]", 0)]
    {
        let text = format!(
            "title: t\nlogsource: {{category: application, product: django}}\ndetection:\n  {detection}\n  condition: k\n"
        );
        let (documents, problems) = sigma::parse(&text, "t.yml", false, &Placeholders::new());
        assert!(problems.is_empty(), "{problems:?}");
        let [Document::Rule(rule)] = documents.as_slice() else { panic!("{detection}") };
        assert_eq!(rule.source, Source::AppLog);
        let library = Library { sigma: vec![rule.clone()], ..Library::default() };
        let outcome = engine::run(&session, &library, None).await;
        assert_eq!(outcome.findings.len(), count, "{detection}");
        reproduces(&session, &outcome).await;
    }
}

/// Writes a page of the documentation, or says that it is stale.
fn is_fresh(path: &str, page: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..").join(path);
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, page).unwrap();
    }
    let current = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(current == page, "{} is stale: run ./dev docs", path.display());
}

#[test]
fn the_rules_page_is_fresh() {
    is_fresh("docs/reference/rules.md", &report::reference(&shipped()));
}

#[test]
fn the_coverage_page_is_fresh_and_claims_nothing_without_a_case() {
    let library = shipped();
    for rule in super::coverage::rules() {
        let meta = library.metas().find(|meta| meta.id == rule);
        let meta = meta.unwrap_or_else(|| panic!("there is no rule {rule}"));
        let cases = std::path::Path::new(&meta.origin).with_file_name("cases.jsonl");
        let cases = super::library::shipped_file(cases.to_str().unwrap()).unwrap();
        let expected: Vec<u64> = cases
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap()["expect"].as_u64().unwrap())
            .collect();
        assert!(expected.contains(&0) && expected.iter().any(|count| *count > 0), "{rule}: {expected:?}");
    }
    is_fresh("docs/coverage.md", &super::coverage::page(&library));
}

#[tokio::test]
async fn the_reference_intents_tell_right_from_wrong() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../deploy/intent");
    let cases: [(&str, Vec<Row>, &[&str]); 2] = [
        (
            "eks-on-nodes.toml",
            vec![
                flow("10.0.16.5", "10.0.64.9", 5432, "ACCEPT", json!({})),
                flow("10.0.64.9", "198.51.100.9", 443, "ACCEPT", json!({})),
                flow("198.51.100.9", "10.0.16.5", 8080, "ACCEPT", json!({})),
            ],
            &["intent/violation/db-no-internet", "intent/violation/internet-no-app"],
        ),
        (
            "eks-on-fargate.toml",
            vec![
                flow("10.0.11.5", "10.0.21.9", 5432, "ACCEPT", json!({})),
                flow("10.0.11.5", "3.5.140.9", 443, "ACCEPT", json!({"pkt-dst-aws-service": "S3"})),
                flow("10.0.12.7", "10.0.21.9", 22, "ACCEPT", json!({})),
                flow("10.0.11.5", "198.51.100.9", 443, "ACCEPT", json!({})),
            ],
            &["intent/violation/default", "intent/violation/no-ssh"],
        ),
    ];
    for (file, rows, wanted) in cases {
        let today = "2026-01-15".parse().unwrap();
        let intent = Arc::new(Intent::load(&folder.join(file), today).unwrap());
        let session = session(&[], &rows, &[]);
        let outcome = engine::run(&session, &Library::default(), Some((intent, file))).await;
        assert!(outcome.failures.is_empty(), "{:?}", outcome.failures);
        reproduces(&session, &outcome).await;
        let mut found: Vec<&str> = outcome.findings.iter().map(|finding| finding.rule_id.as_str()).collect();
        found.sort_unstable();
        assert_eq!(found, wanted, "{file}");
    }
}
