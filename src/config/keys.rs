//! Every key there is: its name, its environment variable, its default, what it takes, and what it
//! means.
//!
//! This one table drives the file, the environment, `check`, the test of the sample, and the table
//! in `docs/configuration.md` (`manual`). It does not know how values are read (`value`). Start
//! reading at [`ALL`].

use std::fmt;

/// One key of the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key {
    /// The key in the file.
    pub name: &'static str,
    /// The environment variable that overrides the file.
    pub env: &'static str,
    /// The text the value has when nobody sets it; read like a text from the file.
    pub default: &'static str,
    /// What it takes.
    pub kind: Kind,
    /// What it is for, in Markdown, as the manual says it.
    pub meaning: &'static str,
}

/// What a key takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The address of a listener; empty is every address.
    Address,
    /// A TCP port; 0 is any free one.
    Port,
    /// The shared secret.
    Secret,
    /// The address of a Redis, with its password.
    RedisUrl,
    /// A password that is not ours to judge.
    Password,
    /// A name, without white space.
    Name,
    /// A file that is there, with certificates in it.
    Certificates,
    /// Yes or no.
    Bool,
    /// What is done about a gap.
    OnGap,
    /// A duration in Go's syntax, above zero.
    Duration,
    /// A number of bytes within bounds, both included.
    Bytes {
        /// Fewest bytes.
        least: usize,
        /// Most bytes.
        most: usize,
    },
    /// A number of threads, or `auto` for one a core.
    Threads {
        /// Most threads.
        most: usize,
    },
    /// A list of addresses and networks.
    Networks,
    /// A level of logging.
    LogLevel,
    /// A format of logging.
    LogFormat,
}

impl Kind {
    /// Whether a value must not be shown, not even a wrong one.
    pub fn is_secret(self) -> bool {
        matches!(self, Self::Secret | Self::RedisUrl | Self::Password)
    }
}

/// What is expected, as it stands in a message behind "expected".
impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Address => "an IP address, localhost, or nothing for every address",
            Self::Port => "a whole number from 0 to 65535",
            Self::Secret => "a text of at least 32 bytes",
            Self::RedisUrl => "an address such as redis://host:6379/0",
            Self::Password => "a text",
            Self::Name => "up to 100 characters without white space",
            Self::Certificates => "a file with certificates in PEM form",
            Self::Bool => "true or false",
            Self::OnGap => "resync or ignore",
            Self::Duration => "a duration such as 10s, 1h30m or 500ms",
            Self::Networks => "a list of addresses and networks such as [192.0.2.7, 10.0.0.0/8]",
            Self::LogLevel => "one of error, warn, info, debug, trace",
            Self::LogFormat => "text or json",
            Self::Threads { most } => {
                return write!(f, "auto, or a whole number from 1 to {most}");
            }
            Self::Bytes { least, most } => {
                let (least, most) = (least / 1024, most / 1024 / 1024);
                return write!(f, "a number of bytes from {least}KiB to {most}MiB, such as 1MiB");
            }
        })
    }
}

/// Address of the port for browsers.
pub const WS_BIND: Key = Key::new("ws_bind", "WORKER_WS_BIND", "", Kind::Address)
    .means("Address to listen on for browsers; empty is every address, IPv4 and IPv6.");
/// Port for browsers.
pub const WS_PORT: Key = Key::new("ws_port", "WORKER_WS_PORT", "9000", Kind::Port)
    .means("Port for browsers; 0 takes any free one.");
/// Address of the port for PHP.
pub const INTERNAL_BIND: Key =
    Key::new("internal_bind", "WORKER_INTERNAL_BIND", "127.0.0.1", Kind::Address)
        .means("Address to listen on for PHP; `\"\"` in the file is every address.");
/// Port for PHP.
pub const INTERNAL_PORT: Key =
    Key::new("internal_port", "WORKER_INTERNAL_PORT", "9001", Kind::Port)
        .means("Port for PHP; 0 takes any free one.");
