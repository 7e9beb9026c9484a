//! SQL rules: a YAML header in a leading comment, then one query over the tables.
//!
//! The query returns `entity`, `first_seen`, `last_seen` and `count`, and whatever else explains
//! the finding. `count` is the number of rows the header's `evidence` query returns, so the two are
//! checked against each other. Placeholders:
//! * `{name}` in the query: a parameter, as a number or a quoted text;
//! * `{column}` in `evidence`: that column of the finding, as a literal; in `summary`: as text;
//! * `{RECENT}` and `{HISTORY}`: the run's time range, or the last day of the data, and the time
//!   before it as long as the parameter `history` says; for what is new or unusual;
//! * `{TIME}`: the run's time range; `{SRC}`, `{DST}`: the packet's own addresses, which NAT and
//!   load balancers do not change; `{TO_SERVER}`: the record goes from client to server.

use super::config::{SAMPLED_FINDINGS_MAX, SAMPLES, SERVICE_PORTS, SQL_FINDINGS_MAX};
use super::finding::{Finding, Occurrence, time};
use super::problem::{Problem, RuleError, invalid};
use super::rows;
use super::rule::{Meta, scalar, text, texts};
use super::sql_text;
use crate::session::TimeRange;
use arrow::array::Array;
use datafusion::common::{DataFusionError, Result};
use datafusion::execution::context::SQLOptions;
use datafusion::prelude::SessionContext;
use futures::StreamExt as _;
use logq_schemas::tables;
use serde_json::{Map, Value as Json};
use serde_norway::{Mapping, Value};
use std::collections::BTreeMap;

/// A parameter of a rule.
#[derive(Debug, Clone, PartialEq)]
pub struct Parameter {
    /// Value in force.
    pub value: String,
    /// Whether it is a number (and must stay one).
    pub numeric: bool,
    /// What it means and why the default is what it is.
    pub doc: String,
}

/// A rule written in SQL.
#[derive(Debug, Clone, PartialEq)]
pub struct SqlRule {
    /// Title, severity and so on.
    pub meta: Meta,
    /// Tables it reads.
    pub tables: Vec<String>,
    /// Categories of threat lists it asks; without any of them it has nothing to say.
    pub needs: Vec<String>,
    /// Thresholds and windows.
    pub parameters: BTreeMap<String, Parameter>,
    /// Template of one sentence.
    pub summary: String,
    /// Template of the reproducing query.
    pub evidence: String,
    /// The query.
    pub query: String,
}

/// The record goes from client to server.
///
/// A SYN without ACK says so for certain. Otherwise the side with a service's port is the server,
/// and between two unknown ports the lower one: clients take theirs from the upper range.
pub fn to_server(extra_ports: &[u16]) -> String {
    let mut ports: Vec<u16> = SERVICE_PORTS.iter().chain(extra_ports).copied().collect();
    ports.sort_unstable();
    ports.dedup();
    let known = ports.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    format!(
        "(CASE WHEN protocol = 6 AND (tcp_flags & 2) = 2 THEN (tcp_flags & 16) = 0 \
         WHEN protocol NOT IN (6, 17) THEN true \
         WHEN (src_port < 1024 OR src_port IN ({known})) AND NOT (dst_port < 1024 OR dst_port IN ({known})) THEN false \
         WHEN (dst_port < 1024 OR dst_port IN ({known})) AND NOT (src_port < 1024 OR src_port IN ({known})) THEN true \
         ELSE dst_port <= src_port END)"
    )
}

impl SqlRule {
    /// Reads a rule file.
    ///
    /// # Errors
    /// Names the missing or wrong part of the header.
    pub fn parse(source: &str, origin: &str, shipped: bool) -> std::result::Result<SqlRule, Problem> {
        SqlRule::read(source, origin, shipped).map_err(|error| error.at(origin, None))
    }

