//! Queries, tables and messages.

use crate::lake::{TestLake, call, command, flow, ran, run, text, three_days};
use logq_query::exit_code;
use logq_schemas::tables;
use std::io::Write;
use std::process::Stdio;

fn csv(lake: &TestLake, sql: &str) -> String {
    lake.logq(&["--format", "csv", sql]).ok()
}

#[test]
fn a_query_reads_all_days_of_a_table() {
    let lake = three_days();
    assert_eq!(csv(&lake, "select count(*) as n, sum(bytes) as b from vpc_flow"), "n,b\n6,2100\n");
    assert_eq!(
        csv(
            &lake,
            "select src_ip, count(*) as n from vpc_flow where is_private(src_ip) group by 1 order by 1"
        ),
        "src_ip,n\n10.0.0.1,2\n10.0.0.2,2\n"
    );
    assert_eq!(
        csv(&lake, "select event_time, bytes from vpc_flow order by event_time desc limit 2"),
        "event_time,bytes\n2026-11-22T08:00:00.5Z,600\n2026-11-21T13:00:00Z,500\n"
    );
    // Columns come in the order of the reference page, the partition where it stands there.
    let header = csv(&lake, "select * from vpc_flow limit 1");
    assert!(header.starts_with("event_time,event_date,ingest_time,source,"), "{header}");
}

#[test]
fn statements_come_from_arguments_files_and_pipes() {
    let lake = three_days();
    let file = lake.path().join("queries.sql");
    std::fs::write(&file, "-- two\nselect 1 as a;\nselect count(*) as n from vpc_flow;\n").unwrap();
    let found = lake.logq(&["--format", "csv", "-f", file.to_str().unwrap()]).ok();
    assert_eq!(found, "a\n1\n\nn\n6\n");
    for arguments in [&["--format", "csv"][..], &["--format", "csv", "-"]] {
        let mut child = command(lake.path())
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(b"select 2 as b").unwrap();
        assert_eq!(ran(&child.wait_with_output().unwrap()).ok(), "b\n2\n");
    }
    let stderr = lake.logq(&["select 1; select nope from vpc_flow"]).fails(exit_code::USAGE);
    assert!(stderr.contains("statement 2 of 2"), "{stderr}");
}

#[test]
fn the_lake_is_found_or_the_way_to_give_it_is_told() {
    let lake = three_days();
    let elsewhere = tempfile::tempdir().unwrap();
    let query = "select count(*) from vpc_flow";
    let stderr = run(&[query], elsewhere.path()).fails(exit_code::LAKE);
    assert!(stderr.contains("--lake") && stderr.contains("LOGQ_LAKE"), "{stderr}");
    let missing = run(&["--lake", "not-here", query], elsewhere.path()).fails(exit_code::LAKE);
    assert!(missing.contains("not-here"), "{missing}");
    // What names no table needs none, and opens none: this bucket does not exist.
    run(&["select 1"], elsewhere.path()).ok();
    run(&["--lake", "s3://no-such-bucket-of-logq/lake", "select 1"], elsewhere.path()).ok();
    // The environment, and the demo's place.
    let output = command(elsewhere.path()).env("LOGQ_LAKE", lake.path()).arg(query).output().unwrap();
    assert!(ran(&output).ok().contains('6'));
    std::fs::create_dir_all(elsewhere.path().join(".demo")).unwrap();
    std::os::unix::fs::symlink(lake.path(), elsewhere.path().join(".demo/lake")).unwrap();
    assert!(run(&[query], elsewhere.path()).ok().contains('6'));
}

#[test]
fn a_table_nothing_was_written_to_is_empty_and_says_so() {
    let lake = TestLake::new();
    for table in tables::ALL {
        let ran = lake.logq(&["--format", "csv", &format!("select count(*) as n from {}", table.name)]);
        assert!(ran.stderr.contains(&format!("table {} has no data yet", table.name)), "{}", ran.stderr);
        assert_eq!(ran.ok(), "n\n0\n");
    }
    // One that exists and holds no file says the same.
    lake.append("ingest", &[]);
    let ran = lake.logq(&["select * from ingest"]);
    assert!(ran.stderr.contains("table ingest has no data yet"), "{}", ran.stderr);
    let ran = lake.logq(&["--format", "csv", "select * from events"]);
    assert!(ran.stderr.contains("no event table has data yet"), "{}", ran.stderr);
    assert!(ran.ok().starts_with("event_time,event_date,"));
    let quiet = lake.logq(&["-q", "select * from cloudtrail"]);
    assert_eq!(quiet.stderr, "");
    quiet.ok();
}

#[test]
fn wrong_names_are_answered_with_right_ones() {
    let lake = three_days();
    for (sql, expected) in [
        ("select * from vpcflow", "did you mean vpc_flow?"),
        ("select * from vpc_flow v join nothing n on true", "no table called nothing"),
        ("select srcaddr from vpc_flow", "column src_ip of vpc_flow"),
        ("select src_ipp from vpc_flow", "did you mean src_ip?"),
        ("selct 1", "cannot read the SQL"),
        ("table", "did you mean logq tables?"),
        ("select nofunction(1)", "nofunction"),
        ("", "no SQL statement"),
    ] {
        let stderr = lake.logq(&[sql]).fails(exit_code::USAGE);
        assert!(stderr.contains(expected), "{sql}: {stderr}");
    }
    let stderr = lake.logq(&["--since", "yesterday", "select 1"]).fails(exit_code::USAGE);
    assert!(stderr.contains("24h"), "{stderr}");
    lake.logq(&["--no-such-option"]).fails(exit_code::USAGE);
}

