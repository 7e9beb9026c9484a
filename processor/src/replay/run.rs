//! The order of things: settle what an earlier replay left, then file by file select, try, write, take in,
//! settle.

use super::origin::Origin;
use super::pack::{Outcome, Packed, pack};
use super::select::{Rejections, Selection, open_in, settled};
use crate::formats::arrow_schema;
use crate::formats::vpc_flow::format;
use crate::lake::bookkeeping::{day, text, time};
use crate::lake::read::{ReadError, data_files};
use crate::lake::record::{self, RecordError};
use crate::lake::table::{LakeTable, TableError};
use crate::pipeline::{PipelineError, Processor, Summary};
use crate::storage::{Candidate, Lake, Place, StorageError};
use crate::stored::object_id;
use arrow::array::{ArrayRef, Date32Array, RecordBatch};
use bytes::Bytes;
use deltalake::Path;
use futures::TryStreamExt;
use logq_schemas::tables;
use object_store::ObjectStoreExt;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use thiserror::Error;

const FOLDER: &str = "state/replayed";

/// An original larger than this inflated is not read again: memory holds it whole.
const ORIGIN_BYTES_MAX: u64 = 256 << 20;

/// Why a replay stopped. Done again, it goes on.
#[derive(Debug, Error)]
pub enum ReplayError {
    /// A batch failed.
    #[error(transparent)]
    Pipeline(#[from] PipelineError),
    /// A table cannot be opened.
    #[error(transparent)]
    Table(#[from] TableError),
    /// A table cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The store failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// What was settled cannot be recorded.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// A replay object cannot be compressed.
    #[error("cannot compress a replay object")]
    Compress(#[source] std::io::Error),
}

/// What a replay did, or would do.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Report {
    /// Rejections looked at, by reason and outcome.
    pub rejections: BTreeMap<String, BTreeMap<Outcome, u64>>,
    /// What was taken in.
    pub summary: Summary,
    /// Rejections settled that an earlier replay brought in.
    pub completed: u64,
}

impl Report {
    /// Rejections with this outcome.
    pub fn count(&self, outcome: Outcome) -> u64 {
        self.rejections.values().filter_map(|outcomes| outcomes.get(&outcome)).sum()
    }
}

/// Lies beside a replay object until its rejections are settled.
#[derive(Debug, Serialize, Deserialize)]
struct Note {
    object_id: String,
    object: String,
    settles: Vec<(String, String)>,
}

/// Replays what `selection` takes; with `dry`, only says what would come of it.
///
/// # Errors
/// When the lake fails.
pub async fn replay(
    lake: &Lake,
    processor: &mut Processor,
    selection: &Selection,
    dry: bool,
) -> Result<Report, ReplayError> {
    let rejected = LakeTable::open(lake, &tables::rejected::TABLE).await?;
    let replayed = LakeTable::open(lake, &tables::replayed::TABLE).await?;
    let mut known = settled(&replayed).await?;
    let mut report = Report::default();
    if !dry {
        report.completed = complete(lake, processor, &mut known).await?;
    }
    for file in data_files(&rejected)? {
        for object in open_in(&rejected, &file, selection, &known).await? {
            let packed = try_object(processor, &object, &mut report).await?;
            let Some(packed) = packed.filter(|_| !dry) else { continue };
            let note = write(lake, &object, packed).await?;
            let outcome = processor.take_in(vec![candidate(lake, &note).await?]).await?;
            report.summary.add(&outcome.summary);
            if let Some(unreadable) = outcome.unreadable.into_iter().next() {
                return Err(unreadable.error.into());
            }
            settle(lake, &note, &mut known).await?;
        }
    }
    Ok(report)
}

async fn try_object(
    processor: &Processor,
    object: &Rejections,
    report: &mut Report,
) -> Result<Option<Packed>, ReplayError> {
    let (location, identity) = (&object.location, &object.object_id);
    let limits = processor.config().limits;
    let bytes_max = limits.object_bytes_max.min(ORIGIN_BYTES_MAX);
    let origin = Origin::read(processor.inputs(), location, identity, bytes_max).await;
    let declared = format::declared(&processor.config().flow_formats, &object.location);
    let header = declared.map_or_else(Vec::new, |format| format.header().into_bytes());
    let (packed, outcomes) = tokio::task::block_in_place(|| pack(object, origin.as_ref(), &limits, &header));
    for (open, outcome) in object.records.iter().zip(outcomes) {
        let reason = report.rejections.entry(open.reason.clone()).or_default();
        *reason.entry(outcome).or_default() += 1;
    }
    Ok(packed)
}

fn failed(lake: &Lake, path: &Path, source: deltalake::ObjectStoreError) -> StorageError {
    StorageError::Request { location: format!("{}{path}", lake.url()), source }
}

/// Writes the note, then the replay object. Compressed, so that a whole object replayed is not the object
/// the ledger knows.
async fn write(lake: &Lake, object: &Rejections, packed: Packed) -> Result<Note, ReplayError> {
    let bytes = zstd::encode_all(packed.content.as_slice(), 3).map_err(ReplayError::Compress)?;
    let identity = object_id(&bytes);
    let name = format!("{FOLDER}/{}-{identity}", object.object_id);
    let note = Note { object_id: identity, object: format!("{name}.zst"), settles: packed.settles };
    let text = serde_json::to_vec(&note).unwrap_or_default();
    for (path, bytes) in [(format!("{name}.json"), text), (note.object.clone(), bytes)] {
        let path = Path::from(path);
        let put = lake.store().put(&path, Bytes::from(bytes).into()).await;
        put.map_err(|source| failed(lake, &path, source))?;
    }
    Ok(note)
}

/// The replay object as any input object.
async fn candidate(lake: &Lake, note: &Note) -> Result<Candidate, ReplayError> {
    let path = Path::from(note.object.as_str());
    let meta = lake.store().head(&path).await.map_err(|source| failed(lake, &path, source))?;
    let place = Place::from_location(&location(lake, note));
    // Read by content: the ledger decides.
    Ok(Candidate { place, stored_bytes: meta.size, last_modified: None, etag: None })
}

fn location(lake: &Lake, note: &Note) -> String {
    match lake.directory() {
        Some(directory) => directory.join(&note.object).display().to_string(),
        None => format!("{}{}", lake.url(), note.object),
    }
}

/// Records the rejections as settled, then removes object and note: the note last, for it tells the next
/// replay what to complete.
async fn settle(lake: &Lake, note: &Note, known: &mut HashSet<String>) -> Result<u64, ReplayError> {
    let now = chrono::Utc::now().timestamp_micros();
    let open: Vec<&(String, String)> = note.settles.iter().filter(|(uid, _)| !known.contains(uid)).collect();
    if !open.is_empty() {
        let batch = rows(&open, &note.object_id, &location(lake, note), now);
        let run = format!("replay-{}", note.object_id);
        record::append(lake, &tables::replayed::TABLE, vec![batch], &run, now).await?;
    }
    let settled = open.len() as u64;
    known.extend(note.settles.iter().map(|(uid, _)| uid.clone()));
    let beside = note.object.replace(".zst", ".json");
    for path in [note.object.as_str(), &beside].map(Path::from) {
        match lake.store().delete(&path).await {
            Ok(()) | Err(deltalake::ObjectStoreError::NotFound { .. }) => {}
            Err(source) => return Err(failed(lake, &path, source).into()),
        }
    }
    Ok(settled)
}

/// Settles what an earlier replay took in and did not record. Opening the processor finished its
/// interrupted batches, so what the ledger does not know was never taken in: that is selected again.
async fn complete(
    lake: &Lake,
    processor: &Processor,
    known: &mut HashSet<String>,
) -> Result<u64, ReplayError> {
    let folder = Path::from(FOLDER);
    let listing: Vec<_> = lake
        .store()
        .list(Some(&folder))
        .try_collect()
        .await
        .map_err(|source| failed(lake, &folder, source))?;
    let mut completed = 0;
    for meta in listing.iter().filter(|meta| meta.location.as_ref().ends_with(".json")) {
        let request = |source| failed(lake, &meta.location, source);
        let bytes =
            lake.store().get(&meta.location).await.map_err(request)?.bytes().await.map_err(request)?;
        let Ok(note) = serde_json::from_slice::<Note>(&bytes) else { continue };
        if processor.knows(&note.object_id) {
            completed += settle(lake, &note, known).await?;
        }
    }
    Ok(completed)
}

fn rows(settles: &[&(String, String)], object: &str, location: &str, now: i64) -> RecordBatch {
    let columns: Vec<ArrayRef> = vec![
        Arc::new(settles.iter().map(|_| Some(day(now))).collect::<Date32Array>()),
        time(settles.iter().map(|_| Some(now))),
        text(settles.iter().map(|(uid, _)| Some(uid.as_str()))),
        text(settles.iter().map(|_| Some(object))),
        text(settles.iter().map(|_| Some(location))),
        text(settles.iter().map(|(_, reason)| Some(reason.as_str()))),
    ];
    RecordBatch::try_new(arrow_schema(&tables::replayed::TABLE), columns)
        .expect("columns are listed in the order of the table")
}
