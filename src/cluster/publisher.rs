//! Sends what this node publishes to Redis: in order, each envelope once, however often the
//! connection breaks.
//!
//! One batch is under way at a time, and what comes meanwhile is the next. A batch goes as one
//! script, which publishes only numbers above the last one that Redis has carried out for this
//! node: so what is sent again because no answer came is not published twice. Start reading at
//! [`Publisher::run`].

use std::sync::Arc;
use std::time::Duration;

use ::redis::{Cmd, Pipeline, Script};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval, sleep};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::Cluster;
use super::queue::Item;
use crate::problems::Kind;
use crate::protocol::envelope::Beat;
use crate::redis::{Commands, Redis, RedisError};

/// Envelopes that go in one script, during which Redis does nothing else.
const BATCH: usize = 1024;

/// Bytes of envelopes that go in one script.
const BATCH_BYTES: usize = 1024 * 1024;

/// Time between two beats.
const BEAT: Duration = Duration::from_secs(5);

/// How long Redis remembers the last number of a node.
const SENT_TTL_MS: u64 = 60 * 60 * 1000;

/// Pause after Redis refused a batch for a reason of its own, such as being out of memory.
const REFUSED_PAUSE: Duration = Duration::from_millis(500);

/// How long after an outage other nodes are waited for. They try to connect at most 2 s apart.
const GATHERING: Duration = Duration::from_secs(3);

/// How long a node may be on its way to its first connection without others being it as well.
const SOON: Duration = Duration::from_secs(1);

/// Time between two looks at whether they are there.
const GATHERING_LOOK: Duration = Duration::from_millis(50);

/// `KEYS[1]`: the last number of this node. `ARGV`: channel of envelopes, milliseconds that the key
/// lives, channel of beats, the beat (empty: none), its number, then number and text of each
/// envelope. Writes first: where Redis refuses that, for it is out of memory or a replica, nothing
/// was published, and nothing comes twice when it is sent again.
const SEND: &str = r"
local before = redis.call('GET', KEYS[1]) or '0'
local last = before
if tonumber(ARGV[5]) > tonumber(last) then last = ARGV[5] end
if #ARGV > 5 and tonumber(ARGV[#ARGV - 1]) > tonumber(last) then last = ARGV[#ARGV - 1] end
redis.call('SET', KEYS[1], last, 'PX', ARGV[2])
for i = 6, #ARGV, 2 do
  if tonumber(ARGV[i]) > tonumber(before) then redis.call('PUBLISH', ARGV[1], ARGV[i + 1]) end
end
if ARGV[4] ~= '' then redis.call('PUBLISH', ARGV[3], ARGV[4]) end
return last
";

/// The task that sends.
pub(super) struct Publisher {
    cluster: Arc<Cluster>,
    redis: Arc<Redis>,
    script: Script,
    beats: Interval,
    /// Whether this connection may not run scripts.
    plainly: bool,
    /// Whether it may be able to soon: it was not for lack of a right.
    may_change: bool,
    /// Whether that was said of this connection.
    said: bool,
    /// Whether the other nodes were waited for on this connection.
    gathered: bool,
    /// The server that was last sent to.
    run_id: Option<String>,
}

impl Publisher {
    pub(super) fn new(cluster: Arc<Cluster>, redis: Arc<Redis>) -> Self {
        let mut beats = interval(BEAT);
        beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let script = Script::new(SEND);
        Self {
            cluster,
            redis,
            script,
            beats,
            plainly: false,
            may_change: false,
            said: false,
            gathered: false,
            run_id: None,
        }
    }

    /// Sends until `end` is cancelled, by one connection after the other.
    pub(super) async fn run(mut self, end: CancellationToken) {
        let mut generation = 0;
        let mut listeners = 0; // So many listened when the last connection was lost.
        let started = Instant::now();
        loop {
            let commands = tokio::select! {
                () = end.cancelled() => return,
                () = self.keep_in_bounds() => return,
                commands = self.redis.newer_commands(generation) => commands,
            };
            if generation == 0 && started.elapsed() > SOON {
                listeners = i64::MAX; // Redis was not there: who else waits for it is not known.
            }
            generation = commands.generation();
            (self.plainly, self.said) = (false, false);
            let redis = Arc::clone(&self.redis);
            tokio::select! {
                () = end.cancelled() => return,
                // A batch that was under way is put back by its guard.
                () = self.serve(&commands, listeners) => {}
                _ = redis.newer_commands(generation) => {}
            }
            // Cut off again while it waited, it waits for the same.
            if std::mem::take(&mut self.gathered) {
                listeners = self.cluster.listeners();
            }
        }
    }

