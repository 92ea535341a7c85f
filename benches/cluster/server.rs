//! The servers that are measured: a `redis-server` and a worker, processes of their own on
//! loopback.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use std::{env, thread};

use wavelog_worker::bench::target::Target;
use wavelog_worker::process::Process;
use wavelog_worker::secret::Secret;

/// How long anything may take to start or to answer.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// A process of ours; ended with this.
struct Own(Child);

impl Drop for Own {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A `redis-server` that keeps nothing.
pub struct Redis {
    /// Where it listens.
    pub address: SocketAddr,
    /// Its process.
    pub process: Process,
    _own: Own,
}

/// A worker: a node of a cluster, or alone.
pub struct Node {
    ws: SocketAddr,
    internal: SocketAddr,
    secret: Secret,
    pid: u32,
    _own: Own,
}

/// Which Redis is measured.
pub fn version() -> Result<String, String> {
    let output = Command::new("redis-server").arg("--version").output().map_err(no_redis)?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let version = text.split_whitespace().find_map(|word| word.strip_prefix("v="));
    Ok(format!("Redis {}", version.unwrap_or("of an unknown version")))
}

#[expect(clippy::needless_pass_by_value, reason = "goes to `map_err` as it is")]
fn no_redis(error: std::io::Error) -> String {
    format!("cannot run redis-server: {error}; install it (`make setup`)")
}

impl Redis {
    /// Starts one on a free port, with the limits of `deploy/redis.conf`.
    pub fn start() -> Result<Self, String> {
        // Somebody may take the port before Redis does; then another is tried.
        for _ in 0..5 {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(text)?;
            let address = listener.local_addr().map_err(text)?;
            drop(listener);
            let config = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/redis.conf");
            let child = Command::new("redis-server")
                .args([config, "--bind", "127.0.0.1", "--port", &address.port().to_string()])
                .args(["--dir", "/"])
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .spawn()
                .map_err(no_redis)?;
            let mut own = Own(child);
            let process = Process { pid: own.0.id() };
            for _ in 0..PATIENCE.as_millis() / 10 {
                if own.0.try_wait().map_err(text)?.is_some() {
                    break;
                }
                if TcpStream::connect(address).is_ok() {
                    return Ok(Self { address, process, _own: own });
                }
                thread::sleep(Duration::from_millis(10));
            }
        }
        Err("redis-server does not start; see what it says on a free port of yours".to_owned())
    }

    /// A connection to it.
    pub fn connect(&self) -> Result<TcpStream, String> {
        let stream = TcpStream::connect(self.address).map_err(text)?;
        stream.set_nodelay(true).map_err(text)?;
        stream.set_read_timeout(Some(PATIENCE)).map_err(text)?;
        Ok(stream)
    }

    /// A connection that is subscribed to `channel`.
    pub fn subscribe(&self, channel: &str) -> Result<TcpStream, String> {
        let mut stream = self.connect()?;
        stream.write_all(&command(&["SUBSCRIBE", channel])).map_err(text)?;
        let expected =
            format!("*3\r\n$9\r\nsubscribe\r\n${}\r\n{channel}\r\n:1\r\n", channel.len());
        let mut answer = vec![0; expected.len()];
        stream.read_exact(&mut answer).map_err(text)?;
        if answer == expected.as_bytes() { Ok(stream) } else { Err("cannot subscribe".to_owned()) }
    }
}

impl Node {
    /// Starts a worker by the program beside this one, in the cluster of `redis` if there is one.
    pub fn start(redis: Option<&Redis>) -> Result<Self, String> {
        let program = program()?;
        let secret = "0d1fd4e3-of-the-measurement-of-a-cluster";
        let mut command = Command::new(&program);
        for (name, _) in env::vars_os() {
            if name.to_string_lossy().starts_with("WORKER_") {
                command.env_remove(name);
            }
        }
        if let Some(redis) = redis {
            command.env("WORKER_REDIS_URL", format!("redis://{}", redis.address));
        }
        let child = command
            .args(["serve", "--config", "/dev/null"])
            .env("WORKER_SECRET", secret)
            .env("WORKER_WS_BIND", "127.0.0.1")
            .env("WORKER_WS_PORT", "0")
            .env("WORKER_INTERNAL_PORT", "0")
            .env("WORKER_LOG_FORMAT", "json")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| format!("cannot start {}: {error}", program.display()))?;
        let mut own = Own(child);
        let pid = own.0.id();
        let mut said = BufReader::new(own.0.stderr.take().ok_or("the worker says nothing")?);
        let (ws, internal) = listening(&mut said)?;
        // Who reads no more would stop its log.
        thread::spawn(move || std::io::copy(&mut said, &mut std::io::sink()));
        let secret = Secret::new(secret).map_err(text)?;
        Ok(Self { ws, internal, secret, pid, _own: own })
    }

    /// The worker as the bench sees it.
    pub fn target(&self) -> Target {
        Target::running(self.ws, self.internal, self.secret.clone(), Some(self.pid))
    }
}

/// The worker of the same build.
fn program() -> Result<PathBuf, String> {
    let own = env::current_exe().map_err(text)?;
    let folder = own.parent().and_then(|examples| examples.parent());
    let program = folder.ok_or("this program stands in no folder")?.join("wavelog_worker");
    if program.exists() {
        return Ok(program);
    }
    Err(format!("{} is missing; build it first: cargo build --release", program.display()))
}

/// The two addresses in the worker's line that says where it listens.
fn listening(said: &mut impl BufRead) -> Result<(SocketAddr, SocketAddr), String> {
    let (mut line, mut last) = (String::new(), String::new());
    while said.read_line(&mut line).map_err(text)? > 0 {
        let value: serde_json::Value = serde_json::from_str(&line).unwrap_or_default();
        let address = |name: &str| value[name].as_str().and_then(|text| text.parse().ok());
        if let (Some(ws), Some(internal)) = (address("ws"), address("internal")) {
            return Ok((ws, internal));
        }
        last = std::mem::take(&mut line);
    }
    Err(format!("the worker ended; the last that it said: {}", last.trim_end()))
}

/// A command as Redis reads it.
pub fn command(words: &[&str]) -> Vec<u8> {
    let mut text = format!("*{}\r\n", words.len());
    for word in words {
        text += &format!("${}\r\n{word}\r\n", word.len());
    }
    text.into_bytes()
}

/// An error as text.
#[expect(clippy::needless_pass_by_value, reason = "goes to `map_err` as it is")]
pub fn text(error: impl ToString) -> String {
    error.to_string()
}
