//! The part of the registry that is shared through Redis: what its tasks have in common.
//!
//! One task of each node serves a connection as long as it lives ([`Shared::serve`]): first it
//! greets ([`super::greet`]), which says whether Redis still has what it had; then it writes
//! ([`super::writer`]), confirms what is known ([`super::confirm`]) and counts ([`super::count`]),
//! until the connection is lost. Questions ([`super::ask`]) have tasks of their own.

use std::pin::pin;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Once, OnceLock};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::ask::Asks;
use super::count::Others;
use super::greet::Past;
use super::memory::Memory;
use super::names::Names;
use super::script::Moment;
use super::value;
use super::{Lookup, Sharing};
use crate::clock::{Clock, millis};
use crate::metrics::Metrics;
use crate::problems::Kind;
use crate::redis::{Commands, Redis, RedisError};
use crate::topic::Topic;

/// The times that the tasks keep. Tests shorten them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    /// Longest time that an answer waits for Redis.
    pub(super) ask: Duration,
    /// Time for which what Redis said is taken for true. With `round`, an unregistration at a Go
    /// node is seen within 15 s.
    pub(super) fresh: Duration,
    /// Time in which everything that is known is confirmed once.
    pub(super) round: Duration,
    /// Shortest time between two countings.
    pub(super) count: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            ask: Duration::from_millis(100),
            fresh: Duration::from_secs(15),
            round: Duration::from_secs(9),
            count: Duration::from_secs(2),
        }
    }
}

/// Time before a connection that did not serve, and still lives, is served again.
const AGAIN: Duration = Duration::from_secs(1);

/// What the tasks share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) memory: Arc<Memory>,
    pub(super) names: Names,
    pub(super) is_redis_cluster: bool,
    pub(super) clock: Clock,
    pub(super) metrics: Arc<Metrics>,
    pub(super) pace: Pace,
    /// The way to Redis, once there is one, and the runtime that its tasks run on.
    way: OnceLock<(Arc<Redis>, Handle)>,
    /// The connection for commands that was greeted; before that, questions must wait.
    pub(super) greeted: AtomicU64,
    /// When it began, in ms of the node's clock.
    pub(super) connected_ms: AtomicU64,
    /// Told when a connection was greeted.
    pub(super) was_greeted: Notify,
    /// What Redis' clock is ahead of the node's, in µs.
    pub(super) offset_us: AtomicI64,
    /// There is something to write.
    pub(super) written_behind: Notify,
    /// There is nothing to write any more.
    pub(super) caught_up: Notify,
    pub(super) complaints: Complaints,
    pub(super) asks: Asks,
    pub(super) others: Others,
}

/// What is logged once, however often it happens.
#[derive(Debug)]
pub(super) struct Complaints {
    pub(super) no_epoch: Once,
    pub(super) no_scripts: Once,
    pub(super) no_writes: Once,
    pub(super) no_service: Once,
}

impl Default for Complaints {
    fn default() -> Self {
        Self {
            no_epoch: Once::new(),
            no_scripts: Once::new(),
            no_writes: Once::new(),
            no_service: Once::new(),
        }
    }
}

/// Why a connection is not served any more.
#[derive(Debug)]
pub(super) enum Ended {
    /// It does not serve: it is lost or given up, or Redis refused what the tasks cannot do
    /// without. It is served again after a while, unless a newer one takes its place before.
    Broken(RedisError),
    /// Redis does not have what it had: the connection has to be greeted again.
    DataLost,
    /// The same, but Redis refuses what would stand for the new data. It is greeted again after a
    /// while.
    StillLost,
}

impl From<RedisError> for Ended {
    fn from(why: RedisError) -> Self {
        Self::Broken(why)
    }
}

impl Shared {
    pub(super) fn new(memory: Arc<Memory>, sharing: Sharing, pace: Pace) -> Self {
        let node = getrandom::u64().unwrap_or_default();
        Self {
            memory,
            names: Names::new(&sharing.prefix, &format!("{node:016x}")),
            is_redis_cluster: sharing.is_redis_cluster,
            clock: sharing.clock,
            metrics: sharing.metrics,
            pace,
            way: OnceLock::new(),
            greeted: AtomicU64::new(0),
            connected_ms: AtomicU64::new(0),
            was_greeted: Notify::new(),
            // Until Redis is asked, this machine's idea of the time has to do.
            offset_us: AtomicI64::new(super::greet::offset_by_system_clock(sharing.clock)),
            written_behind: Notify::new(),
            caught_up: Notify::new(),
            complaints: Complaints::default(),
            asks: Asks::default(),
            others: Others::default(),
        }
    }

    /// Begins to share. Needs a runtime; the second call does nothing.
    pub(super) fn join(self: &Arc<Self>, redis: Arc<Redis>, end: CancellationToken) {
        if self.way.set((redis, Handle::current())).is_ok() {
            tokio::spawn(Arc::clone(self).serve(end));
        }
    }

    /// The connection for commands, if Redis can be asked; and where to ask from.
    pub(super) fn serving(&self) -> Option<(Commands, &Handle)> {
        let (redis, runtime) = self.way.get()?;
        let commands = redis.commands()?;
        let is_greeted = commands.generation() == self.greeted.load(Ordering::Acquire);
        is_greeted.then_some((commands, runtime))
    }

    /// Whether there is a connection that was not greeted yet.
    pub(super) fn is_greeting(&self) -> bool {
        let commands = self.way.get().and_then(|(redis, _)| redis.commands());
        let greeted = self.greeted.load(Ordering::Acquire);
        commands.is_some_and(|commands| commands.generation() != greeted)
    }

