//! PostgreSQL's server log, in the forms `log_destination` has: text after any `log_line_prefix` that
//! names the process (`%p`: the default, RDS's `%t:%r:%u@%d:[%p]:`, Debian's, pgBadger's), csvlog of
//! versions 9 to 18, and the names of jsonlog, which the other two are given as well. Rows of pgAudit
//! are taken apart.

use super::Understood;
use super::severity;
use crate::text::json::{Cursor, Fault, push_string};
use crate::text::{address, time};
use std::borrow::Cow;

/// Words PostgreSQL writes before `:  `; those that continue a message have no severity.
const CONTINUATIONS: [&str; 6] = ["DETAIL", "HINT", "STATEMENT", "CONTEXT", "QUERY", "LOCATION"];

/// How far into a line its severity may stand: a prefix with two names and a query id is shorter.
const PREFIX_MAX: usize = 400;

/// What csvlog's columns are called in jsonlog, in order; versions differ in how many there are.
const CSV: [&str; 26] = [
    "timestamp",
    "user",
    "dbname",
    "pid",
    "remote_host",
    "session_id",
    "line_num",
    "ps",
    "session_start",
    "vxid",
    "txid",
    "error_severity",
    "state_code",
    "message",
    "detail",
    "hint",
    "internal_query",
    "internal_position",
    "context",
    "statement",
    "cursor_position",
    "func_name",
    "application_name",
    "backend_type",
    "leader_pid",
    "query_id",
];
/// Columns of the oldest version read, 9.0.
const CSV_MIN: usize = 23;
const CSV_SEVERITY: usize = 11;

/// Fields of a pgAudit row, in order.
const AUDIT: [&str; 9] = [
    "audit_type",
    "statement_id",
    "substatement_id",
    "class",
    "command",
    "object_type",
    "object_name",
    "statement",
    "parameter",
];

/// Reads a line of text or of csvlog; `None` when it is none of PostgreSQL's.
pub fn read(line: &str) -> Option<Understood<'_>> {
    if !line.as_bytes().first()?.is_ascii_digit() {
        return None;
    }
    let (stamp, used) = time::prefix(line.as_bytes())?;
    let rest = line.get(used..)?.strip_prefix(' ')?;
    let (zone, rest) = rest.split_at(rest.find([' ', ':', ','])?);
    if zone.is_empty()
        || zone.len() > 6
        || !zone.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-'))
    {
        return None;
    }
    let time = (stamp.zoned || matches!(zone, "UTC" | "GMT")).then_some(stamp.micros);
    let mut understood = if rest.starts_with(',') { csv(line)? } else { text(rest)? };
    understood.time = time;
    Some(understood)
}

/// A JSON object under construction.
struct Members(String);

impl Members {
    fn put(&mut self, name: &str, value: &str) {
        if value.is_empty() || value == "[unknown]" {
            return;
        }
        self.0.push(if self.0.is_empty() { '{' } else { ',' });
        push_string(name, &mut self.0);
        self.0.push(':');
        push_string(value, &mut self.0);
    }

    fn end(mut self) -> Option<Cow<'static, str>> {
        if self.0.is_empty() {
            return None;
        }
        self.0.push('}');
        Some(Cow::Owned(self.0))
    }
}

/// Who a line is about, from its prefix.
#[derive(Debug, Default)]
struct Session<'a> {
    pid: &'a str,
    user: &'a str,
    database: &'a str,
    application: &'a str,
    client: Option<(Cow<'a, str>, Option<i32>)>,
}

