//! The plots of cost: one of a scenario's rounds, and one of all scenarios side by side.
//!
//! Each round is a dot, so that a reader sees how far they lie apart before believing a median.
//! With a floor, costs are shown as multiples of it, and it is the line at 1; without one they
//! are CPU time. Start reading at [`rounds`].

use maud::{Markup, html};

use crate::bench::report::axis::Axis;
use crate::bench::report::plot::{
    LETTER, Series, dot_at, level, level_span, picture, text, under, upright,
};
use crate::bench::results::{Results, Round, Scenario};
use crate::bench::summary::median;
use crate::bench::words;

/// Room above the first row and below the last one.
const TOP: f64 = 26.0;
const BOTTOM: f64 = 40.0;
/// The height of all rows in a plot is at most this, however many there are.
const MOST: f64 = 240.0;

/// One line of dots.
struct Row {
    name: String,
    dots: Vec<Dot>,
    median: Option<f64>,
}

struct Dot {
    value: f64,
    words: String,
}

/// The cost of each round of `scenario`, in the order of running; `None` if none is known.
pub fn rounds(scenario: &Scenario) -> Option<Markup> {
    let compared = scenario.rounds.iter().any(|round| ratio(round).is_some());
    let value = |round: &Round| if compared { ratio(round) } else { cost(round) };
    let rows: Vec<Row> = scenario
        .rounds
        .iter()
        .enumerate()
        .filter_map(|(at, round)| {
            let name = format!("round {}", at + 1);
            let value = value(round)?;
            let words = format!("{name}: {}", said(scenario, round));
            Some(Row { name, dots: vec![Dot { value, words }], median: None })
        })
        .collect();
    let middle = median(rows.iter().flat_map(|row| &row.dots).map(|dot| dot.value))?;
    let middle = scenario.cost_ratio.filter(|_| compared).unwrap_or(middle);
    let unit = words::unit(scenario.unit);
    let middle_said = if compared { words::ratio(middle) } else { words::time(middle) };

    Some(html! {
        figure.cost {
            figcaption {
                strong { "Cost of each round" }
                " CPU time of the server for one " (unit)
                @if compared { ", as a multiple of what it cost the floor in the same round." }
                @else { "." }
                " The median is " b { (middle_said) } "."
            }
            (plot(&rows, compared, Some(middle), &format!(
                "Cost of each of {}; the median is {middle_said}.",
                words::counted(rows.len() as u64, "round", "rounds")
            )))
        }
    })
}

/// The cost of all scenarios that have a floor; `None` if fewer than two have.
pub fn overview(results: &Results) -> Option<Markup> {
    let rows: Vec<Row> = results
        .scenarios
        .iter()
        .enumerate()
        .filter_map(|(at, scenario)| {
            let name = format!("{} {}", at + 1, scenario.name);
            let rounds = scenario.rounds.iter().enumerate();
            let dots: Vec<Dot> = rounds
                .filter_map(|(at, round)| {
                    let words = format!("{name}, round {}: {}", at + 1, said(scenario, round));
                    Some(Dot { value: ratio(round)?, words })
                })
                .collect();
            let middle = scenario.cost_ratio.or(median(dots.iter().map(|dot| dot.value)))?;
            (!dots.is_empty()).then_some(Row { name, dots, median: Some(middle) })
        })
        .collect();
    if rows.len() < 2 {
        return None;
    }
    let medians: Vec<String> = rows
        .iter()
        .filter_map(|row| Some(format!("{}: {}", row.name, words::ratio(row.median?))))
        .collect();

    Some(html! {
        figure.overview {
            figcaption {
                strong { "Cost as a multiple of the floor" }
                " CPU time of the server for the same work; each dot is a round, the upright mark "
                "their median."
            }
            (plot(&rows, true, None, &format!("Median costs, {}.", medians.join(", "))))
        }
    })
}

