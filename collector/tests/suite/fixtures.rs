//! Real lines in the runtime's format, against their reassembled form.

use crate::program::{Bench, Delivered};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};

fn fixtures() -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/fixtures");
    let path = std::env::var_os("LOGQ_FIXTURES").map_or(beside, PathBuf::from).join("k8s_cri_wrapped");
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
    let Some(root) = fixtures() else { return };
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
