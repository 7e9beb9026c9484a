//! Two samples as a table of 80 columns, or as JSON.

use super::sample::Sample;
use crate::cli::escape::neutralise;
use crate::metrics::ComponentKind;
use serde::Serialize;
use std::fmt::Write as _;

/// What a collector did between two looks.
#[derive(Debug, Serialize)]
pub struct View {
    /// Time between the looks.
    pub interval_seconds: f64,
    /// Age of the process.
    pub uptime_seconds: f64,
    /// Cores in use.
    pub cpu_cores: f64,
    /// Resident memory.
    pub resident_bytes: u64,
    /// Open file descriptors.
    pub open_fds: u64,
    /// Files followed.
    pub files: u64,
    /// Bytes in followed files that are not part of a record yet.
    pub behind_bytes: u64,
    /// Files or directories that could not be read, since the start.
    pub source_errors: u64,
    /// Size of the spool on disk.
    pub spool_bytes: u64,
    /// Segments in the spool.
    pub spool_segments: u64,
    /// The spool can't take more.
    pub spool_full: bool,
    /// Sources, transforms, sinks, each in order of their names.
    pub components: Vec<Component>,
}

/// What one component did. Totals are since the start of the collector.
#[derive(Debug, Serialize)]
pub struct Component {
    /// `source`, `transform` or `sink`.
    pub kind: &'static str,
    /// Its name in the configuration.
    pub name: String,
    /// Records taken in each second.
    pub received_per_second: f64,
    /// Records passed on or delivered each second.
    pub sent_per_second: f64,
    /// Bytes read or delivered each second.
    pub bytes_per_second: f64,
    /// Failures.
    pub errors: u64,
    /// Records dropped.
    pub dropped: u64,
    /// Records refused by the other end.
    pub rejected: u64,
    /// Records waiting in the spool.
    pub waiting: u64,
    /// Age of the oldest of them.
    pub oldest_seconds: u64,
    /// Its last delivery failed.
    pub failing: bool,
}

impl View {
    /// What happened between two samples.
    pub fn of(before: &Sample, now: &Sample) -> Self {
        let seconds = now.at.duration_since(before.at).as_secs_f64().max(0.001);
        // A counter that went back belongs to a new process: it began at 0.
        let rate = |name: &str, labels: &[(&str, &str)]| {
            let (old, new) = (before.sum(name, labels), now.sum(name, labels));
            (if new < old { new } else { new - old }) / seconds
        };
        let whole = |name: &str| now.sum(name, &[]) as u64;
        let components = [ComponentKind::Source, ComponentKind::Transform, ComponentKind::Sink];
        let components = components.into_iter().flat_map(|kind| {
            let kind_label = ("component_kind", kind.as_str());
            let mut names = now.values_of("component_sent_events_total", kind_label, "component_id");
            names.sort();
            names.into_iter().map(move |name| (kind, name)).collect::<Vec<_>>()
        });
        let component = |(kind, name): (ComponentKind, String)| {
            let labels = [("component_kind", kind.as_str()), ("component_id", name.as_str())];
            let own = [(kind.as_str(), name.as_str())];
            let of = |metric: &str| now.sum(metric, &own) as u64;
            let sink = kind == ComponentKind::Sink;
            let bytes = if sink { "component_sent_bytes_total" } else { "component_received_bytes_total" };
            Component {
                kind: kind.as_str(),
                received_per_second: rate("component_received_events_total", &labels),
                sent_per_second: rate("component_sent_events_total", &labels),
                bytes_per_second: rate(bytes, &labels),
                errors: of("collector_sink_errors_total") + of("collector_transform_errors_total"),
                dropped: of("collector_sink_dropped_records_total")
                    + of("collector_transform_dropped_records_total"),
                rejected: of("collector_sink_rejected_records_total"),
                waiting: of("collector_spool_records"),
                oldest_seconds: of("collector_sink_oldest_unacknowledged_seconds"),
                failing: of("collector_sink_failing") > 0,
                name,
            }
        };
        let start = now.sum("process_start_time_seconds", &[]);
        let clock = std::time::UNIX_EPOCH.elapsed().unwrap_or_default().as_secs_f64();
        Self {
            interval_seconds: seconds,
            uptime_seconds: if start > 0.0 { (clock - start).max(0.0) } else { 0.0 },
            cpu_cores: rate("process_cpu_seconds_total", &[]),
            resident_bytes: whole("process_resident_memory_bytes"),
            open_fds: whole("process_open_fds"),
            files: whole("collector_source_files"),
            behind_bytes: whole("collector_source_behind_bytes"),
            source_errors: whole("collector_source_errors_total"),
            spool_bytes: whole("collector_spool_bytes"),
            spool_segments: whole("collector_spool_segments"),
            spool_full: whole("collector_spool_full") > 0,
            components: components.map(component).collect(),
        }
    }

