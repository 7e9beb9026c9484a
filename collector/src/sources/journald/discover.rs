//! Finding journal files: `<journal_directory>/<machine id>[.<namespace>]/*.journal[~]`.

use super::JournaldSettings;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Where journals are when they survive a reboot, and where when they don't.
pub const DIRECTORIES: [&str; 2] = ["/var/log/journal", "/run/log/journal"];

/// Files considered at most; journald itself keeps 100 per kind unless told otherwise.
const FILES_MAX: usize = 10_000;

/// Device and inode, size, and time of last change: how a scan knows a file again without opening it.
pub type Key = (u64, u64);

/// A journal file as a scan saw it.
#[derive(Debug, Clone)]
pub struct Found {
    /// Where it is.
    pub path: PathBuf,
    /// Which file it is.
    pub key: Key,
    /// Its size and when it changed.
    pub stamp: (u64, Option<SystemTime>),
    /// Its writer may add to it.
    pub live: bool,
}

/// Finds journal files.
#[derive(Debug)]
pub struct Discovery {
    directories: Vec<PathBuf>,
    namespace: Option<String>,
    users: bool,
}

impl Discovery {
    /// As the settings say.
    pub fn new(settings: &JournaldSettings) -> Self {
        let directories = match &settings.journal_directory {
            Some(directory) => vec![directory.clone()],
            None => DIRECTORIES.iter().map(PathBuf::from).collect(),
        };
        Self { directories, namespace: settings.journal_namespace.clone(), users: settings.user_journals }
    }

    /// The position of a file at this place is kept by this source.
    pub fn owns(&self, path: &Path) -> bool {
        self.directories.iter().any(|directory| path.starts_with(directory))
    }

    /// Lists the files, and what could not be listed. The first directory that holds any is the only
    /// one from then on: journald copies what is in `/run` to `/var`, under other identities.
    pub fn scan(&mut self) -> (Vec<Found>, Vec<(PathBuf, io::Error)>) {
        let (mut found, mut errors) = (Vec::new(), Vec::new());
        for directory in self.directories.clone() {
            self.list(&directory, true, &mut found, &mut errors);
            if !found.is_empty() {
                self.directories = vec![directory];
                break;
            }
        }
        // Live files last: of two names for one file, seen during a rename, the archived one counts.
        found.sort_by(|a, b| (a.live, &a.path).cmp(&(b.live, &b.path)));
        (found, errors)
    }

    fn list(
        &self,
        directory: &Path,
        top: bool,
        found: &mut Vec<Found>,
        errors: &mut Vec<(PathBuf, io::Error)>,
    ) {
        let entries = match fs::read_dir(directory) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return,
            Err(error) => return errors.push((directory.to_owned(), error)),
        };
        for entry in entries {
            let path = match entry {
                Ok(entry) => entry.path(),
                Err(error) => return errors.push((directory.to_owned(), error)),
            };
            let Some(name) = path.file_name().and_then(|name| name.to_str()) else { continue };
            let is_file = name.ends_with(".journal") || name.ends_with(".journal~");
            if is_file && self.takes_file(name) && found.len() < FILES_MAX {
                // Gone again, or no business of ours: neither is an error.
                let Ok(metadata) = fs::metadata(&path) else { continue };
                if metadata.is_file() {
                    found.push(Found {
                        key: (metadata.dev(), metadata.ino()),
                        stamp: (metadata.len(), metadata.modified().ok()),
                        live: is_live(name),
                        path,
                    });
                }
            } else if top && !is_file && self.takes_directory(name) {
                self.list(&path, false, found, errors);
            }
        }
    }

    fn takes_file(&self, name: &str) -> bool {
        self.users || !name.starts_with("user-")
    }

    fn takes_directory(&self, name: &str) -> bool {
        let (id, namespace) = match name.split_once('.') {
            Some((id, namespace)) => (id, Some(namespace)),
            None => (name, None),
        };
        if id.len() != 32 || !id.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return false;
        }
        match (self.namespace.as_deref(), namespace) {
            (None, found) => found.is_none(),
            (Some("*"), _) => true,
            (Some(wanted), None) => wanted.starts_with('+'),
            (Some(wanted), Some(found)) => wanted.trim_start_matches('+') == found,
        }
    }
}

/// Archived files are named `<kind>@<ids>.journal`, damaged ones end in `~`.
pub fn is_live(name: &str) -> bool {
    !name.contains('@') && !name.ends_with('~')
}
