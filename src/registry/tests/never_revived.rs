//! What was written behind never brings back what was unregistered meanwhile, whoever did it, and
//! never removes what was registered meanwhile.

use super::super::script;
use super::super::writes::Condition::Always;
use super::super::writes::{Sending, What};
use super::*;

/// Longer than a write may take before it counts as late, and than times may be apart and count
/// as the same.
const LATE: Duration = Duration::from_millis(1200);

#[tokio::test]
async fn a_node_that_comes_late_does_not_bring_back_what_was_unregistered() {
    let server = Server::start(&[]);
    let b = Node::at(&server, PATIENT).await;
    let mut late = Node::alone(server.config(), PATIENT, TTL);
    late.register("t", OPEN).await;
    assert_eq!(late.lookup("t"), Lookup::Known(OPEN), "while it is alone");
    sleep(Duration::from_millis(20)).await;

    b.unregister("t").await;
    late.join().await;
    late.has_written().await;

    assert_eq!(value(&server, "t"), "");
    late.finds("t", Lookup::Unknown).await;
    assert_eq!(late.metrics.registry_dropped.get(), 1);
}

#[tokio::test]
async fn a_renewal_during_an_outage_does_not_bring_back_what_a_go_worker_unregistered() {
    let server = Server::start(&[]);
    let a = Node::of("a", &server, PATIENT).await;
    a.register("renewed", OPEN).await;
    a.register("kept", OPEN).await;
    shut_out(&a, "a", &server).await;

    a.register("renewed", OPEN).await;
    a.register("kept", CLOSED).await;
    a.register("new", OPEN).await;
    go_unregisters(&server, "renewed");
    assert_eq!(a.lookup("renewed"), Lookup::Known(OPEN), "it cannot know yet");
    let_in(&a, "a", &server).await;

    assert_eq!(value(&server, "renewed"), "");
    a.finds("renewed", Lookup::Unknown).await;
    assert_eq!(value(&server, "kept"), r#"{"require_token":true}"#);
    assert_eq!(value(&server, "new"), r#"{"require_token":false}"#, "it never was in Redis");
    assert_eq!(a.lookup("new"), Lookup::Known(OPEN));
}

#[tokio::test]
async fn a_renewal_during_an_outage_does_not_bring_back_what_our_node_unregistered() {
    let server = Server::start(&[]);
    let (a, b) = (Node::of("a", &server, PATIENT).await, Node::at(&server, PATIENT).await);
    a.register("t", OPEN).await;
    shut_out(&a, "a", &server).await;

    a.register("t", OPEN).await;
    a.register("new", OPEN).await;
    sleep(Duration::from_millis(20)).await;
    b.unregister("t").await;
    b.unregister("new").await;
    let_in(&a, "a", &server).await;

    for topic in ["t", "new"] {
        assert_eq!(value(&server, topic), "");
        a.finds(topic, Lookup::Unknown).await;
    }
}

#[tokio::test]
async fn a_node_that_was_cut_off_does_not_bring_back_what_was_unregistered_before_the_data_was_lost()
 {
    let server = Server::start(&[]);
    let (a, b) = (Node::of("a", &server, PATIENT).await, Node::at(&server, SWIFT).await);
    a.register("ours", OPEN).await;
    b.register("kept", OPEN).await;
    go_registers(&server, "learned", r#"{"require_token":false}"#);
    a.finds("learned", Lookup::Known(OPEN)).await;
    shut_out(&a, "a", &server).await;

    sleep(Duration::from_millis(20)).await;
    b.unregister("ours").await;
    b.unregister("learned").await;
    server.cli(&["FLUSHALL"]);
    until("it is noticed", || server.cli(&["EXISTS", "wavelog:epoch"]) == "1\n").await;
    b.has_written().await;
    let_in(&a, "a", &server).await;

    for topic in ["ours", "learned"] {
        assert_eq!(value(&server, topic), "");
        a.finds(topic, Lookup::Unknown).await;
    }
}

#[tokio::test]
async fn what_was_registered_again_after_it_was_unregistered_stays() {
    let server = Server::start(&[]);
    let (a, b) = (Node::of("a", &server, PATIENT).await, Node::at(&server, PATIENT).await);
    a.register("t", OPEN).await;
    shut_out(&a, "a", &server).await;

    b.unregister("t").await;
    sleep(Duration::from_millis(20)).await;
    a.register("t", CLOSED).await; // PHP asks for it after the unregistration.
    let_in(&a, "a", &server).await;

    assert_eq!(value(&server, "t"), r#"{"require_token":true}"#);
    b.finds("t", Lookup::Known(CLOSED)).await;
}

#[tokio::test]
async fn an_unregistration_of_long_ago_does_not_excuse_a_missing_topic() {
    let server = Server::start(&[]);
    let a = Node::of("a", &server, PATIENT).await;
    a.register("t", OPEN).await;
    a.unregister("t").await;
    sleep(Duration::from_millis(20)).await;
    a.register("t", OPEN).await;
    sleep(Duration::from_millis(20)).await;
    shut_out(&a, "a", &server).await;

    a.register("t", OPEN).await;
    go_unregisters(&server, "t");
    let_in(&a, "a", &server).await;

    assert_eq!(value(&server, "t"), "");
    a.finds("t", Lookup::Unknown).await;
}

#[tokio::test]
async fn an_unregistration_that_comes_late_leaves_what_was_registered_meanwhile() {
    let server = Server::start(&[]);
    let (a, b) = (Node::of("a", &server, PATIENT).await, Node::at(&server, PATIENT).await);
    a.register("ours", OPEN).await;
    a.register("go", OPEN).await;
    a.register("gone", OPEN).await;
    shut_out(&a, "a", &server).await;

    a.unregister("ours").await;
    a.unregister("go").await;
    a.unregister("gone").await;
    assert_eq!(a.lookup("gone"), Lookup::Unknown, "not asked: Redis has it still");
    sleep(LATE).await;
    b.register("ours", CLOSED).await;
    go_registers(&server, "go", "{}");
    let_in(&a, "a", &server).await;

    assert_eq!(value(&server, "ours"), r#"{"require_token":true}"#);
    assert_eq!(b.lookup("ours"), Lookup::Known(CLOSED));
    assert_eq!(value(&server, "go"), "{}");
    assert_eq!(value(&server, "gone"), "");
    a.finds("ours", Lookup::Known(CLOSED)).await;
    a.finds("go", Lookup::Known(OPEN)).await;
}

#[tokio::test]
async fn a_registration_that_comes_late_does_not_undo_a_later_one() {
    let server = Server::start(&[]);
    let (a, b) = (Node::of("a", &server, PATIENT).await, Node::at(&server, PATIENT).await);
    shut_out(&a, "a", &server).await;

    a.register("t", OPEN).await;
    sleep(LATE).await;
    b.register("t", CLOSED).await;
    let_in(&a, "a", &server).await;

    assert_eq!(value(&server, "t"), r#"{"require_token":true}"#);
    a.finds("t", Lookup::Known(CLOSED)).await;
}

#[tokio::test]
async fn a_topic_that_is_unregistered_while_it_is_asked_for_is_not_learned() {
    let server = Server::start(&[]);
    let (a, b) = (Node::at(&server, PATIENT).await, Node::at(&server, PATIENT).await);

    for n in 0..200 {
        let topic = format!("t{n}");
        a.registry.register(&topic, OPEN, a.clock.now_ms());
        a.has_written().await;
        let (found, ()) = tokio::join!(b.find(&topic), a.unregister(&topic));
        assert!(matches!(found, Lookup::Known(OPEN) | Lookup::Unknown), "{found:?}");
        until("it is forgotten everywhere", || b.lookup(&topic) == Lookup::Ask).await;
    }
}

#[tokio::test]
async fn an_unregistration_that_redis_carries_out_late_leaves_what_a_go_worker_registered_meanwhile()
 {
    let server = Server::start(&[]);
    let node = Node::at(&server, PATIENT).await;
    node.register("t", OPEN).await;
    let shared = node.registry.shared.as_ref().unwrap();
    let at_us = node.clock.now_us();
    let sending = |what, at_us| Sending { topic: "t".into(), what, at_us, id: 0 };
    let remove = script::scripted(&sending(What::Remove, at_us), &shared.names, shared.moment());
    let put = What::Put { meta: CLOSED, ends_ms: at_us / 1000 + 3_600_000, condition: Always };
    let put = script::scripted(&sending(put, at_us + 1), &shared.names, shared.moment());

    sleep(LATE).await;
    go_registers(&server, "t", "{}");
    let (commands, _) = shared.serving().unwrap();
    for late in [remove, put] {
        assert_eq!(commands.query::<String>(&late).await.unwrap(), "outdone");
    }

    assert_eq!(value(&server, "t"), "{}");
}

#[tokio::test]
async fn an_unregistration_by_the_clock_of_another_server_does_not_refuse_what_is_registered_now() {
    let server = Server::start(&[]);
    let node = Node::at(&server, PATIENT).await;
    let gone = "wavelog:gone:{wavelog:topic:t}";
    let in_future = (unix_now_us() + 3_000_000).to_string();
    server.cli(&["SET", gone, &in_future]);

    node.register("t", OPEN).await;
    assert_eq!(value(&server, "t"), r#"{"require_token":false}"#);
    assert_eq!(node.lookup("t"), Lookup::Known(OPEN));
    node.unregister("t").await;

    let kept: i64 = server.cli(&["GET", gone]).trim().parse().unwrap();
    assert!(kept <= unix_now_us(), "by this server's clock from now on");
}
