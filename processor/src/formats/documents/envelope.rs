//! What a JSON value of a list or a document is: a record, an envelope around records, a message.

use super::{ENVELOPES_MAX, MESSAGES, Reader};
use crate::formats::cloudtrail::columns::Taken;
use crate::formats::cloudtrail::parse::{LISTS, Record, Stop};
use crate::formats::cloudtrail::split;
use crate::formats::inflate::Window;
use crate::formats::intake::{Intake, Place};
use crate::formats::json::{Cursor, Fault, Kind, Value};
use crate::formats::vpc_flow::header;
use crate::formats::{FormatKind, Output};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use logq_schemas::Reason;
use std::borrow::Cow;

impl Reader<'_> {
    /// Takes an object: a record, or something that holds one. `raw` is what is rejected if not.
    pub(super) fn object<O: Output>(
        &mut self,
        record: &Record<'_>,
        place: Place,
        raw: &[u8],
        envelopes: u32,
        intake: &mut Intake<'_, O>,
    ) {
        if record.is_cloudtrail() {
            self.format.get_or_insert(FormatKind::CloudTrail);
            match self.cloudtrail.take(record, self.seen) {
                Taken::Row(event_time) => {
                    intake.row(event_time);
                    if self.cloudtrail.rows.is_full() {
                        self.cloudtrail.rows.flush(intake.output);
                    }
                }
                Taken::Duplicate => intake.duplicate(),
                Taken::Refused(reason, message) => {
                    intake.confirm();
                    intake.reject(reason, message, place, raw);
                }
            }
            return;
        }
        if envelopes < ENVELOPES_MAX {
            for name in MESSAGES {
                if let Some(message) = record.other(name).and_then(|value| value.text()) {
                    if let Some(group) = record.other("logGroup").and_then(|value| value.text()) {
                        self.flows.enter_group(&group, intake.context.flow_formats);
                    }
                    return self.message(&message, place, raw, envelopes + 1, intake);
                }
            }
            if let Some(message) = record.other("rawData").and_then(|value| failed_delivery(value, intake)) {
                return self.message(&message, place, raw, envelopes + 1, intake);
            }
            if self.inner(record, place, raw, envelopes, intake) {
                return;
            }
        }
        let message = match record.event_source {
            Some(source) if source.raw.starts_with("\"aws:") => {
                format!("an event notification of {}, not a CloudTrail record", source.raw)
            }
            _ => "JSON that is neither a CloudTrail record nor an envelope around one".to_owned(),
        };
        intake.reject(Reason::NotARecord, message, place, raw);
    }

    /// Takes the record in a member of an envelope, whatever the member is called; false if none
    /// holds one.
    fn inner<O: Output>(
        &mut self,
        record: &Record<'_>,
        place: Place,
        raw: &[u8],
        envelopes: u32,
        intake: &mut Intake<'_, O>,
    ) -> bool {
        for (key, value) in &record.unmapped {
            let name = key.raw.get(1..key.raw.len() - 1).unwrap_or("");
            match value.kind {
                Kind::Array if LISTS.contains(&name) => {
                    if let Some(group) = record.other("logGroup").and_then(|value| value.text()) {
                        self.flows.enter_group(&group, intake.context.flow_formats);
                    }
                    self.inner_list(value, place, envelopes, intake);
                    return true;
                }
                Kind::Object => {
                    let Ok((inner, _)) = Record::read(value.raw, 0, false) else { continue };
                    if inner.is_cloudtrail() || holds_record(&inner, envelopes + 1) {
                        self.object(&inner, place, raw, envelopes + 1, intake);
                        return true;
                    }
                }
                _ => {}
            }
        }
        false
    }

    /// A list inside an element: each of its elements is a record of its own.
    fn inner_list<O: Output>(
        &mut self,
        list: &Value<'_>,
        place: Place,
        envelopes: u32,
        intake: &mut Intake<'_, O>,
    ) {
        let _ = Cursor::new(list.raw, 0).array::<Fault>(|cursor| {
            let value = cursor.value()?;
            match Record::read(value.raw, 0, false) {
                Ok((inner, _)) if value.kind == Kind::Object => {
                    self.object(&inner, place, value.raw.as_bytes(), envelopes + 1, intake);
                }
                _ => {
                    let message = "an element of the list is no JSON object";
                    intake.reject(Reason::NotARecord, message, place, value.raw.as_bytes());
                }
            }
            Ok(())
        });
    }

    /// Takes what stands in a document before its list: the log group whose messages follow.
    pub(super) fn enter<O: Output>(&mut self, head: &str, intake: &mut Intake<'_, O>) {
        if intake.context.flow_formats.is_empty() {
            return;
        }
        let mut group = None;
        // The walk ends where the head does, in the middle of the document.
        let _ = Cursor::new(head, 0).object::<Fault>(|cursor, key| {
            let value = cursor.value()?;
            if key.raw == "\"logGroup\"" {
                group = value.text();
            }
            Ok(())
        });
        self.flows.enter_group(group.as_deref().unwrap_or(""), intake.context.flow_formats);
    }

    /// Takes an element that is no object: a row of a query's result, one object per column, or
    /// nothing that is known.
    pub(super) fn row<O: Output>(&mut self, element: &Value<'_>, place: Place, intake: &mut Intake<'_, O>) {
        let mut members = String::from("{");
        let columns = Cursor::new(element.raw, 0).array::<Fault>(|cursor| {
            let value = cursor.value()?;
            let inside = value.raw.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
            let inside = inside.ok_or(Fault::Cut)?.trim();
            if members.len() > 1 && !inside.is_empty() {
                members.push(',');
            }
            members.push_str(inside);
            Ok(())
        });
        members.push('}');
        let members = without_tokens(&members);
        let record = columns.ok().and_then(|()| Record::read(&members, 0, false).ok());
        match record {
            Some((record, _)) if record.is_cloudtrail() => {
                self.object(&record, place, element.raw.as_bytes(), 1, intake);
            }
            _ => {
                let message = "an element of the list is no JSON object";
                intake.reject(Reason::NotARecord, message, place, element.raw.as_bytes());
            }
        }
    }

    /// Takes what a string member of an envelope holds: a record as JSON, or a flow log line.
    fn message<O: Output>(
        &mut self,
        message: &str,
        place: Place,
        raw: &[u8],
        envelopes: u32,
        intake: &mut Intake<'_, O>,
    ) {
        let message = message.trim();
        if message.starts_with("CWL CONTROL MESSAGE") {
            return intake.skipped();
        }
        if let Some(layout) = header::layout(message.as_bytes()) {
            // The header line of a flow log file whose lines were wrapped one by one.
            self.flows.set_layout(layout);
            self.format.get_or_insert(FormatKind::VpcFlow);
            return intake.skipped();
        }
        if !message.starts_with('{') {
            if self.flows.line(message.as_bytes(), place, raw, intake, self.seen) {
                self.format.get_or_insert(FormatKind::VpcFlow);
            }
            return;
        }
        match Record::read(message, 0, false) {
            Ok((record, _)) => self.object(&record, place, raw, envelopes, intake),
            Err(stop) => {
                if intake.on_probation() && split::looks_like_cloudtrail(message.as_bytes()) {
                    intake.confirm();
                }
                let (reason, what) = match stop {
                    Stop::Fault(Fault::Malformed { what, .. }) => (Reason::InvalidJson, what),
                    _ => (Reason::TruncatedJson, "the message ends in the middle of the record"),
                };
                intake.reject(reason, what, place, raw);
            }
        }
    }
}

