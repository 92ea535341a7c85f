//! Runs the golden cases of `contract/cluster.json` against a node and a real Redis: what other
//! nodes write there, Go's as captured, and what ours writes.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::support::{GoNode, Redis, Socket, Worker, request, unhex, until};

/// What ends a case: it comes after whatever the case delivers.
const END: &str = r#"{"type":"push","payload":"the end of the case"}"#;
const GO: &str = "00000000000000f0";

fn golden() -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("contract/cluster.json");
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

fn text<'a>(case: &'a Value, field: &str) -> &'a str {
    case[field].as_str().unwrap_or_else(|| panic!("no text {field} in {case}"))
}

fn cases<'a>(golden: &'a Value, list: &str) -> &'a [Value] {
    golden[list].as_array().unwrap()
}

/// The bytes of a case: a text, hex, or brackets around each other.
fn bytes(case: &Value, field: &str) -> Vec<u8> {
    if let Some(text) = case[field].as_str() {
        return text.as_bytes().to_vec();
    }
    if let Some(digits) = case[format!("{field}_hex")].as_str() {
        return unhex(digits);
    }
    let repeat = &case["repeat"];
    let times = usize::try_from(repeat["times"].as_u64().unwrap()).unwrap();
    let part = |name: &str| text(repeat, name).to_owned();
    let (open, close) = (part("open").repeat(times), part("close").repeat(times));
    [part("before"), open, close, part("after")].concat().into_bytes()
}

/// The frames that `socket` gets until the end of the case.
fn frames(socket: &mut Socket) -> Vec<String> {
    let mut frames = Vec::new();
    loop {
        let frame = socket.next();
        match frame.as_text().unwrap_or_else(|| panic!("not a text frame: {frame:?}")) {
            END => return frames,
            text => frames.push(text.to_owned()),
        }
    }
}

