//! The status document of the internal port (docs/protocol.md, "Status").

use serde_json::{Value, json};

use crate::support::{Socket, Worker};

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The keys of a document in the order in which they stand in its text.
fn keys(text: &str) -> Vec<String> {
    let document: Value = serde_json::from_str(text).unwrap();
    let mut keys: Vec<String> = document.as_object().unwrap().keys().cloned().collect();
    keys.sort_by_key(|key| text.find(&format!("\"{key}\":")).unwrap());
    keys
}

#[test]
fn the_document_of_an_idle_worker_is_the_same_to_the_byte() {
    let worker = Worker::start();

    let answer = worker.get("/internal/status");

    let uptime = answer.json()["uptime"].as_str().unwrap().to_owned();
    assert_eq!(
        answer.text(),
        format!(
            "{{\"status\":\"ok\",\"version\":\"{VERSION}\",\"uptime\":\"{uptime}\",\
             \"registered_topics\":1,\"active_topics\":0,\"connected_clients\":0,\
             \"connected_sockets\":0,\"cluster_nodes\":-1}}\n"
        )
    );
    assert_eq!(answer.header("Content-Type"), Some("application/json"));
    let length = answer.body.len().to_string();
    assert_eq!(answer.header("Content-Length"), Some(length.as_str()));
}

#[test]
fn uptime_is_a_go_duration_in_whole_seconds() {
    let worker = Worker::start();

    let mut seen = Vec::new();
    while seen.last().is_none_or(|last| last != "2s") {
        let uptime = worker.get("/internal/status").json()["uptime"].as_str().unwrap().to_owned();
        if seen.last() != Some(&uptime) {
            seen.push(uptime);
        }
    }

    assert!(["0s", "1s", "2s"].map(String::from).ends_with(&seen), "{seen:?}");
}

