//! JSON Lines: one object per row with every column in order, null included.
//!
//! Integers and floats are numbers (64-bit integers too: a reader that keeps doubles only must ask
//! for text), times RFC 3339 text, bytes base64 text, decimals text. Columns that hold JSON text
//! stay text, as the source wrote them. What a terminal would obey is escaped as `\uXXXX`, which
//! any JSON reader turns back.

use super::OutputError;
use super::cell::{TimeStyle, bytes, instant, time_text};
use super::neutral::acts;
use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::{
    DataType, Float16Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, SchemaRef,
    UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow::error::ArrowError;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use std::collections::HashSet;
use std::io::Write;

/// Writes one result as JSON Lines.
#[derive(Debug)]
pub struct Jsonl {
    /// `"name":` per column.
    keys: Vec<Vec<u8>>,
    /// Whether the objects are the elements of one array.
    array: bool,
    rows: usize,
}

impl Jsonl {
    /// A writer for the columns of `schema`. Columns of the same name get `_2`, `_3`, … so that no
    /// value is lost to a reader that keeps one per key.
    pub fn new(schema: &SchemaRef) -> Self {
        let mut taken = HashSet::new();
        let keys = schema
            .fields()
            .iter()
            .map(|field| {
                let mut name = field.name().clone();
                let mut number = 1;
                while !taken.insert(name.clone()) {
                    number += 1;
                    name = format!("{}_{number}", field.name());
                }
                let mut key = Vec::new();
                write_text(&mut key, &name);
                key.push(b':');
                key
            })
            .collect();
        Jsonl { keys, array: false, rows: 0 }
    }

    /// The same as one array, still an object a line.
    pub fn array(schema: &SchemaRef) -> Self {
        Jsonl { array: true, ..Jsonl::new(schema) }
    }

    /// Ends the array; the rows written.
    ///
    /// # Errors
    /// [`OutputError::Io`]
    pub fn finish(self, to: &mut dyn Write) -> Result<usize, OutputError> {
        match (self.array, self.rows) {
            (false, _) => {}
            (true, 0) => to.write_all(b"[]\n")?,
            (true, _) => to.write_all(b"\n]\n")?,
        }
        Ok(self.rows)
    }

    /// Writes one batch.
    ///
    /// # Errors
    /// [`OutputError`]
    pub fn batch(&mut self, batch: &RecordBatch, to: &mut dyn Write) -> Result<(), OutputError> {
        let mut line = Vec::new();
        for row in 0..batch.num_rows() {
            line.clear();
            if self.array {
                line.extend_from_slice(if self.rows + row == 0 { b"[\n" } else { b",\n" });
            }
            line.push(b'{');
            for (index, (key, values)) in self.keys.iter().zip(batch.columns()).enumerate() {
                if index > 0 {
                    line.push(b',');
                }
                line.extend_from_slice(key);
                write_value(&mut line, values, row)?;
            }
            line.extend_from_slice(if self.array { b"}" } else { b"}\n" });
            to.write_all(&line)?;
        }
        self.rows += batch.num_rows();
        Ok(())
    }
}

/// Appends one value as JSON.
///
/// # Errors
/// When its type has no text form.
pub fn write_value(out: &mut Vec<u8>, values: &ArrayRef, row: usize) -> Result<(), ArrowError> {
    if values.is_null(row) {
        out.extend_from_slice(b"null");
        return Ok(());
    }
    match values.data_type() {
        DataType::Null => out.extend_from_slice(b"null"),
        DataType::Boolean => number(out, values.as_boolean().value(row)),
        DataType::Int8 => number(out, values.as_primitive::<Int8Type>().value(row)),
        DataType::Int16 => number(out, values.as_primitive::<Int16Type>().value(row)),
        DataType::Int32 => number(out, values.as_primitive::<Int32Type>().value(row)),
        DataType::Int64 => number(out, values.as_primitive::<Int64Type>().value(row)),
        DataType::UInt8 => number(out, values.as_primitive::<UInt8Type>().value(row)),
        DataType::UInt16 => number(out, values.as_primitive::<UInt16Type>().value(row)),
        DataType::UInt32 => number(out, values.as_primitive::<UInt32Type>().value(row)),
        DataType::UInt64 => number(out, values.as_primitive::<UInt64Type>().value(row)),
        DataType::Float16 => float(out, values.as_primitive::<Float16Type>().value(row).to_f64()),
        DataType::Float32 => float(out, f64::from(values.as_primitive::<Float32Type>().value(row))),
        DataType::Float64 => float(out, values.as_primitive::<Float64Type>().value(row)),
        DataType::Utf8 => write_text(out, values.as_string::<i32>().value(row)),
        DataType::LargeUtf8 => write_text(out, values.as_string::<i64>().value(row)),
        DataType::Utf8View => write_text(out, values.as_string_view().value(row)),
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => {
            write_text(out, &BASE64_STANDARD.encode(bytes(values, row)));
        }
        DataType::Timestamp(unit, _) => match instant(values, *unit, row) {
            Some(time) => {
                let mut text = String::new();
                time_text(time, TimeStyle::Rfc3339, &mut text);
                write_text(out, &text);
            }
            None => out.extend_from_slice(b"null"),
        },
        DataType::List(_) => list(out, &values.as_list::<i32>().value(row))?,
        DataType::LargeList(_) => list(out, &values.as_list::<i64>().value(row))?,
        DataType::FixedSizeList(..) => list(out, &values.as_fixed_size_list().value(row))?,
        DataType::Struct(fields) => {
            let members = values.as_struct();
            out.push(b'{');
            for (index, field) in fields.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                write_text(out, field.name());
                out.push(b':');
                write_value(out, members.column(index), row)?;
            }
            out.push(b'}');
        }
        DataType::Map(..) => map(out, values, row)?,
        DataType::Dictionary(..) => {
            let dictionary = values.as_any_dictionary();
            let key = dictionary.normalized_keys()[row];
            write_value(out, dictionary.values(), key)?;
        }
        _ => write_text(out, &other(values, row)?),
    }
    Ok(())
}

