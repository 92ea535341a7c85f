//! At the pace of a real node, and of one that is far away.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::sleep_until;

use super::*;
use crate::config::RedisAddress;

/// Time that a way takes in each direction.
const WAY: Duration = Duration::from_millis(100);

/// The port of a long way to `server`.
async fn long_way_to(server: u16) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        loop {
            let (client, _) = listener.accept().await.unwrap();
            let server = TcpStream::connect(("127.0.0.1", server)).await.unwrap();
            let (from_client, to_client) = client.into_split();
            let (from_server, to_server) = server.into_split();
            tokio::spawn(pass(from_client, to_server));
            tokio::spawn(pass(from_server, to_client));
        }
    });
    port
}

async fn pass(
    mut from: impl AsyncReadExt + Unpin,
    mut to: impl AsyncWriteExt + Unpin + Send + 'static,
) {
    let (sender, mut under_way) = mpsc::channel::<(Instant, Vec<u8>)>(10_000);
    tokio::spawn(async move {
        while let Some((due, bytes)) = under_way.recv().await {
            sleep_until(due).await;
            if to.write_all(&bytes).await.is_err() {
                return;
            }
        }
    });
    let mut buffer = vec![0; 65_536];
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        let _ = sender.send((Instant::now() + WAY, buffer[..length].to_vec())).await;
    }
}

#[tokio::test]
async fn many_topics_are_confirmed_in_time_by_a_redis_that_is_far_away() {
    let server = Server::start(&[]);
    let port = long_way_to(server.port).await;
    let target = RedisTarget::Tcp(RedisAddress { port, ..server.address() });
    let mut node = Node::alone(RedisConfig { target, ..server.config() }, SWIFT, TTL);
    node.join().await;
    for n in 0..8_192 {
        node.registry.register(&format!("t{n}"), OPEN, node.clock.now_ms());
    }
    node.has_written().await;
    let begun = Instant::now();

    let all = "for _, key in ipairs(redis.call('KEYS', ARGV[1])) do redis.call('DEL', key) end";
    server.cli(&["EVAL", all, "0", "wavelog:topic:*"]);

    until("all are forgotten", || node.registry.memory.len(node.clock.now_ms()) == 0).await;
    let (took, one_by_one) = (begun.elapsed(), WAY * 2 * 8_192 / 256);
    assert!(took < one_by_one / 2, "{took:?}, of {one_by_one:?} one by one");
}

#[tokio::test]
async fn an_unregistration_at_a_go_worker_is_seen_within_15_s() {
    let server = Server::start(&[]);
    let node = Node::at(&server, Pace::default()).await;
    node.register("t", OPEN).await;
    go_registers(&server, "learned", "{}");
    node.finds("learned", Lookup::Known(OPEN)).await;
    let begun = Instant::now();

    go_unregisters(&server, "t");
    go_unregisters(&server, "learned");

    while [node.find("t").await, node.find("learned").await] != [Lookup::Unknown; 2] {
        assert!(begun.elapsed() < Duration::from_secs(15));
        sleep(Duration::from_millis(50)).await;
    }
}
