//! Watches both connections: says whether Redis is away, and writes the log.
//!
//! A connection that is lost and repaired within 500 ms is no absence; one that hangs is one at
//! once. Start reading at [`Observer::run`].

use std::sync::Arc;

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::diary::{Diary, Entry, WORTH_A_LINE};
use super::keeper::{Slot, what_is_wrong};
use super::{LinkState, SILENT};
use crate::clock::millis;
use crate::metrics::Metrics;
use crate::problems::Kind;

/// What is told of Redis.
#[derive(Debug, Clone, Copy)]
pub struct Seen {
    /// Whether it serves us.
    pub state: LinkState,
    /// When the present absence began.
    pub away_since: Option<Instant>,
}

/// Watches both connections.
pub struct Observer {
    /// The connection for commands.
    pub commands: watch::Receiver<Slot>,
    /// The connection that listens.
    pub listening: watch::Receiver<Slot>,
    /// Where others see it.
    pub seen: Arc<watch::Sender<Seen>>,
    /// The address, without credentials.
    pub redis: String,
    /// Where absences are counted.
    pub metrics: Arc<Metrics>,
}

/// Both connections, in short.
struct Both {
    up: bool,
    /// One of them is there and does not answer.
    hangs: bool,
    reason: String,
    attempts: u64,
}

impl Observer {
    /// Watches until `end`. Then Redis is away, and nothing is said of it.
    pub async fn run(mut self, end: CancellationToken) {
        let seen = Arc::clone(&self.seen);
        end.run_until_cancelled(self.watch(&end)).await;
        seen.send_modify(|seen| seen.state = LinkState::Away);
    }

    async fn watch(&mut self, end: &CancellationToken) {
        let mut diary = Diary::default();
        while !end.is_cancelled() {
            let now = Instant::now();
            let both = self.both();
            let step = diary.step(now, both.up, &both.reason, both.attempts);
            if step.counts {
                self.metrics.redis_away.inc();
                self.metrics.problems.note(Kind::RedisAway, || both.reason.clone());
            }
            if let Some(entry) = step.entry {
                self.write(entry);
            }
            self.tell(now, &both, diary.away_since());

            let due = diary.due();
            tokio::select! {
                changed = self.commands.changed() => if changed.is_err() { return },
                changed = self.listening.changed() => if changed.is_err() { return },
                () = sleep_until(due.unwrap_or(now)), if due.is_some() => {}
            }
        }
    }

    fn both(&mut self) -> Both {
        let slots =
            [&mut self.commands, &mut self.listening].map(|slot| slot.borrow_and_update().clone());
        Both {
            up: slots.iter().all(|slot| slot.answers),
            hangs: slots.iter().any(|slot| slot.line.is_some() && !slot.answers),
            // Nothing is known while the first attempt is under way.
            reason: what_is_wrong(&slots).unwrap_or_else(|| SILENT.to_owned()),
            attempts: slots.iter().map(|slot| slot.attempts).sum(),
        }
    }

    fn tell(&self, now: Instant, both: &Both, away_since: Option<Instant>) {
        self.seen.send_if_modified(|seen| {
            let briefly = away_since.is_some_and(|since| now < since + WORTH_A_LINE);
            let state = match (both.up, seen.state) {
                (true, _) => LinkState::Up,
                (false, LinkState::Up) if briefly && !both.hangs => LinkState::Up,
                (false, _) => LinkState::Away,
            };
            seen.away_since = away_since;
            std::mem::replace(&mut seen.state, state) != state
        });
    }

    fn write(&self, entry: Entry) {
        let redis = &self.redis;
        match entry {
            Entry::Connected => info!(%redis, "connected to Redis"),
            Entry::Away { reason, left_out: 0 } => {
                warn!(reason, %redis, "Redis is away: degraded, this node serves alone");
            }
            Entry::Away { reason, left_out } => {
                warn!(reason, %redis, left_out, "Redis is away: degraded, this node serves alone");
            }
            Entry::StillAway { reason } => {
                warn!(reason, %redis, "Redis is still away: degraded");
            }
            Entry::Back { away, attempts } => {
                let seconds = away.as_secs_f64();
                self.metrics
                    .problems
                    .remark(Kind::RedisAway, || format!("back after {seconds:.1} s"));
                info!(%redis, away_ms = millis(away), attempts, "Redis is back");
            }
        }
    }
}
