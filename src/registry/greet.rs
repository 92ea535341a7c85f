//! What comes first on each new connection: whose clock says what, and whether Redis still has
//! what it had.
//!
//! Three things can have happened to the data. It is another, or was lost: the epoch is another,
//! and everything is written again. It fell back, because a replica took over or a snapshot was
//! read: the server is another, and what this node has acknowledged since its last sign in the
//! data is written again. Nothing: the writes that wait go out. Start reading at
//! [`Shared::greet`].

use std::sync::atomic::Ordering;

use ::redis::{FromRedisValue, Pipeline, Value, cmd};
use tracing::{info, warn};

use super::script::{PUT, REMOVE};
use super::shared::{Ended, Shared};
use super::writes::seconds;
use crate::clock::{Clock, millis, unix_now_ms};
use crate::redis::{Commands, RedisError};

/// Times that Redis is asked for the time; the answer that took least is best.
const TIMES: usize = 3;

/// Time for which a sign of this node is kept in the data, in ms.
const SEEN_MS: u64 = 3_600_000;

/// Room for error between a sign in the data and what was acknowledged then, in ms.
const SLACK_MS: i64 = 1000;

/// What was seen of Redis before.
#[derive(Debug, Default)]
pub(super) struct Past {
    /// The value that stands for its data.
    pub(super) epoch: Option<Vec<u8>>,
    /// Which process it is.
    run_id: Option<String>,
}

/// What the node's clock has to be put ahead to say what this machine takes for the time.
pub(super) fn offset_by_system_clock(clock: Clock) -> i64 {
    unix_now_ms().saturating_sub(i64::try_from(clock.now_ms()).unwrap_or(i64::MAX))
}

impl Shared {
    /// Makes a connection ready: after this, questions are put on it.
    pub(super) async fn greet(&self, commands: &Commands, past: &mut Past) -> Result<(), Ended> {
        self.greeted.store(0, Ordering::Release);
        self.connected_ms.store(self.clock.now_ms(), Ordering::Relaxed);
        self.memory.unsend_writes();
        self.compare_clocks(commands, TIMES).await?;
        self.load_scripts(commands).await?;
        let epoch = self.read_epoch(commands).await?;
        let run_id = self.read_run_id(commands).await?;
        match (&past.epoch, &epoch) {
            (Some(before), Some(now)) if before != now => {
                info!("Redis does not have the topics it had: writing those that are known here");
                self.memory.restore(None);
            }
            (Some(_), _) if past.run_id.is_some() && past.run_id != run_id => {
                let since = self.last_seen(commands).await?;
                info!("another Redis server answers: writing what it may have missed");
                self.memory.restore(since);
            }
            _ => {}
        }
        if epoch.is_some() {
            past.epoch = epoch;
        }
        past.run_id = run_id;
        self.sign(commands).await?;
        self.greeted.store(commands.generation(), Ordering::Release);
        self.was_greeted.notify_waiters();
        self.written_behind.notify_one();
        Ok(())
    }

    /// Finds out what Redis' clock is ahead of the node's.
    ///
    /// What is known stays as long as it can be true, so that the order of what this node does
    /// never changes by a better guess.
    pub(super) async fn compare_clocks(
        &self,
        commands: &Commands,
        times: usize,
    ) -> Result<(), Ended> {
        let mut best: Option<(u64, i64, i64)> = None;
        for _ in 0..times {
            let sent_ms = self.clock.now_ms();
            let time: Option<(i64, i64)> = optional(commands.query(&cmd("TIME")).await)?;
            let Some((secs, micros)) = time else {
                return Ok(()); // Not allowed: the machine's own clock has to do.
            };
            let received_ms = self.clock.now_ms();
            let redis_ms = secs.saturating_mul(1000).saturating_add(micros / 1000);
            let ahead = |ms: u64| redis_ms.saturating_sub(i64::try_from(ms).unwrap_or(i64::MAX));
            let took = received_ms.saturating_sub(sent_ms);
            if best.is_none_or(|(least, ..)| took < least) {
                best = Some((took, ahead(received_ms), ahead(sent_ms)));
            }
        }
        if let Some((_, low, high)) = best {
            let known = self.offset_ms.load(Ordering::Relaxed);
            // Both clocks are read in whole milliseconds.
            if known < low - 1 || known > high + 1 {
                self.offset_ms.store(low.midpoint(high), Ordering::Relaxed);
            }
        }
        Ok(())
    }

    /// Leaves a sign of this moment in the data.
    pub(super) async fn sign(&self, commands: &Commands) -> Result<(), Ended> {
        let moment = self.moment();
        let mut command = cmd("SET");
        command.arg(&self.names.seen).arg(moment.at_redis(moment.now_ms)).arg("PX").arg(SEEN_MS);
        optional::<Value>(commands.query(&command).await)?;
        Ok(())
    }

    pub(super) async fn load_scripts(&self, commands: &Commands) -> Result<(), Ended> {
        for script in [&*PUT, &*REMOVE] {
            let mut command = cmd("SCRIPT");
            command.arg("LOAD").arg(script.code);
            optional::<Value>(commands.query(&command).await)?;
        }
        Ok(())
    }

    /// The value that stands for the data, which is made if there is none; `None` if this node may
    /// not read it.
    async fn read_epoch(&self, commands: &Commands) -> Result<Option<Vec<u8>>, Ended> {
        let mine = getrandom::u64().unwrap_or_default();
        let mut pipeline = Pipeline::new();
        pipeline.cmd("SET").arg(&self.names.epoch).arg(format!("{mine:016x}")).arg("NX").ignore();
        pipeline.cmd("GET").arg(&self.names.epoch);
        match commands.pipeline::<(Option<Vec<u8>>,)>(&pipeline).await {
            Ok((epoch,)) => Ok(epoch),
            Err(RedisError::Refused { code, detail }) => {
                self.complaints.no_epoch.call_once(|| {
                    warn!(%code, detail, "Redis refuses the key by which lost data is noticed");
                });
                Ok(None)
            }
            Err(lost) => Err(lost.into()),
        }
    }

    async fn read_run_id(&self, commands: &Commands) -> Result<Option<String>, Ended> {
        if self.is_redis_cluster {
            return Ok(None); // There are many.
        }
        let mut command = cmd("INFO");
        command.arg("server");
        let info: Option<String> = optional(commands.query(&command).await)?;
        let info = info.unwrap_or_default();
        let run_id = info.lines().find_map(|line| line.strip_prefix("run_id:"));
        Ok(run_id.map(|id| id.trim().to_owned()))
    }

    /// The second of the node's clock up to which the data has everything that this node wrote;
    /// `None` if that is not known, so that nothing can be taken to be there.
    async fn last_seen(&self, commands: &Commands) -> Result<Option<u32>, Ended> {
        let mut command = cmd("GET");
        command.arg(&self.names.seen);
        let seen: Option<Option<i64>> = optional(commands.query(&command).await)?;
        Ok(seen.flatten().map(|seen| {
            let ms = seen.saturating_sub(self.offset_ms.load(Ordering::Relaxed));
            seconds(u64::try_from(ms.saturating_sub(SLACK_MS)).unwrap_or(0))
        }))
    }

    /// Time in which everything is confirmed once, in ms.
    pub(super) fn round_ms(&self) -> u64 {
        millis(self.pace.round)
    }
}

/// The answer to a command that a server may refuse.
fn optional<T: FromRedisValue>(answer: Result<T, RedisError>) -> Result<Option<T>, Ended> {
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(RedisError::Refused { .. }) => Ok(None),
        Err(lost) => Err(lost.into()),
    }
}
