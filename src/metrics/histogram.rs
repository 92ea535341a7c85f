//! How often something took how long: counts in a few buckets, the same for every histogram.
//!
//! To observe costs two additions, and no lock. Who wants to know about the last second takes a
//! [`Snapshot`] each second and looks at the difference of two ([`Snapshot::since`]).

use std::array;
use std::time::Duration;

use super::counter::Counter;

/// The bounds of the buckets in microseconds, each included in its own. What took longer than the
/// last is in one bucket more.
pub const BOUNDS_US: [u64; 17] = [
    50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000,
    1_000_000, 2_500_000, 5_000_000, 10_000_000,
];

/// The buckets: one for each bound, and the one above all.
const BUCKETS: usize = BOUNDS_US.len() + 1;

/// Counts of durations.
#[derive(Debug, Default)]
pub struct Histogram {
    buckets: [Counter; BUCKETS],
    sum_us: Counter,
}

/// A duration with the bucket that it belongs to, which is the same in every histogram.
#[derive(Debug, Clone, Copy)]
pub struct Elapsed {
    us: u64,
    bucket: usize,
}

/// A histogram at a moment, or what came between two moments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Snapshot {
    buckets: [u64; BUCKETS],
    sum_us: u64,
}

impl Elapsed {
    /// So many microseconds.
    pub fn of_us(us: u64) -> Self {
        // From the front: nearly everything is quick.
        let bucket = BOUNDS_US.iter().position(|bound| us <= *bound).unwrap_or(BOUNDS_US.len());
        Self { us, bucket }
    }
}

impl Histogram {
    /// Something took so long.
    pub fn observe(&self, elapsed: Elapsed) {
        self.buckets[elapsed.bucket].inc();
        self.sum_us.add(elapsed.us);
    }

    /// Something took so many microseconds.
    pub fn observe_us(&self, us: u64) {
        self.observe(Elapsed::of_us(us));
    }

    /// The counts now. One that is made meanwhile may be in the count and not yet in the sum.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot {
            buckets: array::from_fn(|bucket| self.buckets[bucket].get()),
            sum_us: self.sum_us.get(),
        }
    }
}

impl Snapshot {
    /// What came after `earlier`, a snapshot of the same histogram.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let buckets = array::from_fn(|n| self.buckets[n].saturating_sub(earlier.buckets[n]));
        Self { buckets, sum_us: self.sum_us.saturating_sub(earlier.sum_us) }
    }

    /// How many there were.
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// How long they took together, in microseconds.
    pub fn sum_us(&self) -> u64 {
        self.sum_us
    }

    /// How long one took on average; `None` if there was none.
    pub fn mean(&self) -> Option<Duration> {
        Some(Duration::from_micros(self.sum_us.checked_div(self.count())?))
    }

    /// The time within which `part` of them (0.99 is 99 of 100) were done, as far as the buckets
    /// tell: a place between two bounds, and 10 s for all that took longer. `None` if there was
    /// none.
    pub fn quantile(&self, part: f64) -> Option<Duration> {
        let count = self.count();
        if count == 0 {
            return None;
        }
        let rank = part.clamp(0.0, 1.0) * count as f64;
        let (mut below, mut low_us) = (0, 0);
        for (bound_us, within) in BOUNDS_US.into_iter().zip(self.buckets) {
            if within > 0 && (below + within) as f64 >= rank {
                let share = ((rank - below as f64) / within as f64).clamp(0.0, 1.0);
                let us = low_us as f64 + share * (bound_us - low_us) as f64;
                return Some(Duration::from_micros(us.round() as u64));
            }
            (below, low_us) = (below + within, bound_us);
        }
        Some(Duration::from_micros(low_us))
    }

    /// The counts as Prometheus has them: each bound with how many took at most so long. Those that
    /// took longer than the last are only in [`Snapshot::count`].
    pub fn cumulative(&self) -> impl Iterator<Item = (u64, u64)> {
        BOUNDS_US.into_iter().zip(self.buckets).scan(0, |sum, (bound_us, count)| {
            *sum += count;
            Some((bound_us, *sum))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(durations_us: &[u64]) -> Snapshot {
        let histogram = Histogram::default();
        durations_us.iter().for_each(|us| histogram.observe_us(*us));
        histogram.snapshot()
    }

    #[test]
    fn a_bound_belongs_to_its_own_bucket_and_what_is_above_all_is_counted_too() {
        let snapshot = of(&[0, 50, 51, 10_000_000, 10_000_001, u64::MAX / 4]);
        let cumulative: Vec<(u64, u64)> = snapshot.cumulative().collect();

        assert_eq!(cumulative[0], (50, 2));
        assert_eq!(cumulative[1], (100, 3));
        assert_eq!(cumulative.last(), Some(&(10_000_000, 4)));
        assert_eq!(snapshot.count(), 6);
    }

    #[test]
    fn quantiles_lie_between_the_bounds_of_their_bucket() {
        let snapshot = of(&[10, 20, 30, 40, 700, 700, 700, 700, 700, 60_000_000]);
        let us = |part| snapshot.quantile(part).unwrap().as_micros();

        assert_eq!(us(0.0), 0);
        assert_eq!(us(0.4), 50);
        assert_eq!(us(0.65), 750);
        assert_eq!(us(0.9), 1000);
        assert_eq!(us(1.0), 10_000_000);
    }

    #[test]
    fn the_difference_of_two_snapshots_is_what_came_between() {
        let histogram = Histogram::default();
        histogram.observe_us(5_000_000);
        let earlier = histogram.snapshot();
        histogram.observe_us(80);
        histogram.observe_us(40);

        let between = histogram.snapshot().since(&earlier);

        assert_eq!((between.count(), between.sum_us()), (2, 120));
        assert_eq!(between.mean(), Some(Duration::from_micros(60)));
        assert_eq!(between.quantile(0.5), Some(Duration::from_micros(50)));
    }

    #[test]
    fn of_nothing_there_is_neither_mean_nor_quantile() {
        let nothing = of(&[]);

        assert_eq!((nothing.mean(), nothing.quantile(0.5)), (None, None));
    }
}
