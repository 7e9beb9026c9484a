//! Events as records: what is body, what describes the stream, what becomes attributes.

use super::scan::Fault;
use crate::extra::Extra;
use crate::sources::received::{Push, Pushed, identity, time_of};
use base64::Engine as _;
use logq_schemas::landing;
use rmpv::Value;
use serde_json::{Map, Value as Json};
use std::collections::BTreeMap;

/// Keys that hold the message, the first that is there: Fluent Bit's and Docker's, then what loggers
/// use.
const BODY_KEYS: [&str; 3] = ["log", "message", "msg"];

/// Nanoseconds of a second.
const SECOND: u64 = 1_000_000_000;

/// Fills a push with the events of one message.
#[derive(Debug)]
pub struct Events<'a> {
    push: &'a mut Push,
    /// What all streams of the message have in common.
    about: landing::Stream,
    /// What tells this message from others.
    identity: [&'a [u8]; 4],
    /// Streams of this message by their description.
    streams: BTreeMap<String, usize>,
    /// The stream of the last event.
    last: Option<(landing::Stream, usize)>,
    /// Number of the next event.
    offset: u64,
}

impl<'a> Events<'a> {
    /// For a message with `tag`; `identity` is the source, the tag and two parts that tell the message
    /// from others, its first event having the number `offset`.
    pub fn new(push: &'a mut Push, source: &str, tag: &str, identity: [&'a [u8]; 4], offset: u64) -> Self {
        let about = landing::Stream {
            source: source.to_owned(),
            service: tag.to_owned(),
            ..landing::Stream::default()
        };
        Self { push, about, identity, streams: BTreeMap::new(), last: None, offset }
    }

    /// Adds an event.
    ///
    /// # Errors
    /// When its time is no time or the record no map.
    pub fn add(&mut self, time: &Value, record: Value) -> Result<(), Fault> {
        let time = time_of(nanoseconds(time)?);
        let Value::Map(pairs) = record else { return Err(Fault::Malformed("a record must be a map")) };
        let mut about = self.about.clone();
        let mut attributes = Map::new();
        let mut bodies: [Option<Value>; BODY_KEYS.len()] = Default::default();
        for (key, value) in pairs {
            let key = text(key);
            match (BODY_KEYS.iter().position(|known| *known == key), value) {
                (Some(at), value @ (Value::String(_) | Value::Binary(_))) => bodies[at] = Some(value),
                (_, Value::Map(pod)) if key == "kubernetes" => {
                    let rest = describe(&mut about, pod);
                    if !rest.is_empty() {
                        attributes.insert(key, rest.into());
                    }
                }
                (_, Value::String(name))
                    if key == "stream" && matches!(name.as_str(), Some("stdout" | "stderr")) =>
                {
                    about.stdio = name.into_str().unwrap_or_default();
                }
                (_, value) => drop(attributes.insert(key, json(value))),
            }
        }
        let mut body = None;
        for (key, found) in BODY_KEYS.iter().zip(bodies) {
            match (body.is_some(), found) {
                (_, None) => {}
                (false, Some(value)) => body = Some(bytes(value)),
                (true, Some(value)) => drop(attributes.insert((*key).to_owned(), json(value))),
            }
        }
        // Without a message the record itself is what there is to read.
        let body =
            body.unwrap_or_else(|| Json::Object(std::mem::take(&mut attributes)).to_string().into_bytes());
        let stream = self.stream(about);
        let extra = Extra { attributes, ..Extra::default() };
        self.push.records.push(Pushed { stream, offset: self.offset, time, body, extra });
        self.offset += 1;
        Ok(())
    }

    /// Number of the next event.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    fn stream(&mut self, about: landing::Stream) -> usize {
        if let Some((last, at)) = &self.last
            && *last == about
        {
            return *at;
        }
        // A struct of texts always serialises.
        let key = serde_json::to_string(&about).unwrap_or_default();
        let at = match self.streams.get(&key) {
            Some(at) => *at,
            None => {
                let [source, tag, message, content] = self.identity;
                let id = identity(&[source, tag, message, content, key.as_bytes()]);
                self.push.streams.push(landing::Stream { id, ..about.clone() });
                self.streams.insert(key, self.push.streams.len() - 1);
                self.push.streams.len() - 1
            }
        };
        self.last = Some((about, at));
        at
    }
}

