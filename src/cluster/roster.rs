//! Who is in the cluster: the entries of the hash `nodes`, ours and those of Go nodes.
//!
//! An entry says what a node said of itself and when. Whether that node lives is judged by this
//! node's own clock, from when its entry last changed, because clocks of machines differ. Pure:
//! time is an argument. Start reading at [`Roster::read`].

use std::collections::HashMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::status::IMPLEMENTATION;

/// Silence after which a node counts as dead.
pub const DEAD_AFTER_MS: u64 = 15_000;

/// Silence after which the entry of a dead node is removed.
const REMOVED_AFTER_MS: u64 = 15 * 60 * 1000;

/// What a node says of itself: the keys of the original worker in its order, then ours.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Entry {
    /// Its id, which its envelopes have as their origin.
    pub id: String,
    /// Its name: the host's, usually.
    pub name: String,
    /// The version of its program.
    pub version: String,
    /// RFC 3339.
    pub started_at: String,
    /// RFC 3339.
    pub seen_at: String,
    /// Topics with a subscriber.
    pub active_topics: u64,
    /// Different users.
    pub connected_clients: u64,
    /// Authenticated sockets.
    pub connected_sockets: u64,
    /// Whether it lives, as it said itself.
    pub alive: bool,
    /// A Go duration.
    pub uptime: String,
    /// Whole seconds.
    pub uptime_seconds: u64,
    /// What program it is; a Go node does not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub implementation: Option<String>,
}

/// The entry of a node whose hash field holds something else.
impl Default for Entry {
    fn default() -> Self {
        Self {
            id: String::new(),
            name: String::new(),
            version: String::new(),
            started_at: String::new(),
            seen_at: String::new(),
            active_topics: 0,
            connected_clients: 0,
            connected_sockets: 0,
            alive: false,
            uptime: "0s".to_owned(),
            uptime_seconds: 0,
            implementation: None,
        }
    }
}

impl Entry {
    /// Whether it is a node of this implementation.
    pub fn is_ours(&self) -> bool {
        self.implementation.as_deref() == Some(IMPLEMENTATION)
    }
}

/// The roster as it was last read.
#[derive(Debug, Default)]
pub struct Roster {
    nodes: HashMap<String, Known>,
}

#[derive(Debug)]
struct Known {
    entry: Entry,
    /// When its entry last changed, by this node's clock; may lie before the clock's start.
    changed_ms: i64,
}

impl Roster {
    /// Takes what the hash holds: id and text of each. Returns the ids whose entries are to be
    /// removed: dead for 15 minutes, or dead while a living node has the same name. What cannot be
    /// read is left alone: it may be of a version to come.
    pub fn read(
        &mut self,
        hash: Vec<(String, String)>,
        wall: Timestamp,
        now_ms: u64,
    ) -> Vec<String> {
        let now = i64::try_from(now_ms).unwrap_or(i64::MAX);
        let mut nodes = HashMap::with_capacity(hash.len());
        let mut gone = Vec::new();
        for (id, text) in hash {
            let Ok(entry) = serde_json::from_str::<Entry>(&text) else {
                continue;
            };
            let changed_ms = match self.nodes.get(&id) {
                Some(known) if known.entry.seen_at == entry.seen_at => known.changed_ms,
                Some(_) => now,
                None => now.saturating_sub(wall_age_ms(&entry, wall)),
            };
            nodes.insert(id, Known { entry, changed_ms });
        }
        self.nodes = nodes;
        for (id, known) in &self.nodes {
            let age_ms = known.age_ms(now_ms);
            let has_heir = age_ms > DEAD_AFTER_MS
                && self.nodes.values().any(|other| {
                    other.entry.name == known.entry.name && other.age_ms(now_ms) <= DEAD_AFTER_MS
                });
            if age_ms > REMOVED_AFTER_MS || has_heir {
                gone.push(id.clone());
            }
        }
        for id in &gone {
            self.nodes.remove(id);
        }
        gone
    }

    /// Every node: its entry, and the milliseconds since it changed.
    pub fn nodes(&self, now_ms: u64) -> impl Iterator<Item = (&str, &Entry, u64)> {
        self.nodes.iter().map(move |(id, known)| (id.as_str(), &known.entry, known.age_ms(now_ms)))
    }

