//! Bodies that are structured: JSON objects and logfmt.

use super::Understood;
use super::{audit, postgres, severity};
use crate::text::json::{Cursor, Fault, Kind, Value, push_string};
use crate::text::{address, time};
use std::borrow::Cow;

/// Reads a JSON object; `None` when the body is not exactly one.
pub fn json(line: &str) -> Option<Understood<'_>> {
    let mut understood = Understood::default();
    let mut http = Http::default();
    let mut cursor = Cursor::new(line, 0);
    let whole = cursor
        .value_with::<Fault>(|cursor, key| {
            let name = key.raw.get(1..key.raw.len() - 1).unwrap_or("");
            let value = cursor.value()?;
            match value.kind {
                Kind::Object => nested(name, value, &mut understood, &mut http),
                _ => field(name, value, &mut understood, &mut http),
            }
            Ok(())
        })
        .ok()?;
    if cursor.at() != line.len() {
        return None;
    }
    understood.attributes = Some(whole.json());
    let (audited, postgres) = (http.audited, http.postgres);
    http.into(&mut understood);
    if audited {
        audit::refine(whole.raw, &mut understood);
    }
    if postgres && let Some((ip, port)) = postgres::json_peer(whole.raw) {
        (understood.src_ip, understood.src_port) = (Some(ip), port);
    }
    Some(understood)
}

/// What is made sense of after the walk: HTTP fields, which count only together: a `status` alone may mean anything.
#[derive(Default)]
struct Http<'a> {
    method: Option<Cow<'a, str>>,
    path: Option<Cow<'a, str>>,
    status: Option<i32>,
    bytes: Option<i64>,
    duration_ms: Option<f64>,
    user_agent: Option<Cow<'a, str>>,
    referer: Option<Cow<'a, str>>,
    client: Option<Cow<'a, str>>,
    /// Whether the object has the id of a Kubernetes audit event.
    audited: bool,
    /// Whether the object has the severity of PostgreSQL's jsonlog.
    postgres: bool,
}

impl<'a> Http<'a> {
    fn into(self, understood: &mut Understood<'a>) {
        if self.method.is_none() || (self.status.is_none() && self.path.is_none()) {
            return;
        }
        understood.method = self.method;
        understood.path = self.path;
        understood.status = self.status;
        understood.bytes = self.bytes;
        understood.duration_ms = self.duration_ms;
        understood.user_agent = self.user_agent;
        understood.referer = self.referer;
        if let Some(client) = self.client {
            let found = match client {
                Cow::Borrowed(text) => address::with_port(text),
                Cow::Owned(text) => {
                    address::with_port(&text).map(|(ip, port)| (Cow::Owned(ip.into_owned()), port))
                }
            };
            if let Some((ip, port)) = found {
                understood.src_ip = Some(ip);
                understood.src_port = port;
            }
        }
    }
}

/// One level of nesting: `log.level`, `trace.id`, `http.request.method` and their kin.
fn nested<'a>(outer: &str, value: Value<'a>, understood: &mut Understood<'a>, http: &mut Http<'a>) {
    if !matches!(
        outer,
        "log"
            | "trace"
            | "span"
            | "http"
            | "url"
            | "request"
            | "response"
            | "client"
            | "user_agent"
            | "req"
            | "res"
    ) {
        return;
    }
    let _ = Cursor::new(value.raw, 0).object::<Fault>(|cursor, key| {
        let inner = key.raw.get(1..key.raw.len() - 1).unwrap_or("");
        let value = cursor.value()?;
        match (outer, inner) {
            ("req" | "request", "method") => field("method", value, understood, http),
            ("req" | "request", "url" | "path" | "uri") => field("path", value, understood, http),
            ("req" | "request", "remoteAddress" | "remote_ip") => {
                field("remote_addr", value, understood, http)
            }
            ("res" | "response", "statusCode" | "status_code" | "status") => {
                field("status", value, understood, http)
            }
            ("http", "method" | "status_code" | "status" | "url" | "path") => {
                field(inner, value, understood, http)
            }
            ("log" | "trace" | "span" | "url" | "client", _) => {
                field(&format!("{outer}.{inner}"), value, understood, http);
            }
            ("user_agent", "original") => field("user_agent", value, understood, http),
            _ => {}
        }
        Ok(())
    });
}

