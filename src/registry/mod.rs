//! Which topics may be used, and until when: register, unregister, look up, list, expire.
//!
//! All topics have the same time to live, so in order of their last registration they are in
//! order of their end: what is due stands in front, and every call clears a few of those. So a
//! lookup costs the same with a million topics, and no sweep ever stops the world. Time is an
//! argument, in milliseconds of the node's clock. Knows nothing of subscribers.

use std::hash::{BuildHasher, RandomState};

use hashlink::LinkedHashMap;
use parking_lot::Mutex;

use crate::clock::millis;
use crate::config::RegistryConfig;
use crate::topic::Topic;

/// Parts of the registry, each with its own lock.
const SHARDS: usize = 64;

/// Topics that a call clears at most when their time is over. Each call adds one at most, so the
/// clearing keeps up.
const CLEARED_PER_CALL: usize = 4;

/// Topics that a tidying call clears per part, under one lock: about 100 µs.
const CLEARED_PER_TIDY: usize = 1000;

/// Places that an empty part keeps for the topics to come.
const CAPACITY_KEPT: usize = 1024;

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

/// The registered topics of this node.
#[derive(Debug)]
pub struct Registry {
    shards: Vec<Mutex<Shard>>,
    hasher: RandomState,
    ttl_ms: u64,
}

/// A part of the topics, in the order of their ends.
type Shard = LinkedHashMap<Box<str>, Entry>;

#[derive(Debug, Clone, Copy)]
struct Entry {
    ends_ms: u64,
    meta: TopicMeta,
}

