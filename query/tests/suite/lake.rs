//! A lake in a temporary directory, and `logq` run over it.

use arrow::array::{ArrayRef, RecordBatch, new_empty_array};
use arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use chrono::{DateTime, Utc};
use datafusion::scalar::ScalarValue;
use deltalake::DeltaTableBuilder;
use deltalake::operations::write::SchemaMode;
use deltalake::protocol::SaveMode;
use logq_schemas::{Column, Kind, tables};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;
use url::Url;

/// Values of one row by column; what is left out is null, or a filler where null is not allowed.
pub type Row = HashMap<&'static str, ScalarValue>;

/// A lake that goes away with the test.
pub struct TestLake {
    root: tempfile::TempDir,
}

impl TestLake {
    pub fn new() -> Self {
        TestLake { root: tempfile::tempdir().unwrap() }
    }

    pub fn path(&self) -> &Path {
        self.root.path()
    }

    /// Appends `rows` to a table of ours in one commit: one file per day.
    pub fn append(&self, table: &str, rows: &[Row]) {
        let columns: Vec<&Column> = tables::by_name(table).unwrap().columns().collect();
        self.append_columns(table, &columns, rows);
    }

    /// Appends rows with some of a table's columns only, as an older version wrote them.
    pub fn append_columns(&self, table: &str, columns: &[&Column], rows: &[Row]) {
        let fields: Vec<Field> = columns
            .iter()
            .map(|column| Field::new(column.name, kind(column.kind), column.nullable))
            .collect();
        let values: Vec<ArrayRef> = columns
            .iter()
            .map(|column| match rows {
                [] => new_empty_array(&kind(column.kind)),
                _ => ScalarValue::iter_to_array(rows.iter().map(|row| value(row, column))).unwrap(),
            })
            .collect();
        let batch = RecordBatch::try_new(Arc::new(Schema::new(fields)), values).unwrap();
        let directory = self.path().join(table);
        std::fs::create_dir_all(&directory).unwrap();
        let url = Url::from_directory_path(directory.canonicalize().unwrap()).unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut table = DeltaTableBuilder::from_url(url).unwrap().build().unwrap();
            if table.verify_deltatable_existence().await.unwrap() {
                table.load().await.unwrap();
            }
            table
                .write([batch])
                .with_save_mode(SaveMode::Append)
                .with_schema_mode(SchemaMode::Merge)
                .with_partition_columns(["event_date"])
                .await
                .unwrap();
        });
    }

    /// The data files of a table's partition.
    pub fn files(&self, table: &str, day: &str) -> Vec<PathBuf> {
        let directory = self.path().join(table).join(format!("event_date={day}"));
        let mut files: Vec<PathBuf> =
            std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        files
    }

    /// `logq --lake <this>` with more arguments.
    pub fn logq(&self, arguments: &[&str]) -> Ran {
        let lake = self.path().to_str().unwrap();
        run(&[&["--lake", lake], arguments].concat(), self.path())
    }
}

/// What a run of `logq` left.
#[derive(Debug)]
pub struct Ran {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Ran {
    /// Standard output of a run that must succeed.
    #[track_caller]
    pub fn ok(self) -> String {
        assert_eq!(self.code, 0, "{}", self.stderr);
        self.stdout
    }

