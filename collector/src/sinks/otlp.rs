//! Sink `otlp`: log records over OpenTelemetry's protocol, version 1, over gRPC or HTTP.
//!
//! Records are grouped by stream: one `ResourceLogs` for each, with the names of OpenTelemetry's
//! semantic conventions. Every record has the attribute `log.record.uid`, the same however often
//! the record is sent, so that receivers can drop repeats.
//!
//! What an answer means is what the protocol says: the codes it lists as retryable are tried again
//! without end, with the pause the receiver asks for; for others the batch is halved until the
//! refused records are alone. With two exceptions, because a wrong configuration or an outage must not
//! cost records: codes about address and credentials (`UNAUTHENTICATED`, `PERMISSION_DENIED`,
//! `NOT_FOUND`, `UNIMPLEMENTED`, HTTP 401, 403, 404, …) are tried again; and codes that say no more
//! than that the receiver failed (`INTERNAL`, `UNKNOWN`, HTTP 500) are only believed when it takes
//! other records of the same batch. Records of a partial success are counted and not sent again;
//! receivers do not say which they were.

mod grpc;
mod message;
mod verdict;

use super::endpoint::{self, Algorithm, Compression, Credentials, Endpoint, Tls};
use super::parcel::{Batch, Described, Parcel, batch_rows};
use super::shipper::{self, Answer, Shipper, Wire};
use super::{DeliveryError, Event, SetupError, Sink, SinkConfig};
use crate::config::component::{Problem, Row, Settings, problem};
use crate::config::{Config, Request, options};
use crate::memory::Takes;
use crate::template::Place;
use async_trait::async_trait;
use bytes::Bytes;
use http_body_util::BodyExt as _;
use logq_schemas::landing::Stream;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::path::PathBuf;

/// Most of an answer that is read.
const ANSWER_BYTES: usize = 64 * 1024;

/// How OTLP is carried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Protocol {
    /// gRPC, usually at port 4317.
    #[default]
    Grpc,
    /// Protobuf over HTTP, usually at port 4318.
    Http,
}

/// Settings of an `otlp` sink.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OtlpSettings {
    /// Where requests go.
    pub endpoint: String,
    /// How they are carried.
    #[serde(default)]
    pub protocol: Protocol,
    /// How bodies are packed.
    #[serde(default = "gzip")]
    pub compression: Compression,
    /// Further headers, or metadata of gRPC.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// Further headers whose values are in files.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub header_files: BTreeMap<String, PathBuf>,
    /// Credentials.
    #[serde(default)]
    pub auth: Credentials,
    /// Certificates.
    #[serde(default)]
    pub tls: Tls,
    /// When a request is full.
    #[serde(default)]
    pub batch: Batch,
    /// Limits of requests.
    #[serde(default)]
    pub request: Request,
}

/// Every receiver must understand gzip (OTLP specification, "OTLP/HTTP Request").
fn gzip() -> Compression {
    Compression { algorithm: Algorithm::Gzip, level: None }
}

impl OtlpSettings {
    /// The address of requests.
    fn address(&self) -> String {
        let base = self.endpoint.trim_end_matches('/');
        let bare =
            url::Url::parse(&self.endpoint).is_ok_and(|url| url.path() == "/" && url.query().is_none());
        match self.protocol {
            Protocol::Grpc => format!("{base}{}", grpc::PATH),
            Protocol::Http if bare => format!("{base}/v1/logs"),
            Protocol::Http => self.endpoint.clone(),
        }
    }
}

impl Settings for OtlpSettings {
    const KIND: &'static str = "otlp";
    const ABOUT: &'static str = "Log records over OTLP, the protocol of OpenTelemetry. Codes the protocol calls retryable are tried again without end; otherwise batches are halved until the refused records are alone, which are kept in `<data_dir>/rejected` and counted.";

