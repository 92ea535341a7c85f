//! Who is in the cluster and how it is: the roster, the counts, readiness.

use std::time::{Duration, SystemTime};

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::{GoNode, NODES, Redis, Reply, Worker, command, roster_entry, until};

const GO: &str = "00000000000000f0";

/// The keys of an entry as 0.3.0 writes them, in their order.
const GO_KEYS: [&str; 11] = [
    "id",
    "name",
    "version",
    "started_at",
    "seen_at",
    "active_topics",
    "connected_clients",
    "connected_sockets",
    "alive",
    "uptime",
    "uptime_seconds",
];

/// A moment as the roster has it, `ago` before now.
fn rfc3339(ago: Duration) -> String {
    jiff::Timestamp::try_from(SystemTime::now() - ago).unwrap().to_string()
}

/// The value of a node's entry in Redis.
fn entry(redis: &Redis, id: &str) -> Option<String> {
    match redis.ask(&["HGET", NODES, id]) {
        Reply::Nothing => None,
        value => Some(value.text()),
    }
}

/// The ids in the roster in Redis.
fn ids(redis: &Redis) -> Vec<String> {
    redis.ask(&["HKEYS", NODES]).list().iter().map(Reply::text).collect()
}

/// The entry of the node called `name` in the document that `node` answers.
fn shown(node: &Worker, name: &str) -> Option<Value> {
    let document = node.nodes();
    let mut nodes = document["nodes"].as_array().unwrap().iter();
    nodes.find(|entry| entry["name"] == name).cloned()
}

