//! What results look like, whatever the logs say.

use crate::lake::{Row, TestLake, flow, text, three_days};

fn hostile() -> TestLake {
    let lake = TestLake::new();
    let mut row: Row = flow("2026-11-20T10:00:00Z", "10.0.0.1", 22, -5);
    row.insert("actor", text("=cmd|' /C calc'!A0"));
    row.insert("region", text("\u{1b}]0;owned\u{7}\u{202e}x\n\u{9b}31m"));
    lake.append("vpc_flow", &[row]);
    lake
}

const SQL: &str = "select actor, region, bytes, vpc_id from vpc_flow";

#[test]
fn g9_a_hostile_line_drives_neither_terminal_nor_spreadsheet() {
    let lake = hostile();
    for format in ["table", "vertical"] {
        for color in ["always", "never"] {
            let shown = lake.logq(&["--format", format, "--color", color, SQL]).ok();
            let ours = shown.replace("\u{1b}[1m", "").replace("\u{1b}[2m", "").replace("\u{1b}[0m", "");
            let ours = ours.replace("\u{1b}[22m", "");
            let acting: Vec<char> =
                ours.chars().filter(|c| (c.is_control() && *c != '\n') || *c == '\u{202e}').collect();
            assert!(acting.is_empty(), "{format} {color}: {acting:?} in {shown:?}");
            assert!(shown.contains("\\x1b]0;owned\\x07\\u{202e}x\\n\\x9b31m"), "{shown}");
        }
    }
    let csv = lake.logq(&["--format", "csv", SQL]).ok();
    assert!(csv.contains("\n'=cmd|' /C calc'!A0,"), "{csv}");
    assert!(csv.contains(",-5,"), "{csv}");
    let raw = lake.logq(&["--format", "csv", "--csv-raw", SQL]).ok();
    assert!(raw.contains("\n=cmd|"), "{raw}");
    let line: serde_json::Value = serde_json::from_str(&lake.logq(&["--format", "jsonl", SQL]).ok()).unwrap();
    assert_eq!(line["region"], "\u{1b}]0;owned\u{7}\u{202e}x\n\u{9b}31m");
    assert_eq!(line["bytes"], -5);
    assert!(line["vpc_id"].is_null());
}

#[test]
fn messages_quote_without_acting() {
    let lake = hostile();
    let stderr = lake.logq(&["select * from \"\u{1b}[2Jx\""]).fails(logq_query::exit_code::USAGE);
    assert!(!stderr.contains('\u{1b}'), "{stderr:?}");
}

#[test]
fn tables_show_times_in_utc_and_say_when_they_are_cut() {
    let lake = three_days();
    let shown = lake
        .logq(&["select event_time, event_date, bytes from vpc_flow order by event_time desc limit 1"])
        .ok();
    assert_eq!(
        shown,
        "┌───────────────────────┬────────────┬───────┐\n\
         │ event_time            ┆ event_date ┆ bytes │\n\
         ╞═══════════════════════╪════════════╪═══════╡\n\
         │ 2026-11-22 08:00:00.5 ┆ 2026-11-22 ┆   600 │\n\
         └───────────────────────┴────────────┴───────┘\n"
    );
    let ran = lake.logq(&["--limit", "2", "select bytes from vpc_flow"]);
    assert!(ran.stderr.contains("first 2 rows"), "{}", ran.stderr);
    assert_eq!(ran.ok().lines().count(), 6);
    let all = lake.logq(&["--limit", "2", "--format", "csv", "select bytes from vpc_flow"]);
    assert_eq!(all.ok().lines().count(), 7);
}

#[test]
fn tables_for_programs_and_documents_hold_the_same_rows() {
    let lake = hostile();
    let tsv = lake.logq(&["--format", "tsv", SQL]).ok();
    assert_eq!(
        tsv,
        "actor\tregion\tbytes\tvpc_id\n'=cmd|' /C calc'!A0\t\u{1b}]0;owned\u{7}\u{202e}x\\n\u{9b}31m\t-5\t\\N\n"
    );
    let json: serde_json::Value = serde_json::from_str(&lake.logq(&["--format", "json", SQL]).ok()).unwrap();
    assert_eq!(json[0]["bytes"], -5);
    let none = lake.logq(&["--format", "json", &format!("{SQL} where bytes > 0")]).ok();
    assert_eq!(none, "[]\n");
    let many = three_days().logq(&["--format", "json", "select bytes from vpc_flow order by 1"]).ok();
    let many: Vec<serde_json::Value> = serde_json::from_str(&many).unwrap();
    assert_eq!(many.len(), 6);
    let markdown = lake.logq(&["--format", "markdown", SQL]).ok();
    let lines: Vec<&str> = markdown.lines().collect();
    assert_eq!(lines[..2], ["| actor | region | bytes | vpc\\_id |", "|---|---|--:|---|"]);
    assert!(lines[2].starts_with("| =cmd\\|' /C calc'\\!A0 |") && lines.len() == 3, "{markdown}");
}

#[test]
fn files_of_columns_are_read_back_with_their_types() {
    let lake = three_days();
    let sql = "select event_time, src_ip, bytes, vpc_id from vpc_flow order by event_time";
    let expected = lake.logq(&["--format", "jsonl", sql]).ok();
    let parquet = lake.path().join("out.parquet");
    lake.logq(&["--format", "parquet", "--output", parquet.to_str().unwrap(), sql]).ok();
    let again = format!("select * from '{}' order by event_time", parquet.display());
    assert_eq!(lake.logq(&["--format", "jsonl", &again]).ok(), expected);
    let file = lake.path().join("out.arrow");
    lake.logq(&["--format", "arrow", "--output", file.to_str().unwrap(), sql]).ok();
    let reader = arrow::ipc::reader::FileReader::try_new(std::fs::File::open(&file).unwrap(), None).unwrap();
    let rows: usize = reader.map(|batch| batch.unwrap().num_rows()).sum();
    assert_eq!(rows, 6);
    let stderr = lake.logq(&["--format", "arrow", "select 1; select 2"]).fails(logq_query::exit_code::USAGE);
    assert!(stderr.contains("one statement"), "{stderr}");
}

#[test]
fn a_query_that_reads_more_than_it_may_is_stopped() {
    let lake = three_days();
    let query = "select sum(bytes) as b, max(src_ip) as m from vpc_flow";
    lake.logq(&["--max-bytes", "1GiB", query]).ok();
    let stderr = lake.logq(&["--max-bytes", "10", query]).fails(logq_query::exit_code::RESOURCES);
    assert!(stderr.contains("--max-bytes 10 B") && stderr.contains("3 files"), "{stderr}");
}
