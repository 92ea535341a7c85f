//! A Redis that is slow, hangs, or does not allow everything.

use futures_util::future::join_all;
use rustix::process::Signal;

use super::super::ask::QUESTIONS;
use super::*;

#[tokio::test]
async fn an_answer_waits_no_longer_than_100_ms_and_is_learned_for_the_next() {
    let server = Server::start(&[]);
    let node = Node::at(&server, PATIENT).await;
    go_registers(&server, "t", "{}");
    server.cli(&["CLIENT", "PAUSE", "400", "ALL"]);
    let begun = Instant::now();

    let found = join_all((0..20).map(|_| node.find("t"))).await;

    let took = begun.elapsed();
    assert!(found.into_iter().all(|found| found == Lookup::Away));
    assert!((100..180).contains(&took.as_millis()), "{took:?}");
    assert_eq!(node.metrics.registry_ask_timeouts.get(), 20);
    until("it is learned", || node.lookup("t") == Lookup::Known(OPEN)).await;
    assert_eq!(node.metrics.registry_asks.get(), 1);
}

#[tokio::test]
async fn what_is_known_but_not_confirmed_is_asked_for_and_serves_when_redis_is_slow() {
    let server = Server::start(&[]);
    let pace = Pace { fresh: Duration::from_millis(20), ..PATIENT };
    let node = Node::at(&server, pace).await;
    node.register("t", CLOSED).await;
    until("it is not fresh any more", || node.lookup("t") == Lookup::Ask).await;
    server.cli(&["CLIENT", "PAUSE", "300", "ALL"]);

    assert_eq!(node.find("t").await, Lookup::Known(CLOSED));
    assert_eq!(node.metrics.registry_ask_timeouts.get(), 1);
}

#[tokio::test]
async fn more_questions_than_are_bearable_are_answered_at_once() {
    let server = Server::start(&[]);
    let node = Node::at(&server, PATIENT).await;
    server.cli(&["CLIENT", "PAUSE", "300", "ALL"]);
    let registry = &node.registry;
    let names: Vec<String> = (0..QUESTIONS + 44).map(|n| format!("t{n}")).collect();
    let now_ms = node.clock.now_ms();

    let questions = names.iter().map(|name| async move {
        let begun = Instant::now();
        (registry.find(name, now_ms).await, begun.elapsed() < Duration::from_millis(50))
    });
    let found = join_all(questions).await;

    assert!(found.iter().all(|(found, _)| *found == Lookup::Away));
    assert_eq!(found.iter().filter(|(_, at_once)| *at_once).count(), 44);
    assert_eq!(node.metrics.registry_asks.get(), QUESTIONS as u64);
}

#[tokio::test]
async fn a_node_goes_on_while_redis_hangs_and_both_are_of_one_mind_after() {
    let server = Server::start(&[]);
    let (a, b) = (Node::at(&server, PATIENT).await, Node::at(&server, PATIENT).await);
    a.register("known", OPEN).await;
    server.signal(Signal::STOP);

    a.registry.register("new", CLOSED, a.clock.now_ms());
    a.registry.unregister("known", a.clock.now_ms());
    assert_eq!(a.lookup("new"), Lookup::Known(CLOSED));
    assert_eq!(a.lookup("known"), Lookup::Unknown);
    assert_eq!(a.find("unknown").await, Lookup::Away);
    a.is_alone().await;
    let begun = Instant::now();
    assert_eq!(a.find("unknown").await, Lookup::Away);
    assert!(begun.elapsed() < Duration::from_millis(50), "nobody is asked");

    server.signal(Signal::CONT);
    a.is_served().await;
    a.has_written().await;
    b.is_served().await;
    assert_eq!(b.find("new").await, Lookup::Known(CLOSED));
    assert_eq!(b.find("known").await, Lookup::Unknown);
}

