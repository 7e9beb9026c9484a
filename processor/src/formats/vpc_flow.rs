//! Amazon VPC Flow Logs and transit gateway flow logs, as text.
//!
//! A line means what the header of its file says: any columns of versions 2 to 10 in any order, and
//! unknown ones, which go to `unmapped` by name. Without a header only the default format of version
//! 2 is read, because a line does not say what its columns are; files with another format and no
//! header are refused with advice. A header in the middle (concatenated files) changes the layout.
//!
//! NODATA records are counted and not stored; SKIPDATA records are kept. Numbers that do not parse
//! reject the record and name the field. An address that is none is kept in `unmapped`.
//!
//! A flow record has no id. A whole line that names interface, start and end and was already read from
//! another object is the same record delivered twice (two flow logs of one network, a copy, an export):
//! it is counted as a duplicate. Equal lines of one object are kept.

pub mod columns;
pub mod header;
pub mod parse;

pub use columns::Flows;

use super::inflate::Window;
use super::intake::Intake;
use super::{Output, Seen, lines};

/// Raised when the same bytes give other rows than before.
pub const PARSER_VERSION: i32 = 1;

/// Reads every line of the object.
pub fn read<O: Output>(window: &mut Window<'_>, intake: &mut Intake<'_, O>, seen: &mut Seen) {
    let mut flows = Flows::new(intake.object, intake.context);
    lines::each(window, intake, |intake, line| {
        if line.bytes.trim_ascii().is_empty() {
            return;
        }
        if let Some(layout) = header::layout(line.bytes) {
            flows.set_layout(layout);
            return;
        }
        flows.line(line.bytes, line.place, line.bytes, intake, seen);
    });
    flows.flush(intake.output);
}
