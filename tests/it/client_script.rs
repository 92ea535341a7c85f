//! The browser client at `/client.js` (docs/protocol.md, "Client script"). What the client does is
//! tested in `clients/js` and `tests/browser`.

use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use std::{fs, thread};

use flate2::read::GzDecoder;
use rustix::process::Signal;
use socket2::{Domain, Type};
use tempfile::TempDir;

use crate::support::{Answer, Http, PATIENCE, Socket, Worker, command, request, upgrade_request};

const VERSION: &str = env!("CARGO_PKG_VERSION");
const GZIP: (&str, &str) = ("Accept-Encoding", "gzip, deflate, br");

fn get(worker: &Worker, path: &str, headers: &[(&str, &str)]) -> Answer {
    worker.public().ask(&request("GET", path, headers, b""))
}

/// The script as whoever takes no gzip gets it.
fn script(worker: &Worker) -> String {
    get(worker, "/client.js", &[]).text().to_owned()
}

fn unpacked(answer: &Answer) -> String {
    let mut text = String::new();
    GzDecoder::new(&answer.body[..]).read_to_string(&mut text).unwrap();
    text
}

#[test]
fn the_script_is_javascript_that_any_page_may_load() {
    let worker = Worker::start();

    let answer = get(&worker, "/client.js", &[]);

    assert_eq!(answer.status, 200);
    for (name, value) in [
        ("Content-Type", Some("text/javascript; charset=utf-8")),
        ("X-Content-Type-Options", Some("nosniff")),
        ("Access-Control-Allow-Origin", Some("*")),
        ("Cross-Origin-Resource-Policy", Some("cross-origin")),
        ("Vary", Some("Accept-Encoding")),
        ("Content-Encoding", None),
        ("Content-Length", Some(&*answer.body.len().to_string())),
        ("Connection", None),
    ] {
        assert_eq!(answer.header(name), value, "{name}");
    }
    let first = format!("/*! wavelog-worker-client {VERSION}, MIT licence */\n");
    assert!(answer.text().starts_with(&first), "{}", answer.text());
}

#[test]
fn gzip_is_the_same_script_in_less_than_9_kb() {
    let worker = Worker::start();

    let packed = get(&worker, "/client.js", &[GZIP]);

    assert_eq!(packed.header("Content-Encoding"), Some("gzip"));
    assert_eq!(packed.header("Vary"), Some("Accept-Encoding"));
    assert_eq!(unpacked(&packed), script(&worker));
    println!("{} bytes, {} of them packed", script(&worker).len(), packed.body.len());
    assert!(packed.body.len() < 9 * 1024, "{} bytes", packed.body.len());
}

#[test]
fn the_script_sets_the_global_and_nothing_else() {
    let worker = Worker::start();
    let directory = TempDir::new().unwrap();
    let file = directory.path().join("client.js");
    fs::write(&file, script(&worker)).unwrap();

    // A context has nothing that the language itself does not have.
    let check = r#"
        const context = require("node:vm").createContext({ WavelogWorker: { url: "ws://x" } });
        const script = require("node:fs").readFileSync(process.argv[1], "utf8");
        const run = (code) => require("node:vm").runInContext(code, context);
        run(script);
        console.log(run("Object.keys(globalThis).join()"), run("WavelogWorker.url"),
            run("WavelogWorker.version"), run("typeof WavelogWorker.connect"),
            run("typeof WavelogWorker.subscribe"));
    "#;
    let node = Command::new("node").arg("-e").arg(check).arg(&file).output().unwrap();

    let said = String::from_utf8(node.stdout).unwrap();
    let complaint = String::from_utf8_lossy(&node.stderr);
    assert_eq!(said, format!("WavelogWorker ws://x {VERSION} function function\n"), "{complaint}");
}

