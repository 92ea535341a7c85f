//! Serves the demo's page, its token, and its form.
//!
//! Only to a browser that opened it by a loopback name, so that no other page can use it through
//! the visitor's browser.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HOST, HeaderValue, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS,
};
use hyper::{Method, Request, Response, StatusCode};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::secret_file::SecretFile;
use super::{TOPIC, feed};
use crate::client::{Worker, WorkerError};
use crate::clock::unix_now;
use crate::secret::Secret;
use crate::status::VERSION;
use crate::token::{self, Claims, Grant};
use crate::ws::Pages;

const PAGE: &str = include_str!("page.html");

const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; \
                      connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; \
                      frame-ancestors 'none'";

/// How long the page's token is good.
const TOKEN_SECONDS: i64 = 24 * 60 * 60;

/// Least time between two events of visitors.
const VISITOR_PAUSE: Duration = Duration::from_millis(200);

/// Bytes that a visitor's event may have.
const MAX_EVENT_BYTES: usize = 2048;

/// Characters of a visitor's call and text.
const MAX_CALL: usize = 20;
const MAX_TEXT: usize = 200;

/// What the page is served from.
#[derive(Debug)]
pub(super) struct Site {
    secret: Secret,
    /// Takes visitors' events, and the topic of whoever opens the page.
    worker: Worker,
    ws_port: u16,
    internal: SocketAddr,
    curl: CurlLines,
    visited: Mutex<Option<Instant>>,
}

/// Lines for a shell that do what PHP does.
#[derive(Debug)]
pub(super) struct CurlLines {
    pub(super) register: String,
    pub(super) publish: String,
    pub(super) status: String,
    /// Prints the secret itself, for the live view.
    pub(super) secret: String,
}

/// What the page asks for before it connects.
#[derive(Serialize)]
struct Ticket<'a> {
    topic: &'static str,
    token: String,
    token_expires: i64,
    publish_curl: &'a str,
    register_curl: &'a str,
    status_curl: &'a str,
    version: &'static str,
    internal: String,
}

/// What a visitor publishes.
#[derive(Debug, Deserialize)]
struct Wish {
    call: String,
    text: String,
}

/// A visitor's event, as the page shows it.
#[derive(Debug, Serialize)]
struct Visit {
    kind: &'static str,
    sent_at_ms: f64,
    call: String,
    text: String,
}

/// Why a visitor's event is not published.
#[derive(Debug, thiserror::Error)]
enum WishError {
    #[error("send {{\"call\": …, \"text\": …}} as application/json")]
    Malformed,
    #[error("call: 1 to {MAX_CALL} letters, digits, / or -")]
    Call,
    #[error("text: 1 to {MAX_TEXT} characters")]
    Text,
    #[error("too fast; try again in a moment")]
    TooFast,
    #[error(transparent)]
    Publish(#[from] feed::PublishError),
}

impl Site {
    pub(super) fn new(
        secret: Secret,
        worker: Worker,
        ws: SocketAddr,
        internal: SocketAddr,
        secret_file: &SecretFile,
    ) -> Self {
        let curl = CurlLines::new(internal, secret_file);
        Self { secret, worker, ws_port: ws.port(), internal, curl, visited: Mutex::default() }
    }

    pub(super) fn curl_lines(&self) -> &CurlLines {
        &self.curl
    }

    async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        if !self.is_for_us(&request) {
            return text(StatusCode::MISDIRECTED_REQUEST, "open the demo by its loopback address");
        }
        match (request.method(), request.uri().path()) {
            (&Method::GET, "/") => {
                with_type(StatusCode::OK, "text/html; charset=utf-8", PAGE.into())
            }
            (&Method::GET, "/demo/session") => match self.ticket().await {
                Ok(ticket) => ticket,
                Err(error) => text(StatusCode::SERVICE_UNAVAILABLE, &error.to_string()),
            },
            (&Method::POST, "/demo/publish") => match self.publish(request).await {
                Ok(()) => text(StatusCode::NO_CONTENT, ""),
                Err(error) => {
                    let status = match error {
                        WishError::Malformed | WishError::Call | WishError::Text => {
                            StatusCode::BAD_REQUEST
                        }
                        WishError::TooFast => StatusCode::TOO_MANY_REQUESTS,
                        WishError::Publish(_) => StatusCode::SERVICE_UNAVAILABLE,
                    };
                    text(status, &error.to_string())
                }
            },
            (_, "/" | "/demo/session" | "/demo/publish") => {
                text(StatusCode::METHOD_NOT_ALLOWED, "method not allowed")
            }
            _ => text(StatusCode::NOT_FOUND, "404 page not found"),
        }
    }

