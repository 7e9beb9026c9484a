//! Access logs of web servers: the combined format of Apache and nginx and what is built on it.
//!
//! Read are: common and combined, a virtual host in front, a list of clients in front (a forwarded
//! header logged as the client), a forwarded header among the further fields, ingress-nginx's timings,
//! `rt=` and its like, gunicorn's default, werkzeug (Flask) and Django with or without Python's logging
//! prefix, and in [`servers`] what is of another family. Request lines that are no HTTP (`\x16\x03…`,
//! `-`) give a status without a method.

mod servers;

use super::{Understood, severity};
use crate::text::address;
use std::borrow::Cow;

/// Reads an access log line of any kind; `None` when it is none.
pub fn request(line: &str) -> Option<Understood<'_>> {
    // Every kind quotes the request.
    memchr::memchr(b'"', line.as_bytes())?;
    combined(line)
        .or_else(|| ssl_request(line))
        .or_else(|| servers::uvicorn(line))
        .or_else(|| servers::envoy(line))
}

/// Reads a line of the combined family; `None` when it is none.
pub fn combined(line: &str) -> Option<Understood<'_>> {
    let (front, rest) = match line.strip_prefix('[') {
        Some(rest) => ("", rest), // Django names no client
        None => line.split_once(" [")?,
    };
    let closing = rest.find(']')?;
    if !is_clock(rest.get(..closing)?) {
        return None;
    }
    let after = rest.get(closing + 1..)?.trim_start();
    let (request, after) = quoted(after)?;
    let mut tokens = after.trim_start().splitn(3, ' ');
    let status = status_of(tokens.next()?)?;
    let bytes = tokens.next().and_then(|token| token.parse::<i64>().ok());
    let mut rest = tokens.next().unwrap_or("").trim_start();

    let mut understood = Understood { status: Some(status), bytes, ..Understood::default() };
    request_line(plain(request), &mut understood);
    let mut forwarded = "";
    if let Some((referer, tail)) = quoted(rest) {
        understood.referer = present(referer);
        rest = tail.trim_start();
        if let Some((agent, tail)) = quoted(rest) {
            understood.user_agent = present(agent);
            rest = tail.trim_start();
            forwarded = rest;
            understood.duration_ms = ingress_time(rest).or_else(|| named_time(rest));
        }
    }
    let (front, level) = without_level(front);
    understood.severity_number = level.and_then(severity::number);
    understood.severity_text = level.map(Cow::Borrowed);
    (understood.src_ip, understood.src_port) = client(front, forwarded);
    Some(understood)
}

fn status_of(token: &str) -> Option<i32> {
    let status = Some(token).filter(|token| token.len() == 3).and_then(|token| token.parse::<i32>().ok());
    status.filter(|status| (100..=999).contains(status))
}

/// A request without the colours that werkzeug puts around it.
fn plain(request: &str) -> &str {
    let mut inside = request;
    while let Some((_, rest)) = inside.strip_prefix("\u{1b}[").and_then(|rest| rest.split_once('m')) {
        inside = rest;
    }
    inside.split('\u{1b}').next().unwrap_or(inside)
}

/// `INFO:werkzeug:127.0.0.1 - -`: what Python's logging puts before the line, told apart by its level.
fn without_level(front: &str) -> (&str, Option<&str>) {
    let Some((level, rest)) = front.split_once(':') else { return (front, None) };
    let known = level.bytes().all(|byte| byte.is_ascii_uppercase()) && severity::number(level).is_some();
    match rest.split_once(':').filter(|(logger, _)| known && !logger.contains(' ')) {
        Some((_, rest)) => (rest, Some(level)),
        None => (front, None),
    }
}

/// `rt=0.012` or `request_time=0.012`, seconds, among the further fields.
fn named_time(rest: &str) -> Option<f64> {
    let value = rest
        .split([' ', '"'])
        .find_map(|word| word.strip_prefix("rt=").or_else(|| word.strip_prefix("request_time=")))?;
    value
        .parse::<f64>()
        .ok()
        .map(|seconds| seconds * 1_000.0)
        .filter(|millis| millis.is_finite() && *millis >= 0.0)
}

