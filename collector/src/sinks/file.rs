//! Sink `file`: landing objects in a directory, under the same keys as in a bucket.
//!
//! An object appears under its name only when it is complete and synced: it is written to a
//! temporary file in the same directory, which is then renamed. Readers ignore names beginning with
//! a dot.

use super::{DeliveryError, Object, SetupError};
use crate::config::FileSettings;
use crate::position::sync_directory;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// A directory that takes landing objects.
#[derive(Debug)]
pub struct FileSink {
    root: PathBuf,
}

impl FileSink {
    /// Creates the directory if needed.
    ///
    /// # Errors
    /// When that fails.
    pub fn new(name: &str, settings: &FileSettings) -> Result<Self, SetupError> {
        let root = settings.path.clone();
        fs::create_dir_all(&root).map_err(|error| SetupError {
            name: name.to_owned(),
            what: "creating the directory `path`",
            source: format!("{}: {error}", root.display()).into(),
        })?;
        Ok(Self { root })
    }

    /// Writes one object durably.
    ///
    /// # Errors
    /// When the directory can't be written; nothing incomplete is then visible.
    pub async fn deliver(&self, object: &Object) -> Result<(), DeliveryError> {
        let path = self.root.join(&object.key);
        let parts = object.parts.clone();
        let written = tokio::task::spawn_blocking(move || write(&path, &parts));
        Ok(written.await.map_err(io::Error::other)??)
    }
}

fn write(path: &Path, parts: &[bytes::Bytes]) -> io::Result<()> {
    let dir = path.parent().unwrap_or(Path::new("."));
    create_durably(dir)?;
    let name = path.file_name().unwrap_or_default();
    let temporary = dir.join(format!(".{}.tmp", name.to_string_lossy()));
    let mut file = File::create(&temporary)?;
    for part in parts {
        file.write_all(part)?;
    }
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    sync_directory(dir)
}

/// Creates a directory and makes its entry, and those of new parents, durable.
fn create_durably(dir: &Path) -> io::Result<()> {
    if dir.is_dir() {
        return Ok(());
    }
    let parent = dir.parent().unwrap_or(Path::new("."));
    create_durably(parent)?;
    match fs::create_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        other => other?,
    }
    sync_directory(parent)
}
