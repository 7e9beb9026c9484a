//! Runs tests on the graph of a configuration.

use super::{Case, Input, Output};
use crate::batch::{Batch, Cut, Encoding, Record, Span};
use crate::config::Config;
use crate::extra::Extra;
use crate::graph::{self, Graph};
use crate::metrics::Metrics;
use crate::stream::{Hints, Stream};
use logq_schemas::landing;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Time of records that are given none.
pub(super) const TIME: &str = "2026-01-01T00:00:00Z";

/// What was not as a test wants it: one text, of several lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure(pub String);

type Outputs = BTreeMap<String, Vec<Value>>;

/// Runs one test; no failure means it passed. Every test has transforms of its own, so none sees
/// what another one put in.
///
/// # Errors
/// When the transforms can't be built.
pub fn run(config: &Config, case: &Case) -> Result<Vec<Failure>, String> {
    let metrics = Arc::new(Metrics::default());
    let graph =
        Graph::build(config, metrics).map_err(|(name, message)| format!("transforms.{name}: {message}"))?;
    let lanes = graph::lanes(config);
    let mut outputs = Outputs::new();
    for input in &case.inputs {
        let mut batch = batch(input, config);
        graph.observe(&input.insert_at, &mut batch, |name, batch, records| {
            outputs.entry(name.to_owned()).or_default().extend(records.iter().map(|one| event(batch, one)));
        })?;
        for (lane, records) in lanes.iter().zip(&batch.lanes) {
            for sink in &lane.sinks {
                let events = records.iter().map(|record| event(&batch, record));
                outputs.entry(sink.clone()).or_default().extend(events);
            }
        }
    }
    let of = |name: &str| outputs.get(name).map_or(&[][..], Vec::as_slice);
    let mut failures: Vec<Failure> =
        case.outputs.iter().filter_map(|output| judge(output, of(&output.extract_from))).collect();
    for name in case.no_outputs_from.iter().filter(|name| !of(name).is_empty()) {
        let text = format!("{name}: expected no records, got {}{}", of(name).len(), listed(of(name)));
        failures.push(Failure(text));
    }
    Ok(failures)
}

fn judge(output: &Output, events: &[Value]) -> Option<Failure> {
    let name = &output.extract_from;
    if let Some(count) = output.count.filter(|count| *count != events.len()) {
        let text = format!("{name}: expected {count} records, got {}{}", events.len(), listed(events));
        return Some(Failure(text));
    }
    if output.conditions.is_empty() {
        return None;
    }
    if events.is_empty() {
        return Some(Failure(format!("{name}: expected a record, got none")));
    }
    let wrong = |event: &Value| -> Vec<String> {
        output.conditions.iter().filter_map(|condition| condition.judge(event).err()).collect()
    };
    let wrong: Vec<Vec<String>> = events.iter().map(wrong).collect();
    let holds = if output.every { wrong.iter().all(Vec::is_empty) } else { wrong.iter().any(Vec::is_empty) };
    if holds {
        return None;
    }
    let which = if output.every { "not every record meets" } else { "no record meets" };
    let mut text = format!("{name}: {which} all conditions");
    for (number, wrong) in wrong.iter().enumerate().filter(|(_, wrong)| !wrong.is_empty()) {
        for difference in wrong {
            text += &format!("\nrecord {}: {difference}", number + 1);
        }
    }
    Some(Failure(text))
}

fn listed(events: &[Value]) -> String {
    events.iter().map(|event| format!("\n  {event}")).collect()
}

fn batch(input: &Input, config: &Config) -> Batch {
    let body = match (&input.value, &input.log_fields) {
        (Some(value), _) => value.clone(),
        (None, Some(fields)) => serde_json::to_string(fields).unwrap_or_default(),
        (None, None) => String::new(),
    };
    let source =
        if config.sources.contains_key(&input.insert_at) { input.insert_at.clone() } else { String::new() };
    let about = landing::Stream {
        source,
        namespace: input.namespace.clone(),
        pod: input.pod.clone(),
        container: input.container.clone(),
        stdio: input.stdio.clone(),
        labels: input.labels.clone(),
        image: input.image.clone(),
        workload: input.workload.clone(),
        file: input.file.clone(),
        host: input.host.clone(),
        service: input.service.clone(),
        ..landing::Stream::default()
    };
    let hints = Hints { parser: input.parser.clone(), ..Hints::default() };
    let mut batch = Batch::default();
    batch.streams.push(Arc::new(Stream { hints, ..Stream::new(about) }));
    let time = batch.push(input.time.as_deref().unwrap_or(TIME).as_bytes());
    let body = batch.push(body.as_bytes());
    let (encoding, cut) = (Encoding::Utf8, Cut::No);
    batch.records.push(Record { stream: 0, encoding, cut, offset: 0, time, body, extra: Span::default() });
    batch
}

/// A record as conditions see it: the fields a `remap` program sees.
fn event(batch: &Batch, record: &Record) -> Value {
    let text = |span: Span| String::from_utf8_lossy(batch.bytes(span)).into_owned();
    let extra = Extra::of(batch, record);
    let stream = &batch.streams[record.stream as usize].about;
    let mut fields = Map::new();
    fields.insert("message".into(), text(record.body).into());
    fields.insert("timestamp".into(), text(record.time).into());
    fields.insert("attributes".into(), Value::Object(extra.attributes));
    if extra.severity_number > 0 {
        fields.insert("severity_number".into(), extra.severity_number.into());
    }
    put(
        &mut fields,
        &[("severity", &extra.severity_text), ("trace_id", &extra.trace_id), ("span_id", &extra.span_id)],
    );
    put(&mut fields, &[("stdio", &stream.stdio), ("source", &stream.source)]);
    put(&mut fields, &[("host", &stream.host), ("service", &stream.service)]);
    let mut kubernetes = Map::new();
    put(
        &mut kubernetes,
        &[("namespace", &stream.namespace), ("pod", &stream.pod), ("container", &stream.container)],
    );
    put(&mut kubernetes, &[("image", &stream.image), ("workload", &stream.workload)]);
    if !kubernetes.is_empty() {
        kubernetes.insert("labels".into(), json!(stream.labels));
        fields.insert("kubernetes".into(), Value::Object(kubernetes));
    }
    Value::Object(fields)
}

fn put(fields: &mut Map<String, Value>, texts: &[(&str, &String)]) {
    for (name, text) in texts.iter().filter(|(_, text)| !text.is_empty()) {
        fields.insert((*name).to_owned(), text.as_str().into());
    }
}
