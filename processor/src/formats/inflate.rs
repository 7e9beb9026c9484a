//! From stored bytes to text, in bounded memory: a [`Window`] over the decompressed object.
//!
//! What the bytes are is read from the bytes, never from the name: gzip with any number of members,
//! zstd with any number of frames, one inside the other (a delivery stream compresses what already
//! is compressed), or nothing of the kind. A UTF-8 byte order mark is skipped, UTF-16 with a byte
//! order mark becomes UTF-8.
//!
//! A single gzip member of moderate size is inflated in one call (`whole`); everything else streams.
//! The window then grows only as far as its reader asks, and reading stops at a total limit. Damage does
//! not fail the read: whatever was decompressed before it is handed out, and [`Window::damage`] then
//! says what happened.

mod gzip;
mod whole;

use gzip::Gzip;
use logq_schemas::Reason;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};

/// How much is decompressed per call at least: large enough to amortise, small enough for caches.
const CHUNK: usize = 256 << 10;
/// Size of a single read. What a decoder loses when it fails inside one call is bounded by it.
const STEP: usize = 16 << 10;

/// The stored bytes of an object: in memory, or in a file where they are too many.
#[derive(Debug)]
pub enum Source<'a> {
    /// All of them.
    Memory(&'a [u8]),
    /// A file that stands at its start, and how much of it counts.
    File(BufReader<io::Take<&'a File>>),
}

impl Read for Source<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        match self {
            Source::Memory(bytes) => bytes.read(out),
            Source::File(file) => file.read(out),
        }
    }
}

impl BufRead for Source<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        match self {
            Source::Memory(bytes) => bytes.fill_buf(),
            Source::File(file) => file.fill_buf(),
        }
    }

    fn consume(&mut self, bytes: usize) {
        match self {
            Source::Memory(memory) => memory.consume(bytes),
            Source::File(file) => file.consume(bytes),
        }
    }
}

/// Why the decompressed text ends where it ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// TruncatedCompression, CorruptCompression or TooLarge.
    pub reason: Reason,
    /// What happened and what to do.
    pub message: String,
}

/// The unread part of the decompressed object.
pub struct Window<'a> {
    source: Decoder<BufReader<Decoder<Source<'a>>>>,
    compressed: bool,
    buffer: Vec<u8>,
    start: usize,
    offset: u64,
    inflated: u64,
    limit: u64,
    ended: bool,
    damage: Option<Damage>,
    wide: Option<Wide>,
    /// The whole object, where it could be inflated at once.
    whole: Option<Vec<u8>>,
    opened: bool,
}

impl<'a> Window<'a> {
    /// Opens stored bytes; at most `limit` decompressed bytes are handed out.
    pub fn open(stored: &'a [u8], limit: u64) -> Self {
        let whole = match Magic::of(stored) {
            Some(Magic::Gzip) => whole::inflate(stored, limit),
            _ => None,
        };
        if whole.is_some() {
            return Self { whole, ..Self::over(Decoder::Ended, true, None, limit) };
        }
        Self::stream(Source::Memory(stored), limit)
    }

    /// Opens stored bytes wherever they are; never holds all of them.
    pub fn stream(stored: Source<'a>, limit: u64) -> Self {
        let (inner, outer_layer, mut damage) = match Decoder::detect(stored) {
            Ok((decoder, layer)) => (decoder, layer, None),
            Err(error) => (Decoder::Ended, true, Some(damage_of(&error, 0))),
        };
        let mut inner = BufReader::with_capacity(CHUNK, inner);
        // A failure here is met again by the first read.
        let inner_magic = if outer_layer { inner.fill_buf().map(Magic::of).unwrap_or(None) } else { None };
        let source = match Decoder::with(inner, inner_magic) {
            Ok(decoder) => decoder,
            Err(error) => {
                damage = Some(damage_of(&error, 0));
                Decoder::Ended
            }
        };
        Self::over(source, outer_layer, damage, limit)
    }

    fn over(
        source: Decoder<BufReader<Decoder<Source<'a>>>>,
        compressed: bool,
        damage: Option<Damage>,
        limit: u64,
    ) -> Self {
        Self {
            source,
            compressed,
            buffer: Vec::new(),
            start: 0,
            offset: 0,
            inflated: 0,
            limit,
            ended: damage.is_some(),
            damage,
            wide: None,
            whole: None,
            opened: false,
        }
    }

