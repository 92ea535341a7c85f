//! What every scenario stands on: topics, sockets and publishers for one target, the readings
//! before and after, and the figures that come of them.
//!
//! In this order: [`Stage::set`], [`Stage::connect`], [`Stage::warm_up`], [`Stage::open`],
//! whatever the scenario does, [`Stage::close`] once the last frame is there, [`Stage::figures`].

use std::cell::Cell;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;
use std::{io, mem};

use super::follow::{Follow, PATIENCE};
use super::volley::Volley;
use super::{Load, Name, Progress, cost};
use crate::bench::herd::{Batch, Findings, Group, Herd, Settings};
use crate::bench::moment::{in_seconds, nanos, now_ns};
use crate::bench::publisher::{self, Published, Publisher};
use crate::bench::results::{Extra, Faults, Figures, Memory, Unit};
use crate::bench::target::Target;
use crate::bench::topics::Topics;
use crate::bench::window::Window;

/// How long a socket may take to get in.
const HANDSHAKE_PATIENCE: Duration = Duration::from_secs(30);

/// How long no further socket may come in before the rest is given up. Longer than a herd waits
/// for one.
const CONNECT_PATIENCE: Duration = Duration::from_secs(40);

/// How often progress is told.
const TELL: Duration = Duration::from_millis(100);

/// Publishes of each publisher before anything is measured.
const WARM_UP: usize = 5;

/// The stage of one scenario.
pub struct Stage<'a> {
    /// Its sizes.
    pub load: &'a Load,
    /// What is measured.
    pub target: &'a Target,
    /// Who hears how far it is.
    pub progress: &'a dyn Progress,
    /// The topics; all are registered.
    pub topics: Arc<Topics>,
    /// What is measured of the run.
    pub window: Arc<Window>,
    /// The publishers, as many as the load has connections.
    pub publishers: Vec<Publisher>,
    /// The sockets.
    pub herd: Herd,
    told_ns: Cell<u64>,
    /// Steady sockets that came in, by [`Stage::connect`].
    connected: u64,
    /// The topics over which they are spread.
    connected_to: Range<usize>,
    memory: Option<Memory>,
    opened_ns: u64,
    cpu_before: Option<u64>,
    cpu_spent: Option<u64>,
    seconds: f64,
}

impl<'a> Stage<'a> {
    /// Registers `topics` fresh topics at `target`, connects `connections` publishers and starts a
    /// herd without sockets. Reads the memory before the first socket.
    ///
    /// # Errors
    ///
    /// One line that says what is wrong and what to do.
    pub fn set(
        load: &'a Load,
        target: &'a Target,
        progress: &'a dyn Progress,
        topics: usize,
        connections: usize,
    ) -> Result<Self, String> {
        load.check()?;
        progress.report(0, topics as u64, "topics registered");
        let topics = Arc::new(Topics::fresh(topics.max(1)));
        let window = Arc::new(Window::default());
        publisher::register(target, &topics)?;
        let connections = connections.max(1);
        let publishers = (0..connections)
            .map(|number| {
                Publisher::open(target, number as u16, &topics, load.payload_bytes, &window)
            })
            .collect::<Result<_, _>>()?;
        let settings = settings(load, load.at_once, connections);
        let herd = Herd::start(settings, target, &topics, &window).map_err(no_herd)?;
        let memory = cost::resting_memory(target.process).map(memory_before);
        Ok(Self {
            load,
            target,
            progress,
            topics,
            window,
            publishers,
            herd,
            told_ns: Cell::new(0),
            connected: 0,
            connected_to: 0..0,
            memory,
            opened_ns: 0,
            cpu_before: None,
            cpu_spent: None,
            seconds: 0.0,
        })
    }

    /// Another herd for the same topics, with its own window and `at_once` handshakes at a time.
    ///
    /// # Errors
    ///
    /// One line that says what is wrong and what to do.
    pub fn other_herd(&self, at_once: usize, window: &Arc<Window>) -> Result<Herd, String> {
        let connections = self.publishers.len();
        let settings = settings(self.load, at_once, connections);
        Herd::start(settings, self.target, &self.topics, window).map_err(no_herd)
    }

    /// Connects `batch` to `herd` and waits until all are in, or will never be.
    ///
    /// # Errors
    ///
    /// Not one came in, or there are no files for them.
    pub fn connect_to(&self, herd: &Herd, batch: Batch) -> Result<(), String> {
        let (group, sockets) = (batch.group, batch.sockets);
        let before = herd.shared().settled.count();
        herd.connect(batch);
        let settled = &herd.shared().settled;
        let all_settled = settled.wait(before + sockets, CONNECT_PATIENCE, |count| {
            self.tell(count.saturating_sub(before), sockets, "sockets connected");
        });
        if herd.shared().is_short_of_files() {
            return Err(format!(
                "there are not files enough for {sockets} sockets: raise the limit with `ulimit -n`, or ask for fewer"
            ));
        }
        if !all_settled {
            return Err("the server lets no more sockets in; see its log".into());
        }
        if sockets > 0 && herd.shared().open(group) == 0 {
            let trouble = herd.shared().trouble().unwrap_or_default();
            return Err(format!("{}: no socket came in: {trouble}", self.target.ws));
        }
        Ok(())
    }

    /// Connects `sockets` steady ones, spread over `topics`.
    ///
    /// # Errors
    ///
    /// As [`Stage::connect_to`].
    pub fn connect(&mut self, topics: Range<usize>, sockets: usize) -> Result<(), String> {
        self.connect_to(&self.herd, Batch::of(Group::Steady, topics.clone(), sockets))?;
        self.connected = self.herd.shared().open(Group::Steady);
        self.connected_to = topics;
        Ok(())
    }

