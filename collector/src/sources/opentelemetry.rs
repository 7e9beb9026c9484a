//! Source `opentelemetry`: OTLP logs from SDKs and collectors, over gRPC and HTTP.
//!
//! Speaks OTLP 1.x: `LogsService/Export` with gzip and zstd; `POST /v1/logs` with protobuf or JSON,
//! plain, gzip or zstd. A request is answered with success only when the spool has synced it; one
//! that can't be taken now gets UNAVAILABLE or 503 with `Retry-After`, which exporters repeat.
//!
//! Identity: a stream is a hash over the source's name, the resource and one scope with all its
//! records; the offset is the index of the record. An exporter that repeats an export repeats its
//! bytes, so the records keep their `event_uid`. Two exports that are equal to the nanosecond of
//! every record are taken for one.
//!
//! Refuses: traces and metrics, and plain-text listeners beyond a trusted network: there is no TLS
//! here, bind to the node or put a proxy in front.

mod arriving;
mod http;
mod json;
mod records;

use super::connections::{Connection, Listener};
use super::received::{self, Intake, Push, Refused};
use super::{SourceConfig, Wiring};
use crate::config::component::{Problem, Row, Settings, problem, within};
use crate::config::{ByteSize, options};
use crate::memory::Reads;
use arriving::Metered;
use futures::Stream;
use opentelemetry_proto::tonic::collector::logs::v1::logs_service_server::{LogsService, LogsServiceServer};
use opentelemetry_proto::tonic::collector::logs::v1::{
    ExportLogsPartialSuccess, ExportLogsServiceRequest, ExportLogsServiceResponse,
};
use prost::Message as _;
use serde::{Deserialize, Serialize};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;
use tonic::codec::CompressionEncoding;
use tonic::transport::server::Connected;

/// Settings of the source.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OpentelemetrySettings {
    /// Where gRPC is served.
    #[serde(default)]
    pub grpc: Grpc,
    /// Where HTTP is served.
    #[serde(default)]
    pub http: Http,
    /// Largest request, before and after decompression.
    #[serde(default = "request_bytes")]
    pub max_request_bytes: ByteSize,
}

/// The gRPC listener.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Grpc {
    /// Its address.
    pub address: SocketAddr,
}

/// The HTTP listener.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Http {
    /// Its address.
    pub address: SocketAddr,
}

impl Default for Grpc {
    fn default() -> Self {
        Self { address: SocketAddr::from(options::OTLP_GRPC_ADDRESS) }
    }
}

impl Default for Http {
    fn default() -> Self {
        Self { address: SocketAddr::from(options::OTLP_HTTP_ADDRESS) }
    }
}

fn request_bytes() -> ByteSize {
    ByteSize::new(options::REQUEST_BYTES)
}

impl Settings for OpentelemetrySettings {
    const KIND: &'static str = "opentelemetry";
    const ABOUT: &'static str = "OTLP logs, over gRPC and over HTTP (protobuf or JSON), plain, gzip or zstd. Acknowledged once they are on disk. No TLS: for the node or a trusted network.";

    #[rustfmt::skip]
    fn options() -> Vec<Row> {
        use options::{size, text};
        vec![
            ("grpc.address", text(&Grpc::default().address.to_string()), "Address of `LogsService/Export`"),
            ("http.address", text(&Http::default().address.to_string()), "Address of `POST /v1/logs`"),
            ("max_request_bytes", size(options::REQUEST_BYTES), "Largest request, before and after decompression"),
        ]
    }

    fn check(&self, key: &str) -> Result<(), Problem> {
        if self.grpc.address == self.http.address && self.grpc.address.port() != 0 {
            return Err(problem(format!("{key}.http.address"), "must differ from grpc.address"));
        }
        let key = format!("{key}.max_request_bytes");
        within(&key, self.max_request_bytes, options::REQUEST_BYTES_RANGE)
    }
}

impl SourceConfig for OpentelemetrySettings {
    fn exclusive(&self) -> Vec<(&'static str, String)> {
        [("grpc.address", self.grpc.address), ("http.address", self.http.address)]
            .into_iter()
            .filter(|(_, address)| address.port() != 0)
            .map(|(key, address)| (key, address.to_string()))
            .collect()
    }

