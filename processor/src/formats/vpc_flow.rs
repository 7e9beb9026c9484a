//! Amazon VPC Flow Logs and transit gateway flow logs, as text and as Parquet.
//!
//! A line means what the header of its file says: any columns of versions 2 to 10 in any order, and
//! unknown ones, which go to `unmapped` by name. Without a header a line means what the configuration
//! declares for its location or log group ([`mod@format`]), and without that only the default format of
//! version 2 is read, because a line does not say what its columns are; files with another format and
//! no header are refused with advice. A header in the middle (concatenated files) changes the layout.
//! Records of the default format that a delivery stream set side by side without line ends are told
//! apart. The columns of a Parquet file have the names of a header line ([`parquet`]).
//!
//! NODATA records are counted and not stored; SKIPDATA records are kept. Numbers that do not parse
//! reject the record and name the field. An address that is none is kept in `unmapped`.
//!
//! A flow record has no id. A whole line that names interface, start and end and was already read from
//! another object is the same record delivered twice (two flow logs of one network, a copy, an export):
//! it is counted as a duplicate. Equal lines of one object are kept.

pub mod columns;
pub mod format;
pub mod header;
pub mod parquet;
pub mod parse;

pub use columns::Flows;

use super::inflate::Window;
use super::intake::{Intake, Place};
use super::{Output, Seen, lines};

/// Raised when the same bytes give other rows than before.
pub const PARSER_VERSION: i32 = 2;

/// Reads every line of the object.
pub fn read<O: Output>(window: &mut Window<'_>, intake: &mut Intake<'_, O>, seen: &mut Seen) {
    let mut flows = Flows::new(intake.object, intake.context);
    let mut extra = 0; // records beyond one a line
    lines::each(window, intake, |intake, line| {
        if line.bytes.trim_ascii().is_empty() {
            return;
        }
        if let Some(layout) = header::layout(line.bytes) {
            flows.set_layout(layout);
            return;
        }
        let mut start = 0;
        let mut place = Place { number: line.place.number + extra, ..line.place };
        while flows.is_undeclared()
            && let Some(end) = seam(line.bytes.get(start..).unwrap_or(&[]))
        {
            let part = line.bytes.get(start..start + end).unwrap_or(&[]);
            flows.line(part, place, part, intake, seen);
            start += end;
            extra += 1;
            place = Place { offset: line.place.offset + start as u64, number: place.number + 1 };
        }
        let rest = line.bytes.get(start..).unwrap_or(&[]);
        flows.line(rest, place, rest, intake, seen);
    });
    flows.flush(intake.output);
}

/// Where the next record begins that stands right behind the first one, without a blank between:
/// `… ACCEPT OK2 123456789010 eni-…`. Only the default format is known to end with the status and to
/// begin with the version.
pub fn seam(line: &[u8]) -> Option<usize> {
    let mut status = None;
    let mut at = 0;
    for _ in 0..14 {
        at += line.get(at..)?.iter().position(|byte| !header::is_blank(*byte))?;
        let token = line.get(at..)?;
        let length = token.iter().position(|byte| header::is_blank(*byte))?;
        status = token.get(..length);
        at += length;
    }
    matches!(status?, b"OK2" | b"NODATA2" | b"SKIPDATA2").then_some(at - 1)
}
