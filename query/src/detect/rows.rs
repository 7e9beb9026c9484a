//! Cells of Arrow batches as what detections need: texts, times and JSON samples.

use super::config::SAMPLE_TEXT_MAX;
use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, TimeUnit, TimestampMicrosecondType};
use datafusion::common::{DataFusionError, Result};
use serde_json::{Map, Value};
use std::borrow::Cow;

/// A column as text; other types are written the way SQL casts them.
pub fn texts(batch: &RecordBatch, name: &str) -> Result<StringArray> {
    text_array(column(batch, name)?)
}

/// Any array as text.
pub fn text_array(array: &ArrayRef) -> Result<StringArray> {
    Ok(cast(array, &DataType::Utf8)?.as_string::<i32>().clone())
}

/// A time column in microseconds since the epoch.
pub fn micros(batch: &RecordBatch, name: &str) -> Result<Vec<Option<i64>>> {
    let column = cast(column(batch, name)?, &DataType::Timestamp(TimeUnit::Microsecond, None))?;
    Ok(column.as_primitive::<TimestampMicrosecondType>().iter().collect())
}

/// The column of that name.
pub fn column<'a>(batch: &'a RecordBatch, name: &str) -> Result<&'a ArrayRef> {
    batch
        .column_by_name(name)
        .ok_or_else(|| DataFusionError::Execution(format!("the result has no column `{name}`")))
}

/// One row as JSON: numbers stay numbers, everything else is text, nulls are left out.
pub fn sample(batch: &RecordBatch, row: usize, skip: &dyn Fn(&str) -> bool) -> Result<Map<String, Value>> {
    let mut sample = Map::new();
    for (field, array) in batch.schema().fields().iter().zip(batch.columns()) {
        if array.is_null(row) || skip(field.name()) {
            continue;
        }
        sample.insert(field.name().clone(), cell(array, row)?);
    }
    Ok(sample)
}

/// One cell as JSON.
pub fn cell(array: &ArrayRef, row: usize) -> Result<Value> {
    let one = array.slice(row, 1);
    if one.is_null(0) {
        return Ok(Value::Null);
    }
    Ok(match array.data_type() {
        DataType::Boolean => Value::Bool(one.as_boolean().value(0)),
        kind if kind.is_integer() => {
            let text = text_array(&one)?;
            text.value(0).parse::<i64>().map_or_else(|_| Value::from(text.value(0)), Value::from)
        }
        kind if kind.is_floating() => {
            let text = text_array(&one)?;
            text.value(0).parse::<f64>().map_or(Value::Null, Value::from)
        }
        DataType::Timestamp(_, _) => {
            let time = cast(&one, &DataType::Timestamp(TimeUnit::Microsecond, None))?;
            let micros = time.as_primitive::<TimestampMicrosecondType>().value(0);
            Value::from(super::finding::time(micros).to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true))
        }
        _ => {
            let text = text_array(&one)?;
            Value::from(shortened(text.value(0)).into_owned())
        }
    })
}

/// A long text cut at a character boundary, saying so.
pub fn shortened(text: &str) -> Cow<'_, str> {
    if text.len() <= SAMPLE_TEXT_MAX {
        return Cow::Borrowed(text);
    }
    let end = (0..=SAMPLE_TEXT_MAX).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    Cow::Owned(format!("{}… ({} bytes)", &text[..end], text.len()))
}
