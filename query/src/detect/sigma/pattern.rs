//! Sigma's texts: `*` and `?` are wildcards, a backslash takes their meaning away.
//!
//! Also the transformations that turn one text into others: base64 at three offsets, UTF-16 and
//! the dashes Windows programs accept.

use crate::detect::problem::{RuleError, invalid, unsupported};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Option dashes of a text that are varied independently: 5⁴ texts.
const MIXED_DASHES_MAX: usize = 4;

/// One piece of a pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// Literal text.
    Text(String),
    /// `*`: any number of characters.
    Many,
    /// `?`: one character.
    One,
}

/// A text with wildcards.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Pattern(Vec<Piece>);

impl Pattern {
    /// Parses a value of a rule. `\*`, `\?` and `\\` are the characters themselves; any other
    /// backslash is one.
    pub fn parse(text: &str) -> Pattern {
        let mut pieces = Vec::new();
        let mut literal = String::new();
        let mut chars = text.chars().peekable();
        while let Some(c) = chars.next() {
            let wildcard = match c {
                '\\' => {
                    match chars.peek() {
                        Some(&next @ ('*' | '?' | '\\')) => {
                            literal.push(next);
                            chars.next();
                        }
                        _ => literal.push('\\'),
                    }
                    continue;
                }
                '*' => Piece::Many,
                '?' => Piece::One,
                _ => {
                    literal.push(c);
                    continue;
                }
            };
            if !literal.is_empty() {
                pieces.push(Piece::Text(std::mem::take(&mut literal)));
            }
            pieces.push(wildcard);
        }
        if !literal.is_empty() {
            pieces.push(Piece::Text(literal));
        }
        Pattern(pieces)
    }

    /// A text without wildcards.
    pub fn literal(text: impl Into<String>) -> Pattern {
        Pattern(vec![Piece::Text(text.into())])
    }

    /// The text, when there is no wildcard in it.
    pub fn as_literal(&self) -> Option<&str> {
        match self.0.as_slice() {
            [] => Some(""),
            [Piece::Text(text)] => Some(text),
            _ => None,
        }
    }

    /// Allows anything before.
    pub fn open_start(&mut self) {
        if self.0.first() != Some(&Piece::Many) {
            self.0.insert(0, Piece::Many);
        }
    }

    /// Allows anything after.
    pub fn open_end(&mut self) {
        if self.0.last() != Some(&Piece::Many) {
            self.0.push(Piece::Many);
        }
    }

    /// As a SQL LIKE pattern with `\` as escape.
    pub fn to_like(&self) -> String {
        let mut like = String::new();
        for piece in &self.0 {
            match piece {
                Piece::Many => like.push('%'),
                Piece::One => like.push('_'),
                Piece::Text(text) => {
                    for c in text.chars() {
                        if matches!(c, '%' | '_' | '\\') {
                            like.push('\\');
                        }
                        like.push(c);
                    }
                }
            }
        }
        like
    }
}

/// Bytes a value stands for while modifiers transform it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bytes(pub Vec<u8>);

/// UTF-16 of a text.
pub fn utf16(text: &str, big_endian: bool, mark: bool) -> Bytes {
    let unit = |unit: u16| if big_endian { unit.to_be_bytes() } else { unit.to_le_bytes() };
    let marks = mark.then_some(0xfeff_u16);
    Bytes(marks.into_iter().chain(text.encode_utf16()).flat_map(unit).collect())
}

impl Bytes {
    /// The base64 text.
    pub fn base64(&self) -> String {
        STANDARD.encode(&self.0)
    }

    /// The parts of base64 texts that are the same wherever the bytes stand in a larger input: one
    /// for each of the three alignments.
    pub fn base64_offsets(&self) -> Vec<String> {
        // With n bytes in front, the first ceil(8n / 6) characters depend on them; at the end, a
        // group of 1 or 2 left-over bytes shares its last character with what follows.
        (0..3_usize)
            .filter_map(|front| {
                let mut padded = vec![0_u8; front];
                padded.extend(&self.0);
                let encoded = STANDARD.encode(&padded);
                let start = [0, 2, 3][front];
                let end = encoded.len() - [0, 3, 2][padded.len() % 3];
                encoded.get(start..end).filter(|part| !part.is_empty()).map(str::to_owned)
            })
            .collect()
    }

    /// Back to text, where the bytes are text.
    ///
    /// # Errors
    /// UTF-16 bytes that no text column can hold.
    pub fn into_text(self) -> Result<String, RuleError> {
        match String::from_utf8(self.0) {
            Ok(text) => Ok(text),
            Err(_) => unsupported(
                "a utf16 modifier without base64 gives bytes that are not text; combine it with base64offset",
            ),
        }
    }
}