    /// The unread bytes decompressed so far.
    pub fn data(&self) -> &[u8] {
        self.buffer.get(self.start..).unwrap_or(&[])
    }

    /// Offset of the first unread byte in the decompressed object.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Bytes decompressed so far.
    pub fn inflated(&self) -> u64 {
        self.inflated
    }

    /// Whether the stored bytes were compressed.
    pub fn is_compressed(&self) -> bool {
        self.compressed
    }

    /// Whether everything there is has been decompressed.
    pub fn is_ended(&self) -> bool {
        self.ended
    }

    /// Why the text ended early, if it did.
    pub fn damage(&self) -> Option<&Damage> {
        self.damage.as_ref()
    }

    /// Marks the first `bytes` unread bytes as read.
    pub fn consume(&mut self, bytes: usize) {
        let bytes = bytes.min(self.data().len());
        self.start += bytes;
        self.offset += bytes as u64;
    }

    /// Decompresses more, at least doubling the unread part; false when there is no more.
    pub fn more(&mut self) -> bool {
        if self.ended {
            return false;
        }
        if self.start > 0 {
            self.buffer.drain(..self.start);
            self.start = 0;
        }
        let before = self.buffer.len();
        let wanted = before + before.max(CHUNK);
        if let Some(whole) = self.whole.take() {
            self.inflated = whole.len() as u64;
            self.buffer = whole;
            self.ended = true;
        }
        while self.buffer.len() < wanted && !self.ended {
            self.step();
        }
        if !self.opened {
            self.opened = true;
            self.byte_order_mark();
        }
        self.data().len() > before
    }

    /// Reads everything that is left and throws it away.
    pub fn drain(&mut self) {
        loop {
            self.consume(self.data().len());
            if !self.more() {
                return;
            }
        }
    }

    fn step(&mut self) {
        let filled = self.buffer.len();
        let room = usize::try_from(self.limit - self.inflated).unwrap_or(usize::MAX).min(STEP);
        if room == 0 {
            let mut probe = [0u8; 1];
            if matches!(self.source.read(&mut probe), Ok(1)) {
                self.damage = Some(Damage {
                    reason: Reason::TooLarge,
                    message: format!(
                        "object inflates past {} bytes; raise object_bytes_max and replay it",
                        self.limit
                    ),
                });
            }
            self.ended = true;
            return;
        }
        self.buffer.resize(filled + room, 0);
        let result = match self.buffer.get_mut(filled..) {
            Some(free) => self.source.read(free),
            None => Ok(0),
        };
        let read = *result.as_ref().unwrap_or(&0);
        self.buffer.truncate(filled + read);
        self.inflated += read as u64;
        match result {
            Ok(0) => self.ended = true,
            Ok(_) => {}
            Err(error) => {
                self.damage = Some(damage_of(&error, self.inflated));
                self.ended = true;
            }
        }
        if let Some(wide) = &mut self.wide {
            let raw = self.buffer.split_off(filled);
            wide.decode(&raw, self.ended, &mut self.buffer);
        }
    }

    fn byte_order_mark(&mut self) {
        let big_endian = match self.buffer.as_slice() {
            [0xEF, 0xBB, 0xBF, ..] => return self.consume(3),
            [0xFF, 0xFE, ..] => false,
            [0xFE, 0xFF, ..] => true,
            _ => return,
        };
        let mut wide = Wide { big_endian, odd: None, high: None };
        let raw = std::mem::take(&mut self.buffer);
        wide.decode(raw.get(2..).unwrap_or(&[]), self.ended, &mut self.buffer);
        self.wide = Some(wide);
    }
}

fn damage_of(error: &io::Error, inflated: u64) -> Damage {
    if error.kind() == io::ErrorKind::UnexpectedEof {
        let message = format!(
            "compressed stream ends early after {inflated} decompressed bytes; fetch or upload the object again, then replay it"
        );
        Damage { reason: Reason::TruncatedCompression, message }
    } else {
        let message = format!(
            "compressed stream is damaged after {inflated} decompressed bytes ({error}); fetch or upload the object again, then replay it"
        );
        Damage { reason: Reason::CorruptCompression, message }
    }
}

