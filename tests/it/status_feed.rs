//! The live status on the topic `worker.status` (docs/protocol.md, "WebSocket").

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::{BINARY, Frame, PING, Socket, TEXT, Worker};

const REQUEST: &str = r#"{"type":"status"}"#;

/// The payload of the next frame, which has to be a status.
fn next_status(socket: &mut Socket) -> Value {
    let frame = socket.next();
    let document: Value = serde_json::from_str(frame.as_text().unwrap()).unwrap();
    assert_eq!(document["type"], "status");
    document["payload"].clone()
}

#[test]
fn a_status_request_is_answered_with_the_document() {
    let worker = Worker::start();
    worker.register("a");
    let _other = worker.subscribe_as(7, "a");
    let mut socket = worker.subscribe_as(8, "worker.status");

    socket.send_text(REQUEST);
    let frame = socket.next();

    let text = frame.as_text().unwrap().to_owned();
    let document: Value = serde_json::from_str(&text).unwrap();
    let uptime = document["payload"]["uptime"].as_str().unwrap();
    let seconds = document["payload"]["uptime_seconds"].as_u64().unwrap();
    assert_eq!(uptime, format!("{seconds}s"));
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(
        text,
        format!(
            "{{\"type\":\"status\",\"payload\":{{\"status\":\"ok\",\"version\":\"{version}\",\
             \"uptime\":\"{uptime}\",\"uptime_seconds\":{seconds},\"registered_topics\":2,\
             \"active_topics\":2,\"connected_clients\":2,\"connected_sockets\":2,\
             \"cluster_nodes\":-1}}}}"
        )
    );
}

#[test]
fn a_status_request_may_be_binary() {
    let worker = Worker::start();
    let mut socket = worker.subscribe("worker.status");

    socket.send(BINARY, REQUEST.as_bytes());

    assert_eq!(next_status(&mut socket)["status"], "ok");
}

#[test]
fn requests_soon_after_an_answer_are_dropped_and_do_not_prolong_the_pause() {
    let worker = Worker::start();
    let mut socket = worker.subscribe("worker.status");
    socket.send_text(REQUEST);
    next_status(&mut socket);
    let answered = Instant::now();

    // Each request is followed by a ping, whose pong tells that the request was dealt with.
    let mut dropped = 0;
    loop {
        socket.send_text(REQUEST);
        socket.send(PING, b"");
        let frame = socket.next();
        if frame.opcode == TEXT {
            break;
        }
        assert_eq!(frame, Frame::pong(b""));
        dropped += 1;
    }

    let pause = answered.elapsed();
    assert!(dropped > 0);
    assert!(pause > Duration::from_millis(650), "{pause:?}");
    assert!(pause < Duration::from_secs(3), "{pause:?}");
}

#[test]
fn the_pause_is_kept_for_each_socket_by_itself() {
    let worker = Worker::start();
    let mut sockets: Vec<Socket> =
        (0..5).map(|user| worker.subscribe_as(user, "worker.status")).collect();

    for socket in &mut sockets {
        socket.send_text(REQUEST);
        assert_eq!(next_status(socket)["connected_sockets"], 5);
    }
}

#[test]
fn anything_else_on_worker_status_is_ignored() {
    let worker = Worker::start();
    let mut socket = worker.subscribe("worker.status");

    for text in ["", "{}", "status", "[]", r#"{"type":"Status"}"#, r#"{"type":1}"#, "{"] {
        socket.send_text(text);
        socket.assert_quiet();
    }

    socket.send_text(REQUEST);
    next_status(&mut socket);
}

#[test]
fn a_status_request_on_another_topic_is_ignored() {
    let worker = Worker::start();
    worker.register("a");
    let mut socket = worker.subscribe("a");

    socket.send_text(REQUEST);

    socket.assert_quiet();
}

#[test]
fn a_status_request_instead_of_the_auth_frame_is_refused() {
    let worker = Worker::start();
    let mut socket = worker.open("worker.status");

    socket.send_text(REQUEST);

    let ending = socket.ending();
    assert!(ending.frames[0].as_text().unwrap().contains("auth_required"));
    assert_eq!(ending.code(), Some(1008));
}

#[test]
fn worker_status_is_a_topic_like_any_other_for_publishers() {
    let worker = Worker::start();
    let mut socket = worker.subscribe("worker.status");

    worker.publish("worker.status", "1");

    assert_eq!(socket.next_push(), "1");
}