#[test]
fn who_has_the_script_is_told_so() {
    let worker = Worker::start();
    let mut tags = Vec::new();

    for headers in [&[][..], &[GZIP]] {
        let first = get(&worker, "/client.js", headers);
        let tag = first.header("ETag").unwrap();
        let headers = [headers, &[("If-None-Match", tag)]].concat();
        let again = get(&worker, "/client.js", &headers);

        assert_eq!(again.brief(), (304, ""));
        for name in ["ETag", "Cache-Control", "Vary", "Access-Control-Allow-Origin"] {
            assert_eq!(again.header(name), first.header(name), "{name}");
        }
        assert_eq!(again.header("Content-Length"), None);
        tags.push(tag.to_owned());
    }

    assert!(tags.iter().all(|tag| tag.starts_with('"') && tag.ends_with('"')), "{tags:?}");
    assert_ne!(tags[0], tags[1]);
    let other = get(&worker, "/client.js", &[("If-None-Match", &tags[1])]);
    assert_eq!(other.status, 200);
}

#[test]
fn the_script_of_a_version_is_kept_for_ever_and_that_of_another_not_at_all() {
    let worker = Worker::start();
    let cache = |path: &str| {
        let answer = get(&worker, path, &[]);
        assert_eq!(answer.status, 200);
        answer.header("Cache-Control").unwrap().to_owned()
    };

    assert_eq!(cache("/client.js"), "public, max-age=3600");
    let own = format!("/client.js?v={VERSION}");
    assert_eq!(cache(&own), "public, max-age=31536000, immutable");
    assert_eq!(cache("/client.js?v=0.0.1"), "no-cache");
    assert_eq!(cache("/client.js?v="), "no-cache");
}

#[test]
fn head_gets_the_same_head() {
    let worker = Worker::start();
    let mut connection = worker.public();
    let whole = get(&worker, "/client.js", &[GZIP]);

    connection.send(&request("HEAD", "/client.js", &[GZIP], b""));
    let head = connection.answer_to_head();

    let without_date = |answer: &Answer| {
        let mut headers = answer.headers.clone();
        headers.retain(|(name, _)| name != "Date");
        (answer.status, headers)
    };
    assert_eq!(without_date(&head), without_date(&whole));
    assert_eq!(connection.ask(&request("GET", "/client.js", &[GZIP], b"")), {
        let date = head.header("Date").unwrap();
        let mut whole = whole.clone();
        let own = whole.headers.iter_mut().find(|(name, _)| name == "Date").unwrap();
        own.1 = date.to_owned();
        whole
    });
}

#[test]
fn other_methods_are_405_and_other_paths_404() {
    let worker = Worker::start();
    let mut connection = worker.public();

    for method in ["POST", "PUT", "DELETE", "OPTIONS", "get"] {
        let answer = connection.ask(&request(method, "/client.js", &[], b""));
        answer.assert_error(405, "method not allowed\n");
    }
    for path in ["/client.js/", "/Client.js", "/client", "/client.mjs", "//client.js"] {
        let answer = connection.ask(&request("GET", path, &[], b""));
        answer.assert_error(404, "404 page not found\n");
    }
}

#[test]
fn the_connection_stays_for_more_and_for_an_upgrade() {
    let worker = Worker::start();
    worker.register("a");
    let mut connection = worker.public();

    // All at once: nothing of it gets lost, and the order stays.
    let ask = request("GET", "/client.js", &[], b"");
    let none = request("GET", "/nothing", &[], b"");
    let upgrade = upgrade_request("/ws?topic=a", "").into_bytes();
    connection.send(&[&ask[..], &none, &ask, &ask, &upgrade].concat());

    let expected = script(&worker);
    for status in [200, 404, 200, 200] {
        let answer = connection.answer();
        assert_eq!(answer.status, status);
        assert!(status != 200 || answer.text() == expected);
    }
    let answer = connection.answer();
    Socket::upgraded(connection, &answer).authenticate(&worker.token(1, "a"));
}

#[test]
fn the_connection_ends_when_http_says_so() {
    let worker = Worker::start();
    let expected = script(&worker);
    let whole = "GET /client.js HTTP/1.0\r\n\r\n";
    let closing = "GET /client.js HTTP/1.1\r\nHost: worker\r\nConnection: close\r\n\r\n";

    for asked in [whole, closing] {
        let mut connection = worker.public();
        let answer = connection.ask(asked.as_bytes());
        assert_eq!(answer.brief(), (200, &*expected));
        assert_eq!(answer.header("Connection"), Some("close"));
        assert_eq!(connection.rest(), b"");
    }
}

