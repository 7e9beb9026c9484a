//! One Delta table of the lake.

use crate::storage::Lake;
use deltalake::kernel::transaction::{CommitBuilder, CommitProperties};
use deltalake::kernel::{Action, Add, DataType, PrimitiveType, StructField, Transaction};
use deltalake::protocol::{DeltaOperation, SaveMode};
use deltalake::{DeltaTable, DeltaTableBuilder, DeltaTableError, TableProperty};
use logq_schemas::{Kind, Table};
use std::time::Duration;
use thiserror::Error;

/// Attempts at one commit before the batch is given up for this run. Each reloads the table first;
/// with [`BACKOFF`] they span about two minutes of a store that answers badly.
const ATTEMPTS: u32 = 10;

/// First pause between attempts; doubled each time up to a quarter minute, with jitter.
const BACKOFF: Duration = Duration::from_millis(200);

/// Commits between checkpoints: at one commit every 30 s, a reader replays at most 50 minutes of log.
const CHECKPOINT_INTERVAL: &str = "100";

/// Why a table cannot be opened or written.
#[derive(Debug, Error)]
pub enum TableError {
    /// It cannot be opened or created.
    #[error("cannot open table `{table}` at {url}")]
    Open {
        /// The table.
        table: &'static str,
        /// Where it should be.
        url: String,
        /// What the table format says.
        source: Box<DeltaTableError>,
    },
    /// It lacks columns this processor writes.
    #[error(
        "table `{table}` lacks the column `{column}`: it was made by an older version; \
         write to a new lake or add the column first"
    )]
    Column {
        /// The table.
        table: &'static str,
        /// The missing column.
        column: &'static str,
    },
    /// The commit did not land.
    #[error(
        "commit of batch {sequence} to table `{table}` failed after {ATTEMPTS} attempts; it is done again on the next start"
    )]
    Commit {
        /// The table.
        table: &'static str,
        /// The batch.
        sequence: i64,
        /// The last answer.
        source: Box<DeltaTableError>,
    },
}

/// One table, opened for appending.
#[derive(Debug)]
pub struct LakeTable {
    schema: &'static Table,
    delta: DeltaTable,
}

impl LakeTable {
    /// Opens the table, creating it when the lake has none.
    ///
    /// # Errors
    /// When the store fails, or the table lacks a column.
    pub async fn open(lake: &Lake, schema: &'static Table) -> Result<LakeTable, TableError> {
        let url = lake.table_url(schema.name);
        let failed =
            |source| TableError::Open { table: schema.name, url: url.to_string(), source: Box::new(source) };
        if let Ok(path) = url.to_file_path() {
            let made = std::fs::create_dir_all(&path);
            made.map_err(|source| failed(DeltaTableError::Io { source }))?;
        }
        let mut delta = DeltaTableBuilder::from_url(url.clone()).map_err(failed)?.build().map_err(failed)?;
        match delta.load().await {
            Ok(()) => {}
            Err(DeltaTableError::NotATable(_) | DeltaTableError::InvalidTableLocation(_)) => {
                // Another processor may create it at the same moment: then its table is ours too.
                if let Err(error) = create(&delta, schema).await {
                    delta.load().await.map_err(|_| failed(error))?;
                } else {
                    delta.load().await.map_err(failed)?;
                }
            }
            Err(error) => return Err(failed(error)),
        }
        let table = LakeTable { schema, delta };
        table.check_columns().map_err(|error| error.unwrap_or_else(failed))?;
        Ok(table)
    }

    fn check_columns(&self) -> Result<(), ColumnCheck> {
        let existing = self.delta.snapshot().map_err(ColumnCheck::Delta)?.schema();
        for column in self.schema.columns() {
            if existing.field(column.name).is_none() {
                let missing = TableError::Column { table: self.schema.name, column: column.name };
                return Err(ColumnCheck::Missing(missing));
            }
        }
        Ok(())
    }

