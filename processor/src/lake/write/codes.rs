//! Values of a column as numbers: each distinct value once, each row the number of its value.
//!
//! Log columns repeat themselves: an account, an interface, a user agent stand in thousands of rows. What
//! is to be done with a value (bringing it into order, finding the smallest, putting it into a bloom
//! filter, writing it) is done once a value instead of once a row.

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{DataType, Date32Type, Int32Type, Int64Type, TimestampMicrosecondType};
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use twox_hash::XxHash3_64;

/// The number of a row without a value.
pub(super) const NONE: u32 = u32::MAX;

/// A column is looked at for this many rows before it is given up as one whose values hardly repeat.
const TRIAL_ROWS: usize = 20_000;

/// A column of all rows of a table that wait to be written.
#[derive(Debug)]
pub(super) struct Codes {
    /// The number of each row's value, in the order in which the rows wait; nothing where no row has one.
    pub rows: Vec<u32>,
    /// The values.
    pub values: Values,
}

/// Distinct values in the order in which they were met.
#[derive(Debug)]
pub(super) enum Values {
    /// No row has a value.
    Empty,
    /// Text, as one buffer and where each value ends.
    Text(String, Vec<usize>),
    /// 32-bit integers.
    Int(Vec<i32>),
    /// 64-bit integers and times.
    Long(Vec<i64>),
}

impl Values {
    /// The text of a number.
    pub fn text(&self, code: u32) -> &str {
        let Values::Text(text, ends) = self else { return "" };
        let code = code as usize;
        let start = code.checked_sub(1).map_or(0, |before| ends[before]);
        text.get(start..ends[code]).unwrap_or("")
    }

    /// The bytes a dictionary page holds for a number (Parquet's PLAIN encoding).
    pub fn write_plain(&self, code: u32, out: &mut Vec<u8>) {
        match self {
            Values::Empty => {}
            Values::Text(..) => {
                let text = self.text(code);
                out.extend_from_slice(&u32::try_from(text.len()).unwrap_or(0).to_le_bytes());
                out.extend_from_slice(text.as_bytes());
            }
            Values::Int(values) => out.extend_from_slice(&values[code as usize].to_le_bytes()),
            Values::Long(values) => out.extend_from_slice(&values[code as usize].to_le_bytes()),
        }
    }

    /// How many bytes [`Values::write_plain`] writes.
    pub fn plain_len(&self, code: u32) -> usize {
        match self {
            Values::Empty => 0,
            Values::Text(..) => 4 + self.text(code).len(),
            Values::Int(_) => 4,
            Values::Long(_) => 8,
        }
    }

