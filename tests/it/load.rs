//! The main job under load, in bounded time: nothing lost, nothing doubled, nothing out of order,
//! and memory stays bounded beside a browser that never reads.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::support::{Frame, Socket, Worker, alone, parse};

const TOPICS: usize = 50;
const SOCKETS: usize = 2000;
const PUBLISHERS: usize = 4;
const PUBLISHES: usize = 20_000;
/// What each publisher sends to each topic.
const EACH: usize = PUBLISHES / PUBLISHERS / TOPICS;
/// How long the whole run may take. It takes a few seconds.
const BOUND: Duration = Duration::from_secs(60);

/// One push as a socket heard it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Heard {
    topic: usize,
    publisher: usize,
    number: usize,
}

/// Reads `count` pushes.
async fn listen(socket: Socket, count: usize) -> Vec<Heard> {
    let mut stream = to_tokio(socket.into_stream());
    let mut unread = Vec::with_capacity(4096);
    let mut heard = Vec::with_capacity(count);
    while heard.len() < count {
        let length = stream.read_buf(&mut unread).await.unwrap();
        assert_ne!(length, 0, "the connection ended after {} pushes", heard.len());
        let mut start = 0;
        while let Some((frame, length)) = parse(&unread[start..]) {
            start += length;
            if frame == Frame::ping() {
                continue;
            }
            let text = frame.as_text();
            heard.push(read(text.unwrap_or_else(|| panic!("{frame:?} after {}", heard.len()))));
        }
        unread.drain(..start);
    }
    heard
}

fn read(text: &str) -> Heard {
    let numbers = text.strip_prefix(r#"{"type":"push","payload":["#).unwrap();
    let mut numbers =
        numbers.strip_suffix("]}").unwrap().split(',').map(|number| number.parse().unwrap());
    let mut next = || numbers.next().unwrap();
    Heard { topic: next(), publisher: next(), number: next() }
}

/// Publishes this publisher's share, one after the other, over one connection.
async fn publish(requests: Vec<Vec<u8>>, address: std::net::SocketAddr) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let mut answer = [0; 1024];
    for request in requests {
        stream.write_all(&request).await.unwrap();
        let length = stream.read(&mut answer).await.unwrap();
        let text = String::from_utf8_lossy(&answer[..length]);
        assert!(text.starts_with("HTTP/1.1 200") && text.ends_with("\r\n\r\n"), "{text}");
    }
}

