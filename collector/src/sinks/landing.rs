//! The landing format, writing side: batches become zstd frames of JSON lines, segments become
//! landing objects.
//!
//! The format itself is defined in `logq_schemas::landing`. A frame is rendered once, when a batch
//! enters the spool; delivery to any number of sinks only puts a header frame before and a trailer
//! frame behind. Bodies are never altered: valid UTF-8 goes out as JSON text, anything else as
//! base64.

use crate::batch::{Batch, Cut, Encoding, Record};
use crate::stream::Stream;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use logq_schemas::landing::{Header, Trailer, VERSION};
use std::collections::HashMap;
use std::io;

/// Bytes of a body escaped at a time: bounds how far the output buffer must be grown ahead.
const PIECE_BYTES: usize = 8 * 1024;

/// A JSON escape is at most six bytes long (`\u001f`).
const ESCAPE_BYTES: usize = 6;

/// Turns batches into compressed frames. One per open segment; buffers are reused.
pub struct Renderer {
    lines: Lines,
    numbers: HashMap<u64, u32>,
    map: Vec<u32>,
    used: Vec<bool>,
    compressor: zstd::bulk::Compressor<'static>,
    compressed: Vec<u8>,
}

impl Renderer {
    /// A renderer at the given zstd level.
    ///
    /// # Errors
    /// When zstd refuses the level or has no memory.
    pub fn new(level: i32) -> io::Result<Self> {
        Ok(Self {
            lines: Lines::default(),
            numbers: HashMap::new(),
            map: Vec::new(),
            used: Vec::new(),
            compressor: zstd::bulk::Compressor::new(level)?,
            compressed: Vec::new(),
        })
    }

    /// Starts a new segment: stream numbers begin at 0 again and streams are described anew.
    pub fn reset(&mut self) {
        self.numbers.clear();
    }

    /// Renders a batch; the slice is valid until the next call.
    ///
    /// # Errors
    /// When zstd fails.
    pub fn render(&mut self, batch: &Batch, records: &[Record]) -> io::Result<&[u8]> {
        self.compressed.clear();
        if records.is_empty() {
            return Ok(&self.compressed);
        }
        self.lines.used = 0;
        self.map.clear();
        // Streams of records that did not come this far are not worth a line.
        self.used.clear();
        self.used.resize(batch.streams.len(), false);
        for record in records {
            self.used[record.stream as usize] = true;
        }
        for (stream, used) in batch.streams.iter().zip(&self.used) {
            if !used {
                self.map.push(u32::MAX);
                continue;
            }
            let next = u32::try_from(self.numbers.len()).map_err(io::Error::other)?;
            let number = *self.numbers.entry(stream.key).or_insert(next);
            if number == next {
                self.lines.stream(stream, number)?;
            }
            self.map.push(number);
        }
        for record in records {
            self.lines.record(batch, record, self.map[record.stream as usize]);
        }
        let lines = &self.lines.bytes[..self.lines.used];
        self.compressed.reserve(zstd::zstd_safe::compress_bound(lines.len()));
        self.compressor.compress_to_buffer(lines, &mut self.compressed)?;
        self.lines.shrink();
        Ok(&self.compressed)
    }

    /// The JSON lines of the last rendered batch, uncompressed.
    #[cfg(test)]
    pub fn text(&self) -> &[u8] {
        &self.lines.bytes[..self.lines.used]
    }
}

/// The header frame of an object.
///
/// # Errors
/// When zstd fails.
pub fn header(cluster: &str, node: &str, segment: u64) -> io::Result<Vec<u8>> {
    let header = Header {
        landing: VERSION,
        cluster: cluster.to_owned(),
        node: node.to_owned(),
        segment: format!("{segment:016x}"),
        collector: env!("CARGO_PKG_VERSION").to_owned(),
    };
    frame(&serde_json::to_vec(&header)?)
}

/// The trailer frame of an object.
///
/// # Errors
/// When zstd fails.
pub fn trailer(records: u64) -> io::Result<Vec<u8>> {
    frame(&serde_json::to_vec(&Trailer { end: records })?)
}

fn frame(line: &[u8]) -> io::Result<Vec<u8>> {
    let mut text = line.to_vec();
    text.push(b'\n');
    zstd::bulk::compress(&text, 1)
}

/// JSON lines under construction. `bytes` is kept at its high-water length and only its first
/// `used` bytes count, so that the escaper can store eight bytes at a time and step back.
#[derive(Default)]
struct Lines {
    bytes: Vec<u8>,
    used: usize,
}

