//! `health`: asks the worker of this machine whether it is well, without a secret.

use std::path::Path;

use clap::Args;

use super::settings;
use crate::client::address::Address;
use crate::client::health::{self, Question};
use crate::config::Env;

#[derive(Debug, Clone, Copy, Args)]
pub(super) struct HealthArgs {
    /// Ask only whether it answers: also a node without Redis does.
    #[arg(long, conflicts_with = "ws")]
    live: bool,
    /// Ask the WebSocket port instead, whether it takes browsers.
    #[arg(long)]
    ws: bool,
}

/// Asks, and says that all is well; anything else is an error.
pub(super) fn health(args: HealthArgs, path: Option<&Path>, env: Env<'_>) -> Result<(), String> {
    let listen = settings::load(path, env)?.listen;
    let (question, address, well) = match args {
        HealthArgs { ws: true, .. } => {
            let address = Address::of_listener(listen.ws_bind, listen.ws_port);
            (Question::TakesBrowsers, address, "takes browsers")
        }
        HealthArgs { live, .. } => {
            let address = Address::of_listener(listen.internal_bind, listen.internal_port);
            match live {
                true => (Question::Live, address, "lives"),
                false => (Question::Ready, address, "is ready"),
            }
        }
    };
    let answer = super::block_on(health::ask(question, &address))?;
    answer.map_err(|error| error.to_string())?;
    super::print(&format!("{address} {well}\n")).map(drop)
}
