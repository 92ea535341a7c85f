//! From an accepted connection to an authenticated browser, or to a refusal that arrives.
//!
//! Takes what comes, piece by piece, and says what is next ([`Next`]); reading, deadlines and the
//! end are the event loop's. Writes go to the kernel at once: who has no room for the few hundred
//! bytes that a handshake says is no browser. Only the client's script, which is longer, waits.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::os::fd::{AsRawFd, RawFd};

use bytes::{Bytes, BytesMut};
use mio::net::TcpStream;
use tracing::{debug, info};

use super::WsContext;
use super::refusals::{count_auth_failure, count_refusal, kind_of, unknown_topic, whose};
use super::request::{self, Refusal, Target};
use super::verdict::{Verdict, decide};
use super::{health, script};
use crate::broker::AuthError;
use crate::client_addr::ClientAddr;
use crate::problems::Kind;
use crate::protocol::close::CloseCode;
use crate::protocol::frame::{self, Decoder, Flow, Incoming};
use crate::protocol::message::{self, Version};
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
    /// Redis is asked whether the topic of a request is registered.
    Asking {
        /// The request, and what came with it. What comes later is not read yet.
        begun: Vec<u8>,
        /// Requests that may be answered at a time from here on, this one included.
        left: usize,
    },
    /// The client's script is on its way. What comes meanwhile is not read.
    Sending(Box<Sending>),
    /// The connection is a WebSocket, and the auth frame has to come.
    Auth(Box<Upgraded>),
    /// Everything is said, and the peer has to end its side.
    Ending,
}

