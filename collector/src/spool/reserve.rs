//! Space set aside for notes.
//!
//! On a full disk the way out is to remove delivered segments, and before a segment may be removed
//! its acknowledgement and checkpoint must be written: on a disk with no byte left that is a
//! deadlock. So a small file is kept allocated, given up for the notes when they do not fit, and
//! taken back before anything else is stored.

use rustix::fs::{FallocateFlags, fallocate};
use std::fs::{self, File};
use std::io;
use std::path::PathBuf;

/// Enough for the checkpoint of 4,000 files (about 250 bytes each) and the sinks' cursors.
const BYTES: u64 = 1024 * 1024;

/// The reserve of a data directory.
#[derive(Debug, Default)]
pub struct Reserve {
    path: PathBuf,
    held: bool,
}

impl Reserve {
    /// The reserve kept at `path`, not held yet.
    pub fn new(path: PathBuf) -> Self {
        Self { path, held: false }
    }

    /// Allocates it, unless it is held already.
    ///
    /// # Errors
    /// When the disk has no room for it; then nothing else should be stored either.
    pub fn hold(&mut self) -> io::Result<()> {
        if self.held {
            return Ok(());
        }
        let file = File::options().create(true).truncate(false).write(true).open(&self.path)?;
        match fallocate(&file, FallocateFlags::empty(), 0, BYTES) {
            // A file system without allocation can't promise space; go on without.
            Ok(()) | Err(rustix::io::Errno::OPNOTSUPP) => {
                self.held = true;
                Ok(())
            }
            Err(error) => {
                drop(fs::remove_file(&self.path));
                Err(error.into())
            }
        }
    }

    /// Gives the space back to the disk; false when there was none to give.
    pub fn release(&mut self) -> bool {
        std::mem::take(&mut self.held) && fs::remove_file(&self.path).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn space_is_held_given_up_once_and_held_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("reserve");
        let mut reserve = Reserve::new(path.clone());
        assert!(!reserve.release());
        for _ in 0..2 {
            reserve.hold().unwrap();
            reserve.hold().unwrap();
            assert_eq!(fs::metadata(&path).unwrap().len(), BYTES);
            assert!(reserve.release() && !path.exists());
        }
    }
}
