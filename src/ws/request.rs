//! Reads the one HTTP request that may become a WebSocket, and judges it.
//!
//! Our own reading instead of an HTTP stack's, because what that keeps per handshake in flight
//! (some 10 KiB) would set the memory's high-water mark whenever a herd of browsers reconnects.
//! The grammar is httparse's. [`judge`] is pure; the order of its checks is docs/protocol.md,
//! "Handshake".

use std::net::IpAddr;

use ipnet::IpNet;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use super::health;
use super::script::{self, Asked};
use crate::client_addr::ClientAddr;
use crate::protocol::query;

/// Bytes that a request's head may have. Browsers send the site's cookies along.
pub(super) const MAX_HEAD_BYTES: usize = 32 * 1024;

/// Header lines that a head may have.
const MAX_HEADERS: usize = 100;

/// A request, judged as far as that is possible without knowing the topics.
#[derive(Debug, PartialEq, Eq)]
pub struct Head {
    /// Bytes of the head; what follows is the next request, or the first frames.
    pub size: usize,
    /// Who asks.
    pub client: ClientAddr,
    /// What for.
    pub target: Target,
    /// Whether the connection can serve another request after a refusal.
    pub keep_alive: bool,
    /// Whether the answer must not have a body.
    pub is_head: bool,
}

/// What a request asks for.
#[derive(Debug, PartialEq, Eq)]
pub enum Target {
    /// `/ws`.
    WebSocket {
        /// The topic, if there is one.
        topic: Option<Vec<u8>>,
        /// What becomes of it if the topic is registered: the `Sec-WebSocket-Accept` to answer
        /// with, or a refusal.
        upgrade: Result<String, Refusal>,
    },
    /// `/client.js`; or a refusal.
    Script(Result<Asked, Refusal>),
    /// `/healthz`; or a refusal.
    Health(Result<(), Refusal>),
    /// Another path.
    Other,
}

/// A request that does not become a WebSocket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// Not HTTP.
    Malformed,
    /// The head is too long.
    TooLarge,
    /// No path of this port.
    NotFound,
    /// `/client.js` or `/healthz`, but neither by GET nor by HEAD.
    WrongMethod,
    /// `/healthz` of a node that ends.
    Draining,
    /// `/ws` without a topic.
    MissingTopic,
    /// `/ws` with a topic that is not registered.
    UnknownTopic,
    /// `/ws` with a topic of which only Redis could say whether it is registered, and it is away.
    Away,
    /// Not a WebSocket upgrade of version 13.
    NoUpgrade,
    /// An upgrade, but not by GET.
    NotGet,
}

/// Reads the head of the request at the start of `bytes`; `None`: not all there yet.
///
/// # Errors
///
/// [`Refusal`] if it is not HTTP or too long, after which the connection cannot go on.
pub fn read(bytes: &[u8], peer: IpAddr, trusted: &[IpNet]) -> Result<Option<Head>, Refusal> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut request = httparse::Request::new(&mut headers);
    match request.parse(bytes) {
        Ok(httparse::Status::Complete(size)) if size <= MAX_HEAD_BYTES => {
            Ok(Some(judge(&request, size, peer, trusted)))
        }
        Ok(httparse::Status::Partial) if bytes.len() < MAX_HEAD_BYTES => Ok(None),
        Ok(_) | Err(httparse::Error::TooManyHeaders) => Err(Refusal::TooLarge),
        Err(_) => Err(Refusal::Malformed),
    }
}