#[test]
fn topics_1_adds_the_lists_before_cluster_nodes() {
    let worker = Worker::start();
    worker.register("a");
    worker.register("b");
    let _socket = worker.subscribe("b");

    let answer = worker.get("/internal/status?topics=1");

    assert_eq!(
        keys(answer.text()),
        [
            "status",
            "version",
            "uptime",
            "registered_topics",
            "active_topics",
            "connected_clients",
            "connected_sockets",
            "topic_list",
            "active_topic_list",
            "cluster_nodes"
        ]
    );
    let document = answer.json();
    let mut topics: Vec<&str> =
        document["topic_list"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    topics.sort_unstable();
    assert_eq!(topics, ["a", "b", "worker.status"]);
    assert_eq!(document["active_topic_list"], json!(["b"]));
}

#[test]
fn an_empty_list_is_left_out() {
    let worker = Worker::start();

    let idle = worker.get("/internal/status?topics=1").json();
    worker.unregister("worker.status");
    let empty = worker.get("/internal/status?topics=1").json();

    assert_eq!(idle["topic_list"], json!(["worker.status"]));
    assert_eq!(idle.get("active_topic_list"), None);
    assert_eq!(empty.get("topic_list"), None);
}

#[test]
fn the_lists_come_only_if_the_first_topics_parameter_is_exactly_1() {
    let worker = Worker::start();
    let has_list = |query: &str| {
        let document = worker.get(&format!("/internal/status{query}")).json();
        document.get("topic_list").is_some()
    };

    for query in ["?topics=1", "?x=y&topics=1", "?topics=1&topics=0", "?topics=%31"] {
        assert!(has_list(query), "{query}");
    }
    for query in ["", "?", "?topics", "?topics=", "?topics=0", "?topics=true", "?topics=01"] {
        assert!(!has_list(query), "{query}");
    }
    for query in ["?topics=0&topics=1", "?Topics=1", "?topics=1x", "?topics=1+"] {
        assert!(!has_list(query), "{query}");
    }
}

#[test]
fn counters_come_last_and_only_if_asked_for() {
    let worker = Worker::start();

    let plain = worker.get("/internal/status");
    let asked = worker.get("/internal/status?v=2");
    let with_lists = worker.get("/internal/status?topics=1&v=2");

    assert_eq!(plain.json().get("counters"), None);
    for query in ["?v=1", "?v=", "?v=20"] {
        let document = worker.get(&format!("/internal/status{query}")).json();
        assert_eq!(document.get("counters"), None, "{query}");
    }
    let document = asked.json();
    for name in [
        "slow_closes",
        "auth_timeouts",
        "http_timeouts",
        "dead_peers",
        "deliveries",
        "publishes",
        "auth_failures",
        "session_wakeups",
        "flushes",
        "backlog_bytes",
    ] {
        assert!(document["counters"][name].is_u64(), "{name} in {document}");
    }
    let shared = plain.text().split("\"registered_topics\"").nth(1).unwrap();
    let shared = shared.trim_end().trim_end_matches('}');
    assert!(asked.text().contains(&format!("{shared},\"")), "the ordinary fields stay as they are");
    assert!(with_lists.json()["counters"].is_object());
    assert!(with_lists.json()["topic_list"].is_array());
}

#[test]
fn sockets_with_the_same_user_count_as_one_client() {
    let worker = Worker::start();
    worker.register("a");
    worker.register("b");
    let _sockets: Vec<Socket> = [(7, "a"), (7, "a"), (7, "b"), (8, "a")]
        .map(|(user, topic)| worker.subscribe_as(user, topic))
        .into();

    let status = worker.status();

    assert_eq!(status["connected_sockets"], 4);
    assert_eq!(status["connected_clients"], 2);
    assert_eq!(status["active_topics"], 2);
    assert_eq!(status["registered_topics"], 3);
}

#[test]
fn sockets_without_a_user_count_each_by_itself() {
    let worker = Worker::start();
    worker.register("a");
    worker.register_open("open");
    let claims = r#"{"topic":"a","expires":4102444800}"#;
    let mut without_user = worker.open("a");
    without_user.authenticate(&worker.mint(claims));
    let _sockets = [
        worker.subscribe_as(0, "a"),
        worker.subscribe_as(0, "a"),
        worker.subscribe_as(-5, "a"),
        worker.subscribe_as(-5, "a"),
        // The token of a socket on an open topic is not read.
        worker.subscribe_as(9, "open"),
        worker.subscribe_as(9, "open"),
        worker.subscribe_as(9, "a"),
    ];

    let status = worker.status();

    assert_eq!(status["connected_sockets"], 8);
    assert_eq!(status["connected_clients"], 8);
}

#[test]
fn only_authenticated_sockets_count() {
    let worker = Worker::start();
    worker.register("a");

    let mut waiting = worker.open("a");
    let before = worker.status();
    waiting.authenticate(&worker.token(1, "a"));
    let after = worker.status();

    assert_eq!((&before["connected_sockets"], &before["active_topics"]), (&json!(0), &json!(0)));
    assert_eq!((&after["connected_sockets"], &after["active_topics"]), (&json!(1), &json!(1)));
    assert_eq!(after["connected_clients"], 1);
}

#[test]
fn a_socket_that_leaves_is_no_longer_counted() {
    let worker = Worker::start();
    worker.register("a");
    let stays = worker.subscribe_as(1, "a");
    let same_user = worker.subscribe_as(1, "a");
    let other_user = worker.subscribe_as(2, "a");

    drop(same_user);
    worker.wait_for_sockets(2);
    assert_eq!(worker.status()["connected_clients"], 2);
    drop(other_user);
    worker.wait_for_sockets(1);
    assert_eq!(worker.status()["connected_clients"], 1);
    drop(stays);
    worker.wait_for_sockets(0);

    let status = worker.status();
    assert_eq!((&status["connected_clients"], &status["active_topics"]), (&json!(0), &json!(0)));
}

#[test]
fn a_topic_with_subscribers_is_active_even_when_it_is_not_registered() {
    let worker = Worker::start();
    worker.register("a");
    let _socket = worker.subscribe("a");

    worker.unregister("a");

    let status = worker.get("/internal/status?topics=1").json();
    assert_eq!(status["registered_topics"], 1);
    assert_eq!(status["active_topics"], 1);
    assert_eq!(status["active_topic_list"], json!(["a"]));
}
