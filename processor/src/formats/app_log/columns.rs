//! From a landing record to a row.

use super::PARSER_VERSION;
use crate::formats::columns::{Rows, index};
use crate::formats::seen::{Seen, Verdict};
use crate::formats::time::DAY;
use crate::formats::{Context, Object, Output};
use logq_schemas::Table;
use logq_schemas::body::{self, Understood};
use logq_schemas::landing::{Header, Stream};
use logq_schemas::tables::app_log::TABLE;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Write;
use twox_hash::XxHash3_64;

const T: &Table = &TABLE;
const SRC_IP: usize = index(T, "src_ip");
const SRC_PORT: usize = index(T, "src_port");
const ACTOR: usize = index(T, "actor");
const ACTION: usize = index(T, "action");
const OUTCOME: usize = index(T, "outcome");
const EVENT_UID: usize = index(T, "event_uid");
const OBSERVED_TIME: usize = index(T, "observed_time");
const SEVERITY_NUMBER: usize = index(T, "severity_number");
const SEVERITY_TEXT: usize = index(T, "severity_text");
const BODY: usize = index(T, "body");
const BODY_BYTES: usize = index(T, "body_bytes");
const ATTRIBUTES: usize = index(T, "attributes");
const TRACE_ID: usize = index(T, "trace_id");
const SPAN_ID: usize = index(T, "span_id");
const CLUSTER: usize = index(T, "cluster");
const NAMESPACE: usize = index(T, "namespace");
const POD: usize = index(T, "pod");
const POD_UID: usize = index(T, "pod_uid");
const CONTAINER: usize = index(T, "container");
const RESTART_COUNT: usize = index(T, "restart_count");
const NODE: usize = index(T, "node");
const IMAGE: usize = index(T, "image");
const LABELS: usize = index(T, "labels");
const STREAM: usize = index(T, "stream");
const FILE_OFFSET: usize = index(T, "file_offset");
const CUT: usize = index(T, "cut");
const HTTP_METHOD: usize = index(T, "http_method");
const HTTP_PATH: usize = index(T, "http_path");
const HTTP_STATUS: usize = index(T, "http_status");
const HTTP_BYTES: usize = index(T, "http_bytes");
const HTTP_DURATION_MS: usize = index(T, "http_duration_ms");
const HTTP_USER_AGENT: usize = index(T, "http_user_agent");
const HTTP_REFERER: usize = index(T, "http_referer");
const SERVICE: usize = index(T, "service");
const HOST: usize = index(T, "host");
const WORKLOAD: usize = index(T, "workload");
const FILE: usize = index(T, "file");
const RESOURCE: usize = index(T, "resource");

/// 2000-01-01: an earlier time in a body is a clock that was never set.
const SANE_SINCE: i64 = 946_684_800_000_000;

/// A record line of a landing object, decoded.
#[derive(Debug, Clone)]
pub struct Entry<'a> {
    /// Byte offset in the source file.
    pub offset: u64,
    /// The runtime's time, µs.
    pub observed: i64,
    /// The body; replacement characters stand for bytes that are not UTF-8.
    pub body: &'a str,
    /// The exact bytes, where they are not UTF-8.
    pub bytes: Option<&'a [u8]>,
    /// `split` or `truncated`.
    pub cut: Option<&'a str>,
    /// What the collector's transforms found out.
    pub parsed: Parsed<'a>,
}

/// What the collector already found out about a record. It knew the pod's annotations and its own
/// configuration, so it has the last word.
#[derive(Debug, Clone, Default)]
pub struct Parsed<'a> {
    /// OpenTelemetry severity number.
    pub severity_number: Option<i32>,
    /// The level as written.
    pub severity_text: Option<String>,
    /// 32 hex digits.
    pub trace_id: Option<String>,
    /// 16 hex digits.
    pub span_id: Option<String>,
    /// Attributes as a JSON object.
    pub attributes: Option<&'a str>,
}

impl<'a> Parsed<'a> {
    fn refine(&self, understood: &mut Understood<'a>) {
        if let Some(number) = self.severity_number.filter(|number| (1..=24).contains(number)) {
            understood.severity_number = Some(number);
        }
        if let Some(text) = &self.severity_text {
            understood.severity_text = Some(Cow::Owned(text.clone()));
        }
        if let Some(id) = &self.trace_id {
            understood.trace_id = Some(id.clone());
        }
        if let Some(id) = &self.span_id {
            understood.span_id = Some(id.clone());
        }
        understood.attributes = match (self.attributes, understood.attributes.take()) {
            (Some(parsed), Some(own)) => Some(Cow::Owned(merge(&own, parsed))),
            (Some(parsed), None) => Some(Cow::Borrowed(parsed)),
            (None, own) => own,
        };
    }
}

/// The members of two JSON objects; those of `over` win.
fn merge(under: &str, over: &str) -> String {
    type Members = serde_json::Map<String, serde_json::Value>;
    match (serde_json::from_str::<Members>(under), serde_json::from_str::<Members>(over)) {
        (Ok(mut all), Ok(over)) => {
            all.extend(over);
            serde_json::Value::Object(all).to_string()
        }
        (Ok(_), Err(_)) => under.to_owned(),
        (Err(_), _) => over.to_owned(),
    }
}

/// What all records of a stream share, made once.
#[derive(Debug, Clone)]
pub struct Origin {
    stream: Stream,
    actor: Option<String>,
    labels: Option<String>,
    resource: Option<String>,
    cluster: String,
    node: String,
}

