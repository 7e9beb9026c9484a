//! One analyst's session: the query engine over one lake, read-only and memory-bounded.
//!
//! A session promises:
//! * nothing is opened before it is named: `select 1` touches neither the lake nor a network;
//! * a table is opened once, at its latest version, so every statement of a session sees the same
//!   whole batches;
//! * only statements that read are run ([`read_only`]);
//! * memory stays below the limit: what can spill spills, what cannot fails with the name of the
//!   operator that wanted more.
//!
//! It refuses to guess: without a lake, a query that names a table fails and says how to give one.

pub mod failure;
pub mod lake;
pub(crate) mod nearest;
pub mod query_error;
pub mod read_only;
pub mod time_range;

pub use lake::Lake;
pub use query_error::QueryError;
pub use time_range::TimeRange;

use crate::functions::inventory::Inventory;
use crate::tables::catalog::{LakeCatalog, LakeTables};
use crate::tables::notices::Notices;
use crate::tables::time_filter::TimeFilter;
use crate::tables::unreadable;
use crate::{config, functions};
use arrow::array::RecordBatch;
use datafusion::common::TableReference;
use datafusion::config::Dialect;
use datafusion::error::DataFusionError;
use datafusion::execution::SessionStateBuilder;
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::memory_pool::{FairSpillPool, TrackConsumersPool};
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use datafusion::physical_plan::{self, ExecutionPlan};
use datafusion::prelude::{DataFrame, SessionConfig, SessionContext};
use datafusion::sql::parser::{DFParserBuilder, Statement};
use datafusion::sql::sqlparser::dialect::dialect_from_str;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;

/// Catalog and schema under which the tables of the lake are found; both may be left out in SQL.
pub const CATALOG: &str = "logq";
/// See [`CATALOG`].
pub const SCHEMA: &str = "lake";

/// What a session is made of.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where the tables are.
    pub lake: Lake,
    /// Applied to every table of the lake.
    pub time_range: TimeRange,
    /// Bytes operators may hold before they spill.
    pub memory_limit_bytes: usize,
    /// Where they spill; the system's directory for temporary files when absent.
    pub temp_directory: Option<PathBuf>,
    /// What is known about addresses.
    pub inventory: Arc<Inventory>,
    /// Scans and operators running in parallel; the number of cores when absent.
    pub threads: Option<NonZeroUsize>,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            lake: Lake::absent(),
            time_range: TimeRange::default(),
            memory_limit_bytes: config::MEMORY_LIMIT_BYTES,
            temp_directory: None,
            inventory: Arc::default(),
            threads: None,
        }
    }
}

/// The query engine over one lake.
#[derive(Clone)]
pub struct Session {
    context: SessionContext,
    lake: Lake,
    time_range: TimeRange,
    notices: Notices,
    tables: Option<Arc<LakeTables>>,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session")
            .field("lake", &self.lake)
            .field("time_range", &self.time_range)
            .finish_non_exhaustive()
    }
}

impl Session {
    /// A session over `options.lake`. Opens nothing.
    ///
    /// # Errors
    /// [`QueryError::Resources`] when the spill directory cannot be used.
    pub fn new(options: Options) -> Result<Self, QueryError> {
        let notices = Notices::default();
        let runtime = runtime(&options).map_err(failure::classify)?;
        let tables = Arc::new(LakeTables::new(options.lake.clone(), notices.clone(), Arc::clone(&runtime)));
        let state = SessionStateBuilder::new()
            .with_config(session_config(&options))
            .with_runtime_env(runtime)
            .with_default_features()
            .with_analyzer_rule(Arc::new(TimeFilter::new(options.time_range)))
            .build();
        let context = SessionContext::new_with_state(state);
        context.register_catalog(CATALOG, Arc::new(LakeCatalog::new(Arc::clone(&tables))));
        functions::register(&context, &options.inventory).map_err(failure::classify)?;
        for note in options.inventory.notes() {
            notices.add(note.clone());
        }
        Ok(Session {
            context,
            lake: options.lake,
            time_range: options.time_range,
            notices,
            tables: Some(tables),
        })
    }

