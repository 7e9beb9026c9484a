//! Logs of known sources that have no table here: they are refused by their name, so that nobody
//! takes them for damaged ones.
//!
//! A source is recognised by what only it writes: the order of its first fields, or keys of its JSON
//! that no CloudTrail record and no envelope has.

use crate::formats::time;

/// What is refused, and what to do with it.
pub const LOAD_BALANCER: &str = "Elastic Load Balancing access log: this version has no table for it";

/// Keys at the top of a JSON document by which a source is known, all of them needed.
const DOCUMENTS: [(&[&str], &str); 7] = [
    (&["webaclId", "action", "httpRequest"], "AWS WAF log: this version has no table for it"),
    (
        &["schemaVersion", "accountId", "service", "severity"],
        "GuardDuty finding: this version has no table for it",
    ),
    (&["query_name", "query_type", "rcode"], "Route 53 Resolver query log: this version has no table for it"),
    (&["configSnapshotId", "configurationItems"], "AWS Config snapshot: this version has no table for it"),
    (&["auditID", "stage", "verb"], KUBERNETES_AUDIT),
    (&["kind", "apiVersion", "items"], KUBERNETES_AUDIT_LIST),
    (&["metadata", "class_uid", "category_uid"], "OCSF event: this version has no table for it"),
];

const KUBERNETES_AUDIT: &str = "Kubernetes audit log: collect it with logq-collector, then it is in app_log";
const KUBERNETES_AUDIT_LIST: &str =
    "list of a Kubernetes API: collect audit logs with logq-collector, then they are in app_log";

/// What a JSON document with these keys is, if it is of a source without a table.
pub fn document(keys: &[&str]) -> Option<&'static str> {
    DOCUMENTS.iter().find(|(needed, _)| needed.iter().all(|key| keys.contains(key))).map(|(_, what)| *what)
}

/// What text with this first line is, if it is of a source without a table.
pub fn line(line: &[u8]) -> Option<&'static str> {
    let head = line.get(..line.len().min(4_096)).unwrap_or(line);
    let text = head.utf8_chunks().next()?.valid();
    if is_load_balancer(text) {
        return Some(LOAD_BALANCER);
    }
    if is_bucket_access(text) {
        return Some("S3 server access log: this version has no table for it");
    }
    if text.starts_with("#Version:") || text.starts_with("#Fields:") {
        return Some("W3C extended log (CloudFront, IIS): this version has no table for it");
    }
    if is_csv(text) {
        return Some(
            "CSV table (Athena, CloudTrail Lake, a spreadsheet): its values have lost their types; deliver the original log files or JSON",
        );
    }
    None
}

/// `https 2020-01-11T16:55:19.624Z app/name/id 10.0.0.1:5132 …` (application), `tls 2.0 2020-… net/…`
/// (network), `2020-01-11T16:55:19.624Z name 10.0.0.1:5132 …` (classic).
fn is_load_balancer(line: &str) -> bool {
    let words: Vec<&str> = line.split(' ').take(14).collect();
    let is_time = |at: usize| words.get(at).is_some_and(|word| time::parse(word).is_some());
    let is_peer = |at: usize| {
        words
            .get(at)
            .and_then(|word| word.rsplit_once(':'))
            .is_some_and(|(_, port)| !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()))
    };
    match words.first() {
        Some(&("http" | "https" | "h2" | "grpcs" | "ws" | "wss")) => {
            is_time(1) && words.get(2).is_some_and(|name| name.starts_with("app/")) && is_peer(3)
        }
        Some(&"tls") => is_time(2) && words.get(3).is_some_and(|name| name.starts_with("net/")),
        Some(_) => {
            // Three times of the request follow the two peers.
            let number = |at: usize| words.get(at).is_some_and(|word| word.parse::<f64>().is_ok());
            is_time(0) && is_peer(2) && (4..7).all(number)
        }
        None => false,
    }
}

/// `<64 hex digits> bucket [06/Feb/2019:00:00:38 +0000] 192.0.2.3 …`
fn is_bucket_access(line: &str) -> bool {
    let mut words = line.split(' ');
    let owner = words.next().unwrap_or("");
    let clock = words.nth(1).unwrap_or("");
    owner.len() == 64 && owner.bytes().all(|byte| byte.is_ascii_hexdigit()) && clock.starts_with('[')
}

/// A header row of at least three cells, two of which are names of CloudTrail or of flow logs.
fn is_csv(line: &str) -> bool {
    const NAMES: [&str; 12] = [
        "eventname",
        "eventsource",
        "eventtime",
        "eventid",
        "eventversion",
        "useridentity",
        "sourceip",
        "sourceipaddress",
        "requestparameters",
        "srcaddr",
        "dstaddr",
        "interfaceid",
    ];
    let cells = || line.trim_start_matches('\u{feff}').split([',', ';', '\t']);
    let known = cells().filter(|cell| {
        let name: String =
            cell.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase();
        NAMES.contains(&name.as_str())
    });
    cells().count() >= 3 && known.count() >= 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_without_a_table_are_named() {
        for (text, part) in [
            (
                r#"https 2018-07-02T22:23:00.186641Z app/lb/50dc6c495c0c9188 192.168.131.39:2817 10.0.0.1:80 0.086 0.048 0.037 200 200 0 57 "GET https://x:443/ HTTP/1.1" "curl""#,
                "Load Balancing",
            ),
            (
                r#"h2 2018-07-02T22:23:00.186641Z app/lb/50dc [2001:db8::1]:2817 - -1 -1 -1 460 - 0 57 "GET""#,
                "Load Balancing",
            ),
            (
                "tls 2.0 2018-12-20T02:59:40 net/network-loadbalancer/c6e77e28c25b2234 g3d4b5e8bb8464cd 72.21.218.154:51341 172.100.100.185:443 5 2 98 246",
                "Load Balancing",
            ),
            (
                r#"2015-05-13T23:39:43.945958Z my-loadbalancer 192.168.131.39:2817 10.0.0.1:80 0.000073 0.001048 0.000057 200 200 0 29 "GET http://x:80/ HTTP/1.1" "curl/7.38.0" - -"#,
                "Load Balancing",
            ),
            (
                "79a59df900b949e55d96a1e698fbacedfd6e09d98eacf8f8d5218e7cd47ef2be awsexamplebucket1 [06/Feb/2019:00:00:38 +0000] 192.0.2.3 79a5",
                "S3 server access",
            ),
            ("#Version: 1.0", "CloudFront"),
            ("\"eventversion\",\"useridentity\",\"eventtime\",\"eventname\"", "CSV"),
            ("Event Type,Event Name,Request ID,User ID,Request Parameters", "CSV"),
        ] {
            assert!(line(text.as_bytes()).is_some_and(|what| what.contains(part)), "{text}");
        }
        for text in [
            "2 123456789010 eni-1 172.31.16.139 172.31.16.21 20641 22 6 20 4249 1418530010 1418530070 ACCEPT OK",
            "2016-10-06T00:17:09.669794202Z stdout F hello",
            "a, b, c",
            "",
            "http is a protocol",
        ] {
            assert_eq!(line(text.as_bytes()), None, "{text}");
        }
    }
}
