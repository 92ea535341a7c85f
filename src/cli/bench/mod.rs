//! `bench`: measures what this machine carries, with a worker of its own or a running one.
//!
//! Start reading at [`bench()`]; `running` finds a worker that runs, `watch` shows how far it is.

mod running;
mod watch;

use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::builder::PossibleValuesParser;
use clap::{Args, Subcommand};
use tokio::task::spawn_blocking;

use self::running::RunningArgs;
use self::watch::Watch;
use super::serve;
use crate::bench::plan::{self, Choice, Sizes};
use crate::bench::results::Results;
use crate::bench::rounds::{self, Options, Running};
use crate::bench::scenario::{Load, Name};
use crate::bench::target::{Children, Servers};
use crate::bench::{floor, machine, report, summary, table, words};
use crate::config::Env;

/// All scenarios, with several sizes.
const ALL: &str = "all";

const MIB: f64 = 1_048_576.0;

/// Longest that a part of a run may be asked to take, in seconds.
const LONGEST_SECS: f64 = 3_600.0;

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, disable_help_subcommand = true)]
pub(super) struct BenchArgs {
    #[command(subcommand)]
    command: Option<BenchCommand>,
    /// Any of idle, fanout, burst, topics, publish, churn, slow, neighbours; or all.
    #[arg(value_name = "SCENARIO", value_parser = scenarios(), hide_possible_values = true)]
    scenarios: Vec<String>,
    /// Small sizes: a look in 15 seconds.
    #[arg(long)]
    quick: bool,
    /// How often each is measured; with --quick, once.
    #[arg(
        long,
        value_name = "N",
        value_parser = number(1, 100),
        default_value = "3",
        default_value_if("quick", "true", "1")
    )]
    rounds: u64,
    /// Print everything that was found as JSON.
    #[arg(long)]
    json: bool,
    /// Write a page with charts.
    #[arg(long, value_name = "FILE.html")]
    report: Option<PathBuf>,
    /// Fail if the server's memory grows by more MiB than this in a round.
    #[arg(long, value_name = "MIB", value_parser = above_zero)]
    max_growth: Option<f64>,
    #[command(flatten)]
    own: OwnArgs,
    #[command(flatten)]
    running: RunningArgs,
    #[command(flatten)]
    sizes: SizeArgs,
}

#[derive(Debug, Subcommand)]
enum BenchCommand {
    /// Run the floor alone, the least that a server can do: for comparing by other means.
    #[command(
        hide = true,
        after_help = "Example:\n  wavelog_worker bench floor --ws-port 9100 --internal-port 9101\n\nA socket is subscribed from the answer to its upgrade; there are no tokens. Ctrl-C ends it."
    )]
    Floor {
        /// Port for browsers; 0 is any free one.
        #[arg(long, value_name = "PORT", default_value = "0")]
        ws_port: u16,
        /// Port for publishes; 0 is any free one.
        #[arg(long, value_name = "PORT", default_value = "0")]
        internal_port: u16,
    },
}

/// How a worker of our own is started.
#[derive(Debug, Args)]
struct OwnArgs {
    /// Runtime threads of a worker of its own; else one for each core.
    #[arg(long, value_name = "N", conflicts_with = "ws", value_parser = number(1, 512))]
    threads: Option<u64>,
    /// Cores for a worker of its own, such as 0 or 0-1,3.
    #[arg(long, value_name = "LIST", conflicts_with = "ws", value_parser = cores)]
    cores: Option<Cores>,
}

/// Sizes instead of the usual ones.
#[derive(Debug, Args)]
#[command(next_help_heading = "Sizes, where a scenario has them")]
struct SizeArgs {
    /// Sockets in all.
    #[arg(long, value_name = "N", value_parser = number(1, 1_000_000))]
    sockets: Option<u64>,
    /// Topics to publish to.
    #[arg(long, value_name = "N", value_parser = number(1, Load::MOST_TOPICS as u64))]
    topics: Option<u64>,
    /// Bytes of a payload.
    #[arg(long, value_name = "BYTES", value_parser = number(Load::LEAST_PAYLOAD_BYTES as u64, Load::MOST_PAYLOAD_BYTES as u64))]
    payload: Option<u64>,
    /// Connections that publish at the same time.
    #[arg(long, value_name = "N", value_parser = number(1, Load::MOST_CONNECTIONS as u64))]
    connections: Option<u64>,
    /// Publishes in all, however long they take.
    #[arg(long, value_name = "N", value_parser = number(1, 1_000_000_000))]
    publishes: Option<u64>,
    /// Publishes in a second, at planned moments; else as fast as can be.
    #[arg(long, value_name = "N", value_parser = above_zero)]
    rate: Option<f64>,
    /// How long to publish, in seconds.
    #[arg(long, value_name = "S", value_parser = seconds, conflicts_with = "publishes")]
    seconds: Option<f64>,
    /// Handshakes at the same time.
    #[arg(long, value_name = "N", value_parser = number(1, 100_000))]
    at_once: Option<u64>,
    /// Sockets that come and go in `churn`.
    #[arg(long, value_name = "N", value_parser = number(1, 1_000_000_000))]
    cycles: Option<u64>,
}

