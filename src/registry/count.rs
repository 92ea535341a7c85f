//! How many topics there are that this node does not know, for `status`.
//!
//! The whole keyspace of a Redis that others use as well may be large, so it is walked in the
//! background, in small steps with pauses, never when somebody asks. What is heard of changes in
//! between is added at once. Start reading at [`Others`].

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use ::redis::cmd;
use parking_lot::Mutex;
use tokio::time::{Instant, sleep};

use super::shared::{Ended, Shared};
use super::told::Change;
use crate::redis::{Commands, RedisError};

/// Names that are kept; of more, only the number is.
const NAMES: usize = 100_000;

/// Keys that Redis looks at in one step, about 100 µs of its time.
const STEP: usize = 500;

/// Steps in a row, before a pause.
const STEPS: usize = 10;

/// The pause.
const PAUSE: Duration = Duration::from_millis(100);

/// Part of the time that counting may take: one in so many.
const REST: u32 = 5;

/// Topics that other nodes know and this one does not.
#[derive(Debug, Default)]
pub(super) struct Others(Mutex<Found>);

#[derive(Debug, Default)]
struct Found {
    names: HashSet<Box<str>>,
    /// Those beyond the names that are kept.
    more: usize,
    /// What was heard while a walk is under way, which may have passed there already: whether the
    /// topic is there.
    meanwhile: Option<HashMap<Box<str>, bool>>,
}

impl Others {
    /// How many.
    pub(super) fn len(&self) -> usize {
        let found = self.0.lock();
        found.names.len().saturating_add(found.more)
    }

    /// Their names, as far as they are kept.
    pub(super) fn names(&self) -> Vec<String> {
        self.0.lock().names.iter().map(|name| String::from(&**name)).collect()
    }

    /// Visits their names, as far as they are kept, under the lock.
    pub(super) fn each(&self, mut visit: impl FnMut(&str)) {
        let found = self.0.lock();
        for name in &found.names {
            visit(name);
        }
    }

    /// This node knows `topic` from now on, and counts it there.
    pub(super) fn became_known(&self, topic: &str) {
        self.0.lock().set(topic, false);
    }

    /// Redis does not have `topic`.
    pub(super) fn has_gone(&self, topic: &str) {
        self.0.lock().set(topic, false);
    }

    /// A node changed `topic`.
    pub(super) fn heard(&self, topic: &str, change: Change, is_known: impl Fn() -> bool) {
        let is_there = matches!(change, Change::Put(_)) && !is_known();
        self.0.lock().set(topic, is_there);
    }

    fn begin(&self) {
        self.0.lock().meanwhile = Some(HashMap::new());
    }

    /// What a whole walk has found, in place of what was found before.
    fn found(&self, names: HashSet<Box<str>>, more: usize) {
        let mut found = self.0.lock();
        let meanwhile = found.meanwhile.take().unwrap_or_default();
        found.names = names;
        found.more = more;
        for (topic, is_there) in meanwhile {
            found.set(&topic, is_there);
        }
    }
}

impl Found {
    fn set(&mut self, topic: &str, is_there: bool) {
        if let Some(meanwhile) = &mut self.meanwhile
            && meanwhile.len() < NAMES
        {
            meanwhile.insert(topic.into(), is_there);
        }
        if !is_there {
            self.names.remove(topic);
        } else if self.names.len() < NAMES && !self.names.contains(topic) {
            self.names.insert(topic.into());
        }
    }
}

impl Shared {
    /// Counts again and again, as long as the connection lives.
    pub(super) async fn count_others(&self, commands: &Commands) -> Ended {
        if self.is_redis_cluster {
            return std::future::pending().await; // Each of its servers would have to be walked.
        }
        loop {
            let begun = Instant::now();
            match self.walk(commands).await {
                Ok(()) => {}
                Err(RedisError::Refused { .. }) => return std::future::pending().await,
                Err(lost) => return lost.into(),
            }
            sleep(self.pace.count.max(begun.elapsed() * REST)).await;
        }
    }

    async fn walk(&self, commands: &Commands) -> Result<(), RedisError> {
        self.others.begin();
        let pattern = self.names.all_topics();
        let (mut cursor, mut steps, mut more) = (0_u64, 0, 0);
        let mut names = HashSet::new();
        loop {
            let mut command = cmd("SCAN");
            command.arg(cursor).arg("MATCH").arg(&pattern).arg("COUNT").arg(STEP);
            let (next, keys) = commands.query::<(u64, Vec<Vec<u8>>)>(&command).await?;
            for key in keys {
                let key = String::from_utf8_lossy(&key);
                let Some(topic) = self.names.topic_of(&key) else {
                    continue;
                };
                if self.memory.contains(topic) || names.contains(topic) {
                    continue;
                }
                if names.len() < NAMES {
                    names.insert(topic.into());
                } else {
                    more += 1; // Redis may tell a key twice; of so many that does not matter.
                }
            }
            cursor = next;
            if cursor == 0 {
                break;
            }
            steps += 1;
            if steps % STEPS == 0 {
                sleep(PAUSE).await;
            }
        }
        self.others.found(names, more);
        Ok(())
    }
}
