//! A WebSocket client that can break every rule: it sends any bytes as a frame and shows every
//! bit of the frames that come.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};

use super::{Answer, Http, PATIENCE};

pub const CONTINUATION: u8 = 0;
pub const TEXT: u8 = 1;
pub const BINARY: u8 = 2;
pub const CLOSE: u8 = 8;
pub const PING: u8 = 9;
pub const PONG: u8 = 10;

/// One frame as it came from the worker.
#[derive(Clone, PartialEq, Eq)]
pub struct Frame {
    pub fin: bool,
    pub reserved: u8,
    pub opcode: u8,
    pub payload: Vec<u8>,
}

/// How a connection ended.
#[derive(Debug)]
pub struct Ending {
    /// What came before the close frame or the end.
    pub frames: Vec<Frame>,
    /// The close frame's code (`None` in an empty one) and reason, if one came.
    pub close: Option<(Option<u16>, String)>,
    /// Whether the connection was reset instead of ended.
    pub reset: bool,
}

/// One upgraded connection.
pub struct Socket {
    stream: TcpStream,
    unread: Vec<u8>,
    /// Whether the worker's own pings are shown. They may come at any moment.
    hears_pings: bool,
}

/// The request that asks for `path` (with its query) as a WebSocket.
pub fn upgrade_request(path: &str, more_headers: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nHost: worker\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
         {more_headers}\r\n"
    )
}

/// A whole, masked frame.
pub fn frame(opcode: u8, payload: &[u8]) -> Vec<u8> {
    encode(true, 0, opcode, Some([0x37, 0xfa, 0x21, 0x3d]), payload)
}

/// Any frame at all. `reserved` has the three reserved bits in its lowest ones.
pub fn encode(
    fin: bool,
    reserved: u8,
    opcode: u8,
    mask: Option<[u8; 4]>,
    payload: &[u8],
) -> Vec<u8> {
    let mut bytes = vec![u8::from(fin) << 7 | reserved << 4 | opcode];
    let mask_bit = u8::from(mask.is_some()) << 7;
    match payload.len() {
        short @ 0..126 => bytes.push(mask_bit | u8::try_from(short).unwrap()),
        medium @ 126..=0xffff => {
            bytes.push(mask_bit | 126);
            bytes.extend(u16::try_from(medium).unwrap().to_be_bytes());
        }
        long => {
            bytes.push(mask_bit | 127);
            bytes.extend((long as u64).to_be_bytes());
        }
    }
    let key = mask.unwrap_or_default();
    bytes.extend(mask.iter().flatten());
    bytes.extend(payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key));
    bytes
}

/// The payload of a close frame.
pub fn close_payload(code: u16, reason: &str) -> Vec<u8> {
    [&code.to_be_bytes(), reason.as_bytes()].concat()
}

/// The first frame in `bytes` and how many of them it takes, or `None` if it is not complete.
///
/// # Panics
///
/// If the frame is masked, or its length is not written in the shortest form.
pub fn parse(bytes: &[u8]) -> Option<(Frame, usize)> {
    let (&[first, second], rest) = bytes.split_first_chunk()?;
    assert_eq!(second & 0x80, 0, "the worker masked a frame");
    let (length, header) = match second {
        126 => (u64::from(u16::from_be_bytes(*rest.first_chunk()?)), 4),
        127 => (u64::from_be_bytes(*rest.first_chunk()?), 10),
        short => (u64::from(short), 2),
    };
    let shortest = match length {
        0..126 => 2,
        126..=0xffff => 4,
        _ => 10,
    };
    assert_eq!(header, shortest, "length {length} is not written in the shortest form");
    let end = header + usize::try_from(length).unwrap();
    let payload = bytes.get(header..end)?.to_vec();
    let (fin, reserved, opcode) = (first & 0x80 != 0, first >> 4 & 7, first & 0xf);
    Some((Frame { fin, reserved, opcode, payload }, end))
}

