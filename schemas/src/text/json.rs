//! A validating, non-allocating walk over JSON text.
//!
//! Log records are read once, front to back: a [`Cursor`] hands out the members of an object and
//! each value as a slice of the input, so that nested parts are stored as the text they were and
//! only strings with escapes are ever copied. The grammar is RFC 8259, strictly; nesting deeper
//! than [`DEPTH_MAX`] is refused, so no input can exhaust the stack.
//!
//! The walk tells *cut* (the text ends inside a value: more bytes may follow) from *malformed*
//! (no continuation can make it JSON): the first asks for more input, the second for recovery.

use std::borrow::Cow;

/// Deepest nesting accepted. Recorded CloudTrail reaches 11; one `u128` is the whole stack.
pub const DEPTH_MAX: u32 = 128;

/// Why a value could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The text ends inside the value.
    Cut,
    /// The text is not JSON at this byte.
    Malformed {
        /// Byte position in the text.
        at: usize,
        /// What is wrong, as a lowercase fragment.
        what: &'static str,
    },
}

/// What kind of value a slice holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `null`
    Null,
    /// `true` or `false`
    Bool,
    /// A number, as written.
    Number,
    /// A string; `escaped` when it contains a backslash.
    Text {
        /// Whether the string must be unescaped.
        escaped: bool,
    },
    /// An object.
    Object,
    /// An array.
    Array,
}

/// One value: its kind and its exact text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Value<'a> {
    /// The value as written, without surrounding blanks; strings with their quotes.
    pub raw: &'a str,
    /// What it is.
    pub kind: Kind,
    /// Whether there are blanks outside of strings (so that storing it needs [`compact`]).
    pub loose: bool,
}

impl<'a> Value<'a> {
    /// The text of a string, unescaped; `None` for every other kind.
    pub fn text(&self) -> Option<Cow<'a, str>> {
        match self.kind {
            Kind::Text { escaped: false } => Some(Cow::Borrowed(inner(self.raw))),
            Kind::Text { escaped: true } => Some(Cow::Owned(unescape(inner(self.raw)))),
            _ => None,
        }
    }

    /// What a text column holds: strings unescaped, numbers and booleans as written, containers
    /// as compact JSON; `None` for null.
    pub fn plain(&self) -> Option<Cow<'a, str>> {
        match self.kind {
            Kind::Null => None,
            Kind::Text { .. } => self.text(),
            Kind::Bool | Kind::Number => Some(Cow::Borrowed(self.raw)),
            Kind::Object | Kind::Array => Some(self.json()),
        }
    }

    /// The value as JSON without blanks outside of strings.
    pub fn json(&self) -> Cow<'a, str> {
        if self.loose {
            let mut out = String::with_capacity(self.raw.len());
            compact(self.raw, &mut out);
            Cow::Owned(out)
        } else {
            Cow::Borrowed(self.raw)
        }
    }

    /// A boolean, also when written as the string `"true"` or `"false"`.
    pub fn boolean(&self) -> Option<bool> {
        match self.raw.trim_matches('"') {
            "true" | "True" => Some(true),
            "false" | "False" => Some(false),
            _ => None,
        }
    }

    /// Whether the value is `null`.
    pub fn is_null(&self) -> bool {
        self.kind == Kind::Null
    }
}

fn inner(raw: &str) -> &str {
    raw.get(1..raw.len().saturating_sub(1)).unwrap_or("")
}

/// A position in JSON text.
#[derive(Debug, Clone)]
pub struct Cursor<'a> {
    text: &'a str,
    at: usize,
    loose: bool,
}

impl<'a> Cursor<'a> {
    /// Starts at byte `at`, which must be a character boundary (any ASCII byte is one).
    pub fn new(text: &'a str, at: usize) -> Self {
        Self { text, at, loose: false }
    }

    /// The byte the cursor stands at.
    pub fn at(&self) -> usize {
        self.at
    }

    /// Skips blanks and returns the next byte without taking it.
    pub fn peek(&mut self) -> Result<u8, Fault> {
        let bytes = self.text.as_bytes();
        match bytes.get(self.at) {
            Some(&byte) if byte > b' ' => return Ok(byte),
            None => return Err(Fault::Cut),
            Some(_) => {}
        }
        self.loose = true;
        while let Some(&byte) = bytes.get(self.at) {
            match byte {
                b' ' | b'\t' | b'\n' | b'\r' => self.at += 1,
                _ => return Ok(byte),
            }
        }
        Err(Fault::Cut)
    }

