//! Lines of a landing object.
#![no_main]
use logq_fuzz::{PLAIN, check};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let head = b"{\"landing\":1,\"cluster\":\"c\",\"node\":\"n\"}\n{\"stream\":0,\"id\":\"4f0c\",\"pod\":\"p\"}\n{\"s\":0,\"o\":0,\"t\":\"2026-11-22T10:00:00Z\",";
    check(PLAIN, &[head.as_slice(), bytes].concat());
    check(PLAIN, bytes);
});
