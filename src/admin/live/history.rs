//! The last 15 minutes as figures, one sample a second, in memory.
//!
//! A sample takes 48 bytes, so all of them 44 KB, which are set aside at the start. Start reading
//! at [`History::add`].

use std::collections::VecDeque;

use serde::Serialize;

use crate::metrics::Snapshot;

/// Time between two samples, in milliseconds.
const EVERY_MS: u64 = 1000;

/// Samples that are kept: 15 minutes.
pub(super) const KEPT: usize = 900;

/// The samples.
#[derive(Debug)]
pub(super) struct History {
    samples: VecDeque<Sample>,
    /// The number of the next sample; the first is 1.
    next: u64,
    before: Option<(u64, Counted)>,
}

/// What is counted from the start on; a sample has what came since the one before.
#[derive(Debug, Clone, Copy)]
pub(super) struct Counted {
    pub(super) publishes: u64,
    pub(super) deliveries: u64,
    pub(super) delay: Snapshot,
    pub(super) lag: Snapshot,
}

/// What is at a moment.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Level {
    /// Unix milliseconds.
    pub(super) at: u64,
    pub(super) sockets: usize,
    pub(super) backlog_bytes: u64,
}

/// One sample. What is not known is NaN.
#[derive(Debug, Clone, Copy)]
struct Sample {
    at: u64,
    backlog_bytes: u64,
    sockets: u32,
    publishes: f32,
    deliveries: f32,
    p50: f32,
    p99: f32,
    lag: f32,
}

/// Samples as the page takes them: a row for each figure.
#[derive(Debug, Serialize)]
pub(super) struct Samples {
    every_ms: u64,
    /// The number of the first.
    first: u64,
    at: Vec<u64>,
    sockets: Vec<u32>,
    publishes_per_second: Vec<f32>,
    deliveries_per_second: Vec<f32>,
    delay_p50_ms: Vec<Option<f32>>,
    delay_p99_ms: Vec<Option<f32>>,
    backlog_bytes: Vec<u64>,
    loop_lag_ms: Vec<Option<f32>>,
}

impl Default for History {
    fn default() -> Self {
        Self { samples: VecDeque::with_capacity(KEPT), next: 1, before: None }
    }
}

impl History {
    /// Adds a sample; the first call only begins to count. Returns the lag of the event loop since
    /// the last one.
    pub(super) fn add(&mut self, now_ms: u64, counted: Counted, level: Level) -> Option<Snapshot> {
        let (before_ms, before) = self.before.replace((now_ms, counted))?;
        let delay = counted.delay.since(&before.delay);
        let lag = counted.lag.since(&before.lag);
        let seconds = now_ms.saturating_sub(before_ms).max(1) as f64 / 1000.0;
        let rate = |now: u64, before: u64| (now.saturating_sub(before) as f64 / seconds) as f32;
        let quantile = |of: &Snapshot, part| {
            of.quantile(part).map_or(f32::NAN, |time| time.as_secs_f32() * 1000.0)
        };
        if self.samples.len() == KEPT {
            self.samples.pop_front();
        }
        self.samples.push_back(Sample {
            at: level.at,
            backlog_bytes: level.backlog_bytes,
            sockets: u32::try_from(level.sockets).unwrap_or(u32::MAX),
            publishes: rate(counted.publishes, before.publishes),
            deliveries: rate(counted.deliveries, before.deliveries),
            p50: quantile(&delay, 0.5),
            p99: quantile(&delay, 0.99),
            lag: quantile(&lag, 1.0),
        });
        self.next += 1;
        Some(lag)
    }

