//! Docker's json-file lines: `{"log":"text\n","stream":"stdout","time":"2026-11-24T10:00:00.1Z"}`.
//!
//! Docker cuts a line longer than 16 KiB in pieces; only the last one ends with a newline (moby,
//! `daemon/logger/jsonfilelog`).

use crate::stream::Stdio;
use serde::Deserialize;
use std::borrow::Cow;

/// A line taken apart.
#[derive(Debug, Deserialize)]
pub struct Line<'a> {
    #[serde(borrow)]
    log: Cow<'a, str>,
    #[serde(borrow)]
    stream: Cow<'a, str>,
    #[serde(borrow)]
    time: Cow<'a, str>,
}

impl Line<'_> {
    /// The piece of the record, without its newline.
    pub fn content(&self) -> &[u8] {
        self.log.strip_suffix('\n').unwrap_or(&self.log).as_bytes()
    }

    /// More pieces of the same record follow.
    pub fn partial(&self) -> bool {
        !self.log.ends_with('\n')
    }

    /// RFC 3339, plain ASCII.
    pub fn time(&self) -> &[u8] {
        self.time.as_bytes()
    }

    /// Standard stream.
    pub fn stdio(&self) -> Stdio {
        if self.stream == "stderr" { Stdio::Stderr } else { Stdio::Stdout }
    }
}

/// Takes a line (without its newline) apart. `None` when it is not in this format.
pub fn parse(line: &[u8]) -> Option<Line<'_>> {
    if !line.starts_with(b"{\"") {
        return None;
    }
    let parsed: Line<'_> = serde_json::from_slice(line).ok()?;
    let known = matches!(&*parsed.stream, "stdout" | "stderr");
    (known && chrono::DateTime::parse_from_rfc3339(&parsed.time).is_ok()).then_some(parsed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_unescaped_and_pieces_recognised() {
        let text = br#"{"log":"a \"b\" \u00e9\n","stream":"stderr","attrs":{"tag":"x"},"time":"2026-11-24T10:00:00.1Z"}"#;
        let line = parse(text).unwrap();
        assert_eq!(
            (line.content(), line.stdio(), line.partial()),
            ("a \"b\" é".as_bytes(), Stdio::Stderr, false)
        );
        assert_eq!(line.time(), b"2026-11-24T10:00:00.1Z");
        assert!(
            parse(br#"{"log":"piece","stream":"stdout","time":"2026-11-24T10:00:00Z"}"#).unwrap().partial()
        );
    }

    #[test]
    fn other_json_is_not_dockers() {
        for text in [
            r#"{"log":"x"}"#,
            r#"{"log":"x","stream":"out","time":"2026-11-24T10:00:00Z"}"#,
            r#"{"log":"x","stream":"stdout","time":"yesterday"}"#,
            r#"{"log":1,"stream":"stdout","time":"2026-11-24T10:00:00Z"}"#,
            r#"{"log":"x","stream":"stdout","time":"2026-11-24T10:00:00Z""#,
            "{}",
            "",
        ] {
            assert!(parse(text.as_bytes()).is_none(), "{text}");
        }
    }
}
