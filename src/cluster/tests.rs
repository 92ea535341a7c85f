//! A node's part in a cluster, with a real Redis.

use std::num::NonZeroUsize;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use rustix::process::Signal;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::{Cluster, Gap, Gaps};
use crate::clock::Clock;
use crate::config::{ClusterConfig, HubConfig, OnGap};
use crate::hub::Hub;
use crate::hub::tests::browsers;
use crate::metrics::Metrics;
use crate::redis::Redis;
use crate::redis::tests::server::{Server, until};

const BYTES: NonZeroUsize = NonZeroUsize::new(1 << 20).unwrap();

struct Node {
    cluster: Arc<Cluster>,
    gaps: Arc<Gaps>,
    redis: Arc<Redis>,
    end: CancellationToken,
}

impl Node {
    fn at(server: &Server) -> Self {
        Self::with(hub(), server)
    }

    fn with(hub: Arc<Hub>, server: &Server) -> Self {
        let metrics = Arc::new(Metrics::default());
        let config = ClusterConfig {
            redis: server.config(),
            prefix: "wavelog:".to_owned(),
            node_name: "node".to_owned(),
            on_gap: OnGap::Resync,
            resync_spread: Duration::ZERO,
            buffer_bytes: BYTES,
            buffer_age: Duration::from_secs(60),
        };
        let (cluster, gaps) =
            Cluster::new(config, hub, Arc::clone(&metrics), Clock::start()).unwrap();
        let end = CancellationToken::new();
        let redis = Redis::start(server.config(), cluster.channels(), metrics, end.clone());
        cluster.join(&redis, &TaskTracker::new(), &end);
        Self { cluster, gaps, redis, end }
    }

    fn heard(&self, counter: impl Fn(&Metrics) -> u64) -> u64 {
        counter(&self.cluster.metrics)
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.end.cancel();
    }
}

fn hub() -> Arc<Hub> {
    Hub::new(HubConfig { outbox_bytes: BYTES }, Arc::default())
}

/// Another listener, ended with its handle.
struct Listener(Child);

impl Listener {
    fn at(server: &Server) -> Self {
        let child = Command::new("redis-cli")
            .args(["-p", &server.port.to_string(), "SUBSCRIBE", "wavelog:events"])
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        Self(child)
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test]
async fn what_was_kept_during_an_outage_waits_until_all_listen_again() {
    let mut server = Server::start(&[]);
    let node = Node::at(&server);
    let listener = Listener::at(&server);
    until("both were counted", || node.cluster.listeners() == 2).await;

    drop(listener);
    server.kill();
    until("it is away", || node.redis.commands().is_none()).await;
    node.cluster.offer("t", "1");
    server.restart(&[]);
    let commands = node.redis.newer_commands(0).await;
    node.redis.listening(0).await;

    sleep(Duration::from_millis(300)).await;
    assert!(node.cluster.waiting_bytes() > 0, "sent to nobody");
    let _listener = Listener::at(&server);
    until("it is sent", || node.heard(|metrics| metrics.envelopes_sent.get()) == 1).await;
    assert_eq!(commands.generation(), node.redis.newer_commands(0).await.generation());
}

#[tokio::test]
async fn what_is_under_way_at_the_end_while_redis_stands_still_counts_as_lost() {
    let server = Server::start(&[]);
    let node = Node::at(&server);
    node.cluster.offer("t", "1");
    until("it is sent", || node.heard(|metrics| metrics.envelopes_sent.get()) == 1).await;

    server.signal(Signal::STOP);
    node.cluster.offer("t", "2");
    until("it is under way", || node.cluster.waiting_bytes() == 0).await;
    let deadline = Instant::now() + Duration::from_millis(300);
    node.cluster.leave(&node.redis, deadline).await;
    server.signal(Signal::CONT);

    assert_eq!(node.heard(|metrics| metrics.envelopes_dropped.get()), 1);
}

#[tokio::test]
async fn who_is_let_in_once_the_node_listens_has_missed_nothing() {
    for begins_deaf in [false, true] {
        let server = Server::start(&[]);
        server.cli(&["SET", "wavelog:sent:0123456789abcdef", "7"]);
        server.cli(&["HSET", "wavelog:nodes", "0123456789abcdef", "{}"]);
        let hub = hub();
        let _browsers = browsers(&hub, "t", 1).await; // Before the node knows that it listens.
        let node = Node::with(hub, &server);
        if begins_deaf {
            node.cluster.begins_deaf();
        }

        until("it is settled", || !node.cluster.origins.lock().is_settling()).await;

        let missed = node.heard(|metrics| metrics.envelopes_missed.get());
        assert_eq!(missed, if begins_deaf { 7 } else { 0 });
        if begins_deaf {
            assert_eq!(node.gaps.next().await, Gap::All);
        }
    }
}
