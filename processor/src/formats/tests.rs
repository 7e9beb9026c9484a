//! Whole objects in, rows and rejected records out: the traps of the formats, damage of every kind,
//! and the equation that must always hold.

mod damage;
mod fixtures;
mod flow;
mod landing;
mod mutation;
mod sources;
mod trail;

use super::*;
use arrow::array::{Array, AsArray};
use arrow::datatypes::{Int32Type, Int64Type, TimestampMicrosecondType};
use std::io::Write as _;

/// 2026-11-22T10:00:00Z
const NOW: i64 = 1_795_341_600_000_000;

/// Everything an object gave.
#[derive(Default)]
struct Taken {
    batches: Vec<(&'static str, RecordBatch)>,
    rejected: Vec<Rejected>,
}

impl Output for Taken {
    fn rows(&mut self, table: &'static Table, batch: RecordBatch) {
        assert_eq!(batch.schema(), arrow_schema(table));
        assert!(batch.num_rows() > 0);
        self.batches.push((table.name, batch));
    }

    fn rejected(&mut self, rejected: Rejected) {
        self.rejected.push(rejected);
    }
}

impl Taken {
    fn rows(&self) -> u64 {
        self.batches.iter().map(|(_, batch)| batch.num_rows() as u64).sum()
    }

    /// A column over all batches, as text; integers and times as digits, null as `-`.
    fn column(&self, name: &str) -> Vec<String> {
        let mut values = Vec::new();
        for (_, batch) in &self.batches {
            let column = batch.column_by_name(name).unwrap_or_else(|| panic!("no column {name}"));
            for row in 0..batch.num_rows() {
                values.push(cell(column, row));
            }
        }
        values
    }

    fn one(&self, name: &str) -> String {
        let values = self.column(name);
        assert_eq!(values.len(), 1, "{name}: {values:?} {:?}", self.rejected);
        values[0].clone()
    }

    fn reasons(&self) -> Vec<Reason> {
        self.rejected.iter().map(|rejected| rejected.reason).collect()
    }
}

fn cell(column: &arrow::array::ArrayRef, row: usize) -> String {
    if column.is_null(row) {
        return "-".to_owned();
    }
    if let Some(text) = column.as_string_opt::<i32>() {
        return text.value(row).to_owned();
    }
    if let Some(number) = column.as_primitive_opt::<Int32Type>() {
        return number.value(row).to_string();
    }
    if let Some(number) = column.as_primitive_opt::<Int64Type>() {
        return number.value(row).to_string();
    }
    if let Some(time) = column.as_primitive_opt::<TimestampMicrosecondType>() {
        return time.value(row).to_string();
    }
    if let Some(flag) = column.as_boolean_opt() {
        return flag.value(row).to_string();
    }
    format!("{:?}", column.slice(row, 1))
}

fn read_with(location: &str, bytes: &[u8], limits: &Limits, seen: &mut Seen) -> (Report, Taken) {
    let object = Object { location, object_id: "0123456789abcdef0123456789abcdef", bytes };
    let context = Context { ingest_time: NOW, limits, flow_formats: &[] };
    check(&object, &context, seen)
}

/// Reads an object and checks what must hold for every one.
fn check(object: &Object<'_>, context: &Context<'_>, seen: &mut Seen) -> (Report, Taken) {
    let (location, limits) = (object.location, context.limits);
    let mut taken = Taken::default();
    let report = read(object, context, seen, &mut taken);
    let counts = report.counts;
    assert_eq!(counts.records, counts.rows + counts.rejected + counts.duplicates + counts.skipped);
    assert_eq!(counts.rows, taken.rows(), "{location}");
    assert_eq!(counts.rejected, taken.rejected.len() as u64, "{location}");
    for (_, batch) in &taken.batches {
        assert!(batch.num_rows() <= limits.batch_rows);
    }
    (report, taken)
}

fn read_at(location: &str, bytes: &[u8]) -> (Report, Taken) {
    read_with(location, bytes, &Limits::default(), &mut Seen::default())
}

fn read_bytes(bytes: &[u8]) -> (Report, Taken) {
    read_at("file:///data/object", bytes)
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zst(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 1).unwrap()
}

/// A plausible record number `number`.
fn event(number: u32) -> String {
    format!(
        r#"{{"eventVersion":"1.08","userIdentity":{{"type":"IAMUser","principalId":"AIDAEXAMPLE","arn":"arn:aws:iam::012345678901:user/a{number}","accountId":"012345678901","accessKeyId":"AKIAEXAMPLE","userName":"a{number}"}},"eventTime":"2024-05-01T10:00:{:02}Z","eventSource":"s3.amazonaws.com","eventName":"GetObject","awsRegion":"eu-central-1","sourceIPAddress":"203.0.113.{}","userAgent":"aws-cli \"x\"","requestParameters":{{"bucketName":"b","key":"k{{}}[]\\\"{number}"}},"responseElements":null,"requestID":"R{number}","eventID":"id-{number}","readOnly":true,"eventType":"AwsApiCall","recipientAccountId":"012345678901","managementEvent":false}}"#,
        number % 60,
        number % 250,
    )
}

fn log_file(count: u32) -> String {
    format!("{{\"Records\":[{}]}}", (0..count).map(event).collect::<Vec<_>>().join(","))
}

const FLOW_HEADER: &str = "version account-id interface-id srcaddr dstaddr srcport dstport protocol packets bytes start end action log-status";

fn flow_line(number: u32) -> String {
    format!(
        "2 012345678901 eni-0a{number} 10.0.0.{} 203.0.113.9 {} 443 6 {number} 5000 1700000000 1700000060 ACCEPT OK",
        number % 250,
        1024 + number
    )
}

fn flow_file(count: u32) -> String {
    std::iter::once(FLOW_HEADER.to_owned()).chain((0..count).map(flow_line)).map(|line| line + "\n").collect()
}

fn landing_file(count: u32) -> String {
    let mut text = String::from(
        "{\"landing\":1,\"cluster\":\"prod\",\"node\":\"n1\",\"segment\":\"00\",\"collector\":\"0.1.0\"}\n",
    );
    text.push_str("{\"stream\":0,\"id\":\"4f0c\",\"namespace\":\"shop\",\"pod\":\"api-1\",\"container\":\"api\",\"restart\":2,\"stdio\":\"stdout\",\"labels\":{\"app\":\"x\"}}\n");
    for number in 0..count {
        text.push_str(&format!("{{\"s\":0,\"o\":{},\"t\":\"2024-05-01T10:00:00.{number:09}Z\",\"b\":\"line {number} \\u00e9\"}}\n", number * 61));
    }
    text.push_str(&format!("{{\"end\":{count}}}\n"));
    text
}
