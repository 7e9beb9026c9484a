//! What a receiver's answer means (OTLP specification, "Failures", "Partial Success", "OTLP/gRPC
//! Throttling" and "Retryable Response Codes").

use super::grpc;
use crate::sinks::DeliveryError;
use crate::sinks::endpoint::{excerpt, later};
use crate::sinks::shipper::{Answer, REFUSED, Refusal, TOO_LARGE};
use ::http::StatusCode;
use ::http::header::HeaderMap;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceResponse;
use prost::Message as _;
use std::time::Duration;

/// The answer to a gRPC call that reached a gRPC server.
pub fn of_grpc(
    address: &str,
    headers: &HeaderMap,
    trailers: Option<&HeaderMap>,
    body: &[u8],
) -> Result<Answer, DeliveryError> {
    let Some(status) = trailers.and_then(grpc::status).or_else(|| grpc::status(headers)) else {
        let message = format!("{address}: answer without a gRPC status, is it an OTLP/gRPC port?");
        return Err(DeliveryError::Service(message.into()));
    };
    let message = format!("{address} answers gRPC status {}: {}", status.code, status.message);
    match status.code {
        0 => Ok(taken(grpc::unframe(body).unwrap_or_default())),
        // RESOURCE_EXHAUSTED is retryable only with a pause. Without one it is the size limit of
        // gRPC's Go server, which says so, or a quota, which is not the records' fault.
        8 if status.retry.is_some() => Err(later(message, status.retry)),
        8 if status.message.contains("larger than max") => Ok(refused(TOO_LARGE, false, message)),
        8 => Ok(refused(REFUSED, true, message)),
        // CANCELLED, DEADLINE_EXCEEDED, ABORTED, OUT_OF_RANGE, UNAVAILABLE, DATA_LOSS.
        1 | 4 | 10 | 11 | 14 | 15 => Err(later(message, status.retry)),
        // NOT_FOUND, PERMISSION_DENIED, UNIMPLEMENTED, UNAUTHENTICATED.
        5 | 7 | 12 | 16 => Err(misconfigured(message)),
        // UNKNOWN, INTERNAL: what a receiver says when it does not know better.
        2 | 13 => Ok(refused(REFUSED, true, message)),
        _ => Ok(refused(REFUSED, false, message)),
    }
}

/// The answer of something before the gRPC server: it says nothing about records.
pub fn of_proxy(
    address: &str,
    status: StatusCode,
    after: Option<Duration>,
    body: &[u8],
) -> Result<Answer, DeliveryError> {
    let message = format!("{address} answers {status}: {}", excerpt(body));
    match status.as_u16() {
        413 => Ok(refused(TOO_LARGE, false, message)),
        429 | 500..600 => Err(later(message, after)),
        _ => Err(misconfigured(message)),
    }
}

/// The answer to a request over HTTP.
pub fn of_http(
    address: &str,
    status: StatusCode,
    after: Option<Duration>,
    body: &[u8],
) -> Result<Answer, DeliveryError> {
    let message = format!("{address} answers {status}: {}", excerpt(body));
    match status.as_u16() {
        200..300 => Ok(taken(body)),
        429 | 502 | 503 | 504 => Err(later(message, after)),
        413 => Ok(refused(TOO_LARGE, false, message)),
        300..=399 | 401 | 403 | 404 | 405 | 407 | 415 => Err(misconfigured(message)),
        // The receiver was not reached in time, or not at all: no word about records.
        408 | 425 => Err(later(message, after)),
        500..600 => Ok(refused(REFUSED, true, message)),
        _ => Ok(refused(REFUSED, false, message)),
    }
}

fn taken(message: &[u8]) -> Answer {
    // A success whose message can't be read is still one.
    let answer = ExportLogsServiceResponse::decode(message).unwrap_or_default();
    let partial = answer.partial_success.unwrap_or_default();
    let rejected = u64::try_from(partial.rejected_log_records).unwrap_or(0);
    if rejected > 0 || !partial.error_message.is_empty() {
        tracing::warn!(
            records = rejected,
            error = excerpt(partial.error_message.as_bytes()),
            "receiver did not take everything, or has a warning"
        );
    }
    Answer::Taken { rejected }
}

fn refused(reason: &'static str, doubtful: bool, message: String) -> Answer {
    Answer::Refused(Refusal { reason, doubtful, message })
}

fn misconfigured(message: String) -> DeliveryError {
    DeliveryError::Service(format!("{message}; check endpoint, protocol, auth and headers").into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grpc(code: u32) -> Result<Answer, DeliveryError> {
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", code.into());
        of_grpc("a", &HeaderMap::new(), Some(&trailers), b"")
    }

    #[test]
    fn codes_are_retried_halved_or_held_as_documented() {
        for code in [1, 4, 5, 7, 10, 11, 12, 14, 15, 16] {
            assert!(grpc(code).is_err(), "{code} is tried again");
        }
        for (code, reason, doubt) in [
            (2, REFUSED, true),
            (3, REFUSED, false),
            (6, REFUSED, false),
            (8, REFUSED, true),
            (9, REFUSED, false),
            (13, REFUSED, true),
            (99, REFUSED, false),
        ] {
            let Ok(Answer::Refused(refusal)) = grpc(code) else { panic!("{code} is refused") };
            assert_eq!((refusal.reason, refusal.doubtful), (reason, doubt), "{code}");
        }
        assert!(of_grpc("a", &HeaderMap::new(), None, b"").is_err(), "no status is no answer");
        let http = |code: u16| of_http("a", StatusCode::from_u16(code).unwrap(), None, b"");
        for code in [302, 401, 403, 404, 408, 429, 502, 503, 504] {
            assert!(http(code).is_err(), "{code} is tried again");
        }
        for (code, reason, doubt) in [(400, REFUSED, false), (413, TOO_LARGE, false), (500, REFUSED, true)] {
            let Ok(Answer::Refused(refusal)) = http(code) else { panic!("{code} is refused") };
            assert_eq!((refusal.reason, refusal.doubtful), (reason, doubt), "{code}");
        }
    }
}
