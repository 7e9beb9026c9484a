//! Times as log sources write them, to microseconds since the Unix epoch.
//!
//! One parser for RFC 3339 and its near relatives (a blank for the `T`, the basic form
//! `20131102T010628Z`, offsets without a colon, any number of fraction digits, no offset at all).
//! Fractions beyond microseconds are cut off. A leap second counts as the second after it.

/// First microsecond accepted: 1970-01-01.
const EARLIEST: i64 = 0;
/// First microsecond refused: 2262-01-01, where nanosecond clocks of other engines end.
const LATEST: i64 = 9_214_646_400_000_000;

/// Microseconds in a day.
pub const DAY: i64 = 86_400_000_000;

/// A parsed time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parsed {
    /// Microseconds since the Unix epoch, UTC; a missing offset was taken as UTC.
    pub micros: i64,
    /// Whether the text carried an offset or `Z`.
    pub zoned: bool,
}

/// Whether a table can hold this time: 1970 to 2261.
pub fn in_range(micros: i64) -> bool {
    (EARLIEST..LATEST).contains(&micros)
}

/// Parses a whole text as a time; `None` when it is not one.
pub fn parse(text: &str) -> Option<Parsed> {
    let bytes = text.trim_ascii().as_bytes();
    let (parsed, used) = prefix(bytes)?;
    (used == bytes.len()).then_some(parsed)
}

/// Parses the time at the start of `bytes`; also returns how many bytes it took.
pub fn prefix(bytes: &[u8]) -> Option<(Parsed, usize)> {
    let extended = bytes.get(4) == Some(&b'-');
    let (month_at, day_at, hour_at) = if extended { (5, 8, 11) } else { (4, 6, 9) };
    if extended && bytes.get(7) != Some(&b'-') {
        return None;
    }
    if !matches!(bytes.get(hour_at - 1)?, b'T' | b't' | b' ') {
        return None;
    }
    let year = number(bytes, 0, 4)?;
    let month = number(bytes, month_at, 2)?;
    let day = number(bytes, day_at, 2)?;
    let clock_extended = bytes.get(hour_at + 2) == Some(&b':');
    if clock_extended && bytes.get(hour_at + 5) != Some(&b':') {
        return None;
    }
    let (minute_at, second_at, mut at) = if clock_extended {
        (hour_at + 3, hour_at + 6, hour_at + 8)
    } else {
        (hour_at + 2, hour_at + 4, hour_at + 6)
    };
    let hour = number(bytes, hour_at, 2)?;
    let minute = number(bytes, minute_at, 2)?;
    let second = number(bytes, second_at, 2)?;
    if !(1..=12).contains(&month) || day < 1 || day > days_in_month(year, month) {
        return None;
    }
    if hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let mut fraction = 0;
    if matches!(bytes.get(at), Some(b'.' | b',')) && bytes.get(at + 1).is_some_and(u8::is_ascii_digit) {
        at += 1;
        let mut unit = 100_000;
        while let Some(digit) = bytes.get(at).filter(|byte| byte.is_ascii_digit()) {
            fraction += i64::from(digit - b'0') * unit;
            unit /= 10;
            at += 1;
        }
    }
    let (offset, zoned, end) = offset(bytes, at)?;
    let seconds = days_from_civil(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second - offset;
    Some((Parsed { micros: seconds * 1_000_000 + fraction, zoned }, end))
}

/// Seconds east of UTC, whether one was written, and where it ends.
fn offset(bytes: &[u8], at: usize) -> Option<(i64, bool, usize)> {
    let sign = match bytes.get(at) {
        Some(b'Z' | b'z') => return Some((0, true, at + 1)),
        Some(b'+') => 1,
        Some(b'-') => -1,
        _ => return Some((0, false, at)),
    };
    let hours = number(bytes, at + 1, 2)?;
    let (minutes, end) = match bytes.get(at + 3) {
        Some(b':') => (number(bytes, at + 4, 2)?, at + 6),
        Some(byte) if byte.is_ascii_digit() => (number(bytes, at + 3, 2)?, at + 5),
        _ => (0, at + 3),
    };
    (hours <= 23 && minutes <= 59).then_some((sign * (hours * 3_600 + minutes * 60), true, end))
}

/// A Unix time in seconds, milliseconds, microseconds or nanoseconds, told apart by magnitude:
/// seconds stay below 10^11 until the year 5138.
pub fn from_epoch(number: i64) -> i64 {
    match number {
        ..100_000_000_000 => number.saturating_mul(1_000_000),
        100_000_000_000..100_000_000_000_000 => number.saturating_mul(1_000),
        100_000_000_000_000..100_000_000_000_000_000 => number,
        _ => number / 1_000,
    }
}

/// The minute in a file name of the form `…_YYYYMMDDTHHmmZ_…`, as AWS delivers vended logs.
pub fn from_location(location: &str) -> Option<i64> {
    let name = location.rsplit('/').next()?;
    name.split(['_', '.']).find_map(|part| {
        let bytes = part.as_bytes();
        if bytes.len() != 14 || bytes.get(8) != Some(&b'T') || bytes.get(13) != Some(&b'Z') {
            return None;
        }
        let (year, month, day) = (number(bytes, 0, 4)?, number(bytes, 4, 2)?, number(bytes, 6, 2)?);
        let (hour, minute) = (number(bytes, 9, 2)?, number(bytes, 11, 2)?);
        let valid = (1..=12).contains(&month)
            && (1..=days_in_month(year, month)).contains(&day)
            && hour < 24
            && minute < 60;
        valid.then(|| (days_from_civil(year, month, day) * 86_400 + hour * 3_600 + minute * 60) * 1_000_000)
    })
}

fn number(bytes: &[u8], at: usize, digits: usize) -> Option<i64> {
    bytes
        .get(at..at + digits)?
        .iter()
        .try_fold(0, |sum, byte| byte.is_ascii_digit().then(|| sum * 10 + i64::from(byte - b'0')))
}

fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        _ => 31,
    }
}

