//! The public port: browsers connect, prove that they may join, and get what is published.
//!
//! `request` reads the HTTP request and judges it, `handshake` upgrades it and waits for the
//! auth frame, `session` serves the browser from then on, `sessions` has all of them for
//! keepalive and for the end. Before and after authentication are two types and two tasks: what
//! the first needs is freed before the long idle time begins.

mod handshake;
mod pages;
pub mod request;
mod session;
mod sessions;

use std::sync::Arc;

use tokio::net::TcpStream;
use tracing::warn;

pub use self::pages::{Page, Pages};
pub use self::sessions::Sessions;
use crate::broker::Broker;
use crate::config::{HttpConfig, SessionConfig};
use crate::link::LinkContext;
use crate::listener::{Listener, Seldom};
use crate::metrics::Metrics;
use crate::shutdown::Shutdown;

/// What every connection of this port needs.
pub struct WsContext {
    /// The verbs.
    pub broker: Arc<Broker>,
    /// Limits of a session.
    pub session: SessionConfig,
    /// Deadlines and proxies.
    pub http: HttpConfig,
    /// What links need.
    pub links: Arc<LinkContext>,
    /// All sessions.
    pub sessions: Arc<Sessions>,
    /// Counts.
    pub metrics: Arc<Metrics>,
    /// The end.
    pub shutdown: Shutdown,
    /// Connections that this port may have at once, so that files are left for the internal port.
    pub max_connections: usize,
    /// Pages that are served beside `/ws`, if there are any.
    pub pages: Option<Pages>,
}

/// What a browser is told that cannot be taken, whatever it asks for.
const FULL: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\n\
    Connection: close\r\nContent-Length: 0\r\n\r\n";

/// Turns a connection away at once: there are too many.
fn refuse(stream: &TcpStream, metrics: &Metrics, said: &mut Seldom) {
    metrics.refused_full.inc();
    let _ = stream.try_write(FULL); // It takes it now, or never.
    if said.now() {
        warn!("no more browsers are taken: nearly all files are open; raise the limit (ulimit -n)");
    }
}

/// Accepts browsers until the node stops.
pub async fn serve(mut listener: Listener, context: Arc<WsContext>) {
    let mut full = Seldom::default();
    loop {
        let (stream, peer) = tokio::select! {
            () = context.shutdown.stopping.cancelled() => return,
            accepted = listener.accept() => accepted, // Cancel-safe: nothing accepted is lost.
        };
        if context.shutdown.sessions.len() >= context.max_connections {
            refuse(&stream, &context.metrics, &mut full);
            continue;
        }
        let connection = handshake::serve(stream, peer, Arc::clone(&context));
        context.shutdown.sessions.spawn(Box::pin(connection));
    }
}