/// The client's script, and what comes behind it.
struct Sending {
    answer: script::Answer,
    /// What came behind the request.
    behind: Vec<u8>,
    /// Requests of that which may be answered.
    left: usize,
    keep_alive: bool,
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
    /// The peer has to take something, and [`Handshake::send`] goes on; it has a time of its own to
    /// take everything. Nothing is to be read meanwhile.
    WaitForRoom,
    /// The peer has to end its side, in a time of its own: a socket closed with something unread
    /// is reset, and a reset can overtake the last words.
    WaitForEnd,
    /// Redis has to be asked about this topic; [`Handshake::answer`] goes on. Nothing is to be
    /// read meanwhile.
    Ask(String),
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
    /// What the browser understands.
    pub(super) version: Version,
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
            Stage::Sending(sending) => {
                sending.behind.extend_from_slice(input);
                Next::Wait
            }
            Stage::Asking { begun, .. } => {
                begun.extend_from_slice(input);
                Next::Wait
            }
            Stage::Auth(_) => self.authenticate(input, context),
            Stage::Request { unread, .. } if unread.is_empty() => {
                self.request(input, None, REQUESTS_AT_A_TIME, context)
            }
            Stage::Request { unread, .. } => {
                unread.extend_from_slice(input);
                // To read at every byte's arrival would cost the square of a head that trickles in.
                if !input.contains(&b'\n') && unread.len() <= request::MAX_HEAD_BYTES {
                    return Next::Wait;
                }
                let mut whole = std::mem::take(unread);
                self.request(&mut whole, None, REQUESTS_AT_A_TIME, context)
            }
        }
    }

    /// Whether nothing is to be read: Redis is asked for it, or an answer is on its way.
    pub(super) fn is_busy(&self) -> bool {
        matches!(self.stage, Stage::Asking { .. } | Stage::Sending(_))
    }

    /// Whether the connection is a WebSocket whose auth frame has to come.
    pub(super) fn has_to_log_in(&self) -> bool {
        matches!(self.stage, Stage::Auth(_))
    }

    /// Sends more of the answer that is on its way, if one is, and then goes on with what came
    /// behind the request.
    pub(super) fn send(&mut self, context: &WsContext) -> Next {
        let Stage::Sending(sending) = &mut self.stage else {
            return Next::Wait;
        };
        match sending.answer.send(&mut self.stream) {
            Ok(false) => Next::Wait,
            Err(_) => Next::End,
            Ok(true) if sending.keep_alive => {
                let (mut behind, left) = (std::mem::take(&mut sending.behind), sending.left);
                self.stage = Stage::Request { unread: Vec::new(), answered: true };
                match self.request(&mut behind, None, left, context) {
                    Next::Wait => Next::WaitForRequest,
                    next => next,
                }
            }
            Ok(true) => self.end_with(&[]),
        }
    }

    /// Goes on with the request that waits, now that `lookup` is known of its topic.
    pub(super) fn answer(&mut self, lookup: Lookup, context: &WsContext) -> Next {
        let Stage::Asking { begun, left } = &mut self.stage else {
            return Next::Wait;
        };
        let (mut begun, left) = (std::mem::take(begun), *left);
        self.stage = Stage::Request { unread: Vec::new(), answered: false };
        // To ask once more would lead nowhere.
        let lookup = if lookup == Lookup::Ask { Lookup::Away } else { lookup };
        self.request(&mut begun, Some(lookup), left, context)
    }

    /// The time it had is over.
    pub(super) fn time_out(&mut self, context: &WsContext) -> Next {
        match &self.stage {
            Stage::Request { unread, answered: true } if unread.is_empty() => Next::End,
            Stage::Request { .. } => {
                context.metrics.http_timeouts.inc();
                context.metrics.handshakes.timeout.inc();
                debug!(client = %self.peer.ip(), "request timed out");
                Next::End
            }
            Stage::Auth(upgraded) => {
                context.metrics.auth_timeouts.inc();
                context.metrics.logins.timeout.inc();
                info!(topic = upgraded.topic, client = %upgraded.client, "login timed out");
                let detail = || whose(&upgraded.topic, upgraded.client);
                context.metrics.problems.note(Kind::AuthTimeout, detail);
                self.end_with(&frame::close(CloseCode::AuthTimeout))
            }
            Stage::Asking { .. } => self.answer(Lookup::Away, context),
            Stage::Sending(_) => {
                context.metrics.http_timeouts.inc();
                Next::End
            }
            Stage::Ending => Next::End,
        }
    }

    /// The node ends.
    pub(super) fn go_away(&mut self, context: &WsContext) -> Next {
        match &mut self.stage {
            Stage::Auth(_) => {
                context.metrics.logins.going_away.inc();
                self.end_with(&frame::close(CloseCode::GoingAway))
            }
            Stage::Sending(sending) => {
                sending.keep_alive = false;
                Next::Wait
            }
            Stage::Request { .. } | Stage::Asking { .. } => Next::End, // Not a WebSocket: there is nothing to say.
            Stage::Ending => Next::Wait,
        }
    }

    /// Answers up to `left` requests, until one asks for an upgrade that can be granted, for a
    /// page, for a topic that Redis has to be asked about, or for more than there is room for.
    /// `known` is Redis' answer to that of the first request.
    fn request(
        &mut self,
        input: &mut [u8],
        mut known: Option<Lookup>,
        mut left: usize,
        context: &WsContext,
    ) -> Next {
        let mut input = input;
        let mut next = Next::Wait;
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
                Err(refusal) => {
                    count_refusal(refusal, &context.metrics);
                    return self.end_with(&refusal.response(false, false));
                }
            };
            if context.stopping.is_cancelled() {
                return match head.target {
                    Target::Health(_) => {
                        self.end_with(&Refusal::Draining.response(false, head.is_head))
                    }
                    // As if it had not been accepted: a load balancer tries another node.
                    _ => Next::End,
                };
            }
            let lookup = |topic: &str| known.take().unwrap_or_else(|| context.broker.lookup(topic));
            let reply = match decide(&head, lookup) {
                Ok(Verdict::Ask(topic)) => {
                    self.stage = Stage::Asking { begun: input.to_vec(), left };
                    return Next::Ask(topic);
                }
                Ok(Verdict::Upgrade { topic, accept }) => {
                    let decoder = Decoder::default();
                    let upgraded = Upgraded { topic, client: head.client, decoder };
                    self.stage = Stage::Auth(Box::new(upgraded));
                    context.metrics.handshakes.upgraded.inc();
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
                Ok(Verdict::Script(asked)) => Reply::Script(asked),
                Ok(Verdict::Healthy) => Reply::Healthy,
                Err(Refusal::NotFound) if context.pages.is_some() => {
                    return Next::Page(input.to_vec());
                }
                Err(refusal) => Reply::Refusal(refusal),
            };
            left -= 1;
            let keep_alive = head.keep_alive && (left > 0 || input.len() == head.size);
            let short = match reply {
                Reply::Script(asked) => {
                    debug!(client = %head.client, "client script asked for");
                    let mut answer = asked.answer(keep_alive, head.is_head);
                    match answer.send(&mut self.stream) {
                        Ok(true) if keep_alive => {}
                        Ok(true) => return self.end_with(&[]),
                        Ok(false) => {
                            let behind = input[head.size..].to_vec();
                            let sending = Sending { answer, behind, left, keep_alive };
                            self.stage = Stage::Sending(Box::new(sending));
                            return Next::WaitForRoom;
                        }
                        Err(_) => return Next::End,
                    }
                    None
                }
                Reply::Healthy => Some(health::serving(keep_alive, head.is_head)),
                Reply::Refusal(refusal) => {
                    count_refusal(refusal, &context.metrics);
                    debug!(client = %head.client, ?refusal, "request refused");
                    if refusal == Refusal::UnknownTopic {
                        let detail = || unknown_topic(&head);
                        context.metrics.problems.note(Kind::BrowserUnregistered, detail);
                    }
                    Some(refusal.response(keep_alive, head.is_head))
                }
            };
            if let Some(response) = short {
                if !keep_alive {
                    return self.end_with(&response);
                }
                if self.write(&response).is_err() {
                    return Next::End;
                }
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
                    let auth = message::read_auth(text);
                    first = Some(Ok(auth.map(|auth| (auth.token.into_owned(), auth.version))));
                }
                Incoming::Close(code) => first = Some(Err(code)),
                Incoming::Ping(payload) => pongs.extend_from_slice(&frame::pong(payload)),
                Incoming::Pong => {}
            }
            if first.is_some() { Flow::Break(()) } else { Flow::Continue(()) }
        });
        let logins = &context.metrics.logins;
        if let Err(error) = fed {
            logins.protocol_error.inc();
            return self.end_with(&frame::close(error.close_code()));
        }
        match first {
            None if pongs.is_empty() => Next::Wait,
            None => match self.write(&pongs) {
                Ok(()) => Next::Wait,
                Err(_) => Next::End,
            },
            Some(Err(code)) => {
                logins.left.inc();
                self.end_with(&frame::close(code))
            }
            Some(Ok(auth)) => match judge(upgraded, auth, context) {
                Ok((user_id, version)) => {
                    logins.authenticated.inc();
                    pongs.extend_from_slice(&frame::text(&[version.auth_ok()]));
                    Next::Begin(Authenticated {
                        topic: std::mem::take(&mut upgraded.topic),
                        client: upgraded.client,
                        user_id,
                        version,
                        decoder: std::mem::take(&mut upgraded.decoder),
                        first: pongs.freeze(),
                    })
                }
                Err(error) => {
                    logins.refused.inc();
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

/// For the event loop, which has to be told what to watch.
impl AsRawFd for Handshake {
    fn as_raw_fd(&self) -> RawFd {
        self.stream.as_raw_fd()
    }
}

/// An answer that leaves the connection to HTTP.
enum Reply {
    Script(script::Asked),
    Healthy,
    Refusal(Refusal),
}

/// The user of a browser that may join, with the version that it asked for; or what it is told.
fn judge(
    upgraded: &Upgraded,
    auth: Option<(String, Version)>,
    context: &WsContext,
) -> Result<(i64, Version), &'static str> {
    let Upgraded { topic, client, .. } = upgraded;
    let result = match auth {
        Some((token, version)) => {
            context.broker.authorize(topic, &token).map(|user_id| (user_id, version))
        }
        None => Err(AuthError::NoAuthFrame),
    };
    result.map_err(|reason| {
        info!(topic, %client, %reason, "login refused");
        context.metrics.problems.note(kind_of(&reason), || whose(topic, *client));
        count_auth_failure(reason, &context.metrics);
        match reason {
            AuthError::NoAuthFrame | AuthError::NoToken => message::AUTH_REQUIRED,
            AuthError::Token(_) | AuthError::TopicGone => message::UNAUTHORIZED,
        }
    })
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;

    use super::super::tests::context_alone;
    use super::*;
    use crate::registry::TopicMeta;

    const OPEN: Lookup = Lookup::Known(TopicMeta { require_token: false });

    fn request(topic: &str, more: &str) -> Vec<u8> {
        format!("GET /ws?topic={topic} HTTP/1.1\r\nHost: x\r\n{more}\r\n").into_bytes()
    }

    fn upgrade(topic: &str) -> Vec<u8> {
        request(
            topic,
            "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
        )
    }

    /// A connection whose bytes wait for Redis, and the browser's end of it.
    async fn asking(begun: Vec<u8>) -> (Handshake, tokio::net::TcpStream) {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let browser = tokio::net::TcpStream::connect(listener.local_addr().unwrap()).await;
        let (stream, peer) = listener.accept().await.unwrap();
        let mut handshake = Handshake::new(TcpStream::from_std(stream.into_std().unwrap()), peer);
        handshake.stage = Stage::Asking { begun, left: REQUESTS_AT_A_TIME };
        (handshake, browser.unwrap())
    }

    /// The first lines of the answers that have come.
    async fn answers(handshake: Handshake, mut browser: tokio::net::TcpStream) -> Vec<String> {
        drop(handshake);
        let mut text = Vec::new();
        browser.read_to_end(&mut text).await.unwrap();
        let text = String::from_utf8_lossy(&text).into_owned();
        text.lines().filter(|line| line.starts_with("HTTP/1.1 ")).map(str::to_owned).collect()
    }

    #[tokio::test]
    async fn a_handshake_goes_on_with_the_answer_and_with_what_came_behind_the_request() {
        let context = context_alone();
        context.broker.register("a", TopicMeta { require_token: false });
        let frame = [&[0x81, 0x8f, 0, 0, 0, 0][..], b"{\"type\":\"auth\"}"].concat();
        let (mut handshake, browser) = asking([upgrade("a"), frame].concat()).await;

        assert!(handshake.is_busy());
        let next = handshake.answer(OPEN, &context);

        assert!(matches!(next, Next::Begin(Authenticated { topic, .. }) if topic == "a"));
        assert!(matches!(handshake.answer(Lookup::Unknown, &context), Next::Wait)); // Too late.
        assert_eq!(answers(handshake, browser).await, ["HTTP/1.1 101 Switching Protocols"]);
    }

    #[tokio::test]
    async fn the_answer_is_that_of_the_first_request_alone() {
        for (lookup, line) in [
            (Lookup::Unknown, "HTTP/1.1 404 Not Found"),
            (Lookup::Away, "HTTP/1.1 503 Service Unavailable"),
            (Lookup::Ask, "HTTP/1.1 503 Service Unavailable"),
        ] {
            let context = context_alone();
            context.broker.register("b", TopicMeta { require_token: false });
            let begun = [request("a", ""), upgrade("b")].concat();
            let (mut handshake, browser) = asking(begun).await;

            let next = handshake.answer(lookup, &context);

            assert!(matches!(next, Next::WaitForAuth));
            let expected = [line, "HTTP/1.1 101 Switching Protocols"];
            assert_eq!(answers(handshake, browser).await, expected);
        }
    }

    #[tokio::test]
    async fn a_login_that_the_end_of_the_node_cuts_short_is_counted_as_that() {
        let context = context_alone();
        context.broker.register("a", TopicMeta { require_token: false });
        let (mut handshake, browser) = asking(upgrade("a")).await;
        handshake.answer(OPEN, &context);

        assert!(handshake.has_to_log_in());
        assert!(matches!(handshake.go_away(&context), Next::WaitForEnd));

        assert_eq!(context.metrics.logins.all().iter().map(|(_, count)| count).sum::<u64>(), 1);
        assert_eq!(context.metrics.logins.going_away.get(), 1);
        assert_eq!(context.metrics.handshakes.upgraded.get(), 1);
        drop(browser);
    }

    #[tokio::test]
    async fn a_handshake_that_has_waited_too_long_is_told_so() {
        let context = context_alone();
        let (mut handshake, browser) = asking(upgrade("a")).await;

        assert!(matches!(handshake.time_out(&context), Next::WaitForRequest));

        assert_eq!(context.metrics.http_timeouts.get(), 0);
        assert_eq!(answers(handshake, browser).await, ["HTTP/1.1 503 Service Unavailable"]);
    }
}
