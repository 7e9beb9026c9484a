//! `logq-processor compact`.

use super::days::{DayArgs, LakeArgs, Outcome, Site, count, days, progress};
use crate::exit_code;
use crate::lake::compact::{Compacted, compact_day};
use anyhow::Result;
use clap::Args;
use indicatif::HumanBytes;

#[derive(Debug, Args)]
pub(super) struct CompactArgs {
    #[command(flatten)]
    lake: LakeArgs,
    #[command(flatten)]
    days: DayArgs,
}

/// Compacts day by day; a processor may go on meanwhile.
pub(super) async fn run(arguments: CompactArgs) -> Result<u8> {
    let site = Site::open(&arguments.lake).await?;
    let sizes = site.config.maintenance.sizes();
    let mut outcome = Outcome::new();
    for mut table in site.tables().await? {
        let name = table.schema().name;
        let days = days(&table, |day| arguments.days.takes(day))?;
        let bar = progress(days.len());
        for day in days {
            bar.set_message(format!("{name} {day}"));
            outcome.note(&format!("{name} {day}"), compact_day(&site.lake, &mut table, &day, sizes).await);
            bar.inc(1);
        }
        bar.finish_and_clear();
    }
    outcome.print(arguments.lake.format, line, "nothing to compact")?;
    let lost = outcome.done.iter().any(|one: &Compacted| one.lost);
    Ok(if outcome.failed.is_empty() && !lost { exit_code::OK } else { exit_code::INCOMPLETE })
}

fn line(one: &Compacted) -> Option<String> {
    if one.lost {
        return Some(format!(
            "{} {}: another program rewrites its files; nothing was changed, run it again",
            one.table, one.day
        ));
    }
    (one.files_before > 0).then(|| {
        format!(
            "{} {}: {} became {}, {}, {} -> {}",
            one.table,
            one.day,
            count(one.files_before, "file"),
            count(one.files_after, "file"),
            count(one.rows, "row"),
            HumanBytes(one.bytes_before),
            HumanBytes(one.bytes_after)
        )
    })
}
