//! An export request as a push.

use super::Push;
use crate::extra::Extra;
use crate::sources::received::{Pushed, identity, time_of};
use base64::Engine as _;
use logq_schemas::landing;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use prost::Message as _;
use serde_json::{Map, Value};

/// The records of a request of `bytes` bytes, and how many could not be taken.
pub fn push(source: &str, request: ExportLogsServiceRequest, bytes: usize) -> (Push, i64) {
    let mut push = Push { bytes, ..Push::default() };
    let mut rejected = 0;
    for (at_resource, logs) in request.resource_logs.into_iter().enumerate() {
        let resource = logs.resource.unwrap_or_default();
        let key = resource.encode_to_vec();
        let about = describe(source, resource.attributes);
        for (at_scope, scope) in logs.scope_logs.into_iter().enumerate() {
            let place = [at_resource as u64, at_scope as u64].map(u64::to_le_bytes).concat();
            let id = identity(&[source.as_bytes(), &key, &scope.encode_to_vec(), &place]);
            let mut about = landing::Stream { id, ..about.clone() };
            let name = scope.scope.map(|scope| scope.name).unwrap_or_default();
            if !name.is_empty() {
                about.resource.insert("otel.scope.name".to_owned(), name);
            }
            let stream = push.streams.len();
            push.streams.push(about);
            for (offset, record) in scope.log_records.into_iter().enumerate() {
                match take(stream, offset as u64, record) {
                    Some(pushed) => push.records.push(pushed),
                    None => rejected += 1,
                }
            }
        }
    }
    (push, rejected)
}

/// What the resource says about where records come from.
fn describe(source: &str, attributes: Vec<KeyValue>) -> landing::Stream {
    let mut about = landing::Stream { source: source.to_owned(), ..landing::Stream::default() };
    for KeyValue { key, value, .. } in attributes {
        let text = String::from_utf8_lossy(&body(value)).into_owned();
        let field = match key.as_str() {
            "service.name" => &mut about.service,
            "host.name" => &mut about.host,
            "k8s.namespace.name" => &mut about.namespace,
            "k8s.pod.name" => &mut about.pod,
            "k8s.pod.uid" => &mut about.pod_uid,
            "k8s.container.name" => &mut about.container,
            "container.image.name" => &mut about.image,
            _ => {
                about.resource.insert(key, text);
                continue;
            }
        };
        *field = text;
    }
    about
}

fn take(stream: usize, offset: u64, record: LogRecord) -> Option<Pushed> {
    let id = |bytes: &[u8], len: usize| -> Option<String> {
        let known = bytes.iter().any(|byte| *byte != 0);
        let hex = || bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        (bytes.is_empty() || bytes.len() == len).then(|| if known { hex() } else { String::new() })
    };
    let time = if record.time_unix_nano > 0 { record.time_unix_nano } else { record.observed_time_unix_nano };
    let mut extra = Extra {
        severity_number: u8::try_from(record.severity_number).ok().filter(|n| *n <= 24).unwrap_or(0),
        severity_text: record.severity_text,
        trace_id: id(&record.trace_id, 16)?,
        span_id: id(&record.span_id, 8)?,
        attributes: object(record.attributes),
    };
    if !record.event_name.is_empty() {
        extra.attributes.insert("event.name".to_owned(), record.event_name.into());
    }
    Some(Pushed { stream, offset, time: time_of(time), body: body(record.body), extra })
}

/// A text as it is, bytes as they are, anything else as JSON, nothing as nothing.
fn body(value: Option<AnyValue>) -> Vec<u8> {
    match value.and_then(|value| value.value) {
        None => Vec::new(),
        Some(Any::StringValue(text)) => text.into_bytes(),
        Some(Any::BytesValue(bytes)) => bytes,
        Some(value) => json(value).to_string().into_bytes(),
    }
}

fn object(pairs: Vec<KeyValue>) -> Map<String, Value> {
    let value = |value: Option<AnyValue>| value.and_then(|value| value.value).map_or(Value::Null, json);
    pairs.into_iter().map(|pair| (pair.key, value(pair.value))).collect()
}

/// Decoders bound how deep a value can be nested.
fn json(value: Any) -> Value {
    match value {
        Any::StringValue(text) => text.into(),
        Any::BoolValue(value) => value.into(),
        Any::IntValue(value) => value.into(),
        // JSON has no NaN.
        Any::DoubleValue(value) => value.into(),
        Any::BytesValue(bytes) => base64::engine::general_purpose::STANDARD.encode(bytes).into(),
        Any::KvlistValue(list) => Value::Object(object(list.values)),
        Any::ArrayValue(list) => {
            list.values.into_iter().map(|value| value.value.map_or(Value::Null, json)).collect()
        }
        Any::StringValueStrindex(_) => Value::Null,
    }
}