    /// Lets go what is too old while nobody sends. Never returns.
    async fn keep_in_bounds(&self) {
        loop {
            sleep(Duration::from_secs(1)).await;
            self.cluster.trim();
        }
    }

    /// Sends by `commands` until that fails, from when as many as `listeners` are there to hear it.
    async fn serve(&mut self, commands: &Commands, listeners: i64) {
        let ready = async {
            self.mind_restart(commands).await?;
            self.wait_for(listeners, commands).await
        };
        if let Err(error) = ready.await {
            debug!(%error, "envelopes wait for another connection");
            return;
        }
        self.gathered = true;
        self.beats.reset_immediately(); // The first beat says where this node's numbers stand.
        loop {
            let result = tokio::select! {
                biased;
                _ = self.beats.tick() => {
                    self.cluster.trim();
                    self.plainly &= !self.may_change;
                    self.send_beat(commands).await
                }
                () = self.cluster.something_to_send() => self.send_batch(commands).await,
            };
            match result {
                Ok(()) => {}
                Err(RedisError::Refused { code, detail }) => self.refused(&code, &detail).await,
                Err(RedisError::Lost(reason) | RedisError::NotServing(reason)) => {
                    debug!(reason, "envelopes wait for another connection");
                    return;
                }
            }
        }
    }

    /// A server that ended between carrying out a batch and telling the others may have kept its
    /// number. So what another server, or the same one started anew, says was sent is not believed;
    /// nodes of ours know by the number what they have heard already.
    async fn mind_restart(&mut self, commands: &Commands) -> Result<(), RedisError> {
        let run_id = commands.run_id().await?;
        let is_another = self.run_id.is_some() && run_id.is_some() && self.run_id != run_id;
        if is_another {
            self.forget_sent(commands).await?; // If that fails, the next connection has to.
        }
        self.run_id = run_id.or_else(|| self.run_id.take());
        Ok(())
    }

    async fn forget_sent(&self, commands: &Commands) -> Result<(), RedisError> {
        let mut set = ::redis::cmd("SET");
        set.arg(self.cluster.sent_key(self.cluster.id()))
            .arg(self.cluster.settled())
            .arg("PX")
            .arg(SENT_TTL_MS);
        match commands.query::<()>(&set).await {
            Err(RedisError::Refused { .. }) => Ok(()),
            answer => answer,
        }
    }

    /// Returns when as many as `listeners` listen, or when that takes too long. After an outage the
    /// nodes come back one after the other; what was kept for them must not go out before.
    async fn wait_for(&self, listeners: i64, commands: &Commands) -> Result<(), RedisError> {
        let until = Instant::now() + GATHERING;
        while !commands.is_cluster() && !self.cluster.is_leaving() && Instant::now() < until {
            match self.cluster.count(commands).await {
                Ok(count) if count < listeners => sleep(GATHERING_LOOK).await,
                Ok(_) | Err(RedisError::Refused { .. }) => break,
                Err(lost) => return Err(lost),
            }
        }
        Ok(())
    }

    /// Redis answered that it does not carry this out: from now on without a script, or, if that
    /// is how it was tried, later.
    async fn refused(&mut self, code: &str, detail: &str) {
        if self.plainly {
            sleep(REFUSED_PAUSE).await;
            return;
        }
        self.plainly = true;
        // Such as being out of memory, where it refuses the script for what it writes.
        self.may_change = !matches!(code, "NOPERM" | "ERR");
        if std::mem::replace(&mut self.said, true) {
            return;
        }
        let refused = || format!("{code} {detail}");
        self.cluster.metrics.problems.note(Kind::RedisRefuses, refused);
        if self.may_change {
            warn!(code, detail, "Redis refuses to write: envelopes may come twice to Go nodes");
            return;
        }
        warn!(
            code,
            detail,
            "Redis refuses a script: envelopes go without it and may come twice to Go nodes; \
             allow EVALSHA, SCRIPT, GET, SET and PUBLISH"
        );
    }