fn judge(
    request: &httparse::Request<'_, '_>,
    size: usize,
    peer: IpAddr,
    trusted: &[IpNet],
) -> Head {
    let values = |name: &'static str| {
        let headers = request.headers.iter();
        headers.filter(move |header| header.name.eq_ignore_ascii_case(name)).map(|h| h.value)
    };
    let has_token = |name: &'static str, wanted: &str| values(name).any(|v| lists(v, wanted));
    let target = without_authority(request.path.unwrap_or_default());
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let method = request.method.unwrap_or_default();

    let key = values("sec-websocket-key").next().unwrap_or_default();
    let upgrade = if !has_token("connection", "upgrade") || !has_token("upgrade", "websocket") {
        Err(Refusal::NoUpgrade)
    } else if method != "GET" {
        Err(Refusal::NotGet)
    } else if !has_token("sec-websocket-version", "13") || !is_key(key) {
        Err(Refusal::NoUpgrade)
    } else {
        Ok(derive_accept_key(key))
    };
    let target = if path == "/ws" {
        let topic = query::first(query, "topic").filter(|topic| !topic.is_empty());
        Target::WebSocket { topic, upgrade }
    } else {
        let method = match method {
            "GET" | "HEAD" => Ok(()),
            _ => Err(Refusal::WrongMethod),
        };
        let asked = || Asked::read(query, values("accept-encoding"), values("if-none-match"));
        match path {
            script::PATH => Target::Script(method.map(|()| asked())),
            health::PATH => Target::Health(method),
            _ => Target::Other,
        }
    };
    let has_body = values("transfer-encoding").next().is_some()
        || values("content-length").any(|length| length != b"0");
    let wants_to_stay = if request.version == Some(1) {
        !has_token("connection", "close")
    } else {
        has_token("connection", "keep-alive")
    };
    let client =
        ClientAddr::find(peer, values("x-forwarded-for"), values("x-real-ip").next(), trusted);
    Head { size, client, target, keep_alive: wants_to_stay && !has_body, is_head: method == "HEAD" }
}

/// The path and query of a request target, which may be a whole URL (RFC 9112 section 3.2.2).
fn without_authority(target: &str) -> &str {
    match target.strip_prefix("http://") {
        Some(rest) => rest.find('/').map_or("/", |at| &rest[at..]),
        None => target,
    }
}

/// Whether a comma-separated header value has `wanted` among its tokens, in any case.
fn lists(value: &[u8], wanted: &str) -> bool {
    value
        .split(|byte| *byte == b',')
        .any(|t| t.trim_ascii().eq_ignore_ascii_case(wanted.as_bytes()))
}

/// Whether `key` looks like 16 bytes in base64 (RFC 6455 section 4.1).
fn is_key(key: &[u8]) -> bool {
    let is_letter = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
    key.strip_suffix(b"==").is_some_and(|digits| digits.len() == 22 && digits.iter().all(is_letter))
}

impl Refusal {
    /// The whole answer, as Go's `http.Error` writes it.
    pub(super) fn response(self, keep_alive: bool, without_body: bool) -> Vec<u8> {
        let (status, body, extra) = match self {
            Self::Malformed => ("400 Bad Request", "bad request\n", ""),
            Self::TooLarge => {
                ("431 Request Header Fields Too Large", "request header fields too large\n", "")
            }
            Self::NotFound => ("404 Not Found", "404 page not found\n", ""),
            Self::WrongMethod => ("405 Method Not Allowed", "method not allowed\n", ""),
            Self::Draining => {
                ("503 Service Unavailable", "draining\n", "Cache-Control: no-store\r\n")
            }
            Self::MissingTopic => ("400 Bad Request", "missing topic\n", ""),
            Self::UnknownTopic => ("404 Not Found", "topic not registered\n", ""),
            Self::Away => {
                ("503 Service Unavailable", "topic cannot be looked up now\n", "Retry-After: 1\r\n")
            }
            Self::NoUpgrade => ("400 Bad Request", "Bad Request\n", VERSION_13),
            Self::NotGet => ("405 Method Not Allowed", "Method Not Allowed\n", VERSION_13),
        };
        let connection = if keep_alive { "" } else { "Connection: close\r\n" };
        let length = body.len();
        let body = if without_body { "" } else { body };
        format!(
            "HTTP/1.1 {status}\r\nContent-Type: text/plain; charset=utf-8\r\n{extra}\
             X-Content-Type-Options: nosniff\r\nDate: {}\r\nContent-Length: {length}\r\n\
             {connection}\r\n{body}",
            date(),
        )
        .into_bytes()
    }
}

