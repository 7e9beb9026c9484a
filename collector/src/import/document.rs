//! A Fluent Bit configuration as sections with lines, from its classic and its YAML format.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Files may include each other this deep.
const DEPTH_MAX: usize = 16;

/// One section: `[INPUT]`, or an entry of `pipeline.inputs`.
#[derive(Debug, Clone)]
pub struct Section {
    /// `service`, `input`, `filter`, `output`, `parser`, `multiline_parser`, in lower case.
    pub kind: String,
    /// File and line it begins at.
    pub place: String,
    /// Keys in lower case with their values, in order; [`Section::take`] removes them.
    pub entries: Vec<Entry>,
    /// Filters of its own: `processors.logs`, in YAML.
    pub processors: Vec<Section>,
}

/// One key of a section.
#[derive(Debug, Clone)]
pub struct Entry {
    /// In lower case.
    pub key: String,
    /// As written, `@SET` variables replaced.
    pub value: String,
    /// File and line.
    pub place: String,
}

impl Section {
    /// Removes a key; the last one wins.
    pub fn take(&mut self, key: &str) -> Option<String> {
        let mut all = self.take_all(key);
        all.pop().map(|entry| entry.value)
    }

    /// Removes all entries of a key.
    pub fn take_all(&mut self, key: &str) -> Vec<Entry> {
        let (taken, left) = std::mem::take(&mut self.entries).into_iter().partition(|entry| entry.key == key);
        self.entries = left;
        taken
    }

    /// Removes a switch: on, true, yes.
    pub fn switch(&mut self, key: &str) -> Option<bool> {
        self.take(key).map(|value| matches!(value.to_ascii_lowercase().as_str(), "on" | "true" | "yes"))
    }
}

/// Reads a file and all it includes.
///
/// # Errors
/// Names the file, the line and what is wrong.
pub fn read(path: &Path) -> Result<Vec<Section>, String> {
    let mut reader = Reader::default();
    reader.file(path, 0)?;
    Ok(reader.sections)
}

#[derive(Debug, Default)]
struct Reader {
    sections: Vec<Section>,
    variables: BTreeMap<String, String>,
}

impl Reader {
    fn file(&mut self, path: &Path, depth: usize) -> Result<(), String> {
        let name = path.display();
        if depth > DEPTH_MAX {
            return Err(format!("{name}: includes are more than {DEPTH_MAX} deep"));
        }
        let text =
            std::fs::read_to_string(path).map_err(|error| format!("{name}: can't be read: {error}"))?;
        match path.extension().and_then(|end| end.to_str()) {
            Some("yaml" | "yml") => self.yaml(path, &text, depth),
            _ => self.classic(path, &text, depth),
        }
    }

    fn include(&mut self, from: &Path, pattern: &str, depth: usize) -> Result<(), String> {
        let path = from.parent().unwrap_or(Path::new("")).join(pattern);
        if !pattern.contains('*') {
            return self.file(&path, depth + 1);
        }
        let glob = globset::Glob::new(&path.to_string_lossy()).map_err(|error| error.to_string())?;
        let matcher = glob.compile_matcher();
        let dir = path.parent().unwrap_or(Path::new("."));
        let entries = std::fs::read_dir(dir).map_err(|error| format!("{}: {error}", dir.display()))?;
        let mut found: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
        found.retain(|path| matcher.is_match(path));
        found.sort();
        found.iter().try_for_each(|path| self.file(path, depth + 1))
    }

