//! Sources: where records come from. Each runs on a thread of its own and hands batches through
//! the graph of transforms to the spool, over a bounded channel.

#[cfg(any(feature = "forward", feature = "otlp"))]
pub mod connections;
pub mod file;
#[cfg(feature = "forward")]
pub mod fluent;
#[cfg(feature = "journald")]
pub mod journald;
pub mod kubernetes_logs;
#[cfg(feature = "otlp")]
pub mod opentelemetry;
pub mod received;
pub mod stdin;

use crate::batch::Batch;
use crate::config::BatchLimits;
use crate::config::component::{Described, Kind, Settings, read_settings};
use crate::graph::Entrance;
use crate::memory::{Caps, Reads};
use crate::metrics::Metrics;
use crate::position::Positions;
use crate::topology::Progress;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender};
use tokio_util::sync::CancellationToken;

/// Every kind of source.
pub const KINDS: &[Kind<dyn SourceConfig>] = &[
    kind::<kubernetes_logs::Settings>(),
    kind::<file::FileSettings>(),
    kind::<stdin::StdinSettings>(),
    #[cfg(feature = "otlp")]
    kind::<opentelemetry::OpentelemetrySettings>(),
    #[cfg(feature = "forward")]
    kind::<fluent::FluentSettings>(),
    #[cfg(feature = "journald")]
    kind::<journald::JournaldSettings>(),
];

/// Settings of a source.
pub trait SourceConfig: Described {
    /// Keys and values of what no two sources may share: directories, addresses.
    fn exclusive(&self) -> Vec<(&'static str, String)> {
        Vec::new()
    }

    /// What it takes of the memory.
    fn memory(&self) -> Reads;

    /// Runs until `wiring.stop`, then hands over what it has and returns. Blocking, on a thread of
    /// its own from which `wiring.runtime` may be used.
    fn run(&self, wiring: Wiring);
}

/// What every source is connected to.
pub struct Wiring {
    /// Name of the source in the configuration.
    pub name: String,
    /// Name of the cluster, as configured.
    pub cluster: String,
    /// Name of the node, as configured.
    pub node: String,
    /// Where sources keep notes of their own, never in the way of the spool's.
    pub data_dir: std::path::PathBuf,
    /// Batches go here; blocks when the spool can't keep up.
    pub output: Output,
    /// Emptied batches come back here for reuse.
    pub empty: Receiver<Batch>,
    /// What it may take of the memory.
    pub memory: Caps,
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
    /// For sources that listen or call.
    pub runtime: tokio::runtime::Handle,
}

/// The way from a source through its transforms to the spool.
#[derive(Debug)]
pub struct Output {
    /// Transforms and lanes behind this source.
    pub entrance: Entrance,
    /// The spool.
    pub sender: SyncSender<Batch>,
}

/// The spool has stopped: what was handed over was not stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the spool has stopped")]
pub struct Stopped;

impl Output {
    /// Sends a batch through the transforms and to the spool. Blocks while the spool is behind.
    ///
    /// # Errors
    /// When the spool has stopped. What it did not take is read again next time.
    pub fn send(&self, mut batch: Batch) -> Result<(), Stopped> {
        self.entrance.pass(&mut batch);
        self.sender.send(batch).map_err(|_| Stopped)
    }
}

/// An entry of [`KINDS`].
const fn kind<S: Settings + SourceConfig>() -> Kind<dyn SourceConfig> {
    Kind {
        name: S::KIND,
        about: S::ABOUT,
        options: S::options,
        read: |key, table| Ok(read_settings::<S>(key, table)?),
    }
}
