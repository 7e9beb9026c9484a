//! Statistics of a data file for the Delta log (PROTOCOL.md, “Per-file Statistics”).

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::compute::{max, max_string, min, min_string};
use arrow::datatypes::{DataType, Int32Type, Int64Type, TimestampMicrosecondType};
use logq_schemas::{Kind, Table};
use serde_json::{Map, Value, json};

/// Columns that get statistics: the leading ones, as readers of the format expect.
const LEADING_COLUMNS: usize = 32;

/// Longer text is left without bounds: a cut maximum would have to be rounded up.
const TEXT_BYTES_MAX: usize = 64;

/// The statistics of `batch`, which holds all rows of one file.
pub fn file_stats(table: &Table, batch: &RecordBatch) -> String {
    let (mut minimum, mut maximum, mut nulls) = (Map::new(), Map::new(), Map::new());
    for column in table.columns().take(LEADING_COLUMNS) {
        if matches!(column.kind, Kind::Json | Kind::Binary) {
            continue;
        }
        let Some(array) = batch.column_by_name(column.name) else { continue };
        nulls.insert(column.name.to_owned(), json!(array.null_count()));
        if let Some((low, high)) = bounds(array) {
            minimum.insert(column.name.to_owned(), low);
            maximum.insert(column.name.to_owned(), high);
        }
    }
    json!({
        "numRecords": batch.num_rows(),
        "tightBounds": true,
        "minValues": minimum,
        "maxValues": maximum,
        "nullCount": nulls,
    })
    .to_string()
}

/// Smallest and largest value; none where the column is empty, all null or not ordered usefully.
fn bounds(array: &ArrayRef) -> Option<(Value, Value)> {
    match array.data_type() {
        DataType::Int32 => {
            let values = array.as_primitive::<Int32Type>();
            Some((json!(min(values)?), json!(max(values)?)))
        }
        DataType::Int64 => {
            let values = array.as_primitive::<Int64Type>();
            Some((json!(min(values)?), json!(max(values)?)))
        }
        DataType::Timestamp(_, _) => {
            let values = array.as_primitive::<TimestampMicrosecondType>();
            Some((json!(timestamp(min(values)?)?), json!(timestamp(max(values)?)?)))
        }
        DataType::Utf8 => {
            let values = array.as_string::<i32>();
            let (low, high) = (min_string(values)?, max_string(values)?);
            let short = low.len() <= TEXT_BYTES_MAX && high.len() <= TEXT_BYTES_MAX;
            short.then(|| (json!(low), json!(high)))
        }
        _ => None,
    }
}

fn timestamp(micros: i64) -> Option<String> {
    let time = chrono::DateTime::from_timestamp_micros(micros)?;
    Some(time.format("%Y-%m-%dT%H:%M:%S%.6fZ").to_string())
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