    /// A session over tables the caller has registered in `context`, with the functions of logq and
    /// without a lake.
    pub fn for_context(context: SessionContext) -> Self {
        if let Err(error) = functions::register(&context, &Arc::default()) {
            tracing::error!(%error, "functions not registered");
        }
        Session {
            context,
            lake: Lake::absent(),
            time_range: TimeRange::default(),
            notices: Notices::default(),
            tables: None,
        }
    }

    /// The same session looking at another interval of time; only for sessions made by
    /// [`Session::for_context`], whose tables the interval does not filter by itself.
    #[must_use]
    pub fn with_time_range(mut self, time_range: TimeRange) -> Self {
        self.time_range = time_range;
        self
    }

    /// The engine underneath. Plans made with it directly are not checked to be read-only.
    pub fn context(&self) -> &SessionContext {
        &self.context
    }

    /// The interval given by `--since` and `--until`. Tables of the lake are filtered by it already.
    pub fn time_range(&self) -> TimeRange {
        self.time_range
    }

    /// Where the tables are.
    pub fn lake(&self) -> &Lake {
        &self.lake
    }

    /// What the analyst should know besides the answer, e.g. that a table has no data yet.
    pub fn notices(&self) -> &Notices {
        &self.notices
    }

    /// The tables of the lake; `None` for [`Session::for_context`].
    pub fn tables(&self) -> Option<&Arc<LakeTables>> {
        self.tables.as_ref()
    }

    /// Whether `name` can be queried and has rows to look at: a table of the lake that exists
    /// there, or one registered in the context.
    ///
    /// # Errors
    /// [`QueryError`] when the lake cannot be reached.
    pub async fn has_table(&self, name: &str) -> Result<bool, QueryError> {
        match &self.tables {
            Some(tables) => tables.exists(name).await,
            None => self.context.table_exist(name).map_err(failure::classify),
        }
    }

    /// Splits a text into its statements.
    ///
    /// The grammar is PostgreSQL's: in it `request_parameters->>'key' = 'x'` compares the value, where
    /// others look for the key `'key' = 'x'`. What it does not know is read by the generic grammar,
    /// which has `select * exclude (…)`, `from t select …` and more.
    ///
    /// # Errors
    /// [`QueryError::Sql`] where it does not parse, [`QueryError::ReadOnly`] for a statement that
    /// is not a query: then none is run.
    pub fn statements(&self, sql: &str) -> Result<Vec<Statement>, QueryError> {
        // The first dialect's message is the one shown: what neither reads was meant for it.
        let statements = self
            .parse(sql, &Dialect::PostgreSQL)
            .or_else(|error| self.parse(sql, &Dialect::Generic).map_err(|_| failure::classify(error)))?;
        for statement in &statements {
            read_only::check_statement(statement)?;
        }
        Ok(statements)
    }

    fn parse(&self, sql: &str, dialect: &Dialect) -> Result<Vec<Statement>, DataFusionError> {
        let dialect = dialect_from_str(dialect)
            .ok_or_else(|| DataFusionError::Configuration(format!("unknown SQL dialect {dialect}")))?;
        let recursion_limit = self.context.copied_config().options().sql_parser.recursion_limit.get();
        DFParserBuilder::new(sql)
            .with_dialect(dialect.as_ref())
            .with_recursion_limit(recursion_limit)
            .build()
            .and_then(|mut parser| parser.parse_statements())
            .map(Vec::from)
    }

    /// Plans one statement.
    ///
    /// # Errors
    /// [`QueryError`] naming the table or column that does not exist, or the object that cannot be
    /// read.
    pub async fn plan(&self, statement: Statement) -> Result<DataFrame, QueryError> {
        read_only::check_statement(&statement)?;
        let state = self.context.state();
        let references = state.resolve_table_references(&statement).unwrap_or_default();
        match state.statement_to_plan(statement).await {
            Ok(plan) => {
                read_only::check_plan(&plan)?;
                Ok(DataFrame::new(state, plan))
            }
            Err(error) => Err(self.planning_failure(error, &references)),
        }
    }

