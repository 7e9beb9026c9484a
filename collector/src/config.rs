//! The configuration: TOML in, one checked [`Config`] out.
//!
//! `RawConfig` mirrors the file and refuses unknown keys; [`Config`] is what the rest of the
//! program sees, with every default filled in and every limit checked. Defaults, limits and their
//! reasons are in [`options`], which is also the reference page.
//!
//! Names of options are Vector's where the meaning is Vector's. `${NAME}` and `${NAME:-default}`
//! are replaced inside string values, `$$` is a dollar sign.

pub mod component;
pub mod options;
mod raw;
mod units;

use crate::cases::Case;
use crate::sinks::SinkConfig;
use crate::sources::SourceConfig;
use crate::transforms::TransformConfig;
use serde::Serialize;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

pub(crate) use raw::expand;
pub use units::{ByteSize, Span};

/// Why a configuration can't be used. Every variant names the file and, where there is one, the key.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file can't be read.
    #[error("{path}: can't be read")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// It is not TOML.
    #[error("{path}: not valid TOML: {message}")]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Where and what.
        message: String,
    },
    /// A key is missing, unknown or has a value that can't work.
    #[error("{path}: {key}: {message}")]
    Key {
        /// The file.
        path: PathBuf,
        /// The key, as written from the root.
        key: String,
        /// What is wrong and what to do.
        message: String,
    },
}

/// A checked configuration.
#[derive(Debug, Clone, Serialize)]
pub struct Config {
    /// Where the collector keeps everything it must not lose.
    pub data_dir: PathBuf,
    /// Name of the cluster in landing objects.
    pub cluster: String,
    /// Name of the node in landing objects.
    pub node: String,
    /// Most memory; none: what the cgroup allows, see [`crate::memory`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_max: Option<ByteSize>,
    /// Time for delivery after a signal.
    pub shutdown_timeout: Span,
    /// Admin address.
    pub admin: Admin,
    /// When a batch is handed over.
    pub batch: BatchLimits,
    /// When a segment is sealed.
    pub segment: SegmentLimits,
    /// How large the spool may become.
    pub spool: SpoolSize,
    /// Sources by name.
    #[serde(serialize_with = "raw::sources")]
    pub sources: BTreeMap<String, Arc<dyn SourceConfig>>,
    /// Transforms by name.
    #[serde(serialize_with = "raw::transforms", skip_serializing_if = "BTreeMap::is_empty")]
    pub transforms: BTreeMap<String, Transform>,
    /// Sinks by name.
    #[serde(serialize_with = "raw::sinks")]
    pub sinks: BTreeMap<String, Sink>,
    /// Tests of the configuration; `logq-collector test` runs them.
    #[serde(skip)]
    pub tests: Vec<Case>,
}

/// A configured transform.
#[derive(Debug, Clone)]
pub struct Transform {
    /// Names of the sources and transforms it takes.
    pub inputs: Vec<String>,
    /// Its own settings.
    pub settings: Arc<dyn TransformConfig>,
}

/// A configured sink.
#[derive(Debug, Clone)]
pub struct Sink {
    /// Names of the sources and transforms it takes.
    pub inputs: Vec<String>,
    /// How far it may fall behind.
    pub buffer: Buffer,
    /// Its own settings.
    pub settings: Arc<dyn SinkConfig>,
}

/// How far a sink may fall behind before others feel it.
#[derive(Debug, Clone, Copy, Default, Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Buffer {
    /// Most bytes of sealed segments that wait for this sink; none: the whole spool.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_bytes: Option<ByteSize>,
    /// What happens then.
    #[serde(default)]
    pub when_full: BufferFull,
}

/// What happens when a sink's buffer is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BufferFull {
    /// Reading stops for everybody.
    #[default]
    Block,
    /// The oldest records waiting for this sink are dropped and counted; others go on.
    DropOldest,
}

/// Settings of the admin address.
#[derive(Debug, Clone, Serialize)]
pub struct Admin {
    /// Address to listen on; none: no admin page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<SocketAddr>,
    /// Records can be looked at with `logq-collector tap`.
    pub tap: bool,
}

/// When a batch is handed over to the spool.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct BatchLimits {
    /// At this size.
    pub max_bytes: ByteSize,
    /// At this age.
    pub timeout_secs: Span,
}

/// When a segment is sealed and becomes a landing object.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct SegmentLimits {
    /// At this compressed size.
    pub max_bytes: ByteSize,
    /// At this age.
    pub max_age: Span,
    /// zstd level.
    pub compression_level: i32,
}