fn to_tokio(stream: std::net::TcpStream) -> TcpStream {
    stream.set_nonblocking(true).unwrap();
    TcpStream::from_std(stream).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[expect(clippy::await_holding_lock, reason = "the guard keeps other heavy tests waiting")]
async fn every_socket_of_2000_receives_exactly_its_frames_in_order() {
    let _alone = alone();
    let worker = Worker::start();
    let topics: Vec<String> = (0..TOPICS).map(|topic| format!("session.{topic}")).collect();
    topics.iter().for_each(|topic| worker.register(topic));
    let mut listeners = JoinSet::new();
    for socket in 0..SOCKETS {
        let topic = socket % TOPICS;
        let socket = worker.subscribe_as(socket as i64, &topics[topic]);
        let listening = listen(socket, EACH * PUBLISHERS);
        listeners.spawn(async move { (topic, listening.await) });
    }

    let mut publishers = JoinSet::new();
    for publisher in 0..PUBLISHERS {
        // Each number goes round all topics before the next one.
        let turns = (0..EACH).flat_map(|number| (0..TOPICS).map(move |topic| (topic, number)));
        let request = |(topic, number): (usize, usize)| {
            worker.publish_request(&topics[topic], &format!("[{topic},{publisher},{number}]"))
        };
        publishers.spawn(publish(turns.map(request).collect(), worker.internal));
    }
    timeout(BOUND, publishers.join_all()).await.unwrap();
    let heard = timeout(BOUND, listeners.join_all()).await.unwrap();

    let mut orders: Vec<Option<Vec<Heard>>> = vec![None; TOPICS];
    for (topic, heard) in heard {
        assert!(heard.iter().all(|push| push.topic == topic), "a push of another topic");
        for publisher in 0..PUBLISHERS {
            let numbers = heard.iter().filter(|push| push.publisher == publisher);
            assert!(numbers.map(|push| push.number).eq(0..EACH), "publisher {publisher}");
        }
        let order = orders[topic].get_or_insert_with(|| heard.clone());
        assert!(*order == heard, "two sockets of topic {topic} heard different orders");
    }
    worker.wait_for_counter("deliveries", (PUBLISHES * SOCKETS / TOPICS) as u64);
    let counters = &worker.status()["counters"];
    assert_eq!(counters["deliveries"], PUBLISHES * SOCKETS / TOPICS);
    assert_eq!(counters["publishes"], PUBLISHES);
    assert_eq!(counters["slow_closes"], 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[expect(clippy::await_holding_lock, reason = "the guard keeps other heavy tests waiting")]
async fn one_reader_that_never_reads_costs_the_others_nothing_and_memory_stays_bounded() {
    const READERS: i64 = 10;
    const EVENTS: usize = 600;
    const LENGTH: usize = 64 * 1024;
    let _alone = alone();
    let worker = Worker::start();
    worker.register("a");
    let stalled = worker.subscribe_as(100, "a");
    let mut readers = JoinSet::new();
    let (heard, mut progress) = mpsc::channel(READERS as usize * EVENTS);
    for user in 0..READERS {
        let heard = heard.clone();
        let mut stream = to_tokio(worker.subscribe_as(user, "a").into_stream());
        readers.spawn(async move {
            let mut unread = Vec::with_capacity(4 * LENGTH);
            let mut next = 0;
            while next < EVENTS {
                assert_ne!(stream.read_buf(&mut unread).await.unwrap(), 0, "ended at {next}");
                let mut start = 0;
                while let Some((frame, length)) = parse(&unread[start..]) {
                    start += length;
                    if frame == Frame::ping() {
                        continue;
                    }
                    let text = frame.as_text().unwrap_or_else(|| panic!("{frame:?} after {next}"));
                    let expected = format!("{{\"type\":\"push\",\"payload\":\"{next:08}");
                    assert!(text.starts_with(&expected), "{next}: {frame:?}");
                    assert_eq!(text.len(), expected.len() + LENGTH + 2);
                    next += 1;
                    heard.send(()).await.unwrap();
                }
                unread.drain(..start);
            }
        });
    }
    let before = worker.memory("VmRSS");

    // 37 MiB, far more than what may wait for one browser. The readers are a few events behind at
    // most, so that none of them is slow as well.
    let mut publisher = worker.internal();
    let mut behind = 0;
    for n in 0..EVENTS {
        let payload = format!("\"{n:08}{}\"", "x".repeat(LENGTH));
        publisher.ask(&worker.publish_request("a", &payload)).assert_ok();
        behind += READERS;
        while behind > 4 * READERS {
            timeout(BOUND, progress.recv()).await.unwrap().unwrap();
            behind -= 1;
        }
    }
    timeout(BOUND, readers.join_all()).await.unwrap();

    let peak = worker.memory("VmHWM");
    assert!(peak < before + 32 * 1024 * 1024, "from {before} to {peak} bytes");
    worker.wait_for_counter("slow_closes", 1);
    worker.wait_for_sockets(0);
    let counters = &worker.status()["counters"];
    assert_eq!(counters["slow_closes"], 1, "the readers were not closed as slow");
    worker.wait_for_no_backlog();
    drop(stalled);
}

#[test]
fn a_list_that_several_threads_give_out_gets_every_frame_in_order() {
    const LONG: usize = 9000;
    const PUBLISHES: usize = 30;
    let _alone = alone();
    let worker = Worker::with("threads: 4\n");
    assert_eq!(worker.threads_named("worker"), 4);
    worker.register("a");
    let mut sockets: Vec<Socket> = (0..LONG).map(|_| worker.subscribe("a")).collect();

    let requests: Vec<u8> =
        (0..PUBLISHES).flat_map(|n| worker.publish_request("a", &n.to_string())).collect();
    let mut publisher = worker.internal();
    publisher.send(&requests);
    for _ in 0..PUBLISHES {
        publisher.answer().assert_ok();
    }

    for socket in &mut sockets {
        for n in 0..PUBLISHES {
            assert_eq!(socket.next_push(), n.to_string());
        }
    }
    let pushes = LONG * PUBLISHES;
    worker.wait_for_counter("deliveries", pushes as u64);
}
