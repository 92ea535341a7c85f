//! The two scripts by which topics are written, and plain commands where scripts are not allowed.
//!
//! Why scripts: what was written behind must never bring back a topic that was unregistered
//! meanwhile, nor remove one that was registered meanwhile, so Redis itself has to compare. When a
//! topic was unregistered is kept in a key of its own for ten minutes; when it was registered
//! follows from its TTL, because every node gives it the same. A key with more TTL than one may
//! have is from a node with another `topic_ttl`: then nothing follows, and the write is carried
//! out. Start reading at [`PUT`].

use std::sync::LazyLock;

use ::redis::{Cmd, Pipeline, cmd};

use super::names::Names;
use super::told::Change;
use super::value;
use super::writes::{Condition, Outcome, Sending, What};

/// Time for which Redis knows that a topic was unregistered.
const GONE_MS: u64 = 600_000;

/// A script and the name under which Redis keeps it.
#[derive(Debug)]
pub(super) struct Script {
    pub(super) code: &'static str,
    hash: String,
}

impl Script {
    fn new(code: &'static str) -> Self {
        Self { code, hash: ::redis::Script::new(code).get_hash().to_owned() }
    }
}

/// What both scripts begin with: the time now by Redis' clock, and when the topic was unregistered,
/// both in microseconds. The last argument is the time as the node takes it to be, for a Redis
/// that does not tell it.
///
/// A tombstone of an earlier version is in milliseconds. One from the future is none: it is by the
/// clock of a server whose place this one took, or from before the clock was set back, and must not
/// refuse what is registered now until this clock has caught up. What other nodes then write late
/// may revive the topic, unless the node that unregistered it has written its tombstone again, as
/// it does when it finds another server ([`super::greet`]). A node may err by half of the time of
/// an answer, for which 100 ms are room.
macro_rules! beginning {
    () => {
        r"
local now = tonumber(ARGV[#ARGV])
local time = redis.pcall('TIME')
if not time.err then now = time[1] * 1000000 + time[2] end
local gone = tonumber(redis.pcall('GET', KEYS[2]) or 0) or 0
if gone < 1e14 then gone = gone * 1000 end
if gone > now + 100000 then gone = 0 end
"
    };
}

/// Writes a topic. Keys: the topic, when it was unregistered. Arguments: value, its end, when it
/// was registered, on which condition, channel, message, the whole TTL, since when Redis had it,
/// now. Moments are in microseconds of Redis' clock, because two calls of PHP at two nodes may be
/// less than a millisecond apart, but ends and TTLs in milliseconds.
///
/// The TTL is computed here: a command may be carried out long after it was sent, when Redis hung
/// or by a connection that was given up meanwhile.
///
/// A topic that was there and is not was unregistered. If a node of ours says when, and that was
/// before this registration, then that is not undone by it.
///
/// A registration that Redis has counts as later only if it is by more than a second: less can be
/// the error of what the times were computed from.
pub(super) static PUT: LazyLock<Script> = LazyLock::new(|| {
    Script::new(concat!(
        beginning!(),
        r"
if gone > tonumber(ARGV[3]) then return 'gone' end
local old = redis.pcall('GET', KEYS[1])
if ARGV[4] == 'xx' and not old and gone <= tonumber(ARGV[8]) then return 'gone' end
if ARGV[4] == 'nx' and old then return 'outdone' end
local whole = tonumber(ARGV[7])
local ttl = math.max(1, math.min(tonumber(ARGV[2]) - math.floor(now / 1000), whole))
local left = redis.call('PTTL', KEYS[1])
if left > ttl + 1000 and left <= whole then return 'outdone' end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ttl)
if old ~= ARGV[1] then redis.call('PUBLISH', ARGV[5], ARGV[6]) end
return 'done'
",
    ))
});

/// Removes a topic. Keys as above. Arguments: when it was unregistered, the end that a topic would
/// have that was registered then, the whole TTL, channel, message, time that this is kept, now.
pub(super) static REMOVE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(concat!(
        beginning!(),
        r"
if gone < tonumber(ARGV[1]) then redis.call('SET', KEYS[2], ARGV[1], 'PX', ARGV[6]) end
local ttl = tonumber(ARGV[2]) - math.floor(now / 1000)
local left = redis.call('PTTL', KEYS[1])
if left > ttl + 1000 and left <= tonumber(ARGV[3]) then return 'outdone' end
redis.call('DEL', KEYS[1])
redis.call('PUBLISH', ARGV[4], ARGV[5])
return 'done'
",
    ))
});

