//! One log file being followed through an open descriptor.
//!
//! A plain file is read with positioned reads straight into the batch; what is behind the last
//! newline is simply read again next time, so there is no carry-over buffer. A compressed file is
//! decoded once from the start, skipping what was read before it was compressed.
//!
//! Every read begins a little before the new bytes, and after it the head of the file is looked at
//! again: if both are what they were, the bytes just read belong to this file, otherwise it was
//! truncated underneath and they are dropped unseen. So a file that was truncated and has grown past
//! its old size again is noticed, also when it begins with the same line as before.

mod decode;
mod identity;

use super::discover::{Candidate, Key, Stage};
use super::lines::{Assembler, Noted, Options, Window};
use crate::batch::Batch;
use crate::budget::Budget;
use crate::multiline::Multiline;
use crate::position::{self, Advance, Fingerprint, HEAD_BYTES, MARK_BYTES, Mark, Position, Signs};
use crate::stream::{Meta, Owner, Stdio, Stream};
use decode::{Encoded, Gzip, decoded, read_at_full, read_full};
pub use identity::{Identified, Match, identify};
use std::fs::File;
use std::io::{self, Read};
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
    Encoded(Box<Encoded>),
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
    /// Identity of its head, which other files may share.
    pub head: Fingerprint,
    generation: u32,
    /// Where the head ends; what distinguishes the file from others with it follows there.
    head_len: usize,
    anchor: Option<Mark>,
    /// The last bytes before `offset`; empty when they are not known.
    tip: Vec<u8>,
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
    streams: [Option<Arc<Stream>>; 3],
    slots: [Option<(u64, u32)>; 3],
}