/// `[10/Aug/2018:09:45:56 +0200] 172.30.0.119 TLSv1.2 ECDHE-… "GET /x HTTP/1.1" 1375`: what Apache's
/// default configuration writes for TLS connections (`ssl_request_log`).
pub fn ssl_request(line: &str) -> Option<Understood<'_>> {
    let (clock, rest) = line.strip_prefix('[')?.split_once("] ")?;
    if !is_clock(clock) {
        return None;
    }
    let (front, rest) = rest.split_at(rest.find(" \"")?);
    let mut words = front.split(' ');
    let (client, protocol) = (words.next()?, words.next()?);
    let (request, after) = quoted(rest.trim_start())?;
    if !protocol.starts_with("TLS") && !protocol.starts_with("SSL") && protocol != "-" {
        return None;
    }
    let mut understood = Understood { bytes: after.trim().parse().ok(), ..Understood::default() };
    request_line(request, &mut understood);
    let client = address::with_port(client);
    (understood.src_ip, understood.src_port) = client.map_or((None, None), |(ip, port)| (Some(ip), port));
    Some(understood)
}

/// `10/Oct/2000:13:55:36 -0700`
fn is_clock(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.len() >= 20
        && bytes.get(2) == Some(&b'/')
        && bytes.get(6) == Some(&b'/')
        // werkzeug and Django put a blank between date and time, and no zone
        && matches!(bytes.get(11), Some(b':' | b' '))
        && bytes.get(14) == Some(&b':')
        && bytes.first().is_some_and(u8::is_ascii_digit)
}

/// The inside of a quoted field and what follows it. A backslash escapes the next character.
fn quoted(text: &str) -> Option<(&str, &str)> {
    let inside = text.strip_prefix('"')?;
    let bytes = inside.as_bytes();
    let mut at = 0;
    loop {
        at += memchr::memchr2(b'"', b'\\', bytes.get(at..)?)?;
        if bytes.get(at) == Some(&b'"') {
            return Some((inside.get(..at)?, inside.get(at + 1..)?));
        }
        at += 2;
    }
}

fn present(field: &str) -> Option<Cow<'_, str>> {
    (!field.is_empty() && field != "-").then_some(Cow::Borrowed(field))
}

/// `GET /path HTTP/1.1`; everything else is a line of another protocol.
fn request_line<'a>(request: &'a str, understood: &mut Understood<'a>) {
    let Some((method, rest)) = request.split_once(' ') else { return };
    let versioned = rest.rsplit_once(' ').filter(|(_, version)| version.starts_with("HTTP/"));
    // Methods are upper case; with a version behind it, whatever a client made up is one.
    let fits = |byte: u8| {
        byte.is_ascii_uppercase() || byte == b'-' || (versioned.is_some() && byte.is_ascii_alphanumeric())
    };
    if method.is_empty() || method.len() > 20 || !method.bytes().all(fits) {
        return;
    }
    let path = versioned.map_or(rest, |(path, _)| path);
    understood.method = Some(Cow::Borrowed(method));
    understood.path = present(path);
}

/// `<request length> <request time> [<upstream>] …`: ingress-nginx, seconds.
fn ingress_time(rest: &str) -> Option<f64> {
    let mut tokens = rest.split_ascii_whitespace();
    tokens.next()?.parse::<u64>().ok()?;
    let seconds = tokens.next().filter(|token| token.contains('.'))?.parse::<f64>().ok()?;
    tokens.next().filter(|token| token.starts_with('['))?;
    Some(seconds * 1_000.0).filter(|millis| millis.is_finite())
}

