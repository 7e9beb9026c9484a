//! Small in-memory tables made from records, for the cases that come with rules.
//!
//! A record is written the way its source writes it (CloudTrail JSON, flow log field names), or
//! with our column names. This is not the processor's parser: it accepts what people type into a
//! case and fills the columns rules can ask for.

use crate::session::Session;
use arrow::array::{
    ArrayRef, BinaryArray, BooleanArray, Date32Array, Float64Array, Int32Array, Int64Array, RecordBatch,
    StringArray, TimestampMicrosecondArray,
};
use arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use arrow::error::ArrowError;
use chrono::{DateTime, NaiveDateTime};
use datafusion::datasource::MemTable;
use datafusion::prelude::SessionContext;
use logq_schemas::{Kind, Table, tables};
use serde_json::{Map, Value};
use std::net::IpAddr;
use std::sync::Arc;

/// A row by column name.
pub type Row = Map<String, Value>;

/// Registers a table holding these rows.
///
/// # Errors
/// A column whose values do not fit together.
pub fn register(
    context: &SessionContext,
    table: &'static Table,
    rows: &[Row],
) -> datafusion::common::Result<()> {
    let batch = batch(table, rows)?;
    let provider = MemTable::try_new(batch.schema(), vec![vec![batch]])?;
    context.register_table(table.name, Arc::new(provider))?;
    Ok(())
}

/// A session over such tables, with the functions of logq and of detections.
///
/// # Errors
/// See [`register`].
pub fn session(tables: Vec<(&'static Table, Vec<Row>)>) -> datafusion::common::Result<Session> {
    let context = SessionContext::new();
    for (table, rows) in tables {
        register(&context, table, &rows)?;
    }
    super::register(&context);
    Ok(Session::for_context(context))
}

/// The row of a record of that table.
pub fn row(table: &Table, record: &Row) -> Row {
    if table.name == tables::cloudtrail::TABLE.name { cloudtrail(record) } else { named(table, record) }
}

fn cloudtrail(record: &Row) -> Row {
    let table = &tables::cloudtrail::TABLE;
    let mut row = Row::new();
    for column in table.own.iter().filter(|column| !column.field.is_empty()) {
        let mut value = Some(&Value::Object(record.clone())).cloned();
        for part in column.field.split('.') {
            value = value.and_then(|value| value.get(part).cloned());
        }
        if let Some(value) = value.filter(|value| !value.is_null()) {
            row.insert(column.name.to_owned(), value);
        }
    }
    let known = |key: &str| {
        matches!(key, "eventTime" | "awsRegion" | "eventID" | "tlsDetails")
            || table.own.iter().any(|column| column.field.split('.').next() == Some(key))
    };
    let rest: Row =
        record.iter().filter(|(key, _)| !known(key)).map(|(k, v)| (k.clone(), v.clone())).collect();
    if !rest.is_empty() {
        row.insert("unmapped".to_owned(), Value::Object(rest));
    }
    let text = |key: &str| record.get(key).cloned().unwrap_or(Value::Null);
    row.insert("event_time".to_owned(), text("eventTime"));
    row.insert("region".to_owned(), text("awsRegion"));
    row.insert("event_uid".to_owned(), text("eventID"));
    let account = row.get("recipient_account_id").or_else(|| row.get("user_identity_account_id")).cloned();
    row.insert("account_id".to_owned(), account.unwrap_or(Value::Null));
    let address =
        row.get("source_ip_address").and_then(Value::as_str).filter(|a| a.parse::<IpAddr>().is_ok());
    row.insert("src_ip".to_owned(), address.map_or(Value::Null, Value::from));
    let arn = row.get("user_identity_arn").cloned();
    row.insert("actor".to_owned(), arn.unwrap_or(Value::Null));
    row
}

fn named(table: &Table, record: &Row) -> Row {
    let renamed = |key: &str| match key {
        "srcaddr" => "src_ip",
        "dstaddr" => "dst_ip",
        "srcport" => "src_port",
        "dstport" => "dst_port",
        "account-id" => "account_id",
        "start" => "event_time",
        _ => "",
    };
    let mut row = Row::new();
    for (key, value) in record {
        let column = table.columns().find(|column| {
            column.name == key
                || (!column.field.is_empty() && column.field == key)
                || column.name == renamed(key)
        });
        // A dash is how flow logs write "nothing".
        if let Some(column) = column.filter(|_| value.as_str() != Some("-")) {
            row.insert(column.name.to_owned(), value.clone());
        }
    }
    row
}

/// Rows as one batch with the table's columns.
///
/// # Errors
/// See [`register`].
pub fn batch(table: &Table, rows: &[Row]) -> Result<RecordBatch, ArrowError> {
    let mut fields = Vec::new();
    let mut arrays: Vec<ArrayRef> = Vec::new();
    for column in table.columns() {
        let values = || rows.iter().enumerate().map(|(at, row)| value(table, column.name, at, row));
        let (kind, array): (DataType, ArrayRef) = match column.kind {
            Kind::Text | Kind::Json => {
                (DataType::Utf8, Arc::new(values().map(|value| as_text(&value)).collect::<StringArray>()))
            }
            Kind::Binary => {
                let bytes: Vec<Option<Vec<u8>>> =
                    values().map(|v| as_text(&v).map(String::into_bytes)).collect();
                (DataType::Binary, Arc::new(BinaryArray::from_iter(bytes)))
            }
            Kind::Int => (
                DataType::Int32,
                Arc::new(values().map(|v| as_number(&v).map(|n| n as i32)).collect::<Int32Array>()),
            ),
            Kind::Long => (
                DataType::Int64,
                Arc::new(values().map(|v| as_number(&v).map(|n| n as i64)).collect::<Int64Array>()),
            ),
            Kind::Double => {
                (DataType::Float64, Arc::new(values().map(|v| as_number(&v)).collect::<Float64Array>()))
            }
            Kind::Bool => {
                (DataType::Boolean, Arc::new(values().map(|v| as_bool(&v)).collect::<BooleanArray>()))
            }
            Kind::Timestamp => {
                let times: TimestampMicrosecondArray = values().map(|v| as_micros(&v)).collect();
                (
                    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
                    Arc::new(times.with_timezone("UTC")),
                )
            }
            Kind::Date => {
                let days = rows.iter().map(|row| {
                    let micros = row.get("event_time").and_then(as_micros).unwrap_or_default();
                    i32::try_from(super::finding::day(micros)).ok()
                });
                (DataType::Date32, Arc::new(days.collect::<Date32Array>()))
            }
        };
        fields.push(Field::new(column.name, kind, true));
        arrays.push(array);
    }
    RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays)
}

