//! The query that returns the records of one group, without needing the intent file: places, sets and
//! the rules asked before the deciding one are written out as conditions.

use super::check::{DST, SRC, Service};
use super::file::{Intent, Rule, Side, Zone};
use super::verdict::{Kind, Place, Verdict};
use crate::detect::sql_rule::to_server;
use crate::detect::{finding::time, sql_text};
use ipnet::IpNet;
use std::collections::BTreeMap;

/// The records of one group, without needing the intent file.
pub(super) fn evidence(
    intent: &Intent,
    verdict: &Verdict,
    (first, last): (i64, i64),
    cells: &serde_json::Map<String, serde_json::Value>,
    services: &[Service],
) -> String {
    let literal = |name: &str| match cells.get(name) {
        Some(serde_json::Value::String(value)) => format!("{name} = {}", sql_text::text(value)),
        Some(value) => format!("{name} = {value}"),
        None => format!("{name} IS NULL"),
    };
    let mut conditions: Vec<String> = ["account_id", "action"].iter().map(|name| literal(name)).collect();
    for (name, column, place) in [("src", SRC, verdict.from), ("dst", DST, verdict.to)] {
        conditions.push(match cells.get(name).and_then(|value| value.as_str()) {
            Some(address) => format!("{column} = {}", sql_text::text(address)),
            None => place_sql(intent, place, column),
        });
    }
    conditions.push(to_server(&intent.ports));
    conditions.push(services_sql(intent, verdict, services));
    let date = time(first).format("%Y-%m-%d");
    format!(
        "SELECT * FROM vpc_flow\nWHERE event_date = DATE '{date}'\n  AND event_time BETWEEN {} AND {}\n  AND {}\nORDER BY event_time",
        sql_text::timestamp(time(first)),
        sql_text::timestamp(time(last)),
        conditions.join("\n  AND ")
    )
}

/// The services of a group, each with what decided over it: services decided alike share a line.
fn services_sql(intent: &Intent, verdict: &Verdict, services: &[Service]) -> String {
    let mut alike: BTreeMap<(i32, Vec<String>), Vec<Option<u16>>> = BTreeMap::new();
    for service in services {
        let deciding = deciding(intent, verdict, service.protocol, service.port.unwrap_or_default());
        alike.entry((service.protocol, deciding)).or_default().push(service.port);
    }
    let parts: Vec<String> = alike
        .into_iter()
        .map(|((protocol, deciding), ports)| {
            let known: Vec<String> = ports.iter().flatten().map(u16::to_string).collect();
            let port = match (known.as_slice(), ports.contains(&None)) {
                ([], _) => "dst_port IS NULL".to_owned(),
                ([one], false) => format!("dst_port = {one}"),
                (_, false) => format!("dst_port IN ({})", known.join(", ")),
                (_, true) => format!("(dst_port IN ({}) OR dst_port IS NULL)", known.join(", ")),
            };
            let mut conditions = vec![format!("protocol = {protocol}"), port];
            conditions.extend(deciding);
            conditions.join("\n  AND ")
        })
        .collect();
    match parts.as_slice() {
        [one] => one.clone(),
        several => format!("(({}))", several.join(")\n   OR (")),
    }
}

/// Whether an address is in a place, as SQL.
fn place_sql(intent: &Intent, place: Place, column: &str) -> String {
    let inside = |networks: &[IpNet]| {
        let parts: Vec<String> =
            networks.iter().map(|network| format!("cidr_contains('{network}', {column})")).collect();
        format!("({})", parts.join(" OR "))
    };
    match place {
        Place::Zone(at) => {
            let Some(zone) = intent.zones.get(at) else { return "false".to_owned() };
            let more_specific: Vec<IpNet> = intent
                .zones
                .iter()
                .enumerate()
                .filter(|(other, inner)| {
                    *other != at && (inner.environment == zone.environment || inner.environment.is_none())
                })
                .flat_map(|(_, other)| &other.networks)
                .filter(|inner| zone.networks.iter().any(|outer| outer != *inner && outer.contains(*inner)))
                .copied()
                .collect();
            if more_specific.is_empty() {
                inside(&zone.networks)
            } else {
                format!("({} AND NOT {})", inside(&zone.networks), inside(&more_specific))
            }
        }
        Place::Internet | Place::Unknown => {
            let zones: Vec<IpNet> =
                intent.zones.iter().flat_map(|zone: &Zone| zone.networks.clone()).collect();
            let outside = format!("NOT {}", inside(&zones));
            let external = inside(&intent.external_networks);
            if place == Place::Internet {
                format!("({outside} AND NOT is_private({column}) AND {external})")
            } else {
                format!("({outside} AND (is_private({column}) OR NOT {external}))")
            }
        }
    }
}

/// What tells the deciding rule's records from those of the rules asked before it. Places, protocol
/// and port are the same for the whole group; only sets and networks still depend on the row.
fn deciding(intent: &Intent, verdict: &Verdict, protocol: i32, port: u16) -> Vec<String> {
    if verdict.kind == Kind::UnknownZone || verdict.rule.is_none() {
        return intent
            .rules
            .iter()
            .filter_map(|rule| applies_sql(intent, rule, verdict, protocol, port))
            .map(|sql| format!("NOT {sql}"))
            .collect();
    }
    let last = verdict.rule.unwrap_or_default();
    intent
        .rules
        .iter()
        .enumerate()
        .take(last + 1)
        .filter_map(|(at, rule)| Some((at, applies_sql(intent, rule, verdict, protocol, port)?)))
        .map(|(at, sql)| if at == last { sql } else { format!("NOT {sql}") })
        .filter(|sql| sql != "true")
        .collect()
}

/// Whether a rule applies, as SQL over the row; `None` when it never does in this group.
fn applies_sql(intent: &Intent, rule: &Rule, verdict: &Verdict, protocol: i32, port: u16) -> Option<String> {
    if !rule.serves(protocol, port) || !intent.environments_fit(rule, verdict.from, verdict.to) {
        return None;
    }
    let from = sides_sql(intent, &rule.from, SRC, "pkt_src_aws_service", verdict.from, verdict.to)?;
    let to = sides_sql(intent, &rule.to, DST, "pkt_dst_aws_service", verdict.to, verdict.from)?;
    Some(match (from.as_str(), to.as_str()) {
        ("true", _) => to,
        (_, "true") => from,
        _ => format!("({from} AND {to})"),
    })
}

fn sides_sql(
    intent: &Intent,
    sides: &[Side],
    column: &str,
    service: &str,
    place: Place,
    other: Place,
) -> Option<String> {
    let mut parts = Vec::new();
    for side in sides {
        match side {
            Side::Network(network) => parts.push(format!("cidr_contains('{network}', {column})")),
            Side::Set(name) => {
                let Some(set) = intent.sets.get(name) else { continue };
                parts.extend(
                    set.networks.iter().map(|network| format!("cidr_contains('{network}', {column})")),
                );
                let names: Vec<String> =
                    set.services.iter().map(|name| sql_text::text(&name.to_ascii_uppercase())).collect();
                if !names.is_empty() {
                    parts.push(format!("upper(coalesce({service}, '')) IN ({})", names.join(", ")));
                }
            }
            by_place if intent.place_fits(by_place, place, other) => return Some("true".to_owned()),
            _ => {}
        }
    }
    if parts.is_empty() { None } else { Some(format!("({})", parts.join(" OR "))) }
}
