//! S3 notifications from an SQS queue.
//!
//! A message is deleted only after its objects are in the lake. From the moment it is received until
//! then its visibility is extended at half its time, so that no other processor gets it; where the queue
//! says that another has it, extending stops, and the ledger keeps the objects from being taken in twice.
//!
//! A message whose object cannot be read stays, for a later try. One that can never succeed, because it is
//! no notification or its object is not there, is left to the queue's redrive policy when there is one;
//! else it is kept in `rejected` and deleted (`refuse.rs`).
//!
//! A failing queue is asked again after a pause that doubles up to a minute, with jitter.

use super::notification::{CreatedObject, Notification, parse};
use crate::backoff::jittered;
use crate::metrics::queue::{Left, QueueMetrics, Refusal};
use crate::storage::{Candidate, Inputs, Lake, Place};
use aws_sdk_sqs::Client;
use aws_sdk_sqs::error::{DisplayErrorContext, SdkError};
use aws_sdk_sqs::types::{self as sqs, DeleteMessageBatchRequestEntry, QueueAttributeName};
use std::collections::HashSet;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use thiserror::Error;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

mod lease;
mod refuse;
mod settings;

use settings::Redrive;

/// SQS takes at most ten entries in one batch request.
const BATCH: usize = 10;

/// Long polling: fewer empty answers, at most this long a wait on shutdown.
const WAIT_SECONDS: i32 = 5;

/// Pause after a failed request; doubled up to the second.
const BACKOFF: Duration = Duration::from_secs(1);
const BACKOFF_MAX: Duration = Duration::from_secs(60);

/// Attempts at deleting a message: without it, it comes again and costs a lookup.
const DELETE_ATTEMPTS: u32 = 3;

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
    id: String,
    receipt: String,
    receives: u32,
    /// When its visibility was last set.
    held_since: Instant,
    /// The objects it names; a refused message stands for itself.
    pub candidates: Vec<Candidate>,
}

/// A queue of S3 notifications.
#[derive(Debug)]
pub struct Queue {
    client: Client,
    url: String,
    visibility: Duration,
    redrive: Redrive,
    lake: Lake,
    inputs: Inputs,
    metrics: QueueMetrics,
    failures: AtomicU32,
}

/// About how many messages wait in a queue. Receives none.
///
/// # Errors
/// When the queue does not answer; the message is the service's.
pub async fn waiting(url: &str, endpoint: Option<String>) -> Result<u64, String> {
    let name = QueueAttributeName::ApproximateNumberOfMessages;
    let client = client(endpoint).await;
    let request = client.get_queue_attributes().queue_url(url).attribute_names(name.clone());
    let answer = request.send().await.map_err(|error| DisplayErrorContext(&error).to_string())?;
    let count = answer.attributes.as_ref().and_then(|attributes| attributes.get(&name));
    Ok(count.and_then(|count| count.parse().ok()).unwrap_or(0))
}

async fn client(endpoint: Option<String>) -> Client {
    let mut loader = aws_config::defaults(aws_config::BehaviorVersion::latest());
    if let Some(endpoint) = endpoint {
        loader = loader.endpoint_url(endpoint);
    }
    Client::new(&loader.load().await)
}

impl Queue {
    /// Connects with the AWS default credential chain and asks for the redrive policy. `endpoint`
    /// overrides the service's address; refused messages are kept in `lake`.
    ///
    /// # Errors
    /// When there is no such queue.
    pub async fn open(
        url: String,
        endpoint: Option<String>,
        visibility: Duration,
        lake: Lake,
        metrics: QueueMetrics,
    ) -> Result<Queue, QueueError> {
        let mut queue = Queue {
            client: client(endpoint).await,
            url,
            visibility,
            redrive: Redrive::Unknown,
            lake,
            inputs: Inputs::default(),
            metrics,
            failures: AtomicU32::new(0),
        };
        queue.redrive = queue.ask_redrive().await?;
        Ok(queue)
    }

