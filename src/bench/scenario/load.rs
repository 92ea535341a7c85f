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

    /// Most bytes of a payload: with a topic's name around it, it fits into what a worker takes.
    pub const MOST_PAYLOAD_BYTES: usize = 1_000_000;

    /// Most topics.
    pub const MOST_TOPICS: usize = 1_000_000;

    /// Most connections that publish.
    pub const MOST_CONNECTIONS: usize = 1_000;

    /// Whether these sizes make sense.
    ///
    /// # Errors
    ///
    /// One line that names the first that does not, and its bounds.
    pub fn check(&self) -> Result<(), String> {
        let within = |name: &str, value: usize, least: usize, most: usize| {
            let fits = (least..=most).contains(&value);
            fits.then_some(()).ok_or_else(|| format!("{value} {name}: give {least} to {most}"))
        };
        let payload = (Self::LEAST_PAYLOAD_BYTES, Self::MOST_PAYLOAD_BYTES);
        within("bytes of payload", self.payload_bytes, payload.0, payload.1)?;
        within("topics", self.topics, 1, Self::MOST_TOPICS)?;
        within("connections", self.connections, 1, Self::MOST_CONNECTIONS)?;
        within("handshakes at once", self.at_once, 1, usize::MAX)?;
        if self.rate.is_some_and(|rate| !(rate > 0.0 && rate <= 1e9)) {
            return Err("the rate has to be above 0, and at most a billion".into());
        }
        if self.publishes.is_none() && !(self.seconds > 0.0 && self.seconds <= 1e6) {
            return Err("the seconds have to be above 0, and at most a million".into());
        }
        Ok(())
    }

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
            Name::Churn => Self { sockets: 100, rate: Some(500.0), cycles: 20_000, ..load },
            // So much that the slow ones are closed: the kernel alone takes some 3 MB for each.
            Name::Slow => {
                Self { sockets: 500, connections: 1, payload_bytes: 10_000, seconds: 5.0, ..load }
            }
            Name::Neighbours => Self { sockets: 10_000, connections: 1, seconds: 4.0, ..load },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usual_sizes_make_sense() {
        for name in Name::ALL {
            assert_eq!(Load::usual(name).check(), Ok(()), "{name:?}");
        }
    }

    #[test]
    fn sizes_that_make_no_sense_are_named() {
        let usual = Load::usual(Name::Fanout);
        for (load, words) in [
            (Load { payload_bytes: 63, ..usual.clone() }, "63 bytes of payload: give 64 to"),
            (Load { topics: 0, ..usual.clone() }, "0 topics: give 1 to"),
            (Load { connections: 0, ..usual.clone() }, "0 connections: give 1 to"),
            (Load { at_once: 0, ..usual.clone() }, "0 handshakes at once: give 1 to"),
            (Load { rate: Some(f64::NAN), ..usual.clone() }, "the rate has to be"),
            (Load { seconds: f64::INFINITY, ..usual.clone() }, "the seconds have to be"),
        ] {
            let error = load.check().unwrap_err();

            assert!(error.starts_with(words), "{error}");
        }
    }
}
