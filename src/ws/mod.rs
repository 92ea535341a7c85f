//! The public port: browsers connect, prove that they may join, and get what is published.
//!
//! `request` reads the HTTP request and judges it, `handshake` upgrades it and waits for the
//! auth frame, `session` serves the browser from then on, `sessions` has all of them for
//! keepalive and for the end. Before and after authentication are two types and two tasks: what
//! the first needs is freed before the long idle time begins.

mod handshake;
mod pages;
mod request;
mod session;
mod sessions;

use std::sync::Arc;

pub use self::pages::{Page, Pages};
pub use self::sessions::Sessions;
use crate::broker::Broker;
use crate::config::{HttpConfig, SessionConfig};
use crate::link::LinkContext;
use crate::listener::Listener;
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
    /// Pages that are served beside `/ws`, if there are any.
    pub pages: Option<Pages>,
}

/// Accepts browsers until the node stops.
pub async fn serve(mut listener: Listener, context: Arc<WsContext>) {
    loop {
        let (stream, peer) = tokio::select! {
            () = context.shutdown.stopping.cancelled() => return,
            accepted = listener.accept() => accepted, // Cancel-safe: nothing accepted is lost.
        };
        let connection = handshake::serve(stream, peer, Arc::clone(&context));
        context.shutdown.sessions.spawn(Box::pin(connection));
    }
}
