//! `logq-processor run`.

use super::RunArgs;
use super::once::describe;
use crate::admin::{self, Health};
use crate::discover::batches;
use crate::discover::queue::{Message, Queue};
use crate::discover::watch::Watch;
use crate::exit_code;
use crate::metrics::Metrics;
use crate::pipeline::{Outcome, Processor, Unreadable};
use crate::storage::{Candidate, Lake, Place};
use anyhow::{Context, Result};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Pause after a failed batch or an unreachable queue; doubled up to a minute.
const BACKOFF: Duration = Duration::from_secs(1);
const BACKOFF_MAX: Duration = Duration::from_secs(60);

enum Source {
    Watch(Box<Watch>),
    Queue(Box<Queue>),
}

/// Takes in what comes until SIGTERM, SIGINT or idleness; finishes the batch in hand first.
pub(super) async fn run(arguments: RunArgs) -> Result<u8> {
    let mut config = arguments.common.config()?;
    if let Some(interval) = arguments.commit_interval {
        config.commit_interval = interval;
    }
    let stop = CancellationToken::new();
    let metrics = Arc::new(Metrics::default());
    let health = Arc::new(Health::default());
    let admin = arguments
        .admin
        .map(|address| tokio::spawn(admin::serve(address, metrics.clone(), health.clone(), stop.clone())));
    tokio::spawn(stop_on_signal(stop.clone()));

    let lake = Lake::open(&arguments.common.lake).await?;
    let exclude = lake.directory();
    let mut source = match arguments.sqs_queue_url {
        Some(url) => {
            let (lake, counters) = (lake.clone(), metrics.queue.clone());
            let queue = Queue::open(url, arguments.sqs_endpoint, config.visibility, lake, counters).await?;
            Source::Queue(Box::new(queue))
        }
        None => Source::Watch(Box::new(Watch::open(
            arguments.watch,
            exclude,
            config.settle,
            config.poll_interval,
        )?)),
    };
    let mut processor = Processor::open(lake, config, metrics).await?;
    health.set_ready();
    tracing::info!(path = arguments.common.lake, "taking in objects");

    let mut backoff = BACKOFF;
    while !stop.is_cancelled() {
        health.note_progress(chrono::Utc::now().timestamp());
        let turn = turn(&mut processor, &mut source, arguments.until_idle, &stop).await;
        match turn {
            Ok(Turn::Worked) => backoff = BACKOFF,
            Ok(Turn::Idle) if arguments.until_idle.is_some() => break,
            Ok(Turn::Idle) => {}
            Err(error) => {
                tracing::error!(error = format!("{error:#}"), retry_in = ?backoff, "batch failed, it is done again");
                tokio::select! {
                    () = tokio::time::sleep(backoff) => {}
                    () = stop.cancelled() => {}
                }
                backoff = (backoff * 2).min(BACKOFF_MAX);
                if let Err(error) = processor.recover().await {
                    tracing::error!(error = describe(&error), "recovery failed, it is tried again");
                }
            }
        }
    }
    stop.cancel();
    if let Some(admin) = admin {
        admin.await.context("the admin endpoint stopped unexpectedly")?.context("admin endpoint")?;
    }
    tracing::info!("stopped");
    Ok(exit_code::OK)
}

enum Turn {
    Worked,
    Idle,
}

async fn turn(
    processor: &mut Processor,
    source: &mut Source,
    patience: Option<Duration>,
    stop: &CancellationToken,
) -> Result<Turn> {
    let interval = processor.config().commit_interval;
    let (objects_max, bytes_max) =
        (processor.config().batch_objects_max, processor.config().batch_stored_bytes_max);
    match source {
        Source::Watch(watch) => {
            let found = watch.gather(interval, patience, stop).await;
            if found.is_empty() {
                return Ok(Turn::Idle);
            }
            let mut left = found.clone();
            let result = take_in(processor, found, objects_max, bytes_max).await;
            // What could not be read is looked at again; after a failed batch that is everything.
            if let Ok(outcome) = &result {
                left.retain(|one| is_among(&outcome.unreadable, &one.place));
            }
            left.iter().for_each(|one| watch.forget(&one.place));
            result?;
            if !left.is_empty() {
                tokio::time::sleep(processor.config().poll_interval).await;
            }
            Ok(Turn::Worked)
        }
        Source::Queue(queue) => {
            let messages = match queue.gather(interval, patience, objects_max, bytes_max, stop).await {
                Ok(messages) => messages,
                // The lake is as it was: there is nothing to recover, and the queue has waited already.
                Err(error) => {
                    tracing::warn!(%error, "the queue cannot be read, it is asked again");
                    return Ok(Turn::Worked);
                }
            };
            if messages.is_empty() {
                return Ok(Turn::Idle);
            }
            take_messages(processor, queue, &messages, objects_max, bytes_max).await?;
            Ok(Turn::Worked)
        }
    }
}

async fn take_messages(
    processor: &mut Processor,
    queue: &Queue,
    messages: &[Message],
    objects_max: usize,
    bytes_max: u64,
) -> Result<()> {
    let candidates: Vec<Candidate> =
        messages.iter().flat_map(|message| message.candidates.iter().cloned()).collect();
    let done = CancellationToken::new();
    let work = async {
        let outcome = take_in(processor, candidates, objects_max, bytes_max).await;
        done.cancel();
        outcome
    };
    let (outcome, ()) = tokio::join!(work, queue.keep_invisible(messages, done.clone()));
    let unreadable: Vec<Place> = outcome?.unreadable.into_iter().map(|one| one.place).collect();
    queue.delete(messages, &unreadable).await;
    Ok(())
}

fn is_among(unreadable: &[Unreadable], place: &Place) -> bool {
    unreadable.iter().any(|one| one.place.location() == place.location())
}

async fn take_in(
    processor: &mut Processor,
    candidates: Vec<Candidate>,
    objects_max: usize,
    bytes_max: u64,
) -> Result<Outcome> {
    let mut outcome = Outcome::default();
    for batch in batches(candidates, objects_max, bytes_max) {
        let done = processor.take_in(batch).await?;
        outcome.summary.add(&done.summary);
        outcome.unreadable.extend(done.unreadable);
    }
    for unreadable in &outcome.unreadable {
        tracing::warn!(error = describe(&unreadable.error), "input object cannot be read, left for later");
    }
    Ok(outcome)
}

pub(super) async fn stop_on_signal(stop: CancellationToken) {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut terminate), Ok(mut interrupt)) =
        (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        tracing::warn!("signals cannot be handled: only kill -9 stops this process");
        return;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tracing::info!("stopping after the batch in hand");
    stop.cancel();
}
