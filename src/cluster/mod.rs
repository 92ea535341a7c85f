//! Several nodes, one Redis: what is published on one reaches the browsers of all.
//!
//! Knows envelopes, numbers and the roster; it knows nothing of which topics are registered
//! (`registry`) or of how connections are kept (`redis`). What came from Redis goes into the hub,
//! and so can never go back to Redis. Start reading at [`Cluster::offer`], the way out, and
//! `Cluster::hear`, the way in; `settle` has what follows from having been cut off.

mod gaps;
mod origins;
mod publisher;
mod queue;
mod roster;
mod settle;
#[cfg(test)]
mod tests;
mod watch;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize, Ordering};

use bytes::Bytes;
use jiff::Timestamp;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::warn;

pub use self::gaps::{Gap, Gaps};
use self::origins::Origins;
use self::publisher::Publisher;
use self::queue::{Item, Queue};
use self::roster::Roster;
pub use self::watch::{Node, Nodes, RedisLink};
use crate::clock::{Clock, Moment, millis};
use crate::config::{ClusterConfig, OnGap};
use crate::hub::{Busy, Hub};
use crate::listener::Seldom;
use crate::metrics::Metrics;
use crate::problems::{Kind, quoted};
use crate::protocol::envelope::{self, Beat, Envelope, Number};
use crate::protocol::message;
use crate::redis::{Hear, LinkState, Redis};
use crate::topic::Topic;

/// This node's part in the cluster.
#[derive(Debug)]
pub struct Cluster {
    /// Random, new at each start: what the other nodes know this one by.
    id: String,
    boot: String,
    names: Names,
    config: ClusterConfig,
    hub: Arc<Hub>,
    metrics: Arc<Metrics>,
    clock: Clock,
    started_at: Timestamp,
    queue: Mutex<Queue>,
    /// Told when something was put into the queue.
    filled: Notify,
    /// Envelopes in the batch that is being sent; changed under the queue's lock.
    sending: AtomicUsize,
    /// Told when a batch is no longer being sent.
    was_sent: Notify,
    /// The highest number of this node that came back from Redis: so far everything was published.
    echoed: AtomicU64,
    origins: Mutex<Origins>,
    roster: Mutex<Roster>,
    /// Subscribers of the channel as last counted; -1 while nobody answers.
    subscribers: AtomicI64,
    /// The same, but not forgotten while nobody answers, nor counted on a new connection at once.
    listeners: AtomicI64,
    /// Whether browsers were let in before this node listened.
    deaf_start: AtomicBool,
    /// Whether this node is about to leave.
    leaving: AtomicBool,
    /// Whether the channel has more subscribers than there are nodes of ours.
    strangers: AtomicBool,
    gaps: Arc<Gaps>,
    told_gap: Mutex<Seldom>,
    told_drop: Mutex<Seldom>,
}

/// The names that everything in Redis has.
#[derive(Debug)]
struct Names {
    events: String,
    beats: String,
    nodes: String,
    sent: String,
}

/// Envelopes that are being sent; whatever was not sent goes back into the queue.
struct Batch<'a> {
    cluster: &'a Cluster,
    items: Vec<Item>,
}

