//! The formats threat lists come in.

use super::{Contents, Entry};
use chrono::{DateTime, NaiveDate, NaiveDateTime, Utc};
use ipnet::IpNet;
use serde_json::Value;
use std::net::IpAddr;
use std::str::FromStr as _;

/// Reads a list of any known format; entries that name no category get `category`.
///
/// # Errors
/// JSON that is neither a STIX bundle nor the address ranges of AWS.
pub fn contents(text: &str, category: &str) -> Result<Contents, String> {
    let text = text.trim_start_matches('\u{feff}');
    if !text.trim_start().starts_with('{') {
        return Ok(lines(text, category));
    }
    let json: Value = serde_json::from_str(text).map_err(|error| format!("not JSON: {error}"))?;
    if json["type"] == "bundle" {
        return Ok(stix(&json, category));
    }
    if json["prefixes"].is_array() {
        return Ok(aws_ranges(&json));
    }
    Err("JSON that is neither a STIX bundle nor the ip-ranges.json of AWS".to_owned())
}

/// Where the columns of a CSV list are.
struct Columns {
    address: usize,
    category: Option<usize>,
    name: Option<usize>,
    expires: Option<usize>,
}

impl Columns {
    /// From a header line, if it is one: a line with a column name for the address.
    fn of(cells: &[String]) -> Option<Columns> {
        let find = |names: &[&str]| {
            cells.iter().position(|cell| names.contains(&cell.trim().to_ascii_lowercase().as_str()))
        };
        Some(Columns {
            address: find(&[
                "ip",
                "address",
                "ip_address",
                "ipaddress",
                "dst_ip",
                "cidr",
                "network",
                "indicator",
                "ioc",
                "value",
                "ioc_value",
            ])?,
            category: find(&["category", "threat_type", "threat"]),
            name: find(&["name", "malware", "malware_printable", "description", "comment", "label", "tag"]),
            expires: find(&["expires", "expiry", "expiration", "valid_until", "expires_at"]),
        })
    }
}

fn lines(text: &str, category: &str) -> Contents {
    let mut contents = Contents::default();
    let mut columns: Option<Columns> = None;
    for line in text.lines() {
        // Feodo and its kin comment their header out.
        let commented = line.trim_start().starts_with(['#', ';']) || line.trim_start().starts_with("//");
        let plain = line.trim_start_matches(['#', ';', '/', ' ']).trim();
        if plain.is_empty() {
            continue;
        }
        let cells = cells(plain);
        if columns.is_none()
            && let Some(found) = Columns::of(&cells)
        {
            columns = Some(found);
            continue;
        }
        if commented {
            continue;
        }
        let cell = |at: Option<usize>| at.and_then(|at| cells.get(at)).map(|cell| cell.trim());
        let (address, name) = match &columns {
            Some(columns) => (cell(Some(columns.address)), cell(columns.name)),
            None => (cell(Some(0)), cell(Some(1))),
        };
        let listed = columns.as_ref().and_then(|columns| cell(columns.category)).filter(|c| !c.is_empty());
        let expires = columns.as_ref().and_then(|columns| cell(columns.expires)).and_then(time);
        // Without commas, what follows the address is a comment.
        let word = address.unwrap_or_default().split_whitespace().next().unwrap_or_default();
        match nets(word) {
            Some(found) => contents.entries.extend(found.into_iter().map(|net| Entry {
                net,
                category: listed.unwrap_or(category).to_owned(),
                name: name.unwrap_or_default().to_owned(),
                expires,
            })),
            None => contents.others += 1,
        }
    }
    contents
}

/// Cells of a CSV line: quotes may surround a cell, two of them are one.
fn cells(line: &str) -> Vec<String> {
    let mut cells = vec![String::new()];
    let mut quoted = false;
    let mut chars = line.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' if quoted && chars.peek() == Some(&'"') => {
                chars.next();
                cells.last_mut().into_iter().for_each(|cell| cell.push('"'));
            }
            '"' => quoted = !quoted,
            ',' if !quoted => cells.push(String::new()),
            c => cells.last_mut().into_iter().for_each(|cell| cell.push(c)),
        }
    }
    cells
}

