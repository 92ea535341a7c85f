//! What has still to be written to Redis: one write a topic, the latest.
//!
//! A write stays in its place while it is under way, so that a newer one of the same topic takes
//! its place and its answer then counts for nothing. Bounded by nature: there is one for each
//! topic, and one whose time is over is left out. Start reading at [`Memory::take_writes`].

use std::collections::VecDeque;
use std::sync::atomic::Ordering;

use hashlink::LinkedHashMap;
use parking_lot::Mutex;

use super::TopicMeta;
use super::memory::{Memory, SHARDS, Shard};
use super::told::Change;
use crate::topic::Topic;

/// Age of a write, in ms, from which on it is late, as one from before the connection always is:
/// meanwhile somebody may have unregistered the topic at a node that leaves no trace of it (Go).
const LATE_MS: u64 = 1000;

/// Removals that are remembered in case a failover undoes them.
const REMOVALS_KEPT: usize = 10_000;

/// Places that the empty list of a part keeps.
const CAPACITY_KEPT: usize = 256;

/// The writes of a part of the topics, in the order of their intent.
#[derive(Debug, Default)]
pub(super) struct Writes {
    by_topic: LinkedHashMap<Box<str>, Write>,
    next_id: u64,
}

#[derive(Debug, Clone, Copy)]
struct Write {
    what: What,
    /// When PHP asked for it, in microseconds of the node's clock.
    at_us: u64,
    /// What Redis was known to have before.
    had: Had,
    id: u64,
    is_sent: bool,
}

/// What Redis was known to have of a topic: from when, and until when if nobody removes it there.
/// Both are 0 if nothing is known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Had {
    pub(super) from_ms: u64,
    pub(super) until_ms: u64,
}

/// What is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    /// The topic, until its end.
    Put {
        /// Its flag.
        meta: TopicMeta,
        /// Its end.
        ends_ms: u64,
        /// On which condition.
        condition: Condition,
    },
    /// That it is gone.
    Remove,
}

/// On which condition a topic is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Condition {
    /// None.
    Always,
    /// Redis has it still, as it had then, and would have now if nobody had removed it; or one of
    /// ours removed it since, which was before this registration.
    IfThere {
        /// When it had it.
        since_ms: u64,
    },
    /// Redis does not have it.
    IfAbsent,
}

/// A write that is to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sending {
    pub(super) topic: Box<str>,
    pub(super) what: What,
    pub(super) at_us: u64,
    pub(super) id: u64,
}

/// A moment of sending.
#[derive(Debug, Clone, Copy)]
pub(super) struct Now {
    pub(super) ms: u64,
    /// When the connection began.
    pub(super) connected_ms: u64,
}

/// What became of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It was carried out.
    Done,
    /// It was not, because the topic was unregistered elsewhere, later than this or unseen.
    Gone,
    /// It was not, because Redis has something later, or something at all.
    Outdone,
    /// It was not, and is to be sent again.
    Again,
}

/// Removals that Redis has carried out of late.
#[derive(Debug, Default)]
pub(super) struct Removed(Mutex<VecDeque<RemovedTopic>>);

#[derive(Debug)]
struct RemovedTopic {
    topic: Box<str>,
    at_us: u64,
    since_secs: u32,
}

impl Writes {
    pub(super) fn contains(&self, topic: &str) -> bool {
        self.by_topic.contains_key(topic)
    }

    /// When PHP asked for what waits for `topic`, and whether that is to remove it.
    pub(super) fn intent(&self, topic: &str) -> Option<(u64, bool)> {
        self.by_topic.get(topic).map(|write| (write.at_us, write.what == What::Remove))
    }

    /// Somebody did `change` with `topic` before the registration that waits here was asked for. If
    /// that is under way, Redis may have carried it out first, and its answer would count for what
    /// has been undone since: it is to be sent again. Whether it is.
    pub(super) fn send_again_over(&mut self, topic: &str, change: Change) -> bool {
        let Some(write) = self.by_topic.get_mut(topic).filter(|write| write.is_sent) else {
            return false;
        };
        match write.what {
            What::Put { meta, .. } if change != Change::Put(meta) => {
                self.next_id += 1;
                write.id = self.next_id;
                write.is_sent = false;
                true
            }
            What::Put { .. } | What::Remove => false,
        }
    }

    /// What waits for `topic` is not wanted any more.
    pub(super) fn forget(&mut self, topic: &str) {
        self.by_topic.remove(topic);
    }

    /// A registration is to be written.
    pub(super) fn put(&mut self, topic: &str, meta: TopicMeta, ends_ms: u64, at_us: u64, had: Had) {
        let what = What::Put { meta, ends_ms, condition: Condition::Always };
        self.set(topic, what, at_us, had);
    }

