//! Redis with a replica and three sentinels that watch them, all real.

use std::fs;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use super::{Redis, Reply, Resp, free_port, until};

/// What the sentinels call the master.
pub const MASTER: &str = "wavelog";

/// A master, its replica and their sentinels. Dropping it ends them all.
pub struct Sentinels {
    pub master: Redis,
    pub replica: Redis,
    sentinels: Vec<Sentinel>,
}

struct Sentinel {
    child: Child,
    port: u16,
    _directory: TempDir,
}

impl Sentinels {
    /// Starts all five, and waits until every sentinel knows everybody.
    pub fn start() -> Self {
        let master = Redis::start();
        let port = master.address().port().to_string();
        let replica = Redis::with(&[
            "--replicaof",
            "127.0.0.1",
            &port,
            // Or the replica waits 5 s for others to come.
            "--repl-diskless-sync-delay",
            "0",
        ]);
        until("the replica to follow", || {
            replica.cli(&["INFO", "replication"]).contains("master_link_status:up").then_some(())
        });
        let sentinels = (0..3).map(|_| Sentinel::watch(&port)).collect();
        let all = Self { master, replica, sentinels };
        until("the sentinels to know each other and the replica", || {
            all.sentinels.iter().all(Sentinel::knows_all).then_some(())
        });
        all
    }

    /// The URL of a worker that asks the sentinels.
    pub fn url(&self) -> String {
        let hosts: Vec<String> =
            self.sentinels.iter().map(|sentinel| format!("127.0.0.1:{}", sentinel.port)).collect();
        format!("redis+sentinel://{}/{MASTER}/0", hosts.join(","))
    }

    /// Kills the master and waits until all sentinels name the replica instead.
    pub fn fail_over(&mut self) {
        self.master.kill();
        let promoted = self.replica.address().port().to_string();
        until("the sentinels to promote the replica", || {
            let name = |sentinel: &Sentinel| sentinel.master_port() == promoted;
            self.sentinels.iter().all(name).then_some(())
        });
    }
}

impl Sentinel {
    fn watch(master_port: &str) -> Self {
        let directory = TempDir::new().unwrap();
        let path = directory.path().join("sentinel.conf");
        let port = free_port();
        let config = format!(
            "port {port}\nbind 127.0.0.1\n\
             sentinel monitor {MASTER} 127.0.0.1 {master_port} 2\n\
             sentinel down-after-milliseconds {MASTER} 1000\n\
             sentinel failover-timeout {MASTER} 3000\n"
        );
        fs::write(&path, config).unwrap();
        let child = Command::new("redis-server")
            .arg(&path)
            .arg("--sentinel")
            .current_dir(directory.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("this test needs redis-server");
        let sentinel = Self { child, port, _directory: directory };
        until("a sentinel to answer", || sentinel.ask(&["PING"]));
        sentinel
    }

    fn ask(&self, command: &[&str]) -> Option<Reply> {
        Resp::connect(([127, 0, 0, 1], self.port).into()).ok()?.ask(command).ok()
    }

    fn knows_all(&self) -> bool {
        let Some(Reply::List(fields)) = self.ask(&["SENTINEL", "MASTER", MASTER]) else {
            return false;
        };
        let fields: Vec<String> = fields.iter().map(Reply::text).collect();
        let has = |name: &str, value: &str| {
            fields.chunks(2).any(|pair| pair[0] == name && pair[1] == value)
        };
        has("num-slaves", "1") && has("num-other-sentinels", "2")
    }

    fn master_port(&self) -> String {
        match self.ask(&["SENTINEL", "GET-MASTER-ADDR-BY-NAME", MASTER]) {
            Some(Reply::List(address)) => address[1].text(),
            _ => String::new(),
        }
    }
}

impl Drop for Sentinel {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
