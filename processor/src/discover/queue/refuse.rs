//! Messages that can never succeed.
//!
//! A queue with a redrive policy moves them to its dead-letter queue by itself. Without one they would
//! come back for as long as the queue keeps them, and then be gone without a trace. So their text is put
//! into the lake as an object, `state/refused-messages/<hash>.json`, which is taken in like any other: no
//! parser knows it, so it ends as a row of `rejected` with its text, and the message is deleted. The text
//! is a JSON string in there: parsers look for records they know in whatever else they are given.

use crate::storage::{Candidate, Inputs, Lake, Place, StorageError};
use bytes::Bytes;
use deltalake::Path;
use object_store::ObjectStoreExt;
use sha2::{Digest, Sha256};

/// Times a message comes before an object it names counts as gone for good. S3 shows an object as soon
/// as it announces it, so once would do; the rest is for objects that are being put back.
pub(super) const GONE_AFTER_RECEIVES: u32 = 3;

/// Stores a message's text; gives the object to take in. The same text is the same object.
pub(super) async fn keep(lake: &Lake, reason: &str, body: &str) -> Result<Candidate, StorageError> {
    let text = serde_json::json!({"refused_message": body, "reason": reason}).to_string();
    let name: String =
        Sha256::digest(text.as_bytes()).iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    let path = Path::from(format!("state/refused-messages/{name}.json"));
    let location = format!("{}{path}", lake.url());
    let stored_bytes = text.len() as u64;
    let put = lake.store().put(&path, Bytes::from(text).into()).await;
    put.map_err(|source| StorageError::Request { location: location.clone(), source })?;
    let place = match lake.directory() {
        Some(directory) => Place::File(directory.join(path.as_ref())),
        None => Place::from_location(&location),
    };
    Ok(Candidate { place, stored_bytes, last_modified: None, etag: None })
}

/// The objects that are not there. One that cannot be asked about counts as there.
pub(super) async fn gone(inputs: &Inputs, candidates: &[Candidate]) -> Vec<String> {
    let mut gone = Vec::new();
    for candidate in candidates {
        let Place::Bucket { bucket, key } = &candidate.place else { continue };
        let Ok(store) = inputs.bucket(bucket).await else { continue };
        let path = Path::parse(key).unwrap_or_else(|_| Path::from(key.as_str()));
        if let Err(deltalake::ObjectStoreError::NotFound { .. }) = store.head(&path).await {
            gone.push(candidate.place.location());
        }
    }
    gone
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::pipeline::Processor;
    use logq_schemas::{Table, tables};
    use std::sync::Arc;

    #[tokio::test]
    async fn a_refused_message_is_a_row_of_rejected_once_whatever_its_text() {
        let directory = tempfile::tempdir().expect("temporary directory");
        let lake = Lake::open(directory.path().to_str().expect("UTF-8")).await.expect("opens");
        let mut processor =
            Processor::open(lake.clone(), Config::default(), Arc::default()).await.expect("opens");
        let bodies = [
            "hello",
            "",
            r#"{"Records":[{"eventVersion":"9.9","s3":{}}]}"#,
            r#"{"Records":[{"eventVersion":"1.08","eventID":"x","eventTime":"2026-11-22T10:00:00Z"}]}"#,
            "version account-id interface-id\n2 123456789012 eni-1",
        ];
        for _ in 0..2 {
            let mut candidates = Vec::new();
            for body in bodies {
                candidates.push(keep(&lake, "message is not JSON", body).await.expect("keeps"));
            }
            let outcome = processor.take_in(candidates).await.expect("takes in");
            assert!(outcome.unreadable.is_empty());
        }
        let rows = async |table: &'static Table| {
            let table = crate::lake::table::LakeTable::open(&lake, table).await.expect("opens");
            let snapshot = table.delta().snapshot().expect("loaded");
            snapshot.log_data().iter().filter_map(|file| file.num_records()).sum::<usize>()
        };
        assert_eq!(rows(&tables::rejected::TABLE).await, bodies.len());
        assert_eq!(rows(&tables::ingest::TABLE).await, bodies.len());
        assert_eq!(rows(&tables::cloudtrail::TABLE).await + rows(&tables::vpc_flow::TABLE).await, 0);
    }
}
