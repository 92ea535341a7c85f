//! Another node, as far as Redis shows it: publishes envelopes to the channel at a steady rate.

use std::io::Write;
use std::net::TcpStream;

use wavelog_worker::bench::moment::{now_ns, sleep_until};
use wavelog_worker::bench::payload::{self, Stamp};
use wavelog_worker::bench::topics::Topics;

use super::PAYLOAD_BYTES;
use super::server::{Redis, command, text};

/// The channel, under the default prefix.
pub const CHANNEL: &str = "wavelog:events";

/// The number of its connection in the stamps of payloads; PHP has 0.
const CONNECTION: u16 = 1;

/// Times in a second at which it sends what is due.
const TICKS: u64 = 1_000;

/// A node that only publishes.
pub struct Source {
    stream: TcpStream,
    /// For each topic, how many were published.
    sequences: Vec<u64>,
    number: u64,
    buffer: Vec<u8>,
    payload: Vec<u8>,
}

/// For whom envelopes are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Audience {
    /// Topics that nobody on the node is subscribed to.
    Nobody,
    /// The first topics, in turn.
    First(usize),
}

impl Source {
    /// Connects to `redis`; publishes to some of `topics`.
    pub fn connect(redis: &Redis, topics: &Topics) -> Result<Self, String> {
        let mut stream = redis.connect()?;
        stream.write_all(&command(&["CLIENT", "REPLY", "OFF"])).map_err(text)?;
        let sequences = vec![0; topics.count()];
        let (buffer, payload) = (Vec::with_capacity(64 * 1024), vec![0; PAYLOAD_BYTES]);
        Ok(Self { stream, sequences, number: 0, buffer, payload })
    }

    /// Publishes `rate` envelopes a second until `until_ns`; says how many it were.
    pub fn publish(
        &mut self,
        topics: &Topics,
        audience: Audience,
        rate: u64,
        until_ns: u64,
    ) -> Result<u64, String> {
        let before = self.number;
        let start = now_ns();
        for tick in 0.. {
            let planned = start + tick * 1_000_000_000 / TICKS;
            if planned >= until_ns || now_ns() >= until_ns {
                break;
            }
            sleep_until(planned);
            self.buffer.clear();
            for number in tick * rate / TICKS..(tick + 1) * rate / TICKS {
                match audience {
                    Audience::Nobody => {
                        self.append(&format!("nobody.{:07}", number % 10_000), None, planned);
                    }
                    Audience::First(count) => {
                        let topic = number as usize % count;
                        self.append(&topics.name(topic), Some(topic), planned);
                    }
                }
            }
            self.stream.write_all(&self.buffer).map_err(text)?;
        }
        Ok(self.number - before)
    }

    /// Publishes one envelope to topic 0.
    pub fn publish_one(&mut self, topics: &Topics) -> Result<(), String> {
        self.buffer.clear();
        self.append(&topics.name(0), Some(0), now_ns());
        self.stream.write_all(&self.buffer).map_err(text)
    }

    /// Envelopes that were published to real topics so far.
    pub fn published_to_topics(&self) -> u64 {
        self.sequences.iter().sum()
    }

    fn append(&mut self, name: &str, topic: Option<usize>, planned_ns: u64) {
        self.number += 1;
        let sequence = topic.map_or(self.number, |topic| {
            self.sequences[topic] += 1;
            self.sequences[topic] - 1
        });
        let stamp = Stamp {
            topic: topic.unwrap_or_default() as u32,
            connection: CONNECTION,
            sequence,
            planned_ns,
        };
        payload::write(&mut self.payload, &stamp);
        let payload = String::from_utf8_lossy(&self.payload);
        let envelope = format!(
            r#"{{"origin_id":"0123456789abcdef","topic":"{name}","payload":{payload},"n":{},"boot":"00112233445566ff"}}"#,
            self.number
        );
        self.buffer.extend(command(&["PUBLISH", CHANNEL, &envelope]));
    }
}
