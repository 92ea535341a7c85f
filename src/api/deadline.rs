//! A deadline for the head of every request: half-open connections go away.
//!
//! hyper has one of its own, but that also ends connections which merely wait for their next
//! request, as proxies and PHP with persistent handles let them. So the stream watches itself: a
//! head that has begun must be whole within the time for a request; between requests it may take
//! [`IDLE`] (also if the beginning of a head came together with the request before); and a client
//! that does not read its answer for as long as a request may take is gone.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};

/// Time that a connection may wait for its next request.
pub(super) const IDLE: Duration = Duration::from_secs(120);

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
pub(super) struct WatchedStream<S> {
    stream: S,
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

impl<S> WatchedStream<S> {
    /// Watches `stream`; the first head has to come at once, not after [`IDLE`].
    pub(super) fn new(stream: S, head_timeout: Duration) -> (Self, Progress) {
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

impl<S> WatchedStream<S> {
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

impl<S: AsyncRead + Unpin> AsyncRead for WatchedStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buffer);
        let came = buffer.filled().len() > before;
        if came && self.progress.0.load(Ordering::Relaxed) == WAITING {
            self.progress.0.store(HEAD, Ordering::Relaxed);
            self.timed = SERVING; // Whatever is waited for next, its time begins anew.
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

impl<S: AsyncWrite + Unpin> AsyncWrite for WatchedStream<S> {
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
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

    use super::*;

    const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

    fn watched() -> (WatchedStream<DuplexStream>, Progress, DuplexStream) {
        let (ours, client) = duplex(1024);
        let (stream, progress) = WatchedStream::new(ours, HEAD_TIMEOUT);
        (stream, progress, client)
    }

    /// How long the stream waits before it gives up.
    async fn patience(stream: &mut WatchedStream<DuplexStream>) -> Duration {
        let began = Instant::now();
        let error = stream.read(&mut [0; 64]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        began.elapsed()
    }

    async fn serve_one(
        stream: &mut WatchedStream<DuplexStream>,
        progress: &Progress,
        client: &mut DuplexStream,
    ) {
        client.write_all(b"request").await.unwrap();
        assert_eq!(stream.read(&mut [0; 64]).await.unwrap(), 7);
        drop(progress.request_began());
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_in_use_lives_on_and_an_idle_one_has_its_time() {
        let (mut stream, progress, mut client) = watched();

        for _ in 0..10 {
            serve_one(&mut stream, &progress, &mut client).await;
            let idle = tokio::time::timeout(IDLE / 2, stream.read(&mut [0; 64])).await;
            assert!(idle.is_err(), "still waiting");
        }

        assert_eq!(patience(&mut stream).await, IDLE / 2);
        assert!(!progress.timed_out(), "waiting for a next request is no fault");
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_that_has_begun_has_the_time_of_a_request() {
        let (mut stream, progress, mut client) = watched();
        serve_one(&mut stream, &progress, &mut client).await;
        client.write_all(b"half a he").await.unwrap();
        assert_eq!(stream.read(&mut [0; 64]).await.unwrap(), 9);

        assert_eq!(patience(&mut stream).await, HEAD_TIMEOUT);
        assert!(progress.timed_out());
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_that_is_being_served_has_no_deadline_here() {
        let (mut stream, progress, _client) = watched();
        let _under_way = progress.request_began();

        let read = tokio::time::timeout(IDLE * 10, stream.read(&mut [0; 64])).await;

        assert!(read.is_err(), "still waiting");
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_takes_nothing_of_its_answer_is_given_up() {
        let (mut stream, progress, _client) = watched();
        let began = Instant::now();

        let error = stream.write_all(&[0; 5000]).await.unwrap_err();

        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert_eq!(began.elapsed(), HEAD_TIMEOUT);
        assert!(progress.timed_out());
    }
}
