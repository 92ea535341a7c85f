//! Resyncs: browsers that may have missed something are closed with 4009, spread over a time, so
//! that not all of them come back and fetch at the same moment.
//!
//! Knows places in the event loop's table, topics and the numbers of sessions, and no sockets. A
//! session's number says whether it was there when the order came, so a resync needs no list of
//! sessions, however many there are. The time is an argument. Start reading at [`Walk`].

use std::time::Duration;

use crate::clock::millis;
use crate::topic::Topic;

/// Scopes that wait at a time; with one more it is all topics.
const MAX_SCOPES: usize = 16;

/// Time between two looks at who is due, in milliseconds.
const TICK_MS: u64 = 10;

/// An order to close the browsers that are there now, each once, so that they come back and fetch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resync {
    /// Whose browsers; `None` is those of all topics but [`Topic::STATUS`], on which answers to
    /// questions are all that matters. That topic has to be named.
    pub topic: Option<String>,
    /// Time over which they are closed.
    pub spread: Duration,
}

/// Orders that wait to be carried out, as one: equal scopes become one, and so do too many.
#[derive(Debug, Default)]
pub(super) struct Wanted {
    scopes: Vec<Scope>,
    /// The longest that was asked for.
    spread_ms: u64,
}

#[derive(Debug, PartialEq, Eq)]
struct Scope {
    topic: Option<String>,
    /// The last session that was there.
    until: u64,
}

impl Wanted {
    /// Adds an order that means the sessions up to number `until`, which is never less than the
    /// one before.
    pub(super) fn add(&mut self, order: Resync, until: u64) {
        self.spread_ms = self.spread_ms.max(millis(order.spread));
        let mut topic = order.topic;
        if let Some(known) = self.scopes.iter_mut().find(|scope| scope.topic == topic) {
            known.until = until;
            if topic.is_some() {
                return;
            }
        } else if self.scopes.len() >= MAX_SCOPES {
            topic = None;
        }
        if topic.is_none() {
            // It covers what was there, but for the topic that has to be named.
            self.scopes.retain(|scope| scope.topic.as_deref() == Some(Topic::STATUS));
        }
        self.scopes.push(Scope { topic, until });
    }

    /// What waits, if anything does; then nothing waits any more.
    pub(super) fn take(&mut self) -> Option<Self> {
        (!self.scopes.is_empty()).then(|| std::mem::take(self))
    }
}

/// A resync while it is carried out: a walk over all places, each visited once.
///
/// Neighbours in the table are visited far apart, because they are of about the same age and often
/// of one topic; so the browsers of each topic are spread over the whole time, too.
#[derive(Debug)]
pub(super) struct Walk {
    scopes: Vec<Scope>,
    begun_ms: u64,
    spread_ms: u64,
    /// How many places there were.
    places: u32,
    /// How many were visited.
    visited: u32,
    /// The place that is next.
    place: u32,
    /// From one place to the next, around the table: it has no divisor in common with `places`, so
    /// the walk comes to all of them.
    stride: u32,
}

impl Walk {
    /// Begins to carry out what is wanted, over so many places.
    pub(super) fn begin(wanted: Wanted, places: u32, now_ms: u64) -> Self {
        let Wanted { scopes, spread_ms } = wanted;
        let stride = stride(places);
        Self { scopes, begun_ms: now_ms, spread_ms, places, visited: 0, place: 0, stride }
    }

    /// The next place to visit, if it is due.
    pub(super) fn next(&mut self, now_ms: u64) -> Option<u32> {
        if self.next_ms().is_none_or(|next_ms| now_ms < next_ms) {
            return None;
        }
        let place = self.place;
        let next = (u64::from(place) + u64::from(self.stride)) % u64::from(self.places);
        self.place = next as u32; // Less than `places`.
        self.visited += 1;
        Some(place)
    }

    /// When [`Walk::next`] is worth a call; `None` if the walk is over.
    pub(super) fn next_ms(&self) -> Option<u64> {
        if self.visited >= self.places {
            return None;
        }
        let passed = u128::from(self.spread_ms) * u128::from(self.visited);
        let passed_ms = (passed / u128::from(self.places)) as u64; // Less than the spread.
        Some(self.begun_ms.saturating_add(passed_ms.div_ceil(TICK_MS).saturating_mul(TICK_MS)))
    }

    /// Whether the session with this number, subscribed to `topic`, is meant.
    pub(super) fn covers(&self, topic: &Topic, session: u64) -> bool {
        self.scopes.iter().any(|scope| {
            session <= scope.until
                && match &scope.topic {
                    Some(name) => name == topic.as_str(),
                    None => !topic.is_status(),
                }
        })
    }
}

/// Near the golden section, by which any row of neighbours is spread evenly.
fn stride(places: u32) -> u32 {
    let golden = (u64::from(places) * 618_034 / 1_000_000) as u32; // Less than `places`.
    (golden.max(1)..).find(|stride| divisor(*stride, places) == 1).unwrap_or(1)
}

