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
mod help;
pub mod init;
mod listen;
mod man;
mod paint;
mod publish;
mod roster;
mod serve;
mod settings;
mod status;
mod token;
mod waiting;

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use tokio::runtime::Builder;

use self::paint::{BAD, paint};
use crate::config::{DEFAULT_FILE, Env, keys};
use crate::demo::DemoPorts;

/// It failed.
const FAILED: u8 = 1;

/// The configuration of the Debian package's service.
const SERVICE_FILE: &str = "/etc/wavelog_worker/config.yaml";

#[derive(Debug, Parser)]
#[command(
    name = "wavelog_worker",
    version,
    about = "Pushes events from a PHP application to browsers over WebSocket."
)]
struct Arguments {
    /// Configuration file, if it is not in its usual place.
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the worker (what happens without a command, too).
    Serve {
        /// End when standard input, a pipe, is closed: goes with whoever started it.
        #[arg(long, hide = true)]
        end_with_stdin: bool,
    },
    /// Show it working: a worker in memory, with a page to open.
    Demo {
        /// Port of the page and its WebSocket.
        #[arg(long, value_name = "PORT")]
        ws_port: Option<u16>,
        /// Port of the internal API.
        #[arg(long, value_name = "PORT")]
        internal_port: Option<u16>,
    },
    /// Write a commented config.yaml with a fresh secret.
    Init,
    /// Check configuration and environment and report every problem.
    Check,
    /// Make a token as PHP does, or explain one.
    Token(token::TokenArgs),
    /// Publish one event as PHP does.
    Publish(publish::PublishArgs),
    /// Print what is pushed to a topic, a line each.
    Listen(listen::ListenArgs),
    /// Say how a running worker is.
    Status(status::StatusArgs),
    /// Test the whole path, from PHP to the browser; say what to change.
    Doctor(Box<doctor::DoctorArgs>),
    /// Ask whether the worker is well, for health checks of containers.
    Health(health::HealthArgs),
    /// Measure how many browsers this machine carries, and how fast.
    Bench(Box<bench::BenchArgs>),
    /// Print what makes a shell complete commands and options.
    Completions {
        /// For which shell: bash, zsh or fish.
        #[arg(value_enum, hide_possible_values = true)]
        shell: man::Shell,
    },
    /// Print the manual page, or write those of all commands.
    Man {
        /// Directory for the pages of the program and of every command.
        #[arg(value_name = "DIR")]
        directory: Option<PathBuf>,
    },
}

/// Runs the program with `arguments`, the first of which is its name.
pub fn run(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let arguments = read(arguments.map(with_two_dashes).collect());
    let path = arguments.config.as_deref();
    let env: Env<'_> = &|name| std::env::var_os(name);
    let of_tool = tools_file(path, env, Path::new(DEFAULT_FILE), Path::new(SERVICE_FILE));
    let outcome = match arguments.command.unwrap_or(Command::Serve { end_with_stdin: false }) {
        Command::Serve { end_with_stdin } => serve::serve(path, env, end_with_stdin),
        Command::Demo { ws_port, internal_port } => {
            serve::demo(DemoPorts { ws: ws_port, internal: internal_port }).map(done)
        }
        Command::Init => {
            printed(|out| init::init(path, out).map(done).map_err(|error| error.to_string()))
        }
        Command::Check => {
            printed(|out| check::check(of_tool, env, out).map_err(|error| error.to_string()))
        }
        Command::Token(args) => token::token(args, of_tool, env),
        Command::Publish(args) => publish::publish(args, of_tool, env).map(done),
        Command::Listen(args) => listen::listen(args, of_tool, env).map(done),
        Command::Status(args) => status::status(args, of_tool, env).map(done),
        Command::Doctor(args) => doctor::doctor(*args, of_tool, env),
        // It needs the ports alone, which are nearly always the usual ones; so it is no matter to it
        // who may read the file.
        Command::Health(args) => health::health(
            args,
            of_tool.filter(|file| path.is_some() || File::open(file).is_ok()),
            env,
        )
        .map(done),
        Command::Bench(args) => bench::bench(*args, of_tool, env),
        Command::Completions { shell } => {
            printed(|out| write_all(out, &man::completions(Arguments::command(), shell)))
        }
        Command::Man { directory } => man::man(Arguments::command(), directory.as_deref())
            .and_then(|page| printed(|out| write_all(out, &page))),
    };
    match outcome {
        Ok(code) => ExitCode::from(code),
        Err(message) => {
            note_painted(&format!("{} {message}", paint(BAD, "error:")));
            ExitCode::from(FAILED)
        }
    }
}

