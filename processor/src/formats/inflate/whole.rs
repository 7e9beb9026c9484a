//! One gzip member inflated in one call, for the objects whose size allows it.
//!
//! Nearly every log object is a single gzip member of a few megabytes at most. Inflating it at once into
//! a buffer of its final size (libdeflate) costs less than half of what a stream costs. Whatever is not
//! surely such an object (several members, damage, a second compression inside, a size beyond
//! [`WHOLE_BYTES_MAX`]) is left to the stream, which also says what is wrong with it.

use super::Magic;
use libdeflater::{Decompressor, crc32};
use memchr::memmem;

/// Largest object inflated at once. CloudTrail objects and the collector's landing objects stay below
/// it; flow log files (up to 75 MB stored) stream, so that memory stays bounded.
const WHOLE_BYTES_MAX: usize = 64 << 20;

/// CRC-32 and size that end a member (RFC 1952, 2.3.1).
const TRAILER_BYTES: usize = 8;

/// The bytes of the only member; `None` when the stream must look at it.
pub(super) fn inflate(stored: &[u8], limit: u64) -> Option<Vec<u8>> {
    let (_, trailer) = stored.split_last_chunk::<TRAILER_BYTES>()?;
    let [c0, c1, c2, c3, s0, s1, s2, s3] = *trailer;
    let size = usize::try_from(u32::from_le_bytes([s0, s1, s2, s3])).ok()?;
    if size == 0 || size > WHOLE_BYTES_MAX || size as u64 > limit || is_maybe_several(stored) {
        return None;
    }
    let mut out = vec![0; size];
    let written = Decompressor::new().gzip_decompress(stored, &mut out).ok()?;
    // The call checks the trailer after the deflate data; that these are the last bytes of the object is
    // only known when they say the same.
    let is_last = written == size && crc32(&out) == u32::from_le_bytes([c0, c1, c2, c3]);
    (is_last && Magic::of(&out).is_none()).then_some(out)
}

/// Whether the start of another member may lie in the object. Compressed data holds these three bytes by
/// chance once in 16 MB: such an object is streamed.
fn is_maybe_several(stored: &[u8]) -> bool {
    stored.get(1..).is_some_and(|rest| memmem::find(rest, &[0x1f, 0x8b, 0x08]).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn gz(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).expect("writes to memory");
        encoder.finish().expect("writes to memory")
    }

    #[test]
    fn a_single_member_is_inflated_at_once() {
        let text: Vec<u8> = (0..9_000).flat_map(|line| format!("line {line}\n").into_bytes()).collect();
        assert_eq!(inflate(&gz(&text), u64::MAX), Some(text));
    }

    #[test]
    fn everything_else_is_left_to_the_stream() {
        let one = gz(b"the same text");
        let mut flipped = one.clone();
        let middle = flipped.len() / 2;
        flipped[middle] ^= 0x10;
        for (what, stored) in [
            ("two equal members", [one.clone(), one.clone()].concat()),
            ("bytes after the member", [one.clone(), b"garbage".to_vec()].concat()),
            ("zeros after the member", [one.clone(), vec![0; 512]].concat()),
            ("a cut member", one[..one.len() - 1].to_vec()),
            ("damage", flipped),
            ("gzip in gzip", gz(&one)),
            ("nothing", gz(b"")),
            ("no gzip", b"{\"Records\":[]}".to_vec()),
            ("short", vec![0x1f, 0x8b]),
        ] {
            assert_eq!(inflate(&stored, u64::MAX), None, "{what}");
        }
        assert_eq!(inflate(&one, 12), None, "past the limit");
    }
}
