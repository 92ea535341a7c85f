//! Every number on the page of metrics moves for the reason that docs/metrics.md gives.

use std::fs;
use std::time::Duration;

use rustix::process::Signal;

use crate::support::{
    Http, Redis, Scrape, Socket, Strace, TEXT, Worker, alone, encode, frame, request, unix_now,
    until, upgrade_request,
};

/// Values of a label with their numbers, in order of names.
fn counts(expected: &[(&str, u64)]) -> Vec<(String, u64)> {
    expected.iter().map(|(value, number)| ((*value).to_owned(), *number)).collect()
}

/// How often and how long, together, something took.
fn durations(scrape: &Scrape, name: &str) -> (f64, f64) {
    (scrape.get(&format!("{name}_count")), scrape.get(&format!("{name}_sum")))
}

#[test]
fn handshakes_are_counted_by_what_became_of_them() {
    let worker = Worker::with("request_timeout: 300ms\n");
    worker.register("a");
    let ask = |bytes: &[u8]| worker.public().ask(bytes).status;

    let _waiting = worker.open("a");
    assert_eq!(ask(upgrade_request("/ws?topic=b", "").as_bytes()), 404);
    assert_eq!(ask(upgrade_request("/ws?topic=c", "").as_bytes()), 404);
    assert_eq!(ask(b"nonsense\r\n\r\n"), 400);
    assert_eq!(ask(upgrade_request("/ws", "").as_bytes()), 400);
    assert_eq!(ask(&request("GET", "/ws?topic=a", &[], b"")), 400);
    assert_eq!(ask(&request("GET", "/ws", &[("Cookie", &"x".repeat(33_000))], b"")), 431);
    assert_eq!(ask(upgrade_request("/ws?topic=a", "").replace("GET", "POST").as_bytes()), 405);
    // These do not want to be a WebSocket.
    assert_eq!(ask(&request("GET", "/nowhere", &[], b"")), 404);
    assert_eq!(ask(&request("GET", "/client.js", &[], b"")), 200);
    let mut silent = worker.public();
    silent.send(b"GET /ws?top");
    silent.rest();

    let expected =
        counts(&[("bad_request", 5), ("timeout", 1), ("unknown_topic", 2), ("upgraded", 1)]);
    assert_eq!(worker.metrics().by_label("worker_handshakes_total"), expected);
}

#[test]
fn who_is_turned_away_because_files_run_out_is_counted() {
    let worker = Worker::with_few_files(100);

    let strangers: Vec<Http> = (0..120).map(|_| worker.public()).collect();
    worker.wait_for_metric("worker_handshakes_total{result=\"refused_full\"}", |n| n >= 1.0);

    let page = worker.metrics();
    assert_eq!(page.get("process_max_fds"), 100.0);
    assert!((70.0..100.0).contains(&page.get("process_open_fds")), "{page:?}");
    drop(strangers);
}

#[test]
fn logins_are_counted_by_what_became_of_them() {
    let worker = Worker::with("auth_timeout: 300ms\n");
    worker.register("a");

    let _in = worker.subscribe("a");
    let mut late = worker.open("a");
    assert_eq!(late.ending().code(), Some(4408));
    let mut refused = worker.open("a");
    refused.send_text("{}");
    refused.ending();
    drop(worker.open("a")); // It leaves without a word.
    let mut polite = worker.open("a");
    polite.send_raw(&frame(8, &[]));
    polite.ending();
    let mut wrong = worker.open("a");
    wrong.send_raw(&encode(true, 0, TEXT, None, b"not masked"));
    assert_eq!(wrong.ending().code(), Some(1002));

    worker.wait_for_metric("worker_logins_total{result=\"left\"}", |number| number == 2.0);
    let page = worker.metrics();
    let expected = [("authenticated", 1), ("left", 2), ("protocol_error", 1), ("refused", 1)];
    let expected = counts(&[&expected[..], &[("timeout", 1)]].concat());
    assert_eq!(page.by_label("worker_logins_total"), expected);
    assert_eq!(page.get("worker_handshakes_total{result=\"upgraded\"}"), 6.0, "as many as logins");
}

