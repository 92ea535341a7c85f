//! Fan-out: hands one published frame to every subscriber of its topic on this node.
//!
//! The hub knows topics and links; it knows nothing of HTTP (`api`), of handshakes (`ws`) or of
//! which topics are registered (`registry`). A topic exists here while somebody is subscribed.
//! It never waits for a browser: what a slow one does not take is the link's business. Start
//! reading at [`Hub::publish`].

mod channel;
mod outbox;
mod rates;
mod tail;
pub mod tap;
#[cfg(test)]
pub(crate) mod tests;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::time::{Instant, timeout_at};
use tokio_util::task::TaskTracker;

use self::channel::{Channel, Offered};
use self::tap::Taps;
use crate::clock::Moment;
use crate::config::HubConfig;
use crate::link::Link;
use crate::metrics::Metrics;
use crate::topic::Topic;

/// How long a publish waits for room in a full outbox before it is refused.
const ROOM_PATIENCE: Duration = Duration::from_millis(500);

/// Parts of the map of topics, so that publishes to different topics do not meet.
const SHARDS: usize = 64;

/// The topic's outbox stayed full; the frame was not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("outbox of the topic is full")]
pub struct Busy;

/// All topics with subscribers on this node.
#[derive(Debug)]
pub struct Hub {
    shards: Vec<Mutex<HashMap<Topic, Arc<Channel>>>>,
    audience: Mutex<Audience>,
    config: HubConfig,
    metrics: Arc<Metrics>,
    drains: TaskTracker,
    /// Where long lists are drained; publishers have threads of their own.
    runtime: Handle,
    taps: Taps,
}

/// Who is there, over all topics.
#[derive(Debug, Default)]
struct Audience {
    sockets: usize,
    /// Sockets without a user.
    anonymous: usize,
    /// Sockets of each user.
    users: HashMap<i64, u32>,
}

/// How many are there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AudienceSize {
    /// Different users, every socket without one counting for itself.
    pub clients: usize,
    /// Sockets.
    pub sockets: usize,
}

/// A link's place among the subscribers of a topic; dropping it leaves.
#[derive(Debug)]
pub struct Subscription {
    hub: Arc<Hub>,
    channel: Arc<Channel>,
    user_id: i64,
    place: u32,
}

impl Hub {
    /// A hub without topics. Needs a runtime, on which it drains.
    pub fn new(config: HubConfig, metrics: Arc<Metrics>) -> Arc<Self> {
        Arc::new(Self {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            audience: Mutex::default(),
            config,
            metrics,
            drains: TaskTracker::new(),
            runtime: Handle::current(),
            taps: Taps::default(),
        })
    }

    /// Adds `link` to the subscribers of `topic`. `user_id` above 0 is a user, whose sockets
    /// count as one client.
    pub fn subscribe(self: &Arc<Self>, topic: &str, user_id: i64, link: Arc<Link>) -> Subscription {
        self.audience.lock().join(user_id);
        let mut shard = self.shard(topic).lock();
        let channel = match shard.get(topic) {
            Some(channel) => Arc::clone(channel),
            None => {
                let topic = Topic::new(topic);
                let channel = Arc::new(Channel::new(topic.clone(), Arc::clone(&self.metrics)));
                shard.insert(topic, Arc::clone(&channel));
                channel
            }
        };
        let place = channel.subscribers.write().insert(link);
        drop(shard);
        Subscription { hub: Arc::clone(self), channel, user_id, place }
    }

    /// Hands `frame` to every subscriber of `topic`, after all that was accepted before; it is not
    /// even made if there are none. The publish had been read at `since`, from where its delay
    /// counts.
    ///
    /// Returns once it is written (short list) or accepted (long list, or a drain under way);
    /// from then on it is not lost. If the topic's outbox is full, waits up to 500 ms for room.
    /// May be cancelled while it waits: the frame is not accepted then.
    ///
    /// # Errors
    ///
    /// [`Busy`] if there was no room in time.
    pub async fn publish(
        &self,
        topic: &str,
        since: Moment,
        frame: impl FnOnce() -> Bytes,
    ) -> Result<(), Busy> {
        let Some(channel) = self.channel(topic) else {
            return Ok(());
        };
        let frame = frame();
        if self.offer(&channel, &frame, since, Moment::now()) == Offered::Done {
            return Ok(());
        }
        let deadline = Instant::now() + ROOM_PATIENCE;
        while let Some(channel) = self.channel(topic) {
            let room = channel.room.notified();
            tokio::pin!(room);
            room.as_mut().enable(); // From here on no round is missed.
            match self.offer(&channel, &frame, since, Moment::now()) {
                Offered::Done | Offered::Drain => return Ok(()),
                Offered::Full => timeout_at(deadline, room).await.map_err(|_| Busy)?,
                Offered::Retired => {}
            }
        }
        Ok(()) // Everybody has left.
    }