fn other(values: &ArrayRef, row: usize) -> Result<String, ArrowError> {
    let options = FormatOptions::new();
    let formatter = ArrayFormatter::try_new(values.as_ref(), &options)?;
    formatter.value(row).try_to_string()
}

fn list(out: &mut Vec<u8>, items: &ArrayRef) -> Result<(), ArrowError> {
    out.push(b'[');
    for index in 0..items.len() {
        if index > 0 {
            out.push(b',');
        }
        write_value(out, items, index)?;
    }
    out.push(b']');
    Ok(())
}

fn map(out: &mut Vec<u8>, values: &ArrayRef, row: usize) -> Result<(), ArrowError> {
    let entries = values.as_map().value(row);
    out.push(b'{');
    for index in 0..entries.len() {
        if index > 0 {
            out.push(b',');
        }
        write_text(out, &other(entries.column(0), index)?);
        out.push(b':');
        write_value(out, entries.column(1), index)?;
    }
    out.push(b'}');
    Ok(())
}

fn number(out: &mut Vec<u8>, value: impl std::fmt::Display) {
    let _ = write!(out, "{value}");
}

/// JSON has no NaN and no infinities: they are text.
fn float(out: &mut Vec<u8>, value: f64) {
    match serde_json::Number::from_f64(value) {
        Some(value) => number(out, value),
        None => write_text(out, &value.to_string()),
    }
}

/// A JSON string in which nothing acts on a terminal.
fn write_text(out: &mut Vec<u8>, text: &str) {
    if text.chars().any(|c| acts(c) && c >= '\u{7f}') {
        let mut plain = Vec::with_capacity(text.len() + 2);
        let _ = serde_json::to_writer(&mut plain, text);
        let mut units = [0_u16; 2];
        for c in String::from_utf8_lossy(&plain).chars() {
            if acts(c) {
                for unit in c.encode_utf16(&mut units) {
                    let _ = write!(out, "\\u{unit:04x}");
                }
            } else {
                let _ = write!(out, "{c}");
            }
        }
        return;
    }
    let _ = serde_json::to_writer(out, text);
}

#[cfg(test)]
mod tests {
    use super::super::{Format, Layout, Output};
    use super::*;
    use arrow::array::{
        BinaryArray, DictionaryArray, Float64Array, Int64Array, ListArray, StringArray, StringViewArray,
        TimestampMicrosecondArray,
    };
    use std::sync::Arc;

    fn lines(columns: Vec<(&str, ArrayRef)>) -> Vec<serde_json::Value> {
        let schema = Arc::new(arrow::datatypes::Schema::new(
            columns
                .iter()
                .map(|(name, values)| arrow::datatypes::Field::new(*name, values.data_type().clone(), true))
                .collect::<Vec<_>>(),
        ));
        let batch =
            RecordBatch::try_new(schema, columns.into_iter().map(|(_, values)| values).collect()).unwrap();
        let layout = Layout { format: Format::Jsonl, ..Layout::default() };
        let mut bytes = Vec::new();
        let mut output = Output::new(&layout, &batch.schema(), &mut bytes).unwrap();
        output.batch(&batch, &mut bytes).unwrap();
        output.finish(&mut bytes).unwrap();
        assert!(!String::from_utf8_lossy(&bytes).chars().any(|c| acts(c) && c != '\n'));
        String::from_utf8(bytes).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[test]
    fn every_type_has_its_json() {
        let list = ListArray::from_iter_primitive::<Int64Type, _, _>([Some(vec![Some(1), None])]);
        let found = lines(vec![
            ("i", Arc::new(Int64Array::from(vec![i64::MAX]))),
            ("f", Arc::new(Float64Array::from(vec![f64::NAN]))),
            ("t", Arc::new(TimestampMicrosecondArray::from(vec![1_500_000]).with_timezone("UTC"))),
            ("b", Arc::new(BinaryArray::from_vec(vec![b"\xff\x00"]))),
            ("l", Arc::new(list)),
            ("j", Arc::new(StringViewArray::from(vec!["{\"a\":1}"]))),
            ("d", Arc::new(["x"].into_iter().collect::<DictionaryArray<Int32Type>>())),
            ("n", Arc::new(Int64Array::from(vec![None]))),
        ]);
        let expected = serde_json::json!({
            "i": i64::MAX, "f": "NaN", "t": "1970-01-01T00:00:01.5Z", "b": "/wA=", "l": [1, null],
            "j": "{\"a\":1}", "d": "x", "n": null,
        });
        assert_eq!(found, [expected]);
    }

    #[test]
    fn hostile_text_comes_back_the_same_and_does_nothing_on_the_way() {
        let hostile = "\x1b[2J \u{9b}31m \u{202e}gpj.exe \u{e0041} \" \\ \n";
        let found = lines(vec![("t", Arc::new(StringArray::from(vec![hostile])))]);
        assert_eq!(found[0]["t"], hostile);
    }

    #[test]
    fn columns_of_one_name_all_stay() {
        let column = |value| Arc::new(Int64Array::from(vec![value])) as ArrayRef;
        let found = lines(vec![("x", column(1)), ("x", column(2)), ("x_2", column(3))]);
        assert_eq!(found, [serde_json::json!({"x": 1, "x_2": 2, "x_2_2": 3})]);
    }
}
