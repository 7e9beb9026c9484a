//! Which time of a group is asked for next. Pure: no clock, no service.
//!
//! Times are milliseconds since the epoch, as the service counts them; both ends of a window belong to
//! it.

use serde::{Deserialize, Serialize};

/// Read again in every window: events become visible some seconds after their time.
const SHORT_MS: i64 = 60_000;

/// No window is longer: the token of a request expires after a day, and a restart begins a window
/// whose token it lost from the start.
const LONGEST_MS: i64 = 3_600_000;

/// How far a group was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reading {
    /// Everything up to here was asked for once.
    pub mark: i64,
    /// Everything late was asked for up to here.
    pub swept: i64,
    /// Nothing before this is asked for.
    pub first: i64,
}

/// A window of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// First moment.
    pub from: i64,
    /// Last moment.
    pub to: i64,
    /// Whether it goes back for late events.
    pub sweep: bool,
}

impl Reading {
    /// A group that was never read, from `first` on.
    pub fn begin(first: i64) -> Reading {
        Reading { mark: first, swept: first, first }
    }

    /// As it is taken up after a restart: the next window goes back for what became visible meanwhile.
    #[must_use]
    pub fn resumed(&self, overlap: i64) -> Reading {
        Reading { swept: self.swept.min(self.mark - overlap), ..*self }
    }

    /// The window to ask for at `now`.
    pub fn next(&self, now: i64, overlap: i64) -> Window {
        let sweep = now - self.swept >= overlap && now - self.mark <= LONGEST_MS;
        let back = if sweep { self.mark.min(self.swept) - 2 * overlap } else { self.mark - SHORT_MS };
        let to = now.min(self.mark + LONGEST_MS).max(self.mark);
        Window { from: back.max(self.first).max(0), to, sweep }
    }

    /// After `window` was read to its end.
    #[must_use]
    pub fn after(&self, window: Window) -> Reading {
        let swept = if window.sweep { window.to } else { self.swept };
        Reading { mark: self.mark.max(window.to), swept, first: self.first }
    }

    /// Ids of events in windows that end before this are not needed any more.
    pub fn forget_before(&self, overlap: i64) -> i64 {
        self.mark.min(self.swept) - 3 * overlap
    }

    /// Whether the present is so near that asking again can wait.
    pub fn is_current(&self, now: i64, poll_interval: i64) -> bool {
        now - self.mark < poll_interval
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: i64 = 60_000;

    #[test]
    fn a_backlog_is_read_in_hours_and_then_minute_by_minute() {
        let mut reading = Reading::begin(0);
        let now = 150 * MINUTE;
        let mut ends = Vec::new();
        while !reading.is_current(now, MINUTE) {
            let window = reading.next(now, 10 * MINUTE);
            ends.push(window.to / MINUTE);
            reading = reading.after(window);
        }
        assert_eq!(ends, [60, 120, 150]);
    }

    /// Every event that is visible within the overlap after its time is in a window asked for after that.
    #[test]
    fn an_event_is_asked_for_after_it_is_late_by_up_to_the_overlap() {
        let overlap = 10 * MINUTE;
        for poll in [MINUTE / 2, MINUTE, 7 * MINUTE, 45 * MINUTE, 100 * MINUTE] {
            for late in [0, MINUTE, 9 * MINUTE, overlap] {
                for time in (100..220).map(|minute| minute * MINUTE) {
                    let mut reading = Reading::begin(0);
                    let mut seen = false;
                    let mut now = 0;
                    while now < 600 * MINUTE {
                        while !reading.is_current(now, 1) {
                            let window = reading.next(now, overlap);
                            seen |= now >= time + late && window.from <= time && time <= window.to;
                            reading = reading.after(window);
                        }
                        now += poll;
                    }
                    assert!(seen, "poll {poll} late {late} time {time}");
                }
            }
        }
    }

    #[test]
    fn a_restart_goes_back_for_late_events_no_further_than_ids_are_kept() {
        let overlap = 10 * MINUTE;
        let mut reading = Reading::begin(0);
        for now in (0..300).map(|minute| minute * MINUTE) {
            reading = reading.after(reading.next(now, overlap));
        }
        let edge = reading.forget_before(overlap);
        let window = reading.resumed(overlap).next(301 * MINUTE, overlap);
        assert!(
            window.sweep && window.from >= edge && window.from <= reading.mark - 2 * overlap,
            "{window:?}"
        );
    }

    #[test]
    fn ids_are_kept_as_long_as_a_window_may_bring_their_events_again() {
        let overlap = 10 * MINUTE;
        let mut reading = Reading::begin(0);
        for now in (0..300).map(|minute| minute * MINUTE) {
            let window = reading.next(now, overlap);
            assert!(window.from >= reading.forget_before(overlap), "{window:?}");
            reading = reading.after(window);
        }
    }
}