#[test]
fn the_demo_serves_it_beside_its_page() {
    let directory = TempDir::new().unwrap();
    let mut demo = command();
    demo.env("TMPDIR", directory.path()).args(["demo", "--ws-port", "0", "--internal-port", "0"]);
    let mut demo = demo.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let lines = BufReader::new(demo.stdout.take().unwrap()).lines().map(Result::unwrap);
    let open = lines.filter_map(|line| Some(line.trim().strip_prefix("open http://")?.to_owned()));
    let host = open.take(1).next().unwrap().trim_end_matches('/').to_owned();

    let mut connection = Http::connect(host.parse().unwrap());
    let answer = connection.ask(&request("GET", "/client.js", &[], b""));
    let page = format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n");
    let page = connection.ask(page.as_bytes());

    demo.kill().unwrap();
    demo.wait().unwrap();
    assert_eq!(answer.header("Content-Type"), Some("text/javascript; charset=utf-8"));
    assert_eq!(page.header("Content-Type"), Some("text/html; charset=utf-8"));
}

#[test]
fn many_at_once_get_it_and_hold_nobody_up() {
    let worker = Worker::start();
    worker.register("a");
    let mut socket = worker.subscribe("a");
    let expected = script(&worker);
    let ask = request("GET", "/client.js", &[GZIP], b"");

    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let mut connections: Vec<Http> = (0..50).map(|_| worker.public()).collect();
                connections.iter_mut().for_each(|connection| connection.send(&ask));
                for connection in &mut connections {
                    assert_eq!(unpacked(&connection.answer()), expected);
                }
            });
        }
        for n in 0..20 {
            let begin = Instant::now();
            worker.publish("a", &n.to_string());
            assert_eq!(socket.next_push(), n.to_string());
            assert!(begin.elapsed() < Duration::from_secs(1), "{:?}", begin.elapsed());
        }
    });
}

/// How often a stalled connection has asked for the script.
const ASKED: usize = 60;

/// A connection that has asked for more than the kernel has room for, and has read nothing. `behind`
/// is what it asks for in the end.
fn stalled(worker: &Worker, behind: &[u8]) -> Http {
    // The kernel gives a connection with short segments and a small window little room.
    let socket = socket2::Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    socket.set_tcp_mss(536).unwrap();
    socket.connect(&worker.ws.into()).unwrap();
    let mut connection = Http::over(socket.into());
    // So long that the worker never meets more at a time than it answers.
    let ask = request("GET", "/client.js", &[("Cookie", &"x".repeat(2500))], b"");
    connection.send(&[&ask.repeat(ASKED), behind].concat());
    connection
}

#[test]
fn who_reads_slowly_gets_everything_in_order() {
    let worker = Worker::start();
    worker.register("a");
    let expected = script(&worker);
    let upgrade = upgrade_request("/ws?topic=a", "").into_bytes();
    let (first, second) = upgrade.split_at(20);

    let mut connection = stalled(&worker, first);
    connection.send(second);

    for _ in 0..ASKED {
        assert_eq!(connection.answer().brief(), (200, &*expected));
    }
    let answer = connection.answer();
    Socket::upgraded(connection, &answer).authenticate(&worker.token(1, "a"));
}

#[test]
fn who_reads_nothing_is_ended_in_time_and_costs_little() {
    let worker = Worker::with("request_timeout: 1s\n");
    worker.register("a");
    let before = worker.memory("VmRSS");

    let begin = Instant::now();
    let connections: Vec<Http> = (0..20).map(|_| stalled(&worker, b"")).collect();
    worker.wait_for_counter("http_timeouts", 20);

    assert!(begin.elapsed() < PATIENCE);
    assert!(worker.memory("VmHWM") < before + 4 * 1024 * 1024);
    worker.open("a").assert_quiet();
    drop(connections);
}

#[test]
fn an_answer_under_way_does_not_delay_the_end() {
    let mut worker = Worker::start();
    let _connection = stalled(&worker, b"");

    let begin = Instant::now();
    worker.signal(Signal::TERM);

    assert_eq!(worker.wait_for_exit().code(), Some(0));
    assert!(begin.elapsed() < Duration::from_secs(2), "{:?}", begin.elapsed());
}
