//! Every metric as Prometheus sees it: name, type, help text and numbers, in the order of the page.
//!
//! docs/metrics.md has the same names and texts; a test holds the two together. `text` writes what
//! is listed here. Start reading at [`families`].

use super::process::ProcessFigures;
use super::{Counter, Metrics, Snapshot};

/// What is not counted but looked up when somebody asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Figures {
    /// The program's version.
    pub version: &'static str,
    /// Whether the node is of full use: alone, or with a Redis that answers.
    pub ready: bool,
    /// Browsers that are let in.
    pub sockets: usize,
    /// Different users among them.
    pub clients: usize,
    /// Topics that may be used.
    pub registered_topics: usize,
    /// Topics with a subscriber.
    pub active_topics: usize,
    /// `None` for a single node.
    pub cluster: Option<ClusterFigures>,
}

/// What there is to say of a node's part in a cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClusterFigures {
    /// Whether Redis answers.
    pub redis_up: bool,
    /// Nodes that listen, as last counted; `None` if Redis did not say.
    pub nodes: Option<u64>,
    /// Envelopes that wait for Redis.
    pub waiting_envelopes: usize,
    /// The memory that they take, in bytes.
    pub waiting_bytes: usize,
}

/// What a metric is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A number that only grows; its samples' names end in `_total`.
    Counter,
    /// A number that goes up and down.
    Gauge,
    /// Counts of durations.
    Histogram,
    /// Labels that say what this is; the number is 1, and the sample's name ends in `_info`.
    Info,
}

/// A metric with all its labels.
#[derive(Debug, Clone, PartialEq)]
pub struct Family {
    /// The name, without `_total` and `_info`.
    pub name: &'static str,
    /// What it is.
    pub kind: Kind,
    /// What it means, in one line.
    pub help: &'static str,
    /// Its numbers.
    pub samples: Vec<Sample>,
}

/// One number, or one histogram.
#[derive(Debug, Clone, PartialEq)]
pub enum Sample {
    /// A whole number.
    Whole(u64),
    /// A number of seconds.
    Seconds(f64),
    /// A whole number with a label: its name, its value, the number.
    Labelled(&'static str, &'static str, u64),
    /// Counts of durations.
    Durations(Box<Snapshot>),
}

impl Family {
    /// What the numbers are measured in, if they are not just counted.
    pub fn unit(&self) -> Option<&'static str> {
        ["seconds", "bytes"]
            .into_iter()
            .find(|unit| self.name.strip_suffix(unit).is_some_and(|rest| rest.ends_with('_')))
    }

    /// The name with what its type appends, as queries have it.
    pub fn full_name(&self) -> String {
        match self.kind {
            Kind::Counter => format!("{}_total", self.name),
            Kind::Info => format!("{}_info", self.name),
            Kind::Gauge | Kind::Histogram => self.name.to_owned(),
        }
    }

    /// The names of its labels, but for a histogram's `le`.
    pub fn label(&self) -> Option<&'static str> {
        match self.samples.first() {
            Some(Sample::Labelled(label, ..)) => Some(label),
            _ => None,
        }
    }
}

/// Everything there is to say, in the order of the page.
pub fn families(metrics: &Metrics, figures: &Figures, process: &ProcessFigures) -> Vec<Family> {
    sections(metrics, figures, process).into_iter().flat_map(|(_, families)| families).collect()
}

