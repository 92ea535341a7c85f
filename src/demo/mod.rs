//! `demo`: a worker in memory, on this machine only, that shows itself working.
//!
//! Everything a site needs is there in small: `feed` plays the PHP application and publishes
//! contest contacts through the real internal API, `site` serves the page with a real token, the
//! page subscribes as any browser does. Only this module knows that there is a demo.

mod feed;
mod secret_file;
mod site;

use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use self::secret_file::SecretFile;
use self::site::Site;
use crate::app::{App, InForce};
use crate::client::Worker;
use crate::client::address::Address;
use crate::config::{Config, Loaded, LogLevel};
use crate::secret::Secret;
use crate::status::VERSION;
use crate::telemetry;

/// The topic of the demo.
const TOPIC: &str = "demo.feed";

/// Ports for the demo; without them the worker's usual ones, or free ones if those are taken.
#[derive(Debug, Clone, Copy, Default)]
pub struct DemoPorts {
    /// Port for browsers.
    pub ws: Option<u16>,
    /// Port for PHP.
    pub internal: Option<u16>,
}

/// Runs the demo until `end` is cancelled; what to open and what to try goes to `out`.
///
/// # Errors
///
/// One line that says what is wrong and what to do.
pub async fn run(
    ports: DemoPorts,
    end: CancellationToken,
    out: &mut dyn Write,
) -> Result<(), String> {
    let Loaded { config, warnings, risks, settings } = configured(ports)?;
    let in_force = InForce::new(&settings, &warnings, &risks);
    let _logging = telemetry::start(config.log);
    let secret = config.secret.clone();
    let app = App::bind(config).map_err(|error| error.to_string())?.showing(in_force);
    let secret_file = SecretFile::create(&secret).map_err(|error| {
        format!("cannot write the demo's secret to a temporary file: {error}; set TMPDIR to a folder that you may write to")
    })?;
    let internal = app.internal_addr();
    let visitors = worker(internal, &secret)?;
    let site = Site::new(secret.clone(), visitors, app.ws_addr(), internal, &secret_file);
    let site = Arc::new(site);
    let feed = tokio::spawn(feed::play(worker(app.internal_addr(), &secret)?, end.clone()));
    // Who runs the demo without a terminal still has the demo.
    let _ = introduce(out, app.ws_addr(), internal, &site);
    let app = app.with_pages(site::pages(site));
    let ran = app.run(end.clone()).await;
    end.cancel(); // Also if the worker ended by itself.
    // It was told to end; an error would be a panic of its own.
    let _ = feed.await;
    ran.map_err(|error| error.to_string())
}

fn introduce(
    out: &mut dyn Write,
    ws_addr: SocketAddr,
    internal: SocketAddr,
    site: &Site,
) -> io::Result<()> {
    let curl = site.curl_lines();
    writeln!(out, "wavelog_worker {VERSION} demo: a worker in memory, on this machine only\n")?;
    writeln!(out, "  open http://{ws_addr}/\n")?;
    writeln!(out, "The same from a shell, as PHP does it:\n")?;
    for line in [&curl.register, &curl.publish, &curl.status] {
        writeln!(out, "  {line}")?;
    }
    writeln!(
        out,
        "\nWhat an operator sees, the live view, with the secret that the second line prints:\n"
    )?;
    writeln!(out, "  open http://{internal}/\n  {}", curl.secret)?;
    writeln!(out, "\nCtrl-C ends it; nothing stays behind.")?;
    out.flush()
}

fn configured(ports: DemoPorts) -> Result<Loaded, String> {
    let secret = fresh_secret()?;
    let load = |ports: Option<(u16, u16)>| {
        let env = |name: &str| match name {
            "WORKER_SECRET" => Some(secret.expose().into()),
            "WORKER_WS_BIND" => Some("127.0.0.1".into()),
            "WORKER_WS_PORT" => ports.map(|(ws, _)| ws.to_string().into()),
            "WORKER_INTERNAL_PORT" => ports.map(|(_, internal)| internal.to_string().into()),
            _ => None,
        };
        Config::from_env(&env).map_err(|error| error.to_string())
    };
    let usual = load(None)?.config.listen;
    let ws = ports.ws.unwrap_or_else(|| free_or_any(usual.ws_port));
    let internal = ports.internal.unwrap_or_else(|| free_or_any(usual.internal_port));
    let mut loaded = load(Some((ws, internal)))?;
    loaded.config.log.level = LogLevel::Warn;
    Ok(loaded)
}

/// Our own worker, as PHP would see it.
fn worker(internal: SocketAddr, secret: &Secret) -> Result<Worker, String> {
    let address = Address::of_listener(Some(internal.ip()), internal.port());
    Worker::at(address, secret.clone()).map_err(|error| error.to_string())
}

fn fresh_secret() -> Result<Secret, String> {
    let mut key = [0; 32];
    getrandom::fill(&mut key)
        .map_err(|error| format!("the system has no random bytes: {error}"))?;
    Secret::new(base16ct::lower::encode_string(&key)).map_err(|error| error.to_string())
}

/// `port` if it is free on loopback, else 0, which takes any free one.
fn free_or_any(port: u16) -> u16 {
    let address = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port);
    if TcpListener::bind(address).is_ok() { port } else { 0 }
}
