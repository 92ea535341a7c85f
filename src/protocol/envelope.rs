//! What nodes say to each other through Redis: an event on its way to the other nodes, and the
//! beat that says how far a node's numbers have come (docs/protocol.md, "Redis").
//!
//! A Go node reads our envelopes and we read its. Ours have a number and the start they belong to
//! behind the payload, where a fixed form lets [`peek`] find them without reading the payload:
//! most envelopes of a large cluster are for topics that have nobody here. Start reading at
//! [`peek`] and [`Envelope::read`].

use std::borrow::Cow;
use std::fmt::Write;
use std::sync::LazyLock;

use memchr::memchr2;
use memchr::memmem::Finder;
use serde_json::value::RawValue;

use super::json::{self, Malformed, Rest};

/// How a node's envelopes are told apart: the number of one, and the start it belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Number<'a> {
    /// Counted from 1.
    pub n: u64,
    /// Random, new at each start of the node.
    pub boot: &'a str,
}

/// An event from another node.
#[derive(Debug, PartialEq, Eq)]
pub struct Envelope<'a> {
    /// The node that it came from; empty if it does not say.
    pub origin: Cow<'a, str>,
    /// Its topic; empty if it does not say, and then nobody can have subscribed to it.
    pub topic: Cow<'a, str>,
    /// A JSON value, as it was written, if there is one.
    pub payload: Option<&'a str>,
    /// Its number and start; a Go node gives none.
    pub number: Option<(u64, Cow<'a, str>)>,
}

/// What can be known of an envelope without reading its payload.
#[derive(Debug, PartialEq, Eq)]
pub struct Peek<'a> {
    /// The node that it came from.
    pub origin: &'a str,
    /// Its topic.
    pub topic: &'a str,
    /// Its number and start; `None` is a Go node's.
    pub number: Option<Number<'a>>,
    /// Where its payload stands if it is one of ours; not looked at.
    payload: Option<(usize, usize)>,
}

/// How far a node's numbers have come: every envelope up to `n` was sent before, or never will be.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Beat<'a> {
    /// The node.
    #[serde(borrow)]
    pub origin_id: Cow<'a, str>,
    /// The start that the number belongs to.
    #[serde(borrow)]
    pub boot: Cow<'a, str>,
    /// The last number; 0 if none was given out yet.
    pub n: u64,
}

const ORIGIN: &[u8] = br#"{"origin_id":""#;
const TOPIC: &[u8] = br#"","topic":""#;
const PAYLOAD: &[u8] = br#"","payload":"#;
const N: &[u8] = br#","n":"#;
const BOOT: &[u8] = br#","boot":""#;

