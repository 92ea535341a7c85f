//! One browser's socket, shared by all who write to it: the only way bytes reach a browser.
//!
//! Anybody may write at any time from any thread: the write goes to the kernel at once, under the
//! link's own lock, and nobody is woken. Only what the kernel did not take is queued, bounded in
//! bytes; such a link is [`Troubled`], and the event loop comes back to it (`flush`). A link knows
//! frames; it knows nothing of topics (`hub`) or of what is said on it (`ws`). Start reading at
//! [`Link::send`].

mod backlog;
mod flush;
mod slots;
#[cfg(test)]
mod tests;
mod troubled;

use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::fd::{AsRawFd, RawFd};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use mio::net::TcpStream;
use parking_lot::Mutex;
use socket2::SockRef;

use self::backlog::Backlog;
pub use self::slots::Slots;
pub use self::troubled::Troubled;
use crate::clock::Clock;
use crate::metrics::Metrics;
use crate::problems::Problems;
use crate::protocol::close::CloseCode;
use crate::protocol::frame;

/// What all links of a node have in common.
#[derive(Debug)]
pub struct LinkContext {
    /// Bytes that may wait for a socket that has something waiting already.
    pub backlog_bytes: usize,
    /// Time a socket may take nothing of what waits for it.
    pub write_timeout: Duration,
    /// The node's time.
    pub clock: Clock,
    /// Counts.
    pub metrics: Arc<Metrics>,
    /// The links that need somebody to come back to them.
    pub troubled: Troubled,
}

/// One browser's socket.
#[derive(Debug)]
pub struct Link {
    stream: TcpStream,
    place: u32,
    outgoing: Mutex<Outgoing>,
    context: Arc<LinkContext>,
}

/// The sending side, under the link's lock.
#[derive(Debug)]
struct Outgoing {
    phase: Phase,
    /// Whether the link is among the troubled.
    listed: bool,
    /// Whether it was closed because its browser took too little.
    was_slow: bool,
    /// `None` while the kernel takes everything.
    backlog: Option<Box<Backlog>>,
}

/// How far a link has come. It only moves forward.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    /// Made, but not to be written to yet: everything is queued behind what comes first.
    Corked,
    /// Everything is written at once.
    Open,
    /// A close frame is queued, or what was queued is to be the last; nothing else will be.
    Closing,
    /// Everything is written and our side shut. The browser has to end its own.
    Closed,
    /// Nothing will be written any more.
    Ended,
}

/// What became of bytes given to [`Link::send`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sent {
    /// The kernel has them.
    Written,
    /// They wait for the browser to take what came before.
    Queued,
    /// The link is ending, or this ended it: they will not be sent.
    Refused,
}

impl Link {
    /// Takes over a socket after its handshake; `place` is where the event loop has it. Nothing is
    /// written before [`Link::uncork`], so that whoever publishes meanwhile cannot overtake the
    /// first frame.
    pub fn corked(stream: TcpStream, place: u32, context: Arc<LinkContext>) -> Arc<Self> {
        let outgoing =
            Outgoing { phase: Phase::Corked, listed: false, was_slow: false, backlog: None };
        Arc::new(Self { stream, place, outgoing: Mutex::new(outgoing), context })
    }

    /// Writes `first`, then what was sent meanwhile, and from now on everything at once.
    pub fn uncork(self: &Arc<Self>, first: &Bytes) {
        let mut outgoing = self.outgoing.lock();
        if outgoing.phase != Phase::Corked {
            return; // Closed before it began.
        }
        let waiting = outgoing.backlog.take();
        outgoing.phase = Phase::Open;
        self.write(&mut outgoing, first);
        for row in waiting.into_iter().flat_map(|backlog| backlog.into_rows()) {
            if outgoing.phase == Phase::Open {
                self.write(&mut outgoing, &row);
            }
        }
    }

    /// Sends `frames`, a row of whole frames, after everything sent before.
    ///
    /// Never waits. A browser over the bound of its backlog is closed with 4008; one row is always
    /// taken if nothing waits yet, however large.
    pub fn send(self: &Arc<Self>, frames: &Bytes) -> Sent {
        let mut outgoing = self.outgoing.lock();
        match outgoing.phase {
            Phase::Open => self.write(&mut outgoing, frames),
            Phase::Corked => self.queue(&mut outgoing, frames),
            Phase::Closing | Phase::Closed | Phase::Ended => Sent::Refused,
        }
    }

    /// Ends the link in good order: what is queued is still written, then a close frame, then the
    /// sending side is shut. If the browser does not end its side in time, the socket is reset.
    pub fn close(self: &Arc<Self>, code: CloseCode) {
        self.close_locked(&mut self.outgoing.lock(), code);
    }

    /// The browser has ended its side. Whether something waits that it may still take: then the
    /// socket has to be kept, and [flushed](Link::flush), until [`Link::is_over`].
    pub fn leave(self: &Arc<Self>) -> bool {
        let mut outgoing = self.outgoing.lock();
        if outgoing.phase < Phase::Closing && outgoing.backlog.is_some() {
            outgoing.phase = Phase::Closing;
            self.end_within(&mut outgoing, flush::PATIENCE);
        }
        outgoing.phase == Phase::Closing
    }

