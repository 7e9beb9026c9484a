//! A segment: one durable file of the spool.
//!
//! A segment is a sequence of frames, one per batch. A frame is whole or it does not count:
//!
//! ```text
//! "LQF1" | payload length u32 | footer length u32 | records u32 | raw bytes u32 | 0 u32 | crc32 u32
//! payload: per lane one zstd frame of landing lines
//! footer:  JSON, which files advanced from where to where, and how the payload is divided
//! ```
//!
//! Numbers are little endian; the checksum covers the 24 bytes before it, payload and footer.
//! Because zstd frames concatenate, a landing object is header frame + the payloads of one lane +
//! trailer frame: nothing is decompressed on the way out.
//!
//! Promise: whatever happened to the file, reading it never fails on content. Damaged parts are
//! skipped and counted, everything that still carries a right checksum is returned.

use crate::position::Advance;
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use twox_hash::xxhash3_128;

const MAGIC: &[u8; 4] = b"LQF1";

/// Length of a frame header in bytes.
pub const HEADER_BYTES: usize = 28;

/// Bytes read at a time while a segment is checked: it is never held in memory as a whole.
const PIECE_BYTES: usize = 64 * 1024;

/// The part of a frame's payload that belongs to one lane.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Section {
    /// Identity of the lane: what its records went through.
    pub lane: String,
    /// Names of the sinks that take this lane.
    pub sinks: Vec<String>,
    /// Length within the payload.
    pub len: u32,
    /// Records in it.
    pub records: u32,
}

/// What a frame says about its content.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Footer {
    /// Time of the first record as written in it; empty when the frame has no record.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub time: String,
    /// How far each file got.
    pub advances: Vec<Advance>,
    /// 32 hex digits over the payload of a frame whose records come from no file: what tells it
    /// from others, as advances do for files.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub content: String,
    /// How the payload is divided, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sections: Vec<Section>,
}

/// A frame found in a segment.
#[derive(Debug)]
pub struct Frame {
    /// Where the payload is in the file.
    pub payload: Range<u64>,
    /// Number of record lines in the payload, over all lanes.
    pub records: u32,
    /// Bytes of source files behind it.
    pub raw_bytes: u32,
    /// Positions and sections.
    pub footer: Footer,
}

impl Frame {
    /// The sections with their places in the file.
    pub fn sections(&self) -> impl Iterator<Item = (&Section, Range<u64>)> {
        let mut at = self.payload.start;
        self.footer.sections.iter().map(move |section| {
            let start = at;
            at = start.saturating_add(u64::from(section.len)).min(self.payload.end);
            (section, start..at)
        })
    }
}

/// Appends a frame to `out`.
///
/// # Errors
/// When the footer can't be encoded or a part exceeds 4 GiB.
pub fn encode(
    out: &mut Vec<u8>,
    payload: &[u8],
    footer: &Footer,
    records: u32,
    raw_bytes: u64,
) -> io::Result<()> {
    let footer = serde_json::to_vec(footer)?;
    let size = |n: usize| u32::try_from(n).map_err(|_| io::Error::other("frame part exceeds 4 GiB"));
    let start = out.len();
    out.extend_from_slice(MAGIC);
    out.extend_from_slice(&size(payload.len())?.to_le_bytes());
    out.extend_from_slice(&size(footer.len())?.to_le_bytes());
    out.extend_from_slice(&records.to_le_bytes());
    out.extend_from_slice(&u32::try_from(raw_bytes).unwrap_or(u32::MAX).to_le_bytes());
    out.extend_from_slice(&0u32.to_le_bytes());
    let mut crc = crc32fast::Hasher::new();
    crc.update(&out[start..]);
    crc.update(payload);
    crc.update(&footer);
    out.extend_from_slice(&crc.finalize().to_le_bytes());
    out.extend_from_slice(payload);
    out.extend_from_slice(&footer);
    Ok(())
}

/// What a segment file holds; the payloads stay in the file.
#[derive(Debug, Default)]
pub struct Segment {
    /// Whole frames, in order.
    pub frames: Vec<Frame>,
    /// Damaged parts between whole frames.
    pub damaged: u32,
    /// End of the last whole frame; what follows is a torn tail.
    pub end: u64,
    /// Length of the file.
    pub len: u64,
}

