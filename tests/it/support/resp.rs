//! A client of Redis that knows just its protocol (RESP2): one connection, commands out, replies
//! in, and messages of channels as they come.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use super::PATIENCE;

/// One connection to a Redis or a sentinel.
pub struct Resp {
    stream: TcpStream,
    unread: Vec<u8>,
}

/// What Redis answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    Text(Vec<u8>),
    Error(String),
    Integer(i64),
    Nothing,
    List(Vec<Reply>),
}

impl Reply {
    /// The reply as text; an integer in digits.
    ///
    /// # Panics
    ///
    /// If it is an error, nothing, or a list.
    pub fn text(&self) -> String {
        match self {
            Self::Text(bytes) => String::from_utf8_lossy(bytes).into_owned(),
            Self::Integer(number) => number.to_string(),
            other => panic!("not a text: {other:?}"),
        }
    }

    /// The items of a list.
    pub fn list(self) -> Vec<Self> {
        match self {
            Self::List(items) => items,
            other => panic!("not a list: {other:?}"),
        }
    }
}

impl Resp {
    /// Connects; who has a password says `AUTH` first.
    pub fn connect(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, unread: Vec::new() })
    }

    /// Gives up a read after `limit` instead of [`PATIENCE`].
    pub fn patience(&self, limit: Duration) -> io::Result<()> {
        self.stream.set_read_timeout(Some(limit))
    }

    /// A second handle on the same connection, with which another thread can end it.
    pub fn handle(&self) -> TcpStream {
        self.stream.try_clone().unwrap()
    }

    /// Sends a command and reads its reply.
    pub fn ask(&mut self, command: &[impl AsRef<[u8]>]) -> io::Result<Reply> {
        self.send(command)?;
        self.read()
    }

    /// Sends a command.
    pub fn send(&mut self, command: &[impl AsRef<[u8]>]) -> io::Result<()> {
        let mut bytes = format!("*{}\r\n", command.len()).into_bytes();
        for part in command {
            let part = part.as_ref();
            bytes.extend(format!("${}\r\n", part.len()).into_bytes());
            bytes.extend(part);
            bytes.extend(b"\r\n");
        }
        self.stream.write_all(&bytes)
    }

    /// Reads the next reply or message.
    pub fn read(&mut self) -> io::Result<Reply> {
        let line = self.line()?;
        let (kind, rest) = line.split_at_checked(1).ok_or(io::ErrorKind::InvalidData)?;
        let number =
            || rest.parse::<i64>().map_err(|_| io::Error::from(io::ErrorKind::InvalidData));
        Ok(match kind {
            "+" => Reply::Text(rest.as_bytes().to_vec()),
            "-" => Reply::Error(rest.to_owned()),
            ":" => Reply::Integer(number()?),
            "$" => match usize::try_from(number()?) {
                Ok(length) => {
                    let mut bytes = self.take(length + 2)?;
                    bytes.truncate(length);
                    Reply::Text(bytes)
                }
                Err(_) => Reply::Nothing,
            },
            "*" => match usize::try_from(number()?) {
                Ok(count) => {
                    Reply::List((0..count).map(|_| self.read()).collect::<Result<_, _>>()?)
                }
                Err(_) => Reply::Nothing,
            },
            other => panic!("Redis began a reply with {other:?}"),
        })
    }

    fn line(&mut self) -> io::Result<String> {
        loop {
            if let Some(at) = self.unread.windows(2).position(|pair| pair == b"\r\n") {
                let mut line = self.take(at + 2)?;
                line.truncate(at);
                return String::from_utf8(line).map_err(|_| io::ErrorKind::InvalidData.into());
            }
            self.fill()?;
        }
    }

    fn take(&mut self, length: usize) -> io::Result<Vec<u8>> {
        while self.unread.len() < length {
            self.fill()?;
        }
        Ok(self.unread.drain(..length).collect())
    }

    fn fill(&mut self) -> io::Result<()> {
        let mut chunk = [0; 16 * 1024];
        match self.stream.read(&mut chunk)? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            count => {
                self.unread.extend_from_slice(&chunk[..count]);
                Ok(())
            }
        }
    }
}
