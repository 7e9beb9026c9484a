//! The table of all metrics: the only place where their names, units, labels and meanings are.

use super::{Labelled, Metrics, PerSink, Seconds};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use std::fmt::Write as _;

/// What kind of number a metric is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Counter,
    Gauge,
}

/// A metric of any shape.
pub(super) enum Cell {
    Counter(Counter),
    Gauge(Gauge),
    SinkCounter(PerSink<Counter>),
    SinkGauge(PerSink<Gauge>),
    Labelled(Labelled),
    Seconds(Seconds),
}

impl From<Seconds> for Cell {
    fn from(metric: Seconds) -> Self {
        Self::Seconds(metric)
    }
}

impl From<Labelled> for Cell {
    fn from(metric: Labelled) -> Self {
        Self::Labelled(metric)
    }
}

impl From<Counter> for Cell {
    fn from(metric: Counter) -> Self {
        Self::Counter(metric)
    }
}

impl From<Gauge> for Cell {
    fn from(metric: Gauge) -> Self {
        Self::Gauge(metric)
    }
}

impl From<PerSink<Counter>> for Cell {
    fn from(metric: PerSink<Counter>) -> Self {
        Self::SinkCounter(metric)
    }
}

impl From<PerSink<Gauge>> for Cell {
    fn from(metric: PerSink<Gauge>) -> Self {
        Self::SinkGauge(metric)
    }
}

/// One row of the table: name, kind, unit, labels, help.
pub(super) type Row = (&'static str, Kind, &'static str, &'static str, &'static str);

use Kind::{Counter as C, Gauge as G};

