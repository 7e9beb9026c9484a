//! Lines to records: joins partial lines and, when asked to, lines of stack traces; splits or
//! truncates oversized ones; keeps what is not in the runtime's format; and skips after a restart
//! what was handed over before it.
//!
//! State is kept per file and standard stream; nothing is ever joined across files. No timer ends a
//! partial record: only its last part, the size limit, or the end of the file does. A record of
//! several whole lines also ends when nothing came for its timeout.

mod group;
mod options;
mod part;

use super::{cri, docker};
use crate::batch::{Batch, Cut, Encoding, Record, Span};
use crate::budget::{Budget, Lease};
use crate::multiline::Rules;
use crate::position::{Open, Position};
use crate::stream::Stdio;
use group::Group;
pub use options::Options;
use part::{Part, Partial, Text};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Time given to a line without one at the start of a file.
const NO_TIME: &str = "1970-01-01T00:00:00Z";

/// A buffer larger than this is given back after an oversized record.
const KEEP_BYTES: usize = 64 * 1024;

/// What was noticed while assembling; added to metrics per batch, not per line.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Noted {
    /// Lines not in the runtime's format, kept as they were.
    pub malformed: u64,
    /// Records cut in pieces because they were too long.
    pub split: u64,
    /// Records whose end was dropped because they were too long.
    pub truncated: u64,
    /// Records ended by the end of their file instead of an `F` line or a newline.
    pub unterminated: u64,
    /// Lines that became part of a record of several lines.
    pub joined: u64,
    /// Records of a standard stream that is skipped.
    pub excluded: u64,
}

/// A window of file bytes that lies in the batch's data arena.
#[derive(Debug, Clone, Copy)]
pub struct Window {
    /// Start in the arena.
    pub start: usize,
    /// End in the arena.
    pub end: usize,
    /// File offset of `start`.
    pub offset: u64,
}

/// The state of one file between reads.
#[derive(Debug)]
pub struct Assembler {
    options: Options,
    groups: [Group; 2],
    replay_group: [Option<u64>; 2],
    partials: [Partial; 2],
    /// What the partial records take of the budget.
    leases: [Lease; 2],
    long_line: Option<(u64, Stdio)>,
    time: Vec<u8>,
    replay_to: u64,
    replay_open: [Option<Open>; 2],
    /// Counts since the last `take_noted`.
    noted: Noted,
}

impl Assembler {
    /// State for a file that is read from the start.
    pub fn new(options: impl Into<Options>) -> Self {
        let options = options.into();
        let leases = [options.held.lease(), options.held.lease()];
        Self {
            options,
            leases,
            groups: [Group::default(), Group::default()],
            replay_group: [None; 2],
            partials: [Partial::default(), Partial::default()],
            long_line: None,
            time: Vec::new(),
            replay_to: 0,
            replay_open: [None; 2],
            noted: Noted::default(),
        }
    }

    /// Other rules for records that begin from now on, and other standard streams to skip. What is
    /// held of a stream that is skipped from now on goes with it.
    pub fn set_wishes(&mut self, wishes: Options) {
        let Options { rules, skip, .. } = wishes;
        for stdio in [Stdio::Stdout, Stdio::Stderr] {
            let index = stdio.index();
            if skip[index] && !self.options.skip[index] {
                // A record in parts is counted with its last one.
                self.noted.excluded += self.groups[index].lines();
                self.partials[index] = Partial::default();
                self.leases[index].clear();
                self.groups[index] = Group::default();
            }
        }
        (self.options.rules, self.options.skip) = (rules, skip);
    }

    fn is_skipped(&self, stdio: Stdio) -> bool {
        self.options.skip.get(stdio.index()).copied().unwrap_or(false)
    }

