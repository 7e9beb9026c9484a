//! Source `journald`: entries of systemd's journal, straight from its files. No libsystemd and no
//! `journalctl` is needed: the files may be a read-only mount of the host's.
//!
//! Promises: every entry of every selected journal is handed over once, with its position, through
//! rotation, removal of archived files and restarts of the collector. A file is known by the
//! `file_id` in its header, which renaming and copying keep, and an entry by that and its sequence
//! number. An entry that is not complete yet is waited for; a damaged one is skipped and counted.
//!
//! Refuses: to identify entries by the journal's `seqnum_id`. Files of one machine share it, but
//! until systemd 254 a restarted journald may give a number a second time in another file; within a
//! file numbers only rise. And to read `/run/log/journal` and `/var/log/journal` both: what is in
//! the first is copied to the second, under other identities.
//!
//! One thread reads all files, in the order of their entries' times. Files without news cost one
//! read of their header per look, at least every second.

mod discover;
mod fields;
mod format;
mod journal;
mod payload;
mod reader;
mod render;

use super::{SourceConfig, Wiring};
use crate::config::component::{Problem, Row, Settings, problem, within};
use crate::config::{ByteSize, Span, options};
use crate::memory::Reads;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Field names and the values they may have.
pub type Matches = BTreeMap<String, Vec<String>>;

/// Settings of the source.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct JournaldSettings {
    /// Where the journals are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub journal_directory: Option<PathBuf>,
    /// Which namespaces are read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub journal_namespace: Option<String>,
    /// Journals of users are read as well.
    pub user_journals: bool,
    /// Only entries of these units.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub include_units: Vec<String>,
    /// No entries of these units.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub exclude_units: Vec<String>,
    /// Only entries with one of these values.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub include_matches: Matches,
    /// No entries with one of these values.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub exclude_matches: Matches,
    /// Only entries of the boot the collector runs in.
    pub current_boot_only: bool,
    /// What is in the journal at the first start is skipped.
    pub since_now: bool,
    /// Least urgent priority that is taken.
    pub priority: String,
    /// Fields that become attributes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub include_fields: Option<Vec<String>>,
    /// Fields that don't.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub exclude_fields: Vec<String>,
    /// Longest body.
    pub max_line_bytes: ByteSize,
    /// Time between scans for new files.
    pub glob_minimum_cooldown: Span,
}

impl Default for JournaldSettings {
    fn default() -> Self {
        Self {
            journal_directory: None,
            journal_namespace: None,
            user_journals: true,
            include_units: Vec::new(),
            exclude_units: Vec::new(),
            include_matches: Matches::new(),
            exclude_matches: Matches::new(),
            current_boot_only: options::JOURNALD_CURRENT_BOOT_ONLY,
            since_now: false,
            priority: "debug".to_owned(),
            include_fields: None,
            exclude_fields: Vec::new(),
            max_line_bytes: ByteSize::new(options::LINE_BYTES),
            glob_minimum_cooldown: Span::from(options::GLOB_COOLDOWN),
        }
    }
}

impl Settings for JournaldSettings {
    const KIND: &'static str = "journald";
    const ABOUT: &'static str =
        "Entries of systemd's journal, read from its files: no libsystemd, no journalctl.";

    #[rustfmt::skip]
    fn options() -> Vec<Row> {
        use options::{none, plain, size, span, text};
        let fields = fields::DEFAULT_FIELDS.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
        vec![
            ("journal_directory", plain("`/var/log/journal`, or `/run/log/journal` when that holds none"), "Directory `<machine id>/*.journal` live in"),
            ("journal_namespace", none(), "A journal namespace; `*` for all, `+name` for one and the default. None: the default namespace only"),
            ("user_journals", plain("`true`"), "Journals of users (`user-1000.journal`) are read as well"),
            ("include_units", none(), "Only entries of these units; a name without a dot means a `.service`"),
            ("exclude_units", none(), "No entries of these units"),
            ("include_matches", none(), "Only entries with one of these values, such as `{ _TRANSPORT = [\"kernel\"] }`; units of `include_units` count as well"),
            ("exclude_matches", none(), "No entries with one of these values"),
            ("current_boot_only", plain(&format!("`{}`", options::JOURNALD_CURRENT_BOOT_ONLY)), "Only entries of the boot the collector runs in"),
            ("since_now", plain("`false`"), "What is in the journal at the first start is skipped"),
            ("priority", text("debug"), "Least urgent priority that is taken: a name (`emerg` to `debug`) or `0` to `7`. Entries without one are always taken"),
            ("include_fields", fields, "Fields that become attributes; `[\"*\"]` for all"),
            ("exclude_fields", none(), "Fields that don't become attributes"),
            ("max_line_bytes", size(options::LINE_BYTES), "Longest body; a longer one is marked `cut: truncated`"),
            ("glob_minimum_cooldown", span(options::GLOB_COOLDOWN), "Time between scans for new files"),
        ]
    }

    fn check(&self, key: &str) -> Result<(), Problem> {
        within(&format!("{key}.max_line_bytes"), self.max_line_bytes, options::LINE_BYTES_RANGE)?;
        if self.priority_max().is_none() {
            let message = format!("`{}` is no priority; write emerg, …, debug or 0 to 7", self.priority);
            return Err(problem(format!("{key}.priority"), message));
        }
        for (name, all) in
            [("include_matches", &self.include_matches), ("exclude_matches", &self.exclude_matches)]
        {
            if let Some((field, _)) = all.iter().find(|(_, values)| values.is_empty()) {
                return Err(problem(format!("{key}.{name}.{field}"), "must name at least one value"));
            }
        }
        Ok(())
    }
}

impl JournaldSettings {
    /// The largest priority number that is taken.
    fn priority_max(&self) -> Option<u8> {
        let named = fields::SEVERITIES.iter().position(|(_, name)| *name == self.priority);
        let number = named.or_else(|| self.priority.parse().ok())?;
        u8::try_from(number).ok().filter(|number| *number < 8)
    }
}

impl SourceConfig for JournaldSettings {
    fn exclusive(&self) -> Vec<(&'static str, String)> {
        let default = PathBuf::from(discover::DIRECTORIES[0]);
        let directory = self.journal_directory.as_ref().unwrap_or(&default);
        vec![("journal_directory", directory.display().to_string())]
    }

    fn memory(&self) -> Reads {
        let record = self.max_line_bytes.bytes();
        Reads { record, record_key: "max_line_bytes", ..Reads::default() }
    }

    fn run(&self, wiring: Wiring) {
        reader::Reader::new(self.clone(), wiring).run();
    }
}

/// Matches and units together, as names and values.
fn matches(matches: &Matches, units: &[String]) -> Vec<(Vec<u8>, Vec<Vec<u8>>)> {
    let bytes = |values: &Vec<String>| values.iter().map(|value| value.clone().into_bytes()).collect();
    let mut all: Vec<(Vec<u8>, Vec<Vec<u8>>)> =
        matches.iter().map(|(name, values)| (name.clone().into_bytes(), bytes(values))).collect();
    if !units.is_empty() {
        let full = |unit: &String| if unit.contains('.') { unit.clone() } else { format!("{unit}.service") };
        all.push((b"_SYSTEMD_UNIT".to_vec(), units.iter().map(|unit| full(unit).into_bytes()).collect()));
    }
    all
}

#[cfg(test)]
mod tests;
