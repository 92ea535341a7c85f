//! The order of a run: each scenario in rounds, each round with fresh servers, the floor now
//! before and now after the worker, so that a machine that grows warm or busy favours neither.
//!
//! It knows nothing of what a scenario does (`scenario`), or of who looks on. Start reading at
//! [`run`].

use std::net::SocketAddr;

use jiff::Timestamp;
use tokio::time::Instant;

use super::plan::Step;
use super::results::{Figures, Latency, Machine, Results, Round, Scenario};
use super::scenario::{self, Load, Name};
use super::summary::median;
use super::target::{Kind, Servers, Target};
use crate::process::Process;
use crate::secret::Secret;
use crate::status::VERSION;

/// What is to be run.
#[derive(Debug)]
pub struct Options {
    /// The scenarios, one after the other.
    pub steps: Vec<Step>,
    /// How often each is measured.
    pub rounds: usize,
    /// How servers of our own are started.
    pub servers: Servers,
    /// The worker to measure, if it is not our own.
    pub running: Option<Running>,
    /// What it runs on.
    pub machine: Machine,
}

/// A worker that runs already.
#[derive(Debug, Clone)]
pub struct Running {
    /// Where browsers connect.
    pub ws: SocketAddr,
    /// Where PHP posts.
    pub internal: SocketAddr,
    /// Its secret.
    pub secret: Secret,
    /// Its process, if that was said.
    pub pid: Option<u32>,
    /// What it says of itself: `wavelog_worker (Rust) 0.4.0`.
    pub name: String,
}

/// Where a run is.
#[derive(Debug, Clone, Copy)]
pub struct Stage<'a> {
    /// The scenario's name and title.
    pub scenario: &'a Scenario,
    /// Which scenario of how many, counted from 1.
    pub step: (usize, usize),
    /// Which round of how many, counted from 1.
    pub round: (usize, usize),
    /// Which of the two servers.
    pub server: Kind,
}

/// Looks on. Called from the thread that measures.
pub trait Watcher {
    /// A server is measured from now on.
    fn begins(&self, stage: Stage<'_>);
    /// It is so far with that: `done` of `of_all`, and `words` say of what.
    fn progress(&self, done: u64, of_all: u64, words: &str);
    /// A round is over, and `results` is everything that was found so far. The last of its
    /// scenarios has all its rounds if `scenario_is_over`.
    fn so_far(&self, results: &Results, scenario_is_over: bool);
}

/// Runs what `options` say; everything that is found is told to `watcher`, so that nothing is
/// gone if it ends early.
///
/// # Errors
///
/// One line that says which scenario could not be measured, and why.
pub fn run(options: &Options, watcher: &dyn Watcher) -> Result<Results, String> {
    run_with(options, watcher, &|server, name, load| {
        let target = match server {
            Kind::Floor => options.servers.floor()?,
            Kind::Worker => options.worker()?,
        };
        let progress = |done, of_all, words: &str| watcher.progress(done, of_all, words);
        scenario::measure(name, load, &target, &progress)
    })
}

/// Measures a fresh server once.
type Measure<'a> = dyn Fn(Kind, Name, &Load) -> Result<Figures, String> + 'a;

fn run_with(
    options: &Options,
    watcher: &dyn Watcher,
    measure: &Measure<'_>,
) -> Result<Results, String> {
    let began = Instant::now();
    let mut results = options.nothing_yet();
    for (at, step) in options.steps.iter().enumerate() {
        results.scenarios.push(step.without_rounds());
        for round in 0..options.rounds {
            let measured = |server, scenario: &Scenario| {
                let (step_of, round_of) =
                    ((at + 1, options.steps.len()), (round + 1, options.rounds));
                watcher.begins(Stage { scenario, step: step_of, round: round_of, server });
                let figures = measure(server, step.name, &step.load);
                figures.map_err(|error| format!("{}: {error}", step.name.as_str()))
            };
            let Some(scenario) = results.scenarios.last_mut() else { break };
            let found = if !options.has_floor(step.name) {
                Round { server: measured(Kind::Worker, scenario)?, floor: None }
            } else if round % 2 == 0 {
                let floor = Some(measured(Kind::Floor, scenario)?);
                Round { server: measured(Kind::Worker, scenario)?, floor }
            } else {
                let server = measured(Kind::Worker, scenario)?;
                Round { server, floor: Some(measured(Kind::Floor, scenario)?) }
            };
            scenario.rounds.push(found);
            compare(scenario);
            results.seconds = began.elapsed().as_secs_f64();
            watcher.so_far(&results, round + 1 == options.rounds);
        }
    }
    Ok(results)
}

impl Running {
    /// Its process, if it is on this machine and known.
    pub fn process(&self) -> Option<Process> {
        self.target().process
    }

    fn target(&self) -> Target {
        Target::running(self.ws, self.internal, self.secret.clone(), self.pid)
    }
}

impl Options {
    /// The document before anything was measured.
    pub fn nothing_yet(&self) -> Results {
        let target = match &self.running {
            None => "a worker of its own".to_owned(),
            Some(Running { ws, name, .. }) => format!("{name} at ws://{ws}"),
        };
        Results {
            version: VERSION.to_owned(),
            began: Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
            seconds: 0.0,
            machine: self.machine.clone(),
            target,
            threads: self.servers.threads,
            scenarios: Vec::new(),
        }
    }

