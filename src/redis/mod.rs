//! The way to Redis: connects, notices trouble, comes back. It gives no meaning to what is said.
//!
//! Two connections are kept: one for commands, one that listens. The official `redis` crate speaks
//! the protocol on both. Start reading at [`Redis`].

mod backoff;
mod connect;
mod diary;
mod error;
mod keeper;
mod line;
mod observer;
mod sentinel;
#[cfg(test)]
pub(crate) mod tests;

use std::fmt;
use std::sync::Arc;

use ::redis::{Cmd, FromRedisValue, Pipeline};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, DropGuard};

use self::connect::{Connector, Purpose};
pub use self::error::RedisError;
use self::keeper::{Keeper, Slot};
use self::line::Line;
use self::observer::{Observer, Seen};
use crate::clock::millis;
use crate::config::RedisConfig;
use crate::metrics::Metrics;

/// What is done with a message of a channel; called in order, one at a time, on a runtime thread.
/// It must not wait.
pub type Hear = Box<dyn Fn(&[u8]) + Send + Sync>;

/// The channels that are listened to, and what is done with their messages.
type Channels = Arc<[(String, Hear)]>;

/// What is said of a server that takes what we send and does not answer.
const SILENT: &str = "does not answer";

/// Whether Redis serves us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkState {
    /// Both connections answer, or one was lost less than 500 ms ago.
    Up,
    /// At least one does not: the node serves alone.
    Away,
}

/// How the connection that listens came to be, told each time it begins to listen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listening {
    /// 1 for the first, counted up with every connection that listens in place of another.
    pub generation: u64,
}

/// What there is to say of the connections, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkReport {
    /// Whether Redis serves us.
    pub state: LinkState,
    /// The address, without credentials.
    pub redis: String,
    /// How long it has been away, if it is.
    pub away_ms: Option<u64>,
    /// Connections that took the place of another.
    pub reconnects: u64,
    /// What is wrong, while it is away.
    pub last_error: Option<String>,
}

/// The connections to one Redis. They end when this is dropped.
pub struct Redis {
    commands: Arc<watch::Sender<Slot>>,
    listening: Arc<watch::Sender<Slot>>,
    seen: Arc<watch::Sender<Seen>>,
    redis: String,
    metrics: Arc<Metrics>,
    _end: DropGuard,
}

/// A connection for commands; clones share it.
#[derive(Debug, Clone)]
pub struct Commands {
    line: Arc<Line>,
}

impl Redis {
    /// Begins to connect, and keeps the connections until `end` is cancelled. `channels` are those
    /// that are listened to. Needs a runtime.
    #[expect(clippy::needless_pass_by_value, reason = "the token is the caller's to give away")]
    pub fn start(
        config: RedisConfig,
        channels: Vec<(String, Hear)>,
        metrics: Arc<Metrics>,
        end: CancellationToken,
    ) -> Arc<Self> {
        let end = end.child_token();
        let redis = config.to_string();
        let connector = Arc::new(Connector::new(config));
        let seen = Seen { state: LinkState::Away, away_since: Some(Instant::now()) };
        let seen = Arc::new(watch::Sender::new(seen));
        let keep = |purpose, channels: Vec<(String, Hear)>| {
            let slot = Arc::new(watch::Sender::new(Slot::default()));
            let keeper = Keeper {
                connector: Arc::clone(&connector),
                purpose,
                channels: channels.into(),
                slot: Arc::clone(&slot),
                metrics: Arc::clone(&metrics),
            };
            tokio::spawn(keeper.run(end.clone()));
            slot
        };
        let commands = keep(Purpose::Commands, Vec::new());
        let listening = keep(Purpose::Listening, channels);
        let observer = Observer {
            commands: commands.subscribe(),
            listening: listening.subscribe(),
            seen: Arc::clone(&seen),
            redis: redis.clone(),
            metrics: Arc::clone(&metrics),
        };
        tokio::spawn(observer.run(end.clone()));
        Arc::new(Self { commands, listening, seen, redis, metrics, _end: end.drop_guard() })
    }

    /// Whether Redis serves us.
    pub fn state(&self) -> LinkState {
        self.seen.borrow().state
    }

    /// Returns when the state is no longer `known`. Cancel-safe.
    pub async fn changed(&self, known: LinkState) -> LinkState {
        let mut seen = self.seen.subscribe();
        // The sender is ours, so there always is one.
        seen.wait_for(|seen| seen.state != known).await.map_or(known, |seen| seen.state)
    }

