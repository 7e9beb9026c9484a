//! S3 notifications from an SQS queue.
//!
//! A message is deleted only after its objects are in the lake. While a batch is worked on, the
//! visibility of its messages is extended, so that no other processor gets them. A message that is
//! not understood, or whose object cannot be read, stays: the queue's redrive policy moves it to the
//! dead-letter queue.

use super::notification::{CreatedObject, Notification, parse};
use crate::storage::{Candidate, Place};
use aws_sdk_sqs::Client;
use aws_sdk_sqs::error::{DisplayErrorContext, SdkError};
use aws_sdk_sqs::types::{ChangeMessageVisibilityBatchRequestEntry, DeleteMessageBatchRequestEntry};
use std::collections::HashSet;
use std::time::Duration;
use thiserror::Error;
use tokio_util::sync::CancellationToken;

/// SQS takes at most ten entries in one batch request.
const BATCH: usize = 10;

/// Long polling: fewer empty answers, at most this long a wait on shutdown.
const WAIT_SECONDS: i32 = 5;

/// A request to the queue failed.
#[derive(Debug, Error)]
#[error("SQS {operation} on {queue} failed: {reason}")]
pub struct QueueError {
    operation: &'static str,
    queue: String,
    reason: String,
}

impl From<CreatedObject> for Candidate {
    fn from(object: CreatedObject) -> Candidate {
        Candidate {
            place: Place::Bucket { bucket: object.bucket, key: object.key },
            stored_bytes: object.size,
            last_modified: None,
            // Listings write the ETag with quotes, notifications without.
            etag: object.etag.map(|etag| format!("\"{}\"", etag.trim_matches('"'))),
        }
    }
}

/// One received message.
#[derive(Debug)]
pub struct Message {
    receipt: String,
    /// The objects it names.
    pub candidates: Vec<Candidate>,
}

/// A queue of S3 notifications.
#[derive(Debug)]
pub struct Queue {
    client: Client,
    url: String,
    visibility: Duration,
}

impl Queue {
    /// Connects with the AWS default credential chain. `endpoint` overrides the service's address.
    pub async fn open(url: String, endpoint: Option<String>, visibility: Duration) -> Queue {
        let mut loader = aws_config::defaults(aws_config::BehaviorVersion::latest());
        if let Some(endpoint) = endpoint {
            loader = loader.endpoint_url(endpoint);
        }
        Queue { client: Client::new(&loader.load().await), url, visibility }
    }

    fn failed<E, R>(&self, operation: &'static str, error: &SdkError<E, R>) -> QueueError
    where
        E: std::error::Error + 'static,
        R: std::fmt::Debug,
    {
        QueueError { operation, queue: self.url.clone(), reason: DisplayErrorContext(error).to_string() }
    }

    fn visibility_seconds(&self) -> i32 {
        i32::try_from(self.visibility.as_secs()).unwrap_or(43_200)
    }

    /// Gathers messages for `interval` from the first one on, up to the limits. Returns nothing when
    /// `stop` is cancelled or `patience` passes without a message.
    ///
    /// # Errors
    /// When the queue cannot be read.
    pub async fn gather(
        &self,
        interval: Duration,
        patience: Option<Duration>,
        objects_max: usize,
        stored_bytes_max: u64,
        stop: &CancellationToken,
    ) -> Result<Vec<Message>, QueueError> {
        let started = tokio::time::Instant::now();
        let mut end = None;
        let mut messages: Vec<Message> = Vec::new();
        loop {
            let objects: usize = messages.iter().map(|message| message.candidates.len()).sum();
            let bytes: u64 =
                messages.iter().flat_map(|message| &message.candidates).map(|one| one.stored_bytes).sum();
            let late = end.is_some_and(|end| tokio::time::Instant::now() >= end);
            let idle = messages.is_empty() && patience.is_some_and(|patience| started.elapsed() >= patience);
            if late || idle || stop.is_cancelled() || objects >= objects_max || bytes >= stored_bytes_max {
                return Ok(messages);
            }
            let found = tokio::select! {
                found = self.receive() => found?,
                () = stop.cancelled() => continue,
            };
            if !found.is_empty() {
                end.get_or_insert_with(|| tokio::time::Instant::now() + interval);
            }
            messages.extend(found);
        }
    }

    async fn receive(&self) -> Result<Vec<Message>, QueueError> {
        let answer = self
            .client
            .receive_message()
            .queue_url(&self.url)
            .max_number_of_messages(BATCH as i32)
            .wait_time_seconds(WAIT_SECONDS)
            .visibility_timeout(self.visibility_seconds())
            .send()
            .await
            .map_err(|error| self.failed("ReceiveMessage", &error))?;
        let mut messages = Vec::new();
        for message in answer.messages.unwrap_or_default() {
            let Some(receipt) = message.receipt_handle else { continue };
            match parse(message.body.as_deref().unwrap_or_default()) {
                Ok(Notification::Created(objects)) => {
                    let candidates = objects.into_iter().map(Candidate::from).collect();
                    messages.push(Message { receipt, candidates });
                }
                Ok(Notification::Nothing(reason)) => {
                    tracing::debug!(reason, "notification without objects");
                    messages.push(Message { receipt, candidates: Vec::new() });
                }
                Err(error) => {
                    let id = message.message_id.unwrap_or_default();
                    tracing::warn!(message = id, %error, "notification not understood, left for the dead-letter queue");
                }
            }
        }
        Ok(messages)
    }

    /// Extends the visibility of `messages` until `done` is cancelled. A failure is logged: the worst
    /// case is a second delivery, which the ledger recognises.
    pub async fn keep_invisible(&self, messages: &[Message], done: CancellationToken) {
        loop {
            tokio::select! {
                () = done.cancelled() => return,
                () = tokio::time::sleep(self.visibility / 2) => {}
            }
            for group in messages.chunks(BATCH) {
                let entries = group.iter().enumerate().filter_map(|(index, message)| {
                    ChangeMessageVisibilityBatchRequestEntry::builder()
                        .id(index.to_string())
                        .receipt_handle(&message.receipt)
                        .visibility_timeout(self.visibility_seconds())
                        .build()
                        .ok()
                });
                let request = self.client.change_message_visibility_batch().queue_url(&self.url);
                if let Err(error) = request.set_entries(Some(entries.collect())).send().await {
                    let error = self.failed("ChangeMessageVisibilityBatch", &error);
                    tracing::warn!(%error, "cannot extend visibility");
                }
            }
        }
    }

    /// Deletes the messages all of whose objects were taken in; the others stay.
    ///
    /// # Errors
    /// When the queue refuses; the messages come again and the ledger recognises their objects.
    pub async fn delete(&self, messages: &[Message], unreadable: &[Place]) -> Result<(), QueueError> {
        let bad: HashSet<String> = unreadable.iter().map(Place::location).collect();
        let done: Vec<&Message> = messages
            .iter()
            .filter(|message| !message.candidates.iter().any(|one| bad.contains(&one.place.location())))
            .collect();
        for group in done.chunks(BATCH) {
            let entries = group.iter().enumerate().filter_map(|(index, message)| {
                DeleteMessageBatchRequestEntry::builder()
                    .id(index.to_string())
                    .receipt_handle(&message.receipt)
                    .build()
                    .ok()
            });
            let request = self.client.delete_message_batch().queue_url(&self.url);
            let answer = request.set_entries(Some(entries.collect())).send().await;
            answer.map_err(|error| self.failed("DeleteMessageBatch", &error))?;
        }
        Ok(())
    }
}
