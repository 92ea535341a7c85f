//! Redis' own cost of a publish, by the number of nodes that are subscribed to the channel: plain
//! connections that only read.
//!
//! Twice: as fast as Redis can, when it reads and writes for many publishes at once; and one by one
//! at a modest pace, when each costs system calls of its own.

use std::fmt;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use wavelog_worker::bench::moment::{nanos, now_ns, sleep_until};

use super::server::{PATIENCE, Redis, command, text};
use super::source::CHANNEL;
use super::{PAYLOAD_BYTES, ROUNDS, median};

/// Nodes that hear.
pub const NODES: [usize; 6] = [1, 2, 4, 8, 16, 32];

/// Publishes under way at once when it is to be as fast as can be, and how long that goes on.
const IN_FLIGHT: usize = 128;
const FULL_NS: u64 = 700_000_000;

/// Publishes in a second when it is to be one by one, and how many.
const PACE: u64 = 2_000;
const PACED: u64 = 1_000;

/// What one number of nodes costs.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    /// Nodes that hear.
    pub nodes: usize,
    /// CPU of Redis for a publish, in µs, when as many come as it can take.
    pub full_us: f64,
    /// The same, when they come one by one.
    pub single_us: f64,
}

/// What all of them cost.
#[derive(Debug)]
pub struct Fanout(pub Vec<Row>);

/// Measures it.
pub fn measure() -> Result<Fanout, String> {
    let row = |nodes| {
        let rounds = (0..ROUNDS).map(|_| round(nodes)).collect::<Result<Vec<_>, String>>()?;
        let full_us = median(rounds.iter().map(|(full, _)| *full).collect());
        let single_us = median(rounds.iter().map(|(_, single)| *single).collect());
        Ok(Row { nodes, full_us, single_us })
    };
    NODES.into_iter().map(row).collect::<Result<_, String>>().map(Fanout)
}

impl Fanout {
    /// CPU of Redis for a publish that `nodes` hear, when it is busy: in a straight line between
    /// what was measured.
    pub fn full_us(&self, nodes: f64) -> f64 {
        let line = |pair: &[Row]| {
            let [from, to] = pair else { return None };
            let part = (nodes - from.nodes as f64) / (to.nodes - from.nodes) as f64;
            let value = from.full_us + part * (to.full_us - from.full_us);
            Some((to.nodes as f64, value))
        };
        let mut lines = self.0.windows(2).filter_map(line);
        let last = self.0.windows(2).last().and_then(line);
        lines.find(|(until, _)| nodes <= *until).or(last).map_or(f64::NAN, |(_, value)| value)
    }
}

impl fmt::Display for Fanout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "| nodes | one by one | when busy | publishes/s that fill one core |")?;
        write!(f, "|---:|---:|---:|---:|")?;
        for Row { nodes, full_us, single_us } in &self.0 {
            let most = 1e6 / full_us;
            write!(f, "\n| {nodes} | {single_us:.1} µs | {full_us:.2} µs | {most:.0} |")?;
        }
        Ok(())
    }
}

/// CPU of Redis for a publish in µs: when it is busy, and one by one.
fn round(nodes: usize) -> Result<(f64, f64), String> {
    let redis = Redis::start()?;
    let mut listeners =
        (0..nodes).map(|_| redis.subscribe(CHANNEL)).collect::<Result<Vec<_>, _>>()?;
    let publish = command(&["PUBLISH", CHANNEL, &envelope()]);
    let (heard, is_over) = (AtomicU64::new(0), AtomicBool::new(false));
    thread::scope(|scope| {
        let reader = scope.spawn(|| read_all(&mut listeners, &heard, &is_over));
        let result = (|| {
            let mut stream = redis.connect()?;
            let mut expected = 0;
            let mut spent = |how: fn(&mut TcpStream, &[u8]) -> Result<u64, String>| {
                let before = redis.process.cpu_ns().ok_or("Redis is gone")?;
                let published = how(&mut stream, &publish)?;
                expected += published * nodes as u64 * message_bytes(&publish);
                // What it still writes is part of it.
                let deadline = now_ns() + nanos(PATIENCE);
                while heard.load(Relaxed) < expected {
                    if now_ns() > deadline {
                        return Err("a subscriber does not hear everything".to_owned());
                    }
                    thread::sleep(Duration::from_millis(1));
                }
                let after = redis.process.cpu_ns().ok_or("Redis is gone")?;
                Ok::<f64, String>((after - before) as f64 / published as f64 / 1000.0)
            };
            Ok((spent(as_fast_as_can_be)?, spent(one_by_one)?))
        })();
        is_over.store(true, Relaxed);
        reader.join().map_err(|_| "the reader died")??;
        result
    })
}

