//! A segment: one durable file of the spool.
//!
//! A segment is a sequence of frames, one per batch. A frame is whole or it does not count:
//!
//! ```text
//! "LQF1" | payload length u32 | footer length u32 | records u32 | raw bytes u32 | 0 u32 | crc32 u32
//! payload: one zstd frame of landing lines
//! footer:  JSON, which files advanced from where to where
//! ```
//!
//! Numbers are little endian; the checksum covers the 24 bytes before it, payload and footer.
//! Because zstd frames concatenate, a landing object is header frame + payloads + trailer frame:
//! nothing is decompressed on the way out.
//!
//! Promise: whatever happened to the file, reading it never fails on content. Damaged parts are
//! skipped and counted, everything that still carries a right checksum is returned.

use crate::position::Advance;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::io;
use std::ops::Range;
use std::path::Path;
use twox_hash::xxhash3_128;

const MAGIC: &[u8; 4] = b"LQF1";

/// Length of a frame header in bytes.
pub const HEADER_BYTES: usize = 28;

/// What a frame says about its content.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Footer {
    /// Time of the first record as written in it; empty when the frame has no record.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub time: String,
    /// How far each file got.
    pub advances: Vec<Advance>,
}

/// A frame found in a segment.
#[derive(Debug)]
pub struct Frame {
    /// Where the payload is in the file.
    pub payload: Range<usize>,
    /// Number of record lines in the payload.
    pub records: u32,
    /// Bytes of source files behind it.
    pub raw_bytes: u32,
    /// Positions.
    pub footer: Footer,
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

/// The content of a segment file.
#[derive(Debug)]
pub struct Segment {
    /// The file.
    pub bytes: Bytes,
    /// Whole frames, in order.
    pub frames: Vec<Frame>,
    /// Damaged parts between whole frames.
    pub damaged: u32,
    /// End of the last whole frame; what follows is a torn tail.
    pub end: usize,
}

impl Segment {
    /// Reads a segment file.
    ///
    /// # Errors
    /// Only when the file itself can't be read.
    pub fn read(path: &Path) -> io::Result<Self> {
        Ok(Self::parse(Bytes::from(std::fs::read(path)?)))
    }

    /// Finds all whole frames in `bytes`.
    pub fn parse(bytes: Bytes) -> Self {
        let mut segment = Self { bytes, frames: Vec::new(), damaged: 0, end: 0 };
        let mut at = 0;
        while at < segment.bytes.len() {
            if let Some((frame, end)) = frame_at(&segment.bytes, at) {
                // A gap between whole frames is damage; one behind the last is a torn tail.
                segment.damaged += u32::from(at != segment.end);
                segment.frames.push(frame);
                segment.end = end;
                at = end;
            } else {
                let rest = &segment.bytes[at + 1..];
                match memchr::memmem::find(rest, MAGIC) {
                    Some(next) => at += 1 + next,
                    None => break,
                }
            }
        }
        segment
    }

    /// Bytes behind the last whole frame.
    pub fn torn(&self) -> usize {
        self.bytes.len() - self.end
    }

    /// Number of records in all whole frames.
    pub fn records(&self) -> u64 {
        self.frames.iter().map(|frame| u64::from(frame.records)).sum()
    }
}

fn frame_at(bytes: &[u8], at: usize) -> Option<(Frame, usize)> {
    let header = bytes.get(at..at + HEADER_BYTES)?;
    if &header[..4] != MAGIC {
        return None;
    }
    let number = |i: usize| {
        let four = [header[i], header[i + 1], header[i + 2], header[i + 3]];
        u32::from_le_bytes(four)
    };
    let payload_start = at + HEADER_BYTES;
    let payload_end = payload_start.checked_add(number(4) as usize)?;
    let end = payload_end.checked_add(number(8) as usize)?;
    let body = bytes.get(payload_start..end)?;
    let mut crc = crc32fast::Hasher::new();
    crc.update(&header[..24]);
    crc.update(body);
    if crc.finalize() != number(24) {
        return None;
    }
    let footer = serde_json::from_slice(bytes.get(payload_end..end)?).ok()?;
    let frame =
        Frame { payload: payload_start..payload_end, records: number(12), raw_bytes: number(16), footer };
    Some((frame, end))
}

/// Collects the identity of a segment's content: same positions, same digest, same object key.
pub struct Digest(xxhash3_128::Hasher);

impl Default for Digest {
    fn default() -> Self {
        Self(xxhash3_128::Hasher::new())
    }
}

impl Digest {
    /// Takes in a frame's positions.
    pub fn update(&mut self, footer: &Footer) {
        for advance in &footer.advances {
            self.0.write(&advance.position.id.0.to_le_bytes());
            self.0.write(&advance.from.to_le_bytes());
            self.0.write(&advance.position.to.to_le_bytes());
        }
    }

    /// 32 hex digits.
    pub fn hex(&self) -> String {
        format!("{:032x}", self.0.finish_128())
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
        };
        Footer {
            time: "2026-11-22T10:00:00Z".into(),
            advances: vec![Advance { from: to - 1, position, reset: false, forget: false }],
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

    #[test]
    fn frames_round_trip() {
        let (bytes, _) = three();
        let segment = Segment::parse(bytes.into());
        assert_eq!((segment.frames.len(), segment.records(), segment.torn(), segment.damaged), (3, 6, 0, 0));
        assert_eq!(segment.frames[1].footer, footer(2));
        assert_eq!(&segment.bytes[segment.frames[2].payload.clone()], &[3u8; 100][..]);
    }

    #[test]
    fn every_cut_leaves_the_whole_frames_before_it() {
        let (bytes, ends) = three();
        for cut in 0..bytes.len() {
            let segment = Segment::parse(Bytes::copy_from_slice(&bytes[..cut]));
            let whole = ends.iter().filter(|end| **end <= cut).count();
            assert_eq!((segment.frames.len(), segment.damaged), (whole, 0), "cut at {cut}");
            assert_eq!(segment.torn(), cut - whole.checked_sub(1).map_or(0, |i| ends[i]));
        }
    }

    #[test]
    fn every_flipped_byte_costs_one_frame_at_most() {
        let (bytes, ends) = three();
        for at in 0..bytes.len() {
            let mut broken = bytes.clone();
            broken[at] ^= 0x40;
            let segment = Segment::parse(broken.into());
            assert_eq!(segment.frames.len(), 2, "flip at {at}");
            let last = at >= ends[1];
            assert_eq!((segment.damaged, segment.torn() > 0), (u32::from(!last), last), "flip at {at}");
        }
    }

    #[test]
    fn arbitrary_bytes_are_no_segment() {
        let junk = [MAGIC.as_slice(), &[0xff; 200]].concat();
        assert_eq!(Segment::parse(junk.into()).frames.len(), 0);
    }
}
