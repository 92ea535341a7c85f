//! A scenario's rounds in one line: medians of what varies, the longest of all, the sum of faults.
//!
//! The command line's table and the page of a run show the same figures, so both take them from
//! here. It knows nothing of how they look. Start reading at [`Summary::of`].

use crate::bench::results::{Extra, Faults, Figures, Latency, Results, Round, Scenario, Unit};

/// What a scenario comes to.
#[derive(Debug, Clone)]
pub struct Summary {
    /// The server over all rounds.
    pub server: Side,
    /// The floor over all rounds that have one.
    pub floor: Option<Side>,
    /// Which round stands for all: the one of the median cost. `None` without rounds.
    pub typical: Option<usize>,
}

/// One of the two, server or floor, over all rounds of a scenario.
#[derive(Debug, Clone, Default)]
pub struct Side {
    /// CPU for each unit, the median.
    pub cpu_ns: Option<f64>,
    /// Units in a second, the median.
    pub units_per_second: Option<f64>,
    /// Deliveries in a second, the median; `None` where nothing is delivered.
    pub deliveries_per_second: Option<f64>,
    /// Frames that arrived, in all rounds together.
    pub deliveries: u64,
    /// Publishes that were answered with 200, in all rounds together.
    pub publishes: u64,
    /// From publish to browser.
    pub latency: Option<Times>,
    /// From publish to PHP's answer, or from the first packet to `auth_ok`.
    pub answer: Option<Times>,
    /// Memory for each socket, the median.
    pub per_socket_bytes: Option<f64>,
    /// Memory before and after, the medians.
    pub memory_bytes: Option<(f64, f64)>,
    /// What was wrong, in all rounds together.
    pub faults: Faults,
    /// Further figures, the median of each, in the order of the first round that has it.
    pub extra: Vec<Extra>,
}

/// Times of one kind over all rounds, in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Times {
    /// The median of the rounds' p50.
    pub p50: f64,
    /// The median of the rounds' p99.
    pub p99: f64,
    /// The median of the rounds' p99.9.
    pub p999: f64,
    /// The longest of all.
    pub max: f64,
}

/// What the times of a scenario are, in its line of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Timed {
    /// From publish to browser.
    Delivery,
    /// From publish to PHP's answer.
    Answer,
    /// From the first packet to `auth_ok`.
    Connect,
}

impl Summary {
    /// What the rounds of `scenario` come to.
    pub fn of(scenario: &Scenario) -> Self {
        let servers: Vec<&Figures> = scenario.rounds.iter().map(|round| &round.server).collect();
        let floors: Vec<&Figures> =
            scenario.rounds.iter().filter_map(|round| round.floor.as_ref()).collect();
        Self {
            server: Side::of(&servers),
            floor: (!floors.is_empty()).then(|| Side::of(&floors)),
            typical: typical(&scenario.rounds),
        }
    }

    /// The server's times for a line of a table: of deliveries, or if there are none of answers.
    pub fn times(&self, unit: Unit) -> Option<(Timed, Times)> {
        let delivered = self.server.latency.map(|times| (Timed::Delivery, times));
        delivered.or(self.server.answer.map(|times| (Timed::answer(unit), times)))
    }
}

impl Timed {
    /// What the answers of a scenario are that counts by `unit`.
    pub fn answer(unit: Unit) -> Self {
        if unit == Unit::Connect { Self::Connect } else { Self::Answer }
    }
}

