//! The program: reads its arguments, does what they say, and exits with its code.

use std::process::ExitCode;

fn main() -> ExitCode {
    wavelog_worker::cli::run(std::env::args_os())
}
