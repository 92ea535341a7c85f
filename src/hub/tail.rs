//! The last events of one topic, numbered, kept for whoever follows it.
//!
//! Bounded in number and in bytes; of what was not kept, a follower learns how much it was.

use std::collections::VecDeque;
use std::sync::Arc;

use serde::Serialize;
use tokio::sync::Notify;

use super::tap::Events;

/// Events that are kept.
const EVENTS: usize = 200;

/// Bytes of their payloads.
const BYTES: usize = 1024 * 1024;

/// Bytes that are kept of a payload.
const PAYLOAD_BYTES: usize = 16 * 1024;

/// The last events of a topic.
#[derive(Debug)]
pub(super) struct Tail {
    /// The number of the last event before the first that was kept.
    start: u64,
    events: VecDeque<Event>,
    bytes: usize,
    /// Events so far, and those before this tail.
    last: u64,
    /// When somebody last asked, in milliseconds of the clock.
    pub(super) asked_ms: u64,
    /// Told of every event.
    pub(super) fresh: Arc<Notify>,
}

/// Something that was published.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Event {
    /// Its number; the next one has the next.
    pub n: u64,
    /// When, in Unix milliseconds.
    pub at: i64,
    /// The payload's text, or its beginning.
    pub payload: String,
    /// The bytes of the whole payload.
    pub bytes: usize,
    /// Whether only the beginning is here.
    pub cut: bool,
}

impl Tail {
    /// An empty one, whose first event has the number behind `last`.
    pub(super) fn new(last: u64) -> Self {
        let fresh = Arc::new(Notify::new());
        Self { start: last, events: VecDeque::new(), bytes: 0, last, asked_ms: 0, fresh }
    }

    /// The number of the last event.
    pub(super) fn last(&self) -> u64 {
        self.last
    }

    /// Somebody has seen numbers up to `n`: as long as there is no event, they go on from there.
    pub(super) fn seen_up_to(&mut self, n: u64) {
        const MOST: u64 = 1 << 52; // What a browser still counts exactly.
        if self.last == self.start && n > self.last && n < MOST {
            (self.start, self.last) = (n, n);
        }
    }

    /// Adds an event of the moment `at`.
    pub(super) fn push(&mut self, payload: &str, at: i64) {
        let mut end = payload.len().min(PAYLOAD_BYTES);
        while !payload.is_char_boundary(end) {
            end -= 1;
        }
        self.last += 1;
        self.bytes += end;
        self.events.push_back(Event {
            n: self.last,
            at,
            payload: payload[..end].to_owned(),
            bytes: payload.len(),
            cut: end < payload.len(),
        });
        while self.events.len() > EVENTS || self.bytes > BYTES {
            let gone = self.events.pop_front();
            self.bytes -= gone.map_or(self.bytes, |event| event.payload.len());
        }
    }

    /// The events above the number `after`.
    pub(super) fn after(&self, after: u64) -> Events {
        // A number that is not known yet is of another start of the node.
        let after = if after > self.last { self.start } else { after.max(self.start) };
        let kept_from = self.last + 1 - self.events.len() as u64;
        let skipped = usize::try_from((after + 1).saturating_sub(kept_from)).unwrap_or(usize::MAX);
        Events {
            next: self.last,
            missed: kept_from.saturating_sub(after + 1),
            events: self.events.iter().skip(skipped).cloned().collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_kept_any_more_is_counted_as_missed() {
        let mut tail = Tail::new(0);
        for n in 1..=250 {
            tail.push(&n.to_string(), n);
        }

        let all = tail.after(0);
        assert_eq!((all.next, all.missed, all.events.len()), (250, 50, 200));
        assert_eq!((all.events[0].n, all.events[0].payload.as_str()), (51, "51"));
        let some = tail.after(240);
        assert_eq!((some.missed, some.events.len(), some.events[0].n), (0, 10, 241));
        assert_eq!(tail.after(250).events, []);
    }

    #[test]
    fn a_long_payload_is_cut_between_two_letters_and_says_so() {
        let mut tail = Tail::new(0);
        tail.push(&format!("\"{}\"", "ä".repeat(10_000)), 0);
        tail.push("1", 0);

        let events = tail.after(0).events;

        assert_eq!((events[0].bytes, events[0].cut), (20_002, true));
        assert_eq!(events[0].payload.len(), 16 * 1024 - 1);
        assert_eq!((events[1].bytes, events[1].cut), (1, false));
    }

    #[test]
    fn payloads_take_a_mebibyte_at_most() {
        let mut tail = Tail::new(0);
        for _ in 0..200 {
            tail.push(&"x".repeat(100_000), 0);
        }

        let kept: usize = tail.events.iter().map(|event| event.payload.len()).sum();

        assert_eq!((kept, tail.bytes), (BYTES, BYTES));
        assert_eq!(tail.after(0).missed, 200 - 64);
    }
}
