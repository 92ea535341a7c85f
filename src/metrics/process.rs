//! What the system says of this process, with the names that every Prometheus client has for it.
//!
//! Linux' `/proc`; what it does not say is left out. Reading takes a moment for each open file, so
//! it is no work for a thread that serves anybody.

use std::fs;

use rustix::param::{clock_ticks_per_second, page_size};
use rustix::process::{Resource, getrlimit};

use super::families::{Kind, List, Sample};

/// What the system says of this process.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct ProcessFigures {
    /// Time on a processor, in seconds.
    pub cpu_seconds: Option<f64>,
    /// Memory that is in use, in bytes.
    pub resident_bytes: Option<u64>,
    /// Address space, in bytes.
    pub virtual_bytes: Option<u64>,
    /// Open files, sockets among them.
    pub open_fds: Option<u64>,
    /// How many may be open.
    pub max_fds: Option<u64>,
    /// Unix time of its start, in seconds.
    pub start_seconds: Option<f64>,
    /// Its threads.
    pub threads: Option<u64>,
}

impl ProcessFigures {
    /// Reads them.
    pub fn read() -> Self {
        let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
        let memory = fs::read_to_string("/proc/self/statm").unwrap_or_default();
        // Of all that is counted, one is the directory that is read.
        let open = fs::read_dir("/proc/self/fd").ok().map(|files| files.count() as u64 - 1);
        Self {
            open_fds: open,
            max_fds: getrlimit(Resource::Nofile).current,
            virtual_bytes: pages(&memory, 0),
            resident_bytes: pages(&memory, 1),
            ..Self::of_stat(&stat, boot_time())
        }
    }

    /// What stands in `/proc/PID/stat`; `boot` is the Unix time of the machine's start.
    fn of_stat(stat: &str, boot: Option<u64>) -> Self {
        // The name of the program is in brackets and may hold anything, more brackets too.
        let fields = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
        let fields: Vec<&str> = fields.split_whitespace().collect();
        // proc(5) counts from 1, and the first after the name is its third.
        let field = |n: usize| fields.get(n - 3)?.parse::<u64>().ok();
        let seconds = |ticks: u64| ticks as f64 / clock_ticks_per_second() as f64;
        let cpu = field(14).zip(field(15)).map(|(user, system)| seconds(user + system));
        let start = field(22).zip(boot).map(|(ticks, boot)| boot as f64 + seconds(ticks));
        Self { cpu_seconds: cpu, start_seconds: start, threads: field(20), ..Self::default() }
    }

    /// Appends what is known.
    pub(super) fn list(&self, list: &mut List) {
        let mut add = |name, kind, help, sample: Option<Sample>| {
            if let Some(sample) = sample {
                list.add(name, kind, help, vec![sample]);
            }
        };
        let whole = |number: Option<u64>| number.map(Sample::Whole);
        let seconds = |number: Option<f64>| number.map(Sample::Seconds);
        add(
            "process_cpu_seconds",
            Kind::Counter,
            "Time that the worker spent on a processor, in seconds.",
            seconds(self.cpu_seconds),
        );
        add(
            "process_resident_memory_bytes",
            Kind::Gauge,
            "Memory that the worker has in use.",
            whole(self.resident_bytes),
        );
        add(
            "process_virtual_memory_bytes",
            Kind::Gauge,
            "Address space of the worker; most of it takes no memory.",
            whole(self.virtual_bytes),
        );
        add(
            "process_open_fds",
            Kind::Gauge,
            "Open files; each browser is one.",
            whole(self.open_fds),
        );
        add("process_max_fds", Kind::Gauge, "Files that may be open.", whole(self.max_fds));
        add(
            "process_start_time_seconds",
            Kind::Gauge,
            "Unix time of the worker's start.",
            seconds(self.start_seconds),
        );
        add("process_threads", Kind::Gauge, "Threads of the worker.", whole(self.threads));
    }
}

/// The `n`th number of `/proc/PID/statm`, in bytes.
fn pages(statm: &str, n: usize) -> Option<u64> {
    let pages: u64 = statm.split_whitespace().nth(n)?.parse().ok()?;
    Some(pages * page_size() as u64)
}

/// Unix time of the machine's start.
fn boot_time() -> Option<u64> {
    let stat = fs::read_to_string("/proc/stat").ok()?;
    stat.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_program_may_hold_anything() {
        let tail = "S 1 2 3 4 5 6 7 8 9 10 150 50 0 0 20 0 12 0 30000 7 8";
        let hz = clock_ticks_per_second() as f64;

        for name in ["(worker)", "(a b)", "(x) 1 2 (y))"] {
            let figures = ProcessFigures::of_stat(&format!("42 {name} {tail}"), Some(1000));

            assert_eq!(figures.cpu_seconds, Some(200.0 / hz), "{name}");
            assert_eq!(figures.start_seconds, Some(1000.0 + 30_000.0 / hz), "{name}");
            assert_eq!(figures.threads, Some(12), "{name}");
        }
    }

    #[test]
    fn what_the_system_does_not_say_is_left_out() {
        assert_eq!(ProcessFigures::of_stat("", None), ProcessFigures::default());
        assert_eq!(ProcessFigures::of_stat("42 (x) S 1", Some(1)), ProcessFigures::default());
        assert_eq!(pages("", 1), None);
    }

    #[test]
    fn this_process_has_a_past_and_takes_something() {
        let figures = ProcessFigures::read();
        let now = crate::clock::unix_now() as f64;

        assert!(figures.start_seconds.is_some_and(|start| start > 1e9 && start <= now + 2.0));
        assert!(figures.resident_bytes < figures.virtual_bytes);
        assert!(figures.resident_bytes.is_some_and(|bytes| bytes > 100_000));
        assert!(figures.open_fds.is_some_and(|count| count >= 3));
        assert!(figures.threads.is_some_and(|count| count >= 1));
        assert!(figures.cpu_seconds.is_some());
    }
}
