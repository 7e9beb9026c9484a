//! Each folder `fixtures/<source>/<case>/` is a test: its input goes through the real programs, and
//! the rows that come out are compared with `expected.jsonl`.
//!
//! * `input.*` or `input/`: taken in by `logq-processor once`.
//! * `pods/`: a pods directory; the collector reads it first.
//! * `processor.toml`: configuration of the processor; `$INPUT` in it is the folder of the input.
//! * `case.toml`: `provenance` (where the bytes come from), `tables` (which tables are compared),
//!   `status` (exit status of the processor, default 0).
//! * `expected.jsonl`: every row of those tables without its nulls, one per line, with `table`
//!   first. Left out is what differs between runs: `ingest_time`, and the folder, written `$INPUT`.
//!
//! `UPDATE_FIXTURES=1` rewrites `expected.jsonl`; review the difference as code.

use crate::stage::Stage;
use logq_tests::harness::collector::Collector;
use logq_tests::harness::{Program, repository};
use serde::Deserialize;
use serde_json::{Map, Value};
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    provenance: String,
    tables: Vec<String>,
    #[serde(default)]
    status: i32,
}

fn cases() -> Vec<PathBuf> {
    let root = repository().join("tests/fixtures");
    let mut cases: Vec<PathBuf> = walkdir::WalkDir::new(&root)
        .min_depth(3)
        .max_depth(3)
        .into_iter()
        .filter_map(Result::ok)
        .filter(|entry| entry.file_name() == "case.toml")
        .filter_map(|entry| entry.path().parent().map(Path::to_owned))
        .collect();
    cases.sort();
    assert!(cases.len() >= 10, "only {} cases below {}", cases.len(), root.display());
    cases
}

fn copy(from: &Path, to: &Path) {
    for entry in walkdir::WalkDir::new(from).into_iter().filter_map(Result::ok) {
        let target = to.join(entry.path().strip_prefix(from).unwrap());
        if entry.file_type().is_dir() {
            fs::create_dir_all(&target).unwrap();
        } else {
            fs::copy(entry.path(), &target).unwrap();
        }
    }
}

/// Puts the case's input into the stage's `input` folder, through the collector when it has pods.
fn prepare(stage: &Stage, case: &Path) -> PathBuf {
    let input = stage.path("input");
    fs::create_dir(&input).unwrap();
    for entry in fs::read_dir(case).unwrap().filter_map(Result::ok) {
        let name = entry.file_name().to_string_lossy().into_owned();
        match name.as_str() {
            "input" => copy(&entry.path(), &input),
            "pods" => {
                let pods = stage.path("pods");
                copy(&entry.path(), &pods);
                let config = stage.path("collector.toml");
                Collector::to_directory(&stage.path("data"), &pods, &input).write(&config).unwrap();
                let output = stage
                    .programs
                    .command(Program::Collector)
                    .args(["run", "--until-idle", "1s", "--config"])
                    .arg(&config)
                    .output()
                    .unwrap();
                assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            }
            _ if name.starts_with("input.") => drop(fs::copy(entry.path(), input.join(&name)).unwrap()),
            _ => {}
        }
    }
    input
}

/// Columns that differ from run to run.
fn varies(table: &str, column: &str, landing: bool) -> bool {
    let today = matches!(table, "rejected" | "ingest") && column == "event_date";
    // A landing object's name, bytes and ledger depend on how the collector batched.
    let batched = landing && matches!(column, "object_id");
    column == "ingest_time" || column == "last_modified" || column == "batch" || today || batched
}

fn rows(stage: &Stage, input: &Path, table: &str, landing: bool) -> Vec<String> {
    let order = match table {
        "rejected" => "location, record_offset",
        "ingest" => "location",
        _ => "event_time, event_uid",
    };
    let folder = input.display().to_string();
    let rows = stage.lake.rows(&format!("select * from {table} order by {order}")).unwrap();
    rows.into_iter()
        .map(|row| {
            let mut kept = Map::new();
            for (column, value) in row {
                if !value.is_null() && !varies(table, &column, landing) {
                    kept.insert(column, value);
                }
            }
            let text =
                Value::Object(kept).to_string().replace(&folder, "$INPUT").replace("file://$INPUT", "$INPUT");
            format!("{{\"table\":\"{table}\",{}", &text[1..])
        })
        .collect()
}

fn replay(case: &Path) -> Result<(), String> {
    let text = fs::read_to_string(case.join("case.toml")).unwrap();
    let settings: Case = toml::from_str(&text).map_err(|error| error.to_string())?;
    if settings.provenance.trim().is_empty() {
        return Err("provenance is empty".to_owned());
    }
    let stage = Stage::new();
    let input = prepare(&stage, case);
    let report = match fs::read_to_string(case.join("processor.toml")) {
        Ok(text) => {
            let config = stage.path("processor.toml");
            fs::write(&config, text.replace("$INPUT", &input.display().to_string())).unwrap();
            stage.once(&[Path::new("--config"), &config, &input])
        }
        Err(_) => stage.once(&[&input]),
    };
    if report.status != settings.status {
        return Err(format!("status {} instead of {}: {}", report.status, settings.status, report.stderr));
    }
    if !report.reconciles() {
        return Err(format!("the summary does not add up: {report:?}"));
    }
    let landing = case.join("pods").is_dir();
    let mut found = String::new();
    for table in &settings.tables {
        for row in rows(&stage, &input, table, landing) {
            let _ = writeln!(found, "{row}");
        }
    }
    let path = case.join("expected.jsonl");
    if std::env::var_os("UPDATE_FIXTURES").is_some() {
        fs::write(&path, &found).unwrap();
        return Ok(());
    }
    let expected = fs::read_to_string(&path).unwrap_or_default();
    if expected == found {
        return Ok(());
    }
    let (expected, found): (Vec<&str>, Vec<&str>) = (expected.lines().collect(), found.lines().collect());
    let differing =
        (0..expected.len().max(found.len())).find(|&n| expected.get(n) != found.get(n)).unwrap_or_default();
    Err(format!(
        "{} rows expected, {} found; line {} differs:\n  expected {}\n  found    {}",
        expected.len(),
        found.len(),
        differing + 1,
        expected.get(differing).unwrap_or(&"nothing"),
        found.get(differing).unwrap_or(&"nothing")
    ))
}

#[test]
fn every_fixture_gives_its_expected_rows() {
    let failures: Vec<String> = cases()
        .iter()
        .filter_map(|case| replay(case).err().map(|why| format!("{}: {why}", case.display())))
        .collect();
    assert!(
        failures.is_empty(),
        "{}\nIf this is intended: UPDATE_FIXTURES=1 ./dev test, then review the difference.",
        failures.join("\n")
    );
}
