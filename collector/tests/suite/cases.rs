//! Tests of a configuration, run by the program.

use std::path::Path;
use std::process::{Command, Output};

fn test(config: &Path, more: &[&Path]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_logq-collector"));
    command.arg("test").arg("--config").arg(config);
    for file in more {
        command.arg("--tests").arg(file);
    }
    command.output().unwrap()
}

const CONFIG: &str = r#"
data_dir = "/var/lib/logq-collector"
node = "n1"
[sources.pods]
type = "kubernetes_logs"
[transforms.parsed]
type = "parse"
inputs = ["pods"]
format = "json"
[transforms.errors]
type = "filter"
inputs = ["parsed"]
condition = { severity_min = "error", namespaces = ["shop*"] }
[sinks.all]
type = "blackhole"
inputs = ["parsed"]
[sinks.page]
type = "blackhole"
inputs = ["errors"]
"#;

fn file(dir: &Path, name: &str, text: &str) -> std::path::PathBuf {
    let path = dir.join(name);
    std::fs::write(&path, text).unwrap();
    path
}

#[test]
fn tests_pass_fail_and_are_refused_with_codes_of_their_own() {
    let dir = tempfile::tempdir().unwrap();
    let config = file(dir.path(), "c.toml", CONFIG);
    let good = r#"
[[tests]]
name = "errors page, the rest does not"
inputs = [
  { insert_at = "pods", type = "log", log_fields = { level = "error", cost = "${5}" }, namespace = "shop-a" },
  { insert_at = "pods", value = '{"level":"info"}', namespace = "shop-a" },
]
[[tests.outputs]]
extract_from = "page"
count = 1
every = true
conditions = [
  { field = "severity", equals = "error" },
  { field = "kubernetes.namespace", matches = "^shop" },
  { field = "message", contains = "$${5}" },
  { field = "trace_id", absent = true },
]
[[tests.outputs]]
extract_from = "all"
count = 2
[[tests]]
name = "other namespaces page nobody"
inputs = [{ insert_at = "parsed", value = '{"level":"error"}', namespace = "dev" }]
no_outputs_from = ["errors", "page"]
"#;
    let passed = test(&config, &[&file(dir.path(), "good.toml", good)]);
    let text = String::from_utf8(passed.stdout).unwrap();
    assert_eq!(passed.status.code(), Some(0), "{text}");
    assert!(text.ends_with("2 passed, 0 failed\n"), "{text}");

    let wrong = good.replace("equals = \"error\"", "equals = \"fatal\"").replace("\"dev\"", "\"shop\"");
    let failed = test(&config, &[&file(dir.path(), "wrong.toml", &wrong)]);
    let text = String::from_utf8(failed.stdout).unwrap();
    assert_eq!(failed.status.code(), Some(5), "{text}");
    for part in [
        "expected: \"fatal\"",
        "got:      \"error\"",
        "page: expected no records, got 1",
        "0 passed, 2 failed",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }

    let mistakes = [
        ("extract_from = \"page\"", "extract_from = \"pager\"", "tests[0].outputs[0].extract_from"),
        ("insert_at = \"parsed\"", "insert_at = \"page\"", "tests[1].inputs[0].insert_at"),
        ("\"^shop\"", "\"(\"", "tests[0].outputs[0].conditions[1]"),
    ];
    for (from, to, key) in mistakes {
        assert!(good.contains(from), "{from}");
        let refused = test(&config, &[&file(dir.path(), "bad.toml", &good.replace(from, to))]);
        let text = String::from_utf8(refused.stderr).unwrap();
        assert_eq!(refused.status.code(), Some(3), "{text}");
        assert!(text.contains(key), "{key}: {text}");
    }
    assert_eq!(test(&config, &[]).status.code(), Some(3), "no tests are no success");
}

/// Conditions in VRL, in the file of the configuration itself.
#[test]
#[cfg(feature = "remap")]
fn a_condition_may_be_a_program() {
    let dir = tempfile::tempdir().unwrap();
    for (source, code) in
        [(".kubernetes.pod == \"api\"", 0), (".kubernetes.pod == \"web\"", 5), (".pod ==", 3)]
    {
        let tests = format!(
            "[[tests]]\nname = \"pod\"\ninputs = [{{ insert_at = \"pods\", value = \"x\", pod = \"api\" }}]\n\
             outputs = [{{ extract_from = \"all\", conditions = [{{ type = \"vrl\", source = '{source}' }}] }}]\n"
        );
        let output = test(&file(dir.path(), "c.toml", &format!("{CONFIG}{tests}")), &[]);
        let text = String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{source}: {text}");
    }
}

/// The tests of the sample configurations.
#[test]
fn the_sample_configurations_pass_their_tests() {
    for name in ["collector-eks.toml", "sidecar.toml"] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/config").join(name);
        let output = test(&path, &[]);
        assert!(output.status.success(), "{name}: {output:?}");
    }
}

#[test]
fn variables_are_replaced_in_tests_but_not_in_lines() {
    let dir = tempfile::tempdir().unwrap();
    let tests = "[[tests]]\nname = \"variables\"\n\
                 inputs = [{ insert_at = \"pods\", value = 'a ${NOT_SET}', pod = '${POD:-api}' }]\n\
                 [[tests.outputs]]\nextract_from = '${SINK:-all}'\nconditions = [\n\
                 { field = \"kubernetes.pod\", equals = '${POD:-api}' },\n\
                 { field = \"message\", equals = 'a $${NOT_SET}' },\n]\n";
    let output = test(&file(dir.path(), "c.toml", &format!("{CONFIG}{tests}")), &[]);
    assert!(output.status.success(), "{output:?}");
}
