//! Redis, as the worker uses it: reached in the same way, by the same user, with the same commands
//! on keys of the doctor's own.
//!
//! Keys and the channel begin with `redis_prefix` and `doctor`, and are gone after a minute at the
//! latest. Start reading at [`examine`].

use std::sync::Arc;
use std::time::Duration;

use ::redis::{Cmd, Value, cmd};
use jiff::Timestamp;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use super::finding::{Finding, Step};
use super::node::shown;
use super::{Findings, neighbours};
use crate::config::ClusterConfig;
use crate::metrics::Metrics;
use crate::redis::{Commands, Hear, Redis, RedisError};

/// Time for a connection.
const CONNECTING: Duration = Duration::from_secs(4);

/// Time for an answer.
pub(super) const ANSWER: Duration = Duration::from_secs(2);

/// Milliseconds after which Redis forgets the doctor's keys by itself.
const TTL_MS: u32 = 60_000;

/// Looks at the Redis of `cluster`.
pub async fn examine(cluster: Option<&ClusterConfig>, findings: &mut Findings<'_>) {
    let rest = [Step::RedisRights, Step::RedisMemory, Step::RedisOthers];
    let Some(cluster) = cluster else {
        findings.take(Finding::left_out(
            Step::Redis,
            "no redis_url is known: a single node needs none",
        ));
        return;
    };
    findings.begin(Step::Redis);
    let name = format!("{}doctor.{:016x}", cluster.prefix, getrandom::u64().unwrap_or_default());
    let heard = Arc::new(Notify::new());
    let told = Arc::clone(&heard);
    let hear: Hear = Box::new(move |_| told.notify_one());
    let end = CancellationToken::new();
    let _end = end.clone().drop_guard();
    let channels = vec![(name.clone(), hear)];
    let redis = Redis::start(cluster.redis.clone(), channels, Arc::new(Metrics::default()), end);
    let Ok(commands) = timeout(CONNECTING, redis.newer_commands(0)).await else {
        findings.take(not_reached(&redis, cluster));
        findings.leave_out(&rest, "Redis is not reached");
        return;
    };
    let user = cluster.redis.username.clone().unwrap_or_else(|| "default".to_owned());
    let visit = Visit { commands, prefix: &cluster.prefix, name, user };
    let finding = visit.who(&cluster.redis.to_string()).await;
    findings.take(finding);
    findings.begin(Step::RedisRights);
    let rights = visit.rights(&redis, &heard).await;
    findings.take(rights);
    findings.begin(Step::RedisMemory);
    let memory = visit.memory().await;
    findings.take(memory);
    findings.begin(Step::RedisOthers);
    for finding in neighbours::examine(&visit.commands, visit.prefix).await {
        findings.take(finding);
    }
}

fn not_reached(redis: &Redis, cluster: &ClusterConfig) -> Finding {
    let report = redis.describe();
    let why = report.last_error.unwrap_or_else(|| "does not answer".to_owned());
    let finding = Finding::failed(Step::Redis, format!("{}: {why}", report.redis))
        .expected("a Redis 6 or newer, or a Valkey, that lets the worker in; until then each node serves its own browsers alone");
    if why.contains("WRONGPASS") || why.contains("NOAUTH") {
        finding
            .change("write user and password into redis_url: redis://USER:PASSWORD@HOST:6379/0")
            .change("what is special in them percent-encoded: %40 for @, %2F for /, %23 for #")
    } else if why.contains("needs Redis 6") {
        finding.change("install Redis 6 or newer, or Valkey")
    } else if why.contains("replica") {
        finding.change("name the master in redis_url, or the sentinels: redis+sentinel://...")
    } else if why.contains("refused") {
        finding
            .change("start it: systemctl start redis-server; or correct host and port in redis_url")
            .change(
                "if it is on another machine: its `bind` has to have that machine's address, too",
            )
    } else if cluster.redis.tls.is_some() {
        finding.change(
            "compare rediss:// with tls-port of Redis, and redis_ca_file with its authority",
        )
    } else {
        finding.change("correct redis_url, or let the firewall pass its port")
    }
}

/// A connection, and what is done over it.
struct Visit<'a> {
    commands: Commands,
    prefix: &'a str,
    /// The doctor's channel, and what its keys begin with.
    name: String,
    user: String,
}

/// Whether the worker can do without a right.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Need {
    Must,
    Should,
}

