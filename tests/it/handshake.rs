//! From the request to the upgrade (docs/protocol.md, "WebSocket").

use std::time::Instant;

use crate::support::{
    Frame, Http, PATIENCE, Socket, TEXT, Worker, frame, request, upgrade_request,
};

const AUTH_OK: &str = r#"{"type":"auth_ok"}"#;

/// The answer to a plain `GET` of `path`, without upgrade headers.
fn get(connection: &mut Http, path: &str) -> (u16, String) {
    let answer = connection.ask(&request("GET", path, &[], b""));
    (answer.status, answer.text().to_owned())
}

/// A full upgrade request with `from` replaced by `to`.
fn altered(from: &str, to: &str) -> Vec<u8> {
    let request = upgrade_request("/ws?topic=a", "");
    assert!(request.contains(from));
    request.replace(from, to).into_bytes()
}

#[test]
fn a_registered_topic_is_upgraded() {
    let worker = Worker::start();
    worker.register("session.42");

    let mut socket = worker.open("session.42");

    socket.assert_quiet();
}

#[test]
fn a_missing_topic_is_400_with_and_without_upgrade_headers() {
    let worker = Worker::start();
    let mut connection = worker.public();

    for path in ["/ws", "/ws?", "/ws?topic", "/ws?topic=", "/ws?x=1", "/ws?Topic=a"] {
        let plain = connection.ask(&request("GET", path, &[], b""));
        plain.assert_error(400, "missing topic\n");
        let upgrade = connection.ask(upgrade_request(path, "").as_bytes());
        upgrade.assert_error(400, "missing topic\n");
    }
}

#[test]
fn an_unknown_topic_is_404_with_and_without_upgrade_headers() {
    let worker = Worker::start();
    let mut connection = worker.public();
    let path = "/ws?topic=session.42";

    let plain = connection.ask(&request("GET", path, &[], b""));
    let upgrade = connection.ask(upgrade_request(path, "").as_bytes());

    plain.assert_error(404, "topic not registered\n");
    upgrade.assert_error(404, "topic not registered\n");
}

#[test]
fn other_paths_are_404() {
    let worker = Worker::start();
    worker.register("a");
    let mut connection = worker.public();

    for path in ["/ws/", "/WS", "/wss", "/w", "/ws/x", "//ws"] {
        let path = format!("{path}?topic=a");
        let answer = connection.ask(upgrade_request(&path, "").as_bytes());
        answer.assert_error(404, "404 page not found\n");
    }
}

#[test]
fn the_first_topic_of_the_query_counts() {
    let worker = Worker::start();
    worker.register("a");
    let mut connection = worker.public();
    let not_found = (404, "topic not registered\n".to_owned());
    let bad = (400, "Bad Request\n".to_owned());

    assert_eq!(get(&mut connection, "/ws?topic=a&topic=b"), bad);
    assert_eq!(get(&mut connection, "/ws?topic=b&topic=a"), not_found);
    assert_eq!(get(&mut connection, "/ws?x=1&topic=a&y"), bad);
    let missing = (400, "missing topic\n".to_owned());
    assert_eq!(get(&mut connection, "/ws?topic=&topic=a"), missing);
}

#[test]
fn the_query_is_decoded() {
    let worker = Worker::start();
    worker.register("a b&ä+");

    for query in ["a+b%26%C3%A4%2B", "a%20b%26%c3%a4%2b", "%61+b%26%C3%a4%2b"] {
        let mut connection = worker.public();
        let answer = connection.ask(upgrade_request(&format!("/ws?topic={query}"), "").as_bytes());
        assert_eq!(answer.status, 101, "{query}");
    }
    let mut connection = worker.public();
    let answer = connection.ask(upgrade_request("/ws?t%6Fpic=a+b%26%C3%A4%2B", "").as_bytes());
    assert_eq!(answer.status, 101, "an escape in the name");
}

#[test]
fn a_pair_with_a_broken_escape_is_dropped() {
    let worker = Worker::start();
    worker.register("a");
    let mut connection = worker.public();
    let missing = (400, "missing topic\n".to_owned());

    assert_eq!(get(&mut connection, "/ws?topic=a%"), missing);
    assert_eq!(get(&mut connection, "/ws?topic=a%2"), missing);
    assert_eq!(get(&mut connection, "/ws?topic=%zz"), missing);
    assert_eq!(get(&mut connection, "/ws?topic=%zz&topic=a").1, "Bad Request\n");
}

