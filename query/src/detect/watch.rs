//! `logq detect --watch`: findings as the lake grows.
//!
//! Every interval the versions of the tables are compared with those of the last run; nothing new,
//! nothing done. Otherwise the rules run over the time range (`--since`, a day by default, counted
//! back from now), and findings that are new or say more than before are written and delivered.
//!
//! What was reported is kept in a state file, written after the findings are out and renamed into
//! place. Killed in between, the next start reports the same findings again under the same ids; it
//! never skips one. A finding that falls out of the time range is forgotten after [`KEPT_DAYS`].

use super::engine::Outcome;
use super::finding::Finding;
use super::ledger;
use crate::session::{Lake, QueryError};
use crate::tables::snapshot;
use chrono::{DateTime, Duration, Utc};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io;
use std::path::Path;

/// Days after its last event for which a reported finding is remembered: longer than any time range
/// a watch runs over, so that nothing in it is reported twice.
const KEPT_DAYS: i64 = 400;

/// Tables whose growth starts a run.
const WATCHED: [&str; 3] = ["cloudtrail", "vpc_flow", "app_log"];

/// What a watch remembers between runs and restarts.
#[derive(Debug, Default, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    /// Version of each table that the last complete run saw.
    versions: BTreeMap<String, u64>,
    /// What was last said of each finding.
    reported: BTreeMap<String, Said>,
}

/// What was said of a finding.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Said {
    count: u64,
    last_seen: DateTime<Utc>,
}

impl State {
    /// Reads the state; a file that is not there is an empty one.
    ///
    /// # Errors
    /// A file that cannot be read or is something else.
    pub fn load(path: &Path) -> io::Result<State> {
        match std::fs::read_to_string(path) {
            Ok(text) => serde_json::from_str(&text).map_err(|error| {
                io::Error::other(format!("{}: not the state of a watch: {error}", path.display()))
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(State::default()),
            Err(error) => Err(io::Error::other(format!("{}: {error}", path.display()))),
        }
    }

    /// Writes the state in one step.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn save(&self, path: &Path) -> io::Result<()> {
        ledger::replace(path, [serde_json::to_string(self)?].iter())
    }

    /// The findings that were not reported, or not with these numbers.
    pub fn news(&self, findings: &[Finding]) -> Vec<Finding> {
        let said = |finding: &Finding| Said { count: finding.count, last_seen: finding.last_seen };
        findings
            .iter()
            .filter(|finding| self.reported.get(&finding.finding_id) != Some(&said(finding)))
            .cloned()
            .collect()
    }

    /// Remembers a run. One with holes does not count as having seen the tables: it is repeated.
    pub fn take(
        &mut self,
        news: &[Finding],
        versions: BTreeMap<String, u64>,
        outcome: &Outcome,
        now: DateTime<Utc>,
    ) {
        for finding in news {
            let said = Said { count: finding.count, last_seen: finding.last_seen };
            self.reported.insert(finding.finding_id.clone(), said);
        }
        let oldest = now - Duration::days(KEPT_DAYS);
        self.reported.retain(|_, said| said.last_seen >= oldest);
        if outcome.failures.is_empty() {
            self.versions = versions;
        }
    }

    /// Whether a table has another version than at the last complete run.
    pub fn is_behind(&self, versions: &BTreeMap<String, u64>) -> bool {
        self.versions != *versions
    }
}

/// The versions of the watched tables that exist.
///
/// # Errors
/// When the lake cannot be reached.
pub async fn versions(lake: &Lake) -> Result<BTreeMap<String, u64>, QueryError> {
    let mut versions = BTreeMap::new();
    for name in WATCHED {
        if let Some(snapshot) = snapshot::open(lake, name).await? {
            versions.insert(name.to_owned(), snapshot.version);
        }
    }
    Ok(versions)
}