    async fn send_beat(&self, commands: &Commands) -> Result<(), RedisError> {
        let n = self.cluster.settled();
        let (origin_id, boot) = (self.cluster.id().into(), self.cluster.boot().into());
        let beat = Beat { origin_id, boot, n };
        let beat = serde_json::to_string(&beat).unwrap_or_default(); // Strings and a number.
        if self.plainly {
            let mut publish = ::redis::cmd("PUBLISH");
            publish.arg(self.cluster.beats_channel()).arg(beat);
            return commands.query::<u64>(&publish).await.map(drop);
        }
        self.send(commands, &beat, n, &[]).await
    }

    async fn send_batch(&self, commands: &Commands) -> Result<(), RedisError> {
        let mut batch = self.cluster.take(BATCH, BATCH_BYTES);
        if batch.items().is_empty() {
            return Ok(());
        }
        if self.plainly {
            let mut pipeline = Pipeline::with_capacity(batch.items().len());
            for item in batch.items() {
                pipeline.cmd("PUBLISH").arg(self.cluster.events_channel()).arg(&item.text).ignore();
            }
            commands.pipeline::<()>(&pipeline).await?;
        } else {
            self.send(commands, "", 0, batch.items()).await?;
        }
        batch.sent();
        Ok(())
    }

    async fn send(
        &self,
        commands: &Commands,
        beat: &str,
        n: u64,
        items: &[Item],
    ) -> Result<(), RedisError> {
        let mut evaluate = ::redis::cmd("EVALSHA");
        evaluate
            .arg(self.script.get_hash())
            .arg(1)
            .arg(self.cluster.sent_key(self.cluster.id()))
            .arg(self.cluster.events_channel())
            .arg(SENT_TTL_MS)
            .arg(self.cluster.beats_channel())
            .arg(beat)
            .arg(n);
        for item in items {
            evaluate.arg(item.n).arg(&item.text);
        }
        match commands.query::<u64>(&evaluate).await {
            Err(RedisError::Refused { code, .. }) if code == "NOSCRIPT" => {}
            result => return result.map(drop),
        }
        self.load(commands).await?;
        commands.query::<u64>(&evaluate).await.map(drop)
    }

    async fn load(&self, commands: &Commands) -> Result<(), RedisError> {
        let mut load: Cmd = ::redis::cmd("SCRIPT");
        load.arg("LOAD").arg(SEND);
        commands.query::<String>(&load).await.map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::redis::tests::server::Server;

    /// Carries out the script with two envelopes and a beat that says `n`.
    fn send(server: &Server, n: &str) -> String {
        let envelopes = ["1", "one", "2", "two"];
        let words = ["EVAL", SEND, "1", "sent", "events", "60000", "beats", "beat", n];
        server.cli(&[&words[..], &envelopes[..]].concat())
    }

    fn published(server: &Server) -> usize {
        let stats = server.cli(&["INFO", "commandstats"]);
        let calls = stats.lines().find_map(|line| line.strip_prefix("cmdstat_publish:calls="));
        calls.map_or(0, |calls| calls.split(',').next().unwrap().parse().unwrap())
    }

    #[test]
    fn what_was_published_is_not_published_again() {
        let server = Server::start(&[]);

        assert_eq!(send(&server, "0"), "2\n");
        assert_eq!(published(&server), 3);
        assert_eq!(send(&server, "7"), "7\n");
        assert_eq!(published(&server), 4, "only the beat");
        assert_eq!(send(&server, "0"), "7\n");
    }

    #[test]
    fn where_redis_does_not_write_nothing_is_published() {
        let server = Server::start(&["--maxmemory", "1"]);

        assert!(send(&server, "0").contains("OOM"));

        assert_eq!(published(&server), 0);
    }
}
