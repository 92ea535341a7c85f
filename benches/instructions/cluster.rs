//! The cases of the cluster: an event on its way out, and an envelope that nobody here waits for.

use std::hint::black_box;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use wavelog_worker::clock::Clock;
use wavelog_worker::cluster::Cluster;
use wavelog_worker::config::{
    ClusterConfig, HubConfig, OnGap, RedisAddress, RedisConfig, RedisTarget,
};
use wavelog_worker::hub::Hub;
use wavelog_worker::metrics::Metrics;
use wavelog_worker::protocol::envelope::{self, Number};

use crate::cases::{CALLS, Call, PAYLOAD, TOPIC, WARM_UP};

/// From what PHP published to an envelope that waits for Redis.
pub fn offer() -> Box<dyn Call> {
    let (_runtime, cluster) = cluster();
    Box::new(move || cluster.offer(black_box(TOPIC), black_box(PAYLOAD)))
}

/// An envelope of a node of ours for a topic without subscribers, as Redis hands it over.
pub fn hear_ours() -> Box<dyn Call> {
    let numbers = 1..=WARM_UP + CALLS;
    hear(numbers.map(|n| {
        let mut text = envelope::begin("678b0520791e03c7", TOPIC, PAYLOAD);
        envelope::finish(&mut text, Number { n, boot: "00112233445566ff" });
        text
    }))
}

/// The same of a Go node.
pub fn hear_go() -> Box<dyn Call> {
    let mut text = envelope::begin("678b0520791e03c7", TOPIC, PAYLOAD);
    text.push('}');
    hear(std::iter::repeat_n(text, (WARM_UP + CALLS) as usize))
}

fn hear(messages: impl Iterator<Item = String>) -> Box<dyn Call> {
    let (_runtime, cluster) = cluster();
    let channels = cluster.channels();
    let mut messages = messages.collect::<Vec<_>>().into_iter();
    Box::new(move || {
        let message = messages.next().unwrap();
        channels[0].1(black_box(message.as_bytes()));
    })
}

/// A node that is connected to nothing. Its runtime lives as long as the process.
fn cluster() -> (&'static Runtime, Arc<Cluster>) {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let runtime: &Runtime = Box::leak(Box::new(runtime));
    let _entered = runtime.enter();
    let bytes = NonZeroUsize::new(16 << 20).unwrap();
    let metrics = Arc::new(Metrics::default());
    let hub = Hub::new(HubConfig { outbox_bytes: bytes }, Arc::clone(&metrics));
    let config = ClusterConfig {
        redis: RedisConfig {
            target: RedisTarget::Tcp(RedisAddress { host: "127.0.0.1".to_owned(), port: 6379 }),
            username: None,
            password: None,
            database: 0,
            tls: None,
        },
        prefix: "wavelog:".to_owned(),
        node_name: "counted".to_owned(),
        on_gap: OnGap::Resync,
        resync_spread: Duration::from_secs(5),
        buffer_bytes: bytes,
        buffer_age: Duration::from_secs(60),
    };
    let (cluster, _gaps) = Cluster::new(config, hub, metrics, Clock::start()).unwrap();
    (runtime, cluster)
}
