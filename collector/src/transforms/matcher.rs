//! Conditions on records without a language: a table of what must hold.

use crate::batch::{Batch, Record};
use crate::config::component::{Problem, Row, problem};
use crate::config::options::none;
use crate::extra::Extra;
use globset::{Glob, GlobMatcher};
use logq_schemas::body::severity;
use logq_schemas::landing::Stream;
use memchr::memmem::Finder;
use regex::bytes::Regex;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What must hold for a record to match; everything that is given must hold. Lists hold when one of
/// their entries does.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Condition {
    /// Globs for the namespace.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub namespaces: Vec<String>,
    /// Globs for the pod's name.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub pods: Vec<String>,
    /// Globs for the container's name.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub containers: Vec<String>,
    /// `stdout`, `stderr`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub stdio: Vec<String>,
    /// Labels that must have these values.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Least severity, as a word or number; a record without one does not match.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub severity_min: Option<String>,
    /// Texts one of which the body must contain.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub contains: Vec<String>,
    /// Expressions one of which the body must match.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub matches: Vec<String>,
}

/// The lines of the reference page under a prefix such as `condition`.
#[rustfmt::skip]
pub fn rows() -> Vec<Row> {
    vec![
        ("condition.namespaces", none(), "Globs for the namespace. Everything that is given must hold, lists by one of their entries"),
        ("condition.pods", none(), "Globs for the pod's name"),
        ("condition.containers", none(), "Globs for the container's name"),
        ("condition.stdio", none(), "`stdout`, `stderr`"),
        ("condition.labels", none(), "Table of pod labels that must have these values"),
        ("condition.severity_min", none(), "Least severity, a word such as `warn` or a number from 1 to 24; needs a `parse` before"),
        ("condition.contains", none(), "Texts one of which the body must contain"),
        ("condition.matches", none(), "Expressions one of which the body must match"),
    ]
}

impl Condition {
    /// Compiles the condition; `key` is its path in the configuration.
    ///
    /// # Errors
    /// Names the key that can't work.
    pub fn compile(&self, key: &str) -> Result<Matcher, Problem> {
        let globs = |name: &str, globs: &[String]| -> Result<Vec<GlobMatcher>, Problem> {
            let glob = |text: &String| Glob::new(text).map(|glob| glob.compile_matcher());
            globs
                .iter()
                .map(|text| glob(text).map_err(|error| problem(format!("{key}.{name}"), error.to_string())))
                .collect()
        };
        let least = |word: &String| {
            let number = word.parse().ok().or_else(|| severity::number(word));
            number
                .filter(|number| (1..=24).contains(number))
                .and_then(|number: i32| u8::try_from(number).ok())
        };
        let severity_min = match &self.severity_min {
            None => 0,
            Some(word) => least(word).ok_or_else(|| {
                let message = format!("`{word}` is no severity; write a word such as warn or 1 to 24");
                problem(format!("{key}.severity_min"), message)
            })?,
        };
        let regex = |text: &String| {
            Regex::new(text).map_err(|error| problem(format!("{key}.matches"), error.to_string()))
        };
        Ok(Matcher {
            namespaces: globs("namespaces", &self.namespaces)?,
            pods: globs("pods", &self.pods)?,
            containers: globs("containers", &self.containers)?,
            stdio: self.stdio.clone(),
            labels: self.labels.clone(),
            severity_min,
            contains: self.contains.iter().map(|text| Finder::new(text).into_owned()).collect(),
            matches: self.matches.iter().map(regex).collect::<Result<_, _>>()?,
        })
    }

    /// Nothing is given: every record would match.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// A compiled [`Condition`].
#[derive(Debug)]
pub struct Matcher {
    namespaces: Vec<GlobMatcher>,
    pods: Vec<GlobMatcher>,
    containers: Vec<GlobMatcher>,
    stdio: Vec<String>,
    labels: BTreeMap<String, String>,
    severity_min: u8,
    contains: Vec<Finder<'static>>,
    matches: Vec<Regex>,
}

impl Matcher {
    /// The part that is the same for all records of a stream.
    pub fn stream_matches(&self, stream: &Stream) -> bool {
        let one = |globs: &[GlobMatcher], text: &str| {
            globs.is_empty() || globs.iter().any(|glob| glob.is_match(text))
        };
        one(&self.namespaces, &stream.namespace)
            && one(&self.pods, &stream.pod)
            && one(&self.containers, &stream.container)
            && (self.stdio.is_empty() || self.stdio.contains(&stream.stdio))
            && self.labels.iter().all(|(name, value)| stream.labels.get(name) == Some(value))
    }

    /// The part that needs the record.
    pub fn record_matches(&self, batch: &Batch, record: &Record) -> bool {
        let body = batch.bytes(record.body);
        (self.contains.is_empty() || self.contains.iter().any(|finder| finder.find(body).is_some()))
            && (self.matches.is_empty() || self.matches.iter().any(|regex| regex.is_match(body)))
            && (self.severity_min == 0 || Extra::of(batch, record).severity_number >= self.severity_min)
    }

    /// Which records of a batch match.
    pub fn select<'a>(
        &'a self,
        batch: &'a Batch,
        records: &'a [Record],
    ) -> impl Iterator<Item = bool> + use<'a> {
        let streams: Vec<bool> =
            batch.streams.iter().map(|stream| self.stream_matches(&stream.about)).collect();
        records
            .iter()
            .map(move |record| streams[record.stream as usize] && self.record_matches(batch, record))
    }
}
