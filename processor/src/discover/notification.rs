//! The dialects of S3 notifications in an SQS message body.
//!
//! * S3 itself: `{"Records":[{"s3":{"bucket":{"name"},"object":{"key","size","eTag"}}}]}`; the key is
//!   URL-encoded as a form (`+` is a space). Test event: `{"Event":"s3:TestEvent"}`.
//! * Either of these in an SNS envelope: `{"Type":"Notification","Message":"…"}`.
//! * EventBridge: `{"detail-type":"Object Created","detail":{"bucket":{"name"},"object":{"key","size"}}}`;
//!   the key is not encoded.
//! * CloudTrail's own SNS message: `{"s3Bucket":"…","s3ObjectKey":["…"]}`; keys are not encoded.
//!
//! Source: Amazon S3 User Guide, “Event message structure”; Amazon EventBridge, “Amazon S3 events”;
//! AWS CloudTrail User Guide, “Configuring Amazon SNS notifications”.

use serde_json::Value;
use thiserror::Error;

/// What a message says.
#[derive(Debug, PartialEq, Eq)]
pub enum Notification {
    /// Objects were created.
    Created(Vec<CreatedObject>),
    /// A message without objects by design: a test event, or an event that creates nothing.
    Nothing(&'static str),
}

/// One created object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreatedObject {
    /// The bucket.
    pub bucket: String,
    /// The key, decoded.
    pub key: String,
    /// Its size, where said.
    pub size: u64,
    /// Its ETag, where said.
    pub etag: Option<String>,
}

/// Why a message is not understood. It stays in the queue, for its dead-letter queue to catch.
#[derive(Debug, Error)]
pub enum NotificationError {
    /// Not JSON.
    #[error("message is not JSON")]
    Json(#[from] serde_json::Error),
    /// JSON of another kind.
    #[error(
        "message is no S3, SNS, EventBridge or CloudTrail notification: point only such events at this queue"
    )]
    Unknown,
    /// A record lacks bucket or key.
    #[error("notification lacks `{0}`")]
    Missing(&'static str),
    /// A later major version of the S3 message structure.
    #[error("S3 notification of version {0} is not known: upgrade the processor")]
    Version(String),
}

/// Reads a message body.
///
/// # Errors
/// When it is none of the dialects.
pub fn parse(body: &str) -> Result<Notification, NotificationError> {
    let value: Value = serde_json::from_str(body)?;
    if let (Some("Notification"), Some(message)) = (value["Type"].as_str(), value["Message"].as_str()) {
        return parse_unwrapped(&serde_json::from_str(message)?);
    }
    parse_unwrapped(&value)
}

fn parse_unwrapped(value: &Value) -> Result<Notification, NotificationError> {
    if value["Event"] == "s3:TestEvent" {
        return Ok(Notification::Nothing("test event"));
    }
    if let Some(records) = value["Records"].as_array() {
        return from_s3(records);
    }
    if let Some(kind) = value["detail-type"].as_str() {
        return from_event_bridge(kind, &value["detail"]);
    }
    if let (Some(bucket), Some(keys)) = (value["s3Bucket"].as_str(), value["s3ObjectKey"].as_array()) {
        let object = |key: &Value| {
            let key = key.as_str().ok_or(NotificationError::Missing("s3ObjectKey"))?;
            Ok(CreatedObject { bucket: bucket.to_owned(), key: key.to_owned(), size: 0, etag: None })
        };
        return keys.iter().map(object).collect::<Result<_, _>>().map(Notification::Created);
    }
    Err(NotificationError::Unknown)
}

