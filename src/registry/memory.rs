//! What the node itself knows: topics in the order of their ends, and what of it has still to be
//! written to Redis.
//!
//! All topics registered here have the same time to live, so in order of their last registration
//! they are in order of their end: what is due stands in front, and every call clears a few of
//! those. So a lookup costs the same with a million topics, and no sweep ever stops the world.
//! Time is an argument, in milliseconds of the node's clock. Knows nothing of Redis but the moments
//! at which it said something, which others tell; what they tell is in [`super::told`], what waits
//! to be written in [`super::writes`]. A topic and its write change under one lock.

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::AtomicUsize;

use hashlink::LinkedHashMap;
use parking_lot::Mutex;

use super::TopicMeta;
use super::writes::{Had, Removed, Writes};
use crate::clock::millis;
use crate::config::RegistryConfig;
use crate::topic::Topic;

/// Parts of the memory, each with its own lock. So many that walking one of a million topics takes
/// less than a millisecond.
pub(super) const SHARDS: usize = 256;

/// Topics that a call clears at most when their time is over. Each call adds one at most, so the
/// clearing keeps up.
const CLEARED_PER_CALL: usize = 4;

/// Topics that a tidying call clears per part, under one lock: about 100 µs.
const CLEARED_PER_TIDY: usize = 1000;

/// Places that an empty part keeps for the topics to come.
const CAPACITY_KEPT: usize = 256;

/// The topics that this node knows.
#[derive(Debug)]
pub(super) struct Memory {
    pub(super) shards: Vec<Mutex<Shard>>,
    hasher: RandomState,
    pub(super) ttl_ms: u64,
    /// Whether what is registered has to be written to Redis.
    is_shared: bool,
    /// The part from which writes are taken first, so that none has to wait for the others.
    pub(super) first_part: AtomicUsize,
    pub(super) removed: Removed,
}

/// A part of the topics.
#[derive(Debug, Default)]
pub(super) struct Shard {
    /// Nearly in the order of their ends: those that were learned stand where they came.
    pub(super) topics: LinkedHashMap<Box<str>, Entry>,
    /// What has to be written, by topic; a topic that is not known may be in it, to be removed.
    pub(super) writes: Writes,
}

/// What is known of one topic. Its size decides what a topic costs: with name and links it fills
/// the 56 bytes that an allocator gives for 48.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) ends_ms: u64,
    /// When Redis last was asked and said that it has it; 0 if that is not known.
    pub(super) confirmed_ms: u64,
    /// Since when Redis has it as far as is known here, in seconds.
    pub(super) since_secs: u32,
    /// What its registration was later than the whole millisecond, in µs.
    pub(super) micros: u16,
    pub(super) meta: TopicMeta,
    /// Whether it was registered at this node.
    pub(super) is_ours: bool,
}

impl Entry {
    /// When it was registered, if that was at this node, in µs of its clock.
    pub(super) fn registered_us(&self, ttl_ms: u64) -> u64 {
        let ms = self.ends_ms.saturating_sub(ttl_ms);
        ms.saturating_mul(1000).saturating_add(self.micros.into())
    }
}

/// What the memory knows of a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Recall {
    /// It is registered.
    Known(TopicMeta),
    /// It was, when last heard of.
    Stale(TopicMeta),
    /// It was unregistered here, and Redis does not know it yet.
    Removed,
    /// Nothing.
    Nothing,
}

