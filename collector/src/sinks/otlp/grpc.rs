//! The little of gRPC a unary call needs ("gRPC over HTTP2", the protocol's specification).
//!
//! The client is the one all HTTP sinks use, so that certificates, proxies and rotation work alike.
//! And because the status is read here, one the receiver sent can't be mistaken for a failure on the
//! way to it.

use crate::sinks::endpoint::excerpt;
use ::http::header::HeaderMap;
use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use prost::Message as _;
use std::io;
use std::time::Duration;

/// Where logs are exported to.
pub const PATH: &str = "/opentelemetry.proto.collector.logs.v1.LogsService/Export";

/// Writers leave the padding out, readers must take both.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// How a call ended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Status {
    /// Code; 0 is success.
    pub code: u32,
    /// What the receiver says.
    pub message: String,
    /// The pause it asks for.
    pub retry: Option<Duration>,
}

/// `google.rpc.Status`, as far as it is needed.
#[derive(Clone, PartialEq, prost::Message)]
struct Details {
    #[prost(message, repeated, tag = "3")]
    details: Vec<Any>,
}

/// `google.protobuf.Any`.
#[derive(Clone, PartialEq, prost::Message)]
struct Any {
    #[prost(string, tag = "1")]
    type_url: String,
    #[prost(bytes = "vec", tag = "2")]
    value: Vec<u8>,
}

/// `google.rpc.RetryInfo`.
#[derive(Clone, PartialEq, prost::Message)]
struct RetryInfo {
    #[prost(message, optional, tag = "1")]
    delay: Option<Delay>,
}

/// `google.protobuf.Duration`.
#[derive(Clone, PartialEq, prost::Message)]
struct Delay {
    #[prost(int64, tag = "1")]
    seconds: i64,
    #[prost(int32, tag = "2")]
    nanos: i32,
}

/// A message with its prefix.
///
/// # Errors
/// When it has 4 GiB or more.
pub fn frame(message: Vec<u8>, packed: bool) -> io::Result<Vec<u8>> {
    let len = u32::try_from(message.len()).map_err(io::Error::other)?;
    let mut out = Vec::with_capacity(message.len() + 5);
    out.push(u8::from(packed));
    out.extend_from_slice(&len.to_be_bytes());
    out.extend_from_slice(&message);
    Ok(out)
}

/// The message of an answer; none when there is none or it is packed, which was not asked for.
pub fn unframe(body: &[u8]) -> Option<&[u8]> {
    let (prefix, rest) = body.split_at_checked(5)?;
    let len = u32::from_be_bytes(prefix.get(1..)?.try_into().ok()?);
    rest.get(..usize::try_from(len).ok()?).filter(|_| prefix[0] == 0)
}

/// The status in trailers, or in the headers of an answer without a body.
pub fn status(headers: &HeaderMap) -> Option<Status> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let code = text("grpc-status")?.parse().ok()?;
    let message = excerpt(&percent_decoded(text("grpc-message").unwrap_or_default()));
    let details = text("grpc-status-details-bin").and_then(|details| BASE64.decode(details).ok());
    Some(Status { code, message, retry: details.and_then(|details| retry(&details)) })
}

fn retry(details: &[u8]) -> Option<Duration> {
    let details = Details::decode(details).ok()?.details;
    let info = details.iter().find(|any| any.type_url.ends_with("/google.rpc.RetryInfo"))?;
    let delay = RetryInfo::decode(&info.value[..]).ok()?.delay.unwrap_or_default();
    let (seconds, nanos) = (u64::try_from(delay.seconds).ok()?, u32::try_from(delay.nanos).ok()?);
    Some(Duration::from_secs(seconds) + Duration::from_nanos(u64::from(nanos)))
}

fn percent_decoded(text: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let digits = tail.get(..2).and_then(|two| std::str::from_utf8(two).ok());
        match digits.and_then(|two| u8::from_str_radix(two, 16).ok()).filter(|_| *first == b'%') {
            Some(byte) => {
                out.push(byte);
                rest = &tail[2..];
            }
            None => {
                out.push(*first);
                rest = tail;
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_has_its_message_and_its_pause() {
        let delay = Some(Delay { seconds: 3, nanos: 500_000_000 });
        let info = RetryInfo { delay }.encode_to_vec();
        let other = Any { type_url: "type.googleapis.com/google.rpc.Help".into(), value: vec![1] };
        let any = Any { type_url: "type.googleapis.com/google.rpc.RetryInfo".into(), value: info };
        let details = Details { details: vec![other, any] }.encode_to_vec();
        let mut headers = HeaderMap::new();
        assert_eq!(status(&headers), None);
        headers.insert("grpc-status", "8".parse().unwrap());
        headers.insert("grpc-message", "slow%20down%0a100%".parse().unwrap());
        assert_eq!(status(&headers).unwrap().retry, None);
        for encoded in [BASE64.encode(&details), BASE64.encode(&details).trim_end_matches('=').to_owned()] {
            headers.insert("grpc-status-details-bin", encoded.parse().unwrap());
            let status = status(&headers).unwrap();
            assert_eq!((status.code, status.message.as_str()), (8, "slow down 100%"));
            assert_eq!(status.retry, Some(Duration::from_millis(3500)));
        }
    }

    #[test]
    fn a_frame_is_read_back_and_a_cut_one_is_not() {
        let framed = frame(b"abc".to_vec(), false).unwrap();
        assert_eq!(unframe(&framed), Some(&b"abc"[..]));
        assert_eq!(unframe(&framed[..7]), None);
        assert_eq!(unframe(&frame(b"abc".to_vec(), true).unwrap()), None);
        assert_eq!(unframe(b""), None);
    }
}
