//! One pass over a table for all Sigma rules of its log source.
//!
//! The scan reads only the columns the rules and their evidence need. A shared prefilter drops the
//! rows no rule can match (for CloudTrail mostly a lookup of the event name); what is left is
//! evaluated rule by rule, and matches are grouped by rule, entity and UTC day. Memory does not
//! grow with the number of matches: a group keeps a count, first and last time and a few rows.

use super::config::GROUPS_MAX;
use super::correlate::wiring::Leaf;
use super::correlate::{Joints, Match, joined};
use super::fields::Source;
use super::finding::{Finding, day, time};
use super::groups::{Groups, Shared};
use super::lower::Lowering;
use super::predicate::Target;
use super::problem::Problem;
use super::rows;
use super::sigma::SigmaRule;
use super::sql_text;
use crate::session::TimeRange;
use arrow::array::{Array, AsArray, BooleanArray, RecordBatch};
use datafusion::common::{Result, ScalarValue};
use datafusion::functions::string;
use datafusion::logical_expr::{Expr, in_list, lit};
use datafusion::prelude::{DataFrame, SessionContext, ident};
use futures::StreamExt as _;
use std::collections::BTreeSet;

/// Where the rows of a finding are found again.
#[derive(Debug, Clone, Copy)]
pub struct Evidence {
    /// The table.
    pub source: Source,
}

impl Evidence {
    /// The query for rows between two times (both inside) that meet every condition.
    pub fn sql(&self, first: i64, last: i64, conditions: &[String]) -> String {
        self.select("*", first, last, conditions) + "\nORDER BY event_time"
    }

    /// The same with the columns all event tables share, in no order: a part of a `UNION ALL`.
    pub fn core_sql(&self, first: i64, last: i64, conditions: &[String]) -> String {
        const SHARED: &str =
            "event_time, source, event_uid, account_id, region, src_ip, dst_ip, actor, action, outcome";
        self.select(SHARED, first, last, conditions)
    }

    fn select(&self, columns: &str, first: i64, last: i64, conditions: &[String]) -> String {
        let (from, to) = (time(first), time(last));
        let date = if day(first) == day(last) {
            format!("event_date = DATE '{}'", from.format("%Y-%m-%d"))
        } else {
            format!(
                "event_date BETWEEN DATE '{}' AND DATE '{}'",
                from.format("%Y-%m-%d"),
                to.format("%Y-%m-%d")
            )
        };
        let mut sql = format!("SELECT {columns} FROM {}\nWHERE {date}", self.source.table().name);
        sql.push_str(&format!(
            "\n  AND event_time BETWEEN {} AND {}",
            sql_text::timestamp(from),
            sql_text::timestamp(to)
        ));
        for condition in conditions {
            sql.push_str(&format!("\n  AND ({condition})"));
        }
        sql
    }
}

/// What a scan found.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Findings, unordered.
    pub findings: Vec<Finding>,
    /// Rules that could not run.
    pub problems: Vec<Problem>,
    /// What the reader must know, such as limits reached.
    pub notes: Vec<String>,
}

/// A rule in the scan: its own findings, its part in correlations, or both.
struct Runner<'a> {
    /// Its place in the library.
    at: usize,
    rule: &'a SigmaRule,
}

/// Runs rules of one source, given with their places in the library, and hands matches to the
/// correlations over them.
///
/// # Errors
/// When the table cannot be read; a rule that does not fit the table is a problem, not an error.
pub async fn run(
    context: &SessionContext,
    range: TimeRange,
    source: Source,
    rules: &[(usize, &SigmaRule)],
    joints: &mut Joints<'_>,
) -> Result<Outcome> {
    let mut outcome = Outcome::default();
    let lowering = Lowering::new(context);
    let table = context.table(source.table().name).await?;
    let mut runners: Vec<Runner<'_>> = rules.iter().map(|(at, rule)| Runner { at: *at, rule }).collect();
    let mut expressions = Vec::new();
    runners.retain(|runner| match condition(context, &table, &lowering, runner.rule) {
        Ok(expression) => {
            expressions.push(expression);
            true
        }
        Err(problem) => {
            outcome.problems.push(problem);
            false
        }
    });
    if runners.is_empty() {
        return Ok(outcome);
    }
    let frame = plan(table, range, source, &runners, &expressions, joints)?;
    let mut groups = Groups::new(source);
    let mut stream = frame.execute_stream().await?;
    while let Some(batch) = stream.next().await {
        take(&batch?, &runners, &mut groups, joints)?;
    }
    if groups.dropped > 0 {
        outcome.notes.push(format!(
            "{} matches belong to entities beyond the {GROUPS_MAX} kept for {}; narrow the time range or --only",
            groups.dropped,
            source.table().name
        ));
    }
    let run: Vec<&SigmaRule> = runners.iter().map(|runner| runner.rule).collect();
    outcome.findings.extend(groups.findings(&run));
    Ok(outcome)
}

/// Lowers a rule and lets the planner check it against the table.
fn condition(
    context: &SessionContext,
    table: &DataFrame,
    lowering: &Lowering,
    rule: &SigmaRule,
) -> std::result::Result<Expr, Problem> {
    let title = Some(rule.meta.title.as_str());
    let expression = lowering.expr(&rule.predicate).map_err(|error| error.at(&rule.meta.origin, title))?;
    match context.create_physical_expr(expression.clone(), table.schema()) {
        Ok(_) => Ok(expression),
        Err(error) => Err(Problem::invalid(&rule.meta.origin, title, error.strip_backtrace())),
    }
}

