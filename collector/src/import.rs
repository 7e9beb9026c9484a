//! Translates a Fluent Bit configuration into one of this program.
//!
//! Sections become sources, transforms and sinks; `Tag` and `Match` become `inputs`. What has no
//! counterpart is never passed over: each such plugin and option is a [`Note`] with its line and
//! what to do. The translation promises to be read by [`crate::config::Config::parse`]; it refuses
//! to guess: where only a part of something could be said, the note says which part is missing.

mod document;
mod filters;
mod inputs;
mod outputs;

pub use document::{Section, read};

use std::fmt::Write as _;
use toml::{Table, Value};

/// Something without counterpart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// File and line.
    pub place: String,
    /// Name of the plugin or option.
    pub name: String,
    /// Why, and what to do.
    pub advice: String,
}

/// Records on their way: where they are in our graph, and what Fluent Bit would have tagged them.
#[derive(Debug, Clone)]
struct Route {
    /// Tag; a `*` stands for what is not known beforehand.
    tag: String,
    /// Name of the source or last transform.
    head: String,
    /// They come from containers.
    kubernetes: bool,
}

/// A translated configuration.
#[derive(Debug, Default)]
pub struct Translation {
    /// What has no counterpart.
    pub notes: Vec<Note>,
    sources: Table,
    transforms: Table,
    sinks: Table,
    top: Table,
    parsers: Vec<Section>,
    routes: Vec<Route>,
}

/// Translates the sections of a configuration; `parsers` are those of further files.
pub fn translate(sections: Vec<Section>, parsers: Vec<Section>) -> Translation {
    let mut out = Translation { parsers, ..Translation::default() };
    let (mut filters, mut outputs) = (Vec::new(), Vec::new());
    let mut inputs = Vec::new();
    for section in sections {
        match section.kind.as_str() {
            "parser" | "multiline_parser" => out.parsers.push(section),
            "input" => inputs.push(section),
            "filter" => filters.push(section),
            "output" => outputs.push(section),
            "service" => out.service(section),
            other => out.note(&section.place, other, "this section is not known here; translate it by hand"),
        }
    }
    inputs.into_iter().for_each(|input| out.input(input));
    filters.into_iter().for_each(|filter| out.filter(filter));
    outputs.into_iter().for_each(|output| out.output(output));
    out.finish();
    out
}

impl Translation {
    fn note(&mut self, place: &str, name: &str, advice: &str) {
        self.notes.push(Note { place: place.to_owned(), name: name.to_owned(), advice: advice.to_owned() });
    }

    fn service(&mut self, mut section: Section) {
        if let Some(grace) = section.take("grace") {
            self.top.insert("shutdown_timeout".to_owned(), format!("{grace}s").into());
        }
        // Files of parsers are read by the caller; storage.* is the spool, which is always on disk.
        for key in ["parsers_file", "daemon", "storage.path", "storage.sync", "http_server", "flush"] {
            section.take_all(key);
        }
        if let Some(port) = section.take("http_port") {
            let listen = section.take("http_listen").unwrap_or_else(|| "0.0.0.0".to_owned());
            let admin = Table::from_iter([("address".to_owned(), Value::from(format!("{listen}:{port}")))]);
            self.top.insert("admin".to_owned(), admin.into());
        }
        self.leftover(section);
    }

    /// Notes every key that nothing took.
    fn leftover(&mut self, section: Section) {
        for entry in section.entries {
            let advice = match entry.key.as_str() {
                "mem_buf_limit" | "storage.type" | "storage.max_chunks_up" | "storage.backlog.mem_limit" => {
                    "no counterpart: records wait in the spool on disk, not in memory; see spool.max_bytes"
                }
                "retry_limit" => {
                    "not taken over: deliveries are tried again for ever; limit with the sink's buffer"
                }
                "db" | "db.sync" | "db.locking" | "store_dir" => {
                    "not needed: positions and waiting data are in data_dir"
                }
                "log_level" => "set the environment variable LOGQ_LOG",
                _ => "no counterpart; left out",
            };
            self.note(&entry.place, &entry.key, advice);
        }
    }

    /// Adds a transform behind a route, and moves the route behind it.
    fn transform(&mut self, route: usize, kind: &str, mut settings: Table) {
        let name = format!("{kind}_{}", self.transforms.len() + 1);
        settings.insert("type".to_owned(), kind.into());
        settings.insert("inputs".to_owned(), Value::Array(vec![self.routes[route].head.clone().into()]));
        self.transforms.insert(name.clone(), settings.into());
        self.routes[route].head = name;
    }

