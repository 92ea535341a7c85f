//! Axes: where a value stands in a plot, and which values are written beside it.
//!
//! An [`Axis`] knows its pixels and its ticks, and nothing of SVG. Start reading at
//! [`Axis::times`]; the other kinds differ in their scale and their words alone.

use crate::bench::words;

/// One direction of a plot.
#[derive(Debug, Clone)]
pub struct Axis {
    /// What it shows, with its unit.
    pub title: &'static str,
    /// Lines across the plot, in growing order.
    pub ticks: Vec<Tick>,
    scale: Scale,
    /// The values at both ends.
    domain: (f64, f64),
    /// The pixels of both ends.
    span: (f64, f64),
}

/// A line across the plot.
#[derive(Debug, Clone, PartialEq)]
pub struct Tick {
    /// Its pixel.
    pub at: f64,
    /// What is written beside it; nothing at lines in between.
    pub label: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Scale {
    Linear,
    /// Equal factors are equal ways.
    Log,
    /// Each nine of a share is an equal way: 0, 0.9, 0.99, 0.999.
    Nines,
}

/// Percentiles that are always of interest, beside the nines: the middle.
const HALF: f64 = 0.5;

impl Axis {
    /// Times in nanoseconds from `least` to `most`, on a logarithmic scale that ends at round
    /// numbers.
    pub fn times(title: &'static str, least: f64, most: f64, span: (f64, f64)) -> Self {
        let least = least.max(1.0);
        let domain = (step_below(least), step_above(most.max(least * 1.01)));
        let decades = (domain.1 / domain.0).log10();
        let steps = steps(domain);
        let labelled = |step: &f64| decades <= 3.05 || is_decade(*step);
        let label = |step: &f64| labelled(step).then(|| words::brief(&words::time(*step)));
        Self::new(title, Scale::Log, domain, span, &steps, label)
    }

    /// Amounts from 0 to at least `most`.
    pub fn amounts(title: &'static str, most: f64, span: (f64, f64)) -> Self {
        let steps = even_steps(0.0, positive(most), 4);
        let domain = (0.0, last(&steps));
        Self::new(title, Scale::Linear, domain, span, &steps, |step| Some(words::compact(*step)))
    }

    /// Times in nanoseconds from 0 to at least `most`, evenly.
    pub fn costs(title: &'static str, most: f64, span: (f64, f64)) -> Self {
        let steps = even_steps(0.0, positive(most), 4);
        let domain = (0.0, last(&steps));
        let label = |step: &f64| match *step {
            0.0 => Some("0".to_owned()),
            step => Some(words::brief(&words::time(step))),
        };
        Self::new(title, Scale::Linear, domain, span, &steps, label)
    }

    /// Seconds from 0 to exactly `most`.
    pub fn seconds(title: &'static str, most: f64, span: (f64, f64)) -> Self {
        let most = positive(most);
        let inside = |step: &f64| *step <= most * 1.000_001;
        let steps = even_steps(0.0, most, 5).into_iter().filter(inside).collect::<Vec<f64>>();
        let label = |step: &f64| Some(words::brief(&words::number(*step)));
        Self::new(title, Scale::Linear, (0.0, most), span, &steps, label)
    }

    /// Ratios from `least` to `most`, with 1 among them; logarithmic if they are far apart.
    pub fn ratios(title: &'static str, least: f64, most: f64, span: (f64, f64)) -> Self {
        let (least, most) = (least.clamp(0.001, 1.0), most.clamp(1.0, 1e6));
        let label = |step: &f64| Some(words::brief(&words::ratio(*step)));
        if most / least > 8.0 {
            let domain = (step_below(least), step_above(most));
            let wide = (domain.1 / domain.0).log10() > 2.05;
            let label = |step: &f64| label(step).filter(|_| !wide || is_decade(*step));
            return Self::new(title, Scale::Log, domain, span, &steps(domain), label);
        }
        // A narrow range is shown as one: a tenth is not to fill the plot.
        let room = ((most - least) * 0.08).max(0.02);
        let (from, to) = (least - room, (most + room).max(least + 0.25));
        let inside = |step: &f64| (from..=to).contains(step);
        let steps = even_steps(from, to, 5).into_iter().filter(inside).collect::<Vec<f64>>();
        Self::new(title, Scale::Linear, (from, to), span, &steps, label)
    }