/// The secret shared with PHP.
pub const WORKER_SECRET: Key = Key::new("worker_secret", "WORKER_SECRET", "", Kind::Secret).means(
    "The secret that PHP and the worker share: it signs tokens and opens the internal API. At \
     least 32 bytes; without it the worker does not start.",
);
/// The Redis that joins several nodes.
pub const REDIS_URL: Key = Key::new("redis_url", "WORKER_REDIS_URL", "", Kind::RedisUrl).means(
    "The Redis that joins several workers, in one of the forms [below](#addresses-of-redis). \
     Empty is a single node.",
);
/// What the names of all keys and channels in Redis begin with.
pub const REDIS_PREFIX: Key =
    Key::new("redis_prefix", "WORKER_REDIS_PREFIX", "wavelog:", Kind::Name).means(
        "What the names of all keys and channels in Redis begin with; the same for all workers \
     that belong together.",
    );
/// Authorities that are believed instead of the system's.
pub const REDIS_CA_FILE: Key =
    Key::new("redis_ca_file", "WORKER_REDIS_CA_FILE", "", Kind::Certificates).means(
        "A file of authorities in PEM form that are believed instead of the system's, for \
     `rediss://`. It is read at each connect, so it may be renewed.",
    );
/// Whether Redis' certificate is checked.
pub const REDIS_TLS_VERIFY: Key =
    Key::new("redis_tls_verify", "WORKER_REDIS_TLS_VERIFY", "true", Kind::Bool)
        .means("Whether the certificate of Redis is checked, for `rediss://`.");
/// The user to get in to sentinels.
pub const REDIS_SENTINEL_USERNAME: Key =
    Key::new("redis_sentinel_username", "WORKER_REDIS_SENTINEL_USERNAME", "", Kind::Name)
        .means("User to get in to sentinels.");
/// The password to get in to sentinels.
pub const REDIS_SENTINEL_PASSWORD: Key =
    Key::new("redis_sentinel_password", "WORKER_REDIS_SENTINEL_PASSWORD", "", Kind::Password)
        .means("Password to get in to sentinels.");
/// Bytes that wait while Redis is away.
pub const REDIS_BUFFER_BYTES: Key = Key::new(
    "redis_buffer_bytes",
    "WORKER_REDIS_BUFFER_BYTES",
    "16MiB",
    Kind::Bytes { least: 64 << 10, most: 1 << 30 },
)
.means("Bytes of what was published that may wait while Redis is away; `64KiB` to `1024MiB`.");
/// How long something waits while Redis is away.
pub const REDIS_BUFFER_AGE: Key =
    Key::new("redis_buffer_age", "WORKER_REDIS_BUFFER_AGE", "60s", Kind::Duration)
        .means("Longest time that it waits.");
/// What is done when browsers may have missed something.
pub const ON_GAP: Key = Key::new("on_gap", "WORKER_ON_GAP", "resync", Kind::OnGap).means(
    "What is done when browsers may have missed something that another worker published: \
     `resync` closes them with 4009, so that their pages come back and fetch anew; `ignore` \
     leaves them as they are.",
);
/// Time over which browsers are closed then.
pub const RESYNC_SPREAD: Key =
    Key::new("resync_spread", "WORKER_RESYNC_SPREAD", "5s", Kind::Duration)
        .means("Time over which they are closed.");
/// What the node is called.
pub const NODE_NAME: Key = Key::new("node_name", "WORKER_NODE_NAME", "", Kind::Name)
    .means("What the node is called in the list of nodes; empty is the name of the host.");
/// Life of a topic after its last registration.
pub const TOPIC_TTL: Key = Key::new("topic_ttl", "WORKER_TOPIC_TTL", "24h", Kind::Duration)
    .means("Life of a topic after its last registration.");
/// Time for the auth frame.
pub const AUTH_TIMEOUT: Key =
    Key::new("auth_timeout", "WORKER_AUTH_TIMEOUT", "10s", Kind::Duration)
        .means("Time a browser has to authenticate.");
