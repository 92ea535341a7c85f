//! One topic's events as they come, for an operator who follows it (docs/live-view.md).

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{GoNode, Redis, Viewer, Worker, unix_now, until};

fn payloads(events: &Value) -> Vec<&str> {
    let events = events["events"].as_array().unwrap();
    events.iter().map(|event| event["payload"].as_str().unwrap()).collect()
}

/// The payloads of `count` events above `after`, however many answers they come in.
fn next_payloads(viewer: &Viewer, topic: &str, after: u64, count: usize) -> Vec<String> {
    let (mut next, mut all) = (after, Vec::new());
    while all.len() < count {
        let events = viewer.tail(topic, next);
        assert_eq!(events["missed"], 0);
        all.extend(payloads(&events).into_iter().map(str::to_owned));
        next = events["next"].as_u64().unwrap();
    }
    all
}

#[test]
fn what_is_published_to_a_topic_comes_in_order_with_number_and_time() {
    let worker = Worker::start();
    worker.register("a");
    worker.register("b");
    let mut browser = worker.subscribe("a");
    let viewer = Viewer::sign_in(&worker);
    let next = viewer.begin_tail(&worker, "a");

    worker.publish("a", r#"{"x": [1, "<ä>"]}"#);
    worker.publish("b", "2");
    worker.publish("a", "3");

    let expected = [r#"{"x": [1, "<ä>"]}"#, "3"];
    assert_eq!(next_payloads(&viewer, "a", next, 2), expected);
    let events = viewer.tail("a", next);
    let first = &events["events"][0];
    assert_eq!((&first["n"], &first["bytes"]), (&json!(next + 1), &json!(expected[0].len())));
    assert_eq!(first["cut"], false);
    let at = first["at"].as_u64().unwrap() / 1000;
    assert!(at.abs_diff(unix_now()) <= 5, "{at}");
    assert_eq!(events["next"], next + 2);
    while browser.next_push() != "3" {} // It had them all, too.
}

#[test]
fn an_event_comes_at_once_to_who_waits_for_it() {
    let worker = Worker::start();
    worker.register("a");
    let viewer = Viewer::sign_in(&worker);
    let next = viewer.begin_tail(&worker, "a");
    let mut waiting = worker.internal();
    waiting.send(&viewer.get_request(&format!("/live/tail?topic=a&after={next}")));
    assert!(!waiting.answers_within(Duration::from_millis(200)), "there is nothing to say yet");

    worker.publish("a", "1");

    assert!(waiting.answers_within(Duration::from_secs(5)));
    assert_eq!(payloads(&waiting.answer().json()), ["1"]);
}

#[test]
fn long_payloads_are_cut_and_what_was_not_kept_is_counted() {
    let worker = Worker::start();
    worker.register("a");
    let viewer = Viewer::sign_in(&worker);
    let next = viewer.begin_tail(&worker, "a");

    let long = format!("\"{}\"", "ä".repeat(50_000));
    worker.publish("a", &long);
    let events = viewer.tail("a", next);
    let event = &events["events"][0];
    assert_eq!((&event["cut"], &event["bytes"]), (&json!(true), &json!(long.len())));
    assert!(long.starts_with(event["payload"].as_str().unwrap()));
    assert!((16_000..=16_384).contains(&event["payload"].as_str().unwrap().len()));

    let next = events["next"].as_u64().unwrap();
    for n in 0..250 {
        worker.publish("a", &n.to_string());
    }
    let events = viewer.tail("a", next);
    assert_eq!(events["missed"], 50);
    assert_eq!(payloads(&events).len(), 200);
    assert_eq!(payloads(&events)[0], "50");
    assert_eq!(events["next"], next + 250);
}

#[test]
fn sixteen_topics_can_be_followed_and_one_more_is_told_so() {
    let worker = Worker::start();
    let viewer = Viewer::sign_in(&worker);
    let mut following: Vec<_> = (0..16)
        .map(|n| {
            let mut connection = worker.internal();
            connection.send(&viewer.get_request(&format!("/live/tail?topic=t{n}")));
            connection
        })
        .collect();

    let refused = until("all to be followed", || {
        let mut one_more = worker.internal();
        one_more.send(&viewer.get_request("/live/tail?topic=one+more"));
        one_more.answers_within(Duration::from_secs(1)).then(|| one_more.answer())
    });

    assert_eq!(refused.status, 429);
    assert!(refused.json()["error"].as_str().unwrap().starts_with("too many topics"));
    // That one, or the last of these, came too late.
    let waiting = following.iter_mut().filter_map(|connection| {
        (!connection.answers_within(Duration::from_millis(10))).then_some(())
    });
    assert!(waiting.count() >= 15);
    for path in ["/live/tail", "/live/tail?topic=", "/live/tail?topic=%ff"] {
        assert_eq!(viewer.get(path).status, 400, "{path}");
    }
}

#[test]
fn a_topic_is_followed_on_a_node_that_has_no_subscriber_for_it() {
    let redis = Redis::start();
    let one = Worker::node(&redis.url(), "one", "");
    let two = Worker::node(&redis.url(), "two", "");
    let go = GoNode::join(&redis, "00000000000000f0");
    one.register("a");
    redis.wait_for_topic("a");
    let viewer = Viewer::sign_in(&two);
    let next = viewer.begin_tail(&one, "a");

    one.publish("a", "1");
    assert_eq!(next_payloads(&viewer, "a", next, 1), ["1"]);
    go.publish("a", r#"{"from":"go"}"#);
    assert_eq!(next_payloads(&viewer, "a", next + 1, 1), [r#"{"from":"go"}"#]);
    two.publish("a", "3");
    assert_eq!(next_payloads(&viewer, "a", next + 2, 1), ["3"], "its own, and that once");

    // Looked at, its publishes of other nodes are counted by topic as well.
    viewer.json("/live/state?topics=1");
    one.publish("a", "4");
    let counted = |topic: &Value| topic["publishes_per_minute"].as_f64() > Some(0.0);
    let topic = viewer.wait_for_topic("a", counted);
    assert_eq!((&topic["subscribers"], &topic["deliveries_per_minute"]), (&json!(0), &json!(0.0)));
}
