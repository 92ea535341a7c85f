//! A worker that runs already: whether it is there, is on this machine, and takes our secret.
//!
//! All of it is asked before any load, so that what is wrong is said at once. Start reading at
//! [`RunningArgs::find`].

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use clap::Args;
use serde::Deserialize;

use super::super::{printable, settings};
use crate::bench::rounds::Running;
use crate::client::Worker;
use crate::client::address::{self, Address, CONNECT_TIMEOUT};
use crate::config::Env;
use crate::secret::Secret;

/// Which worker to measure.
#[derive(Debug, Args)]
#[command(next_help_heading = "A running worker, instead of one of its own")]
pub(super) struct RunningArgs {
    /// Where browsers connect.
    #[arg(long, value_name = "ws://HOST:PORT", value_parser = ws, requires = "internal")]
    ws: Option<Address>,
    /// Where PHP posts.
    #[arg(long, value_name = "http://HOST:PORT", value_parser = internal, requires = "ws")]
    internal: Option<Address>,
    /// File with its secret, instead of the configured one.
    #[arg(long, value_name = "FILE", requires = "ws")]
    secret_file: Option<PathBuf>,
    /// Its process; else the one that listens on its port.
    #[arg(long, value_name = "PID", requires = "ws")]
    pid: Option<u32>,
    /// Load a worker on another machine, too.
    #[arg(long, requires = "ws")]
    yes_remote: bool,
}

/// What is read of a status document.
#[derive(Deserialize)]
struct Document {
    version: String,
    implementation: Option<String>,
}

impl RunningArgs {
    /// The worker that they name, if they name one.
    ///
    /// # Errors
    ///
    /// One line that says what is wrong and what to do: it is on another machine, is not there,
    /// or does not take the secret.
    pub(super) fn find(self, path: Option<&Path>, env: Env<'_>) -> Result<Option<Running>, String> {
        let Self { ws: Some(ws), internal: Some(internal), secret_file, pid, yes_remote } = self
        else {
            return Ok(None);
        };
        let secret = match secret_file {
            Some(file) => read_secret(&file)?,
            None => settings::load(path, env)?.secret?,
        };
        let found = super::super::block_on(async {
            if !yes_remote {
                refuse_remote(&ws, "--ws").await?;
                refuse_remote(&internal, "--internal").await?;
            }
            let there = |option| {
                move |error| format!("{error}: start it, or say where it is with {option}")
            };
            let ws = ws.connect(CONNECT_TIMEOUT).await;
            let ws = ws.map_err(there("--ws ws://host:port"))?;
            let php = internal.connect(CONNECT_TIMEOUT).await;
            let php = php.map_err(there("--internal http://host:port"))?;
            let peer = |stream: &tokio::net::TcpStream| {
                stream
                    .peer_addr()
                    .map_err(|error| format!("the worker went away: {error}; look at its log"))
            };
            let (ws, php) = (peer(&ws)?, peer(&php)?);
            let worker = Worker::at(internal, secret.clone()).map_err(|error| error.to_string())?;
            let status = worker.status(false).await.map_err(|error| error.to_string())?;
            let document = serde_json::from_slice::<Document>(&status).map_err(|_| {
                format!("{} answers, but not with a worker's status: say where the worker is with --internal http://host:port", worker.address())
            })?;
            Ok::<_, String>((ws, php, document.name()))
        })?;
        let (ws, internal, name) = found?;
        Ok(Some(Running { ws, internal, secret, pid, name }))
    }
}

impl Document {
    fn name(&self) -> String {
        let implementation = self.implementation.as_deref().unwrap_or("worker");
        printable(&format!("{implementation} {}", self.version))
    }
}

/// An error if any address of `address` is not this machine's own.
async fn refuse_remote(address: &Address, option: &str) -> Result<(), String> {
    let found =
        address.resolve().await.map_err(|error| format!("{option}: {error}; correct it"))?;
    match found.into_iter().find(|found| !is_own(found)) {
        None => Ok(()),
        Some(other) => Err(format!(
            "{option}: {other} is not a loopback address, and the bench loads a worker as heavily as it can, which hurts everybody who uses that machine or the way there; if it is yours and nobody does, add --yes-remote"
        )),
    }
}

fn is_own(address: &SocketAddr) -> bool {
    address.ip().to_canonical().is_loopback()
}

fn read_secret(file: &Path) -> Result<Secret, String> {
    let shown = file.display();
    let text = fs::read_to_string(file)
        .map_err(|error| format!("{shown} cannot be read: {error}; correct --secret-file"))?;
    Secret::new(text.trim_end_matches(['\r', '\n']))
        .map_err(|error| format!("{shown}: {error}; put the worker's own into it"))
}

/// The bench would measure TLS.
const NO_TLS: &str = "the bench speaks no TLS: name the worker itself, behind the proxy";

/// Reads `http://host:port`.
fn internal(text: &str) -> Result<Address, String> {
    let address = address::internal(text)?;
    if address.is_tls() { Err(NO_TLS.to_owned()) } else { Ok(address) }
}

/// Reads `ws://host:port`, with or without the path that a worker has.
fn ws(text: &str) -> Result<Address, String> {
    let url = address::ws(text)?;
    if url.address.is_tls() {
        return Err(NO_TLS.to_owned());
    }
    if url.has_usual_path() || url.to_string() == format!("ws://{}/", url.address) {
        Ok(url.address)
    } else {
        Err("write it as ws://host:port: a worker's path is always /ws".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_of_a_worker_may_be_left_away() {
        for text in ["ws://127.0.0.1:9000", "ws://127.0.0.1:9000/", "ws://127.0.0.1:9000/ws"] {
            assert_eq!(ws(text).unwrap().to_string(), "127.0.0.1:9000", "{text}");
        }
        assert!(ws("ws://127.0.0.1:9000/other").is_err());
        assert!(ws("http://127.0.0.1:9000").is_err());
        assert!(ws("wss://127.0.0.1:9000").unwrap_err().contains("no TLS"));
        assert!(internal("https://127.0.0.1:9001").unwrap_err().contains("no TLS"));
    }

    #[tokio::test]
    async fn only_loopback_is_our_own() {
        for (url, own) in [
            ("http://127.0.0.1:1", true),
            ("http://127.9.9.9:1", true),
            ("http://[::1]:1", true),
            ("http://[::ffff:127.0.0.1]:1", true),
            ("http://192.0.2.1:1", false),
            ("http://0.0.0.0:1", false),
            ("http://[2001:db8::1]:1", false),
        ] {
            let address = address::internal(url).unwrap();

            let refused = refuse_remote(&address, "--internal").await;

            assert_eq!(refused.is_ok(), own, "{url}: {refused:?}");
        }
    }
}