    /// Standard error of a run that must fail with `code` and without a result.
    #[track_caller]
    pub fn fails(self, code: u8) -> String {
        assert_eq!(self.code, i32::from(code), "{}\n{}", self.stdout, self.stderr);
        assert!(!self.stderr.contains("panicked"), "{}", self.stderr);
        self.stderr
    }
}

/// `logq` without an inherited lake.
pub fn command(directory: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_logq"));
    command.env_remove("LOGQ_LAKE").env_remove("NO_COLOR").current_dir(directory);
    command
}

/// Runs `logq` in `directory`.
pub fn run(arguments: &[&str], directory: &Path) -> Ran {
    let output: Output =
        command(directory).args(arguments).stdin(std::process::Stdio::null()).output().unwrap();
    ran(&output)
}

pub fn ran(output: &Output) -> Ran {
    Ran {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8(output.stdout.clone()).unwrap(),
        stderr: String::from_utf8(output.stderr.clone()).unwrap(),
    }
}

fn kind(kind: Kind) -> DataType {
    match kind {
        Kind::Text | Kind::Json => DataType::Utf8,
        Kind::Binary => DataType::Binary,
        Kind::Int => DataType::Int32,
        Kind::Long => DataType::Int64,
        Kind::Double => DataType::Float64,
        Kind::Bool => DataType::Boolean,
        Kind::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        Kind::Date => DataType::Date32,
    }
}

fn value(row: &Row, column: &Column) -> ScalarValue {
    if let Some(value) = row.get(column.name) {
        return value.clone();
    }
    let time = ["event_time", "ingest_time"].iter().find_map(|name| row.get(name));
    match (column.name, time) {
        ("event_date", Some(ScalarValue::TimestampMicrosecond(Some(time), _))) => {
            ScalarValue::Date32(Some(i32::try_from(time.div_euclid(86_400_000_000)).unwrap()))
        }
        ("ingest_time", Some(time)) => time.clone(),
        _ if column.nullable => ScalarValue::try_from(&kind(column.kind)).unwrap(),
        _ => match column.kind {
            Kind::Int => ScalarValue::Int32(Some(1)),
            Kind::Long => ScalarValue::Int64(Some(1)),
            Kind::Timestamp => time.cloned().unwrap(),
            _ => ScalarValue::Utf8(Some(column.name.to_owned())),
        },
    }
}

/// A time.
pub fn at(text: &str) -> ScalarValue {
    let time: DateTime<Utc> = text.parse().unwrap();
    ScalarValue::TimestampMicrosecond(Some(time.timestamp_micros()), Some("UTC".into()))
}

/// A text.
pub fn text(text: &str) -> ScalarValue {
    ScalarValue::Utf8(Some(text.to_owned()))
}

/// A flow record.
pub fn flow(time: &str, src_ip: &str, dst_port: i32, bytes: i64) -> Row {
    HashMap::from([
        ("event_time", at(time)),
        ("source", text("vpc_flow")),
        ("src_ip", text(src_ip)),
        ("dst_ip", text("10.0.0.9")),
        ("dst_port", ScalarValue::Int32(Some(dst_port))),
        ("bytes", ScalarValue::Int64(Some(bytes))),
        ("action", text("ACCEPT")),
    ])
}

/// A CloudTrail event.
pub fn call(time: &str, name: &str) -> Row {
    HashMap::from([
        ("event_time", at(time)),
        ("source", text("cloudtrail")),
        ("event_name", text(name)),
        ("action", text(name)),
        ("request_parameters", text(r#"{"bucketName":"logs","items":[1,2]}"#)),
    ])
}

/// Three days of flows, one commit and so one file each: 2, 3 and 1 records.
pub fn three_days() -> TestLake {
    let lake = TestLake::new();
    lake.append(
        "vpc_flow",
        &[
            flow("2026-11-20T10:00:00Z", "10.0.0.1", 22, 100),
            flow("2026-11-20T23:59:59.999999Z", "203.0.113.7", 443, 200),
        ],
    );
    lake.append(
        "vpc_flow",
        &[
            flow("2026-11-21T00:00:00Z", "10.0.0.2", 443, 300),
            flow("2026-11-21T12:00:00Z", "10.0.0.2", 5432, 400),
            flow("2026-11-21T13:00:00Z", "2001:db8::1", 443, 500),
        ],
    );
    lake.append("vpc_flow", &[flow("2026-11-22T08:00:00.5Z", "10.0.0.1", 22, 600)]);
    lake
}
