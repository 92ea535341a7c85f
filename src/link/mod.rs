//! One browser's socket, shared by all who write to it: the only way bytes reach a browser.
//!
//! Anybody may write at any time from any task: the write goes to the kernel at once, under the
//! link's own lock, and nobody is woken. Only what the kernel did not take is queued, bounded in
//! bytes, and only then does a task exist that waits for room (`flush`). A link knows frames; it
//! knows nothing of topics (`hub`), of what is said on it (`ws`), or of whether it is TLS or a
//! plain socket above this file. Start reading at [`Link::send`].

mod backlog;
mod flush;
mod slots;
#[cfg(test)]
mod tests;

use std::io;
use std::net::Shutdown;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use socket2::SockRef;
use tokio::net::TcpStream;
use tokio_util::task::TaskTracker;

use self::backlog::Backlog;
pub use self::slots::Slots;
use crate::clock::Clock;
use crate::metrics::Metrics;
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
    /// Where tasks are spawned, so that the end can wait for them.
    pub tasks: TaskTracker,
}

/// One browser's socket.
#[derive(Debug)]
pub struct Link {
    stream: TcpStream,
    outgoing: Mutex<Outgoing>,
    /// When anything last came from the browser, in milliseconds of the clock.
    heard_ms: AtomicU64,
    context: Arc<LinkContext>,
}

/// The sending side, under the link's lock.
#[derive(Debug)]
struct Outgoing {
    phase: Phase,
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
    /// A close frame is written or queued; nothing else will be.
    Closing,
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
    /// Takes over a socket after its handshake. Nothing is written before [`Link::uncork`], so
    /// that whoever publishes meanwhile cannot overtake the first frame.
    pub fn corked(stream: TcpStream, context: Arc<LinkContext>) -> Arc<Self> {
        let backlog = Some(Box::new(Backlog::new(Arc::clone(&context.metrics))));
        Arc::new(Self {
            stream,
            outgoing: Mutex::new(Outgoing { phase: Phase::Corked, backlog }),
            heard_ms: AtomicU64::new(context.clock.now_ms()),
            context,
        })
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
            Phase::Closing | Phase::Ended => Sent::Refused,
        }
    }

    /// Ends the link in good order: what is queued is still written, then a close frame, then the
    /// sending side is shut. If the browser does not end its side in time, the socket is reset.
    pub fn close(self: &Arc<Self>, code: CloseCode) {
        self.close_locked(&mut self.outgoing.lock(), code);
    }

    /// The browser has ended its side. What still waits for it is written if it takes that soon.
    pub fn leave(self: &Arc<Self>) {
        let mut outgoing = self.outgoing.lock();
        if outgoing.phase < Phase::Closing && outgoing.backlog.is_some() {
            outgoing.phase = Phase::Closing;
            self.reset_after(flush::PATIENCE);
        }
    }

    /// Ends the link without another byte: the peer is gone or dead.
    pub fn abort(&self) {
        self.abort_locked(&mut self.outgoing.lock());
    }

    /// Whether a close frame is on its way or the link has ended.
    pub fn is_closing(&self) -> bool {
        self.outgoing.lock().phase >= Phase::Closing
    }

    /// Reads what has come into `buffer`; 0 is the browser's end.
    ///
    /// # Errors
    ///
    /// `WouldBlock` if nothing has come; others mean that the connection is lost.
    pub fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.stream.try_read(buffer)?;
        self.heard_ms.store(self.context.clock.now_ms(), Ordering::Relaxed);
        Ok(count)
    }

    /// Ready when [`Link::try_read`] is worth a call. One task at a time may wait here.
    pub fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream.poll_read_ready(cx)
    }

    /// Milliseconds since anything came from the browser.
    pub fn silent_ms(&self) -> u64 {
        self.context.clock.now_ms().saturating_sub(self.heard_ms.load(Ordering::Relaxed))
    }

    /// The node's counts.
    pub fn metrics(&self) -> &Metrics {
        &self.context.metrics
    }

    /// Writes or queues, in phase `Open`.
    fn write(self: &Arc<Self>, outgoing: &mut Outgoing, frames: &Bytes) -> Sent {
        if outgoing.backlog.is_some() {
            return self.queue(outgoing, frames);
        }
        match self.stream.try_write(frames) {
            Ok(count) if count == frames.len() => Sent::Written,
            Ok(count) => self.keep(outgoing, frames, count),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.keep(outgoing, frames, 0)
            }
            Err(_) => {
                self.abort_locked(outgoing);
                Sent::Refused
            }
        }
    }

    /// Queues behind what waits already.
    fn queue(self: &Arc<Self>, outgoing: &mut Outgoing, frames: &Bytes) -> Sent {
        let context = &self.context;
        let Some(backlog) = &mut outgoing.backlog else {
            return Sent::Refused;
        };
        if !backlog.is_empty() && backlog.cost() + frames.len() > context.backlog_bytes {
            context.metrics.slow_closes.inc();
            self.close_locked(outgoing, CloseCode::Slow);
            return Sent::Refused;
        }
        backlog.push(frames.clone());
        Sent::Queued
    }

    /// Starts a backlog with what the kernel left of `frames`, and a task that waits for room.
    fn keep(self: &Arc<Self>, outgoing: &mut Outgoing, frames: &Bytes, written: usize) -> Sent {
        let context = &self.context;
        context.metrics.flushes.inc();
        let mut backlog = Box::new(Backlog::new(Arc::clone(&context.metrics)));
        backlog.push_from(frames.clone(), written);
        outgoing.backlog = Some(backlog);
        context.tasks.spawn(flush::flush(Arc::clone(self)));
        Sent::Queued
    }

    fn close_locked(self: &Arc<Self>, outgoing: &mut Outgoing, code: CloseCode) {
        if outgoing.phase >= Phase::Closing {
            return;
        }
        let close = frame::close(code);
        match (&mut outgoing.backlog, outgoing.phase) {
            (Some(backlog), Phase::Open) => {
                // The flush task is there and will find the close frame at the end.
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
                        self.shut_sending();
                    }
                }
            }
        }
        if outgoing.phase == Phase::Closing {
            self.reset_after(flush::patience(code));
        }
    }

    /// Sees to it that the link is gone after `patience`. Not tracked: the node's end need not wait
    /// for patience to run out.
    fn reset_after(self: &Arc<Self>, patience: Duration) {
        tokio::spawn(flush::reset_later(Arc::downgrade(self), patience));
    }

    fn abort_locked(&self, outgoing: &mut Outgoing) {
        outgoing.phase = Phase::Ended;
        outgoing.backlog = None;
        let socket = SockRef::from(&self.stream);
        // Errors mean that the socket has ended already, which is what is wanted. Shutting wakes
        // the session's task, and with no linger the kernel drops what was not taken.
        let _ = socket.set_linger(Some(Duration::ZERO));
        let _ = socket.shutdown(Shutdown::Both);
    }

    /// Ends our half of the connection; the browser sees the end right behind the close frame.
    fn shut_sending(&self) {
        // An error means that the connection is gone already.
        let _ = SockRef::from(&self.stream).shutdown(Shutdown::Write);
    }
}