/// What is needed to make commands of writes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment {
    /// The node's clock.
    pub(super) now_ms: u64,
    /// What Redis' clock is ahead of it, in µs.
    pub(super) offset_us: i64,
    /// The whole time to live.
    pub(super) ttl_ms: u64,
}

impl Moment {
    /// A moment of the node's clock, in microseconds, by Redis' clock.
    pub(super) fn at_redis(self, us: u64) -> i64 {
        i64::try_from(us).unwrap_or(i64::MAX).saturating_add(self.offset_us)
    }

    /// The same in milliseconds.
    pub(super) fn at_redis_ms(self, ms: u64) -> i64 {
        self.at_redis(ms.saturating_mul(1000)) / 1000
    }
}

/// The command that carries out `sending` by script.
pub(super) fn scripted(sending: &Sending, names: &Names, moment: Moment) -> Cmd {
    let topic = &*sending.topic;
    let at = moment.at_redis(sending.at_us);
    let now = moment.at_redis(moment.now_ms.saturating_mul(1000));
    let mut command = cmd("EVALSHA");
    let script = match sending.what {
        What::Put { .. } => &PUT,
        What::Remove => &REMOVE,
    };
    command.arg(&script.hash).arg(2).arg(names.topic(topic)).arg(names.gone(topic));
    match sending.what {
        What::Put { meta, ends_ms, condition } => {
            let (condition, since) = match condition {
                Condition::Always => ("", 0),
                Condition::IfThere { since_ms } => {
                    ("xx", moment.at_redis(since_ms.saturating_mul(1000)))
                }
                Condition::IfAbsent => ("nx", 0),
            };
            command.arg(value::write(meta)).arg(moment.at_redis_ms(ends_ms)).arg(at).arg(condition);
            command.arg(&names.changes).arg(value::write_change(topic, Change::Put(meta), at));
            command.arg(moment.ttl_ms).arg(since);
        }
        What::Remove => {
            let ends_ms = (sending.at_us / 1000).saturating_add(moment.ttl_ms);
            command.arg(at).arg(moment.at_redis_ms(ends_ms)).arg(moment.ttl_ms).arg(&names.changes);
            command.arg(value::write_change(topic, Change::Gone, at)).arg(GONE_MS);
        }
    }
    command.arg(now);
    command
}

/// What a script answered.
pub(super) fn outcome(answer: &str) -> Outcome {
    match answer {
        "gone" => Outcome::Gone,
        "outdone" => Outcome::Outdone,
        _ => Outcome::Done,
    }
}

/// The command that carries out `sending` where scripts are not allowed, as the Go worker does it:
/// nothing is compared, and only an unregistration is told to other nodes, by [`told`].
pub(super) fn plain(sending: &Sending, names: &Names, moment: Moment) -> Cmd {
    let key = names.topic(&sending.topic);
    match sending.what {
        What::Put { meta, ends_ms, condition } => {
            let mut command = cmd("SET");
            command.arg(key).arg(value::write(meta)).arg("PX").arg(left_ms(ends_ms, moment));
            match condition {
                Condition::Always => {}
                Condition::IfThere { .. } => {
                    command.arg("XX");
                }
                Condition::IfAbsent => {
                    command.arg("NX");
                }
            }
            command
        }
        What::Remove => {
            let mut command = cmd("DEL");
            command.arg(key);
            command
        }
    }
}

/// What a plain command's answer means; `is_nil` if a condition was not met.
pub(super) fn plain_outcome(what: What, is_nil: bool) -> Outcome {
    match what {
        What::Put { condition: Condition::IfThere { .. }, .. } if is_nil => Outcome::Gone,
        What::Put { condition: Condition::IfAbsent, .. } if is_nil => Outcome::Outdone,
        What::Put { .. } | What::Remove => Outcome::Done,
    }
}

/// Messages about the unregistrations in `sendings`, which plain commands do not send.
pub(super) fn told(sendings: &[Sending], names: &Names, moment: Moment) -> Option<Pipeline> {
    let mut pipeline = Pipeline::new();
    let mut is_empty = true;
    for sending in sendings.iter().filter(|sending| sending.what == What::Remove) {
        let at = moment.at_redis(sending.at_us);
        let message = value::write_change(&sending.topic, Change::Gone, at);
        pipeline.cmd("PUBLISH").arg(&names.changes).arg(message);
        is_empty = false;
    }
    (!is_empty).then_some(pipeline)
}

/// Time to an end, at least the least that Redis takes.
fn left_ms(ends_ms: u64, moment: Moment) -> u64 {
    ends_ms.saturating_sub(moment.now_ms).max(1)
}
