//! What the server has spent so far, read when it has come to rest.

use std::thread;
use std::time::Duration;

use crate::process::Process;

/// Time between two looks.
const PAUSE: Duration = Duration::from_millis(50);

/// Looks at most, 2 s: a server that is never at rest is measured as it is.
const MOST_LOOKS: u32 = 40;

/// Looks that have to agree.
const AGREEING: u32 = 4;

/// CPU that a resting server may use between two looks: timers and the like.
const RESTING_NS: u64 = 1_000_000;

/// Waits until the server does nothing and its memory stays the same; its resident memory then.
/// `None` if it cannot be seen.
pub fn resting_memory(process: Option<Process>) -> Option<u64> {
    let process = process?;
    let (mut cpu, mut memory) = (process.cpu_ns()?, process.rss_bytes()?);
    let mut agreeing = 0;
    for _ in 0..MOST_LOOKS {
        thread::sleep(PAUSE);
        let (cpu_now, memory_now) = (process.cpu_ns()?, process.rss_bytes()?);
        let rests = cpu_now.saturating_sub(cpu) < RESTING_NS && memory_now == memory;
        agreeing = if rests { agreeing + 1 } else { 0 };
        (cpu, memory) = (cpu_now, memory_now);
        if agreeing == AGREEING {
            break;
        }
    }
    Some(memory)
}

/// The CPU that the server has used so far, in nanoseconds. `None` if it cannot be seen.
pub fn cpu_ns(process: Option<Process>) -> Option<u64> {
    process?.cpu_ns()
}
