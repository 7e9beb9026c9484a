//! Positions: how far each source file was read, and the checkpoint that keeps them.
//!
//! A file is known by its [`Fingerprint`]: a hash over its owner and the head of its content. Never
//! by path, device or inode: a rename keeps the position, a truncation or a reused inode starts a
//! new file.
//!
//! A position moves only together with the records it accounts for: it travels in the batch, is
//! written in the footer of the same spool frame, and reaches the checkpoint file only after that
//! frame is synced to disk. A partial record that is still open does not hold the position back;
//! its start is remembered beside it, so that a restart can re-read exactly those lines.

use crate::stream::{Owner, Stdio};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::collections::HashMap;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use twox_hash::{xxhash3_64, xxhash3_128};

/// Bytes of a file that take part in its fingerprint: the first line without its newline, or the
/// first 1,024 bytes when the line is longer. Enough to hold the runtime's nanosecond timestamp and
/// most of a line, small enough to be checked again after every read.
pub const HEAD_BYTES: usize = 1024;

/// Bytes before a place in a file that a [`Mark`] is made of.
pub const MARK_BYTES: usize = 64;

/// 128-bit identity of a file's content and owner.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Fingerprint(pub u128);

impl Fingerprint {
    /// The fingerprint of a file: its owner and the head of its content.
    ///
    /// The restart count takes part as well: two files of one container that begin with the same
    /// line (no timestamp) must not be mistaken for one another, and rotation keeps the count.
    pub fn of(owner: &Owner, head: &[u8]) -> Self {
        let mut hasher = xxhash3_128::Hasher::new();
        let restart = owner.restart.to_le_bytes();
        for part in [
            owner.namespace.as_bytes(),
            owner.pod.as_bytes(),
            owner.pod_uid.as_bytes(),
            owner.container.as_bytes(),
            &restart,
            head,
        ] {
            hasher.write(&(part.len() as u64).to_le_bytes());
            hasher.write(part);
        }
        Self(hasher.finish_128())
    }
}

impl Fingerprint {
    /// The identity of the `number`th file with this head; the first one is number 0.
    pub fn generation(self, number: u32) -> Self {
        if number == 0 {
            return self;
        }
        let mut hasher = xxhash3_128::Hasher::new();
        hasher.write(&self.0.to_le_bytes());
        hasher.write(&number.to_le_bytes());
        Self(hasher.finish_128())
    }
}

/// What a file holds right before a place: tells files apart that begin alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// The place: an offset.
    pub end: u64,
    /// Hash over at most [`MARK_BYTES`] before it.
    pub hash: u64,
}

impl Mark {
    /// The mark at `end`, given at least [`MARK_BYTES`] before it, or all there are.
    pub fn of(end: u64, before: &[u8]) -> Self {
        let bytes = &before[before.len().saturating_sub(MARK_BYTES)..];
        Self { end, hash: xxhash3_64::Hasher::oneshot(bytes) }
    }
}

/// What tells a file from others with the same head, such as those that all begin with the line
/// that names their columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Signs {
    /// The bytes behind the head. Absent until there are enough of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub anchor: Option<Mark>,
    /// The bytes before the position. Absent in positions of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tip: Option<Mark>,
    /// Identity of the head, when the file is not the first one with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub head: Option<Fingerprint>,
    /// How many files with this head were known before.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub generation: u32,
    /// For a file that is not UTF-8: how many of its bytes the position is behind, or fewer while
    /// some of its text was left over. Zero when that is not known.
    #[serde(default, skip_serializing_if = "is_none")]
    pub raw: u64,
}