/// The greatest common divisor.
fn divisor(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { divisor(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(topic: Option<&str>) -> Resync {
        Resync { topic: topic.map(str::to_owned), spread: Duration::from_secs(1) }
    }

    fn wanted(orders: &[(Option<&str>, u64)]) -> Wanted {
        let mut wanted = Wanted::default();
        for (topic, until) in orders {
            wanted.add(order(*topic), *until);
        }
        wanted
    }

    fn scopes(wanted: &Wanted) -> Vec<(Option<&str>, u64)> {
        wanted.scopes.iter().map(|scope| (scope.topic.as_deref(), scope.until)).collect()
    }

    fn walk(places: u32) -> Walk {
        Walk::begin(wanted(&[(None, 9)]), places, 5000)
    }

    #[test]
    fn every_place_is_visited_once_within_the_spread() {
        for places in [0, 1, 2, 3, 4, 5, 6, 8, 97, 300, 1024, 65_536, 99_991] {
            let mut walk = walk(places);
            let mut visits = vec![0; places as usize];
            for now_ms in 5000..=6000 {
                while let Some(place) = walk.next(now_ms) {
                    visits[place as usize] += 1;
                }
            }

            assert!(visits.iter().all(|visits| *visits == 1), "{places}: {visits:?}");
            assert_eq!(walk.next_ms(), None);
        }
    }

    #[test]
    fn neighbours_are_spread_over_the_whole_time() {
        for places in [1000, 1024, 30_030, 60_000] {
            let mut walk = walk(places);
            let (from, to) = (places / 2, places / 2 + places / 10);
            let mut tenths = [0; 10];
            for now_ms in 5000..6000_u64 {
                while let Some(place) = walk.next(now_ms) {
                    tenths[(now_ms as usize - 5000) / 100] +=
                        u32::from((from..to).contains(&place));
                }
            }

            let mean = (to - from) / 10;
            let fair = mean * 7 / 10..=mean * 13 / 10;
            assert!(tenths.iter().all(|count| fair.contains(count)), "{places}: {tenths:?}");
        }
    }

    #[test]
    fn a_late_loop_catches_up_and_an_early_one_waits() {
        let mut walk = walk(100);

        assert_eq!(walk.next(5000), Some(0));
        assert_eq!(walk.next(5000), None);
        assert_eq!(walk.next_ms(), Some(5010));
        assert_eq!(std::iter::from_fn(|| walk.next(5500)).count(), 50);
        assert_eq!(std::iter::from_fn(|| walk.next(9999)).count(), 49);
    }

    #[test]
    fn without_a_spread_everybody_is_due_at_once() {
        let mut wanted = Wanted::default();
        wanted.add(Resync { topic: None, spread: Duration::ZERO }, 1);
        let mut walk = Walk::begin(wanted, 1000, 7);

        assert_eq!(std::iter::from_fn(|| walk.next(7)).count(), 1000);
    }

    #[test]
    fn who_began_later_and_who_has_another_topic_is_not_meant() {
        let (a, b, status) = (Topic::new("a"), Topic::new("b"), Topic::new(Topic::STATUS));
        let one = Walk::begin(wanted(&[(Some("a"), 5)]), 1, 0);
        let all = Walk::begin(wanted(&[(None, 5)]), 1, 0);
        let named = Walk::begin(wanted(&[(None, 5), (Some(Topic::STATUS), 5)]), 1, 0);

        assert!(one.covers(&a, 5) && !one.covers(&a, 6) && !one.covers(&b, 5));
        assert!(all.covers(&a, 5) && all.covers(&b, 1) && !all.covers(&b, 6));
        assert!(!all.covers(&status, 1));
        assert!(named.covers(&status, 1));
    }

    #[test]
    fn equal_orders_become_one_that_means_the_later_moment() {
        assert_eq!(
            scopes(&wanted(&[(Some("a"), 1), (Some("b"), 2), (Some("a"), 3)])),
            [(Some("a"), 3), (Some("b"), 2)]
        );
        assert_eq!(scopes(&wanted(&[(Some("a"), 1), (None, 2), (None, 3)])), [(None, 3)]);
        let later = wanted(&[(None, 2), (Some("a"), 3)]);
        assert_eq!(scopes(&later), [(None, 2), (Some("a"), 3)]);
    }

    #[test]
    fn too_many_topics_become_all_of_them() {
        let mut many = Wanted::default();
        for n in 0..MAX_SCOPES as u64 {
            many.add(order(Some(&n.to_string())), n);
        }
        assert_eq!(many.scopes.len(), MAX_SCOPES);

        many.add(order(Some("one more")), 99);

        assert_eq!(scopes(&many), [(None, 99)]);
        assert_eq!(many.take().unwrap().spread_ms, 1000);
        assert!(many.take().is_none());
    }
}
