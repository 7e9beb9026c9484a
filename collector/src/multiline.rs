//! Lines that belong together: stack traces of several languages, and patterns of one's own.
//!
//! A [`Rules`] value is a small automaton. It reads one line at a time and says whether the line may
//! begin a record of several lines and whether it continues the one that is open. Several languages
//! are followed at once (a set of states), so `auto` needs no decision up front. A line that may turn
//! out not to belong (a blank line after a trace) is held back tentatively: if the next line does not
//! confirm it, it is a record of its own again. So no unrelated line is ever swallowed.
//!
//! Indentation that all lines of a trace share (a logger that indents everything) is looked through:
//! as many blanks as the first line begins with are ignored in the lines behind it.
//!
//! The shapes of the traces are those the runtimes print; the set of cases follows what
//! GoogleCloudPlatform/fluent-plugin-detect-exceptions documents.

mod presets;

use crate::config::component::{Problem, Row, problem};
use crate::config::{ByteSize, Span, options};
use presets::LANGUAGES;
use regex::bytes::Regex;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Which lines belong together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MultilineSettings {
    /// `none`, `auto`, `custom`, or names of languages.
    pub mode: Mode,
    /// With `custom`: what the first line matches.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub start_pattern: String,
    /// With `custom`: what `condition` is about.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub condition_pattern: String,
    /// With `custom`: how the lines behind the first are judged.
    pub condition: ConditionMode,
    /// Time after the last line at which a record is complete.
    pub timeout: Span,
    /// Most bytes of a record.
    pub max_bytes: ByteSize,
    /// Most lines of a record.
    pub max_lines: usize,
}

/// Kinds of rules.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Mode {
    /// `none`, `auto`, `custom` or one language.
    One(String),
    /// Several languages.
    Several(Vec<String>),
}

/// How lines behind the first are judged; Vector's names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConditionMode {
    /// Lines that match belong to the record.
    #[default]
    ContinueThrough,
    /// Lines that match belong to the record, and the one behind them.
    ContinuePast,
    /// Lines up to one that matches belong to the record.
    HaltBefore,
    /// Lines up to and with one that matches belong to the record.
    HaltWith,
}

impl Default for MultilineSettings {
    fn default() -> Self {
        Self {
            mode: Mode::One("none".to_owned()),
            start_pattern: String::new(),
            condition_pattern: String::new(),
            condition: ConditionMode::default(),
            timeout: Span::from(Duration::from_secs(1)),
            max_bytes: ByteSize::new(options::LINE_BYTES),
            max_lines: 1_000,
        }
    }
}

/// The lines of the reference page.
#[rustfmt::skip]
pub fn rows() -> Vec<Row> {
    use options::{none, size, span, text};
    let default = MultilineSettings::default();
    vec![
        ("multiline.mode", text("none"), "Joins lines of one record: `auto` (stack traces of all known languages), one or several of `java`, `dotnet`, `node`, `python`, `go`, `ruby`, `php`, `rust`, `dart`, or `custom`. A pod's annotation `logq.dev/multiline` wins"),
        ("multiline.start_pattern", none(), "With `custom`: what the first line of a record matches"),
        ("multiline.condition_pattern", none(), "With `custom`: what `condition` is about"),
        ("multiline.condition", text("continue_through"), "With `custom`: `continue_through`, `continue_past`, `halt_before`, `halt_with`, as in Vector"),
        ("multiline.timeout", span(default.timeout.duration()), "Time after the last line at which a record is complete"),
        ("multiline.max_bytes", size(default.max_bytes.bytes()), "Most bytes of a joined record; what follows begins another"),
        ("multiline.max_lines", format!("`{}`", default.max_lines), "Most lines of a joined record"),
    ]
}

impl MultilineSettings {
    /// Checks the settings; `key` is the path of the source.
    ///
    /// # Errors
    /// Names the key that can't work.
    pub fn check(&self, key: &str) -> Result<(), Problem> {
        let key = format!("{key}.multiline");
        if self.max_lines < 2 {
            return Err(problem(format!("{key}.max_lines"), "must be at least 2"));
        }
        self.rules().map(drop).map_err(|(inner, message)| problem(format!("{key}.{inner}"), message))
    }

    /// The rules for a stream whose pod may have asked for others by name.
    pub fn rules_for(&self, hint: Option<&str>) -> Option<Rules> {
        let hinted = hint.map(|name| {
            let names = name.split(',').map(|name| name.trim().to_owned()).collect();
            Self { mode: Mode::Several(names), ..self.clone() }
        });
        // A hint nobody understands changes nothing.
        let hinted = hinted.and_then(|settings| settings.rules().ok());
        hinted.unwrap_or_else(|| self.rules().ok().flatten())
    }

    fn rules(&self) -> Result<Option<Rules>, (&'static str, String)> {
        let names: Vec<&str> = match &self.mode {
            Mode::One(name) => vec![name],
            Mode::Several(names) => names.iter().map(String::as_str).collect(),
        };
        match names[..] {
            ["none"] => return Ok(None),
            ["custom"] => return self.custom().map(Some),
            ["auto"] => {
                let all: Vec<&str> = LANGUAGES.iter().map(|language| language.name).collect();
                return Rules::of_languages(&all).map(Some);
            }
            _ => {}
        }
        for name in &names {
            if !LANGUAGES.iter().any(|language| language.name == *name || language.aliases.contains(name)) {
                let known: Vec<&str> = LANGUAGES.iter().map(|language| language.name).collect();
                let message =
                    format!("`{name}` is no rule; there is none, auto, custom, {}", known.join(", "));
                return Err(("mode", message));
            }
        }
        Rules::of_languages(&names).map(Some)
    }

