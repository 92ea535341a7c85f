//! A herd: many subscribers in one thread, which does nothing else.
//!
//! The thread owns the sockets and waits for them with epoll (`run`); what a socket does is
//! `socket`'s, what is written down is `book`'s. It is told what to do over a channel, shows how
//! far it is in [`Shared`], and hands over what it found at the end. Start reading at [`Herd`].

use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use mio::Waker;

use super::target::Target;
use super::topics::Topics;
use super::window::Window;

mod book;
mod door;
mod frames;
mod run;
mod socket;
mod source;

pub use book::{Findings, Shared};

/// What a socket is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Group {
    /// It stays and listens.
    Steady,
    /// It comes and goes.
    Passing,
    /// It reads nothing once it is in, until it is told to.
    Slow,
}

impl Group {
    /// How many there are.
    pub const COUNT: usize = 3;
}

/// Sockets that are to connect.
#[derive(Debug, Clone)]
pub struct Batch {
    /// What they are for.
    pub group: Group,
    /// Their topics, in turn.
    pub topics: Range<usize>,
    /// How many there are.
    pub sockets: u64,
    /// How many may be in at the same time; the one that has been longest leaves for the next.
    /// As many as there are, unless they are passing.
    pub stay: u64,
}

impl Batch {
    /// `sockets` that stay.
    pub fn of(group: Group, topics: Range<usize>, sockets: usize) -> Self {
        let sockets = sockets as u64;
        Self { group, topics, sockets, stay: sockets }
    }
}

/// How a herd is.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Handshakes under way at the same time.
    pub at_once: usize,
    /// Connections that publish.
    pub connections: usize,
    /// Bytes of a payload.
    pub payload_bytes: usize,
    /// How long a socket may take to get in. If that is too long for one, and no other got in
    /// meanwhile, those that have not begun are given up as well.
    pub handshake: Duration,
}

/// What a herd is told.
#[derive(Debug)]
enum Command {
    Connect(Batch),
    ReadSlow,
    Ping(usize),
    Finish,
}

/// Commands that may wait.
const MOST_COMMANDS: usize = 64;

/// A running herd. It ends with [`Herd::finish`], or when this is dropped.
#[derive(Debug)]
pub struct Herd {
    commands: SyncSender<Command>,
    waker: Waker,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<Findings>>,
}

impl Herd {
    /// Starts a herd without sockets, for a server and its topics.
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub fn start(
        settings: Settings,
        target: &Target,
        topics: &Topics,
        window: &Arc<Window>,
    ) -> io::Result<Self> {
        let (commands, heard) = sync_channel(MOST_COMMANDS);
        let shared = Arc::new(Shared::default());
        let (looping, waker) =
            run::Loop::new(settings, target, topics, heard, shared.clone(), window.clone())?;
        let thread = thread::Builder::new().name("herd".into()).spawn(|| looping.run())?;
        Ok(Self { commands, waker, shared, thread: Some(thread) })
    }

    /// How far it is.
    pub fn shared(&self) -> &Shared {
        &self.shared
    }

    /// Connects sockets, behind those that wait already.
    pub fn connect(&self, batch: Batch) {
        self.tell(Command::Connect(batch));
    }

    /// Has the slow sockets read what waits for them, from now on.
    pub fn read_slow(&self) {
        self.tell(Command::ReadSlow);
    }

    /// Sends a ping over each of the first `sockets` that are in.
    pub fn ping(&self, sockets: usize) {
        self.tell(Command::Ping(sockets));
    }

    /// Ends all sockets; what was found.
    ///
    /// # Errors
    ///
    /// The thread of the sockets died.
    pub fn finish(mut self) -> Result<Findings, String> {
        self.tell(Command::Finish);
        let ended = self.thread.take().map(JoinHandle::join);
        let words = "the thread of the sockets died; please report this";
        ended.and_then(Result::ok).ok_or_else(|| words.into())
    }

    fn tell(&self, command: Command) {
        // If the thread is gone, whoever waits for it finds out.
        let _ = self.commands.send(command);
        let _ = self.waker.wake();
    }
}

impl Drop for Herd {
    fn drop(&mut self) {
        if let Some(thread) = self.thread.take() {
            self.tell(Command::Finish);
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;
    use crate::bench::moment::{in_seconds, now_ns};
    use crate::secret::Secret;

    #[test]
    fn a_server_that_answers_nobody_is_given_up_once_and_not_for_each_socket() {
        const SOCKETS: usize = 60;
        let silent = TcpListener::bind("127.0.0.1:0").unwrap(); // The system accepts for it.
        let address = silent.local_addr().unwrap();
        let target = Target::running(address, address, Secret::new("-".repeat(32)).unwrap(), None);
        let handshake = Duration::from_millis(10);
        let settings = Settings { at_once: 1, connections: 1, payload_bytes: 100, handshake };
        let herd = Herd::start(settings, &target, &Topics::fresh(1), &Arc::default()).unwrap();
        let began = now_ns();

        herd.connect(Batch::of(Group::Steady, 0..1, SOCKETS));
        herd.connect(Batch::of(Group::Passing, 0..1, SOCKETS));
        herd.shared().passed.wait(SOCKETS as u64, Duration::from_secs(20), |_| {});

        assert!(in_seconds(now_ns() - began) < SOCKETS as f64 / 2.0);
        // The last one is counted as passed a moment before it is counted as settled.
        herd.shared().settled.wait(2 * SOCKETS as u64, Duration::from_secs(20), |_| {});
        assert_eq!(herd.shared().settled.count(), 2 * SOCKETS as u64);
        assert_eq!(herd.finish().unwrap().faults.refused, 2 * SOCKETS as u64);
    }
}
