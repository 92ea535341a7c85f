//! The status document: the same for the internal API, the status feed and the shell.
//!
//! Its keys, their order and their form are compatible to the byte (docs/protocol.md, "Status").

use std::time::Duration;

use serde::Serialize;

use crate::metrics::Metrics;

/// This program's version.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// What program this is, where the original worker says nothing.
pub const IMPLEMENTATION: &str = "wavelog_worker (Rust)";

/// What a node says of itself. Absent fields are left out.
#[derive(Debug, Serialize)]
pub struct Status<'a> {
    status: &'static str,
    version: &'static str,
    uptime: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    uptime_seconds: Option<u64>,
    registered_topics: usize,
    active_topics: usize,
    connected_clients: usize,
    connected_sockets: usize,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    topic_list: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    active_topic_list: Vec<String>,
    cluster_nodes: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    implementation: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    degraded: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    redis: Option<serde_json::Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    waiting_for_redis_bytes: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    counters: Option<&'a Metrics>,
}

/// The figures of a status document.
#[derive(Debug, Clone, Copy)]
pub struct Figures {
    /// Time since the node started.
    pub uptime: Duration,
    /// Topics that may be used.
    pub registered_topics: usize,
    /// Topics with a subscriber.
    pub active_topics: usize,
    /// Different users.
    pub connected_clients: usize,
    /// Authenticated sockets.
    pub connected_sockets: usize,
    /// Subscribers of the cluster's channel; -1 for a single node, or if Redis does not answer.
    pub cluster_nodes: i64,
}

impl<'a> Status<'a> {
    /// The plain document.
    pub fn new(figures: Figures) -> Self {
        Self {
            status: "ok",
            version: VERSION,
            uptime: go_uptime(figures.uptime),
            uptime_seconds: None,
            registered_topics: figures.registered_topics,
            active_topics: figures.active_topics,
            connected_clients: figures.connected_clients,
            connected_sockets: figures.connected_sockets,
            topic_list: Vec::new(),
            active_topic_list: Vec::new(),
            cluster_nodes: figures.cluster_nodes,
            implementation: None,
            counters: None,
            degraded: None,
            redis: None,
            waiting_for_redis_bytes: None,
        }
    }

    /// Adds `uptime_seconds`, as the status feed has it.
    #[must_use]
    pub fn with_uptime_seconds(mut self, uptime: Duration) -> Self {
        self.uptime_seconds = Some(rounded_seconds(uptime));
        self
    }

    /// Adds the names of topics.
    #[must_use]
    pub fn with_topics(mut self, registered: Vec<String>, active: Vec<String>) -> Self {
        self.topic_list = registered;
        self.active_topic_list = active;
        self
    }

    /// Adds what the original worker does not have.
    #[must_use]
    pub fn with_counters(mut self, metrics: &'a Metrics) -> Self {
        self.implementation = Some(IMPLEMENTATION);
        self.counters = Some(metrics);
        self
    }

    /// Adds whether the node serves alone, how its way to Redis is, and how much waits for that.
    #[must_use]
    pub fn with_redis(
        mut self,
        degraded: bool,
        link: &impl Serialize,
        waiting_bytes: usize,
    ) -> Self {
        self.degraded = Some(degraded);
        self.redis = serde_json::to_value(link).ok();
        self.waiting_for_redis_bytes = Some(waiting_bytes);
        self
    }

    /// The document as compact JSON.
    pub fn to_json(&self) -> String {
        // Strings, numbers and lists of them: nothing here can fail to serialize.
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// `uptime` as Go writes a duration rounded to seconds: `59s`, `1m0s`, `27h0m5s`.
pub fn go_uptime(uptime: Duration) -> String {
    let seconds = rounded_seconds(uptime);
    let (hours, minutes, rest) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    match (hours, minutes) {
        (0, 0) => format!("{rest}s"),
        (0, _) => format!("{minutes}m{rest}s"),
        _ => format!("{hours}h{minutes}m{rest}s"),
    }
}

/// `uptime` rounded to whole seconds.
pub fn rounded_seconds(uptime: Duration) -> u64 {
    uptime.saturating_add(Duration::from_millis(500)).as_secs()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures() -> Figures {
        Figures {
            uptime: Duration::from_secs(3),
            registered_topics: 3,
            active_topics: 1,
            connected_clients: 1,
            connected_sockets: 2,
            cluster_nodes: -1,
        }
    }

    #[test]
    fn uptime_is_written_as_go_does() {
        for (seconds, text) in [
            (0, "0s"),
            (59, "59s"),
            (60, "1m0s"),
            (3600, "1h0m0s"),
            (12_120, "3h22m0s"),
            (97_205, "27h0m5s"),
        ] {
            assert_eq!(go_uptime(Duration::from_secs(seconds)), text);
        }
        assert_eq!(go_uptime(Duration::from_millis(1_500)), "2s");
    }

    #[test]
    fn the_keys_stand_in_their_order() {
        let json = Status::new(figures()).to_json();
        let expected = format!(
            r#"{{"status":"ok","version":"{VERSION}","uptime":"3s","registered_topics":3,"active_topics":1,"connected_clients":1,"connected_sockets":2,"cluster_nodes":-1}}"#
        );
        assert_eq!(json, expected);
    }

    #[test]
    fn lists_stand_before_cluster_nodes_and_are_left_out_if_empty() {
        let json = Status::new(figures()).with_topics(vec!["a\"b".into()], vec![]).to_json();
        assert!(json.contains(r#""connected_sockets":2,"topic_list":["a\"b"],"cluster_nodes":-1"#));
        assert!(!json.contains("active_topic_list"));
    }
}
