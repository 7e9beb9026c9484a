//! Envelopes: CloudWatch Logs subscriptions, EventBridge, LookupEvents, query results.
#![no_main]
use logq_fuzz::{PLAIN, check};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    for opening in [
        r#"{"messageType":"DATA_MESSAGE","owner":"1","logGroup":"/vpc/a","logEvents":["#,
        r#"{"Events":[{"CloudTrailEvent":"#,
        r#"{"QueryResultRows":[["#,
        r#"{"detail-type":"x","detail":"#,
    ] {
        check(PLAIN, &[opening.as_bytes(), bytes].concat());
    }
});