impl Signs {
    /// There are none.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

fn is_none(length: &u64) -> bool {
    *length == 0
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// The part of `start` (the first bytes of a file) that identifies it: `None` until the file holds
/// one complete line or [`HEAD_BYTES`]. Stable while the file grows.
pub fn head(start: &[u8]) -> Option<&[u8]> {
    let start = &start[..start.len().min(HEAD_BYTES)];
    match memchr::memchr(b'\n', start) {
        Some(end) => Some(&start[..end]),
        None if start.len() == HEAD_BYTES => Some(start),
        None => None,
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Fingerprint {
    type Err = std::num::ParseIntError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        u128::from_str_radix(text, 16).map(Self)
    }
}

impl Serialize for Fingerprint {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Fingerprint {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// A record that was open when the position was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Open {
    /// Standard stream it belongs to.
    pub stdio: Stdio,
    /// Offset of its first line.
    pub start: u64,
    /// Earlier pieces of the same record were already emitted because it grew too long.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub split: bool,
    /// It is a record of several whole lines.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub group: bool,
}

/// How far a file was read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// The file.
    pub id: Fingerprint,
    /// Every byte before this offset was handed over or belongs to an open partial record.
    pub to: u64,
    /// Partial records that were open at `to`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub open: Vec<Open>,
    /// Start of a physical line longer than the limit, when `to` is in the middle of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub long_line: Option<u64>,
    /// Last time seen in the file; given to lines that carry none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub time: String,
    /// Where the file was last seen: a hint for people, never used to identify it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub path: String,
    /// What tells it from files that begin alike.
    #[serde(default, skip_serializing_if = "Signs::is_empty")]
    pub signs: Signs,
}

impl Position {
    /// Where reading must resume so that open records can be rebuilt.
    pub fn resume_at(&self) -> u64 {
        let open = self.open.iter().map(|open| open.start);
        open.chain(self.long_line).fold(self.to, u64::min)
    }
}

/// One step of a file's position, as carried by a batch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Advance {
    /// Offset before this step.
    pub from: u64,
    /// Position after it.
    pub position: Position,
    /// The file started over under the same fingerprint: `from` does not continue the last `to`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub reset: bool,
    /// The file is long gone: drop its position.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub forget: bool,
}

/// Positions of all known files.
#[derive(Debug, Clone, Default)]
pub struct Positions {
    files: HashMap<Fingerprint, Position>,
}

impl Positions {
    /// Takes over a step.
    pub fn apply(&mut self, advance: &Advance) {
        if advance.forget {
            self.files.remove(&advance.position.id);
        } else {
            self.files.insert(advance.position.id, advance.position.clone());
        }
    }

    /// Takes over a step only if it continues what is known. Used when frames before it may be
    /// lost: the file is then read again from the last continuous position.
    ///
    /// Returns false when the step was refused.
    pub fn apply_continuous(&mut self, advance: &Advance) -> bool {
        let known = self.files.get(&advance.position.id).map_or(0, |position| position.to);
        let continues = advance.reset || advance.forget || advance.from == known;
        if continues {
            self.apply(advance);
        }
        continues
    }

    /// All positions.
    pub fn iter(&self) -> impl Iterator<Item = &Position> {
        self.files.values()
    }

    /// The position of a file.
    pub fn find(&self, id: Fingerprint) -> Option<&Position> {
        self.files.get(&id)
    }
}

/// What can go wrong with the checkpoint file.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// The file can't be read or written.
    #[error("checkpoint {path}: {action} failed")]
    Io {
        /// The file.
        path: PathBuf,
        /// What was tried.
        action: &'static str,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// Written by a later version of the program.
    #[error("checkpoint {path} has version {found}, this collector reads up to {VERSION}; run the newer one")]
    Version {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: u32,
    },
}

const VERSION: u32 = 1;

/// The checkpoint: positions as of a spool segment.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Checkpoint {
    version: u32,
    /// Every segment up to this number is accounted for in `files`.
    pub segment: u64,
    files: Vec<Position>,
}

impl Checkpoint {
    /// Reads the checkpoint. A missing file is an empty checkpoint. A damaged one is set aside
    /// under `<name>.damaged` and treated as missing: files are then read again, which repeats
    /// records under the same identity but loses none.
    ///
    /// # Errors
    /// When the file can't be read or comes from a later version.
    pub fn load(path: &Path) -> Result<(u64, Positions), CheckpointError> {
        let io = |action, source| CheckpointError::Io { path: path.to_owned(), action, source };
        let text = match fs::read(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((0, Positions::default())),
            Err(error) => return Err(io("reading", error)),
        };
        match serde_json::from_slice::<Self>(&text) {
            Ok(checkpoint) if checkpoint.version > VERSION => {
                Err(CheckpointError::Version { path: path.to_owned(), found: checkpoint.version })
            }
            Ok(checkpoint) => {
                let files = checkpoint.files.into_iter().map(|position| (position.id, position)).collect();
                Ok((checkpoint.segment, Positions { files }))
            }
            Err(error) => {
                let aside = path.with_extension("damaged");
                tracing::error!(path = %path.display(), aside = %aside.display(), %error,
                    "checkpoint is damaged and was set aside, files are read again");
                fs::rename(path, &aside).map_err(|error| io("setting aside", error))?;
                Ok((0, Positions::default()))
            }
        }
    }

