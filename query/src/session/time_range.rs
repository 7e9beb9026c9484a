//! `--since` and `--until`: the half-open interval of time a session looks at.

use chrono::{DateTime, Duration, NaiveDate, NaiveDateTime, Utc};

/// Rows with `since <= time < until`; an open end is `None`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TimeRange {
    /// First instant inside.
    pub since: Option<DateTime<Utc>>,
    /// First instant outside.
    pub until: Option<DateTime<Utc>>,
}

/// Why a time on the command line could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TimeError {
    /// None of the accepted forms.
    #[error(
        "cannot read the time `{text}`: write 2026-11-22, 2026-11-22T10:00:00Z, or a span back from now such as 30m, 24h or 7d"
    )]
    Unreadable {
        /// As given.
        text: String,
    },
    /// The interval holds no instant.
    #[error("--since {since} is not before --until {until}: no row can match")]
    Empty {
        /// Start.
        since: DateTime<Utc>,
        /// End.
        until: DateTime<Utc>,
    },
}

impl TimeRange {
    /// Whether neither end is given.
    pub fn is_unbounded(&self) -> bool {
        self.since.is_none() && self.until.is_none()
    }

    /// Reads both options against the clock `now`.
    ///
    /// With `--since` alone the end is `now`, so that all statements of one invocation see the same
    /// interval. A date is its midnight in UTC.
    ///
    /// # Errors
    /// [`TimeError`] when a time cannot be read or the interval is empty.
    pub fn parse(since: Option<&str>, until: Option<&str>, now: DateTime<Utc>) -> Result<Self, TimeError> {
        let since = since.map(|text| instant(text, now)).transpose()?;
        let until = until.map(|text| instant(text, now)).transpose()?;
        let until = until.or(since.map(|_| now));
        if let (Some(since), Some(until)) = (since, until)
            && since >= until
        {
            return Err(TimeError::Empty { since, until });
        }
        Ok(TimeRange { since, until })
    }
}

/// One point in time: RFC 3339, `YYYY-MM-DD[ hh:mm[:ss]]` in UTC, `now`, or a span before now.
pub fn instant(text: &str, now: DateTime<Utc>) -> Result<DateTime<Utc>, TimeError> {
    let trimmed = text.trim();
    let unreadable = || TimeError::Unreadable { text: text.to_owned() };
    if trimmed.eq_ignore_ascii_case("now") {
        return Ok(now);
    }
    if let Ok(time) = DateTime::parse_from_rfc3339(trimmed) {
        return Ok(time.with_timezone(&Utc));
    }
    if let Ok(date) = trimmed.parse::<NaiveDate>() {
        return date.and_hms_opt(0, 0, 0).map(|time| time.and_utc()).ok_or_else(unreadable);
    }
    for form in ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M"] {
        if let Ok(time) = NaiveDateTime::parse_from_str(trimmed, form) {
            return Ok(time.and_utc());
        }
    }
    span(trimmed).and_then(|span| now.checked_sub_signed(span)).ok_or_else(unreadable)
}

/// A length of time such as `90s`, `30m`, `24h`, `7d`, `2w` or `1h30m`.
///
/// A month is deliberately not accepted: it has no fixed length, and `1m` is one minute.
pub fn span(text: &str) -> Option<Duration> {
    let text = text.trim().trim_start_matches('-');
    let span = humantime::parse_duration(text).ok()?;
    // humantime reads `M`, `month` and `y` as averages; an average month cuts a partition in two.
    let letters = text.split(|c: char| !c.is_ascii_alphabetic()).filter(|unit| !unit.is_empty());
    for unit in letters {
        if unit == "M" || unit.starts_with("month") || unit.starts_with('y') {
            return None;
        }
    }
    Duration::from_std(span).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    #[test]
    fn every_documented_form_is_read() {
        let now = at("2026-11-22T12:00:00Z");
        for (text, expected) in [
            ("2026-11-20", "2026-11-20T00:00:00Z"),
            ("2026-11-20T10:00:00+02:00", "2026-11-20T08:00:00Z"),
            ("2026-11-20 10:30", "2026-11-20T10:30:00Z"),
            ("2026-11-20T10:30:05.25", "2026-11-20T10:30:05.250Z"),
            ("24h", "2026-11-21T12:00:00Z"),
            ("7d", "2026-11-15T12:00:00Z"),
            ("30m", "2026-11-22T11:30:00Z"),
            ("1h30m", "2026-11-22T10:30:00Z"),
            ("2w", "2026-11-08T12:00:00Z"),
            ("now", "2026-11-22T12:00:00Z"),
        ] {
            assert_eq!(instant(text, now), Ok(at(expected)), "{text}");
        }
        for text in ["", "yesterday", "24", "1month", "3M", "2026-13-01", "99999999999d"] {
            assert!(instant(text, now).is_err(), "{text}");
        }
    }

    #[test]
    fn since_alone_ends_now_and_an_empty_interval_is_refused() {
        let now = at("2026-11-22T12:00:00Z");
        let range = TimeRange::parse(Some("1h"), None, now).unwrap();
        assert_eq!(range.until, Some(now));
        assert_eq!(TimeRange::parse(None, None, now), Ok(TimeRange::default()));
        assert!(TimeRange::parse(None, Some("1h"), now).unwrap().since.is_none());
        assert!(matches!(TimeRange::parse(Some("1h"), Some("2h"), now), Err(TimeError::Empty { .. })));
    }
}
