//! Runs the golden cases of `contract/` against the worker, and checks that they are what
//! `contract/README.md` says.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::support::{Answer, Socket, Worker, hex, mint, request, unhex};

/// A file of golden cases.
fn golden(name: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("contract").join(name);
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

fn secret(golden: &Value) -> &str {
    golden["secret"].as_str().unwrap()
}

/// The text of a field.
fn text<'a>(case: &'a Value, field: &str) -> &'a str {
    case[field].as_str().unwrap_or_else(|| panic!("no text {field} in {case}"))
}

fn cases<'a>(golden: &'a Value, list: &str) -> &'a [Value] {
    golden[list].as_array().unwrap()
}

/// The first frame that answers `first` on `topic`.
fn answer_to(worker: &Worker, topic: &str, first: &str) -> (Socket, String) {
    let mut socket = worker.open(topic);
    socket.send_text(first);
    let answer = socket.next().as_text().unwrap().to_owned();
    (socket, answer)
}

/// An auth frame with `token`, whatever letters that has.
fn auth(token: &str) -> String {
    format!(r#"{{"type":"auth","token":{}}}"#, Value::from(token))
}

#[test]
fn the_worker_accepts_and_refuses_the_golden_tokens() {
    let golden = golden("tokens.json");
    let worker = Worker::with_secret(secret(&golden), "");
    let mut failures = Vec::new();

    for case in cases(&golden, "cases") {
        let topic = text(case, "topic");
        worker.register(topic);
        let (_, answer) = answer_to(&worker, topic, &auth(text(case, "token")));
        let expected = if case["accepted"] == true {
            r#"{"type":"auth_ok"}"#
        } else {
            r#"{"type":"error","code":"unauthorized","message":"invalid or expired token"}"#
        };
        if answer != expected {
            failures.push(format!("{}: {answer}", text(case, "name")));
        }
    }

    assert!(failures.is_empty(), "{failures:#?}");
}

#[test]
fn the_worker_knows_the_users_of_the_golden_tokens() {
    let golden = golden("tokens.json");
    let worker = Worker::with_secret(secret(&golden), "");
    let mut failures = Vec::new();

    let accepted = cases(&golden, "cases").iter().filter(|case| case["accepted"] == true);
    for case in accepted {
        let topic = text(case, "topic");
        worker.register(topic);
        worker.wait_for_sockets(0);
        // A second socket of the same user is the same client, unless there is no user.
        let user_id = case["user_id"].as_i64().unwrap();
        let _known = worker.subscribe_as(user_id, topic);
        let (_socket, answer) = answer_to(&worker, topic, &auth(text(case, "token")));
        let clients = worker.status()["connected_clients"].as_u64();
        let expected = if user_id > 0 { 1 } else { 2 };
        if !answer.contains("auth_ok") || clients != Some(expected) {
            failures.push(format!("{}: {answer}, {clients:?} clients", text(case, "name")));
        }
    }

    assert!(failures.is_empty(), "{failures:#?}");
}

#[test]
fn the_golden_tokens_are_made_as_they_say() {
    let golden = golden("tokens.json");

    for case in cases(&golden, "cases") {
        let name = text(case, "name");
        if case["signed"] == true {
            assert_eq!(mint(text(case, "claims"), secret(&golden)), text(case, "token"), "{name}");
        }
        if let Some(fields) = case["fields"].as_object() {
            let claims: Value = serde_json::from_str(text(case, "claims")).unwrap();
            assert_eq!(claims.as_object(), Some(fields), "{name}");
        }
    }
}

#[test]
fn the_worker_answers_the_golden_auth_frames() {
    let golden = golden("frames.json");
    let worker = Worker::with_secret(secret(&golden), "");
    worker.register("protected");
    worker.register_open("open");
    let token = worker.token(1, "protected");
    let mut failures = Vec::new();

    for case in cases(&golden, "auth") {
        let first = text(case, "frame").replace("{token}", &token);
        let (mut socket, answer) = answer_to(&worker, text(case, "topic"), &first);
        let expected = text(case, "answer");
        if answer != text(&golden["answers"], expected) {
            failures.push(format!("{}: {answer}", text(case, "name")));
        } else if !expected.starts_with("auth_ok") {
            let ending = socket.ending();
            if ending.code() != Some(1008) || !ending.frames.is_empty() {
                failures.push(format!("{}: {ending:?}", text(case, "name")));
            }
        }
    }

    assert!(failures.is_empty(), "{failures:#?}");
}

#[test]
fn the_worker_answers_the_golden_pings_of_version_2_alone() {
    let golden = golden("frames.json");
    let worker = Worker::with_secret(secret(&golden), "");
    worker.register_open("open");

    for case in cases(&golden, "pings") {
        let name = text(case, "name");
        for (first, version_2) in
            [(r#"{"type":"auth"}"#, false), (r#"{"type":"auth","v":2}"#, true)]
        {
            let (mut socket, _) = answer_to(&worker, "open", first);
            socket.send_text(text(case, "frame"));
            if version_2 && case["answered"] == true {
                let answer = socket.next();
                assert_eq!(answer.as_text(), Some(text(&golden, "ping_answer")), "{name}");
            }
            socket.assert_quiet();
        }
    }
}

#[test]
fn the_worker_pushes_the_golden_frames() {
    let golden = golden("frames.json");
    let worker = Worker::with_secret(secret(&golden), "");
    worker.register("a");
    let mut socket = worker.subscribe("a");

    for case in cases(&golden, "pushes") {
        worker.publish("a", text(case, "payload"));
        assert_eq!(socket.next().as_text(), Some(text(case, "frame")), "{}", text(case, "name"));
    }
}

#[test]
fn the_golden_frames_mean_what_they_say() {
    let golden = golden("frames.json");
    let parse = |text: &str| serde_json::from_str::<Value>(text).unwrap();

    for case in cases(&golden, "server") {
        assert_eq!(parse(text(case, "frame")), case["means"], "{}", text(case, "name"));
    }
    for case in cases(&golden, "pushes") {
        let frame = parse(text(case, "frame"));
        assert_eq!(frame["payload"], parse(text(case, "payload")), "{}", text(case, "name"));
        if let Some(go_frame) = case["go_frame"].as_str() {
            assert_eq!(parse(go_frame), frame, "{}", text(case, "name"));
        }
    }
}

#[test]
fn the_worker_sends_status_frames_with_the_golden_keys() {
    let golden = golden("frames.json");
    let worker = Worker::with_secret(secret(&golden), "");
    let mut socket = worker.subscribe("worker.status");

    socket.send_text(r#"{"type":"status"}"#);
    let frame = socket.next();

    let payload = frame.as_text().unwrap().split_once(r#""payload":"#).unwrap().1;
    assert_keys(payload.strip_suffix('}').unwrap(), &golden["status_payload_keys"]);
}

#[test]
fn the_worker_answers_the_golden_requests() {
    let golden = golden("api.json");
    let worker = Worker::with_secret(secret(&golden), "");

    for case in cases(&golden, "cases") {
        println!("{}", text(case, "name"));
        let given = case["given"].as_array().into_iter().flatten();
        for topic in given {
            worker.register(topic.as_str().unwrap());
        }
        let mut subscriber =
            case["delivers"]["topic"].as_str().map(|topic| worker.subscribe(topic));

        let answer = worker.internal().ask(&request_of(case));

        assert_answer(&answer, &case["answer"]);
        if let Some(subscriber) = &mut subscriber {
            assert_eq!(subscriber.next().as_text(), Some(text(&case["delivers"], "frame")));
        }
        for (topic, requires) in case["then_requires_token"].as_object().into_iter().flatten() {
            let (_, answer) = answer_to(&worker, topic, r#"{"type":"auth","token":"x"}"#);
            assert_eq!(answer.contains("unauthorized"), requires == true, "{topic}: {answer}");
        }
        forget_all_topics(&worker);
    }
}

/// The bytes of a case's request.
fn request_of(case: &Value) -> Vec<u8> {
    let asked = &case["request"];
    let headers: Vec<(&str, &str)> = asked["headers"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|pair| (pair[0].as_str().unwrap(), pair[1].as_str().unwrap()))
        .collect();
    let body = match (asked["body"].as_str(), asked["body_hex"].as_str()) {
        (Some(text), None) => text.as_bytes().to_vec(),
        (None, Some(digits)) => unhex(digits),
        (None, None) => Vec::new(),
        (Some(_), Some(_)) => panic!("two bodies in {case}"),
    };
    request(text(asked, "method"), text(asked, "path"), &headers, &body)
}

fn assert_answer(answer: &Answer, expected: &Value) {
    assert_eq!(answer.status, expected["status"], "{}", hex(&answer.body));
    for (name, value) in expected["headers"].as_object().unwrap() {
        assert_eq!(answer.header(name), value.as_str(), "{name}");
    }
    if expected["body_keys"].is_array() {
        assert_keys(answer.text().trim_end(), &expected["body_keys"]);
    } else {
        assert_eq!(answer.text(), text(expected, "body"));
    }
}

/// Checks that the JSON object `text` has these keys, and in this order.
fn assert_keys(text: &str, expected: &Value) {
    let object: serde_json::Map<String, Value> = serde_json::from_str(text).unwrap();
    let mut keys: Vec<&str> = object.keys().map(String::as_str).collect();
    keys.sort_by_key(|key| text.find(&format!("\"{key}\":")));
    assert_eq!(serde_json::json!(keys), *expected);
}

/// Leaves only `worker.status` registered.
fn forget_all_topics(worker: &Worker) {
    let document = worker.get("/internal/status?topics=1").json();
    let topics = document["topic_list"].as_array().into_iter().flatten();
    for topic in topics.filter_map(Value::as_str).filter(|topic| *topic != "worker.status") {
        worker.unregister(topic);
    }
}