impl Tail {
    /// Starts following a file, at `position` when it was read before. It is the `generation`th one
    /// with its head.
    pub fn new(
        candidate: &Candidate,
        found: Identified,
        generation: u32,
        position: Option<&Position>,
        limits: Limits,
        meta: Arc<Meta>,
    ) -> Self {
        let Identified { file, head, head_len, .. } = found;
        let offset = position.map_or(0, Position::resume_at);
        let options = limits.options(&meta);
        let assembler = match position {
            Some(position) => Assembler::resume(options, position),
            None => Assembler::new(options),
        };
        // It was read a moment ago to identify the file.
        let encoding = limits.encoding_of(&file, candidate.gzip).unwrap_or(limits.encoding);
        let input = match encoding {
            _ if candidate.gzip => Input::Gzip(Box::new(Gzip::new(file, encoding))),
            Some(encoding) => Input::Encoded(Box::new(Encoded::new(file, encoding))),
            None => Input::Plain(file),
        };
        let to = position.map_or(0, |position| position.to);
        let now = Instant::now();
        Self {
            path: candidate.path.clone(),
            stage: Some(candidate.stage),
            next_look: now,
            id: head.generation(generation),
            head,
            generation,
            head_len,
            anchor: position.and_then(|position| position.signs.anchor),
            tip: Vec::with_capacity(MARK_BYTES),
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

    /// Bytes of the file that were not handed over, and whether it has no name any more. As of now.
    ///
    /// # Errors
    /// When the file can't be asked.
    pub fn unread(&self) -> io::Result<(u64, bool)> {
        let (metadata, to) = match &self.input {
            Input::Plain(file) => (file.metadata()?, self.offset),
            Input::Gzip(_) => return Ok((self.behind(), false)),
            // What is decoded but not handed over is less than a line.
            Input::Encoded(encoded) => (encoded.file.metadata()?, encoded.raw),
        };
        Ok((metadata.len().saturating_sub(to), metadata.nlink() == 0))
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

    /// Size as far as it was read and modification time, to recognise the file without opening it.
    /// What was written since the last read makes it another one, which the next scan takes up.
    pub fn stamp(&self) -> (u64, SystemTime) {
        match &self.input {
            Input::Plain(_) => (self.offset, self.modified),
            Input::Encoded(encoded) => (encoded.raw, self.modified),
            Input::Gzip(gzip) => (gzip.size, self.modified),
        }
    }

    /// The file is compressed.
    pub fn is_gzip(&self) -> bool {
        matches!(&self.input, Input::Gzip(_))
    }

    /// Reads one window into the batch.
    ///
    /// # Errors
    /// When the file can't be read; nothing was consumed then.
    pub fn read(&mut self, batch: &mut Batch, sequence: u64) -> io::Result<Outcome> {
        let live = match &self.input {
            Input::Plain(file) => Some((file, self.seen_to, true)),
            Input::Encoded(encoded) => Some((&encoded.file, encoded.raw, self.seen_to == encoded.end())),
            Input::Gzip(_) => None,
        };
        if let Some((file, to, all)) = live {
            let metadata = file.metadata()?;
            if metadata.len() < to {
                return Ok(Outcome::Truncated);
            }
            let modified = metadata.modified().unwrap_or(self.modified);
            let touched = std::mem::replace(&mut self.modified, modified) != modified;
            if metadata.len() == to && all {
                // Rewritten in place to the very same length?
                let same = !touched || (self.same_head()? && self.same_tip()?);
                return Ok(if same { self.at_end() } else { Outcome::Truncated });
            }
        }
        let Some(window) = self.load(batch, self.window)? else { return Ok(Outcome::Truncated) };
        if !self.same_head()? {
            return Ok(Outcome::Truncated);
        }
        let len = window.end - window.start;
        if self.seen_to != self.offset + len as u64 || !matches!(self.input, Input::Gzip(_)) {
            self.grew = Instant::now();
        }
        self.seen_to = self.offset + len as u64;
        let consumed = self.consume(batch, window, sequence);
        self.pass(batch, window, consumed);
        let ended = match &mut self.input {
            Input::Gzip(gzip) if len < self.window && consumed == 0 => match gzip.failed.take() {
                Some(error) => return Err(error),
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

    /// Reads up to `len` bytes at the offset. What is right before it is read with them: `None` when
    /// that is not what it was.
    fn load(&mut self, batch: &mut Batch, len: usize) -> io::Result<Option<Window>> {
        let before = self.before();
        let from = self.offset - before as u64;
        let out = batch.window(before + len);
        let got = match &mut self.input {
            Input::Plain(file) => read_at_full(file, out, from)?,
            Input::Gzip(gzip) => gzip.fill(out, from)?,
            Input::Encoded(encoded) => match encoded.fill(out, from)? {
                Some(got) => got,
                None => return Ok(None),
            },
        };
        if got < before || !(self.tip.is_empty() || self.tip == out[..before]) {
            return Ok(None);
        }
        let start = batch.used + before;
        Ok(Some(Window { start, end: batch.used + got, offset: self.offset }))
    }

    /// How much of what is before the offset every read begins with.
    fn before(&self) -> usize {
        usize::try_from(self.offset).unwrap_or(MARK_BYTES).min(MARK_BYTES)
    }

    /// Goes on behind the first `consumed` bytes of a window.
    fn pass(&mut self, batch: &mut Batch, window: Window, consumed: usize) {
        let (from, end) = (window.start - self.before(), window.start + consumed);
        let first = self.offset - self.before() as u64;
        self.offset += consumed as u64;
        if consumed > 0 {
            batch.used = end;
            batch.raw_bytes += consumed as u64;
        }
        self.tip.clear();
        self.tip.extend_from_slice(&batch.data[end.saturating_sub(MARK_BYTES).max(from)..end]);
        let anchor = (self.head_len + MARK_BYTES) as u64;
        if self.anchor.is_none() && first <= self.head_len as u64 && anchor <= self.offset {
            let at = from + self.head_len - usize::try_from(first).unwrap_or(0);
            self.anchor = Some(Mark::of(anchor, &batch.data[at..at + MARK_BYTES]));
        }
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
        if let Input::Encoded(encoded) = &mut self.input {
            encoded.decode(&[], true);
            self.seen_to = encoded.end();
        }
        let len = if truncated { 0 } else { usize::try_from(self.behind()).unwrap_or(0) };
        let nothing = Window { start: batch.used, end: batch.used, offset: self.offset };
        let loaded = if len == 0 { None } else { self.load(batch, len)? };
        let window = loaded.unwrap_or(nothing);
        let Self { assembler, streams, slots, id, owner, path, meta, .. } = self;
        let mut stream_of =
            |batch: &mut Batch, stdio| number(batch, stdio, sequence, streams, slots, *id, owner, path, meta);
        assembler.finish(batch, window, &mut stream_of);
        if loaded.is_some() {
            self.pass(batch, window, window.end - window.start);
        }
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
            signs: Signs {
                anchor: self.anchor,
                tip: (!self.tip.is_empty()).then(|| Mark::of(self.offset, &self.tip)),
                head: (self.generation > 0).then_some(self.head),
                generation: self.generation,
                raw: self.raw(),
            },
        }
    }

    fn raw(&self) -> u64 {
        let resumed = self.resumed.as_ref().filter(|resumed| resumed.to == self.offset);
        match &self.input {
            Input::Encoded(encoded) if encoded.end() == self.offset && self.offset > 0 => encoded.raw,
            // No character takes more than three bytes of text for each of its own.
            Input::Encoded(_) => self.offset / 3,
            Input::Gzip(_) => resumed.map_or(0, |resumed| resumed.signs.raw),
            Input::Plain(_) => 0,
        }
    }

    /// A copy of what was read of this file so far, as far as one can tell.
    ///
    /// # Errors
    /// When the other file can't be read.
    pub fn is_copied_by(&self, found: &Identified) -> io::Result<bool> {
        let position = self.position();
        Ok(match position.signs.anchor.or(position.signs.tip) {
            Some(mark) => found.start.len() as u64 >= mark.end && found.carries(&mark)?,
            None => true,
        })
    }

    /// The step since the last call, for the batch that is about to be handed over. `None` while
    /// the file is still re-reading what was handed over before a restart.
    pub fn advance(&mut self) -> Option<Advance> {
        if self.offset < self.replay_to {
            return None;
        }
        let position = self.position();
        let from = std::mem::replace(&mut self.reported, position.to);
        Some(Advance { from, position, reset: false, forget: false })
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
        let file = match &self.input {
            Input::Plain(file) => file,
            Input::Encoded(encoded) => return encoded.same_start(),
            Input::Gzip(_) => return Ok(true),
        };
        let mut start = [0u8; HEAD_BYTES + 1 + MARK_BYTES];
        let len = read_at_full(file, &mut start, 0)?;
        let start = &start[..len];
        let head = position::head(start).unwrap_or(&start[..len.min(HEAD_BYTES)]);
        // What follows a head that others share tells them apart where the bytes before the offset,
        // such as a row of blanks, do not.
        let same = |anchor: Mark| {
            let before = usize::try_from(anchor.end).ok().and_then(|end| start.get(..end));
            before.is_some_and(|before| Mark::of(anchor.end, before) == anchor)
        };
        Ok(Fingerprint::of(&self.owner, head) == self.head && self.anchor.is_none_or(same))
    }

    /// True when what was read last is still there.
    fn same_tip(&self) -> io::Result<bool> {
        let (file, tip, end) = match &self.input {
            Input::Plain(file) => (file, &self.tip, self.offset),
            Input::Encoded(encoded) => (&encoded.file, &encoded.tip, encoded.raw),
            Input::Gzip(_) => return Ok(true),
        };
        let mut bytes = [0u8; MARK_BYTES];
        let len = read_at_full(file, &mut bytes[..tip.len()], end - tip.len() as u64)?;
        Ok(*tip == bytes[..len])
    }
}

#[cfg(test)]
impl Tail {
    /// Pretends that nothing was added for a while.
    pub fn age(&mut self) {
        self.grew = self.grew.checked_sub(Duration::from_secs(60)).unwrap_or(self.grew);
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