/// Time in which a browser must take something.
pub const WRITE_TIMEOUT: Key =
    Key::new("write_timeout", "WORKER_WRITE_TIMEOUT", "10s", Kind::Duration)
        .means("Time a browser may take nothing of what waits for it before it is closed.");
/// Time between two pings.
pub const PING_INTERVAL: Key =
    Key::new("ping_interval", "WORKER_PING_INTERVAL", "30s", Kind::Duration)
        .means("Time between two pings to a browser.");
/// Silence after which a browser is dead.
pub const IDLE_TIMEOUT: Key =
    Key::new("idle_timeout", "WORKER_IDLE_TIMEOUT", "60s", Kind::Duration).means(
        "Silence, even of pongs, after which a browser counts as gone; longer than \
     `ping_interval`.",
    );
/// Time for a request's head, and for its body.
pub const REQUEST_TIMEOUT: Key =
    Key::new("request_timeout", "WORKER_REQUEST_TIMEOUT", "10s", Kind::Duration)
        .means("Time for the head of a request, and again for its body, on both ports.");
/// Bytes that may wait for one browser.
pub const BACKLOG_BYTES: Key = Key::new(
    "backlog_bytes",
    "WORKER_BACKLOG_BYTES",
    "1MiB",
    Kind::Bytes { least: 4 << 10, most: 1 << 30 },
)
.means("Bytes that may wait for one slow browser before it is closed; `4KiB` to `1024MiB`.");
/// Bytes that may wait in one topic's outbox.
pub const OUTBOX_BYTES: Key = Key::new(
    "outbox_bytes",
    "WORKER_OUTBOX_BYTES",
    "8MiB",
    Kind::Bytes { least: 64 << 10, most: 1 << 30 },
)
.means(
    "Bytes that may wait in one topic before a publish is refused with 503; `64KiB` to \
     `1024MiB`.",
);
/// Threads that write to long lists of browsers.
pub const THREADS: Key = Key::new("threads", "WORKER_THREADS", "auto", Kind::Threads { most: 512 })
    .means(
        "Threads that write to long lists of browsers; `auto` is one for each core, otherwise `1` \
     to `512`. Beside them half as many, at least one, serve PHP and write to short lists, \
     and one reads what browsers send.",
    );
/// Proxies whose word about the client's address is taken.
pub const TRUSTED_PROXIES: Key = Key::new(
    "trusted_proxies",
    "WORKER_TRUSTED_PROXIES",
    "127.0.0.0/8, 10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16, ::1/128, fc00::/7, fe80::/10",
    Kind::Networks,
)
.means(
    "Proxies whose `X-Forwarded-For` and `X-Real-IP` are believed: a list, or a text with \
     commas. `[]` or `none` trusts nobody.",
);
/// Who may ask for metrics without the secret.
pub const METRICS_ALLOW: Key =
    Key::new("metrics_allow", "WORKER_METRICS_ALLOW", "127.0.0.0/8, ::1/128", Kind::Networks)
        .means(
            "Who may read [metrics](metrics.md) without the secret: a list, or a \
         text with commas. `[]` or `none` asks everybody for the secret.",
        );
/// Least level that is logged.
pub const LOG_LEVEL: Key = Key::new("log_level", "WORKER_LOG_LEVEL", "info", Kind::LogLevel).means(
    "What is logged: `error`, `warn`, `info`, `debug` (each session) or `trace` (each frame).",
);
/// Text or JSON.
pub const LOG_FORMAT: Key = Key::new("log_format", "WORKER_LOG_FORMAT", "text", Kind::LogFormat)
    .means("`text` for people, `json` for programs.");