/// An address, a network, an address with a port, or a range `a-b`.
fn nets(text: &str) -> Option<Vec<IpNet>> {
    if let Ok(address) = IpAddr::from_str(text) {
        return Some(vec![IpNet::from(address)]);
    }
    if let Ok(net) = IpNet::from_str(text) {
        return Some(vec![net]);
    }
    if let Ok(socket) = std::net::SocketAddr::from_str(text) {
        return Some(vec![IpNet::from(socket.ip())]);
    }
    let (from, to) = text.split_once('-')?;
    match (IpAddr::from_str(from.trim()).ok()?, IpAddr::from_str(to.trim()).ok()?) {
        (IpAddr::V4(from), IpAddr::V4(to)) if from <= to => {
            Some(ipnet::Ipv4Subnets::new(from, to, 0).map(IpNet::V4).collect())
        }
        (IpAddr::V6(from), IpAddr::V6(to)) if from <= to => {
            Some(ipnet::Ipv6Subnets::new(from, to, 0).map(IpNet::V6).collect())
        }
        _ => None,
    }
}

fn time(text: &str) -> Option<DateTime<Utc>> {
    let text = text.trim();
    let zoned = DateTime::parse_from_rfc3339(text).map(|time| time.to_utc()).ok();
    let plain = || text.replacen(' ', "T", 1).parse::<NaiveDateTime>().ok().map(|time| time.and_utc());
    let day = || text.parse::<NaiveDate>().ok()?.and_hms_opt(23, 59, 59).map(|time| time.and_utc());
    zoned.or_else(plain).or_else(day)
}

/// Indicators of a STIX bundle: every address their patterns compare with.
fn stix(bundle: &Value, category: &str) -> Contents {
    let mut contents = Contents::default();
    let objects = bundle["objects"].as_array().map(Vec::as_slice).unwrap_or_default();
    for object in objects.iter().filter(|object| object["type"] == "indicator") {
        if object["revoked"] == true {
            continue;
        }
        let pattern = object["pattern"].as_str().unwrap_or_default();
        let found = addresses(pattern);
        if found.is_empty() {
            contents.others += 1;
        }
        let kinds = object["indicator_types"].as_array().or(object["labels"].as_array());
        let anonymous =
            kinds.is_some_and(|kinds| kinds.iter().any(|kind| kind == "anonymization" || kind == "tor"));
        contents.entries.extend(found.into_iter().map(|net| Entry {
            net,
            category: if anonymous && category == "custom" { "tor" } else { category }.to_owned(),
            name: object["name"].as_str().unwrap_or_default().to_owned(),
            expires: object["valid_until"].as_str().and_then(time),
        }));
    }
    contents
}

/// The quoted values behind `ipv4-addr:value` and `ipv6-addr:value`; sets in brackets too.
fn addresses(pattern: &str) -> Vec<IpNet> {
    let mut found = Vec::new();
    for part in ["ipv4-addr:value", "ipv6-addr:value"] {
        for (at, _) in pattern.match_indices(part) {
            let rest = &pattern[at + part.len()..];
            let operator = rest.trim_start();
            let is_not = operator.starts_with("!=") || operator.starts_with("NOT");
            let end = if operator.starts_with("IN") { rest.find(')') } else { None };
            let mut quoted = rest[..end.unwrap_or(rest.len())].split('\'').skip(1).step_by(2);
            let values: Vec<&str> =
                if end.is_some() { quoted.collect() } else { quoted.next().into_iter().collect() };
            if !is_not {
                found.extend(values.into_iter().filter_map(nets).flatten());
            }
        }
    }
    found
}