/// Days since 1970-01-01 in the proleptic Gregorian calendar. Years count from March, so that the
/// leap day is the last of its year; 719,468 days lie between 0000-03-01 and 1970-01-01.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn micros(text: &str) -> Option<i64> {
        parse(text).map(|parsed| parsed.micros)
    }

    #[test]
    fn accepts_the_forms_sources_write() {
        let second = 1_700_000_000_000_000;
        for text in [
            "2023-11-14T22:13:20Z",
            "2023-11-14 22:13:20+00:00",
            "2023-11-14T23:13:20+01:00",
            "2023-11-14T20:13:20-0200",
            "20231114T221320Z",
            "2023-11-14t22:13:20.000000000z",
            "2023-11-14 22:13:20",
            " 2023-11-14T22:13:20Z ",
        ] {
            assert_eq!(micros(text), Some(second), "{text}");
        }
        assert_eq!(micros("2023-11-14T22:13:20.1234567Z"), Some(second + 123_456));
        assert!(!parse("2023-11-14 22:13:20").unwrap().zoned);
    }

    #[test]
    fn refuses_what_is_no_time() {
        for text in [
            "",
            "redacted",
            "2023-02-30T00:00:00Z",
            "2023-13-01T00:00:00Z",
            "2023-11-14",
            "...",
            "2023-11-14T24:00:00Z",
            "2023-11-14T22:13:20Zjunk",
            "9999-99-99T99:99:99Z",
            "2023-11-14T22: 13: 20Z",
        ] {
            assert_eq!(micros(text), None, "{text}");
        }
    }

    #[test]
    fn a_leap_second_is_the_next_second() {
        assert_eq!(micros("2016-12-31T23:59:60Z"), micros("2017-01-01T00:00:00Z"));
    }

    #[test]
    fn the_range_ends_with_2261() {
        assert!(in_range(micros("2261-12-31T23:59:59.999999Z").unwrap()));
        assert!(!in_range(micros("2262-01-01T00:00:00Z").unwrap()));
        assert!(!in_range(micros("1969-12-31T23:59:59Z").unwrap()));
    }

    #[test]
    fn epoch_units_are_told_apart() {
        assert_eq!(from_epoch(1_700_000_000), 1_700_000_000_000_000);
        assert_eq!(from_epoch(1_700_000_000_000), 1_700_000_000_000_000);
        assert_eq!(from_epoch(1_700_000_000_000_000), 1_700_000_000_000_000);
        assert_eq!(from_epoch(1_700_000_000_000_000_000), 1_700_000_000_000_000);
    }

    #[test]
    fn a_file_name_gives_its_minute() {
        let key = "AWSLogs/1/vpcflowlogs/us-east-1/2021/09/02/216782312663_vpcflowlogs_us-east-1_fl-01b0_20210902T2145Z_c2ed8707.log.gz";
        assert_eq!(from_location(key), micros("2021-09-02T21:45:00Z"));
        assert_eq!(from_location("plain.log"), None);
    }

    proptest! {
        #[test]
        fn agrees_with_chrono(seconds in 0i64..9_214_646_400, micro in 0i64..1_000_000) {
            let time = chrono::DateTime::from_timestamp_micros(seconds * 1_000_000 + micro).unwrap();
            let text = time.to_rfc3339_opts(chrono::SecondsFormat::Micros, true);
            prop_assert_eq!(micros(&text), Some(seconds * 1_000_000 + micro));
        }

        #[test]
        fn never_panics(text in any::<String>(), digits in "[0-9T:Z+. -]{0,30}") {
            let _ = parse(&text);
            let _ = parse(&digits);
            let _ = from_location(&text);
        }
    }
}
