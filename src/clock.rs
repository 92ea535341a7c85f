//! The node's own time: milliseconds since it started, moments to measure with, and the wall clock
//! for tokens.
//!
//! Everything that needs a moment to compare asks here and passes it on, so that pure code takes
//! time as an argument and a socket keeps eight bytes instead of an `Instant`.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::time::{ClockId, clock_gettime};
use tokio::time::Instant;

/// Counts from the moment it was made.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    start: Instant,
}

impl Clock {
    /// Starts counting.
    pub fn start() -> Self {
        Self { start: Instant::now() }
    }

    /// Time since the start.
    pub fn uptime(&self) -> Duration {
        self.start.elapsed()
    }

    /// Milliseconds since the start.
    pub fn now_ms(&self) -> u64 {
        millis(self.uptime())
    }

    /// Microseconds since the start.
    pub fn now_us(&self) -> u64 {
        u64::try_from(self.uptime().as_micros()).unwrap_or(u64::MAX)
    }
}

/// A moment, for measuring how long something takes: to take one costs a fraction of a microsecond
/// and no system call. Nothing waits for one, so a test that pauses time does not pause these.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// On the system's monotonic clock.
    us: u64,
}

impl Moment {
    /// Now.
    pub fn now() -> Self {
        let now = clock_gettime(ClockId::Monotonic);
        // Since the machine's start, so neither is negative.
        Self { us: now.tv_sec.unsigned_abs() * 1_000_000 + now.tv_nsec.unsigned_abs() / 1000 }
    }

    /// Microseconds from `earlier` to this.
    pub fn us_since(self, earlier: Self) -> u64 {
        self.us.saturating_sub(earlier.us)
    }
}

/// `duration` in milliseconds, as far as they go (584 million years).
pub fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Unix time in seconds; 0 on a machine whose clock stands before 1970.
pub fn unix_now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

/// Unix time in microseconds; 0 on a machine whose clock stands before 1970.
pub fn unix_now_us() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}