fn field<'a>(name: &str, value: Value<'a>, understood: &mut Understood<'a>, http: &mut Http<'a>) {
    match name {
        "level" | "severity" | "lvl" | "loglevel" | "log_level" | "log.level" | "levelname"
        | "severity_text" | "severityText" | "@l" | "LEVEL" | "Level" => level(value, understood),
        "trace_id" | "traceId" | "traceID" | "trace.id" | "otelTraceID" | "trace" | "TraceId" => {
            understood.trace_id = understood.trace_id.take().or_else(|| hex(&value, 32));
        }
        "span_id" | "spanId" | "spanID" | "span.id" | "otelSpanID" | "span" | "SpanId" => {
            understood.span_id = understood.span_id.take().or_else(|| hex(&value, 16));
        }
        "error_severity" => {
            http.postgres = true;
            level(value, understood);
        }
        "auditID" => http.audited = true,
        "traceparent" => traceparent(&value, understood),
        "time" | "timestamp" | "@timestamp" | "ts" | "@t" | "datetime" | "eventTime" => {
            understood.time = understood.time.or_else(|| instant(&value));
        }
        "method" | "http_method" | "request_method" | "http.method" | "http.request.method" | "verb" => {
            http.method = value.text().filter(|text| is_method(text));
        }
        "path" | "uri" | "url" | "request_uri" | "request_path" | "url.path" | "http.target" | "http.url" => {
            http.path = value.text().or(http.path.take());
        }
        "status"
        | "status_code"
        | "statusCode"
        | "http_status"
        | "response_code"
        | "http.status_code"
        | "http.response.status_code" => {
            http.status = number(&value)
                .filter(|code| (100..=599).contains(code))
                .and_then(|code| i32::try_from(code).ok());
        }
        "bytes" | "body_bytes_sent" | "bytes_sent" | "response_size" | "http.response.body.bytes" => {
            http.bytes = number(&value).filter(|bytes| *bytes >= 0);
        }
        "duration_ms" | "latency_ms" | "elapsed_ms" | "response_time_ms" | "responseTime" => {
            http.duration_ms = float(&value);
        }
        "request_time" | "upstream_response_time" | "duration_s" if http.duration_ms.is_none() => {
            http.duration_ms = float(&value).map(|seconds| seconds * 1_000.0);
        }
        "user_agent" | "userAgent" | "http_user_agent" | "user_agent.original" => {
            http.user_agent = value.text()
        }
        "referer" | "referrer" | "http_referer" | "http_referrer" => http.referer = value.text(),
        "remote_addr" | "remote_ip" | "remoteAddress" | "client_ip" | "clientIp" | "client.ip"
        | "client.address" | "ip" => http.client = value.text().or(http.client.take()),
        _ => {}
    }
}

fn level<'a>(value: Value<'a>, understood: &mut Understood<'a>) {
    if understood.severity_text.is_some() {
        return;
    }
    let Some(text) = value.plain().filter(|text| text.len() <= 32) else { return };
    understood.severity_number = match value.kind {
        Kind::Number => value.raw.parse().ok().and_then(severity::of_number),
        // slog writes levels between its own as `INFO+2`.
        _ => severity::number(text.trim().split(['+', '-']).next().unwrap_or("")),
    };
    if understood.severity_number.is_some() || matches!(value.kind, Kind::Text { .. }) {
        understood.severity_text = Some(text);
    }
}

/// 2001-09-09: a smaller number is no time in seconds, milliseconds or less.
const EPOCH_MIN: f64 = 1e9;

/// An RFC 3339 time with an offset, the same with `UTC` behind it (PostgreSQL), or a Unix time (zap,
/// zerolog, pino).
fn instant(value: &Value<'_>) -> Option<i64> {
    if value.kind == Kind::Number {
        let number = value.raw.parse::<f64>().ok().filter(|number| *number >= EPOCH_MIN && *number < 1e19)?;
        // Seconds carry a fraction, kept to the microsecond; larger units are whole.
        let micros =
            if number < 1e11 { (number * 1e6).round() as i64 } else { time::from_epoch(number as i64) };
        return time::in_range(micros).then_some(micros);
    }
    let text = value.text()?;
    let universal = text.strip_suffix(" UTC").or_else(|| text.strip_suffix(" GMT"));
    let parsed = time::parse(universal.unwrap_or(&text))?;
    (parsed.zoned || universal.is_some()).then_some(parsed.micros)
}

