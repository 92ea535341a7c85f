//! One worker process for one test: started on free ports, ended with the test.

use std::fs::Permissions;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::{env, fs, thread};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

use super::{Answer, Http, Socket, claims, mint, request, until};

/// The secret of every worker that is not given another one.
pub const SECRET: &str = "8f1d3c5b7a9e0246-of-the-integration-tests";

/// A running worker. Dropping it kills the process, and fails the test if a task of it panicked.
pub struct Worker {
    child: Child,
    secret: String,
    log: Log,
    /// Where browsers connect.
    pub ws: SocketAddr,
    /// Where PHP connects.
    pub internal: SocketAddr,
    _directory: TempDir,
}

/// Makes the bytes of a publish, topic and payload given.
pub type PublishRequest = Box<dyn Fn(&str, &str) -> Vec<u8> + Send>;

/// What the process wrote so far, both streams, line by line.
type Log = Arc<Mutex<Vec<String>>>;

/// The built binary, with no configuration in its environment.
pub fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wavelog_worker"));
    for (name, _) in env::vars_os() {
        if name.to_string_lossy().starts_with("WORKER_") {
            command.env_remove(name);
        }
    }
    command.stdin(Stdio::null());
    command
}

impl Worker {
    /// Starts a worker with default limits.
    pub fn start() -> Self {
        Self::with("")
    }

    /// Starts a worker with further lines of configuration.
    pub fn with(more_config: &str) -> Self {
        Self::with_secret(SECRET, more_config)
    }

    /// Starts a worker with a secret of its own.
    pub fn with_secret(secret: &str, more_config: &str) -> Self {
        Self::launch(secret, 0, more_config)
    }

    /// Starts the node `name` of a cluster over the Redis at `redis_url`, and waits until it has
    /// joined.
    pub fn node(redis_url: &str, name: &str, more_config: &str) -> Self {
        let node = Self::apart(redis_url, name, more_config);
        node.wait_until_ready();
        node
    }

    /// Starts a node of a cluster whose Redis need not be there.
    pub fn apart(redis_url: &str, name: &str, more_config: &str) -> Self {
        Self::with(&format!("redis_url: \"{redis_url}\"\nnode_name: {name}\n{more_config}"))
    }

    /// Starts a node of a cluster on given ports, so that it can be replaced by another there.
    #[cfg(feature = "faults")]
    pub fn node_at(ports: [u16; 2], redis_url: &str, name: &str) -> Self {
        let [ws_port, internal_port] = ports;
        let node = Self::from_config(
            &format!(
                "ws_port: {ws_port}\nws_bind: 127.0.0.1\ninternal_port: {internal_port}\n\
                 worker_secret: \"{SECRET}\"\nlog_format: json\n\
                 redis_url: \"{redis_url}\"\nnode_name: {name}\n"
            ),
            SECRET,
        );
        node.wait_until_ready();
        node
    }

    /// Starts a worker that may have `limit` files open, each socket one of them.
    pub fn with_few_files(limit: u32) -> Self {
        let mut shell = Command::new("sh");
        shell.arg("-c").arg(format!("ulimit -n {limit}; exec \"$0\""));
        shell.arg(env!("CARGO_BIN_EXE_wavelog_worker")).stdin(Stdio::null());
        for (name, value) in [
            ("WORKER_SECRET", SECRET),
            ("WORKER_WS_BIND", "127.0.0.1"),
            ("WORKER_WS_PORT", "0"),
            ("WORKER_INTERNAL_PORT", "0"),
            ("WORKER_LOG_FORMAT", "json"),
        ] {
            shell.env(name, value);
        }
        let directory = TempDir::new().unwrap();
        shell.current_dir(directory.path());
        Self::from_command(shell, directory, SECRET)
    }

    /// Starts a worker whose WebSocket port is `ws_port`.
    pub fn on_port(ws_port: u16, more_config: &str) -> Self {
        Self::launch(SECRET, ws_port, more_config)
    }

    /// Hardly any pings unless the test asks for them.
    fn launch(secret: &str, ws_port: u16, more_config: &str) -> Self {
        let mut config = format!(
            "ws_port: {ws_port}\nws_bind: 127.0.0.1\ninternal_port: 0\n\
             worker_secret: \"{secret}\"\nlog_format: json\n{more_config}"
        );
        if !more_config.contains("ping_interval") {
            config += "ping_interval: 24h\nidle_timeout: 48h\n";
        }
        Self::from_config(&config, secret)
    }

    /// Starts a worker with `config` as its whole file; `secret` is what that says.
    pub fn from_config(config: &str, secret: &str) -> Self {
        let directory = TempDir::new().unwrap();
        let path = directory.path().join("worker.yaml");
        fs::write(&path, config).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        let mut command = command();
        command.arg("--config").arg(&path);
        Self::from_command(command, directory, secret)
    }