impl Memory {
    pub(super) fn new(config: RegistryConfig, is_shared: bool) -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            hasher: RandomState::new(),
            ttl_ms: millis(config.topic_ttl).max(1),
            is_shared,
            first_part: AtomicUsize::new(0),
            removed: Removed::default(),
        }
    }

    /// Registers `topic` or renews it. Whether it was not known before.
    pub(super) fn register(&self, topic: &str, meta: TopicMeta, now_ms: u64) -> bool {
        self.register_at(topic, meta, now_ms.saturating_mul(1000))
    }

    /// As [`Memory::register`], at a moment in microseconds, by which Redis and other nodes know
    /// what came first.
    pub(super) fn register_at(&self, topic: &str, meta: TopicMeta, now_us: u64) -> bool {
        let (now_ms, micros) = (now_us / 1000, (now_us % 1000) as u16);
        let ends_ms = now_ms.saturating_add(self.ttl_ms);
        let mut shard = self.shard(topic).lock();
        self.clear(&mut shard.topics, now_ms, CLEARED_PER_CALL);
        let entry = Entry { ends_ms, confirmed_ms: 0, since_secs: 0, micros, meta, is_ours: true };
        let before = shard.topics.to_back(topic).map(|known| std::mem::replace(known, entry));
        if before.is_none() {
            shard.topics.insert(topic.into(), entry);
        }
        if self.is_shared {
            shard.note_registration(topic, before, entry, now_us);
        }
        before.is_none()
    }

    /// Forgets `topic`; whether it was registered does not matter.
    pub(super) fn unregister(&self, topic: &str, now_ms: u64) {
        self.unregister_at(topic, now_ms.saturating_mul(1000));
    }

    /// As [`Memory::unregister`], at a moment in microseconds.
    pub(super) fn unregister_at(&self, topic: &str, now_us: u64) {
        let mut shard = self.shard(topic).lock();
        shard.topics.remove(topic);
        if self.is_shared {
            shard.writes.remove(topic, now_us);
        }
    }

    /// What is remembered of `topic`, confirmed or not.
    pub(super) fn get(&self, topic: &str, now_ms: u64) -> Option<TopicMeta> {
        let mut shard = self.shard(topic).lock();
        self.clear(&mut shard.topics, now_ms, CLEARED_PER_CALL);
        let entry = shard.topics.get(topic)?;
        (now_ms < entry.ends_ms || topic == Topic::STATUS).then_some(entry.meta)
    }

    /// What is known of `topic`: confirmed less than `fresh_ms` ago, or waiting to be written.
    pub(super) fn recall(&self, topic: &str, now_ms: u64, fresh_ms: u64) -> Recall {
        let mut shard = self.shard(topic).lock();
        self.clear(&mut shard.topics, now_ms, CLEARED_PER_CALL);
        match shard.topics.get(topic) {
            Some(entry) if now_ms < entry.ends_ms || topic == Topic::STATUS => {
                let is_confirmed =
                    entry.confirmed_ms != 0 && now_ms < entry.confirmed_ms.saturating_add(fresh_ms);
                if is_confirmed || shard.writes.contains(topic) {
                    Recall::Known(entry.meta)
                } else {
                    Recall::Stale(entry.meta)
                }
            }
            _ if shard.writes.contains(topic) => Recall::Removed,
            _ => Recall::Nothing,
        }
    }

    /// How many topics are known; just after many ended at once, a little too many.
    pub(super) fn len(&self, now_ms: u64) -> usize {
        let count = |shard: &Mutex<Shard>| {
            let mut shard = shard.lock();
            self.clear(&mut shard.topics, now_ms, CLEARED_PER_TIDY);
            shard.topics.len()
        };
        self.shards.iter().map(count).sum()
    }

    /// The names of all known topics, in no order.
    pub(super) fn names(&self, now_ms: u64) -> Vec<String> {
        let live = |shard: &Mutex<Shard>| {
            let mut shard = shard.lock();
            self.clear(&mut shard.topics, now_ms, CLEARED_PER_TIDY);
            let live = shard
                .topics
                .iter()
                .filter(|(name, entry)| now_ms < entry.ends_ms || &***name == Topic::STATUS);
            live.map(|(name, _)| String::from(&**name)).collect::<Vec<_>>()
        };
        self.shards.iter().flat_map(live).collect()
    }

    /// Visits all known topics with what is known of them and when they end. Walks a part at a
    /// time, under its lock.
    pub(super) fn each(&self, now_ms: u64, visit: &mut impl FnMut(&str, Option<(TopicMeta, u64)>)) {
        for shard in &self.shards {
            let shard = shard.lock();
            for (name, entry) in &shard.topics {
                if now_ms < entry.ends_ms || &**name == Topic::STATUS {
                    visit(name, Some((entry.meta, entry.ends_ms)));
                }
            }
        }
    }

    /// Whether `topic` is known, its time over or not.
    pub(super) fn contains(&self, topic: &str) -> bool {
        self.shard(topic).lock().topics.contains_key(topic)
    }

    /// Clears some of what has ended, and gives its memory back.
    pub(super) fn tidy(&self, now_ms: u64) {
        for shard in &self.shards {
            let mut shard = shard.lock();
            let topics = &mut shard.topics;
            self.clear(topics, now_ms, CLEARED_PER_TIDY);
            if topics.capacity() > CAPACITY_KEPT && topics.capacity() / 8 > topics.len() {
                topics.shrink_to_fit(); // Moves few entries: nearly all of them have gone.
            }
            shard.writes.tidy();
        }
    }

    /// Writes the node's own topic anew when a third of its time is over, so that Redis never
    /// forgets it. Whether there is something to write for it.
    pub(super) fn renew_status(&self, now_ms: u64) -> bool {
        let left_ms = {
            let shard = self.shard(Topic::STATUS).lock();
            match shard.topics.get(Topic::STATUS) {
                Some(entry) if entry.is_ours => {
                    Some((entry.ends_ms.saturating_sub(now_ms), entry.meta))
                }
                _ => None,
            }
        };
        match left_ms {
            Some((left_ms, meta)) if left_ms < self.ttl_ms / 3 * 2 => {
                self.register(Topic::STATUS, meta, now_ms);
                true
            }
            _ => false,
        }
    }

    fn clear(&self, topics: &mut LinkedHashMap<Box<str>, Entry>, now_ms: u64, most: usize) {
        for _ in 0..most {
            match topics.front() {
                Some((_, entry)) if now_ms >= entry.ends_ms => {}
                _ => return,
            }
            let Some((name, mut entry)) = topics.pop_front() else {
                return;
            };
            if &*name == Topic::STATUS {
                // The node's own topic renews itself until somebody unregisters it.
                entry.ends_ms = now_ms.saturating_add(self.ttl_ms);
                topics.insert(name, entry);
            }
        }
    }

    pub(super) fn shard(&self, topic: &str) -> &Mutex<Shard> {
        &self.shards[self.hasher.hash_one(topic) as usize % SHARDS]
    }
}