    fn malformed<T>(&self, what: &'static str) -> Result<T, Fault> {
        Err(Fault::Malformed { at: self.at, what })
    }

    /// Walks an object: `member` is called with each key and must take the value.
    ///
    /// # Errors
    /// [`Fault`] of the text, or whatever `member` returns.
    pub fn object<E: From<Fault>>(
        &mut self,
        mut member: impl FnMut(&mut Self, Value<'a>) -> Result<(), E>,
    ) -> Result<(), E> {
        if self.peek()? != b'{' {
            return Ok(self.malformed("expected an object")?);
        }
        self.at += 1;
        if self.peek()? == b'}' {
            self.at += 1;
            return Ok(());
        }
        loop {
            let key = self.key()?;
            member(self, key)?;
            match self.peek()? {
                b',' => self.at += 1,
                b'}' => {
                    self.at += 1;
                    return Ok(());
                }
                _ => return Ok(self.malformed("expected `,` or `}` after a member")?),
            }
        }
    }

    /// Walks an array: `element` is called before each element and must take it.
    ///
    /// # Errors
    /// [`Fault`] of the text, or whatever `element` returns.
    pub fn array<E: From<Fault>>(
        &mut self,
        mut element: impl FnMut(&mut Self) -> Result<(), E>,
    ) -> Result<(), E> {
        if self.peek()? != b'[' {
            return Ok(self.malformed("expected an array")?);
        }
        self.at += 1;
        if self.peek()? == b']' {
            self.at += 1;
            return Ok(());
        }
        loop {
            self.peek()?;
            element(self)?;
            match self.peek()? {
                b',' => self.at += 1,
                b']' => {
                    self.at += 1;
                    return Ok(());
                }
                _ => return Ok(self.malformed("expected `,` or `]` after an element")?),
            }
        }
    }

    /// Takes a key and its colon; leaves the cursor before the value.
    pub fn key(&mut self) -> Result<Value<'a>, Fault> {
        if self.peek()? != b'"' {
            return self.malformed("expected a key in double quotes");
        }
        let start = self.at;
        let escaped = self.string()?;
        let raw = self.text.get(start..self.at).unwrap_or("");
        if self.peek()? != b':' {
            return self.malformed("expected `:` after a key");
        }
        self.at += 1;
        Ok(Value { raw, kind: Kind::Text { escaped }, loose: false })
    }

