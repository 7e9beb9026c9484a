//! The network intent over the flow records of the lake, in one pass.
//!
//! The verdict is a function of the row, so the engine filters and groups like any query. One group
//! is a verdict, its zones, service and the two hosts; a side that is the Internet, and the clients and
//! services of blocked attempts, are counted instead of listed: a public address is probed by
//! thousands of hosts a day on thousands of ports, and each of them alone says nothing.

use super::evidence::evidence;
use super::file::Intent;
use super::verdict::{Flow, Kind, Place, Verdict};
use crate::detect::config::SQL_FINDINGS_MAX;
use crate::detect::finding::{Finding, Occurrence};
use crate::detect::rows;
use crate::detect::rule::Meta;
use crate::detect::sql_rule::{read, to_server};
use crate::detect::sql_text;
use crate::session::TimeRange;
use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringArray, StringBuilder};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int32Type, Int64Type};
use datafusion::common::Result;
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use datafusion::prelude::SessionContext;
use std::collections::HashMap;
use std::hash::{Hash, Hasher};
use std::net::IpAddr;
use std::sync::Arc;

/// `intent_verdict(account, src, dst, protocol, port, action, src_service, dst_service)`: a key of
/// the verdict, or null.
struct IntentVerdict {
    intent: Arc<Intent>,
    signature: Signature,
}

impl std::fmt::Debug for IntentVerdict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("IntentVerdict")
    }
}

impl PartialEq for IntentVerdict {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.intent, &other.intent)
    }
}

impl Eq for IntentVerdict {}

impl Hash for IntentVerdict {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Arc::as_ptr(&self.intent).hash(state);
    }
}

impl ScalarUDFImpl for IntentVerdict {
    fn name(&self) -> &str {
        "intent_verdict"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let rows = arguments.number_rows;
        let text = |at: usize| -> Result<StringArray> {
            match arguments.args.get(at) {
                Some(value) => rows::text_array(&value.to_array(rows)?),
                None => Ok(StringArray::new_null(rows)),
            }
        };
        let number = |at: usize| -> Result<ArrayRef> {
            let null = || Ok(arrow::array::new_null_array(&DataType::Int32, rows));
            arguments
                .args
                .get(at)
                .map_or_else(null, |value| Ok(cast(&value.to_array(rows)?, &DataType::Int32)?))
        };
        let (account, src, dst, action) = (text(0)?, text(1)?, text(2)?, text(5)?);
        let (src_service, dst_service) = (text(6)?, text(7)?);
        let (protocol, port) = (number(3)?, number(4)?);
        let (protocol, port) = (protocol.as_primitive::<Int32Type>(), port.as_primitive::<Int32Type>());
        let mut verdicts = StringBuilder::new();
        let some = |array: &StringArray, row: usize| array.is_valid(row).then(|| array.value(row).to_owned());
        for row in 0..rows {
            let known =
                src.is_valid(row) && dst.is_valid(row) && protocol.is_valid(row) && action.is_valid(row);
            let addresses =
                known.then(|| (src.value(row).parse::<IpAddr>().ok(), dst.value(row).parse::<IpAddr>().ok()));
            let Some((Some(source), Some(destination))) = addresses else {
                verdicts.append_null();
                continue;
            };
            let (account, from, to) = (some(&account, row), some(&src_service, row), some(&dst_service, row));
            let flow = Flow {
                account: account.as_deref(),
                src: source,
                dst: destination,
                protocol: protocol.value(row),
                port: if port.is_valid(row) { u16::try_from(port.value(row)).unwrap_or(0) } else { 0 },
                accepted: action.value(row) == "ACCEPT",
                src_service: from.as_deref(),
                dst_service: to.as_deref(),
            };
            verdicts.append_option(self.intent.judge(&flow).map(|verdict| encode(&verdict)));
        }
        Ok(ColumnarValue::Array(Arc::new(verdicts.finish())))
    }
}

/// A verdict as a short key, so that grouping compares a few bytes.
fn encode(verdict: &Verdict) -> String {
    let place = |place: Place| match place {
        Place::Zone(at) => format!("z{at}"),
        Place::Internet => "i".to_owned(),
        Place::Unknown => "u".to_owned(),
    };
    let kind = Kind::ALL.iter().position(|kind| *kind == verdict.kind).unwrap_or_default();
    let rule = verdict.rule.map_or_else(|| "-".to_owned(), |rule| rule.to_string());
    format!("{kind}:{rule}:{}:{}", place(verdict.from), place(verdict.to))
}

fn decode(key: &str) -> Option<Verdict> {
    let place = |text: &str| match text {
        "i" => Some(Place::Internet),
        "u" => Some(Place::Unknown),
        zone => zone.strip_prefix('z')?.parse().ok().map(Place::Zone),
    };
    let mut parts = key.split(':');
    let kind = *Kind::ALL.get(parts.next()?.parse::<usize>().ok()?)?;
    let rule = match parts.next()? {
        "-" => None,
        at => Some(at.parse().ok()?),
    };
    Some(Verdict { kind, rule, from: place(parts.next()?)?, to: place(parts.next()?)? })
}

