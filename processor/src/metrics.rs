//! What `/metrics` shows: one table of metrics, labels from closed sets.

pub mod queue;

use crate::pipeline::Summary;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};
use std::sync::atomic::AtomicI64;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TableLabel {
    table: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabel {
    reason: &'static str,
}

/// All metrics of a processor. At any time, and so in every answer of `/metrics`,
/// `records = rows + rejected + duplicates + skipped + in flight + parsed again`.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    objects: Counter,
    objects_known: Counter,
    objects_unreadable: Counter,
    records: Counter,
    rows: Family<TableLabel, Counter>,
    rejected: Family<ReasonLabel, Counter>,
    duplicates: Counter,
    skipped: Counter,
    stored: Counter,
    inflated: Counter,
    lake: Counter,
    batches: Counter,
    last_commit: Gauge<i64, AtomicI64>,
    /// Of the SQS queue.
    pub queue: queue::QueueMetrics,
    last_commit_age: Gauge<i64, AtomicI64>,
    in_flight: Gauge<i64, AtomicI64>,
    parsed_again: Counter,
    batch_duration: Histogram,
    waiting: Gauge<i64, AtomicI64>,
    waiting_age: Gauge<i64, AtomicI64>,
    pulled: Counter,
    pulled_repeats: Counter,
    pull_lag: Gauge<i64, AtomicI64>,
    /// What is shown and not counted: when the oldest waiting object was written, when the last commit
    /// was (seconds since the epoch; 0 for never). Held while counters that belong together change.
    moments: Mutex<Moments>,
}

#[derive(Debug, Default)]
struct Moments {
    oldest_waiting: i64,
    last_commit: i64,
}

impl Default for Metrics {
    fn default() -> Metrics {
        let mut registry = Registry::with_prefix("processor");
        let mut metrics = Metrics {
            registry: Registry::default(),
            objects: Counter::default(),
            objects_known: Counter::default(),
            objects_unreadable: Counter::default(),
            records: Counter::default(),
            rows: Family::default(),
            rejected: Family::default(),
            duplicates: Counter::default(),
            skipped: Counter::default(),
            stored: Counter::default(),
            inflated: Counter::default(),
            lake: Counter::default(),
            batches: Counter::default(),
            last_commit: Gauge::default(),
            queue: queue::QueueMetrics::default(),
            last_commit_age: Gauge::default(),
            in_flight: Gauge::default(),
            parsed_again: Counter::default(),
            // From 10 ms to a quarter of an hour.
            batch_duration: Histogram::new(exponential_buckets(0.01, 2.0, 17)),
            waiting: Gauge::default(),
            waiting_age: Gauge::default(),
            pulled: Counter::default(),
            pulled_repeats: Counter::default(),
            pull_lag: Gauge::default(),
            moments: Mutex::default(),
        };
        registry.register("objects", "Input objects taken in", metrics.objects.clone());
        let known = metrics.objects_known.clone();
        registry.register(
            "objects_known",
            "Input objects left alone because their content is in the lake",
            known,
        );
        let unreadable = metrics.objects_unreadable.clone();
        registry.register(
            "objects_unreadable",
            "Input objects that could not be read; tried again",
            unreadable,
        );
        registry.register("records", "Records found in input objects", metrics.records.clone());
        registry.register("rows", "Rows committed, by table", metrics.rows.clone());
        registry.register("rejected", "Records in `rejected`, by reason", metrics.rejected.clone());
        let duplicates = metrics.duplicates.clone();
        registry.register("duplicates", "Records dropped because they were already taken in", duplicates);
        registry.register(
            "skipped",
            "Records without data by their source's definition",
            metrics.skipped.clone(),
        );
        let bytes = || Unit::Bytes;
        registry.register_with_unit(
            "stored",
            "Bytes of input objects as stored",
            bytes(),
            metrics.stored.clone(),
        );
        registry.register_with_unit(
            "inflated",
            "Bytes after decompression",
            bytes(),
            metrics.inflated.clone(),
        );
        registry.register_with_unit(
            "lake",
            "Bytes of Parquet files committed",
            bytes(),
            metrics.lake.clone(),
        );
        registry.register("batches", "Batches committed", metrics.batches.clone());
        let last = metrics.last_commit.clone();
        registry.register_with_unit("last_commit_timestamp", "Time of the last commit", Unit::Seconds, last);
        metrics.queue.register(&mut registry);
        metrics.register_progress(&mut registry);
        metrics.registry = registry;
        metrics
    }
}

