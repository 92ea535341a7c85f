//! What this node published and Redis has not taken yet, in order and numbered.
//!
//! Bounded in bytes and age: what is over the bound goes from the front, and its number is missing
//! then, so that the other nodes know. Pure: time is an argument, in milliseconds of the node's
//! clock. Start reading at [`Queue::push`] and [`Queue::take`].

use std::collections::VecDeque;

use crate::protocol::envelope::{self, Number};

/// Bytes that an envelope costs beside its text.
const OVERHEAD: usize = size_of::<Item>() + 16;

/// A numbered envelope.
#[derive(Debug)]
pub struct Item {
    /// Its number.
    pub n: u64,
    /// Its text.
    pub text: String,
    at_ms: u64,
}

/// The queue. It is not shared by itself.
#[derive(Debug)]
pub struct Queue {
    items: VecDeque<Item>,
    bytes: usize,
    max_bytes: usize,
    max_age_ms: u64,
    /// The last number that was given out.
    last: u64,
    boot: String,
}

impl Queue {
    /// An empty queue; `boot` goes into every envelope.
    pub fn new(max_bytes: usize, max_age_ms: u64, boot: String) -> Self {
        Self { items: VecDeque::new(), bytes: 0, max_bytes, max_age_ms, last: 0, boot }
    }

    /// Numbers and keeps the envelope that was [begun](envelope::begin) as `text`. Returns how many
    /// had to go.
    pub fn push(&mut self, mut text: String, now_ms: u64) -> u64 {
        self.last += 1;
        envelope::finish(&mut text, Number { n: self.last, boot: &self.boot });
        self.bytes += text.len() + OVERHEAD;
        self.items.push_back(Item { n: self.last, text, at_ms: now_ms });
        self.trim(now_ms)
    }

    /// Lets go what is too old, or too much. Returns how many had to go.
    pub fn trim(&mut self, now_ms: u64) -> u64 {
        let mut gone = 0;
        while let Some(first) = self.items.front() {
            let is_old = now_ms.saturating_sub(first.at_ms) > self.max_age_ms;
            if !is_old && self.bytes <= self.max_bytes {
                break;
            }
            self.bytes -= first.text.len() + OVERHEAD;
            self.items.pop_front();
            gone += 1;
        }
        if self.items.is_empty() && self.items.capacity() > 1024 {
            self.items.shrink_to_fit();
        }
        gone
    }

    /// Takes what is in front: at most `count`, and `bytes` unless the first alone has more.
    pub fn take(&mut self, count: usize, bytes: usize) -> Vec<Item> {
        let (mut size, mut taken) = (0, 0);
        for item in self.items.iter().take(count) {
            size += item.text.len();
            if taken > 0 && size > bytes {
                break;
            }
            taken += 1;
        }
        let batch: Vec<_> = self.items.drain(..taken).collect();
        self.bytes -= batch.iter().map(|item| item.text.len() + OVERHEAD).sum::<usize>();
        batch
    }

    /// Puts back in front what was taken last. Returns how many had to go.
    pub fn put_back(&mut self, batch: Vec<Item>, now_ms: u64) -> u64 {
        for item in batch.into_iter().rev() {
            self.bytes += item.text.len() + OVERHEAD;
            self.items.push_front(item);
        }
        self.trim(now_ms)
    }

    /// The number up to which nothing will be sent any more: all of it was, or had to go. What was
    /// taken counts as sent.
    pub fn settled(&self) -> u64 {
        self.items.front().map_or(self.last, |first| first.n - 1)
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Envelopes that wait.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Bytes that wait.
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn push(queue: &mut Queue, size: usize, now_ms: u64) -> u64 {
        queue.push("x".repeat(size), now_ms)
    }

    fn numbers(batch: &[Item]) -> Vec<u64> {
        batch.iter().map(|item| item.n).collect()
    }

    #[test]
    fn what_is_pushed_is_numbered_and_taken_in_order() {
        let mut queue = Queue::new(1 << 20, 1000, "b".into());
        for _ in 0..5 {
            push(&mut queue, 10, 0);
        }

        assert_eq!(queue.settled(), 0);
        let batch = queue.take(3, 1 << 20);
        assert!(batch[0].text.ends_with(r#","n":1,"boot":"b"}"#));
        assert_eq!(numbers(&batch), [1, 2, 3]);
        assert_eq!(queue.settled(), 3);
        assert_eq!(numbers(&queue.take(9, 1 << 20)), [4, 5]);
        assert_eq!((queue.is_empty(), queue.bytes(), queue.settled()), (true, 0, 5));
    }

    #[test]
    fn a_batch_is_bounded_in_bytes_but_never_empty() {
        let mut queue = Queue::new(1 << 20, 1000, "b".into());
        for size in [500, 100, 100] {
            push(&mut queue, size, 0);
        }

        assert_eq!(numbers(&queue.take(9, 300)), [1]);
        assert_eq!(numbers(&queue.take(9, 300)), [2, 3]);
        assert!(queue.take(9, 300).is_empty());
    }

    #[test]
    fn what_is_over_the_bound_goes_from_the_front_and_its_number_is_missing() {
        let mut queue = Queue::new(2000, 1000, "b".into());

        assert_eq!(push(&mut queue, 700, 0), 0);
        assert_eq!(push(&mut queue, 700, 0), 0);
        assert_eq!(push(&mut queue, 700, 0), 1);

        assert_eq!(queue.settled(), 1);
        assert_eq!(numbers(&queue.take(9, 1 << 20)), [2, 3]);
        assert_eq!(push(&mut queue, 3000, 0), 1, "larger than the whole queue");
        assert_eq!(queue.settled(), 4);
    }

    #[test]
    fn what_is_too_old_goes() {
        let mut queue = Queue::new(1 << 20, 1000, "b".into());
        push(&mut queue, 1, 0);
        push(&mut queue, 1, 500);

        assert_eq!(queue.trim(1000), 0);
        assert_eq!(queue.trim(1001), 1);
        assert_eq!(numbers(&queue.take(9, 9)), [2]);
    }

    #[test]
    fn what_is_put_back_comes_first_again() {
        let mut queue = Queue::new(1 << 20, 1000, "b".into());
        for _ in 0..3 {
            push(&mut queue, 1, 0);
        }
        let batch = queue.take(2, 1 << 20);

        assert_eq!(queue.put_back(batch, 0), 0);

        assert_eq!(numbers(&queue.take(9, 1 << 20)), [1, 2, 3]);
        assert_eq!(queue.bytes(), 0);
    }
}
