//! One authenticated browser: reads what it sends, until it leaves.
//!
//! What is published to it does not pass here: the hub writes to its [`Link`] directly. So this
//! task runs only when the browser itself says something, and while it waits it owns no buffer:
//! what comes is read into one that the thread keeps for all of them.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::BytesMut;
use tracing::debug;

use super::WsContext;
use super::sessions::Seat;
use crate::broker::StatusDetail;
use crate::client_addr::ClientAddr;
use crate::hub::Subscription;
use crate::link::Link;
use crate::protocol::frame::{self, Decoder, Flow, Incoming};
use crate::protocol::message;

/// Least time between two answers of the status feed to one socket.
const STATUS_PAUSE_MS: u64 = 700;

/// Bytes that are read at a time.
const READ_BYTES: usize = 16 * 1024;

/// Reads after which other tasks have their turn: a browser that floods holds nobody up.
const READS_IN_A_ROW: usize = 4;

thread_local! {
    static SCRATCH: RefCell<Box<[u8]>> = RefCell::new(vec![0; READ_BYTES].into());
}

/// The task of one browser; ends when the browser is gone.
pub(super) struct Session {
    link: Arc<Link>,
    decoder: Decoder,
    /// `None` once the connection is ending.
    subscription: Option<Subscription>,
    context: Arc<WsContext>,
    /// When the status feed last answered, in milliseconds of the clock.
    status_at_ms: Option<u64>,
    seat: Seat,
    client: ClientAddr,
}

/// Whether to go on reading.
#[derive(PartialEq, Eq)]
enum Step {
    Go,
    End,
}

impl Session {
    /// Takes over `link`; `decoder` may hold what came behind the auth frame.
    pub(super) fn new(
        link: Arc<Link>,
        subscription: Subscription,
        decoder: Decoder,
        client: ClientAddr,
        context: Arc<WsContext>,
    ) -> Self {
        let seat = context.sessions.enter(Arc::clone(&link));
        debug!(topic = subscription.topic().as_str(), session = seat.id(), %client, "session began");
        let subscription = Some(subscription);
        let mut session =
            Self { link, decoder, subscription, context, status_at_ms: None, seat, client };
        if !session.decoder.is_idle() {
            session.handle(&mut []);
        }
        session
    }

    /// Reads once.
    fn read(&mut self, scratch: &mut [u8]) -> Step {
        match self.link.try_read(scratch) {
            Ok(0) => Step::End,
            Ok(count) => {
                self.handle(&mut scratch[..count]);
                Step::Go
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Step::Go,
            Err(_) => Step::End,
        }
    }

    /// Does what the frames in `input` ask for. On an ending connection they are only taken, so
    /// that the close frame is not lost to a reset.
    fn handle(&mut self, input: &mut [u8]) {
        if self.link.is_closing() {
            self.subscription = None;
            return;
        }
        let Self { link, decoder, subscription, context, status_at_ms, .. } = self;
        let is_status_feed = subscription.as_ref().is_some_and(|s| s.topic().is_status());
        let (mut pongs, mut closed) = (BytesMut::new(), None);
        let result = decoder.feed(input, |incoming| {
            match incoming {
                Incoming::Message(text) => {
                    if is_status_feed && message::is_status_request(text) {
                        answer_status(link, context, status_at_ms);
                    }
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
        if !pongs.is_empty() {
            link.send(&pongs.freeze()); // All in one: a flood of pings is not one of system calls.
        }
        if let Some(code) = closed {
            link.close(code);
            *subscription = None;
        }
        if let Err(error) = result {
            debug!(session = self.seat.id(), client = %self.client, %error, "browser refused");
            self.link.close(error.close_code());
            self.subscription = None;
        }
    }
}

fn answer_status(link: &Arc<Link>, context: &WsContext, status_at_ms: &mut Option<u64>) {
    let now_ms = context.links.clock.now_ms();
    if status_at_ms.is_some_and(|at| now_ms < at + STATUS_PAUSE_MS) {
        return;
    }
    *status_at_ms = Some(now_ms);
    let detail = StatusDetail { uptime_seconds: true, ..StatusDetail::default() };
    link.send(&message::status_frame(&context.broker.status(detail)));
}

impl Future for Session {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.context.metrics.session_wakeups.inc();
        for _ in 0..READS_IN_A_ROW {
            if ready!(self.link.poll_read_ready(cx)).is_err() {
                return Poll::Ready(());
            }
            if SCRATCH.with_borrow_mut(|scratch| self.read(scratch)) == Step::End {
                return Poll::Ready(());
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.link.leave();
        debug!(session = self.seat.id(), client = %self.client, "session ended");
    }
}