    fn read(source: &str, origin: &str, shipped: bool) -> std::result::Result<SqlRule, RuleError> {
        let start = source.trim_start();
        let Some((header, query)) = start.strip_prefix("/* ---").and_then(|rest| rest.split_once("--- */"))
        else {
            return invalid("a SQL rule begins with a YAML header between `/* ---` and `--- */`");
        };
        let map: Mapping = match serde_norway::from_str(header) {
            Ok(map) => map,
            Err(error) => return invalid(format!("header is not a YAML mapping: {error}")),
        };
        let meta = Meta::from_yaml(&map, origin, shipped)?;
        let needed = |key: &str| match text(&map, key)? {
            Some(text) if !text.trim().is_empty() => Ok(text.trim().to_owned()),
            _ => invalid(format!("header field `{key}` is missing")),
        };
        let tables = texts(&map, "tables")?;
        if tables.is_empty() {
            return invalid("header field `tables` is missing: which tables does the query read?");
        }
        if let Some(unknown) = tables.iter().find(|name| tables::by_name(name).is_none()) {
            return invalid(format!("header field `tables`: there is no table `{unknown}`"));
        }
        let query = query.trim().trim_end_matches(';').to_owned();
        if query.is_empty() {
            return invalid("there is no query after the header");
        }
        if !query.contains("{TIME}") && !query.contains("{RECENT}") {
            return invalid("the query has no `{TIME}`, so --since and --until would not apply to it");
        }
        Ok(SqlRule {
            summary: needed("summary")?,
            evidence: needed("evidence")?,
            parameters: parameters(&map)?,
            needs: texts(&map, "needs")?,
            tables,
            query,
            meta,
        })
    }

    /// Overrides a parameter.
    ///
    /// # Errors
    /// An unknown name, or a text where a number is needed.
    pub fn set(&mut self, name: &str, value: &str) -> std::result::Result<(), String> {
        let known = self.parameters.keys().cloned().collect::<Vec<_>>().join(", ");
        let Some(parameter) = self.parameters.get_mut(name) else {
            return Err(format!("rule {} has no parameter `{name}`; it has: {known}", self.meta.id));
        };
        if parameter.numeric && value.parse::<f64>().is_err() {
            return Err(format!("parameter {}.{name} is a number, `{value}` is not", self.meta.id));
        }
        value.clone_into(&mut parameter.value);
        Ok(())
    }

    /// Whether it compares with a time before the run's range.
    pub fn looks_back(&self) -> bool {
        self.query.contains("{HISTORY}")
    }

    /// `{RECENT}` and `{HISTORY}`.
    fn history(&self, name: &str, range: TimeRange) -> Option<String> {
        let table = self.tables.first()?;
        let since = range.since.map_or_else(
            || format!("(SELECT max(event_time) - INTERVAL '1 day' FROM {table})"),
            sql_text::timestamp,
        );
        match name {
            "RECENT" => {
                let until =
                    range.until.map(|until| format!(" AND event_time < {}", sql_text::timestamp(until)));
                Some(format!("(event_time >= {since}{})", until.unwrap_or_default()))
            }
            "HISTORY" => {
                let long = self.parameter("history")?;
                Some(format!("(event_time < {since} AND event_time >= {since} - INTERVAL {long})"))
            }
            _ => None,
        }
    }

    fn parameter(&self, name: &str) -> Option<String> {
        self.parameters.get(name).map(|parameter| {
            if parameter.numeric { parameter.value.clone() } else { sql_text::text(&parameter.value) }
        })
    }

    /// The query as it runs.
    ///
    /// # Errors
    /// A placeholder that is no parameter.
    pub fn query_text(&self, range: TimeRange) -> std::result::Result<String, Problem> {
        fill(&self.query, &|name| {
            common(name, range).or_else(|| self.history(name, range)).or_else(|| self.parameter(name))
        })
        .map_err(|error| error.at(&self.meta.origin, Some(&self.meta.title)))
    }

