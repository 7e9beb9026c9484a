//! Application logs: OpenTelemetry's log model plus Kubernetes and HTTP attributes.

use super::{CORE, optional, required};
use crate::table::{Column, Kind, Table};

/// One row per log record.
pub const TABLE: Table = Table {
    name: "app_log",
    version: 2,
    doc: "One log record: a line of a container or a file, a journal entry, an OpenTelemetry record. `event_uid` is the stream's identity and the byte offset in its file; `event_time` is the container runtime's time unless the body carries its own.",
    specification: "https://opentelemetry.io/docs/specs/otel/logs/data-model/",
    core: CORE,
    own: OWN,
    sort_by: &["event_time"],
    blooms: &["event_uid", "src_ip", "pod", "trace_id"],
};

const OWN: &[Column] = &[
    required(
        "observed_time",
        Kind::Timestamp,
        "ObservedTimestamp",
        "When the container runtime received the line.",
    ),
    optional(
        "severity_number",
        Kind::Int,
        "SeverityNumber",
        "1 to 24: TRACE 1, DEBUG 5, INFO 9, WARN 13, ERROR 17, FATAL 21.",
    ),
    optional("severity_text", Kind::Text, "SeverityText", "Level as the application wrote it."),
    required(
        "body",
        Kind::Text,
        "Body",
        "The line as written. Bytes that are not UTF-8 are kept in `body_bytes` and shown here with replacement characters.",
    ),
    optional("body_bytes", Kind::Binary, "", "The exact bytes, only where they are not UTF-8."),
    optional("attributes", Kind::Json, "Attributes", "Fields of a structured body (JSON, logfmt)."),
    optional("trace_id", Kind::Text, "TraceId", "32 hex digits."),
    optional("span_id", Kind::Text, "SpanId", "16 hex digits."),
    optional("cluster", Kind::Text, "k8s.cluster.name", "Cluster."),
    optional("namespace", Kind::Text, "k8s.namespace.name", "Namespace."),
    optional("pod", Kind::Text, "k8s.pod.name", "Pod."),
    optional("pod_uid", Kind::Text, "k8s.pod.uid", "Pod UID."),
    optional("container", Kind::Text, "k8s.container.name", "Container."),
    optional("restart_count", Kind::Int, "k8s.container.restart_count", "Restart count of the container."),
    optional("node", Kind::Text, "k8s.node.name", "Node the collector ran on."),
    optional("image", Kind::Text, "container.image.name", "Container image, when known."),
    optional("labels", Kind::Json, "k8s.pod.label.*", "Pod labels, when known."),
    optional("stream", Kind::Text, "log.iostream", "stdout or stderr."),
    optional("file_offset", Kind::Long, "log.file.offset", "Byte offset of the record in its source file."),
    optional("cut", Kind::Text, "", "`split` or `truncated` where the collector cut an oversized line."),
    optional("http_method", Kind::Text, "http.request.method", "Method, when the line is an access log."),
    optional("http_path", Kind::Text, "url.path", "Request target, when the line is an access log."),
    optional(
        "http_status",
        Kind::Int,
        "http.response.status_code",
        "Status, when the line is an access log.",
    ),
    optional(
        "http_bytes",
        Kind::Long,
        "http.response.body.size",
        "Bytes of the response body, when the line is an access log.",
    ),
    optional(
        "http_duration_ms",
        Kind::Double,
        "",
        "Milliseconds the request took, where the access log says.",
    ),
    optional(
        "http_user_agent",
        Kind::Text,
        "user_agent.original",
        "User agent, when the line is an access log.",
    ),
    optional("http_referer", Kind::Text, "", "Referer, when the line is an access log."),
    optional(
        "service",
        Kind::Text,
        "service.name",
        "Service, systemd unit or tag, for records that name one.",
    ),
    optional("host", Kind::Text, "host.name", "Host the record comes from, where it names one."),
    optional("workload", Kind::Text, "k8s.*.name", "Owner of the pod as `Kind/name`, when known."),
    optional(
        "file",
        Kind::Text,
        "log.file.path",
        "Source file when it was first read; null for a container's, which pod, container and restart count name.",
    ),
    optional(
        "resource",
        Kind::Json,
        "Resource",
        "Further resource attributes under their OpenTelemetry names.",
    ),
];
