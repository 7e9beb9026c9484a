//! Source `file`: lines of files that are not container logs, also as a sidecar that shares a volume
//! with its application.
//!
//! Files are followed, recognised and resumed exactly as container logs are (see
//! [`super::kubernetes_logs`]): by content, through rename, compression and truncation. A file's
//! owner is its directory and the stem of its name (`app` in `app.log`, `app.log.1`,
//! `app-20261124.log.gz`), so that rotated copies are recognised and neighbours are not confused.
//! Lines carry no time of their own here: they get the time at which they were read.

use super::kubernetes_logs::discover::{Candidate, Discover, Scan, Stage};
use super::kubernetes_logs::{Framing, LinePolicy, Reader, Settings as ReaderSettings};
use super::{SourceConfig, Wiring};
use crate::config::component::{Problem, Row, Settings, problem, within};
use crate::config::{ByteSize, Span, options};
use crate::memory::Reads;
use crate::multiline::{self, MultilineSettings};
use crate::stream::Owner;
use globset::{GlobSet, GlobSetBuilder};
use serde::{Deserialize, Serialize};
use std::collections::HashSet;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// Where to begin in files that were never read before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReadFrom {
    /// At their start.
    #[default]
    Beginning,
    /// At their end, for files that exist when the collector starts; later ones from their start.
    End,
}

/// Settings of the source.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileSettings {
    /// Globs of files to read.
    pub include: Vec<String>,
    /// Globs of files not to read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exclude: Vec<String>,
    /// Where to begin.
    #[serde(default)]
    pub read_from: ReadFrom,
    /// Files not modified for this long are left alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ignore_older_secs: Option<Span>,
    /// How files are encoded.
    #[serde(default = "utf8")]
    pub encoding: String,
    /// Time between scans for new files.
    #[serde(default = "cooldown")]
    pub glob_minimum_cooldown: Span,
    /// Longest record.
    #[serde(default = "line_bytes")]
    pub max_line_bytes: ByteSize,
    /// What happens to longer ones.
    #[serde(default = "split")]
    pub max_line_policy: LinePolicy,
    /// What records that are not complete yet may take, over all files.
    #[serde(default = "held_bytes")]
    pub max_held_bytes: ByteSize,
    /// Which lines belong together.
    #[serde(default)]
    pub multiline: MultilineSettings,
    /// Quiet time after which the end of a rotated or deleted file is final.
    #[serde(default = "rotate_wait")]
    pub rotate_wait: Span,
}

fn utf8() -> String {
    "utf-8".to_owned()
}

fn cooldown() -> Span {
    Span::from(options::GLOB_COOLDOWN)
}

fn line_bytes() -> ByteSize {
    ByteSize::new(options::LINE_BYTES)
}

fn held_bytes() -> ByteSize {
    ByteSize::new(options::HELD_BYTES)
}

fn split() -> LinePolicy {
    LinePolicy::Split
}

fn rotate_wait() -> Span {
    Span::from(options::ROTATE_WAIT)
}

impl Settings for FileSettings {
    const KIND: &'static str = "file";
    const ABOUT: &'static str = "Lines of files that are not container logs, for example of an application beside which the collector runs as a sidecar. Gzipped files are read as well.";

    #[rustfmt::skip]
    fn options() -> Vec<Row> {
        use options::{none, required, size, span, text};
        let mut rows = vec![
            ("include", required(), "Globs of files to read, such as `[\"/var/log/app/*.log*\"]`; `**` crosses directories. Include rotated names, or the end of a file may be missed"),
            ("exclude", none(), "Globs of files not to read"),
            ("read_from", text("beginning"), "`beginning`, or `end`: what is in files at the first start is skipped"),
            ("ignore_older_secs", none(), "Files not modified for this long are left alone"),
            ("encoding", text("utf-8"), "A WHATWG label such as `utf-16le`, `windows-1252`, `gbk`, `shift_jis`; a byte order mark wins"),
            ("glob_minimum_cooldown", span(options::GLOB_COOLDOWN), "Time between scans for new files"),
            ("max_line_bytes", size(options::LINE_BYTES), "Longest record"),
            ("max_line_policy", text("split"), "Longer records: `split` or `truncate`, as for `kubernetes_logs`"),
            ("max_held_bytes", size(options::HELD_BYTES), "Memory for records that are not complete yet, over all files, as for `kubernetes_logs`"),
            ("rotate_wait", span(options::ROTATE_WAIT), "Quiet time after which the end of a rotated or deleted file is final"),
        ];
        rows.extend(multiline::rows());
        rows
    }

