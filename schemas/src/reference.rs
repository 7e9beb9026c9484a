//! The reference page of the tables, generated from the tables themselves.

use crate::{Reason, Table, tables};
use std::fmt::Write;

/// `docs/reference/tables.md`.
pub fn tables_markdown() -> String {
    let mut page = String::from(
        "# Tables\n\n<!-- Generated from the crate `schemas` by `./dev docs`; do not edit. -->\n\n\
         Every table is a Delta table under `lake/<table>/`, partitioned by `event_date`, zstd Parquet, sorted by time \
         inside each file. Columns marked * are never null. “Field” is the source's own name.\n",
    );
    for table in tables::ALL {
        section(&mut page, table);
    }
    page.push_str("\n## Reasons in `rejected.reason`\n\n| reason | meaning |\n|---|---|\n");
    for reason in Reason::ALL {
        let _ = writeln!(page, "| `{reason}` | {} |", reason.doc());
    }
    page
}

fn section(page: &mut String, table: &Table) {
    let _ = write!(page, "\n## `{}` (version {})\n\n{}\n\n", table.name, table.version, table.doc);
    if !table.specification.is_empty() {
        let _ = write!(page, "Source format: <{}>\n\n", table.specification);
    }
    let _ = write!(page, "Sorted by {}.", code_list(table.sort_by));
    if !table.blooms.is_empty() {
        let _ = write!(page, " Bloom filters on {}.", code_list(table.blooms));
    }
    page.push_str("\n\n| column | type | field | meaning |\n|---|---|---|---|\n");
    for column in table.columns() {
        let star = if column.nullable { "" } else { " *" };
        let field = if column.field.is_empty() { String::new() } else { format!("`{}`", column.field) };
        let _ = writeln!(
            page,
            "| `{}`{star} | {} | {field} | {} |",
            column.name,
            column.kind.sql_name(),
            column.doc
        );
    }
}

fn code_list(names: &[&str]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

/// The golden form of one table version: what must not change without a new version.
pub fn golden_json(table: &Table) -> serde_json::Value {
    serde_json::json!({
        "table": table.name,
        "version": table.version,
        "columns": table.columns().map(|column| serde_json::json!({
            "name": column.name,
            "type": format!("{:?}", column.kind).to_lowercase(),
            "nullable": column.nullable,
        })).collect::<Vec<_>>(),
        "partition_by": Table::PARTITION,
    })
}