impl Frame {
    /// A whole text frame.
    pub fn text(text: &str) -> Self {
        Self { fin: true, reserved: 0, opcode: TEXT, payload: text.as_bytes().to_vec() }
    }

    /// A pong.
    pub fn pong(payload: &[u8]) -> Self {
        Self { fin: true, reserved: 0, opcode: PONG, payload: payload.to_vec() }
    }

    /// An empty ping, as the worker sends them.
    pub fn ping() -> Self {
        Self { fin: true, reserved: 0, opcode: PING, payload: Vec::new() }
    }

    /// The payload as text, if this is a whole text frame without reserved bits.
    pub fn as_text(&self) -> Option<&str> {
        let plain = self.fin && self.reserved == 0 && self.opcode == TEXT;
        plain.then(|| std::str::from_utf8(&self.payload).unwrap())
    }
}

impl std::fmt::Debug for Frame {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let start = String::from_utf8_lossy(&self.payload[..self.payload.len().min(200)]);
        let Self { fin, reserved, opcode, payload } = self;
        let length = payload.len();
        write!(f, "Frame(fin {fin}, reserved {reserved}, opcode {opcode}, {length} B: {start})")
    }
}

impl Ending {
    /// The code of the close frame.
    pub fn code(&self) -> Option<u16> {
        self.close.as_ref().and_then(|(code, _)| *code)
    }

    /// Checks that nothing came but a close frame with `code`, and then a clean end.
    pub fn assert_only_close(&self, code: u16) {
        assert_eq!(self.frames, [], "before the close frame: {self:?}");
        assert_eq!(self.code(), Some(code), "{self:?}");
        assert!(!self.reset, "{self:?}");
    }

    /// Checks that the text frame `text` came, then a close frame with `code` and a clean end.
    pub fn assert_text_then_close(&self, text: &str, code: u16) {
        assert_eq!(self.frames, [Frame::text(text)], "{self:?}");
        assert_eq!(self.code(), Some(code), "{self:?}");
        assert!(!self.reset, "{self:?}");
    }
}

impl Socket {
    /// Upgrades a new connection for `path_and_query`.
    pub fn open(address: SocketAddr, path_and_query: &str) -> Self {
        Self::upgrade(Http::connect(address), path_and_query, "")
    }

    /// Upgrades `http` with further header lines, and checks the answer.
    pub fn upgrade(mut http: Http, path_and_query: &str, more_headers: &str) -> Self {
        let answer = http.ask(upgrade_request(path_and_query, more_headers).as_bytes());
        Self::upgraded(http, &answer)
    }

