//! The thread that serves all sockets of the public port.
//!
//! An epoll set of its own instead of a task per socket: an idle browser costs its entry in a
//! table, its session and its link, some 200 bytes in all. This thread accepts, reads, and comes
//! back to links in trouble. What is published is not its business: the hub's drainers write to
//! the links themselves. Start reading at [`EventLoop::run`].

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::{Arc, Weak};
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use mio::event::Event;
use mio::net::{TcpListener, TcpStream};
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token, Waker};
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

use super::handshake::{Authenticated, Handshake, Next};
use super::orders::{CLOSE, Orders, QUIT, Running};
use super::questions::{Answer, Questions};
use super::resync::Walk;
use super::session::{Beginning, Session};
use super::watch::{Deadlines, Rounds};
use super::{WsContext, pages};
use crate::clock::{Moment, millis};
use crate::link::{Link, Slots};
use crate::listener::{self, Listener, Seldom};
use crate::problems::Kind;
use crate::protocol::close::CloseCode;
use crate::protocol::frame;
use crate::registry::Lookup;

/// The listening socket among the events; places in the table are all below.
const LISTENER: Token = Token(usize::MAX);

/// Somebody wakes the loop.
const WAKER: Token = Token(usize::MAX - 1);

/// Events that are taken at a time.
const EVENTS: usize = 512;

/// Connections that are accepted before others have their turn.
const ACCEPTS: usize = 64;

/// Bytes that are read at a time, into one buffer for all sockets.
const READ_BYTES: usize = 16 * 1024;

/// Reads after which others have their turn: a browser that floods holds nobody up.
const READS_IN_A_ROW: usize = 4;

/// Browsers that are pinged or looked at before others have their turn.
const LOOKS_IN_A_ROW: usize = 64;

/// Places that a resync visits before others have their turn.
const VISITS_IN_A_ROW: usize = 4096;

/// Browsers that a resync closes before others have their turn.
const CLOSES_IN_A_ROW: usize = 64;

/// Time between two looks at the links in trouble, in milliseconds.
const TROUBLE_MS: u64 = 50;

/// Pause after an accept that failed for lack of something, such as open files, in milliseconds.
const ACCEPT_PAUSE_MS: u64 = 50;

/// How long a refused browser may take to end its side.
const END_PATIENCE_MS: u64 = 2000;

/// What a browser is told that cannot be taken, whatever it asks for.
const FULL: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\n\
    Connection: close\r\nContent-Length: 0\r\n\r\n";

/// The event loop of the public port, before it runs.
pub struct EventLoop {
    poll: Poll,
    waker: Arc<Waker>,
    listener: TcpListener,
}

/// One connection.
enum Connection {
    /// It is not let in yet.
    New(Box<NewConnection>),
    /// It is a browser that was let in.
    Session(Box<Session>),
    /// The browser has ended its side and still takes what waits for it.
    Leaving(Arc<Link>),
}

struct NewConnection {
    handshake: Handshake,
    /// Its key among the deadlines.
    deadline: u32,
    /// The number of its last question.
    question: u64,
    /// Whether it came when the node was ending already. The end does not wait for it.
    is_late: bool,
}

/// Whether a connection may have sent more than was read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Rest {
    Perhaps,
    No,
}

/// What the thread owns.
struct Port {
    poll: Poll,
    listener: TcpListener,
    context: WsContext,
    runtime: Handle,
    orders: Arc<Orders>,
    connections: Slots<Connection>,
    /// How many of them the end does not wait for.
    late: usize,
    questions: Questions,
    /// The resync that is carried out.
    walk: Option<Walk>,
    deadlines: Deadlines,
    rounds: Rounds,
    /// Links in trouble, and when to look at them.
    troubled: Vec<Weak<Link>>,
    troubled_ms: u64,
    /// Places that may have more to read although no event will say so.
    again: Vec<u32>,
    /// Whether connections may wait to be accepted, and from when.
    accept_from_ms: Option<u64>,
    failing: Seldom,
    full: Seldom,
    closing: bool,
    /// The time of this turn.
    now_ms: u64,
    scratch: Box<[u8]>,
}

impl EventLoop {
    /// An event loop that will serve what comes to `listener`.
    ///
    /// # Errors
    ///
    /// Those of the system: no more files.
    pub fn new(listener: Listener) -> io::Result<Self> {
        let poll = Poll::new()?;
        let waker = Arc::new(Waker::new(poll.registry(), WAKER)?);
        let mut listener = TcpListener::from_std(listener.into_std());
        poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
        Ok(Self { poll, waker, listener })
    }