/// Numbers of cores.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Cores(Vec<usize>);

/// How a run ended.
enum End {
    /// All was measured.
    Done,
    /// By a signal.
    Interrupted,
    /// For this reason.
    Failed(String),
}

/// Measures, prints what was found, and returns the exit code: 1 if anything was wrong with what
/// a server did, or if the run was cut short.
pub(super) fn bench(args: BenchArgs, path: Option<&Path>, env: Env<'_>) -> Result<u8, String> {
    if let Some(BenchCommand::Floor { ws_port, internal_port }) = args.command {
        return floor::run(ws_port, internal_port).map(super::done);
    }
    if let Some(report) = &args.report {
        // Now, not after minutes.
        let opened = OpenOptions::new().append(true).create(true).open(report);
        opened.map_err(|error| cannot_write(report, &error))?;
    }
    let (json, report, max_growth) = (args.json, args.report.clone(), args.max_growth);
    let options = args.options(path, env)?;
    let children = options.servers.children.clone();
    let watch = Arc::new(Watch::new(options.nothing_yet()));
    let end = super::block_on(run(options, Arc::clone(&watch)))?;
    // Before anything is printed, for whoever waits for the end of the output.
    children.end();
    let results = watch.finish();
    let measured = results.scenarios.iter().any(|scenario| !scenario.rounds.is_empty());
    if measured {
        show(&results, json, report.as_deref())?;
    }
    match end {
        End::Done => match max_growth.and_then(|mib| overgrown(&results, mib * MIB)) {
            Some(message) => Err(message),
            None => Ok(exit_code(&results)),
        },
        End::Interrupted if measured => {
            Err("interrupted: this is what was measured before".to_owned())
        }
        End::Interrupted => Err("interrupted before anything was measured".to_owned()),
        End::Failed(message) => Err(message),
    }
}

/// Measures until all is done or a signal comes.
async fn run(options: Options, watch: Arc<Watch>) -> End {
    let told = match serve::end_signal(&serve::TERMINAL_GONE) {
        Ok(told) => told,
        Err(message) => return End::Failed(message),
    };
    let measuring = spawn_blocking(move || rounds::run(&options, watch.as_ref()));
    tokio::select! {
        // Whatever it is in the midst of is ended with its server, and not waited for.
        () = told.cancelled() => End::Interrupted,
        outcome = measuring => match outcome {
            Ok(Ok(_)) => End::Done,
            Ok(Err(message)) => End::Failed(message),
            Err(error) => End::Failed(format!("the bench itself failed: {error}")),
        },
    }
}

fn show(results: &Results, json: bool, report: Option<&Path>) -> Result<(), String> {
    if json {
        let document = serde_json::to_string_pretty(results)
            .map_err(|error| format!("what was found cannot be written as JSON: {error}"))?;
        super::print(&(document + "\n"))?;
    } else {
        super::print(&table::text(results))?;
    }
    if let Some(path) = report {
        let written = fs::write(path, report::html(results));
        written.map_err(|error| cannot_write(path, &error))?;
        super::note(&format!("the page is in {}", path.display()));
    }
    Ok(())
}

fn exit_code(results: &Results) -> u8 {
    let (server, floor) = summary::faults(results);
    u8::from(server.total() + floor.total() > 0)
}

/// What to say if the memory of a server has grown by more than `most_bytes` in a round.
fn overgrown(results: &Results, most_bytes: f64) -> Option<String> {
    results.scenarios.iter().find_map(|scenario| {
        let grown = scenario.rounds.iter().filter_map(|round| {
            let memory = round.server.memory?;
            Some(memory.after_bytes as f64 - memory.before_bytes as f64)
        });
        let grown = grown.max_by(f64::total_cmp).filter(|grown| *grown > most_bytes)?;
        Some(format!(
            "{}: the server's memory grew by {}, and --max-growth is {}: if it grows again in a longer run, it leaks",
            scenario.name,
            words::size(grown),
            words::size(most_bytes)
        ))
    })
}

fn cannot_write(path: &Path, error: &std::io::Error) -> String {
    format!("{} cannot be written: {error}; name another file with --report", path.display())
}

