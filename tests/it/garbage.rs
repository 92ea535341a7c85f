//! Bytes that are no HTTP and no WebSocket at all: the worker ends such connections, and goes on.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::support::{Http, SECRET, Worker, encode, upgrade_request};

/// Checks that the worker still does its main job.
fn assert_works(worker: &Worker) {
    worker.register("a");
    let mut socket = worker.subscribe("a");
    worker.publish("a", "1");
    assert_eq!(socket.next_push(), "1");
}

/// Sends `bytes` to both ports, nothing after them, and reads to the end.
fn assert_survived(worker: &Worker, bytes: &[u8]) {
    for address in [worker.ws, worker.internal] {
        let mut connection = Http::connect(address);
        if connection.try_send(bytes).is_ok() {
            connection.finish_sending();
        }
        let rest = connection.rest();
        assert!(rest.is_empty() || rest.starts_with(b"HTTP/1."), "{rest:?}");
        assert!(!rest.starts_with(b"HTTP/1.1 200"), "{:?}", String::from_utf8_lossy(&rest));
    }
}

#[test]
fn what_is_no_http_is_refused_on_both_ports() {
    let worker = Worker::with("request_timeout: 2s\n");
    let garbage: [&[u8]; 12] = [
        b"",
        b"\0",
        b"\r\n\r\n\r\n",
        b"hello\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"*1\r\n$4\r\nPING\r\n",
        b"GET / HTTP/1.1\r\nHost: worker\r\nno colon\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: worker\r\nX: \x00\r\n\r\n",
        &[0xff; 20_000],
    ];

    for bytes in garbage {
        assert_survived(&worker, bytes);
    }

    assert_works(&worker);
}

#[test]
fn contradicting_lengths_are_never_served() {
    let worker = Worker::start();
    let body = r#"{"topic":"b"}"#;
    let requests = [
        "Content-Length: 13\r\nContent-Length: 5",
        "Content-Length: -13",
        "Content-Length: 13x",
        "Content-Length: 0x0d",
        "Transfer-Encoding: chunked\r\nContent-Length: abc",
        "Transfer-Encoding: gzip",
    ];

    for headers in requests {
        let mut connection = worker.internal();
        let text = format!(
            "POST /internal/register HTTP/1.1\r\nHost: worker\r\nX-Worker-Secret: {SECRET}\r\n\
             {headers}\r\n\r\n{body}"
        );
        let _ = connection.try_send(text.as_bytes());
        connection.finish_sending();
        let rest = connection.rest();
        assert!(!rest.starts_with(b"HTTP/1.1 200"), "{headers}");
    }

    assert_eq!(worker.status()["registered_topics"], 1);
    assert_works(&worker);
}

#[test]
fn a_request_with_very_many_headers_is_answered_or_refused() {
    let worker = Worker::start();
    let headers = "X-Filler: 0123456789\r\n".repeat(5000);

    for address in [worker.ws, worker.internal] {
        let mut connection = Http::connect(address);
        let text = format!("GET / HTTP/1.1\r\nHost: worker\r\n{headers}\r\n");
        let _ = connection.try_send(text.as_bytes());
        if let Some(answer) = connection.answer_or_end() {
            assert!((400..500).contains(&answer.status), "{answer:?}");
        }
    }

    assert_works(&worker);
}

#[test]
fn random_bytes_on_both_ports_are_survived() {
    let worker = Worker::with("request_timeout: 2s\n");
    let mut runner =
        TestRunner::new(Config { failure_persistence: None, ..Config::with_cases(64) });

    let bytes = vec(any::<u8>(), 0..600);
    runner
        .run(&bytes, |bytes| {
            assert_survived(&worker, &bytes);
            Ok(())
        })
        .unwrap();

    assert_works(&worker);
}

#[test]
fn random_bytes_after_the_upgrade_are_survived() {
    survives_after_the_upgrade(vec(any::<u8>(), 0..600));
}

#[test]
fn random_frames_after_the_upgrade_are_survived() {
    let masks = proptest::option::weighted(0.95, any::<[u8; 4]>());
    let reserved = prop_oneof![9 => Just(0_u8), 1 => 1..8_u8];
    let opcodes =
        prop_oneof![9 => Just(0_u8), 9 => Just(1), 9 => Just(2), 9 => 8..11_u8, 1 => 0..16_u8];
    let frame = (any::<bool>(), reserved, opcodes, masks, vec(any::<u8>(), 0..300)).prop_map(
        |(fin, reserved, opcode, mask, payload)| encode(fin, reserved, opcode, mask, &payload),
    );

    survives_after_the_upgrade(vec(frame, 1..20).prop_map(|frames| frames.concat()));
}

/// Sends such bytes on sockets before and after their authentication.
fn survives_after_the_upgrade(bytes: impl Strategy<Value = Vec<u8>>) {
    let worker = Worker::with("auth_timeout: 2s\n");
    worker.register("a");
    let mut runner =
        TestRunner::new(Config { failure_persistence: None, ..Config::with_cases(64) });

    runner
        .run(&(any::<bool>(), bytes), |(authenticated, bytes)| {
            let mut socket = if authenticated { worker.subscribe("a") } else { worker.open("a") };
            if socket.try_send_raw(&bytes).is_ok() {
                socket.finish_sending();
            }
            socket.ending();
            Ok(())
        })
        .unwrap();

    assert_works(&worker);
    worker.wait_for_sockets(0);
}

#[test]
fn websocket_frames_without_a_handshake_are_refused() {
    let worker = Worker::with("request_timeout: 2s\n");

    assert_survived(&worker, &crate::support::frame(crate::support::TEXT, b"{}"));

    assert_works(&worker);
}

#[test]
fn connections_that_are_cut_at_any_byte_of_the_handshake_leave_nothing_behind() {
    let worker = Worker::start();
    worker.register("a");
    let auth = format!(r#"{{"type":"auth","token":"{}"}}"#, worker.token(1, "a"));
    let mut bytes = upgrade_request("/ws?topic=a", "").into_bytes();
    bytes.extend(crate::support::frame(crate::support::TEXT, auth.as_bytes()));

    for end in (0..bytes.len()).step_by(3) {
        worker.public().send(&bytes[..end]);
    }

    worker.wait_for_sockets(0);
    assert_works(&worker);
}
