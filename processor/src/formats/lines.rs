//! The lines of a decompressed object, each with its place, in bounded memory.

use super::Output;
use super::inflate::Window;
use super::intake::{Intake, Place};
use logq_schemas::Reason;

/// One line without its line end.
#[derive(Debug, Clone, Copy)]
pub struct Line<'a> {
    /// The bytes, without `\n` or `\r\n`.
    pub bytes: &'a [u8],
    /// Where it stands; the number counts every line, empty ones too.
    pub place: Place,
}

/// Calls `take` with every line.
///
/// The last line counts without a line end, unless the compressed stream broke inside it: then it
/// stays in the window, for the row that reports the damage. Lines longer than `record_bytes_max`
/// are rejected here.
pub fn each<O: Output>(
    window: &mut Window<'_>,
    intake: &mut Intake<'_, O>,
    mut take: impl FnMut(&mut Intake<'_, O>, Line<'_>),
) {
    let limit = intake.context.limits.record_bytes_max;
    let mut number = 0;
    let mut skipping = false; // inside a line that was rejected for its length
    loop {
        let base = window.offset();
        let data = window.data();
        let mut at = 0;
        while let Some(length) = data.get(at..).and_then(|rest| memchr::memchr(b'\n', rest)) {
            let bytes = data.get(at..at + length).unwrap_or(&[]);
            let offset = base + at as u64;
            at += length + 1;
            if std::mem::take(&mut skipping) {
                continue;
            }
            number += 1;
            one(intake, &mut take, bytes, Place { offset, number }, limit);
        }
        window.consume(at);
        if window.data().len() > limit {
            if !skipping {
                number += 1;
                let place = Place { offset: window.offset(), number };
                too_large(intake, place, window.data(), limit);
            }
            skipping = true;
            window.consume(window.data().len());
        }
        if window.more() {
            continue;
        }
        if window.damage().is_none() && !window.data().is_empty() && !skipping {
            number += 1;
            let place = Place { offset: window.offset(), number };
            one(intake, &mut take, window.data(), place, limit);
        }
        if window.damage().is_none() || skipping {
            window.consume(window.data().len());
        }
        return;
    }
}

fn one<O: Output>(
    intake: &mut Intake<'_, O>,
    take: &mut impl FnMut(&mut Intake<'_, O>, Line<'_>),
    bytes: &[u8],
    place: Place,
    limit: usize,
) {
    let bytes = bytes.strip_suffix(b"\r").unwrap_or(bytes);
    if bytes.len() > limit {
        too_large(intake, place, bytes, limit);
    } else {
        take(intake, Line { bytes, place });
    }
}

fn too_large<O: Output>(intake: &mut Intake<'_, O>, place: Place, raw: &[u8], limit: usize) {
    let message = format!("line longer than {limit} bytes; raise record_bytes_max and replay it");
    intake.reject(Reason::RecordTooLarge, message, place, raw);
}
