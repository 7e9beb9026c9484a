//! JSON objects: how records are packed into documents, and how reading goes on after damage.
//!
//! Any sequence of documents is read, with or without line ends between them: log files
//! (`{"Records":[…]}`), arrays of records, single records, one record a line, EventBridge events
//! (`detail`), LookupEvents answers (`CloudTrailEvent` holds the record as a string), results of
//! CloudTrail Lake queries (`QueryResultRows`), CloudWatch Logs subscriptions and exports
//! (`logEvents`, `message`), and what Firehose failed to deliver (`rawData`). A message that is no JSON
//! is read as a flow log line, for flow logs delivered through CloudWatch Logs, in the format declared
//! for its `logGroup`.
//!
//! Records are handed out as they arrive: memory holds one chunk and at most one record. A damaged
//! record is rejected with its bytes and reading goes on with the next one.

mod envelope;

use super::cloudtrail::columns::Columns;
use super::cloudtrail::parse::{LISTS, Record, Stop};
use super::cloudtrail::split::{self, Scan};
use super::inflate::Window;
use super::intake::{Intake, Place};
use super::json::{Cursor, Fault};
use super::seen::Seen;
use super::vpc_flow::Flows;
use super::{FormatKind, Output, time};
use logq_schemas::Reason;

/// Envelopes within envelopes that are followed: a subscription message may hold an event that
/// holds a record.
const ENVELOPES_MAX: u32 = 4;

/// Members that hold a record, or a line, as a string.
const MESSAGES: [&str; 5] = ["CloudTrailEvent", "message", "_raw", "@message", "Message"];

/// Reads every record of the object; the format is that of the first record recognised.
pub fn read<O: Output>(window: &mut Window<'_>, intake: &mut Intake<'_, O>, seen: &mut Seen) -> FormatKind {
    let trusted =
        intake.object.location.contains("/CloudTrail/") || intake.object.location.contains("_CloudTrail_");
    if !trusted {
        intake.probation();
    }
    let mut reader = Reader {
        cloudtrail: Columns::new(intake.object, intake.context),
        flows: Flows::new(intake.object, intake.context),
        seen,
        state: State::Between,
        number: 0,
        listed: trusted,
        damaged: false,
        format: None,
    };
    reader.run(window, intake);
    reader.cloudtrail.rows.flush(intake.output);
    reader.flows.flush(intake.output);
    let format = reader.format;
    match format {
        Some(format) => format,
        None if !intake.on_probation() => FormatKind::CloudTrail,
        None if reader.listed && reader.number == 0 => {
            intake.confirm();
            FormatKind::CloudTrail
        }
        None => FormatKind::Unknown,
    }
}

#[derive(Debug, Clone, Copy)]
enum State {
    /// Before a document.
    Between,
    /// In a list of records; `member` when the list is a member of a document.
    List { member: bool },
    /// After the list, inside its document.
    Tail,
    /// Passing by a record that is too large; then on in a list, or between documents.
    Skip { scan: Scan, list: Option<bool> },
    /// The object is of no known format.
    Hopeless,
}

struct Reader<'s> {
    cloudtrail: Columns,
    flows: Flows,
    seen: &'s mut Seen,
    state: State,
    number: u64,
    /// Whether a list called `Records` was seen, which makes an empty one a CloudTrail object.
    listed: bool,
    /// Whether a record was damaged: stray closing brackets after it are no news.
    damaged: bool,
    format: Option<FormatKind>,
}

/// What one step over the text did.
enum Step {
    /// Went on to this position.
    To(usize),
    /// Needs more text, from this position on.
    More(usize),
}

