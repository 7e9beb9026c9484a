//! Where the next record begins after one that cannot be read.
//!
//! Three signs are looked for, and the first in the text wins: the structural end of the damaged
//! object (brackets counted, strings respected) when a separator follows it, an object that opens
//! with a key only records open with, and, between documents, a line that opens a new one.

use memchr::{memchr, memmem};

/// Keys that open a record, an envelope or a subscription document.
const OPENERS: [&str; 22] = [
    "eventVersion",
    "userIdentity",
    "eventTime",
    "eventSource",
    "eventName",
    "eventID",
    "eventId",
    "eventType",
    "eventCategory",
    "awsRegion",
    "sourceIPAddress",
    "userAgent",
    "requestParameters",
    "responseElements",
    "additionalEventData",
    "recipientAccountId",
    "errorCode",
    "errorMessage",
    "managementEvent",
    "Records",
    "messageType",
    "detail-type",
];

/// Counts brackets over chunks of text, so that an object of any size can be passed by.
#[derive(Debug, Default, Clone, Copy)]
pub struct Scan {
    depth: u32,
    in_string: bool,
    escape: bool,
}

impl Scan {
    /// Feeds the next bytes; the position after the closing bracket once the object has ended.
    pub fn feed(&mut self, bytes: &[u8]) -> Option<usize> {
        for (at, &byte) in bytes.iter().enumerate() {
            if self.escape {
                self.escape = false;
            } else if self.in_string {
                match byte {
                    b'\\' => self.escape = true,
                    b'"' => self.in_string = false,
                    _ => {}
                }
            } else {
                match byte {
                    b'"' => self.in_string = true,
                    b'{' | b'[' => self.depth = self.depth.saturating_add(1),
                    b'}' | b']' => {
                        self.depth = self.depth.saturating_sub(1);
                        if self.depth == 0 {
                            return Some(at + 1);
                        }
                    }
                    _ => {}
                }
            }
        }
        None
    }
}

/// Position at which reading goes on after the damaged object at `start`, whose first bad byte is
/// `error`; `None` when the bytes so far do not show one.
///
/// One pass that stops at the first sign, so that the cost is the distance gone.
pub fn resume(bytes: &[u8], start: usize, error: usize, in_list: bool) -> Option<usize> {
    let from = error.max(start + 1);
    let mut scan = Scan::default();
    let mut structural = matches!(bytes.get(start), Some(b'{' | b'['));
    let mut at = start;
    while let Some(&byte) = bytes.get(at) {
        if at >= from && (byte == b'{' || byte == b'[') {
            let new_line = !in_list && bytes.get(at - 1) == Some(&b'\n');
            if new_line || opens_record(bytes, at) {
                return Some(at);
            }
        }
        at += 1;
        if structural && scan.feed(&[byte]).is_some() {
            let follower = bytes.get(at..)?.iter().find(|byte| !byte.is_ascii_whitespace());
            match follower {
                Some(b',' | b']') => return Some(at),
                _ if !in_list => return Some(at),
                _ => structural = false,
            }
        }
    }
    None
}

/// An object at or after `from` and before `until` whose first key opens records.
pub fn next_opener(bytes: &[u8], from: usize, until: usize) -> Option<usize> {
    let mut at = from;
    while at < until.min(bytes.len()) {
        let brace = at + memchr(b'{', bytes.get(at..until.min(bytes.len()))?)?;
        if opens_record(bytes, brace) {
            return Some(brace);
        }
        at = brace + 1;
    }
    None
}

fn opens_record(bytes: &[u8], brace: usize) -> bool {
    if bytes.get(brace) != Some(&b'{') {
        return false;
    }
    let mut inside = brace + 1;
    while bytes.get(inside).is_some_and(u8::is_ascii_whitespace) {
        inside += 1;
    }
    let Some((b'"', key)) = bytes.get(inside..).and_then(<[u8]>::split_first) else { return false };
    OPENERS.iter().any(|opener| key.starts_with(opener.as_bytes()) && key.get(opener.len()) == Some(&b'"'))
}

/// Whether these bytes look like part of a CloudTrail record.
pub fn looks_like_cloudtrail(bytes: &[u8]) -> bool {
    let head = bytes.get(..bytes.len().min(64 << 10)).unwrap_or(&[]);
    ["\"eventVersion\"", "\"eventSource\"", "\"eventName\"", "\"userIdentity\""]
        .iter()
        .any(|key| memmem::find(head, key.as_bytes()).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brackets_in_strings_do_not_count() {
        let text = br#"{"a":"}]\"}","b":[{}]} tail"#;
        assert_eq!(Scan::default().feed(text), Some(22));
        let mut scan = Scan::default();
        assert_eq!(scan.feed(&text[..9]), None);
        assert_eq!(scan.feed(&text[9..]), Some(13));
    }

    #[test]
    fn a_bad_element_ends_where_its_brackets_close() {
        let text = br#"[{"a":1,,"b":{}},{"c":2}]"#;
        assert_eq!(resume(text, 1, 8, true), Some(16));
    }

    #[test]
    fn a_lost_quote_does_not_swallow_the_next_record() {
        let text = br#"[{"eventVersion":"1.08","x":"lost,"y":1},{"eventVersion":"1.08"}]"#;
        let error = 36;
        let at = resume(text, 1, error, true).unwrap();
        assert_eq!(text.get(at..at + 15), Some(br#"{"eventVersion""#.as_slice()));
    }

    #[test]
    fn between_documents_the_next_line_counts() {
        let text = b"{\"a\":\"cut\n{\"b\":1}\n";
        assert_eq!(resume(text, 0, 9, false), Some(10));
    }
}
