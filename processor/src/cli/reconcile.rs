//! `logq-processor reconcile`: what lies under a prefix and never came into the lake.

use super::backfill::{ChoiceArgs, config, ledger};
use super::{Common, Format, summary};
use crate::causes::describe;
use crate::discover::batches;
use crate::discover::walk::{Walk, WalkError};
use crate::exit_code;
use crate::ledger::Ledger;
use crate::metrics::Metrics;
use crate::pipeline::{Processor, Summary};
use crate::s3_client;
use crate::storage::{Candidate, Inputs, Lake};
use crate::stored::Room;
use anyhow::Result;
use clap::Args;
use futures::StreamExt;
use serde_json::json;
use std::sync::Arc;

/// Largest object that is hashed in memory.
const IDENTIFY_BYTES: u64 = 8 << 20;

/// Objects read at the same time to see whether their content is known.
const READS: usize = 16;

/// Missing objects that are named; more are counted.
const NAMED_MAX: usize = 1_000;

#[derive(Debug, Args)]
pub(super) struct ReconcileArgs {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    choice: ChoiceArgs,
    /// Take the missing objects in.
    #[arg(long)]
    take_in: bool,
    /// Do not read objects that look missing: one whose content came under another name counts as missing.
    #[arg(long, conflicts_with = "take_in")]
    by_name: bool,
    /// How the answer is printed.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// S3 prefixes or directories.
    #[arg(required = true, value_name = "PREFIX")]
    prefixes: Vec<String>,
}

#[derive(Default)]
struct Account {
    objects: u64,
    known: u64,
    missing: u64,
    missing_bytes: u64,
    named: Vec<String>,
    offline: u64,
    undated: u64,
    unreadable: u64,
    summary: Summary,
}

/// Who says what is known: the ledger alone, or the processor that takes the rest in.
enum Keeper {
    Look(Box<Ledger>),
    TakeIn(Box<Processor>),
}

impl Keeper {
    fn ledger(&self) -> &Ledger {
        match self {
            Keeper::Look(ledger) => ledger,
            Keeper::TakeIn(processor) => processor.ledger(),
        }
    }
}

pub(super) async fn run(arguments: ReconcileArgs) -> Result<u8> {
    let mut config = config(&arguments.common)?;
    config.ledger_days = None;
    let lake = Lake::open(&arguments.common.lake).await?;
    let client = s3_client::open().await;
    let exclude = lake.directory();
    let mut keeper = if arguments.take_in {
        Keeper::TakeIn(Box::new(Processor::open(lake, config, Arc::new(Metrics::default())).await?))
    } else {
        Keeper::Look(Box::new(ledger(&lake).await?))
    };
    let inputs = Inputs::default();
    let mut account = Account::default();
    for prefix in &arguments.prefixes {
        let mut walk = Walk::new(&client, prefix, arguments.choice.choice()?, None, exclude.clone());
        loop {
            let page = match walk.next().await {
                Ok(Some(page)) => page,
                Ok(None) => break,
                Err(WalkError::Storage(error)) => {
                    eprintln!("logq-processor: {}", describe(&error));
                    account.unreadable += 1;
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            account.objects += page.len() as u64;
            let mut lacking = Vec::new();
            for one in page {
                account.undated += u64::from(one.undated);
                if keeper.ledger().knows(&one.candidate) {
                    account.known += 1;
                } else if one.offline.is_some() {
                    account.offline += 1;
                    account.miss(&one.candidate);
                } else {
                    lacking.push(one.candidate);
                }
            }
            match &mut keeper {
                Keeper::Look(ledger) => look(&mut account, ledger, &inputs, lacking, arguments.by_name).await,
                Keeper::TakeIn(processor) => take_in(&mut account, processor, lacking).await?,
            }
        }
    }
    Ok(answer(&arguments, &account))
}

impl Account {
    fn miss(&mut self, candidate: &Candidate) {
        self.missing += 1;
        self.missing_bytes += candidate.stored_bytes;
        if self.named.len() < NAMED_MAX {
            self.named.push(candidate.place.location());
        }
    }
}

/// Content that came under another name is known, though no row of `ingest` bears this one.
async fn look(
    account: &mut Account,
    ledger: &Ledger,
    inputs: &Inputs,
    lacking: Vec<Candidate>,
    by_name: bool,
) {
    if by_name {
        lacking.iter().for_each(|one| account.miss(one));
        return;
    }
    let mut reads = futures::stream::iter(lacking)
        .map(|one| async move {
            // One at a time may be in memory; a larger object is hashed from its file.
            let read = inputs.identify(&one.place, &Room::new(IDENTIFY_BYTES)).await;
            (one, read.map(|(_, object_id)| object_id))
        })
        .buffered(READS);
    while let Some((one, read)) = reads.next().await {
        match read {
            Ok(id) if ledger.knows_content(&id) => account.known += 1,
            Ok(_) => account.miss(&one),
            Err(error) => {
                eprintln!("logq-processor: {}", describe(&error));
                account.unreadable += 1;
                account.miss(&one);
            }
        }
    }
}

async fn take_in(account: &mut Account, processor: &mut Processor, lacking: Vec<Candidate>) -> Result<()> {
    let (objects_max, bytes_max) =
        (processor.config().batch_objects_max, processor.config().batch_stored_bytes_max);
    for batch in batches(lacking, objects_max, bytes_max) {
        let outcome = processor.take_in(batch).await?;
        account.known += outcome.summary.objects_known;
        account.summary.add(&outcome.summary);
        for one in &outcome.unreadable {
            eprintln!("logq-processor: {}", describe(&one.error));
            account.unreadable += 1;
            account.missing += 1;
            if account.named.len() < NAMED_MAX {
                account.named.push(one.place.location());
            }
        }
    }
    Ok(())
}

fn answer(arguments: &ReconcileArgs, account: &Account) -> u8 {
    match arguments.format {
        Format::Json => println!(
            "{}",
            json!({
                "objects": account.objects,
                "known": account.known,
                "missing": account.missing,
                "missing_bytes": account.missing_bytes,
                "missing_objects": account.named,
                "taken_in": account.summary.objects,
                "records": account.summary.records,
                "rows": account.summary.rows,
                "archived": account.offline,
                "undated": account.undated,
                "unreadable": account.unreadable,
            })
        ),
        Format::Text => {
            for location in &account.named {
                println!("missing  {location}");
            }
            let more = account.missing.saturating_sub(account.named.len() as u64);
            if more > 0 {
                println!("missing  and {} more", summary::grouped(more));
            }
            println!(
                "{} objects: {} in the lake, {} taken in now, {} missing",
                summary::grouped(account.objects),
                summary::grouped(account.known),
                summary::grouped(account.summary.objects),
                summary::grouped(account.missing)
            );
            if account.offline > 0 {
                println!(
                    "{} of the missing are archived: restore them in S3 first",
                    summary::grouped(account.offline)
                );
            }
            if account.missing > account.offline && !arguments.take_in {
                println!("`reconcile --take-in` with the same options takes them in");
            }
        }
    }
    if account.missing > 0 || account.unreadable > 0 { exit_code::INCOMPLETE } else { exit_code::OK }
}
