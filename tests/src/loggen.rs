//! Realistic CloudTrail, VPC flow and container logs of any size from a seed.
//!
//! * **Reproducible**: the same [`Plan`] gives the same bytes, on any machine. Time comes from the
//!   plan, never from the clock (the live container writer stamps lines itself).
//! * **Streaming**: sources are iterators over finished input objects; memory holds one delivery
//!   interval of one account, whatever the size of the corpus.
//! * **Labelled**: planted attacks come with [`Label`]s, and no planted entity (address, principal,
//!   interface) takes part in benign traffic, so a finding about it is a hit and about anything
//!   else a false alarm.
//!
//! The shapes follow recorded logs: services, identities, error codes and record sizes of
//! CloudTrail; 60-second windows per interface, both interfaces of an inner connection, answers,
//! NAT, NODATA and SKIPDATA of flow logs; containerd's lines with 16 KiB pieces for pods.

pub mod attacks;
pub mod cloudtrail;
pub mod corpus;
pub mod cri;
pub mod estate;
pub mod random;
pub mod stamp;
pub mod vpc_flow;

pub use attacks::Label;
pub use estate::{Architecture, Estate};
pub use random::Random;

/// What to generate.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Every random value derives from it.
    pub seed: u64,
    /// First second covered, Unix time.
    pub start: i64,
    /// First second no longer covered, Unix time.
    pub end: i64,
    /// CloudTrail events, exactly, planted ones included (they always fit: see `attacks`).
    pub cloudtrail: u64,
    /// Flow records, at least; the last connection is not cut in half.
    pub flows: u64,
    /// Container log records, exactly.
    pub lines: u64,
    /// Which reference network the logs come from.
    pub architecture: Architecture,
    /// Size of the planted attacks: 0 plants none, 1 is an ordinary one, 10 ten times as many
    /// attempts.
    pub attacks: f64,
}

impl Plan {
    /// Seconds covered.
    pub fn seconds(&self) -> i64 {
        (self.end - self.start).max(1)
    }

    /// How many of `total` events lie before second `second` of the plan: business hours weigh more
    /// than nights, so a day looks like a day.
    pub fn share_until(&self, total: u64, second: i64) -> u64 {
        let all = self.weight_until(self.seconds());
        let part = self.weight_until(second.clamp(0, self.seconds()));
        ((total as f64) * part / all).round() as u64
    }

    /// Integral of the load curve `1 + 0.6 sin(...)`, whose peak is at 14:00 UTC.
    fn weight_until(&self, second: i64) -> f64 {
        const DAY: f64 = 86_400.0;
        const PEAK: f64 = 14.0 * 3_600.0;
        let turn = std::f64::consts::TAU / DAY;
        let phase = |at: i64| ((at as f64) - PEAK) * turn;
        let (from, to) = (self.start, self.start + second);
        second as f64 + 0.6 * (phase(to).sin() - phase(from).sin()) / turn
    }
}

/// One finished input object, as a delivery service would store it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// Key below the bucket's root.
    pub key: String,
    /// Stored bytes (gzip).
    pub bytes: Vec<u8>,
    /// Records inside.
    pub records: u64,
    /// Records that carry no data by definition (flow-log NODATA).
    pub skipped: u64,
    /// Size before compression.
    pub inflated_bytes: u64,
}

/// What has been generated so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Tally {
    /// Objects or files.
    pub objects: u64,
    /// Records.
    pub records: u64,
    /// Records that become no row by definition.
    pub skipped: u64,
    /// Bytes as stored.
    pub stored_bytes: u64,
    /// Bytes before compression.
    pub inflated_bytes: u64,
}

impl Tally {
    /// Counts one object.
    pub fn add(&mut self, object: &Object) {
        self.objects += 1;
        self.records += object.records;
        self.skipped += object.skipped;
        self.stored_bytes += object.bytes.len() as u64;
        self.inflated_bytes += object.inflated_bytes;
    }

    /// Rows a table must hold.
    pub fn rows(&self) -> u64 {
        self.records - self.skipped
    }
}

/// Compresses `text` the way delivery services do; no name, no time, so equal text gives equal bytes.
pub(crate) fn gzip(text: &[u8]) -> std::io::Result<Vec<u8>> {
    use std::io::Write;
    let mut encoder =
        flate2::write::GzEncoder::new(Vec::with_capacity(text.len() / 8), flate2::Compression::new(6));
    encoder.write_all(text)?;
    encoder.finish()
}

#[cfg(test)]
mod tests;
