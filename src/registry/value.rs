//! The value of a topic's key, and the messages about changes.
//!
//! Values are written exactly as the Go worker writes them and read as leniently as it reads them.

use std::borrow::Cow;

use super::TopicMeta;
use super::told::Change;
use crate::protocol::json::{self, Rest};

/// No moment that is told is before this one in microseconds, nor after it in milliseconds.
const EARLIEST_US: i64 = 100_000_000_000_000;

/// The value of a topic's key.
pub(super) fn write(meta: TopicMeta) -> &'static str {
    if meta.require_token { r#"{"require_token":true}"# } else { r#"{"require_token":false}"# }
}

/// What the value of a topic's key says; `None` if it is unreadable, which counts as not there.
pub(super) fn read(value: &[u8]) -> Option<TopicMeta> {
    let text = std::str::from_utf8(value).ok()?;
    let mut require_token = false;
    json::read_object(text, Rest::Refused, |name, value| {
        if json::is_named(name, "require_token") {
            require_token = json::read_bool(value)?.unwrap_or(require_token);
        }
        Ok(())
    })
    .ok()?;
    Some(TopicMeta { require_token })
}

/// The message that `topic` was changed at `at`, in Redis' microseconds.
pub(super) fn write_change(topic: &str, change: Change, at: i64) -> String {
    let mut message = String::with_capacity(64 + topic.len());
    message.push_str(r#"{"topic":"#);
    json::write_string(topic, &mut message);
    message.push_str(r#","at":"#);
    message.push_str(&at.to_string());
    message.push_str(match change {
        Change::Put(TopicMeta { require_token: true }) => r#","require_token":true}"#,
        Change::Put(TopicMeta { require_token: false }) => r#","require_token":false}"#,
        Change::Gone => r#","gone":true}"#,
    });
    message
}

/// Topic, change and time of a message, in Redis' microseconds; `None` if it is unreadable.
pub(super) fn read_change(message: &[u8]) -> Option<(Cow<'_, str>, Change, i64)> {
    let text = std::str::from_utf8(message).ok()?;
    let (mut topic, mut at, mut require_token, mut gone) = (None, None, None, false);
    json::read_object(text, Rest::Refused, |name, value| {
        if json::is_named(name, "topic") {
            topic = json::read_string(value)?;
        } else if json::is_named(name, "at") {
            at = json::read_i64(value)?;
        } else if json::is_named(name, "require_token") {
            require_token = json::read_bool(value)?;
        } else if json::is_named(name, "gone") {
            gone = json::read_bool(value)?.unwrap_or(false);
        }
        Ok(())
    })
    .ok()?;
    let change = match require_token {
        _ if gone => Change::Gone,
        Some(require_token) => Change::Put(TopicMeta { require_token }),
        None => return None,
    };
    Some((topic?, change, micros(at?)))
}

/// A moment in microseconds. One before March 1973 is in milliseconds, as a node of an earlier
/// version says it.
fn micros(at: i64) -> i64 {
    if (0..EARLIEST_US).contains(&at) { at.saturating_mul(1000) } else { at }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn values_are_read_as_the_go_worker_reads_them() {
        for (value, flag) in [
            (r#"{"require_token":true}"#, Some(true)),
            (r#" { "REQUIRE_token" : true , "x": [1] } "#, Some(true)),
            (r#"{"require_token":true,"Require_Token":false}"#, Some(false)),
            (r#"{"require_token":null}"#, Some(false)),
            ("{}", Some(false)),
            ("null", Some(false)),
            ("", None),
            ("1", None),
            (r#"{"require_token":"true"}"#, None),
            (r#"{"require_token":true}x"#, None),
        ] {
            assert_eq!(read(value.as_bytes()).map(|meta| meta.require_token), flag, "{value}");
        }
        assert_eq!(read(b"\xff"), None);
    }

    #[test]
    fn a_moment_in_milliseconds_is_understood() {
        let message = br#"{"topic":"t","at":1763862000123,"gone":true}"#;

        let read = read_change(message);

        assert_eq!(read, Some(("t".into(), Change::Gone, 1_763_862_000_123_000)));
    }

    #[test]
    fn a_message_that_lacks_something_is_none() {
        for message in ["", "null", "{}", r#"{"topic":"a","at":1}"#, r#"{"topic":"a","gone":true}"#]
        {
            assert_eq!(read_change(message.as_bytes()), None, "{message}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(topic in ".{0,40}", at in EARLIEST_US.., kind in 0..3) {
            let change = match kind {
                0 => Change::Gone,
                _ => Change::Put(TopicMeta { require_token: kind == 1 }),
            };
            let message = write_change(&topic, change, at);
            prop_assert_eq!(read_change(message.as_bytes()), Some((topic.as_str().into(), change, at)));
            if let Change::Put(meta) = change {
                prop_assert_eq!(read(write(meta).as_bytes()), Some(meta));
            }
        }

        #[test]
        fn any_bytes_are_read_or_refused_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            let _ = read(&bytes);
            let _ = read_change(&bytes);
        }
    }
}
