//! `loggen`: writes a corpus of realistic logs.

use anyhow::{Context, Result, bail};
use chrono::{DateTime, Utc};
use clap::Parser;
use logq_tests::loggen::vpc_flow::Layout;
use logq_tests::loggen::{Architecture, Plan, corpus};
use std::io::Write;
use std::path::PathBuf;

/// Writes realistic CloudTrail objects, VPC flow logs and container logs with planted, labelled
/// attacks. The same options give the same bytes.
///
/// OUT/AWSLogs/… holds the objects under the keys AWS uses, OUT/pods/… the container logs,
/// OUT/labels.jsonl the planted attacks, OUT/manifest.json the exact counts.
#[derive(Debug, Parser)]
#[command(version)]
struct Options {
    /// Folder to write to; created when missing, must be empty.
    #[arg(long)]
    out: PathBuf,
    /// Every random value derives from it.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// CloudTrail events.
    #[arg(long, default_value_t = 20_000)]
    cloudtrail: u64,
    /// Flow records.
    #[arg(long, default_value_t = 100_000)]
    flows: u64,
    /// Container log records.
    #[arg(long, default_value_t = 30_000)]
    lines: u64,
    /// Hours covered.
    #[arg(long, default_value_t = 24.0)]
    hours: f64,
    /// End of the covered time, RFC 3339. Fixed by default so that the output is reproducible.
    #[arg(long, default_value = "2026-11-22T00:00:00Z")]
    end: DateTime<Utc>,
    /// Reference network.
    #[arg(long, value_enum, ignore_case = true, default_value_t = Architecture::A)]
    architecture: Architecture,
    /// Columns of the flow logs.
    #[arg(long, value_enum, ignore_case = true, default_value_t = Layout::V5)]
    flow_layout: Layout,
    /// Size of the planted attacks; 0 plants none.
    #[arg(long, default_value_t = 1.0)]
    attacks: f64,
}

fn main() -> Result<()> {
    let options = Options::parse();
    if options.hours.is_nan() || options.hours <= 0.0 {
        bail!("--hours must be above 0");
    }
    if std::fs::read_dir(&options.out).is_ok_and(|mut entries| entries.next().is_some()) {
        bail!("{} is not empty: name a new folder", options.out.display());
    }
    let end = options.end.timestamp();
    let plan = Plan {
        seed: options.seed,
        start: end - (options.hours * 3_600.0) as i64,
        end,
        cloudtrail: options.cloudtrail,
        flows: options.flows,
        lines: options.lines,
        architecture: options.architecture,
        attacks: options.attacks.max(0.0),
    };
    let manifest = corpus::write(&plan, options.flow_layout, &options.out)
        .with_context(|| format!("the corpus in {} is incomplete", options.out.display()))?;
    // A reader that has seen enough is no error.
    match writeln!(std::io::stdout(), "{}", serde_json::to_string_pretty(&manifest)?) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}
