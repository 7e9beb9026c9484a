//! What `/metrics` shows: one table of metrics, labels from closed sets.

pub mod queue;

use crate::pipeline::Summary;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};
use std::sync::atomic::AtomicI64;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TableLabel {
    table: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabel {
    reason: &'static str,
}

/// All metrics of a processor. `received = rows + rejected + duplicates + skipped` at any time.
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
        metrics.registry = registry;
        metrics
    }
}

impl Metrics {
    /// Adds what one batch did.
    pub fn add_batch(&self, summary: &Summary, now_seconds: i64) {
        self.objects.inc_by(summary.objects);
        self.records.inc_by(summary.records);
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

    /// The exposition text (OpenMetrics).
    pub fn render(&self) -> String {
        let mut text = String::new();
        // Writing into a String cannot fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}
