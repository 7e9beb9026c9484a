//! One value as text, the same in every format that shows text.

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{
    DataType, TimeUnit, TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType,
    TimestampSecondType,
};
use arrow::error::ArrowError;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use chrono::{DateTime, Utc};
use std::fmt::Write;

/// How times are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimeStyle {
    /// `2026-11-22 10:00:00.123`, for people.
    Readable,
    /// `2026-11-22T10:00:00.123Z`, for programs.
    Rfc3339,
}

/// The values of one column as text.
pub struct Cells<'a> {
    values: &'a ArrayRef,
    kind: Kind<'a>,
    style: TimeStyle,
}

enum Kind<'a> {
    Time(TimeUnit),
    Binary,
    Nested,
    Other(ArrayFormatter<'a>),
}

/// Whether a column is aligned to the right.
pub fn is_number(kind: &DataType) -> bool {
    kind.is_numeric()
}

/// Whether values of a column are text somebody wrote, as opposed to numbers and times.
pub fn is_text(kind: &DataType) -> bool {
    match kind {
        DataType::Dictionary(_, values) => is_text(values),
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => true,
        nested => nested.is_nested(),
    }
}

impl<'a> Cells<'a> {
    /// The values of `values`.
    ///
    /// # Errors
    /// When its type has no text form.
    pub fn new(values: &'a ArrayRef, style: TimeStyle) -> Result<Self, ArrowError> {
        let kind = match values.data_type() {
            DataType::Timestamp(unit, _) => Kind::Time(*unit),
            DataType::Binary
            | DataType::LargeBinary
            | DataType::BinaryView
            | DataType::FixedSizeBinary(_) => Kind::Binary,
            kind if kind.is_nested() => Kind::Nested,
            _ => Kind::Other(ArrayFormatter::try_new(values.as_ref(), &FormatOptions::new())?),
        };
        Ok(Cells { values, kind, style })
    }

    /// Writes the value of `row`; `false` when it is null.
    ///
    /// # Errors
    /// When the value has no text form.
    pub fn write(&self, row: usize, text: &mut String) -> Result<bool, ArrowError> {
        if self.values.is_null(row) || self.values.data_type() == &DataType::Null {
            return Ok(false);
        }
        match &self.kind {
            Kind::Time(unit) => match instant(self.values, *unit, row) {
                Some(time) => time_text(time, self.style, text),
                None => text.push_str("out of range"),
            },
            Kind::Binary => BASE64_STANDARD.encode_string(bytes(self.values, row), text),
            Kind::Nested => {
                let mut json = Vec::new();
                super::jsonl::write_value(&mut json, self.values, row)?;
                text.push_str(&String::from_utf8_lossy(&json));
            }
            Kind::Other(formatter) => write!(text, "{}", formatter.value(row))
                .map_err(|error| ArrowError::CastError(error.to_string()))?,
        }
        Ok(true)
    }
}

/// The bytes of a binary value.
pub fn bytes(values: &ArrayRef, row: usize) -> &[u8] {
    match values.data_type() {
        DataType::Binary => values.as_binary::<i32>().value(row),
        DataType::LargeBinary => values.as_binary::<i64>().value(row),
        DataType::BinaryView => values.as_binary_view().value(row),
        DataType::FixedSizeBinary(_) => values.as_fixed_size_binary().value(row),
        _ => &[],
    }
}

/// A timestamp; `None` beyond the years chrono knows. A timestamp without a zone is UTC here, as
/// all times of the lake.
pub fn instant(values: &ArrayRef, unit: TimeUnit, row: usize) -> Option<DateTime<Utc>> {
    match unit {
        TimeUnit::Second => {
            DateTime::from_timestamp(values.as_primitive::<TimestampSecondType>().value(row), 0)
        }
        TimeUnit::Millisecond => {
            DateTime::from_timestamp_millis(values.as_primitive::<TimestampMillisecondType>().value(row))
        }
        TimeUnit::Microsecond => {
            DateTime::from_timestamp_micros(values.as_primitive::<TimestampMicrosecondType>().value(row))
        }
        TimeUnit::Nanosecond => {
            let value = values.as_primitive::<TimestampNanosecondType>().value(row);
            Some(DateTime::from_timestamp_nanos(value))
        }
    }
}

/// Writes a time without zeros at the end of its fraction.
pub fn time_text(time: DateTime<Utc>, style: TimeStyle, text: &mut String) {
    let (separator, zone) = match style {
        TimeStyle::Readable => (' ', ""),
        TimeStyle::Rfc3339 => ('T', "Z"),
    };
    let _ = write!(text, "{}{separator}{}", time.format("%Y-%m-%d"), time.format("%H:%M:%S"));
    let nanoseconds = time.timestamp_subsec_nanos();
    if nanoseconds != 0 {
        let fraction = format!(".{nanoseconds:09}");
        text.push_str(fraction.trim_end_matches('0'));
    }
    text.push_str(zone);
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{BinaryArray, Float64Array, Int64Array, TimestampMicrosecondArray};
    use std::sync::Arc;

    fn text(values: ArrayRef, style: TimeStyle) -> String {
        let mut text = String::new();
        Cells::new(&values, style).unwrap().write(0, &mut text).unwrap();
        text
    }

    #[test]
    fn times_numbers_and_bytes_have_one_form() {
        // 2026-11-22T10:00:00.123Z
        let time: ArrayRef =
            Arc::new(TimestampMicrosecondArray::from(vec![1_795_341_600_123_000]).with_timezone("UTC"));
        assert_eq!(text(Arc::clone(&time), TimeStyle::Readable), "2026-11-22 10:00:00.123");
        assert_eq!(text(time, TimeStyle::Rfc3339), "2026-11-22T10:00:00.123Z");
        let whole: ArrayRef = Arc::new(TimestampMicrosecondArray::from(vec![0]));
        assert_eq!(text(whole, TimeStyle::Readable), "1970-01-01 00:00:00");
        assert_eq!(text(Arc::new(Int64Array::from(vec![-7])), TimeStyle::Readable), "-7");
        assert_eq!(text(Arc::new(Float64Array::from(vec![0.5])), TimeStyle::Readable), "0.5");
        let bytes: ArrayRef = Arc::new(BinaryArray::from_vec(vec![&[0xff, 0x00]]));
        assert_eq!(text(bytes, TimeStyle::Readable), "/wA=");
    }

    #[test]
    fn a_null_writes_nothing() {
        let values: ArrayRef = Arc::new(Int64Array::from(vec![None]));
        let mut text = String::new();
        assert!(!Cells::new(&values, TimeStyle::Readable).unwrap().write(0, &mut text).unwrap());
        assert!(text.is_empty());
    }
}
