//! Real lines in the runtime's format, against their reassembled form.

use crate::program::{Bench, Delivered};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

fn fixtures(set: &str) -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/fixtures");
    let path = std::env::var_os("LOGQ_FIXTURES").map_or(beside, PathBuf::from).join(set);
    if path.is_dir() {
        return Some(path);
    }
    println!("skipped: no fixtures at {}; set LOGQ_FIXTURES to run this", path.display());
    None
}

fn body_of(expected: &Value) -> Vec<u8> {
    if let Some(text) = expected.get("log").and_then(Value::as_str) {
        return text.as_bytes().to_vec();
    }
    let hex = expected["log_hex"].as_str().unwrap();
    (0..hex.len()).step_by(2).map(|i| u8::from_str_radix(&hex[i..i + 2], 16).unwrap()).collect()
}

#[test]
fn recorded_logs_come_out_byte_for_byte() {
    let Some(root) = fixtures("k8s_cri_wrapped") else { return };
    let bench = Bench::new(&root.join("var/log/pods"), "");
    let output = bench.run_until_idle();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let delivered = bench.delivered();
    let mut files = 0;
    for entry in fs::read_dir(root.join("expected")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().strip_suffix(".log.jsonl").unwrap().to_owned();
        let of_file = |record: &&Delivered| {
            let stream = &record.stream;
            let owner = format!("{}_{}_{}", stream.namespace, stream.pod, stream.pod_uid);
            name == format!("{owner}__{}__{}", stream.container, stream.restart.unwrap())
        };
        // Expected lines are in the order of completion; so are records of one file.
        let found: Vec<&Delivered> = delivered.iter().filter(of_file).collect();
        let text = fs::read_to_string(&path).unwrap();
        let expected: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(found.len(), expected.len(), "{name}");
        for (found, expected) in found.iter().zip(&expected) {
            assert_eq!(found.body, body_of(expected), "{name} at {}", found.offset);
            assert_eq!(found.time, expected["time_first"].as_str().unwrap(), "{name} at {}", found.offset);
            assert_eq!(found.stream.stdio, expected["stream"].as_str().unwrap());
        }
        files += 1;
    }
    assert!(files >= 3, "only {files} expected files");
}

fn run(bench: &Bench) -> Vec<Delivered> {
    let output = bench.run_until_idle();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    bench.delivered()
}

fn text(record: &Delivered) -> String {
    String::from_utf8(record.body.clone()).unwrap()
}

/// Lines in the runtime's format, as one container's log.
fn write_cri(root: &Path, name: &str, lines: &[&str]) {
    let dir = root.join(format!("pods/ns_{name}_00000000-0000-4000-8000-000000000001/c"));
    fs::create_dir_all(&dir).unwrap();
    let line = |(n, line): (usize, &&str)| format!("2026-11-24T10:00:00.{n:09}Z stderr F {line}\n");
    fs::write(dir.join("0.log"), lines.iter().enumerate().map(line).collect::<String>()).unwrap();
}

const PODS: &str =
    "[sources.pods]\ntype = \"kubernetes_logs\"\npods_dir = \"{root}/pods\"\nrotate_wait = \"100ms\"\n";

/// Every recorded trace, between two ordinary lines, comes out as one record; text that is no trace
/// stays in lines.
#[test]
fn recorded_stack_traces_come_out_whole() {
    let Some(root) = fixtures("stacktraces") else { return };
    let multiline = "multiline = { mode = \"auto\", timeout = \"200ms\" }\n[sinks.out]inputs = [\"pods\"]\n";
    let bench = Bench::of(&format!("{PODS}{multiline}"));
    let mut expected: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for entry in fs::read_dir(root).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_lowercase().replace('_', "-");
        if name == "source" {
            continue;
        }
        let trace = fs::read_to_string(&path).unwrap();
        let trace: Vec<&str> = trace.trim_end_matches('\n').lines().collect();
        let lines = [&["before: one line"], &trace[..], &["after: another"]].concat();
        write_cri(&bench.root, &name, &lines);
        let whole = if name == "arbitrary-text" {
            lines.iter().map(|line| (*line).to_owned()).collect()
        } else {
            vec![lines[0].to_owned(), trace.join("\n"), lines[lines.len() - 1].to_owned()]
        };
        expected.insert(name, whole);
    }
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for record in run(&bench) {
        found.entry(record.stream.pod.clone()).or_default().push(text(&record));
    }
    for (name, expected) in &expected {
        assert_eq!(&found[name], expected, "{name}");
    }
    assert!(expected.len() > 20, "only {} traces", expected.len());
}

