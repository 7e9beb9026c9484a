//! What time it is: asked in one place, so that a wrong clock can be tried out.
//!
//! No promise of this program rests on the clock. It dates rows (`ingest_time`) and says when an old
//! claim may be removed; [`crate::claims`] says why a claim removed too early costs nothing.

use std::sync::Arc;

/// A source of the time.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> i64 + Send + Sync>);

impl Clock {
    /// The system's clock.
    pub fn system() -> Clock {
        Clock::from_fn(|| chrono::Utc::now().timestamp_micros())
    }

    /// A clock that shows what `micros` returns: µs since the epoch.
    pub fn from_fn(micros: impl Fn() -> i64 + Send + Sync + 'static) -> Clock {
        Clock(Arc::new(micros))
    }

    /// µs since the epoch.
    pub fn micros(&self) -> i64 {
        (self.0)()
    }
}

impl std::fmt::Debug for Clock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Clock").field(&self.micros()).finish()
    }
}
