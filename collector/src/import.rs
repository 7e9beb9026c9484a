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
mod records;
mod rewrite;
mod tags;

pub use document::{Entry, Section, read};

use std::collections::BTreeSet;
use std::fmt::Write as _;
use tags::{Containers, Pattern, Share};
use toml::{Table, Value};

/// Records that `rewrite_tag` sends through the filters again may be sent so often.
const REWRITES_MAX: usize = 8;

/// Something without counterpart, or that means something else here.
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
    /// Patterns that take all of these records.
    within: Vec<Pattern>,
    /// Patterns that take none of these records.
    without: Vec<Pattern>,
    /// Name of the source or last transform.
    head: String,
    /// They come from containers: what their tags begin with.
    containers: Option<String>,
    /// Key below which Merge_Log puts the fields of a body.
    merged: Option<String>,
    /// Made by `rewrite_tag`: the filters before it are still to come.
    emitted: bool,
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
    /// Routes a filter is about; none: all.
    scope: Option<Vec<usize>>,
    /// Places of sections that are left out as a whole, and said so.
    left: BTreeSet<String>,
    /// Places of parsers that a plugin uses.
    used: BTreeSet<String>,
}

/// Translates the sections of a configuration; `parsers` are those of further files.
///
/// Nothing is passed over: afterwards every option is taken away in turn, and one without which the
/// translation is the same, notes included, gets a note itself. That takes as many translations as
/// there are options.
pub fn translate(sections: &[Section], parsers: &[Section]) -> Translation {
    let mut out = Translation::of(sections, parsers);
    let mut silent = Vec::new();
    let mut all: Vec<Section> = parsers.iter().chain(sections).cloned().collect();
    for at in 0..all.len() {
        let parser = ["parser", "multiline_parser"].contains(&all[at].kind.as_str());
        if out.left.contains(&all[at].place) || (parser && !out.used.contains(&all[at].place)) {
            continue;
        }
        for entry in 0..all[at].entries.len() {
            let said = |note: &Note, entry: &Entry| {
                note.place == entry.place && note.name.to_ascii_lowercase().starts_with(&entry.key)
            };
            let taken = all[at].entries.remove(entry);
            // Names and tags are in how parts are named and connected; files of parsers were read before.
            let routing =
                ["name", "tag", "match", "match_regex", "parsers_file"].contains(&taken.key.as_str());
            if !routing && !out.notes.iter().any(|note| said(note, &taken)) {
                let (parsers, sections) = all.split_at(parsers.len());
                if Translation::of(sections, parsers).same(&out) {
                    silent.push(Note {
                        place: taken.place.clone(),
                        name: format!("{} {}", taken.key, taken.value),
                        advice: "changes nothing here: it says what holds anyway, or has no counterpart"
                            .to_owned(),
                    });
                }
            }
            all[at].entries.insert(entry, taken);
        }
    }
    let unused = |section: &&Section| section.kind.ends_with("parser") && !out.used.contains(&section.place);
    for section in all.iter().filter(unused) {
        let name = section.entries.iter().find(|entry| entry.key == "name").map_or("", |entry| &entry.value);
        silent.push(Note {
            place: section.place.clone(),
            name: format!("{} {name}", section.kind),
            advice: "no translated plugin uses it; left out".to_owned(),
        });
    }
    out.notes.extend(silent);
    out
}

impl Translation {
    fn of(sections: &[Section], parsers: &[Section]) -> Self {
        let mut out = Self { parsers: parsers.to_vec(), ..Self::default() };
        let (mut inputs, mut filters, mut outputs) = (Vec::new(), Vec::new(), Vec::new());
        for section in sections.iter().cloned() {
            match section.kind.as_str() {
                "parser" | "multiline_parser" => out.parsers.push(section),
                "input" => inputs.push(section),
                "filter" => filters.push(section),
                "output" => outputs.push(section),
                "service" => out.service(section),
                other => {
                    let name = other.to_owned();
                    out.left_out(&section, &name, "this section is not known here; translate it by hand");
                }
            }
        }
        inputs.into_iter().for_each(|input| out.input(input));
        out.filters(&filters, None, 0);
        outputs.into_iter().for_each(|output| out.output(output));
        out.finish();
        let mut seen: Vec<Note> = Vec::new();
        out.notes.retain(|note| {
            !seen.contains(note) && {
                seen.push(note.clone());
                true
            }
        });
        out
    }

