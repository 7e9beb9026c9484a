//! `logq-collector spool`: what is in the spool, for people and programs.

use super::{EXIT_FAILED, report, say};
use crate::config::{ByteSize, Config};
use crate::spool::inspect::{Report, export, inspect};
use anyhow::Context as _;
use std::fmt::Write as _;
use std::path::Path;

/// Prints what the spool of a configuration holds, and exports it when asked to.
pub fn show(config: &Config, json: bool, to: Option<&Path>) -> u8 {
    let shown = || -> anyhow::Result<String> {
        let report = inspect(&config.data_dir).context("looking into the spool")?;
        let mut text = if json { serde_json::to_string(&report)? + "\n" } else { table(&report) };
        if let Some(to) = to {
            let done = export(&config.data_dir, &config.cluster, &config.node, to).context("exporting")?;
            if !json {
                let (objects, records) = (done.objects, done.records);
                let _ = writeln!(text, "exported {records} records in {objects} objects to {}", to.display());
            }
        }
        Ok(text)
    };
    match shown() {
        Ok(text) => say(&text).code(),
        Err(error) => {
            report(&error);
            EXIT_FAILED
        }
    }
}

fn table(report: &Report) -> String {
    let mut text = String::new();
    let bytes: u64 = report.segments.iter().map(|segment| segment.bytes).sum();
    let size = |bytes: u64| ByteSize::new(usize::try_from(bytes).unwrap_or(usize::MAX)).to_string();
    let _ = writeln!(
        text,
        "{}: {} segments, {}, positions of {} files",
        report.data_dir.display(),
        report.segments.len(),
        size(bytes),
        report.files
    );
    for (sink, cursor) in &report.sinks {
        let waiting = report.segments.iter().filter(|segment| segment.waiting.contains(sink)).count();
        let _ = writeln!(text, "  sink {sink}: has everything up to segment {cursor}, {waiting} waiting");
    }
    for segment in &report.segments {
        let state = if segment.open { "open" } else { "sealed" };
        let _ = write!(text, "  segment {:016x} {state} {}", segment.id, size(segment.bytes));
        for (sinks, records) in &segment.records {
            let _ = write!(text, ", {records} records for {sinks}");
        }
        if segment.damaged > 0 || segment.torn > 0 {
            let _ = write!(text, ", damaged: {} frames, {} torn bytes", segment.damaged, segment.torn);
        }
        text.push('\n');
    }
    text
}
