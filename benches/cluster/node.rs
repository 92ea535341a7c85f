//! What a node pays for what others publish, and what its own browsers and PHP notice of it.
//!
//! A worker with 10,000 topics, one socket on each. Envelopes come by a real Redis from a node that
//! is not there; meanwhile PHP publishes to a small topic and browsers come. What these cost is
//! known from a quiet round and taken away.

use std::sync::Arc;
use std::time::Duration;
use std::{fmt, thread};

use wavelog_worker::bench::herd::{Batch, Group, Herd, Settings};
use wavelog_worker::bench::moment::{in_seconds, now_ns, sleep_until};
use wavelog_worker::bench::publisher::{Pace, Publisher, register};
use wavelog_worker::bench::target::Target;
use wavelog_worker::bench::topics::Topics;
use wavelog_worker::bench::window::Window;
use wavelog_worker::process::Process;

use super::server::{Node, PATIENCE, Redis, text};
use super::source::{Audience, Source};
use super::{PAYLOAD_BYTES, ROUNDS, median};

/// Topics with one socket each.
const TOPICS: usize = 10_000;

/// The topic that PHP publishes to here, and its sockets; and that of browsers that come.
const LOCAL: usize = TOPICS;
const LOCAL_SOCKETS: usize = 5;
const LATER: usize = TOPICS + 1;

/// Publishes and handshakes in a second beside the envelopes.
const LOCAL_RATE: f64 = 100.0;
const HANDSHAKE_PAUSE: Duration = Duration::from_millis(20);

/// Envelopes in a second, and how long.
const RATE: u64 = 50_000;
const SECONDS: u64 = 4;

/// Publishes in a second when PHP publishes here, at a modest pace, one by one; and how many of it
/// publish at once when it is as fast as can be. How long that goes on.
const OUT_RATE: f64 = 1_000.0;
const OUT_CONNECTIONS: usize = 4;
const OUT_SECONDS: u64 = 2;

/// What a round found.
#[derive(Debug, Clone, Copy)]
struct Phase {
    envelopes: u64,
    seconds: f64,
    cpu_ns: u64,
    answer_p99_ns: u64,
    delivery_p99_ns: u64,
    handshake_p99_ns: u64,
}

/// What all rounds found.
#[derive(Debug, Default)]
pub struct Figures {
    quiet: Vec<Phase>,
    nobody: Vec<Phase>,
    one: Vec<Phase>,
    paced: Vec<Out>,
    busy: Vec<Out>,
    paced_alone: Vec<Out>,
    busy_alone: Vec<Out>,
}

/// What publishes on the node itself cost that nobody is subscribed to.
#[derive(Debug, Clone, Copy)]
struct Out {
    count: u64,
    rate: f64,
    node_us: f64,
    redis_us: f64,
}

/// Everything that runs.
struct Stage {
    redis: Redis,
    target: Target,
    topics: Arc<Topics>,
    herd: Herd,
    source: Source,
    _node: Node,
}

/// Measures it.
pub fn measure() -> Result<Figures, String> {
    let mut stage = Stage::set()?;
    let alone = Node::start(None)?;
    register(&alone.target(), &stage.topics)?;
    let mut figures = Figures::default();
    for _ in 0..ROUNDS {
        figures.quiet.push(stage.phase(None)?);
        figures.nobody.push(stage.phase(Some(Audience::Nobody))?);
        figures.one.push(stage.phase(Some(Audience::First(TOPICS)))?);
        figures.paced.push(stage.publish_here(1, Some(OUT_RATE))?);
        figures.busy.push(stage.publish_here(OUT_CONNECTIONS, None)?);
        let (target, topics) = (alone.target(), &stage.topics);
        figures.paced_alone.push(publish(&target, topics, 1, Some(OUT_RATE))?);
        figures.busy_alone.push(publish(&target, topics, OUT_CONNECTIONS, None)?);
    }
    let faults = stage.herd.finish()?.faults;
    if faults.total() > 0 {
        return Err(format!("frames were not as they were published: {faults:?}"));
    }
    Ok(figures)
}

