//! Links over real sockets: what is written, queued, and said at the end.

use std::sync::Weak;
use std::time::Duration;

use mio::{Poll, Token, Waker};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket};

use super::*;

const BACKLOG_BYTES: usize = 64 * 1024;

fn context(write_timeout: Duration) -> Arc<LinkContext> {
    Arc::new(LinkContext {
        backlog_bytes: BACKLOG_BYTES,
        write_timeout,
        clock: Clock::start(),
        metrics: Arc::default(),
        troubled: Troubled::new(waker()),
    })
}

fn waker() -> Arc<Waker> {
    Arc::new(Waker::new(Poll::new().unwrap().registry(), Token(0)).unwrap())
}

/// Does what the event loop does for links in trouble, with less patience.
async fn see_to(context: Weak<LinkContext>) {
    let mut troubled = Vec::new();
    while let Some(context) = context.upgrade() {
        troubled.extend(context.troubled.take());
        troubled.retain(|link: &Weak<Link>| {
            link.upgrade().is_some_and(|link| {
                link.flush();
                link.look(context.clock.now_ms())
            })
        });
        drop(context);
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// A corked link and the browser's end of it, which takes little that it does not read.
async fn pair(context: &Arc<LinkContext>) -> (Arc<Link>, tokio::net::TcpStream) {
    tokio::spawn(see_to(Arc::downgrade(context)));
    unattended_pair(context).await
}

/// [`pair`], but nobody comes back to the link.
async fn unattended_pair(context: &Arc<LinkContext>) -> (Arc<Link>, tokio::net::TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let browser = socket.connect(listener.local_addr().unwrap()).await.unwrap();
    let (stream, _) = listener.accept().await.unwrap();
    SockRef::from(&stream).set_send_buffer_size(8192).unwrap();
    let stream = TcpStream::from_std(stream.into_std().unwrap());
    (Link::corked(stream, 0, Arc::clone(context)), browser)
}

/// Sends frames until the kernel takes no more; how many.
fn fill(link: &Arc<Link>, frame: &Bytes) -> usize {
    (1..).find(|_| link.send(frame) == Sent::Queued).unwrap()
}

/// Everything until the browser sees the end or a reset.
async fn read_all(browser: &mut tokio::net::TcpStream) -> Vec<u8> {
    let mut all = Vec::new();
    let _ = browser.read_to_end(&mut all).await;
    all
}

#[tokio::test]
async fn what_is_sent_while_corked_comes_behind_the_first_frame() {
    let context = context(Duration::from_secs(10));
    let (link, mut browser) = pair(&context).await;

    assert_eq!(link.send(&frame::text(&["one"])), Sent::Queued);
    assert_eq!(link.send(&frame::text(&["two"])), Sent::Queued);
    link.uncork(&frame::text(&["first"]));
    assert_eq!(link.send(&frame::text(&["three"])), Sent::Written);

    let expected = ["first", "one", "two", "three"].map(|text| frame::text(&[text])).concat();
    let mut got = vec![0; expected.len()];
    browser.read_exact(&mut got).await.unwrap();
    assert_eq!(got, expected);
    assert_eq!(context.metrics.backlog_bytes.get(), 0);
}

#[tokio::test]
async fn what_the_kernel_does_not_take_follows_in_order_when_the_browser_reads() {
    let context = context(Duration::from_secs(10));
    let (link, mut browser) = pair(&context).await;
    link.uncork(&Bytes::new());
    let frame = frame::text(&[&"x".repeat(1000)]);
    let last = frame::text(&["last"]);

    let sent = fill(&link, &frame);
    assert_eq!(link.send(&last), Sent::Queued);

    let mut expected = frame.repeat(sent);
    expected.extend_from_slice(&last);
    let mut got = vec![0; expected.len()];
    browser.read_exact(&mut got).await.unwrap();
    assert_eq!(got, expected);
    assert_eq!(context.metrics.flushes.get(), 1);
}

#[tokio::test]
async fn a_browser_over_its_backlog_gets_whole_frames_and_then_4008() {
    let context = context(Duration::from_secs(10));
    let (link, mut browser) = pair(&context).await;
    link.uncork(&Bytes::new());
    let frame = frame::text(&[&"x".repeat(1000)]);

    let mut sent = fill(&link, &frame);
    while link.send(&frame) == Sent::Queued {
        sent += 1;
    }

    let got = read_all(&mut browser).await;
    let close = frame::close(CloseCode::Slow);
    let pushed = got.strip_suffix(&*close).expect("ends with the close frame");
    assert_eq!(pushed, frame.repeat(pushed.len() / frame.len()), "no frame is cut");
    assert!(pushed.len() / frame.len() < sent);
    assert_eq!(link.send(&frame), Sent::Refused);
    assert_eq!(context.metrics.slow_closes.get(), 1);
    assert_eq!(context.metrics.backlog_bytes.get(), 0);
}

#[tokio::test]
async fn one_row_is_taken_however_large_if_nothing_waits() {
    let context = context(Duration::from_secs(10));
    let (link, mut browser) = pair(&context).await;
    link.uncork(&Bytes::new());
    let large = frame::text(&[&"x".repeat(4 * BACKLOG_BYTES)]);

    assert_eq!(link.send(&large), Sent::Queued);

    let mut got = vec![0; large.len()];
    browser.read_exact(&mut got).await.unwrap();
    assert_eq!(got, large);
    assert_eq!(context.metrics.slow_closes.get(), 0);
}

#[tokio::test]
async fn a_browser_that_takes_nothing_in_time_is_closed_as_slow_and_then_reset() {
    let context = context(Duration::from_millis(50));
    let (link, mut browser) = pair(&context).await;
    link.uncork(&Bytes::new());

    let frame = frame::text(&[&"x".repeat(1000)]);
    fill(&link, &frame);
    for _ in 0..BACKLOG_BYTES / 2 / frame.len() {
        assert_eq!(link.send(&frame), Sent::Queued); // More than the kernel may still find room for.
    }

    // It never reads: the end shows as an error on its writing side.
    while browser.write_all(b"still here").await.is_ok() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(context.metrics.slow_closes.get(), 1);
    assert_eq!(context.metrics.backlog_bytes.get(), 0);
}

#[tokio::test]
async fn a_browser_that_took_something_is_not_slow_though_the_kernel_did_not_say_so() {
    let context = context(Duration::from_secs(10));
    let (link, mut browser) = unattended_pair(&context).await;
    link.uncork(&Bytes::new());
    let frame = frame::text(&[&"x".repeat(1000)]);

    let taken = (fill(&link, &frame) - 1) * frame.len();
    while link.send(&frame) == Sent::Queued && context.metrics.backlog_bytes.get() < 50_000 {}
    browser.read_exact(&mut vec![0; taken / 2]).await.unwrap();
    let due_ms = context.clock.now_ms() + 10_000;

    assert!(link.look(due_ms));
    assert_eq!(context.metrics.slow_closes.get(), 0, "it took something");
    assert!(link.look(due_ms + 9_999));
    assert_eq!(context.metrics.slow_closes.get(), 0, "it has its time again");
    assert!(link.look(due_ms + 10_000));
    assert_eq!(context.metrics.slow_closes.get(), 1, "it took nothing more");
}

#[tokio::test]
async fn a_close_comes_behind_what_was_queued_and_ends_our_side() {
    let context = context(Duration::from_secs(10));
    let (link, mut browser) = pair(&context).await;
    link.uncork(&Bytes::new());
    let frame = frame::text(&[&"x".repeat(1000)]);

    let sent = fill(&link, &frame);
    link.close(CloseCode::GoingAway);
    link.close(CloseCode::Protocol);

    let mut expected = frame.repeat(sent);
    expected.extend_from_slice(&frame::close(CloseCode::GoingAway));
    assert_eq!(read_all(&mut browser).await, expected);
}

#[tokio::test]
async fn an_aborted_link_takes_nothing_and_reads_the_end() {
    let context = context(Duration::from_secs(10));
    let (link, _browser) = pair(&context).await;
    link.uncork(&Bytes::new());

    link.abort();

    assert_eq!(link.read(&mut [0; 8]).unwrap(), 0);
    assert_eq!(link.send(&frame::text(&["x"])), Sent::Refused);
}