fn is_method(text: &str) -> bool {
    (3..=16).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_uppercase())
}

fn number(value: &Value<'_>) -> Option<i64> {
    value.raw.trim_matches('"').parse().ok()
}

fn float(value: &Value<'_>) -> Option<f64> {
    value.raw.trim_matches('"').parse::<f64>().ok().filter(|number| number.is_finite() && *number >= 0.0)
}

/// A non-zero id of exactly this many hex digits, in lower case; dashes of UUID style are dropped.
fn hex(value: &Value<'_>, digits: usize) -> Option<String> {
    let text = value.text()?;
    let id: String =
        text.chars().filter(|character| *character != '-').collect::<String>().to_ascii_lowercase();
    let fits = id.len() == digits
        && id.bytes().all(|byte| byte.is_ascii_hexdigit())
        && id.bytes().any(|byte| byte != b'0');
    fits.then_some(id)
}

/// W3C trace context: `00-<trace id>-<span id>-<flags>`.
fn traceparent(value: &Value<'_>, understood: &mut Understood<'_>) {
    let Some(text) = value.text() else { return };
    let mut parts = text.split('-').skip(1);
    if let (Some(trace), Some(span)) = (parts.next(), parts.next()) {
        let fits = |id: &str, digits| id.len() == digits && id.bytes().all(|byte| byte.is_ascii_hexdigit());
        if fits(trace, 32) && fits(span, 16) {
            understood.trace_id.get_or_insert_with(|| trace.to_ascii_lowercase());
            understood.span_id.get_or_insert_with(|| span.to_ascii_lowercase());
        }
    }
}

/// Reads logfmt, when the whole line clearly is: `key=value` throughout, with a key that says so or
/// at least three pairs.
pub fn logfmt(line: &str) -> Option<Understood<'_>> {
    let first_key = line.split('=').next()?;
    if first_key.len() == line.len() || !is_key(first_key) {
        return None;
    }
    let mut pairs = Vec::new();
    let mut rest = line;
    while !rest.is_empty() {
        let (key, after) = rest.split_once('=')?;
        if !is_key(key) {
            return None;
        }
        let (value, after) = match after.strip_prefix('"') {
            Some(inside) => {
                let end = closing_quote(inside)?;
                (Cow::Owned(unquote(inside.get(..end)?)), inside.get(end + 1..)?)
            }
            None => {
                let end = after.find(' ').unwrap_or(after.len());
                (Cow::Borrowed(after.get(..end)?), after.get(end..)?)
            }
        };
        if !after.is_empty() && !after.starts_with(' ') {
            return None;
        }
        pairs.push((key, value));
        rest = after.trim_start_matches(' ');
    }
    let telling =
        pairs.iter().any(|(key, _)| matches!(*key, "level" | "lvl" | "severity" | "msg" | "ts" | "time"));
    if pairs.len() < 2 || (!telling && pairs.len() < 3) {
        return None;
    }
    Some(from_pairs(&pairs))
}

fn from_pairs<'a>(pairs: &[(&'a str, Cow<'a, str>)]) -> Understood<'a> {
    let mut understood = Understood::default();
    let mut attributes = String::from("{");
    for (number, (key, value)) in pairs.iter().enumerate() {
        if number > 0 {
            attributes.push(',');
        }
        push_string(key, &mut attributes);
        attributes.push(':');
        push_string(value, &mut attributes);
    }
    attributes.push('}');
    // The same fields mean the same as in JSON: read them from the object just made.
    if let Some(read) = json(&attributes) {
        understood = own(read);
    }
    understood.attributes = Some(Cow::Owned(attributes));
    understood
}

fn own(read: Understood<'_>) -> Understood<'static> {
    let text = |text: Option<Cow<'_, str>>| text.map(|text| Cow::Owned(text.into_owned()));
    Understood {
        severity_number: read.severity_number,
        severity_text: text(read.severity_text),
        attributes: None,
        trace_id: read.trace_id,
        span_id: read.span_id,
        time: read.time,
        src_ip: text(read.src_ip),
        src_port: read.src_port,
        action: text(read.action),
        method: text(read.method),
        path: text(read.path),
        status: read.status,
        bytes: read.bytes,
        duration_ms: read.duration_ms,
        user_agent: text(read.user_agent),
        referer: text(read.referer),
    }
}

fn is_key(key: &str) -> bool {
    (1..=64).contains(&key.len())
        && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b'@'))
        && key.bytes().any(|byte| byte.is_ascii_alphabetic())
}