impl Segment {
    /// Checks a segment file, reading it once with a small buffer.
    ///
    /// # Errors
    /// Only when the file itself can't be read.
    pub fn read(path: &Path) -> io::Result<Self> {
        Self::scan(&File::open(path)?)
    }

    /// Finds all whole frames of an open file.
    ///
    /// # Errors
    /// Only when the file itself can't be read.
    pub fn scan(file: &File) -> io::Result<Self> {
        let mut segment = Self { len: file.metadata()?.len(), ..Self::default() };
        let mut piece = vec![0; PIECE_BYTES];
        let mut at = 0;
        while at < segment.len {
            if let Some((frame, end)) = frame_at(file, at, segment.len, &mut piece)? {
                // A gap between whole frames is damage; one behind the last is a torn tail.
                segment.damaged += u32::from(at != segment.end);
                segment.frames.push(frame);
                segment.end = end;
                at = end;
            } else {
                match find_magic(file, at + 1, segment.len, &mut piece)? {
                    Some(next) => at = next,
                    None => break,
                }
            }
        }
        Ok(segment)
    }

    /// Bytes behind the last whole frame.
    pub fn torn(&self) -> u64 {
        self.len - self.end
    }

    /// Number of records in all whole frames, over all lanes.
    pub fn records(&self) -> u64 {
        self.frames.iter().map(|frame| u64::from(frame.records)).sum()
    }

    /// Number of records and the places of the payloads in the sections that `wanted` picks.
    pub fn select(&self, wanted: impl Fn(&Section) -> bool) -> (u64, Vec<Range<u64>>) {
        let sections = self.frames.iter().flat_map(Frame::sections);
        let mut records = 0;
        let mut ranges = Vec::new();
        for (section, range) in sections.filter(|(section, _)| section.records > 0 && wanted(section)) {
            records += u64::from(section.records);
            ranges.push(range);
        }
        (records, ranges)
    }
}

fn frame_at(file: &File, at: u64, len: u64, piece: &mut [u8]) -> io::Result<Option<(Frame, u64)>> {
    let payload_start = at + HEADER_BYTES as u64;
    if payload_start > len {
        return Ok(None);
    }
    let mut header = [0u8; HEADER_BYTES];
    file.read_exact_at(&mut header, at)?;
    if &header[..4] != MAGIC {
        return Ok(None);
    }
    let number = |i: usize| u32::from_le_bytes([header[i], header[i + 1], header[i + 2], header[i + 3]]);
    let payload_end = payload_start + u64::from(number(4));
    let end = payload_end + u64::from(number(8));
    if end > len {
        return Ok(None);
    }
    let mut crc = crc32fast::Hasher::new();
    crc.update(&header[..24]);
    let mut from = payload_start;
    while from < payload_end {
        let take = usize::try_from(payload_end - from).unwrap_or(usize::MAX).min(piece.len());
        file.read_exact_at(&mut piece[..take], from)?;
        crc.update(&piece[..take]);
        from += take as u64;
    }
    let mut footer = vec![0; number(8) as usize];
    file.read_exact_at(&mut footer, payload_end)?;
    crc.update(&footer);
    if crc.finalize() != number(24) {
        return Ok(None);
    }
    let Ok(footer) = serde_json::from_slice::<Footer>(&footer) else { return Ok(None) };
    let frame =
        Frame { payload: payload_start..payload_end, records: number(12), raw_bytes: number(16), footer };
    Ok(Some((frame, end)))
}

/// The next place at or behind `at` that may begin a frame.
fn find_magic(file: &File, mut at: u64, len: u64, piece: &mut [u8]) -> io::Result<Option<u64>> {
    while at + (MAGIC.len() as u64) <= len {
        let take = usize::try_from(len - at).unwrap_or(usize::MAX).min(piece.len());
        file.read_exact_at(&mut piece[..take], at)?;
        if let Some(found) = memchr::memmem::find(&piece[..take], MAGIC) {
            return Ok(Some(at + found as u64));
        }
        // The magic may lie across two pieces.
        at += (take - (MAGIC.len() - 1)) as u64;
    }
    Ok(None)
}

/// Collects the identity of a segment's content: same positions and lane, same digest, same object key.
#[derive(Clone)]
pub struct Digest(xxhash3_128::Hasher);

impl std::fmt::Debug for Digest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.hex(""))
    }
}