    /// State for a file that is read again from `position.resume_at()`.
    pub fn resume(options: impl Into<Options>, position: &Position) -> Self {
        let mut assembler = Self::new(options);
        assembler.replay_to = position.to;
        assembler.time = position.time.clone().into_bytes();
        for open in &position.open {
            let index = open.stdio.index();
            if open.group {
                if let Some(slot) = assembler.replay_group.get_mut(index) {
                    *slot = Some(open.start);
                }
            } else if let Some(slot) = assembler.replay_open.get_mut(index) {
                *slot = Some(*open);
            }
        }
        assembler
    }

    /// Records that are open now: partial ones, and those of several lines.
    pub fn open(&self) -> Vec<Open> {
        let mut all = Vec::new();
        for stdio in [Stdio::Stdout, Stdio::Stderr] {
            if let Some(start) = self.groups[stdio.index()].start() {
                all.push(Open { stdio, start, split: false, group: true });
            }
            let partial = &self.partials[stdio.index()];
            if partial.open {
                all.push(Open { stdio, start: partial.start, split: partial.split, group: false });
            }
        }
        all
    }

    /// When the first record of several lines is complete unless it grows; none without one.
    pub fn due(&self) -> Option<Instant> {
        self.groups.iter().filter_map(Group::touched).min().map(|touched| touched + self.options.timeout)
    }

    /// Hands over records of several lines that did not grow for their timeout. True when there
    /// were any.
    pub fn expire(
        &mut self,
        batch: &mut Batch,
        now: Instant,
        stream_of: &mut impl FnMut(&mut Batch, Stdio) -> u32,
    ) -> bool {
        let mut any = false;
        for stdio in [Stdio::Stdout, Stdio::Stderr] {
            let touched = self.groups[stdio.index()].touched();
            if touched.is_some_and(|touched| now >= touched + self.options.timeout) {
                self.close_group(batch, stdio, stream_of);
                any = true;
            }
        }
        any
    }

    /// Start of the oversized physical line that is being read.
    pub fn long_line(&self) -> Option<u64> {
        self.long_line.map(|(start, _)| start)
    }

    /// Last time seen.
    pub fn time(&self) -> String {
        String::from_utf8_lossy(&self.time).into_owned()
    }

    /// Counts since the last call.
    pub fn take_noted(&mut self) -> Noted {
        std::mem::take(&mut self.noted)
    }

    /// Takes all complete lines of a window; returns how many bytes they were. `stream_of` gives
    /// the batch's stream number for a standard stream.
    pub fn lines(
        &mut self,
        batch: &mut Batch,
        window: Window,
        stream_of: &mut impl FnMut(&mut Batch, Stdio) -> u32,
    ) -> usize {
        let mut at = window.start;
        let Some(last) = memchr::memrchr(b'\n', &batch.data[window.start..window.end]) else {
            return 0;
        };
        let stop = window.start + last + 1;
        if self.options.plain {
            self.stamp();
        }
        let valid = simdutf8::basic::from_utf8(&batch.data[window.start..stop]).is_ok();
        let encoding = if valid { Encoding::Utf8 } else { Encoding::Unchecked };
        while at < stop {
            // The last byte of the range is a newline, so one is always found.
            let end = memchr::memchr(b'\n', &batch.data[at..stop]).map_or(stop - 1, |i| at + i);
            self.line(batch, at, end, window.offset + (at - window.start) as u64, encoding, stream_of);
            at = end + 1;
        }
        stop - window.start
    }

    /// Takes a window without any newline that is as long as a line may be: the next piece of an
    /// oversized physical line.
    pub fn long_piece(
        &mut self,
        batch: &mut Batch,
        window: Window,
        stream_of: &mut impl FnMut(&mut Batch, Stdio) -> u32,
    ) {
        let piece = Piece { start: window.start, end: window.end, offset: window.offset, split: true };
        if let Some((_, stdio)) = self.long_line {
            if !self.options.truncate && !self.is_skipped(stdio) {
                self.raw(batch, piece, stdio, stream_of);
            }
            return;
        }
        // Its first piece carries the header; lines are cut at multiples of the limit from their
        // start, so that a second reading cuts them the same way.
        if self.options.plain {
            self.stamp();
        }
        let header = cri::parse(&batch.data[window.start..window.end]).filter(|_| !self.options.plain);
        let stdio = match header {
            Some(line) if self.is_skipped(line.stdio) => {
                self.noted.excluded += u64::from(window.offset >= self.replay_to);
                line.stdio
            }
            Some(line) => {
                self.emit_partial(batch, line.stdio, Cut::Split, stream_of);
                self.close_group(batch, line.stdio, stream_of);
                self.long_first(batch, window, line, stream_of);
                line.stdio
            }
            None => {
                self.malformed(batch, piece, stream_of);
                Stdio::Unknown
            }
        };
        self.long_line = Some((window.offset, stdio));
    }