/// The file that a tool reads: the one that was `named`, else `here`, else the one of the `service`
/// on this machine. Not the last where the environment has the secret: then that is the
/// configuration. A service's file that this user may not see counts as there, so that he is told.
fn tools_file<'a>(
    named: Option<&'a Path>,
    env: Env<'_>,
    here: &Path,
    service: &'a Path,
) -> Option<&'a Path> {
    let has_secret = env(keys::WORKER_SECRET.env).is_some_and(|secret| !secret.is_empty());
    named.or_else(|| {
        let is_wanted = !has_secret && !here.exists();
        (is_wanted && service.try_exists().unwrap_or(true)).then_some(service)
    })
}

/// Reads the arguments, or ends the program as they ask for (help) or deserve (2).
fn read(arguments: Vec<OsString>) -> Arguments {
    let options = arguments.iter().take_while(|argument| *argument != "--");
    let is_config = |argument: &&OsString| {
        argument.to_str().is_some_and(|text| text == "--config" || text.starts_with("--config="))
    };
    let configs = options.clone().filter(is_config).count();
    let brief = options.clone().any(|argument| argument == "-h");
    let mut command = help::dress(Arguments::command(), brief);
    let refuse = |command: &mut clap::Command, why: &str| -> ! {
        command.error(ErrorKind::ArgumentConflict, why).exit()
    };
    let read = command.try_get_matches_from_mut(arguments);
    let read = read.and_then(|matches| Arguments::from_arg_matches(&matches));
    let arguments = read.unwrap_or_else(|error| error.exit());
    if configs > 1 {
        // One before the command and one behind it: of these clap takes the second.
        refuse(&mut command, "--config is given twice; name one file");
    }
    let reads_none = match &arguments.command {
        Some(Command::Demo { .. }) => Some("demo"),
        Some(Command::Completions { .. }) => Some("completions"),
        Some(Command::Man { .. }) => Some("man"),
        _ => None,
    };
    if let (Some(name), Some(_)) = (reads_none, &arguments.config) {
        refuse(&mut command, &format!("{name} reads no configuration; leave --config away"));
    }
    arguments
}

/// Writes `bytes` to `out`; 0.
fn write_all(out: &mut dyn Write, bytes: &[u8]) -> Result<u8, String> {
    out.write_all(bytes).map(|()| 0).map_err(|error| error.to_string())
}

/// The exit code of a command that did what it should.
fn done((): ()) -> u8 {
    0
}

/// Runs `command` and prints what it writes.
fn printed(command: impl FnOnce(&mut dyn Write) -> Result<u8, String>) -> Result<u8, String> {
    let mut output = Vec::new();
    let code = command(&mut output)?;
    print_painted(&String::from_utf8_lossy(&output))?;
    Ok(code)
}

/// Writes `text` to standard output; answers whether anybody is left to read more. A reader that
/// goes away, as `head` does when it has enough, is no failure.
fn print(text: &str) -> Result<bool, String> {
    print_to(&mut io::stdout().lock(), text)
}

/// As [`print()`], for text with colours, which only a terminal gets.
fn print_painted(text: &str) -> Result<bool, String> {
    print_to(&mut anstream::stdout().lock(), text)
}

fn print_to(out: &mut impl Write, text: &str) -> Result<bool, String> {
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

/// As [`note`], for text with colours.
fn note_painted(text: &str) {
    let _ = writeln!(anstream::stderr(), "{text}");
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

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    #[test]
    fn tools_read_the_services_file_where_nothing_else_is_at_hand() {
        let directory = TempDir::new().unwrap();
        let [here, service] = ["here", "service"].map(|name| directory.path().join(name));
        let nothing: Env<'_> = &|_| None;
        let secret: Env<'_> = &|_| Some("-".repeat(32).into());
        let read = |named, env| tools_file(named, env, &here, &service);
        assert_eq!(read(None, nothing), None, "there is none");

        std::fs::write(&service, "").unwrap();
        assert_eq!(read(None, nothing), Some(service.as_path()));
        assert_eq!(read(Some(Path::new("named")), nothing), Some(Path::new("named")));
        assert_eq!(read(None, secret), None);

        std::fs::write(&here, "").unwrap();
        assert_eq!(read(None, nothing), None);
    }
}