    fn same(&self, other: &Self) -> bool {
        self.notes == other.notes
            && self.sources == other.sources
            && self.transforms == other.transforms
            && self.sinks == other.sinks
            && self.top == other.top
    }

    fn note(&mut self, place: &str, name: &str, advice: &str) {
        self.notes.push(Note { place: place.to_owned(), name: name.to_owned(), advice: advice.to_owned() });
    }

    /// Says that a section is not translated: one note instead of one for each option.
    fn left_out(&mut self, section: &Section, name: &str, advice: &str) {
        self.note(&section.place, name, advice);
        self.left.insert(section.place.clone());
    }

    /// Applies filters in order. Records that `rewrite_tag` emits go through those before it as well.
    fn filters(&mut self, filters: &[Section], scope: Option<Vec<usize>>, depth: usize) {
        let outer = std::mem::replace(&mut self.scope, scope);
        for (at, filter) in filters.iter().enumerate() {
            self.filter(filter.clone());
            let emitted: Vec<usize> = (0..self.routes.len())
                .filter(|&route| std::mem::take(&mut self.routes[route].emitted))
                .collect();
            if emitted.is_empty() {
                continue;
            }
            if depth < REWRITES_MAX {
                self.filters(&filters[..at], Some(emitted.clone()), depth + 1);
            } else {
                self.note(
                    &filter.place,
                    "filter rewrite_tag",
                    "records come here again and again; the filters before it are not applied once more",
                );
            }
            if let Some(scope) = &mut self.scope {
                scope.extend(emitted);
            }
        }
        let inner = std::mem::replace(&mut self.scope, outer);
        // What was made inside belongs to what was asked for outside.
        if let (Some(outer), Some(inner)) = (&mut self.scope, inner) {
            outer.extend(inner);
            outer.sort_unstable();
            outer.dedup();
        }
    }

    fn service(&mut self, mut section: Section) {
        if let Some(grace) = section.take("grace") {
            let unit = if grace.ends_with(|last: char| last.is_ascii_digit()) { "s" } else { "" };
            self.top.insert("shutdown_timeout".to_owned(), format!("{grace}{unit}").into());
        }
        let server = section.switch("http_server");
        let listen = section.take("http_listen");
        let port = section.take("http_port");
        if server == Some(true) {
            let address = format!(
                "{}:{}",
                listen.unwrap_or_else(|| "0.0.0.0".to_owned()),
                port.unwrap_or_else(|| "2020".to_owned())
            );
            let place = section.place.clone();
            self.note(&place, "http_server", "its paths are /metrics (Prometheus), /healthz and /readyz");
            let admin = Table::from_iter([("address".to_owned(), Value::from(address))]);
            self.top.insert("admin".to_owned(), admin.into());
        } else if server == Some(false) {
            let admin = Table::from_iter([("address".to_owned(), Value::from(""))]);
            self.top.insert("admin".to_owned(), admin.into());
        }
        // The caller has read them.
        section.take_all("parsers_file");
        self.leftover(section);
    }

