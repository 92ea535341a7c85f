//! What the event loop is told by others, who never wait for it.
//!
//! Start reading at [`Running`].

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

use mio::Waker;
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use super::resync::{Resync, Wanted};

/// Nothing was said.
const GO: u8 = 0;
/// Tell every browser, and end when all are gone.
pub(super) const CLOSE: u8 = 1;
/// End now.
pub(super) const QUIT: u8 = 2;

/// The event loop while it runs; dropping it ends the loop.
pub struct Running {
    pub(super) orders: Arc<Orders>,
    pub(super) ended: CancellationToken,
}

/// How others talk to the loop.
pub(super) struct Orders {
    given: AtomicU8,
    waker: Arc<Waker>,
    /// Sessions so far. Only the loop counts them.
    begun: AtomicU64,
    resyncs: Mutex<Wanted>,
}

impl Running {
    /// Closes every session that is there now and that the order means with 4009, spread over the
    /// order's time, each exactly once and behind what waits for it.
    ///
    /// Who is let in later is not touched, and neither is a handshake under way: it has missed
    /// nothing. An order that comes while another is carried out follows it, together with the
    /// others that came meanwhile, and means who is there when it comes. Returns at once.
    pub fn resync(&self, order: Resync) {
        self.orders.resync(order);
    }

    /// Tells every browser that the node is shutting down. The loop ends when all are gone.
    pub fn close_all(&self) {
        self.orders.give(CLOSE);
    }

    /// Returns when the loop has ended. Cancel-safe.
    pub async fn ended(&self) {
        self.ended.cancelled().await;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.orders.give(QUIT);
    }
}

impl Orders {
    /// No orders yet; `waker` wakes the loop.
    pub(super) fn new(waker: Arc<Waker>) -> Self {
        Self {
            given: AtomicU8::new(GO),
            waker,
            begun: AtomicU64::new(0),
            resyncs: Mutex::default(),
        }
    }

    /// The last of the orders above.
    pub(super) fn given(&self) -> u8 {
        self.given.load(Ordering::Acquire)
    }

    /// The number of a session that begins.
    pub(super) fn number(&self) -> u64 {
        self.begun.fetch_add(1, Ordering::AcqRel) + 1
    }

    /// The resyncs that wait.
    pub(super) fn resyncs(&self) -> Option<Wanted> {
        self.resyncs.lock().take()
    }

    fn give(&self, order: u8) {
        self.given.fetch_max(order, Ordering::AcqRel);
        self.wake();
    }

    fn resync(&self, order: Resync) {
        let mut resyncs = self.resyncs.lock();
        // Under the lock, so that these numbers never fall.
        resyncs.add(order, self.begun.load(Ordering::Acquire));
        drop(resyncs);
        self.wake();
    }

    fn wake(&self) {
        let _ = self.waker.wake(); // Fails only if it is awake.
    }
}
