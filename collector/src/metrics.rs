//! Metrics: everything the collector counts. What each means is in one [`table`].
//!
//! Conservation, checked by tests, for every sink: `collector_sink_received_records_total{sink}` +
//! `collector_spool_recovered_records_total{sink}` = `collector_sink_sent_records_total{sink}` +
//! `collector_sink_rejected_records_total{sink}` + `collector_sink_dropped_records_total{sink}` +
//! `collector_sink_lost_records_total{sink}` + `collector_spool_records{sink}`. And for every
//! transform: what it received is what it passed on plus what it dropped.
//!
//! Labels are closed: names of configured components and fixed reasons, nothing from the data.

mod process;
mod table;

use crate::transforms::Counts;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use std::collections::BTreeMap;
use std::sync::atomic::AtomicU64;
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;
use table::{Cell, TABLE};

pub use table::reference;

/// Label of per-sink metrics.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct SinkLabel {
    /// Name of the sink in the configuration.
    pub sink: String,
}

type PerSink<M> = Family<SinkLabel, M>;

/// Counters with labels from a closed set, in the order of the table.
pub type Labelled = Family<Vec<(&'static str, String)>, Counter>;

/// A counter of seconds.
type Seconds = Counter<f64, AtomicU64>;

/// Kind of a component, in Vector's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ComponentKind {
    /// `source`
    Source,
    /// `transform`
    Transform,
    /// `sink`
    Sink,
}

impl ComponentKind {
    /// Value of the label `component_kind`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Source => "source",
            Self::Transform => "transform",
            Self::Sink => "sink",
        }
    }
}

/// All metrics of the process.
#[derive(Debug, Default)]
#[expect(missing_docs, reason = "the table describes every field, in the form operators read")]
pub struct Metrics {
    pub source_read_bytes: Counter,
    pub source_records: Counter,
    pub source_malformed_lines: Counter,
    pub source_split_records: Counter,
    pub source_truncated_records: Counter,
    pub source_joined_lines: Counter,
    pub source_unterminated_records: Counter,
    pub source_truncated_files: Counter,
    pub source_abandoned_bytes: Counter,
    pub source_damaged_entries: Counter,
    pub source_errors: Counter,
    pub source_files: Gauge,
    pub source_behind_bytes: Gauge,
    pub source_received_requests: Labelled,
    pub source_refused_requests: Labelled,
    pub source_excluded_files: Gauge,
    pub source_excluded_records: Counter,
    pub source_waiting_files: Gauge,
    pub source_unknown_files: Counter,
    pub kubernetes_synced: Gauge,
    pub kubernetes_pods: Gauge,
    pub kubernetes_dropped_pods: Counter,
    pub kubernetes_requests: Counter,
    pub kubernetes_errors: Counter,
    pub memory_max: Gauge,
    pub batch_queued_bytes: Gauge,
    pub spool_bytes: Gauge,
    pub spool_segments: Gauge,
    pub spool_full: Gauge,
    pub spool_written_bytes: Counter,
    pub spool_errors: Counter,
    pub spool_torn_bytes: Counter,
    pub spool_damaged_frames: Counter,
    pub spool_recovered_records: PerSink<Counter>,
    pub transform_received_records: Labelled,
    pub transform_dropped_records: Labelled,
    pub transform_changed_records: Labelled,
    pub transform_errors: Labelled,
    pub sink_received_records: PerSink<Counter>,
    pub sink_rejected_records: Labelled,
    pub sink_dropped_records: Labelled,
    pub spool_records: PerSink<Gauge>,
    pub sink_sent_objects: PerSink<Counter>,
    pub sink_sent_bytes: PerSink<Counter>,
    pub sink_sent_records: PerSink<Counter>,
    pub sink_lost_records: PerSink<Counter>,
    pub sink_attempts: PerSink<Counter>,
    pub sink_errors: PerSink<Counter>,
    pub sink_memory_waits: PerSink<Counter>,
    pub sink_failing: PerSink<Gauge>,
    pub sink_oldest_unacknowledged: PerSink<Gauge>,
    pub component_received_events: Labelled,
    pub component_received_bytes: Labelled,
    pub component_sent_events: Labelled,
    pub component_sent_bytes: Labelled,
    pub process_cpu: Seconds,
    pub process_resident: Gauge,
    pub process_virtual: Gauge,
    pub process_fds: Gauge,
    pub process_max_fds: Gauge,
    pub process_start: Gauge,
    /// When the oldest record was stored that each sink does not have; its age is told when asked.
    oldest: Mutex<BTreeMap<String, Option<SystemTime>>>,
}

