//! `logq detect --check`: every rule is read, and the cases beside it are run.
//!
//! Cases are lines of `cases.jsonl` in the folder of the rule file:
//!
//! ```text
//! {"name":"…","expect":1,"records":[{…}, {"repeat":30,"every":2,"record":{"dst_port":"{i+1000}",…}}]}
//! ```
//!
//! `expect` is the number of findings. In a repeated record `{i}` and `{i+N}` count up; a record
//! without a time gets one, `every` seconds after the one before. For every finding the reproducing
//! SQL is run too and must return as many rows as the finding counts.

use super::case_table::{self, Row};
use super::engine;
use super::fields::Source;
use super::library::{self, Library};
use super::sql_rule;
use super::threats::Threats;
use crate::session::Session;
use chrono::{DateTime, Duration, SecondsFormat, Utc};
use datafusion::prelude::SessionContext;
use logq_schemas::{Table, tables};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// One case.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    expect: usize,
    #[serde(default)]
    params: BTreeMap<String, String>,
    /// Entries of threat lists: `category,address,name`.
    #[serde(default)]
    threats: Vec<String>,
    records: Vec<Value>,
}

/// What a check found.
#[derive(Debug, Default)]
pub struct Report {
    /// Rules with cases.
    pub rules: usize,
    /// Cases run.
    pub cases: usize,
    /// Ids of rules that have no case.
    pub without_cases: Vec<String>,
    /// What is wrong, one line each.
    pub failures: Vec<String>,
}

/// Runs the cases of every rule of the library.
pub async fn run(library: &Library) -> Report {
    let mut report = Report::default();
    let mut origins: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for meta in library.metas() {
        let file = meta.origin.split(" (document").next().unwrap_or_default().to_owned();
        origins.entry(file).or_default().push(meta.id.clone());
    }
    for (origin, ids) in origins {
        let Some(cases) = cases_beside(&origin) else {
            report.without_cases.extend(ids);
            continue;
        };
        report.rules += 1;
        for (number, line) in cases.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            report.cases += 1;
            if let Err(failure) = case(library, &origin, line).await {
                report.failures.push(format!("{origin}: case {}: {failure}", number + 1));
            }
        }
    }
    report
}

fn cases_beside(origin: &str) -> Option<String> {
    let beside = Path::new(origin).with_file_name("cases.jsonl");
    library::shipped_file(beside.to_str()?)
        .map(str::to_owned)
        .or_else(|| std::fs::read_to_string(beside).ok())
}

