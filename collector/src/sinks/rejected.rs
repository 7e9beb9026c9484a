//! Records the other end of a sink refuses for good: kept as JSON lines beside the spool, for
//! people to look at, within a size limit.

use super::Event;
use serde::Serialize;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// A file is renamed to `.old` at this size, replacing the last `.old`: at most twice this per sink.
const FILE_BYTES: u64 = 16 * 1024 * 1024;

/// Where the rejected records of one sink are kept.
#[derive(Debug)]
pub struct Rejected {
    path: PathBuf,
    file: Mutex<Option<(File, u64)>>,
}

#[derive(Serialize)]
struct Line<'a> {
    reason: &'static str,
    stream: &'a logq_schemas::landing::Stream,
    record: &'a logq_schemas::landing::Record<'a>,
}

impl Rejected {
    /// Nothing is created before the first record.
    pub fn new(data_dir: &Path, sink: &str) -> Self {
        Self { path: data_dir.join("rejected").join(format!("{sink}.jsonl")), file: Mutex::new(None) }
    }

    /// Keeps a record. A disk that refuses it is logged; the record stays counted.
    pub fn keep(&self, reason: &'static str, event: &Event<'_>) {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let line = Line { reason, stream: event.stream, record: &event.record };
        if let Err(error) = self.write(&mut file, &line) {
            tracing::warn!(path = %self.path.display(), %error, "rejected record not kept");
            *file = None;
        }
    }

    fn write(&self, slot: &mut Option<(File, u64)>, line: &Line<'_>) -> io::Result<()> {
        let mut text = serde_json::to_vec(line)?;
        text.push(b'\n');
        if slot.as_ref().is_some_and(|(_, size)| size + text.len() as u64 > FILE_BYTES) {
            *slot = None;
            fs::rename(&self.path, self.path.with_extension("jsonl.old"))?;
        }
        if slot.is_none() {
            fs::create_dir_all(self.path.parent().unwrap_or(Path::new(".")))?;
            let file = OpenOptions::new().create(true).append(true).open(&self.path)?;
            let size = file.metadata()?.len();
            *slot = Some((file, size));
        }
        if let Some((file, size)) = slot {
            file.write_all(&text)?;
            *size += text.len() as u64;
        }
        Ok(())
    }
}
