//! Many browsers at once, read by one thread: what each of them heard, and when, and how each of
//! its connections ended.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use super::{
    CLOSE, PING, PONG, TEXT, Worker, frame, open_many_files, parse, until, upgrade_request,
};

/// How long the application's browser client waits before it comes back.
const RETRY: Duration = Duration::from_secs(1);
/// How long it waits for `auth_ok`.
const LOGIN_PATIENCE: Duration = Duration::from_millis(1500);
/// How often it tries in a row until it gives up.
const TRIES: u32 = 4;

/// Browsers of one node. Dropping them closes their connections.
pub struct Herd {
    members: Vec<Arc<Mutex<Member>>>,
    end: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
}

/// One browser, over all its connections.
#[derive(Debug, Clone, Default)]
pub struct Member {
    pub topic: String,
    /// Its logins, in their order.
    pub sessions: Vec<Session>,
    /// Why it will not come back, if that is so.
    pub gave_up: Option<String>,
}

/// What came between a login and the end of its connection.
#[derive(Debug, Clone)]
pub struct Session {
    /// When `auth_ok` came: what was published later must be heard, or its loss be told.
    pub opened: Instant,
    pub pushes: Vec<Heard>,
    pub ended: Option<Ended>,
}

/// A push.
#[derive(Debug, Clone)]
pub struct Heard {
    pub at: Instant,
    /// The payload, as JSON text.
    pub payload: String,
}

/// The end of a connection.
#[derive(Debug, Clone, Copy)]
pub struct Ended {
    pub at: Instant,
    /// The code of the close frame, if one came.
    pub code: Option<u16>,
}

/// One browser's place and what it says to get in.
struct Ticket {
    address: SocketAddr,
    path: String,
    auth: String,
    comes_back: bool,
}

impl Herd {
    /// `count` browsers, spread over `topics`, that are all let in and come back as the
    /// application's client does when their connection ends.
    pub fn of(worker: &Worker, topics: &[String], count: usize) -> Self {
        Self::at(worker.ws, worker, topics, count)
    }

    /// The same through a proxy at `address`; `worker` makes the tokens.
    pub fn at(address: SocketAddr, worker: &Worker, topics: &[String], count: usize) -> Self {
        Self::send(address, worker, topics, count, true)
    }

    /// `count` browsers whose first connection is their last.
    pub fn of_one_visit(worker: &Worker, topics: &[String], count: usize) -> Self {
        Self::send(worker.ws, worker, topics, count, false)
    }

