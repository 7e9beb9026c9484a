//! OTLP's JSON encoding: the protobuf mapping, with ids in hexadecimal and 64-bit numbers as text or
//! number. Unknown members are ignored, as the specification demands.

use base64::Engine as _;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::{
    AnyValue, ArrayValue, InstrumentationScope, KeyValue, KeyValueList,
};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::resource::v1::Resource;
use serde_json::Value;

/// Reads a request; the error says what is wrong where.
///
/// # Errors
/// When it is not JSON, or a member has a type it can't have.
pub fn read(text: &[u8]) -> Result<ExportLogsServiceRequest, String> {
    // serde_json stops at a depth of 128.
    let root: Value = serde_json::from_slice(text).map_err(|error| error.to_string())?;
    let resource_logs = each(&root, "resourceLogs", |logs| {
        let attributes = pairs(&logs["resource"], "attributes")?;
        Ok(ResourceLogs {
            resource: Some(Resource { attributes, ..Resource::default() }),
            scope_logs: each(logs, "scopeLogs", scope)?,
            ..ResourceLogs::default()
        })
    })?;
    Ok(ExportLogsServiceRequest { resource_logs })
}

fn scope(logs: &Value) -> Result<ScopeLogs, String> {
    let about = &logs["scope"];
    let scope = InstrumentationScope {
        name: text(about, "name")?,
        version: text(about, "version")?,
        ..InstrumentationScope::default()
    };
    Ok(ScopeLogs {
        scope: Some(scope),
        log_records: each(logs, "logRecords", record)?,
        ..ScopeLogs::default()
    })
}

fn record(record: &Value) -> Result<LogRecord, String> {
    Ok(LogRecord {
        time_unix_nano: number(record, "timeUnixNano")?,
        observed_time_unix_nano: number(record, "observedTimeUnixNano")?,
        severity_number: number(record, "severityNumber")?,
        severity_text: text(record, "severityText")?,
        body: any(&record["body"])?,
        attributes: pairs(record, "attributes")?,
        trace_id: hex(record, "traceId")?,
        span_id: hex(record, "spanId")?,
        event_name: text(record, "eventName")?,
        ..LogRecord::default()
    })
}

fn each<T>(parent: &Value, name: &str, read: impl Fn(&Value) -> Result<T, String>) -> Result<Vec<T>, String> {
    match &parent[name] {
        Value::Null => Ok(Vec::new()),
        Value::Array(items) => items.iter().map(read).collect(),
        _ => Err(format!("{name} must be an array")),
    }
}

fn pairs(parent: &Value, name: &str) -> Result<Vec<KeyValue>, String> {
    each(parent, name, |pair| {
        Ok(KeyValue { key: text(pair, "key")?, value: any(&pair["value"])?, ..KeyValue::default() })
    })
}

fn text(parent: &Value, name: &str) -> Result<String, String> {
    match &parent[name] {
        Value::Null => Ok(String::new()),
        Value::String(text) => Ok(text.clone()),
        _ => Err(format!("{name} must be a text")),
    }
}

fn number<T: std::str::FromStr + Default>(parent: &Value, name: &str) -> Result<T, String> {
    let text = match &parent[name] {
        Value::Null => return Ok(T::default()),
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => return Err(format!("{name} must be a number")),
    };
    text.parse().map_err(|_| format!("{name} must be a whole number in range"))
}

fn hex(parent: &Value, name: &str) -> Result<Vec<u8>, String> {
    let text = text(parent, name)?;
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    let bytes: Option<Vec<u8>> = text.as_bytes().chunks(2).map(byte).collect();
    let wrong = || format!("{name} must be hexadecimal");
    bytes.filter(|bytes| bytes.len() * 2 == text.len()).ok_or_else(wrong)
}

fn any(value: &Value) -> Result<Option<AnyValue>, String> {
    let Value::Object(members) = value else {
        return if value.is_null() { Ok(None) } else { Err("a value must be an object".to_owned()) };
    };
    let Some((name, inner)) = members.iter().find(|(name, _)| name.ends_with("Value")) else {
        return Ok(Some(AnyValue::default()));
    };
    let wrong = || format!("{name} has the wrong type");
    let read = match name.as_str() {
        "stringValue" => Any::StringValue(text(value, name)?),
        "boolValue" => Any::BoolValue(inner.as_bool().ok_or_else(wrong)?),
        "intValue" => Any::IntValue(number(value, name)?),
        "doubleValue" => {
            let written = inner.as_str().and_then(|text| text.parse().ok());
            Any::DoubleValue(inner.as_f64().or(written).ok_or_else(wrong)?)
        }
        "bytesValue" => {
            let bytes = base64::engine::general_purpose::STANDARD.decode(text(value, name)?);
            Any::BytesValue(bytes.map_err(|_| wrong())?)
        }
        "arrayValue" => {
            let values = each(inner, "values", |value| Ok(any(value)?.unwrap_or_default()))?;
            Any::ArrayValue(ArrayValue { values })
        }
        "kvlistValue" => Any::KvlistValue(KeyValueList { values: pairs(inner, "values")? }),
        _ => return Ok(Some(AnyValue::default())),
    };
    Ok(Some(AnyValue { value: Some(read) }))
}
