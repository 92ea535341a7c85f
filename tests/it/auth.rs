//! From the upgrade to `auth_ok` or a refusal (docs/protocol.md, "WebSocket" and "Token"). Tokens
//! and auth frames that other languages share are in `contract/`; here is what needs bytes that
//! JSON cannot hold, the present time, or more than one frame.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::support::{
    BINARY, CLOSE, CONTINUATION, Ending, Frame, PING, Socket, TEXT, Worker, claims, close_payload,
    encode, frame, mint, unix_now,
};

const AUTH_OK: &str = r#"{"type":"auth_ok"}"#;
const AUTH_REQUIRED: &str = r#"{"type":"error","code":"auth_required","message":"first frame must be {type:auth,token:...}"}"#;
const UNAUTHORIZED: &str =
    r#"{"type":"error","code":"unauthorized","message":"invalid or expired token"}"#;
const MASK: Option<[u8; 4]> = Some([1, 2, 3, 4]);

/// A worker with the topic `session.42`, which needs a token, and the open topic `feed`.
fn worker() -> Worker {
    let worker = Worker::start();
    worker.register("session.42");
    worker.register_open("feed");
    worker
}

fn auth_frame(token: &str) -> String {
    format!(r#"{{"type":"auth","token":"{token}"}}"#)
}

/// How the connection ends after `text` as the first frame on `topic`.
fn refusal(worker: &Worker, topic: &str, text: &str) -> Ending {
    let mut socket = worker.open(topic);
    socket.send_text(text);
    socket.ending()
}

/// How a socket on `session.42` ends after a token for `claims`.
fn refusal_of(worker: &Worker, claims: &str) -> Ending {
    refusal(worker, "session.42", &auth_frame(&worker.mint(claims)))
}

#[test]
fn a_good_token_is_answered_with_auth_ok() {
    let worker = worker();
    let mut socket = worker.open("session.42");

    socket.send_text(&auth_frame(&worker.token(1, "session.42")));

    assert_eq!(socket.next(), Frame::text(AUTH_OK));
    socket.assert_quiet();
    assert_eq!(worker.status()["connected_sockets"], 1);
}

#[test]
fn the_auth_frame_may_be_binary() {
    let worker = worker();
    let mut socket = worker.open("session.42");

    socket.send(BINARY, auth_frame(&worker.token(1, "session.42")).as_bytes());

    assert_eq!(socket.next(), Frame::text(AUTH_OK));
}

#[test]
fn the_auth_frame_may_come_in_fragments_with_pings_between() {
    let worker = worker();
    let mut socket = worker.open("session.42");
    let text = auth_frame(&worker.token(1, "session.42"));
    let (first, rest) = text.as_bytes().split_at(10);
    let (second, third) = rest.split_at(10);

    socket.send_raw(&encode(false, 0, TEXT, MASK, first));
    socket.send(PING, b"between");
    socket.send_raw(&encode(false, 0, CONTINUATION, MASK, second));
    socket.send_raw(&encode(true, 0, CONTINUATION, MASK, third));

    // Nothing says which of the two answers comes first.
    let answers = [socket.next(), socket.next()];
    assert!(answers.contains(&Frame::pong(b"between")), "{answers:?}");
    assert!(answers.contains(&Frame::text(AUTH_OK)), "{answers:?}");
}

#[test]
fn the_auth_frame_may_arrive_byte_by_byte() {
    let worker = worker();
    let mut socket = worker.open("session.42");

    for byte in frame(TEXT, auth_frame(&worker.token(1, "session.42")).as_bytes()) {
        socket.send_raw(&[byte]);
    }

    assert_eq!(socket.next(), Frame::text(AUTH_OK));
}

#[test]
fn pings_are_answered_before_the_auth_frame() {
    let worker = worker();
    let mut socket = worker.open("session.42");

    socket.send(PING, b"");
    assert_eq!(socket.next(), Frame::pong(b""));

    socket.authenticate(&worker.token(1, "session.42"));
}

#[test]
fn an_auth_frame_may_have_4096_bytes_and_no_more() {
    let worker = worker();
    let padded = |length: usize| {
        let text = auth_frame(&worker.token(1, "session.42"));
        format!("{text}{}", " ".repeat(length - text.len()))
    };

    let mut socket = worker.open("session.42");
    socket.send_text(&padded(4096));
    assert_eq!(socket.next(), Frame::text(AUTH_OK));

    refusal(&worker, "session.42", &padded(4097)).assert_only_close(1009);
}

#[test]
fn fragments_count_together_towards_the_4096_bytes() {
    let worker = worker();
    let mut socket = worker.open("session.42");

    socket.send_raw(&encode(false, 0, TEXT, MASK, &[b' '; 4000]));
    socket.send_raw(&encode(true, 0, CONTINUATION, MASK, &[b' '; 97]));

    socket.ending().assert_only_close(1009);
}

#[test]
fn a_first_frame_that_is_no_auth_frame_is_auth_required() {
    let worker = worker();
    let good = worker.token(1, "session.42");
    let frames = [
        String::new(),
        "hello".to_owned(),
        "null".to_owned(),
        "[]".to_owned(),
        "{}".to_owned(),
        r#"{"type":"status"}"#.to_owned(),
        format!(r#"{{"type":"Auth","token":"{good}"}}"#),
        format!(r#"{{"type":"auth ","token":"{good}"}}"#),
        format!(r#"{{"type":["auth"],"token":"{good}"}}"#),
        format!(r#"{{"token":"{good}"}}"#),
        format!(r#"{{"type":"auth","token":"{good}"}} {{}}"#),
        format!(r#"{{"type":"auth","token":"{good}"}}x"#),
        format!(r#"{{"type":"auth","token":"{good}""#),
        format!(r#"{{"type":"auth","token":["{good}"]}}"#),
        r#"{"type":"auth","token":1}"#.to_owned(),
    ];

    for text in frames {
        let ending = refusal(&worker, "session.42", &text);
        ending.assert_text_then_close(AUTH_REQUIRED, 1008);
    }
}

#[test]
fn an_auth_frame_without_a_token_is_auth_required_where_one_is_needed() {
    let worker = worker();

    for text in
        [r#"{"type":"auth"}"#, r#"{"type":"auth","token":""}"#, r#"{"type":"auth","token":null}"#]
    {
        let ending = refusal(&worker, "session.42", text);
        ending.assert_text_then_close(AUTH_REQUIRED, 1008);
    }
}

#[test]
fn keys_of_the_auth_frame_match_in_any_case_and_unknown_ones_are_ignored() {
    let worker = worker();
    let token = worker.token(1, "session.42");

    for text in [
        format!(r#"{{"TYPE":"auth","Token":"{token}"}}"#),
        format!(r#"{{"x":[1],"token":"{token}","type":"auth"}}"#),
        format!(r#"{{"type":"no","token":"no","type":"auth","token":"{token}"}}"#),
        format!(" {{ \"type\" : \"auth\" ,\n\t\"token\" : \"{token}\" }}\r\n"),
    ] {
        let mut socket = worker.open("session.42");
        socket.send_text(&text);
        assert_eq!(socket.next(), Frame::text(AUTH_OK), "{text}");
    }
}

#[test]
fn an_open_topic_takes_any_token_an_empty_one_null_and_none() {
    let worker = worker();

    for text in [
        r#"{"type":"auth","token":"anything"}"#.to_owned(),
        r#"{"type":"auth","token":""}"#.to_owned(),
        r#"{"type":"auth","token":null}"#.to_owned(),
        r#"{"type":"auth"}"#.to_owned(),
        auth_frame(&worker.mint(r#"{"user_id":1,"topic":"other","expires":1}"#)),
    ] {
        let mut socket = worker.open("feed");
        socket.send_text(&text);
        assert_eq!(socket.next(), Frame::text(AUTH_OK), "{text}");
        worker.publish("feed", "1");
        assert_eq!(socket.next_push(), "1");
    }
}

#[test]
fn an_open_topic_needs_an_auth_frame_and_a_token_that_is_a_string() {
    let worker = worker();

    for text in [
        "{}",
        r#"{"type":"status"}"#,
        r#"{"type":"auth","token":1}"#,
        r#"{"type":"auth","token":{}}"#,
        r#"{"type":"auth","token":false}"#,
    ] {
        let ending = refusal(&worker, "feed", text);
        ending.assert_text_then_close(AUTH_REQUIRED, 1008);
    }
}

#[test]
fn a_forged_token_is_unauthorized() {
    let worker = worker();
    let good = worker.token(1, "session.42");
    let (head, signature) = good.split_once('.').unwrap();
    let claims = claims(1, "session.42");
    let forged = [
        mint(&claims, "another-secret-0123456789abcdef0123"),
        format!("{head}.{}", signature.to_uppercase()),
        format!("{head}.{}", &signature[..62]),
        format!("{head}.{signature}00"),
        format!("{head}."),
        format!(".{signature}"),
        format!("{head}{signature}"),
        format!("{head}.{signature}.{signature}"),
        format!("{}.{signature}", head.to_uppercase()),
        format!("7{good}"),
        claims.replace('"', "'"),
        "x".to_owned(),
    ];

    for token in forged {
        let ending = refusal(&worker, "session.42", &auth_frame(&token));
        ending.assert_text_then_close(UNAUTHORIZED, 1008);
    }
}

#[test]
fn a_token_for_another_topic_is_unauthorized() {
    let worker = worker();

    for topic in ["session.4", "session.420", "Session.42", "", "feed", "session.42 "] {
        let token = worker.token(1, topic);
        let ending = refusal(&worker, "session.42", &auth_frame(&token));
        ending.assert_text_then_close(UNAUTHORIZED, 1008);
    }
}

#[test]
fn an_expired_token_is_unauthorized_and_one_that_lives_is_not() {
    let worker = worker();
    let claims =
        |expires: u64| format!(r#"{{"user_id":1,"topic":"session.42","expires":{expires}}}"#);

    refusal_of(&worker, &claims(unix_now() - 1)).assert_text_then_close(UNAUTHORIZED, 1008);
    let mut socket = worker.open("session.42");
    socket.authenticate(&worker.mint(&claims(unix_now() + 60)));
}

#[test]
fn a_token_is_good_in_the_very_second_in_which_it_expires() {
    let worker = worker();

    // A clock that ticks between minting and reading says nothing; then try again.
    loop {
        let now = unix_now();
        let token =
            worker.mint(&format!(r#"{{"user_id":1,"topic":"session.42","expires":{now}}}"#));
        let mut socket = worker.open("session.42");
        socket.send_text(&auth_frame(&token));
        let answer = socket.next();
        if unix_now() == now {
            assert_eq!(answer, Frame::text(AUTH_OK));
            break;
        }
    }
}

#[test]
fn a_connection_outlives_its_token() {
    let worker = worker();
    let expires = unix_now() + 2;
    let mut socket = worker.open("session.42");
    socket.authenticate(
        &worker.mint(&format!(r#"{{"user_id":1,"topic":"session.42","expires":{expires}}}"#)),
    );

    while unix_now() <= expires {
        thread::sleep(Duration::from_millis(50));
    }

    worker.publish("session.42", "1");
    assert_eq!(socket.next_push(), "1");
}

#[test]
fn a_topic_that_vanished_before_the_auth_frame_is_unauthorized() {
    let worker = worker();
    let mut protected = worker.open("session.42");
    let mut open = worker.open("feed");

    worker.unregister("session.42");
    worker.unregister("feed");
    protected.send_text(&auth_frame(&worker.token(1, "session.42")));
    open.send_text(&auth_frame("any"));

    protected.ending().assert_text_then_close(UNAUTHORIZED, 1008);
    open.ending().assert_text_then_close(UNAUTHORIZED, 1008);
}

#[test]
fn whether_a_token_is_needed_is_decided_when_the_auth_frame_comes() {
    let worker = worker();
    let mut socket = worker.open("feed");

    worker.register("feed");
    socket.send_text(&auth_frame("any"));

    socket.ending().assert_text_then_close(UNAUTHORIZED, 1008);
}

#[test]
fn a_refused_login_is_counted() {
    let worker = worker();

    refusal(&worker, "session.42", "{}");
    refusal(&worker, "session.42", &auth_frame("x"));

    worker.wait_for_counter("auth_failures", 2);
    assert_eq!(worker.status()["connected_sockets"], 0);
}

#[test]
fn a_refusal_is_read_whole_by_a_client_that_sent_more_meanwhile() {
    let worker = worker();

    for _ in 0..20 {
        let mut socket = worker.open("session.42");
        let more = frame(TEXT, &[b'x'; 1000]).repeat(64);
        socket.send_raw(&[frame(TEXT, auth_frame("x").as_bytes()), more].concat());

        socket.ending().assert_text_then_close(UNAUTHORIZED, 1008);
    }
}

#[test]
fn silence_is_a_clean_close_4408_without_an_error_frame() {
    let worker = Worker::with("auth_timeout: 1s\n");
    worker.register("a");
    let begin = Instant::now();
    let mut socket = worker.open("a");

    let ending = socket.ending();

    ending.assert_only_close(4408);
    assert!(begin.elapsed() > Duration::from_millis(900), "{:?}", begin.elapsed());
    worker.wait_for_counter("auth_timeouts", 1);
}

/// Keeps sending what `next` yields until the worker ends the connection.
fn ending_despite(socket: &mut Socket, mut next: impl FnMut() -> Vec<u8>) -> Ending {
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_secs(3) && socket.try_send_raw(&next()).is_ok() {
        thread::sleep(Duration::from_millis(100));
    }
    socket.ending()
}

#[test]
fn pings_do_not_prolong_the_time_to_authenticate() {
    let worker = Worker::with("auth_timeout: 1s\n");
    worker.register("a");
    let mut socket = worker.open("a");

    let ending = ending_despite(&mut socket, || frame(PING, b""));

    assert!(ending.frames.iter().all(|frame| *frame == Frame::pong(b"")));
    assert!((1..25).contains(&ending.frames.len()), "{ending:?}");
    assert_eq!(ending.code(), Some(4408));
    assert_eq!(worker.counter("auth_timeouts"), 1);
}

#[test]
fn slow_bytes_do_not_prolong_the_time_to_authenticate() {
    let worker = Worker::with("auth_timeout: 1s\n");
    worker.register("a");
    let mut socket = worker.open("a");
    let bytes = frame(TEXT, auth_frame(&worker.token(1, "a")).as_bytes());
    let mut bytes = bytes.into_iter();

    let ending = ending_despite(&mut socket, || vec![bytes.next().unwrap()]);

    assert_eq!(ending.frames, []);
    assert_eq!(ending.code(), Some(4408));
    assert_eq!(worker.counter("auth_timeouts"), 1);
}

#[test]
fn an_authenticated_socket_is_not_bound_by_the_time_to_authenticate() {
    let worker = Worker::with("auth_timeout: 300ms\n");
    worker.register("a");
    let mut socket = worker.subscribe("a");
    let mut silent = worker.open("a");

    silent.ending().assert_only_close(4408);

    worker.publish("a", "1");
    assert_eq!(socket.next_push(), "1");
    assert_eq!(worker.counter("auth_timeouts"), 1);
}

#[test]
fn what_stands_around_the_auth_frame_in_the_same_packet_is_heard() {
    let worker = worker();
    let auth = frame(TEXT, auth_frame(&worker.token(1, "session.42")).as_bytes());
    let answers = |before: &[u8], after: &[u8]| {
        let mut socket = worker.open("session.42");
        socket.send_raw(&[before, &auth, after].concat());
        let answers = [socket.next(), socket.next()];
        assert!(answers.contains(&Frame::text(AUTH_OK)), "{answers:?}");
        socket.assert_quiet();
        answers
    };

    let ping = frame(PING, b"beside");
    assert!(answers(&ping, b"").contains(&Frame::pong(b"beside")));
    assert!(answers(b"", &ping).contains(&Frame::pong(b"beside")));
    let mut socket = worker.open("session.42");
    socket.send_raw(&[auth.clone(), frame(CLOSE, &close_payload(1000, ""))].concat());
    socket.ending().assert_text_then_close(AUTH_OK, 1000);
    let mut socket = worker.open("session.42");
    socket.send_raw(&[auth.clone(), encode(true, 1, TEXT, MASK, b"x")].concat());
    socket.ending().assert_text_then_close(AUTH_OK, 1002);
    let mut socket = worker.open("session.42");
    socket.send_raw(&[auth.clone(), frame(TEXT, &[b'x'; 4097])].concat());
    socket.ending().assert_text_then_close(AUTH_OK, 1009);
}

#[test]
fn a_browser_may_leave_before_it_authenticates() {
    let worker = worker();
    let mut socket = worker.open("session.42");

    socket.send(CLOSE, &close_payload(1001, ""));

    socket.ending().assert_only_close(1001);
}

#[test]
fn a_session_id_token_opens_its_session_and_no_other_topic() {
    let worker = worker();
    for topic in ["session.43", "session.042", "session.", "session.0", "42", "session.-42"] {
        worker.register(topic);
    }
    let login = |session_id: &str, topic: &str| {
        let claims = format!(r#"{{"user_id":1,"session_id":{session_id},"expires":4102444800}}"#);
        let mut socket = worker.open(topic);
        socket.send_text(&auth_frame(&worker.mint(&claims)));
        socket.next()
    };

    assert_eq!(login("42", "session.42"), Frame::text(AUTH_OK));
    assert_eq!(login(r#""42""#, "session.42"), Frame::text(AUTH_OK));
    for (session_id, topic) in [
        ("42", "session.43"),
        ("42", "session.042"),
        ("42", "42"),
        (r#""042""#, "session.042"),
        (r#""""#, "session."),
        ("null", "session."),
        ("0", "session.0"),
        (r#""0""#, "session.0"),
        ("-42", "session.-42"),
        (r#""-42""#, "session.-42"),
        (r#""session.42""#, "session.42"),
        ("42.0", "session.42"),
        ("[42]", "session.42"),
    ] {
        assert_eq!(login(session_id, topic), Frame::text(UNAUTHORIZED), "{session_id} on {topic}");
    }
}

#[test]
fn what_is_published_after_auth_ok_is_never_missed() {
    let worker = worker();

    for round in 0..300 {
        let mut socket = worker.open("session.42");
        socket.authenticate(&worker.token(1, "session.42"));
        worker.publish("session.42", &round.to_string());
        assert_eq!(socket.next_push(), round.to_string());
    }
}

#[test]
fn nothing_is_pushed_before_auth_ok() {
    let worker = worker();
    let mut socket = worker.open("session.42");

    worker.publish("session.42", "1");
    socket.assert_quiet();
    socket.authenticate(&worker.token(1, "session.42"));

    socket.assert_quiet();
}

#[test]
fn a_push_does_not_overtake_auth_ok() {
    let worker = worker();
    let request = worker.publish_request("session.42", "1");

    let stop = AtomicBool::new(false);

    thread::scope(|scope| {
        scope.spawn(|| {
            let mut publisher = worker.internal();
            while !stop.load(Ordering::Relaxed) {
                publisher.ask(&request).assert_ok();
            }
        });
        for _ in 0..200 {
            // Checks that the first frame is auth_ok.
            let mut socket = worker.subscribe("session.42");
            assert_eq!(socket.next_push(), "1");
        }
        stop.store(true, Ordering::Relaxed);
    });
}