    /// Runs the rule.
    ///
    /// # Errors
    /// What the engine says; the caller adds the rule.
    pub async fn run(
        &self,
        context: &SessionContext,
        range: TimeRange,
    ) -> Result<(Vec<Finding>, Option<String>)> {
        let external = |problem: Problem| DataFusionError::External(Box::new(problem));
        let query = self.query_text(range).map_err(external)?;
        let mut stream = read(context, &query).await?.execute_stream().await?;
        let mut findings: Vec<Finding> = Vec::new();
        let mut dropped = 0_usize;
        while let Some(batch) = stream.next().await {
            let batch = batch?;
            let entities = rows::texts(&batch, "entity")?;
            let first = rows::micros(&batch, "first_seen")?;
            let last = rows::micros(&batch, "last_seen")?;
            for row in 0..batch.num_rows() {
                if findings.len() >= SQL_FINDINGS_MAX {
                    dropped += 1;
                    continue;
                }
                let (Some(Some(first)), Some(Some(last))) = (first.get(row), last.get(row)) else { continue };
                let cells = rows::sample(&batch, row, &|_| false)?;
                let entity = if entities.is_valid(row) { entities.value(row) } else { "unknown" };
                findings.push(self.finding(entity, *first, *last, cells).map_err(external)?);
            }
        }
        for finding in findings.iter_mut().take(SAMPLED_FINDINGS_MAX) {
            finding.evidence.extend(samples(context, &finding.sql).await?);
        }
        let note = (dropped > 0).then(|| {
            format!(
                "{}: {dropped} more findings beyond the first {SQL_FINDINGS_MAX}; raise its thresholds",
                self.meta.id
            )
        });
        Ok((findings, note))
    }

    fn finding(
        &self,
        entity: &str,
        first: i64,
        last: i64,
        cells: Map<String, Json>,
    ) -> std::result::Result<Finding, Problem> {
        let at = |error: RuleError| error.at(&self.meta.origin, Some(&self.meta.title));
        let shown = |name: &str| match cells.get(name) {
            Some(Json::String(text)) => Some(text.clone()),
            Some(other) => Some(other.to_string()),
            None => self.parameters.get(name).map(|parameter| parameter.value.clone()),
        };
        let literal = |name: &str| match name {
            "first_seen" => Some(sql_text::timestamp(time(first))),
            "last_seen" => Some(sql_text::timestamp(time(last))),
            _ => match cells.get(name) {
                Some(Json::String(text)) => Some(sql_text::text(text)),
                Some(other) => Some(other.to_string()),
                None => common(name, TimeRange::default()).or_else(|| self.parameter(name)),
            },
        };
        let text = |name: &str| cells.get(name).and_then(Json::as_str).map(str::to_owned);
        Ok(Finding::new(
            &self.meta,
            Occurrence {
                entity: entity.to_owned(),
                account_id: text("account_id"),
                region: text("region"),
                first,
                last,
                count: cells.get("count").and_then(Json::as_u64).unwrap_or_default(),
                summary: fill(&self.summary, &shown).map_err(at)?,
                sql: fill(&self.evidence, &literal).map_err(at)?,
                evidence: vec![cells],
            },
        ))
    }
}

/// Plans a query that can only read.
pub async fn read(context: &SessionContext, sql: &str) -> Result<datafusion::prelude::DataFrame> {
    let options = SQLOptions::new().with_allow_ddl(false).with_allow_dml(false).with_allow_statements(false);
    context.sql_with_options(sql, options).await
}

/// The first rows of an evidence query.
pub async fn samples(context: &SessionContext, sql: &str) -> Result<Vec<Map<String, Json>>> {
    let mut samples = Vec::new();
    for batch in read(context, sql).await?.limit(0, Some(SAMPLES))?.collect().await? {
        for row in 0..batch.num_rows() {
            let skip =
                |name: &str| matches!(name, "object_id" | "parser_version" | "ingest_time" | "event_date");
            samples.push(rows::sample(&batch, row, &skip)?);
        }
    }
    samples.truncate(SAMPLES);
    Ok(samples)
}

fn parameters(map: &Mapping) -> std::result::Result<BTreeMap<String, Parameter>, RuleError> {
    let mut parameters = BTreeMap::new();
    let list = match map.get("parameters") {
        None | Some(Value::Null) => return Ok(parameters),
        Some(Value::Mapping(list)) => list,
        Some(_) => return invalid("header field `parameters` must map names to `default` and `doc`"),
    };
    for (name, value) in list {
        let Some(name) = name.as_str() else {
            return invalid("parameter names must be texts");
        };
        let Value::Mapping(value) = value else {
            return invalid(format!("parameter `{name}` needs `default` and `doc`"));
        };
        let Some(default) = value.get("default") else {
            return invalid(format!("parameter `{name}` has no `default`"));
        };
        let Some(doc) = text(value, "doc")? else {
            return invalid(format!(
                "parameter `{name}` has no `doc` that says why the default is what it is"
            ));
        };
        let Some(value) = scalar(default) else {
            return invalid(format!("parameter `{name}`: `default` must be a number or a text"));
        };
        parameters.insert(name.to_owned(), Parameter { value, numeric: default.is_number(), doc });
    }
    Ok(parameters)
}

