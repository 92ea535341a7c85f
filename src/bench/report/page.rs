//! The page as a whole: what ran where, the verdict, the summary, and a section for each scenario.
//!
//! Start reading at [`page`], which is the page from top to bottom.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::bench::report::{cost, section};
use crate::bench::results::{Faults, Machine, Results, Scenario};
use crate::bench::summary::{self, Summary, Timed};
use crate::bench::words;

const STYLE: &str = include_str!("style.css");

/// What every cost is compared with, in a sentence.
const FLOOR: &str = "a program that does the same job and nothing else, on one thread: it builds \
                     each frame once and makes one send for every socket. What a server costs \
                     beyond that is what it costs to be a server.";

/// The page that shows `results`.
pub fn page(results: &Results) -> Markup {
    let summaries: Vec<(&Scenario, Summary)> =
        results.scenarios.iter().map(|scenario| (scenario, Summary::of(scenario))).collect();
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { "wavelog_worker bench, " (words::moment(&results.began)) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                header {
                    h1 { "wavelog_worker bench" }
                    (facts(results))
                }
                main {
                    (verdict(results, &summaries))
                    @if summaries.is_empty() {
                        p.note { "No scenario was run." }
                    } @else {
                        h2 { "Summary" }
                        p { "The " dfn { "floor" } " is " (FLOOR) }
                        p.note {
                            "Figures are medians of a scenario's rounds; the longest is that of all "
                            "rounds, faults are those of all together."
                        }
                        (table(&summaries))
                        @if let Some(overview) = cost::overview(results) { (overview) }
                        @for (at, (scenario, summary)) in summaries.iter().enumerate() {
                            (section::section(at + 1, scenario, summary))
                        }
                    }
                }
                footer { (reading()) }
            }
        }
    }
}

/// What ran, where and when.
fn facts(results: &Results) -> Markup {
    let Machine { processor, cores, memory_bytes, kernel, open_files, possible_sockets } =
        &results.machine;
    html! {
        dl.facts {
            div { dt { "Target" } dd {
                (results.target)
                @if let Some(threads) = results.threads {
                    ", " (words::counted(threads as u64, "thread", "threads"))
                }
            } }
            div { dt { "Bench" } dd { "version " (results.version) } }
            div { dt { "Began" } dd { (words::moment(&results.began)) } }
            div { dt { "Took" } dd { (words::duration(results.seconds)) } }
            div { dt { "Processor" } dd {
                (processor) ", " (words::counted(*cores as u64, "core", "cores"))
            } }
            div { dt { "Memory" } dd { (words::size(*memory_bytes as f64)) } }
            div { dt { "Kernel" } dd { (kernel) } }
            div { dt { "Open files" } dd {
                (words::count(*open_files)) ", enough for "
                (words::counted(*possible_sockets, "socket", "sockets"))
            } }
        }
    }
}

/// Whether what was measured is worth anything: nothing lost, nothing doubled, nothing altered.
fn verdict(results: &Results, summaries: &[(&Scenario, Summary)]) -> Markup {
    let (server, floor) = summary::faults(results);
    let frames: u64 = summaries.iter().map(|(_, summary)| summary.server.deliveries).sum();
    let publishes: u64 = summaries.iter().map(|(_, summary)| summary.server.publishes).sum();
    let sound = server.total() == 0 && frames > 0;
    let class = if server.total() > 0 {
        "bad"
    } else if sound {
        "good"
    } else {
        "unknown"
    };
    html! {
        div class={ "verdict " (class) } {
            p { strong { (sentence(&server, frames)) } }
            ul {
                li { b { (words::count(frames)) } " frames arrived" }
                li { b { (words::count(publishes)) } " publishes accepted" }
                @for (number, kind) in kinds(&server) {
                    li.wrong[number > 0] { b { (words::count(number)) } " " (kind) }
                }
            }
            @if floor.total() > 0 {
                p {
                    "The floor had faults of its own (" (words::faults(&floor))
                    "), so take comparisons with it with care."
                }
            }
        }
    }
}

fn sentence(faults: &Faults, frames: u64) -> String {
    let Faults { lost, doubled, altered, disordered, .. } = *faults;
    if lost + doubled + altered + disordered > 0 {
        "Not all frames arrived once, unaltered and in order.".to_owned()
    } else if faults.total() > 0 {
        "Every frame that was owed arrived once, unaltered and in order, but not everybody was \
         served."
            .to_owned()
    } else if frames > 0 {
        format!(
            "All {} arrived complete, unaltered and in order; none was lost, none came twice.",
            words::counted(frames, "frame", "frames")
        )
    } else {
        "No frame was delivered, so nothing is known of how frames arrive.".to_owned()
    }
}

