//! How much is published to each topic, over the last minute, while somebody looks.
//!
//! A topic has six counts of ten seconds each. The number of topics is bounded; what is published
//! to others counts together. Time is an argument. Start reading at [`Rates::count`].

use std::collections::HashMap;

use crate::clock::unix_now_us;
use crate::topic::Topic;

/// Topics that are counted apart. With their names they take 7 MB at most.
const TOPICS: usize = 10_000;

/// Bytes of the longest name that is counted apart.
const NAME_BYTES: usize = 512;

/// Counts of a topic, and how long each is.
const SLOTS: u64 = 6;
const SLOT_MS: u64 = 10_000;

/// Time that has to be counted before there is a rate.
const WARM_MS: u64 = 3000;

/// The counts.
#[derive(Debug)]
pub(super) struct Rates {
    began_ms: u64,
    /// The same in Unix milliseconds.
    began_unix_ms: i64,
    topics: HashMap<Topic, Counts>,
    others: Counts,
    /// The slot in which room was made last.
    swept: u64,
}

/// The counts of one topic.
#[derive(Debug, Clone, Copy, Default)]
struct Counts {
    slots: [(u32, u64); SLOTS as usize],
    /// The slot that was counted in last.
    last: u64,
}

/// How much is published to a topic.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rate {
    /// Publishes in a minute.
    pub publishes: f64,
    /// The same times the subscribers that were there.
    pub deliveries: f64,
}

/// What was counted.
#[derive(Debug)]
pub struct RatesSeen {
    /// Since when, in Unix milliseconds.
    pub since: i64,
    /// Whether that is long enough to speak of rates.
    pub is_warm: bool,
    /// The topics that something was published to.
    pub topics: Vec<(Topic, Rate)>,
    /// All others together: names beyond the bound.
    pub others: Rate,
}

impl Rates {
    /// Begins to count.
    pub(super) fn begin(now_ms: u64) -> Self {
        Self {
            began_ms: now_ms,
            began_unix_ms: unix_now_us() / 1000,
            topics: HashMap::new(),
            others: Counts::default(),
            swept: 0,
        }
    }

    /// Counts a publish that was given to so many subscribers.
    pub(super) fn count(&mut self, topic: &str, subscribers: usize, now_ms: u64) {
        // Who read the clock first may come here second.
        let slot = now_ms.max(self.began_ms) / SLOT_MS;
        if let Some(counts) = self.topics.get_mut(topic) {
            return counts.count(slot, subscribers);
        }
        if self.topics.len() >= TOPICS && self.swept != slot {
            self.swept = slot; // Not for every publish, if there is no room to be made.
            self.topics.retain(|_, counts| counts.last + SLOTS > slot);
        }
        let counts = if self.topics.len() < TOPICS && topic.len() <= NAME_BYTES {
            self.topics.entry(Topic::new(topic)).or_default()
        } else {
            &mut self.others
        };
        counts.count(slot, subscribers);
    }

    /// What was counted over the last minute, or since the beginning.
    pub(super) fn seen(&self, now_ms: u64) -> RatesSeen {
        let now_ms = now_ms.max(self.began_ms);
        let slot = now_ms / SLOT_MS;
        let window_begins = slot.saturating_sub(SLOTS - 1) * SLOT_MS;
        let counted_ms = now_ms - self.began_ms.max(window_begins);
        let topics = self.topics.iter();
        RatesSeen {
            since: self.began_unix_ms,
            is_warm: now_ms - self.began_ms >= WARM_MS,
            topics: topics.map(|(topic, c)| (topic.clone(), c.rate(slot, counted_ms))).collect(),
            others: self.others.rate(slot, counted_ms),
        }
    }
}

