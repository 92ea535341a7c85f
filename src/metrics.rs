//! What the node counts. One value, made in `app` and handed down; no statics.
//!
//! Names are those of the `counters` object of the status document (docs/protocol.md, "Status").
//! No topic, user or address is ever part of a count.

use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;

use crate::problems::Problems;

/// A number that only grows, or a gauge that is moved by [`Counter::add`] and [`Counter::take`].
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// One more.
    pub fn inc(&self) {
        self.add(1);
    }

    /// `n` more.
    pub fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    /// `n` less; for gauges.
    pub fn take(&self, n: u64) {
        self.0.fetch_sub(n, Ordering::Relaxed);
    }

    /// The number now.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Serialize for Counter {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(self.get())
    }
}

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
}