impl Lines {
    /// Makes room for `more` bytes.
    fn room(&mut self, more: usize) {
        let need = self.used + more;
        if self.bytes.len() < need {
            self.bytes.resize(need.next_multiple_of(64 * 1024), 0);
        }
    }

    /// Gives back what one oversized record took.
    fn shrink(&mut self) {
        const KEEP: usize = 2 * 1024 * 1024;
        if self.bytes.len() > KEEP && self.used < KEEP {
            self.bytes.truncate(KEEP);
            self.bytes.shrink_to_fit();
        }
    }

    /// Appends without a check for room: callers reserved it.
    fn put(&mut self, text: &[u8]) {
        let end = self.used + text.len();
        self.bytes[self.used..end].copy_from_slice(text);
        self.used = end;
    }

    fn number(&mut self, mut n: u64) {
        let mut digits = [0u8; 20];
        let mut at = digits.len();
        loop {
            at -= 1;
            digits[at] = b'0' + (n % 10) as u8;
            n /= 10;
            if n == 0 {
                break;
            }
        }
        self.put(&digits[at..]);
    }

    fn stream(&mut self, stream: &Stream, number: u32) -> io::Result<()> {
        let line = serde_json::to_vec(&stream.landing(number))?;
        self.room(line.len() + 1);
        self.put(&line);
        self.put(b"\n");
        Ok(())
    }

    fn record(&mut self, batch: &Batch, record: &Record, number: u32) {
        let time = batch.bytes(record.time);
        let body = batch.bytes(record.body);
        // Two numbers of at most 20 digits, the keys and the closing part: well below 128 bytes.
        self.room(time.len() + 128);
        self.put(b"{\"s\":");
        self.number(u64::from(number));
        self.put(b",\"o\":");
        self.number(record.offset);
        self.put(b",\"t\":\"");
        self.put(time);
        let utf8 = record.encoding == Encoding::Utf8 || simdutf8::basic::from_utf8(body).is_ok();
        if utf8 {
            self.put(b"\",\"b\":\"");
            for piece in body.chunks(PIECE_BYTES) {
                self.escaped(piece);
            }
        } else {
            self.put(b"\",\"b64\":\"");
            let text = STANDARD.encode(body);
            self.room(text.len());
            self.put(text.as_bytes());
        }
        let extra = batch.bytes(record.extra);
        self.room(extra.len() + 32);
        self.put(match record.cut {
            Cut::No => b"\"",
            Cut::Split => b"\",\"cut\":\"split\"",
            Cut::Truncated => b"\",\"cut\":\"truncated\"",
        });
        self.put(extra);
        self.put(b"}\n");
    }

    /// Appends text with JSON escapes. Works on bytes: multi-byte characters pass through.
    fn escaped(&mut self, text: &[u8]) {
        self.room(text.len() * ESCAPE_BYTES + 8);
        let out = &mut self.bytes[..];
        let (mut from, mut to) = (0, self.used);
        while let Some(chunk) = text.get(from..).and_then(<[u8]>::first_chunk::<8>) {
            out[to..to + 8].copy_from_slice(chunk);
            let found = needs_escape(u64::from_le_bytes(*chunk));
            if found == 0 {
                from += 8;
                to += 8;
            } else {
                let clean = (found.trailing_zeros() / 8) as usize;
                to += clean;
                to += escape(text[from + clean], &mut out[to..]);
                from += clean + 1;
            }
        }
        for &byte in &text[from..] {
            if byte < 0x20 || byte == b'"' || byte == b'\\' {
                to += escape(byte, &mut out[to..]);
            } else {
                out[to] = byte;
                to += 1;
            }
        }
        self.used = to;
    }
}

/// The high bit of the lowest byte that JSON wants escaped (and maybe of bytes above it: the
/// borrow of a subtraction only travels upwards, so the lowest marked byte is always right).
fn needs_escape(word: u64) -> u64 {
    const ONES: u64 = u64::from_le_bytes([1; 8]);
    const HIGH: u64 = ONES << 7;
    let zero = |x: u64| x.wrapping_sub(ONES) & !x;
    let control = word.wrapping_sub(ONES * 0x20) & !word;
    (control | zero(word ^ (ONES * b'"' as u64)) | zero(word ^ (ONES * b'\\' as u64))) & HIGH
}

