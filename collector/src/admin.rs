//! The admin address: `/metrics` for Prometheus, `/healthz` and `/readyz` for Kubernetes.
//!
//! `/healthz` fails only when a stage shows no life, so that a restart is the right answer. A sink
//! that is down or a full spool makes `/readyz` fail instead: a restart would not help.

use crate::metrics::Metrics;
use crate::topology::{Health, RunError};
use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

const TEXT: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Starts serving on `address`.
///
/// # Errors
/// When the address can't be bound.
pub async fn serve(
    address: SocketAddr,
    metrics: Arc<Metrics>,
    health: Arc<Health>,
) -> Result<JoinHandle<()>, RunError> {
    let listener = TcpListener::bind(address).await.map_err(|source| RunError::Admin { address, source })?;
    let local = listener.local_addr().unwrap_or(address);
    tracing::info!(address = %local, "admin address is served");
    let router = router(metrics, health);
    Ok(tokio::spawn(async move {
        if let Err(error) = axum::serve(listener, router).await {
            tracing::error!(%error, "admin address is no longer served");
        }
    }))
}

fn router(metrics: Arc<Metrics>, health: Arc<Health>) -> Router {
    let live = health.clone();
    Router::new()
        .route("/metrics", get(move || async move { ([(header::CONTENT_TYPE, TEXT)], metrics.text()) }))
        .route("/healthz", get(move || async move { verdict("stuck", &live.stuck()) }))
        .route("/readyz", get(move || async move { verdict("not ready", &health.unready()) }))
}

fn verdict(problem: &str, stages: &[String]) -> impl IntoResponse + use<> {
    if stages.is_empty() {
        (StatusCode::OK, "ok\n".to_owned())
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, format!("{problem}: {}\n", stages.join(", ")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    async fn fetch(address: SocketAddr, path: &str) -> String {
        let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    #[tokio::test]
    async fn the_pages_tell_the_state() {
        let health = Arc::new(Health::default());
        let stage = health.add("sink out");
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = router(Arc::new(Metrics::default()), health);
        let server = tokio::spawn(async move { axum::serve(listener, router).await });
        assert!(fetch(address, "/healthz").await.starts_with("HTTP/1.1 200"));
        assert!(fetch(address, "/readyz").await.starts_with("HTTP/1.1 200"));
        stage.set_ready(false);
        let answer = fetch(address, "/readyz").await;
        assert!(answer.starts_with("HTTP/1.1 503") && answer.contains("sink out"), "{answer}");
        assert!(fetch(address, "/metrics").await.contains("collector_source_records_total 0"));
        server.abort();
    }
}
