//! S3 Object Lock: retention of what is written into the archive.
//!
//! Files are uploaded first and then given their retention (`PutObjectRetention`), before a manifest
//! lists them; a manifest is created with its retention in one request.

use aws_sdk_s3::Client;
use aws_sdk_s3::error::{DisplayErrorContext, ProvideErrorMetadata};
use aws_sdk_s3::primitives::{ByteStream, DateTime};
use aws_sdk_s3::types::{ObjectLockMode, ObjectLockRetention, ObjectLockRetentionMode, StorageClass};
use thiserror::Error;
use url::Url;

/// Who may end a retention early.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LockMode {
    /// Whoever has the permission to bypass it.
    Governance,
    /// Nobody.
    Compliance,
}

/// A retention.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lock {
    /// Who may end it early.
    pub mode: LockMode,
    /// Its length from the moment of writing.
    pub days: u32,
}

/// S3 refused.
#[derive(Debug, Error)]
#[error(
    "cannot lock archive object {key} (the bucket must have Object Lock, the role s3:PutObjectRetention): {reason}"
)]
pub struct LockError {
    key: String,
    reason: String,
}

/// Sets retentions in one bucket.
#[derive(Debug, Clone)]
pub(super) struct Locker {
    client: Client,
    bucket: String,
    prefix: String,
    lock: Lock,
}

impl Locker {
    pub(super) async fn open(url: &Url, lock: Lock) -> Locker {
        let shared = aws_config::defaults(aws_config::BehaviorVersion::latest()).load().await;
        // Servers at an address of their own rarely have a name per bucket.
        let config = aws_sdk_s3::config::Builder::from(&shared)
            .force_path_style(shared.endpoint_url().is_some())
            .build();
        Locker {
            client: Client::from_conf(config),
            bucket: url.host_str().unwrap_or_default().to_owned(),
            prefix: url.path().trim_start_matches('/').to_owned(),
            lock,
        }
    }

    fn until(&self) -> DateTime {
        let until = chrono::Utc::now() + chrono::TimeDelta::days(self.lock.days.into());
        DateTime::from_secs(until.timestamp())
    }

    /// Sets the retention of an object that is there.
    pub(super) async fn protect(&self, key: &str) -> Result<(), LockError> {
        let mode = match self.lock.mode {
            LockMode::Governance => ObjectLockRetentionMode::Governance,
            LockMode::Compliance => ObjectLockRetentionMode::Compliance,
        };
        let retention = ObjectLockRetention::builder().mode(mode).retain_until_date(self.until()).build();
        let request = self.client.put_object_retention();
        let sent = request
            .bucket(&self.bucket)
            .key(format!("{}{key}", self.prefix))
            .retention(retention)
            .send()
            .await;
        sent.map(drop).map_err(|error| LockError {
            key: key.to_owned(),
            reason: DisplayErrorContext(error).to_string(),
        })
    }

    /// Creates an object with its retention; false when the key is taken.
    pub(super) async fn create(&self, key: &str, body: Vec<u8>) -> Result<bool, LockError> {
        let mode = match self.lock.mode {
            LockMode::Governance => ObjectLockMode::Governance,
            LockMode::Compliance => ObjectLockMode::Compliance,
        };
        let sent = self
            .client
            .put_object()
            .bucket(&self.bucket)
            .key(format!("{}{key}", self.prefix))
            .if_none_match("*")
            .storage_class(StorageClass::Standard)
            .content_type("application/json")
            .object_lock_mode(mode)
            .object_lock_retain_until_date(self.until())
            .body(ByteStream::from(body))
            .send()
            .await;
        match sent {
            Ok(_) => Ok(true),
            Err(error) if error.code() == Some("PreconditionFailed") => Ok(false),
            Err(error) => {
                Err(LockError { key: key.to_owned(), reason: DisplayErrorContext(error).to_string() })
            }
        }
    }
}
