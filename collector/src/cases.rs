//! Tests of a configuration: records put in at one place, and what must come out at another.
//!
//! ```toml
//! [[tests]]
//! name = "keys never leave the node"
//! inputs = [{ insert_at = "pods", value = "key AKIA...", namespace = "shop" }]
//! outputs = [{ extract_from = "landing", conditions = [{ field = "message", contains = "[redacted" }] }]
//! no_outputs_from = ["errors"]
//! ```
//!
//! A test runs the transforms of the configuration as they would run on a node. It starts nothing,
//! writes nothing and asks nobody: sources do not read, sinks do not send, lines are not joined.
//! The shape follows Vector's unit tests. The module promises that a test with a mistake (a name
//! that does not exist, an expression that does not compile) is an error of the configuration and
//! never a test that passes.

mod condition;
mod run;

pub use condition::Condition;
pub use run::{Failure, run};

use crate::config::component::{Problem, Row, problem};
use crate::config::{self, Config};
use serde::Deserialize;
use std::collections::BTreeMap;
use toml::{Table, Value};

/// One test.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// What it is about.
    pub name: String,
    /// Records put in, in order.
    pub inputs: Vec<Input>,
    /// What must come out.
    #[serde(default)]
    pub outputs: Vec<Output>,
    /// Transforms and sinks that must get nothing out.
    #[serde(default)]
    pub no_outputs_from: Vec<String>,
}

/// What kind of record is put in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InputKind {
    /// `value` is the line.
    #[default]
    Raw,
    /// `log_fields`, written as JSON, are the line.
    Log,
}

/// A record put in, with what is known about where it comes from.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Input {
    /// Source it comes from, or transform it is put into.
    pub insert_at: String,
    /// What kind of record.
    #[serde(rename = "type")]
    pub kind: InputKind,
    /// The line, with `type = "raw"`.
    pub value: Option<String>,
    /// Fields, with `type = "log"`.
    pub log_fields: Option<Table>,
    /// RFC 3339 time of the record.
    pub time: Option<String>,
    /// Kubernetes namespace.
    pub namespace: String,
    /// Pod name.
    pub pod: String,
    /// Container name.
    pub container: String,
    /// `stdout` or `stderr`.
    pub stdio: String,
    /// Pod labels.
    pub labels: BTreeMap<String, String>,
    /// Container image.
    pub image: String,
    /// Workload as `Kind/name`.
    pub workload: String,
    /// Name of the file.
    pub file: String,
    /// Host it comes from.
    pub host: String,
    /// Service it comes from.
    pub service: String,
    /// Format the pod asks for in its annotation.
    pub parser: Option<String>,
}

/// What must come out at one place.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Output {
    /// Transform or sink.
    pub extract_from: String,
    /// Number of records.
    pub count: Option<usize>,
    /// At least one record must meet all of them.
    #[serde(default)]
    pub conditions: Vec<Condition>,
    /// Every record must meet all conditions.
    #[serde(default)]
    pub every: bool,
}

/// The lines of the reference page.
#[rustfmt::skip]
pub fn rows() -> Vec<Row> {
    use crate::config::options::{none, plain, required, text};
    vec![
        ("name", required(), "What it is about"),
        ("inputs[].insert_at", required(), "Source the record comes from, or transform it is put into"),
        ("inputs[].type", text("raw"), "`raw`: `value` is the line. `log`: `log_fields`, written as JSON, are"),
        ("inputs[].value", none(), "The line"),
        ("inputs[].log_fields", none(), "Table of fields of the line"),
        ("inputs[].time", none(), "RFC 3339 time of the record"),
        ("inputs[].namespace", none(), "Namespace it comes from; also `pod`, `container`, `stdio`, `image`, `workload`, `file`, `host`, `service`, and `labels`, a table"),
        ("inputs[].parser", none(), "Format the pod asks for in its annotation"),
        ("outputs[].extract_from", required(), "Transform or sink what comes out is looked at"),
        ("outputs[].count", none(), "Number of records"),
        ("outputs[].conditions[].field", none(), "Path of a field, such as `message`, `attributes.user` or `kubernetes.namespace`, with one of `equals`, `contains`, `matches` (an expression) or `absent = true`"),
        ("outputs[].conditions[].source", none(), "Instead of a field: a VRL program; true, or `assert`, means that it holds"),
        ("outputs[].every", plain("`false`"), "Every record must meet all conditions, not at least one"),
        ("no_outputs_from", none(), "Transforms and sinks that must get nothing out"),
    ]
}

