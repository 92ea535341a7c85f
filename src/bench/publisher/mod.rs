//! One publisher: publishes numbered payloads over a connection of its own, and keeps what was
//! accepted.
//!
//! A latency counts from the *planned* moment of a publish. A server that stalls makes the
//! publishes behind it late, and that is told as latency, as their users would meet it. Start
//! reading at [`Publisher::publish`]; [`Pace`] says when.

use std::net::SocketAddr;
use std::sync::Arc;

use super::check::Line;
use super::latency::Latencies;
use super::moment::now_ns;
use super::payload::{self, Stamp};
use super::target::Target;
use super::topics::Topics;
use super::window::Window;

mod connection;
mod pace;

use connection::{Connection, post};
pub use pace::Pace;

/// Publishes in a row that may fail before the publisher gives up.
const MOST_FAILURES: u32 = 20;

/// A publisher.
#[derive(Debug)]
pub struct Publisher {
    connection: Connection,
    /// The whole request; topic and payload are written over it.
    request: Vec<u8>,
    /// Where in it the topic's name is, and where the payload.
    topic_at: usize,
    payload_at: usize,
    payload_bytes: usize,
    topics: Arc<Topics>,
    /// Which topic's name stands in the request.
    topic: usize,
    /// Which of the publishers this is.
    number: u16,
    lines: Vec<Line>,
    window: Arc<Window>,
    answers: Latencies,
    failed: u64,
    failed_in_a_row: u32,
}

/// What came of the publishes of one publisher, or of several.
#[derive(Debug, Clone, Default)]
pub struct Published {
    /// What was accepted: for each connection, for each topic.
    pub lines: Vec<Vec<Line>>,
    /// From the planned moment to the 200, of what was planned in the window.
    pub answers: Latencies,
    /// Publishes without a 200.
    pub failed: u64,
}

impl Publisher {
    /// Connects publisher `number` to `target`.
    ///
    /// # Errors
    ///
    /// One line that says what is wrong and what to do.
    pub fn open(
        target: &Target,
        number: u16,
        topics: &Arc<Topics>,
        payload_bytes: usize,
        window: &Arc<Window>,
    ) -> Result<Self, String> {
        let body = [r#"{"topic":""#, &topics.name(0), r#"","payload":"#].concat();
        let payload = vec![b'0'; payload_bytes];
        let whole = [body.as_bytes(), &payload, b"}"].concat();
        let request = post("/internal/publish", target.internal, &target.secret, &whole);
        let body_at = request.len() - whole.len();
        Ok(Self {
            connection: Connection::open(target.internal)?,
            topic_at: body_at + r#"{"topic":""#.len(),
            payload_at: body_at + body.len(),
            request,
            payload_bytes,
            topic: 0,
            number,
            lines: vec![Line::default(); topics.count()],
            topics: topics.clone(),
            window: window.clone(),
            answers: Latencies::default(),
            failed: 0,
            failed_in_a_row: 0,
        })
    }

    /// Publishes to `topic` and waits for the answer; whether it was 200. `planned_ns` is when it
    /// should have been, and never falls.
    ///
    /// What is refused is counted, and its number used again: nobody gets it. Where no answer
    /// came, the number is left out of account, and the next publish takes a new connection.
    ///
    /// # Errors
    ///
    /// Too many failed, one after the other; nothing will come of going on.
    pub fn publish(&mut self, topic: usize, planned_ns: u64) -> Result<bool, String> {
        self.write_request(topic, planned_ns);
        let answer = self.connection.exchange(&self.request);
        let now = now_ns();
        let trouble = match answer {
            Ok(200) => {
                self.lines[topic].accepted(planned_ns);
                self.failed_in_a_row = 0;
                if self.window.start_of(planned_ns).is_some() {
                    self.answers.record(now.saturating_sub(planned_ns));
                }
                return Ok(true);
            }
            Ok(status) => format!("the last answer is {status}"),
            Err(error) => {
                self.lines[topic].unanswered(planned_ns);
                self.connection.reopen()?;
                format!("the last one has no answer: {error}")
            }
        };
        self.failed += 1;
        self.failed_in_a_row += 1;
        if self.failed_in_a_row == MOST_FAILURES {
            return Err(format!(
                "{MOST_FAILURES} publishes failed one after the other, {trouble}; see the server's log"
            ));
        }
        Ok(false)
    }

    /// Publishes to `topic` that were accepted so far, or got no answer.
    pub fn accepted_by(&self, topic: usize) -> u64 {
        self.lines[topic].next()
    }

    /// From the planned moment to the 200, of what was planned in the window.
    pub fn answers(&self) -> &Latencies {
        &self.answers
    }

    /// Ends the connection; what came of it all.
    pub fn finish(self) -> Published {
        Published { lines: vec![self.lines], answers: self.answers, failed: self.failed }
    }

    fn write_request(&mut self, topic: usize, planned_ns: u64) {
        if topic != self.topic {
            let name = self.topics.name(topic);
            self.request[self.topic_at..self.topic_at + name.len()]
                .copy_from_slice(name.as_bytes());
            self.topic = topic;
        }
        let stamp = Stamp {
            topic: topic as u32,
            connection: self.number,
            sequence: self.lines[topic].next(),
            planned_ns,
        };
        payload::write(&mut self.request[self.payload_at..][..self.payload_bytes], &stamp);
    }
}

impl Published {
    /// Takes in what the next publisher has.
    pub fn add(&mut self, other: Self) {
        self.lines.extend(other.lines);
        self.answers.add(&other.answers);
        self.failed += other.failed;
    }

    /// What `connection` published to `topic`.
    pub fn line(&self, connection: usize, topic: usize) -> Option<&Line> {
        self.lines.get(connection)?.get(topic)
    }
}

/// Registers all topics at the internal port, so that browsers need a token for them.
///
/// # Errors
///
/// One line that says what is wrong and what to do.
pub fn register(target: &Target, topics: &Topics) -> Result<(), String> {
    let address = target.internal;
    let mut connection = Connection::open(address)?;
    for number in 0..topics.count() {
        let name = topics.name(number);
        let body = format!(r#"{{"topic":"{name}","meta":{{"require_token":true}}}}"#);
        let request = post("/internal/register", address, &target.secret, body.as_bytes());
        match connection.exchange(&request) {
            Ok(200) => {}
            Ok(status) => return Err(refused(address, status)),
            Err(error) => {
                return Err(format!(
                    "{address}: no answer to a register: {error}; is it the internal port?"
                ));
            }
        }
    }
    Ok(())
}

/// Has the worker forget the topics. Whether it does is nobody's concern any more.
pub fn unregister(target: &Target, topics: &Topics) {
    let Ok(mut connection) = Connection::open(target.internal) else {
        return;
    };
    for number in 0..topics.count() {
        let body = format!(r#"{{"topic":"{}"}}"#, topics.name(number));
        let (address, secret) = (target.internal, &target.secret);
        let request = post("/internal/unregister", address, secret, body.as_bytes());
        if connection.exchange(&request).is_err() {
            return;
        }
    }
}

fn refused(address: SocketAddr, status: u16) -> String {
    let advice = match status {
        403 => "give the worker_secret that it was started with",
        404 => "is it the internal port?",
        _ => "see its log",
    };
    format!("{address}: a register is answered with {status}: {advice}")
}
