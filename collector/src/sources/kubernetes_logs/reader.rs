//! One log file being followed through an open descriptor.
//!
//! A plain file is read with positioned reads straight into the batch; what is behind the last
//! newline is simply read again next time, so there is no carry-over buffer. A compressed file is
//! decoded once from the start, skipping what was read before it was compressed.
//!
//! After every read the head of the file is looked at again: if it still carries the same
//! fingerprint the bytes just read belong to this file, otherwise it was truncated underneath and
//! they are dropped unseen.

use super::discover::{Candidate, Key, Stage};
use super::lines::{Assembler, Noted, Options, Window};
use crate::batch::Batch;
use crate::budget::Budget;
use crate::multiline::Multiline;
use crate::position::{self, Advance, Fingerprint, HEAD_BYTES, Position};
use crate::stream::{Meta, Owner, Stdio, Stream};
use flate2::bufread::MultiGzDecoder;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

/// What a read came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Something was read and there may be more.
    More,
    /// Nothing new.
    Idle,
    /// Nothing new, and nobody will write to it any more: call [`Tail::finish`].
    Ended,
    /// The file was truncated or rewritten in place: it is another file now.
    Truncated,
}

/// Sizes a read works with.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Bytes read from a file before the next one gets its turn.
    pub read_bytes: usize,
    /// Longest record.
    pub line_bytes: usize,
    /// How long a file without a writer must be quiet before its end is taken for final.
    pub rotate_wait: Duration,
    /// What is beyond the longest record is dropped and counted, instead of delivered in pieces.
    pub truncate: bool,
    /// Which lines belong together.
    pub multiline: Arc<Multiline>,
    /// Lines are the application's own, without what a container runtime puts before them.
    pub plain: bool,
    /// How files are encoded, when it is not UTF-8.
    pub encoding: Option<&'static encoding_rs::Encoding>,
    /// What records that are not complete yet may take, over all files.
    pub held: Arc<Budget>,
}

impl Limits {
    /// The encoding of a file: the configured one, or what its byte order mark says.
    fn encoding_of(&self, file: &File, gzip: bool) -> io::Result<Option<&'static encoding_rs::Encoding>> {
        if !self.plain || self.encoding.is_some() {
            return Ok(self.encoding);
        }
        let mut start = [0; 3];
        let len = read_full(&mut decoded(file.try_clone()?, gzip, None), &mut start)?;
        io::Seek::rewind(&mut &*file)?;
        Ok(encoding_rs::Encoding::for_bom(&start[..len]).map(|(encoding, _)| encoding))
    }

    fn options(&self, meta: &Meta) -> Options {
        let settings = self.multiline.settings();
        Options {
            max: self.line_bytes,
            truncate: self.truncate,
            rules: self.multiline.rules(meta.hints.multiline.as_deref()),
            timeout: settings.timeout.duration(),
            group_bytes: settings.max_bytes.bytes(),
            group_lines: settings.max_lines,
            plain: self.plain,
            held: self.held.clone(),
            skip: meta.exclude,
        }
    }
}

enum Input {
    Plain(File),
    Gzip(Box<Gzip>),
}

/// A file being followed.
pub struct Tail {
    /// Where it was last seen.
    pub path: PathBuf,
    /// Where it is in its life; `None` when the last scan did not find it (deleted or moved).
    pub stage: Option<Stage>,
    /// Not looked at before this time.
    pub next_look: Instant,
    /// Identity.
    pub id: Fingerprint,
    owner: Arc<Owner>,
    meta: Arc<Meta>,
    key: Key,
    input: Input,
    limits: Limits,
    window: usize,
    offset: u64,
    seen_to: u64,
    modified: SystemTime,
    grew: Instant,
    assembler: Assembler,
    replay_to: u64,
    resumed: Option<Position>,
    reported: u64,
    reset: bool,
    streams: [Option<Arc<Stream>>; 3],
    slots: [Option<(u64, u32)>; 3],
}

