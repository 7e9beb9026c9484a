//! One journal file being read: where it got to, and the next entry.
//!
//! Entries are found through the chain of entry arrays, which is walked on from where it was left.
//! Everything in the file may be damaged or made up: arrays must lie behind one another and
//! sequence numbers must rise, so that no file can keep the reader in a circle.

use super::format::{Fault, Header, Kind, Pages, fault, id_at, u32_at, u64_at};
use std::fs::File;
use std::time::{Duration, Instant};

/// Fields of one entry; journald itself takes at most 1,024.
const ITEMS_MAX: u64 = 4096;
/// Time a live file's writer gets to complete what can't be read yet.
pub const UNFINISHED: Duration = Duration::from_secs(2);

/// An entry: its times, and the offsets of its data objects.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Entry {
    /// Sequence number; rises within a file.
    pub seqnum: u64,
    /// Time journald received it, in µs since 1970.
    pub realtime: u64,
    /// Boot it belongs to.
    pub boot_id: [u8; 16],
    /// Where its fields are.
    pub items: Vec<u64>,
    /// Size of the entry itself.
    pub bytes: u64,
}

/// What came of looking for an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// [`Journal::entry`] holds it.
    Entry,
    /// There is none, or it is not complete yet.
    None,
}

/// A journal file and the place in it.
#[derive(Debug)]
pub struct Journal {
    /// The file.
    pub pages: Pages,
    /// Its header, as last seen.
    pub header: Header,
    /// The entry that comes next, once [`Journal::peek`] found one.
    pub entry: Entry,
    /// Entries below this sequence number are done.
    pub next_seqnum: u64,
    /// Entries that could not be read, since last asked.
    pub damaged: u64,
    peeked: bool,
    /// Entries of the chain passed so far.
    index: u64,
    /// Entry array the next entry is in: offset, items, and the index within.
    array: (u64, u64, u64),
    unfinished_since: Option<Instant>,
    /// The chain is broken: nothing more can be found.
    broken: bool,
    scratch: Vec<u8>,
}

impl Journal {
    /// Opens a journal.
    ///
    /// # Errors
    /// When it is none.
    pub fn open(file: File) -> Result<Self, Fault> {
        let mut pages = Pages::new(file);
        let header = pages.header()?;
        Ok(Self {
            pages,
            header,
            entry: Entry::default(),
            next_seqnum: 0,
            damaged: 0,
            peeked: false,
            index: 0,
            array: (0, 0, 0),
            unfinished_since: None,
            broken: false,
            scratch: Vec::new(),
        })
    }

    /// Goes to the first entry whose sequence number is at least `seqnum`, without reading all before.
    pub fn seek(&mut self, seqnum: u64) {
        self.next_seqnum = seqnum;
        if seqnum == 0 {
            return;
        }
        // What can't be read here is met again, and handled, by `peek`.
        while let Ok(true) = self.enter_array() {
            let (_, items, _) = self.array;
            let left = items.min(self.header.entries.saturating_sub(self.index));
            if left == 0 {
                return;
            }
            match self.seqnum_of(left - 1) {
                Ok(last) if last < seqnum => {
                    self.array.2 = items;
                    self.index += left;
                    if left < items {
                        self.array.2 = left;
                        return;
                    }
                }
                Ok(_) => return self.seek_within(seqnum, left),
                Err(_) => return,
            }
        }
    }

    fn seek_within(&mut self, seqnum: u64, items: u64) {
        let (mut low, mut high) = (0, items);
        while low < high {
            let middle = low + (high - low) / 2;
            match self.seqnum_of(middle) {
                Ok(found) if found < seqnum => low = middle + 1,
                Ok(_) => high = middle,
                // Then every entry of this array is looked at in turn.
                Err(_) => return,
            }
        }
        self.array.2 = low;
        self.index += low;
    }

    fn seqnum_of(&mut self, item: u64) -> Result<u64, Fault> {
        let offset = self.item(item)?;
        self.pages.object(offset, Kind::Entry, 64)?;
        let mut bytes = [0; 8];
        self.pages.read(offset + 16, &mut bytes)?;
        Ok(u64_at(&bytes, 0))
    }

    /// Looks whether the writer added something; true when there may be more to read.
    ///
    /// # Errors
    /// When the header can't be read any more.
    pub fn refresh(&mut self) -> Result<bool, Fault> {
        let before = self.pages.size();
        let header = self.pages.header()?;
        if header.file_id != self.header.file_id {
            return fault(0, "the header of another journal");
        }
        let changed = header != self.header || before != self.pages.size();
        self.header = header;
        if changed || self.unfinished_since.is_some() {
            self.pages.forget();
        }
        Ok(self.has_more())
    }