/// Texts of tests in which `${NAME}` is replaced: all but the lines put in, which are data.
fn expand(tests: &mut Value, variable: &dyn Fn(&str) -> Option<String>) -> Result<(), Problem> {
    for (number, test) in tests.as_array_mut().into_iter().flatten().enumerate() {
        for (name, value) in test.as_table_mut().into_iter().flatten() {
            let key = format!("tests[{number}].{name}");
            if name != "inputs" {
                config::expand(&key, value, variable)?;
                continue;
            }
            for input in value.as_array_mut().into_iter().flatten() {
                let fields = input.as_table_mut().into_iter().flatten();
                for (field, value) in fields.filter(|(field, _)| *field != "value" && *field != "log_fields")
                {
                    config::expand(&format!("{key}.{field}"), value, variable)?;
                }
            }
        }
    }
    Ok(())
}

/// Takes the tests out of a configuration; `variable` looks up what `${NAME}` stands for.
///
/// # Errors
/// When they are not tests.
pub fn read(table: &mut Table, variable: &dyn Fn(&str) -> Option<String>) -> Result<Vec<Case>, Problem> {
    let mut tests = table.remove("tests");
    tests.as_mut().map_or(Ok(()), |tests| expand(tests, variable))?;
    match tests {
        None => Ok(Vec::new()),
        Some(Value::Array(tests)) => {
            let read = |(number, value): (usize, Value)| match value {
                Value::Table(table) => crate::config::component::read(&format!("tests[{number}]"), table),
                _ => Err(problem("tests", "must be tables: [[tests]]")),
            };
            tests.into_iter().enumerate().map(read).collect()
        }
        Some(_) => Err(problem("tests", "must be tables: [[tests]]")),
    }
}

/// Checks tests against the configuration they are about.
///
/// # Errors
/// Names the key that can't work.
pub fn check(cases: &[Case], config: &Config) -> Result<(), Problem> {
    for (number, case) in cases.iter().enumerate() {
        let key = format!("tests[{number}]");
        if case.inputs.is_empty() {
            return Err(problem(format!("{key}.inputs"), "must put in at least one record"));
        }
        if case.outputs.is_empty() && case.no_outputs_from.is_empty() {
            return Err(problem(key, "checks nothing; give outputs or no_outputs_from"));
        }
        for (at, input) in case.inputs.iter().enumerate() {
            input.check(&format!("{key}.inputs[{at}]"), config)?;
        }
        for (at, output) in case.outputs.iter().enumerate() {
            output.check(&format!("{key}.outputs[{at}]"), config)?;
        }
        for name in &case.no_outputs_from {
            exit(&format!("{key}.no_outputs_from"), name, config)?;
        }
    }
    Ok(())
}

impl Input {
    fn check(&self, key: &str, config: &Config) -> Result<(), Problem> {
        let at = &self.insert_at;
        if !config.sources.contains_key(at) && !config.transforms.contains_key(at) {
            return Err(problem(format!("{key}.insert_at"), format!("`{at}` is no source or transform")));
        }
        match (self.kind, &self.value, &self.log_fields) {
            (InputKind::Raw, Some(_), None) | (InputKind::Log, None, Some(_)) => {}
            (InputKind::Raw, ..) => {
                return Err(problem(key, "type = \"raw\" needs value, and no log_fields"));
            }
            (InputKind::Log, ..) => {
                return Err(problem(key, "type = \"log\" needs log_fields, and no value"));
            }
        }
        match &self.time {
            Some(time) if chrono::DateTime::parse_from_rfc3339(time).is_err() => {
                let message = format!("`{time}` is no time such as {}", run::TIME);
                Err(problem(format!("{key}.time"), message))
            }
            _ => Ok(()),
        }
    }
}

impl Output {
    fn check(&self, key: &str, config: &Config) -> Result<(), Problem> {
        exit(&format!("{key}.extract_from"), &self.extract_from, config)?;
        if self.count.is_none() && self.conditions.is_empty() {
            return Err(problem(key, "checks nothing; give count or conditions"));
        }
        for (at, condition) in self.conditions.iter().enumerate() {
            condition.check().map_err(|message| problem(format!("{key}.conditions[{at}]"), message))?;
        }
        Ok(())
    }
}

fn exit(key: &str, name: &str, config: &Config) -> Result<(), Problem> {
    match (config.transforms.contains_key(name), config.sinks.contains_key(name)) {
        (true, false) | (false, true) => Ok(()),
        (true, true) => Err(problem(key, format!("`{name}` is both a transform and a sink; rename one"))),
        (false, false) => Err(problem(key, format!("`{name}` is no transform or sink"))),
    }
}
