//! The command line: `serve` and its helpers.
//!
//! Exit codes: 0 done; 1 it failed, with one line on standard error that says why and what to do;
//! 2 the arguments are wrong. No secret and no token is ever taken as an argument, where every
//! user of the machine could read it. Start reading at [`run`].

mod bench;
pub mod check;
mod doctor;
mod explain;
mod feed;
mod health;
pub mod init;
mod listen;
mod publish;
mod roster;
mod serve;
mod settings;
mod status;
mod token;

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tokio::runtime::Builder;

use crate::config::Env;
use crate::demo::DemoPorts;

/// It failed.
const FAILED: u8 = 1;

#[derive(Debug, Parser)]
#[command(
    name = "wavelog_worker",
    version,
    about = "Pushes events from a PHP application to browsers over WebSocket.",
    after_help = "Examples:\n  wavelog_worker demo                      see it work, without any configuration\n  wavelog_worker init                      write a config.yaml with a fresh secret\n  wavelog_worker -config /etc/wavelog_worker/config.yaml\n\nExit codes: 0 done, 1 failed (one line says why), 2 wrong arguments."
)]
struct Arguments {
    /// Configuration file; without it, config.yaml in the working directory.
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the worker (what happens without a command, too).
    #[command(
        after_help = "Example:\n  wavelog_worker serve --config /etc/wavelog_worker/config.yaml"
    )]
    Serve {
        /// End when standard input, a pipe, is closed: goes with whoever started it.
        #[arg(long, hide = true)]
        end_with_stdin: bool,
    },
    /// Show it working: a worker in memory, on this machine only, with a page to open.
    #[command(
        after_help = "Example:\n  wavelog_worker demo\n\nWithout ports it takes 9000 and 9001, or free ones if those are taken."
    )]
    Demo {
        /// Port of the page and its WebSocket.
        #[arg(long, value_name = "PORT")]
        ws_port: Option<u16>,
        /// Port of the internal API.
        #[arg(long, value_name = "PORT")]
        internal_port: Option<u16>,
    },
    /// Write a commented config.yaml with a fresh secret; never overwrites one.
    #[command(
        after_help = "Example:\n  wavelog_worker init --config /etc/wavelog_worker/config.yaml"
    )]
    Init,
    /// Check configuration and environment and report every problem.
    #[command(after_help = "Example:\n  wavelog_worker check --config config.yaml")]
    Check,
    /// Make a token as PHP does, or explain one.
    #[command(
        after_help = "Examples:\n  wavelog_worker token --topic session.42 --ttl 1h\n  wavelog_worker token --session 42 --user-id 7\n  wavelog_worker token --decode < token.txt"
    )]
    Token(token::TokenArgs),
    /// Publish one event as PHP does.
    #[command(
        after_help = "Examples:\n  wavelog_worker publish session.42 '{\"call\":\"DL1ABC\"}'\n  wavelog_worker publish --register session.42 '\"a text has quotes of its own\"'\n  wavelog_worker publish session.42 < event.json"
    )]
    Publish(publish::PublishArgs),
    /// Print what is pushed to a topic, a line each; comes back after every end.
    #[command(
        after_help = "Examples:\n  wavelog_worker listen --register session.42\n  wavelog_worker listen --open --url ws://127.0.0.1:9000/ws news | jq .\n\nThe token is the one of --token-file, else the one in WORKER_TOKEN, else it is made with the\nconfigured secret. Notes go to standard error, pushes to standard output. Ctrl-C ends it."
    )]
    Listen(listen::ListenArgs),
    /// Say how a running worker is.
    #[command(
        after_help = "Examples:\n  wavelog_worker status\n  wavelog_worker status --topics --internal http://127.0.0.1:9001\n  wavelog_worker status --json | jq .counters\n  wavelog_worker status --cluster"
    )]
    Status(status::StatusArgs),
    /// Test the whole path, from PHP to the browser, and say what to change.
    #[command(
        after_help = "Examples:\n  wavelog_worker doctor --config /etc/wavelog_worker/config.yaml --url wss://log.example.org/ws\n  wavelog_worker doctor --php /var/www/html/application/config/worker.php --quick\n  wavelog_worker doctor --url https://log.example.org      from any machine\n\nEach step is ok, warn or FAIL; under a fault stand what was expected and the lines to change.\nSecrets and tokens are never shown. Exit code 1 if something does not work."
    )]
    Doctor(Box<doctor::DoctorArgs>),
    /// Ask whether the worker is well, for health checks of containers; needs no secret.
    #[command(
        after_help = "Examples:\n  wavelog_worker health                    is it ready, with Redis if it has one?\n  wavelog_worker health --live             does it answer at all?\n  wavelog_worker health --ws               does it take browsers?\n\nExit code 0 if so, else 1, within 2 s. One line says why."
    )]
    Health(health::HealthArgs),
    /// Measure what this machine carries: how many browsers, how fast, at what cost.
    #[command(
        after_help = "Examples:\n  wavelog_worker bench --quick\n  wavelog_worker bench fanout --sockets 5000 --rate 20\n  wavelog_worker bench all --report bench.html\n\nEach scenario is run against a worker of its own and, as the yardstick, against a floor: a program\nthat does nothing but one send per socket (alone: bench floor). Exit code 1 if anything was lost or\nwrong. --help has every option."
    )]
    Bench(Box<bench::BenchArgs>),
}