fn plan(
    table: DataFrame,
    range: TimeRange,
    source: Source,
    runners: &[Runner<'_>],
    expressions: &[Expr],
    joints: &Joints<'_>,
) -> Result<DataFrame> {
    let mut frame = table;
    if let Some(bounds) = bounds(range) {
        frame = frame.filter(bounds)?;
    }
    frame = frame.filter(prefilter(source, runners, expressions))?;
    let mut wanted: BTreeSet<&str> = source.sample_columns().iter().copied().collect();
    wanted.extend(["event_time", "event_uid", "account_id", "region"]);
    for (_, leaf) in runners.iter().flat_map(|runner| joints.wiring().fed_by(runner.at)) {
        wanted.extend(leaf.groups.iter().chain(&leaf.values).map(Target::column_name));
    }
    let mut columns: Vec<Expr> = wanted.into_iter().map(ident).collect();
    columns.push(frame.parse_sql_expr(source.entity_sql())?.alias("__entity"));
    for (at, expression) in expressions.iter().enumerate() {
        columns.push(expression.clone().alias(format!("__rule_{at}")));
    }
    frame.select(columns)
}

/// The run's time range over `event_time`.
pub fn bounds(range: TimeRange) -> Option<Expr> {
    let at = |time: chrono::DateTime<chrono::Utc>| {
        lit(ScalarValue::TimestampMicrosecond(Some(time.timestamp_micros()), Some("UTC".into())))
    };
    let since = range.since.map(|since| ident("event_time").gt_eq(at(since)));
    let until = range.until.map(|until| ident("event_time").lt(at(until)));
    match (since, until) {
        (Some(since), Some(until)) => Some(since.and(until)),
        (since, until) => since.or(until),
    }
}

/// What some rule may match: event names of the rules that need one, and the other rules as they are.
fn prefilter(source: Source, runners: &[Runner<'_>], expressions: &[Expr]) -> Expr {
    let mut names = BTreeSet::new();
    let mut others = Vec::new();
    for (runner, expression) in runners.iter().zip(expressions) {
        let required = (source == Source::Cloudtrail)
            .then(|| runner.rule.predicate.required_values("event_name"))
            .flatten();
        match required {
            Some(values) => names.extend(values),
            None => others.push(expression.clone()),
        }
    }
    if !names.is_empty() {
        let lower = string::expr_fn::lower(ident("event_name"));
        others.insert(0, in_list(lower, names.into_iter().map(lit).collect(), false));
    }
    balanced_or(others)
}

fn balanced_or(mut parts: Vec<Expr>) -> Expr {
    match parts.len() {
        0 => lit(false),
        1 => parts.swap_remove(0),
        length => {
            let right = parts.split_off(length / 2);
            balanced_or(parts).or(balanced_or(right))
        }
    }
}

fn take(
    batch: &RecordBatch,
    runners: &[Runner<'_>],
    groups: &mut Groups,
    joints: &mut Joints<'_>,
) -> Result<()> {
    let mut shared: Option<Shared> = None;
    let first_row = joints.number_rows(batch.num_rows());
    for (number, runner) in runners.iter().enumerate() {
        let hits: &BooleanArray = rows::column(batch, &format!("__rule_{number}"))?.as_boolean();
        if hits.true_count() == 0 {
            continue;
        }
        let shared = match &mut shared {
            Some(shared) => shared,
            none => none.insert(Shared::of(batch)?),
        };
        let reports = joints.wiring().reports.get(runner.at).copied().unwrap_or(true);
        for row in (0..hits.len()).filter(|row| hits.is_valid(*row) && hits.value(*row)) {
            let Some(time) = shared.times.get(row).copied().flatten() else { continue };
            if reports {
                groups.add(number, batch, shared, row, time)?;
            }
            let mut found = Vec::new();
            for (joint, leaf) in joints.wiring().fed_by(runner.at) {
                if let Some(mut fed) = feed(leaf, batch, shared, row, time)? {
                    fed.row = first_row + row as u64;
                    found.push((joint, fed));
                }
            }
            for (joint, fed) in found {
                joints.add(joint, fed, || shared.place(row));
            }
        }
    }
    Ok(())
}

/// A row as a correlation sees it; nothing when it lacks a counted field.
fn feed(
    leaf: &Leaf<'_>,
    batch: &RecordBatch,
    shared: &mut Shared,
    row: usize,
    time: i64,
) -> Result<Option<Match>> {
    let mut group = Vec::with_capacity(leaf.groups.len());
    for target in &leaf.groups {
        group.push(shared.values(batch, target, row)?.into_iter().next());
    }
    let mut fields = Vec::with_capacity(leaf.values.len());
    for target in &leaf.values {
        fields.push(shared.values(batch, target, row)?);
    }
    if fields.iter().any(Vec::is_empty) {
        return Ok(None);
    }
    Ok(Some(Match { group, time, row: 0, slot: leaf.slot, values: joined(fields.into_iter()) }))
}
