//! One topic on this node while it has subscribers: its list, its outbox, and the drain.
//!
//! A drain gives every round to every subscriber by writing to the links itself, in slices: no
//! task is woken for a delivery, and neither a lock nor a thread is held for a whole long list.

use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::task::yield_now;

use super::outbox::{Appended, Outbox};
use crate::link::{Link, Sent, Slots};
use crate::metrics::Metrics;
use crate::topic::Topic;

/// The longest list that the publisher's own task writes, before its answer: fastest for
/// everybody. A longer one gets a task of its own, and the answer does not wait.
const SHORT_LIST: usize = 64;

/// Rounds that a publisher's task drains before it hands over: others may go on publishing while
/// it writes, and its own answer must not wait for them for ever.
const OWN_ROUNDS: usize = 8;

/// Places of a long list that are written to before other tasks have their turn.
const SLICE: usize = 256;

/// Places that are written to under the list's lock at a time, so that who joins or leaves
/// during a long drain hardly waits.
const LOCKED: usize = 32;

/// A topic with subscribers.
#[derive(Debug)]
pub(super) struct Channel {
    pub(super) topic: Topic,
    pub(super) subscribers: Mutex<Slots<Arc<Link>>>,
    pub(super) outbox: Mutex<Outbox>,
    /// Told after each round, for publishers that wait for room.
    pub(super) room: Notify,
    metrics: Arc<Metrics>,
}

/// What remains to be done after a frame was offered.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Offered {
    /// Nothing: it was written, or a drain under way will write it.
    Done,
    /// The caller has to spawn [`Channel::drain`].
    Drain,
    /// No room in the outbox; not accepted.
    Full,
}

impl Channel {
    pub(super) fn new(topic: Topic, metrics: Arc<Metrics>) -> Self {
        Self {
            topic,
            subscribers: Mutex::default(),
            outbox: Mutex::default(),
            room: Notify::new(),
            metrics,
        }
    }

    /// Accepts `frame` if the outbox has room, and writes it at once if the list is short and
    /// nobody else is draining. Never waits.
    pub(super) fn offer(&self, frame: &Bytes, outbox_bytes: usize) -> Offered {
        let appended = self.outbox.lock().append(frame, outbox_bytes);
        match appended {
            Appended::Full => return Offered::Full,
            Appended::Waiting => return Offered::Done,
            Appended::YouDrain => {}
        }
        for _ in 0..OWN_ROUNDS {
            if self.subscribers.lock().len() > SHORT_LIST {
                return Offered::Drain;
            }
            let Some((row, frames)) = self.next_round() else {
                return Offered::Done;
            };
            let mut place = 0;
            while self.write(&row, frames, &mut place) {}
        }
        Offered::Drain
    }

    /// Drains until nothing waits, letting other tasks run after every slice.
    pub(super) async fn drain(self: Arc<Self>) {
        while let Some((row, frames)) = self.next_round() {
            let mut place = 0;
            while self.write(&row, frames, &mut place) {
                if place % SLICE == 0 {
                    yield_now().await;
                }
            }
            yield_now().await;
        }
    }

    fn next_round(&self) -> Option<(Bytes, u64)> {
        let round = self.outbox.lock().next_round();
        self.room.notify_waiters();
        round
    }

    /// Writes `row` to the next few subscribers; whether there are more.
    fn write(&self, row: &Bytes, frames: u64, place: &mut usize) -> bool {
        let subscribers = self.subscribers.lock();
        let (links, more) = subscribers.range(*place, *place + LOCKED);
        *place += LOCKED;
        let delivered = links.filter(|link| link.send(row) != Sent::Refused).count();
        self.metrics.deliveries.add(frames * delivered as u64);
        more
    }
}
