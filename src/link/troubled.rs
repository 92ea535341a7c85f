//! The links that need somebody to come back to them: what they wait for is room, or time.
//!
//! Whoever gets a link into trouble puts it here and wakes the event loop, which asks the kernel
//! to say when there is room, and looks at all of them now and then.

use std::fmt;
use std::sync::{Arc, Weak};

use mio::Waker;
use parking_lot::Mutex;

use super::Link;

/// Links that got into trouble since the event loop last took them.
pub struct Troubled {
    fresh: Mutex<Vec<Weak<Link>>>,
    waker: Arc<Waker>,
}

impl Troubled {
    /// None yet; `waker` wakes the event loop.
    pub fn new(waker: Arc<Waker>) -> Self {
        Self { fresh: Mutex::default(), waker }
    }

    /// The links that came since the last call.
    pub fn take(&self) -> Vec<Weak<Link>> {
        std::mem::take(&mut *self.fresh.lock())
    }

    pub(super) fn add(&self, link: Weak<Link>) {
        let mut fresh = self.fresh.lock();
        fresh.push(link);
        if fresh.len() == 1 {
            // Fails if the loop is woken more often than 2^64 times before it runs.
            let _ = self.waker.wake();
        }
    }
}

impl fmt::Debug for Troubled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Troubled").field("fresh", &self.fresh.lock().len()).finish()
    }
}
