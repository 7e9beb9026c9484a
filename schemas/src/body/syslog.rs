//! Syslog lines inside a container's output or a file: RFC 5424, RFC 3164 with its priority, and what
//! syslog daemons write to files, without one.

use super::{Understood, severity};
use crate::text::json::push_string;
use crate::text::{address, time};
use std::borrow::Cow;

/// Names of the severities 0 to 7.
const SEVERITIES: [&str; 8] = ["emerg", "alert", "crit", "err", "warning", "notice", "info", "debug"];

/// Names of the facilities 0 to 23.
const FACILITIES: [&str; 24] = [
    "kern",
    "user",
    "mail",
    "daemon",
    "auth",
    "syslog",
    "lpr",
    "news",
    "uucp",
    "cron",
    "authpriv",
    "ftp",
    "ntp",
    "security",
    "console",
    "solaris-cron",
    "local0",
    "local1",
    "local2",
    "local3",
    "local4",
    "local5",
    "local6",
    "local7",
];

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// Reads a syslog line; `None` when it is none.
pub fn read(line: &str) -> Option<Understood<'_>> {
    let Some(rest) = line.strip_prefix('<') else { return traditional(line, None) };
    let (priority, rest) = rest.split_once('>')?;
    let valid = (1..=3).contains(&priority.len()) && priority.bytes().all(|byte| byte.is_ascii_digit());
    let priority = priority.parse::<usize>().ok().filter(|priority| valid && *priority < 192)?;
    let mut understood = match rest.strip_prefix("1 ") {
        Some(rest) => structured(rest, priority)?,
        None => traditional(rest, Some(priority))?,
    };
    let word = *SEVERITIES.get(priority & 7)?;
    understood.severity_number = severity::number(word);
    understood.severity_text = Some(Cow::Borrowed(word));
    Some(understood)
}

struct Members(String);

impl Members {
    fn new(priority: Option<usize>) -> Self {
        let mut members = Members(String::from("{"));
        if let Some(facility) = priority.and_then(|priority| FACILITIES.get(priority >> 3)) {
            members.put("facility", facility);
        }
        members
    }

    fn put(&mut self, name: &str, value: &str) {
        if value.is_empty() || value == "-" {
            return;
        }
        if self.0.len() > 1 {
            self.0.push(',');
        }
        push_string(name, &mut self.0);
        self.0.push(':');
        push_string(value, &mut self.0);
    }

    fn end(mut self) -> Option<Cow<'static, str>> {
        self.0.push('}');
        Some(Cow::Owned(self.0))
    }
}

/// `2003-10-11T22:14:15.003Z host app procid msgid [sd] message`, after the priority and version.
fn structured(rest: &str, priority: usize) -> Option<Understood<'_>> {
    let mut words = rest.splitn(6, ' ');
    let (stamp, host, app) = (words.next()?, words.next()?, words.next()?);
    let (process, message_id, tail) = (words.next()?, words.next()?, words.next().unwrap_or("-"));
    let parsed = time::parse(stamp);
    if stamp != "-" && parsed.is_none() {
        return None;
    }
    let mut members = Members::new(Some(priority));
    for (name, value) in [("hostname", host), ("appname", app), ("procid", process), ("msgid", message_id)] {
        members.put(name, value);
    }
    members.put("structured_data", data(tail));
    let time = parsed.filter(|parsed| parsed.zoned).map(|parsed| parsed.micros);
    let (src_ip, src_port) = peer(app, tail);
    Some(Understood { attributes: members.end(), time, src_ip, src_port, ..Understood::default() })
}

/// The structured data before the message: `[id a="b"][id2 …]`; quoted `]` are escaped.
fn data(tail: &str) -> &str {
    let bytes = tail.as_bytes();
    let (mut at, mut end) = (0, 0);
    while bytes.get(at) == Some(&b'[') {
        while let Some(&byte) = bytes.get(at) {
            at += if byte == b'\\' { 2 } else { 1 };
            if byte == b']' {
                end = at;
                break;
            }
        }
    }
    tail.get(..end).unwrap_or("")
}