    /// Notes every key that nothing took.
    fn leftover(&mut self, section: Section) {
        for entry in section.entries {
            self.note(&entry.place, &format!("{} {}", entry.key, entry.value), advice(&entry.key));
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

    /// Lets records pass that meet a filter's condition, or drops them.
    fn filtered(&mut self, route: usize, condition: Table, drop: bool) {
        let settings = Table::from_iter([
            ("mode".to_owned(), if drop { "drop" } else { "keep" }.into()),
            ("condition".to_owned(), condition.into()),
        ]);
        self.transform(route, "filter", settings);
    }

    fn only(&mut self, route: usize, containers: &Containers, drop: bool) {
        match containers {
            Containers::Filter(table) if table.is_empty() && !drop => {}
            Containers::Filter(table) if table.is_empty() => self.keep(&[route], "false"),
            Containers::Filter(table) => self.filtered(route, table.clone(), drop),
            Containers::Program(test) if drop => self.keep(&[route], &format!("!{test}")),
            Containers::Program(test) => self.keep(&[route], test),
        }
    }

    /// Routes a plugin takes, by its `Match`. A route of which it takes a part is split in two, when
    /// `split` says so; else the part is a route of its own beside it.
    fn matching(&mut self, section: &mut Section, split: bool) -> Vec<usize> {
        let place = section.place.clone();
        let pattern = match (section.take("match_regex"), section.take("match")) {
            (Some(regex), _) if regex::Regex::new(&regex).is_err() => {
                self.note(
                    &place,
                    &format!("match_regex {regex}"),
                    "the expression is not understood here: nothing is connected; name the inputs by hand",
                );
                return Vec::new();
            }
            (Some(regex), _) => Pattern::Regex(regex),
            (None, Some(glob)) => Pattern::Glob(glob),
            (None, None) => {
                self.note(&place, "match", "there is none, so it takes nothing, as in Fluent Bit");
                return Vec::new();
            }
        };
        let mut taken = Vec::new();
        for at in 0..self.routes.len() {
            if self.scope.as_ref().is_some_and(|scope| !scope.contains(&at)) {
                continue;
            }
            let route = &self.routes[at];
            if route.without.iter().any(|other| other.contains(&pattern)) {
                continue;
            }
            let within = route.within.iter().any(|other| pattern.contains(other));
            match if within { Share::All } else { pattern.share(&route.tag) } {
                Share::All => taken.push(at),
                Share::Nothing => {}
                Share::Part => taken.extend(self.part(at, &pattern, &place, split)),
            }
        }
        taken
    }

    fn part(&mut self, at: usize, pattern: &Pattern, place: &str, split: bool) -> Option<usize> {
        let mut route = self.routes[at].clone();
        let Some(prefix) = route.containers.clone() else {
            let advice = format!(
                "takes only a part of the records tagged `{}`, which can't be told apart here: it is not connected to them. A filter that excludes lets more records through now, an output gets less: add a filter transform and name it in inputs",
                route.tag
            );
            self.note(place, &format!("match {}", pattern.text()), &advice);
            return None;
        };
        let containers = pattern.containers(&prefix);
        route.within.push(pattern.clone());
        self.routes.push(route);
        let part = self.routes.len() - 1;
        self.only(part, &containers, false);
        if split {
            self.only(at, &containers, true);
            self.routes[at].without.push(pattern.clone());
        }
        if let Some(scope) = &mut self.scope {
            scope.push(part);
        }
        Some(part)
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

/// Why an option has no counterpart.
fn advice(key: &str) -> &'static str {
    match key {
        "mem_buf_limit"
        | "storage.type"
        | "storage.max_chunks_up"
        | "storage.backlog.mem_limit"
        | "storage.pause_on_chunks_overlimit"
        | "mem_buf_limit_bytes" => "records wait in the spool on disk, not in memory; see spool.max_bytes",
        "storage.path" | "db" | "store_dir" => "positions and waiting data are in data_dir",
        "storage.sync" | "storage.checksum" | "db.sync" | "db.locking" | "db.journal_mode" => {
            "the spool and the positions have checksums and are synced by themselves; see spool.fsync_interval"
        }
        "storage.metrics" => "what waits on disk is in the metrics anyway",
        "flush" => {
            "not taken over: records are on disk after batch.timeout_secs, and delivered after segment.max_age"
        }
        "retry_limit" | "no_retries" => {
            "not taken over: deliveries are tried again for ever; limit what may wait with the sink's buffer"
        }
        "scheduler.base" | "scheduler.cap" => "pauses between attempts are request.backoff of a sink",
        "log_level" | "log_file" => "set the environment variable LOGQ_LOG; messages go to standard error",
        "hot_reload" => "SIGHUP reads the configuration again, always",
        "daemon" => "it stays in the foreground",
        "plugins_file" | "streams_file" => {
            "plugins and stream processors have no counterpart; the file is not read"
        }
        "workers" => "see request.concurrency of the sink",
        "alias" => "names of sources, transforms and sinks are their tables' names; rename them by hand",
        "buffer_size" | "buffer_chunk_size" | "static_batch_size" => {
            "buffers grow as needed, up to the limits of the source"
        }
        "buffer_max_size" => "not taken over: see max_line_bytes of the source",
        "condition" => {
            "conditions on a processor have no counterpart: it takes all records; write a remap transform"
        }
        _ => "no counterpart; left out",
    }
}

/// A text that our configuration reads as it is.
fn escaped(text: &str) -> String {
    text.replace('$', "$$")
}

fn is_body(field: &str) -> bool {
    matches!(field.trim_start_matches('$'), "log" | "message" | "MESSAGE")
}