/// Each encoding of one text, with and without byte order mark, plain and compressed, both line ends.
#[test]
fn recorded_encodings_come_out_as_the_same_text() {
    let Some(root) = fixtures("alloy_misc") else { return };
    let root = root.join("component/loki/source/file/testdata/encoding");
    let source = |name: &str, encoding: &str| {
        format!(
            "[sources.{name}]\ntype = \"file\"\ninclude = [\"{{root}}/{name}/**\"]\nencoding = \"{encoding}\"\nrotate_wait = \"100ms\"\n"
        )
    };
    let sources: String =
        [("marked", "utf-8"), ("le", "utf-16le"), ("be", "utf-16be")].map(|(n, e)| source(n, e)).concat();
    let bench = Bench::of(&format!("{sources}[sinks.out]inputs = [\"marked\", \"le\", \"be\"]\n"));
    let mut files = 0;
    for end in ["LF", "CRLF"] {
        for entry in fs::read_dir(root.join(end)).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            let source = match name.split('.').next().unwrap() {
                "UTF-16_LE" => "le",
                "UTF-16_BE" => "be",
                _ => "marked",
            };
            files += 1;
            let to = bench.root.join(source).join(format!("{files}"));
            fs::create_dir_all(&to).unwrap();
            fs::copy(&path, to.join(name)).unwrap();
        }
    }
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for record in run(&bench) {
        found.entry(record.stream.file.clone()).or_default().push(text(&record));
    }
    assert_eq!((found.len(), files), (files, 24), "{:?}", found.keys());
    for (file, lines) in found {
        assert_eq!(lines, decode(Path::new(&file)), "{file}");
    }
}

/// Lines of a file in UTF-8 or UTF-16, by the standard library alone.
fn decode(path: &Path) -> Vec<String> {
    let mut bytes = fs::read(path).unwrap();
    if path.extension().is_some_and(|ending| ending == "gz") {
        let mut plain = Vec::new();
        flate2::read::MultiGzDecoder::new(&bytes[..]).read_to_end(&mut plain).unwrap();
        bytes = plain;
    }
    let name = path.file_name().unwrap().to_str().unwrap();
    let units = |big: bool| -> String {
        let unit = |pair: &[u8]| {
            let pair = [pair[0], pair[1]];
            if big { u16::from_be_bytes(pair) } else { u16::from_le_bytes(pair) }
        };
        char::decode_utf16(bytes.chunks_exact(2).map(unit)).map(Result::unwrap).collect()
    };
    let text = match (name.starts_with("UTF-8"), &bytes[..2]) {
        (true, _) => String::from_utf8(bytes.clone()).unwrap(),
        (false, b"\xfe\xff") => units(true),
        (false, b"\xff\xfe") => units(false),
        (false, _) => units(name.contains("_BE")),
    };
    text.trim_start_matches('\u{feff}').lines().map(str::to_owned).collect()
}

fn as_docker(root: &Path, name: &str, from: &Path) {
    let dir = root.join(format!("pods/ns_{name}_00000000-0000-4000-8000-000000000001/c"));
    fs::create_dir_all(&dir).unwrap();
    fs::copy(from, dir.join("0.log")).unwrap();
}

/// Docker's lines, also cut ones: what their `log` members say, put together.
#[test]
fn recorded_docker_logs_come_out_unescaped_and_joined() {
    let (Some(fluent), Some(beat)) = (fixtures("k8s_fluentbit"), fixtures("filebeat_modules")) else {
        return;
    };
    let bench = Bench::of(&format!("{PODS}[sinks.out]inputs = [\"pods\"]\n"));
    let mut expected: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut paths: Vec<PathBuf> = walk(&fluent.join("kubernetes"));
    paths.extend(
        walk(&fluent.join("tail")).into_iter().filter(|path| path.to_string_lossy().contains("docker")),
    );
    paths.push(beat.join("testing/integration/files/logs/docker.log"));
    for (number, path) in
        paths.iter().enumerate().filter(|(_, path)| path.extension().is_some_and(|e| e == "log"))
    {
        let Ok(text) = fs::read_to_string(path) else { continue };
        let whole =
            text.lines().all(|line| serde_json::from_str::<Value>(line).is_ok_and(|v| v["time"].is_string()));
        if !whole || !text.ends_with('\n') {
            continue;
        }
        let name = format!("f{number}");
        as_docker(&bench.root, &name, path);
        let mut open: BTreeMap<String, String> = BTreeMap::new();
        let mut records = Vec::new();
        for line in text.lines() {
            let line: Value = serde_json::from_str(line).unwrap();
            let body = open.entry(line["stream"].as_str().unwrap().to_owned()).or_default();
            body.push_str(line["log"].as_str().unwrap());
            if let Some(whole) = body.strip_suffix('\n') {
                records.push(whole.to_owned());
                body.clear();
            }
        }
        expected.insert(name, records);
    }
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for record in run(&bench) {
        found.entry(record.stream.pod.clone()).or_default().push(text(&record));
    }
    assert!(expected.len() > 20, "only {} files", expected.len());
    for (name, expected) in expected.iter().filter(|(_, records)| !records.is_empty()) {
        assert_eq!(
            found.get(name),
            Some(expected),
            "{}",
            paths[name[1..].parse::<usize>().unwrap()].display()
        );
    }
}

