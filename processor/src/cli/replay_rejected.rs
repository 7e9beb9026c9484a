//! `logq-processor replay-rejected`.

use super::verify::moment;
use super::{Common, Format, summary};
use crate::exit_code;
use crate::metrics::Metrics;
use crate::pipeline::Processor;
use crate::replay::pack::Outcome;
use crate::replay::run::{Report, replay};
use crate::replay::select::Selection;
use crate::storage::Lake;
use anyhow::{Result, bail};
use chrono::{DateTime, Utc};
use clap::Args;
use logq_schemas::Reason;
use std::fmt::Write;
use std::sync::Arc;

/// Records that `rejected` kept are parsed once more; those that parse now go to their tables, once.
/// `rejected` keeps its rows; the table `replayed` says which of them are settled.
#[derive(Debug, Args)]
pub(super) struct ReplayArgs {
    #[command(flatten)]
    common: Common,
    /// Only this reason. May be given several times.
    #[arg(long, value_name = "REASON")]
    reason: Vec<String>,
    /// Only objects whose location contains this.
    #[arg(long, value_name = "TEXT")]
    object: Option<String>,
    /// Only what was rejected from here on: a date, an RFC 3339 time, or an age such as 7d.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    since: Option<DateTime<Utc>>,
    /// Only what was rejected up to here.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    until: Option<DateTime<Utc>>,
    /// Write the records that parse; without it, only say which would.
    #[arg(long)]
    apply: bool,
    /// How the result is printed.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

/// Under a name of its own, so that a running processor is not in the way.
const SHARD: &str = "replay";

pub(super) async fn run(arguments: ReplayArgs) -> Result<u8> {
    for reason in &arguments.reason {
        if !Reason::ALL.iter().any(|known| known.as_str() == reason) {
            let known: Vec<&str> = Reason::ALL.iter().map(|known| known.as_str()).collect();
            bail!("`{reason}` is no reason; there are {}", known.join(", "));
        }
    }
    let mut config = arguments.common.config()?;
    if arguments.common.shard.is_none() {
        config.shard = SHARD.to_owned();
    }
    let lake = Lake::open(&arguments.common.lake).await?;
    let micros = |time: &DateTime<Utc>| time.timestamp_micros();
    let selection = Selection {
        reasons: arguments.reason,
        location: arguments.object,
        since: arguments.since.as_ref().map(micros),
        until: arguments.until.as_ref().map(micros),
    };
    let mut processor = Processor::open(lake.clone(), config, Arc::new(Metrics::default())).await?;
    let report = replay(&lake, &mut processor, &selection, !arguments.apply).await?;
    match arguments.format {
        Format::Json => println!("{}", serde_json::to_string(&report)?),
        Format::Text => print!("{}", as_text(&report, arguments.apply)),
    }
    Ok(exit_code::OK)
}

fn as_text(report: &Report, applied: bool) -> String {
    let mut out = String::new();
    // Writing into a String cannot fail.
    for (reason, outcomes) in &report.rejections {
        for (outcome, count) in outcomes {
            let _ = writeln!(out, "{reason:<24} {:>12}  {}", summary::grouped(*count), outcome.as_str());
        }
    }
    if report.completed > 0 {
        let count = summary::grouped(report.completed);
        let _ = writeln!(out, "{count} were brought in by an earlier replay and are settled now");
    }
    let parses = report.count(Outcome::Parses);
    if !applied {
        let _ = match parses {
            0 => writeln!(out, "nothing to replay"),
            parses => writeln!(out, "{} would be replayed: run again with --apply", summary::grouped(parses)),
        };
        return out;
    }
    for (table, rows) in &report.summary.rows {
        let _ = writeln!(out, "{table:<24} {:>12}  rows", summary::grouped(*rows));
    }
    if report.summary.duplicates > 0 {
        let count = summary::grouped(report.summary.duplicates);
        let _ = writeln!(out, "{:<24} {count:>12}", "already there");
    }
    let _ = writeln!(out, "{} replayed", summary::grouped(parses));
    out
}