    fn long_first(
        &mut self,
        batch: &mut Batch,
        window: Window,
        line: cri::Line,
        stream_of: &mut impl FnMut(&mut Batch, Stdio) -> u32,
    ) {
        if window.offset >= self.replay_to {
            let cut = self.cut();
            self.note_time(&batch.data[window.start..window.start + line.time_len]);
            let stream = stream_of(batch, line.stdio);
            batch.records.push(Record {
                stream,
                encoding: Encoding::Unchecked,
                cut,
                offset: window.offset,
                time: Span::data(window.start, window.start + line.time_len),
                body: Span::data(window.start + line.content, window.end),
                extra: Span::default(),
            });
        }
    }

    /// The end of a file to which nobody will write again: `window` is what follows its last
    /// newline, and open partial records get no `F` line any more. Both are kept as they are.
    pub fn finish(
        &mut self,
        batch: &mut Batch,
        window: Window,
        stream_of: &mut impl FnMut(&mut Batch, Stdio) -> u32,
    ) {
        if window.end > window.start {
            if self.options.plain {
                self.stamp();
            }
            self.noted.unterminated += 1;
            self.line(batch, window.start, window.end, window.offset, Encoding::Unchecked, stream_of);
        }
        self.long_line = None;
        for stdio in [Stdio::Stdout, Stdio::Stderr] {
            if self.partials[stdio.index()].open {
                self.noted.unterminated += 1;
                let cut = self.partials[stdio.index()].cut();
                self.emit_partial(batch, stdio, cut, stream_of);
            }
            self.close_group(batch, stdio, stream_of);
        }
    }

    /// Counts an oversized record and says how it is marked.
    fn cut(&mut self) -> Cut {
        if self.options.truncate {
            self.noted.truncated += 1;
            Cut::Truncated
        } else {
            self.noted.split += 1;
            Cut::Split
        }
    }

    fn line(
        &mut self,
        batch: &mut Batch,
        start: usize,
        end: usize,
        offset: u64,
        encoding: Encoding,
        stream_of: &mut impl FnMut(&mut Batch, Stdio) -> u32,
    ) {
        if let Some((_, stdio)) = self.long_line.take() {
            if end > start && !self.options.truncate && !self.is_skipped(stdio) {
                self.raw(batch, Piece { start, end, offset, split: true }, stdio, stream_of);
            }
            return;
        }
        let part = if self.options.plain {
            let end = if batch.data[start..end].ends_with(b"\r") { end - 1 } else { end };
            let content = Text::Data(Span::data(start, end));
            let time = Text::Own(self.time.clone());
            Part { stdio: Stdio::Stdout, partial: false, offset, encoding, time, content }
        } else if let Some(line) = cri::parse(&batch.data[start..end]) {
            let time = Text::Data(Span::data(start, start + line.time_len));
            let content = Text::Data(Span::data(start + line.content, end));
            Part { stdio: line.stdio, partial: line.partial, offset, encoding, time, content }
        } else if let Some(line) = docker::parse(&batch.data[start..end]) {
            let (time, content) = (Text::Own(line.time().to_vec()), Text::Own(line.content().to_vec()));
            let encoding = Encoding::Utf8;
            Part { stdio: line.stdio(), partial: line.partial(), offset, encoding, time, content }
        } else {
            self.malformed(batch, Piece { start, end, offset, split: false }, stream_of);
            return;
        };
        self.part(batch, part, stream_of);
    }

