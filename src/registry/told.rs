//! What the memory takes from what Redis and other nodes say.
//!
//! Answers come late and on two connections, so each brings the moment at which it was asked for:
//! what was learned or registered here since then is newer and stays. The moments are those of
//! sending, and the commands of one connection are carried out in that order. What waits to be
//! written stands above all answers.

use super::TopicMeta;
use super::memory::{Entry, Memory, Shard};
use super::writes::{Condition, What, seconds};
use crate::topic::Topic;

/// What another node did with a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    /// It registered it, with another flag than before.
    Put(TopicMeta),
    /// It unregistered it.
    Gone,
}

impl Memory {
    /// Redis has `topic`, until `ends_ms`, as was asked at `asked_ms`. Whether it was not known.
    pub(super) fn learn(
        &self,
        topic: &str,
        meta: TopicMeta,
        ends_ms: u64,
        asked_ms: u64,
        now_ms: u64,
    ) -> bool {
        // What ends later than anything registered now is asked for again before.
        let ends_ms = ends_ms.min(now_ms.saturating_add(self.ttl_ms));
        let mut shard = self.shard(topic).lock();
        if shard.is_newer(topic, asked_ms) {
            return false;
        }
        if let Some(entry) = shard.topics.get_mut(topic) {
            *entry = Entry { meta, ends_ms, confirmed_ms: asked_ms.max(1), ..*entry };
            shard.topics.to_back(topic);
            return false;
        }
        let entry = Entry {
            ends_ms,
            confirmed_ms: asked_ms.max(1),
            since_secs: seconds(asked_ms),
            meta,
            is_ours: false,
        };
        shard.topics.insert(topic.into(), entry);
        true
    }

    /// Redis has `topic` with this flag, as was asked at `asked_ms`. Whether it ends before
    /// `soon_ms`, so that its end is worth a question.
    pub(super) fn confirm(
        &self,
        topic: &str,
        meta: TopicMeta,
        asked_ms: u64,
        soon_ms: u64,
    ) -> bool {
        let mut shard = self.shard(topic).lock();
        if shard.is_newer(topic, asked_ms) {
            return false;
        }
        let Some(entry) = shard.topics.get_mut(topic) else {
            return false;
        };
        *entry = Entry { meta, confirmed_ms: asked_ms.max(1), ..*entry };
        entry.ends_ms < soon_ms
    }

    /// Redis has `topic` until `ends_ms`: somebody else may have renewed it.
    pub(super) fn extend(&self, topic: &str, ends_ms: u64, now_ms: u64) {
        let ends_ms = ends_ms.min(now_ms.saturating_add(self.ttl_ms));
        let mut shard = self.shard(topic).lock();
        if let Some(entry) = shard.topics.get_mut(topic)
            && ends_ms > entry.ends_ms
        {
            entry.ends_ms = ends_ms;
            shard.topics.to_back(topic);
        }
    }

    /// Redis does not have `topic`, as was asked at `asked_ms`: its time is over, or somebody
    /// unregistered it. Whether it is forgotten for that.
    ///
    /// The node's own topic is written again: only who unregisters it at one of our nodes, which
    /// say so, can have meant that.
    pub(super) fn miss(&self, topic: &str, asked_ms: u64, now_ms: u64) -> bool {
        let mut shard = self.shard(topic).lock();
        if shard.is_newer(topic, asked_ms) {
            return false;
        }
        if topic != Topic::STATUS {
            return shard.topics.remove(topic).is_some();
        }
        let Shard { topics, writes } = &mut *shard;
        if let Some(Entry { meta, is_ours: true, .. }) = topics.get(topic) {
            writes.put(topic, *meta, now_ms.saturating_add(self.ttl_ms), now_ms, 0);
        }
        false
    }

    /// A node of ours, perhaps this one, did something with `topic` at `at_ms`. Whether it has to
    /// be written again, because what this node did is newer and was undone.
    pub(super) fn hear(&self, topic: &str, change: Change, at_ms: u64, now_ms: u64) -> bool {
        let mut shard = self.shard(topic).lock();
        let Shard { topics, writes } = &mut *shard;
        match writes.intent(topic) {
            Some((ours_ms, is_removal)) if is_removal || ours_ms >= at_ms => return false,
            Some(_) => writes.forget(topic), // Older than what was done elsewhere.
            None => {}
        }
        let Some(entry) = topics.get_mut(topic) else {
            return false; // It is not learned: nobody has asked for it here.
        };
        let ours_ms = entry.ends_ms.saturating_sub(self.ttl_ms);
        if entry.is_ours && ours_ms >= at_ms {
            let is_undone = change != Change::Put(entry.meta);
            if is_undone && ours_ms > at_ms {
                let (meta, ends_ms) = (entry.meta, entry.ends_ms);
                let what = What::Put { meta, ends_ms, condition: Condition::Always };
                writes.restore(topic, what, ours_ms);
                return true;
            }
            return false;
        }
        match change {
            Change::Put(meta) => {
                entry.meta = meta;
                entry.confirmed_ms = now_ms.max(1);
            }
            Change::Gone => {
                topics.remove(topic);
            }
        }
        false
    }

    /// The names of a part of the topics, to be confirmed; those that wait to be written need not
    /// be, and those that have ended are cleared.
    pub(super) fn names_to_confirm(&self, part: usize, now_ms: u64) -> Vec<Box<str>> {
        let mut shard = self.shards[part].lock();
        let Shard { topics, writes } = &mut *shard;
        let over = |(name, entry): &(&Box<str>, &Entry)| {
            now_ms >= entry.ends_ms && &***name != Topic::STATUS
        };
        let ended: Vec<Box<str>> = topics.iter().filter(over).map(|(n, _)| n.clone()).collect();
        for name in ended {
            topics.remove(&name);
        }
        topics.keys().filter(|name| !writes.contains(name)).cloned().collect()
    }
}

impl Shard {
    /// Whether something is known of `topic` that is newer than what was asked for at `asked_ms`.
    fn is_newer(&self, topic: &str, asked_ms: u64) -> bool {
        self.writes.contains(topic)
            || self.topics.get(topic).is_some_and(|entry| entry.confirmed_ms >= asked_ms.max(1))
    }
}