#[test]
fn a_node_delivers_and_skips_the_golden_envelopes() {
    let golden = golden();
    let redis = Redis::start();
    let go = GoNode::join(&redis, GO);
    let node = Worker::node(&redis.url(), "node", "");
    let events = text(&golden, "events");
    let mut failures = Vec::new();

    for case in cases(&golden, "envelopes") {
        let topic = case["topic"].as_str().unwrap_or("session.42");
        node.register(topic);
        let mut socket = node.subscribe(topic);
        if case["unregistered"] == true {
            node.unregister(topic);
        }
        let skipped = node.counter("envelopes_skipped");
        redis.publish(events, &bytes(case, "envelope"));
        go.publish(topic, r#""the end of the case""#);
        let frames = frames(&mut socket);

        let expected: Vec<String> = case["frame"].as_str().map(str::to_owned).into_iter().collect();
        if frames != expected {
            failures.push(format!("{}: {frames:?}", text(case, "name")));
        }
        let counted = node.counter("envelopes_skipped") - skipped;
        if counted != u64::from(case["skipped"] == true) {
            failures.push(format!("{}: {counted} skipped", text(case, "name")));
        }
    }

    assert!(failures.is_empty(), "{failures:#?}");
    assert_eq!(node.counter("gaps"), 0);
}

#[test]
fn a_node_writes_the_golden_envelopes() {
    let golden = golden();
    let redis = Redis::start();
    let go = GoNode::join(&redis, GO);
    let node = Worker::node(&redis.url(), "node", "");
    let origin = node.id();
    let mut boots = BTreeSet::new();

    for (before, case) in cases(&golden, "ours").iter().enumerate() {
        node.register(text(case, "topic"));
        node.publish(text(case, "topic"), text(case, "payload"));
        let envelope = until("the envelope", || go.heard().get(before).cloned());

        let boot = envelope.rsplit('"').nth(1).unwrap().to_owned();
        let expected = text(case, "envelope")
            .replace("{origin}", &origin)
            .replace("{n}", &(before + 1).to_string())
            .replace("{boot}", &boot);
        assert_eq!(envelope, expected, "{}", text(case, "name"));
        boots.insert(boot);
    }

    assert_eq!(boots.len(), 1, "{boots:?}");
    for id in [boots.first().unwrap(), &origin] {
        let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        assert!(id.len() == 16 && id.bytes().all(is_digit), "{id}");
    }
}

#[test]
fn a_node_skips_its_own_envelope_and_delivers_the_same_from_another_origin() {
    let golden = golden();
    let redis = Redis::start();
    let go = GoNode::join(&redis, GO);
    let node = Worker::node(&redis.url(), "node", "");
    node.register("a");
    let mut socket = node.subscribe("a");
    let events = text(&golden, "events");

    node.publish("a", "1");
    let envelope = until("the envelope", || go.heard_of("a").first().cloned());
    redis.publish(events, envelope.as_bytes());
    // As Go would write it, too: without number and start.
    let short = format!(r#"{{"origin_id":"{}","topic":"a","payload":2}}"#, node.id());
    redis.publish(events, short.as_bytes());
    redis.publish(events, envelope.replace(&node.id(), "00000000000000a1").as_bytes());
    go.publish("a", r#""the end of the case""#);

    let push = r#"{"type":"push","payload":1}"#;
    assert_eq!(frames(&mut socket), [push, push]);
}

#[test]
fn a_node_reads_the_golden_values_of_topics() {
    let golden = golden();
    let redis = Redis::start();
    let node = Worker::node(&redis.url(), "node", "");
    let mut failures = Vec::new();

    for (number, case) in cases(&golden, "values").iter().enumerate() {
        let topic = format!("topic.{number}");
        let key = text(&golden, "topic_key").replace("{topic}", &topic);
        redis.ask(&[b"SET".to_vec(), key.into_bytes(), bytes(case, "value")]);

        let known = node.try_publish(&topic, "1").status;
        let path = format!("/ws?topic={topic}");
        let asked = node.public().ask(&request("GET", &path, &[], b"")).status;
        let found = match (known, asked) {
            (404, 404) => Value::Null,
            (200, 400) => {
                let mut socket = node.open(&topic);
                socket.send_text(r#"{"type":"auth","token":"x"}"#);
                Value::from(socket.next().as_text().unwrap().contains("unauthorized"))
            }
            other => Value::from(format!("{other:?}")),
        };
        if found != case["require_token"] {
            failures.push(format!("{}: {found}", text(case, "name")));
        }
    }

    assert!(failures.is_empty(), "{failures:#?}");
}

#[test]
fn a_node_writes_the_golden_values_of_topics() {
    let golden = golden();
    let redis = Redis::start();
    let node = Worker::node(&redis.url(), "node", "");

    for (number, case) in cases(&golden, "registered").iter().enumerate() {
        let topic = format!("topic.{number}");
        match case["require_token"] == true {
            true => node.register(&topic),
            false => node.register_open(&topic),
        }
        let key = text(&golden, "topic_key").replace("{topic}", &topic);
        assert_eq!(until("the key", || redis.get(&key)), text(case, "value"));
    }
}

#[test]
fn the_golden_envelopes_and_values_are_what_they_say() {
    let golden = golden();
    let mut names = BTreeSet::new();

    for case in cases(&golden, "envelopes") {
        assert!(names.insert(text(case, "name")), "{} is there twice", text(case, "name"));
        if let Some(frame) = case["frame"].as_str() {
            let envelope: Value = serde_json::from_slice(&bytes(case, "envelope"))
                .unwrap_or_else(|_| Value::from(text(case, "name")));
            let frame: Value = serde_json::from_str(frame).unwrap_or(Value::Null);
            // Where serde_json reads both: the usual spelling has the same payload.
            if envelope["payload"].is_object() && !frame.is_null() {
                assert_eq!(frame["payload"], envelope["payload"], "{}", text(case, "name"));
            }
        }
    }
    let entry: serde_json::Map<String, Value> =
        serde_json::from_str(text(&golden["roster"], "go_entry")).unwrap();
    let keys = golden["roster"]["keys"].as_array().unwrap();
    assert_eq!(entry.len(), keys.len());
    assert!(keys.iter().all(|key| entry.contains_key(key.as_str().unwrap())));
}
