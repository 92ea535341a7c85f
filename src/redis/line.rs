//! One connection: what is asked over it, what is heard from it, and its end.
//!
//! A line does not know why it is there or what comes after it (`keeper`). It ends once, for
//! everybody: whoever waits for an answer is told, and nothing is heard from it any more. Start
//! reading at [`Line::ask`].

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ::redis::aio::{ConnectionLike, MultiplexedConnection};
use ::redis::cluster_async::ClusterConnection;
use ::redis::{
    Cmd, FromRedisValue, Pipeline, PushInfo, PushKind, RedisFuture, Value, cmd, from_redis_value,
};
use parking_lot::Mutex;
use tokio::time::{Duration, sleep};
use tokio_util::sync::CancellationToken;

use super::error::{CLOSED, RedisError, judge, unexpected};
use super::{Channels, Hear};

/// One connection.
pub struct Line {
    /// Counted up by the keeper with every line that takes the place of another.
    pub generation: u64,
    /// The server that was found, where that had to be found out.
    pub found: Option<String>,
    /// Gone when the line was given up, so that the crate's task ends.
    wire: Mutex<Option<Wire>>,
    fate: Arc<Fate>,
    /// Pings so far; each says its number.
    pings: AtomicU64,
}

impl Line {
    /// A line over `wire`, whose end is told to `fate`.
    pub fn new(wire: Wire, fate: Arc<Fate>, found: Option<String>) -> Self {
        Self { generation: 0, found, wire: Mutex::new(Some(wire)), fate, pings: AtomicU64::new(0) }
    }

    /// What `question` brings, as long as the line lives. An answer that makes the line useless
    /// ends it.
    pub async fn ask<T>(&self, question: impl Question<T>) -> Result<T, RedisError> {
        let answer = self.ask_and_keep(question).await;
        if let Err(RedisError::Lost(why) | RedisError::NotServing(why)) = &answer {
            self.fate.end(why);
        }
        answer
    }

    /// As [`Line::ask`], but it decides nothing.
    async fn ask_and_keep<T>(&self, question: impl Question<T>) -> Result<T, RedisError> {
        let lost = || RedisError::Lost(self.fate.why());
        let wire = self.wire.lock().clone().ok_or_else(lost)?;
        tokio::select! {
            biased; // An answer that is there counts.
            answer = question.put(wire) => answer,
            () = self.fate.over.cancelled() => Err(lost()),
        }
    }

    /// Whether the line is to a Redis Cluster.
    pub fn is_cluster(&self) -> bool {
        matches!(&*self.wire.lock(), Some(Wire::Cluster(_)))
    }

    /// Returns when Redis has answered, whatever it said; a script that keeps it from answering is
    /// waited for. The answer to another question is an error: what goes over this line is out of
    /// step, as when something between has swallowed a part.
    pub async fn ping(&self) -> Result<(), RedisError> {
        const AGAIN: Duration = Duration::from_millis(250);
        let sign = self.pings.fetch_add(1, Ordering::Relaxed).to_string();
        let mut ping = cmd("PING");
        ping.arg(&sign);
        loop {
            match self.ask_and_keep::<Value>(&ping).await {
                Err(error) if error.is_busy() => sleep(AGAIN).await,
                Ok(Value::BulkString(answer)) if answer != sign.as_bytes() => {
                    return Err(RedisError::Lost("answers are out of step".to_owned()));
                }
                Ok(Value::BulkString(_)) | Err(RedisError::Refused { .. }) => return Ok(()),
                Ok(_) => return Err(RedisError::Lost("answers are out of step".to_owned())),
                Err(error) => return Err(error),
            }
        }
    }

    /// Begins to listen to `channels`, each confirmed.
    pub async fn subscribe(&self, channels: &[(String, Hear)]) -> Result<(), RedisError> {
        let names: Vec<&str> = channels.iter().map(|(name, _)| name.as_str()).collect();
        self.ask_and_keep(Subscribe(names)).await
    }

    /// Whether the line is over, even if its keeper has not noticed yet.
    pub fn is_over(&self) -> bool {
        self.fate.over.is_cancelled()
    }

    /// Returns when the line is over, with the reason.
    pub async fn over(&self) -> String {
        self.fate.over.cancelled().await;
        self.fate.why()
    }

