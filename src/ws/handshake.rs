//! From an accepted connection to an authenticated session, or to a refusal that arrives.
//!
//! One task a connection, boxed, with a deadline on everything it waits for. When a browser is
//! let in, its [`Session`] becomes a new and much smaller task and this one ends.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};
use tracing::{debug, info};

use super::request::{self, Head, Refusal, Target};
use super::session::Session;
use super::{WsContext, pages};
use crate::broker::AuthError;
use crate::client_addr::ClientAddr;
use crate::link::Link;
use crate::protocol::close::CloseCode;
use crate::protocol::frame::{self, Decoder, Flow, FrameError, Incoming};
use crate::protocol::message;

/// Bytes that are read at a time.
const READ_BYTES: usize = 2048;

/// How long a refused browser may take to end its side, so that what it was told is not lost to
/// a reset.
const PATIENCE: Duration = Duration::from_secs(2);

/// A connection that is not authenticated yet.
struct Handshake {
    stream: TcpStream,
    peer: SocketAddr,
    context: Arc<WsContext>,
    /// What was read and not yet used.
    unread: Vec<u8>,
}

/// A browser that asked for an upgrade to a registered topic.
struct Upgraded {
    topic: String,
    client: ClientAddr,
}

/// A browser that may join.
struct Authenticated {
    user_id: i64,
    /// May hold what came behind the auth frame.
    decoder: Decoder,
    /// Answers to pings that came together with the auth frame.
    pongs: BytesMut,
}

/// Why a connection ends before it is authenticated.
enum Ending {
    /// The peer is gone, or the connection has said all there is to say.
    Silent,
    /// No whole request in time.
    RequestTimeout,
    /// With a close frame.
    Close(CloseCode),
    /// With an error frame and a close frame.
    Error(&'static str),
}

impl From<std::io::Error> for Ending {
    fn from(_: std::io::Error) -> Self {
        Self::Silent
    }
}

impl From<FrameError> for Ending {
    fn from(error: FrameError) -> Self {
        Self::Close(error.close_code())
    }
}

/// Serves a connection until it is a session of its own or has ended.
pub(super) async fn serve(stream: TcpStream, peer: SocketAddr, context: Arc<WsContext>) {
    let mut handshake = Handshake { stream, peer, context, unread: Vec::new() };
    let closing = handshake.context.shutdown.closing.clone();
    let upgraded = tokio::select! {
        upgraded = handshake.upgrade() => upgraded,
        () = closing.cancelled() => return, // Not a WebSocket yet: there is nothing to say.
    };
    let ending = match upgraded {
        Ok(Some(upgraded)) => {
            let authenticated = tokio::select! {
                authenticated = handshake.authenticate(&upgraded) => authenticated,
                () = closing.cancelled() => Err(Ending::Close(CloseCode::GoingAway)),
            };
            match authenticated {
                Ok(authenticated) => return handshake.begin(&upgraded, authenticated),
                Err(ending) => ending,
            }
        }
        Ok(None) => return handshake.serve_page().await,
        Err(ending) => ending,
    };
    handshake.end(ending).await;
}

impl Handshake {
    /// Answers requests until one asks for an upgrade that can be granted (`Some`), or for a page
    /// (`None`).
    async fn upgrade(&mut self) -> Result<Option<Upgraded>, Ending> {
        let mut answered = false;
        loop {
            let patience = self.context.http.request_timeout;
            let head = match timeout(patience, self.read_head()).await {
                Ok(head) => head?,
                Err(_) if answered && self.unread.is_empty() => return Err(Ending::Silent),
                Err(_) => return Err(Ending::RequestTimeout),
            };
            let refusal = match head {
                Ok(head) => match self.decide(&head) {
                    Ok((topic, accept)) => {
                        self.unread.drain(..head.size);
                        self.write(&request::switching(&accept)).await?;
                        return Ok(Some(Upgraded { topic, client: head.client }));
                    }
                    Err(Refusal::NotFound) if self.context.pages.is_some() => return Ok(None),
                    Err(refusal) => {
                        self.unread.drain(..head.size);
                        debug!(client = %head.client, ?refusal, "request refused");
                        if head.keep_alive {
                            self.write(&refusal.response(true, head.is_head)).await?;
                            answered = true;
                            continue;
                        }
                        refusal.response(false, head.is_head)
                    }
                },
                Err(refusal) => refusal.response(false, false),
            };
            self.write(&refusal).await?;
            self.linger().await;
            return Err(Ending::Silent);
        }
    }

    /// What becomes of a request: the topic and the accept key, or a refusal.
    fn decide(&self, head: &Head) -> Result<(String, String), Refusal> {
        let Target::WebSocket { topic, upgrade } = &head.target else {
            return Err(Refusal::NotFound);
        };
        let topic = topic.as_ref().ok_or(Refusal::MissingTopic)?;
        let topic = std::str::from_utf8(topic).map_err(|_| Refusal::UnknownTopic)?;
        self.context.broker.lookup(topic).ok_or(Refusal::UnknownTopic)?;
        Ok((topic.to_owned(), upgrade.clone()?))
    }

