//! Taps: who wants to see what is published, without being a subscriber.
//!
//! An operator looks at topics, and publishes are counted by topic; or he follows one topic, and
//! its last events are kept for him. Both end by themselves when he stops asking. As long as nobody
//! looks, a publish asks one atomic and no more. While somebody does it takes one lock for a count
//! and, of a topic that is followed, for a copy of the payload; it never waits for a viewer. Start
//! reading at [`Taps::saw`].

use std::collections::HashMap;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use serde::Serialize;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, timeout_at};

use super::rates::Rates;
pub use super::rates::{Rate, RatesSeen};
use super::tail::{Event, Tail};
use crate::clock::{Clock, unix_now_us};
use crate::topic::Topic;

/// Silence after which nobody looks at topics any more.
const LOOK_MS: u64 = 10_000;

/// Silence after which nobody follows a topic any more.
const FOLLOW_MS: u64 = 30_000;

/// Topics that can be followed at once.
const TAILS: usize = 16;

/// Time in which events are gathered for one answer, from the first on.
const GATHER: Duration = Duration::from_millis(50);

/// Everything that is looked at.
#[derive(Debug)]
pub struct Taps {
    /// Whether there is anything; changed under the lock.
    is_looked_at: AtomicBool,
    clock: Clock,
    looked_at: Mutex<LookedAt>,
}

#[derive(Debug, Default)]
struct LookedAt {
    rates: Option<Rates>,
    rates_asked_ms: u64,
    tails: HashMap<Topic, Tail>,
    /// The highest number that any tail that has ended gave to an event.
    last: u64,
}

/// Too many topics are followed already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many topics are followed")]
pub struct TooManyTails;

/// What happened on a topic.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Events {
    /// What to ask for next.
    pub next: u64,
    /// How many events happened meanwhile that were not kept.
    pub missed: u64,
    /// The others, in order.
    pub events: Vec<Event>,
}

impl Default for Taps {
    fn default() -> Self {
        Self {
            is_looked_at: AtomicBool::new(false),
            clock: Clock::start(),
            looked_at: Mutex::default(),
        }
    }
}

impl Taps {
    /// Whether anybody looks at anything.
    #[inline]
    pub fn is_looked_at(&self) -> bool {
        self.is_looked_at.load(Ordering::Relaxed)
    }

    /// Whether anybody wants to see what is published to `topic`.
    pub fn wants(&self, topic: &str) -> bool {
        if !self.is_looked_at() {
            return false;
        }
        let looked_at = self.looked_at.lock();
        looked_at.rates.is_some() || looked_at.tails.contains_key(topic)
    }

    /// Takes note of an event, a JSON text, that was given to so many subscribers.
    pub fn saw(&self, topic: &str, payload: &str, subscribers: usize) {
        let now_ms = self.clock.now_ms();
        let fresh = {
            let mut looked_at = self.looked_at.lock();
            if let Some(rates) = &mut looked_at.rates {
                rates.count(topic, subscribers, now_ms);
            }
            looked_at.tails.get_mut(topic).map(|tail| {
                tail.push(payload, unix_now_us() / 1000);
                Arc::clone(&tail.fresh)
            })
        };
        if let Some(fresh) = fresh {
            fresh.notify_waiters();
        }
    }

    /// Counts publishes by topic from now on, until nobody has called this for 10 s; what was
    /// counted so far.
    pub fn rates(&self) -> RatesSeen {
        let now_ms = self.clock.now_ms();
        let mut looked_at = self.looked_at.lock();
        looked_at.rates_asked_ms = now_ms;
        let seen = looked_at.rates.get_or_insert_with(|| Rates::begin(now_ms)).seen(now_ms);
        self.is_looked_at.store(true, Ordering::Relaxed);
        seen
    }

    /// Follows `topic`: its events above the number `after`, or those that come until `deadline`.
    /// The first to ask begins to follow; when nobody has asked for 30 s it is over, and what was
    /// kept is gone. Cancel-safe.
    ///
    /// # Errors
    ///
    /// [`TooManyTails`] if 16 topics are followed already.
    pub async fn follow(
        &self,
        topic: &str,
        after: u64,
        deadline: Instant,
    ) -> Result<Events, TooManyTails> {
        loop {
            let fresh = self.begin_tail(topic, after)?;
            let mut fresh = pin!(fresh.notified());
            fresh.as_mut().enable(); // From here on nothing is missed.
            let events = self.events(topic, after);
            if !events.events.is_empty() {
                return Ok(events);
            }
            if timeout_at(deadline, fresh).await.is_err() {
                return Ok(self.events(topic, after));
            }
            sleep(GATHER).await;
        }
    }

    /// Ends what nobody has asked for any more; to be called every second or so.
    pub fn tidy(&self) {
        if !self.is_looked_at() {
            return;
        }
        let now_ms = self.clock.now_ms();
        let mut ended = Vec::new(); // Dropped when the lock is not held any more.
        let mut looked_at = self.looked_at.lock();
        let LookedAt { rates, rates_asked_ms, tails, last } = &mut *looked_at;
        let rates_ended = rates.take_if(|_| now_ms >= *rates_asked_ms + LOOK_MS);
        for (_, tail) in tails.extract_if(|_, tail| now_ms >= tail.asked_ms + FOLLOW_MS) {
            *last = (*last).max(tail.last());
            ended.push(tail);
        }
        let is_looked_at = rates.is_some() || !tails.is_empty();
        self.is_looked_at.store(is_looked_at, Ordering::Relaxed);
        drop(looked_at);
        drop((rates_ended, ended));
    }

