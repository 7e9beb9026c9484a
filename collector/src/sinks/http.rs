//! Sink `http`: records in the body of requests to one address.
//!
//! What an answer means:
//! * 2xx: the records arrived.
//! * 408, 425, 429, 5xx, a connection that fails, no answer in time: tried again without end;
//!   `Retry-After` is obeyed.
//! * 413, and 400 and 422: some record is too large or refused. The batch is halved until such
//!   records are alone; they are kept in `rejected` and counted.
//! * Anything else (401, 403, 404, a redirect): the configuration is wrong. Tried again without
//!   end, with an error that says so; nothing is dropped.
//!
//! Every request has an `Idempotency-Key`: the same records sent again, also by a later process
//! with the same configuration, have the same key.

mod record;

use super::endpoint::{self, Compression, Credentials, Endpoint, Tls};
use super::parcel::{Batch, Described, Parcel, batch_rows};
use super::resource;
use super::shipper::{self, Answer, REFUSED, Refusal, Shipper, TOO_LARGE, Wire};
use super::{DeliveryError, Event, SetupError, Sink, SinkConfig};
use crate::config::component::{Problem, Row, Settings, problem};
use crate::config::{Config, Request, options};
use crate::memory::Takes;
use crate::template::Place;
use ::http::{Method, StatusCode};
use async_trait::async_trait;
use bytes::Bytes;
use logq_schemas::landing::Stream;
use record::{Codec, Framing};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::path::PathBuf;

/// Most of an answer that is read: enough to explain, and to use the connection again.
const ANSWER_BYTES: usize = 64 * 1024;

/// Settings of an `http` sink.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HttpSettings {
    /// Where requests go.
    pub uri: String,
    /// `post`, `put` or `patch`.
    #[serde(default)]
    pub method: Verb,
    /// How a record is written.
    #[serde(default)]
    pub encoding: Encoding,
    /// How records are put together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub framing: Option<FramingSettings>,
    /// How bodies are packed.
    #[serde(default)]
    pub compression: Compression,
    /// Further headers.
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

/// Methods that have a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verb {
    /// `POST`.
    #[default]
    Post,
    /// `PUT`.
    Put,
    /// `PATCH`.
    Patch,
}

/// How a record is written.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Encoding {
    /// The codec.
    pub codec: Codec,
}

/// How records are put together.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FramingSettings {
    /// The method.
    pub method: Framing,
}

impl HttpSettings {
    fn framing(&self) -> Framing {
        let usual =
            if self.encoding.codec == Codec::Text { Framing::NewlineDelimited } else { Framing::Array };
        self.framing.map_or(usual, |framing| framing.method)
    }
}

impl Settings for HttpSettings {
    const KIND: &'static str = "http";
    const ABOUT: &'static str = "Records in the body of HTTP requests. 408, 425, 429, 5xx and failed connections are tried again without end. Batches refused with 413, 400 or 422 are halved until the refused records are alone; those are kept in `<data_dir>/rejected` and counted. Other statuses are taken for a wrong configuration and tried again.";

    #[rustfmt::skip]
    fn options() -> Vec<Row> {
        use options::{plain, required, text};
        let mut rows = vec![
            ("uri", required(), "Address, `https://…` or `http://…`. Redirects are not followed"),
            ("method", text("post"), "`post`, `put` or `patch`"),
            ("encoding.codec", text("json"), "`json`: one object with the names of the table app_log and a `resource` with OpenTelemetry's. `landing`: `stream` and `record` of the landing format. `text`: the body alone"),
            ("framing.method", plain("`\"array\"`, for `text` `\"newline_delimited\"`"), "`array`: one JSON array. `newline_delimited`: one record a line"),
        ];
        rows.extend(endpoint::compression_rows("none"));
        rows.extend(endpoint::header_rows());
        rows.extend(endpoint::credential_rows());
        rows.extend(endpoint::tls_rows());
        rows.extend(batch_rows());
        rows.extend(options::request_rows());
        rows
    }

