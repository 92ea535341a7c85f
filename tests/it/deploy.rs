//! What `deploy/` ships works as it is: each proxy is started with the shipped file in front of
//! real workers, and the files agree with the worker and with each other.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use socket2::{Domain, Socket as RawSocket, Type};

use crate::support::{
    BALANCERS, Balancer, CLOSE, Http, Kind, Node, Redis, SECRET, Socket, Worker, program, until,
    upgrade_request,
};

/// A worker with an open topic `a`, which believes nobody but the proxy itself about addresses.
fn worker() -> Worker {
    let worker = Worker::with("trusted_proxies: [\"127.0.0.1\"]\n");
    worker.register_open("a");
    worker
}

/// Subscribes to `a` through the proxy.
fn subscribe(balancer: &Balancer) -> Socket {
    let mut socket = Socket::upgrade(balancer.public(), "/ws?topic=a", "");
    socket.authenticate("");
    socket
}

fn shipped(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy").join(path)
}

#[test]
fn browsers_and_php_reach_a_node_through_every_proxy_though_two_others_are_dead() {
    for kind in BALANCERS {
        let worker = worker();
        let balancer = Balancer::start(kind, &[Node::from(&worker)]);

        // More often than there are places, so that every way of balancing meets the dead ones.
        for n in 0..6 {
            let mut socket = subscribe(&balancer);
            let publish = worker.publish_request("a", &n.to_string());
            let answer = Http::connect(balancer.php).ask(&publish);

            assert_eq!((kind, answer.brief()), (kind, (200, "")));
            assert_eq!(socket.next_push(), n.to_string(), "{kind:?}");
        }
    }
}

#[test]
fn the_log_shows_the_browser_and_neither_the_proxy_nor_what_the_browser_claims_to_be() {
    for kind in BALANCERS {
        let worker = worker();
        let balancer = Balancer::start(kind, &[Node::from(&worker)]);
        let stream = RawSocket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        stream.bind(&SocketAddr::from(([127, 0, 0, 9], 0)).into()).unwrap();
        stream.connect(&balancer.browsers.into()).unwrap();

        let claim = "X-Forwarded-For: 203.0.113.1\r\n";
        let http = Http::over(TcpStream::from(stream));
        let mut socket = Socket::upgrade(http, "/ws?topic=a", claim);
        socket.send_text("{}");
        socket.ending();

        let line =
            worker.wait_for_log("a refused login", |line| line["message"] == "login refused");
        assert_eq!(line["client"], "127.0.0.9", "{kind:?}");
    }
}

#[test]
fn the_browser_client_gets_through_every_proxy() {
    let request = b"GET /client.js?v=1 HTTP/1.1\r\nHost: site\r\nAccept-Encoding: gzip\r\n\r\n";
    for kind in BALANCERS {
        let worker = worker();
        let balancer = Balancer::start(kind, &[Node::from(&worker)]);
        let expected = worker.public().ask(request);

        // More often than there are places, as above.
        for _ in 0..6 {
            let answer = balancer.public().ask(request);

            assert_eq!((kind, answer.status), (kind, 200));
            assert!(answer.body == expected.body, "{kind:?}");
            for name in ["Content-Type", "Content-Encoding", "Cache-Control", "Vary", "ETag"] {
                assert_eq!((kind, answer.header(name)), (kind, expected.header(name)));
            }
        }
    }
}

#[test]
fn other_paths_do_not_get_through() {
    for kind in BALANCERS {
        let worker = worker();
        let balancer = Balancer::start(kind, &[Node::from(&worker)]);

        for path in ["/", "/wsx", "/client.jsx", "/internal/status", "/readyz"] {
            let request = format!("GET {path} HTTP/1.1\r\nHost: site\r\n\r\n");
            let answer = balancer.public().ask(request.as_bytes());

            assert_eq!((kind, path, answer.status), (kind, path, 404));
        }
    }
}

#[test]
fn browsers_of_a_node_that_ends_are_told_so_and_find_another_at_once() {
    for kind in BALANCERS {
        let mut workers = [worker(), worker()];
        let balancer = Balancer::start(kind, &[Node::from(&workers[0]), Node::from(&workers[1])]);
        let sockets: Vec<Socket> = (0..4).map(|_| subscribe(&balancer)).collect();
        let first = workers[0].status()["connected_sockets"].as_u64().unwrap();
        assert!((1..4).contains(&first), "{kind:?} balances: {first} of 4");

        workers[0].signal(Signal::TERM);
        workers[0].wait_for_exit();
        // The proxy has noticed nothing yet: whoever it sends to the old node is refused there.
        let mut again: Vec<Socket> = (0..first).map(|_| subscribe(&balancer)).collect();
        workers[1].wait_for_sockets(4);
        let publish = workers[1].publish_request("a", "1");
        let answer = Http::connect(balancer.php).ask(&publish);

        assert_eq!((kind, answer.brief()), (kind, (200, "")));
        for socket in &mut again {
            assert_eq!(socket.next_push(), "1", "{kind:?}");
        }
        // The others have the push instead.
        let told = sockets.into_iter().filter_map(|mut socket| {
            let frame = socket.next();
            (frame.opcode == CLOSE && frame.payload.starts_with(&[3, 233])).then_some(())
        });
        assert_eq!(told.count() as u64, first, "{kind:?}");
    }
}