    /// Takes the next value whole.
    pub fn value(&mut self) -> Result<Value<'a>, Fault> {
        let first = self.peek()?;
        let start = self.at;
        let outer = std::mem::replace(&mut self.loose, false);
        let kind = match first {
            b'{' => self.nested().map(|()| Kind::Object),
            b'[' => self.nested().map(|()| Kind::Array),
            _ => self.scalar(first),
        }?;
        let raw = self.text.get(start..self.at).unwrap_or("");
        let loose = std::mem::replace(&mut self.loose, outer);
        self.loose |= loose;
        Ok(Value { raw, kind, loose })
    }

    /// Takes an object member by member and also returns it whole; other kinds are only taken.
    ///
    /// # Errors
    /// [`Fault`] of the text, or whatever `member` returns.
    pub fn value_with<E: From<Fault>>(
        &mut self,
        member: impl FnMut(&mut Self, Value<'a>) -> Result<(), E>,
    ) -> Result<Value<'a>, E> {
        if self.peek()? != b'{' {
            return Ok(self.value()?);
        }
        let start = self.at;
        let outer = std::mem::replace(&mut self.loose, false);
        self.object(member)?;
        let loose = std::mem::replace(&mut self.loose, outer);
        self.loose |= loose;
        Ok(Value { raw: self.text.get(start..self.at).unwrap_or(""), kind: Kind::Object, loose })
    }

    fn scalar(&mut self, first: u8) -> Result<Kind, Fault> {
        match first {
            b'"' => self.string().map(|escaped| Kind::Text { escaped }),
            b't' => self.literal("true", Kind::Bool),
            b'f' => self.literal("false", Kind::Bool),
            b'n' => self.literal("null", Kind::Null),
            b'-' | b'0'..=b'9' => self.number(),
            _ => self.malformed("expected a value"),
        }
    }

    fn literal(&mut self, word: &'static str, kind: Kind) -> Result<Kind, Fault> {
        let rest = self.text.as_bytes().get(self.at..).unwrap_or(&[]);
        if rest.starts_with(word.as_bytes()) {
            self.at += word.len();
            Ok(kind)
        } else if word.as_bytes().starts_with(rest) {
            Err(Fault::Cut)
        } else {
            self.malformed("expected a value")
        }
    }

    fn number(&mut self) -> Result<Kind, Fault> {
        let bytes = self.text.as_bytes();
        if bytes.get(self.at) == Some(&b'-') {
            self.at += 1;
        }
        match bytes.get(self.at) {
            Some(b'0') => self.at += 1,
            Some(b'1'..=b'9') => self.digits()?,
            None => return Err(Fault::Cut),
            Some(_) => return self.malformed("bad number"),
        }
        if bytes.get(self.at) == Some(&b'.') {
            self.at += 1;
            self.digits()?;
        }
        if matches!(bytes.get(self.at), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(bytes.get(self.at), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits()?;
        }
        match bytes.get(self.at) {
            Some(b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' | b'.' | b'+' | b'-') => {
                self.malformed("bad number")
            }
            _ => Ok(Kind::Number),
        }
    }

    fn digits(&mut self) -> Result<(), Fault> {
        let bytes = self.text.as_bytes();
        let start = self.at;
        while matches!(bytes.get(self.at), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        if self.at > start {
            Ok(())
        } else if self.at == bytes.len() {
            Err(Fault::Cut)
        } else {
            self.malformed("bad number")
        }
    }

    /// Takes a string from its opening quote; true when it holds escapes.
    fn string(&mut self) -> Result<bool, Fault> {
        let bytes = self.text.as_bytes();
        let mut at = self.at + 1;
        let mut escaped = false;
        loop {
            at = plain_end(bytes, at);
            match bytes.get(at) {
                Some(b'"') => {
                    self.at = at + 1;
                    return Ok(escaped);
                }
                Some(b'\\') => {
                    escaped = true;
                    match bytes.get(at + 1) {
                        Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => at += 2,
                        Some(b'u') => match bytes.get(at + 2..at + 6) {
                            Some(hex) if hex.iter().all(u8::is_ascii_hexdigit) => at += 6,
                            Some(_) => {
                                return Err(Fault::Malformed { at, what: "bad \\u escape in a string" });
                            }
                            None => return Err(Fault::Cut),
                        },
                        Some(_) => return Err(Fault::Malformed { at, what: "unknown escape in a string" }),
                        None => return Err(Fault::Cut),
                    }
                }
                Some(_) => return Err(Fault::Malformed { at, what: "control character in a string" }),
                None => return Err(Fault::Cut),
            }
        }
    }

    /// Takes a container from its opening bracket, without recursion.
    fn nested(&mut self) -> Result<(), Fault> {
        let mut objects: u128 = 0; // one bit per open container: 1 object, 0 array
        let mut depth: u32 = 0;
        'value: loop {
            let first = self.peek()?;
            if first == b'{' || first == b'[' {
                if depth == DEPTH_MAX {
                    return self.malformed("nested too deeply");
                }
                self.at += 1;
                let object = first == b'{';
                objects = objects << 1 | u128::from(object);
                depth += 1;
                let next = self.peek()?;
                if next == (if object { b'}' } else { b']' }) {
                    self.at += 1;
                    objects >>= 1;
                    depth -= 1;
                } else {
                    if object {
                        self.key()?;
                    }
                    continue 'value;
                }
            } else {
                self.scalar(first)?;
            }
            while depth > 0 {
                let object = objects & 1 == 1;
                match self.peek()? {
                    b',' => {
                        self.at += 1;
                        if object {
                            self.key()?;
                        }
                        continue 'value;
                    }
                    b'}' if object => self.at += 1,
                    b']' if !object => self.at += 1,
                    _ if object => return self.malformed("expected `,` or `}` after a member"),
                    _ => return self.malformed("expected `,` or `]` after an element"),
                }
                objects >>= 1;
                depth -= 1;
            }
            return Ok(());
        }
    }
}

