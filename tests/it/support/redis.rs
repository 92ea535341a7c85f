//! A real Redis for one test: started on a free port, without a file on disk, ended with the
//! test; and everything that may happen to it in between.

use std::fs::{self, File};
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use super::{Reply, Resp, topic_key, until};

/// A Redis of one test. Dropping it kills the process.
pub struct Redis {
    child: Option<Child>,
    port: u16,
    options: Vec<String>,
    password: Option<String>,
    directory: TempDir,
}

impl Redis {
    /// An empty Redis that keeps nothing over a restart.
    pub fn start() -> Self {
        Self::with(&[])
    }

    /// A Redis with further options, such as `["--appendonly", "yes"]`.
    pub fn with(options: &[&str]) -> Self {
        loop {
            let mut redis = Self::absent(options);
            if redis.try_launch() {
                return redis;
            }
        }
    }

    /// A Redis that wants a password.
    pub fn with_password(password: &str) -> Self {
        loop {
            let mut redis = Self::absent(&[]);
            redis.password = Some(password.to_owned());
            if redis.try_launch() {
                return redis;
            }
        }
    }

    /// An address at which [`Redis::restart`] will bring one up.
    pub fn absent(options: &[&str]) -> Self {
        Self {
            child: None,
            port: free_port(),
            options: options.iter().map(|&option| option.to_owned()).collect(),
            password: None,
            directory: TempDir::new().unwrap(),
        }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// What a worker needs to know to connect.
    pub fn url(&self) -> String {
        self.url_at(self.address())
    }

    /// The same by way of a proxy at `address`.
    pub fn url_at(&self, address: SocketAddr) -> String {
        match &self.password {
            Some(password) => format!("redis://:{password}@{address}/0"),
            None => format!("redis://{address}/0"),
        }
    }

    /// Ends it as a power failure does.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// Starts it (again) at the same address; what it kept is what its options say.
    pub fn restart(&mut self) {
        self.kill();
        until("Redis to start at its old port", || self.try_launch().then_some(()));
    }

    /// Starts it again with another password, or without one.
    pub fn restart_with_password(&mut self, password: Option<&str>) {
        self.password = password.map(str::to_owned);
        self.restart();
    }

    /// Ends it so that its data is there at its next start, and takes 0.1 s for each key to load,
    /// in which it answers `LOADING`.
    pub fn kill_for_a_slow_load(&mut self) {
        assert_eq!(self.cli(&["CONFIG", "SET", "rdbcompression", "no"]), "OK");
        assert_eq!(self.cli(&["SAVE"]), "OK");
        self.kill();
        let slow =
            ["--key-load-delay", "100000", "--loading-process-events-interval-bytes", "1024"];
        self.options.extend(slow.map(str::to_owned));
    }

    /// Stops it in mid-air: connections stay and nothing is answered.
    pub fn pause(&self) {
        self.signal(Signal::STOP);
    }

    /// Lets it go on after [`Redis::pause`].
    pub fn resume(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        let child = self.child.as_ref().expect("Redis runs");
        kill_process(Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap(), signal).unwrap();
    }

    /// A connection that may give commands.
    pub fn connect(&self) -> Resp {
        self.try_connect().expect("Redis takes connections")
    }

    fn try_connect(&self) -> io::Result<Resp> {
        let mut connection = Resp::connect(self.address())?;
        if let Some(password) = &self.password {
            let answer = connection.ask(&["AUTH", password])?;
            assert_eq!(answer, Reply::Text(b"OK".to_vec()));
        }
        Ok(connection)
    }

    /// Gives one command over a connection of its own.
    pub fn ask(&self, command: &[impl AsRef<[u8]>]) -> Reply {
        self.connect().ask(command).unwrap()
    }

    /// Gives one command and returns its reply as text.
    pub fn cli(&self, command: &[&str]) -> String {
        self.ask(command).text()
    }

    /// The value of a key, if it is there.
    pub fn get(&self, key: &str) -> Option<String> {
        match self.ask(&["GET", key]) {
            Reply::Nothing => None,
            value => Some(value.text()),
        }
    }

    /// Whether a key is there.
    pub fn has(&self, key: &str) -> bool {
        self.cli(&["EXISTS", key]) == "1"
    }

    /// Waits until a registration of `topic` has been written behind.
    pub fn wait_for_topic(&self, topic: &str) {
        let key = topic_key(topic);
        until("a topic to be written", || self.has(&key).then_some(()));
    }

    /// Milliseconds that a key still lives.
    pub fn ttl_ms(&self, key: &str) -> i64 {
        self.cli(&["PTTL", key]).parse().unwrap()
    }

    /// Sends `message` to everyone on `channel` and says how many those were.
    pub fn publish(&self, channel: &str, message: &[u8]) -> i64 {
        match self.ask(&[b"PUBLISH".as_slice(), channel.as_bytes(), message]) {
            Reply::Integer(count) => count,
            other => panic!("{other:?}"),
        }
    }

    /// How many connections listen to `channel`.
    pub fn listeners(&self, channel: &str) -> i64 {
        match self.ask(&["PUBSUB", "NUMSUB", channel]).list().last() {
            Some(Reply::Integer(count)) => *count,
            other => panic!("{other:?}"),
        }
    }

    /// How often `command` was carried out, as `INFO commandstats` counts it.
    pub fn calls(&self, command: &str) -> u64 {
        let info = self.cli(&["INFO", "commandstats"]);
        let prefix = format!("cmdstat_{}:calls=", command.to_lowercase());
        let line = info.lines().find_map(|line| line.strip_prefix(&prefix));
        line.map_or(0, |rest| rest.split(',').next().unwrap().parse().unwrap())
    }

    /// Ends every connection but the one that asks for it.
    pub fn kill_clients(&self) {
        let mut connection = self.connect();
        for kind in ["normal", "pubsub"] {
            connection.ask(&["CLIENT", "KILL", "TYPE", kind, "SKIPME", "yes"]).unwrap();
        }
    }

    /// Starts the process and waits until it answers; false if its port is another's.
    fn try_launch(&mut self) -> bool {
        let output = File::create(self.directory.path().join("log")).unwrap();
        let mut command = Command::new("redis-server");
        command
            .args(["--port", &self.port.to_string(), "--bind", "127.0.0.1", "--save", ""])
            .args(["--daemonize", "no", "--enable-debug-command", "yes", "--dir"])
            .arg(self.directory.path())
            .args(&self.options);
        if let Some(password) = &self.password {
            command.args(["--requirepass", password]);
        }
        let child = command.stdin(Stdio::null()).stdout(output).stderr(Stdio::null()).spawn();
        self.child = Some(child.expect("this test needs redis-server"));
        until("Redis to answer", || {
            if self.child.as_mut().unwrap().try_wait().unwrap().is_some() {
                return Some(false);
            }
            let answer = self.try_connect().and_then(|mut connection| {
                connection.patience(Duration::from_secs(1))?;
                connection.ask(&["PING"])
            });
            answer.is_ok_and(|answer| answer != Reply::Nothing).then_some(true)
        })
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
        if std::thread::panicking() {
            let log = fs::read_to_string(self.directory.path().join("log"));
            eprintln!("Redis said: {}", log.unwrap_or_default());
        }
    }
}

/// A port at which nobody listens, of those that the kernel gives to nobody who just connects:
/// who tries an address again and again at which nobody listens could be given that very port and
/// be connected with itself.
pub fn free_port() -> u16 {
    const FIRST: u16 = 12_000;
    const COUNT: u16 = 18_000;
    static NEXT: AtomicU16 = AtomicU16::new(0);
    loop {
        let next = u32::from(NEXT.fetch_add(1, Ordering::Relaxed)) * 7 + std::process::id() * 131;
        let port = FIRST + u16::try_from(next % u32::from(COUNT)).unwrap();
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
}
