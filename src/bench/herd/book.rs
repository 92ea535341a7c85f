//! What a herd writes down: latencies, what was wrong, and how far it is.
//!
//! A [`Book`] belongs to the thread of the sockets; [`Shared`] is what others see meanwhile.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};

use parking_lot::Mutex;
use rustix::io::Errno;

use super::Group;
use crate::bench::check::{Arrival, Stream};
use crate::bench::envelope::Envelope;
use crate::bench::latency::Latencies;
use crate::bench::payload::{self, Altered};
use crate::bench::publisher::Published;
use crate::bench::results::Faults;
use crate::bench::tally::Tally;
use crate::bench::window::Window;

/// Length of a step of the timeline.
const STEP_NS: u64 = 100_000_000;

/// Steps of the timeline that are kept: a day.
const MOST_STEPS: u64 = 24 * 3600 * 10;

/// What other threads see of a herd while it runs.
#[derive(Debug, Default)]
pub struct Shared {
    /// Sockets that are in, or will never be.
    pub settled: Tally,
    /// Sockets that were to come and go, and are gone.
    pub passed: Tally,
    /// Pings that were answered.
    pub pongs: Tally,
    /// For each group, the frames that came, each counted once.
    arrived: [Tally; Group::COUNT],
    /// For each group, the sockets that are in now.
    open: [AtomicU64; Group::COUNT],
    /// Why the first socket that was refused was.
    trouble: Mutex<Option<String>>,
    /// A socket could not be made for lack of files.
    short_of_files: AtomicBool,
}

/// What a herd found.
#[derive(Debug, Default)]
pub struct Findings {
    /// Of frames that were planned in the window, but those to slow sockets.
    pub latency: Latencies,
    /// From the first packet to being in, of connections that began in the window.
    pub connects: Latencies,
    /// From ping to pong.
    pub pings: Latencies,
    /// Deliveries in each tenth of a second of the window.
    pub timeline: Vec<u64>,
    /// Frames that were planned in the window and came, but those to slow sockets.
    pub deliveries: u64,
    /// What was wrong; lost frames are found later, by [`Findings::find_lost`].
    pub faults: Faults,
    /// Slow sockets that the server ended.
    pub slow_closed: u64,
    /// What came to each socket that was ever in.
    pub received: Vec<Received>,
}

/// What came to one socket.
#[derive(Debug)]
pub struct Received {
    /// The topic it was subscribed to.
    pub topic: u32,
    /// When it knew that it was.
    pub ready_ns: u64,
    /// Whether it stayed to the end.
    pub stayed: bool,
    /// For each connection that publishes.
    pub streams: Box<[Stream]>,
}

/// What the thread of the sockets writes down.
#[derive(Debug)]
pub struct Book {
    /// What it found so far.
    pub findings: Findings,
    /// What the others see.
    pub shared: Arc<Shared>,
    window: Arc<Window>,
    envelope: Envelope,
    payload_bytes: usize,
}

impl Shared {
    /// The frames that came to `group`.
    pub fn arrived(&self, group: Group) -> &Tally {
        &self.arrived[group as usize]
    }

    /// The sockets of `group` that are in.
    pub fn open(&self, group: Group) -> u64 {
        self.open[group as usize].load(SeqCst)
    }

    /// Why the first socket that was refused was.
    pub fn trouble(&self) -> Option<String> {
        self.trouble.lock().clone()
    }

    /// Whether a socket could not be made for lack of files.
    pub fn is_short_of_files(&self) -> bool {
        self.short_of_files.load(SeqCst)
    }
}

impl Findings {
    /// Takes in what another herd found, whose window opened at the same time.
    pub fn add(&mut self, other: Self) {
        self.latency.add(&other.latency);
        self.connects.add(&other.connects);
        self.pings.add(&other.pings);
        if self.timeline.len() < other.timeline.len() {
            self.timeline.resize(other.timeline.len(), 0);
        }
        for (step, more) in self.timeline.iter_mut().zip(other.timeline) {
            *step += more;
        }
        self.deliveries += other.deliveries;
        let Faults { lost, doubled, altered, disordered, refused, closed, failed_publishes } =
            other.faults;
        self.faults.lost += lost;
        self.faults.doubled += doubled;
        self.faults.altered += altered;
        self.faults.disordered += disordered;
        self.faults.refused += refused;
        self.faults.closed += closed;
        self.faults.failed_publishes += failed_publishes;
        self.slow_closed += other.slow_closed;
        self.received.extend(other.received);
    }

