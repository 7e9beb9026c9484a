//! The ceiling of memory (`memory_max`), and everything below it that grows with something.
//!
//! | what | grows with | most | bounded by |
//! |---|---|---|---|
//! | the program | nothing | [`BASE_BYTES`] | |
//! | batches | sources | a *frame* each, and four on their way to the spool and back | `batch.max_bytes` + longest record |
//! | spool writer | lanes (different `inputs` of sinks) | two *frames* each: lines, compressed; and zstd's tables | `batch.max_bytes`, `segment.compression_level` |
//! | streams, pods | files followed, pods known | 2 KiB and 1 KiB each | `max_open_files`, `metadata_max_pods` |
//! | unfinished records | streams | `max_held_bytes` × 2 (buffers double) | **share** of the ceiling |
//! | pushed requests | clients | 64 MiB × 3 (request, records, batch) | **share** of the ceiling |
//! | tap | viewers | 4 × 64 records of 16 KiB | constant |
//! | `aws_s3` | uploads in flight | 1 MiB each: read buffer, connection | **budget**, `request.concurrency` |
//! | `aws_cloudwatch_logs` | requests in flight | 3 *frames* + 4 MiB held + 1 MiB × 3 each | **budget**, `request.concurrency` |
//! | `http`, `otlp` | segments in flight | 4 *frames* + 3 requests + a connection | **budget**, `batch.max_bytes`, `request.concurrency` |
//! | `console`, `file`, `blackhole` | nothing | 2 *frames*; a read buffer; nothing | **budget** |
//!
//! A *frame* is what one batch becomes in the spool, as text: at most `batch.max_bytes` and one record
//! of the longest accepted size, somewhat more where many characters need JSON escapes.
//!
//! With a ceiling, every sink sets aside what one of its deliveries takes; further ones take from one
//! common budget before they build anything, and wait when it is spent ([`room`]). They take what the
//! frames of their segment really have, so that typical ones (far below the longest record) leave room
//! for others. A source's unfinished records and pushed requests are capped to a share each.
//!
//! Promises: a delivery is never kept waiting by another sink; a ceiling below the least the
//! configuration takes is refused with the key that takes most. Refuses: to be exact. These are the
//! sizes of what we hold, from above; what allocator and kernel add is the quarter of a cgroup's
//! limit that is not used. Not counted: requests of clients that are still being received.

pub mod cgroup;
pub mod room;

use crate::budget::Budget;
use crate::config::component::{Problem, problem};
use crate::config::{ByteSize, Config, options};
use crate::sources::received::IN_FLIGHT_BYTES;
use std::path::Path;
use std::sync::Arc;

pub use room::Room;

const MIB: usize = 1 << 20;

/// The program without anything to do: runtime, TLS roots, AWS clients, stacks in use.
pub const BASE_BYTES: usize = 10 * MIB;

/// Batches on their way to the spool (queue and writer) and emptied ones on their way back.
const BATCHES: usize = 4;

/// Four viewers, 64 records waiting for each, 8 KiB of body and of attributes of each.
const TAP_BYTES: usize = 4 * MIB;

/// A followed file: buffers, paths, metadata.
const FILE_BYTES: usize = 2 * 1024;

/// A buffer that grows by doubling may be twice as large as what it holds.
const HELD_FACTOR: usize = 2;

/// A push is there as a request, as records and as part of a batch.
const PUSHED_FACTOR: usize = 3;

/// What one delivery of a sink takes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Takes {
    /// This many of the largest frame of the segment …
    pub frames: usize,
    /// … and this many bytes whatever its frames are.
    pub bytes: usize,
    /// The key of the sink that makes it less.
    pub key: &'static str,
}

impl Takes {
    /// With frames of this size.
    pub fn with(&self, frame: usize) -> usize {
        self.frames.saturating_mul(frame).saturating_add(self.bytes)
    }
}

/// What a source takes.
#[derive(Debug, Clone, Copy, Default)]
pub struct Reads {
    /// The longest record, or request of a client.
    pub record: usize,
    /// Its key.
    pub record_key: &'static str,
    /// What unfinished records may take; 0 when there are none.
    pub held: usize,
    /// Clients push to it.
    pub pushed: bool,
    /// Files followed at most.
    pub files: usize,
    /// Other bounded state.
    pub bytes: usize,
}

/// What one source may take at most; no limits by default.
#[derive(Debug, Clone, Copy)]
pub struct Caps {
    /// For records that are not complete yet.
    pub held: usize,
    /// For requests of clients that are not durable yet.
    pub pushed: usize,
}

impl Default for Caps {
    fn default() -> Self {
        Self { held: usize::MAX, pushed: IN_FLIGHT_BYTES }
    }
}

/// How the memory is divided.
#[derive(Debug, Clone, Copy)]
pub struct Shares {
    /// Of all deliveries together.
    pub deliveries: usize,
    /// Expected size of a frame.
    pub frame: usize,
    /// Of every source's unfinished records, beyond the longest one, times [`HELD_FACTOR`].
    held: usize,
    /// Of every source's pushed requests, beyond the largest one, times [`PUSHED_FACTOR`].
    pushed: usize,
}

impl Shares {
    /// What a source may take. One record or request is always possible.
    pub fn caps(&self, reads: &Reads) -> Caps {
        let beyond = |share: usize, factor: usize| reads.record.saturating_add(share / factor);
        Caps {
            held: beyond(self.held, HELD_FACTOR),
            pushed: beyond(self.pushed, PUSHED_FACTOR).min(IN_FLIGHT_BYTES),
        }
    }