    /// Shares from 0 to all of `count`: each nine takes as much room as the one before.
    pub fn percentiles(title: &'static str, count: u64, span: (f64, f64)) -> Self {
        let end = 1.0 - 1.0 / (count.max(10) as f64);
        let mut steps = vec![HALF];
        let nines = (1..10).map(|nines| 1.0 - 10_f64.powi(-nines));
        steps.extend(nines.take_while(|share| *share <= end + 1e-12));
        let label = |step: &f64| words::percent(*step).strip_suffix(" %").map(str::to_owned);
        Self::new(title, Scale::Nines, (0.0, end), span, &steps, label)
    }

    fn new(
        title: &'static str,
        scale: Scale,
        domain: (f64, f64),
        span: (f64, f64),
        steps: &[f64],
        label: impl Fn(&f64) -> Option<String>,
    ) -> Self {
        let mut axis = Self { title, ticks: Vec::new(), scale, domain, span };
        axis.ticks =
            steps.iter().map(|step| Tick { at: axis.place(*step), label: label(step) }).collect();
        axis
    }

    /// The pixel of `value`; what lies outside stands at the nearer end.
    pub fn place(&self, value: f64) -> f64 {
        let (from, to) = (self.scale.way(self.domain.0), self.scale.way(self.domain.1));
        let (low, high) = (self.domain.0, self.domain.1);
        let value = if value.is_nan() { low } else { value.clamp(low, high) };
        let share = if to > from { (self.scale.way(value) - from) / (to - from) } else { 0.0 };
        self.span.0 + share * (self.span.1 - self.span.0)
    }

    /// The pixels at which it begins and ends.
    pub fn span(&self) -> (f64, f64) {
        self.span
    }

