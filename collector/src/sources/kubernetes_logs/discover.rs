//! Finds container log files below the pods directory.
//!
//! ```text
//! <pods>/<namespace>_<pod>_<uid>/<container>/<n>.log                      written now
//! <pods>/<namespace>_<pod>_<uid>/<container>/<n>.log.<YYYYMMDD-HHMMSS>    rotated
//! <pods>/<namespace>_<pod>_<uid>/<container>/<n>.log.<…>.gz               rotated and compressed
//! ```
//!
//! Discovery is a periodic scan and nothing depends on anything else; a directory whose
//! modification time did not change is not listed again. A kernel watch on the directories only
//! makes the next scan come sooner. It asks for names appearing and disappearing alone: watching
//! file content (as the `notify` crate does on Linux, without a choice) would cost one event per
//! write of every container, while a file's size is looked at anyway.

use crate::stream::Owner;
use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use std::collections::{HashMap, HashSet};
use std::fs;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// A listing is only trusted when the directory is older than this: modification times advance in
/// steps of the kernel's clock tick, so two changes can share one.
const SETTLED: Duration = Duration::from_secs(2);

/// Device and inode: names a file only while it is held open or for as long as size and
/// modification time agree as well.
pub type Key = (u64, u64);

/// Whether and how a file can still change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// The file the runtime writes to now.
    Current,
    /// The container was restarted since: a file with a higher number exists.
    Superseded,
    /// Renamed by rotation, and the runtime has opened a new file.
    Rotated,
    /// Renamed by rotation, but no new file is there yet: the runtime still writes to it.
    Renamed,
}

/// A log file that exists now.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// Where it is.
    pub path: PathBuf,
    /// Whose it is.
    pub owner: Arc<Owner>,
    /// Device and inode.
    pub key: Key,
    /// Size in bytes.
    pub size: u64,
    /// Modification time.
    pub modified: SystemTime,
    /// Where it is in its life.
    pub stage: Stage,
    /// It is compressed.
    pub gzip: bool,
    /// It was not modified for so long that only what is known of it already is read on.
    pub old: bool,
}

#[derive(Debug)]
struct Listing {
    modified: SystemTime,
    settled: bool,
    names: Arc<[String]>,
}

/// Finds the files a reader follows.
pub trait Discover: Send {
    /// True when a name appeared or disappeared since the last call.
    fn changed(&mut self) -> bool;

    /// Every directory is watched: a scan without a change before it would find nothing new.
    fn sees_everything(&self) -> bool;

    /// Lists all files.
    fn scan(&mut self) -> Scan;

    /// The file at this path is one of those it finds, whether it is still there or not.
    fn owns(&self, path: &Path) -> bool;
}

/// Scans the pods directory.
#[derive(Debug)]
pub struct Discovery {
    root: PathBuf,
    listings: HashMap<PathBuf, Listing>,
    owners: HashMap<PathBuf, Arc<Owner>>,
    watch: Option<OwnedFd>,
    /// A directory is not watched: only scans find what appears there.
    unwatched: bool,
}

/// Result of a scan.
#[derive(Debug, Default)]
pub struct Scan {
    /// Files found, oldest change first.
    pub files: Vec<Candidate>,
    /// Directories that could not be listed: files missing from this scan may still exist.
    pub errors: Vec<(PathBuf, io::Error)>,
}

impl Discovery {
    /// Discovery below `root`. Without a kernel watch (limit reached, other platform) only the
    /// periodic scan remains.
    pub fn new(root: &Path) -> Self {
        let watch = match inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC) {
            Ok(watch) => Some(watch),
            Err(error) => {
                tracing::warn!(%error, "no directory watch, new files are found by the periodic scan");
                None
            }
        };
        Self {
            root: root.to_owned(),
            listings: HashMap::new(),
            owners: HashMap::new(),
            unwatched: watch.is_none(),
            watch,
        }
    }
}

