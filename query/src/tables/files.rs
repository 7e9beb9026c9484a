//! The files of one version of a table, with what the log knows about each.

use crate::config;
use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Int64Array, RecordBatch, TimestampMicrosecondArray, UInt64Array,
};
use arrow::compute::{cast, take};
use arrow::datatypes::{DataType, Int64Type, Schema, TimeUnit, TimestampMicrosecondType};
use chrono::DateTime;
use datafusion::common::pruning::PruningStatistics;
use datafusion::common::stats::Precision;
use datafusion::common::{Column, ColumnStatistics, ScalarValue, Statistics};
use object_store::ObjectMeta;
use object_store::path::Path;
use std::collections::{HashMap, HashSet};
use std::ops::RangeInclusive;
use std::sync::Arc;

/// Microseconds a bound is widened by when its last three digits are zero: checkpoints written by
/// other engines keep statistics in milliseconds, rounded down.
const MILLISECOND_SLACK: i64 = 999;

/// One file of a table.
#[derive(Debug, Clone)]
pub struct DataFile {
    /// Location below the table's directory, size and time as the log has them.
    pub meta: ObjectMeta,
    /// Values of the partition columns, in their order.
    pub partition: Vec<ScalarValue>,
    /// Rows, where the log says.
    pub rows: Option<u64>,
    /// Row in [`Bounds`].
    row: usize,
}

impl DataFile {
    /// The partition as it is written in paths: `event_date=2026-11-22`.
    pub fn partition_text(&self, columns: &[String]) -> String {
        let parts: Vec<String> =
            columns.iter().zip(&self.partition).map(|(name, value)| format!("{name}={value}")).collect();
        parts.join("/")
    }
}

/// The files of one version of a table.
#[derive(Debug)]
pub struct FileList {
    files: Vec<DataFile>,
    bounds: Bounds,
    partition_columns: Vec<String>,
}

/// Bounds of the columns of all files, one row per file.
#[derive(Debug, Default)]
struct Bounds {
    columns: HashMap<String, ColumnBounds>,
}

#[derive(Debug, Clone)]
struct ColumnBounds {
    min: ArrayRef,
    max: ArrayRef,
    nulls: Option<ArrayRef>,
}

impl FileList {
    /// Reads the flattened add actions of a table's log.
    ///
    /// # Errors
    /// A message when the log names a file outside the table's directory or lacks a partition
    /// value.
    pub fn new(actions: RecordBatch, schema: &Schema, partition_columns: &[String]) -> Result<Self, String> {
        let column = |name: &str| {
            actions.column_by_name(name).ok_or_else(|| format!("its log has no {name} of files"))
        };
        let paths = cast(column("path")?, &DataType::Utf8).map_err(|error| error.to_string())?;
        let paths = paths.as_string::<i32>();
        let sizes = column("size_bytes")?.as_primitive::<Int64Type>();
        let times = column("modification_time")?.as_primitive::<Int64Type>();
        let rows =
            actions.column_by_name("num_records").and_then(|rows| rows.as_primitive_opt::<Int64Type>());
        let partitions: Vec<&ArrayRef> = partition_columns
            .iter()
            .map(|name| column(&format!("partition.{name}")))
            .collect::<Result<_, _>>()?;
        let mut files = Vec::with_capacity(actions.num_rows());
        for row in 0..actions.num_rows() {
            let raw = paths.value(row);
            if raw.contains("://") || raw.starts_with('/') {
                return Err(format!(
                    "its log names a file outside the table, {raw}, which logq does not read"
                ));
            }
            let partition = partitions
                .iter()
                .map(|values| ScalarValue::try_from_array(values, row).map_err(|error| error.to_string()))
                .collect::<Result<_, _>>()?;
            files.push(DataFile {
                meta: ObjectMeta {
                    location: Path::from_url_path(raw)
                        .map_err(|error| format!("its log names a file with the path {raw}: {error}"))?,
                    last_modified: DateTime::from_timestamp_millis(times.value(row)).unwrap_or_default(),
                    size: u64::try_from(sizes.value(row)).unwrap_or_default(),
                    e_tag: None,
                    version: None,
                },
                partition,
                rows: rows
                    .filter(|rows| rows.is_valid(row))
                    .and_then(|rows| u64::try_from(rows.value(row)).ok()),
                row,
            });
        }
        let bounds = Bounds::new(&actions, schema, partition_columns);
        Ok(FileList { files, bounds, partition_columns: partition_columns.to_vec() })
    }