    /// Starts a worker by `command`, which has to ask for JSON logs; `directory` lives as long.
    pub fn from_command(mut command: Command, directory: TempDir, secret: &str) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let log = Log::default();
        collect(&log, child.stdout.take().unwrap());
        collect(&log, child.stderr.take().unwrap());
        let listening = until("the worker to listen", || {
            let ended = child.try_wait().unwrap();
            let lines = log.lock().unwrap().clone();
            assert!(ended.is_none(), "the worker ended ({ended:?}): {lines:#?}");
            find(&log, |line| line["message"] == "listening")
        });
        let address = |field: &str| listening[field].as_str().unwrap().parse().unwrap();
        Self {
            ws: address("ws"),
            internal: address("internal"),
            child,
            secret: secret.to_owned(),
            log,
            _directory: directory,
        }
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// How many of its threads are called `name`.
    pub fn threads_named(&self, name: &str) -> usize {
        let threads = fs::read_dir(format!("/proc/{}/task", self.pid())).unwrap();
        let names = threads.map(|thread| {
            fs::read_to_string(thread.unwrap().path().join("comm")).unwrap_or_default()
        });
        names.filter(|found| found.trim_end() == name).count()
    }

    /// A connection to the internal port.
    pub fn internal(&self) -> Http {
        Http::connect(self.internal)
    }

    /// A connection to the WebSocket port, before any upgrade.
    pub fn public(&self) -> Http {
        Http::connect(self.ws)
    }

    /// The bytes of a `POST` with the secret.
    pub fn post_request(&self, path: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
        request("POST", path, &[("X-Worker-Secret", &self.secret)], body.as_ref())
    }

    /// Posts `body` with the secret, over a connection of its own, as PHP does.
    pub fn post(&self, path: &str, body: impl AsRef<[u8]>) -> Answer {
        self.internal().ask(&self.post_request(path, body))
    }

    /// Gets `path` with the secret.
    pub fn get(&self, path: &str) -> Answer {
        let bytes = request("GET", path, &[("X-Worker-Secret", &self.secret)], b"");
        self.internal().ask(&bytes)
    }

