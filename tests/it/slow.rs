//! Browsers that read slowly or not at all: nobody else is held up, nothing is dropped without
//! telling, and memory stays bounded (docs/protocol.md, "Close codes", 4008).

use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::support::{
    CLOSE, Ending, Frame, PING, PONG, Socket, TEXT, Worker, close_payload, encode, frame,
};

const MIB: usize = 1024 * 1024;

/// A payload of `length` bytes that starts with the number `n`.
fn numbered(n: usize, length: usize) -> String {
    format!("\"{n:08}{}\"", "x".repeat(length))
}

/// Checks that `payload` is the numbered payload `n`, whole.
fn assert_numbered(payload: &str, n: usize, length: usize) {
    assert_eq!(payload.get(1..9), Some(format!("{n:08}").as_str()));
    assert_eq!(payload.len(), length + 10);
}

/// Checks that a slow browser read its close frame, 4008. It has a second for that; a machine that
/// paused for longer than that since `open` proves nothing, and then a reset is right.
fn assert_told(ending: &Ending, open: Instant) {
    let in_time = open.elapsed() < Duration::from_secs(1);
    let told = ending.code() == Some(4008) && !ending.reset;
    assert!(told || (ending.reset && !in_time), "{:?}", ending.close);
}

#[test]
fn a_browser_over_its_backlog_is_told_4008_after_whole_frames_in_order() {
    const LENGTH: usize = 32 * 1024;
    let worker = Worker::with("backlog_bytes: 65536\n");
    worker.register("a");
    let mut stalled = worker.subscribe_as(1, "a");
    let mut lively = worker.subscribe_as(2, "a");

    let mut published = 0;
    let mut open = Instant::now();
    while worker.counter("slow_closes") == 0 {
        open = Instant::now();
        assert!(published < 2000, "64 MiB are nowhere to be seen");
        worker.publish("a", &numbered(published, LENGTH));
        assert_numbered(&lively.next_push(), published, LENGTH);
        published += 1;
    }
    let ending = stalled.ending();

    assert_told(&ending, open);
    assert!(!ending.frames.is_empty() && ending.frames.len() < published);
    for (n, frame) in ending.frames.iter().enumerate() {
        let text = frame.as_text().unwrap();
        let payload = text.strip_prefix(r#"{"type":"push","payload":"#).unwrap();
        assert_numbered(payload.strip_suffix('}').unwrap(), n, LENGTH);
    }
    assert_eq!(worker.counter("slow_closes"), 1);
    worker.publish("a", "1");
    assert_eq!(lively.next_push(), "1");
    worker.wait_for_sockets(1);
    worker.wait_for_no_backlog();
}

#[test]
fn a_browser_that_does_not_take_its_close_is_reset_soon() {
    const LENGTH: usize = 32 * 1024;
    let worker = Worker::with("backlog_bytes: 65536\n");
    worker.register("a");
    let mut stalled = worker.subscribe("a");

    let mut published = 0;
    while worker.counter("slow_closes") == 0 {
        worker.publish("a", &numbered(published, LENGTH));
        published += 1;
    }
    let begin = Instant::now();
    worker.wait_for_sockets(0);

    assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());
    worker.wait_for_no_backlog();
    // Its last bytes cannot have reached it, because it had room for none.
    thread::sleep(Duration::from_millis(1500));
    let ending = stalled.ending();
    assert!(ending.reset || ending.close.is_some(), "{:?}", ending.close);
}

#[test]
fn a_backlog_within_its_bound_is_kept_and_delivered_whole() {
    const LENGTH: usize = 256 * 1024;
    const PUBLISHES: usize = 64;
    let worker = Worker::with("backlog_bytes: 33554432\n");
    worker.register("a");
    let mut slow = worker.subscribe("a");

    for n in 0..PUBLISHES {
        worker.publish("a", &numbered(n, LENGTH));
    }
    assert!(worker.counter("backlog_bytes") > 0);
    assert!(worker.counter("flushes") > 0);

    for n in 0..PUBLISHES {
        assert_numbered(&slow.next_push(), n, LENGTH);
    }
    slow.assert_quiet();
    assert_eq!(worker.counter("slow_closes"), 0);
    worker.wait_for_sockets(1);
    worker.wait_for_no_backlog();
}

