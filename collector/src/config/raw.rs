//! The file as it is written, and the checks that turn it into a [`Config`].

use super::{
    Admin, Auth, AwsS3Settings, Backoff, BatchLimits, ByteSize, Config, FileSettings, Request, SegmentLimits,
    Sink, Span, SpoolSize, WhenFull, options,
};
use crate::sources::{Source, kubernetes_logs};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize, Serializer};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;
use toml::{Table, Value};

/// What is wrong with which key.
pub struct Problem {
    pub key: String,
    pub message: String,
}

fn problem(key: impl Into<String>, message: impl Into<String>) -> Problem {
    Problem { key: key.into(), message: message.into() }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawConfig {
    data_dir: PathBuf,
    #[serde(default)]
    cluster: String,
    node: Option<String>,
    shutdown_timeout: Option<Span>,
    #[serde(default)]
    admin: RawAdmin,
    #[serde(default)]
    batch: RawBatch,
    #[serde(default)]
    segment: RawSegment,
    #[serde(default)]
    spool: RawSpool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawAdmin {
    address: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawBatch {
    max_bytes: Option<ByteSize>,
    timeout_secs: Option<Span>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawSegment {
    max_bytes: Option<ByteSize>,
    max_age: Option<Span>,
    compression_level: Option<i32>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawSpool {
    max_bytes: Option<ByteSize>,
    when_full: Option<WhenFull>,
    fsync_interval: Option<Span>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawKubernetesLogs {
    pods_dir: Option<PathBuf>,
    glob_minimum_cooldown: Option<Span>,
    max_read_bytes: Option<ByteSize>,
    max_line_bytes: Option<ByteSize>,
    rotate_wait: Option<Span>,
    max_open_files: Option<usize>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawFile {
    inputs: Vec<String>,
    path: PathBuf,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawAwsS3 {
    inputs: Vec<String>,
    bucket: String,
    #[serde(default)]
    key_prefix: String,
    region: Option<String>,
    endpoint: Option<String>,
    server_side_encryption: Option<String>,
    ssekms_key_id: Option<String>,
    storage_class: Option<String>,
    #[serde(default)]
    auth: RawAuth,
    #[serde(default)]
    request: RawRequest,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawAuth {
    assume_role: Option<String>,
    external_id: Option<String>,
    session_name: Option<String>,
    region: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRequest {
    timeout: Option<Span>,
    #[serde(default)]
    backoff: RawBackoff,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawBackoff {
    initial: Option<Span>,
    max: Option<Span>,
}

/// Turns a parsed file into a checked configuration.
pub fn check(mut table: Table, variable: &dyn Fn(&str) -> Option<String>) -> Result<Config, Problem> {
    for (key, value) in &mut table {
        expand(key, value, variable)?;
    }
    let sources = components(&mut table, "sources")?;
    let sinks = components(&mut table, "sinks")?;
    let raw: RawConfig = read("top level", table)?;
    let span = |given: Option<Span>, default: Duration| given.unwrap_or(Span::from(default));
    let config = Config {
        node: node(raw.node, variable)?,
        data_dir: raw.data_dir,
        cluster: raw.cluster,
        shutdown_timeout: span(raw.shutdown_timeout, options::SHUTDOWN_TIMEOUT),
        admin: Admin { address: address(raw.admin.address.as_deref())? },
        batch: BatchLimits {
            max_bytes: within(
                "batch.max_bytes",
                raw.batch.max_bytes,
                options::BATCH_BYTES,
                options::BATCH_BYTES_RANGE,
            )?,
            timeout_secs: span(raw.batch.timeout_secs, options::BATCH_TIMEOUT),
        },
        segment: SegmentLimits {
            max_bytes: within(
                "segment.max_bytes",
                raw.segment.max_bytes,
                options::SEGMENT_BYTES,
                options::SEGMENT_BYTES_RANGE,
            )?,
            max_age: span(raw.segment.max_age, options::SEGMENT_AGE),
            compression_level: raw.segment.compression_level.unwrap_or(options::COMPRESSION_LEVEL),
        },
        spool: SpoolSize {
            max_bytes: raw.spool.max_bytes.unwrap_or(ByteSize::new(options::SPOOL_BYTES)),
            when_full: raw.spool.when_full.unwrap_or(options::WHEN_FULL),
            fsync_interval: span(raw.spool.fsync_interval, options::FSYNC_INTERVAL),
        },
        sources: sources.into_iter().map(source).collect::<Result<_, _>>()?,
        sinks: sinks.into_iter().map(sink).collect::<Result<_, _>>()?,
    };
    check_whole(&config)?;
    Ok(config)
}

/// Checks that need more than one key.
fn check_whole(config: &Config) -> Result<(), Problem> {
    if config.data_dir.as_os_str().is_empty() {
        return Err(problem("data_dir", "must not be empty"));
    }
    if !(1..=19).contains(&config.segment.compression_level) {
        return Err(problem("segment.compression_level", "must be between 1 and 19"));
    }
    let smallest = config.segment.max_bytes.bytes().saturating_mul(4);
    if config.spool.max_bytes.bytes() < smallest {
        let least = ByteSize::new(smallest);
        let message =
            format!("must be at least four segments ({least}); raise it or lower segment.max_bytes");
        return Err(problem("spool.max_bytes", message));
    }
    let mut dirs: BTreeMap<&PathBuf, &String> = BTreeMap::new();
    for (name, Source::KubernetesLogs(settings)) in &config.sources {
        if let Some(other) = dirs.insert(&settings.pods_dir, name) {
            let message = format!("is also read by sources.{other}; every record would be delivered twice");
            return Err(problem(format!("sources.{name}.pods_dir"), message));
        }
    }
    let mut targets: BTreeMap<String, &String> = BTreeMap::new();
    for (name, sink) in &config.sinks {
        check_inputs(config, name, sink)?;
        let (key, target) = match sink {
            Sink::File(file) => ("path", file.path.display().to_string()),
            Sink::AwsS3(s3) => {
                ("bucket", format!("s3://{}/{} at {:?}", s3.bucket, s3.key_prefix, s3.endpoint))
            }
        };
        if let Some(other) = targets.insert(target, name) {
            let message = format!("is also the target of sinks.{other}; give each sink its own");
            return Err(problem(format!("sinks.{name}.{key}"), message));
        }
        if let Sink::File(file) = sink
            && (file.path.starts_with(&config.data_dir) || config.data_dir.starts_with(&file.path))
        {
            return Err(problem(format!("sinks.{name}.path"), "must not overlap data_dir"));
        }
    }
    Ok(())
}

fn check_inputs(config: &Config, name: &str, sink: &Sink) -> Result<(), Problem> {
    let key = format!("sinks.{name}.inputs");
    let known: Vec<&str> = config.sources.keys().map(String::as_str).collect();
    for input in sink.inputs() {
        if !known.contains(&input.as_str()) {
            let message = format!("`{input}` is no source; there is {}", known.join(", "));
            return Err(problem(key, message));
        }
    }
    // One spool serves all: a sink with fewer sources would need its own.
    if let Some(missing) = known.iter().find(|source| !sink.inputs().iter().any(|input| input == *source)) {
        let message = format!("must also name `{missing}`: every sink takes all sources in this version");
        return Err(problem(key, message));
    }
    Ok(())
}

fn source((name, kind, table): (String, String, Table)) -> Result<(String, Source), Problem> {
    let key = format!("sources.{name}");
    if kind != "kubernetes_logs" {
        return Err(problem(
            format!("{key}.type"),
            format!("`{kind}` is no source type; there is kubernetes_logs"),
        ));
    }
    let raw: RawKubernetesLogs = read(&key, table)?;
    let bytes = |option: &str, given, default| {
        within(&format!("{key}.{option}"), given, default, options::LINE_BYTES_RANGE)
    };
    let settings = kubernetes_logs::Settings {
        pods_dir: raw.pods_dir.unwrap_or_else(|| options::PODS_DIR.into()),
        glob_minimum_cooldown: raw.glob_minimum_cooldown.unwrap_or(Span::from(options::GLOB_COOLDOWN)),
        max_read_bytes: bytes("max_read_bytes", raw.max_read_bytes, options::READ_BYTES)?,
        max_line_bytes: bytes("max_line_bytes", raw.max_line_bytes, options::LINE_BYTES)?,
        rotate_wait: raw.rotate_wait.unwrap_or(Span::from(options::ROTATE_WAIT)),
        max_open_files: raw.max_open_files.unwrap_or(options::OPEN_FILES),
        name: name.clone(),
    };
    if settings.max_open_files == 0 {
        return Err(problem(format!("{key}.max_open_files"), "must be at least 1"));
    }
    Ok((name, Source::KubernetesLogs(settings)))
}

fn sink((name, kind, table): (String, String, Table)) -> Result<(String, Sink), Problem> {
    let key = format!("sinks.{name}");
    let sink = match kind.as_str() {
        "file" => {
            let raw: RawFile = read(&key, table)?;
            if raw.path.as_os_str().is_empty() {
                return Err(problem(format!("{key}.path"), "must not be empty"));
            }
            Sink::File(FileSettings { inputs: raw.inputs, path: raw.path })
        }
        "aws_s3" => Sink::AwsS3(Box::new(aws_s3(&key, read(&key, table)?)?)),
        _ => {
            let message = format!("`{kind}` is no sink type; there is file, aws_s3");
            return Err(problem(format!("{key}.type"), message));
        }
    };
    Ok((name, sink))
}

fn aws_s3(key: &str, raw: RawAwsS3) -> Result<AwsS3Settings, Problem> {
    if raw.bucket.is_empty() || raw.bucket.contains('/') {
        return Err(problem(
            format!("{key}.bucket"),
            "must be the name of a bucket, without s3:// or a path",
        ));
    }
    if raw.key_prefix.starts_with('/') {
        return Err(problem(format!("{key}.key_prefix"), "must not begin with `/`: S3 keys do not"));
    }
    if let Some(endpoint) = raw.endpoint.as_deref()
        && !endpoint.starts_with("http://")
        && !endpoint.starts_with("https://")
    {
        return Err(problem(format!("{key}.endpoint"), "must begin with https:// or http://"));
    }
    let encryption = raw.server_side_encryption.as_deref();
    if !matches!(encryption, None | Some("AES256" | "aws:kms" | "aws:kms:dsse")) {
        let message = "must be AES256, aws:kms or aws:kms:dsse";
        return Err(problem(format!("{key}.server_side_encryption"), message));
    }
    if raw.ssekms_key_id.is_some() && !encryption.is_some_and(|kind| kind.starts_with("aws:kms")) {
        let message = "needs server_side_encryption = \"aws:kms\"";
        return Err(problem(format!("{key}.ssekms_key_id"), message));
    }
    if raw.auth.external_id.is_some() && raw.auth.assume_role.is_none() {
        return Err(problem(format!("{key}.auth.external_id"), "needs auth.assume_role"));
    }
    if raw.request.timeout.is_some_and(|timeout| timeout.duration() > options::REQUEST_TIMEOUT_MAX) {
        let most = Span::from(options::REQUEST_TIMEOUT_MAX);
        return Err(problem(format!("{key}.request.timeout"), format!("must be at most {most}")));
    }
    let default = Backoff::default();
    Ok(AwsS3Settings {
        inputs: raw.inputs,
        bucket: raw.bucket,
        key_prefix: raw.key_prefix,
        region: raw.region,
        endpoint: raw.endpoint,
        server_side_encryption: raw.server_side_encryption,
        ssekms_key_id: raw.ssekms_key_id,
        storage_class: raw.storage_class,
        auth: Auth {
            assume_role: raw.auth.assume_role,
            external_id: raw.auth.external_id,
            session_name: raw.auth.session_name.unwrap_or_else(|| options::SESSION_NAME.to_owned()),
            region: raw.auth.region,
        },
        request: Request {
            timeout: raw.request.timeout.unwrap_or(Span::from(options::REQUEST_TIMEOUT)),
            backoff: Backoff {
                initial: raw.request.backoff.initial.unwrap_or(default.initial),
                max: raw.request.backoff.max.unwrap_or(default.max),
            },
        },
    })
}

/// The tables of a section, with their `type`.
fn components(table: &mut Table, section: &str) -> Result<Vec<(String, String, Table)>, Problem> {
    let components = match table.remove(section) {
        Some(Value::Table(components)) => components,
        Some(_) => return Err(problem(section, format!("must be tables: [{section}.<name>]"))),
        None => Table::new(),
    };
    if components.is_empty() {
        return Err(problem(section, format!("at least one is needed: [{section}.<name>]")));
    }
    let take = |(name, value): (String, Value)| {
        let key = format!("{section}.{name}");
        let Value::Table(mut table) = value else {
            return Err(problem(key, "must be a table"));
        };
        match table.remove("type") {
            Some(Value::String(kind)) => Ok((name, kind, table)),
            _ => Err(problem(format!("{key}.type"), "is missing or not a text")),
        }
    };
    components.into_iter().map(take).collect()
}

/// Deserialises a table; the error names the key it is about.
fn read<T: DeserializeOwned>(key: &str, table: Table) -> Result<T, Problem> {
    Value::Table(table).try_into().map_err(|error: toml::de::Error| {
        // "message\nin `path`\n": the path belongs to the key.
        let text = error.to_string();
        let (message, inner) = text.split_once("\nin `").unwrap_or((&text, ""));
        let inner = inner.trim_end().trim_end_matches('`');
        let key = match (key, inner) {
            ("top level", "") => key.to_owned(),
            ("top level", inner) => inner.to_owned(),
            (key, "") => key.to_owned(),
            (key, inner) => format!("{key}.{inner}"),
        };
        problem(key, message.trim_end())
    })
}

fn within(
    key: &str,
    given: Option<ByteSize>,
    default: usize,
    (least, most): (usize, usize),
) -> Result<ByteSize, Problem> {
    let size = given.unwrap_or(ByteSize::new(default));
    if (least..=most).contains(&size.bytes()) {
        return Ok(size);
    }
    let (least, most) = (ByteSize::new(least), ByteSize::new(most));
    Err(problem(key, format!("must be between {least} and {most}, not {size}")))
}

fn address(given: Option<&str>) -> Result<Option<std::net::SocketAddr>, Problem> {
    match given.unwrap_or(options::ADMIN_ADDRESS) {
        "" => Ok(None),
        text => text.parse().map(Some).map_err(|_| {
            problem("admin.address", format!("`{text}` is not an address such as {}", options::ADMIN_ADDRESS))
        }),
    }
}

fn node(given: Option<String>, variable: &dyn Fn(&str) -> Option<String>) -> Result<String, Problem> {
    given.or_else(|| variable("NODE_NAME")).or_else(|| variable("HOSTNAME")).ok_or_else(|| {
        problem("node", "is missing and neither NODE_NAME nor HOSTNAME is set; set one of them")
    })
}

/// Replaces `${NAME}` and `${NAME:-default}` in all texts below `value`.
fn expand(key: &str, value: &mut Value, variable: &dyn Fn(&str) -> Option<String>) -> Result<(), Problem> {
    match value {
        Value::String(text) if text.contains('$') => *text = expand_text(key, text, variable)?,
        Value::Table(table) => {
            for (inner, value) in table.iter_mut() {
                expand(&format!("{key}.{inner}"), value, variable)?;
            }
        }
        Value::Array(values) => {
            for value in values {
                expand(key, value, variable)?;
            }
        }
        _ => {}
    }
    Ok(())
}

fn expand_text(key: &str, text: &str, variable: &dyn Fn(&str) -> Option<String>) -> Result<String, Problem> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('$') {
            out.push('$');
            rest = after;
        } else if let Some(after) = rest.strip_prefix('{') {
            let Some((name, after)) = after.split_once('}') else {
                return Err(problem(key, "`${` without `}`; write `$$` for a dollar sign"));
            };
            let (name, default) =
                name.split_once(":-").map_or((name, None), |(name, text)| (name, Some(text)));
            let value = variable(name).filter(|value| default.is_none() || !value.is_empty());
            match value.or_else(|| default.map(str::to_owned)) {
                Some(value) => out.push_str(&value),
                None => {
                    let message = format!(
                        "environment variable {name} is not set; set it or write ${{{name}:-default}}"
                    );
                    return Err(problem(key, message));
                }
            }
            rest = after;
        } else {
            out.push('$');
        }
    }
    out.push_str(rest);
    Ok(out)
}

/// Writes sources the way they are configured.
pub fn sources<S: Serializer>(sources: &BTreeMap<String, Source>, serializer: S) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    struct Out<'a> {
        r#type: &'static str,
        pods_dir: &'a PathBuf,
        glob_minimum_cooldown: Span,
        max_read_bytes: ByteSize,
        max_line_bytes: ByteSize,
        rotate_wait: Span,
        max_open_files: usize,
    }
    serializer.collect_map(sources.iter().map(|(name, Source::KubernetesLogs(settings))| {
        let out = Out {
            r#type: "kubernetes_logs",
            pods_dir: &settings.pods_dir,
            glob_minimum_cooldown: settings.glob_minimum_cooldown,
            max_read_bytes: settings.max_read_bytes,
            max_line_bytes: settings.max_line_bytes,
            rotate_wait: settings.rotate_wait,
            max_open_files: settings.max_open_files,
        };
        (name, out)
    }))
}
