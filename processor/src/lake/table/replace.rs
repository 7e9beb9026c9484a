//! Replaces files of a day by others in one commit: how maintenance changes a table.
//!
//! Appends go on meanwhile. A replacement lands only while every file it takes away is still in the
//! table: this is looked at in the very version the commit follows, because the table format lets two
//! rewrites of one file pass when neither says that it changes data, and rows would be there twice.

use super::{BACKOFF, LakeTable, TableError};
use crate::backoff::jittered;
use deltalake::DeltaTableError;
use deltalake::kernel::transaction::{CommitBuilder, CommitProperties, TransactionError};
use deltalake::kernel::{Action, Add};
use deltalake::protocol::DeltaOperation;
use std::collections::HashMap;
use std::time::Duration;

/// Attempts at one replacement. Any append in between costs one; pauses grow to two seconds, so that
/// even an append every second leaves a gap.
const ATTEMPTS: u32 = 40;

/// Attempts that end in anything but a rival's commit. The store client has repeated its requests
/// already; one more look settles a commit whose answer was lost.
const FAILURES: u32 = 3;

/// Longest pause between attempts.
const PAUSE_MAX: Duration = Duration::from_secs(2);

/// Files of one day that go and files that come.
#[derive(Debug, Clone)]
pub struct Replacement {
    /// The day, `YYYY-MM-DD`.
    pub day: String,
    /// Paths of the files that go, as the log has them.
    pub removed: Vec<String>,
    /// The files that come.
    pub added: Vec<Add>,
    /// Whether rows were dropped: then readers that follow changes must look.
    pub changes_data: bool,
    /// What the log's history says.
    pub operation: DeltaOperation,
}

/// What became of a replacement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replaced {
    /// The table has the new files and not the old ones.
    Done,
    /// Another program replaced one of the files first; the table was left alone.
    Lost,
}

/// Whether another commit came first.
fn is_rivalry(error: &DeltaTableError) -> bool {
    let DeltaTableError::Transaction { source } = error else { return false };
    matches!(
        source,
        TransactionError::VersionAlreadyExists(_)
            | TransactionError::CommitConflict(_)
            | TransactionError::MaxCommitAttempts(_)
    )
}

impl LakeTable {
    /// Replaces files in one commit, against any number of concurrent appends.
    ///
    /// # Errors
    /// When no attempt lands.
    pub async fn replace(&mut self, replacement: &Replacement) -> Result<Replaced, TableError> {
        let mut pause = BACKOFF / 4;
        let (mut attempt, mut failures) = (0, 0);
        loop {
            attempt += 1;
            let error = match self.try_replace(replacement).await {
                Ok(replaced) => return Ok(replaced),
                Err(error) => error,
            };
            failures += u32::from(!is_rivalry(&error));
            if attempt == ATTEMPTS || failures == FAILURES {
                return Err(TableError::Replace {
                    table: self.schema.name,
                    day: replacement.day.clone(),
                    attempts: attempt,
                    source: Box::new(error),
                });
            }
            tracing::debug!(table = self.schema.name, attempt, %error, "replacement did not land, looking again");
            tokio::time::sleep(jittered(pause)).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }

    async fn try_replace(&mut self, replacement: &Replacement) -> Result<Replaced, DeltaTableError> {
        self.delta.update_state().await?;
        let snapshot = self.delta.snapshot()?;
        let active: HashMap<String, _> =
            snapshot.log_data().iter().map(|file| (file.path().to_string(), file)).collect();
        let mut actions = Vec::with_capacity(replacement.removed.len() + replacement.added.len());
        for path in &replacement.removed {
            if let Some(file) = active.get(path) {
                actions.push(Action::Remove(file.remove_action(replacement.changes_data)));
            }
        }
        if actions.len() < replacement.removed.len() || replacement.removed.is_empty() {
            // Either an attempt of ours landed with its answer lost, or somebody else was faster.
            let ours =
                actions.is_empty() && replacement.added.iter().all(|add| active.contains_key(&add.path));
            return Ok(if ours { Replaced::Done } else { Replaced::Lost });
        }
        for add in &replacement.added {
            actions.push(Action::Add(Add { data_change: replacement.changes_data, ..add.clone() }));
        }
        drop(active);
        // No retries inside: each would skip the look above.
        let commit = CommitBuilder::from(CommitProperties::default().with_max_retries(0))
            .with_actions(actions)
            .build(Some(snapshot), self.delta.log_store(), replacement.operation.clone())
            .await?;
        self.delta.state = Some(commit.snapshot());
        Ok(Replaced::Done)
    }
}