/// The text with its option dashes written in every way Windows programs accept.
///
/// An option dash stands at the start of a word: nothing of a word before it, something after it.
/// Each may be written differently from the next, up to [`MIXED_DASHES_MAX`] of them.
pub fn windash(text: &str) -> Vec<String> {
    const DASHES: [char; 5] = ['-', '/', '\u{2013}', '\u{2014}', '\u{2015}'];
    let word = |c: char| c.is_alphanumeric() || c == '_';
    let chars: Vec<char> = text.chars().collect();
    let options: Vec<usize> = (0..chars.len())
        .filter(|at| {
            let before = at.checked_sub(1).and_then(|at| chars.get(at)).is_some_and(|c| word(*c));
            let after = chars.get(at + 1).is_some_and(|c| word(*c));
            matches!(chars.get(*at), Some('-' | '/')) && !before && after
        })
        .collect();
    let mut variants = vec![chars];
    if options.len() > MIXED_DASHES_MAX {
        let original = variants.swap_remove(0);
        variants = DASHES
            .iter()
            .map(|dash| {
                let at = |(at, c): (usize, &char)| if options.contains(&at) { *dash } else { *c };
                original.iter().enumerate().map(at).collect()
            })
            .collect();
        variants.push(original);
    } else {
        for option in options {
            variants = variants
                .iter()
                .flat_map(|variant| {
                    DASHES.iter().map(move |dash| {
                        let mut variant = variant.clone();
                        variant.iter_mut().skip(option).take(1).for_each(|c| *c = *dash);
                        variant
                    })
                })
                .collect();
        }
    }
    variants.into_iter().map(String::from_iter).collect()
}

/// Replaces `%name%` placeholders; one result for each value.
///
/// # Errors
/// A placeholder without values.
pub fn expand(text: &str, values: &dyn Fn(&str) -> Option<Vec<String>>) -> Result<Vec<String>, RuleError> {
    let mut results = vec![String::new()];
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('%') {
        let Some((name, tail)) = after.split_once('%') else {
            break;
        };
        let Some(values) = values(name).filter(|values| !values.is_empty()) else {
            return unsupported(format!(
                "placeholder %{name}% has no value; give one with --placeholder {name}=VALUE[,VALUE…]"
            ));
        };
        if results.len().saturating_mul(values.len()) > 10_000 {
            return invalid(format!("placeholder %{name}% gives more than 10000 values"));
        }
        results = results
            .iter()
            .flat_map(|start| values.iter().map(move |value| format!("{start}{before}{value}")))
            .collect();
        rest = tail;
    }
    Ok(results.into_iter().map(|start| start + rest).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_and_escapes_become_like() {
        for (text, like) in [
            ("plain", "plain"),
            ("a*b?c", "a%b_c"),
            (r"a\*b", "a*b"),
            (r"100%_\\", r"100\%\_\\"),
            (r"C:\Windows", r"C:\\Windows"),
            (r"\\*", r"\\%"),
            ("", ""),
        ] {
            assert_eq!(Pattern::parse(text).to_like(), like, "{text}");
        }
        assert_eq!(Pattern::parse(r"a\?").as_literal(), Some("a?"));
        assert_eq!(Pattern::parse("a?").as_literal(), None);
    }

    #[test]
    fn base64_offsets_are_found_at_every_alignment() {
        let needle = Bytes(b"http://".to_vec());
        let parts = needle.base64_offsets();
        for front in 0..6 {
            for back in 0..4 {
                let text =
                    STANDARD.encode([vec![b'x'; front], b"http://".to_vec(), vec![b'y'; back]].concat());
                assert!(text.contains(&parts[front % 3]), "{front} {back} {text} {parts:?}");
            }
        }
    }

    #[test]
    fn dashes_placeholders_and_utf16() {
        assert!(windash("cmd -f a-b").contains(&"cmd /f a-b".to_owned()));
        assert_eq!(windash("cmd -f a-b").len(), 5);
        assert!(windash("-a -b").contains(&"/a \u{2014}b".to_owned()));
        assert_eq!(windash("-a -b -c -d -e").len(), 6);
        let values = |name: &str| (name == "n").then(|| vec!["1".to_owned(), "2".to_owned()]);
        assert_eq!(expand("a%n%b", &values), Ok(vec!["a1b".to_owned(), "a2b".to_owned()]));
        assert_eq!(expand("100%", &values), Ok(vec!["100%".to_owned()]));
        assert!(matches!(expand("%m%", &values), Err(RuleError::Unsupported(_))));
        assert_eq!(utf16("a", false, false).0, b"a\0");
        assert_eq!(utf16("a", true, true).0, b"\xfe\xff\0a");
    }
}