    /// What wakes the loop, for links in trouble.
    pub fn waker(&self) -> Arc<Waker> {
        Arc::clone(&self.waker)
    }

    /// Serves on a thread of its own. Needs a runtime, for pages.
    ///
    /// # Errors
    ///
    /// Those of the system: no more threads.
    pub fn run(self, context: WsContext) -> io::Result<Running> {
        let Self { poll, waker, listener } = self;
        let orders = Arc::new(Orders::new(Arc::clone(&waker)));
        let runtime = Handle::current();
        let ended = CancellationToken::new();
        let tell_ended = ended.clone().drop_guard(); // Whatever the end is, also a panic.
        let now_ms = context.links.clock.now_ms();
        let port = Port {
            poll,
            listener,
            orders: Arc::clone(&orders),
            connections: Slots::default(),
            late: 0,
            questions: Questions::new(waker, runtime.clone()),
            walk: None,
            runtime,
            deadlines: Deadlines::default(),
            rounds: Rounds::new(context.session, now_ms),
            troubled: Vec::new(),
            troubled_ms: 0,
            again: Vec::new(),
            accept_from_ms: None,
            failing: Seldom::default(),
            full: Seldom::default(),
            closing: false,
            now_ms,
            scratch: vec![0; READ_BYTES].into(),
            context,
        };
        thread::Builder::new().name("sockets".to_owned()).spawn(move || {
            port.serve();
            drop(tell_ended);
        })?;
        Ok(Running { orders, ended })
    }
}

