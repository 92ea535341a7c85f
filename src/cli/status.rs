//! `status`: says how a running worker is, and with `--cluster` which others there are (`roster`).

use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::Path;

use clap::Args;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::paint::{BAD, ODD, STRONG, paint};
use super::{printable, roster, settings, waiting};
use crate::client::address::{self, Address};
use crate::config::Env;
use crate::protocol::json::{self, Rest};

/// What the number of nodes is called.
const CLUSTER: &str = "cluster nodes";

/// What it is while Redis is away.
const AWAY: &str = "unknown, Redis is away";

/// Counters that docs/operations.md has a line for, but those that grow with mobile networks.
const ASK_FOR_ACTION: [&str; 10] = [
    "publishes_busy",
    "slow_closes",
    "resync_closes",
    "auth_failures",
    "refused_full",
    "forbidden",
    "envelopes_dropped",
    "envelopes_missed",
    "registry_ask_timeouts",
    "registry_dropped",
];

#[derive(Debug, Args)]
pub(super) struct StatusArgs {
    /// Also list the topics.
    #[arg(long)]
    topics: bool,
    /// Show every node of the cluster instead.
    #[arg(long, conflicts_with = "topics")]
    cluster: bool,
    /// Print the document as it came.
    #[arg(long)]
    json: bool,
    /// Internal address of the worker, instead of the configured one.
    #[arg(long, value_name = "URL", value_parser = address::internal)]
    internal: Option<Address>,
}

/// What is shown of a status document. The original worker has no `implementation`, no
/// `degraded` and no `counters`.
#[derive(Debug, Deserialize)]
struct Document<'a> {
    version: String,
    uptime: String,
    registered_topics: u64,
    active_topics: u64,
    connected_clients: u64,
    connected_sockets: u64,
    cluster_nodes: i64,
    #[serde(default)]
    topic_list: Vec<String>,
    #[serde(default)]
    active_topic_list: Vec<String>,
    implementation: Option<String>,
    /// Whether it serves alone because Redis is away.
    #[serde(default)]
    degraded: bool,
    #[serde(borrow)]
    counters: Option<&'a RawValue>,
}

/// Asks the worker and prints what it says.
pub(super) fn status(args: StatusArgs, path: Option<&Path>, env: Env<'_>) -> Result<(), String> {
    let settings = settings::load(path, env)?;
    let worker = settings.worker(args.internal).map_err(|error| error.to_string())?;
    let ask = async {
        if args.cluster { worker.nodes().await } else { worker.status(args.topics).await }
    };
    let answer = super::block_on(waiting::shown(worker.address(), ask))?;
    let answer = answer.map_err(|error| error.to_string())?;
    let address = worker.address();
    let document = std::str::from_utf8(&answer).ok();
    let summary = document.and_then(|text| match args.cluster {
        true => roster::table(text),
        false => summary(text, address, args.topics),
    });
    let (Some(document), Some(summary)) = (document, summary) else {
        return Err(format!(
            "{address} answers, but not with a worker's status: say where the worker is with --internal http://host:port"
        ));
    };
    match args.json {
        true => super::print(document).map(drop),
        false => super::print_painted(&summary).map(drop),
    }
}

/// `document` for a person; `None` if it is no status document.
fn summary(document: &str, address: &Address, topics: bool) -> Option<String> {
    let document: Document<'_> = serde_json::from_str(document).ok()?;
    let implementation = document.implementation.as_deref().unwrap_or("worker");
    let program = format!("{} {}", printable(implementation), printable(&document.version));
    let uptime = printable(&document.uptime);
    let mut text = format!("{} on {address}, up {uptime}\n\n", paint(STRONG, &program));
    let cluster = match document.cluster_nodes {
        _ if document.degraded => AWAY.to_owned(),
        -1 => "single node".to_owned(),
        nodes => nodes.to_string(),
    };
    append_table(
        &mut text,
        &[
            ("topics registered".to_owned(), document.registered_topics.to_string()),
            ("topics with subscribers".to_owned(), document.active_topics.to_string()),
            ("users connected".to_owned(), document.connected_clients.to_string()),
            ("sockets connected".to_owned(), document.connected_sockets.to_string()),
            (CLUSTER.to_owned(), cluster),
        ],
    );
    let counters = document.counters.map_or_else(Vec::new, |counters| moved(counters.get()));
    if !counters.is_empty() {
        text.push_str("\ncounters that are not zero\n");
        append_table(&mut text, &counters);
    }
    if topics {
        append_topics(&mut text, &document.topic_list, &document.active_topic_list);
    }
    Some(text)
}