impl Discover for Discovery {
    fn owns(&self, path: &Path) -> bool {
        path.starts_with(&self.root)
    }

    fn changed(&mut self) -> bool {
        let Some(watch) = &self.watch else { return false };
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut events = inotify::Reader::new(watch, &mut buffer);
        let mut any = false;
        while events.next().is_ok() {
            any = true;
        }
        any
    }

    fn sees_everything(&self) -> bool {
        !self.unwatched
    }

    fn scan(&mut self) -> Scan {
        let mut scan = Scan::default();
        let mut visited = HashSet::new();
        let root = self.root.clone();
        for pod in self.list(&root, &mut visited, &mut scan).iter() {
            if !pod.contains('_') {
                continue;
            }
            let pod_path = root.join(pod);
            for container in self.list(&pod_path, &mut visited, &mut scan).iter() {
                let path = pod_path.join(container);
                let names = self.list(&path, &mut visited, &mut scan);
                self.files(&path, pod, container, &names, &mut scan);
            }
        }
        self.listings.retain(|path, _| visited.contains(path));
        if self.owners.len() > 2 * scan.files.len() + 1024 {
            self.owners.clear();
        }
        scan.files.sort_by_key(|file| file.modified);
        scan
    }
}

impl Discovery {
    fn files(&mut self, dir: &Path, pod: &str, container: &str, names: &[String], scan: &mut Scan) {
        let highest = names.iter().filter_map(|name| name.strip_suffix(".log")?.parse::<u32>().ok()).max();
        for name in names {
            let Some(kind) = kind(name) else { continue };
            let path = dir.join(name);
            let owner = match self.owners.get(&path) {
                Some(owner) => owner.clone(),
                None => {
                    let Some(owner) = Owner::parse(pod, container, name) else { continue };
                    let owner = Arc::new(owner);
                    self.owners.insert(path.clone(), owner.clone());
                    owner
                }
            };
            let metadata = match fs::metadata(&path) {
                Ok(metadata) if metadata.is_file() => metadata,
                Ok(_) => continue,
                Err(error) => {
                    if error.kind() != io::ErrorKind::NotFound {
                        scan.errors.push((path, error));
                    }
                    continue;
                }
            };
            let restarted = highest.is_some_and(|highest| highest > owner.restart);
            let reopened = names.iter().any(|other| other.strip_suffix(".log") == name.split('.').next());
            let stage = match kind {
                Kind::Plain if restarted => Stage::Superseded,
                Kind::Plain => Stage::Current,
                _ if reopened || restarted => Stage::Rotated,
                _ => Stage::Renamed,
            };
            scan.files.push(Candidate {
                path,
                owner,
                key: (metadata.dev(), metadata.ino()),
                size: metadata.len(),
                modified: metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH),
                stage,
                gzip: kind == Kind::Gzip,
                old: false,
            });
        }
    }

    /// Names in a directory, sorted; from memory when the directory did not change.
    fn list(&mut self, path: &Path, visited: &mut HashSet<PathBuf>, scan: &mut Scan) -> Arc<[String]> {
        let modified = match fs::metadata(path).and_then(|metadata| metadata.modified()) {
            Ok(modified) => modified,
            Err(error) => return failed(path, error, scan),
        };
        visited.insert(path.to_owned());
        match self.listings.get(path) {
            Some(known) if known.modified == modified && known.settled => return known.names.clone(),
            Some(_) => {}
            None => self.watch(path),
        }
        let entries = match fs::read_dir(path) {
            Ok(entries) => entries,
            Err(error) => return failed(path, error, scan),
        };
        let mut names = Vec::new();
        for entry in entries {
            match entry {
                // A name that is not UTF-8 is not the kubelet's.
                Ok(entry) => names.extend(entry.file_name().into_string().ok()),
                Err(error) => return failed(path, error, scan),
            }
        }
        names.sort_unstable();
        let settled = SystemTime::now().duration_since(modified).is_ok_and(|age| age > SETTLED);
        let names: Arc<[String]> = names.into();
        self.listings.insert(path.to_owned(), Listing { modified, settled, names: names.clone() });
        names
    }

    /// Watches a directory for names; see [`Discover::changed`].
    pub(crate) fn watch(&mut self, path: &Path) {
        if let Some(watch) = &self.watch {
            let names =
                WatchFlags::CREATE | WatchFlags::MOVED_TO | WatchFlags::MOVED_FROM | WatchFlags::DELETE;
            // Beyond the system's limit of watches the periodic scan finds the files.
            if let Err(error) = inotify::add_watch(watch, path, names | WatchFlags::ONLYDIR) {
                tracing::debug!(path = %path.display(), %error, "directory is not watched");
                self.unwatched = true;
            }
        }
    }
}

