//! One WebSocket connection to a worker, from the browser's end: authenticates, then hands over
//! what is pushed.
//!
//! Knows nothing of coming back after an end (`listen`). Start reading at [`Feed::open`].

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async};

use crate::client::address::{ConnectError, WsUrl};
use crate::client::tls::Stream;
use crate::protocol::json::{self, Rest};

/// Time for the handshake and again for the answer to the token: a little more than a worker
/// gives a browser.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(15);

/// Silence after which the worker is asked whether it is there; after as much again it is not.
const SILENCE: Duration = Duration::from_secs(30);

/// Time for last words.
const FAREWELL: Duration = Duration::from_millis(500);

/// A connection that is subscribed to a topic.
pub(super) struct Feed {
    socket: WebSocketStream<Stream>,
}

/// Why there is no feed, or not any more.
#[derive(Debug, thiserror::Error)]
pub(super) enum FeedError {
    /// Nobody is there.
    #[error("{0}: {advice}", advice = .0.advice("--url ws://host:port/ws"))]
    Connect(#[from] ConnectError),
    /// 404 instead of an upgrade.
    #[error("topic not registered")]
    UnknownTopic,
    /// Another status instead of an upgrade.
    #[error("answered with HTTP {status} instead of a WebSocket")]
    NoUpgrade {
        /// The status.
        status: u16,
    },
    /// The token was refused.
    #[error("token refused")]
    Unauthorized,
    /// An error frame of another kind.
    #[error("refused: {0:?}")]
    Refused(String),
    /// A close frame.
    #[error("closed {code} {reason}", reason = super::printable(reason))]
    Closed {
        /// Its code.
        code: u16,
        /// What it says.
        reason: String,
    },
    /// The end of the connection without a close frame.
    #[error("the connection broke")]
    Broken,
    /// Nothing comes in the time it should.
    #[error("no answer")]
    Silent,
    /// Something came that a worker does not say.
    #[error("not the answer of a worker: {0}")]
    Strange(String),
}

/// A message of the worker.
enum Said {
    AuthOk,
    Push(String),
    Error { code: String },
    Other,
}

impl Feed {
    /// Connects to `url` and subscribes to `topic` with `token`, which may be empty if the topic
    /// is open.
    pub(super) async fn open(url: &WsUrl, topic: &str, token: &str) -> Result<Self, FeedError> {
        let stream = url.address.open().await?;
        let opening = timeout(ANSWER_TIMEOUT, client_async(url.for_topic(topic), stream)).await;
        let (socket, _) = opening.map_err(|_| FeedError::Silent)?.map_err(FeedError::of)?;
        let mut feed = Self { socket };
        let answering = timeout(ANSWER_TIMEOUT, feed.authenticate(token)).await;
        answering.map_err(|_| FeedError::Silent)??;
        Ok(feed)
    }

