//! Waiting for a thing itself, with a deadline, instead of for a while.

use std::sync::{Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Resource, getrlimit, setrlimit};

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

/// Open files that the tests with many sockets need.
const OPEN_FILES: u64 = 12_000;

/// Holds off the other tests that need a machine for themselves (load, memory, system calls)
/// while the returned guard lives, and lets this process and its workers open many files.
pub fn alone() -> MutexGuard<'static, ()> {
    static HEAVY: Mutex<()> = Mutex::new(());
    let guard = HEAVY.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    open_many_files();
    guard
}

/// Lets this process and its workers open many files.
pub fn open_many_files() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).unwrap();
    let enough = limit.maximum.is_none_or(|maximum| maximum >= OPEN_FILES);
    assert!(enough, "needs a hard limit of at least {OPEN_FILES} open files (`ulimit -Hn`)");
}
