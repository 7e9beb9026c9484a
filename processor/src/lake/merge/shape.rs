//! How the rows of a table are compared in a merge: adapted to today's columns, ordered by the
//! table's sort columns, told apart by identity and content.

use super::MergeError;
use crate::formats::arrow_schema;
use crate::lake::write::stored_schema;
use arrow::array::{ArrayRef, AsArray, RecordBatch, new_null_array};
use arrow::compute::cast;
use arrow::datatypes::{Int32Type, SchemaRef, TimestampMicrosecondType};
use arrow::error::ArrowError;
use arrow::row::{OwnedRow, RowConverter, Rows, SortField};
use logq_schemas::Table;
use twox_hash::{XxHash3_64, XxHash3_128};

/// Columns that say how a record came here, not what it is.
const DELIVERY: [&str; 4] = ["ingest_time", "object_id", "parser_version", "event_uid"];

/// Comparisons for one table.
#[derive(Debug)]
pub(super) struct Shape {
    pub table: &'static Table,
    pub schema: SchemaRef,
    order: RowConverter,
    order_columns: Vec<usize>,
    content: RowConverter,
    content_columns: Vec<usize>,
    uid: Option<usize>,
}

/// What tells the rows of a batch from others.
#[derive(Debug, Default)]
pub(super) struct Identities {
    pub uids: Vec<u128>,
    pub versions: Vec<i32>,
    pub contents: Vec<u64>,
}

impl Shape {
    pub(super) fn new(table: &'static Table) -> Result<Shape, MergeError> {
        let schema = stored_schema(&arrow_schema(table));
        let index = |name: &str| schema.index_of(name).expect("tables name their own columns");
        let order_columns: Vec<usize> = table.sort_by.iter().map(|name| index(name)).collect();
        let content_columns: Vec<usize> = (0..schema.fields().len())
            .filter(|&at| !DELIVERY.contains(&schema.field(at).name().as_str()))
            .collect();
        let converter = |columns: &[usize]| {
            let fields = columns.iter().map(|&at| SortField::new(schema.field(at).data_type().clone()));
            RowConverter::new(fields.collect())
                .map_err(|source| MergeError::Rows { table: table.name, source })
        };
        Ok(Shape {
            order: converter(&order_columns)?,
            content: converter(&content_columns)?,
            uid: schema.index_of("event_uid").ok(),
            table,
            order_columns,
            content_columns,
            schema,
        })
    }

    pub(super) fn failed(&self, source: ArrowError) -> MergeError {
        MergeError::Rows { table: self.table.name, source }
    }

    /// The batch with exactly the table's stored columns: columns of a later version are null in older
    /// files, and other writers choose other physical types.
    pub(super) fn adapt(&self, batch: &RecordBatch, file: &str) -> Result<RecordBatch, MergeError> {
        let known = |name: &str| name == Table::PARTITION || self.schema.column_with_name(name).is_some();
        if let Some(unknown) = batch.schema_ref().fields().iter().find(|field| !known(field.name())) {
            return Err(MergeError::Column {
                table: self.table.name,
                path: file.to_owned(),
                column: unknown.name().clone(),
            });
        }
        let columns = self.schema.fields().iter().map(|field| -> Result<ArrayRef, ArrowError> {
            match batch.column_by_name(field.name()) {
                Some(column) if column.data_type() == field.data_type() => Ok(column.clone()),
                Some(column) => cast(column, field.data_type()),
                None => Ok(new_null_array(field.data_type(), batch.num_rows())),
            }
        });
        let columns: Vec<ArrayRef> =
            columns.collect::<Result<_, _>>().map_err(|source| self.failed(source))?;
        RecordBatch::try_new(self.schema.clone(), columns).map_err(|source| self.failed(source))
    }

    /// The rows' places in the order of the table.
    pub(super) fn keys(&self, batch: &RecordBatch) -> Result<Rows, MergeError> {
        let columns: Vec<ArrayRef> = self.order_columns.iter().map(|&at| batch.column(at).clone()).collect();
        self.order.convert_columns(&columns).map_err(|source| self.failed(source))
    }

    /// The place before every row whose first sort column, a time, is at least `first`.
    pub(super) fn lowest(&self, first: i64) -> Result<OwnedRow, MergeError> {
        let columns: Vec<ArrayRef> = self
            .order_columns
            .iter()
            .enumerate()
            .map(|(place, &at)| -> ArrayRef {
                let kind = self.schema.field(at).data_type();
                match place {
                    0 => std::sync::Arc::new(
                        arrow::array::TimestampMicrosecondArray::from(vec![first])
                            .with_data_type(kind.clone()),
                    ),
                    _ => new_null_array(kind, 1),
                }
            })
            .collect();
        let rows = self.order.convert_columns(&columns).map_err(|source| self.failed(source))?;
        Ok(rows.row(0).owned())
    }

    /// When each row was taken in, µs: among equals the oldest comes first.
    pub(super) fn ingest_times<'b>(&self, batch: &'b RecordBatch) -> Option<&'b [i64]> {
        let column = batch.column_by_name("ingest_time")?;
        Some(column.as_primitive::<TimestampMicrosecondType>().values())
    }

    /// Identities of a batch's rows; none for a table whose rows have none.
    pub(super) fn identities(&self, batch: &RecordBatch) -> Result<Identities, MergeError> {
        let Some(uid) = self.uid else { return Ok(Identities::default()) };
        let uids = batch.column(uid).as_string::<i32>();
        let columns: Vec<ArrayRef> =
            self.content_columns.iter().map(|&at| batch.column(at).clone()).collect();
        let content = self.content.convert_columns(&columns).map_err(|source| self.failed(source))?;
        let versions =
            batch.column_by_name("parser_version").map(|column| column.as_primitive::<Int32Type>());
        Ok(Identities {
            uids: (0..batch.num_rows()).map(|row| XxHash3_128::oneshot(uids.value(row).as_bytes())).collect(),
            versions: versions.map(|versions| versions.values().to_vec()).unwrap_or_default(),
            contents: content.iter().map(|row| XxHash3_64::oneshot(row.as_ref())).collect(),
        })
    }
}
