//! Error logs and other lines that are neither JSON nor an access log.

use logq_schemas::body::{Understood, access, severity};
use serde_json::{Map, Value};

/// `I1122 10:00:00.000000    1234 main.go:10] started`: the header that Kubernetes' own programs
/// write (k8s.io/klog, `formatHeader`). Gives thread and source position.
pub fn klog(line: &str) -> Option<Map<String, Value>> {
    let header = line.get(..line.find("] ").or_else(|| line.strip_suffix(']').map(str::len))?)?;
    let mut words = header.split_ascii_whitespace();
    let (day, clock, thread, position) = (words.next()?, words.next()?, words.next()?, words.next()?);
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let shaped = day.len() == 5
        && day.starts_with(['I', 'W', 'E', 'F'])
        && digits(day.get(1..)?)
        && clock.len() == 15
        && clock.as_bytes().get(8) == Some(&b'.');
    if !shaped || words.next().is_some() {
        return None;
    }
    let (file, number) = position.rsplit_once(':')?;
    let mut attributes = Map::new();
    attributes.insert("thread.id".to_owned(), thread.parse::<u64>().ok()?.into());
    attributes.insert("code.file.path".to_owned(), file.into());
    attributes.insert("code.line.number".to_owned(), number.parse::<u64>().ok()?.into());
    Some(attributes)
}

fn error_line(line: &str) -> Option<Understood<'_>> {
    let level = severity::in_prefix(line);
    let mut understood = Understood::default();
    if let Some((address, port)) = access::client_in_error(line) {
        understood.src_ip = Some(address);
        understood.src_port = port;
    } else if level.is_none() {
        return None;
    }
    understood.severity_number = level.map(|level| level.number);
    understood.severity_text = level.map(|level| level.text.into());
    Some(understood)
}

/// `2016/10/25 14:49:34 [error] 54053#0: *1 open() … failed, client: 10.0.0.1, server: …`
/// (nginx, `ngx_log_error_core`).
pub fn nginx_error(line: &str) -> Option<Understood<'_>> {
    let bytes = line.as_bytes();
    let dated =
        bytes.len() > 20 && bytes[4] == b'/' && bytes[7] == b'/' && bytes[10] == b' ' && bytes[13] == b':';
    dated.then(|| error_line(line)).flatten()
}

/// `[Mon Dec 26 16:22:08.123 2016] [core:error] [pid 1:tid 2] [client 10.0.0.1:80] AH00124: …`
/// (Apache httpd, `ErrorLogFormat`).
pub fn apache_error(line: &str) -> Option<Understood<'_>> {
    let inside = line.strip_prefix('[')?.split(']').next()?;
    let dated = inside.split_ascii_whitespace().count() == 5 && inside.contains(':');
    if !dated {
        return None;
    }
    let rest = line.split_once("] [")?.1;
    let word = rest.split(']').next()?;
    let level = word.rsplit(':').next().unwrap_or(word);
    // `trace1` to `trace8` are Apache's own.
    let plain = level.trim_end_matches(|c: char| c.is_ascii_digit());
    let mut understood = error_line(line).unwrap_or_default();
    if let Some(number) = severity::number(level).or_else(|| severity::number(plain)) {
        understood.severity_number = Some(number);
        understood.severity_text = Some(level.into());
    }
    Some(understood)
}