/// The client's address: behind NAT the packet's own.
pub(super) const SRC: &str = "coalesce(pkt_srcaddr, src_ip)";
/// The server's address.
pub(super) const DST: &str = "coalesce(pkt_dstaddr, dst_ip)";

/// Protocol and port of a record as one number: above every port plus one.
const SERVICE_BASE: i64 = 131_072;

/// What clients reached for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Service {
    /// IANA protocol number.
    pub(super) protocol: i32,
    /// Server port; none where the record has none.
    pub(super) port: Option<u16>,
}

impl Service {
    fn from_code(code: i64) -> Option<Service> {
        let port = code.rem_euclid(SERVICE_BASE) - 1;
        Some(Service {
            protocol: i32::try_from(code.div_euclid(SERVICE_BASE)).ok()?,
            port: u16::try_from(port).ok(),
        })
    }

    fn label(self) -> String {
        service(i64::from(self.protocol), i64::from(self.port.unwrap_or_default()))
    }
}

/// The services of a group, in order.
fn services(batch: &RecordBatch, row: usize) -> Result<Vec<Service>> {
    let lists = rows::column(batch, "services")?.as_list_opt::<i32>();
    let codes = lists.filter(|lists| lists.is_valid(row)).map(|lists| lists.value(row));
    let codes = codes.as_ref().and_then(|codes| codes.as_primitive_opt::<Int64Type>());
    let mut services: Vec<Service> =
        codes.into_iter().flat_map(|codes| codes.iter().flatten()).filter_map(Service::from_code).collect();
    services.sort_unstable();
    Ok(services)
}

fn query(intent: &Intent, range: TimeRange) -> String {
    let mut time = String::from("true");
    if let Some(since) = range.since {
        time.push_str(&format!(" AND event_time >= {}", sql_text::timestamp(since)));
    }
    if let Some(until) = range.until {
        time.push_str(&format!(" AND event_time < {}", sql_text::timestamp(until)));
    }
    let server = to_server(&intent.ports);
    // A key ends with the server's place; one that names the Internet gives up the address on that
    // side, a blocked attempt (kind 1) the client and the service.
    format!(
        "SELECT verdict, account_id, src, dst, protocol, dst_port, action, event_date, \
         min(event_time) AS first_seen, max(event_time) AS last_seen, count(*) AS \"count\", \
         sum(bytes) AS bytes, approx_distinct(src_all) AS sources, approx_distinct(dst_all) AS destinations, \
         min(region) AS region, array_agg(DISTINCT service) AS services \
         FROM (SELECT verdict, account_id, action, event_date, event_time, bytes, region, \
           s AS src_all, d AS dst_all, \
           CAST(protocol AS BIGINT) * {SERVICE_BASE} + coalesce(CAST(dst_port AS BIGINT) + 1, 0) AS service, \
           CASE WHEN verdict LIKE '1:%' THEN NULL ELSE protocol END AS protocol, \
           CASE WHEN verdict LIKE '1:%' THEN NULL ELSE dst_port END AS dst_port, \
           CASE WHEN verdict LIKE '1:%' OR verdict LIKE '%:i:%' THEN NULL ELSE s END AS src, \
           CASE WHEN verdict LIKE '%:i' THEN NULL ELSE d END AS dst \
           FROM (SELECT intent_verdict(account_id, {SRC}, {DST}, protocol, dst_port, action, \
                   pkt_src_aws_service, pkt_dst_aws_service) AS verdict, \
                   {SRC} AS s, {DST} AS d, account_id, protocol, dst_port, action, event_date, event_time, bytes, region \
                 FROM vpc_flow WHERE {time} AND action IS NOT NULL AND {server}) WHERE verdict IS NOT NULL) \
         GROUP BY verdict, account_id, src, dst, protocol, dst_port, action, event_date \
         ORDER BY \"count\" DESC, first_seen, src, dst, dst_port"
    )
}

/// Checks the flow records and returns findings and notes.
///
/// # Errors
/// When `vpc_flow` cannot be read.
pub async fn run(
    context: &SessionContext,
    range: TimeRange,
    intent: Arc<Intent>,
    origin: &str,
) -> Result<(Vec<Finding>, Vec<String>)> {
    use futures::StreamExt as _;
    context.register_udf(ScalarUDF::from(IntentVerdict {
        intent: Arc::clone(&intent),
        signature: Signature::any(8, Volatility::Immutable),
    }));
    let mut stream = read(context, &query(&intent, range)).await?.execute_stream().await?;
    let mut findings = Vec::new();
    let mut kept: HashMap<Kind, usize> = HashMap::new();
    let mut dropped: HashMap<Kind, u64> = HashMap::new();
    while let Some(batch) = stream.next().await {
        let batch = batch?;
        let verdicts = rows::texts(&batch, "verdict")?;
        let first = rows::micros(&batch, "first_seen")?;
        let last = rows::micros(&batch, "last_seen")?;
        for row in 0..batch.num_rows() {
            let (Some(verdict), Some(Some(first)), Some(Some(last))) =
                (decode(verdicts.value(row)), first.get(row), last.get(row))
            else {
                continue;
            };
            let cells = rows::sample(&batch, row, &|name| matches!(name, "verdict" | "services"))?;
            let services = services(&batch, row)?;
            let kept = kept.entry(verdict.kind).or_default();
            if *kept >= SQL_FINDINGS_MAX {
                *dropped.entry(verdict.kind).or_default() += 1;
                continue;
            }
            *kept += 1;
            findings.push(finding(&intent, origin, &verdict, (*first, *last), cells, &services));
        }
    }
    let mut notes = intent.notes.clone();
    for (kind, count) in dropped {
        notes.push(format!(
            "{count} more groups of {} beyond the {SQL_FINDINGS_MAX} most frequent",
            kind.as_str()
        ));
    }
    Ok((findings, notes))
}

