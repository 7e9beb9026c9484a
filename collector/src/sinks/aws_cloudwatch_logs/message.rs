//! How a record is written into a log event.

use crate::sinks::Event;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::collections::BTreeMap;

/// How a record is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Encoding {
    /// The body, as it is.
    #[default]
    Text,
    /// An object with the body and what is known about it. A body that is itself a JSON object is
    /// put in as one, so that Logs Insights finds its fields.
    Json,
}

#[derive(Serialize)]
struct Whole<'a> {
    message: Message<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    severity: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    severity_number: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    trace_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    span_id: Option<&'a str>,
    #[serde(skip_serializing_if = "serde_json::Map::is_empty")]
    attributes: &'a serde_json::Map<String, serde_json::Value>,
    #[serde(skip_serializing_if = "str::is_empty")]
    stream: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    service: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    host: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    kubernetes: Option<Kubernetes<'a>>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Message<'a> {
    Object(&'a RawValue),
    Text(Cow<'a, str>),
}

/// The names Fluent Bit's Kubernetes filter gives, which dashboards know.
#[derive(Serialize)]
struct Kubernetes<'a> {
    namespace_name: &'a str,
    pod_name: &'a str,
    pod_id: &'a str,
    container_name: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    container_image: &'a str,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    labels: &'a BTreeMap<String, String>,
}

/// The message for a record.
pub fn encode(encoding: Encoding, event: &Event<'_>) -> String {
    let body = event.body();
    let text = String::from_utf8_lossy(&body);
    if encoding == Encoding::Text {
        return text.into_owned();
    }
    let object = text.trim_start().starts_with('{').then(|| serde_json::from_str::<&RawValue>(&text).ok());
    let (stream, record) = (&**event.stream, &event.record);
    let kubernetes = Kubernetes {
        namespace_name: &stream.namespace,
        pod_name: &stream.pod,
        pod_id: &stream.pod_uid,
        container_name: &stream.container,
        container_image: &stream.image,
        labels: &stream.labels,
    };
    let whole = Whole {
        message: match object.flatten() {
            Some(object) => Message::Object(object),
            None => Message::Text(Cow::Borrowed(&text)),
        },
        severity: record.sv.as_deref(),
        severity_number: record.n,
        trace_id: record.tr.as_deref(),
        span_id: record.sp.as_deref(),
        attributes: &record.a,
        stream: &stream.stdio,
        service: &stream.service,
        host: &stream.host,
        kubernetes: (!stream.pod.is_empty()).then_some(kubernetes),
    };
    // Maps with text keys and numbers always serialise.
    serde_json::to_string(&whole).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use logq_schemas::landing::{Record, Stream};
    use std::sync::Arc;

    #[test]
    fn json_holds_the_body_as_what_it_is_and_where_it_comes_from() {
        let stream = Arc::new(Stream { namespace: "shop".into(), pod: "api".into(), ..Stream::default() });
        let message = |body: &str| {
            let record = Record { n: Some(9), b: Some(body.to_owned().into()), ..Record::default() };
            encode(Encoding::Json, &Event { stream: &stream, record })
        };
        let kubernetes =
            r#""kubernetes":{"namespace_name":"shop","pod_name":"api","pod_id":"","container_name":""}"#;
        assert_eq!(
            message(r#"{"a": 1}"#),
            format!(r#"{{"message":{{"a": 1}},"severity_number":9,{kubernetes}}}"#)
        );
        assert_eq!(message("{x"), format!(r#"{{"message":"{{x","severity_number":9,{kubernetes}}}"#));
    }
}