    /// Ends the line. When this returns, nothing is heard from it any more.
    pub fn close(&self, why: &str) {
        self.fate.end(why);
        drop(self.fate.hearing.lock()); // What is being heard now is heard to its end.
        let wire = self.wire.lock().take();
        drop(wire);
    }
}

impl fmt::Debug for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Line").field("generation", &self.generation).finish_non_exhaustive()
    }
}

/// Something that can be asked over a wire.
pub trait Question<T> {
    /// Asks it.
    fn put(self, wire: Wire) -> impl Future<Output = Result<T, RedisError>> + Send;
}

impl<T: FromRedisValue> Question<T> for &Cmd {
    async fn put(self, mut wire: Wire) -> Result<T, RedisError> {
        read(self.query_async(&mut wire).await)
    }
}

impl<T: FromRedisValue> Question<T> for &Pipeline {
    async fn put(self, mut wire: Wire) -> Result<T, RedisError> {
        read(self.query_async(&mut wire).await)
    }
}

/// An answer as what was expected. To the crate one that cannot be read is as bad as a connection
/// that talks nonsense, so it gives us the value first.
fn read<T: FromRedisValue>(answer: ::redis::RedisResult<Value>) -> Result<T, RedisError> {
    let value = answer.map_err(|error| judge(&error))?;
    from_redis_value(value).map_err(|error| unexpected(&error))
}

/// To be told what is said on these channels.
struct Subscribe<'a>(Vec<&'a str>);

impl Question<()> for Subscribe<'_> {
    async fn put(self, wire: Wire) -> Result<(), RedisError> {
        let subscribed = match wire {
            Wire::Single(mut connection) => connection.subscribe(self.0).await,
            Wire::Cluster(mut connection) => connection.subscribe(self.0).await,
        };
        subscribed.map_err(|error| judge(&error))
    }
}

/// A connection of the crate; its task ends with its last clone.
#[derive(Clone)]
pub enum Wire {
    /// To one server.
    Single(MultiplexedConnection),
    /// To all masters of a Redis Cluster.
    Cluster(ClusterConnection),
}

impl ConnectionLike for Wire {
    fn req_packed_command<'a>(&'a mut self, command: &'a Cmd) -> RedisFuture<'a, Value> {
        match self {
            Self::Single(connection) => connection.req_packed_command(command),
            Self::Cluster(connection) => connection.req_packed_command(command),
        }
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        match self {
            Self::Single(connection) => connection.req_packed_commands(pipeline, offset, count),
            Self::Cluster(connection) => connection.req_packed_commands(pipeline, offset, count),
        }
    }

    fn get_db(&self) -> i64 {
        match self {
            Self::Single(connection) => connection.get_db(),
            Self::Cluster(connection) => connection.get_db(),
        }
    }
}

/// What a line and the crate's task of its connection share: whether it is over, and why.
#[derive(Default)]
pub struct Fate {
    over: CancellationToken,
    why: Mutex<Option<String>>,
    /// Held while a message is heard.
    hearing: Mutex<()>,
}

impl Fate {
    /// It is over; the first reason counts.
    fn end(&self, why: &str) {
        self.why.lock().get_or_insert_with(|| why.to_owned());
        self.over.cancel();
    }

    fn why(&self) -> String {
        self.why.lock().clone().unwrap_or_else(|| CLOSED.to_owned())
    }

    /// What the crate calls with everything that Redis sends unasked, and when the connection is
    /// over. Messages of `channels` are handed on in order, on the connection's own task.
    pub fn ear(
        self: &Arc<Self>,
        channels: Channels,
    ) -> impl Fn(PushInfo) -> Result<(), CannotHear> + Send + Sync + 'static {
        let fate = Arc::clone(self);
        move |push| {
            match push.kind {
                PushKind::Disconnection => fate.end(CLOSED),
                PushKind::Message => fate.hear(&channels, &push.data),
                _ => {}
            }
            Ok(())
        }
    }

    fn hear(&self, channels: &[(String, Hear)], data: &[Value]) {
        let [Value::BulkString(channel), Value::BulkString(message)] = data else {
            return;
        };
        let known = channels.iter().find(|(name, _)| name.as_bytes() == channel.as_slice());
        let _hearing = self.hearing.lock();
        if let Some((_, hear)) = known
            && !self.over.is_cancelled()
        {
            hear(message);
        }
    }
}

/// The crate wants a way to fail, and there is none.
#[derive(Debug)]
pub enum CannotHear {}