/// What Firehose could not transform or deliver, from its error record (`rawData`): base64 of what it
/// was given, which is compressed when it came from CloudWatch Logs.
fn failed_delivery<O: Output>(value: Value<'_>, intake: &Intake<'_, O>) -> Option<String> {
    let bytes = STANDARD.decode(value.text()?.as_bytes()).ok()?;
    let mut window = Window::open(&bytes, intake.context.limits.record_bytes_max as u64);
    while window.more() {}
    // A cut one is no whole message: the record is kept as it is.
    if window.damage().is_some() {
        return None;
    }
    String::from_utf8(window.data().to_vec()).ok()
}

/// JSON text without the session tokens that stand inside its strings: query results hold nested parts
/// of a record as text, `{credentials={sessionToken=…}}` or JSON.
fn without_tokens(text: &str) -> Cow<'_, str> {
    const NAME: &str = "essionToken"; // services write the first letter in either case
    if !text.contains(NAME) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    for (number, part) in text.split(NAME).enumerate() {
        if number == 0 {
            out.push_str(part);
            continue;
        }
        out.push_str(NAME);
        let token = part.trim_start_matches(['\\', '"', '=', ':', ' ']);
        out.push_str(part.get(..part.len() - token.len()).unwrap_or(""));
        let of_token = |c: char| c.is_ascii_alphanumeric() || "+/=_-.%".contains(c);
        out.push_str(token.trim_start_matches(of_token));
    }
    Cow::Owned(out)
}

/// Whether an object that is no record holds one, one level down or in a message.
fn holds_record(record: &Record<'_>, envelopes: u32) -> bool {
    if envelopes >= ENVELOPES_MAX {
        return false;
    }
    record.unmapped.iter().any(|(key, value)| match value.kind {
        Kind::Object => Record::read(value.raw, 0, false).is_ok_and(|(inner, _)| inner.is_cloudtrail()),
        Kind::Text { .. } => MESSAGES.contains(&key.raw.get(1..key.raw.len() - 1).unwrap_or("")),
        _ => false,
    })
}