#[test]
fn without_redis_every_proxy_still_lets_browsers_and_php_in() {
    let lets_in = |kind| {
        let redis = Redis::absent(&[]);
        let nodes = ["one", "other"].map(|name| Worker::apart(&redis.url(), name, ""));
        for node in &nodes {
            node.register_open("a");
            assert_eq!(node.readiness().status, 503);
        }
        let balancer = Balancer::start(kind, &nodes.each_ref().map(Node::from));

        // Long enough for every proxy to notice that no node is ready: each asks once a second.
        let begin = Instant::now();
        while begin.elapsed() < Duration::from_secs(4) {
            subscribe(&balancer);
            let publish = nodes[0].publish_request("a", "1");
            let answer = Http::connect(balancer.php).ask(&publish);
            assert_eq!((kind, answer.brief()), (kind, (200, "")));
        }
    };

    thread::scope(|scope| {
        for kind in BALANCERS {
            scope.spawn(move || lets_in(kind));
        }
    });
}

#[test]
fn proxies_that_can_ask_send_new_browsers_to_nodes_that_have_redis() {
    for kind in [Kind::Haproxy, Kind::Caddy] {
        let redis = Redis::start();
        let with = Worker::node(&redis.url(), "with", "");
        // On an address of its own, with the same port: Caddy asks all nodes at one.
        let without = Worker::from_config(
            &format!(
                "worker_secret: {SECRET}\nlog_format: json\nredis_url: \"{}\"\n\
                 ws_bind: 127.0.6.2\nws_port: 0\ninternal_bind: 127.0.6.2\ninternal_port: {}\n",
                Redis::absent(&[]).url(),
                with.internal.port(),
            ),
            SECRET,
        );
        for node in [&with, &without] {
            node.register_open("a");
        }
        let balancer = Balancer::start(kind, &[Node::from(&without), Node::from(&with)]);

        // Once it has asked, nobody comes to the node without Redis any more.
        let sockets = until("only one node to get browsers", || {
            let before = without.status()["connected_sockets"].clone();
            let sockets = [(); 6].map(|()| subscribe(&balancer));
            (without.status()["connected_sockets"] == before).then_some(sockets)
        });

        assert_eq!(with.status()["connected_sockets"], sockets.len(), "{kind:?}");
    }
}

#[test]
fn tls_ends_at_the_proxy() {
    for kind in BALANCERS {
        let worker = worker();
        let balancer = Balancer::with_tls(kind, &[Node::from(&worker)]);
        let address = balancer.browsers.to_string();
        let mut client = program("openssl")
            .args(["s_client", "-quiet", "-servername", "localhost", "-connect", &address])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();

        let mut stdin = client.stdin.take().unwrap();
        let request = upgrade_request("/ws?topic=a", "").replace("Host: worker", "Host: localhost");
        stdin.write_all(request.as_bytes()).unwrap();
        let mut line = String::new();
        BufReader::new(client.stdout.take().unwrap()).read_line(&mut line).unwrap();
        client.kill().unwrap();
        client.wait().unwrap();

        assert!(line.starts_with("HTTP/1.1 101 "), "{kind:?}: {line}");
    }
}

/// The numbers of seconds behind `setting` wherever it stands alone on its line.
fn seconds(text: &str, setting: &str) -> Vec<f64> {
    let lines = text.lines().filter_map(|line| line.trim().strip_prefix(setting));
    let values = lines.map(|rest| rest.trim().trim_end_matches(';'));
    let number = |value: &str| match value.strip_suffix("ms") {
        Some(number) => number.parse::<f64>().unwrap() / 1000.0,
        None => value.strip_suffix('s').unwrap().parse().unwrap(),
    };
    values.map(number).collect()
}

#[test]
fn a_socket_may_be_silent_for_longer_than_the_worker_bears_it() {
    let idle_timeout = 60.0; // The default, in docs/configuration.md.
    let haproxy = Kind::Haproxy.text();
    let nginx = Kind::Nginx.text();

    // The first of each is that of browsers.
    for (text, setting) in [
        (&haproxy, "timeout tunnel"),
        (&haproxy, "timeout client "),
        (&haproxy, "timeout server "),
        (&nginx, "proxy_read_timeout"),
        (&nginx, "proxy_send_timeout"),
    ] {
        assert!(seconds(text, setting)[0] > idle_timeout, "{setting}");
    }
}

#[test]
fn a_node_that_is_gone_costs_a_browser_half_a_second_at_most() {
    for (kind, setting) in [
        (Kind::Haproxy, "timeout connect"),
        (Kind::Nginx, "proxy_connect_timeout"),
        (Kind::Caddy, "dial_timeout"),
    ] {
        let times = seconds(&kind.text(), setting);

        assert!(!times.is_empty() && times.iter().all(|time| *time <= 0.5), "{setting}: {times:?}");
    }
}

#[test]
fn the_image_is_built_with_the_toolchain_and_from_the_files_that_the_project_names() {
    let manifest = fs::read_to_string(shipped("../Cargo.toml")).unwrap();
    let dockerfile = fs::read_to_string(shipped("Dockerfile")).unwrap();
    let ignored = fs::read_to_string(shipped("../.dockerignore")).unwrap();

    let version = manifest.lines().find_map(|line| line.strip_prefix("rust-version = ")).unwrap();
    let image = format!("rust:{}-", version.trim_matches('"'));
    assert!(dockerfile.contains(&format!("FROM --platform=$BUILDPLATFORM {image}slim-bookworm")));
    for name in ["ci", "release"] {
        let workflow =
            fs::read_to_string(shipped("../.github/workflows").join(format!("{name}.yml")));
        let workflow = workflow.unwrap();
        let containers = workflow.matches("rust:").count();
        assert_eq!(workflow.matches(&image).count(), containers, "{name}");
    }
    for name in ignored.lines().filter_map(|line| line.strip_prefix('!')) {
        assert!(shipped("..").join(name).exists(), "{name}");
    }
    // Of which cargo knows nothing: it would only find them missing in the middle of the build.
    for needed in ["!src", "!build", "!clients/js/src", "!config.sample.yaml"] {
        assert!(ignored.lines().any(|line| line == needed), "{needed}");
    }
}
