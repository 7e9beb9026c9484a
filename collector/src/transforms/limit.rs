//! Transforms that let less through: `sample`, `throttle` and `dedupe`. What they leave out is
//! counted with a reason.

use super::matcher::{Condition, Matcher};
use super::{Counts, Transform, TransformConfig};
use crate::batch::{Batch, Record};
use crate::config::Span;
use crate::config::component::{Problem, Row, Settings, problem};
use crate::config::options;
use logq_schemas::landing::Stream;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::time::{Duration, Instant};
use twox_hash::xxhash3_64;

/// What records share that are counted together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyField {
    /// All records together.
    #[default]
    All,
    /// Each namespace.
    Namespace,
    /// Each pod.
    Pod,
    /// Each container of each pod.
    Container,
}

impl KeyField {
    fn of(self, stream: &Stream) -> u64 {
        let parts: &[&str] = match self {
            Self::All => &[],
            Self::Namespace => &[&stream.namespace],
            Self::Pod => &[&stream.namespace, &stream.pod, &stream.pod_uid],
            Self::Container => &[&stream.namespace, &stream.pod, &stream.pod_uid, &stream.container],
        };
        let mut hasher = xxhash3_64::Hasher::new();
        for part in parts {
            std::hash::Hasher::write(&mut hasher, part.as_bytes());
            std::hash::Hasher::write(&mut hasher, &[0]);
        }
        std::hash::Hasher::finish(&hasher)
    }
}

const KEY_FIELD: &str = "What is counted together: `all`, each `namespace`, `pod` or `container`";

/// Settings of `sample`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SampleSettings {
    /// One of this many records passes.
    pub rate: u64,
    /// Records that always pass.
    #[serde(default, skip_serializing_if = "Condition::is_empty")]
    pub exclude: Condition,
}

impl Settings for SampleSettings {
    const KIND: &'static str = "sample";
    const ABOUT: &'static str = "Lets one of so many records pass. Which ones is a function of their bodies, so a repeated run picks the same.";

    #[rustfmt::skip]
    fn options() -> Vec<Row> {
        vec![
            ("rate", options::required(), "One of this many records passes"),
            ("exclude", options::none(), "Records that always pass: a table with the keys of a filter's `condition`"),
        ]
    }

    fn check(&self, key: &str) -> Result<(), Problem> {
        if self.rate == 0 {
            return Err(problem(format!("{key}.rate"), "must be at least 1"));
        }
        self.exclude.compile(&format!("{key}.exclude")).map(drop)
    }
}

impl TransformConfig for SampleSettings {
    fn build(&self, _name: &str) -> Result<Box<dyn Transform>, String> {
        let always = self.exclude.compile("exclude").map_err(|problem| problem.message)?;
        let always = (!self.exclude.is_empty()).then_some(always);
        Ok(Box::new(Sample { rate: self.rate, always }))
    }
}

#[derive(Debug)]
struct Sample {
    rate: u64,
    always: Option<Matcher>,
}

impl Transform for Sample {
    fn apply(&mut self, batch: &mut Batch, records: &mut Vec<Record>, counts: &mut Counts) {
        let before = records.len();
        let always: Option<Vec<bool>> =
            self.always.as_ref().map(|matcher| matcher.select(batch, records).collect());
        let mut number = 0;
        records.retain(|record| {
            let always = always.as_ref().is_some_and(|always| always[number]);
            number += 1;
            let mut hasher = xxhash3_64::Hasher::new();
            std::hash::Hasher::write(&mut hasher, &record.offset.to_le_bytes());
            std::hash::Hasher::write(&mut hasher, batch.bytes(record.time));
            std::hash::Hasher::write(&mut hasher, batch.bytes(record.body));
            always || std::hash::Hasher::finish(&hasher).is_multiple_of(self.rate)
        });
        counts.drop("sampled", (before - records.len()) as u64);
    }
}

/// Settings of `throttle`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ThrottleSettings {
    /// Records that pass in each window.
    pub threshold: u32,
    /// Length of the window.
    #[serde(default = "second")]
    pub window_secs: Span,
    /// What is counted together.
    #[serde(default)]
    pub key_field: KeyField,
}

fn second() -> Span {
    Span::from(Duration::from_secs(1))
}

impl Settings for ThrottleSettings {
    const KIND: &'static str = "throttle";
    const ABOUT: &'static str = "Limits the rate of records (generic cell rate algorithm): a burst of `threshold` passes at once, then that many a window. What is above is dropped and counted.";

    fn options() -> Vec<Row> {
        vec![
            ("threshold", options::required(), "Records that pass in each window"),
            ("window_secs", options::span(Duration::from_secs(1)), "Length of the window"),
            ("key_field", options::text("all"), KEY_FIELD),
        ]
    }

