//! Levels: their words, and where lines carry them.

use crate::text::time;

/// A level found in a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Level<'a> {
    /// OpenTelemetry severity number.
    pub number: i32,
    /// As written.
    pub text: &'a str,
}

/// The severity number of a level word in any case, after OpenTelemetry's mapping of syslog and
/// language levels.
pub fn number(word: &str) -> Option<i32> {
    const WORDS: [(&str, i32); 36] = [
        ("trace", 1),
        ("trc", 1),
        ("trce", 1),
        ("finest", 1),
        ("finer", 3),
        ("verbose", 1),
        ("debug", 5),
        ("dbg", 5),
        ("dbug", 5),
        ("fine", 5),
        ("debug1", 5),
        ("debug2", 5),
        ("debug3", 5),
        ("debug4", 5),
        ("debug5", 5),
        ("config", 8),
        ("info", 9),
        ("inf", 9),
        ("information", 9),
        ("informational", 9),
        ("log", 9),
        ("notice", 10),
        ("warn", 13),
        ("wrn", 13),
        ("warning", 13),
        ("error", 17),
        ("err", 17),
        ("fail", 17),
        ("severe", 17),
        ("critical", 18),
        ("crit", 18),
        ("alert", 19),
        ("fatal", 21),
        ("ftl", 21),
        ("panic", 21),
        ("emerg", 21),
    ];
    if word.eq_ignore_ascii_case("emergency") || word.eq_ignore_ascii_case("dpanic") {
        return Some(21);
    }
    WORDS.iter().find(|(known, _)| word.eq_ignore_ascii_case(known)).map(|(_, number)| *number)
}

/// The severity number of a numeric level as pino and bunyan write it: 10 trace to 60 fatal.
pub fn of_number(level: i64) -> Option<i32> {
    match level {
        10 => Some(1),
        20 => Some(5),
        30 => Some(9),
        40 => Some(13),
        50 => Some(17),
        60 => Some(21),
        _ => None,
    }
}

/// The level in the prefix of a line: klog's first letter, or a level word among the first tokens
/// with nothing but times, numbers, names in brackets and the like before it.
pub fn in_prefix(line: &str) -> Option<Level<'_>> {
    if let Some(level) = klog(line) {
        return Some(level);
    }
    let head = line.get(..floor(line, 160)).unwrap_or("");
    let mut tokens = head.split_ascii_whitespace().take(10).peekable();
    let (mut position, mut dashed) = (0, false);
    while let Some(token) = tokens.next() {
        if let Some(level) = in_token(token, position == 0) {
            return Some(level);
        }
        // `2024-05-01 12:00:00,123 - app.web - ERROR - …`: a name between dashes, after a time.
        let named = dashed && position > 1 && tokens.peek() == Some(&"-");
        if !named && !is_preamble(token) {
            return None;
        }
        dashed = token == "-";
        position += 1;
    }
    None
}

/// The level at the start of the second line of a record: `java.util.logging` puts the time, class and
/// method on the first.
pub fn in_second_line(body: &str) -> Option<Level<'_>> {
    let (_, second) = body.split_once('\n')?;
    let (word, _) = second.get(..floor(second, 16))?.split_once(':')?;
    let upper = !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_uppercase());
    number(word).filter(|_| upper).map(|number| Level { number, text: word })
}

/// The last character boundary at or before `at`.
pub(super) fn floor(text: &str, at: usize) -> usize {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

/// `I1122 10:00:00.000000`: the format of Kubernetes' own programs.
fn klog(line: &str) -> Option<Level<'_>> {
    let bytes = line.as_bytes();
    let number = match bytes.first()? {
        b'I' => 9,
        b'W' => 13,
        b'E' => 17,
        b'F' => 21,
        _ => return None,
    };
    let shape = bytes.get(1..21)?;
    let fits = shape.iter().zip(b"dddd dd:dd:dd.dddddd").all(|(byte, sign)| match sign {
        b'd' => byte.is_ascii_digit(),
        other => byte == other,
    });
    fits.then(|| Level { number, text: line.get(..1).unwrap_or("") })
}

/// A level in one token: `ERROR`, `[error]`, `ERROR:`, `[core:error]`, `[123]:LOG:`, `WARNING:root:`.
fn in_token(token: &str, first: bool) -> Option<Level<'_>> {
    let bracketed = token.starts_with(['[', '<', '(']) || token.contains(['[', ']']);
    let colon = token.ends_with(':');
    let coloured = token.contains('\u{1b}');
    for part in token.split(['[', ']', '(', ')', '<', '>', ':', '|', ',', '"', '=', '\u{1b}']) {
        // What is left of a colour: `32mINFO`.
        let part =
            if coloured { part.trim_start_matches(|c: char| c.is_ascii_digit() || c == ';') } else { part };
        let part = part.strip_prefix('m').filter(|_| coloured).unwrap_or(part);
        let Some(number) = number(part) else { continue };
        let upper = part.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit());
        // A lower-case word is a level only where its writer marked it as one.
        if upper
            || bracketed
            || (first && colon && part.len() + 1 == token.len())
            || (first && part.len() == token.len() && colon)
        {
            return Some(Level { number, text: part });
        }
    }
    None
}

