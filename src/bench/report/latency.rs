//! The plot of latencies: how long the fastest half took, the slowest in a hundred, in a
//! thousand, and so on to the very slowest.
//!
//! The level axis gives each further nine the same room, so that the tail, which is what people
//! notice, is not pressed into the last pixel. Start reading at [`figure`].

use maud::{Markup, html};

use crate::bench::report::axis::Axis;
use crate::bench::report::plot::{Plot, Series, legend, level_span, upright_span};
use crate::bench::results::{Figures, Latency, Round, Scenario, Unit};
use crate::bench::summary::Timed;
use crate::bench::words;

const HEIGHT: f64 = 370.0;

/// Shares whose times are marked with a dot, and how a reader calls them.
const MARKED: &[(f64, &str)] = &[(0.5, "p50"), (0.99, "p99"), (0.999, "p99.9"), (1.0, "longest")];

/// The figure for `scenario`, with the round `typical` in front; `None` if nothing was timed.
pub fn figure(scenario: &Scenario, typical: usize) -> Option<Markup> {
    let front = curves(scenario.rounds.get(typical)?);
    if front.is_empty() {
        return None;
    }
    let others = scenario.rounds.iter().enumerate().filter(|(at, _)| *at != typical);
    // Three bundles of lines are one too many.
    let behind: Vec<(Series, &Latency)> = others
        .flat_map(|(_, round)| curves(round))
        .filter(|(series, _)| *series != Series::Answer)
        .collect();

    let delivered = scenario.rounds.iter().any(|round| delivery(&round.server).is_some());
    let name = |series| called(series, delivered, scenario.unit);
    let items: Vec<(Series, &str)> =
        front.iter().map(|(series, _)| (*series, name(*series))).collect();
    Some(html! {
        figure.latency {
            figcaption {
                strong { "Latency" }
                " The time that each share of all took at most; every step to the right leaves a "
                "tenth as many that took longer."
                @if !behind.is_empty() {
                    " Round " (typical + 1) " is a typical one, faint lines are the others."
                }
            }
            (legend(&items))
            (plot(&front, &behind, name))
        }
    })
}

/// What was timed in a round, as it is drawn from back to front. Answers have a curve of their
/// own only beside deliveries; where nothing is delivered, they are the server's.
fn curves(round: &Round) -> Vec<(Series, &Latency)> {
    let server = &round.server;
    let floor = round.floor.as_ref();
    let both = if delivery(server).is_some() {
        [
            (Series::Floor, floor.and_then(delivery)),
            (Series::Answer, answer(server)),
            (Series::Server, delivery(server)),
        ]
    } else {
        [
            (Series::Floor, floor.and_then(answer)),
            (Series::Answer, None),
            (Series::Server, answer(server)),
        ]
    };
    both.into_iter().filter_map(|(series, latency)| Some((series, latency?))).collect()
}

fn delivery(figures: &Figures) -> Option<&Latency> {
    figures.latency.as_ref().filter(|latency| latency.count > 0)
}

fn answer(figures: &Figures) -> Option<&Latency> {
    figures.answer.as_ref().filter(|latency| latency.count > 0)
}

/// What a curve is called in a legend.
fn called(series: Series, delivered: bool, unit: Unit) -> &'static str {
    match (series, Timed::answer(unit)) {
        (Series::Floor, _) => "floor",
        (Series::Server, _) if delivered => "server, publish to browser",
        (_, Timed::Connect) => "server, connect to ready",
        _ => "server, publish to 200",
    }
}

fn plot(
    front: &[(Series, &Latency)],
    behind: &[(Series, &Latency)],
    name: impl Fn(Series) -> &'static str,
) -> Markup {
    let curves = || front.iter().chain(behind).map(|(_, latency)| points(latency));
    let times: Vec<f64> = curves().flatten().map(|(_, time)| time).collect();
    let least = times.iter().copied().fold(f64::INFINITY, f64::min);
    let most = times.iter().copied().fold(0.0, f64::max);
    let count = front.iter().chain(behind).map(|(_, latency)| latency.count).max();
    let x = Axis::percentiles("% took at most that long", count.unwrap_or(0), level_span(7));
    let y = Axis::times("time", least, most, upright_span(HEIGHT));
    let mut plot = Plot::new(x, y, HEIGHT);
    for (series, latency) in behind {
        plot.curve(*series, true, &points(latency));
    }
    for (series, latency) in front {
        plot.curve(*series, false, &points(latency));
    }
    for (series, latency) in front {
        for (share, percentile) in MARKED {
            let time = time_at(latency, *share);
            let what = name(*series);
            let said = format!("{what}, {percentile}: {}", words::time(time));
            plot.dot(*series, (share.min(end(latency)), time), &said);
        }
    }
    let said: Vec<String> =
        front.iter().map(|(series, latency)| said(name(*series), latency)).collect();
    plot.finish(&format!("Latency by percentile. {}", said.join(" ")))
}

fn said(what: &str, latency: &Latency) -> String {
    let time = |time: u64| words::time(time as f64);
    format!(
        "{what}: p50 {}, p99 {}, p99.9 {}, longest {}.",
        time(latency.p50),
        time(latency.p99),
        time(latency.p999),
        time(latency.max)
    )
}

/// The curve as points of share and time. The last share is not 1, which has no place on the
/// axis, but what all but one are; without a curve it goes through the percentiles alone.
fn points(latency: &Latency) -> Vec<(f64, f64)> {
    let end = end(latency);
    let mut points: Vec<(f64, f64)> = if latency.curve.is_empty() {
        MARKED.iter().map(|(share, _)| (*share, time_at(latency, *share))).collect()
    } else {
        latency.curve.iter().map(|(share, time)| (*share, *time as f64)).collect()
    };
    for (share, _) in &mut points {
        *share = share.clamp(0.0, end);
    }
    points
}

fn end(latency: &Latency) -> f64 {
    1.0 - 1.0 / latency.count.max(2) as f64
}

fn time_at(latency: &Latency, share: f64) -> f64 {
    let time = match share {
        0.5 => latency.p50,
        0.99 => latency.p99,
        0.999 => latency.p999,
        _ => latency.max,
    };
    time as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::report::sample;

    #[test]
    fn percentiles_alone_make_a_curve_too() {
        let mut scenario = sample::scenario("fanout");
        for round in &mut scenario.rounds {
            round.server.latency.as_mut().unwrap().curve.clear();
        }

        let svg = figure(&scenario, 0).unwrap().into_string();

        assert!(svg.contains("curve server"));
    }

    #[test]
    fn nothing_timed_is_no_figure() {
        let mut scenario = sample::scenario("fanout");
        for round in &mut scenario.rounds {
            round.server.latency = Some(Latency::default());
            round.server.answer = None;
            round.floor = None;
        }

        assert!(figure(&scenario, 0).is_none());
        assert!(figure(&scenario, 99).is_none());
    }

    #[test]
    fn a_single_measurement_has_a_place() {
        let mut scenario = sample::scenario("fanout");
        let one = Latency { count: 1, p50: 5, p99: 5, p999: 5, max: 5, curve: vec![(1.0, 5)] };
        scenario.rounds.truncate(1);
        scenario.rounds[0].server.latency = Some(one);

        assert!(figure(&scenario, 0).unwrap().into_string().contains("longest: 5 ns"));
    }

    #[test]
    fn answers_are_shown_where_nothing_is_delivered() {
        let scenario = sample::scenario("publish");

        let svg = figure(&scenario, 0).unwrap().into_string();

        assert!(svg.contains("server, publish to 200"));
        assert!(!svg.contains("publish to browser"));
    }
}
