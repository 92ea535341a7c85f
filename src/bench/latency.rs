//! Many latencies, kept as a distribution: three digits each, whatever their number.

use hdrhistogram::Histogram;

use super::results::Latency;

/// The longest that is told apart: two minutes.
const LONGEST_NS: u64 = 120_000_000_000;

/// Points of the curve.
const POINTS: u32 = 60;

/// A distribution of latencies in nanoseconds.
#[derive(Debug, Clone)]
pub struct Latencies(Histogram<u64>);

impl Default for Latencies {
    fn default() -> Self {
        #[expect(clippy::expect_used, reason = "1 <= low, 2 * low <= high, and at most 5 digits")]
        let histogram = Histogram::new_with_bounds(1, LONGEST_NS, 3).expect("good bounds");
        Self(histogram)
    }
}

impl Latencies {
    /// Notes one.
    pub fn record(&mut self, ns: u64) {
        self.0.saturating_record(ns);
    }

    /// Takes in what another has.
    pub fn add(&mut self, other: &Self) {
        // It cannot fail: both have the same bounds.
        let _ = self.0.add(&other.0);
    }

    /// How many there are.
    pub fn count(&self) -> u64 {
        self.0.len()
    }

    /// At most this took the share `quantile` of them (0 to 1).
    pub fn at(&self, quantile: f64) -> u64 {
        // A bucket is told by its upper end, which nothing need have reached.
        self.0.value_at_quantile(quantile).min(self.0.max())
    }

    /// The distribution in a few numbers; `None` if there is nothing.
    pub fn summary(&self) -> Option<Latency> {
        (self.count() > 0).then(|| Latency {
            count: self.count(),
            p50: self.at(0.5),
            p99: self.at(0.99),
            p999: self.at(0.999),
            max: self.0.max(),
            curve: self.curve(),
        })
    }

    /// Points that lie the denser the nearer they come to 1, where the tail is: each is the same
    /// part of what lies behind it. The last one is the longest latency.
    fn curve(&self) -> Vec<(f64, u64)> {
        let decades = (self.count() as f64).log10();
        let mut curve: Vec<(f64, u64)> = vec![];
        for point in 0..=POINTS {
            let along = f64::from(point) / f64::from(POINTS);
            let share = if point == POINTS { 1.0 } else { 1.0 - 10_f64.powf(-along * decades) };
            let time = self.at(share);
            curve.pop_if(|last| last.1 == time || last.0 == share);
            curve.push((share, time));
        }
        curve
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_has_three_digits() {
        let mut latencies = Latencies::default();
        for microseconds in 1..=10_000 {
            latencies.record(microseconds * 1_000);
        }

        let summary = latencies.summary().unwrap();

        let near = |found: u64, wanted: u64| found.abs_diff(wanted) <= wanted / 1_000;
        assert_eq!(summary.count, 10_000);
        assert!(near(summary.p50, 5_000_000), "{}", summary.p50);
        assert!(near(summary.p99, 9_900_000), "{}", summary.p99);
        assert!(near(summary.p999, 9_990_000), "{}", summary.p999);
        assert!(near(summary.max, 10_000_000), "{}", summary.max);
    }

    #[test]
    fn the_curve_grows_and_ends_with_the_longest() {
        let mut latencies = Latencies::default();
        for square in 1..=10_000_u64 {
            latencies.record(square * square);
        }

        let curve = latencies.summary().unwrap().curve;

        assert!(curve.len() > 40, "{}", curve.len());
        assert!(curve.is_sorted_by(|one, next| one.0 < next.0 && one.1 < next.1), "{curve:?}");
        assert!(curve.iter().filter(|point| point.0 > 0.9).count() > 15);
        assert_eq!(curve.last().unwrap().0, 1.0);
        assert_eq!(curve.last().unwrap().1, latencies.at(1.0));
    }

    #[test]
    fn nothing_has_no_summary_and_one_has_a_curve_of_one_point() {
        let mut latencies = Latencies::default();
        assert!(latencies.summary().is_none());

        latencies.record(7);

        assert_eq!(latencies.summary().unwrap().curve, [(1.0, 7)]);
    }

    #[test]
    fn two_are_added() {
        let (mut one, mut other) = (Latencies::default(), Latencies::default());
        one.record(1);
        other.record(u64::MAX);

        one.add(&other);

        assert_eq!(one.count(), 2);
        assert!(one.at(1.0) >= LONGEST_NS);
    }
}