    /// Registers `topic` so that it needs a token.
    pub fn register(&self, topic: &str) {
        let topic = serde_json::to_string(topic).unwrap();
        let body = format!(r#"{{"topic":{topic},"meta":{{"require_token":true}}}}"#);
        self.post("/internal/register", body).assert_ok();
    }

    /// Registers `topic` as an open one.
    pub fn register_open(&self, topic: &str) {
        let topic = serde_json::to_string(topic).unwrap();
        self.post("/internal/register", format!(r#"{{"topic":{topic}}}"#)).assert_ok();
    }

    /// Unregisters `topic`.
    pub fn unregister(&self, topic: &str) {
        let topic = serde_json::to_string(topic).unwrap();
        self.post("/internal/unregister", format!(r#"{{"topic":{topic}}}"#)).assert_ok();
    }

    /// Publishes `payload`, given as JSON text, and checks that it was taken.
    pub fn publish(&self, topic: &str, payload: &str) {
        self.try_publish(topic, payload).assert_ok();
    }

    /// Publishes `payload` and returns the answer.
    pub fn try_publish(&self, topic: &str, payload: &str) -> Answer {
        self.post("/internal/publish", publish_body(topic, payload))
    }

    /// The bytes of a request that publishes `payload`.
    pub fn publish_request(&self, topic: &str, payload: &str) -> Vec<u8> {
        self.post_request("/internal/publish", publish_body(topic, payload))
    }

    /// Makes the bytes of publishes without this worker at hand.
    pub fn publisher(&self) -> PublishRequest {
        let secret = self.secret.clone();
        Box::new(move |topic, payload| {
            let body = publish_body(topic, payload);
            let headers = [("X-Worker-Secret", secret.as_str())];
            request("POST", "/internal/publish", &headers, body.as_bytes())
        })
    }

    /// The status document with our additions.
    pub fn status(&self) -> Value {
        self.get("/internal/status?v=2").json()
    }

    /// One of the counters in the status document.
    pub fn counter(&self, name: &str) -> u64 {
        let status = self.status();
        let value = status["counters"][name].as_u64();
        value.unwrap_or_else(|| panic!("no counter {name} in {status}"))
    }

    /// Waits until the counter is at least `least`.
    pub fn wait_for_counter(&self, name: &str, least: u64) {
        until(&format!("{name} to reach {least}"), || (self.counter(name) >= least).then_some(()));
    }

    /// Waits until as many sockets are connected.
    pub fn wait_for_sockets(&self, count: u64) {
        until(&format!("{count} connected sockets"), || {
            (self.status()["connected_sockets"] == count).then_some(())
        });
    }

    /// What `/readyz` says.
    pub fn readiness(&self) -> Answer {
        self.internal().ask(&request("GET", "/readyz", &[], b""))
    }

    /// Waits until the node serves with Redis.
    pub fn wait_until_ready(&self) {
        until("the node to be ready", || (self.readiness().status == 200).then_some(()));
    }

    /// Waits until the node has noticed that Redis is away.
    pub fn wait_until_alone(&self) {
        until("the node to be alone", || (self.readiness().status == 503).then_some(()));
    }

    /// The roster, with the state of the link to Redis.
    pub fn nodes(&self) -> Value {
        self.get("/internal/nodes").json()
    }

    /// The id of this node.
    pub fn id(&self) -> String {
        let document = self.nodes();
        let own = document["nodes"].as_array().unwrap().iter().find(|node| node["self"] == true);
        own.unwrap_or_else(|| panic!("no node of its own in {document}"))["id"]
            .as_str()
            .unwrap()
            .to_owned()
    }

    /// Lines of the log, from the line `from` on, that an operator sees by default.
    pub fn notable_log(&self, from: usize) -> Vec<String> {
        let log = self.log();
        let level = |line: &str| -> Option<String> {
            let line: Value = serde_json::from_str(line).ok()?;
            Some(line["level"].as_str()?.to_ascii_lowercase())
        };
        let notable = |line: &String| {
            level(line).is_some_and(|level| ["error", "warn", "info"].contains(&level.as_str()))
        };
        log.into_iter().skip(from).filter(notable).collect()
    }

    /// A socket that asked for `topic` and has not authenticated.
    pub fn open(&self, topic: &str) -> Socket {
        Socket::open(self.ws, &ws_path(topic))
    }

    /// An authenticated socket of user 1 on `topic`.
    pub fn subscribe(&self, topic: &str) -> Socket {
        self.subscribe_as(1, topic)
    }

    /// An authenticated socket on `topic`.
    pub fn subscribe_as(&self, user_id: i64, topic: &str) -> Socket {
        let mut socket = self.open(topic);
        socket.authenticate(&self.token(user_id, topic));
        socket
    }

    /// A good token.
    pub fn token(&self, user_id: i64, topic: &str) -> String {
        self.mint(&claims(user_id, topic))
    }

    /// A token for claims that are given as JSON text.
    pub fn mint(&self, claims: &str) -> String {
        mint(claims, &self.secret)
    }

    /// Waits until nothing waits for any browser.
    pub fn wait_for_no_backlog(&self) {
        until("the backlog to be gone", || (self.counter("backlog_bytes") == 0).then_some(()));
    }

    /// Every line the process wrote so far.
    pub fn log(&self) -> Vec<String> {
        self.log.lock().unwrap().clone()
    }

    /// Waits for a log line for which `wanted` holds.
    pub fn wait_for_log(&self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        until(what, || find(&self.log, &wanted))
    }

    /// A field of `/proc/PID/status` that is a size, in bytes.
    pub fn memory(&self, field: &str) -> u64 {
        let text = fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let line = text.lines().find(|line| line.starts_with(&format!("{field}:"))).unwrap();
        let kib: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
        kib * 1024
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.pid()).unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    /// Waits for the end of the process.
    pub fn wait_for_exit(&mut self) -> ExitStatus {
        let child = &mut self.child;
        until("the worker to end", || child.try_wait().unwrap())
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let panicked = self.log().into_iter().find(|line| line.contains("panicked at"));
        if let Some(line) = panicked.filter(|_| !thread::panicking()) {
            panic!("the worker panicked: {line}");
        }
    }
}

fn publish_body(topic: &str, payload: &str) -> String {
    let topic = serde_json::to_string(topic).unwrap();
    format!(r#"{{"topic":{topic},"payload":{payload}}}"#)
}

/// The path and query that ask for `topic`.
fn ws_path(topic: &str) -> String {
    let mut path = String::from("/ws?topic=");
    for byte in topic.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'-' => path.push(char::from(byte)),
            other => path += &format!("%{other:02X}"),
        }
    }
    path
}

fn collect(log: &Log, stream: impl Read + Send + 'static) {
    let log = Arc::clone(log);
    thread::spawn(move || {
        for line in BufReader::new(stream).split(b'\n') {
            let Ok(line) = line else { break };
            log.lock().unwrap().push(String::from_utf8_lossy(&line).into_owned());
        }
    });
}

fn find(log: &Log, wanted: impl Fn(&Value) -> bool) -> Option<Value> {
    let lines = log.lock().unwrap();
    lines.iter().filter_map(|line| serde_json::from_str(line).ok()).find(wanted)
}
