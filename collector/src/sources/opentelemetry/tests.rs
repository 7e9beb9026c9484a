//! What a request becomes, and that no bytes are too odd.

use super::{json, records};
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use prost::Message as _;

const REQUEST: &str = r#"{"resourceLogs":[{
  "resource":{"attributes":[
    {"key":"service.name","value":{"stringValue":"api"}},
    {"key":"k8s.pod.name","value":{"stringValue":"api-1"}},
    {"key":"cloud.region","value":{"stringValue":"eu-west-1"}}]},
  "scopeLogs":[{"scope":{"name":"lib"},"logRecords":[
    {"timeUnixNano":"1763805600123456789","severityNumber":17,"severityText":"ERROR",
     "traceId":"5B8EFFF798038103D269B633813FC60C","spanId":"EEE19B7EC3C1B174",
     "body":{"stringValue":"hello"},"later":1,
     "attributes":[{"key":"n","value":{"intValue":"7"}},{"key":"d","value":{"doubleValue":1.5}}]},
    {"observedTimeUnixNano":1763805600000000001,
     "body":{"kvlistValue":{"values":[{"key":"a","value":{"arrayValue":{"values":[{"boolValue":true}]}}}]}}},
    {"traceId":"aa","body":{"stringValue":"wrong id"}}]}]}]}"#;

fn take(request: ExportLogsServiceRequest) -> (super::Push, i64) {
    records::push("in", request, 1)
}

#[test]
fn a_request_is_mapped_member_by_member() {
    let request = json::read(REQUEST.as_bytes()).unwrap();
    let (push, rejected) = take(request);
    assert_eq!((push.records.len(), rejected), (2, 1));
    let about = &push.streams[0];
    assert_eq!((about.service.as_str(), about.pod.as_str(), about.source.as_str()), ("api", "api-1", "in"));
    assert_eq!(about.resource["cloud.region"], "eu-west-1");
    assert_eq!(about.resource["otel.scope.name"], "lib");
    let first = &push.records[0];
    assert_eq!((first.time.as_str(), &first.body[..]), ("2025-11-22T10:00:00.123456789Z", &b"hello"[..]));
    assert_eq!((first.extra.severity_number, first.extra.severity_text.as_str()), (17, "ERROR"));
    assert_eq!(first.extra.trace_id, "5b8efff798038103d269b633813fc60c");
    assert_eq!(first.extra.span_id, "eee19b7ec3c1b174");
    assert_eq!(serde_json::json!(first.extra.attributes), serde_json::json!({"n": 7, "d": 1.5}));
    let second = &push.records[1];
    assert_eq!((second.offset, &second.body[..]), (1, &br#"{"a":[true]}"#[..]));
    assert_eq!(second.time, "2025-11-22T10:00:00.000000001Z");
}

#[test]
fn a_repeated_request_has_the_same_identities_and_another_one_its_own() {
    let request = json::read(REQUEST.as_bytes()).unwrap();
    let again = ExportLogsServiceRequest::decode(&request.encode_to_vec()[..]).unwrap();
    let other = json::read(REQUEST.replace("hello", "hallo").as_bytes()).unwrap();
    let id = |request| take(request).0.streams[0].id.clone();
    let first = id(request);
    assert_eq!(first, id(again));
    assert_ne!(first, id(other));
}

#[test]
fn members_of_the_wrong_type_are_named() {
    for (text, part) in [
        (r#"{"resourceLogs":{}}"#, "resourceLogs"),
        (r#"{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"traceId":"zz"}]}]}]}"#, "traceId"),
        (r#"{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"body":{"intValue":"x"}}]}]}]}"#, "intValue"),
        ("{", "EOF"),
    ] {
        let error = json::read(text.as_bytes()).unwrap_err();
        assert!(error.contains(part), "{text}: {error}");
    }
}

proptest::proptest! {
    #[test]
    fn no_bytes_are_too_odd(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..300)) {
        drop(json::read(&bytes));
        if let Ok(request) = ExportLogsServiceRequest::decode(&bytes[..]) {
            drop(take(request));
        }
    }
}
