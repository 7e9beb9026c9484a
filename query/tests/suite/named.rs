//! Every shipped named query over planted rows.
//!
//! `tests/named/rows/<table>.jsonl` holds one story: a console guessed open, a key made for somebody
//! else, a chain of roles, data taken, logging stopped, beside ordinary traffic. For each query
//! `tests/named/<query>.csv` has the arguments in its first line and the whole answer after it.
//! `UPDATE_EXPECTED=1` rewrites the answers; review the difference as code.

use crate::lake::{Ran, Row, TestLake, at, run, text};
use datafusion::scalar::ScalarValue;
use logq_query::exit_code;
use logq_query::named::Library;
use logq_schemas::{Kind, tables};
use serde_json::Value;
use std::path::{Path, PathBuf};

#[path = "../../src/functions/geography/database.rs"]
#[allow(dead_code)]
mod database;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/named")
}

pub fn planted() -> TestLake {
    let lake = TestLake::new();
    for table in ["cloudtrail", "vpc_flow", "app_log", "ingest", "rejected"] {
        let path = folder().join("rows").join(format!("{table}.jsonl"));
        let lines = std::fs::read_to_string(path).unwrap();
        let rows: Vec<Row> = lines.lines().map(|line| row(table, line)).collect();
        lake.append(table, &rows);
    }
    std::fs::write(lake.path().join("bad.txt"), "203.0.113.60\n198.51.100.0/29\n").unwrap();
    let country = |code| {
        database::Value::Map(vec![(
            "country",
            database::Value::Map(vec![("iso_code", database::Value::Text(code))]),
        )])
    };
    let bytes = database::database(
        "GeoLite2-Country",
        &[("203.0.113.0/24", country("RU")), ("198.51.100.0/24", country("DE"))],
    );
    std::fs::write(lake.path().join("country.mmdb"), bytes).unwrap();
    lake
}

fn row(table: &str, line: &str) -> Row {
    let values: serde_json::Map<String, Value> = serde_json::from_str(line).unwrap();
    let mut row = Row::new();
    for column in tables::by_name(table).unwrap().columns() {
        let Some(value) = values.get(column.name) else { continue };
        let value = match (column.kind, value) {
            (Kind::Timestamp, value) => at(value.as_str().unwrap()),
            (Kind::Int, value) => ScalarValue::Int32(Some(i32::try_from(value.as_i64().unwrap()).unwrap())),
            (Kind::Long, value) => ScalarValue::Int64(Some(value.as_i64().unwrap())),
            (Kind::Bool, value) => ScalarValue::Boolean(value.as_bool()),
            (_, Value::String(value)) => text(value),
            (kind, value) => panic!("{table}.{}: {kind:?} {value}", column.name),
        };
        row.insert(column.name, value);
    }
    assert_eq!(row.len(), values.len(), "a column of {table} does not exist: {line}");
    row
}

fn answer(lake: &TestLake, query: &str, arguments: &str) -> Ran {
    let (list, geoip) = (lake.path().join("bad.txt"), lake.path().join("country.mmdb"));
    let (list, geoip) = (format!("bad={}", list.display()), geoip.display().to_string());
    let fixed = ["run", query, "--format", "csv", "--ip-list", &list, "--geoip", &geoip];
    let given: Vec<&str> = arguments.split_whitespace().collect();
    lake.logq(&[&fixed[..], &given].concat())
}