fn text(rest: &str) -> Option<Understood<'_>> {
    let colon = rest.get(..super::severity::floor(rest, PREFIX_MAX))?.find(":  ")?;
    let before = rest.get(..colon)?;
    let start = before.rfind([' ', ':']).map_or(0, |at| at + 1);
    let word = before.get(start..)?;
    let continuation = CONTINUATIONS.contains(&word);
    let number = severity::number(word)
        .filter(|_| word.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit()));
    if !continuation && number.is_none() {
        return None;
    }
    let message = rest.get(colon + 3..)?;
    let prefix = before.get(..start)?;
    let mut session = Session::default();
    match prefix.strip_prefix(':') {
        Some(fields) => session.amazon(fields),
        None => prefix.split_ascii_whitespace().for_each(|word| session.word(word)),
    }
    if session.pid.is_empty() {
        return None;
    }
    let mut members = Members(String::new());
    for (name, value) in [
        ("error_severity", word),
        ("pid", session.pid),
        ("user", session.user),
        ("dbname", session.database),
        ("application_name", session.application),
    ] {
        members.put(name, value);
    }
    let client = session.client.or_else(|| client_in(message));
    if let Some((host, port)) = &client {
        members.put("remote_host", host);
        members.put("remote_port", &port.map(|port| port.to_string()).unwrap_or_default());
    }
    audit(message, &mut members);
    if let Some(millis) = message.strip_prefix("duration: ").and_then(|rest| rest.split_once(" ms")) {
        members.put("duration_ms", millis.0);
    }
    let (src_ip, src_port) = client.map_or((None, None), |(ip, port)| (Some(ip), port));
    Some(Understood {
        severity_number: number.filter(|_| !continuation),
        severity_text: (!continuation).then_some(Cow::Borrowed(word)),
        attributes: members.end(),
        src_ip,
        src_port,
        ..Understood::default()
    })
}

impl<'a> Session<'a> {
    /// `10.0.0.1(43210):user@db:[123]:`, where the parts before the process may be empty.
    fn amazon(&mut self, fields: &'a str) {
        let Some((who, pid)) = fields.rsplit_once(":[") else { return };
        let digits = pid.split(']').next().unwrap_or("");
        if digits.bytes().all(|byte| byte.is_ascii_digit()) {
            self.pid = digits;
        }
        let (remote, names) = who.rsplit_once(':').unwrap_or(("", who));
        self.names(names);
        self.client = remote_host(remote);
    }

    /// One word of a prefix with blanks.
    fn word(&mut self, word: &'a str) {
        let word = word.trim_end_matches([':', ',']);
        if let Some(inside) = word.strip_prefix('[').and_then(|word| word.strip_suffix(']')) {
            // `[%p]` or `[%p-%l]`
            let pid = inside.split('-').next().unwrap_or("");
            if self.pid.is_empty() && !pid.is_empty() && pid.bytes().all(|byte| byte.is_ascii_digit()) {
                self.pid = pid;
            }
        } else if word.contains('=') {
            for pair in word.split(',') {
                match pair.split_once('=') {
                    Some(("user", user)) => self.user = user,
                    Some(("db" | "database", database)) => self.database = database,
                    Some(("app", application)) => self.application = application,
                    Some(("client" | "host", host)) => self.client = remote_host(host),
                    _ => {}
                }
            }
        } else if word.contains('@') {
            self.names(word);
        } else if let Some(client) = remote_host(word) {
            self.client = Some(client);
        }
    }

    fn names(&mut self, names: &'a str) {
        if let Some((user, database)) = names.split_once('@') {
            (self.user, self.database) = (user, database);
        }
    }
}

/// `10.0.0.1(43210)`, `10.0.0.1:43210` or an address.
fn remote_host(text: &str) -> Option<(Cow<'_, str>, Option<i32>)> {
    match text.strip_suffix(')').and_then(|text| text.rsplit_once('(')) {
        Some((host, port)) => Some((address::canonical(host)?, port.parse::<u16>().ok().map(i32::from))),
        None => address::with_port(text),
    }
}

/// `connection received: host=10.0.0.1 port=43210`
fn client_in(message: &str) -> Option<(Cow<'_, str>, Option<i32>)> {
    let (_, rest) = message.split_once("host=")?;
    let mut words = rest.split([' ', ',', '"']);
    let host = address::canonical(words.next()?)?;
    let port =
        words.next().and_then(|word| word.strip_prefix("port=")).and_then(|port| port.parse::<u16>().ok());
    Some((host, port.map(i32::from)))
}

/// `AUDIT: SESSION,1,1,READ,SELECT,TABLE,public.account,"select …",<none>`
fn audit(message: &str, members: &mut Members) {
    let Some(row) = message.strip_prefix("AUDIT: ") else { return };
    let Some(fields) = fields(row) else { return };
    for (name, value) in AUDIT.iter().zip(&fields) {
        members.put(name, value);
    }
}

