//! The figures of the live view: sampled once a second, and put together when the page asks.
//!
//! Start reading at [`Live::tick`] and [`Live::state`].

use std::sync::Arc;

use serde::Serialize;

use super::super::Answer;
use super::Live;
use super::answer::{self, Refusal};
use super::history::{Counted, History, Level, Samples};
use super::verbs::number;
use crate::broker::look::{Member, RedisSeen, Sort, TopicsAsked, TopicsSeen, Totals};
use crate::clock::unix_now_us;
use crate::metrics::{ProcessFigures, Snapshot};
use crate::problems::{Kind, Problem};
use crate::protocol::query;
use crate::status::VERSION;

/// Topics that are shown if it is not said how many, and at most.
const TOPICS: u64 = 100;
const MOST_TOPICS: u64 = 500;

/// Bytes of a search. A name that is longer is found by its beginning alone.
const SEARCH_BYTES: usize = 1024;

/// How long the event loop may be at work between two waits. It is the bound of a bucket.
const LATE_US: u64 = 250_000;

/// How long what the system said of this process is believed, in milliseconds.
const PROCESS_MS: u64 = 5000;

/// What is kept between two looks.
#[derive(Debug, Default)]
pub(super) struct Watched {
    history: History,
    /// How the way to Redis is, and since when, in Unix milliseconds.
    redis: Option<(&'static str, u64)>,
    /// What the system said of this process, and when.
    process: Option<(u64, ProcessFigures)>,
}

/// The document.
#[derive(Serialize)]
struct State {
    now: u64,
    node: Node,
    nodes: Vec<Member>,
    redis: Option<Redis>,
    totals: Figures,
    samples: Samples,
    problems: Vec<Problem>,
    #[serde(skip_serializing_if = "Option::is_none")]
    topics: Option<TopicsSeen>,
}

#[derive(Serialize)]
struct Node {
    id: String,
    name: String,
    version: &'static str,
    started_at: u64,
    uptime_seconds: u64,
    ready: bool,
    draining: bool,
}

#[derive(Serialize)]
struct Redis {
    state: &'static str,
    url: String,
    since: u64,
    waiting_bytes: usize,
    queue: usize,
    error: Option<String>,
}

#[derive(Serialize)]
struct Figures {
    sockets: usize,
    clients: usize,
    registered_topics: usize,
    active_topics: usize,
    backlog_bytes: u64,
    publishes: u64,
    deliveries: u64,
    refetches: u64,
    memory_bytes: Option<u64>,
    open_files: Option<u64>,
    max_files: Option<u64>,
}

impl Live {
    /// Takes a sample, and ends what nobody looks at any more; to be called every second. Takes
    /// some microseconds.
    pub fn tick(&self) {
        let context = &self.context;
        let metrics = &context.metrics;
        context.broker.taps().tidy();
        metrics.problems.counted(Kind::HttpTimeout, metrics.http_timeouts.get());
        metrics.problems.counted(Kind::DeadPeer, metrics.dead_peers.get());
        let redis = context.broker.redis();
        let counted = Counted {
            publishes: metrics.publishes.get(),
            deliveries: metrics.deliveries.get(),
            delay: metrics.delivery_delay.snapshot(),
            lag: metrics.loop_lag.snapshot(),
        };
        let level = Level {
            at: unix_ms(),
            sockets: context.broker.sockets(),
            backlog_bytes: metrics.backlog_bytes.get(),
        };
        let lag = {
            let mut watched = self.watched.lock();
            if let Some(redis) = &redis {
                watched.redis_is(redis, level.at);
            }
            watched.history.add(context.clock.now_ms(), counted, level)
        };
        let late = lag.map_or(0, |lag| longer_than(&lag, LATE_US));
        if late > 0 {
            let longest = lag.and_then(|lag| lag.quantile(1.0)).unwrap_or_default().as_millis();
            let detail = || format!("up to {longest} ms");
            metrics.problems.note_times(Kind::LoopLate, late, detail);
        }
    }

    /// The figures, with the topics if `query` asks for them.
    pub(super) async fn state(&self, query: &str) -> Result<Answer, Refusal> {
        let topics = match query::first(query, "topics") {
            Some(asked) if asked == b"1" => Some(self.topics(topics_asked(query)).await?),
            _ => None,
        };
        let context = &self.context;
        let process = self.process().await;
        let broker = &context.broker;
        let metrics = &context.metrics;
        let now = unix_ms();
        let nodes = broker.members();
        let uptime = context.clock.uptime();
        let this = nodes.iter().find(|node| node.is_this);
        let node = Node {
            id: this.map(|node| node.id.clone()).unwrap_or_default(),
            name: this.map(|node| node.name.clone()).unwrap_or_default(),
            version: VERSION,
            started_at: now.saturating_sub(context.clock.now_ms()),
            uptime_seconds: uptime.as_secs(),
            ready: broker.is_ready(),
            draining: context.shutdown.stopping.is_cancelled(),
        };
        let Totals { registered_topics, active_topics, clients, sockets } = broker.totals();
        let totals = Figures {
            sockets,
            clients,
            registered_topics,
            active_topics,
            backlog_bytes: metrics.backlog_bytes.get(),
            publishes: metrics.publishes.get(),
            deliveries: metrics.deliveries.get(),
            refetches: metrics.refetches(),
            memory_bytes: process.resident_bytes,
            open_files: process.open_fds,
            max_files: process.max_fds,
        };
        let redis = broker.redis();
        let (redis, samples) = {
            let mut watched = self.watched.lock();
            let redis = redis.map(|seen| watched.redis(seen, now));
            (redis, watched.history.after(number(query, "after").unwrap_or(0)))
        };
        let problems = metrics.problems.list();
        Ok(answer::json(&State { now, node, nodes, redis, totals, samples, problems, topics }))
    }

