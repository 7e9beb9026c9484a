//! Reading raw files as a query goes: one blocking reader per part, a short queue to the engine.

use super::super::notices::Notices;
use super::{adapt, limits};
use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::stream::RecordBatchReceiverStreamBuilder;
use datafusion::physical_plan::streaming::PartitionStream;
use logq_processor::formats::{self, Context, FormatKind, Object, Output, Rejected, Seen};
use logq_schemas::Table;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::mpsc::Sender;

/// Batches waiting for the engine: with 8,192 rows each, some 20 MB of wide CloudTrail events.
const QUEUE: usize = 2;

/// Repeats that are recognised within one file; files are small beside a lake.
const SEEN: usize = 100_000;

/// Reads one file whole; what it was.
///
/// # Errors
/// When it cannot be read from disk.
pub fn read(path: &Path, output: &mut impl Output) -> std::io::Result<FormatKind> {
    let bytes = std::fs::read(path)?;
    let location = path.display().to_string();
    let object =
        Object { location: &location, object_id: &logq_processor::stored::object_id(&bytes), bytes: &bytes };
    let limits = limits();
    let context =
        Context { ingest_time: chrono::Utc::now().timestamp_micros(), limits: &limits, flow_formats: &[] };
    let mut seen = Seen::with_capacity(SEEN);
    Ok(formats::read(&object, &context, &mut seen, output).format)
}

/// What could not be parsed, told once when the last part of a scan is done.
#[derive(Debug)]
pub struct Tally {
    name: String,
    notices: Notices,
    rejected: Mutex<(u64, Option<String>)>,
}

impl Tally {
    /// Nothing rejected yet.
    pub fn new(name: &str, notices: Notices) -> Self {
        Tally { name: name.to_owned(), notices, rejected: Mutex::default() }
    }

    fn add(&self, path: &Path, rejected: &Rejected) {
        let mut sum = self.rejected.lock().unwrap_or_else(PoisonError::into_inner);
        sum.0 += 1;
        sum.1.get_or_insert_with(|| format!("{}: {}", path.display(), rejected.message));
    }
}

impl Drop for Tally {
    fn drop(&mut self) {
        let (count, first) = std::mem::take(self.rejected.get_mut().unwrap_or_else(PoisonError::into_inner));
        if let Some(first) = first {
            let records = if count == 1 { "1 record".to_owned() } else { format!("{count} records") };
            self.notices.add(format!(
                "{}: {records} could not be parsed and are not in the answer; the first: {first}",
                self.name
            ));
        }
    }
}

/// A share of the files.
#[derive(Debug)]
pub struct Part {
    table: &'static Table,
    files: Vec<PathBuf>,
    columns: Vec<usize>,
    schema: SchemaRef,
    tally: Arc<Tally>,
}

impl Part {
    /// The `columns` of `files`.
    pub fn new(
        table: &'static Table,
        files: Vec<PathBuf>,
        columns: Vec<usize>,
        schema: SchemaRef,
        tally: Arc<Tally>,
    ) -> Self {
        Part { table, files, columns, schema, tally }
    }
}

impl PartitionStream for Part {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _: Arc<TaskContext>) -> SendableRecordBatchStream {
        let mut builder = RecordBatchReceiverStreamBuilder::new(Arc::clone(&self.schema), QUEUE);
        let (table, files, columns) = (self.table, self.files.clone(), self.columns.clone());
        let (schema, tally, to) = (Arc::clone(&self.schema), Arc::clone(&self.tally), builder.tx());
        builder.spawn_blocking(move || {
            for path in files {
                let mut queue = Queue {
                    table,
                    columns: &columns,
                    schema: &schema,
                    path: &path,
                    tally: &tally,
                    to: &to,
                    end: None,
                };
                let read = read(&path, &mut queue);
                match queue.end {
                    Some(End::Gone) => return Ok(()),
                    Some(End::Failed(error)) => return Err(error),
                    None => {}
                }
                read.map_err(|error| {
                    DataFusionError::Execution(format!("cannot read {}: {error}", path.display()))
                })?;
            }
            Ok(())
        });
        builder.build()
    }
}

/// Why no further batch is wanted. The parsers cannot be told, so the rest of the file is dropped.
enum End {
    /// The query has enough.
    Gone,
    /// The query fails.
    Failed(DataFusionError),
}

struct Queue<'a> {
    table: &'static Table,
    columns: &'a [usize],
    schema: &'a SchemaRef,
    path: &'a Path,
    tally: &'a Tally,
    to: &'a Sender<Result<RecordBatch>>,
    end: Option<End>,
}

impl Output for Queue<'_> {
    fn rows(&mut self, table: &'static Table, batch: RecordBatch) {
        if self.end.is_some() {
            return;
        }
        if table.name != self.table.name {
            self.end = Some(End::Failed(DataFusionError::Execution(format!(
                "{} holds {} and others {}: name one kind with a pattern",
                self.path.display(),
                table.name,
                self.table.name
            ))));
            return;
        }
        match adapt(&batch, self.columns, self.schema) {
            Ok(batch) => {
                if self.to.blocking_send(Ok(batch)).is_err() {
                    self.end = Some(End::Gone);
                }
            }
            Err(error) => self.end = Some(End::Failed(error)),
        }
    }

    fn rejected(&mut self, rejected: Rejected) {
        if self.end.is_none() {
            self.tally.add(self.path, &rejected);
        }
    }
}