#[test]
fn a_browser_that_takes_nothing_for_the_write_timeout_is_closed_with_4008() {
    const LENGTH: usize = 512 * 1024;
    let worker = Worker::with("write_timeout: 1s\nbacklog_bytes: 67108864\n");
    worker.register("a");
    let mut stalled = worker.subscribe_as(1, "a");
    let mut lively = worker.subscribe_as(2, "a");

    let begin = Instant::now();
    for n in 0..48 {
        worker.publish("a", &numbered(n, LENGTH));
        assert_numbered(&lively.next_push(), n, LENGTH);
    }
    let mut open = Instant::now();
    while worker.counter("slow_closes") == 0 {
        open = Instant::now();
    }
    assert!(begin.elapsed() > Duration::from_millis(900), "{:?}", begin.elapsed());
    let ending = stalled.ending();

    assert_told(&ending, open);
    assert!(ending.frames.len() < 48);
    worker.publish("a", "1");
    assert_eq!(lively.next_push(), "1");
}

#[test]
fn a_browser_that_reads_slowly_but_steadily_is_not_closed() {
    const LENGTH: usize = 512 * 1024;
    const PUBLISHES: usize = 64;
    let worker = Worker::with("write_timeout: 3s\nbacklog_bytes: 67108864\n");
    worker.register("a");
    let mut slow = worker.subscribe("a");

    for n in 0..PUBLISHES {
        worker.publish("a", &numbered(n, LENGTH));
    }
    let mut read = 0;
    while read < PUBLISHES * LENGTH * 3 / 4 {
        let until = read + 3 * MIB / 2;
        while read < until {
            let count = slow.read_some(until - read);
            assert_ne!(count, 0, "the worker ended the connection after {read} bytes");
            read += count;
        }
        thread::sleep(Duration::from_millis(200));
    }

    for n in 0..PUBLISHES {
        assert_numbered(&slow.next_push(), n, LENGTH);
    }
    assert_eq!(worker.counter("slow_closes"), 0);
}

#[test]
fn a_stalled_browser_does_not_hold_up_publishers_or_other_topics() {
    const LENGTH: usize = 64 * 1024;
    let worker = Worker::start();
    worker.register("a");
    worker.register("b");
    let stalled = worker.subscribe("a");
    let mut other = worker.subscribe("b");

    let mut longest = Duration::ZERO;
    for n in 0..300 {
        let begin = Instant::now();
        worker.publish("a", &numbered(n, LENGTH));
        worker.publish("b", &n.to_string());
        assert_eq!(other.next_push(), n.to_string());
        longest = longest.max(begin.elapsed());
    }

    assert!(longest < Duration::from_secs(2), "{longest:?}");
    worker.wait_for_counter("slow_closes", 1);
    drop(stalled);
}

#[test]
fn a_stalled_browser_that_only_sends_is_closed_too() {
    let worker = Worker::with("write_timeout: 1s\nbacklog_bytes: 67108864\n");
    worker.register("a");
    let mut stalled = worker.subscribe("a");
    for n in 0..48 {
        worker.publish("a", &numbered(n, 512 * 1024));
    }

    let begin = Instant::now();
    while worker.counter("slow_closes") == 0 {
        assert!(begin.elapsed() < Duration::from_secs(10), "still connected");
        let _ = stalled.try_send_raw(&frame(TEXT, b"alive"));
        thread::sleep(Duration::from_millis(50));
    }

    worker.wait_for_sockets(0);
}

