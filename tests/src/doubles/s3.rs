//! S3: an in-memory store behind the `s3s` crate, which brings the protocol (routing, XML, SigV4,
//! chunked uploads with trailers). Conditional puts are atomic, checksums are verified, parts below
//! 5 MiB are refused: what some emulators let pass, S3 does not.

use super::faults::{Fault, Faults, Service};
use super::{Answer, Server, answer};
use bytes::Bytes;
use futures::TryStreamExt as _;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use s3s::auth::SimpleAuth;
use s3s::dto::*;
use s3s::service::{S3Service, S3ServiceBuilder};
use s3s::{Body as S3Body, S3, S3Request, S3Response, S3Result, TrailingHeaders, s3_error};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

/// Access key and secret the server accepts.
pub const CREDENTIALS: (&str, &str) = ("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY");

/// The smallest part of a multipart upload except its last.
const PART_MIN: usize = 5 * 1024 * 1024;

/// An object as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// Its content.
    pub bytes: Bytes,
    /// ETag without quotes.
    pub etag: String,
    /// Headers of the upload that say how to store it: encryption, ACL, storage class, tagging.
    pub headers: BTreeMap<&'static str, String>,
    /// How often it was written.
    pub writes: u64,
    /// Contents it had before that differ from the present one.
    pub changes: u64,
    /// When it was last written.
    pub modified: SystemTime,
}

#[derive(Debug, Default)]
struct State {
    objects: BTreeMap<(String, String), Stored>,
    uploads: BTreeMap<String, Upload>,
    next_upload: u64,
}

#[derive(Debug)]
struct Upload {
    bucket: String,
    key: String,
    headers: BTreeMap<&'static str, String>,
    parts: BTreeMap<i32, (Bytes, String)>,
}

/// The store, shared by the server and the test.
#[derive(Debug, Clone, Default)]
pub struct Store(Arc<Mutex<State>>);

impl Store {
    /// All objects by bucket and key.
    pub fn objects(&self) -> BTreeMap<(String, String), Stored> {
        self.state().objects.clone()
    }