/// Prepared once: to prepare it costs as much as all else that is looked at.
static SECOND_TOPIC: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(br#""topic""#));
static NUMBERED: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(br#""boot""#));

/// Bytes of an id of ours.
const ID_BYTES: usize = 16;

/// Digits of the largest number.
const MAX_DIGITS: usize = 20;

/// An envelope up to its number, which [`finish`] adds. `payload` is a JSON value.
pub fn begin(origin: &str, topic: &str, payload: &str) -> String {
    // What `finish` adds fits, too.
    let mut text = String::with_capacity(topic.len() + payload.len() + 128);
    text.push_str(r#"{"origin_id":""#);
    text.push_str(origin);
    text.push_str(r#"","topic":"#);
    json::write_string(topic, &mut text);
    text.push_str(r#","payload":"#);
    text.push_str(payload);
    text
}

/// Ends what [`begin`] began.
pub fn finish(text: &mut String, number: Number<'_>) {
    let _ = write!(text, r#","n":{},"boot":"{}"}}"#, number.n, number.boot); // Cannot fail.
}

/// Looks at an envelope as our nodes and Go's write them; `None` if it has another form, or if it
/// has to be read to be sure. Does not look at the payload, so that what follows from this is only
/// good for an envelope that nobody here waits for; who delivers it reads it.
pub fn peek(message: &[u8]) -> Option<Peek<'_>> {
    let rest = message.strip_prefix(ORIGIN)?;
    let (origin, rest) = rest.split_at_checked(memchr2(b'"', b'\\', rest)?)?;
    let rest = rest.strip_prefix(TOPIC)?;
    let (topic, rest) = rest.split_at_checked(memchr2(b'"', b'\\', rest)?)?;
    let payload = rest.strip_prefix(PAYLOAD)?;
    let (origin, topic) = (str::from_utf8(origin).ok()?, str::from_utf8(topic).ok()?);
    if SECOND_TOPIC.find(payload).is_some() {
        return None; // Most likely part of the payload; otherwise the last one counts.
    }
    match tail(payload) {
        Some((size, number)) => {
            let start = message.len() - payload.len();
            Some(Peek { origin, topic, number: Some(number), payload: Some((start, start + size)) })
        }
        // A later version may write more behind the number: such a one has to be read.
        None if NUMBERED.find(payload).is_some() => None,
        None => Some(Peek { origin, topic, number: None, payload: None }),
    }
}

/// The number at the end of an envelope of ours, and the size of what stands before it.
///
/// That the text ends in one brace behind a string shows that these are members of the envelope
/// itself, not of its payload; and a quotation mark that follows a comma is not inside a string.
fn tail(payload: &[u8]) -> Option<(usize, Number<'_>)> {
    let rest = payload.strip_suffix(b"\"}")?;
    let (rest, boot) = rest.split_at_checked(rest.len().checked_sub(ID_BYTES)?)?;
    if !boot.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    let rest = rest.strip_suffix(BOOT)?;
    let digits = rest.iter().rev().take(MAX_DIGITS).take_while(|byte| byte.is_ascii_digit());
    let (rest, digits) = rest.split_at(rest.len() - digits.count());
    let rest = rest.strip_suffix(N)?;
    let n = str::from_utf8(digits).ok()?.parse().ok()?;
    Some((rest.len(), Number { n, boot: str::from_utf8(boot).ok()? }))
}

impl<'a> Peek<'a> {
    /// The payload of `message`, which this was made of, if it is one of ours and its payload is
    /// a JSON value and UTF-8.
    pub fn payload(&self, message: &'a [u8]) -> Option<&'a str> {
        let (start, end) = self.payload?;
        let payload = str::from_utf8(message.get(start..end)?).ok()?;
        serde_json::from_str::<&RawValue>(payload).ok()?;
        Some(payload)
    }
}

impl<'a> Envelope<'a> {
    /// Reads an envelope as Go's decoder does.
    ///
    /// # Errors
    ///
    /// [`Malformed`] if it cannot be read.
    pub fn read(message: &'a [u8]) -> Result<Self, Malformed> {
        let text = str::from_utf8(message).map_err(|_| Malformed)?;
        let mut envelope = Self {
            origin: Cow::Borrowed(""),
            topic: Cow::Borrowed(""),
            payload: None,
            number: None,
        };
        let (mut n, mut boot) = (None, None);
        let was_object = json::read_object(text, Rest::Refused, |name, value| {
            let field = if json::is_named(name, "origin_id") {
                &mut envelope.origin
            } else if json::is_named(name, "topic") {
                &mut envelope.topic
            } else {
                if json::is_named(name, "payload") {
                    envelope.payload = Some(value);
                } else if name == "n" {
                    n = value.parse().ok(); // A Go node would not look at it.
                } else if name == "boot" {
                    boot = json::read_string(value).ok().flatten();
                }
                return Ok(());
            };
            if let Some(value) = json::read_string(value)? {
                *field = value;
            }
            Ok(())
        })?;
        if !was_object {
            return Err(Malformed);
        }
        envelope.number = n.zip(boot);
        Ok(envelope)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BOOT: &str = "00112233445566ff";
    const ORIGIN: &str = "678b0520791e03c7";

    fn ours(topic: &str, payload: &str, n: u64) -> String {
        let mut text = begin(ORIGIN, topic, payload);
        finish(&mut text, Number { n, boot: BOOT });
        text
    }

    #[test]
    fn an_envelope_has_its_keys_in_the_order_of_go_and_ours_behind_them() {
        assert_eq!(
            ours("session.42", r#"{"a":1}"#, 7),
            r#"{"origin_id":"678b0520791e03c7","topic":"session.42","payload":{"a":1},"n":7,"boot":"00112233445566ff"}"#
        );
    }

    #[test]
    fn an_envelope_of_a_go_node_is_read() {
        let text = br#"{"origin_id":"f4e35a69fbc7b840","topic":"session.42","payload":{"event":"qso_updated","text":"\u003cb\u003e"}}"#;

        let envelope = Envelope::read(text).unwrap();
        let peek = peek(text).unwrap();

        assert_eq!((&*envelope.origin, &*envelope.topic), ("f4e35a69fbc7b840", "session.42"));
        assert_eq!(envelope.payload, Some(r#"{"event":"qso_updated","text":"\u003cb\u003e"}"#));
        assert_eq!(envelope.number, None);
        assert_eq!((peek.origin, peek.topic), ("f4e35a69fbc7b840", "session.42"));
        assert_eq!(peek.number, None);
        assert_eq!(peek.payload(text), None);
    }

    #[test]
    fn an_envelope_is_read_leniently() {
        let read = |text: &'static str| Envelope::read(text.as_bytes());

        let odd = read(r#"{"x":[1],"TOPIC":"b","Topic":"a","Payload":null,"ORIGIN_ID":null}"#);
        assert_eq!(odd.as_ref().map(|e| (&*e.topic, &*e.origin)), Ok(("a", "")));
        assert_eq!(odd.unwrap().payload, Some("null"));
        assert_eq!(read(r#"{"topic":"a"}"#).unwrap().payload, None);
        for garbage in ["", "null", "[]", "7", r#"{"topic":7}"#, r#"{"topic":"a"} x"#, "{"] {
            assert_eq!(read(garbage), Err(Malformed), "{garbage}");
        }
        assert_eq!(Envelope::read(b"{\"topic\":\"a\",\"payload\":\"\xff\"}"), Err(Malformed));
    }

    #[test]
    fn what_looks_like_a_number_inside_a_payload_is_none() {
        for payload in [
            r#"{"x":0,"n":5,"boot":"00112233445566ff"}"#,
            r#""\",\"n\":5,\"boot\":\"00112233445566ff""#,
            r#"[{"x":0,"n":5,"boot":"00112233445566ff"}]"#,
        ] {
            let text = format!(r#"{{"origin_id":"{ORIGIN}","topic":"a","payload":{payload}}}"#);
            let peeked = peek(text.as_bytes());
            assert!(peeked.is_none_or(|peek| peek.number.is_none()), "{text}");
            assert_eq!(Envelope::read(text.as_bytes()).unwrap().number, None);
        }
    }

    #[test]
    fn a_number_with_more_behind_it_is_found_by_reading() {
        let text = format!(
            r#"{{"origin_id":"{ORIGIN}","topic":"a","payload":1,"n":5,"boot":"{BOOT}","key":"k"}}"#
        );

        assert_eq!(peek(text.as_bytes()), None);
        assert_eq!(Envelope::read(text.as_bytes()).unwrap().number, Some((5, BOOT.into())));
    }

    #[test]
    fn an_envelope_that_may_have_two_topics_has_to_be_read() {
        let text = format!(r#"{{"origin_id":"{ORIGIN}","topic":"a","payload":1,"topic":"b"}}"#);

        assert_eq!(peek(text.as_bytes()), None);
        assert_eq!(Envelope::read(text.as_bytes()).unwrap().topic, "b");
    }

    #[test]
    fn a_payload_that_is_no_json_is_not_handed_out() {
        for payload in ["", "x", "1,\"b\":\"b\"", "{", "\"\u{7}\""] {
            let text = ours("a", payload, 1);
            let peek = peek(text.as_bytes()).unwrap();
            assert_eq!(peek.payload(text.as_bytes()), None, "{payload}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused_without_a_panic(message in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Envelope::read(&message);
            let _ = peek(&message);
        }

        #[test]
        fn a_look_and_a_reading_agree(topic in ".{0,12}", n: u64, text in ".{0,20}") {
            let payload = serde_json::to_string(&text).unwrap();
            let envelope = ours(&topic, &payload, n);

            let read = Envelope::read(envelope.as_bytes()).unwrap();

            prop_assert_eq!(&*read.topic, topic);
            prop_assert_eq!(read.payload, Some(&*payload));
            prop_assert_eq!(read.number, Some((n, BOOT.into())));
            if let Some(peek) = peek(envelope.as_bytes()) {
                prop_assert_eq!(peek.topic, &*read.topic);
                prop_assert_eq!(peek.number, Some(Number { n, boot: BOOT }));
                prop_assert_eq!(peek.payload(envelope.as_bytes()), read.payload);
            }
        }
    }
}
