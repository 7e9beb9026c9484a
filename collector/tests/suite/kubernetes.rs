//! Metadata of pods, selection, and an API server that has bad days.

use crate::api_server::ApiServer;
use crate::program::{Bench, Delivered, Running};
use serde_json::{Value, json};
use std::fs;
use std::io::Write as _;
use std::path::PathBuf;

/// A node with its API server and a collector that is not running yet.
struct Node {
    server: ApiServer,
    pods: PathBuf,
    bench: Bench,
    _dir: tempfile::TempDir,
}

impl Node {
    fn new(settings: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let server = ApiServer::start(dir.path());
        let pods = dir.path().join("pods");
        fs::create_dir_all(&pods).unwrap();
        let bench = Bench::of(&format!(
            "[sources.pods]\ntype = \"kubernetes_logs\"\npods_dir = \"{}\"\napi_server = \"{}\"\n\
             rotate_wait = \"100ms\"\n{settings}\n[transforms.parsed]\ntype = \"parse\"\ninputs = [\"pods\"]\n\
             [sinks.out]\ninputs = [\"parsed\"]\n",
            pods.display(),
            server.kubeconfig().display()
        ));
        Self { server, pods, bench, _dir: dir }
    }

    /// Appends a line to the log of a container of pod `name`, whose UID is `u-<name>`.
    fn log(&self, name: &str, container: &str, line: &str) {
        let dir = self.pods.join(format!("shop_{name}_u-{name}/{container}"));
        fs::create_dir_all(&dir).unwrap();
        let mut file = fs::OpenOptions::new().create(true).append(true).open(dir.join("0.log")).unwrap();
        writeln!(file, "2026-11-25T10:00:00Z stdout F {line}").unwrap();
    }

    fn find(&self, body: &str) -> Option<Delivered> {
        self.bench.delivered().into_iter().find(|record| record.body == body.as_bytes())
    }

    fn start(&self) -> Running {
        Running::start(&mut self.bench.command())
    }

    fn bodies(&self) -> Vec<String> {
        let bodies = self.bench.delivered().into_iter().map(|record| String::from_utf8(record.body).unwrap());
        let mut bodies: Vec<String> = bodies.collect();
        bodies.sort();
        bodies
    }
}

fn pod(name: &str, labels: Value, annotations: Value) -> Value {
    json!({
        "metadata": {"name": name, "namespace": "shop", "uid": format!("u-{name}"), "labels": labels,
            "annotations": annotations,
            "ownerReferences": [{"kind": "ReplicaSet", "name": "api-6d5f", "controller": true}]},
        "spec": {"nodeName": "n1", "serviceAccountName": "sa", "containers": [{"name": "app", "image": "shop/api:1"}]},
        "status": {"podIP": "10.0.0.7"},
    })
}

#[test]
fn metadata_goes_with_the_records_and_costs_one_list_and_one_watch() {
    let node = Node::new("");
    for number in 0..5 {
        // Descriptions larger than 32 KiB, in pages of two.
        let big = json!({"big": "x".repeat(64 * 1024)});
        let labels = json!({"app": "api", "pod-template-hash": "6d5f"});
        node.server.put(pod(&format!("p{number}"), labels, big));
        node.log(&format!("p{number}"), "app", &format!("line {number}"));
    }
    let mut elsewhere = pod("far", json!({}), json!({}));
    elsewhere["spec"]["nodeName"] = "n2".into();
    node.server.put(elsewhere);
    let mut running = node.start();
    running.until(|| node.bench.delivered().len() == 5);
    let stream = node.find("line 4").unwrap().stream;
    assert_eq!((stream.image.as_str(), stream.workload.as_str()), ("shop/api:1", "Deployment/api"));
    assert_eq!(stream.labels["app"], "api");
    assert_eq!(
        (stream.resource["k8s.pod.ip"].as_str(), stream.resource["k8s.node.name"].as_str()),
        ("10.0.0.7", "n1")
    );
    running.until(|| node.server.requests("watch=1") == 1);
    let lists = |text| node.server.requests(text);
    assert_eq!((lists("resourceVersion=0"), lists("continue="), lists("/pods")), (1, 2, 4));
    assert_eq!(lists("fieldSelector=spec.nodeName%3Dn1"), 4);
}

#[test]
fn a_file_waits_for_its_pod_and_new_labels_begin_a_new_stream_of_the_same_identity() {
    let node = Node::new("metadata_wait = \"60s\"");
    node.log("late", "app", "one");
    let mut running = node.start();
    running.until(|| node.server.requests("watch=1") == 1);
    node.server.put(pod("late", json!({"v": "1"}), json!({})));
    running.until(|| node.find("one").is_some());
    let first = node.find("one").unwrap().stream;
    assert_eq!(first.labels["v"], "1");
    node.server.put(pod("late", json!({"v": "2"}), json!({})));
    // A line that is read before the news carries the old label, so lines are written until one is not.
    let mut number = 0;
    running.until(|| {
        number += 1;
        node.log("late", "app", &format!("more {number}"));
        node.bench.delivered().iter().any(|record| record.stream.labels["v"] == "2")
    });
    assert!(node.bench.delivered().iter().all(|record| record.stream.id == first.id));
    assert_eq!(node.find("one").unwrap().stream.labels["v"], "1");
}

