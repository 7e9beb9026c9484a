//! Recorded attacks against the shipped rules: the table of what is flagged by which rule.
//!
//! The recordings are not part of the repository; without them these tests say so.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use super::case_table::{self, Row};
use super::engine;
use super::library::Library;
use super::predicate_sql;
use super::rows;
use super::sigma::detection::Placeholders;
use super::tests::{fixtures, flows, gunzip};
use crate::session::Session;
use logq_schemas::tables;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// Where our rules and Panther's tests differ, each with the reason: lines of rule, test (`*` for all)
/// and reason.
const DIFFERENCES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/panther-differences.tsv");

/// Which event rules match each record; by predicate, so that one query asks all records.
async fn matches(session: &Session, library: &Library) -> BTreeMap<usize, BTreeSet<String>> {
    let mut found: BTreeMap<usize, BTreeSet<String>> = BTreeMap::new();
    for rule in
        library.sigma.iter().filter(|rule| session.context().table_exist(rule.source.table().name).unwrap())
    {
        let sql = format!(
            "SELECT event_uid FROM {} WHERE {}",
            rule.source.table().name,
            predicate_sql::condition(&rule.predicate)
        );
        for batch in session.sql(&sql).await.unwrap().collect().await.unwrap() {
            for uid in rows::texts(&batch, "event_uid").unwrap().iter().flatten() {
                found.entry(uid.parse().unwrap()).or_default().insert(rule.meta.id.clone());
            }
        }
    }
    found
}

/// For rules that only count, the correlation that reports; for others the rule itself.
fn reporting(library: &Library, rule: &str) -> (String, bool) {
    let joint =
        library.correlations.iter().find(|joint| !joint.generate && joint.rules.iter().any(|r| r == rule));
    joint.map_or_else(|| (rule.to_owned(), true), |joint| (joint.meta.id.clone(), false))
}

#[tokio::test]
async fn panthers_tests_are_flagged_or_listed_with_the_reason() {
    let Some(folder) = fixtures("ct_panther") else { return };
    let library = Library::shipped(&Placeholders::new());
    let text = std::fs::read_to_string(folder.join("tests.jsonl")).unwrap();
    let tests: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .filter(|test| test["log"].is_object())
        .collect();
    let table = &tables::cloudtrail::TABLE;
    let records: Vec<Row> = tests
        .iter()
        .enumerate()
        .map(|(at, test)| {
            let mut record = test["log"].as_object().unwrap().clone();
            record.insert("eventID".to_owned(), json!(at.to_string()));
            record.insert("eventTime".to_owned(), json!("2026-01-01T00:00:00Z"));
            case_table::row(table, &record)
        })
        .collect();
    let session = case_table::session(vec![(table, records)]).unwrap();
    let found = matches(&session, &library).await;
    let (mut flagging, mut problems): (BTreeMap<String, BTreeSet<String>>, Vec<String>) = Default::default();
    let none = BTreeSet::new();
    let differences = std::fs::read_to_string(DIFFERENCES).unwrap();
    let differences: Vec<Vec<&str>> = differences
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| line.split('\t').collect())
        .collect();
    assert!(differences.iter().all(|cells| cells.len() == 3 && !cells[2].is_empty()), "each needs a reason");
    let mut used = BTreeSet::new();
    let name = |test: &Value, key: &str| test[key].as_str().unwrap_or_default().to_owned();
    for positive in [true, false] {
        for (at, test) in tests.iter().enumerate().filter(|(_, test)| test["expect"] == positive) {
            let (rule, title) = (name(test, "rule"), name(test, "test"));
            let ours: Vec<(String, bool)> =
                found.get(&at).unwrap_or(&none).iter().map(|rule| reporting(&library, rule)).collect();
            let shown: Vec<String> = ours
                .iter()
                .map(|(id, alone)| if *alone { id.clone() } else { format!("counted by {id}") })
                .collect();
            println!(
                "{rule} | {title} | {} | {}",
                if positive { "alert" } else { "quiet" },
                shown.join(", ")
            );
            let listed = differences
                .iter()
                .position(|cells| cells[0] == rule && (cells[1] == "*" || cells[1] == title));
            if positive {
                flagging.entry(rule.clone()).or_default().extend(ours.iter().map(|(id, _)| id.clone()));
                match listed {
                    _ if !ours.is_empty() => {}
                    Some(line) => _ = used.insert(line),
                    None => problems.push(format!("missed: {rule} / {title}")),
                }
            } else if let Some((id, _)) = ours
                .iter()
                .find(|(id, alone)| *alone && flagging.get(&rule).is_some_and(|rules| rules.contains(id)))
            {
                match listed {
                    Some(line) => _ = used.insert(line),
                    None => problems.push(format!("loud: {rule} / {title}: {id}")),
                }
            }
        }
    }
    let unused =
        (0..differences.len()).filter(|line| !used.contains(line)).map(|line| differences[line].join(" "));
    problems.extend(unused.map(|line| format!("not different any more: {line}")));
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

