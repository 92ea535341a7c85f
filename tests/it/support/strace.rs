//! A server under `strace`, which counts its system calls or slows them down.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tempfile::NamedTempFile;

use super::Worker;

/// The calls by which bytes get to a socket.
const SENDS: &str = "sendto,write,writev,sendmsg,sendmmsg";

/// A running `strace` on all threads of a process. Dropping it detaches it.
pub struct Strace {
    child: Child,
    report: NamedTempFile,
    /// Kept open, or strace would end at the next thing it has to say.
    _said: BufReader<ChildStderr>,
}

impl Strace {
    /// Counts sends.
    pub fn count_sends(worker: &Worker) -> Self {
        Self::attach(worker.pid(), &["-c", "-e", &format!("trace={SENDS}")])
    }

    /// Counts everything that process `pid` asks of the kernel.
    pub fn count_all(pid: u32) -> Self {
        Self::attach(pid, &["-c"])
    }

    /// Makes each send take `delay` longer.
    pub fn delay_sends(worker: &Worker, delay: Duration) -> Self {
        let micros = delay.as_micros();
        let inject = format!("inject={SENDS}:delay_enter={micros}");
        Self::attach(worker.pid(), &["-e", &format!("trace={SENDS}"), "-e", &inject])
    }

    fn attach(pid: u32, what: &[&str]) -> Self {
        let report = NamedTempFile::new().unwrap();
        let mut child = Command::new("strace")
            .args(what)
            .args(["-f", "-p", &pid.to_string(), "-o"])
            .arg(report.path())
            .stderr(Stdio::piped())
            .spawn()
            .expect("this test needs strace");
        let mut said = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        while !line.contains("attached") {
            line.clear();
            let count = said.read_line(&mut line).unwrap();
            assert_ne!(count, 0, "strace may not attach to the process");
        }
        Self { child, report, _said: said }
    }

    /// Detaches, and returns how many sends were counted.
    pub fn finish(self) -> u64 {
        let counted = self.finish_all();
        SENDS.split(',').filter_map(|name| counted.get(name)).sum()
    }

    /// Detaches, and returns how many calls of each name were counted.
    pub fn finish_all(mut self) -> BTreeMap<String, u64> {
        self.detach();
        let report = fs::read_to_string(self.report.path()).unwrap();
        println!("{report}");
        let calls = |line: &str| {
            let columns: Vec<&str> = line.split_whitespace().collect();
            let name = columns.last().filter(|name| **name != "total")?;
            Some(((*name).to_owned(), columns.get(3)?.parse().ok()?))
        };
        report.lines().filter_map(calls).collect()
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