    /// Compares what came with what was published, and counts what is lost.
    pub fn find_lost(&mut self, published: &Published) {
        for received in &self.received {
            for (connection, stream) in received.streams.iter().enumerate() {
                if let Some(line) = published.line(connection, received.topic as usize) {
                    self.faults.lost += stream.lost(line, received.ready_ns, received.stayed);
                }
            }
        }
    }
}

impl Book {
    /// An empty one.
    pub fn new(shared: Arc<Shared>, window: Arc<Window>, payload_bytes: usize) -> Self {
        let envelope = Envelope::new(payload_bytes);
        Self { findings: Findings::default(), shared, window, envelope, payload_bytes }
    }

    /// A push came at `now` to a socket on `topic`; whether it is one that had not come yet.
    pub fn push(
        &mut self,
        message: &[u8],
        now: u64,
        topic: u32,
        group: Group,
        streams: &mut [Stream],
    ) -> bool {
        let read = self.envelope.open(message).map(|text| payload::read(text, self.payload_bytes));
        let stamp = match read {
            Some(Ok(stamp)) => stamp,
            Some(Err(Altered::Filler(stamp))) => {
                self.findings.faults.altered += 1;
                stamp
            }
            Some(Err(Altered::Numbers)) | None => {
                self.findings.faults.altered += 1;
                return false;
            }
        };
        let stream = streams.get_mut(usize::from(stamp.connection));
        let Some(stream) = stream.filter(|_| stamp.topic == topic) else {
            // A good frame that was never meant for this socket.
            self.findings.faults.altered += 1;
            return false;
        };
        match stream.arrived(stamp.sequence) {
            Arrival::InOrder => {}
            Arrival::Disordered => self.findings.faults.disordered += 1,
            Arrival::Doubled => {
                self.findings.faults.doubled += 1;
                return false;
            }
        }
        if group != Group::Slow
            && let Some(from) = self.window.start_of(stamp.planned_ns)
        {
            self.findings.latency.record(now.saturating_sub(stamp.planned_ns));
            self.findings.deliveries += 1;
            self.count(now.saturating_sub(from) / STEP_NS);
        }
        true
    }

    fn count(&mut self, step: u64) {
        let (step, timeline) = (step.min(MOST_STEPS) as usize, &mut self.findings.timeline);
        if step >= timeline.len() {
            timeline.resize(step + 1, 0);
        }
        timeline[step] += 1;
    }

    /// A socket is in at `now`, whose first packet left at `began_ns`.
    pub fn let_in(&mut self, group: Group, began_ns: u64, now: u64) {
        if self.window.start_of(began_ns).is_some() {
            self.findings.connects.record(now.saturating_sub(began_ns));
        }
        self.shared.open[group as usize].fetch_add(1, SeqCst);
        self.shared.settled.add(1);
    }

    /// A socket could not be made.
    pub fn not_made(&mut self, group: Group, error: &io::Error) {
        let error_number = error.raw_os_error().map(Errno::from_raw_os_error);
        if matches!(error_number, Some(Errno::MFILE | Errno::NFILE)) {
            self.shared.short_of_files.store(true, SeqCst);
        }
        self.refused(group, format!("cannot make a connection: {error}"));
    }

    /// A socket will never be in, because of `trouble`.
    pub fn refused(&mut self, group: Group, trouble: String) {
        self.findings.faults.refused += 1;
        self.shared.trouble.lock().get_or_insert(trouble);
        if group == Group::Passing {
            self.shared.passed.add(1);
        }
        self.shared.settled.add(1);
    }

    /// A socket that was in is gone: ended by the server, or by us.
    pub fn gone(&mut self, group: Group, by_server: bool, received: Received) {
        self.shared.open[group as usize].fetch_sub(1, SeqCst);
        if by_server {
            match group {
                Group::Slow => self.findings.slow_closed += 1,
                Group::Steady | Group::Passing => self.findings.faults.closed += 1,
            }
        }
        if group == Group::Passing {
            self.shared.passed.add(1);
        }
        self.findings.received.push(received);
    }

    /// A socket sent something that no worker sends.
    pub fn broken(&mut self) {
        self.findings.faults.altered += 1;
    }
}
