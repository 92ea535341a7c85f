//! Topics that nodes share through Redis: registered on one, known to all, Go nodes included
//! (docs/protocol.md, "Redis").

use std::thread;
use std::time::{Duration, Instant};

use crate::support::{
    GoNode, Http, Link, Proxy, Redis, Reply, Worker, request, topic_key, until, upgrade_request,
};

const GO: &str = "00000000000000f0";
const NOT_REGISTERED: (u16, &str) = (404, "topic not registered\n");
/// By when every node of ours has seen what happened on another one.
const SEEN: Duration = Duration::from_secs(1);

/// Status of a request for a WebSocket on `topic`, without upgrading: 400 if the topic is known.
fn ws_status(worker: &Worker, topic: &str) -> u16 {
    worker.public().ask(&request("GET", &format!("/ws?topic={topic}"), &[], b"")).status
}

/// What a browser with a bad token is told on `topic`.
fn lets_anyone_in(worker: &Worker, topic: &str) -> bool {
    let mut socket = worker.open(topic);
    socket.send_text(r#"{"type":"auth","token":"x"}"#);
    socket.next().as_text().unwrap().contains("auth_ok")
}

/// Waits until what happens next is later by the clock of Redis, by which nodes order it.
fn wait_for_the_clock(redis: &Redis) {
    let now = || -> Vec<String> { redis.ask(&["TIME"]).list().iter().map(Reply::text).collect() };
    let millis = |time: &[String]| -> u64 {
        time[0].parse::<u64>().unwrap() * 1000 + time[1].parse::<u64>().unwrap() / 1000
    };
    let begin = millis(&now());
    until("the clock of Redis to go on", || (millis(&now()) > begin + 20).then_some(()));
}

#[test]
fn a_topic_registered_on_one_node_is_known_on_the_others() {
    let redis = Redis::start();
    let one = Worker::node(&redis.url(), "one", "");
    let other = Worker::node(&redis.url(), "other", "");

    one.register("a");
    one.register_open("open");
    redis.wait_for_topic("a");
    redis.wait_for_topic("open");

    other.subscribe("a").assert_quiet();
    assert!(!lets_anyone_in(&other, "a"));
    assert!(lets_anyone_in(&other, "open"));
    other.publish("a", "1");
    assert_eq!(other.try_publish("b", "1").brief(), NOT_REGISTERED);
    assert_eq!(ws_status(&other, "b"), 404);
}

#[test]
fn topics_are_shared_with_go_nodes_in_both_directions() {
    let redis = Redis::start();
    let go = GoNode::join(&redis, GO);
    let node = Worker::node(&redis.url(), "node", "");

    go.register("by-go", true);
    go.register("by-go-open", false);
    node.register("by-us");
    node.register_open("by-us-open");
    redis.wait_for_topic("by-us");
    redis.wait_for_topic("by-us-open");

    node.publish("by-go", "1");
    assert!(!lets_anyone_in(&node, "by-go"));
    assert!(lets_anyone_in(&node, "by-go-open"));
    let value = |topic: &str| redis.get(&topic_key(topic)).unwrap();
    assert_eq!(value("by-us"), r#"{"require_token":true}"#);
    assert_eq!(value("by-us-open"), r#"{"require_token":false}"#);
    until("worker.status to be written", || redis.get(&topic_key("worker.status")));
    assert_eq!(value("worker.status"), r#"{"require_token":true}"#);
}

#[test]
fn any_string_is_a_topic_in_a_cluster_as_well() {
    let redis = Redis::start();
    let one = Worker::node(&redis.url(), "one", "");
    let other = Worker::node(&redis.url(), "other", "");

    for topic in ["a b", "ä", "{a}", "a}b{c", "*", "a:b", "\"quoted\"", "new\nline", "?[x]\\"] {
        one.register(topic);
        redis.wait_for_topic(topic);
        let mut socket = other.subscribe(topic);
        one.publish(topic, "1");
        assert_eq!(socket.next_push(), "1", "{topic}");
    }
}

#[test]
fn topics_survive_the_end_of_all_nodes() {
    let redis = Redis::start();
    let first = Worker::node(&redis.url(), "first", "");
    first.register("a");
    redis.wait_for_topic("a");
    drop(first);

    let second = Worker::node(&redis.url(), "second", "");

    second.publish("a", "1");
    second.subscribe("a").assert_quiet();
}

#[test]
fn what_was_registered_just_before_a_clean_end_is_not_lost() {
    let redis = Redis::start();
    let mut node = Worker::node(&redis.url(), "node", "");
    for n in 0..100 {
        node.register(&n.to_string());
    }

    node.signal(rustix::process::Signal::TERM);
    assert!(node.wait_for_exit().success());

    let missing: Vec<u32> = (0..100).filter(|n| !redis.has(&topic_key(&n.to_string()))).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn the_ttl_is_kept_in_milliseconds_and_holds_on_every_node() {
    let redis = Redis::start();
    let one = Worker::node(&redis.url(), "one", "topic_ttl: 1700ms\n");
    let other = Worker::node(&redis.url(), "other", "topic_ttl: 1h\n");

    let begin = Instant::now();
    one.register("a");
    redis.wait_for_topic("a");
    let ttl = redis.ttl_ms(&topic_key("a"));
    let passed = i64::try_from(begin.elapsed().as_millis()).unwrap();
    other.publish("a", "1");

    assert!((1700 - passed - 5..=1700).contains(&ttl), "{ttl} ms after {passed} ms");
    until("the topic to expire on the other node", || {
        (other.try_publish("a", "1").status == 404).then_some(())
    });
    assert!(begin.elapsed() >= Duration::from_millis(1600), "{:?}", begin.elapsed());
    assert_eq!(one.try_publish("a", "1").status, 404);
}

#[test]
fn a_key_without_a_ttl_is_a_topic() {
    let redis = Redis::start();
    redis.cli(&["SET", &topic_key("a"), r#"{"require_token":true}"#]);
    let node = Worker::node(&redis.url(), "node", "");

    node.publish("a", "1");
}

#[test]
fn registering_again_renews_the_ttl_in_redis() {
    let redis = Redis::start();
    let node = Worker::node(&redis.url(), "node", "topic_ttl: 1h\n");
    node.register("a");
    redis.wait_for_topic("a");
    redis.cli(&["PEXPIRE", &topic_key("a"), "60000"]);

    node.register("a");

    until("the key to be renewed", || (redis.ttl_ms(&topic_key("a")) > 3_000_000).then_some(()));
}

#[test]
fn an_unregistered_topic_is_gone_on_every_node_within_a_second() {
    let redis = Redis::start();
    let one = Worker::node(&redis.url(), "one", "");
    let other = Worker::node(&redis.url(), "other", "");
    one.register("a");
    redis.wait_for_topic("a");
    let mut socket = other.subscribe("a");

    let begin = Instant::now();
    one.unregister("a");
    until("the other node to know", || (other.try_publish("a", "1").status == 404).then_some(()));

    assert!(begin.elapsed() < SEEN, "{:?}", begin.elapsed());
    assert_eq!(ws_status(&other, "a"), 404);
    assert!(!redis.has(&topic_key("a")));
    // Who is there stays, and hears again when the topic is registered again.
    one.register("a");
    redis.wait_for_topic("a");
    other.publish("a", r#""again""#);
    until("what was published before", || (socket.next_push() == r#""again""#).then_some(()));
}

#[test]
fn a_changed_flag_is_seen_on_every_node_within_a_second() {
    let redis = Redis::start();
    let one = Worker::node(&redis.url(), "one", "");
    let other = Worker::node(&redis.url(), "other", "");
    one.register("a");
    redis.wait_for_topic("a");
    assert!(!lets_anyone_in(&other, "a"));

    for open in [true, false] {
        let begin = Instant::now();
        if open {
            one.register_open("a");
        } else {
            one.register("a");
        }
        until("the other node to know", || (lets_anyone_in(&other, "a") == open).then_some(()));
        assert!(begin.elapsed() < SEEN, "{:?}", begin.elapsed());
    }
}

#[test]
fn the_last_of_many_registrations_from_both_nodes_counts_everywhere() {
    let redis = Redis::start();
    let one = Worker::node(&redis.url(), "one", "");
    let other = Worker::node(&redis.url(), "other", "");

    for turn in 0..20 {
        let topic = format!("a{turn}");
        let value = || redis.get(&topic_key(&topic));
        one.register(&topic);
        redis.wait_for_topic(&topic);
        other.register_open(&topic);
        until("the flag to change", || value()?.contains("false").then_some(()));
        one.unregister(&topic);
        until("the topic to be gone", || value().is_none().then_some(()));
        other.register(&topic);
    }

    for turn in 0..20 {
        let topic = format!("a{turn}");
        until("the last registration to count", || {
            let value = redis.get(&topic_key(&topic));
            let known = value.as_deref() == Some(r#"{"require_token":true}"#);
            (known && one.try_publish(&topic, "1").status == 200).then_some(())
        });
        assert!(!lets_anyone_in(&one, &topic), "{topic}");
        assert!(!lets_anyone_in(&other, &topic), "{topic}");
    }
}

#[test]
fn what_is_written_behind_never_revives_a_topic_that_was_unregistered_elsewhere_later() {
    let redis = Redis::start();
    let proxy = Proxy::to(redis.address());
    let cut_off = Worker::node(&redis.url_at(proxy.address), "cut-off", "");
    let other = Worker::node(&redis.url(), "other", "");
    for topic in ["a", "c"] {
        cut_off.register(topic);
        redis.wait_for_topic(topic);
    }

    proxy.set(Link { cut: true, ..Link::default() });
    cut_off.wait_until_alone();
    // PHP registers at each page load; that is not news.
    for topic in ["a", "c"] {
        cut_off.register(topic);
    }
    wait_for_the_clock(&redis);
    other.unregister("a");
    until("a to be gone", || (!redis.has(&topic_key("a"))).then_some(()));
    proxy.set(Link::default());
    cut_off.wait_until_ready();
    cut_off.register("written after all of that");
    redis.wait_for_topic("written after all of that");

    assert!(!redis.has(&topic_key("a")), "it was revived");
    assert!(redis.has(&topic_key("c")));
    until("the node to know", || (cut_off.try_publish("a", "1").status == 404).then_some(()));
    cut_off.publish("c", "1");
}

#[test]
fn what_is_written_behind_never_revives_a_topic_that_a_go_node_unregistered_later() {
    let redis = Redis::start();
    let proxy = Proxy::to(redis.address());
    let cut_off = Worker::node(&redis.url_at(proxy.address), "cut-off", "");
    for topic in ["loaded-again", "not-loaded-again"] {
        cut_off.register(topic);
        redis.wait_for_topic(topic);
    }
    let go = GoNode::join(&redis, GO);

    proxy.set(Link { cut: true, ..Link::default() });
    cut_off.wait_until_alone();
    cut_off.register("loaded-again");
    wait_for_the_clock(&redis);
    go.unregister("loaded-again");
    go.unregister("not-loaded-again");
    proxy.set(Link::default());
    cut_off.wait_until_ready();
    cut_off.register("written after all of that");
    redis.wait_for_topic("written after all of that");

    for topic in ["not-loaded-again", "loaded-again"] {
        assert!(!redis.has(&topic_key(topic)), "{topic} was revived");
        until("the node to know", || (cut_off.try_publish(topic, "1").status == 404).then_some(()));
    }
}

#[test]
fn what_was_registered_while_redis_was_away_is_written_when_it_is_back_and_empty() {
    let mut redis = Redis::start();
    let one = Worker::node(&redis.url(), "one", "");
    let other = Worker::node(&redis.url(), "other", "");
    one.register("before");
    redis.wait_for_topic("before");

    redis.kill();
    one.wait_until_alone();
    one.register_open("meanwhile");
    one.publish("before", "1");
    one.publish("meanwhile", "1");
    redis.restart();
    one.wait_until_ready();
    other.wait_until_ready();

    redis.wait_for_topic("before");
    redis.wait_for_topic("meanwhile");
    // As PHP sees it: a node that has just come back may not know yet.
    until("the other node to know", || {
        (other.try_publish("before", "2").status == 200).then_some(())
    });
    assert!(lets_anyone_in(&other, "meanwhile"));
}

#[test]
fn while_redis_hangs_known_topics_go_on_and_unknown_ones_are_answered_in_time() {
    let redis = Redis::start();
    let node = Worker::node(&redis.url(), "node", "");
    node.register("known");
    redis.wait_for_topic("known");
    redis.cli(&["SET", &topic_key("elsewhere"), r#"{"require_token":false}"#]);

    redis.pause();
    // At first the node cannot know that nothing will come; later it does.
    for _ in 0..2 {
        let begin = Instant::now();
        assert_eq!(ws_status(&node, "elsewhere"), 503);
        let browser = begin.elapsed();
        assert_eq!(node.try_publish("elsewhere", "1").brief(), NOT_REGISTERED);
        let php = begin.elapsed() - browser;
        assert!(browser < Duration::from_millis(250) && php < Duration::from_millis(250));
        let mut socket = node.subscribe("known");
        node.publish("known", "1");
        assert_eq!(socket.next_push(), "1");
        node.wait_until_alone();
    }
    assert_eq!(ws_status(&node, "elsewhere"), 503);
    redis.resume();
    node.wait_until_ready();

    assert_eq!(ws_status(&node, "elsewhere"), 400);
    node.publish("elsewhere", "1");
}

#[test]
fn concurrent_askers_of_an_unknown_topic_share_one_query() {
    const ASKERS: usize = 100;
    let redis = Redis::start();
    let proxy = Proxy::to(redis.address());
    let node = Worker::node(&redis.url_at(proxy.address), "node", "");
    redis.cli(&["SET", &topic_key("a"), r#"{"require_token":false}"#]);
    until("topics to be asked for", || (ws_status(&node, "nobody") == 404).then_some(()));
    // So that all of them ask before the first answer comes.
    proxy.set(Link { delay: Duration::from_millis(20), ..Link::default() });
    let before = redis.calls("get");

    let mut connections: Vec<Http> = (0..ASKERS).map(|_| node.public()).collect();
    for connection in &mut connections {
        connection.send(upgrade_request("/ws?topic=a", "").as_bytes());
    }
    for connection in &mut connections {
        assert_eq!(connection.answer().status, 101);
    }

    let asked = redis.calls("get") - before;
    assert!(asked <= 5, "Redis was asked {asked} times");
}

#[test]
fn an_unknown_topic_is_unknown_to_everybody_who_asks_at_once() {
    let redis = Redis::start();
    let node = Worker::node(&redis.url(), "node", "");

    let statuses: Vec<u16> = thread::scope(|scope| {
        let ask = |n: usize| {
            let node = &node;
            scope.spawn(move || match n % 2 {
                0 => ws_status(node, "nobody"),
                _ => node.try_publish("nobody", "1").status,
            })
        };
        let asking: Vec<_> = (0..20).map(ask).collect();
        asking.into_iter().map(|asker| asker.join().unwrap()).collect()
    });

    assert_eq!(statuses, [404; 20]);
}

#[test]
fn a_key_of_another_kind_is_no_topic_and_harms_nobody() {
    let redis = Redis::start();
    let node = Worker::node(&redis.url(), "node", "");
    redis.cli(&["RPUSH", &topic_key("list"), "x"]);
    node.register("a");
    redis.wait_for_topic("a");

    assert_eq!(node.try_publish("list", "1").brief(), NOT_REGISTERED);
    assert_eq!(ws_status(&node, "list"), 404);
    node.publish("a", "1");
    assert_eq!(node.readiness().status, 200);
}

#[test]
fn status_counts_the_topics_of_the_cluster_without_scanning_when_asked() {
    let redis = Redis::start();
    let one = Worker::node(&redis.url(), "one", "");
    let other = Worker::node(&redis.url(), "other", "");
    for n in 0..20 {
        one.register(&n.to_string());
    }

    // worker.status is one of them.
    for node in [&one, &other] {
        until("the topics to be counted", || {
            (node.status()["registered_topics"] == 21).then_some(())
        });
    }
    let scans = || redis.calls("scan") + redis.calls("keys");
    let before = scans();
    for _ in 0..300 {
        other.get("/internal/status?topics=1");
    }

    // What is counted in the background may go on meanwhile.
    assert!(scans() - before < 100, "{} scans", scans() - before);
}

#[test]
fn registering_the_same_topics_at_each_page_load_is_cheap_for_redis() {
    const LOADS: usize = 2_000;
    let redis = Redis::start();
    let node = Worker::node(&redis.url(), "node", "");
    let mut php = node.internal();
    let request = node.post_request("/internal/register", r#"{"topic":"a"}"#);

    for _ in 0..LOADS {
        php.ask(&request).assert_ok();
    }
    redis.wait_for_topic("a");

    let writes = redis.calls("evalsha") + redis.calls("eval") + redis.calls("fcall");
    assert!(writes < LOADS as u64 / 2, "{writes} writes for {LOADS} registrations");
}