    /// Plans the only statement of `sql`.
    ///
    /// # Errors
    /// As [`Session::plan`]; also when the text holds no statement or several.
    pub async fn sql(&self, sql: &str) -> Result<DataFrame, QueryError> {
        let mut statements = self.statements(sql)?;
        match (statements.pop(), statements.is_empty()) {
            (Some(statement), true) => self.plan(statement).await,
            (Some(_), false) => {
                Err(QueryError::Sql { message: "one statement expected, several given".to_owned() })
            }
            (None, _) => Err(QueryError::Sql { message: "no SQL statement given".to_owned() }),
        }
    }

    /// Runs a plan to its end and keeps all rows: for results known to be small.
    ///
    /// # Errors
    /// As [`Session::plan`], and [`QueryError::Incomplete`] when an object of the lake cannot be
    /// read.
    pub async fn collect(&self, frame: DataFrame) -> Result<Vec<RecordBatch>, QueryError> {
        let context = Arc::new(frame.task_ctx());
        let plan = frame.create_physical_plan().await.map_err(failure::classify)?;
        match physical_plan::collect(Arc::clone(&plan), context).await {
            Ok(batches) => Ok(batches),
            Err(error) => Err(self.running_failure(error, &plan).await),
        }
    }

    /// Why a running plan failed. After a failed read, finds the objects that cannot be read.
    pub async fn running_failure(&self, error: DataFusionError, plan: &Arc<dyn ExecutionPlan>) -> QueryError {
        if unreadable::is_read_failure(&error) {
            let tables = self.tables.as_ref().map(|tables| tables.opened()).unwrap_or_default();
            if let Some(found) = unreadable::diagnose(plan, &tables, &self.context.task_ctx()).await {
                return QueryError::Incomplete(Box::new(found));
            }
        }
        failure::classify(error)
    }

    fn planning_failure(&self, error: DataFusionError, references: &[TableReference]) -> QueryError {
        if let Some(tables) = &self.tables {
            for reference in references {
                let ours = reference.catalog().is_none_or(|name| name == CATALOG)
                    && reference.schema().is_none_or(|name| name == SCHEMA);
                if ours && failure::is_missing_table(&error, reference.table()) {
                    return tables.unknown(reference.table());
                }
            }
        }
        let names: Vec<&str> = references.iter().map(TableReference::table).collect();
        failure::classify_in(error, &names)
    }
}

fn session_config(options: &Options) -> SessionConfig {
    let mut config = SessionConfig::new()
        .with_information_schema(true)
        .with_create_default_catalog_and_schema(false)
        .with_default_catalog_and_schema(CATALOG, SCHEMA);
    if let Some(threads) = options.threads {
        config = config.with_target_partitions(threads.get());
    }
    let settings = config.options_mut();
    // For SQL that detections plan through the context; see [`Session::statements`].
    settings.sql_parser.dialect = Dialect::PostgreSQL;
    // Text without a zone and now() are UTC, as every timestamp of the lake.
    settings.execution.time_zone = Some("UTC".to_owned());
    settings.execution.parquet.metadata_size_hint = Some(config::FOOTER_BYTES_HINT);
    settings.execution.parquet.max_in_list_size = config::IN_LIST_PRUNED_MAX;
    settings.explain.show_statistics = false;
    config
}

fn runtime(options: &Options) -> Result<Arc<RuntimeEnv>, DataFusionError> {
    // Five consumers named in an out-of-memory message: the culprit and those it competes with.
    let named = NonZeroUsize::new(5).unwrap_or(NonZeroUsize::MIN);
    let pool = TrackConsumersPool::new(FairSpillPool::new(options.memory_limit_bytes), named);
    let mode = match &options.temp_directory {
        Some(directory) => DiskManagerMode::Directories(vec![directory.clone()]),
        None => DiskManagerMode::OsTmpDirectory,
    };
    let disk =
        DiskManagerBuilder::default().with_mode(mode).with_max_temp_directory_size(config::SPILL_BYTES_MAX);
    RuntimeEnvBuilder::new()
        .with_memory_pool(Arc::new(pool))
        .with_disk_manager_builder(disk)
        .with_metadata_cache_limit(config::METADATA_CACHE_BYTES)
        .build_arc()
}

#[cfg(test)]
mod tests;
