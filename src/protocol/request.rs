//! The bodies that PHP posts: register, unregister, publish (docs/protocol.md, "Internal API").
//!
//! Every rule of Go's decoder that a body can meet is in [`super::json`]; here is which fields
//! there are and which are needed.

use std::borrow::Cow;

use super::json::{self, Malformed, Rest};

/// Body of `/internal/register`.
#[derive(Debug, PartialEq, Eq)]
pub struct Register<'a> {
    /// The topic, never empty.
    pub topic: Cow<'a, str>,
    /// Whether browsers need a token that is good for it.
    pub require_token: bool,
}

/// Body of `/internal/publish`.
#[derive(Debug, PartialEq, Eq)]
pub struct Publish<'a> {
    /// The topic, never empty.
    pub topic: Cow<'a, str>,
    /// A JSON value, as it was written.
    pub payload: &'a str,
}

/// Why a body was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// Not UTF-8, not JSON, or a field of the wrong type.
    #[error("bad request")]
    Malformed,
    /// Publish without a topic.
    #[error("missing topic")]
    MissingTopic,
    /// Publish without a payload.
    #[error("missing payload")]
    MissingPayload,
}

impl From<Malformed> for BodyError {
    fn from(_: Malformed) -> Self {
        Self::Malformed
    }
}

impl<'a> Register<'a> {
    /// Reads the body of a registration. Without `meta` the topic is open.
    ///
    /// # Errors
    ///
    /// [`BodyError::Malformed`], also without a topic.
    pub fn parse(body: &'a [u8]) -> Result<Self, BodyError> {
        let mut topic = Cow::Borrowed("");
        let mut require_token = false;
        json::read_object(utf8(body)?, Rest::Ignored, |name, value| {
            if json::is_named(name, "topic") {
                set(&mut topic, json::read_string(value)?);
            } else if json::is_named(name, "meta") {
                json::read_object(value, Rest::Refused, |name, value| {
                    if json::is_named(name, "require_token") {
                        set(&mut require_token, json::read_bool(value)?);
                    }
                    Ok(())
                })?;
            }
            Ok(())
        })?;
        if topic.is_empty() { Err(BodyError::Malformed) } else { Ok(Self { topic, require_token }) }
    }
}

/// Reads the body of `/internal/unregister`: the topic.
///
/// # Errors
///
/// [`BodyError::Malformed`], also without a topic.
pub fn parse_unregister(body: &[u8]) -> Result<Cow<'_, str>, BodyError> {
    let mut topic = Cow::Borrowed("");
    json::read_object(utf8(body)?, Rest::Ignored, |name, value| {
        if json::is_named(name, "topic") {
            set(&mut topic, json::read_string(value)?);
        }
        Ok(())
    })?;
    if topic.is_empty() { Err(BodyError::Malformed) } else { Ok(topic) }
}

impl<'a> Publish<'a> {
    /// Reads the body of a publish. `null` is a payload.
    ///
    /// # Errors
    ///
    /// [`BodyError`] says what is wrong; a missing topic comes before a missing payload.
    pub fn parse(body: &'a [u8]) -> Result<Self, BodyError> {
        let mut topic = Cow::Borrowed("");
        let mut payload = None;
        json::read_object(utf8(body)?, Rest::Ignored, |name, value| {
            if json::is_named(name, "topic") {
                set(&mut topic, json::read_string(value)?);
            } else if json::is_named(name, "payload") {
                payload = Some(value);
            }
            Ok(())
        })?;
        if topic.is_empty() {
            return Err(BodyError::MissingTopic);
        }
        let payload = payload.ok_or(BodyError::MissingPayload)?;
        Ok(Self { topic, payload })
    }
}

/// `null` leaves a field as it is.
fn set<T>(field: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *field = value;
    }
}

fn utf8(body: &[u8]) -> Result<&str, BodyError> {
    std::str::from_utf8(body).map_err(|_| BodyError::Malformed)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn register(body: &str) -> Result<(String, bool), BodyError> {
        Register::parse(body.as_bytes()).map(|r| (r.topic.into_owned(), r.require_token))
    }

    #[test]
    fn registering_without_meta_makes_an_open_topic() {
        assert_eq!(register(r#"{"topic":"a"}"#), Ok(("a".into(), false)));
        assert_eq!(register(r#"{"topic":"a","meta":{}}"#), Ok(("a".into(), false)));
        assert_eq!(register(r#"{"topic":"a","meta":null}"#), Ok(("a".into(), false)));
        assert_eq!(
            register(r#"{"topic":"a","meta":{"require_token":true}}"#),
            Ok(("a".into(), true))
        );
    }

    #[test]
    fn a_repeated_meta_is_filled_further_and_null_changes_nothing() {
        let body = r#"{"TOPIC":"a","meta":{"require_token":true},"meta":{},"topic":null}"#;
        assert_eq!(register(body), Ok(("a".into(), true)));
        let body =
            r#"{"topic":"a","topic":"b","Meta":{"Require_Token":true,"require_token":null}}"#;
        assert_eq!(register(body), Ok(("b".into(), true)));
    }

    #[test]
    fn registering_needs_a_topic_and_the_right_types() {
        for body in [
            "",
            "null",
            "{}",
            r#"{"topic":""}"#,
            r#"{"topic":7}"#,
            r#"{"topic":7,"topic":"a"}"#,
            r#"{"topic":"a","meta":[]}"#,
            r#"{"topic":"a","meta":{"require_token":"true"}}"#,
        ] {
            assert_eq!(register(body), Err(BodyError::Malformed), "{body}");
        }
    }

    #[test]
    fn a_publish_says_what_is_missing_topic_first() {
        let parse = |body: &'static str| Publish::parse(body.as_bytes()).map(|p| p.payload);

        assert_eq!(parse("null"), Err(BodyError::MissingTopic));
        assert_eq!(parse("{}"), Err(BodyError::MissingTopic));
        assert_eq!(parse(r#"{"topic":"a"}"#), Err(BodyError::MissingPayload));
        assert_eq!(parse(r#"{"topic":"a","payload":null}"#), Ok("null"));
        assert_eq!(parse(r#"{"topic":"a","payload": [1, 2] }x"#), Ok("[1, 2]"));
        assert_eq!(parse(r#"{"topic":"a","payload":1,"Payload":2}"#), Ok("2"));
        assert_eq!(parse("[]"), Err(BodyError::Malformed));
    }

    #[test]
    fn bytes_that_are_not_utf8_are_refused_wherever_they_stand() {
        assert_eq!(
            Publish::parse(b"{\"topic\":\"a\",\"payload\":\"\xff\"}"),
            Err(BodyError::Malformed)
        );
        assert_eq!(
            Publish::parse(b"{\"topic\":\"a\",\"payload\":1}\xff"),
            Err(BodyError::Malformed)
        );
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused_without_a_panic(body in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Publish::parse(&body);
            let _ = Register::parse(&body);
            let _ = parse_unregister(&body);
        }

        #[test]
        fn a_payload_is_never_altered(payload in r#"(\[[1-9][0-9]{0,8}(, ?"[a-z<>&]*")*\]|"[a-zä<]*"|-?[1-9][0-9]*(\.[0-9]+)?)"#) {
            let body = format!(r#"{{"topic":"t","payload":{payload}}}"#);
            prop_assert_eq!(Publish::parse(body.as_bytes()).unwrap().payload, payload);
        }
    }
}
