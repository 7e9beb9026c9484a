//! `read_from = "end"`: what was in files before the first start is skipped, once.
//!
//! The positions behind what is skipped are handed over at once and durably; then a note is left in
//! the data directory. Without the note a restart skips again, with it a file nobody knows is a new
//! one and read from its start. Places that could not be listed are in the note: what is found there
//! later was there before.

use crate::batch::Receipt;
use crate::position::replace_file;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use tokio::sync::oneshot;

/// Which files that were never read are read from their end.
#[derive(Debug)]
pub struct FromEnd {
    note: PathBuf,
    places: Places,
    durable: Option<oneshot::Receiver<()>>,
}

#[derive(Debug, PartialEq, Eq)]
enum Places {
    All,
    Below(Vec<PathBuf>),
}

impl FromEnd {
    /// For the source `name`; `wanted` is what its settings say.
    pub fn new(wanted: bool, data_dir: &Path, name: &str) -> Self {
        let note = data_dir.join("sources").join(format!("{}.skipped.json", name.replace('/', "_")));
        let places = match fs::read(&note) {
            _ if !wanted => Places::Below(Vec::new()),
            // A damaged note is still one.
            Ok(text) => Places::Below(serde_json::from_slice(&text).unwrap_or_default()),
            Err(_) => Places::All,
        };
        Self { note, places, durable: None }
    }

    /// A file nobody knows at this path is read from its end.
    pub fn skips(&self, path: &Path) -> bool {
        match &self.places {
            Places::All => true,
            Places::Below(places) => places.iter().any(|place| path.starts_with(place)),
        }
    }

    /// After a scan in which these paths could not be read. When that changes what is skipped, gives
    /// the receipt of the batch that holds the positions.
    pub fn scanned(&mut self, unread: Vec<PathBuf>) -> Option<Receipt> {
        let places = match &self.places {
            Places::All => unread,
            Places::Below(before) => before.iter().filter(|place| unread.contains(place)).cloned().collect(),
        };
        let places = Places::Below(places);
        if places == self.places {
            return None;
        }
        self.places = places;
        let (receipt, durable) = oneshot::channel();
        self.durable = Some(durable);
        Some(receipt)
    }

    /// Leaves the note once the positions are durable.
    pub fn settle(&mut self) {
        let Some(durable) = &mut self.durable else { return };
        match durable.try_recv() {
            Ok(()) => {}
            Err(oneshot::error::TryRecvError::Empty) => return,
            // Not stored: the next start skips again.
            Err(oneshot::error::TryRecvError::Closed) => return self.durable = None,
        }
        self.durable = None;
        if let Err(error) = self.leave() {
            tracing::warn!(path = %self.note.display(), %error,
                "note of a first start not written, the next one skips what is in unknown files again");
        }
    }

    fn leave(&self) -> io::Result<()> {
        let Places::Below(places) = &self.places else { return Ok(()) };
        if let Some(dir) = self.note.parent() {
            fs::create_dir_all(dir)?;
        }
        replace_file(&self.note, &serde_json::to_vec(places)?)
    }
}
