//! The plot of throughput: deliveries in each second, from the start to the end of a round.
//!
//! A server that stalls or tires shows it here. Start reading at [`figure`].

use maud::{Markup, html};

use crate::bench::report::axis::Axis;
use crate::bench::report::plot::{Plot, Series, legend, level_span, upright_span};
use crate::bench::results::{Figures, Scenario};
use crate::bench::words;

const HEIGHT: f64 = 210.0;

/// What one place in a timeline stands for, in seconds.
const STEP: f64 = 0.1;

/// More points than this are not seen apart; neighbours are put together.
const POINTS: usize = 200;

/// The figure for one round of `scenario`; `None` if it delivered nothing.
pub fn figure(scenario: &Scenario, typical: usize) -> Option<Markup> {
    let round = scenario.rounds.get(typical)?;
    let server = points(&round.server);
    if server.iter().all(|(_, rate)| *rate == 0.0) {
        return None;
    }
    let floor = round.floor.as_ref().map(points).filter(|points| !points.is_empty());
    let all = || server.iter().chain(floor.iter().flatten());
    let highest = all().map(|(_, rate)| *rate).fold(0.0, f64::max);
    let longest = all().map(|(second, _)| *second).fold(0.0, f64::max);

    let x = Axis::seconds("seconds", longest, level_span(7));
    let y = Axis::amounts("deliveries per second", highest, upright_span(HEIGHT));
    let mut plot = Plot::new(x, y, HEIGHT);
    plot.area(Series::Server, &server);
    let mut items = Vec::new();
    if let Some(floor) = &floor {
        plot.curve(Series::Floor, false, floor);
        items.push((Series::Floor, "floor"));
    }
    plot.curve(Series::Server, false, &server);
    items.push((Series::Server, "server"));

    let said = format!(
        "Deliveries per second over {}. The server's highest was {}.",
        words::duration(longest),
        words::rate(server.iter().map(|(_, rate)| *rate).fold(0.0, f64::max))
    );
    Some(html! {
        figure.throughput {
            figcaption {
                strong { "Throughput" }
                " Frames that arrived at browsers, over the time"
                @if scenario.rounds.len() > 1 { " of round " (typical + 1) }
                "."
            }
            (legend(&items))
            (plot.finish(&said))
        }
    })
}

/// Seconds and deliveries in a second, as corners of steps. The last step ends when measuring
/// ended; if that leaves less than half of it, it says too little and is left out.
fn points(figures: &Figures) -> Vec<(f64, f64)> {
    let timeline = &figures.timeline;
    let whole = timeline.len().saturating_sub(1) as f64 * STEP;
    let rest = figures.seconds - whole;
    let last = if rest > 0.0 && rest < STEP { rest } else { STEP };
    let shown = if last < STEP / 2.0 && timeline.len() > 1 {
        &timeline[..timeline.len() - 1]
    } else {
        &timeline[..]
    };
    let together = shown.len().div_ceil(POINTS).max(1);
    let mut points = Vec::new();
    let mut from = 0.0;
    for chunk in shown.chunks(together) {
        let ends_it = points.len() / 2 == shown.len().div_ceil(together) - 1;
        let cut = if ends_it && shown.len() == timeline.len() { STEP - last } else { 0.0 };
        let to = from + chunk.len() as f64 * STEP - cut;
        let rate = chunk.iter().sum::<u64>() as f64 / (to - from);
        points.extend([(from, rate), (to, rate)]);
        from = to;
    }
    points
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::report::sample;

    fn figures(seconds: f64, timeline: Vec<u64>) -> Figures {
        Figures { seconds, timeline, ..Figures::default() }
    }

    fn near(points: &[(f64, f64)], expected: &[(f64, f64)]) -> bool {
        let close = |one: f64, other: f64| (one - other).abs() < 1e-6;
        let same = points.iter().zip(expected).all(|(p, e)| close(p.0, e.0) && close(p.1, e.1));
        same && points.len() == expected.len()
    }

    #[test]
    fn a_last_step_that_was_cut_short_counts_for_its_time() {
        let found = points(&figures(0.28, vec![100, 100, 80]));

        let expected = [
            (0.0, 1000.0),
            (0.1, 1000.0),
            (0.1, 1000.0),
            (0.2, 1000.0),
            (0.2, 1000.0),
            (0.28, 1000.0),
        ];
        assert!(near(&found, &expected), "{found:?}");
    }

    #[test]
    fn a_last_step_that_hardly_began_is_left_out() {
        let found = points(&figures(0.21, vec![100, 100, 1]));

        assert!(near(&found[2..], &[(0.1, 1000.0), (0.2, 1000.0)]), "{found:?}");
    }

    #[test]
    fn many_steps_are_put_together() {
        let found = points(&figures(3600.0, vec![7; 36_000]));

        assert!(found.len() <= 2 * POINTS);
        assert!(found.iter().all(|(_, rate)| (rate - 70.0).abs() < 1e-6));
    }

    #[test]
    fn an_empty_timeline_is_no_figure() {
        let mut scenario = sample::scenario("fanout");
        for timeline in [vec![], vec![0, 0]] {
            scenario.rounds[0].server.timeline = timeline;

            assert!(figure(&scenario, 0).is_none());
        }
    }
}
