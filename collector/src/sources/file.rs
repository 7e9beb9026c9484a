//! Source `file`: lines of files that are not container logs, also as a sidecar that shares a volume
//! with its application.
//!
//! Files are followed, recognised and resumed exactly as container logs are (see
//! [`super::kubernetes_logs`]): by content, through rename, compression and truncation. A file's
//! owner is its directory and the stem of its name (`app` in `app.log`, `app.log.1`,
//! `app-20261124.log.gz`), so that rotated copies are recognised and neighbours are not confused.
//! Lines carry no time of their own here: they get the time at which they were read.

use super::kubernetes_logs::discover::{Candidate, Discover, Discovery, Scan, Stage};
use super::kubernetes_logs::{Framing, LinePolicy, Reader, Settings as ReaderSettings};
use super::{SourceConfig, Wiring};
use crate::config::component::{Problem, Row, Settings, problem, within};
use crate::config::{ByteSize, Span, options};
use crate::memory::Reads;
use crate::multiline::{self, MultilineSettings};
use crate::stream::{Meta, Origin, Owner};
use globset::{GlobSet, GlobSetBuilder};
use logq_schemas::landing;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashSet};
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
    /// Files not modified for this long are left alone, unless they were read before.
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
    /// Bytes read from a file before the next one gets its turn.
    #[serde(default = "read_bytes")]
    pub max_read_bytes: ByteSize,
    /// Bytes read per second and file at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate_limit: Option<ByteSize>,
    /// Files held open at most.
    #[serde(default = "open_files")]
    pub max_open_files: usize,
    /// Whose files they are.
    #[serde(default, skip_serializing_if = "About::is_empty")]
    pub about: About,
}

/// What is known about files that no path tells: a sidecar has it from the downward API.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct About {
    /// Kubernetes namespace.
    pub namespace: String,
    /// Pod name.
    pub pod: String,
    /// Pod UID.
    pub pod_uid: String,
    /// Container whose files they are.
    pub container: String,
    /// OpenTelemetry `service.name`.
    pub service: String,
    /// Host, when it is not the node.
    pub host: String,
    /// Pod labels.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Further resource attributes under their OpenTelemetry names.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub resource: BTreeMap<String, String>,
}

impl About {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    fn stream(&self, source: &str) -> landing::Stream {
        let about = self.clone();
        landing::Stream {
            namespace: about.namespace,
            pod: about.pod,
            pod_uid: about.pod_uid,
            container: about.container,
            service: about.service,
            host: about.host,
            labels: about.labels,
            resource: about.resource,
            source: source.to_owned(),
            ..landing::Stream::default()
        }
    }
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

fn read_bytes() -> ByteSize {
    ByteSize::new(options::READ_BYTES)
}

fn open_files() -> usize {
    options::OPEN_FILES
}

fn rotate_wait() -> Span {
    Span::from(options::ROTATE_WAIT)
}

impl Settings for FileSettings {
    const KIND: &'static str = "file";
    const ABOUT: &'static str = "Lines of files that are not container logs, for example of an application beside which the collector runs as a sidecar. Gzipped files are read as well.";

