//! Numbers that are missing, doubled or unknown: who may have missed something is told, by a
//! close with 4009, and nobody else.

use std::time::{Duration, Instant};

use crate::support::{
    EVENTS, GoNode, Herd, Link, Proxy, RESYNC, Redis, Socket, Worker, topics, until,
};

const GO: &str = "00000000000000f0";
const OTHER: &str = "00000000000000a1";
const BOOT: &str = "00000000000000b1";

/// An envelope as a node of ours writes it.
fn envelope(topic: &str, payload: &str, n: u64, boot: &str) -> String {
    format!(
        r#"{{"origin_id":"{OTHER}","topic":"{topic}","payload":{payload},"n":{n},"boot":"{boot}"}}"#
    )
}

/// A node and a socket on its topic `a`.
fn node_with_socket(redis: &Redis, more_config: &str) -> (Worker, Socket) {
    let node = Worker::node(&redis.url(), "node", more_config);
    node.register("a");
    let socket = node.subscribe("a");
    (node, socket)
}

#[test]
fn a_missing_number_closes_browsers_with_4009_and_is_counted() {
    let redis = Redis::start();
    let (node, mut socket) = node_with_socket(&redis, "resync_spread: 100ms\n");

    for n in [1, 2, 4] {
        redis.publish(EVENTS, envelope("a", &n.to_string(), n, BOOT).as_bytes());
    }

    assert_eq!([socket.next_push(), socket.next_push()], ["1", "2"]);
    let ending = socket.ending();
    assert_eq!(ending.code(), Some(RESYNC), "{ending:?}");
    assert!(!ending.reset, "{ending:?}");
    node.wait_for_counter("gaps", 1);
    node.wait_for_counter("resync_closes", 1);
    // Whoever comes now has fetched its page anew.
    let mut again = node.subscribe("a");
    redis.publish(EVENTS, envelope("a", "5", 5, BOOT).as_bytes());
    assert_eq!(again.next_push(), "5");
    again.assert_quiet();
}

#[test]
fn a_gap_is_only_counted_if_it_is_to_be_ignored() {
    let redis = Redis::start();
    let (node, mut socket) = node_with_socket(&redis, "on_gap: ignore\n");

    for n in [1, 2, 4, 5] {
        redis.publish(EVENTS, envelope("a", &n.to_string(), n, BOOT).as_bytes());
    }

    for n in [1, 2, 4, 5] {
        assert_eq!(socket.next_push(), n.to_string());
    }
    node.wait_for_counter("gaps", 1);
    socket.assert_quiet();
    assert_eq!(node.counter("resync_closes"), 0);
}

#[test]
fn a_missing_number_is_noticed_among_envelopes_for_topics_that_nobody_here_wants() {
    let redis = Redis::start();
    let (_node, mut socket) = node_with_socket(&redis, "resync_spread: 100ms\n");

    for n in [1, 2, 4] {
        redis.publish(EVENTS, envelope("elsewhere", "1", n, BOOT).as_bytes());
    }

    socket.ending().assert_only_close(RESYNC);
}

#[test]
fn an_envelope_that_comes_again_is_not_delivered_again() {
    let redis = Redis::start();
    let (node, mut socket) = node_with_socket(&redis, "");

    for n in [1, 2, 2, 1, 3] {
        redis.publish(EVENTS, envelope("a", &n.to_string(), n, BOOT).as_bytes());
    }

    for n in 1..=3 {
        assert_eq!(socket.next_push(), n.to_string());
    }
    socket.assert_quiet();
    assert_eq!(node.counter("envelopes_duplicate"), 2);
    assert_eq!(node.counter("gaps"), 0);
}

#[test]
fn a_node_that_starts_again_counts_from_one_without_a_gap() {
    let redis = Redis::start();
    let (node, mut socket) = node_with_socket(&redis, "");

    for (n, boot) in [(1, BOOT), (2, BOOT), (1, "00000000000000b2"), (2, "00000000000000b2")] {
        redis.publish(EVENTS, envelope("a", &n.to_string(), n, boot).as_bytes());
    }

    for n in [1, 2, 1, 2] {
        assert_eq!(socket.next_push(), n.to_string());
    }
    socket.assert_quiet();
    assert_eq!(node.counter("gaps"), 0);
}

