//! Transform `remap`: a program in the Vector Remap Language (VRL, <https://vrl.dev>) over each
//! record.
//!
//! ```text
//! .message          the body                           read, write
//! .severity         severity as written                read, write
//! .severity_number  1 to 24                            read, write
//! .trace_id .span_id                                   read, write
//! .attributes       an object                          read, write
//! .timestamp        the record's time                  read
//! .stdio .source .host .service                        read
//! .kubernetes       namespace, pod, pod_uid, container, labels, image, workload   read
//! ```
//!
//! `.message` may become an object; it is then written as JSON. `del(.)` and `abort` drop the
//! record. Where it says read, what a program writes is not kept.

use super::{Counts, Transform, TransformConfig};
use crate::batch::{Batch, Encoding, Record};
use crate::config::component::{Problem, Row, Settings, problem};
use crate::config::options;
use crate::extra::Extra;
use logq_schemas::landing::Stream;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use vrl::compiler::runtime::{Runtime, Terminate};
use vrl::compiler::{Program, TargetValue, TimeZone};
use vrl::value::{KeyString, ObjectMap, Secrets, Value};

/// Settings of the transform.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RemapSettings {
    /// The program.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// A file that holds the program.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<PathBuf>,
    /// Records on which the program fails are dropped instead of passing as they are.
    pub drop_on_error: bool,
    /// Records on which the program aborts pass as they are instead of being dropped.
    pub keep_on_abort: bool,
}

impl RemapSettings {
    fn program(&self) -> Result<Program, String> {
        let source = match (&self.source, &self.file) {
            (Some(source), None) => source.clone(),
            (None, Some(path)) => std::fs::read_to_string(path)
                .map_err(|error| format!("{} can't be read: {error}", path.display()))?,
            _ => return Err("needs either source or file".to_owned()),
        };
        compile(&source)
    }
}

/// Compiles a program; the error shows where in the program it is wrong.
///
/// # Errors
/// With the compiler's diagnostics.
pub fn compile(source: &str) -> Result<Program, String> {
    match vrl::compiler::compile(source, &vrl::stdlib::all()) {
        Ok(result) => Ok(result.program),
        Err(diagnostics) => {
            let text = vrl::diagnostic::Formatter::new(source, diagnostics).to_string();
            Err(format!("the program does not compile:\n{}", text.trim_end()))
        }
    }
}

impl Settings for RemapSettings {
    const KIND: &'static str = "remap";
    const ABOUT: &'static str = "A program in the [Vector Remap Language](https://vrl.dev) over each record. It reads and writes `.message`, `.severity`, `.severity_number`, `.trace_id`, `.span_id` and `.attributes`, and reads `.timestamp`, `.stdio`, `.source`, `.host`, `.service` and `.kubernetes` (namespace, pod, pod_uid, container, labels, image, workload). An object in `.message` is written as JSON; `abort` drops the record.";

    #[rustfmt::skip]
    fn options() -> Vec<Row> {
        use options::{none, plain};
        vec![
            ("source", none(), "The program"),
            ("file", none(), "A file that holds the program, instead of `source`"),
            ("drop_on_error", plain("`false`"), "Records on which the program fails are dropped instead of passing as they are; counted either way"),
            ("keep_on_abort", plain("`false`"), "Records on which the program aborts pass as they are instead of being dropped"),
        ]
    }

    fn check(&self, key: &str) -> Result<(), Problem> {
        let key = format!("{key}.{}", if self.file.is_some() { "file" } else { "source" });
        self.program().map(drop).map_err(|message| problem(key, message))
    }
}

impl TransformConfig for RemapSettings {
    fn build(&self, _name: &str) -> Result<Box<dyn Transform>, String> {
        let program = self.program()?;
        Ok(Box::new(Remap { program, settings: self.clone() }))
    }
}

#[derive(Debug)]
struct Remap {
    program: Program,
    settings: RemapSettings,
}

