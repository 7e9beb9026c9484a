//! Whether a scan filters rows while it decodes (late materialisation) or afterwards.
//!
//! Filtering while decoding reads the columns of the filters first and the others only where rows
//! are left. It saves the decoding, and over a bucket the fetching, of everything else; it costs
//! bookkeeping for every run of rows kept, which a filter over few, cheap columns does not earn
//! back. Published measurements of this engine on one benchmark: 9 to 21 times faster on `select *
//! … where … order by … limit 10`, 5 to 55 % slower on 18 of 43 other queries, nearly all of which
//! read a handful of numeric columns. So it is decided per scan:
//!
//! * never when nothing but the filters' own columns is read: there is nothing to save;
//! * when a filter looks a value up in a column with a bloom filter by equality: few rows are left;
//! * when the columns besides the filters' are many or heavy: then even a filter that keeps a tenth
//!   saves most of the work. A scan without a filter counts too: a dynamic filter may arrive from
//!   `order by … limit`.

use arrow::datatypes::{DataType, Schema};
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::{Expr, Operator};
use logq_schemas::{Kind, tables};
use std::collections::HashSet;

/// Columns besides the filters' from which on a scan counts as wide. The cheap columns of a flow
/// record (addresses, ports, bytes, packets, times) stay below.
const WIDE_COLUMNS: usize = 8;

/// Columns of long text besides the filters' from which on a scan counts as heavy.
const HEAVY_COLUMNS: usize = 1;

/// Decides for a scan of `columns` (indices into `schema`) of `table` under `filters`.
pub fn worth_it(table: &str, schema: &Schema, columns: &[usize], filters: &[Expr]) -> bool {
    let filtered: HashSet<&str> =
        filters.iter().flat_map(|filter| filter.column_refs()).map(|column| column.name.as_str()).collect();
    let others: Vec<&str> = columns
        .iter()
        .map(|index| schema.field(*index).name().as_str())
        .filter(|name| !filtered.contains(name))
        .collect();
    if others.is_empty() {
        return false;
    }
    let heavy = others.iter().filter(|name| is_heavy(table, schema, name)).count();
    others.len() >= WIDE_COLUMNS
        || heavy >= HEAVY_COLUMNS
        || filters.iter().any(|filter| looks_up(table, filter))
}

/// JSON text, log bodies, raw bytes: far wider than an identifier.
fn is_heavy(table: &str, schema: &Schema, name: &str) -> bool {
    let known = tables::by_name(table).and_then(|table| table.column(name));
    match known {
        Some(column) => {
            matches!(column.kind, Kind::Json | Kind::Binary) || matches!(name, "body" | "error_message")
        }
        None => schema
            .field_with_name(name)
            .is_ok_and(|field| matches!(field.data_type(), DataType::BinaryView | DataType::Binary)),
    }
}

/// Whether `filter` holds, in a conjunction, an equality on a column that earned a bloom filter.
fn looks_up(table: &str, filter: &Expr) -> bool {
    let Some(table) = tables::by_name(table) else { return false };
    let bloomed =
        |expr: &Expr| matches!(expr, Expr::Column(column) if table.blooms.contains(&column.name.as_str()));
    let mut found = false;
    let _ = filter.apply(|expr| {
        match expr {
            Expr::BinaryExpr(binary) if binary.op == Operator::And => return Ok(TreeNodeRecursion::Continue),
            Expr::BinaryExpr(binary) if binary.op == Operator::Eq => {
                found |= bloomed(&binary.left) || bloomed(&binary.right);
            }
            Expr::InList(list) if !list.negated => found |= bloomed(&list.expr),
            _ => {}
        }
        Ok(TreeNodeRecursion::Jump)
    });
    found
}

#[cfg(test)]
mod tests {
    use super::super::empty::arrow_schema;
    use super::*;
    use datafusion::logical_expr::{col, lit};

    fn decide(table: &str, columns: &[&str], filters: &[Expr]) -> bool {
        let schema = arrow_schema(tables::by_name(table).unwrap().columns());
        let columns: Vec<usize> = columns.iter().map(|name| schema.index_of(name).unwrap()).collect();
        worth_it(table, &schema, &columns, filters)
    }

    #[test]
    fn wide_heavy_or_selective_scans_filter_early_and_narrow_ones_do_not() {
        let schema = arrow_schema(tables::by_name("vpc_flow").unwrap().columns());
        let all: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
        assert!(decide("vpc_flow", &all, &[col("bytes").gt(lit(1_i64))]));
        assert!(decide("vpc_flow", &all, &[]), "a top-k filter may arrive");
        assert!(!decide("vpc_flow", &["src_ip", "bytes"], &[col("dst_port").eq(lit(22))]));
        assert!(decide("vpc_flow", &["src_ip", "bytes"], &[col("dst_ip").eq(lit("10.0.0.1"))]));
        assert!(decide(
            "vpc_flow",
            &["bytes"],
            &[col("dst_port").eq(lit(22)).and(col("src_ip").in_list(vec![lit("10.0.0.1")], false))]
        ));
        assert!(!decide(
            "vpc_flow",
            &["bytes"],
            &[col("src_ip").eq(lit("10.0.0.1")).or(col("dst_port").eq(lit(22)))]
        ));
        assert!(!decide("vpc_flow", &["dst_ip"], &[col("dst_ip").eq(lit("10.0.0.1"))]), "nothing to save");
        assert!(decide("cloudtrail", &["request_parameters"], &[col("event_name").eq(lit("PutObject"))]));
        assert!(!decide("cloudtrail", &["event_name", "region"], &[]));
    }
}