impl Side {
    fn of(rounds: &[&Figures]) -> Self {
        Self {
            cpu_ns: median_of(rounds, |figures| figures.cpu_ns),
            units_per_second: median_of(rounds, |figures| rate(figures.units, figures.seconds)),
            deliveries_per_second: median_of(rounds, |figures| {
                rate(figures.deliveries, figures.seconds).filter(|_| figures.deliveries > 0)
            }),
            deliveries: rounds.iter().map(|figures| figures.deliveries).sum(),
            publishes: rounds.iter().map(|figures| figures.publishes).sum(),
            latency: Times::of(rounds, |figures| figures.latency.as_ref()),
            answer: Times::of(rounds, |figures| figures.answer.as_ref()),
            per_socket_bytes: median_of(rounds, |figures| figures.memory?.per_socket_bytes),
            memory_bytes: median_of(rounds, |figures| Some(figures.memory?.before_bytes as f64))
                .zip(median_of(rounds, |figures| Some(figures.memory?.after_bytes as f64))),
            faults: sum(rounds.iter().map(|figures| figures.faults)),
            extra: extra(rounds),
        }
    }
}

impl Times {
    fn of(rounds: &[&Figures], latency: impl Fn(&Figures) -> Option<&Latency>) -> Option<Self> {
        let counted = |figures| latency(figures).filter(|latency| latency.count > 0);
        let all: Vec<&Latency> = rounds.iter().filter_map(|figures| counted(figures)).collect();
        Some(Self {
            p50: median(all.iter().map(|latency| latency.p50 as f64))?,
            p99: median(all.iter().map(|latency| latency.p99 as f64))?,
            p999: median(all.iter().map(|latency| latency.p999 as f64))?,
            max: all.iter().map(|latency| latency.max).max()? as f64,
        })
    }
}

/// Everything that was wrong with the servers of a run, and with the floors.
pub fn faults(results: &Results) -> (Faults, Faults) {
    let rounds = || results.scenarios.iter().flat_map(|scenario| &scenario.rounds);
    let floors = rounds().filter_map(|round| round.floor.as_ref());
    (sum(rounds().map(|round| round.server.faults)), sum(floors.map(|floor| floor.faults)))
}

/// The middle of `values`, between the two middle ones if there is no middle. What is no number
/// does not count.
pub fn median(values: impl IntoIterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<f64> = values.into_iter().filter(|value| value.is_finite()).collect();
    values.sort_by(f64::total_cmp);
    let upper = *values.get(values.len() / 2)?;
    let even = values.len().is_multiple_of(2);
    Some(if even { (values[values.len() / 2 - 1] + upper) / 2.0 } else { upper })
}

fn median_of(rounds: &[&Figures], figure: impl Fn(&Figures) -> Option<f64>) -> Option<f64> {
    median(rounds.iter().filter_map(|figures| figure(figures)))
}

fn rate(number: u64, seconds: f64) -> Option<f64> {
    (seconds > 0.0).then(|| number as f64 / seconds)
}

fn sum(all: impl Iterator<Item = Faults>) -> Faults {
    all.fold(Faults::default(), |sum, one| Faults {
        lost: sum.lost + one.lost,
        doubled: sum.doubled + one.doubled,
        altered: sum.altered + one.altered,
        disordered: sum.disordered + one.disordered,
        refused: sum.refused + one.refused,
        closed: sum.closed + one.closed,
        failed_publishes: sum.failed_publishes + one.failed_publishes,
    })
}

/// The median of each further figure, told apart by its name.
fn extra(rounds: &[&Figures]) -> Vec<Extra> {
    let mut medians: Vec<Extra> = Vec::new();
    for extra in rounds.iter().flat_map(|figures| &figures.extra) {
        if medians.iter().any(|known| known.name == extra.name) {
            continue;
        }
        let same = rounds.iter().flat_map(|figures| &figures.extra);
        let values = same.filter(|other| other.name == extra.name).map(|other| other.value);
        medians.push(Extra { value: median(values).unwrap_or(f64::NAN), ..extra.clone() });
    }
    medians
}

/// The round of the median cost; without costs that of the median p99, or else the first.
fn typical(rounds: &[Round]) -> Option<usize> {
    let p99 = |latency: &Latency| latency.p99 as f64;
    let by_cost = middle(rounds, |round| round.server.cpu_ns);
    let by_latency = || middle(rounds, |round| round.server.latency.as_ref().map(p99));
    let by_answer = || middle(rounds, |round| round.server.answer.as_ref().map(p99));
    by_cost.or_else(by_latency).or_else(by_answer).or((!rounds.is_empty()).then_some(0))
}