    fn classic(&mut self, path: &Path, text: &str, depth: usize) -> Result<(), String> {
        for (number, line) in text.lines().enumerate() {
            let place = format!("{}:{}", path.display(), number + 1);
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (key, value) = line.split_once([' ', '\t']).unwrap_or((line, ""));
            let value = self.replaced(value.trim());
            if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
                let kind = name.trim().to_ascii_lowercase();
                self.sections.push(Section { kind, place, entries: Vec::new(), processors: Vec::new() });
            } else if key.eq_ignore_ascii_case("@include") {
                self.include(path, &value, depth).map_err(|error| format!("{place}: {error}"))?;
            } else if key.eq_ignore_ascii_case("@set") {
                let (name, value) =
                    value.split_once('=').ok_or_else(|| format!("{place}: @SET without `=`"))?;
                self.variables.insert(name.trim().to_owned(), value.trim().to_owned());
            } else {
                let Some(section) = self.sections.last_mut() else {
                    return Err(format!("{place}: `{key}` stands before any [SECTION]"));
                };
                section.entries.push(Entry { key: key.to_ascii_lowercase(), value, place });
            }
        }
        Ok(())
    }

    /// Variables of `@SET` and `env`; those of the environment stay for our own configuration.
    fn replaced(&self, text: &str) -> String {
        let replace =
            |text: String, (name, value): (&String, &String)| text.replace(&format!("${{{name}}}"), value);
        self.variables.iter().fold(text.to_owned(), replace)
    }

    fn yaml(&mut self, path: &Path, text: &str, depth: usize) -> Result<(), String> {
        use serde_norway::Value;
        let root: Value = serde_norway::from_str(text)
            .map_err(|error| format!("{}: not valid YAML: {error}", path.display()))?;
        let mut lines = Lines { text, at: 0, file: path.display().to_string() };
        if let Some(Value::Mapping(env)) = root.get("env") {
            for (name, value) in env {
                self.variables.insert(scalar(name), scalar(value));
            }
        }
        for (key, value) in root.as_mapping().into_iter().flatten() {
            let key = scalar(key);
            let place = lines.find(&key);
            match (key.as_str(), value) {
                ("includes", Value::Sequence(files)) => {
                    files.iter().try_for_each(|file| self.include(path, &scalar(file), depth))?;
                }
                ("service", value) => self.section("service", place, value, &mut lines),
                ("parsers" | "multiline_parsers", Value::Sequence(items)) => {
                    items.iter().for_each(|item| {
                        self.section(key.trim_end_matches('s'), place.clone(), item, &mut lines)
                    });
                }
                ("pipeline", Value::Mapping(pipeline)) => {
                    for (key, items) in pipeline {
                        let key = scalar(key);
                        let place = lines.find(&key);
                        for item in items.as_sequence().into_iter().flatten() {
                            self.section(key.trim_end_matches('s'), place.clone(), item, &mut lines);
                        }
                    }
                }
                ("env", _) => {}
                (other, _) => self.sections.push(Section {
                    kind: other.to_owned(),
                    place,
                    entries: Vec::new(),
                    processors: Vec::new(),
                }),
            }
        }
        Ok(())
    }

    fn section(&mut self, kind: &str, place: String, value: &serde_norway::Value, lines: &mut Lines<'_>) {
        let section = self.mapping(kind, place, value, lines);
        self.sections.push(section);
    }

    fn mapping(
        &self,
        kind: &str,
        place: String,
        value: &serde_norway::Value,
        lines: &mut Lines<'_>,
    ) -> Section {
        use serde_norway::Value;
        let (mut entries, mut processors) = (Vec::new(), Vec::new());
        for (key, value) in value.as_mapping().into_iter().flatten() {
            let key = scalar(key);
            let place = lines.find(&key);
            let key = key.to_ascii_lowercase();
            if let ("processors", Value::Mapping(signals)) = (key.as_str(), value) {
                for (signal, items) in signals {
                    let place = lines.find(&scalar(signal));
                    for item in items.as_sequence().into_iter().flatten() {
                        let kind = format!("processor {}", scalar(signal));
                        processors.push(self.mapping(&kind, place.clone(), item, lines));
                    }
                }
                continue;
            }
            let values = match value {
                Value::Sequence(values) => values.iter().map(flat).collect(),
                other => vec![flat(other)],
            };
            // The classic format calls one of the rules what YAML calls all of them.
            let key = if kind == "multiline_parser" && key == "rules" { "rule".to_owned() } else { key };
            let entry = |value: String| Entry {
                key: key.clone(),
                value: self.replaced(&value),
                place: place.clone(),
            };
            entries.extend(values.into_iter().map(entry));
        }
        let place = entries.first().map_or(place, |entry| entry.place.clone());
        Section { kind: kind.to_owned(), place, entries, processors }
    }
}

/// Finds the lines of keys. The parsed document keeps their order, so each is looked for behind
/// the one before.
struct Lines<'a> {
    text: &'a str,
    at: usize,
    file: String,
}

impl Lines<'_> {
    fn find(&mut self, key: &str) -> String {
        let is_key = |line: &str| {
            let line =
                line.trim_start().trim_start_matches("- ").trim_start().trim_start_matches(['"', '\'']);
            line.strip_prefix(key)
                .is_some_and(|rest| rest.trim_start_matches(['"', '\'', ' ']).starts_with(':'))
        };
        let found = self.text.lines().enumerate().skip(self.at).find(|(_, line)| is_key(line));
        self.at = found.map_or(self.at, |(number, _)| number + 1);
        format!("{}:{}", self.file, self.at)
    }
}

fn scalar(value: &serde_norway::Value) -> String {
    use serde_norway::Value;
    match value {
        Value::String(text) => text.clone(),
        Value::Bool(true) => "on".to_owned(),
        Value::Bool(false) => "off".to_owned(),
        Value::Number(number) => number.to_string(),
        // Plugin options that are tables (processors, rules) have no counterpart as a text.
        _ => "(table)".to_owned(),
    }
}

/// A value as the classic format writes it: a rule of a multiline parser is three quoted words.
fn flat(value: &serde_norway::Value) -> String {
    let Some(state) = value.get("state") else { return scalar(value) };
    let part = |name: &str| value.get(name).map(scalar).unwrap_or_default();
    format!("\"{}\" \"{}\" \"{}\"", scalar(state), part("regex"), part("next_state"))
}