impl Metrics {
    /// Creates the per-sink series, so that they read 0 before the first delivery.
    pub fn with_sinks<'a>(self, sinks: impl Iterator<Item = &'a str>) -> Self {
        for sink in sinks {
            let label = SinkLabel { sink: sink.to_owned() };
            for counter in [
                &self.spool_recovered_records,
                &self.sink_received_records,
                &self.sink_sent_objects,
                &self.sink_sent_bytes,
                &self.sink_sent_records,
                &self.sink_lost_records,
                &self.sink_attempts,
                &self.sink_errors,
                &self.sink_memory_waits,
            ] {
                drop(counter.get_or_create(&label));
            }
            drop(self.spool_records.get_or_create(&label));
            drop(self.sink_failing.get_or_create(&label));
            drop(self.sink_oldest_unacknowledged.get_or_create(&label));
            self.component_received(ComponentKind::Sink, sink, 0, 0);
            self.component_sent(ComponentKind::Sink, sink, 0, 0);
        }
        self
    }

    /// Counts what a component took in; bytes only where they mean something.
    pub fn component_received(&self, kind: ComponentKind, id: &str, records: u64, bytes: u64) {
        let labels = component(kind, id);
        self.component_received_events.get_or_create(&labels).inc_by(records);
        if kind == ComponentKind::Source {
            self.component_received_bytes.get_or_create(&labels).inc_by(bytes);
        }
    }

    /// Counts what a component passed on; bytes only where they mean something.
    pub fn component_sent(&self, kind: ComponentKind, id: &str, records: u64, bytes: u64) {
        let labels = component(kind, id);
        self.component_sent_events.get_or_create(&labels).inc_by(records);
        if kind == ComponentKind::Sink {
            self.component_sent_bytes.get_or_create(&labels).inc_by(bytes);
        }
    }

    /// Notes when the oldest record was stored that a sink does not have.
    pub fn set_oldest(&self, sink: &str, since: Option<SystemTime>) {
        let mut oldest = self.oldest.lock().unwrap_or_else(PoisonError::into_inner);
        match oldest.get_mut(sink) {
            Some(known) => *known = since,
            None => drop(oldest.insert(sink.to_owned(), since)),
        }
    }

    /// Brings up to date what changes by itself.
    fn refresh(&self) {
        let now = SystemTime::now();
        for (sink, since) in self.oldest.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            let age = since.map_or(0, |since| now.duration_since(since).unwrap_or_default().as_secs());
            let label = SinkLabel { sink: sink.clone() };
            let age = i64::try_from(age).unwrap_or(i64::MAX);
            self.sink_oldest_unacknowledged.get_or_create(&label).set(age);
        }
        process::refresh(self);
    }

    /// Counts what a transform did with `received` records.
    pub fn transformed(&self, name: &str, received: u64, counts: &Counts) {
        let label = ("transform", name.to_owned());
        self.transform_received_records.get_or_create(&vec![label.clone()]).inc_by(received);
        if counts.errors > 0 {
            self.transform_errors.get_or_create(&vec![label.clone()]).inc_by(counts.errors);
        }
        if counts.changed > 0 {
            self.transform_changed_records.get_or_create(&vec![label.clone()]).inc_by(counts.changed);
        }
        for (reason, records) in &counts.dropped {
            let labels = vec![label.clone(), ("reason", (*reason).to_owned())];
            self.transform_dropped_records.get_or_create(&labels).inc_by(*records);
        }
    }

    /// Counts a request that was stored and acknowledged.
    pub fn received(&self, source: &str) {
        self.source_received_requests.get_or_create(&vec![("source", source.to_owned())]).inc();
    }

    /// Counts a request of a client that was refused.
    pub fn refused(&self, source: &str, reason: &'static str) {
        let labels = vec![("source", source.to_owned()), ("reason", reason.to_owned())];
        self.source_refused_requests.get_or_create(&labels).inc();
    }

    /// Counts records a sink will never get.
    pub fn dropped(&self, sink: &str, reason: &str, records: u64) {
        let labels = vec![("sink", sink.to_owned()), ("reason", reason.to_owned())];
        self.sink_dropped_records.get_or_create(&labels).inc_by(records);
    }

    /// Counts records the other end of a sink refuses for good.
    pub fn rejected(&self, sink: &str, reason: &str, records: u64) {
        let labels = vec![("sink", sink.to_owned()), ("reason", reason.to_owned())];
        self.sink_rejected_records.get_or_create(&labels).inc_by(records);
    }

    /// All metrics in the text format Prometheus scrapes.
    pub fn text(&self) -> String {
        self.refresh();
        let mut registry = Registry::default();
        for (row, metric) in TABLE.iter().zip(self.rows()) {
            match metric {
                Cell::Counter(metric) => registry.register(row.0, row.4, metric),
                Cell::Gauge(metric) => registry.register(row.0, row.4, metric),
                Cell::SinkCounter(metric) => registry.register(row.0, row.4, metric),
                Cell::Labelled(metric) => registry.register(row.0, row.4, metric),
                Cell::Seconds(metric) => registry.register(row.0, row.4, metric),
                Cell::SinkGauge(metric) => registry.register(row.0, row.4, metric),
            }
        }
        let mut text = String::new();
        // Writing to a string does not fail.
        let _ = prometheus_client::encoding::text::encode(&mut text, &registry);
        text
    }
}

