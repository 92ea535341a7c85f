//! Handshakes for topics that only Redis knows, with a real Redis.

use rustix::process::Signal;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::*;
use crate::redis::Redis;
use crate::redis::tests::server::Server;
use crate::registry::{Lookup, Sharing};

/// [`Node::start`] of a node that shares its topics by `server`, until the guard is dropped.
async fn start(server: &Server) -> (Node, DropGuard) {
    let (clock, metrics, end) =
        (Clock::start(), Arc::<Metrics>::default(), CancellationToken::new());
    let sharing = Sharing {
        prefix: "wavelog:".to_owned(),
        is_redis_cluster: false,
        clock,
        metrics: Arc::clone(&metrics),
    };
    let registry = Registry::shared(REGISTRY, sharing);
    let (channel, hears) = (registry.channel().unwrap().to_owned(), registry.clone());
    let redis = Redis::start(
        server.config(),
        vec![(channel, Box::new(move |message: &[u8]| hears.hear_change(message)))],
        Arc::clone(&metrics),
        end.clone(),
    );
    registry.join(redis, end.clone());
    let node = Node::with(registry, clock, metrics);
    is_served(&node).await;
    (node, end.drop_guard())
}

/// Waits until Redis answers what the node asks.
async fn is_served(node: &Node) {
    let served = async {
        while node.broker.find("nowhere").await != Lookup::Unknown {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(PATIENCE, served).await.unwrap();
}

/// Registers an open topic as another node does that nobody here hears of.
fn register(server: &Server, topic: &str) {
    server.cli(&["SET", &format!("wavelog:topic:{topic}"), "{\"require_token\":false}"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_that_only_redis_knows_is_let_in_and_one_that_it_does_not_know_is_404() {
    let server = Server::start(&[]);
    let (node, _guard) = start(&server).await;
    register(&server, "elsewhere");

    let mut browser = node.connect().await;
    assert_eq!(browser.ask("nowhere").await, 404);
    assert_eq!(browser.ask("elsewhere").await, 101);
    browser.authenticate().await;

    node.reaches("elsewhere", &mut [browser]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_browser_sends_while_redis_is_asked_is_taken_up_behind_the_answer() {
    let server = Server::start(&[]);
    let (node, _guard) = start(&server).await;

    // On a busy machine the answer may come too late: another topic then.
    for n in 0..100 {
        let topic = format!("elsewhere.{n}");
        register(&server, &topic);
        server.cli(&["CLIENT", "PAUSE", "40", "ALL"]);
        let mut browser = node.connect().await;
        let requests = [upgrade("nowhere"), upgrade("a"), upgrade(&topic)];
        browser.stream.write_all(requests[0].as_bytes()).await.unwrap();
        if n % 2 == 0 {
            browser.stream.write_all(requests[1].as_bytes()).await.unwrap();
        } else {
            for byte in requests[2].as_bytes() {
                browser.stream.write_all(&[*byte]).await.unwrap();
            }
        }
        browser.say(0x81, b"{\"type\":\"auth\"}").await;

        let first = browser.status().await;
        assert!([404, 503].contains(&first), "{first}");
        match browser.status().await {
            101 => assert_eq!(browser.frame().await, (0x81, b"{\"type\":\"auth_ok\"}".to_vec())),
            second => assert_eq!((second, n % 2), (503, 1)),
        }
        if n > 3 && first == 404 {
            return;
        }
        is_served(&node).await;
    }
    panic!("Redis never answered in time");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_redis_hangs_an_unknown_topic_is_503_soon_and_known_ones_go_on() {
    let server = Server::start(&[]);
    let (node, _guard) = start(&server).await;
    register(&server, "elsewhere");

    server.signal(Signal::STOP);
    let mut waits = Vec::new();
    for _ in 0..20 {
        let mut browser = node.connect().await;
        let begun = Instant::now();
        assert_eq!(browser.ask("elsewhere").await, 503);
        waits.push(begun.elapsed());
        let known = node.join("a").await;
        node.reaches("a", &mut [known]).await;
    }
    server.signal(Signal::CONT);
    waits.sort();

    assert!(waits[10] < Duration::from_millis(150), "{waits:?}"); // The machine may be busy.
    is_served(&node).await;
    assert_eq!(node.connect().await.ask("elsewhere").await, 101);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_leaves_while_redis_is_asked_is_forgotten_and_so_is_the_answer() {
    let server = Server::start(&[]);
    let (node, _guard) = start(&server).await;

    for round in 0..10 {
        server.signal(Signal::STOP);
        for n in 0..50 {
            let mut browser = node.connect().await;
            browser.stream.write_all(upgrade(&format!("{round}.{n}")).as_bytes()).await.unwrap();
        }
        // These have the places of those that left.
        let mut known = node.join_all("a", 50).await;
        server.signal(Signal::CONT);
        node.reaches("a", &mut known).await;
        is_served(&node).await;
        node.reaches("a", &mut known).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_end_does_not_wait_for_handshakes_that_wait() {
    let server = Server::start(&[]);
    let (node, _guard) = start(&server).await;
    server.signal(Signal::STOP);
    let mut browser = node.connect().await;
    browser.stream.write_all(upgrade("elsewhere").as_bytes()).await.unwrap();

    node.running.close_all();

    timeout(PATIENCE, node.running.ended()).await.unwrap();
    server.signal(Signal::CONT);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_herd_that_asks_for_one_topic_is_let_in_by_a_few_questions() {
    let server = Server::start(&[]);
    let (node, _guard) = start(&server).await;
    register(&server, "elsewhere");
    let asked = || {
        let stats = server.cli(&["INFO", "commandstats"]);
        let line = stats.lines().find_map(|line| line.strip_prefix("cmdstat_get:calls="));
        line.map_or(0, |rest| rest.split(',').next().unwrap().parse::<u32>().unwrap())
    };
    let before = asked();

    let mut browsers = Vec::new();
    for _ in 0..300 {
        let mut browser = node.connect().await;
        browser.stream.write_all(upgrade("elsewhere").as_bytes()).await.unwrap();
        browsers.push(browser);
    }
    for browser in &mut browsers {
        assert_eq!(browser.status().await, 101);
        browser.authenticate().await;
    }

    assert!(asked() - before <= 5, "{}", asked() - before);
    node.reaches("elsewhere", &mut browsers).await;
}
