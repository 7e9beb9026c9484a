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
fn the_sidecar_configuration_and_the_one_in_the_guide_are_valid() {
    assert!(validate(Program::Collector, "sidecar.toml").contains("fargate/"));
    let guide = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/collector.md");
    let guide = std::fs::read_to_string(guide).unwrap();
    let block = guide.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("guide.toml");
    std::fs::write(&path, block.replace("${NODE_NAME}", "n1")).unwrap();
    assert!(validate(Program::Collector, path.to_str().unwrap()).contains("aws_cloudwatch_logs"));
}

#[test]
fn the_processor_configuration_shows_the_defaults() {
    let shown = validate(Program::Processor, "processor.toml");
    assert!(shown.contains("commit_interval = \"30s\""), "{shown}");
    let empty = tempfile::tempdir().unwrap();
    let path = empty.path().join("empty.toml");
    std::fs::write(&path, "").unwrap();
    let defaults = validate(Program::Processor, path.to_str().unwrap());
    assert_eq!(shown, defaults, "deploy/config/processor.toml says it shows the defaults");
}