fn kinds(faults: &Faults) -> [(u64, &'static str); 7] {
    [
        (faults.lost, "lost"),
        (faults.doubled, "doubled"),
        (faults.altered, "altered"),
        (faults.disordered, "out of order"),
        (faults.refused, "sockets refused"),
        (faults.closed, "sockets closed"),
        (faults.failed_publishes, "publishes failed"),
    ]
}

/// Every scenario in a line.
fn table(summaries: &[(&Scenario, Summary)]) -> Markup {
    html! {
        div.wide {
            table.summary {
                thead {
                    tr {
                        th scope="col" rowspan="2" { "scenario" }
                        th scope="colgroup" colspan="3" { "CPU for each unit" }
                        th scope="colgroup" colspan="4" { "latency" }
                        th scope="col" rowspan="2" { "memory" }
                        th scope="col" rowspan="2" { "throughput" }
                        th scope="col" rowspan="2" { "faults" }
                    }
                    tr {
                        @for name in ["server", "floor", "ratio", "p50", "p99", "p99.9", "longest"] {
                            th scope="col" { (name) }
                        }
                    }
                }
                tbody {
                    @for (at, (scenario, summary)) in summaries.iter().enumerate() {
                        (row(at + 1, scenario, summary))
                    }
                }
            }
        }
    }
}

fn row(number: usize, scenario: &Scenario, summary: &Summary) -> Markup {
    let server = &summary.server;
    let floor = summary.floor.as_ref().and_then(|floor| floor.cpu_ns);
    let timed = summary.times(scenario.unit);
    let times = timed.map(|(_, times)| [times.p50, times.p99, times.p999, times.max]);
    let what = timed.map(|(what, _)| match what {
        Timed::Delivery => "to browser",
        Timed::Answer => "to 200",
        Timed::Connect => "to ready",
    });
    let names = ["p50", "p99", "p99.9", "longest"];
    let faults = server.faults;
    let link = format!("#{}", section::anchor(number));
    html! {
        tr {
            th scope="row" {
                a href=(link) { (number) " " (scenario.name) }
                small { (scenario.title) }
            }
            (cell("CPU, server", server.cpu_ns.map(words::time),
                &format!("per {}", words::unit(scenario.unit))))
            (cell("CPU, floor", floor.map(words::time), ""))
            td.ratio.none[scenario.cost_ratio.is_none()] data-label="CPU, ratio" { (or_nothing(scenario.cost_ratio.map(words::ratio))) }
            @for (at, name) in names.into_iter().enumerate() {
                @let note = if at == 0 { what.unwrap_or_default() } else { "" };
                (cell(name, times.map(|times| words::time(times[at])), note))
            }
            (cell("memory", server.per_socket_bytes.map(words::size), "per socket"))
            (cell("throughput", server.units_per_second.map(words::rate),
                words::units(scenario.unit)))
            td.good[faults.total() == 0].bad[faults.total() > 0] data-label="faults" {
                (words::faults(&faults))
            }
        }
    }
}

fn cell(label: &str, word: Option<String>, note: &str) -> Markup {
    let note = if word.is_some() { note } else { "" };
    html! {
        td.none[word.is_none()] data-label=(label) {
            (or_nothing(word))
            @if !note.is_empty() { small { (note) } }
        }
    }
}

fn or_nothing(word: Option<String>) -> String {
    word.unwrap_or_else(|| words::NOTHING.to_owned())
}

/// How to read the page, at its end.
fn reading() -> Markup {
    html! {
        h2 { "How to read this" }
        dl {
            dt { "CPU" }
            dd { "Time that the server's process spent on all cores together, divided by what it "
                 "did in it. It leaves out what the bench itself spends." }
            dt { "ratio" }
            dd { "The server's CPU as a multiple of the floor's, each round with the floor right "
                 "before or after it; the median of the rounds." }
            dt { "latency" }
            dd { "From the moment at which a publish was planned, not from when it could be sent, "
                 "to its frame at a browser (“to browser”) or to the answer that PHP gets (“to "
                 "200”); “to ready” is from a socket's first packet to its authentication." }
            dt { "p99" }
            dd { "99 of 100 took at most so long; p50 and p99.9 alike." }
            dt { "faults" }
            dd { "Every frame carries a number and is compared byte by byte; what is missing, "
                 "comes twice, differs, or comes after a later one of the same publisher is "
                 "counted here." }
        }
    }
}
