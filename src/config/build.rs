//! From what is in force to a [`Config`]: reads each value as its type, then checks what must hold
//! between several of them.
//!
//! Knows nothing of files and variables, only whom to blame. Start reading at [`config`].

use std::net::IpAddr;

use super::given::Given;
use super::keys::{self, Key};
use super::problem::Problem;
use super::raw::Value;
use super::redis_url::RedisUrl;
use super::value::{self, Refusal};
use super::{
    ClusterConfig, Config, HttpConfig, HubConfig, ListenConfig, LogConfig, RedisConfig,
    RedisTarget, RedisTls, RegistryConfig, SessionConfig,
};

/// Returns the configuration, if every value can be read, every refusal, and warnings of values
/// that are ignored. With a refusal the configuration is not to be used, even if there is one.
pub fn config(given: &Given) -> (Option<Config>, Vec<Problem>) {
    let mut builder = Builder { given, refusals: Vec::new() };
    let config = builder.config();
    (config, builder.refusals)
}

/// Each part reads all its values before it gives up on one, so that every refusal is found.
struct Builder<'a> {
    given: &'a Given,
    refusals: Vec<Problem>,
}

impl Builder<'_> {
    fn config(&mut self) -> Option<Config> {
        let secret = self.value(&keys::WORKER_SECRET, value::secret);
        let listen = self.listen();
        let registry = self.registry();
        let session = self.session();
        let hub = self.hub();
        let http = self.http();
        let log = self.log();
        let threads = self.value(&keys::THREADS, value::threads);
        let cluster = self.cluster();
        Some(Config {
            listen: listen?,
            secret: secret?,
            registry: registry?,
            hub: hub?,
            session: session?,
            http: http?,
            log: log?,
            threads: threads?,
            cluster: cluster?,
        })
    }

    fn listen(&mut self) -> Option<ListenConfig> {
        let ws_bind = self.value(&keys::WS_BIND, value::address);
        let ws_port = self.value(&keys::WS_PORT, value::port);
        let internal_bind = self.value(&keys::INTERNAL_BIND, value::address);
        let internal_port = self.value(&keys::INTERNAL_PORT, value::port);
        let listen = ListenConfig {
            ws_bind: ws_bind?,
            ws_port: ws_port?,
            internal_bind: internal_bind?,
            internal_port: internal_port?,
        };
        let everywhere = |bind: Option<IpAddr>| bind.is_none_or(|ip| ip.is_unspecified());
        let collide = listen.ws_port == listen.internal_port
            && listen.ws_port != 0
            && (listen.ws_bind == listen.internal_bind
                || everywhere(listen.ws_bind)
                || everywhere(listen.internal_bind));
        if collide {
            self.refuse(
                &keys::INTERNAL_PORT,
                Refusal {
                    what: format!(
                        "expected another port than ws_port, found {} in both",
                        listen.ws_port
                    ),
                    fix: "give each listener a port of its own, such as 9000 and 9001".to_owned(),
                },
            );
        }
        Some(listen)
    }

    fn registry(&mut self) -> Option<RegistryConfig> {
        Some(RegistryConfig { topic_ttl: self.value(&keys::TOPIC_TTL, value::duration)? })
    }

    fn hub(&mut self) -> Option<HubConfig> {
        Some(HubConfig { outbox_bytes: self.value(&keys::OUTBOX_BYTES, value::bytes)? })
    }

    fn session(&mut self) -> Option<SessionConfig> {
        let auth_timeout = self.value(&keys::AUTH_TIMEOUT, value::duration);
        let write_timeout = self.value(&keys::WRITE_TIMEOUT, value::duration);
        let ping_interval = self.value(&keys::PING_INTERVAL, value::duration);
        let idle_timeout = self.value(&keys::IDLE_TIMEOUT, value::duration);
        let backlog_bytes = self.value(&keys::BACKLOG_BYTES, value::bytes);
        // Looked at by itself, so that another bad key does not hide it.
        if let (Some(ping), Some(idle)) = (ping_interval, idle_timeout)
            && idle <= ping
        {
            self.refuse(
                &keys::IDLE_TIMEOUT,
                Refusal {
                    what: format!("expected more than ping_interval ({ping:?}), found {idle:?}"),
                    fix: "let it be twice ping_interval, or every browser ends between two pings"
                        .to_owned(),
                },
            );
        }
        Some(SessionConfig {
            auth_timeout: auth_timeout?,
            write_timeout: write_timeout?,
            ping_interval: ping_interval?,
            idle_timeout: idle_timeout?,
            backlog_bytes: backlog_bytes?,
        })
    }

    fn http(&mut self) -> Option<HttpConfig> {
        let request_timeout = self.value(&keys::REQUEST_TIMEOUT, value::duration);
        let trusted_proxies = self.value(&keys::TRUSTED_PROXIES, value::networks);
        let metrics_allow = self.value(&keys::METRICS_ALLOW, value::networks);
        Some(HttpConfig {
            request_timeout: request_timeout?,
            trusted_proxies: trusted_proxies?,
            metrics_allow: metrics_allow?,
        })
    }

    /// `Some(None)` is a single node.
    #[expect(
        clippy::option_option,
        reason = "as everywhere here, None is that something is refused"
    )]
    fn cluster(&mut self) -> Option<Option<ClusterConfig>> {
        let url = self.value(&keys::REDIS_URL, value::redis_url);
        let prefix = self.value(&keys::REDIS_PREFIX, value::name);
        let ca_file = self.value(&keys::REDIS_CA_FILE, value::certificates);
        let verify = self.value(&keys::REDIS_TLS_VERIFY, value::boolean);
        let sentinel_username = self.value(&keys::REDIS_SENTINEL_USERNAME, value::name);
        let sentinel_password = self.value(&keys::REDIS_SENTINEL_PASSWORD, value::password);
        let buffer_bytes = self.value(&keys::REDIS_BUFFER_BYTES, value::bytes);
        let buffer_age = self.value(&keys::REDIS_BUFFER_AGE, value::duration);
        let on_gap = self.value(&keys::ON_GAP, value::on_gap);
        let resync_spread = self.value(&keys::RESYNC_SPREAD, value::duration);
        let node_name = self.value(&keys::NODE_NAME, value::name);
        let Some(mut url) = url? else {
            self.ignore(&keys::CLUSTER, "redis_url, and that is not set", "set redis_url, too");
            return Some(None);
        };
        if !url.tls {
            const TLS: [&Key; 2] = [&keys::REDIS_CA_FILE, &keys::REDIS_TLS_VERIFY];
            self.ignore(&TLS, "TLS, and redis_url is without", "write rediss:// in redis_url");
        }
        if let RedisTarget::Sentinel(sentinels) = &mut url.target {
            sentinels.username = sentinel_username?;
            sentinels.password = sentinel_password?;
        } else {
            const SENTINEL: [&Key; 2] =
                [&keys::REDIS_SENTINEL_USERNAME, &keys::REDIS_SENTINEL_PASSWORD];
            let fix = "write redis+sentinel:// in redis_url";
            self.ignore(&SENTINEL, "sentinels, and redis_url names none", fix);
        }
        let (ca_file, verify) = (ca_file?, verify?);
        let RedisUrl { target, username, password, database, tls } = url;
        let tls = tls.then_some(RedisTls { ca_file, verify });
        Some(Some(ClusterConfig {
            redis: RedisConfig { target, username, password, database, tls },
            prefix: prefix?.unwrap_or_else(|| keys::REDIS_PREFIX.default.to_owned()),
            node_name: node_name?.unwrap_or_else(host_name),
            on_gap: on_gap?,
            resync_spread: resync_spread?,
            buffer_bytes: buffer_bytes?,
            buffer_age: buffer_age?,
        }))
    }

    /// Warns of each of `keys` that was set: it needs something that is not there.
    fn ignore(&mut self, keys: &[&Key], needs: &str, fix: &str) {
        for key in keys {
            if self.given.is_changed(key) {
                let origin = self.given.origin(key);
                let what = format!("ignored: it is for {needs}");
                let fix = format!("remove it, or {fix}");
                self.refusals.push(Problem::warning(origin, Some(key.name), what, fix));
            }
        }
    }

    fn log(&mut self) -> Option<LogConfig> {
        let level = self.value(&keys::LOG_LEVEL, value::log_level);
        let format = self.value(&keys::LOG_FORMAT, value::log_format);
        Some(LogConfig { level: level?, format: format? })
    }

    /// The value of `key` as `read` takes it; `None` once the refusal is noted.
    fn value<T>(
        &mut self,
        key: &'static Key,
        read: fn(&Key, &Value) -> Result<T, Refusal>,
    ) -> Option<T> {
        read(key, &self.given.value(key)).map_err(|refusal| self.refuse(key, refusal)).ok()
    }

    fn refuse(&mut self, key: &Key, Refusal { what, fix }: Refusal) {
        let origin = self.given.origin(key);
        self.refusals.push(Problem::error(origin, Some(key.name), what, fix));
    }
}

/// What this machine is called.
fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}
