//! A record of several lines while it is open.

use super::Options;
use crate::batch::{Batch, Cut, Encoding, Record, Span};
use crate::budget::Lease;
use crate::multiline::{Rules, States, indent};
use std::sync::Arc;
use std::time::Instant;

/// A line held back: where it began, when it was written, and where it ends in the common body.
#[derive(Debug)]
struct Held {
    offset: u64,
    time: Vec<u8>,
    end: usize,
}

#[derive(Debug)]
struct Open {
    /// Those it began by: it also ends by them.
    rules: Arc<Rules>,
    states: States,
    indent: usize,
    lines: Vec<Held>,
    body: Vec<u8>,
    /// Lines that belong to the record for sure; those behind may be records of their own.
    firm: usize,
    last: bool,
    touched: Instant,
    lease: Lease,
}

/// A record of several lines of one file and standard stream, if one is open.
#[derive(Debug, Default)]
pub struct Group(Option<Box<Open>>);

impl Group {
    /// Offset of its first line.
    pub fn start(&self) -> Option<u64> {
        self.0.as_ref().and_then(|open| open.lines.first()).map(|line| line.offset)
    }

    /// Its lines so far.
    pub fn lines(&self) -> u64 {
        self.0.as_ref().map_or(0, |open| open.lines.len() as u64)
    }

    /// When it last grew.
    pub fn touched(&self) -> Option<Instant> {
        self.0.as_ref().map(|open| open.touched)
    }

    /// No further line can belong to it.
    pub fn is_complete(&self) -> bool {
        self.0.as_ref().is_some_and(|open| open.last)
    }

    /// Adds a line; false when it does not belong here, or there is no room for it. One that was held
    /// before a restart (`replayed`) is held again whatever the budget says.
    pub fn take_in(&mut self, options: &Options, batch: &Batch, record: &Record, replayed: bool) -> bool {
        let Some(open) = &mut self.0 else { return false };
        let line = batch.bytes(record.body);
        let room =
            open.body.len() + 1 + line.len() <= options.group_bytes && open.lines.len() < options.group_lines;
        let Some(step) = open.rules.next(open.states, open.indent, line).filter(|_| room) else {
            return false;
        };
        if replayed {
            open.lease.force(1 + line.len());
        } else if !open.lease.grow(1 + line.len()) {
            return false;
        }
        open.body.push(b'\n');
        open.add(batch, record);
        open.states = step.states;
        open.last = step.last;
        if step.firm {
            open.firm = open.lines.len();
        }
        true
    }

    /// Opens a record with a line that may be its first; false when it is none.
    pub fn begin(&mut self, rules: &Arc<Rules>, options: &Options, batch: &Batch, record: &Record) -> bool {
        let line = batch.bytes(record.body);
        let Some(states) = rules.begin(line) else { return false };
        let mut open = Box::new(Open {
            rules: rules.clone(),
            states,
            indent: indent(line),
            lines: Vec::new(),
            body: Vec::new(),
            firm: 1,
            last: false,
            touched: Instant::now(),
            lease: options.held.lease(),
        });
        // A first line is in memory already, and the next one may show that it stands alone.
        open.lease.force(line.len());
        open.add(batch, record);
        self.0 = Some(open);
        true
    }

    /// Hands the record over, and the lines that turned out not to belong to it each on its own.
    /// Gives the number of lines that were joined.
    pub fn close(&mut self, batch: &mut Batch, stream: u32) -> u64 {
        let Some(open) = self.0.take() else { return 0 };
        let firm = open.firm.min(open.lines.len());
        let mut put = |lines: &[Held], start: usize| {
            let (Some(first), Some(last)) = (lines.first(), lines.last()) else { return };
            let (time, body) = (batch.push(&first.time), batch.push(&open.body[start..last.end]));
            batch.records.push(Record {
                stream,
                encoding: Encoding::Unchecked,
                cut: Cut::No,
                offset: first.offset,
                time,
                body,
                extra: Span::default(),
            });
        };
        put(&open.lines[..firm], 0);
        for number in firm..open.lines.len() {
            put(&open.lines[number..=number], open.lines[number - 1].end + 1);
        }
        if firm > 1 { firm as u64 } else { 0 }
    }
}

impl Open {
    fn add(&mut self, batch: &Batch, record: &Record) {
        self.body.extend_from_slice(batch.bytes(record.body));
        let time = batch.bytes(record.time).to_vec();
        self.lines.push(Held { offset: record.offset, time, end: self.body.len() });
        self.touched = Instant::now();
    }
}
