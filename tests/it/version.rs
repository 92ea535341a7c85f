//! What a client gets that asks for version 2, and that nobody else gets it (docs/protocol.md,
//! "Version 2"). Which frames ask for what is in `contract/frames.json`; here is what takes time,
//! or more than one frame.

use std::thread;
use std::time::{Duration, Instant};

use crate::support::{
    BINARY, CONTINUATION, Frame, PING, Socket, TEXT, Worker, encode, frame, upgrade_request,
};

const AUTH_2: &str = r#"{"type":"auth","v":2}"#;
const AUTH_OK_2: &str = r#"{"type":"auth_ok","v":2}"#;
const ASK: &str = r#"{"type":"ping"}"#;
const ANSWER: &str = r#"{"type":"pong"}"#;

/// A worker on which `feed` is open.
fn worker() -> Worker {
    let worker = Worker::start();
    worker.register_open("feed");
    worker
}

/// A socket of version 2 on the open topic `feed`.
fn socket_2(worker: &Worker) -> Socket {
    let mut socket = worker.open("feed");
    socket.send_text(AUTH_2);
    assert_eq!(socket.next(), Frame::text(AUTH_OK_2));
    socket
}

/// Sends a ping inside a message and checks that the next frame answers it.
fn assert_answered(socket: &mut Socket) {
    socket.send_text(ASK);
    assert_eq!(socket.next(), Frame::text(ANSWER));
}

