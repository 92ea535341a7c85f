//! What one node does, another knows.

use futures_util::future::join_all;

use super::*;

#[tokio::test]
async fn a_topic_is_written_as_the_go_worker_writes_it_and_found_by_other_nodes() {
    let server = Server::start(&[]);
    let (a, b) = (Node::at(&server, PATIENT).await, Node::at(&server, PATIENT).await);

    a.register("session.42", CLOSED).await;
    a.register("open", OPEN).await;

    assert_eq!(value(&server, "session.42"), r#"{"require_token":true}"#);
    assert_eq!(value(&server, "open"), r#"{"require_token":false}"#);
    let ttl_ms: u64 = server.cli(&["PTTL", "wavelog:topic:open"]).trim().parse().unwrap();
    assert!((3_590_000..=3_600_000).contains(&ttl_ms), "{ttl_ms}");
    assert_eq!(b.lookup("session.42"), Lookup::Ask);
    assert_eq!(b.find("session.42").await, Lookup::Known(CLOSED));
    assert_eq!(b.find("open").await, Lookup::Known(OPEN));
    assert_eq!(b.lookup("open"), Lookup::Known(OPEN), "it is remembered");
    assert_eq!(b.find("never").await, Lookup::Unknown);
}

#[tokio::test]
async fn topics_of_the_go_worker_are_found_whatever_their_value_looks_like() {
    let server = Server::start(&[]);
    let node = Node::at(&server, PATIENT).await;
    for (topic, value, expected) in [
        ("a", r#"{"require_token":true}"#, Lookup::Known(CLOSED)),
        ("b", r#"{"Require_Token":true,"more":[1]}"#, Lookup::Known(CLOSED)),
        ("c", "{}", Lookup::Known(OPEN)),
        ("d", "null", Lookup::Known(OPEN)),
        ("e", "garbage", Lookup::Unknown),
    ] {
        go_registers(&server, topic, value);

        assert_eq!(node.find(topic).await, expected, "{value}");
    }
    server.cli(&["LPUSH", "wavelog:topic:f", "a list"]);
    assert_eq!(node.find("f").await, Lookup::Unknown);
    server.cli(&["SET", "wavelog:topic:g", "{}"]);
    assert_eq!(node.find("g").await, Lookup::Known(OPEN), "without an end");
}

#[tokio::test]
async fn what_was_learned_ends_when_redis_says() {
    let server = Server::start(&[]);
    let node = Node::at(&server, PATIENT).await;
    server.cli(&["SET", "wavelog:topic:a", "{}", "PX", "300"]);

    assert_eq!(node.find("a").await, Lookup::Known(OPEN));

    node.finds("a", Lookup::Unknown).await;
}

#[tokio::test]
async fn an_unregistration_and_a_changed_flag_reach_other_nodes_at_once() {
    let server = Server::start(&[]);
    let (a, b) = (Node::at(&server, PATIENT).await, Node::at(&server, PATIENT).await);
    a.register("t", OPEN).await;
    b.finds("t", Lookup::Known(OPEN)).await;

    a.register("t", CLOSED).await;
    until("b knows the new flag", || b.lookup("t") == Lookup::Known(CLOSED)).await;
    b.unregister("t").await;
    until("a knows that it is gone", || a.lookup("t") == Lookup::Ask).await;

    assert_eq!(a.find("t").await, Lookup::Unknown);
    assert_eq!(value(&server, "t"), "");
    a.register("t", OPEN).await;
    assert_eq!(b.find("t").await, Lookup::Known(OPEN), "it can be registered again");
}

#[tokio::test]
async fn a_renewal_is_told_to_nobody() {
    let server = Server::start(&[]);
    let node = Node::at(&server, PATIENT).await;
    node.register("t", OPEN).await;
    let told = calls(&server, "publish");

    for _ in 0..3 {
        node.register("t", OPEN).await;
    }

    assert_eq!(calls(&server, "publish"), told);
}

#[tokio::test]
async fn what_a_go_worker_changes_is_seen_in_the_next_round() {
    let server = Server::start(&[]);
    let node = Node::at(&server, SWIFT).await;
    node.register("gone", OPEN).await;
    node.register("changed", OPEN).await;

    go_unregisters(&server, "gone");
    go_registers(&server, "changed", r#"{"require_token":true}"#);

    until("it is forgotten", || node.registry.recall("gone", node.clock.now_ms()).is_none()).await;
    until("it is changed", || node.registry.recall("changed", node.clock.now_ms()) == Some(CLOSED))
        .await;
    assert_eq!(node.find("gone").await, Lookup::Unknown);
    assert_eq!(node.metrics.registry_dropped.get(), 1);
}

#[tokio::test]
async fn thousands_of_topics_are_confirmed_in_batches() {
    let server = Server::start(&[]);
    let node = Node::at(&server, SWIFT).await;
    for n in 0..1000 {
        node.registry.register(&format!("t{n}"), OPEN, node.clock.now_ms());
    }
    node.has_written().await;

    let keys: Vec<String> = (0..1000).map(|n| format!("wavelog:topic:t{n}")).collect();
    let mut del = vec!["DEL"];
    del.extend(keys.iter().map(String::as_str));
    server.cli(&del);

    until("all are forgotten", || node.registry.memory.len(node.clock.now_ms()) == 0).await;
    assert_eq!(node.metrics.registry_dropped.get(), 1000);
}

#[tokio::test]
async fn many_who_ask_for_one_topic_share_a_question() {
    let server = Server::start(&[]);
    let node = Node::at(&server, PATIENT).await;
    go_registers(&server, "t", "{}");
    let asked = calls(&server, "pttl");

    let found = join_all((0..500).map(|_| node.find("t"))).await;

    assert!(found.into_iter().all(|found| found == Lookup::Known(OPEN)));
    assert_eq!(calls(&server, "pttl"), asked + 1);
    assert_eq!(node.metrics.registry_asks.get(), 1);
}

#[tokio::test]
async fn ten_thousand_registrations_at_once_are_all_written() {
    let server = Server::start(&[]);
    let node = Node::at(&server, PATIENT).await;
    let threads: Vec<_> = (0..4)
        .map(|thread| {
            let (registry, clock) = (node.registry.clone(), node.clock);
            std::thread::spawn(move || {
                for n in 0..2500 {
                    registry.register(&format!("t{thread}.{n}"), OPEN, clock.now_ms());
                }
            })
        })
        .collect();

    threads.into_iter().for_each(|thread| thread.join().unwrap());
    node.has_written().await;

    let keys = server.cli(&["EVAL", "return #redis.call('KEYS', 'wavelog:topic:*')", "0"]);
    assert_eq!(keys.trim(), "10000");
}

#[tokio::test]
async fn a_topic_that_is_registered_again_and_again_is_written_a_few_times() {
    let server = Server::start(&[]);
    let node = Node::at(&server, PATIENT).await;

    for n in 0..10_000 {
        let meta = TopicMeta { require_token: n == 9_999 };
        node.registry.register("t", meta, node.clock.now_ms());
    }
    node.has_written().await;

    assert_eq!(value(&server, "t"), r#"{"require_token":true}"#);
    let written = node.metrics.registry_writes.get();
    assert!(written < 100, "{written}");
}

#[tokio::test]
async fn what_others_renew_does_not_end_here() {
    let server = Server::start(&[]);
    let ttl = Duration::from_secs(1);
    let mut nodes = [SWIFT, PATIENT].map(|pace| Node::alone(server.config(), pace, ttl));
    for node in &mut nodes {
        node.join().await;
    }
    let [a, b] = nodes;
    a.register("t", OPEN).await;
    let begun = Instant::now();

    while begun.elapsed() < ttl * 2 {
        b.register("t", OPEN).await;
        let remembered = a.registry.recall("t", a.clock.now_ms());
        assert_eq!(remembered, Some(OPEN), "after {:?}", begun.elapsed());
        sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test]
async fn the_status_topic_never_ends_in_redis_and_stays_unregistered_once_it_is() {
    let server = Server::start(&[]);
    let mut a = Node::alone(server.config(), SWIFT, Duration::from_millis(300));
    a.join().await;
    let b = Node::at(&server, PATIENT).await;
    a.register(Topic::STATUS, CLOSED).await;
    let begun = Instant::now();

    while begun.elapsed() < Duration::from_secs(1) {
        a.registry.tidy(a.clock.now_ms());
        assert_eq!(a.lookup(Topic::STATUS), Lookup::Known(CLOSED));
        sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(value(&server, Topic::STATUS), r#"{"require_token":true}"#);

    b.unregister(Topic::STATUS).await;
    until("a hears of it", || a.lookup(Topic::STATUS) == Lookup::Unknown).await;
    a.registry.tidy(a.clock.now_ms());
    a.has_written().await;
    assert_eq!(value(&server, Topic::STATUS), "");
}

#[tokio::test]
async fn nodes_agree_on_the_time_of_redis() {
    let server = Server::start(&[]);
    let node = Node::at(&server, PATIENT).await;
    let shared = node.registry.shared.as_ref().unwrap();

    let moment = shared.moment();

    let difference = (moment.at_redis(node.clock.now_us()) - unix_now_us()).abs();
    assert!(difference < 10_000, "{difference} µs apart on one machine");
}

#[tokio::test]
async fn a_redis_cluster_is_shared_as_any_other_redis() {
    let server = Server::start(&["--cluster-enabled", "yes"]);
    server.cli(&["CLUSTER", "ADDSLOTSRANGE", "0", "16383"]);
    let config =
        RedisConfig { target: RedisTarget::Cluster(vec![server.address()]), ..server.config() };
    let mut nodes = [SWIFT, PATIENT].map(|pace| Node::alone(config.clone(), pace, TTL));
    for node in &mut nodes {
        node.join().await;
    }
    let [a, b] = nodes;
    for n in 0..300 {
        a.registry.register(&format!("t{n}"), OPEN, a.clock.now_ms());
    }
    // A name whose keys cannot be kept in one place, so that there is no script for it.
    a.registry.register("odd}", CLOSED, a.clock.now_ms());
    a.has_written().await;

    assert_eq!(b.find("t7").await, Lookup::Known(OPEN));
    assert_eq!(b.find("odd}").await, Lookup::Known(CLOSED));
    assert_eq!(a.metrics.registry_writes.get(), 301);
    b.unregister("t7").await;
    b.unregister("odd}").await;
    until("a hears of it", || a.len() == 299).await;
    go_unregisters(&server, "t8");
    until("a confirms what it knows", || a.len() == 298).await;
    assert_eq!(a.find("t8").await, Lookup::Unknown);
}

#[tokio::test]
async fn at_its_end_a_node_waits_for_what_it_has_to_write() {
    let mut server = Server::start(&[]);
    let node = Node::at(&server, PATIENT).await;
    for n in 0..2_000 {
        node.registry.register(&format!("t{n}"), OPEN, node.clock.now_ms());
    }

    node.registry.written().await;

    assert_eq!(node.metrics.registry_writes.get(), 2_000);
    server.kill();
    node.is_alone().await;
    node.registry.register("t", OPEN, node.clock.now_ms());
    node.registry.written().await; // Not as long as Redis is away.
}
