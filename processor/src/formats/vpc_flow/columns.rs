//! From a flow record to a row.

use super::PARSER_VERSION;
use super::format;
use super::header::Layout;
use super::parse::{Cell, Flow, Refusal};
use crate::formats::columns::{Rows, index};
use crate::formats::intake::{Intake, Place};
use crate::formats::{Context, Object, Output, Seen, key, time};
use logq_schemas::tables::vpc_flow::TABLE;
use logq_schemas::{Reason, Table};
use twox_hash::XxHash3_64;

const T: &Table = &TABLE;
const ACCOUNT_ID: usize = index(T, "account_id");
const REGION: usize = index(T, "region");
const ACTOR: usize = index(T, "actor");
const ACTION: usize = index(T, "action");
const OUTCOME: usize = index(T, "outcome");
const EVENT_UID: usize = index(T, "event_uid");
const END_TIME: usize = index(T, "end_time");
const INTERFACE_ID: usize = index(T, "interface_id");
const UNMAPPED: usize = index(T, "unmapped");

/// Rows of the table `vpc_flow` from one object, and the layout that holds at the moment.
pub struct Flows {
    rows: Rows,
    layout: Layout,
    /// The layout while neither a header nor a log group says otherwise.
    home: Layout,
    /// Whether the layout is that of a log group.
    of_group: bool,
    /// Tells this object's lines from those of others.
    object: u64,
    uid: String,
    uid_prefix: usize,
    region: Option<String>,
    account: Option<String>,
    file_time: Option<i64>,
    unmapped: String,
    /// Memory for the values of a line.
    cells: Vec<Cell<'static>>,
}

impl Flows {
    /// For one object, with the layout declared for its location or the default one until a header
    /// comes.
    pub fn new(object: &Object<'_>, context: &Context<'_>) -> Self {
        let home = format::of_location(context.flow_formats, object.location)
            .cloned()
            .unwrap_or_else(Layout::default_v2);
        // 16 hex digits of the object and the line number: a flow record has no id of its own, and
        // identical lines of one file are separate facts.
        let mut uid: String = object.object_id.chars().take(16).collect();
        uid.push(':');
        Self {
            rows: Rows::new(&TABLE, "vpc_flow", PARSER_VERSION, object, context),
            layout: home.clone(),
            home,
            of_group: false,
            object: XxHash3_64::oneshot(object.object_id.as_bytes()),
            uid_prefix: uid.len(),
            uid,
            region: key::flow_region(object.location),
            account: key::account(object.location),
            file_time: time::from_location(object.location),
            unmapped: String::new(),
            cells: Vec::new(),
        }
    }

    /// Lines mean this from now on.
    pub fn set_layout(&mut self, layout: Layout) {
        self.layout = layout;
    }

    /// Whether lines are of the default format, because nothing says what they are.
    pub fn is_undeclared(&self) -> bool {
        !self.layout.from_header && !self.layout.configured
    }

    /// Messages are of this log group from now on.
    pub fn enter_group(&mut self, group: &str, formats: &[format::FlowFormat]) {
        match format::of_log_group(formats, group) {
            Some(layout) => {
                self.layout = layout.clone();
                self.of_group = true;
            }
            None if self.of_group => {
                self.layout = self.home.clone();
                self.of_group = false;
            }
            None => {}
        }
    }