#[test]
fn a_client_of_version_2_is_answered_on_every_topic() {
    let worker = worker();
    worker.register("session.42");
    let mut sockets = vec![socket_2(&worker)];
    for topic in ["session.42", "worker.status"] {
        let mut socket = worker.open(topic);
        let token = worker.token(1, topic);
        socket.send_text(&format!(r#"{{"type":"auth","token":"{token}","v":2}}"#));
        assert_eq!(socket.next(), Frame::text(AUTH_OK_2));
        sockets.push(socket);
    }

    for socket in &mut sockets {
        assert_answered(socket);
        socket.assert_quiet();
    }
}

#[test]
fn a_client_that_did_not_ask_for_version_2_is_not_answered() {
    let worker = worker();
    let mut feed = worker.open("feed");
    feed.authenticate("");
    let mut status = worker.subscribe("worker.status");

    for socket in [&mut feed, &mut status] {
        socket.send_text(ASK);
        socket.assert_quiet();
    }
}

#[test]
fn a_ping_instead_of_the_auth_frame_is_refused() {
    let worker = worker();
    let mut socket = worker.open("feed");

    socket.send_text(ASK);

    let ending = socket.ending();
    assert!(ending.frames[0].as_text().unwrap().contains("auth_required"));
    assert_eq!(ending.code(), Some(1008));
}

#[test]
fn a_ping_may_be_binary_and_in_fragments() {
    let worker = worker();
    let (first, second) = ASK.as_bytes().split_at(7);

    let mut socket = socket_2(&worker);
    socket.send(BINARY, ASK.as_bytes());
    assert_eq!(socket.next(), Frame::text(ANSWER));

    let mut socket = socket_2(&worker);
    socket.send_raw(&encode(false, 0, TEXT, Some([1, 2, 3, 4]), first));
    socket.send_raw(&encode(true, 0, CONTINUATION, Some([1, 2, 3, 4]), second));
    assert_eq!(socket.next(), Frame::text(ANSWER));
}

#[test]
fn a_ping_may_come_together_with_the_auth_frame_and_the_handshake() {
    let worker = worker();
    let mut connection = worker.public();

    let frames = [frame(TEXT, AUTH_2.as_bytes()), frame(TEXT, ASK.as_bytes())].concat();
    connection.send(&[upgrade_request("/ws?topic=feed", "").into_bytes(), frames].concat());

    let answer = connection.answer();
    let mut socket = Socket::upgraded(connection, &answer);
    assert_eq!(socket.next(), Frame::text(AUTH_OK_2));
    assert_eq!(socket.next(), Frame::text(ANSWER));
    socket.assert_quiet();
}

#[test]
fn pings_that_arrive_together_are_one_answer() {
    let worker = worker();
    let mut socket = socket_2(&worker);

    socket.send_raw(&frame(TEXT, ASK.as_bytes()).repeat(100));

    assert_eq!(socket.next(), Frame::text(ANSWER));
    socket.assert_quiet();
}

#[test]
fn pings_soon_after_an_answer_are_dropped_and_do_not_prolong_the_pause() {
    let worker = worker();
    let mut socket = socket_2(&worker);
    assert_answered(&mut socket);
    let answered = Instant::now();

    // Behind each goes a ping of the protocol, whose pong tells that it was dealt with.
    let mut dropped = 0;
    loop {
        socket.send_text(ASK);
        socket.send(PING, b"");
        if socket.next() == Frame::text(ANSWER) {
            break;
        }
        dropped += 1;
    }

    let pause = answered.elapsed();
    assert!(dropped > 0);
    assert!(pause > Duration::from_millis(200), "{pause:?}");
    assert!(pause < Duration::from_secs(2), "{pause:?}");
}

#[test]
fn the_status_feed_and_pings_have_pauses_of_their_own() {
    let worker = worker();
    let mut socket = worker.open("worker.status");
    let token = worker.token(1, "worker.status");
    socket.send_text(&format!(r#"{{"type":"auth","token":"{token}","v":2}}"#));
    assert_eq!(socket.next(), Frame::text(AUTH_OK_2));

    let question = frame(TEXT, br#"{"type":"status"}"#);
    socket.send_raw(&[frame(TEXT, ASK.as_bytes()), question].concat());

    let mut answers = [socket.next(), socket.next()].map(|f| f.as_text().unwrap().to_owned());
    answers.sort_unstable();
    assert_eq!(answers[0], ANSWER);
    assert!(answers[1].starts_with(r#"{"type":"status","payload":{"#), "{answers:?}");
    socket.assert_quiet();
}

#[test]
fn an_answer_comes_behind_what_was_published_before() {
    let worker = worker();
    let mut socket = socket_2(&worker);

    worker.publish("feed", "1");
    socket.send_text(ASK);

    assert_eq!(socket.next_push(), "1");
    assert_eq!(socket.next(), Frame::text(ANSWER));
}

#[test]
fn pings_keep_a_socket_alive() {
    let worker = Worker::with("ping_interval: 1s\nidle_timeout: 4s\n");
    worker.register_open("feed");
    let mut socket = socket_2(&worker).hear_pings();

    let begin = Instant::now();
    while begin.elapsed() < Duration::from_secs(6) {
        socket.send_text(ASK);
        while socket.next() == Frame::ping() {}
        thread::sleep(Duration::from_millis(300)); // Asked again at once it would not be answered.
    }

    assert_eq!(worker.counter("dead_peers"), 0);
}

#[test]
fn a_flood_of_pings_costs_no_memory_and_holds_nobody_up() {
    let worker = worker();
    let mut quiet = socket_2(&worker);
    let before = worker.memory("VmHWM");
    let mut socket = socket_2(&worker);

    // None of the answers is read.
    let pings = frame(TEXT, ASK.as_bytes()).repeat(1000);
    for _ in 0..500 {
        socket.send_raw(&pings);
    }
    let begin = Instant::now();
    assert_answered(&mut quiet);

    assert!(begin.elapsed() < Duration::from_secs(1), "{:?}", begin.elapsed());
    assert!(worker.memory("VmHWM") < before + 4 * 1024 * 1024);
}

#[test]
fn a_slow_client_of_version_2_is_closed_as_any_other() {
    let worker = Worker::with("backlog_bytes: 4096\n");
    worker.register_open("feed");
    let mut socket = socket_2(&worker);

    let payload = format!("\"{}\"", "x".repeat(1_000_000));
    while worker.counter("slow_closes") == 0 {
        worker.publish("feed", &payload);
        socket.send_text(ASK);
    }

    assert_eq!(socket.ending().code(), Some(4008));
}