/// The same in the parts that docs/metrics.md has.
pub(super) fn sections(
    metrics: &Metrics,
    figures: &Figures,
    process: &ProcessFigures,
) -> [(&'static str, Vec<Family>); 5] {
    let part = |fill: &dyn Fn(&mut List)| {
        let mut list = List(Vec::new());
        fill(&mut list);
        list.0
    };
    [
        ("node", part(&|list| node(list, metrics, figures))),
        ("browsers", part(&|list| browsers(list, metrics))),
        ("delivery", part(&|list| delivery(list, metrics))),
        (
            "cluster",
            part(&|list| {
                if let Some(cluster) = &figures.cluster {
                    in_cluster(list, metrics, cluster);
                }
            }),
        ),
        ("process", part(&|list| process.list(list))),
    ]
}

/// What and who is there.
fn node(list: &mut List, metrics: &Metrics, figures: &Figures) {
    list.add(
        "worker_build",
        Kind::Info,
        "The version of the worker that runs.",
        vec![Sample::Labelled("version", figures.version, 1)],
    );
    list.gauge(
        "worker_ready",
        "1 if the node is of full use: alone, or with a Redis that answers; 0 \
         while it serves its own browsers only.",
        u64::from(figures.ready),
    );
    list.gauge(
        "worker_sockets",
        "Browsers that are let in now, each open page or tab once.",
        figures.sockets,
    );
    list.gauge(
        "worker_clients",
        "Different users among them; a browser without a user counts for itself.",
        figures.clients,
    );
    list.gauge(
        "worker_registered_topics",
        "Topics that PHP registered and whose time is not over.",
        figures.registered_topics,
    );
    list.gauge(
        "worker_active_topics",
        "Topics with at least one browser on this node.",
        figures.active_topics,
    );
    list.add(
        "worker_event_loop_turn_seconds",
        Kind::Histogram,
        "How long the thread that serves browsers was at work between two \
         waits; whatever a browser sends meanwhile waits so long.",
        durations(metrics.loop_lag.snapshot()),
    );
}

/// Browsers that come and go.
fn browsers(list: &mut List, metrics: &Metrics) {
    list.labelled(
        "worker_handshakes",
        "Requests for a WebSocket, by what became of them; those that were \
         upgraded have to log in next.",
        "result",
        metrics.handshakes.all(),
    );
    list.labelled(
        "worker_logins",
        "Browsers whose WebSocket was opened, by what became of their login.",
        "result",
        metrics.logins.all(),
    );
    list.labelled(
        "worker_auth_failures",
        "Logins that were refused, by reason.",
        "reason",
        metrics.auth_failures_by.all(),
    );
    list.counter(
        "worker_slow_closes",
        "Browsers closed with 4008 because they took less than was published.",
        &metrics.slow_closes,
    );
    list.counter(
        "worker_resync_closes",
        "Browsers closed with 4009 because they may have missed what another node published.",
        &metrics.resync_closes,
    );
    list.counter(
        "worker_dead_peers",
        "Browsers that were given up because nothing came from them, not even a pong.",
        &metrics.dead_peers,
    );
    list.counter(
        "worker_http_timeouts",
        "Connections ended, on either port, because a request did not come in \
         time or its answer was not taken.",
        &metrics.http_timeouts,
    );
    list.counter(
        "worker_session_wakeups",
        "Times the thread that serves browsers woke up for one that was let in; \
         deliveries do not wake it.",
        &metrics.session_wakeups,
    );
}

/// From PHP to browsers.
fn delivery(list: &mut List, metrics: &Metrics) {
    let mut publishes =
        vec![("ok", metrics.publishes.get()), ("busy", metrics.publishes_busy.get())];
    publishes.extend(metrics.publishes_refused.all());
    list.labelled(
        "worker_publishes",
        "Publishes that PHP asked for, by what became of them.",
        "result",
        publishes,
    );
    list.counter(
        "worker_forbidden",
        "Calls of the internal port without the right secret, publishes included.",
        &metrics.forbidden,
    );
    list.counter(
        "worker_deliveries",
        "Pushes handed to browsers' sockets: one publish to five sockets counts five.",
        &metrics.deliveries,
    );
    list.counter(
        "worker_delivered_bytes",
        "Bytes of the pushes handed to browsers' sockets, with their frames' headers.",
        &metrics.delivered_bytes,
    );
    list.add(
        "worker_refetches_estimate",
        Kind::Counter,
        "Estimate, from above, of the requests that pages make to PHP because \
         of pushes: one for each push to each page, and one for each page \
         closed with 4008 or 4009.",
        vec![Sample::Whole(metrics.refetches())],
    );
    list.add(
        "worker_fanout_duration_seconds",
        Kind::Histogram,
        "How long a round of pushes took, from the first subscriber's socket to \
         the last; a round is one publish to a topic, or several that came at \
         once.",
        durations(metrics.fanout.snapshot()),
    );
    list.add(
        "worker_delivery_delay_seconds",
        Kind::Histogram,
        "How long the oldest publish of a round took from when the worker had \
         read it to when every subscriber's socket had its turn; one \
         observation a round.",
        durations(metrics.delivery_delay.snapshot()),
    );
    list.gauge(
        "worker_backlog_bytes",
        "Bytes that wait now for browsers that do not take them.",
        metrics.backlog_bytes.get(),
    );
    list.add(
        "worker_backlog_duration_seconds",
        Kind::Histogram,
        "How long something waited for one slow browser, until it had taken \
         everything or was closed.",
        durations(metrics.backlog_time.snapshot()),
    );
    list.counter(
        "worker_flushes",
        "Times a browser's socket did not take a write whole, so that the rest had to wait.",
        &metrics.flushes,
    );
}

/// What has to do with other nodes.
fn in_cluster(list: &mut List, metrics: &Metrics, cluster: &ClusterFigures) {
    list.gauge(
        "worker_redis_up",
        "1 if Redis answers, 0 while it is away; only with redis_url.",
        u64::from(cluster.redis_up),
    );
    list.add(
        "worker_cluster_nodes",
        Kind::Gauge,
        "Nodes of the cluster that listen to Redis, this one included; absent \
         while Redis does not say.",
        cluster.nodes.map(Sample::Whole).into_iter().collect(),
    );
    list.gauge(
        "worker_redis_queue_envelopes",
        "Events for the other nodes that wait for Redis now.",
        cluster.waiting_envelopes,
    );
    list.gauge("worker_redis_queue_bytes", "Memory that these events take.", cluster.waiting_bytes);
    for (name, help, counter) in [
        (
            "worker_redis_reconnects",
            "Connections to Redis that took the place of another.",
            &metrics.redis_reconnects,
        ),
        (
            "worker_redis_away",
            "Times that Redis was away for more than 500 ms.",
            &metrics.redis_away,
        ),
        (
            "worker_gaps",
            "Times that browsers may have missed something that another node published.",
            &metrics.gaps,
        ),
        (
            "worker_envelopes_sent",
            "Events that Redis took from this node.",
            &metrics.envelopes_sent,
        ),
        (
            "worker_envelopes_received",
            "Events that came from Redis, this node's own ones included.",
            &metrics.envelopes_received,
        ),
        (
            "worker_envelopes_skipped",
            "Events from Redis that could not be read.",
            &metrics.envelopes_skipped,
        ),
        (
            "worker_envelopes_duplicate",
            "Events from Redis that had come before and were not delivered again.",
            &metrics.envelopes_duplicate,
        ),
        (
            "worker_envelopes_dropped",
            "Events that waited too long for Redis, or were too many; the other \
         nodes never got them.",
            &metrics.envelopes_dropped,
        ),
        (
            "worker_envelopes_missed",
            "Events of other nodes that are known to be missing here.",
            &metrics.envelopes_missed,
        ),
        (
            "worker_registry_asks",
            "Times that Redis was asked about one topic.",
            &metrics.registry_asks,
        ),
        (
            "worker_registry_ask_timeouts",
            "Times that somebody waited 100 ms for such an answer in vain.",
            &metrics.registry_ask_timeouts,
        ),
        (
            "worker_registry_writes",
            "Registrations and unregistrations that Redis carried out for this node.",
            &metrics.registry_writes,
        ),
        (
            "worker_registry_dropped",
            "Topics that were forgotten because Redis did not have them any more.",
            &metrics.registry_dropped,
        ),
    ] {
        list.counter(name, help, counter);
    }
}

fn durations(snapshot: Snapshot) -> Vec<Sample> {
    vec![Sample::Durations(Box::new(snapshot))]
}

/// Families, one after the other.
pub(super) struct List(Vec<Family>);

impl List {
    pub(super) fn add(
        &mut self,
        name: &'static str,
        kind: Kind,
        help: &'static str,
        samples: Vec<Sample>,
    ) {
        self.0.push(Family { name, kind, help, samples });
    }

    fn counter(&mut self, name: &'static str, help: &'static str, counter: &Counter) {
        self.add(name, Kind::Counter, help, vec![Sample::Whole(counter.get())]);
    }

    fn gauge(&mut self, name: &'static str, help: &'static str, number: impl TryInto<u64>) {
        let number = number.try_into().unwrap_or(u64::MAX);
        self.add(name, Kind::Gauge, help, vec![Sample::Whole(number)]);
    }

    fn labelled(
        &mut self,
        name: &'static str,
        help: &'static str,
        label: &'static str,
        numbers: Vec<(&'static str, u64)>,
    ) {
        let sample = |(value, number)| Sample::Labelled(label, value, number);
        self.add(name, Kind::Counter, help, numbers.into_iter().map(sample).collect());
    }
}
