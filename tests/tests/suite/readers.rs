//! Other readers of Delta tables count the same rows as `logq`.

use crate::stage::{Stage, plan};
use logq_tests::harness::python;
use logq_tests::loggen::vpc_flow::Layout;
use std::process::Command;

const TABLES: [&str; 4] = ["cloudtrail", "vpc_flow", "rejected", "ingest"];

/// Prints `reader table rows distinct-ids` per line.
const SCRIPT: &str = r#"
import glob, os, sys, site
import duckdb
from deltalake import DeltaTable
lake, tables = sys.argv[1], sys.argv[2:]
con = duckdb.connect()
folder = site.getsitepackages()[0]
for extension in glob.glob(os.path.join(folder, "duckdb_extension_delta", "extensions", "*", "delta.duckdb_extension")):
    con.execute(f"LOAD '{extension}'")
for table in tables:
    path = f"{lake}/{table}"
    data = DeltaTable(path)
    rows = data.to_pyarrow_table()
    print("deltalake", table, rows.num_rows)
    protocol = data.protocol()
    print("protocol", table, protocol.min_reader_version * 10 + protocol.min_writer_version)
    print("duckdb", table, con.execute(f"select count(*) from delta_scan('{path}')").fetchone()[0])
"#;

#[test]
fn deltalake_and_duckdb_count_the_same_rows() {
    let Some(python) = python() else {
        println!("skipped: no Python environment with deltalake and duckdb; ./dev test makes it");
        return;
    };
    let stage = Stage::new();
    let (root, manifest) = stage.corpus(&plan(41), Layout::V5);
    std::fs::write(root.join("AWSLogs/odd.txt"), "this is no log").unwrap();
    stage.once(&[&root.join("AWSLogs")]);
    let output =
        Command::new(python).args(["-c", SCRIPT, stage.lake.location()]).args(TABLES).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(stage.count("cloudtrail"), manifest.cloudtrail.rows());
    let mut checked = 0;
    for line in text.lines() {
        let mut words = line.split(' ');
        let (reader, table) = (words.next().unwrap(), words.next().unwrap());
        let number: u64 = words.next().unwrap().parse().unwrap();
        let expected = if reader == "protocol" { 12 } else { stage.count(table) };
        assert_eq!(number, expected, "{line}");
        checked += 1;
    }
    assert_eq!(checked, 3 * TABLES.len(), "{text}");
}
