//! One Delta table of the lake.

mod applied;
mod replace;

pub use replace::{Replaced, Replacement};

use crate::backoff::jittered;
use crate::storage::{Lake, directory_of};
use deltalake::kernel::transaction::{CommitBuilder, CommitProperties};
use deltalake::kernel::{Action, Add, DataType, PrimitiveType, StructField, Transaction};
use deltalake::protocol::{DeltaOperation, SaveMode};
use deltalake::{DeltaTable, DeltaTableBuilder, DeltaTableError, TableProperty};
use logq_schemas::{Column, Kind, Table};
use std::time::Duration;
use thiserror::Error;

/// Attempts at one commit before the batch is given up for this run. Each reloads the table first;
/// with [`BACKOFF`] they span about two minutes of a store that answers badly.
const ATTEMPTS: u32 = 10;

/// First pause between attempts; doubled each time up to a quarter minute, with jitter. Unit tests
/// have a store of their own and do not wait for it.
const BACKOFF: Duration = if cfg!(test) { Duration::ZERO } else { Duration::from_millis(200) };

/// Commits between checkpoints: at one commit every 30 s, a reader replays at most 50 minutes of log.
pub(super) const CHECKPOINT_INTERVAL: &str = "100";

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
    /// It lacks a column that no row may lack, so that it can't be added.
    #[error("table `{table}` lacks the column `{column}` and is none of this lake's; write to a new lake")]
    Column {
        /// The table.
        table: &'static str,
        /// The missing column.
        column: &'static str,
    },
    /// A day's files could not be replaced.
    #[error(
        "replacing files of {day} in table `{table}` failed after {attempts} attempts; nothing was changed, run it again"
    )]
    Replace {
        /// The table.
        table: &'static str,
        /// The day.
        day: String,
        /// How often it was tried.
        attempts: u32,
        /// The last answer.
        source: Box<DeltaTableError>,
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
    known: Option<applied::Known>,
}

impl LakeTable {
    /// Opens the table, creating it when the lake has none, and adds columns of a later version.
    ///
    /// # Errors
    /// When the store fails, or the table lacks a column that no row may lack.
    pub async fn open(lake: &Lake, schema: &'static Table) -> Result<LakeTable, TableError> {
        let url = lake.table_url(schema.name);
        let failed =
            |source| TableError::Open { table: schema.name, url: url.to_string(), source: Box::new(source) };
        if let Some(path) = directory_of(&url) {
            let made = std::fs::create_dir_all(&path);
            made.map_err(|source| failed(DeltaTableError::Io { source }))?;
        }
        let mut delta = lake.table_builder(schema.name).and_then(DeltaTableBuilder::build).map_err(failed)?;
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
        let mut table = LakeTable { schema, delta, known: None };
        table.add_columns().await.map_err(|error| error.unwrap_or_else(failed))?;
        Ok(table)
    }

