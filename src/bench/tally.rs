//! A count that one thread adds to and another waits for.
//!
//! Adding is two atomic operations; the waiting thread is woken when the count it waits for is
//! reached, not at every step.

use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use super::moment::{nanos, now_ns};

/// How often a wait looks whether the count still grows, and tells its progress.
const LOOK: Duration = Duration::from_millis(100);

/// The count.
#[derive(Debug)]
pub struct Tally {
    count: AtomicU64,
    awaited: AtomicU64,
    lock: Mutex<()>,
    reached: Condvar,
}

impl Default for Tally {
    fn default() -> Self {
        Self {
            count: AtomicU64::new(0),
            awaited: AtomicU64::new(u64::MAX),
            lock: Mutex::new(()),
            reached: Condvar::new(),
        }
    }
}

impl Tally {
    /// How many there are.
    pub fn count(&self) -> u64 {
        self.count.load(SeqCst)
    }

    /// Adds `more`.
    pub fn add(&self, more: u64) {
        let count = self.count.fetch_add(more, SeqCst) + more;
        if count >= self.awaited.load(SeqCst) {
            drop(self.lock.lock());
            self.reached.notify_all();
        }
    }

    /// Waits until the count is `goal` or more; false if it did not grow for as long as
    /// `patience`. Tells `look` the count now and then. One thread may wait at a time.
    pub fn wait(&self, goal: u64, patience: Duration, mut look: impl FnMut(u64)) -> bool {
        if self.count() >= goal {
            return true;
        }
        self.awaited.store(goal, SeqCst);
        let (mut grew, mut last) = (now_ns(), self.count());
        let mut guard = self.lock.lock();
        // Whoever adds either sees what is awaited, or is seen here.
        let reached = loop {
            let count = self.count();
            if count >= goal {
                break true;
            }
            let now = now_ns();
            if count > last {
                (grew, last) = (now, count);
            } else if now - grew >= nanos(patience) {
                break false;
            }
            self.reached.wait_for(&mut guard, LOOK.min(patience));
            look(self.count());
        };
        drop(guard);
        self.awaited.store(u64::MAX, SeqCst);
        reached
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn a_wait_ends_when_the_count_is_reached() {
        let tally = Tally::default();

        thread::scope(|scope| {
            scope.spawn(|| (0..1_000).for_each(|_| tally.add(3)));
            for goal in (0..=3_000).step_by(7) {
                assert!(tally.wait(goal, Duration::from_secs(20), |_| {}));
                assert!(tally.count() >= goal);
            }
        });
    }

    #[test]
    fn a_wait_for_what_does_not_come_ends_after_its_patience() {
        let tally = Tally::default();
        tally.add(1);

        assert!(!tally.wait(2, Duration::from_millis(1), |_| {}));
        assert!(tally.wait(1, Duration::ZERO, |_| {}));
    }
}