/// UTF-16 on its way to UTF-8; lone surrogates become U+FFFD.
struct Wide {
    big_endian: bool,
    odd: Option<u8>,
    high: Option<u16>,
}

impl Wide {
    fn decode(&mut self, raw: &[u8], last: bool, out: &mut Vec<u8>) {
        for &byte in raw {
            let Some(first) = self.odd.take() else {
                self.odd = Some(byte);
                continue;
            };
            let pair = [first, byte];
            let unit = if self.big_endian { u16::from_be_bytes(pair) } else { u16::from_le_bytes(pair) };
            self.unit(unit, out);
        }
        if last && (self.odd.take().is_some() || self.high.take().is_some()) {
            push(char::REPLACEMENT_CHARACTER, out);
        }
    }

    fn unit(&mut self, unit: u16, out: &mut Vec<u8>) {
        if let Some(high) = self.high.take() {
            for character in char::decode_utf16([high, unit]) {
                match character {
                    Ok(character) => push(character, out),
                    // The second half may open a pair of its own.
                    Err(error) if error.unpaired_surrogate() == unit && (0xD800..0xDC00).contains(&unit) => {
                        self.high = Some(unit);
                    }
                    Err(_) => push(char::REPLACEMENT_CHARACTER, out),
                }
            }
        } else if (0xD800..0xDC00).contains(&unit) {
            self.high = Some(unit);
        } else {
            push(char::from_u32(u32::from(unit)).unwrap_or(char::REPLACEMENT_CHARACTER), out);
        }
    }
}

fn push(character: char, out: &mut Vec<u8>) {
    out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
}

/// The compressions known by their first bytes.
#[derive(Debug, Clone, Copy)]
enum Magic {
    Gzip,
    Zstd,
}

