//! Every thread, task, queue and limit of the collector, on one screen.
//!
//! ```text
//! thread source-<name>   one per source        files → batches → transforms → lanes
//!   ▼ channel: 2 batches of about batch.max_bytes   (empty ones return the same way)
//! thread spool                                 batches → frames → sealed segments
//!   ▼ directory: at most spool.max_bytes
//! task sink-<name>       one per sink          segments → requests, acknowledged in order, forever retried
//! task admin                                   /metrics /healthz /readyz
//! task tap               4 viewers × 64 records    <data_dir>/tap/socket
//! ```
//!
//! What all of it takes of the memory, and what holds it below a ceiling: [`crate::memory`].
//!
//! Stopping: the token stops the sources; they hand over what they have and drop their end of the
//! channel; the spool thread stores it, seals and closes; sinks deliver what is left until
//! `shutdown_timeout`, then the rest waits in the spool.

use crate::admin;
use crate::config::{Buffer, ByteSize, Config, ConfigError};
use crate::graph::{self, Graph};
use crate::memory::{self, Room, Shares};
use crate::metrics::Metrics;
use crate::sinks;
use crate::sources;
use crate::spool::{self, Spool, SpoolError};
use crate::tap;
use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::sync_channel;
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinHandle as JoinTask;
use tokio_util::sync::CancellationToken;

/// Batches between a source and the spool: one being written while the next waits. More would only
/// hide that the spool is slower.
const QUEUE_BATCHES: usize = 2;