    fn failed<E, R>(&self, operation: &'static str, error: &SdkError<E, R>) -> QueueError
    where
        E: std::error::Error + 'static,
        R: std::fmt::Debug,
    {
        self.metrics.note_failure();
        QueueError { operation, queue: self.url.clone(), reason: DisplayErrorContext(error).to_string() }
    }

    fn visibility_seconds(&self) -> i32 {
        i32::try_from(self.visibility.as_secs()).unwrap_or(43_200)
    }

    /// Gathers messages for `interval` from the first one on, up to the limits. Returns nothing when
    /// `stop` is cancelled or `patience` passes without a message.
    ///
    /// # Errors
    /// When the queue cannot be read, after a pause; what was gathered before is given first.
    pub async fn gather(
        &self,
        interval: Duration,
        patience: Option<Duration>,
        objects_max: usize,
        stored_bytes_max: u64,
        stop: &CancellationToken,
    ) -> Result<Vec<Message>, QueueError> {
        let started = Instant::now();
        let mut end = None;
        let mut messages: Vec<Message> = Vec::new();
        loop {
            let objects: usize = messages.iter().map(|message| message.candidates.len()).sum();
            let bytes: u64 =
                messages.iter().flat_map(|message| &message.candidates).map(|one| one.stored_bytes).sum();
            let late = end.is_some_and(|end| Instant::now() >= end);
            let idle = messages.is_empty() && patience.is_some_and(|patience| started.elapsed() >= patience);
            if late || idle || stop.is_cancelled() || objects >= objects_max || bytes >= stored_bytes_max {
                return Ok(messages);
            }
            self.extend_due(&mut messages).await;
            let found = tokio::select! {
                found = self.receive() => found,
                () = stop.cancelled() => continue,
            };
            match found {
                Ok(found) => {
                    self.failures.store(0, Ordering::Relaxed);
                    if !found.is_empty() {
                        end.get_or_insert_with(|| Instant::now() + interval);
                    }
                    messages.extend(found);
                }
                Err(error) if messages.is_empty() => {
                    self.pause(stop).await;
                    return Err(error);
                }
                Err(error) => {
                    tracing::warn!(%error, "queue fails, going on with what came before");
                    return Ok(messages);
                }
            }
        }
    }

    /// Waits after a failure, longer each time.
    async fn pause(&self, stop: &CancellationToken) {
        let before = self.failures.fetch_add(1, Ordering::Relaxed).min(6);
        let pause = jittered((BACKOFF * 2_u32.pow(before)).min(BACKOFF_MAX));
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = stop.cancelled() => {}
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
            .message_system_attribute_names(sqs::MessageSystemAttributeName::ApproximateReceiveCount)
            .send()
            .await
            .map_err(|error| self.failed("ReceiveMessage", &error))?;
        let mut messages = Vec::new();
        for message in answer.messages.unwrap_or_default() {
            messages.extend(self.understand(message).await);
        }
        Ok(messages)
    }

    /// Reads a received message; none when it stays in the queue.
    async fn understand(&self, message: sqs::Message) -> Option<Message> {
        let receives = message
            .attributes
            .as_ref()
            .and_then(|all| all.get(&sqs::MessageSystemAttributeName::ApproximateReceiveCount))
            .and_then(|count| count.parse().ok())
            .unwrap_or(1);
        let id = message.message_id.unwrap_or_default();
        let body = message.body.unwrap_or_default();
        self.metrics.note_received(receives);
        let mut read = Message {
            receipt: message.receipt_handle?,
            id,
            receives,
            held_since: Instant::now(),
            candidates: Vec::new(),
        };
        match parse(&body) {
            Ok(Notification::Created(objects)) => {
                read.candidates = objects.into_iter().map(Candidate::from).collect();
                if receives > refuse::GONE_AFTER_RECEIVES && !self.redrive.takes_poison() {
                    let gone = refuse::gone(&self.inputs, &read.candidates).await;
                    if let Some(first) = gone.first() {
                        let reason = format!("{} of its objects are not there, such as {first}", gone.len());
                        read.candidates.retain(|one| !gone.contains(&one.place.location()));
                        return self.refuse(read, Refusal::ObjectGone, &reason, &body).await;
                    }
                }
                Some(read)
            }
            Ok(Notification::Nothing(reason)) => {
                tracing::debug!(reason, "notification without objects");
                Some(read)
            }
            Err(error) if self.redrive.takes_poison() => {
                tracing::warn!(message = read.id, receives, %error, "notification not understood, left for the dead-letter queue");
                self.metrics.note_left(Left::NotUnderstood);
                None
            }
            Err(error) => self.refuse(read, Refusal::NotUnderstood, &error.to_string(), &body).await,
        }
    }

    /// Keeps a message's text in the lake; the message then goes as if that were its object.
    async fn refuse(
        &self,
        mut message: Message,
        refusal: Refusal,
        reason: &str,
        body: &str,
    ) -> Option<Message> {
        match refuse::keep(&self.lake, reason, body).await {
            Ok(candidate) => {
                let (id, receives) = (message.id.as_str(), message.receives);
                tracing::warn!(
                    message = id,
                    receives,
                    reason,
                    "message can never succeed, kept in `rejected`"
                );
                self.metrics.note_refused(refusal);
                message.candidates.push(candidate);
                Some(message)
            }
            Err(error) => {
                tracing::warn!(message = message.id, %error, "a message that can never succeed cannot be kept, left in the queue");
                self.metrics.note_left(Left::NotUnderstood);
                None
            }
        }
    }

    /// Deletes the messages all of whose objects were taken in; the others stay. A message that cannot be
    /// deleted is counted: it comes again, and the ledger recognises its objects.
    pub async fn delete(&self, messages: &[Message], unreadable: &[Place]) {
        let bad: HashSet<String> = unreadable.iter().map(Place::location).collect();
        let is_bad =
            |message: &&Message| message.candidates.iter().any(|one| bad.contains(&one.place.location()));
        let (left, mut done): (Vec<&Message>, Vec<&Message>) = messages.iter().partition(is_bad);
        for message in left {
            tracing::warn!(
                message = message.id,
                receives = message.receives,
                "an object cannot be read, its message stays"
            );
            self.metrics.note_left(Left::Unreadable);
        }
        let whole = done.len();
        for attempt in 1..=DELETE_ATTEMPTS {
            let mut failed = Vec::new();
            for group in done.chunks(BATCH) {
                failed.extend(self.delete_group(group).await);
            }
            done = failed;
            if done.is_empty() || attempt == DELETE_ATTEMPTS {
                break;
            }
            tokio::time::sleep(jittered(BACKOFF * attempt)).await;
        }
        let failed = done.len();
        if failed > 0 {
            tracing::warn!(messages = failed, "messages cannot be deleted, they come again");
        }
        self.metrics.note_deleted((whole - failed) as u64, failed as u64);
    }

    /// Gives the messages that are still there.
    async fn delete_group<'m>(&self, group: &[&'m Message]) -> Vec<&'m Message> {
        let entries = group.iter().enumerate().filter_map(|(index, message)| {
            let entry = DeleteMessageBatchRequestEntry::builder().id(index.to_string());
            entry.receipt_handle(&message.receipt).build().ok()
        });
        let request = self.client.delete_message_batch().queue_url(&self.url);
        match request.set_entries(Some(entries.collect())).send().await {
            Ok(answer) => answer
                .failed()
                .iter()
                .filter_map(|entry| {
                    let message = group.get(entry.id().parse::<usize>().ok()?)?;
                    // The receipt is of an earlier delivery: whoever has the message now deletes it.
                    (!lease::is_lost(entry.code())).then_some(*message)
                })
                .collect(),
            Err(error) => {
                let error = self.failed("DeleteMessageBatch", &error);
                tracing::warn!(%error, "cannot delete messages");
                group.to_vec()
            }
        }
    }
}
