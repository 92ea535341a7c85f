//! The duties of RFC 6455 towards clients that keep to it and clients that do not
//! (docs/protocol.md, "Close codes").

use std::time::{Duration, Instant};

use crate::support::{
    BINARY, CLOSE, CONTINUATION, Ending, Frame, PING, PONG, Socket, TEXT, Worker, close_payload,
    encode, frame,
};

const MASK: Option<[u8; 4]> = Some([0xde, 0xad, 0xbe, 0xef]);

/// How the connection ends after `bytes`, before and after authentication.
fn endings(worker: &Worker, bytes: &[u8]) -> [Ending; 2] {
    let ending = |mut socket: Socket| {
        // The worker may end the connection while the rest is still being sent.
        let _ = socket.try_send_raw(bytes);
        socket.ending()
    };
    [ending(worker.open("a")), ending(worker.subscribe("a"))]
}

/// Checks that `bytes` are answered with nothing but a close frame with `code`, before and after
/// authentication.
fn assert_refused(bytes: &[u8], code: u16) {
    assert_all_refused(&[bytes.to_vec()], code);
}

/// The same for each of several breaches.
fn assert_all_refused(breaches: &[Vec<u8>], code: u16) {
    let worker = worker();
    for bytes in breaches {
        for ending in endings(&worker, bytes) {
            ending.assert_only_close(code);
        }
    }
    worker.wait_for_sockets(0);
}

fn worker() -> Worker {
    let worker = Worker::start();
    worker.register("a");
    worker
}

#[test]
fn reserved_bits_are_1002() {
    let breaches: Vec<Vec<u8>> = (1..8)
        .flat_map(|bits| {
            [TEXT, BINARY, PING, CLOSE].map(|opcode| encode(true, bits, opcode, MASK, b"{}"))
        })
        .collect();

    assert_all_refused(&breaches, 1002);
}

#[test]
fn unknown_opcodes_are_1002() {
    let breaches: Vec<Vec<u8>> = [3, 4, 5, 6, 7, 11, 12, 13, 14, 15]
        .into_iter()
        .map(|opcode| encode(true, 0, opcode, MASK, b""))
        .collect();

    assert_all_refused(&breaches, 1002);
}

#[test]
fn unmasked_frames_are_1002() {
    let breaches =
        [TEXT, BINARY, PING, PONG, CLOSE].map(|opcode| encode(true, 0, opcode, None, b"\x03\xe8"));

    assert_all_refused(&breaches, 1002);
}

#[test]
fn control_frames_of_more_than_125_bytes_are_1002() {
    let payload = [&1000_u16.to_be_bytes()[..], &[b'x'; 124]].concat();
    let breaches = [PING, PONG, CLOSE].map(|opcode| frame(opcode, &payload));

    assert_all_refused(&breaches, 1002);
}

#[test]
fn fragmented_control_frames_are_1002() {
    let breaches = [PING, PONG, CLOSE].map(|opcode| encode(false, 0, opcode, MASK, b"\x03\xe8"));

    assert_all_refused(&breaches, 1002);
}

#[test]
fn a_continuation_of_nothing_is_1002() {
    let breaches = [true, false].map(|fin| encode(fin, 0, CONTINUATION, MASK, b"x"));

    assert_all_refused(&breaches, 1002);
}

#[test]
fn a_new_message_within_a_fragmented_one_is_1002() {
    let first = encode(false, 0, TEXT, MASK, b"x");
    let breaches = [
        [first.clone(), frame(TEXT, b"y")].concat(),
        [first.clone(), frame(BINARY, b"y")].concat(),
        [first, encode(false, 0, TEXT, MASK, b"y")].concat(),
    ];

    assert_all_refused(&breaches, 1002);
}

#[test]
fn text_that_is_not_utf_8_is_1007() {
    let bad: [&[u8]; 8] = [
        b"\xff",
        b"ok \xc3(",
        b"\xc0\xaf",
        b"\xed\xa0\x80",
        b"\xf4\x90\x80\x80",
        b"\xe2\x82",
        b"{\"type\":\"auth\",\"token\":\"\x80\"}",
        b"\xf8\x88\x80\x80\x80",
    ];
    let breaches: Vec<Vec<u8>> = bad.into_iter().map(|bytes| frame(TEXT, bytes)).collect();

    assert_all_refused(&breaches, 1007);
}

#[test]
fn text_in_fragments_that_is_not_utf_8_is_1007() {
    let breaches = [
        [
            encode(false, 0, TEXT, MASK, b"ok \xe2\x82"),
            encode(true, 0, CONTINUATION, MASK, b" not the third byte"),
        ]
        .concat(),
        [
            encode(false, 0, TEXT, MASK, b"ok"),
            encode(true, 0, CONTINUATION, MASK, b"cut off \xe2\x82"),
        ]
        .concat(),
    ];

    assert_all_refused(&breaches, 1007);
}

