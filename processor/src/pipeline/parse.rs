//! The CPU side of a batch: stored bytes in, data files out. Runs on a blocking thread.

use super::{Loaded, PipelineError, Summary};
use crate::claims::{Claim, ClaimedObject};
use crate::formats::secrets::mask_session_tokens;
use crate::formats::{
    self, Context, Counts, FlowFormat, FormatKind, Limits, Object, Output, Rejected, Report, Seen,
};
use crate::integrity::verdict::{Verdict, verdict_batch};
use crate::lake::bookkeeping::{IngestRow, RejectedRow, ingest_batch, rejected_batch};
use crate::lake::write::{BatchWriter, DataFile, WriteError};
use crate::storage::StorageError;
use crate::stored::Stored;
use arrow::array::RecordBatch;
use logq_schemas::{Reason, Table, tables};
use std::io::{BufRead, Read};
use std::sync::Arc;
use tokio::sync::mpsc::Sender;

/// Rejected rows are handed on in groups of this many, so that a hostile object cannot fill memory
/// with them.
const REJECTED_ROWS: usize = 4_096;

/// Largest Parquet input that is read. Flow log files end at 75 MB.
const PARQUET_BYTES_MAX: u64 = 256 << 20;

/// One batch to parse.
pub(super) struct Job {
    pub claim: Claim,
    pub objects: Vec<Loaded>,
    pub verdicts: Vec<Verdict>,
    pub seen: Seen,
    pub limits: Limits,
    pub flow_formats: Arc<[FlowFormat]>,
    pub memory_bytes_max: usize,
}

/// Where the parsers of one object put what they find.
struct Sorter<'w, 'a> {
    writer: &'w mut BatchWriter<'a>,
    summary: &'w mut Summary,
    rejected: Vec<RejectedRow>,
    ingest_time: i64,
    location: String,
    object_id: String,
}

impl Output for Sorter<'_, '_> {
    fn rows(&mut self, table: &'static Table, batch: RecordBatch) {
        *self.summary.rows.entry(table.name).or_default() += batch.num_rows() as u64;
        self.writer.push(table, batch);
    }

    fn rejected(&mut self, mut rejected: Rejected) {
        mask_session_tokens(&mut rejected.raw);
        *self.summary.rejected.entry(rejected.reason.as_str()).or_default() += 1;
        self.rejected.push(RejectedRow {
            ingest_time: self.ingest_time,
            reason: rejected.reason,
            message: rejected.message,
            location: self.location.clone(),
            object_id: self.object_id.clone(),
            record_offset: rejected.record_offset,
            record_number: rejected.record_number,
            raw: rejected.raw,
            raw_bytes: rejected.raw_bytes,
        });
        if self.rejected.len() >= REJECTED_ROWS {
            self.flush();
        }
    }
}

impl Sorter<'_, '_> {
    fn flush(&mut self) {
        if !self.rejected.is_empty() {
            self.writer.push(&tables::rejected::TABLE, rejected_batch(&self.rejected));
            self.rejected.clear();
        }
    }
}

impl Job {
    /// Parses all objects in order and hands finished files to `files`.
    pub(super) fn run(mut self, files: &Sender<DataFile>) -> Result<(Summary, Seen), PipelineError> {
        let mut store = |file: DataFile| files.blocking_send(file).map_err(|_| WriteError::Stopped);
        let mut writer =
            BatchWriter::new(&self.claim.shard, self.claim.sequence, self.memory_bytes_max, &mut store);
        let mut summary = Summary::default();
        let mut ledger = Vec::with_capacity(self.objects.len());
        for (object, bytes) in std::mem::take(&mut self.objects) {
            let mut sorter = Sorter {
                writer: &mut writer,
                summary: &mut summary,
                rejected: Vec::new(),
                ingest_time: self.claim.claimed_at,
                location: object.location.clone(),
                object_id: object.object_id.clone(),
            };
            let report = match bytes {
                Some(stored) => {
                    let context = Context {
                        ingest_time: self.claim.claimed_at,
                        limits: &self.limits,
                        flow_formats: &self.flow_formats,
                    };
                    read(&object, &stored, &context, &mut self.seen, &mut sorter)?
                }
                None => missing(&mut sorter),
            };
            sorter.flush();
            summary.objects += 1;
            summary.records += report.counts.records;
            summary.duplicates += report.counts.duplicates;
            summary.skipped += report.counts.skipped;
            summary.stored_bytes += object.stored_bytes;
            summary.inflated_bytes += report.counts.inflated_bytes;
            ledger.push(IngestRow {
                ingest_time: self.claim.claimed_at,
                object,
                report,
                batch: self.claim.sequence,
            });
        }
        writer.push(&tables::cloudtrail_digest::TABLE, verdict_batch(&self.verdicts, self.claim.claimed_at));
        writer.push(&tables::ingest::TABLE, ingest_batch(&ledger));
        writer.finish()?;
        Ok((summary, self.seen))
    }
}

/// Reads one object from wherever its bytes are.
pub(super) fn read(
    object: &ClaimedObject,
    stored: &Stored,
    context: &Context<'_>,
    seen: &mut Seen,
    output: &mut impl Output,
) -> Result<Report, PipelineError> {
    let bytes: &[u8] = if let Stored::Memory(bytes) = stored { bytes } else { &[] };
    let input = Object { location: &object.location, object_id: &object.object_id, bytes };
    if matches!(stored, Stored::Memory(_)) {
        return Ok(formats::read(&input, context, seen, output));
    }
    let failed = |source| StorageError::Read { location: object.location.clone(), source };
    let mut source = stored.source().map_err(failed)?;
    if !source.fill_buf().map_err(failed)?.starts_with(b"PAR1") {
        let report = formats::read_file(source, &input, context, seen, output);
        // A parser sees a disk that fails or a file that was cut as the end of the text. What was claimed is
        // known by its hash: if the file is no longer that, the batch is done again.
        if stored.object_id().map_err(failed)? != object.object_id {
            return Err(failed(std::io::Error::other("the file changed while it was parsed")).into());
        }
        return Ok(report);
    }
    // The end of a Parquet file is read first, so it is needed whole.
    if stored.len() > PARQUET_BYTES_MAX {
        return Ok(too_large(output));
    }
    let mut bytes = Vec::new();
    source.read_to_end(&mut bytes).map_err(failed)?;
    Ok(formats::read(&Object { bytes: &bytes, ..input }, context, seen, output))
}

/// A Parquet file that cannot be held in memory: one rejected row stands for it.
fn too_large(output: &mut impl Output) -> Report {
    output.rejected(Rejected {
        reason: Reason::TooLarge,
        message: format!(
            "a Parquet file of more than {} MiB; split it and take the parts in",
            PARQUET_BYTES_MAX >> 20
        ),
        record_offset: 0,
        record_number: None,
        raw: Vec::new(),
        raw_bytes: 0,
    });
    Report { format: FormatKind::Unknown, counts: Counts { records: 1, rejected: 1, ..Counts::default() } }
}

/// An object of an interrupted batch that can no longer be read: one rejected row stands for it.
fn missing(output: &mut impl Output) -> Report {
    output.rejected(Rejected {
        reason: Reason::ObjectMissing,
        message: "the object of an interrupted batch is gone or has changed: put it back under its location"
            .to_owned(),
        record_offset: 0,
        record_number: None,
        raw: Vec::new(),
        raw_bytes: 0,
    });
    Report { format: FormatKind::Unknown, counts: Counts { records: 1, rejected: 1, ..Counts::default() } }
}
