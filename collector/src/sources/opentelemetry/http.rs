//! `POST /v1/logs`.

use super::arriving::Arriving;
use super::{Exporter, Intake, Refused, json};
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use http_body_util::LengthLimitError;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use prost::Message as _;
use serde_json::json;
use std::error::Error;
use std::io::Read;
use std::time::Duration;

/// Longest time for a request to arrive.
const ARRIVE_WITHIN: Duration = Duration::from_secs(30);

/// `google.rpc.Status`, as the specification wants errors to be told.
#[derive(Clone, PartialEq, prost::Message)]
struct Status {
    #[prost(string, tag = "2")]
    message: String,
}

pub(super) fn router(exporter: Exporter) -> Router {
    Router::new().route("/v1/logs", post(logs)).with_state(exporter)
}

/// Why a request is not taken.
struct Problem(StatusCode, &'static str, String);

/// How the client writes, and is answered.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Format {
    Protobuf,
    Json,
}

async fn logs(State(exporter): State<Exporter>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let kind = head.headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let format = match kind.split(';').next().unwrap_or_default().trim() {
        "application/x-protobuf" => Format::Protobuf,
        "application/json" => Format::Json,
        _ => {
            exporter.intake.refuse("unsupported");
            let message = "content-type must be application/x-protobuf or application/json";
            return (StatusCode::UNSUPPORTED_MEDIA_TYPE, message).into_response();
        }
    };
    let request = match read(&head.headers, body, format, exporter.most, &exporter.intake).await {
        Ok(request) => request,
        Err(Problem(status, reason, message)) => {
            exporter.intake.refuse(reason);
            return fail(format, status, message);
        }
    };
    match exporter.export(request).await {
        Ok(answer) => {
            let partial = answer.partial_success.as_ref();
            let text = partial.map_or_else(
                || json!({}),
                |partial| {
                    json!({"partialSuccess": {
                        "rejectedLogRecords": partial.rejected_log_records.to_string(),
                        "errorMessage": partial.error_message,
                    }})
                },
            );
            write(format, StatusCode::OK, answer.encode_to_vec(), &text)
        }
        Err(refused) => {
            let status = match refused {
                Refused::Full | Refused::NotStored => StatusCode::TOO_MANY_REQUESTS,
                Refused::Stopping => StatusCode::SERVICE_UNAVAILABLE,
            };
            fail(format, status, refused.to_string())
        }
    }
}

async fn read(
    headers: &HeaderMap,
    body: Body,
    format: Format,
    most: usize,
    intake: &Intake,
) -> Result<ExportLogsServiceRequest, Problem> {
    let malformed = |message: String| Problem(StatusCode::BAD_REQUEST, "malformed", message);
    let too_large = || {
        let message = format!("a request may have at most {most} bytes");
        Problem(StatusCode::PAYLOAD_TOO_LARGE, "too_large", message)
    };
    let declared =
        headers.get(header::CONTENT_LENGTH).and_then(|len| len.to_str().ok()?.parse::<usize>().ok());
    if declared.is_some_and(|len| len > most) {
        return Err(too_large());
    }
    let body = Body::new(Arriving::new(body, intake.clone(), || Refused::Full.into()));
    let body = match tokio::time::timeout(ARRIVE_WITHIN, to_bytes(body, most)).await {
        Ok(Ok(body)) => body,
        Ok(Err(error)) if caused_by::<LengthLimitError>(&error) => return Err(too_large()),
        Ok(Err(error)) if caused_by::<Refused>(&error) => {
            let message = Refused::Full.to_string();
            return Err(Problem(StatusCode::TOO_MANY_REQUESTS, "full", message));
        }
        Ok(Err(error)) => return Err(malformed(error.to_string())),
        Err(_) => return Err(Problem(StatusCode::REQUEST_TIMEOUT, "malformed", "too slow".to_owned())),
    };
    let coding = headers.get(header::CONTENT_ENCODING).and_then(|coding| coding.to_str().ok());
    let unpacked = match coding.unwrap_or("identity") {
        "identity" => None,
        "gzip" => Some(unpack(flate2::read::MultiGzDecoder::new(&body[..]), most)),
        "zstd" => Some(zstd::stream::read::Decoder::new(&body[..]).and_then(|plain| unpack(plain, most))),
        _ => {
            let message = "content-encoding must be gzip, zstd or identity".to_owned();
            return Err(Problem(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported", message));
        }
    };
    let body = match unpacked {
        None => body,
        Some(Ok(plain)) if plain.len() > most => return Err(too_large()),
        Some(Ok(plain)) => plain.into(),
        Some(Err(error)) => return Err(malformed(error.to_string())),
    };
    match format {
        Format::Protobuf => {
            ExportLogsServiceRequest::decode(body).map_err(|error| malformed(error.to_string()))
        }
        Format::Json => json::read(&body).map_err(malformed),
    }
}

/// Whether an error, or what is behind it, is an `E`.
fn caused_by<E: Error + 'static>(error: &(dyn Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if error.is::<E>() {
            return true;
        }
        cause = error.source();
    }
    false
}

/// At most one byte more than allowed.
fn unpack(packed: impl Read, most: usize) -> std::io::Result<Vec<u8>> {
    let mut plain = Vec::new();
    packed.take(most as u64 + 1).read_to_end(&mut plain)?;
    Ok(plain)
}

fn fail(format: Format, status: StatusCode, message: String) -> Response {
    let text = json!({ "message": message });
    write(format, status, Status { message }.encode_to_vec(), &text)
}

fn write(format: Format, status: StatusCode, binary: Vec<u8>, text: &serde_json::Value) -> Response {
    let (kind, body) = match format {
        Format::Protobuf => ("application/x-protobuf", binary),
        Format::Json => ("application/json", text.to_string().into_bytes()),
    };
    let mut answer = (status, [(header::CONTENT_TYPE, kind)], body).into_response();
    if matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) {
        answer.headers_mut().insert(header::RETRY_AFTER, header::HeaderValue::from_static("1"));
    }
    answer
}
