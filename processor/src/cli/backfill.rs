//! `logq-processor backfill`.

use super::{Common, Format, summary};
use crate::backfill::{Asked, Progress};
use crate::causes::describe;
use crate::claims::Claims;
use crate::config::{Config, shard};
use crate::discover::choice::Choice;
use crate::discover::days::Days;
use crate::discover::walk::{Found, Walk, WalkError};
use crate::exit_code;
use crate::lake::table::LakeTable;
use crate::ledger::Ledger;
use crate::metrics::Metrics;
use crate::pipeline::{Processor, Summary};
use crate::s3_client;
use crate::storage::{Candidate, Lake};
use anyhow::Result;
use aws_sdk_s3::Client;
use chrono::NaiveDate;
use clap::Args;
use logq_schemas::tables;
use serde_json::json;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;
use tokio_util::sync::CancellationToken;

mod meter;
use meter::Meter;

/// Which objects of the prefixes.
#[derive(Debug, Args)]
pub(super) struct ChoiceArgs {
    /// Only keys of this UTC day or later, where the key shows a day.
    #[arg(long, value_name = "YYYY-MM-DD")]
    pub since: Option<NaiveDate>,
    /// Only keys of this UTC day or earlier, where the key shows a day.
    #[arg(long, value_name = "YYYY-MM-DD")]
    pub until: Option<NaiveDate>,
    /// Only objects that match this pattern, held against what follows the prefix. May be given several times.
    #[arg(long, value_name = "PATTERN")]
    pub include: Vec<String>,
    /// Not the objects that match this pattern. May be given several times.
    #[arg(long, value_name = "PATTERN")]
    pub exclude: Vec<String>,
}

impl ChoiceArgs {
    pub fn choice(&self) -> Result<Choice> {
        let days = Days { since: self.since, until: self.until };
        if let (Some(since), Some(until)) = (self.since, self.until)
            && since > until
        {
            anyhow::bail!("--since {since} lies after --until {until}");
        }
        Ok(Choice::new(days, &self.include, &self.exclude)?)
    }
}

#[derive(Debug, Args)]
pub(super) struct BackfillArgs {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    choice: ChoiceArgs,
    /// Objects read at the same time.
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u16).range(1..=1024))]
    concurrency: Option<u16>,
    /// Only count what would be taken in.
    #[arg(long)]
    dry_run: bool,
    /// How the summary is printed.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// S3 prefixes or directories.
    #[arg(required = true, value_name = "PREFIX")]
    prefixes: Vec<String>,
}

/// The configuration under a shard name of its own: the processor that `run`s has the plain one, and two
/// processors must not share a name.
pub(super) fn config(common: &Common) -> Result<Config> {
    let config = common.config()?;
    if common.shard.is_some() {
        return Ok(config);
    }
    let shard = shard(format!("{}-backfill", config.shard))?;
    Ok(Config { shard, ..config })
}

/// What was not taken in, by reason.
#[derive(Debug, Default)]
pub(super) struct Left {
    pub unreadable: u64,
    pub offline: u64,
    pub undated: u64,
}

pub(super) async fn run(arguments: BackfillArgs) -> Result<u8> {
    let lake = Lake::open(&arguments.common.lake).await?;
    let client = s3_client::open().await;
    if arguments.dry_run {
        dry_run(&arguments, &lake, &client).await
    } else {
        take_in(&arguments, lake, &client).await
    }
}

