//! Severity and trace context of a JSON body in one pass over its keys: values are skipped, not
//! parsed, with the vector instructions of `sonic-rs`. What needs more than that (a nested `log`,
//! `trace` or `span` object, a level written as a number) is left to the careful reader.

use logq_schemas::body::{Understood, severity, structured};
use sonic_rs::{JsonValueTrait as _, LazyValue};
use std::borrow::Cow;

/// What a JSON object tells; `None` when it is none.
pub fn read(line: &str) -> Option<Understood<'_>> {
    if !line.starts_with('{') || !line.ends_with('}') {
        return None;
    }
    let mut understood = Understood::default();
    for member in sonic_rs::to_object_iter(line) {
        let (key, value) = member.ok()?;
        match key.as_bytes() {
            b"level" | b"severity" | b"lvl" | b"loglevel" | b"log_level" | b"log.level" | b"levelname"
            | b"severity_text" | b"severityText" | b"@l" | b"LEVEL" | b"Level" => {
                let Some(text) = value.as_str() else { return structured::json(line) };
                understood.severity_number = severity::number(text);
                understood.severity_text = Some(Cow::Owned(text.to_owned()));
            }
            b"trace_id" | b"traceId" | b"traceID" | b"trace.id" | b"otelTraceID" | b"TraceId" => {
                understood.trace_id = understood.trace_id.take().or_else(|| hex(&value, 32));
            }
            b"span_id" | b"spanId" | b"spanID" | b"span.id" | b"otelSpanID" | b"SpanId" => {
                understood.span_id = understood.span_id.take().or_else(|| hex(&value, 16));
            }
            b"log" | b"trace" | b"span" | b"traceparent" => return structured::json(line),
            _ => {}
        }
    }
    Some(understood)
}

fn hex(value: &LazyValue<'_>, digits: usize) -> Option<String> {
    let text = value.as_str().filter(|text| text.len() == digits)?;
    let zero = text.bytes().all(|byte| byte == b'0');
    (!zero && text.bytes().all(|byte| byte.is_ascii_hexdigit())).then(|| text.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fast_reader_and_the_careful_one_agree() {
        for line in [
            r#"{"level":"warn","trace_id":"0AF7651916cd43dd8448eb211c80319c","span_id":"b7ad6b7169203331"}"#,
            r#"{"msg":"level","x":{"level":"error"},"severity":"ERROR"}"#,
            r#"{"level":50}"#,
            r#"{"log":{"level":"info"}}"#,
            r#"{"traceparent":"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}"#,
            r#"{"level":"odd one","trace_id":"short"}"#,
            r#"{"trace_id":"00000000000000000000000000000000"}"#,
            "{}",
            r#"{"a":[1,{"b":"}"}],"level":"in\u0066o"}"#,
        ] {
            let (fast, careful) = (read(line).unwrap(), structured::json(line).unwrap());
            let known = |understood: &Understood<'_>| {
                let text = understood.severity_text.as_deref().map(str::to_owned);
                (understood.severity_number, text, understood.trace_id.clone(), understood.span_id.clone())
            };
            assert_eq!(known(&fast), known(&careful), "{line}");
        }
    }

    #[test]
    fn what_is_no_object_is_none() {
        for line in ["", "{", "{\"a\":}", "[1]", "{\"a\" 1}", "text}", "{\"level\":\"x\" \"y\":1}"] {
            assert!(read(line).is_none(), "{line}");
        }
    }
}
