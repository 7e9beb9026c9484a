//! What becomes of a field: attribute, body, severity, part of the stream, a reason to take or leave
//! its entry, or nothing.
//!
//! A value repeats in thousands of entries and is stored once per file, so what it means is worked
//! out once per data object and kept by the object's offset.

use super::JournaldSettings;
use std::collections::HashMap;
use std::sync::Arc;

/// Longest value of an attribute; the rest is cut off. Bodies have a limit of their own.
const ATTRIBUTE_BYTES_MAX: usize = 64 * 1024;

/// Attributes of fields OpenTelemetry has a name for, and whether the value is a number.
const NAMES: &[(&str, &str, bool)] = &[
    ("_PID", "process.pid", true),
    ("_COMM", "process.command", false),
    ("_EXE", "process.executable.path", false),
    ("_CMDLINE", "process.command_line", false),
    ("_UID", "process.user.id", true),
    ("_HOSTNAME", "host.name", false),
    ("_MACHINE_ID", "host.id", false),
    ("TID", "thread.id", true),
    ("CODE_FILE", "code.file.path", false),
    ("CODE_LINE", "code.line.number", true),
    ("CODE_FUNC", "code.function.name", false),
];

/// Fields that become attributes unless `include_fields` says otherwise.
pub const DEFAULT_FIELDS: &[&str] = &[
    "_SYSTEMD_UNIT",
    "SYSLOG_IDENTIFIER",
    "_PID",
    "_COMM",
    "_EXE",
    "_UID",
    "_HOSTNAME",
    "_TRANSPORT",
    "_BOOT_ID",
    "MESSAGE_ID",
    "CODE_FILE",
    "CODE_LINE",
    "CODE_FUNC",
];

/// Severity number and text of each syslog priority, after OpenTelemetry's mapping of syslog.
pub const SEVERITIES: [(u8, &str); 8] = [
    (21, "emerg"),
    (19, "alert"),
    (18, "crit"),
    (17, "err"),
    (13, "warning"),
    (10, "notice"),
    (9, "info"),
    (5, "debug"),
];

/// What a field is used for beside being an attribute.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Role {
    /// Nothing else.
    #[default]
    None,
    /// The body; its bytes are read when they are needed.
    Message,
    /// The severity: 0 to 7.
    Priority(u8),
    /// Where entries come from, the better the higher.
    Service(u8),
    /// The host.
    Host,
}

/// What a data object means.
#[derive(Debug, Default)]
pub struct Meaning {
    /// What it is used for.
    pub role: Role,
    /// `include_matches` names it.
    pub included: bool,
    /// `exclude_matches` names it.
    pub excluded: bool,
    /// Attribute: its number among all names of this source, and its value as JSON.
    pub attribute: Option<(u32, Arc<str>)>,
    /// The value, where the role needs it.
    pub text: Option<Arc<str>>,
}

impl Meaning {
    /// Memory it takes, about.
    pub fn bytes(&self) -> usize {
        let attribute = self.attribute.as_ref().map_or(0, |(_, value)| value.len());
        128 + attribute + self.text.as_ref().map_or(0, |text| text.len())
    }
}

/// What a name asks for.
#[derive(Debug, Clone, Default)]
struct Wanted {
    attribute: bool,
    include: Vec<Vec<u8>>,
    exclude: Vec<Vec<u8>>,
}

/// What all fields are wanted for.
#[derive(Debug, Default)]
pub struct Fields {
    names: HashMap<Vec<u8>, Wanted>,
    excluded: Vec<Vec<u8>>,
    all: bool,
    /// Only entries with a field that `include_matches` names are taken.
    pub selective: bool,
    /// Names of attributes as JSON keys, by number.
    keys: Vec<Arc<str>>,
    numbers: HashMap<Vec<u8>, (u32, bool)>,
}

/// Different attribute names that are kept; a sender can make up as many as it likes.
const KEYS_MAX: usize = 4096;

impl Fields {
    /// What the settings ask for.
    pub fn new(settings: &JournaldSettings) -> Self {
        let mut fields = Self::default();
        let include = settings.include_fields.clone();
        let include = include.unwrap_or_else(|| DEFAULT_FIELDS.iter().map(|name| (*name).into()).collect());
        fields.all = include.iter().any(|name| name == "*");
        for name in include.into_iter().filter(|name| !settings.exclude_fields.contains(name)) {
            fields.names.entry(name.into_bytes()).or_default().attribute = true;
        }
        fields.excluded = settings.exclude_fields.iter().map(|name| name.clone().into_bytes()).collect();
        for (name, values) in super::matches(&settings.include_matches, &settings.include_units) {
            fields.selective = true;
            fields.names.entry(name).or_default().include.extend(values);
        }
        for (name, values) in super::matches(&settings.exclude_matches, &settings.exclude_units) {
            fields.names.entry(name).or_default().exclude.extend(values);
        }
        fields
    }