    #[rustfmt::skip]
    fn options() -> Vec<Row> {
        use options::{required, text};
        let mut rows = vec![
            ("endpoint", required(), "Address, such as `http://host:4317`, or `https://…` for TLS. For `http` without a path, `/v1/logs` is added"),
            ("protocol", text("grpc"), "`grpc`, or `http` with protobuf"),
        ];
        rows.extend(endpoint::compression_rows("gzip"));
        rows.extend(endpoint::header_rows());
        rows.extend(endpoint::credential_rows());
        rows.extend(endpoint::tls_rows());
        rows.extend(batch_rows());
        rows.extend(options::request_rows());
        rows
    }

    fn check(&self, key: &str) -> Result<(), Problem> {
        let at = format!("{key}.endpoint");
        let https = endpoint::check_uri(&at, &self.endpoint)?;
        if self.protocol == Protocol::Grpc
            && url::Url::parse(&self.endpoint).is_ok_and(|url| url.path() != "/" || url.query().is_some())
        {
            let message =
                "must have no path with protocol = \"grpc\"; for OTLP over HTTP set protocol = \"http\"";
            return Err(problem(at, message));
        }
        self.compression.check(key)?;
        endpoint::check_headers(key, &self.headers, &self.header_files)?;
        self.auth.check(key)?;
        self.tls.check(key, https)?;
        self.batch.check(key)?;
        self.request.check(key)
    }
}

#[async_trait]
impl SinkConfig for OtlpSettings {
    fn memory(&self, _config: &Config) -> Takes {
        shipper::takes(&self.batch)
    }

    async fn connect(&self, _name: &str) -> Result<Box<dyn Sink>, SetupError> {
        let grpc = self.protocol == Protocol::Grpc;
        let endpoint = Endpoint::new(&self.tls, &self.auth, &self.headers, &self.header_files, grpc);
        let wire = OtlpWire { endpoint, address: self.address(), settings: self.clone() };
        Ok(Box::new(Shipper::new(wire, self.batch, self.request)))
    }
}

#[derive(Debug)]
struct OtlpWire {
    endpoint: Endpoint,
    address: String,
    settings: OtlpSettings,
}

impl Wire for OtlpWire {
    fn describe(&self, place: Place<'_>, stream: &Stream) -> Vec<u8> {
        message::resource(place, stream)
    }

    fn encode(&self, _described: &Described, event: &Event<'_>, out: &mut Vec<u8>) {
        message::record(event, out);
    }

    fn body(&self, parcel: &Parcel, range: Range<usize>) -> io::Result<Vec<u8>> {
        let packed = self.settings.compression.pack(message::request(parcel, range))?;
        match self.settings.protocol {
            Protocol::Http => Ok(packed),
            Protocol::Grpc => grpc::frame(packed, self.settings.compression.name().is_some()),
        }
    }

    async fn attempt(&self, body: Bytes, key: &str) -> Result<Answer, DeliveryError> {
        let mut request = self
            .endpoint
            .client()
            .await?
            .post(&self.address)
            .headers(self.endpoint.headers().await?)
            .header("idempotency-key", key);
        let grpc = self.settings.protocol == Protocol::Grpc;
        request = match grpc {
            true => request.header("content-type", "application/grpc").header("te", "trailers"),
            false => request.header("content-type", "application/x-protobuf"),
        };
        if let Some(name) = self.settings.compression.name() {
            request = request.header(if grpc { "grpc-encoding" } else { "content-encoding" }, name);
        }
        let answer = request.body(body).send().await.map_err(endpoint::service)?;
        let (head, body) = ::http::Response::<reqwest::Body>::from(answer).into_parts();
        let collected = http_body_util::Limited::new(body, ANSWER_BYTES).collect().await;
        // Without the whole answer nobody knows whether the records arrived: they are sent again.
        let collected = collected.map_err(DeliveryError::Service)?;
        let trailers = collected.trailers().cloned();
        let text = collected.to_bytes();
        if grpc && head.status.is_success() {
            return verdict::of_grpc(&self.address, &head.headers, trailers.as_ref(), &text);
        }
        let after = endpoint::retry_after(&head.headers, chrono::Utc::now());
        if grpc {
            verdict::of_proxy(&self.address, head.status, after, &text)
        } else {
            verdict::of_http(&self.address, head.status, after, &text)
        }
    }
}
