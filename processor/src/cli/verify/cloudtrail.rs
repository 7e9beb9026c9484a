//! `logq-processor verify cloudtrail`.

use crate::causes::describe;
use crate::cli::{Format, summary};
use crate::discover::listing;
use crate::exit_code;
use crate::integrity::catalogue::Moves;
use crate::integrity::keys::PublicKeys;
use crate::integrity::verdict::{Kind, Standing, Verdict, verdict_batch};
use crate::integrity::verify::{Period, Totals, verify};
use crate::lake::record;
use crate::storage::{Inputs, Lake};
use anyhow::{Context, Result, bail};
use arrow::array::RecordBatch;
use chrono::{DateTime, NaiveDate, Utc};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use logq_schemas::tables;
use serde_json::json;
use std::fmt::Write;
use std::path::PathBuf;

/// Verdicts become an Arrow batch in groups of this many: columns are a tenth of the size of values.
const VERDICTS: usize = 10_000;

/// Every log file and digest below the inputs gets a verdict: verified, unverified, invalid, missing.
/// With --lake the verdicts become rows of the table `cloudtrail_digest`.
#[derive(Debug, Args)]
#[command(after_help = KEYS)]
pub(super) struct CloudtrailArgs {
    /// Public keys: what `aws cloudtrail list-public-keys` printed, a file or a folder of such files.
    #[arg(long, value_name = "FILE|DIR")]
    public_keys: PathBuf,
    /// Write the verdicts to this lake.
    #[arg(long, env = "LOGQ_LAKE", value_name = "DIR|URL")]
    lake: Option<String>,
    /// Objects delivered under FROM were moved to TO, both s3://bucket/prefix or a directory.
    #[arg(long, value_name = "FROM=TO")]
    moved: Vec<String>,
    /// Verify what was delivered from here on: a date, an RFC 3339 time, or an age such as 7d.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    since: Option<DateTime<Utc>>,
    /// Verify what was delivered up to here.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    until: Option<DateTime<Utc>>,
    /// How the result is printed.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// Directories or s3:// prefixes that hold the log files and the digests.
    #[arg(required = true, value_name = "INPUT")]
    inputs: Vec<String>,
}

const KEYS: &str = "Fetch the keys in the Region of the trail, for the time of the digests:
  aws cloudtrail list-public-keys --start-time 2026-11-01 --end-time 2026-12-01 > keys.json
Digests of a local copy need the metadata of the original, in <digest>.metadata.json beside each:
  aws s3api head-object --bucket B --key K > K.metadata.json
Without it the digest that follows vouches for them; only the newest of a chain cannot do without.";

/// A moment on the command line.
pub(in crate::cli) fn moment(text: &str) -> Result<DateTime<Utc>, String> {
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return Ok(time.to_utc());
    }
    if let Ok(date) = text.parse::<NaiveDate>() {
        return Ok(date.and_time(chrono::NaiveTime::MIN).and_utc());
    }
    match humantime::parse_duration(text) {
        Ok(age) => Ok(Utc::now() - age),
        Err(_) => Err("neither a date, an RFC 3339 time nor an age such as 7d".to_owned()),
    }
}

/// Verdicts on their way to the table and to the screen.
struct Collected {
    verified_at: i64,
    recorded: bool,
    waiting: Vec<Verdict>,
    batches: Vec<RecordBatch>,
    findings: Vec<Verdict>,
}

impl Collected {
    fn take(&mut self, verdict: Verdict) {
        if verdict.is_finding() {
            self.findings.push(verdict.clone());
        }
        if self.recorded {
            self.waiting.push(verdict);
            if self.waiting.len() >= VERDICTS {
                self.pack();
            }
        }
    }

    fn pack(&mut self) {
        if !self.waiting.is_empty() {
            self.batches.push(verdict_batch(&self.waiting, self.verified_at));
            self.waiting.clear();
        }
    }
}

