//! Files of addresses: threat lists as their publishers write them.
//!
//! One entry a line: an address, a network, or a range `first-last`. What follows the entry after
//! white space, a comma or a semicolon is ignored, as are empty lines and comments (`#`, `;`, `//`).
//! A line that holds no address is counted and told, not fatal: lists come with headers. A file
//! without a single entry is refused, because it is not a list.

use super::address_set::{AddressSet, Builder};
use super::cidr;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::net::IpAddr;
use std::path::{Path, PathBuf};

/// Longest line of a list that is looked at: entries are short, and a file that is no list may have
/// no line break at all.
const LINE_BYTES_MAX: usize = 64 << 10;

/// A list of addresses from a file.
#[derive(Debug, Clone)]
pub struct AddressList {
    /// Its addresses.
    pub addresses: AddressSet,
    /// Entries read.
    pub entries: usize,
    /// Lines that hold neither an entry nor a comment.
    pub unread: usize,
    /// The number of the first of them.
    pub first_unread: Option<usize>,
}

/// Why a list is refused.
#[derive(Debug, thiserror::Error)]
pub enum AddressListError {
    /// The file cannot be read.
    #[error("cannot read the list {}: {reason}", path.display())]
    Unreadable {
        /// File.
        path: PathBuf,
        /// Why.
        reason: std::io::Error,
    },
    /// No entry in it.
    #[error(
        "no address or network in the list {}: write one address, network or range a line",
        path.display()
    )]
    NoEntry {
        /// File.
        path: PathBuf,
    },
}

impl AddressList {
    /// Reads a file.
    ///
    /// # Errors
    /// [`AddressListError`]
    pub fn load(path: &Path) -> Result<Self, AddressListError> {
        let unreadable = |reason| AddressListError::Unreadable { path: path.to_owned(), reason };
        let mut lines = BufReader::new(File::open(path).map_err(unreadable)?);
        let mut builder = Builder::default();
        let (mut entries, mut unread, mut first_unread, mut number) = (0, 0, None, 0);
        let mut line = Vec::new();
        while next_line(&mut lines, &mut line).map_err(unreadable)? {
            number += 1;
            match entry(&String::from_utf8_lossy(&line)) {
                Line::Nothing => {}
                Line::Entry(first, last) if builder.add(first, last) => entries += 1,
                Line::Entry(..) | Line::Unread => {
                    unread += 1;
                    first_unread.get_or_insert(number);
                }
            }
        }
        if entries == 0 {
            return Err(AddressListError::NoEntry { path: path.to_owned() });
        }
        Ok(AddressList { addresses: builder.build(), entries, unread, first_unread })
    }
}

/// Reads one line without its end; what is longer than [`LINE_BYTES_MAX`] is passed over.
fn next_line(from: &mut impl BufRead, line: &mut Vec<u8>) -> std::io::Result<bool> {
    line.clear();
    loop {
        let chunk = from.fill_buf()?;
        if chunk.is_empty() {
            return Ok(!line.is_empty());
        }
        let end = chunk.iter().position(|byte| *byte == b'\n');
        let taken = end.unwrap_or(chunk.len());
        let room = LINE_BYTES_MAX.saturating_sub(line.len()).min(taken);
        line.extend_from_slice(&chunk[..room]);
        from.consume(taken + usize::from(end.is_some()));
        if end.is_some() {
            // A lone line break is a line too.
            if line.is_empty() {
                line.push(b' ');
            }
            return Ok(true);
        }
    }
}

#[derive(Debug, PartialEq)]
enum Line {
    Nothing,
    Entry(IpAddr, IpAddr),
    Unread,
}

fn entry(line: &str) -> Line {
    let line = line.trim_start_matches('\u{feff}').trim();
    if line.is_empty() || line.starts_with(['#', ';']) || line.starts_with("//") {
        return Line::Nothing;
    }
    let end =
        line.find(|c: char| c.is_whitespace() || matches!(c, ',' | ';' | '#' | '"')).unwrap_or(line.len());
    let word = &line[..end];
    if let Some(network) = cidr::network(word) {
        return Line::Entry(network.network(), network.broadcast());
    }
    let range =
        word.split_once('-').and_then(|(first, last)| Some((first.parse().ok()?, last.parse().ok()?)));
    range.map_or(Line::Unread, |(first, last)| Line::Entry(first, last))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(text: &str) -> Result<AddressList, AddressListError> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        AddressList::load(file.path())
    }

    #[test]
    fn lists_of_several_publishers_are_read() {
        let text = "; Spamhaus DROP\n1.10.16.0/20 ; SBL256894\r\n\n# Feodo\n203.0.113.7\n198.51.100.4,443,2026-01-01\n\
                    2001:db8::/32 # v6\n192.0.2.10-192.0.2.20\n// end\nfirst_seen,dst_ip\n10.0.0.300\n2.0.0.9-2.0.0.1\n";
        let list = load(text).unwrap();
        assert_eq!((list.entries, list.unread, list.first_unread), (5, 3, Some(10)));
        for address in ["1.10.31.255", "203.0.113.7", "198.51.100.4", "2001:db8::9", "192.0.2.15"] {
            assert!(list.addresses.contains(address.parse().unwrap()), "{address}");
        }
        assert!(!list.addresses.contains("192.0.2.21".parse().unwrap()));
    }

    #[test]
    fn what_is_no_list_is_refused() {
        for text in ["", "<html>\n<body>", "\n\n# only comments\n"] {
            assert!(matches!(load(text), Err(AddressListError::NoEntry { .. })), "{text:?}");
        }
        assert!(matches!(
            AddressList::load(Path::new("/no/such/list")),
            Err(AddressListError::Unreadable { .. })
        ));
        // One endless line costs no more memory than an ordinary one.
        assert!(load(&"x".repeat(1 << 20)).is_err());
    }
}
