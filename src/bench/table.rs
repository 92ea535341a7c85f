//! What a run found, for a terminal: two lines for each scenario and its further figures, in 100
//! columns.
//!
//! Start reading at [`text`].

use std::fmt::Write;

use super::results::{Machine, Results, Scenario};
use super::summary::{self, Summary, Timed};
use super::words::{self, NOTHING};

/// Columns of a terminal that we fill.
const WIDTH: usize = 100;

/// Widths of the columns but the first.
const WIDTHS: [usize; 9] = [8, 9, 8, 9, 9, 9, 9, 11, 10];

const HEADER: [&str; 9] =
    ["CPU", "floor", "ratio", "p50", "p99", "p99.9", "max", "in 1 s", "a socket"];

/// The table, and under it whether anything was wrong.
pub fn text(results: &Results) -> String {
    let mut text = String::new();
    let Machine { processor, cores, memory_bytes, kernel, possible_sockets, .. } = &results.machine;
    let about = [
        processor.clone(),
        words::counted(*cores as u64, "core", "cores"),
        words::size(*memory_bytes as f64),
        kernel.clone(),
        format!("{} sockets possible", words::count(*possible_sockets)),
    ];
    append_wrapped(&mut text, "", &about, ", ");
    let threads = results.threads.map(|threads| {
        format!(" with {}", words::counted(threads as u64, "runtime thread", "runtime threads"))
    });
    let threads = threads.unwrap_or_default();
    line(&mut text, &format!("bench {}: {}{threads}", results.version, results.target));
    if !results.scenarios.is_empty() {
        line(&mut text, "");
        row(&mut text, "", &HEADER.map(str::to_owned), "faults");
    }
    for scenario in &results.scenarios {
        append(&mut text, scenario);
    }
    line(&mut text, "");
    line(&mut text, &verdict(results));
    text
}

/// Whether anything was wrong with what the servers did.
pub fn verdict(results: &Results) -> String {
    let (server, floor) = summary::faults(results);
    let rounds = || results.scenarios.iter().flat_map(|scenario| &scenario.rounds);
    let deliveries: u64 = rounds().map(|round| round.server.deliveries).sum();
    let publishes: u64 = rounds().map(|round| round.server.publishes).sum();
    let measured = format!(
        "{} of {}; all of it took {}",
        words::counted(deliveries, "delivery", "deliveries"),
        words::counted(publishes, "publish", "publishes"),
        words::duration(results.seconds)
    );
    if server.total() > 0 {
        return format!("FAULTS: {}\n  in {measured}", words::faults(&server));
    }
    if floor.total() > 0 {
        let faults = words::faults(&floor);
        return format!("FAULTS of the floor, so ratios mean little: {faults}\n  in {measured}");
    }
    format!("no faults: nothing lost, doubled, altered or out of order\n  in {measured}")
}

fn append(text: &mut String, scenario: &Scenario) {
    let Scenario { name, title, unit, cost_ratio, .. } = scenario;
    let summary = Summary::of(scenario);
    let server = &summary.server;
    line(text, "");
    line(text, &format!("{name}: {title}"));
    let or_nothing = |figure: Option<String>| figure.unwrap_or_else(|| NOTHING.to_owned());
    let floor = summary.floor.as_ref();
    let times = summary.times(*unit);
    let time = |figure: fn(&summary::Times) -> f64| {
        or_nothing(times.map(|(_, times)| words::time(figure(&times))))
    };
    let cells = [
        or_nothing(server.cpu_ns.map(words::time)),
        or_nothing(floor.and_then(|floor| floor.cpu_ns).map(words::time)),
        or_nothing(cost_ratio.map(words::ratio)),
        time(|times| times.p50),
        time(|times| times.p99),
        time(|times| times.p999),
        time(|times| times.max),
        or_nothing(server.units_per_second.map(words::number)),
        or_nothing(server.per_socket_bytes.map(words::size)),
    ];
    let faults = if server.faults.total() == 0 { "none" } else { "FAULTS" };
    row(text, words::unit(*unit), &cells, faults);
    let mut further = Vec::new();
    if server.faults.total() > 0 {
        further.push(format!("FAULTS: {}", words::faults(&server.faults)));
    }
    if let Some(floor) = floor.filter(|floor| floor.faults.total() > 0) {
        further.push(format!("FAULTS of the floor: {}", words::faults(&floor.faults)));
    }
    if let Some((Timed::Connect, _)) = times {
        further.push("times are from the first packet to auth_ok".to_owned());
    } else if let Some((Timed::Answer, _)) = times {
        further.push("times are until the answer".to_owned());
    } else if let Some(answer) = &server.answer {
        let (p50, p99) = (words::time(answer.p50), words::time(answer.p99));
        further.push(format!("answers: p50 {p50}, p99 {p99}"));
    }
    if let Some(bytes) = floor.and_then(|floor| floor.per_socket_bytes) {
        further.push(format!("a socket of the floor: {}", words::size(bytes)));
    }
    if let (Some((before, after)), true) = (server.memory_bytes, server.per_socket_bytes.is_none())
    {
        let (before, after) = (words::size(before), words::size(after));
        further.push(format!("memory: {before}, then {after}"));
    }
    further.extend(
        server.extra.iter().map(|extra| format!("{}: {}", extra.name, words::extra(extra))),
    );
    append_wrapped(text, "  ", &further, "; ");
}

