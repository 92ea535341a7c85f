//! Pings, and the end of peers that are dead (docs/protocol.md, "WebSocket").

use std::thread;
use std::time::{Duration, Instant};

use crate::support::{Frame, PONG, Socket, TEXT, Worker, frame};

/// Short times, in the proportion of the defaults.
const QUICK: &str = "ping_interval: 1s\nidle_timeout: 2s\n";

/// Patient with clients that have to answer on a busy machine.
const PATIENT: &str = "ping_interval: 1s\nidle_timeout: 4s\n";

fn worker(config: &str) -> Worker {
    let worker = Worker::with(config);
    worker.register("a");
    worker
}

/// Answers pings for `time` and returns how many came.
fn live(socket: &mut Socket, time: Duration) -> usize {
    let begin = Instant::now();
    let mut pings = 0;
    while begin.elapsed() < time {
        assert_eq!(socket.next(), Frame::ping());
        pings += 1;
        socket.send(PONG, b"");
    }
    pings
}

#[test]
fn an_empty_ping_comes_every_interval_and_a_socket_that_answers_lives() {
    let worker = worker(PATIENT);
    let mut socket = worker.subscribe("a").hear_pings();

    let pings = live(&mut socket, Duration::from_secs(6));

    assert!((4..=9).contains(&pings), "{pings} pings in 6 s");
    worker.publish("a", "1");
    while socket.next() == Frame::ping() {}
    assert_eq!(worker.counter("dead_peers"), 0);
}

#[test]
fn a_socket_from_which_nothing_comes_is_ended_without_a_close_frame_and_counted() {
    let worker = worker(QUICK);
    let begin = Instant::now();
    let mut socket = worker.subscribe("a").hear_pings();

    let ending = socket.ending();

    assert!(begin.elapsed() > Duration::from_millis(1900), "{:?}", begin.elapsed());
    assert!(ending.close.is_none(), "{ending:?}");
    assert!(!ending.frames.is_empty());
    assert!(ending.frames.iter().all(|frame| *frame == Frame::ping()), "{ending:?}");
    worker.wait_for_counter("dead_peers", 1);
    worker.wait_for_sockets(0);
}

#[test]
fn anything_a_browser_sends_keeps_it_alive() {
    let worker = worker(PATIENT);
    let mut socket = worker.subscribe("a").hear_pings();

    let begin = Instant::now();
    while begin.elapsed() < Duration::from_secs(6) {
        socket.send_text("not a pong");
        thread::sleep(Duration::from_millis(200));
    }

    worker.publish("a", "1");
    while socket.next() == Frame::ping() {}
    assert_eq!(worker.counter("dead_peers"), 0);
}

#[test]
fn pushes_to_a_dead_peer_do_not_keep_it_alive() {
    let worker = worker(QUICK);
    let mut socket = worker.subscribe("a").hear_pings();

    let begin = Instant::now();
    while worker.counter("dead_peers") == 0 {
        assert!(begin.elapsed() < Duration::from_secs(10), "still alive");
        worker.publish("a", "1");
        thread::sleep(Duration::from_millis(50));
    }

    assert!(begin.elapsed() > Duration::from_millis(1900), "{:?}", begin.elapsed());
    assert!(socket.ending().close.is_none());
}

#[test]
fn a_socket_that_broke_off_in_the_middle_of_a_frame_is_dead_in_time() {
    let worker = worker(QUICK);
    let mut socket = worker.subscribe("a").hear_pings();

    let bytes = frame(TEXT, b"cut off");
    socket.send_raw(&bytes[..bytes.len() - 1]);

    assert!(socket.ending().close.is_none());
    worker.wait_for_counter("dead_peers", 1);
}

#[test]
fn many_sockets_are_pinged_each_in_its_interval() {
    let worker = worker(PATIENT);
    let mut sockets: Vec<Socket> =
        (0..200).map(|user| worker.subscribe_as(user, "a").hear_pings()).collect();

    for _ in 0..3 {
        for socket in &mut sockets {
            assert_eq!(socket.next(), Frame::ping());
            socket.send(PONG, b"");
        }
    }

    assert_eq!(worker.counter("dead_peers"), 0);
    assert_eq!(worker.status()["connected_sockets"], 200);
}
