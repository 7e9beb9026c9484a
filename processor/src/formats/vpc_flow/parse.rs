//! From the bytes of a line to the values of a layout.

use super::header::{Field, Layout};
use crate::formats::{address, json, time};
use logq_schemas::Reason;
use std::borrow::Cow;

/// A value on its way to a column.
#[derive(Debug)]
pub enum Cell<'a> {
    /// Text for a column.
    Text(usize, Cow<'a, str>),
    /// A 32-bit number.
    Int(usize, i32),
    /// A 64-bit number.
    Long(usize, i64),
}

/// A record, checked, before any column is touched.
#[derive(Debug, Default)]
pub struct Flow<'a> {
    /// Values by column.
    pub cells: Vec<Cell<'a>>,
    /// `account-id`
    pub account: Option<&'a str>,
    /// `interface-id`
    pub interface: Option<&'a str>,
    /// `tgw-attachment-id`
    pub attachment: Option<&'a str>,
    /// `action`
    pub action: Option<&'a str>,
    /// `start`, in microseconds.
    pub start: Option<i64>,
    /// `end`, in microseconds.
    pub end: Option<i64>,
    /// Whether `region` was among the fields.
    pub has_region: bool,
    /// `log-status` is NODATA.
    pub nodata: bool,
    /// Unknown fields and unusable addresses, as JSON without its closing brace.
    pub unmapped: String,
}

/// Why a line is no record.
pub type Refusal = (Reason, String);

impl<'a> Flow<'a> {
    /// Reads one line; `region` is the position of that column. `cells` lends its memory.
    ///
    /// # Errors
    /// A [`Refusal`] that names the field and its value, or says how many fields there are.
    pub fn read(
        line: &'a str,
        layout: &Layout,
        region: usize,
        cells: Vec<Cell<'static>>,
    ) -> Result<Self, Refusal> {
        let mut flow = Flow { cells, ..Flow::default() };
        let mut fields = layout.fields.iter();
        let mut count = 0;
        let mut fault = None;
        let mut start = 0;
        let ends = memchr::memchr2_iter(b' ', b'\t', line.as_bytes()).chain(std::iter::once(line.len()));
        for end in ends {
            let token = line.get(start..end).unwrap_or("");
            start = end + 1;
            if token.is_empty() {
                continue; // a blank after a blank
            }
            count += 1;
            let Some(field) = fields.next() else { continue };
            if token != "-" && fault.is_none() {
                fault = flow.field(field, token, region).err();
            }
        }
        // A wrong count explains a bad field better than the field does.
        if count != layout.fields.len() {
            return Err(wrong_count(line, count, layout));
        }
        fault.map_or(Ok(flow), Err)
    }

    /// The memory of the cells, for the next line.
    pub fn into_cells(self) -> Vec<Cell<'static>> {
        // Nothing is left to convert: the standard library keeps the allocation.
        let mut cells = self.cells;
        cells.clear();
        cells.into_iter().map_while(|_| None).collect()
    }

    fn field(&mut self, field: &Field, token: &'a str, region: usize) -> Result<(), Refusal> {
        match field {
            Field::Text(column) => {
                self.has_region |= *column == region;
                self.cells.push(Cell::Text(*column, Cow::Borrowed(token)));
            }
            Field::Account => self.account = Some(token),
            Field::Interface => self.interface = Some(token),
            Field::Attachment(column) => {
                self.attachment = Some(token);
                self.cells.push(Cell::Text(*column, Cow::Borrowed(token)));
            }
            Field::Address(column, name) => match address::canonical(token) {
                Some(address) => self.cells.push(Cell::Text(*column, address)),
                None => self.unmapped(name, token),
            },
            Field::PacketAddress(column) => {
                let address = address::canonical(token).unwrap_or(Cow::Borrowed(token));
                self.cells.push(Cell::Text(*column, address));
            }
            Field::Int(column, name) => {
                let value = integer(name, token)?;
                let value = i32::try_from(value).map_err(|_| bad(name, token))?;
                self.cells.push(Cell::Int(*column, value));
            }
            Field::Long(column, name) => self.cells.push(Cell::Long(*column, integer(name, token)?)),
            Field::Start => self.start = Some(instant("start", token)?),
            Field::End => self.end = Some(instant("end", token)?),
            Field::Action => self.action = Some(token),
            Field::Status(column) => {
                self.nodata = token == "NODATA";
                self.cells.push(Cell::Text(*column, Cow::Borrowed(token)));
            }
            Field::Unknown(name) => self.unmapped(name, token),
        }
        Ok(())
    }

    fn unmapped(&mut self, name: &str, value: &str) {
        self.unmapped.push(if self.unmapped.is_empty() { '{' } else { ',' });
        json::push_string(name, &mut self.unmapped);
        self.unmapped.push(':');
        json::push_string(value, &mut self.unmapped);
    }
}

fn integer(name: &str, token: &str) -> Result<i64, Refusal> {
    let bytes = token.as_bytes();
    // Eighteen digits cannot overflow; longer ones take the checked way.
    if bytes.len() > 18 {
        return token.parse().map_err(|_| bad(name, token));
    }
    let mut value = 0i64;
    for byte in bytes {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return token.parse().map_err(|_| bad(name, token));
        }
        value = value * 10 + i64::from(digit);
    }
    Ok(value)
}

fn instant(name: &str, token: &str) -> Result<i64, Refusal> {
    let micros = time::from_epoch(integer(name, token)?);
    if time::in_range(micros) {
        Ok(micros)
    } else {
        Err((Reason::BadTime, format!("{name} {token:?} lies outside 1970 to 2261")))
    }
}

fn bad(name: &str, token: &str) -> Refusal {
    let shown: String = token.chars().take(64).collect();
    (Reason::BadField, format!("{name} is {shown:?}, expected a number"))
}

fn wrong_count(line: &str, count: usize, layout: &Layout) -> Refusal {
    let expected = layout.fields.len();
    let message = if layout.from_header {
        format!("{count} fields, the header names {expected}")
    } else if layout.configured {
        format!("{count} fields, the format in the configuration names {expected}")
    } else if line.split_ascii_whitespace().nth(1) == Some("TransitGateway") {
        format!(
            "a transit gateway record with {count} fields and no header; put the header line of its format first, or declare it as a flow_format"
        )
    } else {
        format!(
            "{count} fields and no header, the default format has {expected}; put the header line of its format first, or declare it as a flow_format"
        )
    };
    (Reason::FieldCount, message)
}
