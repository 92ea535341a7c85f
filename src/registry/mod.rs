//! Which topics may be used, and until when: register, unregister, look up, list, expire.
//!
//! A node answers from its own memory what it knows ([`memory`]). A registry that is shared asks
//! Redis what it does not know, writes behind what is registered here, and confirms what it knows
//! ([`shared`]); a node that is alone never gets there. Time is an argument, in milliseconds of the
//! node's clock. Knows nothing of subscribers. Start reading at [`Registry`].

mod ask;
mod confirm;
mod count;
mod greet;
mod memory;
mod names;
mod script;
mod shared;
#[cfg(test)]
mod tests;
mod told;
mod value;
mod writer;
mod writes;

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use self::memory::{Memory, Recall};
use self::shared::{Pace, Shared};
use crate::clock::Clock;
use crate::config::RegistryConfig;
use crate::metrics::Metrics;
use crate::redis::Redis;
use crate::topic::Topic;

/// What is known of a registered topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TopicMeta {
    /// Whether browsers need a token that is good for it.
    pub require_token: bool,
}

/// What is known of a topic at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lookup {
    /// It is registered.
    Known(TopicMeta),
    /// It is not registered.
    Unknown,
    /// Only Redis can say: ask by [`Registry::find`].
    Ask,
    /// Only Redis could say, and it is away or slow.
    Away,
}

/// What a registry that is shared needs beside its configuration.
#[derive(Debug, Clone)]
pub struct Sharing {
    /// What the names of keys and channels begin with.
    pub prefix: String,
    /// Whether Redis is a Redis Cluster, where each topic is kept in another place.
    pub is_redis_cluster: bool,
    /// The clock from which the moments are that its functions are given.
    pub clock: Clock,
    /// Where it counts.
    pub metrics: Arc<Metrics>,
}

/// The registered topics. Clones are handles to the same.
#[derive(Debug, Clone)]
pub struct Registry {
    memory: Arc<Memory>,
    shared: Option<Arc<Shared>>,
}

impl Registry {
    /// An empty registry of a node that is alone.
    pub fn new(config: RegistryConfig) -> Self {
        Self { memory: Arc::new(Memory::new(config, false)), shared: None }
    }

    /// An empty registry of a node that shares its topics with others. Alone until
    /// [`Registry::join`] is called.
    pub fn shared(config: RegistryConfig, sharing: Sharing) -> Self {
        Self::shared_at_pace(config, sharing, Pace::default())
    }

    fn shared_at_pace(config: RegistryConfig, sharing: Sharing, pace: Pace) -> Self {
        let memory = Arc::new(Memory::new(config, true));
        let shared = Arc::new(Shared::new(Arc::clone(&memory), sharing, pace));
        Self { memory, shared: Some(shared) }
    }

    /// The channel whose messages [`Registry::hear_change`] is to be given; `None` for a node that
    /// is alone.
    pub fn channel(&self) -> Option<&str> {
        self.shared.as_ref().map(|shared| &*shared.names.changes)
    }

    /// Takes note of a message of [`Registry::channel`], of another node or of this one. Waits for
    /// nothing.
    pub fn hear_change(&self, message: &[u8]) {
        if let Some(shared) = &self.shared {
            shared.hear_change(message);
        }
    }

    /// Begins to share by `redis`, until `end` is cancelled. Needs a runtime. Does nothing for a
    /// node that is alone, or a second time.
    pub fn join(&self, redis: Arc<Redis>, end: CancellationToken) {
        if let Some(shared) = &self.shared {
            shared.join(redis, end);
        }
    }

    /// Registers `topic`, or renews it with another `meta`, for the time to live from `now_ms`.
    /// Other nodes hear of it soon after.
    pub fn register(&self, topic: &str, meta: TopicMeta, now_ms: u64) {
        let Some(shared) = &self.shared else {
            self.memory.register(topic, meta, now_ms);
            return;
        };
        if self.memory.register_at(topic, meta, shared.finer(now_ms)) {
            shared.others.became_known(topic);
        }
        shared.written_behind.notify_one();
    }

    /// Forgets `topic`; whether it was registered does not matter. Other nodes hear of it soon
    /// after.
    pub fn unregister(&self, topic: &str, now_ms: u64) {
        let Some(shared) = &self.shared else {
            self.memory.unregister(topic, now_ms);
            return;
        };
        self.memory.unregister_at(topic, shared.finer(now_ms));
        shared.asks.spoil(topic);
        shared.others.has_gone(topic);
        shared.written_behind.notify_one();
    }