#[tokio::test]
async fn kubernetes_audit_behaviours_are_flagged() {
    let Some(folder) = fixtures("k8saudit_falco") else { return };
    let library = Library::shipped(&Placeholders::new());
    let table = &tables::app_log::TABLE;
    let (mut names, mut records) = (Vec::new(), Vec::new());
    let mut files: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    for path in files.iter().filter(|path| path.extension().is_some_and(|e| e == "json")) {
        let text = std::fs::read_to_string(path).unwrap();
        for document in serde_json::Deserializer::from_str(&text).into_iter::<Value>() {
            let Ok(document) = document else { break };
            let row = json!({"event_uid": names.len().to_string(), "event_time": "2026-01-01T00:00:00Z", "attributes": document.to_string()});
            records.push(row.as_object().unwrap().clone());
            names.push(path.file_stem().unwrap().to_str().unwrap().to_owned());
        }
    }
    let session = case_table::session(vec![(table, records)]).unwrap();
    let app = Library {
        sigma: library
            .sigma
            .into_iter()
            .filter(|rule| rule.source == super::fields::Source::AppLog)
            .collect(),
        ..Library::default()
    };
    let found = matches(&session, &app).await;
    let mut by_name: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (at, name) in names.iter().enumerate() {
        by_name.entry(name).or_default().extend(found.get(&at).into_iter().flatten().map(String::as_str));
    }
    for (name, rules) in &by_name {
        println!("{name} | {rules:?}");
    }
    for (name, wanted) in [
        ("anonymous_creates_namespace_foo", "k8s-anonymous-request"),
        ("attach_cluster_admin_role", "k8s-cluster-admin-bound"),
        ("attach_pod", "k8s-exec-into-pod"),
        ("exec_pod", "k8s-exec-into-pod"),
        ("create_cluster_role_pod_exec", "k8s-dangerous-role"),
        ("create_cluster_role_wildcard_resources", "k8s-dangerous-role"),
        ("create_cluster_role_wildcard_verbs", "k8s-dangerous-role"),
        ("create_nginx_pod_hostnetwork", "k8s-pod-with-host-access"),
        ("create_nginx_pod_privileged", "k8s-pod-with-host-access"),
        ("create_nginx_pod_sensitive_mount", "k8s-pod-with-host-access"),
        ("create_nginx_pod_sensitive_mount_2nd_container", "k8s-pod-with-host-access"),
        ("create_nginx_service_nodeport", "k8s-node-port"),
        ("create_configmap_sensitive_values", "k8s-secrets-in-configmap"),
        ("modify_cluster_role_node_problem_detector", "k8s-system-role-changed"),
        ("delete_cluster_role_kube_aggregator", "k8s-system-role-changed"),
    ] {
        assert!(by_name[name].contains(wanted), "{name}: {wanted} missing among {:?}", by_name[name]);
    }
    for quiet in [
        "create_nginx_pod_unprivileged",
        "create_nginx_pod_nohostnetwork",
        "create_nginx_pod_unsensitive_mount",
        "create_nginx_service_nonodeport",
        "create_configmap_no_sensitive_values",
        "create_deployment",
        "create_configmap",
    ] {
        assert!(by_name[quiet].is_empty(), "{quiet}: {:?}", by_name[quiet]);
    }
}

#[tokio::test]
async fn recorded_flows_are_flagged_by_the_rule_for_them() {
    let mut library = Library::shipped(&Placeholders::new());
    library.sigma.clear();
    library.correlations.clear();
    let wanted: [(&str, &str, &str, &str); 3] = [
        ("flow_stratosphere", "001_njrat", "flow-beacon", "192.168.1.115"),
        ("flow_stratosphere", "008_mixed", "flow-slow-scan", "104.156.155.13"),
        ("flow_stratosphere", "010_mixed", "flow-slow-scan", "79.124.62.34"),
    ];
    for (set, file, rule, source) in wanted {
        let Some(folder) = fixtures(set) else { continue };
        let text = gunzip(&folder.join(format!("vpc/{file}.vpcflow.log.gz")));
        let session = case_table::session(vec![(&tables::vpc_flow::TABLE, flows(&text))]).unwrap();
        let outcome = engine::run(&session, &library, None).await;
        assert!(outcome.failures.is_empty() && outcome.problems.is_empty(), "{outcome:?}");
        let mut counts: BTreeMap<&str, u32> = BTreeMap::new();
        for finding in &outcome.findings {
            let count = counts.entry(&finding.rule_id).or_default();
            *count += 1;
            if *count <= 4 {
                println!("{file} | {} | {} | {}", finding.severity, finding.rule_id, finding.summary);
            }
        }
        println!("{file} | {counts:?}");
        let found = outcome.findings.iter().any(|f| f.rule_id == rule && f.entity.starts_with(source));
        assert!(found, "{file}: no {rule} of {source}");
    }
}
