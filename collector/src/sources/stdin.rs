//! Source `stdin`: lines of standard input, for pipes and one-off loads.
//!
//! The end of the input ends the source, and with the last source the collector: it delivers what
//! it has and exits. Nothing can be read a second time, so a crash loses what was not yet synced;
//! logs that matter belong into a file.

use super::{SourceConfig, Wiring};
use crate::batch::{Batch, Cut, Encoding, Record, Span};
use crate::config::component::{Problem, Row, Settings, within};
use crate::config::{ByteSize, options};
use crate::memory::Reads;
use crate::sources::received::{identity, time_of};
use crate::stream::Stream;
use logq_schemas::landing;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::time::Instant;

/// Bytes read at a time: what a pipe holds.
const PIECE_BYTES: usize = 64 * 1024;

/// Longest wait for input before the thread looks at its timers, in nanoseconds.
const TICK_NANOSECONDS: i64 = 50_000_000;

/// Settings of the source.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StdinSettings {
    /// Longest record; longer lines are delivered in pieces.
    #[serde(default = "line_bytes")]
    pub max_line_bytes: ByteSize,
}

fn line_bytes() -> ByteSize {
    ByteSize::new(options::LINE_BYTES)
}

impl Settings for StdinSettings {
    const KIND: &'static str = "stdin";
    const ABOUT: &'static str = "Lines of standard input. When it ends and no other source is left, the collector delivers what it has and exits.";

    fn options() -> Vec<Row> {
        let size = options::size(options::LINE_BYTES);
        vec![("max_line_bytes", size, "Longest record; longer lines are delivered in pieces")]
    }

    fn check(&self, key: &str) -> Result<(), Problem> {
        within(&format!("{key}.max_line_bytes"), self.max_line_bytes, options::LINE_BYTES_RANGE)
    }
}

impl SourceConfig for StdinSettings {
    fn exclusive(&self) -> Vec<(&'static str, String)> {
        vec![("type", "standard input".to_owned())]
    }

    fn memory(&self) -> Reads {
        let record = self.max_line_bytes.bytes();
        Reads { record, record_key: "max_line_bytes", ..Reads::default() }
    }

    fn run(&self, wiring: Wiring) {
        // A descriptor of our own: what the standard library buffers would be lost with a reload.
        let input = match io::stdin().as_fd().try_clone_to_owned() {
            Ok(descriptor) => Input { file: File::from(descriptor), piece: vec![0; PIECE_BYTES] },
            Err(error) => return tracing::error!(%error, "no standard input, taken as its end"),
        };
        let start = time_of(0);
        let id = identity(&[wiring.name.as_bytes(), start.as_bytes(), &std::process::id().to_le_bytes()]);
        let about = landing::Stream { id, source: wiring.name.clone(), ..landing::Stream::default() };
        let lines = Lines::new(Arc::new(Stream::new(about)), self.max_line_bytes.bytes());
        read(input, lines, &wiring);
    }
}

/// Standard input, read without waiting longer than a tick.
struct Input {
    file: File,
    piece: Vec<u8>,
}

/// What a tick brought.
enum Came {
    Nothing,
    /// As many bytes of the piece.
    Bytes(usize),
    End,
}

impl Input {
    /// Waits for input, reads it once. Only a process that shares the pipe and is faster can make
    /// the read wait.
    fn next(&mut self) -> Came {
        match self.try_next() {
            Ok(came) => came,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Came::Nothing,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Came::Nothing,
            Err(error) => {
                tracing::error!(%error, "standard input can't be read, taken as its end");
                Came::End
            }
        }
    }

    fn try_next(&mut self) -> io::Result<Came> {
        let tick = Timespec { tv_sec: 0, tv_nsec: TICK_NANOSECONDS };
        if poll(&mut [PollFd::new(&self.file, PollFlags::IN)], Some(&tick))? == 0 {
            return Ok(Came::Nothing);
        }
        Ok(match self.file.read(&mut self.piece)? {
            0 => Came::End,
            n => Came::Bytes(n),
        })
    }
}