/// The value of a `Date` header.
pub(super) fn date() -> String {
    jiff::Timestamp::now().strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

const VERSION_13: &str = "Sec-Websocket-Version: 13\r\n";

/// The answer that makes the connection a WebSocket.
pub fn switching(accept: &str) -> Vec<u8> {
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {accept}\r\n\r\n"
    )
    .into_bytes()
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn head(lines: &str) -> Head {
        let text = format!("{}\r\n\r\n", lines.replace('\n', "\r\n"));
        read(text.as_bytes(), Ipv4Addr::LOCALHOST.into(), &[]).unwrap().unwrap()
    }

    fn upgrade(lines: &str) -> Result<String, Refusal> {
        match head(lines).target {
            Target::WebSocket { upgrade, .. } => upgrade,
            Target::Script(_) | Target::Health(_) | Target::Other => panic!("not /ws"),
        }
    }

    const GOOD: &str = "GET /ws?topic=a HTTP/1.1\nHost: x\nConnection: keep-alive, Upgrade\n\
        Upgrade: websocket\nSec-WebSocket-Version: 13\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==";

    #[test]
    fn the_accept_key_is_that_of_the_rfc() {
        assert_eq!(upgrade(GOOD).as_deref(), Ok("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
    }

    #[test]
    fn an_upgrade_is_checked_in_the_order_of_the_original() {
        for (from, to, refusal) in [
            ("Upgrade\n", "\n", Refusal::NoUpgrade),
            ("websocket", "h2c", Refusal::NoUpgrade),
            ("GET", "POST", Refusal::NotGet),
            (": 13", ": 12", Refusal::NoUpgrade),
            ("dGhl", "", Refusal::NoUpgrade),
        ] {
            assert_eq!(upgrade(&GOOD.replacen(from, to, 1)), Err(refusal), "{from}");
        }
        let post_without_upgrade = "POST /ws HTTP/1.1\nHost: x";
        assert_eq!(upgrade(post_without_upgrade), Err(Refusal::NoUpgrade));
    }

    #[test]
    fn a_topic_that_cannot_be_looked_up_is_503_and_says_when_to_come_back() {
        let answer = String::from_utf8(Refusal::Away.response(true, false)).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();

        assert!(head.starts_with("HTTP/1.1 503 Service Unavailable\r\n"), "{head}");
        assert!(head.contains("\r\nRetry-After: 1\r\n"), "{head}");
        assert_eq!(body, "topic cannot be looked up now\n");
    }

    #[test]
    fn a_whole_url_is_a_target_too() {
        assert!(upgrade(&GOOD.replacen("/ws", "http://x:9000/ws", 1)).is_ok());
        assert_eq!(head("GET http://x HTTP/1.1").target, Target::Other);
    }

    #[test]
    fn a_connection_stays_as_http_says_unless_a_body_follows() {
        assert!(head("GET /x HTTP/1.1\nHost: x").keep_alive);
        assert!(!head("GET /x HTTP/1.1\nHost: x\nConnection: close").keep_alive);
        assert!(!head("GET /x HTTP/1.0").keep_alive);
        assert!(head("GET /x HTTP/1.0\nConnection: keep-alive").keep_alive);
        assert!(!head("POST /x HTTP/1.1\nHost: x\nContent-Length: 3").keep_alive);
        assert!(!head("POST /x HTTP/1.1\nHost: x\nTransfer-Encoding: chunked").keep_alive);
    }

    #[test]
    fn a_head_that_is_not_all_there_is_waited_for_up_to_the_bound() {
        let read = |bytes: &[u8]| read(bytes, Ipv4Addr::LOCALHOST.into(), &[]);

        assert_eq!(read(b"GET /ws?topic=a HT"), Ok(None));
        assert_eq!(read(b"\x16\x03\x01\x02\x00\x01"), Err(Refusal::Malformed));
        let long = format!("GET /ws HTTP/1.1\r\nCookie: {}", "x".repeat(MAX_HEAD_BYTES));
        assert_eq!(read(long.as_bytes()), Err(Refusal::TooLarge));
        let many = format!("GET /ws HTTP/1.1\r\n{}", "a: b\r\n".repeat(101));
        assert_eq!(read(many.as_bytes()), Err(Refusal::TooLarge));
    }
}
