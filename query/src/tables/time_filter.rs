//! `--since` and `--until`: a condition on the time of every table of the lake.

use super::provider::LakeTable;
use super::raw_files::RawTable;
use crate::session::TimeRange;
use arrow::datatypes::{DataType, Schema};
use datafusion::common::tree_node::Transformed;
use datafusion::common::{Column, Result};
use datafusion::config::ConfigOptions;
use datafusion::datasource::source_as_provider;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, TableScan, lit};
use datafusion::optimizer::AnalyzerRule;
use datafusion::scalar::ScalarValue;
use logq_schemas::tables;

/// Adds the condition above every scan of a table of the lake.
///
/// A rule and not a rewrite of the text or a property of the scan: it reaches tables inside views,
/// subqueries and the plans detections build, and from there on it is a condition like one the
/// analyst wrote, pushed down and pruned by as such.
#[derive(Debug)]
pub struct TimeFilter {
    range: TimeRange,
}

impl TimeFilter {
    /// The rule's name; runs that compare with the past leave it out by this.
    pub const NAME: &'static str = "time_range";

    /// The rule for one session.
    pub fn new(range: TimeRange) -> Self {
        TimeFilter { range }
    }

    fn condition(&self, column: &Column) -> Option<Expr> {
        let instant = |time: chrono::DateTime<chrono::Utc>| {
            lit(ScalarValue::TimestampMicrosecond(Some(time.timestamp_micros()), Some("UTC".into())))
        };
        let column = || Expr::Column(column.clone());
        let since = self.range.since.map(|time| column().gt_eq(instant(time)));
        let until = self.range.until.map(|time| column().lt(instant(time)));
        match (since, until) {
            (Some(since), Some(until)) => Some(since.and(until)),
            (since, until) => since.or(until),
        }
    }

    fn filtered(&self, scan: TableScan) -> Result<Transformed<LogicalPlan>> {
        let time = source_as_provider(&scan.source).ok().and_then(|provider| {
            let in_lake = provider.downcast_ref::<LakeTable>().and_then(LakeTable::time_column);
            in_lake.or_else(|| provider.downcast_ref::<RawTable>().and_then(RawTable::time_column))
        });
        let condition = time
            .map(|time| Column::new(Some(scan.table_name.clone()), time))
            .and_then(|column| self.condition(&column));
        let Some(condition) = condition else {
            return Ok(Transformed::no(LogicalPlan::TableScan(scan)));
        };
        // A scan that was built with a projection may lack the time column: read all, filter, then
        // project; the optimizer narrows the scan again.
        let wanted: Option<Vec<Expr>> = scan
            .projection
            .is_some()
            .then(|| scan.projected_schema.columns().into_iter().map(Expr::Column).collect());
        let fetch = scan.fetch;
        let whole =
            LogicalPlanBuilder::scan_with_filters(scan.table_name.clone(), scan.source, None, scan.filters)?
                .filter(condition)?;
        let whole = match wanted {
            Some(columns) => whole.project(columns)?,
            None => whole,
        };
        let whole = if fetch.is_some() { whole.limit(0, fetch)? } else { whole };
        whole.build().map(Transformed::yes)
    }
}

impl AnalyzerRule for TimeFilter {
    fn analyze(&self, plan: LogicalPlan, _config: &ConfigOptions) -> Result<LogicalPlan> {
        if self.range.is_unbounded() {
            return Ok(plan);
        }
        let filtered = plan.transform_up_with_subqueries(|node| match node {
            LogicalPlan::TableScan(scan) => self.filtered(scan),
            other => Ok(Transformed::no(other)),
        })?;
        Ok(filtered.data)
    }

    fn name(&self) -> &str {
        Self::NAME
    }
}

/// The column `--since` and `--until` apply to: the one `event_date` is the UTC date of.
pub fn time_column(table: &str, schema: &Schema) -> Option<&'static str> {
    let name = match tables::by_name(table) {
        Some(table) if !table.is_event_table() => match table.name {
            "findings" => "last_seen",
            "cloudtrail_digest" => "verified_at",
            "replayed" => "replayed_at",
            _ => "ingest_time",
        },
        _ => "event_time",
    };
    let found = schema.field_with_name(name).ok()?;
    matches!(found.data_type(), DataType::Timestamp(_, _)).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::super::empty::arrow_schema;
    use super::*;

    #[test]
    fn every_table_of_ours_has_the_time_its_partition_is_made_from() {
        for (table, column) in [
            ("cloudtrail", "event_time"),
            ("vpc_flow", "event_time"),
            ("app_log", "event_time"),
            ("ingest", "ingest_time"),
            ("rejected", "ingest_time"),
            ("findings", "last_seen"),
            ("cloudtrail_digest", "verified_at"),
            ("replayed", "replayed_at"),
        ] {
            let schema = arrow_schema(tables::by_name(table).unwrap().columns());
            assert_eq!(time_column(table, &schema), Some(column));
            let date = tables::by_name(table).unwrap().column("event_date").unwrap();
            assert!(date.doc.contains(column), "{table}: {}", date.doc);
        }
        assert_eq!(tables::ALL.len(), 8, "a new table needs a row above");
        assert_eq!(time_column("cloudtrail", &Schema::empty()), None);
    }
}
