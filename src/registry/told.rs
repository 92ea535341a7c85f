//! What the memory takes from what Redis and other nodes say.
//!
//! Answers come late and on two connections, so each brings the moment at which it was asked for:
//! what was learned or registered here since then is newer and stays. The moments are those of
//! sending, and the commands of one connection are carried out in that order. What waits to be
//! written stands above all answers.

use super::TopicMeta;
use super::memory::{Entry, Memory, Shard};
use super::writes::{Condition, Had, What, seconds};
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
            micros: 0,
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
            let ends_ms = now_ms.saturating_add(self.ttl_ms);
            writes.put(topic, *meta, ends_ms, now_ms, Had::default());
        }
        false
    }

    /// A node of ours, perhaps this one, did something with `topic` at `at_us`, in µs of this
    /// node's clock. Whether it has to be written again, because what this node did is newer and was
    /// undone.
    pub(super) fn hear(&self, topic: &str, change: Change, at_us: u64, now_ms: u64) -> bool {
        let mut shard = self.shard(topic).lock();
        let Shard { topics, writes } = &mut *shard;
        match writes.intent(topic) {
            Some((_, true)) => return false,
            Some((ours_us, false)) if ours_us >= at_us => {
                return ours_us > at_us && writes.send_again_over(topic, change);
            }
            Some(_) => writes.forget(topic), // Older than what was done elsewhere.
            None => {}
        }
        let Some(entry) = topics.get_mut(topic) else {
            return false; // It is not learned: nobody has asked for it here.
        };
        let ours_us = entry.registered_us(self.ttl_ms);
        if entry.is_ours && ours_us >= at_us {
            let is_undone = change != Change::Put(entry.meta);
            if is_undone && ours_us > at_us {
                let (meta, ends_ms) = (entry.meta, entry.ends_ms);
                let what = What::Put { meta, ends_ms, condition: Condition::Always };
                writes.restore(topic, what, ours_us);
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
        let (mut names, mut ended) = (Vec::with_capacity(topics.len()), Vec::new());
        for (name, entry) in topics.iter() {
            if now_ms >= entry.ends_ms && &**name != Topic::STATUS {
                ended.push(name.clone());
            } else if !writes.contains(name) {
                names.push(name.clone());
            }
        }
        for name in ended {
            topics.remove(&name);
        }
        names
    }
}

impl Shard {
    /// Whether something is known of `topic` that is newer than what was asked for at `asked_ms`.
    fn is_newer(&self, topic: &str, asked_ms: u64) -> bool {
        self.writes.contains(topic)
            || self.topics.get(topic).is_some_and(|entry| entry.confirmed_ms >= asked_ms.max(1))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::memory::Recall;
    use super::super::writes::{Now, Outcome, Sending};
    use super::*;
    use crate::config::RegistryConfig;

    const OPEN: TopicMeta = TopicMeta { require_token: false };
    const CLOSED: TopicMeta = TopicMeta { require_token: true };

    /// A memory that shares its topics, which live for 10 s.
    fn memory() -> Memory {
        Memory::new(RegistryConfig { topic_ttl: Duration::from_secs(10) }, true)
    }

    /// A memory whose only topic was registered here at `at_ms` and written.
    fn with_written(at_ms: u64) -> Memory {
        let memory = memory();
        memory.register("t", OPEN, at_ms);
        write_all(&memory, at_ms);
        memory
    }

    fn write_all(memory: &Memory, now_ms: u64) -> Vec<Sending> {
        let taken = memory.take_writes(100, Now { ms: now_ms, connected_ms: 0 });
        for sending in &taken {
            memory.settle(sending, Outcome::Done, now_ms);
        }
        taken
    }

    fn recall(memory: &Memory, now_ms: u64) -> Recall {
        memory.recall("t", now_ms, 5_000)
    }

    #[test]
    fn what_redis_said_is_true_for_a_while() {
        let memory = memory();

        assert!(memory.learn("t", CLOSED, 20_000, 100, 110));

        assert_eq!(recall(&memory, 5_099), Recall::Known(CLOSED));
        assert_eq!(recall(&memory, 5_100), Recall::Stale(CLOSED));
        memory.confirm("t", OPEN, 6_000, 0);
        assert_eq!(recall(&memory, 6_001), Recall::Known(OPEN));
        assert_eq!(recall(&memory, 10_110), Recall::Nothing, "its end is no later than ours");
    }

    #[test]
    fn what_waits_to_be_written_stands_above_all_answers() {
        let memory = memory();
        memory.register("t", OPEN, 100);

        memory.learn("t", CLOSED, 20_000, 200, 200);
        memory.confirm("t", CLOSED, 200, 0);
        assert!(!memory.miss("t", 200, 200));
        assert_eq!(recall(&memory, 9_000), Recall::Known(OPEN));

        memory.unregister("t", 300);
        assert!(!memory.learn("t", CLOSED, 20_000, 400, 400));
        assert_eq!(recall(&memory, 400), Recall::Removed);
    }

    #[test]
    fn an_answer_to_an_older_question_changes_nothing() {
        let memory = with_written(1_000);

        assert!(!memory.miss("t", 999, 1_010));
        memory.confirm("t", CLOSED, 1_000, 0);
        assert_eq!(recall(&memory, 1_020), Recall::Known(OPEN));

        assert!(memory.miss("t", 1_001, 1_020));
        assert_eq!(recall(&memory, 1_020), Recall::Nothing);
    }

    #[test]
    fn what_was_undone_while_its_answer_was_on_the_way_is_sent_again() {
        let memory = memory();
        memory.register("t", OPEN, 1_000);
        let now = Now { ms: 1_000, connected_ms: 0 };
        let sent = memory.take_writes(100, now);

        assert!(!memory.hear("t", Change::Put(OPEN), 900_000, 1_001), "it says the same");
        assert!(!memory.hear("t", Change::Gone, sent[0].at_us, 1_001), "it is not older");
        assert!(memory.hear("t", Change::Gone, 999_000, 1_001));
        memory.settle(&sent[0], Outcome::Done, 1_000);

        let again = memory.take_writes(100, now);
        assert_eq!((again[0].at_us, again[0].what), (sent[0].at_us, sent[0].what));
        assert_eq!(recall(&memory, 1_002), Recall::Known(OPEN));
    }

    #[test]
    fn a_change_elsewhere_counts_if_it_is_newer() {
        let memory = with_written(1_000);

        assert!(!memory.hear("t", Change::Put(CLOSED), 1_001_000, 1_010));
        assert_eq!(recall(&memory, 1_010), Recall::Known(CLOSED));
        assert!(!memory.hear("t", Change::Gone, 1_002_000, 1_020));
        assert_eq!(recall(&memory, 1_020), Recall::Nothing);
        assert_eq!(memory.writes(), 0);
    }

    #[test]
    fn what_undid_a_newer_registration_is_undone() {
        for change in [Change::Gone, Change::Put(CLOSED)] {
            let memory = with_written(1_000);

            assert!(memory.hear("t", change, 999_000, 1_010));

            assert_eq!(recall(&memory, 1_010), Recall::Known(OPEN));
            let written = write_all(&memory, 1_010);
            assert_eq!(written.len(), 1);
            assert_eq!(written[0].at_us, 1_000_000, "with the time of its intent");
        }
    }

    #[test]
    fn the_echo_of_what_this_node_did_changes_nothing() {
        let memory = with_written(1_000);
        memory.hear("t", Change::Put(OPEN), 1_000_000, 1_001);
        memory.unregister("t", 1_002);
        write_all(&memory, 1_002);
        memory.register("t", CLOSED, 1_002);

        assert!(!memory.hear("t", Change::Gone, 1_002_000, 1_003));

        assert_eq!(recall(&memory, 1_003), Recall::Known(CLOSED));
        assert_eq!(write_all(&memory, 1_003).len(), 1);
    }

    #[test]
    fn a_change_elsewhere_replaces_what_waits_if_it_is_newer() {
        let memory = memory();
        memory.register("t", OPEN, 1_000);

        assert!(!memory.hear("t", Change::Gone, 999_000, 1_001));
        assert_eq!(recall(&memory, 1_001), Recall::Known(OPEN));

        assert!(!memory.hear("t", Change::Gone, 1_001_000, 1_002));
        assert_eq!(recall(&memory, 1_002), Recall::Nothing);
        assert_eq!(memory.writes(), 0);
    }

    #[test]
    fn topics_that_nobody_asked_for_here_are_not_learned_from_changes() {
        let memory = memory();

        memory.hear("t", Change::Put(OPEN), 1_000_000, 1_000);

        assert_eq!(recall(&memory, 1_000), Recall::Nothing);
    }

    #[test]
    fn the_status_topic_is_written_again_where_it_is_missing() {
        let memory = memory();
        memory.register(Topic::STATUS, CLOSED, 0);
        write_all(&memory, 0);

        assert!(!memory.miss(Topic::STATUS, 100, 110));

        assert_eq!(memory.get(Topic::STATUS, 110), Some(CLOSED));
        assert_eq!(write_all(&memory, 110).len(), 1);
    }
}