fn closing_quote(inside: &str) -> Option<usize> {
    let bytes = inside.as_bytes();
    let mut at = 0;
    loop {
        match bytes.get(at)? {
            b'"' => return Some(at),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

fn unquote(inside: &str) -> String {
    let mut out = String::with_capacity(inside.len());
    let mut characters = inside.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => match characters.next() {
                Some('n') => out.push('\n'),
                Some('t') => out.push('\t'),
                Some('r') => out.push('\r'),
                Some(other) => out.push(other),
                None => out.push('\\'),
            },
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_bodies_give_level_time_trace_and_attributes() {
        let line = r#"{ "level":"warn", "msg":"x y", "ts":"2024-05-01T10:00:00.5+02:00", "trace_id":"4BF92F3577B34DA6A3CE929D0E0E4736","span_id":"00f067aa0ba902b7"}"#;
        let understood = json(line).unwrap();
        assert_eq!(
            (understood.severity_number, understood.severity_text.as_deref()),
            (Some(13), Some("warn"))
        );
        assert_eq!(understood.time, Some(1_714_550_400_500_000));
        assert_eq!(understood.trace_id.as_deref(), Some("4bf92f3577b34da6a3ce929d0e0e4736"));
        assert_eq!(understood.span_id.as_deref(), Some("00f067aa0ba902b7"));
        assert!(understood.attributes.unwrap().starts_with(r#"{"level":"warn","msg":"x y""#));
        assert_eq!(json(r#"{"level":50,"log":{"level":"x"}}"#).unwrap().severity_number, Some(17));
        assert_eq!(json(r#"{"log":{"level":"error"}}"#).unwrap().severity_number, Some(17));
        assert_eq!(json(r#"{"time":"2024-05-01T10:00:00","ts":12}"#).unwrap().time, None);
        for written in [
            "1714550400.5",
            "1714550400500",
            "1714550400500000",
            "1714550400500000000",
            "\"2024-05-01 08:00:00.5 UTC\"",
        ] {
            let line = format!(r#"{{"ts":{written}}}"#);
            assert_eq!(json(&line).unwrap().time, Some(1_714_550_400_500_000), "{written}");
        }
        assert_eq!(json(r#"{"level":"ERROR+2"}"#).unwrap().severity_number, Some(17));
        let postgres = json(r#"{"timestamp":"2026-01-02 03:04:05.678 UTC","user":"bob","dbname":"shop","pid":9,"remote_host":"10.0.0.1","remote_port":43210,"error_severity":"FATAL","message":"x"}"#).unwrap();
        assert_eq!(
            (postgres.severity_number, postgres.src_ip.as_deref(), postgres.src_port),
            (Some(21), Some("10.0.0.1"), Some(43210))
        );
        assert_eq!(postgres.time, Some(1_767_323_045_678_000));
        assert!(json(r#"{"a":1} tail"#).is_none() && json("{oops}").is_none());
    }

    #[test]
    fn http_fields_count_only_together() {
        let understood =
            json(r#"{"method":"GET","path":"/x","status":"404","remote_addr":"10.0.0.1:123"}"#).unwrap();
        assert_eq!((understood.status, understood.src_port), (Some(404), Some(123)));
        assert_eq!(json(r#"{"status":404,"ip":"10.0.0.1"}"#).unwrap().status, None);
    }

    #[test]
    fn logfmt_only_when_clear() {
        let understood = logfmt(r#"ts=2024-05-01T10:00:00Z level=error msg="it \"broke\"" n=1"#).unwrap();
        assert_eq!(understood.severity_number, Some(17));
        assert_eq!(
            understood.attributes.unwrap(),
            r#"{"ts":"2024-05-01T10:00:00Z","level":"error","msg":"it \"broke\"","n":"1"}"#
        );
        for line in
            ["a=b", "x = y", "PATH=/bin HOME=/root", "level=info and more", "see http://a/?b=c d=e f=g", ""]
        {
            assert!(logfmt(line).is_none(), "{line}");
        }
    }
}