#[tokio::test]
async fn without_scripts_topics_are_written_all_the_same() {
    let server = Server::start(&[]);
    server.cli(&["ACL", "SETUSER", "a", "on", ">secret", "~*", "&*", "+@all", "-@scripting"]);
    let mut config = server.config();
    (config.username, config.password) = (Some("a".to_owned()), Some("secret".to_owned()));
    let mut a = Node::alone(config, PATIENT, TTL);
    a.join().await;
    let b = Node::at(&server, PATIENT).await;

    a.register("t", CLOSED).await;
    assert_eq!(value(&server, "t"), r#"{"require_token":true}"#);
    b.finds("t", Lookup::Known(CLOSED)).await;
    a.unregister("t").await;

    assert_eq!(value(&server, "t"), "");
    until("b hears of it", || b.lookup("t") == Lookup::Ask).await;
}

#[tokio::test]
async fn a_node_that_may_not_tell_others_writes_all_the_same() {
    let server = Server::start(&[]);
    let denied = ["-@scripting", "-publish"];
    server
        .cli(&["ACL", "SETUSER", "a", "on", ">secret", "~*", "&*", "+@all", denied[0], denied[1]]);
    let mut config = server.config();
    (config.username, config.password) = (Some("a".to_owned()), Some("secret".to_owned()));
    let mut node = Node::alone(config, PATIENT, TTL);
    node.join().await;

    for n in 0..3 {
        node.register(&format!("t{n}"), CLOSED).await;
        assert_eq!(value(&server, &format!("t{n}")), r#"{"require_token":true}"#);
        node.unregister(&format!("t{n}")).await;
        assert_eq!(value(&server, &format!("t{n}")), "");
    }
}

#[tokio::test]
async fn scripts_that_redis_forgot_are_loaded_again() {
    let server = Server::start(&[]);
    let node = Node::at(&server, PATIENT).await;
    server.cli(&["SCRIPT", "FLUSH"]);

    node.register("t", CLOSED).await;

    assert_eq!(value(&server, "t"), r#"{"require_token":true}"#);
}

#[tokio::test]
async fn a_redis_without_memory_gets_topics_when_it_has_some_again() {
    let server = Server::start(&[]);
    let node = Node::at(&server, PATIENT).await;
    server.cli(&["CONFIG", "SET", "maxmemory", "1"]);

    node.registry.register("t", CLOSED, node.clock.now_ms());
    until("it is refused", || calls(&server, "evalsha") >= 1).await;
    assert_eq!(node.lookup("t"), Lookup::Known(CLOSED));
    server.cli(&["CONFIG", "SET", "maxmemory", "0"]);
    node.has_written().await;

    assert_eq!(value(&server, "t"), r#"{"require_token":true}"#);
}

#[tokio::test]
async fn connections_that_break_all_the_time_lose_no_topic() {
    let server = Server::start(&[]);
    let node = Node::at(&server, PATIENT).await;

    for n in 0..20 {
        for m in 0..50 {
            node.registry.register(&format!("t{n}.{m}"), OPEN, node.clock.now_ms());
        }
        server.cli(&["CLIENT", "KILL", "TYPE", "normal"]);
    }
    node.is_served().await;
    node.has_written().await;

    let keys = server.cli(&["EVAL", "return #redis.call('KEYS', 'wavelog:topic:*')", "0"]);
    assert_eq!(keys.trim(), "1000");
    assert_eq!(node.metrics.registry_dropped.get(), 0);
}

#[tokio::test]
async fn a_node_that_was_deaf_for_a_moment_confirms_at_once_what_it_knows() {
    let server = Server::start(&[]);
    let node = Node::at(&server, PATIENT).await;
    node.register("t", OPEN).await;
    let listening = node.redis.as_ref().unwrap().listening(0).await.generation;
    go_unregisters(&server, "t");

    server.cli(&["CLIENT", "KILL", "TYPE", "pubsub"]);
    node.redis.as_ref().unwrap().listening(listening).await;

    until("it is forgotten", || node.registry.memory.len(node.clock.now_ms()) == 0).await;
}
