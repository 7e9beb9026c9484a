//! Configurations of Fluent Bit, translated by the program.

use std::process::{Command, Output};

/// Sources and sinks that are built beside this: delete what has arrived.
const PENDING: [&str; 5] = ["journald", "fluent", "opentelemetry", "otlp", "http"];

const CLASSIC: &str = r#"
# as on EKS
@SET prefix=/aws/eks
[SERVICE]
    Grace 30
[INPUT]
    Name tail
    Tag  application.*
    Path /var/log/containers/*.log
    Exclude_Path /var/log/containers/fluent-bit*, /var/log/containers/kube-proxy*
    multiline.parser docker, cri, java
    Mem_Buf_Limit 50MB
[INPUT]
    Name tail
    Tag  host.messages
    Path /var/log/messages
[FILTER]
    Name  kubernetes
    Match application.*
    Merge_Log On
[FILTER]
    Name grep
    Match application.*
    Exclude log healthz$
[FILTER]
    Name record_modifier
    Match host.*
    Record zone a "b"
[FILTER]
    Name lua
    Match *
[OUTPUT]
    Name cloudwatch_logs
    Match application.*
    region ${AWS_REGION}
    log_group_name ${prefix}/fallback
    log_group_template /k8s/$kubernetes['namespace_name']
    log_key log
    auto_create_group true
    storage.total_limit_size 64M
[OUTPUT]
    Name s3
    Match host.*
    bucket acme-logs
    s3_key_format /fluent/host/%Y/$UUID
[OUTPUT]
    Name es
    Match *
"#;

const YAML: &str = r"
service:
  flush: 1
pipeline:
  inputs:
    - name: tail
      tag: kube.*
      path: /var/log/containers/*.log
      multiline.parser: docker, cri
    - name: cpu
  filters:
    - name: kubernetes
      match: kube.*
  outputs:
    - name: es
      match: kube.*
";

fn import(name: &str, text: &str) -> (Output, String) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(name);
    std::fs::write(&path, text).unwrap();
    let program = env!("CARGO_BIN_EXE_logq-collector");
    let output = Command::new(program).args(["import", "fluent-bit"]).arg(&path).output().unwrap();
    let said = String::from_utf8(output.stderr.clone()).unwrap();
    let pending = PENDING.iter().any(|kind| said.contains(&format!("`{kind}` is no ")));
    assert!(pending || output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stdout));
    (output, said)
}

#[test]
fn a_classic_configuration_becomes_a_valid_one() {
    let (output, said) = import("fluent-bit.conf", CLASSIC);
    let table: toml::Table = String::from_utf8(output.stdout).unwrap().parse().unwrap();
    let (sources, sinks) = (&table["sources"], &table["sinks"]);
    assert_eq!(sources["pods"]["type"].as_str(), Some("kubernetes_logs"));
    assert_eq!(sources["pods"]["multiline"]["mode"][0].as_str(), Some("java"));
    assert_eq!(sources["tail_2"]["include"][0].as_str(), Some("/var/log/messages"));
    let logs = &sinks["aws_cloudwatch_logs_1"];
    assert_eq!(logs["group_name"].as_str(), Some("/k8s/{{ namespace }}"));
    assert_eq!(logs["buffer"]["when_full"].as_str(), Some("drop_oldest"));
    assert_eq!(sinks["aws_s3_2"]["key_prefix"].as_str(), Some("fluent/host/"));
    // The sink takes the end of the chain: exclusion, parse, grep.
    let last = logs["inputs"][0].as_str().unwrap();
    assert_eq!(table["transforms"][last]["condition"]["matches"][0].as_str(), Some("healthz$$"));
    for part in [".conf:12: mem_buf_limit", ".conf:29: filter lua", ".conf:46: output es", "is valid"] {
        assert!(said.contains(part), "{part}: {said}");
    }
}

#[test]
fn a_yaml_configuration_without_translatable_output_holds_records_back() {
    let (output, said) = import("fluent-bit.yaml", YAML);
    let table: toml::Table = String::from_utf8(output.stdout).unwrap().parse().unwrap();
    assert_eq!(table["sinks"]["landing"]["bucket"].as_str(), Some("${LANDING_BUCKET}"));
    for part in [".yaml:10: input cpu", ".yaml:15: output es", "sinks: no output has a counterpart"] {
        assert!(said.contains(part), "{part}: {said}");
    }
}
