//! What browsers and the worker say to each other inside WebSocket messages.
//!
//! The texts are compatible to the byte (docs/protocol.md, "WebSocket"). What is new is said only
//! to a browser that asked for it ("Version 2" there).

use std::borrow::Cow;

use super::frame;
use super::json::{self, Rest};
use bytes::Bytes;

/// What a browser understands, and so what it may be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// What the Go worker says, to the byte.
    One,
    /// A ping inside a message as well, which is answered.
    Two,
}

/// An auth frame.
#[derive(Debug, PartialEq, Eq)]
pub struct Auth<'a> {
    /// Empty if it is missing or null.
    pub token: Cow<'a, str>,
    /// What the browser understands.
    pub version: Version,
}

/// What an authenticated browser may ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Question {
    /// `{"type":"status"}`, on the topic `worker.status`.
    Status,
    /// `{"type":"ping"}`, from version 2 on.
    Ping,
}

/// Answer to a good token, for version 1: subscribed.
pub const AUTH_OK: &str = r#"{"type":"auth_ok"}"#;

/// Answer to a ping inside a message.
pub const PONG: &str = r#"{"type":"pong"}"#;

/// Answer to a first message that is no auth frame.
pub const AUTH_REQUIRED: &str = r#"{"type":"error","code":"auth_required","message":"first frame must be {type:auth,token:...}"}"#;

/// Answer to a token that was refused, for whatever reason.
pub const UNAUTHORIZED: &str =
    r#"{"type":"error","code":"unauthorized","message":"invalid or expired token"}"#;

impl Version {
    /// Answer to a good token: subscribed. From version 2 on it says what the worker speaks.
    pub fn auth_ok(self) -> &'static str {
        match self {
            Self::One => AUTH_OK,
            Self::Two => r#"{"type":"auth_ok","v":2}"#,
        }
    }

    /// The version that the value of a field `v` asks for. The Go worker knows no such field, so
    /// whatever is not an integer of 2 or more asks for nothing, as if it were not there.
    fn asked_for(value: &str) -> Self {
        match json::read_i64(value) {
            Ok(Some(2..)) => Self::Two,
            Ok(_) | Err(_) => Self::One,
        }
    }
}

/// Reads an auth frame `{"type":"auth","token":"…","v":2}`; `None` if the message is none.
pub fn read_auth(message: &[u8]) -> Option<Auth<'_>> {
    let text = std::str::from_utf8(message).ok()?;
    let (mut kind, mut token) = (Cow::Borrowed(""), Cow::Borrowed(""));
    let mut version = Version::One;
    json::read_object(text, Rest::Refused, |name, value| {
        let field = if json::is_named(name, "type") {
            &mut kind
        } else if json::is_named(name, "token") {
            &mut token
        } else {
            if json::is_named(name, "v") {
                version = Version::asked_for(value);
            }
            return Ok(());
        };
        if let Some(value) = json::read_string(value)? {
            *field = value;
        }
        Ok(())
    })
    .ok()?;
    (kind == "auth").then_some(Auth { token, version })
}

/// Reads what an authenticated browser asks; `None` if it is no question. Whether the browser may
/// ask it is not known here.
pub fn read_question(message: &[u8]) -> Option<Question> {
    let text = std::str::from_utf8(message).ok()?;
    let mut question = None;
    json::read_object(text, Rest::Refused, |name, value| {
        if json::is_named(name, "type")
            && let Some(kind) = json::read_string(value)?
        {
            question = match &*kind {
                "status" => Some(Question::Status),
                "ping" => Some(Question::Ping),
                _ => None,
            };
        }
        Ok(())
    })
    .ok()?;
    question
}

