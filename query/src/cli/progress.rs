//! What a query has read, while it runs and afterwards.

use datafusion::datasource::physical_plan::FileScanConfig;
use datafusion::datasource::source::DataSourceExec;
use datafusion::physical_plan::ExecutionPlan;
use indicatif::{HumanBytes, ProgressBar, ProgressStyle};
use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;

/// A query that is over sooner shows no progress: a line that flashes up tells nothing.
const QUIET_AT_FIRST: Duration = Duration::from_millis(500);

/// How often the line is drawn.
const REDRAW: Duration = Duration::from_millis(200);

/// Sums over the scans of a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Scanned {
    /// Files the plan reads from.
    pub files: usize,
    /// Bytes read so far.
    pub bytes: usize,
    /// Rows that came out of the scans so far.
    pub rows: usize,
}

impl Scanned {
    /// Looks at the metrics of `plan` as they are now.
    pub fn of(plan: &Arc<dyn ExecutionPlan>) -> Self {
        let mut sums = Scanned::default();
        let mut files = HashSet::new();
        let mut pending = vec![plan];
        while let Some(node) = pending.pop() {
            pending.extend(node.children());
            let Some(scan) = node.downcast_ref::<DataSourceExec>() else { continue };
            let Some(config) = scan.data_source().downcast_ref::<FileScanConfig>() else { continue };
            for file in config.file_groups.iter().flat_map(|group| group.iter()) {
                files.insert((config.object_store_url.clone(), file.object_meta.location.clone()));
            }
            if let Some(metrics) = scan.metrics() {
                let sum = |name: &str| metrics.sum_by_name(name).map_or(0, |value| value.as_usize());
                sums.bytes += sum("bytes_scanned");
                sums.rows += metrics.output_rows().unwrap_or(0);
            }
        }
        sums.files = files.len();
        sums
    }
}

impl fmt::Display for Scanned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.files {
            0 => Ok(()),
            1 => write!(f, ", {} read of 1 file", HumanBytes(self.bytes as u64)),
            files => write!(f, ", {} read of {files} files", HumanBytes(self.bytes as u64)),
        }
    }
}

/// A line on standard error that says how far a query is; gone when dropped.
#[derive(Debug)]
pub struct Progress {
    drawing: Option<(ProgressBar, JoinHandle<()>)>,
}

impl Progress {
    /// Starts drawing, when `wanted`.
    pub fn start(wanted: bool, plan: &Arc<dyn ExecutionPlan>) -> Self {
        if !wanted {
            return Progress { drawing: None };
        }
        let bar = ProgressBar::new_spinner();
        bar.set_draw_target(indicatif::ProgressDrawTarget::hidden());
        if let Ok(style) = ProgressStyle::with_template("{spinner} {elapsed} {msg}") {
            bar.set_style(style);
        }
        let task = tokio::spawn(draw(bar.clone(), Arc::clone(plan)));
        Progress { drawing: Some((bar, task)) }
    }
}

async fn draw(bar: ProgressBar, plan: Arc<dyn ExecutionPlan>) {
    tokio::time::sleep(QUIET_AT_FIRST).await;
    bar.set_draw_target(indicatif::ProgressDrawTarget::stderr());
    loop {
        let Scanned { files, bytes, rows } = Scanned::of(&plan);
        bar.set_message(format!("{rows} rows, {} read of {files} files", HumanBytes(bytes as u64)));
        bar.tick();
        tokio::time::sleep(REDRAW).await;
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some((bar, task)) = &self.drawing {
            task.abort();
            bar.finish_and_clear();
        }
    }
}
