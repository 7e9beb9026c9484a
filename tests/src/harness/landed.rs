//! What arrived: landing objects in a directory, read back record by record.

use anyhow::{Context as _, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use logq_schemas::landing::{self, Record, Stream, Trailer};
use std::collections::HashMap;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;

/// A record of a landing object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Landed {
    /// Where it comes from; its number is that of its object.
    pub stream: Stream,
    /// Byte offset in its source file.
    pub offset: u64,
    /// Time as the runtime wrote it.
    pub time: String,
    /// Body, whatever its encoding.
    pub body: Vec<u8>,
    /// `split` or `truncated`, when it is not whole.
    pub cut: Option<String>,
}

/// All records of all landing objects below `root`, objects in the order of their keys.
///
/// # Errors
/// When an object can't be read, is incomplete, or holds a line that is none of the format.
pub fn landed(root: &Path) -> anyhow::Result<Vec<Landed>> {
    let mut records = Vec::new();
    for entry in walkdir::WalkDir::new(root).sort_by_file_name() {
        let entry = entry?;
        if entry.file_name().to_string_lossy().ends_with(landing::SUFFIX) {
            let mut packed = Vec::new();
            File::open(entry.path())?.read_to_end(&mut packed)?;
            object(&packed, &mut records).with_context(|| entry.path().display().to_string())?;
        }
    }
    Ok(records)
}

/// Reads one landing object.
///
/// # Errors
/// When it is incomplete or holds a line that is none of the format.
pub fn object(packed: &[u8], records: &mut Vec<Landed>) -> anyhow::Result<()> {
    let text = String::from_utf8(zstd::decode_all(packed)?)?;
    let before = records.len();
    let mut streams: HashMap<u32, Stream> = HashMap::new();
    let mut end = None;
    for line in text.lines().skip(1) {
        ensure!(end.is_none(), "lines behind the trailer");
        if line.starts_with("{\"s\"") {
            let record: Record<'_> = serde_json::from_str(line)?;
            let body = match (record.b, record.b64) {
                (Some(text), None) => text.into_owned().into_bytes(),
                (None, Some(text)) => STANDARD.decode(text.as_ref())?,
                _ => anyhow::bail!("not one body: {line}"),
            };
            records.push(Landed {
                stream: streams.get(&record.s).context("a record before its stream")?.clone(),
                offset: record.o,
                time: record.t.into_owned(),
                body,
                cut: record.cut.map(Into::into),
            });
        } else if line.starts_with("{\"stream\"") {
            let stream: Stream = serde_json::from_str(line)?;
            streams.insert(stream.stream, stream);
        } else {
            end = Some(serde_json::from_str::<Trailer>(line)?.end);
        }
    }
    let found = (records.len() - before) as u64;
    ensure!(end == Some(found), "{found} records, and the trailer says {end:?}");
    Ok(())
}