impl Visit<'_> {
    /// Who answers, how fast, and what its clock shows.
    async fn who(&self, address: &str) -> Finding {
        let step = Step::Redis;
        let begin = Instant::now();
        let time: Result<(i64, i64), _> = self.commands.query(&cmd("TIME")).await;
        let took = shown(begin.elapsed());
        let info = self.info("server").await.unwrap_or_default();
        let version = field(&info, "valkey_version")
            .map(|version| format!("Valkey {version}"))
            .or_else(|| field(&info, "redis_version").map(|version| format!("Redis {version}")));
        let found = format!(
            "{} at {address}, answers in {took}",
            version.unwrap_or_else(|| "a Redis that hides its version".to_owned())
        );
        let major = field(&info, "redis_version").and_then(|v| v.split('.').next()?.parse().ok());
        if major.is_some_and(|major: u32| major < 6) {
            return Finding::failed(step, found)
                .expected("Redis 6 or newer, or Valkey")
                .change("install a newer one");
        }
        let ahead = time.map_or(0, |(secs, _)| secs - Timestamp::now().as_second());
        match ahead.unsigned_abs() {
            ..=2 => Finding::ok(step, found),
            by => Finding::warning(step, format!("{found}; its clock differs by {by} s"))
                .expected("the same time as this machine's")
                .change("timedatectl set-ntp true, on both machines"),
        }
    }

    async fn info(&self, section: &str) -> Option<String> {
        let mut info = cmd("INFO");
        info.arg(section);
        timeout(ANSWER, self.commands.query(&info)).await.ok()?.ok()
    }

    /// Tries each command that the worker needs.
    async fn rights(&self, redis: &Redis, heard: &Notify) -> Finding {
        let mut missing = Missing::default();
        for (right, need, command) in self.trials() {
            let answer = timeout(ANSWER, self.commands.query::<Value>(&command)).await;
            match answer {
                Ok(Ok(_)) => {}
                Ok(Err(error)) => missing.note(right, need, &error),
                Err(_) => missing.other = Some(format!("{right}: no answer")),
            }
        }
        self.try_script(&mut missing).await;
        let listens = async {
            redis.listening(0).await;
            let mut publish = cmd("PUBLISH");
            publish.arg(&self.name).arg("doctor");
            match self.commands.query::<Value>(&publish).await {
                Ok(_) => heard.notified().await,
                Err(error) => missing.note("publish", Need::Must, &error),
            }
        };
        if timeout(ANSWER, listens).await.is_err() {
            let why = redis.describe().last_error.unwrap_or_default();
            match why.contains("NOPERM") {
                true => missing.note(
                    "subscribe",
                    Need::Must,
                    &RedisError::Refused { code: "NOPERM".to_owned(), detail: why },
                ),
                false => {
                    let found = format!("what is published does not arrive {why}");
                    missing.other = Some(found.trim_end().to_owned());
                }
            }
        }
        missing.judge(&self.user, self.prefix)
    }

    /// The commands, on keys of the doctor's own.
    fn trials(&self) -> Vec<(&'static str, Need, Cmd)> {
        let (key, hash) = (format!("{}.key", self.name), format!("{}.hash", self.name));
        let with = |name: &str, arguments: &[&str]| {
            let mut command = Cmd::new();
            for part in name.split(' ').chain(arguments.iter().copied()) {
                command.arg(part);
            }
            command
        };
        let (channel, ttl) = (format!("{}events", self.prefix), TTL_MS.to_string());
        let mut trials = vec![
            ("set", Need::Must, with("SET", &[&key, "1", "PX", &ttl])),
            ("get", Need::Must, with("GET", &[&key])),
            ("mget", Need::Must, with("MGET", &[&key])),
            ("pttl", Need::Must, with("PTTL", &[&key])),
            ("del", Need::Must, with("DEL", &[&key])),
            ("hset", Need::Must, with("HSET", &[&hash, "doctor", "1"])),
            ("hgetall", Need::Must, with("HGETALL", &[&hash])),
            ("hdel", Need::Must, with("HDEL", &[&hash, "doctor"])),
            ("pubsub|numsub", Need::Must, with("PUBSUB NUMSUB", &[&channel])),
            ("time", Need::Should, with("TIME", &[])),
            ("info", Need::Should, with("INFO", &["server"])),
        ];
        if !self.commands.is_cluster() {
            trials.push(("scan", Need::Must, with("SCAN", &["0", "COUNT", "1"])));
            trials.push(("role", Need::Should, with("ROLE", &[])));
        }
        trials
    }

    async fn try_script(&self, missing: &mut Missing) {
        const SCRIPT: &str = "return redis.call('PTTL', KEYS[1])";

        let mut load = cmd("SCRIPT");
        load.arg("LOAD").arg(SCRIPT);
        let loaded = timeout(ANSWER, self.commands.query::<Value>(&load)).await;
        if let Ok(Err(error)) = &loaded {
            missing.note("script|load", Need::Should, error);
        }
        let mut evaluate = cmd("EVALSHA");
        evaluate.arg(::redis::Script::new(SCRIPT).get_hash()).arg(1);
        evaluate.arg(format!("{}.key", self.name));
        match timeout(ANSWER, self.commands.query::<Value>(&evaluate)).await {
            // Not loaded means that it may be called.
            Ok(Err(RedisError::Refused { code, .. })) if code == "NOSCRIPT" => {}
            Ok(Err(error)) => missing.note("evalsha", Need::Should, &error),
            Ok(Ok(_)) | Err(_) => {}
        }
    }

    /// What happens when its memory is full.
    async fn memory(&self) -> Finding {
        let step = Step::RedisMemory;
        let Some(info) = self.info("memory").await else {
            return Finding::left_out(step, "the user may not ask: +info");
        };
        let number = |name: &str| field(&info, name).and_then(|text| text.parse::<u64>().ok());
        let (most, used) = (number("maxmemory").unwrap_or(0), number("used_memory").unwrap_or(0));
        let policy = field(&info, "maxmemory_policy").unwrap_or("noeviction").to_owned();
        let found = match most {
            0 => format!("no bound, {} MB used", used >> 20),
            _ => format!("{} of {} MB used, {policy}", used >> 20, most >> 20),
        };
        if most > 0 && policy != "noeviction" {
            Finding::warning(step, format!("{found}: topics vanish when it is full"))
                .expected("maxmemory-policy noeviction")
                .change("in redis.conf: maxmemory-policy noeviction")
                .change("and at once: redis-cli config set maxmemory-policy noeviction")
        } else if most > 0 && used > most - most / 10 {
            Finding::warning(step, format!("{found}: nearly full"))
                .expected("room for topics, some 200 bytes each")
                .change("in redis.conf: a larger maxmemory")
        } else {
            Finding::ok(step, found)
        }
    }
}

