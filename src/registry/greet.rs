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
use crate::clock::{Clock, millis, unix_now_us};
use crate::problems::Kind;
use crate::redis::{Commands, RedisError};

/// Times that Redis is asked for the time; the answer that took least is best.
const TIMES: usize = 3;

/// Room for error in reading two clocks, in µs.
const READING_US: i64 = 10;

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
    /// Whether Redis refused the epoch when it was last greeted.
    pub(super) is_refused: bool,
}

/// What the node's clock has to be put ahead to say what this machine takes for the time, in µs.
pub(super) fn offset_by_system_clock(clock: Clock) -> i64 {
    // The thread may have to wait between the two; once of several times it does not.
    let mut offsets = [0; TIMES];
    for offset in &mut offsets {
        *offset = ahead(unix_now_us(), clock.now_us());
    }
    offsets.sort_unstable();
    offsets[TIMES / 2]
}

/// What a moment of Redis is ahead of one of the node's clock, both in µs.
fn ahead(redis_us: i64, us: u64) -> i64 {
    redis_us.saturating_sub(i64::try_from(us).unwrap_or(i64::MAX))
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
        let run_id = commands.run_id().await?;
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
        past.is_refused = epoch.is_none();
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
    /// never changes by a better guess. At first that is what this machine takes for the time: so
    /// nodes of machines whose clocks agree with each other and with Redis' agree to the
    /// microsecond, and all others to the time of half an answer.
    pub(super) async fn compare_clocks(
        &self,
        commands: &Commands,
        times: usize,
    ) -> Result<(), Ended> {
        let mut best: Option<(u64, i64, i64)> = None;
        for _ in 0..times {
            let sent_us = self.clock.now_us();
            let time: Option<(i64, i64)> = optional(commands.query(&cmd("TIME")).await)?;
            let Some((secs, micros)) = time else {
                return Ok(()); // Not allowed: the machine's own clock has to do.
            };
            let received_us = self.clock.now_us();
            let redis_us = secs.saturating_mul(1_000_000).saturating_add(micros);
            let took = received_us.saturating_sub(sent_us);
            if best.is_none_or(|(least, ..)| took < least) {
                best = Some((took, ahead(redis_us, received_us), ahead(redis_us, sent_us)));
            }
        }
        if let Some((_, low, high)) = best {
            let possible = low.saturating_sub(READING_US)..=high.saturating_add(READING_US);
            if !possible.contains(&self.offset_us.load(Ordering::Relaxed)) {
                let system = offset_by_system_clock(self.clock);
                let better = if possible.contains(&system) { system } else { low.midpoint(high) };
                self.offset_us.store(better, Ordering::Relaxed);
            }
        }
        Ok(())
    }

    /// Leaves a sign of this moment in the data.
    pub(super) async fn sign(&self, commands: &Commands) -> Result<(), Ended> {
        let moment = self.moment();
        let mut command = cmd("SET");
        command.arg(&self.names.seen).arg(moment.at_redis_ms(moment.now_ms)).arg("PX").arg(SEEN_MS);
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
                    let refused = || format!("{code} {detail}");
                    self.metrics.problems.note(Kind::RedisRefuses, refused);
                    warn!(code, detail, "Redis refuses the key by which lost data is noticed");
                });
                Ok(None)
            }
            Err(lost) => Err(lost.into()),
        }
    }

    /// The second of the node's clock up to which the data has everything that this node wrote;
    /// `None` if that is not known, so that nothing can be taken to be there.
    async fn last_seen(&self, commands: &Commands) -> Result<Option<u32>, Ended> {
        let mut command = cmd("GET");
        command.arg(&self.names.seen);
        let seen: Option<Option<i64>> = optional(commands.query(&command).await)?;
        Ok(seen.flatten().map(|seen| {
            let ms = seen.saturating_sub(self.offset_us.load(Ordering::Relaxed) / 1000);
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
