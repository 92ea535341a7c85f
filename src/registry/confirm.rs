//! Confirms what is known: asks Redis for every topic once in a round, evenly, so that what was
//! unregistered at a Go node, which says nothing, is seen within 15 s.
//!
//! Each question brings the epoch along, so that topics are never forgotten because the data was
//! lost; a round without topics asks for it alone. Several questions are under way at a time, so
//! that a Redis that is far away does not make the round longer. With more topics than fit in a round at a bearable rate the round takes longer; then
//! [`super::Registry::lookup`] asks about what was not confirmed in time.

use std::time::Duration;

use ::redis::{Pipeline, Value, cmd};
use futures_util::stream::{self, Stream, StreamExt, TryStreamExt};
use tokio::time::{Instant, sleep_until};

use super::memory::SHARDS;
use super::shared::{Ended, Shared};
use super::value;
use crate::redis::{Commands, RedisError};

/// Topics in one question.
const BATCH: usize = 256;

/// Shortest time between two questions: 20,000 topics a second.
const GAP: Duration = Duration::from_micros(12_800);

/// Questions under way at a time: with 200 ms for an answer, 10,000 topics a second.
const UNDER_WAY: usize = 8;

/// The questions of a round, spread over its time.
struct Round {
    begun: Instant,
    gap: Duration,
    asked: u32,
}

impl Shared {
    /// Goes round after round, as long as the connection lives. `epoch` stands for the data.
    pub(super) async fn confirm_all(&self, commands: &Commands, epoch: Option<&[u8]>) -> Ended {
        let mut listening = 0;
        let mut is_urgent = true;
        loop {
            let begun = Instant::now();
            let topics = self.memory.len(self.clock.now_ms());
            let questions = u32::try_from(topics.div_ceil(BATCH)).unwrap_or(u32::MAX).max(1);
            let gap = if is_urgent { GAP } else { (self.pace.round / questions).max(GAP) };
            let round = Round { begun, gap, asked: 0 };
            if let Err(ended) = self.confirm_round(commands, epoch, round).await {
                return ended;
            }
            is_urgent = tokio::select! {
                () = sleep_until(begun + self.pace.round) => false, // Both are cancel-safe.
                // What other nodes said before may have been missed.
                generation = self.listens_anew(listening) => {
                    listening = generation;
                    true
                }
            };
            if let Err(ended) = self.compare_clocks(commands, 1).await {
                return ended;
            }
            if let Err(ended) = self.sign(commands).await {
                return ended;
            }
        }
    }

    async fn confirm_round(
        &self,
        commands: &Commands,
        epoch: Option<&[u8]>,
        round: Round,
    ) -> Result<(), Ended> {
        self.batches(round)
            .map(|batch| self.confirm_batch(commands, epoch, batch))
            .buffer_unordered(UNDER_WAY)
            .try_for_each(|()| std::future::ready(Ok(())))
            .await
    }

    /// The names of all topics in batches, each when it is due; at least one, if need be empty.
    fn batches(&self, round: Round) -> impl Stream<Item = Vec<Box<str>>> {
        let start = (round, 0, Vec::new());
        stream::unfold(start, move |(mut round, mut part, mut names)| async move {
            while names.len() < BATCH && part < SHARDS {
                names.extend(self.memory.names_to_confirm(part, self.clock.now_ms()));
                part += 1;
            }
            if names.is_empty() && round.asked > 0 {
                return None;
            }
            round.wait().await;
            let rest = names.split_off(BATCH.min(names.len()));
            Some((names, (round, part, rest)))
        })
    }

    async fn confirm_batch(
        &self,
        commands: &Commands,
        epoch: Option<&[u8]>,
        topics: Vec<Box<str>>,
    ) -> Result<(), Ended> {
        let mut command = cmd("MGET");
        command.arg(&self.names.epoch);
        for topic in &topics {
            command.arg(self.names.topic(topic));
        }
        let asked_ms = self.clock.now_ms();
        let values = match commands.query::<Vec<Value>>(&command).await {
            Ok(values) => values,
            Err(RedisError::Refused { .. }) => return Ok(()), // Then nothing is known.
            Err(lost) => return Err(lost.into()),
        };
        let mut values = values.into_iter();
        let is_same = match (values.next(), epoch) {
            (Some(Value::BulkString(found)), Some(epoch)) => found == epoch,
            (_, epoch) => epoch.is_none(),
        };
        if !is_same {
            return Err(Ended::DataLost);
        }
        let now_ms = self.clock.now_ms();
        let soon_ms = now_ms.saturating_add(2 * self.round_ms());
        let mut ending = Vec::new();
        for (topic, found) in topics.iter().zip(values) {
            let meta = match &found {
                Value::BulkString(found) => value::read(found),
                _ => None,
            };
            match meta {
                Some(meta) if self.memory.confirm(topic, meta, asked_ms, soon_ms) => {
                    ending.push(&**topic);
                }
                Some(_) => {}
                None if self.memory.miss(topic, asked_ms, now_ms) => {
                    self.metrics.registry_dropped.inc();
                }
                None => {}
            }
        }
        self.written_behind.notify_one(); // The node's own topic may be missing.
        self.ask_for_ends(commands, &ending).await
    }

    /// Topics that end soon as far as is known here: somebody else may have renewed them.
    async fn ask_for_ends(&self, commands: &Commands, topics: &[&str]) -> Result<(), Ended> {
        if topics.is_empty() || self.is_redis_cluster {
            return Ok(()); // There, a pipeline cannot have keys of different places.
        }
        let mut pipeline = Pipeline::with_capacity(topics.len());
        for topic in topics {
            pipeline.cmd("PTTL").arg(self.names.topic(topic));
        }
        let ttls = match commands.pipeline::<Vec<i64>>(&pipeline).await {
            Ok(ttls) => ttls,
            Err(RedisError::Refused { .. }) => return Ok(()),
            Err(lost) => return Err(lost.into()),
        };
        let now_ms = self.clock.now_ms();
        for (topic, ttl_ms) in topics.iter().zip(ttls) {
            let ends_ms = match ttl_ms {
                -1 => u64::MAX,
                _ => now_ms.saturating_add(u64::try_from(ttl_ms).unwrap_or(0)),
            };
            self.memory.extend(topic, ends_ms, now_ms);
        }
        Ok(())
    }
}

impl Round {
    /// Returns when the next question is due.
    async fn wait(&mut self) {
        sleep_until(self.begun + self.gap * self.asked).await;
        self.asked += 1;
    }
}