/// Verifies the digest chains; gives the exit code.
pub(super) async fn run(arguments: CloudtrailArgs) -> Result<u8> {
    let keys = PublicKeys::load(&arguments.public_keys)?;
    let moves = Moves::parse(&arguments.moved)?;
    let lake = match &arguments.lake {
        Some(location) => Some(Lake::open(location).await?),
        None => None,
    };
    let directory = lake.as_ref().and_then(Lake::directory);
    let inputs = Inputs::default();
    let mut candidates = Vec::new();
    let mut unlisted = 0_u64;
    for input in &arguments.inputs {
        let listing = listing::list(&inputs, input, directory.as_deref()).await;
        for failure in &listing.failures {
            eprintln!("logq-processor: {}", describe(failure));
        }
        unlisted += listing.failures.len() as u64;
        candidates.extend(listing.candidates);
    }
    if candidates.is_empty() {
        bail!("nothing to verify: the inputs hold no objects, or cannot be read");
    }
    let now = Utc::now().timestamp_micros();
    let micros = |time: &DateTime<Utc>| time.timestamp_micros();
    let period = Period {
        since: arguments.since.as_ref().map(micros),
        until: arguments.until.as_ref().map(micros),
        now,
    };
    let mut collected = Collected {
        verified_at: now,
        recorded: lake.is_some(),
        waiting: Vec::new(),
        batches: Vec::new(),
        findings: Vec::new(),
    };
    let bar = progress();
    let totals = verify(
        &inputs,
        candidates,
        moves,
        &keys,
        period,
        &mut |verdict| collected.take(verdict),
        &|digests| match digests {
            0 => bar.inc(1),
            digests => bar.set_length(digests),
        },
    )
    .await;
    bar.finish_and_clear();
    if let Some(lake) = &lake {
        collected.pack();
        let batches = std::mem::take(&mut collected.batches);
        let recorded = record::append(lake, &tables::cloudtrail_digest::TABLE, batches, "verify", now).await;
        recorded.context("the verdicts are not recorded")?;
    }
    match arguments.format {
        Format::Json => println!("{}", as_json(&totals, &collected.findings)),
        Format::Text => print!("{}", as_text(&totals, &collected.findings)),
    }
    let clean = unlisted == 0 && totals.findings == 0;
    Ok(if clean { exit_code::OK } else { exit_code::INCOMPLETE })
}

fn progress() -> ProgressBar {
    let bar = ProgressBar::new(0);
    if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos}/{len} digests eta {eta}") {
        bar.set_style(style);
    }
    bar
}

fn as_json(totals: &Totals, findings: &[Verdict]) -> serde_json::Value {
    let finding = |one: &Verdict| {
        json!({
            "kind": one.kind.as_str(), "verdict": one.standing.as_str(), "location": one.location,
            "reason": one.reason, "object_id": one.object_id, "sha256": one.sha256,
            "expected_sha256": one.expected, "digest": one.digest,
        })
    };
    json!({
        "verdicts": totals.verdicts, "pending": totals.pending, "chains": totals.chains, "gaps": totals.gaps,
        "findings": findings.iter().map(finding).collect::<Vec<_>>(),
    })
}

fn as_text(totals: &Totals, findings: &[Verdict]) -> String {
    let mut out = String::new();
    // Writing into a String cannot fail.
    for finding in findings {
        let reason = finding.reason.as_deref().unwrap_or_default();
        let (kind, standing) = (finding.kind.as_str(), finding.standing.as_str());
        let _ = writeln!(out, "{standing:<10} {kind:<6} {}\n                  {reason}", finding.location);
    }
    for gap in &totals.gaps {
        let _ = writeln!(
            out,
            "gap        {} {} {}: {} to {}\n                  {}",
            gap.account, gap.region, gap.trail, gap.from, gap.to, gap.reason
        );
    }
    for (kind, name) in [(Kind::Digest, "digests"), (Kind::Log, "log files")] {
        let count = |standing| summary::grouped(totals.count(kind, standing));
        let _ = writeln!(
            out,
            "{name:<10} {} verified, {} unverified, {} invalid, {} missing",
            count(Standing::Verified),
            count(Standing::Unverified),
            count(Standing::Invalid),
            count(Standing::Missing)
        );
    }
    let _ = writeln!(
        out,
        "{} chains, {} gaps, {} log files wait for their digest",
        summary::grouped(totals.chains),
        totals.gaps.len(),
        summary::grouped(totals.pending)
    );
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_a_date_a_time_or_an_age() {
        assert_eq!(moment("2026-11-22"), moment("2026-11-22T00:00:00Z"));
        assert!(moment("1h").expect("an age") < Utc::now());
        assert!(moment("yesterday").is_err());
    }
}
