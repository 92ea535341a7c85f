//! What an idle socket costs.

use std::thread;

use crate::support::{Socket, Worker, alone};

const SOCKETS: usize = 10_000;
/// Bytes of RSS that an idle, authenticated socket may cost.
const BUDGET: u64 = 300;

/// Authenticated sockets, opened by four threads.
fn open(worker: &Worker, count: usize) -> Vec<Socket> {
    thread::scope(|scope| {
        let share = || (0..count / 4).map(|_| worker.subscribe("session.42")).collect::<Vec<_>>();
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(share)).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    })
}

#[test]
fn an_idle_authenticated_socket_costs_at_most_300_bytes() {
    let _alone = alone();
    let worker = Worker::start();
    worker.register("session.42");
    // What is set up once is no cost of a socket.
    drop(open(&worker, 100));
    worker.wait_for_sockets(0);
    let before = worker.memory("VmRSS");

    let mut sockets = open(&worker, SOCKETS);

    let after = worker.memory("VmRSS");
    assert_eq!(worker.status()["connected_sockets"], SOCKETS);
    let each = (after - before) / SOCKETS as u64;
    println!("{each} bytes for each of {SOCKETS} idle sockets, {before} at rest");
    assert!(each <= BUDGET, "{each} bytes for each socket");
    worker.publish("session.42", "1");
    for socket in &mut sockets {
        assert_eq!(socket.next_push(), "1");
    }
}

#[test]
fn sockets_that_come_and_go_leave_nothing_behind() {
    let _alone = alone();
    let worker = Worker::start();
    worker.register("session.42");
    let come_and_go = |count| {
        drop(open(&worker, count));
        worker.wait_for_sockets(0);
    };
    // What the allocator keeps for the next ones is set up by the first.
    (0..5).for_each(|_| come_and_go(500));
    let before = worker.memory("VmRSS");

    (0..15).for_each(|_| come_and_go(500));

    let grown = worker.memory("VmRSS").saturating_sub(before);
    println!("{grown} bytes more after 7,500 sockets came and went");
    assert!(grown < 1024 * 1024, "{grown} bytes more");
}
