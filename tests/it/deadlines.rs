//! Half-open requests and stalled bodies go away, on both ports, and are counted
//! (docs/protocol.md, "Deadlines").

use std::io::{ErrorKind, Write};
use std::thread;
use std::time::{Duration, Instant};

use crate::support::{Http, PATIENCE, SECRET, Worker, request, upgrade_request};

const QUICK: &str = "request_timeout: 1s\n";

/// Checks that the worker ends the connection, and does so after the second it has for that.
fn assert_ends(connection: &mut Http, begin: Instant) {
    let rest = connection.rest();

    let took = begin.elapsed();
    assert!(took > Duration::from_millis(900), "ended after {took:?}");
    assert!(took < PATIENCE);
    // An answer may be given, but none that says the request was served.
    assert!(!rest.starts_with(b"HTTP/1.1 200") && !rest.starts_with(b"HTTP/1.1 101"));
}

/// Sends `bytes` one by one, slowly, until the worker ends the connection.
fn trickle(connection: &mut Http, bytes: &[u8]) {
    for byte in bytes.iter().cycle() {
        if connection.try_send(&[*byte]).is_err() {
            return;
        }
        thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn a_connection_that_sends_nothing_is_ended_on_both_ports() {
    let worker = Worker::with(QUICK);

    for address in [worker.ws, worker.internal] {
        let begin = Instant::now();
        assert_ends(&mut Http::connect(address), begin);
    }
}

#[test]
fn half_a_request_head_is_ended_and_counted_on_both_ports() {
    let worker = Worker::with(QUICK);

    for (address, count) in [(worker.ws, 1), (worker.internal, 2)] {
        let begin = Instant::now();
        let mut connection = Http::connect(address);
        connection.send(b"GET /ws?topic=a HTTP/1.1\r\nHost: wor");
        assert_ends(&mut connection, begin);
        worker.wait_for_counter("http_timeouts", count);
    }
}

#[test]
fn a_request_head_that_trickles_in_is_ended_and_counted_on_both_ports() {
    let worker = Worker::with(QUICK);

    for (address, count) in [(worker.ws, 1), (worker.internal, 2)] {
        let begin = Instant::now();
        let mut connection = Http::connect(address);
        connection.send(b"GET /ws?topic=a HTTP/1.1\r\nHost: worker\r\nX: ");
        trickle(&mut connection, b"x");
        assert!(begin.elapsed() < PATIENCE, "the trickle was listened to");
        worker.wait_for_counter("http_timeouts", count);
    }
}

#[test]
fn half_a_body_is_ended_and_counted() {
    let worker = Worker::with(QUICK);
    let begin = Instant::now();
    let mut connection = worker.internal();
    let bytes = worker.post_request("/internal/register", r#"{"topic":"a"}"#);

    connection.send(&bytes[..bytes.len() - 1]);

    assert_ends(&mut connection, begin);
    worker.wait_for_counter("http_timeouts", 1);
    assert_eq!(worker.try_publish("a", "1").status, 404);
}

#[test]
fn a_body_that_trickles_in_is_ended_and_counted() {
    let worker = Worker::with(QUICK);
    let begin = Instant::now();
    let mut connection = worker.internal();

    let head = format!(
        "POST /internal/register HTTP/1.1\r\nHost: worker\r\nX-Worker-Secret: {SECRET}\r\n\
         Content-Length: 1000000\r\n\r\n"
    );
    connection.send(head.as_bytes());
    trickle(&mut connection, b" ");

    assert!(begin.elapsed() < PATIENCE, "the trickle was listened to");
    worker.wait_for_counter("http_timeouts", 1);
}

#[test]
fn a_chunked_body_that_stalls_is_ended_and_counted() {
    let worker = Worker::with(QUICK);
    let begin = Instant::now();
    let mut connection = worker.internal();

    let head = format!(
        "POST /internal/register HTTP/1.1\r\nHost: worker\r\nX-Worker-Secret: {SECRET}\r\n\
         Transfer-Encoding: chunked\r\n\r\n5\r\n{{\"to"
    );
    connection.send(head.as_bytes());

    assert_ends(&mut connection, begin);
    worker.wait_for_counter("http_timeouts", 1);
}

#[test]
fn a_second_half_request_on_a_connection_is_ended_as_the_first_would_be() {
    let worker = Worker::with(QUICK);
    let mut connection = worker.public();
    assert_eq!(connection.ask(b"GET / HTTP/1.1\r\nHost: worker\r\n\r\n").status, 404);
    let begin = Instant::now();

    connection.send(b"GET /ws?topic=a HTTP/1.1\r\nHost: wor");

    assert_ends(&mut connection, begin);
}

#[test]
fn half_open_connections_hold_up_nobody() {
    let worker = Worker::start();
    worker.register("a");
    let mut half_open: Vec<Http> = Vec::new();

    for _ in 0..200 {
        for address in [worker.ws, worker.internal] {
            let mut connection = Http::connect(address);
            connection.send(&upgrade_request("/ws?topic=a", "").as_bytes()[..50]);
            half_open.push(connection);
        }
    }
    let begin = Instant::now();
    let mut socket = worker.subscribe("a");
    worker.publish("a", "1");

    assert_eq!(socket.next_push(), "1");
    assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());
}

#[test]
fn a_slow_but_timely_request_is_served() {
    let worker = Worker::with("request_timeout: 3s\n");
    let mut connection = worker.internal();

    for part in worker.post_request("/internal/register", r#"{"topic":"a"}"#).chunks(20) {
        connection.send(part);
        thread::sleep(Duration::from_millis(50));
    }

    connection.answer().assert_ok();
}

#[test]
fn a_client_of_the_internal_port_that_does_not_read_its_answers_is_ended_and_counted() {
    let worker = Worker::with(QUICK);
    let begin = Instant::now();
    let (mut stream, _) = worker.internal().into_parts();
    stream.set_write_timeout(Some(Duration::from_millis(100))).unwrap();
    let requests = request("GET", "/nowhere", &[], b"").repeat(100);

    let ended = loop {
        match stream.write(&requests) {
            Err(error) if !matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                break error;
            }
            _ => assert!(begin.elapsed() < PATIENCE, "it is still served"),
        }
    };

    assert!(matches!(ended.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe), "{ended}");
    worker.wait_for_counter("http_timeouts", 1);
}
