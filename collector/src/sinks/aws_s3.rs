//! Sink `aws_s3`: landing objects in a bucket.
//!
//! Keys are a function of the content, so a repeated upload replaces itself with the same bytes.

use super::aws::{self, Auth};
use super::{Context, Delivered, Delivery, DeliveryError, Object, SetupError, Sink, SinkConfig};
use crate::config::component::{Problem, Row, Settings, problem};
use crate::config::{Request, options};
use async_trait::async_trait;
use aws_sdk_s3::Client;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{ServerSideEncryption, StorageClass};
use serde::{Deserialize, Serialize};

/// Settings of an `aws_s3` sink.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AwsS3Settings {
    /// Bucket name.
    pub bucket: String,
    /// Put before every key, as it is.
    #[serde(default)]
    pub key_prefix: String,
    /// Region of the bucket; the SDK's default chain otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// Another S3 service or endpoint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// `AES256`, `aws:kms` or `aws:kms:dsse`; the bucket's default otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_side_encryption: Option<String>,
    /// KMS key for `aws:kms`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ssekms_key_id: Option<String>,
    /// Storage class; the bucket's default otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage_class: Option<String>,
    /// Credentials.
    #[serde(default)]
    pub auth: Auth,
    /// Limits of requests.
    #[serde(default)]
    pub request: Request,
}

impl Settings for AwsS3Settings {
    const KIND: &'static str = "aws_s3";
    const ABOUT: &'static str = "Landing objects in an S3 bucket. Credentials: the AWS SDK's default chain.";

    fn options() -> Vec<Row> {
        use options::{none, plain, required, text};
        let mut rows = vec![
            ("bucket", required(), "Name of the bucket"),
            ("key_prefix", text(""), "Put before every key as it is; end it with `/` for a folder"),
            ("server_side_encryption", plain("the bucket's"), "`AES256`, `aws:kms` or `aws:kms:dsse`"),
            ("ssekms_key_id", none(), "KMS key, with `aws:kms` or `aws:kms:dsse`"),
            ("storage_class", plain("the bucket's"), "For example `STANDARD_IA`"),
        ];
        rows.extend(aws::auth_rows());
        rows.extend(options::request_rows());
        rows
    }

    fn check(&self, key: &str) -> Result<(), Problem> {
        if self.bucket.is_empty() || self.bucket.contains('/') {
            let message = "must be the name of a bucket, without s3:// or a path";
            return Err(problem(format!("{key}.bucket"), message));
        }
        if self.key_prefix.starts_with('/') {
            return Err(problem(format!("{key}.key_prefix"), "must not begin with `/`: S3 keys do not"));
        }
        aws::check_endpoint(key, self.endpoint.as_deref())?;
        let encryption = self.server_side_encryption.as_deref();
        if !matches!(encryption, None | Some("AES256" | "aws:kms" | "aws:kms:dsse")) {
            let message = "must be AES256, aws:kms or aws:kms:dsse";
            return Err(problem(format!("{key}.server_side_encryption"), message));
        }
        if self.ssekms_key_id.is_some() && !encryption.is_some_and(|kind| kind.starts_with("aws:kms")) {
            let message = "needs server_side_encryption = \"aws:kms\"";
            return Err(problem(format!("{key}.ssekms_key_id"), message));
        }
        self.auth.check(key)?;
        self.request.check(key)
    }
}

#[async_trait]
impl SinkConfig for AwsS3Settings {
    fn exclusive(&self) -> Option<(&'static str, String)> {
        Some(("bucket", format!("s3://{}/{} at {:?}", self.bucket, self.key_prefix, self.endpoint)))
    }

    async fn connect(&self, _name: &str) -> Result<Box<dyn Sink>, SetupError> {
        let timeout = self.request.timeout.duration();
        let sdk = self.auth.load(self.region.as_deref(), self.endpoint.as_deref(), timeout).await;
        let config = aws_sdk_s3::config::Builder::from(&sdk).force_path_style(self.endpoint.is_some());
        Ok(Box::new(S3Sink { client: Client::from_conf(config.build()), settings: self.clone() }))
    }
}

#[derive(Debug)]
struct S3Sink {
    client: Client,
    settings: AwsS3Settings,
}

#[async_trait]
impl Sink for S3Sink {
    fn concurrency(&self) -> usize {
        self.settings.request.concurrency
    }

    async fn deliver(&self, delivery: &Delivery, cx: &Context) -> Delivered {
        let object = delivery.object(cx).await;
        let request = &self.settings.request;
        let put = cx.retry(request.backoff, Some(request.timeout.duration()), || self.put(&object));
        match put.await {
            Ok(()) => Delivered::object(&object),
            Err(_) => Delivered::default(),
        }
    }
}

impl S3Sink {
    async fn put(&self, object: &Object) -> Result<(), DeliveryError> {
        let whole = object.clone();
        let body = tokio::task::spawn_blocking(move || {
            let mut body = vec![0; usize::try_from(whole.len).map_err(std::io::Error::other)?];
            whole.read_at(0, &mut body)?;
            std::io::Result::Ok(body)
        });
        let settings = &self.settings;
        let put = self
            .client
            .put_object()
            .bucket(&settings.bucket)
            .key(format!("{}{}", settings.key_prefix, object.key))
            .set_storage_class(settings.storage_class.as_deref().map(StorageClass::from))
            .set_server_side_encryption(
                settings.server_side_encryption.as_deref().map(ServerSideEncryption::from),
            )
            .set_ssekms_key_id(settings.ssekms_key_id.clone())
            .body(ByteStream::from(body.await??));
        match put.send().await {
            Ok(_) => Ok(()),
            Err(error) => Err(DeliveryError::Service(Box::new(error))),
        }
    }
}
