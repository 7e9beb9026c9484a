//! Objects of the lake that cannot be read: which, how many, and what to do.
//!
//! The log says which files belong to a table. When a query fails on one of them, the others of the
//! same scan are probed with one small read each, so that the message counts all that are missing,
//! archived or cut, not only the first one met.

use super::provider::LakeTable;
use crate::config;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfig, FileScanConfigBuilder};
use datafusion::datasource::source::DataSourceExec;
use datafusion::error::DataFusionError;
use datafusion::execution::TaskContext;
use datafusion::parquet::errors::ParquetError;
use datafusion::physical_plan::{ExecutionPlan, execute_stream};
use futures::{StreamExt, TryStreamExt};
use object_store::{ObjectStore, ObjectStoreExt};
use std::collections::HashSet;
use std::error::Error;
use std::fmt;
use std::sync::Arc;

/// Bytes at the end of every Parquet file, and at its start.
const MAGIC: &[u8] = b"PAR1";

/// Why an object cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// The log lists it, the store has none.
    Missing,
    /// It lies in an archive tier.
    Archived,
    /// The credentials may not read it.
    Denied,
    /// Its bytes are not those that were written; with the reader's message.
    Damaged(String),
    /// The store failed; with its message.
    Failed(String),
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::Missing => f.write_str(
                "missing: the table's log lists it, but it is gone; restore it from a backup or an object version, or let logq-processor drop it from the table",
            ),
            Reason::Archived => {
                f.write_str("archived: it lies in a tier that cannot be read at once; restore it, then ask again")
            }
            Reason::Denied => f.write_str("access denied: s3:GetObject on the lake is needed"),
            Reason::Damaged(message) => write!(
                f,
                "damaged: {message}; compare it with a backup or an object version, then replace or drop it"
            ),
            Reason::Failed(message) => write!(f, "unreadable: {message}"),
        }
    }
}

/// One object that cannot be read.
#[derive(Debug, Clone)]
pub struct BadObject {
    /// Table in SQL.
    pub table: String,
    /// URL of the object.
    pub location: String,
    /// Partition it belongs to.
    pub partition: String,
    /// Why.
    pub reason: Reason,
}

/// The objects a query failed on.
#[derive(Debug)]
pub struct Unreadable {
    /// Each of them.
    pub objects: Vec<BadObject>,
    /// Objects of the same scans that were looked at.
    pub probed: usize,
    /// Objects of the same scans.
    pub scanned: usize,
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the answer would be incomplete, so none is given: {} of {} objects cannot be read",
            self.objects.len(),
            self.scanned
        )?;
        if self.probed < self.scanned {
            write!(f, " (only {} were looked at)", self.probed)?;
        }
        for object in self.objects.iter().take(config::NAMED_OBJECTS_MAX) {
            write!(f, "\n  {} (table {}", object.location, object.table)?;
            if !object.partition.is_empty() {
                write!(f, ", {}", object.partition)?;
            }
            write!(f, ") is {}", object.reason)?;
        }
        match self.objects.len().saturating_sub(config::NAMED_OBJECTS_MAX) {
            0 => Ok(()),
            more => write!(f, "\n  and {more} more"),
        }
    }
}

/// Whether an error arose from reading an object and not from the query.
pub fn is_read_failure(error: &DataFusionError) -> bool {
    let mut cause: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(error) = cause {
        let ours = match error.downcast_ref::<DataFusionError>() {
            Some(DataFusionError::ObjectStore(_) | DataFusionError::ParquetError(_)) => true,
            Some(DataFusionError::ArrowError(arrow, _)) => {
                matches!(**arrow, arrow::error::ArrowError::ParquetError(_))
            }
            Some(_) => false,
            None => {
                error.is::<object_store::Error>()
                    || error.is::<ParquetError>()
                    || matches!(
                        error.downcast_ref::<arrow::error::ArrowError>(),
                        Some(arrow::error::ArrowError::ParquetError(_))
                    )
            }
        };
        if ours {
            return true;
        }
        cause = error.source();
    }
    false
}

/// Finds the objects of `plan` that cannot be read, after `error`.
///
/// `tables` are those of the session that are open. `None` when every object can be read: then the
/// failure passed, or lies elsewhere.
pub async fn diagnose(
    plan: &Arc<dyn ExecutionPlan>,
    tables: &[Arc<LakeTable>],
    context: &Arc<TaskContext>,
) -> Option<Unreadable> {
    let scans = scans(plan);
    let mut seen = HashSet::new();
    let mut files: Vec<(FileScanConfig, PartitionedFile)> = Vec::new();
    for scan in scans {
        for file in scan.file_groups.iter().flat_map(FileGroup::iter) {
            if seen.insert((scan.object_store_url.clone(), file.object_meta.location.clone())) {
                files.push((scan.clone(), file.clone()));
            }
        }
    }
    let scanned = files.len();
    files.truncate(config::DIAGNOSED_OBJECTS_MAX);
    let probed = files.len();
    let runtime = context.runtime_env();
    let probes = files.iter().map(|(scan, file)| {
        let store = runtime.object_store(&scan.object_store_url);
        async move {
            let reason = match store {
                Ok(store) => probe(store.as_ref(), file).await,
                Err(error) => Some(Reason::Failed(error.strip_backtrace())),
            };
            reason.map(|reason| bad_object(scan, file, reason, tables))
        }
    });
    let mut objects: Vec<BadObject> = futures::stream::iter(probes)
        .buffered(config::DIAGNOSED_OBJECTS_PARALLEL)
        .filter_map(|found| async move { found })
        .collect()
        .await;
    if objects.is_empty() {
        // Footers are whole, so the damage lies in the data: read file by file up to the first.
        for (scan, file) in &files {
            if let Some(reason) = read_through(scan, file, context).await {
                objects.push(bad_object(scan, file, reason, tables));
                break;
            }
        }
    }
    (!objects.is_empty()).then_some(Unreadable { objects, probed, scanned })
}