fn csv(line: &str) -> Option<Understood<'_>> {
    let fields = fields(line)?;
    let severity = fields.get(CSV_SEVERITY)?.clone();
    let number = severity::number(&severity)?;
    if !(CSV_MIN..=CSV.len()).contains(&fields.len()) {
        return None;
    }
    let mut members = Members(String::new());
    for (name, value) in CSV.iter().zip(&fields) {
        members.put(name, value);
    }
    if let Some(message) = fields.get(13) {
        audit(message, &mut members);
    }
    let client = fields.get(4).and_then(|from| {
        let (ip, port) = address::with_port(from)?;
        Some((Cow::Owned(ip.into_owned()), port))
    });
    let (src_ip, src_port) = client.map_or((None, None), |(ip, port)| (Some(ip), port));
    Some(Understood {
        severity_number: Some(number),
        severity_text: Some(Cow::Owned(severity.into_owned())),
        attributes: members.end(),
        src_ip,
        src_port,
        ..Understood::default()
    })
}

/// The fields of one CSV row; `None` when its quotes do not close.
fn fields(row: &str) -> Option<Vec<Cow<'_, str>>> {
    let mut fields = Vec::new();
    let mut rest = row;
    loop {
        let field = match rest.strip_prefix('"') {
            Some(inside) => {
                let end = closing_quote(inside)?;
                rest = inside.get(end + 1..)?;
                let text = inside.get(..end)?;
                if text.contains("\"\"") {
                    Cow::Owned(text.replace("\"\"", "\""))
                } else {
                    Cow::Borrowed(text)
                }
            }
            None => {
                let end = rest.find(',').unwrap_or(rest.len());
                let (text, tail) = rest.split_at(end);
                rest = tail;
                Cow::Borrowed(text)
            }
        };
        fields.push(field);
        match rest.strip_prefix(',') {
            Some(tail) => rest = tail,
            None if rest.is_empty() => return Some(fields),
            None => return None,
        }
    }
}

/// The quote that closes a field: one that is not doubled.
fn closing_quote(inside: &str) -> Option<usize> {
    let bytes = inside.as_bytes();
    let mut at = 0;
    loop {
        at += memchr::memchr(b'"', bytes.get(at..)?)?;
        if bytes.get(at + 1) != Some(&b'"') {
            return Some(at);
        }
        at += 2;
    }
}

