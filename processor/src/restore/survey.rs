//! What S3 says about each archived file, and the request for those that are needed.

use super::Tier;
use super::manifest::ArchivedFile;
use crate::lifecycle::class::Class;
use crate::storage::Place;
use aws_sdk_s3::Client;
use aws_sdk_s3::error::{DisplayErrorContext, ProvideErrorMetadata};
use aws_sdk_s3::types::{GlacierJobParameters, RestoreRequest};
use chrono::{DateTime, Utc};
use futures::StreamExt;
use serde::Serialize;

/// Requests at the same time: S3 takes 1,000 restores a second of an account.
const REQUESTS: usize = 32;

/// Where a file stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase", tag = "state")]
pub enum State {
    /// It can be read: it was never moved offline.
    Readable,
    /// It was restored and can be read until then.
    Ready {
        /// When S3 removes the copy.
        until: Option<DateTime<Utc>>,
    },
    /// S3 is at it.
    Ongoing {
        /// Its class.
        #[serde(skip)]
        class: Class,
    },
    /// It is offline.
    Archived {
        /// Its class.
        #[serde(skip)]
        class: Class,
    },
    /// It is not there.
    Missing,
    /// S3 would not say.
    Unknown {
        /// Why.
        reason: String,
    },
}

/// A file and where it stands.
#[derive(Debug, Clone)]
pub struct Surveyed {
    /// The file.
    pub file: ArchivedFile,
    /// Where it stands.
    pub state: State,
}

/// What became of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Requested {
    /// S3 took it.
    Taken,
    /// S3 was at it already.
    Already,
    /// S3 refused.
    Refused(String),
}

/// Asks about all files, in their order.
pub async fn look(client: Option<&Client>, files: Vec<ArchivedFile>) -> Vec<Surveyed> {
    futures::stream::iter(files)
        .map(|file| async move {
            let state = look_at(client, &file.location).await;
            Surveyed { file, state }
        })
        .buffered(REQUESTS)
        .collect()
        .await
}

async fn look_at(client: Option<&Client>, location: &str) -> State {
    let (bucket, key) = match (Place::from_location(location), client) {
        (Place::Bucket { bucket, key }, Some(_)) => (bucket, key),
        (Place::Bucket { .. }, None) => return State::Unknown { reason: "no client for S3".to_owned() },
        (Place::File(path), _) => {
            return match tokio::fs::try_exists(&path).await {
                Ok(true) => State::Readable,
                Ok(false) => State::Missing,
                Err(error) => State::Unknown { reason: error.to_string() },
            };
        }
    };
    let Some(client) = client else { return State::Missing };
    let head = match client.head_object().bucket(bucket).key(key).send().await {
        Ok(head) => head,
        Err(error) if error.as_service_error().is_some_and(|error| error.is_not_found()) => {
            return State::Missing;
        }
        Err(error) => return State::Unknown { reason: DisplayErrorContext(error).to_string() },
    };
    // Objects of Intelligent-Tiering say in another header that they are offline.
    let class = match head.archive_status().map(|status| status.as_str()) {
        Some("ARCHIVE_ACCESS") => Some(Class::Glacier),
        Some("DEEP_ARCHIVE_ACCESS") => Some(Class::DeepArchive),
        _ => head.storage_class().and_then(|class| Class::named(class.as_str())),
    };
    state(class, head.restore())
}

/// Reads `x-amz-restore`: `ongoing-request="false", expiry-date="Fri, 21 Dec 2012 00:00:00 GMT"`.
fn state(class: Option<Class>, restore: Option<&str>) -> State {
    let Some(class) = class.filter(|class| class.is_offline()) else { return State::Readable };
    let Some(restore) = restore else { return State::Archived { class } };
    if restore.contains("ongoing-request=\"true\"") {
        return State::Ongoing { class };
    }
    let until = restore
        .split_once("expiry-date=\"")
        .and_then(|(_, rest)| rest.split_once('"'))
        .and_then(|(date, _)| DateTime::parse_from_rfc2822(date).ok())
        .map(|date| date.with_timezone(&Utc));
    State::Ready { until }
}

/// Asks S3 to restore the files, several at a time; gives the answers in their order.
pub async fn request(client: &Client, files: &[&ArchivedFile], tier: Tier, days: i32) -> Vec<Requested> {
    futures::stream::iter(files)
        .map(|file| request_one(client, &file.location, tier, days))
        .buffered(REQUESTS)
        .collect()
        .await
}

async fn request_one(client: &Client, location: &str, tier: Tier, days: i32) -> Requested {
    let Place::Bucket { bucket, key } = Place::from_location(location) else {
        return Requested::Refused("only objects of S3 are restored".to_owned());
    };
    let job = match GlacierJobParameters::builder().tier(tier.to_s3()).build() {
        Ok(job) => job,
        Err(error) => return Requested::Refused(error.to_string()),
    };
    let request = RestoreRequest::builder().days(days).glacier_job_parameters(job).build();
    let restore = client.restore_object().bucket(bucket).key(key).restore_request(request);
    match restore.send().await {
        Ok(_) => Requested::Taken,
        Err(error) if error.code() == Some("RestoreAlreadyInProgress") => Requested::Already,
        // It came back by itself between our look and our request.
        Err(error)
            if error
                .as_service_error()
                .is_some_and(|error| error.is_object_already_in_active_tier_error()) =>
        {
            Requested::Already
        }
        Err(error) => Requested::Refused(DisplayErrorContext(error).to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_headers_of_s3_say_where_an_object_stands() {
        assert_eq!(state(None, None), State::Readable);
        assert_eq!(state(Some(Class::GlacierIr), None), State::Readable);
        let class = Class::DeepArchive;
        assert_eq!(state(Some(class), None), State::Archived { class });
        assert_eq!(state(Some(class), Some("ongoing-request=\"true\"")), State::Ongoing { class });
        let done = "ongoing-request=\"false\", expiry-date=\"Fri, 21 Dec 2012 00:00:00 GMT\"";
        let State::Ready { until: Some(until) } = state(Some(Class::Glacier), Some(done)) else {
            unreachable!("it is ready");
        };
        assert_eq!(until.to_rfc3339(), "2012-12-21T00:00:00+00:00");
        assert_eq!(state(Some(class), Some("ongoing-request=\"false\"")), State::Ready { until: None });
    }

    #[tokio::test]
    async fn files_of_a_local_archive_are_readable_or_missing() {
        let directory = tempfile::tempdir().expect("temporary directory");
        let here = directory.path().join("a.parquet");
        std::fs::write(&here, "x").expect("writes");
        let file = |path: &std::path::Path| ArchivedFile {
            date: "2026-11-20".parse().expect("a date"),
            location: path.display().to_string(),
            bytes: 1,
            rows: 1,
        };
        let found = look(None, vec![file(&here), file(&directory.path().join("b.parquet"))]).await;
        assert_eq!([&found[0].state, &found[1].state], [&State::Readable, &State::Missing]);
    }
}