impl Stage {
    fn set() -> Result<Self, String> {
        let redis = Redis::start()?;
        let node = Node::start(Some(&redis))?;
        let target = node.target();
        let topics = Arc::new(Topics::fresh(TOPICS + 2));
        register(&target, &topics)?;
        let herd = start_herd(&target, &topics, &Arc::new(Window::default()))?;
        herd.connect(Batch::of(Group::Steady, 0..TOPICS, TOPICS));
        if !herd.shared().settled.wait(TOPICS as u64, PATIENCE, |_| {})
            || herd.shared().open(Group::Steady) != TOPICS as u64
        {
            let trouble = herd.shared().trouble().unwrap_or_default();
            return Err(format!("not all sockets came in: {trouble}"));
        }
        let source = Source::connect(&redis, &topics)?;
        Ok(Self { redis, target, topics, herd, source, _node: node })
    }

    /// One round, with envelopes for `audience` or without any.
    fn phase(&mut self, audience: Option<Audience>) -> Result<Phase, String> {
        let window = Arc::new(Window::default());
        let local = start_herd(&self.target, &self.topics, &window)?;
        local.connect(Batch::of(Group::Steady, LOCAL..LOCAL + 1, LOCAL_SOCKETS));
        local.shared().settled.wait(LOCAL_SOCKETS as u64, PATIENCE, |_| {});
        let mut publisher = Publisher::open(&self.target, 0, &self.topics, PAYLOAD_BYTES, &window)?;
        let process = process(&self.target)?;

        let before = cpu_ns(process)?;
        let began = window.open();
        let until = began + SECONDS * 1_000_000_000;
        let (topics, source, local_herd) = (&self.topics, &mut self.source, &local);
        let envelopes = thread::scope(|scope| {
            let others = scope.spawn(|| match audience {
                Some(audience) => source.publish(topics, audience, RATE, until),
                None => Ok(0),
            });
            scope.spawn(|| {
                while now_ns() < until {
                    local_herd.connect(Batch::of(Group::Passing, LATER..LATER + 1, 1));
                    thread::sleep(HANDSHAKE_PAUSE);
                }
            });
            let mut pace = Pace::of(Some(LOCAL_RATE), began, 0, 1);
            loop {
                let planned = pace.next_moment();
                if planned >= until {
                    break;
                }
                sleep_until(planned);
                publisher.publish(LOCAL, planned)?;
            }
            others.join().map_err(|_| "the source died".to_owned())?
        })?;
        self.wait_for_all()?;
        let cpu_ns = cpu_ns(process)? - before;
        let seconds = in_seconds(now_ns() - began);
        window.close();
        let answer_p99_ns = publisher.answers().at(0.99);
        let findings = local.finish()?;
        if findings.faults.total() > 0 {
            return Err(format!("of PHP's publishes here: {:?}", findings.faults));
        }
        Ok(Phase {
            envelopes,
            seconds,
            cpu_ns,
            answer_p99_ns,
            delivery_p99_ns: findings.latency.at(0.99),
            handshake_p99_ns: findings.connects.at(0.99),
        })
    }

    /// Waits until the node has heard everything that was published so far.
    fn wait_for_all(&mut self) -> Result<(), String> {
        let arrived = self.herd.shared().arrived(Group::Steady);
        let expected = self.source.published_to_topics() + 1;
        self.source.publish_one(&self.topics)?;
        if arrived.wait(expected, PATIENCE, |_| {}) {
            return Ok(());
        }
        Err(format!("{} of {expected} frames came; the worker may be too slow", arrived.count()))
    }

    /// [`publish`] on this node, until everything was sent and heard, and what Redis did for it.
    fn publish_here(&mut self, connections: usize, rate: Option<f64>) -> Result<Out, String> {
        let before = (cpu_ns(process(&self.target)?)?, cpu_ns(self.redis.process)?);
        let out = publish(&self.target, &self.topics, connections, rate)?;
        self.wait_for_all()?;
        let after = (cpu_ns(process(&self.target)?)?, cpu_ns(self.redis.process)?);
        let each = |before: u64, after: u64| (after - before) as f64 / out.count as f64 / 1000.0;
        let (node_us, redis_us) = (each(before.0, after.0), each(before.1, after.1));
        Ok(Out { node_us, redis_us, ..out })
    }
}