    /// What is known of `topic` at `now_ms`, without asking anybody.
    ///
    /// In a registry that is shared, memory answers what Redis confirmed within the last 15 s,
    /// what still waits to be written, and everything while Redis is away.
    pub fn lookup(&self, topic: &str, now_ms: u64) -> Lookup {
        let Some(shared) = &self.shared else {
            return self.memory.get(topic, now_ms).map_or(Lookup::Unknown, Lookup::Known);
        };
        match self.memory.recall(topic, now_ms, shared.fresh_ms()) {
            Recall::Known(meta) => Lookup::Known(meta),
            Recall::Removed => Lookup::Unknown,
            // The node's own topic is known here, or nowhere.
            Recall::Stale(meta) if topic == Topic::STATUS => Lookup::Known(meta),
            Recall::Nothing if topic == Topic::STATUS => Lookup::Unknown,
            Recall::Stale(_) | Recall::Nothing if shared.serving().is_some() => Lookup::Ask,
            Recall::Stale(meta) => Lookup::Known(meta),
            Recall::Nothing => Lookup::Away,
        }
    }

    /// What is known of `topic`, asking Redis if need be, within 100 ms. Never [`Lookup::Ask`].
    /// Cancel-safe.
    pub async fn find(&self, topic: &str, now_ms: u64) -> Lookup {
        match (self.lookup(topic, now_ms), &self.shared) {
            (Lookup::Ask, Some(shared)) => shared.find(topic).await,
            (known, _) => known,
        }
    }

    /// What this node remembers of `topic`, confirmed or not: for who was told a moment ago that
    /// it is registered, and must not be asked to wait again.
    pub fn recall(&self, topic: &str, now_ms: u64) -> Option<TopicMeta> {
        self.memory.get(topic, now_ms)
    }

    /// How many topics are registered, as far as is known: here at once, elsewhere soon. Just
    /// after many ended at once, a little too many. While Redis is away, those that this node
    /// knows.
    pub fn len(&self, now_ms: u64) -> usize {
        let elsewhere = self.reachable().map_or(0, |shared| shared.others.len());
        self.memory.len(now_ms).saturating_add(elsewhere)
    }

    /// Whether no topic is registered.
    pub fn is_empty(&self, now_ms: u64) -> bool {
        self.len(now_ms) == 0
    }

    /// The names of the topics that [`Registry::len`] counts, in no order; of those that this node
    /// does not know, at most 100,000.
    pub fn names(&self, now_ms: u64) -> Vec<String> {
        let mut names = self.memory.names(now_ms);
        if let Some(shared) = self.reachable() {
            names.extend(shared.others.names());
        }
        names
    }

    /// Visits the topics that [`Registry::names`] names: with what is known of them and when they
    /// end, if that is known here. `visit` is called under a lock, and must be quick.
    pub fn each(&self, now_ms: u64, mut visit: impl FnMut(&str, Option<(TopicMeta, u64)>)) {
        self.memory.each(now_ms, &mut visit);
        if let Some(shared) = self.reachable() {
            shared.others.each(|name| visit(name, None));
        }
    }

    /// Returns when other nodes can know all that was registered and unregistered here, or Redis
    /// is away; for the end of a node, which has a deadline. Cancel-safe.
    pub async fn written(&self) {
        if let Some(shared) = &self.shared {
            shared.written().await;
        }
    }

    /// Whether Redis answers, but cannot be asked for topics yet.
    pub fn is_greeting(&self) -> bool {
        self.shared.as_ref().is_some_and(|shared| shared.is_greeting())
    }

    /// Returns when Redis can be asked. At once for a node that is alone. Cancel-safe.
    pub async fn reached(&self) {
        if let Some(shared) = &self.shared {
            shared.reached().await;
        }
    }

    /// Clears some of what has ended; to be called now and then, so that topics nobody asks for
    /// give their memory back.
    pub fn tidy(&self, now_ms: u64) {
        self.memory.tidy(now_ms);
        if let Some(shared) = &self.shared
            && self.memory.renew_status(now_ms)
        {
            shared.written_behind.notify_one();
        }
    }

    /// The shared part, if Redis serves.
    fn reachable(&self) -> Option<&Arc<Shared>> {
        self.shared.as_ref().filter(|shared| shared.serving().is_some())
    }
}