/// The first bytes of a file, as far as they identify it.
///
/// `None` when there is not yet enough. A file nobody writes to any more is identified by all it
/// has.
///
/// # Errors
/// When the file can't be opened, read or decoded.
pub fn identify(
    candidate: &Candidate,
    complete: bool,
    limits: &Limits,
) -> io::Result<Option<(File, Fingerprint)>> {
    let file = File::open(&candidate.path)?;
    let metadata = file.metadata()?;
    if (metadata.dev(), metadata.ino()) != candidate.key {
        // Renamed or replaced since the scan: the next scan sees it as it is.
        return Ok(None);
    }
    let mut start = [0u8; HEAD_BYTES];
    let encoding = limits.encoding_of(&file, candidate.gzip)?;
    let len = if candidate.gzip || encoding.is_some() {
        let mut decoder = decoded(file.try_clone()?, candidate.gzip, encoding);
        let len = read_full(&mut decoder, &mut start)?;
        io::Seek::rewind(&mut &file)?;
        len
    } else {
        read_at_full(&file, &mut start, 0)?
    };
    let start = &start[..len];
    let head = match position::head(start) {
        Some(head) => head,
        None if complete && !start.is_empty() => start,
        None => return Ok(None),
    };
    Ok(Some((file, Fingerprint::of(&candidate.owner, head))))
}

impl Tail {
    /// Starts following a file, at `position` when it was read before.
    pub fn new(
        candidate: &Candidate,
        file: File,
        id: Fingerprint,
        position: Option<&Position>,
        limits: Limits,
        meta: Arc<Meta>,
    ) -> Self {
        let reset = position.is_some_and(|position| !candidate.gzip && candidate.size < position.to);
        let position = position.filter(|_| !reset);
        let offset = position.map_or(0, Position::resume_at);
        let options = limits.options(&meta);
        let assembler = match position {
            Some(position) => Assembler::resume(options, position),
            None => Assembler::new(options),
        };
        // It was read a moment ago to identify the file.
        let encoding = limits.encoding_of(&file, candidate.gzip).unwrap_or(limits.encoding);
        let input = if candidate.gzip || encoding.is_some() {
            Input::Gzip(Box::new(Gzip::new(file, candidate.gzip, encoding)))
        } else {
            Input::Plain(file)
        };
        let to = position.map_or(0, |position| position.to);
        let now = Instant::now();
        Self {
            path: candidate.path.clone(),
            stage: Some(candidate.stage),
            next_look: now,
            id,
            owner: candidate.owner.clone(),
            meta,
            key: candidate.key,
            input,
            window: limits.read_bytes.min(limits.line_bytes),
            limits,
            offset,
            seen_to: offset,
            modified: candidate.modified,
            grew: now,
            assembler,
            replay_to: to,
            resumed: position.cloned(),
            reported: to,
            reset,
            streams: [None, None, None],
            slots: [None; 3],
        }
    }

    /// Takes over what became known about the container: records read from now on carry it.
    pub fn set_meta(&mut self, meta: Arc<Meta>) {
        if self.meta != meta {
            self.assembler.set_wishes(self.limits.options(&meta));
            self.meta = meta;
            self.streams = [None, None, None];
            self.slots = [None; 3];
        }
    }

    /// The container it belongs to.
    pub fn owner(&self) -> &Owner {
        &self.owner
    }

    /// Device and inode.
    pub fn key(&self) -> Key {
        self.key
    }

    /// Bytes known to be in the file but not handed over yet.
    pub fn behind(&self) -> u64 {
        self.seen_to.saturating_sub(self.offset)
    }

    /// Something is held back until the file ends or grows: a line without newline or a record
    /// without its last part.
    pub fn holds_back(&self) -> bool {
        self.behind() > 0 || !self.assembler.open().is_empty()
    }

    /// Something is held back that the end of the file, which is near, or a timeout will release.
    pub fn holds_back_final(&self) -> bool {
        let near = !matches!(self.stage, Some(Stage::Current | Stage::Renamed));
        (near && self.holds_back()) || self.is_gzip() || self.due().is_some()
    }

    /// When a record of several lines is complete unless it grows; none without one.
    pub fn due(&self) -> Option<Instant> {
        self.assembler.due()
    }