impl Transform for Remap {
    fn apply(&mut self, batch: &mut Batch, records: &mut Vec<Record>, counts: &mut Counts) {
        let mut runtime = Runtime::default();
        let streams: Vec<Value> = batch.streams.iter().map(|stream| about(&stream.about)).collect();
        let mut kept = Vec::with_capacity(records.len());
        for mut record in records.drain(..) {
            let before = event(batch, &record, &streams[record.stream as usize]);
            let mut target = TargetValue {
                value: before,
                metadata: Value::Object(ObjectMap::new()),
                secrets: Secrets::default(),
            };
            let result = runtime.resolve(&mut target, &self.program, &TimeZone::default());
            runtime.clear();
            match result {
                Ok(_) => match target.value {
                    Value::Object(fields) => {
                        counts.changed += u64::from(store(batch, &mut record, fields));
                        kept.push(record);
                    }
                    _ => counts.drop("deleted", 1),
                },
                Err(Terminate::Abort(_)) if !self.settings.keep_on_abort => counts.drop("aborted", 1),
                Err(Terminate::Abort(_)) => kept.push(record),
                Err(_) => {
                    counts.errors += 1;
                    if self.settings.drop_on_error {
                        counts.drop("failed", 1);
                    } else {
                        kept.push(record);
                    }
                }
            }
        }
        *records = kept;
    }
}

fn text(bytes: &[u8]) -> Value {
    Value::Bytes(bytes::Bytes::copy_from_slice(bytes))
}

fn put(fields: &mut ObjectMap, name: &str, value: &str) {
    if !value.is_empty() {
        fields.insert(KeyString::from(name), value.into());
    }
}

/// What all records of a stream have in common.
fn about(stream: &Stream) -> Value {
    let mut fields = ObjectMap::new();
    for (name, value) in [
        ("stdio", &stream.stdio),
        ("source", &stream.source),
        ("host", &stream.host),
        ("service", &stream.service),
    ] {
        put(&mut fields, name, value);
    }
    let mut kubernetes = ObjectMap::new();
    for (name, value) in [
        ("namespace", &stream.namespace),
        ("pod", &stream.pod),
        ("pod_uid", &stream.pod_uid),
        ("container", &stream.container),
        ("image", &stream.image),
        ("workload", &stream.workload),
    ] {
        put(&mut kubernetes, name, value);
    }
    if !kubernetes.is_empty() {
        let labels = stream.labels.iter();
        let labels: ObjectMap =
            labels.map(|(name, value)| (KeyString::from(name.as_str()), value.as_str().into())).collect();
        kubernetes.insert("labels".into(), Value::Object(labels));
        fields.insert("kubernetes".into(), Value::Object(kubernetes));
    }
    Value::Object(fields)
}

/// A record as a program sees it.
fn event(batch: &Batch, record: &Record, stream: &Value) -> Value {
    let mut fields = stream.as_object().cloned().unwrap_or_default();
    fields.insert("message".into(), text(batch.bytes(record.body)));
    fields.insert("timestamp".into(), text(batch.bytes(record.time)));
    let extra = Extra::of(batch, record);
    put(&mut fields, "severity", &extra.severity_text);
    put(&mut fields, "trace_id", &extra.trace_id);
    put(&mut fields, "span_id", &extra.span_id);
    if extra.severity_number > 0 {
        fields.insert("severity_number".into(), Value::Integer(extra.severity_number.into()));
    }
    fields.insert("attributes".into(), serde_json::Value::Object(extra.attributes).into());
    Value::Object(fields)
}