/// First position at or after `at` that holds a quote, a backslash or a control character.
fn plain_end(bytes: &[u8], mut at: usize) -> usize {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    // Eight bytes at a time: a byte is special when it equals `"` or `\`, or is below 0x20.
    while let Some(word) = bytes.get(at..at + 8).and_then(|eight| <[u8; 8]>::try_from(eight).ok()) {
        let word = u64::from_le_bytes(word);
        let quote = word ^ (ONES * b'"' as u64);
        let slash = word ^ (ONES * b'\\' as u64);
        let special = (quote.wrapping_sub(ONES) & !quote)
            | (slash.wrapping_sub(ONES) & !slash)
            | (word.wrapping_sub(ONES * 0x20) & !word);
        let special = special & HIGH;
        if special != 0 {
            return at + (special.trailing_zeros() / 8) as usize;
        }
        at += 8;
    }
    while let Some(&byte) = bytes.get(at) {
        if byte == b'"' || byte == b'\\' || byte < 0x20 {
            return at;
        }
        at += 1;
    }
    at
}

/// Unescapes the inside of a valid JSON string. A surrogate without its other half becomes U+FFFD.
pub fn unescape(inside: &str) -> String {
    let mut out = String::with_capacity(inside.len());
    let mut rest = inside;
    while let Some(slash) = memchr::memchr(b'\\', rest.as_bytes()) {
        let (plain, escape) = rest.split_at(slash);
        out.push_str(plain);
        let taken = match escape.as_bytes().get(1) {
            Some(b'u') => {
                let (character, taken) = unicode_escape(escape);
                out.push(character);
                taken
            }
            Some(&byte) => {
                out.push(match byte {
                    b'b' => '\u{8}',
                    b'f' => '\u{c}',
                    b'n' => '\n',
                    b'r' => '\r',
                    b't' => '\t',
                    other => char::from(other),
                });
                2
            }
            None => 1,
        };
        rest = escape.get(taken..).unwrap_or("");
    }
    out.push_str(rest);
    out
}

fn unicode_escape(escape: &str) -> (char, usize) {
    let unit = |at: usize| escape.get(at..at + 4).and_then(|hex| u32::from_str_radix(hex, 16).ok());
    let Some(first) = unit(2) else { return (char::REPLACEMENT_CHARACTER, escape.len().min(2)) };
    if (0xD800..0xDC00).contains(&first)
        && escape.get(6..8) == Some("\\u")
        && let Some(second) = unit(8).filter(|unit| (0xDC00..0xE000).contains(unit))
    {
        let code = 0x1_0000 + ((first - 0xD800) << 10) + (second - 0xDC00);
        return (char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER), 12);
    }
    (char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER), 6)
}

/// Appends valid JSON to `out` without the blanks outside of strings.
pub fn compact(raw: &str, out: &mut String) {
    copy_compact(raw, None, out);
}

/// Like [`compact`], with the value of every member called `secret` (in any case) made null.
pub fn compact_without(raw: &str, secret: &str, out: &mut String) {
    copy_compact(raw, Some(secret), out);
}

fn copy_compact(raw: &str, secret: Option<&str>, out: &mut String) {
    let bytes = raw.as_bytes();
    let mut at = 0;
    let mut from = 0; // start of the run not yet copied
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b' ' | b'\t' | b'\n' | b'\r' => {
                out.push_str(raw.get(from..at).unwrap_or(""));
                at += 1;
                from = at;
            }
            b'"' => {
                let end = string_end(bytes, at);
                let name = raw.get(at + 1..end.saturating_sub(1)).unwrap_or("");
                at = end;
                if secret.is_some_and(|secret| name.eq_ignore_ascii_case(secret)) {
                    let mut cursor = Cursor::new(raw, at);
                    if cursor.peek() == Ok(b':') {
                        out.push_str(raw.get(from..at).unwrap_or(""));
                        out.push_str(":null");
                        let mut value = Cursor::new(raw, cursor.at() + 1);
                        at = match value.value() {
                            Ok(_) => value.at(),
                            Err(_) => raw.len(),
                        };
                        from = at;
                    }
                }
            }
            _ => at += 1,
        }
    }
    out.push_str(raw.get(from..).unwrap_or(""));
}

