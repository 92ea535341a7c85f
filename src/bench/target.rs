//! The server that is measured: one of our own, started for it, or one that runs already.
//!
//! Knows nothing of what is asked of it. Start reading at [`Target`].

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, ChildStdin, Command, Stdio};
use std::sync::Arc;
use std::{env, io, thread};

use parking_lot::Mutex;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use serde::Deserialize;

use crate::config::keys;
use crate::process::Process;
use crate::secret::Secret;

/// Where a server is and which process it is. Our own end when this is dropped.
#[derive(Debug)]
pub struct Target {
    /// Where browsers connect.
    pub ws: SocketAddr,
    /// Where PHP posts.
    pub internal: SocketAddr,
    /// What PHP shows, and what tokens are signed with.
    pub secret: Secret,
    /// What it is.
    pub kind: Kind,
    /// Its process, if it is on this machine and known.
    pub process: Option<Process>,
    /// What ends it, if it is our own.
    _own: Option<Own>,
}

/// What a server is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The floor: the least that a server can do. It knows no tokens, no registration and no end
    /// of a publish: sockets are subscribed from the answer to their upgrade, without an auth
    /// frame and without `auth_ok`.
    Floor,
    /// A worker: docs/protocol.md.
    Worker,
}

/// How our own servers are started.
#[derive(Debug, Clone)]
pub struct Servers {
    /// The program: this one.
    pub program: PathBuf,
    /// Runtime threads of the worker; without, one for each core.
    pub threads: Option<usize>,
    /// The cores that they may use, counted from 0; without, those that we may use.
    pub cores: Option<Vec<usize>>,
    /// Those that run.
    pub children: Children,
}

/// Servers of our own that run. Clones are handles to the same.
#[derive(Debug, Clone, Default)]
pub struct Children(Arc<Mutex<Running>>);

#[derive(Debug, Default)]
struct Running {
    children: Vec<Child>,
    /// No more are started.
    is_over: bool,
}

/// What a server of our own says when it is ready, in the form of the worker's log.
#[derive(Deserialize)]
struct Line {
    message: String,
    ws: Option<SocketAddr>,
    internal: Option<SocketAddr>,
}

impl Target {
    /// Starts a floor by this very program.
    ///
    /// # Errors
    ///
    /// One line that says what is wrong and what to do.
    pub fn floor() -> Result<Self, String> {
        Servers::usual()?.floor()
    }

    /// Starts a worker by this very program, with `threads` runtime threads, on `cores`.
    ///
    /// # Errors
    ///
    /// One line that says what is wrong and what to do.
    pub fn own_worker(threads: Option<usize>, cores: Option<Vec<usize>>) -> Result<Self, String> {
        Servers { threads, cores, ..Servers::usual()? }.worker()
    }

    /// A worker that runs already. Its process is `pid`, or whichever listens on `ws`, if that is
    /// ours to see.
    pub fn running(ws: SocketAddr, internal: SocketAddr, secret: Secret, pid: Option<u32>) -> Self {
        let process = pid.map(|pid| Process { pid }).or_else(|| Process::of_listener(ws));
        Self { ws, internal, secret, kind: Kind::Worker, process, _own: None }
    }
}

impl Servers {
    /// By this very program, with all that it may use.
    ///
    /// # Errors
    ///
    /// That the program does not know where it is.
    pub fn usual() -> Result<Self, String> {
        let program = env::current_exe().map_err(|error| {
            format!("cannot find this program itself: {error}; call it by its path")
        })?;
        Ok(Self { program, threads: None, cores: None, children: Children::default() })
    }

    /// Starts a floor.
    ///
    /// # Errors
    ///
    /// One line that says what is wrong and what to do.
    pub fn floor(&self) -> Result<Target, String> {
        let mut command = Command::new(&self.program);
        command.args(["bench", "floor"]);
        self.start(command, Kind::Floor)
    }

    /// Starts a worker, with defaults and a fresh secret.
    ///
    /// # Errors
    ///
    /// One line that says what is wrong and what to do.
    pub fn worker(&self) -> Result<Target, String> {
        let mut command = Command::new(&self.program);
        // An empty file, so that the one in the working directory does not count.
        command.args(["serve", "--config", "/dev/null", "--end-with-stdin"]);
        self.start(command, Kind::Worker)
    }

    fn start(&self, mut command: Command, kind: Kind) -> Result<Target, String> {
        let secret = fresh_secret()?;
        for (name, _) in env::vars_os() {
            if name.to_string_lossy().starts_with("WORKER_") {
                command.env_remove(name);
            }
        }
        command
            .env(keys::WORKER_SECRET.env, secret.expose())
            .env("WORKER_WS_BIND", "127.0.0.1")
            .env("WORKER_WS_PORT", "0")
            .env("WORKER_INTERNAL_PORT", "0")
            .env("WORKER_LOG_FORMAT", "json");
        if let Some(threads) = self.threads {
            command.env("WORKER_THREADS", threads.to_string());
        }
        // A group of its own: Ctrl-C is for us, who end it in our time.
        command.process_group(0).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
        let before = self.cores.as_deref().map(pin).transpose()?;
        let spawned = self.children.spawn(&mut command);
        if let Some(before) = before {
            // The child has what it needs; what was allowed before is allowed again.
            let _ = sched_setaffinity(None, &before);
        }
        let (own, said) = spawned?;
        let (ws, internal) = ready(said, &self.program)?;
        let process = Some(Process { pid: own.pid });
        Ok(Target { ws, internal, secret, kind, process, _own: Some(own) })
    }
}

