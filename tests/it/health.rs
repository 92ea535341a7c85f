//! Whether a worker is well: `/healthz` on the WebSocket port, `/livez` beside the internal API,
//! and `wavelog_worker health` (docs/protocol.md, "Health").

use std::io::Write;
use std::net::{SocketAddr, TcpListener};
use std::process::Output;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use tempfile::TempDir;

use crate::support::{
    Answer, Http, Redis, Socket, Worker, command, frame, request, upgrade_request,
};

/// How long a health check may take.
const BOUND: Duration = Duration::from_secs(2);

fn healthz(connection: &mut Http) -> Answer {
    connection.ask(&request("GET", "/healthz", &[], b""))
}

/// Runs `health` with `arguments` and the environment of a container, on given ports.
fn health(arguments: &[&str], ws: SocketAddr, internal: SocketAddr) -> Output {
    let directory = TempDir::new().unwrap();
    let mut command = command();
    command
        .current_dir(directory.path())
        .arg("health")
        .args(arguments)
        .env("WORKER_WS_PORT", ws.port().to_string())
        .env("WORKER_INTERNAL_BIND", internal.ip().to_string())
        .env("WORKER_INTERNAL_PORT", internal.port().to_string());
    let begin = Instant::now();
    let output = command.output().unwrap();
    assert!(begin.elapsed() < BOUND, "{:?}", begin.elapsed());
    output
}

