//! Requests and their state as text and JSON.

use super::Shown;
use crate::cli::summary::grouped;
use crate::restore::manifest::Sealed;
use crate::restore::progress::Notes;
use crate::restore::survey::{State, Surveyed};
use chrono::{DateTime, NaiveDate, Utc};
use indicatif::HumanBytes;
use serde::Serialize;
use serde_json::json;
use std::collections::BTreeMap;
use std::fmt::Write;

// Writing into a String cannot fail: the results are not looked at.

/// The files of one day in one state.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Row {
    date: NaiveDate,
    state: &'static str,
    files: u64,
    bytes: u64,
    /// When the last of them can be read, at the latest; or until when the first can.
    at: Option<DateTime<Utc>>,
}

/// A copy S3 removed again looks to S3 as if it had never been; the note tells.
fn word(one: &Surveyed, notes: &Notes) -> &'static str {
    match &one.state {
        State::Readable => "readable",
        State::Ready { .. } => "ready",
        State::Ongoing { .. } => "ongoing",
        State::Archived { .. } if notes.of(one.file.date, &one.file.location).is_some() => "expired",
        State::Archived { .. } => "archived",
        State::Missing => "missing",
        State::Unknown { .. } => "unknown",
    }
}

fn arrival(one: &Surveyed, notes: &Notes) -> Option<DateTime<Utc>> {
    match &one.state {
        State::Ready { until } => *until,
        State::Ongoing { class } => {
            let note = notes.of(one.file.date, &one.file.location)?;
            Some(note.at + note.tier.longest(*class)?)
        }
        _ => None,
    }
}

pub(super) fn rows(files: &[Surveyed], notes: &Notes, now: DateTime<Utc>) -> Vec<Row> {
    let mut rows: BTreeMap<(NaiveDate, &'static str), Row> = BTreeMap::new();
    for one in files {
        let state = word(one, notes);
        let row = rows.entry((one.file.date, state)).or_insert(Row {
            date: one.file.date,
            state,
            files: 0,
            bytes: 0,
            at: None,
        });
        row.files += 1;
        row.bytes += one.file.bytes;
        let at = arrival(one, notes);
        row.at = match (row.at, at) {
            (Some(first), Some(second)) if state == "ready" => Some(first.min(second)),
            (Some(first), Some(second)) => Some(first.max(second)),
            (first, second) => first.or(second),
        };
    }
    // An arrival that is over says that S3 is late, not when it comes.
    rows.into_values()
        .map(|row| Row { at: row.at.filter(|at| row.state != "ongoing" || *at > now), ..row })
        .collect()
}

pub(super) fn status_json(rows: &[Row], sealed: &Sealed, broken: usize) -> serde_json::Value {
    json!({"days": rows, "days_without_manifest": sealed.days_without, "broken": broken})
}

pub(super) fn status_text(rows: &[Row], sealed: &Sealed, table: &str, now: DateTime<Utc>) -> String {
    let mut out = String::new();
    for row in rows {
        let when = match (row.state, row.at) {
            ("ready", Some(at)) => format!("until {}", at.format("%Y-%m-%d %H:%M")),
            ("ongoing", Some(at)) => {
                let hours = (at - now).num_minutes() as f64 / 60.0;
                format!("at the latest {} (in {hours:.1} h)", at.format("%Y-%m-%d %H:%M"))
            }
            ("ongoing", None) => "soon: the longest time S3 names is over or not known".to_owned(),
            ("expired", _) => "the copies were removed again: restore once more".to_owned(),
            _ => String::new(),
        };
        let _ = writeln!(
            out,
            "{}  {:<9} {:>8} files {:>12}  {when}",
            row.date,
            row.state,
            grouped(row.files),
            HumanBytes(row.bytes).to_string()
        );
    }
    out.push_str(&without(sealed, table));
    out
}

fn without(sealed: &Sealed, table: &str) -> String {
    let days = &sealed.days_without;
    let Some(first) = days.first() else { return String::new() };
    let more = if days.len() > 1 { format!(" and {} more", days.len() - 1) } else { String::new() };
    format!("{table}: nothing is sealed for {first}{more}: those days are in the lake or had no records\n")
}

fn counts(shown: &Shown<'_>) -> BTreeMap<&'static str, u64> {
    let mut counts = BTreeMap::new();
    for one in &shown.look.files {
        *counts.entry(word(one, &Notes::default())).or_default() += 1;
    }
    counts
}

pub(super) fn request_json(shown: &Shown<'_>) -> serde_json::Value {
    json!({
        "table": shown.arguments.table,
        "dry_run": shown.arguments.dry_run,
        "tier": shown.arguments.tier,
        "days": shown.arguments.days,
        "files": counts(shown),
        "estimates": shown.estimates,
        "dollars": shown.dollars,
        "requested": shown.done.taken,
        "already_requested": shown.done.already,
        "refused": shown.done.refused.len(),
        "days_without_manifest": shown.look.sealed.days_without,
        "manifests_unreadable": shown.look.sealed.unreadable.len(),
    })
}

pub(super) fn request_text(shown: &Shown<'_>) -> String {
    let mut out = String::new();
    for (state, files) in counts(shown) {
        let _ = writeln!(out, "{state:<9} {:>10} files", grouped(files));
    }
    for one in shown.estimates {
        let hours = one.hours.unwrap_or_default();
        let _ = writeln!(
            out,
            "{}: {} files, {}, {} restore: ${:.2} to get out, ${:.2} for {} days, within {hours} h",
            one.class,
            grouped(one.files),
            HumanBytes(one.bytes),
            shown.arguments.tier.as_str(),
            one.retrieval,
            one.copies,
            shown.arguments.days
        );
    }
    let done = shown.done;
    let _ = match (shown.arguments.dry_run, shown.estimates.is_empty()) {
        (true, false) => writeln!(out, "dry run: nothing was asked for; about ${:.2}", shown.dollars),
        (_, true) => writeln!(out, "nothing has to be asked for"),
        (false, false) => writeln!(
            out,
            "{} asked for, {} on their way before, {} refused; `restore status` follows them",
            grouped(done.taken),
            grouped(done.already),
            done.refused.len()
        ),
    };
    out.push_str(&without(&shown.look.sealed, &shown.arguments.table));
    out
}
