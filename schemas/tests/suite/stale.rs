//! The reference page and the golden schemas. `UPDATE_DOCS=1` rewrites them.

use logq_schemas::{reference, tables};
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn check(path: &Path, expected: &str) {
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(path, expected).expect("writable checkout");
        return;
    }
    let found = std::fs::read_to_string(path).unwrap_or_default();
    assert_eq!(found, expected, "{} is stale: run ./dev docs and review the diff", path.display());
}

#[test]
fn the_tables_page_is_fresh() {
    check(&root().join("docs/reference/tables.md"), &reference::tables_markdown());
}

/// A golden file is written once per version and never rewritten: a changed column needs a new version.
#[test]
fn the_golden_schema_of_each_version_is_fresh() {
    for table in tables::ALL {
        let path = root().join(format!("schemas/golden/{}.v{}.json", table.name, table.version));
        let expected = format!(
            "{}\n",
            serde_json::to_string_pretty(&reference::golden_json(table)).expect("plain JSON")
        );
        if !path.exists() && std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::write(&path, &expected).expect("writable checkout");
        }
        let found = std::fs::read_to_string(&path).unwrap_or_default();
        assert_eq!(
            found, expected,
            "{} changed without a new version: raise `version` in its table and run ./dev docs",
            table.name
        );
    }
}
