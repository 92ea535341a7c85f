//! From what is in force to a [`Config`]: reads each value as its type, then checks what must hold
//! between several of them.
//!
//! Knows nothing of files and variables, only whom to blame. Start reading at [`config`].

use std::net::IpAddr;

use super::given::Given;
use super::keys::{self, Key};
use super::problem::Problem;
use super::raw::Value;
use super::value::{self, Refusal};
use super::{
    Config, HttpConfig, HubConfig, ListenConfig, LogConfig, RegistryConfig, SessionConfig,
};

/// Returns the configuration, if every value can be read, and every refusal. With a refusal the
/// configuration is not to be used, even if there is one.
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
        self.value(&keys::REDIS_URL, value::redis_url)?;
        Some(Config {
            listen: listen?,
            secret: secret?,
            registry: registry?,
            hub: hub?,
            session: session?,
            http: http?,
            log: log?,
            threads: threads?,
            cluster: None,
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
        Some(HttpConfig { request_timeout: request_timeout?, trusted_proxies: trusted_proxies? })
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
