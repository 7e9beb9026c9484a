//! A table of the lake for the query engine: from its files to a scan.

use super::files::{DataFile, FilePruning};
use super::notices::Notices;
use super::snapshot::Snapshot;
use super::{address_bounds, pushdown, time_bounds, time_filter};
use crate::config;
use crate::session::QueryError;
use arrow::datatypes::{Field, Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::stats::Precision;
use datafusion::common::{DFSchema, Statistics, TableReference};
use datafusion::config::TableParquetOptions;
use datafusion::datasource::file_format::parquet::transform_schema_to_view;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::parquet::CachedParquetFileReaderFactory;
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfigBuilder, ParquetSource};
use datafusion::datasource::source::DataSourceExec;
use datafusion::datasource::table_schema::TableSchema;
use datafusion::error::Result;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::logical_expr::utils::conjunction;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_optimizer::pruning::PruningPredicateBuilder;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::empty::EmptyExec;
use std::sync::Arc;

/// Scheme under which the engine's registry knows the store of each table: `lake://<table>`.
const STORE_SCHEME: &str = "lake";

/// One version of a table of the lake.
#[derive(Debug)]
pub struct LakeTable {
    snapshot: Snapshot,
    /// Columns in the order of the log, as the engine sees them.
    schema: SchemaRef,
    /// The same columns in the order of a scan: those in files, then partition columns.
    scan_schema: TableSchema,
    store: ObjectStoreUrl,
    time_column: Option<&'static str>,
    notices: Notices,
}

impl LakeTable {
    /// Makes the table's store known to the engine.
    ///
    /// # Errors
    /// [`QueryError::Table`] when the log lacks a partition column it declares.
    pub fn new(
        snapshot: Snapshot,
        runtime: &RuntimeEnv,
        notices: Notices,
    ) -> std::result::Result<Self, QueryError> {
        let failed = |reason: String| QueryError::Table {
            table: snapshot.name.clone(),
            location: snapshot.location.clone(),
            reason,
        };
        let plain = transform_schema_to_view(&snapshot.schema);
        // Nullable whatever the log says: a file older than a column reads as null there.
        let fields: Vec<Arc<Field>> = plain
            .fields()
            .iter()
            .map(|field| Arc::new(Field::new(field.name(), field.data_type().clone(), true)))
            .collect();
        let schema = Arc::new(Schema::new(fields.clone()));
        let (partition, in_files): (Vec<_>, Vec<_>) =
            fields.into_iter().partition(|field| snapshot.partition_columns.contains(field.name()));
        if partition.len() != snapshot.partition_columns.len() {
            return Err(failed("its log declares a partition column the schema lacks".to_owned()));
        }
        // In the order of the log's partition columns, as the values of each file are.
        let partition: Vec<Arc<Field>> = snapshot
            .partition_columns
            .iter()
            .filter_map(|name| partition.iter().find(|field| field.name() == name).cloned())
            .collect();
        let store = ObjectStoreUrl::parse(format!("{STORE_SCHEME}://{}", snapshot.name))
            .map_err(|error| failed(error.to_string()))?;
        runtime.register_object_store(store.as_ref(), Arc::clone(&snapshot.store));
        Ok(LakeTable {
            time_column: time_filter::time_column(&snapshot.name, &schema),
            scan_schema: TableSchema::builder(Arc::new(Schema::new(in_files)))
                .with_table_partition_cols(partition)
                .build(),
            snapshot,
            schema,
            store,
            notices,
        })
    }

    /// Name in SQL.
    pub fn name(&self) -> &str {
        &self.snapshot.name
    }

