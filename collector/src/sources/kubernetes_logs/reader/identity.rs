//! Which file it is: its beginning, and whether it holds what was read of it before.

use super::decode::{decoded, gzip_length, read_at_full, read_full};
use super::*;

/// A file whose first line is there.
pub struct Identified {
    /// The file.
    pub file: File,
    /// Identity of its head, which other files may share.
    pub head: Fingerprint,
    /// Its length is that of its text: it is neither compressed nor encoded.
    pub plain: bool,
    encoded: bool,
    gzip: bool,
    /// Bytes it holds, uncompressed; modulo 4 GiB when it is compressed.
    length: u64,
    pub(super) head_len: usize,
    pub(super) start: Vec<u8>,
}

/// How a file compares with a position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Match {
    /// It is another file.
    Other,
    /// It is the file the position is about, or a copy of it.
    Same,
    /// It is a copy of what was read, and shorter.
    Shorter,
}

impl Identified {
    /// The bytes before `end`, as many as a mark is made of; `None` when they can't be had cheaply.
    fn before(&self, end: u64) -> io::Result<Option<Vec<u8>>> {
        if let Some(start) = usize::try_from(end).ok().and_then(|end| self.start.get(..end)) {
            return Ok(Some(start.to_vec()));
        }
        if !self.plain {
            return Ok(None);
        }
        let from = end.saturating_sub(MARK_BYTES as u64);
        let mut bytes = vec![0; usize::try_from(end - from).unwrap_or(MARK_BYTES)];
        let len = read_at_full(&self.file, &mut bytes, from)?;
        bytes.truncate(len);
        Ok(Some(bytes))
    }

    /// The end of what is in the file now, for one that is read from there: behind its last whole
    /// line, so that the first line delivered is one as well.
    ///
    /// # Errors
    /// When the file can't be read or decoded.
    pub fn end(&self, candidate: &Candidate, limits: &Limits) -> io::Result<u64> {
        let mut chunk = [0u8; 32 * 1024];
        if self.plain {
            let from = candidate.size.saturating_sub(chunk.len() as u64);
            let len = read_at_full(&self.file, &mut chunk, from)?;
            let end = memchr::memrchr(b'\n', &chunk[..len]).map(|at| from + at as u64 + 1);
            return Ok(end.unwrap_or(candidate.size));
        }
        let encoding = limits.encoding_of(&self.file, candidate.gzip)?;
        let mut text = decoded(self.file.try_clone()?, candidate.gzip, encoding);
        let (mut length, mut end) = (0, 0);
        loop {
            let len = read_full(&mut text, &mut chunk)?;
            if let Some(at) = memchr::memrchr(b'\n', &chunk[..len]) {
                end = length + at as u64 + 1;
            }
            length += len as u64;
            if len < chunk.len() {
                break;
            }
        }
        io::Seek::rewind(&mut &self.file)?;
        // Nothing follows the last line of a compressed file.
        Ok(if candidate.gzip { length } else { end })
    }

    /// What tells the file from others, when it was read up to `to`.
    ///
    /// # Errors
    /// When the file can't be read.
    pub fn signs(&self, to: u64, generation: u32) -> io::Result<Signs> {
        let anchor = self.head_len + MARK_BYTES;
        let behind = self.start.get(..anchor).filter(|_| anchor as u64 <= to);
        Ok(Signs {
            anchor: behind.map(|bytes| Mark::of(anchor as u64, bytes)),
            tip: self.before(to)?.map(|bytes| Mark::of(to, &bytes)),
            head: (generation > 0).then_some(self.head),
            generation,
            raw: if self.encoded { self.length.saturating_sub(1) } else { 0 },
        })
    }

    pub(super) fn carries(&self, mark: &Mark) -> io::Result<bool> {
        Ok(self.before(mark.end)?.is_none_or(|before| Mark::of(mark.end, &before) == *mark))
    }

    /// Whether the file holds less than was read up to a position, and whether just as much.
    pub fn against(&self, position: &Position) -> (bool, bool) {
        let (length, to) = (self.length, if self.encoded { position.signs.raw } else { position.to });
        match (self.encoded && to == 0, self.gzip) {
            (true, _) => (false, false),
            (_, true) => (length < to && to <= u64::from(u32::MAX), length == to & u64::from(u32::MAX)),
            (_, false) => (length < to, length == to),
        }
    }

    /// Compares the file with the position of one that began with the same head.
    ///
    /// # Errors
    /// When the file can't be read.
    pub fn compare(&self, position: &Position, live: bool) -> io::Result<Match> {
        // The length of a compressed file is not to be trusted while it is being written.
        let shorter = !self.gzip && self.against(position).0;
        let Signs { anchor, tip, .. } = &position.signs;
        if shorter && live {
            return Ok(Match::Other);
        }
        if let Some(anchor) = anchor
            && (anchor.end > self.start.len() as u64 || !self.carries(anchor)?)
        {
            return Ok(Match::Other);
        }
        Ok(match tip {
            // A position of an earlier version.
            None if shorter => Match::Shorter,
            None => Match::Same,
            Some(_) if shorter && anchor.is_some() => Match::Shorter,
            Some(_) if shorter => Match::Other,
            Some(tip) if self.carries(tip)? => Match::Same,
            Some(_) => Match::Other,
        })
    }
}

/// The first bytes of a file, as far as they identify it.
///
/// `None` when there is not yet enough. A file nobody writes to any more is identified by all it
/// has.
///
/// # Errors
/// When the file can't be opened, read or decoded.
pub fn identify(candidate: &Candidate, complete: bool, limits: &Limits) -> io::Result<Option<Identified>> {
    let file = File::open(&candidate.path)?;
    let metadata = file.metadata()?;
    if (metadata.dev(), metadata.ino()) != candidate.key {
        // Renamed or replaced since the scan: the next scan sees it as it is.
        return Ok(None);
    }
    let mut start = vec![0u8; HEAD_BYTES + 1 + MARK_BYTES];
    let encoding = limits.encoding_of(&file, candidate.gzip)?;
    let len = if candidate.gzip || encoding.is_some() {
        let mut decoder = decoded(file.try_clone()?, candidate.gzip, encoding);
        let len = read_full(&mut decoder, &mut start)?;
        io::Seek::rewind(&mut &file)?;
        len
    } else {
        read_at_full(&file, &mut start, 0)?
    };
    start.truncate(len);
    let head = match position::head(&start) {
        Some(head) => head,
        None if complete && !start.is_empty() => &start[..],
        None => return Ok(None),
    };
    let (head_len, head) = (head.len(), Fingerprint::of(&candidate.owner, head));
    let (gzip, encoded) = (candidate.gzip, encoding.is_some());
    let length = if gzip { u64::from(gzip_length(&file)?) } else { candidate.size };
    let plain = !gzip && !encoded;
    Ok(Some(Identified { file, head, plain, encoded, gzip, length, head_len, start }))
}
