//! Real servers, each with a folder of its own, ended with their handle.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::config::{RedisAddress, RedisConfig, RedisTarget};

/// A running `redis-server`.
pub(crate) struct Server {
    pub(crate) port: u16,
    pub(crate) folder: TempDir,
    child: Child,
}

impl Server {
    /// Starts one on a free port, with more arguments. In these `{port}` stands for its port, and
    /// `{free}` for another one.
    pub(crate) fn start(arguments: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self::start_in(folder, arguments)
    }

    /// As [`Server::start`], in a folder that holds what `arguments` name.
    pub(crate) fn start_in(folder: TempDir, arguments: &[&str]) -> Self {
        // Somebody else may take a port that was free a moment ago.
        for _ in 0..10 {
            let port = free_port();
            if let Some(child) = spawn(folder.path(), port, arguments) {
                return Self { port, folder, child };
            }
        }
        panic!("redis-server does not start; is it installed?");
    }

    /// Starts it again on its port, as a new process with `arguments`.
    pub(crate) fn restart(&mut self, arguments: &[&str]) {
        self.kill();
        self.child = spawn(self.folder.path(), self.port, arguments).expect("starts again");
    }

    /// Ends it as `kill -9` does.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Stops it, or lets it go on.
    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// What somebody else asks it, with the options of `redis-cli` if it needs any.
    pub(crate) fn cli(&self, words: &[&str]) -> String {
        let port = self.port.to_string();
        let mut all = vec!["-h", "127.0.0.1", "-p", port.as_str()];
        all.extend(words);
        let output = Command::new("redis-cli").args(all).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    }

    /// How a worker gets in without a password.
    pub(crate) fn config(&self) -> RedisConfig {
        RedisConfig {
            target: RedisTarget::Tcp(self.address()),
            username: None,
            password: None,
            database: 0,
            tls: None,
        }
    }

    pub(crate) fn address(&self) -> RedisAddress {
        RedisAddress { host: "127.0.0.1".to_owned(), port: self.port }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A port that was free a moment ago.
pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A server that accepts connections; `None` if it ended before.
fn spawn(folder: &Path, port: u16, arguments: &[&str]) -> Option<Child> {
    let (port, free) = (port.to_string(), free_port().to_string());
    let arguments: Vec<String> = arguments
        .iter()
        .map(|argument| argument.replace("{port}", &port).replace("{free}", &free))
        .collect();
    // A sentinel takes its file before any option, and has no data to save.
    let is_sentinel = arguments.first().is_some_and(|first| first == "sentinel.conf");
    let (first, arguments) = arguments.split_at(usize::from(is_sentinel));
    let mut command = Command::new("redis-server");
    command.args(first).args(["--port", &port, "--bind", "127.0.0.1"]);
    if is_sentinel {
        command.arg("--sentinel");
    } else {
        command.args(["--save", "", "--appendonly", "no"]);
    }
    let mut child = command
        .args(arguments)
        .args(["--daemonize", "no", "--loglevel", "notice"])
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .expect("redis-server is installed");
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let ready = |line: &str| {
        line.contains("Ready to accept connections")
            || line.contains("The server is now ready to accept connections")
            || line.contains("Sentinel ID is")
    };
    if lines.by_ref().map_while(Result::ok).any(|line| ready(&line)) {
        // Whoever does not read stops a server that writes.
        thread::spawn(move || lines.map_while(Result::ok).for_each(drop));
        Some(child)
    } else {
        let _ = child.kill();
        let _ = child.wait();
        None
    }
}

/// Waits until `done`, for as long as a busy machine may take.
pub(crate) async fn until(what: &str, mut done: impl FnMut() -> bool) {
    for _ in 0..1_000 {
        if done() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("it took too long until {what}");
}
