//! The layout of a journal file, as <https://systemd.io/JOURNAL_FILE_FORMAT> describes it: a header,
//! then objects at multiples of eight bytes, all numbers little-endian.
//!
//! Everything is read by position into owned memory. A map of the file would be faster by little and
//! would end the process when the file is truncated under it.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

/// What is wrong with a place in a journal: it is damaged, or not written yet.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// The file can't be read.
    #[error("journal can't be read")]
    Io(#[from] io::Error),
    /// The bytes there make no sense, at least not yet.
    #[error("object at offset {offset} is {what}")]
    Object {
        /// Where it begins.
        offset: u64,
        /// What is wrong.
        what: &'static str,
    },
    /// It needs a reader of a later systemd.
    #[error("journal has features {0:#x} this collector does not know; use a newer collector")]
    Features(u32),
}

/// Shorthand for a damaged or unfinished object.
pub(super) fn fault<T>(offset: u64, what: &'static str) -> Result<T, Fault> {
    Err(Fault::Object { offset, what })
}

/// The header of the oldest journals that are still read (systemd 187 added the next fields).
const HEADER_BYTES: usize = 208;
/// Compression by XZ, LZ4 and ZSTD, keyed hashes, and the compact layout.
const FEATURES: u32 = 0b1_1111;
const COMPACT: u32 = 1 << 4;

/// Kinds of objects that are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// `FIELD=value`.
    Data = 1,
    /// A log entry: its times and where its data objects are.
    Entry = 3,
    /// Where entries are.
    EntryArray = 6,
}

/// Flags of an object: how its payload is compressed.
pub const XZ: u8 = 1;
/// See [`XZ`].
pub const LZ4: u8 = 2;
/// See [`XZ`].
pub const ZSTD: u8 = 4;

/// What is needed of a file's header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Identity of the file; kept when it is renamed or copied.
    pub file_id: [u8; 16],
    /// Offsets of entries and data are 32-bit.
    pub compact: bool,
    /// Entries the writer has completed.
    pub entries: u64,
    /// Sequence number of the last of them.
    pub tail_seqnum: u64,
    /// First entry array, 0 for none.
    pub entry_array: u64,
}

/// Reads a little-endian number at a place that was checked to exist.
pub(super) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    let mut number = [0; 8];
    if let Some(found) = bytes.get(at..at + 8) {
        number.copy_from_slice(found);
    }
    u64::from_le_bytes(number)
}

/// As [`u64_at`].
pub(super) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let mut number = [0; 4];
    if let Some(found) = bytes.get(at..at + 4) {
        number.copy_from_slice(found);
    }
    u32::from_le_bytes(number)
}

/// As [`u64_at`].
pub(super) fn id_at(bytes: &[u8], at: usize) -> [u8; 16] {
    let mut id = [0; 16];
    if let Some(found) = bytes.get(at..at + 16) {
        id.copy_from_slice(found);
    }
    id
}

/// Size of a cached block, and how many a file keeps: 256 KiB hold what a few hundred entries in a
/// row refer to.
const BLOCK_BYTES: usize = 8 * 1024;
const BLOCKS: usize = 32;
/// Reads of at least this size go past the cache.
const LARGE_BYTES: usize = 2 * BLOCK_BYTES;

/// Positioned reads of one file through a small cache of blocks.
#[derive(Debug)]
pub struct Pages {
    file: File,
    /// Size of the file when it was last looked at.
    size: u64,
    blocks: Vec<Option<(u64, Vec<u8>)>>,
}

impl Pages {
    /// Reads `file`.
    pub fn new(file: File) -> Self {
        Self { file, size: 0, blocks: Vec::new() }
    }

    /// Forgets what was read: the writer has been at work since.
    pub fn forget(&mut self) {
        self.blocks.clear();
    }

    /// Size of the file when the header was last read.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Reads the header anew, past the cache.
    ///
    /// # Errors
    /// When it is no journal, or one with unknown features.
    pub fn header(&mut self) -> Result<Header, Fault> {
        self.size = self.file.metadata()?.len();
        let mut bytes = [0; HEADER_BYTES];
        if self.size < HEADER_BYTES as u64 {
            return fault(0, "too short for a journal header");
        }
        self.file.read_exact_at(&mut bytes, 0)?;
        if &bytes[..8] != b"LPKSHHRH" {
            return fault(0, "not a journal header");
        }
        let features = u32_at(&bytes, 12);
        if features & !FEATURES != 0 {
            return Err(Fault::Features(features & !FEATURES));
        }
        Ok(Header {
            file_id: id_at(&bytes, 24),
            compact: features & COMPACT != 0,
            entries: u64_at(&bytes, 152),
            tail_seqnum: u64_at(&bytes, 160),
            entry_array: u64_at(&bytes, 176),
        })
    }

    /// Fills `out` from `offset`.
    ///
    /// # Errors
    /// When the file ends before.
    pub fn read(&mut self, offset: u64, out: &mut [u8]) -> Result<(), Fault> {
        if offset.checked_add(out.len() as u64).is_none_or(|end| end > self.size) {
            return fault(offset, "beyond the end of the file");
        }
        if out.len() >= LARGE_BYTES {
            return self.file.read_exact_at(out, offset).or_else(|error| match error.kind() {
                io::ErrorKind::UnexpectedEof => fault(offset, "beyond the end of the file"),
                _ => Err(error.into()),
            });
        }
        let mut done = 0;
        while done < out.len() {
            let at = offset + done as u64;
            let within = (at % BLOCK_BYTES as u64) as usize;
            let block = self.block(at / BLOCK_BYTES as u64)?;
            let Some(found) = block.get(within..).filter(|found| !found.is_empty()) else {
                return fault(offset, "beyond the end of the file");
            };
            let len = found.len().min(out.len() - done);
            out[done..done + len].copy_from_slice(&found[..len]);
            done += len;
        }
        Ok(())
    }

    fn block(&mut self, number: u64) -> io::Result<&[u8]> {
        if self.blocks.is_empty() {
            self.blocks.resize(BLOCKS, None);
        }
        let slot = &mut self.blocks[(number % BLOCKS as u64) as usize];
        if slot.as_ref().is_none_or(|(found, _)| *found != number) {
            let mut bytes = slot.take().map(|(_, bytes)| bytes).unwrap_or_default();
            bytes.resize(BLOCK_BYTES, 0);
            let mut have = 0;
            while have < BLOCK_BYTES {
                let at = number * BLOCK_BYTES as u64 + have as u64;
                match self.file.read_at(&mut bytes[have..], at) {
                    Ok(0) => break,
                    Ok(n) => have += n,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => return Err(error),
                }
            }
            bytes.truncate(have);
            *slot = Some((number, bytes));
        }
        Ok(slot.as_ref().map(|(_, bytes)| bytes.as_slice()).unwrap_or_default())
    }

    /// Checks the object at `offset` and returns its flags and size.
    ///
    /// # Errors
    /// When there is no such object, or not yet.
    pub fn object(&mut self, offset: u64, kind: Kind, least: u64) -> Result<(u8, u64), Fault> {
        if offset == 0 || !offset.is_multiple_of(8) {
            return fault(offset, "not at a place objects begin");
        }
        let mut head = [0; 16];
        self.read(offset, &mut head)?;
        let size = u64_at(&head, 8);
        if head[0] != kind as u8 {
            return fault(offset, "of another kind than expected");
        }
        if size < least || offset.checked_add(size).is_none_or(|end| end > self.size) {
            return fault(offset, "of an impossible size");
        }
        Ok((head[1], size))
    }
}
