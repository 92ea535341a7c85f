//! The loop of a herd: epoll, one read for each socket that has something, and nothing else.
//!
//! Edge-triggered: a read that does not fill the buffer has taken all there was. Start reading at
//! [`Loop::run`].

use std::collections::VecDeque;
use std::io::{self, Read};
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::Duration;

use mio::event::Event;
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token, Waker};

use super::book::{Book, Findings, Shared};
use super::door::Door;
use super::frames;
use super::socket::{End, Phase, Socket};
use super::source::Sources;
use super::{Batch, Command, Group, Settings};
use crate::bench::moment::{nanos, now_ns};
use crate::bench::target::Target;
use crate::bench::topics::Topics;
use crate::bench::window::Window;

/// The event that means: there is a command.
const COMMAND: Token = Token(usize::MAX);

/// Bytes that are read at a time, by all sockets into the same place.
const SCRATCH_BYTES: usize = 64 << 10;

/// Events that are taken at a time.
const EVENTS: usize = 1024;

/// How often that is looked after.
const SWEEP: Duration = Duration::from_secs(1);

/// The receive buffer of a slow socket: little, so that it is full soon.
const SLOW_RECEIVE_BYTES: usize = 4096;

/// The sockets, and everything they need.
pub struct Loop {
    settings: Settings,
    poll: Poll,
    commands: Receiver<Command>,
    sources: Sources,
    doors: Vec<Door>,
    sockets: Vec<Option<Socket>>,
    /// Places in `sockets` that are free.
    free: Vec<usize>,
    /// What has yet to begin, the first one first, and how many of that one have begun.
    batches: VecDeque<Batch>,
    begun: u64,
    /// Handshakes under way.
    under_way: usize,
    /// Passing sockets that are in, the longest one first.
    passing: VecDeque<usize>,
    /// Passing sockets that left.
    left: u64,
    slow_read: bool,
    /// When a socket was let in for the last time.
    let_in_ns: u64,
    swept_ns: u64,
    scratch: Vec<u8>,
    book: Book,
}

impl Loop {
    /// Without sockets yet.
    pub fn new(
        settings: Settings,
        target: &Target,
        topics: &Topics,
        commands: Receiver<Command>,
        shared: Arc<Shared>,
        window: Arc<Window>,
    ) -> io::Result<(Self, Waker)> {
        let poll = Poll::new()?;
        let waker = Waker::new(poll.registry(), COMMAND)?;
        let book = Book::new(shared, window, settings.payload_bytes);
        let looping = Self {
            settings,
            poll,
            commands,
            sources: Sources::to(target.ws),
            doors: Door::all(target, topics),
            sockets: vec![],
            free: vec![],
            batches: VecDeque::new(),
            begun: 0,
            under_way: 0,
            passing: VecDeque::new(),
            left: 0,
            slow_read: false,
            let_in_ns: 0,
            swept_ns: now_ns(),
            scratch: vec![0; SCRATCH_BYTES],
            book,
        };
        Ok((looping, waker))
    }

    /// Runs until it is told to finish.
    pub fn run(mut self) -> Findings {
        let mut events = Events::with_capacity(EVENTS);
        loop {
            let timeout = (self.under_way > 0).then_some(SWEEP);
            if self.poll.poll(&mut events, timeout).is_err() {
                continue; // A signal.
            }
            for event in &events {
                if event.token() == COMMAND {
                    while let Ok(command) = self.commands.try_recv() {
                        if let Command::Finish = command {
                            return self.finish();
                        }
                        self.obey(command);
                    }
                } else {
                    self.serve(event);
                }
            }
            self.sweep();
            self.begin();
            // Who measures the time of others on this core shall not wait for a tick.
            std::thread::yield_now();
        }
    }

    fn obey(&mut self, command: Command) {
        match command {
            Command::Connect(batch) => self.batches.push_back(batch),
            Command::ReadSlow => {
                self.slow_read = true;
                for at in 0..self.sockets.len() {
                    let slow = self.sockets[at].as_ref().map(|socket| socket.group);
                    if slow == Some(Group::Slow) {
                        self.read(at, true);
                    }
                }
            }
            Command::Ping(sockets) => self.ping(sockets),
            Command::Finish => {}
        }
    }

    /// Something happened at a socket.
    fn serve(&mut self, event: &Event) {
        let at = event.token().0;
        let Some(socket) = self.sockets.get_mut(at).and_then(Option::as_mut) else {
            return; // It ended in this very round.
        };
        if socket.phase == Phase::Connecting {
            if let Err(end) = socket.connected(&self.doors[socket.topic()]) {
                self.end(at, end);
            }
        } else if event.is_readable() || event.is_error() {
            self.read(at, event.is_read_closed() || event.is_error());
        }
    }

    /// Reads what there is for a socket; `to_the_end` if there may be more than one read gives.
    fn read(&mut self, at: usize, to_the_end: bool) {
        loop {
            let Some(socket) = self.sockets[at].as_mut() else {
                return;
            };
            let was_open = socket.phase == Phase::Open;
            if was_open && socket.group == Group::Slow && !self.slow_read {
                return;
            }
            let count = match socket.stream.read(&mut self.scratch) {
                Ok(0) => {
                    let end = socket.end(End::ByServer);
                    return self.end(at, end);
                }
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(_) => {
                    let end = socket.end(End::ByServer);
                    return self.end(at, end);
                }
            };
            let now = now_ns();
            let door = &self.doors[socket.topic()];
            let heard = socket.heard(&self.scratch[..count], now, door, &mut self.book);
            let is_open = socket.phase == Phase::Open;
            if is_open && !was_open {
                self.let_in(at);
            }
            if let Err(end) = heard {
                return self.end(at, end);
            }
            if count < self.scratch.len() && !to_the_end {
                return;
            }
        }
    }

