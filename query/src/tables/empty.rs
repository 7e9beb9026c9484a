//! A table of ours nothing has been written to yet.

use super::notices::Notices;
use crate::session::Lake;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::error::Result;
use datafusion::logical_expr::{Expr, TableType};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::empty::EmptyExec;
use logq_schemas::{Column, Kind, Table};
use std::sync::Arc;

/// A table without rows, so that saved queries and detections run from the first day on. Scanning
/// it leaves a notice.
#[derive(Debug)]
pub struct EmptyTable {
    name: &'static str,
    schema: SchemaRef,
    lake: Lake,
    notices: Notices,
}

impl EmptyTable {
    /// `table` without rows.
    pub fn new(table: &Table, lake: &Lake, notices: Notices) -> Self {
        let schema = arrow_schema(table.columns());
        EmptyTable { name: table.name, schema, lake: lake.clone(), notices }
    }
}

/// The columns as the engine sees them.
pub fn arrow_schema(columns: impl Iterator<Item = &'static Column>) -> SchemaRef {
    Arc::new(Schema::new(columns.map(arrow_field).collect::<Vec<_>>()))
}

/// One column as the engine sees it. Text is Utf8View: comparisons and `like` decide most rows on
/// the inlined prefix.
pub fn arrow_field(column: &Column) -> Field {
    let kind = match column.kind {
        Kind::Text | Kind::Json => DataType::Utf8View,
        Kind::Binary => DataType::BinaryView,
        Kind::Int => DataType::Int32,
        Kind::Long => DataType::Int64,
        Kind::Double => DataType::Float64,
        Kind::Bool => DataType::Boolean,
        Kind::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        Kind::Date => DataType::Date32,
    };
    // A file written before a column existed reads as null there, whatever the schema says now.
    Field::new(column.name, kind, true)
}

#[async_trait]
impl TableProvider for EmptyTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        _state: &dyn Session,
        projection: Option<&Vec<usize>>,
        _filters: &[Expr],
        _limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        self.notices.add(format!("table {} has no data yet in {}", self.name, self.lake));
        let schema = match projection {
            Some(columns) => Arc::new(self.schema.project(columns)?),
            None => Arc::clone(&self.schema),
        };
        Ok(Arc::new(EmptyExec::new(schema)))
    }
}
