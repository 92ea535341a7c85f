//! Keeps this node's entry in the roster, reads those of the others, and counts who listens.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout, timeout_at};
use tokio_util::sync::CancellationToken;
use tracing::debug;

use super::Cluster;
use super::roster::{DEAD_AFTER_MS, Entry};
use crate::clock::Clock;
use crate::hub::Hub;
use crate::redis::{Commands, LinkReport, LinkState, Redis, RedisError};
use crate::status::{IMPLEMENTATION, VERSION, go_uptime, rounded_seconds};

/// Time between two counts of who listens.
const COUNT: Duration = Duration::from_secs(1);

/// Counts from one writing of this node's entry to the next: 5 s.
const COUNTS_PER_ENTRY: u32 = 5;

/// Time for an answer.
const PATIENCE: Duration = Duration::from_secs(3);

/// Time for a count that somebody waits for.
const ASKED_PATIENCE: Duration = Duration::from_millis(100);

/// Counts in a row that have to agree before they are believed: nodes of ours come and go, and
/// their entries are read every 5 s only.
const STRANGE_COUNTS: u32 = 10;

/// One node as `/internal/nodes` shows it.
#[derive(Debug, Serialize)]
pub struct Node {
    /// Its id; empty for a node that is alone.
    pub id: String,
    /// Its name.
    pub name: String,
    /// The version of its program.
    pub version: String,
    implementation: Option<String>,
    uptime: String,
    /// Whole seconds.
    pub uptime_seconds: u64,
    started_at: String,
    seen_at: String,
    /// Topics with a subscriber.
    pub active_topics: u64,
    /// Different users.
    pub connected_clients: u64,
    /// Authenticated sockets.
    pub connected_sockets: u64,
    /// Whether it was heard of lately.
    pub alive: bool,
    link: &'static str,
    /// Whether it is the node that is asked.
    #[serde(rename = "self")]
    pub is_self: bool,
    /// Milliseconds since it was last heard of.
    #[serde(skip)]
    pub age_ms: u64,
}

/// What is said of the way to Redis.
#[derive(Debug, Serialize)]
pub struct RedisLink {
    state: &'static str,
    address: String,
    away_ms: Option<u64>,
    reconnects: u64,
    error: Option<String>,
}

/// What `/internal/nodes` answers.
#[derive(Debug, Serialize)]
pub struct Nodes {
    /// The way to Redis; a single node has none.
    pub redis: Option<RedisLink>,
    /// Every node, the one that answers first.
    pub nodes: Vec<Node>,
}

impl Nodes {
    /// The document as compact JSON.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default() // Plain values.
    }
}

impl From<LinkReport> for RedisLink {
    fn from(report: LinkReport) -> Self {
        Self {
            state: link_name(report.state),
            address: report.redis,
            away_ms: report.away_ms,
            reconnects: report.reconnects,
            error: report.last_error,
        }
    }
}

impl Node {
    /// A node that is not in a cluster.
    pub fn alone(hub: &Hub, clock: Clock) -> Self {
        let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
        let started = Timestamp::now() - SignedDuration::from_millis(clock.now_ms() as i64);
        node("", entry("", &name, started, hub, clock), 0, "up", true)
    }
}

fn link_name(state: LinkState) -> &'static str {
    match state {
        LinkState::Up => "up",
        LinkState::Away => "away",
    }
}

