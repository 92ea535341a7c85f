//! How one connection is made: to a server, to the master that sentinels name, to a Redis Cluster.
//!
//! An attempt is good when the server lets us in, answers, and is one that can be written to. It
//! has no deadline of its own and does not try again (`keeper`). Start reading at
//! [`Connector::open`].

use std::fs;
use std::sync::Arc;

use ::redis::cluster::ClusterClientBuilder;
use ::redis::io::tcp::{TcpSettings, socket2::TcpKeepalive};
use ::redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionAddr, ConnectionInfo, IntoConnectionInfo,
    ProtocolVersion, RedisConnectionInfo, TlsCertificates, TlsMode, Value, cmd,
};
use tokio::sync::Notify;
use tokio::time::{Duration, sleep, timeout};

use super::error::{RedisError, not_connected};
use super::line::{Fate, Line, Wire};
use super::{Channels, SILENT, sentinel};
use crate::config::{RedisAddress, RedisConfig, RedisTarget, RedisTls};

/// How often sentinels are asked whether the master is another one, and a node whether it belongs
/// to its cluster.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Time that one of several servers has before the next one is tried.
const ONE_OF_SEVERAL: Duration = Duration::from_secs(1);

/// What a connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Commands.
    Commands,
    /// Listening to channels.
    Listening,
}

/// Makes connections to one Redis.
#[derive(Debug)]
pub struct Connector {
    config: RedisConfig,
    /// Told when a connection has been put into service.
    pub made: Notify,
}

impl Connector {
    /// Makes none yet.
    pub fn new(config: RedisConfig) -> Self {
        if config.tls.is_some() {
            // An error says that there is one already, which is as good.
            let _ = rustls::crypto::ring::default_provider().install_default();
        }
        Self { config, made: Notify::new() }
    }

    /// A connection that answers and serves us; or why there is none, without any secret. What
    /// comes on `channels` once it subscribes is handed to them.
    pub async fn open(&self, purpose: Purpose, channels: &Channels) -> Result<Line, String> {
        let fate = Arc::new(Fate::default());
        let mut found = None;
        let wire = match (&self.config.target, purpose) {
            (RedisTarget::Tcp(address), _) => {
                self.master(self.tcp(address), channels, &fate).await?
            }
            (RedisTarget::Unix(path), _) => {
                self.master(ConnectionAddr::Unix(path.clone()), channels, &fate).await?
            }
            (RedisTarget::Sentinel(_), _) => {
                let address = self.named_by_sentinels().await?;
                found = Some(address.to_string());
                self.master(self.tcp(&address), channels, &fate)
                    .await
                    .map_err(|why| format!("{address}: {why}"))?
            }
            (RedisTarget::Cluster(nodes), Purpose::Commands) => self.all_masters(nodes).await?,
            (RedisTarget::Cluster(nodes), Purpose::Listening) => {
                self.any_node(nodes, channels, &fate).await?
            }
        };
        Ok(Line::new(wire, fate, found))
    }

    /// Returns when `line` leads to the wrong server though it answers, with the reason.
    pub async fn misled(&self, line: &Line, purpose: Purpose) -> String {
        loop {
            sleep(LOOK_EVERY).await;
            match (&self.config.target, purpose) {
                (RedisTarget::Sentinel(_), _) => match self.named_by_sentinels().await {
                    Ok(master) if line.found != Some(master.to_string()) => {
                        return format!("the sentinels name another master, {master}");
                    }
                    _ => {}
                },
                (RedisTarget::Cluster(_), Purpose::Listening) => {
                    let info = line.ask::<String>(&cluster_info()).await;
                    if info.is_ok_and(|info| !is_whole(&info)) {
                        return OUTSIDE.to_owned();
                    }
                }
                _ => std::future::pending().await,
            }
        }
    }

