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
use crate::protocol::close::CloseCode;
use crate::protocol::frame::{self, Decoder, Flow, Incoming};
use crate::protocol::message;

/// Least time between two answers of the status feed to one socket.
const STATUS_PAUSE_MS: u64 = 700;

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
    client: ClientAddr,
}

impl Session {
    /// A session on `link`; `decoder` may hold what came behind the auth frame.
    pub(super) fn new(
        link: Arc<Link>,
        subscription: Subscription,
        decoder: Decoder,
        id: u64,
        client: ClientAddr,
        now_ms: u64,
    ) -> Self {
        debug!(topic = subscription.topic().as_str(), session = id, %client, "session began");
        let subscription = Some(subscription);
        Self { link, decoder, subscription, id, heard_ms: now_ms, status_from_ms: 0, client }
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

    /// Does what the frames in `input` ask for. On an ending connection they are only taken, so
    /// that the close frame is not lost to a reset.
    pub(super) fn take(&mut self, input: &mut [u8], context: &WsContext, now_ms: u64) {
        self.heard_ms = now_ms;
        if self.link.is_closing() {
            self.subscription = None;
            return;
        }
        let is_status_feed = self.subscription.as_ref().is_some_and(|s| s.topic().is_status());
        let (mut pongs, mut closed, mut asked) = (BytesMut::new(), None, false);
        let result = self.decoder.feed(input, |incoming| {
            match incoming {
                Incoming::Message(text) => {
                    asked |= is_status_feed && message::is_status_request(text);
                }
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
        if asked && now_ms >= self.status_from_ms {
            self.status_from_ms = now_ms + STATUS_PAUSE_MS;
            let detail = StatusDetail { uptime_seconds: true, ..StatusDetail::default() };
            self.link.send(&message::status_frame(&context.broker.status(detail)));
        }
        if !pongs.is_empty() {
            self.link.send(&pongs.freeze()); // All in one: a flood is not one of system calls.
        }
        if let Some(code) = closed {
            self.link.close(code);
            self.subscription = None;
        }
        if let Err(error) = result {
            debug!(session = self.id, client = %self.client, %error, "browser refused");
            self.link.close(error.close_code());
            self.subscription = None;
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        debug!(session = self.id, client = %self.client, "session ended");
    }
}
