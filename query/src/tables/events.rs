//! The view `events`: the core columns of every event table of the lake.

use super::empty::arrow_field;
use super::notices::Notices;
use super::provider::LakeTable;
use crate::session::{QueryError, failure};
use arrow::datatypes::Schema;
use datafusion::catalog::TableProvider;
use datafusion::catalog::empty::EmptyTable as NoRows;
use datafusion::datasource::{ViewTable, provider_as_source};
use datafusion::error::Result;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, cast, col, lit};
use datafusion::scalar::ScalarValue;
use logq_schemas::tables;
use std::sync::Arc;

/// Name of the view in SQL.
pub const NAME: &str = "events";

/// The view over `tables`; without any, an empty table and a notice.
///
/// # Errors
/// [`QueryError`] when a table's core columns have other types than ours.
pub fn view(found: &[Arc<LakeTable>], notices: &Notices) -> Result<Arc<dyn TableProvider>, QueryError> {
    let plan = found
        .iter()
        .map(core_columns)
        .reduce(|all, next| LogicalPlanBuilder::from(all?).union(next?).and_then(LogicalPlanBuilder::build))
        .transpose()
        .map_err(failure::classify)?;
    match plan {
        Some(plan) => Ok(Arc::new(ViewTable::new(plan, None))),
        None => {
            notices.add("no event table has data yet".to_owned());
            let fields: Vec<_> = tables::CORE.iter().map(arrow_field).collect();
            Ok(Arc::new(NoRows::new(Arc::new(Schema::new(fields)))))
        }
    }
}

/// The core columns of one table, null where an older table lacks one.
fn core_columns(table: &Arc<LakeTable>) -> Result<LogicalPlan> {
    let schema = table.schema();
    let columns: Vec<Expr> = tables::CORE
        .iter()
        .map(|column| {
            let field = arrow_field(column);
            match schema.field_with_name(column.name) {
                Ok(found) if found.data_type() == field.data_type() => {
                    Ok(col(column.name).alias(column.name))
                }
                Ok(_) => Ok(cast(col(column.name), field.data_type().clone()).alias(column.name)),
                Err(_) => ScalarValue::try_from(field.data_type()).map(|null| lit(null).alias(column.name)),
            }
        })
        .collect::<Result<_>>()?;
    let source = provider_as_source(Arc::clone(table) as Arc<dyn TableProvider>);
    LogicalPlanBuilder::scan(table.name(), source, None)?.project(columns)?.build()
}
