//! A site in a directory for the shell tools: its configuration, its worker, and the tools run
//! there, each with what it left. Nothing of the environment gets in.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// The program that was built.
pub const PROGRAM: &str = env!("CARGO_BIN_EXE_wavelog_worker");
/// The secret of the site. No tool may ever print it.
pub const SECRET: &str = "f3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
/// A secret that is not the site's, and as little to be printed.
pub const OTHER_SECRET: &str = "9c56cc51b374c3ba189210d5b6d4bf57790d351c96c47c02190ecf1e430635ab";

/// Longest that anything here should take.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A directory with a configuration, and perhaps a worker that runs with it.
pub struct Site {
    directory: TempDir,
    /// The worker, while it runs.
    pub worker: Option<Process>,
    /// Where browsers connect.
    pub ws: SocketAddr,
    /// Where PHP connects.
    pub internal: SocketAddr,
}

impl Site {
    /// With a running worker.
    pub fn start() -> Self {
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 0));
        let directory = tempfile::tempdir().unwrap();
        let mut site = Self { directory, worker: None, ws: nowhere, internal: nowhere };
        site.restart();
        // From now on the tools know the ports, and so does the next worker.
        site.configure();
        site
    }

    /// Starts the worker, on the ports that it had before.
    pub fn restart(&mut self) {
        self.configure();
        let mut worker = Process::start(self.command(&["serve"]));
        let line = worker.stderr_line("\"listening\"");
        let said: serde_json::Value = serde_json::from_str(&line).unwrap();
        let address = |name: &str| said[name].as_str().unwrap().parse::<SocketAddr>().unwrap();
        (self.ws, self.internal) = (address("ws"), address("internal"));
        self.worker = Some(worker);
    }

    fn configure(&self) {
        let text = format!(
            "worker_secret: {SECRET}\nws_bind: 127.0.0.1\nws_port: {}\ninternal_port: {}\nlog_format: json\n",
            self.ws.port(),
            self.internal.port()
        );
        let path = self.path("config.yaml");
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    }

    /// A file of the site.
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// The program with `arguments`, in the directory of the site and without an environment.
    pub fn command(&self, arguments: &[&str]) -> Command {
        command(self.directory.path(), arguments)
    }

    /// Runs the program to its end.
    pub fn run(&self, arguments: &[&str]) -> Outcome {
        run(self.command(arguments), b"")
    }

    /// Starts `listen`.
    pub fn listen(&self, arguments: &[&str]) -> Process {
        Process::start(self.command(&[&["listen"], arguments].concat()))
    }
}

/// The program with `arguments`, in `directory` and without an environment.
pub fn command(directory: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(PROGRAM);
    command.args(arguments).current_dir(directory).env_clear();
    command
}

/// What a finished program left.
pub struct Outcome {
    /// The exit code; none after a signal.
    pub code: Option<i32>,
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
}

/// Runs `command` to its end with `input`; no secret may be in what it says.
pub fn run(mut command: Command, input: &[u8]) -> Outcome {
    let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = piped.spawn().unwrap();
    // One that refuses its arguments does not read.
    let _ = child.stdin.take().unwrap().write_all(input);
    let output = child.wait_with_output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    let outcome = Outcome {
        code: output.status.code(),
        stdout: text(output.stdout),
        stderr: text(output.stderr),
    };
    for secret in [SECRET, OTHER_SECRET] {
        assert!(!outcome.stdout.contains(secret) && !outcome.stderr.contains(secret));
    }
    outcome
}

impl Outcome {
    /// It succeeded, and this is its output.
    #[track_caller]
    pub fn good(self) -> String {
        assert_eq!(self.code, Some(0), "{}{}", self.stdout, self.stderr);
        self.stdout
    }

    /// It failed with this one line.
    #[track_caller]
    pub fn failure(self) -> String {
        assert_eq!(self.code, Some(1), "{}{}", self.stdout, self.stderr);
        assert_eq!(self.stderr.lines().count(), 1, "{}", self.stderr);
        assert_eq!(self.stdout, "");
        self.stderr
    }
}

/// A program that runs until it ends or the test does.
pub struct Process {
    child: Child,
    stdout: Receiver<String>,
    stderr: Receiver<String>,
}

impl Process {
    /// Starts `command`.
    pub fn start(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let stdout = lines(child.stdout.take().unwrap());
        let stderr = lines(child.stderr.take().unwrap());
        Self { child, stdout, stderr }
    }

    /// The next line of standard output.
    pub fn stdout_line(&self) -> String {
        self.stdout.recv_timeout(PATIENCE).unwrap()
    }

    /// The next line of standard error that contains `part`.
    pub fn stderr_line(&mut self, part: &str) -> String {
        loop {
            let line = self.stderr.recv_timeout(PATIENCE).expect(part);
            if line.contains(part) {
                return line;
            }
        }
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Its exit code, once it has ended.
    pub fn wait(&mut self) -> Option<i32> {
        self.child.wait().unwrap().code()
    }

    /// What every user of the machine can see of it.
    pub fn command_line(&self) -> String {
        fs::read_to_string(format!("/proc/{}/cmdline", self.child.id())).unwrap()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The lines of `source` as they come.
pub fn lines(source: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = mpsc::sync_channel(1000);
    thread::spawn(move || {
        for line in BufReader::new(source).lines().map_while(Result::ok) {
            assert!(!line.contains(SECRET));
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    receiver
}