/// An envelope as a worker writes it.
fn envelope() -> String {
    let payload = "p".repeat(PAYLOAD_BYTES - 2);
    format!(
        r#"{{"origin_id":"678b0520791e03c7","topic":"session.1234567","payload":"{payload}","n":1234567,"boot":"00112233445566ff"}}"#
    )
}

/// Bytes of what a subscriber gets for `publish`: the same words, but for the first.
fn message_bytes(publish: &[u8]) -> u64 {
    // "$7\r\nPUBLISH" becomes "$7\r\nmessage".
    publish.len() as u64
}

/// Keeps [`IN_FLIGHT`] publishes under way; says how many were answered.
fn as_fast_as_can_be(stream: &mut TcpStream, publish: &[u8]) -> Result<u64, String> {
    let until = now_ns() + FULL_NS;
    let half = publish.repeat(IN_FLIGHT / 2);
    let mut sent = 0;
    let mut answers = Answers::default();
    stream.write_all(&half).map_err(text)?;
    sent += IN_FLIGHT as u64 / 2;
    while now_ns() < until {
        stream.write_all(&half).map_err(text)?;
        sent += IN_FLIGHT as u64 / 2;
        answers.read_until(stream, sent - IN_FLIGHT as u64 / 2)?;
    }
    answers.read_until(stream, sent)?;
    Ok(sent)
}

/// Publishes at [`PACE`], each by itself.
fn one_by_one(stream: &mut TcpStream, publish: &[u8]) -> Result<u64, String> {
    let start = now_ns();
    let mut answers = Answers::default();
    for number in 0..PACED {
        sleep_until(start + number * 1_000_000_000 / PACE);
        stream.write_all(publish).map_err(text)?;
        answers.read_until(stream, number + 1)?;
    }
    Ok(PACED)
}

/// Answers of Redis to publishes, each a line.
#[derive(Debug, Default)]
struct Answers(u64);

impl Answers {
    fn read_until(&mut self, stream: &mut TcpStream, count: u64) -> Result<(), String> {
        let mut buffer = [0; 4096];
        while self.0 < count {
            let bytes = stream.read(&mut buffer).map_err(text)?;
            if bytes == 0 {
                return Err("Redis ended the connection".to_owned());
            }
            self.0 += buffer[..bytes].iter().filter(|byte| **byte == b'\n').count() as u64;
        }
        Ok(())
    }
}

/// Reads what comes over all connections, and counts its bytes.
fn read_all(
    streams: &mut [TcpStream],
    heard: &AtomicU64,
    is_over: &AtomicBool,
) -> Result<(), String> {
    let mut poll = Poll::new().map_err(text)?;
    for (number, stream) in streams.iter().enumerate() {
        stream.set_nonblocking(true).map_err(text)?;
        let fd = stream.as_raw_fd();
        let registry = poll.registry();
        registry.register(&mut SourceFd(&fd), Token(number), Interest::READABLE).map_err(text)?;
    }
    let mut events = Events::with_capacity(64);
    let mut buffer = vec![0; 256 * 1024];
    while !is_over.load(Relaxed) {
        match poll.poll(&mut events, Some(Duration::from_millis(20))) {
            Err(error) if error.kind() != ErrorKind::Interrupted => return Err(text(error)),
            _ => {}
        }
        for event in &events {
            let Some(stream) = streams.get_mut(event.token().0) else { continue };
            loop {
                match stream.read(&mut buffer) {
                    Ok(0) => return Err("Redis ended a subscription".to_owned()),
                    Ok(bytes) => heard.fetch_add(bytes as u64, Relaxed),
                    Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                    Err(error) => return Err(text(error)),
                };
            }
        }
    }
    Ok(())
}
