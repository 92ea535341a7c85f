//! The floor: a program that does nothing but one prebuilt frame in one send per socket, on one
//! thread. It is the yardstick: what a delivery costs beyond it is the worker's own doing.
//!
//! One thread waits for all sockets. A publish is one wait, one read, one send to each socket of
//! its topic, and one send of the answer. There are no tokens, no registration, no limits, and no
//! mercy with slow readers, for whom it waits. Only the bench should talk to it: what is not as
//! the bench writes it is not understood (`scan`). Start reading at [`run`], then
//! `Floor::publish`.

mod scan;

use std::collections::HashMap;
use std::fs;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileTypeExt;

use mio::event::Event;
use mio::net::{TcpListener, TcpStream};
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use rustix::event::{PollFd, PollFlags, poll};
use socket2::{Domain, Protocol, Socket, Type};

use self::scan::Scan;
use crate::listener::raise_file_limit;
use crate::protocol::message;

/// Bytes that are read at a time; the rest of a longer request takes further reads.
const READ_BYTES: usize = 256 * 1024;

/// Events that are taken from the kernel at a time.
const EVENTS: usize = 1024;

/// Connections that may wait to be accepted.
const WAITING_CONNECTIONS: i32 = 4096;

const WS: Token = Token(0);
const INTERNAL: Token = Token(1);
const STDIN: Token = Token(2);

/// The token of the first connection.
const FIRST: usize = 3;

const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

/// Serves on loopback until it is killed, or until its standard input ends if that is a pipe: so
/// it goes with whoever started it. Ports of 0 are any free ones; where it listens is said on
/// standard error as a worker says it in its log.
///
/// # Errors
///
/// One line that says what is wrong and what to do.
pub fn run(ws_port: u16, internal_port: u16) -> Result<(), String> {
    raise_file_limit();
    let mut floor = Floor::bind(ws_port, internal_port).map_err(|error| {
        format!("the floor cannot listen on ports {ws_port} and {internal_port}: {error}; choose others, or 0 for free ones")
    })?;
    floor.serve().map_err(|error| format!("the floor cannot go on: {error}"))
}

/// All there is.
struct Floor {
    poll: Poll,
    ws: TcpListener,
    internal: TcpListener,
    /// By token, from [`FIRST`] on.
    connections: Vec<Connection>,
    /// Places in `connections` that are free.
    free: Vec<usize>,
    topics: Vec<Topic>,
    /// Places in `topics`.
    names: HashMap<Box<[u8]>, usize>,
    /// What is read, whoever it is from.
    buffer: Box<[u8]>,
}

/// Who is at the other end.
enum Connection {
    Nobody,
    /// A browser that has not sent its whole request yet.
    Opening(TcpStream, Vec<u8>),
    /// A browser; its socket stands with its topic.
    Subscribed {
        topic: usize,
        place: usize,
    },
    /// PHP, and the part of a request that has come.
    Publisher(TcpStream, Vec<u8>),
}

/// The sockets of a topic, close together, and the connection of each.
#[derive(Default)]
struct Topic {
    sockets: Vec<TcpStream>,
    connections: Vec<usize>,
}

impl Floor {
    fn bind(ws_port: u16, internal_port: u16) -> io::Result<Self> {
        let poll = Poll::new()?;
        let mut floor = Self {
            ws: listen(ws_port)?,
            internal: listen(internal_port)?,
            poll,
            connections: Vec::new(),
            free: Vec::new(),
            topics: Vec::new(),
            names: HashMap::new(),
            buffer: vec![0; READ_BYTES].into_boxed_slice(),
        };
        let registry = floor.poll.registry();
        registry.register(&mut floor.ws, WS, Interest::READABLE)?;
        registry.register(&mut floor.internal, INTERNAL, Interest::READABLE)?;
        let stdin = io::stdin().as_raw_fd();
        if fs::metadata("/proc/self/fd/0").is_ok_and(|file| file.file_type().is_fifo()) {
            registry.register(&mut SourceFd(&stdin), STDIN, Interest::READABLE)?;
        }
        Ok(floor)
    }

    fn serve(&mut self) -> io::Result<()> {
        let (ws, internal) = (self.ws.local_addr()?, self.internal.local_addr()?);
        let line =
            format!("{{\"message\":\"listening\",\"ws\":\"{ws}\",\"internal\":\"{internal}\"}}\n");
        // One write, or whoever reads it might have half a line.
        io::stderr().write_all(line.as_bytes())?;
        let mut events = Events::with_capacity(EVENTS);
        loop {
            match self.poll.poll(&mut events, None) {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                polled => polled?,
            }
            for event in &events {
                match event.token() {
                    WS => self.accept(WS)?,
                    INTERNAL => self.accept(INTERNAL)?,
                    STDIN if event.is_read_closed() => return Ok(()),
                    STDIN => {}
                    Token(token) => self.read(token - FIRST, event),
                }
            }
        }
    }

    /// Takes every connection that waits.
    fn accept(&mut self, port: Token) -> io::Result<()> {
        loop {
            let listener = if port == WS { &self.ws } else { &self.internal };
            let mut stream = match listener.accept() {
                Ok((stream, _)) => stream,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::ConnectionAborted => continue,
                Err(error) => return Err(error),
            };
            let at = self.free.pop().unwrap_or_else(|| {
                self.connections.push(Connection::Nobody);
                self.connections.len() - 1
            });
            let registry = self.poll.registry();
            registry.register(&mut stream, Token(at + FIRST), Interest::READABLE)?;
            self.connections[at] = match port {
                WS => Connection::Opening(stream, Vec::new()),
                _ => Connection::Publisher(stream, Vec::new()),
            };
        }
    }

