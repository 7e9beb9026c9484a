//! What a JSON value of a list or a document is: a record, an envelope around records, a message.

use super::{ENVELOPES_MAX, MESSAGES, Reader};
use crate::formats::cloudtrail::columns::Taken;
use crate::formats::cloudtrail::parse::{LISTS, Record, Stop};
use crate::formats::cloudtrail::split;
use crate::formats::intake::{Intake, Place};
use crate::formats::json::{Cursor, Fault, Kind, Value};
use crate::formats::vpc_flow::header;
use crate::formats::{FormatKind, Output};
use logq_schemas::Reason;

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
                    return self.message(&message, place, raw, envelopes + 1, intake);
                }
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
