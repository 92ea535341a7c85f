//! A scenario's section of the page: its figures beside the floor's, and its plots.
//!
//! What a scenario does not have is left out. Start reading at [`section`].

use maud::{Markup, html};

use crate::bench::report::{cost, latency, throughput};
use crate::bench::results::{Extra, Scenario, Unit};
use crate::bench::summary::{Side, Summary, Timed, Times};
use crate::bench::words;

/// A line of the table of figures.
struct Line {
    name: String,
    server: String,
    floor: Option<String>,
    ratio: Option<f64>,
}

/// The section of the scenario that ran as number `number`.
pub fn section(number: usize, scenario: &Scenario, summary: &Summary) -> Markup {
    let lines = lines(scenario, summary);
    let typical = summary.typical.unwrap_or(0);
    let rounds = scenario.rounds.len();
    let faults = summary.server.faults;
    let beside = [latency::figure(scenario, typical), throughput::figure(scenario, typical)];
    let beside: Vec<Markup> = beside.into_iter().flatten().collect();
    let below = cost::rounds(scenario);
    html! {
        section id=(anchor(number)) {
            h2 { span.number { (number) } " " (scenario.name) }
            p.lead { (scenario.title) }
            p.facts {
                (words::counted(scenario.sockets as u64, "socket", "sockets"))
                " · " (words::counted(rounds as u64, "round", "rounds"))
                @if summary.server.deliveries > 0 {
                    " · " (words::counted(summary.server.deliveries, "frame", "frames"))
                    " arrived"
                }
                " · faults: "
                span.good[faults.total() == 0].bad[faults.total() > 0] { (words::faults(&faults)) }
            }
            @if lines.is_empty() && beside.is_empty() && below.is_none() {
                p.note { "Nothing was measured." }
            }
            div.columns {
                div {
                    @if !lines.is_empty() { (table(&lines, summary.floor.is_some())) }
                    @if let Some(below) = &below { (below) }
                }
                div { @for figure in &beside { (figure) } }
            }
        }
    }
}

/// What a link to the section with this number names.
pub fn anchor(number: usize) -> String {
    format!("scenario-{number}")
}

fn table(lines: &[Line], compared: bool) -> Markup {
    html! {
        table.figures {
            thead {
                tr {
                    th scope="col" { span.unseen { "figure" } }
                    th scope="col" { "server" }
                    @if compared {
                        th scope="col" { "floor" }
                        th scope="col" { "ratio" }
                    }
                }
            }
            tbody {
                @for line in lines {
                    tr {
                        th scope="row" { (line.name) }
                        td { (line.server) }
                        @if compared {
                            td { (line.floor.as_deref().unwrap_or(words::NOTHING)) }
                            td { (line.ratio.map_or_else(|| words::NOTHING.to_owned(), words::ratio)) }
                        }
                    }
                }
            }
        }
    }
}

fn lines(scenario: &Scenario, summary: &Summary) -> Vec<Line> {
    let unit = scenario.unit;
    let one = words::unit(unit);
    let many = words::units(unit);
    let answer = match Timed::answer(unit) {
        Timed::Connect => "to ready",
        _ => "to 200",
    };
    let mut table = Lines { summary, lines: Vec::new() };

    // Medians of the rounds' ratios are worth more than the ratio of two medians: what ran right
    // after one another had the same machine.
    if table.add(&format!("CPU per {one}"), words::time, |side| side.cpu_ns) {
        table.correct(scenario.cost_ratio);
    }
    table.add(many, words::rate, |side| side.units_per_second);
    if unit != Unit::Delivery {
        table.add("deliveries", words::rate, |side| side.deliveries_per_second);
    }
    for (name, time) in PERCENTILES {
        let name = format!("to browser, {name}");
        if table.add(&name, words::time, |side| side.latency.map(time)) && name.ends_with("p99") {
            table.correct(scenario.p99_ratio);
        }
    }
    for (name, time) in PERCENTILES {
        table.add(&format!("{answer}, {name}"), words::time, |side| side.answer.map(time));
    }
    table.add("memory per socket", words::size, |side| side.per_socket_bytes);
    table.add("memory before", words::size, |side| side.memory_bytes.map(|both| both.0));
    table.add("memory after", words::size, |side| side.memory_bytes.map(|both| both.1));
    table.add_extra();
    table.lines
}

/// A table of figures that is being filled.
struct Lines<'a> {
    summary: &'a Summary,
    lines: Vec<Line>,
}

impl Lines<'_> {
    /// Adds a line, if the server has that figure, and says whether it has.
    fn add(
        &mut self,
        name: &str,
        word: fn(f64) -> String,
        figure: impl Fn(&Side) -> Option<f64>,
    ) -> bool {
        let Some(server) = figure(&self.summary.server) else {
            return false;
        };
        let floor = self.summary.floor.as_ref().and_then(figure);
        self.lines.push(Line {
            name: name.to_owned(),
            server: word(server),
            floor: floor.map(word),
            ratio: floor.filter(|floor| *floor > 0.0).map(|floor| server / floor),
        });
        true
    }

    /// Puts a better ratio, if there is one, into the line that was added last.
    fn correct(&mut self, ratio: Option<f64>) {
        if let (Some(line), Some(_)) = (self.lines.last_mut(), ratio) {
            line.ratio = ratio;
        }
    }

    fn add_extra(&mut self) {
        let floor = self.summary.floor.as_ref();
        for extra in &self.summary.server.extra {
            let same = |side: &&Extra| side.name == extra.name;
            let other = floor.and_then(|side| side.extra.iter().find(same));
            self.lines.push(Line {
                name: extra.name.clone(),
                server: words::extra(extra),
                floor: other.map(words::extra),
                ratio: None,
            });
        }
    }
}

/// Takes one percentile out of those of a scenario.
type TimeOf = fn(Times) -> f64;

/// The percentiles of a table, and where they stand.
const PERCENTILES: [(&str, TimeOf); 4] = [
    ("p50", |times| times.p50),
    ("p99", |times| times.p99),
    ("p99.9", |times| times.p999),
    ("longest", |times| times.max),
];