#[test]
fn a_request_that_is_no_upgrade_is_400_and_names_the_version() {
    let worker = Worker::start();
    worker.register("a");
    let requests = [
        request("GET", "/ws?topic=a", &[], b""),
        altered("Connection: Upgrade", "Connection: keep-alive"),
        altered("Upgrade: websocket", "Upgrade: h2c"),
        altered("Sec-WebSocket-Version: 13", "Sec-WebSocket-Version: 8"),
        altered("Sec-WebSocket-Version: 13", "X: y"),
        altered("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "X: y"),
        altered("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Key:"),
    ];

    for request in requests {
        let answer = worker.public().ask(&request);
        answer.assert_error(400, "Bad Request\n");
        assert_eq!(answer.header("Sec-WebSocket-Version"), Some("13"));
    }
}

#[test]
fn an_upgrade_by_another_method_is_405() {
    let worker = Worker::start();
    worker.register("a");

    for method in ["POST", "PUT", "DELETE"] {
        let answer = worker.public().ask(&altered("GET", method));
        answer.assert_error(405, "Method Not Allowed\n");
        assert_eq!(answer.header("Sec-WebSocket-Version"), Some("13"));
    }
}

#[test]
fn upgrade_headers_may_come_in_lists_and_in_any_case() {
    let worker = Worker::start();
    worker.register("a");
    let requests = [
        altered("Connection: Upgrade", "Connection: keep-alive, Upgrade"),
        altered("Connection: Upgrade", "connection: keep-alive\r\nCONNECTION: upgrade"),
        altered("Upgrade: websocket", "upgrade: WebSocket"),
        altered("Sec-WebSocket-Key", "sec-websocket-key"),
        altered("Host: worker\r\n", "Host: worker\r\nSec-Fetch-Mode: websocket\r\nCookie: a=b\r\n"),
    ];

    for request in requests {
        let mut http = worker.public();
        let answer = http.ask(&request);
        Socket::upgraded(http, &answer).assert_quiet();
    }
}

#[test]
fn every_origin_is_accepted() {
    let worker = Worker::start();
    worker.register("a");

    for origin in ["https://example.org", "http://worker", "null", "nonsense", ""] {
        let header = format!("Origin: {origin}\r\n");
        Socket::upgrade(worker.public(), "/ws?topic=a", &header).assert_quiet();
    }
}

#[test]
fn no_subprotocol_and_no_extension_is_agreed_to() {
    let worker = Worker::start();
    worker.register("a");
    let headers = "Sec-WebSocket-Protocol: chat, wavelog\r\n\
                   Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n";

    // `upgrade` checks that neither header is in the answer.
    Socket::upgrade(worker.public(), "/ws?topic=a", headers).assert_quiet();
}

#[test]
fn refused_requests_leave_the_connection_open_for_an_upgrade() {
    let worker = Worker::start();
    worker.register("a");
    let mut connection = worker.public();

    let not_found = (404, "404 page not found\n".to_owned());
    assert_eq!(get(&mut connection, "/"), not_found);
    assert_eq!(get(&mut connection, "/ws"), (400, "missing topic\n".to_owned()));
    assert_eq!(get(&mut connection, "/ws?topic=b"), (404, "topic not registered\n".to_owned()));
    assert_eq!(get(&mut connection, "/ws?topic=a"), (400, "Bad Request\n".to_owned()));
    assert_eq!(connection.ask(&altered("GET", "POST")).status, 405);

    Socket::upgrade(connection, "/ws?topic=a", "").authenticate(&worker.token(1, "a"));
}

#[test]
fn pipelined_requests_are_answered_before_the_upgrade() {
    let worker = Worker::start();
    worker.register("a");
    let mut connection = worker.public();

    let requests = [
        request("GET", "/ws", &[], b""),
        request("GET", "/ws?topic=b", &[], b""),
        upgrade_request("/ws?topic=a", "").into_bytes(),
    ];
    connection.send(&requests.concat());

    assert_eq!(connection.answer().status, 400);
    assert_eq!(connection.answer().status, 404);
    let answer = connection.answer();
    Socket::upgraded(connection, &answer).assert_quiet();
}

#[test]
fn of_very_many_requests_at_once_only_the_first_few_are_answered() {
    let worker = Worker::start();
    let mut connection = worker.public();

    connection.send(&request("GET", "/", &[], b"").repeat(1000));

    let mut answers = 1;
    while connection.answer().header("Connection") != Some("close") {
        answers += 1;
    }
    assert!((2..=100).contains(&answers), "{answers} answers");
    assert_eq!(connection.rest(), b"", "and then the end");
}

#[test]
fn the_body_of_a_refused_request_is_never_taken_for_a_request() {
    let worker = Worker::start();
    worker.register("a");
    let mut connection = worker.public();
    let hidden = request("GET", "/ws?topic=b", &[], b"");

    let mut bytes = request("POST", "/ws?topic=", &[], &hidden);
    bytes.extend(request("GET", "/ws?topic=a", &[], b""));
    connection.send(&bytes);

    assert_eq!(connection.answer().brief(), (400, "missing topic\n"));
    if let Some(next) = connection.answer_or_end() {
        assert_eq!(next.brief(), (400, "Bad Request\n"));
    }
}

#[test]
fn a_handshake_may_arrive_byte_by_byte() {
    let worker = Worker::start();
    worker.register("a");
    let mut connection = worker.public();

    for byte in upgrade_request("/ws?topic=a", "").bytes() {
        connection.send(&[byte]);
    }

    let answer = connection.answer();
    Socket::upgraded(connection, &answer).authenticate(&worker.token(1, "a"));
}

#[test]
fn an_auth_frame_may_arrive_together_with_the_handshake() {
    let worker = Worker::start();
    worker.register("a");
    let mut connection = worker.public();
    let auth = format!(r#"{{"type":"auth","token":"{}"}}"#, worker.token(1, "a"));

    let mut bytes = upgrade_request("/ws?topic=a", "").into_bytes();
    bytes.extend(frame(TEXT, auth.as_bytes()));
    connection.send(&bytes);

    let answer = connection.answer();
    let mut socket = Socket::upgraded(connection, &answer);
    assert_eq!(socket.next(), Frame::text(AUTH_OK));
    worker.publish("a", "1");
    assert_eq!(socket.next_push(), "1");
}

#[test]
fn a_handshake_with_half_an_auth_frame_waits_for_the_other_half() {
    let worker = Worker::start();
    worker.register("a");
    let mut connection = worker.public();
    let auth = format!(r#"{{"type":"auth","token":"{}"}}"#, worker.token(1, "a"));
    let frame = frame(TEXT, auth.as_bytes());

    let mut bytes = upgrade_request("/ws?topic=a", "").into_bytes();
    bytes.extend(&frame[..frame.len() / 2]);
    connection.send(&bytes);
    let answer = connection.answer();
    let mut socket = Socket::upgraded(connection, &answer);
    socket.send_raw(&frame[frame.len() / 2..]);

    assert_eq!(socket.next(), Frame::text(AUTH_OK));
}

#[test]
fn a_handshake_with_headers_of_a_usual_size_is_taken() {
    let worker = Worker::start();
    worker.register("a");
    let cookie = format!("Cookie: session={}\r\n", "x".repeat(4000));

    Socket::upgrade(worker.public(), "/ws?topic=a", &cookie).assert_quiet();
}

#[test]
fn an_endless_request_head_is_cut_off_and_costs_no_memory() {
    let worker = Worker::with("request_timeout: 2s\n");
    worker.register("a");
    let before = worker.memory("VmHWM");
    let begin = Instant::now();
    let mut connection = worker.public();

    connection.send(b"GET /ws?topic=a HTTP/1.1\r\nHost: worker\r\nX: ");
    while connection.try_send(&[b'x'; 16 * 1024]).is_ok() {
        assert!(begin.elapsed() < PATIENCE, "the worker goes on listening");
    }
    let answer = connection.answer_or_end();

    assert!(answer.is_none_or(|answer| (400..500).contains(&answer.status)));
    assert!(worker.memory("VmHWM") < before + 8 * 1024 * 1024);
    worker.open("a").assert_quiet();
}