    fn custom(&self) -> Result<Rules, (&'static str, String)> {
        let compile = |name: &'static str, pattern: &str| {
            if pattern.is_empty() {
                return Err((name, "is needed with mode = \"custom\"".to_owned()));
            }
            Regex::new(pattern).map_err(|error| (name, error.to_string()))
        };
        let start = compile("start_pattern", &self.start_pattern)?;
        let condition = compile("condition_pattern", &self.condition_pattern)?;
        Ok(Rules { kind: Kind::Custom { start, condition, mode: self.condition } })
    }
}

/// Settings with their compiled rules: compiled once for each hint, not for each file.
#[derive(Debug)]
pub struct Multiline {
    settings: MultilineSettings,
    compiled: Mutex<HashMap<Option<String>, Option<Arc<Rules>>>>,
}

/// Different hints remembered. There are fewer sensible ones; when pods make up more, those nobody
/// uses at the moment are forgotten and compiled anew when asked for again.
const HINTS_MAX: usize = 64;

impl Multiline {
    /// Rules by these settings.
    pub fn new(settings: MultilineSettings) -> Self {
        Self { settings, compiled: Mutex::default() }
    }

    /// The settings.
    pub fn settings(&self) -> &MultilineSettings {
        &self.settings
    }

    /// The rules for a stream whose pod may have asked for others by name.
    pub fn rules(&self, hint: Option<&str>) -> Option<Arc<Rules>> {
        let mut compiled = self.compiled.lock().unwrap_or_else(PoisonError::into_inner);
        let key = hint.map(str::to_owned);
        if let Some(rules) = compiled.get(&key) {
            return rules.clone();
        }
        let rules = self.settings.rules_for(hint).map(Arc::new);
        if compiled.len() >= HINTS_MAX {
            compiled.retain(|_, rules| rules.as_ref().is_some_and(|rules| Arc::strong_count(rules) > 1));
        }
        if compiled.len() < HINTS_MAX {
            compiled.insert(key, rules.clone());
        }
        rules
    }
}

/// A set of states; at least one bit is set while a record is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct States(u64);

/// What a line means for the record that is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// Where the automaton is behind the line.
    pub states: States,
    /// The line belongs to the record for sure, and so do those held back before it.
    pub firm: bool,
    /// The record is complete.
    pub last: bool,
}

/// Compiled rules.
#[derive(Debug, Clone)]
pub struct Rules {
    kind: Kind,
}

#[derive(Debug, Clone)]
enum Kind {
    Presets(Vec<Transition>),
    Custom { start: Regex, condition: Regex, mode: ConditionMode },
}

#[derive(Debug, Clone)]
struct Transition {
    from: u64,
    pattern: Regex,
    to: u8,
}

/// Custom rules know two states: going on, and one more line.
const OPEN: States = States(1);
const LAST: States = States(2);

impl Rules {
    fn of_languages(names: &[&str]) -> Result<Self, (&'static str, String)> {
        let wanted = LANGUAGES.iter().filter(|language| {
            names.iter().any(|name| language.name == *name || language.aliases.contains(name))
        });
        let mut transitions = Vec::new();
        for rule in wanted.flat_map(|language| language.rules) {
            let pattern = Regex::new(rule.pattern).map_err(|error| ("mode", error.to_string()))?;
            let from = rule.from.iter().fold(0, |set, state| set | 1 << *state as u8);
            transitions.push(Transition { from, pattern, to: rule.to as u8 });
        }
        Ok(Self { kind: Kind::Presets(transitions) })
    }

    /// The states behind a line that may begin a record of several lines; `None` when it can't.
    pub fn begin(&self, line: &[u8]) -> Option<States> {
        match &self.kind {
            Kind::Presets(_) => {
                self.step(States(presets::START_SET), line.trim_ascii_start()).map(|step| step.states)
            }
            Kind::Custom { start, .. } => start.is_match(line).then_some(OPEN),
        }
    }

    /// What a line means for the open record, whose first line begins with `indent` blanks.
    /// `None`: it does not belong to it.
    pub fn next(&self, states: States, indent: usize, line: &[u8]) -> Option<Step> {
        match &self.kind {
            Kind::Presets(_) => {
                let blanks = line.iter().take(indent).take_while(|byte| matches!(byte, b' ' | b'\t')).count();
                self.step(states, &line[blanks..])
            }
            Kind::Custom { condition, mode, .. } => {
                let going = Step { states: OPEN, firm: true, last: false };
                let ending = Step { states: OPEN, firm: true, last: true };
                match (mode, condition.is_match(line)) {
                    _ if states == LAST => Some(ending),
                    (ConditionMode::ContinueThrough, true) | (ConditionMode::HaltBefore, false) => {
                        Some(going)
                    }
                    (ConditionMode::ContinueThrough, false) | (ConditionMode::HaltBefore, true) => None,
                    (ConditionMode::ContinuePast, true) => Some(going),
                    (ConditionMode::ContinuePast, false) => Some(ending),
                    (ConditionMode::HaltWith, true) => Some(ending),
                    (ConditionMode::HaltWith, false) => Some(going),
                }
            }
        }
    }

    fn step(&self, states: States, line: &[u8]) -> Option<Step> {
        let Kind::Presets(transitions) = &self.kind else { return None };
        let mut to = 0;
        for transition in transitions {
            if transition.from & states.0 != 0
                && to & (1 << transition.to) == 0
                && transition.pattern.is_match(line)
            {
                to |= 1 << transition.to;
            }
        }
        (to != 0).then_some(Step { states: States(to), firm: to & !presets::TENTATIVE_SET != 0, last: false })
    }
}

/// Blanks a line begins with.
pub fn indent(line: &[u8]) -> usize {
    line.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count()
}

#[cfg(test)]
mod tests;