    /// Multipart uploads that were neither completed nor aborted.
    pub fn open_uploads(&self) -> usize {
        self.state().uploads.len()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put(
        &self,
        at: (String, String),
        bytes: Bytes,
        etag: String,
        headers: BTreeMap<&'static str, String>,
        condition: &Condition,
    ) -> S3Result<()> {
        store(&mut self.state(), at, bytes, etag, headers, condition)
    }
}

/// Stores an object if the condition holds; the caller holds the lock, so nobody comes between.
fn store(
    state: &mut State,
    at: (String, String),
    bytes: Bytes,
    etag: String,
    headers: BTreeMap<&'static str, String>,
    condition: &Condition,
) -> S3Result<()> {
    let before = state.objects.get(&at);
    match condition {
        Condition::None => {}
        Condition::Absent if before.is_none() => {}
        Condition::Is(tag) if before.is_some_and(|stored| stored.etag == *tag) => {}
        Condition::Is(_) if before.is_none() => return Err(s3_error!(NoSuchKey)),
        Condition::Absent | Condition::Is(_) => return Err(s3_error!(PreconditionFailed)),
    }
    let writes = before.map_or(0, |stored| stored.writes) + 1;
    let changed = before.is_some_and(|stored| stored.bytes != bytes);
    let changes = before.map_or(0, |stored| stored.changes) + u64::from(changed);
    let modified = SystemTime::now();
    state.objects.insert(at, Stored { bytes, etag, headers, writes, changes, modified });
    Ok(())
}

enum Condition {
    None,
    Absent,
    Is(String),
}

impl Condition {
    fn new(if_none_match: Option<&ETagCondition>, if_match: Option<&ETagCondition>) -> S3Result<Self> {
        match (if_none_match, if_match) {
            (None, None) => Ok(Self::None),
            (Some(ETagCondition::Any), None) => Ok(Self::Absent),
            (None, Some(ETagCondition::ETag(tag))) => Ok(Self::Is(tag.value().to_owned())),
            _ => Err(s3_error!(NotImplemented)),
        }
    }
}

/// Content and checksum of an upload, compared with what the client says they are.
async fn content(
    body: Option<StreamingBlob>,
    length: Option<i64>,
    crc32: Option<String>,
    trailers: Option<TrailingHeaders>,
) -> S3Result<(Bytes, String)> {
    let mut bytes = Vec::new();
    if let Some(mut body) = body {
        while let Some(piece) = body.try_next().await.map_err(|_| s3_error!(IncompleteBody))? {
            bytes.extend_from_slice(&piece);
        }
    }
    if length.is_some_and(|length| usize::try_from(length).ok() != Some(bytes.len())) {
        return Err(s3_error!(IncompleteBody));
    }
    let trailer = trailers.and_then(|trailers| trailers.take());
    let trailer = trailer.and_then(|headers| headers.get("x-amz-checksum-crc32").cloned());
    let said = crc32.or_else(|| trailer.and_then(|value| value.to_str().ok().map(str::to_owned)));
    let found = base64(&crc32fast::hash(&bytes).to_be_bytes());
    if said.is_some_and(|said| said != found) {
        return Err(s3_error!(BadDigest));
    }
    let etag = format!("{:08x}{:08x}", crc32fast::hash(&bytes), bytes.len());
    Ok((bytes.into(), etag))
}

fn base64(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

fn kept(headers: [(&'static str, Option<String>); 5]) -> BTreeMap<&'static str, String> {
    headers.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
}

#[async_trait::async_trait]
impl S3 for Store {
    async fn put_object(&self, request: S3Request<PutObjectInput>) -> S3Result<S3Response<PutObjectOutput>> {
        let trailers = request.trailing_headers;
        let input = request.input;
        let condition = Condition::new(input.if_none_match.as_ref(), input.if_match.as_ref())?;
        let (bytes, etag) = content(input.body, input.content_length, input.checksum_crc32, trailers).await?;
        let headers = kept([
            ("server_side_encryption", input.server_side_encryption.map(|kind| kind.as_str().to_owned())),
            ("ssekms_key_id", input.ssekms_key_id),
            ("acl", input.acl.map(|acl| acl.as_str().to_owned())),
            ("storage_class", input.storage_class.map(|class| class.as_str().to_owned())),
            ("tagging", input.tagging),
        ]);
        self.put((input.bucket, input.key), bytes, etag.clone(), headers, &condition)?;
        Ok(S3Response::new(PutObjectOutput { e_tag: Some(ETag::Strong(etag)), ..Default::default() }))
    }

    async fn get_object(&self, request: S3Request<GetObjectInput>) -> S3Result<S3Response<GetObjectOutput>> {
        let at = (request.input.bucket, request.input.key);
        let stored = self.state().objects.get(&at).cloned().ok_or_else(|| s3_error!(NoSuchKey))?;
        let length = stored.bytes.len() as u64;
        let (bytes, content_range) = match request.input.range {
            None => (stored.bytes, None),
            Some(range) => {
                let range = range.check(length).map_err(|_| s3_error!(InvalidRange))?;
                let place = format!("bytes {}-{}/{length}", range.start, range.end - 1);
                let [start, end] =
                    [range.start, range.end].map(|at| usize::try_from(at).unwrap_or(usize::MAX));
                (stored.bytes.slice(start..end), Some(place))
            }
        };
        Ok(S3Response::new(GetObjectOutput {
            content_length: i64::try_from(bytes.len()).ok(),
            content_range,
            e_tag: Some(ETag::Strong(stored.etag)),
            last_modified: Some(stored.modified.into()),
            body: Some(S3Body::from(bytes).into()),
            ..Default::default()
        }))
    }

    async fn head_object(
        &self,
        request: S3Request<HeadObjectInput>,
    ) -> S3Result<S3Response<HeadObjectOutput>> {
        let at = (request.input.bucket, request.input.key);
        let stored = self.state().objects.get(&at).cloned().ok_or_else(|| s3_error!(NoSuchKey))?;
        Ok(S3Response::new(HeadObjectOutput {
            content_length: i64::try_from(stored.bytes.len()).ok(),
            e_tag: Some(ETag::Strong(stored.etag)),
            last_modified: Some(stored.modified.into()),
            ..Default::default()
        }))
    }

    async fn delete_object(
        &self,
        request: S3Request<DeleteObjectInput>,
    ) -> S3Result<S3Response<DeleteObjectOutput>> {
        self.state().objects.remove(&(request.input.bucket, request.input.key));
        Ok(S3Response::new(DeleteObjectOutput::default()))
    }

    async fn delete_objects(
        &self,
        request: S3Request<DeleteObjectsInput>,
    ) -> S3Result<S3Response<DeleteObjectsOutput>> {
        let bucket = request.input.bucket;
        let mut state = self.state();
        let mut deleted = Vec::new();
        for object in request.input.delete.objects {
            state.objects.remove(&(bucket.clone(), object.key.clone()));
            deleted.push(DeletedObject { key: Some(object.key), ..Default::default() });
        }
        Ok(S3Response::new(DeleteObjectsOutput { deleted: Some(deleted), ..Default::default() }))
    }

    async fn create_bucket(
        &self,
        _: S3Request<CreateBucketInput>,
    ) -> S3Result<S3Response<CreateBucketOutput>> {
        Ok(S3Response::new(CreateBucketOutput::default()))
    }

    async fn list_objects_v2(
        &self,
        request: S3Request<ListObjectsV2Input>,
    ) -> S3Result<S3Response<ListObjectsV2Output>> {
        let input = request.input;
        let prefix = input.prefix.unwrap_or_default();
        let after = input.continuation_token.or(input.start_after).unwrap_or_default();
        let most = usize::try_from(input.max_keys.unwrap_or(1000)).unwrap_or(1000).min(1000);
        let delimiter = input.delimiter.filter(|delimiter| !delimiter.is_empty());
        let state = self.state();
        let (mut contents, mut folders) = (Vec::new(), BTreeSet::new());
        let mut last = String::new();
        let mut is_truncated = false;
        for ((bucket, key), stored) in &state.objects {
            if *bucket != input.bucket || !key.starts_with(&prefix) || *key <= after {
                continue;
            }
            let rest = &key[prefix.len()..];
            let folder = delimiter.as_deref().and_then(|delimiter| {
                rest.find(delimiter).map(|at| format!("{prefix}{}", &rest[..at + delimiter.len()]))
            });
            // What came with a page before does not come again with the next.
            if folder.as_ref().is_some_and(|folder| folders.contains(folder) || after.starts_with(folder)) {
                last.clone_from(key);
                continue;
            }
            if contents.len() + folders.len() == most {
                is_truncated = true;
                break;
            }
            last.clone_from(key);
            match folder {
                Some(folder) => {
                    folders.insert(folder);
                }
                None => contents.push(Object {
                    key: Some(key.clone()),
                    size: i64::try_from(stored.bytes.len()).ok(),
                    e_tag: Some(ETag::Strong(stored.etag.clone())),
                    last_modified: Some(stored.modified.into()),
                    ..Default::default()
                }),
            }
        }
        let prefixes = folders.into_iter().map(|folder| CommonPrefix { prefix: Some(folder) });
        Ok(S3Response::new(ListObjectsV2Output {
            key_count: i32::try_from(contents.len()).ok(),
            contents: Some(contents),
            common_prefixes: Some(prefixes.collect()),
            is_truncated: Some(is_truncated),
            next_continuation_token: Some(last).filter(|_| is_truncated),
            ..Default::default()
        }))
    }

    async fn create_multipart_upload(
        &self,
        request: S3Request<CreateMultipartUploadInput>,
    ) -> S3Result<S3Response<CreateMultipartUploadOutput>> {
        let input = request.input;
        let headers = kept([
            ("server_side_encryption", input.server_side_encryption.map(|kind| kind.as_str().to_owned())),
            ("ssekms_key_id", input.ssekms_key_id),
            ("acl", input.acl.map(|acl| acl.as_str().to_owned())),
            ("storage_class", input.storage_class.map(|class| class.as_str().to_owned())),
            ("tagging", input.tagging),
        ]);
        let mut state = self.state();
        state.next_upload += 1;
        let id = format!("upload-{}", state.next_upload);
        let (bucket, key) = (input.bucket, input.key);
        let upload = Upload { bucket: bucket.clone(), key: key.clone(), headers, parts: BTreeMap::new() };
        state.uploads.insert(id.clone(), upload);
        Ok(S3Response::new(CreateMultipartUploadOutput {
            bucket: Some(bucket),
            key: Some(key),
            upload_id: Some(id),
            ..Default::default()
        }))
    }

    async fn upload_part(
        &self,
        request: S3Request<UploadPartInput>,
    ) -> S3Result<S3Response<UploadPartOutput>> {
        let trailers = request.trailing_headers;
        let input = request.input;
        let (bytes, etag) = content(input.body, input.content_length, input.checksum_crc32, trailers).await?;
        let crc32 = base64(&crc32fast::hash(&bytes).to_be_bytes());
        let mut state = self.state();
        let upload = state.uploads.get_mut(&input.upload_id).ok_or_else(|| s3_error!(NoSuchUpload))?;
        upload.parts.insert(input.part_number, (bytes, etag.clone()));
        Ok(S3Response::new(UploadPartOutput {
            e_tag: Some(ETag::Strong(etag)),
            checksum_crc32: Some(crc32),
            ..Default::default()
        }))
    }

    async fn complete_multipart_upload(
        &self,
        request: S3Request<CompleteMultipartUploadInput>,
    ) -> S3Result<S3Response<CompleteMultipartUploadOutput>> {
        let input = request.input;
        let condition = Condition::new(input.if_none_match.as_ref(), input.if_match.as_ref())?;
        let named = input.multipart_upload.and_then(|upload| upload.parts).unwrap_or_default();
        let mut state = self.state();
        let (at, bytes, headers) = {
            let upload = state.uploads.get(&input.upload_id).ok_or_else(|| s3_error!(NoSuchUpload))?;
            if (&upload.bucket, &upload.key) != (&input.bucket, &input.key) {
                return Err(s3_error!(NoSuchUpload));
            }
            let mut bytes = Vec::new();
            let mut last = 0;
            for (position, part) in named.iter().enumerate() {
                let number = part.part_number.unwrap_or(0);
                let (content, etag) = upload.parts.get(&number).ok_or_else(|| s3_error!(InvalidPart))?;
                if part.e_tag.as_ref().map(ETag::value) != Some(etag) {
                    return Err(s3_error!(InvalidPart));
                }
                if number <= last {
                    return Err(s3_error!(InvalidPartOrder));
                }
                if content.len() < PART_MIN && position + 1 < named.len() {
                    return Err(s3_error!(EntityTooSmall));
                }
                last = number;
                bytes.extend_from_slice(content);
            }
            ((upload.bucket.clone(), upload.key.clone()), Bytes::from(bytes), upload.headers.clone())
        };
        let etag = format!("{:08x}{:08x}-{}", crc32fast::hash(&bytes), bytes.len(), named.len());
        store(&mut state, at.clone(), bytes, etag.clone(), headers, &condition)?;
        state.uploads.remove(&input.upload_id);
        drop(state);
        Ok(S3Response::new(CompleteMultipartUploadOutput {
            bucket: Some(at.0),
            key: Some(at.1),
            e_tag: Some(ETag::Strong(etag)),
            ..Default::default()
        }))
    }

    async fn abort_multipart_upload(
        &self,
        request: S3Request<AbortMultipartUploadInput>,
    ) -> S3Result<S3Response<AbortMultipartUploadOutput>> {
        let removed = self.state().uploads.remove(&request.input.upload_id);
        removed.ok_or_else(|| s3_error!(NoSuchUpload))?;
        Ok(S3Response::new(AbortMultipartUploadOutput::default()))
    }
}

/// An S3 server.
pub struct S3Server(S3Service);

impl S3Server {
    /// Starts a server that accepts [`CREDENTIALS`], with the given faults.
    ///
    /// # Errors
    /// When no port can be had.
    pub fn start(faults: Arc<Faults>) -> io::Result<(Store, Server)> {
        let store = Store::default();
        let mut builder = S3ServiceBuilder::new(store.clone());
        builder.set_auth(SimpleAuth::from_single(CREDENTIALS.0, CREDENTIALS.1));
        let server = Server::start(Arc::new(Self(builder.build())), faults)?;
        Ok((store, server))
    }
}

impl Service for S3Server {
    async fn answer(&self, request: http::Request<Incoming>) -> Answer {
        match self.0.call(request.map(S3Body::from)).await {
            Ok(answer) => {
                answer.map(|body| http_body_util::BodyExt::map_err(body, io::Error::other).boxed_unsync())
            }
            Err(_) => answer(500, &[], "s3s failed"),
        }
    }

    fn failure(fault: Fault) -> Answer {
        let (status, code) = match fault {
            Fault::Throttled | Fault::Unavailable => (503, "SlowDown"),
            _ => (500, "InternalError"),
        };
        let body = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{code}</Code><Message>injected</Message></Error>"
        );
        answer(status, &[("content-type", "application/xml")], body)
    }
}