impl Counts {
    fn count(&mut self, slot: u64, subscribers: usize) {
        let slot = slot.max(self.last);
        if self.last != slot {
            let passed = slot.saturating_sub(self.last).min(SLOTS);
            for gone in 0..passed {
                self.slots[((slot - gone) % SLOTS) as usize] = (0, 0);
            }
            self.last = slot;
        }
        let (publishes, deliveries) = &mut self.slots[(slot % SLOTS) as usize];
        *publishes = publishes.saturating_add(1);
        *deliveries = deliveries.saturating_add(subscribers as u64);
    }

    fn rate(&self, slot: u64, counted_ms: u64) -> Rate {
        let recent = (0..SLOTS).filter(|back| {
            // The slot so many back, if it is still among the counts.
            slot >= *back && slot - back <= self.last && self.last < slot - back + SLOTS
        });
        let (mut publishes, mut deliveries) = (0, 0);
        for back in recent {
            let counts = self.slots[((slot - back) % SLOTS) as usize];
            publishes += u64::from(counts.0);
            deliveries += counts.1;
        }
        let per_minute = |count: u64| {
            let rate = count as f64 * 60_000.0 / counted_ms.max(1) as f64;
            (rate * 10.0).round() / 10.0
        };
        Rate { publishes: per_minute(publishes), deliveries: per_minute(deliveries) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rate_of(rates: &Rates, topic: &str, now_ms: u64) -> Option<Rate> {
        let seen = rates.seen(now_ms);
        seen.topics.iter().find(|(name, _)| name.as_str() == topic).map(|(_, rate)| *rate)
    }

    #[test]
    fn a_rate_is_that_of_the_last_minute() {
        let mut rates = Rates::begin(0);
        for second in 0..600 {
            rates.count("steady", 2, second * 1000);
            if second < 60 {
                rates.count("once", 1, second * 1000);
            }
        }

        let seen = rates.seen(600_000 - 1);

        assert!(seen.is_warm);
        let steady = rate_of(&rates, "steady", 599_999).unwrap();
        assert!((59.0..=61.0).contains(&steady.publishes), "{steady:?}");
        assert!((118.0..=122.0).contains(&steady.deliveries), "{steady:?}");
        let once = rate_of(&rates, "once", 599_999).unwrap();
        assert_eq!(once, Rate { publishes: 0.0, deliveries: 0.0 });
        let fades = rate_of(&rates, "steady", 629_999).unwrap();
        assert!((29.0..=31.0).contains(&fades.publishes), "{fades:?}");
    }

    #[test]
    fn at_first_a_rate_is_that_of_the_time_that_was_counted() {
        let mut rates = Rates::begin(25_000);
        for second in 0..6 {
            rates.count("a", 1, 25_000 + second * 1000);
        }

        assert!(!rates.seen(27_999).is_warm);
        assert_eq!(rate_of(&rates, "a", 31_000).unwrap().publishes, 60.0);
    }

    #[test]
    fn who_read_the_clock_a_moment_before_another_takes_nothing_away() {
        let mut rates = Rates::begin(20_000);
        for now_ms in [19_999, 30_000, 29_999, 30_000] {
            rates.count("a", 1, now_ms);
        }

        assert!(!rates.seen(19_999).is_warm);
        assert_eq!(rate_of(&rates, "a", 40_000).unwrap().publishes, 12.0);
    }

    #[test]
    fn topics_beyond_the_bound_count_together_until_there_is_room() {
        let mut rates = Rates::begin(0);
        for n in 0..TOPICS + 5 {
            rates.count(&n.to_string(), 1, 1);
        }
        rates.count(&"x".repeat(513), 1, 1);

        let seen = rates.seen(60_000 - 1);
        assert_eq!(seen.topics.len(), TOPICS);
        assert_eq!(seen.others.publishes, 6.0);

        rates.count("later", 1, 61_000);
        assert_eq!(rate_of(&rates, "later", 61_000).map(|rate| rate.publishes > 0.0), Some(true));
        assert_eq!(rates.topics.len(), 1);
    }
}
