//! Raw HTTP over one TCP connection: what is sent is sent byte for byte, and what comes back is
//! kept byte for byte.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use super::PATIENCE;

/// One TCP connection to either port.
pub struct Http {
    stream: TcpStream,
    unread: Vec<u8>,
}

/// What came back: status line, headers in their order, body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

/// The bytes of a request with `Host`, the given headers and, if there is a body,
/// `Content-Length`.
pub fn request(method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let mut text = format!("{method} {path} HTTP/1.1\r\nHost: worker\r\n");
    for (name, value) in headers {
        text += &format!("{name}: {value}\r\n");
    }
    if !body.is_empty() {
        text += &format!("Content-Length: {}\r\n", body.len());
    }
    text += "\r\n";
    [text.as_bytes(), body].concat()
}

impl Http {
    /// Connects to `address`.
    pub fn connect(address: SocketAddr) -> Self {
        Self::over(TcpStream::connect(address).unwrap())
    }

    /// Goes on with a connection that was made in another way.
    pub fn over(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, unread: Vec::new() }
    }

    /// Sends `bytes` as they are.
    pub fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    /// Sends `bytes` and says whether the worker still took them.
    pub fn try_send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// Says that nothing more will be sent.
    pub fn finish_sending(&self) {
        self.stream.shutdown(Shutdown::Write).unwrap();
    }

    /// Sends `bytes` and reads one answer.
    pub fn ask(&mut self, bytes: &[u8]) -> Answer {
        self.send(bytes);
        self.answer()
    }

    /// Reads the next answer, interim ones included.
    ///
    /// # Panics
    ///
    /// If the connection ends before.
    pub fn answer(&mut self) -> Answer {
        self.try_answer(true).expect("the connection ended without an answer")
    }

    /// Reads the next answer to a `HEAD` request, which has no body.
    pub fn answer_to_head(&mut self) -> Answer {
        self.try_answer(false).expect("the connection ended without an answer")
    }

    /// Reads the next answer, or `None` if the connection ends before it is complete.
    pub fn answer_or_end(&mut self) -> Option<Answer> {
        self.try_answer(true)
    }

    /// Whether something of an answer comes within `time`.
    pub fn answers_within(&mut self, time: Duration) -> bool {
        if !self.unread.is_empty() {
            return true;
        }
        self.stream.set_read_timeout(Some(time)).unwrap();
        let came = self.stream.peek(&mut [0]);
        self.stream.set_read_timeout(Some(PATIENCE)).unwrap();
        match came {
            Ok(_) => true,
            Err(error) if is_deadline(&error) => false,
            Err(error) => panic!("the connection ended: {error}"),
        }
    }

    fn try_answer(&mut self, with_body: bool) -> Option<Answer> {
        let head_end = loop {
            if let Some(at) = find(&self.unread, b"\r\n\r\n") {
                break at + 4;
            }
            self.fill()?;
        };
        let head: Vec<u8> = self.unread.drain(..head_end).collect();
        let (status, headers) = parse_head(&head);

        let mut answer = Answer { status, headers, body: Vec::new() };
        let bodyless = !with_body || status < 200 || status == 204 || status == 304;
        if bodyless {
            return Some(answer);
        }
        if answer.header("Transfer-Encoding").is_some_and(|value| value == "chunked") {
            answer.body = self.chunked_body()?;
        } else if let Some(length) = answer.header("Content-Length") {
            let length = length.parse().unwrap();
            answer.body = self.take(length)?;
        } else {
            while self.fill().is_some() {}
            answer.body = std::mem::take(&mut self.unread);
        }
        Some(answer)
    }

    fn chunked_body(&mut self) -> Option<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let line_end = loop {
                if let Some(at) = find(&self.unread, b"\r\n") {
                    break at;
                }
                self.fill()?;
            };
            let line = self.take(line_end + 2)?;
            let digits = std::str::from_utf8(&line[..line_end]).unwrap();
            let length = usize::from_str_radix(digits, 16).unwrap();
            body.extend(self.take(length)?);
            self.take(2)?;
            if length == 0 {
                return Some(body);
            }
        }
    }

    fn take(&mut self, length: usize) -> Option<Vec<u8>> {
        while self.unread.len() < length {
            self.fill()?;
        }
        Some(self.unread.drain(..length).collect())
    }

    /// Reads what is there; `None` at the end of the connection, clean or reset.
    fn fill(&mut self) -> Option<()> {
        let mut chunk = [0; 16 * 1024];
        match self.stream.read(&mut chunk) {
            Ok(0) => None,
            Ok(count) => {
                self.unread.extend_from_slice(&chunk[..count]);
                Some(())
            }
            Err(error) if is_deadline(&error) => panic!("nothing came within {PATIENCE:?}"),
            Err(_) => None,
        }
    }

    /// Everything that still comes until the worker ends the connection.
    pub fn rest(&mut self) -> Vec<u8> {
        while self.fill().is_some() {}
        std::mem::take(&mut self.unread)
    }

    /// The connection itself and what was read of it already, for going on as a WebSocket.
    pub fn into_parts(self) -> (TcpStream, Vec<u8>) {
        (self.stream, self.unread)
    }
}

impl Answer {
    /// The first header of this name, in any case.
    pub fn header(&self, name: &str) -> Option<&str> {
        let same = |(key, _): &&(String, String)| key.eq_ignore_ascii_case(name);
        self.headers.iter().find(same).map(|(_, value)| value.as_str())
    }

    /// The body as text.
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    /// Status and body, for comparing both at once.
    pub fn brief(&self) -> (u16, &str) {
        (self.status, self.text())
    }

    /// The body as JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// Checks that this is an error as Go's `http.Error` writes it.
    pub fn assert_error(&self, status: u16, body: &str) {
        assert_eq!(self.brief(), (status, body));
        assert_eq!(self.header("Content-Type"), Some("text/plain; charset=utf-8"));
        assert_eq!(self.header("X-Content-Type-Options"), Some("nosniff"));
        assert_eq!(self.header("Content-Length"), Some(body.len().to_string().as_str()));
        assert_eq!(self.header("Allow"), None);
    }

    /// Checks that this is the answer to a call that succeeded.
    pub fn assert_ok(&self) {
        assert_eq!(self.brief(), (200, ""));
        assert_eq!(self.header("Content-Length"), Some("0"));
    }
}

fn parse_head(head: &[u8]) -> (u16, Vec<(String, String)>) {
    let text = std::str::from_utf8(head).unwrap();
    let mut lines = text.trim_end().split("\r\n");
    let status_line = lines.next().unwrap();
    assert!(status_line.starts_with("HTTP/1."), "not a status line: {status_line}");
    let status = status_line.split(' ').nth(1).unwrap().parse().unwrap();
    let header = |line: &str| {
        let (name, value) = line.split_once(':').unwrap();
        (name.to_owned(), value.trim().to_owned())
    };
    (status, lines.map(header).collect())
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}

fn is_deadline(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}