    /// What is known is to be written again, because Redis lost it.
    pub(super) fn restore(&mut self, topic: &str, what: What, at_us: u64) {
        if let Some(write) = self.by_topic.get_mut(topic) {
            write.had = Had::default(); // What waits is newer.
        } else {
            self.set(topic, what, at_us, Had::default());
        }
    }

    /// An unregistration is to be written.
    pub(super) fn remove(&mut self, topic: &str, at_us: u64) {
        self.set(topic, What::Remove, at_us, Had::default());
    }

    pub(super) fn tidy(&mut self) {
        if self.by_topic.capacity() > CAPACITY_KEPT && self.by_topic.is_empty() {
            self.by_topic.shrink_to_fit();
        }
    }

    fn set(&mut self, topic: &str, what: What, at_us: u64, had: Had) {
        self.next_id += 1;
        let mut write = Write { what, at_us, had, id: self.next_id, is_sent: false };
        if let Some(waiting) = self.by_topic.get_mut(topic) {
            // What Redis has is what it had before the one that never came to it.
            write.had = waiting.had;
            *waiting = write;
            self.by_topic.to_back(topic);
        } else {
            self.by_topic.insert(topic.into(), write);
        }
    }

    /// Up to `most` writes that are not under way; those whose time is over are left out.
    fn take(&mut self, most: usize, now: Now, ttl_ms: u64, taken: &mut Vec<Sending>) {
        let mut over = Vec::new();
        for (topic, write) in self.by_topic.iter_mut().filter(|(_, write)| !write.is_sent) {
            if taken.len() >= most {
                break;
            }
            let ends_ms = match write.what {
                What::Put { ends_ms, .. } => ends_ms,
                // By then Redis has forgotten what there was to remove.
                What::Remove => (write.at_us / 1000).saturating_add(ttl_ms),
            };
            if now.ms >= ends_ms {
                over.push(topic.clone());
                continue;
            }
            write.is_sent = true;
            let what = write.what_now(topic, now);
            taken.push(Sending { topic: topic.clone(), what, at_us: write.at_us, id: write.id });
        }
        for topic in over {
            self.by_topic.remove(&topic);
        }
    }
}

impl Write {
    /// What is to be written at this moment: a late registration must not bring back what somebody
    /// removed meanwhile.
    fn what_now(&self, topic: &str, now: Now) -> What {
        let at_ms = self.at_us / 1000;
        let is_late = now.ms > at_ms.saturating_add(LATE_MS) || at_ms < now.connected_ms;
        let would_be_there = now.ms < self.had.until_ms;
        match self.what {
            What::Put { meta, ends_ms, condition: Condition::Always }
                if is_late && would_be_there && topic != Topic::STATUS =>
            {
                let condition = Condition::IfThere { since_ms: self.had.from_ms };
                What::Put { meta, ends_ms, condition }
            }
            what => what,
        }
    }
}

impl Memory {
    /// Up to `most` writes to be sent; they count as under way.
    pub(super) fn take_writes(&self, most: usize, now: Now) -> Vec<Sending> {
        let mut taken = Vec::new();
        let first = self.first_part.load(Ordering::Relaxed);
        for part in (first..SHARDS).chain(0..first) {
            if taken.len() >= most {
                self.first_part.store(part, Ordering::Relaxed);
                break;
            }
            self.shards[part].lock().writes.take(most, now, self.ttl_ms, &mut taken);
        }
        taken
    }

    /// Everything that is under way is to be sent again: its connection is lost.
    pub(super) fn unsend_writes(&self) {
        for shard in &self.shards {
            for (_, write) in &mut shard.lock().writes.by_topic {
                write.is_sent = false;
            }
        }
    }