    /// The schema.
    pub fn schema(&self) -> &'static Table {
        self.schema
    }

    /// The underlying table at the version last loaded.
    pub fn delta(&self) -> &DeltaTable {
        &self.delta
    }

    /// The number of the last batch of `app_id` this table holds.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub async fn applied(&self, app_id: &str) -> Result<Option<i64>, DeltaTableError> {
        let log_store = self.delta.log_store();
        self.delta.snapshot()?.transaction_version(log_store.as_ref(), app_id).await
    }

    /// Appends the files of batch `sequence`, unless the table holds the batch already. A commit whose
    /// outcome is unclear is looked up before it is tried again.
    ///
    /// # Errors
    /// When no attempt lands.
    pub async fn append(&mut self, files: &[Add], app_id: &str, sequence: i64) -> Result<(), TableError> {
        let mut pause = BACKOFF;
        let mut attempt = 0;
        loop {
            attempt += 1;
            let error = match self.try_append(files, app_id, sequence).await {
                Ok(()) => return Ok(()),
                Err(error) => error,
            };
            if attempt == ATTEMPTS {
                let source = Box::new(error);
                return Err(TableError::Commit { table: self.schema.name, sequence, source });
            }
            tracing::warn!(table = self.schema.name, sequence, attempt, %error, "commit unclear, looking again");
            tokio::time::sleep(jittered(pause, attempt)).await;
            pause = (pause * 2).min(Duration::from_secs(15));
        }
    }

    async fn try_append(
        &mut self,
        files: &[Add],
        app_id: &str,
        sequence: i64,
    ) -> Result<(), DeltaTableError> {
        self.delta.update_state().await?;
        if self.applied(app_id).await?.is_some_and(|applied| applied >= sequence) {
            return Ok(());
        }
        let actions = files.iter().cloned().map(Action::Add).collect();
        let operation = DeltaOperation::Write {
            mode: SaveMode::Append,
            partition_by: Some(vec![Table::PARTITION.to_owned()]),
            predicate: None,
        };
        let commit = CommitBuilder::from(
            CommitProperties::default().with_application_transaction(Transaction::new(app_id, sequence)),
        )
        .with_actions(actions)
        .build(Some(self.delta.snapshot()?), self.delta.log_store(), operation)
        .await?;
        self.delta.state = Some(commit.snapshot());
        Ok(())
    }
}

/// Full jitter without a random source: the pause is spread by the process id and the attempt.
fn jittered(pause: Duration, attempt: u32) -> Duration {
    let spread = (u64::from(std::process::id()) * 2_654_435_761 + u64::from(attempt) * 40_503) % 1_000;
    pause.mul_f64(0.5 + spread as f64 / 2_000.0)
}

enum ColumnCheck {
    Missing(TableError),
    Delta(DeltaTableError),
}

impl ColumnCheck {
    fn unwrap_or_else(self, failed: impl FnOnce(DeltaTableError) -> TableError) -> TableError {
        match self {
            ColumnCheck::Missing(error) => error,
            ColumnCheck::Delta(error) => failed(error),
        }
    }
}

async fn create(delta: &DeltaTable, schema: &Table) -> Result<(), DeltaTableError> {
    let columns = schema.columns().map(|column| {
        StructField::new(column.name, DataType::Primitive(primitive(column.kind)), column.nullable)
    });
    deltalake::operations::create::CreateBuilder::new()
        .with_log_store(delta.log_store())
        .with_table_name(schema.name)
        .with_comment(schema.doc)
        .with_columns(columns)
        .with_partition_columns([Table::PARTITION])
        .with_configuration_property(TableProperty::CheckpointInterval, Some(CHECKPOINT_INTERVAL))
        .with_save_mode(SaveMode::ErrorIfExists)
        .await
        .map(drop)
}

fn primitive(kind: Kind) -> PrimitiveType {
    match kind {
        Kind::Text | Kind::Json => PrimitiveType::String,
        Kind::Binary => PrimitiveType::Binary,
        Kind::Int => PrimitiveType::Integer,
        Kind::Long => PrimitiveType::Long,
        Kind::Double => PrimitiveType::Double,
        Kind::Bool => PrimitiveType::Boolean,
        Kind::Timestamp => PrimitiveType::Timestamp,
        Kind::Date => PrimitiveType::Date,
    }
}