    fn part(&mut self, batch: &mut Batch, part: Part, stream_of: &mut impl FnMut(&mut Batch, Stdio) -> u32) {
        let index = part.stdio.index();
        if self.is_skipped(part.stdio) {
            // A record is as many parts as it takes to the last one.
            self.noted.excluded += u64::from(!part.partial && part.offset >= self.replay_to);
            return;
        }
        if part.offset < self.replay_to {
            // Handed over before the restart, unless it belongs to a record that was still open.
            let of_partial = self.replay_open[index].filter(|open| part.offset >= open.start);
            let of_group = self.replay_group[index].is_some_and(|start| part.offset >= start);
            if let Some(open) = of_partial {
                self.partials[index].split |= open.split && part.offset == open.start;
            } else if !of_group {
                return;
            }
        }
        if part.partial || self.partials[index].open || self.partials[index].split {
            self.join(batch, &part, stream_of);
            return;
        }
        if part.offset >= self.replay_to {
            self.note_time(part.time.bytes(batch));
        }
        let record = Record {
            stream: 0,
            encoding: part.encoding,
            cut: Cut::No,
            offset: part.offset,
            time: part.time.span(batch),
            body: part.content.span(batch),
            extra: Span::default(),
        };
        self.hand_over(batch, part.stdio, record, stream_of);
    }

    /// Adds a part to the open partial record.
    fn join(&mut self, batch: &mut Batch, part: &Part, stream_of: &mut impl FnMut(&mut Batch, Stdio) -> u32) {
        let (index, max) = (part.stdio.index(), self.options.max);
        let more = part.content.bytes(batch).len();
        // What was held before a restart is held again, so that it is cut where it was cut then.
        let replayed = part.offset < self.replay_to;
        let mut full = self.partials[index].body.len() + more > max;
        // Nothing follows the beginning of a record that was cut there.
        let over = self.partials[index].truncated;
        let granted = !full && !replayed && !over && self.leases[index].grow(more);
        full |= !granted && !replayed;
        if self.partials[index].open && full && !self.options.truncate {
            self.noted.split += u64::from(!self.partials[index].split);
            self.emit_partial(batch, part.stdio, Cut::Split, stream_of);
            self.partials[index].split = true;
        }
        if part.offset >= self.replay_to {
            self.note_time(part.time.bytes(batch));
        }
        let partial = &mut self.partials[index];
        if !partial.open {
            partial.open = true;
            partial.start = part.offset;
            partial.time.clear();
            partial.time.extend_from_slice(part.time.bytes(batch));
        }
        let content = part.content.bytes(batch);
        let room = match self.options.truncate {
            true if over => 0,
            // Its beginning is all that is wanted; without a budget it ends where it is.
            true if full && !granted && !partial.body.is_empty() => {
                let room = max.saturating_sub(partial.body.len()).min(more);
                if self.leases[index].grow(room) { room } else { 0 }
            }
            true => max.saturating_sub(partial.body.len()),
            false => content.len(),
        };
        if !granted && (!full || partial.body.is_empty()) {
            // One part has to be held whatever the budget says.
            self.leases[index].force(room.min(more));
        }
        if room < content.len() {
            self.noted.truncated += u64::from(!partial.truncated);
            partial.truncated = true;
        }
        partial.body.extend_from_slice(&content[..room.min(content.len())]);
        if !part.partial {
            let cut = partial.cut();
            self.emit_partial(batch, part.stdio, cut, stream_of);
        }
    }

