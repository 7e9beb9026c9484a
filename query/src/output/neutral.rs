//! Text that shows instead of acting.

use std::borrow::Cow;
use std::fmt::Write;

/// `text` with every character a terminal obeys, hides or reorders by written as an escape: `\n`,
/// `\x1b`, `\u{202e}`.
///
/// Covered are C0 and C1 controls, line and paragraph separators, bidirectional marks, overrides
/// and isolates, zero-width characters, interlinear annotation, variation selectors of the
/// supplementary plane and tag characters.
pub fn neutral(text: &str) -> Cow<'_, str> {
    if !text.chars().any(acts) {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            '\n' => safe.push_str("\\n"),
            '\r' => safe.push_str("\\r"),
            '\t' => safe.push_str("\\t"),
            c if !acts(c) => safe.push(c),
            c if u32::from(c) < 0x100 => {
                let _ = write!(safe, "\\x{:02x}", u32::from(c));
            }
            c => {
                let _ = write!(safe, "\\u{{{:x}}}", u32::from(c));
            }
        }
    }
    Cow::Owned(safe)
}

/// Whether a character does something other than being seen where it stands.
pub fn acts(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{ad}'
                | '\u{61c}'
                | '\u{180e}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{feff}'
                | '\u{fff9}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e01ef}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_drives_a_terminal_gets_through() {
        for (text, expected) in [
            ("plain é 漢字 🙂", "plain é 漢字 🙂"),
            ("\x1b[2J\x1b]0;owned\x07", "\\x1b[2J\\x1b]0;owned\\x07"),
            ("a\u{9b}31m", "a\\x9b31m"),
            ("user\u{202e}gpj.exe", "user\\u{202e}gpj.exe"),
            ("a\r\nb\tc", "a\\r\\nb\\tc"),
            ("zero\u{200b}width", "zero\\u{200b}width"),
            ("tag\u{e0041}", "tag\\u{e0041}"),
            ("\u{7f}", "\\x7f"),
        ] {
            assert_eq!(neutral(text), expected);
            assert!(!neutral(text).chars().any(acts));
        }
        assert!(matches!(neutral("plain"), Cow::Borrowed(_)));
    }
}