    /// What the system says of this process, not older than some seconds. To ask takes a moment for
    /// each open file, so it is done off the threads that serve PHP.
    async fn process(&self) -> ProcessFigures {
        let now_ms = self.context.clock.now_ms();
        let known = self.watched.lock().process;
        if let Some((_, figures)) = known.filter(|(at_ms, _)| now_ms < at_ms + PROCESS_MS) {
            return figures;
        }
        let figures = self.runtime.spawn_blocking(ProcessFigures::read).await.unwrap_or_default();
        self.watched.lock().process = Some((now_ms, figures));
        figures
    }

    /// Lists topics, off the threads that serve PHP.
    async fn topics(&self, asked: TopicsAsked) -> Result<TopicsSeen, Refusal> {
        let turn = Arc::clone(&self.listing).acquire_owned().await.map_err(|_| Refusal::Ending)?;
        let broker = Arc::clone(&self.context.broker);
        let listed = self.runtime.spawn_blocking(move || {
            // Here, because the list goes on when whoever asked for it has gone.
            let _turn = turn;
            broker.topics(&asked)
        });
        listed.await.map_err(|_| Refusal::Ending)
    }
}

impl Watched {
    /// Takes note of how the way to Redis is.
    fn redis_is(&mut self, seen: &RedisSeen, now: u64) -> (&'static str, u64) {
        let state = match seen {
            RedisSeen { is_up: true, .. } => "up",
            // It was not tried in vain yet.
            RedisSeen { error: None, .. } => "connecting",
            _ => "away",
        };
        match self.redis {
            Some((known, since)) if known == state => (known, since),
            _ => {
                let since = now.saturating_sub(seen.away_ms.unwrap_or(0));
                *self.redis.insert((state, since))
            }
        }
    }

    fn redis(&mut self, seen: RedisSeen, now: u64) -> Redis {
        let (state, since) = self.redis_is(&seen, now);
        Redis {
            state,
            url: seen.url,
            since,
            waiting_bytes: seen.waiting_bytes,
            queue: seen.waiting,
            error: seen.error,
        }
    }
}

/// How many took longer than `bound_us`, which is the bound of a bucket.
fn longer_than(times: &Snapshot, bound_us: u64) -> u64 {
    let within = times.cumulative().filter(|(us, _)| *us <= bound_us).last();
    times.count() - within.map_or(0, |(_, count)| count)
}

fn topics_asked(query: &str) -> TopicsAsked {
    let text = |name| {
        let value = query::first(query, name).unwrap_or_default();
        String::from_utf8_lossy(&value[..value.len().min(SEARCH_BYTES)]).into_owned()
    };
    let sort = match &*text("sort") {
        "topic" => Sort::Topic,
        "rate" => Sort::Rate,
        _ => Sort::Subscribers,
    };
    let descending = match &*text("order") {
        "asc" => false,
        "desc" => true,
        _ => sort != Sort::Topic,
    };
    let limit = number(query, "limit").unwrap_or(TOPICS).min(MOST_TOPICS) as usize;
    TopicsAsked { search: text("search"), sort, descending, limit }
}

fn unix_ms() -> u64 {
    u64::try_from(unix_now_us() / 1000).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Histogram;

    #[test]
    fn what_took_longer_than_a_bound_is_counted() {
        let histogram = Histogram::default();
        for us in [10, LATE_US, LATE_US + 1, 60_000_000] {
            histogram.observe_us(us);
        }

        assert_eq!(longer_than(&histogram.snapshot(), LATE_US), 2);
        assert_eq!(longer_than(&Histogram::default().snapshot(), LATE_US), 0);
    }

    #[test]
    fn topics_are_asked_for_with_bounds() {
        let asked = topics_asked("topics=1&search=%C3%84b&sort=rate&order=asc&limit=100000");
        assert_eq!((asked.search.as_str(), asked.sort), ("Äb", Sort::Rate));
        assert_eq!((asked.descending, asked.limit), (false, 500));

        let asked = topics_asked("topics=1");
        assert_eq!((asked.sort, asked.descending, asked.limit), (Sort::Subscribers, true, 100));
        assert!(!topics_asked("sort=topic").descending);
        let long = format!("search={}", "x".repeat(100_000));
        assert_eq!(topics_asked(&long).search.len(), SEARCH_BYTES);
    }

    #[test]
    fn the_way_to_redis_has_a_state_since_a_moment() {
        let mut watched = Watched::default();
        let mut seen = RedisSeen {
            is_up: false,
            url: "redis://h:6379/0".to_owned(),
            away_ms: Some(500),
            error: None,
            waiting_bytes: 0,
            waiting: 0,
        };

        assert_eq!(watched.redis_is(&seen, 10_000), ("connecting", 9_500));
        seen.error = Some("connection refused".to_owned());
        assert_eq!(watched.redis_is(&seen, 11_000), ("away", 10_500));
        assert_eq!(watched.redis_is(&seen, 12_000), ("away", 10_500));
        (seen.is_up, seen.away_ms) = (true, None);
        assert_eq!(watched.redis_is(&seen, 13_000), ("up", 13_000));
    }
}
