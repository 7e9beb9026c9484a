//! Files as tables: `select … from 'x.json.gz'`, without a lake.
//!
//! A quoted name with a slash, a dot or a star is a file, a directory or a pattern. CloudTrail objects,
//! flow logs and the collector's landing objects are read by the processor's own parsers, decided by
//! their bytes, and have the columns of our tables; Parquet files have their own.
//!
//! Promises: memory does not grow with the files ([`scan`]); records that cannot be parsed are
//! counted and told, with the reason of the first; files of two kinds under one name are refused.
//!
//! Refuses: URLs, and the directory of a table, whose log says which of its files count.

mod scan;

use super::empty::arrow_schema;
use super::notices::Notices;
use super::time_filter;
use crate::session::{QueryError, failure};
use arrow::array::RecordBatch;
use arrow::datatypes::{Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::streaming::StreamingTable;
use datafusion::catalog::{Session, TableProvider};
use datafusion::datasource::file_format::parquet::ParquetFormat;
use datafusion::datasource::listing::{ListingOptions, ListingTable, ListingTableConfig, ListingTableUrl};
use datafusion::error::Result;
use datafusion::execution::SessionStateBuilder;
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::logical_expr::{Expr, TableType};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::streaming::PartitionStream;
use logq_processor::formats::{self, FormatKind, Output, Rejected};
use logq_schemas::{Table, tables};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// First bytes of a Parquet file.
const PARQUET: &[u8; 4] = b"PAR1";

/// Whether a table's name is meant as one: our tables' names have none of these.
pub fn is_file_name(name: &str) -> bool {
    name.contains(['/', '.', '*'])
}

/// The table behind `name`, relative to the working directory.
///
/// # Errors
/// [`QueryError::File`] when there is no such file, or nothing in it is known.
pub async fn open(
    name: &str,
    runtime: &Arc<RuntimeEnv>,
    notices: &Notices,
) -> Result<Arc<dyn TableProvider>, QueryError> {
    let refused = |reason: String| QueryError::File { name: name.to_owned(), reason };
    let files = files(name).map_err(refused)?;
    let Some(first) = files.first() else {
        return Err(refused("no file there".to_owned()));
    };
    if starts_with(first, PARQUET).map_err(|error| refused(error.to_string()))? {
        return parquet(&files, runtime).await;
    }
    let owned = files.clone();
    let table = tokio::task::spawn_blocking(move || kind_of(&owned))
        .await
        .map_err(|error| refused(error.to_string()))?
        .map_err(refused)?;
    Ok(Arc::new(RawTable::new(name, table, files, notices.clone())))
}

/// Every file `name` stands for, in the order of their paths.
fn files(name: &str) -> Result<Vec<PathBuf>, String> {
    if name.contains("://") {
        return Err("only local files are read without a lake: copy them here, or take them into a lake with logq-processor".to_owned());
    }
    let path = Path::new(name);
    let mut found = Vec::new();
    if path.is_file() {
        found.push(path.to_owned());
    } else if path.is_dir() {
        if path.join("_delta_log").is_dir() {
            return Err(
                "it is a table of a lake: pass its parent with --lake, then name the table".to_owned()
            );
        }
        walk(path, &mut |file| found.push(file))?;
    } else if name.contains(['*', '?', '[']) {
        let pattern = globset::GlobBuilder::new(name)
            .literal_separator(true)
            .build()
            .map_err(|error| error.to_string())?
            .compile_matcher();
        // Walks from the last directory without a wildcard.
        let fixed: PathBuf = path
            .components()
            .take_while(|part| !part.as_os_str().to_string_lossy().contains(['*', '?', '[']))
            .collect();
        let root = if fixed.as_os_str().is_empty() { Path::new(".") } else { &fixed };
        walk(root, &mut |file| {
            let shown = file.strip_prefix("./").unwrap_or(&file);
            if pattern.is_match(shown) || pattern.is_match(&file) {
                found.push(file);
            }
        })?;
    } else {
        return Err("there is no such file or directory here".to_owned());
    }
    found.sort();
    Ok(found)
}

fn walk(root: &Path, each: &mut dyn FnMut(PathBuf)) -> Result<(), String> {
    for entry in walkdir::WalkDir::new(root).follow_links(true) {
        let entry = entry.map_err(|error| error.to_string())?;
        let hidden = entry.depth() > 0 && entry.file_name().to_string_lossy().starts_with('.');
        if entry.file_type().is_file() && !hidden {
            each(entry.into_path());
        }
    }
    Ok(())
}

fn starts_with(path: &Path, magic: &[u8; 4]) -> std::io::Result<bool> {
    let mut start = [0; 4];
    let mut file = std::fs::File::open(path)?;
    match file.read_exact(&mut start) {
        Ok(()) => Ok(&start == magic),
        Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

async fn parquet(files: &[PathBuf], runtime: &Arc<RuntimeEnv>) -> Result<Arc<dyn TableProvider>, QueryError> {
    let mut urls = Vec::with_capacity(files.len());
    for file in files {
        let refused = |reason: String| QueryError::File { name: file.display().to_string(), reason };
        if !starts_with(file, PARQUET).map_err(|error| refused(error.to_string()))? {
            return Err(refused(
                "it is no Parquet file, others beside it are: name one kind with a pattern".to_owned(),
            ));
        }
        let path = file.canonicalize().map_err(|error| refused(error.to_string()))?;
        let url = url::Url::from_file_path(&path).map_err(|()| refused("not an absolute path".to_owned()))?;
        urls.push(ListingTableUrl::parse(url.as_str()).map_err(failure::classify)?);
    }
    let state =
        SessionStateBuilder::new().with_runtime_env(Arc::clone(runtime)).with_default_features().build();
    let options = ListingOptions::new(Arc::new(ParquetFormat::default())).with_file_extension("");
    let config = ListingTableConfig::new_with_multi_paths(urls)
        .with_listing_options(options)
        .infer_schema(&state)
        .await
        .map_err(failure::classify)?;
    Ok(Arc::new(ListingTable::try_new(config).map_err(failure::classify)?))
}

/// The table that the first file with a record belongs to.
fn kind_of(files: &[PathBuf]) -> Result<&'static Table, String> {
    let mut unread = None;
    for file in files {
        let mut first = First::default();
        let format = scan::read(file, &mut first).map_err(|error| format!("{}: {error}", file.display()))?;
        if let Some(table) = first.table {
            return Ok(table);
        }
        // An empty flow log still says what it is.
        let known = match format {
            FormatKind::VpcFlow => tables::by_name("vpc_flow"),
            FormatKind::CloudTrail => tables::by_name("cloudtrail"),
            FormatKind::Landing => tables::by_name("app_log"),
            FormatKind::CloudTrailDigest | FormatKind::Empty | FormatKind::Unknown => None,
        };
        if let Some(table) = known {
            return Ok(table);
        }
        unread = unread.or(first.rejected.map(|why| format!("{}: {why}", file.display())));
    }
    Err(unread.map_or("nothing in it".to_owned(), |why| format!("no log logq knows ({why})")))
}

#[derive(Default)]
struct First {
    table: Option<&'static Table>,
    rejected: Option<String>,
}

impl Output for First {
    fn rows(&mut self, table: &'static Table, _: RecordBatch) {
        self.table.get_or_insert(table);
    }

    fn rejected(&mut self, rejected: Rejected) {
        self.rejected.get_or_insert(rejected.message);
    }
}

/// Raw files under one name.
#[derive(Debug)]
pub struct RawTable {
    name: String,
    table: &'static Table,
    schema: SchemaRef,
    files: Vec<PathBuf>,
    notices: Notices,
}

impl RawTable {
    fn new(name: &str, table: &'static Table, files: Vec<PathBuf>, notices: Notices) -> Self {
        RawTable { name: name.to_owned(), table, schema: arrow_schema(table.columns()), files, notices }
    }

    /// The column `--since` and `--until` apply to.
    pub fn time_column(&self) -> Option<&'static str> {
        time_filter::time_column(self.table.name, &self.schema)
    }
}

#[async_trait]
impl TableProvider for RawTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let columns: Vec<usize> = match projection {
            Some(columns) => columns.clone(),
            None => (0..self.schema.fields().len()).collect(),
        };
        let tally = Arc::new(scan::Tally::new(&self.name, self.notices.clone()));
        let parts = state.config().target_partitions().clamp(1, self.files.len().max(1));
        let schema: SchemaRef = Arc::new(self.schema.project(&columns)?);
        // Neighbours in time are neighbours by name: dealing files out in turn keeps all parts busy
        // when early ones are read for a limit.
        let partitions = (0..parts).map(|part| {
            let files = self.files.iter().skip(part).step_by(parts).cloned().collect();
            Arc::new(scan::Part::new(
                self.table,
                files,
                columns.clone(),
                Arc::clone(&schema),
                Arc::clone(&tally),
            )) as Arc<dyn PartitionStream>
        });
        let whole = StreamingTable::try_new(Arc::clone(&schema), partitions.collect())?;
        whole.scan(state, None, filters, limit).await
    }
}

/// The columns of a batch of the processor in the types of the session.
fn adapt(batch: &RecordBatch, columns: &[usize], schema: &Schema) -> Result<RecordBatch> {
    let picked = batch.project(columns)?;
    let cast = picked
        .columns()
        .iter()
        .zip(schema.fields())
        .map(|(values, field)| Ok(arrow::compute::cast(values, field.data_type())?));
    let columns = cast.collect::<Result<Vec<_>>>()?;
    let options = arrow::array::RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    Ok(RecordBatch::try_new_with_options(Arc::new(schema.clone()), columns, &options)?)
}

/// Limits of the parsers; the processor's defaults.
fn limits() -> formats::Limits {
    formats::Limits::default()
}