    fn check(&self, key: &str) -> Result<(), Problem> {
        if self.include.is_empty() {
            return Err(problem(format!("{key}.include"), "must name at least one glob"));
        }
        for (name, patterns) in [("include", &self.include), ("exclude", &self.exclude)] {
            globs(patterns).map_err(|message| problem(format!("{key}.{name}"), message))?;
        }
        if let Some(relative) = self.include.iter().find(|pattern| !pattern.starts_with('/')) {
            return Err(problem(format!("{key}.include"), format!("`{relative}` must begin with `/`")));
        }
        if encoding_rs::Encoding::for_label(self.encoding.as_bytes()).is_none() {
            let message = format!("`{}` is no known encoding; write a label such as utf-16le", self.encoding);
            return Err(problem(format!("{key}.encoding"), message));
        }
        within(&format!("{key}.max_line_bytes"), self.max_line_bytes, options::LINE_BYTES_RANGE)?;
        if self.max_held_bytes.bytes() < self.max_line_bytes.bytes() {
            let message = "must be at least max_line_bytes; raise it or lower max_line_bytes";
            return Err(problem(format!("{key}.max_held_bytes"), message));
        }
        self.multiline.check(key)
    }
}

impl SourceConfig for FileSettings {
    fn memory(&self) -> Reads {
        Reads {
            record: self.max_line_bytes.bytes(),
            record_key: "max_line_bytes",
            held: self.max_held_bytes.bytes(),
            files: options::OPEN_FILES,
            ..Reads::default()
        }
    }

    fn run(&self, wiring: Wiring) {
        // Checked when the configuration was read.
        let (Ok(include), Ok(exclude)) = (globs(&self.include), globs(&self.exclude)) else { return };
        let roots: Vec<(PathBuf, usize)> = self.include.iter().map(|pattern| root(pattern)).collect();
        let settings = ReaderSettings {
            pods_dir: roots.first().map(|(root, _)| root.clone()).unwrap_or_default(),
            glob_minimum_cooldown: self.glob_minimum_cooldown,
            max_line_bytes: self.max_line_bytes,
            max_line_policy: self.max_line_policy,
            max_held_bytes: self.max_held_bytes,
            multiline: self.multiline.clone(),
            rotate_wait: self.rotate_wait,
            ..ReaderSettings::default()
        };
        let encoding = encoding_rs::Encoding::for_label(self.encoding.as_bytes());
        let encoding = encoding.filter(|encoding| *encoding != encoding_rs::UTF_8);
        let framing = Framing { plain: true, encoding, from_end: self.read_from == ReadFrom::End };
        let oldest = self.ignore_older_secs.map(Span::duration);
        let found = Globs { roots, include, exclude, oldest };
        Reader::with(settings, Box::new(found), framing, wiring).run();
    }
}

fn globs(patterns: &[String]) -> Result<GlobSet, String> {
    let mut set = GlobSetBuilder::new();
    for pattern in patterns {
        let glob = globset::GlobBuilder::new(pattern).literal_separator(true).build();
        set.add(glob.map_err(|error| error.to_string())?);
    }
    set.build().map_err(|error| error.to_string())
}

