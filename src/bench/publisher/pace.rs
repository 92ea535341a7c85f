//! When to publish: as soon as the last one is done, or at planned moments.

use crate::bench::moment::{now_ns, sharpen_timer};

/// The moments of one publisher's publishes.
#[derive(Debug, Clone)]
pub struct Pace {
    start_ns: u64,
    /// Between two of its publishes; 0: no pace at all.
    step_ns: f64,
    /// How many it has given out.
    given: u64,
}

impl Pace {
    /// That of publisher `number` of `of_all`, which publish `rate` times a second together and in
    /// turn, from `start_ns` on. Without a rate, whenever it is asked.
    pub fn of(rate: Option<f64>, start_ns: u64, number: usize, of_all: usize) -> Self {
        let Some(rate) = rate.filter(|rate| *rate > 0.0) else {
            return Self { start_ns: 0, step_ns: 0.0, given: 0 };
        };
        sharpen_timer();
        let between = 1e9 / rate;
        let start_ns = start_ns + (between * number as f64) as u64;
        Self { start_ns, step_ns: between * of_all as f64, given: 0 }
    }

    /// The next moment as it was planned, even if it is past. Does not wait for it.
    pub fn next_moment(&mut self) -> u64 {
        if self.step_ns == 0.0 {
            return now_ns();
        }
        let planned = self.start_ns + (self.step_ns * self.given as f64) as u64;
        self.given += 1;
        planned
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_planned_in_turn_and_do_not_wait_for_who_is_late() {
        let (mut one, mut other) = (Pace::of(Some(1e6), 5, 0, 2), Pace::of(Some(1e6), 5, 1, 2));

        let planned =
            [one.next_moment(), other.next_moment(), one.next_moment(), other.next_moment()];

        assert_eq!(planned, [5, 1_005, 2_005, 3_005]);
    }

    #[test]
    fn without_a_rate_it_is_always_now() {
        let mut pace = Pace::of(None, 0, 0, 1);
        let before = now_ns();

        let moment = pace.next_moment();

        assert!((before..=now_ns()).contains(&moment));
    }
}