fn aws_ranges(json: &Value) -> Contents {
    let lists = [("prefixes", "ip_prefix"), ("ipv6_prefixes", "ipv6_prefix")];
    let mut contents = Contents::default();
    for (list, key) in lists {
        for item in json[list].as_array().map(Vec::as_slice).unwrap_or_default() {
            let text = |key: &str| item[key].as_str().unwrap_or_default();
            match IpNet::from_str(text(key)) {
                Ok(net) => contents.entries.push(Entry {
                    net,
                    category: "aws".to_owned(),
                    name: format!("{} {}", text("service"), text("region")),
                    expires: None,
                }),
                Err(_) => contents.others += 1,
            }
        }
    }
    contents
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(text: &str) -> Vec<(String, String, String, bool)> {
        let found = contents(text, "c2").map(|contents| contents.entries).unwrap_or_default();
        found.into_iter().map(|e| (e.net.to_string(), e.category, e.name, e.expires.is_some())).collect()
    }

    fn one(net: &str, category: &str, name: &str, ends: bool) -> (String, String, String, bool) {
        (net.to_owned(), category.to_owned(), name.to_owned(), ends)
    }

    #[test]
    fn plain_lists_and_tables_are_read() {
        let plain = "# comment\n198.51.100.7\n198.51.100.0/24 ; note\nevil.example\n192.0.2.1-192.0.2.2\n[2001:db8::1]:9001\n";
        let nets: Vec<String> = seen(plain).into_iter().map(|entry| entry.0).collect();
        assert_eq!(
            nets,
            ["198.51.100.7/32", "198.51.100.0/24", "192.0.2.1/32", "192.0.2.2/32", "2001:db8::1/128"]
        );
        assert_eq!(contents(plain, "c2").map(|contents| contents.others), Ok(1));
        let table = "\"first_seen_utc\",\"dst_ip\",\"dst_port\",\"malware\"\n\"2026-01-01 00:00:00\",\"198.51.100.7\",\"443\",\"Emotet, \"\"new\"\"\"\n";
        assert_eq!(seen(table), [one("198.51.100.7/32", "c2", "Emotet, \"new\"", false)]);
        let own = "ip,category,name,expires\n192.0.2.9,tor,relay,2026-12-31\n";
        assert_eq!(seen(own), [one("192.0.2.9/32", "tor", "relay", true)]);
    }

    #[test]
    fn stix_and_aws_are_read() {
        let stix = r#"{"type":"bundle","objects":[
            {"type":"indicator","name":"Family","pattern":"[ipv4-addr:value = '198.51.100.7' OR ipv6-addr:value IN ('2001:db8::1','2001:db8::2')]","valid_until":"2027-01-01T00:00:00Z"},
            {"type":"indicator","name":"Not","pattern":"[ipv4-addr:value != '192.0.2.1']"},
            {"type":"indicator","name":"Gone","revoked":true,"pattern":"[ipv4-addr:value = '192.0.2.2']"},
            {"type":"indicator","name":"Domain","pattern":"[domain-name:value = 'evil.example']"}]}"#;
        assert_eq!(
            seen(stix),
            [
                one("198.51.100.7/32", "c2", "Family", true),
                one("2001:db8::1/128", "c2", "Family", true),
                one("2001:db8::2/128", "c2", "Family", true),
            ]
        );
        let aws = r#"{"prefixes":[{"ip_prefix":"3.5.140.0/22","region":"ap-northeast-2","service":"S3"}],"ipv6_prefixes":[{"ipv6_prefix":"2600:1f00::/40","region":"us-east-1","service":"EC2"}]}"#;
        assert_eq!(
            seen(aws),
            [
                one("3.5.140.0/22", "aws", "S3 ap-northeast-2", false),
                one("2600:1f00::/40", "aws", "EC2 us-east-1", false)
            ]
        );
        assert!(contents("{\"a\":1}", "c2").is_err());
    }
}