    /// Takes away labels that would run into the one before, if a label of one letter takes
    /// `letter` pixels in this direction.
    pub fn thinned(mut self, letter: f64) -> Self {
        let mut free = f64::NEG_INFINITY;
        for tick in &mut self.ticks {
            let Some(label) = &tick.label else { continue };
            let half = label.chars().count() as f64 * letter / 2.0;
            if tick.at - half < free {
                tick.label = None;
            } else {
                free = tick.at + half + letter;
            }
        }
        self
    }
}

impl Scale {
    /// How far along `value` lies, from an origin that does not matter.
    fn way(self, value: f64) -> f64 {
        match self {
            Self::Linear => value,
            Self::Log => value.max(f64::MIN_POSITIVE).log10(),
            Self::Nines => -(1.0 - value.min(1.0 - 1e-12)).log10(),
        }
    }
}

/// Round numbers, evenly apart, that begin at or below `from` and reach `to`; about `parts` of
/// them.
fn even_steps(from: f64, to: f64, parts: u32) -> Vec<f64> {
    let rough = (to - from) / f64::from(parts);
    let decade = 10_f64.powf(rough.log10().floor());
    let round = [1.0, 2.0, 2.5, 5.0, 10.0].map(|factor| factor * decade);
    let step = round.into_iter().find(|step| *step >= rough * 0.999).unwrap_or(rough);
    let first = (from / step).floor() as i64;
    let last = (to / step * 0.999_999).ceil() as i64;
    (first..=last).map(|at| at as f64 * step).collect()
}

/// 1, 2 and 5 of each power of ten within `domain`.
fn steps(domain: (f64, f64)) -> Vec<f64> {
    let first = domain.0.log10().floor() as i32;
    let last = domain.1.log10().ceil() as i32;
    let all = (first..=last).flat_map(|power| [1.0, 2.0, 5.0].map(|n| n * 10_f64.powi(power)));
    all.filter(|step| (domain.0 * 0.999..=domain.1 * 1.001).contains(step)).collect()
}

/// The greatest of 1, 2, 5, 10, … that is not above `value`.
fn step_below(value: f64) -> f64 {
    let decade = 10_f64.powf((value * 1.000_001).log10().floor());
    let below = [5.0, 2.0, 1.0].into_iter().find(|n| n * decade <= value * 1.000_001);
    below.unwrap_or(1.0) * decade
}

/// The least of 1, 2, 5, 10, … that is not below `value`.
fn step_above(value: f64) -> f64 {
    let decade = 10_f64.powf((value * 0.999_999).log10().floor());
    let above = [1.0, 2.0, 5.0].into_iter().find(|n| n * decade >= value * 0.999_999);
    above.unwrap_or(10.0) * decade
}

fn is_decade(value: f64) -> bool {
    (value.log10() - value.log10().round()).abs() < 1e-6
}

fn positive(value: f64) -> f64 {
    if value.is_finite() && value > 0.0 { value } else { 1.0 }
}

fn last(steps: &[f64]) -> f64 {
    steps.last().copied().unwrap_or(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(axis: &Axis) -> Vec<&str> {
        axis.ticks.iter().filter_map(|tick| tick.label.as_deref()).collect()
    }

    #[test]
    fn times_over_many_decades_are_labelled_at_powers_of_ten() {
        let axis = Axis::times("time", 12_000.0, 48_000_000.0, (100.0, 0.0));

        assert_eq!(labels(&axis), ["10 µs", "100 µs", "1 ms", "10 ms"]);
        assert_eq!(axis.place(10_000.0), 100.0);
        assert_eq!(axis.place(50_000_000.0), 0.0);
    }

    #[test]
    fn times_over_a_short_way_are_labelled_in_between() {
        let axis = Axis::times("time", 12_000.0, 180_000.0, (100.0, 0.0));

        assert_eq!(labels(&axis), ["10 µs", "20 µs", "50 µs", "100 µs", "200 µs"]);
    }

    #[test]
    fn equal_times_and_none_at_all_still_make_an_axis() {
        for (least, most) in [(0.0, 0.0), (5e3, 5e3), (f64::NAN, f64::NAN)] {
            let axis = Axis::times("time", least, most, (100.0, 0.0));

            assert!(labels(&axis).len() >= 2, "{least} to {most}: {axis:?}");
            assert!(axis.ticks.iter().all(|tick| (0.0..=100.0).contains(&tick.at)));
        }
    }

    #[test]
    fn amounts_begin_at_zero_and_end_at_a_round_number() {
        let axis = Axis::amounts("deliveries", 1_730_000.0, (100.0, 0.0));

        assert_eq!(labels(&axis), ["0", "500 k", "1 M", "1.5 M", "2 M"]);
        assert_eq!(axis.place(0.0), 100.0);
    }

    #[test]
    fn costs_begin_at_zero_and_end_at_a_round_time() {
        let axis = Axis::costs("CPU time", 71_000.0, (0.0, 100.0));

        assert_eq!(labels(&axis), ["0", "20 µs", "40 µs", "60 µs", "80 µs"]);
    }

    #[test]
    fn amounts_of_nothing_have_an_axis_all_the_same() {
        for most in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert!(labels(&Axis::amounts("none", most, (100.0, 0.0))).len() >= 2);
        }
    }

    #[test]
    fn each_nine_takes_as_much_room_as_the_one_before() {
        let axis = Axis::percentiles("share", 1_000_000, (0.0, 600.0));

        assert_eq!(labels(&axis), ["50", "90", "99", "99.9", "99.99", "99.999", "99.9999"]);
        for (nines, share) in [(1.0, 0.9), (2.0, 0.99), (3.0, 0.999), (5.0, 0.999_99)] {
            assert!((axis.place(share) - 100.0 * nines).abs() < 0.01);
        }
        assert!((axis.place(1.0) - 600.0).abs() < 0.01);
    }

    #[test]
    fn one_is_among_the_ratios_wherever_they_lie() {
        for (least, most) in [(1.05, 1.2), (0.4, 0.6), (1.0, 1.0), (1.1, 40.0), (0.01, 900.0)] {
            let axis = Axis::ratios("cost", least, most, (0.0, 300.0));

            assert!(labels(&axis).contains(&"1×"), "{least} to {most}: {:?}", labels(&axis));
            assert!((0.0..=300.0).contains(&axis.place(1.0)));
        }
    }

    #[test]
    fn labels_that_would_touch_are_left_out() {
        let axis = Axis::percentiles("share", 10_000_000, (0.0, 200.0)).thinned(7.0);

        let mut end = f64::NEG_INFINITY;
        for tick in &axis.ticks {
            if let Some(label) = &tick.label {
                let half = label.len() as f64 * 3.5;
                assert!(tick.at - half >= end, "{label} touches the label before");
                end = tick.at + half;
            }
        }
        assert!(labels(&axis).len() >= 3);
    }
}