/// The place of the round whose figure is in the middle, the lower one of two.
fn middle(rounds: &[Round], figure: impl Fn(&Round) -> Option<f64>) -> Option<usize> {
    let figures = rounds.iter().enumerate().filter_map(|(at, round)| Some((figure(round)?, at)));
    let mut figures: Vec<(f64, usize)> = figures.filter(|(value, _)| value.is_finite()).collect();
    figures.sort_by(|one, other| one.0.total_cmp(&other.0));
    figures.get(figures.len().checked_sub(1)? / 2).map(|(_, at)| *at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round(cpu_ns: f64, p99: u64) -> Round {
        let latency = Latency { count: 10, p99, max: p99 * 2, ..Latency::default() };
        let server = Figures { cpu_ns: Some(cpu_ns), latency: Some(latency), ..Figures::default() };
        Round { server, floor: None }
    }

    fn scenario(rounds: Vec<Round>) -> Scenario {
        Scenario {
            name: "fanout".to_owned(),
            title: String::new(),
            unit: Unit::Delivery,
            sockets: 1,
            rounds,
            cost_ratio: None,
            p99_ratio: None,
        }
    }

    #[test]
    fn the_middle_of_an_even_number_lies_between_the_two_middle_ones() {
        assert_eq!(median([3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median([4.0, 1.0, 2.0, 3.0]), Some(2.5));
        assert_eq!(median([1.0, f64::NAN]), Some(1.0));
        assert_eq!(median([]), None);
    }

    #[test]
    fn rounds_come_to_medians_and_to_the_longest_of_all() {
        let rounds = vec![round(900.0, 50), round(700.0, 10), round(800.0, 20)];

        let summary = Summary::of(&scenario(rounds));

        assert_eq!(summary.server.cpu_ns, Some(800.0));
        let times = summary.server.latency.unwrap();
        assert_eq!((times.p99, times.max), (20.0, 100.0));
        assert_eq!(summary.typical, Some(2));
        assert!(summary.floor.is_none());
    }

    #[test]
    fn what_was_wrong_adds_up() {
        let mut rounds = vec![round(1.0, 1), round(1.0, 1)];
        rounds[0].server.faults.lost = 2;
        rounds[1].server.faults.lost = 3;
        rounds[1].server.faults.closed = 1;

        let faults = Summary::of(&scenario(rounds)).server.faults;

        assert_eq!(faults, Faults { lost: 5, closed: 1, ..Faults::default() });
    }

    #[test]
    fn further_figures_are_medians_by_name() {
        let mut rounds = vec![round(1.0, 1), round(1.0, 1), round(1.0, 1)];
        for (round, value) in rounds.iter_mut().zip([5.0, 1.0, 3.0]) {
            let extra = Extra { name: "pings".to_owned(), value, unit: "ms".to_owned() };
            round.server.extra.push(extra);
        }

        let extra = Summary::of(&scenario(rounds)).server.extra;

        assert_eq!(extra.len(), 1);
        assert_eq!(extra[0].value, 3.0);
    }

    #[test]
    fn a_scenario_without_deliveries_is_timed_by_its_answers() {
        let mut rounds = vec![round(1.0, 7)];
        rounds[0].server.answer = rounds[0].server.latency.take();

        let summary = Summary::of(&scenario(rounds));

        assert_eq!(summary.times(Unit::Publish).unwrap().0, Timed::Answer);
        assert_eq!(summary.times(Unit::Connect).unwrap().0, Timed::Connect);
    }

    #[test]
    fn no_rounds_come_to_nothing() {
        let summary = Summary::of(&scenario(Vec::new()));

        assert_eq!(summary.typical, None);
        assert_eq!(summary.server.cpu_ns, None);
        assert!(summary.times(Unit::Delivery).is_none());
    }
}
