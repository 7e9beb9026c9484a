//! `logq-processor seal`.

use super::Format;
use super::days::{DayArgs, LakeArgs, Outcome, Site, count, days, progress};
use crate::config::storage_class;
use crate::exit_code;
use crate::lake::archive::Archive;
use crate::lake::raw::{Packed, pack_day};
use crate::lake::seal::{Sealed, seal_day};
use crate::storage::Inputs;
use anyhow::{Context, Result, bail};
use clap::Args;
use indicatif::HumanBytes;
use logq_schemas::tables;
use serde_json::json;

#[derive(Debug, Args)]
pub(super) struct SealArgs {
    #[command(flatten)]
    lake: LakeArgs,
    #[command(flatten)]
    days: DayArgs,
    /// Where the archive is: a directory or s3://bucket/prefix; `archive` below the lake by default.
    #[arg(long, value_name = "DIR|URL")]
    archive: Option<String>,
    /// S3 storage class of archived files, such as GLACIER_IR.
    #[arg(long, value_name = "CLASS")]
    storage_class: Option<String>,
    /// Do not pack the original CloudTrail objects.
    #[arg(long)]
    no_raw: bool,
}

/// Seals day by day, then packs the originals of the days that are sealed.
pub(super) async fn run(arguments: SealArgs) -> Result<u8> {
    let site = Site::open(&arguments.lake).await?;
    let settings = &site.config.maintenance;
    let mut storing = settings.storing.clone();
    if let Some(class) = arguments.storage_class {
        storing.storage_class = Some(storage_class(class)?);
    }
    let location = arguments.archive.as_deref().or(settings.archive.as_deref());
    let archive = Archive::open(&site.lake, location, storing).await?;
    let wait = chrono::TimeDelta::from_std(settings.seal_after).context("seal_after is too long")?;
    let now = chrono::Utc::now();
    // The first day that may not be sealed: of the default, and of what is asked for by name.
    let (open, today) = ((now - wait).date_naive().to_string(), now.date_naive().to_string());
    if let Some(date) = arguments.days.date
        && date.to_string() >= today
    {
        bail!("{date} is not over (UTC): a day can be sealed from the next day on");
    }
    let named = arguments.days.date.is_some() || arguments.days.before.is_some();
    let bound = if named { today } else { open };

    let mut sealed = Outcome::new();
    let mut packed = Outcome::new();
    let inputs = Inputs::default();
    for mut table in site.tables().await? {
        let name = table.schema().name;
        let days = days(&table, |day| day < bound.as_str() && arguments.days.takes(day))?;
        let bar = progress(days.len());
        for day in days {
            bar.set_message(format!("{name} {day}"));
            let what = format!("{name} {day}");
            sealed.note(&what, seal_day(&site.lake, &archive, &mut table, &day, settings.sizes()).await);
            if name == tables::cloudtrail::TABLE.name && !arguments.no_raw {
                let done = pack_day(&site.lake, &archive, &inputs, &day, settings.pack_sizes()).await;
                packed.note(&format!("originals of {day}"), done);
            }
            bar.inc(1);
        }
        bar.finish_and_clear();
    }
    report(arguments.lake.format, &archive, &sealed, &packed)?;
    let absent = packed.done.iter().any(|one: &Packed| !one.absent.is_empty());
    let failed = !sealed.failed.is_empty() || !packed.failed.is_empty() || absent;
    Ok(if failed { exit_code::INCOMPLETE } else { exit_code::OK })
}

fn report(
    format: Format,
    archive: &Archive,
    sealed: &Outcome<Sealed>,
    packed: &Outcome<Packed>,
) -> Result<()> {
    for absent in packed.done.iter().flat_map(|one| &one.absent) {
        eprintln!("logq-processor: original {} is not in a pack: {}", absent.location, absent.reason);
    }
    if format == Format::Json {
        println!("{}", json!({ "archive": archive.url(), "sealed": sealed, "packed": packed }));
        return Ok(());
    }
    let lines = packed.done.iter().filter_map(packed_line);
    let lines: Vec<String> = sealed.done.iter().filter_map(sealed_line).chain(lines).collect();
    lines.iter().for_each(|line| println!("{line}"));
    if lines.is_empty() && sealed.failed.is_empty() && packed.failed.is_empty() {
        println!("nothing new to seal");
    }
    Ok(())
}

fn sealed_line(one: &Sealed) -> Option<String> {
    if one.manifests.is_empty() {
        return None;
    }
    let mut line = format!(
        "{} {}: {} in {}, {}",
        one.table,
        one.day,
        count(one.rows, "row"),
        count(one.files, "file"),
        HumanBytes(one.bytes)
    );
    if one.duplicates_removed > 0 {
        line.push_str(&format!(", {} removed", count(one.duplicates_removed, "repeat")));
    }
    if one.conflicts_kept > 0 {
        let rows = count(one.conflicts_kept, "row");
        line.push_str(&format!(", {rows} kept that share an identity with another"));
    }
    if one.files_open > 0 {
        line.push_str(&format!(", {} left for a supplement", count(one.files_open, "file")));
    }
    if one.manifests.iter().any(|number| *number > 1) {
        line.push_str(" (supplement)");
    }
    Some(line)
}

fn packed_line(one: &Packed) -> Option<String> {
    (one.packs > 0 || !one.absent.is_empty() || one.large > 0).then(|| {
        let mut line = format!(
            "originals of {}: {} in {}, {}",
            one.day,
            count(one.members, "object"),
            count(one.packs, "pack"),
            HumanBytes(one.bytes)
        );
        if one.large > 0 {
            line.push_str(&format!(", {} too large to need packing", one.large));
        }
        if !one.absent.is_empty() {
            line.push_str(&format!(", {} not packed (named above)", one.absent.len()));
        }
        line
    })
}
