//! The internal port: paths, methods, secret, connections (docs/protocol.md, "Internal API").

use crate::support::{Answer, Http, SECRET, Worker, request};

const CALLS: [&str; 4] =
    ["/internal/register", "/internal/unregister", "/internal/publish", "/internal/push"];

#[test]
fn register_publish_and_unregister_answer_200_without_a_body() {
    let worker = Worker::start();

    let registered = worker.post("/internal/register", r#"{"topic":"session.42"}"#);
    let published = worker.try_publish("session.42", "1");
    let unregistered = worker.post("/internal/unregister", r#"{"topic":"session.42"}"#);

    registered.assert_ok();
    published.assert_ok();
    unregistered.assert_ok();
}

#[test]
fn push_is_another_name_for_publish() {
    let worker = Worker::start();
    worker.register("session.42");
    let mut socket = worker.subscribe("session.42");

    let answer = worker.post("/internal/push", r#"{"topic":"session.42","payload":"x"}"#);

    answer.assert_ok();
    assert_eq!(socket.next_push(), r#""x""#);
}

#[test]
fn publishing_to_an_unknown_topic_is_404() {
    let worker = Worker::start();

    worker.try_publish("session.42", "1").assert_error(404, "topic not registered\n");
}

#[test]
fn unregistering_an_unknown_topic_is_200() {
    let worker = Worker::start();

    worker.post("/internal/unregister", r#"{"topic":"session.42"}"#).assert_ok();
}

#[test]
fn an_unknown_path_is_404_whatever_the_method_and_the_secret() {
    let worker = Worker::start();
    let mut connection = worker.internal();
    let paths = [
        "/index.html",
        "/internal",
        "/internal/",
        "/internal/register/",
        "/internal/Register",
        "/ws",
        "/x",
    ];

    for path in paths {
        for method in ["GET", "POST", "DELETE"] {
            let answer = connection.ask(&request(method, path, &[], b""));
            answer.assert_error(404, "404 page not found\n");
        }
    }
}

#[test]
fn a_wrong_method_is_405_before_the_secret_is_looked_at() {
    let worker = Worker::start();
    let mut connection = worker.internal();

    for path in CALLS {
        for method in ["GET", "PUT", "DELETE", "OPTIONS", "PATCH", "BREW"] {
            let answer = connection.ask(&request(method, path, &[], b""));
            answer.assert_error(405, "method not allowed\n");
        }
    }
    for method in ["POST", "PUT", "DELETE"] {
        let answer = connection.ask(&request(method, "/internal/status", &[], b""));
        answer.assert_error(405, "method not allowed\n");
    }
}

#[test]
fn head_is_a_wrong_method_too() {
    let worker = Worker::start();
    let mut connection = worker.internal();

    for path in CALLS.into_iter().chain(["/internal/status"]) {
        connection.send(&request("HEAD", path, &[("X-Worker-Secret", SECRET)], b""));
        let answer = connection.answer_to_head();

        assert_eq!(answer.status, 405, "{path}");
        assert_eq!(answer.header("Allow"), None);
    }
}

#[test]
fn a_missing_empty_or_wrong_secret_is_403_before_the_body_is_looked_at() {
    let worker = Worker::start();
    let mut connection = worker.internal();
    let shorter = &SECRET[..SECRET.len() - 1];
    let longer = format!("{SECRET}x");
    let upper_case = SECRET.to_uppercase();

    for path in CALLS {
        connection.ask(&request("POST", path, &[], b"garbage")).assert_error(403, "forbidden\n");
        for secret in ["", " ", shorter, &longer, &upper_case] {
            let headers = [("X-Worker-Secret", secret)];
            let answer = connection.ask(&request("POST", path, &headers, b"garbage"));
            answer.assert_error(403, "forbidden\n");
        }
    }
    connection.ask(&request("GET", "/internal/status", &[], b"")).assert_error(403, "forbidden\n");
}

#[test]
fn a_refused_secret_does_nothing() {
    let worker = Worker::start();

    let headers = [("X-Worker-Secret", "wrong")];
    let body = br#"{"topic":"session.42"}"#;
    worker.internal().ask(&request("POST", "/internal/register", &headers, body));

    assert_eq!(worker.status()["registered_topics"], 1);
}

#[test]
fn the_first_of_several_secrets_counts() {
    let worker = Worker::start();
    let mut connection = worker.internal();
    let mut status = |first, second| {
        let headers = [("X-Worker-Secret", first), ("X-Worker-Secret", second)];
        connection.ask(&request("GET", "/internal/status", &headers, b"")).status
    };

    assert_eq!(status(SECRET, "wrong"), 200);
    assert_eq!(status("wrong", SECRET), 403);
    assert_eq!(status("", SECRET), 403);
}

#[test]
fn white_space_around_the_secret_and_the_case_of_the_header_name_do_not_matter() {
    let worker = Worker::start();
    let padded = format!(" \t {SECRET} \t ");

    let headers = [("x-WORKER-secret", padded.as_str())];
    let answer = worker.internal().ask(&request("GET", "/internal/status", &headers, b""));

    assert_eq!(answer.status, 200);
}

#[test]
fn the_content_type_of_a_request_does_not_matter() {
    let worker = Worker::start();

    for content_type in ["text/html", "application/json; charset=latin1", "nonsense", ""] {
        let headers = [("X-Worker-Secret", SECRET), ("Content-Type", content_type)];
        let bytes = request("POST", "/internal/register", &headers, br#"{"topic":"a"}"#);
        worker.internal().ask(&bytes).assert_ok();
    }
}

#[test]
fn a_query_on_a_call_is_ignored() {
    let worker = Worker::start();

    worker.post("/internal/register?topic=other&x=%zz", r#"{"topic":"a"}"#).assert_ok();

    assert_eq!(worker.try_publish("a", "1").status, 200);
    assert_eq!(worker.try_publish("other", "1").status, 404);
}

#[test]
fn one_connection_serves_many_requests() {
    let worker = Worker::start();
    let mut connection = worker.internal();

    for n in 0..200 {
        let body = format!(r#"{{"topic":"session.{n}"}}"#);
        connection.ask(&worker.post_request("/internal/register", body)).assert_ok();
    }

    assert_eq!(worker.status()["registered_topics"], 201);
}

#[test]
fn a_refusal_leaves_the_connection_open_for_the_next_request() {
    let worker = Worker::start();
    let mut connection = worker.internal();

    connection.ask(&request("GET", "/x", &[], b"")).assert_error(404, "404 page not found\n");
    connection
        .ask(&request("GET", "/internal/publish", &[], b""))
        .assert_error(405, "method not allowed\n");
    connection
        .ask(&request("POST", "/internal/publish", &[], b"{}"))
        .assert_error(403, "forbidden\n");
    connection
        .ask(&worker.post_request("/internal/publish", "{"))
        .assert_error(400, "bad request\n");
    connection
        .ask(&worker.publish_request("session.42", "1"))
        .assert_error(404, "topic not registered\n");

    let last = connection.ask(&worker.post_request("/internal/register", r#"{"topic":"a"}"#));
    last.assert_ok();
}

#[test]
fn pipelined_requests_are_answered_in_their_order() {
    let worker = Worker::start();
    let mut connection = worker.internal();
    let requests = [
        worker.publish_request("a", "1"),
        worker.post_request("/internal/register", r#"{"topic":"a"}"#),
        worker.publish_request("a", "1"),
        request("GET", "/internal/publish", &[], b""),
        worker.post_request("/internal/unregister", r#"{"topic":"a"}"#),
        worker.publish_request("a", "1"),
    ];

    connection.send(&requests.concat());
    let statuses: Vec<u16> = requests.iter().map(|_| connection.answer().status).collect();

    assert_eq!(statuses, [404, 200, 200, 405, 200, 404]);
}

#[test]
fn a_call_is_answered_alike_wherever_it_is_cut_in_two() {
    let worker = Worker::start();
    worker.register("a");
    let mut socket = worker.subscribe("a");
    let bytes = worker.publish_request("a", "1");

    for cut in 1..bytes.len() {
        let mut connection = worker.internal();
        connection.ask(&bytes).assert_ok();
        connection.send(&bytes[..cut]);
        connection.send(&[&bytes[cut..], &bytes].concat());
        connection.answer().assert_ok();
        connection.answer().assert_ok();
    }

    for _ in 0..3 * (bytes.len() - 1) {
        assert_eq!(socket.next_push(), "1");
    }
    assert_eq!(worker.counter("publishes"), 3 * (bytes.len() as u64 - 1));
}

#[test]
fn many_pipelined_calls_are_carried_out_in_their_order() {
    const CALLS: usize = 500;
    let worker = Worker::start();
    worker.register("a");
    let mut socket = worker.subscribe("a");
    let mut connection = worker.internal();

    let requests = (0..CALLS).flat_map(|n| worker.publish_request("a", &n.to_string()));
    connection.send(&requests.collect::<Vec<_>>());

    for n in 0..CALLS {
        connection.answer().assert_ok();
        assert_eq!(socket.next_push(), n.to_string());
    }
}

#[test]
fn what_makes_a_call_unusual_does_not_change_its_answer() {
    let worker = Worker::start();
    worker.register("a");
    let mut socket = worker.subscribe("a");
    let secret = ("X-Worker-Secret", SECRET);
    let many: Vec<_> = (0..40).map(|_| ("X-More", "1")).chain([secret]).collect();
    let body = br#"{"topic":"a","payload":1}"#;

    for headers in [
        &[secret, ("Connection", "close")][..],
        &[secret, ("Connection", "keep-alive")],
        &[secret, ("Upgrade", "h2c")],
        &[secret, ("Content-Length", "25")], // The second time, and the same.
        &many,
    ] {
        let usual = worker.internal().ask(&worker.publish_request("a", "1"));
        let unusual = worker.internal().ask(&request("POST", "/internal/publish", headers, body));
        assert_eq!(unusual.status, 200, "{headers:?}");
        let without_date = |answer: &Answer| {
            let said = |name: &&(String, String)| name.0 != "Date" && name.0 != "Connection";
            answer.headers.iter().filter(said).cloned().collect::<Vec<_>>()
        };
        assert_eq!(without_date(&unusual), without_date(&usual));
        assert_eq!([socket.next_push(), socket.next_push()], ["1", "1"]);
    }
}

#[test]
fn a_request_may_arrive_byte_by_byte() {
    let worker = Worker::start();
    let mut connection = worker.internal();

    for byte in worker.post_request("/internal/register", r#"{"topic":"a"}"#) {
        connection.send(&[byte]);
    }

    connection.answer().assert_ok();
}

#[test]
fn chunked_bodies_work() {
    let worker = Worker::start();
    let headers = [("X-Worker-Secret", SECRET), ("Transfer-Encoding", "chunked")];
    let mut connection = worker.internal();

    connection.send(&request("POST", "/internal/register", &headers, b""));
    connection.send(b"5\r\n{\"top\r\n");
    connection.send(b"B;extension=1\r\nic\":\"a.b\"} \r\n0\r\n\r\n");

    connection.answer().assert_ok();
    worker.try_publish("a.b", "1").assert_ok();
    connection.ask(&worker.publish_request("a.b", "1")).assert_ok();
}

#[test]
fn http_1_0_works() {
    let worker = Worker::start();
    let mut connection = worker.internal();

    connection.send(
        format!(
            "POST /internal/register HTTP/1.0\r\nX-Worker-Secret: {SECRET}\r\n\
             Content-Length: 13\r\n\r\n{{\"topic\":\"a\"}}"
        )
        .as_bytes(),
    );
    let answer = connection.answer();

    answer.assert_ok();
    assert_eq!(connection.rest(), b"", "without keep-alive the connection ends");
    worker.try_publish("a", "1").assert_ok();
}

#[test]
fn a_client_that_expects_100_continue_is_told_to_go_on() {
    let worker = Worker::start();
    let mut connection = worker.internal();
    let head = format!(
        "POST /internal/register HTTP/1.1\r\nHost: worker\r\nX-Worker-Secret: {SECRET}\r\n\
         Content-Length: 13\r\nExpect: 100-continue\r\n\r\n"
    );

    let interim = connection.ask(head.as_bytes());
    let answer = connection.ask(br#"{"topic":"a"}"#);

    assert_eq!(interim.status, 100);
    answer.assert_ok();
}

#[test]
fn a_client_that_expects_100_continue_with_a_wrong_secret_gets_403_at_once() {
    let worker = Worker::start();
    let mut connection = worker.internal();
    let head = "POST /internal/register HTTP/1.1\r\nHost: worker\r\nX-Worker-Secret: wrong\r\n\
                Content-Length: 13\r\nExpect: 100-continue\r\n\r\n";

    connection.ask(head.as_bytes()).assert_error(403, "forbidden\n");
}

#[test]
fn readyz_is_ok_for_every_method_and_without_a_secret() {
    let worker = Worker::start();
    let mut connection = worker.internal();

    for method in ["GET", "POST", "DELETE"] {
        let answer = connection.ask(&request(method, "/readyz", &[], b""));
        assert_eq!(answer.brief(), (200, "ok"), "{method}");
    }
    connection.send(&request("HEAD", "/readyz", &[], b""));
    assert_eq!(connection.answer_to_head().status, 200);
}

#[test]
fn the_websocket_port_does_not_serve_the_internal_paths() {
    let worker = Worker::start();
    let mut connection = worker.public();

    for path in CALLS.into_iter().chain(["/internal/status", "/readyz"]) {
        for method in ["GET", "POST"] {
            let headers = [("X-Worker-Secret", SECRET)];
            let answer = connection.ask(&request(method, path, &headers, b""));
            answer.assert_error(404, "404 page not found\n");
        }
    }
}

#[test]
fn many_connections_are_served_at_the_same_time() {
    let worker = Worker::start();
    worker.register("a");
    let mut connections: Vec<Http> = (0..100).map(|_| worker.internal()).collect();

    for connection in &mut connections {
        connection.send(&worker.publish_request("a", "1"));
    }

    for connection in connections.iter_mut().rev() {
        connection.answer().assert_ok();
    }
}

#[test]
fn a_call_with_the_wrong_secret_leaves_a_line_in_the_log() {
    let worker = Worker::start();

    Http::connect(worker.internal)
        .ask(&request("POST", "/internal/publish", &[("X-Worker-Secret", "wrong")], b"{}"))
        .assert_error(403, "forbidden\n");

    let line = worker.wait_for_log("the refused call", |line| {
        line["message"] == "call without the right secret refused"
    });
    assert_eq!(line["client"], "127.0.0.1");
}