async fn take_in(arguments: &BackfillArgs, lake: Lake, client: &Client) -> Result<u8> {
    let started = Instant::now();
    let mut config = config(&arguments.common)?;
    // Objects may be years old: all of the ledger counts.
    config.ledger_days = None;
    if let Some(concurrency) = arguments.concurrency {
        config.reads_max = usize::from(concurrency);
    }
    let stop = CancellationToken::new();
    tokio::spawn(super::run::stop_on_signal(stop.clone(), config.shutdown_timeout));
    let mut processor = Processor::open(lake.clone(), config, Arc::new(Metrics::default())).await?;
    let mut run = Run {
        lake,
        client: client.clone(),
        processor: &mut processor,
        summary: Summary::default(),
        left: Left::default(),
        meter: Meter::start(client, &arguments.prefixes, &arguments.choice.choice()?),
        stop: stop.clone(),
    };
    for prefix in &arguments.prefixes {
        run.prefix(prefix, &arguments.choice).await?;
    }
    run.meter.finish();
    let (summary, left) = (run.summary, run.left);
    let failed = left.unreadable + left.offline;
    let seconds = started.elapsed().as_secs_f64();
    match arguments.format {
        Format::Json => {
            let mut value = summary::json(&summary, left.unreadable, seconds);
            value["archived"] = json!(left.offline);
            value["undated"] = json!(left.undated);
            value["stopped"] = json!(stop.is_cancelled());
            println!("{value}");
        }
        Format::Text => {
            print!("{}", summary::text(&summary, left.unreadable, seconds, &arguments.common.lake));
            print!("{}", left.text());
            if stop.is_cancelled() {
                println!("stopped: the same command goes on from here");
            }
        }
    }
    Ok(if failed > 0 || stop.is_cancelled() { exit_code::INCOMPLETE } else { exit_code::OK })
}

impl Left {
    pub fn text(&self) -> String {
        let mut out = String::new();
        if self.offline > 0 {
            out += &format!(
                "{} objects are archived and must be restored in S3 before they can be read\n",
                summary::grouped(self.offline)
            );
        }
        if self.undated > 0 {
            out += &format!(
                "{} objects show no day in their key and were not held against --since and --until\n",
                summary::grouped(self.undated)
            );
        }
        out
    }
}

struct Run<'p> {
    lake: Lake,
    client: Client,
    processor: &'p mut Processor,
    summary: Summary,
    left: Left,
    meter: Meter,
    stop: CancellationToken,
}

impl Run<'_> {
    async fn prefix(&mut self, prefix: &str, choice: &ChoiceArgs) -> Result<()> {
        let asked = Asked {
            location: prefix.to_owned(),
            since: choice.since,
            until: choice.until,
            include: choice.include.clone(),
            exclude: choice.exclude.clone(),
        };
        let mut progress = Progress::open(&self.lake, asked).await?;
        if progress.resumed {
            tracing::info!(
                path = prefix,
                objects = progress.note.objects,
                "going on where an earlier run stopped"
            );
            self.meter.passed(progress.note.objects, progress.note.bytes);
            self.again(&mut progress).await?;
        }
        let after = progress.note.after.clone();
        let mut walk = Walk::new(&self.client, prefix, choice.choice()?, after, self.lake.directory());
        let mut waiting: Vec<Found> = Vec::new();
        loop {
            if self.stop.is_cancelled() {
                return Ok(());
            }
            match walk.next().await {
                Ok(Some(page)) => waiting.extend(page),
                Ok(None) => break,
                // One file or folder; the walk goes on behind it.
                Err(WalkError::Storage(error)) => {
                    eprintln!("logq-processor: {}", describe(&error));
                    self.left.unreadable += 1;
                }
                Err(error) => return Err(error.into()),
            }
            self.batches(&mut waiting, &mut progress, false).await?;
        }
        self.batches(&mut waiting, &mut progress, true).await?;
        if self.stop.is_cancelled() {
            return Ok(());
        }
        Ok(progress.finish().await?)
    }

    /// Tries once more what an earlier run could not read.
    async fn again(&mut self, progress: &mut Progress) -> Result<()> {
        use crate::storage::Place;
        let candidate = |location: &String| Candidate {
            place: Place::from_location(location),
            stored_bytes: 0,
            last_modified: None,
            etag: None,
        };
        let candidates: Vec<Candidate> =
            std::mem::take(&mut progress.note.unreadable).iter().map(candidate).collect();
        let objects_max = self.processor.config().batch_objects_max;
        for group in candidates.chunks(objects_max) {
            let unreadable = self.take(group.to_vec()).await?;
            progress.note.unreadable.extend(unreadable);
        }
        Ok(())
    }

    /// Takes full batches off the front of `waiting`; at the end also what is left.
    async fn batches(&mut self, waiting: &mut Vec<Found>, progress: &mut Progress, end: bool) -> Result<()> {
        let (objects_max, bytes_max) =
            (self.processor.config().batch_objects_max, self.processor.config().batch_stored_bytes_max);
        while !self.stop.is_cancelled() {
            let mut bytes = 0_u64;
            let fits = waiting.iter().take(objects_max).take_while(|one| {
                let first = bytes == 0;
                bytes = bytes.saturating_add(one.candidate.stored_bytes);
                first || bytes <= bytes_max
            });
            let count = fits.count();
            let full = count >= objects_max || count < waiting.len();
            if count == 0 || !(full || end) {
                return Ok(());
            }
            let batch: Vec<Found> = waiting.drain(..count).collect();
            let last = batch.last().map(|one| one.key.clone()).unwrap_or_default();
            let bytes = batch.iter().map(|one| one.candidate.stored_bytes).sum();
            self.left.undated += batch.iter().filter(|one| one.undated).count() as u64;
            let (offline, online): (Vec<Found>, Vec<Found>) =
                batch.into_iter().partition(|one| one.offline.is_some());
            let mut unreadable = Vec::new();
            for one in &offline {
                let class = one.offline.map_or("", |class| class.as_str());
                eprintln!(
                    "logq-processor: {} is in {class}: restore it first",
                    one.candidate.place.location()
                );
                unreadable.push(one.candidate.place.location());
            }
            self.left.offline += offline.len() as u64;
            unreadable.extend(self.take(online.into_iter().map(|one| one.candidate).collect()).await?);
            progress.advance(last, count as u64, bytes, unreadable).await?;
            self.meter.add(count as u64, bytes, &self.summary);
        }
        Ok(())
    }

    /// Gives the locations that could not be read.
    async fn take(&mut self, candidates: Vec<Candidate>) -> Result<Vec<String>> {
        if candidates.is_empty() {
            return Ok(Vec::new());
        }
        let outcome = self.processor.take_in(candidates).await?;
        self.summary.add(&outcome.summary);
        self.left.unreadable += outcome.unreadable.len() as u64;
        for one in &outcome.unreadable {
            eprintln!("logq-processor: {}", describe(&one.error));
        }
        Ok(outcome.unreadable.into_iter().map(|one| one.place.location()).collect())
    }
}

