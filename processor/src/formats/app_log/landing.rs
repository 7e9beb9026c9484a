//! Landing objects, version 1: see [`logq_schemas::landing`].
//!
//! Every good record is taken, also from an object that was cut or damaged: a bad line is rejected
//! by itself, and a missing or wrong trailer is reported beside the records found. Several landing
//! objects in one file, one after the other, are read as that.

use super::columns::{Columns, Entry, Origin, Parsed};
use crate::formats::inflate::Window;
use crate::formats::intake::{Intake, Place};
use crate::formats::json::{Cursor, Fault, Value};
use crate::formats::lines::{self, Line};
use crate::formats::seen::Seen;
use crate::formats::{FormatKind, Output, time};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use logq_schemas::Reason;
use logq_schemas::landing::{Header, Stream, Trailer, VERSION};
use std::borrow::Cow;
use std::collections::HashMap;

/// Reads a landing object.
pub fn read<O: Output>(window: &mut Window<'_>, intake: &mut Intake<'_, O>, seen: &mut Seen) -> FormatKind {
    if let Some(version) = first_version(window.data()).filter(|version| *version != u64::from(VERSION)) {
        let message = version_message(version);
        intake.reject_object(Reason::UnknownLandingVersion, message, 0, window.data());
        window.drain();
        return FormatKind::Landing;
    }
    let mut reader = Reader {
        columns: Columns::new(intake.object, intake.context),
        seen,
        header: None,
        origins: HashMap::new(),
        lines: 0,
        trailer: None,
        foreign: None,
    };
    lines::each(window, intake, |intake, line| reader.line(&line, intake));
    if window.damage().is_none() {
        reader.close(window.offset(), intake);
    }
    reader.columns.flush(intake.output);
    FormatKind::Landing
}

fn version_message(version: u64) -> String {
    format!(
        "landing format version {version}, this processor reads {VERSION}: upgrade the processor, then replay it"
    )
}

fn first_version(data: &[u8]) -> Option<u64> {
    let line = data.split(|byte| *byte == b'\n').find(|line| !line.trim_ascii().is_empty())?;
    let text = std::str::from_utf8(line).ok()?;
    let mut cursor = Cursor::new(text, 0);
    let mut version = None;
    let _ = cursor.object::<Fault>(|cursor, key| {
        let value = cursor.value()?;
        if key.raw == "\"landing\"" {
            version = value.raw.parse().ok();
        }
        Ok(())
    });
    version
}

struct Reader<'s> {
    columns: Columns,
    seen: &'s mut Seen,
    header: Option<Header>,
    origins: HashMap<u32, Origin>,
    /// Record lines since the header, the bad ones included.
    lines: u64,
    trailer: Option<u64>,
    /// The version of a later header that this code does not read.
    foreign: Option<u64>,
}

/// The members of a line; which are there says what it is.
#[derive(Default)]
struct Members<'a> {
    landing: Option<Value<'a>>,
    stream: Option<Value<'a>>,
    end: Option<Value<'a>>,
    s: Option<Value<'a>>,
    o: Option<Value<'a>>,
    t: Option<Value<'a>>,
    b: Option<Value<'a>>,
    b64: Option<Value<'a>>,
    cut: Option<Value<'a>>,
    n: Option<Value<'a>>,
    sv: Option<Value<'a>>,
    tr: Option<Value<'a>>,
    sp: Option<Value<'a>>,
    a: Option<Value<'a>>,
}