impl Children {
    /// Ends all of them, now and for good: what is measured meanwhile fails.
    pub fn end(&self) {
        let mut running = self.0.lock();
        running.is_over = true;
        for mut child in running.children.drain(..) {
            end(&mut child);
        }
    }

    fn spawn(&self, command: &mut Command) -> Result<(Own, Option<ChildStderr>), String> {
        let mut running = self.0.lock();
        if running.is_over {
            return Err("interrupted".to_owned());
        }
        let mut child = command.spawn().map_err(|error| {
            let program = command.get_program().display();
            format!("cannot start {program}: {error}; the system may be short of processes")
        })?;
        let said = child.stderr.take();
        let own = Own { pid: child.id(), _stdin: child.stdin.take(), children: self.clone() };
        running.children.push(child);
        Ok((own, said))
    }
}

/// A child process; killed and reaped when this is dropped.
#[derive(Debug)]
struct Own {
    pid: u32,
    /// A server ends when this does, so it does not outlive us even if we are killed.
    _stdin: Option<ChildStdin>,
    children: Children,
}

impl Drop for Own {
    fn drop(&mut self) {
        let mut running = self.children.0.lock();
        if let Some(at) = running.children.iter().position(|child| child.id() == self.pid) {
            end(&mut running.children.swap_remove(at));
        }
    }
}

/// Kills and reaps `child`.
fn end(child: &mut Child) {
    // It has nothing to lose, and closing many sockets in order takes its time.
    let _ = child.kill();
    let _ = child.wait();
}

/// Waits for the line that says where a server listens.
fn ready(said: Option<ChildStderr>, program: &Path) -> Result<(SocketAddr, SocketAddr), String> {
    let mut said = said.map(BufReader::new);
    let mut last = String::from("it said nothing");
    while let Some(line) = said.as_mut().and_then(next_line) {
        if let Ok(Line { message, ws: Some(ws), internal: Some(internal) }) =
            serde_json::from_str(&line)
            && message == "listening"
        {
            // What else it says is read and dropped, or it would wait for a reader.
            thread::spawn(move || io::copy(&mut said?, &mut io::sink()).ok());
            return Ok((ws, internal));
        }
        last = line;
    }
    Err(format!("a server of our own, {}, did not start: {last}", program.display()))
}

/// The next line, or `None` at the end.
fn next_line(said: &mut BufReader<ChildStderr>) -> Option<String> {
    let mut line = String::new();
    let count = said.read_line(&mut line).ok()?;
    (count > 0).then(|| line.trim_end().to_owned())
}

/// Keeps this thread, and the processes that it starts, on `cores`; what it was kept on before.
fn pin(cores: &[usize]) -> Result<CpuSet, String> {
    let refused = |error| format!("cannot keep a server on --cores: {error}; name other cores");
    let before = sched_getaffinity(None).map_err(refused)?;
    let mut wanted = CpuSet::new();
    for &core in cores {
        if core >= CpuSet::MAX_CPU || !before.is_set(core) {
            return Err(format!("--cores: there is no core {core} for us; the first one is 0"));
        }
        wanted.set(core);
    }
    sched_setaffinity(None, &wanted).map_err(refused)?;
    Ok(before)
}

fn fresh_secret() -> Result<Secret, String> {
    let mut key = [0; 32];
    getrandom::fill(&mut key)
        .map_err(|error| format!("the system has no random bytes: {error}"))?;
    Secret::new(base16ct::lower::encode_string(&key)).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn servers(program: &str) -> Servers {
        Servers { program: program.into(), ..Servers::usual().unwrap() }
    }

    #[test]
    fn a_program_that_is_no_server_is_said_to_be_none() {
        let error = servers("/bin/true").worker().unwrap_err();
        assert_eq!(error, "a server of our own, /bin/true, did not start: it said nothing");

        let error = servers("/nonexistent").floor().unwrap_err();
        assert!(error.starts_with("cannot start /nonexistent: "), "{error}");
    }

    #[test]
    fn none_is_started_after_the_end() {
        let servers = servers("/bin/true");

        servers.children.end();

        assert_eq!(servers.worker().unwrap_err(), "interrupted");
    }

    #[test]
    fn a_core_that_is_not_there_is_named() {
        let servers = Servers { cores: Some(vec![0, 1000]), ..servers("/bin/true") };

        let error = servers.worker().unwrap_err();
        assert!(error.starts_with("--cores: there is no core 1000 for us"), "{error}");
    }

    #[test]
    fn pinning_a_child_leaves_ourselves_as_we_were() {
        let before = sched_getaffinity(None).unwrap();
        let servers = Servers { cores: Some(vec![0]), ..servers("/bin/true") };

        let _ = servers.worker();

        assert_eq!(sched_getaffinity(None).unwrap(), before);
    }
}
