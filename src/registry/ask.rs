//! Asks Redis what the memory does not know: once for all who want to know, within their time.
//!
//! A question has a task of its own, so that its answer is learned though nobody waits any more.
//! Start reading at [`Shared::find`].

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ::redis::{Pipeline, Value};
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use super::memory::Recall;
use super::shared::Shared;
use super::{Lookup, TopicMeta, value};
use crate::redis::{Commands, RedisError};

/// Questions that are under way at most; who has another is answered as if Redis were away.
pub(super) const QUESTIONS: usize = 4096;

/// Times that a question is put at most, when the topic is changed while it is under way.
const TIMES: usize = 3;

/// What moments are told in.
const MILLISECOND: Duration = Duration::from_millis(1);

/// The questions under way, by topic.
#[derive(Debug, Default)]
pub(super) struct Asks(Mutex<HashMap<Box<str>, Ask>>);

#[derive(Debug, Clone)]
struct Ask {
    answer: watch::Receiver<Option<Answer>>,
    /// Whether the topic was changed while the question was under way: the answer may be old.
    is_spoilt: Arc<AtomicBool>,
}

/// What Redis says of a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    /// Until that moment of the node's clock, if it has an end.
    Registered(TopicMeta, Option<u64>),
    Absent,
    Nothing,
}

impl Asks {
    /// `topic` was changed: what is being answered about it may be old.
    pub(super) fn spoil(&self, topic: &str) {
        if let Some(ask) = self.0.lock().get(topic) {
            ask.is_spoilt.store(true, Ordering::Release);
        }
    }
}

/// Takes a question out of the list when its task ends, however it does.
struct Leave {
    shared: Arc<Shared>,
    topic: Box<str>,
}

impl Drop for Leave {
    fn drop(&mut self) {
        self.shared.asks.0.lock().remove(&self.topic);
    }
}

impl Shared {
    /// What Redis says of `topic`, or what can be said without it when it takes too long. Never
    /// [`Lookup::Ask`].
    pub(super) async fn find(self: &Arc<Self>, topic: &str) -> Lookup {
        let Some(mut waiting) = self.ask(topic) else {
            return self.without_redis(topic, self.clock.now_ms());
        };
        let answer = timeout(self.pace.ask, waiting.wait_for(Option::is_some)).await;
        let answer = match answer {
            Ok(Ok(answer)) => answer.unwrap_or(Answer::Nothing),
            Ok(Err(_)) => Answer::Nothing, // Its task was dropped: the node ends.
            Err(_) => {
                self.metrics.registry_ask_timeouts.inc();
                Answer::Nothing
            }
        };
        let now_ms = self.clock.now_ms();
        // The memory has the answer, or something newer.
        match (self.memory.recall(topic, now_ms, self.fresh_ms()), answer) {
            (Recall::Known(meta), _) => Lookup::Known(meta),
            (Recall::Removed, _) => Lookup::Unknown,
            (Recall::Stale(_) | Recall::Nothing, Answer::Nothing) => {
                self.without_redis(topic, now_ms)
            }
            // Later than was asked, but not gone: it was put aside for something newer.
            (Recall::Stale(meta), _) => Lookup::Known(meta),
            (Recall::Nothing, Answer::Absent | Answer::Registered(..)) => Lookup::Unknown,
        }
    }

    /// Joins the question about `topic`, or begins it; `None` if it cannot be put.
    fn ask(self: &Arc<Self>, topic: &str) -> Option<watch::Receiver<Option<Answer>>> {
        let mut asks = self.asks.0.lock();
        if let Some(ask) = asks.get(topic) {
            return Some(ask.answer.clone());
        }
        if asks.len() >= QUESTIONS {
            return None;
        }
        let (commands, runtime) = self.serving()?;
        let (answer, waiting) = watch::channel(None);
        let is_spoilt = Arc::new(AtomicBool::new(false));
        let ask = Ask { answer: waiting.clone(), is_spoilt: Arc::clone(&is_spoilt) };
        let leave = Leave { shared: Arc::clone(self), topic: topic.into() };
        asks.insert(topic.into(), ask);
        drop(asks);
        runtime.spawn(async move {
            let found = leave.shared.put_question(&commands, &leave.topic, &is_spoilt).await;
            // Out of the list first: who comes after the answer asks anew.
            drop(leave);
            answer.send_replace(Some(found));
        });
        Some(waiting)
    }

    /// Asks until nothing changed meanwhile, and takes the answer to memory.
    async fn put_question(
        &self,
        commands: &Commands,
        topic: &str,
        is_spoilt: &AtomicBool,
    ) -> Answer {
        let key = self.names.topic(topic);
        let mut pipeline = Pipeline::new();
        pipeline.cmd("GET").arg(&key).cmd("PTTL").arg(&key);
        for _ in 0..TIMES {
            is_spoilt.store(false, Ordering::Release);
            let asked_ms = self.clock.now_ms();
            self.metrics.registry_asks.inc();
            let answer = match commands.pipeline::<(Value, i64)>(&pipeline).await {
                Ok((value, ttl_ms)) => self.read_answer(&value, ttl_ms),
                // Somebody else's key, with which Go can do nothing either.
                Err(RedisError::Refused { code, .. }) if code == "WRONGTYPE" => Answer::Absent,
                Err(_) => return Answer::Nothing,
            };
            self.take_in(topic, answer, asked_ms);
            if !is_spoilt.load(Ordering::Acquire) {
                return answer;
            }
            // Of two answers to questions of one millisecond the first counts, and it is the old one.
            sleep(MILLISECOND).await;
        }
        Answer::Nothing
    }

    fn read_answer(&self, value: &Value, ttl_ms: i64) -> Answer {
        let Value::BulkString(value) = value else {
            return Answer::Absent;
        };
        let Some(meta) = value::read(value) else {
            return Answer::Absent;
        };
        match ttl_ms {
            -1 => Answer::Registered(meta, None),
            _ => match u64::try_from(ttl_ms) {
                Ok(ttl_ms) => {
                    Answer::Registered(meta, Some(self.clock.now_ms().saturating_add(ttl_ms)))
                }
                Err(_) => Answer::Absent, // It ended between the two commands.
            },
        }
    }

    fn take_in(&self, topic: &str, answer: Answer, asked_ms: u64) {
        let now_ms = self.clock.now_ms();
        match answer {
            Answer::Registered(meta, ends_ms) => {
                let ends_ms = ends_ms.unwrap_or(u64::MAX); // The memory keeps it for its own time.
                if self.memory.learn(topic, meta, ends_ms, asked_ms, now_ms) {
                    self.others.became_known(topic);
                }
            }
            Answer::Absent => {
                if self.memory.miss(topic, asked_ms, now_ms) {
                    self.metrics.registry_dropped.inc();
                }
                self.others.has_gone(topic);
            }
            Answer::Nothing => {}
        }
    }
}