    /// Goes on with a connection whose upgrade was answered by `answer`, and checks that.
    pub fn upgraded(http: Http, answer: &Answer) -> Self {
        assert_eq!(answer.status, 101, "{answer:?}");
        let upgrade = answer.header("Upgrade").map(str::to_ascii_lowercase);
        assert_eq!(upgrade.as_deref(), Some("websocket"));
        let connection = answer.header("Connection").map(str::to_ascii_lowercase);
        assert_eq!(connection.as_deref(), Some("upgrade"));
        // RFC 6455, section 1.3, gives this answer to this key.
        assert_eq!(answer.header("Sec-WebSocket-Accept"), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
        assert_eq!(answer.header("Sec-WebSocket-Extensions"), None);
        assert_eq!(answer.header("Sec-WebSocket-Protocol"), None);
        let (stream, unread) = http.into_parts();
        Self { stream, unread, hears_pings: false }
    }

    /// Shows the worker's pings from now on.
    pub fn hear_pings(mut self) -> Self {
        self.hears_pings = true;
        self
    }

    /// Sends `bytes` as they are.
    pub fn send_raw(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    /// Sends `bytes` and says whether the worker still took them.
    pub fn try_send_raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// Sends a whole frame.
    pub fn send(&mut self, opcode: u8, payload: &[u8]) {
        self.send_raw(&frame(opcode, payload));
    }

    /// Sends a whole text frame.
    pub fn send_text(&mut self, text: &str) {
        self.send(TEXT, text.as_bytes());
    }

    /// Sends the auth frame with `token` and checks that it is accepted.
    pub fn authenticate(&mut self, token: &str) {
        self.send_text(&format!(r#"{{"type":"auth","token":"{token}"}}"#));
        assert_eq!(self.next(), Frame::text(r#"{"type":"auth_ok"}"#));
    }

    /// The next frame, but for pings, which are shown only by [`Socket::hear_pings`].
    ///
    /// # Panics
    ///
    /// If the connection ends, or nothing comes within [`PATIENCE`].
    pub fn next(&mut self) -> Frame {
        loop {
            if let Some(frame) = self.take_frame() {
                return frame;
            }
            let count = self.fill().expect("the connection was reset");
            assert_ne!(count, 0, "the connection ended");
        }
    }

    /// The next frame of what was read already.
    fn take_frame(&mut self) -> Option<Frame> {
        loop {
            let (frame, length) = parse(&self.unread)?;
            self.unread.drain(..length);
            if self.hears_pings || frame != Frame::ping() {
                return Some(frame);
            }
        }
    }

    /// The payload text of the next frame, which has to be a push.
    pub fn next_push(&mut self) -> String {
        let frame = self.next();
        let text = frame.as_text().unwrap_or_else(|| panic!("not a text frame: {frame:?}"));
        let payload = text
            .strip_prefix(r#"{"type":"push","payload":"#)
            .and_then(|rest| rest.strip_suffix('}'))
            .unwrap_or_else(|| panic!("not a push: {frame:?}"));
        payload.to_owned()
    }

    /// Pings and checks that the very next frame is the pong: the socket lives, and nothing else
    /// was sent to it before.
    pub fn assert_quiet(&mut self) {
        self.send(PING, b"still there?");
        assert_eq!(self.next(), Frame::pong(b"still there?"));
    }

    /// Reads to the end, answering a close frame as a browser does.
    ///
    /// # Panics
    ///
    /// If the end does not come within [`PATIENCE`].
    pub fn ending(&mut self) -> Ending {
        let mut ending = Ending { frames: Vec::new(), close: None, reset: false };
        loop {
            while let Some(frame) = self.take_frame() {
                assert!(ending.close.is_none(), "{frame:?} came after the close frame");
                if frame.opcode == CLOSE {
                    // The worker may have ended already; that is no fault.
                    let _ = self.try_send_raw(&super::frame(CLOSE, &frame.payload));
                    let code = frame.payload.first_chunk().map(|code| u16::from_be_bytes(*code));
                    let reason = frame.payload.get(2..).unwrap_or_default().to_vec();
                    ending.close = Some((code, String::from_utf8(reason).unwrap()));
                } else {
                    ending.frames.push(frame);
                }
            }
            match self.fill() {
                Ok(0) => break,
                Ok(_) => {}
                Err(_) => {
                    ending.reset = true;
                    break;
                }
            }
        }
        ending
    }

    /// Reads once from the connection, at most `limit` bytes, and says how many came.
    pub fn read_some(&mut self, limit: usize) -> usize {
        let mut chunk = vec![0; limit];
        let count = self.stream.read(&mut chunk).unwrap();
        self.unread.extend_from_slice(&chunk[..count]);
        count
    }

    /// Says that nothing more will be sent.
    pub fn finish_sending(&self) {
        self.stream.shutdown(Shutdown::Write).unwrap();
    }

    /// The connection itself, for reading it in another way.
    pub fn into_stream(self) -> TcpStream {
        assert!(self.unread.is_empty(), "something was read already");
        self.stream
    }

    fn fill(&mut self) -> io::Result<usize> {
        let mut chunk = [0; 16 * 1024];
        match self.stream.read(&mut chunk) {
            Ok(count) => {
                self.unread.extend_from_slice(&chunk[..count]);
                Ok(count)
            }
            Err(error) => {
                let deadline =
                    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut);
                assert!(!deadline, "nothing came within {PATIENCE:?}");
                Err(error)
            }
        }
    }
}
