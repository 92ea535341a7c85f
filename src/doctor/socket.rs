//! A browser's part: a socket that authenticates and sees what comes, and when.
//!
//! Start reading at [`Socket::authenticate`].

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use tokio::time::{Instant, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::Role;
use tokio_tungstenite::tungstenite::{Error, Message};

use super::http::Raw;
use crate::protocol::json::{self, Rest};

/// Time that the application's page gives a socket, from its beginning to `auth_ok`.
pub const PAGE_PATIENCE: Duration = Duration::from_millis(1500);

/// Time after which no answer is expected any more.
const PATIENCE: Duration = Duration::from_secs(5);

/// Time for last words.
const FAREWELL: Duration = Duration::from_millis(300);

/// A WebSocket.
#[derive(Debug)]
pub struct Socket {
    socket: WebSocketStream<Raw>,
    /// When something last came.
    pub heard: Instant,
}

/// What the worker, or somebody between, does with the socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A payload.
    Push(String),
    /// A ping; it is answered.
    Ping,
    /// Something else.
    Other,
    /// A close frame with this code; 1005 is none.
    Closed(u16),
    /// The end of the connection, without a word.
    Ended,
}

/// Why a socket is not let in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refused {
    /// The token is not taken.
    Token,
    /// It ended.
    Ended(Event),
    /// Nothing came.
    Silent,
}

impl Socket {
    /// Goes on with a connection that was upgraded.
    pub async fn over(raw: Raw) -> Self {
        let socket = WebSocketStream::from_raw_socket(raw, Role::Client, None).await;
        Self { socket, heard: Instant::now() }
    }

    /// Shows `token` and waits for `auth_ok`.
    pub async fn authenticate(&mut self, token: &str) -> Result<(), Refused> {
        let mut frame = String::from(r#"{"type":"auth","token":"#);
        json::write_string(token, &mut frame);
        frame.push('}');
        let letting_in = async {
            if self.socket.send(Message::text(frame)).await.is_err() {
                return Err(Refused::Ended(Event::Ended));
            }
            loop {
                match self.socket.next().await {
                    Some(Ok(Message::Text(text))) => match kind(&text).as_deref() {
                        Some("auth_ok") => return Ok(()),
                        Some("error") => return Err(Refused::Token),
                        _ => {}
                    },
                    other => {
                        let event = event(other);
                        if matches!(event, Event::Closed(_) | Event::Ended) {
                            return Err(Refused::Ended(event));
                        }
                    }
                }
            }
        };
        let let_in = timeout(PATIENCE, letting_in).await.unwrap_or(Err(Refused::Silent));
        self.heard = Instant::now();
        let_in
    }

    /// What happens next. Cancel-safe.
    pub async fn next(&mut self) -> Event {
        let event = event(self.socket.next().await);
        if !matches!(event, Event::Closed(_) | Event::Ended) {
            self.heard = Instant::now();
        }
        if event == Event::Ping {
            // The answer waits in the socket, and is to leave at once.
            let _ = timeout(FAREWELL, self.socket.flush()).await;
        }
        event
    }

    /// What happens until `deadline`; `None` is nothing.
    pub async fn next_until(&mut self, deadline: Instant) -> Option<Event> {
        tokio::time::timeout_at(deadline, self.next()).await.ok()
    }

    /// Says goodbye.
    pub async fn close(mut self) {
        let _ = timeout(FAREWELL, self.socket.close(None)).await;
    }
}

fn event(item: Option<Result<Message, Error>>) -> Event {
    match item {
        Some(Ok(Message::Text(text))) => match payload(&text) {
            Some(payload) => Event::Push(payload),
            None => Event::Other,
        },
        Some(Ok(Message::Ping(_))) => Event::Ping,
        Some(Ok(Message::Close(frame))) => {
            Event::Closed(frame.map_or(1005, |frame| frame.code.into()))
        }
        Some(Ok(_)) => Event::Other,
        Some(Err(_)) | None => Event::Ended,
    }
}

fn kind(message: &str) -> Option<String> {
    field(message, "type", |value| json::read_string(value).ok().flatten().map(Into::into))
}

/// The payload of a push, as it stands there.
fn payload(message: &str) -> Option<String> {
    if kind(message)? != "push" {
        return None;
    }
    field(message, "payload", |value| Some(value.to_owned()))
}

fn field(message: &str, wanted: &str, read: impl Fn(&str) -> Option<String>) -> Option<String> {
    let mut found = None;
    json::read_object(message, Rest::Refused, |name, value| {
        if name == wanted {
            found = read(value);
        }
        Ok(())
    })
    .ok()?;
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_push_is_told_from_other_messages() {
        assert_eq!(payload(r#"{"type":"push","payload":{"n":1}}"#).as_deref(), Some(r#"{"n":1}"#));
        assert_eq!(payload(r#"{"type":"status","payload":{}}"#), None);
        assert_eq!(payload("no"), None);
    }
}
