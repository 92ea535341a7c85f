//! What a publish sends to whom, and in which order (docs/protocol.md, "Order" and "WebSocket").

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use crate::support::{BINARY, CLOSE, Socket, TEXT, Worker, close_payload};

/// Reads `count` pushes of numbers.
fn numbers(socket: &mut Socket, count: usize) -> Vec<u64> {
    (0..count).map(|_| socket.next_push().parse().unwrap()).collect()
}

#[test]
fn a_push_is_one_unfragmented_text_frame() {
    let worker = Worker::start();
    worker.register("a");
    let mut socket = worker.subscribe("a");

    worker.publish("a", r#"{"event":"qso_updated","id":7}"#);
    let frame = socket.next();

    assert!(frame.fin);
    assert_eq!((frame.reserved, frame.opcode), (0, TEXT));
    let text = r#"{"type":"push","payload":{"event":"qso_updated","id":7}}"#;
    assert_eq!(frame.payload, text.as_bytes());
}

#[test]
fn the_payload_arrives_byte_for_byte() {
    let worker = Worker::start();
    worker.register("a");
    let mut socket = worker.subscribe("a");
    let payloads = [
        "null",
        "true",
        "0",
        "-0",
        "-0.0e-0",
        "1E400",
        "123456789012345678901234567890",
        "0.1000000000000000055511151231257827021181583404541015625",
        r#""""#,
        r#""ä€😀""#,
        r#""\u00e4\/\b\f\n\r\t\"\\""#,
        r#""\ud83d\ude00""#,
        r#""\ud800 \udc00""#,
        r#"{"a":1,"a":2,"b":{"a":1,"a":2}}"#,
        r#"{"z":1,"y":2,"x":3}"#,
        r#"["<b>&amp;</b>","\u003cb\u003e"]"#,
        "\"\u{2028}\u{2029}\u{7f}\u{feff}\"",
        "[]",
        "{}",
        r#"{"":""}"#,
        r#"[ 1 , { "a" : [ ] } ]"#,
        "{\n\t\"a\":\r\n 1 }",
    ];

    for payload in payloads {
        worker.publish("a", payload);
        assert_eq!(socket.next_push(), payload);
    }
}

#[test]
fn white_space_around_the_payload_does_not_change_its_value() {
    let worker = Worker::start();
    worker.register("a");
    let mut socket = worker.subscribe("a");

    let body = "\r\n{ \"topic\" :\t\"a\" , \"payload\" : \n [1] \t }\n";
    worker.post("/internal/publish", body).assert_ok();

    assert_eq!(socket.next_push().trim(), "[1]");
}

#[test]
fn payloads_of_every_length_around_the_borders_of_the_frame_header_arrive() {
    let worker = Worker::start();
    worker.register("a");
    let mut socket = worker.subscribe("a");
    let around = r#"{"type":"push","payload":""}"#.len();

    for frame_bytes in [around, 125, 126, 127, 65_534, 65_535, 65_536, 65_537] {
        let payload = format!("\"{}\"", "x".repeat(frame_bytes - around));
        worker.publish("a", &payload);
        let frame = socket.next();
        assert_eq!(frame.payload.len(), frame_bytes);
        assert!(frame.as_text().unwrap().contains(&payload));
    }
}

#[test]
fn every_socket_of_the_topic_gets_the_push_and_no_other_socket() {
    let worker = Worker::start();
    worker.register("a");
    worker.register("b");
    let mut of_a: Vec<Socket> = (0..5).map(|user| worker.subscribe_as(user, "a")).collect();
    let mut of_b = worker.subscribe("b");
    let mut not_authenticated = worker.open("a");

    worker.publish("a", "1");

    for socket in &mut of_a {
        assert_eq!(socket.next_push(), "1");
        socket.assert_quiet();
    }
    of_b.assert_quiet();
    not_authenticated.assert_quiet();
}

#[test]
fn publishing_without_subscribers_is_200() {
    let worker = Worker::start();
    worker.register("a");

    worker.publish("a", "1");

    assert_eq!(worker.counter("publishes"), 1);
    assert_eq!(worker.counter("deliveries"), 0);
}

#[test]
fn what_a_subscribed_browser_sends_is_ignored() {
    let worker = Worker::start();
    worker.register("a");
    let mut sender = worker.subscribe("a");
    let mut other = worker.subscribe("a");

    let token = worker.token(1, "a");
    sender.send_text(&format!(r#"{{"type":"auth","token":"{token}"}}"#));
    sender.send_text(r#"{"type":"status"}"#);
    sender.send_text(r#"{"type":"push","payload":1}"#);
    sender.send_text("not JSON");
    sender.send_text("");
    sender.send(BINARY, &[0, 255, 1]);
    sender.send_text(&"x".repeat(4096));

    sender.assert_quiet();
    other.assert_quiet();
    worker.publish("a", "2");
    assert_eq!(sender.next_push(), "2");
    assert_eq!(other.next_push(), "2");
}

#[test]
fn one_publisher_is_heard_in_its_order() {
    let worker = Worker::start();
    worker.register("a");
    let mut sockets: Vec<Socket> = (0..3).map(|user| worker.subscribe_as(user, "a")).collect();
    let mut publisher = worker.internal();

    let requests: Vec<Vec<u8>> =
        (0..500).map(|n| worker.publish_request("a", &n.to_string())).collect();
    publisher.send(&requests.concat());
    for _ in &requests {
        publisher.answer().assert_ok();
    }

    for socket in &mut sockets {
        assert_eq!(numbers(socket, 500), (0..500).collect::<Vec<_>>());
        socket.assert_quiet();
    }
}

/// Publishes from two connections in turn, each after the other's answer, to `subscribers`
/// sockets, and checks that all of them hear all of it in that order.
fn assert_turns_are_heard_in_order(subscribers: i64) {
    let worker = Worker::start();
    worker.register("a");
    let mut sockets: Vec<Socket> =
        (0..subscribers).map(|user| worker.subscribe_as(user, "a")).collect();
    let mut publishers = [worker.internal(), worker.internal()];

    for n in 0..100 {
        let request = worker.publish_request("a", &n.to_string());
        publishers[n % 2].ask(&request).assert_ok();
    }

    for socket in &mut sockets {
        assert_eq!(numbers(socket, 100), (0..100).collect::<Vec<_>>());
    }
}

#[test]
fn a_publish_begun_after_an_answer_comes_after_it_on_a_short_list() {
    assert_turns_are_heard_in_order(3);
}

#[test]
fn a_publish_begun_after_an_answer_comes_after_it_on_a_long_list() {
    assert_turns_are_heard_in_order(300);
}

/// Publishes from four connections at the same time to `subscribers` sockets, and checks that
/// all of them hear the same, everything once, and each publisher in its order.
fn assert_all_hear_the_same_order(subscribers: i64) {
    const EACH: u64 = 100;
    let worker = Worker::start();
    worker.register("a");
    let mut sockets: Vec<Socket> =
        (0..subscribers).map(|user| worker.subscribe_as(user, "a")).collect();

    thread::scope(|scope| {
        for publisher in 0..4 {
            let mut connection = worker.internal();
            let worker = &worker;
            scope.spawn(move || {
                for n in 0..EACH {
                    let payload = (publisher * EACH + n).to_string();
                    connection.ask(&worker.publish_request("a", &payload)).assert_ok();
                }
            });
        }
    });

    let first = numbers(&mut sockets[0], 4 * EACH as usize);
    for publisher in 0..4 {
        let range = publisher * EACH..(publisher + 1) * EACH;
        let heard = first.iter().copied().filter(|n| range.contains(n));
        assert!(heard.eq(range.clone()), "publisher {publisher} was heard out of order");
    }
    for socket in &mut sockets[1..] {
        assert_eq!(numbers(socket, first.len()), first);
        socket.assert_quiet();
    }
}

#[test]
fn publishes_under_way_together_reach_every_socket_of_a_short_list_in_the_same_order() {
    assert_all_hear_the_same_order(4);
}

#[test]
fn publishes_under_way_together_reach_every_socket_of_a_long_list_in_the_same_order() {
    assert_all_hear_the_same_order(200);
}

#[test]
fn nothing_is_lost_while_neighbours_come_and_go() {
    const PUBLISHES: usize = 2000;
    let worker = Worker::start();
    worker.register("a");
    let mut stable: Vec<Socket> = (0..10).map(|user| worker.subscribe_as(user, "a")).collect();
    let done = AtomicBool::new(false);

    thread::scope(|scope| {
        for user in 100..103 {
            let (worker, done) = (&worker, &done);
            scope.spawn(move || {
                while !done.load(Ordering::Relaxed) {
                    let mut neighbour = worker.subscribe_as(user, "a");
                    // One of them leaves in good order, the others just vanish.
                    if user == 100 {
                        neighbour.send(CLOSE, &close_payload(1000, ""));
                        assert_eq!(neighbour.ending().code(), Some(1000));
                    }
                }
            });
        }
        let mut publisher = worker.internal();
        for n in 0..PUBLISHES {
            publisher.ask(&worker.publish_request("a", &n.to_string())).assert_ok();
        }
        done.store(true, Ordering::Relaxed);
    });

    for socket in &mut stable {
        assert_eq!(numbers(socket, PUBLISHES), (0..PUBLISHES as u64).collect::<Vec<_>>());
    }
}

#[test]
fn a_client_that_pauses_still_gets_everything() {
    const PUBLISHES: u64 = 2000;
    let worker = Worker::start();
    worker.register("a");
    let mut socket = worker.subscribe("a");
    let mut publisher = worker.internal();

    // Far more than 32 frames, and within the bound of the backlog even if the kernel took none.
    let padding = "x".repeat(400);
    for n in 0..PUBLISHES {
        let request = worker.publish_request("a", &format!(r#"["{padding}",{n}]"#));
        publisher.ask(&request).assert_ok();
    }

    for n in 0..PUBLISHES {
        assert_eq!(socket.next_push(), format!(r#"["{padding}",{n}]"#));
    }
    assert_eq!(worker.counter("slow_closes"), 0);
}

#[test]
fn deliveries_and_publishes_are_counted() {
    let worker = Worker::start();
    worker.register("a");
    let mut sockets: Vec<Socket> = (0..3).map(|user| worker.subscribe_as(user, "a")).collect();

    for n in 0..5 {
        worker.publish("a", &n.to_string());
    }
    for socket in &mut sockets {
        numbers(socket, 5);
    }

    worker.wait_for_counter("deliveries", 15);
    assert_eq!(worker.counter("deliveries"), 15);
    assert_eq!(worker.counter("publishes"), 5);
}
