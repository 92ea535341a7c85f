//! The sizes of a scenario: the usual ones, and what they mean in words.

use super::Name;

/// How much load. A scenario uses those sizes that mean something to it.
#[derive(Debug, Clone, PartialEq)]
pub struct Load {
    /// Sockets in all. `topics`: spread evenly. `slow`: the slow ones among them. `neighbours`:
    /// those of the large topic. `churn`: those that stay.
    pub sockets: usize,
    /// Topics that are published to.
    pub topics: usize,
    /// Bytes of a payload, quotes included; see [`Load::LEAST_PAYLOAD_BYTES`].
    pub payload_bytes: usize,
    /// Connections that publish at the same time.
    pub connections: usize,
    /// Publishes in all connections together, or `None`: as many as fit into `seconds`.
    pub publishes: Option<u64>,
    /// Publishes in a second, at planned moments. `None`: each as soon as the one before is done.
    pub rate: Option<f64>,
    /// How long to publish, if the number of publishes does not say.
    pub seconds: f64,
    /// Handshakes under way at the same time.
    pub at_once: usize,
    /// Sockets that come and go in `churn`.
    pub cycles: u64,
}

impl Load {
    /// Fewest bytes of a payload: what carries its numbers, and some to compare.
    pub const LEAST_PAYLOAD_BYTES: usize = 64;

    /// The usual sizes of a scenario.
    pub fn usual(name: Name) -> Self {
        let load = Self {
            sockets: 1_000,
            topics: 1,
            payload_bytes: 100,
            connections: 4,
            publishes: None,
            rate: None,
            seconds: 2.5,
            at_once: 64,
            cycles: 0,
        };
        match name {
            Name::Idle => Self { sockets: 10_000, connections: 1, ..load },
            Name::Fanout => Self { connections: 1, ..load },
            Name::Burst => Self { publishes: Some(1_000), ..load },
            Name::Topics => Self { sockets: 5_000, topics: 1_000, ..load },
            Name::Publish => Self { sockets: 0, ..load },
            Name::Churn => Self { sockets: 100, rate: Some(500.0), cycles: 5_000, ..load },
            Name::Slow => Self { connections: 1, payload_bytes: 1_000, seconds: 5.0, ..load },
            Name::Neighbours => Self { sockets: 10_000, connections: 1, seconds: 4.0, ..load },
        }
    }
}
