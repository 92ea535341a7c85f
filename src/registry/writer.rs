//! Writes behind: takes what waits, sends it as one pipeline, takes note of what became of it.
//!
//! One pipeline is under way at a time, so the writes of one node are carried out in their order.

use std::sync::atomic::Ordering;
use std::time::Duration;

use ::redis::{Pipeline, RedisResult, Value};
use futures_util::future::join_all;
use tokio::time::sleep;
use tracing::warn;

use super::script::{self, Moment};
use super::shared::{Ended, Shared};
use super::writes::{Now, Outcome, Sending};
use crate::problems::Kind;
use crate::redis::{Commands, RedisError};

/// Writes in one pipeline.
const BATCH: usize = 512;

/// Time for others to come along: PHP registers at each page load, and waking a task for each
/// costs more than writing it.
const GATHER: Duration = Duration::from_millis(1);

/// Time before what Redis refused for now, such as without memory, is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// How topics are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Manner {
    Scripts,
    /// Scripts are not allowed.
    Plain,
}

/// What is to be done with a refused write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Refused {
    /// Redis has forgotten the scripts.
    NoScript,
    /// Scripts will not do.
    NotByScript,
    /// This one key cannot be written by script.
    NotThisByScript,
    /// Redis does not write now.
    NotNow,
}

impl Shared {
    /// Writes what waits, as long as the connection lives.
    pub(super) async fn write_behind(&self, commands: &Commands) -> Ended {
        let mut manner = Manner::Scripts;
        loop {
            let connected_ms = self.connected_ms.load(Ordering::Relaxed);
            let now = Now { ms: self.clock.now_ms(), connected_ms };
            let sendings = self.memory.take_writes(BATCH, now);
            if sendings.is_empty() {
                self.caught_up.notify_waiters();
                self.written_behind.notified().await; // Cancel-safe: what waits is in memory.
                sleep(GATHER).await;
                continue;
            }
            let refused = match self.send(commands, &sendings, manner).await {
                Ok(refused) => refused,
                Err(lost) => return lost.into(),
            };
            match refused {
                None => {}
                Some((Refused::NoScript, _)) => {
                    if let Err(lost) = self.load_scripts(commands).await {
                        return lost;
                    }
                    manner = Manner::Scripts;
                }
                Some((Refused::NotByScript, why)) if manner == Manner::Scripts => {
                    self.complaints.no_scripts.call_once(|| {
                        self.metrics.problems.note(Kind::RedisRefuses, || why.clone());
                        warn!(
                            why,
                            "Redis allows no scripts: topics are written without comparing times; \
                             allow EVALSHA and SCRIPT to the user of redis_url"
                        );
                    });
                    manner = Manner::Plain;
                }
                Some((_, why)) => {
                    self.metrics.problems.note(Kind::RedisRefuses, || why.clone());
                    self.complaints.no_writes.call_once(|| {
                        warn!(why, "Redis refuses to write topics; trying again every second");
                    });
                    sleep(RETRY).await;
                    // A replica that only reads says so here, and the connection is given up.
                    if let Err(lost) = self.sign(commands).await {
                        return lost;
                    }
                }
            }
        }
    }

    /// Sends writes and takes note of what became of each. The answer is the reason for which
    /// some were refused, which are to be sent again.
    async fn send(
        &self,
        commands: &Commands,
        sendings: &[Sending],
        manner: Manner,
    ) -> Result<Option<(Refused, String)>, RedisError> {
        let moment = self.moment();
        let answers = self.carry_out(commands, sendings, manner, moment).await?;
        let (mut refused, mut odd) = (None, Vec::new());
        for (sending, answer) in sendings.iter().zip(answers) {
            let outcome = match (answer, manner) {
                (Ok(Value::BulkString(text)), Manner::Scripts) => {
                    script::outcome(&String::from_utf8_lossy(&text))
                }
                (Ok(value), Manner::Plain) => {
                    script::plain_outcome(sending.what, value == Value::Nil)
                }
                (Ok(_), Manner::Scripts) => Outcome::Done,
                (Err(why), _) => {
                    let (kind, why) = judge(&why);
                    if kind == Refused::NotThisByScript && manner == Manner::Scripts {
                        odd.push(sending.clone());
                        continue;
                    }
                    refused = Some((kind, why));
                    Outcome::Again
                }
            };
            self.settle(sending, outcome, moment.now_ms);
        }
        if manner == Manner::Plain {
            self.tell(commands, sendings, moment).await?;
        }
        if !odd.is_empty() {
            let plain = Box::pin(self.send(commands, &odd, Manner::Plain)).await?;
            refused = refused.or(plain.map(|(_, why)| (Refused::NotNow, why)));
        }
        Ok(refused)
    }

    async fn carry_out(
        &self,
        commands: &Commands,
        sendings: &[Sending],
        manner: Manner,
        moment: Moment,
    ) -> Result<Vec<RedisResult<Value>>, RedisError> {
        let make = match manner {
            Manner::Scripts => script::scripted,
            Manner::Plain => script::plain,
        };
        let made = sendings.iter().map(|sending| make(sending, &self.names, moment));
        if !self.is_redis_cluster {
            let mut pipeline = Pipeline::with_capacity(sendings.len());
            pipeline.ignore_errors();
            for command in made {
                pipeline.add_command(command);
            }
            return commands.pipeline(&pipeline).await;
        }
        // Keys that are kept in different places cannot go in one pipeline.
        let made: Vec<_> = made.collect();
        let answers = join_all(made.iter().map(|command| commands.query::<Value>(command))).await;
        let each = answers.into_iter().map(|answer| match answer {
            Err(RedisError::Refused { code, detail }) => Ok(Err(as_answer(&code, &detail))),
            Err(lost) => Err(lost),
            Ok(value) => Ok(Ok(value)),
        });
        each.collect()
    }

    async fn tell(
        &self,
        commands: &Commands,
        sendings: &[Sending],
        moment: Moment,
    ) -> Result<(), RedisError> {
        let Some(mut pipeline) = script::told(sendings, &self.names, moment) else {
            return Ok(());
        };
        pipeline.ignore_errors();
        commands.pipeline::<Value>(&pipeline).await.map(|_| ())
    }

    fn settle(&self, sending: &Sending, outcome: Outcome, sent_ms: u64) {
        if outcome == Outcome::Done {
            self.metrics.registry_writes.inc();
        }
        if self.memory.settle(sending, outcome, sent_ms) {
            self.metrics.registry_dropped.inc();
        }
    }
}

/// A refusal of a single command, in the form in which a pipeline tells it.
fn as_answer(code: &str, detail: &str) -> ::redis::RedisError {
    ::redis::make_extension_error(code.to_owned(), Some(detail.to_owned()))
}

/// What is to be done about a refusal, and what it says.
fn judge(why: &::redis::RedisError) -> (Refused, String) {
    let text = why.to_string();
    let says = |words: &str| text.contains(words);
    let kind = match why.code() {
        Some("NOSCRIPT") => Refused::NoScript,
        Some("CROSSSLOT") => Refused::NotThisByScript,
        Some("NOPERM") => Refused::NotByScript,
        // What a script is not allowed, in the words of Redis 6.
        _ if says("unknown command") || says("NOPERM") || says("can't run this command") => {
            Refused::NotByScript
        }
        _ => Refused::NotNow,
    };
    // The crate would say `NoPerm` where Redis and the documentation say NOPERM.
    let said = match (why.code(), why.detail()) {
        (Some(code), Some(detail)) => format!("{code}: {detail}"),
        _ => text,
    };
    (kind, said)
}