    /// Whether the request's host is a loopback name with our port: another page's request, also
    /// one through a name that it lets point here, has another.
    fn is_for_us(&self, request: &Request<Incoming>) -> bool {
        let host = request.headers().get(HOST).and_then(|host| host.to_str().ok());
        let name = host.and_then(|host| host.strip_suffix(&format!(":{}", self.ws_port)));
        matches!(name, Some("127.0.0.1" | "localhost" | "[::1]"))
    }

    /// What the page needs to subscribe. Registers the topic first, as PHP does at every page load:
    /// the page may be here before the feed is.
    async fn ticket(&self) -> Result<Response<Full<Bytes>>, WorkerError> {
        self.worker.register(TOPIC, true).await?;
        let expires = unix_now() + TOKEN_SECONDS;
        let claims = Claims { user_id: 1, grant: Grant::Topic(TOPIC.to_owned()), expires };
        let ticket = Ticket {
            topic: TOPIC,
            token: token::mint(&claims, &self.secret),
            token_expires: expires,
            publish_curl: &self.curl.publish,
            register_curl: &self.curl.register,
            status_curl: &self.curl.status,
            version: VERSION,
            internal: format!("http://{}", self.internal),
        };
        // Strings and numbers: nothing here can fail to serialize.
        let json = serde_json::to_string(&ticket).unwrap_or_default();
        Ok(with_type(StatusCode::OK, "application/json", json.into()))
    }

    /// Publishes a visitor's event through the internal API, as PHP does with its users' entries.
    async fn publish(&self, request: Request<Incoming>) -> Result<(), WishError> {
        let sent_at_ms = feed::now_ms();
        let is_json = request.headers().get(CONTENT_TYPE).is_some_and(|kind| {
            kind.as_bytes().starts_with(b"application/json") // No page of another site may send it.
        });
        let body = Limited::new(request.into_body(), MAX_EVENT_BYTES).collect().await;
        let body = body.map_err(|_| WishError::Malformed)?.to_bytes();
        let wish: Wish = serde_json::from_slice(&body).map_err(|_| WishError::Malformed)?;
        if !is_json {
            return Err(WishError::Malformed);
        }
        let Wish { call, text } = wish;
        let (call, text) = (call.trim().to_uppercase(), text.trim().to_owned());
        let is_call_letter = |letter: char| letter.is_ascii_alphanumeric() || "/-".contains(letter);
        if call.is_empty() || call.len() > MAX_CALL || !call.chars().all(is_call_letter) {
            return Err(WishError::Call);
        }
        if text.is_empty() || text.chars().count() > MAX_TEXT || text.chars().any(char::is_control)
        {
            return Err(WishError::Text);
        }
        self.not_too_fast()?;
        let visit = Visit { kind: "visitor", sent_at_ms, call, text };
        Ok(feed::publish(&self.worker, &visit).await?)
    }

    fn not_too_fast(&self) -> Result<(), WishError> {
        let mut visited = self.visited.lock();
        if visited.is_some_and(|at| at.elapsed() < VISITOR_PAUSE) {
            return Err(WishError::TooFast);
        }
        *visited = Some(Instant::now());
        Ok(())
    }
}

impl CurlLines {
    fn new(internal: SocketAddr, secret_file: &SecretFile) -> Self {
        let header = format!("@{}", secret_file.path().display());
        let base = format!("curl -sS -H {}", shell_word(&header));
        let topic = format!(r#""topic":"{TOPIC}""#);
        Self {
            register: format!(
                r#"{base} http://{internal}/internal/register -d '{{{topic},"meta":{{"require_token":true}}}}'"#
            ),
            publish: format!(
                r#"{base} http://{internal}/internal/publish -d '{{{topic},"payload":{{"kind":"visitor","call":"DL1ABC","text":"hello from the shell"}}}}'"#
            ),
            status: format!("{base} 'http://{internal}/internal/status?topics=1'"),
            secret: format!(
                "cut -d ' ' -f 2 {}",
                shell_word(&secret_file.path().to_string_lossy())
            ),
        }
    }
}

/// `text` as one word of a POSIX shell, in quotes only where it needs them.
fn shell_word(text: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"@%+=:,./-_".contains(&byte);
    if text.bytes().all(is_plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

/// Hands requests for pages to `site`.
pub(super) fn pages(site: Arc<Site>) -> Pages {
    Arc::new(move |request| {
        let site = Arc::clone(&site);
        Box::pin(async move { site.answer(request).await })
    })
}

fn text(status: StatusCode, text: &str) -> Response<Full<Bytes>> {
    with_type(status, "text/plain; charset=utf-8", text.to_owned().into())
}

fn with_type(status: StatusCode, kind: &'static str, body: Bytes) -> Response<Full<Bytes>> {
    let mut answer = Response::new(Full::new(body));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    for (name, value) in [
        (CONTENT_TYPE, kind),
        (CACHE_CONTROL, "no-store"),
        (CONTENT_SECURITY_POLICY, POLICY),
        (REFERRER_POLICY, "no-referrer"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    answer
}
