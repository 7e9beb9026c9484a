//! `logq-processor once`.

use super::{Format, OnceArgs, summary};
use crate::causes::describe;
use crate::discover::{batches, listing};
use crate::exit_code;
use crate::metrics::Metrics;
use crate::pipeline::{Outcome, Processor};
use crate::storage::{Candidate, Lake, Place};
use anyhow::{Result, bail};
use indicatif::{ProgressBar, ProgressStyle};
use std::sync::Arc;
use std::time::Instant;

/// Lists, takes in batch by batch, prints the summary.
pub(super) async fn run(arguments: OnceArgs) -> Result<u8> {
    let started = Instant::now();
    let mut config = arguments.common.config()?;
    // Old input may be given again after years: all of the ledger counts.
    config.ledger_days = None;
    let lake = Lake::open(&arguments.common.lake).await?;
    let directory = lake.directory();
    let excluded: Vec<_> =
        arguments.exclude.iter().filter_map(|path| std::path::absolute(path).ok()).collect();
    let mut processor = Processor::open(lake, config, Arc::new(Metrics::default())).await?;

    let mut found = Vec::new();
    let mut unlisted = 0_u64;
    for input in &arguments.inputs {
        let listing = listing::list(processor.inputs(), input, directory.as_deref()).await;
        for failure in &listing.failures {
            eprintln!("logq-processor: {}", describe(failure));
        }
        unlisted += listing.failures.len() as u64;
        found.extend(listing.candidates.into_iter().filter(|one| !is_excluded(one, &excluded)));
    }
    if found.is_empty() && unlisted > 0 {
        bail!("none of the inputs can be read: check the paths and permissions");
    }

    let bar = progress(found.iter().map(|one| one.stored_bytes).sum(), found.len());
    let mut outcome = Outcome::default();
    let (objects_max, bytes_max) =
        (processor.config().batch_objects_max, processor.config().batch_stored_bytes_max);
    for batch in batches(found, objects_max, bytes_max) {
        let bytes: u64 = batch.iter().map(|one| one.stored_bytes).sum();
        let done = processor.take_in(batch).await?;
        outcome.summary.add(&done.summary);
        outcome.unreadable.extend(done.unreadable);
        bar.inc(bytes);
        bar.set_message(format!("{} records", summary::grouped(outcome.summary.records)));
    }
    bar.finish_and_clear();

    for unreadable in &outcome.unreadable {
        eprintln!("logq-processor: {}", describe(&unreadable.error));
    }
    let failed = unlisted + outcome.unreadable.len() as u64;
    let seconds = started.elapsed().as_secs_f64();
    match arguments.format {
        Format::Json => println!("{}", summary::json(&outcome.summary, failed, seconds)),
        Format::Text => {
            print!("{}", summary::text(&outcome.summary, failed, seconds, &arguments.common.lake))
        }
    }
    Ok(if failed > 0 { exit_code::INCOMPLETE } else { exit_code::OK })
}

fn is_excluded(candidate: &Candidate, excluded: &[std::path::PathBuf]) -> bool {
    let Place::File(path) = &candidate.place else { return false };
    excluded.iter().any(|prefix| path.starts_with(prefix))
}

fn progress(bytes: u64, objects: usize) -> ProgressBar {
    // Only worth showing when there is something to wait for; indicatif hides it off a terminal.
    if objects < 2 {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(bytes);
    let style = "{bar:30} {bytes}/{total_bytes} {bytes_per_sec} eta {eta} {msg}";
    if let Ok(style) = ProgressStyle::with_template(style) {
        bar.set_style(style);
    }
    bar
}
