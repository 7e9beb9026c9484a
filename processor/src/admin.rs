//! `/metrics`, `/healthz` and `/readyz` over HTTP.

use crate::metrics::Metrics;
use axum::Router;
use axum::http::{StatusCode, header};
use axum::routing::get;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Commit intervals that may pass without progress while work waits.
const INTERVALS: u32 = 20;

/// The shortest time without progress that is taken for a stop: the largest batch takes less.
const PATIENCE_MIN: Duration = Duration::from_secs(120);

/// What the probes report.
#[derive(Debug)]
pub struct Health {
    /// Recovery is done and input is being taken.
    ready: AtomicBool,
    /// Seconds since the epoch of the last sign of progress: a commit, or a look that found no work.
    progress: AtomicI64,
    /// Whether work waits.
    waiting: AtomicBool,
    patience: i64,
}

impl Health {
    /// Health of a processor that commits every `commit_interval`, at `now` (seconds since the epoch).
    pub fn new(commit_interval: Duration, now: i64) -> Health {
        let patience = (commit_interval * INTERVALS).max(PATIENCE_MIN);
        Health {
            ready: AtomicBool::new(false),
            progress: AtomicI64::new(now),
            // Recovery is work, and nothing is known of the input yet.
            waiting: AtomicBool::new(true),
            patience: i64::try_from(patience.as_secs()).unwrap_or(i64::MAX),
        }
    }

    /// Marks the processor as ready.
    pub fn set_ready(&self) {
        self.ready.store(true, Ordering::Relaxed);
    }

    /// Work was found.
    pub fn note_work(&self, now: i64) {
        // The clock starts when the first work comes, not when there was none before.
        if !self.waiting.swap(true, Ordering::Relaxed) {
            self.progress.store(now, Ordering::Relaxed);
        }
    }

    /// A batch was committed, or there was nothing to do.
    pub fn note_progress(&self, now: i64, work_is_left: bool) {
        self.progress.store(now, Ordering::Relaxed);
        self.waiting.store(work_is_left, Ordering::Relaxed);
    }

    /// Seconds without progress, when they are too many.
    pub fn stuck_for(&self, now: i64) -> Option<i64> {
        let idle = now - self.progress.load(Ordering::Relaxed);
        (self.waiting.load(Ordering::Relaxed) && idle > self.patience).then_some(idle)
    }
}

/// Serves until `stop` is cancelled.
///
/// # Errors
/// When the address cannot be bound.
pub async fn serve(
    address: SocketAddr,
    metrics: Arc<Metrics>,
    health: Arc<Health>,
    stop: CancellationToken,
) -> std::io::Result<()> {
    let listener = tokio::net::TcpListener::bind(address).await?;
    tracing::info!(address = %listener.local_addr()?, "admin endpoint listening");
    let ready = health.clone();
    let now = || chrono::Utc::now().timestamp();
    let routes = Router::new()
        .route(
            "/metrics",
            get(move || async move {
                let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
                ([(header::CONTENT_TYPE, kind)], metrics.render(now()))
            }),
        )
        .route(
            "/healthz",
            get(move || async move {
                match health.stuck_for(now()) {
                    Some(idle) => {
                        (StatusCode::SERVICE_UNAVAILABLE, format!("work waits, no progress for {idle} s\n"))
                    }
                    None => (StatusCode::OK, "ok\n".to_owned()),
                }
            }),
        )
        .route(
            "/readyz",
            get(move || async move {
                if ready.ready.load(Ordering::Relaxed) {
                    (StatusCode::OK, "ready\n")
                } else {
                    (StatusCode::SERVICE_UNAVAILABLE, "recovering\n")
                }
            }),
        );
    axum::serve(listener, routes).with_graceful_shutdown(async move { stop.cancelled().await }).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_work_that_waits_without_progress_is_ill() {
        let health = Health::new(Duration::from_secs(30), 1_000);
        assert_eq!(health.stuck_for(1_600), None, "20 intervals of 30 s");
        assert_eq!(health.stuck_for(1_601), Some(601), "recovery that never ends");
        health.note_progress(1_700, false);
        assert_eq!(health.stuck_for(9_000), None, "nothing to do is no illness");
        health.note_work(9_000);
        assert_eq!(health.stuck_for(9_600), None);
        health.note_work(9_500);
        assert_eq!(health.stuck_for(9_601), Some(601), "work that comes again is no progress");
        health.note_progress(9_650, true);
        assert_eq!(health.stuck_for(9_700), None);
        let quick = Health::new(Duration::from_secs(1), 0);
        assert_eq!((quick.stuck_for(120), quick.stuck_for(121)), (None, Some(121)));
    }
}
