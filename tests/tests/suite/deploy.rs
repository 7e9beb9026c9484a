//! The configurations people start from are accepted by the programs that read them.

use logq_tests::harness::{Program, Programs};
use std::path::Path;

fn validate(program: Program, file: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/config").join(file);
    let output = Programs::locate()
        .unwrap()
        .command(program)
        .args(["validate", "--config"])
        .arg(&path)
        .output()
        .unwrap();
    let text =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{file}: {text}");
    text
}

#[test]
fn the_collector_configuration_is_valid() {
    assert!(validate(Program::Collector, "collector-eks.toml").contains("acme-security-logs"));
}

#[test]
fn the_processor_configuration_shows_the_defaults() {
    let shown = validate(Program::Processor, "processor.toml");
    assert!(shown.contains("commit_interval: 30s"), "{shown}");
    let empty = tempfile::tempdir().unwrap();
    let path = empty.path().join("empty.toml");
    std::fs::write(&path, "").unwrap();
    let defaults = validate(Program::Processor, path.to_str().unwrap());
    assert_eq!(shown, defaults, "deploy/config/processor.toml says it shows the defaults");
}
