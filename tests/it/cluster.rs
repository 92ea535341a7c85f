//! Several nodes on one Redis: what is published on one reaches the browsers of all, once and in
//! order (docs/protocol.md, "Redis").

use std::collections::BTreeSet;
use std::thread;

use crate::support::{EVENTS, GoNode, Herd, Redis, Socket, Worker, topics, until};

const GO: &str = "00000000000000f0";

/// Nodes on one Redis, in a cluster.
fn nodes(redis: &Redis, count: usize) -> Vec<Worker> {
    (0..count).map(|n| Worker::node(&redis.url(), &format!("node-{n}"), "")).collect()
}

#[test]
fn a_publish_on_any_of_three_nodes_reaches_the_browsers_of_all_exactly_once() {
    let redis = Redis::start();
    let nodes = nodes(&redis, 3);
    nodes[0].register("a");
    redis.wait_for_topic("a");
    let mut sockets: Vec<Socket> = nodes.iter().map(|node| node.subscribe("a")).collect();

    for (n, node) in nodes.iter().enumerate() {
        node.publish("a", &n.to_string());
        for socket in &mut sockets {
            assert_eq!(socket.next_push(), n.to_string());
        }
    }

    // Whatever came twice would stand before what comes last.
    nodes[0].publish("a", r#""the end""#);
    for socket in &mut sockets {
        assert_eq!(socket.next_push(), r#""the end""#);
        socket.assert_quiet();
    }
}

#[test]
fn a_node_does_not_hear_its_own_publishes_again() {
    let redis = Redis::start();
    let go = GoNode::join(&redis, GO);
    let node = Worker::node(&redis.url(), "node", "");
    node.register("a");
    let mut socket = node.subscribe("a");

    node.publish("a", "1");
    until("the envelope to be in Redis", || (go.heard_of("a").len() == 1).then_some(()));
    // Redis gives out messages in their order: what the node sent has come back before this.
    go.publish("a", "2");

    assert_eq!([socket.next_push(), socket.next_push()], ["1", "2"]);
    socket.assert_quiet();
    assert_eq!(node.counter("envelopes_duplicate"), 0);
}

#[test]
fn publishes_of_a_go_node_and_ours_reach_each_other() {
    let redis = Redis::start();
    let go = GoNode::join(&redis, GO);
    let node = Worker::node(&redis.url(), "node", "");
    node.register("a");
    let mut socket = node.subscribe("a");

    go.publish("a", r#"{"text":"\u003cb\u003e ä"}"#);
    assert_eq!(socket.next_push(), r#"{"text":"\u003cb\u003e ä"}"#);
    node.publish("a", r#"{"n":7}"#);

    let envelope = until("the envelope", || go.heard_of("a").get(1).cloned());
    let start = format!(r#"{{"origin_id":"{}","topic":"a","payload":{{"n":7}},"n":"#, node.id());
    assert!(envelope.starts_with(&start), "{envelope}");
}

/// The payloads that a socket heard, until it heard `ends` last ones.
fn hear_all(mut socket: Socket, ends: usize) -> Vec<String> {
    let mut heard = Vec::new();
    while heard.iter().filter(|payload: &&String| payload.ends_with(",\"end\"]")).count() < ends {
        heard.push(socket.next_push());
    }
    socket.assert_quiet();
    heard
}

#[test]
fn each_nodes_publishes_to_a_topic_come_in_the_same_order_everywhere() {
    const PUBLISHERS: usize = 3;
    const EACH: usize = 150;
    let redis = Redis::start();
    let nodes = nodes(&redis, 2);
    nodes.iter().for_each(|node| node.register("a"));
    let sockets: Vec<Socket> = nodes.iter().map(|node| node.subscribe("a")).collect();

    let heard: Vec<Vec<String>> = thread::scope(|scope| {
        for (n, node) in nodes.iter().enumerate() {
            for publisher in 0..PUBLISHERS {
                scope.spawn(move || {
                    let mut php = node.internal();
                    for number in 0..EACH {
                        let payload = format!("[{n},{publisher},{number}]");
                        php.ask(&node.publish_request("a", &payload)).assert_ok();
                    }
                    let end = format!("[{n},{publisher},\"end\"]");
                    php.ask(&node.publish_request("a", &end)).assert_ok();
                });
            }
        }
        let readers: Vec<_> = sockets
            .into_iter()
            .map(|socket| scope.spawn(|| hear_all(socket, 2 * PUBLISHERS)))
            .collect();
        readers.into_iter().map(|reader| reader.join().unwrap()).collect()
    });

    for n in 0..2 {
        let of_node = |heard: &Vec<String>| -> Vec<String> {
            let is_of_node = |payload: &&String| payload.starts_with(&format!("[{n},"));
            heard.iter().filter(is_of_node).cloned().collect()
        };
        let order = of_node(&heard[0]);
        assert!(order == of_node(&heard[1]), "node {n} was heard in two orders");
        for publisher in 0..PUBLISHERS {
            let start = format!("[{n},{publisher},");
            let numbers: Vec<&str> =
                order.iter().filter_map(|payload| payload.strip_prefix(&start)).collect();
            let mut expected: Vec<String> = (0..EACH).map(|number| format!("{number}]")).collect();
            expected.push("\"end\"]".to_owned());
            assert_eq!(numbers, expected, "publisher {publisher} of node {n}");
        }
    }
}

#[test]
fn a_publish_of_almost_1_mib_crosses_the_cluster_unchanged() {
    let redis = Redis::start();
    let nodes = nodes(&redis, 2);
    nodes[0].register("a");
    redis.wait_for_topic("a");
    let mut socket = nodes[1].subscribe("a");
    let payload = format!("\"{}\"", "ä".repeat(500_000));

    nodes[0].publish("a", &payload);

    assert!(socket.next_push() == payload);
}

#[test]
fn a_burst_of_publishes_on_one_node_reaches_every_browser_of_the_other() {
    const BURST: usize = 2_000;
    let redis = Redis::start();
    let nodes = nodes(&redis, 2);
    let topics = topics();
    topics.iter().for_each(|topic| nodes[0].register(topic));
    topics.iter().for_each(|topic| redis.wait_for_topic(topic));
    let herd = Herd::of(&nodes[1], &topics, 50);

    let mut php = nodes[0].internal();
    for turn in (0..BURST).collect::<Vec<_>>().chunks(100) {
        let requests = turn
            .iter()
            .map(|n| nodes[0].publish_request(&topics[n % topics.len()], &format!("[0,{n}]")));
        php.send(&requests.collect::<Vec<_>>().concat());
        turn.iter().for_each(|_| php.answer().assert_ok());
    }
    let expected = BURST * 50 / topics.len();
    until("everything to be heard", || (herd.heard() >= expected).then_some(()));

    assert_eq!(herd.heard(), expected);
    for member in herd.members() {
        let [session] = &member.sessions[..] else {
            panic!("{} was closed", member.topic);
        };
        let payloads: Vec<&String> = session.pushes.iter().map(|heard| &heard.payload).collect();
        let different: BTreeSet<&&String> = payloads.iter().collect();
        assert_eq!(different.len(), BURST / topics.len());
    }
}

#[test]
fn clusters_with_different_prefixes_share_a_redis_and_hear_nothing_of_each_other() {
    let redis = Redis::start();
    let one = Worker::node(&redis.url(), "one", "redis_prefix: \"club-a:\"\n");
    let same = Worker::node(&redis.url(), "same", "redis_prefix: \"club-a:\"\n");
    let other = Worker::node(&redis.url(), "other", "");
    one.register("a");
    until("the topic to be written", || redis.has("club-a:topic:a").then_some(()));
    assert_eq!(other.try_publish("a", "0").status, 404);
    other.register("a");
    let mut to_same = same.subscribe("a");
    let mut to_other = other.subscribe("a");

    one.publish("a", "1");
    assert_eq!(to_same.next_push(), "1");
    other.publish("a", "2");

    assert_eq!(to_other.next_push(), "2");
    one.publish("a", "3");
    assert_eq!(to_same.next_push(), "3");
    to_other.assert_quiet();
    assert_eq!(redis.listeners("club-a:events"), 2);
    assert_eq!(redis.listeners(EVENTS), 1);
    assert_eq!(one.status()["cluster_nodes"], 2);
    assert_eq!(other.nodes()["nodes"].as_array().unwrap().len(), 1);
    let keys: Vec<String> =
        redis.ask(&["KEYS", "*"]).list().iter().map(crate::support::Reply::text).collect();
    let strangers: Vec<&String> = keys
        .iter()
        .filter(|key| !key.starts_with("club-a:") && !key.starts_with("wavelog:"))
        .collect();
    assert!(strangers.is_empty(), "{strangers:?}");
}

#[test]
fn the_database_of_the_url_is_the_one_with_the_topics() {
    let redis = Redis::start();
    let url = format!("redis://{}/3", redis.address());
    let node = Worker::node(&url, "node", "");

    node.register("a");

    let mut connection = redis.connect();
    connection.ask(&["SELECT", "3"]).unwrap();
    until("the topic in database 3", || {
        let exists = connection.ask(&["EXISTS", "wavelog:topic:a"]).unwrap();
        (exists.text() == "1").then_some(())
    });
    assert!(!redis.has("wavelog:topic:a"), "it is in database 0 as well");
}

#[test]
fn a_single_node_is_ready_and_has_no_cluster() {
    let worker = Worker::start();

    assert_eq!(worker.readiness().brief(), (200, "ok"));
    assert_eq!(worker.status()["cluster_nodes"], -1);
    let document = worker.nodes();
    assert!(document["redis"].is_null(), "{document}");
    assert_eq!(document["nodes"].as_array().unwrap().len(), 1);
}

#[test]
fn the_password_of_redis_is_nowhere_to_be_read() {
    const PASSWORD: &str = "hunter2-of-the-cluster";
    let mut redis = Redis::with_password(PASSWORD);
    let node = Worker::node(&redis.url(), "node", "log_level: trace\n");
    node.register("a");
    let mut socket = node.subscribe("a");
    node.publish("a", "1");
    socket.next_push();
    // Away, and then not let in: both give texts of errors.
    redis.kill();
    node.wait_until_alone();
    let away = node.nodes().to_string() + &node.status().to_string();
    redis.restart_with_password(Some("another one"));
    until("a refusal to be known", || {
        let error = node.nodes()["redis"]["error"].as_str()?.to_owned();
        error.to_ascii_uppercase().contains("PASS").then_some(())
    });
    let refused = node.nodes().to_string() + &node.status().to_string();
    redis.restart_with_password(Some(PASSWORD));
    node.wait_until_ready();

    let shown = [
        node.log().join("\n"),
        away,
        refused,
        node.nodes().to_string(),
        node.status().to_string(),
        node.get("/internal/status?topics=1").text().to_owned(),
    ];
    for text in shown {
        assert!(!text.contains("hunter2"), "{text}");
    }
}

#[test]
fn a_node_ends_cleanly_within_a_second_while_redis_hangs() {
    let redis = Redis::start();
    let mut node = Worker::node(&redis.url(), "node", "");
    node.register("a");
    redis.pause();
    node.publish("a", "1");
    let begin = std::time::Instant::now();

    node.signal(rustix::process::Signal::TERM);
    let status = node.wait_for_exit();

    assert!(status.success(), "{status}");
    assert!(begin.elapsed() < std::time::Duration::from_secs(3), "{:?}", begin.elapsed());
}
