//! From an accepted connection to an authenticated browser, or to a refusal that arrives.
//!
//! Takes what comes, piece by piece, and says what is next ([`Next`]); reading, deadlines and the
//! end are the event loop's. Writes go to the kernel at once: who has no room for the few hundred
//! bytes that a handshake says is no browser.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr};

use bytes::{Bytes, BytesMut};
use mio::net::TcpStream;
use tracing::{debug, info};

use super::WsContext;
use super::request::{self, Head, Refusal, Target};
use crate::broker::AuthError;
use crate::client_addr::ClientAddr;
use crate::protocol::close::CloseCode;
use crate::protocol::frame::{self, Decoder, Flow, Incoming};
use crate::protocol::message;
use crate::registry::Lookup;

/// Requests that are answered at a time. Who sends more at once is no browser, and every answer
/// costs a system call.
const REQUESTS_AT_A_TIME: usize = 8;

/// A connection that is not authenticated yet.
pub(super) struct Handshake {
    stream: TcpStream,
    peer: SocketAddr,
    stage: Stage,
}

/// How far it has come.
enum Stage {
    /// A request's head has to come.
    Request {
        /// What has come of it.
        unread: Vec<u8>,
        /// Whether this is not the first.
        answered: bool,
    },
    /// The connection is a WebSocket, and the auth frame has to come.
    Auth(Box<Upgraded>),
    /// Everything is said, and the peer has to end its side.
    Ending,
}

/// A browser that asked for a registered topic.
struct Upgraded {
    topic: String,
    client: ClientAddr,
    decoder: Decoder,
}

/// What is next for a connection.
pub(super) enum Next {
    /// More has to come, in the time that it has.
    Wait,
    /// Another request has to come, in a time of its own.
    WaitForRequest,
    /// The auth frame has to come, in a time of its own.
    WaitForAuth,
    /// The peer has to end its side, in a time of its own: a socket closed with something unread
    /// is reset, and a reset can overtake the last words.
    WaitForEnd,
    /// The browser may join.
    Begin(Authenticated),
    /// A page is asked for, by the bytes that have come.
    Page(Vec<u8>),
    /// The connection is over.
    End,
}

/// A browser that may join.
pub(super) struct Authenticated {
    pub(super) topic: String,
    pub(super) client: ClientAddr,
    /// 0 for nobody in particular.
    pub(super) user_id: i64,
    /// May hold what came behind the auth frame.
    pub(super) decoder: Decoder,
    /// Answers to pings that came together with the auth frame, and then that it may join.
    pub(super) first: Bytes,
}

impl Handshake {
    /// A connection from which nothing has come.
    pub(super) fn new(stream: TcpStream, peer: SocketAddr) -> Self {
        let stage = Stage::Request { unread: Vec::new(), answered: false };
        Self { stream, peer, stage }
    }

    /// The socket, for what comes after the handshake.
    pub(super) fn into_stream(self) -> TcpStream {
        self.stream
    }