/// Takes what Fluent Bit's filter `kubernetes` found out about a pod; what has no place of its own is
/// returned.
fn describe(about: &mut landing::Stream, pod: Vec<(Value, Value)>) -> Map<String, Json> {
    let mut rest = Map::new();
    for (key, value) in pod {
        let key = text(key);
        let field = match key.as_str() {
            "namespace_name" => &mut about.namespace,
            "pod_name" => &mut about.pod,
            "pod_id" => &mut about.pod_uid,
            "container_name" => &mut about.container,
            "container_image" => &mut about.image,
            "host" => &mut about.host,
            "labels" => {
                if let Value::Map(labels) = value {
                    about.labels = labels.into_iter().map(|(key, value)| (text(key), text(value))).collect();
                }
                continue;
            }
            _ => {
                rest.insert(key, json(value));
                continue;
            }
        };
        *field = text(value);
    }
    rest
}

/// Seconds, an `EventTime`, or either with metadata beside it.
fn nanoseconds(time: &Value) -> Result<u64, Fault> {
    match time {
        Value::Integer(seconds) => Ok(seconds.as_u64().unwrap_or(0).saturating_mul(SECOND)),
        // Negative and odd ones become 0, which is no time.
        Value::F64(seconds) => Ok((seconds * SECOND as f64) as u64),
        Value::F32(seconds) => Ok((f64::from(*seconds) * SECOND as f64) as u64),
        Value::Ext(0, bytes) if bytes.len() == 8 => {
            let (seconds, rest) = bytes.split_at(4);
            let number = |bytes: &[u8]| bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte));
            Ok(number(seconds) * SECOND + number(rest))
        }
        Value::Array(parts) => match parts.first() {
            Some(time) if !matches!(time, Value::Array(_)) => nanoseconds(time),
            _ => Err(Fault::Malformed("no time")),
        },
        _ => Err(Fault::Malformed("a time must be a number or an EventTime")),
    }
}

fn bytes(value: Value) -> Vec<u8> {
    match value {
        Value::String(text) => text.into_bytes(),
        Value::Binary(bytes) => bytes,
        value => json(value).to_string().into_bytes(),
    }
}

/// A text as it is, anything else as JSON.
pub fn text(value: Value) -> String {
    match value {
        Value::String(_) | Value::Binary(_) => match json(value) {
            Json::String(text) => text,
            value => value.to_string(),
        },
        value => json(value).to_string(),
    }
}

/// The scan bounds how deep a value can be nested.
fn json(value: Value) -> Json {
    match value {
        Value::Nil => Json::Null,
        Value::Boolean(value) => value.into(),
        Value::Integer(number) => match (number.as_u64(), number.as_i64()) {
            (Some(number), _) => number.into(),
            (None, Some(number)) => number.into(),
            (None, None) => Json::Null,
        },
        // JSON has no NaN.
        Value::F32(number) => f64::from(number).into(),
        Value::F64(number) => number.into(),
        Value::String(text) => utf8(text.into_bytes()),
        Value::Binary(bytes) => utf8(bytes),
        Value::Array(values) => values.into_iter().map(json).collect(),
        Value::Map(pairs) => pairs.into_iter().map(|(key, value)| (text(key), json(value))).collect(),
        Value::Ext(_, bytes) => base64::engine::general_purpose::STANDARD.encode(bytes).into(),
    }
}

/// Text, or base64 of what is none.
fn utf8(bytes: Vec<u8>) -> Json {
    match String::from_utf8(bytes) {
        Ok(text) => text.into(),
        Err(error) => base64::engine::general_purpose::STANDARD.encode(error.as_bytes()).into(),
    }
}