/// Runs the program with `arguments`, the first of which is its name.
pub fn run(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let arguments = Arguments::parse_from(arguments.map(with_two_dashes));
    let path = arguments.config.as_deref();
    let env: Env<'_> = &|name| std::env::var_os(name);
    let outcome = match arguments.command.unwrap_or(Command::Serve { end_with_stdin: false }) {
        Command::Serve { end_with_stdin } => serve::serve(path, env, end_with_stdin).map(done),
        Command::Demo { ws_port, internal_port } => {
            serve::demo(DemoPorts { ws: ws_port, internal: internal_port }).map(done)
        }
        Command::Init => {
            printed(|out| init::init(path, out).map(done).map_err(|error| error.to_string()))
        }
        Command::Check => {
            printed(|out| check::check(path, env, out).map_err(|error| error.to_string()))
        }
        Command::Token(args) => token::token(args, path, env),
        Command::Publish(args) => publish::publish(args, path, env).map(done),
        Command::Listen(args) => listen::listen(args, path, env).map(done),
        Command::Status(args) => status::status(args, path, env).map(done),
        Command::Doctor(args) => doctor::doctor(*args, path, env),
        Command::Health(args) => health::health(args, path, env).map(done),
        Command::Bench(args) => bench::bench(*args, path, env),
    };
    match outcome {
        Ok(code) => ExitCode::from(code),
        Err(message) => {
            note(&message);
            ExitCode::from(FAILED)
        }
    }
}

/// The exit code of a command that did what it should.
fn done((): ()) -> u8 {
    0
}

/// Runs `command` and prints what it writes.
fn printed(command: impl FnOnce(&mut dyn Write) -> Result<u8, String>) -> Result<u8, String> {
    let mut output = Vec::new();
    let code = command(&mut output)?;
    print(&String::from_utf8_lossy(&output))?;
    Ok(code)
}

/// Writes `text` to standard output; answers whether anybody is left to read more. A reader that
/// goes away, as `head` does when it has enough, is no failure.
fn print(text: &str) -> Result<bool, String> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(format!("standard output cannot be written: {error}")),
    }
}

/// Writes a line for a person to standard error.
fn note(text: &str) {
    // Nobody is left to tell if standard error is gone.
    let _ = writeln!(io::stderr(), "{text}");
}

/// `text` without what a terminal would obey.
fn printable(text: &str) -> String {
    let mut printable = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter.is_control() {
            true => printable.extend(letter.escape_default()),
            false => printable.push(letter),
        }
    }
    printable
}

/// Runs `future` on this thread. What it leaves running is not waited for.
fn block_on<T>(future: impl Future<Output = T>) -> Result<T, String> {
    let runtime = Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| format!("cannot start: {error}"))?;
    let outcome = runtime.block_on(future);
    runtime.shutdown_background();
    Ok(outcome)
}

/// The original's flag library takes `-config` as well as `--config`; clap does not.
fn with_two_dashes(argument: OsString) -> OsString {
    match argument.to_str() {
        Some(text) if text == "-config" || text.starts_with("-config=") => {
            format!("-{text}").into()
        }
        _ => argument,
    }
}