impl Registry {
    /// An empty registry.
    pub fn new(config: RegistryConfig) -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            hasher: RandomState::new(),
            ttl_ms: millis(config.topic_ttl).max(1),
        }
    }

    /// Registers `topic`, or renews it with another `meta`, for the time to live from `now_ms`.
    pub fn register(&self, topic: &str, meta: TopicMeta, now_ms: u64) {
        let entry = Entry { ends_ms: now_ms.saturating_add(self.ttl_ms), meta };
        let mut shard = self.shard(topic).lock();
        self.clear(&mut shard, now_ms, CLEARED_PER_CALL);
        if let Some(known) = shard.get_mut(topic) {
            *known = entry;
            shard.to_back(topic);
        } else {
            shard.insert(topic.into(), entry);
        }
    }

    /// Forgets `topic`; whether it was registered does not matter.
    pub fn unregister(&self, topic: &str) {
        self.shard(topic).lock().remove(topic);
    }

    /// What is known of `topic` at `now_ms`, without asking anybody.
    pub fn lookup(&self, topic: &str, now_ms: u64) -> Lookup {
        let mut shard = self.shard(topic).lock();
        self.clear(&mut shard, now_ms, CLEARED_PER_CALL);
        match shard.get(topic) {
            Some(entry) if now_ms < entry.ends_ms || topic == Topic::STATUS => {
                Lookup::Known(entry.meta)
            }
            _ => Lookup::Unknown,
        }
    }

    /// What is known of `topic`, asking Redis if need be, within 100 ms. Never [`Lookup::Ask`].
    /// Cancel-safe.
    #[expect(clippy::unused_async, reason = "a registry that is not shared asks nobody")]
    pub async fn find(&self, topic: &str, now_ms: u64) -> Lookup {
        self.lookup(topic, now_ms)
    }

    /// How many topics are registered; just after many ended at once, a little too many.
    pub fn len(&self, now_ms: u64) -> usize {
        let count = |shard: &Mutex<Shard>| {
            let mut shard = shard.lock();
            self.clear(&mut shard, now_ms, CLEARED_PER_TIDY);
            shard.len()
        };
        self.shards.iter().map(count).sum()
    }

    /// Whether no topic is registered.
    pub fn is_empty(&self, now_ms: u64) -> bool {
        self.len(now_ms) == 0
    }

    /// The names of all registered topics, in no order.
    pub fn names(&self, now_ms: u64) -> Vec<String> {
        let live = |shard: &Mutex<Shard>| {
            let mut shard = shard.lock();
            self.clear(&mut shard, now_ms, CLEARED_PER_TIDY);
            let live = shard
                .iter()
                .filter(|(name, entry)| now_ms < entry.ends_ms || &***name == Topic::STATUS);
            live.map(|(name, _)| String::from(&**name)).collect::<Vec<_>>()
        };
        self.shards.iter().flat_map(live).collect()
    }

    /// Clears some of what has ended; to be called now and then, so that topics nobody asks for
    /// give their memory back.
    pub fn tidy(&self, now_ms: u64) {
        for shard in &self.shards {
            let mut shard = shard.lock();
            self.clear(&mut shard, now_ms, CLEARED_PER_TIDY);
            if shard.capacity() > CAPACITY_KEPT && shard.capacity() / 8 > shard.len() {
                shard.shrink_to_fit(); // Moves few entries: nearly all of them have gone.
            }
        }
    }

    fn clear(&self, shard: &mut Shard, now_ms: u64, most: usize) {
        for _ in 0..most {
            match shard.front() {
                Some((_, entry)) if now_ms >= entry.ends_ms => {}
                _ => return,
            }
            let Some((name, mut entry)) = shard.pop_front() else {
                return;
            };
            if &*name == Topic::STATUS {
                // The node's own topic renews itself until somebody unregisters it.
                entry.ends_ms = now_ms.saturating_add(self.ttl_ms);
                shard.insert(name, entry);
            }
        }
    }

    fn shard(&self, topic: &str) -> &Mutex<Shard> {
        &self.shards[self.hasher.hash_one(topic) as usize % SHARDS]
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const OPEN: TopicMeta = TopicMeta { require_token: false };
    const CLOSED: TopicMeta = TopicMeta { require_token: true };

    fn registry(ttl_ms: u64) -> Registry {
        Registry::new(RegistryConfig { topic_ttl: Duration::from_millis(ttl_ms) })
    }

    #[test]
    fn a_topic_lives_from_its_last_registration_for_the_time_to_live() {
        let registry = registry(100);

        registry.register("a", OPEN, 0);
        registry.register("a", CLOSED, 50);

        assert_eq!(registry.lookup("a", 149), Lookup::Known(CLOSED));
        assert_eq!(registry.lookup("a", 150), Lookup::Unknown);
        assert_eq!(registry.len(150), 0);
    }

    #[test]
    fn an_unregistered_topic_is_gone_at_once() {
        let registry = registry(100);
        registry.register("a", OPEN, 0);

        registry.unregister("a");
        registry.unregister("never there");

        assert_eq!(registry.lookup("a", 1), Lookup::Unknown);
        assert!(registry.is_empty(1));
    }

    #[test]
    fn the_status_topic_renews_itself_until_it_is_unregistered() {
        let registry = registry(100);
        registry.register(Topic::STATUS, CLOSED, 0);

        assert_eq!(registry.lookup(Topic::STATUS, 100_000), Lookup::Known(CLOSED));
        assert_eq!(registry.names(200_000), [Topic::STATUS]);
        registry.unregister(Topic::STATUS);
        assert_eq!(registry.lookup(Topic::STATUS, 200_001), Lookup::Unknown);
    }

    #[test]
    fn what_has_ended_is_cleared_though_nobody_asks_for_it() {
        let registry = registry(100);
        for n in 0..10_000 {
            registry.register(&format!("topic.{n}"), OPEN, n / 100);
        }

        assert_eq!(registry.len(99), 10_000);
        assert_eq!(registry.len(149), 5_000);
        for _ in 0..10 {
            registry.tidy(1_000);
        }
        assert!(registry.shards.iter().all(|shard| shard.lock().is_empty()));
    }

    #[test]
    fn many_topics_that_have_ended_give_their_memory_back() {
        let registry = registry(100);
        for n in 0..200_000 {
            registry.register(&format!("topic.{n}"), OPEN, 0);
        }

        for _ in 0..10 {
            registry.tidy(1_000);
        }

        let capacity: usize = registry.shards.iter().map(|shard| shard.lock().capacity()).sum();
        assert!(capacity <= SHARDS * CAPACITY_KEPT, "{capacity}");
    }

    #[test]
    fn the_status_topic_is_named_even_behind_many_that_have_ended() {
        let registry = registry(100);
        for n in 0..200_000 {
            registry.register(&format!("topic.{n}"), OPEN, 0);
        }
        registry.register(Topic::STATUS, CLOSED, 0);

        assert_eq!(registry.names(100), [Topic::STATUS]);
    }

    #[test]
    fn of_many_topics_that_end_at_once_none_is_found_before_it_is_cleared() {
        let registry = registry(100);
        for n in 0..100_000 {
            registry.register(&format!("topic.{n}"), OPEN, 0);
        }

        assert_eq!(registry.lookup("topic.99999", 100), Lookup::Unknown);
        assert!(registry.names(100).is_empty());
    }
}