    /// Hands over records of several lines that did not grow for their timeout. True when there
    /// were any.
    pub fn expire(&mut self, batch: &mut Batch, sequence: u64) -> bool {
        let Self { assembler, streams, slots, id, owner, path, meta, .. } = self;
        let mut stream_of =
            |batch: &mut Batch, stdio| number(batch, stdio, sequence, streams, slots, *id, owner, path, meta);
        assembler.expire(batch, Instant::now(), &mut stream_of)
    }

    /// How long the file was not modified.
    pub fn unchanged(&self) -> Duration {
        SystemTime::now().duration_since(self.modified).unwrap_or_default()
    }

    /// How long nothing was added.
    pub fn quiet(&self) -> Duration {
        self.grew.elapsed()
    }

    /// Counts since the last call.
    pub fn take_noted(&mut self) -> Noted {
        self.assembler.take_noted()
    }

    /// Size and modification time, to recognise the file without opening it.
    pub fn stamp(&self) -> (u64, SystemTime) {
        match &self.input {
            Input::Plain(file) => file.metadata().map_or((self.seen_to, self.modified), |metadata| {
                (metadata.len(), metadata.modified().unwrap_or(self.modified))
            }),
            Input::Gzip(gzip) => (gzip.size, self.modified),
        }
    }

    /// The file is compressed.
    pub fn is_gzip(&self) -> bool {
        matches!(&self.input, Input::Gzip(gzip) if !gzip.live)
    }

    /// Reads one window into the batch.
    ///
    /// # Errors
    /// When the file can't be read; nothing was consumed then.
    pub fn read(&mut self, batch: &mut Batch, sequence: u64) -> io::Result<Outcome> {
        if let Input::Plain(file) = &self.input {
            let metadata = file.metadata()?;
            if metadata.len() < self.seen_to {
                return Ok(Outcome::Truncated);
            }
            let modified = metadata.modified().unwrap_or(self.modified);
            let touched = std::mem::replace(&mut self.modified, modified) != modified;
            if metadata.len() == self.seen_to {
                // Rewritten in place to the very same length?
                let same = !touched || self.same_head()?;
                return Ok(if same { self.at_end() } else { Outcome::Truncated });
            }
        }
        let start = batch.used;
        let len = match &mut self.input {
            Input::Plain(file) => read_at_full(file, batch.window(self.window), self.offset)?,
            Input::Gzip(gzip) => gzip.fill(batch.window(self.window), self.offset)?,
        };
        if !self.same_head()? {
            return Ok(Outcome::Truncated);
        }
        let window = Window { start, end: start + len, offset: self.offset };
        if self.seen_to != self.offset + len as u64 || !matches!(self.input, Input::Gzip(_)) {
            self.grew = Instant::now();
        }
        self.seen_to = self.offset + len as u64;
        let consumed = self.consume(batch, window, sequence);
        batch.used += consumed;
        batch.raw_bytes += consumed as u64;
        self.offset += consumed as u64;
        let ended = match &mut self.input {
            Input::Gzip(gzip) if len < self.window && consumed == 0 => match gzip.failed.take() {
                Some(error) => return Err(error),
                // More may be written to it.
                None if gzip.live => return Ok(self.at_end()),
                None => true,
            },
            _ => false,
        };
        if self.assembler.long_line().is_some() {
            self.window = self.limits.line_bytes;
        } else if consumed > 0 {
            self.window = self.limits.read_bytes.min(self.limits.line_bytes);
        } else if len == self.window {
            self.window = (self.window * 2).min(self.limits.line_bytes);
        }
        Ok(if ended { Outcome::Ended } else { Outcome::More })
    }

    fn consume(&mut self, batch: &mut Batch, window: Window, sequence: u64) -> usize {
        let Self { assembler, streams, slots, id, owner, path, meta, .. } = self;
        let mut stream_of =
            |batch: &mut Batch, stdio| number(batch, stdio, sequence, streams, slots, *id, owner, path, meta);
        let consumed = assembler.lines(batch, window, &mut stream_of);
        let len = window.end - window.start;
        if consumed == 0 && len == self.limits.line_bytes {
            assembler.long_piece(batch, window, &mut stream_of);
            return len;
        }
        consumed
    }

