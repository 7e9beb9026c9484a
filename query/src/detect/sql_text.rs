//! SQL literals that say exactly one thing, whatever an attacker put into a log.

use chrono::{DateTime, SecondsFormat, Utc};

/// A text as a SQL literal. Characters that could drive a terminal are written as `chr(n)`, so the
/// query can be shown and pasted without changing its meaning.
pub fn text(value: &str) -> String {
    let mut parts: Vec<String> = Vec::new();
    let mut run = String::new();
    for c in value.chars() {
        if is_hostile(c) {
            if !run.is_empty() {
                parts.push(format!("'{}'", std::mem::take(&mut run)));
            }
            parts.push(format!("chr({})", u32::from(c)));
        } else {
            run.push(c);
            if c == '\'' {
                run.push('\'');
            }
        }
    }
    if !run.is_empty() || parts.is_empty() {
        parts.push(format!("'{run}'"));
    }
    if parts.len() == 1 { parts.swap_remove(0) } else { format!("({})", parts.join(" || ")) }
}

/// A point in time as a SQL literal, to the microsecond.
pub fn timestamp(time: DateTime<Utc>) -> String {
    format!("TIMESTAMP '{}'", time.to_rfc3339_opts(SecondsFormat::Micros, true))
}

/// Control characters, and the format characters that reorder or hide text.
pub fn is_hostile(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
        || matches!(c, '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}' | '\u{ad}' | '\u{61c}')
}

/// A text for display: hostile characters become visible escapes.
pub fn shown(value: &str) -> String {
    let mut safe = String::with_capacity(value.len());
    for c in value.chars() {
        if is_hostile(c) {
            safe.push_str(&format!("\\u{{{:x}}}", u32::from(c)));
        } else {
            safe.push(c);
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_cannot_be_left() {
        assert_eq!(text("o'brien"), "'o''brien'");
        assert_eq!(text(""), "''");
        assert_eq!(text("a\u{1b}[2J'"), "('a' || chr(27) || '[2J''')");
        assert_eq!(text(r"\' or 1=1"), r"'\'' or 1=1'");
    }

    #[test]
    fn shown_text_is_inert() {
        assert_eq!(shown("a\u{1b}]0;x\u{7}\u{202e}b"), "a\\u{1b}]0;x\\u{7}\\u{202e}b");
    }
}