    /// Ends the link without another byte: the peer is gone or dead.
    pub fn abort(&self) {
        self.abort_locked(&mut self.outgoing.lock());
    }

    /// Whether a close frame is on its way or the link has ended.
    pub fn is_closing(&self) -> bool {
        self.outgoing.lock().phase >= Phase::Closing
    }

    /// Whether it was closed because its browser took too little.
    pub fn was_slow(&self) -> bool {
        self.outgoing.lock().was_slow
    }

    /// What went wrong on this node.
    pub fn problems(&self) -> &Problems {
        &self.context.metrics.problems
    }

    /// Whether nothing will be written any more.
    pub fn is_over(&self) -> bool {
        self.outgoing.lock().phase >= Phase::Closed
    }

    /// Reads what has come into `buffer`; 0 is the browser's end.
    ///
    /// # Errors
    ///
    /// `WouldBlock` if nothing has come; others mean that the connection is lost.
    pub fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        (&self.stream).read(buffer)
    }

    /// Where the event loop has it.
    pub fn place(&self) -> u32 {
        self.place
    }

    /// Writes or queues, in phase `Open`.
    fn write(self: &Arc<Self>, outgoing: &mut Outgoing, frames: &Bytes) -> Sent {
        if outgoing.backlog.is_some() {
            return self.queue(outgoing, frames);
        }
        match self.write_now(frames) {
            Ok(count) if count == frames.len() => Sent::Written,
            Ok(count) => self.keep(outgoing, frames, count),
            Err(_) => {
                self.abort_locked(outgoing);
                Sent::Refused
            }
        }
    }

    /// Writes until the kernel takes no more, so that it says when it has room again; how many
    /// bytes it took.
    fn write_now(&self, bytes: &[u8]) -> io::Result<usize> {
        let mut written = 0;
        loop {
            match (&self.stream).write(&bytes[written..]) {
                Ok(count) => {
                    written += count;
                    if written == bytes.len() {
                        return Ok(written);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(written),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Queues behind what waits already.
    fn queue(self: &Arc<Self>, outgoing: &mut Outgoing, frames: &Bytes) -> Sent {
        let context = &self.context;
        let backlog = outgoing.backlog.get_or_insert_with(|| self.new_backlog());
        if !backlog.is_empty() && backlog.cost() + frames.len() > context.backlog_bytes {
            context.metrics.slow_closes.inc();
            outgoing.was_slow = true;
            self.close_locked(outgoing, CloseCode::Slow);
            return Sent::Refused;
        }
        backlog.push(frames.clone());
        Sent::Queued
    }

    /// Starts a backlog with what the kernel left of `frames`; it is written when there is room.
    fn keep(self: &Arc<Self>, outgoing: &mut Outgoing, frames: &Bytes, written: usize) -> Sent {
        self.context.metrics.flushes.inc();
        let mut backlog = self.new_backlog();
        backlog.push_from(frames.clone(), written);
        backlog.stalls();
        outgoing.backlog = Some(backlog);
        self.end_within(outgoing, self.context.write_timeout);
        Sent::Queued
    }

    fn new_backlog(&self) -> Box<Backlog> {
        Box::new(Backlog::new(Arc::clone(&self.context.metrics)))
    }

    fn close_locked(self: &Arc<Self>, outgoing: &mut Outgoing, code: CloseCode) {
        if outgoing.phase >= Phase::Closing {
            return;
        }
        let close = frame::close(code);
        match (&mut outgoing.backlog, outgoing.phase) {
            (Some(backlog), Phase::Open) => {
                if code == CloseCode::Slow {
                    backlog.keep_frame_under_way();
                }
                backlog.push(close);
                outgoing.phase = Phase::Closing;
            }
            _ => {
                outgoing.backlog = None; // Corked: the browser does not count on these yet.
                outgoing.phase = Phase::Open;
                self.write(outgoing, &close);
                if outgoing.phase == Phase::Open {
                    outgoing.phase = Phase::Closing;
                    if outgoing.backlog.is_none() {
                        self.shut_sending(outgoing);
                    }
                }
            }
        }
        if outgoing.phase != Phase::Ended {
            self.end_within(outgoing, flush::patience(code));
        }
    }

    fn abort_locked(&self, outgoing: &mut Outgoing) {
        outgoing.phase = Phase::Ended;
        outgoing.backlog = None;
        let socket = SockRef::from(&self.stream);
        // Errors mean that the socket has ended already, which is what is wanted. Shutting wakes
        // the event loop, and with no linger the kernel drops what was not taken.
        let _ = socket.set_linger(Some(Duration::ZERO));
        let _ = socket.shutdown(Shutdown::Both);
    }

    /// Ends our half of the connection; the browser sees the end right behind the close frame.
    fn shut_sending(&self, outgoing: &mut Outgoing) {
        outgoing.phase = Phase::Closed;
        // An error means that the connection is gone already.
        let _ = self.stream.shutdown(Shutdown::Write);
    }
}

/// For the event loop, which has to be told what to watch.
impl AsRawFd for Link {
    fn as_raw_fd(&self) -> RawFd {
        self.stream.as_raw_fd()
    }
}
