//! A number of bytes that several holders share.
//!
//! What grows with the number of streams (records that are not complete yet) has a limit each, and
//! a thousand times that limit is more memory than a node gives. So they also share one.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::Notify;
use tokio::sync::futures::Notified;

/// Bytes that may be held together.
#[derive(Debug)]
pub struct Budget {
    limit: usize,
    used: AtomicUsize,
    freed: Notify,
}

impl Budget {
    /// A budget of `limit` bytes.
    pub fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self { limit, used: AtomicUsize::new(0), freed: Notify::new() })
    }

    /// Bytes held now. May be above the limit by what was taken with [`Lease::force`].
    pub fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    /// Resolves at the next [`Budget::tell`].
    pub fn freed(&self) -> Notified<'_> {
        self.freed.notified()
    }

    /// Wakes whoever waits for bytes that were given back. Not done by leases: those of single
    /// records, which come and go with every line, nobody waits for.
    pub fn tell(&self) {
        self.freed.notify_waiters();
    }

    /// A holder of nothing yet.
    pub fn lease(self: &Arc<Self>) -> Lease {
        Lease { budget: self.clone(), bytes: 0 }
    }
}

/// What one holder has of a budget; given back when dropped.
#[derive(Debug)]
pub struct Lease {
    budget: Arc<Budget>,
    bytes: usize,
}

impl Lease {
    /// Takes more; false, and nothing taken, when the budget does not allow it.
    pub fn grow(&mut self, bytes: usize) -> bool {
        let more = |used: usize| used.checked_add(bytes).filter(|used| *used <= self.budget.limit);
        let grown = self.budget.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_ok();
        self.bytes += if grown { bytes } else { 0 };
        grown
    }

    /// Takes more whatever the budget says: for what has to be held anyway, so that others get less.
    pub fn force(&mut self, bytes: usize) {
        self.budget.used.fetch_add(bytes, Ordering::Relaxed);
        self.bytes += bytes;
    }

    /// Gives everything back.
    pub fn clear(&mut self) {
        self.budget.used.fetch_sub(std::mem::take(&mut self.bytes), Ordering::Relaxed);
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holders_share_and_give_back() {
        let budget = Budget::new(10);
        let (mut a, mut b) = (budget.lease(), budget.lease());
        assert!(a.grow(6) && !b.grow(5) && b.grow(4) && !a.grow(1));
        b.force(3);
        assert_eq!(budget.used(), 13);
        a.clear();
        assert!(b.grow(3) && !b.grow(1));
        drop(b);
        assert_eq!(budget.used(), 0);
        assert!(!a.grow(usize::MAX));
    }
}
