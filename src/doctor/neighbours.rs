//! Who else is at the Redis: nodes in the roster, listeners that are none, keys that no worker
//! writes.
//!
//! It looks at a bounded part of the keys and changes nothing. Start reading at [`examine`].

use std::collections::BTreeSet;
use std::time::Duration;

use ::redis::cmd;
use jiff::Timestamp;
use serde::Deserialize;
use tokio::time::{Instant, timeout};

use super::finding::{Finding, Step};
use super::redis::ANSWER;
use crate::redis::{Commands, RedisError};

/// Silence after which a node is dead, in seconds.
const DEAD_AFTER_SECS: i64 = 15;

/// Time for walking over keys.
const WALK: Duration = Duration::from_secs(2);

/// Values of topics that are looked at.
const SAMPLES: usize = 20;

/// What is read of a node's entry.
#[derive(Debug, Deserialize)]
struct Entry {
    #[serde(default)]
    name: String,
    #[serde(default)]
    seen_at: String,
}

/// Findings about everything that begins with `prefix`.
pub(super) async fn examine(commands: &Commands, prefix: &str) -> Vec<Finding> {
    let step = Step::RedisOthers;
    let mut findings = Vec::new();
    let names = match roster(commands, prefix).await {
        Ok(names) => names,
        Err(error) => {
            return vec![
                Finding::failed(step, format!("the key {prefix}nodes cannot be read: {error}"))
                    .expected("the roster of the nodes, which other programs leave alone")
                    .change("set another redis_prefix, the same for all nodes"),
            ];
        }
    };
    let listeners = listeners(commands, prefix).await;
    if let Some(finding) = strangers(commands, prefix).await {
        findings.push(finding);
    }
    let shown = match names.len() {
        0 => "no node".to_owned(),
        1 => format!("1 node ({})", names.join(", ")),
        count => format!("{count} nodes ({})", names.join(", ")),
    };
    findings.push(match usize::try_from(listeners.unwrap_or_default()) {
        Ok(listeners) if listeners > names.len() => Finding::warning(
            step,
            format!("{listeners} listen to {prefix}events, and the roster has {shown}"),
        )
        .expected("nodes alone; beside an old Go node (0.2.4), which is in no roster, each cut-off costs browsers a reconnect")
        .change("see who it is: redis-cli client list type pubsub"),
        Ok(listeners) if listeners < names.len() => Finding::warning(
            step,
            format!("the roster has {shown}, and {listeners} listen to {prefix}events"),
        )
        .expected("every node to listen: one has just ended, or has another redis_prefix")
        .change("run the doctor again in 15 s; if it stays so, look at the logs of the nodes"),
        _ => Finding::ok(step, shown),
    });
    findings
}

/// The names of the nodes that live.
async fn roster(commands: &Commands, prefix: &str) -> Result<Vec<String>, RedisError> {
    let mut all = cmd("HGETALL");
    all.arg(format!("{prefix}nodes"));
    let asking = timeout(ANSWER, commands.query::<Vec<(String, String)>>(&all)).await;
    let entries = match asking {
        Ok(Err(RedisError::Refused { code, .. })) if code == "NOPERM" => Vec::new(),
        Ok(answer) => answer?,
        Err(_) => Vec::new(),
    };
    let now = Timestamp::now();
    let lives = |entry: &Entry| {
        let seen = entry.seen_at.parse::<Timestamp>().ok();
        seen.is_some_and(|seen| (now.as_second() - seen.as_second()).abs() <= DEAD_AFTER_SECS)
    };
    let entries = entries.iter().filter_map(|(_, text)| serde_json::from_str::<Entry>(text).ok());
    let mut names: Vec<String> = entries.filter(lives).map(|entry| plain(&entry.name)).collect();
    names.sort();
    Ok(names)
}

/// How many listen to the channel of events, as far as that may be asked.
async fn listeners(commands: &Commands, prefix: &str) -> Option<i64> {
    let mut command = cmd("PUBSUB");
    command.arg("NUMSUB").arg(format!("{prefix}events"));
    let answer = timeout(ANSWER, commands.query::<(String, i64)>(&command)).await;
    Some(answer.ok()?.ok()?.1)
}

