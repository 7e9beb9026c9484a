//! The real programs, as processes.
//!
//! * [`Programs`] finds the binaries that were built beside the running test or tool.
//! * [`Daemon`] is a running program that never outlives its owner: it is killed when dropped.
//! * [`Lake`] asks the real `logq`; [`once`] runs the real processor over inputs.
//! * [`collector`] writes collector configurations.
//!
//! Nothing is faked here, and nothing waits for a fixed time: [`wait_for`] polls a condition until
//! a deadline and says what it was waiting for.

pub mod collector;
mod daemon;
mod lake;
pub mod landed;
mod once;
mod programs;
mod tmpfs;

pub use daemon::{Daemon, StartError, fetch, free_port, kill_with_parent};
pub use lake::{Lake, QueryError};
pub use once::{OnceError, Report, once};
pub use programs::{GUARD, MissingProgram, Program, Programs};
pub use tmpfs::Tmpfs;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Pause between two looks at a condition. Short enough not to matter, long enough not to starve
/// the programs under test on two cores.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// Lets the current thread rest: for paced writers and polling loops only, never as a way to hope
/// that something has happened.
#[allow(clippy::disallowed_methods)] // the one pause everything else goes through
pub fn pause(duration: Duration) {
    std::thread::sleep(duration);
}

/// The condition did not come true in time.
#[derive(Debug, thiserror::Error)]
#[error("waited {}s for {what}", waited.as_secs())]
pub struct TimedOut {
    what: String,
    waited: Duration,
}

/// Looks until `condition` holds.
///
/// # Errors
/// When it does not within `limit`.
pub fn wait_for(what: &str, limit: Duration, mut condition: impl FnMut() -> bool) -> Result<(), TimedOut> {
    let started = Instant::now();
    while !condition() {
        if started.elapsed() > limit {
            return Err(TimedOut { what: what.to_owned(), waited: limit });
        }
        pause(LOOK_AGAIN);
    }
    Ok(())
}

/// Root of the repository this crate belongs to.
pub fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."))
}

/// The shared recordings: `LOGQ_FIXTURES`, else `../shared/fixtures` beside the checkout.
pub fn shared_fixtures() -> Option<PathBuf> {
    let named = std::env::var_os("LOGQ_FIXTURES").map(PathBuf::from);
    let beside = repository().parent().map(|parent| parent.join("shared/fixtures"));
    named.or(beside).filter(|path| path.is_dir())
}

/// The Python environment with moto, deltalake and DuckDB that `./dev test` makes, when it is there.
pub fn python() -> Option<PathBuf> {
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache"));
    let python = cache.or_else(home)?.join("logq/venv/bin/python");
    python.is_file().then_some(python)
}

/// Bytes of all files below `root`.
pub fn bytes_below(root: &Path) -> u64 {
    walkdir::WalkDir::new(root)
        .into_iter()
        .filter_map(Result::ok)
        .filter(|entry| entry.file_type().is_file())
        .filter_map(|entry| entry.metadata().ok())
        .map(|meta| meta.len())
        .sum()
}
