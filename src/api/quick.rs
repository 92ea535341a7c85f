//! The usual call without an HTTP stack: a whole publish or register that came in one piece and can
//! be carried out at once.
//!
//! hyper spends some 10,000 instructions on a request, three quarters of all that a publish costs
//! outside the kernel. Here a request is looked at where it was read into, by httparse, and the one
//! answer of success is written. There is no other answer here: whatever is unusual in any way, or
//! would be refused, goes to hyper from its first byte, and so does everything behind it on that
//! connection. Start reading at [`serve`].

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::task::Poll;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until, timeout};

use super::ApiContext;
use super::deadline::IDLE;
use crate::clock::unix_now;
use crate::protocol::request::{Publish, Register};
use crate::registry::TopicMeta;

/// Bytes that are read at a time; a larger request is hyper's.
const READ_BYTES: usize = 16 * 1024;

/// Header lines of a usual request.
const MAX_HEADERS: usize = 16;

thread_local! {
    static SCRATCH: RefCell<Box<[u8]>> = RefCell::new(vec![0; READ_BYTES].into());
    static ANSWER: RefCell<Answer> = RefCell::default();
}

/// The answer of success, with the date of a second.
#[derive(Default)]
struct Answer {
    second: i64,
    bytes: Bytes,
}

/// What was in the bytes of one read.
struct Looked {
    /// Usual requests, carried out.
    done: usize,
    /// What is behind them, if there is something.
    rest: Option<Bytes>,
}

/// Serves the usual requests of a connection. Returns what else comes, as far as it has been read;
/// `None` when the connection is over.
pub(super) async fn serve(stream: &mut TcpStream, context: &ApiContext) -> Option<Bytes> {
    let request_timeout = context.http.request_timeout;
    let mut stopping = pin!(context.shutdown.stopping.cancelled());
    let mut ends_at = Instant::now() + request_timeout; // The first request has to come at once.
    let mut alarm = pin!(sleep_until(ends_at));
    let mut is_first = true;
    loop {
        let looked = poll_fn(|cx| {
            if stopping.as_mut().poll(cx).is_ready() {
                return Poll::Ready(None);
            }
            let read = SCRATCH.with_borrow_mut(|scratch| {
                let mut buffer = ReadBuf::new(scratch);
                let read = Pin::new(&mut *stream).poll_read(cx, &mut buffer);
                read.map_ok(|()| match buffer.filled() {
                    [] => None,
                    input => Some(look(input, context)),
                })
            });
            if let Poll::Ready(read) = read {
                return Poll::Ready(read.ok().flatten());
            }
            // Set anew only when it rings: most connections never wait so long.
            while alarm.as_mut().poll(cx).is_ready() {
                if Instant::now() >= ends_at {
                    if is_first {
                        context.metrics.http_timeouts.inc();
                    }
                    return Poll::Ready(None);
                }
                alarm.as_mut().reset(ends_at);
            }
            Poll::Pending
        });
        let Looked { done, rest } = looked.await?;
        if done > 0 {
            (is_first, ends_at) = (false, Instant::now() + IDLE);
            if timeout(request_timeout, answer(stream, done)).await.is_err() {
                context.metrics.http_timeouts.inc(); // It does not take its answers.
                return None;
            }
        }
        if rest.is_some() {
            return rest;
        }
    }
}

/// Carries out the usual requests at the start of `input`.
fn look(mut input: &[u8], context: &ApiContext) -> Looked {
    let mut done = 0;
    while !input.is_empty() {
        let Some(size) = carry_out(input, context) else {
            return Looked { done, rest: Some(Bytes::copy_from_slice(input)) };
        };
        done += 1;
        input = &input[size..];
    }
    Looked { done, rest: None }
}

/// Carries out the request at the start of `input` if it is a usual one, and says how long it is.
/// Otherwise nothing has happened.
fn carry_out(input: &[u8], context: &ApiContext) -> Option<usize> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut request = httparse::Request::new(&mut headers);
    let Ok(httparse::Status::Complete(head)) = request.parse(input) else {
        return None;
    };
    if request.version != Some(1) || request.method != Some("POST") {
        return None;
    }
    let (mut secret, mut length) = (None, None);
    for header in &*request.headers {
        let is = |name: &str| header.name.eq_ignore_ascii_case(name);
        if is("x-worker-secret") {
            secret.get_or_insert(header.value); // The first counts.
        } else if is("content-length") {
            if length.replace(number(header.value)?).is_some() {
                return None;
            }
        } else if is("transfer-encoding") || is("expect") || is("connection") || is("upgrade") {
            return None;
        }
    }
    let end = head.checked_add(length?)?;
    let body = input.get(head..end)?;
    let broker = &context.broker;
    if !broker.is_secret(secret?.trim_ascii()) {
        return None;
    }
    match request.path? {
        "/internal/publish" | "/internal/push" => {
            let Publish { topic, payload } = Publish::parse(body).ok()?;
            broker.publish_now(&topic, payload).ok()?;
        }
        "/internal/register" => {
            let Register { topic, require_token } = Register::parse(body).ok()?;
            broker.register(&topic, TopicMeta { require_token });
        }
        _ => return None,
    }
    Some(end)
}

/// A whole number in decimal digits and nothing else.
fn number(value: &[u8]) -> Option<usize> {
    let digits = value.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(value).ok().filter(|_| digits)?.parse().ok()
}

/// Answers `count` requests with success, all in one write.
async fn answer(stream: &mut TcpStream, count: usize) -> io::Result<()> {
    let once = ANSWER.with_borrow_mut(|answer| {
        let second = unix_now();
        if answer.second != second {
            let date = jiff::Timestamp::now().strftime("%a, %d %b %Y %H:%M:%S GMT");
            let text = format!("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nDate: {date}\r\n\r\n");
            *answer = Answer { second, bytes: text.into() };
        }
        answer.bytes.clone()
    });
    match count {
        1 => stream.write_all(&once).await,
        _ => stream.write_all(&once.repeat(count)).await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_is_digits_alone() {
        assert_eq!(number(b"0"), Some(0));
        assert_eq!(number(b"1048576"), Some(1_048_576));
        for text in ["", "+1", "-1", "1 ", "0x1", "1,1", "99999999999999999999999"] {
            assert_eq!(number(text.as_bytes()), None, "{text}");
        }
    }
}
