//! `/metrics`, `/healthz` and `/readyz` over HTTP.

use crate::metrics::Metrics;
use axum::Router;
use axum::http::{StatusCode, header};
use axum::routing::get;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use tokio_util::sync::CancellationToken;

/// What the probes report.
#[derive(Debug, Default)]
pub struct Health {
    /// Recovery is done and input is being taken.
    ready: AtomicBool,
    /// Seconds since the epoch of the last sign of progress.
    progress: AtomicI64,
}

/// Liveness fails after this long without a turn of the main loop: far more than the slowest batch.
const STUCK_SECONDS: i64 = 900;

impl Health {
    /// Marks the processor as ready.
    pub fn set_ready(&self) {
        self.ready.store(true, Ordering::Relaxed);
    }

    /// Notes progress at `now` (seconds since the epoch).
    pub fn note_progress(&self, now: i64) {
        self.progress.store(now, Ordering::Relaxed);
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
    let routes = Router::new()
        .route(
            "/metrics",
            get(move || async move {
                let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
                ([(header::CONTENT_TYPE, kind)], metrics.render())
            }),
        )
        .route(
            "/healthz",
            get(move || async move {
                let last = health.progress.load(Ordering::Relaxed);
                let idle = chrono::Utc::now().timestamp() - last;
                if last != 0 && idle > STUCK_SECONDS {
                    (StatusCode::SERVICE_UNAVAILABLE, format!("no progress for {idle} s\n"))
                } else {
                    (StatusCode::OK, "ok\n".to_owned())
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
