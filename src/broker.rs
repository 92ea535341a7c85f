//! The verbs: register, unregister, publish, authorize, subscribe, status, nodes.
//!
//! The only door for `api`, `ws` and `demo`, and the only place that knows the registry, the hub
//! and the cluster. It gives topics and payloads no meaning. What an operator asks is in [`look`].
//! Start reading at [`Broker::publish`].

pub mod look;

use std::sync::Arc;

use crate::clock::{Clock, Moment, unix_now};
use crate::cluster::{Cluster, Node, Nodes, RedisLink};
use crate::hub::{Busy, Hub, Subscription};
use crate::link::Link;
use crate::metrics::{self, ClusterFigures, Family, Metrics, ProcessFigures};
use crate::problems::{Kind, quoted};
use crate::protocol::message;
use crate::redis::{LinkState, Redis};
use crate::registry::{Lookup, Registry, TopicMeta};
use crate::secret::Secret;
use crate::status::{Figures, Status, VERSION};
use crate::token::{self, Claims, TokenError};
use crate::topic::Topic;

/// One node's broker.
#[derive(Debug)]
pub struct Broker {
    registry: Registry,
    hub: Arc<Hub>,
    secret: Secret,
    clock: Clock,
    metrics: Arc<Metrics>,
    /// `None` is a single node.
    cluster: Option<Membership>,
}

/// A node's part in a cluster, and its way to Redis.
#[derive(Debug, Clone)]
pub struct Membership {
    /// Its part.
    pub cluster: Arc<Cluster>,
    /// Its way.
    pub redis: Arc<Redis>,
}

/// Why an event was not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PublishError {
    /// Nobody registered the topic, or its time is over.
    #[error("topic not registered")]
    UnknownTopic,
    /// Browsers take less than is published, and the topic's outbox is full.
    #[error("busy")]
    Busy,
}

/// Why a browser was not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    /// What it sent first is no auth frame.
    #[error("first frame is no auth frame")]
    NoAuthFrame,
    /// Its auth frame has no token, and the topic needs one.
    #[error("auth frame has no token")]
    NoToken,
    /// Its token is not good for the topic.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// The topic was unregistered, or its time ran out, since the handshake.
    #[error("topic is not registered any more")]
    TopicGone,
}

/// What a status document shall contain beyond the plain one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StatusDetail {
    /// The lists of topics.
    pub topics: bool,
    /// Uptime in seconds, too.
    pub uptime_seconds: bool,
    /// What the original worker does not have.
    pub counters: bool,
}

impl Broker {
    /// A broker that has registered [`Topic::STATUS`] and nothing else.
    pub fn new(
        registry: Registry,
        hub: Arc<Hub>,
        secret: Secret,
        clock: Clock,
        metrics: Arc<Metrics>,
        cluster: Option<Membership>,
    ) -> Self {
        registry.register(Topic::STATUS, TopicMeta { require_token: true }, clock.now_ms());
        Self { registry, hub, secret, clock, metrics, cluster }
    }

    /// Whether `candidate` is the secret that opens the internal API.
    pub fn is_secret(&self, candidate: &[u8]) -> bool {
        self.secret.matches(candidate)
    }

    /// Registers a topic, or renews it.
    pub fn register(&self, topic: &str, meta: TopicMeta) {
        self.registry.register(topic, meta, self.clock.now_ms());
    }

    /// Forgets a topic. Who is subscribed stays so.
    pub fn unregister(&self, topic: &str) {
        self.registry.unregister(topic, self.clock.now_ms());
    }

    /// What is known of a topic, without asking anybody.
    pub fn lookup(&self, topic: &str) -> Lookup {
        self.registry.lookup(topic, self.clock.now_ms())
    }

    /// What is known of a topic, asking Redis if need be, within 100 ms. Never [`Lookup::Ask`].
    /// Cancel-safe.
    pub async fn find(&self, topic: &str) -> Lookup {
        self.registry.find(topic, self.clock.now_ms()).await
    }

    /// Pushes `payload`, a JSON value as PHP wrote it, to all subscribers of `topic`: on this node
    /// first, then on the others.
    ///
    /// What is accepted is neither lost nor overtaken by a later publish. Waits for no browser and
    /// for no other node; only if the topic's outbox is full, up to 500 ms for room in it, and if
    /// only Redis knows the topic, up to 100 ms for its answer.
    ///
    /// # Errors
    ///
    /// [`PublishError`] if it was not accepted; then nobody gets it.
    pub async fn publish(&self, topic: &str, payload: &str) -> Result<(), PublishError> {
        let since = Moment::now();
        match self.find(topic).await {
            Lookup::Known(_) => {}
            Lookup::Unknown | Lookup::Ask | Lookup::Away => {
                return Err(PublishError::UnknownTopic);
            }
        }
        match self.hub.publish(topic, since, || message::push_frame(payload)).await {
            Ok(()) => {
                self.published(topic, payload);
                Ok(())
            }
            Err(Busy) => {
                self.metrics.publishes_busy.inc();
                let detail = || format!("topic {}", quoted(topic));
                self.metrics.problems.note(Kind::OutboxFull, detail);
                Err(PublishError::Busy)
            }
        }
    }