#[test]
fn logs_flow_whatever_the_api_server_does_and_metadata_comes_back() {
    for trouble in ["down", "forbidden", "broken", "gone", "rotated"] {
        let node = Node::new("metadata_wait = \"100ms\"");
        if trouble == "down" || trouble == "forbidden" {
            node.server.refuse(Some(if trouble == "down" { 503 } else { 403 }));
            node.log("dark", "app", "dark");
        }
        let mut running = node.start();
        match trouble {
            "down" | "forbidden" => {
                running.until(|| node.find("dark").is_some());
                assert_eq!(node.find("dark").unwrap().stream.image, "", "{trouble}");
                node.server.refuse(None);
            }
            _ => running.until(|| node.server.requests("watch=1") == 1),
        }
        match trouble {
            "broken" => node.server.break_off(),
            "gone" => node.server.compact(),
            "rotated" => {
                node.server.rotate("second");
                node.server.break_off();
            }
            _ => {}
        }
        node.server.put(pod("p", json!({}), json!({})));
        // The pod may be too late for a first line, not for all.
        let mut number = 0;
        running.until(|| {
            number += 1;
            node.log("p", "app", &format!("line {number}"));
            node.bench.delivered().iter().any(|record| record.stream.image == "shop/api:1")
        });
        assert_eq!(
            node.server.requests("resourceVersion=0") > 1,
            trouble != "broken" && trouble != "rotated",
            "{trouble}"
        );
    }
}

#[test]
fn a_pod_deleted_before_its_log_is_read_is_still_known() {
    let node = Node::new("metadata_wait = \"60s\"");
    let mut running = node.start();
    running.until(|| node.server.requests("watch=1") == 1);
    node.server.put(pod("short", json!({"job": "x"}), json!({})));
    node.server.delete("u-short");
    node.log("short", "app", "brief");
    running.until(|| node.find("brief").is_some());
    assert_eq!(node.find("brief").unwrap().stream.labels["job"], "x");
}

#[test]
fn names_labels_and_annotations_select_what_is_read() {
    let everything = ["api", "batch", "canary", "out", "peer"];
    for (settings, expected) in [
        ("", vec!["api", "batch", "canary", "peer"]),
        ("annotations = false", everything.to_vec()),
        ("annotations = false\nselect.exclude_pods = [\"can*\"]", vec!["api", "batch", "out", "peer"]),
        ("select.namespaces = [\"other\"]", vec![]),
        ("select.exclude_containers = [\"app\"]", vec![]),
        ("select.labels = \"tier in (web),!old\"", vec!["api"]),
        ("peer_annotations = [\"fluent_bit\"]", vec!["api", "batch", "canary"]),
        ("select.namespace_labels = \"team=red\"", vec![]),
        ("select.namespace_labels = \"team=blue\"", vec!["api", "batch", "canary", "peer"]),
    ] {
        let node = Node::new(&format!("metadata_wait = \"60s\"\n{settings}"));
        node.server.namespace("shop", json!({"team": "blue"}));
        for name in everything {
            let labels = if name == "api" { json!({"tier": "web"}) } else { json!({"old": "y"}) };
            let annotations = match name {
                "out" => json!({"logq.dev/exclude": "true"}),
                "peer" => json!({"fluentbit.io/exclude": "true"}),
                _ => json!({}),
            };
            node.server.put(pod(name, labels, annotations));
            node.log(name, "app", name);
        }
        assert!(node.bench.run_until_idle().status.success());
        assert_eq!(node.bodies(), expected, "{settings}");
    }
}

#[test]
fn annotations_choose_parser_and_multiline() {
    let node = Node::new("metadata_wait = \"60s\"");
    let annotations = json!({"logq.dev/multiline": "java", "logq.dev/parser.web": "logfmt"});
    node.server.put(pod("p", json!({}), annotations));
    node.log("p", "app", "java.lang.IllegalStateException: no");
    node.log("p", "app", "\tat com.example.App.run(App.java:10)");
    node.log("p", "app", "next");
    node.log("p", "web", "level=error user=7");
    assert!(node.bench.run_until_idle().status.success());
    assert!(
        node.find("java.lang.IllegalStateException: no\n\tat com.example.App.run(App.java:10)").is_some()
    );
    assert_eq!(node.find("level=error user=7").unwrap().severity, Some(17));
}