#[test]
fn refused_logins_are_counted_by_reason() {
    let worker = Worker::start();
    worker.register("a");
    worker.register("b");
    let refuse = |text: &str| {
        let mut socket = worker.open("a");
        socket.send_text(text);
        assert_eq!(socket.ending().code(), Some(1008), "{text}");
    };
    let with_token = |token: &str| refuse(&format!(r#"{{"type":"auth","token":"{token}"}}"#));
    let good = worker.token(1, "a");

    refuse("hello");
    refuse(r#"{"type":"auth"}"#);
    with_token("nonsense");
    with_token(&(good.clone() + "0"));
    with_token(&worker.mint(r#"{"user_id":1,"topic":"a","expires":1000}"#));
    with_token(&worker.mint(r#"{"user_id":1,"expires":4102444800}"#));
    with_token(&worker.token(1, "b"));
    let mut gone = worker.open("a");
    worker.unregister("a");
    gone.send_text(&format!(r#"{{"type":"auth","token":"{good}"}}"#));
    assert_eq!(gone.ending().code(), Some(1008));

    let expected = [
        "bad_signature",
        "expired",
        "malformed",
        "no_auth_frame",
        "no_grant",
        "no_token",
        "other_topic",
        "topic_gone",
    ];
    let page = worker.metrics();
    let found = page.by_label("worker_auth_failures_total");
    assert_eq!(found, counts(&expected.map(|reason| (reason, 1))));
    assert_eq!(page.get("worker_logins_total{result=\"refused\"}"), 8.0);
    assert_eq!(worker.counter("auth_failures"), 8);
}

#[test]
fn publishes_are_counted_by_what_became_of_them() {
    let worker = Worker::with("request_timeout: 300ms\n");
    worker.register("a");
    let post = |body: &str| worker.post("/internal/publish", body).status;

    worker.publish("a", "1");
    assert_eq!(worker.post("/internal/push", r#"{"topic":"a","payload":2}"#).status, 200);
    assert_eq!(worker.try_publish("b", "1").status, 404);
    for bad in ["nonsense", r#"{"payload":1}"#, r#"{"topic":"a"}"#] {
        assert_eq!(post(bad), 400);
    }
    assert_eq!(post(&format!(r#"{{"topic":"a","payload":"{}"}}"#, "x".repeat(1 << 20))), 400);
    assert_eq!(worker.get("/internal/publish").status, 405);
    for secret in [&[][..], &[("X-Worker-Secret", "wrong")]] {
        let body = br#"{"topic":"a","payload":1}"#;
        let asked = worker.internal().ask(&request("POST", "/internal/publish", secret, body));
        assert_eq!(asked.status, 403);
    }
    let whole = worker.publish_request("a", "12345");
    assert_eq!(worker.internal().ask(&whole[..whole.len() - 3]).status, 408);

    let page = worker.metrics();
    let expected = [("bad_request", 5), ("forbidden", 2), ("ok", 2), ("timeout", 1)];
    let expected = counts(&[&expected[..], &[("unknown_topic", 1)]].concat());
    assert_eq!(page.by_label("worker_publishes_total"), expected);
    assert_eq!(page.get("worker_forbidden_total"), 2.0);
    assert_eq!(page.get("worker_http_timeouts_total"), 1.0);
}

#[test]
fn a_publish_that_finds_its_outbox_full_is_busy() {
    let _alone = alone();
    let worker = Worker::with("outbox_bytes: 65536\n");
    worker.register("long");
    let sockets: Vec<Socket> = (0..100).map(|user| worker.subscribe_as(user, "long")).collect();
    let strace = Strace::delay_sends(&worker, Duration::from_millis(20));

    let payload = format!("\"{}\"", "x".repeat(40_000));
    let statuses: Vec<u16> = (0..4).map(|_| worker.try_publish("long", &payload).status).collect();
    drop(strace);

    let refused = statuses.iter().filter(|status| **status == 503).count();
    assert!(refused > 0, "{statuses:?}");
    let page = worker.metrics();
    assert_eq!(page.get("worker_publishes_total{result=\"busy\"}"), refused as f64);
    drop(sockets);
}

#[test]
fn deliveries_their_bytes_and_their_rounds_are_counted() {
    let worker = Worker::start();
    worker.register("a");
    let mut sockets = [worker.subscribe_as(1, "a"), worker.subscribe_as(2, "a")];
    let before = worker.metrics();

    for payload in ["1", "2", "3"] {
        worker.publish("a", payload);
        for socket in &mut sockets {
            assert_eq!(socket.next_push(), payload);
        }
    }

    let page = worker.metrics();
    let more = |name: &str| page.get(name) - before.get(name);
    let frame = r#"{"type":"push","payload":1}"#.len() + 2;
    assert_eq!(more("worker_deliveries_total"), 6.0);
    assert_eq!(more("worker_delivered_bytes_total"), 6.0 * frame as f64);
    assert_eq!(more("worker_refetches_estimate_total"), 6.0);
    for name in ["worker_fanout_duration_seconds", "worker_delivery_delay_seconds"] {
        assert_eq!(more(&format!("{name}_count")), 3.0, "{name}");
        assert_eq!(more(&format!("{name}_bucket{{le=\"+Inf\"}}")), 3.0, "{name}");
        let (count, sum) = durations(&page, name);
        assert!(sum < 10.0 * count, "{name}");
    }
}

#[test]
fn fanout_counts_the_writing_and_delay_the_waiting_too() {
    let _alone = alone();
    let worker = Worker::start();
    worker.register("a");
    worker.register("long");
    let mut sockets = [worker.subscribe_as(1, "a"), worker.subscribe_as(2, "a")];
    let mut long: Vec<Socket> = (0..70).map(|user| worker.subscribe_as(user, "long")).collect();
    let strace = Strace::delay_sends(&worker, Duration::from_millis(20));
    let before = worker.metrics();

    worker.publish("a", "1");
    sockets.iter_mut().for_each(|socket| assert_eq!(socket.next_push(), "1"));
    let short = worker.metrics();
    // The second waits for the round of the first, which is under way.
    worker.publish("long", "1");
    assert_eq!(long[0].next_push(), "1");
    worker.publish("long", "2");
    assert_eq!(long[0].next_push(), "2");
    for socket in &mut long[1..] {
        assert_eq!([socket.next_push(), socket.next_push()], ["1", "2"]);
    }
    drop(strace);

    let name = "worker_fanout_duration_seconds";
    let (delay, all) =
        ("worker_delivery_delay_seconds", before.get(&format!("{name}_count")) + 3.0);
    worker.wait_for_metric(&format!("{name}_count"), |count| count == all);
    let after = worker.metrics();
    let sum = |page: &Scrape, name| durations(page, name).1;
    assert!(sum(&short, name) - sum(&before, name) >= 0.04, "two sends of 20 ms");
    assert!(sum(&short, delay) - sum(&before, delay) >= 0.04);
    let (fanout, delay) =
        (sum(&after, name) - sum(&short, name), sum(&after, delay) - sum(&short, delay));
    assert!(fanout >= 2.8, "140 sends of 20 ms: {fanout}");
    assert!(delay - fanout >= 0.5, "the second waited for the first: {delay}, {fanout}");
}

#[test]
fn what_waits_for_a_slow_browser_is_in_bytes_and_then_in_time() {
    let worker = Worker::with("backlog_bytes: 64MiB\n");
    worker.register("a");
    let mut slow = worker.subscribe("a");
    let payload = format!("\"{}\"", "x".repeat(100_000));

    let mut published = 0;
    while worker.metrics().get("worker_backlog_bytes") == 0.0 {
        worker.publish("a", &payload);
        published += 1;
    }
    let page = worker.metrics();
    assert_eq!(page.get("worker_flushes_total"), 1.0);
    assert_eq!(page.get("worker_backlog_duration_seconds_count"), 0.0, "it still waits");
    (0..published).for_each(|_| assert_eq!(slow.next_push().len(), payload.len()));

    worker.wait_for_metric("worker_backlog_duration_seconds_count", |count| count == 1.0);
    let page = worker.metrics();
    assert_eq!(page.get("worker_backlog_bytes"), 0.0);
    assert!(page.get("worker_backlog_duration_seconds_sum") > 0.0);
    assert_eq!(page.get("worker_slow_closes_total"), 0.0);
}

#[test]
fn a_slow_browser_that_is_closed_ends_its_backlog_and_fetches_anew() {
    let worker = Worker::with("backlog_bytes: 65536\n");
    worker.register("a");
    let _slow = worker.subscribe("a");
    let payload = format!("\"{}\"", "x".repeat(32 * 1024));

    until("a slow close", || {
        worker.publish("a", &payload);
        (worker.metrics().get("worker_slow_closes_total") == 1.0).then_some(())
    });

    worker.wait_for_metric("worker_backlog_duration_seconds_count", |count| count == 1.0);
    let page = worker.metrics();
    let deliveries = page.get("worker_deliveries_total");
    assert_eq!(page.get("worker_refetches_estimate_total"), deliveries + 1.0);
    assert_eq!(page.get("worker_backlog_bytes"), 0.0);
}

#[test]
fn browsers_users_and_topics_are_as_many_as_there_are() {
    let worker = Worker::start();
    worker.register("a");
    worker.register("b");
    let sockets = [worker.subscribe_as(1, "a"), worker.subscribe_as(1, "a")];

    let page = worker.metrics();
    let numbers = ["sockets", "clients", "registered_topics", "active_topics", "ready"]
        .map(|name| page.get(&format!("worker_{name}")));
    assert_eq!(numbers, [2.0, 1.0, 3.0, 1.0, 1.0]);
    let version = concat!("worker_build_info{version=\"", env!("CARGO_PKG_VERSION"), "\"}");
    assert_eq!(page.get(version), 1.0);
    assert!(!page.0.contains_key("worker_redis_up"), "it is alone");
    drop(sockets);
    worker.wait_for_metric("worker_sockets", |count| count == 0.0);
}

#[test]
fn a_browser_that_falls_silent_is_a_dead_peer() {
    let worker = Worker::with("ping_interval: 100ms\nidle_timeout: 500ms\n");
    worker.register("a");
    let _silent = worker.subscribe("a");

    worker.wait_for_metric("worker_dead_peers_total", |count| count == 1.0);
}

#[test]
fn turns_of_the_event_loop_are_counted_when_browsers_say_something() {
    let worker = Worker::start();
    worker.register("a");
    let mut socket = worker.subscribe("a");
    let (before, _) = durations(&worker.metrics(), "worker_event_loop_turn_seconds");

    (0..20).for_each(|_| socket.assert_quiet());

    let name = "worker_event_loop_turn_seconds_count";
    worker.wait_for_metric(name, |count| count >= before + 20.0);
    assert!(worker.metrics().get("worker_session_wakeups_total") >= 20.0);
}

#[test]
fn the_way_to_redis_and_what_waits_for_it_are_told() {
    let mut redis = Redis::start();
    let nodes = [Worker::node(&redis.url(), "one", ""), Worker::node(&redis.url(), "two", "")];
    for node in &nodes {
        node.wait_for_metric("worker_cluster_nodes", |count| count == 2.0);
    }
    nodes[0].register_open("a");
    redis.wait_for_topic("a");
    let mut far = nodes[1].subscribe("a");
    nodes[0].publish("a", "1");
    assert_eq!(far.next_push(), "1");
    let page = nodes[0].metrics();
    assert_eq!((page.get("worker_redis_up"), page.get("worker_ready")), (1.0, 1.0));
    nodes[0].wait_for_metric("worker_envelopes_sent_total", |count| count == 1.0);
    nodes[0].wait_for_metric("worker_registry_writes_total", |count| count >= 1.0);
    assert_eq!(nodes[1].metrics().get("worker_envelopes_received_total"), 1.0);

    redis.kill();
    nodes[0].wait_until_alone();
    nodes[0].publish("a", "2");
    nodes[0].publish("a", "3");

    let page = nodes[0].metrics();
    assert_eq!((page.get("worker_redis_up"), page.get("worker_ready")), (0.0, 0.0));
    assert_eq!(page.get("worker_redis_queue_envelopes"), 2.0);
    assert!(page.get("worker_redis_queue_bytes") > 100.0);
    nodes[0].wait_for_metric("worker_redis_away_total", |count| count == 1.0);

    redis.restart();
    nodes.iter().for_each(Worker::wait_until_ready);
    nodes[0].wait_for_metric("worker_redis_queue_envelopes", |count| count == 0.0);
    nodes[0].wait_for_metric("worker_redis_reconnects_total", |count| count >= 1.0);
    assert_eq!([far.next_push(), far.next_push()], ["2", "3"]);
}

#[test]
fn what_another_node_sent_in_vain_is_a_gap_and_browsers_are_closed() {
    let redis = Redis::start();
    let node = Worker::node(&redis.url(), "one", "resync_spread: 1ms\n");
    node.register_open("a");
    let mut socket = node.subscribe("a");
    let send = |text: &str| {
        redis.publish("wavelog:events", text.as_bytes());
    };
    let numbered = |n: u64| {
        let head = r#"{"origin_id":"0123456789abcdef","topic":"a","payload":1"#;
        send(&format!(r#"{head},"n":{n},"boot":"00112233445566ff"}}"#));
    };

    numbered(1);
    numbered(1);
    numbered(5);
    send("nonsense");

    assert_eq!(socket.ending().code(), Some(4009));
    node.wait_for_metric("worker_envelopes_skipped_total", |count| count == 1.0);
    let page = node.metrics();
    let number = |name: &str| page.get(&format!("worker_{name}_total"));
    assert_eq!(number("gaps"), 1.0);
    assert_eq!(number("resync_closes"), 1.0);
    assert_eq!(number("envelopes_missed"), 3.0);
    assert_eq!(number("envelopes_duplicate"), 1.0);
    assert_eq!(number("envelopes_received"), 4.0);
    assert_eq!(number("refetches_estimate"), number("deliveries") + 1.0);
}

#[test]
fn a_topic_that_only_an_absent_redis_knows_is_counted_as_such() {
    let mut redis = Redis::start();
    let node = Worker::node(&redis.url(), "one", "");
    redis.kill();
    node.wait_until_alone();

    let answer = node.public().ask(upgrade_request("/ws?topic=x", "").as_bytes());

    assert_eq!(answer.status, 503);
    let found = node.metrics().by_label("worker_handshakes_total");
    assert_eq!(found, counts(&[("redis_away", 1)]));
}

#[test]
fn the_process_is_described_as_the_system_sees_it() {
    let worker = Worker::start();
    worker.register("a");
    let before = worker.metrics();

    let sockets: Vec<Socket> = (0..50).map(|user| worker.subscribe_as(user, "a")).collect();

    let page = worker.metrics();
    // Connections that are just ending may be among both.
    let more = page.get("process_open_fds") - before.get("process_open_fds");
    assert!((more - 50.0).abs() <= 3.0, "{more}");
    let resident = worker.memory("VmRSS") as f64;
    let ratio = page.get("process_resident_memory_bytes") / resident;
    assert!((0.8..1.25).contains(&ratio), "{ratio}");
    assert!(page.get("process_virtual_memory_bytes") > resident);
    let threads = fs::read_dir(format!("/proc/{}/task", worker.pid())).unwrap().count() as f64;
    assert!((page.get("process_threads") - threads).abs() <= 2.0);
    let age = unix_now() as f64 - page.get("process_start_time_seconds");
    assert!((-2.0..60.0).contains(&age), "{age}");
    let limits = fs::read_to_string(format!("/proc/{}/limits", worker.pid())).unwrap();
    let limit = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    let limit: f64 = limit.split_whitespace().nth(3).unwrap().parse().unwrap();
    assert_eq!(page.get("process_max_fds"), limit);
    until("time on a processor", || {
        worker.publish("a", "1");
        (worker.metrics().get("process_cpu_seconds_total") > 0.0).then_some(())
    });
    drop(sockets);
    worker.signal(Signal::TERM);
}