impl Origin {
    /// From the stream's line and the object's header.
    pub fn new(stream: Stream, header: &Header) -> Self {
        let actor = match (stream.namespace.as_str(), stream.pod.as_str()) {
            // No pod: the service, or the host, is who speaks.
            (_, "") => [&stream.service, &stream.host].into_iter().find(|name| !name.is_empty()).cloned(),
            ("", pod) => Some(pod.to_owned()),
            (namespace, pod) => Some(format!("{namespace}/{pod}")),
        };
        let json = |map: &BTreeMap<String, String>| {
            (!map.is_empty()).then(|| serde_json::to_string(map).ok()).flatten()
        };
        let (labels, resource) = (json(&stream.labels), json(&stream.resource));
        Self { actor, labels, resource, cluster: header.cluster.clone(), node: header.node.clone(), stream }
    }
}

/// Rows of the table `app_log` from one object.
pub struct Columns {
    rows: Rows,
    uid: String,
}

impl Columns {
    /// For one object.
    pub fn new(object: &Object<'_>, context: &Context<'_>) -> Self {
        Self { rows: Rows::new(&TABLE, "kubernetes", PARSER_VERSION, object, context), uid: String::new() }
    }

    /// Hands collected rows out.
    pub fn flush(&mut self, output: &mut impl Output) {
        self.rows.flush(output);
    }

    /// Adds a row and returns its event time; `None` for a record taken in before.
    pub fn take(
        &mut self,
        origin: &Origin,
        entry: &Entry<'_>,
        seen: &mut Seen,
        output: &mut impl Output,
    ) -> Option<i64> {
        let stream = &origin.stream;
        self.uid.clear();
        let _ = write!(self.uid, "{}:{}", stream.id, entry.offset);
        let body = entry.bytes.unwrap_or(entry.body.as_bytes());
        let content = XxHash3_64::oneshot_with_seed(entry.observed as u64, body); // only a hash seed: any bits do
        match seen.note(self.uid.as_bytes(), content) {
            Verdict::New => {}
            Verdict::Duplicate => return None,
            Verdict::Conflict(content) => {
                let _ = write!(self.uid, "#{content:016x}");
            }
        }
        let rows = &mut self.rows;
        rows.text(EVENT_UID, &self.uid);
        rows.timestamp(OBSERVED_TIME, entry.observed);
        rows.text(BODY, entry.body);
        if let Some(bytes) = entry.bytes {
            rows.binary(BODY_BYTES, bytes);
        }
        rows.text_if(CUT, entry.cut);
        if let Ok(offset) = i64::try_from(entry.offset) {
            rows.long(FILE_OFFSET, offset);
        }
        put_origin(rows, origin);
        let mut understood = body::understand(entry.body);
        entry.parsed.refine(&mut understood);
        put_understood(rows, &understood);
        let event_time = understood
            .time
            .filter(|time| (SANE_SINCE..entry.observed.saturating_add(DAY)).contains(time))
            .unwrap_or(entry.observed);
        rows.end(event_time);
        if rows.is_full() {
            rows.flush(output);
        }
        Some(event_time)
    }
}

fn put_origin(rows: &mut Rows, origin: &Origin) {
    let stream = &origin.stream;
    for (column, value) in [
        (CLUSTER, &origin.cluster),
        (NODE, &origin.node),
        (NAMESPACE, &stream.namespace),
        (POD, &stream.pod),
        (POD_UID, &stream.pod_uid),
        (CONTAINER, &stream.container),
        (IMAGE, &stream.image),
        (STREAM, &stream.stdio),
        (SERVICE, &stream.service),
        (HOST, &stream.host),
        (WORKLOAD, &stream.workload),
    ] {
        if !value.is_empty() {
            rows.text(column, value);
        }
    }
    // A container's is a mere name, and another one after a rotation: which file is said by the rest.
    rows.text_if(FILE, Some(stream.file.as_str()).filter(|file| file.starts_with('/')));
    rows.text_if(ACTOR, origin.actor.as_deref());
    rows.text_if(LABELS, origin.labels.as_deref());
    rows.text_if(RESOURCE, origin.resource.as_deref());
    if let Some(restart) = stream.restart.and_then(|count| i32::try_from(count).ok()) {
        rows.int(RESTART_COUNT, restart);
    }
}

fn put_understood(rows: &mut Rows, understood: &Understood<'_>) {
    for (column, value) in [
        (SEVERITY_TEXT, &understood.severity_text),
        (ATTRIBUTES, &understood.attributes),
        (SRC_IP, &understood.src_ip),
        (ACTION, if understood.action.is_some() { &understood.action } else { &understood.method }),
        (HTTP_METHOD, &understood.method),
        (HTTP_PATH, &understood.path),
        (HTTP_USER_AGENT, &understood.user_agent),
        (HTTP_REFERER, &understood.referer),
    ] {
        rows.text_if(column, value.as_deref());
    }
    rows.text_if(TRACE_ID, understood.trace_id.as_deref());
    rows.text_if(SPAN_ID, understood.span_id.as_deref());
    for (column, value) in [
        (SEVERITY_NUMBER, understood.severity_number),
        (SRC_PORT, understood.src_port),
        (HTTP_STATUS, understood.status),
    ] {
        if let Some(value) = value {
            rows.int(column, value);
        }
    }
    if let Some(bytes) = understood.bytes {
        rows.long(HTTP_BYTES, bytes);
    }
    if let Some(millis) = understood.duration_ms {
        rows.double(HTTP_DURATION_MS, millis);
    }
    if let Some(status) = understood.status {
        rows.text(OUTCOME, if status >= 400 { "failure" } else { "success" });
    }
}