    async fn read_head(&mut self) -> Result<Result<Head, Refusal>, Ending> {
        let mut looked_at = 0;
        loop {
            // Looking at every byte's arrival would cost the square of a head that trickles in.
            if looked_at == 0 || self.unread[looked_at..].contains(&b'\n') {
                let trusted = &self.context.http.trusted_proxies;
                match request::read(&self.unread, self.peer.ip(), trusted) {
                    Ok(Some(head)) => return Ok(Ok(head)),
                    Ok(None) => {}
                    Err(refusal) => return Ok(Err(refusal)),
                }
                looked_at = self.unread.len();
            } else if self.unread.len() > request::MAX_HEAD_BYTES {
                return Ok(Err(Refusal::TooLarge));
            }
            self.read_more().await?;
        }
    }

    /// Waits for the auth frame and judges it; answers pings meanwhile.
    async fn authenticate(&mut self, upgraded: &Upgraded) -> Result<Authenticated, Ending> {
        let deadline = Instant::now() + self.context.session.auth_timeout;
        let mut decoder = Decoder::default();
        loop {
            let mut pongs = BytesMut::new();
            let mut first = None;
            decoder.feed(&mut std::mem::take(&mut self.unread), |incoming| {
                match incoming {
                    Incoming::Message(text) => {
                        first = Some(Ok(message::read_auth(text).map(|t| t.into_owned())));
                    }
                    Incoming::Close(code) => first = Some(Err(Ending::Close(code))),
                    Incoming::Ping(payload) => pongs.extend_from_slice(&frame::pong(payload)),
                    Incoming::Pong => {}
                }
                if first.is_some() { Flow::Break(()) } else { Flow::Continue(()) }
            })?;
            if let Some(first) = first {
                let user_id = self.judge(upgraded, first?.as_deref())?;
                return Ok(Authenticated { user_id, decoder, pongs });
            }
            let next = async {
                self.write(&pongs).await?;
                self.read_more().await
            };
            match timeout_at(deadline, next).await {
                Ok(read) => read?,
                Err(_) => {
                    self.context.metrics.auth_timeouts.inc();
                    info!(topic = upgraded.topic, client = %upgraded.client, "login timed out");
                    return Err(Ending::Close(CloseCode::AuthTimeout));
                }
            }
        }
    }

    fn judge(&self, upgraded: &Upgraded, token: Option<&str>) -> Result<i64, Ending> {
        let Upgraded { topic, client } = upgraded;
        let result = match token {
            Some(token) => self.context.broker.authorize(topic, token),
            None => Err(AuthError::NoAuthFrame),
        };
        result.map_err(|reason| {
            info!(topic, %client, %reason, "login refused");
            self.context.metrics.auth_failures.inc();
            Ending::Error(match reason {
                AuthError::NoAuthFrame | AuthError::NoToken => message::AUTH_REQUIRED,
                AuthError::Token(_) | AuthError::TopicGone => message::UNAUTHORIZED,
            })
        })
    }

    /// Lets the browser in: subscribed first, told after, so that nothing published after
    /// `auth_ok` is missed and nothing overtakes it.
    fn begin(self, upgraded: &Upgraded, authenticated: Authenticated) {
        let Self { stream, context, .. } = self;
        let Authenticated { user_id, decoder, mut pongs } = authenticated;
        let link = Link::corked(stream, Arc::clone(&context.links));
        let subscription = context.broker.subscribe(&upgraded.topic, user_id, Arc::clone(&link));
        let tasks = context.shutdown.sessions.clone();
        pongs.extend_from_slice(&frame::text(&[message::AUTH_OK]));
        link.uncork(&pongs.freeze());
        let closing = context.shutdown.closing.clone();
        let session =
            Session::new(Arc::clone(&link), subscription, decoder, upgraded.client, context);
        if closing.is_cancelled() {
            link.close(CloseCode::GoingAway); // It may have come too late for `Sessions::close_all`.
        }
        tasks.spawn(session);
    }

    /// Says the last words and waits a little until the browser has them.
    async fn end(mut self, ending: Ending) {
        let last_words = match ending {
            Ending::Silent => return,
            Ending::RequestTimeout => {
                self.context.metrics.http_timeouts.inc();
                debug!(client = %self.peer.ip(), "request timed out");
                return;
            }
            Ending::Close(code) => frame::close(code),
            Ending::Error(error) => {
                let frames = [frame::text(&[error]), frame::close(CloseCode::Policy)];
                Bytes::from(frames.concat())
            }
        };
        if self.write(&last_words).await.is_ok() {
            self.linger().await;
        }
    }

    /// Ends our side and takes what still comes, until the peer ends its side: a socket closed
    /// with something unread is reset, and a reset can overtake the last words.
    async fn linger(&mut self) {
        if self.stream.shutdown().await.is_err() {
            return;
        }
        let mut scratch = vec![0; READ_BYTES]; // Not in the future, which every handshake pays for.
        let until_end =
            async { while self.stream.read(&mut scratch).await.is_ok_and(|count| count > 0) {} };
        let _ = timeout(PATIENCE, until_end).await; // Long enough.
    }

    async fn serve_page(self) {
        if let Some(pages) = &self.context.pages {
            pages::serve(self.stream, self.unread, pages, self.context.http.request_timeout).await;
        }
    }

    async fn read_more(&mut self) -> Result<(), Ending> {
        self.stream.readable().await?;
        let mut scratch = [0; READ_BYTES];
        match self.stream.try_read(&mut scratch) {
            Ok(0) => Err(Ending::Silent),
            Ok(count) => {
                self.unread.extend_from_slice(&scratch[..count]);
                Ok(())
            }
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<(), Ending> {
        let patience = self.context.session.write_timeout;
        timeout(patience, self.stream.write_all(bytes)).await.map_err(|_| Ending::Silent)??;
        Ok(())
    }
}