#[test]
fn an_entry_has_the_keys_of_go_in_their_order_and_ours_behind_them() {
    let redis = Redis::start();
    let node = Worker::node(&redis.url(), "club-1", "");
    node.register("a");
    let _sockets = [node.subscribe_as(1, "a"), node.subscribe_as(1, "a")];
    let id = node.id();

    let text = until("the entry with both sockets", || {
        entry(&redis, &id).filter(|text| text.contains(r#""connected_sockets":2"#))
    });

    let object: serde_json::Map<String, Value> = serde_json::from_str(&text).unwrap();
    let mut keys: Vec<&str> = object.keys().map(String::as_str).collect();
    keys.sort_by_key(|key| text.find(&format!("\"{key}\":")));
    assert_eq!(keys[..GO_KEYS.len()], GO_KEYS);
    assert_eq!(object["id"], id);
    assert_eq!(object["name"], "club-1");
    assert_eq!(object["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(object["alive"], true);
    assert_eq!(object["active_topics"], 1);
    assert_eq!(object["connected_clients"], 1);
    for key in ["started_at", "seen_at"] {
        let moment: jiff::Timestamp = object[key].as_str().unwrap().parse().unwrap();
        let age = jiff::Timestamp::now().as_second() - moment.as_second();
        assert!((0..60).contains(&age), "{key} is {age} s ago");
    }
    assert!(id.len() == 16 && id.bytes().all(|byte| byte.is_ascii_hexdigit()), "{id}");
}

#[test]
fn an_entry_is_renewed_every_five_seconds() {
    let redis = Redis::start();
    let node = Worker::node(&redis.url(), "node", "");
    let id = node.id();
    let first = until("the entry", || entry(&redis, &id));

    let begin = std::time::Instant::now();
    let seen_at = |text: &str| serde_json::from_str::<Value>(text).unwrap()["seen_at"].clone();
    until("the next entry", || entry(&redis, &id).filter(|text| seen_at(text) != seen_at(&first)));

    assert!(begin.elapsed() < Duration::from_secs(7), "{:?}", begin.elapsed());
}

#[test]
fn every_node_shows_the_whole_cluster_with_go_nodes() {
    let redis = Redis::start();
    let go = GoNode::join(&redis, GO);
    go.enter("go-1", &rfc3339(Duration::ZERO));
    let one = Worker::node(&redis.url(), "one", "");
    let other = Worker::node(&redis.url(), "other", "");

    for (node, is_one) in [(&one, true), (&other, false)] {
        let shown_one = until("one to be shown", || shown(node, "one"));
        let shown_other = until("other to be shown", || shown(node, "other"));
        let shown_go = until("the Go node to be shown", || shown(node, "go-1"));
        assert_eq!(shown_one["self"], is_one);
        assert_eq!(shown_other["self"], !is_one);
        for entry in [&shown_one, &shown_other] {
            assert_eq!(entry["alive"], true);
            assert_eq!(entry["link"], "up");
            assert_eq!(entry["version"], env!("CARGO_PKG_VERSION"));
            assert!(entry["implementation"].as_str().unwrap().contains("Rust"), "{entry}");
            assert!(entry["uptime_seconds"].is_u64() && entry["uptime"].is_string());
        }
        assert_eq!(shown_go["version"], "0.3.0");
        assert_eq!(shown_go["alive"], true);
        let redis_shown = node.nodes()["redis"].clone();
        assert_eq!(redis_shown["state"], "up");
        assert!(redis_shown["address"].as_str().unwrap().contains("127.0.0.1"), "{redis_shown}");
    }
}

#[test]
fn the_roster_needs_the_secret() {
    let redis = Redis::start();
    let node = Worker::node(&redis.url(), "node", "");

    let answer = node.internal().ask(&crate::support::request("GET", "/internal/nodes", &[], b""));

    answer.assert_error(403, "forbidden\n");
}

#[test]
fn the_shell_shows_the_cluster_as_a_table() {
    let redis = Redis::start();
    let one = Worker::node(&redis.url(), "one", "");
    let other = Worker::node(&redis.url(), "other", "");
    until("both nodes to be known", || shown(&one, "other"));

    let output = command()
        .args(["status", "--cluster"])
        .env("WORKER_SECRET", crate::support::SECRET)
        .env("WORKER_INTERNAL_PORT", one.internal.port().to_string())
        .output()
        .unwrap();

    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    for part in ["one", "other", env!("CARGO_PKG_VERSION"), &one.id(), &other.id(), "up"] {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
}

#[test]
fn a_node_leaves_the_roster_at_a_clean_end() {
    let redis = Redis::start();
    let stays = Worker::node(&redis.url(), "stays", "");
    let mut goes = Worker::node(&redis.url(), "goes", "");
    let id = goes.id();
    until("the entry", || entry(&redis, &id));

    goes.signal(Signal::TERM);
    assert!(goes.wait_for_exit().success());

    assert_eq!(entry(&redis, &id), None);
    until("the other node to know", || shown(&stays, "goes").is_none().then_some(()));
}

#[test]
fn a_dead_entry_is_removed_when_a_live_node_has_its_name_and_else_kept_for_a_while() {
    let redis = Redis::start();
    let dead = rfc3339(Duration::from_secs(60));
    let (same_name, other_name) = ("00000000000000d1", "00000000000000d2");
    redis.cli(&["HSET", NODES, same_name, &roster_entry(same_name, "node", &dead)]);
    redis.cli(&["HSET", NODES, other_name, &roster_entry(other_name, "other", &dead)]);

    let node = Worker::node(&redis.url(), "node", "");

    until("the dead entry to be removed", || {
        (!ids(&redis).contains(&same_name.to_owned())).then_some(())
    });
    let id = node.id();
    until("its own entry", || entry(&redis, &id));
    assert!(entry(&redis, other_name).is_some(), "it is dead for less than 15 minutes");
    let other = until("the dead node to be shown", || shown(&node, "other"));
    assert_eq!(other["alive"], false);
}

#[test]
fn an_entry_that_is_dead_for_15_minutes_is_removed() {
    let redis = Redis::start();
    let id = "00000000000000d1";
    let dead = rfc3339(Duration::from_secs(16 * 60));
    redis.cli(&["HSET", NODES, id, &roster_entry(id, "long-gone", &dead)]);

    let _node = Worker::node(&redis.url(), "node", "");

    until("the dead entry to be removed", || (!ids(&redis).contains(&id.to_owned())).then_some(()));
}

#[test]
fn live_nodes_of_the_same_name_keep_their_entries() {
    let redis = Redis::start();
    let (one, other) =
        (Worker::node(&redis.url(), "same", ""), Worker::node(&redis.url(), "same", ""));

    for id in [one.id(), other.id()] {
        until("both entries", || entry(&redis, &id));
    }
    assert_ne!(one.id(), other.id());
}

#[test]
fn garbage_in_the_roster_harms_nobody() {
    let redis = Redis::start();
    for (field, value) in
        [("x", "no JSON"), ("", ""), ("list", "[]"), ("odd", r#"{"seen_at":7,"name":null}"#)]
    {
        redis.cli(&["HSET", NODES, field, value]);
    }

    let node = Worker::node(&redis.url(), "node", "");

    let own = until("its own entry to be shown", || shown(&node, "node"));
    assert_eq!(own["self"], true);
    assert_eq!(node.readiness().status, 200);
}

#[test]
fn cluster_nodes_counts_who_listens() {
    let redis = Redis::start();
    let one = Worker::node(&redis.url(), "one", "");
    let other = Worker::node(&redis.url(), "other", "");
    let counted = |count: i64| {
        until(&format!("{count} nodes to be counted"), || {
            (one.status()["cluster_nodes"] == count).then_some(())
        });
    };

    counted(2);
    let go = GoNode::join(&redis, GO);
    counted(3);
    drop(go);
    drop(other);
    counted(1);
    redis.pause();
    counted(-1);
    redis.resume();
    counted(1);
}

#[test]
fn readiness_and_roster_say_when_redis_is_away() {
    let mut redis = Redis::start();
    let node = Worker::node(&redis.url(), "node", "");
    assert_eq!(node.readiness().brief(), (200, "ok"));

    redis.kill();
    node.wait_until_alone();
    let away = node.nodes()["redis"].clone();
    let readiness = node.readiness();
    redis.restart();
    node.wait_until_ready();

    readiness.assert_error(503, "redis not connected\n");
    assert_eq!(away["state"], "away");
    assert!(away["away_ms"].is_u64() && away["error"].is_string(), "{away}");
    let back = node.nodes()["redis"].clone();
    assert_eq!((&back["state"], &back["away_ms"]), (&json!("up"), &Value::Null));
    assert_eq!(back["error"], Value::Null);
    assert!(back["reconnects"].as_u64().unwrap() >= 1, "{back}");
    let counters = &node.status()["counters"];
    assert_eq!(counters["redis_away"], 1);
    let id = node.id();
    until("its entry in the new Redis", || entry(&redis, &id));
}

#[test]
fn a_node_starts_and_serves_alone_if_the_name_of_redis_cannot_be_found() {
    let node = Worker::apart("redis://redis.invalid:6379/0", "node", "");

    node.register("a");
    let mut socket = node.subscribe("a");
    node.publish("a", "1");

    assert_eq!(socket.next_push(), "1");
    assert_eq!(node.readiness().status, 503);
    assert_eq!(node.status()["cluster_nodes"], -1);
}
