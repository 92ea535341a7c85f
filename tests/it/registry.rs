//! Which topics exist, for how long, and what that means for sockets (docs/protocol.md,
//! "Internal API").

use std::thread;
use std::time::{Duration, Instant};

use crate::support::{Worker, request, until};

const NOT_REGISTERED: (u16, &str) = (404, "topic not registered\n");

/// Status of a request for a WebSocket on `topic`, without upgrading.
fn ws_status(worker: &Worker, topic: &str) -> u16 {
    worker.public().ask(&request("GET", &format!("/ws?topic={topic}"), &[], b"")).status
}

#[test]
fn registering_without_meta_or_without_the_flag_makes_an_open_topic() {
    let worker = Worker::start();

    let bodies = [
        r#"{"topic":"a"}"#,
        r#"{"topic":"a","meta":{}}"#,
        r#"{"topic":"a","meta":{"require_token":false}}"#,
    ];
    for body in bodies {
        worker.post("/internal/register", body).assert_ok();
        let mut socket = worker.open("a");
        socket.authenticate("no token at all");
        worker.unregister("a");
    }
}

#[test]
fn registering_again_replaces_the_flag() {
    let worker = Worker::start();
    let auth = r#"{"type":"auth","token":"no token at all"}"#;

    worker.register("a");
    let mut first = worker.open("a");
    first.send_text(auth);
    let to_first = first.next();
    worker.register_open("a");
    let mut second = worker.open("a");
    second.send_text(auth);
    let to_second = second.next();
    worker.register("a");
    let mut third = worker.open("a");
    third.send_text(auth);
    let to_third = third.next();

    assert!(to_first.as_text().unwrap().contains("unauthorized"));
    assert_eq!(to_second.as_text(), Some(r#"{"type":"auth_ok"}"#));
    assert!(to_third.as_text().unwrap().contains("unauthorized"));
}

#[test]
fn registering_is_idempotent() {
    let worker = Worker::start();

    for _ in 0..3 {
        worker.register("a");
    }

    assert_eq!(worker.status()["registered_topics"], 2);
}

#[test]
fn an_unregistered_topic_is_404_for_publishers_and_browsers() {
    let worker = Worker::start();
    worker.register("a");

    worker.unregister("a");

    assert_eq!(worker.try_publish("a", "1").brief(), NOT_REGISTERED);
    assert_eq!(ws_status(&worker, "a"), 404);
    assert_eq!(worker.status()["registered_topics"], 1);
}

#[test]
fn unregistering_leaves_subscribers_in_place_and_registering_reaches_them_again() {
    let worker = Worker::start();
    worker.register("a");
    let mut socket = worker.subscribe("a");

    worker.unregister("a");
    assert_eq!(worker.try_publish("a", "1").brief(), NOT_REGISTERED);
    socket.assert_quiet();
    worker.register("a");
    worker.publish("a", "2");

    assert_eq!(socket.next_push(), "2");
}

#[test]
fn a_topic_expires_after_its_ttl_and_leaves_its_subscribers_in_place() {
    let worker = Worker::with("topic_ttl: 1s\n");
    worker.register("a");
    let begin = Instant::now();
    let mut socket = worker.subscribe("a");

    // Publishing does not renew: this loop ends although it publishes all the time.
    let mut published = 0;
    until("the topic to expire", || match worker.try_publish("a", "1").status {
        200 => {
            published += 1;
            None
        }
        _ => Some(()),
    });

    assert!(begin.elapsed() > Duration::from_millis(900), "{:?}", begin.elapsed());
    assert_eq!(ws_status(&worker, "a"), 404);
    for _ in 0..published {
        assert_eq!(socket.next_push(), "1");
    }
    socket.assert_quiet();
    worker.register("a");
    worker.publish("a", "2");
    assert_eq!(socket.next_push(), "2");
}

#[test]
fn expired_topics_are_no_longer_counted() {
    let worker = Worker::with("topic_ttl: 500ms\n");
    for n in 0..10 {
        worker.register(&n.to_string());
    }

    until("all topics but worker.status to expire", || {
        (worker.status()["registered_topics"] == 1).then_some(())
    });
    assert_eq!(
        worker.get("/internal/status?topics=1").json()["topic_list"],
        serde_json::json!(["worker.status"])
    );
}

#[test]
fn registering_again_renews_the_ttl() {
    let worker = Worker::with("topic_ttl: 2s\n");
    worker.register("a");
    worker.register("b");
    let begin = Instant::now();

    while begin.elapsed() < Duration::from_secs(3) {
        worker.register("a");
        thread::sleep(Duration::from_millis(100));
    }

    worker.publish("a", "1");
    assert_eq!(worker.try_publish("b", "1").status, 404);
}

#[test]
fn worker_status_never_expires() {
    let worker = Worker::with("topic_ttl: 200ms\n");
    worker.register("a");

    until("a to expire", || (worker.try_publish("a", "1").status == 404).then_some(()));
    until("a second without worker.status expiring", || {
        assert_eq!(ws_status(&worker, "worker.status"), 400);
        (worker.status()["uptime"] != "0s").then_some(())
    });

    worker.subscribe("worker.status").assert_quiet();
}

#[test]
fn worker_status_is_registered_at_the_start_and_needs_a_token() {
    let worker = Worker::start();

    let mut socket = worker.open("worker.status");
    socket.send_text(r#"{"type":"auth","token":"x"}"#);

    assert!(socket.next().as_text().unwrap().contains("unauthorized"));
    worker.subscribe("worker.status").assert_quiet();
}

#[test]
fn worker_status_can_be_unregistered_and_registered_again_as_open() {
    let worker = Worker::start();

    worker.unregister("worker.status");
    assert_eq!(ws_status(&worker, "worker.status"), 404);
    assert_eq!(worker.status()["registered_topics"], 0);
    worker.register_open("worker.status");

    let mut socket = worker.open("worker.status");
    socket.authenticate("");
    worker.publish("worker.status", "1");
    assert_eq!(socket.next_push(), "1");
}

#[test]
fn many_topics_are_registered_quickly_and_all_of_them_work() {
    const TOPICS: usize = 20_000;
    const BATCH: usize = 100;
    let worker = Worker::start();
    let mut connection = worker.internal();

    for batch in 0..TOPICS / BATCH {
        let body = |n| format!(r#"{{"topic":"session.{n}","meta":{{"require_token":true}}}}"#);
        let requests: Vec<u8> = (batch * BATCH..(batch + 1) * BATCH)
            .flat_map(|n| worker.post_request("/internal/register", body(n)))
            .collect();
        connection.send(&requests);
        for _ in 0..BATCH {
            connection.answer().assert_ok();
        }
    }

    assert_eq!(worker.status()["registered_topics"], TOPICS + 1);
    for n in [0, 1, TOPICS / 2, TOPICS - 1] {
        let topic = format!("session.{n}");
        let mut socket = worker.subscribe(&topic);
        worker.publish(&topic, "1");
        assert_eq!(socket.next_push(), "1");
    }
    assert_eq!(worker.try_publish(&format!("session.{TOPICS}"), "1").brief(), NOT_REGISTERED);
}