    fn check(&self, key: &str) -> Result<(), Problem> {
        let https = endpoint::check_uri(&format!("{key}.uri"), &self.uri)?;
        if self.encoding.codec == Codec::Text && self.framing() == Framing::Array {
            let message = "must be newline_delimited: texts are no JSON array";
            return Err(problem(format!("{key}.framing.method"), message));
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
impl SinkConfig for HttpSettings {
    fn memory(&self, _config: &Config) -> Takes {
        shipper::takes(&self.batch)
    }

    async fn connect(&self, _name: &str) -> Result<Box<dyn Sink>, SetupError> {
        let endpoint = Endpoint::new(&self.tls, &self.auth, &self.headers, &self.header_files, false);
        let wire = HttpWire { endpoint, settings: self.clone() };
        Ok(Box::new(Shipper::new(wire, self.batch, self.request)))
    }
}

#[derive(Debug)]
struct HttpWire {
    endpoint: Endpoint,
    settings: HttpSettings,
}

impl Wire for HttpWire {
    fn describe(&self, place: Place<'_>, stream: &Stream) -> Vec<u8> {
        match self.settings.encoding.codec {
            Codec::Json => serde_json::to_vec(&resource::attributes(place, stream)).unwrap_or_default(),
            Codec::Landing => serde_json::to_vec(stream).unwrap_or_default(),
            Codec::Text => Vec::new(),
        }
    }

    fn encode(&self, described: &Described, event: &Event<'_>, out: &mut Vec<u8>) {
        record::encode(self.settings.encoding.codec, described, event, out);
    }

    fn body(&self, parcel: &Parcel, range: Range<usize>) -> io::Result<Vec<u8>> {
        self.settings.compression.pack(record::body(self.settings.framing(), parcel, range))
    }

    async fn attempt(&self, body: Bytes, key: &str) -> Result<Answer, DeliveryError> {
        let settings = &self.settings;
        let method = match settings.method {
            Verb::Post => Method::POST,
            Verb::Put => Method::PUT,
            Verb::Patch => Method::PATCH,
        };
        let content = match (settings.encoding.codec, settings.framing()) {
            (Codec::Text, _) => "text/plain",
            (_, Framing::Array) => "application/json",
            (_, Framing::NewlineDelimited) => "application/x-ndjson",
        };
        let mut request = self
            .endpoint
            .client()
            .await?
            .request(method, &settings.uri)
            .headers(self.endpoint.headers().await?)
            .header("content-type", content)
            .header("idempotency-key", key);
        if let Some(name) = settings.compression.name() {
            request = request.header("content-encoding", name);
        }
        let mut answer = request.body(body).send().await.map_err(endpoint::service)?;
        let status = answer.status();
        let after = endpoint::retry_after(answer.headers(), chrono::Utc::now());
        let mut text = Vec::new();
        // The status is the answer: a body that breaks off changes nothing.
        while let Ok(Some(chunk)) = answer.chunk().await {
            text.extend_from_slice(&chunk);
            if text.len() >= ANSWER_BYTES {
                break;
            }
        }
        let message = format!("{} answers {status}: {}", settings.uri, endpoint::excerpt(&text));
        verdict(status, after, message)
    }
}

/// What a status means.
fn verdict(
    status: StatusCode,
    after: Option<std::time::Duration>,
    message: String,
) -> Result<Answer, DeliveryError> {
    let refused = |reason, message| Ok(Answer::Refused(Refusal { reason, doubtful: false, message }));
    match status.as_u16() {
        200..300 => Ok(Answer::Taken { rejected: 0 }),
        413 => refused(TOO_LARGE, message),
        400 | 422 => refused(REFUSED, message),
        408 | 425 | 500..600 => Err(endpoint::later(message, after)),
        429 if after.is_some() => Err(endpoint::later(message, after)),
        429 => Err(DeliveryError::Throttled(message.into())),
        300..400 => {
            Err(DeliveryError::Service(format!("{message}; redirects are not followed, correct uri").into()))
        }
        401 | 403 => Err(DeliveryError::Service(
            format!("{message}; check auth and the receiver's permissions").into(),
        )),
        _ => Err(DeliveryError::Service(format!("{message}; check uri and method").into())),
    }
}