impl Reader<'_> {
    fn run<O: Output>(&mut self, window: &mut Window<'_>, intake: &mut Intake<'_, O>) {
        loop {
            let base = window.offset();
            let data = window.data();
            let text = valid_prefix(data);
            let last = window.is_ended();
            // A character whose other half is still to come is not there yet.
            let data = if cut_character(data, text.len(), last) { text.as_bytes() } else { data };
            let used = self.advance(data, text, base, last, intake);
            let stuck = used == 0;
            window.consume(used);
            if matches!(self.state, State::Hopeless) {
                window.drain();
                return;
            }
            if window.data().is_empty() && last {
                return self.end(window, intake);
            }
            if !window.more() && (stuck || window.data().is_empty()) {
                if !last {
                    continue; // the end is only known now
                }
                return self.end(window, intake);
            }
        }
    }

    /// The text is over: what is left is a cut record, or nothing.
    fn end<O: Output>(&mut self, window: &mut Window<'_>, intake: &mut Intake<'_, O>) {
        let rest = window.data();
        if intake.on_probation() && split::looks_like_cloudtrail(rest) {
            intake.confirm();
        }
        if window.damage().is_some() {
            return; // reported with the damage
        }
        let inside = match self.state {
            State::Between => !rest.iter().all(|byte| byte.is_ascii_whitespace() || *byte == b','),
            State::List { .. } | State::Tail => true,
            State::Skip { .. } | State::Hopeless => false,
        };
        if inside {
            self.salvage(rest, window.offset(), intake);
            self.number += 1;
            let place = Place { offset: window.offset(), number: self.number };
            let message = format!(
                "the document ends after {} records, in the middle of {}; fetch or upload the object again, then replay it",
                self.number - 1,
                if rest.trim_ascii().is_empty() { "the list" } else { "a record" }
            );
            intake.reject(Reason::TruncatedJson, message, place, rest);
        }
        window.consume(window.data().len());
    }

    /// Takes as many records as the text holds; returns how many bytes of `data` are done with.
    fn advance<O: Output>(
        &mut self,
        data: &[u8],
        text: &str,
        base: u64,
        last: bool,
        intake: &mut Intake<'_, O>,
    ) -> usize {
        let mut at = 0;
        loop {
            if intake.is_hopeless() {
                self.state = State::Hopeless;
            }
            // Bytes that are not UTF-8 end the text: only recovery goes past them.
            let step = match self.state {
                State::Hopeless => return data.len(),
                State::Skip { scan, list } => self.skip(data, at, scan, list),
                _ if at > text.len() => return at,
                State::Between => self.between(data, text, at, base, last, intake),
                State::List { member } => self.list(data, text, at, base, last, member, intake),
                State::Tail => self.tail(data, text, at, base, last, intake),
            };
            match step {
                Step::To(next) => at = next,
                Step::More(from) => return from,
            }
        }
    }

    fn skip(&mut self, data: &[u8], at: usize, mut scan: Scan, list: Option<bool>) -> Step {
        let bytes = data.get(at..).unwrap_or(&[]);
        let structural = scan.feed(bytes);
        let opener = split::next_opener(bytes, 1, structural.unwrap_or(bytes.len()));
        match opener.or(structural) {
            Some(end) => {
                self.damaged |= opener.is_some();
                self.state = list.map_or(State::Between, |member| State::List { member });
                Step::To(at + end)
            }
            None => {
                self.state = State::Skip { scan, list };
                Step::More(data.len())
            }
        }
    }

    fn between<O: Output>(
        &mut self,
        data: &[u8],
        text: &str,
        at: usize,
        base: u64,
        last: bool,
        intake: &mut Intake<'_, O>,
    ) -> Step {
        let bytes = text.as_bytes();
        let mut at = at;
        // RS (0x1e) separates documents in JSON text sequences; commas stand between pasted ones.
        while bytes.get(at).is_some_and(|byte| byte.is_ascii_whitespace() || matches!(byte, b',' | 0x1e)) {
            at += 1;
        }
        match bytes.get(at) {
            Some(b'{') => self.element(data, text, at, base, last, None, intake),
            Some(b'[') => {
                self.state = State::List { member: false };
                Step::To(at + 1)
            }
            Some(b'}' | b']') if self.damaged => Step::To(at + 1),
            None if data.len() == text.len() || data.get(at..).is_none_or(<[u8]>::is_empty) => Step::More(at),
            _ => {
                // CloudWatch Logs exports put the time before the message.
                let stamp = time::prefix(bytes.get(at..).unwrap_or(&[]));
                if let Some((_, used)) = stamp.filter(|(_, used)| bytes.get(at + used) == Some(&b' '))
                    && matches!(bytes.get(at + used + 1), Some(b'{'))
                {
                    return Step::To(at + used + 1);
                }
                let (reason, what) = self.fault_at(data, text, at, "expected a JSON document");
                self.recover(data, at, at, base, last, None, reason, what, intake)
            }
        }
    }

    #[allow(clippy::too_many_arguments)] // one position in one text, passed down whole
    fn list<O: Output>(
        &mut self,
        data: &[u8],
        text: &str,
        at: usize,
        base: u64,
        last: bool,
        member: bool,
        intake: &mut Intake<'_, O>,
    ) -> Step {
        let bytes = text.as_bytes();
        let mut at = at;
        while bytes.get(at).is_some_and(|byte| byte.is_ascii_whitespace() || *byte == b',') {
            at += 1;
        }
        match bytes.get(at) {
            Some(b'{') => self.element(data, text, at, base, last, Some(member), intake),
            Some(b']') => {
                self.state = if member { State::Tail } else { State::Between };
                Step::To(at + 1)
            }
            Some(b'}') if self.damaged => Step::To(at + 1),
            None if data.len() == text.len() => Step::More(at),
            _ => {
                let mut cursor = Cursor::new(text, at);
                match cursor.value() {
                    Ok(value) if cursor.at() < text.len() => {
                        let place = self.next(base, at);
                        self.row(&value, place, intake);
                        Step::To(cursor.at())
                    }
                    Ok(_) | Err(Fault::Cut) if !last && data.len() == text.len() => Step::More(at),
                    Err(Fault::Malformed { at: error, what }) => {
                        let (reason, what) = self.fault_at(data, text, error, what);
                        self.recover(data, at, error, base, last, Some(member), reason, what, intake)
                    }
                    Ok(_) | Err(Fault::Cut) => {
                        if data.len() == text.len() {
                            return Step::More(at);
                        }
                        self.recover(
                            data,
                            at,
                            text.len(),
                            base,
                            last,
                            Some(member),
                            Reason::NotUtf8,
                            "bytes are not UTF-8",
                            intake,
                        )
                    }
                }
            }
        }
    }

    /// The members of a document after its list, up to its closing brace.
    fn tail<O: Output>(
        &mut self,
        data: &[u8],
        text: &str,
        at: usize,
        base: u64,
        last: bool,
        intake: &mut Intake<'_, O>,
    ) -> Step {
        let mut cursor = Cursor::new(text, at);
        let mut walk = || -> Result<Option<usize>, Fault> {
            loop {
                match cursor.peek()? {
                    b'}' => return Ok(None),
                    b',' => {
                        let mut inside = Cursor::new(text, cursor.at() + 1);
                        let key = inside.key()?;
                        let name = key.raw.get(1..key.raw.len() - 1).unwrap_or("");
                        if LISTS.contains(&name) && inside.peek()? == b'[' {
                            return Ok(Some(inside.at()));
                        }
                        inside.value()?;
                        cursor = inside;
                    }
                    _ => return Err(Fault::Malformed { at: cursor.at(), what: "expected `,` or `}`" }),
                }
            }
        };
        match walk() {
            Ok(None) => {
                self.state = State::Between;
                Step::To(cursor.at() + 1)
            }
            Ok(Some(list)) => {
                self.state = State::List { member: true };
                Step::To(list + 1)
            }
            Err(Fault::Cut) if data.len() == text.len() => Step::More(at),
            Err(_) if self.damaged => {
                self.state = State::Between;
                Step::To(at)
            }
            Err(fault) => {
                let error = if let Fault::Malformed { at, .. } = fault { at } else { text.len() };
                let (reason, what) = self.fault_at(data, text, error, "damage after the list of records");
                self.state = State::Between;
                self.recover(data, at, error, base, last, None, reason, what, intake)
            }
        }
    }

    /// Takes the object at `at`: a record, an envelope, or a document with a list.
    #[allow(clippy::too_many_arguments)] // one position in one text, passed down whole
    fn element<O: Output>(
        &mut self,
        data: &[u8],
        text: &str,
        at: usize,
        base: u64,
        last: bool,
        list: Option<bool>,
        intake: &mut Intake<'_, O>,
    ) -> Step {
        let limit = intake.context.limits.record_bytes_max;
        match Record::read(text, at, list.is_none()) {
            Ok((record, end)) => {
                let place = self.next(base, at);
                if end - at > limit {
                    let message =
                        format!("record of {} bytes; raise record_bytes_max and replay it", end - at);
                    intake.reject(Reason::RecordTooLarge, message, place, record.raw.as_bytes());
                } else {
                    self.object(&record, place, record.raw.as_bytes(), 0, intake);
                }
                Step::To(end)
            }
            Err(Stop::List(opening)) => {
                let head = text.get(at..opening).unwrap_or("");
                self.listed |= head.contains("\"Records\"");
                self.enter(head, intake);
                self.state = State::List { member: true };
                Step::To(opening + 1)
            }
            Err(Stop::Fault(Fault::Malformed { at: error, what })) => {
                let (reason, what) = self.fault_at(data, text, error, what);
                self.recover(data, at, error, base, last, list, reason, what, intake)
            }
            Err(Stop::Fault(Fault::Cut)) if text.len() < data.len() => {
                let what = "bytes of the record are not UTF-8";
                self.recover(data, at, text.len(), base, last, list, Reason::NotUtf8, what, intake)
            }
            Err(Stop::Fault(Fault::Cut)) if data.len() - at > limit => {
                let place = self.next(base, at);
                let message =
                    format!("record larger than {limit} bytes; raise record_bytes_max and replay it");
                intake.reject(Reason::RecordTooLarge, message, place, data.get(at..).unwrap_or(&[]));
                self.state = State::Skip { scan: Scan::default(), list };
                Step::To(at)
            }
            Err(Stop::Fault(Fault::Cut)) => Step::More(at),
        }
    }

    /// A fault next to bytes that are not UTF-8 is theirs.
    fn fault_at(&self, data: &[u8], text: &str, error: usize, what: &'static str) -> (Reason, &'static str) {
        if error >= text.len() && text.len() < data.len() {
            (Reason::NotUtf8, "bytes are not UTF-8")
        } else {
            (Reason::InvalidJson, what)
        }
    }

    /// Rejects the damaged object at `start` and goes on with the next one.
    #[allow(clippy::too_many_arguments)] // one position in one text, passed down whole
    fn recover<O: Output>(
        &mut self,
        data: &[u8],
        start: usize,
        error: usize,
        base: u64,
        last: bool,
        list: Option<bool>,
        reason: Reason,
        what: &str,
        intake: &mut Intake<'_, O>,
    ) -> Step {
        let limit = intake.context.limits.record_bytes_max;
        let resumed = split::resume(data, start, error, list.is_some());
        let end = match resumed {
            Some(end) => end,
            None if !last && data.len() - start <= limit => return Step::More(start),
            None => data.len(),
        };
        let raw = data.get(start..end).unwrap_or(&[]);
        if intake.on_probation() && split::looks_like_cloudtrail(raw) {
            intake.confirm();
        }
        let reported = self.damaged;
        self.damaged = true;
        // An envelope with too few closing brackets may hold whole records: one report will do.
        if !(self.salvage(raw, base + start as u64, intake) && reported) {
            let place = self.next(base, start);
            let message = format!("{what} at byte {} of the object", base + error as u64);
            intake.reject(reason, message, place, raw);
        }
        if resumed.is_none() {
            // Nothing to hold on to within a record's length, or at all.
            self.state = if last { State::Between } else { State::Skip { scan: Scan::default(), list } };
        }
        Step::To(end)
    }

    /// Takes the whole records inside a damaged object that is none itself; true if there are any.
    fn salvage<O: Output>(&mut self, raw: &[u8], offset: u64, intake: &mut Intake<'_, O>) -> bool {
        if split::next_opener(raw, 0, 1).is_some() {
            return false; // a damaged record: what is nested in it belongs to it
        }
        let text = valid_prefix(raw);
        let mut found = false;
        let mut at = 1;
        while let Some(opener) = split::next_opener(raw, at, text.len()) {
            at = opener + 1;
            if let Ok((record, end)) = Record::read(text, opener, false)
                && record.event_version.is_some()
                && record.is_cloudtrail()
            {
                let place = self.next(offset, opener);
                self.object(&record, place, record.raw.as_bytes(), 0, intake);
                found = true;
                at = end;
            }
        }
        found
    }

    fn next(&mut self, base: u64, at: usize) -> Place {
        self.number += 1;
        Place { offset: base + at as u64, number: self.number }
    }
}

/// The longest prefix that is UTF-8.
fn valid_prefix(data: &[u8]) -> &str {
    match simdutf8::compat::from_utf8(data) {
        Ok(text) => text,
        Err(error) => {
            data.get(..error.valid_up_to()).and_then(|valid| std::str::from_utf8(valid).ok()).unwrap_or("")
        }
    }
}

/// Whether the bytes after the text are only the beginning of a character whose rest is to come.
fn cut_character(data: &[u8], from: usize, last: bool) -> bool {
    let rest = data.get(from..).unwrap_or(&[]);
    !last && std::str::from_utf8(rest).is_err_and(|error| error.error_len().is_none())
}