/// Takes over what a program wrote; true when that is anything new.
fn store(batch: &mut Batch, record: &mut Record, mut fields: ObjectMap) -> bool {
    let mut changed = false;
    let body = match fields.remove("message") {
        Some(Value::Null) | None => Vec::new(),
        Some(value) => match value.as_bytes() {
            Some(bytes) => bytes.to_vec(),
            None => json(value).to_string().into_bytes(),
        },
    };
    if body != batch.bytes(record.body) {
        record.body = batch.push(&body);
        record.encoding = Encoding::Unchecked;
        changed = true;
    }
    let mut take = |name: &str| {
        let value = fields.remove(name);
        value.as_ref().and_then(Value::to_str_lossy).map(|text| text.into_owned()).unwrap_or_default()
    };
    let (severity_text, trace_id, span_id) = (take("severity"), take("trace_id"), take("span_id"));
    let number = fields.remove("severity_number").and_then(|value| value.as_integer());
    let attributes = match fields.remove("attributes").map(json) {
        Some(serde_json::Value::Object(attributes)) => attributes,
        _ => serde_json::Map::new(),
    };
    let severity_number =
        number.and_then(|number| u8::try_from(number).ok()).filter(|number| *number <= 24).unwrap_or(0);
    let extra = Extra { severity_number, severity_text, trace_id, span_id, attributes };

    if extra != Extra::of(batch, record) {
        extra.store(batch, record);
        changed = true;
    }
    changed
}

fn json(value: Value) -> serde_json::Value {
    // Fails for what JSON can't hold (an infinite number); there is nothing better to write then.
    value.try_into().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::super::testing::{bodies, lines, settings};
    use super::*;

    fn apply(program: &str, more: &str, input: &[&str]) -> (Vec<String>, Vec<Extra>, Counts) {
        let settings: RemapSettings = settings(&format!("source = '''{program}'''\n{more}"));
        settings.check("t").unwrap();
        let mut transform = settings.build("t").unwrap();
        let (mut batch, mut counts) = (lines(input), Counts::default());
        let mut records = std::mem::take(&mut batch.records);
        transform.apply(&mut batch, &mut records, &mut counts);
        let extras = records.iter().map(|record| Extra::of(&batch, record)).collect();
        (bodies(&batch, &records), extras, counts)
    }

    #[test]
    fn a_program_changes_body_severity_and_attributes() {
        let program = ".message = parse_json!(.message)\n.severity = upcase(string!(.message.level))\n\
                       .severity_number = 17\n.attributes.pod = .kubernetes.pod\ndel(.message.level)";
        let (bodies, extras, counts) = apply(program, "", &[r#"{"level":"error","a":1}"#]);
        assert_eq!(bodies, [r#"{"a":1}"#]);
        assert_eq!((extras[0].severity_text.as_str(), extras[0].severity_number), ("ERROR", 17));
        assert_eq!(extras[0].attributes["pod"], "api");
        assert_eq!(counts, Counts { changed: 1, ..Counts::default() });
    }

    #[test]
    fn what_fails_passes_and_what_aborts_is_dropped_unless_told_otherwise() {
        let failing = ".message = parse_json!(.message)";
        let (bodies, _, counts) = apply(failing, "", &["no json"]);
        assert_eq!((bodies.len(), counts.errors), (1, 1));
        let (bodies, _, counts) = apply(failing, "drop_on_error = true", &["no json"]);
        assert_eq!((bodies.len(), counts.errors, counts.dropped["failed"]), (0, 1, 1));
        let aborting = "if contains(string!(.message), \"noise\") { abort }";
        let (bodies, _, counts) = apply(aborting, "", &["noise", "signal"]);
        assert_eq!((bodies, counts.dropped["aborted"]), (vec!["signal".to_owned()], 1));
        assert_eq!(apply(aborting, "keep_on_abort = true", &["noise"]).0.len(), 1);
    }

    #[test]
    fn a_program_that_does_not_compile_is_refused_with_its_place() {
        let settings: RemapSettings = settings("source = \".a = \"");
        let problem = settings.check("transforms.t").unwrap_err();
        assert!(problem.key == "transforms.t.source" && problem.message.contains("error"), "{problem:?}");
    }
}
