//! What the other end says about when to come back, and why.

use crate::sinks::DeliveryError;
use ::http::header::{HeaderMap, RETRY_AFTER};
use chrono::{DateTime, Utc};
use std::time::Duration;

/// Most of an answer's text that goes into a message.
const EXCERPT_CHARS: usize = 200;

/// The start of an answer's body, on one line and safe to print.
pub fn excerpt(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let clean: String =
        text.chars().take(EXCERPT_CHARS).map(|c| if c.is_control() { ' ' } else { c }).collect();
    clean.trim().to_owned()
}

/// The pause `Retry-After` asks for (RFC 9110 §10.2.3): seconds, or a date.
pub fn retry_after(headers: &HeaderMap, now: DateTime<Utc>) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = value.parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let date = DateTime::parse_from_rfc2822(value).ok()?;
    (date.with_timezone(&Utc) - now).to_std().ok()
}

/// A failure that may pass, with the pause that was asked for.
pub fn later(message: String, after: Option<Duration>) -> DeliveryError {
    match after {
        Some(after) => DeliveryError::Later { after, source: message.into() },
        None => DeliveryError::Service(message.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now = DateTime::parse_from_rfc3339("2026-11-22T10:00:00Z").unwrap().with_timezone(&Utc);
        let read = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, value.parse().unwrap());
            retry_after(&headers, now)
        };
        assert_eq!(read("120"), Some(Duration::from_secs(120)));
        assert_eq!(read("Sun, 22 Nov 2026 10:00:30 GMT"), Some(Duration::from_secs(30)));
        assert_eq!(read("Sun, 22 Nov 2026 09:00:30 GMT"), None, "a time that has passed asks for nothing");
        assert_eq!(read("soon"), None);
        assert_eq!(read("-1"), None);
    }

    #[test]
    fn an_excerpt_does_not_drive_the_terminal() {
        assert_eq!(excerpt(b"\x1b[2Jno such\nindex\xff"), "[2Jno such index\u{fffd}");
        assert_eq!(excerpt("é".repeat(1000).as_bytes()).chars().count(), EXCERPT_CHARS);
    }
}