/// The frame that carries `payload`, a JSON value, to the browsers: made once for all of them.
pub fn push_frame(payload: &str) -> Bytes {
    frame::text(&[r#"{"type":"push","payload":"#, payload, "}"])
}

/// The frame for an event without a payload, which only a Go node passes on.
pub const PUSH_WITHOUT_PAYLOAD: &[u8] = b"\x81\x0f{\"type\":\"push\"}";

/// The frame that answers a status request with `document`, a JSON object.
pub fn status_frame(document: &str) -> Bytes {
    frame::text(&[r#"{"type":"status","payload":"#, document, "}"])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_auth_frame_gives_its_token() {
        let token = |text: &'static str| read_auth(text.as_bytes()).map(|a| a.token.into_owned());

        assert_eq!(token(r#"{"type":"auth","token":"t"}"#).as_deref(), Some("t"));
        assert_eq!(token(r#"{"Token":"t","TYPE":"auth","x":[1]}"#).as_deref(), Some("t"));
        assert_eq!(token(r#"{"type":"auth"}"#).as_deref(), Some(""));
        assert_eq!(token(r#"{"type":"auth","token":null}"#).as_deref(), Some(""));
    }

    #[test]
    fn an_integer_of_two_or_more_asks_for_version_2_and_nothing_else_does() {
        let version = |v: &str| {
            let text = format!(r#"{{"type":"auth","token":"t",{v}}}"#);
            let auth = read_auth(text.as_bytes()).unwrap();
            assert_eq!(auth.token, "t", "{v}");
            auth.version
        };

        for v in [r#""v":2"#, r#""V": 3"#, r#""v":9223372036854775807"#, r#""v":1,"v":2"#] {
            assert_eq!(version(v), Version::Two, "{v}");
        }
        for v in [
            r#""x":2"#,
            r#""v":1"#,
            r#""v":0"#,
            r#""v":-2"#,
            r#""v":2.0"#,
            r#""v":2e0"#,
            r#""v":9223372036854775808"#,
            r#""v":"2""#,
            r#""v":null"#,
            r#""v":true"#,
            r#""v":[2]"#,
            r#""v":{"v":2}"#,
            r#""v":2,"v":1"#,
            r#""v":2,"v":null"#,
        ] {
            assert_eq!(version(v), Version::One, "{v}");
        }
    }

    #[test]
    fn what_is_no_auth_frame_is_known() {
        for text in [
            "",
            "null",
            "{}",
            "[]",
            "auth",
            r#"{"type":"Auth","token":"t"}"#,
            r#"{"type":"auth","token":7}"#,
            r#"{"type":"auth","token":"t"} x"#,
            r#"{"type":"status"}"#,
            "\u{feff}{\"type\":\"auth\"}",
        ] {
            assert_eq!(read_auth(text.as_bytes()), None, "{text}");
        }
        assert_eq!(read_auth(b"\xff"), None);
    }

    #[test]
    fn a_push_frame_holds_the_payload_as_it_was() {
        let frame = push_frame(r#"{"a": "\u003c"}"#);

        assert_eq!(&frame[..2], [0x81, 41]);
        assert_eq!(&frame[2..], br#"{"type":"push","payload":{"a": "\u003c"}}"#);
    }

    #[test]
    fn the_push_frame_without_a_payload_is_as_it_would_be_made() {
        assert_eq!(PUSH_WITHOUT_PAYLOAD, frame::text(&[r#"{"type":"push"}"#]));
    }

    #[test]
    fn a_question_is_known() {
        assert_eq!(read_question(br#"{"type":"status"}"#), Some(Question::Status));
        assert_eq!(read_question(br#"{"TYPE":"status","x":1}"#), Some(Question::Status));
        assert_eq!(read_question(br#" {"type":"p\u0069ng"} "#), Some(Question::Ping));
        assert_eq!(read_question(br#"{"type":"status","type":"ping"}"#), Some(Question::Ping));
        for text in [
            r#"{"type":"Status"}"#,
            r#"{"type":"status"}}"#,
            r#"{"type":"ping","type":"x"}"#,
            r#"{"type":"ping","type":1}"#,
            r#"{"type":"pong"}"#,
            "status",
            "{}",
            "",
        ] {
            assert_eq!(read_question(text.as_bytes()), None, "{text}");
        }
        assert_eq!(read_question(b"{\"type\":\"ping\xff\"}"), None);
    }

    proptest! {
        #[test]
        fn any_message_is_read_without_a_panic(message in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = read_auth(&message);
            let _ = read_question(&message);
        }
    }
}