/// Whether a token may stand before a level: times, numbers, bracketed names, zones, separators.
fn is_preamble(token: &str) -> bool {
    token.bytes().any(|byte| byte.is_ascii_digit())
        || token.starts_with(['[', '(', '<', '-', '|', '#'])
        || token.ends_with([']', ')', '>', ':', '|'])
        || matches!(token, "UTC" | "GMT" | "CET" | "CEST" | "EST" | "PST" | "AM" | "PM")
        || is_calendar(token)
        // Ruby writes the level's first letter first: `E, [2024-…] ERROR -- :`
        || (token.len() == 2 && token.ends_with(','))
        || time::parse(token).is_some()
}

fn is_calendar(token: &str) -> bool {
    const NAMES: [&str; 19] = [
        "Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun", "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul",
        "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    NAMES.contains(&token.trim_end_matches(','))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_found_where_they_are_marked() {
        for (line, number, text) in [
            ("I1122 10:00:00.000000       1 main.go:10] started", 9, "I"),
            ("E1122 10:00:00.123456    1234 x.go:1] boom", 17, "E"),
            ("2024-01-02 03:04:05.678 UTC [123] LOG:  database system is ready", 9, "LOG"),
            (
                "2024-01-02 03:04:05 UTC:10.0.0.1(43210):user@db:[123]:FATAL:  no pg_hba.conf entry",
                21,
                "FATAL",
            ),
            ("ERROR: relation does not exist", 17, "ERROR"),
            ("WARNING:root:disk is nearly full", 13, "WARNING"),
            ("error: unknown flag", 17, "error"),
            ("[2024-01-01 00:00:00 +0000] [7] [INFO] Booting worker with pid: 7", 9, "INFO"),
            ("2016/10/25 14:49:34 [error] 54053#0: *1 open() failed", 17, "error"),
            ("[Wed Oct 20 19:20:59.121211 2021] [rewrite:trace3] [pid 121591:tid 1] x", 0, ""),
            ("[Mon Dec 26 16:15:55.103522 2016] [mpm_prefork:notice] [pid 11379] AH00163", 10, "notice"),
            ("2024-05-01 12:00:00,123 WARN  [main] c.e.App - careful", 13, "WARN"),
            ("2017-09-12 22:32:21.212 [INFO][88] table.go 710: Invalidating", 9, "INFO"),
            ("[2015-12-06 01:44:16,735][INFO ][node ] [Zach] version", 9, "INFO"),
            ("2024-05-01 12:00:00,123 - app.web - ERROR - boom", 17, "ERROR"),
            ("2024-05-01T12:00:00.123Z  WARN 1 --- [app] [main] c.e.App : x", 13, "WARN"),
            ("12:00:00.123 [main] INFO  c.e.App - started", 9, "INFO"),
            ("2024-05-01T12:00:00.000Z\tERROR\tcmd/main.go:1\tboom\t{\"a\":1}", 17, "ERROR"),
            ("2024/05/01 12:00:00 ERROR boom err=x", 17, "ERROR"),
            ("E, [2024-05-01T12:00:00.123456 #1] ERROR -- : boom", 17, "ERROR"),
            ("fail: Microsoft.Hosting[14]", 17, "fail"),
            ("\u{1b}[2m2024-05-01T12:00:00Z\u{1b}[0m \u{1b}[31mERROR\u{1b}[0m app: boom", 17, "ERROR"),
            ("[2024-05-01T12:00:00Z ERROR app] boom", 17, "ERROR"),
            ("[01-May-2024 12:00:00] NOTICE: fpm is running", 10, "NOTICE"),
            ("2024-05-01T12:00:00.123456Z 0 [Warning] [MY-010068] [Server] x", 13, "Warning"),
            ("a note - ERROR - x", 0, ""),
            ("user saw an ERROR page", 0, ""),
            ("Log in failed for bob", 0, ""),
            ("warn the user", 0, ""),
            ("", 0, ""),
        ] {
            let expected = (number > 0).then_some(Level { number, text });
            assert_eq!(in_prefix(line), expected, "{line}");
        }
        let java = "May 01, 2024 12:00:00 PM com.example.App run\nSEVERE: boom";
        assert_eq!(in_second_line(java), Some(Level { number: 17, text: "SEVERE" }));
        assert_eq!(in_second_line("x\nNote: y"), None);
    }
}
