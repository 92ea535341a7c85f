//! Registries of several nodes that share a real Redis, and a raw client that plays the Go worker.

mod agreement;
mod counting;
mod faults;
mod lost_data;
mod never_revived;
mod sharing;
mod slow;

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::shared::Pace;
use super::{Lookup, Registry, Sharing, TopicMeta};
use crate::clock::{Clock, unix_now_us};
use crate::config::{RedisConfig, RedisTarget, RegistryConfig};
use crate::metrics::Metrics;
use crate::redis::tests::server::Server;
use crate::redis::{LinkState, Redis};
use crate::topic::Topic;

const OPEN: TopicMeta = TopicMeta { require_token: false };
const CLOSED: TopicMeta = TopicMeta { require_token: true };

/// The time to live that nodes give, unless a test says otherwise.
const TTL: Duration = Duration::from_secs(3600);

/// Longest time a test waits for something.
const PATIENCE: Duration = Duration::from_secs(10);

/// A pace at which nothing happens in the background while a test runs.
const PATIENT: Pace = Pace {
    ask: Duration::from_millis(100),
    fresh: Duration::from_secs(600),
    round: Duration::from_secs(300),
    count: Duration::from_secs(300),
};

/// A pace at which everything happens soon.
const SWIFT: Pace = Pace {
    ask: Duration::from_secs(2),
    fresh: Duration::from_millis(500),
    round: Duration::from_millis(100),
    count: Duration::from_millis(20),
};

/// A node, as far as its registry goes.
struct Node {
    registry: Registry,
    config: RedisConfig,
    clock: Clock,
    metrics: Arc<Metrics>,
    redis: Option<Arc<Redis>>,
    end: CancellationToken,
}

impl Node {
    /// A node that is not connected yet.
    fn alone(config: RedisConfig, pace: Pace, ttl: Duration) -> Self {
        let metrics = Arc::new(Metrics::default());
        let clock = Clock::start();
        let sharing = Sharing {
            prefix: "wavelog:".to_owned(),
            is_redis_cluster: matches!(config.target, RedisTarget::Cluster(_)),
            clock,
            metrics: Arc::clone(&metrics),
        };
        let registry = Registry::shared_at_pace(RegistryConfig { topic_ttl: ttl }, sharing, pace);
        Self { registry, config, clock, metrics, redis: None, end: CancellationToken::new() }
    }

    /// A node that is connected and greeted.
    async fn at(server: &Server, pace: Pace) -> Self {
        let mut node = Self::alone(server.config(), pace, TTL);
        node.join().await;
        node
    }

    /// A node with a user of its own, so that it can be shut out alone.
    async fn of(user: &str, server: &Server, pace: Pace) -> Self {
        server.cli(&["ACL", "SETUSER", user, "on", ">secret", "~*", "&*", "+@all"]);
        let config = RedisConfig {
            username: Some(user.to_owned()),
            password: Some("secret".to_owned()),
            ..server.config()
        };
        let mut node = Self::alone(config, pace, TTL);
        node.join().await;
        node
    }

    /// Connects the node.
    async fn join(&mut self) {
        let registry = self.registry.clone();
        let channel = registry.channel().unwrap().to_owned();
        let hear = Box::new(move |message: &[u8]| registry.hear_change(message));
        let redis = Redis::start(
            self.config.clone(),
            vec![(channel, hear)],
            Arc::clone(&self.metrics),
            self.end.clone(),
        );
        self.registry.join(Arc::clone(&redis), self.end.clone());
        self.redis = Some(redis);
        self.is_served().await;
    }

    /// Waits until Redis serves the node.
    async fn is_served(&self) {
        let redis = self.redis.as_ref().unwrap();
        let shared = self.registry.shared.as_ref().unwrap();
        until("the node is served", || {
            redis.state() == LinkState::Up && shared.serving().is_some()
        })
        .await;
        redis.listening(0).await;
    }

    /// The connection that serves the node, if there is one.
    fn generation(&self) -> u64 {
        let shared = self.registry.shared.as_ref().unwrap();
        shared.serving().map_or(0, |(commands, _)| commands.generation())
    }

    /// Waits until another connection than that of `generation` serves the node, and nothing has
    /// to be written any more.
    async fn has_come_back(&self, generation: u64) {
        until("another connection serves", || self.generation() > generation).await;
        self.is_served().await;
        self.has_written().await;
    }

    /// Waits until the node is alone.
    async fn is_alone(&self) {
        let redis = self.redis.as_ref().unwrap();
        until("the node is alone", || redis.state() == LinkState::Away).await;
    }

    /// Waits until nothing has to be written any more.
    async fn has_written(&self) {
        until("all is written", || self.registry.memory.writes() == 0).await;
    }

    async fn register(&self, topic: &str, meta: TopicMeta) {
        self.registry.register(topic, meta, self.clock.now_ms());
        if self.redis.as_ref().is_some_and(|redis| redis.commands().is_some()) {
            self.has_written().await;
        }
    }

    async fn unregister(&self, topic: &str) {
        self.registry.unregister(topic, self.clock.now_ms());
        if self.redis.as_ref().is_some_and(|redis| redis.commands().is_some()) {
            self.has_written().await;
        }
    }

    fn lookup(&self, topic: &str) -> Lookup {
        self.registry.lookup(topic, self.clock.now_ms())
    }

    async fn find(&self, topic: &str) -> Lookup {
        self.registry.find(topic, self.clock.now_ms()).await
    }

    /// Waits until `topic` is found to be `expected`.
    async fn finds(&self, topic: &str, expected: Lookup) {
        let begun = Instant::now();
        loop {
            let found = self.find(topic).await;
            if found == expected {
                return;
            }
            assert!(begun.elapsed() < PATIENCE, "{topic} is {found:?}, not {expected:?}");
            sleep(Duration::from_millis(5)).await;
        }
    }

    fn len(&self) -> usize {
        self.registry.len(self.clock.now_ms())
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.end.cancel();
    }
}

/// Shuts a user out, until [`let_in`].
async fn shut_out(node: &Node, user: &str, server: &Server) {
    server.cli(&["ACL", "SETUSER", user, "off"]);
    server.cli(&["CLIENT", "KILL", "USER", user]);
    node.is_alone().await;
}

async fn let_in(node: &Node, user: &str, server: &Server) {
    server.cli(&["ACL", "SETUSER", user, "on"]);
    node.is_served().await;
    node.has_written().await;
}

/// What the Go worker does when PHP registers.
fn go_registers(server: &Server, topic: &str, value: &str) {
    let millis = TTL.as_millis().to_string();
    let key = format!("wavelog:topic:{topic}");
    assert_eq!(server.cli(&["SET", &key, value, "PX", &millis]), "OK\n");
}

/// What the Go worker does when PHP unregisters.
fn go_unregisters(server: &Server, topic: &str) {
    server.cli(&["DEL", &format!("wavelog:topic:{topic}")]);
}

/// The value of a topic's key; empty if there is none.
fn value(server: &Server, topic: &str) -> String {
    server.cli(&["GET", &format!("wavelog:topic:{topic}")]).trim().to_owned()
}

/// How often a command was carried out.
fn calls(server: &Server, command: &str) -> u64 {
    let stats = server.cli(&["INFO", "commandstats"]);
    let line = stats.lines().find_map(|l| l.strip_prefix(&format!("cmdstat_{command}:calls=")));
    line.map_or(0, |line| line.split(',').next().unwrap().parse().unwrap())
}

async fn until(what: &str, is_so: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < PATIENCE, "not in time: {what}");
        sleep(Duration::from_millis(2)).await;
    }
}