/// Publishes by so many connections, at `rate` or as fast as can be.
fn publish(
    target: &Target,
    topics: &Arc<Topics>,
    connections: usize,
    rate: Option<f64>,
) -> Result<Out, String> {
    let before = cpu_ns(process(target)?)?;
    let began = now_ns();
    let until = began + OUT_SECONDS * 1_000_000_000;
    let publish = || {
        let window = Arc::new(Window::default());
        let mut publisher = Publisher::open(target, 0, topics, PAYLOAD_BYTES, &window)?;
        let mut pace = Pace::of(rate, began, 0, 1);
        while now_ns() < until {
            let planned = pace.next_moment();
            sleep_until(planned);
            publisher.publish(LATER, planned)?;
        }
        Ok(publisher.accepted_by(LATER))
    };
    let count = thread::scope(|scope| {
        let threads: Vec<_> = (0..connections).map(|_| scope.spawn(publish)).collect();
        let counts = threads
            .into_iter()
            .map(|thread| thread.join().map_err(|_| "a publisher died".to_owned())?);
        counts.sum::<Result<u64, String>>()
    })?;
    let rate = count as f64 / in_seconds(now_ns() - began);
    let node_us = (cpu_ns(process(target)?)? - before) as f64 / count as f64 / 1000.0;
    Ok(Out { count, rate, node_us, redis_us: 0.0 })
}

fn start_herd(target: &Target, topics: &Arc<Topics>, window: &Arc<Window>) -> Result<Herd, String> {
    let settings =
        Settings { at_once: 64, connections: 2, payload_bytes: PAYLOAD_BYTES, handshake: PATIENCE };
    Herd::start(settings, target, topics, window).map_err(text)
}

fn process(target: &Target) -> Result<Process, String> {
    target.process.ok_or_else(|| "the worker's process is unknown".to_owned())
}

fn cpu_ns(process: Process) -> Result<u64, String> {
    process.cpu_ns().ok_or_else(|| "a server ended while it was measured".to_owned())
}

impl Figures {
    /// CPU of an envelope in µs, without what the quiet rounds cost.
    fn envelope_us(&self, phases: &[Phase]) -> f64 {
        let idle =
            median(self.quiet.iter().map(|quiet| quiet.cpu_ns as f64 / quiet.seconds).collect());
        let cost = |phase: &Phase| {
            (phase.cpu_ns as f64 - idle * phase.seconds) / phase.envelopes as f64 / 1000.0
        };
        median(phases.iter().map(cost).collect())
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "| envelopes | offered and heard in a second | CPU of each | CPU of the node | PHP answered, p99 | delivered, p99 | handshake, p99 |"
        )?;
        writeln!(f, "|---|---:|---:|---:|---:|---:|---:|")?;
        for (name, phases) in [
            ("none", &self.quiet),
            ("for topics without a socket here", &self.nobody),
            ("for topics with one socket here", &self.one),
        ] {
            let of = |value: fn(&Phase) -> f64| median(phases.iter().map(value).collect());
            let each = if phases[0].envelopes == 0 {
                String::new()
            } else {
                format!("{:.2} µs", self.envelope_us(phases))
            };
            let ms = |ns: f64| format!("{:.1} ms", ns / 1e6);
            writeln!(
                f,
                "| {name} | {:.0} | {each} | {:.0} % | {} | {} | {} |",
                of(|phase| phase.envelopes as f64 / phase.seconds),
                of(|phase| phase.cpu_ns as f64 / phase.seconds / 1e7),
                ms(of(|phase| phase.answer_p99_ns as f64)),
                ms(of(|phase| phase.delivery_p99_ns as f64)),
                ms(of(|phase| phase.handshake_p99_ns as f64)),
            )?;
        }
        writeln!(f, "\n| publishes of PHP here | in a second | CPU of the node | CPU of Redis |")?;
        write!(f, "|---|---:|---:|---:|")?;
        for (name, rounds) in [
            ("one by one", &self.paced),
            ("one by one, on a single node", &self.paced_alone),
            ("as fast as can be", &self.busy),
            ("as fast as can be, on a single node", &self.busy_alone),
        ] {
            let of = |value: fn(&Out) -> f64| median(rounds.iter().map(value).collect());
            let (rate, node, redis) =
                (of(|out| out.rate), of(|out| out.node_us), of(|out| out.redis_us));
            write!(f, "\n| {name} | {rate:.0} | {node:.1} µs | {redis:.1} µs |")?;
        }
        Ok(())
    }
}