/// Every key, in the order of the sample and of `check`.
pub const ALL: [&Key; 29] = [
    &WORKER_SECRET,
    &WS_BIND,
    &WS_PORT,
    &INTERNAL_BIND,
    &INTERNAL_PORT,
    &TOPIC_TTL,
    &AUTH_TIMEOUT,
    &WRITE_TIMEOUT,
    &PING_INTERVAL,
    &IDLE_TIMEOUT,
    &BACKLOG_BYTES,
    &OUTBOX_BYTES,
    &REQUEST_TIMEOUT,
    &TRUSTED_PROXIES,
    &METRICS_ALLOW,
    &THREADS,
    &LOG_LEVEL,
    &LOG_FORMAT,
    &REDIS_URL,
    &REDIS_PREFIX,
    &REDIS_CA_FILE,
    &REDIS_TLS_VERIFY,
    &REDIS_SENTINEL_USERNAME,
    &REDIS_SENTINEL_PASSWORD,
    &REDIS_BUFFER_BYTES,
    &REDIS_BUFFER_AGE,
    &ON_GAP,
    &RESYNC_SPREAD,
    &NODE_NAME,
];

/// What means nothing without [`REDIS_URL`].
pub const CLUSTER: [&Key; 10] = [
    &REDIS_PREFIX,
    &REDIS_CA_FILE,
    &REDIS_TLS_VERIFY,
    &REDIS_SENTINEL_USERNAME,
    &REDIS_SENTINEL_PASSWORD,
    &REDIS_BUFFER_BYTES,
    &REDIS_BUFFER_AGE,
    &ON_GAP,
    &RESYNC_SPREAD,
    &NODE_NAME,
];

impl Key {
    const fn new(name: &'static str, env: &'static str, default: &'static str, kind: Kind) -> Self {
        Self { name, env, default, kind, meaning: "" }
    }

    /// The same key with its meaning.
    const fn means(self, meaning: &'static str) -> Self {
        Self { meaning, ..self }
    }
}

/// Returns the key called `name`. Upper and lower case differ, as in the Go worker.
pub fn find(name: &str) -> Option<&'static Key> {
    ALL.into_iter().find(|key| key.name == name)
}

/// Returns the known key that an unknown one most likely means, if it resembles any.
pub fn nearest(unknown: &str) -> Option<&'static str> {
    let unknown = unknown.to_lowercase().replace(['-', '.', ' '], "_");
    let distance = |name: &str| strsim::damerau_levenshtein(&unknown, name);
    let allowed = unknown.chars().count() / 3 + 1;
    ALL.into_iter()
        .map(|key| key.name)
        .filter(|name| distance(name) <= allowed || name.ends_with(&format!("_{unknown}")))
        .min_by_key(|name| distance(name))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn names_and_variables_are_unique_and_follow_one_rule() {
        let names: HashSet<_> = ALL.iter().map(|key| key.name).collect();

        assert_eq!(names.len(), ALL.len());
        for key in ALL {
            let name = key.name.strip_prefix("worker_").unwrap_or(key.name);
            assert_eq!(key.env, format!("WORKER_{}", name.to_uppercase()));
            assert_eq!(find(key.name), Some(key));
        }
        assert_eq!(find("WS_PORT"), None);
    }

    #[test]
    fn a_misspelt_key_finds_the_one_that_was_meant() {
        for (unknown, meant) in [
            ("ws_prot", Some("ws_port")),
            ("wsPort", Some("ws_port")),
            ("WS_PORT", Some("ws_port")),
            ("ws-port", Some("ws_port")),
            ("worker_secert", Some("worker_secret")),
            ("secret", Some("worker_secret")),
            ("topicttl", Some("topic_ttl")),
            ("ttl", Some("topic_ttl")),
            ("trusted_proxy", Some("trusted_proxies")),
            ("internal-bind", Some("internal_bind")),
            ("database", None),
            ("x", None),
            ("", None),
        ] {
            assert_eq!(nearest(unknown), meant, "{unknown}");
        }
    }

    #[test]
    fn the_expectation_of_a_size_names_its_bounds() {
        assert_eq!(
            BACKLOG_BYTES.kind.to_string(),
            "a number of bytes from 4KiB to 1024MiB, such as 1MiB"
        );
    }
}