impl Cluster {
    /// This node, which has neither sent nor heard anything. What browsers have to be told comes
    /// out of the gaps.
    ///
    /// # Errors
    ///
    /// The system's, if it has no random numbers.
    pub fn new(
        config: ClusterConfig,
        hub: Arc<Hub>,
        metrics: Arc<Metrics>,
        clock: Clock,
    ) -> Result<(Arc<Self>, Arc<Gaps>), getrandom::Error> {
        let gaps = Arc::new(Gaps::new(config.resync_spread));
        let (id, boot) = (random_id()?, random_id()?);
        let prefix = &config.prefix;
        let names = Names {
            events: format!("{prefix}events"),
            beats: format!("{prefix}beats"),
            nodes: format!("{prefix}nodes"),
            sent: format!("{prefix}sent:"),
        };
        let mut origins = Origins::default();
        origins.unsettle(); // Nobody knows yet where the others stand.
        let (bytes, age) = (config.buffer_bytes.get(), millis(config.buffer_age));
        let cluster = Self {
            queue: Mutex::new(Queue::new(bytes, age, boot.clone())),
            id,
            boot,
            names,
            config,
            hub,
            metrics,
            clock,
            started_at: Timestamp::now(),
            filled: Notify::new(),
            sending: AtomicUsize::new(0),
            was_sent: Notify::new(),
            echoed: AtomicU64::new(0),
            origins: Mutex::new(origins),
            roster: Mutex::default(),
            subscribers: AtomicI64::new(-1),
            listeners: AtomicI64::new(0),
            deaf_start: AtomicBool::new(false),
            leaving: AtomicBool::new(false),
            strangers: AtomicBool::new(false),
            gaps: Arc::clone(&gaps),
            told_gap: Mutex::default(),
            told_drop: Mutex::default(),
        };
        Ok((Arc::new(cluster), gaps))
    }

    /// What is to be listened to, and what is done with what is heard.
    pub fn channels(self: &Arc<Self>) -> Vec<(String, Hear)> {
        let (events, beats) = (Arc::clone(self), Arc::clone(self));
        vec![
            (self.names.events.clone(), Box::new(move |message: &[u8]| events.hear(message))),
            (self.names.beats.clone(), Box::new(move |message: &[u8]| beats.hear_beat(message))),
        ]
    }

    /// Begins to send, to watch for gaps and to keep the roster, on `tasks`, until `end`.
    pub fn join(
        self: &Arc<Self>,
        redis: &Arc<Redis>,
        tasks: &TaskTracker,
        end: &CancellationToken,
    ) {
        let publisher = Publisher::new(Arc::clone(self), Arc::clone(redis));
        tasks.spawn(publisher.run(end.clone()));
        tasks.spawn(Arc::clone(self).keep_settled(Arc::clone(redis), end.clone()));
        tasks.spawn(Arc::clone(self).watch(Arc::clone(redis), end.clone()));
    }

    /// Browsers are let in though this node does not listen yet. Unless this is called, they come
    /// when it does, and have missed nothing.
    pub fn begins_deaf(&self) {
        self.deaf_start.store(true, Ordering::Relaxed);
    }

    /// Sends an event to the other nodes, some time: never waits. `payload` is a JSON value.
    pub fn offer(&self, topic: &str, payload: &str) {
        let text = envelope::begin(&self.id, topic, payload);
        let gone = self.queue.lock().push(text, self.clock.now_ms());
        self.filled.notify_one();
        self.dropped(gone);
    }

    /// Waits until everything offered so far was sent, at most until `deadline`, and leaves the
    /// roster.
    pub async fn leave(&self, redis: &Redis, deadline: Instant) {
        self.leaving.store(true, Ordering::Relaxed);
        loop {
            let was_sent = self.was_sent.notified();
            let is_idle = {
                let queue = self.queue.lock();
                queue.is_empty() && self.sending.load(Ordering::Relaxed) == 0
            };
            if is_idle || redis.state() == LinkState::Away {
                break;
            }
            if timeout_at(deadline, was_sent).await.is_err() {
                break;
            }
        }
        if let Some(commands) = redis.commands() {
            let mut leave = ::redis::cmd("HDEL");
            leave.arg(&self.names.nodes).arg(&self.id);
            let _ = timeout_at(deadline, commands.query::<u64>(&leave)).await; // It fades otherwise.
        }
        let unsent = {
            let queue = self.queue.lock();
            // Of what is under way still, Redis may carry out some when it goes on.
            queue.len() + self.sending.load(Ordering::Relaxed)
        };
        if unsent > 0 {
            self.metrics.envelopes_dropped.add(unsent as u64);
            warn!(unsent, "events for other nodes are lost: this node ends while Redis is away");
        }
    }

