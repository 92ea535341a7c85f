//! One connection to the internal port, as PHP would keep it: requests one after the other.
//!
//! Blocking, and no more than what the internal API answers (docs/protocol.md, "Internal API"):
//! a status, and a body that `Content-Length` measures.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::secret::Secret;

/// Time for a part of an answer to come.
const PATIENCE: Duration = Duration::from_secs(10);

/// Bytes of an answer that are read at a time; an answer to a publish has about 100.
const ANSWER_BYTES: usize = 2048;

/// The connection.
#[derive(Debug)]
pub struct Connection {
    address: SocketAddr,
    stream: TcpStream,
    answer: Vec<u8>,
}

impl Connection {
    /// Connects to the internal port at `address`.
    ///
    /// # Errors
    ///
    /// One line that says what is wrong and what to do.
    pub fn open(address: SocketAddr) -> Result<Self, String> {
        let stream = connect(address).map_err(|error| {
            format!("{address}: cannot connect to the internal port: {error}; is a worker there?")
        })?;
        Ok(Self { address, stream, answer: vec![0; ANSWER_BYTES] })
    }

    /// Ends the connection and makes another.
    ///
    /// # Errors
    ///
    /// As [`Connection::open`].
    pub fn reopen(&mut self) -> Result<(), String> {
        *self = Self::open(self.address)?;
        Ok(())
    }

    /// Sends `request` whole and reads the answer; its status.
    ///
    /// # Errors
    ///
    /// The connection ended, stalled, or said something that is not HTTP; what came of the
    /// request is not known.
    pub fn exchange(&mut self, request: &[u8]) -> io::Result<u16> {
        self.stream.write_all(request)?;
        let mut filled = 0;
        loop {
            let count = self.stream.read(&mut self.answer[filled..])?;
            filled += count;
            if count == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if let Some((status, bytes)) = read_answer(&self.answer[..filled])? {
                return match filled.checked_sub(bytes) {
                    Some(0) => Ok(status),
                    // More than was asked for.
                    Some(_) => Err(io::ErrorKind::InvalidData.into()),
                    None => {
                        let missing = (bytes - filled) as u64;
                        io::copy(&mut (&self.stream).take(missing), &mut io::sink())?;
                        Ok(status)
                    }
                };
            }
            if filled == self.answer.len() {
                return Err(io::ErrorKind::InvalidData.into());
            }
        }
    }
}

/// The bytes of a POST of `body`.
pub fn post(path: &str, address: SocketAddr, secret: &Secret, body: &[u8]) -> Vec<u8> {
    let mut request = format!(
        "POST {path} HTTP/1.1\r\nHost: {address}\r\nX-Worker-Secret: {}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        secret.expose(),
        body.len(),
    )
    .into_bytes();
    request.extend_from_slice(body);
    request
}

fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(stream)
}

/// Status and length of the answer at the start of `input`; `None`: its head is not all there.
fn read_answer(input: &[u8]) -> io::Result<Option<(u16, usize)>> {
    let mut headers = [httparse::EMPTY_HEADER; 32];
    let mut answer = httparse::Response::new(&mut headers);
    let invalid = || io::Error::from(io::ErrorKind::InvalidData);
    let httparse::Status::Complete(head) = answer.parse(input).map_err(|_| invalid())? else {
        return Ok(None);
    };
    let length = answer.headers.iter().find(|h| h.name.eq_ignore_ascii_case("content-length"));
    let length = length.and_then(|header| str::from_utf8(header.value).ok()?.parse().ok());
    let bytes = head.checked_add(length.unwrap_or(0)).ok_or_else(invalid)?;
    Ok(Some((answer.code.ok_or_else(invalid)?, bytes)))
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::thread;

    use super::*;

    /// What an exchange makes of a server that says `pieces`, one after the other, and ends.
    fn exchange(pieces: &'static [&'static str]) -> io::Result<u16> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            assert_eq!(stream.read(&mut [0; 100]).unwrap(), 2);
            for piece in pieces {
                stream.write_all(piece.as_bytes()).unwrap();
            }
        });
        let status = Connection::open(address).unwrap().exchange(b"hi");
        server.join().unwrap();
        status
    }

    #[test]
    fn an_answer_is_read_however_it_is_cut() {
        assert_eq!(exchange(&["HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"]).unwrap(), 200);
        assert_eq!(
            exchange(&[
                "HTTP/1.1 503 Service",
                " Unavailable\r\nContent-Length: 5\r\n\r\nbu",
                "sy\n"
            ])
            .unwrap(),
            503
        );
    }

    #[test]
    fn what_is_no_answer_is_an_error() {
        for pieces in [
            &[][..],
            &["HTTP/1.1 200 OK\r\n"],
            &["hello\r\n\r\n"],
            &["HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nmore"],
            &["HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551615\r\n\r\n"],
        ] {
            assert!(exchange(pieces).is_err(), "{pieces:?}");
        }
    }

    #[test]
    fn nobody_there_is_said_in_one_line() {
        let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();

        let error = Connection::open(free).unwrap_err();

        assert!(error.starts_with(&format!("{free}: cannot connect to the internal")), "{error}");
    }
}
