//! Outputs become sinks.

use super::{Section, Translation};
use toml::{Table, Value};

impl Translation {
    pub(super) fn output(&mut self, mut section: Section) {
        let before = self.routes.clone();
        let processors = std::mem::take(&mut section.processors);
        let kind = section.take("name").unwrap_or_default().to_ascii_lowercase();
        let mut routes = self.matching(&mut section, false);
        if !processors.is_empty() {
            // They are about this output alone: it gets routes of its own.
            routes = routes.iter().map(|&route| self.beside(route)).collect();
            for processor in processors {
                self.processor(&routes, processor);
            }
        }
        if routes.is_empty() {
            self.left_out(&section, &format!("output {kind}"), "no translated input matches it; left out");
            return;
        }
        let mut sink = Table::new();
        let place = section.place.clone();
        let name = match kind.as_str() {
            "cloudwatch_logs" | "cloudwatch" => self.cloudwatch(&routes, &mut section, &mut sink),
            "s3" => self.s3(&mut section, &mut sink),
            "stdout" => {
                match section.take("format") {
                    Some(format) if format.starts_with("json") => {
                        sink.insert("encoding".to_owned(), "json".into());
                    }
                    Some(format) => {
                        self.note(&place, &format!("format {format}"), "there are text and json; text it is")
                    }
                    None => {}
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
            "opentelemetry" => self.otlp(&mut section, &mut sink),
            "http" => self.http(&mut section, &mut sink),
            other => {
                self.left_out(&section, &format!("output {other}"), "no counterpart: its records are not sent there; send to aws_s3 or another sink, or keep Fluent Bit for it");
                self.routes = before;
                return;
            }
        };
        self.limit(&mut section, &mut sink);
        self.connect(&place, name, sink, &routes);
        // Routes of this output's own end here.
        self.routes = before;
        self.leftover(section);
    }

    fn connect(&mut self, place: &str, name: &str, mut sink: Table, routes: &[usize]) {
        let mut heads: Vec<String> = routes.iter().map(|&route| self.routes[route].head.clone()).collect();
        // There is one standard output: several outputs to it are one sink.
        let shared = self.sinks.keys().find(|sink| name == "console" && sink.starts_with(name)).cloned();
        if let Some(Value::Table(other)) = shared.as_ref().and_then(|shared| self.sinks.remove(shared)) {
            let inputs = other.get("inputs").and_then(Value::as_array).into_iter().flatten();
            heads.extend(inputs.filter_map(|head| head.as_str().map(str::to_owned)));
            if other.get("encoding") != sink.get("encoding") {
                self.note(
                    place,
                    "output stdout",
                    "standard output is one sink with one encoding: that of this one",
                );
            }
        }
        heads.sort();
        heads.dedup();
        sink.insert("type".to_owned(), name.into());
        sink.insert("inputs".to_owned(), heads.into());
        let label = shared.unwrap_or_else(|| format!("{name}_{}", self.sinks.len() + 1));
        self.sinks.insert(label, sink.into());
    }

    fn beside(&mut self, route: usize) -> usize {
        let route = self.routes[route].clone();
        self.routes.push(route);
        self.routes.len() - 1
    }

    fn limit(&mut self, section: &mut Section, sink: &mut Table) {
        let Some(limit) = section.take("storage.total_limit_size") else { return };
        match bytes(&limit).filter(|bytes| *bytes >= 16 << 20) {
            Some(bytes) => {
                let buffer = Table::from_iter([
                    ("max_bytes".to_owned(), Value::from(bytes)),
                    ("when_full".to_owned(), "drop_oldest".into()),
                ]);
                sink.insert("buffer".to_owned(), buffer.into());
            }
            None => {
                let place = section.place.clone();
                self.note(&place, &format!("storage.total_limit_size {limit}"), "a buffer holds at least two segments (16 MiB): there is no limit now; set the sink's buffer by hand");
            }
        }
    }

    /// The address both sinks over HTTP have in common, up to the path.
    fn origin(&mut self, section: &mut Section, sink: &mut Table) -> String {
        let place = section.place.clone();
        let host = section.take("host").unwrap_or_else(|| "127.0.0.1".to_owned());
        let port = section.take("port").unwrap_or_else(|| "80".to_owned());
        let tls = section.switch("tls") == Some(true);
        let mut table = Table::new();
        for (key, ours) in
            [("tls.ca_file", "ca_file"), ("tls.crt_file", "crt_file"), ("tls.key_file", "key_file")]
        {
            if let Some(file) = section.take(key).filter(|_| tls) {
                table.insert(ours.to_owned(), file.into());
            }
        }
        match section.switch("tls.verify") {
            Some(false) if table.contains_key("ca_file") => self.note(
                &place,
                "tls.verify off",
                "certificates are checked against tls.ca_file; without it set tls.verify_certificate = false",
            ),
            Some(false) if tls => {
                table.insert("verify_certificate".to_owned(), false.into());
            }
            _ => {}
        }
        if !table.is_empty() {
            sink.insert("tls".to_owned(), table.into());
        }
        let mut headers = Table::new();
        for entry in section.take_all("header") {
            let (name, value) = entry.value.split_once([' ', '\t']).unwrap_or((&entry.value, ""));
            if ["authorization", "content-type", "content-encoding"]
                .contains(&name.to_ascii_lowercase().as_str())
            {
                self.note(&entry.place, &format!("header {name}"), "is not a header to set here: credentials are auth (from a file or a variable), the others follow from the encoding");
            } else {
                headers.insert(name.to_owned(), value.trim().into());
            }
        }
        if !headers.is_empty() {
            sink.insert("headers".to_owned(), headers.into());
        }
        if let Some(user) = section.take("http_user") {
            // A password in the file would be one in our configuration.
            section.take("http_passwd");
            self.note(&place, "http_passwd", "passwords don't stand in the configuration: set the environment variable LOGQ_HTTP_PASSWORD, or auth.password_file");
            let auth = [
                ("strategy", "basic".to_owned()),
                ("user", user),
                ("password_env", "LOGQ_HTTP_PASSWORD".to_owned()),
            ];
            let auth: Table = auth.into_iter().map(|(key, value)| (key.to_owned(), value.into())).collect();
            sink.insert("auth".to_owned(), auth.into());
        }
        let algorithm = section.take("compress").unwrap_or_else(|| "none".to_owned());
        if ["none", "gzip", "zstd"].contains(&algorithm.as_str()) {
            let compression = Table::from_iter([("algorithm".to_owned(), algorithm.into())]);
            sink.insert("compression".to_owned(), compression.into());
        } else {
            self.note(
                &place,
                &format!("compress {algorithm}"),
                "there are gzip and zstd; the sink's default is used",
            );
        }
        format!("{}://{host}:{port}", if tls { "https" } else { "http" })
    }

    fn otlp(&mut self, section: &mut Section, sink: &mut Table) -> &'static str {
        let origin = self.origin(section, sink);
        let path = section.take("logs_uri").unwrap_or_else(|| "/v1/logs".to_owned());
        let grpc = section.switch("grpc") == Some(true);
        let (protocol, endpoint) = if grpc { ("grpc", origin) } else { ("http", origin + &path) };
        sink.insert("protocol".to_owned(), protocol.into());
        sink.insert("endpoint".to_owned(), endpoint.into());
        "otlp"
    }

    fn http(&mut self, section: &mut Section, sink: &mut Table) -> &'static str {
        let place = section.place.clone();
        let origin = self.origin(section, sink);
        let path = section.take("uri").unwrap_or_else(|| "/".to_owned());
        let slash = if path.starts_with('/') { "" } else { "/" };
        sink.insert("uri".to_owned(), format!("{origin}{slash}{path}").into());
        if let Some(method) = section.take("http_method") {
            sink.insert("method".to_owned(), method.to_ascii_lowercase().into());
        }
        let format = section.take("format").unwrap_or_else(|| "msgpack".to_owned());
        let framing = match format.as_str() {
            "json" => "array",
            "json_lines" | "json_stream" => "newline_delimited",
            _ => {
                self.note(
                    &place,
                    &format!("format {format}"),
                    "there is JSON: the receiver must understand it",
                );
                "array"
            }
        };
        self.note(&place, "output http", "records are objects with the names of the table app_log, not the fields of Fluent Bit; see encoding.codec");
        sink.insert("framing".to_owned(), Table::from_iter([("method".to_owned(), framing.into())]).into());
        "http"
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
    }

