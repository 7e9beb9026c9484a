//! The folder the demo works in. It deletes only what it made itself.

use anyhow::{Context, Result, bail};
use std::fs;
use std::path::{Path, PathBuf};

/// File that says a folder was made by the demo.
const MARKER: &str = ".made-by-logq-demo";

/// Where everything goes.
#[derive(Debug)]
pub struct Workspace {
    /// The lake.
    pub lake: PathBuf,
    /// Container logs.
    pub pods: PathBuf,
    /// CloudTrail objects and flow logs.
    pub incoming: PathBuf,
    /// The collector's landing objects.
    pub collected: PathBuf,
    /// State and configuration of the programs.
    pub state: PathBuf,
    /// What the programs write to stderr.
    pub logs: PathBuf,
}

impl Workspace {
    /// Makes a fresh `root`, and a fresh lake in it or at `lake`.
    ///
    /// # Errors
    /// When one of the folders exists, is not empty and was not made by the demo.
    pub fn create(root: &Path, lake: Option<&Path>) -> Result<Self> {
        fresh(root, &["lake"])?;
        let inside = root.join("lake");
        let lake = match lake {
            Some(lake) => std::path::absolute(lake).context("the lake's path")?,
            None => inside,
        };
        fresh(&lake, &[])?;
        let workspace = Self {
            lake,
            pods: root.join("pods"),
            incoming: root.join("incoming"),
            collected: root.join("collected"),
            state: root.join("state"),
            logs: root.join("logs"),
        };
        let Workspace { pods, incoming, collected, state, logs, .. } = &workspace;
        for folder in [pods, incoming, collected, state, logs] {
            fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        }
        Ok(workspace)
    }
}

/// Empties `folder` if the demo made it (except `kept`), makes it if it does not exist.
fn fresh(folder: &Path, kept: &[&str]) -> Result<()> {
    let marker = folder.join(MARKER);
    match fs::read_dir(folder) {
        Ok(entries) => {
            let entries: Vec<_> = entries.filter_map(Result::ok).collect();
            if !entries.is_empty() && !marker.is_file() {
                bail!(
                    "{} is not empty and was not made by the demo: name another folder with --lake, or remove it yourself",
                    folder.display()
                );
            }
            for entry in entries {
                let name = entry.file_name();
                if name == MARKER || kept.iter().any(|kept| name == *kept) {
                    continue;
                }
                let path = entry.path();
                let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
                let removed = if is_folder { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
                removed.with_context(|| format!("cannot remove {}", path.display()))?;
            }
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        }
        Err(error) => return Err(error).with_context(|| format!("cannot use {}", folder.display())),
    }
    fs::write(&marker, "made by the demo; it may be deleted\n")
        .with_context(|| format!("cannot write {}", marker.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_of_somebody_else_is_never_emptied() {
        let folder = tempfile::tempdir().expect("temporary directory");
        let foreign = folder.path().join("precious");
        fs::create_dir(&foreign).expect("makes");
        fs::write(foreign.join("file"), "data").expect("writes");
        let refused = Workspace::create(&folder.path().join("demo"), Some(&foreign)).expect_err("refuses");
        assert!(refused.to_string().contains("not made by the demo"), "{refused}");
        assert!(foreign.join("file").is_file());
    }

    #[test]
    fn its_own_folder_is_made_afresh() {
        let folder = tempfile::tempdir().expect("temporary directory");
        let root = folder.path().join("demo");
        let first = Workspace::create(&root, None).expect("makes");
        fs::write(first.lake.join("old"), "data").expect("writes");
        fs::write(first.pods.join("old"), "data").expect("writes");
        let second = Workspace::create(&root, None).expect("makes again");
        assert!(!second.lake.join("old").exists());
        assert!(!second.pods.join("old").exists());
    }
}
