//! How records are written into the body of a request.

use crate::sinks::Event;
use crate::sinks::parcel::{Described, Parcel};
use crate::sinks::resource::event_uid;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::ops::Range;

/// How a record is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Codec {
    /// One object with the names of the table `app_log`, and the stream under OpenTelemetry's.
    #[default]
    Json,
    /// `stream` and `record`, as the landing format describes them.
    Landing,
    /// The body, as it is. A line break within it can't be told from the end of the record.
    Text,
}

/// How records are put together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Framing {
    /// One JSON array.
    Array,
    /// One record a line.
    NewlineDelimited,
}

/// A record as `json` writes it. What is not known is left out.
#[derive(Serialize)]
struct Whole<'a> {
    event_uid: String,
    time: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    severity_number: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    severity_text: Option<&'a str>,
    /// With replacement characters where the bytes are not UTF-8.
    body: &'a str,
    /// The exact bytes in base64, only where they are not UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    body_bytes: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    trace_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    span_id: Option<&'a str>,
    #[serde(skip_serializing_if = "serde_json::Map::is_empty")]
    attributes: &'a serde_json::Map<String, serde_json::Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cut: Option<&'a str>,
    resource: Option<&'a RawValue>,
}

/// Appends a record.
pub fn encode(codec: Codec, described: &Described, event: &Event<'_>, out: &mut Vec<u8>) {
    let record = &event.record;
    // Both are maps, texts and numbers: writing them to memory does not fail.
    let written = match codec {
        Codec::Text => {
            out.extend_from_slice(&event.body());
            Ok(())
        }
        Codec::Landing => {
            out.extend_from_slice(b"{\"stream\":");
            out.extend_from_slice(&described.text);
            out.extend_from_slice(b",\"record\":");
            let written = serde_json::to_writer(&mut *out, record);
            out.push(b'}');
            written
        }
        Codec::Json => {
            let body = event.body();
            let whole = Whole {
                event_uid: event_uid(event.stream, record.o),
                time: &record.t,
                severity_number: record.n,
                severity_text: record.sv.as_deref(),
                body: &String::from_utf8_lossy(&body),
                body_bytes: record.b64.as_deref(),
                trace_id: record.tr.as_deref(),
                span_id: record.sp.as_deref(),
                attributes: &record.a,
                cut: record.cut.as_deref(),
                resource: serde_json::from_slice(&described.text).ok(),
            };
            serde_json::to_writer(out, &whole)
        }
    };
    if let Err(error) = written {
        tracing::error!(%error, "record can't be written");
    }
}

/// Some records of a parcel as the body of a request.
pub fn body(framing: Framing, parcel: &Parcel, range: Range<usize>) -> Vec<u8> {
    let mut out = Vec::with_capacity(parcel.size(range.clone()) + range.len() + 2);
    if framing == Framing::Array {
        out.push(b'[');
    }
    for at in range.clone() {
        if framing == Framing::Array && at > range.start {
            out.push(b',');
        }
        out.extend_from_slice(parcel.record(at));
        if framing == Framing::NewlineDelimited {
            out.push(b'\n');
        }
    }
    if framing == Framing::Array {
        out.push(b']');
    }
    out
}