/// The directory above the first wildcard of a pattern, and how many levels below it the pattern
/// reaches.
fn root(pattern: &str) -> (PathBuf, usize) {
    let wild =
        |part: &std::path::Component<'_>| part.as_os_str().to_string_lossy().contains(['*', '?', '[', '{']);
    let parts: Vec<_> = Path::new(pattern).components().collect();
    let fixed = parts.iter().take_while(|part| !wild(part)).count().min(parts.len().saturating_sub(1));
    let depth = if pattern.contains("**") { usize::MAX } else { parts.len() - fixed };
    (parts[..fixed].iter().collect(), depth)
}

/// Files that match globs.
struct Globs {
    roots: Vec<(PathBuf, usize)>,
    include: GlobSet,
    exclude: GlobSet,
    oldest: Option<Duration>,
}

impl Discover for Globs {
    fn owns(&self, path: &Path) -> bool {
        self.include.is_match(path) && !self.exclude.is_match(path)
    }

    fn changed(&mut self) -> bool {
        false
    }

    fn sees_everything(&self) -> bool {
        false
    }

    fn scan(&mut self) -> Scan {
        let mut scan = Scan::default();
        let mut seen = HashSet::new();
        for (root, depth) in self.roots.clone() {
            self.visit(&root, depth, &mut seen, &mut scan);
        }
        let names: HashSet<(PathBuf, String)> = scan
            .files
            .iter()
            .filter(|file| !is_rotated(&file.path))
            .map(|file| (file.path.parent().map(Path::to_owned).unwrap_or_default(), stem(&file.path)))
            .collect();
        for file in &mut scan.files {
            let place = (file.path.parent().map(Path::to_owned).unwrap_or_default(), stem(&file.path));
            file.stage = match is_rotated(&file.path) {
                false => Stage::Current,
                true if names.contains(&place) => Stage::Rotated,
                true => Stage::Renamed,
            };
        }
        scan.files.sort_by_key(|file| file.modified);
        scan
    }
}

impl Globs {
    fn visit(&self, dir: &Path, depth: usize, seen: &mut HashSet<(u64, u64)>, scan: &mut Scan) {
        let entries = match fs::read_dir(dir) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return,
            Err(error) => return scan.errors.push((dir.to_owned(), error)),
        };
        for entry in entries {
            let path = match entry {
                Ok(entry) => entry.path(),
                Err(error) => return scan.errors.push((dir.to_owned(), error)),
            };
            // Follows links to files; one to a directory could lead round in circles.
            let Ok(metadata) = fs::metadata(&path) else { continue };
            let linked = fs::symlink_metadata(&path).is_ok_and(|metadata| metadata.is_symlink());
            if metadata.is_dir() && !linked {
                if depth > 1 {
                    self.visit(&path, depth - 1, seen, scan);
                }
                continue;
            }
            let wanted = metadata.is_file() && self.include.is_match(&path) && !self.exclude.is_match(&path);
            let modified = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
            let age = SystemTime::now().duration_since(modified).unwrap_or_default();
            if !wanted || self.oldest.is_some_and(|oldest| age > oldest) {
                continue;
            }
            if seen.insert((metadata.dev(), metadata.ino())) {
                scan.files.push(candidate(path, &metadata, modified));
            }
        }
    }
}

fn candidate(path: PathBuf, metadata: &fs::Metadata, modified: SystemTime) -> Candidate {
    let dir = path.parent().map(|dir| dir.to_string_lossy().into_owned()).unwrap_or_default();
    let owner = Owner {
        namespace: String::new(),
        pod: String::new(),
        pod_uid: dir,
        container: stem(&path),
        restart: 0,
    };
    Candidate {
        gzip: path.extension().is_some_and(|ending| ending == "gz"),
        owner: Arc::new(owner),
        key: (metadata.dev(), metadata.ino()),
        size: metadata.len(),
        modified,
        stage: Stage::Current,
        path,
    }
}

/// The part of a name that rotation leaves alone: up to the first dot, without a date at its end.
fn stem(path: &Path) -> String {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let first = name.trim_start_matches('.').split('.').next().unwrap_or_default();
    let bare = first.trim_end_matches(|c: char| c.is_ascii_digit() || c == '-' || c == '_');
    if first.len() - bare.len() >= 8 { bare.to_owned() } else { first.to_owned() }
}

/// `app.log.1`, `app.log-20261124`, `app-20261124.log`, each also with `.gz`.
fn is_rotated(path: &Path) -> bool {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let plain = name.strip_suffix(".gz").unwrap_or(&name);
    let digits = plain.len() - plain.trim_end_matches(|c: char| c.is_ascii_digit()).len();
    let numbered = digits > 0 && plain[..plain.len() - digits].ends_with(['.', '-']);
    numbered || name.ends_with(".gz") || stem(path).len() < plain.split('.').next().unwrap_or_default().len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rotation_keeps_the_stem_and_neighbours_keep_their_own() {
        for (name, expected, rotated) in [
            ("app.log", "app", false),
            ("app.log.1", "app", true),
            ("app.log-20261124", "app", true),
            ("app-20261124.log", "app", true),
            ("app.log.2.gz", "app", true),
            ("app2.log", "app2", false),
            ("UTF-16.txt", "UTF-16", false),
            ("syslog", "syslog", false),
        ] {
            let path = Path::new("/var/log").join(name);
            assert_eq!((stem(&path).as_str(), is_rotated(&path)), (expected, rotated), "{name}");
        }
    }

    #[test]
    fn the_root_of_a_glob_is_what_lies_above_its_first_wildcard() {
        assert_eq!(root("/var/log/*/x.log"), ("/var/log".into(), 2));
        assert_eq!(root("/var/log/app/x.log"), ("/var/log/app".into(), 1));
        assert_eq!(root("/var/**/x.log"), ("/var".into(), usize::MAX));
    }
}
