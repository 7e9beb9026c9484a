//! Transform `parse`: what a body tells about itself, beside the body.
//!
//! Severity, trace context and, for bodies that are not JSON, attributes under OpenTelemetry's
//! names (semantic conventions 1.37: `client.address`, `http.request.method`, `url.path`, …). The
//! body is never changed. Fields of a JSON body are not copied: the body is their structure.
//!
//! A body that is not of the configured format passes as it is and is counted as an error.

use super::{Counts, Transform, TransformConfig};
use crate::batch::{Batch, Record, Span};
use crate::config::component::{Problem, Row, Settings, problem};
use crate::config::options;
use crate::extra::Extra;
use logq_schemas::body::{self, Understood, access, severity, structured};
use regex::Regex;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

mod json;
mod lines;

/// How a body is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// Whatever it looks like: JSON, access log, logfmt, klog, a level in front.
    Auto,
    /// A JSON object.
    Json,
    /// `key=value` pairs.
    Logfmt,
    /// nginx access or error log, ingress-nginx.
    Nginx,
    /// Apache access or error log.
    Apache,
    /// gunicorn access log, or its own messages.
    Gunicorn,
    /// Kubernetes' own programs.
    Klog,
    /// PostgreSQL's and other logs with a level in front of the message.
    Level,
    /// Named groups of `pattern`.
    Regex,
}

impl Format {
    /// The format a pod asks for in its annotation.
    fn named(name: &str) -> Option<Self> {
        // Names people know from other collectors mean the same here.
        Some(match name {
            "auto" => Self::Auto,
            "json" | "docker" => Self::Json,
            "logfmt" => Self::Logfmt,
            "nginx" | "k8s-nginx-ingress" | "nginx_combined" => Self::Nginx,
            "apache" | "apache2" | "apache_error" => Self::Apache,
            "gunicorn" => Self::Gunicorn,
            "klog" | "glog" => Self::Klog,
            "level" | "postgresql" | "syslog" => Self::Level,
            _ => return None,
        })
    }
}

/// Settings of the transform.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ParseSettings {
    /// How bodies are written.
    pub format: Format,
    /// Expression with named groups, for `format = "regex"`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pattern: Option<String>,
    /// Pods may choose another format with an annotation.
    pub honor_hints: bool,
}

impl Default for ParseSettings {
    fn default() -> Self {
        Self { format: Format::Auto, pattern: None, honor_hints: true }
    }
}

impl Settings for ParseSettings {
    const KIND: &'static str = "parse";
    const ABOUT: &'static str = "Finds severity, trace context and attributes in bodies and keeps them beside the body, which stays as it is.";

    #[rustfmt::skip]
    fn options() -> Vec<Row> {
        use options::{none, plain, text};
        vec![
            ("format", text("auto"), "`auto`, `json`, `logfmt`, `nginx`, `apache`, `gunicorn`, `klog`, `level`, `regex`"),
            ("pattern", none(), "With `regex`: an expression whose named groups become attributes; `severity`, `trace_id` and `span_id` have their own places"),
            ("honor_hints", plain("`true`"), "The annotation `logq.dev/parser` of a pod overrides `format`"),
        ]
    }

    fn check(&self, key: &str) -> Result<(), Problem> {
        let key = format!("{key}.pattern");
        match (self.format, &self.pattern) {
            (Format::Regex, None) => Err(problem(key, "is needed with format = \"regex\"")),
            (Format::Regex, Some(pattern)) => {
                let regex = Regex::new(pattern).map_err(|error| problem(&key, error.to_string()))?;
                match regex.capture_names().flatten().next() {
                    Some(_) => Ok(()),
                    None => Err(problem(key, "has no named group such as (?P<status>[0-9]+)")),
                }
            }
            (_, Some(_)) => Err(problem(key, "only means something with format = \"regex\"")),
            (_, None) => Ok(()),
        }
    }
}

impl TransformConfig for ParseSettings {
    fn build(&self, _name: &str) -> Result<Box<dyn Transform>, String> {
        let regex = match &self.pattern {
            Some(pattern) => Some(Regex::new(pattern).map_err(|error| error.to_string())?),
            None => None,
        };
        Ok(Box::new(Parse { settings: self.clone(), regex, formats: Vec::new(), out: Vec::new() }))
    }
}

#[derive(Debug)]
struct Parse {
    settings: ParseSettings,
    regex: Option<Regex>,
    /// Format of each stream of the batch at work.
    formats: Vec<Format>,
    out: Vec<u8>,
}

impl Transform for Parse {
    fn apply(&mut self, batch: &mut Batch, records: &mut Vec<Record>, counts: &mut Counts) {
        let format = |hint: Option<&str>| hint.and_then(Format::named).filter(|_| self.settings.honor_hints);
        let formats = batch
            .streams
            .iter()
            .map(|stream| format(stream.hints.parser.as_deref()).unwrap_or(self.settings.format));
        self.formats.clear();
        self.formats.extend(formats);
        for record in records {
            self.out.clear();
            let format = self.formats[record.stream as usize];
            let body = batch.bytes(record.body);
            let Ok(text) = simdutf8::basic::from_utf8(body) else {
                counts.errors += u64::from(format != Format::Auto);
                continue;
            };
            if !parse(format, self.regex.as_ref(), text, &mut self.out) {
                counts.errors += 1;
            }
            if self.out.is_empty() {
                continue;
            }
            if !record.extra.is_empty() {
                // Something is known already (from the source or another transform): it stays,
                // what is new is added.
                let known = Extra::of(batch, record);
                let mut found = Extra::decode(&self.out);
                found.refine(known);
                self.out.clear();
                found.encode(&mut self.out);
            }
            let start = batch.joined.len();
            batch.joined.extend_from_slice(&self.out);
            record.extra = Span::joined(start, batch.joined.len());
        }
    }
}

