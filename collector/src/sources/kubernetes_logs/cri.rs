//! The container runtime's log line: `<RFC 3339 time> <stdout|stderr> <tags> <content>`.
//!
//! `tags` starts with `F` (last part of a record) or `P` (more follows); further tags may come
//! behind a colon. The parser works on bytes, allocates nothing and accepts any width of the
//! fraction of a second. What it does not recognise is not an error here: the caller keeps such a
//! line as it is.

use crate::stream::Stdio;

/// Longest time text accepted: `2026-11-22T10:00:00.123456789+00:00` is 35 bytes.
pub const TIME_BYTES_MAX: usize = 35;

/// A line taken apart. Ranges are relative to the start of the line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line {
    /// Length of the time, which is at the start of the line.
    pub time_len: usize,
    /// Standard stream.
    pub stdio: Stdio,
    /// More parts of the same record follow.
    pub partial: bool,
    /// Where the content begins.
    pub content: usize,
}

/// Takes a line (without its newline) apart. `None` when it is not in the runtime's format.
pub fn parse(line: &[u8]) -> Option<Line> {
    // 20 bytes is the shortest time: `2026-11-22T10:00:00Z`.
    let window = line.get(20..line.len().min(TIME_BYTES_MAX + 1))?;
    let time_len = 20 + window.iter().position(|byte| *byte == b' ')?;
    if !is_time(&line[..time_len]) {
        return None;
    }
    let rest = &line[time_len..];
    let stdio = match rest.get(..8)? {
        b" stdout " => Stdio::Stdout,
        b" stderr " => Stdio::Stderr,
        _ => return None,
    };
    let partial = match rest.get(8)? {
        b'F' => false,
        b'P' => true,
        _ => return None,
    };
    let content = match rest.get(9) {
        Some(b' ') => 10,
        // An empty line of a runtime that trims the separator.
        None => 9,
        Some(b':') => match rest[9..].iter().position(|byte| *byte == b' ') {
            Some(end) => 9 + end + 1,
            None => rest.len(),
        },
        Some(_) => return None,
    };
    Some(Line { time_len, stdio, partial, content: time_len + content })
}

/// A strict look at the fixed part and a loose one at the fraction and the offset: only characters
/// that need no escaping in JSON pass.
fn is_time(text: &[u8]) -> bool {
    const SHAPE: &[u8; 19] = b"0000-00-00T00:00:00";
    let fixed = SHAPE.iter().zip(text).all(|(shape, byte)| match shape {
        b'0' => byte.is_ascii_digit(),
        other => other == byte,
    });
    let Some((last, middle)) = text.get(19..).and_then(<[u8]>::split_last) else {
        return false;
    };
    let loose = |byte: &u8| matches!(byte, b'0'..=b'9' | b'.' | b':' | b'+' | b'-');
    fixed && (*last == b'Z' || last.is_ascii_digit()) && middle.iter().all(loose)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn content(line: &str) -> Option<(&str, Stdio, bool, &str)> {
        let parsed = parse(line.as_bytes())?;
        Some((&line[..parsed.time_len], parsed.stdio, parsed.partial, &line[parsed.content..]))
    }

    #[test]
    fn lines_of_the_runtime_are_recognised() {
        let time = "2026-11-22T10:00:00.123456789Z";
        for time in [
            time,
            "2026-11-22T10:00:00Z",
            "2026-11-22T10:00:00.1+02:00",
            "2026-11-22T10:00:00.123456789-07:00",
        ] {
            let line = format!("{time} stdout F hello world");
            assert_eq!(content(&line), Some((time, Stdio::Stdout, false, "hello world")));
        }
        assert_eq!(content(&format!("{time} stderr P  x ")), Some((time, Stdio::Stderr, true, " x ")));
        assert_eq!(content(&format!("{time} stdout F ")), Some((time, Stdio::Stdout, false, "")));
        assert_eq!(content(&format!("{time} stdout F")), Some((time, Stdio::Stdout, false, "")));
        assert_eq!(content(&format!("{time} stdout P:T1 x")), Some((time, Stdio::Stdout, true, "x")));
    }

    #[test]
    fn anything_else_is_not() {
        for line in [
            "",
            "hello",
            "{\"log\":\"x\\n\",\"stream\":\"stdout\",\"time\":\"2026-11-22T10:00:00Z\"}",
            "2026-11-22T10:00:00Z",
            "2026-11-22T10:00:00Z stdout",
            "2026-11-22T10:00:00Z stdin F x",
            "2026-11-22T10:00:00Z stdout X x",
            "2026-11-22T10:00:00Z stdout FX",
            "2026-11-22 10:00:00Z stdout F x",
            "2026-11-22T10:00:00\"Z stdout F x",
        ] {
            assert_eq!(content(line), None, "{line}");
        }
    }

    proptest! {
        #[test]
        fn no_input_panics(line in prop::collection::vec(any::<u8>(), 0..80), cut in 0usize..60) {
            parse(&line);
            let good = b"2026-11-22T10:00:00.123456789Z stdout F:a:b hello";
            parse(&good[..cut.min(good.len())]);
        }
    }
}