    /// Reads what came on the connection `at`, and does what it asks for.
    fn read(&mut self, at: usize, event: &Event) {
        loop {
            let stream = match &mut self.connections[at] {
                // Its end was in the same row of events as this.
                Connection::Nobody => return,
                Connection::Opening(stream, _) | Connection::Publisher(stream, _) => stream,
                Connection::Subscribed { topic, place } => &mut self.topics[*topic].sockets[*place],
            };
            let count = match stream.read(&mut self.buffer) {
                Ok(0) => return self.end(at),
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(_) => return self.end(at),
            };
            match &self.connections[at] {
                // Whatever it says.
                Connection::Subscribed { .. } | Connection::Nobody => {}
                Connection::Opening(..) => self.open(at, count),
                Connection::Publisher(..) => self.answer(at, count),
            }
            // A read that does not fill the buffer has taken all there is, and the kernel tells
            // of what comes from now on; but the end of a stream that came with it is not told
            // again.
            if count < self.buffer.len() && !event.is_read_closed() {
                return;
            }
        }
    }

    /// Goes on with the handshake of `at`, of which `count` bytes stand in the buffer: when it
    /// is whole, the socket is subscribed.
    fn open(&mut self, at: usize, count: usize) {
        let Connection::Opening(_, request) = &mut self.connections[at] else { return };
        request.extend_from_slice(&self.buffer[..count]);
        let upgrade = match scan::upgrade(request) {
            Scan::Partial => return,
            Scan::Strange => return self.end(at),
            Scan::Whole(upgrade) => upgrade,
        };
        let name = upgrade.topic.into();
        let topic = *self.names.entry(name).or_insert_with(|| {
            self.topics.push(Topic::default());
            self.topics.len() - 1
        });
        let place = self.topics[topic].sockets.len();
        let switching = scan::switching(upgrade.key);
        let subscribed = Connection::Subscribed { topic, place };
        let opening = std::mem::replace(&mut self.connections[at], subscribed);
        let Connection::Opening(mut stream, _) = opening else { return };
        // Before anything else is sent to it. Whether it has gone is seen when it is read.
        send(&mut stream, &switching);
        self.topics[topic].sockets.push(stream);
        self.topics[topic].connections.push(at);
    }

    /// Goes on with the requests of `at`, of which `count` bytes stand in the buffer.
    fn answer(&mut self, at: usize, count: usize) {
        let Connection::Publisher(_, begun) = &mut self.connections[at] else { return };
        // Nearly always the buffer has whole requests, and nothing is copied.
        let mut begun = std::mem::take(begun);
        let in_place = begun.is_empty();
        if !in_place {
            begun.extend_from_slice(&self.buffer[..count]);
        }
        let mut done = 0;
        loop {
            let requests = if in_place { &self.buffer[done..count] } else { &begun[done..] };
            let (bytes, publish) = match scan::request(requests) {
                Scan::Partial => break,
                Scan::Strange => return self.end(at),
                Scan::Whole(request) => (request.bytes, request.publish),
            };
            if let Some(publish) = publish
                && let Some(&topic) = self.names.get(publish.topic)
            {
                let frame = message::push_frame(publish.payload);
                for socket in &mut self.topics[topic].sockets {
                    send(socket, &frame);
                }
            }
            done += bytes;
            let Connection::Publisher(stream, _) = &mut self.connections[at] else { return };
            send(stream, OK);
        }
        let Connection::Publisher(_, rest) = &mut self.connections[at] else { return };
        if in_place {
            begun.extend_from_slice(&self.buffer[done..count]);
        } else {
            begun.drain(..done);
        }
        *rest = begun;
    }

    /// Forgets the connection `at`, and closes it.
    fn end(&mut self, at: usize) {
        let ended = std::mem::replace(&mut self.connections[at], Connection::Nobody);
        if let Connection::Subscribed { topic, place } = ended {
            let topic = &mut self.topics[topic];
            topic.sockets.swap_remove(place);
            topic.connections.swap_remove(place);
            // The last one has moved to its place.
            if let Some(&moved) = topic.connections.get(place)
                && let Connection::Subscribed { place: at, .. } = &mut self.connections[moved]
            {
                *at = place;
            }
        }
        self.free.push(at);
    }
}

/// Sends all of `bytes`, and waits where the kernel does not take them. A peer that has gone is
/// none of its business: that is seen when it is read.
#[inline]
fn send(stream: &mut TcpStream, bytes: &[u8]) {
    match stream.write(bytes) {
        Ok(count) if count == bytes.len() => {}
        Ok(count) => send_rest(stream, &bytes[count..]),
        Err(error) if error.kind() == ErrorKind::WouldBlock => send_rest(stream, bytes),
        Err(_) => {}
    }
}

#[cold]
fn send_rest(stream: &mut TcpStream, mut bytes: &[u8]) {
    while !bytes.is_empty() {
        // Only a signal ends it early, and then it is tried again.
        let _ = poll(&mut [PollFd::new(stream, PollFlags::OUT)], None);
        match stream.write(bytes) {
            Ok(count) => bytes = &bytes[count..],
            Err(error) if is_passing(&error) => {}
            Err(_) => return,
        }
    }
}

fn is_passing(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}

fn listen(port: u16) -> io::Result<TcpListener> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    // Linux gives it to every connection that is accepted, which saves a call for each.
    socket.set_tcp_nodelay(true)?;
    socket.bind(&address.into())?;
    socket.listen(WAITING_CONNECTIONS)?;
    Ok(TcpListener::from_std(socket.into()))
}
