//! Whole objects under every kind of location.
#![no_main]
use logq_fuzz::{DECLARED, PLAIN, TRAIL, check};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    for location in [PLAIN, TRAIL, DECLARED] {
        check(location, bytes);
    }
});
