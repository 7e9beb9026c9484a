//! Statistics of a data file for the Delta log (PROTOCOL.md, “Per-file Statistics”).

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::compute::{max, max_string, min, min_string};
use arrow::datatypes::{DataType, Int32Type, Int64Type, TimestampMicrosecondType};
use logq_schemas::{Column, Kind, Table};
use serde_json::{Map, Value, json};

/// Columns that get statistics: the leading ones, as readers of the format expect.
const LEADING_COLUMNS: usize = 32;

/// Longer text is left without bounds: a cut maximum would have to be rounded up.
const TEXT_BYTES_MAX: usize = 64;

/// The statistics of `batch`, which holds all rows of one file.
pub fn file_stats(table: &Table, batch: &RecordBatch) -> String {
    let mut stats = FileStats::new(table);
    stats.add(batch);
    stats.to_json()
}

/// Statistics of one file, gathered batch by batch.
#[derive(Debug)]
pub struct FileStats {
    rows: usize,
    columns: Vec<ColumnStats>,
}

#[derive(Debug)]
struct ColumnStats {
    name: &'static str,
    /// None until a batch had the column.
    nulls: Option<usize>,
    bounds: Option<(Bound, Bound)>,
}

/// One end of a column's values. Only values of one kind are compared.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Bound {
    /// An integer.
    Number(i64),
    /// µs since the epoch.
    Time(i64),
    /// Text.
    Text(String),
}

impl FileStats {
    /// Statistics of a file of `table` without rows yet.
    pub fn new(table: &Table) -> FileStats {
        let counted = |column: &&Column| !matches!(column.kind, Kind::Json | Kind::Binary);
        let columns = table.columns().take(LEADING_COLUMNS).filter(counted);
        let columns = columns.map(|column| ColumnStats { name: column.name, nulls: None, bounds: None });
        FileStats { rows: 0, columns: columns.collect() }
    }

    /// Takes rows in.
    pub fn add(&mut self, batch: &RecordBatch) {
        self.rows += batch.num_rows();
        for column in &mut self.columns {
            let Some(array) = batch.column_by_name(column.name) else { continue };
            *column.nulls.get_or_insert(0) += array.null_count();
            let Some((low, high)) = bounds(array) else { continue };
            column.bounds = Some(match column.bounds.take() {
                None => (low, high),
                Some((least, most)) => (least.min(low), most.max(high)),
            });
        }
    }

    /// Notes further rows, whose columns are added one by one.
    pub fn add_rows(&mut self, rows: usize) {
        self.rows += rows;
    }

    /// Adds a column of rows noted before.
    pub fn add_column(&mut self, name: &str, array: &ArrayRef) {
        self.add_bounds(name, array.null_count(), bounds(array));
    }

    /// Adds what is known of a column of rows noted before.
    pub fn add_bounds(&mut self, name: &str, nulls: usize, bounds: Option<(Bound, Bound)>) {
        let Some(column) = self.columns.iter_mut().find(|column| column.name == name) else { return };
        *column.nulls.get_or_insert(0) += nulls;
        let Some((low, high)) = bounds else { return };
        column.bounds = Some(match column.bounds.take() {
            None => (low, high),
            Some((least, most)) => (least.min(low), most.max(high)),
        });
    }

    /// Rows taken in.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Smallest and largest value of a time column, µs.
    pub fn times(&self, name: &str) -> Option<(i64, i64)> {
        let column = self.columns.iter().find(|column| column.name == name)?;
        match column.bounds.as_ref()? {
            (Bound::Time(first), Bound::Time(last)) => Some((*first, *last)),
            _ => None,
        }
    }

    /// As the Delta log wants them.
    pub fn to_json(&self) -> String {
        let (mut minimum, mut maximum, mut nulls) = (Map::new(), Map::new(), Map::new());
        for column in &self.columns {
            let Some(count) = column.nulls else { continue };
            nulls.insert(column.name.to_owned(), json!(count));
            let Some((low, high)) = &column.bounds else { continue };
            if let (Some(low), Some(high)) = (low.to_json(), high.to_json()) {
                minimum.insert(column.name.to_owned(), low);
                maximum.insert(column.name.to_owned(), high);
            }
        }
        json!({
            "numRecords": self.rows,
            "tightBounds": true,
            "minValues": minimum,
            "maxValues": maximum,
            "nullCount": nulls,
        })
        .to_string()
    }
}