    /// Reads what has come into `buffer`; 0 is the peer's end.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stream.read(buffer)
    }

    /// Takes what has come. `input` is used up.
    pub(super) fn take(&mut self, input: &mut [u8], context: &WsContext) -> Next {
        match &mut self.stage {
            Stage::Ending => Next::Wait, // What it still says does not matter.
            Stage::Auth(_) => self.authenticate(input, context),
            Stage::Request { unread, .. } if unread.is_empty() => self.request(input, context),
            Stage::Request { unread, .. } => {
                unread.extend_from_slice(input);
                // To read at every byte's arrival would cost the square of a head that trickles in.
                if !input.contains(&b'\n') && unread.len() <= request::MAX_HEAD_BYTES {
                    return Next::Wait;
                }
                let mut whole = std::mem::take(unread);
                self.request(&mut whole, context)
            }
        }
    }

    /// The time it had is over.
    pub(super) fn time_out(&mut self, context: &WsContext) -> Next {
        match &self.stage {
            Stage::Request { unread, answered: true } if unread.is_empty() => Next::End,
            Stage::Request { .. } => {
                context.metrics.http_timeouts.inc();
                debug!(client = %self.peer.ip(), "request timed out");
                Next::End
            }
            Stage::Auth(upgraded) => {
                context.metrics.auth_timeouts.inc();
                info!(topic = upgraded.topic, client = %upgraded.client, "login timed out");
                self.end_with(&frame::close(CloseCode::AuthTimeout))
            }
            Stage::Ending => Next::End,
        }
    }

    /// The node ends.
    pub(super) fn go_away(&mut self) -> Next {
        match self.stage {
            Stage::Auth(_) => self.end_with(&frame::close(CloseCode::GoingAway)),
            Stage::Request { .. } => Next::End, // Not a WebSocket: there is nothing to say.
            Stage::Ending => Next::Wait,
        }
    }

    /// Answers requests until one asks for an upgrade that can be granted, or for a page.
    fn request(&mut self, input: &mut [u8], context: &WsContext) -> Next {
        let mut input = input;
        let mut next = Next::Wait;
        let mut left = REQUESTS_AT_A_TIME;
        loop {
            if input.is_empty() {
                return next;
            }
            let head = match request::read(input, self.peer.ip(), &context.http.trusted_proxies) {
                Ok(Some(head)) => head,
                Ok(None) => {
                    if let Stage::Request { unread, .. } = &mut self.stage {
                        *unread = input.to_vec();
                    }
                    return next;
                }
                Err(refusal) => return self.end_with(&refusal.response(false, false)),
            };
            let refusal = match decide(&head, context) {
                Ok((topic, accept)) => {
                    let decoder = Decoder::default();
                    let upgraded = Upgraded { topic, client: head.client, decoder };
                    self.stage = Stage::Auth(Box::new(upgraded));
                    if self.write(&request::switching(&accept)).is_err() {
                        return Next::End;
                    }
                    return match &mut input[head.size..] {
                        [] => Next::WaitForAuth,
                        rest => match self.authenticate(rest, context) {
                            Next::Wait => Next::WaitForAuth,
                            next => next,
                        },
                    };
                }
                Err(Refusal::NotFound) if context.pages.is_some() => {
                    return Next::Page(input.to_vec());
                }
                Err(refusal) => refusal,
            };
            debug!(client = %head.client, ?refusal, "request refused");
            left -= 1;
            let keep_alive = head.keep_alive && (left > 0 || input.len() == head.size);
            let response = refusal.response(keep_alive, head.is_head);
            if !keep_alive {
                return self.end_with(&response);
            }
            if self.write(&response).is_err() {
                return Next::End;
            }
            if let Stage::Request { answered, .. } = &mut self.stage {
                *answered = true;
            }
            next = Next::WaitForRequest;
            input = &mut input[head.size..];
        }
    }

    /// Looks for the auth frame and judges it; answers pings meanwhile.
    fn authenticate(&mut self, input: &mut [u8], context: &WsContext) -> Next {
        let Stage::Auth(upgraded) = &mut self.stage else {
            return Next::Wait;
        };
        let mut pongs = BytesMut::new();
        let mut first = None;
        let fed = upgraded.decoder.feed(input, |incoming| {
            match incoming {
                Incoming::Message(text) => {
                    first = Some(Ok(message::read_auth(text).map(|token| token.into_owned())));
                }
                Incoming::Close(code) => first = Some(Err(code)),
                Incoming::Ping(payload) => pongs.extend_from_slice(&frame::pong(payload)),
                Incoming::Pong => {}
            }
            if first.is_some() { Flow::Break(()) } else { Flow::Continue(()) }
        });
        if let Err(error) = fed {
            return self.end_with(&frame::close(error.close_code()));
        }
        match first {
            None if pongs.is_empty() => Next::Wait,
            None => match self.write(&pongs) {
                Ok(()) => Next::Wait,
                Err(_) => Next::End,
            },
            Some(Err(code)) => self.end_with(&frame::close(code)),
            Some(Ok(token)) => match judge(upgraded, token.as_deref(), context) {
                Ok(user_id) => {
                    pongs.extend_from_slice(&frame::text(&[message::AUTH_OK]));
                    Next::Begin(Authenticated {
                        topic: std::mem::take(&mut upgraded.topic),
                        client: upgraded.client,
                        user_id,
                        decoder: std::mem::take(&mut upgraded.decoder),
                        first: pongs.freeze(),
                    })
                }
                Err(error) => {
                    let frames = [frame::text(&[error]), frame::close(CloseCode::Policy)];
                    self.end_with(&frames.concat())
                }
            },
        }
    }

    /// Says the last words and ends our side.
    fn end_with(&mut self, last_words: &[u8]) -> Next {
        self.stage = Stage::Ending;
        let said = self.write(last_words).and_then(|()| self.stream.shutdown(Shutdown::Write));
        if said.is_ok() { Next::WaitForEnd } else { Next::End }
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }
}

/// What becomes of a request: the topic and the accept key, or a refusal.
fn decide(head: &Head, context: &WsContext) -> Result<(String, String), Refusal> {
    let Target::WebSocket { topic, upgrade } = &head.target else {
        return Err(Refusal::NotFound);
    };
    let topic = topic.as_ref().ok_or(Refusal::MissingTopic)?;
    let topic = std::str::from_utf8(topic).map_err(|_| Refusal::UnknownTopic)?;
    match context.broker.lookup(topic) {
        Lookup::Known(_) => {}
        Lookup::Unknown | Lookup::Ask | Lookup::Away => return Err(Refusal::UnknownTopic),
    }
    Ok((topic.to_owned(), upgrade.clone()?))
}

/// The user of a browser that may join, or what it is told.
fn judge(
    upgraded: &Upgraded,
    token: Option<&str>,
    context: &WsContext,
) -> Result<i64, &'static str> {
    let Upgraded { topic, client, .. } = upgraded;
    let result = match token {
        Some(token) => context.broker.authorize(topic, token),
        None => Err(AuthError::NoAuthFrame),
    };
    result.map_err(|reason| {
        info!(topic, %client, %reason, "login refused");
        context.metrics.auth_failures.inc();
        match reason {
            AuthError::NoAuthFrame | AuthError::NoToken => message::AUTH_REQUIRED,
            AuthError::Token(_) | AuthError::TopicGone => message::UNAUTHORIZED,
        }
    })
}
