//! What a run runs on, and how many sockets are possible there.
//!
//! Start reading at [`examine`].

use std::fs;
use std::num::NonZeroUsize;
use std::thread;

use super::results::Machine;
use crate::listener::raise_file_limit;
use crate::process::{Process, kib_field};

/// Files that the bench needs beside the sockets of its browsers: connections of publishers,
/// sockets on their way in and out, and its own.
const OWN_FILES: u64 = 192;

/// Looks at this machine, raises the limit of open files as far as allowed, and says how many
/// sockets are possible. `server` is one that runs already; one of our own has our limit.
pub fn examine(server: Option<Process>) -> Machine {
    let open_files = raise_file_limit().unwrap_or(u64::MAX);
    let of_server = server.and_then(Process::open_files).unwrap_or(open_files);
    Machine {
        processor: processor(&read("/proc/cpuinfo")),
        cores: thread::available_parallelism().map_or(1, NonZeroUsize::get),
        memory_bytes: kib_field(&read("/proc/meminfo"), "MemTotal:").unwrap_or(0),
        kernel: kernel(),
        open_files,
        possible_sockets: possible_sockets(open_files, of_server),
    }
}

/// Sockets that both ends have files for. A worker keeps some for its internal port and the rest
/// of it, more than the floor does.
fn possible_sockets(ours: u64, servers: u64) -> u64 {
    let ours = ours.saturating_sub(OWN_FILES);
    let servers = servers.saturating_sub((servers / 20).clamp(16, 256));
    // Some come before others have gone.
    ours.min(servers.saturating_sub(OWN_FILES / 2))
}

/// The processor's name: the line `model name` of a PC; the board's on an ARM.
fn processor(cpuinfo: &str) -> String {
    let field = |name: &str| {
        let value = cpuinfo.lines().find_map(|line| {
            let (own, value) = line.split_once(':')?;
            (own.trim_end() == name).then_some(value)
        })?;
        let words: Vec<&str> = value.split_whitespace().collect();
        (!words.is_empty()).then(|| words.join(" "))
    };
    let names = ["Model", "model name", "Hardware", "cpu model", "machine", "uarch"];
    let found = names.into_iter().find_map(field);
    found.or_else(device).unwrap_or_else(|| std::env::consts::ARCH.to_owned())
}

/// What the firmware calls the board, for kernels that leave it out of `cpuinfo`.
fn device() -> Option<String> {
    let name = fs::read_to_string("/proc/device-tree/model").ok()?;
    Some(name.trim_end_matches(['\0', '\n']).to_owned())
}

fn kernel() -> String {
    let (name, release) = (read("/proc/sys/kernel/ostype"), read("/proc/sys/kernel/osrelease"));
    match (name.trim(), release.trim()) {
        ("", _) | (_, "") => std::env::consts::OS.to_owned(),
        (name, release) => format!("{name} {release}"),
    }
}

/// A file's text; empty without it.
fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_processor_of_a_pc_and_the_board_of_an_arm_have_names() {
        let pc =
            "processor\t: 0\nmodel\t\t: 207\nmodel name\t: Intel(R)  Xeon(R)\nflags\t\t: fpu\n";
        let pi = "processor\t: 0\nBogoMIPS\t: 108.00\n\nHardware\t: BCM2835\nModel\t\t: Raspberry Pi 4 Model B Rev 1.4\n";

        assert_eq!(processor(pc), "Intel(R) Xeon(R)");
        assert_eq!(processor(pi), "Raspberry Pi 4 Model B Rev 1.4");
        assert!(!processor("").is_empty());
    }

    #[test]
    fn both_ends_need_a_file_for_each_socket() {
        assert_eq!(possible_sockets(20_000, 20_000), 19_648);
        assert_eq!(possible_sockets(20_000, 1_024), 1_024 - 51 - 96);
        assert_eq!(possible_sockets(1_024, 20_000), 1_024 - 192);
        assert_eq!(possible_sockets(10, 10), 0);
    }

    #[test]
    fn this_machine_is_known() {
        let machine = examine(None);

        assert!(machine.cores > 0 && machine.memory_bytes > 1 << 20, "{machine:?}");
        assert!(!machine.kernel.is_empty() && machine.possible_sockets > 0, "{machine:?}");
    }
}