#[test]
fn a_character_may_be_split_between_fragments() {
    let worker = worker();
    let mut socket = worker.subscribe("a");

    socket.send_raw(&encode(false, 0, TEXT, MASK, b"\xf0\x9f"));
    socket.send_raw(&encode(false, 0, CONTINUATION, MASK, b"\x98"));
    socket.send_raw(&encode(true, 0, CONTINUATION, MASK, b"\x80"));

    socket.assert_quiet();
}

#[test]
fn binary_messages_need_not_be_utf_8() {
    let worker = worker();
    let mut socket = worker.subscribe("a");

    socket.send(BINARY, b"\xff\xfe\x00\xc0");

    socket.assert_quiet();
}

#[test]
fn a_message_of_4096_bytes_is_taken_and_a_longer_one_is_1009() {
    let worker = worker();
    let mut socket = worker.subscribe("a");

    socket.send_text(&"x".repeat(4096));
    socket.send(BINARY, &[0; 4096]);
    socket.assert_quiet();
    socket.send_text(&"x".repeat(4097));

    socket.ending().assert_only_close(1009);
    for ending in endings(&worker, &frame(BINARY, &[0; 5000])) {
        ending.assert_only_close(1009);
    }
}

#[test]
fn fragments_of_together_more_than_4096_bytes_are_1009() {
    let mut bytes = encode(false, 0, TEXT, MASK, &[b'x'; 2048]);
    bytes.extend(encode(false, 0, CONTINUATION, MASK, &[b'x'; 2048]));
    bytes.extend(encode(true, 0, CONTINUATION, MASK, b"x"));

    assert_refused(&bytes, 1009);
}

#[test]
fn fragments_of_together_4096_bytes_are_taken_again_and_again() {
    let worker = worker();
    let mut socket = worker.subscribe("a");

    for _ in 0..5 {
        socket.send_raw(&encode(false, 0, TEXT, MASK, &[b'x'; 2048]));
        socket.send(PING, b"between");
        socket.send_raw(&encode(false, 0, CONTINUATION, MASK, b""));
        socket.send_raw(&encode(true, 0, CONTINUATION, MASK, &[b'x'; 2048]));
        assert_eq!(socket.next(), Frame::pong(b"between"));
    }

    socket.assert_quiet();
}

#[test]
fn empty_fragments_without_end_cost_no_memory() {
    let worker = worker();
    let mut socket = worker.subscribe("a");
    let before = worker.memory("VmHWM");

    socket.send_raw(&encode(false, 0, TEXT, MASK, b""));
    socket.send_raw(&encode(false, 0, CONTINUATION, MASK, b"").repeat(200_000));

    socket.assert_quiet();
    assert!(worker.memory("VmHWM") < before + 4 * 1024 * 1024);
}

#[test]
fn a_huge_announced_length_is_1009_at_once() {
    let worker = Worker::start();
    worker.register("a");
    let before = worker.memory("VmHWM");
    let header = |length: u64| {
        let mut bytes = vec![0x80 | TEXT, 0x80 | 127];
        bytes.extend(length.to_be_bytes());
        bytes.extend([1, 2, 3, 4]);
        bytes
    };

    for length in [5000, 1 << 20, 1 << 31, 1 << 40, i64::MAX as u64] {
        let begin = Instant::now();
        for ending in endings(&worker, &header(length)) {
            ending.assert_only_close(1009);
        }
        assert!(begin.elapsed() < Duration::from_secs(5), "{length}");
    }
    // The top bit of a 64-bit length has to be 0: both answers are right.
    for ending in endings(&worker, &header(u64::MAX)) {
        assert!(matches!(ending.code(), Some(1002 | 1009)), "{ending:?}");
    }
    assert!(worker.memory("VmHWM") < before + 8 * 1024 * 1024);
}

#[test]
fn a_ping_is_answered_with_the_same_bytes() {
    let worker = worker();
    let mut socket = worker.subscribe("a");

    for payload in [&b""[..], b"x", b"\xff\x00\xfe", &[7; 125]] {
        socket.send(PING, payload);
        assert_eq!(socket.next(), Frame::pong(payload));
    }
}

#[test]
fn many_pings_at_once_are_answered_in_order_or_by_the_latest() {
    let worker = worker();
    let mut socket = worker.subscribe("a");

    let pings: Vec<u8> = (0..100_u8).flat_map(|n| frame(PING, &[n])).collect();
    socket.send_raw(&pings);

    // RFC 6455, section 5.5.3: of several pings the latest has to be answered.
    let mut last = None;
    while last != Some(99) {
        let pong = socket.next();
        assert_eq!(pong.opcode, PONG);
        assert!(last < pong.payload.first().copied(), "{pong:?} after {last:?}");
        last = pong.payload.first().copied();
    }
    socket.assert_quiet();
}

