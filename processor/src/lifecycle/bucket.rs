//! What a bucket has, and the requests that change it.

use super::policy::{Lock, LockMode};
use super::rule::Rule;
use aws_sdk_s3::Client;
use aws_sdk_s3::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};
use aws_sdk_s3::types as s3;
use sha2::{Digest, Sha256};
use thiserror::Error;

/// A request about a bucket failed.
#[derive(Debug, Error)]
#[error("{operation} of bucket {bucket} failed: {reason}")]
pub struct BucketError {
    operation: &'static str,
    bucket: String,
    reason: String,
}

/// Object Lock's retention for new objects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockDefault {
    /// Mode, by S3's name.
    pub mode: String,
    /// Days, where set in days.
    pub days: Option<i32>,
    /// Years, where set in years.
    pub years: Option<i32>,
}

impl LockDefault {
    /// For a person.
    pub fn text(&self) -> String {
        let time = match (self.years, self.days) {
            (Some(years), _) => format!("{years} years"),
            (None, days) => format!("{} days", days.unwrap_or_default()),
        };
        format!("{time} ({})", self.mode)
    }

    /// Whether it is another than asked for. A year is 365 days to S3.
    pub fn differs(&self, lock: Lock) -> bool {
        let years = i32::try_from(lock.years).unwrap_or(i32::MAX);
        let enough = match (self.years, self.days) {
            (Some(held), _) => held == years,
            (None, Some(days)) => (years.saturating_mul(365)..years.saturating_mul(366) + 1).contains(&days),
            (None, None) => false,
        };
        self.mode != lock.mode.as_str() || !enough
    }
}

/// What was found in a bucket.
#[derive(Debug, Clone, Default)]
pub struct Observed {
    /// Its name.
    pub bucket: String,
    /// Its rules, in S3's form: foreign ones go back as they came.
    pub rules: Vec<s3::LifecycleRule>,
    /// S3's setting for small objects, as it names it.
    pub minimum_size: Option<String>,
    /// Whether rules without a size move objects below 128 KiB.
    pub moves_small_objects: bool,
    /// Whether versions are kept.
    pub versioned: bool,
    /// Whether Object Lock can be used.
    pub lock_enabled: bool,
    /// Retention of new objects.
    pub lock_default: Option<LockDefault>,
}

