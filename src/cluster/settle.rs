//! What follows from having been cut off: was something missed meanwhile?
//!
//! Whenever this node begins to listen, it asks Redis for the last number of every node, and waits
//! until everything that was sent before that answer has been heard. What is missing then was
//! missed. Go nodes number nothing: if one may have published meanwhile, that counts as missed.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::debug;

use super::roster::DEAD_AFTER_MS;
use super::{Cluster, Gap, HashMap};
use crate::redis::{Commands, Listening, Redis, RedisError};

/// Time for the questions to Redis, before they are asked again.
const PATIENCE: Duration = Duration::from_secs(5);

/// Time in which the servers of a Redis Cluster pass envelopes on.
const PASSING_ON: Duration = Duration::from_secs(1);

/// Where the others stand.
struct Standing {
    /// Each node and the last number of it that Redis carried out.
    sent: Vec<(String, u64)>,
    /// The roster's hash.
    nodes: HashMap<String, String>,
}

impl Cluster {
    /// Sees to every time that this node begins to listen.
    pub(super) async fn keep_settled(self: Arc<Self>, redis: Arc<Redis>, end: CancellationToken) {
        let mut generation = 0;
        // Whether browsers were served by a node that did not listen.
        let mut was_deaf = false;
        loop {
            let listening = tokio::select! {
                () = end.cancelled() => return,
                listening = redis.listening(generation) => listening,
            };
            let since_ms = self.heard_ms.load(Ordering::Relaxed);
            let began_deaf = self.deaf_start.load(Ordering::Relaxed);
            was_deaf |= generation > 0 || (began_deaf && self.hub.audience().sockets > 0);
            generation = listening.generation;
            self.origins.lock().unsettle();
            tokio::select! {
                () = end.cancelled() => return,
                _ = redis.listening(generation) => {} // It broke again: all that remains to be done.
                () = self.settle(&redis, listening, was_deaf, since_ms) => was_deaf = false,
            }
        }
    }

    /// Finds out what was missed, and returns when that is done.
    async fn settle(&self, redis: &Redis, listening: Listening, was_deaf: bool, since_ms: u64) {
        loop {
            let commands = redis.newer_commands(0).await;
            let standing = match timeout(PATIENCE, self.standing(&commands)).await {
                Ok(Ok(standing)) => standing,
                Ok(Err(RedisError::Refused { code, detail })) => {
                    // Such as a missing right: to ask again would not help.
                    debug!(code, detail, "where other nodes stand is not known");
                    Standing { sent: Vec::new(), nodes: HashMap::new() }
                }
                Ok(Err(_)) | Err(_) => {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            };
            if commands.is_cluster() {
                // What other servers of a Redis Cluster pass on may come a little later.
                tokio::time::sleep(PASSING_ON).await;
            }
            if !redis.heard_all(listening).await {
                std::future::pending::<()>().await; // Another one listens soon.
            }
            let now_ms = self.clock.now_ms();
            let missed = self.origins.lock().settle(&standing.sent, was_deaf, now_ms);
            if missed > 0 {
                self.missed(missed);
            } else if was_deaf && self.may_have_gone_by(&standing, since_ms, now_ms) {
                self.gap(
                    "this node was cut off, and a Go node may have published meanwhile",
                    Gap::All,
                );
            }
            return;
        }
    }

    async fn standing(&self, commands: &Commands) -> Result<Standing, RedisError> {
        let mut all = ::redis::cmd("HGETALL");
        all.arg(&self.names.nodes);
        let nodes: HashMap<String, String> = commands.query(&all).await?;
        let mut ids = self.origins.lock().ids();
        ids.extend(nodes.keys().cloned());
        ids.sort_unstable();
        ids.dedup();
        ids.retain(|id| *id != self.id);
        if ids.is_empty() {
            return Ok(Standing { sent: Vec::new(), nodes });
        }
        let mut get = ::redis::cmd("MGET");
        for id in &ids {
            get.arg(self.sent_key(id));
        }
        let numbers: Vec<Option<String>> = commands.query(&get).await?;
        let number = |text: Option<String>| text.and_then(|text| text.parse().ok());
        let known = ids.into_iter().zip(numbers).filter_map(|(id, n)| Some((id, number(n)?)));
        Ok(Standing { sent: known.collect(), nodes })
    }

    /// Whether a Go node may have published since `since_ms`: one was heard lately, is in the
    /// roster, or seemed to listen before this node was cut off.
    fn may_have_gone_by(&self, standing: &Standing, since_ms: u64, now_ms: u64) -> bool {
        let deaf_ms = now_ms.saturating_sub(since_ms);
        let within_ms = deaf_ms + DEAD_AFTER_MS;
        let hash = standing.nodes.clone().into_iter().collect();
        let mut roster = self.roster.lock();
        roster.read(hash, jiff::Timestamp::now(), now_ms);
        self.strangers.load(Ordering::Relaxed)
            || roster.has_go(within_ms, now_ms)
            || self.origins.lock().heard_go(now_ms)
    }
}