/// What `health` says when all is well.
#[track_caller]
fn good(output: Output) -> String {
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(output.stderr.is_empty(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// The one line that says why not.
#[track_caller]
fn bad(output: Output) -> String {
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(output.stdout.is_empty(), "{output:?}");
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(text.lines().count(), 1, "{text}");
    text
}

#[test]
fn healthz_is_ok_by_get_and_head_and_the_connection_stays() {
    let worker = Worker::start();
    worker.register("a");
    let mut connection = worker.public();

    let answer = healthz(&mut connection);
    connection.send(&request("HEAD", "/healthz", &[], b""));
    let head = connection.answer_to_head();
    let with_query = connection.ask(&request("GET", "/healthz?x=1", &[], b""));
    let upgraded = connection.ask(upgrade_request("/ws?topic=a", "").as_bytes());

    assert_eq!(answer.brief(), (200, "ok"));
    for (name, value) in [
        ("Content-Type", Some("text/plain; charset=utf-8")),
        ("Content-Length", Some("2")),
        ("Cache-Control", Some("no-store")),
        ("Connection", None),
    ] {
        assert_eq!(answer.header(name), value, "{name}");
        assert_eq!(head.header(name), value, "{name} of HEAD");
    }
    assert_eq!(head.status, 200);
    assert_eq!(with_query.brief(), (200, "ok"));
    Socket::upgraded(connection, &upgraded).authenticate(&worker.token(1, "a"));
}

#[test]
fn healthz_by_other_methods_is_405_and_other_spellings_are_404() {
    let worker = Worker::start();
    let mut connection = worker.public();

    for method in ["POST", "PUT", "DELETE", "OPTIONS"] {
        let answer = connection.ask(&request(method, "/healthz", &[], b""));
        answer.assert_error(405, "method not allowed\n");
    }
    for path in ["/healthz/", "/Healthz", "/health", "/livez", "/readyz"] {
        let answer = connection.ask(&request("GET", path, &[], b""));
        answer.assert_error(404, "404 page not found\n");
    }
    let closing = "GET /healthz HTTP/1.0\r\n\r\n";
    assert_eq!(connection.ask(closing.as_bytes()).brief(), (200, "ok"));
    assert_eq!(connection.rest(), b"");
}

#[test]
fn while_the_node_ends_healthz_is_503_and_nobody_new_is_let_in() {
    let mut worker = Worker::start();
    worker.register("a");
    let mut connection = worker.public();
    assert_eq!(healthz(&mut connection).status, 200);
    // A browser that does not answer the close: the last step waits for it.
    let mut browser = worker.subscribe("a");

    let begin = Instant::now();
    worker.signal(Signal::TERM);
    let close = browser.next();
    let (mut newcomer, mut balancer) = (worker.public(), worker.public());
    newcomer.send(upgrade_request("/ws?topic=a", "").as_bytes());
    let answer = healthz(&mut balancer);
    let of_newcomer = newcomer.answer_or_end();
    browser.send_raw(&frame(close.opcode, &close.payload));
    let exit = worker.wait_for_exit();

    answer.assert_error(503, "draining\n");
    assert_eq!(answer.header("Connection"), Some("close"));
    assert_eq!(of_newcomer, None, "a load balancer tries another node");
    assert_eq!(exit.code(), Some(0));
    assert!(begin.elapsed() < BOUND, "the end took {:?}", begin.elapsed());
}

#[test]
fn livez_is_ok_for_anybody() {
    let worker = Worker::start();
    let mut connection = worker.internal();

    for method in ["GET", "POST"] {
        assert_eq!(connection.ask(&request(method, "/livez", &[], b"")).brief(), (200, "ok"));
    }
}

#[test]
fn health_says_how_the_worker_is_and_needs_no_secret() {
    let worker = Worker::start();

    let ready = good(health(&[], worker.ws, worker.internal));
    let lives = good(health(&["--live"], worker.ws, worker.internal));
    let takes = good(health(&["--ws"], worker.ws, worker.internal));

    let (ws, internal) = (worker.ws, worker.internal);
    assert_eq!(ready, format!("{internal} is ready\n"));
    assert_eq!(lives, format!("{internal} lives\n"));
    assert_eq!(takes, format!("{ws} takes browsers\n"));
}

#[test]
fn health_finds_the_worker_whatever_address_it_is_bound_to() {
    for (bind, asked) in [
        ("0.0.0.0", "127.0.0.1"),
        ("::", "127.0.0.1"),
        ("::1", "[::1]"),
        ("127.0.0.3", "127.0.0.3"),
        ("127.0.0.1", "127.0.0.1"),
    ] {
        let worker = Worker::with(&format!("internal_bind: \"{bind}\"\n"));
        let bound = SocketAddr::new(bind.parse().unwrap(), worker.internal.port());

        let said = good(health(&[], worker.ws, bound));

        assert_eq!(said, format!("{asked}:{} is ready\n", bound.port()), "{bind}");
    }
}

#[test]
fn a_node_without_redis_lives_but_is_not_ready() {
    let mut redis = Redis::start();
    let node = Worker::node(&redis.url(), "one", "");
    good(health(&[], node.ws, node.internal));

    redis.kill();
    node.wait_until_alone();

    let said = bad(health(&[], node.ws, node.internal));
    assert!(said.contains("is not ready: redis not connected; it serves its own"), "{said}");
    good(health(&["--live"], node.ws, node.internal));
    good(health(&["--ws"], node.ws, node.internal));
}

#[test]
fn health_says_in_one_line_why_not() {
    let worker = Worker::start();
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let liar = TcpListener::bind("127.0.0.1:0").unwrap();
    let liar_at = liar.local_addr().unwrap();
    let lying = std::thread::spawn(move || {
        liar.accept().unwrap().0.write_all(b"220 mail.example.org ESMTP\r\n").unwrap();
    });
    let any = SocketAddr::from(([127, 0, 0, 1], 0));

    for (arguments, ws, internal, words) in [
        (&[][..], any, nobody, "no worker listens on 127.0.0.1:"),
        (&["--ws"], nobody, any, "or correct ws_port in the configuration"),
        (&[], any, silent.local_addr().unwrap(), "does not answer within 1.5 s"),
        (
            &[],
            nobody,
            liar_at,
            "gives no HTTP answer: another program has the port of internal_port",
        ),
        (&["--live"], any, worker.ws, "does not know /livez: it is an older worker"),
        (&["--ws"], worker.internal, any, "does not know /healthz"),
        (&[], any, any, "internal_port is 0"),
    ] {
        let said = bad(health(arguments, ws, internal));
        assert!(said.contains(words), "{said}");
    }
    lying.join().unwrap();
}