/// All file scans of a plan.
fn scans(plan: &Arc<dyn ExecutionPlan>) -> Vec<FileScanConfig> {
    let mut found = Vec::new();
    let mut pending = vec![Arc::clone(plan)];
    while let Some(node) = pending.pop() {
        if let Some(scan) = node.downcast_ref::<DataSourceExec>()
            && let Some(files) = scan.data_source().downcast_ref::<FileScanConfig>()
        {
            found.push(files.clone());
        }
        pending.extend(node.children().into_iter().cloned());
    }
    found
}

/// Reads the last bytes of an object, which a file that was cut or never finished lacks.
async fn probe(store: &dyn ObjectStore, file: &PartitionedFile) -> Option<Reason> {
    let size = file.object_meta.size;
    let tail = size.saturating_sub(MAGIC.len() as u64)..size;
    match store.get_range(&file.object_meta.location, tail).await {
        Ok(bytes) if bytes.as_ref() == MAGIC => None,
        Ok(_) => Some(Reason::Damaged(format!("no Parquet footer at its end, byte {size}"))),
        Err(error) => Some(store_reason(&error)),
    }
}

fn store_reason(error: &object_store::Error) -> Reason {
    let text = chain(error);
    if text.contains("InvalidObjectState") {
        return Reason::Archived;
    }
    match error {
        object_store::Error::NotFound { .. } => Reason::Missing,
        object_store::Error::PermissionDenied { .. } | object_store::Error::Unauthenticated { .. } => {
            Reason::Denied
        }
        // A local file shorter than the log says.
        _ if ["Requested range was invalid", "InvalidRange", "out of range"]
            .iter()
            .any(|words| text.contains(words)) =>
        {
            Reason::Damaged(format!("shorter than the table's log says ({text})"))
        }
        _ => Reason::Failed(text),
    }
}

/// An error with its causes on one line.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let message = error.to_string();
        if !text.contains(&message) {
            text = format!("{text}: {message}");
        }
        cause = error.source();
    }
    text.replace(['\n', '\r'], " ")
}

/// Reads one file as the query did.
async fn read_through(
    scan: &FileScanConfig,
    file: &PartitionedFile,
    context: &Arc<TaskContext>,
) -> Option<Reason> {
    let mut whole = file.clone();
    whole.range = None;
    let one = FileScanConfigBuilder::from(scan.clone())
        .with_file_groups(vec![FileGroup::new(vec![whole])])
        .with_limit(None)
        .build();
    let stream = execute_stream(DataSourceExec::from_data_source(one), Arc::clone(context));
    let read = match stream {
        Ok(stream) => stream.try_for_each(|_| async { Ok(()) }).await,
        Err(error) => Err(error),
    };
    match read {
        Err(error) if is_read_failure(&error) => {
            Some(Reason::Damaged(chain(error.find_root()).trim_start_matches("Parquet error: ").to_owned()))
        }
        _ => None,
    }
}

fn bad_object(
    scan: &FileScanConfig,
    file: &PartitionedFile,
    reason: Reason,
    tables: &[Arc<LakeTable>],
) -> BadObject {
    let name = file.table_reference.as_ref().map(|table| table.table().to_owned()).unwrap_or_default();
    let path = file.object_meta.location.as_ref();
    let location = tables
        .iter()
        .find(|table| table.name() == name)
        .map(|table| format!("{}/{path}", table.snapshot().location))
        .unwrap_or_else(|| format!("{}{path}", scan.object_store_url));
    let partition: Vec<String> = scan
        .table_partition_cols()
        .iter()
        .zip(&file.partition_values)
        .map(|(field, value)| format!("{}={value}", field.name()))
        .collect();
    BadObject { table: name, location, partition: partition.join("/"), reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_that_archived_an_object_is_understood() {
        let archived = object_store::Error::Generic {
            store: "S3",
            source: "403 Forbidden: <Code>InvalidObjectState</Code>".into(),
        };
        assert_eq!(store_reason(&archived), Reason::Archived);
        let missing = object_store::Error::NotFound { path: "a".to_owned(), source: "404".into() };
        assert_eq!(store_reason(&missing), Reason::Missing);
    }

    #[test]
    fn read_failures_are_told_from_failures_of_the_query() {
        let missing = object_store::Error::NotFound { path: "a".to_owned(), source: "404".into() };
        assert!(is_read_failure(&DataFusionError::ObjectStore(Box::new(missing)).context("scanning")));
        let damaged = ParquetError::General("bad page".to_owned());
        let wrapped = arrow::error::ArrowError::ExternalError(Box::new(damaged));
        assert!(is_read_failure(&DataFusionError::ArrowError(Box::new(wrapped), None)));
        assert!(!is_read_failure(&DataFusionError::Execution("divide by zero".to_owned())));
    }

    #[test]
    fn a_message_names_a_few_and_counts_all() {
        let object = BadObject {
            table: "vpc_flow".to_owned(),
            location: "s3://b/lake/vpc_flow/x.parquet".to_owned(),
            partition: "event_date=2026-11-20".to_owned(),
            reason: Reason::Missing,
        };
        let text = Unreadable { objects: vec![object; 7], probed: 9, scanned: 9 }.to_string();
        assert!(text.contains("7 of 9 objects"), "{text}");
        assert!(text.contains("table vpc_flow, event_date=2026-11-20"), "{text}");
        assert!(text.ends_with("and 2 more"), "{text}");
    }
}