    /// How many nodes of ours live.
    pub fn ours_alive(&self, now_ms: u64) -> usize {
        let alive = |known: &&Known| known.entry.is_ours() && known.age_ms(now_ms) <= DEAD_AFTER_MS;
        self.nodes.values().filter(alive).count()
    }

    /// Whether a node that is not ours was there within the last `within_ms`.
    pub fn has_go(&self, within_ms: u64, now_ms: u64) -> bool {
        self.nodes.values().any(|known| !known.entry.is_ours() && known.age_ms(now_ms) <= within_ms)
    }
}

impl Known {
    fn age_ms(&self, now_ms: u64) -> u64 {
        let now = i64::try_from(now_ms).unwrap_or(i64::MAX);
        u64::try_from(now.saturating_sub(self.changed_ms)).unwrap_or(0)
    }
}

/// How old an entry is by the wall clocks of both machines; 0 if it cannot be told.
fn wall_age_ms(entry: &Entry, wall: Timestamp) -> i64 {
    let seen = entry.seen_at.parse::<Timestamp>();
    seen.map_or(0, |seen| (wall.as_millisecond() - seen.as_millisecond()).max(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GO: &str = r#"{"id":"f4e35a69fbc7b840","name":"vm","version":"0.3.0","started_at":"2026-11-22T12:48:24.676533782Z","seen_at":"2026-11-22T12:48:24.676678816Z","active_topics":0,"connected_clients":0,"connected_sockets":0,"alive":true,"uptime":"0s","uptime_seconds":0}"#;

    fn wall(seconds: i64) -> Timestamp {
        let seen: Timestamp = "2026-11-22T12:48:24Z".parse().unwrap();
        Timestamp::from_second(seen.as_second() + seconds).unwrap()
    }

    fn entry(id: &str, name: &str, seen: i64) -> (String, String) {
        let entry = Entry {
            id: id.into(),
            name: name.into(),
            seen_at: wall(seen).to_string(),
            implementation: Some(IMPLEMENTATION.into()),
            ..Entry::default()
        };
        (id.into(), serde_json::to_string(&entry).unwrap())
    }

    #[test]
    fn an_entry_of_a_go_node_is_read_and_written_as_it_was() {
        let mut entry: Entry = serde_json::from_str(GO).unwrap();

        assert!(!entry.is_ours());
        assert_eq!(serde_json::to_string(&entry).unwrap(), GO);
        entry.implementation = Some(IMPLEMENTATION.into());
        assert!(serde_json::to_string(&entry).unwrap().starts_with(&GO[..GO.len() - 1]));
    }

    #[test]
    fn a_node_lives_as_long_as_its_entry_changes_whatever_its_clock_says() {
        let mut roster = Roster::default();

        roster.read(vec![entry("slow clock", "a", -600)], wall(0), 1_000_000);
        assert_eq!(roster.ours_alive(1_000_000), 0);
        roster.read(vec![entry("slow clock", "a", -595)], wall(5), 1_005_000);
        assert_eq!(roster.ours_alive(1_005_000), 1);
        roster.read(vec![entry("slow clock", "a", -595)], wall(25), 1_025_000);
        assert_eq!(roster.ours_alive(1_025_000), 0);
    }

    #[test]
    fn a_dead_entry_goes_after_a_while_or_when_its_name_lives_again() {
        let mut roster = Roster::default();
        let hash = vec![
            entry("old", "host", -20),
            entry("new", "host", 0),
            entry("dead", "other", -20),
            entry("long dead", "third", -901),
            ("broken".to_owned(), "{".to_owned()),
        ];

        let mut gone = roster.read(hash, wall(0), 5);

        gone.sort();
        assert_eq!(gone, ["long dead", "old"]);
        assert_eq!(roster.nodes(5).count(), 2);
    }

    #[test]
    fn a_go_node_is_known_by_what_its_entry_lacks() {
        let mut roster = Roster::default();
        roster.read(vec![("g".to_owned(), GO.to_owned()), entry("a", "a", 0)], wall(0), 0);

        assert!(roster.has_go(1000, 0));
        assert!(!roster.has_go(1000, 2000));
        assert_eq!(roster.ours_alive(0), 1);
    }
}
