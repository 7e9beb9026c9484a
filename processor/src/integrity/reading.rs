//! Reads objects for verification: their content's hash, a digest's fields and its metadata.
//!
//! An object in a bucket has its signature in its metadata. A local copy has none: a *sidecar* beside
//! it, `<file>.metadata.json`, holds what `aws s3api head-object` printed for the original (or only its
//! `Metadata`); without one, the next digest of the chain vouches for it.

use super::digest::Digest;
use crate::storage::{Inputs, Place, StorageError};
use crate::stored::{hex, object_id};
use bytes::Bytes;
use deltalake::Path;
use flate2::read::MultiGzDecoder;
use object_store::{Attribute, ObjectStoreExt};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use std::io::{self, Read};

/// Ending of the sidecar of a local digest.
pub const SIDECAR: &str = ".metadata.json";

/// A digest lists at most some thousand files of 400 bytes each; more than this is none.
const DIGEST_BYTES_MAX: u64 = 64 << 20;

/// What an object's metadata says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Signing {
    /// The signature, in hex. Its algorithm is in the digest, where it is signed.
    pub signature: Option<String>,
}

/// Content as found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Identity of the stored bytes.
    pub object_id: String,
    /// Hex SHA-256 of the uncompressed content; the error when it does not inflate.
    pub sha256: Result<String, String>,
}

/// A digest as found.
#[derive(Debug)]
pub struct FoundDigest {
    /// Its content.
    pub found: Found,
    /// What it says, or why it cannot be read.
    pub digest: Result<Digest, String>,
    /// Its metadata.
    pub signing: Signing,
}

/// Reads on through gzip, or as it is where it is not compressed.
fn content<'a>(bytes: &'a [u8]) -> Box<dyn Read + 'a> {
    if bytes.starts_with(&[0x1f, 0x8b]) { Box::new(MultiGzDecoder::new(bytes)) } else { Box::new(bytes) }
}

/// Hashes stored bytes and what they inflate to.
pub fn hash(bytes: &[u8]) -> Found {
    let mut hasher = Sha256::new();
    let sha256 = io::copy(&mut content(bytes), &mut hasher)
        .map(|_| hex(&hasher.finalize()))
        .map_err(|error| format!("it does not inflate: {error}"));
    Found { object_id: object_id(bytes), sha256 }
}

/// Reads and hashes an object, off the threads that wait for I/O.
///
/// # Errors
/// When it is gone or cannot be read.
pub async fn read_log(inputs: &Inputs, place: &Place) -> Result<Found, StorageError> {
    let bytes = inputs.read_whole(place).await?;
    let hashed = tokio::task::spawn_blocking(move || hash(&bytes)).await;
    hashed.map_err(|error| StorageError::Read { location: place.location(), source: io::Error::other(error) })
}

/// Reads a digest with its metadata.
///
/// # Errors
/// When it is gone or cannot be read.
pub async fn read_digest(inputs: &Inputs, place: &Place) -> Result<FoundDigest, StorageError> {
    let (bytes, signing) = match place {
        Place::File(_) => (inputs.read_whole(place).await?, sidecar(inputs, place).await?),
        Place::Bucket { bucket, key } => {
            let store = inputs.bucket(bucket).await?;
            let path = Path::parse(key).unwrap_or_else(|_| Path::from(key.as_str()));
            let request = |source| StorageError::Request { location: place.location(), source };
            let answer = store.get(&path).await.map_err(request)?;
            let metadata = |name: &'static str| {
                answer.attributes.get(&Attribute::Metadata(name.into())).map(|value| value.to_string())
            };
            let signing = Signing { signature: metadata("signature") };
            (answer.bytes().await.map_err(request)?, signing)
        }
    };
    Ok(parse(&bytes, signing))
}

/// Hashes and parses a digest's stored bytes.
pub fn parse(bytes: &Bytes, signing: Signing) -> FoundDigest {
    let found = hash(bytes);
    let digest = match &found.sha256 {
        Err(reason) => Err(reason.clone()),
        Ok(_) => {
            let mut text = Vec::new();
            let read = content(bytes).take(DIGEST_BYTES_MAX).read_to_end(&mut text);
            read.map_err(|error| error.to_string()).and_then(|_| {
                serde_json::from_slice(&text).map_err(|error| format!("it is no digest file: {error}"))
            })
        }
    };
    FoundDigest { found, digest, signing }
}

/// What `head-object` prints, or its `Metadata` alone.
#[derive(Deserialize)]
struct Sidecar {
    #[serde(rename = "Metadata")]
    metadata: Option<SidecarMetadata>,
    signature: Option<String>,
}

#[derive(Deserialize)]
struct SidecarMetadata {
    signature: Option<String>,
}

async fn sidecar(inputs: &Inputs, place: &Place) -> Result<Signing, StorageError> {
    let beside = Place::from_location(&format!("{}{SIDECAR}", place.location()));
    let bytes = match inputs.read_whole(&beside).await {
        Ok(bytes) => bytes,
        Err(error) if error.is_not_found() => return Ok(Signing::default()),
        Err(error) => return Err(error),
    };
    let read: Sidecar = serde_json::from_slice(&bytes).map_err(|error| StorageError::Read {
        location: beside.location(),
        source: io::Error::new(io::ErrorKind::InvalidData, error),
    })?;
    Ok(match read.metadata {
        Some(inner) => Signing { signature: inner.signature },
        None => Signing { signature: read.signature },
    })
}