fn failed<E, R>(operation: &'static str, bucket: &str, error: &SdkError<E, R>) -> BucketError
where
    E: std::error::Error + 'static,
    R: std::fmt::Debug,
{
    BucketError { operation, bucket: bucket.to_owned(), reason: DisplayErrorContext(error).to_string() }
}

fn says_enabled(answer: &[u8]) -> bool {
    memchr::memmem::find(answer, b"<Status>Enabled</Status>").is_some()
}

impl Observed {
    /// Asks S3.
    ///
    /// # Errors
    /// When the bucket is not there or may not be asked.
    pub async fn read(client: &Client, bucket: &str) -> Result<Observed, BucketError> {
        let mut observed = Observed { bucket: bucket.to_owned(), ..Observed::default() };
        match client.get_bucket_lifecycle_configuration().bucket(bucket).send().await {
            Ok(found) => {
                let minimum = found.transition_default_minimum_object_size();
                observed.minimum_size = minimum.map(|minimum| minimum.as_str().to_owned());
                observed.moves_small_objects =
                    minimum == Some(&s3::TransitionDefaultMinimumObjectSize::VariesByStorageClass);
                observed.rules = found.rules.unwrap_or_default();
            }
            Err(error) if error.code() == Some("NoSuchLifecycleConfiguration") => {}
            Err(error) => return Err(failed("GetBucketLifecycleConfiguration", bucket, &error)),
        }
        observed.versioned = match client.get_bucket_versioning().bucket(bucket).send().await {
            Ok(found) => found.status() == Some(&s3::BucketVersioningStatus::Enabled),
            // Some gateways name the element differently, which the SDK does not read.
            Err(error) => match error.raw_response().filter(|raw| raw.status().is_success()) {
                Some(raw) => says_enabled(raw.body().bytes().unwrap_or_default()),
                None => return Err(failed("GetBucketVersioning", bucket, &error)),
            },
        };
        match client.get_object_lock_configuration().bucket(bucket).send().await {
            Ok(found) => {
                let lock = found.object_lock_configuration();
                observed.lock_enabled =
                    lock.and_then(|lock| lock.object_lock_enabled()) == Some(&s3::ObjectLockEnabled::Enabled);
                let retention = lock.and_then(|lock| lock.rule()).and_then(|rule| rule.default_retention());
                observed.lock_default = retention.and_then(|retention| {
                    let mode = retention.mode()?.as_str().to_owned();
                    Some(LockDefault { mode, days: retention.days(), years: retention.years() })
                });
            }
            Err(error) if error.code() == Some("ObjectLockConfigurationNotFoundError") => {}
            Err(error) => return Err(failed("GetObjectLockConfiguration", bucket, &error)),
        }
        Ok(observed)
    }

    /// The rules as values.
    pub fn values(&self) -> Vec<Rule> {
        self.rules.iter().map(Rule::read).collect()
    }

    /// Changes whenever the bucket's rules do, in any order.
    pub fn fingerprint(&self) -> String {
        let mut texts: Vec<String> = self.values().iter().map(Rule::text).collect();
        texts.sort();
        let digest = Sha256::digest(texts.join("\n").as_bytes());
        digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect()
    }
}

/// Puts all rules of a bucket at once: S3 has no other way.
///
/// # Errors
/// When S3 refuses.
pub async fn put(
    client: &Client,
    observed: &Observed,
    rules: Vec<s3::LifecycleRule>,
) -> Result<(), BucketError> {
    let bucket = observed.bucket.as_str();
    if rules.is_empty() {
        let deleted = client.delete_bucket_lifecycle().bucket(bucket).send().await;
        return deleted.map(drop).map_err(|error| failed("DeleteBucketLifecycle", bucket, &error));
    }
    let configuration = s3::BucketLifecycleConfiguration::builder().set_rules(Some(rules)).build();
    let configuration = configuration.map_err(|error| BucketError {
        operation: "PutBucketLifecycleConfiguration",
        bucket: bucket.to_owned(),
        reason: error.to_string(),
    })?;
    let mut request =
        client.put_bucket_lifecycle_configuration().bucket(bucket).lifecycle_configuration(configuration);
    if let Some(minimum) = &observed.minimum_size {
        request = request.transition_default_minimum_object_size(minimum.as_str().into());
    }
    let put = request.send().await;
    put.map(drop).map_err(|error| failed("PutBucketLifecycleConfiguration", bucket, &error))
}

/// Sets the retention of new objects of a bucket whose Object Lock is on.
///
/// # Errors
/// When S3 refuses.
pub async fn put_lock(client: &Client, bucket: &str, lock: Lock) -> Result<(), BucketError> {
    let mode = match lock.mode {
        LockMode::Governance => s3::ObjectLockRetentionMode::Governance,
        LockMode::Compliance => s3::ObjectLockRetentionMode::Compliance,
    };
    let years = i32::try_from(lock.years).unwrap_or(i32::MAX);
    let retention = s3::DefaultRetention::builder().mode(mode).years(years).build();
    let configuration = s3::ObjectLockConfiguration::builder()
        .object_lock_enabled(s3::ObjectLockEnabled::Enabled)
        .rule(s3::ObjectLockRule::builder().default_retention(retention).build())
        .build();
    let request = client.put_object_lock_configuration().bucket(bucket);
    let put = request.object_lock_configuration(configuration).send().await;
    put.map(drop).map_err(|error| failed("PutObjectLockConfiguration", bucket, &error))
}
