//! `logq-processor vacuum`.

use super::Format;
use super::days::{LakeArgs, Outcome, Site, count};
use crate::exit_code;
use crate::lake::vacuum::{Options, RETENTION, Vacuumed, vacuum};
use anyhow::{Context, Result};
use clap::Args;
use std::time::Duration;

#[derive(Debug, Args)]
pub(super) struct VacuumArgs {
    #[command(flatten)]
    lake: LakeArgs,
    /// How long files stay that no current version needs, such as `7d`.
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    retention: Option<Duration>,
    /// Take a retention under a day: running queries and writers may lose their files.
    #[arg(long)]
    allow_short_retention: bool,
    /// Only name the files that would be deleted.
    #[arg(long)]
    dry_run: bool,
}

/// Vacuums table by table.
pub(super) async fn run(arguments: VacuumArgs) -> Result<u8> {
    let site = Site::open(&arguments.lake).await?;
    let retention = match arguments.retention {
        Some(retention) => chrono::TimeDelta::from_std(retention).context("the retention is too long")?,
        None => RETENTION,
    };
    let options =
        Options { retention, allow_short: arguments.allow_short_retention, dry_run: arguments.dry_run };
    let mut outcome = Outcome::new();
    for mut table in site.tables().await? {
        let name = table.schema().name;
        outcome.note(name, vacuum(&mut table, options).await);
    }
    if arguments.dry_run && arguments.lake.format == Format::Text {
        for one in &outcome.done {
            let one: &Vacuumed = one;
            one.files.iter().for_each(|file| println!("{}/{file}", one.table));
        }
    }
    outcome.print(arguments.lake.format, line, "")?;
    Ok(if outcome.failed.is_empty() { exit_code::OK } else { exit_code::INCOMPLETE })
}

fn line(one: &Vacuumed) -> Option<String> {
    let files = count(one.files.len() as u64, "file");
    Some(match one.dry_run {
        true => format!("{}: {files} would be deleted", one.table),
        false => format!("{}: {files} deleted, {} of the log", one.table, count(one.log_files, "file")),
    })
}