    fn check(&self, key: &str) -> Result<(), Problem> {
        if self.threshold == 0 {
            return Err(problem(format!("{key}.threshold"), "must be at least 1"));
        }
        if self.window_secs.duration().is_zero() {
            return Err(problem(format!("{key}.window_secs"), "must be more than 0"));
        }
        Ok(())
    }
}

impl TransformConfig for ThrottleSettings {
    fn build(&self, _name: &str) -> Result<Box<dyn Transform>, String> {
        let window = self.window_secs.duration();
        Ok(Box::new(Throttle {
            interval: window / self.threshold,
            window,
            key_field: self.key_field,
            start: Instant::now(),
            due: HashMap::new(),
        }))
    }
}

/// Keys kept at most; beyond it those with nothing to remember go first.
const KEYS_MAX: usize = 10_000;

#[derive(Debug)]
struct Throttle {
    interval: Duration,
    window: Duration,
    key_field: KeyField,
    start: Instant,
    /// Theoretical arrival time of the next record by key, since `start` (ITU-T I.371).
    due: HashMap<u64, Duration>,
}

impl Throttle {
    fn passes(&mut self, key: u64, now: Duration) -> bool {
        let due = self.due.entry(key).or_insert(now);
        let next = (*due).max(now) + self.interval;
        let passes = next <= now + self.window;
        if passes {
            *due = next;
        }
        passes
    }
}

impl Transform for Throttle {
    fn apply(&mut self, batch: &mut Batch, records: &mut Vec<Record>, counts: &mut Counts) {
        let before = records.len();
        let now = self.start.elapsed();
        let keys: Vec<u64> = batch.streams.iter().map(|stream| self.key_field.of(&stream.about)).collect();
        records.retain(|record| self.passes(keys[record.stream as usize], now));
        if self.due.len() > KEYS_MAX {
            self.due.retain(|_, due| *due > now);
        }
        counts.drop("throttled", (before - records.len()) as u64);
    }
}

/// Settings of `dedupe`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DedupeSettings {
    /// How long a body is remembered.
    pub window_secs: Span,
    /// Bodies remembered at most.
    pub cache: usize,
    /// Within what bodies are compared.
    pub key_field: KeyField,
}

impl Default for DedupeSettings {
    fn default() -> Self {
        let window_secs = Span::from(Duration::from_secs(60));
        Self { window_secs, cache: 5_000, key_field: KeyField::Container }
    }
}

impl Settings for DedupeSettings {
    const KIND: &'static str = "dedupe";
    const ABOUT: &'static str =
        "Drops records whose body was seen before within the window. The first one always passes.";

    fn options() -> Vec<Row> {
        let default = Self::default();
        vec![
            ("window_secs", options::span(default.window_secs.duration()), "How long a body is remembered"),
            ("cache", format!("`{}`", default.cache), "Bodies remembered at most, as 8-byte hashes"),
            ("key_field", options::text("container"), KEY_FIELD),
        ]
    }

    fn check(&self, key: &str) -> Result<(), Problem> {
        if self.cache == 0 {
            return Err(problem(format!("{key}.cache"), "must be at least 1"));
        }
        Ok(())
    }
}

impl TransformConfig for DedupeSettings {
    fn build(&self, _name: &str) -> Result<Box<dyn Transform>, String> {
        Ok(Box::new(Dedupe { settings: self.clone(), seen: HashMap::new() }))
    }
}

#[derive(Debug)]
struct Dedupe {
    settings: DedupeSettings,
    /// When a body was first seen, by a hash over key and body.
    seen: HashMap<(u64, u64), Instant>,
}

impl Transform for Dedupe {
    fn apply(&mut self, batch: &mut Batch, records: &mut Vec<Record>, counts: &mut Counts) {
        let before = records.len();
        let (now, window) = (Instant::now(), self.settings.window_secs.duration());
        let keys: Vec<u64> =
            batch.streams.iter().map(|stream| self.settings.key_field.of(&stream.about)).collect();
        records.retain(|record| {
            let body = xxhash3_64::Hasher::oneshot(batch.bytes(record.body));
            match self.seen.entry((keys[record.stream as usize], body)) {
                std::collections::hash_map::Entry::Occupied(mut first) => {
                    let again = now.duration_since(*first.get()) < window;
                    if !again {
                        first.insert(now);
                    }
                    !again
                }
                std::collections::hash_map::Entry::Vacant(new) => {
                    new.insert(now);
                    true
                }
            }
        });
        if self.seen.len() > self.settings.cache {
            self.seen.retain(|_, first| now.duration_since(*first) < window);
        }
        if self.seen.len() > self.settings.cache {
            // More different bodies than may be remembered: the older half is forgotten.
            let mut times: Vec<Instant> = self.seen.values().copied().collect();
            let middle = times.len() / 2;
            let (_, median, _) = times.select_nth_unstable(middle);
            let median = *median;
            self.seen.retain(|_, first| *first > median);
        }
        counts.drop("duplicate", (before - records.len()) as u64);
    }
}

#[cfg(test)]
mod tests;
