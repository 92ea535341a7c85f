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

    /// What a scenario does with these sizes, in a line.
    pub fn title(&self, name: Name) -> String {
        let Self { topics, payload_bytes, connections, at_once, cycles, .. } = self;
        let sockets = thousands(self.sockets as u64);
        let (topics, cycles) = (thousands(*topics as u64), thousands(*cycles));
        let pace = self.rate.map_or_else(String::new, |rate| format!(", {rate} a second"));
        match name {
            Name::Idle => format!("{sockets} sockets that do nothing, {at_once} connect at once"),
            Name::Fanout => {
                format!("each publish to {sockets} sockets, {payload_bytes} bytes{pace}")
            }
            Name::Burst => {
                let publishes = self.publishes.map_or_else(String::new, thousands);
                format!(
                    "{publishes} publishes back to back to {sockets} sockets, {payload_bytes} bytes, {connections} connections{pace}"
                )
            }
            Name::Topics => format!(
                "publishes to any of {topics} topics, {sockets} sockets, {payload_bytes} bytes, {connections} connections{pace}"
            ),
            Name::Publish => format!(
                "publishes that nobody hears, {payload_bytes} bytes, {connections} connections{pace}"
            ),
            Name::Churn => format!(
                "{cycles} sockets come and go beside {sockets} that stay, {payload_bytes} bytes{pace}"
            ),
            Name::Slow => format!(
                "each publish to {sockets} sockets, of which a tenth does not read, {payload_bytes} bytes{pace}"
            ),
            Name::Neighbours => format!(
                "150 publishes a second to 5 sockets, beside a topic with {sockets}, {payload_bytes} bytes"
            ),
        }
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

/// `10000` as `10,000`.
fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.char_indices() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usual_sizes_make_sense_and_have_a_title() {
        for name in Name::ALL {
            let load = Load::usual(name);

            assert_eq!(load.check(), Ok(()), "{name:?}");
            assert!(!load.title(name).is_empty());
        }
        assert_eq!(
            Load::usual(Name::Burst).title(Name::Burst),
            "1,000 publishes back to back to 1,000 sockets, 100 bytes, 4 connections"
        );
        assert!(Load::usual(Name::Idle).title(Name::Idle).starts_with("10,000 sockets"));
        assert_eq!(thousands(1_234_567), "1,234,567");
        assert_eq!(thousands(7), "7");
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
