//! What an analyst should know besides the answer.

use std::sync::{Arc, Mutex};

/// Short messages for standard error, each kept once; shared by the tables of a session.
#[derive(Debug, Clone, Default)]
pub struct Notices {
    pending: Arc<Mutex<Pending>>,
}

#[derive(Debug, Default)]
struct Pending {
    all: Vec<String>,
    taken: usize,
}

impl Notices {
    /// Adds a message unless the session has had it already.
    pub fn add(&self, message: String) {
        let mut pending = self.pending.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if !pending.all.contains(&message) {
            pending.all.push(message);
        }
    }

    /// The messages added since the last call.
    pub fn take(&self) -> Vec<String> {
        let mut pending = self.pending.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let new = pending.all[pending.taken..].to_vec();
        pending.taken = pending.all.len();
        new
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_given_once() {
        let notices = Notices::default();
        notices.add("a".to_owned());
        notices.add("a".to_owned());
        assert_eq!(notices.take(), ["a"]);
        notices.clone().add("a".to_owned());
        notices.add("b".to_owned());
        assert_eq!(notices.take(), ["b"]);
    }
}
