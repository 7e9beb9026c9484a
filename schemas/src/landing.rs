//! The landing format, version 1: what the collector writes to S3 or a directory and the processor
//! reads.
//!
//! A landing object is a zstd stream (one or more frames, RFC 8878 §3) of JSON Lines:
//!
//! ```text
//! {"landing":1,"cluster":"prod","node":"ip-10-0-16-7","segment":"000000000000002a","collector":"0.1.0"}
//! {"stream":0,"id":"4f0c…32 hex","namespace":"shop","pod":"api-6d5f","pod_uid":"2a1b…","container":"api","restart":0,"stdio":"stdout","file":"0.log"}
//! {"s":0,"o":0,"t":"2026-11-22T10:00:00.123456789Z","b":"hello"}
//! {"s":0,"o":61,"t":"2026-11-22T10:00:00.2Z","b64":"oUG\u002b"}
//! {"end":2}
//! ```
//!
//! * The first line is the [`Header`], the last one the [`Trailer`] with the number of records
//!   between them: an object without it was cut.
//! * A [`Stream`] line comes before the first record that refers to it by number, so that metadata
//!   is written once and not per record. Numbers are unique within an object.
//! * A [`Record`] carries its stream, the byte offset of its first line in the source file, the
//!   time exactly as the container runtime wrote it, and the body: `b` as JSON text, or `b64`
//!   (standard base64) when the bytes are not UTF-8. Nothing of the body is altered.
//!
//! Identity: [`Stream::id`] is a function of where the bytes came from (pod, container and the
//! file's first line), never of node or inode, so a rotated, compressed or copied file keeps it.
//! `id` and offset together make the record's `event_uid`: reading or uploading the same bytes
//! again changes nothing downstream.
//!
//! Keys: [`object_key`] is a function of the segment's content, so a repeated upload overwrites
//! itself.

use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::BTreeMap;

/// The version this code writes.
pub const VERSION: u32 = 1;

/// The key prefix of all landing objects of the collector.
pub const PREFIX: &str = "landing/app";

/// File name ending of a landing object.
pub const SUFFIX: &str = ".jsonl.zst";

/// First line of a landing object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// Format version; also how a reader recognises the format.
    pub landing: u32,
    /// Name of the cluster; empty when not configured.
    #[serde(default)]
    pub cluster: String,
    /// Name of the node the collector runs on.
    #[serde(default)]
    pub node: String,
    /// The spool segment this object was made from.
    #[serde(default)]
    pub segment: String,
    /// Version of the collector that wrote it.
    #[serde(default)]
    pub collector: String,
}

/// Where records come from: pod + container + file + standard stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct Stream {
    /// Number of the stream within this object.
    pub stream: u32,
    /// 32 hex digits: 128-bit identity of the source file's content and owner.
    pub id: String,
    /// Kubernetes namespace.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    /// Kubernetes pod name.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub pod: String,
    /// Kubernetes pod UID.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub pod_uid: String,
    /// Container name.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub container: String,
    /// Restart count of the container (the number in `<n>.log`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restart: Option<u32>,
    /// `stdout` or `stderr`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub stdio: String,
    /// Name of the source file when the stream was first read.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub file: String,
    /// Container image, when metadata is known.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub image: String,
    /// Pod labels, when metadata is known.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Name of the collector's source component.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub source: String,
    /// Host the records come from, when it is not the node of the header.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub host: String,
    /// OpenTelemetry `service.name`, or what comes closest to it (systemd unit, Fluent tag).
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub service: String,
    /// Workload that owns the pod as `Kind/name`, for example `Deployment/api`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub workload: String,
    /// Further resource attributes under their OpenTelemetry names.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub resource: BTreeMap<String, String>,
}

/// One record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct Record<'a> {
    /// [`Stream::stream`] this record belongs to.
    pub s: u32,
    /// Byte offset of the record's first line in its source file.
    pub o: u64,
    /// RFC 3339 time with up to nanosecond precision, as the container runtime wrote it.
    #[serde(borrow)]
    pub t: Cow<'a, str>,
    /// Body, when it is UTF-8.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub b: Option<Cow<'a, str>>,
    /// Body in standard base64, when it is not UTF-8.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub b64: Option<Cow<'a, str>>,
    /// Set when the collector cut or split an oversized line: `truncated` or `split`.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub cut: Option<Cow<'a, str>>,
    /// OpenTelemetry `SeverityNumber`, 1 to 24, when the collector parsed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub n: Option<u8>,
    /// Severity as written in the record, when the collector parsed it.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub sv: Option<Cow<'a, str>>,
    /// Trace id, 32 lower-case hex digits, when the collector parsed it.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub tr: Option<Cow<'a, str>>,
    /// Span id, 16 lower-case hex digits, when the collector parsed it.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub sp: Option<Cow<'a, str>>,
    /// Attributes that the collector parsed out of a body that is not JSON, or that came beside it.
    #[serde(default, skip_serializing_if = "serde_json::Map::is_empty")]
    pub a: serde_json::Map<String, serde_json::Value>,
}

/// Last line of a landing object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trailer {
    /// Number of record lines in the object.
    pub end: u64,
}

/// Key of a landing object below the sink's root.
///
/// `date` is the UTC date `YYYY-MM-DD` of the segment's first record, `digest` 32 hex digits over
/// the identity and positions of the segment's content. The same content always gets the same key.
///
/// ```
/// let key = logq_schemas::landing::object_key("prod", "ip-10-0-16-7", "2026-11-22", "00ff");
/// assert_eq!(key, "landing/app/prod/2026-11-22/ip-10-0-16-7/00ff.jsonl.zst");
/// ```
pub fn object_key(cluster: &str, node: &str, date: &str, digest: &str) -> String {
    let part = |text: &str| -> String {
        let clean: String = text
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.') { c } else { '-' })
            .collect();
        if clean.trim_matches('.').is_empty() { "-".to_owned() } else { clean }
    };
    format!("{PREFIX}/{}/{}/{}/{}{SUFFIX}", part(cluster), part(date), part(node), part(digest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_no_way_out_of_its_prefix() {
        let key = object_key("../..", "", "2026-11-22", "a/b");
        assert_eq!(key, "landing/app/..-../2026-11-22/-/a-b.jsonl.zst");
        assert!(!key.split('/').any(|part| part == ".." || part.is_empty()));
    }

    #[test]
    fn a_record_round_trips_with_escapes_and_borrowed_text() {
        let line = r#"{"s":3,"o":61,"t":"2026-11-22T10:00:00.2Z","b":"tab\there \"quoted\" é"}"#;
        let record: Record<'_> = serde_json::from_str(line).expect("valid line");
        assert_eq!(record.b.as_deref(), Some("tab\there \"quoted\" é"));
        assert!(matches!(record.t, Cow::Borrowed(_)));
        assert_eq!(serde_json::to_string(&record).expect("serialisable"), line);
    }

    #[test]
    fn an_unknown_field_of_a_later_minor_change_is_ignored() {
        let line = r#"{"stream":0,"id":"00","namespace":"shop","later":1}"#;
        let stream: Stream = serde_json::from_str(line).expect("unknown fields are ignored");
        assert_eq!(stream.namespace, "shop");
    }
}
