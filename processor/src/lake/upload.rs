//! One object on its way into a store: in parts when it is large, hashed as it goes.

use crate::stored::hex;
use bytes::{Bytes, BytesMut};
use deltalake::{ObjectStore, ObjectStoreError, Path};
use object_store::{Attributes, ObjectStoreExt, PutMultipartOptions, PutOptions, WriteMultipart};
use sha2::{Digest, Sha256};
use std::sync::Arc;

/// Size of a part. 10,000 parts of it are 80 GiB, far above any file we write.
const PART_BYTES: usize = 8 << 20;

/// Parts on their way at the same time.
const PARTS_AT_ONCE: usize = 4;

/// An object that is being written. It appears when [`Upload::finish`] returns, or never.
pub struct Upload {
    store: Arc<dyn ObjectStore>,
    path: Path,
    attributes: Attributes,
    /// What waits for the first part to be full.
    head: BytesMut,
    parts: Option<WriteMultipart>,
    hasher: Sha256,
    bytes: u64,
}

/// What was stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// Bytes.
    pub bytes: u64,
    /// SHA-256 in hex.
    pub sha256: String,
}

impl Upload {
    /// Begins an object. Nothing is sent yet.
    pub fn new(store: Arc<dyn ObjectStore>, path: Path, attributes: Attributes) -> Upload {
        let (head, hasher) = (BytesMut::new(), Sha256::new());
        Upload { store, path, attributes, head, parts: None, hasher, bytes: 0 }
    }

    /// Adds bytes.
    ///
    /// # Errors
    /// When the store fails; the object is given up then.
    pub async fn write(&mut self, bytes: Bytes) -> Result<(), ObjectStoreError> {
        self.hasher.update(&bytes);
        self.bytes += bytes.len() as u64;
        if let Some(parts) = &mut self.parts {
            parts.put(bytes);
            let sent = parts.wait_for_capacity(PARTS_AT_ONCE).await;
            if sent.is_err()
                && let Some(parts) = self.parts.take()
            {
                // The failure that is told is the first one; a rule of the bucket takes what is left.
                let _ = parts.abort().await;
            }
            return sent;
        }
        self.head.extend_from_slice(&bytes);
        if self.head.len() >= PART_BYTES {
            let options =
                PutMultipartOptions { attributes: self.attributes.clone(), ..PutMultipartOptions::default() };
            let upload = self.store.put_multipart_opts(&self.path, options).await?;
            let mut parts = WriteMultipart::new_with_chunk_size(upload, PART_BYTES);
            parts.put(std::mem::take(&mut self.head).freeze());
            self.parts = Some(parts);
        }
        Ok(())
    }

    /// Completes the object.
    ///
    /// # Errors
    /// When the store fails; the object does not appear then.
    pub async fn finish(self) -> Result<Stored, ObjectStoreError> {
        match self.parts {
            Some(parts) => drop(parts.finish().await?),
            None => {
                let options = PutOptions { attributes: self.attributes, ..PutOptions::default() };
                drop(self.store.put_opts(&self.path, self.head.freeze().into(), options).await?);
            }
        }
        Ok(Stored { bytes: self.bytes, sha256: hex(&self.hasher.finalize()) })
    }

    /// Gives the object up.
    pub async fn abort(self) {
        if let Some(parts) = self.parts
            && let Err(error) = parts.abort().await
        {
            tracing::warn!(path = %self.path, %error, "parts of a given up upload are left in the store");
        }
    }

    /// SHA-256 in hex of what was taken in so far.
    pub fn sha256(&self) -> String {
        hex(&self.hasher.clone().finalize())
    }

    /// Bytes taken in so far.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }
}

/// SHA-256 in hex and length of an object, read in pieces.
///
/// # Errors
/// When it cannot be read.
pub async fn hash_object(store: &dyn ObjectStore, path: &Path) -> Result<Stored, ObjectStoreError> {
    use futures::TryStreamExt;
    let mut pieces = store.get(path).await?.into_stream();
    let (mut hasher, mut bytes) = (Sha256::new(), 0);
    while let Some(piece) = pieces.try_next().await? {
        hasher.update(&piece);
        bytes += piece.len() as u64;
    }
    Ok(Stored { bytes, sha256: hex(&hasher.finalize()) })
}
