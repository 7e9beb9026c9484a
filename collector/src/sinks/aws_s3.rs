//! Sink `aws_s3`: landing objects in a bucket, one `PutObject` each.
//!
//! Credentials come from the AWS SDK's default chain (environment, profile, web identity for IRSA,
//! container endpoint for EKS Pod Identity, instance metadata), optionally exchanged for a role in
//! the logging account. They are kept until shortly before they expire.
//!
//! An ACL can't be set: the S3 client used here signs a fixed set of headers, and S3 refuses an
//! unsigned `x-amz-acl`. Buckets with "bucket owner enforced" ownership, the default since 2023,
//! need none: objects belong to the bucket's owner.

use super::{DeliveryError, Object, SetupError};
use crate::config::{AwsS3Settings, Backoff};
use aws_config::{BehaviorVersion, Region};
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use futures::future::BoxFuture;
use object_store::aws::{AmazonS3, AmazonS3Builder, AmazonS3ConfigKey, AwsCredential};
use object_store::path::Path;
use object_store::{
    Attribute, Attributes, ClientOptions, CredentialProvider, ObjectStore, PutOptions, PutPayload,
    RetryConfig,
};
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::sync::Mutex;

/// Credentials are renewed this long before they expire: longer than an upload takes.
const RENEW_BEFORE: Duration = Duration::from_secs(300);

/// Credentials without an expiry may still be rotated in place; they are looked up again after this.
const RENEW_STATIC: Duration = Duration::from_secs(900);

/// A bucket that takes landing objects.
#[derive(Debug)]
pub struct S3Sink {
    store: AmazonS3,
    prefix: String,
    options: PutOptions,
    timeout: Duration,
    backoff: Backoff,
}

impl S3Sink {
    /// Sets up the client. Does not talk to the bucket: a bucket that is away at start must not
    /// keep the node's logs from being spooled.
    ///
    /// # Errors
    /// When the settings can't work.
    pub async fn connect(name: &str, settings: &AwsS3Settings) -> Result<Self, SetupError> {
        let mut loader = aws_config::defaults(BehaviorVersion::latest());
        if let Some(region) = &settings.region {
            loader = loader.region(Region::new(region.clone()));
        }
        let sdk = loader.load().await;
        let region = settings.region.clone().or_else(|| sdk.region().map(ToString::to_string));
        let provider = match &settings.auth.assume_role {
            Some(role) => {
                let mut builder = aws_config::sts::AssumeRoleProvider::builder(role)
                    .session_name(settings.auth.session_name.clone())
                    .configure(&sdk);
                if let Some(id) = &settings.auth.external_id {
                    builder = builder.external_id(id);
                }
                if let Some(region) = settings.auth.region.clone().or_else(|| region.clone()) {
                    builder = builder.region(Region::new(region));
                }
                Some(SharedCredentialsProvider::new(builder.build().await))
            }
            None => sdk.credentials_provider(),
        };
        let fail = |what, source: Box<dyn std::error::Error + Send + Sync>| SetupError {
            name: name.to_owned(),
            what,
            source,
        };
        let provider = provider.ok_or_else(|| fail("finding credentials", "the chain is empty".into()))?;
        let store = build(settings, region, provider)
            .map_err(|error| fail("setting up the S3 client", Box::new(error)))?;
        let mut attributes = Attributes::new();
        if let Some(class) = &settings.storage_class {
            attributes.insert(Attribute::StorageClass, class.clone().into());
        }
        Ok(Self {
            store,
            prefix: settings.key_prefix.clone(),
            options: PutOptions { attributes, ..PutOptions::default() },
            timeout: settings.request.timeout.duration(),
            backoff: settings.request.backoff,
        })
    }

    /// Pauses between attempts.
    pub fn backoff(&self) -> Backoff {
        self.backoff
    }

    /// Uploads one object.
    ///
    /// # Errors
    /// When S3 refuses it or does not answer in time. It may then still have been stored; the next
    /// attempt writes the same bytes under the same key.
    pub async fn deliver(&self, object: &Object) -> Result<(), DeliveryError> {
        let path = Path::from(format!("{}{}", self.prefix, object.key));
        let payload: PutPayload = object.parts.iter().cloned().collect();
        let put = self.store.put_opts(&path, payload, self.options.clone());
        match tokio::time::timeout(self.timeout, put).await {
            Ok(result) => Ok(result.map(drop)?),
            Err(_) => Err(DeliveryError::Timeout(self.timeout)),
        }
    }
}

fn build(
    settings: &AwsS3Settings,
    region: Option<String>,
    provider: SharedCredentialsProvider,
) -> object_store::Result<AmazonS3> {
    let allow_http = settings.endpoint.as_ref().is_some_and(|endpoint| endpoint.starts_with("http://"));
    let mut builder = AmazonS3Builder::new()
        .with_bucket_name(&settings.bucket)
        // S3 answers a wrong region with a redirect that names the right one.
        .with_region(region.unwrap_or_else(|| "us-east-1".to_owned()))
        .with_credentials(Arc::new(Credentials { provider, cached: Mutex::new(None) }))
        .with_allow_http(allow_http)
        .with_client_options(
            ClientOptions::new()
                .with_timeout(settings.request.timeout.duration())
                .with_allow_http(allow_http),
        )
        // Retries are the sink's own, visible in its metrics and without an end.
        .with_retry(RetryConfig { max_retries: 0, ..RetryConfig::default() });
    if let Some(endpoint) = &settings.endpoint {
        builder = builder.with_endpoint(endpoint);
    }
    if let Some(algorithm) = &settings.server_side_encryption {
        builder = builder.with_config("aws_server_side_encryption".parse::<AmazonS3ConfigKey>()?, algorithm);
    }
    if let Some(key_id) = &settings.ssekms_key_id {
        builder = builder.with_config("aws_sse_kms_key_id".parse::<AmazonS3ConfigKey>()?, key_id);
    }
    builder.build()
}

/// Hands the SDK's credentials to the S3 client.
#[derive(Debug)]
struct Credentials {
    provider: SharedCredentialsProvider,
    cached: Mutex<Option<(Arc<AwsCredential>, SystemTime)>>,
}

impl Credentials {
    async fn current(&self) -> object_store::Result<Arc<AwsCredential>> {
        let mut cached = self.cached.lock().await;
        let now = SystemTime::now();
        if let Some((credential, renew_at)) = cached.as_ref().filter(|(_, renew_at)| now < *renew_at) {
            tracing::trace!(renew_at = ?renew_at, "credentials reused");
            return Ok(credential.clone());
        }
        let fresh = self.provider.provide_credentials().await.map_err(|error| {
            object_store::Error::Generic { store: "S3 credentials", source: Box::new(error) }
        })?;
        let renew_at = fresh
            .expiry()
            .map_or(now + RENEW_STATIC, |expiry| expiry.checked_sub(RENEW_BEFORE).unwrap_or(now));
        let credential = Arc::new(AwsCredential {
            key_id: fresh.access_key_id().to_owned(),
            secret_key: fresh.secret_access_key().to_owned(),
            token: fresh.session_token().map(str::to_owned),
        });
        *cached = Some((credential.clone(), renew_at));
        Ok(credential)
    }
}

impl CredentialProvider for Credentials {
    type Credential = AwsCredential;

    // The trait is an async one in its boxed form.
    fn get_credential<'life, 'future>(
        &'life self,
    ) -> BoxFuture<'future, object_store::Result<Arc<AwsCredential>>>
    where
        'life: 'future,
        Self: 'future,
    {
        Box::pin(self.current())
    }
}
