//! Transform `filter`: keeps or drops records by a condition.

use super::matcher::{self, Condition, Matcher};
use super::{Counts, Transform, TransformConfig};
use crate::batch::{Batch, Record};
use crate::config::component::{Problem, Row, Settings, problem};
use crate::config::options;
use serde::{Deserialize, Serialize};

/// What happens to records that match.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// They pass, others are dropped.
    #[default]
    Keep,
    /// They are dropped, others pass.
    Drop,
}

/// Settings of the transform.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FilterSettings {
    /// What happens to records that match.
    #[serde(default)]
    pub mode: Mode,
    /// What must hold.
    pub condition: Condition,
}

impl Settings for FilterSettings {
    const KIND: &'static str = "filter";
    const ABOUT: &'static str = "Keeps or drops records by a condition.";

    fn options() -> Vec<Row> {
        let mode =
            ("mode", options::text("keep"), "`keep`: records that match pass. `drop`: they are dropped");
        std::iter::once(mode).chain(matcher::rows()).collect()
    }

    fn check(&self, key: &str) -> Result<(), Problem> {
        if self.condition.is_empty() {
            return Err(problem(
                format!("{key}.condition"),
                "must say something, such as namespaces = [\"shop\"]",
            ));
        }
        self.condition.compile(&format!("{key}.condition")).map(drop)
    }
}

impl TransformConfig for FilterSettings {
    fn build(&self, _name: &str) -> Result<Box<dyn Transform>, String> {
        let matcher = self.condition.compile("condition").map_err(|problem| problem.message)?;
        Ok(Box::new(Filter { matcher, mode: self.mode }))
    }
}

#[derive(Debug)]
struct Filter {
    matcher: Matcher,
    mode: Mode,
}

impl Transform for Filter {
    fn apply(&mut self, batch: &mut Batch, records: &mut Vec<Record>, counts: &mut Counts) {
        let before = records.len();
        let wanted: Vec<bool> =
            self.matcher.select(batch, records).map(|matches| matches == (self.mode == Mode::Keep)).collect();
        let mut wanted = wanted.into_iter();
        records.retain(|_| wanted.next().unwrap_or(true));
        counts.drop("filtered", (before - records.len()) as u64);
    }
}
