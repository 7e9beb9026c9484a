//! Plans, findings and costs as text.

use crate::cli::summary::grouped;
use crate::lifecycle::cost::{self, Cost};
use crate::lifecycle::danger::{Finding, Severity};
use crate::lifecycle::plan::{BucketPlan, Step};
use crate::lifecycle::policy::Volume;
use crate::lifecycle::prices::Prices;
use std::fmt::Write;

// Writing into a String cannot fail: the results are not looked at.

pub(super) fn steps(plans: &[BucketPlan]) -> String {
    let mut out = String::new();
    for plan in plans {
        let observed = &plan.observed;
        let mut facts = vec![if observed.versioned { "versioned" } else { "not versioned" }.to_owned()];
        facts.push(match (&observed.lock_default, observed.lock_enabled) {
            (Some(default), _) => format!("Object Lock {}", default.text()),
            (None, true) => "Object Lock without a default".to_owned(),
            (None, false) => "no Object Lock".to_owned(),
        });
        let _ = writeln!(out, "bucket {} ({})", observed.bucket, facts.join(", "));
        for step in &plan.steps {
            let _ = match step {
                Step::Add { rule } => writeln!(out, "  + {rule}"),
                Step::Remove { rule } => writeln!(out, "  - {rule}"),
                Step::Change { from, to } => writeln!(out, "  ~ {to}\n    was {from}"),
                Step::Keep { rule } => writeln!(out, "  = {rule}"),
                Step::Foreign { rule } => writeln!(out, "  . {rule} (not ours, kept)"),
            };
        }
    }
    out
}

pub(super) fn findings(findings: &[Finding]) -> String {
    let mut out = String::new();
    for one in findings {
        let severity = if one.severity == Severity::Error { "error" } else { "warning" };
        let mut place = String::new();
        if !one.bucket.is_empty() {
            let _ = write!(place, " {}", one.bucket);
        }
        if let Some(rule) = &one.rule {
            let _ = write!(place, " rule {rule}");
        }
        let _ = writeln!(out, "{severity:<7} {}{place}: {}", one.code, one.message);
    }
    out
}

fn dollars(amount: f64) -> String {
    if amount >= 100.0 {
        return grouped(amount.round() as u64);
    }
    format!("{amount:.2}")
}

pub(super) fn costs(costs: &[Cost], volume: Volume, prices: &Prices) -> String {
    let mut out = String::new();
    let _ = writeln!(
        out,
        "\ncost a year of {} GB and {} objects a day (list prices of {}, {})",
        volume.gb_per_day,
        grouped(volume.objects_per_day.round() as u64),
        prices.region,
        prices.as_of
    );
    let width = costs.iter().map(|one| one.what.len()).max().unwrap_or(0).max(5);
    let _ = writeln!(
        out,
        "  {:<width$} {:<20} {:>12} {:>12} {:>10} {:>10} {:>9} {:>9}",
        "", "class", "days", "GB held", "storage", "year one", "requests", "early"
    );
    for one in costs {
        let to = one.to_day.map_or("…".to_owned(), |day| day.to_string());
        let _ = writeln!(
            out,
            "  {:<width$} {:<20} {:>12} {:>12} {:>10} {:>10} {:>9} {:>9}",
            one.what,
            one.class,
            format!("{}–{to}", one.from_day),
            grouped(one.gb_held.round() as u64),
            dollars(one.storage_per_year),
            dollars(one.storage_first_year),
            dollars(one.requests_per_year),
            dollars(one.early_per_year),
        );
        if let Some(note) = &one.note {
            let _ = writeln!(out, "  {:<width$}   {note}", "");
        }
    }
    let (first, later) = cost::total(costs);
    let _ = writeln!(
        out,
        "  {:<width$} ${} in the first year, ${} a year once every age is filled",
        "sum",
        dollars(first),
        dollars(later)
    );
    out
}
