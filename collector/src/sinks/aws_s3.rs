//! Sink `aws_s3`: landing objects in a bucket.
//!
//! Keys are a function of the content, so a repeated upload replaces itself with the same bytes: also
//! one that was stored although its answer was lost. Objects are streamed from the spool, whole or, above
//! a threshold, in parts; no more than a read buffer of an upload is in memory. An upload in parts that
//! is cut off leaves its parts behind: the bucket should have a lifecycle rule that aborts incomplete
//! uploads after a day.

mod body;

use super::aws::{self, Auth};
use super::{Context, Delivered, Delivery, DeliveryError, Object, SetupError, Sink, SinkConfig};
use crate::config::component::{Problem, Row, Settings, problem, within};
use crate::config::{ByteSize, Config, Request, options};
use crate::memory::Takes;
use async_trait::async_trait;
use aws_sdk_s3::Client;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::types::{
    ChecksumAlgorithm, CompletedMultipartUpload, CompletedPart, ObjectCannedAcl, ServerSideEncryption,
    StorageClass,
};
use futures::{StreamExt as _, TryStreamExt as _};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

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
    /// S3 Bucket Keys with `aws:kms`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bucket_key_enabled: Option<bool>,
    /// Canned ACL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acl: Option<String>,
    /// Tags of every object.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
    /// Account that must own the bucket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected_bucket_owner: Option<String>,
    /// When and how objects are uploaded in parts.
    #[serde(default)]
    pub multipart: Multipart,
    /// Credentials.
    #[serde(default)]
    pub auth: Auth,
    /// Limits of requests.
    #[serde(default)]
    pub request: Request,
}

/// When and how objects are uploaded in parts.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Multipart {
    /// Objects of this size and above are uploaded in parts.
    pub threshold: ByteSize,
    /// Size of a part.
    pub part_size: ByteSize,
}

impl Default for Multipart {
    fn default() -> Self {
        Self { threshold: ByteSize::new(32 << 20), part_size: ByteSize::new(8 << 20) }
    }
}

/// S3 takes parts from 5 MiB to 5 GiB; above 64 MiB a lost connection costs too much.
const PART_RANGE: (usize, usize) = (5 << 20, 64 << 20);

/// Memory of one upload: what was read from the spool and what the connection holds.
const UPLOAD_BYTES: usize = 1 << 20;

/// Canned ACLs (S3 API reference, `x-amz-acl`).
const ACLS: [&str; 4] = ["private", "bucket-owner-full-control", "bucket-owner-read", "authenticated-read"];

impl Settings for AwsS3Settings {
    const KIND: &'static str = "aws_s3";
    const ABOUT: &'static str = "Landing objects in an S3 bucket. Credentials: the AWS SDK's default chain.";

    #[rustfmt::skip]
    fn options() -> Vec<Row> {
        use options::{none, plain, required, size, text};
        let multipart = Multipart::default();
        let mut rows = vec![
            ("bucket", required(), "Name of the bucket"),
            ("key_prefix", text(""), "Put before every key as it is; end it with `/` for a folder"),
            ("server_side_encryption", plain("the bucket's"), "`AES256`, `aws:kms` or `aws:kms:dsse`"),
            ("ssekms_key_id", none(), "KMS key, with `aws:kms` or `aws:kms:dsse`"),
            ("bucket_key_enabled", plain("the bucket's"), "`true`: S3 Bucket Keys, fewer requests to KMS"),
            ("storage_class", plain("the bucket's"), "For example `STANDARD_IA`"),
            ("acl", none(), "Canned ACL such as `bucket-owner-full-control`; only for buckets without \"bucket owner enforced\" ownership"),
            ("tags", none(), "Table of tags of every object"),
            ("expected_bucket_owner", none(), "Account that must own the bucket; S3 refuses otherwise"),
            ("multipart.threshold", size(multipart.threshold.bytes()), "Objects of this size and above are uploaded in parts"),
            ("multipart.part_size", size(multipart.part_size.bytes()), "Size of a part, 5 MiB to 64 MiB"),
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
        if self.acl.as_deref().is_some_and(|acl| !ACLS.contains(&acl)) {
            return Err(problem(format!("{key}.acl"), format!("must be one of {}", ACLS.join(", "))));
        }
        within(&format!("{key}.multipart.part_size"), self.multipart.part_size, PART_RANGE)?;
        self.auth.check(key)?;
        self.request.check(key)
    }
}

#[async_trait]
impl SinkConfig for AwsS3Settings {
    fn exclusive(&self) -> Option<(&'static str, String)> {
        Some(("bucket", format!("s3://{}/{} at {:?}", self.bucket, self.key_prefix, self.endpoint)))
    }