    /// What the other nodes know this one by.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// How many envelopes wait for Redis, those under way not counted.
    pub fn waiting(&self) -> usize {
        self.queue.lock().len()
    }

    /// Bytes of envelopes that wait for Redis.
    pub fn waiting_bytes(&self) -> usize {
        self.queue.lock().bytes()
    }

    /// Takes an envelope from Redis.
    fn hear(&self, message: &[u8]) {
        self.metrics.envelopes_received.inc();
        let now_ms = self.clock.now_ms();
        let Some(peek) = envelope::peek(message) else {
            return self.hear_odd(message, now_ms);
        };
        if !self.is_to_deliver(peek.origin, peek.number, now_ms) || !self.hub.is_wanted(peek.topic)
        {
            return;
        }
        match peek.payload(message) {
            Some(payload) => self.deliver(peek.topic, Some(payload)),
            None => self.read_and_deliver(message),
        }
    }

    /// Takes an envelope that has another form than ours and Go's usual one.
    fn hear_odd(&self, message: &[u8], now_ms: u64) {
        let Ok(envelope) = Envelope::read(message) else {
            self.metrics.envelopes_skipped.inc();
            return;
        };
        let number = envelope.number.as_ref().map(|(n, boot)| Number { n: *n, boot });
        if self.is_to_deliver(&envelope.origin, number, now_ms) {
            self.deliver(&envelope.topic, envelope.payload);
        }
    }

    fn read_and_deliver(&self, message: &[u8]) {
        match Envelope::read(message) {
            Ok(envelope) => self.deliver(&envelope.topic, envelope.payload),
            Err(_) => self.metrics.envelopes_skipped.inc(),
        }
    }

    /// Whether an envelope is another node's and new. Notices what is missing before it.
    fn is_to_deliver(&self, origin: &str, number: Option<Number<'_>>, now_ms: u64) -> bool {
        if origin == self.id {
            if let Some(Number { n, .. }) = number {
                self.echoed.fetch_max(n, Ordering::Relaxed);
            }
            return false;
        }
        let heard = match number {
            None => {
                self.origins.lock().hear_unnumbered(now_ms);
                return true;
            }
            Some(number) => self.origins.lock().hear(origin, number, now_ms),
        };
        if heard.missed > 0 {
            self.missed(heard.missed);
        }
        if !heard.is_new {
            self.metrics.envelopes_duplicate.inc();
        }
        heard.is_new
    }

    fn deliver(&self, topic: &str, payload: Option<&str>) {
        let frame = || match payload {
            Some(payload) => message::push_frame(payload),
            None => Bytes::from_static(message::PUSH_WITHOUT_PAYLOAD),
        };
        if self.hub.publish_now(topic, Moment::now(), frame) == Err(Busy) {
            // To wait for room would hold up every other topic.
            self.metrics.envelopes_missed.inc();
            self.gap("the topic's outbox is full", Gap::Of(Topic::new(topic)));
            return;
        }
        self.hub.show(topic, payload.unwrap_or("null"));
    }

