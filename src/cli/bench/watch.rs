//! Shows how far a run is: a bar on a terminal, a line for each finished scenario everywhere; and
//! keeps what was found so far.
//!
//! Start reading at [`Watch`].

use std::io::{self, IsTerminal};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use parking_lot::Mutex;

use crate::bench::results::{Results, Scenario};
use crate::bench::rounds::{Stage, Watcher};
use crate::bench::summary::Summary;
use crate::bench::target::Kind;
use crate::bench::words;

/// Looks on for a person.
pub(super) struct Watch {
    /// What was found so far.
    results: Mutex<Results>,
    /// On a terminal.
    bar: Option<ProgressBar>,
}

impl Watch {
    /// Before anything was found.
    pub(super) fn new(results: Results) -> Self {
        let bar = io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
            // A template that is wrong is one of ours, and the usual bar does as well.
            if let Ok(style) = ProgressStyle::with_template("{prefix}  {wide_bar} {msg}") {
                bar.set_style(style.progress_chars("=> "));
            }
            bar
        });
        Self { results: Mutex::new(results), bar }
    }

    /// Takes the bar away; everything that was found.
    pub(super) fn finish(&self) -> Results {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        self.results.lock().clone()
    }
}

impl Watcher for Watch {
    fn begins(&self, stage: Stage<'_>) {
        let Some(bar) = &self.bar else { return };
        let Stage { scenario, step: (step, steps), round: (round, rounds), server } = stage;
        let server = match server {
            Kind::Floor => "floor",
            Kind::Worker => "worker",
        };
        bar.set_length(1);
        bar.set_position(0);
        bar.set_message("");
        bar.set_prefix(format!(
            "{step}/{steps} {}, round {round} of {rounds}, {server}",
            scenario.name
        ));
    }

    fn progress(&self, done: u64, of_all: u64, words: &str) {
        let Some(bar) = &self.bar else { return };
        bar.set_length(of_all.max(1));
        bar.set_position(done);
        bar.set_message(format!("{} {words}", words::count(done)));
    }

    fn so_far(&self, results: &Results, scenario_is_over: bool) {
        self.results.lock().clone_from(results);
        let Some(scenario) = results.scenarios.last().filter(|_| scenario_is_over) else { return };
        let line = line(scenario);
        match &self.bar {
            Some(bar) => bar.println(line),
            None => super::super::note(&line),
        }
    }
}

/// A finished scenario in one line.
fn line(scenario: &Scenario) -> String {
    let summary = Summary::of(scenario);
    let mut line = format!("{}: {}", scenario.name, scenario.title);
    if let Some(cpu_ns) = summary.server.cpu_ns {
        line += &format!("; {} a {}", words::time(cpu_ns), words::unit(scenario.unit));
    }
    if let Some(ratio) = scenario.cost_ratio {
        line += &format!(", {} the floor", words::ratio(ratio));
    }
    if let Some((_, times)) = summary.times(scenario.unit) {
        line += &format!("; p99 {}", words::time(times.p99));
    }
    line += &match summary.server.faults.total() {
        0 => "; no faults".to_owned(),
        _ => format!("; FAULTS: {}", words::faults(&summary.server.faults)),
    };
    line
}