/// `Oct 11 22:14:15 host app[123]: message`, or with an RFC 3339 time.
fn traditional(line: &str, priority: Option<usize>) -> Option<Understood<'_>> {
    let (time, rest) = if MONTHS.iter().any(|month| line.starts_with(month)) {
        let (day, rest) = line.get(4..)?.trim_start().split_once(' ')?;
        let (clock, rest) = rest.trim_start().split_once(' ')?;
        if !day.parse::<u8>().is_ok_and(|day| (1..=31).contains(&day)) || !is_clock(clock) {
            return None;
        }
        (None, rest)
    } else {
        // Only daemons write such a time before a host; without a priority too much looks alike.
        priority?;
        let (stamp, rest) = line.split_once(' ')?;
        (Some(time::parse(stamp)?).filter(|parsed| parsed.zoned), rest)
    };
    let (host, rest) = rest.trim_start().split_once(' ')?;
    let (tag, message) = rest.split_once(':')?;
    if tag.contains(' ') || tag.is_empty() || tag.len() > 64 {
        return None;
    }
    let (app, process) = match tag.split_once('[') {
        Some((app, process)) => (app, process.strip_suffix(']')?),
        None => (tag, ""),
    };
    let mut members = Members::new(priority);
    for (name, value) in [("hostname", host), ("appname", app), ("procid", process)] {
        members.put(name, value);
    }
    let (src_ip, src_port) = peer(app, message);
    Some(Understood {
        attributes: members.end(),
        time: time.map(|parsed| parsed.micros),
        src_ip,
        src_port,
        ..Understood::default()
    })
}

/// `22:14:15`, with or without a fraction.
fn is_clock(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.len() >= 8
        && bytes.iter().take(8).enumerate().all(|(at, byte)| match at {
            2 | 5 => *byte == b':',
            _ => byte.is_ascii_digit(),
        })
}

/// The client in a message of the SSH daemon: `… from 203.0.113.9 port 50000 ssh2`.
fn peer<'a>(app: &str, message: &'a str) -> (Option<Cow<'a, str>>, Option<i32>) {
    let found = || {
        if !app.starts_with("sshd") {
            return None;
        }
        // The last one: a user name may hold the words too.
        let (_, rest) = message.rsplit_once(" from ")?;
        let mut words = rest.split_ascii_whitespace();
        let ip = address::canonical(words.next()?)?;
        let port = words.next().filter(|word| *word == "port").and_then(|_| words.next());
        Some((ip, port.and_then(|port| port.parse::<u16>().ok()).map(i32::from)))
    };
    found().map_or((None, None), |(ip, port)| (Some(ip), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_standards_and_the_form_of_files_are_read() {
        for (line, number, attributes) in [
            (
                "<165>1 2003-10-11T22:14:15.003Z host.example evntslog 12 ID47 [ex@32473 iut=\"3\" a=\"x\\]\"][b] An event",
                Some(10),
                r#"{"facility":"local4","hostname":"host.example","appname":"evntslog","procid":"12","msgid":"ID47","structured_data":"[ex@32473 iut=\"3\" a=\"x\\]\"][b]"}"#,
            ),
            ("<14>1 - - - - - - x", Some(9), r#"{"facility":"user"}"#),
            (
                "<34>Oct 11 22:14:15 mymachine su: 'su root' failed for lonvick on /dev/pts/8",
                Some(18),
                r#"{"facility":"auth","hostname":"mymachine","appname":"su"}"#,
            ),
            (
                "<13>2003-10-11T22:14:15.003+02:00 web app[7]: x",
                Some(10),
                r#"{"facility":"user","hostname":"web","appname":"app","procid":"7"}"#,
            ),
            (
                "Oct  1 22:14:15 web sshd[77]: Failed password for invalid user a from b from 203.0.113.9 port 50000 ssh2",
                None,
                r#"{"hostname":"web","appname":"sshd","procid":"77"}"#,
            ),
        ] {
            let understood = read(line).unwrap_or_else(|| panic!("no syslog: {line}"));
            assert_eq!(
                (understood.severity_number, understood.attributes.as_deref()),
                (number, Some(attributes)),
                "{line}"
            );
        }
        let ssh =
            read("Oct  1 22:14:15 web sshd[77]: Failed password for root from 203.0.113.9 port 50000 ssh2")
                .unwrap();
        assert_eq!((ssh.src_ip.as_deref(), ssh.src_port), (Some("203.0.113.9"), Some(50000)));
        assert_eq!(read("<14>1 2003-10-11T22:14:15Z h a - - - x").unwrap().time, Some(1_065_910_455_000_000));
    }

    #[test]
    fn other_lines_are_left_alone() {
        for line in [
            "",
            "<html>hello</html>",
            "<999>1 - - - - - - x",
            "<34>hello",
            "Mayor of the town: x",
            "May 01, 2024 12:00:00 PM com.example.App run",
            "2003-10-11T22:14:15Z web app[7]: x",
        ] {
            assert!(read(line).is_none(), "{line}");
        }
    }
}
