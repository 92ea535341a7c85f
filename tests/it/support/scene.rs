//! Some nodes with hundreds of browsers each, PHP publishing to all of them all the time, and a
//! fault in between.

use std::thread;
use std::time::{Duration, Instant};

use super::judge::{answered_p99, judge, recovery};
use super::{Herd, PATIENCE, Php, Published, Verdict, Worker, until};

/// Browsers of each node.
pub const BROWSERS: usize = 200;
/// Publishes a second to each node.
const PER_SECOND: u32 = 50;
const TOPICS: usize = 10;

/// PHP's 200 within this time, whatever happens to Redis; or, where the machine is too busy for
/// that, within twice the time of a worker that has no Redis.
const ANSWERED_P99: Duration = Duration::from_millis(50);
/// Lines that a node may log at `info` or above in one outage.
const LOG_LINES: usize = 10;
/// Bytes by which a node may grow in an outage at this pace of publishes.
const GROWTH: u64 = 16 * 1024 * 1024;

/// Whom a fault may close with 4009.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    /// Nobody: everything is heard in the end.
    Nobody,
    /// Those who missed something; nobody if nothing was missed.
    OnlyIfLost,
}

/// The nodes, their browsers and PHP, while one fault happens.
pub struct Scene {
    pub nodes: Vec<Worker>,
    pub herds: Vec<Herd>,
    php: Vec<Php>,
    /// A worker that has no Redis, and PHP that publishes to it: what the machine can do.
    control: (Worker, Php),
    name: &'static str,
    began: Instant,
    healed: Option<Instant>,
    log_from: Vec<usize>,
    memory: Vec<u64>,
}

/// The names of the topics that browsers are spread over.
pub fn topics() -> Vec<String> {
    (0..TOPICS).map(|number| format!("session.{number}")).collect()
}

impl Scene {
    /// Two nodes in a cluster over the Redis at `url`, in which everything reaches everyone.
    pub fn start(url: &str) -> Self {
        Self::over(&[url, url])
    }

    /// A node for each of `urls`, which lead to the same Redis.
    pub fn over(urls: &[&str]) -> Self {
        let nodes = urls.iter().enumerate().map(|(number, url)| {
            Worker::node(url, &format!("node-{number}"), "resync_spread: 1s\n")
        });
        let scene = Self::of(nodes.collect());
        for (node, herd) in scene.herds.iter().enumerate() {
            until("every node to hear of every other", || {
                let members = herd.members();
                let pushes = members.iter().flat_map(|member| &member.sessions);
                let payloads: Vec<&String> = pushes
                    .flat_map(|session| &session.pushes)
                    .map(|heard| &heard.payload)
                    .collect();
                let is_heard = |from: usize| {
                    payloads.iter().any(|payload| payload.starts_with(&format!("[{from},")))
                };
                (0..urls.len()).filter(|from| *from != node).all(is_heard).then_some(())
            });
        }
        scene
    }

    /// Nodes that run already, and need not be joined.
    pub fn of(nodes: Vec<Worker>) -> Self {
        let topics = topics();
        for (node, topic) in nodes.iter().flat_map(|node| topics.iter().map(move |t| (node, t))) {
            node.register(topic);
        }
        let herds = nodes.iter().map(|node| Herd::of(node, &topics, BROWSERS)).collect();
        let php = nodes.iter().enumerate();
        let php = php.map(|(from, node)| Php::publishing(node, from, &topics, PER_SECOND));
        let php = php.collect();
        let control = Worker::start();
        control.register(&topics[0]);
        let control_php = Php::publishing(&control, 0, &topics[..1], PER_SECOND);
        Self {
            control: (control, control_php),
            herds,
            php,
            name: "",
            began: Instant::now(),
            healed: None,
            log_from: nodes.iter().map(|node| node.log().len()).collect(),
            memory: nodes.iter().map(|node| node.memory("VmRSS")).collect(),
            nodes,
        }
    }

