//! Lines to records: joins partial lines, splits oversized ones, keeps what is not in the
//! runtime's format, and skips after a restart what was handed over before it.
//!
//! Partial state is kept per file and standard stream; nothing is ever joined across files, and no
//! timer ends a record: only its `F` line, the size limit, or the end of the file does.

use super::cri;
use crate::batch::{Batch, Cut, Encoding, Record, Span};
use crate::position::{Open, Position};
use crate::stream::Stdio;

/// Time given to a line without one at the start of a file.
const NO_TIME: &str = "1970-01-01T00:00:00Z";

/// A buffer larger than this is given back after an oversized record.
const KEEP_BYTES: usize = 64 * 1024;

#[derive(Debug, Default)]
struct Partial {
    open: bool,
    start: u64,
    split: bool,
    time: Vec<u8>,
    body: Vec<u8>,
}

/// What was noticed while assembling; added to metrics per batch, not per line.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Noted {
    /// Lines not in the runtime's format, kept as they were.
    pub malformed: u64,
    /// Records cut in pieces because they were too long.
    pub split: u64,
    /// Records ended by the end of their file instead of an `F` line or a newline.
    pub unterminated: u64,
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
    max: usize,
    partials: [Partial; 2],
    long_line: Option<(u64, Stdio)>,
    time: Vec<u8>,
    replay_to: u64,
    replay_open: [Option<Open>; 2],
    /// Counts since the last `take_noted`.
    noted: Noted,
}

impl Assembler {
    /// State for a file that is read from the start; `max` is the limit of a record in bytes.
    pub fn new(max: usize) -> Self {
        Self {
            max,
            partials: [Partial::default(), Partial::default()],
            long_line: None,
            time: Vec::new(),
            replay_to: 0,
            replay_open: [None; 2],
            noted: Noted::default(),
        }
    }

    /// State for a file that is read again from `position.resume_at()`.
    pub fn resume(max: usize, position: &Position) -> Self {
        let mut assembler = Self::new(max);
        assembler.replay_to = position.to;
        assembler.time = position.time.clone().into_bytes();
        for open in &position.open {
            if let Some(slot) = assembler.replay_open.get_mut(open.stdio.index()) {
                *slot = Some(*open);
            }
        }
        assembler
    }

    /// Partial records that are open now.
    pub fn open(&self) -> Vec<Open> {
        let both = [Stdio::Stdout, Stdio::Stderr].into_iter().zip(&self.partials);
        let open = both.filter(|(_, partial)| partial.open);
        open.map(|(stdio, partial)| Open { stdio, start: partial.start, split: partial.split }).collect()
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
            self.raw(batch, piece, stdio, stream_of);
            return;
        }
        // Its first piece carries the header; lines are cut at multiples of the limit from their
        // start, so that a second reading cuts them the same way.
        let stdio = match cri::parse(&batch.data[window.start..window.end]) {
            Some(line) => {
                self.emit_partial(batch, line.stdio, true, stream_of);
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
            self.noted.split += 1;
            self.note_time(&batch.data[window.start..window.start + line.time_len]);
            let stream = stream_of(batch, line.stdio);
            batch.records.push(Record {
                stream,
                encoding: Encoding::Unchecked,
                cut: Cut::Split,
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
            self.noted.unterminated += 1;
            self.line(batch, window.start, window.end, window.offset, Encoding::Unchecked, stream_of);
        }
        self.long_line = None;
        for stdio in [Stdio::Stdout, Stdio::Stderr] {
            if self.partials[stdio.index()].open {
                self.noted.unterminated += 1;
                let split = self.partials[stdio.index()].split;
                self.emit_partial(batch, stdio, split, stream_of);
            }
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
            if end > start {
                self.raw(batch, Piece { start, end, offset, split: true }, stdio, stream_of);
            }
            return;
        }
        let Some(line) = cri::parse(&batch.data[start..end]) else {
            self.malformed(batch, Piece { start, end, offset, split: false }, stream_of);
            return;
        };
        let index = line.stdio.index();
        if offset < self.replay_to {
            // Handed over before the restart, unless it belongs to a record that was still open.
            match self.replay_open[index] {
                Some(open) if offset >= open.start => {
                    self.partials[index].split |= open.split && offset == open.start;
                }
                _ => return,
            }
        }
        if line.partial || self.partials[index].open || self.partials[index].split {
            self.part(batch, start, end, offset, line, stream_of);
            return;
        }
        self.note_time(&batch.data[start..start + line.time_len]);
        let stream = stream_of(batch, line.stdio);
        batch.records.push(Record {
            stream,
            encoding,
            cut: Cut::No,
            offset,
            time: Span::data(start, start + line.time_len),
            body: Span::data(start + line.content, end),
            extra: Span::default(),
        });
    }

    fn part(
        &mut self,
        batch: &mut Batch,
        start: usize,
        end: usize,
        offset: u64,
        line: cri::Line,
        stream_of: &mut impl FnMut(&mut Batch, Stdio) -> u32,
    ) {
        let index = line.stdio.index();
        let content = start + line.content;
        let full = self.partials[index].body.len() + (end - content) > self.max;
        if self.partials[index].open && full {
            self.noted.split += u64::from(!self.partials[index].split);
            self.emit_partial(batch, line.stdio, true, stream_of);
            self.partials[index].split = true;
        }
        let time = &batch.data[start..start + line.time_len];
        if offset >= self.replay_to {
            self.note_time(time);
        }
        let partial = &mut self.partials[index];
        if !partial.open {
            partial.open = true;
            partial.start = offset;
            partial.time.clear();
            partial.time.extend_from_slice(time);
        }
        partial.body.extend_from_slice(&batch.data[content..end]);
        if !line.partial {
            let split = partial.split;
            self.emit_partial(batch, line.stdio, split, stream_of);
        }
    }

    /// Hands over an open partial record, if there is one.
    fn emit_partial(
        &mut self,
        batch: &mut Batch,
        stdio: Stdio,
        split: bool,
        stream_of: &mut impl FnMut(&mut Batch, Stdio) -> u32,
    ) {
        let partial = &mut self.partials[stdio.index()];
        partial.split = false;
        if !std::mem::take(&mut partial.open) {
            return;
        }
        let stream = stream_of(batch, stdio);
        let start = batch.joined.len();
        batch.joined.extend_from_slice(&partial.time);
        let middle = batch.joined.len();
        batch.joined.extend_from_slice(&partial.body);
        batch.records.push(Record {
            stream,
            encoding: Encoding::Unchecked,
            cut: if split { Cut::Split } else { Cut::No },
            offset: partial.start,
            time: Span::joined(start, middle),
            body: Span::joined(middle, batch.joined.len()),
            extra: Span::default(),
        });
        partial.body.clear();
        partial.body.shrink_to(KEEP_BYTES);
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
            self.noted.malformed += 1;
            self.noted.split += u64::from(piece.split);
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
            cut: if piece.split { Cut::Split } else { Cut::No },
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
