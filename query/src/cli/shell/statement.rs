//! Where a statement ends: at a `;` that stands in no text, name or comment.

use reedline::{ValidationResult, Validator};

/// Keeps a line open until what was typed is whole.
pub struct Whole;

impl Validator for Whole {
    fn validate(&self, line: &str) -> ValidationResult {
        if is_whole(line) { ValidationResult::Complete } else { ValidationResult::Incomplete }
    }
}

/// Whether `text` is a command, nothing, a word that leaves, or ends with a `;`.
pub fn is_whole(text: &str) -> bool {
    let trimmed = text.trim();
    let word = trimmed.to_ascii_lowercase();
    if trimmed.is_empty()
        || trimmed.starts_with('\\')
        || matches!(word.as_str(), "exit" | "quit" | "help" | "?")
    {
        return true;
    }
    let mut last = ' ';
    for (kind, part) in parts(trimmed) {
        match kind {
            Kind::Code => last = part.trim_end().chars().last().unwrap_or(last),
            Kind::Comment => {}
            Kind::Open => return false,
            Kind::Text => last = '\'',
        }
    }
    last == ';'
}

/// What a part of a statement is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Anything else.
    Code,
    /// A text or a quoted name.
    Text,
    /// A comment.
    Comment,
    /// A text, name or comment without its end.
    Open,
}

/// Cuts SQL into code, texts and comments; together the parts are the whole.
pub fn parts(sql: &str) -> Vec<(Kind, &str)> {
    let mut found = Vec::new();
    let (mut rest, mut code) = (sql, 0);
    while code < rest.len() {
        let tail = &rest[code..];
        let end = if tail.starts_with("--") {
            Some((tail.find('\n').map_or(tail.len(), |end| end + 1), Kind::Comment))
        } else if let Some(inside) = tail.strip_prefix("/*") {
            Some(inside.find("*/").map_or((tail.len(), Kind::Open), |end| (end + 4, Kind::Comment)))
        } else {
            tail.chars().next().filter(|c| matches!(c, '\'' | '"')).map(|quote| {
                tail[1..].find(quote).map_or((tail.len(), Kind::Open), |end| (end + 2, Kind::Text))
            })
        };
        match end {
            Some((length, kind)) => {
                if code > 0 {
                    found.push((Kind::Code, &rest[..code]));
                }
                found.push((kind, &rest[code..code + length]));
                rest = &rest[code + length..];
                code = 0;
            }
            None => code += tail.chars().next().map_or(1, char::len_utf8),
        }
    }
    if !rest.is_empty() {
        found.push((Kind::Code, rest));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_ends_at_its_semicolon() {
        for text in [
            "",
            "select 1;",
            "select ';';  ",
            "select 1; -- done",
            "\\d",
            "exit",
            "select 'it''s' ;",
            "select 'é';",
        ] {
            assert!(is_whole(text), "{text}");
        }
        for text in ["select 1", "select ';", "select 1 -- ;", "select /* ; ", "select \";", "select ';'"] {
            assert!(!is_whole(text), "{text}");
        }
    }

    #[test]
    fn parts_add_up_to_the_whole() {
        for text in ["a 'b' -- c\nd /* e */ \"f\" 'g", "", "é'ü'--", "''", "select '"] {
            assert_eq!(parts(text).iter().map(|(_, part)| *part).collect::<String>(), text);
        }
    }
}