#[test]
fn every_shipped_query_finds_what_was_planted() {
    let lake = planted();
    let update = std::env::var_os("UPDATE_EXPECTED").is_some();
    let mut failures = Vec::new();
    let library = Library::load(None).unwrap();
    for query in library.iter() {
        let path = folder().join(format!("{}.csv", query.name));
        let Ok(file) = std::fs::read_to_string(&path) else {
            failures.push(format!("{}: no file {}", query.name, path.display()));
            continue;
        };
        let (first, expected) = file.split_once('\n').unwrap();
        let arguments = first.strip_prefix('#').unwrap().trim();
        let ran = answer(&lake, &query.name, arguments);
        if ran.code != 0 {
            failures.push(format!("{}: {}", query.name, ran.stderr));
        } else if update {
            std::fs::write(&path, format!("{first}\n{}", ran.stdout)).unwrap();
        } else if ran.stdout != expected {
            failures.push(format!("{}:\n{}", query.name, ran.stdout));
        } else if ran.stdout.lines().count() < 2 {
            failures.push(format!("{}: finds nothing, so it proves nothing", query.name));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn queries_are_listed_shown_and_refused_with_reasons() {
    let lake = TestLake::new();
    let listed = lake.logq(&["queries", "--format", "csv"]).ok();
    assert!(listed.contains("\ntop-talkers,") && listed.lines().count() > 30, "{listed}");
    let shown = lake.logq(&["queries", "ip-activity"]).ok();
    assert!(shown.contains("--param ip=<network>") && shown.contains("FROM events"), "{shown}");
    for (arguments, expected) in [
        (&["run", "top-talkrs"][..], "did you mean top-talkers?"),
        (&["run", "ip-activity"], "give --param ip=VALUE"),
        (&["run", "ip-activity", "-p", "ip=nowhere"], "an address or a network"),
        (&["run", "top-talkers", "-p", "ip=10.0.0.1"], "no parameter ip, it has limit"),
        (&["run", "listed-traffic"], "--ip-list bad=FILE"),
        (&["--param", "x=1", "select 1"], "no $x in the SQL"),
        (&["select $x"], "--param x=VALUE"),
        (&["--param", "x=1", "--param", "x=2", "select $x"], "given twice"),
    ] {
        let stderr = lake.logq(arguments).fails(exit_code::USAGE);
        assert!(stderr.contains(expected), "{arguments:?}: {stderr}");
    }
}

#[test]
fn values_are_never_read_as_sql() {
    let lake = planted();
    let hostile = "actor=' or 1=1 --";
    let sql = "select count(*) as n from cloudtrail where actor = $actor";
    assert_eq!(lake.logq(&["--format", "csv", "--param", hostile, sql]).ok(), "n\n0\n");
    let typed = "select count(*) as n from vpc_flow where dst_port in ($ports) and bytes > $bytes and event_time > $at limit $n";
    let arguments = [
        "--param",
        "ports:list=443,22",
        "--param",
        "bytes:int=500",
        "--param",
        "at:time=2026-11-20T08:05:00Z",
        "--param",
        "n:int=5",
    ];
    let found = lake.logq(&[&["--format", "csv"], &arguments[..], &[typed]].concat()).ok();
    assert_eq!(found, "n\n3\n");
}

#[test]
fn a_configuration_file_gives_lake_lists_and_queries() {
    let lake = planted();
    let home = tempfile::tempdir().unwrap();
    let queries = home.path().join("queries");
    std::fs::create_dir(&queries).unwrap();
    let header = "/* ---\ntitle: Mine\ndescription: Mine.\ntables: [vpc_flow]\n--- */\n";
    std::fs::write(
        queries.join("mine.sql"),
        format!("{header}select count(*) as n from vpc_flow where in_list(dst_ip, 'bad')"),
    )
    .unwrap();
    let config = home.path().join("config.toml");
    let text = format!(
        "queries = 'queries'\n[lists]\nbad = '{0}/bad.txt'\n[profile.x]\nlake = '{0}'\n",
        lake.path().display()
    );
    std::fs::write(&config, text).unwrap();
    let config = config.to_str().unwrap();
    let found = run(&["--config", config, "--profile", "x", "run", "mine", "--format", "csv"], home.path());
    assert_eq!(found.ok(), "n\n4\n");
    let stderr =
        run(&["--config", config, "--profile", "y", "run", "mine"], home.path()).fails(exit_code::USAGE);
    assert!(stderr.contains("there are x"), "{stderr}");
}