impl Bound {
    fn to_json(&self) -> Option<Value> {
        match self {
            Bound::Number(number) => Some(json!(number)),
            Bound::Time(micros) => timestamp(*micros).map(Value::from),
            Bound::Text(text) => (text.len() <= TEXT_BYTES_MAX).then(|| json!(text)),
        }
    }
}

/// Smallest and largest value; none where the column is empty, all null or not ordered usefully.
fn bounds(array: &ArrayRef) -> Option<(Bound, Bound)> {
    match array.data_type() {
        DataType::Int32 => {
            let values = array.as_primitive::<Int32Type>();
            Some((Bound::Number(min(values)?.into()), Bound::Number(max(values)?.into())))
        }
        DataType::Int64 => {
            let values = array.as_primitive::<Int64Type>();
            Some((Bound::Number(min(values)?), Bound::Number(max(values)?)))
        }
        DataType::Timestamp(_, _) => {
            let values = array.as_primitive::<TimestampMicrosecondType>();
            Some((Bound::Time(min(values)?), Bound::Time(max(values)?)))
        }
        DataType::Utf8 => {
            let values = array.as_string::<i32>();
            Some((Bound::Text(min_string(values)?.to_owned()), Bound::Text(max_string(values)?.to_owned())))
        }
        _ => None,
    }
}

fn timestamp(micros: i64) -> Option<String> {
    let time = chrono::DateTime::from_timestamp_micros(micros)?;
    Some(time.format("%Y-%m-%dT%H:%M:%S%.6fZ").to_string())
}

/// Smallest and largest value of a time column in a file's statistics as the Delta log holds them, µs.
/// Other writers cut them to milliseconds: down, so that a minimum still is a bound; a maximum is
/// raised by one here.
pub fn times_in(stats: &str, column: &str) -> Option<(i64, i64)> {
    let stats: Value = serde_json::from_str(stats).ok()?;
    let time = |end: &str| {
        let text = stats.get(end)?.get(column)?.as_str()?;
        Some(chrono::DateTime::parse_from_rfc3339(text).ok()?.timestamp_micros())
    };
    Some((time("minValues")?, time("maxValues")?.saturating_add(1_000)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::arrow_schema;
    use arrow::array::new_null_array;
    use std::sync::Arc;

    #[test]
    fn bounds_and_null_counts_cover_the_leading_columns() {
        let table = &logq_schemas::tables::cloudtrail::TABLE;
        let schema = arrow_schema(table);
        let columns = schema
            .fields()
            .iter()
            .map(|field| -> ArrayRef {
                match field.name().as_str() {
                    "event_time" | "ingest_time" => Arc::new(
                        arrow::array::TimestampMicrosecondArray::from(vec![1_500_000, 500_000])
                            .with_timezone("UTC"),
                    ),
                    "event_date" => Arc::new(arrow::array::Date32Array::from(vec![0, 0])),
                    "parser_version" => Arc::new(arrow::array::Int32Array::from(vec![1, 1])),
                    "source" | "event_uid" | "object_id" => {
                        Arc::new(arrow::array::StringArray::from(vec!["b", "a"]))
                    }
                    "actor" => Arc::new(arrow::array::StringArray::from(vec![Some("x".repeat(65)), None])),
                    _ => new_null_array(field.data_type(), 2),
                }
            })
            .collect();
        let batch = RecordBatch::try_new(schema, columns).expect("matches the schema");
        let stats: Value = serde_json::from_str(&file_stats(table, &batch)).expect("JSON");
        assert_eq!(stats["numRecords"], 2);
        assert_eq!(stats["minValues"]["event_time"], "1970-01-01T00:00:00.500000Z");
        assert_eq!(stats["maxValues"]["event_time"], "1970-01-01T00:00:01.500000Z");
        assert_eq!(
            (&stats["minValues"]["event_uid"], &stats["maxValues"]["event_uid"]),
            (&json!("a"), &json!("b"))
        );
        assert!(stats["maxValues"].get("actor").is_none(), "long text has no bounds");
        assert_eq!(stats["nullCount"]["actor"], 1);
        assert_eq!(stats["nullCount"]["region"], 2);
    }
}
