//! The bytes of an input object between reading and parsing: in memory while they are few, in a file of
//! their own when they are not.
//!
//! A batch holds its objects at the same time, and flow log exports reach a gigabyte. [`Room`] is what a
//! batch may hold in memory; an object that does not fit in what is left of it goes to an unnamed
//! temporary file (a local object is read where it lies), and is parsed from there in bounded memory.

use crate::formats::inflate::Source;
use bytes::Bytes;
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{self, BufReader, Read, Seek};
use std::sync::atomic::{AtomicU64, Ordering};

/// Bytes of a SHA-256 that identify an object.
const IDENTITY_BYTES: usize = 16;

/// How much is read from a file at a time.
const CHUNK: usize = 256 << 10;

/// Memory left for the objects of a batch.
#[derive(Debug)]
pub struct Room(AtomicU64);

impl Room {
    /// Room for this many bytes.
    pub fn new(bytes: u64) -> Room {
        Room(AtomicU64::new(bytes))
    }

    /// Takes room for an object; false when it does not fit.
    pub fn take(&self, bytes: u64) -> bool {
        let taken = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(bytes));
        taken.is_ok()
    }
}

/// The stored bytes of one object.
#[derive(Debug)]
pub enum Stored {
    /// In memory.
    Memory(Bytes),
    /// The first `bytes` bytes of a file.
    File {
        /// The file.
        file: File,
        /// How many of its bytes are the object.
        bytes: u64,
    },
}

impl Stored {
    /// How many bytes.
    pub fn len(&self) -> u64 {
        match self {
            Stored::Memory(bytes) => bytes.len() as u64,
            Stored::File { bytes, .. } => *bytes,
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// 32 hex digits of the SHA-256 of the bytes. Reads a file whole: not for an async thread.
    ///
    /// # Errors
    /// When the file cannot be read or has become shorter.
    pub fn object_id(&self) -> io::Result<String> {
        match self {
            Stored::Memory(bytes) => Ok(object_id(bytes)),
            Stored::File { file, bytes } => {
                let mut hasher = Sha256::new();
                let mut input = start(file, *bytes)?;
                let read = io::copy(&mut input, &mut hasher)?;
                if read < *bytes {
                    return Err(io::Error::new(
                        io::ErrorKind::UnexpectedEof,
                        format!("the file shrank to {read} of {bytes} bytes while it was read"),
                    ));
                }
                Ok(identity(hasher.finalize().as_slice()))
            }
        }
    }

    /// The bytes from the start, for a parser.
    ///
    /// # Errors
    /// When the file cannot be rewound.
    pub fn source(&self) -> io::Result<Source<'_>> {
        Ok(match self {
            Stored::Memory(bytes) => Source::Memory(bytes),
            Stored::File { file, bytes } => Source::File(start(file, *bytes)?),
        })
    }
}

fn start(mut file: &File, bytes: u64) -> io::Result<BufReader<io::Take<&File>>> {
    file.rewind()?;
    Ok(BufReader::with_capacity(CHUNK, file.take(bytes)))
}

/// The identity of an object: 32 hex digits of the SHA-256 of its bytes.
pub fn object_id(bytes: &[u8]) -> String {
    identity(Sha256::digest(bytes).as_slice())
}

/// Half of a SHA-256 tells 2^64 objects apart.
fn identity(digest: &[u8]) -> String {
    hex(digest.get(..IDENTITY_BYTES).unwrap_or(digest))
}

/// Lowercase hex.
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        // Writing into a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn a_file_and_memory_have_the_same_identity_and_bytes() {
        let content: Vec<u8> = (0..700_000u32).flat_map(u32::to_le_bytes).collect();
        let mut file = tempfile::tempfile().expect("temporary file");
        file.write_all(&content).expect("writes");
        file.write_all(b"what came after the object was looked at").expect("writes");
        let stored = Stored::File { file, bytes: content.len() as u64 };
        let memory = Stored::Memory(content.clone().into());
        assert_eq!(stored.object_id().expect("reads"), memory.object_id().expect("reads"));
        for _ in 0..2 {
            let mut read = Vec::new();
            stored.source().expect("rewinds").read_to_end(&mut read).expect("reads");
            assert!(read == content);
        }
    }

    #[test]
    fn a_file_that_shrank_is_noticed() {
        let file = tempfile::tempfile().expect("temporary file");
        let error = Stored::File { file, bytes: 3 }.object_id().expect_err("too short");
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn room_is_taken_once() {
        let room = Room::new(10);
        assert!(room.take(6));
        assert!(!room.take(5));
        assert!(room.take(4));
        assert!(!room.take(1));
    }
}
