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
        Self::with(None, settings)
    }

    /// A node whose collector asks another API server than the one there is.
    fn with(api_server: Option<&str>, settings: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let server = ApiServer::start(dir.path());
        let pods = dir.path().join("pods");
        fs::create_dir_all(&pods).unwrap();
        let kubeconfig = server.kubeconfig().display().to_string();
        let bench = Bench::of(&format!(
            "[sources.pods]\ntype = \"kubernetes_logs\"\npods_dir = \"{}\"\napi_server = \"{}\"\n\
             rotate_wait = \"100ms\"\n{settings}\n[transforms.parsed]\ntype = \"parse\"\ninputs = [\"pods\"]\n\
             [sinks.out]\ninputs = [\"parsed\"]\n",
            pods.display(),
            api_server.unwrap_or(&kubeconfig)
        ));
        Self { server, pods, bench, _dir: dir }
    }

    /// Appends a line to the log of a container of pod `name`, whose UID is `u-<name>`.
    fn log(&self, name: &str, container: &str, line: &str) {
        self.write(name, container, &format!("stdout F {line}"));
    }

    fn write(&self, name: &str, container: &str, line: &str) {
        let mut file = self.file(name, container);
        writeln!(file, "2026-11-25T10:00:00Z {line}").unwrap();
    }

    fn file(&self, name: &str, container: &str) -> fs::File {
        let dir = self.pods.join(format!("shop_{name}_u-{name}/{container}"));
        fs::create_dir_all(&dir).unwrap();
        fs::OpenOptions::new().create(true).append(true).open(dir.join("0.log")).unwrap()
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

    /// Writes line after line, each when the one before was delivered, until one has what is wanted;
    /// then every line must be there once. Returns the number of lines.
    fn write_until(
        &self,
        running: &mut Running,
        name: &str,
        from: usize,
        wanted: impl Fn(&Delivered) -> bool,
    ) -> usize {
        let mut number = from;
        let prefix = format!("{name} ");
        running.until(|| {
            let delivered = self.bench.delivered();
            let ours: Vec<_> =
                delivered.iter().filter(|record| record.body.starts_with(prefix.as_bytes())).collect();
            let done = ours.iter().any(|record| wanted(record));
            if ours.len() == number && !done {
                self.log(name, "app", &format!("{name} {number:04}"));
                number += 1;
            }
            done
        });
        let all: Vec<String> = (0..number).map(|number| format!("{name} {number:04}")).collect();
        let bodies = self.bodies().into_iter().filter(|body| body.starts_with(&prefix));
        assert_eq!(bodies.collect::<Vec<_>>(), all, "lost or doubled");
        number
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
    node.write_until(&mut running, "late", 0, |record| record.stream.labels["v"] == "2");
    assert!(node.bench.delivered().iter().all(|record| record.stream.id == first.id));
    assert_eq!(node.find("one").unwrap().stream.labels["v"], "1");
}

#[test]
fn logs_flow_whatever_the_api_server_does_and_metadata_comes_back() {
    let known = |record: &Delivered| record.stream.image == "shop/api:1";
    for (trouble, lists_again) in [
        ("down", true),
        ("forbidden", true),
        ("away", true),
        ("slow", false),
        ("broken", false),
        ("gone", true),
        ("rotated", false),
        ("leaves", false),
    ] {
        let node = Node::new("metadata_wait = \"100ms\"");
        match trouble {
            "down" => node.server.refuse(Some(503)),
            "forbidden" => node.server.refuse(Some(403)),
            "away" => node.server.away(true),
            "slow" => node.server.hold(true),
            _ => {}
        }
        node.server.put(pod("p", json!({}), json!({})));
        let mut running = node.start();
        let mut written = 0;
        if let "down" | "forbidden" | "away" | "slow" = trouble {
            written = node.write_until(&mut running, "p", 0, |record| record.stream.image.is_empty());
            // It asked, and was told nothing.
            running.until(|| trouble == "away" || node.server.requests("/pods") > 0);
            node.server.refuse(None);
            node.server.away(false);
            node.server.hold(false);
        } else {
            running.until(|| node.server.requests("watch=1") == 1);
            written = node.write_until(&mut running, "p", written, known);
        }
        match trouble {
            "broken" => node.server.break_off(),
            "gone" => node.server.compact(),
            "rotated" => {
                node.server.expect("second");
                let before = node.server.requests("/pods");
                node.server.break_off();
                // Refused with the old token, which is in the file for some time.
                running.until(|| node.server.requests("/pods") > before);
                node.server.rotate("second");
            }
            "leaves" => {
                node.server.away(true);
                // What was known stays known; a new pod is read without.
                node.write_until(&mut running, "new", 0, |record| record.stream.image.is_empty());
                node.log("p", "app", &format!("p {written:04}"));
                written += 1;
                let last = format!("p {:04}", written - 1);
                running.until(|| node.find(&last).is_some());
                assert!(known(&node.find(&last).unwrap()), "{trouble}");
                node.server.away(false);
            }
            _ => {}
        }
        node.server.put(pod("p", json!({"v": "2"}), json!({})));
        node.write_until(&mut running, "p", written, |record| {
            known(record) && record.stream.labels.contains_key("v")
        });
        let lists = node.server.requests("resourceVersion=0&");
        // Away, it counted nothing.
        assert_eq!(lists > 1, lists_again && trouble != "away", "{trouble}: {lists}");
        assert_eq!(running.terminate(), Some(0), "{trouble}");
    }
}

#[test]
fn a_pod_that_is_excluded_for_some_time_is_read_on_where_it_was_left() {
    let node = Node::new("metadata_wait = \"60s\"");
    node.server.put(pod("p", json!({}), json!({})));
    node.server.put(pod("q", json!({"v": "1"}), json!({})));
    node.log("p", "app", "before");
    let mut running = node.start();
    running.until(|| node.find("before").is_some());
    node.server.put(pod("p", json!({}), json!({"logq.dev/exclude": "true"})));
    node.server.put(pod("q", json!({"v": "2"}), json!({})));
    // News come in order: who knows the second knows the first.
    let written = node.write_until(&mut running, "q", 0, |record| record.stream.labels["v"] == "2");
    node.log("p", "app", "meanwhile");
    node.server.put(pod("q", json!({"v": "3"}), json!({})));
    node.write_until(&mut running, "q", written, |record| record.stream.labels["v"] == "3");
    assert!(node.find("meanwhile").is_none());
    node.server.put(pod("p", json!({}), json!({})));
    node.log("p", "app", "after");
    running.until(|| node.find("after").is_some());
    assert_eq!(running.terminate(), Some(0));
    let of_p: Vec<String> = node.bodies().into_iter().filter(|body| !body.starts_with('q')).collect();
    assert_eq!(of_p, ["after", "before", "meanwhile"]);
}

#[test]
fn a_standard_stream_is_skipped_and_holds_nothing_back() {
    for (settings, annotation, expected) in [
        ("", "logq.dev/exclude-stderr", ["out 1", "out 2"]),
        ("", "logq.dev/exclude-stdout.app", ["err 1", "err 2"]),
        ("peer_annotations = [\"fluent_bit\"]", "fluentbit.io/exclude_stderr", ["out 1", "out 2"]),
        ("peer_annotations = [\"fluent_bit\"]", "fluentbit.io/exclude_stdout-app", ["err 1", "err 2"]),
    ] {
        let node = Node::new(&format!("metadata_wait = \"60s\"\n{settings}"));
        node.server.put(pod("p", json!({}), json!({annotation: "true"})));
        for line in ["stdout F out 1", "stderr F err 1", "stderr P err ", "stdout P out ", "stderr F 2"] {
            node.write("p", "app", line);
        }
        node.write("p", "app", "stdout F 2");
        // What is left open on the stream that is skipped must not keep the file from going on.
        node.write("p", "app", if expected[0] == "out 1" { "stderr P never" } else { "stdout P never" });
        for _ in 0..2 {
            assert!(node.bench.run_until_idle().status.success());
            assert_eq!(node.bodies(), expected, "{annotation}");
        }
    }
}

#[test]
fn more_pods_than_may_be_kept_are_read_without_metadata() {
    let node = Node::new("metadata_wait = \"60s\"\nmetadata_max_pods = 2");
    for name in ["a", "b", "c", "d"] {
        node.server.put(pod(name, json!({}), json!({})));
        node.log(name, "app", name);
        // So old that nobody waits for its pod once everything was listed.
        let long_ago = std::time::SystemTime::now() - std::time::Duration::from_secs(600);
        node.file(name, "app").set_modified(long_ago).unwrap();
    }
    assert!(node.bench.run_until_idle().status.success());
    assert_eq!(node.bodies(), ["a", "b", "c", "d"]);
    let known = node.bench.delivered().into_iter().filter(|record| !record.stream.image.is_empty());
    assert_eq!(known.count(), 2);
}

#[test]
fn what_labels_exclude_stays_on_the_node_while_nobody_tells_about_labels() {
    let node = Node::new("metadata_wait = \"100ms\"\nselect.labels = \"!secret\"");
    node.server.refuse(Some(403));
    node.server.put(pod("open", json!({}), json!({})));
    node.server.put(pod("secret", json!({"secret": "yes"}), json!({})));
    node.log("open", "app", "open");
    node.log("secret", "app", "secret");
    let mut running = node.start();
    running.until(|| node.server.requests("/pods") > 1);
    assert_eq!(node.bodies(), Vec::<String>::new());
    node.server.refuse(None);
    running.until(|| node.server.requests("watch=1") == 1);
    node.server.put(pod("later", json!({}), json!({})));
    node.log("later", "app", "later");
    running.until(|| node.bench.delivered().len() == 2);
    assert_eq!(running.terminate(), Some(0));
    assert_eq!(node.bodies(), ["later", "open"]);
}

#[test]
fn labels_outside_of_a_cluster_select_nothing_and_say_so() {
    let node = Node::with(Some("auto"), "metadata_wait = \"100ms\"\nselect.labels = \"app=api\"");
    node.log("p", "app", "line");
    let mut command = node.bench.command();
    let output =
        command.args(["--until-idle", "500ms"]).env_remove("KUBERNETES_SERVICE_HOST").output().unwrap();
    assert!(output.status.success());
    assert_eq!(node.bodies(), Vec::<String>::new());
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("not in a cluster"), "{said}");
}