    #[rustfmt::skip]
    fn options() -> Vec<Row> {
        use options::{none, plain, required, size, span, text};
        let mut rows = vec![
            ("include", required(), "Globs of files to read, such as `[\"/var/log/app/*.log*\"]`; `**` crosses directories. Include rotated names, or the end of a file may be missed"),
            ("exclude", none(), "Globs of files not to read"),
            ("read_from", text("beginning"), "`beginning`, or `end`: what is in files at the first start is skipped"),
            ("ignore_older_secs", none(), "Files not modified for this long are left alone, unless they were read before"),
            ("encoding", text("utf-8"), "A WHATWG label such as `utf-16le`, `windows-1252`, `gbk`, `shift_jis`; a byte order mark wins"),
            ("glob_minimum_cooldown", span(options::GLOB_COOLDOWN), "Time between scans for new files"),
            ("max_line_bytes", size(options::LINE_BYTES), "Longest record"),
            ("max_line_policy", text("split"), "Longer records: `split` or `truncate`, as for `kubernetes_logs`"),
            ("max_held_bytes", size(options::HELD_BYTES), "Memory for records that are not complete yet, over all files, as for `kubernetes_logs`"),
            ("rotate_wait", span(options::ROTATE_WAIT), "Quiet time after which the end of a rotated or deleted file is final"),
            ("about.namespace, .pod, .pod_uid, .container", none(), "Whose files they are, for a sidecar from the downward API: `pod = \"${POD_NAME}\"`. Part of the records' identity, as cluster and node are"),
            ("about.service, .host", none(), "`service.name` and `host.name` of the records"),
            ("about.labels, about.resource", none(), "Tables of pod labels and of further resource attributes"),
            ("max_read_bytes", size(options::READ_BYTES), "Bytes read from a file before the next one gets its turn"),
            ("rate_limit", none(), "Bytes read per second and file at most; a file that writes more is read later, nothing of it is dropped"),
            ("max_open_files", plain(&format!("`{}`", options::OPEN_FILES)), "Files held open; beyond it the longest idle ones are closed and reopened when they change"),
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
        within(&format!("{key}.max_read_bytes"), self.max_read_bytes, options::LINE_BYTES_RANGE)?;
        if let Some(rate) = self.rate_limit {
            within(&format!("{key}.rate_limit"), rate, options::RATE_RANGE)?;
        }
        if self.max_open_files == 0 {
            return Err(problem(format!("{key}.max_open_files"), "must be at least 1"));
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
        if let Some(reader) = self.reader(wiring) {
            reader.run();
        }
    }
}

impl FileSettings {
    /// The source with its files; `None` when a glob is none.
    pub(crate) fn reader(&self, wiring: Wiring) -> Option<Reader> {
        let (include, exclude) = (globs(&self.include).ok()?, globs(&self.exclude).ok()?);
        let roots: Vec<(PathBuf, usize)> = self.include.iter().map(|pattern| root(pattern)).collect();
        let settings = ReaderSettings {
            pods_dir: roots.first().map(|(root, _)| root.clone()).unwrap_or_default(),
            glob_minimum_cooldown: self.glob_minimum_cooldown,
            max_line_bytes: self.max_line_bytes,
            max_line_policy: self.max_line_policy,
            max_held_bytes: self.max_held_bytes,
            multiline: self.multiline.clone(),
            rotate_wait: self.rotate_wait,
            max_read_bytes: self.max_read_bytes,
            rate_limit: self.rate_limit,
            max_open_files: self.max_open_files,
            ..ReaderSettings::default()
        };
        let encoding = encoding_rs::Encoding::for_label(self.encoding.as_bytes());
        let encoding = encoding.filter(|encoding| *encoding != encoding_rs::UTF_8);
        let origin = Origin {
            cluster: wiring.cluster.clone(),
            node: wiring.node.clone(),
            about: self.about.stream(&wiring.name),
        };
        let meta = Arc::new(Meta { origin: Some(Arc::new(origin)), ..Meta::default() });
        let framing = Framing { plain: true, encoding, from_end: self.read_from == ReadFrom::End, meta };
        let oldest = self.ignore_older_secs.map(Span::duration);
        let watch = Discovery::new(&settings.pods_dir);
        let watched = HashSet::new();
        let found = Globs { roots, include, exclude, oldest, watch, watched, missing: false };
        Some(Reader::with(settings, Box::new(found), framing, wiring))
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
    /// Only its kernel watch is of use here.
    watch: Discovery,
    watched: HashSet<PathBuf>,
    /// A directory a glob begins in is not there yet: nothing tells when it appears.
    missing: bool,
}

impl Discover for Globs {
    fn owns(&self, path: &Path) -> bool {
        self.include.is_match(path) && !self.exclude.is_match(path)
    }

    fn changed(&mut self) -> bool {
        self.watch.changed()
    }

    fn sees_everything(&self) -> bool {
        self.watch.sees_everything() && !self.missing
    }

    fn scan(&mut self) -> Scan {
        let mut scan = Scan::default();
        let mut seen = HashSet::new();
        let mut visited = HashSet::new();
        self.missing = false;
        for (root, depth) in self.roots.clone() {
            self.visit(&root, depth, &mut seen, &mut visited, &mut scan);
            self.missing |= !visited.contains(&root);
        }
        self.watched = visited;
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
    fn visit(
        &mut self,
        dir: &Path,
        depth: usize,
        seen: &mut HashSet<(u64, u64)>,
        visited: &mut HashSet<PathBuf>,
        scan: &mut Scan,
    ) {
        let entries = match fs::read_dir(dir) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return,
            Err(error) => return scan.errors.push((dir.to_owned(), error)),
        };
        // It is open but not listed yet: nothing appears in between unnoticed.
        if visited.insert(dir.to_owned()) && !self.watched.contains(dir) {
            self.watch.watch(dir);
        }
        for entry in entries {
            let path = match entry {
                Ok(entry) => entry.path(),
                Err(error) => return scan.errors.push((dir.to_owned(), error)),
            };
            // Follows links to files; one to a directory could lead round in circles.
            let Ok(metadata) = fs::metadata(&path) else {
                // Where a link leads to is not watched.
                self.missing |= fs::symlink_metadata(&path).is_ok_and(|metadata| metadata.is_symlink());
                continue;
            };
            let linked = fs::symlink_metadata(&path).is_ok_and(|metadata| metadata.is_symlink());
            if metadata.is_dir() && !linked {
                if depth > 1 {
                    self.visit(&path, depth - 1, seen, visited, scan);
                }
                continue;
            }
            if !metadata.is_file() || !self.owns(&path) {
                continue;
            }
            let modified = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
            let age = SystemTime::now().duration_since(modified).unwrap_or_default();
            if seen.insert((metadata.dev(), metadata.ino())) {
                let old = self.oldest.is_some_and(|oldest| age > oldest);
                scan.files.push(Candidate { old, ..candidate(path, &metadata, modified) });
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
        old: false,
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
    fn a_new_name_in_a_directory_of_a_glob_is_noticed_without_a_scan() {
        let dir = tempfile::tempdir().unwrap();
        let logs = dir.path().join("logs");
        let pattern = logs.join("**/*.log").display().to_string();
        let mut found = Globs {
            roots: vec![root(&pattern)],
            include: globs(&[pattern]).unwrap(),
            exclude: GlobSet::empty(),
            oldest: None,
            watch: Discovery::new(&logs),
            watched: HashSet::new(),
            missing: false,
        };
        assert!(found.scan().files.is_empty());
        assert!(!found.sees_everything(), "a directory that is not there can't be watched");
        fs::create_dir_all(logs.join("app")).unwrap();
        found.scan();
        assert!(found.sees_everything());
        found.changed();
        assert!(!found.changed());
        for name in ["a.log", "app/b.log"] {
            fs::write(logs.join(name), "x\n").unwrap();
            assert!(found.changed(), "{name}");
        }
        assert_eq!(found.scan().files.len(), 2);
    }

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
