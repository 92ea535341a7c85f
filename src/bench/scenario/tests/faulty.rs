//! A tiny server for tests: it speaks enough of the protocol to be measured, and does one thing
//! wrong, once, if it is told to. A real worker cannot be made to lose or alter a frame.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread;

use parking_lot::Mutex;

use crate::bench::target::Target;
use crate::protocol::frame;
use crate::protocol::message::{AUTH_OK, UNAUTHORIZED, push_frame};
use crate::secret::Secret;

/// What it does wrong. Where a frame is meant, it is the third one measured, and the first socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    None,
    /// The frame does not come.
    Loses,
    /// The frame comes twice.
    Doubles,
    /// The frame comes after the next one.
    Swaps,
    /// A byte of the frame's filler is another.
    Alters,
    /// The frame says another number.
    Renumbers,
    /// The frame is no push at all, and comes beside the push.
    Chatters,
    /// The socket is closed with a close frame, after the frame.
    Closes,
    /// The socket's connection is cut, after the frame.
    Cuts,
    /// The publish is answered with 503, and nobody gets it.
    IsBusy,
    /// The publish is delivered, and its connection is cut instead of an answer.
    HangsUp,
    /// The first socket is told that its token is not good.
    Refuses,
}

/// Publishes before the one that goes wrong: those that warm up, and two.
const BEFORE: u64 = 5 + 2;

/// The server. It ends when this is dropped.
pub struct Faulty {
    ws: SocketAddr,
    internal: SocketAddr,
    ended: Arc<AtomicBool>,
}

/// What all its threads share.
struct State {
    fault: Fault,
    publishes: u64,
    sockets: Vec<TcpStream>,
    /// The frame that the first socket gets later.
    held: Option<Vec<u8>>,
    /// A socket was refused already.
    has_refused: bool,
}

impl Faulty {
    /// Starts one with `fault`.
    pub fn start(fault: Fault) -> Self {
        let state = Arc::new(Mutex::new(State {
            fault,
            publishes: 0,
            sockets: vec![],
            held: None,
            has_refused: false,
        }));
        let ended = Arc::new(AtomicBool::new(false));
        let browsers = state.clone();
        let ws = listen(&ended, move |stream| let_in(stream, &browsers));
        let internal = listen(&ended, move |stream| serve(&stream, &state));
        Self { ws, internal, ended }
    }

    /// Where it is. It has no process of its own.
    pub fn target(&self) -> Target {
        let secret = Secret::new("-".repeat(32)).unwrap();
        let mut target = Target::running(self.ws, self.internal, secret, Some(0));
        target.process = None;
        target
    }
}

impl Drop for Faulty {
    fn drop(&mut self) {
        self.ended.store(true, SeqCst);
        for address in [self.ws, self.internal] {
            drop(TcpStream::connect(address)); // So that it looks.
        }
    }
}

/// Accepts connections, each served by `serve` in a thread of its own.
fn listen(
    ended: &Arc<AtomicBool>,
    serve: impl Fn(TcpStream) + Clone + Send + 'static,
) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (address, ended) = (listener.local_addr().unwrap(), ended.clone());
    thread::spawn(move || {
        for stream in listener.incoming() {
            if ended.load(SeqCst) {
                return;
            }
            let (stream, serve) = (stream.unwrap(), serve.clone());
            thread::spawn(move || serve(stream));
        }
    });
    address
}

/// A request: its path, and its body.
fn read_request(reader: &mut impl BufRead) -> Option<(String, String)> {
    let (mut path, mut length) = (None, 0);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let line = line.trim_end();
        if line.is_empty() {
            break;
        }
        path = path.or_else(|| line.split(' ').nth(1).map(str::to_owned));
        length = line.strip_prefix("Content-Length: ").map_or(length, |text| text.parse().unwrap());
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some((path?, String::from_utf8(body).unwrap()))
}

fn let_in(mut stream: TcpStream, state: &Mutex<State>) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    if read_request(&mut reader).is_none() {
        return;
    }
    let upgraded = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                    Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
    stream.write_all(upgraded.as_bytes()).unwrap();
    if reader.fill_buf().is_ok_and(<[u8]>::is_empty) {
        return;
    }
    let mut state = state.lock();
    if state.fault == Fault::Refuses && !state.has_refused {
        state.has_refused = true;
        let _ = stream.write_all(&frame::text(&[UNAUTHORIZED]));
        return;
    }
    stream.write_all(&frame::text(&[AUTH_OK])).unwrap();
    state.sockets.push(stream);
}

fn serve(mut stream: &TcpStream, state: &Mutex<State>) {
    let mut reader = BufReader::new(stream);
    while let Some((path, body)) = read_request(&mut reader) {
        let status =
            if path == "/internal/publish" { publish(&body, state) } else { Some("200 OK") };
        let Some(status) = status else {
            return;
        };
        let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n");
        if stream.write_all(answer.as_bytes()).is_err() {
            return;
        }
    }
}

/// Gives the payload in `body` to all sockets; what to answer.
fn publish(body: &str, state: &Mutex<State>) -> Option<&'static str> {
    let (_, payload) = body.split_once("\"payload\":").unwrap();
    let payload = payload.strip_suffix('}').unwrap();
    let mut state = state.lock();
    state.publishes += 1;
    let is_third = state.publishes == BEFORE + 1;
    let fault = if is_third { state.fault } else { Fault::None };
    if fault == Fault::IsBusy {
        return Some("503 Service Unavailable");
    }
    let whole = push_frame(payload).to_vec();
    let mut frames = first_ones(fault, payload, &whole);
    if fault == Fault::Swaps {
        state.held = Some(whole.clone());
    } else if let Some(held) = state.held.take() {
        frames.push(held);
    }
    for (number, socket) in state.sockets.iter_mut().enumerate() {
        let frames = if number == 0 { &frames[..] } else { std::slice::from_ref(&whole) };
        // Who was closed is still in the list.
        let _ = socket.write_all(&frames.concat());
    }
    if fault == Fault::Cuts {
        let _ = state.sockets[0].shutdown(std::net::Shutdown::Both);
    }
    (fault != Fault::HangsUp).then_some("200 OK")
}

/// What the first socket gets of a push.
fn first_ones(fault: Fault, payload: &str, whole: &[u8]) -> Vec<Vec<u8>> {
    let altered = |at: usize| {
        let mut bytes = payload.as_bytes().to_vec();
        bytes[at] = if bytes[at] == b'7' { b'8' } else { b'7' };
        push_frame(&String::from_utf8(bytes).unwrap()).to_vec()
    };
    match fault {
        Fault::Loses | Fault::Swaps => vec![],
        Fault::Doubles => vec![whole.to_vec(), whole.to_vec()],
        Fault::Alters => vec![altered(payload.len() - 2)],
        Fault::Renumbers => vec![altered(20)],
        Fault::Chatters => vec![frame::text(&["{\"type\":\"news\"}"]).to_vec(), whole.to_vec()],
        Fault::Closes => vec![whole.to_vec(), vec![0x88, 2, 0x03, 0xE8]],
        _ => vec![whole.to_vec()],
    }
}