/// Resident memory of a process now and at most, in KiB.
fn memory(running: &Running) -> [usize; 2] {
    let status = fs::read_to_string(format!("/proc/{}/status", running.0.id())).unwrap();
    ["VmRSS:", "VmHWM:"].map(|name| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    })
}

#[test]
fn a_node_full_of_large_pods_takes_little_memory() {
    const PODS: usize = 250;
    let measure = |api_server: Option<&str>| {
        let node = Node::with(api_server, "metadata_wait = \"60s\"");
        node.server.page(PODS);
        for number in 0..PODS {
            let name = format!("p{number}");
            let labels = json!({"app": "api", "pod-template-hash": "6d5f", "team": "shop"});
            // 30 KB each, 7.5 MB in one answer.
            node.server.put(pod(&name, labels, json!({"applied": "x".repeat(30_000)})));
            node.log(&name, "app", &name);
        }
        let mut running = node.start();
        running.until(|| node.bench.delivered().len() == PODS);
        let known = node.bench.delivered().iter().filter(|record| !record.stream.image.is_empty()).count();
        assert_eq!(known, if api_server.is_none() { PODS } else { 0 });
        memory(&running)
    };
    let (without, with) = (measure(Some("none")), measure(None));
    println!("resident, at most, in KiB: {without:?} without an API server, {with:?} with");
    assert!(with[1] < without[1] + 16 * 1024, "{without:?} {with:?}");
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