impl Magic {
    fn of(bytes: &[u8]) -> Option<Self> {
        match bytes {
            [0x1f, 0x8b, 0x08, ..] => Some(Self::Gzip),
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Some(Self::Zstd),
            // A zstd skippable frame.
            [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Some(Self::Zstd),
            // A gzip cut within its first bytes.
            [0x1f, 0x8b] => Some(Self::Gzip),
            _ => None,
        }
    }
}

enum Decoder<R: BufRead> {
    Plain(R),
    Gzip(Box<Gzip<R>>),
    Zstd(Box<zstd::stream::read::Decoder<'static, R>>),
    Ended,
}

impl<'a> Decoder<Source<'a>> {
    fn detect(mut stored: Source<'a>) -> io::Result<(Self, bool)> {
        let magic = Magic::of(stored.fill_buf()?);
        Ok((Self::with(stored, magic)?, magic.is_some()))
    }
}

impl<R: BufRead> Decoder<R> {
    fn with(input: R, magic: Option<Magic>) -> io::Result<Self> {
        Ok(match magic {
            None => Self::Plain(input),
            Some(Magic::Gzip) => Self::Gzip(Box::new(Gzip::new(input))),
            Some(Magic::Zstd) => Self::Zstd(Box::new(zstd::stream::read::Decoder::with_buffer(input)?)),
        })
    }
}

impl<R: BufRead> Read for Decoder<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(input) => input.read(out),
            Self::Gzip(gzip) => gzip.read(out),
            Self::Zstd(zstd) => zstd.read(out),
            Self::Ended => Ok(0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn gz(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn all(stored: &[u8], limit: u64) -> (Vec<u8>, Option<Reason>) {
        let mut window = Window::open(stored, limit);
        while window.more() {}
        (window.data().to_vec(), window.damage().map(|damage| damage.reason))
    }

    fn text() -> Vec<u8> {
        (0..40_000).flat_map(|line| format!("line {line} of the text\n").into_bytes()).collect()
    }

    #[test]
    fn every_layering_inflates_to_the_same_text() {
        let text = text();
        let zst = zstd::encode_all(&text[..], 1).unwrap();
        let (head, tail) = text.split_at(text.len() / 3);
        let forms = [
            text.clone(),
            gz(&text),
            [gz(head), gz(tail)].concat(),
            gz(&[gz(head), gz(tail)].concat()),
            zst.clone(),
            gz(&zst),
            zstd::encode_all(&gz(&text)[..], 1).unwrap(),
            [zstd::encode_all(head, 1).unwrap(), zstd::encode_all(tail, 1).unwrap()].concat(),
            [gz(&text), vec![0; 512]].concat(),
        ];
        for (number, form) in forms.iter().enumerate() {
            let (inflated, damage) = all(form, u64::MAX);
            assert!(inflated == text && damage.is_none(), "form {number}: {damage:?}");
        }
    }

    #[test]
    fn a_cut_keeps_what_came_before_it() {
        let text = text();
        for stored in [gz(&text), gz(&gz(&text)), zstd::encode_all(&text[..], 1).unwrap()] {
            for part in [1, 2, 3] {
                let cut = &stored[..stored.len() * part / 4];
                let (inflated, damage) = all(cut, u64::MAX);
                assert_eq!(damage, Some(Reason::TruncatedCompression));
                assert!(text.starts_with(&inflated));
            }
            let (inflated, _) = all(&stored[..stored.len() - 1], u64::MAX);
            // zstd decodes whole blocks, of at most 128 KiB; deflate gives everything before the cut.
            assert!(inflated.len() + (128 << 10) >= text.len());
        }
        let stored = gz(&text);
        assert_eq!(all(&stored[..stored.len() - 1], u64::MAX).0, text);
    }

    #[test]
    fn damage_in_the_middle_keeps_what_came_before_it() {
        let text = text();
        let mut stored = gz(&text);
        let middle = stored.len() / 2;
        for byte in &mut stored[middle..middle + 64] {
            *byte ^= 0xa5;
        }
        let (inflated, damage) = all(&stored, u64::MAX);
        assert!(damage.is_some());
        let same = inflated.iter().zip(&text).take_while(|(a, b)| a == b).count();
        assert!(same > text.len() / 3, "only {same} of {} bytes", text.len());

        let mut stored = gz(&text);
        let end = stored.len() - 6;
        stored[end] ^= 1;
        assert_eq!(all(&stored, u64::MAX), (text, Some(Reason::CorruptCompression)));
    }

    #[test]
    fn trailing_garbage_is_reported() {
        let (inflated, damage) = all(&[gz(b"hello"), b"garbage".to_vec()].concat(), u64::MAX);
        assert_eq!((inflated.as_slice(), damage), (&b"hello"[..], Some(Reason::CorruptCompression)));
    }

    #[test]
    fn a_bomb_stops_at_the_limit() {
        let bomb = gz(&gz(&vec![b' '; 64 << 20]));
        let (inflated, damage) = all(&bomb, 1 << 20);
        assert_eq!((inflated.len(), damage), (1 << 20, Some(Reason::TooLarge)));
        let (inflated, damage) = all(&gz(b"exact"), 5);
        assert_eq!((inflated.len(), damage), (5, None));
    }

    #[test]
    fn byte_order_marks_and_utf_16_become_utf_8() {
        let text = "{\"a\":\"é😀\"}\n";
        let units: Vec<u16> = text.encode_utf16().collect();
        let little: Vec<u8> =
            [vec![0xFF, 0xFE], units.iter().flat_map(|unit| unit.to_le_bytes()).collect()].concat();
        let big: Vec<u8> =
            [vec![0xFE, 0xFF], units.iter().flat_map(|unit| unit.to_be_bytes()).collect()].concat();
        let utf8 = [b"\xEF\xBB\xBF".as_slice(), text.as_bytes()].concat();
        for stored in [little, big, utf8] {
            assert_eq!(all(&stored, u64::MAX).0, text.as_bytes());
        }
    }

    #[test]
    fn short_and_empty_input_ends_quietly() {
        assert_eq!(all(b"", 10), (Vec::new(), None));
        for length in 1..18 {
            let stored = gz(b"");
            let (inflated, damage) = all(&stored[..length.min(stored.len() - 1)], 10);
            assert!(damage.is_some() || inflated.len() == length, "{length}");
        }
    }
}