    /// How many writes wait or are under way.
    pub(super) fn writes(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().writes.by_topic.len()).sum()
    }

    /// Takes note of what became of `sending`, sent at `sent_ms`. Whether its topic is forgotten
    /// for it.
    pub(super) fn settle(&self, sending: &Sending, outcome: Outcome, sent_ms: u64) -> bool {
        let mut shard = self.shard(&sending.topic).lock();
        let shard = &mut *shard;
        let Some(write) = shard.writes.by_topic.get_mut(&sending.topic) else {
            return false; // Nobody wants to know any more.
        };
        if write.id != sending.id {
            return false; // A newer one waits.
        }
        if outcome == Outcome::Again {
            write.is_sent = false;
            return false;
        }
        shard.writes.by_topic.remove(&sending.topic);
        match outcome {
            Outcome::Done if sending.what == What::Remove => {
                self.removed.note(&sending.topic, sending.at_us, seconds(sent_ms));
            }
            Outcome::Done => {
                if let Some(entry) = shard.topics.get_mut(&sending.topic) {
                    entry.confirmed_ms = sent_ms.max(1);
                    entry.since_secs = seconds(sent_ms);
                }
            }
            Outcome::Outdone => {
                if let Some(entry) = shard.topics.get_mut(&sending.topic) {
                    entry.confirmed_ms = 0; // It is there, but perhaps not so.
                }
            }
            Outcome::Gone => return shard.topics.remove(&sending.topic).is_some(),
            Outcome::Again => {}
        }
        false
    }

    /// Everything, or what Redis has had only since `since_secs`, is to be written again. What was
    /// registered here stands above what others did; what was learned is written only where nobody
    /// has written meanwhile.
    pub(super) fn restore(&self, since_secs: Option<u32>) {
        let is_lost = |since: u32| since_secs.is_none_or(|lost| since >= lost);
        for shard in &self.shards {
            let mut shard = shard.lock();
            let Shard { topics, writes } = &mut *shard;
            for (topic, entry) in topics.iter_mut().filter(|(_, e)| is_lost(e.since_secs)) {
                let at_us = if entry.is_ours {
                    entry.registered_us(self.ttl_ms)
                } else {
                    entry.confirmed_ms.saturating_mul(1000)
                };
                let condition = if entry.is_ours { Condition::Always } else { Condition::IfAbsent };
                entry.confirmed_ms = 0;
                let what = What::Put { meta: entry.meta, ends_ms: entry.ends_ms, condition };
                writes.restore(topic, what, at_us);
            }
        }
        // Also when all is lost: another node, which was cut off then, may write what is gone.
        for RemovedTopic { topic, at_us, .. } in self.removed.since(is_lost) {
            let mut shard = self.shard(&topic).lock();
            if !shard.topics.contains_key(&topic) {
                shard.writes.restore(&topic, What::Remove, at_us);
            }
        }
    }
}

impl Removed {
    fn note(&self, topic: &str, at_us: u64, since_secs: u32) {
        let mut removed = self.0.lock();
        if removed.len() >= REMOVALS_KEPT {
            removed.pop_front();
        }
        removed.push_back(RemovedTopic { topic: topic.into(), at_us, since_secs });
    }

    /// Those of which `is_wanted` says so; the others are forgotten.
    fn since(&self, is_wanted: impl Fn(u32) -> bool) -> Vec<RemovedTopic> {
        let removed = std::mem::take(&mut *self.0.lock());
        removed.into_iter().filter(|removed| is_wanted(removed.since_secs)).collect()
    }
}

