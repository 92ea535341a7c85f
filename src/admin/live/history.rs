//! The last 15 minutes as figures, one sample a second, in memory.
//!
//! A sample takes 48 bytes, so all of them 44 KB, which are set aside at the start. Start reading
//! at [`History::add`].

use std::collections::VecDeque;

use serde::Serialize;

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

/// What is counted from the start on; a sample has the rate of it.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Counted {
    pub(super) publishes: u64,
    pub(super) deliveries: u64,
}

/// What is at a moment, or was since the last one.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Moment {
    /// Unix milliseconds.
    pub(super) at: u64,
    pub(super) sockets: usize,
    pub(super) backlog_bytes: u64,
    pub(super) delay_p50_ms: Option<f64>,
    pub(super) delay_p99_ms: Option<f64>,
    pub(super) loop_lag_ms: Option<f64>,
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
    /// Adds a sample; the first call only begins to count.
    pub(super) fn add(&mut self, now_ms: u64, counted: Counted, moment: Moment) {
        let Some((before_ms, before)) = self.before.replace((now_ms, counted)) else {
            return;
        };
        let seconds = now_ms.saturating_sub(before_ms).max(1) as f64 / 1000.0;
        let rate = |now: u64, before: u64| (now.saturating_sub(before) as f64 / seconds) as f32;
        let known = |figure: Option<f64>| figure.map_or(f32::NAN, |figure| figure as f32);
        if self.samples.len() == KEPT {
            self.samples.pop_front();
        }
        self.samples.push_back(Sample {
            at: moment.at,
            backlog_bytes: moment.backlog_bytes,
            sockets: u32::try_from(moment.sockets).unwrap_or(u32::MAX),
            publishes: rate(counted.publishes, before.publishes),
            deliveries: rate(counted.deliveries, before.deliveries),
            p50: known(moment.delay_p50_ms),
            p99: known(moment.delay_p99_ms),
            lag: known(moment.loop_lag_ms),
        });
        self.next += 1;
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

    fn filled(count: u64) -> History {
        let mut history = History::default();
        for second in 0..=count {
            let counted = Counted { publishes: second * 3, deliveries: second * 30 };
            let moment = Moment { at: second * 1000, sockets: 7, ..Moment::default() };
            history.add(second * 1000, counted, moment);
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
        let counted = |publishes| Counted { publishes, deliveries: 0 };
        history.add(0, counted(0), Moment::default());
        history.add(4000, counted(40), Moment::default());

        assert_eq!(history.after(0).publishes_per_second, [10.0]);
    }
}
