//! What goes wrong with a service, and when: by chance from a seed, or switched on for good.

use super::Answer;
use crate::loggen::Random;
use hyper::body::Incoming;
use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A way for a request to fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// 500, nothing done.
    Internal,
    /// 503, nothing done; S3 calls it SlowDown.
    Unavailable,
    /// The service's throttling error, nothing done.
    Throttled,
    /// The connection is cut before the request was read.
    Reset,
    /// The connection is cut after the request was read, nothing done.
    ResetAfterBody,
    /// No answer for longer than any client waits.
    Hang,
    /// Done, but the connection is cut before the answer.
    AnswerLost,
    /// Done, but the answer ends too early.
    ShortAnswer,
}

impl Fault {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Internal,
        Self::Unavailable,
        Self::Throttled,
        Self::Reset,
        Self::ResetAfterBody,
        Self::Hang,
        Self::AnswerLost,
        Self::ShortAnswer,
    ];
}

/// A service that can be made to fail.
pub trait Service: Send + Sync + 'static {
    /// Does what the request asks.
    fn answer(&self, request: http::Request<Incoming>) -> impl Future<Output = Answer> + Send;

    /// How this service words `Internal`, `Unavailable` and `Throttled`.
    fn failure(fault: Fault) -> Answer;
}

#[derive(Debug)]
struct State {
    random: Random,
    percent: u64,
    kinds: Vec<Fault>,
    seen: BTreeMap<Fault, u64>,
}

/// Draws a fault for each request.
#[derive(Debug)]
pub struct Faults(Mutex<State>);

impl Faults {
    /// Nothing fails.
    pub fn none() -> Self {
        Self::new(0, 0, &[])
    }

    /// So many requests in a hundred fail, each in one of these ways.
    pub fn new(seed: u64, percent: u64, kinds: &[Fault]) -> Self {
        let random = Random::new(seed, "faults");
        Self(Mutex::new(State { random, percent, kinds: kinds.to_vec(), seen: BTreeMap::new() }))
    }

    /// Changes what goes wrong from now on.
    pub fn set(&self, percent: u64, kinds: &[Fault]) {
        let mut state = self.state();
        state.percent = percent;
        state.kinds = kinds.to_vec();
    }

    /// How often each fault was injected.
    pub fn seen(&self) -> BTreeMap<Fault, u64> {
        self.state().seen.clone()
    }

    /// The fate of the next request.
    pub fn draw(&self) -> Option<Fault> {
        let mut state = self.state();
        if state.kinds.is_empty() || state.random.below(100) >= state.percent {
            return None;
        }
        let kinds = state.kinds.len() as u64;
        let number = usize::try_from(state.random.below(kinds)).unwrap_or(0);
        let fault = state.kinds[number];
        *state.seen.entry(fault).or_default() += 1;
        Some(fault)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
