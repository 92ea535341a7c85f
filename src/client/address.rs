//! Where a worker is: addresses given as URLs, or found in the configuration.
//!
//! Start reading at [`Address`].

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use hyper::Uri;
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;

use super::tls::{self, Stream, TlsError};

/// Time to connect; what PHP allows itself, too.
pub const CONNECT_TIMEOUT: Duration = Duration::from_millis(500);

/// The same where TLS is spoken, and so the way may be long; and again for the greeting.
const FAR_TIMEOUT: Duration = Duration::from_secs(5);

/// Where a worker takes WebSockets.
const USUAL_PATH: &str = "/ws";

/// A host, by name or address, and a port; and whether TLS is spoken there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// Without the brackets of an IPv6 address.
    host: String,
    port: u16,
    tls: bool,
}

/// Where browsers connect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WsUrl {
    /// The host to connect to.
    pub address: Address,
    /// Path and query, without the topic.
    path: String,
}

/// Why nobody could be reached.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The host is there, but nothing has the port.
    #[error("no worker listens on {0}")]
    Refused(Address),
    /// Neither a yes nor a no in time.
    #[error("{0} does not answer")]
    Silent(Address),
    /// The host's name has no address.
    #[error("no address is known for {0}")]
    UnknownHost(Address),
    /// What else the system says.
    #[error("{0} cannot be reached: {1}")]
    System(Address, io::Error),
    /// TLS did not come about.
    #[error("{0}: {1}")]
    Tls(Address, TlsError),
}

impl ConnectError {
    /// What to do about it; `option` is how to say where the worker is.
    pub fn advice(&self, option: &str) -> String {
        match self {
            Self::Tls(_, TlsError::Certificate(_)) => {
                "mend the certificate; `wavelog_worker doctor` says how".to_owned()
            }
            Self::Tls(..) => format!("correct {option}, or the proxy there"),
            Self::Refused(_) | Self::Silent(_) | Self::UnknownHost(_) | Self::System(..) => {
                format!("start it, or say where it is with {option}")
            }
        }
    }
}

impl Address {
    /// Where to reach, from this machine, what listens on `bind` and `port`.
    pub fn of_listener(bind: Option<IpAddr>, port: u16) -> Self {
        let ip = bind.filter(|ip| !ip.is_unspecified()).unwrap_or(Ipv4Addr::LOCALHOST.into());
        Self { host: ip.to_string(), port, tls: false }
    }

    /// The host, by name or address, without brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Whether TLS is spoken there.
    pub fn is_tls(&self) -> bool {
        self.tls
    }

    /// The same host with another port, without TLS.
    #[must_use]
    pub fn with_port(&self, port: u16) -> Self {
        Self { host: self.host.clone(), port, tls: false }
    }

    /// Whether there is a port to connect to: a worker on port 0 is somewhere else.
    pub fn has_port(&self) -> bool {
        self.port != 0
    }

    /// All addresses that the host's name stands for.
    pub async fn resolve(&self) -> Result<Vec<SocketAddr>, ConnectError> {
        let unknown = |_| ConnectError::UnknownHost(self.clone());
        let found = lookup_host((self.host.as_str(), self.port)).await.map_err(unknown)?;
        Ok(found.collect())
    }

    /// Connects within 500 ms, or with TLS within 5 s, and greets if TLS is spoken.
    pub async fn open(&self) -> Result<Stream, ConnectError> {
        if !self.tls {
            return self.connect(CONNECT_TIMEOUT).await.map(Stream::Plain);
        }
        let stream = self.connect(FAR_TIMEOUT).await?;
        let greeting = timeout(FAR_TIMEOUT, tls::greet(stream, &self.host)).await;
        let greeted = greeting.map_err(|_| ConnectError::Silent(self.clone()))?;
        greeted.map_err(|error| ConnectError::Tls(self.clone(), error))
    }

    /// Connects within `patience`, name lookup included, and says nothing yet.
    pub async fn connect(&self, patience: Duration) -> Result<TcpStream, ConnectError> {
        let connecting = async {
            let addresses = self.resolve().await?;
            let stream = TcpStream::connect(addresses.as_slice()).await;
            // Small frames leave at once; it fails on dead sockets only.
            let stream = stream.inspect(|stream| drop(stream.set_nodelay(true)));
            stream.map_err(|error| match error.kind() {
                io::ErrorKind::ConnectionRefused => ConnectError::Refused(self.clone()),
                io::ErrorKind::TimedOut => ConnectError::Silent(self.clone()),
                _ => ConnectError::System(self.clone(), error),
            })
        };
        let connected = timeout(patience, connecting).await;
        connected.unwrap_or_else(|_| Err(ConnectError::Silent(self.clone())))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

impl WsUrl {
    /// The usual place on `address`.
    pub fn on(address: Address) -> Self {
        Self { address, path: USUAL_PATH.to_owned() }
    }

    /// Whether the path is the one that a worker has.
    pub fn has_usual_path(&self) -> bool {
        self.path() == USUAL_PATH
    }

    /// The whole URL for subscribing to `topic`.
    pub fn for_topic(&self, topic: &str) -> String {
        format!("{}{}", self.origin(), self.path_for_topic(topic))
    }

    /// The path and query for subscribing to `topic`.
    pub fn path_for_topic(&self, topic: &str) -> String {
        let separator = if self.path.contains('?') { '&' } else { '?' };
        format!("{}{separator}topic={}", self.path, percent_encoded(topic))
    }

    /// The path, without a query.
    pub fn path(&self) -> &str {
        self.path.split('?').next().unwrap_or_default()
    }

    /// The same with `/ws` at the end of its path and without a query, as the browser client
    /// completes what a page gives it.
    #[must_use]
    pub fn as_browsers_have_it(&self) -> Self {
        let path = self.path().trim_end_matches('/');
        let path = format!("{}/ws", path.strip_suffix("/ws").unwrap_or(path));
        Self { address: self.address.clone(), path }
    }

    fn origin(&self) -> String {
        let scheme = if self.address.tls { "wss" } else { "ws" };
        format!("{scheme}://{}", self.address)
    }
}

impl fmt::Display for WsUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.origin(), self.path)
    }
}