    /// Routes a plugin takes, by its `Match`; a pattern that would only take a part is said.
    fn matching(&mut self, section: &mut Section) -> Vec<usize> {
        if let Some(pattern) = section.take("match_regex") {
            let Ok(regex) = regex::Regex::new(&pattern) else {
                self.note(
                    &section.place.clone(),
                    "match_regex",
                    "the expression is not understood here; name the inputs by hand",
                );
                return Vec::new();
            };
            return (0..self.routes.len()).filter(|&at| regex.is_match(&self.routes[at].tag)).collect();
        }
        let pattern = section.take("match").unwrap_or_else(|| "*".to_owned());
        let mut taken = Vec::new();
        for at in 0..self.routes.len() {
            let tag = self.routes[at].tag.clone();
            if covers(pattern.as_bytes(), tag.as_bytes()) {
                taken.push(at);
            } else if overlaps(pattern.as_bytes(), tag.as_bytes()) {
                let advice = format!(
                    "takes only a part of `{tag}`, which tags alone can't say here; not connected: add a filter transform and name it in inputs"
                );
                self.note(&section.place.clone(), &format!("match {pattern}"), &advice);
            }
        }
        taken
    }

    /// Drops what leads nowhere, and gives a configuration without sinks one that holds everything back.
    fn finish(&mut self) {
        if self.sinks.is_empty() && !self.sources.is_empty() {
            self.note("output", "sinks", "no output has a counterpart: set LANDING_BUCKET, or replace the sink `landing`; until it can deliver, the spool fills and reading stops");
            let heads: Vec<Value> = self.routes.iter().map(|route| route.head.clone().into()).collect();
            let mut sink = Table::new();
            sink.insert("type".to_owned(), "aws_s3".into());
            sink.insert("inputs".to_owned(), heads.into());
            sink.insert("bucket".to_owned(), "${LANDING_BUCKET}".into());
            self.sinks.insert("landing".to_owned(), sink.into());
        }
        loop {
            let used: Vec<String> = [&self.transforms, &self.sinks]
                .iter()
                .flat_map(|tables| tables.values())
                .filter_map(|table| table.get("inputs")?.as_array())
                .flatten()
                .filter_map(|name| Some(name.as_str()?.to_owned()))
                .collect();
            let unused = |name: &&String| !used.contains(name);
            let transform = self.transforms.keys().find(unused).cloned();
            let Some(name) = transform.clone().or_else(|| self.sources.keys().find(unused).cloned()) else {
                return;
            };
            if transform.is_some() {
                self.transforms.remove(&name);
            } else {
                self.sources.remove(&name);
                self.note("input", &name, "no translated output takes its records; the source is left out");
            }
        }
    }

    /// The configuration as TOML, with the notes as comments before it.
    pub fn to_toml(&self) -> String {
        let mut text = String::from("# Translated from a Fluent Bit configuration.\n");
        for note in &self.notes {
            let _ = writeln!(text, "# {}: {}: {}", note.place, note.name, note.advice);
        }
        let mut table = self.top.clone();
        table.insert("data_dir".to_owned(), "/var/lib/logq-collector".into());
        table.insert("node".to_owned(), "${NODE_NAME:-node}".into());
        for (name, part) in
            [("sources", &self.sources), ("transforms", &self.transforms), ("sinks", &self.sinks)]
        {
            if !part.is_empty() {
                table.insert(name.to_owned(), part.clone().into());
            }
        }
        text + "\n" + &table.to_string()
    }
}

/// Every text of `tag` (whose `*` stand for anything) matches `pattern`.
fn covers(pattern: &[u8], tag: &[u8]) -> bool {
    match (pattern, tag) {
        ([], []) => true,
        ([b'*', rest @ ..], tag) => (0..=tag.len()).any(|at| covers(rest, &tag[at..])),
        ([one, pattern @ ..], [other, tag @ ..]) => one == other && covers(pattern, tag),
        _ => false,
    }
}

/// Some text matches both.
fn overlaps(a: &[u8], b: &[u8]) -> bool {
    match (a, b) {
        ([], []) => true,
        ([b'*', rest @ ..], other) | (other, [b'*', rest @ ..]) => {
            overlaps(rest, other) || (!other.is_empty() && overlaps(a_star(a, b), &other[1..]))
        }
        ([one, a @ ..], [other, b @ ..]) => one == other && overlaps(a, b),
        _ => false,
    }
}

/// The side that begins with a star.
fn a_star<'a>(a: &'a [u8], b: &'a [u8]) -> &'a [u8] {
    if a.first() == Some(&b'*') { a } else { b }
}
