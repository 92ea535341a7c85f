//! What browsers and the worker say to each other inside WebSocket messages.
//!
//! The texts are compatible to the byte (docs/protocol.md, "WebSocket").

use std::borrow::Cow;

use super::frame;
use super::json::{self, Rest};
use bytes::Bytes;

/// Answer to a good token: subscribed.
pub const AUTH_OK: &str = r#"{"type":"auth_ok"}"#;

/// Answer to a first message that is no auth frame.
pub const AUTH_REQUIRED: &str = r#"{"type":"error","code":"auth_required","message":"first frame must be {type:auth,token:...}"}"#;

/// Answer to a token that was refused, for whatever reason.
pub const UNAUTHORIZED: &str =
    r#"{"type":"error","code":"unauthorized","message":"invalid or expired token"}"#;

/// Reads an auth frame `{"type":"auth","token":"…"}` and returns its token, which is empty if it
/// is missing or null; `None` if the message is no auth frame.
pub fn read_auth(message: &[u8]) -> Option<Cow<'_, str>> {
    let text = std::str::from_utf8(message).ok()?;
    let (mut kind, mut token) = (Cow::Borrowed(""), Cow::Borrowed(""));
    json::read_object(text, Rest::Refused, |name, value| {
        let field = if json::is_named(name, "type") {
            &mut kind
        } else if json::is_named(name, "token") {
            &mut token
        } else {
            return Ok(());
        };
        if let Some(value) = json::read_string(value)? {
            *field = value;
        }
        Ok(())
    })
    .ok()?;
    (kind == "auth").then_some(token)
}

/// Whether a message is `{"type":"status"}`, the question on the topic `worker.status`.
pub fn is_status_request(message: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(message) else {
        return false;
    };
    let mut asked = false;
    let read = json::read_object(text, Rest::Refused, |name, value| {
        if json::is_named(name, "type")
            && let Some(kind) = json::read_string(value)?
        {
            asked = kind == "status";
        }
        Ok(())
    });
    read.is_ok() && asked
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
        let token = |text: &'static str| read_auth(text.as_bytes()).map(Cow::into_owned);

        assert_eq!(token(r#"{"type":"auth","token":"t"}"#).as_deref(), Some("t"));
        assert_eq!(token(r#"{"Token":"t","TYPE":"auth","x":[1]}"#).as_deref(), Some("t"));
        assert_eq!(token(r#"{"type":"auth"}"#).as_deref(), Some(""));
        assert_eq!(token(r#"{"type":"auth","token":null}"#).as_deref(), Some(""));
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
    fn a_status_request_is_known() {
        assert!(is_status_request(br#"{"type":"status"}"#));
        assert!(is_status_request(br#"{"TYPE":"status","x":1}"#));
        assert!(!is_status_request(br#"{"type":"Status"}"#));
        assert!(!is_status_request(br#"{"type":"status"}}"#));
        assert!(!is_status_request(b"status"));
    }

    proptest! {
        #[test]
        fn any_message_is_read_without_a_panic(message in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = read_auth(&message);
            let _ = is_status_request(&message);
        }
    }
}
