//! The event loop over real sockets, told what only other nodes can give cause for.

mod asking;
mod draining;

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::NonZeroUsize;
use std::time::Duration;

use mio::{Poll, Token, Waker};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use super::*;
use crate::clock::Clock;
use crate::config::{HubConfig, RegistryConfig};
use crate::hub::Hub;
use crate::link::Troubled;
use crate::listener::Listener;
use crate::registry::{Registry, TopicMeta};
use crate::secret::Secret;
use crate::topic::Topic;

/// Longest that anything here should take.
const PATIENCE: Duration = Duration::from_secs(20);

/// How long topics live.
const REGISTRY: RegistryConfig = RegistryConfig { topic_ttl: Duration::from_secs(60) };

/// What the public port of a node with its default limits needs; `waker` wakes the event loop.
fn context(
    waker: Arc<Waker>,
    registry: Registry,
    clock: Clock,
    metrics: Arc<Metrics>,
) -> WsContext {
    let broker = Broker::new(
        registry,
        Hub::new(HubConfig { outbox_bytes: NonZeroUsize::MAX }, Arc::clone(&metrics)),
        Secret::new("-".repeat(32)).unwrap(),
        clock,
        Arc::clone(&metrics),
        None,
    );
    let session = SessionConfig {
        auth_timeout: Duration::from_secs(10),
        write_timeout: Duration::from_secs(10),
        ping_interval: Duration::from_secs(30),
        idle_timeout: Duration::from_secs(60),
        backlog_bytes: NonZeroUsize::new(1 << 20).unwrap(),
    };
    let links = LinkContext {
        backlog_bytes: session.backlog_bytes.get(),
        write_timeout: session.write_timeout,
        clock,
        metrics: Arc::clone(&metrics),
        troubled: Troubled::new(waker),
    };
    WsContext {
        broker: Arc::new(broker),
        session,
        http: HttpConfig {
            request_timeout: Duration::from_secs(10),
            trusted_proxies: vec![],
            metrics_allow: vec![],
        },
        links: Arc::new(links),
        metrics,
        requests: TaskTracker::new(),
        stopping: CancellationToken::new(),
        max_connections: 10_000,
        pages: None,
    }
}

/// [`context`] of a node that is alone, without an event loop.
pub(super) fn context_alone() -> WsContext {
    let waker = Arc::new(Waker::new(Poll::new().unwrap().registry(), Token(0)).unwrap());
    context(waker, Registry::new(REGISTRY), Clock::start(), Arc::default())
}

/// A running event loop on which `a`, `b` and `worker.status` are open.
struct Node {
    running: Running,
    broker: Arc<Broker>,
    metrics: Arc<Metrics>,
    stopping: CancellationToken,
    address: SocketAddr,
}

impl Node {
    fn start() -> Self {
        Self::with(Registry::new(REGISTRY), Clock::start(), Arc::default())
    }

    fn with(registry: Registry, clock: Clock, metrics: Arc<Metrics>) -> Self {
        let listener = Listener::bind(Some(IpAddr::V4(Ipv4Addr::LOCALHOST)), 0).unwrap();
        let address = listener.local_addr().unwrap();
        let ws = EventLoop::new(listener).unwrap();
        let context = context(ws.waker(), registry, clock, Arc::clone(&metrics));
        let broker = Arc::clone(&context.broker);
        let stopping = context.stopping.clone();
        for topic in ["a", "b", Topic::STATUS] {
            broker.register(topic, TopicMeta { require_token: false });
        }
        Self { running: ws.run(context).unwrap(), broker, metrics, stopping, address }
    }

    async fn join(&self, topic: &str) -> Browser {
        let mut browser = self.upgraded(topic).await;
        browser.authenticate().await;
        browser
    }

    async fn join_all(&self, topic: &str, count: usize) -> Vec<Browser> {
        let mut browsers = Vec::new();
        for _ in 0..count {
            browsers.push(self.join(topic).await);
        }
        browsers
    }

    /// A browser that was upgraded and has not authenticated.
    async fn upgraded(&self, topic: &str) -> Browser {
        let mut browser = self.connect().await;
        assert_eq!(browser.ask(topic).await, 101);
        browser
    }

    async fn connect(&self) -> Browser {
        Browser { stream: TcpStream::connect(self.address).await.unwrap() }
    }

    fn order(&self, topic: Option<&str>, spread: Duration) {
        self.running.resync(Resync { topic: topic.map(str::to_owned), spread });
    }

    /// What is published reaches `browsers`, which were told nothing before it.
    async fn reaches(&self, topic: &str, browsers: &mut [Browser]) {
        self.broker.publish(topic, "1").await.unwrap();
        for browser in browsers {
            assert_eq!(
                browser.frame().await,
                (0x81, b"{\"type\":\"push\",\"payload\":1}".to_vec())
            );
        }
    }
}

struct Browser {
    stream: TcpStream,
}

