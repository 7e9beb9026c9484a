//! `logq-processor expire`.

use super::days::{LakeArgs, Outcome, Site, count};
use crate::exit_code;
use crate::lake::archive::{Archive, Storing};
use crate::lake::expire::{Expired, Proof, days_before, expire_day, may_expire};
use anyhow::{Context, Result};
use clap::{Args, ValueEnum};
use indicatif::HumanBytes;

#[derive(Debug, Args)]
pub(super) struct ExpireArgs {
    #[command(flatten)]
    lake: LakeArgs,
    /// Days the tables keep, today not counted.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    hot_days: u32,
    /// Where the archive is: a directory or s3://bucket/prefix; `archive` below the lake by default.
    #[arg(long, value_name = "DIR|URL")]
    archive: Option<String>,
    /// How the archive is proved to hold a day before it leaves the table.
    #[arg(long, value_enum, default_value_t = ProofArg::Hash, conflicts_with = "unsealed_too")]
    proof: ProofArg,
    /// Drop days the archive does not hold: their rows are gone once the table is vacuumed.
    #[arg(long)]
    unsealed_too: bool,
    /// Only say what would be dropped.
    #[arg(long)]
    dry_run: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ProofArg {
    /// Read and hash every archived file.
    Hash,
    /// Look that every archived file is there with its size: for offline storage classes.
    Size,
}

/// Drops the days that are old enough and proved to be in the archive.
pub(super) async fn run(arguments: ExpireArgs) -> Result<u8> {
    let site = Site::open(&arguments.lake).await?;
    let location = arguments.archive.as_deref().or(site.config.maintenance.archive.as_deref());
    let archive = Archive::open(&site.lake, location, Storing::default()).await?;
    let proof = match (arguments.unsealed_too, arguments.proof) {
        (true, _) => Proof::None,
        (false, ProofArg::Hash) => Proof::Hash,
        (false, ProofArg::Size) => Proof::Size,
    };
    let today = chrono::Utc::now().date_naive();
    let before = today
        .checked_sub_days(chrono::Days::new(arguments.hot_days.into()))
        .context("that many days ago there was no calendar")?
        .to_string();
    let mut outcome = Outcome::new();
    for mut table in site.tables().await?.into_iter().filter(|table| may_expire(table.schema())) {
        let name = table.schema().name;
        for day in days_before(&table, &before)? {
            let done = expire_day(&mut table, &archive, &day, proof, arguments.dry_run).await;
            outcome.note(&format!("{name} {day}"), done);
        }
    }
    let nothing = format!("no day before {before} is in the tables");
    outcome.print(arguments.lake.format, |one| line(one, arguments.dry_run), &nothing)?;
    let refused = outcome.done.iter().any(|one: &Expired| one.refused.is_some());
    Ok(if outcome.failed.is_empty() && !refused { exit_code::OK } else { exit_code::INCOMPLETE })
}

fn line(one: &Expired, dry_run: bool) -> Option<String> {
    if let Some(reason) = &one.refused {
        return Some(format!("{} {}: kept, {reason}", one.table, one.day));
    }
    Some(format!(
        "{} {}: {} {}, {}, {}",
        one.table,
        one.day,
        if dry_run { "would drop" } else { "dropped" },
        count(one.rows, "row"),
        count(one.files, "file"),
        HumanBytes(one.bytes)
    ))
}
