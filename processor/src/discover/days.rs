//! Which day a key is of, by the folders AWS and this project write.
//!
//! `…/2026/11/22/…` (CloudTrail, flow logs, load balancers), `…/year=2026/month=11/day=22/…` (flow logs in
//! Hive style), `…/2026-11-22/…` (landing objects), `…/event_date=2026-11-22/…`, `…/eventDay=20261122/…`;
//! else the stamp in the file's name, `_20261122T0910Z_`. It is the day of delivery, not of the events.

use chrono::{Datelike, NaiveDate};

/// Days, both ends included; an open end is no limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Days {
    /// First day.
    pub since: Option<NaiveDate>,
    /// Last day.
    pub until: Option<NaiveDate>,
}

/// What a folder has of the days asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Share {
    /// Nothing: it need not be listed.
    Nothing,
    /// Perhaps some: it is looked into, level by level.
    Some,
    /// Everything in it.
    All,
}

impl Days {
    /// Whether there is any limit.
    pub fn is_limited(&self) -> bool {
        self.since.is_some() || self.until.is_some()
    }

    /// What a folder has of these days. A folder that shows no day may have some.
    pub fn share(&self, folder: &str) -> Share {
        if !self.is_limited() {
            return Share::All;
        }
        let Some((first, last)) = span(folder) else { return Share::Some };
        let (since, until) = (self.since.unwrap_or(NaiveDate::MIN), self.until.unwrap_or(NaiveDate::MAX));
        if last < since || first > until {
            Share::Nothing
        } else if first >= since && last <= until {
            Share::All
        } else {
            Share::Some
        }
    }

    /// Whether an object is of these days; none when its key shows no day.
    pub fn hold(&self, key: &str) -> Option<bool> {
        if !self.is_limited() {
            return Some(true);
        }
        let folder = &key[..key.rfind('/').map_or(0, |at| at + 1)];
        let day = match span(folder) {
            Some((first, last)) if first == last => first,
            _ => stamp(&key[folder.len()..])?,
        };
        Some(self.since.is_none_or(|since| day >= since) && self.until.is_none_or(|until| day <= until))
    }
}

/// First and last day of what a folder shows: a day, a month or a year.
fn span(folder: &str) -> Option<(NaiveDate, NaiveDate)> {
    let parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    // The innermost date counts: a bucket prefix may hold another one by accident.
    (0..parts.len())
        .rev()
        .find_map(|at| day(parts[at]).map(|day| (day, day)).or_else(|| levels(&parts[at..])))
}

/// `2026-11-22`, `name=2026-11-22`, `name=20261122`.
fn day(part: &str) -> Option<NaiveDate> {
    let (named, text) = part.split_once('=').map_or((false, part), |(_, text)| (true, text));
    let format = match text.len() {
        10 => "%Y-%m-%d",
        8 if named => "%Y%m%d",
        _ => return None,
    };
    NaiveDate::parse_from_str(text, format).ok().filter(is_plausible)
}

/// `2026/11/22` or `year=2026/month=11/day=22`, as far as the folder goes. A bare number of four digits
/// is taken for a year only with a month behind it.
fn levels(parts: &[&str]) -> Option<(NaiveDate, NaiveDate)> {
    let number = |part: &str, name: &str, digits: usize| -> Option<(u32, bool)> {
        let (named, text) = match part.split_once('=') {
            Some((found, text)) if found.eq_ignore_ascii_case(name) => (true, text),
            Some(_) => return None,
            None => (false, part),
        };
        let valid = text.len() == digits && text.bytes().all(|byte| byte.is_ascii_digit());
        Some((text.parse().ok().filter(|_| valid)?, named))
    };
    let (year, named) = number(parts.first()?, "year", 4)?;
    let year = i32::try_from(year).ok()?;
    let first = |month, day| NaiveDate::from_ymd_opt(year, month, day).filter(is_plausible);
    let month = parts.get(1).and_then(|part| number(part, "month", 2)).map(|(month, _)| month);
    let Some(month) = month else {
        return if named { Some((first(1, 1)?, first(12, 31)?)) } else { None };
    };
    let start = first(month, 1)?;
    match parts.get(2).and_then(|part| number(part, "day", 2)) {
        Some((day, _)) => first(month, day).map(|day| (day, day)),
        None => Some((start, start.checked_add_months(chrono::Months::new(1))?.pred_opt()?)),
    }
}

/// `…_20261122T0910Z_…` in a file's name.
fn stamp(name: &str) -> Option<NaiveDate> {
    let bytes = name.as_bytes();
    let found = bytes
        .windows(9)
        .position(|window| window[8] == b'T' && window[..8].iter().all(u8::is_ascii_digit))?;
    NaiveDate::parse_from_str(name.get(found..found + 8)?, "%Y%m%d").ok().filter(is_plausible)
}

/// AWS has written logs since 2006; a later century is no date.
fn is_plausible(day: &NaiveDate) -> bool {
    (2006..2100).contains(&day.year())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn days(since: &str, until: &str) -> Days {
        Days { since: since.parse().ok(), until: until.parse().ok() }
    }

    #[test]
    fn each_layout_shows_its_day() {
        let days = days("2026-11-20", "2026-11-22");
        for (folder, share) in [
            ("AWSLogs/o-a/111122223333/CloudTrail/eu-west-1/2026/11/22/", Share::All),
            ("AWSLogs/111122223333/vpcflowlogs/eu-west-1/2026/11/23/", Share::Nothing),
            ("AWSLogs/111122223333/vpcflowlogs/eu-west-1/2026/11/22/09/", Share::All),
            ("AWSLogs/aws-account-id=1/aws-region=r/year=2026/month=11/day=20/", Share::All),
            ("AWSLogs/aws-account-id=1/aws-region=r/year=2025/", Share::Nothing),
            ("AWSLogs/aws-account-id=1/aws-region=r/year=2026/", Share::Some),
            ("AWSLogs/x/2026/10/", Share::Nothing),
            ("AWSLogs/x/2026/11/", Share::Some),
            ("landing/app/prod/2026-11-21/", Share::All),
            ("landing/app/prod/2026-11-19/", Share::Nothing),
            ("lake/cloudtrail/event_date=2026-11-25/", Share::Nothing),
            ("ext/x/eventDay=20261121/", Share::All),
            ("AWSLogs/111122223333/", Share::Some),
            ("logs/2048/", Share::Some),
            ("2019/data/2026/11/21/", Share::All),
        ] {
            assert_eq!(days.share(folder), share, "{folder}");
        }
        assert_eq!(Days::default().share("anything/2026/"), Share::All);
        assert_eq!(super::Days { since: days.since, until: None }.share("a/2027/01/01/"), Share::All);
    }

    #[test]
    fn a_key_in_a_flat_folder_shows_its_day_by_its_name() {
        let days = days("2026-11-20", "2026-11-22");
        let name = |stamp: &str| format!("down/111122223333_CloudTrail_eu-west-1_{stamp}_abc.json.gz");
        assert_eq!(days.hold(&name("20261122T0910Z")), Some(true));
        assert_eq!(days.hold(&name("20261123T0000Z")), Some(false));
        assert_eq!(days.hold("down/x.json"), None);
        assert_eq!(days.hold("AWSLogs/x/2026/11/20/x.json"), Some(true));
        assert_eq!(days.hold("AWSLogs/x/2026/11/20/09/x.json"), Some(true));
    }
}