    /// What the log says.
    pub fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    /// The column `--since` and `--until` apply to.
    pub fn time_column(&self) -> Option<&'static str> {
        self.time_column
    }

    /// The files a query with `filters` may find rows in, in the order of time.
    fn candidates(&self, state: &dyn Session, filters: &[Expr]) -> Result<(Vec<&DataFile>, FilePruning)> {
        let days = self
            .time_column
            .map(|column| time_bounds::of(filters, column).days())
            .unwrap_or(i64::MIN..=i64::MAX);
        let mut files = self.snapshot.files.in_days(&days);
        self.snapshot.files.sort_by_time(&mut files, self.time_column);
        let pruning = self.snapshot.files.pruning(&files, &self.schema);
        let Some(predicate) = conjunction(filters.to_vec()) else { return Ok((files, pruning)) };
        let known = DFSchema::try_from(Arc::clone(&self.schema))?;
        let predicate = state.create_physical_expr(predicate, &known)?;
        let predicate = PruningPredicateBuilder::new()
            .with_file_schema(Arc::clone(&self.schema))
            .with_max_in_list_size(config::IN_LIST_PRUNED_MAX)
            .build(predicate);
        let Some(predicate) = predicate else { return Ok((files, pruning)) };
        let keep = predicate.prune(&pruning)?;
        let mut keep = keep.into_iter();
        files.retain(|_| keep.next().unwrap_or(true));
        let pruning = self.snapshot.files.pruning(&files, &self.schema);
        Ok((files, pruning))
    }

    /// Columns of a scan for columns of the table.
    fn scan_columns(&self, projection: Option<&Vec<usize>>) -> Result<Vec<usize>> {
        let scan_schema = self.scan_schema.table_schema();
        let all: Vec<usize> = (0..self.schema.fields().len()).collect();
        projection
            .unwrap_or(&all)
            .iter()
            .map(|index| Ok(scan_schema.index_of(self.schema.field(*index).name())?))
            .collect()
    }

    fn partitioned(&self, file: &DataFile, statistics: Option<Statistics>) -> PartitionedFile {
        let scanned = PartitionedFile::new_from_meta(file.meta.clone())
            .with_partition_values(file.partition.clone())
            .with_table_reference(Some(TableReference::bare(self.name())));
        match statistics {
            Some(statistics) => scanned.with_statistics(Arc::new(statistics)),
            None => scanned,
        }
    }
}

#[async_trait]
impl TableProvider for LakeTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    /// Every filter helps to leave files out; none is decided by that alone.
    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        Ok(vec![TableProviderFilterPushDown::Inexact; filters.len()])
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let columns = self.scan_columns(projection)?;
        if self.snapshot.files.is_empty() {
            self.notices.add(format!("table {} has no data yet in {}", self.name(), self.snapshot.location));
        }
        let bounds = address_bounds::derived(filters, &self.schema);
        let filters = &[filters, &bounds].concat();
        let (files, pruning) = self.candidates(state, filters)?;
        if files.is_empty() {
            let schema = self.scan_schema.table_schema().project(&columns)?;
            return Ok(Arc::new(EmptyExec::new(Arc::new(schema))));
        }
        let in_files = self.scan_schema.file_schema();
        let scanned: Vec<PartitionedFile> = files
            .iter()
            .enumerate()
            .map(|(index, file)| self.partitioned(file, pruning.statistics(index, in_files)))
            .collect();
        let groups = FileGroup::new(scanned).split_files(state.config().target_partitions());

        let mut options = TableParquetOptions::new();
        options.global = state.config_options().execution.parquet.clone();
        options.global.pushdown_filters =
            pushdown::worth_it(self.name(), self.scan_schema.table_schema(), &columns, filters);
        options.global.reorder_filters = options.global.pushdown_filters;
        let runtime = state.runtime_env();
        let readers = CachedParquetFileReaderFactory::new(
            runtime.object_store(&self.store)?,
            runtime.cache_manager.get_file_metadata_cache(),
        );
        let mut source = ParquetSource::new(self.scan_schema.clone())
            .with_metadata_size_hint(config::FOOTER_BYTES_HINT)
            .with_table_parquet_options(options)
            .with_parquet_file_reader_factory(Arc::new(readers));
        // The query's own conditions reach the source later; these the planner does not know.
        if let Some(bounds) = conjunction(bounds) {
            let known = DFSchema::try_from(self.scan_schema.table_schema().as_ref().clone())?;
            source = source.with_predicate(state.create_physical_expr(bounds, &known)?);
        }
        let scan = FileScanConfigBuilder::new(self.store.clone(), Arc::new(source))
            .with_file_groups(groups)
            .with_statistics(self.totals(&files))
            .with_projection_indices(Some(columns))?
            .with_limit(limit)
            .build();
        Ok(DataSourceExec::from_data_source(scan))
    }
}

impl LakeTable {
    /// Rows and bytes of a scan over `files`. Rows are exact where every file of the log says how
    /// many it has, so `count(*)` is answered from the log; bounds of columns are not claimed, see
    /// [`FilePruning::statistics`].
    fn totals(&self, files: &[&DataFile]) -> Statistics {
        let mut statistics = Statistics::new_unknown(self.scan_schema.table_schema());
        let rows: Option<u64> = files.iter().map(|file| file.rows).sum();
        if let Some(rows) = rows.and_then(|rows| usize::try_from(rows).ok()) {
            statistics.num_rows = Precision::Exact(rows);
        }
        let bytes: u64 = files.iter().map(|file| file.meta.size).sum();
        statistics.total_byte_size = usize::try_from(bytes).map_or(Precision::Absent, Precision::Inexact);
        statistics
    }
}