/// The client: the connecting address, unless it is internal (a proxy or load balancer) and a
/// forwarded list names an outside one. Of a list the last outside address counts: what stands
/// before it, the client can write itself.
fn client<'a>(front: &'a str, further: &'a str) -> (Option<Cow<'a, str>>, Option<i32>) {
    // `[vhost] client[, client…] identity user`
    let mut words: Vec<&str> = front.split([' ', ',']).filter(|word| !word.is_empty()).collect();
    words.truncate(words.len().saturating_sub(2).max(1));
    let direct = pick(words.iter().copied());
    match direct {
        Some((address, port)) if !address::is_internal(&address) => (Some(address), port),
        direct => {
            let outside = quoted_fields(further)
                .find_map(|list| pick(client_of(list)))
                .filter(|(address, _)| direct.is_none() || !address::is_internal(address));
            match outside.or(direct) {
                Some((address, port)) => (Some(address), port),
                None => (None, None),
            }
        }
    }
}

/// The quoted fields of the rest of a line.
fn quoted_fields(rest: &str) -> impl Iterator<Item = &str> {
    let mut rest = rest;
    std::iter::from_fn(move || {
        let (field, tail) = quoted(rest.get(memchr::memchr(b'"', rest.as_bytes())?..)?)?;
        rest = tail;
        Some(field)
    })
}

/// The words of a list of clients.
pub(super) fn client_of(list: &str) -> impl Iterator<Item = &str> {
    list.split([' ', ',']).filter(|word| !word.is_empty())
}

/// The last outside address of a list, else its first address.
pub(super) fn pick<'a>(words: impl Iterator<Item = &'a str>) -> Option<(Cow<'a, str>, Option<i32>)> {
    let mut first = None;
    let mut outside = None;
    for found in words.filter_map(address::with_port) {
        if !address::is_internal(&found.0) {
            outside = Some(found.clone());
        }
        first.get_or_insert(found);
    }
    outside.or(first)
}

