//! A whole corpus on disk: objects, container logs, labels and a manifest of what was written.

use super::cri::{Lines, PodsWriter, WriteError};
use super::vpc_flow::Layout;
use super::{Label, Object, Plan, Tally, cloudtrail, vpc_flow};
use serde::{Deserialize, Serialize};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// What a corpus holds, exactly. Written as `manifest.json` beside it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// CloudTrail objects.
    pub cloudtrail: Tally,
    /// Flow-log objects.
    pub vpc_flow: Tally,
    /// Container logs.
    pub app_log: Tally,
    /// Planted attacks.
    pub labels: Vec<Label>,
}

/// A corpus could not be written.
#[derive(Debug, thiserror::Error)]
pub enum CorpusError {
    /// An object, the manifest or the labels.
    #[error("cannot write {path}: {source}")]
    Write {
        /// File.
        path: PathBuf,
        /// Cause.
        source: io::Error,
    },
    /// A container log.
    #[error(transparent)]
    Pods(#[from] WriteError),
    /// An object could not be compressed.
    #[error("cannot make an object: {0}")]
    Make(#[from] io::Error),
}

/// Writes `bytes` to `root/key` so that a watcher sees the whole object or none of it.
///
/// # Errors
/// When a directory or file cannot be written.
pub fn deliver(root: &Path, key: &str, bytes: &[u8]) -> Result<PathBuf, CorpusError> {
    let path = root.join(key);
    let parent = path.parent().unwrap_or(root);
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let temporary = parent.join(format!(".{name}.part"));
    std::fs::create_dir_all(parent)
        .and_then(|()| std::fs::write(&temporary, bytes))
        .and_then(|()| std::fs::rename(&temporary, &path))
        .map_err(|source| CorpusError::Write { path: path.clone(), source })?;
    Ok(path)
}

/// Bytes after which a container log of a corpus is rotated, as kubelet does by default.
const ROTATE_BYTES: u64 = 10 * 1024 * 1024;

/// Writes the corpus of `plan`: objects under `root/AWSLogs`, container logs under `root/pods`,
/// `root/labels.jsonl` and `root/manifest.json`.
///
/// # Errors
/// When anything cannot be written; what was written before stays.
pub fn write(plan: &Plan, layout: Layout, root: &Path) -> Result<Manifest, CorpusError> {
    let mut manifest = Manifest::default();
    let (objects, labels) = cloudtrail::Objects::new(plan);
    manifest.labels.extend(labels);
    manifest.cloudtrail = write_objects(objects, root)?;
    let (objects, labels) = vpc_flow::Objects::new(plan, layout);
    manifest.labels.extend(labels);
    manifest.vpc_flow = write_objects(objects, root)?;
    if plan.lines > 0 {
        manifest.app_log = write_pods(plan, &root.join("pods"))?;
    }
    manifest.labels.sort_by_key(|label| label.first);
    let mut text = Vec::new();
    for label in &manifest.labels {
        serde_json::to_writer(&mut text, label).map_err(io::Error::from)?;
        text.write_all(b"\n")?;
    }
    deliver(root, "labels.jsonl", &text)?;
    deliver(root, "manifest.json", &serde_json::to_vec_pretty(&manifest).map_err(io::Error::from)?)?;
    Ok(manifest)
}

fn write_objects(
    objects: impl Iterator<Item = io::Result<Object>>,
    root: &Path,
) -> Result<Tally, CorpusError> {
    let mut tally = Tally::default();
    for object in objects {
        let object = object?;
        deliver(root, &object.key, &object.bytes)?;
        tally.add(&object);
    }
    Ok(tally)
}

fn write_pods(plan: &Plan, pods: &Path) -> Result<Tally, CorpusError> {
    let lines = Lines::new(plan);
    let mut writer = PodsWriter::create(pods, lines.containers())?;
    let mut tally = Tally { objects: lines.containers().len() as u64, ..Tally::default() };
    let mut open = vec![0u64; lines.containers().len()];
    for line in lines {
        writer.write(&line)?;
        tally.records += 1;
        open[line.container] += line.body.len() as u64 + 45;
        if open[line.container] >= ROTATE_BYTES {
            writer.rotate(line.container, line.nanosecond / 1_000_000_000)?;
            open[line.container] = 0;
            tally.objects += 1;
        }
    }
    writer.flush()?;
    tally.stored_bytes = writer.bytes();
    tally.inflated_bytes = writer.bytes();
    Ok(tally)
}
