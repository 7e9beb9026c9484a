//! `logq-processor run`.

use super::RunArgs;
use crate::admin::{self, Health};
use crate::causes::describe;
use crate::config::Config;
use crate::discover::batches;
use crate::discover::cloudwatch::pull::Pull;
use crate::discover::queue::{Message, Queue};
use crate::discover::watch::Watch;
use crate::exit_code;
use crate::metrics::Metrics;
use crate::pipeline::{Outcome, Processor, Unreadable};
use crate::storage::{Candidate, Lake, Place};
use anyhow::{Context, Result, bail};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Pause after a failed batch or an unreachable queue; doubled up to a minute.
const BACKOFF: Duration = Duration::from_secs(1);
const BACKOFF_MAX: Duration = Duration::from_secs(60);

enum Source {
    Watch(Box<Watch>),
    Queue(Box<Queue>),
    CloudWatch(Box<Pull>),
}

/// What every turn works with.
struct Work {
    processor: Processor,
    metrics: Arc<Metrics>,
    health: Arc<Health>,
    patience: Option<Duration>,
    stop: CancellationToken,
}

fn now() -> i64 {
    chrono::Utc::now().timestamp()
}

/// Takes in what comes until SIGTERM, SIGINT or idleness; finishes the batch in hand first.
pub(super) async fn run(arguments: RunArgs) -> Result<u8> {
    let mut config = arguments.common.config()?;
    if let Some(interval) = arguments.commit_interval {
        config.commit_interval = interval;
    }
    let stop = CancellationToken::new();
    let metrics = Arc::new(Metrics::default());
    let health = Arc::new(Health::new(config.commit_interval, now()));
    let admin = arguments
        .admin
        .map(|address| tokio::spawn(admin::serve(address, metrics.clone(), health.clone(), stop.clone())));
    tokio::spawn(stop_on_signal(stop.clone(), config.shutdown_timeout));

    let lake = Lake::open(&arguments.common.lake).await?;
    let mut source = open_source(&arguments, &config, &lake, &metrics).await?;
    let processor = Processor::open(lake, config, metrics.clone()).await?;
    health.note_progress(now(), false);
    health.set_ready();
    tracing::info!(path = arguments.common.lake, "taking in objects");

    let patience = arguments.until_idle;
    let mut work = Work { processor, metrics, health, patience, stop: stop.clone() };
    let mut backoff = BACKOFF;
    while !stop.is_cancelled() {
        match work.turn(&mut source).await {
            Ok(Turn::Worked) => backoff = BACKOFF,
            Ok(Turn::Idle) => {
                work.health.note_progress(now(), false);
                if patience.is_some() {
                    break;
                }
            }
            Err(error) => {
                tracing::error!(error = format!("{error:#}"), retry_in = ?backoff, "batch failed, it is done again");
                tokio::select! {
                    () = tokio::time::sleep(backoff) => {}
                    () = stop.cancelled() => {}
                }
                backoff = (backoff * 2).min(BACKOFF_MAX);
                if let Err(error) = work.processor.recover().await {
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

async fn open_source(
    arguments: &RunArgs,
    config: &Config,
    lake: &Lake,
    metrics: &Arc<Metrics>,
) -> Result<Source> {
    if arguments.cloudwatch_logs {
        if config.cloudwatch_logs.is_empty() {
            bail!(
                "--cloudwatch-logs needs at least one [[cloudwatch_logs]] section in the file --config names"
            );
        }
        let pull = Pull::open(lake, &config.cloudwatch_logs, metrics.clone()).await;
        return Ok(Source::CloudWatch(Box::new(pull)));
    }
    if let Some(url) = &arguments.sqs_queue_url {
        let endpoint = arguments.sqs_endpoint.clone();
        let (lake, counters) = (lake.clone(), metrics.queue.clone());
        let queue = Queue::open(url.clone(), endpoint, config.visibility, lake, counters).await?;
        return Ok(Source::Queue(Box::new(queue)));
    }
    let watch = Watch::open(arguments.watch.clone(), lake.directory(), config.settle, config.poll_interval)?;
    Ok(Source::Watch(Box::new(watch)))
}

enum Turn {
    Worked,
    Idle,
}

impl Work {
    async fn turn(&mut self, source: &mut Source) -> Result<Turn> {
        let config = self.processor.config();
        let (interval, poll) = (config.commit_interval, config.poll_interval);
        let (objects_max, bytes_max) = (config.batch_objects_max, config.batch_stored_bytes_max);
        let (patience, stop) = (self.patience, self.stop.clone());
        match source {
            Source::Watch(watch) => {
                let found = watch.gather(interval, patience, &stop).await;
                if found.is_empty() {
                    return Ok(Turn::Idle);
                }
                let mut left = found.clone();
                let result = self.take_in(found).await;
                // What could not be read is looked at again; after a failed batch that is everything.
                if let Ok(outcome) = &result {
                    left.retain(|one| is_among(&outcome.unreadable, &one.place));
                }
                left.iter().for_each(|one| watch.forget(&one.place));
                result?;
                if !left.is_empty() {
                    tokio::time::sleep(poll).await;
                }
            }
            Source::Queue(queue) => {
                let messages = match queue.gather(interval, patience, objects_max, bytes_max, &stop).await {
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
                self.take_messages(queue, &messages).await?;
            }
            Source::CloudWatch(pull) => {
                let found = pull.gather(interval, patience, &stop).await;
                if found.is_empty() {
                    return Ok(Turn::Idle);
                }
                match self.take_in(found).await {
                    Ok(outcome) => {
                        let unreadable: Vec<Place> =
                            outcome.unreadable.into_iter().map(|one| one.place).collect();
                        pull.taken(&unreadable);
                        if !unreadable.is_empty() {
                            tokio::time::sleep(poll).await;
                        }
                    }
                    Err(error) => {
                        pull.again();
                        return Err(error);
                    }
                }
                pull.clean().await;
            }
        }
        Ok(Turn::Worked)
    }

    async fn take_messages(&mut self, queue: &Queue, messages: &[Message]) -> Result<()> {
        let candidates: Vec<Candidate> =
            messages.iter().flat_map(|message| message.candidates.iter().cloned()).collect();
        let done = CancellationToken::new();
        let work = async {
            let outcome = self.take_in(candidates).await;
            done.cancel();
            outcome
        };
        let (outcome, ()) = tokio::join!(work, queue.keep_invisible(messages, done.clone()));
        let unreadable: Vec<Place> = outcome?.unreadable.into_iter().map(|one| one.place).collect();
        queue.delete(messages, &unreadable).await;
        Ok(())
    }

    /// Takes candidates in, batch by batch; says on the way what still waits.
    async fn take_in(&mut self, candidates: Vec<Candidate>) -> Result<Outcome> {
        let mut outcome = Outcome::default();
        let config = self.processor.config();
        let (objects_max, bytes_max) = (config.batch_objects_max, config.batch_stored_bytes_max);
        let mut waiting = candidates.len() as u64;
        let oldest = candidates.iter().filter_map(|one| one.last_modified).min();
        let oldest = oldest.map(|micros| micros.div_euclid(1_000_000));
        self.health.note_work(now());
        self.metrics.set_waiting(waiting, oldest);
        for batch in batches(candidates, objects_max, bytes_max) {
            let objects = batch.len() as u64;
            let done = self.processor.take_in(batch).await?;
            waiting -= objects;
            self.metrics.set_waiting(waiting, oldest.filter(|_| waiting > 0));
            self.health.note_progress(now(), waiting > 0);
            outcome.summary.add(&done.summary);
            outcome.unreadable.extend(done.unreadable);
        }
        for unreadable in &outcome.unreadable {
            tracing::warn!(
                error = describe(&unreadable.error),
                "input object cannot be read, left for later"
            );
        }
        Ok(outcome)
    }
}

fn is_among(unreadable: &[Unreadable], place: &Place) -> bool {
    unreadable.iter().any(|one| one.place.location() == place.location())
}

/// The first signal asks to stop, and the time for it runs; the second ends at once. What is cut off is
/// taken up on the next start, as after a power failure.
pub(super) async fn stop_on_signal(stop: CancellationToken, limit: Duration) {
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
    tokio::select! {
        _ = terminate.recv() => tracing::warn!("second signal: ending at once"),
        _ = interrupt.recv() => tracing::warn!("second signal: ending at once"),
        () = tokio::time::sleep(limit) => {
            tracing::warn!(?limit, "the batch in hand takes too long: it is cut off and taken up on the next start");
        }
    }
    std::process::exit(i32::from(exit_code::FAILED));
}
