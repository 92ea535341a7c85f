//! A Redis that comes back without what it had.

use super::*;

#[tokio::test]
async fn a_redis_that_comes_back_empty_gets_every_topic_again() {
    let mut server = Server::start(&[]);
    let (a, b) = (Node::at(&server, PATIENT).await, Node::at(&server, PATIENT).await);
    a.register("of a", CLOSED).await;
    b.register("of b", OPEN).await;
    go_registers(&server, "of go", r#"{"require_token":true}"#);
    b.finds("of go", Lookup::Known(CLOSED)).await;
    a.register("removed", OPEN).await;
    a.unregister("removed").await;

    let generations = [a.generation(), b.generation()];
    server.restart(&[]);
    a.has_come_back(generations[0]).await;
    b.has_come_back(generations[1]).await;

    until("all are there", || {
        value(&server, "of a") == r#"{"require_token":true}"#
            && value(&server, "of b") == r#"{"require_token":false}"#
            && value(&server, "of go") == r#"{"require_token":true}"#
    })
    .await;
    assert_eq!(value(&server, "removed"), "");
    let ttl_ms: u64 = server.cli(&["PTTL", "wavelog:topic:of go"]).trim().parse().unwrap();
    assert!(ttl_ms <= 3_600_000, "it keeps its time: {ttl_ms}");
    a.finds("of b", Lookup::Known(OPEN)).await;
    assert_eq!(a.metrics.registry_dropped.get() + b.metrics.registry_dropped.get(), 0);
}

#[tokio::test]
async fn a_redis_that_is_flushed_gets_every_topic_again() {
    let server = Server::start(&[]);
    let node = Node::at(&server, SWIFT).await;
    node.register("t", CLOSED).await;

    server.cli(&["FLUSHALL"]);

    until("it is there again", || value(&server, "t") == r#"{"require_token":true}"#).await;
    assert_eq!(node.lookup("t"), Lookup::Known(CLOSED));
}

#[tokio::test]
async fn a_redis_that_is_flushed_is_noticed_by_a_node_without_topics() {
    let server = Server::start(&[]);
    let node = Node::at(&server, SWIFT).await;
    node.register("t", CLOSED).await;
    node.unregister("t").await;
    let epoch = server.cli(&["GET", "wavelog:epoch"]);

    server.cli(&["FLUSHALL"]);

    let there = || server.cli(&["EXISTS", "wavelog:epoch"]) == "1\n";
    until("there is an epoch again", there).await;
    assert_ne!(server.cli(&["GET", "wavelog:epoch"]), epoch);
    let gone = || server.cli(&["EXISTS", "wavelog:gone:{wavelog:topic:t}"]) == "1\n";
    until("it is known again what is gone", gone).await;
}

#[tokio::test]
async fn a_redis_that_comes_back_with_an_old_snapshot_gets_what_it_lost() {
    let mut server = Server::start(&[]);
    let node = Node::at(&server, PATIENT).await;
    node.register("old", OPEN).await;
    node.register("unregistered since", OPEN).await;
    assert_eq!(server.cli(&["SAVE"]), "OK\n");
    node.register("new", CLOSED).await;
    node.unregister("unregistered since").await;

    let generation = node.generation();
    server.restart(&[]);
    node.has_come_back(generation).await;

    assert_eq!(value(&server, "old"), r#"{"require_token":false}"#);
    assert_eq!(value(&server, "new"), r#"{"require_token":true}"#);
    assert_eq!(value(&server, "unregistered since"), "");
}

#[tokio::test]
async fn what_was_registered_during_an_outage_is_written_after_it() {
    let mut server = Server::start(&[]);
    let node = Node::at(&server, PATIENT).await;
    server.kill();
    node.is_alone().await;

    node.register("t", CLOSED).await;
    assert_eq!(node.lookup("t"), Lookup::Known(CLOSED));
    assert_eq!(node.find("unknown").await, Lookup::Away);
    server.restart(&[]);
    node.is_served().await;
    node.has_written().await;

    assert_eq!(value(&server, "t"), r#"{"require_token":true}"#);
}

#[tokio::test]
async fn a_redis_that_appears_later_gets_what_was_registered_before() {
    let mut server = Server::start(&[]);
    server.kill();
    let mut node = Node::alone(server.config(), PATIENT, TTL);
    node.register("t", CLOSED).await;
    server.restart(&[]);

    node.join().await;
    node.has_written().await;

    assert_eq!(value(&server, "t"), r#"{"require_token":true}"#);
}

#[tokio::test]
async fn a_redis_that_comes_back_empty_and_does_not_write_yet_is_not_greeted_in_a_frenzy() {
    let mut server = Server::start(&[]);
    let node = Node::at(&server, PATIENT).await;
    node.register("t", CLOSED).await;

    let generation = node.generation();
    server.restart(&["--min-replicas-to-write", "1"]);
    until("another connection is there", || node.generation() > generation).await;
    sleep(Duration::from_secs(2)).await;

    let stats = server.cli(&["INFO", "commandstats"]);
    let asked = stats.lines().find_map(|line| line.strip_prefix("cmdstat_info:calls="));
    let times: u64 = asked.unwrap().split(',').next().unwrap().parse().unwrap();
    assert!(times < 10, "{times}");
    server.cli(&["CONFIG", "SET", "min-replicas-to-write", "0"]);
    until("it is there again", || value(&server, "t") == r#"{"require_token":true}"#).await;
}