    fn memory(&self) -> Reads {
        let record = self.max_request_bytes.bytes();
        Reads { record, record_key: "max_request_bytes", pushed: true, ..Reads::default() }
    }

    fn run(&self, wiring: Wiring) {
        let (intake, arrivals) =
            Intake::new(&wiring.name, wiring.memory.pushed, wiring.stop.clone(), wiring.metrics.clone());
        let exporter = Exporter { intake, most: self.max_request_bytes.bytes() };
        let serving = serve(self.clone(), exporter, wiring.stop.clone(), wiring.progress.clone());
        let server = wiring.runtime.spawn(serving);
        received::receive(&wiring, arrivals);
        server.abort();
    }
}

async fn serve(
    settings: OpentelemetrySettings,
    exporter: Exporter,
    stop: CancellationToken,
    progress: Arc<crate::topology::Progress>,
) {
    progress.set_ready(false);
    let Some(grpc) = Listener::bind("otlp/grpc", settings.grpc.address, &stop).await else { return };
    let Some(http) = Listener::bind("otlp/http", settings.http.address, &stop).await else { return };
    progress.set_ready(true);
    let most = exporter.most;
    let service = LogsServiceServer::new(exporter.clone())
        .accept_compressed(CompressionEncoding::Gzip)
        .accept_compressed(CompressionEncoding::Zstd)
        .max_decoding_message_size(most);
    let grpc = tonic::transport::Server::builder()
        .concurrency_limit_per_connection(options::OTLP_STREAMS)
        .max_concurrent_streams(u32::try_from(options::OTLP_STREAMS).ok())
        .add_service(Metered::new(service, exporter.intake.clone()))
        .serve_with_incoming_shutdown(connections(grpc), stop.clone().cancelled_owned());
    let http = axum::serve(http, http::router(exporter)).with_graceful_shutdown(stop.cancelled_owned());
    let (grpc, http) = tokio::join!(grpc, async { http.await });
    if let Err(error) = grpc {
        progress.set_ready(false);
        tracing::error!(%error, "otlp over grpc is no longer served");
    }
    if let Err(error) = http {
        progress.set_ready(false);
        tracing::error!(%error, "otlp over http is no longer served");
    }
}

fn connections(listener: Listener) -> impl Stream<Item = io::Result<Connection<TcpStream>>> {
    futures::stream::unfold(listener, |listener| async {
        let connection = listener.next().await;
        Some((Ok(connection), listener))
    })
}

impl Connected for Connection<TcpStream> {
    type ConnectInfo = ();

    fn connect_info(&self) {}
}

impl axum::serve::Listener for Listener {
    type Io = Connection<TcpStream>;
    type Addr = ();

    async fn accept(&mut self) -> (Self::Io, ()) {
        (self.next().await, ())
    }

    fn local_addr(&self) -> io::Result<()> {
        Ok(())
    }
}

/// What both listeners do with a request.
#[derive(Debug, Clone)]
struct Exporter {
    intake: Intake,
    most: usize,
}

impl Exporter {
    async fn export(&self, request: ExportLogsServiceRequest) -> Result<ExportLogsServiceResponse, Refused> {
        let bytes = request.encoded_len();
        let (push, rejected) = records::push(self.intake.name(), request, bytes);
        self.intake.deliver(push).await?;
        let partial_success = (rejected > 0).then(|| ExportLogsPartialSuccess {
            rejected_log_records: rejected,
            error_message: "a trace id must have 16 bytes and a span id 8".to_owned(),
        });
        Ok(ExportLogsServiceResponse { partial_success })
    }
}

#[tonic::async_trait]
impl LogsService for Exporter {
    async fn export(
        &self,
        request: tonic::Request<ExportLogsServiceRequest>,
    ) -> Result<tonic::Response<ExportLogsServiceResponse>, tonic::Status> {
        let answer = Exporter::export(self, request.into_inner()).await;
        answer.map(tonic::Response::new).map_err(|refused| tonic::Status::unavailable(refused.to_string()))
    }
}

#[cfg(test)]
mod tests;