/// A line of the table.
fn row(text: &mut String, first: &str, cells: &[String; 9], faults: &str) {
    let mut cells_text = format!("  {first:<8}");
    for (cell, width) in cells.iter().zip(WIDTHS) {
        // A String takes everything.
        let _ = write!(cells_text, " {cell:>width$}", width = width - 1);
    }
    line(text, &format!("{cells_text}  {faults}"));
}

/// `parts` with `between` between them, in as many lines as they need.
fn append_wrapped(text: &mut String, indent: &str, parts: &[String], between: &str) {
    let mut begun = String::new();
    for (at, part) in parts.iter().enumerate() {
        let between = if at + 1 == parts.len() { "" } else { between.trim_end() };
        let length = begun.chars().count() + 1 + part.chars().count() + between.len();
        if !begun.is_empty() && length > WIDTH {
            line(text, &begun);
            begun.clear();
        }
        begun.push_str(if begun.is_empty() { indent } else { " " });
        begun.push_str(part);
        begun.push_str(between);
    }
    if !begun.is_empty() {
        line(text, &begun);
    }
}

fn line(text: &mut String, line: &str) {
    text.push_str(line.trim_end());
    text.push('\n');
}

#[cfg(test)]
mod tests {
    use super::super::machine;
    use super::super::results::{Extra, Faults, Figures, Latency, Memory, Round, Unit};
    use super::*;

    fn figures(cpu_ns: f64) -> Figures {
        Figures {
            seconds: 2.0,
            units: 2_469_134,
            cpu_ns: Some(cpu_ns),
            publishes: 2_469,
            deliveries: 2_469_134,
            latency: Some(Latency {
                count: 2_469_134,
                p50: 812_345,
                p99: 1_234_567,
                p999: 22_345_678,
                max: 123_456_789,
                curve: Vec::new(),
            }),
            answer: Some(Latency { count: 1, p50: 70_000, p99: 90_000, ..Latency::default() }),
            memory: Some(Memory {
                before_bytes: 4 << 20,
                after_bytes: 5 << 20,
                per_socket_bytes: Some(1_048.6),
            }),
            extra: vec![Extra {
                name: "pings answered".to_owned(),
                value: 1.5,
                unit: "ms".to_owned(),
            }],
            ..Figures::default()
        }
    }

    fn results(faults: Faults) -> Results {
        let server = Figures { faults, ..figures(818.2) };
        Results {
            version: "0.4.0".to_owned(),
            began: String::new(),
            seconds: 5.0,
            machine: machine::examine(None),
            target: "a worker of its own".to_owned(),
            threads: Some(1),
            scenarios: vec![Scenario {
                name: "fanout".to_owned(),
                title: "each publish to 1,000 sockets, 100 bytes".to_owned(),
                unit: Unit::Delivery,
                sockets: 1_000,
                rounds: vec![Round { server, floor: Some(figures(780.0)) }],
                cost_ratio: Some(1.049),
                p99_ratio: None,
            }],
        }
    }

    #[test]
    fn a_scenario_is_a_title_and_a_line_of_figures_under_the_header() {
        let text = text(&results(Faults::default()));

        let expected = "
               CPU    floor   ratio      p50      p99    p99.9      max     in 1 s  a socket  faults

fanout: each publish to 1,000 sockets, 100 bytes
  delivery  818 ns   780 ns   1.05×   812 µs  1.23 ms  22.3 ms   123 ms  1,234,567  1.02 KiB  none
  answers: p50 70.0 µs, p99 90.0 µs; a socket of the floor: 1.02 KiB; pings answered: 1.50 ms

no faults: nothing lost, doubled, altered or out of order
  in 2,469,134 deliveries of 2,469 publishes; all of it took 5.00 s
";
        assert!(text.ends_with(expected), "{text}");
        assert!(text.contains("\nbench 0.4.0: a worker of its own with 1 runtime thread\n"));
    }

    #[test]
    fn faults_cannot_be_overlooked() {
        let text = text(&results(Faults { lost: 3, ..Faults::default() }));

        assert!(text.contains("1.02 KiB  FAULTS\n  FAULTS: 3 lost; answers"), "{text}");
        assert!(text.contains("\nFAULTS: 3 lost\n  in 2,469,134 deliveries of"), "{text}");
    }

    #[test]
    fn no_line_is_wider_than_the_terminal() {
        let mut results = results(Faults { lost: 123_456, altered: 1, ..Faults::default() });
        let extra = &mut results.scenarios[0].rounds[0].server.extra;
        extra.extend((0..20).map(|at| Extra {
            name: format!("figure {at}"),
            value: 1e6,
            unit: String::new(),
        }));

        for line in text(&results).lines() {
            assert!(line.chars().count() <= WIDTH, "{line}");
        }
    }

    #[test]
    fn nothing_measured_is_a_table_of_nothing() {
        let results = Results { scenarios: Vec::new(), ..results(Faults::default()) };

        assert!(!text(&results).contains("p99"));
    }
}
