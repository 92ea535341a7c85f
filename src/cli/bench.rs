//! `bench`: measures what this machine carries.
//!
//! Start reading at [`bench`].

use clap::{Args, Subcommand};

use crate::bench::floor;

#[derive(Debug, Args)]
#[command(disable_help_subcommand = true)]
pub(super) struct BenchArgs {
    #[command(subcommand)]
    command: BenchCommand,
}

#[derive(Debug, Subcommand)]
enum BenchCommand {
    /// Run the floor alone, the least that a server can do: for comparing by other means.
    #[command(
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

/// Does what is asked for, and returns the exit code.
pub(super) fn bench(args: &BenchArgs) -> Result<u8, String> {
    let BenchCommand::Floor { ws_port, internal_port } = args.command;
    floor::run(ws_port, internal_port).map(super::done)
}