    /// A connection to a server that has to be a master.
    async fn master(
        &self,
        address: ConnectionAddr,
        channels: &Channels,
        fate: &Arc<Fate>,
    ) -> Result<Wire, String> {
        let mut wire = self.single(address, channels, fate).await?;
        self.answers(&mut wire).await?;
        // A user without the right to ask may use it all the same.
        let role: Result<Vec<Value>, _> = cmd("ROLE").query_async(&mut wire).await;
        match role.as_deref().map(|role| role.first()) {
            Ok(Some(Value::BulkString(role))) if role == b"slave" => {
                Err("is a read-only replica".to_owned())
            }
            Ok(Some(Value::BulkString(role))) if role == b"sentinel" => {
                Err("is a sentinel; redis_url has to say redis+sentinel://".to_owned())
            }
            _ => Ok(wire),
        }
    }

    /// A connection to one server, logged in.
    async fn single(
        &self,
        address: ConnectionAddr,
        channels: &Channels,
        fate: &Arc<Fate>,
    ) -> Result<Wire, String> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(None)
            .set_response_timeout(None)
            .set_push_sender(fate.ear(Arc::clone(channels)));
        let info = self.info(address).map_err(|error| self.explain(&error))?;
        let client = client(info, self.config.tls.as_ref())?;
        let connection = client.get_multiplexed_async_connection_with_config(&config).await;
        connection.map(Wire::Single).map_err(|error| self.explain(&error))
    }

    /// Connections to all masters of a cluster.
    async fn all_masters(&self, nodes: &[RedisAddress]) -> Result<Wire, String> {
        let explain = |error: ::redis::RedisError| self.explain(&error);
        let infos: Result<Vec<_>, _> = nodes.iter().map(|node| self.info(self.tcp(node))).collect();
        let mut builder = ClusterClientBuilder::new(infos.map_err(explain)?)
            .use_protocol(ProtocolVersion::RESP3)
            .connection_timeout(ONE_OF_SEVERAL)
            .tcp_settings(tcp_settings())
            // What lasts longer is our own to mend.
            .retries(3)
            .max_retry_wait(200);
        if let Some(tls) = &self.config.tls {
            builder = builder.tls(if tls.verify { TlsMode::Secure } else { TlsMode::Insecure });
            if let Some(certificates) = certificates(tls)? {
                builder = builder.certs(certificates);
            }
        }
        let client = builder.build().map_err(explain)?;
        let mut wire = Wire::Cluster(client.get_async_connection().await.map_err(explain)?);
        self.answers(&mut wire).await?;
        Ok(wire)
    }

    /// A connection to any node of a cluster that belongs to it: a message reaches all of them.
    async fn any_node(
        &self,
        nodes: &[RedisAddress],
        channels: &Channels,
        fate: &Arc<Fate>,
    ) -> Result<Wire, String> {
        let mut why = "no node is configured".to_owned();
        let first = getrandom::u32().unwrap_or(0) as usize % nodes.len().max(1);
        for node in nodes.iter().cycle().skip(first).take(nodes.len()) {
            match timeout(ONE_OF_SEVERAL, self.node(node, channels, fate)).await {
                Ok(Ok(wire)) => return Ok(wire),
                Ok(Err(reason)) => why = format!("{node}: {reason}"),
                Err(_) => why = format!("{node}: {SILENT}"),
            }
        }
        Err(why)
    }

    async fn node(
        &self,
        node: &RedisAddress,
        channels: &Channels,
        fate: &Arc<Fate>,
    ) -> Result<Wire, String> {
        let mut wire = self.single(self.tcp(node), channels, fate).await?;
        self.answers(&mut wire).await?;
        let info: Result<String, _> = cluster_info().query_async(&mut wire).await;
        match info {
            Ok(info) if !is_whole(&info) => Err(OUTSIDE.to_owned()),
            Ok(_) => Ok(wire),
            Err(error) => match super::error::judge(&error) {
                RedisError::Refused { code, .. } if code == "NOPERM" => Ok(wire),
                RedisError::Refused { .. } => {
                    Err("is no node of a Redis Cluster; redis_url has to say redis://".to_owned())
                }
                _ => Err(self.explain(&error)),
            },
        }
    }

    /// Whether Redis answers over `wire`; that it refuses a PING is an answer.
    async fn answers(&self, wire: &mut Wire) -> Result<(), String> {
        match cmd("PING").query_async::<Value>(wire).await {
            Ok(_) => Ok(()),
            Err(error) => match super::error::judge(&error) {
                RedisError::Refused { code, .. } if code == "NOPERM" => Ok(()),
                _ => Err(self.explain(&error)),
            },
        }
    }

    async fn named_by_sentinels(&self) -> Result<RedisAddress, String> {
        match &self.config.target {
            RedisTarget::Sentinel(sentinels) => {
                sentinel::master(sentinels, self.config.tls.as_ref()).await
            }
            _ => Err("there are no sentinels".to_owned()),
        }
    }

    fn info(&self, address: ConnectionAddr) -> ::redis::RedisResult<ConnectionInfo> {
        let RedisConfig { username, password, database, .. } = &self.config;
        info(address, username.as_deref(), password.as_deref(), *database)
    }

    fn tcp(&self, address: &RedisAddress) -> ConnectionAddr {
        tcp(address, self.config.tls.as_ref())
    }

    fn explain(&self, error: &::redis::RedisError) -> String {
        not_connected(error, self.config.password.as_deref().as_slice())
    }
}