impl Metrics {
    fn register_progress(&self, registry: &mut Registry) {
        registry.register_with_unit(
            "last_commit_age",
            "Time since the last commit of this process; 0 before the first",
            Unit::Seconds,
            self.last_commit_age.clone(),
        );
        registry.register(
            "records_in_flight",
            "Records parsed and not committed yet",
            self.in_flight.clone(),
        );
        registry.register(
            "records_parsed_again",
            "Records of batches that failed after they were parsed: they are counted in `records` once more",
            self.parsed_again.clone(),
        );
        registry.register_with_unit(
            "batch_duration",
            "From the claim of a batch to its last commit",
            Unit::Seconds,
            self.batch_duration.clone(),
        );
        registry.register(
            "objects_waiting",
            "Input objects found and not taken in yet",
            self.waiting.clone(),
        );
        registry.register_with_unit(
            "objects_waiting_age",
            "Age of the oldest of them; 0 without any",
            Unit::Seconds,
            self.waiting_age.clone(),
        );
        registry.register("pulled_events", "Events read from log groups", self.pulled.clone());
        registry.register(
            "pulled_repeats",
            "Events that came again in the overlap and were left out",
            self.pulled_repeats.clone(),
        );
        registry.register_with_unit(
            "pull_lag",
            "How far behind the present the log group is that is furthest behind",
            Unit::Seconds,
            self.pull_lag.clone(),
        );
    }

    fn moments(&self) -> std::sync::MutexGuard<'_, Moments> {
        self.moments.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts the records of a batch that was parsed. They are in flight until [`Metrics::add_batch`] or
    /// [`Metrics::abandon`].
    pub fn add_parsed(&self, records: u64) {
        let _together = self.moments();
        self.records.inc_by(records);
        self.in_flight.inc_by(i64::try_from(records).unwrap_or(i64::MAX));
    }

    /// A batch failed: what was in flight is going to be parsed again.
    pub fn abandon(&self) {
        let _together = self.moments();
        let records = self.in_flight.set(0);
        self.parsed_again.inc_by(records.unsigned_abs());
    }

    /// How long a batch took.
    pub fn observe_batch(&self, duration: Duration) {
        self.batch_duration.observe(duration.as_secs_f64());
    }

    /// What was found and not taken in yet, and when (seconds since the epoch) the oldest of it was
    /// written.
    pub fn set_waiting(&self, objects: u64, oldest: Option<i64>) {
        self.waiting.set(i64::try_from(objects).unwrap_or(i64::MAX));
        self.moments().oldest_waiting = oldest.unwrap_or(0);
    }

    /// Adds events that were read from a log group, and those that came again.
    pub fn add_pulled(&self, events: u64, repeats: u64) {
        self.pulled.inc_by(events);
        self.pulled_repeats.inc_by(repeats);
    }

    /// How far behind the present the log group is that is furthest behind.
    pub fn set_pull_lag(&self, seconds: i64) {
        self.pull_lag.set(seconds);
    }

    /// Adds what one batch did; its records leave the flight.
    pub fn add_batch(&self, summary: &Summary, now_seconds: i64) {
        let mut moments = self.moments();
        moments.last_commit = now_seconds;
        self.in_flight.dec_by(i64::try_from(summary.records).unwrap_or(i64::MAX));
        self.objects.inc_by(summary.objects);
        for (&table, &rows) in &summary.rows {
            self.rows.get_or_create(&TableLabel { table }).inc_by(rows);
        }
        for (&reason, &count) in &summary.rejected {
            self.rejected.get_or_create(&ReasonLabel { reason }).inc_by(count);
        }
        self.duplicates.inc_by(summary.duplicates);
        self.skipped.inc_by(summary.skipped);
        self.stored.inc_by(summary.stored_bytes);
        self.inflated.inc_by(summary.inflated_bytes);
        self.lake.inc_by(summary.lake_bytes);
        self.batches.inc();
        self.last_commit.set(now_seconds);
    }

    /// Counts objects that needed no work.
    pub fn add_known(&self, objects: u64) {
        self.objects_known.inc_by(objects);
    }

    /// Counts objects that could not be read.
    pub fn add_unreadable(&self, objects: u64) {
        self.objects_unreadable.inc_by(objects);
    }

    /// The exposition text (OpenMetrics) at `now` (seconds since the epoch).
    pub fn render(&self, now: i64) -> String {
        let moments = self.moments();
        let since = |moment: i64| if moment == 0 { 0 } else { (now - moment).max(0) };
        self.last_commit_age.set(since(moments.last_commit));
        self.waiting_age.set(since(moments.oldest_waiting));
        let mut text = String::new();
        // Writing into a String cannot fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &str, name: &str) -> i64 {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.and_then(|value| value.parse().ok()).unwrap_or_else(|| unreachable!("no {name} in {text}"))
    }

    #[test]
    fn g10_records_are_in_flight_until_they_are_committed_or_parsed_again() {
        let metrics = Metrics::default();
        metrics.add_parsed(5);
        assert_eq!(value(&metrics.render(0), "processor_records_in_flight"), 5);
        metrics.abandon();
        metrics.add_parsed(5);
        metrics.add_batch(&Summary { records: 5, duplicates: 5, ..Summary::default() }, 100);
        let text = metrics.render(130);
        assert_eq!(value(&text, "processor_records_total"), 10);
        assert_eq!(value(&text, "processor_records_parsed_again_total"), 5);
        assert_eq!(value(&text, "processor_duplicates_total"), 5);
        assert_eq!(value(&text, "processor_records_in_flight"), 0);
        assert_eq!(value(&text, "processor_last_commit_age_seconds"), 30);
        metrics.set_waiting(2, Some(100));
        assert_eq!(value(&metrics.render(107), "processor_objects_waiting_age_seconds"), 7);
    }
}