    /// The bytes a page index holds for a number.
    pub fn index_bytes(&self, code: u32) -> Vec<u8> {
        match self {
            Values::Empty => Vec::new(),
            Values::Text(..) => self.text(code).as_bytes().to_vec(),
            Values::Int(values) => values[code as usize].to_le_bytes().to_vec(),
            Values::Long(values) => values[code as usize].to_le_bytes().to_vec(),
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        match self {
            Values::Empty => 0,
            Values::Text(_, ends) => ends.len(),
            Values::Int(values) => values.len(),
            Values::Long(values) => values.len(),
        }
    }

    /// Which of two numbers stands for the smaller value.
    pub fn compare(&self, one: u32, other: u32) -> std::cmp::Ordering {
        match self {
            Values::Empty => std::cmp::Ordering::Equal,
            Values::Text(..) => self.text(one).as_bytes().cmp(self.text(other).as_bytes()),
            Values::Int(values) => values[one as usize].cmp(&values[other as usize]),
            Values::Long(values) => values[one as usize].cmp(&values[other as usize]),
        }
    }
}

impl Codes {
    /// Numbers the values of a column that comes in `parts`; `None` when they hardly repeat, or are of
    /// a type for which it does not pay.
    pub fn of(parts: &[ArrayRef]) -> Option<Codes> {
        let rows = parts.iter().map(|part| part.len()).sum();
        if parts.iter().all(|part| part.null_count() == part.len()) {
            return Some(Codes { rows: Vec::new(), values: Values::Empty });
        }
        match parts.first()?.data_type() {
            DataType::Utf8 => text(parts, rows),
            DataType::Int32 => ints(parts, rows, |part| part.as_primitive::<Int32Type>().values()),
            DataType::Date32 => ints(parts, rows, |part| part.as_primitive::<Date32Type>().values()),
            DataType::Int64 => longs(parts, rows, |part| part.as_primitive::<Int64Type>().values()),
            DataType::Timestamp(..) => {
                longs(parts, rows, |part| part.as_primitive::<TimestampMicrosecondType>().values())
            }
            _ => None,
        }
    }
}

/// Whether so many distinct values among so many rows are worth a dictionary: an entry must stand for two
/// rows at least.
fn repeats(distinct: usize, rows: usize) -> bool {
    rows < TRIAL_ROWS || distinct * 2 <= rows
}

fn text(parts: &[ArrayRef], rows: usize) -> Option<Codes> {
    let mut known: HashMap<u64, u32, BuildHasherDefault<Hashed>> = HashMap::default();
    let mut values = Values::Text(String::new(), Vec::new());
    let mut codes = Vec::with_capacity(rows);
    let mut last = NONE;
    for part in parts {
        let array = part.as_string::<i32>();
        for row in 0..array.len() {
            if array.is_null(row) {
                codes.push(NONE);
                continue;
            }
            let value = array.value(row);
            if last == NONE || values.text(last) != value {
                last = number(&mut known, &mut values, value);
            }
            codes.push(last);
        }
        let Values::Text(_, ends) = &values else { return None };
        if !repeats(ends.len(), codes.len()) {
            return None;
        }
    }
    Some(Codes { rows: codes, values })
}

/// The number of a text; the next one when it is new.
fn number(
    known: &mut HashMap<u64, u32, BuildHasherDefault<Hashed>>,
    values: &mut Values,
    value: &str,
) -> u32 {
    let mut key = XxHash3_64::oneshot(value.as_bytes());
    while let Some(&code) = known.get(&key) {
        if values.text(code) == value {
            return code;
        }
        key = key.wrapping_add(1); // another text with this hash
    }
    let Values::Text(text, ends) = values else { return NONE };
    let code = u32::try_from(ends.len()).unwrap_or(NONE);
    text.push_str(value);
    ends.push(text.len());
    known.insert(key, code);
    code
}

fn ints(parts: &[ArrayRef], rows: usize, of: impl Fn(&ArrayRef) -> &[i32]) -> Option<Codes> {
    let (codes, values) = numbers(parts, rows, |part| of(part).iter().map(|&value| i64::from(value)))?;
    let values = values.into_iter().filter_map(|value| i32::try_from(value).ok()).collect();
    Some(Codes { rows: codes, values: Values::Int(values) })
}

fn longs(parts: &[ArrayRef], rows: usize, of: impl Fn(&ArrayRef) -> &[i64]) -> Option<Codes> {
    let (codes, values) = numbers(parts, rows, |part| of(part).iter().copied())?;
    Some(Codes { rows: codes, values: Values::Long(values) })
}

fn numbers<'p, V: Iterator<Item = i64>>(
    parts: &'p [ArrayRef],
    rows: usize,
    of: impl Fn(&'p ArrayRef) -> V,
) -> Option<(Vec<u32>, Vec<i64>)> {
    let mut known: HashMap<i64, u32, BuildHasherDefault<Hashed>> = HashMap::default();
    let mut values = Vec::new();
    let mut codes = Vec::with_capacity(rows);
    for part in parts {
        let nulls = part.nulls();
        for (row, value) in of(part).enumerate() {
            if nulls.is_some_and(|nulls| nulls.is_null(row)) {
                codes.push(NONE);
                continue;
            }
            let code = *known.entry(value).or_insert_with(|| {
                values.push(value);
                u32::try_from(values.len() - 1).unwrap_or(NONE)
            });
            codes.push(code);
        }
        if !repeats(values.len(), codes.len()) {
            return None;
        }
    }
    Some((codes, values))
}

/// Spreads an integer over the table; a hash stays one.
#[derive(Default)]
struct Hashed(u64);

impl Hasher for Hashed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0 = XxHash3_64::oneshot(bytes);
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }

    fn write_i64(&mut self, value: i64) {
        // Multiplication by the golden ratio, its high half folded down.
        let wide = u128::from(value as u64) * 0x9e37_79b9_7f4a_7c15;
        self.0 = (wide >> 64) as u64 ^ wide as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{Int32Array, StringArray, new_null_array};
    use std::sync::Arc;

    fn column(values: Vec<Option<&str>>) -> ArrayRef {
        Arc::new(StringArray::from(values))
    }

    #[test]
    fn each_value_has_one_number_across_parts() {
        let (one, two) =
            (column(vec![Some("b"), None, Some("a"), Some("b")]), column(vec![Some("a"), Some("")]));
        let codes = Codes::of(&[one, two]).expect("few rows are always numbered");
        assert_eq!(codes.rows, [0, NONE, 1, 0, 1, 2]);
        assert_eq!((codes.values.text(0), codes.values.text(1), codes.values.text(2)), ("b", "a", ""));
        assert!(codes.values.compare(1, 0).is_lt());
    }

    #[test]
    fn numbers_and_empty_columns_are_numbered_too() {
        let ports: ArrayRef = Arc::new(Int32Array::from(vec![Some(443), Some(22), None, Some(443)]));
        let codes = Codes::of(&[ports]).expect("numbered");
        assert_eq!(codes.rows, [0, 1, NONE, 0]);
        let mut plain = Vec::new();
        codes.values.write_plain(1, &mut plain);
        assert_eq!(plain, 22i32.to_le_bytes());
        let empty = new_null_array(&DataType::Boolean, 3);
        let codes = Codes::of(&[empty]).expect("numbered");
        assert!(matches!(codes.values, Values::Empty));
        assert!(codes.rows.is_empty());
    }

    #[test]
    fn a_column_of_unique_values_is_given_up() {
        let unique: Vec<String> = (0..30_000).map(|number| format!("id-{number}")).collect();
        let unique = column(unique.iter().map(|text| Some(text.as_str())).collect());
        assert!(Codes::of(&[unique]).is_none());
    }
}
