//! Prepared batches: what a batch commits, written down before its first commit.
//!
//! `state/prepared/<sequence>.json` lists, by table, the data files of a claimed batch. It is created
//! with a conditional put after all files are stored and before any table is touched. The first one
//! wins: whoever does the batch again, after a crash, an unclear answer or beside a twin of the same
//! shard name, commits these files and no others.
//!
//! That is needed because parsing a batch twice need not give the same rows: which record repeats an
//! earlier one depends on what the process remembers. Without it, a crash between two commits could
//! leave one table with the rows of the first parse and `ingest` with the counts of the second, and
//! a late upload of the first could overwrite a file of the second. So file names carry the attempt
//! too ([`attempt`]); the files of an attempt that lost are in no table, and `vacuum` takes them away.
//!
//! It also makes recovery cheap: after this point the input objects are not needed any more.

use crate::pipeline::Summary;
use crate::storage::{Lake, StorageError};
use bytes::Bytes;
use deltalake::kernel::Add;
use deltalake::{ObjectStoreError, Path};
use object_store::{ObjectStoreExt, PutMode, PutOptions};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::hash::BuildHasher;
use thiserror::Error;

/// What a batch commits.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Prepared {
    /// Number of the batch.
    pub sequence: i64,
    /// The data files by table.
    pub files: BTreeMap<String, Vec<Add>>,
    /// What the batch counts.
    pub summary: Summary,
}

/// Why a prepared batch cannot be read or written.
#[derive(Debug, Error)]
pub enum PreparedError {
    /// The store failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// It is not readable.
    #[error("prepared batch {location} is not valid: remove it, and the batch is parsed again")]
    Malformed {
        /// Its key.
        location: String,
        /// What the parser says.
        source: serde_json::Error,
    },
}

/// The key of a prepared batch, zero-padded like its claim's.
pub fn path(sequence: i64) -> Path {
    Path::from(format!("state/prepared/{sequence:012}.json"))
}

/// A name for one attempt at a batch: no other attempt has it.
pub fn attempt() -> String {
    let keys = std::collections::hash_map::RandomState::new();
    format!("{:016x}", keys.hash_one(std::process::id()))
}

/// Reads what is prepared for a batch, if anything is.
///
/// # Errors
/// When the store fails or the object is malformed.
pub async fn read(lake: &Lake, sequence: i64) -> Result<Option<Prepared>, PreparedError> {
    let path = path(sequence);
    let location = || format!("{}{path}", lake.url());
    let failed = |source| StorageError::Request { location: location(), source };
    let bytes = match lake.store().get(&path).await {
        Ok(found) => found.bytes().await.map_err(failed)?,
        Err(ObjectStoreError::NotFound { .. }) => return Ok(None),
        Err(source) => return Err(failed(source).into()),
    };
    serde_json::from_slice(&bytes)
        .map(Some)
        .map_err(|source| PreparedError::Malformed { location: location(), source })
}

/// Writes down what a batch commits and gives what counts: this, or what another attempt prepared
/// before.
///
/// # Errors
/// When the store fails; whether it is written down is then unclear.
pub async fn settle(lake: &Lake, prepared: Prepared) -> Result<Prepared, PreparedError> {
    let path = path(prepared.sequence);
    let location = || format!("{}{path}", lake.url());
    let body = serde_json::to_vec(&prepared)
        .map_err(|source| PreparedError::Malformed { location: location(), source })?;
    let create = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
    match lake.store().put_opts(&path, Bytes::from(body).into(), create).await {
        Ok(_) => Ok(prepared),
        Err(error @ (ObjectStoreError::AlreadyExists { .. } | ObjectStoreError::Precondition { .. })) => {
            let failed = || StorageError::Request { location: location(), source: error };
            read(lake, prepared.sequence).await?.ok_or_else(|| failed().into())
        }
        Err(source) => Err(StorageError::Request { location: location(), source }.into()),
    }
}

/// Takes away what was prepared for a batch that must be parsed again.
///
/// # Errors
/// When the store fails.
pub async fn discard(lake: &Lake, sequence: i64) -> Result<(), PreparedError> {
    let path = path(sequence);
    match lake.store().delete(&path).await {
        Ok(()) | Err(ObjectStoreError::NotFound { .. }) => Ok(()),
        Err(source) => {
            Err(StorageError::Request { location: format!("{}{path}", lake.url()), source }.into())
        }
    }
}