    fn hear_beat(&self, message: &[u8]) {
        let now_ms = self.clock.now_ms();
        let Ok(Beat { origin_id, boot, n }) = serde_json::from_slice::<Beat<'_>>(message) else {
            self.metrics.envelopes_skipped.inc();
            return;
        };
        if *origin_id == *self.id {
            return;
        }
        let missed = self.origins.lock().beat(&origin_id, Number { n, boot: &boot }, now_ms);
        if missed > 0 {
            self.missed(missed);
        }
    }

    /// `count` envelopes of other nodes are missing.
    fn missed(&self, count: u64) {
        self.metrics.envelopes_missed.add(count);
        self.gap("envelopes of another node are missing", Gap::All);
    }

    /// Browsers may have missed something.
    fn gap(&self, reason: &'static str, gap: Gap) {
        self.metrics.gaps.inc();
        self.metrics.problems.note(Kind::Gap, || match &gap {
            Gap::All => reason.to_owned(),
            Gap::Of(topic) => format!("{reason}: {}", quoted(topic.as_str())),
        });
        let resync = self.config.on_gap == OnGap::Resync;
        if self.told_gap.lock().now() {
            warn!(reason, resync, "browsers may have missed events of other nodes");
        }
        if resync {
            self.gaps.add(gap);
        }
    }

    fn dropped(&self, count: u64) {
        if count == 0 {
            return;
        }
        self.metrics.envelopes_dropped.add(count);
        let were_dropped = || format!("{count} dropped, oldest first");
        self.metrics.problems.note_times(Kind::EventsDropped, count, were_dropped);
        if self.told_drop.lock().now() {
            warn!(
                count,
                "events for other nodes are dropped, oldest first: they waited too long for Redis, \
                 or were too many (redis_buffer_age, redis_buffer_bytes)"
            );
        }
    }

    fn trim(&self) {
        let now_ms = self.clock.now_ms();
        let gone = self.queue.lock().trim(now_ms);
        self.dropped(gone);
        self.origins.lock().tidy(now_ms);
    }

    /// How many listened to the channel while the connection lasted, as far as is known: so many
    /// were counted, or said something.
    fn listeners(&self) -> i64 {
        let now_ms = self.clock.now_ms();
        let others = self.origins.lock().heard_within(roster::DEAD_AFTER_MS, now_ms);
        let heard = i64::try_from(others).map_or(i64::MAX, |others| others + 1); // And this one.
        self.listeners.load(Ordering::Relaxed).max(heard)
    }

    fn is_leaving(&self) -> bool {
        self.leaving.load(Ordering::Relaxed)
    }

    fn boot(&self) -> &str {
        &self.boot
    }

    fn events_channel(&self) -> &str {
        &self.names.events
    }

    fn beats_channel(&self) -> &str {
        &self.names.beats
    }

    fn sent_key(&self, origin: &str) -> String {
        format!("{}{origin}", self.names.sent)
    }

    /// The number up to which nothing will be sent any more.
    fn settled(&self) -> u64 {
        self.queue.lock().settled()
    }

    /// Returns when something waits to be sent. Cancel-safe.
    async fn something_to_send(&self) {
        while self.queue.lock().is_empty() {
            self.filled.notified().await;
        }
    }

    /// Takes what is to be sent next. What has come back from Redis was sent already.
    fn take(&self, count: usize, bytes: usize) -> Batch<'_> {
        let mut items = {
            let mut queue = self.queue.lock();
            let items = queue.take(count, bytes);
            self.sending.store(items.len(), Ordering::Relaxed);
            items
        };
        let echoed = self.echoed.load(Ordering::Relaxed);
        let was_sent = items.iter().take_while(|item| item.n <= echoed).count();
        self.metrics.envelopes_sent.add(was_sent as u64);
        items.drain(..was_sent);
        Batch { cluster: self, items }
    }
}

impl Batch<'_> {
    fn items(&self) -> &[Item] {
        &self.items
    }

    /// Redis has carried it out.
    fn sent(&mut self) {
        let items = std::mem::take(&mut self.items);
        self.cluster.metrics.envelopes_sent.add(items.len() as u64);
    }
}

impl Drop for Batch<'_> {
    fn drop(&mut self) {
        let items = std::mem::take(&mut self.items);
        let now_ms = self.cluster.clock.now_ms();
        let gone = {
            let mut queue = self.cluster.queue.lock();
            self.cluster.sending.store(0, Ordering::Relaxed);
            if items.is_empty() { 0 } else { queue.put_back(items, now_ms) }
        };
        self.cluster.dropped(gone);
        self.cluster.was_sent.notify_waiters();
    }
}

/// 16 hexadecimal digits.
fn random_id() -> Result<String, getrandom::Error> {
    Ok(format!("{:016x}", getrandom::u64()?))
}
