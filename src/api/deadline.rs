//! A deadline for the head of every request: half-open connections go away.
//!
//! hyper has one of its own, but that also ends connections which merely wait for their next
//! request, as proxies and PHP with persistent handles let them. So the stream watches itself: a
//! head that has begun must be whole within the time for a request; between requests it may take
//! [`IDLE`]; and a client that does not read its answer for as long as a request may take is gone.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep};

/// Time that a connection may wait for its next request.
const IDLE: Duration = Duration::from_secs(120);

const WAITING: u8 = 0;
const HEAD: u8 = 1;
const SERVING: u8 = 2;
const TIMED_OUT: u8 = 3;

/// How far a connection's request has come; shared by its stream and its service.
#[derive(Debug, Clone)]
pub(super) struct Progress(Arc<AtomicU8>);

/// While it lives, a request is being served, and the stream has no deadline.
#[derive(Debug)]
pub(super) struct UnderWay(Progress);

/// A stream that ends with an error if a request's head takes too long.
#[derive(Debug)]
pub(super) struct WatchedStream {
    stream: TcpStream,
    progress: Progress,
    head_timeout: Duration,
    /// What `timer` was last set for.
    timed: u8,
    timer: Pin<Box<Sleep>>,
    /// Runs while the client takes nothing of an answer.
    stalled: Option<Pin<Box<Sleep>>>,
}

impl Progress {
    /// A request's head is whole.
    pub(super) fn request_began(&self) -> UnderWay {
        self.0.store(SERVING, Ordering::Relaxed);
        UnderWay(self.clone())
    }

    /// Whether the connection was ended because a head did not come in time.
    pub(super) fn timed_out(&self) -> bool {
        self.0.load(Ordering::Relaxed) == TIMED_OUT
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.0.store(WAITING, Ordering::Relaxed);
    }
}

impl WatchedStream {
    /// Watches `stream`; the first head has to come at once, not after [`IDLE`].
    pub(super) fn new(stream: TcpStream, head_timeout: Duration) -> (Self, Progress) {
        let progress = Progress(Arc::new(AtomicU8::new(HEAD)));
        let timer = Box::pin(sleep(head_timeout));
        let watched = Self {
            stream,
            progress: progress.clone(),
            head_timeout,
            timed: HEAD,
            timer,
            stalled: None,
        };
        (watched, progress)
    }

    /// Ready when the deadline of what the connection waits for is over.
    fn poll_deadline(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let state = self.progress.0.load(Ordering::Relaxed);
        let patience = match state {
            WAITING => IDLE,
            HEAD => self.head_timeout,
            _ => {
                self.timed = state;
                return Poll::Pending;
            }
        };
        if self.timed != state {
            self.timed = state;
            self.timer.as_mut().reset(Instant::now() + patience);
        }
        self.timer.as_mut().poll(cx)
    }
}

impl WatchedStream {
    /// Turns a write that has waited too long into an error.
    fn watch_write(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        if written.is_ready() {
            self.stalled = None;
            return written;
        }
        let patience = self.head_timeout;
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(sleep(patience)));
        if stalled.as_mut().poll(cx).is_pending() {
            return Poll::Pending;
        }
        self.progress.0.store(TIMED_OUT, Ordering::Relaxed);
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for WatchedStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buffer);
        let state = &self.progress.0;
        if buffer.filled().len() > before && state.load(Ordering::Relaxed) == WAITING {
            state.store(HEAD, Ordering::Relaxed);
        }
        if read.is_pending() && self.poll_deadline(cx).is_ready() {
            if self.timed == HEAD {
                self.progress.0.store(TIMED_OUT, Ordering::Relaxed);
            }
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        read
    }
}

impl AsyncWrite for WatchedStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.watch_write(cx, written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.watch_write(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }
}