/// Placeholders every rule may use.
fn common(name: &str, range: TimeRange) -> Option<String> {
    Some(match name {
        "TIME" => {
            let since = range.since.map(|since| format!("event_time >= {}", sql_text::timestamp(since)));
            let until = range.until.map(|until| format!("event_time < {}", sql_text::timestamp(until)));
            let bounds: Vec<String> = since.into_iter().chain(until).collect();
            if bounds.is_empty() { "true".to_owned() } else { format!("({})", bounds.join(" AND ")) }
        }
        "SRC" => "coalesce(pkt_srcaddr, src_ip)".to_owned(),
        "DST" => "coalesce(pkt_dstaddr, dst_ip)".to_owned(),
        "TO_SERVER" => to_server(&[]),
        _ => return None,
    })
}

/// Replaces `{name}`; other braces stay.
pub fn fill(
    template: &str,
    value: &dyn Fn(&str) -> Option<String>,
) -> std::result::Result<String, RuleError> {
    let mut filled = String::with_capacity(template.len());
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        filled.push_str(before);
        let end = after.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(after.len());
        let (name, tail) = after.split_at(end);
        match tail.strip_prefix('}').filter(|_| !name.is_empty()) {
            Some(tail) => {
                let Some(text) = value(name) else {
                    return invalid(format!("`{{{name}}}` is neither a parameter nor a column of the query"));
                };
                filled.push_str(&text);
                rest = tail;
            }
            None => {
                filled.push('{');
                rest = after;
            }
        }
    }
    filled.push_str(rest);
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULE: &str = "/* ---\ntitle: T\nid: t\nlevel: low\ntables: [vpc_flow]\nparameters:\n  n: {default: 5, doc: why}\n  w: {default: 1 hour, doc: why}\nsummary: '{entity} {n}'\nevidence: SELECT 1 WHERE {entity} = 'x'\n--- */\nSELECT {n}, {w} FROM vpc_flow WHERE {TIME}\n";

    #[test]
    fn parameters_are_quoted_by_type_and_checked() {
        let mut rule = SqlRule::parse(RULE, "t.sql", true).unwrap();
        assert_eq!(
            rule.query_text(TimeRange::default()).unwrap(),
            "SELECT 5, '1 hour' FROM vpc_flow WHERE true"
        );
        assert!(rule.set("n", "1; drop").is_err() && rule.set("m", "1").is_err());
        rule.set("w", "it's").unwrap();
        assert!(rule.query_text(TimeRange::default()).unwrap().contains("'it''s'"));
    }

    #[test]
    fn evidence_quotes_what_an_attacker_wrote() {
        let rule = SqlRule::parse(RULE, "t.sql", true).unwrap();
        let cells = Map::from_iter([("entity".to_owned(), Json::from("a' OR 1=1 --\u{1b}"))]);
        let finding = rule.finding("a", 0, 1, cells).unwrap();
        assert_eq!(finding.sql, "SELECT 1 WHERE ('a'' OR 1=1 --' || chr(27)) = 'x'");
    }

    #[test]
    fn a_bad_header_is_named() {
        for (broken, word) in [
            ("SELECT 1", "header"),
            ("/* ---\nlevel: low\n--- */ SELECT {TIME}", "title"),
            (&RULE.replace("vpc_flow]", "nope]"), "nope"),
            (&RULE.replace("{TIME}", "true"), "{TIME}"),
            (&RULE.replace("level: low", "level: bad"), "level"),
            (&RULE.replace(", doc: why}\n  w", "}\n  w"), "doc"),
        ] {
            let problem = SqlRule::parse(broken, "t.sql", true).unwrap_err();
            assert!(problem.to_string().contains(word), "{word}: {problem}");
        }
        let rule = SqlRule::parse(&RULE.replace("{n},", "{missing},"), "t.sql", true).unwrap();
        assert!(rule.query_text(TimeRange::default()).unwrap_err().to_string().contains("missing"));
    }
}
