//! A worker under `strace`, which counts its system calls or slows them down.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tempfile::NamedTempFile;

use super::Worker;

/// The calls by which bytes get to a socket.
const SENDS: &str = "sendto,write,writev,sendmsg,sendmmsg";

/// A running `strace` on all threads of a worker. Dropping it detaches it.
pub struct Strace {
    child: Child,
    report: NamedTempFile,
    /// Kept open, or strace would end at the next thing it has to say.
    _said: BufReader<ChildStderr>,
}

impl Strace {
    /// Counts sends.
    pub fn count_sends(worker: &Worker) -> Self {
        Self::attach(worker, &["-c", "-e", &format!("trace={SENDS}")])
    }

    /// Makes each send take `delay` longer.
    pub fn delay_sends(worker: &Worker, delay: Duration) -> Self {
        let micros = delay.as_micros();
        let inject = format!("inject={SENDS}:delay_enter={micros}");
        Self::attach(worker, &["-e", &format!("trace={SENDS}"), "-e", &inject])
    }

    fn attach(worker: &Worker, what: &[&str]) -> Self {
        let report = NamedTempFile::new().unwrap();
        let mut child = Command::new("strace")
            .args(what)
            .args(["-f", "-p", &worker.pid().to_string(), "-o"])
            .arg(report.path())
            .stderr(Stdio::piped())
            .spawn()
            .expect("this test needs strace");
        let mut said = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        while !line.contains("attached") {
            line.clear();
            let count = said.read_line(&mut line).unwrap();
            assert_ne!(count, 0, "strace may not attach to the worker");
        }
        Self { child, report, _said: said }
    }

    /// Detaches, and returns how many calls were counted.
    pub fn finish(mut self) -> u64 {
        self.detach();
        let report = fs::read_to_string(self.report.path()).unwrap();
        println!("{report}");
        let calls = |line: &str| {
            let columns: Vec<&str> = line.split_whitespace().collect();
            let counted = SENDS.split(',').any(|name| columns.last() == Some(&name));
            if counted { columns.get(3)?.parse::<u64>().ok() } else { None }
        };
        report.lines().filter_map(calls).sum()
    }

    fn detach(&mut self) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        let _ = kill_process(pid, Signal::INT);
        let _ = self.child.wait();
    }
}

impl Drop for Strace {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            self.detach();
        }
    }
}
