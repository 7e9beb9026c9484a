//! What `/metrics` shows of an SQS queue.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabel {
    reason: &'static str,
}

/// Counters of a queue. `received = deleted + left + delete_failures + in hand`.
#[derive(Debug, Default, Clone)]
pub struct QueueMetrics {
    received: Counter,
    redelivered: Counter,
    deleted: Counter,
    delete_failures: Counter,
    left: Family<ReasonLabel, Counter>,
    refused: Family<ReasonLabel, Counter>,
    extensions: Counter,
    leases_lost: Counter,
    request_failures: Counter,
}

/// Why a message stays in the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Left {
    /// It is not understood, and the queue has a dead-letter queue for such.
    NotUnderstood,
    /// An object it names could not be read.
    Unreadable,
}

/// Why a message was kept in `rejected` and deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// It is not understood.
    NotUnderstood,
    /// An object it names is not there, again and again.
    ObjectGone,
}

impl QueueMetrics {
    /// Registers the counters.
    pub fn register(&self, registry: &mut Registry) {
        let mut counter = |name: &str, help: &str, counter: &Counter| {
            registry.register(name, help, counter.clone());
        };
        counter("queue_messages_received", "Messages received from the queue", &self.received);
        counter(
            "queue_messages_redelivered",
            "Received messages that had been received before",
            &self.redelivered,
        );
        counter(
            "queue_messages_deleted",
            "Messages deleted because all their objects are in the lake",
            &self.deleted,
        );
        counter(
            "queue_delete_failures",
            "Messages that could not be deleted; they come again and are known",
            &self.delete_failures,
        );
        counter(
            "queue_visibility_extensions",
            "Messages whose time was extended while they were worked on",
            &self.extensions,
        );
        counter(
            "queue_leases_lost",
            "Messages the queue gave to another before they were done",
            &self.leases_lost,
        );
        counter("queue_request_failures", "Requests to the queue that failed", &self.request_failures);
        registry.register("queue_messages_left", "Messages left in the queue, by reason", self.left.clone());
        registry.register(
            "queue_messages_refused",
            "Messages that can never succeed, kept in `rejected` and deleted, by reason",
            self.refused.clone(),
        );
    }

    /// A message came; `receives` counts this time.
    pub fn note_received(&self, receives: u32) {
        self.received.inc();
        if receives > 1 {
            self.redelivered.inc();
        }
    }

    /// Messages were deleted, or could not be.
    pub fn note_deleted(&self, deleted: u64, failed: u64) {
        self.deleted.inc_by(deleted);
        self.delete_failures.inc_by(failed);
    }

    /// A message stays.
    pub fn note_left(&self, left: Left) {
        let reason = match left {
            Left::NotUnderstood => "not_understood",
            Left::Unreadable => "unreadable",
        };
        self.left.get_or_create(&ReasonLabel { reason }).inc();
    }

    /// A message was refused.
    pub fn note_refused(&self, refusal: Refusal) {
        let reason = match refusal {
            Refusal::NotUnderstood => "not_understood",
            Refusal::ObjectGone => "object_gone",
        };
        self.refused.get_or_create(&ReasonLabel { reason }).inc();
    }

    /// Messages were held longer, or lost.
    pub fn note_extended(&self, extended: u64, lost: u64) {
        self.extensions.inc_by(extended);
        self.leases_lost.inc_by(lost);
    }

    /// A request failed.
    pub fn note_failure(&self) {
        self.request_failures.inc();
    }
}