    async fn authenticate(&mut self, token: &str) -> Result<(), FeedError> {
        let mut frame = String::from(r#"{"type":"auth","token":"#);
        json::write_string(token, &mut frame);
        frame.push('}');
        self.socket.send(Message::text(frame)).await.map_err(FeedError::of)?;
        loop {
            match self.said().await? {
                Some(Said::AuthOk) => return Ok(()),
                Some(Said::Error { code })
                    // The other is what a topic that is not open says to no token at all.
                    if code == "unauthorized" || code == "auth_required" =>
                {
                    return Err(FeedError::Unauthorized);
                }
                Some(Said::Error { code }) => return Err(FeedError::Refused(code)),
                Some(Said::Push(_) | Said::Other) | None => {}
            }
        }
    }

    /// The next payload, on one line. Cancel-safe.
    pub(super) async fn next(&mut self) -> Result<String, FeedError> {
        let mut asked = false;
        loop {
            match timeout(SILENCE, self.said()).await {
                Ok(said) => {
                    asked = false;
                    if let Some(Said::Push(payload)) = said? {
                        return Ok(payload);
                    }
                }
                Err(_) if asked => return Err(FeedError::Silent),
                Err(_) => {
                    asked = true;
                    let asking = self.socket.send(Message::Ping(Vec::new().into()));
                    let asking = timeout(SILENCE, asking).await;
                    asking.map_err(|_| FeedError::Silent)?.map_err(FeedError::of)?;
                }
            }
        }
    }

    /// Says goodbye, as far as the worker takes it.
    pub(super) async fn close(mut self) {
        // Whoever does not take it will notice the end of the connection.
        let _ = timeout(FAREWELL, self.socket.close(None)).await;
    }

    /// The next thing the worker says; `None` for pings and pongs, which answer themselves.
    async fn said(&mut self) -> Result<Option<Said>, FeedError> {
        match self.socket.next().await {
            Some(Ok(Message::Text(text))) => read(&text).map(Some),
            Some(Ok(Message::Close(frame))) => {
                // The answer to the close frame waits in the socket.
                let _ = timeout(FAREWELL, self.socket.flush()).await;
                Err(frame.map_or(FeedError::Broken, |frame| FeedError::Closed {
                    code: frame.code.into(),
                    reason: frame.reason.to_string(),
                }))
            }
            Some(Ok(_)) => Ok(None),
            Some(Err(error)) => Err(FeedError::of(error)),
            None => Err(FeedError::Broken),
        }
    }
}

impl FeedError {
    fn of(error: Error) -> Self {
        match error {
            Error::Http(response) => match response.status().as_u16() {
                404 => Self::UnknownTopic,
                status => Self::NoUpgrade { status },
            },
            Error::ConnectionClosed | Error::AlreadyClosed | Error::Io(_) => Self::Broken,
            Error::Protocol(
                tokio_tungstenite::tungstenite::error::ProtocolError::ResetWithoutClosingHandshake
                | tokio_tungstenite::tungstenite::error::ProtocolError::HandshakeIncomplete,
            ) => Self::Broken,
            error => Self::Strange(super::printable(&error.to_string())),
        }
    }
}

fn read(message: &str) -> Result<Said, FeedError> {
    let (mut kind, mut code, mut payload) = (None, None, None);
    let read = json::read_object(message, Rest::Refused, |name, value| {
        match name {
            "type" => kind = json::read_string(value)?,
            "code" => code = json::read_string(value)?,
            "payload" => payload = Some(value),
            _ => {}
        }
        Ok(())
    });
    read.map_err(|_| FeedError::Strange("a message that is not a JSON object".to_owned()))?;
    Ok(match (kind.as_deref(), payload) {
        (Some("auth_ok"), _) => Said::AuthOk,
        (Some("push"), Some(payload)) => Said::Push(one_line(payload)),
        (Some("error"), _) => Said::Error { code: code.unwrap_or_default().into_owned() },
        _ => Said::Other,
    })
}

/// `json` on one line, and without what a terminal would obey. Line breaks can stand between its
/// parts alone, other control characters in its strings alone, so its meaning stays.
fn one_line(json: &str) -> String {
    let mut line = String::with_capacity(json.len());
    for letter in json.chars() {
        match letter {
            '\n' | '\r' => line.push(' '),
            '\u{7f}'..='\u{9f}' => line.push_str(&format!("\\u{:04x}", u32::from(letter))),
            _ => line.push(letter),
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pushed(message: &str) -> Option<String> {
        match read(message) {
            Ok(Said::Push(payload)) => Some(payload),
            _ => None,
        }
    }

    #[test]
    fn a_payload_is_one_line_of_the_same_json() {
        assert_eq!(
            pushed("{\"type\":\"push\",\"payload\":{\"a\": [1,\r\n 2]}}").as_deref(),
            Some("{\"a\": [1,   2]}")
        );
        assert_eq!(
            pushed("{\"type\":\"push\",\"payload\":\"ä\u{9b}31m\\n\"}").as_deref(),
            Some("\"ä\\u009b31m\\n\"")
        );
        assert_eq!(pushed(r#"{"type":"push","payload":null}"#).as_deref(), Some("null"));
    }

    #[test]
    fn other_messages_are_told_apart() {
        assert!(matches!(read(r#"{"type":"auth_ok"}"#), Ok(Said::AuthOk)));
        assert!(
            matches!(read(r#"{"type":"error","code":"unauthorized"}"#), Ok(Said::Error { code }) if code == "unauthorized")
        );
        assert!(matches!(read(r#"{"type":"status","payload":{}}"#), Ok(Said::Other)));
        assert!(matches!(read("hello"), Err(FeedError::Strange(_))));
    }
}
