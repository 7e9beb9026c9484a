//! The reference pages are generated; `UPDATE_DOCS=1` writes them anew.

use std::path::Path;

fn check(name: &str, page: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/reference").join(name);
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, page).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(found == page, "docs/reference/{name} is stale; run ./dev docs");
}

#[test]
fn the_configuration_page_is_fresh() {
    check("collector-config.md", &logq_collector::config::options::reference());
}

#[test]
fn the_metrics_page_is_fresh() {
    check("collector-metrics.md", &logq_collector::metrics::reference());
}
