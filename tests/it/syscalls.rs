//! What a delivery costs in system calls and wake-ups, counted by `strace`.

use crate::support::{Socket, Strace, Worker, alone};

const SOCKETS: u64 = 1000;

/// A worker and the sockets that listen to it.
fn audience() -> (Worker, Vec<Socket>) {
    let worker = Worker::start();
    worker.register("a");
    let sockets = (0..SOCKETS).map(|user| worker.subscribe_as(user as i64, "a")).collect();
    (worker, sockets)
}

/// Reads one push from each socket.
fn all_hear(sockets: &mut [Socket], payload: &str) {
    for socket in sockets {
        assert_eq!(socket.next_push(), payload);
    }
}

#[test]
fn a_paced_delivery_is_one_send_and_wakes_no_task() {
    const PUBLISHES: u64 = 40;
    let _alone = alone();
    let (worker, mut sockets) = audience();
    let mut publisher = worker.internal();
    let payload = r#"{"event":"qso_updated","id":1234567,"call":"DL1ABC","band":"20m"}"#;
    let request = worker.publish_request("a", payload);
    publisher.ask(&request).assert_ok();
    all_hear(&mut sockets, payload);
    let before = worker.status()["counters"].clone();

    let strace = Strace::count_sends(&worker);
    for _ in 0..PUBLISHES {
        publisher.ask(&request).assert_ok();
        all_hear(&mut sockets, payload);
    }
    let calls = strace.finish();

    let deliveries = PUBLISHES * SOCKETS;
    let per_delivery = calls as f64 / deliveries as f64;
    println!("{per_delivery:.4} send calls for each of {deliveries} deliveries");
    assert!(calls >= deliveries, "strace saw only {calls} calls");
    assert!(per_delivery <= 1.02, "{per_delivery} send calls for each delivery");
    let after = worker.status()["counters"].clone();
    let grown = |name: &str| after[name].as_u64().unwrap() - before[name].as_u64().unwrap();
    assert_eq!(grown("deliveries"), deliveries);
    assert_eq!(grown("session_wakeups"), 0);
    assert_eq!(grown("flushes"), 0);
}

#[test]
fn a_publish_is_one_read_and_one_write() {
    const PUBLISHES: u64 = 300;
    let _alone = alone();
    let worker = Worker::start();
    worker.register("a");
    let mut publisher = worker.internal();
    let request = worker.publish_request("a", "1");
    publisher.ask(&request).assert_ok();

    let strace = Strace::count_all(worker.pid());
    for _ in 0..PUBLISHES {
        publisher.ask(&request).assert_ok();
    }
    let calls = strace.finish_all();

    println!("{calls:?}");
    for (name, most) in [("recvfrom", 1.02), ("sendto", 1.02), ("epoll_wait", 1.2), ("futex", 0.1)]
    {
        let each = calls.get(name).copied().unwrap_or_default() as f64 / PUBLISHES as f64;
        assert!(each <= most, "{each} calls of {name} for each publish");
    }
}

#[test]
fn a_burst_takes_far_fewer_sends_than_deliveries() {
    const PUBLISHES: u64 = 400;
    let _alone = alone();
    let (worker, mut sockets) = audience();
    let mut publishers = [worker.internal(), worker.internal()];
    let payload = r#"{"event":"qso_updated","id":1234567,"call":"DL1ABC","band":"20m"}"#;
    let requests = worker.publish_request("a", payload).repeat(PUBLISHES as usize / 2);
    let wakeups = worker.counter("session_wakeups");

    let strace = Strace::count_sends(&worker);
    for publisher in &mut publishers {
        publisher.send(&requests);
    }
    for publisher in &mut publishers {
        for _ in 0..PUBLISHES / 2 {
            publisher.answer().assert_ok();
        }
    }
    for _ in 0..PUBLISHES {
        all_hear(&mut sockets, payload);
    }
    let calls = strace.finish();

    let deliveries = PUBLISHES * SOCKETS;
    let per_delivery = calls as f64 / deliveries as f64;
    println!("{per_delivery:.4} send calls for each of {deliveries} deliveries");
    assert!(per_delivery < 0.33, "{per_delivery} send calls for each delivery");
    worker.wait_for_counter("deliveries", deliveries);
    assert_eq!(worker.counter("deliveries"), deliveries);
    assert_eq!(worker.counter("session_wakeups"), wakeups);
    assert_eq!(worker.counter("slow_closes"), 0);
}