/// Reads `http://host:port`, or `https://`, for an argument.
pub fn internal(text: &str) -> Result<Address, String> {
    let (address, path) = read(text, "http", "http://host:port")?;
    if path != "/" {
        return Err("write it as http://host:port, without a path".to_owned());
    }
    Ok(address)
}

/// Reads `ws://host:port/path`, or `wss://`, for an argument.
pub fn ws(text: &str) -> Result<WsUrl, String> {
    let (address, path) = read(text, "ws", "ws://host:port/ws")?;
    Ok(WsUrl { address, path })
}

/// Takes a URL of `scheme`, or of that with TLS, apart: its address, and its path and query.
fn read(text: &str, scheme: &str, example: &str) -> Result<(Address, String), String> {
    let uri: Uri = text.parse().map_err(|_| format!("write it as {example}"))?;
    let tls = match uri.scheme_str() {
        Some(given) if given == scheme => false,
        Some(given) if given == format!("{scheme}s") => true,
        _ => return Err(format!("write it as {example}")),
    };
    let authority = uri.authority().filter(|authority| !authority.as_str().contains('@'));
    let authority = authority.ok_or_else(|| format!("write it as {example}, without a user"))?;
    let bracketed = authority.host();
    // The port is read here, as `Authority` takes one above 65535 for none.
    let port = match authority.as_str().get(bracketed.len()..).unwrap_or_default() {
        "" => Some(if tls { 443 } else { 80 }),
        port => port.strip_prefix(':').and_then(|port| port.parse().ok()).filter(|&port| port != 0),
    };
    let port = port.ok_or_else(|| format!("write it as {example}, the port from 1 to 65535"))?;
    let host = bracketed.trim_start_matches('[').trim_end_matches(']').to_owned();
    if host.is_empty() {
        return Err(format!("write it as {example}"));
    }
    let path = uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
    Ok((Address { host, port, tls }, path))
}

/// `text` as the value of a query's parameter.
fn percent_encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                encoded.push(char::from(byte));
            }
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::protocol::query;

    #[test]
    fn an_internal_address_is_a_url_of_a_host_and_a_port() {
        for (text, address) in [
            ("http://127.0.0.1:9001", "127.0.0.1:9001"),
            ("http://worker:9001/", "worker:9001"),
            ("http://[::1]:9001", "[::1]:9001"),
            ("http://worker", "worker:80"),
        ] {
            assert_eq!(internal(text).unwrap().to_string(), address, "{text}");
        }
        for text in [
            "",
            "127.0.0.1:9001",
            "localhost",
            "http://",
            "http://:9001",
            "http://a:0",
            "http://a:99999",
            "http://a:",
            "http://a:9001/internal",
            "http://user:word@a:9001",
            "ws://a:9001",
        ] {
            assert!(internal(text).is_err(), "{text}");
        }
    }

    #[test]
    fn with_tls_the_port_is_another_one() {
        let url = ws("wss://example.org/ws").unwrap();

        assert!(url.address.is_tls() && internal("https://a:9001").unwrap().is_tls());
        assert_eq!(url.address.to_string(), "example.org:443");
        assert_eq!(url.to_string(), "wss://example.org:443/ws");
        assert!(!ws("ws://example.org/ws").unwrap().address.is_tls());
    }

    #[test]
    fn the_topic_is_added_to_what_the_url_has() {
        let url = |text| ws(text).unwrap().for_topic("a b/ä&c");

        assert_eq!(url("ws://h:9000/ws"), "ws://h:9000/ws?topic=a%20b%2F%C3%A4%26c");
        assert_eq!(url("ws://h:9000/ws?x=1"), "ws://h:9000/ws?x=1&topic=a%20b%2F%C3%A4%26c");
        assert_eq!(
            WsUrl::on(Address::of_listener(None, 9000)).for_topic("t"),
            "ws://127.0.0.1:9000/ws?topic=t"
        );
    }

    #[test]
    fn a_listener_on_every_address_is_reached_on_loopback() {
        let at = |bind: &str| Address::of_listener(Some(bind.parse().unwrap()), 9001).to_string();

        assert_eq!(at("0.0.0.0"), "127.0.0.1:9001");
        assert_eq!(at("::"), "127.0.0.1:9001");
        assert_eq!(at("::1"), "[::1]:9001");
        assert_eq!(at("192.0.2.7"), "192.0.2.7:9001");
    }

    proptest! {
        #[test]
        fn a_topic_is_decoded_as_it_was_encoded(topic in "\\PC{0,40}") {
            let query = format!("topic={}", percent_encoded(&topic));
            prop_assert_eq!(query::first(&query, "topic"), Some(topic.into_bytes()));
        }

        #[test]
        fn any_url_is_read_without_a_panic(text in "((http|ws)s?://)?[\\[\\]a-z0-9:@/?.%]{0,30}") {
            let _ = (internal(&text), ws(&text));
        }
    }
}
