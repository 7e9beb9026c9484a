//! An answer is whole or it is not given.

use crate::lake::{TestLake, command, flow, ran, three_days};
use logq_query::exit_code;
use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};

const ALL: &str = "select sum(bytes) from vpc_flow";

#[test]
fn g6_a_missing_file_is_named_and_no_smaller_answer_given() {
    let lake = three_days();
    let file = lake.files("vpc_flow", "2026-11-21").remove(0);
    std::fs::remove_file(&file).unwrap();
    for format in ["table", "csv", "jsonl"] {
        let ran = lake.logq(&["--format", format, ALL]);
        assert!(!ran.stdout.contains("900"), "{}", ran.stdout);
        let stderr = ran.fails(exit_code::INCOMPLETE);
        assert!(stderr.contains("1 of 3 objects"), "{stderr}");
        assert!(stderr.contains(file.file_name().unwrap().to_str().unwrap()), "{stderr}");
        assert!(stderr.contains("table vpc_flow, event_date=2026-11-21"), "{stderr}");
        assert!(stderr.contains("missing"), "{stderr}");
    }
    // A question that does not touch the day has its whole answer.
    let rest = lake.logq(&["--format", "csv", "--since", "2026-11-22", "--until", "2026-11-23", ALL]).ok();
    assert!(rest.contains("600"), "{rest}");
}

#[test]
fn g6_damage_is_named_wherever_it_lies() {
    for damage in ["cut", "footer", "page", "empty"] {
        let lake = three_days();
        let file = lake.files("vpc_flow", "2026-11-20").remove(0);
        let mut bytes = std::fs::read(&file).unwrap();
        let end = bytes.len();
        match damage {
            "cut" => bytes.truncate(end / 2),
            "footer" => bytes[end - 200..end - 8].fill(0xff),
            "page" => bytes[4..end / 2].fill(0xff),
            _ => bytes.clear(),
        }
        std::fs::write(&file, bytes).unwrap();
        let stderr = lake.logq(&["select * from vpc_flow"]).fails(exit_code::INCOMPLETE);
        assert!(stderr.contains(file.file_name().unwrap().to_str().unwrap()), "{damage}: {stderr}");
        assert!(stderr.contains("damaged"), "{damage}: {stderr}");
    }
}

#[test]
fn g6_every_missing_file_is_counted() {
    let lake = TestLake::new();
    for hour in 0..8 {
        lake.append("vpc_flow", &[flow(&format!("2026-11-20T0{hour}:00:00Z"), "10.0.0.1", 22, 1)]);
    }
    for file in lake.files("vpc_flow", "2026-11-20").iter().take(7) {
        std::fs::remove_file(file).unwrap();
    }
    let stderr = lake.logq(&[ALL]).fails(exit_code::INCOMPLETE);
    assert!(stderr.contains("7 of 8 objects"), "{stderr}");
    assert!(stderr.contains("and 2 more"), "{stderr}");
}

#[test]
fn a_damaged_log_is_not_an_empty_table() {
    let lake = three_days();
    let log = lake.path().join("vpc_flow/_delta_log/00000000000000000001.json");
    std::fs::write(&log, "{\"add\": nonsense").unwrap();
    let stderr = lake.logq(&[ALL]).fails(exit_code::LAKE);
    assert!(stderr.contains("cannot open table vpc_flow"), "{stderr}");
    let lake = three_days();
    std::fs::remove_file(lake.path().join("vpc_flow/_delta_log/00000000000000000001.json")).unwrap();
    let stderr = lake.logq(&[ALL]).fails(exit_code::LAKE);
    assert!(stderr.contains("vpc_flow"), "{stderr}");
}

#[test]
fn a_result_file_appears_only_when_it_is_whole() {
    let lake = three_days();
    let target = lake.path().join("out.csv");
    let arguments = ["--format", "csv", "--output", target.to_str().unwrap(), "select * from vpc_flow"];
    let file = lake.files("vpc_flow", "2026-11-22").remove(0);
    let kept = std::fs::read(&file).unwrap();
    std::fs::remove_file(&file).unwrap();
    lake.logq(&arguments).fails(exit_code::INCOMPLETE);
    assert!(!target.exists());
    assert!(!lake.path().join("out.csv.partial").exists());
    std::fs::write(&file, kept).unwrap();
    assert_eq!(lake.logq(&arguments).ok(), "");
    assert_eq!(std::fs::read_to_string(&target).unwrap().lines().count(), 7);
    let nowhere = lake.path().join("no/such/directory/out.csv");
    let stderr = lake.logq(&["--output", nowhere.to_str().unwrap(), "select 1"]).fails(exit_code::OUTPUT);
    assert!(stderr.contains("no/such/directory"), "{stderr}");
}

#[test]
fn memory_runs_out_with_a_word() {
    let lake = TestLake::new();
    let hungry = "select array_length(array_agg(value || repeat('z', 40))) from range(3000000)";
    let stderr = lake.logq(&["--memory-limit", "32MiB", hungry]).fails(exit_code::RESOURCES);
    assert!(stderr.contains("--memory-limit"), "{stderr}");
}

#[test]
fn g9_a_reader_that_goes_away_is_success_and_ctrl_c_is_130() {
    let endless = "select value from range(1000000000000)";
    let directory = tempfile::tempdir().unwrap();
    let start = || {
        let mut child = command(directory.path())
            .args(["--format", "csv", endless])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut reader = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        assert_eq!(line, "value\n");
        (child, reader)
    };
    let (child, reader) = start();
    drop(reader);
    assert_eq!(ran(&child.wait_with_output().unwrap()).ok(), "");

    let (mut child, mut reader) = start();
    let killed = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(killed.success());
    let mut rest = vec![0; 1 << 16];
    while reader.read(&mut rest).unwrap() > 0 {}
    assert_eq!(child.wait().unwrap().code(), Some(i32::from(exit_code::INTERRUPTED)));
}