/// Keys that begin with `prefix` and that no worker writes.
async fn strangers(commands: &Commands, prefix: &str) -> Option<Finding> {
    if commands.is_cluster() {
        return None; // One node's keys would say little.
    }
    let begin = Instant::now();
    let mut cursor = 0_u64;
    let (mut odd, mut topics) = (BTreeSet::new(), Vec::new());
    while begin.elapsed() < WALK {
        let mut scan = cmd("SCAN");
        scan.arg(cursor).arg("MATCH").arg(pattern(prefix)).arg("COUNT").arg(500);
        let answer = timeout(ANSWER, commands.query::<(u64, Vec<Vec<u8>>)>(&scan)).await;
        let Ok(Ok((next, keys))) = answer else { break };
        for key in keys {
            let key = String::from_utf8_lossy(&key).into_owned();
            let rest = key.strip_prefix(prefix).unwrap_or(&key);
            if !is_ours(rest) {
                odd.insert(plain(&key));
            } else if rest.starts_with("topic:") && topics.len() < SAMPLES {
                topics.push(key);
            }
        }
        cursor = next;
        if cursor == 0 {
            break;
        }
    }
    for key in topics {
        let mut get = cmd("GET");
        get.arg(&key);
        let value = timeout(ANSWER, commands.query::<Option<Vec<u8>>>(&get)).await;
        let is_odd = match value {
            Ok(Ok(Some(value))) => !is_meta(&value),
            Ok(Err(RedisError::Refused { code, .. })) => code == "WRONGTYPE",
            _ => false,
        };
        if is_odd {
            odd.insert(plain(&key));
        }
    }
    let first = odd.first()?.clone();
    Some(
        Finding::warning(
            Step::RedisOthers,
            format!("{} that no worker writes, such as {first}", keys(odd.len())),
        )
        .expected(format!("nothing but workers' keys below {prefix}"))
        .change("set another redis_prefix, the same for all nodes (with Go nodes it has to stay wavelog:)")
        .change("or move the other program to another Redis"),
    )
}

fn keys(count: usize) -> String {
    match count {
        1 => "1 key".to_owned(),
        _ => format!("{count} keys"),
    }
}

/// Whether a worker writes a key with this behind the prefix.
fn is_ours(rest: &str) -> bool {
    let beginnings = ["topic:", "gone:", "seen:", "sent:", "doctor."];
    matches!(rest, "nodes" | "epoch") || beginnings.iter().any(|begin| rest.starts_with(begin))
}

/// Whether a topic has such a value.
fn is_meta(value: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Meta {
        #[serde(rename = "require_token")]
        _require_token: Option<bool>,
    }
    serde_json::from_slice::<Meta>(value).is_ok()
}

/// A pattern for the keys that begin with `prefix`.
fn pattern(prefix: &str) -> String {
    let mut pattern = String::with_capacity(prefix.len() + 1);
    for letter in prefix.chars() {
        if matches!(letter, '*' | '?' | '[' | ']' | '^' | '-' | '\\') {
            pattern.push('\\');
        }
        pattern.push(letter);
    }
    pattern + "*"
}

/// `text` without what a terminal would obey, and not too long.
fn plain(text: &str) -> String {
    const MOST: usize = 60;
    text.chars().filter(|letter| !letter.is_control()).take(MOST).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_workers_are_known() {
        for rest in
            ["topic:session.1", "gone:{wavelog:topic:a}", "seen:n", "sent:n", "nodes", "epoch"]
        {
            assert!(is_ours(rest), "{rest}");
        }
        for rest in ["sessions", "cache:1", "", "topics"] {
            assert!(!is_ours(rest), "{rest}");
        }
    }

    #[test]
    fn a_topics_value_is_known() {
        assert!(is_meta(b"{\"require_token\":true}"));
        assert!(is_meta(b"{}"));
        assert!(!is_meta(b"O:8:\"stdClass\""));
    }

    #[test]
    fn a_prefix_is_no_pattern() {
        assert_eq!(pattern("a*:"), "a\\*:*");
    }
}