    /// What there is to say of the connections, for people.
    pub fn describe(&self) -> LinkReport {
        let Seen { state, away_since } = *self.seen.borrow();
        let since = away_since.filter(|_| state == LinkState::Away);
        let slots = [&self.commands, &self.listening].map(|slot| slot.borrow().clone());
        LinkReport {
            state,
            redis: self.redis.clone(),
            away_ms: since.map(|since| millis(since.elapsed())),
            reconnects: self.metrics.redis_reconnects.get(),
            last_error: keeper::what_is_wrong(&slots).filter(|_| state == LinkState::Away),
        }
    }

    /// The connection for commands, if it answers.
    pub fn commands(&self) -> Option<Commands> {
        answering(&self.commands.borrow(), 0)
    }

    /// The connection for commands once there is one that answers and that is newer than
    /// `generation`; 0 is older than any. Cancel-safe.
    pub async fn newer_commands(&self, generation: u64) -> Commands {
        let mut slot = self.commands.subscribe();
        loop {
            let newer = answering(&slot.borrow_and_update(), generation);
            if let Some(commands) = newer {
                return commands;
            }
            if slot.changed().await.is_err() {
                // The sender is ours, so there always is one.
                std::future::pending::<()>().await;
            }
        }
    }

    /// Returns when the node listens by a connection newer than `generation`; 0 is older than any.
    /// Cancel-safe.
    pub async fn listening(&self, generation: u64) -> Listening {
        let mut slot = self.listening.subscribe();
        loop {
            let newer = newer(&slot.borrow_and_update(), generation);
            if let Some(line) = newer {
                return Listening { generation: line.generation };
            }
            if slot.changed().await.is_err() {
                std::future::pending::<()>().await; // As above.
            }
        }
    }

    /// Returns when everything that Redis sent to the connection that listens before now has been
    /// heard; false if that connection was lost meanwhile, or is not there.
    pub async fn heard_all(&self, listening: Listening) -> bool {
        let line = self.listening.borrow().line.clone();
        match line.filter(|line| line.generation == listening.generation) {
            Some(line) => line.ping().await.is_ok(),
            None => false,
        }
    }
}

impl fmt::Debug for Redis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redis").field("redis", &self.redis).finish_non_exhaustive()
    }
}

/// The connection in `slot`, if it is newer than `generation`. One that is over is none, even for
/// who was told so before the keeper was.
fn newer(slot: &Slot, generation: u64) -> Option<Arc<Line>> {
    let line = slot.line.as_ref()?;
    (line.generation > generation && !line.is_over()).then(|| Arc::clone(line))
}

/// As [`newer`], if it answers.
fn answering(slot: &Slot, generation: u64) -> Option<Commands> {
    newer(slot, generation).filter(|_| slot.answers).map(|line| Commands { line })
}

impl Commands {
    /// 1 for the first connection, more for each that took its place.
    pub fn generation(&self) -> u64 {
        self.line.generation
    }

    /// Whether Redis is a Redis Cluster, of which this connection reaches all nodes.
    pub fn is_cluster(&self) -> bool {
        self.line.is_cluster()
    }

    /// What tells the server from every other, and from itself before it was started again; `None`
    /// if it does not say, or for a Redis Cluster, where there are many.
    ///
    /// # Errors
    ///
    /// [`RedisError`] if the connection was given up.
    pub async fn run_id(&self) -> Result<Option<String>, RedisError> {
        if self.is_cluster() {
            return Ok(None);
        }
        let mut command = ::redis::cmd("INFO");
        command.arg("server");
        let info: String = match self.query(&command).await {
            Err(RedisError::Refused { .. }) => return Ok(None),
            answer => answer?,
        };
        let run_id = info.lines().find_map(|line| line.strip_prefix("run_id:"));
        Ok(run_id.map(|id| id.trim().to_owned()))
    }

    /// Carries out `command`. Waits as long as the connection lives; who has less time takes a
    /// timeout. Cancel-safe, but the command may be carried out all the same.
    ///
    /// # Errors
    ///
    /// [`RedisError`]; the connection may have been given up. What Redis itself answered as an
    /// error of this one command leaves the connection as it is.
    pub async fn query<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, RedisError> {
        self.line.ask(command).await
    }

    /// Carries out all commands of `pipeline`, sent together.
    ///
    /// # Errors
    ///
    /// As [`Commands::query`].
    pub async fn pipeline<T: FromRedisValue>(&self, pipeline: &Pipeline) -> Result<T, RedisError> {
        self.line.ask(pipeline).await
    }
}
