//! A parcel: records that go into one request, encoded.
//!
//! The encoded records lie one behind the other in one buffer. The frames they come from are kept
//! as they are, so that a record that is refused can be put aside without a copy of every record
//! that is not.

use super::Context;
use super::delivery::FrameText;
use crate::config::component::{Problem, Row, problem, within};
use crate::config::{ByteSize, options};
use logq_schemas::landing::Stream;
use serde::{Deserialize, Serialize};
use std::ops::Range;
use std::sync::Arc;

/// Smallest and largest accepted `batch.max_bytes`: a record of 1 KiB should fit, and a request
/// times `request.concurrency` is memory of the node.
const BYTES_RANGE: (usize, usize) = (1 << 10, 16 << 20);
/// Largest accepted `batch.max_events`.
const EVENTS_MAX: usize = 100_000;

/// When a request is full.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Batch {
    /// At this size, before compression. A record that is larger goes alone.
    pub max_bytes: ByteSize,
    /// At this many records.
    pub max_events: usize,
}

impl Default for Batch {
    /// What receivers take without being told to: an ingress in front of most of them refuses
    /// bodies above 1 MiB.
    fn default() -> Self {
        Self { max_bytes: ByteSize::new(1_000_000), max_events: 1000 }
    }
}

impl Batch {
    /// Checks the limits; `key` is the path of the sink.
    ///
    /// # Errors
    /// Names the key that can't work.
    pub fn check(&self, key: &str) -> Result<(), Problem> {
        within(&format!("{key}.batch.max_bytes"), self.max_bytes, BYTES_RANGE)?;
        if (1..=EVENTS_MAX).contains(&self.max_events) {
            return Ok(());
        }
        Err(problem(format!("{key}.batch.max_events"), format!("must be between 1 and {EVENTS_MAX}")))
    }
}

/// The lines of the reference page.
pub fn batch_rows() -> Vec<Row> {
    let batch = Batch::default();
    vec![
        (
            "batch.max_bytes",
            options::size(batch.max_bytes.bytes()),
            "A request is sent at this size, before compression; 1 KiB to 16 MiB",
        ),
        ("batch.max_events", format!("`{}`", batch.max_events), "… and at this many records"),
    ]
}

/// A stream as a sink writes it, made once per segment.
#[derive(Debug)]
pub struct Described {
    /// The stream.
    pub stream: Arc<Stream>,
    /// What the sink wrote for it.
    pub text: Vec<u8>,
}

#[derive(Debug)]
struct Item {
    end: usize,
    described: Arc<Described>,
    frame: Arc<FrameText>,
    number: usize,
}

/// Records that go into one request.
#[derive(Debug, Default)]
pub struct Parcel {
    first: u64,
    bytes: Vec<u8>,
    items: Vec<Item>,
}

impl Parcel {
    /// An empty parcel; `first` is the number its first record will have in the segment.
    pub fn new(first: u64) -> Self {
        Self { first, ..Self::default() }
    }

    /// Number of records.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// No record in it.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// The number in the segment of the record behind `at`.
    pub fn number(&self, at: usize) -> u64 {
        self.first + at as u64
    }

    /// Whether `more` bytes still fit.
    pub fn has_room(&self, more: usize, batch: &Batch) -> bool {
        let bytes = self.bytes.len() + self.items.len() + more;
        self.is_empty() || (self.len() < batch.max_events && bytes <= batch.max_bytes.bytes())
    }

    /// Adds the record that is the `number`th event of `frame`.
    pub fn push(&mut self, encoded: &[u8], described: Arc<Described>, frame: Arc<FrameText>, number: usize) {
        self.bytes.extend_from_slice(encoded);
        self.items.push(Item { end: self.bytes.len(), described, frame, number });
    }

    /// A record as it was encoded.
    pub fn record(&self, at: usize) -> &[u8] {
        let start = at.checked_sub(1).map_or(0, |before| self.items[before].end);
        &self.bytes[start..self.items[at].end]
    }

    /// Size of some records as they were encoded.
    pub fn size(&self, range: Range<usize>) -> usize {
        range.map(|at| self.record(at).len()).sum()
    }

    /// Where a record comes from.
    pub fn described(&self, at: usize) -> &Arc<Described> {
        &self.items[at].described
    }

    /// Puts a record aside that the other end refuses for good.
    pub fn reject(&self, at: usize, reason: &'static str, cx: &Context) {
        let item = &self.items[at];
        if let Some(event) = item.frame.events().nth(item.number) {
            cx.reject(reason, &event);
        }
    }
}
