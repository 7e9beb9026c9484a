//! Holding on to messages while they are gathered and worked on.

use super::{BATCH, Message, Queue};
use aws_sdk_sqs::types::ChangeMessageVisibilityBatchRequestEntry;
use std::collections::HashSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Whether SQS says that the message is no longer ours: its visibility ended and another has it, it is
/// deleted, or it was held for the twelve hours there are at most.
pub(super) fn is_lost(code: &str) -> bool {
    let code = code.rsplit('.').next().unwrap_or(code);
    ["ReceiptHandleIsInvalid", "MessageNotInflight", "InvalidParameterValue"].contains(&code)
}

impl Queue {
    /// Extends the messages that were last held half their time ago.
    pub(super) async fn extend_due(&self, messages: &mut [Message]) {
        let now = Instant::now();
        let due: Vec<usize> = (0..messages.len())
            .filter(|&index| now.duration_since(messages[index].held_since) >= self.visibility / 2)
            .collect();
        let receipts: Vec<&str> = due.iter().map(|&index| messages[index].receipt.as_str()).collect();
        // What is lost is taken in all the same: the ledger keeps it from being there twice.
        self.extend(&receipts).await;
        for index in due {
            messages[index].held_since = now;
        }
    }

    /// Extends the visibility of `messages` until `done` is cancelled; stops for those that are lost. A
    /// failure is logged: the worst case is a second delivery, which the ledger recognises.
    pub async fn keep_invisible(&self, messages: &[Message], done: CancellationToken) {
        let mut held: Vec<&str> = messages.iter().map(|message| message.receipt.as_str()).collect();
        let oldest = messages.iter().map(|message| message.held_since).min();
        let mut next = oldest.unwrap_or_else(Instant::now) + self.visibility / 2;
        while !held.is_empty() {
            tokio::select! {
                () = done.cancelled() => return,
                () = tokio::time::sleep_until(next) => {}
            }
            next = Instant::now() + self.visibility / 2;
            let lost = self.extend(&held).await;
            held.retain(|receipt| !lost.contains(*receipt));
        }
    }

    /// Extends; gives the receipts that are lost.
    async fn extend(&self, receipts: &[&str]) -> HashSet<String> {
        let mut lost = HashSet::new();
        let mut extended = 0;
        for group in receipts.chunks(BATCH) {
            let entries = group.iter().enumerate().filter_map(|(index, receipt)| {
                ChangeMessageVisibilityBatchRequestEntry::builder()
                    .id(index.to_string())
                    .receipt_handle(*receipt)
                    .visibility_timeout(self.visibility_seconds())
                    .build()
                    .ok()
            });
            let request = self.client.change_message_visibility_batch().queue_url(&self.url);
            match request.set_entries(Some(entries.collect())).send().await {
                Ok(answer) => {
                    extended += answer.successful().len() as u64;
                    for entry in answer.failed() {
                        let receipt = entry.id().parse::<usize>().ok().and_then(|index| group.get(index));
                        if let Some(receipt) = receipt.filter(|_| is_lost(entry.code())) {
                            lost.insert((*receipt).to_owned());
                        } else {
                            tracing::warn!(code = entry.code(), "cannot extend the visibility of a message");
                        }
                    }
                }
                Err(error) => {
                    let error = self.failed("ChangeMessageVisibilityBatch", &error);
                    tracing::warn!(%error, "cannot extend visibility");
                }
            }
        }
        if !lost.is_empty() {
            tracing::warn!(messages = lost.len(), "messages went to another processor before they were done");
        }
        self.metrics.note_extended(extended, lost.len() as u64);
        lost
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_codes_of_both_protocols_of_sqs_are_understood() {
        for code in
            ["ReceiptHandleIsInvalid", "AWS.SimpleQueueService.MessageNotInflight", "InvalidParameterValue"]
        {
            assert!(is_lost(code), "{code}");
        }
        assert!(!is_lost("InternalError"));
        assert!(!is_lost("RequestThrottled"));
    }
}
