//! SQS message bodies in every dialect.
#![no_main]
use logq_fuzz::notification::{Notification, parse};

libfuzzer_sys::fuzz_target!(|body: &str| {
    if let Ok(Notification::Created(objects)) = parse(body) {
        assert!(objects.iter().all(|object| object.key.len() <= 3 * body.len()));
    }
    let wrapped = serde_json::json!({"Type": "Notification", "Message": body}).to_string();
    let _ = parse(&wrapped);
});