/// `rows` over one another, and `middle` as a line through all of them.
fn plot(rows: &[Row], ratios: bool, middle: Option<f64>, label: &str) -> Markup {
    let values = || rows.iter().flat_map(|row| &row.dots).map(|dot| dot.value).chain(middle);
    let least = values().fold(f64::INFINITY, f64::min);
    let most = values().fold(0.0, f64::max);
    let letters = rows.iter().map(|row| row.name.chars().count()).max().unwrap_or(0);
    let span = level_span(letters + 1);
    let axis = if ratios {
        Axis::ratios("times the floor's CPU", least, most, span)
    } else {
        Axis::costs("CPU time", most, span)
    };
    let axis = axis.thinned(LETTER);
    let origin = axis.place(if ratios { 1.0 } else { 0.0 });
    let step = (MOST / rows.len() as f64).min(22.0);
    let bottom = TOP + step * rows.len() as f64;
    // Names that would stand on one another are left out.
    let named = (14.0 / step).ceil().max(1.0) as usize;

    let content = html! {
        g class="grid" {
            @for tick in &axis.ticks { (upright(tick.at, TOP, bottom)) }
        }
        @for tick in &axis.ticks {
            @if let Some(label) = &tick.label { (under(tick.at, bottom, label)) }
        }
        g class="title" { (text(span.1, bottom + 34.0, "end", axis.title)) }
        g class={ "base" @if ratios { " floor" } } {
            (upright(origin, TOP - 4.0, bottom))
            @if ratios { (text(origin, TOP - 9.0, "middle", "floor")) }
        }
        @if let Some(middle) = middle {
            g class="median" {
                (upright(axis.place(middle), TOP - 4.0, bottom))
                (median_word(axis.place(middle), ratios.then_some(origin)))
            }
        }
        @for (at, row) in rows.iter().enumerate() {
            @let y = TOP + step * (at as f64 + 0.5);
            @if at % named == 0 { (text(span.0 - 8.0, y + 4.0, "end", &row.name)) }
            (marks(row, &axis, origin, y))
        }
    };
    picture(bottom + BOTTOM, label, &content)
}

/// The dots of a row at the height `y`, with a stem if it is one alone, and their median.
fn marks(row: &Row, axis: &Axis, origin: f64, y: f64) -> Markup {
    html! {
        @if let [dot] = row.dots.as_slice() {
            g class="stem" { (level(y, origin, axis.place(dot.value))) }
        }
        @for dot in &row.dots {
            (dot_at(Series::Server, axis.place(dot.value), y, &dot.words))
        }
        @if let Some(median) = row.median {
            g class="median" { (upright(axis.place(median), y - 9.0, y + 9.0)) }
        }
    }
}

/// The word over the median's line at `x`, beside the word over the floor's where both are near.
fn median_word(x: f64, floor: Option<f64>) -> Markup {
    let y = TOP - 9.0;
    match floor.filter(|floor| (x - floor).abs() < 7.0 * LETTER) {
        Some(floor) if x < floor => text(floor - 3.0 * LETTER, y, "end", "median"),
        Some(floor) => text(floor + 3.0 * LETTER, y, "start", "median"),
        None => text(x, y, "middle", "median"),
    }
}

fn cost(round: &Round) -> Option<f64> {
    round.server.cpu_ns.filter(|cost| cost.is_finite())
}

fn ratio(round: &Round) -> Option<f64> {
    let floor = round.floor.as_ref()?.cpu_ns.filter(|cost| *cost > 0.0)?;
    Some(cost(round)? / floor).filter(|ratio| ratio.is_finite())
}

/// What a round cost, in words.
fn said(scenario: &Scenario, round: &Round) -> String {
    let server = cost(round).map_or_else(|| words::NOTHING.to_owned(), words::time);
    let server = format!("{server} for each {}", words::unit(scenario.unit));
    match (ratio(round), round.floor.as_ref().and_then(|floor| floor.cpu_ns)) {
        (Some(ratio), Some(floor)) => {
            format!("{server}, {} of the floor's {}", words::ratio(ratio), words::time(floor))
        }
        _ => server,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::report::sample;

    #[test]
    fn costs_are_multiples_of_the_floor_where_there_is_one() {
        let with = rounds(&sample::scenario("fanout")).unwrap().into_string();
        let without = rounds(&sample::scenario("churn")).unwrap().into_string();

        assert!(with.contains("times the floor") && with.contains(">floor<"));
        assert!(without.contains("CPU time") && !without.contains("floor"));
    }

    #[test]
    fn unknown_costs_are_no_figure() {
        let mut scenario = sample::scenario("fanout");
        for round in &mut scenario.rounds {
            round.server.cpu_ns = None;
        }

        assert!(rounds(&scenario).is_none());
    }

    #[test]
    fn a_floor_that_cost_nothing_is_not_divided_by() {
        let mut scenario = sample::scenario("fanout");
        for round in &mut scenario.rounds {
            round.floor.as_mut().unwrap().cpu_ns = Some(0.0);
        }
        scenario.cost_ratio = None;

        let svg = rounds(&scenario).unwrap().into_string();

        assert!(!svg.contains("inf") && !svg.contains("NaN"));
    }

    #[test]
    fn many_rounds_do_not_make_an_endless_plot() {
        let mut scenario = sample::scenario("fanout");
        let round = scenario.rounds[0].clone();
        scenario.rounds = vec![round; 100];

        let svg = rounds(&scenario).unwrap().into_string();

        assert!(svg.contains("viewBox=\"0 0 460 306\""));
        assert!(svg.matches("</text>").count() < 70);
    }

    #[test]
    fn one_scenario_needs_no_overview() {
        let mut results = sample::results();
        assert!(overview(&results).is_some());

        results.scenarios.retain(|scenario| scenario.name == "topics");
        assert!(overview(&results).is_none());
    }
}
