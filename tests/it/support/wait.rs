//! Waiting for a thing itself, with a deadline, instead of for a while.

use std::sync::{Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

/// How long anything may take before its test fails. Far above what it does take, because
/// machines that run tests are busy.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Calls `probe` until it has a value, and returns that.
///
/// # Panics
///
/// If there is none within [`PATIENCE`]; `what` says what was waited for.
pub fn until<T>(what: &str, mut probe: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(value) = probe() {
            return value;
        }
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// Holds off the other tests that need a machine for themselves (load, memory, system calls)
/// while the returned guard lives.
pub fn alone() -> MutexGuard<'static, ()> {
    static HEAVY: Mutex<()> = Mutex::new(());
    HEAVY.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}
