//! One subscriber: from its first packet to what it was sent.
//!
//! Small, because there are many: a socket that is in keeps no buffer, unless a frame came in
//! pieces. Start reading at [`Socket::heard`].

use std::io::{self, Write};
use std::mem;

use mio::net::TcpStream;

use super::Group;
use super::book::{Book, Received};
use super::door::{self, Door};
use super::frames::{self, Frame, Next};
use crate::bench::check::Stream;
use crate::bench::moment::now_ns;

/// Bytes that a buffer for pieces may keep when it is empty.
const KEPT_BYTES: usize = 16 << 10;

/// A subscriber.
#[derive(Debug)]
pub struct Socket {
    /// The connection.
    pub stream: TcpStream,
    /// What it is for.
    pub group: Group,
    /// How far it is.
    pub phase: Phase,
    /// When its first packet left.
    pub began_ns: u64,
    topic: u32,
    ready_ns: u64,
    /// What came of a frame, or of a head, that is not all there.
    pieces: Vec<u8>,
    streams: Box<[Stream]>,
}

/// How far a socket is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// The connection is being made.
    Connecting,
    /// The upgrade was asked for.
    Upgrading,
    /// The auth frame was sent.
    Authenticating,
    /// It is subscribed.
    Open,
}

/// Why a socket ends.
#[derive(Debug, PartialEq, Eq)]
pub enum End {
    /// The server ended it, in good order or not.
    ByServer,
    /// It was not let in.
    Refused(String),
    /// What it sent makes no sense any more.
    Broken,
}

impl Socket {
    /// A subscriber of `topic` whose connection begins, for publishers with `connections`.
    pub fn new(stream: TcpStream, group: Group, topic: u32, connections: usize) -> Self {
        Self {
            stream,
            group,
            phase: Phase::Connecting,
            began_ns: now_ns(),
            topic,
            ready_ns: 0,
            pieces: vec![],
            streams: vec![Stream::default(); connections].into_boxed_slice(),
        }
    }

    /// The topic.
    pub fn topic(&self) -> usize {
        self.topic as usize
    }

    /// It is writable: if its connection is there now, asks for the upgrade.
    pub fn connected(&mut self, door: &Door) -> Result<(), End> {
        let refused = |error: io::Error| End::Refused(format!("cannot connect: {error}"));
        if let Some(error) = self.stream.take_error().map_err(refused)? {
            return Err(refused(error));
        }
        match self.stream.peer_addr() {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotConnected => return Ok(()),
            Err(error) => return Err(refused(error)),
        }
        self.phase = Phase::Upgrading;
        self.say(&door.upgrade).map_err(|error| End::Refused(format!("cannot write: {error}")))
    }

    /// Sends `bytes` whole. There is always room for a few, unless the server does not read.
    pub fn say(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self.stream.write(bytes)? {
            count if count == bytes.len() => Ok(()),
            _ => Err(io::ErrorKind::WouldBlock.into()),
        }
    }

    /// `input` came at `now`.
    pub fn heard(
        &mut self,
        input: &[u8],
        now: u64,
        door: &Door,
        book: &mut Book,
    ) -> Result<(), End> {
        let mut arrived = 0;
        let result = if self.pieces.is_empty() {
            self.read(input, now, door, book, &mut arrived).map(|done| {
                self.pieces.extend_from_slice(&input[done..]);
            })
        } else {
            let mut pieces = mem::take(&mut self.pieces);
            pieces.extend_from_slice(input);
            self.read(&pieces, now, door, book, &mut arrived).map(|done| {
                pieces.drain(..done);
                if !pieces.is_empty() || pieces.capacity() <= KEPT_BYTES {
                    self.pieces = pieces;
                }
            })
        };
        if arrived > 0 {
            book.shared.arrived(self.group).add(arrived);
        }
        result
    }

    /// Reads what is whole in `input`; how many bytes that is. Counts the pushes in `arrived`.
    fn read(
        &mut self,
        input: &[u8],
        now: u64,
        door: &Door,
        book: &mut Book,
        arrived: &mut u64,
    ) -> Result<usize, End> {
        let mut done = 0;
        if self.phase == Phase::Upgrading {
            match door.answered(input).map_err(End::Refused)? {
                Some(head) => done = head,
                None => return Ok(0),
            }
            match &door.auth {
                None => self.ready(now, book),
                Some(auth) => {
                    self.phase = Phase::Authenticating;
                    let said = self.say(auth);
                    said.map_err(|error| End::Refused(format!("cannot write: {error}")))?;
                }
            }
        }
        loop {
            let (frame, bytes) = match frames::next(&input[done..]) {
                Next::Frame(frame, bytes) => (frame, bytes),
                Next::Incomplete => return Ok(done),
                Next::Broken => {
                    book.broken();
                    return Err(self.end(End::Broken));
                }
            };
            match frame {
                Frame::Text(message) if self.phase == Phase::Open => {
                    let fresh = book.push(message, now, self.topic, self.group, &mut self.streams);
                    *arrived += u64::from(fresh);
                }
                Frame::Text(message) if door::is_auth_ok(message) => self.ready(now, book),
                Frame::Text(message) => return Err(End::Refused(told(message))),
                Frame::Ping(payload) => {
                    self.say(&frames::pong(payload)).map_err(|_| self.end(End::ByServer))?;
                }
                Frame::Pong(payload) => {
                    if let Ok(sent) = payload.try_into().map(u64::from_be_bytes) {
                        book.findings.pings.record(now.saturating_sub(sent));
                        book.shared.pongs.add(1);
                    }
                }
                Frame::Close(_) => return Err(self.end(End::ByServer)),
            }
            done += bytes;
        }
    }

    /// `end`, or a refusal if it was not in yet.
    pub fn end(&self, end: End) -> End {
        if self.phase == Phase::Open {
            end
        } else {
            End::Refused("the connection ended before auth_ok".into())
        }
    }

    fn ready(&mut self, now: u64, book: &mut Book) {
        self.phase = Phase::Open;
        self.ready_ns = now;
        book.let_in(self.group, self.began_ns, now);
    }

    /// What came to it.
    pub fn received(self, stayed: bool) -> Received {
        let Self { topic, ready_ns, streams, .. } = self;
        Received { topic, ready_ns, stayed, streams }
    }
}

/// What a server said instead of `auth_ok`, for a person.
fn told(message: &[u8]) -> String {
    const MOST_CHARS: usize = 80;
    let text = String::from_utf8_lossy(message);
    let text: String = text.chars().take(MOST_CHARS).collect();
    format!("the auth frame is answered with {text:?}")
}