/// The ledger of a lake without taking its shard: for looking only.
pub(super) async fn ledger(lake: &Lake) -> Result<Ledger> {
    let mut ledger = Ledger::load(&LakeTable::open(lake, &tables::ingest::TABLE).await?, None).await?;
    let (_, claims) = Claims::open(lake, "looking-only").await?;
    for object in claims.iter().flat_map(|claim| &claim.objects) {
        ledger.insert(object);
    }
    Ok(ledger)
}

async fn dry_run(arguments: &BackfillArgs, lake: &Lake, client: &Client) -> Result<u8> {
    let ledger = ledger(lake).await?;
    let exclude: Option<PathBuf> = lake.directory();
    let mut left = Left::default();
    let (mut objects, mut bytes, mut known) = (0_u64, 0_u64, 0_u64);
    for prefix in &arguments.prefixes {
        let mut walk = Walk::new(client, prefix, arguments.choice.choice()?, None, exclude.clone());
        loop {
            let page = match walk.next().await {
                Ok(Some(page)) => page,
                Ok(None) => break,
                Err(WalkError::Storage(error)) => {
                    eprintln!("logq-processor: {}", describe(&error));
                    left.unreadable += 1;
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            for one in page {
                left.undated += u64::from(one.undated);
                if ledger.knows(&one.candidate) {
                    known += 1;
                } else if one.offline.is_some() {
                    left.offline += 1;
                } else {
                    objects += 1;
                    bytes += one.candidate.stored_bytes;
                }
            }
        }
    }
    match arguments.format {
        Format::Json => println!(
            "{}",
            json!({
                "dry_run": true, "objects": objects, "stored_bytes": bytes, "objects_known": known,
                "archived": left.offline, "undated": left.undated, "unreadable": left.unreadable,
            })
        ),
        Format::Text => {
            println!(
                "{} objects with {} would be read, {} are in the lake already",
                summary::grouped(objects),
                indicatif::HumanBytes(bytes),
                summary::grouped(known)
            );
            print!("{}", left.text());
        }
    }
    Ok(if left.unreadable + left.offline > 0 { exit_code::INCOMPLETE } else { exit_code::OK })
}
