//! Keeps one connection: pings it, bears with it while it hangs, and puts another in its place.
//!
//! A connection that does not answer is not over: a server that was stopped goes on where it
//! stopped, and nothing is lost. So it is kept while others are tried beside it, and stays if it
//! answers first. Start reading at [`Keeper::run`].

use std::sync::Arc;

use tokio::sync::watch;
use tokio::time::{Duration, Instant, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use tracing::debug;

use super::backoff::Pace;
use super::connect::{Connector, Purpose};
use super::error::RedisError;
use super::line::Line;
use super::{Channels, SILENT};
use crate::metrics::Metrics;

/// Time between two pings.
const PING_EVERY: Duration = Duration::from_secs(1);

/// Time that an answer may take before the connection counts as hanging.
const PATIENCE: Duration = Duration::from_secs(1);

/// Time that an answer may take before another connection is tried.
const LONG_PATIENCE: Duration = Duration::from_secs(3);

/// Time that an attempt may take.
const ATTEMPT: Duration = Duration::from_secs(3);

/// Time that a hanging connection has when another one could take its place.
const LAST_CHANCE: Duration = Duration::from_millis(300);

/// A connection that lasted as long is tried again at once.
const LASTED: Duration = Duration::from_secs(1);

/// What there is of a connection now.
#[derive(Debug, Clone, Default)]
pub struct Slot {
    /// The connection, if there is one.
    pub line: Option<Arc<Line>>,
    /// Whether it answers.
    pub answers: bool,
    /// What was wrong last.
    pub reason: Option<String>,
    /// Attempts begun since the start.
    pub attempts: u64,
}

/// What is wrong with `slots`, or was last. One that is there and does not answer says less than
/// one that is not there.
pub fn what_is_wrong(slots: &[Slot; 2]) -> Option<String> {
    let of_interest = slots.iter().filter(|slot| slot.reason.is_some());
    let worst = of_interest.min_by_key(|slot| (slot.answers, slot.line.is_some()));
    worst.and_then(|slot| slot.reason.clone())
}

/// Keeps one connection.
pub struct Keeper {
    /// Makes connections.
    pub connector: Arc<Connector>,
    /// What this one is for.
    pub purpose: Purpose,
    /// What it listens to; nothing if it is for commands.
    pub channels: Channels,
    /// Where others see it.
    pub slot: Arc<watch::Sender<Slot>>,
    /// Where it is counted.
    pub metrics: Arc<Metrics>,
}

/// How a connection ended.
struct End {
    why: String,
    /// One that was opened beside it.
    next: Option<Line>,
}

/// A connection that was opened.
struct Opened {
    line: Line,
    /// Whether it was tried because the other one had been made. Then it does not nudge that one
    /// in turn: two that never last would nudge each other without a pause.
    is_nudged: bool,
}

impl Keeper {
    /// Keeps a connection until `end`; then there is none.
    pub async fn run(self, end: CancellationToken) {
        end.run_until_cancelled(self.keep()).await;
        let slot = self.slot.send_replace(Slot::default());
        if let Some(line) = slot.line {
            line.close("the worker ends");
        }
    }

    async fn keep(&self) {
        let mut pace = Pace::default();
        let mut generation = 0;
        let mut next = None;
        loop {
            let Opened { mut line, is_nudged } = match next.take() {
                Some(line) => Opened { line, is_nudged: false },
                None => self.open(&mut pace).await,
            };
            if let Err(why) = self.begin(&line).await {
                self.note(why.clone());
                line.close(&why);
                continue;
            }
            generation += 1;
            line.generation = generation;
            let line = Arc::new(line);
            let began = Instant::now();
            self.put(&line);
            if !is_nudged {
                self.connector.made.notify_waiters();
            }

            let End { why, next: other } = self.mind(&line).await;

            line.close(&why);
            debug!(purpose = ?self.purpose, generation, reason = %why, "connection to Redis ended");
            self.slot.send_modify(|slot| {
                slot.line = None;
                slot.answers = false;
                slot.reason = Some(why);
            });
            if began.elapsed() >= LASTED {
                pace.reset();
            }
            next = other;
        }
    }

    /// The first attempt that is good. `pace` says when one may begin.
    async fn open(&self, pace: &mut Pace) -> Opened {
        loop {
            let is_nudged = tokio::select! {
                () = pace.turn() => false,
                // The other connection was made: this one can be, too.
                () = self.connector.made.notified() => true,
            };
            self.slot.send_modify(|slot| slot.attempts += 1);
            let attempt = timeout(ATTEMPT, self.connector.open(self.purpose, &self.channels)).await;
            match attempt.unwrap_or_else(|_| Err(SILENT.to_owned())) {
                Ok(line) => return Opened { line, is_nudged },
                Err(why) => self.note(why),
            }
        }
    }

    /// Lets `line` do what it is for.
    async fn begin(&self, line: &Line) -> Result<(), String> {
        if self.channels.is_empty() {
            return Ok(());
        }
        match timeout(ATTEMPT, line.subscribe(&self.channels)).await {
            Ok(subscribed) => subscribed.map_err(RedisError::into_reason),
            Err(_) => Err(SILENT.to_owned()),
        }
    }

    fn put(&self, line: &Arc<Line>) {
        debug!(purpose = ?self.purpose, generation = line.generation, "connected to Redis");
        if line.generation > 1 {
            self.metrics.redis_reconnects.inc();
        }
        self.slot.send_modify(|slot| {
            slot.line = Some(Arc::clone(line));
            slot.answers = true;
        });
    }

    /// Pings `line` until it is over or another one is to take its place.
    async fn mind(&self, line: &Line) -> End {
        let ended = |why| End { why, next: None };
        let misled = self.connector.misled(line, self.purpose);
        tokio::pin!(misled);
        loop {
            let asked = Instant::now();
            tokio::select! {
                biased;
                why = line.over() => return ended(why),
                why = &mut misled => return ended(why),
                answer = self.answer(line, asked) => if let Err(end) = answer {
                    return end;
                },
            }
            self.slot.send_if_modified(|slot| !std::mem::replace(&mut slot.answers, true));
            tokio::select! {
                why = line.over() => return ended(why),
                why = &mut misled => return ended(why),
                () = sleep_until(asked + PING_EVERY) => {}
            }
        }
    }

    /// Returns when `line` answers, however late, if nothing better comes first.
    async fn answer(&self, line: &Line, asked: Instant) -> Result<(), End> {
        let ended = |error: RedisError| End { why: error.into_reason(), next: None };
        let answer = line.ping();
        tokio::pin!(answer);
        tokio::select! {
            biased;
            answer = &mut answer => return answer.map_err(ended),
            () = sleep_until(asked + PATIENCE) => {}
        }
        self.slot.send_modify(|slot| {
            slot.answers = false;
            slot.reason = Some(SILENT.to_owned());
        });
        tokio::select! {
            biased;
            answer = &mut answer => return answer.map_err(ended),
            () = sleep_until(asked + LONG_PATIENCE) => {}
        }
        let mut pace = Pace::default();
        let next = tokio::select! {
            biased;
            answer = &mut answer => return answer.map_err(ended),
            Opened { line, .. } = self.open(&mut pace) => line,
        };
        tokio::select! {
            biased;
            answer = &mut answer => answer.map_err(ended),
            () = sleep(LAST_CHANCE) => Err(End { why: SILENT.to_owned(), next: Some(next) }),
        }
    }

    fn note(&self, why: String) {
        debug!(purpose = ?self.purpose, reason = %why, "attempt to connect to Redis failed");
        self.slot.send_modify(|slot| slot.reason = Some(why));
    }
}
