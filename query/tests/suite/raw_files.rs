//! Files queried without a lake.

use crate::lake::{Ran, run, three_days};
use logq_query::exit_code;
use std::path::{Path, PathBuf};

/// Fixtures of the whole pipeline, whose rows are known.
fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures").canonicalize().unwrap()
}

fn csv(sql: &str) -> Ran {
    run(&["--format", "csv", sql], &fixtures())
}

fn expected_rows(case: &str, table: &str) -> usize {
    let expected = std::fs::read_to_string(fixtures().join(case).join("expected.jsonl")).unwrap();
    expected.lines().filter(|line| line.contains(&format!("{{\"table\":\"{table}\""))).count()
}

#[test]
fn a_file_has_the_rows_the_lake_would_hold() {
    for (file, case, table) in [
        ("cloudtrail/basic/input.json", "cloudtrail/basic", "cloudtrail"),
        ("cloudtrail/half-gzip/input.json.gz", "cloudtrail/half-gzip", "cloudtrail"),
        ("vpc_flow/custom-v5/input.log.gz", "vpc_flow/custom-v5", "vpc_flow"),
        ("vpc_flow/default-v2/input.log", "vpc_flow/default-v2", "vpc_flow"),
    ] {
        let found = csv(&format!("select count(*) as n, count(distinct event_uid) as d from '{file}'")).ok();
        let rows = expected_rows(case, table);
        assert!(rows > 0);
        assert_eq!(found, format!("n,d\n{rows},{rows}\n"), "{file}");
    }
    let found = csv("select event_name from 'cloudtrail/basic/input.json' where event_time is not null order by event_time limit 1").ok();
    assert_eq!(found.lines().count(), 2, "{found}");
}

#[test]
fn what_cannot_be_parsed_is_counted_and_told() {
    let ran = csv("select count(*) as n from 'cloudtrail/bad-record-beside-good/input.json'");
    assert!(
        ran.stderr.contains("could not be parsed and") && ran.stderr.contains("input.json:"),
        "{}",
        ran.stderr
    );
    let rows = expected_rows("cloudtrail/bad-record-beside-good", "cloudtrail");
    assert_eq!(ran.ok(), format!("n\n{rows}\n"));
    for (name, expected) in [
        ("unknown/readme/input.md", "no log logq knows"),
        ("no/such/file.json", "no such file"),
        ("s3://bucket/key.json.gz", "only local files"),
        ("*.nothing", "no file there"),
    ] {
        let stderr = csv(&format!("select * from '{name}'")).fails(exit_code::USAGE);
        assert!(stderr.contains(expected), "{name}: {stderr}");
    }
}

#[test]
fn directories_and_patterns_are_one_table_of_one_kind() {
    let found = csv("select count(*) as n from 'vpc_flow/*/input.log*'").ok();
    // A case that declares a format cannot be read without its configuration.
    let is_plain = |case: &std::path::Path| {
        let has = |name: &str| case.join(name).exists();
        ["input.log", "input.log.gz", "input.log.parquet"].iter().any(|name| has(name))
            && !has("processor.toml")
    };
    let cases = std::fs::read_dir(fixtures().join("vpc_flow")).unwrap();
    let cases = cases.map(|case| case.unwrap().path()).filter(|case| is_plain(case));
    let rows: usize = cases
        .map(|case| case.file_name().unwrap().to_string_lossy().into_owned())
        .map(|case| expected_rows(&format!("vpc_flow/{case}"), "vpc_flow"))
        .sum();
    assert!(rows > 0);
    assert_eq!(found, format!("n\n{rows}\n"));
    let one = csv("select count(*) as n from 'vpc_flow/custom-v5'").ok();
    assert!(one.starts_with("n\n"), "{one}");
    let stderr = csv("select count(event_uid) from '**/input.*'").fails(exit_code::USAGE);
    assert!(stderr.contains("name one kind with a pattern"), "{stderr}");
    // --since reaches files too.
    let none = run(
        &[
            "--format",
            "csv",
            "--since",
            "2099-01-01",
            "--until",
            "2099-01-02",
            "select count(*) as n from 'cloudtrail/basic/input.json'",
        ],
        &fixtures(),
    );
    assert_eq!(none.ok(), "n\n0\n");
}

#[test]
fn parquet_files_are_tables_and_a_table_of_a_lake_is_not_taken_for_loose_files() {
    let lake = three_days();
    let file = lake.files("vpc_flow", "2026-11-21").remove(0);
    let found = run(
        &["--format", "csv", &format!("select count(*) as n, sum(bytes) as b from '{}'", file.display())],
        lake.path(),
    );
    assert_eq!(found.ok(), "n,b\n3,1200\n");
    let all = run(
        &["--format", "csv", "select count(*) as n from './vpc_flow/event_date=*/*.parquet'"],
        lake.path(),
    );
    assert_eq!(all.ok(), "n\n6\n");
    let stderr = run(&["select * from './vpc_flow'"], lake.path()).fails(exit_code::USAGE);
    assert!(stderr.contains("--lake"), "{stderr}");
    // Beside a lake, in one query.
    let joined = lake.logq(&["--format", "csv", &format!("select count(*) as n from vpc_flow v join '{}' f on v.event_uid = f.event_uid and v.bytes = f.bytes", file.display())]);
    assert_eq!(joined.ok(), "n\n3\n");
}