    /// Takes the end of the file for final: hands over a last line without newline and open
    /// partial records.
    ///
    /// # Errors
    /// When the file can't be read.
    pub fn finish(&mut self, batch: &mut Batch, sequence: u64, truncated: bool) -> io::Result<()> {
        let len = if truncated { 0 } else { usize::try_from(self.behind()).unwrap_or(0) };
        let start = batch.used;
        let len = match &mut self.input {
            _ if len == 0 => 0,
            Input::Plain(file) => read_at_full(file, batch.window(len), self.offset)?,
            Input::Gzip(gzip) => gzip.fill(batch.window(len), self.offset)?,
        };
        let window = Window { start, end: start + len, offset: self.offset };
        let Self { assembler, streams, slots, id, owner, path, meta, .. } = self;
        let mut stream_of =
            |batch: &mut Batch, stdio| number(batch, stdio, sequence, streams, slots, *id, owner, path, meta);
        assembler.finish(batch, window, &mut stream_of);
        batch.used += len;
        batch.raw_bytes += len as u64;
        self.offset += len as u64;
        Ok(())
    }

    /// The position now.
    pub fn position(&self) -> Position {
        if let Some(resumed) = self.resumed.as_ref().filter(|resumed| self.offset < resumed.to) {
            return resumed.clone();
        }
        Position {
            id: self.id,
            to: self.offset,
            open: self.assembler.open(),
            long_line: self.assembler.long_line(),
            time: self.assembler.time(),
            path: self.path.to_string_lossy().into_owned(),
        }
    }

    /// The step since the last call, for the batch that is about to be handed over. `None` while
    /// the file is still re-reading what was handed over before a restart.
    pub fn advance(&mut self) -> Option<Advance> {
        if self.offset < self.replay_to {
            return None;
        }
        let position = self.position();
        let from = std::mem::replace(&mut self.reported, position.to);
        Some(Advance { from, position, reset: std::mem::take(&mut self.reset), forget: false })
    }

    fn at_end(&self) -> Outcome {
        let wait = self.limits.rotate_wait;
        let quiet = self.quiet() >= wait || self.unchanged() >= wait;
        match self.stage {
            Some(Stage::Current | Stage::Renamed) => Outcome::Idle,
            Some(Stage::Superseded | Stage::Rotated) | None if quiet => Outcome::Ended,
            _ => Outcome::Idle,
        }
    }

    /// True when the file still begins with what it was identified by. A compressed file is never
    /// rewritten in place.
    fn same_head(&self) -> io::Result<bool> {
        let Input::Plain(file) = &self.input else { return Ok(true) };
        let mut start = [0u8; HEAD_BYTES];
        let len = read_at_full(file, &mut start, 0)?;
        let start = &start[..len];
        let head = position::head(start).unwrap_or(start);
        Ok(Fingerprint::of(&self.owner, head) == self.id)
    }
}

/// The number of a file's stream within the batch; registers it on first use.
#[expect(
    clippy::too_many_arguments,
    reason = "the parts of a tail that are free while its lines are borrowed"
)]
fn number(
    batch: &mut Batch,
    stdio: Stdio,
    sequence: u64,
    streams: &mut [Option<Arc<Stream>>; 3],
    slots: &mut [Option<(u64, u32)>; 3],
    id: Fingerprint,
    owner: &Arc<Owner>,
    path: &Path,
    meta: &Meta,
) -> u32 {
    let index = stdio.index();
    match slots[index] {
        Some((in_batch, slot)) if in_batch == sequence => slot,
        _ => {
            let stream = streams[index]
                .get_or_insert_with(|| Arc::new(Stream::of_file(id, owner, stdio, path, meta)))
                .clone();
            // Three streams per file and a bounded batch: far below 4 G.
            let slot = u32::try_from(batch.streams.len()).unwrap_or(u32::MAX);
            batch.streams.push(stream);
            slots[index] = Some((sequence, slot));
            slot
        }
    }
}

/// Bytes of a file as UTF-8, decompressed and decoded front to back.
fn decoded(file: File, gzip: bool, encoding: Option<&'static encoding_rs::Encoding>) -> Box<dyn Read + Send> {
    let bytes: Box<dyn Read + Send> =
        if gzip { Box::new(MultiGzDecoder::new(BufReader::new(file))) } else { Box::new(file) };
    match encoding {
        Some(encoding) => {
            Box::new(Decoded { bytes, decoder: encoding.new_decoder(), text: Vec::new(), at: 0 })
        }
        None => bytes,
    }
}

