//! Public keys, as `aws cloudtrail list-public-keys --start-time … --end-time …` prints them: one
//! file, or a folder of such files (one per Region and period).
//!
//! Keys are found by fingerprint. Ask for them in the Region of the chain, for the time of the
//! digests; of backfill digests, for the time in their metadata `backfill-generation-timestamp`.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use thiserror::Error;

/// Known public keys: PKCS#1 DER by fingerprint.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PublicKeys {
    keys: HashMap<String, Vec<u8>>,
}

/// Why keys cannot be read.
#[derive(Debug, Error)]
pub enum KeysError {
    /// A file or folder cannot be read.
    #[error("cannot read public keys from {}", path.display())]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
    /// A file is not what the command prints.
    #[error(
        "{} is not a list of public keys: save what `aws cloudtrail list-public-keys` prints as JSON",
        path.display()
    )]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What the parser says.
        source: serde_json::Error,
    },
    /// A key's value is not base64.
    #[error("the public key {fingerprint} in {} is not base64", path.display())]
    NotBase64 {
        /// The file.
        path: PathBuf,
        /// The key.
        fingerprint: String,
    },
    /// Nothing in it.
    #[error("{} holds no public key: put the output of `aws cloudtrail list-public-keys` there", path.display())]
    Empty {
        /// The file or folder.
        path: PathBuf,
    },
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct List {
    public_key_list: Vec<Key>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Key {
    value: String,
    fingerprint: String,
}

impl PublicKeys {
    /// Reads a file, or every `.json` file of a folder.
    ///
    /// # Errors
    /// When something cannot be read, is no list of keys, or no key is there at all.
    pub fn load(path: &Path) -> Result<PublicKeys, KeysError> {
        let failed = |source| KeysError::Read { path: path.to_owned(), source };
        let mut files = Vec::new();
        if path.is_dir() {
            for entry in std::fs::read_dir(path).map_err(failed)? {
                let file = entry.map_err(failed)?.path();
                if file.extension().is_some_and(|extension| extension == "json") {
                    files.push(file);
                }
            }
        } else {
            files.push(path.to_owned());
        }
        let mut keys = PublicKeys::default();
        for file in files {
            keys.add_file(&file)?;
        }
        if keys.keys.is_empty() {
            return Err(KeysError::Empty { path: path.to_owned() });
        }
        Ok(keys)
    }

    fn add_file(&mut self, path: &Path) -> Result<(), KeysError> {
        let text = std::fs::read(path).map_err(|source| KeysError::Read { path: path.to_owned(), source })?;
        let list: List = serde_json::from_slice(&text)
            .map_err(|source| KeysError::Malformed { path: path.to_owned(), source })?;
        for key in list.public_key_list {
            let Ok(der) = STANDARD.decode(key.value.trim()) else {
                return Err(KeysError::NotBase64 { path: path.to_owned(), fingerprint: key.fingerprint });
            };
            self.keys.insert(key.fingerprint.to_ascii_lowercase(), der);
        }
        Ok(())
    }

    /// The key with this fingerprint.
    pub fn find(&self, fingerprint: &str) -> Option<&[u8]> {
        self.keys.get(&fingerprint.to_ascii_lowercase()).map(Vec::as_slice)
    }

    /// Number of keys.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }
}
