//! The configuration that the program uses: checked, typed, one small struct per part.
//!
//! What a file or the environment says goes from text (`raw`) by key ([`keys`]) to value
//! (`value`); only a load makes the types below, so a value that exists is in range. Only `app`
//! sees the whole [`Config`]; every part gets its own struct. Start reading at [`Config::load`].

mod build;
mod file;
mod given;
pub mod go_duration;
pub mod keys;
mod load;
#[cfg(test)]
mod manual;
mod problem;
mod raw;
mod redis_url;
mod risks;
mod sample;
mod value;

use std::fmt;
use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;

pub use self::given::Setting;
pub use self::load::{DEFAULT_FILE, Env, Loaded, Report, examine};
pub use self::problem::{LoadError, Origin, Problem, Severity};
pub use self::sample::with_secret as sample_with_secret;
use crate::secret::Secret;

/// Everything that can be configured, checked.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where the worker listens.
    pub listen: ListenConfig,
    /// The secret shared with PHP. Key `worker_secret`.
    pub secret: Secret,
    /// How long registered topics live.
    pub registry: RegistryConfig,
    /// Bounds of the fan-out.
    pub hub: HubConfig,
    /// Limits of one browser's session.
    pub session: SessionConfig,
    /// Deadlines and proxies of HTTP on both ports.
    pub http: HttpConfig,
    /// What is logged, and how.
    pub log: LogConfig,
    /// Threads that write to long lists of browsers; `None` is one for each core. Key `threads`.
    pub threads: Option<NonZeroUsize>,
    /// Other nodes and the Redis that joins them; `None` is a single node.
    pub cluster: Option<ClusterConfig>,
}

/// How a node takes part in a cluster.
#[derive(Debug, Clone)]
pub struct ClusterConfig {
    /// The Redis that joins the nodes. Keys `redis_url` and those that begin with it.
    pub redis: RedisConfig,
    /// What the names of all keys and channels begin with. Key `redis_prefix`, default `wavelog:`.
    pub prefix: String,
    /// What the node is called in the roster. Key `node_name`, default the host's name.
    pub node_name: String,
    /// What is done when browsers may have missed something. Key `on_gap`, default `resync`.
    pub on_gap: OnGap,
    /// Time over which browsers are closed then. Key `resync_spread`, default 5 s.
    pub resync_spread: Duration,
    /// Bytes of envelopes that wait while Redis is away. Key `redis_buffer_bytes`, default 16 MiB.
    pub buffer_bytes: NonZeroUsize,
    /// Longest time that an envelope waits. Key `redis_buffer_age`, default 60 s.
    pub buffer_age: Duration,
}

/// What is done when browsers may have missed something that another node published.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnGap {
    /// They are closed with 4009, so that their pages come back and fetch anew.
    Resync,
    /// It is counted and logged, no more.
    Ignore,
}

/// Which Redis, and how to get in.
#[derive(Clone)]
pub struct RedisConfig {
    /// Where it is.
    pub target: RedisTarget,
    /// The user of the server's access list; `None` is its default user.
    pub username: Option<String>,
    /// The password.
    pub password: Option<String>,
    /// The number of the database.
    pub database: i64,
    /// TLS, if it is spoken.
    pub tls: Option<RedisTls>,
}

/// Where a Redis is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RedisTarget {
    /// One server.
    Tcp(RedisAddress),
    /// One server on this machine, by its socket.
    Unix(PathBuf),
    /// The master that sentinels name.
    Sentinel(SentinelConfig),
    /// A Redis Cluster, by some of its nodes.
    Cluster(Vec<RedisAddress>),
}

/// A host and a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RedisAddress {
    /// A name or an address.
    pub host: String,
    /// The port, default 6379 (sentinels: 26379).
    pub port: u16,
}

/// The sentinels that watch a master.
#[derive(Clone, PartialEq, Eq)]
pub struct SentinelConfig {
    /// Where they are.
    pub sentinels: Vec<RedisAddress>,
    /// What they call the master.
    pub master: String,
    /// The user to get in to them.
    pub username: Option<String>,
    /// The password to get in to them.
    pub password: Option<String>,
}

/// How TLS is spoken to a Redis.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RedisTls {
    /// A file of authorities that are believed instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// Whether the server's certificate is checked.
    pub verify: bool,
}

