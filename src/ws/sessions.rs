//! All sessions of the node: who has to be pinged, who is dead, who is told of the end.
//!
//! No timer per socket: the sessions stand in slices, and a sweep pings one slice after the
//! other, all of them once in a ping interval, so that pings never come in a burst.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::task::yield_now;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::clock::millis;
use crate::config::SessionConfig;
use crate::link::{Link, Slots};
use crate::metrics::Metrics;
use crate::protocol::close::CloseCode;
use crate::protocol::frame;

/// Slices of sessions; one is pinged at each tick.
const SLICES: usize = 30;

/// How often in a ping interval each slice is looked through for dead peers.
const LOOKS: usize = 6;

/// Places that are looked at under a slice's lock at a time.
const LOCKED: usize = 64;

/// Every session of the node.
#[derive(Debug)]
pub struct Sessions {
    slices: Vec<Mutex<Slots<Arc<Link>>>>,
    /// Sessions so far.
    begun: AtomicU64,
    metrics: Arc<Metrics>,
}

/// A session's place; dropping it leaves.
#[derive(Debug)]
pub(super) struct Seat {
    sessions: Arc<Sessions>,
    id: u64,
    place: u32,
}

impl Sessions {
    /// No sessions.
    pub fn new(metrics: Arc<Metrics>) -> Arc<Self> {
        let slices = (0..SLICES).map(|_| Mutex::default()).collect();
        Arc::new(Self { slices, begun: AtomicU64::new(0), metrics })
    }

    /// Gives a session its number and its place.
    pub(super) fn enter(self: &Arc<Self>, link: Arc<Link>) -> Seat {
        let id = self.begun.fetch_add(1, Ordering::Relaxed);
        let place = self.slice(id).lock().insert(link);
        Seat { sessions: Arc::clone(self), id, place }
    }

    /// Pings every session once in a ping interval and ends those that are dead, until `end`.
    pub async fn keep_alive(self: Arc<Self>, config: SessionConfig, end: CancellationToken) {
        let idle_ms = millis(config.idle_timeout);
        let mut ticks = interval((config.ping_interval / SLICES as u32).max(MIN_TICK));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        for pinged in (0..SLICES).cycle() {
            tokio::select! {
                () = end.cancelled() => return,
                _ = ticks.tick() => {} // Cancel-safe.
            }
            for look in 0..LOOKS {
                let slice = (pinged + look * SLICES / LOOKS) % SLICES;
                self.each(slice, |link| self.look_at(link, idle_ms, look == 0)).await;
            }
        }
    }

    /// Tells every browser that the node is shutting down.
    pub async fn close_all(&self) {
        for slice in 0..SLICES {
            self.each(slice, |link| link.close(CloseCode::GoingAway)).await;
        }
    }

    fn look_at(&self, link: &Arc<Link>, idle_ms: u64, ping: bool) {
        if link.silent_ms() > idle_ms {
            if !link.is_closing() {
                self.metrics.dead_peers.inc();
                link.abort();
            }
        } else if ping {
            link.send(&Bytes::from_static(frame::PING));
        }
    }

    /// Calls `action` for every session of a slice, letting other tasks run now and then.
    async fn each(&self, slice: usize, action: impl Fn(&Arc<Link>)) {
        let mut place = 0;
        loop {
            let more = {
                let links = self.slices[slice].lock();
                let (some, more) = links.range(place, place + LOCKED);
                some.for_each(&action);
                more
            };
            if !more {
                return;
            }
            place += LOCKED;
            yield_now().await;
        }
    }

    fn slice(&self, id: u64) -> &Mutex<Slots<Arc<Link>>> {
        &self.slices[(id % SLICES as u64) as usize]
    }
}

/// Shortest time between two ticks, for ping intervals that only tests have.
const MIN_TICK: Duration = Duration::from_millis(1);

impl Seat {
    /// The session's number on this node.
    pub(super) fn id(&self) -> u64 {
        self.id
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let link = self.sessions.slice(self.id).lock().remove(self.place);
        drop(link); // Closes the socket if it was the last: not under the lock.
    }
}
