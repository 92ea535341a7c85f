//! What strangers may fill is bounded, and PHP does not pay for it (docs/protocol.md, "Deadlines";
//! docs/operations.md, "Sizing").

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use crate::support::{Http, SECRET, Socket, Worker, command, request, until};

/// What PHP waits for an answer.
const PHP_WAITS: Duration = Duration::from_secs(1);

#[test]
fn strangers_on_the_websocket_port_leave_files_for_php() {
    let mut shell = std::process::Command::new("sh");
    shell.args(["-c", "ulimit -n 100; exec \"$0\"", env!("CARGO_BIN_EXE_wavelog_worker")]);
    for (name, value) in [
        ("WORKER_SECRET", SECRET),
        ("WORKER_WS_BIND", "127.0.0.1"),
        ("WORKER_WS_PORT", "0"),
        ("WORKER_INTERNAL_PORT", "0"),
        ("WORKER_LOG_FORMAT", "json"),
    ] {
        shell.env(name, value);
    }
    let directory = TempDir::new().unwrap();
    shell.current_dir(directory.path());
    let worker = Worker::from_command(shell, directory, SECRET);

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
    let floods: Vec<_> = (0..4).map(|_| flood(&worker)).collect();

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

/// A browser that sends pings as fast as it can for a second, and reads the pongs.
fn flood(worker: &Worker) -> thread::JoinHandle<()> {
    let mut socket: Socket = worker.open("flooded");
    socket.authenticate("");
    let pings = [0x89, 0x80, 0, 0, 0, 0].repeat(10_000);
    let end = Instant::now() + Duration::from_secs(1);
    thread::spawn(move || {
        while Instant::now() < end && socket.try_send_raw(&pings).is_ok() {
            let mut unread = 10_000 * 2;
            while unread > 0 {
                unread -= socket.read_some(unread);
            }
        }
    })
}