/// Text of another encoding as UTF-8. A byte order mark is obeyed and removed; what can't be
/// decoded becomes U+FFFD.
struct Decoded {
    bytes: Box<dyn Read + Send>,
    decoder: encoding_rs::Decoder,
    text: Vec<u8>,
    at: usize,
}

impl Read for Decoded {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.at == self.text.len() {
            let mut raw = [0; 4096];
            let len = self.bytes.read(&mut raw)?;
            if len == 0 {
                return Ok(0);
            }
            // Large enough for every expansion, so that all input is taken at once.
            self.text.resize(self.decoder.max_utf8_buffer_length(len).unwrap_or(4 * len + 16), 0);
            let (_, _, written, _) = self.decoder.decode_to_utf8(&raw[..len], &mut self.text, false);
            self.text.truncate(written);
            self.at = 0;
            if written == 0 {
                // Half a character: the rest comes with the next bytes.
                return self.read(out);
            }
        }
        let len = out.len().min(self.text.len() - self.at);
        out[..len].copy_from_slice(&self.text[self.at..self.at + len]);
        self.at += len;
        Ok(len)
    }
}

/// A file that has to be decoded, front to back.
struct Gzip {
    decoder: Box<dyn Read + Send>,
    /// It is not compressed, so more may be written to it.
    live: bool,
    size: u64,
    buffer: Vec<u8>,
    at: u64,
    ended: bool,
    /// Decoding failed here: what was decoded before counts, then this is reported.
    failed: Option<io::Error>,
}

impl Gzip {
    fn new(file: File, gzip: bool, encoding: Option<&'static encoding_rs::Encoding>) -> Self {
        let size = file.metadata().map_or(0, |metadata| metadata.len());
        let decoder = decoded(file, gzip, encoding);
        Self { decoder, live: !gzip, size, buffer: Vec::new(), at: 0, ended: false, failed: None }
    }

    /// Fills `out` with decoded bytes from `offset` on, which never goes back.
    fn fill(&mut self, out: &mut [u8], offset: u64) -> io::Result<usize> {
        let end = offset + out.len() as u64;
        let mut chunk = [0u8; 32 * 1024];
        while !self.ended && self.at + (self.buffer.len() as u64) < end {
            self.discard(offset);
            match self.decoder.read(&mut chunk) {
                Ok(0) if self.live => break,
                Ok(0) => self.ended = true,
                Ok(len) => self.buffer.extend_from_slice(&chunk[..len]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    self.failed = Some(error);
                    self.ended = true;
                }
            }
        }
        self.discard(offset);
        let len = if self.at == offset { out.len().min(self.buffer.len()) } else { 0 };
        out[..len].copy_from_slice(&self.buffer[..len]);
        Ok(len)
    }

    /// Forgets decoded bytes before `offset`.
    fn discard(&mut self, offset: u64) {
        let done = usize::try_from(offset.saturating_sub(self.at)).unwrap_or(usize::MAX);
        let done = done.min(self.buffer.len());
        self.buffer.drain(..done);
        self.at += done as u64;
    }
}

/// Length of a gzip file's content modulo 4 GiB, from its last four bytes.
///
/// # Errors
/// When the file can't be read.
pub fn gzip_length(file: &File) -> io::Result<u32> {
    let size = file.metadata()?.len();
    let mut last = [0u8; 4];
    file.read_exact_at(&mut last, size.saturating_sub(4))?;
    Ok(u32::from_le_bytes(last))
}

fn read_at_full(file: &File, out: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut len = 0;
    while len < out.len() {
        match file.read_at(&mut out[len..], offset + len as u64) {
            Ok(0) => break,
            Ok(more) => len += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(len)
}

fn read_full(input: &mut impl Read, out: &mut [u8]) -> io::Result<usize> {
    let mut len = 0;
    while len < out.len() {
        match input.read(&mut out[len..]) {
            Ok(0) => break,
            Ok(more) => len += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(len)
}