impl Port {
    /// Serves until told to end.
    fn serve(mut self) {
        let mut events = Events::with_capacity(EVENTS);
        loop {
            match self.poll.poll(&mut events, self.patience()) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => {
                    error!(%error, "browsers cannot be served any more");
                    return;
                }
            }
            let begun = Moment::now();
            self.now_ms = self.context.links.clock.now_ms();
            for answer in self.questions.take() {
                self.hear(&answer);
            }
            for event in &events {
                match event.token() {
                    LISTENER => self.accept_from_ms = Some(self.now_ms),
                    WAKER => {}
                    Token(place) => self.handle(place as u32, event),
                }
            }
            let given = self.orders.given();
            if given == QUIT || self.is_over() {
                return;
            }
            self.obey(given);
            self.accept();
            self.read_again();
            self.see_to_trouble();
            for place in self.deadlines.due(self.now_ms) {
                self.time_out(place);
            }
            self.keep_alive();
            self.resync();
            self.context.metrics.loop_lag.observe_us(Moment::now().us_since(begun));
        }
    }

    /// How long to wait for events.
    fn patience(&self) -> Option<Duration> {
        if !self.again.is_empty() || self.is_over() {
            return Some(Duration::ZERO);
        }
        let trouble = (!self.troubled.is_empty()).then_some(self.troubled_ms);
        let resync = self.walk.as_ref().and_then(Walk::next_ms);
        let times = [self.accept_from_ms, trouble, self.deadlines.look_ms(), resync];
        let next_ms = times.into_iter().flatten().fold(self.rounds.next_ms(), u64::min);
        let now_ms = self.context.links.clock.now_ms();
        Some(Duration::from_millis(next_ms.saturating_sub(now_ms)))
    }

    /// Whether everybody whom the end waits for is gone.
    fn is_over(&self) -> bool {
        self.closing && self.connections.len() == self.late
    }

    fn obey(&mut self, given: u8) {
        if given >= CLOSE && !self.closing {
            self.closing = true;
            for place in 0..self.connections.places() {
                let next = match self.connections.get_mut(place) {
                    Some(Connection::New(new)) if new.is_late => continue,
                    Some(Connection::New(new)) => new.handshake.go_away(&self.context),
                    Some(Connection::Session(session)) => {
                        session.close(CloseCode::GoingAway);
                        continue;
                    }
                    Some(Connection::Leaving(_)) | None => continue,
                };
                self.go_on(place, next);
            }
        }
    }

    /// Accepts what waits, as far as it is its turn.
    fn accept(&mut self) {
        if self.accept_from_ms.is_none_or(|from_ms| self.now_ms < from_ms) {
            return;
        }
        for _ in 0..ACCEPTS {
            match self.listener.accept() {
                Ok((stream, peer)) => self.welcome(stream, peer),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.accept_from_ms = None;
                    return;
                }
                Err(error) if listener::is_of_one_connection(&error) => {}
                Err(error) => {
                    if self.failing.now() {
                        warn!(%error, "{}", listener::CANNOT_ACCEPT);
                    }
                    self.context.metrics.problems.note(Kind::FilesFull, || error.to_string());
                    self.accept_from_ms = Some(self.now_ms + ACCEPT_PAUSE_MS);
                    return;
                }
            }
        }
    }

    fn welcome(&mut self, stream: TcpStream, peer: SocketAddr) {
        if self.connections.len() >= self.context.max_connections {
            self.refuse(&stream);
            return;
        }
        let fd = stream.as_raw_fd();
        let at_ms = self.now_ms + millis(self.context.http.request_timeout);
        let handshake = Handshake::new(stream, peer);
        let is_late = self.context.stopping.is_cancelled();
        self.late += usize::from(is_late);
        let place = self.connections.insert_with(|place| {
            let deadline = self.deadlines.enter(place, at_ms);
            Connection::New(Box::new(NewConnection { handshake, deadline, question: 0, is_late }))
        });
        let watched = SourceFd(&fd);
        if let Err(error) = self.watch(watched, place, Interest::READABLE) {
            if self.failing.now() {
                warn!(%error, "{}", listener::CANNOT_ACCEPT);
            }
            self.end(place);
        }
    }

    fn watch(&self, mut fd: SourceFd<'_>, place: u32, interest: Interest) -> io::Result<()> {
        self.poll.registry().register(&mut fd, Token(place as usize), interest)
    }

    /// Turns a connection away at once: there are too many.
    fn refuse(&mut self, stream: &TcpStream) {
        self.context.metrics.refused_full.inc();
        let most = self.context.max_connections;
        let detail = || format!("{most} browsers are connected, and no more can be");
        self.context.metrics.problems.note(Kind::FilesFull, detail);
        self.context.metrics.handshakes.refused_full.inc();
        let _ = io::Write::write(&mut &*stream, FULL); // It takes it now, or never.
        if self.full.now() {
            warn!(
                "no more browsers are taken: nearly all files are open; raise the limit (ulimit -n)"
            );
        }
    }

    /// Something happened to the connection at `place`, or to one that had it before.
    fn handle(&mut self, place: u32, event: &Event) {
        let has_room = event.is_writable() || event.is_error();
        let link = match self.connections.get(place) {
            Some(Connection::New(new)) if new.handshake.is_busy() => {
                if has_room {
                    self.send(place);
                }
                return;
            }
            Some(Connection::New(_)) => None,
            Some(Connection::Session(session)) => Some(session.link()),
            Some(Connection::Leaving(link)) => Some(link),
            None => return,
        };
        if let Some(link) = link {
            self.context.metrics.session_wakeups.inc();
            if has_room {
                link.flush();
            }
        }
        let no_more = event.is_read_closed() || event.is_error();
        if no_more || event.is_readable() {
            self.read(place, if no_more { Rest::Perhaps } else { Rest::No });
        }
    }

    /// Reads what has come. `rest` is whether there may be more behind a read that does not fill
    /// the buffer: the end, which is not said again.
    fn read(&mut self, place: u32, rest: Rest) {
        for _ in 0..READS_IN_A_ROW {
            let read = match self.connections.get_mut(place) {
                Some(Connection::New(new)) if new.handshake.is_busy() => return,
                Some(Connection::New(new)) => new.handshake.read(&mut self.scratch),
                Some(Connection::Session(session)) => session.link().read(&mut self.scratch),
                Some(Connection::Leaving(link)) => {
                    if link.is_over() {
                        self.end(place);
                    }
                    return;
                }
                None => return,
            };
            match read {
                Ok(0) => return self.end(place),
                Ok(count) => {
                    self.take(place, count);
                    if count < self.scratch.len() && rest == Rest::No {
                        return;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return self.end(place),
            }
        }
        self.again.push(place);
    }

    /// Reads on where others had their turn first.
    fn read_again(&mut self) {
        let mut places = std::mem::take(&mut self.again);
        // An event may have named one that was here already: nobody gets more than one turn.
        places.sort_unstable();
        places.dedup();
        for place in places {
            self.read(place, Rest::Perhaps);
        }
    }

    /// Hands the first `count` bytes of the buffer to the connection.
    fn take(&mut self, place: u32, count: usize) {
        let input = &mut self.scratch[..count];
        match self.connections.get_mut(place) {
            Some(Connection::New(new)) => {
                let next = new.handshake.take(input, &self.context);
                self.go_on(place, next);
            }
            Some(Connection::Session(session)) => {
                session.take(input, &self.context, self.now_ms);
            }
            Some(Connection::Leaving(_)) | None => {}
        }
    }

    /// Does what is next for a connection that is not let in yet.
    fn go_on(&mut self, place: u32, next: Next) {
        let patience_ms = match next {
            Next::Wait => return,
            Next::WaitForRequest => millis(self.context.http.request_timeout),
            Next::WaitForAuth => millis(self.context.session.auth_timeout),
            Next::WaitForEnd => END_PATIENCE_MS,
            Next::WaitForRoom => {
                self.watch_for_room(place);
                millis(self.context.http.request_timeout)
            }
            Next::Ask(topic) => return self.ask(place, topic),
            Next::Begin(authenticated) => return self.begin(place, authenticated),
            Next::Page(begun) => return self.serve_page(place, begun),
            Next::End => return self.end(place),
        };
        if let Some(Connection::New(new)) = self.connections.get(place) {
            self.deadlines.set(new.deadline, self.now_ms + patience_ms);
        }
    }

    /// Has the kernel say when there is room for more of an answer.
    fn watch_for_room(&mut self, place: u32) {
        let Some(Connection::New(new)) = self.connections.get(place) else {
            return;
        };
        let (fd, both) = (new.handshake.as_raw_fd(), Interest::READABLE | Interest::WRITABLE);
        let token = Token(place as usize);
        if self.poll.registry().reregister(&mut SourceFd(&fd), token, both).is_err() {
            self.end(place); // The kernel is out of memory.
        }
    }

    /// Sends more of the answer that is on its way at `place`.
    fn send(&mut self, place: u32) {
        if let Some(Connection::New(new)) = self.connections.get_mut(place) {
            let next = new.handshake.send(&self.context);
            self.go_on(place, next);
            self.read(place, Rest::Perhaps); // What came meanwhile was not read.
        }
    }

    /// Asks Redis for a handshake, which waits. The time that it has goes on.
    fn ask(&mut self, place: u32, topic: String) {
        let Some(Connection::New(new)) = self.connections.get_mut(place) else {
            return;
        };
        match self.questions.ask(place, topic, &self.context) {
            Some(number) => new.question = number,
            None => {
                let next = new.handshake.answer(Lookup::Away, &self.context);
                self.go_on(place, next);
            }
        }
    }

    /// Goes on with the handshake that waits for `answer`, if it still does.
    fn hear(&mut self, answer: &Answer) {
        let next = match self.connections.get_mut(answer.place) {
            Some(Connection::New(new)) if new.question == answer.number => {
                new.handshake.answer(answer.lookup, &self.context)
            }
            _ => return,
        };
        self.go_on(answer.place, next);
        self.read(answer.place, Rest::Perhaps); // What came meanwhile was not read.
    }

    /// Lets a browser in: subscribed first, told after, so that nothing published after `auth_ok`
    /// is missed and nothing overtakes it.
    fn begin(&mut self, place: u32, authenticated: Authenticated) {
        let Authenticated { topic, client, user_id, version, decoder, first } = authenticated;
        let Self { connections, context, deadlines, now_ms, orders, .. } = self;
        connections.replace_with(place, |connection| {
            let Connection::New(new) = connection else {
                return connection;
            };
            deadlines.leave(new.deadline);
            let stream = new.handshake.into_stream();
            let number = orders.number();
            let link = Link::corked(stream, place, Arc::clone(&context.links));
            let subscription = context.broker.subscribe(&topic, user_id, Arc::clone(&link));
            link.uncork(&first);
            let more = !decoder.is_idle();
            let beginning = Beginning { id: number, decoder, version, client };
            let mut session = Session::new(link, subscription, beginning, *now_ms);
            if more {
                session.take(&mut [], context, *now_ms);
            }
            Connection::Session(Box::new(session))
        });
    }

    /// Hands a connection to the runtime, for a page.
    fn serve_page(&mut self, place: u32, begun: Vec<u8>) {
        let Some(Connection::New(new)) = self.connections.remove(place) else {
            return;
        };
        self.deadlines.leave(new.deadline);
        let mut stream = new.handshake.into_stream();
        let _ = self.poll.registry().deregister(&mut stream); // It was registered.
        let stream = std::net::TcpStream::from(OwnedFd::from(stream));
        let Some(pages) = self.context.pages.clone() else {
            return;
        };
        let timeout = self.context.http.request_timeout;
        let page = async move { pages::serve(stream, begun, &pages, timeout).await };
        self.context.requests.spawn_on(page, &self.runtime);
    }

    /// The time that a connection had is over.
    fn time_out(&mut self, place: u32) {
        if let Some(Connection::New(new)) = self.connections.get_mut(place) {
            let was_busy = new.handshake.is_busy();
            let next = new.handshake.time_out(&self.context);
            self.go_on(place, next);
            if was_busy {
                self.read(place, Rest::Perhaps); // As when an answer comes.
            }
        }
    }

    /// The connection has ended, or has to.
    fn end(&mut self, place: u32) {
        match self.connections.get(place) {
            Some(Connection::Session(session)) if session.link().leave() => {
                let link = Arc::clone(session.link());
                self.connections.replace_with(place, |_| Connection::Leaving(link));
            }
            Some(Connection::New(new)) => {
                if new.handshake.has_to_log_in() {
                    self.context.metrics.logins.left.inc();
                }
                self.deadlines.leave(new.deadline);
                self.late -= usize::from(new.is_late);
                self.connections.remove(place);
            }
            _ => drop(self.connections.remove(place)),
        }
    }

    /// Asks the kernel to say when links in trouble have room, and does what time asks for.
    fn see_to_trouble(&mut self) {
        for weak in self.context.links.troubled.take() {
            let Some(link) = weak.upgrade() else {
                continue;
            };
            let (fd, both) = (link.as_raw_fd(), Interest::READABLE | Interest::WRITABLE);
            let token = Token(link.place() as usize);
            if self.poll.registry().reregister(&mut SourceFd(&fd), token, both).is_err() {
                link.abort(); // The kernel is out of memory.
            }
            if self.troubled.is_empty() {
                self.troubled_ms = self.now_ms + TROUBLE_MS;
            }
            self.troubled.push(weak);
        }
        if !self.troubled.is_empty() && self.now_ms >= self.troubled_ms {
            let now_ms = self.now_ms;
            self.troubled.retain(|weak| weak.upgrade().is_some_and(|link| link.look(now_ms)));
            self.troubled_ms = now_ms + TROUBLE_MS;
            if self.troubled.is_empty() {
                self.troubled = Vec::new();
            }
        }
    }

    /// Pings those whose turn it is, and ends those that are dead.
    fn keep_alive(&mut self) {
        for _ in 0..LOOKS_IN_A_ROW {
            let Some((place, ping)) = self.rounds.next(self.connections.places(), self.now_ms)
            else {
                return;
            };
            let Some(Connection::Session(session)) = self.connections.get(place) else {
                continue;
            };
            if session.silent_ms(self.now_ms) > self.rounds.idle_ms() {
                if !session.link().is_closing() {
                    self.context.metrics.dead_peers.inc();
                    session.link().abort();
                    self.end(place);
                }
            } else if ping {
                session.link().send(&Bytes::from_static(frame::PING));
            }
        }
    }

    /// Carries out the resyncs that were ordered, as far as they are due.
    fn resync(&mut self) {
        if self.closing {
            self.walk = None; // Everybody is told to come back already.
            return;
        }
        if self.walk.is_none() {
            self.begin_walk();
        }
        let Some(walk) = &mut self.walk else {
            return;
        };
        let mut closed = 0;
        for _ in 0..VISITS_IN_A_ROW {
            let Some(place) = walk.next(self.now_ms) else {
                break;
            };
            if let Some(Connection::Session(session)) = self.connections.get(place)
                && session.resync(walk)
            {
                self.context.metrics.resync_closes.inc();
                closed += 1;
                if closed == CLOSES_IN_A_ROW {
                    break;
                }
            }
        }
        if walk.next_ms().is_none() {
            self.begin_walk();
        }
    }

    /// Begins to carry out what was ordered since the last walk began, if anything was.
    fn begin_walk(&mut self) {
        let places = self.connections.places();
        self.walk = self.orders.resyncs().map(|wanted| Walk::begin(wanted, places, self.now_ms));
    }
}