/// The table. Counters carry `_total` on the wire.
#[rustfmt::skip]
pub(super) const TABLE: &[Row] = &[
    ("collector_source_read_bytes", C, "bytes", "", "Bytes of log files handed over, headers of the runtime included"),
    ("collector_source_records", C, "records", "", "Records handed over to the spool"),
    ("collector_source_malformed_lines", C, "lines", "", "Lines not in the runtime's format, delivered as they were"),
    ("collector_source_split_records", C, "records", "", "Records longer than max_line_bytes, delivered in pieces"),
    ("collector_source_truncated_records", C, "records", "", "Records longer than max_line_bytes whose end was dropped (max_line_policy = \"truncate\")"),
    ("collector_source_joined_lines", C, "lines", "", "Lines that became part of a record of several lines"),
    ("collector_source_unterminated_records", C, "records", "", "Records ended by the end of their file: no newline, or no last part"),
    ("collector_source_truncated_files", C, "files", "", "Files truncated or rewritten in place"),
    ("collector_source_abandoned_bytes", C, "bytes", "", "Bytes of deleted files that were still unread when the collector stopped"),
    ("collector_source_damaged_entries", C, "entries", "", "Entries of journals, or single fields of them, that are damaged and were skipped"),
    ("collector_source_errors", C, "errors", "", "Files or directories that could not be read, every attempt"),
    ("collector_source_files", G, "files", "", "Files being followed"),
    ("collector_source_behind_bytes", G, "bytes", "", "Bytes seen in followed files but not yet part of a record"),
    ("collector_source_received_requests", C, "requests", "source", "Requests of clients that were stored and acknowledged"),
    ("collector_source_refused_requests", C, "requests", "source, reason", "Requests answered with a refusal: `full`, `not_stored`, `stopping`, `malformed`, `too_large`, `unsupported`, `unauthorized`"),
    ("collector_source_excluded_files", G, "files", "", "Files not read: `select`, or an annotation of their pod"),
    ("collector_source_excluded_records", C, "records", "", "Records skipped because their pod excludes that standard stream"),
    ("collector_source_waiting_files", G, "files", "", "Files not read yet because the metadata of their pod may still come (metadata_wait), or because `select` names labels and it has not come"),
    ("collector_source_unknown_files", C, "files", "", "Files read without metadata of their pod: gone, late or refused by the API server"),
    ("collector_kubernetes_synced", G, "", "", "1 while the watch of this node's pods is complete"),
    ("collector_kubernetes_pods", G, "pods", "", "Pods whose metadata is kept"),
    ("collector_kubernetes_dropped_pods", C, "pods", "", "Pods whose metadata was not kept because of metadata_max_pods, every time they were told"),
    ("collector_kubernetes_requests", C, "requests", "", "Requests to the API server"),
    ("collector_kubernetes_errors", C, "errors", "", "Requests to the API server that failed, and watches that broke off"),
    ("collector_memory_max_bytes", G, "bytes", "", "Ceiling of memory in effect: memory_max, or from the cgroup's limit; 0 when there is none"),
    ("collector_batch_queued_bytes", G, "bytes", "", "Bytes of log files between source and spool"),
    ("collector_spool_bytes", G, "bytes", "", "Size of the spool on disk"),
    ("collector_spool_segments", G, "segments", "", "Segments in the spool"),
    ("collector_spool_full", G, "", "", "1 while the spool can't take more: at its limit, or the disk refuses writes"),
    ("collector_spool_written_bytes", C, "bytes", "", "Bytes appended to the spool"),
    ("collector_spool_errors", C, "errors", "", "Failed writes to the data directory, every attempt"),
    ("collector_spool_torn_bytes", C, "bytes", "", "Bytes of unfinished frames cut off at start; their records are read again"),
    ("collector_spool_damaged_frames", C, "frames", "", "Frames with a wrong checksum, skipped; their records are read again if the log still exists"),
    ("collector_spool_recovered_records", C, "records", "sink", "Records found in the spool at start that the sink did not have yet"),
    ("collector_transform_received_records", C, "records", "transform", "Records a transform was given"),
    ("collector_transform_dropped_records", C, "records", "transform, reason", "Records a transform did not pass on"),
    ("collector_transform_changed_records", C, "records", "transform", "Records whose body a transform changed"),
    ("collector_transform_errors", C, "records", "transform", "Records a transform could not work on; they pass as they are unless also dropped"),
    ("collector_sink_received_records", C, "records", "sink", "Records stored in the spool for a sink"),
    ("collector_sink_rejected_records", C, "records", "sink, reason", "Records the other end refuses for good; kept in `<data_dir>/rejected`"),
    ("collector_sink_dropped_records", C, "records", "sink, reason", "Records dropped because the spool or the sink's buffer was full and dropping is configured"),
    ("collector_spool_records", G, "records", "sink", "Records in the spool that the sink does not have yet"),
    ("collector_sink_sent_objects", C, "objects", "sink", "Landing objects delivered"),
    ("collector_sink_sent_bytes", C, "bytes", "sink", "Bytes of landing objects delivered"),
    ("collector_sink_sent_records", C, "records", "sink", "Records delivered"),
    ("collector_sink_lost_records", C, "records", "sink", "Records whose frame was damaged on disk between writing and delivery"),
    ("collector_sink_attempts", C, "attempts", "sink", "Deliveries tried"),
    ("collector_sink_errors", C, "errors", "sink", "Deliveries failed; they are repeated until they succeed"),
    ("collector_sink_memory_waits", C, "deliveries", "sink", "Deliveries that had to wait for memory (memory_max)"),
    ("collector_sink_failing", G, "", "sink", "1 while the last delivery failed"),
    ("collector_sink_oldest_unacknowledged_seconds", G, "seconds", "sink", "Age of the oldest stored record that the sink does not have; 0 when it has everything. For a segment of an earlier run the age of its last record"),
    ("component_received_events", C, "records", "component_kind, component_id", "Records a source read, a transform was given, or the spool stored for a sink"),
    ("component_received_bytes", C, "bytes", "component_kind, component_id", "Bytes a source read"),
    ("component_sent_events", C, "records", "component_kind, component_id", "Records a source or transform passed on, or a sink delivered"),
    ("component_sent_bytes", C, "bytes", "component_kind, component_id", "Bytes a sink delivered"),
    ("process_cpu_seconds", C, "seconds", "", "User and system time of the process"),
    ("process_resident_memory_bytes", G, "bytes", "", "Resident memory"),
    ("process_virtual_memory_bytes", G, "bytes", "", "Virtual memory"),
    ("process_open_fds", G, "", "", "Open file descriptors"),
    ("process_max_fds", G, "", "", "Limit of open file descriptors"),
    ("process_start_time_seconds", G, "seconds", "", "Start of the process, in seconds since 1970"),
];

