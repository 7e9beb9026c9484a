//! A batch: many records over shared bytes.
//!
//! A source fills a batch straight from the file (`data`), so a record is only a few numbers that
//! point into it: no allocation and no copy per line. Records that had to be joined from partial
//! lines live in a second arena (`joined`). Per-stream metadata is held once, behind an `Arc`.
//!
//! A batch also carries [`Advance`]s: how far each source file got. Records and advances travel
//! and become durable together, which is what makes a restart neither lose nor repeat a record.

use crate::position::Advance;
use crate::stream::Stream;
use std::sync::Arc;

/// A range within one of the batch's arenas.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Span {
    /// First byte.
    pub start: u32,
    /// Number of bytes.
    pub len: u32,
}

impl Span {
    /// The span `start..end`. Arenas are bounded far below 4 GiB by the configured limits.
    pub fn of(start: usize, end: usize) -> Self {
        let narrow = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        Self { start: narrow(start), len: narrow(end.saturating_sub(start)) }
    }
}

/// Which buffer of the batch a span points into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arena {
    /// Bytes as they were read from the file.
    Data,
    /// Bytes put together from several lines.
    Joined,
}

/// What is known about the encoding of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// Checked: valid UTF-8.
    Utf8,
    /// Not checked yet.
    Unchecked,
}

/// One record: where its time and body are, and where it came from.
#[derive(Debug, Clone, Copy)]
pub struct Record {
    /// Index into [`Batch::streams`].
    pub stream: u32,
    /// The buffer that `time` and `body` point into.
    pub arena: Arena,
    /// What is known about the body's encoding.
    pub encoding: Encoding,
    /// The record is one piece of an oversized line.
    pub split: bool,
    /// Byte offset of the record's first line in its source file.
    pub offset: u64,
    /// RFC 3339 time as the runtime wrote it (plain ASCII, needs no escaping).
    pub time: Span,
    /// The body, unaltered.
    pub body: Span,
}

/// Records moving together, and the file positions they account for.
#[derive(Debug, Default)]
pub struct Batch {
    /// Raw file bytes; only the first `used` are meaningful.
    pub data: Vec<u8>,
    /// Length of the meaningful part of `data`.
    pub used: usize,
    /// Bodies and times joined from several lines.
    pub joined: Vec<u8>,
    /// The records.
    pub records: Vec<Record>,
    /// Streams the records refer to by index.
    pub streams: Vec<Arc<Stream>>,
    /// How far each file got with this batch.
    pub advances: Vec<Advance>,
    /// Bytes of source files that this batch accounts for.
    pub raw_bytes: u64,
}

impl Batch {
    /// Forgets the content and keeps the buffers for the next use, except when one oversized
    /// record blew them up.
    pub fn clear(&mut self, keep_bytes: usize) {
        self.used = 0;
        self.joined.clear();
        self.records.clear();
        self.streams.clear();
        self.advances.clear();
        self.raw_bytes = 0;
        if self.data.len() > keep_bytes {
            self.data.truncate(keep_bytes);
            self.data.shrink_to(keep_bytes);
        }
        self.joined.shrink_to(keep_bytes);
    }

    /// True when there is nothing to hand over: no record and no position.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty() && self.advances.is_empty()
    }

    /// A writable window of `len` bytes behind the used part, grown on demand.
    pub fn window(&mut self, len: usize) -> &mut [u8] {
        let end = self.used + len;
        if self.data.len() < end {
            self.data.resize(end, 0);
        }
        &mut self.data[self.used..end]
    }

    /// The bytes a span of a record points to.
    pub fn bytes(&self, arena: Arena, span: Span) -> &[u8] {
        let arena = match arena {
            Arena::Data => &self.data,
            Arena::Joined => &self.joined,
        };
        let start = span.start as usize;
        arena.get(start..start + span.len as usize).unwrap_or_default()
    }
}
