//! The file as it is written, and the checks that turn it into a [`Config`].

use super::component::{Kind, Problem, problem, read, within};
use super::{
    Admin, BatchLimits, Buffer, ByteSize, Config, SegmentLimits, Sink, Span, SpoolSize, Transform, WhenFull,
    options,
};
use crate::sources::SourceConfig;
use crate::{sinks, sources, transforms};
use serde::{Deserialize, Serializer};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use toml::{Table, Value};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawConfig {
    data_dir: PathBuf,
    #[serde(default)]
    cluster: String,
    node: Option<String>,
    memory_max: Option<ByteSize>,
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
    tap: Option<bool>,
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

/// Turns a parsed file into a checked configuration.
pub fn check(mut table: Table, variable: &dyn Fn(&str) -> Option<String>) -> Result<Config, Problem> {
    // Tests know which of their texts are data, in which `${` means nothing.
    for (key, value) in table.iter_mut().filter(|(key, _)| *key != "tests") {
        expand(key, value, variable)?;
    }
    let sources = components(&mut table, "sources", true)?;
    let transforms = components(&mut table, "transforms", false)?;
    let sinks = components(&mut table, "sinks", true)?;
    let tests = crate::cases::read(&mut table, variable)?;
    let raw: RawConfig = read("top level", table)?;
    let span = |given: Option<Span>, default: Duration| given.unwrap_or(Span::from(default));
    let size = |given: Option<ByteSize>, default: usize| given.unwrap_or(ByteSize::new(default));
    let config = Config {
        node: node(raw.node, variable)?,
        data_dir: raw.data_dir,
        cluster: raw.cluster,
        memory_max: raw.memory_max,
        shutdown_timeout: span(raw.shutdown_timeout, options::SHUTDOWN_TIMEOUT),
        admin: Admin {
            address: address(raw.admin.address.as_deref())?,
            tap: raw.admin.tap.unwrap_or(options::TAP),
        },
        batch: BatchLimits {
            max_bytes: size(raw.batch.max_bytes, options::BATCH_BYTES),
            timeout_secs: span(raw.batch.timeout_secs, options::BATCH_TIMEOUT),
        },
        segment: SegmentLimits {
            max_bytes: size(raw.segment.max_bytes, options::SEGMENT_BYTES),
            max_age: span(raw.segment.max_age, options::SEGMENT_AGE),
            compression_level: raw.segment.compression_level.unwrap_or(options::COMPRESSION_LEVEL),
        },
        spool: SpoolSize {
            max_bytes: size(raw.spool.max_bytes, options::SPOOL_BYTES),
            when_full: raw.spool.when_full.unwrap_or(options::WHEN_FULL),
            fsync_interval: span(raw.spool.fsync_interval, options::FSYNC_INTERVAL),
        },
        sources: sources.into_iter().map(source).collect::<Result<_, _>>()?,
        transforms: transforms.into_iter().map(transform).collect::<Result<_, _>>()?,
        sinks: sinks.into_iter().map(sink).collect::<Result<_, _>>()?,
        tests,
    };
    check_whole(&config)?;
    config.memory_max.map_or(Ok(()), |ceiling| crate::memory::check(&config, ceiling))?;
    crate::cases::check(&config.tests, &config)?;
    Ok(config)
}

/// Checks that need more than one key.
fn check_whole(config: &Config) -> Result<(), Problem> {
    if config.data_dir.as_os_str().is_empty() {
        return Err(problem("data_dir", "must not be empty"));
    }
    within("batch.max_bytes", config.batch.max_bytes, options::BATCH_BYTES_RANGE)?;
    within("segment.max_bytes", config.segment.max_bytes, options::SEGMENT_BYTES_RANGE)?;
    let (least, most) = options::COMPRESSION_RANGE;
    if !(least..=most).contains(&config.segment.compression_level) {
        return Err(problem("segment.compression_level", format!("must be between {least} and {most}")));
    }
    let smallest = config.segment.max_bytes.bytes().saturating_mul(4);
    if config.spool.max_bytes.bytes() < smallest {
        let least = ByteSize::new(smallest);
        let message =
            format!("must be at least four segments ({least}); raise it or lower segment.max_bytes");
        return Err(problem("spool.max_bytes", message));
    }
    let exclusive = config.sources.iter().flat_map(|(name, source)| {
        source.exclusive().into_iter().map(move |exclusive| ("sources", name, exclusive))
    });
    let targets = config
        .sinks
        .iter()
        .filter_map(|(name, sink)| sink.settings.exclusive().map(|exclusive| ("sinks", name, exclusive)));
    let mut owners: BTreeMap<(&str, String), &String> = BTreeMap::new();
    for (section, name, (key, resource)) in exclusive.chain(targets) {
        // An address is taken under whatever key it is given.
        if let Some(other) = owners.insert((section, resource.clone()), name) {
            let message = format!("{resource} is also used by {section}.{other}; give each its own");
            return Err(problem(format!("{section}.{name}.{key}"), message));
        }
    }
    for (name, sink) in &config.sinks {
        let key = format!("sinks.{name}");
        sink.settings.check_with(&key, config)?;
        if sink.buffer.max_bytes.is_some_and(|size| size.bytes() < config.segment.max_bytes.bytes() * 2) {
            let least = ByteSize::new(config.segment.max_bytes.bytes() * 2);
            let message = format!("must be at least two segments ({least})");
            return Err(problem(format!("{key}.buffer.max_bytes"), message));
        }
    }
    check_graph(config)
}

/// Every input exists, names are unique, transforms form no circle, and nothing dangles.
fn check_graph(config: &Config) -> Result<(), Problem> {
    let sources: BTreeSet<&str> = config.sources.keys().map(String::as_str).collect();
    let transforms: BTreeSet<&str> = config.transforms.keys().map(String::as_str).collect();
    if let Some(name) = sources.intersection(&transforms).next() {
        let message = "is also the name of a source; inputs would be ambiguous";
        return Err(problem(format!("transforms.{name}"), message));
    }
    let transform_inputs = config.transforms.iter().map(|(name, t)| ("transforms", name, &t.inputs));
    let sink_inputs = config.sinks.iter().map(|(name, sink)| ("sinks", name, &sink.inputs));
    let mut used = BTreeSet::new();
    for (section, name, inputs) in transform_inputs.chain(sink_inputs) {
        let key = format!("{section}.{name}.inputs");
        if inputs.is_empty() {
            return Err(problem(key, "must name at least one source or transform"));
        }
        let mut seen = BTreeSet::new();
        for input in inputs {
            if !sources.contains(input.as_str()) && !transforms.contains(input.as_str()) {
                let known: Vec<&str> = sources.union(&transforms).copied().collect();
                let message = format!("`{input}` is no source or transform; there is {}", known.join(", "));
                return Err(problem(key, message));
            }
            if !seen.insert(input) {
                return Err(problem(key, format!("`{input}` is named twice")));
            }
            used.insert(input.as_str());
        }
    }
    if let Some(circle) = crate::graph::order(config).err() {
        return Err(problem(format!("transforms.{circle}.inputs"), "lead back to the transform itself"));
    }
    let unused = |section: &str, name: &str| {
        let message = "is an input of nothing; its records would go nowhere: name it in a sink's inputs";
        Err(problem(format!("{section}.{name}"), message))
    };
    match (sources.difference(&used).next(), transforms.difference(&used).next()) {
        (Some(name), _) => unused("sources", name),
        (_, Some(name)) => unused("transforms", name),
        _ => Ok(()),
    }
}

type Component = (String, String, Table);

fn read_kind<T: ?Sized>(
    kinds: &[Kind<T>],
    section: &str,
    (name, kind, table): Component,
) -> Result<(String, Arc<T>), Problem> {
    let key = format!("{section}.{name}");
    match kinds.iter().find(|known| known.name == kind) {
        Some(known) => Ok((name, (known.read)(&key, table)?)),
        None => {
            let names: Vec<&str> = kinds.iter().map(|kind| kind.name).collect();
            let message = format!(
                "`{kind}` is no {} type; there is {}",
                &section[..section.len() - 1],
                names.join(", ")
            );
            Err(problem(format!("{key}.type"), message))
        }
    }
}

fn source(component: Component) -> Result<(String, Arc<dyn SourceConfig>), Problem> {
    read_kind(sources::KINDS, "sources", component)
}

fn inputs(section: &str, name: &str, table: &mut Table) -> Result<Vec<String>, Problem> {
    let key = format!("{section}.{name}.inputs");
    let Some(value) = table.remove("inputs") else {
        return Err(problem(key, "is missing; name the sources and transforms it takes"));
    };
    value.try_into().map_err(|_| problem(key, "must be a list of names"))
}

fn transform(mut component: Component) -> Result<(String, Transform), Problem> {
    let inputs = inputs("transforms", &component.0, &mut component.2)?;
    let (name, settings) = read_kind(transforms::KINDS, "transforms", component)?;
    Ok((name, Transform { inputs, settings }))
}

fn sink(mut component: Component) -> Result<(String, Sink), Problem> {
    let inputs = inputs("sinks", &component.0, &mut component.2)?;
    let key = format!("sinks.{}.buffer", component.0);
    let buffer = match component.2.remove("buffer") {
        Some(Value::Table(table)) => read(&key, table)?,
        Some(_) => return Err(problem(key, "must be a table: max_bytes and when_full")),
        None => Buffer::default(),
    };
    let (name, settings) = read_kind(sinks::KINDS, "sinks", component)?;
    Ok((name, Sink { inputs, buffer, settings }))
}

/// The tables of a section, with their `type`.
fn components(table: &mut Table, section: &str, needed: bool) -> Result<Vec<Component>, Problem> {
    let components = match table.remove(section) {
        Some(Value::Table(components)) => components,
        Some(_) => return Err(problem(section, format!("must be tables: [{section}.<name>]"))),
        None => Table::new(),
    };
    if components.is_empty() && needed {
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
pub(crate) fn expand(
    key: &str,
    value: &mut Value,
    variable: &dyn Fn(&str) -> Option<String>,
) -> Result<(), Problem> {
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

fn component(kind: &str, table: Table, inputs: &[String]) -> Table {
    let mut out = Table::new();
    out.insert("type".to_owned(), kind.into());
    if !inputs.is_empty() {
        out.insert("inputs".to_owned(), inputs.to_vec().into());
    }
    out.extend(table);
    out
}

/// Writes sources the way they are configured.
pub fn sources<S: Serializer>(
    sources: &BTreeMap<String, Arc<dyn SourceConfig>>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_map(sources.iter().map(|(name, s)| (name, component(s.kind(), s.table(), &[]))))
}

/// Writes transforms the way they are configured.
pub fn transforms<S: Serializer>(
    transforms: &BTreeMap<String, Transform>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let out = |t: &Transform| component(t.settings.kind(), t.settings.table(), &t.inputs);
    serializer.collect_map(transforms.iter().map(|(name, transform)| (name, out(transform))))
}

/// Writes sinks the way they are configured.
pub fn sinks<S: Serializer>(sinks: &BTreeMap<String, Sink>, serializer: S) -> Result<S::Ok, S::Error> {
    let out = |sink: &Sink| {
        let mut table = component(sink.settings.kind(), sink.settings.table(), &sink.inputs);
        if let Ok(buffer) = Table::try_from(sink.buffer) {
            table.insert("buffer".to_owned(), buffer.into());
        }
        table
    };
    serializer.collect_map(sinks.iter().map(|(name, sink)| (name, out(sink))))
}