#[test]
fn nothing_is_written_by_sql() {
    let lake = three_days();
    let before = lake.logq(&["tables", "--format", "csv"]).ok();
    let target = lake.path().join("copied.csv");
    for sql in [
        "drop table vpc_flow",
        "delete from vpc_flow",
        "insert into vpc_flow select * from vpc_flow",
        "create table x as select 1",
        &format!("copy (select 1) to '{}'", target.display()),
        &format!("create external table x stored as csv location '{}'", lake.path().display()),
        "explain analyze insert into vpc_flow select * from vpc_flow",
    ] {
        let stderr = lake.logq(&[sql]).fails(exit_code::USAGE);
        assert!(stderr.contains("read-only"), "{sql}: {stderr}");
    }
    assert!(!target.exists());
    assert_eq!(lake.logq(&["tables", "--format", "csv"]).ok(), before);
}

#[test]
fn the_view_events_holds_every_event_table() {
    let lake = three_days();
    lake.append("cloudtrail", &[call("2026-11-21T10:00:00Z", "GetObject")]);
    assert_eq!(
        csv(&lake, "select source, count(*) as n from events group by 1 order by 1"),
        "source,n\ncloudtrail,1\nvpc_flow,6\n"
    );
    let since = ["--format", "csv", "--since", "2026-11-21T09:00:00Z", "--until", "2026-11-21T12:30:00Z"];
    let found =
        lake.logq(&[&since[..], &["select action, event_time from events order by event_time"]].concat());
    assert_eq!(
        found.ok(),
        "action,event_time\nGetObject,2026-11-21T10:00:00Z\nACCEPT,2026-11-21T12:00:00Z\n"
    );
}

#[test]
fn json_columns_are_reached_into() {
    let lake = TestLake::new();
    lake.append("cloudtrail", &[call("2026-11-21T10:00:00Z", "GetObject")]);
    for column in [
        "request_parameters->>'bucketName'",
        "json_get_str(request_parameters, 'bucketName')",
        "json_first(request_parameters, 'bucketName')",
    ] {
        assert_eq!(csv(&lake, &format!("select {column} as b from cloudtrail")), "b\nlogs\n", "{column}");
    }
    assert_eq!(
        csv(&lake, "select count(*) as n from cloudtrail where request_parameters->'items'->>1 = '2'"),
        "n\n1\n"
    );
}

#[test]
fn files_older_than_a_column_read_as_null() {
    let lake = TestLake::new();
    let table = tables::by_name("vpc_flow").unwrap();
    let old: Vec<_> = table.columns().filter(|column| column.name != "resource_id").collect();
    lake.append_columns("vpc_flow", &old, &[flow("2026-11-20T10:00:00Z", "10.0.0.1", 22, 1)]);
    let mut newer = flow("2026-11-21T10:00:00Z", "10.0.0.2", 22, 2);
    newer.insert("resource_id", text("nat-1"));
    lake.append("vpc_flow", &[newer]);
    assert_eq!(
        csv(&lake, "select bytes, resource_id from vpc_flow order by 1"),
        "bytes,resource_id\n1,\n2,nat-1\n"
    );
    assert_eq!(csv(&lake, "select bytes from vpc_flow where resource_id is null"), "bytes\n1\n");
    assert_eq!(csv(&lake, "select bytes from vpc_flow where resource_id = 'nat-1'"), "bytes\n2\n");
}

#[test]
fn tables_and_schemas_describe_the_lake() {
    let lake = three_days();
    let found = lake.logq(&["tables", "--format", "jsonl"]).ok();
    let line: serde_json::Value = serde_json::from_str(found.lines().next().unwrap()).unwrap();
    assert_eq!(found.lines().count(), 1, "{found}");
    assert_eq!(line["table"], "vpc_flow");
    assert_eq!((&line["rows"], &line["files"]), (&6.into(), &3.into()));
    assert_eq!((&line["first_date"], &line["last_date"]), (&"2026-11-20".into(), &"2026-11-22".into()));
    // From the log alone: the files may be gone.
    for day in ["2026-11-20", "2026-11-21", "2026-11-22"] {
        std::fs::remove_dir_all(lake.path().join(format!("vpc_flow/event_date={day}"))).unwrap();
    }
    assert_eq!(lake.logq(&["tables", "--format", "jsonl"]).ok(), found);

    let schema = lake.logq(&["schema", "vpc_flow", "--format", "csv"]).ok();
    assert!(schema.starts_with("column,type,field,meaning\nevent_time,\"timestamp (µs, UTC)\","), "{schema}");
    assert!(schema.contains("\ninterface_id,text,interface-id,"), "{schema}");
    let without_lake = run(&["schema", "cloudtrail", "--format", "csv"], tempfile::tempdir().unwrap().path());
    assert!(without_lake.ok().contains("\nevent_name,text,eventName,"));
    let stderr = lake.logq(&["schema", "flows"]).fails(exit_code::USAGE);
    assert!(stderr.contains("vpc_flow"), "{stderr}");
    assert!(lake.logq(&["functions"]).ok().contains("cidr_contains"));
}

#[test]
fn the_catalog_is_visible_to_sql() {
    let lake = three_days();
    assert!(csv(&lake, "show tables").contains("logq,lake,vpc_flow,BASE TABLE"));
    assert!(csv(&lake, "describe vpc_flow").contains("src_ip"));
    assert!(
        csv(&lake, "select column_name from information_schema.columns where table_name = 'cloudtrail'")
            .contains("event_name")
    );
    assert_eq!(csv(&lake, "select count(*) as n from logq.lake.vpc_flow"), "n\n6\n");
}
