//! Events of one group as an object that the parsers know: a flow log file with its header line,
//! subscription documents around CloudTrail records, or a landing object.

use super::settings::{Kind, Settings};
use aws_sdk_cloudwatchlogs::types::FilteredLogEvent;
use chrono::DateTime;
use flate2::Compression;
use flate2::write::GzEncoder;
use logq_schemas::landing::{Header, Record, Stream, Trailer, VERSION};
use serde_json::json;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::{self, Write};
use twox_hash::{XxHash3_64, XxHash3_128};

/// One event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// The service's id, unique in its group.
    pub id: String,
    /// Milliseconds since the epoch.
    pub timestamp: i64,
    /// Its stream.
    pub stream: String,
    /// Its message.
    pub message: String,
}

impl Event {
    /// From the service's form. An event without an id gets one of its content.
    pub fn from_service(event: FilteredLogEvent) -> Event {
        let stream = event.log_stream_name.unwrap_or_default();
        let message = event.message.unwrap_or_default();
        let timestamp = event.timestamp.unwrap_or_default();
        let id = event.event_id.filter(|id| !id.is_empty()).unwrap_or_else(|| {
            format!("{:032x}", XxHash3_128::oneshot(format!("{stream}\0{timestamp}\0{message}").as_bytes()))
        });
        Event { id, timestamp, stream, message }
    }

    /// 128 bits of the id.
    pub fn hash(&self) -> u128 {
        hash_id(&self.id)
    }
}

/// 128 bits of an event's id.
pub fn hash_id(id: &str) -> u128 {
    XxHash3_128::oneshot(id.as_bytes())
}

/// The object's bytes and the ending of its name.
///
/// # Errors
/// When a landing record cannot be encoded, which no event of the service causes.
pub fn object(settings: &Settings, group: &str, events: &[Event]) -> io::Result<(Vec<u8>, &'static str)> {
    match &settings.kind {
        Kind::VpcFlow { header } => {
            let mut text = GzEncoder::new(Vec::new(), Compression::default());
            writeln!(text, "{header}")?;
            for event in events {
                writeln!(text, "{}", event.message.trim_end())?;
            }
            Ok((text.finish()?, "log.gz"))
        }
        Kind::CloudTrail => Ok((subscription(group, events)?, "json.gz")),
        Kind::App => Ok((landing(settings, group, events)?, "jsonl.zst")),
    }
}

/// One document per stream, as a subscription delivers it.
fn subscription(group: &str, events: &[Event]) -> io::Result<Vec<u8>> {
    let mut text = GzEncoder::new(Vec::new(), Compression::default());
    for (stream, events) in by_stream(events) {
        let events: Vec<_> = events
            .iter()
            .map(|event| json!({"id": event.id, "timestamp": event.timestamp, "message": event.message}))
            .collect();
        let document = json!({
            "messageType": "DATA_MESSAGE", "logGroup": group, "logStream": stream, "logEvents": events,
        });
        writeln!(text, "{document}")?;
    }
    text.finish()
}

fn by_stream(events: &[Event]) -> BTreeMap<&str, Vec<&Event>> {
    let mut streams: BTreeMap<&str, Vec<&Event>> = BTreeMap::new();
    for event in events {
        streams.entry(&event.stream).or_default().push(event);
    }
    streams
}

/// The identity of a record is its stream's identity and, in place of an offset, a hash of the event's
/// id: the event read again is the same record.
fn landing(settings: &Settings, group: &str, events: &[Event]) -> io::Result<Vec<u8>> {
    let mut text = zstd::Encoder::new(Vec::new(), 3)?;
    let mut line = |value: serde_json::Result<String>| writeln!(text, "{}", value?);
    line(serde_json::to_string(&Header {
        landing: VERSION,
        cluster: String::new(),
        node: String::new(),
        segment: settings.name.clone(),
        collector: format!("logq-processor {}", env!("CARGO_PKG_VERSION")),
    }))?;
    let region = settings.region.clone().unwrap_or_default();
    let account = account_of(settings.role_arn.as_deref()).unwrap_or_default();
    for (number, (stream, events)) in (0..).zip(by_stream(events)) {
        let identity = format!("cloudwatch\0{account}\0{region}\0{group}\0{stream}");
        let resource = [
            ("aws.log.group.names", group),
            ("aws.log.stream.names", stream),
            ("cloud.region", &region),
            ("cloud.account.id", account),
        ];
        line(serde_json::to_string(&Stream {
            stream: number,
            id: format!("{:032x}", XxHash3_128::oneshot(identity.as_bytes())),
            source: "cloudwatch_logs".to_owned(),
            file: stream.to_owned(),
            service: group.to_owned(),
            resource: resource
                .into_iter()
                .filter(|(_, value)| !value.is_empty())
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
            ..Stream::default()
        }))?;
        for event in events {
            line(serde_json::to_string(&Record {
                s: number,
                // Offsets are stored as signed 64-bit numbers.
                o: XxHash3_64::oneshot(event.id.as_bytes()) >> 1,
                t: Cow::Owned(rfc3339(event.timestamp)),
                b: Some(Cow::Borrowed(event.message.as_str())),
                ..Record::default()
            }))?;
        }
    }
    line(serde_json::to_string(&Trailer { end: events.len() as u64 }))?;
    text.finish()
}

/// The account in a role's ARN.
fn account_of(role_arn: Option<&str>) -> Option<&str> {
    role_arn?.split(':').nth(4)
}

/// Milliseconds as RFC 3339; a time outside of the calendar stays a number, which the parser names.
fn rfc3339(timestamp: i64) -> String {
    DateTime::from_timestamp_millis(timestamp).map_or_else(
        || timestamp.to_string(),
        |time| time.to_rfc3339_opts(chrono::SecondsFormat::Millis, true),
    )
}
