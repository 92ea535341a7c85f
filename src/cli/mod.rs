//! The command line: `serve` and its helpers.
//!
//! Exit codes: 0 done; 1 it failed, with one line on standard error that says why and what to do;
//! 2 the arguments are wrong. No secret and no token is ever taken as an argument, where every
//! user of the machine could read it. Start reading at [`run`].

pub mod check;
pub mod init;
mod serve;

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

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
    Serve,
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
}

/// Runs the program with `arguments`, the first of which is its name.
pub fn run(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let arguments = Arguments::parse_from(arguments.map(with_two_dashes));
    let path = arguments.config.as_deref();
    let env: Env<'_> = &|name| std::env::var_os(name);
    let outcome = match arguments.command.unwrap_or(Command::Serve) {
        Command::Serve => serve::serve(path, env),
        Command::Demo { ws_port, internal_port } => {
            serve::demo(DemoPorts { ws: ws_port, internal: internal_port })
        }
        Command::Init => init::init(path, &mut io::stdout()).map_err(|e| e.to_string()),
        Command::Check => match check::check(path, env, &mut io::stdout()) {
            Ok(code) => return ExitCode::from(code),
            Err(error) => Err(error.to_string()),
        },
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            // Nobody is left to tell if standard error is gone.
            let _ = writeln!(io::stderr(), "{message}");
            ExitCode::from(FAILED)
        }
    }
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