/// Why the collector could not run.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The spool can't be used.
    #[error(transparent)]
    Spool(#[from] SpoolError),
    /// A transform can't be set up.
    #[error("transforms.{name}: {message}")]
    Transform {
        /// Its name.
        name: String,
        /// What is wrong and what to do.
        message: String,
    },
    /// A sink can't be set up.
    #[error(transparent)]
    Sink(#[from] sinks::SetupError),
    /// The admin address can't be bound.
    #[error("admin address {address}: can't listen")]
    Admin {
        /// The configured address.
        address: std::net::SocketAddr,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A thread or signal handler can't be set up.
    #[error("starting {what}")]
    Start {
        /// What was started.
        what: &'static str,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// Reading ended, but a sink did not take everything in time.
    #[error("not everything was delivered within shutdown_timeout; it is in the spool, run again")]
    Undelivered,
    /// A source ended by a panic, so what it had to read may not all have been read.
    #[error("a source ended early; the log says why")]
    SourceEnded,
    /// The spool's thread failed.
    #[error("spool thread ended early; the log says why")]
    SpoolEnded,
}

impl RunError {
    /// The data directory is in use.
    pub fn is_locked(&self) -> bool {
        matches!(self, Self::Spool(SpoolError::Locked { .. }))
    }
}

/// How a run ended.
enum Ended {
    /// By a signal, or idle.
    Done,
    /// A new configuration is to be taken over.
    Reload(Box<Config>),
}

/// Time sinks get to finish what they are at before a new configuration takes over. What is not
/// delivered by then stays in the spool.
const RELOAD_GRACE: Duration = Duration::from_secs(5);

/// Runs the collector until a signal, or until it was idle for `until_idle`. On SIGHUP `reload` is
/// asked for the configuration: a good one takes over, with positions and spool as they are; a bad
/// one is reported and changes nothing.
///
/// # Errors
/// When something can't be set up. Once running it only ends by request.
pub async fn run(
    config: Config,
    until_idle: Option<Duration>,
    reload: impl Fn() -> Result<Config, ConfigError>,
) -> Result<(), RunError> {
    let mut signals = Signals::new()?;
    let mut config = config;
    loop {
        match run_once(config, until_idle, &mut signals, &reload).await? {
            Ended::Done => return Ok(()),
            Ended::Reload(next) => config = *next,
        }
        tracing::info!("new configuration taken over");
    }
}

async fn run_once(
    config: Config,
    until_idle: Option<Duration>,
    signals: &mut Signals,
    reload: &impl Fn() -> Result<Config, ConfigError>,
) -> Result<Ended, RunError> {
    let metrics = Arc::new(Metrics::default().with_sinks(config.sinks.keys().map(String::as_str)));
    let shares = shares(&config, &metrics);
    let graph = Graph::build(&config, metrics.clone())
        .map_err(|(name, message)| RunError::Transform { name, message })?;
    let buffers: BTreeMap<String, Buffer> =
        config.sinks.iter().map(|(name, sink)| (name.clone(), sink.buffer)).collect();
    let lanes = graph::lanes(&config);
    let (spool, positions) =
        Spool::open(&config.data_dir, config.spool_limits(), lanes, &buffers, metrics.clone())?;
    let stop = CancellationToken::new();
    let health = Arc::new(Health::default());
    let admin = match config.admin.address {
        Some(address) => Some(admin::serve(address, metrics.clone(), health.clone()).await?),
        None => None,
    };
    let tap = config.admin.tap.then(|| serve_tap(&config.data_dir, &graph)).flatten();

    let (output, input) = sync_channel(QUEUE_BATCHES);
    let (return_empty, empty) = sync_channel(QUEUE_BATCHES);
    let spool_thread = thread("spool", {
        let wiring = spool::Wiring {
            input,
            empty: return_empty,
            stop: stop.clone(),
            progress: health.add("spool"),
            keep_bytes: config.batch.max_bytes.bytes() * 2,
        };
        let spool = spool.clone();
        move || spool::run(spool, wiring)
    })?;
    let mut empty = Some(empty);
    let mut source_threads = Vec::new();
    for (name, source) in config.sources.clone() {
        let wiring = sources::Wiring {
            output: sources::Output { entrance: graph.entrance(&name), sender: output.clone() },
            // The first source reuses the emptied buffers; further ones allocate theirs.
            empty: empty.take().unwrap_or_else(|| sync_channel(1).1),
            limits: config.batch,
            memory: shares.caps(&source.memory()),
            positions: positions.clone(),
            stop: stop.clone(),
            progress: health.add(&format!("source {name}")),
            metrics: metrics.clone(),
            runtime: tokio::runtime::Handle::current(),
            cluster: config.cluster.clone(),
            node: config.node.clone(),
            data_dir: config.data_dir.clone(),
            name,
        };
        let guard = wiring.progress.guard();
        source_threads.push(thread("source", move || {
            let _guard = guard;
            source.run(wiring);
        })?);
    }
    drop((output, positions));

    let budget = shares.budget();
    let mut sink_tasks = tokio::task::JoinSet::new();
    for (index, (name, sink)) in config.sinks.iter().enumerate() {
        let wiring = sinks::Wiring {
            index,
            name: name.clone(),
            cluster: config.cluster.clone(),
            node: config.node.clone(),
            spool: spool.clone(),
            metrics: metrics.clone(),
            progress: health.add(&format!("sink {name}")),
            room: Arc::new(Room::new(&budget, sink.settings.memory(&config), shares.frame)),
        };
        let sink = sink.settings.connect(name).await?;
        let guard = wiring.progress.guard();
        sink_tasks.spawn(async move {
            let _guard = guard;
            sinks::run(sink, wiring).await;
        });
    }
    tracing::info!(path = %config.data_dir.display(), sources = config.sources.len(), sinks = config.sinks.len(),
        "collector started");

    let mut next = None;
    tokio::select! {
        () = wait_for(&mut signals.terminate, &mut signals.interrupt) => tracing::info!("signal received, draining"),
        () = idle(until_idle, &health, &spool) => tracing::info!("idle, draining"),
        () = all_finished(&source_threads) => tracing::info!("all sources have ended, draining"),
        () = finished(&spool_thread) => tracing::error!("spool thread ended"),
        new = reloaded(&mut signals.hangup, &config, reload) => next = Some(new),
    }
    // Whoever waits for the end, of the input or of the work, wants to know whether all arrived.
    let finite = until_idle.is_some() || source_threads.iter().all(JoinHandle::is_finished);
    let timeout = config.shutdown_timeout.duration();
    let timeout = if next.is_some() { timeout.min(RELOAD_GRACE) } else { timeout };
    let deadline = Instant::now() + timeout;
    stop.cancel();
    source_threads.iter().for_each(|thread| thread.thread().unpark());
    let mut source_died = false;
    for thread in source_threads {
        source_died |= join(thread).await.is_none();
    }
    let ended_early = !matches!(join(spool_thread).await, Some(Ok(())));
    let delivered = async { while sink_tasks.join_next().await.is_some() {} };
    tokio::select! {
        () = delivered => {}
        () = tokio::time::sleep_until(deadline.into()) => {}
        () = signals.wait() => tracing::warn!("second signal, not waiting for sinks"),
    }
    if let Some(next) = next {
        // Whoever still holds the spool must let go of it before it is opened again.
        sink_tasks.shutdown().await;
        if let Some(admin) = admin {
            admin.abort();
            drop(admin.await);
        }
        if let Some(tap) = tap {
            tap.abort();
            drop(tap.await);
        }
        return if ended_early { Err(RunError::SpoolEnded) } else { Ok(Ended::Reload(Box::new(next))) };
    }
    if spool.is_drained() {
        tracing::info!("collector stopped, everything was delivered");
    } else {
        tracing::warn!("collector stopped, undelivered records stay in the spool for the next start");
    }
    if let Some(admin) = admin {
        admin.abort();
    }
    match (ended_early, finite) {
        (true, _) => Err(RunError::SpoolEnded),
        (false, _) if source_died => Err(RunError::SourceEnded),
        (false, true) if !spool.is_drained() => Err(RunError::Undelivered),
        _ => Ok(Ended::Done),
    }
}

/// Divides the memory there is, and tells when it is less than the configuration takes: then it runs
/// all the same, because a limit nobody configured must not stop what ran before.
fn shares(config: &Config, metrics: &Metrics) -> Shares {
    let ceiling = memory::ceiling(config);
    let bytes = ceiling.map_or(0, ByteSize::bytes);
    metrics.memory_max.set(i64::try_from(bytes).unwrap_or(i64::MAX));
    if let Some(problem) = ceiling.and_then(|ceiling| memory::check(config, ceiling).err()) {
        tracing::warn!(
            bytes,
            error = problem.message,
            "three quarters of the cgroup's memory limit are too little"
        );
    }
    memory::shares(config, ceiling)
}

/// Looking at records is a convenience: that it can't be offered keeps nothing from running.
fn serve_tap(data_dir: &Path, graph: &Graph) -> Option<JoinTask<()>> {
    tap::server::serve(data_dir, graph.taps().clone())
        .inspect_err(|error| {
            let path = tap::server::socket(data_dir);
            tracing::warn!(path = %path.display(), %error, "socket can't be made, tap is not offered");
        })
        .ok()
}

fn thread<T: Send + 'static>(
    name: &'static str,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<JoinHandle<T>, RunError> {
    Builder::new().name(name.to_owned()).spawn(work).map_err(|source| RunError::Start { what: name, source })
}

async fn join<T: Send + 'static>(thread: JoinHandle<T>) -> Option<T> {
    tokio::task::spawn_blocking(move || thread.join().ok()).await.ok().flatten()
}

/// Resolves when a thread has ended.
async fn finished<T>(thread: &JoinHandle<T>) {
    while !thread.is_finished() {
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
}

/// Resolves when every source came to its end by itself; only finite ones do.
async fn all_finished<T>(threads: &[JoinHandle<T>]) {
    for thread in threads {
        finished(thread).await;
    }
}

/// Resolves once nothing happened for `wait`; never without a wait.
async fn idle(wait: Option<Duration>, health: &Health, spool: &Spool) {
    let Some(wait) = wait else { return std::future::pending().await };
    let mut since = Instant::now();
    loop {
        tokio::time::sleep((wait / 8).clamp(Duration::from_millis(5), Duration::from_millis(100))).await;
        // Segments still open are sealed by the drain that follows.
        if !health.is_idle() || spool.has_backlog() {
            since = Instant::now();
        } else if since.elapsed() >= wait {
            return;
        }
    }
}

struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
    hangup: tokio::signal::unix::Signal,
}

impl Signals {
    fn new() -> Result<Self, RunError> {
        let listen = |kind| signal(kind).map_err(|source| RunError::Start { what: "signal handler", source });
        Ok(Self {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
            hangup: listen(SignalKind::hangup())?,
        })
    }

    async fn wait(&mut self) {
        wait_for(&mut self.terminate, &mut self.interrupt).await;
    }
}

/// Resolves to the new configuration once SIGHUP asks for it and it is good.
async fn reloaded(
    hangup: &mut tokio::signal::unix::Signal,
    present: &Config,
    load: &impl Fn() -> Result<Config, ConfigError>,
) -> Config {
    while hangup.recv().await.is_some() {
        match load() {
            Ok(next) if next.data_dir == present.data_dir => return next,
            Ok(next) => tracing::error!(path = %next.data_dir.display(),
                "data_dir can't be changed while running; going on as before"),
            Err(error) => tracing::error!(error = %sinks::describe(&error),
                "new configuration can't be used; going on as before"),
        }
    }
    std::future::pending().await
}

async fn wait_for(terminate: &mut tokio::signal::unix::Signal, interrupt: &mut tokio::signal::unix::Signal) {
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}

/// A stage that did not move for this long is stuck: far above any single read, sync or upload
/// attempt (those have their own, shorter timeouts).
const STUCK_AFTER: Duration = Duration::from_secs(120);

/// Signs of life of all stages.
#[derive(Debug, Default)]
pub struct Health {
    stages: std::sync::Mutex<Vec<(String, Arc<Progress>)>>,
}

impl Health {
    /// Registers a stage.
    pub fn add(&self, name: &str) -> Arc<Progress> {
        let progress = Arc::new(Progress::default());
        self.lock().push((name.to_owned(), progress.clone()));
        progress
    }

    /// Stages that show no life. Waiting for a later stage is not a sign of death: then that one is
    /// to be judged.
    pub fn stuck(&self) -> Vec<String> {
        let stuck =
            |progress: &Progress| progress.is_dead() || (!progress.waiting() && progress.age() > STUCK_AFTER);
        self.lock().iter().filter(|(_, progress)| stuck(progress)).map(|(name, _)| name.clone()).collect()
    }

    /// Stages that can't do their work at the moment.
    pub fn unready(&self) -> Vec<String> {
        let unready = |progress: &Progress| progress.unready.load(Ordering::Relaxed);
        self.lock().iter().filter(|(_, progress)| unready(progress)).map(|(name, _)| name.clone()).collect()
    }

    fn is_idle(&self) -> bool {
        self.lock().iter().all(|(_, progress)| progress.idle.load(Ordering::Acquire))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<(String, Arc<Progress>)>> {
        self.stages.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// Signs of life of one stage.
#[derive(Debug)]
pub struct Progress {
    start: Instant,
    beat_ms: AtomicU64,
    waiting: AtomicBool,
    idle: AtomicBool,
    unready: AtomicBool,
    dead: AtomicBool,
}

/// Tells the health check when its stage ends by a panic: whatever it said last, it is not waiting.
#[derive(Debug)]
struct Guard(Arc<Progress>);

impl Drop for Guard {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.dead.store(true, Ordering::Relaxed);
        }
    }
}

impl Default for Progress {
    fn default() -> Self {
        Self {
            start: Instant::now(),
            beat_ms: AtomicU64::new(0),
            waiting: AtomicBool::new(false),
            idle: AtomicBool::new(false),
            unready: AtomicBool::new(false),
            dead: AtomicBool::new(false),
        }
    }
}

impl Progress {
    /// The stage is alive.
    pub fn beat(&self) {
        let now = u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.beat_ms.store(now, Ordering::Relaxed);
    }

    /// The stage waits for the next one to take its work.
    pub fn set_waiting(&self, waiting: bool) {
        self.beat();
        self.waiting.store(waiting, Ordering::Relaxed);
    }

    /// The stage has nothing to do.
    pub fn set_idle(&self, idle: bool) {
        self.idle.store(idle, Ordering::Release);
    }

    /// The stage can do its work.
    pub fn set_ready(&self, ready: bool) {
        self.unready.store(!ready, Ordering::Relaxed);
    }

    fn guard(self: &Arc<Self>) -> Guard {
        Guard(self.clone())
    }

    fn is_dead(&self) -> bool {
        self.dead.load(Ordering::Relaxed)
    }

    fn waiting(&self) -> bool {
        self.waiting.load(Ordering::Relaxed)
    }

    fn age(&self) -> Duration {
        self.start.elapsed().saturating_sub(Duration::from_millis(self.beat_ms.load(Ordering::Relaxed)))
    }
}

#[cfg(test)]
mod health_tests;
#[cfg(test)]
mod tests;