    /// [`Broker::publish`] if that need not wait for anything.
    ///
    /// # Errors
    ///
    /// As there, but busy at once if the topic's outbox is full.
    pub fn publish_now(&self, topic: &str, payload: &str) -> Result<(), PublishError> {
        let since = Moment::now();
        let Lookup::Known(_) = self.lookup(topic) else {
            return Err(PublishError::UnknownTopic);
        };
        self.hub
            .publish_now(topic, since, || message::push_frame(payload))
            .map_err(|Busy| PublishError::Busy)?;
        self.published(topic, payload);
        Ok(())
    }

    /// An event was delivered here: the other nodes are next.
    fn published(&self, topic: &str, payload: &str) {
        self.metrics.publishes.inc();
        self.hub.show(topic, payload);
        if let Some(Membership { cluster, .. }) = &self.cluster {
            cluster.offer(topic, payload);
        }
    }

    /// Whether the node is of full use: alone, or with a Redis that answers.
    pub fn is_ready(&self) -> bool {
        let is_up = |member: &Membership| member.redis.state() == LinkState::Up;
        self.cluster.as_ref().is_none_or(is_up) && !self.registry.is_greeting()
    }

    /// Counts the nodes anew for the next status document, if Redis answers within 100 ms.
    pub async fn count_nodes(&self) {
        if let Some(Membership { cluster, redis }) = &self.cluster {
            cluster.count_subscribers(redis).await;
        }
    }

    /// The nodes of the cluster as JSON; a single node is alone in it. Asks Redis, within 100 ms.
    pub async fn nodes(&self) -> String {
        let (link, nodes) = match &self.cluster {
            Some(Membership { cluster, redis }) => {
                cluster.refresh_nodes(redis).await;
                (Some(RedisLink::from(redis.describe())), cluster.nodes(redis))
            }
            None => (None, vec![Node::alone(&self.hub, self.clock)]),
        };
        Nodes { redis: link, nodes }.to_json()
    }

    /// Whether `token` lets a browser join `topic` now; the answer is its user, 0 for nobody in
    /// particular. On an open topic the token is not even read.
    ///
    /// # Errors
    ///
    /// [`AuthError`] says why not.
    pub fn authorize(&self, topic: &str, token: &str) -> Result<i64, AuthError> {
        // Not asked again: its handshake was told a moment ago.
        let known = self.registry.recall(topic, self.clock.now_ms());
        let meta = known.ok_or(AuthError::TopicGone)?;
        if !meta.require_token {
            return Ok(0);
        }
        if token.is_empty() {
            return Err(AuthError::NoToken);
        }
        let Claims { user_id, .. } = token::authorize(token, &self.secret, topic, unix_now())?;
        Ok(user_id)
    }

    /// Adds a browser to the subscribers of `topic`, until the subscription is dropped.
    pub fn subscribe(&self, topic: &str, user_id: i64, link: Arc<Link>) -> Subscription {
        self.hub.subscribe(topic, user_id, link)
    }

    /// The status document as JSON.
    pub fn status(&self, detail: StatusDetail) -> String {
        let now_ms = self.clock.now_ms();
        let uptime = self.clock.uptime();
        let audience = self.hub.audience();
        let mut status = Status::new(Figures {
            uptime,
            registered_topics: self.registry.len(now_ms),
            active_topics: self.hub.active_topics(),
            connected_clients: audience.clients,
            connected_sockets: audience.sockets,
            cluster_nodes: self.cluster.as_ref().map_or(-1, |member| member.cluster.subscribers()),
        });
        if detail.uptime_seconds {
            status = status.with_uptime_seconds(uptime);
        }
        if detail.topics {
            status = status.with_topics(self.registry.names(now_ms), self.hub.active_topic_names());
        }
        if detail.counters {
            status = status.with_counters(&self.metrics);
            if let Some(Membership { cluster, redis }) = &self.cluster {
                let waiting = cluster.waiting_bytes();
                let link = RedisLink::from(redis.describe());
                status = status.with_redis(!self.is_ready(), &link, waiting);
            }
        }
        status.to_json()
    }

    /// Everything that there is to say to Prometheus; `process` is for the caller to read.
    pub fn measured(&self, process: &ProcessFigures) -> Vec<Family> {
        let audience = self.hub.audience();
        let cluster = self.cluster.as_ref().map(|Membership { cluster, redis }| ClusterFigures {
            redis_up: redis.state() == LinkState::Up,
            nodes: u64::try_from(cluster.subscribers()).ok(),
            waiting_envelopes: cluster.waiting(),
            waiting_bytes: cluster.waiting_bytes(),
        });
        let figures = metrics::Figures {
            version: VERSION,
            ready: self.is_ready(),
            sockets: audience.sockets,
            clients: audience.clients,
            registered_topics: self.registry.len(self.clock.now_ms()),
            active_topics: self.hub.active_topics(),
            cluster,
        };
        metrics::families(&self.metrics, &figures, process)
    }

    /// Clears some of what has ended; to be called every second or so.
    pub fn tidy(&self) {
        self.registry.tidy(self.clock.now_ms());
    }
}