impl Cluster {
    /// Counts and writes until `end`.
    pub(super) async fn watch(self: Arc<Self>, redis: Arc<Redis>, end: CancellationToken) {
        let mut ticks = interval(COUNT);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut generation, mut counts) = (0, 0);
        let mut agreed = (false, 0); // Whether strangers listen, and so many counts said so.
        loop {
            let commands = tokio::select! {
                () = end.cancelled() => return,
                _ = ticks.tick() => redis.commands(),
                commands = redis.newer_commands(generation) => Some(commands),
            };
            let Some(commands) = commands else {
                self.subscribers.store(-1, Ordering::Relaxed);
                agreed.1 = 0;
                continue;
            };
            let is_new = commands.generation() != generation;
            if is_new {
                (generation, counts) = (commands.generation(), 0); // The entry is written at once.
            }
            let result = tokio::select! {
                () = end.cancelled() => return,
                result = timeout(PATIENCE, self.look(&commands, counts == 0)) => result,
            };
            counts = (counts + 1) % COUNTS_PER_ENTRY;
            if !is_new && matches!(result, Ok(Ok(_))) {
                self.listeners.store(self.subscribers(), Ordering::Relaxed);
            }
            match result {
                Ok(Ok(strangers)) if strangers == agreed.0 => agreed.1 += 1,
                Ok(Ok(strangers)) => agreed = (strangers, 1),
                Ok(Err(error)) => debug!(%error, "the roster was not written"),
                Err(_) => self.subscribers.store(-1, Ordering::Relaxed),
            }
            if agreed.1 >= STRANGE_COUNTS {
                self.strangers.store(agreed.0, Ordering::Relaxed);
            }
        }
    }

    /// Counts who listens, and writes and reads the roster if `and_write`. Whether more listen than
    /// there are nodes of ours.
    async fn look(&self, commands: &Commands, and_write: bool) -> Result<bool, RedisError> {
        let count = self.count(commands).await?;
        if and_write && !self.is_leaving() {
            let entry = serde_json::to_string(&self.entry()).unwrap_or_default(); // Plain values.
            let mut write = ::redis::cmd("HSET");
            write.arg(&self.names.nodes).arg(&self.id).arg(entry);
            commands.query::<u64>(&write).await?;
            let gone = self.read_roster(commands).await?;
            if !gone.is_empty() {
                let mut remove = ::redis::cmd("HDEL");
                remove.arg(&self.names.nodes).arg(&gone);
                commands.query::<u64>(&remove).await?;
            }
        }
        let ours = self.roster.lock().ours_alive(self.clock.now_ms());
        Ok(!commands.is_cluster() && usize::try_from(count).is_ok_and(|count| count > ours))
    }

    /// Reads the roster; returns the ids whose entries are to be removed.
    async fn read_roster(&self, commands: &Commands) -> Result<Vec<String>, RedisError> {
        let mut all = ::redis::cmd("HGETALL");
        all.arg(&self.names.nodes);
        let hash: Vec<(String, String)> = commands.query(&all).await?;
        Ok(self.roster.lock().read(hash, Timestamp::now(), self.clock.now_ms()))
    }

    /// Counts the subscribers of the channel anew.
    pub(super) async fn count(&self, commands: &Commands) -> Result<i64, RedisError> {
        let mut count = ::redis::cmd("PUBSUB");
        count.arg("NUMSUB").arg(&self.names.events);
        let (_, count): (String, i64) = commands.query(&count).await?;
        self.subscribers.store(count, Ordering::Relaxed);
        Ok(count)
    }

    /// Subscribers of the channel, as last counted; -1 if nobody answers.
    pub fn subscribers(&self) -> i64 {
        self.subscribers.load(Ordering::Relaxed)
    }

    /// Counts the subscribers of the channel anew, if Redis answers within 100 ms.
    pub async fn count_subscribers(&self, redis: &Redis) {
        let deadline = Instant::now() + ASKED_PATIENCE;
        if let Some(commands) = redis.commands() {
            let _ = timeout_at(deadline, self.count(&commands)).await;
        }
    }

    /// Reads the roster anew, if Redis answers within 100 ms.
    pub async fn refresh_nodes(&self, redis: &Redis) {
        let deadline = Instant::now() + ASKED_PATIENCE;
        if let Some(commands) = redis.commands() {
            let _ = timeout_at(deadline, self.read_roster(&commands)).await;
        }
    }

    /// Every node as last read, this one first, then by name.
    pub fn nodes(&self, redis: &Redis) -> Vec<Node> {
        let now_ms = self.clock.now_ms();
        let mut nodes = vec![node(&self.id, self.entry(), 0, link_name(redis.state()), true)];
        let roster = self.roster.lock();
        let others = roster.nodes(now_ms).filter(|(id, ..)| *id != self.id);
        let mut others: Vec<_> = others
            .map(|(id, entry, age_ms)| {
                let link = if age_ms <= DEAD_AFTER_MS { "up" } else { "lost" };
                node(id, entry.clone(), age_ms, link, false)
            })
            .collect();
        others.sort_by(|a, b| (&a.name, &a.id).cmp(&(&b.name, &b.id)));
        nodes.extend(others);
        nodes
    }

    /// This node's entry now.
    fn entry(&self) -> Entry {
        entry(&self.id, &self.config.node_name, self.started_at, &self.hub, self.clock)
    }
}

fn entry(id: &str, name: &str, started_at: Timestamp, hub: &Hub, clock: Clock) -> Entry {
    let audience = hub.audience();
    let uptime = clock.uptime();
    Entry {
        id: id.to_owned(),
        name: name.to_owned(),
        version: VERSION.to_owned(),
        started_at: started_at.to_string(),
        seen_at: Timestamp::now().to_string(),
        active_topics: hub.active_topics() as u64,
        connected_clients: audience.clients as u64,
        connected_sockets: audience.sockets as u64,
        alive: true,
        uptime: go_uptime(uptime),
        uptime_seconds: rounded_seconds(uptime),
        implementation: Some(IMPLEMENTATION.to_owned()),
    }
}

fn node(id: &str, entry: Entry, age_ms: u64, link: &'static str, is_self: bool) -> Node {
    Node {
        id: id.to_owned(),
        name: entry.name,
        version: entry.version,
        implementation: entry.implementation,
        uptime: entry.uptime,
        uptime_seconds: entry.uptime_seconds,
        started_at: entry.started_at,
        seen_at: entry.seen_at,
        active_topics: entry.active_topics,
        connected_clients: entry.connected_clients,
        connected_sockets: entry.connected_sockets,
        alive: age_ms <= DEAD_AFTER_MS,
        link,
        is_self,
        age_ms,
    }
}
