//! Outputs become sinks.

use super::{Section, Translation};
use toml::{Table, Value};

impl Translation {
    pub(super) fn output(&mut self, mut section: Section) {
        let kind = section.take("name").unwrap_or_default().to_ascii_lowercase();
        let place = section.place.clone();
        let routes = self.matching(&mut section);
        section.take("alias");
        let mut sink = Table::new();
        let kind = match kind.as_str() {
            "cloudwatch_logs" | "cloudwatch" => self.cloudwatch(&routes, &mut section, &mut sink),
            "s3" => self.s3(&mut section, &mut sink),
            "stdout" => {
                if section.take("format").is_some_and(|format| format.starts_with("json")) {
                    sink.insert("encoding".to_owned(), "json".into());
                }
                "console"
            }
            "null" => "blackhole",
            "file" => {
                self.note(&place, "output file", "the sink `file` writes landing objects (compressed JSON lines) below `path`, not one file a tag");
                let path = section.take("path").unwrap_or_else(|| "/var/log/logq".to_owned());
                sink.insert("path".to_owned(), path.into());
                "file"
            }
            "opentelemetry" | "http" => {
                let host = section.take("host").unwrap_or_else(|| "127.0.0.1".to_owned());
                let port = section.take("port").unwrap_or_else(|| "80".to_owned());
                let scheme = if section.switch("tls") == Some(true) { "https" } else { "http" };
                let (uri, key, name) = match kind.as_str() {
                    "http" => (section.take("uri").unwrap_or_else(|| "/".to_owned()), "uri", "http"),
                    _ => (section.take("logs_uri").unwrap_or_default(), "endpoint", "otlp"),
                };
                sink.insert(key.to_owned(), format!("{scheme}://{host}:{port}{uri}").into());
                name
            }
            other => {
                self.note(
                    &place,
                    &format!("output {other}"),
                    "no counterpart; send to aws_s3 or another sink, or keep Fluent Bit for it",
                );
                return;
            }
        };
        if routes.is_empty() {
            self.note(&place, &format!("output {kind}"), "no translated input matches it; left out");
            return;
        }
        if let Some(limit) = section.take("storage.total_limit_size") {
            match bytes(&limit).filter(|bytes| *bytes >= 16 << 20) {
                Some(bytes) => {
                    let buffer: Table = [
                        ("max_bytes".to_owned(), Value::from(bytes)),
                        ("when_full".to_owned(), "drop_oldest".into()),
                    ]
                    .into_iter()
                    .collect();
                    sink.insert("buffer".to_owned(), buffer.into());
                }
                None => self.note(
                    &place,
                    "storage.total_limit_size",
                    "a buffer holds at least two segments (16 MiB); set the sink's buffer by hand",
                ),
            }
        }
        let mut heads: Vec<String> = routes.iter().map(|&route| self.routes[route].head.clone()).collect();
        heads.sort();
        heads.dedup();
        sink.insert("type".to_owned(), kind.into());
        sink.insert("inputs".to_owned(), heads.into());
        self.sinks.insert(format!("{kind}_{}", self.sinks.len() + 1), sink.into());
        self.leftover(section);
    }

    /// Keys that all AWS sinks have in common.
    fn aws(&mut self, section: &mut Section, sink: &mut Table) {
        if let Some(region) = section.take("region") {
            sink.insert("region".to_owned(), region.into());
        }
        if let Some(endpoint) = section.take("endpoint") {
            let url = if endpoint.contains("://") { endpoint } else { format!("https://{endpoint}") };
            sink.insert("endpoint".to_owned(), url.into());
        }
        let mut auth = Table::new();
        for (key, ours) in [("role_arn", "assume_role"), ("external_id", "external_id")] {
            if let Some(value) = section.take(key) {
                auth.insert(ours.to_owned(), value.into());
            }
        }
        if !auth.is_empty() {
            sink.insert("auth".to_owned(), auth.into());
        }
        section.take("extra_user_agent");
        section.take("auto_retry_requests");
    }