    /// Opens the table as it is; `None` when the lake has none. For maintenance, which makes no table
    /// and adds no column.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn open_existing(lake: &Lake, schema: &'static Table) -> Result<Option<LakeTable>, TableError> {
        let url = lake.table_url(schema.name);
        let failed =
            |source| TableError::Open { table: schema.name, url: url.to_string(), source: Box::new(source) };
        if url.to_file_path().is_ok_and(|path| !path.is_dir()) {
            return Ok(None);
        }
        let mut delta = lake.table_builder(schema.name).and_then(DeltaTableBuilder::build).map_err(failed)?;
        match delta.load().await {
            Ok(()) => Ok(Some(LakeTable { schema, delta, known: None })),
            Err(DeltaTableError::NotATable(_) | DeltaTableError::InvalidTableLocation(_)) => Ok(None),
            Err(error) => Err(failed(error)),
        }
    }

    /// Adds the columns this version knows and the table does not: older rows read as null there, and
    /// an older processor goes on writing without them.
    async fn add_columns(&mut self) -> Result<(), ColumnCheck> {
        let mut attempt = 0;
        loop {
            let existing = self.delta.snapshot().map_err(ColumnCheck::Delta)?.schema();
            let lacking = |column: &&Column| existing.field(column.name).is_none();
            let missing: Vec<&Column> = self.schema.columns().filter(lacking).collect();
            if let Some(column) = missing.iter().find(|column| !column.nullable) {
                let error = TableError::Column { table: self.schema.name, column: column.name };
                return Err(ColumnCheck::Missing(error));
            }
            if missing.is_empty() {
                return Ok(());
            }
            let names: Vec<&str> = missing.iter().map(|column| column.name).collect();
            tracing::info!(table = self.schema.name, columns = names.join(","), "table gets new columns");
            let fields: Vec<StructField> = missing.into_iter().map(field).collect();
            match self.delta.clone().add_columns().with_fields(fields).await {
                Ok(delta) => self.delta = delta,
                // Another processor may be at the same; what counts is what the table has then.
                Err(error) => {
                    attempt += 1;
                    if attempt == ATTEMPTS {
                        return Err(ColumnCheck::Delta(error));
                    }
                    tokio::time::sleep(jittered(BACKOFF)).await;
                    self.delta.update_state().await.map_err(ColumnCheck::Delta)?;
                }
            }
        }
    }

    /// The schema.
    pub fn schema(&self) -> &'static Table {
        self.schema
    }

    /// The underlying table at the version last loaded.
    pub fn delta(&self) -> &DeltaTable {
        &self.delta
    }

    /// Loads the newest version.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub async fn refresh(&mut self) -> Result<(), DeltaTableError> {
        self.delta.update_state().await
    }

    /// Takes the state an operation of the table format returned.
    pub(super) fn set_delta(&mut self, delta: DeltaTable) {
        self.delta = delta;
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
            tokio::time::sleep(jittered(pause)).await;
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
        if self.applied_now(app_id).await?.is_some_and(|applied| applied >= sequence) {
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
    let columns = schema.columns().map(field);
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

fn field(column: &Column) -> StructField {
    StructField::new(column.name, DataType::Primitive(primitive(column.kind)), column.nullable)
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

#[cfg(test)]
mod tests {
    use super::*;
    use logq_schemas::tables::app_log;

    /// The table as the version before its last three columns knew it.
    static OLDER: Table =
        Table { own: app_log::TABLE.own.split_at(app_log::TABLE.own.len() - 3).0, ..app_log::TABLE };

    async fn lake() -> (tempfile::TempDir, Lake) {
        let root = tempfile::tempdir().expect("temporary directory");
        let lake = Lake::open(root.path().to_str().expect("UTF-8")).await.expect("opens");
        (root, lake)
    }

    fn columns(table: &LakeTable) -> usize {
        table.delta.snapshot().expect("loaded").schema().fields().count()
    }

    #[tokio::test]
    async fn a_table_of_an_older_version_gets_the_new_columns_and_the_older_writer_goes_on() {
        let (_root, lake) = lake().await;
        let mut older = LakeTable::open(&lake, &OLDER).await.expect("creates");
        older.append(&[], "older", 1).await.expect("commits");
        let all = app_log::TABLE.columns().count();
        assert_eq!(columns(&older), all - 3);
        let mut newer = LakeTable::open(&lake, &app_log::TABLE).await.expect("adds columns");
        assert_eq!(columns(&newer), all);
        older.append(&[], "older", 2).await.expect("the older writer goes on");
        newer.append(&[], "newer", 1).await.expect("commits");
        // Opened by either version, nothing is taken away or added again.
        assert_eq!(columns(&LakeTable::open(&lake, &OLDER).await.expect("opens")), all);
        let again = LakeTable::open(&lake, &app_log::TABLE).await.expect("opens");
        assert_eq!(columns(&again), all);
        assert_eq!(again.applied("older").await.expect("reads"), Some(2));
        assert_eq!(again.delta.version(), newer.delta.version());
    }

    #[tokio::test]
    async fn processors_that_start_at_once_add_the_columns_once() {
        let (_root, lake) = lake().await;
        LakeTable::open(&lake, &OLDER).await.expect("creates");
        let open = || LakeTable::open(&lake, &app_log::TABLE);
        let opened = futures::future::join_all((0..8).map(|_| open())).await;
        let all = app_log::TABLE.columns().count();
        for table in opened {
            assert_eq!(columns(&table.expect("opens")), all);
        }
    }

    #[tokio::test]
    async fn a_table_without_a_column_every_row_has_is_refused() {
        // Time and day alone: anything else every row has is missing.
        static FOREIGN: Table = Table { core: app_log::TABLE.core.split_at(2).0, own: &[], ..app_log::TABLE };
        let (_root, lake) = lake().await;
        LakeTable::open(&lake, &FOREIGN).await.expect("creates");
        let error = LakeTable::open(&lake, &app_log::TABLE).await.expect_err("is refused");
        assert!(matches!(error, TableError::Column { .. }), "{error}");
    }
}
