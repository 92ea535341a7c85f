//! The node's own time: milliseconds since it started, and the wall clock for tokens.
//!
//! Everything that needs a moment to compare asks here and passes it on, so that pure code takes
//! time as an argument and a socket keeps eight bytes instead of an `Instant`.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

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