fn from_s3(records: &[Value]) -> Result<Notification, NotificationError> {
    let mut created = Vec::with_capacity(records.len());
    for record in records {
        if record["s3"].is_null() {
            return Err(NotificationError::Unknown);
        }
        if let Some(version) = record["eventVersion"].as_str().filter(|version| !version.starts_with("2.")) {
            return Err(NotificationError::Version(version.to_owned()));
        }
        if !record["eventName"].as_str().unwrap_or("ObjectCreated:").contains("ObjectCreated:") {
            continue;
        }
        let bucket =
            record["s3"]["bucket"]["name"].as_str().ok_or(NotificationError::Missing("s3.bucket.name"))?;
        let object = &record["s3"]["object"];
        let key = object["key"].as_str().ok_or(NotificationError::Missing("s3.object.key"))?;
        created.push(CreatedObject {
            bucket: bucket.to_owned(),
            key: form_decoded(key),
            size: object["size"].as_u64().unwrap_or(0),
            etag: object["eTag"].as_str().map(str::to_owned),
        });
    }
    Ok(if created.is_empty() {
        Notification::Nothing("no object created")
    } else {
        Notification::Created(created)
    })
}

fn from_event_bridge(kind: &str, detail: &Value) -> Result<Notification, NotificationError> {
    if kind != "Object Created" {
        return Ok(Notification::Nothing("no object created"));
    }
    let bucket = detail["bucket"]["name"].as_str().ok_or(NotificationError::Missing("detail.bucket.name"))?;
    let key = detail["object"]["key"].as_str().ok_or(NotificationError::Missing("detail.object.key"))?;
    Ok(Notification::Created(vec![CreatedObject {
        bucket: bucket.to_owned(),
        key: key.to_owned(),
        size: detail["object"]["size"].as_u64().unwrap_or(0),
        etag: detail["object"]["etag"].as_str().map(str::to_owned),
    }]))
}

fn form_decoded(key: &str) -> String {
    let spaced = key.replace('+', " ");
    percent_encoding::percent_decode_str(&spaced).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key_of(body: &str) -> String {
        match parse(body).expect(body) {
            Notification::Created(objects) => objects[0].key.clone(),
            Notification::Nothing(why) => format!("nothing: {why}"),
        }
    }

    const S3: &str = r#"{"Records":[{"eventVersion":"2.1","eventName":"ObjectCreated:Put","s3":{"bucket":{"name":"b"},"object":{"key":"a+b/c%2B%C3%A9.gz","size":7,"eTag":"x"}}}]}"#;

    #[test]
    fn each_dialect_gives_the_decoded_key() {
        assert_eq!(key_of(S3), "a b/c+é.gz");
        let wrapped = serde_json::json!({"Type": "Notification", "Message": S3}).to_string();
        assert_eq!(key_of(&wrapped), "a b/c+é.gz");
        let bridge = r#"{"detail-type":"Object Created","detail":{"bucket":{"name":"b"},"object":{"key":"a+b%20c","size":1}}}"#;
        assert_eq!(key_of(bridge), "a+b%20c");
        assert_eq!(key_of(r#"{"s3Bucket":"b","s3ObjectKey":["AWSLogs/1/x.gz"]}"#), "AWSLogs/1/x.gz");
    }

    #[test]
    fn events_without_objects_are_no_error() {
        assert_eq!(
            key_of(r#"{"Service":"Amazon S3","Event":"s3:TestEvent","Bucket":"b"}"#),
            "nothing: test event"
        );
        let removed = S3.replace("ObjectCreated:Put", "ObjectRemoved:Delete");
        assert_eq!(key_of(&removed), "nothing: no object created");
        assert_eq!(key_of(r#"{"detail-type":"Object Deleted","detail":{}}"#), "nothing: no object created");
    }

    #[test]
    fn anything_else_is_an_error_that_says_what_to_do() {
        for (body, part) in [
            ("hello", "not JSON"),
            (r#"{"hello":1}"#, "point only such events"),
            (r#"{"Records":[{"eventSource":"aws:sns"}]}"#, "point only such events"),
            (r#"{"Records":[{"s3":{"bucket":{}}}]}"#, "s3.bucket.name"),
            (&S3.replace("\"2.1\"", "\"3.0\""), "upgrade"),
        ] {
            let error = parse(body).expect_err(body).to_string();
            assert!(error.contains(part), "{body}: {error}");
        }
    }
}
