//! What a log line tells about itself: severity, trace context, HTTP fields, attributes.
//!
//! The collector's `parse` transform and the processor read bodies with the same code, so that a line
//! means the same at the node and in the lake.

pub mod access;
pub mod audit;
pub mod postgres;
pub mod severity;
pub mod structured;
pub mod syslog;

use std::borrow::Cow;

/// What was understood of a body. Everything is optional.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct Understood<'a> {
    /// OpenTelemetry severity number, 1 to 24.
    pub severity_number: Option<i32>,
    /// The level as written.
    pub severity_text: Option<Cow<'a, str>>,
    /// Fields of a structured body, as a JSON object.
    pub attributes: Option<Cow<'a, str>>,
    /// 32 hex digits.
    pub trace_id: Option<String>,
    /// 16 hex digits.
    pub span_id: Option<String>,
    /// The body's own time, µs, when it is an RFC 3339 time with an offset.
    pub time: Option<i64>,
    /// Client address, canonical.
    pub src_ip: Option<Cow<'a, str>>,
    /// Client port.
    pub src_port: Option<i32>,
    /// What was done, where it is no HTTP method.
    pub action: Option<Cow<'a, str>>,
    /// HTTP method.
    pub method: Option<Cow<'a, str>>,
    /// Request target.
    pub path: Option<Cow<'a, str>>,
    /// HTTP status.
    pub status: Option<i32>,
    /// Bytes of the response body.
    pub bytes: Option<i64>,
    /// Milliseconds the request took.
    pub duration_ms: Option<f64>,
    /// User agent.
    pub user_agent: Option<Cow<'a, str>>,
    /// Referer.
    pub referer: Option<Cow<'a, str>>,
}

/// Reads a body. Tried in this order: JSON object, access log, PostgreSQL, syslog, logfmt, level prefix.
pub fn understand(body: &str) -> Understood<'_> {
    let line = body.trim_ascii();
    if line.starts_with('{')
        && let Some(understood) = structured::json(line)
    {
        return understood;
    }
    if let Some(understood) =
        access::request(line).or_else(|| postgres::read(line)).or_else(|| syslog::read(line))
    {
        return understood;
    }
    if let Some(understood) = structured::logfmt(line) {
        return understood;
    }
    let mut understood = Understood::default();
    if let Some(level) = severity::in_prefix(line).or_else(|| severity::in_second_line(line)) {
        understood.severity_number = Some(level.number);
        understood.severity_text = Some(Cow::Borrowed(level.text));
    }
    if let Some((address, port)) = access::client_in_error(line) {
        understood.src_ip = Some(address);
        understood.src_port = port;
    }
    understood
}
