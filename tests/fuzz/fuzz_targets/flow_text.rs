//! Flow log lines under a header, without one, and in a declared format.
#![no_main]
use logq_fuzz::{DECLARED, PLAIN, check};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let header = b"version account-id srcaddr dstaddr srcport bytes start end action log-status new-field\n";
    check(PLAIN, &[header.as_slice(), bytes].concat());
    check(DECLARED, bytes);
    let line = b"2 123456789010 eni-1 10.0.0.1 10.0.0.2 1 22 6 20 4249 1418530010 1418530070 ACCEPT OK";
    check(PLAIN, &[line.as_slice(), bytes].concat());
});