    /// The header promises entries that were not read.
    pub fn has_more(&self) -> bool {
        self.peeked || (!self.broken && self.index < self.header.entries)
    }

    /// Entries the header promises that were not read.
    pub fn behind(&self) -> u64 {
        if self.broken { 0 } else { self.header.entries.saturating_sub(self.index) }
    }

    /// Finds the next entry. What can't be read is waited for in a `live` file for a while, and then
    /// skipped and counted.
    ///
    /// # Errors
    /// When the file can't be read; asking again tries again.
    pub fn peek(&mut self, live: bool) -> Result<Next, Fault> {
        while !self.peeked && self.has_more() {
            let (at_array, found) = match self.enter_array() {
                Ok(true) => (false, self.load()),
                Ok(false) => (true, fault(self.array.0, "the last of its chain too early")),
                Err(error) => (true, Err(error)),
            };
            match found {
                Ok(()) => {
                    self.unfinished_since = None;
                    self.pass();
                    // Also what a damaged file repeats.
                    self.peeked = self.entry.seqnum >= self.next_seqnum;
                }
                Err(Fault::Io(error)) => return Err(error.into()),
                Err(error) => {
                    let since = *self.unfinished_since.get_or_insert_with(Instant::now);
                    if live && since.elapsed() < UNFINISHED {
                        return Ok(Next::None);
                    }
                    tracing::debug!(%error, "journal entry skipped");
                    if at_array {
                        self.damaged += self.behind();
                        self.broken = true;
                    } else {
                        self.damaged += 1;
                        self.pass();
                    }
                }
            }
        }
        Ok(if self.peeked { Next::Entry } else { Next::None })
    }

    /// The entry that was found is done.
    pub fn take(&mut self) {
        self.peeked = false;
        self.next_seqnum = self.entry.seqnum.saturating_add(1);
    }

    fn pass(&mut self) {
        self.index += 1;
        self.array.2 += 1;
    }

    /// Makes sure that `array` is where the next entry is; false when the chain ends.
    fn enter_array(&mut self) -> Result<bool, Fault> {
        while self.array.2 >= self.array.1 {
            let current = self.array.0;
            let next = if current == 0 {
                self.header.entry_array
            } else {
                let mut next = [0; 8];
                self.pages.read(current + 16, &mut next)?;
                u64_at(&next, 0)
            };
            if next == 0 {
                return Ok(false);
            }
            if next <= current {
                return fault(next, "an entry array before its predecessor");
            }
            let (_, size) = self.pages.object(next, Kind::EntryArray, 24)?;
            self.array = (next, (size - 24) / self.width(), 0);
        }
        Ok(true)
    }

    fn width(&self) -> u64 {
        if self.header.compact { 4 } else { 8 }
    }

    /// An item of the current entry array.
    fn item(&mut self, item: u64) -> Result<u64, Fault> {
        let at = self.array.0 + 24 + item * self.width();
        let mut bytes = [0; 8];
        let width = if self.header.compact { 4 } else { 8 };
        self.pages.read(at, &mut bytes[..width])?;
        Ok(u64_at(&bytes, 0))
    }

    /// Reads the entry the chain is at.
    fn load(&mut self) -> Result<(), Fault> {
        let offset = self.item(self.array.2)?;
        let (_, size) = self.pages.object(offset, Kind::Entry, 64)?;
        let width: u64 = if self.header.compact { 4 } else { 16 };
        if (size - 64) / width > ITEMS_MAX {
            return fault(offset, "an entry of too many fields");
        }
        self.scratch.resize(usize::try_from(size).unwrap_or_default(), 0);
        self.pages.read(offset, &mut self.scratch)?;
        let bytes = &self.scratch;
        let (seqnum, realtime) = (u64_at(bytes, 16), u64_at(bytes, 24));
        if seqnum == 0 || seqnum == u64::MAX || realtime == 0 || realtime > REALTIME_MAX {
            return fault(offset, "an entry without number or time");
        }
        if seqnum > self.header.tail_seqnum {
            // Believing it would make all that follow look as if they were done.
            return fault(offset, "an entry numbered beyond the last");
        }
        self.entry.seqnum = seqnum;
        self.entry.realtime = realtime;
        self.entry.boot_id = id_at(bytes, 40);
        self.entry.bytes = size;
        self.entry.items.clear();
        for item in bytes[64..].chunks_exact(if self.header.compact { 4 } else { 16 }) {
            let data = if self.header.compact { u64::from(u32_at(item, 0)) } else { u64_at(item, 0) };
            if data == 0 {
                return fault(offset, "an entry with an empty field");
            }
            self.entry.items.push(data);
        }
        Ok(())
    }
}

/// The end of the year 9999 in µs: beyond it there is no four-digit year to write.
const REALTIME_MAX: u64 = 253_402_300_799_999_999;
