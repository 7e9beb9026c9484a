//! The trial of each record, and the replay object of those that parse. Pure: no clock, no I/O.

use super::origin::Origin;
use super::select::{Open, Rejections};
use crate::formats::{self, Context, Limits, Object, Output, Rejected, Seen};
use arrow::array::RecordBatch;
use logq_schemas::landing::Trailer;
use logq_schemas::{Reason, Table};

/// Reasons that stand for a whole object none of whose records is in the lake.
const WHOLE: [Reason; 3] = [Reason::UnknownFormat, Reason::ObjectMissing, Reason::UnknownLandingVersion];

/// What became of one rejection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It parses now.
    Parses,
    /// It does not.
    StillRejected,
    /// What was kept is only its beginning, and the object is gone.
    Cut,
    /// It tells of damage to its object; no record of it can be had from here.
    Damage,
}

impl Outcome {
    /// What a person reads.
    pub fn as_str(self) -> &'static str {
        match self {
            Outcome::Parses => "parses now",
            Outcome::StillRejected => "still does not parse",
            Outcome::Cut => "was cut, and its object is gone or has changed",
            Outcome::Damage => "damage of its object: upload the object again",
        }
    }
}

/// A replay object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packed {
    /// Its inflated content.
    pub content: Vec<u8>,
    /// The rejections it settles, with their reasons.
    pub settles: Vec<(String, String)>,
}

/// Counts what a trial gives.
#[derive(Default)]
struct Trial {
    rows: usize,
    rejected: usize,
}

impl Output for Trial {
    fn rows(&mut self, _table: &'static Table, batch: RecordBatch) {
        self.rows += batch.num_rows();
    }

    fn rejected(&mut self, _rejected: Rejected) {
        self.rejected += 1;
    }
}

/// Rows and rejected records of `content`, read by itself.
fn read(content: &[u8], limits: &Limits) -> Trial {
    let mut trial = Trial::default();
    let object = Object { location: "state/replayed", object_id: "trial", bytes: content };
    let context = Context { ingest_time: 0, limits, flow_formats: &[] };
    formats::read(&object, &context, &mut Seen::default(), &mut trial);
    trial
}

/// Tries every rejection of one object; gives the replay object, if any record parses, and what became
/// of each, in order. `header` is the header line of the flow log format declared for the object, by now;
/// empty without one.
pub fn pack(
    rejections: &Rejections,
    origin: Option<&Origin>,
    limits: &Limits,
    header: &[u8],
) -> (Option<Packed>, Vec<Outcome>) {
    let mut outcomes = Vec::with_capacity(rejections.records.len());
    let mut packed = Packed { content: Vec::new(), settles: Vec::new() };
    let landing = origin.is_some_and(Origin::is_landing);
    let (mut context, mut lines) = (Vec::new(), 0);
    for open in &rejections.records {
        if open.number.is_none() {
            outcomes.push(whole(open, origin, limits, &mut packed));
            continue;
        }
        let record = match (open.is_whole(), origin.and_then(|origin| origin.record(open.offset))) {
            (true, _) => open.raw.as_slice(),
            (false, Some(record)) => record,
            (false, None) => {
                outcomes.push(Outcome::Cut);
                continue;
            }
        };
        let mut needed = origin.map(|origin| origin.context(open.offset)).unwrap_or_default();
        if needed.is_empty() {
            needed.extend_from_slice(header);
        }
        let mut alone = [needed.as_slice(), record, b"\n"].concat();
        if landing {
            alone.extend(trailer(1));
        }
        let trial = read(&alone, limits);
        if trial.rows == 0 || trial.rejected > 0 {
            outcomes.push(Outcome::StillRejected);
            continue;
        }
        if needed != context {
            if landing && lines > 0 {
                packed.content.extend(trailer(lines));
                lines = 0;
            }
            packed.content.extend_from_slice(&needed);
            context = needed;
        }
        packed.content.extend_from_slice(record);
        packed.content.push(b'\n');
        lines += 1;
        packed.settles.push((open.uid.clone(), open.reason.clone()));
        outcomes.push(Outcome::Parses);
    }
    if landing && lines > 0 {
        packed.content.extend(trailer(lines));
    }
    ((!packed.settles.is_empty()).then_some(packed), outcomes)
}

fn trailer(end: u64) -> Vec<u8> {
    let mut line = serde_json::to_vec(&Trailer { end }).unwrap_or_default();
    line.push(b'\n');
    line
}

/// A rejection that stands for a whole object.
fn whole(open: &Open, origin: Option<&Origin>, limits: &Limits, packed: &mut Packed) -> Outcome {
    if !WHOLE.iter().any(|reason| reason.as_str() == open.reason) {
        return Outcome::Damage;
    }
    let Some(origin) = origin else { return Outcome::Cut };
    if read(origin.text(), limits).rows == 0 {
        return Outcome::StillRejected;
    }
    packed.content.extend_from_slice(origin.text());
    packed.settles.push((open.uid.clone(), open.reason.clone()));
    Outcome::Parses
}