async fn case(library: &Library, origin: &str, line: &str) -> Result<(), String> {
    let case: Case = serde_json::from_str(line).map_err(|error| format!("not a case: {error}"))?;
    let mut own = library.of_file(origin);
    for (name, value) in &case.params {
        own.set(&format!("{name}={value}"))?;
    }
    let mut threats = Threats::default();
    threats.add_lines(&case.threats, Utc::now()).map_err(|error| format!("{}: {error}", case.name))?;
    own.threats = Arc::new(threats);
    let table = own.table().ok_or("the rule's table is not known")?;
    let rows = records(table, &case.records)?;
    let context = SessionContext::new();
    for other in [&tables::cloudtrail::TABLE, &tables::vpc_flow::TABLE, &tables::app_log::TABLE] {
        let rows: &[Row] = if other.name == table.name { &rows } else { &[] };
        case_table::register(&context, other, rows).map_err(|error| error.strip_backtrace())?;
    }
    super::register(&context);
    let session = Session::for_context(context);
    let outcome = engine::run(&session, &own, None).await;
    if let Some(problem) = outcome.problems.first() {
        return Err(format!("{}: {problem}", case.name));
    }
    let found = outcome.findings.len();
    if found != case.expect {
        let said: Vec<&str> = outcome.findings.iter().map(|finding| finding.summary.as_str()).collect();
        return Err(format!("{}: {found} findings instead of {} {said:?}", case.name, case.expect));
    }
    for finding in &outcome.findings {
        let rows = sql_rule::read(session.context(), &finding.sql).await;
        let rows = match rows {
            Ok(frame) => frame.count().await,
            Err(error) => Err(error),
        };
        match rows {
            Ok(rows) if rows as u64 == finding.count => {}
            Ok(rows) => {
                return Err(format!(
                    "{}: count is {}, its SQL returns {rows} rows:\n{}",
                    case.name, finding.count, finding.sql
                ));
            }
            Err(error) => {
                return Err(format!(
                    "{}: its SQL fails: {}\n{}",
                    case.name,
                    error.strip_backtrace(),
                    finding.sql
                ));
            }
        }
    }
    Ok(())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Repeated {
    repeat: u32,
    #[serde(default)]
    every: Option<f64>,
    #[serde(default)]
    at: Option<DateTime<Utc>>,
    record: Row,
}

fn records(table: &Table, records: &[Value]) -> Result<Vec<Row>, String> {
    // Any fixed instant far from midnight, so that a case does not fall apart into two days.
    let start = DateTime::from_timestamp(1_768_471_200, 0).unwrap_or_default();
    let mut rows = Vec::new();
    for (number, record) in records.iter().enumerate() {
        let repeated = if record.get("repeat").is_some() {
            Repeated::deserialize(record).map_err(|error| format!("record {}: {error}", number + 1))?
        } else {
            let record =
                record.as_object().ok_or_else(|| format!("record {} is not an object", number + 1))?;
            Repeated { repeat: 1, every: None, at: None, record: record.clone() }
        };
        let begin = repeated.at.unwrap_or(start + Duration::seconds(number as i64));
        for i in 0..repeated.repeat {
            let mut record = Value::Object(repeated.record.clone());
            count_up(&mut record, i);
            let Value::Object(record) = record else { continue };
            let mut row = case_table::row(table, &record);
            if row.get("event_time").is_none_or(Value::is_null) {
                let step = (repeated.every.unwrap_or(1.0) * 1e6 * f64::from(i)) as i64;
                let time = begin + Duration::microseconds(step);
                row.insert(
                    "event_time".to_owned(),
                    Value::from(time.to_rfc3339_opts(SecondsFormat::Micros, true)),
                );
            }
            rows.push(row);
        }
    }
    Ok(rows)
}

/// Replaces `{i}` and `{i+N}` in every text.
fn count_up(value: &mut Value, i: u32) {
    match value {
        Value::String(text) if text.contains("{i") => {
            let mut filled = text.replace("{i}", &i.to_string());
            while let Some(start) = filled.find("{i+") {
                let Some(end) = filled[start..].find('}').map(|end| start + end) else { break };
                let Ok(offset) = filled[start + 3..end].parse::<u32>() else { break };
                filled.replace_range(start..=end, &offset.saturating_add(i).to_string());
            }
            *text = filled;
        }
        Value::Array(items) => items.iter_mut().for_each(|item| count_up(item, i)),
        Value::Object(map) => map.values_mut().for_each(|item| count_up(item, i)),
        _ => {}
    }
}

impl Library {
    /// The rules of one file.
    fn of_file(&self, origin: &str) -> Library {
        let same = |other: &str| other == origin || other.starts_with(&format!("{origin} (document"));
        Library {
            sigma: self.sigma.iter().filter(|rule| same(&rule.meta.origin)).cloned().collect(),
            correlations: self.correlations.iter().filter(|rule| same(&rule.meta.origin)).cloned().collect(),
            sql: self.sql.iter().filter(|rule| same(&rule.meta.origin)).cloned().collect(),
            ..Library::default()
        }
    }

    /// The table the first rule reads.
    fn table(&self) -> Option<&'static Table> {
        let sigma = self.sigma.first().map(|rule| rule.source).map(Source::table);
        sigma.or_else(|| tables::by_name(self.sql.first()?.tables.first()?))
    }
}