    /// Replaces the checkpoint file durably.
    ///
    /// # Errors
    /// When it can't be written; the old file is then still in place.
    pub fn store(path: &Path, segment: u64, positions: &Positions) -> Result<(), CheckpointError> {
        let checkpoint =
            Self { version: VERSION, segment, files: positions.files.values().cloned().collect() };
        let io = |action, source| CheckpointError::Io { path: path.to_owned(), action, source };
        let text = serde_json::to_vec(&checkpoint).map_err(|error| io("encoding", error.into()))?;
        replace_file(path, &text).map_err(|error| io("writing", error))
    }
}

/// Writes a file atomically and durably: temporary file, sync, rename, sync of the directory.
///
/// # Errors
/// When any step fails; the old content is then still in place.
pub fn replace_file(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".tmp");
    let mut file = File::create(&temporary)?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    sync_directory(path.parent().unwrap_or(Path::new(".")))
}

/// Makes renames and removals in a directory durable.
///
/// # Errors
/// When the directory can't be opened or synced.
pub fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owner() -> Owner {
        Owner::parse("shop_api_u1", "api", "0.log").unwrap()
    }

    fn position(id: u128, to: u64) -> Position {
        Position {
            id: Fingerprint(id),
            to,
            open: vec![],
            long_line: None,
            time: String::new(),
            path: String::new(),
            signs: Signs::default(),
        }
    }

    #[test]
    fn the_head_is_stable_while_the_file_grows() {
        assert_eq!(head(b"no newline yet"), None);
        assert_eq!(head(b"a line\n"), Some(&b"a line"[..]));
        assert_eq!(head(b"a line\nmore\n"), Some(&b"a line"[..]));
        let long = vec![b'x'; 3000];
        assert_eq!(head(&long[..1023]), None);
        assert_eq!(head(&long[..1024]), head(&long));
    }

    #[test]
    fn the_owner_is_part_of_the_identity() {
        let other = Owner { restart: 1, ..owner() };
        assert_eq!(Fingerprint::of(&owner(), b"x"), Fingerprint::of(&owner(), b"x"));
        assert_ne!(Fingerprint::of(&owner(), b"x"), Fingerprint::of(&other, b"x"));
        assert_ne!(Fingerprint::of(&owner(), b"x"), Fingerprint::of(&owner(), b"y"));
    }

    #[test]
    fn reading_resumes_at_the_first_open_record() {
        let mut at = position(1, 100);
        assert_eq!(at.resume_at(), 100);
        at.open.push(Open { stdio: Stdio::Stderr, start: 70, split: false, group: false });
        at.long_line = Some(90);
        assert_eq!(at.resume_at(), 70);
    }

    #[test]
    fn a_gap_stops_a_file_where_it_was_continuous() {
        let mut positions = Positions::default();
        let step = |from, to| Advance { from, position: position(1, to), reset: false, forget: false };
        assert!(positions.apply_continuous(&step(0, 10)));
        assert!(!positions.apply_continuous(&step(20, 30)));
        assert_eq!(positions.find(Fingerprint(1)).unwrap().to, 10);
    }

    #[test]
    fn a_checkpoint_round_trips_and_a_damaged_one_is_set_aside() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("positions.json");
        assert_eq!(Checkpoint::load(&path).unwrap().0, 0);
        let mut positions = Positions::default();
        positions.apply(&Advance { from: 0, position: position(7, 42), reset: false, forget: false });
        Checkpoint::store(&path, 9, &positions).unwrap();
        let (segment, loaded) = Checkpoint::load(&path).unwrap();
        assert_eq!((segment, loaded.find(Fingerprint(7)).unwrap().to), (9, 42));
        fs::write(&path, b"{\"version\":1,").unwrap();
        assert_eq!(Checkpoint::load(&path).unwrap().0, 0);
        assert!(path.with_extension("damaged").exists());
    }
}
