//! What is measured of a run: everything that was planned between two moments.
//!
//! Publishing may begin before, to warm up, and go on after; whoever records something asks here
//! whether it counts.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::moment::now_ns;

/// The time that is measured. Closed until it is opened, and opened once.
#[derive(Debug)]
pub struct Window {
    from_ns: AtomicU64,
    until_ns: AtomicU64,
}

impl Default for Window {
    fn default() -> Self {
        Self { from_ns: AtomicU64::new(u64::MAX), until_ns: AtomicU64::new(u64::MAX) }
    }
}

impl Window {
    /// From now on; says which moment that is.
    pub fn open(&self) -> u64 {
        let now = now_ns();
        self.from_ns.store(now, Relaxed);
        now
    }

    /// Until now. What was planned before and comes after still counts.
    pub fn close(&self) {
        self.until_ns.store(now_ns(), Relaxed);
    }

    /// Since when, if `planned_ns` is within.
    pub fn start_of(&self, planned_ns: u64) -> Option<u64> {
        let from = self.from_ns.load(Relaxed);
        (planned_ns >= from && planned_ns < self.until_ns.load(Relaxed)).then_some(from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_planned_while_it_was_open_counts() {
        let window = Window::default();
        assert_eq!(window.start_of(now_ns()), None);

        let from = window.open();
        assert_eq!(window.start_of(from), Some(from));
        assert_eq!(window.start_of(from - 1), None);

        window.close();
        assert_eq!(window.start_of(from), Some(from));
        assert_eq!(window.start_of(u64::MAX - 1), None);
    }
}