    /// A payload that begins like this is of use.
    pub fn wants(&self, payload: &[u8]) -> bool {
        let Some(end) = memchr::memchr(b'=', payload) else { return false };
        let name = &payload[..end];
        matches!(name, b"MESSAGE" | b"PRIORITY") || service(name) > 0 || name == b"_HOSTNAME" || {
            self.names.contains_key(name) || (self.all && !self.hidden(name))
        }
    }

    /// With `include_fields = ["*"]`: what is body, severity or time is not an attribute as well.
    fn hidden(&self, name: &[u8]) -> bool {
        let own = matches!(name, b"MESSAGE" | b"PRIORITY") || name.starts_with(b"__");
        own || self.excluded.iter().any(|excluded| excluded == name)
    }

    /// Works out what `FIELD=value` means.
    pub fn meaning(&mut self, payload: &[u8]) -> Meaning {
        let Some(end) = memchr::memchr(b'=', payload) else { return Meaning::default() };
        let (name, value) = (&payload[..end], &payload[end + 1..]);
        let mut meaning = Meaning::default();
        let wanted = self.names.get(name);
        if let Some(wanted) = wanted {
            meaning.included = wanted.include.iter().any(|one| one == value);
            meaning.excluded = wanted.exclude.iter().any(|one| one == value);
        }
        meaning.role = match (name, value) {
            (b"MESSAGE", _) => Role::Message,
            (b"PRIORITY", [digit @ b'0'..=b'7']) => Role::Priority(digit - b'0'),
            (b"_HOSTNAME", _) => Role::Host,
            _ => match service(name) {
                0 => Role::None,
                rank => Role::Service(rank),
            },
        };
        if matches!(meaning.role, Role::Service(_) | Role::Host) {
            meaning.text = Some(String::from_utf8_lossy(cut(value)).into());
        }
        let attribute = wanted.is_some_and(|wanted| wanted.attribute) || (self.all && !self.hidden(name));
        if attribute && let Some((number, numeric)) = self.number(name) {
            meaning.attribute = Some((number, json(cut(value), numeric)));
        }
        meaning
    }

    /// The JSON key of an attribute.
    pub fn key(&self, number: u32) -> &str {
        self.keys.get(number as usize).map_or("\"\"", |key| key)
    }

    fn number(&mut self, name: &[u8]) -> Option<(u32, bool)> {
        if let Some(known) = self.numbers.get(name) {
            return Some(*known);
        }
        // journald's own rule for names; others come from damage.
        let proper = |byte: &u8| matches!(byte, b'A'..=b'Z' | b'0'..=b'9' | b'_');
        if self.keys.len() >= KEYS_MAX || name.is_empty() || name.len() > 64 || !name.iter().all(proper) {
            return None;
        }
        let known = NAMES.iter().find(|(field, ..)| field.as_bytes() == name);
        let (key, numeric) = match known {
            Some((_, key, numeric)) => ((*key).to_owned(), *numeric),
            None => (format!("journald.{}", String::from_utf8_lossy(name)), false),
        };
        let number = u32::try_from(self.keys.len()).ok()?;
        self.keys.push(format!("\"{key}\"").into());
        self.numbers.insert(name.to_vec(), (number, numeric));
        Some((number, numeric))
    }
}

/// How good a name of its origin a field is: unit before identifier before command.
fn service(name: &[u8]) -> u8 {
    match name {
        b"_SYSTEMD_UNIT" => 3,
        b"SYSLOG_IDENTIFIER" => 2,
        b"_COMM" => 1,
        _ => 0,
    }
}

fn cut(value: &[u8]) -> &[u8] {
    &value[..value.len().min(ATTRIBUTE_BYTES_MAX)]
}

/// A value as JSON: a number where the name says so and it is one, otherwise text. Bytes that are
/// not UTF-8 are replaced; only the body is kept as bytes.
fn json(value: &[u8], numeric: bool) -> Arc<str> {
    let text = String::from_utf8_lossy(value);
    match text.parse::<u64>() {
        Ok(number) if numeric => number.to_string().into(),
        _ => serde_json::Value::from(text.as_ref()).to_string().into(),
    }
}