fn value(table: &Table, column: &str, at: usize, row: &Row) -> Value {
    let given = row.get(column).cloned().unwrap_or(Value::Null);
    match column {
        _ if !given.is_null() => given,
        "source" => Value::from(table.name),
        "event_uid" => Value::from(format!("row-{at}")),
        "object_id" => Value::from("case"),
        "parser_version" => Value::from(0),
        "ingest_time" | "observed_time" => row.get("event_time").cloned().unwrap_or(Value::Null),
        "action" => row.get("event_name").cloned().unwrap_or(Value::Null),
        "log_status" => Value::from("OK"),
        _ => Value::Null,
    }
}

fn as_text(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}

fn as_number(value: &Value) -> Option<f64> {
    match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.parse().ok(),
        _ => None,
    }
}

fn as_bool(value: &Value) -> Option<bool> {
    match value {
        Value::Bool(flag) => Some(*flag),
        Value::String(text) => text.parse().ok(),
        _ => None,
    }
}

/// RFC 3339, or seconds since the epoch as flow logs write them.
fn as_micros(value: &Value) -> Option<i64> {
    if let Some(seconds) = as_number(value) {
        return Some((seconds * 1e6) as i64);
    }
    let text = value.as_str()?.replacen(' ', "T", 1);
    let zoned = DateTime::parse_from_rfc3339(&text).map(|time| time.timestamp_micros()).ok();
    zoned.or_else(|| Some(text.parse::<NaiveDateTime>().ok()?.and_utc().timestamp_micros()))
}