    /// From now on the figures count.
    pub fn fault(&mut self, name: &'static str) {
        self.name = name;
        self.began = Instant::now();
        self.log_from = self.nodes.iter().map(|node| node.log().len()).collect();
        self.memory = self.nodes.iter().map(|node| node.memory("VmRSS")).collect();
    }

    /// Lets PHP go on for about `time`, counted in publishes to the first node.
    pub fn go_on_for(&self, time: Duration) {
        let mut count = usize::try_from(time.as_millis() * u128::from(PER_SECOND) / 1000).unwrap();
        while count > 0 {
            let some = count.min(PER_SECOND as usize);
            self.php[0].wait_for_more(some);
            count -= some;
        }
    }

    /// Says that the fault is over, and waits until the nodes say so, too.
    pub fn heal(&mut self) {
        self.healed = Some(Instant::now());
        for node in &self.nodes {
            node.wait_until_ready();
        }
    }

    /// Ends publishing and judges, once everybody heard what is owed or was told.
    pub fn judge(self, told: Told) -> Verdict {
        let name = self.name;
        let (verdict, control_p99, growth) = self.into_verdict();
        eprintln!("{}\n{}", Verdict::HEAD, verdict.row(name));

        assert!(verdict.wrong.is_empty(), "{name}: {:#?}", first(&verdict.wrong));
        assert!(verdict.owed.is_empty(), "{name}: never told: {:#?}", first(&verdict.owed));
        assert!(verdict.told == 0 || told == Told::OnlyIfLost, "{name}: {} told", verdict.told);
        assert!(verdict.told == 0 || verdict.lost > 0, "{name}: told, but nothing was lost");
        let (p99, most) = (verdict.answered_p99, ANSWERED_P99.max(2 * control_p99));
        assert!(p99 <= most, "{name}: PHP waits {p99:?}, without Redis {control_p99:?}");
        assert!(verdict.log_lines <= LOG_LINES, "{name}: {} lines a node", verdict.log_lines);
        assert!(growth <= GROWTH, "{name}: a node grew by {growth} bytes");
        verdict
    }

    /// The verdict, within what time the worker without Redis answered, and by how much the node
    /// grew that grew most.
    fn into_verdict(mut self) -> (Verdict, Duration, u64) {
        for php in self.php.iter_mut().chain([&mut self.control.1]) {
            php.stop();
        }
        let published: Vec<Published> = self.php.iter().flat_map(Php::published).collect();
        let deadline = Instant::now() + PATIENCE;
        let (herds, mut verdict) = loop {
            let herds: Vec<_> = self.herds.iter().map(Herd::members).collect();
            let verdict = judge(&herds, &published);
            let settled = verdict.owed.is_empty() && self.herds.iter().all(Herd::all_are_in);
            if settled || !verdict.wrong.is_empty() || Instant::now() > deadline {
                break (herds, verdict);
            }
            thread::sleep(Duration::from_millis(50));
        };
        verdict.answered_p99 = answered_p99(&published, self.began, 300);
        verdict.recovery = self.healed.and_then(|healed| recovery(&herds, healed));
        let logs = self.nodes.iter().zip(&self.log_from);
        let lines = logs.map(|(node, from)| node.notable_log(*from));
        let longest = lines.max_by_key(Vec::len).unwrap_or_default();
        verdict.log_lines = longest.len();
        eprintln!("{}: the longest log:\n{}", self.name, longest.join("\n"));
        let memory = self.nodes.iter().zip(&self.memory);
        let growth = memory.map(|(node, before)| node.memory("VmRSS").saturating_sub(*before));
        let control_p99 = answered_p99(&self.control.1.published(), self.began, 100);
        (verdict, control_p99, growth.max().unwrap_or(0))
    }
}

/// Enough to see what is wrong.
fn first(lines: &[String]) -> (usize, &[String]) {
    (lines.len(), &lines[..lines.len().min(10)])
}
