//! The way to Redis: connects, notices trouble, comes back. It gives no meaning to what is said.
//!
//! Two connections are kept: one for commands, one that listens. The official `redis` crate speaks
//! the protocol on both. Start reading at [`Redis`].

mod error;

use std::sync::Arc;

use ::redis::{Cmd, FromRedisValue, Pipeline};
use tokio_util::sync::CancellationToken;

pub use self::error::RedisError;
use crate::config::RedisConfig;
use crate::metrics::Metrics;

/// What is done with a message of a channel; called in order, one at a time, on a runtime thread.
/// It must not wait.
pub type Hear = Box<dyn Fn(&[u8]) + Send + Sync>;

/// Whether Redis serves us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkState {
    /// Both connections answer.
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

/// How the way to Redis is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkReport {
    /// Whether Redis serves us.
    pub state: LinkState,
    /// Where it is, without anything that is secret.
    pub redis: String,
    /// Milliseconds since it went away.
    pub away_ms: Option<u64>,
    /// Connections that took another's place.
    pub reconnects: u64,
    /// What last went wrong.
    pub last_error: Option<String>,
}

/// The connections to one Redis.
#[derive(Debug)]
pub struct Redis {}

/// A connection for commands; clones share it.
#[derive(Debug, Clone)]
pub struct Commands {}

impl Redis {
    /// Begins to connect, and keeps the connections until `end` is cancelled. `channels` are those
    /// that are listened to. Needs a runtime.
    pub fn start(
        _config: RedisConfig,
        _channels: Vec<(String, Hear)>,
        _metrics: Arc<Metrics>,
        _end: CancellationToken,
    ) -> Arc<Self> {
        Arc::new(Self {})
    }

    /// Whether Redis serves us.
    pub fn state(&self) -> LinkState {
        LinkState::Away
    }

    /// How the way to Redis is.
    pub fn describe(&self) -> LinkReport {
        LinkReport {
            state: self.state(),
            redis: String::new(),
            away_ms: None,
            reconnects: 0,
            last_error: None,
        }
    }

    /// Returns when the state is no longer `known`. Cancel-safe.
    pub async fn changed(&self, _known: LinkState) -> LinkState {
        std::future::pending().await
    }

    /// The connection for commands, if it answers.
    pub fn commands(&self) -> Option<Commands> {
        None
    }

    /// The connection for commands once there is one that answers and that is newer than
    /// `generation`; 0 is older than any. Cancel-safe.
    pub async fn newer_commands(&self, _generation: u64) -> Commands {
        std::future::pending().await
    }

    /// Returns when the node listens by a connection newer than `generation`; 0 is older than any.
    /// Cancel-safe.
    pub async fn listening(&self, _generation: u64) -> Listening {
        std::future::pending().await
    }

    /// Returns when everything that Redis sent to the connection that listens before now has been
    /// heard; false if that connection was lost meanwhile, or is not there.
    pub async fn heard_all(&self, _listening: Listening) -> bool {
        false
    }
}

impl Commands {
    /// 1 for the first connection, more for each that took its place.
    pub fn generation(&self) -> u64 {
        0
    }

    /// Whether Redis is a Redis Cluster, of which this connection reaches all nodes.
    pub fn is_cluster(&self) -> bool {
        false
    }

    /// Carries out `command`. Waits as long as the connection lives; who has less time takes a
    /// timeout. Cancel-safe, but the command may be carried out all the same.
    ///
    /// # Errors
    ///
    /// [`RedisError`]; the connection may have been given up. What Redis itself answered as an
    /// error of this one command leaves the connection as it is.
    pub async fn query<T: FromRedisValue>(&self, _command: &Cmd) -> Result<T, RedisError> {
        std::future::pending().await
    }

    /// Carries out all commands of `pipeline`, sent together.
    ///
    /// # Errors
    ///
    /// As [`Commands::query`].
    pub async fn pipeline<T: FromRedisValue>(&self, _pipeline: &Pipeline) -> Result<T, RedisError> {
        std::future::pending().await
    }
}
