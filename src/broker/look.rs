//! What an operator may see of a node: its figures, its cluster, its topics, and what is published.
//!
//! Nothing here is asked of Redis, and nothing waits. Start reading at [`Broker::totals`].

mod topics;

use serde::Serialize;

pub use self::topics::{Sort, TopicSeen, TopicsAsked, TopicsSeen};
use super::{Broker, Membership};
use crate::cluster::Node;
use crate::hub::tap::Taps;
use crate::redis::LinkState;

/// The figures of a node.
#[derive(Debug, Clone, Copy)]
pub struct Totals {
    /// Topics that may be used.
    pub registered_topics: usize,
    /// Topics with a subscriber.
    pub active_topics: usize,
    /// Different users.
    pub clients: usize,
    /// Authenticated sockets.
    pub sockets: usize,
}

/// A node of the cluster.
#[derive(Debug, Serialize)]
pub struct Member {
    /// Its id; empty for a node that is alone.
    pub id: String,
    /// Its name.
    pub name: String,
    /// The version of its program.
    pub version: String,
    /// Time since it started.
    pub uptime_seconds: u64,
    /// Topics with a subscriber.
    pub active_topics: u64,
    /// Different users.
    pub connected_clients: u64,
    /// Authenticated sockets.
    pub connected_sockets: u64,
    /// Whether it was heard of lately.
    pub alive: bool,
    /// Whether it is this node.
    #[serde(rename = "this")]
    pub is_this: bool,
    /// Time since it was last heard of.
    pub seen_seconds: u64,
}

/// The way to Redis.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RedisSeen {
    /// Whether Redis serves us.
    pub is_up: bool,
    /// The address, without credentials.
    pub url: String,
    /// How long it has been away, in milliseconds, if it is.
    pub away_ms: Option<u64>,
    /// What is wrong, if that is known.
    pub error: Option<String>,
    /// Bytes of envelopes that wait for it.
    pub waiting_bytes: usize,
    /// How many they are.
    pub waiting: usize,
}

impl Broker {
    /// The figures of this node.
    pub fn totals(&self) -> Totals {
        let audience = self.hub.audience();
        Totals {
            registered_topics: self.registry.len(self.clock.now_ms()),
            active_topics: self.hub.active_topics(),
            clients: audience.clients,
            sockets: audience.sockets,
        }
    }

    /// How many browsers are connected.
    pub fn sockets(&self) -> usize {
        self.hub.audience().sockets
    }

    /// How many browsers of this node are subscribed to `topic`.
    pub fn subscribers(&self, topic: &str) -> usize {
        self.hub.subscribers(topic)
    }

    /// The nodes of the cluster as last heard of, this one first; a single node is alone in it.
    pub fn members(&self) -> Vec<Member> {
        let nodes = match &self.cluster {
            Some(Membership { cluster, redis }) => cluster.nodes(redis),
            None => vec![Node::alone(&self.hub, self.clock)],
        };
        let member = |node: Node| Member {
            id: node.id,
            name: node.name,
            version: node.version,
            uptime_seconds: node.uptime_seconds,
            active_topics: node.active_topics,
            connected_clients: node.connected_clients,
            connected_sockets: node.connected_sockets,
            alive: node.alive,
            is_this: node.is_self,
            seen_seconds: node.age_ms / 1000,
        };
        nodes.into_iter().map(member).collect()
    }

    /// The way to Redis; `None` for a node that is alone.
    pub fn redis(&self) -> Option<RedisSeen> {
        let Membership { cluster, redis } = self.cluster.as_ref()?;
        let link = redis.describe();
        Some(RedisSeen {
            is_up: link.state == LinkState::Up,
            url: link.redis,
            away_ms: link.away_ms,
            error: link.last_error,
            waiting_bytes: cluster.waiting_bytes(),
            waiting: cluster.waiting(),
        })
    }

    /// What operators look at: rates by topic, and topics that are followed.
    pub fn taps(&self) -> &Taps {
        self.hub.taps()
    }
}
