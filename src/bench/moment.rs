//! The bench's time: nanoseconds on the system's monotonic clock.
//!
//! One clock for publishers and sockets in all threads, so that a moment that was written into a
//! payload can be compared where the payload arrives. Works in plain threads.

use std::num::NonZeroU64;
use std::time::Duration;

use rustix::thread::{clock_nanosleep_absolute, set_current_timer_slack};
use rustix::time::{ClockId, Timespec, clock_gettime};

const NANOS: u64 = 1_000_000_000;

/// Now. Costs no system call.
pub fn now_ns() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    // Since the machine's start, so neither is negative.
    now.tv_sec.unsigned_abs() * NANOS + now.tv_nsec.unsigned_abs()
}

/// `duration` in nanoseconds, as far as they go (584 years).
pub fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// `seconds` in nanoseconds; nothing below 0.
pub fn seconds_to_ns(seconds: f64) -> u64 {
    // A cast of a float saturates.
    (seconds * NANOS as f64) as u64
}

/// `ns` in seconds.
pub fn in_seconds(ns: u64) -> f64 {
    ns as f64 / NANOS as f64
}

/// Sleeps until the clock says `moment_ns`; not at all if it does already.
pub fn sleep_until(moment_ns: u64) {
    let moment = Timespec {
        tv_sec: i64::try_from(moment_ns / NANOS).unwrap_or(i64::MAX),
        tv_nsec: (moment_ns % NANOS) as _,
    };
    // A signal may cut it short.
    while now_ns() < moment_ns {
        let _ = clock_nanosleep_absolute(ClockId::Monotonic, &moment);
    }
}

/// Has the system wake this thread when it asked for it, and not up to 50 µs later, which would
/// be told as the server's latency. Where that is not possible nothing changes.
pub fn sharpen_timer() {
    let _ = set_current_timer_slack(Some(NonZeroU64::MIN));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sleeping_ends_at_the_moment_and_not_before() {
        let moment = now_ns() + nanos(Duration::from_millis(5));

        sleep_until(moment);
        let late = now_ns() - moment;
        sleep_until(moment);

        assert!(late < nanos(Duration::from_secs(5)));
        assert!(now_ns() - moment - late < nanos(Duration::from_secs(5)));
    }

    #[test]
    fn seconds_become_nanoseconds_and_back() {
        assert_eq!(seconds_to_ns(2.5), 2_500_000_000);
        assert_eq!(seconds_to_ns(-1.0), 0);
        assert!((in_seconds(2_500_000_000) - 2.5).abs() < f64::EPSILON);
    }
}