    /// The samples whose numbers are above `after`; all of them if no sample had that number yet,
    /// as when the worker was started anew.
    pub(super) fn after(&self, after: u64) -> Samples {
        let oldest = self.next - self.samples.len() as u64;
        let first = if after < self.next { oldest.max(after + 1) } else { oldest };
        let skipped = usize::try_from(first - oldest).unwrap_or(usize::MAX);
        let rows = || self.samples.iter().skip(skipped);
        let figures = |of: fn(&Sample) -> f32| {
            rows().map(of).map(|figure| figure.is_finite().then_some(round(figure))).collect()
        };
        Samples {
            every_ms: EVERY_MS,
            first,
            at: rows().map(|sample| sample.at).collect(),
            sockets: rows().map(|sample| sample.sockets).collect(),
            publishes_per_second: rows().map(|sample| round(sample.publishes)).collect(),
            deliveries_per_second: rows().map(|sample| round(sample.deliveries)).collect(),
            delay_p50_ms: figures(|sample| sample.p50),
            delay_p99_ms: figures(|sample| sample.p99),
            backlog_bytes: rows().map(|sample| sample.backlog_bytes).collect(),
            loop_lag_ms: figures(|sample| sample.lag),
        }
    }
}

/// Three decimals: more are noise, and go over the wire 900 times.
fn round(figure: f32) -> f32 {
    (figure * 1000.0).round() / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Histogram;

    fn counted(publishes: u64, deliveries: u64) -> Counted {
        let none = Histogram::default().snapshot();
        Counted { publishes, deliveries, delay: none, lag: none }
    }

    fn filled(count: u64) -> History {
        let mut history = History::default();
        for second in 0..=count {
            let level = Level { at: second * 1000, sockets: 7, ..Level::default() };
            history.add(second * 1000, counted(second * 3, second * 30), level);
        }
        history
    }

    #[test]
    fn samples_have_the_rate_since_the_one_before_and_null_for_what_is_not_known() {
        let json = serde_json::to_value(filled(2).after(0)).unwrap();

        assert_eq!(
            json,
            serde_json::json!({
                "every_ms": 1000, "first": 1, "at": [1000, 2000], "sockets": [7, 7],
                "publishes_per_second": [3.0, 3.0], "deliveries_per_second": [30.0, 30.0],
                "delay_p50_ms": [null, null], "delay_p99_ms": [null, null],
                "backlog_bytes": [0, 0], "loop_lag_ms": [null, null],
            })
        );
    }

    #[test]
    fn who_has_some_gets_the_rest_with_its_numbers() {
        let history = filled(10);

        let rest = history.after(7);
        let none = history.after(10);
        let of_another_start = history.after(5000);

        assert_eq!((rest.first, rest.at), (8, vec![8000, 9000, 10_000]));
        assert_eq!((none.first, none.at.len()), (11, 0));
        assert_eq!((of_another_start.first, of_another_start.at.len()), (1, 10));
    }

    #[test]
    fn fifteen_minutes_are_kept_in_44_kilobytes() {
        let history = filled(5000);

        let all = history.after(0);

        assert_eq!((all.first, all.at.len()), (4101, KEPT));
        assert!(size_of::<Sample>() * history.samples.capacity() <= 44_000);
    }

    #[test]
    fn a_late_sample_does_not_show_a_higher_rate() {
        let mut history = History::default();
        history.add(0, counted(0, 0), Level::default());
        history.add(4000, counted(40, 0), Level::default());

        assert_eq!(history.after(0).publishes_per_second, [10.0]);
    }

    #[test]
    fn delays_are_those_since_the_sample_before_in_milliseconds() {
        let (delay, lag) = (Histogram::default(), Histogram::default());
        let mut history = History::default();
        let mut add = |now_ms| {
            let counted = Counted { delay: delay.snapshot(), lag: lag.snapshot(), ..counted(0, 0) };
            history.add(now_ms, counted, Level::default())
        };
        delay.observe_us(9_000_000); // Before anything was sampled.
        add(0);
        delay.observe_us(80);
        lag.observe_us(400_000);

        let since = add(1000).unwrap();

        assert_eq!(since.count(), 1);
        let samples = history.after(0);
        assert_eq!(samples.delay_p50_ms, [Some(0.075)]);
        assert_eq!(samples.delay_p99_ms, [Some(0.1)]);
        assert_eq!(samples.loop_lag_ms, [Some(500.0)]);
    }
}
