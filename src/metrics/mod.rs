//! What the node counts. One value, made in `app` and handed down; no statics.
//!
//! The counters of the status document have their names here (docs/protocol.md, "Status"); what is
//! kept out of it is for [`families()`], which gives everything the name and the help text that
//! Prometheus sees. No topic, user or address is ever part of a count. Counting is an addition
//! without a lock; time is taken once a round, not once a delivery.

mod counter;
mod families;
mod histogram;
#[cfg(test)]
mod manual;
mod process;
mod results;
mod text;

use serde::Serialize;

pub use self::counter::Counter;
pub use self::families::{ClusterFigures, Family, Figures, Kind, Sample, families};
pub use self::histogram::{BOUNDS_US, Elapsed, Histogram, Snapshot};
pub use self::process::ProcessFigures;
pub use self::results::{AuthFailures, Handshakes, Logins, RefusedPublishes};
pub use self::text::{Format, write};
use crate::problems::Problems;

/// Everything that is counted.
#[derive(Debug, Default, Serialize)]
pub struct Metrics {
    /// Publishes accepted, with or without subscribers.
    pub publishes: Counter,
    /// Publishes refused because the topic's outbox was full (503).
    pub publishes_busy: Counter,
    /// Frames handed to sockets: one publish to five sockets counts five.
    pub deliveries: Counter,
    /// Times a socket could not take a write whole, so that the rest was queued.
    pub flushes: Counter,
    /// Times the event loop turned to a browser that was let in. Deliveries do not move it.
    pub session_wakeups: Counter,
    /// Bytes queued for slow sockets now.
    pub backlog_bytes: Counter,
    /// Sockets closed with 4008: backlog over its bound, or nothing taken in time.
    pub slow_closes: Counter,
    /// Sockets closed with 4009, because they may have missed what another node published.
    pub resync_closes: Counter,
    /// Sockets that ended because nothing came from them, not even a pong.
    pub dead_peers: Counter,
    /// Browsers that did not authenticate in time.
    pub auth_timeouts: Counter,
    /// Refused auth frames and tokens.
    pub auth_failures: Counter,
    /// Connections ended because a request's head or body did not come in time, on either port, or
    /// because its answer was not taken.
    pub http_timeouts: Counter,
    /// Browsers that were turned away because nearly all files were open.
    pub refused_full: Counter,
    /// Calls of the internal API without the right secret.
    pub forbidden: Counter,
    /// Envelopes that Redis took from this node.
    pub envelopes_sent: Counter,
    /// Envelopes that came from Redis, this node's own ones included.
    pub envelopes_received: Counter,
    /// Envelopes that could not be read.
    pub envelopes_skipped: Counter,
    /// Envelopes that had come before, and were not delivered again.
    pub envelopes_duplicate: Counter,
    /// Envelopes that waited too long for Redis, or were too many; other nodes never got them.
    pub envelopes_dropped: Counter,
    /// Envelopes of other nodes that are known to be missing.
    pub envelopes_missed: Counter,
    /// Times that browsers may have missed something that another node published.
    pub gaps: Counter,
    /// Connections to Redis that took the place of another.
    pub redis_reconnects: Counter,
    /// Times Redis was away for more than 500 ms.
    pub redis_away: Counter,
    /// Times Redis was asked about one topic.
    pub registry_asks: Counter,
    /// Times somebody waited in vain for such an answer.
    pub registry_ask_timeouts: Counter,
    /// Registrations and unregistrations that Redis carried out.
    pub registry_writes: Counter,
    /// Topics that were forgotten because Redis did not have them any more.
    pub registry_dropped: Counter,
    /// What went wrong lately, for people.
    #[serde(skip)]
    pub problems: Problems,
    /// Bytes of the frames that were handed to sockets.
    #[serde(skip)]
    pub delivered_bytes: Counter,
    /// How long a round took: from when it was taken to when every subscriber's socket had its
    /// turn. A round is what one drain takes at once, a publish or several.
    #[serde(skip)]
    pub fanout: Histogram,
    /// How long a round's oldest publish took to be delivered: from when it had been read, from PHP
    /// or from Redis, to when every subscriber's socket had its turn. One observation a round. What
    /// a slow socket does not take at once is in [`Metrics::backlog_time`].
    #[serde(skip)]
    pub delivery_delay: Histogram,
    /// How long something waited for a slow socket: from when it did not take a write whole to when
    /// it had taken everything, or was closed. One observation each time.
    #[serde(skip)]
    pub backlog_time: Histogram,
    /// How long the thread that serves browsers was at work between two waits: whoever sends
    /// something meanwhile waits so long.
    #[serde(skip)]
    pub loop_lag: Histogram,
    /// What became of requests for a WebSocket.
    #[serde(skip)]
    pub handshakes: Handshakes,
    /// What became of browsers whose request was granted.
    #[serde(skip)]
    pub logins: Logins,
    /// Why logins were refused.
    #[serde(skip)]
    pub auth_failures_by: AuthFailures,
    /// Why publishes were refused.
    #[serde(skip)]
    pub publishes_refused: RefusedPublishes,
}

impl Metrics {
    /// An estimate, from above, of the requests that pages make to PHP because of pushes: one for
    /// each push to each page, and one for each page that was closed and comes back.
    pub fn refetches(&self) -> u64 {
        self.deliveries.get() + self.slow_closes.get() + self.resync_closes.get()
    }
}