    fn cloudwatch(&mut self, routes: &[usize], section: &mut Section, sink: &mut Table) -> &'static str {
        self.aws(section, sink);
        let place = section.place.clone();
        let kubernetes = routes.iter().all(|&route| self.routes[route].kubernetes);
        let group = section.take("log_group_name").unwrap_or_else(|| "fluent-bit".to_owned());
        let group =
            self.template(&place, section.take("log_group_template")).unwrap_or_else(|| literal(&group));
        sink.insert("group_name".to_owned(), group.into());
        let rest =
            if kubernetes { "{{ namespace }}/{{ pod }}/{{ container }}" } else { "{{ node }}{{ file }}" };
        let stream = match (section.take("log_stream_name"), section.take("log_stream_prefix")) {
            (Some(name), _) => literal(&name),
            (None, Some(prefix)) => literal(&prefix) + rest,
            (None, None) => rest.to_owned(),
        };
        let stream = self.template(&place, section.take("log_stream_template")).unwrap_or(stream);
        sink.insert("stream_name".to_owned(), stream.into());
        let create = section.switch("auto_create_group").unwrap_or(false);
        sink.insert("create_missing_group".to_owned(), create.into());
        if let Some(days) = section.take("log_retention_days").and_then(|days| days.parse::<i64>().ok()) {
            let retention: Table = [("days".to_owned(), Value::from(days))].into_iter().collect();
            sink.insert("retention".to_owned(), retention.into());
        }
        // Without log_key Fluent Bit sends the whole record.
        let encoding = if section.take("log_key").is_some() { "text" } else { "json" };
        sink.insert("encoding".to_owned(), encoding.into());
        "aws_cloudwatch_logs"
    }

    /// A template of Fluent Bit; none, with a note, when it uses what templates here do not know.
    fn template(&mut self, place: &str, text: Option<String>) -> Option<String> {
        let text = text?;
        let mut out = literal(&text);
        for (theirs, ours) in [
            ("$kubernetes['namespace_name']", "namespace"),
            ("$kubernetes['pod_name']", "pod"),
            ("$kubernetes['container_name']", "container"),
            ("$kubernetes['host']", "node"),
            ("$kubernetes['pod_id']", "pod_uid"),
        ] {
            out = out.replace(theirs, &format!("{{{{ {ours} }}}}"));
        }
        if out.replace("${", "").contains('$') {
            self.note(
                place,
                &text,
                "the template uses fields that templates here do not have; the fixed name is used instead",
            );
            return None;
        }
        Some(out)
    }

    fn s3(&mut self, section: &mut Section, sink: &mut Table) -> &'static str {
        self.aws(section, sink);
        let place = section.place.clone();
        for (key, ours) in [("bucket", "bucket"), ("storage_class", "storage_class"), ("canned_acl", "acl")] {
            if let Some(value) = section.take(key) {
                sink.insert(ours.to_owned(), value.into());
            }
        }
        if let Some(format) = section.take("s3_key_format") {
            self.note(&place, "s3_key_format", "keys are made from the content's positions, so that a repeated upload overwrites itself; only the fixed beginning became key_prefix");
            let fixed = format.trim_start_matches('/').split(['$', '%']).next().unwrap_or_default();
            let prefix = fixed.rsplit_once('/').map_or("", |(prefix, _)| prefix);
            if !prefix.is_empty() {
                sink.insert("key_prefix".to_owned(), format!("{prefix}/").into());
            }
        }
        if section.take("compression").is_some() {
            self.note(&place, "compression", "objects are always compressed with zstd");
        }
        for (key, ours) in [("total_file_size", "segment.max_bytes"), ("upload_timeout", "segment.max_age")] {
            if let Some(value) = section.take(key) {
                self.note(&place, &format!("{key} {value}"), &format!("the size and age of objects are those of segments, the same for all sinks and small by default; set {ours} if you need other ones"));
            }
        }
        section.take("use_put_object");
        "aws_s3"
    }
}

/// A fixed name inside a template.
fn literal(text: &str) -> String {
    text.replace('%', "%%")
}

fn bytes(text: &str) -> Option<i64> {
    let digits = text.trim().trim_end_matches(['B', 'b']);
    let (number, factor) = match digits.chars().last()?.to_ascii_uppercase() {
        'K' => (&digits[..digits.len() - 1], 1 << 10),
        'M' => (&digits[..digits.len() - 1], 1 << 20),
        'G' => (&digits[..digits.len() - 1], 1 << 30),
        _ => (digits, 1),
    };
    number.parse::<i64>().ok()?.checked_mul(factor)
}