    /// Number of files.
    pub fn len(&self) -> usize {
        self.files.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// All files in the order of the log.
    pub fn iter(&self) -> impl Iterator<Item = &DataFile> {
        self.files.iter()
    }

    /// Files whose partition `event_date` lies in `days` (days since 1970), or has none.
    pub fn in_days(&self, days: &RangeInclusive<i64>) -> Vec<&DataFile> {
        let Some(date) =
            self.partition_columns.iter().position(|name| name == logq_schemas::Table::PARTITION)
        else {
            return self.files.iter().collect();
        };
        let inside = |file: &&DataFile| match file.partition.get(date) {
            Some(ScalarValue::Date32(Some(day))) => days.contains(&i64::from(*day)),
            _ => true,
        };
        self.files.iter().filter(inside).collect()
    }

    /// Sorts files by partition, then by their smallest value of `column`, so that neighbours in a
    /// scan are neighbours in time.
    pub fn sort_by_time(&self, files: &mut [&DataFile], column: Option<&str>) {
        let starts = column
            .and_then(|name| self.bounds.columns.get(name))
            .and_then(|bounds| bounds.min.as_primitive_opt::<TimestampMicrosecondType>());
        let start = |file: &DataFile| {
            starts.filter(|starts| starts.is_valid(file.row)).map(|starts| starts.value(file.row))
        };
        files.sort_by(|a, b| {
            let partitions = a.partition.partial_cmp(&b.partition).unwrap_or(std::cmp::Ordering::Equal);
            partitions
                .then_with(|| start(a).cmp(&start(b)))
                .then_with(|| a.meta.location.cmp(&b.meta.location))
        });
    }

    /// What is known about `files` for pruning, in the types of `schema`.
    pub fn pruning(&self, files: &[&DataFile], schema: &Schema) -> FilePruning {
        let rows = Int64Array::from_iter_values(files.iter().map(|file| file.row as i64));
        let mut columns = HashMap::new();
        for (name, bounds) in &self.bounds.columns {
            let Ok(field) = schema.field_with_name(name) else { continue };
            let pick = |values: &ArrayRef| {
                take(values, &rows, None).and_then(|values| cast(&values, field.data_type())).ok()
            };
            let (Some(min), Some(max)) = (pick(&bounds.min), pick(&bounds.max)) else { continue };
            let nulls = bounds
                .nulls
                .as_ref()
                .and_then(|nulls| take(nulls, &rows, None).and_then(|n| cast(&n, &DataType::UInt64)).ok());
            columns.insert(name.clone(), ColumnBounds { min, max, nulls });
        }
        for (index, name) in self.partition_columns.iter().enumerate() {
            let values = ScalarValue::iter_to_array(files.iter().map(|file| file.partition[index].clone()));
            if let Ok(values) = values {
                columns.insert(
                    name.clone(),
                    ColumnBounds { min: Arc::clone(&values), max: values, nulls: None },
                );
            }
        }
        let rows = files.iter().map(|file| file.rows).collect::<UInt64Array>();
        FilePruning { columns, rows: Arc::new(rows), files: files.len() }
    }
}

impl Bounds {
    fn new(actions: &RecordBatch, schema: &Schema, partition_columns: &[String]) -> Self {
        let mut columns = HashMap::new();
        for field in schema.fields() {
            let name = field.name();
            if partition_columns.contains(name) || matches!(field.data_type(), DataType::Binary) {
                continue;
            }
            let column = |kind: &str| actions.column_by_name(&format!("{kind}.{name}")).cloned();
            let (Some(min), Some(max)) = (column("min"), column("max")) else { continue };
            if min.null_count() == min.len() && max.null_count() == max.len() {
                continue;
            }
            let bounds = ColumnBounds { min, max: widened(max), nulls: column("null_count") };
            columns.insert(name.clone(), bounds);
        }
        Bounds { columns }
    }
}

/// Upper bounds that still hold where the writer of the log kept milliseconds only.
fn widened(max: ArrayRef) -> ArrayRef {
    let DataType::Timestamp(TimeUnit::Microsecond, zone) = max.data_type().clone() else { return max };
    let values = max.as_primitive::<TimestampMicrosecondType>();
    let widened: TimestampMicrosecondArray =
        values.unary(|time| if time % 1_000 == 0 { time.saturating_add(MILLISECOND_SLACK) } else { time });
    Arc::new(widened.with_timezone_opt(zone))
}

/// Bounds of a selection of files, for leaving files out.
#[derive(Debug)]
pub struct FilePruning {
    columns: HashMap<String, ColumnBounds>,
    rows: ArrayRef,
    files: usize,
}

impl FilePruning {
    /// Statistics of the `index`-th file over `schema` without its partition columns; `None` when
    /// there are too many files to hold them (limits in [`config::FILE_STATISTICS_MAX`]).
    ///
    /// Bounds are marked exact because the engine prunes by exact ones only; they may be wider than
    /// the data, which pruning allows. Nothing else may use them: the scan as a whole claims no
    /// column statistics, so `max(event_time)` is read from the data.
    pub fn statistics(&self, index: usize, schema: &Schema) -> Option<Statistics> {
        if self.files.saturating_mul(schema.fields().len()) > config::FILE_STATISTICS_MAX {
            return None;
        }
        let mut statistics = Statistics::new_unknown(schema);
        let rows = self.rows.as_primitive::<arrow::datatypes::UInt64Type>();
        if rows.is_valid(index) {
            statistics.num_rows =
                usize::try_from(rows.value(index)).map_or(Precision::Absent, Precision::Exact);
        }
        for (position, field) in schema.fields().iter().enumerate() {
            let Some(bounds) = self.columns.get(field.name()) else { continue };
            let exact = |values: &ArrayRef| match ScalarValue::try_from_array(values, index) {
                Ok(value) if !value.is_null() => Precision::Exact(value),
                _ => Precision::Absent,
            };
            let column = &mut statistics.column_statistics[position];
            *column = ColumnStatistics {
                min_value: exact(&bounds.min),
                max_value: exact(&bounds.max),
                ..ColumnStatistics::new_unknown()
            };
            if let Some(nulls) =
                bounds.nulls.as_ref().map(|n| n.as_primitive::<arrow::datatypes::UInt64Type>())
                && nulls.is_valid(index)
            {
                column.null_count =
                    usize::try_from(nulls.value(index)).map_or(Precision::Absent, Precision::Exact);
            }
        }
        Some(statistics)
    }
}

impl PruningStatistics for FilePruning {
    fn min_values(&self, column: &Column) -> Option<ArrayRef> {
        self.columns.get(&column.name).map(|bounds| Arc::clone(&bounds.min))
    }

    fn max_values(&self, column: &Column) -> Option<ArrayRef> {
        self.columns.get(&column.name).map(|bounds| Arc::clone(&bounds.max))
    }

    fn num_containers(&self) -> usize {
        self.files
    }

    fn null_counts(&self, column: &Column) -> Option<ArrayRef> {
        self.columns.get(&column.name).and_then(|bounds| bounds.nulls.clone())
    }

    fn row_counts(&self) -> Option<ArrayRef> {
        Some(Arc::clone(&self.rows))
    }

    fn contained(&self, _column: &Column, _values: &HashSet<ScalarValue>) -> Option<BooleanArray> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_in_milliseconds_is_widened_and_a_finer_one_is_kept() {
        let max: ArrayRef = Arc::new(
            TimestampMicrosecondArray::from(vec![Some(1_000), Some(1_001), None, Some(i64::MAX - 7)])
                .with_timezone("UTC"),
        );
        let widened = widened(max);
        let values = widened.as_primitive::<TimestampMicrosecondType>();
        assert_eq!(values.value(0), 1_999);
        assert_eq!(values.value(1), 1_001);
        assert!(values.is_null(2));
        assert_eq!(widened.data_type(), &DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())));
    }
}
