//! Text of others on a terminal: a hostile log line can't drive it.

use std::fmt::Write as _;

/// Bytes as text in which nothing moves the cursor, changes colours or reverses the reading order:
/// control characters and what is not UTF-8 become `\x1b`, other invisible controls `\u{202e}`. A
/// further line is indented, so that it can't pass for a record of its own.
pub fn neutralise(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '\n' => text.push_str("\n    "),
                '\t' => text.push('\t'),
                // Writing to a string does not fail.
                c if c.is_ascii_control() => {
                    let _ = write!(text, "\\x{:02x}", u32::from(c));
                }
                c if is_invisible(c) => {
                    let _ = write!(text, "\\u{{{:x}}}", u32::from(c));
                }
                c => text.push(c),
            }
        }
        for byte in chunk.invalid() {
            let _ = write!(text, "\\x{byte:02x}");
        }
    }
    text
}

/// JSON text in which what a terminal might obey is escaped, and which means the same.
pub fn neutralise_json(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    for c in json.chars() {
        if c.is_ascii_control() || is_invisible(c) {
            // All of them are in the first plane, where one escape is one character.
            let _ = write!(text, "\\u{:04x}", u32::from(c));
        } else {
            text.push(c);
        }
    }
    text
}

/// C1 controls (U+009B begins a sequence like ESC [) and what changes the direction of text or
/// breaks lines.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{80}'..='\u{9f}' | '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_a_terminal_would_obey_is_left() {
        for (hostile, harmless) in [
            (b"\x1b]0;owned\x07".as_slice(), r"\x1b]0;owned\x07"),
            (b"\x1b[2J\r\x08\x7f\0", r"\x1b[2J\x0d\x08\x7f\x00"),
            ("\u{9b}31m\u{202e}evil\u{2066}".as_bytes(), r"\u{9b}31m\u{202e}evil\u{2066}"),
            (b"\xff\xfe caf\xc3\xa9", "\\xff\\xfe café"),
            (b"first\nsecond\tx", "first\n    second\tx"),
        ] {
            assert_eq!(neutralise(hostile), harmless);
        }
    }

    #[test]
    fn json_stays_the_same_json() {
        let value = serde_json::json!({ "b": "\u{1b}[2J\u{9b}\u{202e}\u{7f} ok" });
        let text = neutralise_json(&value.to_string());
        assert!(text.is_ascii() && !text.bytes().any(|b| b.is_ascii_control()), "{text}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&text).unwrap(), value);
    }
}
