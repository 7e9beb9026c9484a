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
    /// The buffer it lies in.
    pub arena: Arena,
    /// First byte.
    pub start: u32,
    /// Number of bytes.
    pub len: u32,
}

impl Span {
    /// The span `start..end` of `arena`. Arenas are bounded far below 4 GiB by the configured limits.
    pub fn of(arena: Arena, start: usize, end: usize) -> Self {
        let narrow = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        Self { arena, start: narrow(start), len: narrow(end.saturating_sub(start)) }
    }

    /// The span `start..end` of bytes as they were read.
    pub fn data(start: usize, end: usize) -> Self {
        Self::of(Arena::Data, start, end)
    }

    /// The span `start..end` of bytes that were put together.
    pub fn joined(start: usize, end: usize) -> Self {
        Self::of(Arena::Joined, start, end)
    }

    /// Nothing in it.
    pub fn is_empty(self) -> bool {
        self.len == 0
    }
}

/// Which buffer of the batch a span points into.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Arena {
    /// Bytes as they were read from the file.
    #[default]
    Data,
    /// Bytes put together from several lines, or made by a transform.
    Joined,
}

/// Why a body is not the whole record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Cut {
    /// It is whole.
    #[default]
    No,
    /// It is one piece of an oversized record.
    Split,
    /// What was beyond the size limit is gone.
    Truncated,
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
    /// What is known about the body's encoding.
    pub encoding: Encoding,
    /// Whether the body is whole.
    pub cut: Cut,
    /// Byte offset of the record's first line in its source file.
    pub offset: u64,
    /// RFC 3339 time as the runtime wrote it (plain ASCII, needs no escaping).
    pub time: Span,
    /// The body, unaltered unless a transform was asked to change it.
    pub body: Span,
    /// What transforms found out, as written by [`crate::extra::Extra::encode`]; empty for nothing.
    pub extra: Span,
}

/// Told once everything in a batch is durable; dropped untold when it will not be.
pub type Receipt = tokio::sync::oneshot::Sender<()>;

/// Records moving together, and the file positions they account for.
#[derive(Debug, Default)]
pub struct Batch {
    /// Raw file bytes; only the first `used` are meaningful.
    pub data: Vec<u8>,
    /// Length of the meaningful part of `data`.
    pub used: usize,
    /// Bodies and times joined from several lines.
    pub joined: Vec<u8>,
    /// The records, as the source read them.
    pub records: Vec<Record>,
    /// The records each lane gets, once the batch went through the graph (see [`crate::graph`]).
    pub lanes: Vec<Vec<Record>>,
    /// Streams the records refer to by index.
    pub streams: Vec<Arc<Stream>>,
    /// How far each file got with this batch.
    pub advances: Vec<Advance>,
    /// Bytes of source files that this batch accounts for.
    pub raw_bytes: u64,
    /// Who waits for this batch to be durable. The spool syncs at once when there is any.
    pub receipts: Vec<Receipt>,
}

impl Batch {
    /// Forgets the content and keeps the buffers for the next use, except when one oversized
    /// record blew them up.
    pub fn clear(&mut self, keep_bytes: usize) {
        self.used = 0;
        self.joined.clear();
        self.records.clear();
        self.lanes.iter_mut().for_each(Vec::clear);
        // Passing the graph moved the records into a lane: take their buffer back.
        if let Some(lane) = self.lanes.first_mut().filter(|lane| lane.capacity() > self.records.capacity()) {
            std::mem::swap(lane, &mut self.records);
        }
        self.receipts.clear();
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
        self.records.is_empty() && self.advances.is_empty() && self.receipts.is_empty()
    }

    /// A writable window of `len` bytes behind the used part, grown on demand.
    pub fn window(&mut self, len: usize) -> &mut [u8] {
        let end = self.used + len;
        if self.data.len() < end {
            self.data.resize(end, 0);
        }
        &mut self.data[self.used..end]
    }

    /// The bytes a span points to.
    pub fn bytes(&self, span: Span) -> &[u8] {
        let arena = match span.arena {
            Arena::Data => &self.data,
            Arena::Joined => &self.joined,
        };
        let start = span.start as usize;
        arena.get(start..start + span.len as usize).unwrap_or_default()
    }

    /// Adds bytes that were put together; the way transforms and sources without a file store
    /// what they make.
    pub fn push(&mut self, bytes: &[u8]) -> Span {
        let start = self.joined.len();
        self.joined.extend_from_slice(bytes);
        Span::joined(start, self.joined.len())
    }
}
