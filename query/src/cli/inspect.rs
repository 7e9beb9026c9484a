//! `logq tables`, `logq schema` and `logq functions`: what there is to query, from logs and schemas
//! alone.

use super::ResultArgs;
use super::query::write_batch;
use super::terminal::Terminal;
use crate::functions;
use crate::session::{QueryError, Session};
use crate::tables::catalog::LakeTables;
use crate::tables::empty::arrow_field;
use crate::tables::events;
use crate::tables::provider::LakeTable;
use arrow::array::{ArrayRef, Date32Array, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use datafusion::catalog::TableProvider;
use datafusion::scalar::ScalarValue;
use logq_schemas::{Column, Table, tables as schemas};
use std::sync::Arc;

/// Lists the tables of the lake.
///
/// # Errors
/// [`QueryError`] when there is no lake or a table's log cannot be read.
pub async fn tables(
    session: &Session,
    result: &ResultArgs,
    terminal: &Terminal,
) -> Result<u8, anyhow::Error> {
    let lake = lake_tables(session)?;
    let mut found = Vec::new();
    for name in lake.names_in_lake().await? {
        if let Some(table) = lake.open(&name).await? {
            found.push(table);
        }
    }
    if found.is_empty() {
        terminal.note(&format!("no table has data yet in {}", session.lake()));
    }
    let totals: Vec<Totals> = found.iter().map(|table| Totals::of(table)).collect();
    let integers = |value: fn(&Totals) -> Option<i64>| -> ArrayRef {
        Arc::new(totals.iter().map(value).collect::<Int64Array>())
    };
    let days = |value: fn(&Totals) -> Option<i32>| -> ArrayRef {
        Arc::new(totals.iter().map(value).collect::<Date32Array>())
    };
    let names: ArrayRef = Arc::new(StringArray::from_iter_values(found.iter().map(|table| table.name())));
    let batch = RecordBatch::try_from_iter_with_nullable([
        ("table", names, true),
        ("rows", integers(|totals| totals.rows), true),
        ("files", integers(|totals| Some(totals.files)), true),
        ("bytes", integers(|totals| Some(totals.bytes)), true),
        ("first_date", days(|totals| totals.first), true),
        ("last_date", days(|totals| totals.last), true),
        ("version", integers(|totals| Some(totals.version)), true),
    ])?;
    write_batch(&batch, result, terminal)
}

fn lake_tables(session: &Session) -> Result<&Arc<LakeTables>, QueryError> {
    session.lake().url()?;
    session.tables().ok_or(QueryError::NoLake)
}

/// Sums over the files of one table. Rows are unknown where the log does not say for every file.
struct Totals {
    rows: Option<i64>,
    files: i64,
    bytes: i64,
    first: Option<i32>,
    last: Option<i32>,
    version: i64,
}

impl Totals {
    fn of(table: &LakeTable) -> Self {
        let snapshot = table.snapshot();
        let date = snapshot.partition_columns.iter().position(|name| name == Table::PARTITION);
        let dates = || {
            snapshot.files.iter().filter_map(move |file| match file.partition.get(date?) {
                Some(ScalarValue::Date32(day)) => *day,
                _ => None,
            })
        };
        let whole = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        Totals {
            rows: snapshot.files.iter().map(|file| file.rows).sum::<Option<u64>>().map(whole),
            files: whole(snapshot.files.len() as u64),
            bytes: whole(snapshot.files.iter().map(|file| file.meta.size).sum()),
            first: dates().min(),
            last: dates().max(),
            version: whole(snapshot.version),
        }
    }
}

/// Describes the columns of one table: those of its schema, and those it has in the lake besides.
///
/// # Errors
/// [`QueryError::UnknownTable`], or when the table's log cannot be read.
pub async fn schema(
    session: &Session,
    name: &str,
    result: &ResultArgs,
    terminal: &Terminal,
) -> Result<u8, anyhow::Error> {
    let tables = session.tables().ok_or(QueryError::NoLake)?;
    let ours = schemas::by_name(name);
    let stored = match session.lake().is_present() && name != events::NAME {
        true => tables.open(name).await?,
        false => None,
    };
    let known: Vec<&'static Column> = match ours {
        Some(table) => table.columns().collect(),
        None if name == events::NAME => schemas::CORE.iter().collect(),
        None => Vec::new(),
    };
    if known.is_empty() && stored.is_none() {
        return Err(tables.unknown(name).into());
    }
    match ours {
        Some(table) => terminal.note(table.doc),
        None if name == events::NAME => {
            terminal.note("The columns all event tables share, over all of them.");
        }
        None => {}
    }
    let rows = describe(&known, stored.as_deref());
    let text = |value: fn(&Described) -> &str| -> ArrayRef {
        Arc::new(StringArray::from_iter_values(rows.iter().map(value)))
    };
    let batch = RecordBatch::try_from_iter([
        ("column", text(|row| &row.name)),
        ("type", text(|row| &row.kind)),
        ("field", text(|row| &row.field)),
        ("meaning", text(|row| &row.doc)),
    ])?;
    write_batch(&batch, result, terminal)
}