fn read(mut input: Input, mut lines: Lines, wiring: &Wiring) {
    let mut since = Instant::now();
    loop {
        wiring.progress.beat();
        let came = input.next();
        if let Came::Bytes(n) = came {
            wiring.progress.set_idle(false);
            lines.add(&input.piece[..n]);
        }
        let ended = matches!(came, Came::End);
        let stop = ended || wiring.stop.is_cancelled();
        if stop {
            lines.end(!ended);
        }
        let full = lines.batch.joined.len() >= wiring.limits.max_bytes.bytes();
        if full || stop || since.elapsed() >= wiring.limits.timeout_secs.duration() {
            since = Instant::now();
            let batch = std::mem::replace(&mut lines.batch, wiring.empty.try_recv().unwrap_or_default());
            if !batch.records.is_empty() {
                let metrics = &wiring.metrics;
                metrics.source_records.inc_by(batch.records.len() as u64);
                metrics.source_read_bytes.inc_by(batch.raw_bytes);
                metrics.batch_queued_bytes.inc_by(i64::try_from(batch.raw_bytes).unwrap_or(i64::MAX));
                wiring.progress.set_waiting(true);
                let sent = wiring.output.send(batch);
                wiring.progress.set_waiting(false);
                if sent.is_err() {
                    return;
                }
            }
            wiring.progress.set_idle(lines.pending.is_empty());
        }
        if stop {
            wiring.progress.set_idle(true);
            // An ended source must not look dead beside others that go on.
            wiring.progress.set_waiting(true);
            return;
        }
    }
}

/// Cuts pieces of input into records.
struct Lines {
    stream: Arc<Stream>,
    most: usize,
    batch: Batch,
    /// The line that has no end yet.
    pending: Vec<u8>,
    /// Pieces of this line were handed over already.
    split: bool,
    /// Where `pending` begins in the input.
    offset: u64,
}

impl Lines {
    fn new(stream: Arc<Stream>, most: usize) -> Self {
        Self { stream, most, batch: Batch::default(), pending: Vec::new(), split: false, offset: 0 }
    }

    fn add(&mut self, mut piece: &[u8]) {
        while !piece.is_empty() {
            let room = self.most.saturating_sub(self.pending.len()).max(1);
            let window = &piece[..piece.len().min(room)];
            if let Some(end) = memchr::memchr(b'\n', window) {
                self.pending.extend_from_slice(&window[..end]);
                self.record(false, 1);
                piece = &piece[end + 1..];
            } else {
                self.pending.extend_from_slice(window);
                piece = &piece[window.len()..];
                if self.pending.len() >= self.most {
                    self.record(true, 0);
                }
            }
        }
    }

    /// Nothing more is read: what has no newline is a line too, or a piece of one that goes on.
    fn end(&mut self, more: bool) {
        if !self.pending.is_empty() {
            self.record(more, 0);
        }
    }

    fn record(&mut self, more: bool, newline: u64) {
        let taken = self.pending.len() as u64 + newline;
        let split = std::mem::replace(&mut self.split, more);
        // The rest of a split line may be nothing but its newline.
        if !(split && self.pending.is_empty()) {
            if self.batch.streams.is_empty() {
                self.batch.streams.push(self.stream.clone());
            }
            let time = self.batch.push(time_of(0).as_bytes());
            let body = self.batch.push(self.pending.strip_suffix(b"\r").unwrap_or(&self.pending));
            let cut = if split || more { Cut::Split } else { Cut::No };
            self.batch.records.push(Record {
                stream: 0,
                encoding: Encoding::Unchecked,
                cut,
                offset: self.offset,
                time,
                body,
                extra: Span::default(),
            });
        }
        self.batch.raw_bytes += taken;
        self.offset += taken;
        self.pending.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bodies(pieces: &[&[u8]]) -> Vec<(u64, Cut, Vec<u8>)> {
        let mut lines = Lines::new(Arc::new(Stream::new(landing::Stream::default())), 8);
        pieces.iter().for_each(|piece| lines.add(piece));
        lines.end(false);
        let batch = &lines.batch;
        batch.records.iter().map(|r| (r.offset, r.cut, batch.bytes(r.body).to_vec())).collect()
    }

    proptest::proptest! {
        #[test]
        fn pieces_of_any_size_give_the_same_records(
            text in "[a-c\r\n]{0,80}",
            at in proptest::collection::vec(0usize..80, 0..6),
        ) {
            let whole = text.as_bytes();
            let mut at: Vec<usize> = at.into_iter().map(|n| n.min(whole.len())).collect();
            at.sort_unstable();
            let mut pieces = Vec::new();
            let mut from = 0;
            for to in at.into_iter().chain([whole.len()]) {
                pieces.push(&whole[from..to]);
                from = to;
            }
            proptest::prop_assert_eq!(bodies(&pieces), bodies(&[whole]));
        }
    }

    #[test]
    fn a_long_line_comes_in_marked_pieces_and_the_last_needs_no_newline() {
        let expected = vec![
            (0, Cut::Split, b"12345678".to_vec()),
            (8, Cut::Split, b"9".to_vec()),
            (10, Cut::No, vec![]),
            (11, Cut::No, b"x".to_vec()),
        ];
        assert_eq!(bodies(&[b"123456789\n\nx"]), expected);
    }
}