    /// Hands over an open partial record, if there is one.
    fn emit_partial(
        &mut self,
        batch: &mut Batch,
        stdio: Stdio,
        cut: Cut,
        stream_of: &mut impl FnMut(&mut Batch, Stdio) -> u32,
    ) {
        let partial = &mut self.partials[stdio.index()];
        partial.split = false;
        partial.truncated = false;
        if !std::mem::take(&mut partial.open) {
            return;
        }
        let record = Record {
            stream: 0,
            encoding: Encoding::Unchecked,
            cut,
            offset: partial.start,
            time: batch.push(&partial.time),
            body: batch.push(&partial.body),
            extra: Span::default(),
        };
        partial.body.clear();
        partial.body.shrink_to(KEEP_BYTES);
        self.leases[stdio.index()].clear();
        self.hand_over(batch, stdio, record, stream_of);
    }

    /// Puts a whole record into the batch, or into the record of several lines it belongs to.
    fn hand_over(
        &mut self,
        batch: &mut Batch,
        stdio: Stdio,
        record: Record,
        stream_of: &mut impl FnMut(&mut Batch, Stdio) -> u32,
    ) {
        let whole = record.cut == Cut::No;
        if let Some(rules) = self.options.rules.clone().filter(|_| whole) {
            let group = &mut self.groups[stdio.index()];
            let replayed = record.offset < self.replay_to;
            if group.take_in(&self.options, batch, &record, replayed) {
                if group.is_complete() {
                    self.close_group(batch, stdio, stream_of);
                }
                return;
            }
            self.close_group(batch, stdio, stream_of);
            if self.groups[stdio.index()].begin(&rules, &self.options, batch, &record) {
                return;
            }
        } else {
            self.close_group(batch, stdio, stream_of);
        }
        let stream = stream_of(batch, stdio);
        batch.records.push(Record { stream, ..record });
    }

    fn close_group(
        &mut self,
        batch: &mut Batch,
        stdio: Stdio,
        stream_of: &mut impl FnMut(&mut Batch, Stdio) -> u32,
    ) {
        let Some(group) = self.groups.get_mut(stdio.index()).filter(|group| group.start().is_some()) else {
            return;
        };
        let stream = stream_of(batch, stdio);
        self.noted.joined += group.close(batch, stream);
    }

    /// Lines without a time get that of reading them.
    fn stamp(&mut self) {
        let now = chrono::Utc::now().to_rfc3339_opts(chrono::SecondsFormat::Micros, true);
        self.note_time(now.as_bytes());
    }

    fn note_time(&mut self, time: &[u8]) {
        self.time.clear();
        self.time.extend_from_slice(time);
    }

    fn malformed(
        &mut self,
        batch: &mut Batch,
        piece: Piece,
        stream_of: &mut impl FnMut(&mut Batch, Stdio) -> u32,
    ) {
        if piece.offset >= self.replay_to {
            self.noted.malformed += u64::from(!self.options.plain);
            if piece.split {
                self.cut();
            }
        }
        self.raw(batch, piece, Stdio::Unknown, stream_of);
    }

    /// A piece of a file as a record of its own, with the last time seen.
    fn raw(
        &mut self,
        batch: &mut Batch,
        piece: Piece,
        stdio: Stdio,
        stream_of: &mut impl FnMut(&mut Batch, Stdio) -> u32,
    ) {
        if piece.offset < self.replay_to {
            return;
        }
        let stream = stream_of(batch, stdio);
        let time = if self.time.is_empty() { NO_TIME.as_bytes() } else { &self.time[..] };
        let time_start = batch.joined.len();
        batch.joined.extend_from_slice(time);
        let body_start = batch.joined.len();
        batch.joined.extend_from_slice(&batch.data[piece.start..piece.end]);
        batch.records.push(Record {
            stream,
            encoding: Encoding::Unchecked,
            cut: match piece.split {
                true if self.options.truncate => Cut::Truncated,
                true => Cut::Split,
                false => Cut::No,
            },
            offset: piece.offset,
            time: Span::joined(time_start, body_start),
            body: Span::joined(body_start, batch.joined.len()),
            extra: Span::default(),
        });
    }
}

/// A stretch of the data arena that becomes a record as it is.
#[derive(Debug, Clone, Copy)]
struct Piece {
    start: usize,
    end: usize,
    offset: u64,
    split: bool,
}

#[cfg(test)]
mod tests;