    /// Returns when Redis can be asked.
    pub(super) async fn reached(&self) {
        loop {
            let was_greeted = self.was_greeted.notified();
            if self.serving().is_some() {
                return;
            }
            was_greeted.await; // Cancel-safe.
        }
    }

    /// Returns when the node listens by a newer connection than that of `generation`.
    pub(super) async fn listens_anew(&self, generation: u64) -> u64 {
        match self.way.get() {
            Some((redis, _)) => redis.listening(generation).await.generation,
            None => std::future::pending().await,
        }
    }

    /// A node of ours, perhaps this one, said that it changed a topic.
    pub(super) fn hear_change(&self, message: &[u8]) {
        let Some((topic, change, at)) = value::read_change(message) else {
            return;
        };
        self.asks.spoil(&topic);
        let at_us = at.saturating_sub(self.offset_us.load(Ordering::Relaxed));
        let at_us = u64::try_from(at_us).unwrap_or(0);
        if self.memory.hear(&topic, change, at_us, self.clock.now_ms()) {
            self.written_behind.notify_one();
        }
        let is_known = || self.memory.contains(&topic);
        self.others.heard(&topic, change, is_known);
    }

    /// Returns when nothing waits to be written, or Redis cannot be written to. Cancel-safe.
    pub(super) async fn written(&self) {
        loop {
            let mut caught_up = pin!(self.caught_up.notified());
            caught_up.as_mut().enable();
            if self.memory.writes() == 0 || self.serving().is_none() {
                return;
            }
            caught_up.await;
        }
    }

    /// The millisecond `now_ms`, which somebody read of the clock a moment ago, in µs: as late in it
    /// as it can be.
    pub(super) fn finer(&self, now_ms: u64) -> u64 {
        let first = now_ms.saturating_mul(1000);
        self.clock.now_us().clamp(first, first.saturating_add(999))
    }

    /// This moment, for commands.
    pub(super) fn moment(&self) -> Moment {
        Moment {
            now_ms: self.clock.now_ms(),
            offset_us: self.offset_us.load(Ordering::Relaxed),
            ttl_ms: self.memory.ttl_ms,
        }
    }

    /// What memory alone can say of `topic`, when Redis cannot be asked.
    pub(super) fn without_redis(&self, topic: &str, now_ms: u64) -> Lookup {
        use super::memory::Recall;
        match self.memory.recall(topic, now_ms, self.fresh_ms()) {
            Recall::Known(meta) | Recall::Stale(meta) => Lookup::Known(meta),
            Recall::Removed => Lookup::Unknown,
            Recall::Nothing if topic == Topic::STATUS => Lookup::Unknown,
            Recall::Nothing => Lookup::Away,
        }
    }

    /// Time in ms for which what Redis said is taken for true.
    pub(super) fn fresh_ms(&self) -> u64 {
        millis(self.pace.fresh)
    }

    /// Serves one connection after the other, until the end.
    async fn serve(self: Arc<Self>, end: CancellationToken) {
        let Some((redis, _)) = self.way.get() else {
            return;
        };
        let mut past = Past::default();
        let mut commands = tokio::select! {
            () = end.cancelled() => return,
            first = redis.newer_commands(0) => first, // Cancel-safe.
        };
        loop {
            let service = async {
                loop {
                    let ended = self.serve_connection(&commands, &mut past).await;
                    self.rest_after(ended).await;
                }
            };
            commands = tokio::select! {
                () = end.cancelled() => return,
                // Cancel-safe. What is under way on the old connection is sent again.
                newer = redis.newer_commands(commands.generation()) => newer,
                never = service => never,
            };
        }
    }

    /// Returns when a connection that is not served any more is to be served again.
    async fn rest_after(&self, ended: Ended) {
        match ended {
            Ended::DataLost => return,
            Ended::Broken(why @ RedisError::Refused { .. }) => {
                self.metrics.problems.note(Kind::RedisRefuses, || why.to_string());
                self.complaints.no_service.call_once(|| {
                    warn!(%why, "Redis refuses what the registry needs; trying again every second");
                });
            }
            Ended::StillLost | Ended::Broken(_) => {}
        }
        sleep(AGAIN).await;
    }

    async fn serve_connection(&self, commands: &Commands, past: &mut Past) -> Ended {
        if let Err(lost) = self.greet(commands, past).await {
            return lost;
        }
        let ended = tokio::select! {
            ended = self.write_behind(commands) => ended,
            ended = self.confirm_all(commands, past.epoch.as_deref()) => ended,
            ended = self.count_others(commands) => ended,
        };
        match ended {
            Ended::DataLost if past.is_refused => Ended::StillLost,
            ended => ended,
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;
    use crate::config::RegistryConfig;

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_redis_refuses_to_serve_is_served_again_after_a_second() {
        let memory = Memory::new(RegistryConfig { topic_ttl: Duration::from_secs(10) }, true);
        let sharing = Sharing {
            prefix: String::new(),
            is_redis_cluster: false,
            clock: Clock::start(),
            metrics: Arc::default(),
        };
        let shared = Shared::new(Arc::new(memory), sharing, Pace::default());
        let begun = Instant::now();

        let refused = RedisError::Refused { code: "ERR".to_owned(), detail: String::new() };
        shared.rest_after(refused.into()).await;
        assert_eq!(begun.elapsed(), AGAIN);

        shared.rest_after(Ended::DataLost).await;
        assert_eq!(begun.elapsed(), AGAIN, "then there is no time to lose");
    }
}
