//! `docs/reference/logq.md` is what the program says of itself. `UPDATE_DOCS=1` rewrites it.

use logq_query::cli::reference;
use std::path::Path;

#[test]
fn the_reference_page_is_fresh() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/reference/logq.md");
    let expected = reference::page();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, &expected).unwrap();
        return;
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(found, expected, "docs/reference/logq.md is stale: run ./dev docs and review the diff");
}