    /// Sees to it that `topic` is followed; what is told of its events.
    fn begin_tail(&self, topic: &str, after: u64) -> Result<Arc<Notify>, TooManyTails> {
        let now_ms = self.clock.now_ms();
        let mut looked_at = self.looked_at.lock();
        if !looked_at.tails.contains_key(topic) {
            if looked_at.tails.len() >= TAILS {
                return Err(TooManyTails);
            }
            // Whoever followed it before has seen lower numbers.
            let last = looked_at.last;
            looked_at.tails.insert(Topic::new(topic), Tail::new(last));
            self.is_looked_at.store(true, Ordering::Relaxed);
        }
        let Some(tail) = looked_at.tails.get_mut(topic) else {
            return Err(TooManyTails); // It was put there above.
        };
        tail.asked_ms = now_ms;
        tail.seen_up_to(after);
        Ok(Arc::clone(&tail.fresh))
    }

    fn events(&self, topic: &str, after: u64) -> Events {
        let looked_at = self.looked_at.lock();
        match looked_at.tails.get(topic) {
            Some(tail) => tail.after(after),
            None => Events { next: after, missed: 0, events: Vec::new() },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(20)
    }

    fn payloads(events: &Events) -> Vec<&str> {
        events.events.iter().map(|event| event.payload.as_str()).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn a_topic_that_is_followed_gives_what_happens_from_then_on() {
        let taps = Taps::default();
        taps.saw("a", "0", 0); // Nobody follows it yet.
        let begun = taps.follow("a", 0, Instant::now()).await.unwrap();
        assert!(taps.wants("a") && !taps.wants("b"));

        taps.saw("a", "1", 0);
        taps.saw("b", "2", 0);
        taps.saw("a", "3", 0);

        let events = taps.follow("a", begun.next, soon()).await.unwrap();
        assert_eq!(payloads(&events), ["1", "3"]);
        assert_eq!((events.next, events.missed), (2, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn who_follows_waits_for_the_next_event() {
        let taps = Arc::new(Taps::default());
        let follower = Arc::clone(&taps);
        let task = tokio::spawn(async move { follower.follow("a", 0, soon()).await });
        while !taps.wants("a") {
            tokio::task::yield_now().await;
        }

        taps.saw("a", "1", 0);
        taps.saw("a", "2", 0);

        assert_eq!(payloads(&task.await.unwrap().unwrap()), ["1", "2"]);
        let began = Instant::now();
        let none = taps.follow("a", 2, soon()).await.unwrap();
        assert_eq!((began.elapsed().as_secs(), none.next), (20, 2));
    }

    #[tokio::test(start_paused = true)]
    async fn looking_ends_10_s_after_the_last_look_and_following_after_30_s() {
        let taps = Taps::default();
        assert!(!taps.is_looked_at());
        taps.rates();
        taps.follow("a", 0, Instant::now()).await.unwrap();

        tokio::time::advance(Duration::from_millis(9_999)).await;
        taps.tidy();
        assert!(taps.wants("b"));
        tokio::time::advance(Duration::from_millis(1)).await;
        taps.tidy();
        assert!(!taps.wants("b") && taps.wants("a"));
        tokio::time::advance(Duration::from_secs(20)).await;
        taps.tidy();
        assert!(!taps.is_looked_at());
    }

    #[tokio::test(start_paused = true)]
    async fn who_comes_back_to_a_topic_that_was_no_longer_followed_misses_nothing_new() {
        let taps = Taps::default();
        let begun = taps.follow("a", 0, Instant::now()).await.unwrap();
        taps.saw("a", "1", 0);
        let seen = taps.follow("a", begun.next, soon()).await.unwrap();
        tokio::time::advance(Duration::from_secs(40)).await;
        taps.tidy();

        let again = taps.follow("a", seen.next, Instant::now()).await.unwrap();
        taps.saw("a", "2", 0);
        let events = taps.follow("a", again.next, soon()).await.unwrap();

        assert_eq!(payloads(&events), ["2"]);
        assert_eq!(events.missed, 0);
        // Also if its number is of a node that was started anew.
        taps.follow("b", 5000, Instant::now()).await.unwrap();
        taps.saw("b", "3", 0);
        assert_eq!(payloads(&taps.follow("b", 5000, soon()).await.unwrap()), ["3"]);
    }

    #[tokio::test(start_paused = true)]
    async fn sixteen_topics_are_followed_at_most() {
        let taps = Taps::default();
        for n in 0..16 {
            taps.follow(&n.to_string(), 0, Instant::now()).await.unwrap();
        }

        assert_eq!(taps.follow("x", 0, soon()).await, Err(TooManyTails));
        assert!(taps.follow("3", 0, Instant::now()).await.is_ok());
    }
}
