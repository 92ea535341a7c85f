//! The roster of a cluster, as `status --cluster` shows it.
//!
//! Nodes of any version stand in it, so whatever a node does not say is a dash.

use std::fmt::Write;

use clap::builder::styling::Style;
use serde_json::Value;

use super::paint::{BAD, GOOD, STRONG, paint};
use super::printable;

/// Stands for what is not said.
const NOTHING: &str = "-";

/// The columns, and whether they hold figures, which stand to the right. In front of the first is
/// the mark of the node that was asked.
const COLUMNS: [(&str, bool); 7] = [
    ("NAME", false),
    ("VERSION", false),
    ("UPTIME", true),
    ("SOCKETS", true),
    ("TOPICS", true),
    ("LINK", false),
    ("ID", false),
];

/// `document`, the answer to `GET /internal/nodes`, for a person; `None` if it is no roster.
pub(super) fn table(document: &str) -> Option<String> {
    let document: Value = serde_json::from_str(document).ok()?;
    let nodes = document.get("nodes")?.as_array()?;
    let way = redis(document.get("redis"));
    let way = match way.as_str() {
        "up" => paint(GOOD, &way),
        away if away.starts_with("away") => paint(BAD, away),
        _ => way,
    };
    let mut text = format!("redis: {way}\n\n");
    // A node that is cut off from Redis hears of nobody, and cannot know who is dead.
    let hears = document.pointer("/redis/state").and_then(Value::as_str) != Some("away");
    let mut rows = vec![Row::head()];
    rows.extend(nodes.iter().map(|node| Row::of(node, hears)));
    let widths: Vec<usize> = (0..COLUMNS.len())
        .map(|column| rows.iter().map(|row| row.cells[column].chars().count()).max().unwrap_or(0))
        .collect();
    for row in &rows {
        let line = row.line(&widths);
        text.push_str(&row.style.map_or_else(|| line.clone(), |style| paint(style, &line)));
        text.push('\n');
    }
    text.push_str("\n* is the worker that was asked\n");
    Some(text)
}

/// One line of the table.
struct Row {
    mark: char,
    cells: [String; COLUMNS.len()],
    /// What stands behind.
    note: String,
    /// How it looks on a terminal.
    style: Option<Style>,
}

impl Row {
    fn head() -> Self {
        let cells = COLUMNS.map(|(name, _)| name.to_owned());
        Self { mark: ' ', cells, note: String::new(), style: Some(STRONG) }
    }

    fn of(node: &Value, hears: bool) -> Self {
        let cell = |name: &str| said(node.get(name));
        let uptime = match node.get("uptime_seconds").and_then(Value::as_u64) {
            Some(seconds) if node.get("uptime").is_none() => format!("{seconds}s"),
            _ => cell("uptime"),
        };
        let is = |name: &str, value: bool| node.get(name) == Some(&Value::Bool(value));
        let note = if is("alive", false) {
            let dead = if hears { "dead, " } else { "" };
            format!("  ({dead}last seen {})", cell("seen_at"))
        } else {
            String::new()
        };
        let is_lost = !note.is_empty() || matches!(&*cell("link"), "away" | "lost");
        Self {
            style: is_lost.then_some(BAD),
            mark: if is("self", true) { '*' } else { ' ' },
            cells: [
                cell("name"),
                cell("version"),
                uptime,
                cell("connected_sockets"),
                cell("active_topics"),
                cell("link"),
                cell("id"),
            ],
            note,
        }
    }

    fn line(&self, widths: &[usize]) -> String {
        let mut line = format!("{} ", self.mark);
        for ((cell, width), (_, to_the_right)) in self.cells.iter().zip(widths).zip(COLUMNS) {
            // A String takes everything.
            let _ = match to_the_right {
                true => write!(line, "{cell:>width$}  "),
                false => write!(line, "{cell:<width$}  "),
            };
        }
        let line = line.trim_end();
        format!("{line}{}", self.note)
    }
}