fn string_end(bytes: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    loop {
        at = plain_end(bytes, at);
        match bytes.get(at) {
            Some(b'"') => return at + 1,
            Some(b'\\') => at += 2,
            Some(_) => at += 1,
            None => return bytes.len(),
        }
    }
}

/// Appends `text` as a JSON string.
pub fn push_string(text: &str, out: &mut String) {
    out.push('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            control if (control as u32) < 0x20 => {
                out.push_str(&format!("\\u{:04x}", control as u32));
            }
            other => out.push(other),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn whole(text: &str) -> Result<Value<'_>, Fault> {
        let mut cursor = Cursor::new(text, 0);
        let value = cursor.value()?;
        match cursor.peek() {
            Err(Fault::Cut) => Ok(value),
            _ => Err(Fault::Malformed { at: cursor.at(), what: "trailing" }),
        }
    }

    #[test]
    fn agrees_with_serde_json_on_odd_documents() {
        for text in [
            "{}",
            "[]",
            "[1,]",
            "{\"a\":1,}",
            "{\"a\" : [ 1 , 2.5e-3 , -0 ] }",
            "01",
            "1.",
            "-",
            "1e",
            "\"\\u12\"",
            "\"\\x\"",
            "tru",
            "nul",
            "true",
            "[true,false,null]",
            "{\"a\":{\"b\":[{}]}}",
            "\"a\tb\"",
            "{a:1}",
            "[1 2]",
            "{\"a\":1 \"b\":2}",
            "\"\\ud800\"",
            "[[[[]]]]",
            "{\"a\":[}",
            "",
        ] {
            let ours = whole(text).is_ok();
            let theirs = serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok();
            assert_eq!(ours, theirs, "{text}");
        }
    }

    #[test]
    fn nesting_is_bounded() {
        let deep = "[".repeat(100_000);
        assert!(matches!(whole(&deep), Err(Fault::Malformed { .. })));
        let fine = format!("{}{}", "[".repeat(128), "]".repeat(128));
        assert!(whole(&fine).is_ok());
    }

    #[test]
    fn strings_are_unescaped_and_lone_surrogates_replaced() {
        let value = whole(r#""a\n\"\\\/\u00e9\ud83d\ude00\ud800x""#).unwrap();
        assert_eq!(value.text().unwrap(), "a\n\"\\/é😀\u{fffd}x");
    }

    #[test]
    fn compacting_keeps_strings_and_drops_secrets() {
        let text = "{ \"a b\" : [ 1 , \"x \\\" y\" ] ,\n \"sessionToken\" : { \"k\": [1] } , \"z\":\"sessionToken\" }";
        assert_eq!(
            whole(text).unwrap().json(),
            "{\"a b\":[1,\"x \\\" y\"],\"sessionToken\":{\"k\":[1]},\"z\":\"sessionToken\"}"
        );
        let mut out = String::new();
        compact_without(text, "SESSIONTOKEN", &mut out);
        assert_eq!(out, "{\"a b\":[1,\"x \\\" y\"],\"sessionToken\":null,\"z\":\"sessionToken\"}");
    }

    proptest! {
        #[test]
        fn every_prefix_of_valid_json_is_cut_and_never_malformed(text in "[a-z\\\\\"é ]{0,12}", number in any::<i32>()) {
            let document = serde_json::json!({"k": text, "n": [number, true, null, {"x": -0.5e10}]}).to_string();
            prop_assert!(whole(&document).is_ok());
            for end in (0..document.len()).filter(|end| document.is_char_boundary(*end)) {
                prop_assert_eq!(whole(&document[..end]), Err(Fault::Cut), "{}", &document[..end]);
            }
        }

        #[test]
        fn random_text_agrees_with_serde_json(text in "[\\[\\]{}:,\"\\\\ 0-9a-ftrun.eE+-]{0,24}") {
            let ours = whole(&text).is_ok();
            let theirs = serde_json::from_str::<serde::de::IgnoredAny>(&text).is_ok();
            prop_assert_eq!(ours, theirs, "{}", text);
        }

        #[test]
        fn written_strings_read_back(text in any::<String>()) {
            let mut out = String::new();
            push_string(&text, &mut out);
            prop_assert_eq!(whole(&out).unwrap().text().unwrap(), text);
        }
    }
}