/// Appends what a body tells as members of the landing format. False when it is not of the format.
fn parse(format: Format, regex: Option<&Regex>, text: &str, out: &mut Vec<u8>) -> bool {
    let line = text.trim_ascii();
    let leveled = |line| {
        let level = severity::in_prefix(line);
        level.map(|level| Understood {
            severity_number: Some(level.number),
            severity_text: Some(level.text.into()),
            ..Understood::default()
        })
    };
    let understood = match format {
        Format::Auto => {
            if line.starts_with('{')
                && let Some(understood) = json::read(line)
            {
                return write(&understood, Map::new(), out);
            }
            if let Some(attributes) = lines::klog(line) {
                return write(&leveled(line).unwrap_or_default(), attributes, out);
            }
            let understood = body::understand(line);
            let attributes = attributes(&understood);
            return write(&understood, attributes, out);
        }
        Format::Json => match json::read(line) {
            Some(understood) => return write(&understood, Map::new(), out),
            None => return false,
        },
        Format::Logfmt => structured::logfmt(line),
        Format::Nginx => access::combined(line).or_else(|| lines::nginx_error(line)),
        Format::Apache => {
            access::combined(line).or_else(|| access::ssl_request(line)).or_else(|| lines::apache_error(line))
        }
        Format::Gunicorn => access::combined(line).or_else(|| leveled(line)),
        Format::Klog => {
            let Some(attributes) = lines::klog(line) else { return false };
            return write(&leveled(line).unwrap_or_default(), attributes, out);
        }
        Format::Level => leveled(line),
        Format::Regex => return regex.is_some_and(|regex| named_groups(regex, line, out)),
    };
    let Some(understood) = understood else { return false };
    let attributes = attributes(&understood);
    write(&understood, attributes, out)
}

fn named_groups(regex: &Regex, line: &str, out: &mut Vec<u8>) -> bool {
    let Some(groups) = regex.captures(line) else { return false };
    let mut extra = Extra::default();
    for name in regex.capture_names().flatten() {
        let Some(value) = groups.name(name).map(|group| group.as_str()) else { continue };
        match name {
            "severity" | "level" => {
                extra.severity_number = number(severity::number(value));
                value.clone_into(&mut extra.severity_text);
            }
            "trace_id" => value.clone_into(&mut extra.trace_id),
            "span_id" => value.clone_into(&mut extra.span_id),
            _ => {
                extra.attributes.insert(name.to_owned(), value.into());
            }
        }
    }
    extra.encode(out);
    true
}

fn number(severity: Option<i32>) -> u8 {
    severity.and_then(|number| u8::try_from(number).ok()).unwrap_or(0)
}

/// Attributes of a line that is not JSON.
fn attributes(understood: &Understood<'_>) -> Map<String, Value> {
    let mut attributes = match understood.attributes.as_deref().map(serde_json::from_str) {
        Some(Ok(Value::Object(fields))) => fields,
        _ => Map::new(),
    };
    let mut put = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            attributes.insert(name.to_owned(), value);
        }
    };
    let text = |value: &Option<std::borrow::Cow<'_, str>>| value.as_deref().map(Value::from);
    put("client.address", text(&understood.src_ip));
    put("client.port", understood.src_port.map(Value::from));
    put("http.request.method", text(&understood.method));
    if let Some(target) = understood.path.as_deref() {
        let (path, query) =
            target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
        put("url.path", Some(path.into()));
        put("url.query", query.map(Value::from));
    }
    put("http.response.status_code", understood.status.map(Value::from));
    put("http.response.body.size", understood.bytes.map(Value::from));
    put("http.server.request.duration", understood.duration_ms.map(|millis| (millis / 1_000.0).into()));
    put("user_agent.original", text(&understood.user_agent));
    put("http.request.header.referer", text(&understood.referer));
    attributes
}

/// Writes the members without building what is not there. Always true: the body was understood.
fn write(understood: &Understood<'_>, attributes: Map<String, Value>, out: &mut Vec<u8>) -> bool {
    use std::io::Write as _;
    let severity = number(understood.severity_number);
    if severity > 0 {
        // Writing into a vector does not fail.
        let _ = write!(out, ",\"n\":{severity}");
    }
    let texts = [
        ("sv", understood.severity_text.as_deref()),
        ("tr", understood.trace_id.as_deref()),
        ("sp", understood.span_id.as_deref()),
    ];
    for (name, text) in texts {
        if let Some(text) = text {
            let _ = write!(out, ",\"{name}\":");
            let _ = serde_json::to_writer(&mut *out, text);
        }
    }
    if !attributes.is_empty() {
        out.extend_from_slice(b",\"a\":");
        let _ = serde_json::to_writer(&mut *out, &attributes);
    }
    true
}

#[cfg(test)]
mod tests;
