//! What a run of the bench found: the document of `--json`, and what the table and the page show.
//!
//! Plain data. Times are nanoseconds, sizes bytes, unless a name says otherwise.

use serde::Serialize;

/// Everything that a run found.
#[derive(Debug, Clone, Serialize)]
pub struct Results {
    /// The bench's own version.
    pub version: String,
    /// When the run began, as RFC 3339 in UTC.
    pub began: String,
    /// How long it took.
    pub seconds: f64,
    /// What it ran on.
    pub machine: Machine,
    /// What was measured, in words: `a worker of its own`, or the address of a running one.
    pub target: String,
    /// Runtime threads of a worker of its own, if they were set.
    pub threads: Option<usize>,
    /// What was measured, in the order of running.
    pub scenarios: Vec<Scenario>,
}

/// What a run ran on.
#[derive(Debug, Clone, Serialize)]
pub struct Machine {
    /// The processor's name, as far as the system tells.
    pub processor: String,
    /// Cores that this process may use.
    pub cores: usize,
    /// Memory in all.
    pub memory_bytes: u64,
    /// Kernel and its release.
    pub kernel: String,
    /// Files that may be open at once in one process.
    pub open_files: u64,
    /// Sockets that are possible with that.
    pub possible_sockets: u64,
}

/// One scenario.
#[derive(Debug, Clone, Serialize)]
pub struct Scenario {
    /// Its name on the command line: `fanout`.
    pub name: String,
    /// What it does, with its sizes: `each publish to 1,000 sockets, 100 bytes`.
    pub title: String,
    /// What the cost is counted by.
    pub unit: Unit,
    /// Sockets in all.
    pub sockets: usize,
    /// Every round, in the order of running.
    pub rounds: Vec<Round>,
    /// The median of the rounds' ratios of cost, server to floor. `None` without a floor.
    pub cost_ratio: Option<f64>,
    /// The median of the rounds' ratios of the p99 of the latency.
    pub p99_ratio: Option<f64>,
}

/// What a cost is counted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// One frame to one socket.
    Delivery,
    /// One call of publish.
    Publish,
    /// One socket, from connect to authenticated.
    Connect,
}

/// One round of a scenario: the server, and the floor right before or after it.
#[derive(Debug, Clone, Serialize)]
pub struct Round {
    /// The server's figures.
    pub server: Figures,
    /// The floor's; `None` where there is none, because nothing simpler does the same.
    pub floor: Option<Figures>,
}

/// What one server did in one round.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Figures {
    /// Time that was measured.
    pub seconds: f64,
    /// Units in that time: deliveries, publishes, or connects, as the scenario counts.
    pub units: u64,
    /// CPU of the server's process for each unit. `None` if it cannot be read.
    pub cpu_ns: Option<f64>,
    /// Publishes that were answered with 200.
    pub publishes: u64,
    /// Frames that arrived.
    pub deliveries: u64,
    /// From the planned moment of a publish to its frame at a browser, every frame counted.
    pub latency: Option<Latency>,
    /// From the planned moment of a publish to the 200 that PHP gets; for connects, from the
    /// first packet to `auth_ok`.
    pub answer: Option<Latency>,
    /// Resident memory of the server's process before the first socket, and its most.
    pub memory: Option<Memory>,
    /// Deliveries in each tenth of a second, from the start of what was measured.
    pub timeline: Vec<u64>,
    /// What was wrong with what arrived.
    pub faults: Faults,
    /// Further figures that only this scenario has, in the order to show them.
    pub extra: Vec<Extra>,
}

/// A distribution of latencies, in nanoseconds.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Latency {
    /// How many there were.
    pub count: u64,
    /// Half of them took at most this.
    pub p50: u64,
    /// 99 of 100.
    pub p99: u64,
    /// 999 of 1,000.
    pub p999: u64,
    /// The longest.
    pub max: u64,
    /// The curve: the share that took at most so long, as pairs of share (0 to 1) and time, both
    /// growing.
    pub curve: Vec<(f64, u64)>,
}

/// Memory of the server's process.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct Memory {
    /// Before the first socket.
    pub before_bytes: u64,
    /// When all sockets were there, or at the end of what was measured.
    pub after_bytes: u64,
    /// What each socket took. `None` where sockets are not what grows it.
    pub per_socket_bytes: Option<f64>,
}

/// What was wrong. All zero is what everything else is worth something for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Faults {
    /// Frames that were accepted with 200 and did not arrive at a socket that was there.
    pub lost: u64,
    /// Frames that came again.
    pub doubled: u64,
    /// Frames that differ from what was published, or are no frames at all.
    pub altered: u64,
    /// Frames that came after a later one of the same publisher.
    pub disordered: u64,
    /// Sockets that could not connect or authenticate.
    pub refused: u64,
    /// Sockets that the server ended unasked.
    pub closed: u64,
    /// Publishes that were not answered with 200.
    pub failed_publishes: u64,
}

/// A further figure.
#[derive(Debug, Clone, Serialize)]
pub struct Extra {
    /// What it is: `pings answered`.
    pub name: String,
    /// How much.
    pub value: f64,
    /// In what: `ms`, `bytes`, or empty.
    pub unit: String,
}

impl Faults {
    /// How much was wrong in all.
    pub fn total(&self) -> u64 {
        self.lost
            + self.doubled
            + self.altered
            + self.disordered
            + self.refused
            + self.closed
            + self.failed_publishes
    }
}