struct Described {
    name: String,
    kind: String,
    field: String,
    doc: String,
}

fn describe(known: &[&'static Column], stored: Option<&LakeTable>) -> Vec<Described> {
    let stored = stored.map(|table| table.schema());
    let in_lake = |name: &str| stored.as_ref().and_then(|schema| schema.field_with_name(name).ok().cloned());
    let mut rows: Vec<Described> = known
        .iter()
        .map(|column| {
            let expected = arrow_field(column);
            let (kind, doc) = match (in_lake(column.name), &stored) {
                (Some(field), _) if field.data_type() != expected.data_type() => (
                    sql_name(field.data_type()),
                    format!("{} Stored as another type than expected.", column.doc),
                ),
                (None, Some(_)) => {
                    (column.kind.sql_name().to_owned(), format!("{} Not in this lake yet.", column.doc))
                }
                _ => (column.kind.sql_name().to_owned(), column.doc.to_owned()),
            };
            Described { name: column.name.to_owned(), kind, field: column.field.to_owned(), doc }
        })
        .collect();
    let schema = stored.clone().unwrap_or_else(|| Arc::new(Schema::empty()));
    let more = schema.fields().iter().filter(|field| known.iter().all(|column| column.name != field.name()));
    rows.extend(more.map(|field: &Arc<Field>| Described {
        name: field.name().clone(),
        kind: sql_name(field.data_type()),
        field: String::new(),
        doc: if known.is_empty() { String::new() } else { "Unknown to this version of logq.".to_owned() },
    }));
    rows
}

/// The SQL name of an engine type.
fn sql_name(kind: &DataType) -> String {
    match kind {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => "text".to_owned(),
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView => "binary".to_owned(),
        DataType::Int32 => "int".to_owned(),
        DataType::Int64 => "bigint".to_owned(),
        DataType::Float64 => "double".to_owned(),
        DataType::Boolean => "boolean".to_owned(),
        DataType::Date32 => "date".to_owned(),
        DataType::Timestamp(TimeUnit::Microsecond, Some(_)) => "timestamp (µs, UTC)".to_owned(),
        other => other.to_string(),
    }
}

/// Lists the functions logq adds to SQL.
///
/// # Errors
/// When the result cannot be written.
pub fn functions(result: &ResultArgs, terminal: &Terminal) -> Result<u8, anyhow::Error> {
    let text = |value: fn(&functions::Function) -> &'static str| -> ArrayRef {
        Arc::new(StringArray::from_iter_values(functions::ALL.iter().map(value)))
    };
    let batch = RecordBatch::try_from_iter([
        ("function", text(|function| function.name)),
        ("example", text(|function| function.usage)),
        ("meaning", text(|function| function.doc)),
    ])?;
    write_batch(&batch, result, terminal)
}
