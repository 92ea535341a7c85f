//! One authenticated browser: does what it asks for, until it leaves.
//!
//! What is published to it does not pass here: the hub writes to its [`Link`] directly. So this
//! runs only when the browser itself says something.

use std::sync::Arc;

use bytes::BytesMut;
use tracing::debug;

use super::WsContext;
use super::resync::Walk;
use crate::broker::StatusDetail;
use crate::client_addr::ClientAddr;
use crate::hub::Subscription;
use crate::link::Link;
use crate::problems::{Kind, quoted};
use crate::protocol::close::CloseCode;
use crate::protocol::frame::{self, Decoder, Flow, Incoming};
use crate::protocol::message::{self, Question, Version};

/// Least time between two answers of the status feed to one socket.
const STATUS_PAUSE_MS: u64 = 700;

/// Least time between two answers to pings inside messages on one socket.
const PONG_PAUSE_MS: u64 = 250;

/// A browser that was let in; dropping it leaves the topic.
pub(super) struct Session {
    link: Arc<Link>,
    decoder: Decoder,
    /// `None` once the connection is ending.
    subscription: Option<Subscription>,
    /// The number of the connection on this node.
    id: u64,
    /// When anything last came, in milliseconds of the clock.
    heard_ms: u64,
    /// From when the status feed answers again, in milliseconds of the clock.
    status_from_ms: u64,
    /// From when pings inside messages are answered again, in milliseconds of the clock.
    pong_from_ms: u64,
    version: Version,
    client: ClientAddr,
}

/// What a session begins with.
pub(super) struct Beginning {
    /// The number of the connection on this node.
    pub(super) id: u64,
    /// May hold what came behind the auth frame.
    pub(super) decoder: Decoder,
    /// What the browser understands.
    pub(super) version: Version,
    /// Who it is.
    pub(super) client: ClientAddr,
}

impl Session {
    /// A session on `link`.
    pub(super) fn new(
        link: Arc<Link>,
        subscription: Subscription,
        beginning: Beginning,
        now_ms: u64,
    ) -> Self {
        let Beginning { id, decoder, version, client } = beginning;
        debug!(topic = subscription.topic().as_str(), session = id, %client, "session began");
        Self {
            link,
            decoder,
            subscription: Some(subscription),
            id,
            heard_ms: now_ms,
            status_from_ms: 0,
            pong_from_ms: 0,
            version,
            client,
        }
    }

    /// The browser's socket.
    pub(super) fn link(&self) -> &Arc<Link> {
        &self.link
    }

    /// Milliseconds since anything came from the browser.
    pub(super) fn silent_ms(&self, now_ms: u64) -> u64 {
        now_ms.saturating_sub(self.heard_ms)
    }

    /// Tells the browser why it is to go, behind what waits for it.
    pub(super) fn close(&mut self, code: CloseCode) {
        self.link.close(code);
    }

    /// Tells the browser to come back and fetch, if `walk` means it; whether it did.
    pub(super) fn resync(&self, walk: &Walk) -> bool {
        let Some(subscription) = &self.subscription else {
            return false;
        };
        let meant = walk.covers(subscription.topic(), self.id) && !self.link.is_closing();
        if meant {
            self.link.close(CloseCode::Resync);
        }
        meant
    }

    /// Leaves the topic. That it had to go for taking too little is known by now.
    fn leave(&mut self) {
        if let Some(subscription) = self.subscription.take()
            && self.link.was_slow()
        {
            let topic = quoted(subscription.topic().as_str());
            let detail = || format!("topic {topic}, client {}", self.client);
            self.link.problems().note(Kind::SlowClose, detail);
        }
    }

    /// Does what the frames in `input` ask for. On an ending connection they are only taken, so
    /// that the close frame is not lost to a reset.
    pub(super) fn take(&mut self, input: &mut [u8], context: &WsContext, now_ms: u64) {
        self.heard_ms = now_ms;
        if self.link.is_closing() {
            self.leave();
            return;
        }
        let is_status_feed = self.subscription.as_ref().is_some_and(|s| s.topic().is_status());
        let may_ask = is_status_feed && now_ms >= self.status_from_ms;
        let may_ping = self.version == Version::Two && now_ms >= self.pong_from_ms;
        let (mut pongs, mut closed) = (BytesMut::new(), None);
        let (mut asked, mut pinged) = (false, false);
        let result = self.decoder.feed(input, |incoming| {
            match incoming {
                // A flood is not read any further than to what is answered.
                Incoming::Message(text) if (may_ask && !asked) || (may_ping && !pinged) => {
                    match message::read_question(text) {
                        Some(Question::Status) => asked |= may_ask,
                        Some(Question::Ping) => pinged |= may_ping,
                        None => {}
                    }
                }
                Incoming::Message(_) => {}
                Incoming::Ping(payload) => {
                    pongs.extend_from_slice(&frame::pong(payload));
                }
                Incoming::Pong => {}
                Incoming::Close(code) => {
                    closed = Some(code);
                    return Flow::Break(());
                }
            }
            Flow::Continue(())
        });
        if asked {
            self.status_from_ms = now_ms + STATUS_PAUSE_MS;
            let detail = StatusDetail { uptime_seconds: true, ..StatusDetail::default() };
            self.link.send(&message::status_frame(&context.broker.status(detail)));
        }
        if pinged {
            self.pong_from_ms = now_ms + PONG_PAUSE_MS;
            pongs.extend_from_slice(&frame::text(&[message::PONG]));
        }
        if !pongs.is_empty() {
            self.link.send(&pongs.freeze()); // All in one: a flood is not one of system calls.
        }
        if let Some(code) = closed {
            self.link.close(code);
            self.leave();
        }
        if let Err(error) = result {
            debug!(session = self.id, client = %self.client, %error, "browser refused");
            self.link.close(error.close_code());
            self.leave();
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.leave();
        debug!(session = self.id, client = %self.client, "session ended");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_stays_within_the_112_bytes_that_the_allocator_gives_it() {
        // Of which it keeps 8 for itself; the next size is 128. There is one for each browser.
        assert!(size_of::<Session>() <= 104, "{}", size_of::<Session>());
    }
}
