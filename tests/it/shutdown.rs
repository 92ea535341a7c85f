//! The end: 1001 to every browser, exit 0 within two seconds, ports free again
//! (docs/protocol.md, "End").

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::support::{Frame, Http, Socket, Worker, upgrade_request};

/// How long the end may take.
const BOUND: Duration = Duration::from_secs(2);

/// Ends the worker and checks that it exits with 0 in time.
fn assert_ends_in_time(worker: &mut Worker, signal: Signal) {
    let begin = Instant::now();
    worker.signal(signal);
    let status = worker.wait_for_exit();

    assert_eq!(status.code(), Some(0), "{:#?}", worker.log());
    assert!(begin.elapsed() < BOUND, "the end took {:?}", begin.elapsed());
}

#[test]
fn sigterm_and_sigint_end_an_idle_worker_with_exit_0() {
    for signal in [Signal::TERM, Signal::INT] {
        assert_ends_in_time(&mut Worker::start(), signal);
    }
}

#[test]
fn every_browser_is_told_1001() {
    let mut worker = Worker::start();
    worker.register("a");
    let mut sockets: Vec<Socket> = (0..50).map(|user| worker.subscribe_as(user, "a")).collect();
    sockets.push(worker.open("a"));

    let endings = thread::spawn(move || sockets.iter_mut().map(Socket::ending).collect::<Vec<_>>());
    assert_ends_in_time(&mut worker, Signal::TERM);

    for ending in endings.join().unwrap() {
        ending.assert_only_close(1001);
    }
}

#[test]
fn a_browser_that_does_not_answer_the_close_does_not_delay_the_end() {
    let mut worker = Worker::start();
    worker.register("a");
    let mut socket = worker.subscribe("a");

    assert_ends_in_time(&mut worker, Signal::TERM);

    assert_eq!(socket.ending().code(), Some(1001));
}

#[test]
fn what_was_published_before_the_end_arrives_before_the_close() {
    let mut worker = Worker::start();
    worker.register("a");
    let mut sockets: Vec<Socket> = (0..100).map(|user| worker.subscribe_as(user, "a")).collect();

    let requests: Vec<u8> =
        (0..50).flat_map(|n| worker.publish_request("a", &n.to_string())).collect();
    let mut publisher = worker.internal();
    publisher.send(&requests);
    for _ in 0..50 {
        publisher.answer().assert_ok();
    }
    let endings = thread::spawn(move || sockets.iter_mut().map(Socket::ending).collect::<Vec<_>>());
    assert_ends_in_time(&mut worker, Signal::TERM);

    for ending in endings.join().unwrap() {
        let pushes: Vec<Frame> =
            (0..50).map(|n| Frame::text(&format!(r#"{{"type":"push","payload":{n}}}"#))).collect();
        assert_eq!(ending.frames, pushes);
        assert_eq!(ending.code(), Some(1001));
    }
}

#[test]
fn the_end_is_in_time_under_load_with_stalled_and_half_open_peers() {
    let mut worker = Worker::with("backlog_bytes: 67108864\n");
    worker.register("a");
    worker.register("stalled");
    let mut readers: Vec<Socket> = (0..50).map(|user| worker.subscribe_as(user, "a")).collect();
    let stalled: Vec<Socket> = (0..5).map(|user| worker.subscribe_as(user, "stalled")).collect();
    let large = format!("\"{}\"", "x".repeat(900_000));
    for _ in 0..12 {
        worker.publish("stalled", &large);
    }
    let half_open: Vec<Http> = [worker.ws, worker.internal, worker.ws, worker.internal]
        .into_iter()
        .map(|address| {
            let mut connection = Http::connect(address);
            connection.send(&upgrade_request("/ws?topic=a", "").as_bytes()[..40]);
            connection
        })
        .collect();
    let mut half_body = worker.internal();
    let request = worker.publish_request("a", r#"{"some":"payload"}"#);
    half_body.send(&request[..request.len() - 3]);
    let ending = AtomicBool::new(false);

    thread::scope(|scope| {
        for _ in 0..2 {
            let mut connection = worker.internal();
            let (ending, request) = (&ending, &request);
            scope.spawn(move || {
                let mut served = 0;
                while connection.try_send(request).is_ok() {
                    match connection.answer_or_end() {
                        Some(answer) if answer.status == 200 => served += 1,
                        _ => break,
                    }
                }
                assert!(ending.load(Ordering::Relaxed), "stopped after {served} publishes");
            });
        }
        for socket in &mut readers {
            scope.spawn(move || {
                let end = socket.ending();
                assert_eq!(end.code(), Some(1001), "{:?} after {}", end.close, end.frames.len());
            });
        }
        while worker.counter("publishes") < 500 {
            thread::sleep(Duration::from_millis(10));
        }
        ending.store(true, Ordering::Relaxed);
        assert_ends_in_time(&mut worker, Signal::TERM);
    });
    drop((stalled, half_open));
}

#[test]
fn the_ports_can_be_bound_again_at_once() {
    let mut first = Worker::start();
    first.register("a");
    let sockets: Vec<Socket> = (0..10).map(|user| first.subscribe_as(user, "a")).collect();
    let port = first.ws.port();
    assert_ends_in_time(&mut first, Signal::TERM);

    let second = Worker::on_port(port, "");

    assert_eq!(second.ws.port(), port);
    drop(sockets);
}

#[test]
fn nobody_new_is_let_in_after_the_end_began() {
    let mut worker = Worker::start();
    worker.register("a");
    let ws = worker.ws;

    assert_ends_in_time(&mut worker, Signal::TERM);

    assert!(std::net::TcpStream::connect(ws).is_err());
}
