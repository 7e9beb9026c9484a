//! One CloudTrail record, in a list and alone: its fields and what the JSON walk makes of them.
#![no_main]
use logq_fuzz::{TRAIL, check};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    check(TRAIL, bytes);
    let record =
        br#"{"eventVersion":"1.08","eventTime":"2024-05-01T10:00:00Z","eventName":"X","eventID":"1","#;
    check(TRAIL, &[b"{\"Records\":[".as_slice(), record, bytes, b"},", record, b"\"x\":1}]}"].concat());
});
