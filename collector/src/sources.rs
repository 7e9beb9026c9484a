//! Sources: where records come from. Each runs on a thread of its own, because reading files is
//! blocking work, and hands batches to the spool through a bounded channel.

pub mod kubernetes_logs;

use crate::batch::Batch;
use crate::config::BatchLimits;
use crate::metrics::Metrics;
use crate::position::Positions;
use crate::topology::Progress;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender};
use tokio_util::sync::CancellationToken;

/// A configured source.
#[derive(Debug, Clone)]
pub enum Source {
    /// Container logs of the node's pods.
    KubernetesLogs(kubernetes_logs::Settings),
}

/// What every source is connected to.
pub struct Wiring {
    /// Batches go here; blocks when the spool can't keep up.
    pub output: SyncSender<Batch>,
    /// Emptied batches come back here for reuse.
    pub empty: Receiver<Batch>,
    /// When a batch is handed over.
    pub limits: BatchLimits,
    /// Where to resume.
    pub positions: Positions,
    /// Ends intake.
    pub stop: CancellationToken,
    /// Signs of life.
    pub progress: Arc<Progress>,
    /// Counters.
    pub metrics: Arc<Metrics>,
}

impl Source {
    /// Runs until `wiring.stop`, then hands over what it has and returns. Blocking.
    pub fn run(self, wiring: Wiring) {
        match self {
            Self::KubernetesLogs(settings) => kubernetes_logs::run(settings, wiring),
        }
    }
}