/// How the node that was asked is connected to Redis.
fn redis(redis: Option<&Value>) -> String {
    let Some(redis) = redis.filter(|redis| !redis.is_null()) else {
        return "none, this is a single node".to_owned();
    };
    let mut text = said(redis.get("state"));
    if text == "away" {
        if let Some(away_ms) = redis.get("away_ms").and_then(Value::as_u64) {
            let _ = write!(text, " for {} s", away_ms / 1000);
        }
        let error = said(redis.get("error"));
        if error != NOTHING {
            let _ = write!(text, " ({error})");
        }
    }
    text
}

/// A text or a number, without what a terminal would obey; a dash for anything else.
fn said(value: Option<&Value>) -> String {
    match value {
        Some(Value::String(text)) if !text.trim().is_empty() => printable(text),
        Some(Value::Number(number)) => number.to_string(),
        _ => NOTHING.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn node() -> Value {
        json!({
            "id": "0123456789abcdef", "name": "web1", "version": "0.4.0",
            "implementation": "wavelog_worker (Rust)", "uptime": "3m2s", "uptime_seconds": 182,
            "started_at": "2026-01-02T03:00:00Z", "seen_at": "2026-01-02T03:03:02Z",
            "active_topics": 1, "connected_clients": 1, "connected_sockets": 2,
            "alive": true, "link": "up", "self": true
        })
    }

    fn shown(redis: &Value, nodes: &[Value]) -> String {
        let painted = table(&json!({ "redis": redis, "nodes": nodes }).to_string()).unwrap();
        anstream::adapter::strip_str(&painted).to_string()
    }

    #[test]
    fn the_roster_is_an_aligned_table_with_the_asked_and_the_dead_marked() {
        let go = json!({
            "id": "f", "name": "a-long-name", "version": "0.3.0", "seen_at": "2026-01-02T03:02:00Z",
            "active_topics": 12, "connected_sockets": 12345, "alive": false, "uptime": "27h0m5s"
        });

        assert_eq!(
            shown(&json!({ "state": "up" }), &[node(), go]),
            "redis: up\n\n\
             \x20 NAME         VERSION   UPTIME  SOCKETS  TOPICS  LINK  ID\n\
             * web1         0.4.0       3m2s        2       1  up    0123456789abcdef\n\
             \x20 a-long-name  0.3.0    27h0m5s    12345      12  -     f  (dead, last seen 2026-01-02T03:02:00Z)\n\
             \n* is the worker that was asked\n"
        );
    }

    #[test]
    fn a_node_without_its_redis_calls_nobody_dead() {
        let other = json!({ "name": "b", "seen_at": "2026-01-02T03:02:00Z", "alive": false });

        let text = shown(&json!({ "state": "away" }), &[other]);

        assert!(text.contains("  (last seen 2026-01-02T03:02:00Z)\n"), "{text}");
    }

    #[test]
    fn the_way_to_redis_is_said() {
        for (redis, line) in [
            (json!(null), "redis: none, this is a single node"),
            (json!({ "state": "up", "away_ms": null, "error": null }), "redis: up"),
            (
                json!({ "state": "away", "away_ms": 12_345, "error": "connection refused" }),
                "redis: away for 12 s (connection refused)",
            ),
            (json!({ "state": "away" }), "redis: away"),
            (json!({}), "redis: -"),
        ] {
            assert_eq!(shown(&redis, &[]).lines().next(), Some(line));
        }
    }

    #[test]
    fn what_a_node_does_not_say_is_a_dash_and_what_it_should_not_say_is_harmless() {
        let strange =
            json!({ "name": "a\u{1b}[31m\nb", "uptime_seconds": 7, "link": ["up"], "x": 1 });

        let text = shown(&json!(null), &[strange, json!("no object")]);

        assert!(text.contains("\n  a\\u{1b}[31m\\nb  -            7s        -       -  -     -\n"));
        assert_eq!(text.lines().count(), 7, "{text}");
    }

    #[test]
    fn what_is_no_roster_is_not_shown() {
        for document in ["", "404 page not found", "[]", "{}", r#"{"nodes":1}"#] {
            assert_eq!(table(document), None, "{document}");
        }
    }
}
