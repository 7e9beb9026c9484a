//! Sink `file`: landing objects in a directory, under the same keys as in a bucket.
//!
//! An object appears under its name only when it is complete and synced: it is written to a
//! temporary file in the same directory, which is then renamed. Readers ignore names beginning with
//! a dot.

use super::{Context, Delivered, Delivery, Object, SetupError, Sink, SinkConfig};
use crate::config::component::{Problem, Row, Settings, problem};
use crate::config::{Backoff, Config, options};
use crate::position::sync_directory;
use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use std::fs::{self, File};
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};

/// Settings of a `file` sink.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileSettings {
    /// Root directory.
    pub path: PathBuf,
}

impl Settings for FileSettings {
    const KIND: &'static str = "file";
    const ABOUT: &'static str = "Landing objects in a directory.";

    fn options() -> Vec<Row> {
        vec![("path", options::required(), "Root directory; created if missing")]
    }

    fn check(&self, key: &str) -> Result<(), Problem> {
        if self.path.as_os_str().is_empty() {
            return Err(problem(format!("{key}.path"), "must not be empty"));
        }
        Ok(())
    }
}

#[async_trait]
impl SinkConfig for FileSettings {
    fn exclusive(&self) -> Option<(&'static str, String)> {
        Some(("path", self.path.display().to_string()))
    }

    fn check_with(&self, key: &str, config: &Config) -> Result<(), Problem> {
        if self.path.starts_with(&config.data_dir) || config.data_dir.starts_with(&self.path) {
            return Err(problem(format!("{key}.path"), "must not overlap data_dir"));
        }
        Ok(())
    }

    async fn connect(&self, name: &str) -> Result<Box<dyn Sink>, SetupError> {
        fs::create_dir_all(&self.path).map_err(|error| SetupError {
            name: name.to_owned(),
            what: "creating the directory `path`",
            source: format!("{}: {error}", self.path.display()).into(),
        })?;
        Ok(Box::new(FileSink { root: self.path.clone() }))
    }
}

/// A directory that takes landing objects.
#[derive(Debug)]
struct FileSink {
    root: PathBuf,
}

#[async_trait]
impl Sink for FileSink {
    async fn deliver(&self, delivery: &Delivery, cx: &Context) -> Delivered {
        let _memory = cx.memory(0).await;
        let object = delivery.object(cx).await;
        let path = self.root.join(&object.key);
        let written = cx.retry(Backoff::default(), None, || {
            let (path, object) = (path.clone(), object.clone());
            async move { Ok(tokio::task::spawn_blocking(move || write(&path, &object)).await??) }
        });
        match written.await {
            Ok(()) => Delivered::object(&object),
            Err(_) => Delivered::default(),
        }
    }
}

fn write(path: &Path, object: &Object) -> io::Result<()> {
    let dir = path.parent().unwrap_or(Path::new("."));
    create_durably(dir)?;
    let name = path.file_name().unwrap_or_default();
    let temporary = dir.join(format!(".{}.tmp", name.to_string_lossy()));
    let mut file = File::create(&temporary)?;
    io::copy(&mut BufReader::with_capacity(256 * 1024, object.reader()?), &mut file)?;
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