/// What a node says of itself that has lost the others.
const OUTSIDE: &str = "its cluster is down, or it has lost it";

/// What tells whether a node belongs to a cluster that serves.
fn cluster_info() -> Cmd {
    let mut command = cmd("CLUSTER");
    command.arg("INFO");
    command
}

/// Whether the answer to CLUSTER INFO is that of a node of a cluster that serves.
fn is_whole(info: &str) -> bool {
    info.contains("cluster_state:ok")
}

/// `address` as the crate takes it.
pub(super) fn tcp(address: &RedisAddress, tls: Option<&RedisTls>) -> ConnectionAddr {
    let RedisAddress { host, port } = address.clone();
    match tls {
        None => ConnectionAddr::Tcp(host, port),
        Some(tls) => ConnectionAddr::TcpTls { host, port, insecure: !tls.verify, tls_params: None },
    }
}

/// Where and as whom to connect.
pub(super) fn info(
    address: ConnectionAddr,
    username: Option<&str>,
    password: Option<&str>,
    database: i64,
) -> ::redis::RedisResult<ConnectionInfo> {
    let mut login = RedisConnectionInfo::default()
        .set_protocol(ProtocolVersion::RESP3)
        .set_lib_name(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"))
        .set_db(database);
    if let Some(password) = password {
        login = login.set_password(password);
        if let Some(username) = username {
            login = login.set_username(username);
        }
    }
    Ok(address.into_connection_info()?.set_redis_settings(login).set_tcp_settings(tcp_settings()))
}

/// Who connects to `info`.
pub(super) fn client(info: ConnectionInfo, tls: Option<&RedisTls>) -> Result<Client, String> {
    let is_tls = matches!(info.addr(), ConnectionAddr::TcpTls { .. });
    let certificates = tls.filter(|_| is_tls).map(certificates).transpose()?.flatten();
    match certificates {
        Some(certificates) => Client::build_with_tls(info, certificates),
        None => Client::open(info),
    }
    .map_err(|error| not_connected(&error, &[]))
}

/// The authorities of `tls`; `None` is the system's. Read each time, for they may be renewed.
fn certificates(tls: &RedisTls) -> Result<Option<TlsCertificates>, String> {
    let Some(path) = &tls.ca_file else {
        return Ok(None);
    };
    let pem = fs::read(path)
        .map_err(|error| format!("redis_ca_file {} cannot be read: {error}", path.display()))?;
    Ok(Some(TlsCertificates { client_tls: None, root_cert: Some(pem) }))
}

/// Small packets leave at once, and a peer that vanished is noticed by the kernel, too.
fn tcp_settings() -> TcpSettings {
    let keepalive = TcpKeepalive::new()
        .with_time(Duration::from_secs(15))
        .with_interval(Duration::from_secs(5))
        .with_retries(3);
    TcpSettings::default().set_nodelay(true).set_keepalive(keepalive)
}
