//! The public port: browsers connect, prove that they may join, and get what is published.
//!
//! One thread of its own serves all sockets of this port (`event_loop`): `request` reads the HTTP
//! request, `verdict` says what becomes of it, `handshake` upgrades it and waits for the auth frame,
//! `session` does what the browser asks for from then on, `watch` has the deadlines and the pings.
//! `script` is the client that pages load from here, `health` what load balancers ask for, and
//! `refusals` what is kept of who was not let in. `questions` are asked of Redis while a handshake
//! waits; `orders` come from outside, among them `resync`: who may have missed something is closed,
//! spread over a time. Before and after authentication are two types: what the first needs is freed before
//! the long idle time begins. No task, no timer and no buffer per socket. Start reading at
//! [`EventLoop::run`].

mod event_loop;
mod handshake;
mod health;
mod orders;
mod pages;
mod questions;
mod refusals;
pub mod request;
mod resync;
mod script;
mod session;
#[cfg(test)]
mod tests;
mod verdict;
mod watch;

use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use self::event_loop::EventLoop;
pub use self::orders::Running;
pub use self::pages::{Page, Pages};
pub use self::resync::Resync;
use crate::broker::Broker;
use crate::config::{HttpConfig, SessionConfig};
use crate::link::LinkContext;
use crate::metrics::Metrics;

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
    /// Counts.
    pub metrics: Arc<Metrics>,
    /// Where pages are served.
    pub requests: TaskTracker,
    /// Cancelled when the node begins to end: from then on nobody new is let in.
    pub stopping: CancellationToken,
    /// Connections that this port may have at once, so that files are left for the internal port.
    pub max_connections: usize,
    /// Pages that are served beside `/ws`, if there are any.
    pub pages: Option<Pages>,
}