impl<'a> Members<'a> {
    fn read(text: &'a str) -> Result<Self, Fault> {
        let mut members = Self::default();
        let mut cursor = Cursor::new(text, 0);
        cursor.object::<Fault>(|cursor, key| {
            let value = cursor.value()?;
            match key.raw {
                "\"s\"" => members.s = Some(value),
                "\"o\"" => members.o = Some(value),
                "\"t\"" => members.t = Some(value),
                "\"b\"" => members.b = Some(value),
                "\"b64\"" => members.b64 = Some(value),
                "\"cut\"" => members.cut = Some(value),
                "\"n\"" => members.n = Some(value),
                "\"sv\"" => members.sv = Some(value),
                "\"tr\"" => members.tr = Some(value),
                "\"sp\"" => members.sp = Some(value),
                "\"a\"" => members.a = Some(value),
                "\"landing\"" => members.landing = Some(value),
                "\"stream\"" => members.stream = Some(value),
                "\"end\"" => members.end = Some(value),
                _ => {}
            }
            Ok(())
        })?;
        match cursor.peek() {
            Err(_) => Ok(members),
            Ok(_) => Err(Fault::Malformed { at: cursor.at(), what: "text after the object" }),
        }
    }
}

type Refusal = (Reason, Cow<'static, str>);

impl Reader<'_> {
    fn line<O: Output>(&mut self, line: &Line<'_>, intake: &mut Intake<'_, O>) {
        if line.bytes.trim_ascii().is_empty() {
            return;
        }
        if let Err((reason, message)) = self.read(line, intake) {
            self.lines += 1;
            intake.reject(reason, message, line.place, line.bytes);
        }
    }

    fn read<O: Output>(&mut self, line: &Line<'_>, intake: &mut Intake<'_, O>) -> Result<(), Refusal> {
        let text = simdutf8::basic::from_utf8(line.bytes)
            .map_err(|_| (Reason::NotUtf8, Cow::Borrowed("the line is not UTF-8")))?;
        let members = Members::read(text).map_err(|fault| match fault {
            Fault::Cut => (Reason::TruncatedJson, Cow::Borrowed("the line ends in the middle of its object")),
            Fault::Malformed { at, what } => {
                (Reason::InvalidJson, Cow::Owned(format!("{what} at byte {at} of the line")))
            }
        })?;
        if members.landing.is_some() {
            return self.open(text, line, intake);
        }
        if let Some(version) = self.foreign {
            return Err((Reason::UnknownLandingVersion, Cow::Owned(version_message(version))));
        }
        if members.s.is_some() {
            return self.record(&members, line.place, intake);
        }
        if members.stream.is_some() {
            let stream: Stream = serde_json::from_str(text).map_err(not_a("stream line"))?;
            let header = self.header.clone().unwrap_or_else(empty_header);
            self.origins.insert(stream.stream, Origin::new(stream, &header));
            return Ok(());
        }
        if members.end.is_some() {
            let trailer: Trailer = serde_json::from_str(text).map_err(not_a("trailer"))?;
            self.trailer = Some(trailer.end);
            return Ok(());
        }
        Err((Reason::NotARecord, Cow::Borrowed("neither a header, a stream, a record nor a trailer")))
    }

    fn open<O: Output>(
        &mut self,
        text: &str,
        line: &Line<'_>,
        intake: &mut Intake<'_, O>,
    ) -> Result<(), Refusal> {
        if self.header.is_some() || self.foreign.is_some() {
            self.close(line.place.offset, intake);
        }
        self.origins.clear();
        self.lines = 0;
        self.trailer = None;
        self.header = None;
        self.foreign = None;
        let header: Header = serde_json::from_str(text).map_err(not_a("header"))?;
        if header.landing != VERSION {
            let version = u64::from(header.landing);
            self.foreign = Some(version);
            return Err((Reason::UnknownLandingVersion, Cow::Owned(version_message(version))));
        }
        self.header = Some(header);
        Ok(())
    }

    /// Compares the trailer with what was read.
    fn close<O: Output>(&mut self, offset: u64, intake: &mut Intake<'_, O>) {
        if self.foreign.is_some() {
            return;
        }
        let message = match self.trailer {
            Some(end) if end == self.lines => return,
            Some(end) => format!("the trailer counts {end} records, the object holds {}", self.lines),
            None => format!(
                "no trailer after {} records: the object was cut; fetch or upload it again, then replay it",
                self.lines
            ),
        };
        intake.reject_object(Reason::IncompleteLanding, message, offset, b"");
    }

    fn record<O: Output>(
        &mut self,
        members: &Members<'_>,
        place: Place,
        intake: &mut Intake<'_, O>,
    ) -> Result<(), Refusal> {
        let number = members.s.and_then(|value| value.raw.parse::<u32>().ok());
        let Some(origin) = number.and_then(|number| self.origins.get(&number)) else {
            let shown = members.s.map_or("", |value| value.raw);
            let message = format!("record of stream {shown}, which no line before it describes");
            return Err((Reason::NotARecord, Cow::Owned(message)));
        };
        let offset =
            members.o.and_then(|value| value.raw.parse::<u64>().ok()).ok_or_else(|| missing("o", place))?;
        let observed = observed(members.t)?;
        let cut = members.cut.and_then(|value| value.text());
        let (body, bytes) = body(members)?;
        let text = |value: Option<Value<'_>>| value.and_then(|value| value.text()).map(Cow::into_owned);
        let parsed = Parsed {
            severity_number: members.n.and_then(|value| value.raw.parse().ok()),
            severity_text: text(members.sv),
            trace_id: text(members.tr),
            span_id: text(members.sp),
            attributes: members.a.map(|value| value.raw),
        };
        let (bytes, cut) = (bytes.as_deref(), cut.as_deref());
        let entry = Entry { offset, observed, body: &body, bytes, cut, parsed };
        match self.columns.take(origin, &entry, self.seen, intake.output) {
            Some(event_time) => intake.row(event_time),
            None => intake.duplicate(),
        }
        self.lines += 1;
        Ok(())
    }
}