impl Metrics {
    /// The metric of each row, in the order of the table.
    pub(super) fn rows(&self) -> Vec<Cell> {
        vec![
            self.source_read_bytes.clone().into(),
            self.source_records.clone().into(),
            self.source_malformed_lines.clone().into(),
            self.source_split_records.clone().into(),
            self.source_truncated_records.clone().into(),
            self.source_joined_lines.clone().into(),
            self.source_unterminated_records.clone().into(),
            self.source_truncated_files.clone().into(),
            self.source_abandoned_bytes.clone().into(),
            self.source_damaged_entries.clone().into(),
            self.source_errors.clone().into(),
            self.source_files.clone().into(),
            self.source_behind_bytes.clone().into(),
            self.source_received_requests.clone().into(),
            self.source_refused_requests.clone().into(),
            self.source_excluded_files.clone().into(),
            self.source_excluded_records.clone().into(),
            self.source_waiting_files.clone().into(),
            self.source_unknown_files.clone().into(),
            self.kubernetes_synced.clone().into(),
            self.kubernetes_pods.clone().into(),
            self.kubernetes_dropped_pods.clone().into(),
            self.kubernetes_requests.clone().into(),
            self.kubernetes_errors.clone().into(),
            self.memory_max.clone().into(),
            self.batch_queued_bytes.clone().into(),
            self.spool_bytes.clone().into(),
            self.spool_segments.clone().into(),
            self.spool_full.clone().into(),
            self.spool_written_bytes.clone().into(),
            self.spool_errors.clone().into(),
            self.spool_torn_bytes.clone().into(),
            self.spool_damaged_frames.clone().into(),
            self.spool_recovered_records.clone().into(),
            self.transform_received_records.clone().into(),
            self.transform_dropped_records.clone().into(),
            self.transform_changed_records.clone().into(),
            self.transform_errors.clone().into(),
            self.sink_received_records.clone().into(),
            self.sink_rejected_records.clone().into(),
            self.sink_dropped_records.clone().into(),
            self.spool_records.clone().into(),
            self.sink_sent_objects.clone().into(),
            self.sink_sent_bytes.clone().into(),
            self.sink_sent_records.clone().into(),
            self.sink_lost_records.clone().into(),
            self.sink_attempts.clone().into(),
            self.sink_errors.clone().into(),
            self.sink_memory_waits.clone().into(),
            self.sink_failing.clone().into(),
            self.sink_oldest_unacknowledged.clone().into(),
            self.component_received_events.clone().into(),
            self.component_received_bytes.clone().into(),
            self.component_sent_events.clone().into(),
            self.component_sent_bytes.clone().into(),
            self.process_cpu.clone().into(),
            self.process_resident.clone().into(),
            self.process_virtual.clone().into(),
            self.process_fds.clone().into(),
            self.process_max_fds.clone().into(),
            self.process_start.clone().into(),
        ]
    }
}

/// The reference page of all metrics, in Markdown.
pub fn reference() -> String {
    let mut page = String::from(
        "# Metrics of logq-collector\n\n\
         Generated from `collector/src/metrics/table.rs`. Served at `/metrics` of the admin address.\n\n\
         For every sink: `collector_sink_received_records_total` + \
         `collector_spool_recovered_records_total` = `collector_sink_sent_records_total` + \
         `collector_sink_rejected_records_total` + `collector_sink_dropped_records_total` + \
         `collector_sink_lost_records_total` + `collector_spool_records`.\n\n\
         | metric | kind | unit | labels | meaning |\n|---|---|---|---|---|\n",
    );
    for (name, kind, unit, labels, help) in TABLE {
        let (suffix, kind) = match kind {
            Kind::Counter => ("_total", "counter"),
            Kind::Gauge => ("", "gauge"),
        };
        let _ = writeln!(page, "| `{name}{suffix}` | {kind} | {unit} | {labels} | {help} |");
    }
    page
}
