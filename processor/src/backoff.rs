//! Pauses between attempts, spread so that processes that failed together do not come back together.

use std::hash::BuildHasher;
use std::time::Duration;

/// Between half the pause and the whole. Keys of the standard hasher are random in every process; a process
/// id is not, because in a container it is 1.
pub fn jittered(pause: Duration) -> Duration {
    let keys = std::collections::hash_map::RandomState::new();
    let part = keys.hash_one(std::process::id()) % 1_000;
    pause.mul_f64(0.5 + part as f64 / 2_000.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn a_pause_is_spread_and_never_longer_than_asked_for() {
        let pauses: HashSet<Duration> = (0..64).map(|_| jittered(Duration::from_secs(8))).collect();
        assert!(pauses.len() > 1);
        assert!(pauses.iter().all(|pause| (4_000..8_000).contains(&pause.as_millis())), "{pauses:?}");
    }
}