    fn cloudwatch(&mut self, routes: &[usize], section: &mut Section, sink: &mut Table) -> &'static str {
        self.aws(section, sink);
        let place = section.place.clone();
        let group = section.take("log_group_name").unwrap_or_else(|| "fluent-bit".to_owned());
        let group =
            self.template(&place, section.take("log_group_template")).unwrap_or_else(|| literal(&group));
        sink.insert("group_name".to_owned(), group.into());
        let (name, prefix) = (section.take("log_stream_name"), section.take("log_stream_prefix"));
        let stream = match (name, prefix) {
            (Some(name), _) => literal(&name),
            (None, prefix) => literal(&prefix.unwrap_or_default()) + &self.behind_prefix(routes, &place),
        };
        let stream = self.template(&place, section.take("log_stream_template")).unwrap_or(stream);
        sink.insert("stream_name".to_owned(), stream.into());
        let create = section.switch("auto_create_group").unwrap_or(false);
        sink.insert("create_missing_group".to_owned(), create.into());
        if let Some(days) = section.take("log_retention_days") {
            match days.parse::<i64>() {
                Ok(days) => {
                    let retention = Table::from_iter([("days".to_owned(), Value::from(days))]);
                    sink.insert("retention".to_owned(), retention.into());
                }
                Err(_) => {
                    self.note(&place, &format!("log_retention_days {days}"), "is not a number; left out")
                }
            }
        }
        if let Some(class) = section.take("log_group_class") {
            sink.insert("log_group_class".to_owned(), class.into());
        }
        // Without log_key Fluent Bit sends the whole record.
        let key = section.take("log_key");
        if let Some(key) = key.as_ref().filter(|key| !super::is_body(key)) {
            self.note(
                &place,
                &format!("log_key {key}"),
                "the body is what can be sent alone; write a remap transform that makes it the body",
            );
        }
        sink.insert("encoding".to_owned(), if key.is_some() { "text" } else { "json" }.into());
        "aws_cloudwatch_logs"
    }

    /// What stands behind log_stream_prefix: the tag in Fluent Bit.
    fn behind_prefix(&mut self, routes: &[usize], place: &str) -> String {
        let mut tags: Vec<&str> = routes.iter().map(|&route| self.routes[route].tag.as_str()).collect();
        tags.dedup();
        if let [tag] = tags.as_slice()
            && !tag.contains('*')
        {
            return literal(tag);
        }
        let containers = routes.iter().all(|&route| self.routes[route].containers.is_some());
        let rest =
            if containers { "{{ namespace }}/{{ pod }}/{{ container }}" } else { "{{ node }}{{ file }}" };
        self.note(place, "log_stream_prefix", &format!("Fluent Bit's streams are named after tags, which there are none of here: the name goes on with {rest}. Streams get other names than before"));
        rest.to_owned()
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