#[test]
fn envelopes_of_go_nodes_have_no_numbers_and_leave_no_gaps() {
    let redis = Redis::start();
    let go = GoNode::join(&redis, GO);
    let (node, mut socket) = node_with_socket(&redis, "");

    for n in 0..10 {
        go.publish("a", &n.to_string());
    }

    for n in 0..10 {
        assert_eq!(socket.next_push(), n.to_string());
    }
    socket.assert_quiet();
    assert_eq!(node.counter("gaps"), 0);
}

#[test]
fn a_node_that_joins_late_or_restarts_closes_nobody() {
    let redis = Redis::start();
    let one = Worker::node(&redis.url(), "one", "");
    one.register("a");
    for n in 0..50 {
        one.publish("a", &n.to_string());
    }
    let mut socket = one.subscribe("a");

    let other = Worker::node(&redis.url(), "other", "");
    let mut to_other = other.subscribe("a");
    one.publish("a", r#""from one""#);
    assert_eq!(to_other.next_push(), r#""from one""#);
    drop(other);
    let other = Worker::node(&redis.url(), "other", "");
    let mut to_other = other.subscribe("a");
    other.publish("a", r#""from other""#);
    one.publish("a", r#""again""#);

    for socket in [&mut socket, &mut to_other] {
        let mut heard = vec![socket.next_push(), socket.next_push()];
        if heard[0] == r#""from one""# {
            heard.push(socket.next_push());
        }
        heard.retain(|payload| payload != r#""from one""#);
        heard.sort();
        assert_eq!(heard, [r#""again""#, r#""from other""#]);
        socket.assert_quiet();
    }
    assert_eq!(one.counter("gaps") + other.counter("gaps"), 0);
}

/// Cuts a node with 200 browsers, which saw what happens `before`, off from Redis, lets
/// `meanwhile` happen, and returns how many browsers were told, and within what time of the return.
fn told_after_a_cut(
    redis: &Redis,
    spread: &str,
    before: impl FnOnce(&Worker),
    meanwhile: impl FnOnce(),
) -> (usize, Duration) {
    let proxy = Proxy::to(redis.address());
    let topics = topics();
    let config = format!("resync_spread: {spread}\n");
    let node = Worker::node(&redis.url_at(proxy.address), "node", &config);
    topics.iter().for_each(|topic| node.register(topic));
    let herd = Herd::of_one_visit(&node, &topics, 200);
    before(&node);

    proxy.set(Link { cut: true, ..Link::default() });
    node.wait_until_alone();
    meanwhile();
    let healed = Instant::now();
    proxy.set(Link::default());
    node.wait_until_ready();
    until("the browsers to be told", || (herd.endings().get(&RESYNC) == Some(&200)).then_some(()));

    assert_eq!(herd.endings().len(), 1, "{:?}", herd.endings());
    assert_eq!(node.counter("resync_closes"), 200);
    let told = herd.ended_at(RESYNC);
    let spread_over = *told.last().unwrap() - told[0];
    assert!(spread_over > Duration::from_millis(500), "all were closed within {spread_over:?}");
    (told.len(), *told.last().unwrap() - healed)
}

#[test]
fn everybody_is_told_when_a_go_node_of_the_roster_may_have_published_during_a_cut() {
    let redis = Redis::start();
    let go = GoNode::join(&redis, GO);
    go.enter("go-1", &jiff::Timestamp::now().to_string());

    let (told, within) = told_after_a_cut(&redis, "1s", |_| {}, || go.publish("session.1", "1"));

    eprintln!("a Go node published during a cut: {told} told within {within:?}");
    assert!(within < Duration::from_secs(7), "{within:?}");
}

#[test]
fn everybody_is_told_when_a_go_node_that_was_heard_may_have_published_during_a_cut() {
    let redis = Redis::start();
    let go = GoNode::join(&redis, GO);

    let (told, within) = told_after_a_cut(
        &redis,
        "1s",
        // A 0.2.4 has no roster, but it spoke before.
        |node| {
            go.publish("session.1", r#""before""#);
            node.wait_for_counter("envelopes_received", 1);
        },
        || go.publish("session.1", r#""meanwhile""#),
    );

    eprintln!("a Go node that was heard published during a cut: {told} told within {within:?}");
    assert!(within < Duration::from_secs(7), "{within:?}");
}

#[cfg(feature = "faults")]
#[test]
fn everybody_is_told_when_a_silent_go_node_may_have_published_during_a_cut() {
    let redis = Redis::start();
    // A 0.2.4 that has never said a word: it can only be seen as one more that listens.
    let go = GoNode::join(&redis, GO);

    let (told, within) = told_after_a_cut(
        &redis,
        "1s",
        // A stranger is believed in when it is counted for ten seconds.
        |_| std::thread::sleep(Duration::from_secs(13)),
        || go.publish("session.1", "1"),
    );

    eprintln!("a silent Go node published during a cut: {told} told within {within:?}");
    assert!(within < Duration::from_secs(7), "{within:?}");
}

#[test]
fn a_cut_in_a_cluster_of_ours_in_which_nobody_published_closes_nobody() {
    let redis = Redis::start();
    let proxy = Proxy::to(redis.address());
    let one = Worker::node(&redis.url_at(proxy.address), "one", "resync_spread: 100ms\n");
    let other = Worker::node(&redis.url(), "other", "");
    one.register("a");
    let mut socket = one.subscribe("a");
    other.register("a");
    other.publish("a", "1");
    assert_eq!(socket.next_push(), "1");

    proxy.set(Link { cut: true, ..Link::default() });
    one.wait_until_alone();
    proxy.set(Link::default());
    one.wait_until_ready();
    other.publish("a", "2");

    assert_eq!(socket.next_push(), "2");
    socket.assert_quiet();
    assert_eq!(one.counter("resync_closes"), 0);
}

#[test]
fn who_missed_a_publish_of_ours_during_a_cut_is_told_even_if_nothing_more_is_published() {
    let redis = Redis::start();
    let proxy = Proxy::to(redis.address());
    let one = Worker::node(&redis.url_at(proxy.address), "one", "resync_spread: 100ms\n");
    let other = Worker::node(&redis.url(), "other", "");
    one.register("a");
    let mut socket = one.subscribe("a");
    other.register("a");
    other.publish("a", "1");
    assert_eq!(socket.next_push(), "1");

    proxy.set(Link { cut: true, ..Link::default() });
    one.wait_until_alone();
    other.publish("a", "2");
    other.wait_for_counter("envelopes_sent", 2);
    proxy.set(Link::default());

    socket.ending().assert_only_close(RESYNC);
}

#[test]
fn what_does_not_fit_into_the_buffer_during_an_outage_is_counted_and_told() {
    let mut redis = Redis::start();
    let one = Worker::node(&redis.url(), "one", "redis_buffer_bytes: 64KiB\n");
    let other = Worker::node(&redis.url(), "other", "resync_spread: 100ms\n");
    for node in [&one, &other] {
        node.register("a");
    }
    let mut to_one = one.subscribe("a");
    let mut to_other = other.subscribe("a");
    let payload = format!("\"{}\"", "x".repeat(4096));

    redis.kill();
    one.wait_until_alone();
    for _ in 0..50 {
        one.publish("a", &payload);
        assert_eq!(to_one.next_push(), payload);
    }
    assert!(one.counter("envelopes_dropped") > 0);
    redis.restart();

    let ending = to_other.ending();
    assert_eq!(ending.code(), Some(RESYNC), "{:?}", ending.close);
    // Its own browsers missed nothing.
    to_one.assert_quiet();
}

#[test]
fn what_waited_too_long_during_an_outage_is_dropped_and_told() {
    let mut redis = Redis::start();
    let one = Worker::node(&redis.url(), "one", "redis_buffer_age: 1s\n");
    let other = Worker::node(&redis.url(), "other", "resync_spread: 100ms\n");
    for node in [&one, &other] {
        node.register("a");
    }
    let mut to_other = other.subscribe("a");
    redis.kill();
    one.wait_until_alone();
    one.publish("a", r#""too old""#);

    one.wait_for_counter("envelopes_dropped", 1);
    redis.restart();

    to_other.ending().assert_only_close(RESYNC);
}

#[test]
fn what_was_published_just_before_a_clean_end_reaches_the_others() {
    let redis = Redis::start();
    let mut one = Worker::node(&redis.url(), "one", "");
    let other = Worker::node(&redis.url(), "other", "");
    for node in [&one, &other] {
        node.register("a");
    }
    let mut socket = other.subscribe("a");

    for n in 0..100 {
        one.publish("a", &n.to_string());
    }
    one.signal(rustix::process::Signal::TERM);
    assert!(one.wait_for_exit().success());

    for n in 0..100 {
        assert_eq!(socket.next_push(), n.to_string());
    }
    socket.assert_quiet();
}