/// The peer in a body of jsonlog; its other members are read like those of any JSON body.
pub fn json_peer(object: &str) -> Option<(Cow<'_, str>, Option<i32>)> {
    let (mut host, mut port, mut severity) = (None, None, false);
    let _ = Cursor::new(object, 0).object::<Fault>(|cursor, key| {
        let value = cursor.value()?;
        match key.raw {
            "\"remote_host\"" => host = value.text(),
            "\"remote_port\"" => port = value.raw.trim_matches('"').parse::<u16>().ok(),
            "\"error_severity\"" => severity = true,
            _ => {}
        }
        Ok(())
    });
    let host = host.filter(|_| severity)?;
    Some((Cow::Owned(address::canonical(&host)?.into_owned()), port.map(i32::from)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(line: &str) -> (Option<i32>, Option<String>, Option<i32>, String) {
        let understood = read(line).unwrap_or_else(|| panic!("not PostgreSQL: {line}"));
        let attributes = understood.attributes.map(Cow::into_owned).unwrap_or_default();
        (understood.severity_number, understood.src_ip.map(Cow::into_owned), understood.src_port, attributes)
    }

    #[test]
    fn every_usual_prefix_is_read() {
        for (line, number, ip, port, attributes) in [
            (
                "2026-01-02 03:04:05 UTC:10.0.0.1(43210):app@shop:[123]:LOG:  statement: select 1",
                Some(9),
                Some("10.0.0.1"),
                Some(43210),
                r#"{"error_severity":"LOG","pid":"123","user":"app","dbname":"shop","remote_host":"10.0.0.1","remote_port":"43210"}"#,
            ),
            (
                "2026-01-02 03:04:05 UTC:2001:db8::1(5):app@shop:[123]:FATAL:  no pg_hba.conf entry",
                Some(21),
                Some("2001:db8::1"),
                Some(5),
                r#"{"error_severity":"FATAL","pid":"123","user":"app","dbname":"shop","remote_host":"2001:db8::1","remote_port":"5"}"#,
            ),
            (
                "2026-01-02 03:04:05 UTC::@:[77]:LOG:  checkpoint starting: time",
                Some(9),
                None,
                None,
                r#"{"error_severity":"LOG","pid":"77"}"#,
            ),
            (
                "2024-01-02 03:04:05.678 UTC [123] LOG:  database system is ready",
                Some(9),
                None,
                None,
                r#"{"error_severity":"LOG","pid":"123"}"#,
            ),
            (
                "2024-01-02 03:04:05.678 CET [9] bob@shop ERROR:  relation \"x\" does not exist at character 15",
                Some(17),
                None,
                None,
                r#"{"error_severity":"ERROR","pid":"9","user":"bob","dbname":"shop"}"#,
            ),
            (
                "2024-01-02 03:04:05 UTC [9]: user=bob,db=shop,app=psql,client=10.0.0.7 WARNING:  x",
                Some(13),
                Some("10.0.0.7"),
                None,
                r#"{"error_severity":"WARNING","pid":"9","user":"bob","dbname":"shop","application_name":"psql","remote_host":"10.0.0.7"}"#,
            ),
            (
                "2024-01-02 03:04:05 UTC [9] LOG:  connection received: host=10.0.0.8 port=50000",
                Some(9),
                Some("10.0.0.8"),
                Some(50000),
                r#"{"error_severity":"LOG","pid":"9","remote_host":"10.0.0.8","remote_port":"50000"}"#,
            ),
            (
                "2024-01-02 03:04:05 UTC [9] STATEMENT:  select * from x",
                None,
                None,
                None,
                r#"{"error_severity":"STATEMENT","pid":"9"}"#,
            ),
            (
                "2024-01-02 03:04:05 UTC [9] LOG:  duration: 12.345 ms  statement: select 1",
                Some(9),
                None,
                None,
                r#"{"error_severity":"LOG","pid":"9","duration_ms":"12.345"}"#,
            ),
        ] {
            assert_eq!(seen(line), (number, ip.map(str::to_owned), port, attributes.to_owned()), "{line}");
        }
        let line = "2026-01-02 03:04:05.5 UTC [1] LOG:  x";
        assert_eq!(read(line).unwrap().time, Some(1_767_323_045_500_000));
        assert_eq!(read(&line.replace("UTC", "CET")).unwrap().time, None);
    }

    #[test]
    fn pgaudit_rows_are_taken_apart() {
        let line = r#"2026-01-02 03:04:05 UTC:10.0.0.1(1):app@shop:[1]:LOG:  AUDIT: SESSION,1,1,READ,SELECT,TABLE,public.account,"select ""a"", b from account",<none>"#;
        let attributes = seen(line).3;
        assert!(attributes.contains(r#""class":"READ","command":"SELECT","object_type":"TABLE","object_name":"public.account","statement":"select \"a\", b from account""#), "{attributes}");
    }

    #[test]
    fn csvlog_has_the_names_of_jsonlog() {
        let line = r#"2026-01-02 03:04:05.678 UTC,"bob","shop",123,"10.0.0.1:43210",68f0.7b,1,"SELECT",2026-01-02 03:04:00 UTC,3/4,0,ERROR,42P01,"relation ""x"" does
not exist",,,,,,"select * from x",15,,"psql","client backend",,0"#;
        let (number, ip, port, attributes) = seen(line);
        assert_eq!((number, ip.as_deref(), port), (Some(17), Some("10.0.0.1"), Some(43210)));
        assert!(attributes.contains(r#""state_code":"42P01","message":"relation \"x\" does\nnot exist","statement":"select * from x""#), "{attributes}");
        assert!(attributes.contains(r#""backend_type":"client backend","query_id":"0"}"#), "{attributes}");
    }

    #[test]
    fn other_lines_are_left_alone() {
        for line in [
            "",
            "ERROR:  x",
            "2024-01-02 03:04:05 UTC [main] ERROR:  x",
            "2024-01-02 03:04:05 INFO  hello:  x",
            "2024-01-02 03:04:05 UTC,a,b",
            "2024-01-02 03:04:05 UTC [9] hello:  x",
        ] {
            assert!(read(line).is_none(), "{line}");
        }
    }
}