fn failed(path: &Path, error: io::Error, scan: &mut Scan) -> Arc<[String]> {
    let harmless = matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory);
    if !harmless {
        scan.errors.push((path.to_owned(), error));
    }
    Arc::new([])
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Plain,
    Rotated,
    Gzip,
}

/// `<n>.log`, `<n>.log.<digits and dashes>`, `<n>.log-<…>`, each of the latter also with `.gz`.
/// Temporary files of a compression in progress (`.tmp`) are none of them.
fn kind(name: &str) -> Option<Kind> {
    let (number, rest) = name.split_once(".log")?;
    if number.is_empty() || !number.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    if rest.is_empty() {
        return Some(Kind::Plain);
    }
    let (rest, kind) = match rest.strip_suffix(".gz") {
        Some(rest) => (rest, Kind::Gzip),
        None => (rest, Kind::Rotated),
    };
    let stamp = rest.strip_prefix(['.', '-'])?;
    let good = !stamp.is_empty() && stamp.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
    good.then_some(kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_the_kubelet_and_of_logrotate_are_recognised() {
        for (name, expected) in [
            ("0.log", Some(Kind::Plain)),
            ("12.log", Some(Kind::Plain)),
            ("0.log.20261122-101500", Some(Kind::Rotated)),
            ("0.log.1", Some(Kind::Rotated)),
            ("0.log-20261122", Some(Kind::Rotated)),
            ("0.log.20261122-101500.gz", Some(Kind::Gzip)),
            ("0.log.20261122-101500.tmp", None),
            ("0.log.gz", None),
            ("app.log", None),
            (".log", None),
            ("0.logs", None),
        ] {
            assert_eq!(kind(name), expected, "{name}");
        }
    }

    #[test]
    fn a_scan_tells_where_each_file_is_in_its_life() {
        let root = tempfile::tempdir().unwrap();
        let write = |name: &str| {
            let path = root.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "x").unwrap();
        };
        for name in ["0.log", "1.log", "1.log.20261122-101500", "2.log.20261122-101500", "0.log.tmp"] {
            write(&format!("a_b_c/d/{name}"));
        }
        write("notes.txt");
        let mut discovery = Discovery::new(root.path());
        let stage = |scan: &Scan, name: &str| {
            scan.files.iter().find(|file| file.path.ends_with(name)).map(|file| file.stage)
        };
        let scan = discovery.scan();
        assert!(scan.errors.is_empty() && scan.files.len() == 4, "{scan:?}");
        assert_eq!(stage(&scan, "0.log"), Some(Stage::Superseded));
        assert_eq!(stage(&scan, "1.log"), Some(Stage::Current));
        assert_eq!(stage(&scan, "1.log.20261122-101500"), Some(Stage::Rotated));
        assert_eq!(stage(&scan, "2.log.20261122-101500"), Some(Stage::Renamed));
        write("a_b_c/d/2.log");
        let scan = discovery.scan();
        assert_eq!(stage(&scan, "2.log.20261122-101500"), Some(Stage::Rotated));
        assert_eq!(stage(&scan, "1.log"), Some(Stage::Superseded));
    }
}