    /// One upload, or the parts of one that are in flight together.
    fn memory(&self, config: &Config) -> Takes {
        // A segment is sealed once it has its size: the last frame may go beyond.
        let in_parts = config.segment.max_bytes.bytes() + config.batch.max_bytes.bytes()
            >= self.multipart.threshold.bytes();
        let uploads = if in_parts { self.request.concurrency } else { 1 };
        Takes { frames: 0, bytes: uploads * UPLOAD_BYTES, key: "request.concurrency" }
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
        let _memory = cx.memory(0).await;
        let object = delivery.object(cx).await;
        let key = format!("{}{}", self.settings.key_prefix, object.key);
        let request = &self.settings.request;
        if object.len >= self.settings.multipart.threshold.bytes() as u64 {
            while !self.in_parts(&object, &key, cx).await {
                tracing::warn!(
                    sink = cx.name,
                    key,
                    "upload in parts is gone at the service, starting it again"
                );
            }
            return Delivered::object(&object);
        }
        let put = || self.put(&object, &key);
        match cx.retry(request.backoff, Some(request.timeout.duration()), put).await {
            Ok(()) => Delivered::object(&object),
            Err(_) => Delivered::default(),
        }
    }
}

impl S3Sink {
    async fn put(&self, object: &Object, key: &str) -> Result<(), DeliveryError> {
        let settings = &self.settings;
        let put = self
            .client
            .put_object()
            .bucket(&settings.bucket)
            .key(key)
            .set_storage_class(settings.storage_class.as_deref().map(StorageClass::from))
            .set_server_side_encryption(self.encryption())
            .set_ssekms_key_id(settings.ssekms_key_id.clone())
            .set_bucket_key_enabled(settings.bucket_key_enabled)
            .set_acl(settings.acl.as_deref().map(ObjectCannedAcl::from))
            .set_tagging(self.tagging())
            .set_expected_bucket_owner(settings.expected_bucket_owner.clone())
            .content_length(i64::try_from(object.len).unwrap_or(i64::MAX))
            .body(body::stream(object, 0, object.len));
        put.send().await.map(drop).map_err(classify)
    }

    fn encryption(&self) -> Option<ServerSideEncryption> {
        self.settings.server_side_encryption.as_deref().map(ServerSideEncryption::from)
    }

    fn tagging(&self) -> Option<String> {
        let tags = &self.settings.tags;
        let mut text = url::form_urlencoded::Serializer::new(String::new());
        (!tags.is_empty()).then(|| text.extend_pairs(tags).finish())
    }

