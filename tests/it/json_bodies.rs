//! Request bodies on the internal port: JSON as Go reads it, its limits, bytes that are none
//! (docs/protocol.md, "Internal API"). Cases that other languages share are in
//! `contract/api.json`; here are those that need more than one request or many bytes.

use crate::support::{SECRET, Socket, Worker, request};

/// The largest body.
const LIMIT: usize = 1024 * 1024;

/// Asserts on the answers of the three calls to `body`.
fn assert_all_refuse(worker: &Worker, body: &[u8]) {
    for path in ["/internal/register", "/internal/unregister", "/internal/publish"] {
        let answer = worker.post(path, body);
        assert_eq!(
            answer.brief(),
            (400, "bad request\n"),
            "{path} {:?}",
            String::from_utf8_lossy(&body[..body.len().min(100)])
        );
    }
}

/// Whether `topic` may be subscribed to with any token.
fn is_open(worker: &Worker, topic: &str) -> bool {
    let mut socket = worker.open(topic);
    socket.send_text(r#"{"type":"auth","token":"any"}"#);
    socket.next().as_text() == Some(r#"{"type":"auth_ok"}"#)
}

#[test]
fn what_is_not_json_is_400() {
    let worker = Worker::start();
    let bodies: [&[u8]; 22] = [
        b"",
        b" ",
        b"{",
        b"garbage",
        b"topic=a",
        br#"{"topic":"a""#,
        br#"{"topic":"a",}"#,
        br#"{"topic":"a" "payload":1}"#,
        br#"{topic:"a"}"#,
        br#"{'topic':'a'}"#,
        br#"{"topic":"a","payload":01}"#,
        br#"{"topic":"a","payload":1.}"#,
        br#"{"topic":"a","payload":+1}"#,
        br#"{"topic":"a","payload":NaN}"#,
        br#"{"topic":"a","payload":tru}"#,
        br#"{"topic":"a","payload":[1,]}"#,
        br#"{"topic":"a","payload":"\x41"}"#,
        br#"{"topic":"a","payload":"\u12g4"}"#,
        b"{\"topic\":\"a\nb\"}",
        b"{\"topic\":\"a\",\"payload\":\"\x01\"}",
        b"\xef\xbb\xbf{\"topic\":\"a\"}",
        b"{\"topic\":\"a\",/* no */\"payload\":1}",
    ];

    for body in bodies {
        assert_all_refuse(&worker, body);
    }
}

#[test]
fn a_json_value_that_is_no_object_is_400() {
    let worker = Worker::start();

    for body in ["[]", r#"["topic"]"#, r#""topic""#, "1", "true"] {
        assert_all_refuse(&worker, body.as_bytes());
    }
}

#[test]
fn a_field_of_a_wrong_type_is_400() {
    let worker = Worker::start();

    for body in [r#"{"topic":1}"#, r#"{"topic":["a"]}"#, r#"{"topic":{}}"#, r#"{"topic":true}"#] {
        assert_all_refuse(&worker, body.as_bytes());
    }
    let metas = ["1", "[]", r#""x""#, r#"{"require_token":1}"#, r#"{"require_token":"true"}"#];
    for meta in metas {
        let answer = worker.post("/internal/register", format!(r#"{{"topic":"a","meta":{meta}}}"#));
        answer.assert_error(400, "bad request\n");
    }
}

#[test]
fn bytes_that_are_not_utf_8_are_400_wherever_they_stand() {
    let worker = Worker::start();
    worker.register_open("a");
    let mut socket = worker.subscribe("a");

    for bad in [&b"\xff"[..], b"\xc3", b"\xc0\xaf", b"\xed\xa0\x80", b"\xf4\x90\x80\x80"] {
        for (before, after) in [
            (&br#"{"topic":"a"#[..], &br#"","payload":1}"#[..]),
            (br#"{"topic":"a","payload":""#, br#""}"#),
            (br#"{"topic":"a","payload":{""#, br#"":1}}"#),
            (br#"{"topic":"a","payload":1,""#, br#"":1}"#),
            (br#"{"topic":"a","payload":1,"x":""#, br#""}"#),
        ] {
            assert_all_refuse(&worker, &[before, bad, after].concat());
        }
    }

    // It reached nobody and broke nobody's connection.
    socket.assert_quiet();
}

#[test]
fn what_follows_the_first_json_value_is_ignored() {
    let worker = Worker::start();
    worker.register_open("a");
    let mut socket = worker.subscribe("a");

    for rest in ["garbage", r#"{"topic":"b","payload":2}"#, "\0", "}", "]", "   ", "\u{feff}"] {
        let body = format!(r#"{{"topic":"a","payload":1}}{rest}"#);
        worker.post("/internal/publish", body).assert_ok();
        assert_eq!(socket.next_push(), "1");
    }
}

#[test]
fn field_names_match_in_any_case_and_with_escapes() {
    let worker = Worker::start();
    worker.register("a");
    let mut socket = worker.subscribe("a");

    let bodies = [
        r#"{"TOPIC":"a","PAYLOAD":1}"#,
        r#"{"Topic":"a","PayLoad":1}"#,
        r#"{"\u0074opic":"a","p\u0041yload":1}"#,
    ];
    for body in bodies {
        worker.post("/internal/publish", body).assert_ok();
        assert_eq!(socket.next_push(), "1");
    }

    let body = r#"{"ToPiC":"b","META":{"Require_Token":true}}"#;
    worker.post("/internal/register", body).assert_ok();
    assert!(!is_open(&worker, "b"));
}

#[test]
fn unknown_fields_are_ignored() {
    let worker = Worker::start();
    worker.register("a");
    let mut socket = worker.subscribe("a");

    let body = r#"{"x":{"topic":"b"},"topic":"a","":null,"payload":1,"topics":[2],"topic ":"c"}"#;
    worker.post("/internal/publish", body).assert_ok();

    assert_eq!(socket.next_push(), "1");
}

#[test]
fn of_equal_fields_the_last_counts() {
    let worker = Worker::start();
    worker.register("a");
    let mut socket = worker.subscribe("a");

    let body = r#"{"topic":"b","payload":1,"Topic":"a","payload":{"n":2}}"#;
    worker.post("/internal/publish", body).assert_ok();

    assert_eq!(socket.next_push(), r#"{"n":2}"#);
}

#[test]
fn null_leaves_a_field_as_it_is() {
    let worker = Worker::start();
    worker.register("a");
    let mut socket = worker.subscribe("a");

    let body = r#"{"topic":"a","topic":null,"payload":1}"#;
    worker.post("/internal/publish", body).assert_ok();
    assert_eq!(socket.next_push(), "1");

    let body = r#"{"topic":"b","meta":{"require_token":true,"require_token":null}}"#;
    worker.post("/internal/register", body).assert_ok();
    assert!(!is_open(&worker, "b"));

    let body = r#"{"topic":"c","meta":{"require_token":true},"meta":null}"#;
    worker.post("/internal/register", body).assert_ok();
    assert!(!is_open(&worker, "c"));

    let body = r#"{"topic":"d","meta":null}"#;
    worker.post("/internal/register", body).assert_ok();
    assert!(is_open(&worker, "d"));
}

#[test]
fn a_repeated_meta_is_filled_further() {
    let worker = Worker::start();

    let body = r#"{"topic":"a","meta":{"require_token":true},"meta":{"x":1}}"#;
    worker.post("/internal/register", body).assert_ok();
    let body = r#"{"topic":"b","meta":{"require_token":true},"meta":{"require_token":false}}"#;
    worker.post("/internal/register", body).assert_ok();

    assert!(!is_open(&worker, "a"));
    assert!(is_open(&worker, "b"));
}

#[test]
fn null_as_the_body_is_an_object_without_fields() {
    let worker = Worker::start();

    worker.post("/internal/register", "null").assert_error(400, "bad request\n");
    worker.post("/internal/publish", "null").assert_error(400, "missing topic\n");
}

#[test]
fn a_missing_or_empty_topic_is_400() {
    let worker = Worker::start();

    for body in ["{}", r#"{"topic":""}"#, r#"{"topic":null}"#, r#"{"x":1}"#] {
        worker.post("/internal/register", body).assert_error(400, "bad request\n");
        worker.post("/internal/publish", body).assert_error(400, "missing topic\n");
    }
}

#[test]
fn a_missing_payload_is_told_after_a_missing_topic_and_before_an_unknown_one() {
    let worker = Worker::start();

    let answer = |body: &str| worker.post("/internal/publish", body);

    answer(r#"{"payload":1}"#).assert_error(400, "missing topic\n");
    answer(r#"{"topic":"unknown"}"#).assert_error(400, "missing payload\n");
    answer(r#"{"topic":"unknown","payload":1}"#).assert_error(404, "topic not registered\n");
}

#[test]
fn a_null_payload_is_a_payload() {
    let worker = Worker::start();
    worker.register("a");
    let mut socket = worker.subscribe("a");

    worker.publish("a", "null");

    assert_eq!(socket.next().as_text(), Some(r#"{"type":"push","payload":null}"#));
}

#[test]
fn nesting_is_taken_to_a_depth_of_10_000_and_no_further() {
    let worker = Worker::start();
    worker.register_open("a");
    let mut socket = worker.subscribe("a");
    // The body's own object is one level.
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth - 1), "]".repeat(depth - 1));

    worker.publish("a", &nested(10_000));
    let too_deep = worker.try_publish("a", &nested(10_001));
    let unclosed = worker.post("/internal/publish", "[".repeat(500_000));
    let body = format!(r#"{{"topic":"a","payload":1,"x":{}}}"#, nested(10_001));
    let too_deep_in_a_field_that_is_ignored = worker.post("/internal/publish", body);

    assert_eq!(socket.next_push(), nested(10_000));
    too_deep.assert_error(400, "bad request\n");
    unclosed.assert_error(400, "bad request\n");
    too_deep_in_a_field_that_is_ignored.assert_error(400, "bad request\n");
    socket.assert_quiet();
}

#[test]
fn a_body_of_1_mib_is_delivered_whole() {
    let worker = Worker::start();
    worker.register("a");
    let mut socket = worker.subscribe("a");
    let around = r#"{"topic":"a","payload":""}"#.len();
    let payload =
        format!("\"{}\"", "0123456789abcdef".repeat(LIMIT / 16)[..LIMIT - around].to_owned());

    worker.publish("a", &payload);

    assert!(socket.next_push() == payload);
}

#[test]
fn a_body_of_more_than_1_mib_is_400() {
    let worker = Worker::start();
    worker.register("a");
    let mut socket = worker.subscribe("a");
    let around = r#"{"topic":"a","payload":""}"#.len();

    let body = format!(r#"{{"topic":"a","payload":"{}"}}"#, "x".repeat(LIMIT - around + 1));
    let announced = worker.post("/internal/publish", &body);
    let headers = [("X-Worker-Secret", SECRET), ("Transfer-Encoding", "chunked")];
    let mut connection = worker.internal();
    connection.send(&request("POST", "/internal/publish", &headers, b""));
    connection.send(format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len()).as_bytes());
    let chunked = connection.answer();

    announced.assert_error(400, "bad request\n");
    chunked.assert_error(400, "bad request\n");
    socket.assert_quiet();
}

#[test]
fn a_huge_announced_body_is_400_or_the_end_and_costs_no_memory() {
    let worker = Worker::with("request_timeout: 1s\n");
    let before = worker.memory("VmHWM");

    for length in ["1099511627776", "18446744073709551615", "99999999999999999999999"] {
        let mut connection = worker.internal();
        let head = format!(
            "POST /internal/publish HTTP/1.1\r\nHost: worker\r\nX-Worker-Secret: {SECRET}\r\n\
             Content-Length: {length}\r\n\r\n"
        );
        connection.send(head.as_bytes());
        if let Some(answer) = connection.answer_or_end() {
            assert!((400..500).contains(&answer.status), "{length}: {answer:?}");
        }
    }

    assert!(worker.memory("VmHWM") < before + 8 * 1024 * 1024);
    assert_eq!(worker.get("/internal/status").status, 200);
}

#[test]
fn a_body_that_ends_too_early_does_nothing() {
    let worker = Worker::start();
    let whole = worker.post_request("/internal/register", r#"{"topic":"a"}          "#);
    let mut connection = worker.internal();

    connection.send(&whole[..whole.len() - 5]);
    connection.finish_sending();
    let answer = connection.answer_or_end();

    assert!(answer.is_none_or(|answer| answer.status == 400));
    assert_eq!(worker.try_publish("a", "1").status, 404);
}

#[test]
fn any_string_is_a_topic() {
    let worker = Worker::start();
    // A token of it has to fit into 4096 bytes, in hex.
    let long = "x".repeat(1800);
    let topics =
        ["a", " ", "ä", "日本語", "a b", "a/b?c=d&e", "\"\\", "\u{1f600}", "\0", "%41", "*", &long];

    for (n, topic) in topics.into_iter().enumerate() {
        worker.register(topic);
        let mut socket = worker.subscribe(topic);
        worker.publish(topic, &n.to_string());
        assert_eq!(socket.next_push(), n.to_string());
    }
}

#[test]
fn a_very_long_topic_is_taken() {
    let worker = Worker::start();
    let topic = "x".repeat(900_000);

    worker.register(&topic);

    worker.publish(&topic, "1");
}

#[test]
fn escapes_in_a_topic_are_read_and_lone_surrogates_become_replacement_characters() {
    let worker = Worker::start();

    let register = |topic: &str| {
        let body = format!(r#"{{"topic":"{topic}","meta":{{"require_token":true}}}}"#);
        worker.post("/internal/register", body).assert_ok();
    };
    register(r"a\u00e4\n\/\ud83d\ude00");
    register(r"b\ud800c");
    register(r"d\udc00\ud800e\ud800\u0041");

    worker.publish("aä\n/😀", "1");
    worker.publish("b\u{fffd}c", "1");
    worker.publish("d\u{fffd}\u{fffd}e\u{fffd}A", "1");
    let mut socket: Socket = worker.subscribe("b\u{fffd}c");
    let body = r#"{"topic":"b\udfffc","payload":2}"#;
    worker.post("/internal/publish", body).assert_ok();
    assert_eq!(socket.next_push(), "2");
}