fn finding(
    intent: &Intent,
    origin: &str,
    verdict: &Verdict,
    (first, last): (i64, i64),
    cells: serde_json::Map<String, serde_json::Value>,
    services: &[Service],
) -> Finding {
    let text = |name: &str| cells.get(name).and_then(|value| value.as_str()).map(str::to_owned);
    let number = |name: &str| cells.get(name).and_then(serde_json::Value::as_i64).unwrap_or_default();
    let rule = verdict.rule.and_then(|at| intent.rules.get(at));
    let rule_id = match verdict.kind {
        Kind::UnknownZone => "unknown-zone",
        _ => rule.map_or("default", |rule| rule.id.as_str()),
    };
    let (from, to) = (intent.place_label(verdict.from), intent.place_label(verdict.to));
    let side = |address: Option<String>, zone: &str| match address {
        Some(address) => format!("{address} ({zone})"),
        None => zone.to_owned(),
    };
    let service = match services {
        [one] => one.label(),
        [one, two, three, _, ..] => {
            format!("{} services ({}, {}, {}, …)", services.len(), one.label(), two.label(), three.label())
        }
        few => few.iter().map(|service| service.label()).collect::<Vec<_>>().join(", "),
    };
    let client = side(text("src"), &from);
    let server = side(text("dst"), &to);
    // A day's blocked attempts on a server are one finding, however many services come to be tried.
    let entity = match verdict.kind {
        Kind::BlockedAttempt => format!("{client} -> {server}"),
        _ => format!("{client} -> {server} {service}"),
    };
    let ticket = rule.and_then(|rule| rule.ticket.as_ref()).map(|t| format!(" [{t}]")).unwrap_or_default();
    let why = match verdict.kind {
        Kind::Violation if rule.is_some() => format!("rule {rule_id}{ticket} denies it"),
        Kind::Violation => "no rule allows it".to_owned(),
        Kind::BlockedAttempt => "it was rejected, as the intent wants".to_owned(),
        Kind::DriftDeny => format!("rule {rule_id}{ticket} allows it, yet it was rejected"),
        Kind::UnknownZone => "an address is in no declared zone".to_owned(),
    };
    let many = |address: &str, name: &str, what: &str| match text(address) {
        Some(_) => String::new(),
        None => format!(" involving {} {what}", number(name)),
    };
    let summary = format!(
        "{client} reached for {server} on {service}: {why}; {} records, {} bytes{}{}",
        number("count"),
        number("bytes"),
        many("src", "sources", "sources"),
        many("dst", "destinations", "destinations"),
    );
    let meta = Meta {
        id: format!("intent/{}/{rule_id}", verdict.kind.as_str()),
        name: None,
        title: format!("Network intent: {} ({from} to {to})", verdict.kind.as_str()),
        status: "stable".to_owned(),
        description: String::new(),
        author: None,
        severity: intent.severity(verdict),
        tags: tags(verdict, &to),
        falsepositives: vec![
            "The intent file is out of date, or the direction was guessed from ports because the records carry no tcp-flags.".to_owned(),
        ],
        references: Vec::new(),
        origin: origin.to_owned(),
        shipped: true,
    };
    let sql = evidence(intent, verdict, (first, last), &cells, services);
    Finding::new(
        &meta,
        Occurrence {
            entity,
            account_id: text("account_id"),
            region: text("region"),
            first,
            last,
            count: u64::try_from(number("count")).unwrap_or_default(),
            summary,
            evidence: vec![cells],
            sql,
        },
    )
}

fn tags(verdict: &Verdict, to: &str) -> Vec<String> {
    let tags: &[&str] = match (verdict.kind, to) {
        (Kind::Violation, "internet") => &["attack.exfiltration", "attack.t1048"],
        (Kind::Violation, _) => &["attack.lateral-movement", "attack.t1021"],
        (Kind::BlockedAttempt, _) => &["attack.discovery", "attack.t1046"],
        _ => &[],
    };
    tags.iter().map(|tag| (*tag).to_owned()).collect()
}

fn service(protocol: i64, port: i64) -> String {
    match protocol {
        6 => format!("tcp/{port}"),
        17 => format!("udp/{port}"),
        1 => "icmp".to_owned(),
        58 => "icmpv6".to_owned(),
        other => format!("protocol {other}"),
    }
}