fn component(kind: ComponentKind, id: &str) -> Vec<(&'static str, String)> {
    vec![("component_kind", kind.as_str().to_owned()), ("component_id", id.to_owned())]
}

#[cfg(test)]
mod tests {
    use super::table::Kind;
    use super::*;

    #[test]
    fn every_row_of_the_table_is_served_under_its_kind() {
        let metrics = Metrics::default().with_sinks(["out"].into_iter());
        // A family without a series is not served.
        let counts = Counts { dropped: [("sampled", 1)].into(), changed: 1, errors: 1 };
        metrics.transformed("t", 1, &counts);
        metrics.dropped("out", "spool_full", 1);
        metrics.received("in");
        metrics.refused("in", "full");
        metrics.rejected("out", "too_old", 1);
        metrics.component_received(ComponentKind::Source, "s", 1, 1);
        assert_eq!(metrics.rows().len(), TABLE.len());
        let text = metrics.text();
        for (name, kind, ..) in TABLE {
            let kind = if *kind == Kind::Counter { "counter" } else { "gauge" };
            assert!(text.contains(&format!("# TYPE {name} {kind}\n")), "{name}\n{text}");
        }
    }

    #[test]
    fn the_age_of_what_waits_is_told_when_asked_and_0_when_nothing_waits() {
        let metrics = Metrics::default();
        let hour = std::time::Duration::from_secs(3600);
        metrics.set_oldest("late", SystemTime::now().checked_sub(hour));
        metrics.set_oldest("done", SystemTime::now().checked_sub(hour));
        metrics.set_oldest("done", None);
        let text = metrics.text();
        let age = |sink: &str| -> u64 {
            let name = format!("collector_sink_oldest_unacknowledged_seconds{{sink=\"{sink}\"}} ");
            text.lines().find_map(|line| line.strip_prefix(&name)).unwrap().parse().unwrap()
        };
        assert!(age("late") >= 3600 && age("done") == 0, "{text}");
    }

    #[test]
    fn a_field_is_served_under_its_own_name() {
        let metrics = Metrics::default();
        metrics.spool_torn_bytes.inc_by(7);
        let label = SinkLabel { sink: "out".into() };
        metrics.sink_errors.get_or_create(&label).inc_by(3);
        let text = metrics.text();
        assert!(text.contains("collector_spool_torn_bytes_total 7\n"), "{text}");
        assert!(text.contains("collector_sink_errors_total{sink=\"out\"} 3\n"), "{text}");
    }
}
