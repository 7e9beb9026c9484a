//! Times in the forms the log formats use.

use chrono::{DateTime, Utc};

fn at(second: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(second, 0).unwrap_or(DateTime::UNIX_EPOCH)
}

/// `2026-11-22T10:00:00Z`
pub fn iso(second: i64) -> String {
    at(second).format("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// `2026/11/22`, the date part of delivery keys.
pub fn key_date(second: i64) -> String {
    at(second).format("%Y/%m/%d").to_string()
}

/// `20261122T1000Z`, the time in delivery file names.
pub fn key_minute(second: i64) -> String {
    at(second).format("%Y%m%dT%H%MZ").to_string()
}

/// `20261122-100000`, the ending kubelet gives a rotated log.
pub fn rotation(second: i64) -> String {
    at(second).format("%Y%m%d-%H%M%S").to_string()
}

/// `22/Nov/2026:10:00:00 +0000`, the time in access logs.
pub fn access_log(second: i64) -> String {
    at(second).format("%d/%b/%Y:%H:%M:%S +0000").to_string()
}

/// `2026-11-22 10:00:00,123`, the time of Python's and Java's loggers.
pub fn logger(nanosecond: i64) -> String {
    DateTime::from_timestamp_nanos(nanosecond).format("%Y-%m-%d %H:%M:%S,%3f").to_string()
}

/// `1122 10:00:00.123456`, the time of klog.
pub fn klog(nanosecond: i64) -> String {
    DateTime::from_timestamp_nanos(nanosecond).format("%m%d %H:%M:%S%.6f").to_string()
}

/// RFC 3339 with nanoseconds and without trailing zeros, as containerd writes it.
pub fn nanos(nanosecond: i64) -> String {
    let full = DateTime::from_timestamp_nanos(nanosecond).format("%Y-%m-%dT%H:%M:%S%.9f").to_string();
    let short = full.trim_end_matches('0').trim_end_matches('.');
    format!("{short}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nanosecond_stamps_drop_trailing_zeros() {
        assert_eq!(nanos(1_795_341_600_000_000_000), "2026-11-22T10:00:00Z");
        assert_eq!(nanos(1_795_341_600_120_000_000), "2026-11-22T10:00:00.12Z");
        assert_eq!(nanos(1_795_341_600_000_000_001), "2026-11-22T10:00:00.000000001Z");
    }

    #[test]
    fn delivery_names_carry_utc() {
        assert_eq!(key_minute(1_795_341_600), "20261122T1000Z");
        assert_eq!(key_date(1_795_341_600), "2026/11/22");
        assert_eq!(klog(1_795_341_600_000_001_000), "1122 10:00:00.000001");
    }
}
