//! How many requests to have in flight: additive increase while the other end keeps up,
//! multiplicative decrease when it fails, throttles or times out (AIMD, as in TCP congestion
//! control, RFC 5681 §3.1).

use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// How a request went, as far as the load matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The other end kept up.
    Good,
    /// It did not.
    Overload,
}

#[derive(Debug)]
struct State {
    limit: f64,
    busy: usize,
    /// Decreases so far: a request that began before the last one says nothing new.
    epoch: u64,
}

/// A limit on requests in flight that follows what the other end can take.
#[derive(Debug)]
pub struct Adaptive {
    most: usize,
    state: Mutex<State>,
    freed: Notify,
}

impl Adaptive {
    /// Starts with one request at a time, never more than `most`.
    pub fn new(most: usize) -> Self {
        let state = State { limit: 1.0, busy: 0, epoch: 0 };
        Self { most: most.max(1), state: Mutex::new(state), freed: Notify::new() }
    }

    /// Requests that may be in flight now.
    pub fn limit(&self) -> usize {
        // The limit lies between 1 and `most`.
        self.lock().limit as usize
    }

    /// Waits for a place. Cancel-safe.
    pub async fn enter(&self) -> Place<'_> {
        loop {
            let freed = self.freed.notified();
            {
                let mut state = self.lock();
                if state.busy < state.limit as usize {
                    state.busy += 1;
                    return Place { of: self, epoch: state.epoch, left: false };
                }
            }
            freed.await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place among the requests in flight; given back when dropped.
#[derive(Debug)]
pub struct Place<'a> {
    of: &'a Adaptive,
    epoch: u64,
    left: bool,
}

impl Place<'_> {
    /// Gives the place back and learns from how the request went.
    pub fn leave(mut self, outcome: Outcome) {
        self.left = true;
        let mut state = self.of.lock();
        state.busy -= 1;
        match outcome {
            // One more for every round of requests.
            Outcome::Good => state.limit = (state.limit + 1.0 / state.limit).min(self.of.most as f64),
            Outcome::Overload if self.epoch == state.epoch => {
                state.limit = (state.limit / 2.0).max(1.0);
                state.epoch += 1;
            }
            Outcome::Overload => {}
        }
        drop(state);
        self.of.freed.notify_waiters();
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        if !self.left {
            self.of.lock().busy -= 1;
            self.of.freed.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_limit_grows_by_one_a_round_and_halves_once_per_overload() {
        let adaptive = Adaptive::new(8);
        for _ in 0..60 {
            adaptive.enter().await.leave(Outcome::Good);
        }
        assert_eq!(adaptive.limit(), 8);
        let places: Vec<Place<'_>> = [adaptive.enter().await, adaptive.enter().await].into();
        places.into_iter().for_each(|place| place.leave(Outcome::Overload));
        assert_eq!(adaptive.limit(), 4, "two requests of one moment are one overload");
        for _ in 0..10 {
            adaptive.enter().await.leave(Outcome::Overload);
        }
        assert_eq!(adaptive.limit(), 1);
    }

    #[tokio::test]
    async fn a_dropped_place_is_free_again() {
        let adaptive = Adaptive::new(1);
        drop(adaptive.enter().await);
        let place = tokio::time::timeout(std::time::Duration::from_secs(5), adaptive.enter()).await.unwrap();
        place.leave(Outcome::Good);
    }
}