#[test]
fn pongs_that_nobody_asked_for_are_ignored() {
    let worker = worker();
    let mut before = worker.open("a");
    let mut after = worker.subscribe("a");

    for socket in [&mut before, &mut after] {
        socket.send(PONG, b"");
        socket.send(PONG, b"unasked");
        socket.assert_quiet();
    }
}

#[test]
fn a_good_close_code_is_echoed() {
    let worker = worker();
    let codes = [
        1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000,
        4008, 4999,
    ];

    for code in codes {
        for ending in endings(&worker, &frame(CLOSE, &close_payload(code, "bye ä"))) {
            ending.assert_only_close(code);
        }
    }
    worker.wait_for_sockets(0);
}

#[test]
fn an_empty_close_frame_is_answered_with_a_close_frame() {
    let worker = worker();

    for ending in endings(&worker, &frame(CLOSE, b"")) {
        assert_eq!(ending.frames, []);
        assert!(matches!(ending.close, Some((None | Some(1000), _))), "{ending:?}");
        assert!(!ending.reset);
    }
}

#[test]
fn bad_close_codes_are_1002() {
    let codes = [0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 9999, 65535];
    let breaches: Vec<Vec<u8>> =
        codes.into_iter().map(|code| frame(CLOSE, &close_payload(code, ""))).collect();

    assert_all_refused(&breaches, 1002);
}

#[test]
fn a_close_frame_of_one_byte_is_1002() {
    assert_refused(&frame(CLOSE, b"\x03"), 1002);
}

#[test]
fn a_close_reason_that_is_not_utf_8_is_1002_or_1007() {
    let worker = worker();
    let bytes = frame(CLOSE, b"\x03\xe8bad \xff");

    for ending in endings(&worker, &bytes) {
        assert_eq!(ending.frames, []);
        assert!(matches!(ending.code(), Some(1002 | 1007)), "{ending:?}");
    }
}

#[test]
fn what_follows_a_close_frame_is_ignored() {
    let worker = worker();
    let bytes = [
        frame(CLOSE, &close_payload(1000, "")),
        frame(PING, b"late"),
        frame(TEXT, b"late"),
        vec![0xff; 100],
    ];

    for ending in endings(&worker, &bytes.concat()) {
        assert_eq!(ending.frames, []);
        assert_eq!(ending.code(), Some(1000));
    }
}

#[test]
fn a_breach_is_told_to_a_client_that_sent_much_more_meanwhile() {
    let worker = worker();

    let breach = encode(true, 4, TEXT, MASK, b"x");
    let bytes = [breach, frame(TEXT, &[b'x'; 1000]).repeat(64)].concat();

    for _ in 0..10 {
        for ending in endings(&worker, &bytes) {
            ending.assert_only_close(1002);
        }
    }
}

#[test]
fn a_socket_that_broke_the_rules_gets_nothing_more_and_the_others_do() {
    let worker = worker();
    let mut other = worker.subscribe("a");
    let mut breaker = worker.subscribe("a");

    breaker.send_raw(&encode(true, 7, TEXT, MASK, b"x"));
    breaker.ending().assert_only_close(1002);
    worker.wait_for_sockets(1);
    worker.publish("a", "1");

    assert_eq!(other.next_push(), "1");
}

#[test]
fn a_frame_of_a_browser_may_arrive_byte_by_byte() {
    let worker = worker();
    let mut socket = worker.subscribe("a");

    for byte in frame(PING, b"slowly") {
        socket.send_raw(&[byte]);
    }

    assert_eq!(socket.next(), Frame::pong(b"slowly"));
}

#[test]
fn a_push_goes_between_the_fragments_of_a_browsers_message() {
    let worker = worker();
    let mut socket = worker.subscribe("a");

    socket.send_raw(&encode(false, 0, TEXT, MASK, b"half"));
    worker.publish("a", "1");
    assert_eq!(socket.next_push(), "1");
    socket.send_raw(&encode(true, 0, CONTINUATION, MASK, b"whole"));

    socket.assert_quiet();
}

#[test]
fn a_browser_that_vanishes_is_forgotten() {
    let worker = worker();
    let gone = worker.subscribe("a");
    let half_closed = worker.subscribe("a");
    let mut stays = worker.subscribe("a");

    drop(gone);
    half_closed.finish_sending();

    worker.wait_for_sockets(1);
    worker.publish("a", "1");
    assert_eq!(stays.next_push(), "1");
}
