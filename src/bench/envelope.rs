//! What stands around a payload in a push: found without parsing, once it was parsed.
//!
//! A worker may write `{"type":"push","payload":…}` with its fields in another order, with further
//! fields or with white space. So a push in an unknown envelope is read as JSON, and what stood
//! before and after its payload is remembered; as long as that stays the same, two comparisons
//! find the payload.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

/// The bytes before and after the payload, as the last push that had to be parsed had them.
#[derive(Debug)]
pub struct Envelope {
    before: Vec<u8>,
    after: Vec<u8>,
    payload_bytes: usize,
}

#[derive(Deserialize)]
struct Push<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    payload: &'a RawValue,
}

impl Envelope {
    /// The shortest one, until another is met; payloads have `payload_bytes`.
    pub fn new(payload_bytes: usize) -> Self {
        let (before, after) = (br#"{"type":"push","payload":"#.to_vec(), b"}".to_vec());
        Self { before, after, payload_bytes }
    }

    /// The payload in `message`, as it was written; `None` if this is no push.
    pub fn open<'a>(&mut self, message: &'a [u8]) -> Option<&'a [u8]> {
        if let Some(rest) = message.strip_prefix(&self.before[..])
            && let Some(payload) = rest.strip_suffix(&self.after[..])
            && payload.len() == self.payload_bytes
        {
            return Some(payload);
        }
        self.parse(message)
    }

    fn parse<'a>(&mut self, message: &'a [u8]) -> Option<&'a [u8]> {
        let push: Push<'a> = serde_json::from_slice(message).ok()?;
        if push.kind != "push" {
            return None;
        }
        let payload = push.payload.get().as_bytes();
        // Both are parts of one allocation: the payload was borrowed from the message.
        let start = payload.as_ptr().addr().checked_sub(message.as_ptr().addr())?;
        self.before = message.get(..start)?.to_vec();
        self.after = message.get(start + payload.len()..)?.to_vec();
        Some(payload)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(envelope: &mut Envelope, text: &str) -> Option<String> {
        envelope.open(text.as_bytes()).map(|bytes| String::from_utf8(bytes.to_vec()).unwrap())
    }

    #[test]
    fn the_payload_is_found_in_every_envelope_that_is_the_same_json() {
        let mut envelope = Envelope::new(4);

        for text in [
            r#"{"type":"push","payload":"ab"}"#,
            r#"{"type":"push","payload":"ab"}"#,
            r#"{"payload":"ab","type":"push"}"#,
            r#"{ "type": "push", "id": 7, "payload": "ab" }"#,
            r#"{ "type": "push", "id": 8, "payload": "ab" }"#,
            "{\"payload\":\"ab\",\"type\":\"p\\u0075sh\"}\n",
        ] {
            assert_eq!(open(&mut envelope, text).as_deref(), Some("\"ab\""), "{text}");
        }
    }

    #[test]
    fn what_is_no_push_has_no_payload() {
        let mut envelope = Envelope::new(4);
        assert!(open(&mut envelope, r#"{"type":"push","payload":"ab"}"#).is_some());

        for text in [
            "",
            "null",
            r#"{"type":"status","payload":"ab"}"#,
            r#"{"type":"push"}"#,
            r#"{"type":"push","payload":"ab"]"#,
            r#"{"type":"push","payload":"ab"}}"#,
            r#"{"payload":"ab"}"#,
            "\"ab\"",
        ] {
            assert_eq!(open(&mut envelope, text), None, "{text}");
        }
        assert_eq!(envelope.open(b"{\"type\":\"push\",\"payload\":\"\xff\"}"), None);
    }

    #[test]
    fn a_payload_of_another_length_is_handed_over_as_it_is() {
        let mut envelope = Envelope::new(4);
        assert!(open(&mut envelope, r#"{"type":"push","payload":"ab"}"#).is_some());

        let found = open(&mut envelope, r#"{"type":"push","payload":"abc"}"#);

        assert_eq!(found.as_deref(), Some("\"abc\""));
    }
}
