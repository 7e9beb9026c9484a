//! The last batch of an application in a table, without reading the table's log again and again.
//!
//! The table format looks for an application's transaction by replaying the log from its last checkpoint:
//! up to a hundred requests, for every table and batch. What a processor once knew changes only by the
//! commits since, so that it is enough to look through those.

use super::LakeTable;
use deltalake::DeltaTableError;
use memchr::memmem;
use serde::Deserialize;

/// Commits looked through one by one; beyond, the whole log is replayed.
const COMMITS_MAX: u64 = 64;

/// What was known of an application at a version of the table.
#[derive(Debug, Clone)]
pub(super) struct Known {
    pub app_id: String,
    pub version: u64,
    pub sequence: Option<i64>,
}

/// A transaction in a commit (PROTOCOL.md, “Transaction Identifiers”).
#[derive(Deserialize)]
struct Line<'a> {
    #[serde(borrow)]
    txn: Option<Txn<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Txn<'a> {
    #[serde(borrow)]
    app_id: std::borrow::Cow<'a, str>,
    version: i64,
}

impl LakeTable {
    /// As [`LakeTable::applied`], at the cost of the commits since the last call.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub async fn applied_now(&mut self, app_id: &str) -> Result<Option<i64>, DeltaTableError> {
        let version = self.delta.version().unwrap_or_default();
        let sequence = match self.since_known(app_id, version).await? {
            Some(sequence) => sequence,
            None => self.applied(app_id).await?,
        };
        self.known = Some(Known { app_id: app_id.to_owned(), version, sequence });
        Ok(sequence)
    }

    /// What is known, brought up to `version`; `None` when the whole log must be asked.
    async fn since_known(&self, app_id: &str, version: u64) -> Result<Option<Option<i64>>, DeltaTableError> {
        let Some(known) = self.known.as_ref().filter(|known| known.app_id == app_id) else { return Ok(None) };
        if version < known.version || version - known.version > COMMITS_MAX {
            return Ok(None);
        }
        let log = self.delta.log_store();
        let mut sequence = known.sequence;
        for commit in known.version + 1..=version {
            let Some(entry) = log.read_commit_entry(commit).await? else { return Ok(None) };
            for line in entry.split(|byte| *byte == b'\n') {
                if memmem::find(line, b"\"txn\"").is_none() {
                    continue;
                }
                let Ok(line) = serde_json::from_slice::<Line<'_>>(line) else { return Ok(None) };
                if let Some(txn) = line.txn.filter(|txn| txn.app_id == app_id) {
                    sequence = Some(txn.version);
                }
            }
        }
        Ok(Some(sequence))
    }
}