    /// Takes one line; `raw` is what is rejected if it is no record. True when it is one.
    pub fn line<O: Output>(
        &mut self,
        line: &[u8],
        place: Place,
        raw: &[u8],
        intake: &mut Intake<'_, O>,
        seen: &mut Seen,
    ) -> bool {
        let Ok(text) = simdutf8::basic::from_utf8(line) else {
            intake.reject(Reason::NotUtf8, "the line is not UTF-8", place, raw);
            return false;
        };
        let layout = self.layout.clone();
        let text = if layout.from_header { text } else { strip_export_time(text, &layout) };
        let taken = Flow::read(text, &layout, REGION, std::mem::take(&mut self.cells));
        // Only such a line says which window of which interface it is about.
        let is_identified = |flow: &Flow<'_>| {
            flow.interface.is_some() && flow.start.is_some() && flow.end.is_some() && !flow.nodata
        };
        if taken.as_ref().is_ok_and(is_identified)
            && seen.repeats_line(text.trim_ascii().as_bytes(), self.object)
        {
            intake.duplicate();
            return true;
        }
        let taken = taken.and_then(|flow| {
            let taken = self.take(&flow, &layout, text, place);
            self.cells = flow.into_cells();
            taken
        });
        match taken {
            Ok(Some(event_time)) => intake.row(event_time),
            Ok(None) => intake.skipped(),
            Err((reason, message)) => {
                intake.reject(reason, message, place, raw);
                return false;
            }
        }
        if self.rows.is_full() {
            self.rows.flush(intake.output);
        }
        true
    }

    /// Hands collected rows out.
    pub fn flush(&mut self, output: &mut impl Output) {
        self.rows.flush(output);
    }

    /// Adds a row and returns its time; `None` for a record without data.
    fn take(
        &mut self,
        flow: &Flow<'_>,
        layout: &Layout,
        line: &str,
        place: Place,
    ) -> Result<Option<i64>, Refusal> {
        if !layout.from_header
            && !layout.configured
            && !line.trim_start().starts_with("2 ")
            && !line.trim_start().starts_with("2\t")
        {
            let message = "no header, and the record is not of version 2; put the header line of its format first, or declare it as a flow_format";
            return Err((Reason::FieldCount, message.to_owned()));
        }
        if flow.nodata {
            return Ok(None);
        }
        let Some(event_time) = flow.start.or(flow.end).or(self.file_time) else {
            let message =
                "no start, no end and no time in the file's name; add start to the flow log's format";
            return Err((Reason::MissingTime, message.to_owned()));
        };
        self.uid.truncate(self.uid_prefix);
        push_number(place.number, &mut self.uid);
        self.rows.text(EVENT_UID, &self.uid);
        self.rows.text_if(ACCOUNT_ID, flow.account.or(self.account.as_deref()));
        self.rows.text_if(INTERFACE_ID, flow.interface);
        self.rows.text_if(ACTOR, flow.interface.or(flow.attachment));
        if !flow.has_region {
            self.rows.text_if(REGION, self.region.as_deref());
        }
        if let Some(action) = flow.action {
            self.rows.text(ACTION, action);
            match action {
                "ACCEPT" => self.rows.text(OUTCOME, "success"),
                "REJECT" => self.rows.text(OUTCOME, "failure"),
                _ => {}
            }
        }
        if let Some(end) = flow.end {
            self.rows.timestamp(END_TIME, end);
        }
        for cell in &flow.cells {
            match cell {
                Cell::Text(column, value) => self.rows.text(*column, value),
                Cell::Int(column, value) => self.rows.int(*column, *value),
                Cell::Long(column, value) => self.rows.long(*column, *value),
            }
        }
        if !flow.unmapped.is_empty() {
            self.unmapped.clear();
            self.unmapped.push_str(&flow.unmapped);
            self.unmapped.push('}');
            self.rows.text(UNMAPPED, &self.unmapped);
        }
        self.rows.end(event_time);
        Ok(Some(event_time))
    }
}

/// Decimal digits, without the cost of the formatting machinery: once for every record.
fn push_number(number: u64, out: &mut String) {
    let (mut digits, mut at, mut rest) = ([0u8; 20], 20, number);
    loop {
        at -= 1;
        digits[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    out.extend(digits[at..].iter().map(|&digit| char::from(digit)));
}

/// CloudWatch Logs exports put the event's time before the line. No field of a flow log is such a time.
fn strip_export_time<'l>(line: &'l str, layout: &Layout) -> &'l str {
    let Some((_, used)) = time::prefix(line.as_bytes()) else { return line };
    let rest = line.get(used..).map(str::trim_start);
    rest.filter(|rest| layout.configured || rest.starts_with("2 ")).unwrap_or(line)
}