fn walk(root: &Path) -> Vec<PathBuf> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(root).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() { paths.extend(walk(&path)) } else { paths.push(path) }
    }
    paths.sort();
    paths
}

/// Access and error logs of real web servers, read as files and parsed: the fields that the
/// expected records (in Elastic's names) have.
#[test]
fn recorded_web_server_logs_give_the_expected_fields() {
    let Some(root) = fixtures("filebeat_modules") else { return };
    let mut checked = 0;
    for (module, format) in [
        ("nginx/access", "nginx"),
        ("nginx/ingress_controller", "nginx"),
        ("nginx/error", "nginx"),
        ("apache/access", "apache"),
        ("apache/error", "apache"),
    ] {
        let bench = Bench::of(&format!(
            "[sources.web]\ntype = \"file\"\ninclude = [\"{{root}}/in/*/x.log\"]\n[transforms.parsed]\ntype = \"parse\"\n\
             inputs = [\"web\"]\nformat = \"{format}\"\n[sinks.out]inputs = [\"parsed\"]\n"
        ));
        let mut expected: BTreeMap<String, Vec<Value>> = BTreeMap::new();
        for path in walk(&root.join("module").join(module)) {
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            let Some(log) = name.strip_suffix("-expected.json") else { continue };
            let dir = bench.root.join("in").join(log);
            fs::create_dir_all(&dir).unwrap();
            let mut text = fs::read_to_string(path.with_file_name(log)).unwrap();
            if !text.ends_with('\n') {
                text.push('\n');
            }
            fs::write(dir.join("x.log"), text).unwrap();
            let records: Vec<Value> = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
            expected.insert(dir.join("x.log").display().to_string(), records);
        }
        let found = run(&bench);
        for (file, records) in &expected {
            let mut ours =
                found.iter().filter(|record| record.stream.file == *file && !record.body.is_empty());
            for wanted in records {
                // Several lines are one record there when they belong together.
                let original =
                    wanted["event.original"].as_str().or(wanted["message"].as_str()).unwrap_or_default();
                let Some(record) = ours.next() else { break };
                if !original.is_empty() && !text(record).ends_with(original) {
                    continue;
                }
                for (name, attribute) in [
                    ("http.request.method", "http.request.method"),
                    ("http.response.status_code", "http.response.status_code"),
                    ("http.response.body.bytes", "http.response.body.size"),
                    ("user_agent.original", "user_agent.original"),
                ] {
                    // What a server writes for nothing is nothing here.
                    if let Some(value) = wanted.get(name).filter(|value| **value != "-") {
                        assert_eq!(
                            record.attributes.get(attribute),
                            Some(value),
                            "{module} {name}: {}",
                            text(record)
                        );
                        checked += 1;
                    }
                }
            }
        }
    }
    assert!(checked > 100, "only {checked} fields were compared");
}

/// Real access lines with what no format describes: percent-encoded bytes, a forwarded header.
#[test]
fn every_recorded_access_line_is_understood() {
    let Some(root) = fixtures("nginx_zanbil") else { return };
    let files: Vec<PathBuf> = walk(&root).into_iter().filter(|path| !path.ends_with("SOURCE.txt")).collect();
    let bench = Bench::of(
        "[sources.web]\ntype = \"file\"\ninclude = [\"{root}/in/*\"]\n[transforms.parsed]\ntype = \"parse\"\n\
         inputs = [\"web\"]\nformat = \"nginx\"\n[sinks.out]inputs = [\"parsed\"]\n",
    );
    fs::create_dir_all(bench.root.join("in")).unwrap();
    let mut lines = Vec::new();
    for path in &files {
        let mut text = String::new();
        flate2::read::MultiGzDecoder::new(fs::File::open(path).unwrap()).read_to_string(&mut text).unwrap();
        lines.extend(text.lines().map(str::to_owned));
        fs::copy(path, bench.root.join("in").join(path.file_name().unwrap())).unwrap();
    }
    let found = run(&bench);
    assert_eq!(found.iter().map(text).collect::<Vec<_>>(), lines);
    for record in found.iter().filter(|record| !record.body.is_empty()) {
        assert!(record.attributes.contains_key("http.response.status_code"), "{}", text(record));
        assert!(record.attributes.contains_key("client.address"), "{}", text(record));
    }
    assert!(!lines.is_empty());
}
