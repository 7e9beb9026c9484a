//! The window of recently taken records that keeps a record from entering a table twice within a
//! run, when it arrives in two objects.
//!
//! The window is bounded: it remembers between half and all of its capacity of the most recent
//! records, in two generations; when the younger is full, the older is forgotten. What it forgets
//! is found later, when partitions are sealed: a repeat outside the window is a duplicate row, never
//! a lost one. A record is dropped only when identity *and* content agree, each by a 64-bit hash.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::{BuildHasherDefault, Hasher};
use twox_hash::{XxHash3_64, XxHash3_128};

/// What is known about a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Not seen within the window.
    New,
    /// The same identity with the same content: drop it and count it.
    Duplicate,
    /// The same identity with other content: keep it under an identity of its own, made from this
    /// content hash.
    Conflict(u64),
}

/// Keys are hashes already: taking them as they are spares a second hashing.
#[derive(Debug, Default, Clone, Copy)]
pub struct Identity(u64);

impl Hasher for Identity {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0 = XxHash3_64::oneshot(bytes);
    }

    fn write_u64(&mut self, value: u64) {
        self.0 = value;
    }
}

type Generation = HashMap<u64, u64, BuildHasherDefault<Identity>>;

/// Bounded memory of records taken in.
#[derive(Debug)]
pub struct Seen {
    young: Generation,
    old: Generation,
    young_lines: Generation,
    old_lines: Generation,
    half: usize,
}

/// Two million records: about an hour of a busy organization trail, the span within which the same
/// file is delivered again; at 16 bytes an entry and a table at most half empty, under 80 MiB.
pub const CAPACITY: usize = 2_000_000;

/// Stands for the unknown content of a record read back from a table.
const STORED: u64 = 0;

impl Default for Seen {
    fn default() -> Self {
        Self::with_capacity(CAPACITY)
    }
}

impl Seen {
    /// A window over at most `records` records. Memory is taken as it fills.
    pub fn with_capacity(records: usize) -> Self {
        Self {
            young: Generation::default(),
            old: Generation::default(),
            young_lines: Generation::default(),
            old_lines: Generation::default(),
            half: (records / 2).max(1),
        }
    }

    /// Notes a record with this identity and content, and says whether it was there already.
    pub fn note(&mut self, uid: &[u8], content: u64) -> Verdict {
        let key = XxHash3_64::oneshot(uid);
        match self.get(key) {
            None => {
                self.insert(key, content);
                Verdict::New
            }
            Some(known) if known == content || known == STORED => Verdict::Duplicate,
            Some(_) => {
                // The conflicting content has an identity of its own: a repeat of it is a duplicate.
                let own = key ^ content.rotate_left(32) ^ 0x9e37_79b9_7f4a_7c15;
                if self.get(own) == Some(content) {
                    return Verdict::Duplicate;
                }
                self.insert(own, content);
                Verdict::Conflict(content)
            }
        }
    }

    /// Notes a record that is in a table already, known by its `event_uid` alone: whatever comes under
    /// this identity is a repeat of it.
    pub fn note_stored(&mut self, uid: &str) {
        self.insert(XxHash3_64::oneshot(uid.as_bytes()), STORED);
    }

    /// Notes a line that has no identity but its content, and says whether *another* object held it
    /// already. Equal lines of one object are separate records.
    pub fn repeats_line(&mut self, line: &[u8], object: u64) -> bool {
        let hash = XxHash3_128::oneshot(line);
        let (key, check) = ((hash >> 64) as u64, hash as u64);
        // Half of the value checks the line, the other half tells the object.
        let value = (check << 32) | (object & 0xffff_ffff);
        let is_same = |known: u64| known >> 32 == value >> 32;
        if let Some(&known) = self.old_lines.get(&key).filter(|known| is_same(**known)) {
            return known != value;
        }
        if self.young_lines.len() >= self.half {
            self.old_lines = std::mem::take(&mut self.young_lines);
        }
        match self.young_lines.entry(key) {
            Entry::Occupied(known) if is_same(*known.get()) => *known.get() != value,
            Entry::Occupied(mut other) => {
                other.insert(value);
                false
            }
            Entry::Vacant(free) => {
                free.insert(value);
                false
            }
        }
    }

    /// How many records the window can hold.
    pub fn capacity(&self) -> usize {
        self.half * 2
    }

    /// Forgets everything: to be called before the same objects are read again after a failure.
    pub fn clear(&mut self) {
        self.young.clear();
        self.old.clear();
        self.young_lines.clear();
        self.old_lines.clear();
    }

    /// How many records are remembered.
    pub fn len(&self) -> usize {
        self.young.len() + self.old.len()
    }

    /// Whether nothing is remembered.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn get(&self, key: u64) -> Option<u64> {
        self.young.get(&key).or_else(|| self.old.get(&key)).copied()
    }

    fn insert(&mut self, key: u64, content: u64) {
        if self.young.len() >= self.half {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key, content);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn same_identity_is_a_duplicate_only_with_the_same_content() {
        let mut seen = Seen::default();
        assert_eq!(seen.note(b"a", 1), Verdict::New);
        assert_eq!(seen.note(b"a", 1), Verdict::Duplicate);
        assert_eq!(seen.note(b"a", 2), Verdict::Conflict(2));
        assert_eq!(seen.note(b"a", 2), Verdict::Duplicate);
        assert_eq!(seen.note(b"a", 3), Verdict::Conflict(3));
        assert_eq!(seen.note(b"b", 1), Verdict::New);
        seen.clear();
        assert!(seen.is_empty());
        assert_eq!(seen.note(b"a", 1), Verdict::New);
    }

    #[test]
    fn g4_a_line_repeats_only_in_another_object() {
        let mut seen = Seen::with_capacity(100);
        assert!(!seen.repeats_line(b"2 1 eni-1", 1));
        assert!(!seen.repeats_line(b"2 1 eni-1", 1), "twice in one object are two records");
        assert!(seen.repeats_line(b"2 1 eni-1", 2));
        assert!(!seen.repeats_line(b"2 1 eni-2", 2));
        seen.clear();
        assert!(!seen.repeats_line(b"2 1 eni-1", 2));
    }

    #[test]
    fn memory_is_bounded_and_the_recent_half_is_kept() {
        let mut seen = Seen::with_capacity(1_000);
        for number in 0..100_000u64 {
            assert_eq!(seen.note(&number.to_le_bytes(), number), Verdict::New);
            assert!(seen.len() <= 1_000);
        }
        for number in 99_500..100_000u64 {
            assert_eq!(seen.note(&number.to_le_bytes(), number), Verdict::Duplicate);
        }
    }
}
