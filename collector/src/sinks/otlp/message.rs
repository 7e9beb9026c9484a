//! OTLP messages from records.
//!
//! A record is encoded once. Requests are put together from encoded records, so halving a batch
//! encodes nothing again and a request has the size that was counted.

use crate::sinks::Event;
use crate::sinks::parcel::Parcel;
use crate::sinks::resource::{attributes, event_uid};
use crate::template::Place;
use logq_schemas::landing::Stream;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::{
    AnyValue, ArrayValue, InstrumentationScope, KeyValue, KeyValueList,
};
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use opentelemetry_proto::tonic::resource::v1::Resource;
use prost::Message as _;
use prost::encoding::{WireType, encode_key, encode_varint, encoded_len_varint};
use serde_json::{Map, Value};
use std::ops::Range;
use std::sync::Arc;

/// The encoded `Resource` of a stream.
pub fn resource(place: Place<'_>, stream: &Stream) -> Vec<u8> {
    let attributes = key_values(&attributes(place, stream));
    Resource { attributes, ..Resource::default() }.encode_to_vec()
}

/// Appends the encoded `LogRecord` of a record.
pub fn record(event: &Event<'_>, out: &mut Vec<u8>) {
    let record = &event.record;
    let body = match &record.b {
        Some(text) => Any::StringValue(text.clone().into_owned()),
        None => Any::BytesValue(event.body().into_owned()),
    };
    let mut attributes = key_values(&record.a);
    attributes.push(text("log.record.uid", event_uid(event.stream, record.o)));
    if let Some(cut) = &record.cut {
        attributes.push(text("logq.cut", cut.clone().into_owned()));
    }
    let time = u64::try_from(event.time_ns()).unwrap_or(0);
    let record = LogRecord {
        time_unix_nano: time,
        // The container runtime, or whoever wrote the time, is who observed the record.
        observed_time_unix_nano: time,
        severity_number: record.n.unwrap_or(0).into(),
        severity_text: record.sv.clone().unwrap_or_default().into_owned(),
        body: Some(AnyValue { value: Some(body) }),
        attributes,
        trace_id: hex(record.tr.as_deref(), 16),
        span_id: hex(record.sp.as_deref(), 8),
        ..LogRecord::default()
    };
    // Only a buffer that can't grow makes this fail.
    let _ = record.encode(out);
}

/// The encoded `ExportLogsServiceRequest` for some records of a parcel: streams in the order of
/// their first record, the records of each in theirs.
pub fn request(parcel: &Parcel, range: Range<usize>) -> Vec<u8> {
    let mut groups: Vec<(usize, Vec<usize>)> = Vec::new();
    let mut index = std::collections::HashMap::new();
    for at in range.clone() {
        let stream = Arc::as_ptr(parcel.described(at)).addr();
        let group = *index.entry(stream).or_insert_with(|| {
            groups.push((at, Vec::new()));
            groups.len() - 1
        });
        groups[group].1.push(at);
    }
    let scope = InstrumentationScope {
        name: "logq-collector".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        ..InstrumentationScope::default()
    };
    let scope = scope.encode_to_vec();
    let mut out = Vec::with_capacity(parcel.size(range.clone()) + range.len() * 8 + groups.len() * 512);
    for (first, records) in groups {
        let resource = &parcel.described(first).text;
        let records_len: usize = records.iter().map(|at| field_len(parcel.record(*at).len())).sum();
        let scope_logs_len = field_len(scope.len()) + records_len;
        // ExportLogsServiceRequest.resource_logs = 1
        open(1, field_len(resource.len()) + field_len(scope_logs_len), &mut out);
        // ResourceLogs.resource = 1, .scope_logs = 2
        field(1, resource, &mut out);
        open(2, scope_logs_len, &mut out);
        // ScopeLogs.scope = 1, .log_records = 2
        field(1, &scope, &mut out);
        for at in records {
            field(2, parcel.record(at), &mut out);
        }
    }
    out
}

/// Size of a field with a number below 16 that holds `len` bytes.
fn field_len(len: usize) -> usize {
    1 + encoded_len_varint(len as u64) + len
}

fn open(number: u32, len: usize, out: &mut Vec<u8>) {
    encode_key(number, WireType::LengthDelimited, out);
    encode_varint(len as u64, out);
}

fn field(number: u32, bytes: &[u8], out: &mut Vec<u8>) {
    open(number, bytes.len(), out);
    out.extend_from_slice(bytes);
}

fn key_values(map: &Map<String, Value>) -> Vec<KeyValue> {
    let pair = |(key, value): (&String, &Value)| KeyValue {
        key: key.clone(),
        value: Some(any(value)),
        ..KeyValue::default()
    };
    map.iter().map(pair).collect()
}

fn text(key: &str, value: String) -> KeyValue {
    let value = Some(AnyValue { value: Some(Any::StringValue(value)) });
    KeyValue { key: key.to_owned(), value, ..KeyValue::default() }
}

fn any(value: &Value) -> AnyValue {
    let value = match value {
        Value::Null => None,
        Value::Bool(value) => Some(Any::BoolValue(*value)),
        Value::Number(number) => match number.as_i64() {
            Some(number) => Some(Any::IntValue(number)),
            None => number.as_f64().map(Any::DoubleValue),
        },
        Value::String(text) => Some(Any::StringValue(text.clone())),
        Value::Array(values) => {
            Some(Any::ArrayValue(ArrayValue { values: values.iter().map(any).collect() }))
        }
        Value::Object(map) => Some(Any::KvlistValue(KeyValueList { values: key_values(map) })),
    };
    AnyValue { value }
}

/// The bytes of an id; none when it is not `bytes` of hex digits.
fn hex(text: Option<&str>, bytes: usize) -> Vec<u8> {
    let digits = text.unwrap_or_default();
    if digits.len() != bytes * 2 || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return Vec::new();
    }
    let pairs = (0..bytes).filter_map(|at| u8::from_str_radix(&digits[at * 2..at * 2 + 2], 16).ok());
    pairs.collect()
}
