//! What goes wrong shows in the live view, with where it happened: each fault made for real
//! (docs/live-view.md, "Problems").

use std::time::Duration;

use serde_json::Value;

use crate::support::{Http, Redis, Strace, Viewer, Worker, alone, mint, request, unix_now, until};

fn detail(problem: &Value) -> &str {
    problem["recent"][0]["detail"].as_str().unwrap()
}

/// The names of all kinds that were noticed.
fn kinds(viewer: &Viewer) -> Vec<String> {
    let state = viewer.json("/live/state");
    let problems = state["problems"].as_array().unwrap().iter();
    let mut kinds: Vec<String> =
        problems.map(|problem| problem["kind"].as_str().unwrap().to_owned()).collect();
    kinds.sort();
    kinds
}

#[test]
fn refused_logins_show_by_reason_with_topic_and_client() {
    let worker = Worker::with("auth_timeout: 1s\n");
    worker.register("a");
    let viewer = Viewer::sign_in(&worker);
    let refuse = |frame: &str| {
        let mut socket = worker.open("a");
        socket.send_text(frame);
        socket.ending();
    };
    let token = |token: &str| refuse(&format!(r#"{{"type":"auth","token":"{token}"}}"#));
    let claims = |topic: &str, expires: u64| {
        format!(r#"{{"user_id":1,"topic":"{topic}","expires":{expires}}}"#)
    };
    let later = unix_now() + 1000;

    refuse("{}");
    refuse(r#"{"type":"auth","token":""}"#);
    token("nonsense");
    token(&mint(&claims("a", later), "another-secret-0123456789abcdef0123"));
    token(&worker.mint(&claims("a", 1)));
    token(&worker.mint(&claims("b", later)));
    token(&worker.mint(&format!(r#"{{"user_id":1,"expires":{later}}}"#)));
    let mut gone = worker.open("a");
    worker.unregister("a");
    gone.send_text(&format!(r#"{{"type":"auth","token":"{}"}}"#, worker.token(1, "a")));
    gone.ending();
    worker.register("a");
    let mut silent = worker.open("a");
    silent.ending();

    for kind in [
        "no_auth_frame",
        "no_token",
        "token_malformed",
        "token_signature",
        "token_expired",
        "token_other_topic",
        "token_opens_nothing",
        "topic_gone",
        "auth_timeout",
    ] {
        let problem = viewer.wait_for_problem(kind, 1);
        assert_eq!(problem["count"], 1, "{kind}");
        assert_eq!(detail(&problem), "topic \"a\", client 127.0.0.1");
        assert!(problem["title"].as_str().unwrap().len() > 10);
        assert!(problem["advice"].as_str().unwrap().len() > 30);
        assert_eq!(problem["first_at"], problem["last_at"]);
        assert_eq!(problem["recent"][0]["at"], problem["last_at"]);
    }
    assert_eq!(kinds(&viewer).len(), 9);
}

#[test]
fn topics_that_are_not_registered_show_with_their_names() {
    let worker = Worker::start();
    let viewer = Viewer::sign_in(&worker);

    assert_eq!(worker.try_publish("sesion.42", "1").status, 404);
    let from = [("X-Forwarded-For", "198.51.100.7")];
    let mut browser = worker.public();
    assert_eq!(browser.ask(&request("GET", "/ws?topic=sesion.42", &from, b"")).status, 404);

    let published = viewer.wait_for_problem("publish_unregistered", 1);
    assert_eq!(detail(&published), "topic \"sesion.42\"");
    let asked = viewer.wait_for_problem("browser_unregistered", 1);
    assert_eq!(detail(&asked), "topic \"sesion.42\", client 198.51.100.7");

    // A flood is counted, and neither pushes out the other kind nor is it written down.
    let mut scanner = worker.public();
    let odd = request("GET", "/ws?topic=%1b%5b2J%00&x=<script>", &from, b"");
    for _ in 0..500 {
        assert_eq!(scanner.ask(&odd).status, 404);
    }
    let asked = viewer.wait_for_problem("browser_unregistered", 501);
    assert_eq!(asked["recent"].as_array().unwrap().len(), 10);
    let odd = r#"topic "\u{1b}[2J\u{0}", client 198.51.100.7"#;
    assert_eq!(detail(&asked), odd);
    assert_eq!(viewer.wait_for_problem("publish_unregistered", 1)["count"], 1);
}

#[test]
fn a_wrong_secret_shows_with_the_address_that_it_came_from() {
    let worker = Worker::start();
    let viewer = Viewer::sign_in(&worker);
    let wrong = [("X-Worker-Secret", "wrong")];

    for path in ["/internal/status", "/metrics"] {
        assert_eq!(worker.internal().ask(&request("GET", path, &wrong, b"")).status, 403);
    }

    let problem = viewer.wait_for_problem("wrong_secret", 2);
    assert_eq!(detail(&problem), "client 127.0.0.1, /metrics");
    assert_eq!(problem["recent"][1]["detail"], "client 127.0.0.1, /internal/status");
}

#[test]
fn a_browser_that_takes_too_little_shows_with_its_topic_and_address() {
    let worker = Worker::with("backlog_bytes: 65536\n");
    worker.register("a");
    let stalled = worker.subscribe("a");
    let viewer = Viewer::sign_in(&worker);

    let payload = format!("\"{}\"", "x".repeat(32 * 1024));
    while worker.counter("slow_closes") == 0 {
        worker.publish("a", &payload);
    }

    let problem = viewer.wait_for_problem("slow_close", 1);
    assert_eq!(
        (problem["count"].as_u64(), detail(&problem)),
        (Some(1), "topic \"a\", client 127.0.0.1")
    );
    drop(stalled);
}

#[test]
fn a_topic_with_too_much_waiting_shows_with_its_name() {
    let _alone = alone();
    let worker = Worker::with("outbox_bytes: 65536\n");
    worker.register("long");
    let sockets: Vec<_> = (0..100).map(|user| worker.subscribe_as(user, "long")).collect();
    let viewer = Viewer::sign_in(&worker);
    let strace = Strace::delay_sends(&worker, Duration::from_millis(20));

    let payload = format!("\"{}\"", "x".repeat(40_000));
    until("a refused publish", || {
        (worker.try_publish("long", &payload).status == 503).then_some(())
    });
    drop(strace);

    assert_eq!(detail(&viewer.wait_for_problem("outbox_full", 1)), "topic \"long\"");
    drop(sockets);
}

#[test]
fn dead_browsers_and_requests_that_do_not_end_show_as_numbers() {
    let worker = Worker::with("ping_interval: 1s\nidle_timeout: 2s\nrequest_timeout: 1s\n");
    worker.register("a");
    let viewer = Viewer::sign_in(&worker);

    let dead = worker.subscribe("a").hear_pings();
    let mut half = worker.public();
    half.send(b"GET /ws?topic=a HT");

    assert_eq!(viewer.wait_for_problem("http_timeout", 1)["recent"], Value::Array(vec![]));
    assert_eq!(viewer.wait_for_problem("dead_peer", 1)["count"], 1);
    drop(dead);
}

#[test]
fn too_few_files_show_with_how_many_browsers_there_are() {
    let worker = Worker::with_few_files(100);

    let strangers: Vec<Http> = (0..120).map(|_| worker.public()).collect();
    worker.wait_for_counter("refused_full", 1);

    let problem = Viewer::sign_in(&worker).wait_for_problem("files_full", 1);
    assert!(detail(&problem).ends_with("browsers are connected, and no more can be"), "{problem}");
    drop(strangers);
}

#[test]
fn what_a_node_has_missed_shows_with_the_reason() {
    let mut redis = Redis::start();
    let one = Worker::node(&redis.url(), "one", "redis_buffer_bytes: 64KiB\n");
    let two = Worker::node(&redis.url(), "two", "");
    one.register("a");
    redis.wait_for_topic("a");
    let viewers = [Viewer::sign_in(&one), Viewer::sign_in(&two)];
    one.publish("a", "1");
    two.wait_for_counter("envelopes_received", 1);

    redis.kill();
    one.wait_until_alone();
    let payload = format!("\"{}\"", "x".repeat(30_000));
    for _ in 0..5 {
        one.publish("a", &payload);
    }
    redis.restart();
    one.wait_until_ready();

    let dropped = viewers[0].wait_for_problem("events_dropped", 3);
    assert!(detail(&dropped).ends_with("dropped, oldest first"), "{dropped}");
    let gap = viewers[1].wait_for_problem("gap", 1);
    assert!(!detail(&gap).is_empty());
    for viewer in &viewers {
        viewer.wait_for_problem("redis_away", 1);
    }
}

#[test]
fn a_redis_that_refuses_shows_with_what_it_says() {
    let redis = Redis::with(&["--rename-command", "SET", ""]);
    let node = Worker::apart(&redis.url(), "one", "");
    let viewer = Viewer::sign_in(&node);

    let problem = viewer.wait_for_problem("redis_refuses", 1);

    let said = problem["recent"].to_string().to_lowercase();
    assert!(said.contains("unknown command"), "{problem}");
}
