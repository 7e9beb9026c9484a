//! Bodies of log lines: whatever is understood of one is well-formed.
#![no_main]
use logq_schemas::body::understand;
use logq_schemas::text::address;

libfuzzer_sys::fuzz_target!(|body: &str| {
    let understood = understand(body);
    if let Some(attributes) = &understood.attributes {
        let read: Result<serde_json::Value, _> = serde_json::from_str(attributes);
        // Deeper nesting, larger numbers and lone surrogates are JSON that this library refuses.
        assert!(read.is_ok() || body.trim_start().starts_with('{'), "{attributes}");
    }
    if let Some(ip) = &understood.src_ip {
        assert_eq!(address::canonical(ip).as_deref(), Some(ip.as_ref()));
    }
    assert!(understood.severity_number.is_none_or(|number| (1..=24).contains(&number)));
    assert!(understood.duration_ms.is_none_or(f64::is_finite));
});