fn missing(name: &str, place: Place) -> Refusal {
    (Reason::BadField, Cow::Owned(format!("member {name} is missing or no number in line {}", place.number)))
}

fn not_a(what: &'static str) -> impl Fn(serde_json::Error) -> Refusal {
    move |error| (Reason::NotARecord, Cow::Owned(format!("not a {what} of the landing format: {error}")))
}

fn empty_header() -> Header {
    Header {
        landing: VERSION,
        cluster: String::new(),
        node: String::new(),
        segment: String::new(),
        collector: String::new(),
    }
}

fn observed(value: Option<Value<'_>>) -> Result<i64, Refusal> {
    let Some(text) = value.and_then(|value| value.text()) else {
        return Err((Reason::MissingTime, Cow::Borrowed("record has no t")));
    };
    match time::parse(&text) {
        Some(parsed) if time::in_range(parsed.micros) => Ok(parsed.micros),
        _ => {
            let shown: String = text.chars().take(64).collect();
            Err((
                Reason::BadTime,
                Cow::Owned(format!("t {shown:?} is not an RFC 3339 time from 1970 to 2261")),
            ))
        }
    }
}

type Body<'a> = (Cow<'a, str>, Option<Vec<u8>>);

fn body<'a>(members: &Members<'a>) -> Result<Body<'a>, Refusal> {
    if let Some(text) = members.b.and_then(|value| value.text()) {
        return Ok((text, None));
    }
    let Some(encoded) = members.b64.and_then(|value| value.text()) else {
        return Err((Reason::NotARecord, Cow::Borrowed("record has neither b nor b64")));
    };
    let bytes = STANDARD
        .decode(encoded.as_bytes())
        .map_err(|error| (Reason::BadField, Cow::Owned(format!("b64 is not base64: {error}"))))?;
    // Bytes that turn out to be text need no second copy.
    match String::from_utf8(bytes) {
        Ok(text) => Ok((Cow::Owned(text), None)),
        Err(error) => {
            let bytes = error.into_bytes();
            let shown = String::from_utf8_lossy(&bytes).into_owned();
            Ok((Cow::Owned(shown), Some(bytes)))
        }
    }
}