    fn worker(&self) -> Result<Target, String> {
        match &self.running {
            None => self.servers.worker(),
            Some(running) => Ok(running.target()),
        }
    }

    /// A floor here says nothing about a worker on another machine.
    fn has_floor(&self, name: Name) -> bool {
        let is_here = |running: &Running| running.ws.ip().to_canonical().is_loopback();
        name.has_floor() && self.running.as_ref().is_none_or(is_here)
    }
}

/// Sets the ratios of `scenario`: each the median over its rounds, for the two of a round ran
/// right after each other.
fn compare(scenario: &mut Scenario) {
    let ratio = |figure: fn(&Figures) -> Option<f64>| {
        median(scenario.rounds.iter().filter_map(|round| {
            let (server, floor) = (figure(&round.server)?, figure(round.floor.as_ref()?)?);
            (floor > 0.0).then(|| server / floor)
        }))
    };
    let p99 = |latency: &Option<Latency>| latency.as_ref().map(|latency| latency.p99 as f64);
    scenario.cost_ratio = ratio(|figures| figures.cpu_ns);
    scenario.p99_ratio = median(scenario.rounds.iter().filter_map(|round| {
        let floor = round.floor.as_ref()?;
        // Of deliveries; of answers where nothing is delivered.
        let pair = p99(&round.server.latency).zip(p99(&floor.latency));
        let (server, floor) = pair.or(p99(&round.server.answer).zip(p99(&floor.answer)))?;
        (floor > 0.0).then(|| server / floor)
    }));
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;
    use crate::bench::machine;

    /// Writes down what it is told.
    #[derive(Default)]
    struct Diary(RefCell<Vec<String>>);

    impl Watcher for Diary {
        fn begins(&self, stage: Stage<'_>) {
            let Stage { scenario, step, round, server } = stage;
            let line = format!("{} {step:?} {round:?} {server:?}", scenario.name);
            self.0.borrow_mut().push(line);
        }

        fn progress(&self, _done: u64, _of_all: u64, _words: &str) {}

        fn so_far(&self, results: &Results, scenario_is_over: bool) {
            let rounds = results.scenarios.last().unwrap().rounds.len();
            self.0.borrow_mut().push(format!("so far {rounds} {scenario_is_over}"));
        }
    }

    fn options(names: &[Name], rounds: usize) -> Options {
        let steps = names.iter().map(|&name| Step { name, load: Load::usual(name) }).collect();
        let servers = Servers::usual().unwrap();
        Options { steps, rounds, servers, running: None, machine: machine::examine(None) }
    }

    fn costing(cpu_ns: f64) -> Figures {
        Figures { cpu_ns: Some(cpu_ns), ..Figures::default() }
    }

    #[test]
    fn floor_and_worker_take_turns_in_being_first() {
        let diary = Diary::default();

        let options = options(&[Name::Fanout, Name::Slow], 2);
        let results = run_with(&options, &diary, &|_, _, _| Ok(costing(1.0))).unwrap();

        assert_eq!(
            *diary.0.borrow(),
            [
                "fanout (1, 2) (1, 2) Floor",
                "fanout (1, 2) (1, 2) Worker",
                "so far 1 false",
                "fanout (1, 2) (2, 2) Worker",
                "fanout (1, 2) (2, 2) Floor",
                "so far 2 true",
                "slow (2, 2) (1, 2) Worker",
                "so far 1 false",
                "slow (2, 2) (2, 2) Worker",
                "so far 2 true",
            ]
        );
        assert_eq!(results.scenarios[0].cost_ratio, Some(1.0));
        assert_eq!(results.scenarios[1].cost_ratio, None, "there is no floor for it");
    }

    #[test]
    fn a_ratio_is_the_median_of_what_the_pairs_say() {
        // The second round is disturbed, and both of it are; the third is the worker's alone.
        let costs = RefCell::new(vec![100.0, 110.0, 240.0, 200.0, 100.0, 300.0].into_iter());

        let options = options(&[Name::Publish], 3);
        let next = |_, _, _: &Load| Ok(costing(costs.borrow_mut().next().unwrap()));
        let results = run_with(&options, &Diary::default(), &next).unwrap();

        assert_eq!(results.scenarios[0].cost_ratio, Some(1.2));
    }

    #[test]
    fn what_cannot_be_measured_is_named_and_the_rest_was_told() {
        let diary = Diary::default();

        let options = options(&[Name::Churn, Name::Slow], 1);
        let outcome = run_with(&options, &diary, &|_, name, _| match name {
            Name::Churn => Ok(costing(1.0)),
            _ => Err("the server ended".to_owned()),
        });

        assert_eq!(outcome.unwrap_err(), "slow: the server ended");
        assert!(diary.0.borrow().contains(&"so far 1 true".to_owned()));
    }

    #[test]
    fn a_worker_elsewhere_is_not_compared_with_a_floor_here() {
        let running = |ws: &str| Running {
            ws: ws.parse().unwrap(),
            internal: ws.parse().unwrap(),
            secret: Secret::new("-".repeat(32)).unwrap(),
            pid: None,
            name: String::new(),
        };
        let with = |ws| Options { running: Some(running(ws)), ..options(&[], 1) };

        assert!(with("127.0.0.1:9000").has_floor(Name::Fanout));
        assert!(!with("192.0.2.1:9000").has_floor(Name::Fanout));
        assert!(!options(&[], 1).has_floor(Name::Churn));
    }
}