    fn send(
        address: SocketAddr,
        worker: &Worker,
        topics: &[String],
        count: usize,
        comes_back: bool,
    ) -> Self {
        open_many_files();
        let (mut members, mut visits) = (Vec::new(), Vec::new());
        for (user, topic) in (1..).zip(topics.iter().cycle()).take(count) {
            let token = worker.token(user, topic);
            let ticket = Ticket {
                address,
                path: format!("/ws?topic={topic}"),
                auth: format!(r#"{{"type":"auth","token":"{token}"}}"#),
                comes_back,
            };
            let member = Arc::new(Mutex::new(Member { topic: topic.clone(), ..Member::default() }));
            visits.push((ticket, Arc::clone(&member)));
            members.push(member);
        }
        let end = watch::Sender::new(false);
        let mut ended = end.subscribe();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let thread = thread::spawn(move || {
            runtime.block_on(async {
                for (ticket, member) in visits {
                    tokio::spawn(browse(ticket, member));
                }
                let _ = ended.wait_for(|ended| *ended).await;
            });
        });
        let herd = Self { members, end, thread: Some(thread) };
        until("all browsers to be let in", || {
            herd.assert_nobody_gave_up();
            herd.all_are_in().then_some(())
        });
        herd
    }

    /// A copy of everything so far.
    pub fn members(&self) -> Vec<Member> {
        self.members.iter().map(|member| member.lock().unwrap().clone()).collect()
    }

    /// Whether every browser is logged in now.
    pub fn all_are_in(&self) -> bool {
        let is_in =
            |member: &Member| member.sessions.last().is_some_and(|session| session.ended.is_none());
        self.members.iter().all(|member| is_in(&member.lock().unwrap()))
    }

    /// How often connections ended with each code; those without one count as 1006, as a browser
    /// says it.
    pub fn endings(&self) -> BTreeMap<u16, usize> {
        let mut endings = BTreeMap::new();
        for member in &self.members {
            for ended in member.lock().unwrap().sessions.iter().filter_map(|session| session.ended)
            {
                *endings.entry(ended.code.unwrap_or(1006)).or_default() += 1;
            }
        }
        endings
    }

    /// When connections ended with `code`, sorted.
    pub fn ended_at(&self, code: u16) -> Vec<Instant> {
        let mut moments = Vec::new();
        for member in &self.members {
            let member = member.lock().unwrap();
            let ends = member.sessions.iter().filter_map(|session| session.ended);
            moments.extend(ends.filter(|ended| ended.code == Some(code)).map(|ended| ended.at));
        }
        moments.sort();
        moments
    }

    /// How many pushes all of them heard.
    pub fn heard(&self) -> usize {
        let count = |member: &Member| -> usize {
            member.sessions.iter().map(|session| session.pushes.len()).sum()
        };
        self.members.iter().map(|member| count(&member.lock().unwrap())).sum()
    }

    /// Waits until every browser's latest push is `payload`.
    pub fn wait_for_all_to_hear(&self, payload: &str) {
        let has_heard = |member: &Member| {
            let last = member.sessions.last().and_then(|session| session.pushes.last());
            last.is_some_and(|heard| heard.payload == payload)
        };
        until(&format!("all browsers to hear {payload}"), || {
            self.members.iter().all(|member| has_heard(&member.lock().unwrap())).then_some(())
        });
    }

    /// Checks that no page was left without hope.
    pub fn assert_nobody_gave_up(&self) {
        for member in &self.members {
            let member = member.lock().unwrap();
            assert_eq!(member.gave_up, None, "a browser on {} gave up", member.topic);
        }
    }
}

impl Drop for Herd {
    fn drop(&mut self) {
        self.end.send_replace(true);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A page as long as it is open: it connects, hears, and comes back.
async fn browse(ticket: Ticket, member: Arc<Mutex<Member>>) {
    let mut failures = 0;
    loop {
        match timeout(LOGIN_PATIENCE, log_in(&ticket)).await {
            Ok(Ok((stream, unread))) => {
                failures = 0;
                let (opened, pushes) = (Instant::now(), Vec::new());
                member.lock().unwrap().sessions.push(Session { opened, pushes, ended: None });
                let code = hear(stream, unread, &member).await;
                let ended = Some(Ended { at: Instant::now(), code });
                member.lock().unwrap().sessions.last_mut().unwrap().ended = ended;
            }
            Ok(Err(Refused::ForGood(why))) => {
                member.lock().unwrap().gave_up = Some(why);
                return;
            }
            Ok(Err(Refused::ForNow(_))) | Err(_) if failures + 1 < TRIES => failures += 1,
            Ok(Err(Refused::ForNow(why))) => {
                member.lock().unwrap().gave_up = Some(format!("{TRIES} times in a row: {why}"));
                return;
            }
            Err(_) => {
                member.lock().unwrap().gave_up = Some("no auth_ok in time".to_owned());
                return;
            }
        }
        if !ticket.comes_back {
            return;
        }
        sleep(RETRY).await;
    }
}

/// Why a login failed.
enum Refused {
    ForNow(String),
    ForGood(String),
}

impl From<std::io::Error> for Refused {
    fn from(error: std::io::Error) -> Self {
        Self::ForNow(error.to_string())
    }
}

/// Connects and authenticates; what came behind `auth_ok` is returned as well.
async fn log_in(ticket: &Ticket) -> Result<(TcpStream, Vec<u8>), Refused> {
    let mut stream = TcpStream::connect(ticket.address).await?;
    stream.set_nodelay(true)?;
    stream.write_all(upgrade_request(&ticket.path, "").as_bytes()).await?;
    let mut unread = Vec::with_capacity(4096);
    let head = loop {
        if let Some(at) = unread.windows(4).position(|window| window == b"\r\n\r\n") {
            break unread.drain(..at + 4).collect::<Vec<u8>>();
        }
        fill(&mut stream, &mut unread).await?;
    };
    let head = String::from_utf8_lossy(&head).into_owned();
    if !head.starts_with("HTTP/1.1 101") {
        return Err(Refused::ForNow(head.lines().next().unwrap_or_default().to_owned()));
    }
    stream.write_all(&frame(TEXT, ticket.auth.as_bytes())).await?;
    loop {
        if let Some((first, length)) = parse(&unread) {
            unread.drain(..length);
            match first.as_text() {
                Some(r#"{"type":"auth_ok"}"#) => return Ok((stream, unread)),
                Some(text) => return Err(Refused::ForGood(text.to_owned())),
                None if first.opcode == PING => {}
                None => return Err(Refused::ForNow(format!("{first:?}"))),
            }
        } else {
            fill(&mut stream, &mut unread).await?;
        }
    }
}

async fn fill(stream: &mut TcpStream, unread: &mut Vec<u8>) -> Result<(), Refused> {
    match stream.read_buf(unread).await? {
        0 => Err(Refused::ForNow("the connection ended".to_owned())),
        _ => Ok(()),
    }
}

/// Takes down pushes until the connection ends; the code of its close frame, if one came.
async fn hear(mut stream: TcpStream, mut unread: Vec<u8>, member: &Mutex<Member>) -> Option<u16> {
    loop {
        let at = Instant::now();
        let mut start = 0;
        while let Some((next, length)) = parse(&unread[start..]) {
            start += length;
            if let Some(text) = next.as_text() {
                let payload = text
                    .strip_prefix(r#"{"type":"push","payload":"#)
                    .and_then(|rest| rest.strip_suffix('}'))
                    .unwrap_or_else(|| panic!("not a push: {text}"));
                let heard = Heard { at, payload: payload.to_owned() };
                member.lock().unwrap().sessions.last_mut().unwrap().pushes.push(heard);
            } else if next.opcode == PING {
                let _ = stream.write_all(&frame(PONG, &next.payload)).await;
            } else if next.opcode == CLOSE {
                let _ = stream.write_all(&frame(CLOSE, &next.payload)).await;
                return next.payload.first_chunk().map(|code| u16::from_be_bytes(*code));
            }
        }
        unread.drain(..start);
        if !matches!(stream.read_buf(&mut unread).await, Ok(1..)) {
            return None;
        }
    }
}
