//! Subscribers for the cases of the hub: the only file here that knows how a link is made.
//!
//! The sockets are real and on loopback; what the kernel does for them is not counted. Neither is
//! what other threads do: everything up to the write has to happen in the thread of the call.

use std::io::Read;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use mio::{Poll, Token, Waker};
use tokio::runtime::{Builder, EnterGuard, Runtime};
use wavelog_worker::clock::{Clock, Moment};
use wavelog_worker::config::HubConfig;
use wavelog_worker::hub::{Hub, Subscription};
use wavelog_worker::link::{Link, LinkContext, Troubled};
use wavelog_worker::metrics::Metrics;
use wavelog_worker::protocol::message;

use crate::cases::{Call, PAYLOAD, TOPIC};

/// Longest time a browser waits for what was published before the case is given up.
const PATIENCE: Duration = Duration::from_secs(30);

/// The longest list that is written when a publish returns.
const SHORT_LIST: i64 = 64;

/// A topic's subscribers and their browsers. One call publishes one frame and returns when it is
/// in every socket.
pub struct Audience {
    /// Lives as long as the process.
    runtime: &'static Runtime,
    _entered: EnterGuard<'static>,
    /// Whether the hub leaves the writing to a task.
    is_long: bool,
    hub: Arc<Hub>,
    frame: Bytes,
    browsers: Vec<TcpStream>,
    _subscriptions: Vec<Subscription>,
}

impl Audience {
    /// An audience of so many browsers.
    pub fn of(size: i64) -> Self {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let runtime: &Runtime = Box::leak(Box::new(runtime));
        let entered = runtime.enter();
        let metrics = Arc::new(Metrics::default());
        let waker = Waker::new(Poll::new().unwrap().registry(), Token(0)).unwrap();
        let links = Arc::new(LinkContext {
            backlog_bytes: 1024 * 1024,
            write_timeout: PATIENCE,
            clock: Clock::start(),
            metrics: Arc::clone(&metrics),
            troubled: Troubled::new(Arc::new(waker)),
        });
        let outbox_bytes = NonZeroUsize::new(8 * 1024 * 1024).unwrap();
        let hub = Hub::new(HubConfig { outbox_bytes }, metrics);
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let mut browsers = Vec::new();
        let mut subscriptions = Vec::new();
        for user in 1..=size {
            browsers.push(TcpStream::connect(listener.local_addr().unwrap()).unwrap());
            let (stream, _) = listener.accept().unwrap();
            stream.set_nonblocking(true).unwrap();
            let stream = mio::net::TcpStream::from_std(stream);
            let link = Link::corked(stream, 0, Arc::clone(&links));
            subscriptions.push(hub.subscribe(TOPIC, user, Arc::clone(&link)));
            link.uncork(&Bytes::new());
        }
        Self {
            runtime,
            _entered: entered,
            is_long: size > SHORT_LIST,
            hub,
            frame: message::push_frame(PAYLOAD),
            browsers,
            _subscriptions: subscriptions,
        }
    }
}

impl Call for Audience {
    fn call(&mut self) {
        self.hub
            .publish_now(TOPIC, Moment::now(), || self.frame.clone())
            .expect("the outbox has room");
        if self.is_long {
            self.runtime.block_on(self.hub.drained());
        }
    }

    fn check(&mut self, calls: u64) {
        let expected = self.frame.repeat(usize::try_from(calls).unwrap());
        let mut got = vec![0; expected.len()];
        for browser in &mut self.browsers {
            browser.set_read_timeout(Some(PATIENCE)).unwrap();
            browser.read_exact(&mut got).unwrap();
            assert_eq!(got, expected, "every browser gets every frame");
        }
    }
}