impl BenchArgs {
    fn options(self, path: Option<&Path>, env: Env<'_>) -> Result<Options, String> {
        let running = self.running.find(path, env)?;
        let process = running.as_ref().and_then(Running::process);
        let machine = machine::examine(process);
        let names: Vec<Name> = match self.scenarios.is_empty() {
            true => Name::ALL.to_vec(),
            false => self.scenarios.iter().filter_map(|name| Name::find(name)).collect(),
        };
        let choice = match self.scenarios.iter().any(|name| name == ALL) {
            true => Choice::All,
            false => Choice::Some(&names),
        };
        let sizes = self.sizes.sizes(self.quick);
        let (steps, cut) = plan::steps(choice, &sizes, machine.possible_sockets);
        match cut {
            Some(cut) if steps.is_empty() => return Err(format!("nothing is measured: {cut}")),
            Some(cut) => super::note(&cut),
            None => {}
        }
        let servers = Servers {
            threads: self.own.threads.map(usize_of),
            cores: self.own.cores.map(|Cores(cores)| cores),
            children: Children::default(),
            ..Servers::usual()?
        };
        Ok(Options { steps, rounds: usize_of(self.rounds), servers, running, machine })
    }
}

impl SizeArgs {
    fn sizes(&self, quick: bool) -> Sizes {
        Sizes {
            sockets: self.sockets.map(usize_of),
            topics: self.topics.map(usize_of),
            payload_bytes: self.payload.map(usize_of),
            connections: self.connections.map(usize_of),
            publishes: self.publishes,
            rate: self.rate,
            seconds: self.seconds,
            at_once: self.at_once.map(usize_of),
            cycles: self.cycles,
            quick,
        }
    }
}

fn scenarios() -> PossibleValuesParser {
    let names = Name::ALL.into_iter().map(Name::as_str);
    PossibleValuesParser::new(names.chain([ALL]).collect::<Vec<_>>())
}

fn number(least: u64, most: u64) -> clap::builder::RangedU64ValueParser {
    clap::value_parser!(u64).range(least..=most)
}

/// What was read from an argument, whose range is well below what any machine counts to.
fn usize_of(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

fn above_zero(text: &str) -> Result<f64, String> {
    let number: f64 = text.parse().map_err(|_| "write a number, such as 50 or 0.5".to_owned())?;
    if number > 0.0 && number.is_finite() {
        Ok(number)
    } else {
        Err("it is not above 0".to_owned())
    }
}

fn seconds(text: &str) -> Result<f64, String> {
    let seconds = above_zero(text)?;
    if seconds <= LONGEST_SECS { Ok(seconds) } else { Err("an hour, 3600, is the most".to_owned()) }
}

fn cores(text: &str) -> Result<Cores, String> {
    const MOST: usize = 1_024;
    let example = || "write numbers and ranges, such as 0 or 0-1,3".to_owned();
    let number = |text: &str| text.parse::<usize>().ok().filter(|core| *core < MOST);
    let mut cores = Vec::new();
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = number(first).zip(number(last)).ok_or_else(example)?;
        if first > last {
            return Err(example());
        }
        cores.extend(first..=last);
    }
    Ok(Cores(cores))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::results::{Figures, Memory, Round, Scenario};

    #[test]
    fn cores_are_numbers_and_ranges() {
        assert_eq!(cores("0"), Ok(Cores(vec![0])));
        assert_eq!(cores("0-2,5"), Ok(Cores(vec![0, 1, 2, 5])));
        for text in ["", "a", "1-", "2-1", "0,", "1-2-3", "9999"] {
            assert!(cores(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_server_that_grows_too_much_in_any_round_is_named() {
        let rounds = [3, 9, 5].map(|mib| {
            let memory = Memory { before_bytes: 0, after_bytes: mib << 20, per_socket_bytes: None };
            let server = Figures { memory: Some(memory), ..Figures::default() };
            Round { server, floor: None }
        });
        let step = plan::Step { name: Name::Churn, load: Load::usual(Name::Churn) };
        let options = Options {
            steps: Vec::new(),
            rounds: 3,
            servers: Servers::usual().unwrap(),
            running: None,
            machine: machine::examine(None),
        };
        let scenario = Scenario { rounds: rounds.to_vec(), ..step.without_rounds() };
        let results = Results { scenarios: vec![scenario], ..options.nothing_yet() };

        let message = overgrown(&results, 8.0 * MIB).unwrap();
        assert!(
            message.starts_with("churn: the server's memory grew by 9.00 MiB, and"),
            "{message}"
        );
        assert_eq!(overgrown(&results, 9.0 * MIB), None);
    }

    #[test]
    fn a_rate_is_above_zero() {
        assert_eq!(above_zero("0.5"), Ok(0.5));
        for text in ["", "0", "-1", "NaN", "inf", "many"] {
            assert!(above_zero(text).is_err(), "{text}");
        }
        assert!(seconds("3600").is_ok() && seconds("3601").is_err());
    }
}
