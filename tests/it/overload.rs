//! What strangers may fill is bounded, and PHP does not pay for it (docs/protocol.md, "Deadlines";
//! docs/operations.md, "Sizing").

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::{Http, SECRET, Socket, Worker, alone, command, request, until};

/// What PHP waits for an answer.
const PHP_WAITS: Duration = Duration::from_secs(1);

#[test]
fn strangers_on_the_websocket_port_leave_files_for_php() {
    let worker = Worker::with_few_files(100);

    let strangers: Vec<Http> = (0..120).map(|_| worker.public()).collect();
    worker.wait_for_counter("refused_full", 1);

    let begin = Instant::now();
    worker.register("a");
    assert!(begin.elapsed() < PHP_WAITS);
    worker.wait_for_log("the warning", |line| {
        line["message"].as_str().is_some_and(|text| text.starts_with("no more browsers are taken"))
    });
    drop(strangers);
    until("room for a browser", || {
        let mut browser = worker.public();
        browser.try_send(&request("GET", "/ws", &[], b"")).ok()?;
        (browser.answer_or_end()?.status == 400).then_some(())
    });
}

#[test]
fn a_log_that_nobody_reads_holds_nobody_up() {
    let mut child = command()
        .envs([
            ("WORKER_SECRET", SECRET),
            ("WORKER_WS_BIND", "127.0.0.1"),
            ("WORKER_WS_PORT", "0"),
            ("WORKER_INTERNAL_PORT", "0"),
            ("WORKER_LOG_FORMAT", "json"),
        ])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut log = BufReader::new(child.stderr.take().unwrap()).lines();
    let internal: SocketAddr = loop {
        let line: Value = serde_json::from_str(&log.next().unwrap().unwrap()).unwrap();
        if line["message"] == "listening" {
            break line["internal"].as_str().unwrap().parse().unwrap();
        }
    };

    // Each leaves a line; a pipe holds a few hundred of them.
    let mut php = Http::connect(internal);
    let begin = Instant::now();
    for _ in 0..3000 {
        php.ask(&request("POST", "/internal/publish", &[], b"")).assert_error(403, "forbidden\n");
    }

    assert!(begin.elapsed() < Duration::from_secs(15));
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_browser_that_floods_pings_holds_nobody_up() {
    let worker = Worker::start();
    worker.register("quiet");
    worker.register_open("flooded");
    let mut quiet = worker.subscribe("quiet");
    let floods: Vec<_> = (0..4).map(|_| flood(&worker, Duration::from_secs(1))).collect();

    let mut slowest = Duration::ZERO;
    for n in 0..50 {
        let begin = Instant::now();
        worker.publish("quiet", &n.to_string());
        quiet.next_push();
        slowest = slowest.max(begin.elapsed());
    }

    assert!(slowest < PHP_WAITS, "{slowest:?}");
    for flood in floods {
        flood.join().unwrap();
    }
}

#[test]
fn a_browser_that_goes_on_flooding_pings_gets_no_more_than_its_turn() {
    let _alone = alone();
    let worker = Worker::start();
    worker.register("quiet");
    worker.register_open("flooded");
    let mut quiet = worker.subscribe("quiet");
    let floods: Vec<_> = (0..2).map(|_| flood(&worker, Duration::from_secs(8))).collect();

    let begin = Instant::now();
    let medians = [1, 7].map(|second| {
        let mut times = Vec::new();
        while begin.elapsed() < Duration::from_secs(second) {
            let begin = Instant::now();
            quiet.assert_quiet();
            times.push(begin.elapsed());
        }
        let mut last = times.split_off(times.len().saturating_sub(9));
        last.sort_unstable();
        last[last.len() / 2]
    });
    println!("a pong after {medians:?}");

    for flood in floods {
        flood.join().unwrap();
    }
    assert!(medians[1] < 4 * medians[0], "at first and at last: {medians:?}");
}

/// A browser that sends pings as fast as it can for `time`, and reads the pongs.
fn flood(worker: &Worker, time: Duration) -> thread::JoinHandle<()> {
    let mut socket: Socket = worker.open("flooded");
    socket.authenticate("");
    let mut sender = socket.into_stream();
    let mut reader = sender.try_clone().unwrap();
    let pings = [0x89, 0x80, 0, 0, 0, 0].repeat(10_000);
    let end = Instant::now() + time;
    thread::spawn(move || {
        let mut unread = vec![0; 1024 * 1024];
        while reader.read(&mut unread).is_ok_and(|count| count > 0) {}
    });
    thread::spawn(move || {
        while Instant::now() < end && sender.write_all(&pings).is_ok() {}
        let _ = sender.shutdown(Shutdown::Both); // Fails if the worker was first.
    })
}