/// The counters that are not zero, in the order of the document.
fn moved(counters: &str) -> Vec<(String, String)> {
    let mut moved = Vec::new();
    // The document has been read once, so this is an object or nothing to show.
    let _ = json::read_object(counters, Rest::Refused, |name, value| {
        if value != "0" {
            moved.push((printable(name), value.to_owned()));
        }
        Ok(())
    });
    moved
}

/// Names to the left, values to the right.
fn append_table(text: &mut String, rows: &[(String, String)]) {
    let width = |column: fn(&(String, String)) -> &String| {
        rows.iter().map(|row| column(row).chars().count()).max().unwrap_or(0)
    };
    let (names, values) = (width(|row| &row.0), width(|row| &row.1));
    for (name, value) in rows {
        let line = format!("  {name:names$}  {value:>values$}");
        text.push_str(&match name.as_str() {
            CLUSTER if value == AWAY => paint(BAD, &line),
            name if ASK_FOR_ACTION.contains(&name) => paint(ODD, &line),
            _ => line,
        });
        text.push('\n');
    }
}

/// The topics in alphabetical order, those with subscribers marked. One of these may have been
/// unregistered while somebody is still subscribed.
fn append_topics(text: &mut String, registered: &[String], active: &[String]) {
    let mut rows: Vec<(&String, char, &str)> = Vec::new();
    let active: BTreeSet<_> = active.iter().collect();
    let known: BTreeSet<_> = registered.iter().collect();
    for &topic in known.union(&active) {
        let mark = if active.contains(topic) { '*' } else { ' ' };
        let gone = if known.contains(topic) { "" } else { "  (not registered any more)" };
        rows.push((topic, mark, gone));
    }
    text.push_str("\ntopics (* has subscribers)\n");
    for (topic, mark, gone) in rows {
        let _ = writeln!(text, "{mark} {}{gone}", printable(topic));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOCUMENT: &str = r#"{"status":"ok","version":"0.4.0","uptime":"14m22s","uptime_seconds":862,"registered_topics":3,"active_topics":2,"connected_clients":5,"connected_sockets":12,"topic_list":["b","a\u001b[31m","worker.status"],"active_topic_list":["b","gone"],"cluster_nodes":-1,"implementation":"wavelog_worker (Rust)","counters":{"publishes":120,"flushes":0,"deliveries":4800}}"#;

    fn shown(document: &str, topics: bool) -> Option<String> {
        let painted = summary(document, &address::internal("http://h:9001").unwrap(), topics)?;
        Some(anstream::adapter::strip_str(&painted).to_string())
    }

    #[test]
    fn a_status_is_shown_as_an_aligned_table() {
        assert_eq!(
            shown(DOCUMENT, false).unwrap(),
            "wavelog_worker (Rust) 0.4.0 on h:9001, up 14m22s\n\n\
             \x20 topics registered                  3\n\
             \x20 topics with subscribers            2\n\
             \x20 users connected                    5\n\
             \x20 sockets connected                 12\n\
             \x20 cluster nodes            single node\n\
             \n\
             counters that are not zero\n\
             \x20 publishes    120\n\
             \x20 deliveries  4800\n"
        );
    }

    #[test]
    fn a_node_without_its_redis_is_not_taken_for_a_single_one() {
        let text =
            shown(&DOCUMENT.replace(r#""counters""#, r#""degraded":true,"counters""#), false);

        assert!(text.unwrap().contains("  cluster nodes            unknown, Redis is away\n"));
    }

    #[test]
    fn topics_are_listed_without_what_a_terminal_would_obey() {
        let text = shown(DOCUMENT, true).unwrap();

        assert!(text.ends_with(
            "topics (* has subscribers)\n  a\\u{1b}[31m\n* b\n* gone  (not registered any more)\n  worker.status\n"
        ));
    }

    #[test]
    fn a_document_of_the_original_worker_is_shown_too() {
        let text = shown(
            r#"{"status":"ok","version":"0.3.0","uptime":"1s","registered_topics":1,"active_topics":0,"connected_clients":0,"connected_sockets":0,"cluster_nodes":2}"#,
            false,
        )
        .unwrap();

        assert!(text.starts_with("worker 0.3.0 on h:9001, up 1s\n"));
        assert!(!text.contains("counters"));
    }

    #[test]
    fn what_is_no_status_is_not_shown() {
        for document in ["", "ok", "[]", r#"{"status":"ok"}"#] {
            assert_eq!(shown(document, false), None);
        }
    }
}
