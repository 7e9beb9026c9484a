//! How long a line takes from the container to the query.
//!
//! Every line written is noted with its time. Every look at the lake says, per container, up to
//! which time lines are there; the end of that look is when they could be queried at the latest,
//! so the figures are upper bounds by the length of one look.

use chrono::DateTime;
use serde_json::{Map, Value};

/// Lines written, and when they were seen.
#[derive(Debug, Default)]
pub struct Freshness {
    /// Per container: when its lines were written, oldest first, Unix nanoseconds.
    written: Vec<Vec<i64>>,
    /// Per container: how many of them have been seen.
    seen: Vec<usize>,
    /// Nanoseconds from written to seen.
    delays: Vec<i64>,
}

impl Freshness {
    /// No line yet, from `containers` containers.
    pub fn new(containers: usize) -> Self {
        Self { written: vec![Vec::new(); containers], seen: vec![0; containers], delays: Vec::new() }
    }

    /// A line of `container` was written.
    pub fn wrote(&mut self, container: usize, nanosecond: i64) {
        self.written[container].push(nanosecond);
    }

    /// A look that ended at `now` found lines of `container` up to `newest`.
    pub fn saw(&mut self, container: usize, newest: i64, now: i64) {
        let (lines, seen) = (&self.written[container], &mut self.seen[container]);
        // The lake keeps microseconds: a line counts when its microsecond is there.
        while *seen < lines.len() && lines[*seen] / 1_000 <= newest / 1_000 {
            self.delays.push(now - lines[*seen]);
            *seen += 1;
        }
    }

    /// Seconds within which `share` of the lines could be queried.
    pub fn quantile(&self, share: f64) -> Option<f64> {
        let mut delays = self.delays.clone();
        delays.sort_unstable();
        let index = (delays.len() as f64 * share).ceil() as usize;
        delays.get(index.saturating_sub(1)).map(|delay| *delay as f64 / 1e9)
    }
}

/// The query of one look.
pub const LOOK: &str =
    "select pod, container, count(*) as n, max(observed_time) as newest from app_log group by pod, container";

/// Pod, container, rows and newest line of one row of [`LOOK`].
pub fn look_row(row: &Map<String, Value>) -> Option<(&str, &str, u64, i64)> {
    let text = |name: &str| row.get(name).and_then(Value::as_str);
    let newest = DateTime::parse_from_rfc3339(text("newest")?).ok()?.timestamp_nanos_opt()?;
    Some((text("pod")?, text("container")?, row.get("n")?.as_u64()?, newest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_run_from_written_to_the_look_that_found_them() {
        let mut freshness = Freshness::new(1);
        for second in 1..=4i64 {
            freshness.wrote(0, second * 1_000_000_000);
        }
        freshness.saw(0, 2_000_000_000, 5_000_000_000);
        freshness.saw(0, 4_000_000_000, 6_000_000_000);
        assert_eq!(freshness.quantile(0.5), Some(3.0));
        assert_eq!(freshness.quantile(1.0), Some(4.0));
    }
}