impl Shard {
    /// A registration is to be written. What Redis said before says nothing of it, but that the
    /// topic is there.
    fn note_registration(&mut self, topic: &str, before: Option<Entry>, entry: Entry, now_us: u64) {
        let mut had = Had::default();
        if let (Some(before), Some(known)) = (before, self.topics.get_mut(topic)) {
            known.confirmed_ms = before.confirmed_ms;
            known.since_secs = before.since_secs;
            if before.confirmed_ms != 0 {
                had = Had { from_ms: before.confirmed_ms, until_ms: before.ends_ms };
            }
        }
        self.writes.put(topic, entry.meta, entry.ends_ms, now_us, had);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const OPEN: TopicMeta = TopicMeta { require_token: false };
    const CLOSED: TopicMeta = TopicMeta { require_token: true };

    fn memory(ttl_ms: u64) -> Memory {
        Memory::new(RegistryConfig { topic_ttl: Duration::from_millis(ttl_ms) }, false)
    }

    #[test]
    fn a_topic_costs_no_more_than_56_bytes_beside_its_name() {
        // hashlink's node: name, entry, two links.
        assert!(size_of::<(Box<str>, Entry)>() + 2 * size_of::<usize>() <= 56);
    }

    #[test]
    fn a_topic_lives_from_its_last_registration_for_the_time_to_live() {
        let memory = memory(100);

        memory.register("a", OPEN, 0);
        memory.register("a", CLOSED, 50);

        assert_eq!(memory.get("a", 149), Some(CLOSED));
        assert_eq!(memory.get("a", 150), None);
        assert_eq!(memory.len(150), 0);
    }

    #[test]
    fn an_unregistered_topic_is_gone_at_once() {
        let memory = memory(100);
        memory.register("a", OPEN, 0);

        memory.unregister("a", 1);
        memory.unregister("never there", 1);

        assert_eq!(memory.get("a", 1), None);
        assert_eq!(memory.len(1), 0);
    }

    #[test]
    fn the_status_topic_renews_itself_until_it_is_unregistered() {
        let memory = memory(100);
        memory.register(Topic::STATUS, CLOSED, 0);

        assert_eq!(memory.get(Topic::STATUS, 100_000), Some(CLOSED));
        assert_eq!(memory.names(200_000), [Topic::STATUS]);
        memory.unregister(Topic::STATUS, 200_000);
        assert_eq!(memory.get(Topic::STATUS, 200_001), None);
    }

    #[test]
    fn what_has_ended_is_cleared_though_nobody_asks_for_it() {
        let memory = memory(100);
        for n in 0..10_000 {
            memory.register(&format!("topic.{n}"), OPEN, n / 100);
        }

        assert_eq!(memory.len(99), 10_000);
        assert_eq!(memory.len(149), 5_000);
        for _ in 0..10 {
            memory.tidy(1_000);
        }
        assert!(memory.shards.iter().all(|shard| shard.lock().topics.is_empty()));
    }

    #[test]
    fn many_topics_that_have_ended_give_their_memory_back() {
        let memory = memory(100);
        for n in 0..200_000 {
            memory.register(&format!("topic.{n}"), OPEN, 0);
        }

        for _ in 0..10 {
            memory.tidy(1_000);
        }

        let capacity: usize = memory.shards.iter().map(|s| s.lock().topics.capacity()).sum();
        assert!(capacity <= SHARDS * CAPACITY_KEPT, "{capacity}");
    }

    #[test]
    fn the_status_topic_is_named_even_behind_many_that_have_ended() {
        let memory = memory(100);
        for n in 0..200_000 {
            memory.register(&format!("topic.{n}"), OPEN, 0);
        }
        memory.register(Topic::STATUS, CLOSED, 0);

        assert_eq!(memory.names(100), [Topic::STATUS]);
    }

    #[test]
    fn of_many_topics_that_end_at_once_none_is_found_before_it_is_cleared() {
        let memory = memory(100);
        for n in 0..100_000 {
            memory.register(&format!("topic.{n}"), OPEN, 0);
        }

        assert_eq!(memory.get("topic.99999", 100), None);
        assert!(memory.names(100).is_empty());
    }

    #[test]
    fn a_memory_that_is_alone_has_nothing_to_write() {
        let memory = memory(100);

        memory.register("a", OPEN, 0);
        memory.unregister("b", 0);

        assert_eq!(memory.writes(), 0);
    }
}
