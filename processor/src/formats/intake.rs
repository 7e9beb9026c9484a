//! The bookkeeping of one object: counts, rejected records, and the decision whether what does not
//! parse is a bad record of a known format or an object of no known format.
//!
//! While an object is on *probation* (JSON that may or may not hold records), rejected records are
//! held back. The first record of a known source releases them; if none ever comes, they are
//! forgotten and one row stands for the whole object.

use super::{Context, Counts, Object, Output, Rejected};
use logq_schemas::Reason;

/// Most rejected records held back on probation; an object with more and not one good record among
/// them is of no known format.
const HELD_MAX: usize = 4_096;
/// Most bytes of them.
const HELD_BYTES_MAX: usize = 16 << 20;

/// Where a record stands in its object.
#[derive(Debug, Clone, Copy)]
pub struct Place {
    /// Byte offset in the decompressed object.
    pub offset: u64,
    /// Number of the record or line, from 1.
    pub number: u64,
}

/// Counts and output of one object.
pub struct Intake<'a, O: Output> {
    /// The object being read.
    pub object: &'a Object<'a>,
    /// Ingest time and limits.
    pub context: &'a Context<'a>,
    /// Where batches go.
    pub output: &'a mut O,
    /// Counts so far; `records` is derived at the end.
    pub counts: Counts,
    held: Option<Vec<Rejected>>,
    held_bytes: usize,
}

impl<'a, O: Output> Intake<'a, O> {
    /// For one object.
    pub fn new(object: &'a Object<'a>, context: &'a Context<'a>, output: &'a mut O) -> Self {
        Self { object, context, output, counts: Counts::default(), held: None, held_bytes: 0 }
    }

    /// Holds rejected records back from now on.
    pub fn probation(&mut self) {
        self.held = Some(Vec::new());
    }

    /// Whether the object is still on probation.
    pub fn on_probation(&self) -> bool {
        self.held.is_some()
    }

    /// Whether so much was rejected without one good record that the object is of no known format.
    pub fn is_hopeless(&self) -> bool {
        self.held.as_ref().is_some_and(|held| held.len() >= HELD_MAX || self.held_bytes >= HELD_BYTES_MAX)
    }

    /// The format is known: what was held back is rejected for good.
    pub fn confirm(&mut self) {
        for rejected in self.held.take().unwrap_or_default() {
            self.output.rejected(rejected);
        }
    }

    /// Forgets what was held back; returns the first of it.
    pub fn forget(&mut self) -> Option<Rejected> {
        let held = self.held.take().unwrap_or_default();
        self.counts.rejected -= held.len() as u64;
        held.into_iter().next()
    }

    /// Counts a row that was added to a table.
    pub fn row(&mut self, event_time: i64) {
        if self.held.is_some() {
            self.confirm();
        }
        let counts = &mut self.counts;
        counts.rows += 1;
        counts.first_event_time =
            Some(counts.first_event_time.map_or(event_time, |time| time.min(event_time)));
        counts.last_event_time = Some(counts.last_event_time.map_or(event_time, |time| time.max(event_time)));
    }

    /// Counts a record that was already taken in.
    pub fn duplicate(&mut self) {
        self.confirm();
        self.counts.duplicates += 1;
    }

    /// Counts a record that carries no data by its source's definition.
    pub fn skipped(&mut self) {
        self.confirm();
        self.counts.skipped += 1;
    }

    /// Rejects one record.
    pub fn reject(&mut self, reason: Reason, message: impl Into<String>, place: Place, raw: &[u8]) {
        self.reject_at(reason, message.into(), place.offset, Some(place.number), raw);
    }

    /// Rejects the whole object, or what is left of it.
    pub fn reject_object(&mut self, reason: Reason, message: impl Into<String>, offset: u64, raw: &[u8]) {
        self.confirm();
        self.reject_at(reason, message.into(), offset, None, raw);
    }

    fn reject_at(&mut self, reason: Reason, message: String, offset: u64, number: Option<u64>, raw: &[u8]) {
        let cut = raw.len().min(self.context.limits.rejected_bytes_max);
        let rejected = Rejected {
            reason,
            message,
            record_offset: offset,
            record_number: number,
            raw: raw.get(..cut).unwrap_or(&[]).to_vec(),
            raw_bytes: raw.len() as u64,
        };
        self.counts.rejected += 1;
        match &mut self.held {
            Some(held) => {
                self.held_bytes += cut;
                held.push(rejected);
            }
            None => self.output.rejected(rejected),
        }
    }
}
