//! Other readers of Delta tables see the same rows as `logq`: DuckDB, deltalake, pyarrow and polars, on
//! local lakes and on S3, before and after maintenance.

use crate::aws::Cloud;
use crate::stage::{Stage, plan};
use logq_tests::harness::{Lake, Program, once, python};
use logq_tests::loggen::vpc_flow::Layout;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

const TABLES: [&str; 5] = ["cloudtrail", "vpc_flow", "app_log", "rejected", "ingest"];

const READERS: usize = 4;

/// Prints `reader table rows checksum` per line.
const SCRIPT: &str = include_str!("readers/tables.py");

/// Rows and checksum of a table.
type Content = (u64, String);

/// Reads every table of a lake with every reader; they must agree with each other and, in the number
/// of rows, with `logq`. Gives what they all saw.
fn agree(python: &Path, lake: &Lake, environment: &[(String, String)]) -> BTreeMap<&'static str, Content> {
    let mut command = Command::new(python);
    command.args(["-c", SCRIPT, lake.location()]).args(TABLES).envs(environment.iter().cloned());
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut contents = BTreeMap::new();
    for table in TABLES {
        let lines = text.lines().map(|line| line.split(' ').collect::<Vec<_>>());
        let lines: Vec<_> = lines.filter(|words| words[1] == table).collect();
        let (protocol, seen): (Vec<_>, Vec<_>) = lines.into_iter().partition(|words| words[0] == "protocol");
        assert_eq!(protocol, [["protocol", table, "1", "2"]], "any engine must be able to read it");
        assert_eq!(seen.len(), READERS, "{text}");
        assert!(seen.iter().all(|words| words[2..] == seen[0][2..]), "{table}: the readers differ:\n{text}");
        let rows: u64 = seen[0][2].parse().unwrap();
        assert_eq!(rows, lake.count(table).unwrap(), "{table}: logq counts other rows");
        contents.insert(table, (rows, seen[0][3].to_owned()));
    }
    contents
}

fn environment_with_readers() -> Option<PathBuf> {
    let python = python();
    if python.is_none() {
        println!(
            "skipped: no Python environment with DuckDB, deltalake, pyarrow and polars; ./dev test makes it"
        );
    }
    python
}

/// A lake of all kinds of rows, on disk; gives the folder with its input objects too.
fn filled(stage: &Stage) -> PathBuf {
    let (root, manifest) = stage.corpus(&plan(41), Layout::V5);
    let input = root.join("AWSLogs");
    std::fs::write(input.join("odd.txt"), "this is no log").unwrap();
    let landing = r#"{"landing":1,"cluster":"prod","node":"n1","segment":"00","collector":"0.1.0"}
{"stream":0,"id":"4f0c","namespace":"shop","pod":"api-1","container":"api","restart":0,"stdio":"stdout"}
{"s":0,"o":0,"t":"2026-11-22T10:00:00.5Z","b":"one"}
{"s":0,"o":4,"t":"2026-11-22T10:00:01Z","b":"two"}
{"end":2}
"#;
    std::fs::write(input.join("app.jsonl"), landing).unwrap();
    stage.once(&[&input]);
    assert_eq!(stage.count("cloudtrail"), manifest.cloudtrail.rows());
    input
}

#[test]
fn duckdb_deltalake_pyarrow_and_polars_see_the_same_rows_locally_and_on_s3() {
    let Some(python) = environment_with_readers() else { return };
    let stage = Stage::new();
    let input = filled(&stage);
    let local = agree(&python, &stage.lake, &[]);
    assert!(local.values().all(|(rows, _)| *rows > 0), "a table is empty: {local:?}");

    let Some(cloud) = Cloud::start(&stage) else { return };
    let lake = cloud.lake(&stage);
    once(&stage.programs, lake.location(), [input], &cloud.environment).unwrap();
    let on_s3 = agree(&python, &lake, &cloud.environment);
    assert_eq!(local, on_s3, "the same input makes other tables on S3");
}

/// Maintenance changes files, not rows.
#[test]
fn the_readers_see_the_same_rows_before_and_after_compact_seal_and_vacuum() {
    let Some(python) = environment_with_readers() else { return };
    let stage = Stage::new();
    let input = filled(&stage);
    let Some(cloud) = Cloud::start(&stage) else { return };
    let remote = cloud.lake(&stage);
    once(&stage.programs, remote.location(), [input], &cloud.environment).unwrap();
    for (lake, environment) in [(&stage.lake, &[][..]), (&remote, &cloud.environment[..])] {
        let before = agree(&python, lake, environment);
        for arguments in
            [&["compact"][..], &["seal"], &["vacuum", "--retention", "0s", "--allow-short-retention"]]
        {
            let mut command = stage.programs.command(Program::Processor);
            command.args(arguments).args(["--lake", lake.location()]).envs(environment.iter().cloned());
            let output = command.output().unwrap();
            assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
            assert_eq!(agree(&python, lake, environment), before, "after {arguments:?}");
        }
    }
}