    /// The budget of all deliveries.
    pub fn budget(&self) -> Arc<Budget> {
        Budget::new(self.deliveries)
    }
}

/// The ceiling in effect: the configured one, or [`options::MEMORY_SHARE`] of what the kernel allows.
pub fn ceiling(config: &Config) -> Option<ByteSize> {
    config.memory_max.or_else(|| {
        let limit = cgroup::limit(Path::new("/proc/self/cgroup"), Path::new("/sys/fs/cgroup"))?;
        let (share, of) = options::MEMORY_SHARE;
        Some(ByteSize::new(limit / of * share))
    })
}

/// How a ceiling is divided; without one nothing is limited. Below the least the configuration takes
/// everything gets its least.
pub fn shares(config: &Config, ceiling: Option<ByteSize>) -> Shares {
    let frame = frame(config);
    let Some(ceiling) = ceiling else {
        return Shares { deliveries: usize::MAX, frame, held: usize::MAX, pushed: usize::MAX };
    };
    let spare = ceiling.bytes().saturating_sub(least(config));
    let reads: Vec<Reads> = config.sources.values().map(|source| source.memory()).collect();
    let each = |reading: usize| spare / 4 / reading.max(1);
    let wanted = |reads: &Reads| HELD_FACTOR * reads.held.saturating_sub(reads.record);
    let holding = reads.iter().filter(|reads| reads.held > 0);
    let most = holding.clone().map(wanted).max().unwrap_or(0);
    let held = each(holding.clone().count()).min(most);
    let pushing = reads.iter().filter(|reads| reads.pushed).count();
    let pushed = each(pushing);
    let deliveries =
        config.sinks.values().map(|sink| sink.settings.memory(config).with(frame)).sum::<usize>();
    let left = spare.saturating_sub(held * holding.count() + pushed * pushing);
    Shares { deliveries: deliveries.saturating_add(left), frame, held, pushed }
}

/// Refuses a ceiling that can't be kept.
///
/// # Errors
/// Names the key that takes most.
pub fn check(config: &Config, ceiling: ByteSize) -> Result<(), Problem> {
    let least = least(config);
    if least <= ceiling.bytes() {
        return Ok(());
    }
    let parts = parts(config);
    let (key, bytes) = parts.iter().max_by_key(|(_, bytes)| bytes).map_or(("", 0), |(key, b)| (key, *b));
    let advice = match key {
        "" => "raise it".to_owned(),
        key => format!("raise it, or change {key}, which makes {} of that", megabytes(bytes)),
    };
    let message = format!(
        "{} is less than the {} this configuration takes at least; {advice}",
        megabytes(ceiling.bytes()),
        megabytes(least)
    );
    Err(problem("memory_max", message))
}

fn megabytes(bytes: usize) -> String {
    format!("{}MiB", bytes.div_ceil(MIB))
}

/// The least a configuration takes: everything once.
pub fn least(config: &Config) -> usize {
    BASE_BYTES + parts(config).iter().map(|(_, bytes)| bytes).sum::<usize>()
}

/// The longest record, with the source it comes from.
fn record(config: &Config) -> Option<(String, usize)> {
    let records = config.sources.iter().map(|(name, source)| {
        let reads = source.memory();
        (format!("sources.{name}.{}", reads.record_key), reads.record)
    });
    records.max_by_key(|(_, bytes)| *bytes)
}

/// Bytes of a frame, as text.
fn frame(config: &Config) -> usize {
    config.batch.max_bytes.bytes() + record(config).map_or(0, |(_, bytes)| bytes)
}

/// What the configuration takes at least, by the key that makes it so.
fn parts(config: &Config) -> Vec<(String, usize)> {
    let lanes = crate::graph::lanes(config).len();
    let mut frames = config.sources.len() + BATCHES + 2 * lanes;
    let mut parts = Vec::new();
    for (name, sink) in &config.sinks {
        let takes = sink.settings.memory(config);
        frames += takes.frames;
        parts.push((format!("sinks.{name}.{}", takes.key), takes.bytes));
    }
    for (name, source) in &config.sources {
        let reads = source.memory();
        let factor = HELD_FACTOR * usize::from(reads.held > 0) + PUSHED_FACTOR * usize::from(reads.pushed);
        parts.push((format!("sources.{name}.{}", reads.record_key), factor * reads.record));
        parts.push((format!("sources.{name}.max_open_files"), reads.files * FILE_BYTES + reads.bytes));
    }
    parts.push(("batch.max_bytes".to_owned(), frames * config.batch.max_bytes.bytes()));
    let level = config.segment.compression_level;
    parts.push(("segment.compression_level".to_owned(), lanes * zstd_bytes(level)));
    if config.admin.tap {
        parts.push(("admin.tap".to_owned(), TAP_BYTES));
    }
    // One key may have several reasons.
    if let Some((key, bytes)) = record(config) {
        match parts.iter_mut().find(|(known, _)| *known == key) {
            Some((_, part)) => *part += frames * bytes,
            None => parts.push((key, frames * bytes)),
        }
    }
    parts
}

/// Tables of one compressor for inputs of a megabyte or two, rounded up.
fn zstd_bytes(level: i32) -> usize {
    match level {
        ..=3 => 2 * MIB,
        4..=12 => 12 * MIB,
        _ => 48 * MIB,
    }
}

#[cfg(test)]
mod tests;
