//! The payload of a data object, `FIELD=value`, whatever it is compressed with.

use super::format::{self, Fault, Kind, Pages, fault, u64_at};
use lzma_rust2::XzReader;
use std::io::Read as _;

/// Longest payload that is looked at. Longer ones are core dumps of long ago, not log messages.
pub const PAYLOAD_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Memory an XZ decoder may take, in KiB: presets up to 9 need 65 MiB.
const XZ_KIB_MAX: u32 = 68 * 1024;
/// Bytes read at first: enough for a field's name (64 bytes at most) and most values.
const FIRST_BYTES: usize = 512;

/// Buffers for reading payloads.
#[derive(Debug, Default)]
pub struct Payloads {
    packed: Vec<u8>,
    plain: Vec<u8>,
}

/// A payload and what its object says about it.
#[derive(Debug)]
pub struct Payload<'a> {
    /// `FIELD=value`; only its beginning when `whole` is false.
    pub bytes: &'a [u8],
    /// False when the caller did not want the rest.
    pub whole: bool,
    /// Entries that share this object.
    pub entries: u64,
}

impl Payloads {
    /// Reads the data object at `offset`. `wanted` is asked with its beginning whether the rest is
    /// worth reading; that spares reading what no one asked for.
    ///
    /// # Errors
    /// When the object is damaged, or not written yet.
    pub fn read(
        &mut self,
        pages: &mut Pages,
        offset: u64,
        compact: bool,
        wanted: impl Fn(&[u8]) -> bool,
    ) -> Result<Payload<'_>, Fault> {
        let start: u64 = if compact { 72 } else { 64 };
        let (flags, size) = pages.object(offset, Kind::Data, start)?;
        let mut entries = [0; 8];
        pages.read(offset + 56, &mut entries)?;
        let entries = u64_at(&entries, 0);
        let len = size - start;
        if len > PAYLOAD_BYTES_MAX {
            return fault(offset, "too long");
        }
        // Bounded by the line above, and by the size of the file.
        let len = usize::try_from(len).unwrap_or(usize::MAX);
        let first = len.min(FIRST_BYTES);
        self.packed.resize(first, 0);
        pages.read(offset + start, &mut self.packed)?;
        let compression = flags & (format::XZ | format::LZ4 | format::ZSTD);
        if compression == 0 && first < len && !wanted(&self.packed) {
            return Ok(Payload { bytes: &self.packed, whole: false, entries });
        }
        if first < len {
            self.packed.resize(len, 0);
            pages.read(offset + start + first as u64, &mut self.packed[first..])?;
        }
        if compression == 0 {
            return Ok(Payload { bytes: &self.packed, whole: true, entries });
        }
        self.plain.clear();
        let done = match compression {
            format::ZSTD => unpack_zstd(&self.packed, &mut self.plain),
            format::LZ4 => unpack_lz4(&self.packed, &mut self.plain),
            format::XZ => unpack_xz(&self.packed, &mut self.plain),
            _ => None,
        };
        match done {
            Some(()) => Ok(Payload { bytes: &self.plain, whole: true, entries }),
            None => fault(offset, "not decompressible"),
        }
    }

    /// Gives back what one long payload took.
    pub fn shrink(&mut self) {
        const KEEP: usize = 256 * 1024;
        for buffer in [&mut self.packed, &mut self.plain] {
            buffer.truncate(KEEP);
            buffer.shrink_to(KEEP);
        }
    }
}

fn unpack_zstd(packed: &[u8], out: &mut Vec<u8>) -> Option<()> {
    // systemd compresses in one call, which writes the size into the frame.
    let size = zstd::zstd_safe::get_frame_content_size(packed).ok()??;
    if size > PAYLOAD_BYTES_MAX {
        return None;
    }
    out.reserve(usize::try_from(size).ok()?);
    zstd::bulk::Decompressor::new().ok()?.decompress_to_buffer(packed, out).ok().map(drop)
}

fn unpack_lz4(packed: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let (size, block) = (u64_at(packed, 0), packed.get(8..)?);
    // One byte of a block stands for at most 255.
    if size > PAYLOAD_BYTES_MAX || size > block.len() as u64 * 255 {
        return None;
    }
    out.resize(usize::try_from(size).ok()?, 0);
    let len = lz4_flex::block::decompress_into(block, out).ok()?;
    (len == out.len()).then_some(())
}

fn unpack_xz(packed: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let mut reader = XzReader::new_mem_limit(packed, false, XZ_KIB_MAX).take(PAYLOAD_BYTES_MAX + 1);
    reader.read_to_end(out).ok()?;
    (out.len() as u64 <= PAYLOAD_BYTES_MAX).then_some(())
}