/// What the user may not do.
#[derive(Default)]
struct Missing {
    must: Vec<&'static str>,
    should: Vec<&'static str>,
    keys: bool,
    channels: bool,
    other: Option<String>,
}

impl Missing {
    fn note(&mut self, right: &'static str, need: Need, error: &RedisError) {
        let RedisError::Refused { code, detail } = error else {
            self.other = Some(format!("{right}: {error}"));
            return;
        };
        if code != "NOPERM" {
            self.other = Some(format!("{right}: {code} {detail}"));
        } else if detail.contains("key") {
            self.keys = true;
        } else if detail.contains("channel") {
            self.channels = true;
        } else {
            match need {
                Need::Must => self.must.push(right),
                Need::Should => self.should.push(right),
            }
        }
    }

    fn judge(mut self, user: &str, prefix: &str) -> Finding {
        let step = Step::RedisRights;
        let expected = "every command that the worker needs, on its keys and channels";
        let mut rules: Vec<String> = Vec::new();
        if self.keys {
            rules.push(format!("'~{prefix}*'"));
        }
        if self.channels {
            rules.push(format!("'&{prefix}*'"));
        }
        self.must.sort_unstable();
        self.must.dedup();
        rules.extend(self.must.iter().chain(&self.should).map(|right| format!("'+{right}'")));
        let change = format!("redis-cli acl setuser {user} {}", rules.join(" "));
        if !self.must.is_empty() || self.keys || self.channels {
            Finding::failed(step, format!("the user {user} lacks {}", rules.join(" ")))
                .expected(expected)
                .change(change)
                .change("and the same in the file of users, or: redis-cli acl save")
        } else if let Some(other) = self.other {
            Finding::failed(step, other)
                .expected(expected)
                .change("do what Redis says: memory, disk, or its configuration")
        } else if !self.should.is_empty() {
            Finding::warning(step, format!("the user {user} lacks {}", rules.join(" ")))
                .expected("scripts, time and role: without them some events may come twice, or late writes revive a topic")
                .change(change)
        } else {
            Finding::ok(
                step,
                format!("{user} may do all that the worker needs; what is published arrives"),
            )
        }
    }
}

/// A field of what INFO says.
fn field<'a>(info: &'a str, name: &str) -> Option<&'a str> {
    info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::super::finding::State;
    use super::*;

    #[test]
    fn what_is_lacking_is_said_as_the_rule_that_grants_it() {
        let refused = |detail: &str| RedisError::Refused {
            code: "NOPERM".to_owned(),
            detail: detail.to_owned(),
        };
        let mut missing = Missing::default();
        missing.note(
            "set",
            Need::Must,
            &refused("this user has no permissions to run the 'set' command"),
        );
        missing.note(
            "get",
            Need::Must,
            &refused("this user has no permissions to access one of the keys used as arguments"),
        );
        missing.note(
            "evalsha",
            Need::Should,
            &refused("no permissions to run the 'evalsha' command"),
        );
        let finding = missing.judge("wavelog", "w:");

        assert_eq!(finding.state, State::Failed);
        assert_eq!(finding.change[0], "redis-cli acl setuser wavelog '~w:*' '+set' '+evalsha'");

        let mut missing = Missing::default();
        missing.note("time", Need::Should, &refused("no permissions to run the 'time' command"));
        assert_eq!(missing.judge("wavelog", "w:").state, State::Warning);
    }

    #[test]
    fn a_field_of_info_is_read() {
        assert_eq!(field("# Server\r\nredis_version:7.0.15\r\n", "redis_version"), Some("7.0.15"));
        assert_eq!(field("redis_version_x:7", "redis_version"), None);
    }
}