/// Size and durability of the spool.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct SpoolSize {
    /// Size on disk.
    pub max_bytes: ByteSize,
    /// What happens then.
    pub when_full: WhenFull,
    /// Longest time data of the open segment stays unsynced.
    pub fsync_interval: Span,
}

/// What happens when the spool is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WhenFull {
    /// Reading stops; the log files are the buffer.
    Block,
    /// New records are dropped and counted.
    DropNewest,
}

/// The limits the spool works with.
#[derive(Debug, Clone, Copy)]
pub struct SpoolLimits {
    /// Size on disk.
    pub max_bytes: ByteSize,
    /// What happens then.
    pub when_full: WhenFull,
    /// Longest time data of the open segment stays unsynced.
    pub fsync_interval: Span,
    /// Size at which a segment is sealed.
    pub segment_bytes: ByteSize,
    /// Age at which a segment is sealed.
    pub segment_age: Span,
    /// zstd level.
    pub compression: i32,
}

/// Pauses between attempts: exponential with full jitter.
#[derive(Debug, Clone, Copy, Serialize, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Backoff {
    /// Bound of the first pause.
    pub initial: Span,
    /// Bound of any pause.
    pub max: Span,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { initial: Span::from(Duration::from_millis(500)), max: Span::from(Duration::from_secs(30)) }
    }
}

/// Limits of one request to a service.
#[derive(Debug, Clone, Copy, Serialize, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Request {
    /// Longest time for one request.
    pub timeout: Span,
    /// Most deliveries in flight; fewer while the service is slow or throttles.
    pub concurrency: usize,
    /// Pauses between attempts.
    pub backoff: Backoff,
}

impl Default for Request {
    fn default() -> Self {
        Self {
            timeout: Span::from(options::REQUEST_TIMEOUT),
            concurrency: options::REQUEST_CONCURRENCY,
            backoff: Backoff::default(),
        }
    }
}

impl Request {
    /// Checks the limits; `key` is the path of the sink.
    ///
    /// # Errors
    /// Names the key that can't work.
    pub fn check(&self, key: &str) -> Result<(), component::Problem> {
        if self.timeout.duration() > options::REQUEST_TIMEOUT_MAX || self.timeout.duration().is_zero() {
            let most = Span::from(options::REQUEST_TIMEOUT_MAX);
            let message = format!("must be more than 0 and at most {most}");
            return Err(component::problem(format!("{key}.request.timeout"), message));
        }
        if !(1..=options::REQUEST_CONCURRENCY_MAX).contains(&self.concurrency) {
            let message = format!("must be between 1 and {}", options::REQUEST_CONCURRENCY_MAX);
            return Err(component::problem(format!("{key}.request.concurrency"), message));
        }
        Ok(())
    }
}

impl Config {
    /// Reads and checks a configuration file. `variable` looks up environment variables.
    ///
    /// # Errors
    /// When the file can't be read, is not TOML, or a key is wrong.
    pub fn load(path: &Path, variable: &dyn Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
        Self::parse(path, &text, variable)
    }

    /// Checks the text of a configuration file; `path` only appears in errors.
    ///
    /// # Errors
    /// When it is not TOML, or a key is wrong.
    pub fn parse(
        path: &Path,
        text: &str,
        variable: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, ConfigError> {
        let table = text.parse::<toml::Table>().map_err(|error| ConfigError::Syntax {
            path: path.to_owned(),
            message: error.to_string().trim_end().to_owned(),
        })?;
        raw::check(table, variable).map_err(|problem| ConfigError::Key {
            path: path.to_owned(),
            key: problem.key,
            message: problem.message,
        })
    }

    /// The effective configuration as TOML.
    pub fn to_toml(&self) -> String {
        // The structure is maps, strings and numbers; nothing of it can fail to serialise except a
        // path that is not UTF-8, which did not come from a TOML file.
        toml::to_string(self).unwrap_or_else(|error| format!("# not printable: {error}\n"))
    }

    /// The limits of the spool, gathered from their sections.
    pub fn spool_limits(&self) -> SpoolLimits {
        SpoolLimits {
            max_bytes: self.spool.max_bytes,
            when_full: self.spool.when_full,
            fsync_interval: self.spool.fsync_interval,
            segment_bytes: self.segment.max_bytes,
            segment_age: self.segment.max_age,
            compression: self.segment.compression_level,
        }
    }
}

#[cfg(test)]
mod tests;
