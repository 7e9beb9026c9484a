//! What the queue does with messages that come again and again.

use super::{Queue, QueueError};
use aws_sdk_sqs::types::QueueAttributeName;
use serde_json::Value;

/// The queue's redrive policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Redrive {
    /// After so many receives a message goes to the dead-letter queue.
    After(u32),
    /// It has none: a message comes again until its retention ends.
    None,
    /// It may not be asked.
    Unknown,
}

impl Redrive {
    /// Whether the queue itself gets rid of messages that never succeed.
    pub(super) fn takes_poison(self) -> bool {
        matches!(self, Redrive::After(_))
    }
}

impl Queue {
    /// Asks the queue, once.
    pub(super) async fn ask_redrive(&self) -> Result<Redrive, QueueError> {
        let request = self.client.get_queue_attributes().queue_url(&self.url);
        let answer = match request.attribute_names(QueueAttributeName::All).send().await {
            Ok(answer) => answer,
            Err(error) if error.as_service_error().is_some_and(|error| error.is_queue_does_not_exist()) => {
                return Err(self.failed("GetQueueAttributes", &error));
            }
            Err(error) => {
                let error = self.failed("GetQueueAttributes", &error);
                tracing::warn!(%error, "the redrive policy is not known: messages that can never succeed are kept in `rejected` and deleted");
                return Ok(Redrive::Unknown);
            }
        };
        let policy = answer.attributes().and_then(|all| all.get(&QueueAttributeName::RedrivePolicy));
        let redrive = policy.map_or(Redrive::None, |policy| parse(policy));
        match redrive {
            Redrive::After(receives) => {
                tracing::info!(receives, "messages that never succeed go to the queue's dead-letter queue");
            }
            Redrive::None | Redrive::Unknown => {
                tracing::warn!(
                    "the queue has no dead-letter queue: messages that can never succeed are kept in `rejected` and deleted"
                );
            }
        }
        Ok(redrive)
    }
}

/// `{"deadLetterTargetArn":"…","maxReceiveCount":5}`; the number may be text.
fn parse(policy: &str) -> Redrive {
    let Ok(value) = serde_json::from_str::<Value>(policy) else { return Redrive::Unknown };
    let count = &value["maxReceiveCount"];
    let count = count.as_u64().or_else(|| count.as_str().and_then(|text| text.parse().ok()));
    match (value["deadLetterTargetArn"].as_str(), count.and_then(|count| u32::try_from(count).ok())) {
        (Some(_), Some(count)) => Redrive::After(count),
        _ => Redrive::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_redrive_policy_is_read_in_both_spellings() {
        let policy = |count: &str| {
            format!(r#"{{"deadLetterTargetArn":"arn:aws:sqs:r:1:dead","maxReceiveCount":{count}}}"#)
        };
        assert_eq!(parse(&policy("5")), Redrive::After(5));
        assert_eq!(parse(&policy("\"3\"")), Redrive::After(3));
        assert_eq!(parse("{}"), Redrive::Unknown);
        assert!(
            Redrive::After(1).takes_poison()
                && !Redrive::None.takes_poison()
                && !Redrive::Unknown.takes_poison()
        );
    }
}
