//! Memory of one sink's deliveries, out of what all sinks share.

use super::Takes;
use crate::budget::{Budget, Lease};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Where the deliveries of one sink take their memory.
///
/// One of them always proceeds: what it takes is set aside when the sink starts, so that neither
/// its own deliveries nor those of a sink that hangs can keep it waiting. Further ones take from the
/// common budget and wait for it.
#[derive(Debug)]
pub struct Room {
    takes: Takes,
    /// What was set aside.
    first: usize,
    first_taken: AtomicBool,
    budget: Arc<Budget>,
    _aside: Lease,
}

impl Room {
    /// Sets aside what one delivery with frames of `frame` bytes takes.
    pub fn new(budget: &Arc<Budget>, takes: Takes, frame: usize) -> Self {
        let first = takes.with(frame);
        let mut aside = budget.lease();
        aside.force(first);
        Self { takes, first, first_taken: AtomicBool::new(false), budget: budget.clone(), _aside: aside }
    }

    /// Room of a sink nobody limits.
    pub fn unlimited() -> Self {
        Self::new(&Budget::new(usize::MAX), Takes::default(), 0)
    }

    /// Memory for a delivery whose largest frame has `frame` bytes, if there is some.
    pub fn try_take(&self, frame: usize) -> Option<Held<'_>> {
        let need = self.takes.with(frame);
        let mut lease = self.budget.lease();
        if !self.first_taken.swap(true, Ordering::AcqRel) {
            // A frame may be larger than expected: then there is less for others.
            lease.force(need.saturating_sub(self.first));
            return Some(Held { room: self, lease, first: true });
        }
        // No holder is made in vain: dropping one wakes whoever waits.
        if !lease.grow(need) {
            return None;
        }
        Some(Held { room: self, lease, first: false })
    }

    /// Memory for a delivery whose largest frame has `frame` bytes; waits for it. Cancel-safe.
    pub async fn take(&self, frame: usize) -> Held<'_> {
        loop {
            let freed = self.budget.freed();
            tokio::pin!(freed);
            // From here on nothing that is given back is missed.
            freed.as_mut().enable();
            if let Some(held) = self.try_take(frame) {
                return held;
            }
            freed.await;
        }
    }
}

/// The memory of one delivery; given back when dropped.
#[derive(Debug)]
pub struct Held<'a> {
    room: &'a Room,
    lease: Lease,
    first: bool,
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.lease.clear();
        if self.first {
            self.room.first_taken.store(false, Ordering::Release);
        }
        self.room.budget.tell();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt as _;

    const TAKES: Takes = Takes { frames: 2, bytes: 10, key: "" };

    #[test]
    fn one_delivery_of_each_sink_always_proceeds_and_others_share() {
        let budget = Budget::new(100);
        let (hangs, works) = (Room::new(&budget, TAKES, 10), Room::new(&budget, TAKES, 10));
        assert_eq!(budget.used(), 60, "set aside for both");
        // One that hangs takes all it can get …
        let (first, second) = (hangs.try_take(10).unwrap(), hangs.try_take(10).unwrap());
        assert!(hangs.try_take(10).is_none());
        // … and the other goes on all the same, one at a time.
        let mut other = works.try_take(10).unwrap();
        assert!(works.try_take(10).is_none());
        assert_eq!(budget.used(), 90);
        // A frame larger than expected is taken, and leaves less.
        drop(other);
        other = works.try_take(20).unwrap();
        assert_eq!(budget.used(), 110);
        drop((first, second, other));
        assert_eq!(budget.used(), 60);
    }

    #[test]
    fn whoever_waits_goes_on_when_anybody_gives_back() {
        let budget = Budget::new(90);
        let (a, b) = (Room::new(&budget, TAKES, 10), Room::new(&budget, TAKES, 10));
        let held = [a.try_take(10).unwrap(), a.try_take(10).unwrap()];
        let first = b.try_take(10).unwrap();
        let mut waits = Box::pin(b.take(10));
        assert!(waits.as_mut().now_or_never().is_none());
        let [_, shared] = held;
        drop(shared);
        drop(waits.as_mut().now_or_never().unwrap());
        // The part set aside can be waited for as well.
        let _all = a.try_take(10).unwrap();
        let mut waits = Box::pin(b.take(10));
        assert!(waits.as_mut().now_or_never().is_none());
        drop(first);
        assert!(waits.as_mut().now_or_never().is_some());
    }
}