    /// A socket is in: its place among the handshakes is free, and a passing one may leave.
    fn let_in(&mut self, at: usize) {
        self.under_way -= 1;
        self.let_in_ns = now_ns();
        if self.sockets[at].as_ref().is_some_and(|socket| socket.group == Group::Passing) {
            self.passing.push_back(at);
        }
    }

    fn end(&mut self, at: usize, end: End) {
        let Some(socket) = self.sockets[at].take() else {
            return;
        };
        self.free.push(at);
        let group = socket.group;
        if socket.phase == Phase::Open {
            if group == Group::Passing {
                self.passing.retain(|passing| *passing != at);
            }
            self.book.gone(group, end == End::ByServer, socket.received(false));
        } else {
            self.under_way -= 1;
            let trouble = match end {
                End::Refused(trouble) => trouble,
                End::ByServer | End::Broken => "the handshake makes no sense".into(),
            };
            self.book.refused(group, trouble);
        }
    }

    /// Begins as many connections as may be under way, and ends passing ones that stayed long
    /// enough.
    fn begin(&mut self) {
        while let Some(Batch { group, topics, sockets, stay }) = self.batches.front().cloned() {
            let stay = if self.begun < sockets { stay } else { 0 };
            while self.passing.len() as u64 > stay {
                self.leave();
            }
            if self.begun == sockets {
                // The last passing ones have yet to come in, and to leave.
                if group == Group::Passing && self.under_way > 0 {
                    return;
                }
                self.batches.pop_front();
                self.begun = 0;
                continue;
            }
            if self.under_way >= self.settings.at_once {
                return;
            }
            let topic = topics.start + (self.begun % topics.len().max(1) as u64) as usize;
            self.begun += 1;
            let receive_bytes = (group == Group::Slow).then_some(SLOW_RECEIVE_BYTES);
            match self.sources.connect(receive_bytes) {
                Ok(stream) => self.adopt(stream, group, topic),
                Err(error) => self.book.not_made(group, &error),
            }
        }
    }

    fn adopt(&mut self, mut stream: TcpStream, group: Group, topic: usize) {
        let at = self.free.pop().unwrap_or(self.sockets.len());
        let interest = Interest::READABLE | Interest::WRITABLE;
        if let Err(error) = self.poll.registry().register(&mut stream, Token(at), interest) {
            self.book.not_made(group, &error);
            return;
        }
        let socket = Socket::new(stream, group, topic as u32, self.settings.connections);
        match self.sockets.get_mut(at) {
            Some(place) => *place = Some(socket),
            None => self.sockets.push(Some(socket)),
        }
        self.under_way += 1;
    }

    /// The passing socket that has been in longest leaves. Every other one says so, as a browser
    /// does; the rest are gone without a word, as one that crashed.
    fn leave(&mut self) {
        let Some(at) = self.passing.pop_front() else {
            return;
        };
        // What waits for it is still read, so that it is owed no more than it can have seen.
        self.read(at, true);
        if let Some(mut socket) = self.sockets[at].take() {
            self.free.push(at);
            self.left += 1;
            if self.left.is_multiple_of(2) {
                // Whether it can be said or not, the connection ends.
                let _ = socket.say(&frames::going_away());
            }
            self.book.gone(socket.group, false, socket.received(false));
        }
    }

    fn ping(&mut self, sockets: usize) {
        let mut left = sockets;
        for at in 0..self.sockets.len() {
            let Some(socket) = self.sockets[at].as_mut().filter(|s| s.phase == Phase::Open) else {
                continue;
            };
            if left == 0 {
                return;
            }
            left -= 1;
            if socket.say(&frames::ping(&now_ns().to_be_bytes())).is_err() {
                self.end(at, End::ByServer);
            }
        }
    }

    /// Gives up handshakes that take too long.
    fn sweep(&mut self) {
        let now = now_ns();
        if self.under_way == 0 || now - self.swept_ns < nanos(SWEEP) {
            return;
        }
        self.swept_ns = now;
        let patience = self.settings.handshake;
        let is_late = |since_ns: u64| now.saturating_sub(since_ns) > nanos(patience);
        let trouble = || format!("the handshake takes more than {} s", patience.as_secs());
        let mut some_are_late = false;
        for at in 0..self.sockets.len() {
            let socket = self.sockets[at].as_ref();
            if socket.is_some_and(|it| it.phase != Phase::Open && is_late(it.began_ns)) {
                self.end(at, End::Refused(trouble()));
                some_are_late = true;
            }
        }
        if some_are_late && is_late(self.let_in_ns) {
            self.give_up(&trouble());
        }
    }

    /// Nobody is let in any more: what has yet to begin would only take as long, row after row.
    fn give_up(&mut self, trouble: &str) {
        let mut begun = self.begun;
        for batch in &mut self.batches {
            for _ in begun..batch.sockets {
                self.book.refused(batch.group, trouble.to_owned());
            }
            batch.sockets = begun;
            begun = 0;
        }
    }

    fn finish(mut self) -> Findings {
        for socket in self.sockets.into_iter().flatten() {
            if socket.phase == Phase::Open {
                self.book.findings.received.push(socket.received(true));
            }
        }
        self.book.findings
    }
}
