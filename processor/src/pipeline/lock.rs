//! A shard name is used by one process at a time.

use super::PipelineError;
use crate::storage::Lake;

/// One process per shard of a local lake. On S3 the claims alone decide, and the operator gives each
/// processor its own shard name.
pub(super) fn shard(lake: &Lake, shard: &str) -> Result<Option<std::fs::File>, PipelineError> {
    let Some(directory) = lake.directory() else { return Ok(None) };
    let failed = |source| PipelineError::Lock { shard: shard.to_owned(), source };
    let folder = directory.join("state");
    std::fs::create_dir_all(&folder).map_err(failed)?;
    let file = std::fs::OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(folder.join(format!("shard-{shard}.lock")))
        .map_err(failed)?;
    match rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Some(file)),
        Err(rustix::io::Errno::WOULDBLOCK) => {
            Err(PipelineError::ShardInUse { shard: shard.to_owned(), lake: directory.display().to_string() })
        }
        Err(error) => Err(failed(error.into())),
    }
}
