//! The way to a WebSocket port: over the public address, or to the worker alone.
//!
//! Goes on where a certificate is not good, because whoever looks for faults wants to see all of
//! them; what is sent there opens nothing but the doctor's own topic. Start reading at
//! [`Route::upgrade`].

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::Request;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::handshake::client::generate_key;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use super::http::{self, Raw, Unheard};
use super::proxy::Proxy;
use super::upgrade::{Fault, Heard, judge};
use crate::client::address::WsUrl;
use crate::client::tls::{self, Instead, Stream};

/// Time for a connection, for TLS, and for an answer, each.
pub const PATIENCE: Duration = Duration::from_secs(5);

/// A way to a WebSocket port.
#[derive(Debug, Clone)]
pub struct Route {
    /// Where browsers connect.
    pub url: WsUrl,
    /// Which of the host's addresses to use, if that is settled.
    pub at: Option<SocketAddr>,
    /// The site whose page asks.
    pub origin: Option<String>,
}

/// Why there is no WebSocket.
#[derive(Debug, Clone)]
pub enum NoSocket {
    /// There was an answer.
    Answered(Fault, Heard),
    /// There was none; in words.
    Unheard(String),
}

impl Route {
    /// The host as a browser names it.
    pub fn host(&self) -> String {
        let address = &self.url.address;
        let usual = if address.is_tls() { 443 } else { 80 };
        let text = address.to_string();
        match address.port() == usual {
            true => text.strip_suffix(&format!(":{usual}")).unwrap_or(&text).to_owned(),
            false => text,
        }
    }

    /// The path, without a query.
    pub fn path(&self) -> &str {
        self.url.path()
    }

    /// A connection.
    ///
    /// # Errors
    ///
    /// Why there is none, in words.
    pub async fn stream(&self) -> Result<Stream, String> {
        let address = &self.url.address;
        let stream = match self.at {
            None => address.connect(PATIENCE).await.map_err(|error| error.to_string())?,
            Some(at) => connect(at).await?,
        };
        if !address.is_tls() {
            return Ok(Stream::Plain(stream));
        }
        let greeting = tls::examine(stream, address.host(), Instead::GoOn);
        let greeted = timeout(PATIENCE, greeting).await;
        let greeted = greeted.map_err(|_| format!("{address} does not answer with TLS"))?;
        greeted.map(|(stream, _)| stream).map_err(|error| error.to_string())
    }

    /// Sends `request` over a connection of its own.
    ///
    /// # Errors
    ///
    /// Why there was no answer, in words.
    pub async fn ask(&self, request: Request<Full<Bytes>>) -> Result<(Heard, Option<Raw>), String> {
        let stream = self.stream().await?;
        let answered = http::ask(stream, request, PATIENCE).await;
        answered.map_err(|error: Unheard| error.to_string())
    }

    /// A plain request for `path`.
    ///
    /// # Errors
    ///
    /// As [`Route::ask`].
    pub async fn get(&self, path: &str) -> Result<Heard, String> {
        self.ask(http::get(&self.host(), path)).await.map(|(heard, _)| heard)
    }

    /// A WebSocket for `topic`; nothing is said on it yet.
    ///
    /// # Errors
    ///
    /// [`NoSocket`].
    pub async fn upgrade(&self, topic: &str) -> Result<(Raw, Heard), NoSocket> {
        let key = generate_key();
        let path = self.url.path_for_topic(topic);
        let request = http::upgrade(&self.host(), &path, &key, self.origin.as_deref());
        let (heard, raw) = self.ask(request).await.map_err(NoSocket::Unheard)?;
        match (judge(&heard, &derive_accept_key(key.as_bytes())), raw) {
            (None, Some(raw)) => Ok((raw, heard)),
            (None, None) => Err(NoSocket::Answered(Fault::Strange, heard)),
            (Some(fault), _) => Err(NoSocket::Answered(fault, heard)),
        }
    }

    /// Who answers to something that is not HTTP: some proxies tell who they are nowhere else.
    pub async fn who_complains(&self) -> Option<Proxy> {
        const NO_HTTP: &[u8] = b"doctor\r\n\r\n";
        const MOST_BYTES: u64 = 4096;

        let complaining = async {
            let mut stream = self.stream().await.ok()?;
            stream.write_all(NO_HTTP).await.ok()?;
            let mut answer = Vec::new();
            // What came before the end tells, however it ended.
            let _ = (&mut stream).take(MOST_BYTES).read_to_end(&mut answer).await;
            Some(String::from_utf8_lossy(&answer).into_owned())
        };
        let answer = timeout(PATIENCE, complaining).await.ok()??;
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or(("", &answer));
        let mut headers = hyper::HeaderMap::new();
        for line in head.lines().skip(1) {
            if let Some((name, value)) = line.split_once(':')
                && let (Ok(name), Ok(value)) = (
                    hyper::header::HeaderName::from_bytes(name.trim().as_bytes()),
                    value.trim().parse(),
                )
            {
                headers.insert(name, value);
            }
        }
        Proxy::recognise(&headers, body)
    }
}

/// Connects to one address.
///
/// # Errors
///
/// Why not, in words.
pub async fn connect(at: SocketAddr) -> Result<TcpStream, String> {
    match timeout(PATIENCE, TcpStream::connect(at)).await {
        Ok(Ok(stream)) => {
            let _ = stream.set_nodelay(true); // Fails on dead sockets only.
            Ok(stream)
        }
        Ok(Err(error)) if error.kind() == std::io::ErrorKind::ConnectionRefused => {
            Err(format!("{at} refuses connections"))
        }
        Ok(Err(error)) => Err(format!("{at} cannot be reached: {error}")),
        Err(_) => Err(format!("{at} does not answer")),
    }
}

/// Reads a public address: `wss://`, `ws://`, `https://` or `http://`, with or without `/ws` at the
/// end, as the browser client takes it.
///
/// # Errors
///
/// What to write instead.
pub fn public_url(text: &str) -> Result<WsUrl, String> {
    let text = text.trim();
    let scheme = |from: &str, to: &str| Some(format!("{to}{}", text.strip_prefix(from)?));
    let swapped = scheme("https://", "wss://").or_else(|| scheme("http://", "ws://"));
    let url = crate::client::address::ws(swapped.as_deref().unwrap_or(text))
        .map_err(|why| why.replace("ws://host:port/ws", "wss://host/ws"))?;
    Ok(url.as_browsers_have_it())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_public_address_may_be_written_as_a_person_would() {
        for (text, url, host) in [
            ("wss://log.example.org/ws", "wss://log.example.org:443/ws", "log.example.org"),
            ("https://log.example.org", "wss://log.example.org:443/ws", "log.example.org"),
            (
                "https://log.example.org/worker/",
                "wss://log.example.org:443/worker/ws",
                "log.example.org",
            ),
            ("ws://10.0.0.7:9000", "ws://10.0.0.7:9000/ws", "10.0.0.7:9000"),
            (" http://[::1] ", "ws://[::1]:80/ws", "[::1]"),
        ] {
            let route = Route { url: public_url(text).unwrap(), at: None, origin: None };

            assert_eq!((route.url.to_string().as_str(), route.host().as_str()), (url, host));
        }
        assert!(public_url("log.example.org").unwrap_err().contains("wss://host/ws"));
        assert!(public_url("ftp://a").is_err());
    }
}
