//! How input objects are found.
//!
//! * [`listing`]: files, directories and prefixes named on the command line.
//! * [`walk`]: the same for any number of objects, page by page; [`days`] and [`choice`] say which are wanted.
//! * [`watch`]: local directories that objects are put into.
//! * [`queue`]: S3 notifications from SQS.
//! * [`cloudwatch`]: log groups of CloudWatch Logs, pulled.
//!
//! An input object is written once and then left alone; a file that is still growing belongs to the
//! collector. Discovery may report an object any number of times: the ledger decides.

pub mod choice;
pub mod cloudwatch;
pub mod days;
pub mod listing;
pub mod notification;
pub mod queue;
pub mod walk;
pub mod watch;

use crate::storage::Candidate;

/// Splits candidates into batches by number and stored size, in the given order.
pub fn batches(candidates: Vec<Candidate>, objects_max: usize, stored_bytes_max: u64) -> Vec<Vec<Candidate>> {
    let mut batches = Vec::new();
    let mut current: Vec<Candidate> = Vec::new();
    let mut bytes = 0_u64;
    for candidate in candidates {
        let full =
            current.len() >= objects_max || bytes.saturating_add(candidate.stored_bytes) > stored_bytes_max;
        if full && !current.is_empty() {
            batches.push(std::mem::take(&mut current));
            bytes = 0;
        }
        bytes = bytes.saturating_add(candidate.stored_bytes);
        current.push(candidate);
    }
    if !current.is_empty() {
        batches.push(current);
    }
    batches
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::Place;

    fn candidate(bytes: u64) -> Candidate {
        let place = Place::File("/in/a".into());
        Candidate { place, stored_bytes: bytes, last_modified: None, etag: None }
    }

    #[test]
    fn a_batch_ends_at_either_limit_and_a_large_object_stands_alone() {
        let sizes = |batches: Vec<Vec<Candidate>>| -> Vec<Vec<u64>> {
            batches.iter().map(|batch| batch.iter().map(|one| one.stored_bytes).collect()).collect()
        };
        let given = || [4, 4, 4, 90, 1].map(candidate).to_vec();
        assert_eq!(sizes(batches(given(), 10, 10)), [vec![4, 4], vec![4], vec![90], vec![1]]);
        assert_eq!(sizes(batches(given(), 2, 1_000)), [vec![4, 4], vec![4, 90], vec![1]]);
        assert!(batches(Vec::new(), 1, 1).is_empty());
    }
}