/// The client in an error log line: `, client: 10.0.0.1, server:` (nginx), `[client 10.0.0.1:80]`
/// (Apache).
pub fn client_in_error(line: &str) -> Option<(Cow<'_, str>, Option<i32>)> {
    let nginx = || {
        let (_, rest) = line.split_once(", client: ")?;
        address::with_port(rest.split([',', ' ']).next()?)
    };
    let apache = || {
        let (_, rest) = line.split_once("[client ")?;
        address::with_port(rest.split(']').next()?)
    };
    nginx().or_else(apache)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(line: &str) -> Option<String> {
        combined(line).unwrap().src_ip.map(Cow::into_owned)
    }

    #[test]
    fn combined_with_all_fields() {
        let line = r#"80.210.198.103 - bob [26/Jan/2019:20:27:53 +0330] "GET /a?b=c HTTP/1.1" 404 3863 "https://x/" "Mozilla \"5\"" "-""#;
        let understood = combined(line).unwrap();
        assert_eq!(understood.src_ip.as_deref(), Some("80.210.198.103"));
        assert_eq!(understood.method.as_deref(), Some("GET"));
        assert_eq!(understood.path.as_deref(), Some("/a?b=c"));
        assert_eq!((understood.status, understood.bytes), (Some(404), Some(3863)));
        assert_eq!(understood.referer.as_deref(), Some("https://x/"));
        assert_eq!(understood.user_agent.as_deref(), Some(r#"Mozilla \"5\""#));
    }

    #[test]
    fn variants() {
        let common = combined(r#"::1 - - [26/Dec/2016:16:16:48 +0200] "-" 408 -"#).unwrap();
        assert_eq!((common.status, common.bytes, common.method), (Some(408), None, None));
        let binary =
            combined(r#"1.2.3.4 - - [26/Dec/2016:16:16:48 +0200] "\x16\x03\x01\x00" 400 157 "-" "-""#)
                .unwrap();
        assert_eq!((binary.status, binary.method, binary.path), (Some(400), None, None));
        let ingress = combined(r#"192.168.64.1 - - [07/Feb/2020:11:48:51 +0000] "POST /p HTTP/1.1" 200 59 "-" "curl/7.54.0" 89 0.012 [default-web-8080] [] 172.17.0.5:8080 59 0.000 200 529a"#).unwrap();
        assert_eq!(ingress.duration_ms, Some(12.0));
        let timed = combined(r#"10.0.0.1 - - [07/Feb/2020:11:48:51 +0000] "GET /p HTTP/1.1" 200 59 "-" "curl" "0.5" rt=0.25 uct="0.1" "203.0.113.9""#).unwrap();
        assert_eq!((timed.duration_ms, timed.src_ip.as_deref()), (Some(250.0), Some("203.0.113.9")));
        for line in [
            r#"203.0.113.9 - - [01/May/2024 10:00:00] "GET /x HTTP/1.1" 200 -"#,
            r#"INFO:werkzeug:203.0.113.9 - - [01/May/2024 10:00:00] "GET /x HTTP/1.1" 200 -"#,
            "203.0.113.9 - - [01/May/2024 10:00:00] \"\u{1b}[31m\u{1b}[1mGET /x HTTP/1.1\u{1b}[0m\" 200 -",
        ] {
            let flask = combined(line).unwrap();
            assert_eq!((flask.status, flask.src_ip.as_deref()), (Some(200), Some("203.0.113.9")), "{line}");
            assert_eq!(flask.path.as_deref(), Some("/x"), "{line}");
        }
        let django = combined(r#"[01/May/2024 10:00:00] "GET /x HTTP/1.1" 404 1234"#).unwrap();
        assert_eq!((django.status, django.bytes, django.src_ip), (Some(404), Some(1234), None));
        let spaces =
            combined(r#"1.2.3.4 - - [26/Dec/2016:16:16:48 +0200] "GET /a b HTTP/1.1" 200 1"#).unwrap();
        assert_eq!(spaces.path.as_deref(), Some("/a b"));
    }

    #[test]
    fn the_client_is_the_last_one_it_could_not_forge() {
        assert_eq!(
            ip(r#"10.0.0.2, 10.0.0.1, 81.2.69.143 - - [07/Dec/2016:11:05:07 +0100] "GET / HTTP/1.1" 200 5"#)
                .unwrap(),
            "81.2.69.143"
        );
        assert_eq!(
            ip(r#"vhost.example 10.0.0.1 - - [07/Dec/2016:11:05:07 +0100] "GET / HTTP/1.1" 200 5"#).unwrap(),
            "10.0.0.1"
        );
        let behind = |list: &str| {
            ip(&format!(
                r#"10.0.0.1 - - [07/Dec/2016:11:05:07 +0100] "GET / HTTP/1.1" 200 5 "-" "x" "{list}""#
            ))
            .unwrap()
        };
        assert_eq!(behind("1.1.1.1, 8.8.8.8"), "8.8.8.8");
        assert_eq!(behind("-"), "10.0.0.1");
        assert_eq!(
            ip(r#"9.9.9.9 - - [07/Dec/2016:11:05:07 +0100] "GET / HTTP/1.1" 200 5 "-" "x" "1.1.1.1""#)
                .unwrap(),
            "9.9.9.9"
        );
    }

    #[test]
    fn other_lines_are_left_alone() {
        for line in [
            "",
            "hello [world]",
            "a [26/Jan/2019:20:27:53 +0330] nothing",
            "[26/Jan/2019:20:27:53 +0330] x",
            r#"a [26/Jan/2019:20:27:53 +0330] "GET / HTTP/1.1" abc"#,
            r#"x [26/Jan/2019:20:27:53 +0330] "open"#,
        ] {
            assert!(combined(line).is_none(), "{line}");
        }
        assert_eq!(client_in_error("x failed, client: 127.0.0.1, server: y").unwrap().0, "127.0.0.1");
        assert_eq!(
            client_in_error("[x] [client 67.43.156.12:12345] y").unwrap(),
            ("67.43.156.12".into(), Some(12345))
        );
    }
}