/// Passwords are left out.
impl fmt::Debug for RedisConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { target, username, password: _, database, tls } = self;
        f.debug_struct("RedisConfig")
            .field("target", target)
            .field("username", username)
            .field("database", database)
            .field("tls", tls)
            .finish_non_exhaustive()
    }
}

/// Passwords are left out.
impl fmt::Debug for SentinelConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { sentinels, master, username, password: _ } = self;
        f.debug_struct("SentinelConfig")
            .field("sentinels", sentinels)
            .field("master", master)
            .field("username", username)
            .finish_non_exhaustive()
    }
}

/// Where the worker listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenConfig {
    /// Address of the WebSocket port; `None` is every address, IPv4 and IPv6. Key `ws_bind`.
    pub ws_bind: Option<IpAddr>,
    /// Port for browsers; 0 takes any free one. Key `ws_port`, default 9000.
    pub ws_port: u16,
    /// Address of the internal port; `None` is every address. Key `internal_bind`, default
    /// 127.0.0.1.
    pub internal_bind: Option<IpAddr>,
    /// Port for PHP; 0 takes any free one. Key `internal_port`, default 9001.
    pub internal_port: u16,
}

/// How long registered topics live.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RegistryConfig {
    /// Time from a topic's last registration to its end; above zero. Key `topic_ttl`, default
    /// 24 h.
    pub topic_ttl: Duration,
}

/// Bounds of the fan-out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HubConfig {
    /// Bytes of frames that may wait in one topic's outbox; a publish over it waits, then is
    /// refused with 503. Key `outbox_bytes`, default 8 MiB.
    pub outbox_bytes: NonZeroUsize,
}

/// Limits of one browser's session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionConfig {
    /// Time a browser has to send its auth frame. Key `auth_timeout`, default 10 s.
    pub auth_timeout: Duration,
    /// Time a browser may take nothing of what waits for it. Key `write_timeout`, default 10 s.
    pub write_timeout: Duration,
    /// Time between two pings to a browser. Key `ping_interval`, default 30 s.
    pub ping_interval: Duration,
    /// Time after which a browser that sent nothing, not even a pong, is dead. Key
    /// `idle_timeout`, default 60 s; above `ping_interval`.
    pub idle_timeout: Duration,
    /// Bytes waiting for a slow browser before it is closed. Key `backlog_bytes`, default 1 MiB.
    pub backlog_bytes: NonZeroUsize,
}

/// Deadlines and proxies of HTTP on both ports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpConfig {
    /// Time for a whole request head, and again for a whole body. Key `request_timeout`, default
    /// 10 s.
    pub request_timeout: Duration,
    /// Peers whose `X-Forwarded-For` and `X-Real-IP` are believed. Key `trusted_proxies`, default
    /// loopback and private ranges.
    pub trusted_proxies: Vec<IpNet>,
    /// Peers that may ask for metrics without the secret. Key `metrics_allow`, default loopback.
    pub metrics_allow: Vec<IpNet>,
}

/// What is logged, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogConfig {
    /// Least level that is logged. Key `log_level`, default `info`.
    pub level: LogLevel,
    /// Text for people or JSON lines for programs. Key `log_format`, default `text`.
    pub format: LogFormat,
}

/// Least level that is logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogLevel {
    /// A person must act.
    Error,
    /// Odd, but handled.
    Warn,
    /// The life of the node, and each refused login.
    Info,
    /// One session.
    Debug,
    /// One frame.
    Trace,
}

/// How a log line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// The server, without credentials: `redis://host:6379/0`.
impl fmt::Display for RedisConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls.is_some() { "rediss" } else { "redis" };
        let list = |addresses: &[RedisAddress]| {
            addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
        };
        match &self.target {
            RedisTarget::Tcp(address) => write!(f, "{scheme}://{address}/{}", self.database),
            RedisTarget::Unix(path) => write!(f, "unix://{}?db={}", path.display(), self.database),
            RedisTarget::Sentinel(SentinelConfig { sentinels, master, .. }) => {
                write!(f, "{scheme}+sentinel://{}/{master}/{}", list(sentinels), self.database)
            }
            RedisTarget::Cluster(nodes) => write!(f, "{scheme}+cluster://{}", list(nodes)),
        }
    }
}

/// As it stands in an address, with brackets around an IPv6 address.
impl fmt::Display for RedisAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}