pub(super) fn upgrade(topic: &str) -> String {
    format!(
        "GET /ws?topic={topic} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\n\
         Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
}

impl Browser {
    /// Asks for an upgrade; the status of the answer.
    async fn ask(&mut self, topic: &str) -> u16 {
        self.stream.write_all(upgrade(topic).as_bytes()).await.unwrap();
        self.status().await
    }

    /// Reads an answer; its status.
    async fn status(&mut self) -> u16 {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            head.push(timeout(PATIENCE, self.stream.read_u8()).await.unwrap().unwrap().into());
        }
        let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: "));
        let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
        self.stream.read_exact(&mut body).await.unwrap();
        head["HTTP/1.1 ".len()..][..3].parse().unwrap()
    }

    async fn authenticate(&mut self) {
        self.say(0x81, b"{\"type\":\"auth\"}").await;
        assert_eq!(self.frame().await, (0x81, b"{\"type\":\"auth_ok\"}".to_vec()));
    }

    async fn say(&mut self, first: u8, payload: &[u8]) {
        let mut frame = vec![first, 0x80 | payload.len() as u8, 0, 0, 0, 0];
        frame.extend_from_slice(payload);
        self.stream.write_all(&frame).await.unwrap();
    }

    /// The next frame that is no ping: its first byte and its payload.
    async fn frame(&mut self) -> (u8, Vec<u8>) {
        let read = async {
            loop {
                let first = self.stream.read_u8().await.unwrap();
                let mut payload = vec![0; usize::from(self.stream.read_u8().await.unwrap())];
                self.stream.read_exact(&mut payload).await.unwrap();
                if first != 0x89 {
                    return (first, payload);
                }
            }
        };
        timeout(PATIENCE, read).await.unwrap()
    }

    /// Is told to come back and fetch, by a close in good order; when.
    async fn told_to_resync(mut self) -> Instant {
        let (first, payload) = self.frame().await;
        let at = Instant::now();
        assert_eq!((first, &payload[..2]), (0x88, &4009_u16.to_be_bytes()[..]));
        self.say(0x88, &payload[..2]).await;
        let end = timeout(PATIENCE, self.stream.read_u8()).await.unwrap();
        assert_eq!(end.unwrap_err().kind(), io::ErrorKind::UnexpectedEof); // And no reset.
        at
    }
}

/// All are told to resync; when each of them was, in order.
async fn all_told(browsers: Vec<Browser>) -> Vec<Instant> {
    let told = browsers.into_iter().map(Browser::told_to_resync).collect::<JoinSet<_>>();
    let mut times = told.join_all().await;
    times.sort();
    times
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_resync_closes_everybody_once_and_spread_over_its_time() {
    const SPREAD: Duration = Duration::from_secs(1);
    let node = Node::start();
    let browsers = node.join_all("a", 300).await;
    let mut under_way = node.upgraded("a").await;

    let ordered = Instant::now();
    node.order(None, SPREAD);
    let told = tokio::spawn(all_told(browsers));
    under_way.authenticate().await;
    let mut newcomers = node.join_all("a", 20).await;
    newcomers.push(under_way);
    let times = told.await.unwrap();

    for from in &times {
        let tenth = times.iter().filter(|at| (*from..*from + SPREAD / 10).contains(at)).count();
        assert!(tenth <= 150, "{tenth} in a tenth, {:?} after the order", *from - ordered);
    }
    assert!(*times.last().unwrap() - ordered > SPREAD / 2);
    assert_eq!(node.metrics.resync_closes.get(), 300);
    node.reaches("a", &mut newcomers).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_resync_of_one_topic_leaves_the_others_alone() {
    let node = Node::start();
    let of_a = node.join_all("a", 10).await;
    let mut of_b = node.join_all("b", 10).await;

    node.order(Some("a"), Duration::from_millis(50));

    assert_eq!(all_told(of_a).await.len(), 10);
    node.reaches("b", &mut of_b).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_status_feed_is_spared_unless_it_is_named() {
    let node = Node::start();
    let mut feeds = vec![node.join(Topic::STATUS).await];
    let other = node.join("a").await;

    node.order(None, Duration::ZERO);
    other.told_to_resync().await;
    node.reaches(Topic::STATUS, &mut feeds).await;
    node.order(Some(Topic::STATUS), Duration::ZERO);

    assert_eq!(all_told(feeds).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_came_back_during_a_resync_is_closed_by_the_one_ordered_behind_it() {
    const SPREAD: Duration = Duration::from_millis(300);
    let node = Node::start();
    let first = node.join_all("a", 40).await;

    node.order(None, SPREAD);
    let back = node.join_all("a", 10).await;
    node.order(None, SPREAD);
    node.order(Some("a"), SPREAD);
    let mut late = node.join_all("a", 10).await;

    assert_eq!(all_told(first).await.len(), 40);
    assert_eq!(all_told(back).await.len(), 10);
    node.reaches("a", &mut late).await;
    assert_eq!(node.metrics.resync_closes.get(), 50);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_resync_does_not_hold_up_what_is_published_or_the_end() {
    let node = Node::start();
    let browsers = node.join_all("a", 10).await;

    node.order(None, Duration::from_secs(3600));
    browsers.into_iter().next().unwrap().told_to_resync().await; // The first is at once.
    node.running.close_all();

    timeout(PATIENCE, node.running.ended()).await.unwrap();
    assert_eq!(node.metrics.resync_closes.get(), 1);
}