fn escape(byte: u8, out: &mut [u8]) -> usize {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let short = match byte {
        b'"' => b'"',
        b'\\' => b'\\',
        b'\n' => b'n',
        b'\r' => b'r',
        b'\t' => b't',
        _ => {
            let long = [b'\\', b'u', b'0', b'0', HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]];
            out[..6].copy_from_slice(&long);
            return 6;
        }
    };
    out[..2].copy_from_slice(&[b'\\', short]);
    2
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::Span;
    use crate::position::Fingerprint;
    use crate::stream::{Meta, Owner, Stdio};
    use proptest::prelude::*;
    use std::path::Path;
    use std::sync::Arc;

    fn batch(bodies: &[&[u8]]) -> Batch {
        let owner = Owner::parse("shop_api_u1", "api", "0.log").unwrap();
        let stream =
            Stream::of_file(Fingerprint(1), &owner, Stdio::Stdout, Path::new("p/0.log"), &Meta::default());
        let mut batch = Batch { streams: vec![Arc::new(stream)], ..Batch::default() };
        for (i, body) in bodies.iter().enumerate() {
            let start = batch.joined.len();
            batch.joined.extend_from_slice(b"2026-11-22T10:00:00Z");
            let middle = batch.joined.len();
            batch.joined.extend_from_slice(body);
            batch.records.push(Record {
                stream: 0,
                encoding: Encoding::Unchecked,
                cut: if i == 1 { Cut::Split } else { Cut::No },
                offset: i as u64 * 100,
                time: Span::joined(start, middle),
                body: Span::joined(middle, batch.joined.len()),
                extra: Span::default(),
            });
        }
        batch
    }

    fn render<'a>(renderer: &'a mut Renderer, batch: &Batch) -> io::Result<&'a [u8]> {
        renderer.render(batch, &batch.records)
    }

    fn bodies_of(text: &[u8]) -> Vec<Vec<u8>> {
        let lines = std::str::from_utf8(text).unwrap().lines();
        let records = lines.filter(|line| line.starts_with("{\"s\":"));
        records
            .map(|line| {
                let record: logq_schemas::landing::Record<'_> = serde_json::from_str(line).expect(line);
                match (record.b, record.b64) {
                    (Some(text), None) => text.into_owned().into_bytes(),
                    (None, Some(text)) => STANDARD.decode(text.as_ref()).unwrap(),
                    other => panic!("one body expected: {other:?}"),
                }
            })
            .collect()
    }

    #[test]
    fn a_frame_is_what_the_format_says() {
        let mut renderer = Renderer::new(1).unwrap();
        let compressed =
            render(&mut renderer, &batch(&[b"say \"hi\"\t\\", b"\xff\x00", b""])).unwrap().to_vec();
        let text = zstd::decode_all(&compressed[..]).unwrap();
        let expected = concat!(
            r#"{"stream":0,"id":"00000000000000000000000000000001","namespace":"shop","pod":"api","pod_uid":"u1","container":"api","restart":0,"stdio":"stdout","file":"0.log"}"#,
            "\n",
            r#"{"s":0,"o":0,"t":"2026-11-22T10:00:00Z","b":"say \"hi\"\t\\"}"#,
            "\n",
            r#"{"s":0,"o":100,"t":"2026-11-22T10:00:00Z","b64":"/wA=","cut":"split"}"#,
            "\n",
            r#"{"s":0,"o":200,"t":"2026-11-22T10:00:00Z","b":""}"#,
            "\n",
        );
        assert_eq!(String::from_utf8(text).unwrap(), expected);
    }

    #[test]
    fn a_stream_is_described_once_per_segment() {
        let mut renderer = Renderer::new(1).unwrap();
        let batch = batch(&[b"x"]);
        let count =
            |text: &[u8]| text.split(|b| *b == b'\n').filter(|l| l.starts_with(b"{\"stream\"")).count();
        for (reset, expected) in [(false, 1), (false, 0), (true, 1)] {
            if reset {
                renderer.reset();
            }
            render(&mut renderer, &batch).unwrap();
            assert_eq!(count(renderer.text()), expected);
        }
    }

    #[test]
    fn every_byte_at_every_place_of_a_word_survives() {
        for byte in 0..=255u8 {
            for place in 0..17 {
                let mut body = vec![b'a'; 17];
                body[place] = byte;
                let mut renderer = Renderer::new(1).unwrap();
                render(&mut renderer, &batch(&[&body])).unwrap();
                assert_eq!(bodies_of(renderer.text()), [body], "byte {byte} at {place}");
            }
        }
    }

    proptest! {
        #[test]
        fn any_body_survives(bodies in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..60), 1..5),
                             text in ".{0,20000}") {
            let mut all: Vec<&[u8]> = bodies.iter().map(Vec::as_slice).collect();
            all.push(text.as_bytes());
            let mut renderer = Renderer::new(1).unwrap();
            render(&mut renderer, &batch(&all)).unwrap();
            prop_assert_eq!(bodies_of(renderer.text()), all);
        }
    }
}
