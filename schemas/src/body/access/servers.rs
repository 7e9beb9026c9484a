//! Access logs that are not of the combined family: uvicorn (FastAPI, Starlette) and Envoy (Istio).

use super::{Understood, client_of, pick, quoted, request_line, status_of};
use crate::body::severity;
use crate::text::{address, time};
use std::borrow::Cow;

/// `INFO:     127.0.0.1:52476 - "GET / HTTP/1.1" 200 OK`, with or without the level.
pub fn uvicorn(line: &str) -> Option<Understood<'_>> {
    let (level, rest) = match line.split_once(':') {
        Some((word, rest)) if severity::number(word).is_some() && rest.starts_with(' ') => (Some(word), rest),
        _ => (None, line),
    };
    let (client, rest) = rest.trim_start().split_once(" - \"")?;
    let (address, port) = address::with_port(client)?;
    port?;
    let (request, after) = closing(rest)?;
    let status = status_of(after.trim_start().split(' ').next()?)?;
    let mut understood = Understood { status: Some(status), ..Understood::default() };
    request_line(request, &mut understood);
    understood.method.as_ref()?;
    (understood.src_ip, understood.src_port) = (Some(address), port);
    understood.severity_number = level.and_then(severity::number);
    understood.severity_text = level.map(Cow::Borrowed);
    Some(understood)
}

fn closing(inside: &str) -> Option<(&str, &str)> {
    let end = memchr::memchr(b'"', inside.as_bytes())?;
    Some((inside.get(..end)?, inside.get(end + 1..)?))
}

/// `[2016-04-15T20:17:00.310Z] "POST /x HTTP/2" 204 - 154 0 226 100 "10.0.35.28" "agent" "id" "host" "upstream"`;
/// Istio has further words between the flags and the numbers.
pub fn envoy(line: &str) -> Option<Understood<'_>> {
    let (stamp, rest) = line.strip_prefix('[')?.split_once("] ")?;
    let parsed = time::parse(stamp)?;
    let (request, after) = quoted(rest)?;
    let (status, after) = after.trim_start().split_once(' ')?;
    let mut understood = Understood { status: Some(status_of(status)?), ..Understood::default() };
    request_line(request, &mut understood);
    // Bytes received, bytes sent, milliseconds: the first three numbers in a row.
    let mut rest = after;
    let numbers = loop {
        rest = rest.trim_start();
        let mut words = rest.splitn(4, ' ');
        let numbers = [words.next()?, words.next()?, words.next()?].map(|word| word.parse::<i64>().ok());
        if let [Some(_), Some(sent), Some(millis)] = numbers {
            rest = words.next().unwrap_or("");
            break (sent, millis);
        }
        rest = match quoted(rest) {
            Some((_, tail)) => tail,
            None => rest.split_once(' ')?.1,
        };
    };
    understood.bytes = Some(numbers.0);
    understood.duration_ms = Some(numbers.1 as f64); // far below 2^53
    understood.time = parsed.zoned.then_some(parsed.micros);
    let (forwarded, tail) = quoted(rest.get(rest.find('"')?..)?)?;
    if let Some((agent, _)) = quoted(tail.trim_start()) {
        understood.user_agent = super::present(agent);
    }
    if let Some((ip, port)) = pick(client_of(forwarded)) {
        (understood.src_ip, understood.src_port) = (Some(ip), port);
    }
    Some(understood)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uvicorn_lines_are_requests() {
        let understood = uvicorn("INFO:     127.0.0.1:52476 - \"GET /a?b=c HTTP/1.1\" 200 OK").unwrap();
        assert_eq!(
            (understood.severity_number, understood.status, understood.src_port),
            (Some(9), Some(200), Some(52476))
        );
        assert_eq!((understood.path.as_deref(), understood.method.as_deref()), (Some("/a?b=c"), Some("GET")));
        assert!(uvicorn("10.0.0.1:5 - \"POST / HTTP/1.1\" 500").is_some());
        assert!(uvicorn("INFO:     Application startup complete.").is_none());
        assert!(uvicorn("10.0.0.1 - \"POST / HTTP/1.1\" 500").is_none());
    }

    #[test]
    fn envoy_and_istio_lines_are_requests() {
        for line in [
            r#"[2016-04-15T20:17:00.310Z] "POST /api/v1/locations HTTP/2" 204 - 154 7 226 100 "203.0.113.9, 10.0.35.28" "nsq2http" "cc21" "locations" "tcp://10.0.2.1:80""#,
            r#"[2016-04-15T20:17:00.310Z] "POST /api/v1/locations HTTP/2" 204 - via_upstream - "-" 154 7 226 100 "203.0.113.9" "nsq2http" "cc21" "locations" "10.0.2.1:80" inbound|80||"#,
        ] {
            let understood = envoy(line).unwrap_or_else(|| panic!("{line}"));
            assert_eq!(
                (understood.status, understood.bytes, understood.duration_ms),
                (Some(204), Some(7), Some(226.0))
            );
            assert_eq!(
                (understood.src_ip.as_deref(), understood.user_agent.as_deref()),
                (Some("203.0.113.9"), Some("nsq2http"))
            );
            assert_eq!(understood.time, Some(1_460_751_420_310_000));
        }
        assert!(envoy("[2016-04-15T20:17:00.310Z] hello").is_none());
        assert!(envoy(r#"[2016-04-15T20:17:00.310Z] "x" 204"#).is_none());
    }
}