#[test]
fn pongs_to_a_browser_that_reads_none_are_bounded() {
    let worker = Worker::with("write_timeout: 1s\n");
    worker.register("a");
    let before = worker.memory("VmRSS");
    let mut socket: Socket = worker.subscribe("a");

    // A flood of pings, none of whose pongs is read, until the worker has enough of it.
    let pings = frame(PING, &[7; 125]).repeat(500);
    let mut sent = 0;
    while sent < 256 * MIB && socket.try_send_raw(&pings).is_ok() {
        sent += pings.len();
    }

    assert!(worker.memory("VmHWM") < before + 16 * 1024 * 1024);
    drop(socket);
    worker.wait_for_sockets(0);
}

/// A worker, and a socket for which 12 MiB wait, most of them in the worker.
fn with_backlog() -> (Worker, Socket) {
    let worker = Worker::with("backlog_bytes: 67108864\n");
    worker.register("a");
    let socket = worker.subscribe("a");
    for n in 0..BACKLOG {
        worker.publish("a", &numbered(n, MIB / 2));
    }
    assert!(worker.counter("backlog_bytes") > 0);
    (worker, socket)
}

const BACKLOG: usize = 24;

/// Checks that `frames` are the first of the backlog, whole and in order.
fn assert_start_of_backlog<'a>(frames: impl IntoIterator<Item = &'a Frame>) {
    for (n, frame) in frames.into_iter().enumerate() {
        let payload = numbered(n, MIB / 2);
        let expected = format!(r#"{{"type":"push","payload":{payload}}}"#);
        assert!(frame.as_text() == Some(&expected), "{n}: {frame:?}");
    }
}

/// Checks that the worker finished whole frames of the backlog before its close frame.
fn assert_closed_between_frames(ending: &Ending, code: u16) {
    assert_eq!(ending.code(), Some(code), "{:?}", ending.close);
    assert_start_of_backlog(&ending.frames);
}

#[test]
fn pongs_go_between_the_frames_of_a_backlog_and_never_into_one() {
    let (_worker, mut socket) = with_backlog();

    for n in 0..20 {
        socket.send(PING, &[n]);
    }
    let mut pushes = Vec::new();
    let mut last_pong = None;
    while pushes.len() < BACKLOG || last_pong != Some(19) {
        let frame = socket.next();
        if frame.opcode == PONG {
            assert!(last_pong < Some(frame.payload[0]), "pongs in another order");
            last_pong = Some(frame.payload[0]);
        } else {
            pushes.push(frame);
        }
    }

    assert_start_of_backlog(&pushes);
    socket.assert_quiet();
}

#[test]
fn a_browser_with_a_backlog_that_breaks_the_rules_is_told_between_two_frames() {
    let (worker, mut socket) = with_backlog();

    socket.send_raw(&encode(true, 0, TEXT, None, b"not masked"));

    assert_closed_between_frames(&socket.ending(), 1002);
    worker.wait_for_sockets(0);
}

#[test]
fn a_browser_with_a_backlog_may_leave() {
    let (worker, mut socket) = with_backlog();

    socket.send(CLOSE, &close_payload(1000, ""));

    assert_closed_between_frames(&socket.ending(), 1000);
    worker.wait_for_sockets(0);
    worker.wait_for_no_backlog();
}

#[test]
fn a_browser_with_a_backlog_is_told_1001_between_two_frames_at_the_end() {
    let (mut worker, mut socket) = with_backlog();

    worker.signal(Signal::TERM);

    assert_closed_between_frames(&socket.ending(), 1001);
    assert!(worker.wait_for_exit().success());
}

#[test]
fn browsers_with_a_backlog_that_vanish_leave_nothing_behind() {
    let (worker, first) = with_backlog();
    drop(first);
    worker.wait_for_sockets(0);
    worker.wait_for_no_backlog();

    let gone: Vec<Socket> = (0..8).map(|user| worker.subscribe_as(user, "a")).collect();
    for n in 0..BACKLOG {
        worker.publish("a", &numbered(n, MIB / 2));
    }
    drop(gone);

    worker.wait_for_sockets(0);
    worker.wait_for_no_backlog();
    let mut socket = worker.subscribe("a");
    worker.publish("a", "1");
    assert_eq!(socket.next_push(), "1");
}