    /// Uploads an object in parts; false when the service has forgotten the upload in between.
    async fn in_parts(&self, object: &Object, key: &str, cx: &Context) -> bool {
        let (settings, request) = (&self.settings, &self.settings.request);
        let timeout = Some(request.timeout.duration());
        let create = || async {
            let create = self
                .client
                .create_multipart_upload()
                .bucket(&settings.bucket)
                .key(key)
                .set_storage_class(settings.storage_class.as_deref().map(StorageClass::from))
                .set_server_side_encryption(self.encryption())
                .set_ssekms_key_id(settings.ssekms_key_id.clone())
                .set_bucket_key_enabled(settings.bucket_key_enabled)
                .set_acl(settings.acl.as_deref().map(ObjectCannedAcl::from))
                .set_tagging(self.tagging())
                .set_expected_bucket_owner(settings.expected_bucket_owner.clone())
                .checksum_algorithm(ChecksumAlgorithm::Crc32);
            let answer = create.send().await.map_err(classify)?;
            answer.upload_id.ok_or_else(|| DeliveryError::Service("no upload id in the answer".into()))
        };
        let Ok(upload) = cx.retry(request.backoff, timeout, create).await else { return false };
        let size = settings.multipart.part_size.bytes() as u64;
        let parts = (0..object.len.div_ceil(size)).map(|number| {
            let (start, upload) = (number * size, upload.as_str());
            async move {
                let len = size.min(object.len - start);
                let part = || self.part(object, key, upload, number, start, len);
                cx.retry(request.backoff, timeout, part).await
            }
        });
        let parts: Result<Vec<CompletedPart>, _> =
            futures::stream::iter(parts).buffered(request.concurrency).try_collect().await;
        let Ok(parts) = parts else { return false };
        let complete = || async {
            let whole = CompletedMultipartUpload::builder().set_parts(Some(parts.clone())).build();
            let complete = self.client.complete_multipart_upload().bucket(&settings.bucket).key(key);
            match complete.upload_id(&upload).multipart_upload(whole).send().await {
                Ok(_) => Ok(true),
                // Completed by an attempt whose answer was lost, or aborted by somebody.
                Err(error) if error.code() == Some("NoSuchUpload") => self.is_there(object, key).await,
                Err(error) => Err(classify(error)),
            }
        };
        cx.retry(request.backoff, timeout, complete).await.unwrap_or(false)
    }

    async fn part(
        &self,
        object: &Object,
        key: &str,
        upload: &str,
        number: u64,
        start: u64,
        len: u64,
    ) -> Result<CompletedPart, DeliveryError> {
        let number = i32::try_from(number + 1).unwrap_or(i32::MAX);
        let put = self
            .client
            .upload_part()
            .bucket(&self.settings.bucket)
            .key(key)
            .upload_id(upload)
            .part_number(number)
            .checksum_algorithm(ChecksumAlgorithm::Crc32)
            .content_length(i64::try_from(len).unwrap_or(i64::MAX))
            .body(body::stream(object, start, len));
        match put.send().await {
            Ok(answer) => {
                let part = CompletedPart::builder().part_number(number).set_e_tag(answer.e_tag);
                Ok(part.set_checksum_crc32(answer.checksum_crc32).build())
            }
            Err(error) if error.code() == Some("NoSuchUpload") => {
                Err(DeliveryError::Refused(Box::new(error)))
            }
            Err(error) => Err(classify(error)),
        }
    }

    async fn is_there(&self, object: &Object, key: &str) -> Result<bool, DeliveryError> {
        match self.client.head_object().bucket(&self.settings.bucket).key(key).send().await {
            Ok(answer) => {
                Ok(answer.content_length.and_then(|len| u64::try_from(len).ok()) == Some(object.len))
            }
            Err(error) if error.raw_response().is_some_and(|raw| raw.status().as_u16() == 404) => Ok(false),
            Err(error) => Err(classify(error)),
        }
    }
}

fn classify<E, R>(error: SdkError<E, R>) -> DeliveryError
where
    E: std::error::Error + ProvideErrorMetadata + Send + Sync + 'static,
    R: std::fmt::Debug + Send + Sync + 'static,
{
    match error.code() {
        Some(
            "SlowDown" | "ServiceUnavailable" | "RequestLimitExceeded" | "ThrottlingException" | "Throttling",
        ) => DeliveryError::Throttled(Box::new(error)),
        _ => DeliveryError::Service(Box::new(error)),
    }
}
