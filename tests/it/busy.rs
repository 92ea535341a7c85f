//! A list that takes long to write to: nobody else waits for it, and what waits for it is bounded
//! (docs/protocol.md, "Internal API", 503).
//!
//! `strace` makes each write take 20 ms, so that a list of 100 sockets takes two seconds.

use std::thread;
use std::time::{Duration, Instant};

use crate::support::{Socket, Strace, Worker, alone};

const SUBSCRIBERS: i64 = 100;
const DELAY: Duration = Duration::from_millis(20);

/// A worker with `SUBSCRIBERS` sockets on the topic `long`.
fn worker(config: &str) -> (Worker, Vec<Socket>) {
    let worker = Worker::with(config);
    worker.register("long");
    let sockets = (0..SUBSCRIBERS).map(|user| worker.subscribe_as(user, "long")).collect();
    (worker, sockets)
}

#[test]
fn neither_the_publisher_of_a_long_list_nor_other_topics_wait_for_it() {
    let _alone = alone();
    let (worker, mut sockets) = worker("");
    worker.register("other");
    let mut other = worker.subscribe("other");
    let strace = Strace::delay_sends(&worker, DELAY);

    let begin = Instant::now();
    worker.publish("long", "1");
    let answered = begin.elapsed();
    worker.publish("other", "2");
    assert_eq!(other.next_push(), "2");
    let others_heard = begin.elapsed();
    other.assert_quiet();
    let pinged = begin.elapsed();
    for socket in &mut sockets {
        assert_eq!(socket.next_push(), "1");
    }
    let all_heard = begin.elapsed();
    drop(strace);

    let second = Duration::from_secs(1);
    assert!(all_heard > Duration::from_millis(1500), "the list was not slow: {all_heard:?}");
    assert!(answered < second, "the answer took {answered:?}");
    assert!(others_heard < second, "another topic took {others_heard:?}");
    assert!(pinged < second, "a pong took {pinged:?}");
}

#[test]
fn publishes_over_the_bound_of_an_outbox_are_503_and_the_others_are_delivered_in_order() {
    // Each is more than half of what may wait.
    fill_the_outbox(8, 40_000);
}

#[test]
fn small_publishes_over_the_bound_of_an_outbox_wait_and_are_503_as_well() {
    // So small that a publish that has room never meets the HTTP stack.
    fill_the_outbox(10, 12_000);
}

/// Publishes to a slow list more than may wait: `publishes` of `bytes`.
fn fill_the_outbox(publishes: usize, bytes: usize) {
    let _alone = alone();
    let (worker, mut sockets) = worker("outbox_bytes: 65536\n");
    let strace = Strace::delay_sends(&worker, DELAY);

    let padding = "x".repeat(bytes);
    let mut accepted = Vec::new();
    let mut refused = 0;
    for n in 0..publishes {
        let payload = format!(r#"[{n},"{padding}"]"#);
        let begin = Instant::now();
        let answer = worker.try_publish("long", &payload);
        if answer.status == 200 {
            accepted.push(payload);
        } else {
            answer.assert_error(503, "busy\n");
            let waited = begin.elapsed();
            assert!(waited > Duration::from_millis(400), "refused after {waited:?}");
            assert!(waited < Duration::from_millis(1500), "refused after {waited:?}");
            refused += 1;
        }
    }
    drop(strace);

    assert!(refused > 0 && accepted.len() > 1, "{refused} of {publishes} were refused");
    assert_eq!(worker.counter("publishes_busy"), refused);
    assert_eq!(worker.counter("publishes"), accepted.len() as u64);
    for socket in &mut sockets {
        for payload in &accepted {
            assert_eq!(socket.next_push(), *payload);
        }
        socket.assert_quiet();
    }
}

#[test]
fn a_publish_that_finds_room_within_half_a_second_is_taken() {
    let _alone = alone();
    let (worker, mut sockets) = worker("outbox_bytes: 65536\n");
    // 50 ms for the whole list, and what a busy machine adds.
    let strace = Strace::delay_sends(&worker, DELAY / 40);

    let padding = "x".repeat(40_000);
    let publish = |n: usize| worker.publish("long", &format!(r#"[{n},"{padding}"]"#));
    (0..6).for_each(publish);
    drop(strace);

    for socket in &mut sockets {
        for n in 0..6 {
            assert_eq!(socket.next_push(), format!(r#"[{n},"{padding}"]"#));
        }
    }
}

#[test]
fn a_socket_that_leaves_while_its_list_is_written_disturbs_nobody() {
    let _alone = alone();
    let (worker, mut sockets) = worker("");
    let strace = Strace::delay_sends(&worker, DELAY);

    thread::scope(|scope| {
        scope.spawn(|| (0..3).for_each(|n| worker.publish("long", &n.to_string())));
        // Every third goes, some of them before their turn.
        let mut index = 0;
        sockets.retain(|_| {
            index += 1;
            index % 3 != 0
        });
    });
    drop(strace);

    for socket in &mut sockets {
        for n in 0..3 {
            assert_eq!(socket.next_push(), n.to_string());
        }
    }
    worker.wait_for_sockets(sockets.len() as u64);
}
