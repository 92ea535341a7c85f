//! Time on the public port, without a timer per socket: deadlines of the connections that are not
//! let in yet, and the rounds in which browsers are pinged and the dead are found.
//!
//! Knows places in the event loop's table, and no sockets. The time is an argument.

use crate::clock::millis;
use crate::config::SessionConfig;
use crate::link::Slots;

/// Least time between two looks at the deadlines, in milliseconds.
const PAUSE_MS: u64 = 20;

/// Slices of the table; one is pinged at each tick, so that pings never come in a burst.
const SLICES: u32 = 30;

/// How often in a ping interval each slice is looked through for dead peers.
const LOOKS: u32 = 6;

/// Deadlines of the connections that are not let in yet.
#[derive(Default)]
pub(super) struct Deadlines {
    entries: Slots<Deadline>,
    /// When it is worth looking at them.
    look_ms: Option<u64>,
}

struct Deadline {
    at_ms: u64,
    place: u32,
}

impl Deadlines {
    /// Gives the connection at `place` until `at_ms`; returns the key to this deadline.
    pub(super) fn enter(&mut self, place: u32, at_ms: u64) -> u32 {
        self.look_by(at_ms);
        self.entries.insert(Deadline { at_ms, place })
    }

    /// Moves a deadline.
    pub(super) fn set(&mut self, key: u32, at_ms: u64) {
        if let Some(deadline) = self.entries.get_mut(key) {
            deadline.at_ms = at_ms;
            self.look_by(at_ms);
        }
    }

    /// Forgets a deadline.
    pub(super) fn leave(&mut self, key: u32) {
        self.entries.remove(key);
    }

    /// When [`Deadlines::due`] is worth a call.
    pub(super) fn look_ms(&self) -> Option<u64> {
        self.look_ms
    }

    /// The places whose time is over.
    pub(super) fn due(&mut self, now_ms: u64) -> Vec<u32> {
        if self.look_ms.is_none_or(|look_ms| now_ms < look_ms) {
            return Vec::new();
        }
        let mut due = Vec::new();
        let mut next = None;
        for deadline in self.entries.iter() {
            if deadline.at_ms <= now_ms {
                due.push(deadline.place);
            } else {
                next = Some(next.map_or(deadline.at_ms, |at_ms: u64| at_ms.min(deadline.at_ms)));
            }
        }
        self.look_ms = next.map(|at_ms| at_ms.max(now_ms + PAUSE_MS));
        due
    }

    fn look_by(&mut self, at_ms: u64) {
        self.look_ms = Some(self.look_ms.map_or(at_ms, |look_ms| look_ms.min(at_ms)));
    }
}

/// The rounds over all browsers: each is pinged once in a ping interval, and looked at more often.
pub(super) struct Rounds {
    tick_ms: u64,
    idle_ms: u64,
    /// When the next tick is.
    tick_at_ms: u64,
    /// The slice that this tick pings.
    slice: u32,
    /// Where the tick that has begun stands: which look, and the next place.
    walk: Option<(u32, u32)>,
}

impl Rounds {
    /// Rounds that begin now.
    pub(super) fn new(config: SessionConfig, now_ms: u64) -> Self {
        // At least a millisecond, for ping intervals that only tests have.
        let tick_ms = (millis(config.ping_interval) / u64::from(SLICES)).max(1);
        let idle_ms = millis(config.idle_timeout);
        Self { tick_ms, idle_ms, tick_at_ms: now_ms + tick_ms, slice: 0, walk: None }
    }

    /// Silence after which a browser is dead, in milliseconds.
    pub(super) fn idle_ms(&self) -> u64 {
        self.idle_ms
    }

    /// When [`Rounds::next`] is worth a call.
    pub(super) fn next_ms(&self) -> u64 {
        if self.walk.is_some() { 0 } else { self.tick_at_ms }
    }

    /// The next place to look at, and whether it is to be pinged; `None` when nothing is left to
    /// do for now. `places` is how many there are.
    pub(super) fn next(&mut self, places: u32, now_ms: u64) -> Option<(u32, bool)> {
        let (mut look, mut place) = match self.walk {
            Some(walk) => walk,
            None if now_ms < self.tick_at_ms => return None,
            None => (0, self.slice),
        };
        while place >= places {
            look += 1;
            if look == LOOKS {
                self.walk = None;
                self.slice = (self.slice + 1) % SLICES;
                self.tick_at_ms = now_ms + self.tick_ms;
                return None;
            }
            place = (self.slice + look * SLICES / LOOKS) % SLICES;
        }
        self.walk = Some((look, place + SLICES));
        Some((place, look == 0))
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;
    use std::time::Duration;

    use super::*;

    fn config() -> SessionConfig {
        SessionConfig {
            auth_timeout: Duration::from_secs(10),
            write_timeout: Duration::from_secs(10),
            ping_interval: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(60),
            backlog_bytes: NonZeroUsize::MIN,
        }
    }

    #[test]
    fn a_deadline_is_due_when_its_time_is_over_and_not_when_it_was_moved_or_left() {
        let mut deadlines = Deadlines::default();
        let moved = deadlines.enter(7, 100);
        let left = deadlines.enter(8, 100);
        deadlines.enter(9, 100);
        deadlines.set(moved, 500);
        deadlines.leave(left);

        assert_eq!(deadlines.due(99), [0; 0]);
        assert_eq!(deadlines.due(100), [9]);
        assert_eq!(deadlines.look_ms(), Some(500));
        assert_eq!(deadlines.due(500), [7, 9]); // Nobody has let go of 9.
    }

    #[test]
    fn a_storm_of_deadlines_is_looked_at_with_pauses() {
        let mut deadlines = Deadlines::default();
        for place in 0..100 {
            deadlines.enter(place, 1000 + u64::from(place));
        }

        assert_eq!(deadlines.due(1000), [0]);
        assert_eq!(deadlines.look_ms(), Some(1000 + PAUSE_MS));
        assert_eq!(deadlines.due(1001), [0; 0]);
        assert_eq!(deadlines.due(1000 + PAUSE_MS).len(), 21);
    }

    #[test]
    fn in_a_ping_interval_every_place_is_pinged_once_and_looked_at_six_times() {
        for places in [0, 1, 29, 30, 31, 1000] {
            let mut rounds = Rounds::new(config(), 0);
            let (mut pings, mut looks) = (vec![0; places as usize], vec![0; places as usize]);
            for now_ms in (0..=30_000).step_by(100) {
                while let Some((place, ping)) = rounds.next(places, now_ms) {
                    pings[place as usize] += u32::from(ping);
                    looks[place as usize] += 1;
                }
            }

            assert!(pings.iter().all(|pings| *pings == 1), "{places}: {pings:?}");
            assert!(looks.iter().all(|looks| *looks == LOOKS), "{places}: {looks:?}");
        }
    }

    #[test]
    fn a_round_that_is_cut_into_pieces_goes_on_where_it_was() {
        let mut rounds = Rounds::new(config(), 0);

        assert_eq!(rounds.next(100, 999), None);
        assert_eq!(rounds.next(100, 1000), Some((0, true)));
        assert_eq!(rounds.next_ms(), 0);
        assert_eq!(rounds.next(100, 1500), Some((30, true)));
        assert_eq!(rounds.next(40, 1500), Some((5, false))); // The table got shorter.
    }
}