/// Milliseconds as whole seconds, as far as they go (136 years).
pub(super) fn seconds(ms: u64) -> u32 {
    u32::try_from(ms / 1000).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::memory::Recall;
    use super::*;
    use crate::config::RegistryConfig;

    const OPEN: TopicMeta = TopicMeta { require_token: false };
    const CLOSED: TopicMeta = TopicMeta { require_token: true };

    /// A memory that shares its topics, which live for 10 s.
    fn memory() -> Memory {
        Memory::new(RegistryConfig { topic_ttl: Duration::from_secs(10) }, true)
    }

    fn take(memory: &Memory, now_ms: u64) -> Vec<Sending> {
        memory.take_writes(1_000, Now { ms: now_ms, connected_ms: 0 })
    }

    fn write_all(memory: &Memory, now_ms: u64) {
        for sending in take(memory, now_ms) {
            memory.settle(&sending, Outcome::Done, now_ms);
        }
    }

    fn condition(sending: &Sending) -> Condition {
        match sending.what {
            What::Put { condition, .. } => condition,
            What::Remove => panic!("a removal has no condition"),
        }
    }

    #[test]
    fn of_several_writes_of_a_topic_the_latest_is_taken_once() {
        let memory = memory();
        memory.register("t", OPEN, 1);
        memory.unregister("t", 2);
        memory.register("t", CLOSED, 3);

        let taken = take(&memory, 4);

        let what = What::Put { meta: CLOSED, ends_ms: 10_003, condition: Condition::Always };
        assert_eq!((taken.len(), taken[0].what, taken[0].at_us), (1, what, 3_000));
        assert!(take(&memory, 4).is_empty(), "it is under way");
        memory.unsend_writes();
        assert_eq!(take(&memory, 4), taken, "after its connection was lost");
    }

    #[test]
    fn the_answer_to_an_older_write_counts_for_nothing() {
        let memory = memory();
        memory.register("t", OPEN, 1);
        let older = take(&memory, 1);
        memory.register("t", CLOSED, 2);

        assert!(!memory.settle(&older[0], Outcome::Gone, 3));

        assert_eq!(memory.recall("t", 3, 1), Recall::Known(CLOSED));
        assert_eq!(take(&memory, 3).len(), 1);
    }

    #[test]
    fn a_topic_that_is_gone_elsewhere_is_forgotten() {
        let memory = memory();
        memory.register("t", OPEN, 1);
        let taken = take(&memory, 1);

        assert!(memory.settle(&taken[0], Outcome::Gone, 2));

        assert_eq!(memory.get("t", 2), None);
        assert_eq!(memory.writes(), 0);
    }

    #[test]
    fn a_renewal_that_is_late_is_written_only_where_the_topic_is_still_there() {
        let memory = memory();
        memory.register("t", OPEN, 0);
        write_all(&memory, 1);
        memory.register("t", OPEN, 2_000);

        let on_time = take(&memory, 3_000);
        memory.unsend_writes();
        let late = take(&memory, 3_001);

        assert_eq!(condition(&on_time[0]), Condition::Always);
        let if_there = Condition::IfThere { since_ms: 1 };
        assert_eq!(condition(&late[0]), if_there);
        memory.unsend_writes();
        let after_an_outage = memory.take_writes(1, Now { ms: 2_010, connected_ms: 2_005 });
        assert_eq!(condition(&after_an_outage[0]), if_there);
    }

    #[test]
    fn a_renewal_is_written_anyhow_when_redis_never_had_the_topic_or_its_time_is_over() {
        let memory = memory();
        memory.register("new", OPEN, 2_000);
        assert_eq!(condition(&take(&memory, 9_000)[0]), Condition::Always);
        memory.unregister("new", 9_000);
        write_all(&memory, 9_000);

        memory.register("ended", OPEN, 0);
        write_all(&memory, 1);
        memory.register("ended", OPEN, 9_000);
        memory.register("ended", OPEN, 9_500); // The end that Redis knows is still the first.
        assert_eq!(condition(&take(&memory, 10_000)[0]), Condition::Always);
    }

    #[test]
    fn writes_whose_time_is_over_are_left_out() {
        let memory = memory();
        memory.register("a", OPEN, 0);
        memory.unregister("b", 0);

        assert!(take(&memory, 10_000).is_empty());

        assert_eq!(memory.writes(), 0);
    }

    #[test]
    fn a_large_backlog_is_taken_in_turns_so_that_no_topic_waits_for_ever() {
        let memory = memory();
        for n in 0..1_000 {
            memory.register(&format!("t{n}"), OPEN, 0);
        }
        let mut seen = std::collections::HashSet::new();

        for _ in 0..20 {
            for sending in memory.take_writes(100, Now { ms: 1, connected_ms: 0 }) {
                memory.settle(&sending, Outcome::Done, 1);
                memory.register(&sending.topic, OPEN, 1); // PHP never tires.
                seen.insert(sending.topic);
            }
        }

        assert_eq!(seen.len(), 1_000);
    }

    #[test]
    fn after_a_loss_everything_is_written_again_with_the_time_of_its_intent() {
        let memory = memory();
        memory.register("ours", CLOSED, 1_000);
        write_all(&memory, 1_000);
        memory.learn("learned", OPEN, 5_000, 2_000, 2_010);
        memory.unregister("removed", 2_500);
        write_all(&memory, 2_500);

        memory.restore(None);

        let mut taken = take(&memory, 3_000);
        taken.sort_by(|a, b| a.topic.cmp(&b.topic));
        let [learned, ours, removed] = &taken[..] else { panic!("{taken:?}") };
        assert_eq!((removed.what, removed.at_us), (What::Remove, 2_500_000));
        let what = What::Put { meta: OPEN, ends_ms: 5_000, condition: Condition::IfAbsent };
        assert_eq!((learned.what, learned.at_us), (what, 2_000_000));
        let what = What::Put { meta: CLOSED, ends_ms: 11_000, condition: Condition::Always };
        assert_eq!((ours.what, ours.at_us), (what, 1_000_000));
    }

    #[test]
    fn after_a_failover_what_was_done_since_is_written_again_removals_too() {
        let memory = memory();
        for (topic, at_ms) in [("old", 1_000), ("new", 5_000), ("removed", 1_000)] {
            memory.register(topic, OPEN, at_ms);
            write_all(&memory, at_ms);
        }
        memory.unregister("removed", 6_000);
        write_all(&memory, 6_000);

        memory.restore(Some(5));

        let mut taken: Vec<_> =
            take(&memory, 7_000).into_iter().map(|s| (s.topic, s.at_us)).collect();
        taken.sort();
        assert_eq!(taken, [("new".into(), 5_000_000), ("removed".into(), 6_000_000)]);
    }
}
