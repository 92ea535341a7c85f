//! One topic on this node while it has subscribers: its list, its outbox, and the drain.
//!
//! A drain gives every round to every subscriber by writing to the links itself, in slices: no
//! task is woken for a delivery, and neither a lock nor a thread is held for a whole long list. A
//! very long one is given out by several threads.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use parking_lot::{Mutex, RwLock};
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::task::yield_now;

use super::outbox::{Appended, Outbox, Round};
use crate::clock::Moment;
use crate::link::{Link, Sent, Slots};
use crate::metrics::{Elapsed, Metrics};
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

/// Places of a long list for which one more thread helps to drain.
const PLACES_PER_DRAINER: usize = 4096;

/// A topic with subscribers.
#[derive(Debug)]
pub(super) struct Channel {
    pub(super) topic: Topic,
    pub(super) subscribers: RwLock<Slots<Arc<Link>>>,
    pub(super) outbox: Mutex<Outbox>,
    /// Told after each round, for publishers that wait for room.
    pub(super) room: Notify,
    metrics: Arc<Metrics>,
}

/// Offers the core to other threads. A slice takes about a millisecond; where threads are more than
/// cores, the kernel would let a drain run on for a whole tick, 4 ms, before who serves PHP or
/// other browsers has a turn.
fn let_others_run() {
    std::thread::yield_now();
}

/// A round on its way to a long list.
struct Walk {
    round: Round,
    /// The first place that nobody has taken.
    place: AtomicUsize,
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
    /// The last subscriber has left, and the topic may have another channel by now; not accepted.
    Retired,
}

impl Channel {
    pub(super) fn new(topic: Topic, metrics: Arc<Metrics>) -> Self {
        Self {
            topic,
            subscribers: RwLock::default(),
            outbox: Mutex::default(),
            room: Notify::new(),
            metrics,
        }
    }

    /// Accepts `frame` if the outbox has room, and writes it at once if the list is short and
    /// nobody else is draining. Never waits. The publish had been read at `since`, and it is
    /// about `now`.
    pub(super) fn offer(
        &self,
        frame: &Bytes,
        since: Moment,
        now: Moment,
        outbox_bytes: usize,
    ) -> Offered {
        let appended = self.outbox.lock().append(frame, since, outbox_bytes);
        match appended {
            Appended::Full => return Offered::Full,
            Appended::Retired => return Offered::Retired,
            Appended::Waiting => return Offered::Done,
            Appended::YouDrain => {}
        }
        let mut taken = now;
        for _ in 0..OWN_ROUNDS {
            if self.subscribers.read().len() > SHORT_LIST {
                return Offered::Drain;
            }
            let Some(round) = self.next_round() else {
                return Offered::Done;
            };
            let mut place = 0;
            while self.write(&round, &mut place) {}
            taken = self.given(&round, taken);
        }
        Offered::Drain
    }

    /// Drains until nothing waits, letting other tasks run after every slice.
    pub(super) async fn drain(self: Arc<Self>) {
        while let Some(round) = self.next_round() {
            let taken = Moment::now();
            let walk = Arc::new(Walk { round, place: AtomicUsize::new(0) });
            let help = || tokio::spawn(Arc::clone(&self).give(Arc::clone(&walk)));
            let helpers: Vec<_> = (0..self.helpers()).map(|_| help()).collect();
            Arc::clone(&self).give(Arc::clone(&walk)).await;
            for helper in helpers {
                let _ = helper.await; // An error would be a panic of its own.
            }
            self.given(&walk.round, taken);
            yield_now().await;
        }
    }

    /// How many others shall help with a round: one thread is always left to everybody else.
    fn helpers(&self) -> usize {
        let places = self.subscribers.read().places() as usize;
        if places < 2 * PLACES_PER_DRAINER {
            return 0; // As nearly always.
        }
        let threads = Handle::current().metrics().num_workers();
        (places / PLACES_PER_DRAINER).min(threads - 1).saturating_sub(1)
    }

    /// Takes slice after slice of the list and writes to it, until none is left.
    async fn give(self: Arc<Self>, walk: Arc<Walk>) {
        loop {
            let mut place = walk.place.fetch_add(SLICE, Ordering::Relaxed);
            let end = place + SLICE;
            while place < end {
                if !self.write(&walk.round, &mut place) {
                    return;
                }
            }
            let_others_run();
            yield_now().await;
        }
    }

    fn next_round(&self) -> Option<Round> {
        let round = self.outbox.lock().next_round()?;
        self.room.notify_waiters();
        Some(round)
    }

    /// `round`, taken at `taken`, was given to every subscriber: now, which is returned.
    fn given(&self, round: &Round, taken: Moment) -> Moment {
        let now = Moment::now();
        let delay = Elapsed::of_us(now.us_since(round.since));
        // As nearly always; the bucket is looked for once then.
        let at_once = taken == round.since;
        let fanout = if at_once { delay } else { Elapsed::of_us(now.us_since(taken)) };
        self.metrics.fanout.observe(fanout);
        self.metrics.delivery_delay.observe(delay);
        now
    }

    /// Writes `round` to the next few subscribers; whether there are more.
    fn write(&self, round: &Round, place: &mut usize) -> bool {
        let subscribers = self.subscribers.read();
        let (links, more) = subscribers.range(*place, *place + LOCKED);
        *place += LOCKED;
        let delivered = links.filter(|link| link.send(&round.row) != Sent::Refused).count() as u64;
        self.metrics.deliveries.add(round.frames * delivered);
        self.metrics.delivered_bytes.add(round.row.len() as u64 * delivered);
        more
    }
}