    /// A few publishes of each publisher to the first topic, before anything is measured.
    ///
    /// # Errors
    ///
    /// A publisher gave up.
    pub fn warm_up(&mut self) -> Result<(), String> {
        for publisher in &mut self.publishers {
            for _ in 0..WARM_UP {
                publisher.publish(0, now_ns())?;
            }
        }
        self.wait_for_all();
        Ok(())
    }

    /// Reads what the server has spent so far: from now on it is measured.
    pub fn open(&mut self) {
        self.cpu_before = cost::cpu_ns(self.target.process);
        self.opened_ns = self.window.open();
    }

    /// Reads it again: what was measured is over.
    pub fn close(&mut self) {
        self.seconds = in_seconds(now_ns() - self.opened_ns);
        self.window.close();
        let after = cost::cpu_ns(self.target.process);
        // Less than before is nothing to count: a thread ended, and took its time with it.
        self.cpu_spent =
            after.zip(self.cpu_before).and_then(|(after, before)| after.checked_sub(before));
    }

    /// Takes the memory of now for the one before.
    pub fn measure_memory_from_here(&mut self) {
        self.memory = cost::resting_memory(self.target.process).map(memory_before);
    }

    /// Publishes over the first publisher to the first topic, in step with the steady sockets.
    ///
    /// # Errors
    ///
    /// The publisher gave up.
    pub fn follow(&mut self, volley: &Volley) -> Result<(), String> {
        let mut publishers = mem::take(&mut self.publishers);
        let result = Follow::steady(&self.herd).run(&mut publishers[0], 0, volley, |volley| {
            let (done, of_all) = volley.progress();
            self.tell(done, of_all, "published");
        });
        self.publishers = publishers;
        result
    }

    /// Waits until the steady sockets of the first herd have all that was accepted.
    pub fn wait_for_all(&self) {
        let accepted = |topic| self.publishers.iter().map(move |each| each.accepted_by(topic));
        let goal: u64 = self
            .connected_to
            .clone()
            .map(|topic| accepted(topic).sum::<u64>() * self.sockets_on(topic))
            .sum();
        let arrived = self.herd.shared().arrived(Group::Steady);
        arrived.wait(goal, PATIENCE, |count| self.tell(count, goal, "frames arrived"));
    }

    /// Steady sockets on `topic`: they are spread over theirs in turn.
    fn sockets_on(&self, topic: usize) -> u64 {
        let topics = self.connected_to.len() as u64;
        let place = (topic - self.connected_to.start) as u64;
        self.connected / topics + u64::from(place < self.connected % topics)
    }

    /// Tells how far it is, if that was not told just now.
    pub fn tell(&self, done: u64, of_all: u64, words: &str) {
        let now = now_ns();
        if now - self.told_ns.get() >= nanos(TELL) {
            self.told_ns.set(now);
            self.progress.report(done.min(of_all), of_all, words);
        }
    }

    /// Ends everything; the figures, counted by what `name` counts by. `others` is what further
    /// herds found; they are closed before.
    ///
    /// # Errors
    ///
    /// The thread of the sockets died.
    pub fn figures(self, name: Name, others: Vec<Findings>) -> Result<Figures, String> {
        let memory_after = cost::resting_memory(self.target.process);
        let mut published = Published::default();
        for publisher in self.publishers {
            published.add(publisher.finish());
        }
        let mut found = self.herd.finish()?;
        for other in others {
            found.add(other);
        }
        found.find_lost(&published);
        publisher::unregister(self.target, &self.topics);

        let units = match name.unit() {
            Unit::Delivery => found.deliveries,
            Unit::Publish => published.answers.count(),
            Unit::Connect => found.connects.count(),
        };
        let memory = self.memory.zip(memory_after).map(|(memory, after_bytes)| {
            let grown = after_bytes as f64 - memory.before_bytes as f64;
            let per_socket_bytes =
                (name == Name::Idle).then(|| grown / self.connected.max(1) as f64);
            Memory { after_bytes, per_socket_bytes, ..memory }
        });
        let answer = match name.unit() {
            Unit::Connect => &found.connects,
            Unit::Delivery | Unit::Publish => &published.answers,
        };
        Ok(Figures {
            seconds: self.seconds,
            units,
            cpu_ns: self.cpu_spent.filter(|_| units > 0).map(|spent| spent as f64 / units as f64),
            publishes: published.answers.count(),
            deliveries: found.deliveries,
            latency: found.latency.summary(),
            answer: answer.summary(),
            memory,
            timeline: found.timeline,
            faults: Faults { failed_publishes: published.failed, ..found.faults },
            extra: vec![],
        })
    }
}

fn settings(load: &Load, at_once: usize, connections: usize) -> Settings {
    let payload_bytes = load.payload_bytes;
    Settings { at_once, connections, payload_bytes, handshake: HANDSHAKE_PATIENCE }
}

/// Only what it was before.
fn memory_before(before_bytes: u64) -> Memory {
    Memory { before_bytes, ..Memory::default() }
}

/// A further figure, in milliseconds.
pub fn millis(name: &str, ns: u64) -> Extra {
    Extra { name: name.into(), value: ns as f64 / 1e6, unit: "ms".into() }
}

/// A further figure without a unit.
pub fn number(name: &str, value: u64) -> Extra {
    Extra { name: name.into(), value: value as f64, unit: String::new() }
}

#[expect(clippy::needless_pass_by_value, reason = "handed over by map_err")]
fn no_herd(error: io::Error) -> String {
    format!("cannot start the sockets' thread: {error}; the system may be short of files")
}
