//! What is measured: each scenario is one idea of how a worker is used, with usual sizes.
//!
//! A scenario connects its sockets, reads the server's CPU and memory, publishes, waits for the
//! last frame, reads again, and checks every byte of what came. Start reading at [`measure`].

use super::results::{Figures, Unit};
use super::target::Target;

mod burst;
mod churn;
mod cost;
mod fanout;
mod follow;
mod idle;
mod load;
mod neighbours;
mod progress;
mod publish;
mod slow;
mod stage;
mod topics;
mod volley;

pub use load::Load;
pub use progress::{Progress, Silent};

/// Measures scenario `name` with the sizes of `load` at `target`. Tells `progress` how far it is,
/// from this thread. Takes as long as the scenario: seconds, with the usual sizes.
///
/// A fault is a figure, not an error: what was lost, doubled, altered or refused is counted.
///
/// # Errors
///
/// Nothing can be measured, because of the sizes, the system or the server; one line says what is
/// wrong and what to do.
pub fn measure(
    name: Name,
    load: &Load,
    target: &Target,
    progress: &dyn Progress,
) -> Result<Figures, String> {
    match name {
        Name::Idle => idle::measure(load, target, progress),
        Name::Fanout => fanout::measure(load, target, progress),
        Name::Burst => burst::measure(load, target, progress),
        Name::Topics => topics::measure(load, target, progress),
        Name::Publish => publish::measure(load, target, progress),
        Name::Churn => churn::measure(load, target, progress),
        Name::Slow => slow::measure(load, target, progress),
        Name::Neighbours => neighbours::measure(load, target, progress),
    }
}

/// The scenarios, in the order in which a run takes them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Name {
    /// Many sockets that do nothing.
    Idle,
    /// One publisher, one topic, many sockets; the next publish when all have the last.
    Fanout,
    /// Publishes back to back to one topic with many sockets.
    Burst,
    /// Publishes spread over many topics with a few sockets each.
    Topics,
    /// Publishes to a topic without sockets.
    Publish,
    /// Sockets come and go while others listen.
    Churn,
    /// Some sockets do not read.
    Slow,
    /// A small topic beside a very large one.
    Neighbours,
}

impl Name {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Idle,
        Self::Fanout,
        Self::Burst,
        Self::Topics,
        Self::Publish,
        Self::Churn,
        Self::Slow,
        Self::Neighbours,
    ];

    /// Its name on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Fanout => "fanout",
            Self::Burst => "burst",
            Self::Topics => "topics",
            Self::Publish => "publish",
            Self::Churn => "churn",
            Self::Slow => "slow",
            Self::Neighbours => "neighbours",
        }
    }

    /// The scenario of that name.
    pub fn find(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|each| each.as_str() == name)
    }

    /// What its cost is counted by.
    pub fn unit(self) -> Unit {
        match self {
            Self::Idle | Self::Churn => Unit::Connect,
            Self::Fanout | Self::Burst | Self::Slow | Self::Neighbours => Unit::Delivery,
            Self::Topics | Self::Publish => Unit::Publish,
        }
    }

    /// Whether the floor does the same, so that there is something to compare with. It knows no
    /// pings and closes nobody as slow.
    pub fn has_floor(self) -> bool {
        match self {
            Self::Idle | Self::Fanout | Self::Burst | Self::Topics | Self::Publish => true,
            Self::Churn | Self::Slow | Self::Neighbours => false,
        }
    }
}

#[cfg(test)]
mod tests;