impl Default for Digest {
    fn default() -> Self {
        Self(xxhash3_128::Hasher::new())
    }
}

impl Digest {
    /// Takes in a frame's positions, or what stands for them.
    pub fn update(&mut self, footer: &Footer) {
        self.0.write(footer.content.as_bytes());
        for advance in &footer.advances {
            self.0.write(&advance.position.id.0.to_le_bytes());
            self.0.write(&advance.from.to_le_bytes());
            self.0.write(&advance.position.to.to_le_bytes());
        }
    }

    /// 32 hex digits for the part of the content that belongs to `lane`.
    pub fn hex(&self, lane: &str) -> String {
        let mut hasher = self.0.clone();
        hasher.write(lane.as_bytes());
        format!("{:032x}", hasher.finish_128())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::position::{Fingerprint, Position};

    fn footer(to: u64) -> Footer {
        let position = Position {
            id: Fingerprint(5),
            to,
            open: vec![],
            long_line: None,
            time: String::new(),
            path: "0.log".into(),
            signs: crate::position::Signs::default(),
        };
        Footer {
            time: "2026-11-22T10:00:00Z".into(),
            advances: vec![Advance { from: to - 1, position, reset: false, forget: false }],
            content: String::new(),
            sections: [("a", 40), ("b", 60)]
                .map(|(lane, len)| Section { lane: lane.into(), sinks: vec![], len, records: 1 })
                .into(),
        }
    }

    fn three() -> (Vec<u8>, Vec<usize>) {
        let (mut bytes, mut ends) = (Vec::new(), Vec::new());
        for i in 1..=3u32 {
            let payload = vec![i as u8; 100];
            encode(&mut bytes, &payload, &footer(u64::from(i)), i, 10).unwrap();
            ends.push(bytes.len());
        }
        (bytes, ends)
    }

    fn scan(bytes: &[u8]) -> (tempfile::NamedTempFile, Segment) {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), bytes).unwrap();
        let segment = Segment::read(file.path()).unwrap();
        (file, segment)
    }

    #[test]
    fn frames_round_trip_and_divide_into_sections() {
        let (bytes, _) = three();
        let (_, segment) = scan(&bytes);
        assert_eq!((segment.frames.len(), segment.records(), segment.torn(), segment.damaged), (3, 6, 0, 0));
        assert_eq!(segment.frames[1].footer, footer(2));
        let (records, ranges) = segment.select(|section| section.lane == "b");
        assert_eq!((records, ranges.len()), (3, 3));
        let range = |i: usize| ranges[i].start as usize..ranges[i].end as usize;
        assert_eq!(&bytes[range(2)], &[3u8; 60][..]);
    }

    #[test]
    fn every_cut_leaves_the_whole_frames_before_it() {
        let (bytes, ends) = three();
        for cut in 0..bytes.len() {
            let (_, segment) = scan(&bytes[..cut]);
            let whole = ends.iter().filter(|end| **end <= cut).count();
            assert_eq!((segment.frames.len(), segment.damaged), (whole, 0), "cut at {cut}");
            let torn = cut - whole.checked_sub(1).map_or(0, |i| ends[i]);
            assert_eq!(segment.torn(), torn as u64);
        }
    }

    #[test]
    fn every_flipped_byte_costs_one_frame_at_most() {
        let (bytes, ends) = three();
        for at in 0..bytes.len() {
            let mut broken = bytes.clone();
            broken[at] ^= 0x40;
            let (_, segment) = scan(&broken);
            assert_eq!(segment.frames.len(), 2, "flip at {at}");
            let last = at >= ends[1];
            assert_eq!((segment.damaged, segment.torn() > 0), (u32::from(!last), last), "flip at {at}");
        }
    }

    #[test]
    fn arbitrary_bytes_are_no_segment_and_a_frame_behind_them_is_found() {
        let junk = [MAGIC.as_slice(), &[0xff; 200]].concat();
        assert_eq!(scan(&junk).1.frames.len(), 0);
        let (frames, _) = three();
        for len in [PIECE_BYTES - 2, PIECE_BYTES, PIECE_BYTES + 1, 3 * PIECE_BYTES - 5] {
            let (_, segment) = scan(&[vec![0x4c; len], frames.clone()].concat());
            assert_eq!((segment.frames.len(), segment.damaged), (3, 1), "{len} bytes of junk");
        }
    }
}