    /// A table no wider than 80 columns.
    pub fn table(&self) -> String {
        let mut text = String::new();
        let up = humantime::format_duration(std::time::Duration::from_secs(self.uptime_seconds as u64));
        let _ = writeln!(
            text,
            "up {up}  cpu {:.1}%  memory {}  fds {}",
            self.cpu_cores * 100.0,
            bytes(self.resident_bytes as f64),
            self.open_fds
        );
        let _ = writeln!(
            text,
            "files {}  behind {}  unreadable {}  spool {} in {} segments{}\n",
            count(self.files as f64),
            bytes(self.behind_bytes as f64),
            count(self.source_errors as f64),
            bytes(self.spool_bytes as f64),
            self.spool_segments,
            if self.spool_full { "  FULL" } else { "" }
        );
        let heads = ["in/s", "out/s", "bytes/s", "errors", "dropped", "rejected", "waiting", "oldest"];
        row(&mut text, "", "component", &heads.map(str::to_owned));
        for component in &self.components {
            let cells = [
                count(component.received_per_second),
                count(component.sent_per_second),
                if component.kind == "transform" {
                    "-".to_owned()
                } else {
                    bytes(component.bytes_per_second)
                },
                count(component.errors as f64),
                count(component.dropped as f64),
                count(component.rejected as f64),
                count(component.waiting as f64),
                age(component.oldest_seconds),
            ];
            let mark = if component.failing { "!" } else { &component.kind[..1] };
            row(&mut text, mark, &component.name, &cells);
        }
        if self.components.iter().any(|component| component.failing) {
            text.push_str("\n! its last delivery failed; it is tried again until it succeeds\n");
        }
        text
    }
}

/// 2 + 16 for mark and name, then eight cells: 80 columns.
fn row(text: &mut String, mark: &str, name: &str, cells: &[String; 8]) {
    const WIDTHS: [usize; 8] = [7, 7, 9, 7, 8, 9, 8, 7];
    let name = neutralise(name.as_bytes());
    let short: String =
        if name.chars().count() > 16 { name.chars().take(15).chain(['…']).collect() } else { name };
    let _ = write!(text, "{mark:1} {short:16}");
    for (cell, width) in cells.iter().zip(WIDTHS) {
        let _ = write!(text, "{cell:>width$}");
    }
    text.push('\n');
}

/// A number in at most 6 characters.
fn count(number: f64) -> String {
    scaled(number, 1000.0, &["", "k", "M", "G", "T"])
}

/// A size in at most 6 characters.
fn bytes(number: f64) -> String {
    scaled(number, 1024.0, &["B", "K", "M", "G", "T"])
}

fn scaled(number: f64, step: f64, units: &[&str]) -> String {
    let (mut number, mut unit) = (number, 0);
    while number >= step.min(999.5) && unit + 1 < units.len() {
        number /= step;
        unit += 1;
    }
    let digits = usize::from(unit > 0 && number < 99.95);
    format!("{number:.digits$}{}", units[unit])
}

fn age(seconds: u64) -> String {
    match seconds {
        0..=99 => format!("{seconds}s"),
        100..=5_999 => format!("{}m", seconds / 60),
        6_000..=359_999 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(records: u32) -> Sample {
        Sample::parse(&format!(
            "component_sent_events_total{{component_kind=\"source\",component_id=\"pods\"}} {records}\n\
             component_received_bytes_total{{component_kind=\"source\",component_id=\"pods\"}} {records}000\n\
             component_sent_events_total{{component_kind=\"sink\",component_id=\"a-name-of-many-\\u{{1b}}-words\"}} 7\n\
             component_sent_events_total{{component_kind=\"sink\",component_id=\"out\"}} {records}\n\
             collector_sink_failing{{sink=\"out\"}} 1\n\
             collector_sink_rejected_records_total{{sink=\"out\",reason=\"old\"}} 4\n\
             collector_sink_rejected_records_total{{sink=\"out\",reason=\"new\"}} 5\n\
             collector_sink_oldest_unacknowledged_seconds{{sink=\"out\"}} 7300\n\
             process_resident_memory_bytes 26214400\n"
        ))
    }

    #[test]
    fn rates_are_differences_and_survive_a_restart() {
        let (old, new) = (sample(100), sample(300));
        let view = View::of(&old, &new);
        let source = &view.components[0];
        assert_eq!((source.kind, source.name.as_str()), ("source", "pods"));
        assert!((source.sent_per_second * view.interval_seconds - 200.0).abs() < 0.01);
        let back = View::of(&new, &old);
        assert!((back.components[0].sent_per_second * back.interval_seconds - 100.0).abs() < 0.01);
        let sink = view.components.last().unwrap();
        assert_eq!((sink.name.as_str(), sink.rejected, sink.failing), ("out", 9, true));
    }

    #[test]
    fn the_table_fits_80_columns_and_holds_no_control_characters() {
        let table = View::of(&sample(0), &sample(4_000_000_000)).table();
        for line in table.lines() {
            assert!(line.chars().count() <= 80 && !line.chars().any(char::is_control), "{line:?}");
        }
        assert!(table.contains("! out") && table.contains("2h") && table.contains("25.0M"), "{table}");
        for number in [0.0, 9.99, 999.4, 999.9, 1000.0, 1023.0, 99_949.0, 99_960.0, 1e6, 5e15] {
            assert!(count(number).len() <= 6 && bytes(number).len() <= 6, "{number}");
        }
    }
}