    /// [`Hub::publish`] without waiting for room.
    ///
    /// # Errors
    ///
    /// [`Busy`] if there is no room now.
    pub fn publish_now(
        &self,
        topic: &str,
        since: Moment,
        frame: impl FnOnce() -> Bytes,
    ) -> Result<(), Busy> {
        let Some(mut channel) = self.channel(topic) else {
            return Ok(());
        };
        let frame = frame();
        loop {
            match self.offer(&channel, &frame, since, since) {
                Offered::Done | Offered::Drain => return Ok(()),
                Offered::Full => return Err(Busy),
                Offered::Retired => {}
            }
            // The last one left meanwhile; somebody new may be there.
            match self.channel(topic) {
                Some(another) => channel = another,
                None => return Ok(()),
            }
        }
    }

    /// Whether anybody wants what is published to `topic` now: a subscriber, or an operator who
    /// looks.
    pub fn is_wanted(&self, topic: &str) -> bool {
        self.shard(topic).lock().contains_key(topic) || self.taps.wants(topic)
    }

    /// Shows an event, a JSON text, to operators who look, after it was handed to the subscribers.
    /// Asks one atomic if nobody does.
    #[inline]
    pub fn show(&self, topic: &str, payload: &str) {
        if self.taps.is_looked_at() {
            self.taps.saw(topic, payload, self.subscribers(topic));
        }
    }

    /// What operators look at.
    pub fn taps(&self) -> &Taps {
        &self.taps
    }

    /// How many subscribers `topic` has.
    pub fn subscribers(&self, topic: &str) -> usize {
        self.channel(topic).map_or(0, |channel| channel.subscribers.read().len())
    }

    /// Offers `frame` to the channel `now`, and sees to the drain.
    fn offer(&self, channel: &Arc<Channel>, frame: &Bytes, since: Moment, now: Moment) -> Offered {
        let offered = channel.offer(frame, since, now, self.config.outbox_bytes.get());
        if offered == Offered::Drain {
            self.drains.spawn_on(Arc::clone(channel).drain(), &self.runtime);
            return Offered::Done;
        }
        offered
    }

    fn channel(&self, topic: &str) -> Option<Arc<Channel>> {
        self.shard(topic).lock().get(topic).cloned()
    }

    /// How many browsers are there.
    pub fn audience(&self) -> AudienceSize {
        let audience = self.audience.lock();
        AudienceSize {
            clients: audience.anonymous + audience.users.len(),
            sockets: audience.sockets,
        }
    }

    /// How many topics have a subscriber.
    pub fn active_topics(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().len()).sum()
    }

    /// The topics that have a subscriber, in no order.
    pub fn active_topic_names(&self) -> Vec<String> {
        let names = |shard: &Mutex<HashMap<Topic, _>>| {
            shard.lock().keys().map(|topic| topic.as_str().to_owned()).collect::<Vec<_>>()
        };
        self.shards.iter().flat_map(names).collect()
    }

    /// The topics that have a subscriber and how many they have, in no order.
    pub fn active(&self) -> Vec<(Topic, usize)> {
        let channels = |shard: &Mutex<HashMap<_, Arc<Channel>>>| {
            shard.lock().values().cloned().collect::<Vec<_>>()
        };
        let channels = self.shards.iter().flat_map(channels);
        channels.map(|channel| (channel.topic.clone(), channel.subscribers.read().len())).collect()
    }

    /// Waits until everything accepted so far is written or queued at its sockets.
    pub async fn drained(&self) {
        self.drains.close();
        self.drains.wait().await;
    }

    fn shard(&self, topic: &str) -> &Mutex<HashMap<Topic, Arc<Channel>>> {
        &self.shards[shard_of(topic)]
    }
}

/// The part of the map that has `topic`. By the end of its name (FNV-1a), where names of one
/// application differ; who made all names meet in one part would have publishes wait for each
/// other's lookup, no more.
fn shard_of(topic: &str) -> usize {
    let bytes = topic.as_bytes();
    let end = &bytes[bytes.len().saturating_sub(32)..];
    let mix = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3);
    let hash = end.iter().fold(0xcbf2_9ce4_8422_2325, mix);
    (hash ^ (hash >> 32)) as usize % SHARDS
}

impl Subscription {
    /// The topic.
    pub fn topic(&self) -> &Topic {
        &self.channel.topic
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.hub.audience.lock().leave(self.user_id);
        let mut shard = self.hub.shard(self.channel.topic.as_str()).lock();
        let mut subscribers = self.channel.subscribers.write();
        let link = subscribers.remove(self.place);
        if subscribers.is_empty() {
            shard.remove(self.channel.topic.as_str());
            self.channel.outbox.lock().retire();
        }
        drop(subscribers);
        drop(shard);
        drop(link); // Closes the socket if it was the last: not under a lock.
    }
}

impl Audience {
    fn join(&mut self, user_id: i64) {
        self.sockets += 1;
        if user_id > 0 {
            *self.users.entry(user_id).or_insert(0) += 1;
        } else {
            self.anonymous += 1;
        }
    }

    fn leave(&mut self, user_id: i64) {
        self.sockets -= 1;
        if user_id <= 0 {
            self.anonymous -= 1;
        } else if let Some(sockets) = self.users.get_mut(&user_id) {
            *sockets -= 1;
            if *sockets == 0 {
                self.users.remove(&user_id);
            }
        }
    }
}
